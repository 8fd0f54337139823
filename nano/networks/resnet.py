"""Residual encoders; He et al. 2016, table 1, and the dilated form of Yu and Koltun 2017.

Parts bear torchvision's names (``layer1.0.conv1`` ...), so that a user's ImageNet weights of that
library fit ResNet-18 as they are (`nano.networks.weights`). The dilated ResNet-101 begins otherwise
than torchvision's; its parts are named as the scene-parsing networks name theirs (``conv1`` to
``conv3``, ``bn1`` to ``bn3``).
"""

from __future__ import annotations

from itertools import pairwise

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

WIDTHS = (64, 128, 256, 512)  # of the four layers, as the 3x3 convolutions have them
STEM = 3  # convolutions in place of the 7x7, in the dilated form
BOTTLENECK = 4  # a bottleneck hands on four times as many


def conv(inputs: int, outputs: int, kernel: int, stride: int = 1, dilation: int = 1) -> nn.Conv2d:
    """A convolution without bias (a batch norm follows) that keeps the size, or halves it."""
    return nn.Conv2d(
        inputs,
        outputs,
        kernel,
        stride,
        padding=dilation * (kernel // 2),
        dilation=dilation,
        bias=False,
    )


def shortcut(inputs: int, outputs: int, stride: int) -> nn.Module:
    """The identity, or a 1x1 convolution where the shape changes (option B)."""
    if inputs == outputs and stride == 1:
        return nn.Identity()
    return nn.Sequential(conv(inputs, outputs, 1, stride), nn.BatchNorm2d(outputs))


class BasicBlock(nn.Module):
    """Two 3x3 convolutions around a shortcut: ResNet-18."""

    def __init__(self, inputs: int, width: int, *, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = conv(inputs, width, 3, stride)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = conv(width, width, 3)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = shortcut(inputs, width, stride)

    def forward(self, maps: Float[Tensor, "B c H W"]) -> Float[Tensor, "B d h w"]:
        """Maps at the same size, or at half with stride 2."""
        inner = functional.relu(self.bn1(self.conv1(maps)), inplace=True)
        inner = self.bn2(self.conv2(inner))
        return functional.relu(inner + self.downsample(maps), inplace=True)


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions around a shortcut: ResNet-101; stride on the 3x3."""

    def __init__(self, inputs: int, width: int, *, stride: int = 1, dilation: int = 1) -> None:
        super().__init__()
        outputs = BOTTLENECK * width
        self.conv1 = conv(inputs, width, 1)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = conv(width, width, 3, stride, dilation)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = conv(width, outputs, 1)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.downsample = shortcut(inputs, outputs, stride)

    def forward(self, maps: Float[Tensor, "B c H W"]) -> Float[Tensor, "B d h w"]:
        """Maps at the same size, or at half with stride 2."""
        inner = functional.relu(self.bn1(self.conv1(maps)), inplace=True)
        inner = functional.relu(self.bn2(self.conv2(inner)), inplace=True)
        inner = self.bn3(self.conv3(inner))
        return functional.relu(inner + self.downsample(maps), inplace=True)


class ResNet18(nn.Module):
    """The network without its classifier, handing out the maps that a decoder reads."""

    widths = (64, *WIDTHS)

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = conv(3, 64, 7, 2)
        self.bn1 = nn.BatchNorm2d(64)
        channels = 64
        for number, width in enumerate(WIDTHS, start=1):
            stride = 1 if number == 1 else 2
            first = BasicBlock(channels, width, stride=stride)
            self.add_module(f"layer{number}", nn.Sequential(first, BasicBlock(width, width)))
            channels = width

    def forward(self, image: Float[Tensor, "B 3 H W"]) -> tuple[Tensor, ...]:
        """Maps at 1/2 to 1/32 of the image's size: 64, 64, 128, 256 and 512."""
        found = [functional.relu(self.bn1(self.conv1(image)), inplace=True)]
        maps = functional.max_pool2d(found[0], 3, stride=2, padding=1)
        for number in range(1, len(WIDTHS) + 1):
            maps = self.get_submodule(f"layer{number}")(maps)
            found.append(maps)
        return tuple(found)


class DilatedResNet(nn.Module):
    """A ResNet of bottlenecks that stops at an eighth of the image's size.

    The last two layers dilate their windows by 2 and 4 instead of halving the size, and three 3x3
    convolutions stand for the 7x7 at the beginning: the form that scene-parsing networks (Zhao et
    al. 2017) brought into use.

    Args:
        depths: Bottlenecks of each layer; (3, 4, 23, 3) is ResNet-101.
        width: Of the first layer; every next one doubles it.
    """

    def __init__(self, depths: tuple[int, ...] = (3, 4, 23, 3), width: int = 64) -> None:
        super().__init__()
        stem = pairwise((3, width, width, 2 * width))
        for number, (inputs, outputs) in enumerate(stem, start=1):
            self.add_module(f"conv{number}", conv(inputs, outputs, 3, 2 if number == 1 else 1))
            self.add_module(f"bn{number}", nn.BatchNorm2d(outputs))
        channels = 2 * width
        layout = zip(depths, (1, 2, 1, 1), (1, 1, 2, 4), strict=True)
        for number, (depth, stride, dilation) in enumerate(layout, start=1):
            blocks: list[nn.Module] = []
            for block in range(depth):
                step = stride if block == 0 else 1
                blocks.append(Bottleneck(channels, width, stride=step, dilation=dilation))
                channels = BOTTLENECK * width
            self.add_module(f"layer{number}", nn.Sequential(*blocks))
            width *= 2
        self.outputs = channels
        self.layers = len(depths)

    def forward(self, image: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B c h w"]:
        """Maps at an eighth of the size, rounded up."""
        maps = image
        for number in range(1, STEM + 1):
            norm = self.get_submodule(f"bn{number}")
            maps = functional.relu(norm(self.get_submodule(f"conv{number}")(maps)), inplace=True)
        maps = functional.max_pool2d(maps, 3, stride=2, padding=1)
        for number in range(1, self.layers + 1):
            maps = self.get_submodule(f"layer{number}")(maps)
        return maps
