"""What is drawn for a batch, and how the training's own device changes images and depth by it."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations

import numpy as np
import torch
from jaxtyping import Float, Float16, UInt8
from numpy.typing import NDArray
from torch import Tensor

Jitter = tuple[float, float, float, float]  # largest change: brightness, contrast, saturation, hue

ORDERS = np.array(list(permutations(range(3))))  # of the colour channels, the unchanged one first

# Luma and the two axes of colour, NTSC's YIQ: saturation scales the axes, hue turns them.
_YIQ = torch.tensor([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])


@dataclass(frozen=True, kw_only=True)
class Draw:
    """What chance chose for the images of one batch.

    Attributes:
        indices: int64, B, of the images in their split.
        flips: bool, B, whether mirrored.
        channels: int64, B x 3, which channel of the image each one becomes.
        colours: float32, B x 4, factors of brightness, contrast and saturation, and the turn of the
            hue as a share of the whole circle; 1, 1, 1, 0 changes nothing.
    """

    indices: NDArray[np.int64]
    flips: NDArray[np.bool_]
    channels: NDArray[np.int64]
    colours: NDArray[np.float32]

    def part(self, place: int, parts: int) -> Draw:
        """One of so many equal parts of the batch."""
        size = len(self.indices) // parts
        here = slice(place * size, (place + 1) * size)
        return Draw(
            indices=self.indices[here],
            flips=self.flips[here],
            channels=self.channels[here],
            colours=self.colours[here],
        )


def draw_colours(
    random: np.random.Generator, count: int, permute: float, jitter: Jitter
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Channels and colours of ``count`` images, as in `Draw`.

    Args:
        random: Where chance comes from.
        count: Number of images.
        permute: Probability that the channels change places; the five ways are equally likely.
        jitter: Largest changes, drawn evenly up to them in both directions.
    """
    changed = random.random(count) < permute
    which = random.integers(1, len(ORDERS), count)
    largest = np.array(jitter, np.float32)
    colours = random.uniform(-1, 1, (count, 4)).astype(np.float32) * largest + (1, 1, 1, 0)
    return ORDERS[np.where(changed, which, 0)], colours.astype(np.float32)


def augment(
    images: UInt8[Tensor, "B 3 H W"], depth: Float16[Tensor, "B H W"], draw: Draw
) -> tuple[Tensor, Float16[Tensor, "B H W"]]:
    """The batch as drawn, on the device that it is on; images 0-255, float32 where jittered.

    Mirrors and channels are changed in place, in the images concerned only. Depth is mirrored as
    16-bit integers, one image at a time, which on a processor is several times as fast as float16
    by a list of places (docs/log.md).
    """
    for place in np.flatnonzero(draw.flips).tolist():
        for maps in (images, depth.view(torch.int16)):
            maps[place] = maps[place].flip(-1)
    changed = (draw.channels != ORDERS[0]).any(axis=1)
    permuted = _places(changed, images)
    if len(permuted):
        channels = torch.from_numpy(draw.channels[changed]).to(images.device)
        images[permuted] = images[permuted[:, None], channels]
    if (draw.colours == (1, 1, 1, 0)).all():
        return images, depth
    return jittered(images, torch.from_numpy(draw.colours).to(images.device)), depth


def jittered(
    images: UInt8[Tensor, "B 3 H W"], colours: Float[Tensor, "B 4"]
) -> Float[Tensor, "B 3 H W"]:
    """Images 0-255 with other brightness, contrast, saturation and hue, as one affine map a pixel.

    Brightness scales, contrast scales about the image's mean luma, saturation scales the two axes
    of colour and hue turns them, which leaves luma as it is; what leaves 0-255 is cut off at the
    end.
    """
    brightness, contrast, saturation, hue = colours.T
    turn = 2 * torch.pi * hue
    inner = torch.zeros(len(images), 3, 3, device=images.device)
    inner[:, 0, 0] = 1
    inner[:, 1, 1] = inner[:, 2, 2] = saturation * turn.cos()
    inner[:, 2, 1] = saturation * turn.sin()
    inner[:, 1, 2] = -inner[:, 2, 1]
    yiq = _YIQ.to(images.device)
    scale = (brightness * contrast)[:, None, None]
    matrix = scale * (torch.linalg.inv(yiq) @ inner @ yiq)
    pixels = images.float()
    luma = torch.einsum("c,bchw->b", yiq[0], pixels) / (images.shape[2] * images.shape[3])
    offset = (1 - contrast) * brightness * luma
    changed = torch.einsum("bdc,bchw->bdhw", matrix, pixels) + offset[:, None, None, None]
    return changed.clamp_(0, 255)


def _places(chosen: NDArray[np.bool_], like: Tensor) -> Tensor:
    """Numbers of the images chosen, on the device: indexing by them waits for nothing."""
    return torch.from_numpy(np.flatnonzero(chosen)).to(like.device, non_blocking=True)
