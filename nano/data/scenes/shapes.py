"""What a street is made of: upright convex solids, ellipsoids and cylinders, and their surfaces.

World frame (ISO 8855): x forward, y left, z up, metres; the ground is the plane z = 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, auto

Rgb = tuple[float, float, float]
"""Red, green, blue as linear reflectance or light, 0 dark to 1 bright."""

Place = tuple[float, float, float]
"""x and y on the ground in m, and heading in radians to the left of the x axis."""


class Pattern(IntEnum):
    """How the colours of a surface are laid out; the parameters of each stand beside it."""

    PLAIN = 0
    FACADE = auto()  # window width, window height (shares of a cell), storey in m, shop front 0/1
    CAR_SIDE = auto()  # x of the front axle, x of the rear axle, wheel radius, -
    CAR_FRONT = auto()
    CAR_REAR = auto()
    SIDE_GLASS = auto()  # x of the pane at its foot: rear, front; at its head: rear, front
    GLASS = auto()  # half width at the foot, half width at the head, -, -
    VAN_SIDE = auto()  # as CAR_SIDE; 4th: share of the length that has windows
    BUS_SIDE = auto()  # as CAR_SIDE
    BUS_END = auto()  # 1 for the front, 0 for the rear
    CARGO = auto()  # share of the height covered by the accent, rib spacing in m
    LEAVES = auto()  # strength of the mottling
    BRICKS = auto()  # course height in m, board or brick length in m
    SIGN = auto()
    SIGNAL = auto()  # which of the three lamps burns: 0 red, 1 amber, 2 green
    TILES = auto()  # course height in m


@dataclass(frozen=True, kw_only=True, slots=True)
class Surface:
    """One material: its colour, a second colour that the pattern may use, and the pattern."""

    colour: Rgb
    accent: Rgb = (0.0, 0.0, 0.0)
    pattern: Pattern = Pattern.PLAIN
    parameters: tuple[float, ...] = ()  # at most four
    mottle: float = 0.1  # amplitude of the value noise, a share of the colour


Skin = tuple[Surface, Surface, Surface, Surface, Surface]
"""The surfaces of a solid: both sides, front, rear, top, nose."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Solid:
    """An upright convex solid: a rectangle at the foot, one at the head, straight faces between.

    Lengths in its own frame: x towards its front, y to its left, origin at (x, y) on the ground.
    A box has equal rectangles, a gable roof a head of no width. The nose is one more plane that
    cuts the front top edge, z <= nose + nose_slope * (foot_front - x): a bonnet, a windscreen.
    """

    x: float = 0.0
    y: float = 0.0
    heading: float = 0.0  # radians from the x axis to the left
    base: float = 0.0  # height of the foot in m
    top: float
    foot: tuple[float, float, float]  # x of the rear edge, x of the front edge, half width
    head: tuple[float, float, float]
    nose: float = 1e3
    nose_slope: float = 0.0
    skin: Skin


@dataclass(frozen=True, kw_only=True, slots=True)
class Round:
    """An ellipsoid or a cylinder with a vertical axis, circular in plan."""

    x: float
    y: float
    z: float  # height of the centre in m
    radius: float
    half_height: float
    surface: Surface
    is_cylinder: bool = False
    ragged: float = 0.0  # depth of the notches in the outline, a share of the radius squared
    casts_shadow: bool = True


def skin(
    side: Surface,
    *,
    front: Surface | None = None,
    rear: Surface | None = None,
    top: Surface | None = None,
    nose: Surface | None = None,
) -> Skin:
    """The five surfaces of a solid, each the side's unless given."""
    return (side, front or side, rear or side, top or side, nose or top or side)


def box(
    *,
    x: float,
    y: float,
    heading: float = 0.0,
    base: float = 0.0,
    top: float,
    length: float,
    width: float,
    surfaces: Skin,
) -> Solid:
    """A box whose foot is centred on (x, y)."""
    plan = (-length / 2, length / 2, width / 2)
    return Solid(x=x, y=y, heading=heading, base=base, top=top, foot=plan, head=plan, skin=surfaces)
