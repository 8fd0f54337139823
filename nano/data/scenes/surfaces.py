"""The colours of things: pattern, value noise, sun and sky, for all their pixels at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nano.data.scenes.geometry import BOTTOM, FRONT, NOSE, NUM_FACES, REAR, TOP, Planes
from nano.data.scenes.patterns import PAINTERS, Patch
from nano.data.scenes.shadows import sunlit
from nano.data.scenes.shapes import Pattern, Surface
from nano.data.scenes.texture import Floats, sample, speckle
from nano.data.scenes.view import View
from nano.data.scenes.visibility import Visible
from nano.data.scenes.world import World

_SKIN_OF_FACE = (0, 0, 1, 2, 3, 3, 4)
_TEXELS_PER_M = 22.0
_SHADED_WHOLE_M = 3.8  # a lower solid lies in a building's shadow as a whole or not at all


def solid_colours(
    world: World, view: View, visible: Visible, planes: Planes, pixels: NDArray[np.intp]
) -> Floats:
    """Linear light from the pixels that show a solid, (3, P).

    Args:
        world: The scene.
        view: The image.
        visible: What it shows.
        planes: Of the world's solids.
        pixels: Flat indices, (P,).
    """
    used, which = _compact(visible.label.ravel().take(pixels), NUM_FACES * len(world.solids))
    solids, faces = (part.tolist() for part in np.divmod(used, NUM_FACES))
    surfaces = [world.solids[k].skin[_SKIN_OF_FACE[f]] for k, f in zip(solids, faces, strict=True)]
    look = np.array([_row(s) for s in surfaces], dtype=np.float32).T
    chart = _charts(world, view, planes, used).take(which, axis=1)
    inverse = visible.inverse_depth.ravel().take(pixels)
    row, column = np.divmod(pixels, view.size[1])
    u, v = view.u.take(column), view.v.take(row)
    s = (chart[0] * u + chart[1] * v + chart[2]) / inverse + chart[3]
    t = (chart[4] * u + chart[5] * v + chart[6]) / inverse + chart[7]
    sharp = inverse * view.focal
    albedo = look[:3].take(which, axis=1)
    noise = sample(speckle(), s * _TEXELS_PER_M + chart[8], t * _TEXELS_PER_M)
    noise *= np.minimum(sharp * (0.8 / _TEXELS_PER_M), 1.0)
    noise *= look[3].take(which)
    noise += 1.0
    albedo *= noise
    # A surface seen at a slant is squeezed along s.
    sharp_s = sharp * np.clip(chart[11] * inverse, 0.02, 1.0)
    pattern = np.array([s.pattern for s in surfaces], dtype=np.int8).take(which)
    for kind, painter in PAINTERS.items():
        here = np.flatnonzero(pattern == kind)
        if not len(here):
            continue
        painted = which.take(here)
        patch = Patch(
            albedo=albedo.take(here, axis=1),
            accent=look[4:7].take(painted, axis=1),
            s=s.take(here),
            t=t.take(here) - chart[9].take(here),
            half=chart[10].take(here),
            rise=chart[12].take(here),
            parameters=look[7:11].take(painted, axis=1),
            sharp_s=sharp_s.take(here),
            sharp=sharp.take(here),
        )
        painter(patch)
        for channel in range(3):
            albedo[channel][here] = patch.albedo[channel]
    albedo *= _face_light(world, planes, used).take(which, axis=1)
    albedo *= _near_ground(view.rays[2].ravel().take(pixels) / inverse + float(view.eye[2]))
    return albedo


def _compact(label: NDArray[np.int16], count: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The labels that occur, ascending, and for each pixel which of those it shows."""
    index = label.astype(np.intp)
    used = np.flatnonzero(np.bincount(index, minlength=count))
    position = np.zeros(count, dtype=np.intp)
    position[used] = np.arange(len(used))
    return used, position.take(index)


def _row(surface: Surface) -> tuple[float, ...]:
    parameters = (*surface.parameters, 0.0, 0.0, 0.0, 0.0)[:4]
    return (*surface.colour, surface.mottle, *surface.accent, *parameters)


def _near_ground(height: Floats) -> Floats:
    """Less of the sky is seen from close above the ground."""
    return np.asarray(1.0 - 0.09 / (np.maximum(height, 0.0) + 0.2))


def _charts(world: World, view: View, planes: Planes, used: NDArray[np.intp]) -> Floats:
    """How the pixels of each face find their place on it, (13, faces).

    Rows 0-3 and 4-7 hold s and t as z (a u + b v + c) + e; then a texture offset, the height of
    the foot, half the extent in s, the distance of the camera from the plane, and the height.
    """
    solid, face = np.divmod(used, NUM_FACES)
    x, y, cos, sin = planes.places[solid].T
    zero, one = np.zeros_like(x), np.ones_like(x)
    forward = np.stack((cos, sin, zero), axis=1)
    leftward = np.stack((-sin, cos, zero), axis=1)
    upward = np.stack((zero, zero, one), axis=1)
    is_end = ((face == FRONT) | (face == REAR) | (face == NOSE))[:, None]
    is_lid = ((face == TOP) | (face == BOTTOM))[:, None]
    along = np.where(is_end, leftward, forward)
    up = np.where(is_lid, leftward, upward)
    origin = np.stack((x, y, zero), axis=1)
    eye = view.eye - origin
    solids = [world.solids[k] for k in solid.tolist()]
    base = np.array([s.base for s in solids])
    rise = np.array([s.top for s in solids]) - base
    long = np.array([0.5 * (s.foot[1] - s.foot[0]) for s in solids])
    half = np.where(is_end[:, 0], np.array([s.foot[2] for s in solids]), long)
    normals, offsets = planes.normals[solid, face], planes.offsets[solid, face]
    distance = np.abs((normals * view.eye).sum(axis=1) - offsets)
    chart = np.concatenate(
        (
            view.to_camera(along).T,
            (along * eye).sum(axis=1)[None],
            view.to_camera(up).T,
            (up * eye).sum(axis=1)[None],
            np.stack(
                (solid * 83.0 % 512.0, np.where(is_lid[:, 0], 0.0, base), half, distance, rise)
            ),
        )
    )
    return chart.astype(np.float32)


def _face_light(world: World, planes: Planes, used: NDArray[np.intp]) -> Floats:
    """Light that falls on each face, (3, faces)."""
    solid, face = np.divmod(used, NUM_FACES)
    points = np.array(
        [
            (s.x, s.y, s.base + 0.6 * (s.top - s.base))
            for s in (world.solids[k] for k in solid.tolist())
        ]
    )
    low = np.array([world.solids[k].top < _SHADED_WHOLE_M for k in solid.tolist()])
    lit = np.where(low, sunlit(world, planes, points), np.float32(1.0))
    return _light(world, planes.normals[solid, face].T.astype(np.float32), lit)


def _light(world: World, normals: Floats, lit: Floats) -> Floats:
    """Sun, sky from above and the ground's answer from below, (3, n), for normals (3, n)."""
    light = world.light
    x, y, z = light.to_sun
    direct = normals[0] * x
    direct += normals[1] * y
    direct += normals[2] * z
    np.maximum(direct, 0.0, out=direct)
    direct *= lit
    direct += (1.0 - normals[2]) * (0.07 * z)
    sky = normals[2] * 0.32
    sky += 0.68
    out = np.empty((3, len(sky)), dtype=np.float32)
    for channel in range(3):
        np.multiply(sky, light.ambient[channel], out=out[channel])
        out[channel] += direct * light.sun[channel]
    return out


def round_colours(world: World, view: View, visible: Visible, pixels: NDArray[np.intp]) -> Floats:
    """Linear light from the pixels that show an ellipsoid or a cylinder, (3, P).

    Args:
        world: The scene.
        view: The image.
        visible: What it shows.
        pixels: Flat indices, (P,).
    """
    which = visible.label.ravel().take(pixels).astype(np.intp) - NUM_FACES * len(world.solids)
    inverse = visible.inverse_depth.ravel().take(pixels)
    place = [view.rays[axis].ravel().take(pixels) / inverse for axis in range(3)]
    things = world.rounds
    eye_x, eye_y, eye_z = view.eye.tolist()
    table = np.array(
        [
            (
                eye_x - r.x,
                eye_y - r.y,
                eye_z - r.z,
                1.0 / r.radius**2,
                0.0 if r.is_cylinder else 1.0 / r.half_height**2,
                *_row(r.surface)[:4],
            )
            for r in things
        ],
        dtype=np.float32,
    ).T.take(which, axis=1)
    x, y, z = (place[axis] + table[axis] for axis in range(3))
    normals = np.stack((x * table[3], y * table[3], z * table[4]))
    normals /= np.sqrt(normals[0] ** 2 + normals[1] ** 2 + normals[2] ** 2)
    is_leafy = np.array([r.surface.pattern is Pattern.LEAVES for r in things])
    points = np.array([(r.x, r.y, r.z) for r in things])
    lit = sunlit(world, visible.planes, points).take(which)
    leafy = is_leafy.take(which)
    sharp = inverse * view.focal
    # Projected along the road, which is nearly how the camera looks.
    leaf = sample(speckle(), place[1] * _TEXELS_PER_M, place[2] * _TEXELS_PER_M)
    leaf *= np.minimum(sharp * 0.06, 1.0)
    gain = 1.0 + leaf * np.where(leafy, 0.42, table[8])
    # Inside a crown it is darker towards the bottom.
    gain *= np.where(leafy, 0.85 + 0.3 * z * np.sqrt(table[4]), 1.0)
    light = _light(world, normals, lit)
    light *= np.maximum(gain, 0.2)
    light *= table[5:8]
    light *= _near_ground(place[2] + float(view.eye[2]))
    return light
