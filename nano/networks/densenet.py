"""DenseNet-169, the encoder of DenseDepth; Huang et al. 2017, table 1.

Parts bear torchvision's names (``denseblock1.denselayer1.norm1`` ...), so that a user's ImageNet
weights of that library fit, in the published file's spelling too (`nano.networks.weights`).
"""

from __future__ import annotations

from collections import OrderedDict

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

BLOCKS = (6, 12, 32, 32)  # layers of each dense block
GROWTH = 32  # maps that every layer adds
BOTTLENECK = 4  # its 1x1 convolution makes 4 * GROWTH maps
STEM = 64


class DenseLayer(nn.Module):
    """BN-ReLU-conv1x1, BN-ReLU-conv3x3, concatenated to what it read (section 3, DenseNet-B)."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        middle = BOTTLENECK * GROWTH
        self.norm1 = nn.BatchNorm2d(inputs)
        self.conv1 = nn.Conv2d(inputs, middle, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(middle)
        self.conv2 = nn.Conv2d(middle, GROWTH, 3, padding=1, bias=False)

    def forward(self, maps: Float[Tensor, "B c H W"]) -> Float[Tensor, "B d H W"]:
        """The maps read and, behind them, those added."""
        middle = self.conv1(functional.relu(self.norm1(maps), inplace=True))
        added = self.conv2(functional.relu(self.norm2(middle), inplace=True))
        return torch.cat((maps, added), dim=1)


class Transition(nn.Module):
    """BN-ReLU-conv1x1 to half the maps, then a 2x2 average pool (DenseNet-C)."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(inputs)
        self.conv = nn.Conv2d(inputs, inputs // 2, 1, bias=False)

    def forward(self, maps: Float[Tensor, "B c H W"]) -> Float[Tensor, "B d h w"]:
        """Half the maps at half the size."""
        maps = self.conv(functional.relu(self.norm(maps), inplace=True))
        return functional.avg_pool2d(maps, 2)


class DenseNet169(nn.Module):
    """The network without its classifier, handing out the maps that a decoder reads.

    Attributes:
        widths: Channels of what `forward` returns, in that order.
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv0 = nn.Conv2d(3, STEM, 7, stride=2, padding=3, bias=False)
        self.norm0 = nn.BatchNorm2d(STEM)
        channels = STEM
        widths = [STEM, STEM]
        for number, depth in enumerate(BLOCKS, start=1):
            layers: OrderedDict[str, nn.Module] = OrderedDict(
                (f"denselayer{i + 1}", DenseLayer(channels + i * GROWTH)) for i in range(depth)
            )
            self.add_module(f"denseblock{number}", nn.Sequential(layers))
            channels += depth * GROWTH
            if number < len(BLOCKS):
                self.add_module(f"transition{number}", Transition(channels))
                channels //= 2
                widths.append(channels)
        self.norm5 = nn.BatchNorm2d(channels)
        # What the last transition makes is as small as the end of the encoder: no decoder reads it.
        self.widths = (*widths[:-1], channels)

    def forward(self, image: Float[Tensor, "B 3 H W"]) -> tuple[Tensor, ...]:
        """Maps at 1/2, 1/4, 1/8, 1/16 and 1/32 of the image's size: 64, 64, 128, 256, 1664."""
        maps = functional.relu(self.norm0(self.conv0(image)), inplace=True)
        found = [maps]
        maps = functional.max_pool2d(maps, 3, stride=2, padding=1)
        for number in range(1, len(BLOCKS) + 1):
            found.append(maps)
            maps = self.get_submodule(f"denseblock{number}")(maps)
            if number < len(BLOCKS):
                maps = self.get_submodule(f"transition{number}")(maps)
        return (*found[: len(BLOCKS)], functional.relu(self.norm5(maps), inplace=True))
