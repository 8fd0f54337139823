"""One fresh process of a measurement: prepare, say so, wait for one's turn, measure, tell.

Started by `nano.bench.host`, which writes a `Task` as one line of JSON, later ``go``, and reads
``ready`` and a `Repeat` as one line each. Nothing is measured before ``go``: the other end waits
for the device to be free. An end of the input ends the process, whatever it does: the other end is
gone, and with it its turn on the device.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Any, ClassVar, TextIO

from nano.bench.timing import Plan, Repeat, repeat_of, time_runs, warm_up
from nano.errors import InputError
from nano.files import from_plain, to_plain

READY, GO = "ready", "go"
# Exit codes beside 0; every other one means that the device, or the process, broke.
UNFIT = 2


@dataclass(frozen=True, kw_only=True)
class Task:
    """What to measure, and how.

    Attributes:
        model: A MODEL folder; or a DESIGN, whose weights are drawn: times do not depend on them.
        size: Height and width.
        device: ``cpu`` or ``cuda``.
        runtime: A key of `nano.bench.runtimes.RUNTIMES`.
        precision: ``float32`` or ``float16``.
        batch: Images at a time.
        threads: Of the CPU.
        plan: How long.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    model: str
    size: tuple[int, int]
    device: str
    runtime: str
    precision: str
    batch: int
    threads: int
    plan: Plan


def serve(lines: TextIO, told: TextIO) -> int:
    """The whole of the process's work; returns its exit code."""
    task = from_plain(Task, json.loads(lines.readline()), "task")
    heard: SimpleQueue[str] = SimpleQueue()
    threading.Thread(target=_hear, args=(lines, heard), daemon=True).start()
    try:
        infer, meter, versions = _prepared(task)
        infer()  # a compiler, or an allocation, that fails does so before the device is taken
    except InputError as unfit:
        print(unfit, file=sys.stderr)
        return UNFIT
    print(READY, file=told, flush=True)
    if heard.get() != GO:
        return 0
    repeat = _measured(task, infer, meter, versions)
    print(json.dumps(to_plain(repeat)), file=told, flush=True)
    return 0


def _hear(lines: TextIO, heard: SimpleQueue[str]) -> None:
    """Hand on every line; waiting for the next one takes no processor time."""
    for line in lines:
        heard.put(line.strip())
    os._exit(0)


def _prepared(task: Task) -> Any:
    import torch

    from nano.bench.meters import NotMeasured, nvml, rapl
    from nano.bench.runtimes import CUDA, RUNTIMES, Setting, runtime_versions

    torch.set_num_threads(task.threads)
    torch.set_flush_denormal(True)  # as in training: what a drawn network's tails would cost
    setting = Setting(
        device=task.device, precision=task.precision, batch=task.batch, threads=task.threads
    )
    infer = RUNTIMES[task.runtime].prepare(_model(task), setting)
    if task.device == CUDA:
        uuid = getattr(torch.cuda.get_device_properties(0), "uuid", None)
        lacking = NotMeasured(source="not measured: this torch does not tell which GPU it uses")
        meter = nvml(str(uuid)) if uuid else lacking
    else:
        meter = rapl()
    return infer, meter, runtime_versions(task.runtime)


def _model(task: Task) -> Any:
    from dataclasses import replace

    from nano.networks.catalog import load_architecture
    from nano.networks.model import WEIGHTS_FILE, Model, load_model
    from nano.networks.start import started
    from nano.networks.target import target_for

    if (Path(task.model) / WEIGHTS_FILE).is_file():
        model = load_model(Path(task.model))
        model.design.check_size(task.size)
        return replace(model, size=task.size)
    design = load_architecture(task.model)
    network = started(design, task.size, 0).eval()
    target = target_for(design.outputs).name
    return Model(design=design, network=network, target=target, size=task.size)


def _measured(task: Task, infer: Any, meter: Any, versions: dict[str, str]) -> Repeat:
    from nano.bench.meters import SHORTEST_S

    clock = time.perf_counter
    steady = warm_up(infer, task.plan, clock)
    busy, own, on_core, began = busy_s(), time.process_time(), time.thread_time(), clock()
    meter.start()
    times = time_runs(infer, task.plan, clock)
    joules, seconds = meter.stop(), clock() - began
    energy = meter.source
    if joules is not None and seconds < SHORTEST_S:
        joules, energy = None, f"not measured: {seconds:.2g} s are too short for {energy}"
    held_up = 1 - (time.thread_time() - on_core) / seconds if task.device == "cpu" else None
    own = time.process_time() - own
    after, others = busy_s(), None
    if busy is not None and after is not None:
        others = max(0.0, after - busy - own) / (seconds * (os.cpu_count() or 1))
    return repeat_of(
        times,
        steady=steady,
        held_up=held_up,
        others=others,
        joules=joules,
        energy=energy,
        versions=versions,
    )


def busy_s() -> float | None:
    """Seconds that all cores of the machine worked since its start; None where it is not told."""
    with suppress(OSError, ValueError, IndexError):
        fields = Path("/proc/stat").read_text().splitlines()[0].split()
        user, nice, system, _, _, irq, softirq, steal = map(int, fields[1:9])
        return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")
    return None


if __name__ == "__main__":
    results = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # compilers and runtimes print; what is told stays apart
    sys.exit(serve(sys.stdin, results))
