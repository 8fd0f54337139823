"""Exact rewrites of a trained DepthNet: the same function with fewer operations.

Each rewrite takes a network in evaluation mode and gives back another; what it was given stays as
it is. The results differ by rounding alone. Parts that a rewrite does not know, and so the
published networks, stay as they are: the norms of those are folded by the exporter.
"""

from __future__ import annotations

import copy

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from nano.networks.blocks import EP, PBEP, Conv, ConvSelu, DenseStage, UpconvPair

_FIRST: dict[type[nn.Module], str] = {PBEP: "squeeze", EP: "expand", ConvSelu: "conv"}


def rewritten(network: nn.Module) -> nn.Module:
    """All rewrites, one after the other."""
    for rewrite in REWRITES:
        network = rewrite(network)
    return network


def fold_norms(network: nn.Module) -> nn.Module:
    """Batch norms become part of the projection before them.

    A trained norm is a scale and a shift of each channel, and the projection is linear.
    """
    network = copy.deepcopy(network)
    for part in network.modules():
        if isinstance(part, PBEP) and isinstance(part.norm, nn.BatchNorm2d):
            part.add_module("squeeze", fuse_conv_bn_eval(part.squeeze, part.norm))
            part.add_module("norm", nn.Identity())
    return network


def pool_first(network: nn.Module) -> nn.Module:
    """Transitions pool before their 1x1 convolution, see `PooledFirst`."""
    network = copy.deepcopy(network)
    for parent in list(network.modules()):
        for name, part in list(parent.named_children()):
            if isinstance(part, DenseStage) and part.pool:
                parent.add_module(name, PooledFirst(part))
    return network


def mix_low(network: nn.Module) -> nn.Module:
    """Upconvs that begin with a 1x1 convolution run it before they upsample, see `MixedLow`."""
    network = copy.deepcopy(network)
    for parent in list(network.modules()):
        for name, part in list(parent.named_children()):
            if isinstance(part, UpconvPair) and _first(part).kernel_size == (1, 1):
                parent.add_module(name, MixedLow(part))
    return network


REWRITES = (fold_norms, pool_first, mix_low)


class PooledFirst(nn.Module):
    """A `DenseStage` whose average pool stands before its 1x1 convolution.

    The convolution mixes channels, the pool mixes pixels, and both are linear: they commute, and
    the convolution then runs on a quarter of the pixels.
    """

    def __init__(self, stage: DenseStage) -> None:
        super().__init__()
        self.members = stage.members
        self.transition = stage.transition

    def forward(self, maps: Float[Tensor, "B c H W"]) -> Float[Tensor, "B t H/2 W/2"]:
        """The stage's maps after its transition."""
        for member in self.members:
            maps = torch.cat((maps, member(maps)), dim=1)
        return functional.selu(self.transition(functional.avg_pool2d(maps, 2)), inplace=True)


class MixedLow(nn.Module):
    """An `UpconvPair` whose first 1x1 convolution runs before the upsampling.

    A 1x1 convolution of a concatenation is the sum of one of each part; and it commutes with the
    upsampling, which mixes pixels only. So the part that reads the smaller maps runs on a quarter
    of the pixels, and the skip's part, which has the bias, is added after the upsampling.
    """

    def __init__(self, pair: UpconvPair) -> None:
        super().__init__()
        first = _first(pair)
        inputs = first.in_channels - pair.skip
        self.low = Conv(inputs, first.out_channels, bias=False)
        self.low.weight = nn.Parameter(first.weight[:, :inputs].detach().clone())
        self.skip = Conv(pair.skip, first.out_channels)
        self.skip.weight = nn.Parameter(first.weight[:, inputs:].detach().clone())
        self.skip.bias = first.bias
        self.a, self.b = pair.a, pair.b
        self.a.add_module(_FIRST[type(pair.a)], nn.Identity())

    def forward(
        self, maps: Float[Tensor, "B c h w"], skip: Float[Tensor, "B s H W"]
    ) -> Float[Tensor, "B d H W"]:
        """Maps at the skip's size, twice that of ``maps``."""
        mixed = functional.interpolate(
            self.low(maps), scale_factor=2.0, mode="bilinear", align_corners=False
        )
        refined: Tensor = self.b(self.a(mixed + self.skip(skip)))
        return refined


def _first(pair: UpconvPair) -> Conv:
    """The convolution that reads the concatenation."""
    found: Conv = getattr(pair.a, _FIRST[type(pair.a)])
    return found
