"""DepthNet: the network that a `Design` describes.

Image -> stem -> dense stages -> bridge -> one upconv per stage -> head, at half the image's
resolution. The same structure as the paper's Table 3, with every width taken from the design.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from nano.design.design import Design
from nano.networks.blocks import Conv, DenseStage, StemConv, UpconvPair

HEAD_KERNEL = 3  # the paper's Table 3, row conv3x3


class DepthNet(nn.Module):
    """A network that reads a normalised image and writes one number per pixel at half size.

    What the number means is the training target's affair (`nano.networks.target`).

    Args:
        design: Widths of every module.
        generator: Draws the weights, LeCun normal; biases start at zero. The global random
            generator is never touched. None leaves all weights at zero, for a network that is
            only counted or whose weights are about to be loaded.
    """

    def __init__(self, design: Design, *, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.design = design
        self.stem = StemConv(design.stem)
        self.stages = nn.ModuleList()
        channels = design.stem.width
        for position, stage in enumerate(design.stages, start=1):
            pool = position < len(design.stages)
            self.stages.append(DenseStage(stage, channels, pool=pool))
            channels = stage.transition
        self.decoder = nn.ModuleList()
        for upconv, skip in zip(design.decoder, design.skips, strict=True):
            self.decoder.append(UpconvPair(upconv, channels, skip))
            channels = upconv.b.width
        self.head = Conv(channels, 1, HEAD_KERNEL)
        if generator is not None:
            for layer in self.modules():
                if isinstance(layer, Conv):
                    layer.draw(generator)

    def forward(self, image: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B 1 H/2 W/2"]:
        """The head's raw output for images made by `nano.data.sample.network_input`.

        Both sides of the image must be multiples of ``design.stride``.
        """
        stem = self.stem(image)
        maps = functional.avg_pool2d(stem, 2)
        skips = [stem]
        for stage in self.stages:
            skips.append(maps)
            maps = stage(maps)
        # The last stage's own input is as small as the bridge: no upconv reads it.
        for upconv, skip in zip(self.decoder, reversed(skips[:-1]), strict=True):
            maps = upconv(maps, skip)
        output: Tensor = self.head(maps)
        return output


def build(design: Design, seed: int) -> DepthNet:
    """The network of ``design`` on the CPU with the LeCun normal start that ``seed`` fixes."""
    return DepthNet(design, generator=torch.Generator().manual_seed(seed))
