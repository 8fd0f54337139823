"""Measuring designs within a search: one at a time on a device, once for all studies, or a reason.

Latency does not depend on weights, so a design is measured before it is trained, and what misses a
bound on the device is never trained. Workers queue for the device, and trainings that take turns
(`nano.bench.turns`) pause while one measures. Measurements of a quiet machine are kept by design,
device, setting and versions. A device that broke or went away is waited for, and then given up.
"""

from __future__ import annotations

import logging
import tempfile
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Protocol, runtime_checkable

from nano.bench.host import GivenUp, device_name, measure
from nano.bench.once import Task
from nano.bench.runtimes import Setting, runtime_versions
from nano.bench.timing import Plan
from nano.bench.turns import NotNow, Turns
from nano.design.kinds import AnyDesign
from nano.errors import DeviceFailed, InputError
from nano.files import canonical_json, from_plain, read_json, short_hash, to_plain, write_json
from nano.networks.catalog import architecture_of, plain_architecture
from nano.records import Measurement
from nano.train.loop import Stopped

VERSION = 1  # of what a measurement is; older ones are measured again
ATTEMPTS = 2  # to find the machine quiet; then the fastest of them is taken, and marked
MOST_WARM_S = 5.0  # of a process: what is not steady by then is told as disturbed
_LOOK_S = 0.2
_FIRST_WAIT_S = 2.0  # for a device that failed; doubled every time

_log = logging.getLogger("nano.explore")


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
        wait_s: How long a device that fails is waited for.
    """

    kind: str
    runtime: str = "eager"
    precision: str = "float32"
    batch: int = 1
    threads: int = 1
    seconds: float = 1.0
    repeats: int = 2
    wait_s: float = 300.0


def setting_of(device: Device) -> Setting:
    """For `nano.bench.runtimes.check`."""
    return Setting(
        device=device.kind,
        precision=device.precision,
        batch=device.batch,
        threads=device.threads,
    )


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
class Gauge:
    """Measures the designs of a study.

    Attributes:
        device: Where and how.
        size: Height and width.
        cache: Folder of measurements.
        turns: Of this machine.
        measure: What measures.
        name: What tells the device's name.
    """

    device: Device
    size: tuple[int, int]
    cache: Path
    turns: Turns
    measure: Measure = measure
    name: Callable[[str], str] = device_name

    def __call__(self, design: AnyDesign, stop: Callable[[], bool]) -> Measurement:
        """The design's measurement: a kept one, or a new one.

        Raises:
            DeviceFailed: The device did not come back within its time.
            InputError: The runtime cannot run this design.
            Stopped: ``stop()`` turned true.
        """
        end = time.monotonic() + self.device.wait_s
        pause = _FIRST_WAIT_S
        while True:
            try:
                return self._kept_or_new(design, stop)
            except (GivenUp, NotNow) as given_up:
                raise Stopped(f"while measuring {design.key}") from given_up
            except DeviceFailed as failed:
                if time.monotonic() + pause > end:
                    raise
                _log.warning("%s: %s; tried again in %.0f s", design.key, failed, pause)
            _sleep(pause, stop, design.key)
            pause *= 2

    def _kept_or_new(self, design: AnyDesign, stop: Callable[[], bool]) -> Measurement:
        path = self.place(design)
        kept = _kept(path)
        if kept is not None:
            return kept
        best = self._measured(design, stop)
        for _ in range(ATTEMPTS - 1):
            if not best.disturbed:
                break
            # Disturbances only slow down: the fastest of several is the nearest to a quiet one.
            best = min(best, self._measured(design, stop), key=_preference)
        if best.disturbed:
            _log.warning("%s: not a quiet machine: %s", design.key, "; ".join(best.disturbed))
        else:
            write_json(path, to_plain(best))
        return best

    def _measured(self, design: AnyDesign, stop: Callable[[], bool]) -> Measurement:
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
            found = self.measure(task, design.key, device.repeats, turn=turn, stop=stop)
        return replace(found, key=design.key)

    def place(self, design: AnyDesign) -> Path:
        """The file that keeps its measurement: named by all that decides it."""
        settings = to_plain(replace(self.device, wait_s=0.0))
        what = {
            "version": VERSION,
            "key": design.key,
            "size": self.size,
            "device": self.name(self.device.kind),
            "setting": settings,
            "versions": runtime_versions(self.device.runtime),
        }
        return self.cache / f"{design.key}-{short_hash(canonical_json(what))}.json"


def _preference(one: Measurement) -> tuple[bool, float]:
    return bool(one.disturbed), one.p50_ms


def _kept(path: Path) -> Measurement | None:
    if not path.exists():
        return None
    try:
        return from_plain(Measurement, read_json(path), str(path))
    except InputError as damaged:
        _log.warning("%s; measured again", damaged)
        return None


def _sleep(seconds: float, stop: Callable[[], bool], key: str) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if stop():
            raise Stopped(f"while waiting for the device to measure {key}")
        time.sleep(min(_LOOK_S, seconds))
