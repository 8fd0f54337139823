"""The cost of a design is the same by formula, by walk, by population and by running it."""

from dataclasses import asdict
from random import Random

import numpy as np
import pytest

from nano.cost.count import count, total
from nano.cost.layers import walk
from nano.cost.population import count_population
from nano.design.presets import PRESETS, prototype
from nano.networks.count import count_by_running

SIZES = ((384, 1280), (64, 192), (96, 32))


@pytest.mark.slow
@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("name", PRESETS)
def test_four_ways_agree_on_designs_of_every_family(name: str, size: tuple[int, int]) -> None:
    family = prototype(name)
    random = Random(f"{name} {size}")
    genomes = [family.expand(family.knobs_of(family.preset), 0)]
    for seed in range(20):
        genomes.append(family.expand({k.name: k.at(random.random()) for k in family.knobs}, seed))
    costs = count_population(np.array(genomes), family, size)
    for i, genome in enumerate(genomes):
        design = family.design(genome)
        cost = count(design, size)
        assert total(walk(design, size)) == cost
        assert costs.of(i) == cost
        ran = asdict(count_by_running(design, size))
        assert ran == {name: getattr(cost, name) for name in ran}
