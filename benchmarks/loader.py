"""How fast batches come out of a prepared cache and are mirrored, as the float tensors of training.

python -m benchmarks.loader
"""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from nano.data.cache import prepare
from nano.data.sample import DepthSet, Provenance, Sample, network_input
from nano.train.augment import augment
from nano.train.batches import Order, gather

SIZES = ((64, 192), (96, 320), (384, 1280))
BATCH = 16
FRAMES = 96  # at 384x1280 some 240 MB: more than the processor's caches, less than its memory
ASKED = {"gathered_per_second_384x1280": ">= 2000"}


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
    """Frames a CPU second on one thread, medians: gathered and mirrored, and turned to float32."""
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
        for name, fetch in (("gathered", fetched), ("float", as_float)):
            rates = [_rate(data, fetch) for _ in range(rounds)]
            figures[f"{name}_per_second_{label}"] = round(statistics.median(rates))
    return figures


def _rate(data: DepthSet, fetch: Callable[[DepthSet, Order, int], object]) -> float:
    order = Order(images=len(data), batch=BATCH, flip=0.5, seed=0)
    steps = len(data) // BATCH
    start = time.process_time()
    for step in range(steps):
        fetch(data, order, step)
    return steps * BATCH / (time.process_time() - start)


def fetched(data: DepthSet, order: Order, step: int) -> object:
    """One batch as training gathers and mirrors it: uint8 images, float16 depth."""
    draw = order.at(step)
    return augment(*gather(data, draw.indices), draw)


def as_float(data: DepthSet, order: Order, step: int) -> object:
    """The same and what follows on the device: normalised float32 images, float32 depth."""
    draw = order.at(step)
    images, depth = augment(*gather(data, draw.indices), draw)
    return network_input(images), depth.float()


if __name__ == "__main__":
    print(json.dumps(measure(), indent=1))
