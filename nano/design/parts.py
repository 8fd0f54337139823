"""Parts of a network by name (``stem``, ``stage 2``, ``up 3``) and the paper's word for each.

The names are those of `nano.cost.layers.walk`; the words are rows of DepthNet Nano's Table 3.
"""

from __future__ import annotations

from collections.abc import Iterable

from nano.design.design import Design, Module
from nano.design.kinds import AnyDesign


def modules_by_part(design: AnyDesign) -> dict[str, tuple[Module, ...]]:
    """Modules of the parts that have any, in the order of the network; a FastDepth has none."""
    if not isinstance(design, Design):
        return {}
    stages = {f"stage {i}": stage.modules for i, stage in enumerate(design.stages, start=1)}
    return stages | {f"up {i}": (up.a, up.b) for i, up in enumerate(design.decoder, start=1)}


def paper_label(design: AnyDesign, part: str) -> str:
    """The paper's word for a part: ``conv7x7-pool``, ``PBEP 1.x (6)``, ``conv1x1-pool``, ...

    A FastDepth's parts are called what they are.
    """
    if not isinstance(design, Design):
        return part
    kind, _, number = part.partition(" ")
    if kind == "stage":
        modules = design.stages[int(number) - 1].modules
        return f"{_kinds(modules)} {number}.x ({len(modules)})"
    if kind == "up":
        step = design.decoder[int(number) - 1]
        return f"upconv {number} A,B ({_kinds((step.a, step.b))})"
    kernel = design.stem.kernel
    return {
        "stem": f"conv{kernel}x{kernel}-pool",
        "transition": "conv1x1-pool",
        "bridge": "conv1x1",
        "head": "conv3x3",
    }[kind]


def _kinds(modules: Iterable[Module]) -> str:
    return "/".join(dict.fromkeys(module.kind for module in modules))
