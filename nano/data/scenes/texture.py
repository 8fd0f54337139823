"""Value noise kept as periodic tiles, looked up by world position."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

TILE = 512  # texels along each side of a tile, a power of two
_GRAIN_LENGTH = 1 << 18


@cache
def speckle() -> Floats:
    """Rough noise for asphalt and leaves, TILE * TILE values row by row: mean 0, deviation 1."""
    return _fractal(seed=11, cells=(8, 16, 32, 64, 128, 256, 512), roughness=0.95)


@cache
def billows() -> Floats:
    """Smooth noise for clouds and stains, TILE * TILE values row by row: mean 0, deviation 1."""
    return _fractal(seed=12, cells=(4, 8, 16, 32, 64, 128), roughness=0.62)


@cache
def grain() -> Floats:
    """A bank of standard normal sensor noise."""
    generator = np.random.Generator(np.random.PCG64(13))
    return generator.standard_normal(_GRAIN_LENGTH, dtype=np.float32)


def sample(tile: Floats, across: Floats, along: Floats, offset: int = 0) -> Floats:
    """The tile's values at texel coordinates, wrapped; the nearest texel is good enough here.

    Args:
        tile: TILE * TILE values.
        across: Column coordinates in texels, any shape.
        along: Row coordinates in texels, the same shape.
        offset: Texels to begin at, so that two surfaces differ.
    """
    index = _texel(along)
    index *= TILE
    column = _texel(across)
    column += offset
    column &= TILE - 1
    index += column
    return tile.take(index)


def _texel(coordinate: Floats) -> NDArray[np.int32]:
    # 2^20 is a multiple of the tile and keeps the truncation away from negative numbers.
    index = (coordinate + 1048576.0).astype(np.int32)
    index &= TILE - 1
    return index


def _fractal(*, seed: int, cells: tuple[int, ...], roughness: float) -> Floats:
    generator = np.random.Generator(np.random.PCG64(seed))
    total = np.zeros((TILE, TILE))
    amplitude = 1.0
    for count in cells:
        total += amplitude * _value_noise(generator.random((count, count)))
        amplitude *= roughness
    total -= total.mean()
    return (total / total.std()).astype(np.float32).ravel()


def _value_noise(lattice: NDArray[np.float64]) -> NDArray[np.float64]:
    """The periodic lattice stretched to TILE x TILE with smoothstep between its values."""
    count = len(lattice)
    position = np.arange(TILE) * (count / TILE)
    low = position.astype(np.int64)
    share = position - low
    share = share * share * (3.0 - 2.0 * share)
    high = (low + 1) % count
    rows = lattice[low] * (1.0 - share)[:, None] + lattice[high] * share[:, None]
    return np.asarray(rows[:, low] * (1.0 - share) + rows[:, high] * share)
