"""The parts a DepthNet is made of; DepthNet Nano (2020), section 3 and figure 2.

Three choices hold in every part. SELU is the only activation, and it works in place on the fresh
output of a convolution or a pool, which autograd allows because the derivative follows from the
result: that frees one of two copies of every expanded map during training. Projections are
linear. Batch norm stands in PBEP alone, where it gives the low-rank projection unit variance.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from nano.design.design import Module, Stage, Stem, Upconv


class Conv(nn.Conv2d):
    """A k x k convolution that keeps the size (or halves it, at stride 2); all weights zero.

    `draw` gives it a start. Torch's own start is left out, because it would draw from the global
    random generator.

    Args:
        inputs: Channels read.
        outputs: Channels made.
        kernel: Side of the window, odd.
        stride: 1, or 2 to halve the size.
        depthwise: One window per channel; needs ``outputs == inputs``.
        bias: Add a bias.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int = 1,
        *,
        stride: int = 1,
        depthwise: bool = False,
        bias: bool = True,
    ) -> None:
        groups = inputs if depthwise else 1
        super().__init__(
            inputs, outputs, kernel, stride, padding=kernel // 2, groups=groups, bias=bias
        )

    def reset_parameters(self) -> None:
        """Zeros; called by torch while it constructs the layer."""
        nn.init.zeros_(self.weight)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def draw(self, generator: torch.Generator) -> None:
        """LeCun normal weights, sd 1 / sqrt(fan in) with fan in = k^2 c / groups.

        The start under which SELU networks keep unit variance (Klambauer et al. 2017, section 3).
        """
        fan_in = self.weight[0].numel()
        nn.init.normal_(self.weight, std=fan_in**-0.5, generator=generator)


class PBEP(nn.Module):
    """Project, batch norm, expand, depthwise, project; SELU after the expansion and the depthwise.

    The first projection has no bias: batch norm would take it away again.
    """

    def __init__(self, inputs: int, *, squeeze: int, expand: int, width: int, kernel: int) -> None:
        super().__init__()
        self.squeeze = Conv(inputs, squeeze, bias=False)
        self.norm = nn.BatchNorm2d(squeeze)
        self.expand = Conv(squeeze, expand)
        self.depthwise = Conv(expand, expand, kernel, depthwise=True)
        self.project = Conv(expand, width)

    def forward(self, maps: Float[Tensor, "B c H W"]) -> Float[Tensor, "B g H W"]:
        """The maps that this module adds."""
        squeezed = self.norm(self.squeeze(maps))
        expanded = functional.selu(self.expand(squeezed), inplace=True)
        filtered = functional.selu(self.depthwise(expanded), inplace=True)
        added: Tensor = self.project(filtered)
        return added


class EP(nn.Module):
    """Expand, depthwise, project; SELU after the expansion and after the depthwise."""

    def __init__(self, inputs: int, *, expand: int, width: int, kernel: int) -> None:
        super().__init__()
        self.expand = Conv(inputs, expand)
        self.depthwise = Conv(expand, expand, kernel, depthwise=True)
        self.project = Conv(expand, width)

    def forward(self, maps: Float[Tensor, "B c H W"]) -> Float[Tensor, "B g H W"]:
        """The maps that this module adds."""
        expanded = functional.selu(self.expand(maps), inplace=True)
        filtered = functional.selu(self.depthwise(expanded), inplace=True)
        added: Tensor = self.project(filtered)
        return added


class ConvSelu(nn.Module):
    """One full convolution and a SELU, the module of kind ``conv``."""

    def __init__(self, inputs: int, *, width: int, kernel: int) -> None:
        super().__init__()
        self.conv = Conv(inputs, width, kernel)

    def forward(self, maps: Float[Tensor, "B c H W"]) -> Float[Tensor, "B g H W"]:
        """The maps that this module adds."""
        return functional.selu(self.conv(maps), inplace=True)


def build_module(module: Module, inputs: int) -> nn.Module:
    """The PBEP, EP or convolution that ``module`` describes, reading ``inputs`` channels."""
    width, kernel = module.width, module.kernel
    if module.expand is None:
        return ConvSelu(inputs, width=width, kernel=kernel)
    if module.squeeze is None:
        return EP(inputs, expand=module.expand, width=width, kernel=kernel)
    return PBEP(inputs, squeeze=module.squeeze, expand=module.expand, width=width, kernel=kernel)


class StemConv(nn.Module):
    """The first convolution, at stride 2, and a SELU. Its maps are a skip before any pool."""

    def __init__(self, stem: Stem) -> None:
        super().__init__()
        self.conv = Conv(3, stem.width, stem.kernel, stride=2)

    def forward(self, image: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B c H/2 W/2"]:
        """Maps at half the image's size."""
        return functional.selu(self.conv(image), inplace=True)


class DenseStage(nn.Module):
    """Densely connected modules, then a 1x1 convolution; halves the size unless it is the last.

    Every module reads the concatenation of the stage's input and all that came before it. The
    pool stands before the SELU: an average pool and a 1x1 convolution commute, so an exported
    network may pool first and save three quarters of the transition.

    Args:
        stage: Its modules and the channels after its 1x1 convolution.
        inputs: Channels of the stage's input.
        pool: Halve the size (a transition) or keep it (the bridge to the decoder).
    """

    def __init__(self, stage: Stage, inputs: int, *, pool: bool) -> None:
        super().__init__()
        self.members = nn.ModuleList()
        for module in stage.modules:
            self.members.append(build_module(module, inputs))
            inputs += module.width
        self.transition = Conv(inputs, stage.transition)
        self.pool = pool

    def forward(self, maps: Float[Tensor, "B c H W"]) -> Float[Tensor, "B t h w"]:
        """The stage's maps after its transition, at half the size or at the same."""
        for member in self.members:
            maps = torch.cat((maps, member(maps)), dim=1)
        maps = self.transition(maps)
        if self.pool:
            maps = functional.avg_pool2d(maps, 2)
        return functional.selu(maps, inplace=True)


class UpconvPair(nn.Module):
    """One decoder step: bilinear upsampling by two, concatenation of the skip, modules a and b."""

    def __init__(self, upconv: Upconv, inputs: int, skip: int) -> None:
        super().__init__()
        self.skip = skip
        self.a = build_module(upconv.a, inputs + skip)
        self.b = build_module(upconv.b, upconv.a.width)

    def forward(
        self, maps: Float[Tensor, "B c h w"], skip: Float[Tensor, "B s H W"]
    ) -> Float[Tensor, "B d H W"]:
        """Maps at the skip's size, twice that of ``maps``."""
        larger = functional.interpolate(
            maps, scale_factor=2.0, mode="bilinear", align_corners=False
        )
        refined: Tensor = self.b(self.a(torch.cat((larger, skip), dim=1)))
        return refined
