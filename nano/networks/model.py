"""A MODEL folder: ``design.json`` and ``model.safetensors``, nothing that can run code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from nano.errors import DataError, DesignError
from nano.files import write_bytes, write_json
from nano.networks.catalog import (
    DESIGN_FILE,
    Architecture,
    plain_architecture,
    read_architecture,
)
from nano.networks.depthnet import DepthNet
from nano.networks.start import empty, skeleton
from nano.networks.target import TARGETS

FORMAT_VERSION = "1"
WEIGHTS_FILE = "model.safetensors"


@dataclass(frozen=True, kw_only=True)
class Model:
    """A network with all that is needed to use it.

    Attributes:
        design: What the network was built from: a design, or a baseline of the catalogue.
        network: On the CPU and in evaluation mode when loaded.
        target: What its output means, a key of `nano.networks.target.TARGETS`.
        size: Height and width of the images it was trained on.
    """

    design: Architecture
    network: nn.Module
    target: str
    size: tuple[int, int]


def save_model(folder: Path, model: Model) -> None:
    """Write both files, each whole or not at all.

    The weights name the design they belong to, so that a kill between the two files is found out
    by `load_model`.

    Raises:
        DesignError: The network was built from another design, or the size does not fit it.
        DataError: The target is unknown.
        OutputError: The folder cannot be written.
    """
    model.design.check_size(model.size)
    _check_built(model, folder)
    _check_target(model.target, model.design, str(folder))
    tensors = {
        name: tensor.detach().cpu().contiguous()
        for name, tensor in model.network.state_dict().items()
    }
    height, width = model.size
    metadata = {
        "nano_model": FORMAT_VERSION,
        "design": model.design.key,
        "target": model.target,
        "size": f"{height}x{width}",
    }
    write_bytes(folder / WEIGHTS_FILE, save(tensors, metadata))
    write_json(folder / DESIGN_FILE, plain_architecture(model.design))


def load_model(folder: Path) -> Model:
    """Read a MODEL folder; the weights are bit for bit those that were saved.

    Raises:
        DesignError: design.json is missing, damaged or no design, or the size does not fit it.
        DataError: model.safetensors is missing, damaged, foreign, or belongs to another design.
    """
    design = read_architecture(folder / DESIGN_FILE)
    path = folder / WEIGHTS_FILE
    metadata, tensors = _read_weights(path)
    _check_metadata(metadata, design, path)
    size = _size(metadata["size"], design, path)
    network = empty(design, size)
    _check_tensors(tensors, network.state_dict(), path)
    network.load_state_dict(tensors)
    return Model(design=design, network=network.eval(), target=metadata["target"], size=size)


def _check_built(model: Model, folder: Path) -> None:
    """A DesignError unless the network is what its design describes."""
    if isinstance(model.network, DepthNet):
        built = model.network.design.key
    else:
        wanted = skeleton(model.design, model.size).state_dict()
        found = model.network.state_dict()
        same = {n: t.shape for n, t in wanted.items()} == {n: t.shape for n, t in found.items()}
        built = model.design.key if same else type(model.network).__name__
    if built != model.design.key:
        raise DesignError(
            f"{folder}: the network was built from design {built}, not from {model.design.key}"
        )


def _read_weights(path: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    if not path.is_file():
        raise DataError(f"{path}: no such file; a model folder holds {DESIGN_FILE} and it")
    try:
        with safe_open(path, framework="pt") as file:
            names = file.keys()
            return dict(file.metadata() or {}), {name: file.get_tensor(name) for name in names}
    except SafetensorError as damaged:
        raise DataError(f"{path}: not a whole safetensors file: {damaged}") from damaged
    except OSError as unreadable:
        reason = unreadable.strerror or str(unreadable)
        raise DataError(f"{path}: cannot be read: {reason}") from unreadable


def _check_metadata(metadata: Mapping[str, str], design: Architecture, path: Path) -> None:
    version = metadata.get("nano_model")
    if version is None:
        raise DataError(f"{path}: a safetensors file, but not one that nano wrote")
    if version != FORMAT_VERSION:
        raise DataError(
            f"{path}: format version {version}; this nano reads version {FORMAT_VERSION}"
        )
    missing = [name for name in ("design", "target", "size") if name not in metadata]
    if missing:
        raise DataError(f"{path}: its metadata lacks {', '.join(missing)}")
    if metadata["design"] != design.key:
        raise DataError(
            f"{path}: weights of design {metadata['design']}, but {DESIGN_FILE} beside them"
            f" is design {design.key}"
        )
    _check_target(metadata["target"], design, str(path))


def _check_target(target: str, design: Architecture, where: str) -> None:
    if target not in TARGETS:
        raise DataError(f"{where}: unknown target {target!r}; known: {', '.join(TARGETS)}")
    if TARGETS[target].outputs != design.outputs:
        raise DataError(
            f"{where}: target {target!r} reads {TARGETS[target].outputs} numbers a pixel, but"
            f" network {design.key} writes {design.outputs}"
        )


def _size(text: str, design: Architecture, path: Path) -> tuple[int, int]:
    try:
        height, width = (int(side) for side in text.split("x"))
    except ValueError as error:
        raise DataError(f"{path}: size {text!r}, should read like 384x1280") from error
    design.check_size((height, width))
    return height, width


def _check_tensors(found: Mapping[str, Tensor], wanted: Mapping[str, Tensor], path: Path) -> None:
    missing = sorted(wanted.keys() - found.keys())
    extra = sorted(found.keys() - wanted.keys())
    if missing:
        raise DataError(f"{path}: lacks {len(missing)} tensors, {missing[0]} among them")
    if extra:
        raise DataError(f"{path}: holds {len(extra)} unknown tensors, {extra[0]} among them")
    for name, tensor in wanted.items():
        got = found[name]
        if got.shape != tensor.shape or got.dtype != tensor.dtype:
            raise DataError(
                f"{path}: tensor {name} is {got.dtype} of shape {tuple(got.shape)},"
                f" should be {tensor.dtype} of shape {tuple(tensor.shape)}"
            )
