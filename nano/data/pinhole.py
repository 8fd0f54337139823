"""Rigid poses and the pinhole camera: from a laser scan to a sparse depth map."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from numpy.typing import NDArray


def rotation(w: float, x: float, y: float, z: float) -> Float[ndarray, "3 3"]:
    """The rotation of a quaternion of any length but 0."""
    w, x, y, z = np.array([w, x, y, z]) / np.linalg.norm([w, x, y, z])
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


def rigid(turn: Float[ndarray, "3 3"], shift: Float[ndarray, " 3"]) -> Float[ndarray, "4 4"]:
    """The 4 x 4 matrix that turns, then shifts."""
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = turn, shift
    return matrix


def inverse(pose: Float[ndarray, "4 4"]) -> Float[ndarray, "4 4"]:
    """The rigid motion back."""
    back = pose[:3, :3].T
    return rigid(back, -back @ pose[:3, 3])


def project_points(
    points: Float[ndarray, "points 3"],
    to_camera: Float[ndarray, "4 4"],
    intrinsics: Float[ndarray, "3 3"],
    size: tuple[int, int],
) -> NDArray[np.float32]:
    """Depth in metres where points land in the image, the nearest where several do; 0 elsewhere.

    Args:
        points: Metres, in the scanner's frame.
        to_camera: From there to the camera: x right, y down, z ahead.
        intrinsics: Focal lengths, skew and centre in pixels; pixel (0, 0) covers [0, 1) x [0, 1).
        size: Height and width.
    """
    height, width = size
    seen = points @ to_camera[:3, :3].T + to_camera[:3, 3]
    seen = seen[seen[:, 2] > 0]
    image = seen @ intrinsics.T
    # Compared as floats: a point almost beside the camera lands further away than an integer can
    # tell. Floor, not truncation, which would pull points left of the image into its first column.
    columns, rows = np.floor(image[:, :2] / image[:, 2:]).T
    inside = (columns >= 0) & (columns < width) & (rows >= 0) & (rows < height)
    depth = np.full(size, np.inf, dtype=np.float32)
    pixels = rows[inside].astype(np.intp), columns[inside].astype(np.intp)
    np.minimum.at(depth, pixels, seen[inside, 2].astype(np.float32))
    depth[np.isinf(depth)] = 0
    return depth
