"""How surfaces are painted: windows, wheels, lamps, bricks, in metres on the surface itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from nano.data.scenes.shapes import Pattern
from nano.data.scenes.texture import Floats, sample, speckle


def _colour(red: float, green: float, blue: float) -> Floats:
    """A reflectance to paint with, (3, 1)."""
    return np.array(((red,), (green,), (blue,)), dtype=np.float32)


_GLASS = _colour(0.035, 0.042, 0.050)
_TYRE = _colour(0.012, 0.012, 0.013)
_RIM = _colour(0.30, 0.30, 0.31)
_GAP = _colour(0.004, 0.004, 0.004)
_GRILLE = _colour(0.02, 0.02, 0.022)
_SHEEN = _colour(0.55, 0.60, 0.66)
_RED_LAMP = _colour(0.55, 0.015, 0.01)
_WHITE_LAMP = _colour(0.85, 0.85, 0.80)
_PLATE = _colour(0.60, 0.60, 0.56)
_ROUTE = _colour(0.50, 0.25, 0.02)
# Burning lamps outshine what they reflect.
_SIGNALS = (_colour(3.0, 0.1, 0.05), _colour(2.5, 1.1, 0.05), _colour(0.1, 2.2, 0.7))


@dataclass(frozen=True, kw_only=True)
class Patch:
    """The pixels that show one pattern.

    Attributes:
        albedo: Reflectance so far, (3, n); painted upon.
        accent: The surfaces' second colour, (3, n).
        s: Metres along the surface: towards the front on flanks and lids, left on ends, (n,).
        t: Metres above the foot of the solid, (n,).
        half: Half the extent in s, (n,).
        rise: Height of the solid, (n,).
        parameters: As Surface lists them, (4, n).
        sharp_s: Pixels for each metre along s, (n,).
        sharp: Pixels for each metre across the line of sight, (n,).
    """

    albedo: Floats
    accent: Floats
    s: Floats
    t: Floats
    half: Floats
    rise: Floats
    parameters: Floats
    sharp_s: Floats
    sharp: Floats

    def paint(self, colour: Floats, cover: Floats) -> None:
        """Put a colour, (3, 1) or (3, n), over a share of each pixel, (n,)."""
        over = colour - self.albedo
        over *= cover
        self.albedo[...] += over

    def shade(self, factor: Floats) -> None:
        """Multiply the reflectance by (n,)."""
        self.albedo[...] *= factor

    def within_s(self, low: Floats | float, high: Floats | float) -> Floats:
        """The share of each pixel with s between two bounds."""
        return _between(self.s, low, high, self.sharp_s)

    def within_t(self, low: Floats | float, high: Floats | float) -> Floats:
        """The share of each pixel with t between two bounds."""
        return _between(self.t, low, high, self.sharp)


def _between(x: Floats, low: Floats | float, high: Floats | float, sharp: Floats) -> Floats:
    """The overlap of a pixel 1 / sharp wide with an interval."""
    half_pixel = 0.5 / sharp
    cover = np.minimum(x + half_pixel, high) - np.maximum(x - half_pixel, low)
    cover *= sharp
    return np.maximum(cover, 0.0, out=cover)


def _facade(patch: Patch) -> None:
    share_s, share_t, storey, shop = patch.parameters
    count = np.maximum(np.floor(patch.half * (2.0 / 2.8)), 1.0)
    width = 2.0 * patch.half / count
    cell = (patch.s + patch.half) / width
    column = np.floor(cell)
    across = (cell - column - 0.5) * width
    level = patch.t / storey
    row = np.floor(level)
    up = (level - row - 0.5) * storey
    is_shop = shop * (row < 0.5)
    half_s = 0.5 * width * (share_s + is_shop * (0.86 - share_s))
    half_t = 0.5 * storey * (share_t + is_shop * (0.70 - share_t))
    up += is_shop * (0.08 * storey)
    fits = ((row + 1.0) * storey <= patch.rise + 0.1) & (patch.t < patch.rise - 0.35)
    # Panes reflect differing parts of the surroundings; a few show a curtain.
    glint = np.abs(sample(speckle(), column * 37.0 + patch.half * 61.0, row * 53.0))
    frame = _between(across, -half_s - 0.09, half_s + 0.09, patch.sharp_s)
    frame *= _between(up, -half_t - 0.14, half_t + 0.09, patch.sharp) * fits
    pane = _between(across, -half_s, half_s, patch.sharp_s)
    pane *= _between(up, -half_t, half_t, patch.sharp) * fits
    patch.shade(1.0 - 0.25 * patch.within_t(-9.0, 0.6))
    patch.paint(patch.accent, np.maximum(patch.within_t(patch.rise - 0.3, patch.rise + 9.0), frame))
    tone = np.where(glint > 1.7, 6.0, 0.8 + 1.5 * glint)
    patch.paint(_GLASS * tone, pane)


def _wheels(patch: Patch) -> None:
    front, rear, radius, _ = patch.parameters
    offset = np.where(patch.s > (front + rear) * 0.5, patch.s - front, patch.s - rear)
    distance = np.sqrt(offset * offset + np.square(patch.t - radius))
    patch.paint(_GAP, patch.within_t(-9.0, 0.55 * radius))
    for grow, colour in ((1.18, _GAP), (1.0, _TYRE), (0.62, _RIM), (0.22, _TYRE)):
        cover = (grow * radius - distance) * patch.sharp_s
        cover += 0.5
        patch.paint(colour, np.clip(cover, 0.0, 1.0, out=cover))


def _car_side(patch: Patch) -> None:
    _sheet_metal(patch)
    low = 0.62 * patch.rise
    lamp = patch.within_t(low, low + 0.14)
    patch.paint(_RED_LAMP, lamp * patch.within_s(-patch.half - 1.0, -patch.half + 0.24))
    patch.paint(_WHITE_LAMP, lamp * patch.within_s(patch.half - 0.30, patch.half + 1.0))
    patch.paint(_GAP, 0.7 * patch.within_s(-0.02, 0.02) * patch.within_t(0.3, 9.0))
    _wheels(patch)


def _sheet_metal(patch: Patch) -> None:
    """Paint that mirrors the sky above its shoulder line and the road below."""
    height = patch.t / patch.rise
    patch.shade(0.62 + 0.5 * height)
    sheen = patch.within_t(0.80 * patch.rise, 0.92 * patch.rise)
    patch.paint(_SHEEN, 0.16 * sheen)


def _van_side(patch: Patch) -> None:
    glazed = patch.parameters[3]
    _car_side(patch)
    head = patch.rise - 0.28
    band = patch.within_t(0.56 * patch.rise, head)
    door = patch.within_s(patch.half - 2.15, patch.half - 1.22 - 0.5 * (patch.t - 1.2))
    rest = patch.within_s(-patch.half + 0.25, patch.half - 2.3) * glazed
    patch.paint(_GLASS, band * np.maximum(door, rest))


def _car_end(patch: Patch, *, is_front: bool) -> None:
    _sheet_metal(patch)
    side = np.abs(patch.s)
    inner, outer = 0.60 * patch.half, 0.97 * patch.half
    lamp = _between(side, inner, outer, patch.sharp_s)
    rise: Floats = patch.rise.clip(max=1.1)
    if is_front:
        patch.paint(_GRILLE, patch.within_t(0.40, 0.62 * rise) * (side < 0.55 * outer))
        patch.paint(_WHITE_LAMP, lamp * patch.within_t(0.58 * rise, 0.74 * rise))
    else:
        patch.paint(_RED_LAMP, lamp * patch.within_t(0.66 * rise, 0.90 * rise))
    patch.shade(1.0 - 0.35 * patch.within_t(-9.0, 0.42))
    plate = _between(side, -1.0, 0.26, patch.sharp_s)
    low = 0.38 if is_front else 0.52
    patch.paint(_PLATE, plate * patch.within_t(low, low + 0.12))
    patch.paint(_GAP, patch.within_t(-9.0, 0.22))
    tyre = _between(side, 0.72 * patch.half, 0.97 * patch.half, patch.sharp_s)
    patch.paint(_TYRE, tyre * patch.within_t(-9.0, 0.25))


def _car_front(patch: Patch) -> None:
    _car_end(patch, is_front=True)


def _car_rear(patch: Patch) -> None:
    _car_end(patch, is_front=False)


def _mirrored(patch: Patch, cover: Floats, bottom: Floats | float) -> None:
    """Glass: dark, paler upwards where it mirrors the sky."""
    up = np.clip((patch.t - bottom) / np.maximum(patch.rise - bottom, 0.2), 0.0, 1.0)
    tone = 0.7 + 2.2 * up * up
    patch.paint(_GLASS * tone, cover)


def _side_glass(patch: Patch) -> None:
    rear, front, rear_lean, front_lean = patch.parameters
    low, high = rear + rear_lean * patch.t, front + front_lean * patch.t
    pane = patch.within_s(low, high) * patch.within_t(0.05, patch.rise - 0.08)
    middle = 0.5 * (rear + front) - 0.1
    pane *= 1.0 - patch.within_s(middle - 0.06, middle + 0.06)
    _mirrored(patch, pane, 0.0)


def _glass(patch: Patch) -> None:
    foot, head, bottom, _ = patch.parameters
    climb = np.clip((patch.t - bottom) / np.maximum(patch.rise - bottom, 0.2), 0.0, 1.0)
    edge = foot + (head - foot) * climb - 0.09
    pane = _between(np.abs(patch.s), -1.0, edge, patch.sharp_s)
    pane *= patch.within_t(bottom + 0.04, patch.rise - 0.07)
    _mirrored(patch, pane, bottom)


def _bus_side(patch: Patch) -> None:
    patch.shade(0.75 + 0.3 * patch.t / patch.rise)
    patch.paint(patch.accent, patch.within_t(0.3, 0.95))
    bay = patch.s / 1.45
    bay = np.abs(bay - np.floor(bay) - 0.5) * 1.45
    pane = _between(bay, -1.0, 0.66, patch.sharp_s) * patch.within_t(1.15, 2.45)
    _mirrored(patch, pane, 1.0)
    _wheels(patch)


def _bus_end(patch: Patch) -> None:
    is_front = patch.parameters[0]
    side = np.abs(patch.s)
    patch.paint(patch.accent, patch.within_t(0.3, 0.95))
    pane = _between(side, -1.0, patch.half - 0.14, patch.sharp_s)
    low = 1.45 - 0.45 * is_front
    _mirrored(patch, pane * patch.within_t(low, 2.5), 1.0)
    patch.paint(
        _ROUTE,
        _between(side, -1.0, 0.6, patch.sharp_s) * patch.within_t(2.62, 2.85) * is_front,
    )
    lamp = _between(side, 0.72 * patch.half, 0.94 * patch.half, patch.sharp_s)
    lamp *= patch.within_t(0.62, 0.86)
    patch.paint(_WHITE_LAMP, lamp * is_front)
    patch.paint(_RED_LAMP, lamp * (1.0 - is_front))
    patch.paint(_GAP, patch.within_t(-9.0, 0.28))


def _cargo(patch: Patch) -> None:
    share, spacing, *_ = patch.parameters
    rib = patch.s / spacing
    rib = (np.abs(rib - np.floor(rib) - 0.5)) * spacing
    patch.paint(patch.accent, patch.within_t(0.12 * patch.rise, (0.12 + share) * patch.rise))
    patch.shade(1.0 - 0.22 * _between(rib, -1.0, 0.04, patch.sharp_s))
    patch.shade(1.0 - 0.5 * patch.within_t(-9.0, 0.1))


def _leaves(patch: Patch) -> None:
    strength = patch.parameters[0]
    leaf = sample(speckle(), patch.s * 17.0, patch.t * 17.0)
    leaf *= strength * np.minimum(patch.sharp * 0.06, 1.0)
    patch.shade(np.maximum(1.0 + leaf, 0.25) * (0.7 + 0.4 * patch.t / patch.rise))


def _bricks(patch: Patch) -> None:
    height, length, *_ = patch.parameters
    row = np.floor(patch.t / height)
    along = patch.s / length + 0.5 * row
    joint = np.abs(along - np.floor(along) - 0.5) * length
    course = np.abs(patch.t / height - row - 0.5) * height
    gap = _between(joint, -1.0, 0.012, patch.sharp_s)
    gap = np.maximum(gap, _between(course, -1.0, 0.012, patch.sharp))
    patch.shade(1.0 - 0.5 * gap)
    shift = sample(speckle(), np.floor(along) * 71.0, row * 29.0)
    patch.shade(1.0 + 0.10 * shift * np.minimum(patch.sharp * 0.1, 1.0))


def _sign(patch: Patch) -> None:
    border = 0.12
    inside = _between(np.abs(patch.s), -1.0, patch.half - border, patch.sharp_s)
    inside *= patch.within_t(border, patch.rise - border)
    patch.paint(patch.accent, 1.0 - inside)
    bar = patch.within_t(0.42 * patch.rise, 0.58 * patch.rise)
    patch.paint(patch.accent, bar * (np.abs(patch.s) < 0.55 * patch.half))


def _signal(patch: Patch) -> None:
    burning = patch.parameters[0]
    for order, colour in enumerate(_SIGNALS):
        height = patch.t - patch.rise * (5 - 2 * order) / 6
        distance = np.sqrt(patch.s * patch.s + height * height)
        cover: Floats = np.clip((0.11 - distance) * patch.sharp + 0.5, 0.0, 1.0)
        cover[burning != order] *= 0.02
        patch.paint(colour, cover)


def _tiles(patch: Patch) -> None:
    course = patch.t / patch.parameters[0]
    course -= np.floor(course)
    fade = np.minimum(patch.sharp * 0.06, 1.0)
    patch.shade(1.0 - 0.25 * fade * (1.0 - course))


PAINTERS: dict[Pattern, Callable[[Patch], None]] = {
    Pattern.FACADE: _facade,
    Pattern.CAR_SIDE: _car_side,
    Pattern.CAR_FRONT: _car_front,
    Pattern.CAR_REAR: _car_rear,
    Pattern.SIDE_GLASS: _side_glass,
    Pattern.GLASS: _glass,
    Pattern.VAN_SIDE: _van_side,
    Pattern.BUS_SIDE: _bus_side,
    Pattern.BUS_END: _bus_end,
    Pattern.CARGO: _cargo,
    Pattern.LEAVES: _leaves,
    Pattern.BRICKS: _bricks,
    Pattern.SIGN: _sign,
    Pattern.SIGNAL: _signal,
    Pattern.TILES: _tiles,
}
