"""The closed form for a whole population of genomes at once.

The same sums as `nano.cost.count`, over the columns of a genome matrix: modules that are not there
are zeros and cost nothing. Chunks keep the columns in the cache.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nano.cost.count import Cost
from nano.cost.fastdepth import fastdepth_sums
from nano.design.design import skip_order
from nano.design.families import AnyFamily
from nano.design.fastdepth_prototype import FastDepthPrototype, spread_out
from nano.design.prototype import Prototype
from nano.errors import DesignError

Counts = NDArray[np.int64]
_CHUNK = 1024  # rows: fewer and calls dominate, more and columns leave the cache


@dataclass(frozen=True, kw_only=True)
class PopulationCost:
    """`nano.cost.count.Cost`, one entry per genome; int64 arrays of equal length."""

    params: Counts
    params_with_statistics: Counts
    macs: Counts
    activations: Counts
    bytes: Counts

    def of(self, i: int) -> Cost:
        """The cost of genome ``i``."""
        return Cost(
            params=int(self.params[i]),
            params_with_statistics=int(self.params_with_statistics[i]),
            macs=int(self.macs[i]),
            activations=int(self.activations[i]),
            bytes=int(self.bytes[i]),
        )


def count_population(
    genomes: NDArray[np.integer], prototype: AnyFamily, size: tuple[int, int]
) -> PopulationCost:
    """Cost of every genome.

    Args:
        genomes: N x genes, as `nano.design.family.Family.masked` makes them (0 where a module is
            not there).
        prototype: The family the genomes belong to.
        size: Input height and width in pixels.

    Raises:
        DesignError: If the size does not divide by the design's stride, or the genomes are
            another family's.
    """
    prototype.preset.check_size(size)
    if genomes.shape[1:] != (len(prototype.genes),):
        raise DesignError(
            f"prototype {prototype.name}: a population is N x {len(prototype.genes)} genes,"
            f" got {' x '.join(map(str, genomes.shape))}"
        )
    chunks = [
        _count_chunk(genomes[first : first + _CHUNK], prototype, size)
        for first in range(0, len(genomes), _CHUNK)
    ]
    table = np.concatenate(chunks, axis=1) if chunks else np.zeros((5, 0), np.int64)
    return PopulationCost(
        params=table[0],
        params_with_statistics=table[0] + table[1],
        macs=table[2],
        activations=table[3],
        bytes=4 * (table[4] + table[0] + table[1]),
    )


def _count_chunk(
    genomes: NDArray[np.integer], prototype: AnyFamily, size: tuple[int, int]
) -> Counts:
    """Rows of params, statistics, macs, activations and elements moved."""
    columns = np.ascontiguousarray(genomes.T, dtype=np.int64)
    if isinstance(prototype, FastDepthPrototype):
        return np.stack(fastdepth_sums(spread_out(columns), size))
    if isinstance(prototype, Prototype):
        return _depthnet_sums(columns, prototype, size)
    raise TypeError(f"{type(prototype).__name__}: no closed form for its populations")


def _depthnet_sums(columns: Counts, prototype: Prototype, size: tuple[int, int]) -> Counts:
    layout = prototype.layout
    area = size[0] * size[1] >> 2
    stem = columns[layout.stem]
    taps = prototype.preset.stem.kernel**2 * 3
    total = np.empty((5, columns.shape[1]), np.int64)
    total[0] = stem * (taps + 1)
    total[1] = 0
    total[2] = stem * (taps * area)
    total[3] = stem * area
    total[4] = 12 * area + stem * (3 * area + (5 * area >> 2))
    channels = stem
    transitions = []
    last = len(layout.stages) - 1
    for i, (stage, model) in enumerate(zip(layout.stages, prototype.preset.stages, strict=True)):
        area >>= 2
        kernel = model.modules[0].kernel if model.modules else 3
        part = (columns[stage.squeeze], columns[stage.expand], columns[stage.width])
        channels = _add_stage(total, part, channels, kernel**2, area)
        transition = columns[stage.transition]
        after = area if i == last else area >> 2
        weights = channels * transition
        total[0] += weights + transition
        total[2] += weights * area
        total[3] += transition * after
        pooled = 0 if i == last else area + after
        total[4] += channels * area + transition * (area + 2 * after + pooled)
        channels = transition
        transitions.append(transition)
    skips = skip_order(stem, transitions)
    for i, (skip, up) in enumerate(zip(skips, prototype.preset.decoder, strict=True)):
        total[4] += channels * (5 * area)
        area <<= 2
        first = layout.decoder + 4 * i
        channels = channels + skip
        total[4] += channels * (2 * area)
        _add_ep(total, columns[first], columns[first + 1], channels, up.a.kernel**2, area)
        channels = columns[first + 1]
        _add_ep(total, columns[first + 2], columns[first + 3], channels, up.b.kernel**2, area)
        channels = columns[first + 3]
    total[0] += 9 * channels + 1
    total[2] += channels * (9 * area)
    total[4] += (channels + 1) * area
    return total


def _add_stage(
    total: Counts,
    part: tuple[Counts, Counts, Counts],
    channels: Counts,
    taps: int,
    area: int,
) -> Counts:
    """Add a dense stage of PBEPs that reads ``channels``; return the channels it ends with."""
    squeeze, expand, width = part
    reads = np.empty_like(width)
    reads[0] = channels
    for i in range(1, len(width)):  # np.cumsum down the columns takes nine times as long
        np.add(reads[i - 1], width[i - 1], out=reads[i])
    # Modules read what stood before them and concatenate what stands after; where no module is
    # (width 0) neither happens.
    reads *= width > 0
    weights = np.einsum("dn,dn->n", squeeze, reads + expand)
    weights += np.einsum("dn,dn->n", expand, width + taps)
    p, e, g = squeeze.sum(axis=0), expand.sum(axis=0), width.sum(axis=0)
    r = reads.sum(axis=0)
    total[0] += weights + 2 * p + 2 * e + g
    total[1] += 2 * p
    total[2] += weights * area
    total[3] += e * (2 * area)
    total[4] += (3 * r + 4 * p + 8 * e + 3 * g) * area
    return channels + g


def _add_ep(
    total: Counts, expand: Counts, width: Counts, channels: Counts, taps: int, area: int
) -> None:
    weights = expand * (channels + taps + width)
    total[0] += weights + 2 * expand + width
    total[2] += weights * area
    total[3] += expand * (2 * area)
    total[4] += (channels + 8 * expand + width) * area
