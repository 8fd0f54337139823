"""One frame brought to the network's input size; its truth kept at the native one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from nano.data.sample import Intrinsics, Sample
from nano.errors import DataError

# How images and depth maps get their size. The name is part of a cache's identity: a change of
# method makes new caches, it never mixes with old ones.
METHOD = "image: PIL bilinear, antialiased; depth: valid pixels scattered, nearest depth wins"

IMPLAUSIBLE_M = 10_000.0  # beyond any sensor; a map in millimetres or centimetres is caught here


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """A frame as the cache stores it, for a network input of h x w pixels.

    Attributes:
        name: As `Sample.name`.
        image: uint8, 3 x h x w.
        depth: float16, h x w, metres, 0 where unknown; measured, and filled where that is asked.
        native: Height and width of the truth.
        index: int32, flat pixel of each valid truth value, ascending.
        truth: float32, metres at these pixels.
        intrinsics: As `Sample.intrinsics`, of the image at h x w.
    """

    name: str
    image: NDArray[np.uint8]
    depth: NDArray[np.float16]
    native: tuple[int, int]
    index: NDArray[np.int32]
    truth: NDArray[np.float32]
    intrinsics: Intrinsics | None


def fit(sample: Sample, size: tuple[int, int]) -> Fitted:
    """The frame at ``size`` (height, width), its truth flat at native size.

    Raises:
        DataError: Shapes that do not belong together, or depth that is no depth in metres.
    """
    _check(sample)
    index = np.flatnonzero(sample.depth != 0).astype(
        np.int32
    )  # of floats it takes ten times as long
    truth = sample.depth.ravel()[index].astype(np.float32)
    native = (sample.depth.shape[0], sample.depth.shape[1])
    depth = reduce_depth(index, truth, native, size)
    if sample.filled is not None:
        depth = np.where(depth > 0, depth, sample_depth(sample.filled, size))
    return Fitted(
        name=sample.name,
        image=resize_image(sample.image, size),
        depth=depth,
        native=native,
        index=index,
        truth=truth,
        intrinsics=sample.intrinsics and resize_intrinsics(sample.intrinsics, native, size),
    )


def resize_intrinsics(
    intrinsics: Intrinsics, native: tuple[int, int], size: tuple[int, int]
) -> Intrinsics:
    """Of an image brought from ``native`` to ``size`` (height, width), whose corners stay corners.

    Half a pixel lies between a corner and the middle of its pixel, from which centres are counted.
    """
    down, across = size[0] / native[0], size[1] / native[1]
    fx, fy, cx, cy = intrinsics
    return fx * across, fy * down, (cx + 0.5) * across - 0.5, (cy + 0.5) * down - 0.5


def resize_image(image: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """An image H x W x 3 as 3 x h x w; bilinear, with the filter widened when shrinking."""
    height, width = size
    if image.shape[:2] != size:
        picture = Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR)
        image = np.asarray(picture)
    return np.ascontiguousarray(image.transpose(2, 0, 1))


def reduce_depth(
    index: NDArray[np.int32],
    depth: NDArray[np.float32],
    native: tuple[int, int],
    size: tuple[int, int],
) -> NDArray[np.float16]:
    """Valid native pixels scattered to the network's grid; unknown (0) where none falls.

    Interpolation would mix a sparse map's zeros, or two surfaces, into depths that exist
    nowhere. Every valid pixel goes to the one network pixel that contains its centre; where
    several meet the nearest wins, as in a projection, because it hides the others.
    """
    rows, columns = np.divmod(index, np.int32(native[1]))
    cell_rows = (2 * rows.astype(np.int64) + 1) * size[0] // (2 * native[0])
    cell_columns = (2 * columns.astype(np.int64) + 1) * size[1] // (2 * native[1])
    cells = cell_rows * size[1] + cell_columns
    nearest = np.full(size[0] * size[1], np.inf, dtype=np.float32)
    np.minimum.at(nearest, cells, depth)
    reduced = np.zeros(size[0] * size[1], dtype=np.float16)
    reduced[cells] = nearest[cells]
    return reduced.reshape(size)


def sample_depth(depth: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float16]:
    """A dense map H x W at ``size``: each pixel takes the native one that contains its centre."""
    rows = (2 * np.arange(size[0]) + 1) * depth.shape[0] // (2 * size[0])
    columns = (2 * np.arange(size[1]) + 1) * depth.shape[1] // (2 * size[1])
    return depth[rows[:, None], columns].astype(np.float16)


def _check(sample: Sample) -> None:
    image, depth = sample.image, sample.depth
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise DataError(
            f"{sample.name}: the image is {image.dtype} of shape {image.shape}, "
            "expected 8-bit RGB (height, width, 3)"
        )
    if depth.shape != image.shape[:2]:
        sizes = ["x".join(map(str, shape)) for shape in (depth.shape, image.shape[:2])]
        raise DataError(
            f"{sample.name}: the depth map is {sizes[0]} but its image is {sizes[1]}; "
            "both must be of one frame and camera, at one size"
        )
    if not np.isfinite(depth).all() or depth.min(initial=0) < 0:
        raise DataError(
            f"{sample.name}: depth holds NaN, infinite or negative values; unknown is 0"
        )
    if depth.max(initial=0) >= IMPLAUSIBLE_M:
        raise DataError(
            f"{sample.name}: depth reaches {depth.max():g} m; depth must be given in metres"
        )
