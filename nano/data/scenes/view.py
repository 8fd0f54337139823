"""The image as a bundle of rays, and convex outlines cut out of it row by row.

A ray through the image point (u, v) = ((j - cx) / fx, (i - cy) / fy) is camera + z (u right +
v down + forward), so that z is the exact depth. The plane n . p = h is hit at

    1 / z = (n . d) / (h - n . camera),    d the ray's direction,

which is affine in u and v: a face costs one addition a pixel, and the nearest wins by the
greatest 1 / z. Only sums, products, quotients and square roots are taken per pixel (IEEE 754
rounds those alike everywhere); the sines and cosines of a scene's few angles come from the C
library and may differ in their last bit between platforms.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nano.data.scenes.texture import Floats
from nano.data.scenes.world import Camera, intrinsics

Doubles = NDArray[np.float64]

_FAR = 1e30  # an image coordinate beyond any other


@dataclass(frozen=True, kw_only=True)
class View:
    """A camera and an image size: the rays.

    Attributes:
        size: Rows and columns.
        u: Columns' image coordinates, (W,).
        v: Rows' image coordinates, (H,).
        axes: Right, down and forward as rows, world coordinates, (3, 3).
        rays: World coordinates of every pixel's direction, (3, H, W).
        eye: The camera's place, world coordinates, (3,).
        focal: Focal length in pixels.
    """

    size: tuple[int, int]
    u: Floats
    v: Floats
    axes: Doubles
    rays: Floats
    eye: Doubles
    focal: float

    @classmethod
    def of(cls, camera: Camera, size: tuple[int, int]) -> View:
        """The view of that camera at that size."""
        height, width = size
        fx, fy, cx, cy = intrinsics(size)
        u = ((np.arange(width) - cx) / fx).astype(np.float32)
        v = ((np.arange(height) - cy) / fy).astype(np.float32)
        axes = camera.axes()
        rays = np.empty((3, height, width), dtype=np.float32)
        for axis, (right, down, forward) in enumerate(zip(*axes, strict=True)):
            np.add((v * down + forward)[:, None], u * right, out=rays[axis])
        return cls(
            size=size,
            u=u,
            v=v,
            axes=np.array(axes),
            rays=rays,
            eye=np.array((0.0, camera.y, camera.height)),
            focal=fx,
        )

    def to_camera(self, vectors: Doubles) -> Doubles:
        """World vectors (..., 3) along right, down, forward: n . d is the result . (u, v, 1)."""
        # Written out: a matrix product may sum in another order on another machine.
        x, y, z = vectors[..., 0:1], vectors[..., 1:2], vectors[..., 2:3]
        return x * self.axes[:, 0] + y * self.axes[:, 1] + z * self.axes[:, 2]


@dataclass(frozen=True, kw_only=True)
class Spans:
    """For each of N convex outlines the columns it covers on each row, and its bounding box.

    Attributes:
        first: First column on each row, (N, H).
        last: One past the last column on each row, (N, H); no more than first where there are none.
        boxes: Top, bottom, left, right (ends excluded), (N, 4); empty where nothing is covered.
    """

    first: NDArray[np.int32]
    last: NDArray[np.int32]
    boxes: list[list[int]]


def half_planes(conditions: Doubles, active: NDArray[np.bool_], view: View) -> Spans:
    """The pixels where a u + b v + c >= 0 for each active condition.

    Args:
        conditions: a, b, c of C half planes of the image for each of N outlines, (N, C, 3).
        active: Which of them count, at least one for each outline, (N, C).
        view: The image.
    """
    a, b, c = conditions.transpose(2, 1, 0)
    a = np.where(np.abs(a) < 1e-12, 1e-12, a)
    # On a row a condition bounds u from one side. One that does not bound from this side is moved
    # out of the way: adding is cheaper than choosing.
    counts = active.T
    off_low = np.where(counts & (a > 0), 0.0, -_FAR).astype(np.float32)
    off_high = np.where(counts & (a < 0), 0.0, _FAR).astype(np.float32)
    bound = (-b / a).astype(np.float32)[..., None] * view.v
    bound += (-c / a).astype(np.float32)[..., None]
    low = (bound + off_low[..., None]).max(axis=0)
    bound += off_high[..., None]
    return intervals(low, bound.min(axis=0), view)


def intervals(low: Floats | Doubles, high: Floats | Doubles, view: View) -> Spans:
    """The pixels with u between two bounds on each row, both (N, H)."""
    height, width = view.size
    middle = (width - 1) / 2
    first = np.ceil(np.clip(low * view.focal + middle, 0, width)).astype(np.int32)
    last = np.floor(np.clip(high * view.focal + middle, -1, width - 1)).astype(np.int32)
    last += 1
    covered = first < last
    top = covered.argmax(axis=1)
    bottom = np.where(covered.any(axis=1), height - covered[:, ::-1].argmax(axis=1), 0)
    left = np.where(covered, first, width).min(axis=1)
    right = np.where(covered, last, 0).max(axis=1)
    boxes = np.stack((top, bottom, left, right), axis=1).tolist()
    return Spans(first=first, last=last, boxes=boxes)
