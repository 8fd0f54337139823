"""A network as a value: widths of every module, nothing of trials, sizes or weights.

DepthNet Nano (Wang, Famouri, Wong 2020), sections 2-3 and Table 3: a densely connected encoder
of PBEP modules, 1x1 transitions, a bridge, and a decoder of upconv pairs that read the skips.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, TypeVar

from nano.errors import DesignError
from nano.files import canonical_json, short_hash

Width = TypeVar("Width")  # a number of channels, or a column of them

WIDEST = 65_536  # channels: far above any compact network, and counts stay within 64 bits


@dataclass(frozen=True, kw_only=True)
class Module:
    """One building block: what it projects to, expands to and adds.

    With ``squeeze`` and ``expand`` it is a PBEP (project, batch norm, expand, depthwise, project);
    without ``squeeze`` an EP (expand, depthwise, project); with neither a plain convolution.

    Attributes:
        squeeze: Channels p of the first projection, or None.
        expand: Channels E of the expansion and of the depthwise convolution, or None.
        width: Channels the module adds (growth).
        kernel: Side of the depthwise convolution's (or plain convolution's) window.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    squeeze: int | None = None
    expand: int | None = None
    width: int
    kernel: int = 3

    def __post_init__(self) -> None:
        for name, value in (
            ("squeeze", self.squeeze),
            ("expand", self.expand),
            ("width", self.width),
            ("kernel", self.kernel),
        ):
            if value is not None and not 1 <= value <= WIDEST:
                raise DesignError(
                    f"module {name} = {value}: channels and kernels lie in 1 to {WIDEST}"
                )
        if self.kernel % 2 == 0:
            raise DesignError(f"module kernel = {self.kernel}: only odd windows keep the size")
        if self.squeeze is not None and self.expand is None:
            raise DesignError(f"module squeeze = {self.squeeze} without expand: a PBEP needs both")

    @property
    def kind(self) -> str:
        """``PBEP``, ``EP`` or ``conv``."""
        if self.expand is None:
            return "conv"
        return "EP" if self.squeeze is None else "PBEP"


@dataclass(frozen=True, kw_only=True)
class Stem:
    """The first convolution, stride 2; a 2x2 pool follows it.

    Its maps before the pool are the skip of the last upconv, after the pool of the one before.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    width: int
    kernel: int = 7

    def __post_init__(self) -> None:
        if not 1 <= self.width <= WIDEST:
            raise DesignError(f"stem width = {self.width}: channels lie in 1 to {WIDEST}")
        if not 1 <= self.kernel <= WIDEST or self.kernel % 2 == 0:
            raise DesignError(f"stem kernel = {self.kernel}: only odd windows from 1 up")


@dataclass(frozen=True, kw_only=True)
class Stage:
    """Densely connected modules at one resolution, then a 1x1 convolution to ``transition``.

    Every stage but the last halves the resolution after it (average pool, then SELU); the last
    one's 1x1 convolution is the bridge to the decoder and keeps it.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    modules: tuple[Module, ...]
    transition: int

    def __post_init__(self) -> None:
        if not 1 <= self.transition <= WIDEST:
            raise DesignError(
                f"stage transition = {self.transition}: channels lie in 1 to {WIDEST}"
            )


@dataclass(frozen=True, kw_only=True)
class Upconv:
    """One decoder step: upsample by two, concatenate the skip, then modules a and b."""

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    a: Module
    b: Module


@dataclass(frozen=True, kw_only=True)
class Design:
    """A whole network: stem, stages (the last one ends in the bridge), one upconv per stage.

    The head is a 3x3 convolution to one channel at half the input's resolution.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    stem: Stem
    stages: tuple[Stage, ...]
    decoder: tuple[Upconv, ...]

    def __post_init__(self) -> None:
        if not self.stages:
            raise DesignError("a design needs at least one stage")
        if len(self.decoder) != len(self.stages):
            raise DesignError(
                f"{len(self.stages)} stages need as many upconvs, got {len(self.decoder)}"
            )

    @property
    def bridge(self) -> int:
        """Channels handed to the decoder: the last stage's 1x1 convolution."""
        return self.stages[-1].transition

    @property
    def stride(self) -> int:
        """Input pixels per pixel of the deepest maps; sizes must be multiples of it."""
        return 2 ** (len(self.stages) + 1)

    @property
    def output_stride(self) -> int:
        """Input pixels per pixel of the output, in each direction."""
        return 2

    @property
    def outputs(self) -> int:
        """Numbers that the head writes for a pixel."""
        return 1

    @property
    def skips(self) -> tuple[int, ...]:
        """Channels that each upconv reads beside the upsampled maps."""
        return skip_order(self.stem.width, [stage.transition for stage in self.stages])

    @cached_property
    def key(self) -> str:
        """Short hash of the canonical JSON: equal designs, equal key."""
        return short_hash(canonical_json(self))

    def check_size(self, size: tuple[int, int]) -> None:
        """Raise a DesignError unless ``size`` (height, width) divides by the stride."""
        height, width = size
        if height < 1 or width < 1 or height % self.stride or width % self.stride:
            near = [max(1, round(side / self.stride)) * self.stride for side in size]
            raise DesignError(
                f"size {height}x{width}: both sides must be multiples of {self.stride}"
                f" (the network halves {len(self.stages) + 1} times); nearest {near[0]}x{near[1]}"
            )


def skip_order(stem: Width, transitions: Sequence[Width]) -> tuple[Width, ...]:
    """Which widths the upconvs read as skips, given those of the stem and of every stage's end.

    Pooled transitions from deep to shallow, then the pooled stem, then the stem.
    """
    pooled = [stem, *transitions]
    return (*reversed(pooled[: len(transitions) - 1]), stem)
