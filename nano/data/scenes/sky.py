"""The sky: a gradient, clouds on a level ceiling, and the glow around the sun."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nano.data.scenes.texture import Floats, billows, sample
from nano.data.scenes.view import View
from nano.data.scenes.world import World

_CEILING_TEXELS = 11.0  # texels of cloud for each unit of distance over height


def sky_colours(world: World, view: View, pixels: NDArray[np.intp]) -> Floats:
    """Linear colours of the sky pixels, (3, P).

    Args:
        world: The scene.
        view: The image.
        pixels: Flat indices, (P,).
    """
    light = world.light
    x, y, z = (view.rays[axis].ravel().take(pixels) for axis in range(3))
    z = np.maximum(z, 1e-3)
    climb = np.minimum(z * 2.2, 1.0)
    climb *= 2.0 - climb
    stretch = _CEILING_TEXELS / (z + 0.04)
    across = y * stretch
    along = x * (stretch * 0.8)
    cloud = sample(billows(), across, along, world.grain)
    cover = np.clip((cloud + (light.clouds * 4.0 - 2.2)) * 0.9, 0.0, 1.0)
    thick = np.clip(cloud * 0.12 + 0.85, 0.55, 1.1)
    # Clouds melt into the haze above the horizon.
    cover *= np.minimum(z * 9.0, 1.0)
    sx, sy, sz = light.to_sun
    glow = np.maximum(x * sx + y * sy + z * sz, 0.0) / np.sqrt(x * x + y * y + z * z)
    glow *= glow
    glow *= glow
    glow *= glow
    glow *= 0.5 * (1.0 - 0.7 * light.clouds)
    out = np.empty((3, len(pixels)), dtype=np.float32)
    for channel in range(3):
        low, high = light.horizon[channel], light.zenith[channel]
        out[channel] = climb * (high - low) + low
        white = 0.55 * low + 0.45 * max(light.horizon)
        out[channel] += (thick * white - out[channel]) * cover
        out[channel] += glow * light.sun[channel] * low
    return out
