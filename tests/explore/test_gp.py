"""The Gaussian process: exact gradients, exact interpolation, honest uncertainty."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nano.explore.gp import Fidelity, Hyper, Points, Posterior, _loss, fitted, prior


def points(count: int, seed: int = 0) -> Points:
    random = np.random.default_rng(seed)
    return Points(summaries=random.normal(size=(count, 5)), genes=random.normal(size=(count, 9)))


def test_the_gradient_is_that_of_the_loss() -> None:
    random = np.random.default_rng(1)
    known, outputs = points(30), random.normal(size=(30, 2))
    kinds = Fidelity(
        level=random.integers(3, size=30),
        count=random.uniform(1, 3, 30),
        start=np.arange(30) // 2,
    )
    vector = prior(known, 3).packed() + 0.3 * random.normal(size=4 + 6 + 3)
    _, gradient = _loss(Hyper.unpacked(vector, 3), known, outputs, kinds)
    for i, own in enumerate(gradient):
        step = np.zeros(len(vector))
        step[i] = 1e-5
        ahead, _ = _loss(Hyper.unpacked(vector + step, 3), known, outputs, kinds)
        behind, _ = _loss(Hyper.unpacked(vector - step, 3), known, outputs, kinds)
        assert own == pytest.approx((ahead - behind) / 2e-5, rel=1e-4, abs=1e-6)


def test_without_noise_the_readings_are_met_and_nothing_is_uncertain_there() -> None:
    known = points(12)
    outputs = np.random.default_rng(2).normal(size=(12, 2))
    quiet = Hyper(amplitudes=np.zeros(4), scales=np.ones(6), noise=np.array([-20.0]))
    mean, sd = Posterior(quiet, known, outputs, Fidelity.final(12)).predict(known)
    assert mean == pytest.approx(outputs, abs=1e-3)
    assert sd.max() < 1e-2


def test_far_from_every_reading_the_smooth_part_is_as_uncertain_as_before_any() -> None:
    known, far = points(12), Points(summaries=np.full((1, 5), 50.0), genes=np.full((1, 9), 50.0))
    flat = Hyper(
        amplitudes=np.array([-30.0, 0.0, -30.0, 0.0]),
        scales=np.zeros(6),
        noise=np.array([-2.0]),
    )
    outputs = np.ones((12, 1))
    mean, sd = Posterior(flat, known, outputs, Fidelity.final(12)).predict(far)
    assert mean[0, 0] == pytest.approx(0, abs=1e-9)
    assert sd[0] == pytest.approx(2**0.5)


def test_a_noisier_reading_weighs_less() -> None:
    one = Points(summaries=np.zeros((2, 5)), genes=np.zeros((2, 9)))
    hyper = Hyper(amplitudes=np.zeros(4), scales=np.ones(6), noise=np.zeros(1))
    outputs = np.array([[1.0], [-1.0]])
    twice = replace(Fidelity.final(2), count=np.array([9.0, 1.0]))
    mean, _ = Posterior(hyper, one, outputs, twice).predict(one)
    assert mean[0, 0] > 0.2


def test_what_all_readings_of_a_rung_lack_is_laid_on_the_rung() -> None:
    known = points(40)
    truth = known.summaries[:, :1]
    level = np.arange(40) % 2
    outputs = truth - 0.5 * level[:, None]
    hyper = Hyper(amplitudes=np.zeros(4), scales=np.ones(6), noise=np.log([0.01, 0.01]))
    kinds = replace(Fidelity.final(40), level=level)
    fresh = points(50, seed=7)
    mean, _ = Posterior(hyper, known, outputs, kinds).predict(fresh)
    taken_as_final, _ = Posterior(hyper, known, outputs, Fidelity.final(40)).predict(fresh)
    error = np.abs(mean - fresh.summaries[:, :1]).mean()
    assert error < np.abs(taken_as_final - fresh.summaries[:, :1]).mean()
    assert abs((mean - fresh.summaries[:, :1]).mean()) < 0.2


def test_a_second_reading_of_a_lucky_start_proves_less_than_one_of_another_start() -> None:
    one = Points(summaries=np.zeros((2, 5)), genes=np.zeros((2, 9)))
    hyper = Hyper(amplitudes=np.zeros(4), scales=np.ones(6), noise=np.log([0.1]))
    both, own = Fidelity.final(2), replace(Fidelity.final(2), start=np.zeros(2, np.int64))
    _, sure = Posterior(hyper, one, np.ones((2, 1)), both).predict(one)
    _, unsure = Posterior(hyper, one, np.ones((2, 1)), own).predict(one)
    assert sure[0] < 0.9 * unsure[0]


def test_a_noisier_rung_is_found_out() -> None:
    random = np.random.default_rng(5)
    known = points(120)
    level = np.arange(120) % 2
    outputs = (
        known.summaries[:, :1] + random.normal(size=(120, 1)) * np.where(level, 0.8, 0.1)[:, None]
    )
    hyper = fitted(known, outputs / outputs.std(), replace(Fidelity.final(120), level=level))
    assert hyper.noise[1] - hyper.noise[0] > np.log(8)


def test_fitting_finds_which_summary_matters_and_how_much_is_noise() -> None:
    random = np.random.default_rng(3)
    known = points(150)
    clean = np.sin(2 * known.summaries[:, :1])
    outputs = clean + 0.1 * random.normal(size=clean.shape)
    outputs = (outputs - outputs.mean()) / outputs.std()
    hyper = fitted(known, outputs, Fidelity.final(150))
    assert np.argmin(hyper.scales[:-1]) == 0
    assert 0.003 < np.exp(hyper.noise[0]) < 0.1
    fresh = points(200, seed=4)
    mean, sd = Posterior(hyper, known, outputs, Fidelity.final(150)).predict(fresh)
    truth = np.sin(2 * fresh.summaries[:, 0])
    assert np.corrcoef(mean[:, 0], truth)[0, 1] > 0.9
    assert np.isfinite(sd).all()
