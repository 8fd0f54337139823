"""The life of a worker process: build the lab once, then one task after another."""

from __future__ import annotations

import os
import signal
import threading
import time
import traceback
from collections.abc import Mapping
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any

from nano.errors import InputError, OutputError
from nano.explore.journal import logging_to
from nano.explore.lab import build_lab
from nano.explore.stages import Lab, confirm_once, objective
from nano.explore.workers import (
    Bench,
    Broken,
    Confirmed,
    Deciding,
    Halted,
    Message,
    Ready,
    Search,
    Searched,
    Task,
)
from nano.memory import keep_freed_memory
from nano.records import Evaluation
from nano.train.loop import Stopped

_LOOK_SECONDS = 0.5
_GRACE_SECONDS = 3.0  # for a checkpoint, once the driver is gone


def serve(
    connection: Connection, stop: Any, bench: Bench, driver: int, gpu: str | None = None
) -> None:
    """Do what comes through ``connection`` until the driver is gone.

    Args:
        connection: To the driver.
        stop: Shared flag: its ``value`` turns true when work must end at the next batch.
        bench: What the lab is built from.
        driver: The driver's process id.
        gpu: The only one that this process may see, as CUDA_VISIBLE_DEVICES names it.
    """
    if gpu is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpu  # read when torch first looks for GPUs
    _take_leave_of_the_terminal()
    keep_freed_memory()
    threading.Thread(target=_outlive_nobody, args=(driver,), daemon=True).start()

    def stopping() -> bool:
        return bool(stop.value) or os.getppid() != driver

    line = _Line(connection)
    with suppress(_DriverGone):
        try:
            with logging_to(bench.run / "log.txt"):
                lab = build_lab(bench, line.decide, stopping)
                line.say(Ready())
                while True:
                    line.say(do(line.hear(), lab))
        except _DriverGone:
            raise
        except Exception as error:
            line.say(_broken(error))


class _DriverGone(Exception):
    """Nobody is left to work for."""


class _Line:
    """The connection to the driver."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def say(self, message: Message) -> None:
        try:
            self._connection.send(message)
        except (BrokenPipeError, ConnectionResetError) as gone:
            raise _DriverGone from gone

    def hear(self) -> Any:
        try:
            return self._connection.recv()
        except (EOFError, ConnectionResetError) as gone:
            raise _DriverGone from gone

    def decide(self, evaluation: Evaluation) -> tuple[bool, Mapping[str, float] | None]:
        self.say(Deciding(evaluation=evaluation))
        answer: tuple[bool, Mapping[str, float] | None] = self.hear()
        return answer


def _take_leave_of_the_terminal() -> None:
    """Ctrl-C and SIGTERM are the driver's business; and stdout is for its results alone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    # Started with both held back (see `Pool`), so that none arrives before they are ignored.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT, signal.SIGTERM})
    os.dup2(2, 1)  # a user's function may print


def _outlive_nobody(driver: int) -> None:
    """End this process soon after the driver, whatever it is doing."""
    while os.getppid() == driver:
        time.sleep(_LOOK_SECONDS)
    time.sleep(_GRACE_SECONDS)
    os._exit(1)


class Undecided(BaseException):
    """Nobody is there to answer whether a design goes on; not an error of the task's."""

    def __init__(self, evaluation: Evaluation) -> None:
        super().__init__(evaluation.stage)
        self.evaluation = evaluation


def do(task: Task, lab: Lab) -> Message:
    """Do one task; what goes wrong with it is a message, too."""
    try:
        if isinstance(task, Search):
            return Searched(evaluation=objective(task.evaluation, lab))
        reading = confirm_once(task.evaluation, task.index, task.images, lab)
        return Confirmed(key=task.evaluation.key, index=task.index, reading=reading)
    except Stopped:
        return Halted()
    except _DriverGone:
        raise
    except Exception as error:
        return _broken(error)


def _broken(error: Exception) -> Broken:
    known = error if isinstance(error, InputError | OutputError) else None
    return Broken(error=known, text="".join(traceback.format_exception(error)))
