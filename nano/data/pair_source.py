"""Frames that are an image file and a depth file each, read when they are needed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nano.data.array_files import read_image_array
from nano.data.depth_files import read_depth
from nano.data.images import image_size, read_image
from nano.data.kitti_disk import size_text
from nano.data.manifest import MANIFEST
from nano.data.pairs import Kind, Pair, whole
from nano.data.sample import Intrinsics, Provenance, Sample
from nano.errors import DataError
from nano.files import short_hash

Usual = tuple[tuple[int, int], Path]


@dataclass(frozen=True, kw_only=True)
class PairSource:
    """A `nano.data.sample.Source` over pairs of files.

    A frame that lacks its image or depth map is one of its frames: it cannot be read, so that
    whoever prepares the split counts and names it along with damaged ones.

    Attributes:
        name: For captions.
        truth: Kind of truth.
        images: Where images lie, for messages.
        depths: Where depth maps lie.
        pairs: The frames, in order of folder and name.
        foreign: Files that are neither image nor depth map: passed over.
        metres_per_unit: What the numbers of a depth map are multiplied with.
        range_m: Depths outside are unknown; the units are doubted where most lie far outside.
        usual: Height and width that every image must have, and the image they are taken from; None
            where sizes may be mixed.
        licence: On which terms the data may be used.
        intrinsics: Of every image, at its own size; None where nobody states them.
    """

    name: str
    truth: str
    images: Kind
    depths: Kind
    pairs: tuple[Pair, ...]
    foreign: tuple[Path, ...]
    metres_per_unit: float
    range_m: tuple[float, float]
    usual: Usual | None
    licence: str
    intrinsics: Intrinsics | None = None

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> Sample:
        """Read one frame.

        Raises:
            DataError: A half is missing or damaged, the sizes differ, or the units are wrong.
        """
        pair = self.pairs[index]
        image_path, depth_path = whole(pair, self.images, self.depths)
        image = _read(image_path)
        size = image.shape[:2]
        if self.usual is not None and size != self.usual[0]:
            usual, example = self.usual
            raise DataError(
                f"{image_path}: {size_text(size)}, but {example} is {size_text(usual)} (height x "
                "width): cropped or turned pictures would be squeezed into one shape; mend or "
                f"remove it, or state mixed_sizes = true in {MANIFEST}"
            )
        depth = read_depth(depth_path, self.metres_per_unit, self.range_m)
        if depth.shape != size:
            raise DataError(
                f"{depth_path}: the map is {size_text(depth.shape)}, but its image {image_path} is "
                f"{size_text(size)} (height x width): both must be of one camera, at one size"
            )
        low, high = self.range_m
        depth[(depth < low) | (depth > high)] = 0
        return Sample(name=pair.label, image=image, depth=depth, intrinsics=self.intrinsics)

    @property
    def provenance(self) -> Provenance:
        """What a cache of the frames says of them."""
        low, high = self.range_m
        protocol = f"{self.truth} truth, {low:g}-{high:g} m; metres"
        return Provenance(protocol=protocol, licence=self.licence)

    def identity(self) -> dict[str, Any]:
        """What names the cache: every file by name, size and time of change; units and range."""
        return {
            "set": "pairs",
            "metres_per_unit": self.metres_per_unit,
            "range_m": list(self.range_m),
            "usual": None if self.usual is None else list(self.usual[0]),
            "licence": self.licence,
            "intrinsics": list(self.intrinsics or ()),
            "frames": len(self),
            "files": short_hash("\n".join(_stamps(self.pairs))),
        }

    @property
    def incomplete(self) -> tuple[str, ...]:
        """Of every frame that lacks a half, or has one twice: which file, and what to do."""
        reasons = []
        for pair in self.pairs:
            try:
                whole(pair, self.images, self.depths)
            except DataError as missing:
                reasons.append(str(missing))
        return tuple(reasons)


def _read(path: Path) -> NDArray[np.uint8]:
    return read_image_array(path) if path.suffix == ".npy" else read_image(path)


def first_size(pairs: Sequence[Pair]) -> Usual | None:
    """Height and width of the first image that opens, and its path."""
    for path in (path for pair in pairs for path in pair.images):
        try:
            return image_size(path), path
        except DataError:  # told when the frame is read
            continue
    return None


def _stamps(pairs: Sequence[Pair]) -> list[str]:
    lines = []
    for pair in pairs:
        lines.append(f"{pair.label}: {len(pair.images)} and {len(pair.depths)}")
        for path in (*pair.images, *pair.depths):
            try:
                status = path.stat()
            except OSError as gone:
                raise DataError(f"{path}: cannot be read: {gone.strerror}") from gone
            lines.append(f"{path.name} {status.st_size} {status.st_mtime_ns}")
    return lines
