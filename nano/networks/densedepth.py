"""DenseDepth: a DenseNet-169 and a plain decoder of pairs of 3x3 convolutions.

Alhashim and Wonka 2018, "High Quality Monocular Depth Estimation via Transfer Learning", section
3.1 and appendix A. No batch norm and no ReLU in the decoder: a leaky ReLU of slope 0.2 after the
second convolution of each pair is all.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from nano.errors import DesignError
from nano.networks.densenet import DenseNet169

SLOPE = 0.2  # of the leaky ReLU


class Up(nn.Module):
    """Bilinear upsampling by two, concatenation of the skip, two 3x3 convolutions, leaky ReLU.

    Pixels are areas (corners not aligned), as images are resized everywhere here; the paper does
    not say, and programs of it differ.
    """

    def __init__(self, inputs: int, skip: int, width: int) -> None:
        super().__init__()
        self.a = nn.Conv2d(inputs + skip, width, 3, padding=1)
        self.b = nn.Conv2d(width, width, 3, padding=1)

    def forward(
        self, maps: Float[Tensor, "B c h w"], skip: Float[Tensor, "B s H W"]
    ) -> Float[Tensor, "B d H W"]:
        """Maps at the skip's size, twice that of ``maps``."""
        larger = functional.interpolate(
            maps, scale_factor=2.0, mode="bilinear", align_corners=False
        )
        maps = self.b(self.a(torch.cat((larger, skip), dim=1)))
        return functional.leaky_relu(maps, SLOPE, inplace=True)


class DenseDepth(nn.Module):
    """The network; its output is linear, at half the image's size.

    Args:
        width: Maps that the decoder begins with; every step halves them. 1664 is the paper's
            table and its totals, 832 what the authors' program makes by default.

    Raises:
        DesignError: Too few to be halved four times.
    """

    def __init__(self, width: int = 1664) -> None:
        super().__init__()
        if width < 16:
            raise DesignError(f"densedepth: its decoder begins with 16 maps or more, got {width}")
        self.encoder = DenseNet169()
        *skips, deepest = self.encoder.widths
        self.bridge = nn.Conv2d(deepest, width, 1)
        for step, skip in enumerate(reversed(skips), start=1):
            self.add_module(f"up{step}", Up(width, skip, width // 2))
            width //= 2
        self.head = nn.Conv2d(width, 1, 3, padding=1)

    def forward(self, image: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B 1 H/2 W/2"]:
        """One number per pixel at half size; both sides of the image are multiples of 32."""
        *skips, maps = self.encoder(image)
        maps = self.bridge(maps)
        for step, skip in enumerate(reversed(skips), start=1):
            maps = self.get_submodule(f"up{step}")(maps, skip)
        output: Tensor = self.head(maps)
        return output
