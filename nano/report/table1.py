"""The costs in DepthNet Nano's Table 1 as quoted, beside what the networks here count.

The one report that counts instead of reading records: a count depends on no training, and what is
quoted can be checked at any time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from nano.columns import aligned
from nano.networks.catalog import load_architecture
from nano.networks.count import RunCount, count_by_running
from nano.report import numbers
from nano.report.published import PUBLISHED, SOURCE, PublishedRow

HEADINGS = (
    *("network", "input", "params", "counted", "diff", "with statistics", "diff"),
    *("MACs", "counted", "diff"),
)
LEGEND = (
    "params and MACs are quoted; beside each what torch counts on our network, and the difference.",
    "with statistics: batch norm's running means and variances too, as Keras counts.",
    "MACs: multiply-adds of convolutions and full connections, one image, whole network.",
)


@dataclass(frozen=True, kw_only=True)
class CountedRow:
    """A quoted row with what the network of that name counts at the row's size."""

    quoted: PublishedRow
    counted: RunCount

    @property
    def differences(self) -> dict[str, float]:
        """Counted over quoted, less 1, by the counted number's name."""
        quoted, counted = self.quoted, self.counted
        return {
            "params": counted.params / quoted.params - 1,
            "params_with_statistics": counted.params_with_statistics / quoted.params - 1,
            "macs": counted.macs / quoted.macs - 1,
        }


def counted_rows() -> tuple[CountedRow, ...]:
    """Every quoted row, counted now."""
    return tuple(
        CountedRow(quoted=row, counted=count_by_running(load_architecture(row.network), row.size))
        for row in PUBLISHED
    )


def as_json(rows: Sequence[CountedRow]) -> dict[str, Any]:
    """What ``--json`` prints; differences are fractions of what is quoted."""
    return {
        "source": SOURCE,
        "rows": [
            {
                "name": row.quoted.name,
                "network": row.quoted.network,
                "size": list(row.quoted.size),
                "quoted": {"params": row.quoted.params, "macs": row.quoted.macs},
                "counted": {
                    "params": row.counted.params,
                    "params_with_statistics": row.counted.params_with_statistics,
                    "macs": row.counted.macs,
                },
                "difference": row.differences,
            }
            for row in rows
        ],
    }


def as_text(rows: Sequence[CountedRow]) -> str:
    """The table, and how much smaller than the others the last network is."""
    cells = [HEADINGS, *map(_cells, rows)]
    *others, nano = rows
    ratios = [_ratios(other, nano) for other in others]
    return "\n".join([SOURCE, "", *aligned(cells), "", *LEGEND, "", *ratios])


def _cells(row: CountedRow) -> tuple[str, ...]:
    quoted, counted = row.quoted, row.counted
    apart = {name: f"{100 * value:+.2f} %" for name, value in row.differences.items()}
    return (
        quoted.name,
        numbers.side_by_side(quoted.size),
        numbers.count(quoted.params),
        f"{counted.params:,}",
        apart["params"],
        f"{counted.params_with_statistics:,}",
        apart["params_with_statistics"],
        numbers.count(quoted.macs),
        f"{counted.macs:,}",
        apart["macs"],
    )


def _ratios(other: CountedRow, nano: CountedRow) -> str:
    quoted = other.quoted.params / nano.quoted.params, other.quoted.macs / nano.quoted.macs
    counted = (
        other.counted.params_with_statistics / nano.counted.params_with_statistics,
        other.counted.macs / nano.counted.macs,
    )
    return (
        f"{other.quoted.name} to {nano.quoted.name}: {quoted[0]:.1f} times the parameters and"
        f" {quoted[1]:.1f} times the MACs as quoted, {counted[0]:.1f} and {counted[1]:.1f} as"
        " counted (with statistics)"
    )
