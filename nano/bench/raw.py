"""What the runner brought home as a measurement: milliseconds, joules, signs of throttling."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import ClassVar

from nano.bench.board import Board
from nano.bench.exports import Times, parse_times
from nano.bench.nvpmodel import Mode
from nano.bench.power import Energy, energy, gpu_clock, hottest, module_total, total_mw
from nano.bench.remote import one_line
from nano.bench.tegrastats import Sample, parse_line
from nano.bench.timing import spread
from nano.bench.trtexec import Trtexec, parse_trtexec
from nano.errors import InputError
from nano.records import Measurement

COMPUTE = "gpu_compute"  # what every version tells, with transfers or without
BEGINS = "Starting inference"  # printed before the warm-up
UNSTEADY = 0.02  # between repeats: above, one of them was disturbed
STAMP_S = 0.1  # a busy processor may stamp the line it begins with that late


@dataclass(frozen=True, kw_only=True)
class RawRepeat:
    """One process of trtexec: its lines with their times, and every query's milliseconds."""

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    lines: tuple[tuple[float, str], ...]
    times: tuple[dict[str, float], ...]


@dataclass(frozen=True, kw_only=True)
class Raw:
    """The runner's result.json; all times are seconds of the device's monotonic clock.

    Attributes:
        mode: The power mode while measuring.
        unpinned: Why clocks could not be pinned; None where they were.
        idle: Begin and end.
        repeats: In order.
        rails: Names of the rails read directly; empty where that is not allowed.
        milliwatts: Time, then one value per rail.
        tegrastats: Time and line.
        alarms: Counters of throttling ``before`` and ``after``.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    mode: str | None
    unpinned: str | None
    idle: tuple[float, float]
    repeats: tuple[RawRepeat, ...]
    rails: tuple[str, ...]
    milliwatts: tuple[tuple[float, ...], ...]
    tegrastats: tuple[tuple[float, str], ...]
    alarms: dict[str, dict[str, int]]


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What was asked for. ``no_rails`` is what to tell where the device gives no power."""

    key: str
    size: tuple[int, int]
    precision: str
    mode: Mode | None
    warmup_s: float
    no_rails: str


@dataclass(frozen=True, kw_only=True)
class JetsonResult:
    """A measurement, and what it was taken from.

    Attributes:
        measurement: Of the repeat whose median is in the middle.
        energy: Over the timed window of that repeat.
        rails: Which add up to the module's power.
    """

    measurement: Measurement
    energy: Energy | None
    rails: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class _Series:
    """The module's power over time."""

    seconds: list[float]
    watts: list[float]
    rails: tuple[str, ...]


def result_of(
    raw: Raw, board: Board, asked: Asked, notes: Sequence[str], others: Sequence[str] = ()
) -> JetsonResult:
    """The measurement behind what the runner read.

    Args:
        raw: What it read.
        board: Where.
        asked: For what.
        notes: To be told with it.
        others: Who else measured there meanwhile: then it was not quiet.

    Raises:
        InputError: No query was timed, fewer are there than were, or the log is not whole.
    """
    where = f"{board.name}: trtexec"
    runs = [_run(repeat, where) for repeat in raw.repeats]
    timed = [_times(repeat, run, where) for repeat, run in zip(raw.repeats, runs, strict=True)]
    medians = [_ms(times.spreads[COMPUTE].median_ms) for times in timed]
    middle = sorted(range(len(medians)), key=medians.__getitem__)[(len(medians) - 1) // 2]
    times, run = timed[middle], runs[middle]
    window = _window(raw.repeats[middle], run, asked.warmup_s)
    samples = [(at, parse_line(line)) for at, line in raw.tegrastats]
    lines = [(at, sample) for at, sample in samples if sample is not None]
    found, series, why = _energy(raw, lines, window, asked.no_rails)
    within = window if isinstance(window, tuple) else (float("-inf"), float("inf"))
    told = [*notes, *_lessened(raw, lines, within, asked.mode)]
    of_queries, queries = times.spreads[COMPUTE], times.queries
    return JetsonResult(
        measurement=Measurement(
            key=asked.key,
            device=board.name,
            precision=asked.precision,
            size=asked.size,
            p50_ms=_ms(of_queries.median_ms),
            p90_ms=of_queries.percentiles_ms["90"],
            p99_ms=of_queries.percentiles_ms["99"],
            fps=run.throughput_qps or 1000 / _ms(of_queries.mean_ms),
            when=datetime.now(UTC).isoformat(timespec="seconds"),
            power_mode=raw.mode,
            watts=found.mean_w if found else None,
            joules=found.joules / queries if found else None,
            joules_above_idle=_above(found, queries),
            queries=queries,
            notes=(*told, *([f"energy not measured: {why}"] if why else [])),
            versions=board.versions(),
            medians_ms=tuple(medians),
            spread={"p50": round(spread(medians), 5)},
            energy=_source(found, series.rails) if found and series else None,
            disturbed=(*others, *_disagree(medians)),
        ),
        energy=found,
        rails=series.rails if series else (),
    )


def _times(repeat: RawRepeat, run: Trtexec, where: str) -> Times:
    """Of the timed queries: TensorRT 7 to 8.4 export those of the warm-up before them."""
    if not run.queries:
        raise InputError(f"{where}: timed no query")
    if len(repeat.times) < run.queries:
        told = f"has {len(repeat.times)} of the {run.queries} queries that were timed"
        raise InputError(f"{where}: --exportTimes {told}")
    times = parse_times(repeat.times[-run.queries :], f"{where} --exportTimes")
    if COMPUTE not in times.spreads:
        raise InputError(f"{where}: --exportTimes has no computeMs")
    return times


def _run(repeat: RawRepeat, where: str) -> Trtexec:
    runs = parse_trtexec([text for _, text in repeat.lines])
    if not runs or not runs[-1].passed:
        raise InputError(f"{where}: its log has no PASSED at its end")
    return runs[-1]


def _ms(value: float | None) -> float:
    assert value is not None  # our own spreads tell all
    return value


def _above(found: Energy | None, queries: int) -> float | None:
    if found is None or found.joules_above_idle is None:
        return None
    return found.joules_above_idle / queries


def _window(repeat: RawRepeat, run: Trtexec, warmup_s: float) -> tuple[float, float] | str:
    """When queries were timed: after the warm-up, for as long as trtexec says; or why not known."""
    begins = [at for at, text in repeat.lines if BEGINS in text]
    if not begins or run.wall_s is None:
        return "trtexec does not tell when it began"
    begin = begins[-1] + warmup_s
    end = begin + run.wall_s
    if repeat.lines[-1][0] < end - STAMP_S:
        return "trtexec's lines came late (buffered), so when it began is not known"
    return begin, end


def _energy(
    raw: Raw,
    lines: Sequence[tuple[float, Sample]],
    window: tuple[float, float] | str,
    no_rails: str,
) -> tuple[Energy | None, _Series | None, str | None]:
    """The energy, from which samples; or why there is none."""
    series = _direct(raw) or _by_tegrastats(lines)
    if series is None:
        return None, None, no_rails
    if isinstance(window, str):
        return None, series, window
    begin, end = raw.idle  # seconds from here on count from its begin, for people
    idle, timed = (0.0, end - begin), (window[0] - begin, window[1] - begin)
    try:
        seconds = [at - begin for at in series.seconds]
        found = energy(seconds, series.watts, window=timed, idle=idle)
    except InputError as refused:
        return None, series, str(refused)
    return found, series, None


def _direct(raw: Raw) -> _Series | None:
    rule = module_total(raw.rails)
    if rule is None or not raw.milliwatts:
        return None
    places = [raw.rails.index(rail) + 1 for rail in rule.rails]
    return _Series(
        seconds=[row[0] for row in raw.milliwatts],
        watts=[sum(row[place] for place in places) / 1000 for row in raw.milliwatts],
        rails=rule.rails,
    )


def _by_tegrastats(lines: Sequence[tuple[float, Sample]]) -> _Series | None:
    rule = module_total({rail for _, sample in lines for rail in sample.rails})
    if rule is None:
        return None
    totals = [(at, total_mw(sample, rule)) for at, sample in lines]
    both = [(at, total / 1000) for at, total in totals if total is not None]
    return _Series(
        seconds=[at for at, _ in both], watts=[watt for _, watt in both], rails=rule.rails
    )


def _source(found: Energy, rails: Sequence[str]) -> str:
    """What measured the energy."""
    idle = "" if found.idle_w is None else f", {found.idle_w:.3f} W idle"
    return f"{' + '.join(rails)}: {found.samples} samples{idle}"


def _disagree(medians: Sequence[float]) -> list[str]:
    if spread(medians) <= UNSTEADY:
        return []
    told = ", ".join(f"{median:.4g}" for median in medians)
    return [f"medians of the repeats differ: {told} ms"]


def _lessened(
    raw: Raw,
    lines: Sequence[tuple[float, Sample]],
    window: tuple[float, float],
    mode: Mode | None,
) -> list[str]:
    """Whatever made the figures less than the network's own."""
    notes = []
    if raw.unpinned is not None:
        notes.append(f"clocks not pinned: {one_line(raw.unpinned)}")
    if mode is not None and raw.mode != mode.name:
        notes.append(f"power mode {raw.mode} at the end, {mode.name} was asked for")
    timed = [sample for at, sample in lines if window[0] <= at <= window[1]]
    clock = gpu_clock(timed, mode.gpu_mhz if mode else None)
    if clock is not None and clock.slowed:
        heat = hottest(timed)
        degrees = f", {heat[0]} at {heat[1]:g} C" if heat else ""
        notes.append(
            f"throttled: the busy GPU ran below {clock.highest_mhz} MHz in {clock.slowed} of "
            f"{clock.busy} samples{degrees}"
        )
    return notes + _alarms(raw.alarms.get("before", {}), raw.alarms.get("after", {}))


def _alarms(before: dict[str, int], after: dict[str, int]) -> list[str]:
    """Counters and states that rose, and alarms that stand."""
    risen = [path for path, value in after.items() if value > before.get(path, 0)]
    standing = [path for path, value in after.items() if value and path.endswith("_alarm")]
    return [f"throttled: {path} rose" for path in risen if path not in standing] + [
        f"throttled: over-current, {path}" for path in standing
    ]
