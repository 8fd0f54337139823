"""The files of a made-up Jetson: an own root folder with tools that are `nano.bench.demo.fakes`."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from nano.bench.board import TRTEXEC
from nano.bench.demo import fakes
from nano.bench.nvpmodel import Mode

NAME = "demo"
RELEASE = (
    "# R35 (release), REVISION: 4.1, GCID: 0, BOARD: demo, EABI: aarch64, "
    "DATE: Sat Jan  1 00:00:00 UTC 2000\n"
)
MODES = (
    Mode(id=0, name="MAXN", gpu_mhz=1300),
    Mode(id=1, name="MODE_10W", gpu_mhz=500),
    Mode(id=2, name="MODE_15W", gpu_mhz=700),
    Mode(id=3, name="MODE_30W", gpu_mhz=900),
)
IS_IN, NEEDS_REBOOT = 2, 1


@dataclass(frozen=True, kw_only=True)
class Made:
    """What the made-up device is.

    Attributes:
        tensorrt: Its version.
        banner: What trtexec prints of it; empty up to version 7.
        logins: Who is logged in.
        faults: By tool: ``hang``, ``mojibake``, ``full`` and those told in `fakes`.
        logs: Recorded logs to replay, by name: ``tegrastats.log``, ``trtexec.log``.
        missing: Tools and files that are not there.
    """

    tensorrt: str = "8.5.2"
    banner: str = " [TensorRT v8502]"
    logins: Sequence[str] = ()
    faults: Mapping[str, str] = field(default_factory=dict)
    logs: Mapping[str, str] = field(default_factory=dict)
    missing: Sequence[str] = ()


def make(root: Path, made: Made) -> None:
    """Write the device's files below ``root``."""
    about = {
        "tensorrt": made.tensorrt,
        "banner": made.banner,
        "logins": list(made.logins),
        "modes": [{"id": m.id, "name": m.name, "gpu_mhz": m.gpu_mhz} for m in MODES],
        "reboots": [NEEDS_REBOOT],
    }
    files = {
        "device.json": json.dumps(about),
        "faults.json": json.dumps(dict(made.faults)),
        "mode": str(IS_IN),
        "etc/nv_tegra_release": RELEASE,
        "etc/nvpmodel.conf": "".join(map(_mode, MODES)) + f"< PM_CONFIG DEFAULT={IS_IN} >\n",
        "proc/device-tree/model": f"{NAME}\0",
        "proc/device-tree/compatible": "nvidia,demo\0nvidia,tegra234\0",
        "tmp/README": "where those who measure take turns\n",
        **{f"logs/{name}": text for name, text in made.logs.items()},
    }
    tools = {TRTEXEC if tool == "trtexec" else f"bin/{tool}": tool for tool in fakes.TOOLS}
    files |= {place: _script(root, tool) for place, tool in tools.items()}
    files |= {f"bin/{tool}": f"#!/bin/sh\n{lines}\n" for tool, lines in _plain_tools(made).items()}
    for place, text in files.items():
        if place in made.missing:
            continue
        path = root / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755 if text.startswith("#!") else 0o644)


def _plain_tools(made: Made) -> dict[str, str]:
    """Those that need no state, as lines of the shell."""
    library = f"libnvinfer{made.tensorrt.partition('.')[0]} {made.tensorrt}-1"
    refusal = "echo 'sudo: a password is required' >&2; exit 1"
    return {
        "python3": f'exec {shlex.quote(sys.executable)} -IS "$@"',
        "sudo": refusal if made.faults.get("sudo") == "password" else 'shift; exec "$@"',
        "dpkg-query": f'case "$3" in libnvinfer*) echo "{library}";; *) exit 1;; esac',
        "who": "\n".join(f"echo '{name} pts/0 2000-01-01 00:00'" for name in made.logins),
    }


def _mode(mode: Mode) -> str:
    hertz = 1_000_000 * (mode.gpu_mhz or 0)
    return f"< POWER_MODEL ID={mode.id} NAME={mode.name} >\nGPU MAX_FREQ {hertz}\n"


def _script(root: Path, tool: str) -> str:
    words = [sys.executable, "-IS", str(fakes.__file__), tool, str(root)]  # -S: starts at once
    return f'#!/bin/sh\nexec {" ".join(map(shlex.quote, words))} "$@"\n'
