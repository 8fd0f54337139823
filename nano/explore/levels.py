"""Genomes as points of a cube: levels in [0, 1], which of them are active, and exact caps.

Widths are levels on a logarithmic scale, depths on a linear one; genes of modules that are not
there mean nothing and are masked. Everything works on populations, one genome a row.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from nano.cost.population import PopulationCost, count_population
from nano.design.families import AnyFamily
from nano.explore.caps import Caps
from nano.explore.ranges import within_ranges

Floats = NDArray[np.float64]
Genomes = NDArray[np.int64]
Flags = NDArray[np.bool_]

_HALVINGS = 12  # of the share of a genome that is kept: to a four-thousandth


def active(prototype: AnyFamily, genomes: Genomes | Floats) -> Flags:
    """Which genes N x D mean something: not those of modules beyond their stage's depth."""
    flags = np.ones(genomes.shape, np.bool_)
    for modules in prototype.optional:
        for part in modules.parts:
            flags[:, part] = np.arange(part.stop - part.start) < genomes[:, modules.depth, None]
    return flags


@dataclass(frozen=True, eq=False)
class Levels:
    """The cube of a study's genomes.

    Attributes:
        caps: The counted bounds; hold the prototype.
    """

    caps: Caps

    @cached_property
    def _bounds(self) -> tuple[Floats, Floats]:
        low, high = self._ends
        return self._scaled(low), np.maximum(self._scaled(high), self._scaled(low) + 1e-9)

    @cached_property
    def _depths(self) -> NDArray[np.intp]:
        return np.array([modules.depth for modules in self.caps.prototype.optional], np.intp)

    def _scaled(self, values: Floats) -> Floats:
        """Logarithms of widths; depths as they are. Along the last axis."""
        scaled = np.log(np.maximum(values, 1.0))
        scaled[..., self._depths] = values[..., self._depths]
        return scaled

    def of(self, genomes: Genomes) -> Floats:
        """Levels N x D of genomes N x D; those of absent modules are 0."""
        low, high = self._bounds
        levels = (self._scaled(genomes.astype(np.float64)) - low) / (high - low)
        return np.clip(levels, 0.0, 1.0) * self.active(genomes)

    def genomes(self, levels: Floats) -> Genomes:
        """The nearest genomes N x D, masked as `nano.design.family.Family.masked` does."""
        found = np.rint(self._widths(levels)).astype(np.int64)
        return found * self.active(found)

    def _widths(self, levels: Floats) -> Floats:
        """Widths, not yet whole, and whole depths."""
        low, high = self._bounds
        values = low + np.clip(levels, 0.0, 1.0) * (high - low)
        widths: Floats = np.exp(values)
        widths[:, self._depths] = np.rint(values[:, self._depths])
        return widths

    def _held(self, levels: Floats) -> Floats:
        """Levels of the same networks within the ranges of the knobs."""
        low, high = self._bounds
        widths = self._widths(levels)
        held = within_ranges(self.caps.prototype, widths, self.active(widths))
        return np.clip((self._scaled(held) - low) / (high - low), 0.0, 1.0)

    @cached_property
    def _ends(self) -> tuple[Floats, Floats]:
        genes = self.caps.prototype.genes
        return np.array([g.low for g in genes], float), np.array([g.high for g in genes], float)

    def active(self, genomes: Genomes | Floats) -> Flags:
        """`active` in the study's prototype."""
        return active(self.caps.prototype, genomes)

    # --- groups of genes that mean the same thing ------------------------------------------------

    @cached_property
    def groups(self) -> dict[str, NDArray[np.intp]]:
        """Columns by what a person would call them: ``stage 3 squeeze``, ``upconv 1 width``."""
        return {name: np.array(own) for name, own in self.caps.prototype.groups.items()}

    # --- exact caps ------------------------------------------------------------------------------

    def cost(self, genomes: Genomes) -> PopulationCost:
        """Exact cost of every genome at the study's size."""
        return count_population(genomes, self.caps.prototype, self.caps.size)

    def fit(self, genomes: Genomes) -> Flags:
        """Whether each genome is within every counted bound, its safety included."""
        cost = self.cost(genomes)
        fits = np.ones(len(genomes), np.bool_)
        for item in self.caps.requirements.counted.items:
            fits &= getattr(cost, item.name) <= item.bound - item.safety
        return fits

    @cached_property
    def _smallest(self) -> Floats:
        prototype = self.caps.prototype
        genome = prototype.genome_of(prototype.smallest())
        low, high = self._bounds
        return (self._scaled(np.array(genome, np.float64)) - low) / (high - low)

    def repaired(self, levels: Floats) -> Genomes:
        """The genomes nearest to the levels that are within the knobs' ranges and the caps.

        Widths are drawn towards those of the smallest design, by as much as each genome needs;
        only where that is not enough, depths too. As TF-NAS fits widths to a latency target.
        """
        levels = self._held(levels)
        found = self.genomes(levels)
        over = np.flatnonzero(~self.fit(found))
        if len(over) == 0:
            return found
        narrow = np.minimum(self._smallest, levels[over])
        narrow[:, self._depths] = levels[over][:, self._depths]
        narrowed = self._drawn_in(levels[over], narrow)
        still = ~self.fit(narrowed)
        if still.any():
            narrowed[still] = self._drawn_in(
                levels[over][still], np.minimum(self._smallest, levels[over][still])
            )
        found[over] = narrowed
        return found

    def _drawn_in(self, levels: Floats, small: Floats) -> Genomes:
        """Bisection, row by row, on how far each lies from its small version."""
        low, high = np.zeros(len(levels)), np.ones(len(levels))
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            fits = self.fit(self.genomes(small + middle[:, None] * (levels - small)))
            low, high = np.where(fits, middle, low), np.where(fits, high, middle)
        return self.genomes(small + low[:, None] * (levels - small))
