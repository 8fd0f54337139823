"""Intervals by bootstrap, and which images are the worst."""

from __future__ import annotations

import numpy as np
import pytest

from nano.evaluate.interval import bootstrap_intervals, worst_images
from nano.evaluate.run import ImageResult
from nano.records import METRICS


def images(values: list[float | None], abs_rel: list[float] | None = None) -> list[ImageResult]:
    """Images all of whose metrics are one value; None is one without a pixel to compare."""
    results = []
    for i, value in enumerate(values):
        metrics = None if value is None else dict.fromkeys(METRICS, value)
        if metrics is not None and abs_rel is not None:
            metrics["abs_rel"] = abs_rel[i]
        results.append(ImageResult(name=str(i), pixels=int(value is not None), metrics=metrics))
    return results


def test_of_many_images_the_ends_are_those_of_the_normal_distribution() -> None:
    values = np.random.default_rng(1).normal(5, 2, 900)
    low, high = bootstrap_intervals(images(values.tolist()))["rmse"]
    error = values.std() / 30
    assert low == pytest.approx(values.mean() - 1.96 * error, abs=0.1 * error)
    assert high == pytest.approx(values.mean() + 1.96 * error, abs=0.1 * error)


def test_most_intervals_hold_the_mean_that_images_were_drawn_from() -> None:
    random = np.random.default_rng(2)
    held = 0
    for _ in range(100):
        drawn = images(random.normal(1, 1, 40).tolist())
        low, high = bootstrap_intervals(drawn, draws=200)["abs_rel"]
        held += low < 1.0 < high
    assert 88 <= held <= 99


def test_the_seed_decides() -> None:
    some = images(np.random.default_rng(0).random(20).tolist())
    assert bootstrap_intervals(some, seed=1) == bootstrap_intervals(some, seed=1)
    assert bootstrap_intervals(some, seed=1) != bootstrap_intervals(some, seed=2)


def test_images_without_a_pixel_to_compare_take_no_part() -> None:
    with_gaps = bootstrap_intervals(images([0.1, None, 0.5, 0.9, None]))
    assert with_gaps == bootstrap_intervals(images([0.1, 0.5, 0.9]))
    assert tuple(with_gaps) == METRICS


def test_all_metrics_are_drawn_with_the_same_images() -> None:
    found = bootstrap_intervals(images([0.1, 0.5, 0.9]))
    assert len(set(found.values())) == 1


@pytest.mark.parametrize("values", [[], [None], [0.5], [0.5, None]])
def test_what_cannot_vary_has_no_interval(values: list[float | None]) -> None:
    assert bootstrap_intervals(images(values)) == {}


def test_worst_images_come_first_and_only_those_that_could_be_compared() -> None:
    some = images([0.9, None, 0.2, 0.5, 0.2], abs_rel=[0.1, 0.0, 0.3, 0.2, 0.4])
    assert worst_images(some, 3) == [4, 2, 3]
    assert worst_images(some, 99) == [4, 2, 3, 0]
