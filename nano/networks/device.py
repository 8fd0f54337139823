"""Where networks run: what torch sees on this machine."""

from __future__ import annotations

import os

import torch

from nano.errors import InputError


def default_device() -> str:
    """``cuda`` when torch sees one, else ``cpu``."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def gpus() -> tuple[str, ...]:
    """The GPUs that torch sees, each as CUDA_VISIBLE_DEVICES would name it."""
    if not torch.cuda.is_available():
        return ()
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    count = torch.cuda.device_count()
    return tuple(named.split(",")[:count]) if named else tuple(map(str, range(count)))


def torch_device(name: str) -> torch.device:
    """The device of that name; an InputError when torch does not see it."""
    try:
        device = torch.device(name)
    except RuntimeError as unknown:
        raise InputError(f"device {name!r}: use cpu, cuda or cuda:N") from unknown
    if device.type == "cuda" and not torch.cuda.is_available():
        raise InputError(f"device {name!r}: torch sees no CUDA device here; use cpu")
    if device.type not in {"cpu", "cuda"}:
        raise InputError(f"device {name!r}: use cpu, cuda or cuda:N")
    return device
