"""Readings of logs as text for a terminal; what a log does not tell is "not measured"."""

from __future__ import annotations

from collections.abc import Mapping

from nano.bench.exports import Profile, Times
from nano.bench.logs import Reading, Releases, TrtexecLog
from nano.bench.nvpmodel import PowerMode
from nano.bench.power import Energy, GpuClock
from nano.bench.raw import JetsonResult
from nano.bench.release import Release
from nano.bench.summary import TegrastatsLog
from nano.bench.trtexec import Spread, Trtexec
from nano.columns import aligned
from nano.records import Measurement

NOT_MEASURED = "not measured"
NOT_TOLD = "not told"  # what is no quantity: a name, a verdict
MOST_LAYERS = 10  # the slowest of a profile
MOST_ERRORS = 5


def as_text(name: str, reading: Reading) -> str:
    """All that a person asks of the log, in some lines."""
    match reading:
        case TegrastatsLog():
            lines = _tegrastats(reading)
        case TrtexecLog():
            lines = [line for run in reading.runs for line in _trtexec(run)]
        case Times():
            lines = [_line("queries", reading.queries), *_spreads(reading.spreads)]
        case Profile():
            lines = _profile(reading)
        case PowerMode():
            lines = _power_mode(reading)
        case Releases():
            lines = [line for release in reading.releases for line in _release(release)]
    return "\n".join(_printable(line) for line in [_line("log of", name), *lines])


def measured(result: JetsonResult) -> str:
    """A measurement as text."""
    one = result.measurement
    height, width = one.size
    medians = ", ".join(f"{median:.4g}" for median in one.medians_ms)
    lines = [
        _line("device", one.device),
        _line("versions", _joined(one.versions)),
        _line("power mode", one.power_mode or NOT_TOLD),
        _line("network", f"{one.key}, {one.precision}, {height}x{width}, one image at a time"),
        _line("latency", f"{one.p50_ms:.4g} ms (p90 {one.p90_ms:.4g}, p99 {one.p99_ms:.4g})"),
        _line("timed", f"{one.queries} queries; medians of all repeats {medians} ms"),
        _line("throughput", f"{one.fps:.4g} images/s"),
        *_energy_per_image(result),
        *_remarks(one),
    ]
    return "\n".join(_printable(line) for line in lines)


def measured_here(one: Measurement) -> str:
    """A measurement on this machine as text."""
    height, width = one.size
    rows = [
        ("percentile", "ms", "spread"),
        *(
            (name, f"{value:.4g}", f"{one.spread[name]:.1%}")
            for name, value in (("p50", one.p50_ms), ("p90", one.p90_ms), ("p99", one.p99_ms))
        ),
    ]
    images = "one image" if one.batch == 1 else f"{one.batch} images"
    medians = ", ".join(f"{median:.4g}" for median in one.medians_ms)
    lines = [
        _line("device", one.device),
        _line("runtime", f"{one.runtime}, {one.precision}, {one.threads} CPU threads"),
        _line("network", f"{one.key}, {height}x{width}, {images} at a time"),
        *aligned(rows, left=1),
        _line("timed", f"{one.queries} runs in fresh processes, medians {medians} ms"),
        _line("throughput", f"{one.fps:.4g} images/s"),
    ]
    if one.joules is not None:
        lines.append(_line("energy", f"{one.joules:.4g} J per image, {one.watts:.4g} W"))
        lines.append(_line("measured by", one.energy))
    lines += _remarks(one)
    return "\n".join(_printable(line) for line in lines)


def _remarks(one: Measurement) -> list[str]:
    lines = [_line("note", note) for note in one.notes]
    lines += [_line("NOT QUIET", why) for why in one.disturbed]
    if one.disturbed:
        lines.append("This is not the latency of a quiet machine: measure again when it is.")
    return lines


def _energy_per_image(result: JetsonResult) -> list[str]:
    one, energy = result.measurement, result.energy
    if energy is None:
        return [_line("energy", None)]
    above, idle = one.joules_above_idle, energy.idle_w
    return [
        _line("power", f"{energy.mean_w:.3f} W of {' + '.join(result.rails)}"),
        _line("energy", f"{one.joules:.4g} J per image, {energy.samples} samples"),
        _line("above idle", f"{above:.4g} J per image ({idle:.3f} W idle)"),
    ]


def _printable(line: str) -> str:
    """The line without what a damaged log could do to a terminal."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in line)


def _line(label: str, value: object, unit: str = "") -> str:
    return f"{label:<12}{_told(value, unit)}"


def _told(value: object, unit: str = "") -> str:
    if value is None:
        return NOT_MEASURED
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    return f"{text} {unit}".rstrip()


def _tegrastats(log: TegrastatsLog) -> list[str]:
    others = f", {log.other_lines} other lines" if log.other_lines else ""
    heat = None if log.hottest_c is None else f"{log.hottest_c:g} C in zone {log.hottest_zone}"
    load = None if log.gpu_load is None else f"{log.gpu_load:.1f} % on average"
    return [
        _line("samples", f"{log.samples}{others}"),
        _line("duration", _duration(log)),
        *_rails(log),
        *_energy(log.energy),
        _line("GPU load", load),
        _line("GPU clock", _clock(log.gpu_clock)),
        _line("hottest", heat),
        _line("RAM", log.ram_peak_mb, "MB at most"),
        *([_line("unknown", " ".join(log.unread))] if log.unread else []),
    ]


def _duration(log: TegrastatsLog) -> str:
    if log.seconds is None:
        return f"{NOT_MEASURED}: no timestamps; --interval MS tells tegrastats' own"
    holes = f" (jumps of the device's clock left out: {log.holes})" if log.holes else ""
    return f"{log.seconds:g} s{holes}"


def _rails(log: TegrastatsLog) -> list[str]:
    if not log.rails:
        return [_line("power", f"{NOT_MEASURED}: the log has no rails (some releases need root)")]
    powers = log.rails | ({"total": log.total} if log.total else {})
    numbers = [
        (name, f"{each.mean_w:.3f}", f"{each.peak_w:.3f}", str(each.samples))
        for name, each in powers.items()
    ]
    table = aligned([("rail", "mean W", "peak W", "samples"), *numbers], left=1)
    if log.total is None:
        reason = "no line tells all of its rails" if log.module else "no rule adds these rails up"
        return [*table, _line("total", f"{NOT_MEASURED}: {reason}")]
    return [*table, _line("total of", f"{' + '.join(log.total_of)} ({log.module})")]


def _energy(energy: Energy | None) -> list[str]:
    if energy is None:
        return [_line("energy", f"{NOT_MEASURED}: it needs 20 samples with times and a total")]
    told = f"{energy.joules:.6g} J in {energy.seconds:g} s, {energy.mean_w:.3f} W"
    lines = [_line("energy", f"{told}, varying by {energy.variation:.1%}")]
    if energy.idle_w is not None:
        above = f"{energy.joules_above_idle:.6g} J above {energy.idle_w:.3f} W"
        lines.append(_line("above idle", above))
    return lines


def _clock(clock: GpuClock | None) -> str | None:
    if clock is None:
        return None
    highest = f"up to {clock.highest_mhz} MHz"
    if not clock.busy:
        return f"{highest}; never busy, so throttling cannot be seen"
    if not clock.slowed:
        return f"{highest}; no sign of throttling in {clock.busy} busy samples"
    return f"{highest}; below 95 % of it in {clock.slowed} of {clock.busy} busy samples"


def _trtexec(run: Trtexec) -> list[str]:
    times = f", each counted as {run.implicit_batch} (--batch)" if run.implicit_batch else ""
    return [
        _line("TensorRT", run.version or f"version {NOT_TOLD} (7 prints none)"),
        _line("command", run.command or NOT_TOLD),
        _line("verdict", _verdict(run)),
        *[_line("error", error) for error in run.errors[:MOST_ERRORS]],
        _line("device", _joined(run.device)),
        _line("settings", _joined(run.settings)),
        _line("queries", run.queries),
        _line(
            "throughput",
            None if run.throughput_qps is None else f"{run.throughput_qps:g} queries/s{times}",
        ),
        *_spreads(run.spreads),
        *[_line("warning", warning) for warning in run.warnings],
    ]


def _joined(facts: Mapping[str, str]) -> str:
    return "; ".join(f"{name}: {value}" for name, value in facts.items()) or NOT_TOLD


def _verdict(run: Trtexec) -> str:
    if run.passed is None:
        return f"{NOT_TOLD}: the log ends before it"
    if run.passed:
        return "passed"
    return f"FAILED: {run.reason or 'the log has no error line'}"


def _spreads(spreads: Mapping[str, Spread]) -> list[str]:
    """One row per metric; columns for the percentiles that any of them has."""
    if not spreads:
        return [_line("latency", None)]
    percents = sorted({each for one in spreads.values() for each in one.percentiles_ms}, key=float)
    rows = [("ms", "min", "mean", "median", *(f"p{percent}" for percent in percents), "max")]
    for name, one in spreads.items():
        percentiles = [one.percentiles_ms.get(percent) for percent in percents]
        values = (one.min_ms, one.mean_ms, one.median_ms, *percentiles, one.max_ms)
        rows.append((name, *("-" if value is None else f"{value:.5g}" for value in values)))
    return aligned(rows, left=1)


def _profile(profile: Profile) -> list[str]:
    slowest = sorted(profile.layers, key=lambda layer: -layer.mean_ms)[:MOST_LAYERS]
    rows = [(f"{one.mean_ms:.5g} ms", f"{one.share:.1%}", one.name) for one in slowest]
    listed = sum(layer.share for layer in profile.layers)
    return [
        _line("queries", profile.queries),
        _line("layers", f"{len(profile.layers)}, {listed:.1%} of the time; the slowest:"),
        *aligned(rows, left=3),
    ]


def _power_mode(mode: PowerMode) -> list[str]:
    lines = [_line("power mode", mode.name or NOT_TOLD)]
    lines += [_line("number", NOT_TOLD if mode.id is None else mode.id)] if mode.name else []
    lines += [_line("fan", mode.fan)] if mode.fan else []
    if mode.needs_reboot is not None:
        end = ", which was declined: the mode has not changed" if mode.declined else ""
        lines.append(_line("refused", f"mode {mode.needs_reboot} needs a reboot{end}"))
    if mode.unreadable:
        lines.append(_line("root only", ", ".join(mode.unreadable)))
    for name, setting in mode.settings.items():
        lines.append(f"{name}: {setting.actual} (the mode asks for {setting.configured})")
    lines += [_line("warning", warning) for warning in mode.warnings]
    return lines + [_line("error", error) for error in mode.errors]


def _release(release: Release) -> list[str]:
    return [
        _line("L4T", release.l4t),
        _line("JetPack", release.jetpack or "not known here"),
        _line("board", release.board or NOT_TOLD),
        _line("built", release.date or NOT_TOLD),
    ]
