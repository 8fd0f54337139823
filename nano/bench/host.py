"""Latency and energy of a network on this machine: fresh processes, one after the other.

A process's luck (memory layout, the compiler's and cuDNN's choices) is part of what a user meets:
so every repeat is a process of its own, and a figure comes with their spread.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from multiprocessing.connection import wait
from pathlib import Path
from statistics import median
from typing import IO

from nano.bench.once import GO, READY, UNFIT, Task
from nano.bench.timing import FEWEST_FOR_P99, Repeat, disturbances, spread
from nano.errors import DeviceFailed, InputError
from nano.files import from_plain, parse_json, to_plain
from nano.machine import cores, machine, versions
from nano.records import Measurement

PYTHON = sys.executable
PREPARE_S = 900.0  # compilers and engine builders take minutes
GRACE_S = 60.0  # beside what the plan allows
_LOOK_S = 0.2
_LAST_WORDS = 300  # characters of what a process said before it broke

Turn = Callable[[], AbstractContextManager[object]]


class GivenUp(Exception):
    """``stop()`` turned true while measuring; nothing was found."""


def never() -> bool:
    """Nobody stops it."""
    return False


def measure(
    task: Task,
    key: str,
    repeats: int,
    *,
    turn: Turn = contextlib.nullcontext,
    stop: Callable[[], bool] = never,
) -> Measurement:
    """Measure in so many fresh processes.

    Args:
        task: What and how.
        key: Of the design.
        repeats: Fresh processes.
        turn: Held while a process times: whoever shares the device waits meanwhile.
        stop: True when it must end at once.

    Raises:
        InputError: The runtime cannot run this network, or is not there.
        DeviceFailed: The device or its process broke or hung.
        GivenUp: ``stop()`` turned true.
    """
    device = device_name(task.device)
    found = [_once(task, turn, stop) for _ in range(repeats)]
    return measurement(task, key, device, found)


def measurement(task: Task, key: str, device: str, found: Sequence[Repeat]) -> Measurement:
    """What the repeats say together: medians of their percentiles."""
    joules = [one.joules for one in found if one.joules is not None]
    images = [one.runs * task.batch for one in found]
    whole = len(joules) == len(found)
    notes = [] if whole else [f"energy {next(o.energy for o in found if o.joules is None)}"]
    fewest = min(one.runs for one in found)
    if fewest < FEWEST_FOR_P99:
        notes.append(f"p99 is of {fewest} runs only: it is near the slowest of them")
    if len(found) == 1:
        notes.append("one process only: whether fresh ones agree is not known")
    shares = {
        "p50": spread([one.p50_ms for one in found]),
        "p90": spread([one.p90_ms for one in found]),
        "p99": spread([one.p99_ms for one in found]),
    }
    return Measurement(
        key=key,
        device=device,
        precision=task.precision,
        size=task.size,
        p50_ms=median(one.p50_ms for one in found),
        p90_ms=median(one.p90_ms for one in found),
        p99_ms=median(one.p99_ms for one in found),
        fps=median(1000 * task.batch / one.mean_ms for one in found),
        when=datetime.now(UTC).isoformat(timespec="seconds"),
        watts=median(j / o.seconds for j, o in zip(joules, found, strict=True)) if whole else None,
        joules=median(j / n for j, n in zip(joules, images, strict=True)) if whole else None,
        queries=sum(one.runs for one in found),
        notes=tuple(notes),
        versions={**versions(), **found[0].versions},
        runtime=task.runtime,
        batch=task.batch,
        threads=task.threads,
        medians_ms=tuple(one.p50_ms for one in found),
        spread={name: round(share, 5) for name, share in shares.items()},
        energy=found[0].energy if whole else None,
        disturbed=disturbances(found),
    )


def device_name(device: str) -> str:
    """What results are tied to: the processor and its cores, or the GPU.

    Raises:
        DeviceFailed: There is no such GPU, or no longer.
    """
    if device == "cpu":
        return f"{machine()['processor']}, {cores()} cores"
    import torch

    try:
        return str(torch.cuda.get_device_name())
    except (RuntimeError, AssertionError) as gone:  # Assertion: a torch built without CUDA
        raise DeviceFailed(f"{device}: {gone}") from gone


def _once(task: Task, turn: Turn, stop: Callable[[], bool]) -> Repeat:
    with _process(task) as (process, errors):
        line = _Line(process, errors, stop)
        line.say(json.dumps(to_plain(task)))
        line.hear_ready()
        with turn():
            line.say(GO)
            text = line.hear(task.plan.most_warm_s + task.plan.most_seconds + GRACE_S)
        return from_plain(Repeat, parse_json(text, "what was measured"), "what was measured")


@contextmanager
def _process(task: Task) -> Iterator[tuple[subprocess.Popen[str], IO[str]]]:
    """A fresh process that is gone at the end, whatever happens."""
    home = str(Path(__file__).parents[2])
    paths = os.pathsep.join(filter(None, [home, os.environ.get("PYTHONPATH", "")]))
    threads = {"OMP_NUM_THREADS": str(task.threads), "MKL_NUM_THREADS": str(task.threads)}
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(
            [PYTHON, "-m", "nano.bench.once"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env=os.environ | threads | {"PYTHONPATH": paths},
        )
        try:
            yield process, errors
        except BrokenPipeError as gone:
            raise DeviceFailed(_last_words(process.wait(), errors)) from gone
        finally:
            process.kill()
            process.wait()
            for pipe in filter(None, (process.stdin, process.stdout)):
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()


class _Line:
    """To and from a process that may hang, break, or have to be given up."""

    def __init__(
        self, process: subprocess.Popen[str], errors: IO[str], stop: Callable[[], bool]
    ) -> None:
        assert process.stdin is not None and process.stdout is not None
        self._process, self._errors, self._stop = process, errors, stop
        self._to, self._from = process.stdin, process.stdout

    def say(self, text: str) -> None:
        self._to.write(f"{text}\n")
        self._to.flush()

    def hear_ready(self) -> None:
        said = self.hear(PREPARE_S).strip()
        if said != READY:
            raise DeviceFailed(f"the measuring process said {said[:_LAST_WORDS]!r}, not {READY!r}")

    def hear(self, seconds: float) -> str:
        """The next line, within so many seconds."""
        end = time.monotonic() + seconds
        while not wait([self._from.fileno()], _LOOK_S):
            if self._stop():
                raise GivenUp
            if time.monotonic() > end:
                raise DeviceFailed(f"no answer within {seconds:.0f} s")
        text = self._from.readline()
        if text:
            return text
        code = self._process.wait()
        said = _last_words(code, self._errors)
        raise InputError(said) if code == UNFIT else DeviceFailed(said)


def _last_words(code: int, errors: IO[str]) -> str:
    errors.seek(0)
    lines = [line.strip() for line in errors.read().splitlines() if line.strip()]
    said = lines[-1][:_LAST_WORDS] if lines else "it said nothing"
    return said if code == UNFIT else f"the measuring process ended with code {code}: {said}"
