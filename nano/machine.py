"""What a number was made on: the processor, the versions, the commit. Written beside results."""

from __future__ import annotations

import os
import platform
import subprocess
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES: tuple[str, ...] = ("depthnet-nano", "torch", "optuna", "cmaes", "numpy", "scipy")
PACKAGES += ("pillow", "pydantic", "onnx", "onnxruntime")


def machine() -> dict[str, str | int]:
    """Processor model, cores this process may use, system; no name of the host or its user."""
    return {
        "processor": _processor(),
        "cores": cores(),
        "system": platform.platform(),
    }


def cores() -> int:
    """Processors this process may use."""
    if hasattr(os, "sched_getaffinity"):  # Linux only
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def available_memory() -> int | None:
    """Bytes that can be had without swapping, within a container's limit; None where not told."""
    found = [_memory_free(), _memory_of_container()]
    return min((each for each in found if each is not None), default=None)


def _memory_free() -> int | None:
    with suppress(OSError):
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return None


def _memory_of_container() -> int | None:
    """What is left of the limit of the control group that this process sees as its root."""
    with suppress(OSError, ValueError):  # ValueError: the limit is the word "max"
        folder = Path("/sys/fs/cgroup")
        limit = int((folder / "memory.max").read_text())
        return max(0, limit - int((folder / "memory.current").read_text()))
    return None


def versions() -> dict[str, str]:
    """Python and those packages that results depend on, as far as installed."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        with suppress(PackageNotFoundError):
            found[package] = version(package)
    return found


def commit(folder: Path) -> str | None:
    """The git commit that ``folder`` is at, ``-dirty`` when tracked files differ; None without."""
    command = ["git", "-C", str(folder), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        done = subprocess.run(
            [*command, "--exclude=*"], capture_output=True, text=True, check=True, timeout=10
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _processor() -> str:
    """The model's name where the system tells it."""
    table = Path("/proc/cpuinfo")
    if table.exists():
        for line in table.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
