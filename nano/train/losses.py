"""What a training minimises, at the head's resolution, on masked truth."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias

from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

from nano.networks.ordinal import ordinal_loss
from nano.networks.target import TARGETS
from nano.train.recipe import Recipe
from nano.train.ssim import ssim_map, whole_windows

Objective: TypeAlias = Callable[[Tensor, Tensor], Tensor]

# Depth counted for the range of each target: 1 m to 80 m (KITTI), see `_positive`.
DATA_RANGE = {"log": math.log(80.0), "inverse": 80.0}
DENSEDEPTH_L1 = 0.1  # DenseDepth, eq. 1: lambda; its other two terms weigh 1


def truth_at(
    stride: int, depth: Float[Tensor, "B H W"], max_depth_m: float = 0.0
) -> Float[Tensor, "B 1 h w"]:
    """Truth at the head's resolution: the mean of a square's known pixels, 0 where none is.

    Squares have ``stride`` pixels a side: 2 for a design, 1 for a network that writes at its
    input's size. Pixels beyond ``max_depth_m`` count as unknown; 0 sets no limit.
    """
    depth = depth[:, None]
    if max_depth_m:
        depth = depth * (depth <= max_depth_m)
    known = functional.avg_pool2d((depth > 0).float(), stride)
    return functional.avg_pool2d(depth, stride) / known.clamp(min=stride**-2)


def masked_l1(
    output: Float[Tensor, "B 1 H W"],
    wanted: Float[Tensor, "B 1 H W"],
    valid: Bool[Tensor, "B 1 H W"],
) -> Float[Tensor, ""]:
    """Mean |output - wanted| over the known pixels of the batch; 0 when there is none."""
    return ((output - wanted).abs() * valid).sum() / valid.sum().clamp(min=1)


def masked_gradient_l1(
    output: Float[Tensor, "B 1 H W"],
    wanted: Float[Tensor, "B 1 H W"],
    valid: Bool[Tensor, "B 1 H W"],
) -> Float[Tensor, ""]:
    """Mean |dy e| + |dx e| of the error e: forward differences where both neighbours are known.

    Divided by the number of known pixels, so that on dense maps it is DenseDepth's mean with a
    last row and a last column of zeros (the gradient of tf.image.image_gradients).
    """
    error = output - wanted
    down = (error[..., 1:, :] - error[..., :-1, :]).abs() * (valid[..., 1:, :] & valid[..., :-1, :])
    right = (error[..., 1:] - error[..., :-1]).abs() * (valid[..., 1:] & valid[..., :-1])
    return (down.sum() + right.sum()) / valid.sum().clamp(min=1)


def masked_ssim_loss(
    output: Float[Tensor, "B 1 H W"],
    wanted: Float[Tensor, "B 1 H W"],
    valid: Bool[Tensor, "B 1 H W"],
    *,
    window: str,
    data_range: float,
) -> Float[Tensor, ""]:
    """clip((1 - SSIM) / 2, 0, 1), SSIM being the mean over the windows that are wholly known."""
    whole = whole_windows(valid, window)
    similarity = ssim_map(output, wanted, window=window, data_range=data_range)
    mean = (similarity * whole).sum() / whole.sum().clamp(min=1)
    return ((1 - mean) / 2).clamp(0, 1)


def objective(recipe: Recipe) -> Objective:
    """The loss of a recipe: (head's output B c h w, `truth_at` B 1 h w in metres) -> scalar."""
    target = TARGETS[recipe.target]
    if recipe.loss == "ordinal":
        return lambda output, truth_m: ordinal_loss(output, target.encode(truth_m), truth_m > 0)
    weight = DENSEDEPTH_L1 if recipe.loss == "densedepth" else 1.0
    own = 1.0 if recipe.loss == "densedepth" else None
    gradient_weight = own or recipe.gradient_weight
    ssim_weight = own or recipe.ssim_weight

    def loss(output: Tensor, truth_m: Tensor) -> Tensor:
        valid = truth_m > 0
        # Unknown pixels become 1 m: any finite number will do, they are masked everywhere.
        wanted = target.encode(truth_m.masked_fill(~valid, 1.0))
        total = weight * masked_l1(output, wanted, valid)
        if gradient_weight:
            total = total + gradient_weight * masked_gradient_l1(output, wanted, valid)
        if ssim_weight:
            total = total + ssim_weight * masked_ssim_loss(
                _positive(output, recipe.target),
                _positive(wanted, recipe.target),
                valid,
                window=recipe.ssim,
                data_range=DATA_RANGE[recipe.target],
            )
        return total

    return loss


def _positive(value: Tensor, target: str) -> Tensor:
    """The target counted from 1 m up, as SSIM's luminance term needs: ln(d / 1 m), or 80 / d."""
    return value + math.log(10.0) if target == "log" else value
