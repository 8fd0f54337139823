"""Which images a training sees, in which order, mirrored or not; and how they are fetched."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from jaxtyping import Float16, UInt8
from numpy.typing import NDArray
from torch import Tensor

from nano.data.sample import DepthSet, borrowed
from nano.seeds import derive_seed


@dataclass(frozen=True, kw_only=True)
class Order:
    """The order of images, a pure function of the step: nothing to save, nothing to drift.

    It knows neither the network nor its seed, so every candidate of a rung sees the same images
    with the same flips in the same order (measured: spread / noise of a rung 1.6 instead of 1.4).

    Attributes:
        images: Number of images of the split; each epoch shows every one once.
        batch: Images a step; batches run on across the epochs' borders.
        flip: Probability that an image is mirrored.
        seed: Fixed for all trainings that are to be compared.
    """

    images: int
    batch: int
    flip: float
    seed: int

    def at(self, step: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Indices and flips of one step, ``batch`` of each."""
        positions = np.arange(step * self.batch, (step + 1) * self.batch)
        epochs, places = np.divmod(positions, self.images)
        indices = np.empty(self.batch, np.int64)
        flips = np.empty(self.batch, np.bool_)
        for epoch in np.unique(epochs):
            here = epochs == epoch
            order, mirrored = _epoch(self.images, self.flip, self.seed, int(epoch))
            indices[here], flips[here] = order[places[here]], mirrored[places[here]]
        return indices, flips


@lru_cache(maxsize=2)  # a batch meets at most the end of one epoch and the start of the next
def _epoch(
    images: int, flip: float, seed: int, epoch: int
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    random = np.random.default_rng(derive_seed("order", seed, epoch))
    return random.permutation(images), random.random(images) < flip


def gather(
    data: DepthSet, indices: NDArray[np.int64], flips: NDArray[np.bool_]
) -> tuple[UInt8[Tensor, "B 3 H W"], Float16[Tensor, "B H W"]]:
    """Images and depth (metres, 0 unknown) of one batch, copied out of the memory map.

    Each frame goes from the map to its place in one pass, mirrored or not: at full size the
    memory's speed bounds this. Depth travels as 16-bit integers, which torch mirrors eight times as
    fast as float16 (docs/log.md).
    """
    arrays: list[NDArray[Any]] = [np.asarray(data.images), np.asarray(data.depth).view(np.int16)]
    batches = [np.empty((len(indices), *array.shape[1:]), array.dtype) for array in arrays]
    for array, batch in zip(arrays, batches, strict=True):
        frames, mirrored = borrowed(array), torch.from_numpy(batch)
        for place, (index, flip) in enumerate(zip(indices.tolist(), flips.tolist(), strict=True)):
            if flip:
                mirrored[place] = frames[index].flip(-1)
            else:
                batch[place] = array[index]
    return torch.from_numpy(batches[0]), torch.from_numpy(batches[1]).view(torch.float16)
