"""A picture to judge a network by: image, truth, prediction and error side by side.

Colours mean metres, on one logarithmic scale for all rows that depends on the truth alone, so
panels of different networks on the same frames can be laid beside each other.
"""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from torch import nn

from nano.data.sample import DepthSet
from nano.evaluate.colours import DEPTH, ERROR, UNKNOWN, painted
from nano.evaluate.metrics import bounded, sample_bilinear
from nano.evaluate.protocol import counted
from nano.evaluate.run import compare, predict
from nano.files import write_bytes
from nano.records import Protocol

TILE_WIDTH = 320
GAP = 6
MARGIN = 14
HEADER = 26
ROW_TEXT = 19
SCALE_HEIGHT = 12
FOOTER = 74
ERROR_LIMIT = 0.5  # the error's colours end here; 0.25 is about where delta1 gives up
SPARSE = 0.5  # below this share of pixels with truth, each value is drawn as a dot
RUN_LENGTHS = 3  # zlib's strategy Z_RLE: smaller and faster than its default on flat colours
PAPER, INK, FAINT = (255, 255, 255), (32, 33, 36), (110, 112, 118)
TITLES = ("image", "truth", "prediction", "error  |p - g| / g")


@dataclass(frozen=True, kw_only=True)
class Row:
    """One frame's four tiles, uint8 height x TILE_WIDTH x 3, and the line below them."""

    tiles: tuple[NDArray[np.uint8], ...]
    name: str
    accuracy: str


def panel_of(
    network: nn.Module,
    target: str,
    data: DepthSet,
    protocol: Protocol,
    path: Path,
    *,
    images: int = 4,
    title: str = "",
    device: str = "cpu",
) -> None:
    """Predict a few evenly spaced images of ``data`` and write their panel as a PNG."""
    chosen = evenly_spaced(len(data), images)
    depths = predict(network, target, data.images[chosen], flip=protocol.flip, device=device)
    write_bytes(path, panel(data, chosen, depths, protocol, title=title))


def evenly_spaced(total: int, count: int) -> list[int]:
    """Up to ``count`` indices in the middle of equal parts of ``range(total)``."""
    count = min(count, total)
    return [(2 * i + 1) * total // (2 * count) for i in range(count)]


def panel(
    data: DepthSet,
    chosen: Sequence[int],
    depths: Float[np.ndarray, "B h w"],
    protocol: Protocol,
    *,
    title: str = "",
) -> bytes:
    """A PNG with one row per chosen image.

    Args:
        data: Where images and truth come from.
        chosen: Their indices.
        depths: Predicted metres for each, at the network's output size.
        protocol: Bounds the prediction; what it does not compare stays grey in the error.
        title: A line above, e.g. the design's name.
    """
    scale = depth_scale([data.truth.of(i)[2] for i in chosen], protocol)
    rows = [_row(data, i, depth, protocol, scale) for i, depth in zip(chosen, depths, strict=True)]
    top = MARGIN + (HEADER if title else 0)
    heights = [row.tiles[0].shape[0] + ROW_TEXT for row in rows]
    width = 2 * MARGIN + 4 * TILE_WIDTH + 3 * GAP
    sheet = Image.new("RGB", (width, top + HEADER + sum(heights) + FOOTER), PAPER)
    draw = ImageDraw.Draw(sheet)
    if title:
        draw.text((MARGIN, MARGIN - 2), title, INK, font(17))
    lefts = [MARGIN + column * (TILE_WIDTH + GAP) for column in range(4)]
    for left, text in zip(lefts, TITLES, strict=True):
        draw.text((left, top + 2), text, INK, font(15))
    y = top + HEADER
    for row, height in zip(rows, heights, strict=True):
        for left, tile in zip(lefts, row.tiles, strict=True):
            sheet.paste(Image.fromarray(tile), (left, y))
        draw.text((lefts[0], y + height - ROW_TEXT + 1), row.name, FAINT, font(12))
        draw.text((lefts[3], y + height - ROW_TEXT + 1), row.accuracy, FAINT, font(12))
        y += height
    _footer(draw, sheet, lefts, y + 6, scale, f"{data.caption}; {protocol.describe()}")
    file = io.BytesIO()
    sheet.save(file, "PNG", compress_level=1, compress_type=RUN_LENGTHS)
    return file.getvalue()


def depth_scale(
    truths: Sequence[Float[np.ndarray, " M"]], protocol: Protocol
) -> tuple[float, float]:
    """Nearest and farthest metres of the colours: what nearly all truth lies between, rounded."""
    every = np.concatenate([np.asarray(truth) for truth in truths])
    every = every[(every > protocol.min_depth_m) & (every < protocol.max_depth_m)]
    if len(every) == 0:
        return max(1.0, protocol.min_depth_m), protocol.max_depth_m
    low, high = np.percentile(every, (0.5, 99.5))
    steps = ticks(1e-3, 1e4)
    near = max(step for step in steps if step <= max(low, steps[0]))
    far = min(step for step in steps if step >= min(high, steps[-1]))
    return near, min(max(far, 2 * near), protocol.max_depth_m)


def ticks(low: float, high: float) -> list[float]:
    """The numbers 1, 2, 5, 10, 20, 50 ... within low..high."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    every = (step * 10.0**power for power in powers for step in (1, 2, 5))
    return [tick for tick in every if low * 0.999 <= tick <= high * 1.001]


def _row(
    data: DepthSet,
    i: int,
    depth: Float[np.ndarray, "h w"],
    protocol: Protocol,
    scale: tuple[float, float],
) -> Row:
    native, index, truth = data.truth.of(i)
    tile = (round(TILE_WIDTH * native[0] / native[1]), TILE_WIDTH)
    owner = shown(index, truth, native, tile)
    prediction = bounded(sample_bilinear(depth, native, index), truth, protocol)
    error = np.abs(prediction - truth) / truth / ERROR_LIMIT
    error[~counted(protocol, native, index, truth)] = np.nan
    everywhere = np.arange(tile[0] * tile[1], dtype=np.int32)
    filled = sample_bilinear(depth, tile, everywhere).reshape(tile)
    metrics = compare(depth, data, i, protocol).metrics
    accuracy = (
        f"delta1 {metrics['delta1']:.3f}   AbsRel {metrics['abs_rel']:.3f}"
        if metrics
        else "no pixel to compare"
    )
    return Row(
        tiles=(
            _photograph(data.images[i], tile),
            painted(_through(owner, _share(truth, scale)), DEPTH),
            painted(_share(filled, scale), DEPTH),
            painted(_through(owner, error), ERROR),
        ),
        name=data.names[i],
        accuracy=accuracy,
    )


def shown(
    index: Int[np.ndarray, " M"],
    truth: Float[np.ndarray, " M"],
    native: tuple[int, int],
    tile: tuple[int, int],
) -> NDArray[np.int64]:
    """Which truth value each pixel of a tile shows, -1 for none; the nearest where several meet.

    Sparse truth grows to dots of 3 x 3 pixels, never over another value: a scan's single pixels
    would not be seen.
    """
    grid = (min(native[0], tile[0]), min(native[1], tile[1]))
    row, column = np.divmod(index, native[1])
    cell = (row.astype(np.int64) * grid[0] // native[0]) * grid[1]
    cell += column.astype(np.int64) * grid[1] // native[1]
    far_first = np.argsort(-truth, kind="stable")
    owner = np.full(grid[0] * grid[1], -1, dtype=np.int64)
    owner[cell[far_first]] = far_first  # of equal cells the last one, the nearest, stays
    owner = owner.reshape(grid)
    if grid != tile:
        rows = np.arange(tile[0]) * grid[0] // tile[0]
        columns = np.arange(tile[1]) * grid[1] // tile[1]
        owner = owner[rows[:, None], columns[None, :]]
    return _dots(owner) if (owner >= 0).mean() < SPARSE else owner


def _dots(owner: NDArray[np.int64]) -> NDArray[np.int64]:
    padded = np.pad(owner, 1, constant_values=-1)
    grown = owner.copy()
    height, width = owner.shape
    for down, right in ((1, 0), (1, 2), (0, 1), (2, 1), (0, 0), (0, 2), (2, 0), (2, 2)):
        neighbour = padded[down : down + height, right : right + width]
        grown = np.where(grown < 0, neighbour, grown)
    return grown


def _through(owner: NDArray[np.int64], values: NDArray[np.floating]) -> NDArray[np.float64]:
    """The value that each pixel shows, NaN where it shows none."""
    with_none = np.append(values.astype(np.float64), np.nan)
    return with_none[owner]


def _share(depth: NDArray[np.floating], scale: tuple[float, float]) -> NDArray[np.floating]:
    low, high = scale
    return np.log(np.maximum(depth, 1e-9) / low) / math.log(high / low)


def _photograph(image: NDArray[np.uint8], tile: tuple[int, int]) -> NDArray[np.uint8]:
    picture = Image.fromarray(np.ascontiguousarray(image.transpose(1, 2, 0)))
    return np.asarray(picture.resize((tile[1], tile[0]), Image.Resampling.BICUBIC))


def _footer(
    draw: ImageDraw.ImageDraw,
    sheet: Image.Image,
    lefts: Sequence[int],
    y: int,
    scale: tuple[float, float],
    caption: str,
) -> None:
    ends = np.linspace(0, 1, 2 * TILE_WIDTH + GAP)
    _bar(sheet, lefts[1], y, painted(ends, DEPTH))
    steps = [tick for tick in ticks(*scale) if tick < 0.8 * scale[1]] + [scale[1]]
    places = _share(np.asarray(steps), scale).tolist()
    marks = [(place, f"{step:g} m") for place, step in zip(places, steps, strict=True)]
    _marks(draw, lefts[1], y, len(ends), marks)
    _bar(sheet, lefts[3], y, painted(ends[:: len(ends) // TILE_WIDTH][:TILE_WIDTH], ERROR))
    shares = (0.0, 0.1, 0.25, ERROR_LIMIT)
    texts = ("0", "0.1", "0.25", f"{ERROR_LIMIT:g} or more")
    _marks(
        draw,
        lefts[3],
        y,
        TILE_WIDTH,
        [(share / ERROR_LIMIT, text) for share, text in zip(shares, texts, strict=True)],
    )
    draw.rectangle((lefts[0], y, lefts[0] + 2 * SCALE_HEIGHT, y + SCALE_HEIGHT - 1), UNKNOWN)
    draw.text((lefts[0] + 2 * SCALE_HEIGHT + 6, y - 2), "unknown or not compared", INK, font(12))
    draw.text((lefts[0], y + 44), caption, FAINT, font(12))


def _bar(sheet: Image.Image, x: int, y: int, colours: NDArray[np.uint8]) -> None:
    sheet.paste(Image.fromarray(np.repeat(colours[None], SCALE_HEIGHT, axis=0)), (x, y))


def _marks(
    draw: ImageDraw.ImageDraw, x: int, y: int, width: int, marks: Sequence[tuple[float, str]]
) -> None:
    bottom = y + SCALE_HEIGHT
    for share, text in marks:
        at = x + round(share * (width - 1))
        draw.line((at, bottom, at, bottom + 4), INK)
        length = draw.textlength(text, font(12))
        left = min(max(at - length / 2, x), x + width - length)
        draw.text((left, bottom + 5), text, INK, font(12))


@cache
def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's own scalable font."""
    return ImageFont.load_default(size)
