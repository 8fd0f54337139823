"""Frames of a source in order, read by this process or by several."""

from __future__ import annotations

import multiprocessing
import multiprocessing.process
import os
import signal
import threading
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass

from nano.data.fit import Fitted, fit
from nano.data.sample import Source
from nano.errors import DataError
from nano.memory import keep_freed_memory

LISTED = 20  # bad frames spelt out in a message
CHUNK = 8  # frames a worker reads at a time: few enough that little is in flight
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass(frozen=True)
class Bad:
    """A frame that could not be read, and why."""

    reason: str


def frames(source: Source, size: tuple[int, int], workers: int) -> Generator[Fitted | Bad]:
    """Every frame of ``source`` at ``size``, in order; the same for any number of workers."""
    chunks = [
        range(start, min(start + CHUNK, len(source))) for start in range(0, len(source), CHUNK)
    ]
    if workers <= 1 or len(chunks) == 1:
        for chunk in chunks:
            yield from read_chunk(source, size, chunk)
        return
    with one_thread_each(), _pool(min(workers, len(chunks)), source, size) as pool:
        waiting: deque[Future[list[Fitted | Bad]]] = deque()
        for chunk in chunks:
            waiting.append(pool.submit(_read_given, chunk))
            if len(waiting) >= 2 * workers:  # bounds what is held in memory
                yield from _result(waiting.popleft())
        while waiting:
            yield from _result(waiting.popleft())


def read_chunk(source: Source, size: tuple[int, int], chunk: range) -> list[Fitted | Bad]:
    """The frames of one chunk; what the source refuses comes back as `Bad`."""
    read: list[Fitted | Bad] = []
    for index in chunk:
        try:
            read.append(fit(source[index], size))
        except DataError as error:
            read.append(Bad(str(error)))
    return read


def bad_frames(source: Source, bad: Sequence[str], bad_share: float = 0.0) -> str:
    """How many frames of a source cannot be used, and why, in a person's words.

    Args:
        source: Of the frames.
        bad: What is wrong with each.
        bad_share: How much of the source may be left out.
    """
    more = f"\n  ... and {len(bad) - LISTED} more" if len(bad) > LISTED else ""
    admitted = len(bad) <= bad_share * len(source)
    share = f" (bad_share = {bad_share:g} of [data] admits {'it' if admitted else 'fewer'})"
    return (
        f"{source.name}: {len(bad)} of {len(source)} frames cannot be used"
        f"{share if bad_share else ''}; {'left out' if admitted else 'mend or remove them'}:\n  "
        + "\n  ".join(bad[:LISTED])
        + more
    )


def _result(future: Future[list[Fitted | Bad]]) -> list[Fitted | Bad]:
    try:
        return future.result()
    except BrokenProcessPool as broken:
        raise DataError(
            "a process that read frames ended unexpectedly (out of memory?); "
            "fewer workers need less memory"
        ) from broken


@contextmanager
def _pool(workers: int, source: Source, size: tuple[int, int]) -> Iterator[ProcessPoolExecutor]:
    """Fresh processes (spawned: forking a program with threads may hang), gone at the end.

    Each gets the source once: with every chunk, a source of 40,000 files would be most of the work.
    """
    pool = ProcessPoolExecutor(
        workers,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_start_reader,
        initargs=(source, size),
    )
    try:
        yield pool
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


_given: list[tuple[Source, tuple[int, int]]] = []  # in a worker: what it reads, and at which size


def _start_reader(source: Source, size: tuple[int, int]) -> None:
    start_worker()
    _given.append((source, size))


def _read_given(chunk: range) -> list[Fitted | Bad]:
    (given,) = _given
    return read_chunk(*given, chunk)


def start_worker() -> None:
    """Leave Ctrl-C to the parent, end when it ends, even by SIGKILL, and keep freed memory."""
    keep_freed_memory()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_after, args=(parent,), daemon=True).start()


def _end_after(parent: multiprocessing.process.BaseProcess) -> None:
    parent.join()
    os._exit(1)


@contextmanager
def one_thread_each() -> Iterator[None]:
    """Child processes inherit single-threaded numerics: they are parallel among themselves."""
    before = {name: os.environ.get(name) for name in THREADS}
    os.environ.update(dict.fromkeys(THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
