"""The cost of a design found by running it, without memory: the judge of `nano.cost`."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from nano.design.design import Design
from nano.networks.depthnet import DepthNet

# What torch runs for a SELU, in place or not.
SELU_OPERATORS = (torch.ops.aten.elu, torch.ops.aten.elu_)


@dataclass(frozen=True, kw_only=True)
class RunCount:
    """What torch saw in one forward pass of batch 1; the fields mean what `nano.cost`'s mean."""

    params: int
    params_with_statistics: int
    macs: int
    activations: int


def count_by_running(design: Design, size: tuple[int, int]) -> RunCount:
    """Build the design on the meta device, run one image of ``size`` and count operators.

    MACs are torch's own FLOP count of the convolutions, halved (one multiply-add is one MAC).

    Raises:
        DesignError: ``size`` (height, width) is not a multiple of the design's stride.
    """
    design.check_size(size)
    with torch.device("meta"):
        network = DepthNet(design).eval()
        image = torch.empty(1, 3, *size)
    elements = dict.fromkeys(SELU_OPERATORS, _elements)
    counter = FlopCounterMode(display=False, custom_mapping=elements)
    with torch.no_grad(), counter:
        network(image)
    counts = counter.get_flop_counts()["Global"]
    activations = sum(counts.pop(operator, 0) for operator in SELU_OPERATORS)
    params = sum(weight.numel() for weight in network.parameters())
    return RunCount(
        params=params,
        params_with_statistics=params + _statistics(network),
        macs=sum(counts.values()) // 2,
        activations=activations,
    )


def _elements(shape: torch.Size, *_: object, **__: object) -> int:
    return math.prod(shape)


def _statistics(network: nn.Module) -> int:
    """Numbers in batch norm's running means and variances."""
    return sum(
        2 * layer.num_features for layer in network.modules() if isinstance(layer, nn.BatchNorm2d)
    )
