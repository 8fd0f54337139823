"""Small ONNX files for devices to be asked about."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper


def write_onnx(
    path: Path,
    *,
    opset: int = 13,
    transform: str = "half_pixel",
    half: bool = False,
    quantised: bool = False,
    domain: str = "",
    shape: tuple[int | str, ...] = (1, 3, 8, 16),
    metadata: dict[str, str] | None = None,
) -> Path:
    """A convolution and an upsampling; written as nano's own where it has metadata."""
    kind = TensorProto.FLOAT16 if half else TensorProto.FLOAT
    weight = helper.make_tensor("w", kind, [3, 3, 3, 3], np.ones(81, np.float32))
    scales = helper.make_tensor("s", TensorProto.FLOAT, [4], [1, 1, 2, 2])
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], name="stem", pads=[1] * 4),
        helper.make_node(
            "Resize", ["c", "", "s"], ["y"], name="up_1", coordinate_transformation_mode=transform
        ),
    ]
    if quantised:
        nodes.append(helper.make_node("QuantizeLinear", ["y", "a", "z"], ["q"], name="scale_1"))
    if domain:
        nodes.append(helper.make_node("Magic", ["y"], ["m"], name="magic_1", domain=domain))
    inputs = [helper.make_tensor_value_info("x", kind, shape)]
    outputs: list[Any] = [helper.make_tensor_value_info("y", kind, None)]
    graph = helper.make_graph(nodes, "net", inputs, outputs, [weight, scales])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    helper.set_model_props(model, metadata or {})
    onnx.save_model(model, path)
    return path
