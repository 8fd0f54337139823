"""How long each command takes to answer ``--help``, in multiples of Python itself.

python -m benchmarks.start
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time

from nano.__main__ import COMMANDS

BARE = ["-c", "pass"]
ASKED = {"slowest_over_bare": "<= 10"}


def measure(rounds: int = 15) -> dict[str, object]:
    """Median wall milliseconds of bare Python and of every command, in interleaved rounds."""
    lines = {"bare": BARE} | {name: ["-m", name, "--help"] for name in ("nano", *COMMANDS)}
    seconds: dict[str, list[float]] = {name: [] for name in lines}
    for _ in range(rounds):
        for name, line in lines.items():
            start = time.perf_counter()
            subprocess.run([sys.executable, *line], check=True, stdout=subprocess.DEVNULL)
            seconds[name].append(time.perf_counter() - start)
    median = {name: statistics.median(values) for name, values in seconds.items()}
    ratios = {name: round(median[name] / median["bare"], 2) for name in lines if name != "bare"}
    return {
        "rounds": rounds,
        "bare_ms": round(1e3 * median["bare"], 1),
        "over_bare": ratios,
        "slowest_over_bare": max(ratios.values()),
    }


if __name__ == "__main__":
    print(json.dumps(measure(), indent=1))
