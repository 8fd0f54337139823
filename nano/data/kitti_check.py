"""What a disk has of KITTI, in plain words: before a training finds out in its second hour."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from nano.data.images import image_size, read_depth_png, read_image
from nano.data.kitti_disk import (
    ANNOTATED,
    IMAGES,
    SCANS,
    SINGLE_SCAN,
    SIZES,
    KittiDisk,
    belongs_in,
    camera_of,
    find_drives,
    foreign_files,
    size_text,
)
from nano.data.lidar import CAMERA_FILE, CAMERAS, VELODYNE_FILE, read_scan
from nano.data.splits import (
    ANNOTATION_MARGIN,
    SPLITS,
    TEST_LENGTHS,
    TRAINING_LENGTHS,
    Drive,
    Frame,
    drive_length,
    in_validation_archive,
    lost_scan,
    role,
)
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
    """The inventory as text: drives, how much of each list is there, what is lacking, problems."""
    return "\n".join(_report_lines(inventory(roots)))


def _report_lines(found: Inventory) -> Iterator[str]:
    yield "KITTI under " + ", ".join(str(root) for root in found.roots)
    for date, state in found.calibrations.items():
        stocks = [stock for stock in found.drives if stock.drive.date == date]
        yield ""
        yield f"{date}   calibration: {state}"
        if stocks:
            yield "  drive  role         left    of  right  scans  annotated  single-scan maps"
        for stock in stocks:
            yield _drive_line(stock)
    yield ""
    yield "images with truth:          annotated  single-scan    raw"
    for name, frames in SPLITS.items():
        yield _usable_line(f"{name}, {len(frames())}", found.drives, frames())
    left = [
        Frame(drive=stock.drive, index=index)
        for stock in found.drives
        for index in stock.images.get(_LEFT, ())
    ]
    yield _usable_line(f"left images, {len(left)}", found.drives, left)
    yield ""
    yield from _places_of_maps(found.drives)
    yield from _lacking(found.drives)
    yield ""
    yield f"problems: {len(found.problems)}" if found.problems else "no problems found"
    for problem in found.problems:
        yield f"- {problem}"


def _drive_line(stock: DriveStock) -> str:
    left, right = (len(stock.images.get(camera, ())) for camera in CAMERAS)
    annotated, single = len(stock.annotated.get(_LEFT, ())), len(stock.single_scan.get(_LEFT, ()))
    return (
        f"  {stock.drive.number:04d}   {role(stock.drive):<11}{left:6d}"
        f"{drive_length(stock.drive) or '?':>6}{right:7d}{len(stock.scans):7d}{annotated:11d}"
        f"{single:18d}"
    )


def _usable_line(name: str, stocks: Sequence[DriveStock], frames: Sequence[Frame]) -> str:
    listed: dict[tuple[Drive, int], set[int]] = {}
    for frame in frames:
        listed.setdefault((frame.drive, frame.camera), set()).add(frame.index)
    here = {stock.drive: stock for stock in stocks}
    counts = [
        sum(
            len(here[drive].usable(truth, camera) & indices)
            for (drive, camera), indices in listed.items()
            if drive in here
        )
        for truth in ("annotated", "single-scan", "raw")
    ]
    return f"  {name:<26}{counts[0]:9d}{counts[1]:13d}{counts[2]:7d}"


def _places_of_maps(stocks: Sequence[DriveStock]) -> Iterator[str]:
    """In which of KITTI's layouts the annotated maps were found."""
    places: Counter[str] = Counter()
    for stock in stocks:
        for folder in stock.folders:
            if any((folder / ANNOTATED.format(camera=camera)).is_dir() for camera in CAMERAS):
                places[_layout(folder)] += 1
    if places:
        told = ", ".join(f"{count} {_drives(count)} {place}" for place, count in places.items())
        yield f"annotated maps: {told}"


def _layout(folder: Path) -> str:
    if folder.parent.name in ("train", "val"):
        return f"in the archive's {folder.parent.name}/"
    raw = any((folder / IMAGES.format(camera=camera)).is_dir() for camera in CAMERAS)
    return "inside the raw tree" if raw else "in a merged folder"


def _lacking(stocks: Sequence[DriveStock]) -> Iterator[str]:
    """Drives of the lists that are not here or not whole, and what would bring them."""
    here = {stock.drive: stock for stock in stocks}
    for kind, lengths in (("training", TRAINING_LENGTHS), ("test", TEST_LENGTHS)):
        absent = [drive for drive in lengths if drive not in here or not here[drive].images]
        if absent:
            yield (
                f"lacking: images of {len(absent)} of {len(lengths)} {kind} drives "
                f"(<drive>_sync.zip of KITTI's raw data): {_by_date(absent)}"
            )
    with_maps = {drive for drive, stock in here.items() if stock.annotated}
    without = [d for d in (*TRAINING_LENGTHS, *TEST_LENGTHS) if d in here and d not in with_maps]
    if with_maps and without:
        val = [drive for drive in without if in_validation_archive(drive)]
        more = f", {len(val)} of them in its val/" if val else ""
        yield (
            f"lacking: annotated maps of {len(without)} {_drives(len(without))} "
            f"(data_depth_annotated.zip{more}): {_by_date(without)}"
        )
    for stock in stocks:
        gaps = _gaps(stock, drive_length(stock.drive) or 0)
        if gaps:
            yield f"lacking: of {stock.drive.folder} {', '.join(gaps)}"


def _gaps(stock: DriveStock, length: int) -> list[str]:
    """Kinds of which a drive of ``length`` images has only a part."""
    lost = sum(lost_scan(stock.drive, index) for index in range(length))
    kinds = (
        ("left images", len(stock.images.get(_LEFT, ())), length),
        ("scans", len(stock.scans), length - lost),
        ("annotated maps", len(stock.annotated.get(_LEFT, ())), length - 2 * ANNOTATION_MARGIN),
    )
    return [f"{whole - n} of {whole} {what}" for what, n, whole in kinds if 0 < n < whole]


def _by_date(drives: Sequence[Drive]) -> str:
    """E.g. ``2011_09_26 0001 0002; 2011_09_28 0001``."""
    dates = groupby(sorted(drives), lambda drive: drive.date)
    return "; ".join(
        " ".join([date, *(f"{drive.number:04d}" for drive in listed)]) for date, listed in dates
    )


def _drives(count: int) -> str:
    return "drive" if count == 1 else "drives"


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
        yield from _mislaid(folder)
    yield from _first_files(disk, drive)


def _mislaid(drive: Path) -> Iterator[str]:
    """Frames that lie where nobody looks for them: a level too deep or too high, and so on."""
    for place, below, names in os.walk(drive):
        below[:] = sorted(name for name in below if not name.startswith("."))
        inside = Path(place).relative_to(drive)
        kind = belongs_in(inside, names)
        if kind is not None:
            expected = kind.format(camera=camera_of(inside))
            if inside.as_posix() != expected:
                yield f"{place}: frames are mislaid: move them to {drive / expected}"
        if {CAMERA_FILE, VELODYNE_FILE} & set(names):
            yield f"{place}: the calibration is mislaid: move calib_*.txt to {drive.parent}"


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
