"""PackNet01: a symmetric network whose size changes are learned, nothing pooled or interpolated.

Guizilini et al. 2020, "3D Packing for Self-Supervised Monocular Depth Estimation", section 4 and
table 1, in its variant with concatenated skips. Packing folds 2x2 pixels into channels, lets a 3D
convolution see them as a volume, and compresses; unpacking is the reverse.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

STEM = 64
WIDTHS = (64, 64, 128, 256, 512)  # of the five stages
DEPTHS = (2, 2, 3, 3)  # residual convolutions of stages 2 to 5; the first stage is a 7x7
PACKING_KERNELS = (5, 3, 3, 3, 3)
VOLUME = 8  # maps that the 3D convolution makes of one
GROUPS = 16  # of group norm
SCALES = 4  # outputs at 1, 1/2, 1/4 and 1/8 of the image's size
NEAREST_M = 0.5  # inverse depth at the end of the sigmoid's range is 1 / 0.5 m


class ConvNorm(nn.Module):
    """A convolution that keeps the size, group norm and ELU."""

    def __init__(self, inputs: int, outputs: int, kernel: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2)
        self.norm = nn.GroupNorm(GROUPS, outputs)

    def forward(self, maps: Float[Tensor, "B c H W"]) -> Float[Tensor, "B d H W"]:
        """Maps at the same size."""
        return functional.elu(self.norm(self.conv(maps)), inplace=True)


class Residual(nn.Module):
    """Two 3x3 convolutions beside a 1x1, summed, normalised, ELU."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv1 = ConvNorm(inputs, outputs, 3)
        self.conv2 = ConvNorm(outputs, outputs, 3)
        self.shortcut = nn.Conv2d(inputs, outputs, 1)
        self.norm = nn.GroupNorm(GROUPS, outputs)

    def forward(self, maps: Float[Tensor, "B c H W"]) -> Float[Tensor, "B d H W"]:
        """Maps at the same size."""
        inner = self.conv2(self.conv1(maps))
        return functional.elu(self.norm(inner + self.shortcut(maps)), inplace=True)


class Packing(nn.Module):
    """Space to depth, a 3D convolution over the folded channels, compression: half the size."""

    def __init__(self, width: int, kernel: int) -> None:
        super().__init__()
        self.volume = nn.Conv3d(1, VOLUME, 3, padding=1)
        self.compress = ConvNorm(4 * VOLUME * width, width, kernel)

    def forward(self, maps: Float[Tensor, "B c H W"]) -> Float[Tensor, "B c h w"]:
        """As many maps at half the size."""
        folded = functional.pixel_unshuffle(maps, 2)
        volume = self.volume(folded.unsqueeze(1)).flatten(1, 2)
        output: Tensor = self.compress(volume)
        return output


class Unpacking(nn.Module):
    """A convolution, a 3D convolution that multiplies the channels, depth to space: twice the size.

    The convolution makes 4 / VOLUME of the channels that come out, the 3D convolution the rest.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.prepare = ConvNorm(inputs, 4 * outputs // VOLUME, 3)
        self.volume = nn.Conv3d(1, VOLUME, 3, padding=1)

    def forward(self, maps: Float[Tensor, "B c h w"]) -> Float[Tensor, "B d H W"]:
        """Maps at twice the size."""
        volume = self.volume(self.prepare(maps).unsqueeze(1)).flatten(1, 2)
        return functional.pixel_shuffle(volume, 2)


class Stage(nn.Module):
    """One stage of the encoder: its convolutions, and the packing that ends it."""

    def __init__(self, convolutions: nn.Module, width: int, kernel: int) -> None:
        super().__init__()
        self.convolutions = convolutions
        self.packing = Packing(width, kernel)

    def forward(self, maps: Float[Tensor, "B c H W"]) -> Float[Tensor, "B d h w"]:
        """The stage's maps at half the size."""
        output: Tensor = self.packing(self.convolutions(maps))
        return output


class Up(nn.Module):
    """One step of the decoder: unpacking, concatenation of skip and coarser output, 3x3."""

    def __init__(self, inputs: int, skip: int, width: int, *, reads_output: bool) -> None:
        super().__init__()
        self.unpacking = Unpacking(inputs, width)
        self.fuse = ConvNorm(width + skip + (1 if reads_output else 0), width, 3)

    def forward(
        self, maps: Float[Tensor, "B c h w"], skip: Float[Tensor, "B s H W"], coarser: Tensor | None
    ) -> Float[Tensor, "B d H W"]:
        """Maps at the skip's size, twice that of ``maps`` and of the ``coarser`` output."""
        beside = [self.unpacking(maps), skip]
        if coarser is not None:
            inverse_depth = coarser.sigmoid() / NEAREST_M
            beside.append(functional.interpolate(inverse_depth, scale_factor=2.0, mode="nearest"))
        output: Tensor = self.fuse(torch.cat(beside, dim=1))
        return output


class PackNet01(nn.Module):
    """The network; its output is the sigmoid's argument, at the image's size.

    The inverse depth (sigmoid / 0.5 m) of every coarser scale, upsampled, is read by the next step
    as in the paper; of the finest one the linear form is handed out, because what the number means
    is the training target's affair here.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem = ConvNorm(3, STEM, 5)
        inner = [ConvNorm(STEM, WIDTHS[0], 7), *map(_residuals, WIDTHS, WIDTHS[1:], DEPTHS)]
        for number, (convolutions, width) in enumerate(zip(inner, WIDTHS, strict=True), start=1):
            stage = Stage(convolutions, width, PACKING_KERNELS[number - 1])
            self.add_module(f"stage{number}", stage)
        channels, skips = WIDTHS[-1], (STEM, *WIDTHS[:-1])
        for number in range(len(WIDTHS), 0, -1):
            width = WIDTHS[number - 1]
            # Three steps read an output that is coarser than their own.
            up = Up(channels, skips[number - 1], width, reads_output=number < SCALES)
            self.add_module(f"up{number}", up)
            channels = width
            if number <= SCALES:
                self.add_module(f"head{number}", nn.Conv2d(width, 1, 3, padding=1))

    def forward(self, image: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B 1 H W"]:
        """One number per pixel; both sides of the image are multiples of 32."""
        return self.pyramid(image)[0]

    def pyramid(self, image: Float[Tensor, "B 3 H W"]) -> tuple[Tensor, ...]:
        """The output at 1, 1/2, 1/4 and 1/8 of the image's size."""
        maps = self.stem(image)
        skips = []
        for number in range(1, len(WIDTHS) + 1):
            skips.append(maps)
            maps = self.get_submodule(f"stage{number}")(maps)
        outputs: list[Tensor] = []
        for number in range(len(WIDTHS), 0, -1):
            coarser = outputs[-1] if outputs else None
            maps = self.get_submodule(f"up{number}")(maps, skips[number - 1], coarser)
            if number <= SCALES:
                outputs.append(self.get_submodule(f"head{number}")(maps))
        return tuple(reversed(outputs))


def _residuals(inputs: int, outputs: int, depth: int) -> nn.Sequential:
    return nn.Sequential(
        *(Residual(inputs if position == 0 else outputs, outputs) for position in range(depth))
    )
