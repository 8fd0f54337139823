"""How far one can get on an analytic instance when readings have no noise and cost nothing."""

from __future__ import annotations

import numpy as np

from benchmarks.search.analytic import Analytic, required_delta1
from benchmarks.search.widths import depth_columns, filled, masked
from nano.explore.levels import Genomes, Levels

_PARENTS = 60
_CHILDREN = 300


def reach(problem: Analytic, *, generations: int, seed: int) -> tuple[float, Genomes]:
    """The best NetScore (dB) that evolution over whole populations finds, and its genome.

    Not a method: each generation sees 300 exact accuracies. A bound from below of what is there.
    """
    family = problem.caps.prototype
    required = required_delta1(problem.caps)
    random = np.random.default_rng(seed)
    preset = family.genome_of(family.preset)
    parents = np.array([preset] * _PARENTS, dtype=np.int64)
    kept = np.array([-np.inf] * _PARENTS)
    depths = depth_columns(family)
    fit = Levels(problem.caps).fit
    for generation in range(generations):
        step = 0.5 * 0.05 ** (generation / generations)
        mothers, fathers = parents[random.integers(_PARENTS, size=(2, _CHILDREN))]
        mixed = np.where(random.random(mothers.shape) < 0.5, mothers, fathers)
        mixed[:, depths] = mothers[:, depths]
        full = filled(family, np.where(mixed > 0, mixed, mothers)).astype(float)
        rate = 10 ** random.uniform(-2.5, 0, (_CHILDREN, 1))
        noise = random.normal(0, step, full.shape) * (random.random(full.shape) < rate)
        deeper = random.integers(-1, 2, (_CHILDREN, len(depths)))
        deeper *= random.random(deeper.shape) < 0.2
        wide = full * np.exp(noise)
        wide[:, depths] = full[:, depths] + deeper
        children = masked(family, wide)
        scores, delta1 = problem.scores(children)
        bad = (delta1 < required) | ~fit(children)
        scores = np.where(bad, -np.inf, scores)
        parents, kept = np.concatenate([parents, children]), np.concatenate([kept, scores])
        best = np.argsort(-kept)[:_PARENTS]
        parents, kept = parents[best], kept[best]
    return float(kept[0]), parents[:1]
