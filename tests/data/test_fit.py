"""A frame at the network's size: photographs are filtered, depth is never invented."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from nano.data.fit import fit, reduce_depth, resize_image, resize_intrinsics
from nano.data.sample import Sample
from nano.errors import DataError


def sparse(native: tuple[int, int], share: float, seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    depth = random.uniform(1, 80, native).astype(np.float32)
    depth[random.random(native) >= share] = 0
    return depth


def sample(depth: np.ndarray) -> Sample:
    return Sample(name="one", image=np.zeros((*depth.shape, 3), np.uint8), depth=depth)


def plainly(depth: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Each valid pixel to the network pixel that holds its centre; the nearest stays."""
    reduced = np.full(size, np.inf)
    for row, column in zip(*np.nonzero(depth), strict=True):
        to = (
            int((row + 0.5) * size[0] / depth.shape[0]),
            int((column + 0.5) * size[1] / depth.shape[1]),
        )
        reduced[to] = min(reduced[to], depth[row, column])
    return np.where(np.isinf(reduced), 0, reduced).astype(np.float16)


@given(
    native=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    size=st.tuples(st.integers(1, 30), st.integers(1, 30)),
    share=st.floats(0, 1),
    seed=st.integers(0, 2**32),
)
@settings(max_examples=80, deadline=None)
def test_depth_is_reduced_as_the_rule_says(
    native: tuple[int, int], size: tuple[int, int], share: float, seed: int
) -> None:
    depth = sparse(native, share, seed)
    np.testing.assert_array_equal(fit(sample(depth), size).depth, plainly(depth, size))


@given(size=st.tuples(st.integers(1, 30), st.integers(1, 30)), seed=st.integers(0, 2**32))
@settings(max_examples=40, deadline=None)
def test_reduced_depth_holds_only_measured_values(size: tuple[int, int], seed: int) -> None:
    depth = sparse((25, 33), 0.05, seed)
    found = fit(sample(depth), size).depth
    assert set(found[found > 0].tolist()) <= set(depth.astype(np.float16).ravel().tolist())
    assert (found > 0).sum() <= (depth > 0).sum()


def test_nearest_of_several_measurements_wins() -> None:
    index, depth = np.arange(4, dtype=np.int32), np.array([9, 3, 5, 7], np.float32)
    assert reduce_depth(index, depth, (2, 2), (1, 1)).tolist() == [[3.0]]


def test_same_size_changes_nothing() -> None:
    depth = sparse((12, 20), 0.4, 0)
    image = np.random.default_rng(0).integers(0, 256, (12, 20, 3), dtype=np.uint8)
    fitted = fit(Sample(name="one", image=image, depth=depth), (12, 20))
    np.testing.assert_array_equal(fitted.depth, depth.astype(np.float16))
    np.testing.assert_array_equal(fitted.image, image.transpose(2, 0, 1))


def test_shrinking_an_image_averages_what_it_covers() -> None:
    # A checkerboard of single pixels becomes grey; picking pixels would leave it black or white.
    board = (np.indices((64, 64)).sum(axis=0) % 2 * 255).astype(np.uint8)
    image = np.repeat(board[:, :, None], 3, axis=2)
    small = resize_image(image, (16, 16))
    assert small.shape == (3, 16, 16)
    assert np.abs(small.astype(int) - 127).max() <= 12


def test_image_is_resized_as_pillow_does() -> None:
    image = np.random.default_rng(1).integers(0, 256, (37, 121, 3), dtype=np.uint8)
    expected = Image.fromarray(image).resize((48, 16), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(
        resize_image(image, (16, 48)), np.moveaxis(np.asarray(expected), -1, 0)
    )


def test_truth_keeps_native_size_and_precision() -> None:
    depth = sparse((37, 121), 0.1, 3)
    fitted = fit(sample(depth), (8, 24))
    assert fitted.native == (37, 121)
    assert (np.diff(fitted.index) > 0).all()
    np.testing.assert_array_equal(depth.ravel()[fitted.index], fitted.truth)
    assert len(fitted.truth) == np.count_nonzero(depth)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.nan, "NaN, infinite or negative"),
        (np.inf, "NaN, infinite or negative"),
        (-1.0, "NaN, infinite or negative"),
        (20_480.0, "reaches 20480 m; depth must be given in metres"),
    ],
)
def test_what_is_no_depth_in_metres_is_refused(value: float, message: str) -> None:
    depth = sparse((12, 20), 0.4, 0)
    depth[3, 4] = value
    with pytest.raises(DataError, match=f"one: .*{message}"):
        fit(sample(depth), (6, 10))


def test_depth_of_another_frame_size_is_refused() -> None:
    image = np.zeros((12, 21, 3), np.uint8)
    with pytest.raises(DataError, match="12x20 but its image is 12x21"):
        fit(Sample(name="one", image=image, depth=np.ones((12, 20), np.float32)), (6, 10))


def test_intrinsics_follow_the_size_and_are_kept_where_unknown() -> None:
    # A point at the image's middle stays there: 39.5 of 80 columns is 19.5 of 40.
    assert resize_intrinsics((40.0, 30.0, 39.5, 11.5), (24, 80), (12, 40)) == (20, 15, 19.5, 5.5)
    same = (721.5, 721.5, 609.6, 172.9)
    assert resize_intrinsics(same, (375, 1242), (375, 1242)) == pytest.approx(same)
    sample = Sample(
        name="one",
        image=np.zeros((12, 20, 3), np.uint8),
        depth=np.ones((12, 20), np.float32),
        intrinsics=(10.0, 10.0, 9.5, 5.5),
    )
    assert fit(sample, (6, 10)).intrinsics == (5, 5, 4.5, 2.5)
    assert fit(replace(sample, intrinsics=None), (6, 10)).intrinsics is None


@given(u=st.floats(-0.5, 79.5), z=st.floats(1, 80), width=st.integers(8, 200), cx=st.floats(20, 60))
def test_a_point_lands_at_the_same_share_of_the_image_at_any_size(
    u: float, z: float, width: int, cx: float
) -> None:
    x = (u - cx) / 40.0 * z
    fx, _, centre, _ = resize_intrinsics((40.0, 40.0, cx, 11.5), (24, 80), (24, width))
    assert (fx * x / z + centre + 0.5) / width == pytest.approx((u + 0.5) / 80, abs=1e-9)


def test_grey_image_is_refused() -> None:
    image = np.zeros((12, 20), np.uint8)
    with pytest.raises(DataError, match="expected 8-bit RGB"):
        fit(Sample(name="one", image=image, depth=np.ones((12, 20), np.float32)), (6, 10))


@given(
    native=st.tuples(st.integers(1, 30), st.integers(1, 30)),
    size=st.tuples(st.integers(1, 30), st.integers(1, 30)),
    seed=st.integers(0, 2**32 - 1),
)
def test_filled_depth_leaves_no_hole_and_never_hides_a_measurement(
    native: tuple[int, int], size: tuple[int, int], seed: int
) -> None:
    depth = sparse(native, 0.3, seed)
    dense = np.random.default_rng(seed).uniform(1, 80, native).astype(np.float32)
    plain = fit(sample(depth), size)
    fitted = fit(replace(sample(depth), filled=np.where(depth > 0, depth, dense)), size)
    assert (fitted.depth > 0).all()
    np.testing.assert_array_equal(fitted.depth[plain.depth > 0], plain.depth[plain.depth > 0])
    np.testing.assert_array_equal(fitted.truth, plain.truth)
    np.testing.assert_array_equal(fitted.index, plain.index)


def test_filled_depth_of_the_same_size_is_taken_as_it_is() -> None:
    depth = sparse((12, 20), 0.2, 0)
    dense = np.where(depth > 0, depth, np.float32(7))
    fitted = fit(replace(sample(depth), filled=dense), (12, 20))
    np.testing.assert_array_equal(fitted.depth, dense.astype(np.float16))
