"""A network from its value: without memory, without weights, or at the start that a seed fixes."""

from __future__ import annotations

import torch
from torch import nn

from nano.design.design import Design
from nano.networks.catalog import Architecture
from nano.networks.depthnet import DepthNet, build

_CONVOLUTIONS = (nn.Conv2d, nn.Conv3d, nn.Linear)
_NORMS = (nn.BatchNorm2d, nn.GroupNorm)


def skeleton(architecture: Architecture, size: tuple[int, int]) -> nn.Module:
    """The network on the meta device: shapes, but no numbers.

    Args:
        architecture: What to build.
        size: Height and width of the images; a fully connected layer's width may depend on it.

    Raises:
        DesignError: The network does not take images of ``size``.
    """
    architecture.check_size(size)
    with torch.device("meta"):
        if isinstance(architecture, Design):
            return DepthNet(architecture)
        return architecture.build(architecture.widths, size)


def started(architecture: Architecture, size: tuple[int, int], seed: int) -> nn.Module:
    """The network on the CPU at the start that ``seed`` fixes.

    A `DepthNet` starts LeCun normal (`nano.networks.depthnet.build`). Baselines, whose layers are
    followed by ReLUs and their kin, start He normal: sd sqrt(2 / fan in), biases zero (He et al.
    2015, section 2.2). The papers start most encoders from ImageNet instead, see
    `nano.networks.weights`. The global random generator is never touched.
    """
    if isinstance(architecture, Design):
        architecture.check_size(size)
        return build(architecture, seed)
    network = empty(architecture, size)
    generator = torch.Generator().manual_seed(seed)
    for part in network.modules():
        if isinstance(part, _CONVOLUTIONS):
            fan_in = part.weight[0].numel()
            nn.init.normal_(part.weight, std=(2 / fan_in) ** 0.5, generator=generator)
    return network


def empty(architecture: Architecture, size: tuple[int, int]) -> nn.Module:
    """The network on the CPU before any draw: kernels and biases zero, norms at their identity."""
    if isinstance(architecture, Design):
        architecture.check_size(size)
        return DepthNet(architecture)
    network = skeleton(architecture, size).to_empty(device="cpu")
    with torch.no_grad():
        for part in network.modules():
            if isinstance(part, _NORMS):
                part.reset_parameters()
            else:
                for weight in part.parameters(recurse=False):
                    weight.zero_()
    return network
