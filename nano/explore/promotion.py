"""Which designs of a rung are worth the next training.

A rung is a short complete training. What it says about the final one is learned from the designs
that had both: the mean gain, and the spread around it. A design goes on when it is likely enough
to end feasible *and* better than the finalists there are, and belongs to the best share of its
rung; while nothing is feasible yet, when it belongs to the share that is nearest to it. Raw rung
values are never compared with the final requirement.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from scipy.special import log_ndtr

from nano.explore.trade_off import no_dearer
from nano.front import score
from nano.records import Accuracy, Evaluation
from nano.score import Requirements, Utility

# Spread of a final reading around what a rung foresees, before a study has its own pairs: the sd
# over seeds of delta1 and abs_rel at the quick study's spend, benchmarks/results/rungs.json.
PRIOR_SD = {"delta1": 0.010, "abs_rel": 0.010}
PRIOR_WEIGHT = 4.0  # pairs that the prior counts for


@dataclass(frozen=True, kw_only=True)
class Outlook:
    """What a rung foresees of the final training.

    Attributes:
        delta1: Expected.
        abs_rel: Expected.
        sd: Standard deviation of the foreseen delta1.
        netscore: Of the expected accuracy, in decibels.
        p_feasible: Probability that the final reading meets the requirements with their safety.
        log_p: Its logarithm, which still tells hopeless designs apart.
        promise: Probability times the gain over the finalists there are, in decibels; over those
            that cost no more, where costs are traded off.
    """

    delta1: float
    abs_rel: float
    sd: float
    netscore: float
    p_feasible: float
    log_p: float
    promise: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Promotion:
    """The rule, for one study.

    Attributes:
        utility: What is maximised.
        requirements: What must hold at the final stage.
        keep: Share of a rung that may go on.
        finalists: How many feasible designs are wanted for confirmation.
    """

    utility: Utility
    requirements: Requirements
    keep: float
    finalists: int

    def decide(
        self, evaluation: Evaluation, others: Sequence[Evaluation]
    ) -> tuple[bool, Outlook | None]:
        """Whether ``evaluation`` goes on from the rung it has just finished, and its outlook.

        Args:
            evaluation: With the rung's reading as its last.
            others: Every other evaluation of the study, finished or not.
        """
        stage = evaluation.stage
        pairs = [pair for other in others if (pair := _pair(other, stage))]
        if evaluation.origin == "prototype" or not pairs:
            return True, None  # the reference always; and somebody has to be the first
        gains = {name: _gain(name, pairs) for name in PRIOR_SD}
        outlook = self.outlook(evaluation, stage, gains)
        if outlook is None:
            return False, None
        peers = [(e, o) for e in others if (o := self.outlook(e, stage, gains))]
        allowed = math.ceil(self.keep * (len(peers) + 1))
        if not any(other.feasible for other in others):
            nearer = sum(peer.log_p > outlook.log_p for _, peer in peers)
            return nearer < allowed, outlook
        lowest = min(o.netscore for o in (outlook, *(o for _, o in peers))) - 0.1
        bar = self._bars(others, lowest)
        promise = _promise(outlook, bar(evaluation))
        better = sum(_promise(peer, bar(e)) > promise for e, peer in peers)
        return promise > 0 and better < allowed, replace(outlook, promise=promise)

    def outlook(
        self,
        evaluation: Evaluation,
        stage: str,
        gains: Mapping[str, tuple[float, float]],
    ) -> Outlook | None:
        """What the reading at ``stage`` foresees; None when that is no score at all.

        Args:
            evaluation: Has a reading of that stage, or none.
            stage: A rung.
            gains: Expected gain of delta1 and abs_rel from there to the end, and its sd.
        """
        reading = _accuracy(evaluation, stage)
        if reading is None or not self._affordable(evaluation):
            return None
        (gain, sd), (rel_gain, rel_sd) = gains["delta1"], gains["abs_rel"]
        delta1 = min(max(reading.delta1 + gain, 0.0), 1.0)
        abs_rel = max(reading.abs_rel + rel_gain, 0.0)
        netscore = self.utility.score(delta1, abs_rel, evaluation.cost)
        if not math.isfinite(netscore):
            return None
        log_p = 0.0
        for name, value, spread in (("delta1", delta1, sd), ("abs_rel", abs_rel, rel_sd)):
            item = self.requirements.get(name)
            if item is not None:
                scale = spread if name == "delta1" else spread / item.bound
                shortfall = item.margin(value) + item.safety_margin
                log_p += float(log_ndtr(-shortfall / scale))
        return Outlook(
            delta1=delta1,
            abs_rel=abs_rel,
            sd=sd,
            netscore=netscore,
            p_feasible=math.exp(log_p),
            log_p=log_p,
        )

    def _affordable(self, evaluation: Evaluation) -> bool:
        counted = self.requirements.counted
        return counted.met(counted.margins(evaluation.cost.values()), with_safety=True)

    def _bars(self, others: Sequence[Evaluation], lowest: float) -> Callable[[Evaluation], float]:
        """The score a newcomer must beat: the last finalist's, ``lowest`` until there are enough.

        Where costs are traded off, of those finalists that cost no more.
        """
        names = self.utility.trade_off
        scored = [o for o in others if o.feasible and o.netscore is not None]
        scored.sort(key=score, reverse=True)

        def bar(one: Evaluation) -> float:
            beaten = no_dearer(one, scored, names) if names else scored
            return score(beaten[self.finalists - 1]) if len(beaten) >= self.finalists else lowest

        return bar


def _accuracy(evaluation: Evaluation, stage: str) -> Accuracy | None:
    return next((r.accuracy for r in evaluation.readings if r.stage == stage), None)


def _pair(evaluation: Evaluation, stage: str) -> tuple[Accuracy, Accuracy] | None:
    rung, final = _accuracy(evaluation, stage), _accuracy(evaluation, "final")
    return (rung, final) if rung is not None and final is not None else None


def _gain(name: str, pairs: Sequence[tuple[Accuracy, Accuracy]]) -> tuple[float, float]:
    """Expected gain from a rung to the end, and its sd, from the gains seen and the prior."""
    gains = [getattr(final, name) - getattr(rung, name) for rung, final in pairs]
    gain = fmean(gains)
    squares = sum((one - gain) ** 2 for one in gains)
    # The prior's own readings differ by two independent errors, rung and final: hence the 2.
    prior = PRIOR_WEIGHT * 2 * PRIOR_SD[name] ** 2
    variance = (prior + squares) / (PRIOR_WEIGHT + len(gains) - 1)
    return gain, math.sqrt(variance)


def _promise(outlook: Outlook, bar: float) -> float:
    return outlook.p_feasible * max(0.0, outlook.netscore - bar)
