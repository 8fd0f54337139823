"""One training by several processes, as torchrun starts them: who does what, and how they agree.

Each takes its share of every batch and computes gradients on it; the gradients are added up, so
that all hold the same weights after every step. The first one tells, writes and measures.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import torch
from torch import Tensor, distributed, nn

from nano.console import Terminated
from nano.errors import (
    EXIT_INPUT,
    EXIT_INTERRUPTED,
    EXIT_TERMINATED,
    Diverged,
    InputError,
    RunError,
)
from nano.train.augment import Draw

_PATIENCE = timedelta(days=7)  # the others wait while the first prepares the data


@dataclass(frozen=True, kw_only=True)
class Processes:
    """The processes of a training, seen from one of them.

    Attributes:
        rank: Which this is, from 0.
        world: How many there are.
    """

    rank: int = 0
    world: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the one that tells, writes and measures."""
        return self.rank == 0

    def share(self, draw: Draw) -> Draw:
        """This process's part of a batch."""
        return draw.part(self.rank, self.world)

    def total(self, numbers: Tensor) -> Tensor:
        """The sum of all processes' numbers."""
        if self.world > 1:
            distributed.all_reduce(numbers)
        return numbers

    def any(self, flag: bool) -> bool:
        """Whether the flag is true in any process; all get the same answer at the same step."""
        return bool(self.total(torch.tensor(int(flag))))

    def wait(self) -> None:
        """Until all are here."""
        self.any(False)

    @contextmanager
    def first_ahead(self) -> Iterator[None]:
        """The first goes through the block alone; then the others, who find what it has made.

        What the first raises, it alone tells: the others, who wait for it, end without a word.
        """
        if not self.first:
            self.wait()
        yield
        if self.first:
            self.wait()

    def check_same(self, text: str) -> None:
        """A RunError unless all processes hand in the same text."""
        number = int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")
        if int(self.total(torch.tensor(number))) != number * self.world:
            if not self.first:
                self.wait()  # until the first, who tells it, has ended: this one then ends too
            raise RunError(
                "the processes see different data, options or checkpoints: give all of them the"
                " same, on a disk that they share"
            )

    def same_weights(self, network: nn.Module) -> None:
        """Give every process's network the first's weights."""
        if self.world > 1:
            for tensor in network.state_dict().values():
                distributed.broadcast(tensor, 0)

    def total_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Add up all processes' gradients, in one message; each gets the sum.

        Torch's DistributedDataParallel would send while the backward pass goes on, but demands a
        gradient for every parameter, which heads that only some losses use do not get.
        """
        if self.world == 1:
            return
        gradients = [p.grad for p in parameters if p.grad is not None]
        message = torch.cat([gradient.flatten() for gradient in gradients])
        sums = torch.split(self.total(message), [gradient.numel() for gradient in gradients])
        for gradient, total in zip(gradients, sums, strict=True):
            gradient.copy_(total.view_as(gradient))


ALONE = Processes()


@contextmanager
def joined(device: str) -> Iterator[tuple[Processes, str]]:
    """The processes that torchrun started this one with, `ALONE` without it; and their device.

    ``cuda`` becomes the GPU of this process's number on its machine. Only the first process is
    heard inside; what ends all of them is told by the first, what ends one by that one.

    Raises:
        InputError: There are fewer GPUs than processes, or ``device`` names one for all.
        RunError: Another process has ended.
    """
    if not distributed.is_torchelastic_launched() or os.environ["WORLD_SIZE"] == "1":
        yield ALONE, device
        return
    device = _own(device)
    backend = "cpu:gloo,cuda:nccl" if device.startswith("cuda") else "gloo"
    distributed.init_process_group(backend, timeout=_PATIENCE)
    processes = Processes(rank=distributed.get_rank(), world=distributed.get_world_size())
    try:
        with _heard(processes.first):
            yield processes, device
    except RuntimeError as error:
        if not _is_lost(error):
            raise
        if not processes.first:
            sys.exit(EXIT_INPUT)
        raise RunError(
            "another process of this training has ended, which torchrun tells of; the same command"
            " goes on from the last checkpoint"
        ) from error
    except KeyboardInterrupt as ending:
        if processes.first:
            raise
        sys.exit(EXIT_TERMINATED if isinstance(ending, Terminated) else EXIT_INTERRUPTED)
    except Diverged:
        sys.exit(EXIT_INPUT)  # the first made its line of it
    distributed.destroy_process_group()


def _own(device: str) -> str:
    """The device of this process: ``cuda`` becomes ``cuda:N``."""
    if not device.startswith("cuda"):
        return device
    place = int(os.environ["LOCAL_RANK"])
    if device != "cuda":
        raise InputError(f"--device {device}: torchrun gives every process its own; write cuda")
    if place >= torch.cuda.device_count():
        raise InputError(
            f"process {place} of this machine has no GPU: torch sees {torch.cuda.device_count()};"
            " start as many with --nproc-per-node, or use --device cpu"
        )
    torch.cuda.set_device(place)
    return f"cuda:{place}"


@contextmanager
def _heard(first: bool) -> Iterator[None]:
    if first:
        yield
        return
    with (
        Path(os.devnull).open("w") as nowhere,
        redirect_stdout(nowhere),
        redirect_stderr(nowhere),
    ):
        yield


def _is_lost(error: RuntimeError) -> bool:
    """Whether another process went away; gloo has no error class of its own."""
    return isinstance(error, distributed.DistError) or "gloo" in str(error)
