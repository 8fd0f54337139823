"""The whole path to a figure without a Jetson: a made-up device, said to be one throughout."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from nano.bench.demo.server import demo
from nano.bench.jetson import Plan, measure
from nano.bench.onnx_file import OnnxFile
from nano.bench.raw import JetsonResult

MADE_UP = "made up: ssh:demo is no device, and this is no measurement"
QUICK = Plan(repeats=3, duration_s=3, warmup_s=0.5, iterations=10, settle_s=0, idle_s=1)


def measure_demo(
    model: OnnxFile,
    where: str,
    *,
    precision: str,
    power_mode: str | None,
    tell: Callable[[str], None],
) -> JetsonResult:
    """As `nano.bench.jetson.measure`; the result's device is ``demo``, and its notes say so."""
    tell(f"ssh:demo: {MADE_UP}")
    with demo() as running:
        result = measure(
            running.remote,
            model,
            where,
            precision=precision,
            power_mode=power_mode,
            plan=QUICK,
            root=f"{running.root}/",
            tell=tell,
        )
    told = (MADE_UP, *result.measurement.notes)
    return replace(result, measurement=replace(result.measurement, notes=told))
