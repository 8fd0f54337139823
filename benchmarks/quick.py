"""The default study, whole: its time, what of it is not training or evaluation, and what it finds.

``python -m benchmarks.run quick`` runs it as a user would for the first time: in a folder and with
a cache of its own. Its minutes hold the rendering of the scenes; the overhead does not, because
that is done once for all studies.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage
from tempfile import TemporaryDirectory
from typing import Any

from nano.data.sets import prepare_sets
from nano.explore.__main__ import default_study
from nano.explore.study import read_study
from nano.machine import cores

ASKED = {
    "exit_code": "<= 0",
    "minutes": "<= 6",
    "overhead_percent": "<= 3",
    "trials": ">= 30",
    "gain_db": ">= 0",
}


def measure() -> dict[str, Any]:
    """Run the study once; about five minutes on two cores."""
    study = read_study(default_study())
    with TemporaryDirectory() as folder, TemporaryDirectory() as caches:
        began = time.perf_counter()
        prepare_sets(study.data, Path(), Path(caches, "depthnet-nano"), workers=cores())
        rendering = time.perf_counter() - began
        before = getrusage(RUSAGE_CHILDREN)
        began = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-m", "nano.explore", "--quiet", "--out", folder],
            env={**os.environ, "XDG_CACHE_HOME": caches},
            check=False,
        )
        wall = time.perf_counter() - began
        after = getrusage(RUSAGE_CHILDREN)
        run = json.loads(Path(folder, "run.json").read_text(encoding="utf-8"))
        with Path(folder, "trials.csv").open(encoding="utf-8") as table:
            trials = sum(1 for _ in table) - 1
    summary = run["summary"]
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    workers = summary["workers"]
    best, reference = summary.get("best", {}), summary.get("reference", {})
    return {
        "exit_code": done.returncode,
        "minutes": (rendering + wall) / 60,
        "rendering_seconds": rendering,
        "trials": trials,
        "busy_seconds": summary["busy_seconds"],
        "cpu_seconds": cpu,
        "training_cpu_seconds": summary["training_cpu_seconds"],
        "workers": workers,
        # Work that is neither training nor evaluation, imports and the report among it; in
        # processor time on both sides, so that other jobs on the machine do not blur it.
        "overhead_percent": 100 * (cpu - summary["training_cpu_seconds"]) / cpu,
        # The same with waiting in it: start of processes, ends of phases where a worker idles.
        "idle_or_overhead_percent": 100 * (1 - summary["busy_seconds"] / (workers * wall)),
        "best_netscore": best.get("netscore"),
        "best_delta1": best.get("delta1"),
        "reference_netscore": reference.get("netscore"),
        "gain_db": best.get("netscore", 0.0) - reference.get("netscore", 0.0),
    }
