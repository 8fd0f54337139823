"""NYU Depth v2 in the layouts that people keep it in: the labelled .mat, or files extracted.

    nyu_depth_v2_labeled.mat, splits.mat       as the authors publish it: 795 training, 654 test
    .../rgb_00045.jpg, sync_depth_00045.png    extracted, millimetres in 16 bits
    .../00045_colors.png, 00045_depth.png      likewise
    .../rgb.npy, depth.npy                     RGB in [0, 1] and metres

Splits are folders; the .mat counts as two, ``train`` and ``test``, by the authors' splits.mat.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nano.data.folder import split_pairs
from nano.data.manifest import SplitsTable
from nano.data.nyu_mat import LABELLED, LICENCE, MatSource, mat_frames
from nano.data.pair_source import PairSource
from nano.data.pairs import Kind, Pair, find_pairs
from nano.data.sample import Source
from nano.errors import DataError

RANGE_M = (1e-3, 10.0)  # the sensor's; beyond it the maps hold what was filled in


@dataclass(frozen=True, kw_only=True)
class Layout:
    """How files are called when NYU is extracted, and what their numbers mean.

    Attributes:
        images: An image's name without its ending.
        image_endings: Its endings.
        depths: Its depth map's name.
        depth_endings: Its endings.
        metres_per_unit: What the map's numbers are multiplied with.
    """

    images: str
    image_endings: tuple[str, ...]
    depths: str
    depth_endings: tuple[str, ...]
    metres_per_unit: float


LAYOUTS = (
    Layout(
        images="rgb_{name}",
        image_endings=(".jpg", ".png"),
        depths="sync_depth_{name}",
        depth_endings=(".png",),
        metres_per_unit=0.001,
    ),
    Layout(
        images="{name}_colors",
        image_endings=(".jpg", ".png"),
        depths="{name}_depth",
        depth_endings=(".png",),
        metres_per_unit=0.001,
    ),
    Layout(
        images="rgb{name}",
        image_endings=(".npy",),
        depths="depth{name}",
        depth_endings=(".npy",),
        metres_per_unit=1.0,
    ),
)


def nyu_source(root: Path, split: str, splits: SplitsTable) -> Source:
    """One split of NYU Depth v2.

    Args:
        root: The folder that holds it, in one of the layouts.
        split: ``train``, ``validation`` or ``test``.
        splits: Which folders, or shares of the training folders, are for what.

    Raises:
        DataError: No such folder, no layout that is known, or an empty split.
        MissingPackage: The .mat is there, but not the package that reads it.
    """
    if not root.is_dir():
        raise DataError(f"{root}: no such folder: expected NYU Depth v2 in it")
    name = f"nyu {split}"
    if (root / LABELLED).exists():
        chosen = split_pairs(mat_frames(root), splits, split, "[data]")
        return MatSource(name=name, root=root, frames=tuple(int(frame.name) for frame in chosen))
    layout, pairs, foreign = _extracted(root)
    images, depths = _kinds(root, layout)
    return PairSource(
        name=name,
        truth="sensor",
        images=images,
        depths=depths,
        pairs=split_pairs(pairs, splits, split, "[data]"),
        foreign=foreign,
        metres_per_unit=layout.metres_per_unit,
        range_m=RANGE_M,
        usual=None,
        licence=LICENCE,
    )


def _extracted(root: Path) -> tuple[Layout, Sequence[Pair], tuple[Path, ...]]:
    """The first layout that gives a whole frame."""
    for layout in LAYOUTS:
        pairs, foreign = find_pairs(*_kinds(root, layout))
        if any(pair.images and pair.depths for pair in pairs):
            return layout, pairs, foreign
    known = "; ".join(
        f"{layout.images}{layout.image_endings[0]} with {layout.depths}{layout.depth_endings[0]}"
        for layout in LAYOUTS
    )
    raise DataError(f"{root}: no NYU Depth v2: expected {LABELLED}, or at any depth {known}")


def _kinds(root: Path, layout: Layout) -> tuple[Kind, Kind]:
    return (
        Kind(root=root, names=layout.images, endings=layout.image_endings),
        Kind(root=root, names=layout.depths, endings=layout.depth_endings),
    )
