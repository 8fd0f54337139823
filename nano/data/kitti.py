"""Frames of KITTI: an image and the kind of truth that is asked for, read when they are needed.

Three kinds of truth give three different accuracies for the same predictions (Abs Rel moves by
a factor near two), so the kind is chosen, never guessed:

- ``annotated``: the maps of Uhrig et al. (2017), 11 scans joined and checked by stereo.
- ``single-scan``: KITTI's own map of one scan (``velodyne_raw``), or the scan projected by the
  clean rule where there is no map.
- ``raw``: the scan projected; by the legacy rule for the protocol of the 697 raw test frames.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from nano.data.images import read_depth_png, read_image
from nano.data.kitti_check import check_report, inventory
from nano.data.kitti_disk import (
    ANNOTATED,
    IMAGES,
    SCANS,
    SINGLE_SCAN,
    KittiDisk,
    find_drives,
    size_text,
)
from nano.data.lidar import CAMERAS, CLEAN, LEGACY, project, read_scan
from nano.data.sample import Intrinsics, Provenance, Sample
from nano.data.splits import (
    ANNOTATION_MARGIN,
    Drive,
    Frame,
    drive_length,
    has_annotation,
    lost_scan,
)
from nano.errors import DataError
from nano.files import short_hash

__all__ = ["TRUTHS", "KittiSource", "check_report", "drive_frames", "inventory"]

log = logging.getLogger(__name__)

LICENCE = (
    "KITTI (Geiger, Lenz, Stiller, Urtasun 2013; depth maps Uhrig et al. 2017): CC BY-NC-SA 3.0, "
    "for non-commercial use, with credit, shared alike"
)

Truth = Literal["annotated", "single-scan", "raw"]
TRUTHS: tuple[str, ...] = get_args(Truth)

# Where each kind of truth is looked for, in this order.
_KINDS = {"annotated": (ANNOTATED,), "single-scan": (SINGLE_SCAN, SCANS), "raw": (SCANS,)}
_WHAT = {
    "annotated": "annotated map (proj_depth/groundtruth; the archive's train/ and val/ are both "
    "needed)",
    "single-scan": "single-scan map (proj_depth/velodyne_raw) or scan (velodyne_points)",
    "raw": "scan (velodyne_points)",
}


@dataclass(frozen=True, slots=True)
class _Files:
    """One frame's files; ``kind`` is the folder pattern that the truth came from."""

    frame: Frame
    image: Path
    truth: Path
    kind: str


class KittiSource:
    """A `nano.data.sample.Source` over the frames of a list that a disk has.

    Opening it lists folders and reads calibrations; images and depth are read per frame.

    Attributes:
        frames: Those that can be read, in the order asked for.
        left_out: Those asked for that have no truth or, in a partial list, no image; with reasons.
    """

    def __init__(
        self,
        roots: Sequence[Path],
        frames: Iterable[Frame],
        *,
        truth: str = "annotated",
        name: str = "kitti",
        legacy: bool = False,
        partial: bool = False,
    ) -> None:
        """Match the frames with files.

        Args:
            roots: Folders that hold drives, in any of KITTI's layouts; the first one that has a
                file is taken.
            frames: E.g. `nano.data.splits.eigen_test()` or `drive_frames(...)`.
            truth: One of `TRUTHS`.
            name: For captions.
            legacy: Project by `LEGACY`, as published results on the 697 raw frames do.
            partial: Leave out, count and say what is missing from the disk. Without it only
                what KITTI itself lacks is left out.

        Raises:
            DataError: Files are missing, a calibration is damaged, or no frame is left.
        """
        _check_choices(truth, legacy)
        disk = find_drives(roots)
        asked = _distinct(frames)
        self.name = name
        self.truth = truth
        self.rule = LEGACY if legacy else CLEAN
        found, self.left_out = _match(disk, asked, truth)
        _check_complete(name, disk, truth, len(asked), self.left_out, partial=partial)
        self._files = tuple(found)
        self.frames = tuple(files.frame for files in found)
        dates = sorted({files.frame.drive.date for files in found})
        projected = {files.frame.drive.date for files in found if files.kind == SCANS}
        self._calibrations = {
            date: disk.calibration(date)
            for date in dates
            if date in projected or disk.has_calibration(date)
        }
        if self.left_out:
            log.warning("%s: %s", name, self.left_out_text)

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, index: int) -> Sample:
        """Read one frame.

        Raises:
            DataError: A file is damaged, or image and truth differ in size.
        """
        files = self._files[index]
        image = read_image(files.image)
        size = image.shape[:2]
        depth = self._projected(files, size) if files.kind == SCANS else read_depth_png(files.truth)
        if depth.shape != size:
            raise DataError(
                f"{files.truth}: the map is {size_text(depth.shape)}, but its image {files.image} "
                f"is {size_text(size)} (height x width): one of them was resized or cropped"
            )
        return Sample(
            name=files.frame.name,
            image=image,
            depth=depth,
            intrinsics=self._intrinsics(files.frame, size),
        )

    @property
    def provenance(self) -> Provenance:
        """What a cache of the frames says of them."""
        projected = any(files.kind == SCANS for files in self._files)
        rule = f"; scans projected by the {self.rule.name} rule" if projected else ""
        return Provenance(protocol=f"KITTI, {self.truth} truth{rule}; metres", licence=LICENCE)

    def identity(self) -> dict[str, Any]:
        """What names the cache: every frame's files by name, size and time of change."""
        kinds = Counter("projected" if files.kind == SCANS else "maps" for files in self._files)
        paths = [path for files in self._files for path in (files.image, files.truth)]
        stamps = [_stamp(path) for path in paths]
        names = [f"{files.frame.name} {files.kind}" for files in self._files]
        matrices = [
            f"{date} {calibration.size} {matrix.tolist()}"
            for date, calibration in self._calibrations.items()
            for matrix in calibration.matrices.values()
        ]
        return {
            "set": "kitti",
            "truth": self.truth,
            "rule": self.rule.name if kinds["projected"] else "none",
            "frames": len(self),
            "maps": kinds["maps"],
            "projected": kinds["projected"],
            "files": short_hash("\n".join([*names, *stamps, *matrices])),
        }

    @property
    def left_out_text(self) -> str:
        """E.g. ``45 of 697 frames left out: 45 with no annotated map (KITTI made none ...)``."""
        asked = len(self) + len(self.left_out)
        return f"{len(self.left_out)} of {asked} frames left out: {_counts(self.left_out)}"

    def _intrinsics(self, frame: Frame, size: tuple[int, ...]) -> Intrinsics | None:
        """Unknown without a calibration, and for images that were resized along with their maps."""
        calibration = self._calibrations.get(frame.drive.date)
        if calibration is None or calibration.size != size:
            return None
        return calibration.intrinsics[frame.camera]

    def _projected(self, files: _Files, size: tuple[int, ...]) -> NDArray[np.float32]:
        calibration = self._calibrations[files.frame.drive.date]
        if calibration.size != size:
            raise DataError(
                f"{files.image}: {size_text(size)}, but the calibration in {calibration.source} "
                f"is for {size_text(calibration.size)} (height x width): the image was resized or "
                "cropped, or the calibration is of another date"
            )
        points = read_scan(files.truth)
        depth = project(points, calibration, files.frame.camera, self.rule)
        if not depth.any():
            raise DataError(
                f"{files.truth}: none of its {len(points)} points lands in the image: the scan is "
                f"damaged or the calibration in {calibration.source} does not belong to it"
            )
        return depth


def drive_frames(
    roots: Sequence[Path], drives: Iterable[Drive] | None = None, camera: int = 2
) -> tuple[Frame, ...]:
    """Every image of the drives, or of all drives under the roots, ordered by drive and index.

    Raises:
        DataError: A named drive is not there or holds no images of the camera.
    """
    disk = find_drives(roots)
    frames: list[Frame] = []
    for drive in sorted(set(disk.drives if drives is None else drives)):
        if drive not in disk.drives:
            known = ", ".join(sorted(other.folder for other in disk.drives))
            raise DataError(f"{drive.folder} is not under {disk.place}, which has {known}")
        indices = disk.files(drive, IMAGES, camera)
        if not indices and drives is not None:
            folder = disk.drives[drive][0] / IMAGES.format(camera=camera)
            raise DataError(f"{folder}: no images: expected files such as 0000000000.png or .jpg")
        frames += (Frame(drive=drive, index=index, camera=camera) for index in indices)
    return tuple(frames)


def _check_choices(truth: str, legacy: bool) -> None:
    if truth not in TRUTHS:
        raise DataError(f"truth {truth!r} is unknown: one of {', '.join(TRUTHS)}")
    if legacy and truth != "raw":
        raise DataError(f"the legacy rule projects raw scans: truth is {truth!r}, not 'raw'")


def _distinct(frames: Iterable[Frame]) -> list[Frame]:
    asked = list(frames)
    name, times = next(iter(Counter(frame.name for frame in asked).most_common(1)), ("", 0))
    if times > 1:
        raise DataError(f"{name} is asked for {times} times: every frame may come once")
    for frame in asked:
        if frame.camera not in CAMERAS:
            raise DataError(f"{frame.name}: only the colour cameras 2 and 3 can be read")
    return asked


def _match(
    disk: KittiDisk, asked: list[Frame], truth: str
) -> tuple[list[_Files], tuple[tuple[Frame, str], ...]]:
    """The files of each frame, and the frames without, each with the reason."""
    found: list[_Files] = []
    left_out: list[tuple[Frame, str]] = []
    listed: dict[tuple[Drive, str, int], dict[int, Path]] = {}

    def paths(frame: Frame, kind: str) -> dict[int, Path]:
        key = (frame.drive, kind, frame.camera)
        if key not in listed:
            listed[key] = disk.files(*key)
        return listed[key]

    for frame in asked:
        images = paths(frame, IMAGES)
        if frame.index not in images:
            left_out.append((frame, "with no image"))
            continue
        for kind in _KINDS[truth]:
            path = paths(frame, kind).get(frame.index)
            if path is not None:
                found.append(_Files(frame, images[frame.index], path, kind))
                break
        else:
            left_out.append((frame, _why_no_truth(frame, truth, max(images) + 1)))
    return found, tuple(left_out)


_NOT_MADE = (
    "with no annotated map (KITTI made none of a drive's first and last "
    f"{ANNOTATION_MARGIN} images)"
)
_NOT_SCANNED = "with no scan (KITTI has none of 2011_09_26_drive_0009, images 177 to 180)"


def _why_no_truth(frame: Frame, truth: str, images: int) -> str:
    """A reason that is KITTI's own, or the plain words that it is missing here.

    A drive that no list knows is as long as its ``images`` on the disk.
    """
    length = drive_length(frame.drive) or images
    if truth == "annotated" and not has_annotation(frame.index, length):
        return _NOT_MADE
    if truth != "annotated" and lost_scan(frame.drive, frame.index):
        return _NOT_SCANNED
    return f"with no {_WHAT[truth]}"


def _check_complete(
    name: str,
    disk: KittiDisk,
    truth: str,
    asked: int,
    left_out: tuple[tuple[Frame, str], ...],
    *,
    partial: bool,
) -> None:
    """Refuse a list with holes that KITTI does not have, unless a partial one was asked for."""
    if asked == 0:
        raise DataError(f"{name}: no frame was asked for")
    where = f"with {truth} truth under {disk.place}: {_counts(left_out)}"
    if len(left_out) == asked:
        raise DataError(f"{name}: none of the {asked} frames can be used {where}")
    holes = [frame for frame, why in left_out if why not in {_NOT_MADE, _NOT_SCANNED}]
    if holes and not partial:
        raise DataError(
            f"{name}: {len(holes)} of {asked} frames are incomplete {where}; the first is "
            f"{holes[0].name}; add the files, or ask for a partial list"
        )


def _counts(left_out: tuple[tuple[Frame, str], ...]) -> str:
    counts = Counter(reason for _, reason in left_out)
    return "; ".join(f"{count} {reason}" for reason, count in counts.items())


def _stamp(path: Path) -> str:
    try:
        status = path.stat()
    except OSError as gone:
        raise DataError(f"{path}: cannot be read: {gone.strerror}") from gone
    return f"{path.name} {status.st_size} {status.st_mtime_ns}"
