"""What a study searches: a family of designs, whatever the networks look like.

A family has a few interpretable knobs, which plain samplers see, and a genome of every free width,
which the learned generator sees. How genomes become networks is each family's own.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Generic, SupportsIndex, TypeVar

from nano.design.genes import Gene, Genome
from nano.design.knobs import SPREADS, Knob, Knobs
from nano.errors import DesignError
from nano.files import canonical_json, short_hash

D = TypeVar("D")  # the family's designs


@dataclass(frozen=True, kw_only=True)
class OptionalModules:
    """Modules that a genome has room for, of which the first few are there.

    Attributes:
        depth: Column that says how many are there.
        parts: Columns of each kind of width, one a module; equally many.
    """

    depth: int
    parts: tuple[slice, ...]


@dataclass(frozen=True, kw_only=True)
class Family(ABC, Generic[D]):
    """A family of designs around a preset.

    Attributes:
        name: For messages and reports.
        preset: The design that seeds the search; fixes what is no gene.
        knobs: In the family's own order.
    """

    name: str
    preset: D
    knobs: tuple[Knob, ...]

    @cached_property
    def knob(self) -> dict[str, Knob]:
        """Knobs by name."""
        return {knob.name: knob for knob in self.knobs}

    @cached_property
    def space(self) -> str:
        """Short hash of the space: equal ranges around an equal preset, equal hash."""
        return short_hash(canonical_json([self.preset, self.knobs]))

    # --- the genome ------------------------------------------------------------------------------

    @property
    @abstractmethod
    def genes(self) -> tuple[Gene, ...]:
        """Name and bounds of every column."""

    @property
    @abstractmethod
    def optional(self) -> tuple[OptionalModules, ...]:
        """Where the columns of modules lie that may not be there."""

    @property
    @abstractmethod
    def groups(self) -> dict[str, tuple[int, ...]]:
        """Columns by what a person would call them, such as ``stage 3 squeeze``: a partition.

        The last word of a name of several words is the kind of width, the others say where.
        """

    @property
    @abstractmethod
    def parts(self) -> tuple[tuple[slice, ...], ...]:
        """Parts of the network whose capacity matters: the columns of each kind of width."""

    @abstractmethod
    def check_kind(self, design: object) -> None:
        """Raise a DesignError unless it is a design of this family's topology."""

    @abstractmethod
    def expand(self, knobs: Knobs, seed: int) -> Genome:
        """The genome of the knobs; the seed decides how layers differ where ``spread`` > 0."""

    @abstractmethod
    def design(self, genome: Collection[SupportsIndex]) -> D:
        """The network of a genome (as `masked` makes it), or of a row of a population."""

    @abstractmethod
    def genome_of(self, design: D) -> Genome:
        """The genome of a design of this family: `design` undone.

        Raises:
            DesignError: If the design is another family's, or has a width out of the genes' bounds.
        """

    @abstractmethod
    def knobs_of(self, design: D) -> dict[str, float]:
        """The knobs that describe a design best, clipped.

        Raises:
            DesignError: If the design is another family's.
        """

    def masked(self, genome: Sequence[float]) -> Genome:
        """Whole numbers within the genes' bounds, and 0 for modules that are not there."""
        clipped = [  # as `Gene.clip`, without a call: every reading of a history comes by here
            gene.low if value < gene.low else gene.high if value > gene.high else round(value)
            for value, gene in zip(genome, self.genes, strict=True)
        ]
        for modules in self.optional:
            depth = clipped[modules.depth]
            for part in modules.parts:
                absent = part.stop - part.start - depth
                clipped[part.start + depth : part.stop] = [0] * absent
        return tuple(clipped)

    def expressed(self, design: D) -> Genome | None:
        """The genome of a design, or None where the genes cannot express it."""
        try:
            return self.genome_of(design)
        except DesignError:
            return None

    def nearest_genome(self, design: D) -> Genome:
        """The genome of a design, or that of its knobs where it lies outside the genes' bounds."""
        return self.expressed(design) or self.expand(self.knobs_of(design), 0)

    # --- sizes -----------------------------------------------------------------------------------

    def smallest(self) -> D:
        """The cheapest design of the knobs: every one at its low end, layers alike."""
        return self._regular({knob.name: knob.low for knob in self.knobs})

    def largest(self) -> D:
        """The dearest design of the knobs, layers alike."""
        return self._regular({knob.name: knob.high for knob in self.knobs})

    def _regular(self, knobs: Knobs) -> D:
        return self.design(self.expand(dict(knobs) | dict.fromkeys(SPREADS, 0.0), 0))

    def shrunk(self, knobs: Knobs, share: float) -> dict[str, float]:
        """Knobs drawn towards their low ends: share 1 leaves them, 0 gives the smallest design."""
        drawn = {}
        for knob in self.knobs:
            value = knob.clip(knobs[knob.name])
            even = knob.name in SPREADS
            drawn[knob.name] = (
                knob.clip(value * share) if even else knob.at(knob.share(value) * share)
            )
        return drawn

    def count_designs(self) -> float:
        """How many genomes the genes allow: log10 of the number."""
        choices = [math.log10(gene.high - gene.low + 1) for gene in self.genes]
        total, single = 0.0, set(range(len(choices)))
        for modules in self.optional:
            depth = self.genes[modules.depth]
            per_module = sum(choices[part.start] for part in modules.parts)
            total += depth.high * per_module
            depths = range(depth.high - depth.low + 1)
            total += math.log10(sum(10 ** (-i * per_module) for i in depths))
            single -= {modules.depth, *(i for p in modules.parts for i in range(p.start, p.stop))}
        return total + sum(choices[i] for i in sorted(single))


def jitter(spread: float, gauss: float) -> float:
    """A log-normal factor of mean one: ``spread`` makes layers differ, not networks grow.

    Args:
        spread: Standard deviation of its logarithm.
        gauss: A standard normal draw.
    """
    return math.exp(spread * gauss - spread * spread / 2)
