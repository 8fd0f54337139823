"""Photographs and 16-bit depth maps from files, read whole or refused with the file's name."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from nano.errors import DataError

# KITTI stores metres x 256 in 16 bits, 0 where nothing was measured (its devkit's readme).
METRES_PER_STEP = np.float32(1 / 256)

# A 16-bit map whose every value fits 8 bits was saved through an 8-bit path: nothing that a
# LiDAR on a car's roof measures is within a metre. A handful of pixels could be chance.
_EIGHT_BIT_MAX = 255
_HANDFUL = 16

# What Pillow raises for damaged files of any kind. MemoryError is left alone.
_DAMAGE = (OSError, SyntaxError, ValueError, EOFError, struct.error, Image.DecompressionBombError)

Read = TypeVar("Read")


def read_image(path: Path) -> NDArray[np.uint8]:
    """A PNG or JPEG photograph as RGB, height x width x 3.

    Raises:
        DataError: The file is missing, truncated, not an image, or a 16-bit map.
    """

    def rgb(image: Image.Image) -> NDArray[np.uint8]:
        if image.mode.startswith(("I", "F")):
            raise DataError(
                f"{path}: not a photograph: its pixels are single numbers of more than 8 bits "
                f"(mode {image.mode}), as in a depth map"
            )
        return np.asarray(image.convert("RGB"))

    return _opened(path, rgb)


def read_depth_png(path: Path) -> NDArray[np.float32]:
    """A depth map in KITTI's encoding as metres, height x width; 0 where unknown.

    Raises:
        DataError: The file is missing, truncated, not an image, or went through 8 bits.
    """
    values = read_png16(path, remedy="use the PNG files as KITTI ships them")
    known = np.count_nonzero(values)
    if known > _HANDFUL and values.max() <= _EIGHT_BIT_MAX:
        raise DataError(
            f"{path}: all {known} depths are below 1 m (largest value {values.max()} of 16 bits): "
            "the map was saved through 8 bits; use the PNG files as KITTI ships them"
        )
    return values * METRES_PER_STEP


def read_png16(path: Path, remedy: str = "write 16-bit PNG again") -> NDArray[np.uint16]:
    """The numbers of a 16-bit PNG, height x width.

    Args:
        path: The file.
        remedy: What to do about a file of another kind, for the message.

    Raises:
        DataError: The file is missing, truncated, not an image, or of 8 bits.
    """

    def steps(image: Image.Image) -> NDArray[np.uint16]:
        if image.mode != "I;16":
            raise DataError(
                f"{path}: not a 16-bit depth map (its mode is {image.mode}): it was converted to "
                f"8 bits or is a picture; {remedy}"
            )
        return np.asarray(image)

    return _opened(path, steps)


def image_size(path: Path) -> tuple[int, int]:
    """Height and width from an image's header, without decoding its pixels."""
    return _opened(path, lambda image: (image.height, image.width))


def png_text(path: Path, key: str) -> str | None:
    """A text that a PNG carries beside its pixels; None where it has none of that name."""
    return _opened(path, lambda image: image.info.get(key))


def _opened(path: Path, read: Callable[[Image.Image], Read]) -> Read:
    """``read`` applied to the open image; every kind of damage as a DataError."""
    try:
        with Image.open(path) as image:
            return read(image)
    except FileNotFoundError as missing:
        raise DataError(f"{path}: no such file") from missing
    except UnidentifiedImageError as foreign:
        size = path.stat().st_size
        raise DataError(
            f"{path}: not an image ({size} bytes): expected a PNG or JPEG; copy it again"
        ) from foreign
    except _DAMAGE as damage:
        raise DataError(
            f"{path}: cannot be read as an image: {damage}; it may be truncated: copy it again"
        ) from damage
