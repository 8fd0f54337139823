"""All that a trial is given at once, in one transaction.

Optuna commits every parameter and every attribute by itself, some 35 times a trial, and each waits
for the disk of the server. Here they are two transactions; storages that have none, as the one in
memory, are given one thing after the other.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from optuna.distributions import BaseDistribution, distribution_to_json
from optuna.storages import BaseStorage, RDBStorage
from optuna.storages._rdb import models
from optuna.storages._rdb.storage import _create_scoped_session
from optuna.trial import Trial

from nano.explore.outage import PatientStorage

Parameters = Mapping[str, tuple[Any, BaseDistribution]]  # value and distribution, by name
_NONE: Mapping[str, Any] = {}


def write(
    storage: BaseStorage,
    trial_id: int,
    *,
    parameters: Parameters = _NONE,
    user: Mapping[str, Any] = _NONE,
    system: Mapping[str, Any] = _NONE,
) -> None:
    """Give a running trial what it does not have yet: in this order, where it is not at once.

    Args:
        storage: Optuna's cache around one, or one in memory.
        trial_id: Whose.
        parameters: In their distributions.
        user: User attributes.
        system: System attributes.
    """
    backend = getattr(storage, "_backend", None)
    if not isinstance(backend, RDBStorage):
        for name, (value, kind) in parameters.items():
            storage.set_trial_param(trial_id, name, kind.to_internal_repr(value), kind)
        for name, value in user.items():
            storage.set_trial_user_attr(trial_id, name, value)
        for name, value in system.items():
            storage.set_trial_system_attr(trial_id, name, value)
        return
    rows = [
        *(
            models.TrialParamModel(
                trial_id=trial_id,
                param_name=name,
                param_value=kind.to_internal_repr(value),
                distribution_json=distribution_to_json(kind),
            )
            for name, (value, kind) in parameters.items()
        ),
        *_attributes(models.TrialUserAttributeModel, trial_id, user),
        *_attributes(models.TrialSystemAttributeModel, trial_id, system),
    ]

    def commit() -> None:
        # What is there already is an earlier try of this, kept whole, whose answer was lost.
        with _create_scoped_session(backend.scoped_session, True) as session:
            trial: Any = models.TrialModel.find_or_raise_by_id(trial_id, session)
            backend.check_trial_is_updatable(trial_id, trial.state)
            session.bulk_save_objects(rows)

    if isinstance(backend, PatientStorage):
        backend.outage.endured(commit)
    else:
        commit()


def _attributes(model: Any, trial_id: int, values: Mapping[str, Any]) -> list[Any]:
    return [
        model(trial_id=trial_id, key=name, value_json=json.dumps(value))
        for name, value in values.items()
    ]


class Collected:
    """Stands for a trial's storage while it suggests: keeps the parameters until they are written.

    Args:
        trial: Whose.
    """

    def __init__(self, trial: Trial) -> None:
        self._storage = trial.storage
        self.parameters: dict[str, tuple[Any, BaseDistribution]] = {}

    def set_trial_param(
        self, trial_id: int, name: str, value: float, distribution: BaseDistribution
    ) -> None:
        """Keep one."""
        self.parameters[name] = (distribution.to_external_repr(value), distribution)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._storage, name)
