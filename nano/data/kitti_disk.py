"""Where KITTI's files lie: drives are found by their folders' names, whatever stands above them.

People keep KITTI in three ways, and often on several disks: the archive of depth maps on its own
(``train/`` and ``val/`` above the drives), both parts merged into one folder, or the maps moved
into the raw tree beside the images. All three hold folders named ``<date>_drive_<number>_sync``,
so those are looked for, a few levels deep, and what they contain is joined per drive.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from types import MappingProxyType

from nano.data.lidar import (
    CAMERA_FILE,
    CAMERAS,
    VELODYNE_FILE,
    Calibration,
    read_calibration,
)
from nano.data.splits import Drive
from nano.errors import DataError

# Folders inside a drive, {camera:02d} filled in, and the endings of their files. Where a frame is
# there twice the earlier ending wins.
IMAGES = "image_{camera:02d}/data"
SCANS = "velodyne_points/data"
ANNOTATED = "proj_depth/groundtruth/image_{camera:02d}"
SINGLE_SCAN = "proj_depth/velodyne_raw/image_{camera:02d}"
ENDINGS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        IMAGES: (".png", ".jpg", ".jpeg"),
        SCANS: (".bin",),
        ANNOTATED: (".png",),
        SINGLE_SCAN: (".png",),
    }
)

# Height and width of the rectified images of each date: no two dates share them.
SIZES: Mapping[str, tuple[int, int]] = MappingProxyType(
    {
        "2011_09_26": (375, 1242),
        "2011_09_28": (370, 1224),
        "2011_09_29": (374, 1238),
        "2011_09_30": (370, 1226),
        "2011_10_03": (376, 1241),
    }
)

_LEVELS = 4  # root/raw/<date>/<drive> and root/depth/train/<drive> need three
_DRIVE = re.compile(r"\d{4}_\d{2}_\d{2}_drive_\d{4}_sync")
_UNSYNCED = re.compile(r"\d{4}_\d{2}_\d{2}_drive_\d{4}_extract")
_FRAME = re.compile(r"\d{10}")


@dataclass(frozen=True, kw_only=True)
class KittiDisk:
    """What `find_drives` found.

    Attributes:
        roots: As given, absolute.
        drives: Every drive's folders, in the order of the roots.
        above: Per date, the folders in which its calibration may lie.
        notes: Folders that could not be used, with the reason.
    """

    roots: tuple[Path, ...]
    drives: Mapping[Drive, tuple[Path, ...]]
    above: Mapping[str, tuple[Path, ...]]
    notes: tuple[str, ...]

    @property
    def place(self) -> str:
        """The roots, for messages."""
        return ", ".join(str(root) for root in self.roots)

    def files(self, drive: Drive, kind: str, camera: int) -> dict[int, Path]:
        """Frame index to file; a frame that several folders hold is taken from the first."""
        found: dict[int, Path] = {}
        for folder in self.drives.get(drive, ()):
            for index, path in _frames(folder / kind.format(camera=camera), ENDINGS[kind]).items():
                found.setdefault(index, path)
        return dict(sorted(found.items()))

    def calibration_folders(self, date: str) -> list[Path]:
        """The folders that hold a calibration file of the date."""
        names = (CAMERA_FILE, VELODYNE_FILE)
        folders = self.above.get(date, ())
        return [folder for folder in folders if any((folder / name).exists() for name in names)]

    def has_calibration(self, date: str) -> bool:
        """Whether there is one to read, damaged or not."""
        names = (CAMERA_FILE, VELODYNE_FILE)
        folders = self.calibration_folders(date)[:1]
        return any(all((folder / name).exists() for name in names) for folder in folders)

    def calibration(self, date: str) -> Calibration:
        """The date's calibration, from the first root that has one.

        Raises:
            DataError: There is none, it is damaged, or its image size is that of another date.
        """
        folders = self.calibration_folders(date)
        if not folders:
            raise DataError(
                f"no calibration of {date} under {self.place}: put {CAMERA_FILE} and "
                f"{VELODYNE_FILE} of that date (KITTI's {date}_calib.zip) into a folder {date}"
            )
        calibration = read_calibration(folders[0])
        if calibration.size != SIZES.get(date, calibration.size):
            owners = [other for other, size in SIZES.items() if size == calibration.size]
            raise DataError(
                f"{folders[0] / CAMERA_FILE}: S_rect_02 is {size_text(calibration.size)}, but "
                f"images of {date} are {size_text(SIZES[date])} (height x width)"
                + (f": this is the calibration of {owners[0]}" if owners else "")
            )
        return calibration


def find_drives(roots: Sequence[Path]) -> KittiDisk:
    """Look for drives and calibrations under the roots.

    Raises:
        DataError: No root was given, one is no folder, or nothing of KITTI is under them.
    """
    if not roots:
        raise DataError("no KITTI root was given: name the folder that holds the drives")
    drives: dict[Drive, list[Path]] = {}
    above: dict[str, list[Path]] = {}
    notes: list[str] = []
    for root in roots:
        if not root.is_dir():
            what = "not a folder" if root.exists() else "no such folder"
            raise DataError(f"{root}: {what}: expected KITTI's drives below it")
        for folder in _folders(root.resolve(), _LEVELS, notes):
            if _DRIVE.fullmatch(folder.name):
                drive = Drive.parse(folder.name)
                _append_once(drives.setdefault(drive, []), folder)
                _append_once(above.setdefault(drive.date, []), folder.parent)
            elif folder.name in SIZES:
                _append_once(above.setdefault(folder.name, []), folder)
    disk = KittiDisk(
        roots=tuple(root.resolve() for root in roots),
        drives={drive: tuple(folders) for drive, folders in sorted(drives.items())},
        above={date: tuple(folders) for date, folders in above.items()},
        notes=tuple(dict.fromkeys(notes)),
    )
    if not drives:
        more = "".join(f"; {note}" for note in disk.notes)
        raise DataError(
            f"{disk.place}: no KITTI drive: expected folders such as 2011_09_26_drive_0001_sync, "
            f"at most {_LEVELS} levels below{more}"
        )
    return disk


def size_text(size: Sequence[int]) -> str:
    """Height x width, as messages give sizes, e.g. ``375x1242``."""
    return f"{size[0]}x{size[1]}"


def belongs_in(place: PurePath, names: Sequence[str]) -> str | None:
    """The kind of frames that a folder inside a drive holds, as a key of `ENDINGS`.

    Told by what KITTI calls the folders on the way and not by how deep they are, so that frames one
    level too deep or too high are recognised. None for a folder without frames that are read.

    Args:
        place: The folder, relative to the drive's.
        names: Of its files.
    """
    endings = {Path(name).suffix.lower() for name in names if _FRAME.fullmatch(Path(name).stem)}
    if endings & set(ENDINGS[SCANS]):
        return SCANS
    if not endings & set(ENDINGS[IMAGES]) or camera_of(place) is None:
        return None
    if "groundtruth" in place.parts:
        return ANNOTATED
    return SINGLE_SCAN if "velodyne_raw" in place.parts else IMAGES


def camera_of(place: PurePath) -> int | None:
    """The colour camera that a folder inside a drive belongs to."""
    cameras = {f"image_{camera:02d}": camera for camera in CAMERAS}
    return next((cameras[step] for step in place.parts if step in cameras), None)


def foreign_files(folder: Path, kind: str) -> list[str]:
    """Names in a frame folder that are not frames, such as notes or thumbnails."""
    if not folder.is_dir():
        return []
    return sorted(path.name for path in folder.iterdir() if not _is_frame(path, ENDINGS[kind]))


def _folders(folder: Path, levels: int, notes: list[str]) -> Iterator[Path]:
    """``folder`` and what lies below it; never inside a drive, where only frames are."""
    yield folder
    if _UNSYNCED.fullmatch(folder.name):
        notes.append(f"{folder}: not rectified (_extract): download the drive's _sync archive")
        return
    if levels == 0 or _DRIVE.fullmatch(folder.name):
        return
    try:
        with os.scandir(folder) as entries:
            below = sorted(entry.name for entry in entries if entry.is_dir())
    except OSError as unreadable:  # e.g. lost+found at the root of a disk: said, not fatal
        notes.append(f"{folder}: cannot be listed: {unreadable.strerror}")
        return
    for name in below:
        if not name.startswith("."):
            yield from _folders(folder / name, levels - 1, notes)


def _frames(folder: Path, endings: tuple[str, ...]) -> dict[int, Path]:
    """Frame index to file within one folder; an absent folder is an empty one."""
    try:
        names = [path.name for path in folder.iterdir()]
    except FileNotFoundError:
        return {}
    except OSError as unreadable:
        raise DataError(f"{folder}: cannot be listed: {unreadable.strerror}") from unreadable
    found: dict[int, Path] = {}
    for ending in endings:
        for name in names:
            stem = name[: -len(ending)]
            if name.lower().endswith(ending) and _FRAME.fullmatch(stem):
                found.setdefault(int(stem), folder / name)
    return found


def _is_frame(path: Path, endings: tuple[str, ...]) -> bool:
    return path.suffix.lower() in endings and _FRAME.fullmatch(path.stem) is not None


def _append_once(folders: list[Path], folder: Path) -> None:
    if folder not in folders:  # one root inside another, or given twice
        folders.append(folder)
