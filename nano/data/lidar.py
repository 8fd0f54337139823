"""From a Velodyne scan to a sparse depth map in a camera of KITTI.

The steps are those of monodepth's ``generate_depth_map``; what the field does differently from
what is geometrically right is a `Rule`: two rules, one for each.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from numpy.typing import NDArray

from nano.data.sample import Intrinsics
from nano.errors import DataError

CAMERAS = (2, 3)  # the left and right colour cameras
CAMERA_FILE = "calib_cam_to_cam.txt"
VELODYNE_FILE = "calib_velo_to_cam.txt"

_BYTES_PER_POINT = 16  # float32 x, y, z, reflectance


@dataclass(frozen=True, kw_only=True)
class Rule:
    """What a projection leaves to choice.

    Attributes:
        name: For captions and identities.
        shift: Pixels subtracted from the rounded column and row. The 1 of the field imitates
            MATLAB's counting from 1 and is one pixel off KITTI's own maps.
        vel_depth: Store the forward distance from the Velodyne (about 0.29 m more) instead of z
            along the camera's axis.
    """

    name: str
    shift: int
    vel_depth: bool


CLEAN = Rule(name="clean", shift=0, vel_depth=False)
# The truth behind published numbers on the 697 raw frames (monodepth, monodepth2).
LEGACY = Rule(name="legacy", shift=1, vel_depth=True)


@dataclass(frozen=True, kw_only=True, eq=False)
class Calibration:
    """How one date's Velodyne is seen by its cameras.

    Attributes:
        source: The folder it was read from, for messages.
        size: Height and width of the rectified images.
        matrices: Per camera, 3 x 4: homogeneous Velodyne metres to (u z, v z, z).
        intrinsics: Per camera, of the rectified images.
    """

    source: Path
    size: tuple[int, int]
    matrices: dict[int, NDArray[np.float64]]
    intrinsics: dict[int, Intrinsics]


def read_calibration(folder: Path) -> Calibration:
    """Parse the two files of a date's folder that a projection needs.

    Raises:
        DataError: A file or key is missing or holds something else than the numbers expected.
    """
    cameras = _CalibrationFile(folder / CAMERA_FILE)
    velodyne = _CalibrationFile(folder / VELODYNE_FILE)
    to_camera = _homogeneous(velodyne.numbers("R", 3, 3), velodyne.numbers("T", 3, 1))
    # The rectifying rotation of camera 0 is right for every camera: P_rect holds the baselines.
    rectify = _homogeneous(cameras.numbers("R_rect_00", 3, 3), np.zeros((3, 1)))
    width, height = (int(side) for side in cameras.numbers("S_rect_02", 1, 2)[0])
    if width < 1 or height < 1:
        raise DataError(f"{cameras.path}: S_rect_02: an image of {width}x{height} pixels")
    projections = {camera: cameras.numbers(f"P_rect_{camera:02d}", 3, 4) for camera in CAMERAS}
    return Calibration(
        source=folder,
        size=(height, width),
        matrices={camera: p @ rectify @ to_camera for camera, p in projections.items()},
        intrinsics={
            camera: (float(p[0, 0]), float(p[1, 1]), float(p[0, 2]), float(p[1, 2]))
            for camera, p in projections.items()
        },
    )


class _CalibrationFile:
    """``key: numbers`` lines; what the numbers mean is checked when a key is asked for."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            text = path.read_text(encoding="utf-8")
        except FileNotFoundError as missing:
            raise DataError(
                f"{path}: no such file: it comes with KITTI's calibration archive of the date"
            ) from missing
        except (OSError, UnicodeDecodeError) as unreadable:
            raise DataError(f"{path}: cannot be read: {unreadable}") from unreadable
        pairs = (line.partition(":") for line in text.splitlines())
        self._texts = {key.strip(): value for key, colon, value in pairs if colon}

    def numbers(self, key: str, rows: int, columns: int) -> NDArray[np.float64]:
        """The row-major matrix behind ``key``."""
        if key not in self._texts:
            raise DataError(f"{self.path}: key {key} is missing")
        words = self._texts[key].split()
        try:
            values = np.array([float(word) for word in words])
        except ValueError as error:
            raise DataError(f"{self.path}: {key}: {error}") from error
        if len(values) != rows * columns:
            raise DataError(
                f"{self.path}: {key}: expected {rows * columns} numbers, found {len(values)}"
            )
        if not np.isfinite(values).all():
            raise DataError(f"{self.path}: {key}: not all numbers are finite")
        return values.reshape(rows, columns)


def _homogeneous(rotation: NDArray[np.float64], shift: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.vstack([np.hstack([rotation, shift]), [0.0, 0.0, 0.0, 1.0]])


def read_scan(path: Path) -> Float[ndarray, "points 4"]:
    """A Velodyne scan: x forward, y left, z up in metres, and reflectance; float32.

    Raises:
        DataError: The file is missing, empty, cut inside a point, or holds NaN or infinity.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError as missing:
        raise DataError(f"{path}: no such file") from missing
    except OSError as unreadable:
        raise DataError(f"{path}: cannot be read: {unreadable.strerror}") from unreadable
    if not content:
        raise DataError(f"{path}: an empty scan (0 bytes): copy it again")
    if len(content) % _BYTES_PER_POINT:
        raise DataError(
            f"{path}: {len(content)} bytes are no whole number of points of "
            f"{_BYTES_PER_POINT} bytes: truncated, or not a Velodyne scan; copy it again"
        )
    points = np.frombuffer(content, dtype="<f4").reshape(-1, 4)
    damaged = np.count_nonzero(~np.isfinite(points).all(axis=1))
    if damaged:
        raise DataError(
            f"{path}: {damaged} of {len(points)} points are not finite numbers: copy it again"
        )
    return points


def project(
    points: Float[ndarray, "points 4"],
    calibration: Calibration,
    camera: int = 2,
    rule: Rule = CLEAN,
) -> Float[ndarray, "height width"]:
    """Depth in metres where points land in the image, the nearest where several do; 0 elsewhere.

    Args:
        points: As `read_scan` gives them; the reflectance is not used.
        calibration: Of the date of the scan.
        camera: 2 (left) or 3 (right).
        rule: `CLEAN`, or `LEGACY` for the raw Eigen protocol.
    """
    height, width = calibration.size
    ahead = points[points[:, 0] >= 0].astype(np.float64)
    ahead[:, 3] = 1
    seen = ahead @ calibration.matrices[camera].T
    # The camera sits 0.27 m before the Velodyne: what lies between them is behind the camera.
    before = seen[:, 2] > 0
    seen, forward = seen[before], ahead[before, 0]
    # Rounds half to even, like the reference. Compared as floats: a point almost beside the
    # camera lands further away than an integer can tell.
    columns, rows = np.round(seen[:, :2] / seen[:, 2:]).T - rule.shift
    inside = (columns >= 0) & (columns < width) & (rows >= 0) & (rows < height)
    distance = (forward if rule.vel_depth else seen[:, 2])[inside]
    depth = np.full((height, width), np.inf, dtype=np.float32)
    pixels = rows[inside].astype(np.intp), columns[inside].astype(np.intp)
    np.minimum.at(depth, pixels, distance.astype(np.float32))
    depth[np.isinf(depth)] = 0
    return depth
