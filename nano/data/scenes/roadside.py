"""What stands beside a road: walls, hedges, trees, poles, signs, people."""

from __future__ import annotations

import math

from nano.data.scenes.dice import Dice
from nano.data.scenes.shapes import Pattern, Place, Rgb, Round, Solid, Surface, box, skin

_BRICKS: tuple[Rgb, ...] = (
    (0.34, 0.17, 0.11),
    (0.28, 0.14, 0.10),
    (0.38, 0.24, 0.17),
    (0.42, 0.38, 0.31),
    (0.50, 0.48, 0.44),
)
_LEAVES: tuple[Rgb, ...] = (
    (0.055, 0.110, 0.025),
    (0.075, 0.130, 0.030),
    (0.045, 0.085, 0.030),
    (0.095, 0.140, 0.040),
    (0.110, 0.130, 0.030),
    (0.040, 0.075, 0.035),
)
_AUTUMN: tuple[Rgb, ...] = ((0.26, 0.15, 0.03), (0.24, 0.09, 0.03), (0.20, 0.15, 0.04))
_CLOTHES: tuple[Rgb, ...] = (
    (0.03, 0.03, 0.04),
    (0.05, 0.07, 0.16),
    (0.10, 0.10, 0.11),
    (0.30, 0.28, 0.25),
    (0.35, 0.04, 0.04),
    (0.55, 0.53, 0.50),
    (0.08, 0.20, 0.12),
    (0.45, 0.30, 0.06),
)
_SKIN_TONES: tuple[Rgb, ...] = ((0.48, 0.30, 0.22), (0.30, 0.17, 0.11), (0.12, 0.065, 0.04))
_SIGNS: tuple[tuple[Rgb, Rgb], ...] = (
    ((0.75, 0.75, 0.72), (0.50, 0.03, 0.03)),
    ((0.03, 0.10, 0.45), (0.75, 0.75, 0.75)),
    ((0.70, 0.50, 0.03), (0.03, 0.03, 0.03)),
    ((0.02, 0.22, 0.10), (0.75, 0.75, 0.75)),
    ((0.50, 0.03, 0.03), (0.75, 0.75, 0.75)),
)
_DETAIL_M = 40.0
_ARM_VISIBLE_M = 28.0  # beyond, a pole is thinner than a pixel and its arm would seem to float
_METAL: Rgb = (0.20, 0.21, 0.21)


def wall(dice: Dice, place: Place, *, length: float) -> Solid:
    """A garden wall or board fence."""
    x, y, heading = place
    if dice.chance(0.5):
        look = Surface(
            colour=dice.pick(_BRICKS),
            pattern=Pattern.BRICKS,
            parameters=(
                0.25,
                0.5,
            ),
            mottle=0.15,
        )
        top, width = dice.uniform(0.9, 2.2), 0.3
    else:
        shade = dice.uniform(0.6, 1.2)
        look = Surface(
            colour=(0.24 * shade, 0.16 * shade, 0.10 * shade),
            pattern=Pattern.BRICKS,
            parameters=(
                9.0,
                0.3,
            ),
            mottle=0.2,
        )
        top, width = dice.uniform(1.0, 1.9), 0.1
    surfaces = skin(look, top=Surface(colour=(0.35, 0.34, 0.32)))
    return box(x=x, y=y, heading=heading, top=top, length=length, width=width, surfaces=surfaces)


def hedge(dice: Dice, place: Place, *, length: float) -> Solid:
    """A clipped hedge."""
    x, y, heading = place
    surfaces = leaves(dice)
    half, side = length / 2, dice.uniform(0.4, 0.7)
    return Solid(
        x=x,
        y=y,
        heading=heading,
        top=dice.uniform(0.8, 2.3),
        foot=(-half, half, side),
        head=(0.15 - half, half - 0.15, side - 0.12),
        skin=skin(surfaces),
    )


def leaves(dice: Dice) -> Surface:
    """Foliage of some green, seldom of autumn."""
    colour = dice.pick(_AUTUMN) if dice.chance(0.08) else dice.pick(_LEAVES)
    shade = dice.uniform(0.8, 1.25)
    return Surface(
        colour=(colour[0] * shade, colour[1] * shade, colour[2] * shade),
        pattern=Pattern.LEAVES,
        parameters=(dice.uniform(0.35, 0.5),),
    )


def tree(dice: Dice, place: Place) -> tuple[list[Solid], list[Round]]:
    """A tree: a round trunk, and a crown of a few ragged lumps."""
    x, y, _ = place
    green = leaves(dice)
    if dice.chance(0.15):
        half = dice.uniform(2.0, 4.0)
        poplar = _lump(x, y, 0.5 + half, 0.32 * half, half, green)
        return [], [_pole(x, y, 1.5, 0.06 + 0.04 * half, _bark(dice)), poplar]
    radius = dice.uniform(1.1, 2.6)
    clear = dice.uniform(1.9, 3.2)
    height = radius * dice.uniform(0.85, 1.25)
    z = clear + 0.8 * height
    trunk = Round(
        x=x,
        y=y,
        z=z / 2,
        radius=0.07 + 0.07 * radius,
        half_height=z / 2,
        surface=_bark(dice),
        is_cylinder=True,
    )
    lumps = [_lump(x, y, z, radius * 0.85, height, green)]
    # Far away one lump more already breaks the outline.
    for _ in range(dice.integer(2, 3) if x < _DETAIL_M else 1):
        angle, out = dice.uniform(0.0, 2 * math.pi), dice.uniform(0.35, 0.6) * radius
        lumps.append(
            _lump(
                x + out * math.cos(angle),
                y + out * math.sin(angle),
                z + dice.uniform(-0.35, 0.4) * height,
                radius * dice.uniform(0.5, 0.65),
                height * dice.uniform(0.45, 0.65),
                green,
            )
        )
    return [], [trunk, *lumps]


def _lump(x: float, y: float, z: float, radius: float, height: float, green: Surface) -> Round:
    return Round(x=x, y=y, z=z, radius=radius, half_height=height, surface=green, ragged=0.16)


def _bark(dice: Dice) -> Surface:
    shade = dice.uniform(0.7, 1.3)
    return Surface(colour=(0.11 * shade, 0.085 * shade, 0.065 * shade), mottle=0.3)


def bush(dice: Dice, place: Place) -> Round:
    """A low bush."""
    x, y, _ = place
    radius = dice.uniform(0.5, 1.2)
    return _lump(x, y, 0.4 * radius, radius, 0.8 * radius, leaves(dice))


def woods(dice: Dice, *, x: float, y: float) -> Round:
    """A far wood or wooded hill, as one flat ragged ellipsoid."""
    green = leaves(dice)
    return Round(
        x=x,
        y=y,
        z=0.0,
        radius=dice.uniform(25.0, 60.0),
        half_height=dice.uniform(5.0, 14.0),
        surface=green,
        ragged=0.06,
        casts_shadow=False,
    )


def lamp(dice: Dice, place: Place, *, towards_road: float) -> tuple[list[Solid], list[Round]]:
    """A street lamp whose arm reaches towards the road (+1 if that is to its left)."""
    x, y, heading = place
    height = dice.uniform(5.0, 8.5)
    metal = Surface(colour=_METAL, mottle=0.03)
    if x > _ARM_VISIBLE_M:
        return [], [_pole(x, y, height, 0.09, metal)]
    reach = 1.3 * towards_road
    arm_x, arm_y = x - math.sin(heading) * reach / 2, y + math.cos(heading) * reach / 2
    arm = box(
        x=arm_x,
        y=arm_y,
        heading=heading,
        base=height - 0.12,
        top=height,
        length=0.12,
        width=1.5,
        surfaces=skin(metal),
    )
    return [arm], [_pole(x, y, height, 0.09, metal)]


def _pole(x: float, y: float, height: float, radius: float, surface: Surface) -> Round:
    return Round(
        x=x,
        y=y,
        z=height / 2,
        radius=radius,
        half_height=height / 2,
        surface=surface,
        is_cylinder=True,
    )


def sign(dice: Dice, place: Place) -> tuple[list[Solid], list[Round]]:
    """A road sign on a post, facing the traffic."""
    x, y, heading = place
    width, height = dice.uniform(0.55, 0.9), dice.uniform(0.55, 1.0)
    foot = dice.uniform(1.8, 2.3)
    ground, border = dice.pick(_SIGNS)
    face = Surface(colour=ground, accent=border, pattern=Pattern.SIGN, mottle=0.02)
    metal = Surface(colour=_METAL, mottle=0.03)
    plate = box(
        x=x - 0.08,
        y=y,
        heading=heading + dice.uniform(-0.15, 0.15),
        base=foot,
        top=foot + height,
        length=0.05,
        width=width,
        surfaces=skin(metal, rear=face),
    )
    return [plate], [_pole(x, y, foot + height, 0.05, metal)]


def signal(dice: Dice, place: Place) -> tuple[list[Solid], list[Round]]:
    """A traffic light."""
    x, y, heading = place
    metal = Surface(colour=(0.10, 0.105, 0.10), mottle=0.03)
    lamps = Surface(
        colour=(0.02, 0.02, 0.02),
        pattern=Pattern.SIGNAL,
        parameters=(float(dice.integer(0, 2)),),
    )
    head = box(
        x=x - 0.2,
        y=y,
        heading=heading,
        base=2.3,
        top=3.25,
        length=0.25,
        width=0.34,
        surfaces=skin(Surface(colour=(0.02, 0.02, 0.02)), rear=lamps),
    )
    return [head], [_pole(x, y, 3.2, 0.06, metal)]


def person(dice: Dice, place: Place) -> list[Round]:
    """Somebody standing or walking: legs, trunk, head."""
    x, y, _ = place
    height = dice.uniform(1.5, 1.9)
    stride = dice.uniform(0.05, 0.16)
    trousers = Surface(colour=dice.pick(_CLOTHES), mottle=0.1)
    coat = Surface(colour=dice.pick(_CLOTHES), mottle=0.1)
    face = Surface(colour=dice.pick(_SKIN_TONES), mottle=0.05)
    hip = 0.48 * height
    legs = [
        Round(
            x=x + side * stride,
            y=y + side * 0.09,
            z=hip / 2,
            radius=0.09,
            half_height=hip / 2,
            surface=trousers,
            is_cylinder=True,
        )
        for side in (-1.0, 1.0)
    ]
    trunk = Round(x=x, y=y, z=0.66 * height, radius=0.24, half_height=0.23 * height, surface=coat)
    head = Round(x=x, y=y, z=height - 0.12, radius=0.105, half_height=0.13, surface=face)
    return [*legs, trunk, head]
