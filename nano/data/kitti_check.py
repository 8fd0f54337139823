"""What a disk has of KITTI, in plain words: before a training finds out in its second hour."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from nano.data.images import image_size, read_depth_png, read_image
from nano.data.kitti_disk import (
    ANNOTATED,
    IMAGES,
    SCANS,
    SINGLE_SCAN,
    SIZES,
    KittiDisk,
    find_drives,
    foreign_files,
    size_text,
)
from nano.data.lidar import CAMERA_FILE, CAMERAS, VELODYNE_FILE, read_scan
from nano.data.splits import SPLITS, Drive, drive_length, lost_scan, role
from nano.errors import DataError

_LEFT = 2
_NAMED = 3  # how many files or drives a message names before it counts the rest


@dataclass(frozen=True, kw_only=True)
class DriveStock:
    """The frames of one drive that are on the disk, per kind; indices ascending.

    Attributes:
        drive: Date and number.
        folders: Where its parts lie.
        images: Of each camera that has any.
        scans: Velodyne scans.
        annotated: Annotated maps of each camera that has any.
        single_scan: KITTI's own maps of one scan of each camera that has any.
    """

    drive: Drive
    folders: tuple[Path, ...]
    images: dict[int, tuple[int, ...]]
    scans: tuple[int, ...]
    annotated: dict[int, tuple[int, ...]]
    single_scan: dict[int, tuple[int, ...]]

    def usable(self, truth: str, camera: int = _LEFT) -> set[int]:
        """Frames with an image and ``truth`` (as `nano.data.kitti.TRUTHS`)."""
        maps, single = self.annotated.get(camera, ()), self.single_scan.get(camera, ())
        with_truth = {"annotated": maps, "single-scan": (*single, *self.scans), "raw": self.scans}
        return set(self.images.get(camera, ())) & set(with_truth[truth])


@dataclass(frozen=True, kw_only=True)
class Inventory:
    """What `inventory` found.

    Attributes:
        roots: As given, absolute.
        drives: Ordered by date and number.
        calibrations: Per date its state: ``complete``, not needed, or among the problems.
        problems: What a person should look at, each naming its file or folder.
    """

    roots: tuple[Path, ...]
    drives: tuple[DriveStock, ...]
    calibrations: dict[str, str]
    problems: tuple[str, ...]


def inventory(roots: Sequence[Path]) -> Inventory:
    """List what the roots hold, and read the first image, map and scan of every drive.

    Raises:
        DataError: A root is no folder, or no drive is below any of them.
    """
    disk = find_drives(roots)
    drives = tuple(_stock(disk, drive) for drive in disk.drives)
    scanned = {stock.drive.date for stock in drives if stock.scans}
    calibrations: dict[str, str] = {}
    problems = list(disk.notes)
    for date in sorted(disk.above):
        problem = _calibration_problem(disk, date)
        if problem is None:
            calibrations[date] = "complete"
        elif disk.calibration_folders(date) or date in scanned:
            calibrations[date] = "see the problems"
            problems.append(problem)
        else:
            calibrations[date] = "none, and none is needed without scans"
        problems += _disagreements(disk, date)
    for stock in drives:
        problems += _drive_problems(disk, stock)
    return Inventory(
        roots=disk.roots,
        drives=drives,
        calibrations=calibrations,
        problems=tuple(problems),
    )


def check_report(roots: Sequence[Path]) -> str:
    """The inventory as text: drives, calibrations, how much of each list is there, problems."""
    return "\n".join(_report_lines(inventory(roots)))


def _report_lines(found: Inventory) -> Iterator[str]:
    yield "KITTI under " + ", ".join(str(root) for root in found.roots)
    for date, state in found.calibrations.items():
        stocks = [stock for stock in found.drives if stock.drive.date == date]
        yield ""
        yield f"{date}   calibration: {state}"
        if stocks:
            yield "  drive  role         left right  scans  annotated  single-scan maps"
        for stock in stocks:
            yield _drive_line(stock)
    yield ""
    yield "left images with truth:     annotated  single-scan    raw"
    for name, frames in SPLITS.items():
        listed: dict[Drive, set[int]] = {}
        for frame in frames():
            listed.setdefault(frame.drive, set()).add(frame.index)
        yield _usable_line(f"{name}, {len(frames())}", found.drives, listed)
    yield _usable_line("all drives", found.drives, None)
    yield ""
    yield f"problems: {len(found.problems)}" if found.problems else "no problems found"
    for problem in found.problems:
        yield f"- {problem}"


def _drive_line(stock: DriveStock) -> str:
    left, right = (len(stock.images.get(camera, ())) for camera in CAMERAS)
    annotated, single = len(stock.annotated.get(_LEFT, ())), len(stock.single_scan.get(_LEFT, ()))
    return (
        f"  {stock.drive.number:04d}   {role(stock.drive):<11}{left:6d}{right:6d}"
        f"{len(stock.scans):7d}{annotated:11d}{single:18d}"
    )


def _usable_line(
    name: str, stocks: Sequence[DriveStock], listed: dict[Drive, set[int]] | None
) -> str:
    counts = []
    for truth in ("annotated", "single-scan", "raw"):
        usable = {stock.drive: stock.usable(truth) for stock in stocks}
        if listed is not None:
            usable = {drive: usable.get(drive, set()) & kept for drive, kept in listed.items()}
        counts.append(sum(len(frames) for frames in usable.values()))
    return f"  {name:<26}{counts[0]:9d}{counts[1]:13d}{counts[2]:7d}"


def _stock(disk: KittiDisk, drive: Drive) -> DriveStock:
    def per_camera(kind: str) -> dict[int, tuple[int, ...]]:
        frames = {camera: tuple(disk.files(drive, kind, camera)) for camera in CAMERAS}
        return {camera: indices for camera, indices in frames.items() if indices}

    return DriveStock(
        drive=drive,
        folders=disk.drives[drive],
        images=per_camera(IMAGES),
        scans=tuple(disk.files(drive, SCANS, _LEFT)),
        annotated=per_camera(ANNOTATED),
        single_scan=per_camera(SINGLE_SCAN),
    )


def _calibration_problem(disk: KittiDisk, date: str) -> str | None:
    try:
        disk.calibration(date)
    except DataError as error:
        return str(error)
    return None


def _disagreements(disk: KittiDisk, date: str) -> Iterator[str]:
    """Calibration folders of one date that differ: only the first is used."""
    folders = disk.calibration_folders(date)
    for other in folders[1:]:
        for name in (CAMERA_FILE, VELODYNE_FILE):
            paths = folders[0] / name, other / name
            if all(path.is_file() for path in paths):
                mine, theirs = (path.read_bytes() for path in paths)
                if mine != theirs:
                    yield f"{paths[1]}: differs from {paths[0]}, which is the one used"


def _drive_problems(disk: KittiDisk, stock: DriveStock) -> Iterator[str]:
    drive = stock.drive
    where = " and ".join(str(folder) for folder in stock.folders)
    if not stock.images:
        yield f"{where}: no images of the colour cameras (image_02/data, image_03/data)"
    elif not (stock.scans or stock.annotated or stock.single_scan):
        yield f"{where}: images but no depth of any kind"
    length = drive_length(drive)
    last = max((indices[-1] for indices in stock.images.values()), default=-1)
    if length is not None and last >= length:
        yield f"{where}: has image {last}, but KITTI's drive ends at {length - 1}"
    if stock.scans:
        left = stock.images.get(_LEFT, ())
        missing = [i for i in left if i not in set(stock.scans) and not lost_scan(drive, i)]
        if missing:
            yield f"{where}: {len(missing)} left images have no scan: {_some(missing)}"
    for folder in stock.folders:
        for camera in CAMERAS:
            kind_folder = folder / IMAGES.format(camera=camera)
            foreign = foreign_files(kind_folder, IMAGES)
            if foreign:
                yield f"{kind_folder}: {len(foreign)} files are no frames: {_some(foreign)}"
    yield from _first_files(disk, drive)


def _first_files(disk: KittiDisk, drive: Drive) -> Iterator[str]:
    """Read the first file of every kind: an 8-bit or resized set is so from its first frame on."""
    size: tuple[int, int] | None = None
    for kind in (IMAGES, ANNOTATED, SINGLE_SCAN, SCANS):
        for camera in CAMERAS if kind != SCANS else (_LEFT,):
            path = next(iter(disk.files(drive, kind, camera).values()), None)
            if path is None:
                continue
            try:
                if kind == SCANS:
                    read_scan(path)
                    continue
                (read_image if kind == IMAGES else read_depth_png)(path)
                size = image_size(path)
            except DataError as error:
                yield str(error)
                continue
            if size != SIZES.get(drive.date, size):
                yield f"{path}: {size_text(size)}, but KITTI's are {size_text(SIZES[drive.date])}"


def _some(items: Sequence[object]) -> str:
    named = ", ".join(str(item) for item in items[:_NAMED])
    return named + (f" and {len(items) - _NAMED} more" if len(items) > _NAMED else "")
