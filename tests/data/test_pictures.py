"""Colours and sheets: even scales, nothing hidden, nothing invented."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from nano.data.colours import DEPTH, ERROR, UNKNOWN, painted
from nano.data.pictures import (
    GAP,
    HEADER,
    MARGIN,
    SENSIBLE_M,
    TILE_WIDTH,
    depth_scale,
    evenly_spaced,
    preview,
    shown,
    ticks,
)
from nano.data.sample import DepthSet, Truth


def test_nearest_value_is_shown_where_several_meet() -> None:
    index = np.arange(4, dtype=np.int32)
    depth = np.array([9.0, 3.0, 5.0, 7.0], np.float32)
    assert shown(index, depth, (2, 2), (1, 1)).tolist() == [[1]]


def test_scale_is_round_and_holds_nearly_all_truth() -> None:
    assert depth_scale([np.linspace(3, 70, 500)], SENSIBLE_M) == (2.0, 80.0)
    assert depth_scale([np.full(3, 20.0)], SENSIBLE_M) == (20.0, 40.0)
    assert ticks(2.0, 80.0) == [2, 5, 10, 20, 50]


@pytest.mark.parametrize("table", [DEPTH, ERROR])
def test_colour_tables_darken_steadily_and_never_look_unknown(table: np.ndarray) -> None:
    luminance = table.astype(float) @ (0.2126, 0.7152, 0.0722)
    assert (np.diff(luminance) <= 0.8).all()  # rounding to 8 bits
    assert luminance[0] - luminance[-1] > 100
    assert np.abs(table.astype(int) - UNKNOWN).max(axis=1).min() > 40


def test_values_beyond_the_scale_get_its_ends_and_nan_is_unknown() -> None:
    colours = painted(np.array([-1.0, 2.0, np.nan]), DEPTH)
    assert colours.tolist() == [DEPTH[0].tolist(), DEPTH[-1].tolist(), list(UNKNOWN)]


def test_evenly_spaced_images() -> None:
    assert evenly_spaced(8, 4) == [1, 3, 5, 7]
    assert evenly_spaced(400, 3) == [66, 200, 333]
    assert evenly_spaced(2, 4) == [0, 1]


def test_preview_shows_image_truth_and_what_training_sees() -> None:
    truth = np.zeros((32, 64), np.float32)
    truth[16:] = 10.0
    index = np.flatnonzero(truth).astype(np.int32)
    data = DepthSet(
        name="made up",
        truth_kind="sensor",
        names=("one",),
        images=np.full((1, 3, 16, 32), 200, np.uint8),
        depth=np.full((1, 16, 32), 20.0, np.float16),
        truth=Truth(
            sizes=np.array([[32, 64]], np.int32),
            offsets=np.array([0, len(index)], np.int64),
            index=index,
            depth=truth.ravel()[index],
        ),
    )
    picture = np.asarray(Image.open(io.BytesIO(preview(data, [0]))).convert("RGB"))
    top, step = MARGIN + HEADER, TILE_WIDTH + GAP
    image, native, seen = (
        picture[top : top + 160, MARGIN + k * step :][:, :TILE_WIDTH] for k in range(3)
    )
    assert (image == 200).all()
    assert (native[:80] == UNKNOWN).all()
    assert (native[80:] == DEPTH[0]).all()  # 10 m, the scale's near end
    assert (seen == DEPTH[-1]).all()  # 20 m, its far end
