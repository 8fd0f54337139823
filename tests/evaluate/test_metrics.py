"""The eight metrics against a plain restatement, and each rule by a case worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import interpolate

from nano.evaluate.metrics import bounded, depth_metrics, sample_bilinear
from nano.records import METRICS, Protocol

ROAD = Protocol(name="t", crop="none", min_depth_m=1e-3, max_depth_m=80.0, truth="any")
SCALED = Protocol(
    name="t", crop="none", min_depth_m=1e-3, max_depth_m=80.0, truth="any", median_scaling=True
)


def restated(prediction: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """The definitions once more, pixel by pixel in Python's own arithmetic."""
    totals = dict.fromkeys(METRICS, 0.0)
    for p, g in zip(prediction.tolist(), truth.tolist(), strict=True):
        larger = max(p / g, g / p)
        for k in (1, 2, 3):
            totals[f"delta{k}"] += larger < 1.25**k
        totals["abs_rel"] += abs(p - g) / g
        totals["sq_rel"] += (p - g) ** 2 / g
        totals["rmse"] += (p - g) ** 2
        totals["rmse_log"] += (math.log(p) - math.log(g)) ** 2
        totals["log10"] += abs(math.log10(p) - math.log10(g))
    means = {name: total / len(truth) for name, total in totals.items()}
    return means | {name: math.sqrt(means[name]) for name in ("rmse", "rmse_log")}


@given(seed=st.integers(0, 2**32), count=st.integers(1, 300), spread=st.floats(0.01, 2))
@settings(max_examples=60, deadline=None)
def test_metrics_equal_the_restatement(seed: int, count: int, spread: float) -> None:
    random = np.random.default_rng(seed)
    truth = random.uniform(0.5, 80, count).astype(np.float32)
    prediction = np.clip(truth * np.exp(spread * random.standard_normal(count)), 1e-3, 80)
    found = depth_metrics(prediction, truth)
    assert tuple(found) == METRICS
    assert {type(value) for value in found.values()} == {float}
    for name, value in restated(prediction, truth).items():
        assert found[name] == pytest.approx(value, rel=1e-9, abs=1e-12), name


def test_perfect_prediction_has_no_error() -> None:
    truth = np.array([1.0, 10.0, 79.0], np.float32)
    expected = {name: 1.0 if name.startswith("delta") else 0.0 for name in METRICS}
    assert depth_metrics(truth, truth) == expected


def test_one_pixel_by_hand() -> None:
    found = depth_metrics(np.array([20.0]), np.array([10.0]))
    assert found["abs_rel"] == pytest.approx(1.0)
    assert found["sq_rel"] == pytest.approx(10.0)
    assert found["rmse"] == pytest.approx(10.0)
    assert found["rmse_log"] == pytest.approx(math.log(2))
    assert found["log10"] == pytest.approx(math.log10(2))
    assert [found[f"delta{k}"] for k in (1, 2, 3)] == [0, 0, 0]


@pytest.mark.parametrize("factor", [1.25, 1 / 1.25])
def test_deltas_are_strict(factor: float) -> None:
    # 8 and 10 are exact, and so is their ratio: a factor of exactly 1.25 is not below it.
    found = depth_metrics(np.array([8.0 * max(factor, 1)]), np.array([8.0 / min(factor, 1)]))
    assert (found["delta1"], found["delta2"]) == (0, 1) if factor > 1 else (1, 1)
    assert depth_metrics(np.array([10.0]), np.array([8.0]))["delta1"] == 0
    assert depth_metrics(np.array([8.0]), np.array([10.0]))["delta1"] == 0
    assert depth_metrics(np.array([9.9999]), np.array([8.0]))["delta1"] == 1


def test_over_and_under_estimating_by_a_factor_cost_the_same_deltas() -> None:
    truth = np.full(4, 10.0)
    over, under = (depth_metrics(truth * f, truth) for f in (1.4, 1 / 1.4))
    assert [over[f"delta{k}"] for k in (1, 2, 3)] == [under[f"delta{k}"] for k in (1, 2, 3)]
    assert over["log10"] == pytest.approx(under["log10"])
    assert over["abs_rel"] > under["abs_rel"]


def test_infinite_becomes_the_maximum_and_nan_the_minimum() -> None:
    prediction = np.array([np.inf, -np.inf, np.nan, 500.0, -1.0, 10.0])
    assert bounded(prediction, np.ones(6), ROAD).tolist() == [80, 1e-3, 1e-3, 80, 1e-3, 10]


def test_scaling_comes_before_clipping() -> None:
    # Halved first, 120 m is 60 m; clipped first it would have become 40 m.
    prediction = np.array([20.0, 40.0, 120.0])
    truth = np.array([10.0, 20.0, 60.0])
    assert bounded(prediction, truth, SCALED).tolist() == [10, 20, 60]


@given(
    source=st.tuples(st.integers(1, 40), st.integers(1, 60)),
    target=st.tuples(st.integers(1, 90), st.integers(1, 130)),
    seed=st.integers(0, 2**32),
)
@settings(max_examples=80, deadline=None)
def test_sampling_equals_the_full_resize_read_at_those_pixels(
    source: tuple[int, int], target: tuple[int, int], seed: int
) -> None:
    random = np.random.default_rng(seed)
    depth = random.uniform(1, 80, source).astype(np.float32)
    count = random.integers(1, target[0] * target[1] + 1)
    index = np.sort(random.choice(target[0] * target[1], count, replace=False)).astype(np.int32)
    full = interpolate(
        torch.from_numpy(depth)[None, None].double(), target, mode="bilinear", align_corners=False
    )
    expected = full.numpy().ravel()[index]
    np.testing.assert_allclose(sample_bilinear(depth, target, index), expected, rtol=0, atol=1e-9)


def test_sampling_agrees_with_the_float32_resize_of_a_smooth_depth_map() -> None:
    rows, columns = np.mgrid[0:192, 0:640].astype(np.float32)
    depth = 2 + 78 * np.exp(-rows / 60) * (0.75 + 0.25 * np.sin(columns / 30))
    full = interpolate(
        torch.from_numpy(depth)[None, None], (375, 1242), mode="bilinear", align_corners=False
    )
    index = np.arange(0, 375 * 1242, 7, dtype=np.int32)
    sampled = sample_bilinear(depth, (375, 1242), index)
    np.testing.assert_allclose(sampled, full.numpy().ravel()[index], rtol=1e-5)
