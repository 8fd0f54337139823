"""Genomes and levels: one cube for all, exact caps, masks that mean what the prototype means."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nano.design.presets import prototype
from nano.explore.caps import Caps
from nano.explore.levels import Levels
from nano.score import Requirements

TINY = prototype("depthnet-tiny")
SMALL = prototype("depthnet-small")


def levels(family: str = "depthnet-small", **require: str) -> Levels:
    chosen = {"depthnet-tiny": TINY, "depthnet-small": SMALL}[family]
    return Levels(Caps(prototype=chosen, requirements=Requirements.parse(require), size=(32, 96)))


def drawn(cube: Levels, count: int, seed: int = 0) -> np.ndarray:
    random, family = Random(seed), cube.caps.prototype
    return np.array(
        [
            family.expand({k.name: k.at(random.random()) for k in family.knobs}, i)
            for i in range(count)
        ]
    )


@pytest.mark.parametrize("family", ["depthnet-tiny", "depthnet-small"])
def test_a_genome_is_the_same_after_the_way_to_levels_and_back(family: str) -> None:
    cube = levels(family)
    genomes = drawn(cube, 50)
    assert (cube.genomes(cube.of(genomes)) == genomes).all()


@given(seed=st.integers(0, 10_000))
def test_any_levels_are_a_genome_of_the_prototype(seed: int) -> None:
    cube = levels()
    point = np.random.default_rng(seed).uniform(-0.5, 1.5, (3, SMALL.layout.length))
    for genome in cube.genomes(point):
        assert tuple(genome) == SMALL.masked(genome.tolist())


@given(seed=st.integers(0, 10_000))
def test_repaired_genomes_are_within_every_cap_and_near(seed: int) -> None:
    cube = levels(params="<= 30k - 1k", macs="<= 4M")
    point = np.random.default_rng(seed).uniform(0, 1, (8, SMALL.layout.length))
    repaired = cube.repaired(point)
    assert all(cube.caps.fit(SMALL.design(genome)) for genome in repaired)
    free = levels().repaired(point)  # held within the knobs' ranges only
    fits = cube.fit(free)
    assert (repaired[fits] == free[fits]).all()


def test_groups_hold_every_gene_once() -> None:
    cube = levels()
    columns = np.concatenate(list(cube.groups.values()))
    assert sorted(columns) == list(range(SMALL.layout.length))
    names = {SMALL.genes[i].name for i in cube.groups["stage 3 squeeze"]}
    assert names == {f"squeeze.3.{i}" for i in range(1, 7)}


def test_repair_keeps_depths_while_widths_are_enough() -> None:
    cube = levels(params="<= 60k")
    genomes = drawn(cube, 40)
    over = genomes[~cube.fit(genomes)]
    assert len(over) > 5
    depths = [stage.depth for stage in SMALL.layout.stages]
    assert (cube.repaired(cube.of(over))[:, depths] == over[:, depths]).all()
