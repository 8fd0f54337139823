"""What the number that a network's head writes means, and how to turn it into metres."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from nano.errors import DataError
from nano.networks.ordinal import DECISIONS, decode_ordinal, encode_ordinal

LOG_UNIT_M = 10.0  # a fresh network's output, near zero, then means a middling road distance
LOG_RANGE_M = (1e-3, 1e3)  # wider than any sensor; its ends are ordinary numbers even in bfloat16
INVERSE_RANGE_M = (1.0, 80.0)  # DenseDepth (Alhashim and Wonka 2018) on KITTI


@dataclass(frozen=True, kw_only=True)
class Target:
    """A pair of maps between metres and the head's output.

    Elementwise and differentiable where the output is one number a pixel; an ordinal head's many
    numbers are decisions, which encode to one label (`nano.networks.ordinal`). Both clamp to the
    target's range, so neither ever makes an infinity: a depth of 0, which marks an unknown pixel,
    encodes to a finite number that the caller's mask can drop. Outside the range the gradient is
    zero, so a loss that must call a stray output back compares encoded values.

    Attributes:
        name: Key in `TARGETS`.
        encode: Depth in metres to head output.
        decode: Head output to depth in metres, at least in float32.
        outputs: Numbers a pixel that ``decode`` reads.
    """

    name: str
    encode: Callable[[Tensor], Tensor]
    decode: Callable[[Tensor], Tensor]
    outputs: int = 1


def encode_log(depth_m: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """ln(d / 10 m)."""
    return (_at_least_float32(depth_m).clamp(*LOG_RANGE_M) / LOG_UNIT_M).log()


def decode_log(output: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """10 m exp(z)."""
    low, high = (math.log(bound / LOG_UNIT_M) for bound in LOG_RANGE_M)
    return _at_least_float32(output).clamp(low, high).exp() * LOG_UNIT_M


def encode_inverse(depth_m: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """80 m / d: 1 at 80 m, 80 at 1 m (DenseDepth, section 3.2, with KITTI's maximum)."""
    return INVERSE_RANGE_M[1] / _at_least_float32(depth_m).clamp(*INVERSE_RANGE_M)


def decode_inverse(output: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """80 m / z, z held to 1..80."""
    near, far = INVERSE_RANGE_M
    return far / _at_least_float32(output).clamp(1.0, far / near)


def encode_metres(depth_m: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """The depth itself, as FastDepth's authors train it."""
    return _at_least_float32(depth_m).clamp(*LOG_RANGE_M)


def decode_metres(output: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """The output itself."""
    return _at_least_float32(output).clamp(*LOG_RANGE_M)


def _at_least_float32(values: Tensor) -> Tensor:
    # Metres in bfloat16 would keep two digits, and delta1 would see it.
    return values.to(torch.promote_types(values.dtype, torch.float32))


TARGETS: dict[str, Target] = {
    target.name: target
    for target in (
        Target(name="log", encode=encode_log, decode=decode_log),
        Target(name="inverse", encode=encode_inverse, decode=decode_inverse),
        Target(name="metres", encode=encode_metres, decode=decode_metres),
        Target(name="ordinal", encode=encode_ordinal, decode=decode_ordinal, outputs=2 * DECISIONS),
    )
}


def target_for(outputs: int, name: str | None = None) -> Target:
    """The named target, or the usual one, of a network that writes ``outputs`` numbers a pixel.

    Raises:
        DataError: There is no such target, or it reads another number of outputs.
    """
    names = fitting(outputs)
    if name is not None and name not in names:
        raise DataError(
            f"target {name!r}: the network writes {outputs} numbers a pixel, which"
            f" {' or '.join(map(repr, names))} can mean"
        )
    return TARGETS[name or names[0]]


def fitting(outputs: int) -> list[str]:
    """Names of the targets that read ``outputs`` numbers a pixel, the usual one first."""
    return [target.name for target in TARGETS.values() if target.outputs == outputs]
