"""The cost of a network found by running it, without memory: the judge of `nano.cost`."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from nano.networks.catalog import Architecture, Baseline
from nano.networks.start import skeleton

# What torch runs for SELUs (elu), ELUs, ReLUs, ReLU6 (hardtanh), leaky ReLUs and sigmoids.
ACTIVATIONS = tuple(
    getattr(torch.ops.aten, name)
    for kind in ("elu", "relu", "hardtanh", "leaky_relu", "sigmoid")
    for name in (kind, f"{kind}_")
)


@dataclass(frozen=True, kw_only=True)
class RunCount:
    """What torch saw in one forward pass of batch 1; the fields mean what `nano.cost`'s mean.

    ``activations`` are evaluations of any nonlinearity: SELUs in a design of the house, ReLUs and
    others in a baseline.
    """

    params: int
    params_with_statistics: int
    macs: int
    activations: int


@dataclass(frozen=True, kw_only=True)
class PartCount:
    """The share of one part of a network, one of the modules that it is made of.

    Attributes:
        name: As the network calls it, e.g. ``encoder``.
        output: Channels, height and width of what it hands on (of the last of several maps).
        count: Its share; the shares add up to the network's.
    """

    name: str
    output: tuple[int, ...]
    count: RunCount


def count_by_running(architecture: Architecture, size: tuple[int, int]) -> RunCount:
    """Build the network on the meta device, run one image of ``size`` and count operators.

    MACs are torch's own FLOP count of convolutions and fully connected layers, halved (one
    multiply-add is one MAC).

    Raises:
        DesignError: The network does not take images of ``size`` (height, width).
    """
    network = skeleton(architecture, size)
    return _count(network, _run(network, size)["Global"])


def count_parts(baseline: Baseline, size: tuple[int, int]) -> tuple[PartCount, ...]:
    """`count_by_running` of each part, in the network's order; designs have `nano.cost` for that.

    Raises:
        DesignError: The network does not take images of ``size`` (height, width).
    """
    network = skeleton(baseline, size)
    outputs: dict[str, tuple[int, ...]] = {}
    with _watched(network, outputs):
        counts = _run(network, size)
    root = type(network).__name__
    return tuple(
        PartCount(name=name, output=outputs[name], count=_count(part, counts[f"{root}.{name}"]))
        for name, part in network.named_children()
    )


def _run(network: nn.Module, size: tuple[int, int]) -> dict[str, dict[Any, int]]:
    """Operators by module: twice the MACs of convolutions, elements of nonlinearities."""
    image = torch.empty(1, 3, *size, device="meta")
    elements = dict.fromkeys(ACTIVATIONS, _elements)
    counter = FlopCounterMode(display=False, custom_mapping=elements)
    with torch.no_grad(), counter:
        network.eval()(image)
    return counter.get_flop_counts()


def _count(part: nn.Module, operators: Mapping[Any, int]) -> RunCount:
    params = sum(weight.numel() for weight in part.parameters())
    activations = sum(operators.get(operator, 0) for operator in ACTIVATIONS)
    return RunCount(
        params=params,
        params_with_statistics=params + _statistics(part),
        macs=(sum(operators.values()) - activations) // 2,
        activations=activations,
    )


@contextmanager
def _watched(network: nn.Module, outputs: dict[str, tuple[int, ...]]) -> Iterator[None]:
    """Note the shape that each part hands on."""

    def note(name: str, output: Tensor | tuple[Tensor, ...]) -> None:
        last = output if isinstance(output, Tensor) else output[-1]
        outputs[name] = tuple(last.shape[1:])

    hooks = [
        part.register_forward_hook(lambda _, __, output, name=name: note(name, output))
        for name, part in network.named_children()
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _elements(shape: torch.Size, *_: object, **__: object) -> int:
    return math.prod(shape)


def _statistics(network: nn.Module) -> int:
    """Numbers in batch norm's running means and variances."""
    return sum(
        2 * layer.num_features for layer in network.modules() if isinstance(layer, nn.BatchNorm2d)
    )
