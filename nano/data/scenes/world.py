"""A scene before it is drawn: camera, road, light, film and the things that stand about."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from nano.data.scenes.shapes import Rgb, Round, Solid

FOCAL_PER_WIDTH = 0.58  # KITTI: 721.5 pixels of focal length on 1242 columns


@dataclass(frozen=True, kw_only=True)
class Camera:
    """A pinhole camera above the point x = 0 of the road."""

    y: float = 0.0  # metres to the left of the road's origin
    height: float = 1.65  # metres above the ground; KITTI's cameras stand at 1.65
    yaw: float = 0.0  # radians to the left
    pitch: float = 0.0  # radians downwards
    roll: float = 0.0  # radians clockwise, as the driver sees it

    def axes(self) -> tuple[tuple[float, ...], tuple[float, ...], tuple[float, ...]]:
        """The image's right, its down and the optical axis, as unit vectors of the world."""
        cy, sy = math.cos(self.yaw), math.sin(self.yaw)
        cp, sp = math.cos(self.pitch), math.sin(self.pitch)
        cr, sr = math.cos(self.roll), math.sin(self.roll)
        right = (sy, -cy, 0.0)
        down = (-sp * cy, -sp * sy, -cp)
        return (
            tuple(cr * a + sr * b for a, b in zip(right, down, strict=True)),
            tuple(cr * b - sr * a for a, b in zip(right, down, strict=True)),
            (cp * cy, cp * sy, -sp),
        )


def intrinsics(size: tuple[int, int]) -> tuple[float, float, float, float]:
    """fx, fy, cx, cy in pixels; pixel (row i, column j) is centred on the image point (j, i)."""
    height, width = size
    focal = FOCAL_PER_WIDTH * width
    return focal, focal, (width - 1) / 2, (height - 1) / 2


@dataclass(frozen=True, kw_only=True)
class Line:
    """A painted line along the road."""

    lateral: float  # metres to the left of the road's origin
    width: float = 0.12
    dash: float = 0.0  # length of a dash in m; 0 for a solid line
    gap: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Side:
    """What lies beyond one edge of the carriageway, outwards: kerb, pavement, open ground."""

    edge: float = 3.5  # metres from the road's origin to the kerb, outwards
    pavement: float = 2.0  # width in m
    pavement_colour: Rgb = (0.30, 0.29, 0.27)
    open_colour: Rgb = (0.10, 0.16, 0.05)
    open_mottle: float = 0.35


@dataclass(frozen=True, kw_only=True)
class Road:
    """A carriageway along the parabola y = curvature x^2 / 2, in the camera's own lane."""

    curvature: float = 0.0  # per metre, positive to the left
    left: Side = field(default_factory=Side)
    right: Side = field(default_factory=Side)
    lines: tuple[Line, ...] = ()
    asphalt: float = 0.13  # reflectance
    crossing: tuple[float, float] | None = None  # x where a side street begins and ends
    zebra: bool = False  # a pedestrian crossing just before the side street

    def place(self, along: float, lateral: float) -> tuple[float, float, float]:
        """x, y and heading of a point so many metres ahead and to the left of the road."""
        slope = self.curvature * along
        y = 0.5 * self.curvature * along * along + lateral * math.sqrt(1.0 + slope * slope)
        return along, y, math.atan(slope)


@dataclass(frozen=True, kw_only=True)
class Light:
    """Sun, sky and air."""

    to_sun: tuple[float, float, float] = (0.3, 0.5, 0.81)  # unit vector
    sun: Rgb = (1.0, 0.95, 0.85)
    ambient: Rgb = (0.35, 0.40, 0.48)
    zenith: Rgb = (0.18, 0.34, 0.70)
    horizon: Rgb = (0.62, 0.70, 0.80)
    clouds: float = 0.5  # cover, 0 clear to 1 overcast
    haze: float = 0.002  # extinction per metre


@dataclass(frozen=True, kw_only=True)
class Film:
    """From light to 8-bit values."""

    exposure: float = 1.0
    contrast: float = 0.15  # share of the linear curve mixed into the square root
    balance: Rgb = (1.0, 1.0, 1.0)
    noise: float = 1.5  # standard deviation of the sensor noise in 8-bit levels
    softness: float = 0.12  # weight of each neighbour in the lens blur


@dataclass(frozen=True, kw_only=True)
class World:
    """Everything that decides an image but its size."""

    camera: Camera = field(default_factory=Camera)
    road: Road = field(default_factory=Road)
    light: Light = field(default_factory=Light)
    film: Film = field(default_factory=Film)
    solids: tuple[Solid, ...] = ()
    rounds: tuple[Round, ...] = ()
    grain: int = 0  # where in the noise bank and the textures this scene begins
