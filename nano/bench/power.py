"""Watts and joules from samples of power rails; signs of throttling.

Rails are those of the module: the carrier board's loss, network and USB power do not show on them,
so a meter at the wall reads more.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import groupby
from statistics import fmean, median_low

import numpy as np

from nano.bench.tegrastats import GPU, Sample
from nano.errors import InputError

FEWEST_IDLE = 5  # for the power of being idle
FEWEST_SAMPLES = 20  # for an energy: fewer and one line's noise decides
BUSY_PERCENT = 95  # load from which a GPU that could clock higher would
SLOWED = 0.95  # of the highest clock: below it a busy GPU is held back
HOLE = 10.0  # a step of so many usual ones is no step: sleep, or a clock that was set
PLAIN_HOLE_S = 10.0  # and at least this long
CONSTANT_ZONES = {"PMIC"}  # prints 50 or 100 whatever happens


@dataclass(frozen=True, kw_only=True)
class ModuleTotal:
    """Which rails add up to a module's power."""

    module: str
    rails: tuple[str, ...]


# Where an input rail is measured it is the total and the others are parts of it; else those that
# hang under no other are added. AGX Orin's VDDQ_VDD2_1V8AO hangs under VIN_SYS_5V0; Thor's VIN is
# the input of the whole board, carrier included, and stays a rail beside the module's total.
TOTALS = (
    ModuleTotal(module="TX1, TX2, Xavier NX, Orin NX or Orin Nano", rails=("VDD_IN",)),
    ModuleTotal(module="Nano", rails=("POM_5V_IN",)),
    ModuleTotal(module="AGX Xavier", rails=("GPU", "CPU", "SOC", "CV", "VDDRQ", "SYS5V")),
    ModuleTotal(module="AGX Orin", rails=("VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0")),
    ModuleTotal(module="AGX Thor", rails=("VDD_GPU", "VDD_CPU_SOC_MSS", "VIN_SYS_5V0")),
)


@dataclass(frozen=True, kw_only=True)
class Power:
    """Watts of one rail, or of the total, over the samples that tell it."""

    mean_w: float
    peak_w: float
    samples: int


@dataclass(frozen=True, kw_only=True)
class Energy:
    """Joules within a window of time, by trapezoids that are interpolated at both ends.

    Attributes:
        joules: All of it.
        seconds: Length of the window.
        mean_w: joules / seconds.
        samples: Within the window.
        variation: Standard deviation of those samples over their mean.
        idle_w: Mean power of the idle window, where one was given.
        joules_above_idle: joules - idle_w * seconds.
    """

    joules: float
    seconds: float
    mean_w: float
    samples: int
    variation: float
    idle_w: float | None = None
    joules_above_idle: float | None = None


@dataclass(frozen=True, kw_only=True)
class GpuClock:
    """Whether a busy GPU ran slower than it could.

    Attributes:
        highest_mhz: The cap: the one given, else the highest clock of the log.
        busy: Samples at 95 % load or more that tell the clock.
        slowed: Those of them below 95 % of the highest: heat, current or the governor.
    """

    highest_mhz: int
    busy: int
    slowed: int


def module_total(rails: Iterable[str]) -> ModuleTotal | None:
    """The one rule that fits a log's rails; None without any, or for rails of several modules."""
    known = set(rails)
    found = [rule for rule in TOTALS if known.issuperset(rule.rails)]
    return found[0] if len(found) == 1 else None


def total_mw(sample: Sample, rule: ModuleTotal) -> int | None:
    """The module's power; None when the line lacks one of the rails: it was cut."""
    if not sample.rails.keys() >= set(rule.rails):
        return None
    return sum(sample.rails[rail].now for rail in rule.rails)


def power(milliwatts: Sequence[int]) -> Power:
    """Mean and peak of at least one value."""
    return Power(
        mean_w=fmean(milliwatts) / 1000,
        peak_w=max(milliwatts) / 1000,
        samples=len(milliwatts),
    )


def energy(
    seconds: Sequence[float],
    watts: Sequence[float],
    *,
    window: tuple[float, float] | None = None,
    idle: tuple[float, float] | None = None,
) -> Energy:
    """The energy within ``window``, and above that of being idle.

    Args:
        seconds: When each sample was taken; never decreasing.
        watts: One per sample.
        window: Its begin and end on the same clock; default: first to last sample.
        idle: Likewise a time when the device had nothing to do.

    Raises:
        InputError: Samples do not reach over a window, or too few are within it: 20, and 5 of being
            idle.
    """
    begin, end = window or (min(seconds, default=0.0), max(seconds, default=0.0))
    within = [watt for at, watt in zip(seconds, watts, strict=True) if begin <= at <= end]
    if len(within) < FEWEST_SAMPLES:
        raise InputError(
            f"{len(within)} samples of power within {end - begin:.3g} s; an energy needs "
            f"{FEWEST_SAMPLES}: run for longer, or sample more often (tegrastats --interval)"
        )
    joules = _joules(seconds, watts, (begin, end))
    mean = fmean(within)
    idle_w = None if idle is None else _idle_watts(seconds, watts, idle)
    return Energy(
        joules=joules,
        seconds=end - begin,
        mean_w=joules / (end - begin),
        samples=len(within),
        variation=float(np.std(within)) / mean if mean else 0.0,
        idle_w=idle_w,
        joules_above_idle=None if idle_w is None else joules - idle_w * (end - begin),
    )


def _idle_watts(
    seconds: Sequence[float], watts: Sequence[float], window: tuple[float, float]
) -> float:
    length = window[1] - window[0]
    count = sum(window[0] <= at <= window[1] for at in seconds)
    if count < FEWEST_IDLE:
        raise InputError(
            f"{count} samples within {length:.3g} s of being idle; its power needs {FEWEST_IDLE}"
        )
    return _joules(seconds, watts, window) / length


def _joules(seconds: Sequence[float], watts: Sequence[float], window: tuple[float, float]) -> float:
    begin, end = window
    if not seconds[0] <= begin < end <= seconds[-1]:
        raise InputError(
            f"power was sampled from {seconds[0]:.3g} to {seconds[-1]:.3g} s, which does not hold "
            f"the window from {begin:.3g} to {end:.3g} s"
        )
    inside = [at for at in seconds if begin < at < end]
    # np.interp takes one value of several at one time, so a sample is found by its own place.
    values = [watt for at, watt in zip(seconds, watts, strict=True) if begin < at < end]
    edges = np.interp([begin, end], seconds, watts)
    return float(np.trapezoid([edges[0], *values, edges[1]], [begin, *inside, end]))


@dataclass(frozen=True, kw_only=True)
class Timeline:
    """When the samples of a log were taken.

    Attributes:
        seconds: Since the first sample with a time; None for those without. Never decreasing:
            holes have no length.
        holes: Steps of the device's clock that no sampling explains, back or far ahead.
    """

    seconds: tuple[float | None, ...]
    holes: int = 0

    @property
    def length(self) -> float | None:
        """Seconds from first to last sample; None with fewer than two times."""
        known = [at for at in self.seconds if at is not None]
        return known[-1] - known[0] if len(known) > 1 else None


def timeline(samples: Sequence[Sample], interval_ms: float | None = None) -> Timeline:
    """Times by the log's own timestamps; by the interval of its tegrastats where it has none.

    Stamps are whole seconds. Several samples with one stamp are spread evenly over its second; the
    log's first and last seconds are covered in part, so there samples lie one step apart: the
    interval where it is told, else what the whole seconds show.
    """
    stamps = [sample.stamp for sample in samples]
    if not any(stamps):
        if interval_ms is None:
            return Timeline(seconds=(None,) * len(samples))
        return Timeline(seconds=tuple(n * interval_ms / 1000 for n in range(len(samples))))
    places = [place for place, stamp in enumerate(stamps) if stamp]
    known = [stamp for stamp in stamps if stamp]
    raw = [(stamp - known[0]) / timedelta(seconds=1) for stamp in known]
    steps = np.diff(_spread(raw, interval_ms))
    usual = median_low(steps) if len(steps) > 1 else 0.0
    hole = (steps < 0) | (steps > max(HOLE * usual, PLAIN_HOLE_S))
    at = np.concatenate([[0.0], np.cumsum(np.where(hole, 0.0, steps))])
    seconds: list[float | None] = [None] * len(samples)
    for place, second in zip(places, at, strict=True):
        seconds[place] = float(second)
    return Timeline(seconds=tuple(seconds), holes=int(hole.sum()))


def _spread(raw: Sequence[float], interval_ms: float | None) -> list[float]:
    counted = [(at, len(list(alike))) for at, alike in groupby(raw)]
    inner = [count for _, count in counted[1:-1]]
    step = interval_ms / 1000 if interval_ms else 1 / max(1, median_low(inner or [0]))
    step = min(step, 1 / max(count for _, count in counted))
    found = [at + place / count for at, count in counted[1:-1] for place in range(count)]
    (first, opening), (last, closing) = counted[0], counted[-1]
    follows = len(counted) > 1 and counted[1][0] == first + 1
    begin = first + 1 - opening * step if follows else first
    found = [begin + place * step for place in range(opening)] + found
    return found + [last + place * step for place in range(closing)] * (len(counted) > 1)


def gpu_clock(samples: Sequence[Sample], cap_mhz: int | None = None) -> GpuClock | None:
    """The sign of throttling that a log can show; None where no sample tells the GPU's clock."""
    told = [
        (engine.load, max(engine.mhz))
        for engine in (sample.engines.get(GPU) for sample in samples)
        if engine is not None and engine.mhz
    ]
    if not told:
        return None
    highest = cap_mhz or max(clock for _, clock in told)
    busy = [clock for load, clock in told if load is not None and load >= BUSY_PERCENT]
    slowed = sum(clock < SLOWED * highest for clock in busy)
    return GpuClock(highest_mhz=highest, busy=len(busy), slowed=slowed)


def hottest(samples: Sequence[Sample]) -> tuple[str, float] | None:
    """The zone that got hottest and its temperature in Celsius; None where none is told."""
    told = [
        (degrees, zone)
        for sample in samples
        for zone, degrees in sample.celsius.items()
        if zone not in CONSTANT_ZONES
    ]
    if not told:
        return None
    degrees, zone = max(told)
    return zone, degrees
