"""What a study found: finalists, the claim, and the summary of run.json."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nano.errors import EXIT_FEASIBLE, EXIT_NONE_FEASIBLE
from nano.explore.stages import Judge
from nano.records import Confirmation, Evaluation, spend
from nano.score import AT_MOST_COUNTED

# Probability to hold from which a design is confirmed in the order of its score, batch by batch:
# where a bold batch failed, the next one is more careful.
CHANCES = (0.5, 0.8, 0.95)


def finalists(
    evaluations: Sequence[Evaluation], wanted: int, holds: Mapping[int, float] | None = None
) -> list[list[Evaluation]]:
    """The designs to confirm: one batch for each of `CHANCES`, the next for where none holds.

    A batch has those of the best observed score among the designs that are likely enough to hold,
    then the likeliest of the rest. Without ``holds`` the observed feasible ones by score. No design
    comes twice.

    Args:
        evaluations: Finished ones.
        wanted: How many in a batch at most.
        holds: Probability by trial number that a design meets the requirements in truth, see
            `nano.explore.belief.Belief`.
    """
    holds = holds or {}
    left = {
        e.key: e
        for e in sorted(evaluations, key=lambda e: e.netscore or 0.0)  # of twins, the better one
        if e.netscore is not None
        and e.stage == "final"
        and e.reason is None
        and (e.feasible or (holds.get(e.number, 0.0) >= CHANCES[0] and _affordable(e)))
    }
    batches: list[list[Evaluation]] = []
    for likely in CHANCES:

        def rank(evaluation: Evaluation, likely: float = likely) -> tuple[float, float]:
            chance = holds.get(evaluation.number, 0.0)
            caution = 0.0 if not holds or chance >= likely else 1 - chance
            return caution, -(evaluation.netscore or 0.0)

        batches.append(sorted(left.values(), key=rank)[:wanted])
        for evaluation in batches[-1]:
            del left[evaluation.key]
    return [batch for batch in batches if batch]


def _affordable(evaluation: Evaluation) -> bool:
    """Whether every counted bound is met: no retraining would change that."""
    return all(evaluation.margins.get(name, 0.0) <= 0 for name in AT_MOST_COUNTED)


def chosen(confirmations: Sequence[Confirmation], judge: Judge) -> Confirmation | None:
    """The claim: the best-scoring confirmed design.

    Ordered by the score on the validation split, where the finalists were found; the test split
    only says yes or no, so that the claimed accuracy was never used to choose between designs.
    A user's own evaluation has one split: its fresh seeds order and judge.
    """

    def score(one: Confirmation) -> float:
        accuracy = one.validation or one.accuracy
        found = judge.netscore(accuracy, one)
        return found if found is not None else -float("inf")

    ranked = sorted((c for c in confirmations if c.origin != "prototype" or c.feasible), key=score)
    return next((c for c in reversed(ranked) if c.feasible), None)


@dataclass(frozen=True, kw_only=True)
class Findings:
    """A study's result.

    Attributes:
        evaluations: Every finished trial.
        confirmations: Of the finalists and the prototype; None when the study was interrupted.
        kept: All confirmations of this run, those of earlier commands included.
        best: The claim, if there is one.
        trials: Trials that were asked for.
    """

    evaluations: tuple[Evaluation, ...]
    confirmations: tuple[Confirmation, ...] | None
    kept: tuple[Confirmation, ...]
    best: Confirmation | None
    trials: int

    @property
    def exit_code(self) -> int:
        """Of a study that was not interrupted."""
        return EXIT_FEASIBLE if self.best is not None else EXIT_NONE_FEASIBLE

    @property
    def reference(self) -> Confirmation | None:
        """The prototype, retrained like the finalists."""
        return next((c for c in self.confirmations or () if c.origin == "prototype"), None)

    def summary(self) -> dict[str, Any]:
        """For run.json; what is not known is left out."""
        spent = spend(self.evaluations, self.kept)
        found = {
            "best": _claim(self.best),
            "reference": _claim(self.reference),
            "spend_images": spent.images,
            "busy_seconds": round(spent.busy_seconds, 1),
            "training_cpu_seconds": round(spent.cpu_seconds, 1),
        }
        return {name: value for name, value in found.items() if value is not None}


def _claim(confirmation: Confirmation | None) -> dict[str, Any] | None:
    if confirmation is None or confirmation.accuracy is None:
        return None
    claim = {
        "number": confirmation.number,
        "key": confirmation.key,
        "netscore": confirmation.netscore,
        "delta1": confirmation.accuracy.delta1,
        "delta1_sd": confirmation.delta1_sd,
        "abs_rel": confirmation.accuracy.abs_rel,
        "params": confirmation.cost.params,
        "macs": confirmation.cost.macs,
        "feasible": confirmation.feasible,
    }
    return {name: value for name, value in claim.items() if value is not None}
