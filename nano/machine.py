"""What a number was made on: the processor, the versions, the commit. Written beside results."""

from __future__ import annotations

import os
import platform
import subprocess
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = ("depthnet-nano", "torch", "optuna", "cmaes", "numpy", "scipy", "pillow", "pydantic")


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
