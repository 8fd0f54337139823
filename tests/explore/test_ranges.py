"""A range in a study file binds generators of whole genomes, too."""

from __future__ import annotations

import numpy as np
import pytest

from nano.design.knobs import Knob
from nano.design.presets import prototype
from nano.design.prototype import Prototype
from nano.explore.caps import Caps
from nano.explore.levels import Levels
from nano.score import Requirements

NARROW = {"growth.2": (6.0, 8.0), "squeeze.3": (3.0, 5.0), "transition.1": (0.4, 0.6)}
ENDS = {"decoder.first": (20.0, 24.0), "decoder.last": (12.0, 16.0)}


@pytest.mark.parametrize("ranges", [{}, NARROW, ENDS], ids=["usual", "narrow", "decoder"])
def test_the_knobs_of_any_genome_lie_in_their_ranges(
    ranges: dict[str, tuple[float, float]],
) -> None:
    family = prototype("depthnet-small", ranges)
    free = prototype("depthnet-small", {k.name: _wider(k.low, k.high) for k in _real(family)})
    cube = Levels(Caps(prototype=family, requirements=Requirements(items=()), size=(32, 96)))
    drawn = np.random.default_rng(0).uniform(-0.2, 1.2, (64, family.layout.length))
    ends = [family.knob[name] for name in ("decoder.first", "decoder.last")]
    width = min(k.low for k in ends), max(k.high for k in ends)
    for genome in cube.repaired(drawn):
        design = family.design(tuple(genome.tolist()))
        assert family.genome_of(design) == tuple(genome.tolist())
        told = free.knobs_of(design)
        for knob in _real(family):
            if knob.name.startswith("multiplicity"):
                continue  # a line between two ends: units in the middle are held between them
            low, high = width if knob.name.startswith("decoder") else (knob.low, knob.high)
            rounding = {"transition": 0.1, "expansion": 0.2 * high}.get(knob.name[:-2], 0.75)
            assert low - rounding <= told[knob.name] <= high + rounding, knob.name


def test_a_genome_within_the_ranges_is_left_alone() -> None:
    family = prototype("depthnet-small")
    cube = Levels(Caps(prototype=family, requirements=Requirements(items=()), size=(32, 96)))
    preset = np.array([family.genome_of(family.preset)])
    assert cube.repaired(cube.of(preset)).tolist() == preset.tolist()


def _real(family: Prototype) -> list[Knob]:
    kinds = ("growth", "squeeze", "expansion", "transition", "decoder", "multiplicity")
    return [knob for knob in family.knobs if knob.name.startswith(kinds)]


def _wider(low: float, high: float) -> tuple[float, float]:
    return max(1.0, low / 4) if low >= 1 else low / 4, high * 4
