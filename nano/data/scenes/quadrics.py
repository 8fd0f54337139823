"""Ellipsoids and upright cylinders, in arrays.

With D = (1/r^2, 1/r^2, 1/h^2), the last 0 for a cylinder, o = camera - centre and d a ray, the
surface is hit where A q^2 + 2 B q + C = 0, q = 1 / z, A = D.oo - 1, B = D.od, C = D.dd. Seen from
outside the nearer root is the greater q, (sqrt(B^2 - A C) - B) / A; B^2 - A C is C on the axis of
the outline and 0 on the outline itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from nano.data.scenes.shapes import Round
from nano.data.scenes.texture import TILE, Floats, billows
from nano.data.scenes.view import Doubles, View

_NEAR_M = 0.3
_NOTCH_TEXELS = 60.0  # texels of notch noise for each metre of a crown of ordinary size
_ORDINARY_M = 2.0
_CORNERS = np.array([(i, j, k) for i in (-1, 1) for j in (-1, 1) for k in (-1, 1)])


@dataclass(frozen=True, kw_only=True)
class Quadrics:
    """N of them as one camera sees them.

    Attributes:
        places: Centres, radius and half height in the world, (N, 5).
        is_cylinder: Which are cylinders, (N,).
        centres: Centres along right, down and forward from the camera, (N, 3).
        across: 1 / radius^2, N numbers.
        upward: 1 / half height^2, 0 for a cylinder, N numbers.
        constants: A of each, N numbers.
        lifts: Camera's height above each centre, N numbers.
        linear: B of each as a u + b v + c, (N, 3).
    """

    places: Doubles
    is_cylinder: NDArray[np.bool_]
    centres: Doubles
    across: list[float]
    upward: list[float]
    constants: list[float]
    lifts: list[float]
    linear: Doubles

    @classmethod
    def of(cls, rounds: Sequence[Round], view: View) -> Quadrics:
        """The quadrics of these rounds."""
        places = np.array([(r.x, r.y, r.z, r.radius, r.half_height) for r in rounds])
        is_cylinder = np.array([r.is_cylinder for r in rounds])
        to_eye = view.eye - places[:, :3]
        across = 1.0 / np.square(places[:, 3])
        upward = np.where(is_cylinder, 0.0, 1.0 / np.square(places[:, 4]))
        weighted = to_eye * np.stack((across, across, upward), axis=1)
        product = weighted * to_eye
        return cls(
            places=places,
            is_cylinder=is_cylinder,
            centres=-view.to_camera(to_eye),
            across=across.tolist(),
            upward=upward.tolist(),
            constants=(product[:, 0] + product[:, 1] + product[:, 2] - 1.0).tolist(),
            lifts=to_eye[:, 2].tolist(),
            linear=view.to_camera(weighted),
        )

    def linear_terms(self, view: View) -> tuple[Floats, Floats]:
        """B as a sum of one part for each row, (N, H), and one for each column, (N, W)."""
        a, b, c = (self.linear[:, i, None].astype(np.float32) for i in range(3))
        return view.v * b + c, view.u * a

    def boxes(self, view: View) -> list[list[int]]:
        """Top, bottom, left, right (ends excluded) of what each can cover; empty out of sight.

        The border of an ellipsoid's outline follows from its dual conic; a cylinder is held by the
        projected corners of its bounding box. Nothing that reaches the camera plane is drawn.
        """
        height, width = view.size
        squares = np.square(self.places[:, [3, 3, 4]])
        x, y, z = (view.axes[:, None] * view.axes[None, :]).transpose(2, 0, 1)
        centre = self.centres
        spread = (
            squares[:, 0, None, None] * x
            + squares[:, 1, None, None] * y
            + squares[:, 2, None, None] * z
        )
        dual = spread - centre[:, :, None] * centre[:, None, :]
        before = centre[:, 2] - np.sqrt(spread[:, 2, 2]) > _NEAR_M
        last = np.where(before, dual[:, 2, 2], -1.0)
        bounds = np.empty((len(centre), 4))
        for axis, low, high in ((1, 0, 1), (0, 2, 3)):
            middle = dual[:, axis, 2]
            root = np.sqrt(np.maximum(middle * middle - dual[:, axis, axis] * last, 0.0))
            bounds[:, low], bounds[:, high] = (middle + root) / last, (middle - root) / last
        long = self.is_cylinder
        bounds[long] = _corner_bounds(self.places[long], view)
        limits = np.array((height, height, width, width))
        pixels = bounds * view.focal + (limits - 1) / 2
        pixels[:, ::2] = np.ceil(pixels[:, ::2])
        pixels[:, 1::2] = np.floor(pixels[:, 1::2]) + 1.0
        boxes = np.clip(pixels, 0, limits).astype(np.int64)
        boxes[~before] = 0
        return boxes.tolist()


def _corner_bounds(places: Doubles, view: View) -> Doubles:
    """Top, bottom, left, right of the projected bounding boxes in image coordinates, (N, 4)."""
    corners = places[:, None, :3] + _CORNERS * places[:, None, [3, 3, 4]]
    seen = view.to_camera(corners - view.eye)
    ahead = np.maximum(seen[..., 2], 1e-3)
    u, v = seen[..., 0] / ahead, seen[..., 1] / ahead
    return np.stack((v.min(axis=1), v.max(axis=1), u.min(axis=1), u.max(axis=1)), axis=1)


@cache
def notches() -> Floats:
    """How deep the outline of a crown is eaten into, TILE * TILE values, about 1 on average."""
    return np.maximum(billows() + 1.0, 0.0)


def notch_texels(
    rounds: Sequence[Round], quadrics: Quadrics, view: View
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Where each row, (N, H), and column, (N, W), falls in the tile of notches.

    The noise is fixed to the crown and faces the camera, so that it is the same at any size.
    """
    right, down, forward = quadrics.centres.T
    ahead = np.maximum(forward, 1e-3)
    per_unit = ahead * _NOTCH_TEXELS * np.minimum(1.0, _ORDINARY_M / quadrics.places[:, 3])
    shift = np.array([(r.x * 97.0 % TILE, r.y * 89.0 % TILE) for r in rounds])
    columns = _wrapped(view.u, right / ahead, per_unit, shift[:, 0])
    rows = _wrapped(view.v, down / ahead, per_unit, shift[:, 1])
    rows *= TILE
    return rows, columns


def _wrapped(
    coordinates: Floats, middle: Doubles, per_unit: Doubles, shift: Doubles
) -> NDArray[np.int32]:
    texels = coordinates * per_unit[:, None].astype(np.float32)
    texels += (shift - middle * per_unit)[:, None].astype(np.float32)
    return np.floor(texels).astype(np.int32) & (TILE - 1)
