"""Whom to confirm: designs that are likely to hold, not those with the luckiest reading."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from random import Random

import numpy as np
import pytest

from nano.design.presets import prototype
from nano.explore.belief import Belief, probabilities
from nano.explore.caps import Caps
from nano.explore.findings import SURE, chosen, confirmed, finalists
from nano.explore.inquisitor import Foreseen
from nano.explore.stages import Judge, confirmation, counted
from nano.records import Accuracy, Confirmation, Evaluation, Reading
from nano.score import Requirements, Utility

TINY = prototype("depthnet-tiny")
REQUIRED = Requirements.parse({"params": "<= 5.2k", "delta1": ">= 0.5"})
CAPS = Caps(prototype=TINY, requirements=REQUIRED, size=(32, 96))
JUDGE = Judge(utility=Utility(), requirements=REQUIRED)


def evaluation(number: int, delta1: float, stage: str = "final") -> Evaluation:
    random = Random(number)
    knobs = {knob.name: knob.at(random.random()) for knob in TINY.knobs}
    knobs = CAPS.shrink(knobs, number)
    design = TINY.design(TINY.expand(knobs, number))
    blank = counted(number, design, origin="x", seed=0, size=CAPS.size, judge=JUDGE)
    accuracy = Accuracy(delta1=delta1, abs_rel=0.3)
    reading = Reading(stage=stage, images=8, seconds=0.0, seed=0, accuracy=accuracy)
    return JUDGE.judged(replace(blank, stage=stage, readings=(reading,), accuracy=accuracy))


def test_without_a_belief_the_observed_feasible_come_by_score() -> None:
    found = finalists([evaluation(i, d) for i, d in enumerate((0.51, 0.6, 0.49))], 5)
    assert {e.number for e in found} == {0, 1}
    assert (found[0].netscore or 0) >= (found[1].netscore or 0)


def test_the_likely_come_by_score_before_the_lucky_by_likelihood() -> None:
    trials = [evaluation(i, d) for i, d in enumerate((0.51, 0.52, 0.60, 0.499))]
    found = finalists(trials, 5, {0: 0.1, 1: 0.3, 2: 0.9, 3: 0.6})
    assert {e.number for e in found[:2]} == {2, 3}  # 3 missed by bad luck
    assert [e.number for e in found[2:]] == [1, 0]


def test_where_too_few_are_likely_the_likeliest_fill_the_batch() -> None:
    trials = [evaluation(i, d) for i, d in enumerate((0.51, 0.52, 0.53))]
    found = finalists(trials, 2, {0: 0.2, 1: 0.4, 2: 0.3})
    assert [e.number for e in found] == [1, 2]


def test_twins_are_one_finalist() -> None:
    twins = [evaluation(0, 0.51), replace(evaluation(0, 0.52), number=1)]
    assert [e.number for e in finalists(twins, 3)] == [1]


class Retraining:
    """Stands for a study's confirming: what fresh seeds give, by trial number."""

    def __init__(self, truth: dict[int, float]) -> None:
        self.truth = truth
        self.asked: list[list[int]] = []

    def __call__(self, batch: Sequence[Evaluation]) -> list[Confirmation]:
        self.asked.append([e.number for e in batch])
        return [confirmation(e, [self._reading(e)] * 3, JUDGE) for e in batch]

    def _reading(self, one: Evaluation) -> Reading:
        accuracy = Accuracy(delta1=self.truth[one.number], abs_rel=0.3)
        return Reading(stage="confirmed", images=8, seconds=0.0, seed=1, accuracy=accuracy)


def test_after_a_bold_batch_the_next_one_is_more_careful() -> None:
    trials = [evaluation(i, d) for i, d in enumerate((0.51, 0.52, 0.53, 0.54, 0.55, 0.56))]
    by_score = [e.number for e in sorted(trials, key=lambda e: -(e.netscore or 0))]
    holds = dict(zip(by_score, (0.6, 0.7, 0.55, 0.85, 0.97, 0.99), strict=True))
    retrain = Retraining(dict.fromkeys(by_score, 0.4))
    confirmed(trials, 1, holds=lambda _: holds, confirm=retrain, judge=JUDGE)
    assert retrain.asked == [[by_score[i]] for i in (0, 3, 4)]


def test_a_prototype_that_holds_does_not_end_the_batches() -> None:
    trials = [evaluation(i, 0.51) for i in range(3)]
    reference = replace(evaluation(3, 0.6), origin="prototype")
    retrain = Retraining({0: 0.4, 1: 0.4, 2: 0.55, 3: 0.6})
    holds = {0: 0.6, 1: 0.6, 2: 0.97}
    found = confirmed([*trials, reference], 2, holds=lambda _: holds, confirm=retrain, judge=JUDGE)
    assert found is not None
    assert {one.number for one in found} >= {2, 3}


def test_confirming_ends_with_the_first_batch_that_holds() -> None:
    trials = [evaluation(i, 0.51 + i / 100) for i in range(6)]
    retrain = Retraining({i: 0.6 for i in range(6)})
    found = confirmed(trials, 2, holds=lambda _: {}, confirm=retrain, judge=JUDGE)
    assert len(retrain.asked) == 1
    assert len(found or ()) == 2


def test_of_designs_that_held_the_best_that_is_sure_is_claimed() -> None:
    trials = [evaluation(i, 0.51 + i / 100) for i in range(3)]
    found = Retraining({0: 0.6, 1: 0.6, 2: 0.6})(trials)
    by_score = sorted(found, key=lambda one: -(one.netscore or 0))
    best, second, third = (one.number for one in by_score)
    claimed = [
        chosen(found, JUDGE, holds)
        for holds in (
            {best: SURE, second: 0.99, third: 0.99},
            {best: SURE - 0.01, second: SURE, third: 0.99},
            {best: 0.5, second: 0.6, third: 0.7},
        )
    ]
    assert [one.number for one in claimed if one] == [best, second, third]


def test_where_a_batch_held_by_luck_alone_the_next_one_gets_its_chance() -> None:
    trials = [evaluation(i, 0.51 + i / 100) for i in range(6)]
    retrain = Retraining({i: 0.6 for i in range(6)})
    holds = dict.fromkeys(range(6), 0.6)
    confirmed(trials, 2, holds=lambda _: holds, confirm=retrain, judge=JUDGE)
    assert len(retrain.asked) == 3


def test_an_interrupted_confirming_concludes_nothing() -> None:
    trials = [evaluation(0, 0.51)]
    assert confirmed(trials, 2, holds=lambda _: {}, confirm=lambda _: None, judge=JUDGE) is None


def test_without_finalists_nothing_is_retrained() -> None:
    trials = [evaluation(0, 0.4), replace(evaluation(1, 0.4), origin="prototype")]
    retrain = Retraining({})
    assert confirmed(trials, 2, holds=lambda _: {}, confirm=retrain, judge=JUDGE) == []
    assert retrain.asked == []


def test_one_over_a_cap_or_ended_at_a_rung_is_no_finalist_however_likely() -> None:
    over = evaluation(0, 0.6)
    over = replace(over, margins={**over.margins, "params": 0.2}, feasible=False)
    early = evaluation(1, 0.6, stage="rung 1")
    assert finalists([over, early], 5, {0: 1.0, 1: 1.0}) == []


def test_a_lucky_reading_among_its_likes_is_believed_less_than_it_says() -> None:
    random = Random(1)
    trials = [evaluation(i, 0.47 + random.gauss(0, 0.004)) for i in range(24)]
    trials.append(evaluation(24, 0.505))
    holds = Belief(CAPS).holds(trials)
    assert holds[24] < 0.5
    assert max(holds[i] for i in range(24)) < 0.5


def test_too_little_read_is_no_belief() -> None:
    assert Belief(CAPS).holds([evaluation(0, 0.6), evaluation(1, 0.6)]) == {}


def test_probabilities_are_those_of_the_normal() -> None:
    at_bound = np.log([[0.5, 0.2]])
    foreseen = Foreseen(mean=at_bound, sd=np.array([[0.1, 0.1]]))
    asked = Requirements.parse({"delta1": ">= 0.5"})
    assert probabilities(foreseen, asked)[0] == pytest.approx(0.5)
    better = Foreseen(mean=at_bound - 0.1645, sd=np.array([[0.1, 0.1]]))
    assert probabilities(better, asked)[0] == pytest.approx(0.95, abs=1e-3)
    both = Requirements.parse({"delta1": ">= 0.5", "abs_rel": "<= 0.2"})
    assert probabilities(foreseen, both)[0] == pytest.approx(0.25)


def test_what_fresh_seeds_gave_counts_for_the_designs_and_their_likes() -> None:
    random = Random(1)
    trials = [evaluation(i, 0.5 + random.gauss(0, 0.004)) for i in range(24)]
    belief = Belief(CAPS)
    retrained = Retraining(dict.fromkeys(range(24), 0.49))(trials[:6])
    before, after = belief.holds(trials), belief.holds(trials, retrained)
    assert all(after[i] < before[i] for i in range(6) if before[i] > 0.1)
    assert sum(after.values()) < sum(before.values())
