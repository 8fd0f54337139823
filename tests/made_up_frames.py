"""Frames to fill, light to import: tests start processes that read them."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nano.data.filled import FilledSource
from nano.data.sample import Provenance, Sample
from nano.errors import DataError


@dataclass(frozen=True, kw_only=True)
class MadeUp:
    """Frames of mixed sizes; some bad, some that end the process they are read in, on request."""

    count: int = 6
    bad: tuple[int, ...] = ()
    deadly: tuple[int, ...] = ()
    changed: tuple[int, ...] = ()
    delay: float = 0.0
    name: str = "made up"
    truth: str = "sensor"

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Sample:
        if index in self.bad:
            raise DataError(f"frame-{index}.png: truncated")
        if index in self.deadly and multiprocessing.parent_process() is not None:
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(self.delay)
        random = np.random.default_rng((index, index in self.changed))
        size = (12 + index % 3, 20 + index % 2)
        depth = random.uniform(1, 80, size).astype(np.float32)
        depth[random.random(size) < 0.8] = 0
        image = random.integers(0, 256, (*size, 3), dtype=np.uint8)
        return Sample(name=f"drive/frame-{index}", image=image, depth=depth)

    @property
    def provenance(self) -> Provenance:
        return Provenance(protocol="made up", licence="free")

    def identity(self) -> dict[str, Any]:
        return {"count": self.count}


def filled(folder: Path, method: str = "nearest", **changes: Any) -> FilledSource:
    return FilledSource(inner=MadeUp(**changes), method=method, label="made-up", folder=folder)
