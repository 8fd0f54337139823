"""JSON files of trtexec: ``--exportTimes`` has every query, ``--exportProfile`` every layer."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nano.bench.trtexec import Spread
from nano.errors import InputError

PERCENTILES = (90, 95, 99)
LONGEST_MS = 1e9  # eleven days: a longer query is damage
TIMES = {  # our word -> the keys of TensorRT 8 and later, and of 7
    "latency": ("latencyMs",),
    "gpu_compute": ("computeMs",),
    "h2d": ("h2dMs", "inMs"),
    "d2h": ("d2hMs", "outMs"),
    "end_to_end": ("endToEndMs",),
}
# Files of TensorRT 7 have both pairs, with their names swapped: that of "Enq" lasts as long as the
# copy to the device, and that of "In" as long as the log's enqueueing.
ENQUEUES = (("startInMs", "endInMs"), ("startEnqMs", "endEnqMs"))

IS_TIMES = re.compile(r'\s*\[\s*\{[^{}]*"latencyMs"\s*:')
IS_PROFILE = re.compile(r'\s*\[\s*\{\s*"count"\s*:')


@dataclass(frozen=True, kw_only=True)
class Times:
    """Every query of a run, summed up here and not by trtexec.

    Attributes:
        queries: How many.
        spreads: As a log's, and percentiles 90, 95 and 99 (linear between neighbours).
    """

    queries: int
    spreads: dict[str, Spread]


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One layer of the engine; fused ones are joined by `` + `` in its name.

    ``median_ms`` is told from TensorRT 8.4 on; ``share`` is of all layers, 0 to 1.
    """

    name: str
    mean_ms: float
    share: float
    median_ms: float | None = None


@dataclass(frozen=True, kw_only=True)
class Profile:
    """The layers of an engine in the order they run, over ``queries`` queries."""

    queries: int
    layers: tuple[Layer, ...]


def parse_times(plain: Sequence[Any], where: str) -> Times:
    """The spread of every metric that the queries tell; an InputError names what is damaged."""
    queries = [(f"{where}: query {number}", query) for number, query in enumerate(plain, 1)]
    first = plain[0]
    spreads = {
        metric: _spread([_ms(query, name, place) for place, query in queries])
        for metric, names in TIMES.items()
        for name in names
        if name in first
    }
    told = [pair for pair in ENQUEUES if set(pair) <= set(first)]
    for begin, end in told[:1]:
        spreads["enqueue"] = _spread(
            [_ms(query, end, place) - _ms(query, begin, place) for place, query in queries]
        )
    return Times(queries=len(queries), spreads=spreads)


def parse_profile(plain: Sequence[Any], where: str) -> Profile:
    """All layers; an InputError names what is damaged."""
    count = plain[0]["count"]
    if not isinstance(count, int) or isinstance(count, bool) or not 0 < count <= LONGEST_MS:
        raise InputError(f"{where}: count is a number of queries, not {count!r}")
    return Profile(
        queries=count,
        layers=tuple(
            _layer(layer, f"{where}: layer {number}") for number, layer in enumerate(plain[1:], 1)
        ),
    )


def _layer(plain: Any, where: str) -> Layer:
    name = plain.get("name") if isinstance(plain, dict) else None
    if not isinstance(name, str):
        raise InputError(f"{where}: has no name")
    return Layer(
        name=name,
        mean_ms=_ms(plain, "averageMs", where),
        share=_ms(plain, "percentage", where) / 100,
        median_ms=_ms(plain, "medianMs", where) if "medianMs" in plain else None,
    )


def _ms(plain: Any, name: str, where: str) -> float:
    value: Any = plain.get(name) if isinstance(plain, dict) else None
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not -LONGEST_MS <= value <= LONGEST_MS:
        raise InputError(f"{where}: {name} is a number, not {value!r}")
    return float(value)


def _spread(values: Sequence[float]) -> Spread:
    found = np.percentile(values, PERCENTILES)
    return Spread(
        min_ms=min(values),
        max_ms=max(values),
        mean_ms=float(np.mean(values)),
        median_ms=float(np.median(values)),
        percentiles_ms={
            str(percent): float(value) for percent, value in zip(PERCENTILES, found, strict=True)
        },
    )
