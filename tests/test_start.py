"""``--help`` answers at once: no command loads a heavy package before it has parsed its options."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from nano.__main__ import COMMANDS

NANO = Path(__file__).parent.parent / "nano"
HEAVY = ("torch", "optuna", "pydantic", "numpy", "scipy", "pandas", "matplotlib", "rich", "PIL")
PROBE = f"""
import json, runpy, sys
command = sys.argv[1]
sys.argv[1:] = ["--help"]
try:
    runpy.run_module(command, run_name="__main__", alter_sys=True)
except SystemExit as end:
    code = end.code or 0
loaded = sorted(set({HEAVY!r}) & set(sys.modules))
print("\\n" + json.dumps({{"code": code, "loaded": loaded}}))
"""


def test_every_command_is_listed() -> None:
    paths = [path.relative_to(NANO.parent) for path in NANO.glob("*/__main__.py")]
    paths += [
        path.relative_to(NANO.parent)
        for path in NANO.rglob("[!_]*.py")
        if "    run(main)\n" in path.read_text()
    ]
    modules = {".".join(path.with_suffix("").parts).removesuffix(".__main__") for path in paths}
    assert set(COMMANDS) == modules


@pytest.mark.parametrize("command", ["nano", *COMMANDS])
def test_help_loads_nothing_heavy(command: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROBE, command], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    *text, last = done.stdout.splitlines()
    assert json.loads(last) == {"code": 0, "loaded": []}
    assert any(line.strip() for line in text), "no help text"


def test_list_of_commands_gives_each_one_line() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "nano"], capture_output=True, text=True, timeout=60, check=True
    )
    for command, purpose in COMMANDS.items():
        assert sum(command in line and purpose in line for line in done.stdout.splitlines()) == 1


@pytest.mark.slow
def test_a_search_does_not_wait_for_what_only_some_studies_need() -> None:
    others = ("asyncssh", "bottle", "h5py", "matplotlib", "onnx", "onnxruntime", "ray")
    probe = (
        "import sys, nano.explore.run, nano.explore.serve;"
        f"sys.exit(str(sorted(set({others!r}) & set(sys.modules))))"
    )
    done = subprocess.run(
        [sys.executable, "-c", probe], capture_output=True, text=True, timeout=120
    )
    assert done.stderr.strip() == "[]"
