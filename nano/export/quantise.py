"""Static int8: QuantizeLinear and DequantizeLinear around what an engine may run in 8 bits.

Symmetric, weights by channel, ranges of the activations from calibration images, biases in float32:
the form that TensorRT reads, whose QuantizeLinear takes zero points of 0 only and whose
DequantizeLinear takes no INT32.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8
from onnxruntime import quantization
from onnxruntime.quantization.quant_utils import add_pre_process_metadata

from nano.data.sample import network_input
from nano.errors import InputError
from nano.export.onnx import INPUT, check
from nano.export.optional import onnx
from nano.export.read import metadata_of


def quantised(
    made: onnx.ModelProto, images: UInt8[np.ndarray, "N 3 H W"], caption: str
) -> onnx.ModelProto:
    """The float32 model in 8 bits; equal images, equal model.

    Args:
        made: With batch 1 or any.
        images: Calibration images, at the model's size; never those that judge it.
        caption: What they are, for the metadata.

    Raises:
        InputError: The model is not in float32, or its batch is fixed above 1.
    """
    told = metadata_of(made)
    if told["precision"] != "float32":
        raise InputError(f"int8 is made from float32, the model is in {told['precision']}")
    if made.graph.input[0].type.tensor_type.shape.dim[0].dim_value > 1:
        raise InputError("int8 is calibrated one image at a time: export with batch 1 or any")
    prepared = onnx.shape_inference.infer_shapes(made)
    add_pre_process_metadata(prepared)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "int8.onnx")
        quantization.quantize_static(
            prepared,
            path,
            _Reader(images),
            quant_format=quantization.QuantFormat.QDQ,
            per_channel=True,
            weight_type=quantization.QuantType.QInt8,
            activation_type=quantization.QuantType.QInt8,
            extra_options={
                "ActivationSymmetric": True,
                "WeightSymmetric": True,
                "QuantizeBias": False,
            },
        )
        small: onnx.ModelProto = onnx.load(path)
    onnx.helper.set_model_props(small, told | {"precision": "int8", "calibration": caption})
    # The quantiser declares its own operators' domain, of which these models use none.
    own = [each for each in small.opset_import if each.domain == ""]
    del small.opset_import[:]
    small.opset_import.extend(own)
    small.ir_version = made.ir_version
    check(small, made.opset_import[0].version)
    return small


class _Reader(quantization.CalibrationDataReader):  # type: ignore[misc]
    """What ONNX Runtime calibrates from: one image at a time."""

    def __init__(self, images: UInt8[np.ndarray, "N 3 H W"]) -> None:
        tensors = (torch.from_numpy(np.array(one[None])) for one in images)
        self._feeds = ({INPUT: network_input(one).numpy()} for one in tensors)

    def get_next(self) -> dict[str, Any] | None:
        return next(self._feeds, None)
