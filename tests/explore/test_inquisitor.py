"""What the inquisitor makes of readings: gains of rungs, noise, predictions that are calibrated."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from made_up_world import CAPS, EVIDENCE, LEVELS, REQUIRED, SMALL, genomes, law, readings

from nano.design.presets import prototype
from nano.explore.inquisitor import Inquisitor, relevant, scores
from nano.explore.readings import Readings, collect, log_errors, metrics_of, with_fresh
from nano.explore.stages import Judge, confirmation, counted
from nano.records import Accuracy, Evaluation, Reading
from nano.score import Requirements, Utility

JUDGE = Judge(utility=Utility(), requirements=REQUIRED)


def evaluation(number: int, **stages: float) -> Evaluation:
    design = SMALL.design(tuple(genomes(1, seed=number)[0].tolist()))
    blank = counted(number, design, origin="x", seed=0, size=CAPS.size, judge=JUDGE)
    found = tuple(
        Reading(
            stage=stage.replace("_", " "),
            images=8,
            seconds=0.0,
            seed=0,
            accuracy=Accuracy(delta1=delta1, abs_rel=0.3),
        )
        for stage, delta1 in stages.items()
    )
    return replace(blank, stage=found[-1].stage, readings=found, accuracy=found[-1].accuracy)


def collected(*evaluations: Evaluation) -> Readings:
    return collect(evaluations, SMALL.expressed, "final", REQUIRED)


def test_every_rung_of_every_design_is_a_reading() -> None:
    found = collected(evaluation(0, rung_1=0.4, final=0.6), evaluation(1, final=0.5))
    assert found.logs[:, 0] == pytest.approx([math.log(0.6), math.log(0.4), math.log(0.5)])
    assert found.fidelity.level.tolist() == [1, 0, 0]
    assert found.numbers == (0, 0, 1)
    assert found.designs == 2
    assert found.last().numbers == (0, 1)


def test_levelled_readings_of_a_rung_are_as_good_on_average_as_final_ones() -> None:
    found = collected(evaluation(0, rung_1=0.4, final=0.6), evaluation(1, rung_1=0.5)).levelled()
    rung = found.fidelity.level == 1
    assert found.logs[rung, 0].mean() == pytest.approx(math.log(0.4))
    assert found.logs[rung, 0].max() - found.logs[rung, 0].min() == pytest.approx(
        math.log(0.6 / 0.5)
    )


def test_while_nothing_is_trained_to_the_end_nothing_is_known() -> None:
    assert len(collected(evaluation(0, rung_1=0.6), evaluation(1, rung_1=0.4))) == 0


def test_what_fresh_seeds_gave_is_one_final_reading_more() -> None:
    known = collected(evaluation(0, rung_1=0.4, final=0.6), evaluation(1, final=0.5))
    accuracy = Accuracy(delta1=0.5, abs_rel=0.3)
    reading = Reading(stage="confirmed", images=8, seconds=0.0, seed=1, accuracy=accuracy)
    fresh = confirmation(evaluation(0, final=0.6), [reading] * 3, JUDGE)
    found = with_fresh(known, [fresh])
    assert found.logs[3, 0] == pytest.approx(math.log(0.5))
    assert found.fidelity.count.tolist() == [1, 1, 1, 3]
    assert found.numbers == (0, 0, 1, 0)
    assert found.fidelity.start[3] not in found.fidelity.start[:3]


def test_of_very_many_readings_the_best_and_the_latest_are_kept() -> None:
    many = readings(genomes(40), 0.02)
    kept = relevant(many, at_most=20)
    assert len(kept) == 20
    assert set(range(30, 40)) <= set(kept.numbers)
    early = many.logs[:30, 0]
    assert set(np.argsort(early)[:10].tolist()) <= set(kept.numbers)


def test_a_training_that_failed_is_as_bad_as_the_worst_and_a_pruned_one_is_not() -> None:
    good, bad = evaluation(0, final=0.6), evaluation(1, final=0.3)
    diverged = replace(
        evaluation(2, final=0.5),
        readings=(Reading(stage="final", images=8, seconds=0.0, seed=0, reason="diverged"),),
        accuracy=None,
        reason="diverged",
    )
    dead = replace(
        evaluation(3, final=0.5), readings=(), accuracy=None, stage="initialised", reason="dead"
    )
    over = replace(dead, number=4, stage="counted")
    found = collected(good, bad, diverged, dead, over)
    assert found.numbers == (0, 1, 2, 3)
    assert found.logs[:, 0] == pytest.approx([math.log(x) for x in (0.4, 0.7, 0.7, 0.7)])
    assert len(collected(diverged, dead)) == 0


def test_a_design_that_the_genes_cannot_express_is_not_laid_on_another() -> None:
    narrow = prototype("depthnet-small", {f"growth.{i}": (2, 4) for i in (1, 2, 3, 4)})
    preset = replace(evaluation(0, final=0.6), design=SMALL.preset)
    assert narrow.expressed(SMALL.preset) is None
    assert len(collect([preset], narrow.expressed, "final", REQUIRED)) == 0


def test_every_required_metric_is_read_and_an_unknown_one_is_hopeless() -> None:
    asked = Requirements.parse({"rmse": "<= 3.5", "delta2": ">= 0.9", "params": "<= 60k"})
    assert metrics_of(asked) == ("delta1", "abs_rel", "delta2", "rmse")
    accuracy = Accuracy(delta1=0.5, abs_rel=0.3, rmse=3.0)
    logs = log_errors(accuracy, metrics_of(asked))
    assert logs == pytest.approx([math.log(x) for x in (0.5, 0.3, 1e3, 3.0)])


def test_perfect_and_hopeless_accuracies_have_finite_logs() -> None:
    assert all(math.isfinite(v) for v in log_errors(Accuracy(delta1=1.0, abs_rel=0.0)))
    assert log_errors(Accuracy(delta1=0.0, abs_rel=1.0)) == (0.0, 0.0)


def test_predictions_on_unseen_designs_order_them_and_know_how_sure_they_are() -> None:
    noise = 0.02
    inquisitor = Inquisitor(EVIDENCE, readings(genomes(96), noise))
    fresh = genomes(200, seed=9)
    foreseen = inquisitor.foresee(fresh)
    truth = law(fresh)[:, 0]
    assert np.corrcoef(foreseen.mean[:, 0], truth)[0, 1] > 0.9
    misses = np.abs(foreseen.mean[:, 0] - truth) / foreseen.sd[:, 0]
    assert 0.75 < np.mean(misses < 1.64) <= 1.0  # 90 % of a calibrated normal
    assert noise / 2 < inquisitor.noise < 2 * noise


def test_pending_designs_leave_the_means_alone_and_take_the_uncertainty_away() -> None:
    known, fresh = readings(genomes(24), 0.02), genomes(4, seed=5)
    before = Inquisitor(EVIDENCE, known).foresee(fresh)
    after = Inquisitor(EVIDENCE, known, pending=fresh).foresee(fresh)
    assert after.mean == pytest.approx(before.mean, abs=5e-3)
    assert (after.sd[:, 0] < before.sd[:, 0]).all()


def test_equal_histories_give_equal_predictions_bit_for_bit() -> None:
    fresh = genomes(5, seed=5)
    one, other = (
        Inquisitor(EVIDENCE, readings(genomes(20), 0.02)).foresee(fresh).mean for _ in "ab"
    )
    assert (one == other).all()


@pytest.mark.parametrize("form", ["d1*(1-abs_rel)", "d1/abs_rel", "harmonic"])
def test_scores_of_many_are_those_of_one(form: str) -> None:
    rows = genomes(6)
    cost = LEVELS.cost(rows)
    delta1, abs_rel = np.linspace(0.5, 0.9, 6), np.linspace(0.3, 0.1, 6)
    utility = Utility(accuracy=form)
    found = scores(utility, delta1, abs_rel, cost.params.astype(float), cost.macs.astype(float))
    for i in range(6):
        assert found[i] == pytest.approx(
            utility.score(float(delta1[i]), float(abs_rel[i]), cost.of(i))
        )
