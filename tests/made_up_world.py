"""A made-up world for the inquisitor: designs of the small family whose errors follow a law."""

from __future__ import annotations

from random import Random

import numpy as np

from nano.design.presets import prototype
from nano.explore.caps import Caps
from nano.explore.gp import Fidelity
from nano.explore.inquisitor import Evidence
from nano.explore.levels import Genomes, Levels
from nano.explore.readings import Readings
from nano.score import Requirements

SMALL = prototype("depthnet-small")
REQUIRED = Requirements.parse({"params": "<= 60k", "delta1": ">= 0.6"})
CAPS = Caps(prototype=SMALL, requirements=REQUIRED, size=(32, 96))
LEVELS = Levels(CAPS)
EVIDENCE = Evidence(LEVELS)


def genomes(count: int, seed: int = 0) -> Genomes:
    random = Random(seed)
    drawn = [
        SMALL.expand({k.name: k.at(random.random()) for k in SMALL.knobs}, i) for i in range(count)
    ]
    return LEVELS.repaired(LEVELS.of(np.array(drawn)))


def law(rows: Genomes) -> np.ndarray:
    """Log errors of a made-up world: power laws of the parameters and of stage 3's squeeze."""
    cost = LEVELS.cost(rows)
    squeeze = rows[:, LEVELS.groups["stage 3 squeeze"]].sum(axis=1)
    first = -0.2 * np.log(cost.params) - 0.1 * np.log(squeeze)
    return np.stack([first + 1.2, 0.7 * first], axis=1)


def readings(rows: Genomes, noise: float, seed: int = 0) -> Readings:
    random = np.random.default_rng(seed)
    logs = law(rows) + noise * random.standard_normal((len(rows), 1))
    return Readings(
        genomes=rows,
        logs=logs,
        fidelity=Fidelity.final(len(rows)),
        numbers=tuple(range(len(rows))),
    )
