"""A street from a seed: the road, its traffic, and what lines it on either side."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from nano.data.scenes.buildings import block, house, shed
from nano.data.scenes.dice import Dice
from nano.data.scenes.roadside import bush, hedge, lamp, person, sign, signal, tree, wall, woods
from nano.data.scenes.shapes import Place, Rgb, Round, Solid
from nano.data.scenes.vehicles import Vehicle, bus, car, lorry, van
from nano.data.scenes.weather import light_and_film
from nano.data.scenes.world import Camera, Line, Road, Side, World

_BEGINS_M = -12.0  # things start that far behind the camera
_ENDS_M = 95.0
_MOST_VEHICLES = 16


@dataclass(frozen=True, kw_only=True)
class Frontage:
    """A way to line a road.

    Attributes:
        pavements: Narrowest and widest pavement in m.
        open_colours: What covers the ground beyond it.
        building: Probability of a building where there is room for one.
        gaps: Least and most distance between two buildings in m.
        setbacks: Least and most distance of the buildings from the pavement in m.
        hedges: Probability of a hedge or wall along a stretch of plot.
        trees: Mean distance between trees in m.
    """

    pavements: tuple[float, float]
    open_colours: tuple[Rgb, ...]
    building: float
    gaps: tuple[float, float]
    setbacks: tuple[float, float]
    hedges: float
    trees: float


_GRASS: tuple[Rgb, ...] = ((0.085, 0.135, 0.035), (0.11, 0.14, 0.045), (0.14, 0.14, 0.06))
_PAVED: tuple[Rgb, ...] = ((0.24, 0.23, 0.21), (0.19, 0.185, 0.18), (0.22, 0.19, 0.15))
_FRONTAGES = {
    "town": Frontage(
        pavements=(2.2, 4.5),
        open_colours=_PAVED,
        building=0.95,
        gaps=(0.0, 3.0),
        setbacks=(0.0, 1.5),
        hedges=0.05,
        trees=26.0,
    ),
    "homes": Frontage(
        pavements=(1.4, 2.4),
        open_colours=_GRASS,
        building=0.85,
        gaps=(3.0, 9.0),
        setbacks=(3.0, 9.0),
        hedges=0.6,
        trees=16.0,
    ),
    "works": Frontage(
        pavements=(1.2, 2.2),
        open_colours=_PAVED + _GRASS,
        building=0.65,
        gaps=(4.0, 16.0),
        setbacks=(3.0, 11.0),
        hedges=0.35,
        trees=28.0,
    ),
    "green": Frontage(
        pavements=(0.0, 2.0),
        open_colours=_GRASS,
        building=0.2,
        gaps=(15.0, 40.0),
        setbacks=(8.0, 25.0),
        hedges=0.35,
        trees=8.0,
    ),
}


@dataclass(kw_only=True)
class _Things:
    """What has been put up so far."""

    solids: list[Solid] = field(default_factory=list)
    rounds: list[Round] = field(default_factory=list)
    vehicles: int = 0

    def add(self, parts: tuple[list[Solid], list[Round]]) -> None:
        self.solids += parts[0]
        self.rounds += parts[1]


def build_world(seed: int) -> World:
    """The world of a seed; the same on any machine and for any image size."""
    dice = Dice(seed)
    names = [dice.pick(tuple(_FRONTAGES)) for _ in range(2)]
    if dice.chance(0.6):
        names[1] = names[0]
    left, right = (_FRONTAGES[name] for name in names)
    plan = _lay_road(dice, left, right)
    light, film = light_and_film(dice)
    camera = Camera(
        y=dice.normal(0.22),
        height=dice.uniform(1.5, 1.8),
        yaw=dice.normal(math.radians(1.6)),
        pitch=dice.normal(math.radians(1.2)),
        roll=dice.normal(math.radians(0.6)),
    )
    things = _Things()
    _fill_lanes(dice, plan, things)
    for side, frontage in ((1.0, left), (-1.0, right)):
        _line_side(dice, plan.road, side, frontage, things)
    _plant_background(dice, things)
    return World(
        camera=camera,
        road=plan.road,
        light=light,
        film=film,
        solids=tuple(things.solids),
        rounds=tuple(things.rounds),
        grain=dice.integer(0, 1 << 20),
    )


@dataclass(frozen=True, kw_only=True)
class _Plan:
    """A road and where its traffic runs: lateral places in m."""

    road: Road
    same: tuple[float, ...]
    opposite: tuple[float, ...]
    parked: tuple[float, ...]


def _lay_road(dice: Dice, left: Frontage, right: Frontage) -> _Plan:
    lane = dice.uniform(2.9, 3.6)
    extra = 1 if dice.chance(0.15) else 0
    against = dice.pick((1, 1, 1, 1, 1, 2, 2, 0))
    margins = [2.1 if dice.chance(0.45) else dice.uniform(0.15, 0.6) for _ in range(2)]
    right_edge = lane * (0.5 + extra)
    left_edge = lane * (0.5 + against)
    lines = []
    if extra:
        lines.append(Line(lateral=-lane / 2, dash=3.0, gap=6.0))
    if against:
        lines.append(_centre_line(dice, lane / 2))
    if against == 2:
        lines.append(Line(lateral=1.5 * lane, dash=3.0, gap=6.0))
    if dice.chance(0.55):
        lines += [Line(lateral=left_edge), Line(lateral=-right_edge)]
    curvature = 0.0 if dice.chance(0.3) else dice.normal(0.0036, limit=1.8)
    begin = dice.uniform(24.0, 65.0)
    road = Road(
        curvature=curvature,
        left=_side(dice, left, left_edge + margins[0]),
        right=_side(dice, right, right_edge + margins[1]),
        lines=tuple(lines),
        asphalt=dice.uniform(0.09, 0.20),
        crossing=(begin, begin + dice.uniform(7.0, 11.0)) if dice.chance(0.3) else None,
        zebra=dice.chance(0.6),
    )
    parked = []
    if margins[0] > 1.0:
        parked.append(left_edge + 1.05)
    if margins[1] > 1.0:
        parked.append(-right_edge - 1.05)
    return _Plan(
        road=road,
        same=tuple(-lane * k for k in range(extra + 1)),
        opposite=tuple(lane * (k + 1) for k in range(against)),
        parked=tuple(parked),
    )


def _centre_line(dice: Dice, lateral: float) -> Line:
    if dice.chance(0.25):
        return Line(lateral=lateral, width=0.14)
    dash = dice.pick((2.0, 3.0, 4.0))
    return Line(lateral=lateral, dash=dash, gap=dash * dice.pick((1.0, 1.5, 2.0)))


def _side(dice: Dice, frontage: Frontage, edge: float) -> Side:
    tone = dice.uniform(0.85, 1.2)
    return Side(
        edge=edge,
        pavement=dice.uniform(*frontage.pavements),
        pavement_colour=(0.27 * tone, 0.26 * tone, 0.245 * tone),
        open_colour=dice.pick(frontage.open_colours),
        open_mottle=0.14,
    )


def _fill_lanes(dice: Dice, plan: _Plan, things: _Things) -> None:
    """Traffic with the camera ahead of it, towards it beside it, and parked along the kerbs."""
    for number, lateral in enumerate(plan.same):
        begin = dice.uniform(9.0, 40.0) if number == 0 else dice.uniform(2.0, 20.0)
        spacing = dice.pick((8.0, 18.0, 40.0))
        _fill_lane(dice, plan, things, lateral, begin, spacing, turned=False)
    for lateral in plan.opposite:
        spacing = dice.pick((10.0, 25.0, 45.0))
        _fill_lane(dice, plan, things, lateral, dice.uniform(4.0, 35.0), spacing, turned=True)
    for lateral in plan.parked:
        spacing = dice.pick((1.5, 5.0, 15.0))
        turned = lateral > 0 and dice.chance(0.85)
        begin = dice.uniform(-3.0, 6.0)
        _fill_lane(dice, plan, things, lateral, begin, spacing, turned=turned, is_parked=True)


def _fill_lane(
    dice: Dice,
    plan: _Plan,
    things: _Things,
    lateral: float,
    begin: float,
    spacing: float,
    *,
    turned: bool,
    is_parked: bool = False,
) -> None:
    along = begin
    while along < _ENDS_M and things.vehicles < _MOST_VEHICLES:
        if is_parked and _in_crossing(plan.road, along, along + 6.0):
            along += 6.0
            continue
        vehicle = _vehicle(dice, is_parked=is_parked, is_near=along < 18.0)
        sway = dice.normal(0.12)
        x, y, heading = plan.road.place(along + vehicle.length / 2, lateral + sway)
        heading += math.pi * turned + dice.normal(0.015)
        things.solids += vehicle.at((x, y, heading))
        things.vehicles += 1
        along += vehicle.length + 0.9 + spacing * dice.uniform(0.1, 2.0)


def _vehicle(dice: Dice, *, is_parked: bool, is_near: bool) -> Vehicle:
    kind = dice.uniform(0.0, 1.0)
    if kind < 0.13:
        return van(dice)
    # A wall of sheet metal right before the camera would hide the street too often.
    if kind < 0.20 and not is_parked and not is_near:
        return bus(dice) if kind < 0.16 else lorry(dice)
    return car(dice)


def _in_crossing(road: Road, begin: float, end: float) -> bool:
    return road.crossing is not None and begin < road.crossing[1] and end > road.crossing[0]


def _line_side(dice: Dice, road: Road, side: float, frontage: Frontage, things: _Things) -> None:
    verge = road.left if side > 0 else road.right
    pavement_ends = verge.edge + verge.pavement
    _build(dice, road, side, pavement_ends, frontage, things)
    along = _BEGINS_M + 14.0 + dice.uniform(0.0, frontage.trees)
    while along < _ENDS_M:
        in_pavement = verge.pavement > 2.2 and dice.chance(0.5)
        beyond = verge.edge + 0.7 if in_pavement else pavement_ends + dice.uniform(0.6, 4.0)
        near_tree = along < 10.0 and beyond < 6.0
        if not near_tree and not _in_crossing(road, along - 2.0, along + 2.0):
            place = road.place(along, side * beyond)
            if dice.chance(0.2):
                things.rounds.append(bush(dice, place))
            elif _is_free(things, place):
                things.add(tree(dice, place))
        along += frontage.trees * dice.uniform(0.4, 1.6) * (1.0 + along / 80.0)
    _furnish(dice, road, side, verge, things)


def _is_free(things: _Things, place: Place) -> bool:
    """Whether no building stands there."""
    x, y, _ = place
    for solid in things.solids:
        if solid.top > 3.5:
            dx, dy = x - solid.x, y - solid.y
            cos, sin = math.cos(solid.heading), math.sin(solid.heading)
            rear, front, half = solid.foot
            if rear - 1 < dx * cos + dy * sin < front + 1 and abs(dy * cos - dx * sin) < half + 1:
                return False
    return True


def _build(
    dice: Dice, road: Road, side: float, border: float, frontage: Frontage, things: _Things
) -> None:
    """Buildings one after the other, hedges or walls before and between them."""
    along = _BEGINS_M + dice.uniform(0.0, 12.0)
    storeys = dice.integer(2, 5)
    while along < _ENDS_M:
        length = dice.uniform(9.0, 22.0)
        setback = dice.uniform(*frontage.setbacks)
        if _in_crossing(road, along - 1.0, along + length + 1.0):
            along += 3.0
            continue
        if dice.chance(frontage.building):
            depth = dice.uniform(8.0, 12.0)
            place = road.place(along + length / 2, side * (border + setback + depth / 2))
            if frontage is _FRONTAGES["town"]:
                floors = max(2, storeys + dice.integer(-1, 1))
                things.solids += block(dice, place, length=length, depth=depth, storeys=floors)
            elif frontage is _FRONTAGES["works"]:
                things.solids += shed(dice, place, length=length, depth=depth * 1.5)
            else:
                length = min(length, 13.0)
                things.solids += house(dice, place, length=length, depth=depth * 0.8)
        if setback > 1.0 and dice.chance(frontage.hedges):
            place = road.place(along + length / 2, side * (border + 0.6))
            make = hedge if dice.chance(0.6) else wall
            things.solids.append(make(dice, place, length=length))
        along += length + dice.uniform(*frontage.gaps)


def _furnish(dice: Dice, road: Road, side: float, verge: Side, things: _Things) -> None:
    """Lamps, signs, signals and people along the kerb."""
    kerb = side * (verge.edge + 0.45)
    if dice.chance(0.6):
        along, spacing = dice.uniform(6.0, 25.0), dice.uniform(22.0, 35.0)
        while along < 60.0:
            if not _in_crossing(road, along, along):
                things.add(lamp(dice, road.place(along, kerb), towards_road=-side))
            along += spacing
    for _ in range(dice.integer(0, 2)):
        things.add(sign(dice, road.place(dice.uniform(8.0, 36.0), kerb + side * 0.2)))
    if road.crossing is not None and dice.chance(0.6):
        things.add(signal(dice, road.place(road.crossing[0] - 1.0, kerb)))
    if verge.pavement > 1.3:
        for _ in range(dice.pick((0, 0, 1, 2, 3))):
            lateral = verge.edge + dice.uniform(0.6, verge.pavement - 0.3)
            things.rounds += person(dice, road.place(dice.uniform(8.0, 45.0), side * lateral))


def _plant_background(dice: Dice, things: _Things) -> None:
    """Woods and wooded hills behind everything, so that the world does not end at the houses."""
    for _ in range(dice.integer(3, 7)):
        x = dice.uniform(150.0, 320.0)
        things.rounds.append(woods(dice, x=x, y=x * dice.uniform(-0.9, 0.9)))
