"""Sun, sky, air and film of a scene, drawn together because a camera exposes for the light."""

from __future__ import annotations

import math

from nano.data.scenes.dice import Dice
from nano.data.scenes.shapes import Rgb
from nano.data.scenes.world import Film, Light


def light_and_film(dice: Dice) -> tuple[Light, Film]:
    """Somewhere between a clear noon, a low evening sun and an overcast or foggy day."""
    elevation = math.radians(dice.uniform(14.0, 62.0))
    azimuth = dice.uniform(0.0, 2.0 * math.pi)
    overcast = dice.chance(0.28)
    clouds = dice.uniform(0.75, 1.0) if overcast else dice.uniform(0.05, 0.8)
    strength = dice.uniform(0.12, 0.5) if overcast else dice.uniform(1.3, 2.2)
    warmth = max(0.0, min(1.0, (math.radians(32.0) - elevation) / math.radians(18.0)))
    sun = (strength, strength * (0.94 - 0.18 * warmth), strength * (0.85 - 0.38 * warmth))
    ambient: Rgb = (0.62, 0.65, 0.70) if overcast else (0.42, 0.48, 0.58)
    # The camera meters mostly ground: its brightness, with some error, ends up at the same grey.
    metered = sum(ambient) / 3 + 0.75 * math.sin(elevation) * sum(sun) / 3
    exposure = 1.35 / metered * math.exp(dice.normal(0.22))
    bright = dice.uniform(0.8, 1.1) / exposure
    grey = clouds * clouds
    zenith = _blend((0.16, 0.32, 0.66), (0.50, 0.54, 0.60), grey)
    horizon = _blend((0.62, 0.72, 0.82), (0.70, 0.73, 0.76), grey)
    horizon = _blend(horizon, (0.86, 0.72, 0.56), 0.6 * warmth * (1.0 - grey))
    foggy = dice.chance(0.10)
    haze = dice.uniform(0.008, 0.022) if foggy else 0.0004 * math.exp(dice.uniform(0.0, 2.2))
    level = math.cos(elevation)
    light = Light(
        to_sun=(level * math.cos(azimuth), level * math.sin(azimuth), math.sin(elevation)),
        sun=sun,
        ambient=ambient,
        zenith=_scaled(zenith, bright),
        horizon=_scaled(horizon, bright),
        clouds=clouds,
        haze=haze,
    )
    film = Film(
        exposure=exposure,
        contrast=dice.uniform(0.0, 0.45),
        balance=(1.0 + dice.normal(0.05), 1.0, 1.0 + dice.normal(0.06)),
        noise=dice.uniform(0.5, 3.5),
        softness=dice.uniform(0.04, 0.14),
    )
    return light, film


def _blend(one: Rgb, other: Rgb, share: float) -> Rgb:
    a, b, c = (x + (y - x) * share for x, y in zip(one, other, strict=True))
    return a, b, c


def _scaled(colour: Rgb, factor: float) -> Rgb:
    return colour[0] * factor, colour[1] * factor, colour[2] * factor
