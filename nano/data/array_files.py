"""Arrays of others, from .npy and .npz files: read whole or refused with the file's name."""

from __future__ import annotations

import tokenize
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nano.errors import DataError

# What numpy raises for a damaged .npy (its header is parsed as Python) or .npz. MemoryError is left
# alone.
_DAMAGE = (
    OSError,
    ValueError,
    TypeError,
    SyntaxError,
    EOFError,
    KeyError,
    OverflowError,
    RuntimeError,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)


def read_array(path: Path, *, name: str) -> NDArray[Any]:
    """The array of an .npy file; of an .npz the only one, or the one called ``name``.

    Raises:
        DataError: The file is missing or damaged, holds no numbers, or several arrays.
    """
    try:
        with path.open("rb") as file:
            loaded = np.load(file, allow_pickle=False)
            if isinstance(loaded, np.lib.npyio.NpzFile):
                loaded = loaded[_key(path, loaded.files, name)]
    except FileNotFoundError as missing:
        raise DataError(f"{path}: no such file") from missing
    except _DAMAGE as damage:
        raise DataError(
            f"{path}: cannot be read as {path.suffix}: {damage}; it may be truncated: copy it again"
        ) from damage
    array: NDArray[Any] = loaded
    if array.dtype.kind not in "fiu":
        raise DataError(f"{path}: holds {array.dtype}, expected numbers")
    return array


def read_image_array(path: Path) -> NDArray[np.uint8]:
    """RGB, height x width x 3, from 8-bit numbers or fractions in [0, 1].

    Raises:
        DataError: As `read_array`; or the array is no picture.
    """
    array = read_array(path, name="rgb")
    if array.ndim != 3 or array.shape[2] != 3 or not array.size:
        raise DataError(
            f"{path}: a picture is height x width x 3; the shape of this is {array.shape}"
        )
    if array.dtype == np.uint8:
        return array
    if array.dtype.kind != "f" or not ((array >= 0) & (array <= 1)).all():
        raise DataError(
            f"{path}: a picture is 8-bit numbers, or fractions from 0 to 1; this is {array.dtype} "
            f"from {array.min():g} to {array.max():g}"
        )
    return np.round(array * 255).astype(np.uint8)


def _key(path: Path, keys: list[str], name: str) -> str:
    if len(keys) == 1 or name in keys:
        return name if name in keys else keys[0]
    raise DataError(
        f"{path}: holds the arrays {', '.join(keys) or 'none'}: expected one, or one named {name}"
    )
