"""The study in Optuna's storage: asking, telling, and picking up what was interrupted.

The storage is the truth. A trial carries its design, its owner while it runs, and at the end the
whole evaluation; values, named constraints and states are there so that Optuna's samplers and
dashboard mean the same as we do.
"""

from __future__ import annotations

import math
import socket
import warnings
from collections.abc import Container, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, Trial, TrialState, create_trial

from nano.design.families import AnyFamily
from nano.design.kinds import AnyDesign, design_from_plain
from nano.errors import RunError
from nano.explore.folder import held, is_held
from nano.explore.promotion import Outlook
from nano.explore.samplers import GENOME, NOTES, SEED, Exhausted, space
from nano.explore.study import differences
from nano.explore.told import told
from nano.files import to_plain
from nano.records import Evaluation, evaluation_from_plain
from nano.score import Requirements

_FINISHED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)
_PENALTY_DB = 10.0  # per violation, for samplers that know no constraints; a typical one is .05


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A trial to evaluate."""

    number: int
    design: AnyDesign
    seed: int
    origin: str
    proposal: Mapping[str, Any] = field(default_factory=dict)


class Store:
    """One study in its storage.

    Args:
        storage: Where it lives.
        name: The study's name.
        sampler: Proposes; see `nano.explore.samplers.CappedSampler`.
        prototype: Expands knobs to designs.
        owner: Lock file that this process holds while it lives; its folder is shared by all
            processes of a run.
        penalised: Whether infeasible trials are told a lowered value, for samplers that ignore
            constraints (CMA-ES).
        join: The study must be there already.
    """

    def __init__(
        self,
        storage: BaseStorage,
        name: str,
        sampler: optuna.samplers.BaseSampler,
        prototype: AnyFamily,
        *,
        owner: Path,
        penalised: bool = False,
        join: bool = False,
    ) -> None:
        self._prototype = prototype
        self._space = space(prototype)
        self._penalised = penalised
        self._owner = owner.resolve()  # others may look for it from another working directory
        self._join = join
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
        self._storage = self.study._storage  # Optuna's cache around `storage`
        self._running: dict[int, Trial] = {}

    # --- identity --------------------------------------------------------------------------------

    @property
    def is_new(self) -> bool:
        """Whether the study has yet to be set up."""
        return "study" not in self.study.user_attrs

    def claim(
        self, plain: Mapping[str, Any], space_hash: str, first: Mapping[str, AnyDesign]
    ) -> None:
        """Tie the stored study to this study file, or find that it is the same.

        Args:
            plain: The study file.
            space_hash: Of its prototype.
            first: Designs that a new study begins with, by origin.

        Raises:
            RunError: It was searched with other settings, which the message lists; or there is
                nothing to join yet.
        """
        stored = self.study.user_attrs.get("study")
        if stored is None:
            if self._join:
                raise RunError(
                    f"--join: study {self.study.study_name!r} is not set up yet; start it without"
                    " --join first"
                )
            self._set_up(plain, space_hash, first)
            return
        changed = differences(stored, plain)
        if self.study.user_attrs.get("space") != space_hash:
            changed.append(f"space: {self.study.user_attrs.get('space')} -> {space_hash}")
        if changed:
            raise RunError(
                f"study {self.study.study_name!r} was searched with other settings"
                f" ({'; '.join(changed)}). Give the new study another name, or --out elsewhere"
            )

    def _set_up(
        self, plain: Mapping[str, Any], space_hash: str, first: Mapping[str, AnyDesign]
    ) -> None:
        """Each step may be the last before a kill; the next start goes on from there."""
        queued = {trial.user_attrs.get("origin") for trial in self.trials()}
        for origin, design in first.items():
            if origin not in queued:
                self._enqueue(design, origin)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            self.study.set_metric_names(["NetScore (dB)"])
        self.study.set_user_attr("space", space_hash)
        self.study.set_user_attr("study", dict(plain))  # last: it says that all of this is done

    def _enqueue(self, design: AnyDesign, origin: str) -> None:
        """Queue a given design; its knobs are the nearest ones."""
        self.study.enqueue_trial(
            {**self._prototype.knobs_of(design), SEED: 0},
            user_attrs={**_identity(design), "origin": origin, "owner": self._signature()},
        )

    # --- asking ----------------------------------------------------------------------------------

    def turn(self) -> AbstractContextManager[None]:
        """Held by whoever of a run's processes asks or recovers: one at a time.

        Optuna's SQLite storage has no row locks, so that two processes may be given the same
        waiting trial; and between looking at the budget and asking nobody else may ask.
        """
        return held(self._owner.parent / "turn.lock", busy=None)

    def ask(self, origin: str) -> Asked | None:
        """The next trial: an interrupted or enqueued one first, else a new proposal.

        None when the space has no new design left. To be called in one's `turn`.
        """
        trial = self._taken()
        if "design" not in trial.user_attrs:
            try:
                params = self._parameters(trial)
            except Exhausted:
                self.study.set_user_attr("exhausted", True)
                self.study.tell(trial, state=TrialState.FAIL)
                return None
            own = self._storage.get_trial(trial._trial_id).system_attrs
            genome = own.get(GENOME) or self._prototype.expand(params, params[SEED])
            trial.set_user_attr("origin", origin)
            trial.set_user_attr("proposal", own.get(NOTES, {}))
            for name, value in _identity(self._prototype.design(genome)).items():
                trial.set_user_attr(name, value)  # the design last: it says that all is there
        else:
            params = self._parameters(trial)
        self._running[trial.number] = trial
        attrs = trial.user_attrs
        return Asked(
            number=trial.number,
            design=design_from_plain(attrs["design"], f"trial {trial.number}"),
            seed=params[SEED],
            origin=attrs["origin"],
            proposal=attrs.get("proposal", {}),
        )

    def _taken(self) -> Trial:
        """A trial in our name: a waiting one, or a new one that is signed from its first instant.

        `optuna.Study.ask` would leave it unsigned for as long as a sampler thinks, and a process
        that recovers trials would take it for one whose process died.
        """
        waiting = self.study._pop_waiting_trial_id()
        if waiting is None:
            blank = create_trial(state=TrialState.RUNNING, user_attrs={"owner": self._signature()})
            return Trial(self.study, self._storage.create_new_trial(self.study._study_id, blank))
        trial = Trial(self.study, waiting)
        trial.set_user_attr("owner", self._signature())
        return trial

    def _parameters(self, trial: Trial) -> dict[str, Any]:
        return {name: trial._suggest(name, kind) for name, kind in self._space.items()}

    def _signature(self) -> dict[str, str]:
        return signature(self._owner)

    def requeue(self, number: int) -> None:
        """Give an unfinished trial back: the next to ask gets it, with its design and number.

        One that was told half way stays as it is; `recover` tells the rest.
        """
        trial = self._running[number]
        if "evaluation" not in trial.user_attrs:
            self._storage.set_trial_state_values(trial._trial_id, state=TrialState.WAITING)
        del self._running[number]

    # --- telling ---------------------------------------------------------------------------------

    def tell(self, evaluation: Evaluation, requirements: Requirements) -> None:
        """Finish a trial: evaluation, named constraints and value, then its state; once."""
        self._finish(self._running[evaluation.number], evaluation, requirements)
        del self._running[evaluation.number]

    def _finish(self, trial: Trial, evaluation: Evaluation, requirements: Requirements) -> None:
        trial.set_user_attr("evaluation", to_plain(evaluation))
        margins = searched_margins(evaluation, requirements)
        for name in margins.keys() - trial.constraints.keys():  # some may be there: see `recover`
            trial.set_constraint(name, margins[name])
        value = evaluation.netscore
        state = trial_state(evaluation)
        if value is not None and self._penalised:
            value -= _PENALTY_DB * sum(max(0.0, margin) for margin in margins.values())
        if state == TrialState.PRUNED and value is not None:
            # Optuna takes the last report as a pruned trial's value.
            if not self._storage.get_trial(trial._trial_id).intermediate_values:
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

    def evaluations(self, *, but: Container[int] = ()) -> list[Evaluation]:
        """Records of the finished trials, by number; of all processes that work on the study."""
        found = told(trial for trial in self.trials() if trial.number not in but)
        return sorted(found, key=lambda evaluation: evaluation.number)

    @property
    def exhausted(self) -> bool:
        """Whether the space was found to have no new design within the caps."""
        return "exhausted" in self.study.user_attrs

    def counted(self) -> int:
        """Trials that use up the budget: finished, running or waiting."""
        return len(self.trials())

    def waiting(self) -> int:
        """Trials that were enqueued or interrupted and wait for a worker."""
        return sum(trial.state == TrialState.WAITING for trial in self.trials())

    def recover(self, requirements: Requirements) -> tuple[list[int], list[int]]:
        """Pick up trials whose process died: those already evaluated are told, others requeued.

        To be called in one's `turn`.

        Returns:
            Numbers told and numbers requeued.
        """
        finished, requeued = [], []
        for frozen in self.trials():
            if frozen.state != TrialState.RUNNING or self._owner_lives(frozen) is not False:
                continue
            trial = Trial(self.study, frozen._trial_id)
            if "evaluation" in frozen.user_attrs:
                stored = frozen.user_attrs["evaluation"]
                evaluation = evaluation_from_plain(stored, f"trial {frozen.number}")
                self._finish(trial, evaluation, requirements)
                finished.append(frozen.number)
            else:
                self._storage.set_trial_state_values(frozen._trial_id, state=TrialState.WAITING)
                requeued.append(frozen.number)
        return finished, requeued

    def elsewhere(self) -> tuple[list[int], list[int]]:
        """Trials that others run: on this machine, and where we cannot see whether they live."""
        running = [trial for trial in self.trials() if trial.state == TrialState.RUNNING]
        others = [trial for trial in running if trial.number not in self._running]
        near = [trial.number for trial in others if self._owner_lives(trial)]
        far = [trial.number for trial in others if self._owner_lives(trial) is None]
        return near, far

    def _owner_lives(self, trial: FrozenTrial) -> bool | None:
        """Whether the process that runs it lives; None on another machine, and of strangers."""
        owner = trial.user_attrs.get("owner")
        if owner is None or owner["host"] != socket.gethostname():
            return None
        return is_held(Path(owner["lock"]))


def signature(owner: Path) -> dict[str, str]:
    """What a trial keeps of the process that runs it: this machine, and the lock file it holds."""
    return {"host": socket.gethostname(), "lock": str(owner)}


def _identity(design: AnyDesign) -> dict[str, Any]:
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
    return TrialState.PRUNED if _by_choice(evaluation) else TrialState.FAIL


def _by_choice(evaluation: Evaluation) -> bool:
    if evaluation.accuracy is None:
        return evaluation.too_dear
    return evaluation.reason is not None and evaluation.reason.startswith("not among the best")


def predicted(outlook: Outlook | None) -> dict[str, float] | None:
    """An outlook as an evaluation keeps it."""
    return to_plain(outlook) if outlook is not None else None
