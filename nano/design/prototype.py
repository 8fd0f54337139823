"""The prototype: a family of designs with few interpretable knobs and every width as a gene.

DepthNet Nano (2020), section 2: a human prototype phi guides the search, and the machine decides
the widths of every module. Plain samplers fail at hundreds of genes, so they see the knobs; a seed
makes the modules of a stage differ; a learned generator sees the genes themselves.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from operator import index
from random import Random
from typing import SupportsIndex

from nano.design.design import Design, Module, Stage, Stem, Upconv, skip_order
from nano.design.family import Family, OptionalModules, jitter
from nano.design.genes import Gene, Genome, Layout, genes_of, layout_of
from nano.design.knobs import Knobs, check_knobs, knob_names
from nano.errors import DesignError
from nano.seeds import derive_seed


@dataclass(frozen=True, kw_only=True)
class Prototype(Family[Design]):
    """The family of densely connected designs around a preset.

    The preset fixes stages, kernels and module kinds; knobs are in the order of `knob_names`.
    """

    def __post_init__(self) -> None:
        check_knobs(self.knobs, knob_names(len(self.preset.stages)))

    @cached_property
    def layout(self) -> Layout:
        """Columns of the genome."""
        numbers = range(1, len(self.preset.stages) + 1)
        return layout_of([int(self.knob[f"depth.{number}"].high) for number in numbers])

    @cached_property
    def genes(self) -> tuple[Gene, ...]:
        """Every width of every possible module, and the depths: 307 around the paper's topology."""
        return genes_of(self.knob, self.layout)

    @cached_property
    def optional(self) -> tuple[OptionalModules, ...]:
        """The modules of every stage."""
        return tuple(
            OptionalModules(depth=stage.depth, parts=(stage.squeeze, stage.expand, stage.width))
            for stage in self.layout.stages
        )

    @cached_property
    def groups(self) -> dict[str, tuple[int, ...]]:
        """``stem``, ``stage 3 squeeze``, ``upconv 1 width``, ..."""
        layout = self.layout
        found: dict[str, tuple[int, ...]] = {"stem": (layout.stem,)}
        for number, stage in enumerate(layout.stages, start=1):
            found[f"stage {number} depth"] = (stage.depth,)
            for kind in ("squeeze", "expand", "width"):
                part = getattr(stage, kind)
                found[f"stage {number} {kind}"] = tuple(range(part.start, part.stop))
            found[f"stage {number} transition"] = (stage.transition,)
        for number in range(1, len(layout.stages) + 1):
            first = layout.decoder + 4 * (number - 1)
            found[f"upconv {number} expand"] = (first, first + 2)
            found[f"upconv {number} width"] = (first + 1, first + 3)
        return found

    @cached_property
    def parts(self) -> tuple[tuple[slice, ...], ...]:
        """The stem; of every stage its modules and its transition; the units of every upconv."""
        layout = self.layout
        found: list[tuple[slice, ...]] = [(_one(layout.stem),)]
        for stage in layout.stages:
            found += [(stage.squeeze, stage.expand, stage.width), (_one(stage.transition),)]
        units = range(layout.decoder, layout.length, 2)
        return (*found, *((_one(unit), _one(unit + 1)) for unit in units))

    # --- knobs and seed -> genome -> design ------------------------------------------------------

    def expand(self, knobs: Knobs, seed: int) -> Genome:
        """The genome of the knobs; the seed decides how modules differ where ``spread`` > 0.

        A stage's modules have their own stream of the seed, and module i the i-th draws of it:
        a knob moved a little moves the design a little.

        Args:
            knobs: Value by knob name; clipped to the ranges.
            seed: Any integer; equal seeds, equal genome.
        """
        k = {knob.name: knob.clip(knobs[knob.name]) for knob in self.knobs}
        genes = self.genes
        channels = stem = int(k["stem"])
        genome = [stem]
        transitions = []
        for number, columns in enumerate(self.layout.stages, start=1):
            modules = self._expanded_modules(number, k, Random(derive_seed(seed, number)))
            absent = [0] * (columns.deepest - len(modules))
            squeezes, expands, widths = zip(*modules, strict=True)
            channels += sum(widths)
            channels = genes[columns.transition].clip(k[f"transition.{number}"] * channels)
            genome += [len(modules), *squeezes, *absent, *expands, *absent, *widths, *absent]
            genome.append(channels)
            transitions.append(channels)
        random = Random(derive_seed(seed, "decoder"))
        steps = len(transitions)
        for i, skip in enumerate(skip_order(stem, transitions)):
            share = i / (steps - 1) if steps > 1 else 0.0
            width = _between(k["decoder.first"], k["decoder.last"], share)
            ratio = _between(k["multiplicity.first"], k["multiplicity.last"], share)
            reads = channels + skip
            for _ in "ab":
                expand, own = genes[len(genome)], genes[len(genome) + 1]
                channels = own.clip(width * jitter(k["spread"], random.gauss(0, 1)))
                genome += [expand.clip(ratio * reads), channels]
                reads = channels
        return tuple(genome)

    def _expanded_modules(
        self, number: int, k: Knobs, random: Random
    ) -> list[tuple[int, int, int]]:
        """Squeeze, expand and width of every module of a stage; their means are the knobs'."""
        columns = self.layout.stages[number - 1]
        squeeze_gene = self.genes[columns.squeeze.start]
        expand_gene = self.genes[columns.expand.start]
        width_gene = self.genes[columns.width.start]
        depth, spread = int(k[f"depth.{number}"]), k["spread"]
        places = [2 * i / (depth - 1) - 1 if depth > 1 else 0.0 for i in range(depth)]
        tapered = [math.exp(k["taper"] * place) for place in places]
        growth = k[f"growth.{number}"] / _mean(tapered)
        modules = []
        for taper in tapered:
            width = width_gene.clip(growth * taper * jitter(spread, random.gauss(0, 1)))
            squeeze = squeeze_gene.clip(k[f"squeeze.{number}"] * jitter(spread, random.gauss(0, 1)))
            expand = squeeze * k[f"expansion.{number}"] * jitter(spread, random.gauss(0, 1))
            modules.append((squeeze, expand_gene.clip(expand), width))
        return modules

    @cached_property
    def _kernels(self) -> tuple[int, ...]:
        """Of the modules of every stage."""
        return tuple(s.modules[0].kernel if s.modules else 3 for s in self.preset.stages)

    def design(self, genome: Collection[SupportsIndex]) -> Design:
        """The network of a genome (as `masked` makes it), or of a row of a population."""
        if len(genome) != self.layout.length:
            raise DesignError(
                f"prototype {self.name}: a genome has {self.layout.length} genes, got {len(genome)}"
            )
        values = tuple(map(index, genome))  # a row of a population holds numpy's own integers
        stages = []
        for columns, kernel in zip(self.layout.stages, self._kernels, strict=True):
            n = values[columns.depth]
            rows = zip(
                values[columns.squeeze][:n],
                values[columns.expand][:n],
                values[columns.width][:n],
                strict=True,
            )
            modules = tuple(Module(squeeze=p, expand=e, width=g, kernel=kernel) for p, e, g in rows)
            stages.append(Stage(modules=modules, transition=values[columns.transition]))
        decoder = []
        for i, model_up in enumerate(self.preset.decoder):
            ea, a, eb, b = values[self.layout.decoder + 4 * i : self.layout.decoder + 4 * i + 4]
            decoder.append(
                Upconv(
                    a=Module(expand=ea, width=a, kernel=model_up.a.kernel),
                    b=Module(expand=eb, width=b, kernel=model_up.b.kernel),
                )
            )
        stem = Stem(width=values[self.layout.stem], kernel=self.preset.stem.kernel)
        return Design(stem=stem, stages=tuple(stages), decoder=tuple(decoder))

    # --- the way back ----------------------------------------------------------------------------

    def genome_of(self, design: Design) -> Genome:
        """The genome of a design of this family: `design` undone.

        Raises:
            DesignError: If the design has another topology or a width out of the genes' bounds.
        """
        self.check_kind(design)
        genome = [0] * self.layout.length
        genome[self.layout.stem] = design.stem.width
        for columns, stage in zip(self.layout.stages, design.stages, strict=True):
            depth = len(stage.modules)
            if depth > columns.deepest:
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
        for gene, value, inside in zip(self.genes, genome, self.masked(genome), strict=True):
            if value != inside:
                raise DesignError(
                    f"design {design.key}: {gene.name} = {value} lies outside prototype"
                    f" {self.name}'s [{gene.low}, {gene.high}]"
                )
        if not self._has_own_kinds(design):
            raise DesignError(
                f"design {design.key} has other kernels or kinds of modules than prototype"
                f" {self.name}"
            )
        return tuple(genome)

    def _has_own_kinds(self, design: Design) -> bool:
        """Whether a design of this topology has the kernels and kinds of modules of `design`."""
        modules = [
            (module, kernel, True)
            for stage, kernel in zip(design.stages, self._kernels, strict=True)
            for module in stage.modules
        ]
        for up, model in zip(design.decoder, self.preset.decoder, strict=True):
            modules += [(up.a, model.a.kernel, False), (up.b, model.b.kernel, False)]
        return design.stem.kernel == self.preset.stem.kernel and all(
            module.kernel == kernel and (module.squeeze is not None) == squeezes
            for module, kernel, squeezes in modules
        )

    def check_kind(self, design: object) -> None:
        """Raise a DesignError unless it is densely connected with as many stages."""
        if not isinstance(design, Design):
            raise DesignError(f"prototype {self.name} is densely connected, the design is not")
        if len(design.stages) != len(self.layout.stages):
            raise DesignError(
                f"prototype {self.name} has {len(self.layout.stages)} stages,"
                f" design {design.key} {len(design.stages)}"
            )

    def knobs_of(self, design: Design) -> dict[str, float]:
        """The knobs that describe a design best: means over the modules it has, clipped.

        Raises:
            DesignError: If the design has another number of stages.
        """
        self.check_kind(design)
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


def _one(column: int) -> slice:
    return slice(column, column + 1)


def _between(first: float, last: float, share: float) -> float:
    return first ** (1 - share) * last**share


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 1.0
