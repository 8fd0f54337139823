"""DORN: depth as a row of ordinal decisions, from a dilated ResNet-101 and a scene module.

Fu et al. 2018, "Deep Ordinal Regression Network for Monocular Depth Estimation", section 3 and
figure 2; where they leave a choice open (ReLUs, dropout of single numbers by a half, before the
full connection and around the joint), as in the authors' published definition of the KITTI network.
How its numbers become depth, and what it minimises: `nano.networks.ordinal`.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from nano.networks.ordinal import DECISIONS
from nano.networks.resnet import DilatedResNet

STRIDE = 8  # input pixels per pixel of the scene module's maps
POOL = 16  # window of the full-image encoder's average pool
DILATIONS = (6, 12, 18)  # of the spatial pyramid
WIDTH = 512  # maps of each of the scene module's five branches
JOINT = 2048  # maps made of all of them


class FullImage(nn.Module):
    """What the whole image says, copied to every pixel: pool, fully connected, 1x1 (figure 3).

    The fully connected layer sees the pooled maps of one size of image, and no other fits.

    Args:
        inputs: Channels read.
        cells: Rows and columns of the pooled maps.
        width: Channels made.
    """

    def __init__(self, inputs: int, cells: tuple[int, int], width: int) -> None:
        super().__init__()
        self.drop = nn.Dropout()
        self.connect = nn.Linear(inputs * cells[0] * cells[1], width)
        self.conv = nn.Conv2d(width, width, 1)

    def forward(self, maps: Float[Tensor, "B c h w"]) -> Float[Tensor, "B d h w"]:
        """The same numbers at every pixel."""
        pooled = functional.avg_pool2d(maps, POOL, ceil_mode=True)
        whole = functional.relu(self.connect(self.drop(pooled.flatten(1))), inplace=True)
        whole = functional.relu(self.conv(whole[:, :, None, None]), inplace=True)
        return whole.expand(-1, -1, *maps.shape[-2:])


class Scene(nn.Module):
    """Full-image encoder, a 1x1 and three dilated 3x3 convolutions, joined by a 1x1 (figure 2)."""

    def __init__(self, inputs: int, cells: tuple[int, int], width: int, joint: int) -> None:
        super().__init__()
        self.full_image = FullImage(inputs, cells, width)
        self.point = _branch(nn.Conv2d(inputs, width, 1), width)
        self.pyramid = nn.ModuleList(
            _branch(nn.Conv2d(inputs, width, 3, padding=rate, dilation=rate), width)
            for rate in DILATIONS
        )
        self.drop = nn.Dropout()
        self.joint = nn.Conv2d((2 + len(DILATIONS)) * width, joint, 1)

    def forward(self, maps: Float[Tensor, "B c h w"]) -> Float[Tensor, "B d h w"]:
        """Maps of the same size."""
        branches = [self.full_image, self.point, *self.pyramid]
        joined = torch.cat([branch(maps) for branch in branches], dim=1)
        maps = functional.relu(self.joint(self.drop(joined)), inplace=True)
        return self.drop(maps)


class DORN(nn.Module):
    """The network; two numbers for every decision and pixel, at the image's size.

    Args:
        size: Height and width of its images, one above a multiple of 8: the fully connected layer
            fits no other.
        encoder: ResNet-101 unless a smaller one is given.
        width: Maps of each branch.
        joint: Maps made of all of them.
    """

    def __init__(
        self,
        size: tuple[int, int],
        *,
        encoder: DilatedResNet | None = None,
        width: int = WIDTH,
        joint: int = JOINT,
    ) -> None:
        super().__init__()
        self.encoder = encoder or DilatedResNet()
        cells = (_pooled(size[0]), _pooled(size[1]))
        self.scene = Scene(self.encoder.outputs, cells, width, joint)
        self.head = nn.Conv2d(joint, 2 * DECISIONS, 1)

    def forward(self, image: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B k H W"]:
        """Two numbers for each of `DECISIONS` decisions: see `nano.networks.ordinal`."""
        scores = self.head(self.scene(self.encoder(image)))
        # Sizes are one above a multiple of 8, so that corners lie on corners.
        return functional.interpolate(
            scores, size=image.shape[-2:], mode="bilinear", align_corners=True
        )


def _branch(first: nn.Conv2d, width: int) -> nn.Sequential:
    return nn.Sequential(
        first, nn.ReLU(inplace=True), nn.Conv2d(width, width, 1), nn.ReLU(inplace=True)
    )


def _pooled(side: int) -> int:
    """Cells along a side: the maps have ``side`` / 8 pixels, rounded up, and so has the pool."""
    return math.ceil(math.ceil(side / STRIDE) / POOL)
