"""The study in Optuna's storage: asking, telling, and picking up what was interrupted.

The storage is the truth. A trial carries its design, its owner while it runs, and at the end the
whole evaluation; values, named constraints and states are there so that Optuna's samplers and
dashboard mean the same as we do.
"""

from __future__ import annotations

import math
import socket
import time
import warnings
from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, Trial, TrialState, create_trial

from nano.design.families import AnyFamily
from nano.design.kinds import AnyDesign, design_from_plain
from nano.errors import RunError
from nano.explore.batch import Collected, Parameters, write
from nano.explore.folder import held, is_held, place_of
from nano.explore.locks import Locks, NoLocks
from nano.explore.promotion import Outlook
from nano.explore.samplers import GENOME, NOTES, SEED, Exhausted, space
from nano.explore.study import differences
from nano.explore.told import ANSWER, told
from nano.files import to_plain
from nano.records import Confirmation, Evaluation, evaluation_from_plain
from nano.score import Requirements

_FINISHED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)
GRACE_SECONDS = 600.0  # without a beat, after which a process on another machine counts as dead
_BEATS = 10  # in a grace
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
            processes of a run on this machine.
        locks: Of all processes that share the storage.
        grace: Seconds without a beat after which a process elsewhere counts as dead.
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
        locks: Locks | None = None,
        grace: float = GRACE_SECONDS,
        penalised: bool = False,
        join: bool = False,
    ) -> None:
        self._prototype = prototype
        self._space = space(prototype)
        self._penalised = penalised
        self._owner = owner
        self._signature = signature(owner)
        self._locks = locks or NoLocks()
        self._grace = grace
        self._in_turn = False
        self._read: Sequence[FrozenTrial] | None = None  # in this turn, and still true
        self._beat = 0
        self._beaten = time.monotonic()
        self._heard: dict[int, tuple[object, float]] = {}  # last beats of others, and since when
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
            user_attrs={**_identity(design), "origin": origin, "owner": self._signature},
        )

    # --- asking ----------------------------------------------------------------------------------

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Held by whoever of a study's processes asks, tells or recovers: one at a time.

        Optuna's SQLite storage has no row locks, so that two processes may be given the same
        waiting trial; between looking at the budget and asking nobody else may ask; and a trial
        that is being told must not be taken for one whose process died.
        """
        with held(self._owner.parent / "turn.lock", busy=None), self._locks.turn():
            self._in_turn = True
            try:
                yield
            finally:
                self._in_turn = False
                self._read = None

    def ask(self, origin: str) -> Asked | None:
        """The next trial: an interrupted or enqueued one first, else a new proposal.

        None when the space has no new design left. To be called in one's `turn`.
        """
        known = list(self.trials())
        self._read = None
        trial = self._taken(known)
        # Samplers look at what was read in this turn; `Study.ask` and `Study.tell` forget it.
        self.study._thread_local.cached_all_trials = known
        attrs = trial.user_attrs
        params = trial.params
        if "design" not in attrs or params.keys() != self._space.keys():
            try:
                params, chosen = self._parameters(trial)
            except Exhausted:
                self.study.set_user_attr("exhausted", True)
                self.study.tell(trial, state=TrialState.FAIL)
                return None
            found = {} if "design" in attrs else self._proposed(trial, params, origin)
            new = {name: value for name, value in found.items() if name not in attrs}
            write(self._storage, trial._trial_id, parameters=chosen, user=new)
            attrs = new | attrs
        self._running[trial.number] = trial
        return Asked(
            number=trial.number,
            design=design_from_plain(attrs["design"], f"trial {trial.number}"),
            seed=params[SEED],
            origin=attrs["origin"],
            proposal=attrs.get("proposal", {}),
        )

    def _proposed(self, trial: Trial, params: Mapping[str, Any], origin: str) -> dict[str, Any]:
        """What a new trial is to carry; the design last: it says that all is there."""
        own = self._storage.get_trial_system_attrs(trial._trial_id)
        genome = own.get(GENOME) or self._prototype.expand(params, params[SEED])
        design = _identity(self._prototype.design(genome))
        return {"origin": origin, "proposal": own.get(NOTES, {}), **design}

    def _taken(self, known: Sequence[FrozenTrial]) -> Trial:
        """A trial in our name: a waiting one, or a new one that is signed from its first instant.

        `optuna.Study.ask` would leave it unsigned for as long as a sampler thinks, and a process
        that recovers trials would take it for one whose process died.
        """
        for waiting in known:
            if waiting.state == TrialState.WAITING and self._began(waiting):
                trial = Trial(self.study, waiting._trial_id)
                trial.set_user_attr("owner", self._signature)
                return trial
        blank = create_trial(state=TrialState.RUNNING, user_attrs={"owner": self._signature})
        return Trial(self.study, self._storage.create_new_trial(self.study._study_id, blank))

    def _began(self, waiting: FrozenTrial) -> bool:
        """Whether it is ours now; False where others were faster, who know no turns."""
        try:
            return self._storage.set_trial_state_values(waiting._trial_id, TrialState.RUNNING)
        except optuna.exceptions.UpdateFinishedTrialError:
            return False

    def _parameters(self, trial: Trial) -> tuple[dict[str, Any], Parameters]:
        """All of a trial's parameters, and those among them that are yet to be written."""
        collected: Any = Collected(trial)
        trial.storage = collected
        try:
            params = {name: trial._suggest(name, kind) for name, kind in self._space.items()}
        finally:
            trial.storage = self._storage
        return params, collected.parameters

    def requeue(self, number: int) -> None:
        """Give an unfinished trial back: the next to ask gets it, with its design and number.

        One that was told half way stays as it is; `recover` tells the rest. To be called in one's
        `turn`.
        """
        self._read = None
        stored = self._still_ours(self._running.pop(number))
        if stored is not None and "evaluation" not in stored.user_attrs:
            self._storage.set_trial_state_values(stored._trial_id, state=TrialState.WAITING)

    # --- telling ---------------------------------------------------------------------------------

    def tell(self, evaluation: Evaluation, requirements: Requirements) -> bool:
        """Finish a trial: evaluation, named constraints and value, then its state; once.

        To be called in one's `turn`. False when others took the trial up meanwhile, because our
        beats did not reach them: theirs is what will be told.
        """
        self._read = None
        stored = self._still_ours(self._running[evaluation.number])
        if stored is not None:
            self._finish(stored, evaluation, requirements)
        del self._running[evaluation.number]
        return stored is not None

    def _still_ours(self, trial: Trial) -> FrozenTrial | None:
        """The trial as stored, unless others took it up."""
        stored = self._storage.get_trial(trial._trial_id)
        ours = stored.user_attrs.get("owner") == self._signature
        return stored if ours and stored.state == TrialState.RUNNING else None

    def _finish(
        self, stored: FrozenTrial, evaluation: Evaluation, requirements: Requirements
    ) -> None:
        """What is written already was so before a kill: see `recover`."""
        margins = searched_margins(evaluation, requirements)
        user = {} if "evaluation" in stored.user_attrs else {"evaluation": to_plain(evaluation)}
        missing = {
            f"constraints:{name}": margin  # Optuna 5's key of a named constraint
            for name, margin in margins.items()
            if name not in stored.constraints
        }
        write(self._storage, stored._trial_id, user=user, system=missing)
        value = evaluation.netscore
        state = trial_state(evaluation)
        if value is not None and self._penalised:
            value -= _PENALTY_DB * sum(max(0.0, margin) for margin in margins.values())
        if state == TrialState.PRUNED and value is not None and not stored.intermediate_values:
            # Optuna takes the last report as a pruned trial's value.
            step = evaluation.spend_images
            self._storage.set_trial_intermediate_value(stored._trial_id, step, value)
        self.study.tell(
            stored.number,
            value if state == TrialState.COMPLETE else None,
            state=state,
            skip_if_finished=True,
        )

    def conclude(self, best: Confirmation | None, confirmations: Sequence[Confirmation]) -> None:
        """Keep the answer where every machine, and whoever opens the storage alone, finds it."""
        answer = {"best": best.key if best else None, "confirmations": to_plain(confirmations)}
        if self.study.user_attrs.get(ANSWER) != answer:
            self.study.set_user_attr(ANSWER, answer)

    # --- what is there ---------------------------------------------------------------------------

    def trials(self) -> Sequence[FrozenTrial]:
        """All trials, as they stand in the storage: in a turn nobody else adds or takes any."""
        if not self._in_turn:
            return self.study.get_trials(deepcopy=False)
        if self._read is None:
            self._read = self.study.get_trials(deepcopy=False)
        return self._read

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

    # --- the living and the dead -----------------------------------------------------------------

    def beat(self) -> bool:
        """Say that this process lives, and hear the others; to be called as often as one likes.

        A beat is a number on each trial that runs here. Whether it moved is judged by the clock of
        whoever looks, so that a clock that is wrong, or set, does no harm.

        Returns:
            Whether it was time for a beat.
        """
        now = time.monotonic()
        if now - self._beaten < self._grace / _BEATS:
            return False
        self._beaten = now
        self._beat += 1
        self._locks.tend()
        for trial in self._running.values():
            # Of one that others took up and finished: `tell` finds out.
            with suppress(optuna.exceptions.UpdateFinishedTrialError):
                self._storage.set_trial_user_attr(trial._trial_id, "beat", self._beat)
        for other in self._others():
            self._is_heard(other)
        return True

    def recover(self, requirements: Requirements) -> tuple[list[int], list[int]]:
        """Pick up trials whose process died: those already evaluated are told, others requeued.

        To be called in one's `turn`.

        Returns:
            Numbers told and numbers requeued.
        """
        finished, requeued = [], []
        for frozen in self._others():
            if self._lives(frozen):
                continue
            if "evaluation" in frozen.user_attrs:
                stored = frozen.user_attrs["evaluation"]
                evaluation = evaluation_from_plain(stored, f"trial {frozen.number}")
                self._finish(frozen, evaluation, requirements)
                finished.append(frozen.number)
            else:
                self._storage.set_trial_state_values(frozen._trial_id, state=TrialState.WAITING)
                requeued.append(frozen.number)
        self._read = None
        return finished, requeued

    def elsewhere(self) -> list[int]:
        """Trials that living processes run, here or on other machines."""
        return [trial.number for trial in self._others() if self._lives(trial)]

    def _others(self) -> list[FrozenTrial]:
        """Running trials that are not this process's; nor of strangers, who sign nothing."""
        return [
            trial
            for trial in self.trials()
            if trial.state == TrialState.RUNNING
            and trial.number not in self._running
            and "owner" in trial.user_attrs
        ]

    def _lives(self, trial: FrozenTrial) -> bool:
        """Whether the process that runs it lives: by its lock where we see it, else by its beat.

        One of our own that we know nothing of was made when the answer was lost.
        """
        owner = trial.user_attrs["owner"]
        if owner == self._signature:
            return False
        if all(owner.get(name) == self._signature[name] for name in ("host", "place")):
            return is_held(self._owner.with_name(owner["lock"]))
        return self._is_heard(trial)

    def _is_heard(self, trial: FrozenTrial) -> bool:
        """Whether its beat moved within the grace, since we first looked."""
        now = time.monotonic()
        beat = (trial.user_attrs["owner"], trial.user_attrs.get("beat"))
        last, since = self._heard.get(trial.number, (None, now))
        if last != beat:
            since = now
            self._heard[trial.number] = (beat, now)
        return now - since < self._grace


def signature(owner: Path) -> dict[str, str]:
    """What a trial keeps of the process that runs it: the machine, the run's place, its lock."""
    return {
        "host": socket.gethostname(),
        "place": place_of(owner.parent),
        "lock": owner.name,
    }


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
