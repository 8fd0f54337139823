"""What a number was made on: the processor, the versions, the commit. Written beside results."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = ("depthnet-nano", "torch", "optuna", "numpy", "scipy", "pydantic", "pillow")


def machine() -> dict[str, str | int]:
    """Processor model, cores this process may use, system; no name of the host or its user."""
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else _cores(),
        "system": platform.platform(),
    }


def versions() -> dict[str, str]:
    """Python and the packages that results depend on, as installed."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:  # run from a checkout that was never installed
            found[package] = "not installed"
    return found


def commit(folder: Path) -> str | None:
    """The git commit that ``folder`` is at, with ``+`` when files differ; None outside git."""
    command = ["git", "-C", str(folder)]
    try:
        head = subprocess.run(
            [*command, "rev-parse", "--short=12", "HEAD"],
            capture_output=True,
            text=True,
            check=True,
        )
        changes = subprocess.run(
            [*command, "status", "--porcelain", "--untracked-files=no"],
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return head.stdout.strip() + ("+" if changes.stdout.strip() else "")


def _processor() -> str:
    """The model's name where the system tells it."""
    table = Path("/proc/cpuinfo")
    if table.exists():
        for line in table.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _cores() -> int:
    return os.cpu_count() or 1
