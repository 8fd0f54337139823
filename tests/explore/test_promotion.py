"""Who goes on after a rung."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from nano.design.presets import preset
from nano.explore.promotion import PRIOR_SD, Promotion
from nano.explore.stages import Judge, counted
from nano.files import canonical_json
from nano.records import Accuracy, Evaluation, Reading
from nano.score import ACCURACY_FORMS, Requirements, Utility

REQUIRED = Requirements.parse({"delta1": ">= 0.5", "params": "<= 5k"})
JUDGE = Judge(utility=Utility(), requirements=REQUIRED)
RULE = Promotion(utility=Utility(), requirements=REQUIRED, keep=0.5, finalists=1)


def trial(
    number: int, rung: float, final: float | None = None, *, origin: str = "tpe", params: int = 4000
) -> Evaluation:
    """A trial that read ``rung`` at its rung and, if it went on, ``final`` in the end."""
    blank = counted(
        number, preset("depthnet-tiny"), origin=origin, seed=0, size=(32, 96), judge=JUDGE
    )
    stages = {"rung 1": rung} | ({} if final is None else {"final": final})
    readings = tuple(
        Reading(
            stage=stage,
            images=8,
            seconds=0.0,
            seed=0,
            accuracy=Accuracy(delta1=delta1, abs_rel=0.3),
        )
        for stage, delta1 in stages.items()
    )
    return JUDGE.judged(
        replace(
            blank,
            cost=replace(blank.cost, params=params),
            readings=readings,
            stage=readings[-1].stage,
            accuracy=readings[-1].accuracy,
        )
    )


def test_the_reference_always_goes_on_and_so_does_the_first() -> None:
    pairs = [trial(1, 0.4, 0.6)]
    assert RULE.decide(trial(0, 0.1, origin="prototype"), pairs) == (True, None)
    assert RULE.decide(trial(2, 0.1), []) == (True, None)
    assert RULE.decide(trial(2, 0.1), [trial(3, 0.4)]) == (True, None)  # nobody got to the end


def test_what_a_rung_foresees_is_its_reading_plus_the_gain_that_others_had() -> None:
    pairs = [trial(1, 0.30, 0.50), trial(2, 0.32, 0.56)]
    _, outlook = RULE.decide(trial(3, 0.35), pairs)
    assert outlook is not None
    assert outlook.delta1 == pytest.approx(0.35 + 0.22)
    assert outlook.abs_rel == pytest.approx(0.3)
    prior = 4 * 2 * PRIOR_SD["delta1"] ** 2
    assert outlook.sd == pytest.approx(math.sqrt((prior + 2 * 0.02**2) / (4 + 2 - 1)))
    assert outlook.netscore == pytest.approx(
        Utility().score(outlook.delta1, outlook.abs_rel, trial(3, 0.35).cost)
    )
    assert 0.99 < outlook.p_feasible <= 1


def test_one_foreseen_infeasible_or_worse_than_the_finalists_does_not_go_on() -> None:
    others = [trial(1, 0.30, 0.55), trial(2, 0.20, 0.45)]
    hopeless, outlook = RULE.decide(trial(3, 0.05), others)
    assert not hopeless and outlook is not None and outlook.promise == 0
    worse, _ = RULE.decide(trial(4, 0.29), others)
    assert not worse
    better, _ = RULE.decide(trial(5, 0.40), others)
    assert better


def test_while_nothing_is_feasible_the_nearest_share_goes_on() -> None:
    """However far the requirement is: without final trainings nothing more could be learned."""
    others = [trial(1, 0.05, 0.10), *(trial(i, 0.05 + i / 1000) for i in range(2, 8))]
    nearest, outlook = RULE.decide(trial(20, 0.08), others)
    assert nearest and outlook is not None and outlook.p_feasible < 1e-9
    furthest, _ = RULE.decide(trial(21, 0.01), others)
    assert not furthest


def test_no_more_than_its_share_of_a_rung_goes_on() -> None:
    others = [trial(1, 0.30, 0.55)] + [trial(i, 0.40 + i / 100) for i in range(2, 9)]
    went = [RULE.decide(trial(20 + i, 0.40 + i / 100), others)[0] for i in range(10)]
    assert went == sorted(went)  # the better the reading, the likelier
    assert 0 < sum(went) < 10


def test_one_over_a_cap_never_goes_on_but_is_not_counted_as_a_rival() -> None:
    pairs = [trial(1, 0.30, 0.55)]
    assert RULE.decide(trial(2, 0.5, params=6000), pairs) == (False, None)
    large = [trial(10 + i, 0.6, params=6000) for i in range(8)]
    assert RULE.decide(trial(3, 0.4), pairs + large)[0]


@pytest.mark.parametrize("rung", [0.0, 1.0])
@pytest.mark.parametrize("abs_rel", [0.0, 0.3, 1.0, 5.0])
@pytest.mark.parametrize("form", ACCURACY_FORMS)
def test_an_outlook_without_a_score_is_none_and_all_others_can_be_stored(
    form: str, rung: float, abs_rel: float
) -> None:
    rule = replace(RULE, utility=Utility(accuracy=form))
    poor = trial(2, rung)
    accuracy = Accuracy(delta1=rung, abs_rel=abs_rel)
    poor = replace(poor, readings=(replace(poor.readings[0], accuracy=accuracy),))
    for final in (0.0, 0.6):
        pairs = [trial(1, 0.3, final)]
        for others in (pairs, [*pairs, poor]):
            _, outlook = rule.decide(replace(poor, number=3), others)
            if outlook is not None:
                canonical_json(outlook)  # refuses what is not finite
