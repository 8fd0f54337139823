"""SSIM with its gradient beside its usual forms, at equal value.

python -m benchmarks.ssim

Batches of 4 half-size maps, 4x1x192x640, float32, one thread, forward and backward in turns. The
usual form convolves with an 11x11 window for each of five means; the separable one is the formula
of pytorch-msssim (a row and a column of the window, valid borders), restated here.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import conv2d

from benchmarks.training import ssim_by_conv2d
from nano.train.ssim import ssim_map

SHAPE = (4, 1, 192, 640)
RANGE = 80.0
ASKED = {"times_faster": ">= 4", "largest_difference": "<= 1e-5"}


def measure(rounds: int = 9) -> dict[str, object]:
    """Median CPU milliseconds of each form, and the largest difference of means and of maps."""
    forms: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
        "ours": ours,
        "pooled3": pooled,
        "separable": separable,
        "conv2d": ssim_by_conv2d,
    }
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        first, second = maps()
        times: dict[str, list[float]] = {name: [] for name in forms}
        for _ in range(rounds):
            for name, form in forms.items():
                times[name].append(_milliseconds(form, first, second))
        found = {name: form(first, second) for name, form in forms.items()}
        exact = separable(first.double(), second.double())
    finally:
        torch.set_num_threads(threads)
    medians = {name: statistics.median(each) for name, each in times.items()}
    return {
        "rounds": rounds,
        "shape": list(SHAPE),
        **{f"{name}_ms": round(each, 2) for name, each in medians.items()},
        "value": round(float(found["ours"].mean()), 6),
        "largest_difference": max(
            float((found["ours"].mean() - found[name].mean()).abs())
            for name in ("separable", "conv2d")
        ),
        "largest_difference_of_a_window": float((found["ours"] - exact).abs().max()),
        "the_same_of_the_separable_form": float((found["separable"] - exact).abs().max()),
        "times_faster": round(medians["conv2d"] / medians["ours"], 1),
    }


def maps() -> tuple[Tensor, Tensor]:
    """A smooth map of inverse depth in 1..80, and an estimate some tenths off."""
    random = torch.Generator().manual_seed(0)
    small = torch.rand((SHAPE[0], 1, 12, 40), generator=random)
    smooth = torch.nn.functional.interpolate(small, SHAPE[2:], mode="bilinear")
    noise = 0.05 * torch.randn(SHAPE, generator=random)
    return 1 + 79 * (smooth + noise).clamp(0, 1), 1 + 79 * smooth


def ours(first: Tensor, second: Tensor) -> Tensor:
    """The Gaussian of the training loss."""
    return ssim_map(first, second, window="gauss11", data_range=RANGE)


def pooled(first: Tensor, second: Tensor) -> Tensor:
    """The 3x3 mean of the training loss: another value, for its time."""
    return ssim_map(first, second, window="pooled3", data_range=RANGE)


def separable(first: Tensor, second: Tensor) -> Tensor:
    """pytorch-msssim: Gaussian 11, sigma 1.5, along each axis; contrast times luminance."""
    axis = torch.exp(-((torch.arange(11, dtype=first.dtype) - 5) ** 2) / (2 * 1.5**2))
    axis /= axis.sum()

    def blurred(x: Tensor) -> Tensor:
        return conv2d(conv2d(x, axis.view(1, 1, 11, 1)), axis.view(1, 1, 1, 11))

    c1, c2 = (0.01 * RANGE) ** 2, (0.03 * RANGE) ** 2
    mu1, mu2 = blurred(first), blurred(second)
    sigma1 = blurred(first * first) - mu1**2
    sigma2 = blurred(second * second) - mu2**2
    sigma12 = blurred(first * second) - mu1 * mu2
    contrast = (2 * sigma12 + c2) / (sigma1 + sigma2 + c2)
    return (2 * mu1 * mu2 + c1) / (mu1**2 + mu2**2 + c1) * contrast


def _milliseconds(form: Callable[[Tensor, Tensor], Tensor], first: Tensor, second: Tensor) -> float:
    leaf = first.clone().requires_grad_()
    start = time.process_time()
    torch.autograd.backward(form(leaf, second).mean())
    return 1e3 * (time.process_time() - start)


if __name__ == "__main__":
    print(json.dumps(measure(), indent=1))
