"""Random numbers for building a scene, drawn in blocks because a scene needs a thousand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import NormalDist
from typing import TypeVar

import numpy as np

T = TypeVar("T")

_BLOCK = 1024
_STANDARD = NormalDist()


class Dice:
    """A stream of decisions that depends on the seed alone."""

    def __init__(self, seed: int) -> None:
        """Start the stream of PCG64(seed)."""
        self._next = _uniforms(np.random.Generator(np.random.PCG64(seed))).__next__

    def uniform(self, low: float, high: float) -> float:
        """A number between low and high."""
        return low + (high - low) * self._next()

    def chance(self, probability: float) -> bool:
        """True that often."""
        return self._next() < probability

    def normal(self, sd: float, limit: float = 3.0) -> float:
        """A centred normal number, cut at so many standard deviations."""
        return sd * max(-limit, min(limit, _STANDARD.inv_cdf(max(self._next(), 1e-12))))

    def integer(self, low: int, high: int) -> int:
        """A whole number from low to high, both included."""
        return low + int(self._next() * (high - low + 1))

    def pick(self, options: Sequence[T]) -> T:
        """One of the options."""
        return options[int(self._next() * len(options))]


def _uniforms(generator: np.random.Generator) -> Iterator[float]:
    while True:
        yield from generator.random(_BLOCK).tolist()
