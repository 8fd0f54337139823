"""A training on disk, from which it goes on as if it had never been interrupted.

There are no random states in it because there are none in a training: the start of the weights is
a function of the seed, the order of the images and their flips one of the step
(`nano.train.batches.Order`), and so is the rate (`Recipe.rate`).
"""

from __future__ import annotations

import hashlib
import io
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from nano.errors import RunError
from nano.files import write_bytes

_MAGIC = b"nano training checkpoint 3\n"
_DIGEST = 32  # bytes of SHA-256, between the magic line and what torch.save wrote


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """Everything that the next step depends on.

    Attributes:
        identity: What is trained, by what, on what: plain text by name. Another identity's
            checkpoint is refused.
        step: Steps taken.
        network: Its state_dict.
        optimiser: Its state_dict.
        average: The averaged weights by name (`nano.train.average`); empty without an average.
        scaler: The loss's scale under fp16; empty otherwise.
        curve: Points so far: (step, images, loss, learning rate).
        losses: Of the steps since the last point.
        start: See `nano.train.watch.Watch`.
        running: See there.
        seconds: Wall time spent so far.
    """

    identity: Mapping[str, str]
    step: int
    network: Mapping[str, Any]
    optimiser: Mapping[str, Any]
    average: Mapping[str, Any]
    scaler: Mapping[str, Any]
    curve: tuple[tuple[int, int, float, float], ...]
    losses: tuple[float, ...]
    start: float | None
    running: float
    seconds: float


def write_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write the whole file or leave the old one; a full disk raises an OutputError.

    Serialised in memory first: torch's own writer turns a full disk into a bare RuntimeError.
    """
    buffer = io.BytesIO()
    torch.save({**checkpoint.__dict__, "identity": dict(checkpoint.identity)}, buffer)
    payload = buffer.getvalue()
    write_bytes(path, _MAGIC + hashlib.sha256(payload).digest() + payload)


def read_checkpoint(path: Path, identity: Mapping[str, str]) -> Checkpoint | None:
    """The checkpoint of this training, or None where there is no file.

    Removes what a write that was killed left beside it. Tensors come back on the CPU.

    Raises:
        RunError: The file is damaged, or belongs to another training; the message says what
            differs. Neither can come from an interruption, so nothing is thrown away silently.
    """
    for part in path.parent.glob(f".{path.name}.*.part"):
        part.unlink(missing_ok=True)
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise RunError(f"{path}: cannot be read: {error.strerror}") from error
    checkpoint = _parse(path, content)
    differing = sorted(
        name
        for name in checkpoint.identity.keys() | identity.keys()
        if checkpoint.identity.get(name) != identity.get(name)
    )
    if differing:
        was = "; ".join(
            f"{name} {checkpoint.identity.get(name)} there, {identity.get(name)} here"
            for name in differing
        )
        raise RunError(
            f"{path}: checkpoint of another training: {was}; delete it or name another place"
        )
    return checkpoint


def _parse(path: Path, content: bytes) -> Checkpoint:
    head = len(_MAGIC) + _DIGEST
    digest, payload = content[len(_MAGIC) : head], content[head:]
    if not content.startswith(_MAGIC):
        raise RunError(f"{path}: not a checkpoint of this version of nano.train; delete it")
    if hashlib.sha256(payload).digest() != digest:
        raise RunError(f"{path}: damaged checkpoint (checksum differs); delete it to start anew")
    try:
        plain = torch.load(io.BytesIO(payload), map_location="cpu", weights_only=True)
        return Checkpoint(**plain)
    except (pickle.UnpicklingError, RuntimeError, TypeError) as error:
        raise RunError(f"{path}: not a checkpoint of this version: {error}; delete it") from error
