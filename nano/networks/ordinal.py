"""Depth as ordinal decisions: "beyond the first threshold?", "beyond the second?", ...

Fu et al. 2018 (DORN), sections 3.2 and 3.3: thresholds in even steps of log depth (eq. 1), two
numbers for each decision whose softmax is its probability (eq. 4), and a loss that sums the
decisions' cross entropies (eq. 2, 3).
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional

DECISIONS = 71  # the published KITTI network writes 142 numbers a pixel
RANGE_M = (1.0, 80.0)  # alpha and beta of eq. 1


def thresholds() -> Float[Tensor, " edges"]:
    """t_i = alpha (beta / alpha)^(i / K) in metres, i = 0 ... K = DECISIONS (eq. 1)."""
    low, high = map(math.log, RANGE_M)
    return torch.linspace(low, high, DECISIONS + 1, dtype=torch.float64).exp()


def encode_ordinal(depth_m: Float[Tensor, "B 1 H W"]) -> Float[Tensor, "B 1 H W"]:
    """How many thresholds above the first a depth has passed: a whole number, 0 ... K.

    Interval l is t_l <= d < t_(l+1); nearer depths are 0, those from beta on are K.
    """
    inner = thresholds()[1:].to(depth_m)
    return torch.bucketize(depth_m.contiguous(), inner, right=True).to(depth_m.dtype)


def decode_ordinal(output: Float[Tensor, "B c H W"]) -> Float[Tensor, "B 1 H W"]:
    """The middle of the interval that the decisions end in, in metres (section 3.3).

    A decision with probability 0.5 or more is a yes; the yeses are counted, wherever they stand.
    """
    passed = (_logits(output) >= 0).sum(dim=1, keepdim=True)
    edges = thresholds().to(device=output.device, dtype=torch.float32)
    # Past the last threshold there is no interval: RANGE_M ends there.
    middles = torch.cat(((edges[:-1] + edges[1:]) / 2, edges[-1:]))
    return middles[passed]


def ordinal_loss(
    output: Float[Tensor, "B c H W"],
    label: Float[Tensor, "B 1 H W"],
    valid: Bool[Tensor, "B 1 H W"],
    pixels: Int[Tensor, ""],
) -> Float[Tensor, ""]:
    """Sum over known pixels of K cross entropies, divided by ``pixels`` (eq. 2, 3).

    ``pixels`` is the number of known ones, of these maps or of the batch they are a part of.
    """
    places = torch.arange(DECISIONS, device=output.device).view(1, -1, 1, 1)
    yes = (places < label).to(output.dtype)
    entropies = functional.binary_cross_entropy_with_logits(_logits(output), yes, reduction="none")
    return (entropies.sum(dim=1, keepdim=True) * valid).sum() / pixels.clamp(min=1)


def _logits(output: Float[Tensor, "B c H W"]) -> Float[Tensor, "B decisions H W"]:
    """The logit of every decision: numbers 2k and 2k + 1 are for no and yes (eq. 4)."""
    return output[:, 1::2] - output[:, ::2]
