"""What a study found: finalists, the claim, and the summary of run.json."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

from nano.errors import EXIT_FEASIBLE, EXIT_NONE_FEASIBLE
from nano.explore.stages import Judge
from nano.explore.trade_off import spread
from nano.front import front
from nano.records import Confirmation, Evaluation, spend
from nano.score import AT_MOST_COUNTED, MEASURED

# Probability to hold from which a design is confirmed in the order of its score, batch by batch:
# where a bold batch failed, the next one is more careful.
CHANCES = (0.5, 0.8, 0.95)
SURE = 0.9  # probability to hold, after confirming, that a claim should have

Holds = Callable[[Sequence[Confirmation]], Mapping[int, float]]
Confirm = Callable[[Sequence[Evaluation]], list[Confirmation] | None]


def confirmed(
    evaluations: Sequence[Evaluation], wanted: int, *, holds: Holds, confirm: Confirm, judge: Judge
) -> list[Confirmation] | None:
    """Finalists and the prototype, retrained: batch by batch until a finalist surely holds.

    All that were tried are returned, so that a claim found late can be read as such.

    Args:
        evaluations: Finished ones.
        wanted: Finalists in a batch.
        holds: Probability by trial number to meet the requirements, given what was confirmed so
            far: a batch that failed has taught something. See `nano.explore.belief.Belief`.
        confirm: Retrains designs; None when it was interrupted, and then so is this.
        judge: Of the claim.
    """
    reference = [e for e in evaluations if e.origin == "prototype"]
    found: list[Confirmation] = []
    held = holds(found)
    for likely in CHANCES:
        known = {one.key for one in found}
        trade_off = judge.utility.trade_off
        batch = finalists(
            evaluations, wanted, held, likely=likely, known=known, trade_off=trade_off
        )
        if not batch:
            break
        tried = [*batch, *(reference if not found else ())]
        more = confirm(list({e.key: e for e in tried}.values()))  # the reference may be picked, too
        if more is None:
            return None
        found += more
        held = holds(found)
        best = chosen(found, judge, held)
        if best and best.origin != "prototype" and held.get(best.number, 1.0) >= SURE:
            break
    return found


def finalists(
    evaluations: Sequence[Evaluation],
    wanted: int,
    holds: Mapping[int, float] | None = None,
    *,
    likely: float = CHANCES[0],
    known: Set[str] = frozenset(),
    trade_off: Sequence[str] = (),
) -> list[Evaluation]:
    """The next designs to confirm.

    Those of the best observed score among the designs that are likely enough to hold, then the
    likeliest of the rest. Without ``holds`` the observed feasible ones by score. No design comes
    twice. Where costs are traded off, the likely ones are taken along the front, dear to cheap.

    Args:
        evaluations: Finished ones.
        wanted: How many at most.
        holds: Probability by trial number that a design meets the requirements in truth.
        likely: How likely is likely enough.
        known: Keys of designs that were confirmed already.
        trade_off: Costs that are minimised beside the score.
    """
    holds = holds or {}
    left = {
        e.key: e
        for e in sorted(evaluations, key=lambda e: e.netscore or 0.0)  # of twins, the better one
        if e.netscore is not None
        and e.stage == "final"
        and e.reason is None
        and e.key not in known
        and (e.feasible or (holds.get(e.number, 0.0) >= CHANCES[0] and _affordable(e)))
    }

    def caution(evaluation: Evaluation) -> float:
        chance = holds.get(evaluation.number, 0.0)
        return 0.0 if not holds or chance >= likely else 1 - chance

    ranked = sorted(left.values(), key=lambda e: (caution(e), -(e.netscore or 0.0)))
    likely_ones = [evaluation for evaluation in ranked if caution(evaluation) == 0.0]
    along = spread(likely_ones, wanted, trade_off)
    return (along + ranked[len(likely_ones) :])[:wanted]


def _affordable(evaluation: Evaluation) -> bool:
    """Whether every bound on what weights do not decide is met: no retraining changes that."""
    return all(evaluation.margins.get(name, 0.0) <= 0 for name in (*AT_MOST_COUNTED, *MEASURED))


def chosen(
    confirmations: Sequence[Confirmation], judge: Judge, holds: Mapping[int, float] | None = None
) -> Confirmation | None:
    """The claim: the best-scoring confirmed design that is likely enough to hold in truth.

    Ordered by the score on the validation split, where the finalists were found; the test split
    only says yes or no, so that the claimed accuracy was never used to choose between designs.
    A user's own evaluation has one split: its fresh seeds order and judge. Where several finalists
    just met a bound, some of them by luck, what was read of their likes counts as well; where none
    is sure, the likeliest is claimed.

    Args:
        confirmations: Of the finalists and the prototype.
        judge: Of the study.
        holds: Probability by trial number to meet the requirements, confirmations considered.
    """
    holds = holds or {}

    def score(one: Confirmation) -> float:
        accuracy = one.validation or one.accuracy
        found = judge.netscore(accuracy, one)
        return found if found is not None else -float("inf")

    def rank(one: Confirmation) -> tuple[float, float]:
        chance = holds.get(one.number, 1.0)
        return (1.0 if chance >= SURE else chance), score(one)

    return max((one for one in confirmations if one.feasible), key=rank, default=None)


@dataclass(frozen=True, kw_only=True)
class Findings:
    """A study's result.

    Attributes:
        evaluations: Every finished trial.
        confirmations: Of the finalists and the prototype; None when the study was interrupted.
        kept: All confirmations of this run, those of earlier commands included.
        best: The claim, if there is one.
        trials: Trials that were asked for.
        trade_off: Costs that are minimised beside the score.
    """

    evaluations: tuple[Evaluation, ...]
    confirmations: tuple[Confirmation, ...] | None
    kept: tuple[Confirmation, ...]
    best: Confirmation | None
    trials: int
    trade_off: tuple[str, ...] = ()

    @property
    def exit_code(self) -> int:
        """Of a study that was not interrupted."""
        return EXIT_FEASIBLE if self.best is not None else EXIT_NONE_FEASIBLE

    @property
    def reference(self) -> Confirmation | None:
        """The prototype, retrained like the finalists."""
        return next((c for c in self.confirmations or () if c.origin == "prototype"), None)

    @property
    def front(self) -> list[Confirmation]:
        """Confirmed feasible designs that none beats in score without costing more; else none."""
        feasible = [one for one in self.confirmations or () if one.feasible]
        return front(feasible, self.trade_off) if self.trade_off else []

    def summary(self) -> dict[str, Any]:
        """For run.json; what is not known is left out."""
        spent = spend(self.evaluations, self.kept)
        found = {
            "best": _claim(self.best),
            "reference": _claim(self.reference),
            "front": [_claim(one) for one in self.front] or None,
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
