"""Torch's operators as ONNX nodes: what a network runs, noted down while it runs.

The network runs once on the meta device, without memory, and a dispatch mode sees each operator
with its arguments. `torch.onnx.export` sees the same, but takes minutes for the 358 convolutions
of the paper's design, splits each SELU in two, and may leave another opset than was asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from nano.errors import InputError
from nano.export.optional import onnx

Translate: TypeAlias = Callable[["Recorder", tuple[Any, ...]], str]
aten = torch.ops.aten
SELU = (1.6732632423543772, 1.0507009873554805)  # alpha, scale: Klambauer et al. 2017, section 2.1


class Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Writes an ONNX node for every operator that runs inside it.

    Attributes:
        nodes: In the order of running.
        constants: Arrays that nodes read, by name, beside the weights.
    """

    def __init__(self, named: Iterable[tuple[str, Tensor]]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.nodes: list[Any] = []
        self.constants: dict[str, NDArray[Any]] = {}
        # Tensors are known by identity, and kept alive so that none is taken for another.
        self._named = {id(tensor): (name, tensor) for name, tensor in named}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if func in _MAKES_NO_NODE:
            return result
        if func not in OPERATORS:
            raise InputError(f"no ONNX form of the operator {func}; known: {known_operators()}")
        made = result if isinstance(result, Tensor) else result[0]
        self._named[id(made)] = (OPERATORS[func](self, args), made)
        return result

    def name(self, tensor: Tensor) -> str:
        """Of the value that the tensor holds now; operators in place rename it."""
        return self._named[id(tensor)][0]

    def constant(self, values: NDArray[Any]) -> str:
        """The name under which nodes read an array; equal arrays are kept once."""
        text = "_".join(str(value) for value in np.ravel(values)).replace("-", "m")
        name = f"{values.dtype.name}_{text or 'empty'}"
        self.constants[name] = values
        return name

    def scalar(self, value: float, like: Tensor) -> str:
        """A constant of the tensor's own precision."""
        half = like.dtype == torch.float16
        return self.constant(np.array(value, np.float16 if half else np.float32))

    def node(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """Add a node and give the name of its output."""
        name = f"{operator.lower()}_{len(self.nodes)}"
        made = onnx.helper.make_node(operator, inputs, [name], name=name, **attributes)
        self.nodes.append(made)
        return name


def known_operators() -> str:
    """Those that have a form, for messages."""
    return ", ".join(sorted({str(each).split(".")[1].rstrip("_") for each in OPERATORS}))


def _convolution(to: Recorder, args: tuple[Any, ...]) -> str:
    maps, weight, bias, stride, padding, dilation, transposed, _, groups = args
    if transposed or maps.dim() != 4:
        raise InputError("no ONNX form of transposed or 3D convolutions")
    inputs = [to.name(each) for each in (maps, weight, bias) if each is not None]
    return to.node(
        "Conv",
        *inputs,
        kernel_shape=weight.shape[2:],
        strides=_pair(stride),
        pads=[*_pair(padding), *_pair(padding)],
        dilations=_pair(dilation),
        group=groups,
    )


def _elu(to: Recorder, args: tuple[Any, ...]) -> str:
    maps, alpha, scale, input_scale = _complete(args, 1, 1.0, 1.0, 1.0)
    name = to.name(maps)
    if (alpha, scale, input_scale) == (*SELU, 1.0):
        return to.node("Selu", name, alpha=alpha, gamma=scale)
    if (scale, input_scale) != (1.0, 1.0):
        raise InputError(f"no ONNX form of ELU with scales {scale} and {input_scale}")
    return to.node("Elu", name, alpha=float(alpha))


def _cat(to: Recorder, args: tuple[Any, ...]) -> str:
    tensors, axis = _complete(args, 1, 0)
    return to.node("Concat", *(to.name(each) for each in tensors), axis=axis)


def _avg_pool(to: Recorder, args: tuple[Any, ...]) -> str:
    maps, kernel, stride, padding, ceil, include, divisor = _complete(
        args, 2, [], [0, 0], False, True, None
    )
    if divisor is not None:
        raise InputError("no ONNX form of average pools with a divisor of their own")
    return to.node(
        "AveragePool",
        to.name(maps),
        kernel_shape=_pair(kernel),
        strides=_pair(stride or kernel),
        pads=[*_pair(padding), *_pair(padding)],
        ceil_mode=int(ceil),
        count_include_pad=int(include),
    )


def _max_pool(to: Recorder, args: tuple[Any, ...]) -> str:
    maps, kernel, stride, padding, dilation, ceil = _complete(args, 2, [], [0, 0], [1, 1], False)
    return to.node(
        "MaxPool",
        to.name(maps),
        kernel_shape=_pair(kernel),
        strides=_pair(stride or kernel),
        pads=[*_pair(padding), *_pair(padding)],
        dilations=_pair(dilation),
        ceil_mode=int(ceil),
    )


def _bilinear(to: Recorder, args: tuple[Any, ...]) -> str:
    aligned = bool(args[2])
    transform = "align_corners" if aligned else "half_pixel"
    return _resize(to, args, mode="linear", coordinate_transformation_mode=transform)


def _nearest(to: Recorder, args: tuple[Any, ...]) -> str:
    return _resize(
        to,
        args,
        mode="nearest",
        nearest_mode="floor",
        coordinate_transformation_mode="asymmetric",
    )


def _resize(to: Recorder, args: tuple[Any, ...], **attributes: str) -> str:
    """By whole factors, so that the batch may vary; by a size where there is no factor."""
    maps, (height, width) = args[0], args[1]
    factors = (height / maps.shape[2], width / maps.shape[3])
    if not all(factor.is_integer() for factor in factors):
        raise InputError(f"no ONNX form of resizing {tuple(maps.shape[2:])} to {height}x{width}")
    scales = to.constant(np.array([1, 1, *factors], np.float32))
    return to.node("Resize", to.name(maps), "", scales, **attributes)


def _norm(to: Recorder, args: tuple[Any, ...]) -> str:
    maps, weight, bias, mean, variance, _, _, epsilon = args
    inputs = (to.name(each) for each in (maps, weight, bias, mean, variance))
    return to.node("BatchNormalization", *inputs, epsilon=epsilon)


def _add(to: Recorder, args: tuple[Any, ...]) -> str:
    return to.node("Add", to.name(args[0]), to.name(args[1]))


def _leaky_relu(to: Recorder, args: tuple[Any, ...]) -> str:
    return to.node("LeakyRelu", to.name(args[0]), alpha=float(_complete(args, 1, 0.01)[1]))


def _clip(to: Recorder, args: tuple[Any, ...]) -> str:
    maps, low, high = _complete(args, 1, -1.0, 1.0)
    return to.node("Clip", to.name(maps), to.scalar(low, maps), to.scalar(high, maps))


def _reflection_pad(to: Recorder, args: tuple[Any, ...]) -> str:
    maps, (left, right, top, bottom) = args
    pads = to.constant(np.array([0, 0, top, left, 0, 0, bottom, right], np.int64))
    return to.node("Pad", to.name(maps), pads, mode="reflect")


def _plain(operator: str) -> Translate:
    return lambda to, args: to.node(operator, to.name(args[0]))


def _complete(args: tuple[Any, ...], required: int, *defaults: Any) -> tuple[Any, ...]:
    """Torch hands on only arguments up to the last that is not its default."""
    return (*args, *defaults[len(args) - required :])


def _pair(values: Sequence[int]) -> list[int]:
    return [int(value) for value in values] * (2 // len(values))


_MAKES_NO_NODE = {aten.empty.memory_format}
OPERATORS: dict[Any, Translate] = {
    aten.convolution.default: _convolution,
    aten.native_batch_norm.default: _norm,
    aten.elu.default: _elu,
    aten.elu_.default: _elu,
    aten.relu.default: _plain("Relu"),
    aten.relu_.default: _plain("Relu"),
    aten.leaky_relu_.default: _leaky_relu,
    aten.hardtanh.default: _clip,
    aten.sigmoid.default: _plain("Sigmoid"),
    aten.cat.default: _cat,
    aten.add.Tensor: _add,
    aten.avg_pool2d.default: _avg_pool,
    aten.max_pool2d_with_indices.default: _max_pool,
    aten.upsample_bilinear2d.default: _bilinear,
    aten.upsample_nearest2d.default: _nearest,
    aten.reflection_pad2d.default: _reflection_pad,
}
