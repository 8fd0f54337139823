"""Array files: written row by row, mapped again, told apart by a checksum."""

from __future__ import annotations

import hashlib
import math
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import DTypeLike, NDArray

HEADER_BYTES = 128  # of a .npy file with a short description


class Growing:
    """A .npy file written row by row, its length set when it is closed.

    numpy pads headers so that the first axis can grow in place; nothing is held in memory.
    """

    def __init__(self, path: Path, dtype: DTypeLike, shape: tuple[int, ...]) -> None:
        """Describe the file; ``shape`` is that of one row, empty for a flat array."""
        self._path, self._dtype, self._shape = path, np.dtype(dtype), shape
        self._rows = 0

    def __enter__(self) -> Growing:
        self._file: BinaryIO = self._path.open("wb")
        self._write_header()
        return self

    def append(self, rows: NDArray[Any]) -> None:
        """Add one row, or for flat arrays any number of values."""
        self._file.write(np.ascontiguousarray(rows, dtype=self._dtype).data)
        self._rows += 1 if self._shape else len(rows)

    def __exit__(self, *_: object) -> None:
        with self._file:
            self._file.seek(0)
            self._write_header()

    def _write_header(self) -> None:
        description = {
            "descr": np.lib.format.dtype_to_descr(self._dtype),
            "fortran_order": False,
            "shape": (self._rows, *self._shape),
        }
        np.lib.format.write_array_header_1_0(self._file, description)


def load_array(path: Path) -> NDArray[Any]:
    """Memory map the array; one without values is read, as no system maps zero bytes."""
    empty = path.stat().st_size <= HEADER_BYTES
    array: NDArray[Any] = np.load(path, mmap_mode=None if empty else "r", allow_pickle=False)
    return array


def checksum(path: Path, *, blocks: int = 256, block_bytes: int = 65_536) -> str:
    """SHA-256 over up to ``blocks`` evenly spaced blocks, the first and the last among them."""
    size = path.stat().st_size
    count = min(blocks, math.ceil(size / block_bytes))
    digest = hashlib.sha256(str(size).encode())
    with path.open("rb") as file:
        for block in range(count):
            file.seek(block * max(size - block_bytes, 0) // max(count - 1, 1))
            digest.update(file.read(block_bytes))
    return digest.hexdigest()
