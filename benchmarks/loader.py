"""How fast frames come out of a prepared cache, and what bounds that.

Gathered: in random order, half of them mirrored, as training takes them; unflipped: none of them
mirrored; float: gathered and turned into the float32 that a network reads; in order: slices of the
memory map without a copy, as evaluation takes them, so that what follows is the first to read them.
Copied is the bound: the same bytes copied by one contiguous assignment, without any choice. Staged
is what the bound is made of: frame by frame into one place that stays in the processor's cache, so
that memory is only read.

python -m benchmarks.loader
"""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nano.data.cache import prepare
from nano.data.sample import DepthSet, Provenance, Sample, borrowed, network_input
from nano.train.augment import augment
from nano.train.batches import Order, gather

SIZES = ((64, 192), (96, 320), (384, 1280))
BATCH = 16
FRAMES = 96  # at 384x1280 some 240 MB: more than the processor's caches, less than its memory
ASKED = {
    "gathered_per_second_384x1280": ">= 2000",
    "unflipped_per_second_384x1280": ">= 5000",
}


@dataclass(frozen=True, kw_only=True)
class Noise:
    """Frames of random pixels: reading costs the same whatever they show."""

    size: tuple[int, int]
    name: str = "noise"
    truth: str = "rendered"

    def __len__(self) -> int:
        return FRAMES

    def __getitem__(self, index: int) -> Sample:
        random = np.random.default_rng(index)
        image = random.integers(0, 256, (*self.size, 3), dtype=np.uint8)
        depth = np.full(self.size, 10.0, np.float32)
        return Sample(name=f"{index}", image=image, depth=depth)

    @property
    def provenance(self) -> Provenance:
        """Nobody's."""
        return Provenance(protocol="made up", licence="free")

    def identity(self) -> dict[str, Any]:
        """All that decides the frames."""
        return {"size": list(self.size)}


def measure(rounds: int = 15) -> dict[str, object]:
    """Frames a CPU second on one thread, medians; the ways take turns."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with tempfile.TemporaryDirectory() as folder:
            return _measure(Path(folder), rounds)
    finally:
        torch.set_num_threads(threads)


def _measure(folder: Path, rounds: int) -> dict[str, object]:
    figures: dict[str, object] = {"rounds": rounds, "batch": BATCH, "flip": 0.5}
    for size in SIZES:
        data = prepare(Noise(size=size), size, folder)
        label = "x".join(map(str, size))
        buffers = np.empty((BATCH, 3, *size), np.uint8), np.empty((BATCH, *size), np.float16)
        one = np.empty((3, *size), np.uint8), np.empty(size, np.float16)
        ways: dict[str, Callable[[int], object]] = {
            "gathered": partial(gathered, data, 0.5),
            "unflipped": partial(gathered, data, 0.0),
            "float": partial(as_float, data),
            "in_order": partial(in_order, data),
            "staged": partial(staged, data, one),
            "copied": partial(copied, data, buffers),
        }
        rates: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(rounds):
            for name, fetch in ways.items():
                rates[name].append(_rate(fetch))
        for name, found in rates.items():
            figures[f"{name}_per_second_{label}"] = round(statistics.median(found))
    frame = sum(array.nbytes for array in buffers) / BATCH
    figures["bytes_a_frame_384x1280"] = int(frame)
    figures["copied_gb_per_second"] = round(statistics.median(rates["copied"]) * frame / 1e9, 1)
    return figures


def _rate(fetch: Callable[[int], object]) -> float:
    steps = FRAMES // BATCH
    start = time.process_time()
    for step in range(steps):
        fetch(step)
    return steps * BATCH / (time.process_time() - start)


def gathered(data: DepthSet, flip: float, step: int) -> tuple[Tensor, Tensor]:
    """One batch as training gathers and mirrors it: uint8 images, float16 depth."""
    draw = Order(images=len(data), batch=BATCH, flip=flip, seed=0).at(step)
    return augment(*gather(data, draw.indices), draw)


def as_float(data: DepthSet, step: int) -> object:
    """The same and what follows on the device: normalised float32 images, float32 depth."""
    images, depth = gathered(data, 0.5, step)
    return network_input(images), depth.float()


def in_order(data: DepthSet, step: int) -> object:
    """The next images of the split as a tensor over the map's own memory."""
    chunk = slice(step * BATCH, (step + 1) * BATCH)
    return borrowed(data.images[chunk]), borrowed(data.depth[chunk])


def staged(data: DepthSet, into: tuple[NDArray[Any], NDArray[Any]], step: int) -> object:
    """The frames of a batch one after the other in one place, as for sending them to a device."""
    draw = Order(images=len(data), batch=BATCH, flip=0.0, seed=0).at(step)
    for index in draw.indices.tolist():
        into[0][...], into[1][...] = data.images[index], data.depth[index]
    return into


def copied(data: DepthSet, into: tuple[NDArray[Any], NDArray[Any]], step: int) -> object:
    """The same bytes, one after the other, into memory that is there already."""
    chunk = slice(step * BATCH, (step + 1) * BATCH)
    into[0][...], into[1][...] = data.images[chunk], data.depth[chunk]
    return into


if __name__ == "__main__":
    print(json.dumps(measure(), indent=1))
