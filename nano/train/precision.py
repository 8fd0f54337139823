"""Which arithmetic a training runs in on this machine."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from nano.errors import StudyError


def resolve_precision(wanted: str, device: torch.device) -> str:
    """``float32``, ``bf16`` or ``fp16``; ``auto`` is bf16 where there are instructions for it.

    Emulated bf16 is slower than float32, so what torch accepts is not asked, but what the
    processor says it has. Who asks for bf16 by name gets it everywhere.

    Raises:
        StudyError: fp16 without CUDA.
    """
    if wanted == "fp16" and device.type != "cuda":
        raise StudyError(f"recipe precision = 'fp16': needs cuda, not {device.type}; use 'auto'")
    if wanted != "auto":
        return wanted
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float32"
    return "bf16" if cpu_has_bf16() else "float32"


def cpu_has_bf16(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether the processor lists AVX512_BF16 or AMX_BF16 (x86 Linux; elsewhere no)."""
    try:
        text = cpuinfo.read_text(encoding="utf-8", errors="replace")
    except OSError:  # not Linux: unknown, and float32 is right everywhere
        return False
    lines = text.splitlines()
    flags = next((line.split(":", 1)[1].split() for line in lines if line.startswith("flags")), [])
    return bool({"avx512_bf16", "amx_bf16"} & set(flags))


@contextmanager
def denormals_flushed() -> Iterator[None]:
    """Let this thread's processor take numbers below 1e-38 for zero; put back as it was.

    SELU makes many of them and they cost a hundred cycles each. The mode belongs to the thread,
    not to torch: left on, it breaks whatever else relies on IEEE numbers.
    """
    were_flushed = sys.float_info.min / 2 == 0
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(were_flushed)
