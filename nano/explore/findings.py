"""What a study found: finalists, the claim, the nearest miss, in records and in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nano.errors import EXIT_FEASIBLE, EXIT_NONE_FEASIBLE
from nano.explore.stages import Judge
from nano.records import Confirmation, Evaluation
from nano.report.numbers import count, decibels, mean_sd, signed_decibels


def finalists(evaluations: Sequence[Evaluation], wanted: int) -> list[Evaluation]:
    """The feasible designs with the best observed score, best first."""
    feasible = [e for e in evaluations if e.feasible and e.netscore is not None]
    return sorted(feasible, key=lambda e: -(e.netscore or 0.0))[:wanted]


def nearest(evaluations: Sequence[Evaluation]) -> Evaluation | None:
    """The design that misses the requirements by least, among those read at the latest stage."""
    read = [e for e in evaluations if e.accuracy is not None]
    final = [e for e in read if e.stage == "final"] or read
    return min(final, key=lambda e: _missed(e.margins), default=None)


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
        best: The claim, if there is one.
        trials: Trials that were asked for.
    """

    evaluations: tuple[Evaluation, ...]
    confirmations: tuple[Confirmation, ...] | None
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
        readings = [r for c in self.confirmations or () for r in c.readings]
        found = {
            "best": _claim(self.best),
            "reference": _claim(self.reference),
            "spend_images": sum(e.spend_images for e in self.evaluations)
            + sum(r.images for r in readings),
            "busy_seconds": round(
                sum(e.seconds for e in self.evaluations) + sum(r.seconds for r in readings), 1
            ),
        }
        return {name: value for name, value in found.items() if value is not None}

    def lines(self, model: Path) -> list[str]:
        """The result in words: what was found, how much better, what to type next."""
        best = self.best
        if best is None or best.accuracy is None:
            return [self._unfinished() if self.confirmations is None else self._none_feasible()]
        delta1 = mean_sd(best.accuracy.delta1, best.delta1_sd)
        lines = [
            f"best #{best.number}: {decibels(best.netscore)}, delta1 {delta1} over"
            f" {len(best.readings)} fresh seeds, {count(best.cost.params)} parameters,"
            f" {count(best.cost.macs)} MACs"
        ]
        if self.reference is not None and self.reference.netscore is not None:
            gain = (best.netscore or 0.0) - self.reference.netscore
            lines.append(f"against the prototype at the same spend: {signed_decibels(gain)}")
        return [*lines, f"model: {model}", f"next: python -m nano.train {model}"]

    def _unfinished(self) -> str:
        done = len(self.evaluations)
        return f"{done} of {self.trials} trials done; the same command goes on"

    def _none_feasible(self) -> str:
        """The nearest design, and by how much it misses what."""
        failed = [c for c in self.confirmations or () if c.origin != "prototype"]
        if failed:
            close = min(failed, key=lambda c: _missed(c.margins))
            number, margins = close.number, close.margins
            text = f"{len(failed)} designs looked feasible, none was confirmed with fresh seeds"
        else:
            near = nearest(self.evaluations)
            if near is None:
                return "none feasible: no design could be evaluated; log.txt tells why"
            number, margins = near.number, near.margins
            text = "none feasible"
        missed = [f"{name} by {margin:.3g}" for name, margin in margins.items() if margin > 0]
        return f"{text}; nearest: #{number} misses {', '.join(missed) or 'only the safety'}"


def _missed(margins: Mapping[str, float]) -> float:
    return sum(max(0.0, margin) for margin in margins.values())


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
