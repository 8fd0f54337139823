"""Many frames filled by processes of their own, within the machine's memory.

A long job, so it loses little: every map is a file of its own that is whole or not there, a second
run keeps those of the first, a frame that cannot be read is passed over and listed at the end, and
a process that dies takes one frame with it.
"""

from __future__ import annotations

import math
import multiprocessing
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Literal

from nano.console import say
from nano.data.filled import FilledSource
from nano.data.locks import alone
from nano.data.readers import bad_frames, one_thread_each, start_worker
from nano.errors import DataError, OutputError
from nano.machine import available_memory, cores
from nano.signals import signals_held

# What a process needs beside the frame, and per pixel of the image; measured at 375x1242 and
# 1216x1936, and rounded up (benchmarks/results/fill.json has the peaks at the first).
PROCESS_BYTES = 100_000_000
BYTES_PER_PIXEL = {"levin": 1000, "levin-half": 350, "linear": 350, "nearest": 100, "none": 50}
LOOKED_AT = 8  # frames whose sizes decide how many processes fit
ABANDONED_S = 60.0  # age of a part that nobody writes any more: one takes a second
USABLE_SHARE = 0.8  # of the memory that is free: others live here too

DEATHS_IN_A_ROW = 5  # when no frame comes between them, something else than a frame is wrong

_CONTEXT = multiprocessing.get_context("spawn")  # forking a program with threads may hang

State = Literal["filled", "kept", "bad", "unwritable"]
Progress = Callable[[int, int], None]


@dataclass(frozen=True, kw_only=True)
class Report:
    """How a job ended: numbers of maps made and found, and why others are not there."""

    filled: int
    kept: int
    bad: tuple[str, ...]


def fill_frames(
    source: FilledSource,
    *,
    workers: int | None = None,
    memory: int | None = None,
    bad_share: float = 0.0,
    progress: Progress | None = None,
) -> Report:
    """Make the filled map of every frame that has none in the source's folder.

    Two jobs in one folder work one after the other. The program's main module must be importable
    without side effects: it is started anew in each process.

    Args:
        source: With a folder; picklable.
        workers: Processes of one thread each, at most; a core each unless told.
        memory: Bytes they may take together; most of what is free unless told.
        bad_share: Share of the frames that may be bad.
        progress: Called with (frames done, frames in all).

    Raises:
        DataError: More frames than that are bad, or processes die whatever they work on. All maps
            that could be made are there.
        OutputError: A map cannot be written, a full disk for example. Those before it are there.
    """
    assert source.folder is not None
    wanted = min(workers or cores(), max(1, len(source)))
    processes = _within_memory(source, wanted, memory)
    counts = {"filled": 0, "kept": 0}
    bad: list[str] = []
    with alone(source.folder / ".lock"), closing(_outcomes(source, processes)) as outcomes:
        _remove_left_over(source.folder)
        for done, (state, reason) in enumerate(outcomes, start=1):
            if state == "unwritable":
                raise OutputError(f"{reason}; maps filled so far are kept: run it again")
            if state == "bad":
                bad.append(reason)
            else:
                counts[state] += 1
            if progress is not None:
                progress(done, len(source))
    if len(bad) > bad_share * len(source):
        allowed = f" (allowed: {bad_share:.3g} of all)" if bad_share else ""
        raise DataError(
            f"{bad_frames(source, bad)}\n{counts['filled'] + counts['kept']} other maps are filled"
            f" and kept{allowed}"
        )
    return Report(filled=counts["filled"], kept=counts["kept"], bad=tuple(bad))


def frame_bytes(size: tuple[int, int], method: str) -> int:
    """Memory of a process that fills frames of a height and width."""
    return PROCESS_BYTES + BYTES_PER_PIXEL[method] * size[0] * size[1]


def _within_memory(source: FilledSource, wanted: int, memory: int | None) -> int:
    """How many processes fit; one always may try."""
    size = _largest_size(source)
    if memory is None:
        free = available_memory()
        memory = None if free is None else int(USABLE_SHARE * free)
    if size is None or memory is None:
        return wanted
    each = frame_bytes(size, source.method)
    fit = max(1, memory // each)
    if fit < wanted:
        say(
            f"filling with {fit} of {wanted} processes: each takes {each / 1e9:.1f} GB and"
            f" {memory / 1e9:.1f} GB may be used"
        )
    return min(fit, wanted)


def _largest_size(source: FilledSource) -> tuple[int, int] | None:
    """The largest of a few frames from all over the source; None where none of them can be read."""
    step = max(1, len(source) // LOOKED_AT)
    sizes = []
    for index in range(0, len(source), step):
        with suppress(DataError):
            height, width = source.inner[index].depth.shape
            sizes.append((height, width))
    return max(sizes, key=math.prod, default=None)


def _remove_left_over(folder: Path) -> None:
    """Parts that a killed process left; a young one may be another writer's, at work."""
    for part in folder.rglob(".*.png.*.part"):
        with suppress(FileNotFoundError):
            if time.time() - part.stat().st_mtime > ABANDONED_S:
                part.unlink()


# --- processes -----------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class _Worker:
    process: SpawnProcess
    connection: Connection
    index: int


@dataclass(kw_only=True)
class _Pool:
    """Processes at work, each on one frame."""

    source: FilledSource
    busy: dict[Connection, _Worker] = field(default_factory=dict)
    idle: list[_Worker] = field(default_factory=list)

    def give(self, index: int) -> None:
        """Let an idle process, or a new one, fill a frame."""
        known = self.idle.pop() if self.idle else self._start()
        worker = _Worker(process=known.process, connection=known.connection, index=index)
        self.busy[worker.connection] = worker
        with suppress(BrokenPipeError, ConnectionResetError):  # dead: `outcomes` finds out
            worker.connection.send(index)

    def outcomes(self) -> Iterator[tuple[State, str, bool]]:
        """What became of one frame or more: state, reason, and whether a process died of it."""
        for ready in wait(list(self.busy)):
            assert isinstance(ready, Connection)
            worker = self.busy.pop(ready)
            try:
                state, reason = ready.recv()
            except (EOFError, ConnectionResetError):
                yield "bad", self._bury(worker), True
            else:
                self.idle.append(worker)
                yield state, reason, False

    def kill(self) -> None:
        """End all at once; a map that was being written is not there."""
        for worker in [*self.busy.values(), *self.idle]:
            worker.process.kill()
            worker.process.join()
            worker.connection.close()
        self.busy, self.idle = {}, []

    def _start(self) -> _Worker:
        ours, theirs = _CONTEXT.Pipe()
        process = _CONTEXT.Process(target=_serve, args=(theirs, self.source), daemon=True)
        with one_thread_each(), signals_held():
            process.start()
        theirs.close()
        return _Worker(process=process, connection=ours, index=-1)

    def _bury(self, worker: _Worker) -> str:
        worker.process.join()
        worker.connection.close()
        code = worker.process.exitcode or 0
        how = f"signal {-code}; out of memory?" if code < 0 else f"exit code {code}"
        return (
            f"frame {worker.index}: the process that filled it ended unexpectedly ({how}); run it "
            "again, with fewer workers if that is the reason"
        )


def _outcomes(source: FilledSource, processes: int) -> Generator[tuple[State, str]]:
    """State and reason of every frame, as they get done."""
    waiting = deque(range(len(source)))
    pool = _Pool(source=source)
    deaths = 0
    try:
        while waiting or pool.busy:
            while waiting and len(pool.busy) < processes:
                pool.give(waiting.popleft())
            for state, reason, died in pool.outcomes():
                deaths = deaths + 1 if died else 0
                if deaths >= DEATHS_IN_A_ROW and waiting:
                    raise DataError(
                        f"{source.name}: {deaths} processes ended one after the other; the last: "
                        f"{reason}"
                    )
                yield state, reason
    finally:
        pool.kill()


def _serve(connection: Connection, source: FilledSource) -> None:
    """Fill the frames whose numbers come, one at a time, until the parent is gone."""
    start_worker()
    while True:
        try:
            index = connection.recv()
        except EOFError:
            return
        connection.send(_outcome(source, index))


def _outcome(source: FilledSource, index: int) -> tuple[State, str]:
    try:
        made = source.fetch(index)[1]
    except DataError as error:
        return "bad", str(error)
    except OutputError as error:
        return "unwritable", str(error)
    return ("filled" if made else "kept"), ""
