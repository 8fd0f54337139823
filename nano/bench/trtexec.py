"""What trtexec, TensorRT's own benchmark, prints: versions 7 to 10; 11 is said to be as 10.

TensorRT 7 prints a block of lines per metric, 8 and later one line per metric. Throughput counts
queries times the implicit batch (``--batch``), which networks from ONNX do not have.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

NUMBER = r"(\d{1,12}(?:\.\d{1,12})?(?:e[+-]?\d{1,2})?)"
MARK = re.compile(
    r"&&&& (RUNNING|PASSED|FAILED) TensorRT\.trtexec"
    r"(?: \[TensorRT v(\d{4,6})\])?(?: \[b\d+\])?(?: # (.*))?",
    re.ASCII,
)
STAMPED = re.compile(r"\[\d\d/\d\d/\d{4}-\d\d:\d\d:\d\d\] \[([IWEVF])\] ?(.*)", re.ASCII)
A_LINE = re.compile(f"{MARK.pattern}|{STAMPED.pattern}", re.ASCII)

METRICS = {  # as printed by TensorRT 8 and later, and by 7
    "Latency": "latency",
    "Host Latency": "latency",
    "End-to-End Host Latency": "end_to_end",
    "Enqueue Time": "enqueue",
    "H2D Latency": "h2d",
    "GPU Compute Time": "gpu_compute",
    "GPU Compute": "gpu_compute",
    "D2H Latency": "d2h",
}
ONE_LINE = re.compile(rf"({'|'.join(METRICS)}): (min = .*)")
STATISTIC = re.compile(rf"(min|max|mean|median) = {NUMBER} ms", re.ASCII)
PERCENTILE = re.compile(rf"percentile\((\d{{1,3}}(?:\.\d{{1,6}})?)%\) = {NUMBER} ms", re.ASCII)
BLOCK_LINE = re.compile(
    rf"(min|max|mean|median|percentile): {NUMBER} ms(?: at {NUMBER}%)?"
    rf"(?: \(end to end {NUMBER} ms)?",
    re.ASCII,
)
THROUGHPUT = re.compile(rf"[Tt]hroughput: {NUMBER} qps", re.ASCII)
WALL_TIME = re.compile(rf"(?:Total Host Walltime|walltime): {NUMBER} s", re.ASCII)
GPU_TIME = re.compile(rf"(?:Total GPU Compute Time|total compute time): {NUMBER} s", re.ASCII)
QUERIES = re.compile(rf"Timing trace has (\d{{1,12}}) queries over {NUMBER} s", re.ASCII)
VERSION = re.compile(r"TensorRT version: (\d{1,6}(?:\.\d{1,3}){0,3})$", re.ASCII)
SETTING = re.compile(r"([A-Z][\w /()-]*): (.+)", re.ASCII)
IMPLICIT_BATCH = re.compile(r"--batch=(\d{1,6})(?!\S)", re.ASCII)

DEVICE = "Selected Device"
SETTINGS = (  # without them a latency means little
    "Precision",
    "Batch",
    "Inference Streams",
    "Streams",
    "Data transfers",
    "Spin-wait",
    "CUDA Graph",
)
DEVICE_FACTS = (
    DEVICE,
    "Compute Capability",
    "SMs",
    "Device Global Memory",
    "Memory Bus Width",
    "Application Compute Clock Rate",
    "Compute Clock Rate",
)
MOST_MESSAGES = 20  # a failed build repeats itself


@dataclass(frozen=True, kw_only=True)
class Spread:
    """How one metric was distributed over the queries, in milliseconds; None where not told.

    ``percentiles_ms`` is by percent as printed, e.g. ``"99"``.
    """

    min_ms: float | None = None
    max_ms: float | None = None
    mean_ms: float | None = None
    median_ms: float | None = None
    percentiles_ms: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Trtexec:
    """One run of trtexec as far as its log tells it.

    Attributes:
        version: TensorRT's, e.g. ``8.5.2``; TensorRT 7 does not print it.
        passed: None where the log ends before the verdict.
        reason: Of a failure: the first error, which the others follow from.
        command: As typed.
        device: Facts on the GPU, by trtexec's own headings.
        settings: Likewise precision, batch, streams, transfers, spin-wait, CUDA graph.
        implicit_batch: Images that each query counts for in the throughput, where above one.
        throughput_qps: Queries per second.
        queries: Timed ones.
        wall_s: Wall time of the timed queries.
        gpu_s: Their computing on the GPU, added up.
        spreads: ``latency`` (host to device, computing, back), ``gpu_compute``, ``enqueue``,
            ``h2d``, ``d2h``, ``end_to_end``; those that were printed.
        errors: Every different error, in order.
        warnings: Those about how the timing was done.
    """

    version: str | None = None
    passed: bool | None = None
    reason: str | None = None
    command: str | None = None
    device: dict[str, str] = field(default_factory=dict)
    settings: dict[str, str] = field(default_factory=dict)
    implicit_batch: int | None = None
    throughput_qps: float | None = None
    queries: int | None = None
    wall_s: float | None = None
    gpu_s: float | None = None
    spreads: dict[str, Spread] = field(default_factory=dict)
    errors: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def parse_trtexec(lines: Sequence[str]) -> list[Trtexec]:
    """Every run in a log: a file may hold several, one after the other."""
    return [_run(chunk) for chunk in _chunks(lines)]


def version_of(number: str) -> str:
    """``8502`` is 8.5.2 and ``101601`` 10.16.1: from 10 on every part has two digits."""
    value = int(number)
    if value >= 100_000:
        return f"{value // 10_000}.{value // 100 % 100}.{value % 100}"
    return f"{value // 1000}.{value // 100 % 10}.{value % 100}"


def _chunks(lines: Sequence[str]) -> list[list[str]]:
    """The lines of each run: it begins at RUNNING, or after the verdict of the one before."""
    chunks: list[list[str]] = [[]]
    for line in lines:
        mark = MARK.search(line)
        if mark and mark[1] == "RUNNING":
            chunks.append([])
        chunks[-1].append(line)
        if mark and mark[1] != "RUNNING":
            chunks.append([])
    return [chunk for chunk in chunks if any(A_LINE.search(line) for line in chunk)]


def _run(lines: Sequence[str]) -> Trtexec:
    marks = [mark for mark in map(MARK.search, lines) if mark]
    said = [(found[1], found[2].strip()) for found in map(STAMPED.search, lines) if found]
    texts = [text for _, text in said]
    verdicts = [mark[1] == "PASSED" for mark in marks if mark[1] != "RUNNING"]
    command = next((mark[3] for mark in marks if mark[3]), None)
    errors = _messages(said, "EF")
    facts = {found[1]: found[2] for found in map(SETTING.fullmatch, texts) if found}
    batch = IMPLICIT_BATCH.search(command or "")
    queries = _first(QUERIES, texts)
    return Trtexec(
        version=_version(marks, texts),
        passed=verdicts[-1] if verdicts else None,
        reason=errors[0] if errors and verdicts[-1:] == [False] else None,
        command=command,
        device={name: facts[name] for name in DEVICE_FACTS if name in facts},
        settings={name: facts[name] for name in SETTINGS if name in facts},
        implicit_batch=int(batch[1]) if batch and int(batch[1]) > 1 else None,
        throughput_qps=_number(THROUGHPUT, texts),
        queries=int(queries) if queries else None,
        wall_s=_number(WALL_TIME, texts),
        gpu_s=_number(GPU_TIME, texts),
        spreads=_lines_of_metrics(texts) or _blocks_of_metrics(texts),
        errors=errors,
        warnings=tuple(text[2:] for text in _messages(said, "W") if text.startswith("* ")),
    )


def _version(marks: Sequence[re.Match[str]], texts: Sequence[str]) -> str | None:
    told = _first(VERSION, texts) or next((mark[2] for mark in marks if mark[2]), None)
    if told is None or "." in told:
        return told
    return version_of(told)


def _messages(said: Sequence[tuple[str, str]], severities: str) -> tuple[str, ...]:
    texts = [text for severity, text in said if severity in severities and text]
    return tuple(dict.fromkeys(texts))[:MOST_MESSAGES]


def _first(pattern: re.Pattern[str], texts: Sequence[str]) -> str | None:
    found = (match[1] for match in map(pattern.match, texts) if match)
    return next(found, None)


def _number(pattern: re.Pattern[str], texts: Sequence[str]) -> float | None:
    text = _first(pattern, texts)
    return None if text is None else float(text)


def _lines_of_metrics(texts: Sequence[str]) -> dict[str, Spread]:
    """TensorRT 8 and later: ``Latency: min = 1 ms, ..., percentile(99%) = 2 ms``."""
    spreads = {}
    for found in filter(None, map(ONE_LINE.fullmatch, texts)):
        told = {name: float(value) for name, value in STATISTIC.findall(found[2])}
        percentiles = {percent: float(value) for percent, value in PERCENTILE.findall(found[2])}
        spreads[METRICS[found[1]]] = _spread(told, percentiles)
    return spreads


def _blocks_of_metrics(texts: Sequence[str]) -> dict[str, Spread]:
    """TensorRT 7: a heading, then ``min: 1 ms (end to end 2 ms)`` and so on."""
    told: dict[str, dict[str, float]] = {}
    percentiles: dict[str, dict[str, float]] = {}
    metric = None
    for text in texts:
        metric = METRICS.get(text, metric)
        found = BLOCK_LINE.match(text)
        if metric is None or not found:
            continue
        for name, value in ((metric, found[2]), ("end_to_end", found[4])):
            if value is None:
                continue
            if found[3] is not None:
                percentiles.setdefault(name, {})[f"{float(found[3]):g}"] = float(value)
            else:
                told.setdefault(name, {})[found[1]] = float(value)
    names = {**told, **percentiles}
    return {name: _spread(told.get(name, {}), percentiles.get(name, {})) for name in names}


def _spread(told: dict[str, float], percentiles: dict[str, float]) -> Spread:
    return Spread(
        min_ms=told.get("min"),
        max_ms=told.get("max"),
        mean_ms=told.get("mean"),
        median_ms=told.get("median"),
        percentiles_ms=percentiles,
    )
