"""Worker processes on this machine: each evaluates one design at a time and knows nothing else.

The driver asks, decides and tells; a worker gets a task, asks back after each rung, and returns a
record. A worker that dies loses nothing but what came after its last checkpoint: the driver sees
it, starts another, and the design goes on from there. What a worker does: `nano.explore.serve`.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from nano.errors import NanoError
from nano.records import Evaluation, Reading
from nano.signals import signals_held

_CONTEXT = multiprocessing.get_context("spawn")  # fork and torch's threads do not mix


@dataclass(frozen=True, kw_only=True)
class Bench:
    """What a worker needs to build its lab.

    Attributes:
        study: The study file as plain data.
        base: Folder of the study file: a user's function may stand there.
        run: The run folder.
        cache: Where prepared data live.
        device: ``cpu`` or ``cuda``.
        threads: Of this worker.
        gpus: Of this machine, as CUDA_VISIBLE_DEVICES names them; worker ``i`` sees the ``i``-th
            alone, in turn where there are more workers. Empty where there are none.
    """

    study: Mapping[str, Any]
    base: Path
    run: Path
    cache: Path
    device: str
    threads: int
    gpus: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Search:
    """Task: take a counted design through the stages."""

    evaluation: Evaluation


@dataclass(frozen=True, kw_only=True)
class Confirm:
    """Task: one fresh seed of a finalist."""

    evaluation: Evaluation
    index: int
    images: int


Task = Search | Confirm


# --- messages from a worker ----------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Ready:
    """The worker has its data open."""


@dataclass(frozen=True, kw_only=True)
class Deciding:
    """A rung is done: does the design go on? The worker waits for `Pool.answer`."""

    evaluation: Evaluation


@dataclass(frozen=True, kw_only=True)
class Searched:
    """The design's way ended."""

    evaluation: Evaluation


@dataclass(frozen=True, kw_only=True)
class Confirmed:
    """One fresh seed was read."""

    key: str
    index: int
    reading: Reading


@dataclass(frozen=True, kw_only=True)
class Halted:
    """The task was given up because everything stops; its checkpoint is written."""


@dataclass(frozen=True, kw_only=True)
class Broken:
    """The task could not be done: wrong input, a full disk, or a bug (with its traceback)."""

    error: NanoError | None
    text: str


@dataclass(frozen=True, kw_only=True)
class Died:
    """The process is gone (killed, or out of memory)."""

    exit_code: int | None


Message = Ready | Deciding | Searched | Confirmed | Halted | Broken | Died


@runtime_checkable
class Workers(Protocol):
    """Those of one driver: processes of this machine (`Pool`), or of a cluster (`ray_tasks`)."""

    size: int

    def idle(self) -> list[int]:
        """Workers without a task."""

    def tasks(self) -> list[Task]:
        """What is being worked on."""

    def task_of(self, i: int) -> Task | None:
        """What worker ``i`` works on."""

    def wake(self, i: int) -> None:
        """Idle worker ``i`` will have a task in a moment."""

    def give(self, i: int, task: Task) -> None:
        """Hand a task to idle worker ``i``."""

    def answer(self, i: int, go_on: bool, outlook: Mapping[str, float] | None) -> None:
        """Answer worker ``i``'s `Deciding`."""

    def stop(self) -> None:
        """Ask all workers to end at their next batch."""

    def kill(self) -> None:
        """End all workers at once; what they were doing is picked up from checkpoints."""

    def messages(self, timeout: float) -> list[tuple[int, Message]]:
        """What workers said within ``timeout`` seconds.

        A `Died`, `Searched`, `Confirmed`, `Halted` or `Broken` frees its worker.
        """


def _flag() -> Any:
    """Seen by all workers; without a lock, which a worker killed in it would keep for ever."""
    return _CONTEXT.RawValue(ctypes.c_bool, False)


@dataclass(kw_only=True)
class _Worker:
    process: SpawnProcess
    connection: Connection
    task: Task | None = None


@dataclass(kw_only=True)
class Pool:
    """The workers of one driver; each is started when there is first something to do for it.

    Attributes:
        bench: What they work with.
        size: How many there may be.
    """

    bench: Bench
    size: int
    _stop: Any = field(default_factory=_flag)
    _workers: dict[int, _Worker] = field(default_factory=dict)

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def _start(self, i: int) -> _Worker:
        from nano.explore.serve import serve

        ours, theirs = _CONTEXT.Pipe()
        gpus = self.bench.gpus
        gpu = gpus[i % len(gpus)] if gpus else None
        arguments = (theirs, self._stop, self.bench, os.getpid(), gpu)
        process = _CONTEXT.Process(target=serve, args=arguments, daemon=True)
        process.start()
        theirs.close()
        return _Worker(process=process, connection=ours)

    def idle(self) -> list[int]:
        """Workers without a task."""
        return [i for i in range(self.size) if self.task_of(i) is None]

    def tasks(self) -> list[Task]:
        """What is being worked on."""
        return [worker.task for worker in self._workers.values() if worker.task is not None]

    def task_of(self, i: int) -> Task | None:
        """What worker ``i`` works on."""
        return self._workers[i].task if i in self._workers else None

    def wake(self, i: int) -> None:
        """Start worker ``i``, so that it loads torch while the driver thinks."""
        if i not in self._workers:
            with signals_held():
                self._workers[i] = self._start(i)

    def give(self, i: int, task: Task) -> None:
        """Hand a task to idle worker ``i``."""
        self.wake(i)
        self._workers[i].task = task
        self._send(i, task)

    def answer(self, i: int, go_on: bool, outlook: Mapping[str, float] | None) -> None:
        """Answer worker ``i``'s `Deciding`."""
        self._send(i, (go_on, outlook))

    def _send(self, i: int, item: object) -> None:
        with suppress(BrokenPipeError, ConnectionResetError):  # dead: `messages` reports it
            self._workers[i].connection.send(item)

    def stop(self) -> None:
        """Ask all workers to end at their next batch."""
        self._stop.value = True

    def kill(self) -> None:
        """End all workers at once; what they were doing is picked up from checkpoints."""
        for worker in self._workers.values():
            worker.process.kill()
        for worker in self._workers.values():
            worker.process.join()
            worker.connection.close()
        self._workers = {}

    def messages(self, timeout: float) -> list[tuple[int, Message]]:
        """What workers said within ``timeout`` seconds.

        A `Died`, `Searched`, `Confirmed`, `Halted` or `Broken` frees its worker.
        """
        places: dict[Any, int] = {}
        for i, worker in self._workers.items():
            places[worker.connection] = i
            places[worker.process.sentinel] = i
        said: list[tuple[int, Message]] = []
        for i in sorted({places[ready] for ready in wait(list(places), timeout)}):
            message = self._receive(i)
            if message is None:
                continue
            said.append((i, message))
            if isinstance(message, Died):
                del self._workers[i]
            elif not isinstance(message, Ready | Deciding):
                self._workers[i].task = None
        return said

    def _receive(self, i: int) -> Message | None:
        worker = self._workers[i]
        try:
            # A last message may stand in the pipe of a process that is gone.
            if worker.connection.poll():
                message: Message = worker.connection.recv()
                return message
        except (EOFError, OSError):
            pass
        if worker.process.is_alive():
            return None
        worker.process.join()
        worker.connection.close()
        return Died(exit_code=worker.process.exitcode)
