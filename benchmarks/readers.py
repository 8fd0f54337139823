"""What it costs to tell reader processes of a large source: with every chunk, or once.

python -m benchmarks.readers
"""

from __future__ import annotations

import json
import pickle
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from multiprocessing import get_context
from typing import Any

import numpy as np

from nano.data.readers import CHUNK, frames, one_thread_each, read_chunk, start_worker
from nano.data.sample import Provenance, Sample

FRAMES = 23_158  # Eigen's training list: an image and a map each
READ = 80
SIZE = (24, 80)  # tiny, so that telling and not reading is measured
WORKERS = 2


@dataclass(frozen=True, kw_only=True)
class Listed:
    """A source that holds the names of its files, as KITTI's does, and makes frames up."""

    files: tuple[tuple[str, str], ...]
    name: str = "listed"
    truth: str = "rendered"

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> Sample:
        image = np.full((*SIZE, 3), index % 256, np.uint8)
        return Sample(name=self.files[index][0], image=image, depth=np.ones(SIZE, np.float32))

    @property
    def provenance(self) -> Provenance:
        """Nobody's."""
        return Provenance(protocol="made up", licence="free")

    def identity(self) -> dict[str, Any]:
        """All that decides the frames."""
        return {"count": len(self)}


def measure(rounds: int = 3) -> dict[str, object]:
    """Megabytes and CPU seconds of telling once, and frames a second by either way, medians."""
    folder = "/data/kitti/2011_09_26/2011_09_26_drive_0001_sync"
    pairs = ((f"{folder}/image_02/{i:010d}.png", f"{folder}/map/{i}.png") for i in range(FRAMES))
    source = Listed(files=tuple(pairs))
    start = time.process_time()
    told = len(pickle.dumps(source))
    seconds = time.process_time() - start
    rates: dict[str, list[float]] = {"with_every_chunk": [], "once": []}
    for _ in range(rounds):
        rates["with_every_chunk"].append(_rate(source, with_every_chunk))
        rates["once"].append(_rate(source, told_once))
    figures = {f"frames_per_second_{way}": statistics.median(r) for way, r in rates.items()}
    gain = figures["frames_per_second_once"] / figures["frames_per_second_with_every_chunk"]
    return {
        "frames": FRAMES,
        "workers": WORKERS,
        "chunk": CHUNK,
        "megabytes": round(told / 1e6, 2),
        "seconds_to_pickle": round(seconds, 4),
        **{name: round(rate, 1) for name, rate in figures.items()},
        "times_faster": round(gain, 1),
    }


def _rate(source: Listed, way: Callable[[Listed], float]) -> float:
    return READ / way(source)


def told_once(source: Listed) -> float:
    """Seconds of reading `READ` frames, processes at work already."""
    with closing(frames(source, SIZE, WORKERS)) as every:
        next(every)
        start = time.perf_counter()
        for _ in islice(every, READ):
            pass
        return time.perf_counter() - start


def with_every_chunk(source: Listed) -> float:
    """Likewise, as it was done before: each task carries the source."""
    context = get_context("spawn")
    chunks = [range(start, start + CHUNK) for start in range(0, READ, CHUNK)]
    with (
        one_thread_each(),
        ProcessPoolExecutor(WORKERS, mp_context=context, initializer=start_worker) as pool,
    ):
        list(pool.map(abs, range(WORKERS)))
        pool.submit(read_chunk, source, SIZE, chunks[0]).result()
        start = time.perf_counter()
        for waiting in [pool.submit(read_chunk, source, SIZE, chunk) for chunk in chunks]:
            waiting.result()
        return time.perf_counter() - start


if __name__ == "__main__":
    print(json.dumps(measure(), indent=1))
