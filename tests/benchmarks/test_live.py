"""The search benchmark on real trainings."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from benchmarks.search import live
from benchmarks.search.problem import FINAL
from benchmarks.search.replay import replay
from nano.design.design import Design
from nano.errors import Diverged
from nano.explore.study import StudyFile
from nano.explore.trainer import Outcome
from nano.records import Accuracy
from nano.score import Requirement
from nano.seeds import derive_seed


@pytest.fixture
def problem(monkeypatch: pytest.MonkeyPatch) -> live.Live:
    """The quick study's, where training is a formula: test scenes are easier."""

    def train(
        trainer: object, design: Design, stage: str, images: int, *, seed: int, **job: Any
    ) -> Outcome:
        if seed == derive_seed("live", 0, 13):
            raise Diverged("loss is nan")
        luck = seed % 1000 * 1e-6
        delta1 = 0.6 + design.bridge * 1e-4 + luck
        validation = Accuracy(delta1=delta1, abs_rel=1 - delta1)
        test = Accuracy(delta1=delta1 + 0.1, abs_rel=0.9 - delta1)
        return Outcome(
            accuracy=test if job["confirming"] else validation,
            validation=validation if job["confirming"] else None,
            images=images,
            seconds=0.0,
        )

    def trainer_of(text: str) -> tuple[StudyFile | None, None]:
        return None, None

    monkeypatch.setattr(live, "prepare_sets", lambda *args, **more: None)
    monkeypatch.setattr(live, "trainer_of", trainer_of)
    monkeypatch.setattr(live, "train", train)
    return live.instance(0)


def test_the_search_reads_validation_and_the_truth_is_of_the_test_scenes(
    problem: live.Live,
) -> None:
    preset = problem.caps.prototype.preset
    delta1, _ = problem.read(preset, FINAL, 0)
    assert problem.read(preset, FINAL, 0)[0] == delta1 != problem.read(preset, FINAL, 1)[0]
    assert problem.truth(preset)[0] == pytest.approx(delta1 + 0.1, abs=1e-3)


def test_it_is_searched_and_concluded_as_the_quick_study(problem: live.Live) -> None:
    stages = problem.study.stages
    assert problem.trainings == problem.study.trainings()
    assert (problem.rules.keep, problem.rules.finalists) == (stages.keep, stages.confirm.designs)
    bound = _required(problem)
    assert _required(live.instance(0, 0.004)) == replace(bound, safety=0.004)


def test_a_training_that_breaks_off_predicts_nothing(problem: live.Live) -> None:
    assert problem.read(problem.caps.prototype.preset, FINAL, 13) == (0.0, 1.0)


def test_a_run_ends_by_spend_and_looks_once(problem: live.Live) -> None:
    macs = problem.caps.cost(problem.caps.prototype.preset).macs
    unit = float(problem.trainings[-1][1]) * macs
    record = replay(problem, "copies", 0, spend=3 * unit)
    assert len(record.checkpoints) == 1
    assert 3 * unit <= record.spends[-1] < 4.5 * unit
    assert record.checkpoints[-1].feasible


def _required(problem: live.Live) -> Requirement:
    item = problem.caps.requirements.get("delta1")
    assert item is not None
    return item
