"""The ground: carriageway with its paint, kerb, pavement and what lies beyond."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nano.data.scenes.texture import Floats, billows, sample, speckle
from nano.data.scenes.view import View
from nano.data.scenes.world import Line, Road, Side, World

_PAINT = 0.62  # reflectance of worn white paint
_KERB_M = 0.18
_FINE_TEXELS_PER_M = 30.0
_COARSE_TEXELS_PER_M = 7.0
_BEND_ENDS_M = 160.0  # the parabola goes on straight: it would turn back on itself


def ground_reflectance(
    world: World, view: View, inverse_depth: Floats, pixels: NDArray[np.intp]
) -> Floats:
    """Linear reflectances of the ground pixels, (3, P).

    Args:
        world: The scene.
        view: The image.
        inverse_depth: 1 / z of those pixels, (P,).
        pixels: Flat indices, (P,).
    """
    road = world.road
    x = view.rays[0].ravel().take(pixels) / inverse_depth
    y = view.rays[1].ravel().take(pixels) / inverse_depth + float(view.eye[1])
    lateral = _lateral(road, x, y)
    pixels_per_m = inverse_depth * view.focal
    zone = _zones(road, x, lateral)
    colours, mottles = _palette(road)
    fine = sample(speckle(), x * _FINE_TEXELS_PER_M, y * _FINE_TEXELS_PER_M, world.grain)
    # What is finer than a pixel averages out with distance.
    fine *= np.minimum(pixels_per_m * (0.6 / _FINE_TEXELS_PER_M), 1.0)
    coarse = sample(billows(), x * _COARSE_TEXELS_PER_M, y * _COARSE_TEXELS_PER_M, world.grain)
    coarse *= np.minimum(pixels_per_m * (2.0 / _COARSE_TEXELS_PER_M), 1.0)
    fine += coarse
    fine *= mottles.take(zone)
    gain = np.maximum(fine + 1.0, 0.2)
    out = colours.take(zone, axis=1)
    out *= gain
    # Down the image a pixel spans more of the road's width the farther the road is to the side.
    aside = np.abs(y - float(view.eye[1])) * (1.0 / float(view.eye[2]))
    cover = _paint_cover(road, x, lateral, pixels_per_m / (aside + 1.0))
    cover *= np.minimum(gain, 1.0)
    cover *= _PAINT
    out *= 1.0 - cover * (1.0 / _PAINT)
    out += cover
    return out


def _lateral(road: Road, x: Floats, y: Floats) -> Floats:
    """Metres to the left of the road's origin, measured across it."""
    if road.curvature == 0.0:
        return y
    bent: Floats = x.clip(-_BEND_ENDS_M, _BEND_ENDS_M)
    slope = bent * road.curvature
    middle = slope * (x - bent * 0.5)
    offset: Floats = y - middle
    offset /= np.sqrt(slope * slope + 1.0)
    return offset


# Zones, by the edges passed from right to left.
_RIGHT_OPEN, _RIGHT_PAVEMENT, _RIGHT_KERB, _ASPHALT = 0, 1, 2, 3


def _zones(road: Road, x: Floats, lateral: Floats) -> NDArray[np.intp]:
    left, right = road.left, road.right
    edges = (
        -right.edge - right.pavement,
        -right.edge - _KERB_M,
        -right.edge,
        left.edge,
        left.edge + _KERB_M,
        left.edge + left.pavement,
    )
    zone = np.zeros(lateral.shape, dtype=np.int8)
    for edge in edges:
        zone += lateral > edge
    if road.crossing is not None:
        begin, end = road.crossing
        zone[(x > begin) & (x < end)] = _ASPHALT
    return zone.astype(np.intp)


def _palette(road: Road) -> tuple[Floats, Floats]:
    """Colours (3, 7) and mottling (7,) of the zones from right to left."""

    def outwards(side: Side) -> list[tuple[float, ...]]:
        kerb = tuple(1.25 * c for c in side.pavement_colour)
        return [(*kerb, 0.05), (*side.pavement_colour, 0.07), (*side.open_colour, side.open_mottle)]

    tar = road.asphalt
    rows = [*outwards(road.right)[::-1], (tar, tar, tar * 1.03, 0.09), *outwards(road.left)]
    table = np.array(rows, dtype=np.float32)
    return np.ascontiguousarray(table[:, :3].T), table[:, 3]


def _paint_cover(road: Road, x: Floats, lateral: Floats, pixels_per_m: Floats) -> Floats:
    """The share of each pixel under white paint."""
    cover = np.zeros_like(lateral)
    for line in road.lines:
        cover = np.maximum(cover, _line_cover(line, x, lateral, pixels_per_m))
    if road.crossing is not None:
        begin, end = road.crossing
        cover *= (x < begin - 0.5) | (x > end + 0.5)
        if road.zebra:
            on_road = (lateral > 0.3 - road.right.edge) & (lateral < road.left.edge - 0.3)
            bars = (x > begin - 4.5) & (x < begin - 1.5) & on_road
            stripe = _fraction(lateral, 1.0) < 0.54
            cover = np.where(bars, stripe, cover)
    return np.asarray(cover, dtype=np.float32)


def _line_cover(line: Line, x: Floats, lateral: Floats, pixels_per_m: Floats) -> Floats:
    # The overlap of the line with a pixel's width on the road, as a share of that width.
    half_pixel = 0.5 / pixels_per_m
    off = np.abs(lateral - line.lateral)
    cover = np.minimum(off + half_pixel, 0.5 * line.width)
    cover -= np.maximum(off - half_pixel, -0.5 * line.width)
    cover *= pixels_per_m
    np.maximum(cover, 0.0, out=cover)
    if line.dash:
        cover *= _fraction(x, line.dash + line.gap) < line.dash / (line.dash + line.gap)
    return cover


def _fraction(x: Floats, period: float) -> Floats:
    turns = x * (1.0 / period)
    turns -= np.floor(turns)
    return turns
