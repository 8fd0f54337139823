"""Whose turn it is on a machine: one measures and all others pause, or any number work.

Two lock files in one folder. Whoever works holds ``working`` shared; whoever measures holds
``measuring`` alone, and then ``working`` alone. Workers look at ``measuring`` between two steps and
let go of ``working`` while somebody holds it, so that nobody who wants to measure waits for longer
than a step. The system frees the locks of who dies.
"""

from __future__ import annotations

import fcntl
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from nano.files import unwritable

_LOOK_S = 0.02


class NotNow(Exception):
    """``stop()`` turned true while waiting for one's turn."""


@dataclass(frozen=True, kw_only=True)
class Turns:
    """The turns of all processes that share the folder.

    Attributes:
        folder: Of the lock files; made where it is not there.
    """

    folder: Path

    @contextmanager
    def measuring(self, stop: Callable[[], bool]) -> Iterator[None]:
        """Alone on the machine, as far as others take turns.

        Raises:
            NotNow: ``stop()`` turned true before.
        """
        with self._open("measuring") as measuring, self._open("working") as working:
            _take(measuring, fcntl.LOCK_EX, stop)
            _take(working, fcntl.LOCK_EX, stop)
            yield

    @contextmanager
    def working(self, stop: Callable[[], bool]) -> Iterator[Callable[[], bool]]:
        """Work that pauses while others measure.

        Yields:
            To be called between two steps in place of ``stop``: waits until nobody measures, and
            tells whether to stop.
        """
        with self._open("measuring") as measuring, self._open("working") as working:

            def wait() -> bool:
                if _held(measuring, fcntl.LOCK_SH):
                    fcntl.flock(working, fcntl.LOCK_UN)
                    try:
                        _take(measuring, fcntl.LOCK_SH, stop)
                    except NotNow:
                        return True
                    fcntl.flock(measuring, fcntl.LOCK_UN)
                try:
                    _take(working, fcntl.LOCK_SH, stop)
                except NotNow:
                    return True
                return stop()

            wait()
            yield wait

    @contextmanager
    def _open(self, name: str) -> Iterator[int]:
        path = self.folder / name
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise unwritable(path, error) from error
        try:
            yield handle
        finally:
            os.close(handle)


def turns_here(cache: Path) -> Turns:
    """Of this machine, for all studies and commands that share the cache."""
    return Turns(folder=cache / "turns" / socket.gethostname())


def _held(handle: int, kind: int) -> bool:
    """Whether somebody else's lock stands against ours; takes nothing."""
    try:
        fcntl.flock(handle, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    fcntl.flock(handle, fcntl.LOCK_UN)
    return False


def _take(handle: int, kind: int, stop: Callable[[], bool]) -> None:
    while True:
        try:
            fcntl.flock(handle, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            if stop():
                raise NotNow from None
            time.sleep(_LOOK_S)
        else:
            return
