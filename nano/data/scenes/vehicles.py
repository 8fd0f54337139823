"""Cars, vans, buses and lorries as a few solids each."""

from __future__ import annotations

from dataclasses import dataclass, replace

from nano.data.scenes.dice import Dice
from nano.data.scenes.shapes import Pattern, Place, Rgb, Skin, Solid, Surface, skin

_BLACK: Rgb = (0.012, 0.012, 0.014)
_GLASS: Rgb = (0.030, 0.036, 0.042)
# Roughly what is sold: more than half are white, grey or black.
_PAINTS: tuple[Rgb, ...] = (
    (0.72, 0.72, 0.70),
    (0.66, 0.67, 0.68),
    (0.40, 0.41, 0.42),
    (0.30, 0.31, 0.33),
    (0.13, 0.135, 0.14),
    (0.05, 0.052, 0.056),
    (0.02, 0.02, 0.022),
    (0.022, 0.024, 0.03),
    (0.36, 0.02, 0.02),
    (0.20, 0.015, 0.02),
    (0.02, 0.06, 0.24),
    (0.03, 0.11, 0.33),
    (0.10, 0.17, 0.24),
    (0.04, 0.11, 0.06),
    (0.30, 0.26, 0.19),
    (0.48, 0.20, 0.03),
    (0.55, 0.44, 0.06),
)
_LORRY_PAINTS: tuple[Rgb, ...] = (
    (0.70, 0.70, 0.70),
    (0.62, 0.60, 0.55),
    (0.05, 0.14, 0.36),
    (0.42, 0.05, 0.04),
    (0.04, 0.22, 0.12),
    (0.60, 0.42, 0.05),
    (0.20, 0.21, 0.22),
)


@dataclass(frozen=True, kw_only=True)
class CarShape:
    """Proportions of a kind of car, in metres.

    Attributes:
        length: Bumper to bumper.
        width: Without mirrors.
        height: Of the roof.
        bonnet: From the front bumper to the foot of the windscreen.
        boot: From the rear bumper to the foot of the rear window.
        rear_rake: How far the rear window leans forward.
    """

    length: float
    width: float
    height: float
    bonnet: float
    boot: float
    rear_rake: float


_CARS = (
    CarShape(length=3.65, width=1.66, height=1.50, bonnet=0.80, boot=0.10, rear_rake=0.35),
    CarShape(length=4.10, width=1.75, height=1.46, bonnet=0.95, boot=0.12, rear_rake=0.50),
    CarShape(length=4.25, width=1.80, height=1.45, bonnet=1.00, boot=0.15, rear_rake=0.55),
    CarShape(length=4.65, width=1.82, height=1.43, bonnet=1.15, boot=0.80, rear_rake=0.60),
    CarShape(length=4.85, width=1.85, height=1.46, bonnet=1.20, boot=0.75, rear_rake=0.70),
    CarShape(length=4.70, width=1.82, height=1.48, bonnet=1.10, boot=0.10, rear_rake=0.40),
    CarShape(length=4.50, width=1.88, height=1.68, bonnet=1.10, boot=0.12, rear_rake=0.35),
    CarShape(length=4.80, width=1.94, height=1.74, bonnet=1.15, boot=0.12, rear_rake=0.30),
)


@dataclass(frozen=True, kw_only=True)
class Vehicle:
    """A vehicle around the world's origin, heading along x."""

    length: float
    solids: tuple[Solid, ...]

    def at(self, place: Place) -> list[Solid]:
        """Its solids with its middle put down there."""
        x, y, heading = place
        return [replace(solid, x=x, y=y, heading=heading) for solid in self.solids]


def car(dice: Dice) -> Vehicle:
    """A passenger car: a body with a bonnet, and a cabin of glass that leans in."""
    shape = dice.pick(_CARS)
    paint = dice.pick(_PAINTS)
    half, side = shape.length / 2, shape.width / 2
    waist = 0.63 * shape.height if shape.height < 1.6 else 0.62 * shape.height
    nose = 0.75 * waist
    windscreen = half - shape.bonnet
    wheel = 0.31 + 0.05 * (shape.height > 1.6)
    front_axle, rear_axle = half - 0.19 * shape.length, 0.19 * shape.length - half
    body = Solid(
        top=waist,
        foot=(-half, half, side),
        head=(0.07 - half, half - 0.10, side - 0.07),
        nose=nose,
        nose_slope=(waist - nose) / shape.bonnet,
        skin=_body_skin(paint, (front_axle, rear_axle, wheel, 0.0)),
    )
    foot = (shape.boot - half, windscreen, side - 0.08)
    head = (foot[0] + shape.rear_rake, windscreen - 0.75, side - 0.26)
    rise = shape.height - waist + 0.02
    metal = Surface(colour=paint, mottle=0.02)
    pane = _pane(foot, head, rise)
    screen = Surface(
        colour=paint,
        accent=_GLASS,
        pattern=Pattern.GLASS,
        parameters=(
            foot[2],
            head[2],
        ),
        mottle=0.02,
    )
    glass = Surface(
        colour=paint, accent=_GLASS, pattern=Pattern.SIDE_GLASS, parameters=pane, mottle=0.02
    )
    cabin = Solid(
        base=waist - 0.02,
        top=shape.height,
        foot=foot,
        head=head,
        skin=skin(glass, front=screen, rear=screen, top=metal),
    )
    return Vehicle(length=shape.length, solids=(body, cabin))


def _body_skin(paint: Rgb, axles: tuple[float, float, float, float]) -> Skin:
    flank = Surface(
        colour=paint, accent=_BLACK, pattern=Pattern.CAR_SIDE, parameters=axles, mottle=0.02
    )
    return skin(
        flank,
        front=Surface(colour=paint, accent=_BLACK, pattern=Pattern.CAR_FRONT, mottle=0.02),
        rear=Surface(colour=paint, accent=_BLACK, pattern=Pattern.CAR_REAR, mottle=0.02),
        top=Surface(colour=paint, mottle=0.02),
    )


def _pane(
    foot: tuple[float, float, float], head: tuple[float, float, float], rise: float
) -> tuple[float, float, float, float]:
    """Where the side windows begin and end at the foot and, by their slope, a metre above it."""
    rear, front = foot[0] + 0.14, foot[1] - 0.06
    return rear, front, (head[0] - foot[0]) / rise, (head[1] - foot[1]) / rise


def van(dice: Dice) -> Vehicle:
    """A delivery van or minibus: one solid whose nose is bonnet and windscreen."""
    paint = dice.pick(_PAINTS[:8] + _LORRY_PAINTS)
    length, width = dice.uniform(4.6, 5.6), dice.uniform(1.90, 2.05)
    top = dice.uniform(1.95, 2.45)
    half = length / 2
    glazed = 1.0 if dice.chance(0.35) else 0.0
    axles = (half - 0.85, 0.95 - half, 0.34, glazed)
    flank = Surface(
        colour=paint, accent=_BLACK, pattern=Pattern.VAN_SIDE, parameters=axles, mottle=0.02
    )
    screen = Surface(
        colour=paint,
        accent=_GLASS,
        pattern=Pattern.GLASS,
        parameters=(
            width / 2 - 0.04,
            width / 2 - 0.14,
            1.12,
        ),
        mottle=0.02,
    )
    solid = Solid(
        top=top,
        foot=(-half, half, width / 2),
        head=(0.06 - half, half - 0.1, width / 2 - 0.10),
        nose=1.0,
        nose_slope=dice.uniform(0.85, 1.15),
        skin=skin(
            flank,
            front=Surface(colour=paint, accent=_BLACK, pattern=Pattern.CAR_FRONT, mottle=0.02),
            rear=Surface(colour=paint, accent=_BLACK, pattern=Pattern.CAR_REAR, mottle=0.02),
            top=Surface(colour=paint, mottle=0.02),
            nose=screen,
        ),
    )
    return Vehicle(length=length, solids=(solid,))


def bus(dice: Dice) -> Vehicle:
    """A city bus with a band of windows."""
    paint = dice.pick(_LORRY_PAINTS)
    length, width, top = 11.5, 2.5, 3.05
    half = length / 2
    stripe = dice.pick(_PAINTS)
    flank = Surface(
        colour=paint,
        accent=stripe,
        pattern=Pattern.BUS_SIDE,
        parameters=(
            half - 2.6,
            3.2 - half,
            0.48,
        ),
        mottle=0.02,
    )
    ends = [
        Surface(
            colour=paint,
            accent=stripe,
            pattern=Pattern.BUS_END,
            parameters=(is_front,),
            mottle=0.02,
        )
        for is_front in (1.0, 0.0)
    ]
    solid = Solid(
        top=top,
        foot=(-half, half, width / 2),
        head=(0.04 - half, half - 0.15, width / 2 - 0.04),
        skin=skin(flank, front=ends[0], rear=ends[1], top=Surface(colour=paint)),
    )
    return Vehicle(length=length, solids=(solid,))


def lorry(dice: Dice) -> Vehicle:
    """A lorry: chassis with wheels, cargo box above it, cab with a leaning windscreen."""
    length, width, top = dice.uniform(6.5, 9.0), dice.uniform(2.3, 2.5), dice.uniform(2.9, 3.6)
    paint, cargo = dice.pick(_LORRY_PAINTS), dice.pick(_LORRY_PAINTS)
    half, side, cab = length / 2, width / 2, 1.75
    axles = (half - 1.0, 1.5 - half, 0.48, 0.0)
    chassis = Surface(
        colour=(0.03, 0.03, 0.032), accent=_BLACK, pattern=Pattern.CAR_SIDE, parameters=axles
    )
    lamps = Surface(colour=(0.03, 0.03, 0.032), accent=_BLACK, pattern=Pattern.CAR_REAR)
    panel = Surface(
        colour=cargo,
        accent=dice.pick(_LORRY_PAINTS),
        pattern=Pattern.CARGO,
        parameters=(
            dice.uniform(0.0, 0.5),
            dice.uniform(0.5, 1.1),
        ),
        mottle=0.05,
    )
    window = (half - 1.35, half - 0.35, 0.0, -0.15)
    door = Surface(
        colour=paint, accent=_GLASS, pattern=Pattern.SIDE_GLASS, parameters=window, mottle=0.02
    )
    screen = Surface(
        colour=paint,
        accent=_GLASS,
        pattern=Pattern.GLASS,
        parameters=(
            side - 0.1,
            side - 0.12,
            0.55,
        ),
        mottle=0.02,
    )
    face = Surface(colour=paint, accent=_BLACK, pattern=Pattern.CAR_FRONT, mottle=0.02)
    under = (-half, half, side - 0.06)
    box_plan, cab_plan = (-half, half - cab - 0.15, side), (half - cab, half, side - 0.04)
    solids = (
        Solid(top=0.95, foot=under, head=under, skin=skin(chassis, front=face, rear=lamps)),
        Solid(base=0.95, top=top, foot=box_plan, head=box_plan, skin=skin(panel)),
        Solid(
            base=0.95,
            top=min(top, 2.75),
            foot=cab_plan,
            head=(half - cab, half - 0.2, side - 0.1),
            skin=skin(door, front=screen, top=Surface(colour=paint)),
        ),
    )
    return Vehicle(length=length, solids=solids)
