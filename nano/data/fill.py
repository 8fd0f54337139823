"""Sparse depth made dense, guided by the image or not.

| method | what unknown pixels get |
| --- | --- |
| ``levin`` | colorization with the image's help, what published inpainted maps were made with |
| ``levin-half`` | the same at half the resolution, about a quarter of the work |
| ``linear`` | interpolation between the nearest known pixels (Delaunay triangles) |
| ``nearest`` | the depth of the nearest known pixel |
| ``none`` | nothing: they stay unknown |

All keep the known pixels exactly. What is filled may train a network; it is no truth, and nothing
here ever judges by it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, get_args

import numpy as np
from jaxtyping import Float, Float32, Float64, UInt8
from numpy import ndarray
from numpy.typing import NDArray
from PIL import Image

from nano.data.colorization import colorize
from nano.errors import DataError

Method = Literal["levin", "levin-half", "linear", "nearest", "none"]
METHODS: tuple[str, ...] = get_args(Method)

Depth = Float64[ndarray, "height width"]


def fill(
    depth: Float[ndarray, "height width"],
    image: UInt8[ndarray, "rows columns 3"],
    method: str = "levin",
    name: str = "depth map",
) -> Float32[ndarray, "height width"]:
    """Dense depth in metres, float32, equal to ``depth`` wherever that is known.

    Args:
        depth: Metres, 0 where unknown.
        image: The same frame in 8-bit RGB; ``linear`` and ``nearest`` do not look at it.
        method: One of `METHODS`.
        name: What messages call the frame.

    Raises:
        DataError: Depth and image of different sizes, an image that is not 8-bit RGB, depth that is
            no depth, or none at all.
    """
    if method not in METHODS:
        raise DataError(f"unknown method {method!r} to fill with: one of {', '.join(METHODS)}")
    _check(depth, image, method, name)
    metres = depth.astype(np.float64)
    if method != "none":
        known = metres[metres > 0]
        # Every method takes means of what is known; rounding may exceed it where little holds them.
        filled = np.clip(_FILLERS[method](metres, image), known.min(), known.max())
        metres = np.where(metres > 0, metres, filled)
    return metres.astype(np.float32)


def _check(depth: NDArray[np.floating], image: NDArray[np.generic], method: str, name: str) -> None:
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise DataError(
            f"{name}: the image is {image.dtype} of shape {image.shape}; 8-bit RGB, height x width"
            " x 3, is what the methods' constants are for"
        )
    if depth.shape != image.shape[:2]:
        sizes = ["x".join(map(str, shape[:2])) for shape in (depth.shape, image.shape)]
        raise DataError(
            f"{name}: the depth map is {sizes[0]} but its image is {sizes[1]}; both must be of "
            "one frame and camera, at one size"
        )
    if not np.isfinite(depth).all() or depth.min(initial=0) < 0:
        raise DataError(f"{name}: depth holds NaN, infinite or negative values; unknown is 0")
    if method != "none" and not depth.any():
        raise DataError(
            f"{name}: not one pixel has a depth, so there is nothing to fill from: copy the map or "
            "its scan again, or leave the frame out"
        )


def _half_resolution(depth: Depth, image: NDArray[np.uint8]) -> Depth:
    """Colorization of 2 x 2 blocks: mean colour, nearest depth; grown again bilinearly."""
    height, width = depth.shape
    odd = ((0, height % 2), (0, width % 2))
    blocks = _blocks(np.pad(np.where(depth > 0, depth, np.inf), odd, constant_values=np.inf))
    nearest = blocks.min(axis=(1, 3))
    colours = _blocks(np.pad(image, (*odd, (0, 0)), mode="edge"))
    means = np.round(colours.mean(axis=(1, 3))).astype(np.uint8)
    filled = colorize(np.where(np.isinf(nearest), 0.0, nearest), means)
    grown = Image.fromarray(filled.astype(np.float32)).resize(
        (2 * filled.shape[1], 2 * filled.shape[0]), Image.Resampling.BILINEAR
    )
    return np.asarray(grown, dtype=np.float64)[:height, :width]


def _blocks(pixels: NDArray[np.generic]) -> NDArray[np.generic]:
    """Pixels of an image with even sides as rows x 2 x columns x 2."""
    height, width = pixels.shape[:2]
    return pixels.reshape(height // 2, 2, width // 2, 2, *pixels.shape[2:])


def _linear(depth: Depth, image: NDArray[np.uint8]) -> Depth:
    """Linear in each triangle between known pixels; outside of all, and without any, nearest."""
    from scipy.interpolate import LinearNDInterpolator  # a third of a second to import
    from scipy.spatial import QhullError

    filled = _nearest(depth, image)
    known = np.argwhere(depth)
    try:
        between = LinearNDInterpolator(known, depth[tuple(known.T)])
    except QhullError:  # fewer than three pixels, or all on one line: there is no triangle
        return filled
    values = between(np.argwhere(depth == 0))
    unknown = depth == 0
    filled[unknown] = np.where(np.isnan(values), filled[unknown], values)
    return filled


def _nearest(depth: Depth, image: NDArray[np.uint8]) -> Depth:
    from scipy.ndimage import distance_transform_edt

    at = distance_transform_edt(depth == 0, return_distances=False, return_indices=True)
    return depth[tuple(at)]


_FILLERS: dict[str, Callable[[Depth, NDArray[np.uint8]], Depth]] = {
    "levin": colorize,
    "levin-half": _half_resolution,
    "linear": _linear,
    "nearest": _nearest,
}
