"""int8 in the form that TensorRT reads."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from nano.design.presets import preset
from nano.errors import InputError
from nano.export.onnx import Form, check, to_onnx
from nano.export.quantise import quantised
from nano.networks.depthnet import build
from nano.networks.model import Model

SIZE = (32, 64)


def made() -> onnx.ModelProto:
    design = preset("depthnet-tiny")
    network = build(design, 0).eval()
    return to_onnx(Model(design=design, network=network, target="log", size=SIZE), Form())


@pytest.mark.slow
def test_weights_and_activations_are_int8_and_biases_float() -> None:
    images = np.random.default_rng(0).integers(0, 256, (2, 3, *SIZE), dtype=np.uint8)
    small = quantised(made(), images, "two of noise")
    kinds = {each.name: each.data_type for each in small.graph.initializer}
    read = [node.input[0] for node in small.graph.node if node.op_type == "DequantizeLinear"]
    stored = [kinds[name] for name in read if name in kinds]
    assert stored and set(stored) == {onnx.TensorProto.INT8}
    assert onnx.TensorProto.INT32 not in kinds.values()


def test_a_quantised_bias_is_refused() -> None:
    model = made()
    arrays = {"q": np.zeros(1, np.int32), "s": np.ones((), np.float32)}
    model.graph.initializer.extend(onnx.numpy_helper.from_array(a, n) for n, a in arrays.items())
    model.graph.node.append(onnx.helper.make_node("DequantizeLinear", ["q", "s"], ["bias"]))
    with pytest.raises(InputError, match="DequantizeLinear of q: INT32, TensorRT reads INT8"):
        check(model, 17)
