"""Panels: the right colours in the right places, whatever is unknown."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image
from torch import Tensor, nn

from nano.data.colours import ERROR, UNKNOWN
from nano.data.pictures import GAP, HEADER, MARGIN, TILE_WIDTH
from nano.data.sample import DepthSet, Truth
from nano.evaluate.panels import panel, panel_of
from nano.records import Protocol

ANY = Protocol(name="test", crop="none", min_depth_m=1e-3, max_depth_m=80.0, truth="any")


def dense(depth: np.ndarray) -> DepthSet:
    """A split of images of 32 x 64 with these truth maps, N x H x W; 0 is unknown."""
    flat = [np.flatnonzero(one).astype(np.int32) for one in depth]
    return DepthSet(
        name="made up",
        truth_kind="sensor",
        names=tuple(f"image {i}" for i in range(len(depth))),
        images=np.full((len(depth), 3, 32, 64), 128, np.uint8),
        depth=np.zeros((len(depth), 32, 64), np.float16),
        truth=Truth(
            sizes=np.asarray([one.shape for one in depth], np.int32),
            offsets=np.cumsum([0, *map(len, flat)]).astype(np.int64),
            index=np.concatenate(flat),
            depth=np.concatenate(
                [one.ravel()[i] for one, i in zip(depth, flat, strict=True)]
            ).astype(np.float32),
        ),
    )


def tiles(png: bytes, height: int) -> list[np.ndarray]:
    """The four tiles of the first row of a panel without a title."""
    sheet = np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))
    top = MARGIN + HEADER
    lefts = [MARGIN + k * (TILE_WIDTH + GAP) for k in range(4)]
    return [sheet[top : top + height, left : left + TILE_WIDTH] for left in lefts]


def test_perfect_prediction_looks_like_the_truth_and_has_no_error() -> None:
    data = dense(np.full((1, 32, 64), 20.0))
    _, truth, prediction, error = tiles(
        panel(data, [0], np.full((1, 16, 32), 20.0, np.float32), ANY), 160
    )
    np.testing.assert_array_equal(truth, prediction)
    assert (error == ERROR[0]).all()


def test_unknown_truth_is_grey_in_truth_and_error_only() -> None:
    depth = np.full((1, 32, 64), 20.0)
    depth[:, :, :16] = 0
    _, truth, prediction, error = tiles(
        panel(dense(depth), [0], np.full((1, 16, 32), 30.0, np.float32), ANY), 160
    )
    for tile in (truth, error):
        assert (tile[:, :80] == UNKNOWN).all()
        assert (tile[:, 80:] != UNKNOWN).any(axis=2).all()
    assert (prediction != UNKNOWN).any(axis=2).all()
    assert (error[:, 80:] == ERROR[-1]).all()  # half as far again is the scale's end


def test_what_the_protocol_does_not_compare_is_grey_in_the_error() -> None:
    cropped = Protocol(name="t", crop="garg", min_depth_m=1e-3, max_depth_m=80.0, truth="any")
    data = dense(np.full((1, 100, 200), 20.0))
    error = tiles(panel(data, [0], np.full((1, 16, 32), 20.0, np.float32), cropped), 160)[3]
    assert (error[:60] == UNKNOWN).all()  # Garg's crop starts at 40 % of the height
    assert (error[70:150, 20:300] == ERROR[0]).all()


def test_sparse_truth_is_drawn_as_dots() -> None:
    depth = np.zeros((1, 160, 320))
    depth[0, 80, 100] = 20.0
    truth = tiles(panel(dense(depth), [0], np.full((1, 16, 32), 20.0, np.float32), ANY), 160)[1]
    lit = (truth != UNKNOWN).any(axis=2)
    assert lit.sum() == 9
    assert lit[79:82, 99:102].all()


def test_split_without_any_truth_still_gives_a_panel() -> None:
    png = panel(dense(np.zeros((2, 32, 64))), [0, 1], np.ones((2, 16, 32), np.float32), ANY)
    assert (tiles(png, 160)[1] == UNKNOWN).all()


def test_rows_of_different_sizes_fit_one_panel() -> None:
    small, large = dense(np.full((1, 32, 64), 9.0)), dense(np.full((1, 50, 64), 9.0))
    both = DepthSet(
        name="both",
        truth_kind="sensor",
        names=("a", "b"),
        images=np.concatenate([small.images, large.images]),
        depth=np.concatenate([small.depth, large.depth]),
        truth=Truth(
            sizes=np.concatenate([small.truth.sizes, large.truth.sizes]),
            offsets=np.array([0, 32 * 64, 32 * 64 + 50 * 64], np.int64),
            index=np.concatenate([small.truth.index, large.truth.index]),
            depth=np.concatenate([small.truth.depth, large.truth.depth]),
        ),
    )
    one = Image.open(io.BytesIO(panel(both, [0], np.ones((1, 16, 32), np.float32), ANY)))
    two = Image.open(io.BytesIO(panel(both, [0, 1], np.ones((2, 16, 32), np.float32), ANY)))
    assert one.width == two.width
    assert two.height > one.height + 250


def test_panel_of_predicts_and_writes_a_png(tmp_path: Path) -> None:
    class Flat(nn.Module):
        def forward(self, image: Tensor) -> Tensor:
            return image[:, :1, ::2, ::2] * 0

    path = tmp_path / "folder" / "panel.png"
    panel_of(Flat(), "log", dense(np.full((3, 32, 64), 10.0)), ANY, path, title="flat")
    picture = Image.open(path)
    picture.load()
    assert picture.width == 2 * MARGIN + 4 * TILE_WIDTH + 3 * GAP
