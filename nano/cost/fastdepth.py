"""What a FastDepth costs: its operations in order, and their sums by a closed form.

A separable layer from c to g maps has k^2 c + c g weights and works as much a pixel of its output
(Howard et al. 2017, section 3.1); every convolution is followed by a batch norm and, but for the
head's, by a ReLU.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from nano.cost.layers import Layer
from nano.design.fastdepth import LAYERS, SKIPS, STRIDES, FastDepthDesign

_FIRST_KERNEL, _ENCODER_KERNEL, _DECODER_KERNEL = 3, 3, 5
Sums = tuple[Any, Any, Any, Any, Any]  # params, statistics, macs, activations, elements


def fastdepth_sums(widths: Sequence[Any], size: tuple[int, int]) -> Sums:
    """Parameters, running statistics, MACs, ReLUs and elements moved, without a walk.

    Args:
        widths: Of all layers: whole numbers, or int64 columns of a population's.
        size: Input height and width.
    """
    pixels = size[0] * size[1]
    weights = norms = macs = relus = elements = 0
    inputs: Any = 3
    for position, width in enumerate(widths):
        before = pixels
        encoding = position < len(STRIDES)
        if encoding:
            pixels //= STRIDES[position] ** 2
        if position == 0:
            taps = _FIRST_KERNEL**2 * inputs * width
            elements += inputs * before + 5 * width * pixels
        else:
            depthwise = (_ENCODER_KERNEL if encoding else _DECODER_KERNEL) ** 2 * inputs
            taps = depthwise + inputs * width
            norms += inputs
            relus += inputs * pixels
            elements += inputs * before + 6 * inputs * pixels + 5 * width * pixels
        weights += taps
        norms += width
        macs += taps * pixels
        relus += width * pixels
        if not encoding:
            added = 3 if position in SKIPS.values() else 0
            elements += 5 * width * pixels + added * 4 * width * pixels
            pixels *= 4
        inputs = width
    weights += inputs
    norms += 1
    macs += inputs * pixels
    elements += (inputs + 3) * pixels
    return weights + 2 * norms, 2 * norms, macs, relus, elements


def fastdepth_layers(design: FastDepthDesign, size: tuple[int, int]) -> Iterator[Layer]:
    """Every operation on an input of ``size`` (height, width), in order.

    Parts have the names of the network's own modules: ``conv0`` to ``conv13``, ``up1`` to ``up5``
    and ``head``.

    Raises:
        DesignError: If the size does not divide by the design's stride.
    """
    design.check_size(size)
    here, inputs = size, 3
    for position, (part, width) in enumerate(zip(LAYERS, design.widths, strict=True)):
        encoding = position < len(STRIDES)
        read = here
        if encoding and STRIDES[position] == 2:
            here = here[0] // 2, here[1] // 2
        if position == 0:
            yield from _conv(part, inputs, width, _FIRST_KERNEL, here, read=read)
        else:
            kernel = _ENCODER_KERNEL if encoding else _DECODER_KERNEL
            yield from _conv(part, inputs, inputs, kernel, here, read=read, depthwise=True)
            yield from _conv(part, inputs, width, 1, here, read=here)
        if not encoding:
            area = here[0] * here[1]
            here = here[0] * 2, here[1] * 2
            yield Layer(
                part=part,
                unit="",
                operation="upsample",
                channels=width,
                size=here,
                elements=5 * width * area,
            )
            if position in SKIPS.values():
                yield _moves("add", part, width, here, times=3)
        inputs = width
    convolution, norm, _ = _conv("head", inputs, 1, 1, here, read=here)
    yield from (convolution, norm)


def _conv(
    part: str,
    inputs: int,
    width: int,
    kernel: int,
    size: tuple[int, int],
    *,
    read: tuple[int, int],
    depthwise: bool = False,
) -> tuple[Layer, Layer, Layer]:
    """A convolution without bias, its batch norm and its ReLU."""
    weights = kernel**2 * width * (1 if depthwise else inputs)
    area = size[0] * size[1]
    convolution = Layer(
        part=part,
        unit="",
        operation="conv",
        channels=width,
        size=size,
        params=weights,
        macs=weights * area,
        elements=inputs * read[0] * read[1] + width * area,
        kernel=kernel,
        depthwise=depthwise,
    )
    norm = Layer(
        part=part,
        unit="",
        operation="norm",
        channels=width,
        size=size,
        params=2 * width,
        statistics=2 * width,
        elements=2 * width * area,
    )
    return convolution, norm, _moves("relu", part, width, size, times=2)


def _moves(operation: str, part: str, width: int, size: tuple[int, int], *, times: int) -> Layer:
    """An operation on maps that moves ``times`` as many elements as it writes."""
    return Layer(
        part=part,
        unit="",
        operation=operation,
        channels=width,
        size=size,
        elements=times * width * size[0] * size[1],
    )
