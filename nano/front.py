"""The front between the score and costs that are minimised beside it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol, TypeVar, runtime_checkable

import numpy as np

from nano.cost.count import Cost


@runtime_checkable
class Measured(Protocol):
    """What a device was asked for."""

    def values(self) -> dict[str, float]:
        """Latency, energy ... by name, as far as measured."""


@runtime_checkable
class Scored(Protocol):
    """What has a score and a cost: evaluations, confirmations, findings."""

    @property
    def netscore(self) -> float | None:
        """In decibels."""

    @property
    def cost(self) -> Cost:
        """What was counted."""

    @property
    def measurements(self) -> Sequence[Measured]:
        """What was measured on a device, the latest last."""


Some = TypeVar("Some", bound=Scored)


def costs(one: Scored, names: Sequence[str]) -> tuple[float, ...]:
    """The costs that are traded off, by the order of their names; not measured is infinite."""
    measured = one.measurements[-1].values() if one.measurements else {}
    values = {**one.cost.values(), **measured}
    return tuple(float(values.get(name, math.inf)) for name in names)


def score(one: Scored) -> float:
    """-inf without one."""
    return -math.inf if one.netscore is None else one.netscore


def front(some: Sequence[Some], names: Sequence[str]) -> list[Some]:
    """Those that no other beats in score without costing more in something; dearest first."""
    points = np.array([(-score(one), *costs(one, names)) for one in some], np.float64)
    points = points.reshape(len(some), 1 + len(names))
    kept = []
    for row, one in enumerate(some):
        no_worse = (points <= points[row]).all(axis=1)
        better = (points < points[row]).any(axis=1)
        if not (no_worse & better).any():
            kept.append(one)
    return sorted(kept, key=lambda one: [-cost for cost in costs(one, names)])
