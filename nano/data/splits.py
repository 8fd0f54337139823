"""The lists of KITTI frames that papers name, as two small tables and the rules that unfold them.

Eigen et al. (2014) took 28 drives for testing; stretches where the car stands still and a few
random frames were dropped, which no rule derives, hence the table. The training frames follow
from the lengths of 33 other drives; the lists for training without depth have both cameras. Nobody
published a validation part of the 23158 training frames: `VALIDATION_DRIVES` is our choice, of
whole drives, because neighbouring frames look alike.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from nano.errors import DataError

# Uhrig et al. accumulate 11 scans, so the first and last five frames of a drive have no map.
ANNOTATION_MARGIN = 5


class Drive(NamedTuple):
    """One recording: its date as KITTI writes it and its number on that date."""

    date: str
    number: int

    @property
    def folder(self) -> str:
        """E.g. ``2011_09_26_drive_0001_sync``."""
        return f"{self.date}_drive_{self.number:04d}_sync"

    @classmethod
    def parse(cls, text: str) -> Drive:
        """From ``2011_09_26_drive_0001`` with or without ``_sync``, or ``2011_09_26/0001``."""
        match = re.fullmatch(r"(\d{4}_\d{2}_\d{2})(?:_drive_|/)(\d{4})(?:_sync)?", text)
        if match is None:
            raise DataError(f"{text!r} is not a KITTI drive: write 2011_09_26_drive_0001")
        return cls(match[1], int(match[2]))


@dataclass(frozen=True, kw_only=True, order=True, slots=True)
class Frame:
    """One image of one drive. Camera 2 is the left colour camera, 3 the right one."""

    drive: Drive
    index: int
    camera: int = 2

    @property
    def name(self) -> str:
        """E.g. ``2011_09_26_drive_0001_sync/image_02/0000000005``."""
        return f"{self.drive.folder}/image_{self.camera:02d}/{self.index:010d}"


# drive:frames
_TRAINING = """
2011_09_26 0001:108 0005:154 0011:233 0014:314 0015:297 0017:114 0018:270 0019:481 0022:800
2011_09_26 0028:430 0032:390 0035:131 0039:395 0051:438 0057:361 0060:78 0061:703 0070:420
2011_09_26 0079:100 0087:729 0091:340 0095:268 0104:312 0113:87
2011_09_28 0001:106
2011_09_29 0004:339 0026:158
2011_09_30 0020:1104 0028:5177 0033:1594 0034:1224
2011_10_03 0034:4663 0042:1170
"""

# drive frames/stride, inclusive ranges of frames, !frames that were left out
_TEST = """
2011_09_26 0002 77/3 0-75 !66
2011_09_26 0009 447/16 0-176,196-388
2011_09_26 0013 144/5 0-140 !15,25,55,75
2011_09_26 0020 86/3 0-84 !24,30,39,81
2011_09_26 0023 474/18 18-468 !234
2011_09_26 0027 188/7 0-182 !105,154
2011_09_26 0029 430/14 0-196,268-408 !282
2011_09_26 0036 803/32 0-800 !736
2011_09_26 0046 125/5 0-120
2011_09_26 0048 22/1 0-21
2011_09_26 0052 78/2 0-52 !24,34
2011_09_26 0056 294/11 11-286 !132
2011_09_26 0059 373/14 0-238,274-372 !168
2011_09_26 0064 570/22 0-550 !132
2011_09_26 0084 383/13 49-374 !166
2011_09_26 0086 706/27 7-682 !547
2011_09_26 0093 433/16 0-256,305-417
2011_09_26 0096 475/19 0-456
2011_09_26 0101 936/34 80-930 !250
2011_09_26 0106 227/8 15-15,35-219
2011_09_26 0117 660/26 0-650 !520
2011_09_28 0002 376/3 0-90 !15,27,42,66,69,75
2011_09_29 0071 1059/36 0-612,735-951,1054-1054 !843
2011_09_30 0016 279/11 0-275 !99
2011_09_30 0018 2762/107 0-2247,2419-2740 !321
2011_09_30 0027 1106/41 0-656,753-1081 !999
2011_10_03 0027 4544/181 0-543,734-4535 !2182
2011_10_03 0047 837/32 0-800 !256
"""

# City, residential and road scenes, 1411 of the 23488 training images.
VALIDATION_DRIVES = frozenset(Drive("2011_09_26", number) for number in (5, 11, 39, 57, 95))


# KITTI divided the annotated maps by its own benchmark, not by these lists.
_VALIDATION_ARCHIVE = frozenset(
    Drive(f"2011_{date}", number)
    for date, numbers in {
        "09_26": (2, 5, 13, 20, 23, 36, 79, 95, 113),
        "09_28": (37,),
        "09_29": (26,),
        "09_30": (16,),
        "10_03": (47,),
    }.items()
    for number in numbers
)


def _training_lengths() -> dict[Drive, int]:
    lengths = {}
    for line in _TRAINING.strip().split("\n"):
        date, *drives = line.split()
        for drive in drives:
            number, frames = drive.split(":")
            lengths[Drive(date, int(number))] = int(frames)
    return lengths


def _test_drives() -> dict[Drive, tuple[int, tuple[int, ...]]]:
    """Length of each test drive, and its tested indices."""
    drives = {}
    for line in _TEST.strip().split("\n"):
        date, number, shape, ranges, *omitted = line.split()
        length, stride = (int(part) for part in shape.split("/"))
        left_out = {int(index) for index in omitted[0][1:].split(",")} if omitted else set()
        indices: list[int] = []
        for stretch in ranges.split(","):
            first, last = (int(index) for index in stretch.split("-"))
            indices += range(first, last + 1, stride)
        tested = tuple(index for index in indices if index not in left_out)
        drives[Drive(date, int(number))] = length, tested
    return drives


_TEST_DRIVES = _test_drives()
TRAINING_LENGTHS: Mapping[Drive, int] = MappingProxyType(_training_lengths())
TEST_LENGTHS: Mapping[Drive, int] = MappingProxyType(
    {drive: length for drive, (length, _) in _TEST_DRIVES.items()}
)


def drive_length(drive: Drive) -> int | None:
    """Number of images of a drive as KITTI released it; None for drives in no list."""
    return TRAINING_LENGTHS.get(drive, TEST_LENGTHS.get(drive))


def role(drive: Drive) -> str:
    """``training``, ``validation`` (training drives held out), ``test`` or ``in no list``."""
    if drive in VALIDATION_DRIVES:
        return "validation"
    if drive in TRAINING_LENGTHS:
        return "training"
    return "test" if drive in TEST_LENGTHS else "in no list"


def has_annotation(index: int, length: int) -> bool:
    """Whether KITTI made an annotated map of image ``index`` in a drive of ``length`` images."""
    return ANNOTATION_MARGIN <= index < length - ANNOTATION_MARGIN


def in_validation_archive(drive: Drive) -> bool:
    """Whether the annotated maps of a drive are in val/ of KITTI's archive, not in train/."""
    return drive in _VALIDATION_ARCHIVE


def lost_scan(drive: Drive, index: int) -> bool:
    """Whether KITTI itself lacks the Velodyne scan of an image."""
    return drive == Drive("2011_09_26", 9) and 177 <= index <= 180


@cache
def eigen_test() -> tuple[Frame, ...]:
    """The 697 test frames, sorted by drive and index (published lists shuffle inside a drive)."""
    return tuple(
        Frame(drive=drive, index=index)
        for drive, (_, indices) in _TEST_DRIVES.items()
        for index in indices
    )


@cache
def eigen_test_annotated() -> tuple[Frame, ...]:
    """The 652 of the 697 that have an annotated map: what annotated results are averaged over."""
    return tuple(
        frame for frame in eigen_test() if has_annotation(frame.index, TEST_LENGTHS[frame.drive])
    )


@cache
def eigen_train() -> tuple[Frame, ...]:
    """The 23158 left images of the 33 training drives that have an annotated map (BTS, DORN)."""
    return tuple(
        Frame(drive=drive, index=index)
        for drive, length in TRAINING_LENGTHS.items()
        for index in range(length)
        if has_annotation(index, length)
    )


@cache
def eigen_fit() -> tuple[Frame, ...]:
    """`eigen_train` without the held-out drives: what a search trains on."""
    return tuple(frame for frame in eigen_train() if frame.drive not in VALIDATION_DRIVES)


@cache
def eigen_validation() -> tuple[Frame, ...]:
    """The held-out drives of `eigen_train`: what a search selects by, never the test frames."""
    return tuple(frame for frame in eigen_train() if frame.drive in VALIDATION_DRIVES)


@cache
def eigen_full() -> tuple[Frame, ...]:
    """Every image of the 33 training drives, left and right: 46976 (monodepth, both its lists)."""
    return tuple(
        Frame(drive=drive, index=index, camera=camera)
        for drive, length in TRAINING_LENGTHS.items()
        for index in range(length)
        for camera in (2, 3)
    )


@cache
def eigen_neighbours() -> tuple[Frame, ...]:
    """The 46844 of `eigen_full` with an image before and after: what view synthesis trains on.

    Zhou et al. (2017) also leave out frames in which the car stands still; no rule derives these,
    so their list, which anybody may use, is handed in (`standing_frames`). It leaves 44234.
    """
    return tuple(
        frame for frame in eigen_full() if 0 < frame.index < TRAINING_LENGTHS[frame.drive] - 1
    )


def standing_frames(path: Path) -> frozenset[tuple[Drive, int]]:
    """Drive and index of each line ``2011_09_26 2011_09_26_drive_0001_sync 0000000005`` of a file.

    That is how SfMLearner's ``static_frames.txt`` lists frames in which the car stands still.

    Raises:
        DataError: The file is missing or unreadable, or has another line; names the line.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError as missing:
        raise DataError(f"{path}: no such file: expected a list of standing frames") from missing
    except (OSError, UnicodeDecodeError) as unreadable:
        raise DataError(f"{path}: cannot be read: {unreadable}") from unreadable
    standing = set()
    for number, line in enumerate(lines, start=1):
        words = line.split()
        if not words:
            continue
        if len(words) != 3 or not (words[2].isascii() and words[2].isdecimal()):
            raise DataError(
                f"{path}, line {number}: {line!r} is no frame: expected "
                "'2011_09_26 2011_09_26_drive_0001_sync 0000000005'"
            )
        try:
            standing.add((Drive.parse(words[1]), int(words[2])))
        except DataError as error:
            raise DataError(f"{path}, line {number}: {error}") from error
    return frozenset(standing)


SPLITS: Mapping[str, Callable[[], tuple[Frame, ...]]] = MappingProxyType(
    {
        "eigen-train": eigen_train,
        "eigen-fit": eigen_fit,
        "eigen-validation": eigen_validation,
        "eigen-test": eigen_test,
        "eigen-test-annotated": eigen_test_annotated,
        "eigen-full": eigen_full,
        "eigen-neighbours": eigen_neighbours,
    }
)


def listed_frames(name: str, camera: int | None = None) -> tuple[Frame, ...]:
    """The frames of a list of `SPLITS`; with a camera, each instant once, seen by it."""
    frames = SPLITS[name]()
    if camera is None:
        return frames
    return tuple(dict.fromkeys(replace(frame, camera=camera) for frame in frames))
