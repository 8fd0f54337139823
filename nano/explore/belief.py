"""How likely the trained designs are to hold when they are retrained: whom to confirm.

The best of many noisy readings are the lucky ones. The inquisitor's posterior at a design that was
read weighs its reading against what designs like it had, so that luck is not confirmed first. It
needs nothing but the study's records, whatever generator proposed the designs.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence

import numpy as np
from numpy.linalg import LinAlgError

from nano.explore.caps import Caps
from nano.explore.gp import Floats
from nano.explore.inquisitor import (
    ENOUGH,
    Evidence,
    Foreseen,
    Inquisitor,
)
from nano.explore.levels import Levels
from nano.explore.readings import Readings, collect, metrics_of, with_fresh
from nano.records import Confirmation, Evaluation
from nano.score import Requirements

_log = logging.getLogger("nano.explore")


class Belief:
    """Judges finished designs of one study.

    Args:
        caps: The counted bounds; hold the prototype and all requirements.
        final: Name of the stage that the requirements are about.
    """

    def __init__(self, caps: Caps, final: str = "final") -> None:
        self._caps = caps
        self._final = final
        self.levels = Levels(caps)
        self._evidence = Evidence(self.levels)

    def inquisitor(
        self, evaluations: Sequence[Evaluation], confirmations: Sequence[Confirmation] = ()
    ) -> Inquisitor | None:
        """Fitted to all that was read; None, with a warning where it cannot be, if too little."""
        readings = self._readings(evaluations, confirmations)
        if readings.designs < ENOUGH:
            return None
        try:
            return Inquisitor(self._evidence, readings)
        except (LinAlgError, ValueError) as unfit:
            _log.warning("no belief about designs (%s): readings are taken as they are", unfit)
            return None

    def holds(
        self, evaluations: Sequence[Evaluation], confirmations: Sequence[Confirmation] = ()
    ) -> dict[int, float]:
        """Probability, by trial number, that a design's true accuracy meets every bound.

        Only of designs trained to the end; empty while too little was read.

        Args:
            evaluations: Finished ones.
            confirmations: Of some of their designs: what fresh seeds gave counts as well.
        """
        inquisitor = self.inquisitor(evaluations, confirmations)
        if inquisitor is None:
            return {}
        readings = self._readings(evaluations).last()
        chances = probabilities(inquisitor.foresee(readings.genomes), self._caps.requirements)
        final = {e.number for e in evaluations if e.readings and self._ended(e)}
        return {
            number: float(chance)
            for number, chance in zip(readings.numbers, chances, strict=True)
            if number in final
        }

    def _ended(self, evaluation: Evaluation) -> bool:
        return evaluation.readings[-1].stage == self._final

    def _readings(
        self, evaluations: Sequence[Evaluation], confirmations: Sequence[Confirmation] = ()
    ) -> Readings:
        prototype, requirements = self._caps.prototype, self._caps.requirements
        readings = collect(evaluations, prototype.expressed, self._final, requirements)
        return with_fresh(readings, confirmations)


def probabilities(
    foreseen: Foreseen, requirements: Requirements, noise: Floats | None = None
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Probability that all accuracies meet their bounds, for each design foreseen.

    Args:
        foreseen: Of n designs, in the metrics of the requirements.
        requirements: Others than those on accuracy are not asked here.
        noise: Standard deviation of every metric's log error to add, that of one training; none
            for the true accuracy.
    """
    found = np.ones(len(foreseen.mean))
    for column, bound in log_bounds(requirements, with_safety=False):
        shortfall = foreseen.mean[:, column] - bound
        sd = np.hypot(foreseen.sd[:, column], 0.0 if noise is None else noise[column])
        found *= [0.5 * math.erfc(x / 2**0.5) for x in shortfall / np.maximum(sd, 1e-9)]
    return found


def log_bounds(requirements: Requirements, *, with_safety: bool = True) -> list[tuple[int, float]]:
    """Column of `Foreseen` and the log error allowed there, for every bound on the accuracy."""
    found = []
    for column, name in enumerate(metrics_of(requirements)):
        item = requirements.get(name)
        if item is not None:
            safety = item.safety if with_safety else 0.0
            allowed = 1 - item.bound - safety if item.at_least else item.bound - safety
            found.append((column, math.log(max(allowed, 1e-9))))
    return found
