"""Whether an exported model computes what the network computes, enforced with the number."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from nano.data.sample import network_input
from nano.errors import OutputError
from nano.export.onnx import INPUT
from nano.export.optional import onnx, onnxruntime
from nano.export.read import metadata_of
from nano.networks.model import Model

# Of the output, as a share of its largest magnitude where that is above 1. float16 keeps 11 bits,
# and some hundred layers round one after the other.
PARITY = {"float32": 1e-5, "float16": 2e-2}


class OnnxNetwork(nn.Module):
    """A model in ONNX Runtime on the CPU, to be called as the network it was made from."""

    def __init__(self, made: onnx.ModelProto, *, threads: int = 0) -> None:
        super().__init__()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self._session: Any = onnxruntime.InferenceSession(
            made.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        (image,) = self._session.get_inputs()
        self._dtype = np.float16 if "float16" in image.type else np.float32
        self._batch = image.shape[0] if isinstance(image.shape[0], int) else None

    def forward(self, image: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B c h w"]:
        """The output in float32, whatever the model's own precision and batch."""
        images = image.cpu().numpy().astype(self._dtype)
        step = self._batch or len(images)
        parts = [
            self._session.run(None, {INPUT: images[start : start + step]})[0]
            for start in range(0, len(images), step)
        ]
        return torch.from_numpy(np.concatenate(parts).astype(np.float32))


def difference(model: Model, made: onnx.ModelProto, *, seed: int = 0) -> float:
    """The largest difference of the outputs on random pixels, as a share of the largest output.

    Outputs below 1 are compared as they are: max |o - t| / max(1, max |t|).
    """
    random = torch.Generator().manual_seed(seed)
    runner = OnnxNetwork(made)
    images = torch.randint(0, 256, (runner_batch(made), 3, *model.size), generator=random)
    image = network_input(images.to(torch.uint8))
    with torch.inference_mode():
        wanted = model.network.eval()(image)
        found = runner(image)
    return float((found - wanted).abs().max() / wanted.abs().max().clamp(min=1))


def runner_batch(made: onnx.ModelProto) -> int:
    """The batch that the model insists on; 2, to see a varying one vary."""
    return int(made.graph.input[0].type.tensor_type.shape.dim[0].dim_value) or 2


def check_same(model: Model, made: onnx.ModelProto) -> float:
    """The difference, when it is small enough for the precision that the model has.

    Raises:
        OutputError: It is larger; such a file must not leave the house.
    """
    precision = metadata_of(made)["precision"]
    found, bound = difference(model, made), PARITY[precision]
    if not found <= bound:  # NaN is not
        raise OutputError(
            f"the exported {precision} model differs from the network by {found:.3g} of its"
            f" output, allowed is {bound:g}"
        )
    return found
