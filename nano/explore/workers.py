"""Worker processes on this machine: each evaluates one design at a time and knows nothing else.

The driver asks, decides and tells; a worker gets a task, asks back after each rung, and returns a
record. A worker that dies loses nothing but its own current batch: the driver sees it, starts
another, and the design goes on from its checkpoint.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import traceback
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

from nano.errors import InputError, NanoError, OutputError
from nano.records import Evaluation, Reading

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
    """

    study: Mapping[str, Any]
    base: Path
    run: Path
    cache: Path
    device: str
    threads: int


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


@dataclass(kw_only=True)
class _Worker:
    process: SpawnProcess
    connection: Connection
    task: Task | None = None


@dataclass(kw_only=True)
class Pool:
    """The workers of one driver."""

    bench: Bench
    size: int
    _stop: Event = field(default_factory=_CONTEXT.Event)
    _workers: list[_Worker] = field(default_factory=list)

    def __enter__(self) -> Pool:
        self._workers = [self._start() for _ in range(self.size)]
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def _start(self) -> _Worker:
        ours, theirs = _CONTEXT.Pipe()
        arguments = (theirs, self._stop, self.bench, os.getpid())
        process = _CONTEXT.Process(target=serve, args=arguments, daemon=True)
        process.start()
        theirs.close()
        return _Worker(process=process, connection=ours)

    def idle(self) -> list[int]:
        """Workers without a task."""
        return [i for i, worker in enumerate(self._workers) if worker.task is None]

    def tasks(self) -> list[Task]:
        """What is being worked on."""
        return [worker.task for worker in self._workers if worker.task is not None]

    def task_of(self, i: int) -> Task | None:
        """What worker ``i`` works on."""
        return self._workers[i].task

    def give(self, i: int, task: Task) -> None:
        """Hand a task to idle worker ``i``."""
        worker = self._workers[i]
        worker.task = task
        self._send(worker, task)

    def answer(self, i: int, go_on: bool, outlook: Mapping[str, float] | None) -> None:
        """Answer worker ``i``'s `Deciding`."""
        self._send(self._workers[i], (go_on, outlook))

    @staticmethod
    def _send(worker: _Worker, item: object) -> None:
        with suppress(BrokenPipeError, ConnectionResetError):  # dead: `messages` reports it
            worker.connection.send(item)

    def stop(self) -> None:
        """Ask all workers to end at their next batch."""
        self._stop.set()

    def kill(self) -> None:
        """End all workers at once; what they were doing is picked up from checkpoints."""
        for worker in self._workers:
            worker.process.kill()
        for worker in self._workers:
            worker.process.join()
            worker.connection.close()
        self._workers = []

    def messages(self, timeout: float) -> list[tuple[int, Message]]:
        """What workers said within ``timeout`` seconds; the dead are replaced.

        A `Died`, `Searched`, `Confirmed`, `Halted` or `Broken` frees its worker.
        """
        places: dict[Any, int] = {}
        for i, worker in enumerate(self._workers):
            places[worker.connection] = i
            places[worker.process.sentinel] = i
        said: list[tuple[int, Message]] = []
        for i in sorted({places[ready] for ready in wait(list(places), timeout)}):
            message = self._receive(i)
            if message is None:
                continue
            said.append((i, message))
            if isinstance(message, Died):
                self._workers[i] = self._start()
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


# --- in the worker -------------------------------------------------------------------------------


def serve(connection: Connection, stop: Event, bench: Bench, driver: int) -> None:
    """The worker's life: build the lab once, then one task after another."""
    # Ctrl-C and SIGTERM reach the driver, which lets us end at a batch; were it killed, we notice.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)

    def stopping() -> bool:
        return stop.is_set() or os.getppid() != driver

    def decide(evaluation: Evaluation) -> tuple[bool, Mapping[str, float] | None]:
        connection.send(Deciding(evaluation=evaluation))
        answer: tuple[bool, Mapping[str, float] | None] = _next(connection, driver)
        return answer

    try:
        from nano.explore.lab import build_lab

        lab = build_lab(bench, decide, stopping)
        connection.send(Ready())
        while True:
            task = _next(connection, driver)
            connection.send(_do(task, lab))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return  # the driver is gone
    except Exception as error:
        connection.send(_broken(error))


def _next(connection: Connection, driver: int) -> Any:
    """The next thing from the driver; EOFError when it is gone."""
    while not connection.poll(1.0):
        if os.getppid() != driver:
            raise EOFError
    return connection.recv()


def _do(task: Task, lab: Any) -> Message:
    from nano.explore.stages import confirm_once, objective
    from nano.train.loop import Stopped

    try:
        if isinstance(task, Search):
            return Searched(evaluation=objective(task.evaluation, lab))
        reading = confirm_once(task.evaluation, task.index, task.images, lab)
        return Confirmed(key=task.evaluation.key, index=task.index, reading=reading)
    except Stopped:
        return Halted()
    except (EOFError, BrokenPipeError, ConnectionResetError):
        raise
    except Exception as error:
        return _broken(error)


def _broken(error: Exception) -> Broken:
    known = error if isinstance(error, InputError | OutputError) else None
    return Broken(error=known, text="".join(traceback.format_exception(error)))
