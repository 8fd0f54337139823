"""Several objectives: ceilings, who has to be beaten, finalists along the front."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nano.design.presets import preset, prototype
from nano.explore.caps import Caps
from nano.explore.cycle import GeneratorInquisitor
from nano.explore.findings import finalists
from nano.explore.genomes import History
from nano.explore.promotion import Promotion
from nano.explore.stages import Judge, counted
from nano.explore.trade_off import no_dearer, spread, under_ceilings
from nano.front import costs, front, score
from nano.records import Accuracy, Evaluation, Reading
from nano.score import Requirements, Utility

SIZE = (32, 96)
REQUIRED = Requirements.parse({"delta1": ">= 0.5", "macs": "<= 3.5M"})
CAPS = Caps(prototype=prototype("depthnet-small"), requirements=REQUIRED, size=SIZE)
UTILITY = Utility(trade_off=("activations",))
JUDGE = Judge(utility=UTILITY, requirements=REQUIRED)
COSTS = st.tuples(st.integers(1, 6), st.integers(1, 6), st.integers(0, 6))


def trial(
    number: int, activations: int, netscore: float | None = 20.0, *, feasible: bool = True
) -> Evaluation:
    """A trained design of that cost and score."""
    tiny = preset("depthnet-tiny")
    design = replace(tiny, stem=replace(tiny.stem, width=tiny.stem.width + number))
    blank = counted(number, design, origin="x", seed=0, size=SIZE, judge=JUDGE)
    return replace(
        blank,
        stage="final",
        cost=replace(blank.cost, activations=activations),
        netscore=netscore,
        feasible=feasible,
    )


@pytest.mark.slow
@given(st.lists(COSTS, max_size=9))
def test_the_front_is_what_nothing_beats(points: list[tuple[int, int, int]]) -> None:
    some = [
        replace(trial(i, a, float(s)), cost=replace(trial(i, a).cost, params=p, activations=a))
        for i, (p, a, s) in enumerate(points)
    ]
    names = ("params", "activations")
    kept = front(some, names)

    def beats(one: Evaluation, other: Evaluation) -> bool:
        better = (score(one), *(-cost for cost in costs(one, names)))
        worse = (score(other), *(-cost for cost in costs(other, names)))
        return better != worse and all(a >= b for a, b in zip(better, worse, strict=True))

    for one in some:
        assert (one in kept) == (not any(beats(other, one) for other in some))
    assert [costs(one, names) for one in kept] == sorted(
        (costs(one, names) for one in kept), reverse=True
    )


def test_without_anything_to_trade_off_or_anything_feasible_the_caps_are_the_studys() -> None:
    random = np.random.default_rng(0)
    assert under_ceilings(CAPS, (), [trial(0, 50_000)], random) is CAPS
    assert under_ceilings(CAPS, ("activations",), [trial(0, 9, feasible=False)], random) is CAPS


def test_ceilings_lie_between_below_the_cheapest_and_the_best_scoring_design() -> None:
    finished = [trial(0, 200_000, 21.0), trial(1, 100_000, 20.0), trial(2, 400_000, 19.0)]
    ceilings, opened = [], 0
    for seed in range(200):
        caps = under_ceilings(CAPS, ("activations",), finished, np.random.default_rng(seed))
        item = caps.requirements.get("activations")
        opened += item is None
        ceilings += [] if item is None else [item.bound]
        assert caps.requirements.get("macs") == REQUIRED.get("macs")
    assert 70_000 <= min(ceilings) < 80_000
    assert 180_000 < max(ceilings) <= 200_000
    assert 0.15 < opened / 200 < 0.35


def test_a_ceiling_never_lies_above_a_cap_nor_below_the_smallest_design() -> None:
    smallest = CAPS.cost(CAPS.prototype.smallest())
    for seed in range(50):
        random = np.random.default_rng(seed)
        tight = under_ceilings(CAPS, ("macs",), [_of_macs(trial(0, 1), 3_400_000)], random)
        item = tight.requirements.get("macs")
        assert item is not None
        assert item.bound <= 3_500_000
        low = under_ceilings(CAPS, ("macs",), [_of_macs(trial(0, 1), 10)], random)
        item = low.requirements.get("macs")
        assert item is not None
        assert item.bound >= smallest.macs


def _of_macs(one: Evaluation, macs: int) -> Evaluation:
    return replace(one, cost=replace(one.cost, macs=macs))


def test_a_design_has_to_beat_those_that_cost_no_more() -> None:
    others = [trial(0, 300), trial(1, 200), trial(2, 100)]
    assert [e.number for e in no_dearer(trial(3, 200), others, ("activations",))] == [1, 2]


def test_finalists_lie_along_the_front_from_dear_to_cheap() -> None:
    ranked = [trial(0, 400, 24.0), trial(1, 390, 23.9), trial(2, 200, 23.0), trial(3, 100, 22.0)]
    assert [e.number for e in spread(ranked, 3, ("activations",))] == [0, 2, 3]
    assert [e.number for e in spread(ranked, 3, ())] == [0, 1, 2]
    assert spread([], 3, ("activations",)) == []
    many = spread(ranked, 9, ("activations", "params"))
    assert sorted(e.number for e in many) == [0, 1, 2, 3]
    chances = {0: 0.9, 1: 0.9, 2: 0.9, 3: 0.1}
    found = finalists(ranked, 2, chances, trade_off=("activations",))
    assert [e.number for e in found] == [0, 2]  # the cheapest is not likely to hold


@pytest.mark.parametrize(("trade_off", "goes_on"), [((), False), (("activations",), True)])
def test_a_cheaper_design_goes_on_though_dearer_ones_score_more(
    trade_off: tuple[str, ...], goes_on: bool
) -> None:
    rule = Promotion(
        utility=Utility(trade_off=trade_off), requirements=REQUIRED, keep=1.0, finalists=1
    )
    best = _read(trial(0, 400, 60.0), rung=0.5, final=0.7)
    assert rule.decide(_read(trial(1, 100, None), rung=0.5), [best])[0] is goes_on


def _read(one: Evaluation, **readings: float) -> Evaluation:
    stages = {"rung": "rung 1", "final": "final"}
    made = tuple(
        Reading(
            stage=stages[name],
            images=8,
            seconds=0.0,
            seed=0,
            accuracy=Accuracy(delta1=delta1, abs_rel=0.3),
        )
        for name, delta1 in readings.items()
    )
    last = made[-1]
    return replace(one, readings=made, stage=last.stage, accuracy=last.accuracy)


def test_proposals_of_a_trade_off_reach_cheaper_designs() -> None:
    first = CAPS.first()["prototype, shrunk"]
    blank = counted(0, first, origin="x", seed=0, size=SIZE, judge=JUDGE)
    known = JUDGE.judged(replace(_read(blank, final=0.6), stage="final"))
    assert known.feasible
    history = History(finished=(known,))

    def cheapest(utility: Utility) -> int:
        searcher = GeneratorInquisitor(CAPS, utility)
        found = (next(searcher.proposals(history, n, n)).genome for n in range(12))
        return min(CAPS.cost(CAPS.prototype.design(genome)).activations for genome in found)

    assert cheapest(UTILITY) < 0.85 * cheapest(Utility())
