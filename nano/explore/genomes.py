"""The door for generators of whole genomes: an Optuna sampler around a proposer.

Optuna's parameters stay the knobs and the seed, so that its other samplers and its dashboard can
read every study; the genome itself is one attribute of the trial, and the design is built from it.
A proposer sees the history and says what to try; nothing is remembered between proposals.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Protocol, runtime_checkable

import optuna
from optuna.trial import FrozenTrial

from nano.design.genes import Genome
from nano.design.kinds import AnyDesign, design_from_plain
from nano.errors import DesignError, RunError
from nano.explore.caps import Caps
from nano.explore.samplers import FIXED, GENOME, NOTES, SEED, Exhausted, WholeSampler
from nano.explore.told import told
from nano.records import Evaluation
from nano.seeds import derive_seed

_LOOKED_AT = 256  # proposals that may turn out old or oversized before the space counts as empty


@dataclass(frozen=True, kw_only=True)
class History:
    """What a study knows: all that a proposal may depend on.

    Attributes:
        finished: Every trial that was told, by number.
        pending: Designs that are being evaluated elsewhere.
    """

    finished: tuple[Evaluation, ...]
    pending: tuple[AnyDesign, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """A genome to try.

    Attributes:
        genome: As `nano.design.family.Family.masked` makes it.
        seed: From which the generator made it.
        notes: What was expected of it and why it was chosen; kept with the trial.
    """

    genome: Genome
    seed: int
    notes: dict[str, Any] = field(default_factory=dict)


@runtime_checkable
class Proposer(Protocol):
    """Proposes genomes; equal arguments, equal proposals."""

    def proposals(self, history: History, number: int, seed: int) -> Iterator[Proposal]:
        """Candidates for trial ``number``, best first; the first new one within the caps is tried.

        Args:
            history: Of the study.
            number: Of the trial; what differs between proposals on the same history.
            seed: Of this proposal.
        """


class GenomeSampler(WholeSampler):
    """Takes a proposer's first genome that is new and within the caps.

    Args:
        proposer: Says what to try.
        caps: The counted bounds; hold the prototype.
        seed: The study's.
    """

    def __init__(self, proposer: Proposer, caps: Caps, seed: int) -> None:
        super().__init__(caps, seed)
        self._proposer = proposer
        self._checked: set[tuple[int, int]] = set()  # a finished trial never changes

    def propose(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, Any]:
        """Knobs nearest to the proposed genome, and its seed; the genome goes to the trial.

        Raises:
            Exhausted: No proposal is new and within the caps.
        """
        proposal = self._first_new(study, trial)
        prototype = self._caps.prototype
        knobs = prototype.knobs_of(prototype.design(proposal.genome))
        for name, value in (
            (NOTES, proposal.notes),
            (GENOME, proposal.genome),
            (FIXED, {**knobs, SEED: proposal.seed}),  # the last: it says that the others are there
        ):
            study._storage.set_trial_system_attr(trial._trial_id, name, value)
        return {**knobs, SEED: proposal.seed}

    def _first_new(self, study: optuna.Study, trial: FrozenTrial) -> Proposal:
        trials = study._get_trials(deepcopy=False, use_cache=True)  # see `Store.ask`
        seen = {t.user_attrs["key"] for t in trials if "key" in t.user_attrs}
        seed = derive_seed(self._seed, "propose", trial.number)
        offered = self._proposer.proposals(self.history(study, trials), trial.number, seed)
        for proposal in islice(offered, _LOOKED_AT):
            design = self._caps.prototype.design(proposal.genome)
            if design.key not in seen and self._caps.fit(design):
                return proposal
        raise Exhausted(f"no new design within the caps in {_LOOKED_AT} proposals")

    def history(self, study: optuna.Study, trials: Sequence[FrozenTrial]) -> History:
        """The study's trials as records; raises a RunError for a history of another space."""
        finished, pending = told(trials), []
        for evaluation in finished:
            self._check(study, evaluation)
        for trial in trials:
            if not trial.state.is_finished() and "design" in trial.user_attrs:
                plain = trial.user_attrs["design"]
                pending.append(design_from_plain(plain, f"trial {trial.number}"))
        return History(finished=tuple(finished), pending=tuple(pending))

    def _check(self, study: optuna.Study, evaluation: Evaluation) -> None:
        place = (study._study_id, evaluation.number)
        if place not in self._checked:
            try:
                self._caps.prototype.check_kind(evaluation.design)
            except DesignError as foreign:
                where = f"trial {evaluation.number}"
                raise RunError(f"{where}: a history of another space: {foreign}") from foreign
            self._checked.add(place)
