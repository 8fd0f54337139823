"""The layer table of a design: the rows of DepthNet Nano's Table 3, with where its cost lies."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from nano.cost.count import count_by_module
from nano.design.design import Module
from nano.design.kinds import AnyDesign
from nano.design.parts import modules_by_part, paper_label

USUAL_KERNEL = 3


@dataclass(frozen=True, kw_only=True)
class PartRow:
    """A row of the layer table: one part of the network.

    Attributes:
        part: As `nano.cost.layers.walk` names it, e.g. ``stage 2``.
        label: The paper's word, e.g. ``PBEP 2.x (12)``.
        output: ``30@48x160``; a dense stage hands on what its modules add, so it has no one width.
        modules: Its modules; empty for plain convolutions.
        params: Parameters.
        params_share: Of the network's parameters, 0 to 1.
        macs: Multiply-accumulates.
        macs_share: Of the network's, 0 to 1.
    """

    part: str
    label: str
    output: str
    modules: tuple[Module, ...]
    params: int
    params_share: float
    macs: int
    macs_share: float


def part_rows(design: AnyDesign, size: tuple[int, int]) -> list[PartRow]:
    """The layer table of a design at an input size (height, width).

    Raises:
        DesignError: If the size does not divide by the design's stride.
    """
    shares = count_by_module(design, size)
    params = sum(share.cost.params for share in shares)
    macs = sum(share.cost.macs for share in shares)
    modules = modules_by_part(design)
    rows = []
    for part, group in groupby(shares, key=lambda share: share.part):
        members = list(group)
        here = sum(member.cost.params for member in members)
        work = sum(member.cost.macs for member in members)
        last = members[-1]
        width = "" if part.startswith("stage") else str(last.width)
        rows.append(
            PartRow(
                part=part,
                label=paper_label(design, part),
                output=f"{width}@{last.size[0]}x{last.size[1]}",
                modules=modules.get(part, ()),
                params=here,
                params_share=here / params,
                macs=work,
                macs_share=work / macs,
            )
        )
    return rows


def told_widths(modules: Sequence[Module]) -> Iterator[tuple[str, str]]:
    """Each kind of width that the modules have, in their order; kernels where one is not 3x3.

    ``("width", "9 13 13 18")``, or ``("squeeze", "12 each")`` when all are equal; a dash for a
    module that has none of the kind.
    """
    for name in ("width", "squeeze", "expand", "kernel"):
        values = [getattr(module, name) for module in modules]
        if not any(values) or (name == "kernel" and set(values) == {USUAL_KERNEL}):
            continue
        if len(values) > 1 and len(set(values)) == 1:
            yield name, f"{values[0]} each"
        else:
            yield name, " ".join("-" if value is None else str(value) for value in values)
