"""What a training minimises, at the head's resolution, on masked truth.

Every term is a sum over pixels or windows divided by their number. A batch may come in parts, for
lack of memory or spread over processes: divided by the number of the whole batch, the terms of its
parts add up to its own, however unevenly the known pixels are spread.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional

from nano.networks.ordinal import ordinal_loss
from nano.networks.target import INVERSE_RANGE_M, TARGETS
from nano.train.recipe import Recipe
from nano.train.ssim import ssim_map, whole_windows

# Depth counted for the range of each target: 1 m to 80 m (KITTI), see `_positive`.
DATA_RANGE = {"log": math.log(80.0), "inverse": 80.0}
DENSEDEPTH_L1 = 0.1  # DenseDepth, eq. 1: lambda; its other two terms weigh 1


def truth_at(
    stride: int, depth: Float[Tensor, "B H W"], recipe: Recipe
) -> Float[Tensor, "B 1 h w"]:
    """Truth at the head's resolution: the mean of a square's known pixels, 0 where none is.

    Squares have ``stride`` pixels a side: 2 for a design, 1 for a network that writes at its
    input's size. Pixels beyond the recipe's ``max_depth_m`` count as unknown; 0 sets no limit.
    The mean is one of depth; where the target is inverse depth, one of that, as DenseDepth
    halves its maps after inverting them.
    """
    depth = depth[:, None]
    if recipe.max_depth_m:
        depth = depth * (depth <= recipe.max_depth_m)
    valid = depth > 0
    share = functional.avg_pool2d(valid.float(), stride).clamp(min=stride**-2)
    if recipe.target != "inverse":
        return functional.avg_pool2d(depth, stride) / share
    inverse = valid / depth.clamp(*INVERSE_RANGE_M)
    mean = functional.avg_pool2d(inverse, stride) / share
    return torch.where(mean > 0, 1 / mean, mean)


def masked_l1(
    output: Float[Tensor, "B 1 H W"],
    wanted: Float[Tensor, "B 1 H W"],
    valid: Bool[Tensor, "B 1 H W"],
    pixels: Int[Tensor, ""],
) -> Float[Tensor, ""]:
    """Mean |output - wanted| over known pixels, ``pixels`` in number; 0 when there is none."""
    return ((output - wanted).abs() * valid).sum() / pixels.clamp(min=1)


def masked_gradient_l1(
    output: Float[Tensor, "B 1 H W"],
    wanted: Float[Tensor, "B 1 H W"],
    valid: Bool[Tensor, "B 1 H W"],
    pixels: Int[Tensor, ""],
) -> Float[Tensor, ""]:
    """Mean |dy e| + |dx e| of the error e: forward differences where both neighbours are known.

    Divided by ``pixels``, the number of known ones, so that on dense maps it is DenseDepth's mean
    with a last row and a last column of zeros (the gradient of tf.image.image_gradients).
    """
    error = output - wanted
    down = (error[..., 1:, :] - error[..., :-1, :]).abs() * (valid[..., 1:, :] & valid[..., :-1, :])
    right = (error[..., 1:] - error[..., :-1]).abs() * (valid[..., 1:] & valid[..., :-1])
    return (down.sum() + right.sum()) / pixels.clamp(min=1)


def masked_ssim_loss(
    output: Float[Tensor, "B 1 H W"],
    wanted: Float[Tensor, "B 1 H W"],
    whole: Bool[Tensor, "B 1 h w"],
    windows: Int[Tensor, ""],
    *,
    window: str,
    data_range: float,
) -> Float[Tensor, ""]:
    """Mean of (1 - SSIM) / 2 over the ``whole`` windows, ``windows`` in number.

    DenseDepth clips it to 0..1, where SSIM, in -1..1, holds it already.
    """
    similarity = ssim_map(output, wanted, window=window, data_range=data_range)
    return ((1 - similarity) * whole).sum() / (2 * windows.clamp(min=1))


class Objective:
    """The loss of a recipe, on the head's output B c h w and truth B 1 h w in metres."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        self.target = TARGETS[recipe.target]
        own = recipe.loss == "densedepth"
        self.weight = DENSEDEPTH_L1 if own else 1.0
        self.gradient_weight = 1.0 if own else recipe.gradient_weight
        self.ssim_weight = 1.0 if own else recipe.ssim_weight

    def known(self, truth_m: Float[Tensor, "B 1 h w"]) -> Int[Tensor, " counts"]:
        """How many pixels, and how many of SSIM's windows, are known: what a loss is divided by."""
        valid = truth_m > 0
        pixels = valid.sum()
        whole = whole_windows(valid, self.recipe.ssim).sum() if self.ssim_weight else pixels
        return torch.stack((pixels, whole))

    def __call__(
        self,
        output: Float[Tensor, "B c h w"],
        truth_m: Float[Tensor, "B 1 h w"],
        known: Int[Tensor, " counts"] | None = None,
    ) -> Float[Tensor, ""]:
        """The loss; ``known`` is that of the whole batch where these maps are a part of one."""
        pixels, windows = self.known(truth_m) if known is None else known
        valid = truth_m > 0
        if self.recipe.loss == "ordinal":
            return ordinal_loss(output, self.target.encode(truth_m), valid, pixels)
        # Unknown pixels become 1 m: any finite number will do, they are masked everywhere.
        wanted = self.target.encode(truth_m.masked_fill(~valid, 1.0))
        total = self.weight * masked_l1(output, wanted, valid, pixels)
        if self.gradient_weight:
            gradient = masked_gradient_l1(output, wanted, valid, pixels)
            total = total + self.gradient_weight * gradient
        if self.ssim_weight:
            total = total + self.ssim_weight * masked_ssim_loss(
                _positive(output, self.recipe.target),
                _positive(wanted, self.recipe.target),
                whole_windows(valid, self.recipe.ssim),
                windows,
                window=self.recipe.ssim,
                data_range=DATA_RANGE[self.recipe.target],
            )
        return total


def _positive(value: Tensor, target: str) -> Tensor:
    """The target counted from 1 m up, as SSIM's luminance term needs: ln(d / 1 m), or 80 / d."""
    return value + math.log(10.0) if target == "log" else value
