"""An ONNX file as far as a device asks: one image in, its operators, opset and precision.

Reading needs the package onnx: ``pip install 'depthnet-nano[export]'``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nano.bench.flags import STRONGLY_TYPED, Version
from nano.errors import InputError, MissingPackage

OWN_DOMAINS = ("", "ai.onnx")
QUANTIZE = "QuantizeLinear"
# The newest opset that each TensorRT's parser reads (onnx-tensorrt, docs/operators.md).
OPSETS: tuple[tuple[Version, int], ...] = (((10, 0), 20), ((8, 4), 17), ((7, 2), 13), ((7, 0), 11))
HALF_PIXEL = (8, 0)  # before, Resize knows asymmetric only
SCALES_IN_FILE = (8, 0)  # before, int8 needs a calibration cache


@dataclass(frozen=True, kw_only=True)
class Operator:
    """A node: its kind (``Resize``), its own name, and those attributes that are words."""

    kind: str
    name: str = ""
    domain: str = ""
    words: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        """As in ``Resize 'resize_3'``."""
        return f"{self.kind} {self.name!r}" if self.name else self.kind


@dataclass(frozen=True, kw_only=True)
class OnnxFile:
    """What is in the file.

    Attributes:
        content: Its bytes.
        key: The design's where nano wrote the file; else ``onnx-`` and its hash's first digits.
        ours: Whether nano wrote it.
        size: Height and width of the one image it takes.
        opset: Of ONNX's own operators.
        precision: ``fp32``, ``fp16`` or ``int8``: what the file itself holds.
        operators: In order.
    """

    content: bytes
    key: str
    ours: bool
    size: tuple[int, int]
    opset: int
    precision: str
    operators: tuple[Operator, ...]

    @property
    def sha256(self) -> str:
        """Of the content, as 64 digits."""
        return hashlib.sha256(self.content).hexdigest()


def read_onnx(path: Path) -> OnnxFile:
    """The file; an InputError for one that is none, is cut, or takes no fixed image.

    Raises:
        InputError: Also for weights in further files: one file is taken to the device.
        MissingPackage: The package onnx is not installed.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError as missing:
        raise InputError(f"{path}: no such file") from missing
    except OSError as unreadable:
        raise InputError(f"{path}: cannot be read: {unreadable.strerror}") from unreadable
    model = _parsed(content, path)
    graph = model.graph
    if any(tensor.external_data for tensor in graph.initializer):
        raise InputError(f"{path}: has its weights in other files; export it as one file")
    metadata = {each.key: each.value for each in model.metadata_props}
    digest = hashlib.sha256(content).hexdigest()
    operators = tuple(_operator(node) for node in graph.node)
    opsets = [each.version for each in model.opset_import if each.domain in OWN_DOMAINS]
    return OnnxFile(
        content=content,
        key=metadata.get("design", f"onnx-{digest[:12]}"),
        ours="nano_onnx" in metadata,
        size=_size(graph, path),
        opset=max(opsets),
        precision=_precision(graph, operators),
        operators=operators,
    )


def _parsed(content: bytes, path: Path) -> Any:
    try:
        import onnx
        from google.protobuf.message import DecodeError
    except ImportError as missing:
        raise MissingPackage(
            "reading ONNX needs the package onnx: pip install 'depthnet-nano[export]'"
        ) from missing
    try:
        model = onnx.load_model_from_string(content)
        whole = bool(model.graph.node) and bool(model.opset_import)
    except DecodeError as damaged:
        raise InputError(f"{path}: not a whole ONNX file: {damaged}") from damaged
    if not whole:
        raise InputError(f"{path}: not an ONNX file: it has no operators")
    return model


def _size(graph: Any, path: Path) -> tuple[int, int]:
    stored = {tensor.name for tensor in graph.initializer}
    inputs = [each for each in graph.input if each.name not in stored]
    shapes = [tuple(d.dim_value for d in each.type.tensor_type.shape.dim) for each in inputs]
    match shapes:
        case [(1, channels, height, width)] if min(channels, height, width) > 0:
            return height, width
    told = "; ".join(f"{each.name} {shape}" for each, shape in zip(inputs, shapes, strict=True))
    raise InputError(
        f"{path}: takes {told.replace('0', '?') if told else 'nothing'}, and not one image "
        "(1, channels, height, width) of fixed size: a foreign file, or exported with --batch any"
    )


def _operator(node: Any) -> Operator:
    words = {each.name: each.s.decode(errors="replace") for each in node.attribute if each.s}
    return Operator(kind=node.op_type, name=node.name, domain=node.domain, words=words)


def _precision(graph: Any, operators: Sequence[Operator]) -> str:
    from onnx import TensorProto

    if any(each.kind == QUANTIZE for each in operators):
        return "int8"
    kinds = {tensor.data_type for tensor in graph.initializer}
    return "fp16" if TensorProto.FLOAT16 in kinds and TensorProto.FLOAT not in kinds else "fp32"


def check_support(model: OnnxFile, version: Version, precision: str, where: str) -> None:
    """Refuse, before anything is sent, what that TensorRT is known not to build.

    Raises:
        InputError: It names the operator, or the opset, and what would be right.
    """
    told = f"TensorRT {version[0]}.{version[1]}"
    foreign = [each for each in model.operators if each.domain not in OWN_DOMAINS]
    if foreign:
        raise InputError(f"{where}: {foreign[0]} is of {foreign[0].domain}, which {told} lacks")
    for operator in model.operators:
        transform = operator.words.get("coordinate_transformation_mode", "half_pixel")
        if operator.kind == "Resize" and transform != "asymmetric" and version < HALF_PIXEL:
            raise InputError(
                f"{where}: {told} has no {transform} {operator}; it needs TensorRT 8.0 "
                "(JetPack 4.6) or later"
            )
        if operator.kind == QUANTIZE and version < SCALES_IN_FILE:
            raise InputError(f"{where}: {told} does not read {operator}; it needs 8.0 or later")
    newest = next(opset for since, opset in OPSETS if version >= since)
    if model.opset > newest:
        raise InputError(
            f"{where}: has opset {model.opset}; {told} reads up to {newest}: export it with "
            f"--opset {newest}"
        )
    _check_precision(model, version, precision, where)


def _check_precision(model: OnnxFile, version: Version, precision: str, where: str) -> None:
    stored = model.precision
    if "int8" in (precision, stored) and precision != stored:
        raise InputError(
            f"{where}: is {stored}, asked for is {precision}; only a file with {QUANTIZE} runs in "
            "int8, and in nothing else: export it with the precision that is to be measured"
        )
    if version >= STRONGLY_TYPED and precision != stored:
        raise InputError(
            f"{where}: is {stored}, and from TensorRT 11 on a network runs as it is stored: "
            f"export it with the precision {precision}"
        )
    if precision == "fp32" and stored == "fp16":
        raise InputError(f"{where}: is fp16 and cannot be measured in fp32")
