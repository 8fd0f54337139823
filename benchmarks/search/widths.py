"""Populations of genomes as arrays: masked, filled, and scaled to the caps."""

from __future__ import annotations

import numpy as np

from nano.design.genes import Genome
from nano.design.prototype import Prototype
from nano.explore.caps import Caps
from nano.explore.levels import Floats, Genomes, Levels, active
from nano.explore.ranges import within_ranges

_HALVINGS = 24


def bounds(prototype: Prototype) -> tuple[Floats, Floats]:
    """Lowest and highest value of every gene."""
    low = np.array([gene.low for gene in prototype.genes], dtype=float)
    high = np.array([gene.high for gene in prototype.genes], dtype=float)
    return low, high


def depth_columns(prototype: Prototype) -> list[int]:
    """Columns that count modules; all others are widths."""
    return [stage.depth for stage in prototype.layout.stages]


def masked(prototype: Prototype, genomes: Floats | Genomes, *, held: bool = False) -> Genomes:
    """`Prototype.masked` of every row: whole, within bounds, 0 where no module is.

    Args:
        prototype: Of the genomes.
        genomes: N x D; widths may be fractions.
        held: Whether within the ranges of the knobs too, as every search has to be.
    """
    ends = bounds(prototype)
    widths: Floats = np.clip(genomes.astype(np.float64), *ends)
    there = active(prototype, np.rint(widths))
    if held:
        widths = np.clip(within_ranges(prototype, widths, there), *ends)
    whole: Genomes = np.rint(widths).astype(np.int64) * there
    return whole


def filled(prototype: Prototype, genomes: Genomes) -> Genomes:
    """Absent modules as copies of the last one of their stage: what more depth would add."""
    full = genomes.copy()
    for stage in prototype.layout.stages:
        depth = genomes[:, stage.depth, None]
        place = np.minimum(np.arange(stage.deepest), depth - 1)
        for part in (stage.squeeze, stage.expand, stage.width):
            full[:, part] = np.take_along_axis(genomes[:, part], place, axis=1)
    return full


def scaled(
    prototype: Prototype, genome: Genome | Floats, factor: float, *, held: bool = False
) -> Genomes:
    """One row: every width times the factor, depths as they are; see `masked`."""
    row = np.array([genome], dtype=float)
    depths = depth_columns(prototype)
    kept = row[:, depths]
    row *= factor
    row[:, depths] = kept
    return masked(prototype, row, held=held)


def to_caps(
    caps: Caps, genome: Genome | Floats, *, grow: bool, held: bool = False
) -> Genome | None:
    """The genome with all widths times one factor, the largest within the caps.

    Args:
        caps: The counted bounds.
        genome: Widths may be fractions.
        grow: Whether a factor above 1 is wanted; else a genome within the caps stays as it is.
        held: See `masked`.

    Returns:
        None where no factor is small enough.
    """
    fit = Levels(caps).fit
    whole = scaled(caps.prototype, genome, 1.0, held=held)
    if not grow and fit(whole)[0]:
        return tuple(whole[0].tolist())
    low, high = np.log(0.02), np.log(10.0) if grow else 0.0
    best = scaled(caps.prototype, genome, np.exp(low), held=held)
    if not fit(best)[0]:
        return None
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        tried = scaled(caps.prototype, genome, np.exp(middle), held=held)
        if fit(tried)[0]:
            low, best = middle, tried
        else:
            high = middle
    return tuple(best[0].tolist())
