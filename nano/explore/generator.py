"""The generator G(s; theta): a seed becomes a network (DepthNet Nano 2020, eq. 1).

u = mu + B (d * z) + sigma * e, with z and e drawn from the seed: every seed moves whole groups of
genes together (capacity, a stage, a kind of width: the columns of B) and each gene a little by
itself; then the genome is rounded and repaired to the exact caps. theta = (mu, d, sigma) starts
around the prototype and is learned from the best designs. Same seed and theta, same network.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from nano.explore.levels import Floats, Genomes, Levels

_START_SHARED = 0.06  # sd of a coherent direction, in levels, before anything is learned
_START_PRIVATE = 0.04  # sd of a gene by itself
_LEAST_SHARED = 0.015  # what learning leaves: a generator that stands still learns nothing
_LEAST_PRIVATE = 0.02
_TRUST = 6.0  # elites that the start counts for, when theta is learned


@dataclass(frozen=True, kw_only=True)
class Theta:
    """The generator's parameters, in levels.

    Attributes:
        mean: D, the network in the middle.
        shared: r, spread along the coherent directions.
        private: D, spread of each gene by itself.
    """

    mean: Floats
    shared: Floats
    private: Floats

    @property
    def entropy(self) -> float:
        """Mean logarithm of the spreads: how much the networks of different seeds differ."""
        return float(np.concatenate([np.log(self.shared), np.log(self.private)]).mean())


@dataclass(frozen=True, eq=False)
class Generator:
    """G over the genomes of a study.

    Attributes:
        levels: The cube of the genomes.
    """

    levels: Levels

    @cached_property
    def directions(self) -> Floats:
        """D x r: all genes, every kind of width over all stages, and every group by itself."""
        groups = self.levels.groups
        named = [name.rpartition(" ") for name in groups if " " in name]
        kinds = dict.fromkeys(kind for _, _, kind in named)
        whole = [tuple(groups)]
        whole += [tuple(n for n in groups if n.endswith(f" {kind}")) for kind in kinds]
        stages = sorted({stage for stage, _, _ in named})
        whole += [tuple(n for n in groups if n.startswith(f"{stage} ")) for stage in stages]
        whole += [(name,) for name in groups]
        whole = list(dict.fromkeys(whole))  # a family may have one kind of width only
        columns = np.zeros((len(self.levels.caps.prototype.genes), len(whole)))
        for column, names in enumerate(whole):
            for name in names:
                columns[groups[name], column] = 1.0
        return columns

    @cached_property
    def _crossings(self) -> float:
        """In how many directions a gene lies on average: they share its deviations."""
        return float(self.directions.sum() / len(self.directions))

    def start(self, genome: Genomes) -> Theta:
        """Around one genome (1 x D): the prototype within the caps."""
        return Theta(
            mean=self._filled(genome)[0],
            shared=np.full(self.directions.shape[1], _START_SHARED),
            private=np.full(genome.shape[1], _START_PRIVATE),
        )

    def draw(self, theta: Theta, random: np.random.Generator, count: int) -> Floats:
        """Levels of the networks of ``count`` seeds, before repair."""
        directions = self.directions
        z = random.standard_normal((count, directions.shape[1]))
        own = random.standard_normal((count, len(theta.mean)))
        levels: Floats = theta.mean + (z * theta.shared) @ directions.T + own * theta.private
        return levels

    def learned(self, theta: Theta, elites: Genomes, weights: Floats) -> Theta:
        """Theta moved to the elites by weighted maximum likelihood, held back by the start.

        Args:
            theta: The start.
            elites: n x D, the best networks known.
            weights: n, above zero.
        """
        levels = self._filled(elites)
        share = weights / weights.sum()
        trust = len(elites) / (len(elites) + _TRUST)
        centre = share @ levels
        deviations = levels - centre
        directions = self.directions
        # Along each direction: the mean deviation of its genes, elite by elite.
        along = deviations @ (directions / directions.sum(axis=0))
        shared = np.sqrt(share @ along**2) / np.sqrt(self._crossings)
        # A gene by itself: what is left when the mean of its finest group is taken away.
        left = deviations - self._group_means(deviations)
        private = np.sqrt(share @ left**2)
        return Theta(
            mean=(1 - trust) * theta.mean + trust * centre,
            shared=np.maximum((1 - trust) * theta.shared + trust * shared, _LEAST_SHARED),
            private=np.maximum((1 - trust) * theta.private + trust * private, _LEAST_PRIVATE),
        )

    def mutants(self, parents: Genomes, random: np.random.Generator) -> Floats:
        """Levels of one child of every parent: some groups moved together, some genes alone."""
        directions = self.directions
        levels = self._filled(parents)
        n, r = len(parents), directions.shape[1]
        size = np.exp(random.normal(np.log(0.06), 0.7, (n, 1)))
        moved = random.random((n, r)) < 2.5 / r
        levels = levels + (moved * random.standard_normal((n, r)) * size) @ directions.T
        single = random.random(levels.shape) < 4.0 / levels.shape[1]
        levels += single * random.standard_normal(levels.shape) * 2 * size
        return levels

    def children(self, mothers: Genomes, fathers: Genomes, random: np.random.Generator) -> Floats:
        """Levels of one child of every pair: each group of genes from one of both."""
        mother, father = self._filled(mothers), self._filled(fathers)
        chosen = np.zeros(mother.shape, np.bool_)
        for columns in self.levels.groups.values():
            chosen[:, columns] = random.random((len(mother), 1)) < 0.5
        return np.where(chosen, father, mother)

    def _filled(self, genomes: Genomes) -> Floats:
        """Levels, where modules that are not there take the mean of their group."""
        levels, active = self.levels.of(genomes), self.levels.active(genomes)
        for columns in self.levels.groups.values():
            there = active[:, columns]
            mean = (levels[:, columns] * there).sum(axis=1) / np.maximum(there.sum(axis=1), 1)
            levels[:, columns] = np.where(there, levels[:, columns], mean[:, None])
        return levels

    def _group_means(self, values: Floats) -> Floats:
        means = np.empty_like(values)
        for columns in self.levels.groups.values():
            means[:, columns] = values[:, columns].mean(axis=1, keepdims=True)
        return means
