"""Whom to confirm: designs that are likely to hold, not those with the luckiest reading."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import numpy as np
import pytest

from nano.design.presets import prototype
from nano.explore.belief import Belief, probabilities
from nano.explore.caps import Caps
from nano.explore.findings import finalists
from nano.explore.inquisitor import Foreseen
from nano.explore.stages import Judge, counted
from nano.records import Accuracy, Evaluation, Reading
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
    (found,) = finalists([evaluation(i, d) for i, d in enumerate((0.51, 0.6, 0.49))], 5)
    assert {e.number for e in found} == {0, 1}
    assert (found[0].netscore or 0) >= (found[1].netscore or 0)


def test_the_likely_come_by_score_before_the_lucky_by_likelihood() -> None:
    trials = [evaluation(i, d) for i, d in enumerate((0.51, 0.52, 0.60, 0.499))]
    (found,) = finalists(trials, 5, {0: 0.1, 1: 0.3, 2: 0.9, 3: 0.6})
    assert {e.number for e in found[:2]} == {2, 3}  # 3 missed by bad luck
    assert [e.number for e in found[2:]] == [1, 0]


def test_after_a_bold_batch_the_next_one_is_more_careful() -> None:
    trials = [evaluation(i, d) for i, d in enumerate((0.51, 0.52, 0.53, 0.54, 0.55, 0.56))]
    by_score = [e.number for e in sorted(trials, key=lambda e: -(e.netscore or 0))]
    holds = dict(zip(by_score, (0.6, 0.7, 0.55, 0.85, 0.97, 0.99), strict=True))
    found = finalists(trials, 1, holds)
    assert [[e.number for e in batch] for batch in found] == [[by_score[i]] for i in (0, 3, 4)]


def test_where_too_few_are_likely_the_likeliest_fill_the_batch() -> None:
    trials = [evaluation(i, d) for i, d in enumerate((0.51, 0.52, 0.53))]
    found = finalists(trials, 2, {0: 0.2, 1: 0.4, 2: 0.3})
    assert [[e.number for e in batch] for batch in found] == [[1, 2], [0]]


def test_twins_are_one_finalist() -> None:
    twins = [evaluation(0, 0.51), replace(evaluation(0, 0.52), number=1)]
    assert [[e.number for e in batch] for batch in finalists(twins, 3)] == [[1]]


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
