"""Genes: every width of every possible module of a prototype, and where each lies in a genome."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from nano.design.design import WIDEST
from nano.design.knobs import Knob

Genome = tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Gene:
    """One absolute width (or depth) of the genome; 0 where its module is not there."""

    name: str
    low: int
    high: int

    def clip(self, value: float) -> int:
        """The nearest whole number within the bounds."""
        return min(max(round(value), self.low), self.high)


@dataclass(frozen=True, kw_only=True)
class StageColumns:
    """Where a stage's genes lie in the genome: one column per possible module and kind of width."""

    depth: int
    squeeze: slice
    expand: slice
    width: slice
    transition: int

    @property
    def deepest(self) -> int:
        """Modules that the stage has room for."""
        return self.width.stop - self.width.start


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Columns of the genome: the stem, stage by stage, then the decoder."""

    stem: int
    stages: tuple[StageColumns, ...]
    decoder: int  # first of four columns per upconv: a.expand, a.width, b.expand, b.width
    length: int


def layout_of(deepest: Sequence[int]) -> Layout:
    """The columns for stages with room for that many modules."""
    column = 1
    stages = []
    for n in deepest:
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


def genes_of(knob: Mapping[str, Knob], layout: Layout) -> tuple[Gene, ...]:
    """Name and bounds of every column.

    A module's genes reach further than the knob of their mean, so that modules can differ: two
    standard deviations of the widest spread, and at least a factor of two.
    """
    factor = max(2.0, math.exp(2 * knob["spread"].high))
    genes = [_reach("stem", knob["stem"], 1)]
    widest = knob["stem"].high
    for number, columns in enumerate(layout.stages, start=1):
        depth = knob[f"depth.{number}"]
        genes.append(Gene(name=depth.name, low=int(depth.low), high=int(depth.high)))
        squeeze, growth = knob[f"squeeze.{number}"], knob[f"growth.{number}"]
        ratio = knob[f"expansion.{number}"]
        expand = replace(squeeze, low=squeeze.low * ratio.low, high=squeeze.high * ratio.high)
        numbers = range(1, columns.deepest + 1)
        for name, source in (("squeeze", squeeze), ("expand", expand), ("width", growth)):
            genes += [_reach(f"{name}.{number}.{i}", source, factor) for i in numbers]
        widest += factor * growth.high * columns.deepest
        genes.append(_gene(f"transition.{number}", 1, widest * knob[f"transition.{number}"].high))
        widest = genes[-1].high
    return (*genes, *_decoder_genes(knob, layout, genes, factor))


def _decoder_genes(
    knob: Mapping[str, Knob], layout: Layout, encoder: Sequence[Gene], factor: float
) -> list[Gene]:
    ends = (knob["decoder.first"], knob["decoder.last"])
    width = Knob(name="decoder", low=min(k.low for k in ends), high=max(k.high for k in ends))
    ratios = (knob["multiplicity.first"], knob["multiplicity.last"])
    low, high = min(k.low for k in ratios), max(k.high for k in ratios)
    transitions = [encoder[columns.transition].high for columns in layout.stages]
    widest_skip = max(encoder[layout.stem].high, *transitions)
    reads = max(transitions[-1], factor * width.high) + widest_skip
    genes = []
    for number in range(1, len(layout.stages) + 1):
        for unit, most in (("A", reads), ("B", factor * width.high)):
            genes.append(_gene(f"expand.up{number}{unit}", low, high * most))
            genes.append(_reach(f"width.up{number}{unit}", width, factor))
    return genes


def _reach(name: str, knob: Knob, factor: float) -> Gene:
    return _gene(name, knob.low / factor, knob.high * factor)


def _gene(name: str, low: float, high: float) -> Gene:
    whole = min(max(1, math.floor(low)), WIDEST)
    return Gene(name=name, low=whole, high=min(max(whole, math.ceil(high)), WIDEST))
