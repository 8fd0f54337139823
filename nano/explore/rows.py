"""A stored study as plain data, and plain data as a stored study: what export and import carry.

Optuna's own way in is trial by trial, a transaction each, so that a kill leaves half a study and
10,000 trials take minutes. Here all rows go in as one transaction, by the tables of Optuna 5; what
comes out of them is compared with what went in by the tests.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from itertools import islice
from typing import Any, ClassVar

from optuna.distributions import BaseDistribution, distribution_to_json, json_to_distribution
from optuna.storages import RDBStorage
from optuna.storages._rdb import models
from optuna.study import StudyDirection
from optuna.study._frozen import FrozenStudy
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import insert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from nano.errors import RunError
from nano.files import from_plain
from nano.records import evaluation_from_plain

_AT_ONCE = 500  # trials whose rows are in memory
_OWNER = "owner"  # a lock file on the machine that a trial ran on: means nothing elsewhere


@dataclass(frozen=True, kw_only=True)
class StoredStudy:
    """A study without its trials."""

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    name: str
    user_attrs: dict[str, Any]
    system_attrs: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class StoredTrial:
    """A trial, as one line of JSON.

    Attributes:
        number: Its place in the study, from 0.
        state: Optuna's name of it.
        values: Its value, if it has one.
        began: When, ISO 8601 in UTC.
        ended: Likewise.
        params: Value as the storage keeps it, and distribution as Optuna writes it, by name.
        user_attrs: Without the owner.
        system_attrs: Constraints, genome and so on.
        reports: Intermediate values by step.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    number: int
    state: str
    user_attrs: dict[str, Any]
    system_attrs: dict[str, Any]
    params: dict[str, tuple[float, str]]
    reports: dict[str, float]
    values: tuple[float, ...] = ()
    began: str | None = None
    ended: str | None = None


def study_out(study: FrozenStudy) -> StoredStudy:
    """The study's own part."""
    return StoredStudy(
        name=study.study_name, user_attrs=study.user_attrs, system_attrs=study.system_attrs
    )


def trial_out(trial: FrozenTrial) -> StoredTrial:
    """A trial to be carried away."""
    kinds = trial.distributions
    return StoredTrial(
        number=trial.number,
        state=trial.state.name,
        values=tuple(trial.values or ()),
        began=_utc(trial.datetime_start),
        ended=_utc(trial.datetime_complete),
        params={
            name: (kinds[name].to_internal_repr(value), distribution_to_json(kinds[name]))
            for name, value in trial.params.items()
        },
        user_attrs={k: v for k, v in trial.user_attrs.items() if k != _OWNER},
        system_attrs=trial.system_attrs,
        reports={str(step): value for step, value in trial.intermediate_values.items()},
    )


def trial_in(plain: Any, number: int, where: str, owner: Mapping[str, str]) -> FrozenTrial:
    """A trial that was carried here.

    Args:
        plain: What `trial_out` made, after a trip through JSON.
        number: The one that it must have: trials come in order.
        where: For the message.
        owner: Signature for a trial that was running: of a process that is gone when anybody
            looks, so that the next start takes it up as it does after a kill.

    Raises:
        RunError: It is no trial of ours, or of a version that keeps more than this one knows.
    """
    told = from_plain(StoredTrial, plain, where, RunError)
    if told.number != number:
        raise RunError(f"{where}: trial {told.number} where {number} was expected")
    if "evaluation" in told.user_attrs:
        evaluation_from_plain(told.user_attrs["evaluation"], where)
    try:
        kinds = {name: _distribution(text) for name, (_, text) in told.params.items()}
        state = TrialState[told.state]
        trial = FrozenTrial(
            number=number,
            state=state,
            value=None,
            values=told.values or None,
            datetime_start=_local(told.began),
            datetime_complete=_local(told.ended),
            params={
                name: kinds[name].to_external_repr(value)
                for name, (value, _) in told.params.items()
            },
            distributions=kinds,
            user_attrs={
                **told.user_attrs,
                **({_OWNER: dict(owner)} if state == TrialState.RUNNING else {}),
            },
            system_attrs=told.system_attrs,
            intermediate_values={int(step): value for step, value in told.reports.items()},
            trial_id=-1,  # the storage gives one
        )
        trial._validate()
    except (KeyError, TypeError, ValueError) as wrong:
        raise RunError(f"{where}: not a trial of Optuna's: {wrong}") from wrong
    return trial


def study_in(
    storage: RDBStorage,
    study: StoredStudy,
    trials: Iterable[FrozenTrial],
    *,
    last: Callable[[], None],
) -> int:
    """Put a study into a storage, all of it or nothing; returns the number of trials.

    Args:
        storage: With its tables.
        study: Must not be there yet.
        trials: In the order of their numbers.
        last: What has to have happened before anybody sees the study; if it raises, nobody does.

    Raises:
        RunError: The storage has a study of that name.
    """
    count = 0
    with Session(storage.engine) as session, session.begin():
        row = models.StudyModel(study_name=study.name)
        session.add(row)
        try:
            session.flush()
        except IntegrityError as taken:
            raise RunError(f"that storage holds a study {study.name!r} already") from taken
        direction = models.StudyDirectionModel(
            study_id=row.study_id, objective=0, direction=StudyDirection.MAXIMIZE
        )
        session.add(direction)
        key = {"study_id": row.study_id}
        for model, attrs in (
            (models.StudyUserAttributeModel, study.user_attrs),
            (models.StudySystemAttributeModel, study.system_attrs),
        ):
            _insert(session, model, [{**key, **one} for one in _attributes(attrs)])
        for some in _batches(trials):
            _add(session, row.study_id, some)
            count += len(some)
        session.flush()
        last()
    return count


def _add(session: Session, study_id: Any, trials: list[FrozenTrial]) -> None:
    rows = [
        models.TrialModel(
            study_id=study_id,
            number=trial.number,
            state=trial.state,
            datetime_start=trial.datetime_start,
            datetime_complete=trial.datetime_complete,
        )
        for trial in trials
    ]
    session.add_all(rows)
    session.flush()  # gives them their ids
    of = [({"trial_id": row.trial_id}, trial) for row, trial in zip(rows, trials, strict=True)]
    parts: dict[Any, Callable[[FrozenTrial], list[dict[str, Any]]]] = {
        models.TrialParamModel: _params,
        models.TrialValueModel: _values,
        models.TrialIntermediateValueModel: _reports,
        models.TrialUserAttributeModel: lambda trial: _attributes(trial.user_attrs),
        models.TrialSystemAttributeModel: lambda trial: _attributes(trial.system_attrs),
    }
    for model, part in parts.items():
        _insert(session, model, [{**key, **one} for key, trial in of for one in part(trial)])
    session.expunge_all()


def _insert(session: Session, model: Any, rows: list[dict[str, Any]]) -> None:
    if rows:
        session.execute(insert(model), rows)


def _attributes(attributes: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"key": key, "value_json": json.dumps(value)} for key, value in attributes.items()]


def _params(trial: FrozenTrial) -> list[dict[str, Any]]:
    kinds = trial.distributions
    return [
        {
            "param_name": name,
            "param_value": kinds[name].to_internal_repr(value),
            "distribution_json": distribution_to_json(kinds[name]),
        }
        for name, value in trial.params.items()
    ]


def _values(trial: FrozenTrial) -> list[dict[str, Any]]:
    found = []
    for objective, value in enumerate(trial.values or ()):
        stored, kind = models.TrialValueModel.value_to_stored_repr(value)
        found.append({"objective": objective, "value": stored, "value_type": kind})
    return found


def _reports(trial: FrozenTrial) -> list[dict[str, Any]]:
    found = []
    for step, value in trial.intermediate_values.items():
        stored, kind = models.TrialIntermediateValueModel.intermediate_value_to_stored_repr(value)
        found.append({"step": step, "intermediate_value": stored, "intermediate_value_type": kind})
    return found


def _batches(trials: Iterable[FrozenTrial]) -> Iterator[list[FrozenTrial]]:
    left = iter(trials)
    while some := list(islice(left, _AT_ONCE)):
        yield some


@lru_cache(maxsize=1024)  # all trials of a study have the same ones
def _distribution(text: str) -> BaseDistribution:
    return json_to_distribution(text)


def _utc(local: datetime | None) -> str | None:
    """Optuna's times are those of this machine's zone."""
    return None if local is None else local.astimezone(UTC).isoformat()


def _local(utc: str | None) -> datetime | None:
    return None if utc is None else datetime.fromisoformat(utc).astimezone().replace(tzinfo=None)
