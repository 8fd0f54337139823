"""A user's depth maps as metres: 16-bit PNG, npy or npz, in the units that the user states.

Wrong units are the mistake that no shape or type reveals, so a map is held against the range that
the user states too: one that lies far outside is refused with the number that gives it away.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nano.data.array_files import read_array
from nano.data.images import read_png16
from nano.errors import DataError

# How far the median of a map may lie outside the stated range before its units are doubted. Units
# differ by 10 or more (centimetres and millimetres), a range and what lies beyond it by less.
DOUBT = 10.0
# A map whose greatest depth is below this share of the range's end is doubted as well: metres read
# as millimetres are above any least depth such as KITTI's 0.001.
NEAR = 0.01
EIGHT_BIT_MAX = 255

_OTHER_UNITS = {"metres": 1.0, "centimetres": 0.01, "1/256 metres": 1 / 256, "millimetres": 0.001}


def read_depth(
    path: Path, metres_per_unit: float, range_m: tuple[float, float]
) -> NDArray[np.float32]:
    """A depth map as metres, height x width; 0 where unknown.

    Unknown is 0, and in npy and npz whatever is no finite number.

    Args:
        path: A 16-bit PNG, an .npy, or an .npz with one array or one that is named ``depth``.
        metres_per_unit: What its numbers are multiplied with.
        range_m: Least and greatest depth that the data are meant to hold.

    Raises:
        DataError: The file is missing, truncated, of 8 bits or negative, holds no depth at all, or
            lies so far from ``range_m`` that its units cannot be those stated.
    """
    if path.suffix.lower() == ".png":
        steps: NDArray[Any] = read_png16(path)
        _refuse_eight_bits(path, steps, metres_per_unit, range_m)
    else:
        steps = read_array(path, name="depth")
        if steps.ndim != 2:
            raise DataError(
                f"{path}: a depth map is one number a pixel, height x width; its shape is "
                f"{steps.shape}"
            )
    metres = _finite(path, steps).astype(np.float32) * np.float32(metres_per_unit)
    check_units(path, metres, metres_per_unit, range_m)
    return metres


def check_units(
    path: Path, metres: NDArray[np.float32], metres_per_unit: float, range_m: tuple[float, float]
) -> None:
    """Refuse a map without any depth, and one that cannot be in the units stated.

    Raises:
        DataError: With the map's own numbers, and the units that would fit the range.
    """
    known = metres[metres > 0]
    if known.size == 0:
        raise DataError(f"{path}: no pixel has a depth: every value is 0 or no number")
    median, greatest = float(np.median(known)), float(known.max())
    low, high = range_m
    if median <= DOUBT * high and median >= low / DOUBT and greatest >= NEAR * high:
        return
    stated = f"one step is {metres_per_unit:g} m"
    fitting = [
        name
        for name, factor in _OTHER_UNITS.items()
        if low <= median / metres_per_unit * factor <= high
    ]
    hint = f"; in {' or '.join(fitting)} it would fit" if fitting else ""
    raise DataError(
        f"{path}: its median depth would be {median:g} m and its greatest {greatest:g} m ({stated})"
        f", but the range stated is {low:g} to {high:g} m: the units are wrong{hint}"
    )


def _refuse_eight_bits(
    path: Path, steps: NDArray[np.uint16], metres_per_unit: float, range_m: tuple[float, float]
) -> None:
    """16 bits whose every value fits 8, and is near: saved through an 8-bit path on the way."""
    greatest = int(steps.max(initial=0))
    if 0 < greatest <= EIGHT_BIT_MAX and greatest * metres_per_unit < range_m[1] / DOUBT:
        raise DataError(
            f"{path}: its largest value is {greatest} of 16 bits, {greatest * metres_per_unit:g} m:"
            " the map was saved through 8 bits, or the units are wrong; write 16-bit PNG again"
        )


def _finite(path: Path, steps: NDArray[Any]) -> NDArray[Any]:
    if steps.dtype.kind == "f":
        steps = np.where(np.isfinite(steps), steps, 0)
    if steps.min(initial=0) < 0:
        raise DataError(
            f"{path}: {np.count_nonzero(steps < 0)} depths are negative (least {steps.min():g}); "
            "unknown is 0, or NaN"
        )
    return steps
