"""What the metrics of one frame cost, beside the full-map evaluators that are usual in the field.

python -m benchmarks.metrics
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import interpolate

from nano.data.sample import DepthSet, Truth
from nano.evaluate.metrics import depth_metrics
from nano.evaluate.protocol import PROTOCOLS, crop_slices
from nano.evaluate.run import compare

NATIVE = (375, 1242)
PREDICTED = (192, 640)  # half of 384x1280
VALID = 0.06
FRAMES = 8
PROTOCOL = PROTOCOLS["kitti-single-scan"]
ASKED = {"ms_per_frame": "<= 0.3", "largest_difference": "<= 1e-6"}

Depths = NDArray[np.float32]


def measure(rounds: int = 41) -> dict[str, object]:
    """Median CPU milliseconds a frame on one thread, ours and full maps, in turns."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        data, depths = _frames()
        ours, theirs = [], []
        for _ in range(rounds):
            ours.append(_milliseconds(lambda: [_ours(data, depths, i) for i in range(FRAMES)]))
            theirs.append(_milliseconds(lambda: [_full(data, depths, i) for i in range(FRAMES)]))
    finally:
        torch.set_num_threads(threads)
    differences = [
        abs(_ours(data, depths, i)[name] - value)
        for i in range(FRAMES)
        for name, value in _full(data, depths, i, double=True).items()
    ]
    mine, full = statistics.median(ours), statistics.median(theirs)
    return {
        "rounds": rounds,
        "native": list(NATIVE),
        "valid": VALID,
        "ms_per_frame": round(mine, 4),
        "full_maps_ms_per_frame": round(full, 4),
        "times_faster": round(full / mine, 1),
        "largest_difference": max(differences),
    }


def _frames() -> tuple[DepthSet, Depths]:
    """Smooth depth with truth on 6 % of the pixels, as an annotated frame within a crop."""
    random = np.random.default_rng(0)
    rows, columns = np.mgrid[0 : PREDICTED[0], 0 : PREDICTED[1]]
    waves = random.uniform(20, 60, (FRAMES, 1, 1))
    depths = (4 + 70 * np.exp(-rows / 50) * (0.7 + 0.3 * np.sin(columns / waves))).astype("f4")
    pixels = NATIVE[0] * NATIVE[1]
    index = [np.flatnonzero(random.random(pixels) < VALID).astype(np.int32) for _ in range(FRAMES)]
    truth = [random.uniform(2, 85, len(chosen)).astype(np.float32) for chosen in index]
    data = DepthSet(
        name="synthetic",
        truth_kind="single-scan",
        names=tuple(map(str, range(FRAMES))),
        images=np.zeros((FRAMES, 3, 1, 1), np.uint8),
        depth=np.zeros((FRAMES, 1, 1), np.float16),
        truth=Truth(
            sizes=np.array([NATIVE] * FRAMES, np.int32),
            offsets=np.cumsum([0, *map(len, index)]).astype(np.int64),
            index=np.concatenate(index),
            depth=np.concatenate(truth),
        ),
    )
    return data, depths


def _ours(data: DepthSet, depths: Depths, i: int) -> dict[str, float]:
    metrics = compare(depths[i], data, i, PROTOCOL).metrics
    assert metrics is not None
    return metrics


def _full(data: DepthSet, depths: Depths, i: int, *, double: bool = False) -> dict[str, float]:
    """Resize the whole map, mask the whole map, clip, measure."""
    size, index, values = data.truth.of(i)
    truth = np.zeros(size[0] * size[1], np.float32)
    truth[index] = values
    truth = truth.reshape(size)
    small = torch.from_numpy(depths[i])[None, None]
    small = small.double() if double else small
    full = interpolate(small, size, mode="bilinear", align_corners=False)[0, 0].numpy()
    inside = np.zeros(size, bool)
    inside[crop_slices(PROTOCOL.crop, size)] = True
    mask = inside & (truth > PROTOCOL.min_depth_m) & (truth < PROTOCOL.max_depth_m)
    clipped = np.clip(full[mask], PROTOCOL.min_depth_m, PROTOCOL.max_depth_m)
    return depth_metrics(clipped, truth[mask])


def _milliseconds(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return 1e3 * (time.process_time() - start) / FRAMES


if __name__ == "__main__":
    print(json.dumps(measure(), indent=1))
