"""Where the sun does not reach: on the ground pixel by pixel, elsewhere once for each thing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nano.data.scenes.geometry import FRONT, LEFT, REAR, RIGHT, Planes, outlines
from nano.data.scenes.shapes import Pattern, Round
from nano.data.scenes.texture import Floats, billows, sample
from nano.data.scenes.view import Doubles, Spans, View, half_planes, intervals
from nano.data.scenes.visibility import ground_plane
from nano.data.scenes.world import World

_VISIBLE_M = 80.0  # beyond, shadows on the ground are too flat to see
_CONTACT_M = 0.45  # how far the darkness under a vehicle reaches beyond it
_CONTACT_VISIBLE_M = 50.0
_CONTACT_DEPTH = 0.75
_VEHICLES = (Pattern.CAR_SIDE, Pattern.VAN_SIDE, Pattern.BUS_SIDE)
_FLECK_TEXELS_PER_M = 36.0
_CASTER_HEIGHT_M = 3.2  # anything lower seldom puts a whole other thing into its shadow


def ground_light(world: World, view: View, planes: Planes | None) -> tuple[Floats, Floats]:
    """The share of the sun and of the sky that each ground pixel receives, two of (H, W)."""
    ground = ground_plane(view)
    lit = np.ones(view.size, dtype=np.bool_)
    sky = np.ones(view.size, dtype=np.float32)
    if planes is not None:
        near = [k for k, s in enumerate(world.solids) if s.x + s.foot[0] < _VISIBLE_M]
        times, leaves = planes.of_some(near).times_to_sun(view, world.light.to_sun, ground)
        _darken(lit, outlines(times, leaves, view))
        _darken_contacts(world, view, planes, ground, sky)
    casters = [r for r in world.rounds if r.casts_shadow and r.x < _VISIBLE_M]
    posts = [r for r in casters if r.is_cylinder]
    if posts:
        _darken(lit, _strips(posts, world, view, ground))
    sun = lit.astype(np.float32)
    crowns = [r for r in casters if not r.is_cylinder]
    if crowns:
        _dapple(sun, _ellipses(crowns, world, view, ground), view, ground)
    return sun, sky


def _darken(lit: NDArray[np.bool_], cover: Spans) -> None:
    columns = np.arange(lit.shape[1], dtype=np.int32)
    for k, (top, bottom, left, right) in enumerate(cover.boxes):
        if top < bottom:
            column = columns[left:right]
            outside = column < cover.first[k, top:bottom, None]
            outside |= column >= cover.last[k, top:bottom, None]
            lit[top:bottom, left:right] &= outside


def _darken_contacts(
    world: World, view: View, planes: Planes, ground: Doubles, sky: Floats
) -> None:
    """Dim the ground around the foot of every vehicle."""
    chosen = [
        k
        for k, s in enumerate(world.solids)
        if s.skin[0].pattern in _VEHICLES and s.x < _CONTACT_VISIBLE_M
    ]
    if not chosen:
        return
    sides = (LEFT, RIGHT, FRONT, REAR)
    normals = planes.normals[chosen][:, sides]
    eye = view.eye
    reach = normals[..., 0] * eye[0] + normals[..., 1] * eye[1] + normals[..., 2] * eye[2]
    gap = planes.offsets[chosen][:, sides] + _CONTACT_M - reach
    metres = gap[..., None] * ground - view.to_camera(normals)  # inside the border, times 1 / z
    cover = half_planes(metres, np.ones(metres.shape[:2], dtype=np.bool_), view)
    by_row = (metres[..., 1:2] * view.v + metres[..., 2:3]).astype(np.float32)
    by_column = (metres[..., 0:1] * view.u).astype(np.float32)
    a, b, c = ground.tolist()
    for k, (top, bottom, left, right) in enumerate(cover.boxes):
        if top >= bottom:
            continue
        depth = by_row[k, :, top:bottom, None] + by_column[k, :, None, left:right]
        inside = depth.min(axis=0)
        inside /= np.maximum((view.v[top:bottom] * b + c)[:, None] + view.u[left:right] * a, 1e-4)
        inside *= _CONTACT_DEPTH / _CONTACT_M
        np.maximum(inside, 0.0, out=inside)
        np.minimum(inside, _CONTACT_DEPTH, out=inside)
        sky[top:bottom, left:right] *= 1.0 - inside


def _strips(posts: Sequence[Round], world: World, view: View, ground: Doubles) -> Spans:
    """Upright cylinders shade strips that run from their feet away from the sun."""
    x, y, z = world.light.to_sun
    level = max((x * x + y * y) ** 0.5, 1e-6)
    along = np.array((-x / level, -y / level, 0.0))
    across = np.array((-along[1], along[0], 0.0))
    normals = np.stack((across, -across, -along, along))
    values = np.array([(r.x, r.y, r.z, r.radius, r.half_height) for r in posts])
    length = level / z
    foot_across = values[:, 0] * across[0] + values[:, 1] * across[1]
    foot_along = values[:, 0] * along[0] + values[:, 1] * along[1]
    radius = values[:, 3]
    offsets = np.stack(
        (
            foot_across + radius,
            radius - foot_across,
            radius - foot_along - (values[:, 2] - values[:, 4]) * length,
            foot_along + (values[:, 2] + values[:, 4]) * length,
        ),
        axis=1,
    )
    reach = normals[:, 0] * view.eye[0] + normals[:, 1] * view.eye[1]
    conditions = (offsets - reach)[..., None] * ground - view.to_camera(normals)
    return half_planes(conditions, np.ones(offsets.shape, dtype=np.bool_), view)


def _ellipses(crowns: Sequence[Round], world: World, view: View, ground: Doubles) -> Spans:
    """The line from a ground pixel to the sun meets an ellipsoid where B^2 - A C >= 0.

    Times 1 / z^2 this is a sum of weighted squares of terms affine in u and v, so on each row a
    quadratic in u, and the shadow lies between its roots.
    """
    x, y, z = world.light.to_sun
    values = np.array([(r.x, r.y, r.z, r.radius, r.half_height) for r in crowns])
    across, up = 1.0 / np.square(values[:, 3]), 1.0 / np.square(values[:, 4])
    lift = values[:, 2]
    offset = view.eye[:2] - values[:, :2]
    # The way from the centre to the ground pixel, times 1 / z, along the world's x and y.
    go_x = view.axes[:, 0] + offset[:, 0:1] * ground
    go_y = view.axes[:, 1] + offset[:, 1:2] * ground
    towards = (across * x)[:, None] * go_x + (across * y)[:, None] * go_y
    towards -= (up * z * lift)[:, None] * ground
    a = across * (x * x + y * y) + up * (z * z)
    forms = np.stack((towards, go_x, go_y, np.broadcast_to(ground, go_x.shape)), axis=1)
    weights = np.stack(
        (np.ones_like(a), -a * across, -a * across, -a * (np.square(lift) * up - 1.0)), axis=1
    )[..., None]
    slope = forms[..., 0:1]
    rest = forms[..., 1:2] * view.v.astype(np.float64) + forms[..., 2:3]
    square = (weights * slope * slope).sum(axis=1)
    linear = (weights * slope * rest).sum(axis=1)
    constant = (weights * rest * rest).sum(axis=1)
    root = linear * linear - square * constant
    middle = -linear / square
    reach = np.sqrt(np.maximum(root, 0.0)) / np.abs(square)
    # Above the horizon the same cone is a mirror image: there is no ground.
    exists = (root > 0.0) & (view.v * ground[1] + ground[2] > -0.02)
    return intervals(
        np.where(exists, middle - reach, 1e6), np.where(exists, middle + reach, -1e6), view
    )


def _dapple(sun: Floats, cover: Spans, view: View, ground: Doubles) -> None:
    """Shade under crowns, with flecks of sun that fall through the leaves."""
    lit = np.ones(sun.shape, dtype=np.bool_)
    _darken(lit, cover)
    pixels = np.flatnonzero(~lit)
    if not len(pixels):
        return
    row, column = np.divmod(pixels, view.size[1])
    a, b, c = ground.tolist()
    inverse = np.maximum(view.v.take(row) * b + view.u.take(column) * a + c, 1e-4)
    x = view.rays[0].ravel().take(pixels) / inverse
    y = view.rays[1].ravel().take(pixels) / inverse
    leaf = sample(billows(), x * _FLECK_TEXELS_PER_M, y * _FLECK_TEXELS_PER_M)
    flecks = np.clip((leaf - 0.75) * 1.5, 0.0, 0.8)
    sun.ravel()[pixels] *= flecks


def sunlit(world: World, planes: Planes | None, points: Doubles) -> Floats:
    """The share of the sun that reaches each of M points past the tall solids, (M,).

    Args:
        world: The scene.
        planes: Of its solids.
        points: World coordinates, (M, 3).
    """
    lit = np.ones(len(points), dtype=np.float32)
    casters = [
        k
        for k, s in enumerate(world.solids)
        if s.top > _CASTER_HEIGHT_M and s.foot[1] - s.foot[0] > 2.0
    ]
    if planes is None or not casters:
        return lit
    x, y, z = world.light.to_sun
    normals, offsets = planes.normals[casters], planes.offsets[casters]
    towards = normals[..., 0] * x + normals[..., 1] * y + normals[..., 2] * z
    towards = np.where(np.abs(towards) < 1e-9, 1e-9, towards)
    reach = (
        normals[..., 0] * points[:, None, None, 0]
        + normals[..., 1] * points[:, None, None, 1]
        + normals[..., 2] * points[:, None, None, 2]
    )
    time = (offsets - reach) / towards
    leaves = towards > 0
    end = np.where(leaves, time, np.inf).min(axis=2)
    start = np.where(leaves, -np.inf, time).max(axis=2)
    # A point inside or against a solid belongs to it and is not in its shadow.
    blocked = (start < end) & (start > 0.05)
    lit[blocked.any(axis=1)] = 0.0
    return lit
