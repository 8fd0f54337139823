"""FastDepth as a value: the widths of its layers, and nothing else is free.

Wofk et al. 2019, "FastDepth: Fast Monocular Depth Estimation on Embedded Systems", section III and
figure 2 (MobileNet-NNConv5, depthwise, skip-add): a MobileNet of 14 layers, and five decoder steps
of separable 5x5 convolutions, each followed by nearest upsampling; maps are added, so that those
of three pairs of layers have one width.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Literal, TypeAlias

from nano.design.design import WIDEST
from nano.errors import DesignError
from nano.files import canonical_json, short_hash

Widths: TypeAlias = tuple[int, ...]

# Strides of the encoder: the first convolution, then 13 separable ones (Howard et al. 2017).
STRIDES = (2, 1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1)
STEPS = 5  # of the decoder, each doubling the size
LAYERS = (*(f"conv{i}" for i in range(len(STRIDES))), *(f"up{i}" for i in range(1, STEPS + 1)))
# Widths: the encoder's 14, the decoder's 5.
FULL = (32, 64, 128, 128, 256, 256, *[512] * 6, 1024, 1024, 512, 256, 128, 64, 32)
# What NetAdapt made of them, as the published tuning logs give the shapes.
_PRUNED_ENCODER = (16, 56, 88, 120, 144, 256, 408, 376, 272, 288, 296, 328, 480, 512)
PRUNED = (*_PRUNED_ENCODER, 200, 256, 120, 56, 16)
# A quarter of the whole one's: for small images and two cores.
SMALL = tuple(width // 4 for width in FULL)
# Encoder layer whose maps are added to the decoder step's: these pairs have one width.
SKIPS = {1: 17, 3: 16, 5: 15}  # positions in the widths


def tied_widths() -> tuple[tuple[int, ...], ...]:
    """Positions of the widths that change together, in the order of the first of each."""
    late = set(SKIPS.values())
    alone = [position for position in range(len(LAYERS)) if position not in late]
    return tuple((p, SKIPS[p]) if p in SKIPS else (p,) for p in alone)


TIED = tied_widths()


@dataclass(frozen=True, kw_only=True)
class FastDepthDesign:
    """A FastDepth of any widths.

    Its JSON is that of the published network in the catalogue, so that one design.json serves both.

    Attributes:
        network: Tells its JSON from that of other designs.
        widths: Of `LAYERS`.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    network: Literal["fastdepth"] = "fastdepth"
    widths: Widths

    def __post_init__(self) -> None:
        check_widths(self.widths)

    @property
    def stride(self) -> int:
        """Input pixels per pixel of the deepest maps; sizes must be multiples of it."""
        return 2**STEPS

    @property
    def output_stride(self) -> int:
        """Input pixels per pixel of the output, in each direction."""
        return 1

    @property
    def outputs(self) -> int:
        """Numbers that the head writes for a pixel."""
        return 1

    @cached_property
    def key(self) -> str:
        """Short hash of the canonical JSON: equal designs, equal key."""
        return short_hash(canonical_json(self))

    def check_size(self, size: tuple[int, int]) -> None:
        """Raise a DesignError unless ``size`` (height, width) divides by the stride."""
        if all(side >= 1 and side % self.stride == 0 for side in size):
            return
        near = [max(1, round(side / self.stride)) * self.stride for side in size]
        raise DesignError(
            f"size {size[0]}x{size[1]}: both sides must be multiples of {self.stride}"
            f" (FastDepth halves {STEPS} times); nearest {near[0]}x{near[1]}"
        )


def check_widths(widths: Widths) -> None:
    """Raise a DesignError unless a network of these widths can exist."""
    if len(widths) != len(LAYERS):
        raise DesignError(f"fastdepth has {len(LAYERS)} widths, got {len(widths)}")
    for layer, width in zip(LAYERS, widths, strict=True):
        if not 1 <= width <= WIDEST:
            raise DesignError(f"fastdepth {layer} = {width}: channels lie in 1 to {WIDEST}")
    for early, late in SKIPS.items():
        if widths[early] != widths[late]:
            raise DesignError(
                f"fastdepth adds the maps of {LAYERS[early]} to those of {LAYERS[late]}:"
                f" both must be equally wide, got {widths[early]} and {widths[late]}"
            )
