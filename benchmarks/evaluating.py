"""Where the time of an evaluation goes: 697 frames at 384x1280 with the preset of the paper.

python -m benchmarks.evaluating

Images of noise and truth as sparse as a scan's (4 % of 375x1242), out of a prepared cache; CPU time
of one thread. What is not the network is reading, decoding, sampling and the metrics.
"""

from __future__ import annotations

import json
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from nano.data.cache import prepare
from nano.data.sample import Provenance, Sample
from nano.design.presets import preset
from nano.evaluate.interval import bootstrap_intervals
from nano.evaluate.protocol import PROTOCOLS
from nano.evaluate.run import evaluate
from nano.memory import keep_freed_memory
from nano.networks.depthnet import build

DESIGN, SIZE, NATIVE = "depthnet-nano", (384, 1280), (375, 1242)
FRAMES, KNOWN = 697, 0.04
BATCH = 4
ASKED = {"share_of_the_network": ">= 0.9"}


@dataclass(frozen=True, kw_only=True)
class Scans:
    """Frames of noise with sparse truth: what an evaluation costs does not depend on them."""

    frames: int
    name: str = "noise test"
    truth: str = "single-scan"

    def __len__(self) -> int:
        return self.frames

    def __getitem__(self, index: int) -> Sample:
        random = np.random.default_rng(index)
        image = np.frombuffer(random.bytes(3 * NATIVE[0] * NATIVE[1]), np.uint8)
        depth = random.uniform(2, 80, NATIVE).astype(np.float32)
        depth[random.random(NATIVE) > KNOWN] = 0
        return Sample(name=f"{index}", image=image.reshape(*NATIVE, 3), depth=depth)

    @property
    def provenance(self) -> Provenance:
        """Nobody's."""
        return Provenance(protocol="made up", licence="free")

    def identity(self) -> dict[str, Any]:
        """All that decides the frames."""
        return {"frames": self.frames}


class Timed(nn.Module):
    """A network and the CPU seconds it took."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.seconds = 0.0

    def forward(self, images: Tensor) -> Tensor:
        """The network's output."""
        start = time.process_time()
        output: Tensor = self.network(images)
        self.seconds += time.process_time() - start
        return output


def measure(frames: int = FRAMES) -> dict[str, object]:
    """CPU milliseconds a frame of the evaluation, of its network, and of the intervals after it."""
    keep_freed_memory()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with tempfile.TemporaryDirectory() as folder:
            data = prepare(Scans(frames=frames), SIZE, Path(folder))
            network = Timed(build(preset(DESIGN), 0))
            start = time.process_time()
            result = evaluate(
                network, "log", data, PROTOCOLS["kitti-single-scan-garg"], batch=BATCH
            )
            whole = time.process_time() - start
    finally:
        torch.set_num_threads(threads)
    start = time.process_time()
    bootstrap_intervals(result.per_image)
    intervals = time.process_time() - start
    each = 1e3 / frames
    return {
        "design": DESIGN,
        "frames": frames,
        "batch": BATCH,
        "ms_per_frame": round(whole * each, 2),
        "network_ms_per_frame": round(network.seconds * each, 2),
        "rest_ms_per_frame": round((whole - network.seconds) * each, 2),
        "share_of_the_network": round(network.seconds / whole, 4),
        "intervals_seconds": round(intervals, 2),
    }


if __name__ == "__main__":
    print(json.dumps(measure(), indent=1))
