"""One ONNX file of a model: weights inside, the opset that was asked for, and what it is.

The file's metadata hold all that is needed to use it: the design, what the output means, how images
are prepared, the versions. Equal models give equal bytes.
"""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import torch

from nano.data.sample import INPUT_MEAN, INPUT_STD
from nano.errors import InputError
from nano.export.forms import IR_VERSIONS
from nano.export.operators import Recorder
from nano.export.optional import onnx
from nano.export.read import FORMAT_VERSION, metadata_of
from nano.export.rewrite import rewritten
from nano.files import canonical_json, write_bytes
from nano.machine import versions
from nano.networks.catalog import plain_architecture
from nano.networks.model import Model

INPUT, OUTPUT, BATCH = "image", "output", "batch"
DEFAULT_OPSET = 17
FLOATS = ("float32", "float16")  # int8 is made of the first, see `nano.export.quantise`
PREPROCESSING = {
    "colours": "RGB",
    "layout": "batch x channel x height x width",
    "resize": "bilinear, to the size of the input",
    "scale": 255.0,
    "mean": INPUT_MEAN,
    "std": INPUT_STD,
    "formula": "(pixel / scale - mean) / std",
}


@dataclass(frozen=True, kw_only=True)
class Form:
    """How a model is written.

    Attributes:
        opset: A key of `IR_VERSIONS`.
        precision: Of weights, input and output: one of `FLOATS`.
        batch: Images at a time; None leaves it to the caller.
        rewrite: Apply the exact rewrites of `nano.export.rewrite`.
    """

    opset: int = DEFAULT_OPSET
    precision: str = "float32"
    batch: int | None = 1
    rewrite: bool = True

    def __post_init__(self) -> None:
        if self.opset not in IR_VERSIONS:
            raise InputError(f"opset {self.opset}: supported are {_listed(IR_VERSIONS)}")
        if self.precision not in FLOATS:
            raise InputError(f"precision {self.precision!r}: one of {_listed(FLOATS)}")
        if self.batch is not None and self.batch < 1:
            raise InputError(f"batch {self.batch}: from 1 up, or None for any")


def to_onnx(model: Model, form: Form) -> onnx.ModelProto:
    """The model as ONNX, checked by ONNX's own checker and for its opset.

    Raises:
        InputError: The network has an operator without a form, or the result has another opset.
        MissingPackage: onnx is not installed.
    """
    network = copy.deepcopy(model.network).eval()
    weights = (rewritten(network) if form.rewrite else network).to(getattr(torch, form.precision))
    recorder, image, output = _record(weights, model.size, form)
    used = {name for node in recorder.nodes for name in node.input}
    arrays = {
        name: tensor.detach().cpu().numpy() for name, tensor in weights.state_dict().items()
    } | recorder.constants
    graph = onnx.helper.make_graph(
        recorder.nodes,
        model.design.key,
        [_value(INPUT, image.shape, form)],
        [_value(OUTPUT, output.shape, form)],
        [onnx.numpy_helper.from_array(each, n) for n, each in arrays.items() if n in used],
    )
    made: onnx.ModelProto = onnx.helper.make_model(
        graph,
        producer_name="nano",
        opset_imports=[onnx.helper.make_opsetid("", form.opset)],
        ir_version=IR_VERSIONS[form.opset],
    )
    onnx.helper.set_model_props(made, _metadata(model, form))
    check(made, form.opset)
    return made


def _record(
    weights: torch.nn.Module, size: tuple[int, int], form: Form
) -> tuple[Recorder, torch.Tensor, torch.Tensor]:
    """Run the network on the meta device and note what it runs."""
    # Within inference mode torch would hand on operators before it takes them apart.
    with torch.inference_mode(False), torch.no_grad():
        network = copy.deepcopy(weights).to("meta")
        shape = (form.batch or 1, 3, *size)
        image = torch.empty(shape, device="meta", dtype=getattr(torch, form.precision))
        named = chain(network.named_parameters(), network.named_buffers())
        recorder = Recorder([(INPUT, image), *named])
        with recorder:
            output = network(image)
    made = [node.output[0] for node in recorder.nodes]
    del recorder.nodes[made.index(recorder.name(output)) + 1 :]  # heads that only training reads
    recorder.nodes[-1].output[0] = OUTPUT
    return recorder, image, output


def _value(name: str, shape: torch.Size, form: Form) -> Any:
    kind = onnx.TensorProto.FLOAT16 if form.precision == "float16" else onnx.TensorProto.FLOAT
    return onnx.helper.make_tensor_value_info(name, kind, [form.batch or BATCH, *shape[1:]])


def _metadata(model: Model, form: Form) -> dict[str, str]:
    height, width = model.size
    return {
        "nano_onnx": FORMAT_VERSION,
        "design": model.design.key,
        "design_json": canonical_json(plain_architecture(model.design)),
        "target": model.target,
        "size": f"{height}x{width}",
        "precision": form.precision,
        "preprocessing": json.dumps(PREPROCESSING),
        "versions": json.dumps(versions()),
    }


def check(made: onnx.ModelProto, opset: int) -> None:
    """Refuse what ONNX's checker refuses, another opset, and codes other than INT8.

    The file is what counts: exporters are known to leave another opset without a word, and
    quantisers to write biases in INT32, which TensorRT does not read.
    """
    onnx.checker.check_model(made, full_check=True)
    found = {each.domain or "ai.onnx": each.version for each in made.opset_import}
    if found != {"ai.onnx": opset}:
        raise InputError(f"the model has opsets {found}, asked for was {opset}")
    int8 = onnx.TensorProto.INT8
    kinds = {each.name: each.data_type for each in made.graph.initializer}
    for node in made.graph.node:
        if node.op_type == "DequantizeLinear" and kinds.get(node.input[0], int8) != int8:
            kind = onnx.TensorProto.DataType.Name(kinds[node.input[0]])
            raise InputError(f"DequantizeLinear of {node.input[0]}: {kind}, TensorRT reads INT8")


def write_onnx(path: Path, made: onnx.ModelProto) -> None:
    """One file without external data, whole or not at all.

    Raises:
        OutputError: It cannot be written.
    """
    write_bytes(path, made.SerializeToString(deterministic=True))


def add_metadata(made: onnx.ModelProto, **told: str) -> None:
    """Set entries of the metadata, the others stay."""
    onnx.helper.set_model_props(made, metadata_of(made) | told)


def _listed(names: Any) -> str:
    return ", ".join(map(str, names))
