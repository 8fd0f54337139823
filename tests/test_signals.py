"""Signals around the start of processes."""

from __future__ import annotations

import subprocess
import sys

import pytest

# A process of its own: only the first that it starts is in question.
FIRST = """
import multiprocessing, pathlib, signal, time
from nano.signals import signals_held

process = multiprocessing.get_context("spawn").Process(target=time.sleep, args=(60,), daemon=True)
with signals_held():
    process.start()
status = pathlib.Path(f"/proc/{process.pid}/status").read_text()
held = int(status.split("SigBlk:")[1].split()[0], 16)
process.kill()
print(all(held >> number - 1 & 1 for number in (signal.SIGINT, signal.SIGTERM)))
print(signal.pthread_sigmask(signal.SIG_BLOCK, []) == set())
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_the_first_process_never_hears_ctrl_c_and_its_parent_does_again() -> None:
    done = subprocess.run([sys.executable, "-c", FIRST], capture_output=True, text=True)
    assert done.stdout.split() == ["True", "True"], done.stderr
