"""Solids as planes: seven for each, in arrays, so that a scene is prepared by a few calls."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nano.data.scenes.shapes import Solid
from nano.data.scenes.view import Doubles, Spans, View, half_planes

LEFT, RIGHT, FRONT, REAR, TOP, BOTTOM, NOSE = range(7)
NUM_FACES = 7

# Pairs of faces that can meet in an edge. An outline runs along the edges between a face that is
# turned to the viewer and one that is turned away; a pair that does not meet after all only adds
# a condition that holds anyway.
_EDGES = np.array(
    [(side, end) for side in (LEFT, RIGHT) for end in (FRONT, REAR, TOP, BOTTOM, NOSE)]
    + [(end, lid) for end in (FRONT, REAR) for lid in (TOP, BOTTOM, NOSE)]
    + [(NOSE, TOP), (NOSE, BOTTOM)]
)


@dataclass(frozen=True, kw_only=True)
class Planes:
    """The faces of N solids: points inside have normal . p <= offset for all seven.

    Attributes:
        normals: Outward unit vectors in the world, (N, 7, 3).
        offsets: Metres, (N, 7).
        places: x, y on the ground, cosine and sine of the heading, (N, 4).
    """

    normals: Doubles
    offsets: Doubles
    places: Doubles

    @classmethod
    def of(cls, solids: Sequence[Solid]) -> Planes:
        """The planes of these solids."""
        values = np.array(
            [
                (s.x, s.y, s.heading, s.base, s.top, *s.foot, *s.head, s.nose, s.nose_slope)
                for s in solids
            ]
        ).reshape(len(solids), 13)
        x, y, heading, base, top, rear, front, half, up_rear, up_front, up_half, nose, slope = (
            values.T
        )
        rise = top - base
        lean = (up_half - half) / rise
        lean_front = (up_front - front) / rise
        lean_rear = (up_rear - rear) / rise
        one, zero = np.ones_like(x), np.zeros_like(x)
        # x, y, z of each normal in the solid's own frame and the offset, before scaling.
        local = np.array(
            [
                (zero, one, -lean, half - lean * base),
                (zero, -one, -lean, half - lean * base),
                (one, zero, -lean_front, front - lean_front * base),
                (-one, zero, lean_rear, lean_rear * base - rear),
                (zero, zero, one, top),
                (zero, zero, -one, -base),
                (slope, zero, one, nose + slope * front),
            ]
        ).transpose(2, 0, 1)
        local /= np.sqrt(np.square(local[..., :3]).sum(axis=-1, keepdims=True))
        # The C library's, one by one: numpy's own differ with the processor's vector units.
        cos = np.array([math.cos(angle) for angle in heading.tolist()])
        sin = np.array([math.sin(angle) for angle in heading.tolist()])
        normals = np.empty((len(solids), NUM_FACES, 3))
        normals[..., 0] = local[..., 0] * cos[:, None] - local[..., 1] * sin[:, None]
        normals[..., 1] = local[..., 0] * sin[:, None] + local[..., 1] * cos[:, None]
        normals[..., 2] = local[..., 2]
        offsets = local[..., 3] + normals[..., 0] * x[:, None] + normals[..., 1] * y[:, None]
        places = np.stack((x, y, cos, sin), axis=1)
        return cls(normals=normals, offsets=offsets, places=places)

    def of_some(self, chosen: Sequence[int]) -> Planes:
        """The planes of some of the solids."""
        index = np.array(chosen, dtype=np.intp)
        return Planes(
            normals=self.normals[index], offsets=self.offsets[index], places=self.places[index]
        )

    def inverse_depths(self, view: View) -> tuple[Doubles, NDArray[np.bool_]]:
        """1 / z of every face as a u + b v + c, (N, 7, 3), and which faces see the camera, (N, 7).

        A ray is inside a solid while 1 / z is at most that of every face that sees the camera
        and at least that of every other.
        """
        eye = view.eye
        normals = self.normals
        reach = normals[..., 0] * eye[0] + normals[..., 1] * eye[1] + normals[..., 2] * eye[2]
        margin = self.offsets - reach
        margin = np.where(np.abs(margin) < 1e-9, 1e-9, margin)
        return view.to_camera(normals) / margin[..., None], margin < 0

    def times_to_sun(
        self, view: View, to_sun: Sequence[float], ground: Doubles
    ) -> tuple[Doubles, NDArray[np.bool_]]:
        """Where the line from a ground pixel to the sun crosses each face, times 1 / z.

        Affine in u and v, (N, 7, 3), because the ground's own 1 / z is; and which faces it
        leaves through, (N, 7).

        Args:
            view: The image.
            to_sun: Unit vector.
            ground: 1 / z of the ground as a u + b v + c, (3,).
        """
        x, y, z = to_sun
        normals, eye = self.normals, view.eye
        towards = normals[..., 0] * x + normals[..., 1] * y + normals[..., 2] * z
        towards = np.where(np.abs(towards) < 1e-9, 1e-9, towards)
        reach = normals[..., 0] * eye[0] + normals[..., 1] * eye[1] + normals[..., 2] * eye[2]
        gap = (self.offsets - reach)[..., None] * ground - view.to_camera(normals)
        return gap / towards[..., None], towards > 0


def outlines(planes: Doubles, is_upper: NDArray[np.bool_], view: View) -> Spans:
    """The pixels where some value lies below every upper plane and above every lower one.

    Args:
        planes: a u + b v + c, (N, 7, 3).
        is_upper: Which of them bound from above; at least one for each solid, (N, 7).
        view: The image.
    """
    one, other = _EDGES[:, 0], _EDGES[:, 1]
    sign = np.where(is_upper[:, one], 1.0, -1.0)[..., None]
    edges = (planes[:, one] - planes[:, other]) * sign
    # The upper planes themselves must be positive: nothing behind the camera counts.
    conditions = np.concatenate((edges, planes), axis=1)
    active = np.concatenate((is_upper[:, one] != is_upper[:, other], is_upper), axis=1)
    return half_planes(conditions, active, view)
