"""Prints a hash of the final weights: undisturbed, then after SIGKILL at many instants.

Run by test_checkpoint.py as a process of its own: it forks children that die in the middle of a
step, of a write, before and after the rename, and again after resuming.
"""

from __future__ import annotations

import hashlib
import os
import signal
import sys
from pathlib import Path

import numpy as np
import torch

from nano.data.sample import DepthSet, Truth
from nano.design.presets import preset
from nano.train.loop import Trained, train
from nano.train.recipe import Recipe

# All that a checkpoint must hold: an average, AMSGrad's maximum, half-taken epochs.
RECIPE = Recipe(
    steps=8,
    batch=4,
    accumulate=2,
    optimiser="adam",
    amsgrad=True,
    ema=0.9,
    permute=0.5,
    precision="float32",
    recalibrate=4,
)
DESIGN = preset("depthnet-tiny")


def split() -> DepthSet:
    random = np.random.default_rng(0)
    nothing = np.zeros(0, np.int32)
    return DepthSet(
        name="toy",
        truth_kind="rendered",
        names=tuple("abcde"),
        images=random.integers(0, 256, (5, 3, 32, 32), dtype=np.uint8),
        depth=random.uniform(1, 80, (5, 32, 32)).astype(np.float16),
        truth=Truth(
            sizes=np.zeros((5, 2), np.int32),
            offsets=np.zeros(6, np.int64),
            index=nothing,
            depth=nothing.astype(np.float32),
        ),
    )


class Death:
    """Kills this process at the n-th instant that is worth trying."""

    def __init__(self, instant: int) -> None:
        self.left = instant

    def near(self) -> None:
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def arm(self) -> None:
        """Before every file's sync, half way through its content, around its rename."""
        sync, rename, write = os.fsync, Path.replace, Path.write_bytes

        def dying_sync(handle: int) -> None:
            self.near()
            sync(handle)

        def dying_rename(path: Path, target: Path) -> Path:
            self.near()
            result = rename(path, target)
            self.near()
            return result

        def dying_write(path: Path, content: bytes) -> int:
            write(path, content[: len(content) // 2])
            self.near()
            return write(path, content)

        os.fsync = dying_sync
        Path.replace = dying_rename  # type: ignore[method-assign, assignment]  # only here
        Path.write_bytes = dying_write  # type: ignore[method-assign, assignment]  # only here

    def stop(self) -> bool:
        self.near()
        return False


def run(path: Path, death: Death | None = None) -> Trained:
    stop = death.stop if death else None
    data = split()
    return train(DESIGN, RECIPE, data, seed=0, checkpoint=path, checkpoint_seconds=0.0, stop=stop)


def killed(path: Path, instant: int) -> None:
    """Train in a child that dies at the instant."""
    child = os.fork()
    if child == 0:
        death = Death(instant)
        death.arm()
        run(path, death)
        os._exit(9)  # it should not have lived to see this
    _, status = os.waitpid(child, 0)
    if not os.WIFSIGNALED(status):
        sys.exit(f"instant {instant}: the child ended by itself")


def weights(trained: Trained) -> str:
    digest = hashlib.sha256()
    for tensor in trained.network.state_dict().values():
        digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()


def main() -> None:
    torch.set_num_threads(1)
    folder = Path(sys.argv[1])
    print(weights(run(folder / "whole")))
    for instant in (1, 2, 3, 4, 5, 6, 13, 22, 27, 32):
        path = folder / str(instant)
        killed(path, instant)
        killed(path, 5)
        print(weights(run(path)))


if __name__ == "__main__":
    main()
