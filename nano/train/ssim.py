"""Structural similarity (Wang et al. 2004, eq. 13), named by its window and its border.

Values of different windows and borders are not comparable (the same pair gives .714 with a
Gaussian and .706 with a 3x3 mean), so nothing here is called just ``ssim``:

``pooled3``  3x3 mean, no padding: 0.6 of the time of the Gaussian (the default).
``gauss11``  11x11 Gaussian, sigma 1.5, no padding: as DenseDepth's loss (tf.image.ssim).
"""

from __future__ import annotations

import math
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

K1, K2 = 0.01, 0.03  # stabilisers of Wang et al., section III-C
_SIGMA = 1.5


def _gaussian() -> tuple[float, ...]:
    """The 11 weights of one axis, sum 1."""
    raw = [math.exp(-((i - 5) ** 2) / (2 * _SIGMA**2)) for i in range(11)]
    return tuple(weight / sum(raw) for weight in raw)


# Weights along one axis; both windows are separable and symmetric.
WINDOWS: dict[str, tuple[float, ...]] = {"pooled3": (1 / 3, 1 / 3, 1 / 3), "gauss11": _gaussian()}
SIDES = {name: len(weights) for name, weights in WINDOWS.items()}


def _shifted_sum(maps: Tensor, weights: tuple[float, ...], axis: int) -> Tensor:
    """Weighted sum of shifted slices along one axis."""
    length = maps.shape[axis] - len(weights) + 1
    total = maps.narrow(axis, 0, length) * weights[0]
    for shift, weight in enumerate(weights[1:], start=1):
        total.add_(maps.narrow(axis, shift, length), alpha=weight)
    return total


class _WindowMean(torch.autograd.Function):
    """Weighted mean over every window that fits, by shifted slices.

    Measured at 4x1x192x640, one thread, forward and backward of the whole SSIM: 11x11 as slices
    13 ms, the same slices differentiated one by one 29 ms, as conv2d 428 ms. Linear and symmetric,
    so its gradient is itself on the padded map.
    """

    @staticmethod
    def forward(context: Any, maps: Tensor, window: str) -> Tensor:
        context.weights = weights = WINDOWS[window]
        return _shifted_sum(_shifted_sum(maps, weights, -2), weights, -1)

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        weights = context.weights
        padded = functional.pad(gradients[0], (len(weights) - 1,) * 4)
        return _shifted_sum(_shifted_sum(padded, weights, -2), weights, -1), None


def _window_mean(maps: Tensor, window: str) -> Tensor:
    mean: Tensor = _WindowMean.apply(maps, window)  # type: ignore[no-untyped-call] # as torch has it
    return mean


def ssim_map(
    first: Float[Tensor, "B 1 H W"],
    second: Float[Tensor, "B 1 H W"],
    *,
    window: str,
    data_range: float,
) -> Float[Tensor, "B 1 h w"]:
    """SSIM around every window that fits, in [-1, 1]; gradients flow to ``first`` alone.

    Args:
        first: What is judged. Both maps must be >= 0 for the luminance term to mean something.
        second: What it is judged by.
        window: ``pooled3`` or ``gauss11``.
        data_range: L of the stabilisers (K L)^2.
    """
    second = second.detach()
    mean1, mean2 = _window_mean(first, window), _window_mean(second, window)
    square1, square2 = _window_mean(first * first, window), _window_mean(second * second, window)
    product = _window_mean(first * second, window)
    c1, c2 = (K1 * data_range) ** 2, (K2 * data_range) ** 2
    cross, squares = mean1 * mean2, mean1 * mean1 + mean2 * mean2
    above = (2 * cross + c1) * (2 * (product - cross) + c2)
    below = (squares + c1) * (square1 + square2 - squares + c2)
    return above / below


def whole_windows(valid: Bool[Tensor, "B 1 H W"], window: str) -> Bool[Tensor, "B 1 h w"]:
    """Which windows hold no unknown pixel: only there does SSIM mean anything."""
    return functional.max_pool2d((~valid).float(), SIDES[window], stride=1) == 0


def whole_share(valid: Bool[Tensor, "B 1 H W"], window: str) -> float:
    """Among the windows centred on a known pixel, the share without an unknown one.

    Sky leaves it high (whole areas are unknown together), sparse LiDAR brings it to zero.
    """
    border = SIDES[window] // 2
    height, width = valid.shape[-2:]
    centres = valid[..., border : height - border, border : width - border]
    known = int(centres.sum())
    return int(whole_windows(valid, window).sum()) / known if known else 0.0
