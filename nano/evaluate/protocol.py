"""Protocols by name: which pixels are compared, between which depths, on which kind of truth."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nano.data.file_tables import FolderTable
from nano.data.manifest import read_manifest
from nano.data.sets import AnyTable, root_of
from nano.errors import DataError
from nano.evaluate.metrics import rows_and_columns
from nano.records import Protocol

ROAD_RANGE_M = (1e-3, 80.0)  # KITTI Eigen; not 0, whose logarithm is infinite
DDAD_RANGE_M = (1e-3, 200.0)
NYU_RANGE_M = (1e-3, 10.0)

# Top, bottom as fractions of the height; left, right of the width.
GARG = (0.40810811, 0.99189189, 0.03594771, 0.96405229)
EIGEN = (0.3324324, 0.91351351, 0.0359477, 0.96405229)
NYU_SIZE = (480, 640)
NYU_CROP = (slice(45, 471), slice(41, 601))


def _protocol(name: str, crop: str, range_m: tuple[float, float], truth: str) -> Protocol:
    low, high = range_m
    return Protocol(name=name, crop=crop, min_depth_m=low, max_depth_m=high, truth=truth)


# `eigen` is the crop of the paper and of DenseDepth, `garg` the field's later default: the same
# number of rows, 29 higher up, and not the same accuracy. So each is a profile of its own.
PROTOCOLS: dict[str, Protocol] = {
    protocol.name: protocol
    for protocol in (
        _protocol("scenes", "none", ROAD_RANGE_M, "rendered"),
        _protocol("eigen652-annotated", "eigen", ROAD_RANGE_M, "annotated"),
        _protocol("eigen652-annotated-garg", "garg", ROAD_RANGE_M, "annotated"),
        _protocol("eigen697-raw", "garg", ROAD_RANGE_M, "raw"),
        _protocol("kitti-single-scan", "eigen", ROAD_RANGE_M, "single-scan"),
        _protocol("kitti-single-scan-garg", "garg", ROAD_RANGE_M, "single-scan"),
        _protocol("ddad", "none", DDAD_RANGE_M, "sensor"),
        _protocol("nyu", "nyu", NYU_RANGE_M, "sensor"),
        # FastDepth (Wofk et al. 2019) judges at the 224x224 that its network sees, borders and all.
        _protocol("nyu-fastdepth", "none", NYU_RANGE_M, "sensor"),
    )
}


def protocol_named(name: str) -> Protocol:
    """The protocol, or a DataError that lists those there are."""
    if name not in PROTOCOLS:
        raise DataError(f"unknown protocol {name!r}; known: {', '.join(PROTOCOLS)}")
    return PROTOCOLS[name]


def protocol_of(table: AnyTable, base: Path) -> Protocol:
    """The protocol that a [data] table is judged by.

    Args:
        table: It names the protocol; a folder's manifest states range and kind of truth.
        base: Where relative roots start.

    Raises:
        DataError: The protocol is unknown, or the manifest missing or wrong.
    """
    if not isinstance(table, FolderTable):
        return protocol_named(table.protocol)
    manifest = read_manifest(root_of(base, table.root))
    return _protocol(table.protocol, "none", manifest.range_m, manifest.truth)


def crop_slices(crop: str, size: tuple[int, int]) -> tuple[slice, slice]:
    """Rows and columns that count in a truth map of ``size`` (height, width).

    Borders are truncated to whole pixels, as in the code of the authors who defined them.
    """
    height, width = size
    match crop:
        case "none":
            return slice(0, height), slice(0, width)
        case "garg" | "eigen":
            top, bottom, left, right = GARG if crop == "garg" else EIGEN
            rows = slice(int(top * height), int(bottom * height))
            return rows, slice(int(left * width), int(right * width))
        case "nyu":
            if size != NYU_SIZE:
                raise DataError(
                    f"the NYU crop is defined at 480x640, the truth is {height}x{width}"
                )
            return NYU_CROP
    raise DataError(f"unknown crop {crop!r}; known: none, garg, eigen, nyu")


def counted(
    protocol: Protocol,
    size: tuple[int, int],
    index: NDArray[np.integer[Any]],
    truth: NDArray[np.floating[Any]],
) -> NDArray[np.bool_]:
    """Which of an image's valid truth values the protocol compares.

    Args:
        protocol: Its crop and its depth range; the range excludes both ends.
        size: Height and width of the truth map.
        index: Flat pixel indices of the values, ascending.
        truth: Metres, as long as ``index``.
    """
    rows, columns = crop_slices(protocol.crop, size)
    keep = np.zeros(len(index), np.bool_)
    inside = slice(*np.searchsorted(index, (rows.start * size[1], rows.stop * size[1])))
    depth = truth[inside]
    kept = (depth > protocol.min_depth_m) & (depth < protocol.max_depth_m)
    if (columns.start, columns.stop) != (0, size[1]):
        _, column = rows_and_columns(index[inside], size[1])
        kept &= (column >= columns.start) & (column < columns.stop)
    keep[inside] = kept
    return keep
