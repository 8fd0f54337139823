"""Sheets of pictures to look at: images and depth maps in rows, with their scales in metres."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from nano.data.colours import DEPTH, UNKNOWN, painted
from nano.data.sample import DepthSet

TILE_WIDTH = 320
GAP = 6
MARGIN = 14
HEADER = 26
ROW_TEXT = 19
SCALE_HEIGHT = 12
FOOTER = 74
SPARSE = 0.5  # below this share of pixels with truth, each value is drawn as a dot
RUN_LENGTHS = 3  # zlib's strategy Z_RLE: smaller and faster than its default on flat colours
PAPER, INK, FAINT = (255, 255, 255), (32, 33, 36), (110, 112, 118)
SENSIBLE_M = (1e-3, 80.0)  # what a scale is chosen from when no protocol says so

Range = tuple[float, float]
Tile = NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class Row:
    """Tiles of one height, uint8 height x TILE_WIDTH x 3, and texts below the first and last."""

    tiles: tuple[Tile, ...]
    name: str
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Scale:
    """A bar below some columns: colours, and where along it (0..1) which text stands."""

    columns: tuple[int, int]
    table: NDArray[np.uint8]
    marks: tuple[tuple[float, str], ...]


def sheet(
    titles: Sequence[str], rows: Sequence[Row], scales: Sequence[Scale], caption: str, title: str
) -> bytes:
    """A PNG: columns under their titles, a row per frame, scales and a caption below.

    Args:
        titles: One per column.
        rows: One tile per column.
        scales: Drawn under the columns they belong to; the first column must be free.
        caption: What the data are.
        title: A line above all; empty for none.
    """
    top = MARGIN + (HEADER if title else 0)
    lefts = [MARGIN + column * (TILE_WIDTH + GAP) for column in range(len(titles))]
    heights = [row.tiles[0].shape[0] + ROW_TEXT for row in rows]
    size = (lefts[-1] + TILE_WIDTH + MARGIN, top + HEADER + sum(heights) + FOOTER)
    paper = Image.new("RGB", size, PAPER)
    draw = ImageDraw.Draw(paper)
    if title:
        draw.text((MARGIN, MARGIN - 2), title, INK, font(17))
    for left, text in zip(lefts, titles, strict=True):
        draw.text((left, top + 2), text, INK, font(15))
    y = top + HEADER
    for row, height in zip(rows, heights, strict=True):
        for left, tile in zip(lefts, row.tiles, strict=True):
            paper.paste(Image.fromarray(tile), (left, y))
        draw.text((lefts[0], y + height - ROW_TEXT + 1), row.name, FAINT, font(12))
        draw.text((lefts[-1], y + height - ROW_TEXT + 1), row.note, FAINT, font(12))
        y += height
    y += 6
    for scale in scales:
        first, last = (lefts[column] for column in scale.columns)
        _scale(paper, draw, (first, y), last + TILE_WIDTH - first, scale)
    draw.rectangle((lefts[0], y, lefts[0] + 2 * SCALE_HEIGHT, y + SCALE_HEIGHT - 1), UNKNOWN)
    draw.text((lefts[0] + 2 * SCALE_HEIGHT + 6, y - 2), "unknown or not compared", INK, font(12))
    draw.text((lefts[0], y + 44), caption, FAINT, font(12))
    file = io.BytesIO()
    paper.save(file, "PNG", compress_level=1, compress_type=RUN_LENGTHS)
    return file.getvalue()


def preview(data: DepthSet, chosen: Sequence[int], title: str = "") -> bytes:
    """A PNG of some frames of a split: image, truth, and the depth that training sees."""
    ends = depth_scale([data.truth.of(i)[2] for i in chosen], SENSIBLE_M)
    rows = []
    for i in chosen:
        native, index, truth = data.truth.of(i)
        seen = np.flatnonzero(data.depth[i]).astype(np.int32)
        metres = data.depth[i].ravel()[seen].astype(np.float32)
        tile = tile_size(native)
        known, kept = len(index) / math.prod(native), len(seen) / math.prod(data.size)
        note = f"known: {known:.1%} of the truth, {kept:.1%} here"
        tiles = (
            photograph(data.images[i], tile),
            depth_tile(index, truth, native, tile, ends),
            depth_tile(seen, metres, data.size, tile, ends),
        )
        rows.append(Row(tiles=tiles, name=data.names[i], note=note))
    titles = ("image", "truth", f"depth at {data.size[0]}x{data.size[1]}")
    kind = f"{data.truth_kind} truth"
    return sheet(titles, rows, [depth_bar((1, 2), ends)], f"{data.caption}; {kind}", title)


def evenly_spaced(total: int, count: int) -> list[int]:
    """Up to ``count`` indices in the middle of equal parts of ``range(total)``."""
    count = min(count, total)
    return [(2 * i + 1) * total // (2 * count) for i in range(count)]


def depth_scale(truths: Sequence[Float[np.ndarray, " _"]], bounds: Range) -> Range:
    """Nearest and farthest metres of the colours: what nearly all truth lies between, rounded."""
    every = np.concatenate([np.asarray(truth) for truth in truths])
    every = every[(every > bounds[0]) & (every < bounds[1])]
    if len(every) == 0:
        return max(1.0, bounds[0]), bounds[1]
    low, high = np.percentile(every, (0.5, 99.5))
    steps = ticks(1e-3, 1e4)
    near = max(step for step in steps if step <= max(low, steps[0]))
    far = min(step for step in steps if step >= min(high, steps[-1]))
    return near, min(max(far, 2 * near), bounds[1])


def ticks(low: float, high: float) -> list[float]:
    """The numbers 1, 2, 5, 10, 20, 50 ... within low..high."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    every = (step * 10.0**power for power in powers for step in (1, 2, 5))
    return [tick for tick in every if low * 0.999 <= tick <= high * 1.001]


def depth_bar(columns: tuple[int, int], ends: Range) -> Scale:
    """The bar of the depth colours below these columns."""
    steps = [tick for tick in ticks(*ends) if tick < 0.8 * ends[1]] + [ends[1]]
    places = depth_share(np.asarray(steps), ends).tolist()
    marks = tuple((place, f"{step:g} m") for place, step in zip(places, steps, strict=True))
    return Scale(columns=columns, table=DEPTH, marks=marks)


def depth_share(depth: NDArray[np.floating], ends: Range) -> NDArray[np.floating]:
    """Where metres lie between the scale's ends, 0..1, in logarithms: errors there are ratios."""
    return np.log(np.maximum(depth, 1e-9) / ends[0]) / math.log(ends[1] / ends[0])


def depth_tile(
    index: Int[np.ndarray, " M"],
    depth: Float[np.ndarray, " M"],
    native: tuple[int, int],
    tile: tuple[int, int],
    ends: Range,
) -> Tile:
    """A flat depth map painted at a tile's size."""
    return painted(through(shown(index, depth, native, tile), depth_share(depth, ends)), DEPTH)


def tile_size(native: tuple[int, int]) -> tuple[int, int]:
    """Height and width of a tile that shows maps of this size undistorted."""
    return max(1, round(TILE_WIDTH * native[0] / native[1])), TILE_WIDTH


def shown(
    index: Int[np.ndarray, " M"],
    depth: Float[np.ndarray, " M"],
    native: tuple[int, int],
    tile: tuple[int, int],
) -> NDArray[np.int64]:
    """Which value each pixel of a tile shows, -1 for none; the nearest depth where several meet.

    Sparse maps grow to dots of 3 x 3 pixels, never over another value: a scan's single pixels
    would not be seen.
    """
    grid = (min(native[0], tile[0]), min(native[1], tile[1]))
    row, column = np.divmod(index, native[1])
    cell = (row.astype(np.int64) * grid[0] // native[0]) * grid[1]
    cell += column.astype(np.int64) * grid[1] // native[1]
    far_first = np.argsort(-depth, kind="stable")
    owner = np.full(grid[0] * grid[1], -1, dtype=np.int64)
    owner[cell[far_first]] = far_first  # of equal cells the last one, the nearest, stays
    owner = owner.reshape(grid)
    if grid != tile:
        rows = np.arange(tile[0]) * grid[0] // tile[0]
        columns = np.arange(tile[1]) * grid[1] // tile[1]
        owner = owner[rows[:, None], columns[None, :]]
    return _dots(owner) if (owner >= 0).mean() < SPARSE else owner


def through(owner: NDArray[np.int64], values: NDArray[np.floating]) -> NDArray[np.floating]:
    """The value that each pixel shows, NaN where it shows none."""
    return np.append(values, np.nan)[owner]


def photograph(image: NDArray[np.uint8], tile: tuple[int, int]) -> Tile:
    """An image 3 x H x W at a tile's size."""
    picture = Image.fromarray(np.ascontiguousarray(image.transpose(1, 2, 0)))
    return np.asarray(picture.resize((tile[1], tile[0]), Image.Resampling.BICUBIC))


@cache
def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's own scalable font."""
    return ImageFont.load_default(size)


def _dots(owner: NDArray[np.int64]) -> NDArray[np.int64]:
    padded = np.pad(owner, 1, constant_values=-1)
    grown = owner.copy()
    height, width = owner.shape
    for down, right in ((1, 0), (1, 2), (0, 1), (2, 1), (0, 0), (0, 2), (2, 0), (2, 2)):
        neighbour = padded[down : down + height, right : right + width]
        grown = np.where(grown < 0, neighbour, grown)
    return grown


def _scale(
    paper: Image.Image,
    draw: ImageDraw.ImageDraw,
    corner: tuple[int, int],
    width: int,
    scale: Scale,
) -> None:
    x, y = corner
    colours = painted(np.linspace(0, 1, width), scale.table)
    paper.paste(Image.fromarray(np.repeat(colours[None], SCALE_HEIGHT, axis=0)), corner)
    bottom = y + SCALE_HEIGHT
    for share, text in scale.marks:
        at = x + round(share * (width - 1))
        draw.line((at, bottom, at, bottom + 4), INK)
        length = draw.textlength(text, font(12))
        left = min(max(at - length / 2, x), x + width - length)
        draw.text((left, bottom + 5), text, INK, font(12))
