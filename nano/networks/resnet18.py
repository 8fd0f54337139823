"""ResNet-18 with a light decoder: the common baseline of self-supervised depth.

Godard et al. 2019, "Digging Into Self-Supervised Monocular Depth Estimation", section 4 and its
supplement, table 6: nearest-neighbour upsampling, reflection padding, ELUs, and a head at each of
four scales. The heads' sigmoid is left out: what the number means is the training target's affair
here. Only self-supervision needs the coarser three heads: they are there, count, and stay as they
start in a training of ours.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from nano.networks.resnet import ResNet18

DECODER = (256, 128, 64, 32, 16)  # maps of each step, deepest first
SCALES = 4  # outputs at 1, 1/2, 1/4 and 1/8 of the image's size


class Padded(nn.Module):
    """A 3x3 convolution of maps padded by reflection, which needs at least 2x2 pixels."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, padding=1, padding_mode="reflect")

    def forward(self, maps: Float[Tensor, "B c H W"]) -> Float[Tensor, "B d H W"]:
        """Maps at the same size."""
        output: Tensor = self.conv(maps)
        return output


class Up(nn.Module):
    """Convolution, upsampling by two, concatenation of the skip if there is one, convolution."""

    def __init__(self, inputs: int, skip: int, width: int) -> None:
        super().__init__()
        self.a = Padded(inputs, width)
        self.b = Padded(width + skip, width)

    def forward(
        self, maps: Float[Tensor, "B c h w"], skip: Tensor | None
    ) -> Float[Tensor, "B d H W"]:
        """Maps at twice the size, which is the skip's."""
        maps = functional.elu(self.a(maps), inplace=True)
        maps = functional.interpolate(maps, scale_factor=2.0, mode="nearest")
        if skip is not None:
            maps = torch.cat((maps, skip), dim=1)
        return functional.elu(self.b(maps), inplace=True)


class ResNet18Depth(nn.Module):
    """The network; its output is linear, at the image's size."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = ResNet18()
        *skips, channels = self.encoder.widths
        for step, (width, skip) in enumerate(zip(DECODER, (*skips[::-1], 0), strict=True), 1):
            self.add_module(f"up{step}", Up(channels, skip, width))
            channels = width
        for scale in range(SCALES):
            self.add_module(f"head{scale}", Padded(DECODER[-1 - scale], 1))

    def forward(self, image: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B 1 H W"]:
        """One number per pixel; both sides of the image are multiples of 32."""
        return self.pyramid(image)[0]

    def pyramid(self, image: Float[Tensor, "B 3 H W"]) -> tuple[Tensor, ...]:
        """The output at 1, 1/2, 1/4 and 1/8 of the image's size."""
        *skips, maps = self.encoder(image)
        steps = []
        for step, skip in enumerate([*skips[::-1], None], start=1):
            maps = self.get_submodule(f"up{step}")(maps, skip)
            steps.append(maps)
        return tuple(self.get_submodule(f"head{i}")(steps[-1 - i]) for i in range(SCALES))
