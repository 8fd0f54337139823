"""The one walk over a design: every operation of a forward pass, in order, with what it costs.

Formulas: section 3 of DepthNet Nano's Table 3 reading; batch 1, float32, each operation reading
its inputs and weights and writing its outputs, nothing fused.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from nano.design.design import Design, Module


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One operation.

    Attributes:
        part: ``stem``, ``stage 2``, ``transition 1``, ``bridge``, ``up 3`` or ``head``.
        unit: The module within the part, ``""`` where there is only one.
        operation: ``conv``, ``norm``, ``selu``, ``relu``, ``pool``, ``upsample``, ``concat`` or
            ``add``.
        channels: Channels written.
        size: Height and width written.
        params: Trainable parameters.
        statistics: Running means and variances.
        macs: Multiply-adds.
        elements: Activation elements read and written.
        kernel: Side of a convolution's kernel, 0 of other operations.
        depthwise: Whether every map is convolved by itself.
    """

    part: str
    unit: str
    operation: str
    channels: int
    size: tuple[int, int]
    params: int = 0
    statistics: int = 0
    macs: int = 0
    elements: int = 0
    kernel: int = 0
    depthwise: bool = False

    @property
    def kind(self) -> str:
        """What decides how fast a device runs it: the operation; of convolutions which of three.

        ``conv 1x1``, ``conv kxk`` (any other full kernel) or ``depthwise``.
        """
        if self.operation != "conv":
            return self.operation
        if self.depthwise:
            return "depthwise"
        return "conv 1x1" if self.kernel == 1 else "conv kxk"

    @property
    def activations(self) -> int:
        """Evaluations of a nonlinearity."""
        return self.channels * _area(self.size) if self.operation in ("selu", "relu") else 0

    @property
    def bytes(self) -> int:
        """float32 bytes moved: activations, weights and statistics."""
        return 4 * (self.elements + self.params + self.statistics)


def walk(design: Design, size: tuple[int, int]) -> Iterator[Layer]:
    """Every operation of ``design`` on an input of ``size`` (height, width), in order.

    Raises:
        DesignError: If the size does not divide by the design's stride.
    """
    design.check_size(size)
    yield from _encoder(design, size)
    yield from _decoder(design, size)


def _encoder(design: Design, size: tuple[int, int]) -> Iterator[Layer]:
    stem = design.stem
    half = _scaled(size, 1)
    yield _conv("stem", "", 3, stem.width, stem.kernel, half, read=size)
    yield _selu("stem", "", stem.width, half)
    yield _pool("stem", "", stem.width, half)
    channels = stem.width
    last = len(design.stages)
    for number, stage in enumerate(design.stages, start=1):
        here = _scaled(size, number + 1)
        for i, module in enumerate(stage.modules, start=1):
            yield from _module(f"stage {number}", f"{number}.{i}", module, channels, here)
            channels += module.width
            yield _concat(f"stage {number}", f"{number}.{i}", channels, here)
        part = "bridge" if number == last else f"transition {number}"
        yield _conv(part, "", channels, stage.transition, 1, here)
        if number < last:
            yield _pool(part, "", stage.transition, here)
            here = _scaled(here, 1)
        yield _selu(part, "", stage.transition, here)
        channels = stage.transition


def _decoder(design: Design, size: tuple[int, int]) -> Iterator[Layer]:
    channels = design.bridge
    steps = len(design.stages)
    for number, (up, skip) in enumerate(zip(design.decoder, design.skips, strict=True), start=1):
        part = f"up {number}"
        here = _scaled(size, steps + 1 - number)
        area = _area(here)
        yield Layer(
            part=part,
            unit="",
            operation="upsample",
            channels=channels,
            size=here,
            elements=channels * (area // 4 + area),
        )
        yield _concat(part, "", channels + skip, here)
        yield from _module(part, f"up {number}A", up.a, channels + skip, here)
        yield from _module(part, f"up {number}B", up.b, up.a.width, here)
        channels = up.b.width
    yield _conv("head", "", channels, 1, 3, _scaled(size, 1))


def _module(
    part: str, unit: str, module: Module, channels: int, size: tuple[int, int]
) -> Iterator[Layer]:
    """A PBEP, an EP or a plain convolution followed by its SELU."""
    if module.expand is None:
        yield _conv(part, unit, channels, module.width, module.kernel, size)
        yield _selu(part, unit, module.width, size)
        return
    if module.squeeze is not None:
        yield _conv(part, unit, channels, module.squeeze, 1, size, bias=False)
        yield _norm(part, unit, module.squeeze, size)
        channels = module.squeeze
    expand = module.expand
    yield _conv(part, unit, channels, expand, 1, size)
    yield _selu(part, unit, expand, size)
    yield _conv(part, unit, expand, expand, module.kernel, size, depthwise=True)
    yield _selu(part, unit, expand, size)
    yield _conv(part, unit, expand, module.width, 1, size)


def _conv(
    part: str,
    unit: str,
    channels: int,
    width: int,
    kernel: int,
    size: tuple[int, int],
    *,
    depthwise: bool = False,
    bias: bool = True,
    read: tuple[int, int] | None = None,
) -> Layer:
    weights = kernel * kernel * width * (1 if depthwise else channels)
    return Layer(
        part=part,
        unit=unit,
        operation="conv",
        channels=width,
        size=size,
        params=weights + (width if bias else 0),
        macs=weights * _area(size),
        elements=channels * _area(read or size) + width * _area(size),
        kernel=kernel,
        depthwise=depthwise,
    )


def _norm(part: str, unit: str, channels: int, size: tuple[int, int]) -> Layer:
    return Layer(
        part=part,
        unit=unit,
        operation="norm",
        channels=channels,
        size=size,
        params=2 * channels,
        statistics=2 * channels,
        elements=2 * channels * _area(size),
    )


def _selu(part: str, unit: str, channels: int, size: tuple[int, int]) -> Layer:
    return _moves("selu", part, unit, channels, size)


def _concat(part: str, unit: str, channels: int, size: tuple[int, int]) -> Layer:
    return _moves("concat", part, unit, channels, size)


def _moves(operation: str, part: str, unit: str, channels: int, size: tuple[int, int]) -> Layer:
    """An operation that reads every element once and writes it once."""
    return Layer(
        part=part,
        unit=unit,
        operation=operation,
        channels=channels,
        size=size,
        elements=2 * channels * _area(size),
    )


def _pool(part: str, unit: str, channels: int, size: tuple[int, int]) -> Layer:
    """The 2x2 average pool that reads maps of ``size``."""
    half = _scaled(size, 1)
    return Layer(
        part=part,
        unit=unit,
        operation="pool",
        channels=channels,
        size=half,
        elements=channels * (_area(size) + _area(half)),
    )


def _scaled(size: tuple[int, int], halvings: int) -> tuple[int, int]:
    return size[0] >> halvings, size[1] >> halvings


def _area(size: tuple[int, int]) -> int:
    return size[0] * size[1]
