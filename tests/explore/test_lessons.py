"""What widening each part of a design is expected to change: exact costs, learned delta1."""

from __future__ import annotations

from made_up_world import EVIDENCE, LEVELS, SMALL, genomes, readings

from nano.cost.count import count
from nano.explore.inquisitor import Inquisitor
from nano.explore.lessons import lessons


def test_the_part_that_matters_is_named_and_costs_are_exact() -> None:
    found = lessons(Inquisitor(EVIDENCE, readings(genomes(96), 0.01)), LEVELS, SMALL.preset)
    assert found.key == SMALL.preset.key and found.read == 96
    parts = {lesson.part: lesson for lesson in found.parts}
    assert not any(name.endswith("depth") for name in parts)
    # The made-up world rewards stage 3's squeeze beyond its parameters; the stem only by size.
    assert parts["stage 3 squeeze"].delta1 > parts["stem"].delta1
    genome = list(SMALL.genome_of(SMALL.preset))
    stem = LEVELS.groups["stem"][0]
    genome[stem] = round(genome[stem] * 1.1)
    wider = count(SMALL.design(tuple(genome)), LEVELS.caps.size)
    before = count(SMALL.preset, LEVELS.caps.size)
    assert parts["stem"].params == wider.params / before.params - 1
    assert parts["stem"].macs == wider.macs / before.macs - 1
