"""Measuring the designs of a search on this machine, in turn with its trainings.

Trainings that take turns (`nano.bench.turns`) pause while a design is measured.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from nano.bench.host import device_name, measure
from nano.bench.once import Task
from nano.bench.runtimes import Setting, check, runtime_versions
from nano.bench.timing import Plan
from nano.bench.turns import Turns
from nano.design.kinds import AnyDesign
from nano.files import to_plain, write_json
from nano.networks.catalog import architecture_of, plain_architecture
from nano.records import Measurement

MOST_WARM_S = 5.0  # of a process: what is not steady by then is told as disturbed


@dataclass(frozen=True, kw_only=True)
class Device:
    """Where and how designs are measured.

    Attributes:
        kind: ``cpu`` or ``cuda``.
        runtime: A key of `nano.bench.runtimes.RUNTIMES`.
        precision: ``float32`` or ``float16``.
        batch: Images at a time.
        threads: Of the CPU.
        seconds: That each process times.
        repeats: Fresh processes.
    """

    kind: str
    runtime: str = "eager"
    precision: str = "float32"
    batch: int = 1
    threads: int = 1
    seconds: float = 1.0
    repeats: int = 2


@runtime_checkable
class Measure(Protocol):
    """`nano.bench.host.measure`, or what a test puts in its place."""

    def __call__(
        self,
        task: Task,
        key: str,
        repeats: int,
        *,
        turn: Callable[[], AbstractContextManager[object]],
        stop: Callable[[], bool],
    ) -> Measurement:
        """One measurement, from fresh processes."""


@dataclass(frozen=True, kw_only=True)
class Here:
    """This machine's processor, or its GPU.

    Attributes:
        device: Where and how.
        size: Height and width.
        turns: Of this machine.
        run: What measures.
        name: What tells the device's name.
    """

    device: Device
    size: tuple[int, int]
    turns: Turns
    run: Measure = measure
    name: Callable[[str], str] = device_name

    def check(self) -> None:
        """Whether this installation has the runtime and the device."""
        device = self.device
        setting = Setting(
            device=device.kind,
            precision=device.precision,
            batch=device.batch,
            threads=device.threads,
        )
        check(device.runtime, setting)

    def decides(self, stop: Callable[[], bool]) -> dict[str, Any]:
        """Size, device, setting and versions of the runtime; told at once."""
        return {
            "size": self.size,
            "device": self.name(self.device.kind),
            "setting": to_plain(self.device),
            "versions": runtime_versions(self.device.runtime),
        }

    def measure(self, design: AnyDesign, stop: Callable[[], bool]) -> Measurement:
        """In fresh processes; as `nano.bench.host.measure`."""
        device = self.device
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "design.json"
            write_json(path, plain_architecture(architecture_of(design)))
            task = Task(
                model=str(path),
                size=self.size,
                device=device.kind,
                runtime=device.runtime,
                precision=device.precision,
                batch=device.batch,
                threads=device.threads,
                plan=Plan(
                    seconds=device.seconds,
                    most_seconds=20 * device.seconds,
                    most_warm_s=MOST_WARM_S,
                ),
            )
            turn = partial(self.turns.measuring, stop)
            return self.run(task, design.key, device.repeats, turn=turn, stop=stop)
