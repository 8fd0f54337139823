"""The prototype: a family of designs with few interpretable knobs and every width as a gene.

DepthNet Nano (2020), section 2: a human prototype phi guides the search, and the machine decides
the widths of every module. Plain samplers fail at hundreds of genes, so they see the knobs; a seed
makes the modules of a stage differ; a learned generator sees the genes themselves.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from random import Random
from typing import ClassVar

from nano.design.design import Design, Module, Stage, Stem, Upconv
from nano.errors import DesignError
from nano.files import canonical_json, short_hash

Knobs = Mapping[str, float]
Genome = tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Knob:
    """One bounded, interpretable number.

    Attributes:
        name: E.g. ``growth.3``: the mean width of stage 3's modules.
        low: Smallest value.
        high: Largest value.
        integer: Whether only whole numbers are meant.
        log: Whether equal ratios are equal steps (widths) rather than equal differences.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    name: str
    low: float
    high: float
    integer: bool = False
    log: bool = False

    def clip(self, value: float) -> float:
        """The nearest value the knob can take."""
        value = min(max(value, self.low), self.high)
        return round(value) if self.integer else value

    def at(self, share: float) -> float:
        """The value at a share of the range: 0 the lowest, 1 the highest."""
        if self.log:
            return self.clip(self.low * (self.high / self.low) ** share)
        return self.clip(self.low + share * (self.high - self.low))

    def share(self, value: float) -> float:
        """Where a value lies in the range, in [0, 1]; inverse of `at` up to rounding."""
        if self.high == self.low:
            return 0.0
        if self.log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)


@dataclass(frozen=True, kw_only=True)
class Gene:
    """One absolute width (or depth) of the genome; 0 where its module is not there."""

    name: str
    low: int
    high: int


@dataclass(frozen=True, kw_only=True)
class StageColumns:
    """Where a stage's genes lie in the genome: one column per possible module and kind of width."""

    depth: int
    squeeze: slice
    expand: slice
    width: slice
    transition: int


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Columns of the genome."""

    stem: int
    stages: tuple[StageColumns, ...]
    decoder: int  # first of four columns per upconv: a.expand, a.width, b.expand, b.width
    length: int


@dataclass(frozen=True, kw_only=True)
class Prototype:
    """A family of designs around a preset.

    Attributes:
        name: For messages and reports.
        preset: The design that seeds the search; fixes stages, kernels and module kinds.
        knobs: In the order of `knob_names`.
    """

    name: str
    preset: Design
    knobs: tuple[Knob, ...]

    def __post_init__(self) -> None:
        expected = knob_names(len(self.preset.stages))
        given = tuple(knob.name for knob in self.knobs)
        if given != expected:
            raise DesignError(f"prototype {self.name}: knobs {given}, expected {expected}")
        for knob in self.knobs:
            if not knob.low <= knob.high or (knob.log and knob.low <= 0):
                raise DesignError(f"knob {knob.name}: empty range [{knob.low:g}, {knob.high:g}]")

    @cached_property
    def knob(self) -> dict[str, Knob]:
        """Knobs by name."""
        return {knob.name: knob for knob in self.knobs}

    @cached_property
    def space(self) -> str:
        """Short hash of the space: equal ranges around an equal preset, equal hash."""
        return short_hash(canonical_json([self.preset, self.knobs]))

    @cached_property
    def layout(self) -> Layout:
        """Columns of the genome, stage by stage, then the decoder."""
        column = 1
        stages = []
        for number in range(1, len(self.preset.stages) + 1):
            n = int(self.knob[f"depth.{number}"].high)
            first = column + 1
            stages.append(
                StageColumns(
                    depth=column,
                    squeeze=slice(first, first + n),
                    expand=slice(first + n, first + 2 * n),
                    width=slice(first + 2 * n, first + 3 * n),
                    transition=first + 3 * n,
                )
            )
            column = first + 3 * n + 1
        length = column + 4 * len(stages)
        return Layout(stem=0, stages=tuple(stages), decoder=column, length=length)

    @cached_property
    def genes(self) -> tuple[Gene, ...]:
        """Every width of every possible module, and the depths: about 270 in the paper's topology.

        A gene reaches twice as far as the knob that sets its mean, so that modules can differ.
        """
        knob, layout = self.knob, self.layout
        genes = [_reach("stem", knob["stem"], 1)]
        widest = 0.0
        for number, columns in enumerate(layout.stages, start=1):
            depth = knob[f"depth.{number}"]
            genes.append(Gene(name=depth.name, low=int(depth.low), high=int(depth.high)))
            squeeze, growth = knob[f"squeeze.{number}"], knob[f"growth.{number}"]
            ratio = knob[f"expansion.{number}"]
            expand = replace(squeeze, low=squeeze.low * ratio.low, high=squeeze.high * ratio.high)
            n = columns.squeeze.stop - columns.squeeze.start
            for name, source in (("squeeze", squeeze), ("expand", expand), ("width", growth)):
                genes += [_reach(f"{name}.{number}.{i}", source, 2) for i in range(1, n + 1)]
            entering = knob["stem"].high if number == 1 else genes[-1 - 3 * n - 1].high
            widest = entering + 2 * growth.high * n
            share = knob[f"transition.{number}"]
            genes.append(
                Gene(name=f"transition.{number}", low=1, high=math.ceil(widest * share.high))
            )
        genes += self._decoder_genes(genes)
        return tuple(genes)

    def _decoder_genes(self, encoder: Sequence[Gene]) -> list[Gene]:
        knob, layout = self.knob, self.layout
        ends = (knob["decoder.first"], knob["decoder.last"])
        width = Knob(name="decoder", low=min(k.low for k in ends), high=max(k.high for k in ends))
        ratios = (knob["multiplicity.first"], knob["multiplicity.last"])
        low, high = min(k.low for k in ratios), max(k.high for k in ratios)
        widest_skip = max(gene.high for gene in encoder if gene.name[:4] in {"stem", "tran"})
        reads = max(encoder[layout.stages[-1].transition].high, 2 * width.high) + widest_skip
        genes = []
        for number in range(1, len(layout.stages) + 1):
            for unit, most in (("A", reads), ("B", 2 * width.high)):
                expand = Knob(name="", low=low, high=high * most)
                genes.append(_reach(f"expand.up{number}{unit}", expand, 1))
                genes.append(_reach(f"width.up{number}{unit}", width, 2))
        return genes

    # --- knobs and seed -> genome -> design ------------------------------------------------------

    def expand(self, knobs: Knobs, seed: int) -> Genome:
        """The genome of the knobs; the seed decides how modules differ where ``spread`` > 0.

        Args:
            knobs: Value by knob name; clipped to the ranges.
            seed: Any integer; equal seeds, equal genome.
        """
        random = Random(seed)
        k = {knob.name: knob.clip(knobs[knob.name]) for knob in self.knobs}
        steps = len(self.preset.stages)
        genome: list[float] = [k["stem"]]
        transitions = []
        channels = k["stem"]
        for number, columns in enumerate(self.layout.stages, start=1):
            depth = int(k[f"depth.{number}"])
            n = columns.squeeze.stop - columns.squeeze.start
            squeezes, expands, widths = [], [], []
            for i in range(depth):
                place = 2 * i / (depth - 1) - 1 if depth > 1 else 0.0
                jitter = [math.exp(k["spread"] * random.gauss(0, 1)) for _ in range(3)]
                widths.append(
                    max(1, round(k[f"growth.{number}"] * math.exp(k["taper"] * place) * jitter[0]))
                )
                squeezes.append(max(1, round(k[f"squeeze.{number}"] * jitter[1])))
                expands.append(max(1, round(squeezes[-1] * k[f"expansion.{number}"] * jitter[2])))
            channels += sum(widths)
            transition = max(1, round(k[f"transition.{number}"] * channels))
            for values in (squeezes, expands, widths):
                values += [0] * (n - depth)
            genome += [depth, *squeezes, *expands, *widths, transition]
            transitions.append(transition)
            channels = transition
        skips = (*reversed([int(k["stem"]), *transitions][: steps - 1]), int(k["stem"]))
        for i, skip in enumerate(skips):
            share = i / (steps - 1) if steps > 1 else 0.0
            width = _between(k["decoder.first"], k["decoder.last"], share)
            ratio = _between(k["multiplicity.first"], k["multiplicity.last"], share)
            a, b = (
                max(1, round(width * math.exp(k["spread"] * random.gauss(0, 1)))) for _ in range(2)
            )
            genome += [round(ratio * (channels + skip)), a, round(ratio * a), b]
            channels = b
        return self.masked(genome)

    def masked(self, genome: Sequence[float]) -> Genome:
        """Whole numbers within the genes' bounds, and 0 for modules beyond a stage's depth."""
        clipped = [
            min(max(round(value), gene.low), gene.high)
            for value, gene in zip(genome, self.genes, strict=True)
        ]
        for columns in self.layout.stages:
            depth = clipped[columns.depth]
            for part in (columns.squeeze, columns.expand, columns.width):
                n = part.stop - part.start
                clipped[part.start + depth : part.stop] = [0] * (n - depth)
        return tuple(clipped)

    def design(self, genome: Sequence[int]) -> Design:
        """The network of a genome (as `masked` makes it)."""
        if len(genome) != self.layout.length:
            raise DesignError(
                f"prototype {self.name}: a genome has {self.layout.length} genes, got {len(genome)}"
            )
        stages = []
        for columns, model in zip(self.layout.stages, self.preset.stages, strict=True):
            kernel = model.modules[0].kernel if model.modules else 3
            n = genome[columns.depth]
            rows = zip(
                genome[columns.squeeze][:n],
                genome[columns.expand][:n],
                genome[columns.width][:n],
                strict=True,
            )
            modules = tuple(Module(squeeze=p, expand=e, width=g, kernel=kernel) for p, e, g in rows)
            stages.append(Stage(modules=modules, transition=genome[columns.transition]))
        decoder = []
        for i, model_up in enumerate(self.preset.decoder):
            ea, a, eb, b = genome[self.layout.decoder + 4 * i : self.layout.decoder + 4 * i + 4]
            decoder.append(
                Upconv(
                    a=Module(expand=ea, width=a, kernel=model_up.a.kernel),
                    b=Module(expand=eb, width=b, kernel=model_up.b.kernel),
                )
            )
        stem = Stem(width=genome[self.layout.stem], kernel=self.preset.stem.kernel)
        return Design(stem=stem, stages=tuple(stages), decoder=tuple(decoder))

    # --- the way back ----------------------------------------------------------------------------

    def genome_of(self, design: Design) -> Genome:
        """The genome of a design of this family: `design` undone.

        Raises:
            DesignError: If the design has another topology or a width out of the genes' bounds.
        """
        genome = [0] * self.layout.length
        genome[self.layout.stem] = design.stem.width
        if len(design.stages) != len(self.layout.stages):
            raise DesignError(f"prototype {self.name} has {len(self.layout.stages)} stages")
        for columns, stage in zip(self.layout.stages, design.stages, strict=True):
            depth = len(stage.modules)
            if depth > columns.squeeze.stop - columns.squeeze.start:
                raise DesignError(f"prototype {self.name} has no stage as deep as {depth} modules")
            genome[columns.depth] = depth
            genome[columns.transition] = stage.transition
            for part, values in (
                (columns.squeeze, [m.squeeze or 0 for m in stage.modules]),
                (columns.expand, [m.expand or 0 for m in stage.modules]),
                (columns.width, [m.width for m in stage.modules]),
            ):
                genome[part.start : part.start + depth] = values
        for i, up in enumerate(design.decoder):
            first = self.layout.decoder + 4 * i
            genome[first : first + 4] = [up.a.expand or 0, up.a.width, up.b.expand or 0, up.b.width]
        if self.design(self.masked(genome)) != design:
            raise DesignError(f"design {design.key} lies outside prototype {self.name}'s ranges")
        return tuple(genome)

    def knobs_of(self, design: Design) -> dict[str, float]:
        """The knobs that describe a design best: means over the modules it has, clipped."""
        values: dict[str, float] = {"stem": design.stem.width}
        channels = design.stem.width
        for number, stage in enumerate(design.stages, start=1):
            squeezes = [m.squeeze or m.width for m in stage.modules]
            expands = [m.expand or m.width for m in stage.modules]
            widths = [m.width for m in stage.modules]
            channels += sum(widths)
            values[f"depth.{number}"] = len(stage.modules)
            values[f"growth.{number}"] = _mean(widths)
            values[f"squeeze.{number}"] = _mean(squeezes)
            values[f"expansion.{number}"] = _mean(expands) / _mean(squeezes)
            values[f"transition.{number}"] = stage.transition / channels
            channels = stage.transition
        values |= self._decoder_knobs(design)
        values["taper"] = 0.0
        values["spread"] = 0.0
        return {knob.name: knob.clip(values[knob.name]) for knob in self.knobs}

    def _decoder_knobs(self, design: Design) -> dict[str, float]:
        first, last = design.decoder[0], design.decoder[-1]
        reads = design.decoder[-2].b.width if len(design.decoder) > 1 else design.bridge
        return {
            "decoder.first": math.sqrt(first.a.width * first.b.width),
            "decoder.last": math.sqrt(last.a.width * last.b.width),
            "multiplicity.first": (first.a.expand or 1) / (design.bridge + design.skips[0]),
            "multiplicity.last": (last.a.expand or 1) / (reads + design.skips[-1]),
        }

    # --- sizes -----------------------------------------------------------------------------------

    def smallest(self) -> Design:
        """The cheapest design of the knobs: every one at its low end, modules alike."""
        low = {knob.name: knob.low for knob in self.knobs} | {"taper": 0.0, "spread": 0.0}
        return self.design(self.expand(low, 0))

    def largest(self) -> Design:
        """The dearest design of the knobs, modules alike."""
        high = {knob.name: knob.high for knob in self.knobs} | {"taper": 0.0, "spread": 0.0}
        return self.design(self.expand(high, 0))

    def shrunk(self, knobs: Knobs, share: float) -> dict[str, float]:
        """Knobs drawn towards their low ends: share 1 leaves them, 0 gives the smallest design."""
        even = {"taper", "spread"}
        drawn = {
            knob.name: knob.at(knob.share(knob.clip(knobs[knob.name])) * share)
            for knob in self.knobs
            if knob.name not in even
        }
        return drawn | {name: self.knob[name].clip(knobs[name] * share) for name in even}

    def count_designs(self) -> float:
        """How many genomes the genes allow: log10 of the number."""
        total = 0.0
        for columns in self.layout.stages:
            depth = self.genes[columns.depth]
            per_module = sum(
                math.log10(self.genes[part.start].high - self.genes[part.start].low + 1)
                for part in (columns.squeeze, columns.expand, columns.width)
            )
            total += depth.high * per_module  # the deepest choice outnumbers all others together
        single = [self.layout.stem, *(columns.transition for columns in self.layout.stages)]
        single += range(self.layout.decoder, self.layout.length)
        return total + sum(math.log10(self.genes[i].high - self.genes[i].low + 1) for i in single)


def knob_names(stages: int) -> tuple[str, ...]:
    """The knobs of a prototype with that many stages: 27 for the paper's four.

    ``stem`` width; per stage ``depth``, mean ``growth``, mean ``squeeze``, ``expansion`` (expand
    over squeeze) and ``transition`` (over the concatenation); ``decoder`` widths and expansion
    ``multiplicity`` of the first and last upconv, geometric in between; ``taper`` (how growth
    changes along a stage, as an exponent) and ``spread`` (sd of the log of module widths).
    """
    per_stage = ("depth", "growth", "squeeze", "expansion", "transition")
    numbered = [f"{name}.{number}" for name in per_stage for number in range(1, stages + 1)]
    decoder = ("decoder.first", "decoder.last", "multiplicity.first", "multiplicity.last")
    return ("stem", *numbered, *decoder, "taper", "spread")


def _reach(name: str, knob: Knob, factor: float) -> Gene:
    low = max(1, math.floor(knob.low / factor))
    return Gene(name=name, low=low, high=max(low, math.ceil(knob.high * factor)))


def _between(first: float, last: float, share: float) -> float:
    return first ** (1 - share) * last**share


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 1.0
