"""Networks measured on a GPU in fresh processes."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest

from nano.bench.host import measure
from nano.bench.once import Task
from nano.bench.operations import profile
from nano.bench.timing import Plan
from nano.design.presets import preset, prototype

pytestmark = pytest.mark.gpu
TASK = Task(
    model="depthnet-small",
    size=(64, 192),
    device="cuda",
    runtime="eager",
    precision="float32",
    batch=1,
    threads=1,
    plan=Plan(window_s=0.05, warm_s=0.2, most_warm_s=5.0, seconds=1.5, runs=20, most_seconds=10),
)


@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_latency_and_energy_of_one_process(precision: str) -> None:
    found = measure(replace(TASK, precision=precision), "key", 1)
    assert 0 < found.p50_ms <= found.p90_ms <= found.p99_ms
    assert found.joules is not None and found.watts is not None and found.energy is not None
    assert 10 < found.watts < 1500


@pytest.mark.timeout(600)
def test_a_graph_of_compiled_kernels_is_faster_than_launching_each() -> None:
    eager, compiled = (
        measure(replace(TASK, runtime=runtime), "key", 1) for runtime in ("eager", "compile")
    )
    assert compiled.p50_ms < eager.p50_ms


def test_operations_are_those_that_were_counted() -> None:
    family = prototype("depthnet-small")
    random = Random(0)
    knobs = {knob.name: knob.at(random.random()) for knob in family.knobs}
    designs = [preset("depthnet-small"), family.design(family.expand(knobs, 0))]
    found = profile([(one, (64, 192)) for one in designs], rounds=2, seed=0, device="cuda")
    assert all(timing.ms > 0 for one in found for timing in one.operations)
