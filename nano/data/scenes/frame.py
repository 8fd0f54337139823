"""A world becomes an image and its exact depth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nano.data.scenes.film import develop
from nano.data.scenes.geometry import NUM_FACES
from nano.data.scenes.ground import ground_reflectance
from nano.data.scenes.shadows import ground_light
from nano.data.scenes.sky import sky_colours
from nano.data.scenes.surfaces import round_colours, solid_colours
from nano.data.scenes.texture import Floats
from nano.data.scenes.view import View
from nano.data.scenes.visibility import GROUND, SKY, Visible, see
from nano.data.scenes.world import World, intrinsics

SMALLEST = 8  # pixels along either side


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A rendered frame.

    Attributes:
        image: uint8, height x width x 3, RGB.
        depth: float32, height x width, exact camera z in metres; 0 where there is only sky.
        intrinsics: fx, fy, cx, cy in pixels, pixel (i, j) being centred on the point (j, i).
    """

    image: NDArray[np.uint8]
    depth: NDArray[np.float32]
    intrinsics: tuple[float, float, float, float]


def render(world: World, size: tuple[int, int]) -> Scene:
    """Draw the world at a size of rows x columns."""
    if min(size) < SMALLEST:
        raise ValueError(f"scene size {size!r}: rows and columns must be at least {SMALLEST}")
    view = View.of(world.camera, size)
    visible = see(world, view)
    light = _light(world, view, visible)
    inverse = visible.inverse_depth
    depth = np.divide(1.0, inverse, out=np.zeros_like(inverse), where=inverse > 0)
    image = develop(light, world.film, world.grain)
    return Scene(image=image, depth=depth, intrinsics=intrinsics(size))


def _light(world: World, view: View, visible: Visible) -> Floats:
    """Linear colours seen by the camera, (3, H, W)."""
    label = visible.label.ravel()
    inverse = visible.inverse_depth.ravel()
    first_round = NUM_FACES * len(world.solids)
    out = np.zeros((3, label.size), dtype=np.float32)
    on_ground = np.flatnonzero(label == GROUND)
    if len(on_ground):
        _put(out, on_ground, _ground(world, view, visible, inverse.take(on_ground), on_ground))
    on_solids = np.flatnonzero((label >= 0) & (label < first_round))
    if visible.planes is not None and len(on_solids):
        _put(out, on_solids, solid_colours(world, view, visible, visible.planes, on_solids))
    on_rounds = np.flatnonzero(label >= first_round)
    if len(on_rounds):
        _put(out, on_rounds, round_colours(world, view, visible, on_rounds))
    _add_haze(out, inverse, world)
    in_sky = np.flatnonzero(label == SKY)
    if len(in_sky):
        _put(out, in_sky, sky_colours(world, view, in_sky))
    return out.reshape(3, *view.size)


def _put(out: Floats, pixels: NDArray[np.intp], colours: Floats) -> None:
    for channel in range(3):
        out[channel][pixels] = colours[channel]


def _ground(
    world: World, view: View, visible: Visible, inverse: Floats, pixels: NDArray[np.intp]
) -> Floats:
    colours = ground_reflectance(world, view, inverse, pixels)
    sun, sky = (part.ravel().take(pixels) for part in ground_light(world, view, visible.planes))
    sun *= sky
    up = world.light.to_sun[2]
    for channel in range(3):
        colours[channel] *= (
            sun * (world.light.sun[channel] * up) + sky * world.light.ambient[channel]
        )
    return colours


def _add_haze(out: Floats, inverse: Floats, world: World) -> None:
    """Blend towards the horizon with distance; 1 / (1 + x + x^2 / 2) stands in for exp(-x)."""
    k = world.light.haze
    clear = inverse * inverse
    clear /= np.maximum(clear + inverse * k + (0.5 * k * k), 1e-12)
    veil = 1.0 - clear
    for channel in range(3):
        plane = out[channel]
        plane *= clear
        plane += veil * world.light.horizon[channel]
