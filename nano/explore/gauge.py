"""Measuring designs within a search: one at a time on a device, once for all studies, or a reason.

Latency does not depend on weights, so a design is measured before it is trained, and what misses a
bound on the device is never trained. Workers queue for the device. Measurements of a quiet device
are kept by design, device, setting and versions. A device that broke or went away is waited for,
and then given up. What measures is an `Instrument`: this machine (`nano.explore.here`), or a device
that ssh reaches (`nano.explore.afar`).
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from nano.bench.host import GivenUp, never
from nano.bench.turns import NotNow
from nano.design.kinds import AnyDesign
from nano.errors import DeviceFailed, InputError
from nano.files import canonical_json, from_plain, read_json, short_hash, to_plain, write_json
from nano.records import Measurement
from nano.train.loop import Stopped

VERSION = 2  # of what a measurement is; older ones are measured again
ATTEMPTS = 2  # to find the device quiet; then the fastest of them is taken, and marked
_LOOK_S = 0.2
_FIRST_WAIT_S = 2.0  # for a device that failed; doubled every time

_log = logging.getLogger("nano.explore")


@runtime_checkable
class Instrument(Protocol):
    """A device, and how designs are measured on it."""

    def check(self) -> None:
        """Raise an InputError where it can never measure; asks nothing of a device elsewhere."""

    def decides(self, stop: Callable[[], bool]) -> dict[str, Any]:
        """All that decides a measurement beside the design, as plain data.

        ``device`` is its name, ``versions`` are those that its times depend on.

        Raises:
            DeviceFailed: It does not answer.
            InputError: It can never measure, and says why.
            NotNow: ``stop()`` turned true while waiting for one's turn.
        """

    def measure(self, design: AnyDesign, stop: Callable[[], bool]) -> Measurement:
        """Measure once, in one's turn.

        Raises:
            DeviceFailed: The device broke, went away, or is somebody else's now.
            InputError: It cannot run this design.
            GivenUp: ``stop()`` turned true; or NotNow, while waiting for one's turn.
        """


@dataclass(frozen=True, kw_only=True)
class Gauge:
    """Measures the designs of a study.

    Attributes:
        instrument: What measures.
        cache: Folder of measurements.
        wait_s: How long a device that fails is waited for, a design.
    """

    instrument: Instrument
    cache: Path
    wait_s: float

    def __call__(self, design: AnyDesign, stop: Callable[[], bool]) -> Measurement:
        """The design's measurement: a kept one, or a new one.

        Raises:
            DeviceFailed: The device did not come back within its time.
            InputError: The runtime cannot run this design.
            Stopped: ``stop()`` turned true.
        """
        end = time.monotonic() + self.wait_s
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
        path = self.place(design, stop)
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
            _log.warning("%s: not a quiet device: %s", design.key, "; ".join(best.disturbed))
        else:
            write_json(path, to_plain(best))
        return best

    def _measured(self, design: AnyDesign, stop: Callable[[], bool]) -> Measurement:
        found = replace(self.instrument.measure(design, stop), key=design.key)
        if not _sound(found):
            raise DeviceFailed(f"{found.device} told values that cannot be: {found.values()}")
        return found

    def place(self, design: AnyDesign, stop: Callable[[], bool] = never) -> Path:
        """The file that keeps its measurement: named by all that decides it."""
        what = {"version": VERSION, "key": design.key, **self.instrument.decides(stop)}
        return self.cache / f"{design.key}-{short_hash(canonical_json(what))}.json"


def other_than(one: Measurement, now: Mapping[str, Any]) -> str | None:
    """How a measurement's device is another than what `Instrument.decides` tells now; None if not.

    Versions may differ on one device; see `newer_than`.
    """
    before = {"device": one.device, "power mode": one.power_mode}
    after = {"device": now["device"], "power mode": now.get("power_mode")}
    told = [f"{n} {before[n]}, now {after[n]}" for n in before if before[n] != after[n]]
    return "; ".join(told) or None


def newer_than(one: Measurement, now: Mapping[str, Any]) -> list[str]:
    """Which versions have changed since a measurement, e.g. ``torch 2.12.0, now 2.13.0``."""
    return [
        f"{name} {one.versions.get(name, 'unknown')}, now {version}"
        for name, version in now["versions"].items()
        if one.versions.get(name) != version
    ]


def _sound(one: Measurement) -> bool:
    """Whether every quantity is one: zero or NaN has no logarithm, and meets or misses no bound."""
    return all(math.isfinite(value) and value > 0 for value in one.values().values())


def _preference(one: Measurement) -> tuple[bool, float]:
    return bool(one.disturbed), one.p50_ms


def _kept(path: Path) -> Measurement | None:
    if not path.exists():
        return None
    try:
        found = from_plain(Measurement, read_json(path), str(path))
    except InputError as damaged:
        _log.warning("%s; measured again", damaged)
        return None
    return found if _sound(found) else None


def _sleep(seconds: float, stop: Callable[[], bool], key: str) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if stop():
            raise Stopped(f"while waiting for the device to measure {key}")
        time.sleep(min(_LOOK_S, seconds))
