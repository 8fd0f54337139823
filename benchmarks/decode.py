"""What it costs to bring one KITTI frame from its files to a network's input.

python -m benchmarks.decode

A made-up frame of KITTI's size (a PNG of some 800 kB, a 16-bit map with a fifth of its pixels
known) to 384x1280, CPU time of one thread. The obvious way is Pillow throughout, in a process as
it comes: bilinear resize, image as float32 in 0..1, depth in metres by nearest pixel. Ours makes
what a cache holds (uint8, float16 with the nearest depth, the flat truth) as the processes that
prepare caches do, keeping freed memory (`nano.memory`); without that it is measured too. Each has a
process of its own, because that setting cannot be taken back, and they take turns.
"""

from __future__ import annotations

import json
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from PIL import Image

from nano.data.fit import fit
from nano.data.images import read_depth_png, read_image
from nano.data.readers import one_thread_each, start_worker
from nano.data.sample import Sample

NATIVE, SIZE = (375, 1242), (384, 1280)
KNOWN = 0.2
ASKED = {"times_faster": ">= 1.4"}


def measure(rounds: int = 15, frames: int = 5) -> dict[str, object]:
    """Median CPU milliseconds a frame."""
    ways: dict[str, tuple[Callable[[Path], object], Callable[[], None] | None]] = {
        "obvious": (obvious, None),
        "ours": (ours, start_worker),
        "ours_as_it_comes": (ours, None),
    }
    spawn = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as name, one_thread_each(), ExitStack() as pools:
        folder = write_frame(Path(name))
        workers = {
            way: pools.enter_context(ProcessPoolExecutor(1, mp_context=spawn, initializer=start))
            for way, (_, start) in ways.items()
        }
        times: dict[str, list[float]] = {way: [] for way in ways}
        for _ in range(rounds + 1):
            for way, (read, _) in ways.items():
                times[way].append(workers[way].submit(milliseconds, read, folder, frames).result())
        size = (folder / "image.png").stat().st_size
    medians = {way: statistics.median(found[1:]) for way, found in times.items()}
    return {
        "rounds": rounds,
        "image_bytes": size,
        **{f"{way}_ms": round(found, 2) for way, found in medians.items()},
        "times_faster": round(medians["obvious"] / medians["ours"], 2),
    }


def write_frame(folder: Path) -> Path:
    """An image that compresses like a photograph, and a sparse map."""
    random = np.random.default_rng(0)
    smooth = Image.fromarray(random.integers(0, 256, (24, 80, 3), dtype=np.uint8))
    picture = np.asarray(smooth.resize(NATIVE[::-1], Image.Resampling.BICUBIC), np.float32)
    noisy = picture + random.normal(0, 2.5, picture.shape)
    Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(folder / "image.png")
    steps = random.integers(1280, 20000, NATIVE, dtype=np.uint16)
    steps[random.random(NATIVE) > KNOWN] = 0
    Image.fromarray(steps).save(folder / "depth.png")
    return folder


def milliseconds(read: Callable[[Path], object], folder: Path, frames: int) -> float:
    """CPU time a frame."""
    start = time.process_time()
    for _ in range(frames):
        read(folder)
    return 1e3 * (time.process_time() - start) / frames


def obvious(folder: Path) -> object:
    """Pillow and numpy, a line each."""
    image = Image.open(folder / "image.png").convert("RGB")
    image = image.resize(SIZE[::-1], Image.Resampling.BILINEAR)
    pixels = np.asarray(image, np.float32).transpose(2, 0, 1) / 255
    metres = np.asarray(Image.open(folder / "depth.png"), np.float32) / 256
    nearest = Image.fromarray(metres).resize(SIZE[::-1], Image.Resampling.NEAREST)
    return pixels, np.asarray(nearest)


def ours(folder: Path) -> object:
    """As `nano.data.kitti` reads a frame and `nano.data.cache` keeps it."""
    image, depth = read_image(folder / "image.png"), read_depth_png(folder / "depth.png")
    return fit(Sample(name="frame", image=image, depth=depth), SIZE)


if __name__ == "__main__":
    print(json.dumps(measure(), indent=1))
