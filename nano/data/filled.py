"""A source whose frames also carry their depth filled, kept on disk one file a frame."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from nano.data.fill import fill
from nano.data.images import METRES_PER_STEP, png_text, read_depth_png
from nano.data.sample import Provenance, Sample, Source
from nano.errors import DataError
from nano.files import replacing

VERSION = 1  # of what the methods compute; another one fills anew
MADE_FROM = "nano-filled-from"  # the PNG's text that names what it was filled from
_MOST_STEPS = np.iinfo(np.uint16).max
_MOST_M = float(_MOST_STEPS * METRES_PER_STEP)
_COMPRESSION = 3  # of zlib: smaller files cost more time than they save


@dataclass(frozen=True, kw_only=True)
class FilledSource:
    """The frames of another source with `Sample.filled` set; depth and truth stay as measured.

    Filled maps are in KITTI's encoding, metres x 256 in 16 bits, so known depths too are rounded to
    4 mm there. With a folder each is written once, as ``<frame's name>.png``, whole or not at all,
    with a digest of the image and depth it was made from. A map of that digest is read instead of
    filled again; any other is replaced.

    Attributes:
        inner: Where images and depth come from.
        method: One of `nano.data.fill.METHODS`.
        label: Names a folder that holds maps like these, e.g. ``kitti-annotated-levin``.
        folder: Where maps are kept; None fills at every reading.
    """

    inner: Source
    method: str
    label: str
    folder: Path | None = None

    @property
    def name(self) -> str:
        """As the inner source's."""
        return self.inner.name

    @property
    def truth(self) -> str:
        """As the inner source's: what is filled is no truth."""
        return self.inner.truth

    @property
    def provenance(self) -> Provenance:
        """The inner source's, and how it is filled."""
        own = self.inner.provenance
        return replace(own, protocol=f"{own.protocol}; training depth filled: {self.method}")

    def identity(self) -> dict[str, Any]:
        """The inner source's, and how it is filled."""
        return self.inner.identity() | {"fill": self.method, "fill_version": VERSION}

    def __len__(self) -> int:
        return len(self.inner)

    def __getitem__(self, index: int) -> Sample:
        """One frame, filled now or before.

        Raises:
            DataError: The frame is damaged, has no depth at all, or more than the encoding holds.
            OutputError: The filled map cannot be written.
        """
        return self.fetch(index)[0]

    def fetch(self, index: int) -> tuple[Sample, bool]:
        """One frame, and whether its filled map had to be made."""
        sample = self.inner[index]
        if self.folder is None:
            return replace(sample, filled=_steps(self._fill(sample)) * METRES_PER_STEP), True
        place = self.folder / f"{sample.name}.png"
        made_from = _digest(sample, self.method)
        with suppress(DataError):  # not there, or damaged: filled again
            if png_text(place, MADE_FROM) == made_from:
                return replace(sample, filled=read_depth_png(place)), False
        steps = _steps(self._fill(sample))
        _write(place, steps, made_from)
        return replace(sample, filled=steps * METRES_PER_STEP), True

    def _fill(self, sample: Sample) -> NDArray[np.float32]:
        if (most := float(sample.depth.max(initial=0))) > _MOST_M:
            raise DataError(
                f"{sample.name}: a depth of {most:.1f} m, but filled maps hold at most"
                f" {_MOST_M:.0f} m; check the units, or leave out what is that far"
            )
        return fill(sample.depth, sample.image, self.method, sample.name)


def _steps(depth: NDArray[np.float32]) -> NDArray[np.uint16]:
    """Metres in the encoding of the files, whose 0 means unknown."""
    steps = np.round(depth / METRES_PER_STEP).clip(1, _MOST_STEPS)
    return np.where(depth > 0, steps, 0).astype(np.uint16)


def _digest(sample: Sample, method: str) -> str:
    """Of all that decides a filled map."""
    digest = hashlib.blake2b(digest_size=16)
    digest.update(f"{VERSION} {method} {sample.depth.shape} {sample.depth.dtype}".encode())
    digest.update(np.ascontiguousarray(sample.depth).data)
    digest.update(np.ascontiguousarray(sample.image).data)
    return digest.hexdigest()


def _write(place: Path, steps: NDArray[np.uint16], made_from: str) -> None:
    text = PngInfo()
    text.add_text(MADE_FROM, made_from)
    with replacing(place) as part:
        Image.fromarray(steps).save(part, "PNG", pnginfo=text, compress_level=_COMPRESSION)
