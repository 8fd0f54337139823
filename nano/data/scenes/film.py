"""From linear light to 8-bit RGB: lens blur, white balance, tone curve, sensor noise."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nano.data.scenes.texture import Floats, grain
from nano.data.scenes.world import Film


def develop(light: Floats, film: Film, seed: int) -> NDArray[np.uint8]:
    """Expose an image.

    The tone curve is a mixture of the square root and the identity, an adjustable gamma between
    2 and 1 that rounds alike on every machine.

    Args:
        light: Linear colours, (3, H, W); overwritten.
        film: How to expose.
        seed: Where in the noise bank to begin.

    Returns:
        uint8, (H, W, 3).
    """
    _blur(light, film.softness)
    _, height, width = light.shape
    noise = _noise(light.size, seed).reshape(light.shape)
    image = np.empty((height, width, 3), dtype=np.uint8)
    for channel in range(3):
        plane = light[channel]
        plane *= film.exposure * film.balance[channel]
        np.clip(plane, 0.0, 1.0, out=plane)
        root = np.sqrt(plane)
        root *= 255.0 * (1.0 - film.contrast)
        plane *= 255.0 * film.contrast
        plane += root
        plane += noise[channel] * film.noise
        plane += 0.5
        np.clip(plane, 0.0, 255.0, out=plane)
        image[..., channel] = plane
    return image


def _blur(light: Floats, weight: float) -> None:
    """Each pixel gives a share of its light to its four neighbours."""
    spread = light[:, 1:-1] * (1.0 - 2.0 * weight)
    spread += (light[:, :-2] + light[:, 2:]) * weight
    light[:, 1:-1] = spread
    spread = light[:, :, 1:-1] * (1.0 - 2.0 * weight)
    spread += (light[:, :, :-2] + light[:, :, 2:]) * weight
    light[:, :, 1:-1] = spread


def _noise(count: int, seed: int) -> Floats:
    bank = grain()
    start = (seed * 7919) % len(bank)
    copies = -(-(start + count) // len(bank))
    return np.tile(bank, copies)[start : start + count] if copies > 1 else bank[start:][:count]
