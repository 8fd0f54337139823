"""Filled depth: equal to the published definition, and faithful to what was measured."""

from __future__ import annotations

from inspect import unwrap

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from kitti_trees import real
from numpy.typing import NDArray

from benchmarks.fill import port, sparse_lu, system
from nano.data.colorization import affinities
from nano.data.dissection import OFFSETS, solve
from nano.data.fill import METHODS, fill
from nano.data.images import read_depth_png, read_image
from nano.errors import DataError

DRIVE = "2011_09_26_drive_0001_sync"
FILLING = [method for method in METHODS if method != "none"]

Frame = tuple[NDArray[np.float32], NDArray[np.uint8]]


def frame(size: tuple[int, int], seed: int = 0, known: float = 0.2) -> Frame:
    """Noise, which is the hardest for weights, with a depth in one pixel at least."""
    random = np.random.default_rng(seed)
    depth = random.uniform(1, 80, size).astype(np.float32)
    depth[random.random(size) >= known] = 0
    depth[size[0] // 2, size[1] // 2] = 20
    return depth, random.integers(0, 256, (*size, 3), dtype=np.uint8)


sizes = st.tuples(st.integers(1, 24), st.integers(1, 24)).filter(lambda size: size != (1, 1))
seeds = st.integers(0, 2**32 - 1)


@given(size=sizes, seed=seeds, known=st.floats(0, 1))
@example(size=(1, 23), seed=1, known=0.0)  # condition 1e13: two solvers differ by 7e-5
def test_levin_is_the_published_definition_to_a_millionth(
    size: tuple[int, int], seed: int, known: float
) -> None:
    depth, image = frame(size, seed, known)
    # Noise on a strip may all but cut it in two. What rounding does to a solution is bounded by the
    # system's condition; the published definition's own solution is no surer than that.
    matrix = system(depth, image)[0].toarray()
    sure = np.linalg.cond(matrix, np.inf) * np.finfo(float).eps
    wanted = port(depth, image)
    np.testing.assert_allclose(fill(depth, image, "levin"), wanted, rtol=max(1e-6, sure))


def test_levin_of_a_real_frame_is_the_published_definition_to_a_millionth() -> None:
    image = read_image(
        real("kitti_sample", "raw", "2011_09_26", DRIVE, "image_02/data/0000000005.png")
    )
    depth = read_depth_png(
        real("kitti_sample/depth/train", DRIVE, "proj_depth/velodyne_raw/image_02/0000000005.png")
    )
    part = np.s_[150:270, 400:720]  # the whole frame takes the loops half a minute
    depth, image = depth[part], image[part]
    np.testing.assert_allclose(fill(depth, image), port(depth, image), rtol=1e-6)


def test_dissection_and_a_general_sparse_solver_agree() -> None:
    depth, image = frame((90, 130), known=0.02)
    np.testing.assert_allclose(fill(depth, image), sparse_lu(depth, image), rtol=1e-6)


@pytest.mark.slow
def test_levin_of_a_whole_real_frame_is_the_published_definition_to_a_millionth() -> None:
    image = read_image(
        real("kitti_sample", "raw", "2011_09_26", DRIVE, "image_02/data/0000000005.png")
    )
    depth = read_depth_png(
        real("kitti_sample/depth/train", DRIVE, "proj_depth/groundtruth/image_02/0000000005.png")
    )
    np.testing.assert_allclose(fill(depth, image), port(depth, image), rtol=1e-6)


@given(size=st.tuples(st.integers(1, 40), st.integers(1, 40)), seed=seeds)
def test_solution_satisfies_the_system_at_every_pixel(size: tuple[int, int], seed: int) -> None:
    random = np.random.default_rng(seed)
    stencil = -random.random((9, *size))
    stencil[4] = 9.0
    right = random.random(size)
    padded = np.pad(solve(stencil, right), 1)
    left = np.zeros(size)
    for weight, (row, column) in zip(stencil, OFFSETS, strict=True):
        left += weight * padded[1 + row : 1 + row + size[0], 1 + column : 1 + column + size[1]]
    np.testing.assert_allclose(left, right, rtol=1e-12, atol=1e-12)


@given(size=sizes, seed=seeds)
def test_affinities_of_a_pixel_sum_to_one_over_neighbours_that_exist(
    size: tuple[int, int], seed: int
) -> None:
    weights = affinities(np.random.default_rng(seed).random(size))
    np.testing.assert_allclose(weights.sum(axis=0), 1)
    assert not weights[4].any()
    assert not weights[:3, 0].any() and not weights[6:, -1].any()
    assert not weights[::3, :, 0].any() and not weights[2::3, :, -1].any()


def test_a_step_in_brightness_holds_depth_back() -> None:
    image = np.zeros((12, 20, 3), np.uint8)
    image[:, 10:] = 200
    depth = np.zeros((12, 20), np.float32)
    depth[6, 2], depth[6, 17] = 10, 50
    filled = fill(depth, image)
    assert filled[:, :9].max() < 12 and filled[:, 11:].min() > 48


@pytest.mark.parametrize("method", FILLING)
@given(size=sizes, seed=seeds, known=st.floats(0, 1))
@example(size=(1, 23), seed=1, known=0.0)  # one pixel alone holds a chain: nearly singular
def test_known_pixels_stay_and_the_rest_lies_between_their_extremes(
    method: str, size: tuple[int, int], seed: int, known: float
) -> None:
    depth, image = frame(size, seed, known)
    filled = fill(depth, image, method)
    assert filled.dtype == np.float32
    np.testing.assert_array_equal(filled[depth > 0], depth[depth > 0])
    assert filled.min() >= depth[depth > 0].min() * (1 - 1e-6)
    assert filled.max() <= depth.max() * (1 + 1e-6)


@pytest.mark.parametrize("method", FILLING)
def test_twice_the_depth_is_filled_to_twice_the_depth(method: str) -> None:
    depth, image = frame((15, 22))
    np.testing.assert_allclose(fill(2 * depth, image, method), 2 * fill(depth, image, method))


def test_one_pixel_alone_is_what_it_was() -> None:
    depth, image = np.full((1, 1), 7, np.float32), np.zeros((1, 1, 3), np.uint8)
    assert [fill(depth, image, method).item() for method in METHODS] == [7] * len(METHODS)


def test_nothing_is_filled_when_nothing_is_asked() -> None:
    depth, image = frame((9, 9))
    np.testing.assert_array_equal(fill(depth, image, "none"), depth)


def test_nearest_takes_the_nearest_known_pixel() -> None:
    depth = np.zeros((1, 9), np.float32)
    depth[0, 1], depth[0, 8] = 5, 9
    filled = fill(depth, np.zeros((1, 9, 3), np.uint8), "nearest")
    assert filled[0].tolist() == [5, 5, 5, 5, 5, 9, 9, 9, 9]


def test_linear_follows_a_plane_and_leaves_the_outside_to_the_nearest() -> None:
    rows, columns = np.mgrid[:9, :9]
    plane = (10 + 2 * rows + 3 * columns).astype(np.float32)
    corners = np.isin(rows, (1, 7)) & np.isin(columns, (1, 7))
    filled = fill(np.where(corners, plane, 0), np.zeros((9, 9, 3), np.uint8), "linear")
    np.testing.assert_allclose(filled[1:8, 1:8], plane[1:8, 1:8], rtol=1e-6)
    assert filled[0, 0] == plane[1, 1] and filled[8, 8] == plane[7, 7]


def test_half_resolution_is_near_the_whole_on_a_smooth_frame() -> None:
    rows, columns = np.mgrid[:40, :60]
    image = np.repeat((rows + columns).astype(np.uint8)[..., None], 3, axis=2)
    depth = np.where(rows % 4 == 0, 10 + rows + columns / 2, 0).astype(np.float32)
    whole, half = fill(depth, image), fill(depth, image, "levin-half")
    assert np.median(np.abs(half / whole - 1)) < 0.05


@pytest.mark.parametrize(
    ("depth", "message"),
    [
        (np.zeros((6, 8)), "frame 7: not one pixel has a depth.*copy the map or its scan again"),
        (np.zeros((3, 4)), "frame 7: the depth map is 3x4 but its image is 6x8"),
        (np.full((6, 8), -1.0), "negative"),
        (np.full((6, 8), np.nan), "NaN"),
    ],
)
def test_what_cannot_be_filled_is_named_with_the_remedy(
    depth: NDArray[np.float64], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        fill(depth.astype(np.float32), np.zeros((6, 8, 3), np.uint8), "levin", "frame 7")


@pytest.mark.parametrize(
    "image",
    [np.zeros((6, 8, 3)), np.zeros((6, 8), np.uint8), np.zeros((6, 8, 4), np.uint8)],
    ids=["of fractions", "grey", "with alpha"],
)
def test_an_image_that_is_not_8_bit_rgb_is_refused(image: NDArray[np.generic]) -> None:
    with pytest.raises(DataError, match=r"frame 7: the image is .* 8-bit RGB"):
        unwrap(fill)(np.ones((6, 8), np.float32), image, "nearest", "frame 7")


def test_unknown_method_is_refused_with_those_there_are() -> None:
    with pytest.raises(DataError, match=r"'cubic'.*levin-half, linear, nearest, none"):
        fill(*frame((4, 4)), "cubic")
