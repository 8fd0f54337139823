"""Freed memory stays with a process that asked for it."""

import platform
import subprocess
import sys

import pytest

FAULTS = """
from resource import RUSAGE_SELF, getrusage
from nano.memory import keep_freed_memory
import numpy as np
kept = {keep} and keep_freed_memory()
np.ones(8_000_000)
before = getrusage(RUSAGE_SELF).ru_minflt
for _ in range(10):
    np.ones(8_000_000)  # 64 MB: more than glibc ever keeps by itself
print(int(kept), getrusage(RUSAGE_SELF).ru_minflt - before)
"""


def faults(keep: bool) -> tuple[bool, int]:
    """Whether the allocator took the settings, and the page faults of ten large allocations."""
    done = subprocess.run(
        [sys.executable, "-c", FAULTS.format(keep=keep)],
        capture_output=True,
        text=True,
        check=True,
    )
    kept, count = done.stdout.split()
    return bool(int(kept)), int(count)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="an allocator setting of glibc")
def test_pages_are_cleared_once() -> None:
    kept, count = faults(keep=True)
    assert kept
    assert count < faults(keep=False)[1] / 4
