"""Latency of the preset by every runtime of this machine, and of networks of its family.

    python -m benchmarks.device

The GPU where torch sees one, else one thread of the processor. Every figure is of fresh processes
(`nano.bench.host`), milliseconds at batch 1; a runtime that is not installed is left out by name.
The networks are random ones of the family within two million parameters; ``tau_of_macs`` says how
far multiply-adds alone would order them by latency.
"""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

from nano.bench import host
from nano.bench.once import Task
from nano.bench.runtimes import RUNTIMES, Setting, check
from nano.bench.timing import Plan
from nano.console import say
from nano.cost.count import count
from nano.cost.latency import kendall_tau
from nano.design.kinds import AnyDesign
from nano.design.presets import preset, prototype
from nano.errors import InputError, MissingPackage
from nano.files import write_json
from nano.networks.device import default_device
from nano.records import Measurement
from nano.seeds import derive_seed

PRESET, SIZE = "depthnet-nano", (384, 1280)
OTHERS, MOST_PARAMS = 3, 2_000_000
REPEATS = 2
PLAN = Plan(seconds=2.0, most_seconds=20.0, most_warm_s=10.0)


def figures(device: str, others: int = OTHERS) -> dict[str, Any]:
    """Every figure; see the head of this file."""
    precisions = ("float32", "float16") if device == "cuda" else ("float32",)
    by_runtime: dict[str, Any] = {}
    for runtime in RUNTIMES:
        for precision in precisions:
            name = f"{runtime} {precision}"
            task = _task(PRESET, device, runtime, precision)
            by_runtime[name] = _told(task, REPEATS)
            say(f"{name}: {by_runtime[name]}")
    runtime, precision = "compile", precisions[-1]
    networks = [_network(one, device, runtime, precision) for one in _networks(others)]
    macs, ms = ([one[key] for one in networks] for key in ("macs", "p50_ms"))
    eager = by_runtime["eager float32"]["p50_ms"]
    return {
        "device": host.device_name(device),
        "size": SIZE,
        "preset": by_runtime,
        "over_eager_float32": {
            name: round(eager / told["p50_ms"], 2)
            for name, told in by_runtime.items()
            if "p50_ms" in told
        },
        "networks_by": f"{runtime} {precision}",
        "networks": networks,
        "tau_of_macs": round(kendall_tau(macs, ms), 3),
    }


def measure() -> dict[str, Any]:
    """On this machine."""
    return figures(default_device())


def _networks(others: int) -> list[AnyDesign]:
    """The preset and random networks of its family within the bound on parameters."""
    family, random = prototype(PRESET), Random(derive_seed("benchmarks", "device"))
    found: list[AnyDesign] = [preset(PRESET)]
    seed = 0
    while len(found) <= others:
        knobs = {knob.name: knob.at(random.random()) for knob in family.knobs}
        design = family.design(family.expand(knobs, seed))
        seed += 1
        if count(design, SIZE).params <= MOST_PARAMS:
            found.append(design)
    return found


def _network(design: AnyDesign, device: str, runtime: str, precision: str) -> dict[str, Any]:
    cost = count(design, SIZE)
    with TemporaryDirectory() as folder:
        file = Path(folder) / "design.json"
        write_json(file, design)
        told = _told(_task(str(file), device, runtime, precision), 1)
    say(f"{cost.macs / 1e9:.2f} G MACs: {told}")
    return {"params": cost.params, "macs": cost.macs, **told}


def _task(model: str, device: str, runtime: str, precision: str) -> Task:
    return Task(
        model=model,
        size=SIZE,
        device=device,
        runtime=runtime,
        precision=precision,
        batch=1,
        threads=1,
        plan=PLAN,
    )


def _told(task: Task, repeats: int) -> dict[str, Any]:
    setting = Setting(device=task.device, precision=task.precision, batch=1, threads=task.threads)
    try:
        check(task.runtime, setting)
        found = host.measure(task, "benchmark", repeats)
    except (InputError, MissingPackage) as lacking:
        return {"not_measured": str(lacking)}
    return _figures(found)


def _figures(found: Measurement) -> dict[str, Any]:
    return {
        "p50_ms": round(found.p50_ms, 4),
        "p90_ms": round(found.p90_ms, 4),
        "p99_ms": round(found.p99_ms, 4),
        "spread": found.spread,
        "joules": found.joules,
        "energy": found.energy,
        "disturbed": found.disturbed,
    }


if __name__ == "__main__":
    print(json.dumps(measure(), indent=1))
