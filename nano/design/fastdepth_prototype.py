"""FastDepth as a family: every width a gene, a multiplier of each stage's widths a knob.

Width multipliers are MobileNet's own knob (Howard et al. 2017, section 3.3), here one for every
resolution: layers of one resolution are what a person would widen together.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from operator import index
from random import Random
from typing import SupportsIndex, TypeVar

from nano.design.design import WIDEST
from nano.design.family import Family, OptionalModules, jitter
from nano.design.fastdepth import (
    FULL,
    LAYERS,
    PRUNED,
    SMALL,
    STRIDES,
    TIED,
    FastDepthDesign,
)
from nano.design.genes import Gene, Genome
from nano.design.knobs import Knob, Knobs, check_knobs, checked_ranges, wanted_range
from nano.errors import DesignError
from nano.seeds import derive_seed

Width = TypeVar("Width")  # a width, or a column of them
PRESETS = {"fastdepth": FULL, "fastdepth-pruned": PRUNED, "fastdepth-small": SMALL}
_HALVINGS = [sum(stride == 2 for stride in STRIDES[: i + 1]) for i in range(len(STRIDES))]
# The knob of every gene: an encoder layer belongs to its resolution, together with the decoder
# step that its maps are added to; two steps, the first and the last, are free.
_KNOB = tuple(
    f"multiplier.{_HALVINGS[first]}"
    if first < len(STRIDES)
    else LAYERS[first].replace("up", "step.")
    for first, *_ in TIED
)
KNOBS = (*dict.fromkeys(_KNOB), "spread")
_MULTIPLIER = (0.25, 1.25)  # of the preset's widths: NetAdapt left .36 to 1 of the whole network's
_SPREAD = (0.0, 0.5)


@dataclass(frozen=True, kw_only=True)
class FastDepthPrototype(Family[FastDepthDesign]):
    """FastDepths whose widths are multiples of a preset's: 8 knobs, 16 genes.

    ``multiplier.1`` to ``multiplier.5`` belong to the encoder's resolutions, from half of the
    image's to a 32nd; the decoder steps that read skips have the width of what they are added to.
    ``step.1`` and ``step.5`` are the first and the last decoder step. ``spread`` is the standard
    deviation of the logarithm of the widths around that.
    """

    def __post_init__(self) -> None:
        check_knobs(self.knobs, KNOBS)

    @cached_property
    def genes(self) -> tuple[Gene, ...]:
        """The width of every layer, or pair of layers whose maps are added.

        They reach further than the knobs, so that the layers of a stage can differ: two standard
        deviations of the widest spread, and at least a factor of two.
        """
        factor = max(2.0, math.exp(2 * self.knob["spread"].high))
        genes = []
        for (first, *_), knob in zip(TIED, _KNOB, strict=True):
            width, range_ = self.preset.widths[first], self.knob[knob]
            low = max(1, math.floor(width * range_.low / factor))
            high = min(WIDEST, max(low, math.ceil(width * range_.high * factor)))
            genes.append(Gene(name=LAYERS[first], low=low, high=high))
        return tuple(genes)

    @property
    def optional(self) -> tuple[OptionalModules, ...]:
        """None: every layer is always there."""
        return ()

    @cached_property
    def groups(self) -> dict[str, tuple[int, ...]]:
        """``stage 1 width`` to ``stage 5 width``, ``step 1 width`` and ``step 5 width``."""
        return {
            knob.replace("multiplier.", "stage ").replace(".", " ") + " width": columns
            for knob, columns in self.columns.items()
        }

    @cached_property
    def columns(self) -> dict[str, tuple[int, ...]]:
        """The genes that each knob scales."""
        return {
            name: tuple(i for i, knob in enumerate(_KNOB) if knob == name) for name in KNOBS[:-1]
        }

    @cached_property
    def parts(self) -> tuple[tuple[slice, ...], ...]:
        """Every layer by itself."""
        return tuple((slice(column, column + 1),) for column in range(len(TIED)))

    def expand(self, knobs: Knobs, seed: int) -> Genome:
        """The genome of the knobs; layer i has the i-th draw of the seed.

        Args:
            knobs: Value by knob name; clipped to the ranges.
            seed: Any integer; equal seeds, equal genome.
        """
        k = {knob.name: knob.clip(knobs[knob.name]) for knob in self.knobs}
        random = Random(derive_seed(seed, "widths"))
        return tuple(
            gene.clip(usual * k[knob] * jitter(k["spread"], random.gauss(0, 1)))
            for gene, usual, knob in zip(self.genes, self.usual, _KNOB, strict=True)
        )

    @cached_property
    def usual(self) -> Genome:
        """The preset's own widths, gene by gene."""
        return tuple(self.preset.widths[first] for first, *_ in TIED)

    def design(self, genome: Collection[SupportsIndex]) -> FastDepthDesign:
        """The network of a genome, or of a row of a population."""
        if len(genome) != len(TIED):
            raise DesignError(
                f"prototype {self.name}: a genome has {len(TIED)} genes, got {len(genome)}"
            )
        return FastDepthDesign(widths=spread_out([index(gene) for gene in genome]))

    def genome_of(self, design: FastDepthDesign) -> Genome:
        """The widths, each pair once."""
        self.check_kind(design)
        genome = tuple(design.widths[first] for first, *_ in TIED)
        for gene, value in zip(self.genes, genome, strict=True):
            if not gene.low <= value <= gene.high:
                raise DesignError(
                    f"design {design.key}: {gene.name} = {value} lies outside prototype"
                    f" {self.name}'s [{gene.low}, {gene.high}]"
                )
        return genome

    def knobs_of(self, design: FastDepthDesign) -> dict[str, float]:
        """The mean of every stage's widths over the preset's, as `jitter` keeps it; no spread."""
        self.check_kind(design)
        values = {"spread": 0.0}
        for name, columns in self.columns.items():
            ratios = [design.widths[TIED[i][0]] / self.usual[i] for i in columns]
            values[name] = sum(ratios) / len(ratios)
        return {knob.name: knob.clip(values[knob.name]) for knob in self.knobs}

    def check_kind(self, design: object) -> None:
        """Raise a DesignError unless it is a FastDepth."""
        if not isinstance(design, FastDepthDesign):
            raise DesignError(f"prototype {self.name} is a FastDepth, the design is none")


def spread_out(genes: Iterable[Width]) -> tuple[Width, ...]:
    """The widths of all layers from the genes, or columns of them: those of a pair are equal."""
    widths: dict[int, Width] = {}
    for positions, gene in zip(TIED, genes, strict=True):
        for position in positions:
            widths[position] = gene
    return tuple(widths[position] for position in range(len(LAYERS)))


def fastdepth_preset(name: str) -> FastDepthDesign:
    """The named design; raises a DesignError that lists the names."""
    if name not in PRESETS:
        raise DesignError(f"no preset {name!r} of fastdepth; presets: {', '.join(PRESETS)}")
    return FastDepthDesign(widths=PRESETS[name])


def fastdepth_prototype(
    name: str, ranges: Mapping[str, Sequence[float]] | None = None
) -> FastDepthPrototype:
    """The prototype around a preset.

    Args:
        name: A preset's name.
        ranges: [low, high] by knob name, e.g. ``multiplier.3`` (one stage) or ``multiplier`` (all
            of them), in place of the usual ones. They may leave out the preset itself.

    Raises:
        DesignError: For an unknown preset or knob, and for a range that is empty or beyond
            `nano.design.knobs.LIMITS`.
    """
    preset = fastdepth_preset(name)
    wanted = checked_ranges(ranges or {}, KNOBS)
    knobs = []
    for full in KNOBS:
        even = full == "spread"
        chosen = wanted_range(full, wanted) or (_SPREAD if even else _MULTIPLIER)
        knobs.append(Knob(name=full, low=float(chosen[0]), high=float(chosen[1]), log=not even))
    return FastDepthPrototype(name=name, preset=preset, knobs=tuple(knobs))
