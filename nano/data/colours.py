"""Two colour tables for depth and error, even to the eye and safe for colour-blind readers.

Both are lines through OKLCh (Ottosson 2020), a space in which equal steps look equal. Lightness
changes monotonically along each, so that order survives any colour blindness and grey printing.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

STEPS = 256
UNKNOWN = (40, 40, 44)  # dark grey: no truth there, or not compared

# From OKLab to the cone responses' cube roots, and from cone responses to linear sRGB.
_TO_CONES = np.array(
    [
        [1.0, 0.3963377774, 0.2158037573],
        [1.0, -0.1055613458, -0.0638541728],
        [1.0, -0.0894841775, -1.2914855480],
    ]
)
_TO_LINEAR = np.array(
    [
        [4.0767416621, -3.3077115913, 0.2309699292],
        [-1.2684380046, 2.6097574011, -0.3413193965],
        [-0.0041960863, -0.7034186147, 1.7076147010],
    ]
)


def colour_table(
    lightness: tuple[float, ...], chroma: tuple[float, ...], hue: tuple[float, ...]
) -> NDArray[np.uint8]:
    """STEPS colours, uint8 STEPS x 3, along evenly spaced knots in OKLCh.

    Args:
        lightness: 0 black to 1 white.
        chroma: 0 grey to about 0.3.
        hue: Degrees; 30 red, 90 yellow, 150 green, 260 blue, 330 magenta. May pass 360.
    """
    at = np.linspace(0, 1, STEPS)
    light, strength, angle = (
        np.interp(at, np.linspace(0, 1, len(knots)), knots) for knots in (lightness, chroma, hue)
    )
    angle = np.deg2rad(angle)
    lab = np.stack([light, strength * np.cos(angle), strength * np.sin(angle)], axis=1)
    linear = np.clip((lab @ _TO_CONES.T) ** 3 @ _TO_LINEAR.T, 0, 1)
    encoded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.round(encoded * 255).astype(np.uint8)


# Near is bright: yellow, orange, red, violet, dark blue.
DEPTH = colour_table(
    lightness=(0.96, 0.80, 0.64, 0.47, 0.29),
    chroma=(0.10, 0.16, 0.21, 0.19, 0.12),
    hue=(105.0, 66.0, 20.0, -35.0, -80.0),
)
# None is white; what is wrong turns orange, then dark red.
ERROR = colour_table(
    lightness=(0.985, 0.86, 0.70, 0.57, 0.46),
    chroma=(0.01, 0.09, 0.17, 0.19, 0.17),
    hue=(95.0, 80.0, 52.0, 32.0, 22.0),
)


def painted(share: NDArray[np.floating], table: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Colours of values in 0..1 (beyond: the ends); NaN is `UNKNOWN`. ``... -> ... x 3``."""
    known = np.nan_to_num(np.clip(share, 0, 1))
    colours = table[np.round(known * (STEPS - 1)).astype(np.intp)]
    colours[np.isnan(share)] = UNKNOWN
    return colours
