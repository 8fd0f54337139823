"""Filling one KITTI-sized depth map by colorization, against the usual way: loops and a sparse LU.

    python -m benchmarks.fill

A rendered street of 375 x 1242 pixels, known on thinned rows as a LiDAR would see it (about 4 %).
CPU time of one core, in processes of one thread each, round by round in turn; memory is the most a
fresh process held, Python and the packages included. `port` is the habit that ours is held to: the
published definition stated pixel by pixel.
"""

from __future__ import annotations

import json
import math
import multiprocessing
import resource
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array, csr_array
from scipy.sparse.linalg import splu, spsolve

from nano.data.colorization import affinities
from nano.data.dissection import OFFSETS
from nano.data.fill import METHODS, fill
from nano.data.readers import one_thread_each
from nano.data.scenes import render_scene

SIZE = (375, 1242)
GREY = (0.2125, 0.7154, 0.0721)
ASKED = {
    "levin_over_port": ">= 8",
    "levin_peak_mb": "<= 1000",
    "levin_max_relative_difference": "<= 1e-6",
}

Filler = Callable[[NDArray[np.float32], NDArray[np.uint8]], NDArray[np.float32]]


def frame(
    size: tuple[int, int] = SIZE, seed: int = 0
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Depth as sparse as a LiDAR's, none in the upper part, and the image."""
    scene = render_scene(seed, size)
    random = np.random.default_rng(seed)
    seen = random.random(size) < 0.3
    seen &= (np.arange(size[0])[:, None] % 5 == 0) & (np.arange(size[0])[:, None] > 0.33 * size[0])
    return np.where(seen, scene.depth, 0).astype(np.float32), scene.image


def port(depth: NDArray[np.float32], image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The definition, one pixel after another in columns, solved by scipy's default."""
    matrix, right, largest = system(depth, image)
    dense = spsolve(matrix, right).reshape(depth.shape, order="F") * largest
    return np.where(depth > 0, depth, dense).astype(np.float32)


def sparse_lu(depth: NDArray[np.float32], image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The same system from whole arrays, by the best a general sparse LU of scipy does.

    It is told that the pattern is symmetric and that nothing needs a pivot.
    """
    known = depth > 0
    stencil = -affinities(image @ (np.array(GREY) / 255))
    stencil[OFFSETS.index((0, 0))] = 1.0 + known
    number = np.pad(np.arange(depth.size).reshape(depth.shape), 1, constant_values=-1)
    height, width = depth.shape
    others = np.stack([number[1 + r : 1 + r + height, 1 + c : 1 + c + width] for r, c in OFFSETS])
    there = others >= 0
    rows = np.broadcast_to(number[1:-1, 1:-1], others.shape)[there]
    matrix = csc_array((stencil[there], (rows, others[there])), shape=(depth.size, depth.size))
    factors = splu(
        matrix,
        permc_spec="MMD_AT_PLUS_A",
        diag_pivot_thresh=0.0,
        options={"SymmetricMode": True},
    )
    dense = factors.solve(depth.ravel().astype(np.float64)).reshape(depth.shape)
    return np.where(known, depth, dense).astype(np.float32)


def system(
    depth: NDArray[np.float32], image: NDArray[np.uint8]
) -> tuple[csr_array, NDArray[np.float64], float]:
    """Matrix, right side and largest depth, pixels numbered down the columns."""
    height, width = depth.shape
    grey = (image / 255) @ np.array(GREY)
    largest = float(depth.max())
    rows, columns, values = [], [], []
    for column in range(width):
        for row in range(height):
            r = column * height + row
            others = [
                (i, j)
                for j in range(max(0, column - 1), min(column + 2, width))
                for i in range(max(0, row - 1), min(row + 2, height))
                if (i, j) != (row, column)
            ]
            around = np.array([grey[other] for other in others])
            centre = grey[row, column]
            difference = (around - centre) ** 2
            spread = 0.6 * np.var(np.append(around, centre))
            spread = max(spread, -difference.min() / math.log(0.01), 2e-6)
            weights = np.exp(-difference / spread)
            weights /= weights.sum()
            for (i, j), weight in zip(others, weights, strict=True):
                rows.append(r)
                columns.append(j * height + i)
                values.append(-weight)
            rows.append(r)
            columns.append(r)
            values.append(1.0 + (depth[row, column] > 0))
    pixels = height * width
    matrix = csr_array((values, (rows, columns)), shape=(pixels, pixels))
    return matrix, depth.ravel(order="F").astype(np.float64) / largest, largest


def measure(rounds: int = 3) -> dict[str, object]:
    """Seconds and megabytes a frame for each method, medians; ours compared with the port."""
    depth, image = frame()
    fillers: dict[str, Filler] = {
        "port": port,
        "sparse_lu": sparse_lu,
        **{
            name.replace("-", "_"): partial(fill, method=name) for name in METHODS if name != "none"
        },
    }
    spent: dict[str, list[float]] = {}
    peaks: dict[str, float] = {}
    results: dict[str, NDArray[np.float32]] = {}
    for _ in range(rounds):
        for name, filler in fillers.items():
            seconds, peaks[name], results[name] = _alone(filler, depth, image)
            spent.setdefault(name, []).append(seconds)
    seconds_of = {name: statistics.median(values) for name, values in spent.items()}
    difference = np.abs(results["levin"] / results["port"] - 1).max()
    seen = (depth == 0) & (np.arange(SIZE[0])[:, None] >= depth.any(axis=1).argmax())  # no sky
    half = np.abs(results["levin_half"] / results["port"] - 1)[seen]
    return {
        "rounds": rounds,
        "known_share": round(float((depth > 0).mean()), 4),
        **{f"{name}_seconds": round(value, 3) for name, value in seconds_of.items()},
        **{f"{name}_peak_mb": round(value) for name, value in peaks.items()},
        **{
            f"{name}_over_port": round(_ratio(spent["port"], values), 2)
            for name, values in spent.items()
            if name != "port"
        },
        "levin_max_relative_difference": float(difference),
        "levin_half_median_relative_difference": round(float(np.median(half)), 4),
        "levin_half_p95_relative_difference": round(float(np.quantile(half, 0.95)), 4),
    }


def _ratio(port_seconds: list[float], seconds: list[float]) -> float:
    """Median of the ratios within rounds."""
    return statistics.median(a / b for a, b in zip(port_seconds, seconds, strict=True))


def _alone(
    filler: Filler, depth: NDArray[np.float32], image: NDArray[np.uint8]
) -> tuple[float, float, NDArray[np.float32]]:
    """CPU seconds, peak megabytes and the result, in a process of its own."""
    context = multiprocessing.get_context("spawn")
    with one_thread_each(), ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(_timed, filler, depth, image).result()


def _timed(
    filler: Filler, depth: NDArray[np.float32], image: NDArray[np.uint8]
) -> tuple[float, float, NDArray[np.float32]]:
    """The first call of a process pays for imports and index tables; a small one goes before."""
    filler(depth[150:182, :32], image[150:182, :32])
    start = time.process_time()
    filled = filler(depth, image)
    seconds = time.process_time() - start
    return seconds, _peak_mb(), filled


def _peak_mb() -> float:
    """Of this process alone: the system's own count starts with the parent's where it can."""
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM"):
                return int(line.split()[1]) * 1024 / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


if __name__ == "__main__":
    print(json.dumps(measure(), indent=1))
