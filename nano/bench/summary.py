"""What a whole log of tegrastats says: power, energy, clocks, heat and memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from nano.bench.power import (
    FEWEST_SAMPLES,
    Energy,
    GpuClock,
    ModuleTotal,
    Power,
    Timeline,
    energy,
    gpu_clock,
    hottest,
    module_total,
    power,
    timeline,
    total_mw,
)
from nano.bench.tegrastats import Sample, parse_lines
from nano.errors import InputError

MOST_UNREAD = 10  # unknown words that are told


@dataclass(frozen=True, kw_only=True)
class TegrastatsLog:
    """The whole of a log. What its lines do not tell is None, or absent, and never zero.

    Attributes:
        samples: Lines that hold a sample.
        other_lines: Lines that hold none, blank ones apart.
        seconds: From first to last sample; None without timestamps and interval.
        holes: Times that the device's clock jumped, or the device slept; they have no length.
        rails: Watts by rail.
        module: Whose rails these are; None when they are no known set.
        total_of: The rails that add up to the module's power.
        total: Their sum, over the samples that tell all of them.
        energy: Of the module over the log, or over what follows the idle seconds; None with fewer
            than 20 samples or without times.
        gpu_load: Mean percent.
        gpu_clock: Whether the GPU was held back.
        hottest_zone: Where it was hottest ...
        hottest_c: ... and how hot, in Celsius.
        ram_peak_mb: Most memory in use.
        unread: Words that fit no known field, the first ten.
    """

    samples: int
    other_lines: int
    seconds: float | None
    holes: int
    rails: dict[str, Power]
    module: str | None
    total_of: tuple[str, ...]
    total: Power | None
    energy: Energy | None
    gpu_load: float | None
    gpu_clock: GpuClock | None
    hottest_zone: str | None
    hottest_c: float | None
    ram_peak_mb: float | None
    unread: tuple[str, ...]


def summarise(
    lines: Sequence[str],
    where: str,
    *,
    interval_ms: float | None = None,
    idle_s: float | None = None,
) -> TegrastatsLog:
    """Read all lines and sum them up.

    Args:
        lines: Of the log.
        where: The file, for the message.
        interval_ms: Of the tegrastats that wrote them, where they have no timestamps.
        idle_s: The first seconds are idle; their mean power is taken off the energy of the rest.

    Raises:
        InputError: An energy above idle is asked for, and the log cannot give it.
    """
    samples, other_lines = parse_lines(lines)
    times = timeline(samples, interval_ms)
    rails = {
        name: power([sample.rails[name].now for sample in samples if name in sample.rails])
        for name in dict.fromkeys(name for sample in samples for name in sample.rails)
    }
    rule = module_total(rails)
    totals = _totals(samples, rule)
    told = [total for total in totals if total is not None]
    loads = [s.gpu.load for s in samples if s.gpu is not None and s.gpu.load is not None]
    ram = [sample.memory_mb["RAM"][0] for sample in samples if "RAM" in sample.memory_mb]
    heat = hottest(samples)
    unread = dict.fromkeys(word for sample in samples for word in sample.unread)
    return TegrastatsLog(
        samples=len(samples),
        other_lines=other_lines,
        seconds=times.length,
        holes=times.holes,
        rails=rails,
        module=rule.module if rule else None,
        total_of=rule.rails if rule else (),
        total=power(told) if told else None,
        energy=_energy(times, totals, idle_s, where),
        gpu_load=fmean(loads) if loads else None,
        gpu_clock=gpu_clock(samples),
        hottest_zone=heat[0] if heat else None,
        hottest_c=heat[1] if heat else None,
        ram_peak_mb=max(ram, default=None),
        unread=tuple(unread)[:MOST_UNREAD],
    )


def _totals(samples: Sequence[Sample], rule: ModuleTotal | None) -> list[int | None]:
    return [None if rule is None else total_mw(sample, rule) for sample in samples]


def _energy(
    times: Timeline, totals: Sequence[int | None], idle_s: float | None, where: str
) -> Energy | None:
    both = [
        (at, total / 1000)
        for at, total in zip(times.seconds, totals, strict=True)
        if at is not None and total is not None
    ]
    seconds, watts = [at for at, _ in both], [watt for _, watt in both]
    if idle_s is None:
        enough = len(both) >= FEWEST_SAMPLES and seconds[0] < seconds[-1]
        return energy(seconds, watts) if enough else None
    if not both:
        raise InputError(
            f"{where}: --idle needs the module's power and its times, which this log does not both "
            "tell; --interval MS gives times to a log without timestamps"
        )
    first = seconds[0]
    if not idle_s < seconds[-1] - first:
        raise InputError(
            f"{where}: --idle {idle_s:g}: the log is {seconds[-1] - first:.4g} s long, so nothing"
            " is left to measure after that"
        )
    busy, idle = (first + idle_s, seconds[-1]), (first, first + idle_s)
    try:
        return energy(seconds, watts, window=busy, idle=idle)
    except InputError as refused:
        raise InputError(f"{where}: {refused}") from refused
