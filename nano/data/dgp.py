"""The files of TRI's Dataset Governance Policy (DGP), in which DDAD comes: plain JSON, no protobuf.

    ddad.json                         scene files of each split
    <scene>/scene_<hash>.json         samples, and their data with poses in the world
    <scene>/calibration/<hash>.json   intrinsics by camera name
    <scene>/rgb/<camera>/*.png|jpg    images
    <scene>/point_cloud/LIDAR/*.npz   array "data": x, y, z in metres, intensity

The data of a sample are not taken at one instant. Each has the pose of its sensor at its own, so a
scan goes by way of the world into the camera at the moment of the image.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from pydantic import BaseModel, ConfigDict, PositiveInt, ValidationError

from nano.data.array_files import read_array
from nano.data.pinhole import inverse, rigid, rotation
from nano.errors import DataError

SPLIT_NUMBERS = {"train": "0", "val": "1", "test": "2"}  # DGP's DatasetSplit
_UNIT_WITHIN = 1e-3  # how far a quaternion's length may be from 1: files hold six digits and more

# --- the JSON, as far as it is read: protobuf leaves out numbers that are 0 -----------------------


class _Read(BaseModel):
    model_config = ConfigDict(frozen=True, allow_inf_nan=False)


class _Rotation(_Read):
    qw: float = 0.0
    qx: float = 0.0
    qy: float = 0.0
    qz: float = 0.0


class _Translation(_Read):
    x: float = 0.0
    y: float = 0.0
    z: float = 0.0


class _Pose(_Read):
    rotation: _Rotation
    translation: _Translation = _Translation()


class _Image(_Read):
    filename: str
    height: PositiveInt
    width: PositiveInt
    pose: _Pose


class _PointCloud(_Read):
    filename: str
    pose: _Pose


class _Datum(_Read):
    image: _Image | None = None
    point_cloud: _PointCloud | None = None


class _Id(_Read):
    name: str


class _Entry(_Read):
    key: str
    id: _Id
    datum: _Datum


class _Sample(_Read):
    calibration_key: str
    datum_keys: tuple[str, ...]


class _Scene(_Read):
    data: tuple[_Entry, ...]
    samples: tuple[_Sample, ...]


class _Intrinsics(_Read):
    fx: float = 0.0
    fy: float = 0.0
    cx: float = 0.0
    cy: float = 0.0
    skew: float = 0.0


class _Calibration(_Read):
    names: tuple[str, ...]
    intrinsics: tuple[_Intrinsics, ...]


class _Split(_Read):
    filenames: tuple[str, ...] = ()


class _Dataset(_Read):
    scene_splits: dict[str, _Split] | None = None  # absent in other JSON beside it


File = TypeVar("File", bound=_Read)

# --- what is made of it --------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, eq=False)
class DgpFrame:
    """One image of one camera with the scan of its sample.

    Attributes:
        name: Scene, camera and file.
        image: Its file.
        scan: The scan's file.
        size: Height and width that the scene states.
        to_camera: From the scanner at the time of the scan to the camera at that of the image.
        intrinsics: In pixels.
    """

    name: str
    image: Path
    scan: Path
    size: tuple[int, int]
    to_camera: Float[ndarray, "4 4"]
    intrinsics: Float[ndarray, "3 3"]


@dataclass(frozen=True, kw_only=True)
class Lacking:
    """A sample that gives no frame: told when it is read, like a damaged file."""

    name: str
    reason: str


def find_scenes(root: Path) -> tuple[Path, dict[str, tuple[Path, ...]]]:
    """The dataset file in ``root``, and the scene files of each split by ``SPLIT_NUMBERS``.

    Raises:
        DataError: No dataset file, several, or a damaged one.
    """
    if not root.is_dir():
        raise DataError(f"{root}: no such folder: expected DDAD, or another set in DGP format")
    found = {path: _read(path, _Dataset) for path in sorted(root.glob("*.json"))}
    found = {path: dataset for path, dataset in found.items() if dataset.scene_splits is not None}
    if len(found) != 1:
        named = ", ".join(path.name for path in found) or "none"
        raise DataError(
            f"{root}: expected one JSON file with scene_splits, such as ddad.json; found {named}"
        )
    path, dataset = found.popitem()
    splits = dataset.scene_splits or {}
    return path, {
        split: tuple(root / file for file in splits.get(number, _Split()).filenames)
        for split, number in SPLIT_NUMBERS.items()
    }


def scene_frames(path: Path, camera: str) -> list[DgpFrame | Lacking]:
    """Every sample of a scene as a frame of ``camera``, in order of time.

    Raises:
        DataError: The scene or a calibration is missing or damaged, or has no such camera.
    """
    scene = _read(path, _Scene)
    data = {entry.key: entry for entry in scene.data}
    calibrations: dict[str, Float[ndarray, "3 3"]] = {}
    frames: list[DgpFrame | Lacking] = []
    for number, sample in enumerate(scene.samples):
        key = sample.calibration_key
        if key not in calibrations:
            calibrations[key] = _intrinsics(path.parent / "calibration" / f"{key}.json", camera)
        own = [data[one] for one in sample.datum_keys if one in data]
        frames.append(_frame(path, f"sample {number}", own, camera, calibrations[key]))
    return frames


def read_scan(path: Path) -> Float[ndarray, "points 3"]:
    """The points of a scan in metres.

    Raises:
        DataError: The file is missing, damaged, empty, or holds NaN or infinity.
    """
    points = read_array(path, name="data")
    if points.ndim != 2 or points.shape[1] < 3:
        raise DataError(
            f"{path}: a scan is points x (x, y, z, ...); the shape of this is {points.shape}"
        )
    if not len(points):
        raise DataError(f"{path}: an empty scan (0 points): copy it again or leave its sample out")
    places = points[:, :3].astype(np.float64)
    damaged = np.count_nonzero(~np.isfinite(places).all(axis=1))
    if damaged:
        raise DataError(
            f"{path}: {damaged} of {len(points)} points are not finite numbers: copy it again"
        )
    return places


def _frame(
    path: Path,
    sample: str,
    own: Sequence[_Entry],
    camera: str,
    intrinsics: Float[ndarray, "3 3"],
) -> DgpFrame | Lacking:
    images = [one.datum.image for one in own if one.datum.image and one.id.name == camera]
    scans = [one.datum.point_cloud for one in own if one.datum.point_cloud]
    if len(images) != 1 or len(scans) != 1:
        return Lacking(
            name=f"{path.parent.name}/{camera}/{sample}",
            reason=f"{path}: {sample} has {len(images)} images of {camera} and {len(scans)} scans, "
            "one of each is needed: leave the sample out",
        )
    image, scan = images[0], scans[0]
    camera_to_world = _matrix(path, f"{sample}, {camera}", image.pose)
    scan_to_world = _matrix(path, f"{sample}, scan", scan.pose)
    file = path.parent / image.filename
    return DgpFrame(
        name=f"{path.parent.name}/{camera}/{file.stem}",
        image=file,
        scan=path.parent / scan.filename,
        size=(image.height, image.width),
        to_camera=inverse(camera_to_world) @ scan_to_world,
        intrinsics=intrinsics,
    )


def _intrinsics(path: Path, camera: str) -> Float[ndarray, "3 3"]:
    calibration = _read(path, _Calibration)
    own = dict(zip(calibration.names, calibration.intrinsics, strict=False)).get(camera)
    if own is None:
        raise DataError(f"{path}: no camera {camera!r}; known: {', '.join(calibration.names)}")
    if own.fx <= 0 or own.fy <= 0:
        raise DataError(
            f"{path}: {camera}: focal lengths fx = {own.fx:g} and fy = {own.fy:g}: no camera"
        )
    return np.array([[own.fx, own.skew, own.cx], [0.0, own.fy, own.cy], [0.0, 0.0, 1.0]])


def _matrix(path: Path, what: str, pose: _Pose) -> Float[ndarray, "4 4"]:
    turn, shift = pose.rotation, pose.translation
    quaternion = turn.qw, turn.qx, turn.qy, turn.qz
    length = float(np.linalg.norm(quaternion))
    if abs(length - 1) > _UNIT_WITHIN:
        raise DataError(
            f"{path}: {what}: the pose's quaternion has length {length:g}, which is no rotation: "
            "the file is damaged, or a set without poses"
        )
    return rigid(rotation(*quaternion), np.array([shift.x, shift.y, shift.z]))


def _read(path: Path, model: type[File]) -> File:
    try:
        return model.model_validate_json(path.read_bytes())
    except FileNotFoundError as missing:
        raise DataError(f"{path}: no such file") from missing
    except OSError as unreadable:
        raise DataError(f"{path}: cannot be read: {unreadable.strerror}") from unreadable
    except ValidationError as invalid:
        first = invalid.errors()[0]
        place = ".".join(str(step) for step in first["loc"])
        raise DataError(
            f"{path}: {place + ': ' if place else ''}{first['msg']}: not a file of DGP, or damaged;"
            " copy it again"
        ) from invalid
