"""Sparse linear systems on an image, every pixel tied to its eight neighbours, solved directly.

Nested dissection (George, 1973) by dense blocks. Lines of pixels cut the image into small cells.
The pixels inside a cell are tied to nothing but the lines around it, its ring; eliminating them
leaves a dense system on the ring. Then neighbouring cells are joined in pairs: the line between two
comes to lie inside, is eliminated in turn, and so on up to the whole image. Cells of one shape are
worked on together, as stacks of small dense matrices.

Against a general sparse LU there is no ordering to search, all arithmetic is dense, and only what
the way back needs is kept: the rows of the eliminated pixels, half of the factors.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import groupby, pairwise
from typing import Any

import numpy as np
from jaxtyping import Float64
from numpy import ndarray
from numpy.typing import NDArray

# Row and column of the neighbours, in the order of a stencil's first axis; 4 is the pixel itself.
OFFSETS = tuple((row, column) for row in (-1, 0, 1) for column in (-1, 0, 1))

_CELL = 6  # pixels from line to line in the smallest cells; 5 and 8 are about as fast
_CHUNK_BYTES = 4 << 20  # of matrices worked on at a time: what stays in a processor's cache

Reals = NDArray[np.float64]
Indices = NDArray[np.intp]


def solve(
    stencil: Float64[ndarray, "9 height width"], right: Float64[ndarray, "height width"]
) -> Float64[ndarray, "height width"]:
    """The x for which, at every pixel, sum_k stencil[k] * x[pixel + OFFSETS[k]] = right.

    Nothing is pivoted across cells, so the matrix must not need it: diagonally dominant by rows,
    for example. Coefficients of neighbours outside the image are not read.

    Raises:
        numpy.linalg.LinAlgError: The matrix is singular.
    """
    solution = np.zeros(right.shape)
    eliminated: list[_Eliminated] = []
    grid = _leaves(stencil, right, eliminated)
    while True:
        axis = _shorter(grid)
        if axis is None:
            break
        if axis == 0:
            columns = [_join(list(column), 0, eliminated) for column in zip(*grid, strict=True)]
            grid = [list(row) for row in zip(*columns, strict=True)]
        else:
            grid = [_join(row, 1, eliminated) for row in grid]
    while eliminated:
        eliminated.pop().substitute(solution)
    return solution


@dataclass(frozen=True)
class _Span:
    """One side of a cell: pixels inside, and whether a line bounds them at either end."""

    inside: int
    before: bool
    after: bool

    def join(self, other: _Span) -> _Span:
        """Both and the line between them."""
        return _Span(self.inside + 1 + other.inside, self.before, other.after)


@dataclass(frozen=True)
class _Shape:
    """Cells that are alike: what they span of rows and of columns."""

    rows: _Span
    columns: _Span

    def inside(self) -> list[tuple[int, int]]:
        """Row and column of each pixel inside, from the first one, (0, 0)."""
        return [(r, c) for r in range(self.rows.inside) for c in range(self.columns.inside)]

    def ring(self) -> list[tuple[int, int]]:
        """Row and column of the lines' pixels, side by side: joins then copy whole stretches."""
        rows, columns = self.rows, self.columns
        across = range(-columns.before, columns.inside + columns.after)
        down = range(rows.inside)
        sides = [(-1, column) for column in across if rows.before]
        sides += [(rows.inside, column) for column in across if rows.after]
        sides += [(row, -1) for row in down if columns.before]
        return sides + [(row, columns.inside) for row in down if columns.after]


@dataclass(frozen=True, kw_only=True, eq=False)
class _Cells:
    """Cells of one shape, and what is left of the system on their rings.

    Attributes:
        shape: Of each.
        origins: Rows, and columns, of their first inside pixels.
        dense: Cells down x cells across x m x (m + 1): the matrix on a ring of m pixels, and its
            right side as the last column.
    """

    shape: _Shape
    origins: tuple[Indices, Indices]
    dense: Reals


@dataclass(frozen=True, kw_only=True, eq=False)
class _Eliminated:
    """Pixels that are known once those on their cells' rings are.

    Attributes:
        origins: As of `_Cells`.
        pixels: n x 2, row and column within a cell.
        ring: m x 2, likewise.
        rows: Cells down x cells across x n x (m + 1): what the ring's values are multiplied by and
            subtracted, and, as the last column, what from.
    """

    origins: tuple[Indices, Indices]
    pixels: Indices
    ring: Indices
    rows: Reals

    def substitute(self, solution: Reals) -> None:
        """Write the pixels' values, reading the ring's."""
        around = solution[self._at(self.ring)][..., None]
        values = self.rows[..., -1] - (self.rows[..., :-1] @ around)[..., 0]
        solution[self._at(self.pixels)] = values

    def _at(self, pixels: Indices) -> tuple[Indices, Indices]:
        down, across = self.origins
        return down[:, None, None] + pixels[:, 0], across[:, None] + pixels[:, 1]


def _eliminate(dense: Reals, count: int) -> tuple[Reals, Reals]:
    """The first ``count`` unknowns in terms of the others, and the system of the others."""
    rows = np.linalg.solve(dense[..., :count, :count], dense[..., :count, count:])
    return rows.astype(np.float64, copy=False), dense[..., count:, count:] - dense[
        ..., count:, :count
    ] @ rows


# --- the smallest cells --------------------------------------------------------------------------


def _leaves(stencil: Reals, right: Reals, eliminated: list[_Eliminated]) -> list[list[_Cells]]:
    """The system cut into cells, rows of blocks of like cells, their insides eliminated."""
    rows, columns = (_cut(length) for length in right.shape)
    return [
        [
            _leaf(_Shape(down, across), (tops, lefts), stencil, right, eliminated)
            for across, lefts in columns
        ]
        for down, tops in rows
    ]


def _cut(length: int) -> list[tuple[_Span, Indices]]:
    """Runs of like spans along one axis, with the first pixel of each."""
    lines = [-1, *range(_CELL - 1, length - 1, _CELL), length]  # the outer two do not exist
    spans = [(_Span(b - a - 1, a >= 0, b < length), a + 1) for a, b in pairwise(lines)]
    runs = ((span, list(run)) for span, run in groupby(spans, key=lambda each: each[0]))
    return [(span, np.array([first for _, first in run], np.intp)) for span, run in runs]


@dataclass(frozen=True, kw_only=True, eq=False)
class _Entries:
    """Where the entries of a cell's matrix come from and go to.

    Every entry must come into the system once. One that ties two pixels of a line belongs to the
    cells on both sides: each takes half of it, and a quarter where lines cross.

    Attributes:
        neighbour: Index in `OFFSETS`.
        pixel: n x 2, row and column within the cell.
        place: In the flattened matrix.
        share: Part of the entry.
    """

    neighbour: Indices
    pixel: Indices
    place: Indices
    share: Reals


@cache
def _entries(shape: _Shape) -> tuple[_Entries, _Entries]:
    """Of the matrix and of its right side, which is the last column; the inside comes first."""
    pixels = shape.inside() + shape.ring()
    number = {pixel: i for i, pixel in enumerate(pixels)}
    matrix: list[tuple[int, tuple[int, int], int, float]] = []
    right: list[tuple[int, tuple[int, int], int, float]] = []
    width = len(pixels) + 1

    def share(pixel: tuple[int, int], other: tuple[int, int]) -> float:
        along_row = pixel[0] == other[0] in (-1, shape.rows.inside)
        along_column = pixel[1] == other[1] in (-1, shape.columns.inside)
        return (0.5 if along_row else 1.0) * (0.5 if along_column else 1.0)

    for i, pixel in enumerate(pixels):
        right.append((4, pixel, (i + 1) * width - 1, share(pixel, pixel)))
        for k, (down, across) in enumerate(OFFSETS):
            other = (pixel[0] + down, pixel[1] + across)
            if other in number:
                matrix.append((k, pixel, i * width + number[other], share(pixel, other)))
    return _table(matrix), _table(right)


def _table(entries: Sequence[tuple[int, tuple[int, int], int, float]]) -> _Entries:
    neighbour, pixel, place, share = zip(*entries, strict=True)
    return _Entries(
        neighbour=np.array(neighbour, np.intp),
        pixel=np.array(pixel, np.intp),
        place=np.array(place, np.intp),
        share=np.array(share),
    )


def _leaf(
    shape: _Shape,
    origins: tuple[Indices, Indices],
    stencil: Reals,
    right: Reals,
    eliminated: list[_Eliminated],
) -> _Cells:
    """Fill the matrices of like cells, chunk by chunk, and eliminate what is inside."""
    matrix, side = _entries(shape)
    inside, ring = _pixels(shape.inside()), _pixels(shape.ring())
    n, m = len(inside), len(ring)
    counts = len(origins[0]), len(origins[1])
    width = right.shape[1]
    entry_at = (matrix.neighbour * right.shape[0] + matrix.pixel[:, 0]) * width + matrix.pixel[:, 1]
    right_at = side.pixel[:, 0] * width + side.pixel[:, 1]
    rows, left = np.empty((*counts, n, m + 1)), np.empty((*counts, m, m + 1))
    for chunk in _chunks(counts, n + m):
        first = (origins[0][chunk[0], None] * width + origins[1][chunk[1]])[..., None]
        dense = np.zeros((*first.shape[:2], (n + m) * (n + m + 1)))
        dense[..., matrix.place] = stencil.reshape(-1)[first + entry_at] * matrix.share
        dense[..., side.place] = right.reshape(-1)[first + right_at] * side.share
        rows[chunk], left[chunk] = _eliminate(dense.reshape(*first.shape[:2], n + m, -1), n)
    eliminated.append(_Eliminated(origins=origins, pixels=inside, ring=ring, rows=rows))
    return _Cells(shape=shape, origins=origins, dense=left)


def _pixels(pixels: Sequence[tuple[int, int]]) -> Indices:
    return np.array(pixels, np.intp).reshape(-1, 2)


def _chunks(counts: tuple[int, int], unknowns: int) -> Iterator[tuple[slice, slice]]:
    """Parts of a block of cells whose matrices fill a chunk."""
    each = max(1, _CHUNK_BYTES // (unknowns * (unknowns + 1) * 8))
    across = min(each, counts[1])
    down = max(1, each // across)
    for row in range(0, counts[0], down):
        for column in range(0, counts[1], across):
            yield slice(row, row + down), slice(column, column + across)


# --- joining -------------------------------------------------------------------------------------


def _shorter(grid: list[list[_Cells]]) -> int | None:
    """The axis to join along so that cells stay about square; None when one cell is left."""
    down = sum(row[0].dense.shape[0] for row in grid)
    across = sum(cells.dense.shape[1] for cells in grid[0])
    if down == across == 1:
        return None
    if down == 1 or across == 1:
        return 0 if across == 1 else 1
    shape = grid[0][0].shape
    return 0 if shape.rows.inside <= shape.columns.inside else 1


def _join(line: list[_Cells], axis: int, eliminated: list[_Eliminated]) -> list[_Cells]:
    """Blocks along an axis, their cells joined in pairs; an odd one at the end stays."""
    cells = [(block, i) for block, each in enumerate(line) for i in range(each.dense.shape[axis])]
    pairs = [(cells[i], cells[i + 1]) for i in range(0, len(cells) - 1, 2)]
    joined = []
    for (a, b), run in groupby(pairs, key=lambda pair: (pair[0][0], pair[1][0])):
        of_run = list(run)
        (_, first), (_, second) = of_run[0]
        one = _every_second(line[a], axis, first, len(of_run))
        other = _every_second(line[b], axis, second, len(of_run))
        joined.append(_join_blocks(one, other, axis, eliminated))
    if len(cells) % 2:
        block, last = cells[-1]
        joined.append(_every_second(line[block], axis, last, 1))
    return joined


def _every_second(cells: _Cells, axis: int, first: int, count: int) -> _Cells:
    chosen = slice(first, first + 2 * count, 2)
    down, across = cells.origins
    if axis == 0:
        return _Cells(shape=cells.shape, origins=(down[chosen], across), dense=cells.dense[chosen])
    dense = cells.dense[:, chosen]
    return _Cells(shape=cells.shape, origins=(down, across[chosen]), dense=dense)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Joint:
    """How two cells become one.

    Attributes:
        shape: Of the joined cell.
        line: n x 2, the pixels between the two, which come first in the joined matrix.
        ring: m x 2, those around both, which follow.
        runs: Of either cell: stretches (start, stop, start in the joined matrix) of its ring.
    """

    shape: _Shape
    line: Indices
    ring: Indices
    runs: tuple[tuple[tuple[int, int, int], ...], tuple[tuple[int, int, int], ...]]


@cache
def _joint(one: _Shape, other: _Shape, axis: int) -> _Joint:
    if axis == 0:
        shape = _Shape(one.rows.join(other.rows), one.columns)
        line = [(one.rows.inside, column) for column in range(one.columns.inside)]
        down, across = one.rows.inside + 1, 0
    else:
        shape = _Shape(one.rows, one.columns.join(other.columns))
        line = [(row, one.columns.inside) for row in range(one.rows.inside)]
        down, across = 0, one.columns.inside + 1
    ring = shape.ring()
    number = {pixel: i for i, pixel in enumerate(line + ring)}
    places = [number[pixel] for pixel in one.ring()]
    shifted = [number[row + down, column + across] for row, column in other.ring()]
    return _Joint(
        shape=shape,
        line=_pixels(line),
        ring=_pixels(ring),
        runs=(_stretches(places), _stretches(shifted)),
    )


def _stretches(places: Sequence[int]) -> tuple[tuple[int, int, int], ...]:
    """Consecutive places as (start, stop, first place)."""
    starts = [i for i in range(len(places)) if i == 0 or places[i] != places[i - 1] + 1]
    return tuple((a, b, places[a]) for a, b in pairwise([*starts, len(places)]))


def _join_blocks(one: _Cells, other: _Cells, axis: int, eliminated: list[_Eliminated]) -> _Cells:
    """Add the systems of each pair of cells and eliminate the line between them."""
    joint = _joint(one.shape, other.shape, axis)
    n, m = len(joint.line), len(joint.ring)
    counts = (one.dense.shape[0], one.dense.shape[1])
    rows, left = np.empty((*counts, n, m + 1)), np.empty((*counts, m, m + 1))
    for chunk in _chunks(counts, n + m):
        first, second = one.dense[chunk], other.dense[chunk]
        dense = np.zeros((*first.shape[:2], n + m, n + m + 1))
        _add(dense, first, joint.runs[0])
        _add(dense, second, joint.runs[1])
        rows[chunk], left[chunk] = _eliminate(dense, n)
    eliminated.append(
        _Eliminated(origins=one.origins, pixels=joint.line, ring=joint.ring, rows=rows)
    )
    return _Cells(shape=joint.shape, origins=one.origins, dense=left)


def _add(dense: NDArray[Any], part: Reals, runs: tuple[tuple[int, int, int], ...]) -> None:
    """Add a ring's system where its pixels stand in the joined one."""
    for start, stop, to in runs:
        rows = slice(to, to + stop - start)
        dense[..., rows, -1] += part[..., start:stop, -1]
        for begin, end, at in runs:
            columns = slice(at, at + end - begin)
            dense[..., rows, columns] += part[..., start:stop, begin:end]
