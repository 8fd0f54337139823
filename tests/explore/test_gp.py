"""The Gaussian process: exact gradients, exact interpolation, honest uncertainty."""

from __future__ import annotations

import numpy as np
import pytest

from nano.explore.gp import Hyper, Points, Posterior, _loss, fitted, prior


def points(count: int, seed: int = 0) -> Points:
    random = np.random.default_rng(seed)
    return Points(summaries=random.normal(size=(count, 5)), genes=random.normal(size=(count, 9)))


def test_the_gradient_is_that_of_the_loss() -> None:
    random = np.random.default_rng(1)
    known, outputs = points(30), random.normal(size=(30, 2))
    noise = random.uniform(1, 3, 30)
    vector = prior(known).packed() + 0.3 * random.normal(size=4 + 6 + 1)
    _, gradient = _loss(Hyper.unpacked(vector), known, outputs, noise)
    for i, own in enumerate(gradient):
        step = np.zeros(len(vector))
        step[i] = 1e-5
        ahead, _ = _loss(Hyper.unpacked(vector + step), known, outputs, noise)
        behind, _ = _loss(Hyper.unpacked(vector - step), known, outputs, noise)
        assert own == pytest.approx((ahead - behind) / 2e-5, rel=1e-4, abs=1e-6)


def test_without_noise_the_readings_are_met_and_nothing_is_uncertain_there() -> None:
    known = points(12)
    outputs = np.random.default_rng(2).normal(size=(12, 2))
    quiet = Hyper(amplitudes=np.zeros(4), scales=np.ones(6), noise=-20.0)
    mean, sd = Posterior(quiet, known, outputs, np.ones(12)).predict(known)
    assert mean == pytest.approx(outputs, abs=1e-3)
    assert sd.max() < 1e-2


def test_far_from_every_reading_the_smooth_part_is_as_uncertain_as_before_any() -> None:
    known, far = points(12), Points(summaries=np.full((1, 5), 50.0), genes=np.full((1, 9), 50.0))
    flat = Hyper(amplitudes=np.array([-30.0, 0.0, -30.0, 0.0]), scales=np.zeros(6), noise=-2.0)
    outputs = np.ones((12, 1))
    mean, sd = Posterior(flat, known, outputs, np.ones(12)).predict(far)
    assert mean[0, 0] == pytest.approx(0, abs=1e-9)
    assert sd[0] == pytest.approx(2**0.5)


def test_a_noisier_reading_weighs_less() -> None:
    one = Points(summaries=np.zeros((2, 5)), genes=np.zeros((2, 9)))
    hyper = Hyper(amplitudes=np.zeros(4), scales=np.ones(6), noise=0.0)
    outputs = np.array([[1.0], [-1.0]])
    mean, _ = Posterior(hyper, one, outputs, np.array([1.0, 9.0])).predict(one)
    assert mean[0, 0] > 0.2


def test_fitting_finds_which_summary_matters_and_how_much_is_noise() -> None:
    random = np.random.default_rng(3)
    known = points(150)
    clean = np.sin(2 * known.summaries[:, :1])
    outputs = clean + 0.1 * random.normal(size=clean.shape)
    outputs = (outputs - outputs.mean()) / outputs.std()
    hyper = fitted(known, outputs, np.ones(150))
    assert np.argmin(hyper.scales[:-1]) == 0
    assert 0.003 < np.exp(hyper.noise) < 0.1
    fresh = points(200, seed=4)
    mean, sd = Posterior(hyper, known, outputs, np.ones(150)).predict(fresh)
    truth = np.sin(2 * fresh.summaries[:, 0])
    assert np.corrcoef(mean[:, 0], truth)[0, 1] > 0.9
    assert np.isfinite(sd).all()
