"""A folder to deploy: the model with all that its user needs, and nothing of this package.

``model.onnx``, ``design.json``, ``preprocessing.json``, ``accuracy.json`` with its protocol,
``LICENSE`` and a ``README.md`` whose few lines run with onnxruntime, numpy and pillow alone.
"""

from __future__ import annotations

from importlib.metadata import distribution
from pathlib import Path
from typing import Any

from nano.data.sample import INPUT_MEAN, INPUT_STD
from nano.errors import InputError
from nano.export.onnx import INPUT, PREPROCESSING, write_onnx
from nano.export.optional import onnx
from nano.export.read import metadata_of
from nano.files import write_json, write_text
from nano.networks.catalog import plain_architecture
from nano.networks.model import Model
from nano.networks.target import INVERSE_RANGE_M, LOG_RANGE_M, LOG_UNIT_M

# Metres from the head's output, in numpy, as `nano.networks.target` decodes it.
METRES = {
    "log": f"np.clip({LOG_UNIT_M:g} * np.exp(output), {LOG_RANGE_M[0]:g}, {LOG_RANGE_M[1]:g})",
    "metres": f"np.clip(output, {LOG_RANGE_M[0]:g}, {LOG_RANGE_M[1]:g})",
    "inverse": f"{INVERSE_RANGE_M[1]:g} / np.clip(output, 1, {INVERSE_RANGE_M[1]:g})",
}
_README = """# Depth from one image: design {key}

{accuracy}

```python
import numpy as np, onnxruntime
from PIL import Image
photo = Image.open("photo.png").convert("RGB").resize(({width}, {height}), Image.BILINEAR)
image = ((np.asarray(photo) / 255 - {mean}) / {std}).transpose(2, 0, 1)[None].astype("{dtype}")
output = onnxruntime.InferenceSession("model.onnx").run(None, {{"{input}": image}})[0]
output = output.astype("float32")
depth_m = {metres}
```

`depth_m` has one value for each {stride}x{stride} pixels of the input, metres along the camera's
axis. ONNX opset {opset}, {precision}; its metadata hold the design and the versions that made it.

- design.json: the network's widths. preprocessing.json: what the third and fourth lines do.
- accuracy.json: the metrics, with the data and the protocol that they were measured by.
- LICENSE is that of the program that wrote this folder. The weights are yours, under the terms of
  the images they were trained on.
"""


def write_folder(
    folder: Path, model: Model, made: onnx.ModelProto, accuracy: dict[str, Any]
) -> None:
    """Write the folder, each file whole or not at all, the model last.

    Args:
        folder: Made where it is not there.
        model: The network and what its output means.
        made: The same in ONNX.
        accuracy: Plain data of what was measured; empty when nothing was.

    Raises:
        InputError: There is no formula for metres from such an output.
        OutputError: It cannot be written.
    """
    if model.target not in METRES:
        raise InputError(
            f"target {model.target!r}: a folder tells metres from {', '.join(METRES)} outputs only"
        )
    write_json(folder / "design.json", plain_architecture(model.design))
    write_json(folder / "preprocessing.json", {**PREPROCESSING, "size": model.size})
    write_json(folder / "accuracy.json", accuracy)
    write_text(folder / "LICENSE", licence_text())
    write_text(folder / "README.md", readme(model, made, accuracy))
    write_onnx(folder / "model.onnx", made)


def readme(model: Model, made: onnx.ModelProto, accuracy: dict[str, Any]) -> str:
    """What the model is, and a few lines that use it."""
    told = metadata_of(made)
    height, width = model.size
    return _README.format(
        key=model.design.key,
        accuracy=_accuracy_line(accuracy),
        height=height,
        width=width,
        mean=INPUT_MEAN,
        std=INPUT_STD,
        dtype="float16" if told["precision"] == "float16" else "float32",
        input=INPUT,
        metres=METRES[model.target],
        stride=getattr(model.design, "output_stride", 2),
        opset=made.opset_import[0].version,
        precision=told["precision"],
    )


def licence_text() -> str:
    """Apache-2.0 as this program carries it: in a checkout, or installed."""
    beside = Path(__file__).parents[2] / "LICENSE"
    if beside.is_file():
        return beside.read_text(encoding="utf-8")
    return distribution("depthnet-nano").read_text("licenses/LICENSE") or "Apache-2.0\n"


def _accuracy_line(accuracy: dict[str, Any]) -> str:
    if not accuracy:
        return "Its accuracy was not measured."
    exported = accuracy["exported"]
    return (
        f"delta1 {exported['delta1']:.4f}, abs_rel {exported['abs_rel']:.4f} on"
        f" {exported['data']}, protocol {exported['protocol']}."
    )
