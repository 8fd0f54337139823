"""Buildings: town blocks, houses under gabled roofs, works halls."""

from __future__ import annotations

import math

from nano.data.scenes.dice import Dice
from nano.data.scenes.shapes import Pattern, Place, Rgb, Solid, Surface, box, skin

_WALLS: tuple[Rgb, ...] = (
    (0.52, 0.47, 0.38),
    (0.60, 0.57, 0.50),
    (0.66, 0.65, 0.62),
    (0.44, 0.36, 0.26),
    (0.34, 0.17, 0.11),
    (0.28, 0.14, 0.10),
    (0.38, 0.24, 0.17),
    (0.55, 0.42, 0.24),
    (0.56, 0.50, 0.30),
    (0.36, 0.37, 0.38),
    (0.30, 0.33, 0.36),
    (0.50, 0.30, 0.24),
    (0.42, 0.46, 0.42),
)
_ROOFS: tuple[Rgb, ...] = (
    (0.26, 0.10, 0.06),
    (0.20, 0.09, 0.06),
    (0.10, 0.09, 0.09),
    (0.14, 0.13, 0.13),
    (0.17, 0.12, 0.09),
)


def block(dice: Dice, place: Place, *, length: float, depth: float, storeys: int) -> list[Solid]:
    """A town building with a flat roof; its long side faces the road."""
    x, y, heading = place
    storey = dice.uniform(2.9, 3.5)
    wall = _facade(dice, storey, shop=dice.chance(0.4))
    top = storeys * storey + dice.uniform(0.3, 0.9)
    roof = Surface(colour=(0.16, 0.16, 0.16))
    walls = skin(wall, top=roof)
    solids = [box(x=x, y=y, heading=heading, top=top, length=length, width=depth, surfaces=walls)]
    if dice.chance(0.45):
        roof = Surface(colour=dice.pick(_ROOFS), pattern=Pattern.TILES, parameters=(0.5,))
        solids.append(
            Solid(
                x=x,
                y=y,
                heading=heading,
                base=top,
                top=top + dice.uniform(2.0, 3.5),
                foot=(-length / 2 - 0.2, length / 2 + 0.2, depth / 2 + 0.3),
                head=(1.5 - length / 2, length / 2 - 1.5, depth / 2 - 3.0),
                skin=skin(roof),
            )
        )
    return solids


def house(dice: Dice, place: Place, *, length: float, depth: float) -> list[Solid]:
    """A house under a gabled roof, whose ridge runs along the road or across it."""
    x, y, heading = place
    storey = dice.uniform(2.6, 2.9)
    top = storey * dice.integer(1, 2) + 0.4
    wall = _facade(dice, storey, shop=False)
    plaster = Surface(colour=wall.colour, mottle=wall.mottle)
    roof = Surface(colour=dice.pick(_ROOFS), pattern=Pattern.TILES, parameters=(0.4,))
    if dice.chance(0.4):
        heading, length, depth = heading + math.pi / 2, depth, length
    hip = dice.uniform(1.0, 2.5) if dice.chance(0.3) else 0.0
    solids = [
        box(x=x, y=y, heading=heading, top=top, length=length, width=depth, surfaces=skin(wall)),
        Solid(
            x=x,
            y=y,
            heading=heading,
            base=top,
            top=top + depth * dice.uniform(0.32, 0.5),
            foot=(-length / 2 - 0.15, length / 2 + 0.15, depth / 2 + 0.35),
            head=(hip - length / 2 - 0.15, length / 2 + 0.15 - hip, 0.05),
            skin=skin(roof, front=roof if hip else plaster, rear=roof if hip else plaster),
        ),
    ]
    if dice.chance(0.5):
        chimney = skin(Surface(colour=(0.22, 0.11, 0.08)))
        solids.append(
            box(
                x=x + 0.25 * length * math.cos(heading),
                y=y + 0.25 * length * math.sin(heading),
                heading=heading,
                base=top,
                top=top + depth * 0.5 + 0.6,
                length=0.6,
                width=0.6,
                surfaces=chimney,
            )
        )
    return solids


def shed(dice: Dice, place: Place, *, length: float, depth: float) -> list[Solid]:
    """A works hall: ribbed sheet metal, hardly a window."""
    x, y, heading = place
    colour = dice.pick((*_WALLS[8:], (0.45, 0.47, 0.48), (0.10, 0.16, 0.26)))
    ribs = Surface(
        colour=colour,
        accent=dice.pick(_WALLS),
        pattern=Pattern.CARGO,
        parameters=(
            dice.uniform(0.0, 0.3),
            dice.uniform(0.6, 1.2),
        ),
    )
    top = dice.uniform(4.5, 8.0)
    walls = skin(ribs, top=Surface(colour=(0.2, 0.2, 0.2)))
    return [box(x=x, y=y, heading=heading, top=top, length=length, width=depth, surfaces=walls)]


def _facade(dice: Dice, storey: float, *, shop: bool) -> Surface:
    wall = dice.pick(_WALLS)
    shade = dice.uniform(0.8, 1.15)
    trim = dice.pick(((0.68, 0.67, 0.64), (0.45, 0.43, 0.40), (0.16, 0.13, 0.11)))
    return Surface(
        colour=(wall[0] * shade, wall[1] * shade, wall[2] * shade),
        accent=trim,
        pattern=Pattern.FACADE,
        parameters=(
            dice.uniform(0.32, 0.55),
            dice.uniform(0.42, 0.58),
            storey,
            1.0 if shop else 0.0,
        ),
        mottle=dice.uniform(0.04, 0.12),
    )
