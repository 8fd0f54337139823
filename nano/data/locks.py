"""One process at a time in a folder."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nano.console import say
from nano.errors import OutputError
from nano.files import unwritable


@contextmanager
def alone(lock: Path, remedy: str = "") -> Iterator[None]:
    """Hold the lock file, waiting for who holds it; the system frees it when the holder dies.

    Args:
        lock: Made where it is not there.
        remedy: What a person can do where it cannot be made.

    Raises:
        OutputError: The file, or the folder it is in, cannot be made, or the file system has no
            locks.
    """
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(lock, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        told = unwritable(lock, error)
        raise OutputError(f"{told}; {remedy}" if remedy else str(told)) from error
    try:
        _hold(handle, lock)
        yield
    finally:
        os.close(handle)


def _hold(handle: int, lock: Path) -> None:
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"{lock.parent}: another process works here; waiting until it is done")
            fcntl.flock(handle, fcntl.LOCK_EX)
    except OSError as error:
        raise OutputError(
            f"{lock}: cannot be locked ({error.strerror}); use a folder on a local disk"
        ) from error
