"""Latency from times: warm until steady, then percentiles, drift, and whether to believe them.

Nothing here knows what is timed. What a network is run by: `nano.bench.runtimes`; fresh processes:
`nano.bench.host`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import fmean, median
from typing import ClassVar

import numpy as np

AGREE = 0.03  # two runs on a quiet machine agree within this share
STEADY = 0.02  # so near to each other are the medians of the last windows when it is warm
WINDOWS = 3  # of which the medians must agree
HELD_UP = 0.02  # share of its time that the measuring thread had no core
OTHERS = 0.10  # share of all cores' time that others used
FEWEST_FOR_P99 = 100  # with fewer runs the 99th percentile is the slowest


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How long to warm up and to measure.

    Attributes:
        window_s: Length of a window whose median is taken while warming up.
        warm_s: Warming up takes at least so long ...
        most_warm_s: ... and at most so long; what is not steady then is told as such.
        seconds: Measuring takes at least so long ...
        runs: ... and at least so many runs ...
        most_seconds: ... but ends after so long, however few the runs.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    window_s: float = 0.1
    warm_s: float = 0.5
    most_warm_s: float = 15.0
    seconds: float = 5.0
    runs: int = 100
    most_seconds: float = 60.0


@dataclass(frozen=True, kw_only=True)
class Times:
    """What one process saw.

    Attributes:
        ms: Of every timed run, in order.
        seconds: From the first run's beginning to the last one's end.
    """

    ms: tuple[float, ...]
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Repeat:
    """One process's latency, and what may have disturbed it.

    Attributes:
        p50_ms: Median; p90_ms and p99_ms likewise, by linear interpolation.
        mean_ms: Mean: what throughput follows from.
        runs: That were timed.
        seconds: They took.
        drift: Median of the last third over that of the first, less 1.
        steady: Whether the warm-up ended steady.
        held_up: Share of its time that the measuring thread had no core; None where not told.
        others: Share of all cores' time that others used; None where not told.
        joules: Used meanwhile; None where not measured.
        energy: What measured them, or why nothing did.
        versions: Of the packages that ran it.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    p50_ms: float
    p90_ms: float
    p99_ms: float
    mean_ms: float
    runs: int
    seconds: float
    drift: float
    steady: bool
    held_up: float | None = None
    others: float | None = None
    joules: float | None = None
    energy: str = "not measured"
    versions: dict[str, str] = field(default_factory=dict)


def time_runs(infer: Callable[[], object], plan: Plan, clock: Callable[[], float]) -> Times:
    """Run until the plan is met; every run is timed by itself.

    Args:
        infer: One inference; returns when its result is there.
        plan: How long.
        clock: Seconds, never going back.
    """
    ms: list[float] = []
    began = now = clock()
    while now - began < plan.most_seconds and (
        now - began < plan.seconds or len(ms) < plan.runs or not ms
    ):
        before = now
        infer()
        now = clock()
        ms.append(1000 * (now - before))
    return Times(ms=tuple(ms), seconds=now - began)


def warm_up(infer: Callable[[], object], plan: Plan, clock: Callable[[], float]) -> bool:
    """Run until the medians of the last windows agree; whether they did in time."""
    medians: list[float] = []
    began = clock()
    while True:
        window = [clock()]
        while len(window) < 2 or window[-1] - window[0] < plan.window_s:
            infer()
            window.append(clock())
        medians.append(float(np.median(np.diff(window))))
        spent = window[-1] - began
        if spent >= plan.warm_s and is_steady(medians):
            return True
        if spent >= plan.most_warm_s:
            return False


def is_steady(medians: Sequence[float]) -> bool:
    """Whether the last windows agree."""
    return len(medians) >= WINDOWS and spread(medians[-WINDOWS:]) <= STEADY


def spread(values: Sequence[float]) -> float:
    """Largest less smallest, as a share of the median; 0 of a single value."""
    return (max(values) - min(values)) / median(values)


def drift(ms: Sequence[float]) -> float:
    """Median of the last third over that of the first, less 1; 0 of fewer than three runs."""
    third = len(ms) // 3
    return median(ms[-third:]) / median(ms[:third]) - 1 if third else 0.0


def percentile(ms: Sequence[float], percent: float) -> float:
    """By linear interpolation between runs."""
    return float(np.percentile(ms, percent))


def repeat_of(
    times: Times,
    *,
    steady: bool,
    held_up: float | None = None,
    others: float | None = None,
    joules: float | None = None,
    energy: str = "not measured",
    versions: dict[str, str] | None = None,
) -> Repeat:
    """The times of one process, summed up."""
    return Repeat(
        p50_ms=percentile(times.ms, 50),
        p90_ms=percentile(times.ms, 90),
        p99_ms=percentile(times.ms, 99),
        mean_ms=fmean(times.ms),
        runs=len(times.ms),
        seconds=times.seconds,
        drift=drift(times.ms),
        steady=steady,
        held_up=held_up,
        others=others,
        joules=joules,
        energy=energy,
        versions=versions or {},
    )


def disturbances(repeats: Sequence[Repeat]) -> tuple[str, ...]:
    """Why these times are not those of a quiet machine; empty when they are."""
    found = []
    medians = [one.p50_ms for one in repeats]
    if spread(medians) > AGREE:
        found.append(
            f"fresh processes disagree by {spread(medians):.1%} (quiet: {AGREE:.0%} at most)"
        )
    unsteady = sum(not one.steady for one in repeats)
    if unsteady:
        found.append(f"{unsteady} of {len(repeats)} processes did not become steady")
    worst = max((one.drift for one in repeats), key=abs)
    if abs(worst) > AGREE:
        found.append(f"latency drifted by {worst:+.1%} within a process")
    held_up = max((one.held_up or 0.0 for one in repeats), default=0.0)
    if held_up > HELD_UP:
        found.append(f"the measuring thread had no core for {held_up:.1%} of its time")
    others = max((one.others or 0.0 for one in repeats), default=0.0)
    if others > OTHERS:
        found.append(f"other processes used {others:.0%} of all cores")
    return tuple(found)
