"""The closed form: what one design costs, in microseconds, and a population at once.

One multiply-add of a convolution is one MAC; batch norm, SELU, pooling, upsampling and biases cost
none. The same numbers come from the walk over layers (`nano.cost.layers`) and from running the
network (`nano.networks.count`); tests hold all of them equal.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, ClassVar

from nano.cost.fastdepth import fastdepth_layers, fastdepth_sums
from nano.cost.layers import Layer, walk
from nano.design.design import Module
from nano.design.fastdepth import FastDepthDesign
from nano.design.kinds import AnyDesign

if TYPE_CHECKING:
    from nano.design.design import Stage, Upconv


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What one forward pass of batch 1 costs at a size.

    Attributes:
        params: Trainable parameters.
        params_with_statistics: The same plus batch norm's running mean and variance.
        macs: Multiply-adds of convolutions.
        activations: Evaluations of the nonlinearity (SELU or ReLU); latency depends on them as
            much as on MACs.
        bytes: float32 bytes read and written by every operation run one after the other, weights
            included: the traffic of an engine that fuses nothing.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    params: int
    params_with_statistics: int
    macs: int
    activations: int
    bytes: int

    def values(self) -> dict[str, int]:
        """The numbers by name, e.g. for requirements."""
        return {f.name: getattr(self, f.name) for f in fields(self)}


@dataclass(frozen=True, kw_only=True)
class ModuleCost:
    """The share of one module (``2.7``, ``up 1A``) or part (``stem``, ``transition 1``).

    Attributes:
        part: ``stem``, ``stage 2``, ``transition 1``, ``bridge``, ``up 3`` or ``head``; of a
            FastDepth ``conv0``, ``up3`` or ``head``.
        unit: The module within the part, ``""`` for the part's own operations.
        width: Channels it hands on (a module of a stage: what it adds).
        size: Height and width of what it hands on.
        cost: Its share; the shares add up to the design's cost.
    """

    part: str
    unit: str
    width: int
    size: tuple[int, int]
    cost: Cost


def count_by_module(design: AnyDesign, size: tuple[int, int]) -> tuple[ModuleCost, ...]:
    """Cost of every module and part, in the order of the network.

    Raises:
        DesignError: If ``size`` (height, width) does not divide by the design's stride.
    """
    groups: dict[tuple[str, str], list[Layer]] = {}
    for layer in operations(design, size):
        groups.setdefault((layer.part, layer.unit), []).append(layer)
    return tuple(_share(part, unit, layers) for (part, unit), layers in groups.items())


def operations(design: AnyDesign, size: tuple[int, int]) -> Iterator[Layer]:
    """The walk over a design of any family: every operation of a forward pass, in order.

    Raises:
        DesignError: If ``size`` (height, width) does not divide by the design's stride.
    """
    if isinstance(design, FastDepthDesign):
        return fastdepth_layers(design, size)
    return walk(design, size)


def _share(part: str, unit: str, layers: list[Layer]) -> ModuleCost:
    # A module of a stage ends in the concatenation that follows it; what it adds is its last conv.
    handed = [layer for layer in layers if layer.operation != "concat"][-1]
    return ModuleCost(
        part=part, unit=unit, width=handed.channels, size=handed.size, cost=total(layers)
    )


def total(layers: Iterable[Layer]) -> Cost:
    """The sum over layers."""
    params = statistics = macs = activations = moved = 0
    for layer in layers:
        params += layer.params
        statistics += layer.statistics
        macs += layer.macs
        activations += layer.activations
        moved += layer.bytes
    return Cost(
        params=params,
        params_with_statistics=params + statistics,
        macs=macs,
        activations=activations,
        bytes=moved,
    )


def count(design: AnyDesign, size: tuple[int, int]) -> Cost:
    """Cost of ``design`` on an input of ``size`` (height, width), without walking its layers.

    Raises:
        DesignError: If the size does not divide by the design's stride.
    """
    design.check_size(size)
    if isinstance(design, FastDepthDesign):
        return _cost(*fastdepth_sums(design.widths, size))
    area = size[0] * size[1] >> 2
    stem = design.stem
    width, taps = stem.width, stem.kernel * stem.kernel * 3
    params = width * taps + width
    macs = width * taps * area
    activations = width * area
    elements = (12 + 3 * width) * area + (width * area * 5 >> 2)
    statistics = 0
    channels = width
    last = len(design.stages) - 1
    for i, stage in enumerate(design.stages):
        area >>= 2
        (sums, channels) = _stage_sums(stage, channels)
        params += sums[0]
        statistics += sums[1]
        macs += sums[2] * area
        activations += sums[3] * area
        elements += sums[4] * area
        t = stage.transition
        after = area if i == last else area >> 2
        params += channels * t + t
        macs += channels * t * area
        activations += t * after
        elements += (channels + t) * area + 2 * t * after
        if i != last:
            elements += t * (area + after)
        channels = t
    for up, skip in zip(design.decoder, design.skips, strict=True):
        elements += channels * 5 * area  # upsample: reads the smaller maps, writes the larger
        area <<= 2
        sums, channels = _upconv_sums(up, channels + skip)
        params += sums[0]
        statistics += sums[1]
        macs += sums[2] * area
        activations += sums[3] * area
        elements += sums[4] * area
    params += 9 * channels + 1
    macs += 9 * channels * area
    elements += (channels + 1) * area
    return _cost(params, statistics, macs, activations, elements)


def _cost(params: int, statistics: int, macs: int, activations: int, elements: int) -> Cost:
    return Cost(
        params=params,
        params_with_statistics=params + statistics,
        macs=macs,
        activations=activations,
        bytes=4 * (elements + params + statistics),
    )


Sums = tuple[int, int, int, int, int]  # params, statistics, and per pixel: macs, selus, elements


def _stage_sums(stage: Stage, channels: int) -> tuple[Sums, int]:
    """Sums over a dense stage that reads ``channels``, and the channels it ends with."""
    weights = biases = statistics = selus = elements = 0
    for module in stage.modules:
        p, e, g = module.squeeze, module.expand, module.width
        if p is not None and e is not None:  # inlined for speed: nearly every module is a PBEP
            weights += p * (channels + e) + e * (module.kernel**2 + g)
            biases += 2 * p + 2 * e + g
            statistics += 2 * p
            selus += 2 * e
            elements += channels + 4 * p + 8 * e + g
        else:
            w, b, s, a, m = _module_sums(module, channels)
            weights += w
            biases += b
            statistics += s
            selus += a
            elements += m
        channels += g
        elements += 2 * channels  # the concatenation that the next reader needs
    return (weights + biases, statistics, weights, selus, elements), channels


def _module_sums(module: Module, channels: int) -> Sums:
    """Weights, biases and norms, statistics, selus and elements per pixel of one module."""
    g, taps = module.width, module.kernel**2
    if module.expand is None:
        return taps * channels * g, g, 0, g, channels + 3 * g
    e = module.expand
    if module.squeeze is None:
        return e * (channels + taps + g), 2 * e + g, 0, 2 * e, channels + 8 * e + g
    p = module.squeeze
    weights = p * (channels + e) + e * (taps + g)
    return weights, 2 * p + 2 * e + g, 2 * p, 2 * e, channels + 4 * p + 8 * e + g


def _upconv_sums(up: Upconv, channels: int) -> tuple[Sums, int]:
    """Sums over an upconv whose concatenation has ``channels``, and the channels it hands on."""
    wa, ba, sa, aa, ma = _module_sums(up.a, channels)
    wb, bb, sb, ab, mb = _module_sums(up.b, up.a.width)
    sums = (wa + wb + ba + bb, sa + sb, wa + wb, aa + ab, 2 * channels + ma + mb)
    return sums, up.b.width
