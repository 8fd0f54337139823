"""An ONNX file as far as a device asks: one image in, its operators, opset and precision."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nano.bench.flags import STRONGLY_TYPED, Version
from nano.bench.remote import one_line
from nano.errors import InputError
from nano.export.forms import IR_VERSIONS
from nano.export.optional import onnx
from nano.export.read import metadata_of, read_any

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
        precision: One of `nano.export.forms.PRECISIONS`: what the file itself holds.
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
    model, content = read_any(path)
    graph = model.graph
    if any(tensor.external_data for tensor in graph.initializer):
        raise InputError(f"{path}: has its weights in other files; export it as one file")
    metadata = metadata_of(model)
    ours = "nano_onnx" in metadata and "design" in metadata
    digest = hashlib.sha256(content).hexdigest()
    operators = tuple(_operator(node) for node in graph.node)
    opsets = [each.version for each in model.opset_import if each.domain in OWN_DOMAINS]
    return OnnxFile(
        content=content,
        key=metadata["design"] if ours else f"onnx-{digest[:12]}",
        ours=ours,
        size=_size(graph, path),
        opset=max(opsets),
        precision=_precision(graph),
        operators=operators,
    )


def _size(graph: Any, path: Path) -> tuple[int, int]:
    stored = {tensor.name for tensor in graph.initializer}
    inputs = [each for each in graph.input if each.name not in stored]
    shapes = [tuple(d.dim_value for d in each.type.tensor_type.shape.dim) for each in inputs]
    match shapes:
        case [(1, channels, height, width)] if min(channels, height, width) > 0:
            return height, width
    takes = [
        f"{each.name} ({', '.join(str(length or '?') for length in shape)})"
        for each, shape in zip(inputs, shapes, strict=True)
    ]
    raise InputError(
        f"{path}: takes {one_line('; '.join(takes), 'nothing')}, and not one image "
        "(1, channels, height, width) of fixed size: a foreign file, or exported with --batch any"
    )


def _operator(node: Any) -> Operator:
    words = {each.name: each.s.decode(errors="replace") for each in node.attribute if each.s}
    return Operator(kind=node.op_type, name=node.name, domain=node.domain, words=words)


def _precision(graph: Any) -> str:
    """By what is quantised, else by the weights: constants of operators may differ from both."""
    if any(node.op_type == QUANTIZE for node in graph.node):
        return "int8"
    kinds = {tensor.data_type for tensor in graph.initializer if len(tensor.dims) >= 2}
    half, single = onnx.TensorProto.FLOAT16, onnx.TensorProto.FLOAT
    return "float16" if half in kinds and single not in kinds else "float32"


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
    newest = newest_opset(version)
    if model.opset > newest:
        ways = [f": export it with --opset {opset}" for opset in IR_VERSIONS if opset <= newest]
        raise InputError(
            f"{where}: has opset {model.opset}; {told} reads up to {newest}{''.join(ways[-1:])}"
        )
    _check_precision(model, version, precision, where)


def newest_opset(version: Version) -> int:
    """That this TensorRT's parser reads."""
    return next(opset for since, opset in OPSETS if version >= since)


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
    if precision == "float32" and stored == "float16":
        raise InputError(f"{where}: is float16 and cannot be measured in float32")
