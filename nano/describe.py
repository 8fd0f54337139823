"""``python -m nano.describe DESIGN``: the layer table of a network and what it costs.

    python -m nano.describe depthnet-nano --size 384x1280
    python -m nano.describe runs/quick/best/design.json --json
    python -m nano.describe densedepth --size 384x1280 --json

A design's table has the rows of the DepthNet Nano paper's Table 3, and under each row of modules
the widths that make them differ; it is counted by formula. A network that others published is
counted by torch, on tensors without memory, and told by its parts.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nano.columns import aligned
from nano.console import Parser, parse_size, run
from nano.errors import DataError

if TYPE_CHECKING:
    from nano.cost.table import PartRow
    from nano.design.design import Design
    from nano.networks.catalog import Baseline

HEADINGS = ("layer", "output", "params", "share", "MACs", "share")
PAPER_SIZE = (384, 1280)
NOTE_WIDTH = 100  # columns of a terminal that the widths may take


def parser() -> Parser:
    """Options of the command."""
    options = Parser(
        prog="python -m nano.describe", description="The layer table and the cost of a network."
    )
    options.add_argument(
        "design", metavar="DESIGN", help="a network's name, a design.json, or a folder that has one"
    )
    options.add_argument(
        "--size",
        type=parse_size,
        metavar="HxW",
        help="input height and width in pixels (default: a MODEL's own, else the paper's)",
    )
    options.add_argument("--json", action="store_true", help="print one JSON object instead")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table, or the JSON object."""
    options = parser().parse_args(arguments)
    from nano.networks.catalog import Baseline, load_architecture

    name, found = options.design, load_architecture(options.design)
    size = options.size or own_size(Path(name))
    if isinstance(found, Baseline):
        told = baseline_json(name, found, size or found.size)
        text = "" if options.json else baseline_text(told, found)
    else:
        size = size or PAPER_SIZE
        told = as_json(name, found, size) if options.json else {}
        text = "" if options.json else as_text(name, found, size)
    print(json.dumps(told, indent=1) if options.json else text)
    return 0


def own_size(folder: Path) -> tuple[int, int] | None:
    """The size that a MODEL was trained at; None for what is no MODEL.

    Raises:
        DataError: Its model.safetensors cannot be read.
    """
    path = folder / "model.safetensors"
    if not path.is_file():
        return None
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np") as file:
            size = (file.metadata() or {}).get("size")
    except (OSError, SafetensorError) as damaged:
        raise DataError(f"{path}: cannot be read: {damaged}") from damaged
    return parse_size(size) if size else None


def as_json(name: str, design: Design, size: tuple[int, int]) -> dict[str, Any]:
    """What ``--json`` prints: a contract with users' scripts, keys may be added, never changed."""
    from nano.cost.count import count, count_by_module

    cost = count(design, size)
    return {
        "name": name,
        "key": design.key,
        "size": list(size),
        "params": cost.params,
        "params_with_statistics": cost.params_with_statistics,
        "macs": cost.macs,
        "activations": cost.activations,
        "by_module": [
            {
                "name": share.unit or share.part,
                "part": share.part,
                "output": [share.width, *share.size],
                "params": share.cost.params,
                "macs": share.cost.macs,
                "activations": share.cost.activations,
            }
            for share in count_by_module(design, size)
        ],
    }


def as_text(name: str, design: Design, size: tuple[int, int]) -> str:
    """The table: one row per part of the network, widths under rows of modules."""
    from nano.cost.count import count
    from nano.cost.table import part_rows, told_widths

    cost = count(design, size)
    height, width = size
    rows: list[tuple[str, ...]] = [HEADINGS]
    notes: dict[int, list[str]] = {}
    for part in part_rows(design, size):
        notes[len(rows)] = [
            line for kind, told in told_widths(part.modules) for line in _note(kind, told)
        ]
        rows.append(_row(part))
    lines = [f"{name}  {design.key}  input 3@{height}x{width}", ""]
    for number, line in enumerate(aligned(rows)):
        lines.append(line)
        lines += notes.get(number, ())
    lines += [
        "",
        _params_line(cost.params, cost.params_with_statistics),
        f"{cost.macs:,} MACs (one multiply-add of a convolution each)",
        f"{cost.activations:,} SELU evaluations",
        f"depth comes out at {height // 2}x{width // 2}; a bilinear resize brings it to any size",
    ]
    return "\n".join(lines)


def baseline_json(name: str, baseline: Baseline, size: tuple[int, int]) -> dict[str, Any]:
    """`as_json` of a published network, by its parts."""
    from dataclasses import asdict

    from nano.networks.count import count_by_running, count_parts

    return {
        "name": name,
        "key": baseline.key,
        "size": list(size),
        "paper": baseline.paper,
        "widths": list(baseline.widths),
        **asdict(count_by_running(baseline, size)),
        "by_module": [
            {
                "name": part.name,
                "part": part.name,
                "output": list(part.output),
                "params": part.count.params,
                "macs": part.count.macs,
                "activations": part.count.activations,
            }
            for part in count_parts(baseline, size)
        ],
    }


def baseline_text(told: Mapping[str, Any], baseline: Baseline) -> str:
    """The table of a published network's parts, from what `baseline_json` told."""
    height, width = told["size"]
    rows: list[tuple[str, ...]] = [HEADINGS]
    for part in told["by_module"]:
        shares = (f"{100 * part[total] / told[total]:.1f} %" for total in ("params", "macs"))
        share, work = shares
        output = "{}@{}".format(part["output"][0], "x".join(map(str, part["output"][1:])))
        rows.append((part["name"], output, f"{part['params']:,}", share, f"{part['macs']:,}", work))
    stride = baseline.output_stride
    return "\n".join(
        [
            f"{told['name']}  {told['key']}  input 3@{height}x{width}",
            baseline.paper,
            "",
            *aligned(rows),
            "",
            _params_line(told["params"], told["params_with_statistics"]),
            f"{told['macs']:,} MACs (one multiply-add of a convolution or full connection each)",
            f"{told['activations']:,} evaluations of ReLUs and other nonlinearities",
            f"depth comes out at {height // stride}x{width // stride}",
        ]
    )


def _params_line(params: int, with_statistics: int) -> str:
    return f"{params:,} parameters ({with_statistics:,} with batch-norm statistics)"


def _row(part: PartRow) -> tuple[str, ...]:
    return (
        part.label,
        part.output,
        f"{part.params:,}",
        f"{100 * part.params_share:.1f} %",
        f"{part.macs:,}",
        f"{100 * part.macs_share:.1f} %",
    )


def _note(kind: str, told: str) -> list[str]:
    """One kind of width under its row, in as many lines as it takes."""
    return textwrap.wrap(
        told, NOTE_WIDTH, initial_indent=f"    {kind:<8}", subsequent_indent=" " * 12
    )


if __name__ == "__main__":
    run(main)
