"""The time of every operation of designs on this machine: the profile of a latency model.

The least of several rounds: what the machine does besides then shows least. On the CPU one thread
and CPU time; on a GPU wall time, where the clock waits for the work given so far.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from nano.cost.count import operations
from nano.cost.latency import Timing
from nano.cost.layers import Layer
from nano.design.kinds import AnyDesign
from nano.networks.catalog import architecture_of
from nano.networks.start import started

# Torch's names of what `nano.cost.layers.Layer.operation` names. Others, such as making an empty
# tensor, are no operations of a design; their time is in the whole network's.
OPERATIONS = {
    "convolution": "conv",
    "native_batch_norm": "norm",
    "cudnn_batch_norm": "norm",
    "elu_": "selu",
    "relu": "relu",
    "hardtanh": "relu",
    "avg_pool2d": "pool",
    "upsample_bilinear2d": "upsample",
    "upsample_nearest2d": "upsample",
    "cat": "concat",
    "add": "add",
}
_WHOLES = 3  # a visit: fewer numbers than of operations, so each must be surer
_NS_PER_MS = 1e6


@dataclass(frozen=True, kw_only=True)
class Profile:
    """One design's times in milliseconds: of each operation, in order, and of the whole network.

    The whole is timed by itself, so it is not the sum of the others.
    """

    operations: tuple[Timing, ...]
    network: Timing


@dataclass(kw_only=True)
class _Job:
    layers: tuple[Layer, ...]
    network: nn.Module
    image: Tensor
    least_ns: list[int] | None = None
    least_whole_ns: int | None = None

    def turn(self, clock: Callable[[], int]) -> None:
        """Warm up, time the whole a few times, then each operation; keep the least so far."""
        self.network(self.image)
        wholes = [self.least_whole_ns] if self.least_whole_ns else []
        for _ in range(_WHOLES):
            began = clock()
            self.network(self.image)
            wholes.append(clock() - began)
        self.least_whole_ns = min(wholes)
        with _Clocked(clock) as clocked:
            self.network(self.image)
        names = [name for name, _ in clocked.calls]
        if names != [layer.operation for layer in self.layers]:
            raise RuntimeError(f"torch ran other operations than were counted: {names}")
        times = [ns for _, ns in clocked.calls]
        self.least_ns = list(map(min, times, self.least_ns or times))


def profile(
    jobs: Sequence[tuple[AnyDesign, tuple[int, int]]],
    *,
    rounds: int,
    seed: int,
    device: str = "cpu",
    clock: Callable[[], int] | None = None,
    told: Callable[[int], None] = lambda done: None,
) -> tuple[Profile, ...]:
    """Time designs, each at its size (height, width), batch 1, float32.

    Every round visits all of them, in an order of its own: a slow spell of the machine then meets
    many a little rather than one a lot.

    Args:
        jobs: Designs and sizes.
        rounds: Of visits; the least time of each operation counts.
        seed: Of weights, images and orders.
        device: ``cpu``, with one thread, or ``cuda``.
        clock: Nanoseconds; by default as the head of this file says.
        told: Called after every round with their number so far.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.no_grad():
            prepared = [_job(design, size, seed, device) for design, size in jobs]
            clock = clock or (time.process_time_ns if device == "cpu" else _finished_ns)
            random = Random(seed)
            for done in range(1, rounds + 1):
                for job in random.sample(prepared, len(prepared)):
                    job.turn(clock)
                told(done)
    finally:
        torch.set_num_threads(threads)
    return tuple(_profile(job) for job in prepared)


def _finished_ns() -> int:
    """The time at which the GPU has done what it was given."""
    torch.cuda.synchronize()
    return time.perf_counter_ns()


def _job(design: AnyDesign, size: tuple[int, int], seed: int, device: str) -> _Job:
    generator = torch.Generator().manual_seed(seed)
    return _Job(
        layers=tuple(operations(design, size)),
        network=started(architecture_of(design), size, seed).eval().to(device),
        image=torch.randn(1, 3, *size, generator=generator).to(device),
    )


def _profile(job: _Job) -> Profile:
    return Profile(
        operations=tuple(
            Timing(layers=(layer,), ms=ns / _NS_PER_MS)
            for layer, ns in zip(job.layers, job.least_ns or (), strict=True)
        ),
        network=Timing(layers=job.layers, ms=(job.least_whole_ns or 0) / _NS_PER_MS),
    )


class _Clocked(TorchDispatchMode):  # type: ignore[no-untyped-call] # as torch has it
    """Notes every operation that torch runs, with its time in nanoseconds."""

    def __init__(self, clock: Callable[[], int]) -> None:
        super().__init__()  # type: ignore[no-untyped-call] # likewise
        self.clock = clock
        self.calls: list[tuple[str, int]] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        began = self.clock()
        result = func(*args, **(kwargs or {}))
        taken = self.clock() - began
        name = OPERATIONS.get(func.overloadpacket.__name__)
        if name is not None:
            self.calls.append((name, taken))
        return result
