"""Which thing each pixel sees, and its inverse depth: a z-buffer filled outline by outline."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nano.data.scenes.geometry import NUM_FACES, Planes, outlines
from nano.data.scenes.quadrics import Quadrics, notch_texels, notches
from nano.data.scenes.texture import Floats
from nano.data.scenes.view import Doubles, View
from nano.data.scenes.world import World

GROUND, SKY = -1, -2
HORIZON_M = 2000.0  # the ground ends there: less than a pixel below its vanishing line


@dataclass(frozen=True, kw_only=True)
class Visible:
    """What a camera sees.

    Attributes:
        inverse_depth: 1 / z in 1/m, 0 for the sky, (H, W).
        label: 7 k + f for face f of solid k, 7 N + k for round k, or GROUND or SKY, (H, W).
        planes: Of the N solids; None where there are none.
    """

    inverse_depth: Floats
    label: NDArray[np.int16]
    planes: Planes | None


def ground_plane(view: View) -> Doubles:
    """1 / z of the ground as a u + b v + c, (3,)."""
    down = np.array((0.0, 0.0, -1.0))
    return view.to_camera(down) / view.eye[2]


def see(world: World, view: View) -> Visible:
    """Draw every thing into the z-buffer."""
    a, b, c = ground_plane(view).tolist()
    depth = (view.v * b + c)[:, None] + view.u * a
    is_ground = depth > 1.0 / HORIZON_M
    depth *= is_ground
    label = np.where(is_ground, np.int16(GROUND), np.int16(SKY))
    planes = None
    if world.solids:
        planes = Planes.of(world.solids)
        _draw_solids(planes, view, depth, label)
    if world.rounds:
        _draw_rounds(world, view, depth, label)
    return Visible(inverse_depth=depth, label=label, planes=planes)


def _draw_solids(planes: Planes, view: View, depth: Floats, label: NDArray[np.int16]) -> None:
    values, sees = planes.inverse_depths(view)
    outside = np.flatnonzero(sees.any(axis=1))
    values, sees = values[outside], sees[outside]
    cover = outlines(values, sees, view)
    by_row = (values[..., 1:2] * view.v + values[..., 2:3]).astype(np.float32)
    by_column = (values[..., 0:1] * view.u).astype(np.float32)
    facing = [np.flatnonzero(row).tolist() for row in sees]
    columns = np.arange(view.size[1], dtype=np.int32)
    for k, (top, bottom, left, right) in enumerate(cover.boxes):
        if top >= bottom:
            continue
        code = NUM_FACES * int(outside[k])
        rows, span = slice(top, bottom), slice(left, right)
        first, *others = facing[k]
        nearest = by_row[k, first, rows, None] + by_column[k, first, span]
        face: NDArray[np.int16] | np.int16 = np.int16(code + first)
        for f in others:
            value = by_row[k, f, rows, None] + by_column[k, f, span]
            face = np.where(value < nearest, np.int16(code + f), face)
            np.minimum(nearest, value, out=nearest)
        column = columns[span]
        wins = column >= cover.first[k, rows, None]
        wins &= column < cover.last[k, rows, None]
        wins &= nearest > depth[rows, span]
        np.copyto(depth[rows, span], nearest, where=wins)
        np.copyto(label[rows, span], face, where=wins)


def _draw_rounds(world: World, view: View, depth: Floats, label: NDArray[np.int16]) -> None:
    quadrics = Quadrics.of(world.rounds, view)
    rises = view.rays[2]
    flat = np.square(view.rays[0])
    flat += np.square(view.rays[1])
    steep = np.square(rises)
    by_row, by_column = quadrics.linear_terms(view)
    notch_row, notch_column = notch_texels(world.rounds, quadrics, view)
    first = NUM_FACES * len(world.solids)
    for k, (top, bottom, left, right) in enumerate(quadrics.boxes(view)):
        if top >= bottom or left >= right:
            continue
        thing = world.rounds[k]
        box = slice(top, bottom), slice(left, right)
        a = quadrics.constants[k]
        b = by_row[k, top:bottom, None] + by_column[k, left:right]
        c = flat[box] * quadrics.across[k]
        if not thing.is_cylinder:
            c += steep[box] * quadrics.upward[k]
        root = b * b
        root -= c * a
        if thing.ragged:
            notch = notches().take(notch_row[k, top:bottom, None] + notch_column[k, left:right])
            notch *= c
            notch *= thing.ragged
            wins = root > notch
        else:
            wins = root > 0.0
        np.maximum(root, 0.0, out=root)
        nearest = np.sqrt(root, out=root)
        nearest -= b
        nearest *= 1.0 / a
        wins &= nearest > depth[box]
        if thing.is_cylinder:
            height = nearest * quadrics.lifts[k]
            height += rises[box]
            wins &= np.abs(height) <= nearest * thing.half_height
        np.copyto(depth[box], nearest, where=wins)
        np.copyto(label[box], first + k, where=wins, casting="same_kind")
