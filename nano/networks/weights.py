"""Weights that a user brings: read without running code, matched by name, and told.

A file may hold the whole network or one part of it, such as an encoder that torchvision's ImageNet
weights fit; then the rest keeps its start. Files are read from disk and never fetched.
"""

from __future__ import annotations

import pickle
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from nano.errors import DataError

_WRAPPERS = ("state_dict", "model", "network")  # entries of a checkpoint that hold the tensors
_COUNTER = "num_batches_tracked"  # files older than torch 0.4.1 lack it, and nothing depends on it
# What torch's reader raises on bytes that are not its own; it does not tell them apart.
_DAMAGE = (
    *(RuntimeError, EOFError, LookupError, ValueError, TypeError, AttributeError, AssertionError),
    struct.error,
)
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
        if self.missing:
            line += f"; {len(self.missing)} missing: {_some(self.missing)}"
        if self.unexpected:
            line += f"; {len(self.unexpected)} unexpected: {_some(self.unexpected)}"
        return line


def load_weights(network: nn.Module, path: Path) -> Loaded:
    """Fill the network, or the part of it that the file fits best.

    Prefixes such as ``module.`` (of a parallel training) or ``features.`` are seen through.

    Args:
        network: Changed in place, and only when everything fits.
        path: ``.safetensors``, or what ``torch.save(state_dict)`` wrote.

    Raises:
        DataError: The file cannot be read, holds more than tensors, lacks tensors of the part that
            it fits best, or has them in other shapes; the message names them.
    """
    tensors = read_tensors(path)
    wanted = network.state_dict()
    prefix, part = _best_fit(tensors, wanted)
    found = _under(prefix, tensors)
    places = _under(part, wanted)
    missing = sorted(places.keys() - found.keys())
    named = {name: prefix + name for name in found}
    unexpected = sorted({*tensors} - {named[name] for name in found.keys() & places.keys()})
    lacking = [name for name in missing if not name.endswith(_COUNTER)]
    if lacking:
        raise DataError(
            f"{path}: fits {part.rstrip('.') or 'the whole network'} best, but"
            f" {len(lacking)} of {len(places)} tensors are missing: {_some(lacking)};"
            f" {len(unexpected)} are unexpected{': ' if unexpected else ''}{_some(unexpected)}"
        )
    taken = {name: found[name] for name in places if name in found}
    _check_shapes(taken, places, path)
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
    # On a tie the shorter names: the whole network before a part of it.
    _, prefix, part = max(pairs, key=lambda pair: (pair[0], -len(pair[1]) - len(pair[2])))
    return prefix, part


def _prefixes(names: Iterable[str]) -> list[str]:
    """The empty one, and what stands before the first dot of each name."""
    heads = dict.fromkeys(name.partition(".")[0] + "." for name in names if "." in name)
    return ["", *heads]


def _under(prefix: str, named: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name.removeprefix(prefix): value for name, value in named.items() if name.startswith(prefix)
    }


def _check_shapes(found: Mapping[str, Tensor], places: Mapping[str, Tensor], path: Path) -> None:
    for name, tensor in found.items():
        if tensor.shape != places[name].shape:
            raise DataError(
                f"{path}: tensor {name} has shape {tuple(tensor.shape)}, should have"
                f" {tuple(places[name].shape)}: another size, or another width, of the network"
            )


def _some(names: Iterable[str]) -> str:
    names = list(names)
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
