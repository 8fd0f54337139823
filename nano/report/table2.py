"""The speeds in DepthNet Nano's Table 2 as quoted, beside those that were measured here.

Measurements are read from what `nano.bench --json` printed, from records of trials and from kept
benchmarks; what nobody measured says so, and nothing is computed in its place.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from nano.columns import aligned
from nano.design.presets import PRESETS
from nano.errors import RunError
from nano.files import from_plain, read_json
from nano.networks.catalog import BASELINES, load_architecture
from nano.records import Measurement
from nano.report import numbers
from nano.report.published import (
    PUBLISHED_SPEEDS,
    SPEED_DEVICE,
    SPEED_SOURCE,
    PublishedSpeed,
)

KEPT = Path("benchmarks", "results")  # read where no files are named
NOT_MEASURED = "not measured"
HEADINGS = ("network", "measured on", "input", "precision", "FPS", "W", "images/s/W")
NOTES = (
    "Quoted images/s/W is FPS over the nominal budget of the power mode: no power was measured.",
    "In ours W is the measured mean of the module's rails, or of an energy counter, and images/s/W",
    "is FPS over it: images per joule. The two kinds cannot be compared.",
    'The quoted "30W" fits the device\'s MAXN mode, not its 30 W modes: from the "15W" rows both',
    "networks gain 1.8 times, as published networks do from 15W to MAXN (1.8 to 2.1 times);",
    "from 15W to MODE_30W_ALL they gain 1.2 to 1.35 times. The paper names no precision.",
)


@dataclass(frozen=True, kw_only=True)
class MeasuredRow:
    """A network of ours: its measurement, or None where there is none."""

    network: str
    measurement: Measurement | None

    @property
    def images_per_joule(self) -> float | None:
        """FPS over measured watts; None where power was not measured."""
        one = self.measurement
        return one.fps / one.watts if one and one.watts else None


def measured_rows(measurements: Sequence[Measurement]) -> tuple[MeasuredRow, ...]:
    """Every measurement under its network's name, and a row for each quoted one without any.

    The quoted networks come first; designs without a name go by their key.
    """
    quoted = dict.fromkeys(row.network for row in PUBLISHED_SPEEDS)
    found: dict[str, list[Measurement]] = {network: [] for network in quoted}
    for one in measurements:
        found.setdefault(_names().get(one.key, one.key), []).append(one)
    return tuple(
        MeasuredRow(network=network, measurement=one)
        for network, ours in found.items()
        for one in ours or (None,)
    )


def kept_measurements() -> list[Measurement]:
    """Those in benchmarks/results of the current folder; none where there is no such folder."""
    return read_measurements([KEPT]) if KEPT.is_dir() else []


def read_measurements(paths: Sequence[Path]) -> list[Measurement]:
    """The measurements in files, or in every JSON file of folders.

    A file holds one Measurement, a list of them, or an object with a list ``measurements``, as
    records of trials are.

    Raises:
        RunError: A file is missing or damaged, or a named one holds no measurement.
    """
    found = []
    for path in paths:
        inside = sorted(path.glob("*.json")) if path.is_dir() else [path]
        for file in inside:
            here = list(_measurements(read_json(file, RunError), str(file)))
            if not here and not path.is_dir():
                raise RunError(
                    f"{file}: holds no measurement; write one by"
                    " python -m nano.bench ... --json > FILE"
                )
            found += here
    return found


def _measurements(plain: Any, where: str) -> Iterator[Measurement]:
    if isinstance(plain, Mapping) and "p50_ms" in plain:
        plain = [plain]
    elif isinstance(plain, Mapping):
        plain = plain.get("measurements", [])
    if isinstance(plain, list):
        for each in plain:
            yield from_plain(Measurement, each, where, RunError)


@cache
def _names() -> dict[str, str]:
    """Networks by their keys."""
    return {load_architecture(name).key: name for name in (*PRESETS, *BASELINES)}


def as_json(rows: Sequence[MeasuredRow]) -> dict[str, Any]:
    """What ``--json`` prints; what was not measured is null."""
    return {
        "source": SPEED_SOURCE,
        "quoted": [
            {
                "name": row.name,
                "network": row.network,
                "measured_on": f"quoted: {_quoted_on(row)}",
                "budget_w": row.budget_w,
                "fps": row.fps,
                "images_per_s_per_budget_w": row.fps / row.budget_w,
                "images_per_s_w_printed": row.images_per_s_w,
            }
            for row in PUBLISHED_SPEEDS
        ],
        "ours": [_plain(row) for row in rows],
        "notes": " ".join(NOTES),
    }


def _plain(row: MeasuredRow) -> dict[str, Any]:
    one = row.measurement
    return {
        "network": row.network,
        "measured_on": _measured_on(one) if one else None,
        "size": list(one.size) if one else None,
        "precision": one.precision if one else None,
        "fps": one.fps if one else None,
        "watts": one.watts if one else None,
        "images_per_joule": row.images_per_joule,
        "when": one.when if one else None,
    }


def as_text(rows: Sequence[MeasuredRow]) -> str:
    """The table and what its last column means."""
    quoted = [HEADINGS, *map(_quoted_cells, PUBLISHED_SPEEDS)]
    ours = [_cells(row) for row in rows]
    lines = aligned([*quoted, *ours])
    return "\n".join(
        [
            f"quoted: {SPEED_SOURCE}",
            "",
            *lines[: len(quoted)],
            "",
            "measured here, or not:",
            "",
            *lines[len(quoted) :],
            "",
            *NOTES,
        ]
    )


def _quoted_on(row: PublishedSpeed) -> str:
    return f'{SPEED_DEVICE}, "{row.budget_w}W"'


def _quoted_cells(row: PublishedSpeed) -> tuple[str, ...]:
    return (
        row.name,
        _quoted_on(row),
        numbers.UNKNOWN,
        numbers.UNKNOWN,
        f"{row.fps:.2f}",
        f"budget {row.budget_w}",
        numbers.ratio(row.fps / row.budget_w),
    )


def _measured_on(one: Measurement) -> str:
    parts = (one.device, one.power_mode, one.when[: len("2026-01-01")])
    return ", ".join(part for part in parts if part)


def _cells(row: MeasuredRow) -> tuple[str, ...]:
    one = row.measurement
    if one is None:
        return (row.network, NOT_MEASURED, *[numbers.UNKNOWN] * (len(HEADINGS) - 2))
    return (
        row.network,
        _measured_on(one),
        numbers.side_by_side(one.size),
        one.precision,
        f"{one.fps:.2f}",
        NOT_MEASURED if one.watts is None else f"{one.watts:.2f}",
        numbers.UNKNOWN if one.watts is None else numbers.ratio(row.images_per_joule),
    )
