"""FastDepth: a MobileNet, and a decoder of separable 5x5 convolutions with additive skips.

Wofk et al. 2019, "FastDepth: Fast Monocular Depth Estimation on Embedded Systems", section III and
figure 2 (MobileNet-NNConv5, depthwise, skip-add). Its published form is pruned, so every width is
a parameter (`nano.design.fastdepth`).
"""

from __future__ import annotations

from itertools import pairwise

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from nano.design.fastdepth import FULL, SKIPS, STEPS, STRIDES, check_widths


class Separable(nn.Sequential):
    """A depthwise and a 1x1 convolution, each with batch norm and ReLU (the last may be linear)."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int, *, stride: int = 1, active: type[nn.Module]
    ) -> None:
        super().__init__(
            nn.Conv2d(inputs, inputs, kernel, stride, kernel // 2, groups=inputs, bias=False),
            nn.BatchNorm2d(inputs),
            active(),
            nn.Conv2d(inputs, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
            active(),
        )


class FastDepth(nn.Module):
    """The network; its output is linear (batch norm is its last layer), at the image's size.

    The paper ends in a ReLU, for its output is metres; what the number means is the training
    target's affair here.

    Args:
        widths: As `FULL`.

    Raises:
        DesignError: Maps to be added would have different widths.
    """

    def __init__(self, widths: tuple[int, ...] = FULL) -> None:
        super().__init__()
        check_widths(widths)
        encoder, decoder = widths[:-STEPS], widths[-STEPS:]
        self.conv0 = nn.Sequential(
            nn.Conv2d(3, encoder[0], 3, STRIDES[0], padding=1, bias=False),
            nn.BatchNorm2d(encoder[0]),
            nn.ReLU6(),
        )
        for layer, (inputs, outputs) in enumerate(pairwise(encoder), start=1):
            stride = STRIDES[layer]
            made = Separable(inputs, outputs, 3, stride=stride, active=nn.ReLU6)
            self.add_module(f"conv{layer}", made)
        for step, (inputs, outputs) in enumerate(pairwise((encoder[-1], *decoder)), start=1):
            self.add_module(f"up{step}", Separable(inputs, outputs, 5, active=nn.ReLU))
        self.head = nn.Sequential(nn.Conv2d(decoder[-1], 1, 1, bias=False), nn.BatchNorm2d(1))

    def forward(self, image: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B 1 H W"]:
        """One number per pixel; both sides of the image are multiples of 32."""
        maps = self.conv0(image)
        skips: dict[int, Tensor] = {}
        for layer in range(1, len(STRIDES)):
            maps = self.get_submodule(f"conv{layer}")(maps)
            if layer in SKIPS:
                skips[SKIPS[layer]] = maps
        for step in range(1, STEPS + 1):
            maps = self.get_submodule(f"up{step}")(maps)
            maps = functional.interpolate(maps, scale_factor=2.0, mode="nearest")
            position = len(STRIDES) + step - 1
            if position in skips:
                maps = maps + skips[position]
        output: Tensor = self.head(maps)
        return output
