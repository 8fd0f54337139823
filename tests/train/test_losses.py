from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from nano.networks.target import TARGETS
from nano.train.losses import Objective, masked_gradient_l1, masked_l1, truth_at
from nano.train.recipe import RECIPES, Recipe
from nano.train.ssim import ssim_map, whole_share, whole_windows


def maps(*shape: int, seed: int = 0, low: float = 1.0, high: float = 80.0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)) * (high - low) + low


def gaussian_window() -> Tensor:
    """The 11x11 window, stated a second time: an outer product of sampled normal densities."""
    axis = torch.distributions.Normal(5.0, 1.5).log_prob(torch.arange(11.0)).exp()
    window = torch.outer(axis, axis)
    return (window / window.sum())[None, None]


def plain_ssim(first: Tensor, second: Tensor, window: Tensor, data_range: float) -> Tensor:
    """Wang et al. eq. 13 with variances taken about the means, by conv2d."""
    mean1, mean2 = functional.conv2d(first, window), functional.conv2d(second, window)
    var1 = functional.conv2d(first**2, window) - mean1**2
    var2 = functional.conv2d(second**2, window) - mean2**2
    covariance = functional.conv2d(first * second, window) - mean1 * mean2
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    luminance = (2 * mean1 * mean2 + c1) / (mean1**2 + mean2**2 + c1)
    structure = (2 * covariance + c2) / (var1 + var2 + c2)
    return luminance * structure


def plain_densedepth(output: Tensor, depth_m: Tensor) -> Tensor:
    """The whole loss on dense maps, written out image by image."""
    wanted = 80 / depth_m.clamp(1, 80)
    total = torch.zeros(())
    for yp, y in zip(output, wanted, strict=True):
        down, right = torch.zeros_like(y), torch.zeros_like(y)
        down[:, :-1] = (yp[:, 1:] - yp[:, :-1]) - (y[:, 1:] - y[:, :-1])
        right[:, :, :-1] = (yp[:, :, 1:] - yp[:, :, :-1]) - (y[:, :, 1:] - y[:, :, :-1])
        ssim = plain_ssim(yp[None], y[None], gaussian_window(), 80.0).mean()
        structure = ((1 - ssim) / 2).clamp(0, 1)
        total = total + structure + (down.abs() + right.abs()).mean() + 0.1 * (yp - y).abs().mean()
    return total / len(output)


def test_truth_is_halved_by_the_mean_of_known_pixels() -> None:
    depth = torch.tensor([[[2.0, 4.0, 0.0, 0.0], [6.0, 8.0, 0.0, 3.0]]])
    assert truth_at(2, depth, Recipe()).tolist() == [[[[5.0, 3.0]]]]
    for recipe in (Recipe(), RECIPES["densedepth"]):
        assert truth_at(2, torch.zeros(1, 2, 2), recipe).tolist() == [[[[0.0]]]]
    assert truth_at(2, depth, Recipe(max_depth_m=6.0)).tolist() == [[[[4.0, 3.0]]]]


def test_densedepth_s_truth_is_halved_after_it_was_inverted_and_clipped() -> None:
    depth = torch.tensor([[[2.0, 4.0, 0.0, 0.5], [8.0, 8.0, 0.0, 100.0]]])
    halved = truth_at(2, depth, RECIPES["densedepth"])
    means = [(40 + 20 + 10 + 10) / 4, (80 + 1) / 2]  # of 80 / d, from 1 at 80 m to 80 at 1 m
    torch.testing.assert_close(80 / halved[0, 0, 0], torch.tensor(means))


def test_truth_at_the_input_s_size_is_the_truth_up_to_the_limit() -> None:
    depth = torch.tensor([[[4.0, 0.0, 9.0], [1.0, 2.0, 3.0]]])
    assert torch.equal(truth_at(1, depth, Recipe()), depth[:, None])
    assert truth_at(1, depth, Recipe(max_depth_m=6.0))[0, 0, 0].tolist() == [4.0, 0.0, 0.0]


def test_l1_by_hand() -> None:
    output, wanted = torch.tensor([[[[1.0, 5.0, 9.0]]]]), torch.tensor([[[[2.0, 2.0, 0.0]]]])
    valid = torch.tensor([[[[True, True, False]]]])
    assert masked_l1(output, wanted, valid, valid.sum()).item() == 2.0
    none = torch.zeros_like(valid)
    assert masked_l1(output, wanted, none, none.sum()).item() == 0.0


def test_gradients_count_only_between_known_neighbours() -> None:
    error = torch.tensor([[[[0.0, 1.0, 7.0], [0.0, 3.0, 0.0]]]])
    known = torch.ones(1, 1, 2, 3, dtype=torch.bool)
    # Down 0 + 2 + 7, right 1 + 6 + 3 + 3, over six pixels.
    zero = torch.zeros_like(error)
    assert masked_gradient_l1(error, zero, known, known.sum()).item() == pytest.approx(22 / 6)
    known[0, 0, 0, 2] = False  # takes away 7 down and 6 right, and one pixel
    assert masked_gradient_l1(error, zero, known, known.sum()).item() == pytest.approx(9 / 5)


def test_gaussian_ssim_equals_conv2d_in_value_and_gradient() -> None:
    second = maps(2, 1, 24, 40, seed=1)
    ours = maps(2, 1, 24, 40).requires_grad_()
    theirs = ours.detach().clone().requires_grad_()
    ssim_map(ours, second, window="gauss11", data_range=80.0).square().sum().backward()
    plain = plain_ssim(theirs, second, gaussian_window(), 80.0)
    plain.square().sum().backward()
    found = ssim_map(ours.detach(), second, window="gauss11", data_range=80.0)
    assert found.shape == (2, 1, 14, 30)
    torch.testing.assert_close(found, plain.detach(), atol=1e-5, rtol=0)
    assert ours.grad is not None and theirs.grad is not None
    torch.testing.assert_close(ours.grad, theirs.grad, atol=1e-5, rtol=1e-3)


def test_pooled_ssim_is_the_box_window_without_border() -> None:
    first, second = maps(1, 1, 9, 11), maps(1, 1, 9, 11, seed=1)
    found = ssim_map(first, second, window="pooled3", data_range=80.0)
    plain = plain_ssim(first, second, torch.full((1, 1, 3, 3), 1 / 9), 80.0)
    assert found.shape == (1, 1, 7, 9)
    torch.testing.assert_close(found, plain, atol=1e-5, rtol=0)


@pytest.mark.parametrize("window", ["pooled3", "gauss11"])
def test_ssim_of_equal_maps_is_one(window: str) -> None:
    first = maps(1, 1, 16, 16)
    found = ssim_map(first, first, window=window, data_range=80.0)
    torch.testing.assert_close(found, torch.ones_like(found), atol=1e-4, rtol=0)


def test_densedepth_loss_is_the_published_sum_on_dense_maps() -> None:
    output, depth = maps(3, 1, 20, 28, low=-1.0), maps(3, 1, 20, 28, seed=1, low=0.5, high=120.0)
    found = Objective(RECIPES["densedepth"])(output, depth)
    assert found.item() == pytest.approx(plain_densedepth(output, depth).item(), rel=1e-5)


def test_log_l1_by_hand() -> None:
    output = torch.tensor([[[[0.0, 1.0]]]])
    truth = torch.tensor([[[[10 * math.e, 10 * math.e]]]])
    assert Objective(Recipe())(output, truth).item() == pytest.approx(0.5)


def test_ssim_of_log_depth_counts_from_one_metre() -> None:
    # A tenfold depth is a shift of ln 10 whatever it starts from, but seen against ln(d / 1 m).
    recipe = Recipe(ssim_weight=1.0)
    truth = maps(1, 1, 8, 8)
    equal = Objective(recipe)((truth / 10).log(), truth).item()
    assert equal == pytest.approx(0.0, abs=1e-4)
    wanted, found = truth.log(), truth.log() + 0.3
    ssim = plain_ssim(found, wanted, torch.full((1, 1, 3, 3), 1 / 9), math.log(80.0)).mean().item()
    shifted = Objective(recipe)(found - math.log(10.0), truth).item()
    assert shifted == pytest.approx(0.3 + (1 - ssim) / 2, rel=1e-4)


@pytest.mark.parametrize(
    "recipe",
    [
        Recipe(),
        Recipe(loss="l1", target="inverse", gradient_weight=0.5),
        Recipe(ssim_weight=0.3, gradient_weight=0.2),
        replace(RECIPES["densedepth"], batch=1),
    ],
    ids=["log-l1", "l1+gradient", "log-l1+ssim+gradient", "densedepth"],
)
def test_unknown_pixels_have_no_say(recipe: Recipe) -> None:
    truth = maps(1, 1, 24, 32)
    truth[..., :6, :] = 0
    truth[..., 20, 20] = 0
    output = maps(1, 1, 24, 32, seed=1).requires_grad_()
    loss = Objective(recipe)(output, truth)
    loss.backward()
    assert output.grad is not None
    assert output.grad[truth == 0].abs().max() == 0
    assert output.grad[truth > 0].abs().max() > 0
    elsewhere = torch.where(truth == 0, torch.full_like(truth, 77.0), output.detach())
    assert Objective(recipe)(elsewhere, truth).item() == pytest.approx(loss.item(), rel=1e-6)


@pytest.mark.parametrize(
    "recipe",
    [Recipe(), Recipe(ssim_weight=0.3, gradient_weight=0.2), *RECIPES.values()],
    ids=["log-l1", "log-l1+ssim+gradient", *RECIPES],
)
def test_the_losses_of_a_batch_s_parts_add_up_to_its_own(recipe: Recipe) -> None:
    truth = maps(3, 1, 24, 32)
    truth[0, :, :16] = 0  # of one image half is known, of another nothing
    truth[2] = 0
    output = maps(3, TARGETS[recipe.target].outputs, 24, 32, seed=1)
    loss = Objective(recipe)
    parts = [loss(output[i : i + 1], truth[i : i + 1], loss.known(truth)) for i in range(3)]
    assert sum(part.item() for part in parts) == pytest.approx(loss(output, truth).item(), rel=1e-5)


def test_a_batch_without_truth_costs_nothing() -> None:
    for recipe in (Recipe(ssim_weight=1.0), RECIPES["densedepth"]):
        output = torch.zeros(1, 1, 12, 12, requires_grad=True)
        loss = Objective(recipe)(output, torch.zeros(1, 1, 12, 12))
        loss.backward()
        assert math.isfinite(loss.item())
        assert output.grad is not None and output.grad.abs().max() == 0


def test_whole_windows_by_hand() -> None:
    valid = torch.ones(1, 1, 5, 4, dtype=torch.bool)
    valid[0, 0, 0, 0] = False
    assert whole_windows(valid, "pooled3").tolist() == [
        [[[False, True], [True, True], [True, True]]]
    ]
    assert whole_share(valid, "pooled3") == 5 / 6
    assert whole_share(torch.zeros_like(valid), "pooled3") == 0.0


def test_sky_leaves_windows_whole_and_dots_do_not() -> None:
    valid = torch.ones(2, 1, 48, 160, dtype=torch.bool)
    valid[:, :, :20] = False
    assert whole_share(valid, "gauss11") > 0.7
    dots = torch.rand(valid.shape, generator=torch.Generator().manual_seed(0)) < 0.2
    assert whole_share(dots, "gauss11") == 0.0
    assert whole_share(dots, "pooled3") < 0.01
