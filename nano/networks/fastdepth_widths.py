"""Widths of FastDepth's layers: the whole network's, the pruned one's, and which must be equal."""

from __future__ import annotations

from nano.errors import DesignError

# Strides of the encoder: the first convolution, then 13 separable ones (Howard et al. 2017).
STRIDES = (2, 1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1)
STEPS = 5  # of the decoder, each doubling the size
# Widths: the encoder's 14, the decoder's 5.
FULL = (32, 64, 128, 128, 256, 256, *[512] * 6, 1024, 1024, 512, 256, 128, 64, 32)
# What NetAdapt made of them, as the published tuning logs give the shapes.
_PRUNED_ENCODER = (16, 56, 88, 120, 144, 256, 408, 376, 272, 288, 296, 328, 480, 512)
PRUNED = (*_PRUNED_ENCODER, 200, 256, 120, 56, 16)
# Encoder layer whose maps are added to the decoder step's: these pairs have one width.
SKIPS = {1: 17, 3: 16, 5: 15}  # positions in the widths


def check_widths(widths: tuple[int, ...]) -> None:
    """Raise a DesignError unless a network of these widths can exist."""
    if len(widths) != len(FULL):
        raise DesignError(f"fastdepth has {len(FULL)} widths, got {len(widths)}")
    for early, late in SKIPS.items():
        if widths[early] != widths[late]:
            raise DesignError(
                f"fastdepth adds maps of width {early + 1} to those of width {late + 1}:"
                f" both must be equal, got {widths[early]} and {widths[late]}"
            )


def tied_widths() -> tuple[tuple[int, ...], ...]:
    """Positions of the widths that change together, in the order of the first of each."""
    late = set(SKIPS.values())
    alone = [position for position in range(len(FULL)) if position not in late]
    return tuple((p, SKIPS[p]) if p in SKIPS else (p,) for p in alone)


def macs_of(widths: tuple[int, ...], size: tuple[int, int]) -> int:
    """Multiply-adds of one image of a size, by formula: what running the network counts.

    A separable layer from c to g maps costs (k^2 c + c g) a pixel of its output.
    """
    pixels, inputs, macs = size[0] * size[1], 3, 0
    for position, width in enumerate(widths):
        if position < len(STRIDES):
            pixels //= STRIDES[position] ** 2
            kernel = 3
        else:
            pixels *= 4 if position > len(STRIDES) else 1  # every step but the first is larger
            kernel = 5
        taps = kernel**2 * inputs
        macs += pixels * (taps * width if position == 0 else taps + inputs * width)
        inputs = width
    return macs + 4 * pixels * inputs  # the head reads the last step's maps at twice its size
