"""What measurements so far foresee of designs that were not measured.

A quantity's logarithm is linear in those of the exact costs, learned by ridge regression: coarse,
but it orders designs of one family, and a proposal that is foreseen to be too slow is not worth a
trial. What counts in the end is always measured.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from nano.explore.gp import Floats
from nano.records import Evaluation
from nano.score import AT_MOST_COUNTED

ENOUGH = 4  # measured designs
_RIDGE = 0.3  # in units of one standardised design


@dataclass(frozen=True, kw_only=True)
class Speed:
    """One measured quantity, foreseen.

    Attributes:
        mean: Of the logs of the costs.
        scale: Their standard deviation.
        weights: Of the standardised logs.
        level: Mean of the quantity's log.
    """

    mean: Floats
    scale: Floats
    weights: Floats
    level: float

    def foresee(self, costs: Mapping[str, Floats]) -> Floats:
        """The quantity of n designs from their costs by name."""
        logs = np.log([costs[name] for name in AT_MOST_COUNTED]).T
        found: Floats = np.exp(self.level + (logs - self.mean) / self.scale @ self.weights)
        return found


def speed(evaluations: Sequence[Evaluation], name: str) -> Speed | None:
    """Learned from the evaluations that have the quantity; None from too few."""
    known = [
        (e.cost.values(), e.measurements[-1].values()[name])
        for e in evaluations
        if e.measurements and name in e.measurements[-1].values()
    ]
    if len(known) < ENOUGH:
        return None
    logs = np.log([[costs[cost] for cost in AT_MOST_COUNTED] for costs, _ in known])
    target = np.log([value for _, value in known])
    mean, scale = logs.mean(axis=0), np.maximum(logs.std(axis=0), 1e-3)
    rows, level = (logs - mean) / scale, float(target.mean())
    square = rows.T @ rows + _RIDGE * np.eye(rows.shape[1])
    weights = np.linalg.solve(square, rows.T @ (target - level))
    return Speed(mean=mean, scale=scale, weights=weights, level=level)
