"""Weights that a user brings: read without running code, matched by name, and told.

A file may hold the whole network or one part of it, such as an encoder that torchvision's ImageNet
weights fit; then the rest keeps its start. Files are read from disk and never fetched.
"""

from __future__ import annotations

import pickle
import re
import struct
import warnings
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from nano.errors import DataError

_WRAPPERS = (
    "state_dict",
    "model_state_dict",
    "model",
    "network",
)  # entries of a checkpoint that hold the tensors
_COUNTER = "num_batches_tracked"  # files older than torch 0.4.1 lack it, and nothing depends on it
# What torch's reader raises on bytes that are not its own; it does not tell them apart.
_DAMAGE = (
    RuntimeError,
    EOFError,
    LookupError,
    ValueError,
    TypeError,
    AttributeError,
    AssertionError,
    struct.error,
)
# How published files name what bears another name here.
_PUBLISHED = (
    # torchvision's DenseNets, which it renames when it loads them itself
    (re.compile(r"\b(denselayer\d+\.(?:norm|conv))\.([12])\."), r"\1\2."),
    # FastDepth's decoder: a depthwise part .0 and a pointwise part .1, each with its norm
    (re.compile(r"\bdecode_conv([1-5])\.0\.([01])\."), r"up\1.\2."),
    (re.compile(r"\bdecode_conv([1-5])\.1\.0\."), r"up\1.3."),
    (re.compile(r"\bdecode_conv([1-5])\.1\.1\."), r"up\1.4."),
    (re.compile(r"\bdecode_conv6\."), "head."),
)
_SHARED = 10  # a beginning of names counts as a prefix when one name in so many has it
_SHOWN = 5  # names of tensors in a message


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """What became of a file of weights.

    Attributes:
        path: The file.
        part: The part of the network that it filled; "" for the whole.
        loaded: Tensors taken.
        missing: Tensors of the part that the file lacks; only counters of batches may be.
        unexpected: Tensors of the file that the part has no place for.
    """

    path: Path
    part: str
    loaded: int
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]

    def told(self) -> str:
        """One line for a person."""
        where = f"into {self.part}, the rest is fresh" if self.part else "the whole network"
        line = f"{self.path}: {self.loaded} tensors, {where}"
        if self.unexpected:
            line += f"; {len(self.unexpected)} unexpected: {_some(self.unexpected)}"
        return line


def load_weights(network: nn.Module, path: Path) -> Loaded:
    """Fill the network, or the part of it that the file fits best.

    Prefixes such as ``module.`` (of a parallel training) or ``encoder.features.`` are seen through,
    and the names of torchvision and of FastDepth's authors are known.

    Args:
        network: Changed in place, and only when everything fits.
        path: ``.safetensors``, or what ``torch.save(state_dict)`` wrote.

    Raises:
        DataError: The file cannot be read, holds more than tensors, lacks tensors of the part that
            it fits best, has them in other shapes, is of a larger network, or holds what is no
            finite number; the message names them.
    """
    tensors = {_renamed(name): tensor for name, tensor in read_tensors(path).items()}
    wanted = network.state_dict()
    prefix, part = _best_fit(tensors, wanted)
    found = _under(prefix, tensors)
    places = _under(part, wanted)
    missing = sorted(places.keys() - found.keys())
    named = {name: prefix + name for name in found}
    unexpected = sorted({*tensors} - {named[name] for name in found.keys() & places.keys()})
    _check_names(places, found, prefix, part, unexpected, path)
    taken = {name: found[name] for name in places if name in found}
    _check_tensors(taken, places, path)
    with torch.no_grad():
        for name, tensor in taken.items():
            wanted[part + name].copy_(tensor)
    return Loaded(
        path=path,
        part=part.rstrip("."),
        loaded=len(taken),
        missing=tuple(missing),
        unexpected=tuple(unexpected),
    )


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors in a file by name, on the CPU; no pickle is ever run."""
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        with warnings.catch_warnings():
            # Which pickle protocol wrote it matters to nobody: it loads, or is refused below.
            warnings.filterwarnings("ignore", "Detected pickle protocol", UserWarning)
            plain: Any = torch.load(path, map_location="cpu", weights_only=True)
    except SafetensorError as damaged:
        raise DataError(f"{path}: not a whole safetensors file: {damaged}") from damaged
    except pickle.UnpicklingError as refused:
        raise DataError(
            f"{path}: holds more than tensors, or is no file of torch's; save its state_dict alone,"
            " best as safetensors"
        ) from refused
    except _DAMAGE as damaged:
        raise DataError(f"{path}: not a file that torch.save wrote, or a damaged one") from damaged
    except OSError as unreadable:
        reason = unreadable.strerror or str(unreadable)
        raise DataError(f"{path}: cannot be read: {reason}") from unreadable
    return _unwrapped(plain, path)


def _unwrapped(plain: Any, path: Path) -> dict[str, Tensor]:
    """The state_dict itself, or the one that a checkpoint holds beside other things."""
    inner = [plain[name] for name in _WRAPPERS if isinstance(plain, Mapping) and name in plain]
    held = next((one for one in inner if isinstance(one, Mapping)), plain)
    pairs = held.items() if isinstance(held, Mapping) else ()
    tensors = {str(name): value for name, value in pairs if isinstance(value, Tensor)}
    if not tensors:
        raise DataError(f"{path}: holds no state_dict, that is tensors by name")
    return tensors


def _renamed(name: str) -> str:
    for published, ours in _PUBLISHED:
        name = published.sub(ours, name)
    return name


def _best_fit(found: Iterable[str], wanted: Iterable[str]) -> tuple[str, str]:
    """The prefix in the file and the part of the network under which most names are the same."""
    pairs = [
        (
            len(_under(prefix, dict.fromkeys(found)).keys() & _under(part, places).keys()),
            prefix,
            part,
        )
        for places in [dict.fromkeys(wanted)]
        for prefix in _prefixes(found)
        for part in _prefixes(wanted)
    ]
    # On a tie what lacks least (a file of an encoder is not a damaged network), then shorter names.
    lacking = {part: len(_under(part, dict.fromkeys(wanted))) for _, _, part in pairs}
    _, prefix, part = max(
        pairs, key=lambda pair: (pair[0], -lacking[pair[2]], -len(pair[1]) - len(pair[2]))
    )
    return prefix, part


def _prefixes(names: Iterable[str]) -> list[str]:
    """The empty one, and the beginnings, up to a dot, that many names share."""
    names = list(names)
    counts = Counter(name[: dot.end()] for name in names for dot in re.finditer(r"\.", name))
    return ["", *(prefix for prefix, count in counts.items() if count * _SHARED >= len(names))]


def _under(prefix: str, named: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name.removeprefix(prefix): value for name, value in named.items() if name.startswith(prefix)
    }


def _check_names(
    places: Mapping[str, Tensor],
    found: Mapping[str, Tensor],
    prefix: str,
    part: str,
    unexpected: list[str],
    path: Path,
) -> None:
    """Raise unless the file holds all of the part, and nothing more of its inner parts."""
    if not places.keys() & found.keys():
        raise DataError(
            f"{path}: no tensor of it belongs to this network; it has {_some(sorted(found))},"
            f" the network {_some(sorted(places))}"
        )
    lacking = sorted(name for name in places.keys() - found.keys() if not name.endswith(_COUNTER))
    if lacking:
        raise DataError(
            f"{path}: fits {part.rstrip('.') or 'the whole network'} best, but of {len(places)}"
            f" tensors {len(lacking)} missing: {_some(lacking)};"
            f" {len(unexpected)} unexpected{': ' if unexpected else ''}{_some(unexpected)}"
        )
    children = {name.partition(".")[0] for name in places}
    more = [name for name in unexpected if name.removeprefix(prefix).partition(".")[0] in children]
    if more:
        raise DataError(
            f"{path}: holds all of {part.rstrip('.') or 'the network'} and, within its parts,"
            f" {len(more)} tensors more: {_some(more)}; these are another network's weights"
        )


def _check_tensors(found: Mapping[str, Tensor], places: Mapping[str, Tensor], path: Path) -> None:
    for name, tensor in found.items():
        if tensor.is_floating_point() != places[name].is_floating_point():
            raise DataError(
                f"{path}: tensor {name} is {tensor.dtype}, should be {places[name].dtype};"
                " quantised weights are for the device alone"
            )
        if not torch.isfinite(tensor).all():
            raise DataError(f"{path}: tensor {name} holds NaN or infinity: a training broke off")
        if tensor.shape != places[name].shape:
            raise DataError(
                f"{path}: tensor {name} has shape {tuple(tensor.shape)}, should have"
                f" {tuple(places[name].shape)}: another size, or another width, of the network"
            )


def _some(names: Iterable[str]) -> str:
    names = list(names)
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
