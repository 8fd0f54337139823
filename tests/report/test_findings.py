"""What the records say is said: states, the answer, the reference, the distance to feasible."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from nano.records import Evaluation
from nano.report.findings import (
    chosen,
    gain_db,
    headline,
    misses,
    nearest,
    observed,
    reference,
    stage_counts,
    state,
    value_at,
)
from nano.report.page import page
from nano.report.run import Run, read_run
from nano.score import parse_requirement

Maker = Callable[..., Path]


@pytest.fixture
def run(make_run: Maker) -> Run:
    return read_run(make_run())


def first(run: Run, stage: str, wanted: str) -> Evaluation:
    return next(e for e in run.evaluations if e.stage == stage and state(e) == wanted)


def test_over_a_cap_is_pruned_and_dead_at_the_start_is_failed(run: Run) -> None:
    assert (first(run, "counted", "pruned").reason or "").startswith("over a cap")
    assert (first(run, "counted", "failed").reason or "").startswith("dead")


def test_diverged_is_failed_even_in_the_final_training(run: Run) -> None:
    diverged = first(run, "rung 2", "failed")
    assert "diverged" in (diverged.reason or "")
    assert state(replace(diverged, stage="final")) == "failed"


def test_foreseen_to_miss_is_pruned_before_any_training_too(run: Run) -> None:
    dead = first(run, "counted", "failed")
    assert state(replace(dead, predicted={"delta1": 0.1})) == "pruned"


def test_the_funnel_adds_up(run: Run) -> None:
    rows = stage_counts(run)
    assert [row.stage for row in rows] == ["counted", "rung 1", "rung 2", "final", "confirmed"]
    assert rows[0].reached == len(run.evaluations)
    for row, following in pairwise(rows[:4]):
        assert row.passed == following.reached


def test_the_answer_is_the_studys_own_choice(run: Run) -> None:
    feasible = [c for c in run.confirmations if c.feasible]
    assert len(feasible) > 1
    worst = min(feasible, key=lambda c: c.netscore or 0.0)
    named = replace(run, about={**run.about, "summary": {"best": {"key": worst.key}}})
    answer = chosen(named)
    assert answer is not None
    assert answer.key == worst.key


def test_a_choice_that_fails_the_test_is_not_replaced_by_a_luckier_one(run: Run) -> None:
    named = run.confirmations[0]
    failed = replace(named, feasible=False)
    others = (failed, *run.confirmations[1:])
    best = {"best": {"key": named.key}}
    judged = replace(run, confirmations=others, about={**run.about, "summary": best})
    assert any(c.feasible for c in others)
    assert chosen(judged) is None
    near = nearest(judged)
    assert near is not None
    assert near.key == named.key


def test_without_a_recorded_choice_the_best_confirmed_feasible_design_is_the_answer(
    run: Run,
) -> None:
    answer = chosen(replace(run, best_design=None))
    assert answer is not None
    assert answer.netscore == max(c.netscore or 0 for c in run.confirmations if c.feasible)


def test_the_gain_is_the_difference_of_confirmed_scores(run: Run) -> None:
    answer, against = chosen(run), reference(run)
    assert answer is not None
    assert against is not None
    assert answer.confirmed
    assert against.origin == "prototype"
    assert answer.netscore is not None
    assert against.netscore is not None
    assert gain_db(answer, against) == answer.netscore - against.netscore
    assert gain_db(answer, replace(against, seeds=0)) is None, "observed is not confirmed"
    assert gain_db(against, against) is None


def test_the_headline_has_the_numbers_and_the_comparison(run: Run) -> None:
    text = headline(run)
    assert "over 3 fresh seeds" in text
    assert "better than the reference preset at the same spend" in text


def test_another_spend_is_not_called_the_same(run: Run) -> None:
    doubled = tuple(
        replace(c, readings=tuple(replace(r, images=2 * r.images) for r in c.readings))
        if c.origin == "prototype"
        else c
        for c in run.confirmations
    )
    assert "at another spend" in headline(replace(run, confirmations=doubled))


def test_none_feasible_names_the_nearest_and_by_how_much_it_misses(make_run: Maker) -> None:
    run = read_run(make_run(hardness=0.1))
    near = nearest(run)
    assert chosen(run) is None
    assert near is not None
    others = [c for c in run.confirmations if c.origin != "prototype"]
    assert near.margins["delta1"] == min(c.margins["delta1"] for c in others)
    short = f"misses 0.850 by {near.margins['delta1']:.3f}"
    assert short in headline(run)


def unmet(run: Run, *evaluations: Evaluation) -> Run:
    """A search that ended with these, of which none is feasible."""
    started = tuple(replace(e, origin="generator", feasible=False) for e in evaluations)
    return replace(run, evaluations=started, confirmations=(), best_design=None, about={})


def test_nearest_is_one_trained_to_the_end_though_a_short_training_seems_nearer(run: Run) -> None:
    short = first(run, "rung 1", "pruned")
    long = replace(first(run, "final", "complete"), margins={"params": -0.1, "delta1": 0.2})
    near = nearest(unmet(run, short, long))
    assert near is not None and near.number == long.number
    assert "training images" not in headline(unmet(run, short, long))


def test_a_short_training_is_told_with_its_spend(run: Run) -> None:
    ended = unmet(run, first(run, "rung 1", "pruned"))
    assert ", read after 1,600 training images, rung 1): delta1 0." in headline(ended)
    note = "It was read after 1,600 training images, rung 1: requirements on accuracy are meant"
    assert note in page(ended)


def test_the_accuracy_of_a_design_that_was_never_trained_is_not_called_0(run: Run) -> None:
    over = first(run, "counted", "pruned")
    margins = {**over.margins, "delta1": 0.75}  # as a search counts what nobody measured
    text = headline(unmet(run, replace(over, margins=margins)))
    assert ", never trained): delta1 was never known; params " in text


def test_a_requirement_met_without_its_safety_is_told_so(run: Run) -> None:
    feasible = next(e for e in run.evaluations if e.feasible)
    asked = parse_requirement("delta1", ">= 0.75 + 0.005")
    almost = replace(observed(feasible), margins={"delta1": -0.002})
    assert misses(almost, [asked]) == ["delta1 meets 0.750, but not with the safety of 0.005"]
    assert misses(replace(almost, seeds=3), [asked]) == []


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [("delta1", ">= 0.89", 0.861), ("params", "<= 2M", 2.5e6), ("macs", "<= 4.66G", 1e9)],
)
def test_a_margin_turned_round_is_the_value(name: str, text: str, value: float) -> None:
    requirement = parse_requirement(name, text)
    assert value_at(requirement, requirement.margin(value)) == pytest.approx(value)


def test_an_empty_run_says_so(make_run: Maker) -> None:
    assert headline(read_run(make_run(trials=0))) == "No design has been evaluated yet."


def test_one_unconfirmed_trial_is_called_observed(make_run: Maker) -> None:
    text = headline(read_run(make_run(trials=1, confirm=0)))
    assert "observed once, not confirmed" in text
