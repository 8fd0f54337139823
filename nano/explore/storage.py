"""The study in Optuna's storage: asking, telling, and picking up what was interrupted.

The storage is the truth. A trial carries its design, its owner while it runs, and at the end the
whole evaluation; values, named constraints and states are there so that Optuna's samplers and
dashboard mean the same as we do.
"""

from __future__ import annotations

import math
import socket
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import BaseStorage, RDBStorage
from optuna.trial import FrozenTrial, Trial, TrialState

from nano.design.design import Design, design_from_plain
from nano.design.prototype import Prototype
from nano.errors import MissingPackage, OutputError, RunError
from nano.explore.folder import is_held
from nano.explore.generator import SEED, space
from nano.explore.promotion import Outlook
from nano.explore.study import differences
from nano.files import to_plain
from nano.records import Evaluation, evaluation_from_plain
from nano.score import Requirements

_FINISHED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)
_PENALTY_DB = 10.0  # per violation, for samplers that know no constraints; a typical one is .05


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A trial to evaluate."""

    number: int
    design: Design
    seed: int
    origin: str


def open_storage(url: str) -> BaseStorage:
    """The storage behind a URL.

    Raises:
        MissingPackage: Its driver is not installed.
        RunError: It cannot be opened.
    """
    options: dict[str, Any] = {}
    if url.startswith("sqlite"):
        # Several processes share the file; a writer waits for the others instead of failing.
        options = {"connect_args": {"timeout": 100}}
    try:
        return RDBStorage(url, engine_kwargs=options)
    except ModuleNotFoundError as missing:
        raise MissingPackage(
            f"--storage {redacted(url)}: needs the driver {missing.name}; for PostgreSQL:"
            " pip install 'psycopg[binary]'"
        ) from missing
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise RunError(f"--storage {redacted(url)}: cannot be opened: {reason}") from error


def redacted(url: str) -> str:
    """The URL without its password."""
    import re

    return re.sub(r"(://[^:/@]+):[^@]*@", r"\1:***@", url)


class Store:
    """One study in its storage.

    Args:
        storage: Where it lives.
        name: The study's name.
        sampler: Proposes; see `nano.explore.generator.CappedSampler`.
        prototype: Expands knobs to designs.
        penalised: Whether infeasible trials are told a lowered value, for samplers that ignore
            constraints (CMA-ES).
        owner: Lock file that this process holds while it lives.
    """

    def __init__(
        self,
        storage: BaseStorage,
        name: str,
        sampler: optuna.samplers.BaseSampler,
        prototype: Prototype,
        *,
        owner: Path,
        penalised: bool = False,
        join: bool = False,
    ) -> None:
        self._storage = storage
        self._prototype = prototype
        self._space = space(prototype)
        self._penalised = penalised
        self._owner = owner
        try:
            if join:
                self.study = optuna.load_study(study_name=name, storage=storage, sampler=sampler)
            else:
                self.study = optuna.create_study(
                    study_name=name,
                    storage=storage,
                    sampler=sampler,
                    direction="maximize",
                    load_if_exists=True,
                )
        except KeyError as missing:
            raise RunError(f"--join: there is no study {name!r} in that storage yet") from missing
        self._running: dict[int, Trial] = {}

    # --- identity --------------------------------------------------------------------------------

    def claim(self, plain: Mapping[str, Any], space_hash: str) -> None:
        """Tie the stored study to this study file, or find that it is the same.

        Raises:
            RunError: It was searched with other settings; the message lists them.
        """
        stored = self.study.user_attrs.get("study")
        if stored is None:
            self.study.set_user_attr("study", dict(plain))
            self.study.set_user_attr("space", space_hash)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
                self.study.set_metric_names(["NetScore (dB)"])
            return
        changed = differences(stored, plain)
        if self.study.user_attrs.get("space") != space_hash:
            changed.append(f"space: {self.study.user_attrs.get('space')} -> {space_hash}")
        if changed:
            raise RunError(
                f"study {self.study.study_name!r} was searched with other settings"
                f" ({'; '.join(changed)}). Give the new study another name, or --out elsewhere"
            )

    # --- asking ----------------------------------------------------------------------------------

    def enqueue(self, design: Design, origin: str) -> None:
        """Queue a given design; its knobs are the nearest ones."""
        self.study.enqueue_trial(
            {**self._prototype.knobs_of(design), SEED: 0},
            user_attrs={**_identity(design), "origin": origin},
        )

    def ask(self, origin: str) -> Asked:
        """The next trial: an interrupted or enqueued one first, else a new proposal."""
        trial = self.study.ask(self._space)
        if "design" not in trial.user_attrs:
            genome = self._prototype.expand(trial.params, trial.params[SEED])
            for name, value in _identity(self._prototype.design(genome)).items():
                trial.set_user_attr(name, value)
            trial.set_user_attr("origin", origin)
        trial.set_user_attr("owner", {"host": socket.gethostname(), "lock": str(self._owner)})
        self._running[trial.number] = trial
        attrs = trial.user_attrs
        return Asked(
            number=trial.number,
            design=design_from_plain(attrs["design"], f"trial {trial.number}"),
            seed=trial.params[SEED],
            origin=attrs["origin"],
        )

    def requeue(self, number: int) -> None:
        """Give an unfinished trial back: the next to ask gets it, with its design and number."""
        trial = self._running.pop(number)
        self._storage.set_trial_state_values(trial._trial_id, state=TrialState.WAITING)

    # --- telling ---------------------------------------------------------------------------------

    def tell(self, evaluation: Evaluation, requirements: Requirements) -> None:
        """Finish a trial: evaluation, named constraints and value, then its state; once."""
        trial = self._running.pop(evaluation.number)
        self._finish(trial, evaluation, requirements)

    def _finish(self, trial: Trial, evaluation: Evaluation, requirements: Requirements) -> None:
        trial.set_user_attr("evaluation", to_plain(evaluation))
        margins = searched_margins(evaluation, requirements)
        for name, margin in margins.items():
            trial.set_constraint(name, margin)
        value = evaluation.netscore
        state = trial_state(evaluation)
        if value is not None and self._penalised:
            value -= _PENALTY_DB * sum(max(0.0, margin) for margin in margins.values())
        if state == TrialState.PRUNED and value is not None:
            # Optuna takes the last report as a pruned trial's value.
            trial.report(value, step=evaluation.spend_images)
            value = None
        self.study.tell(
            trial,
            value if state == TrialState.COMPLETE else None,
            state=state,
            skip_if_finished=True,
        )

    # --- what is there ---------------------------------------------------------------------------

    def trials(self) -> Sequence[FrozenTrial]:
        """All trials, as they stand in the storage."""
        return self.study.get_trials(deepcopy=False)

    def evaluations(self) -> list[Evaluation]:
        """Records of the finished trials, by number."""
        found = [
            evaluation_from_plain(trial.user_attrs["evaluation"], f"trial {trial.number}")
            for trial in self.trials()
            if trial.state.is_finished() and "evaluation" in trial.user_attrs
        ]
        return sorted(found, key=lambda evaluation: evaluation.number)

    def counted(self) -> int:
        """Trials that use up the budget: finished, running or waiting."""
        return len(self.trials())

    def waiting(self) -> int:
        """Trials that were enqueued or interrupted and wait for a worker."""
        return sum(trial.state == TrialState.WAITING for trial in self.trials())

    def recover(self, requirements: Requirements) -> tuple[list[int], list[int]]:
        """Pick up trials whose process died: those already evaluated are told, others requeued.

        Returns:
            Numbers told and numbers requeued.
        """
        told, requeued = [], []
        for frozen in self.trials():
            if frozen.state != TrialState.RUNNING or not self._abandoned(frozen):
                continue
            trial = Trial(self.study, frozen._trial_id)
            if "evaluation" in frozen.user_attrs:
                stored = frozen.user_attrs["evaluation"]
                evaluation = evaluation_from_plain(stored, f"trial {frozen.number}")
                self._finish(trial, evaluation, requirements)
                told.append(frozen.number)
            else:
                self._storage.set_trial_state_values(frozen._trial_id, state=TrialState.WAITING)
                requeued.append(frozen.number)
        return told, requeued

    def _abandoned(self, trial: FrozenTrial) -> bool:
        """Whether the process that ran it is gone; unknown hosts are left alone."""
        owner = trial.user_attrs.get("owner")
        if owner is None:  # killed between asking and signing: only this machine asks unsigned
            return True
        return owner["host"] == socket.gethostname() and not is_held(Path(owner["lock"]))


def _identity(design: Design) -> dict[str, Any]:
    """A trial can be rebuilt from this alone."""
    return {"key": design.key, "design": to_plain(design)}


def searched_margins(evaluation: Evaluation, requirements: Requirements) -> dict[str, float]:
    """The margins samplers learn from: with the safety, and after a rung those foreseen.

    A rung's own delta1 says nothing about the requirement, which belongs to the final training.
    """
    margins = dict(evaluation.margins)
    foreseen = evaluation.predicted or {}
    for item in requirements.items:
        if item.name in foreseen:
            margins[item.name] = item.margin(foreseen[item.name])
        if item.name in margins:
            margins[item.name] += item.safety_margin
    return {name: value if math.isfinite(value) else 1.0 for name, value in margins.items()}


def trial_state(evaluation: Evaluation) -> TrialState:
    """COMPLETE at the final stage, PRUNED when the search ended it, FAIL when it broke."""
    if evaluation.stage == "final" and evaluation.reason is None:
        return TrialState.COMPLETE if evaluation.netscore is not None else TrialState.FAIL
    return (
        TrialState.PRUNED
        if evaluation.accuracy is not None and _by_choice(evaluation)
        else (TrialState.FAIL)
    )


def _by_choice(evaluation: Evaluation) -> bool:
    return evaluation.reason is not None and evaluation.reason.startswith("not among the best")


def predicted(outlook: Outlook | None) -> dict[str, float] | None:
    """An outlook as an evaluation keeps it."""
    return to_plain(outlook) if outlook is not None else None


def disk_full(error: Exception) -> OutputError | None:
    """The storage's way of saying that the disk is full, in a person's words."""
    text = str(error)
    if "disk is full" in text or "No space left" in text or "disk I/O error" in text:
        return OutputError("the study's storage cannot be written: the disk is full")
    return None
