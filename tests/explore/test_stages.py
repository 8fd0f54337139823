"""A design's way through the stages, with a trainer that is told what to answer."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from nano.design.design import Design
from nano.design.presets import preset
from nano.errors import Diverged
from nano.explore.findings import Findings, chosen, finalists
from nano.explore.folder import RunFolder
from nano.explore.stages import (
    Judge,
    Lab,
    confirm_once,
    confirmation,
    counted,
    objective,
    start_seed,
)
from nano.explore.trainer import Job, Outcome
from nano.records import Accuracy, Confirmation, Evaluation, Reading
from nano.score import Requirements, Utility
from nano.train.loop import CurvePoint, Stopped

SIZE = (32, 96)
JUDGE = Judge(
    utility=Utility(),
    requirements=Requirements.parse({"delta1": ">= 0.5 + 0.01", "params": "<= 5k"}),
)
GOOD = Accuracy(delta1=0.6, abs_rel=0.3)
TRAININGS = (("rung 1", 8), ("rung 2", 16), ("final", 32))


@dataclass
class Told:
    """A trainer that answers what it was told to, and remembers what it was asked."""

    answers: dict[str, Any] = field(default_factory=dict)
    dead: str | None = None
    jobs: list[Job] = field(default_factory=list)
    probes: int = 0

    def probe(self, design: Design, seed: int) -> str | None:
        self.probes += 1
        return self.dead

    def run(self, job: Job, stop: Callable[[], bool]) -> Outcome:
        self.jobs.append(job)
        job.checkpoint.parent.mkdir(parents=True, exist_ok=True)
        job.checkpoint.write_bytes(b"a checkpoint")
        answer = self.answers.get(job.stage, GOOD)
        if isinstance(answer, Exception):
            raise answer
        points = [CurvePoint(step=2, images=4, loss=0.5, learning_rate=0.1)]
        return Outcome(accuracy=answer, images=job.images, seconds=2.0, curve=tuple(points))


@dataclass
class Decided:
    """Answers after rungs, in order; yes when there are none left."""

    answers: list[tuple[bool, Mapping[str, float] | None]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def __call__(self, evaluation: Evaluation) -> tuple[bool, Mapping[str, float] | None]:
        self.asked.append(evaluation.stage)
        return self.answers.pop(0) if self.answers else (True, None)


def lab(folder: Path, trainer: Told, decide: Decided | None = None, **more: Any) -> Lab:
    return Lab(
        trainer=trainer,
        judge=JUDGE,
        decide=decide or Decided(),
        stop=lambda: False,
        folder=RunFolder(path=folder),
        seed=7,
        trainings=more.get("trainings", TRAININGS),
    )


def timeless(evaluation: Evaluation) -> Evaluation:
    readings = tuple(replace(reading, cpu_seconds=0.0) for reading in evaluation.readings)
    return replace(evaluation, seconds=0.0, readings=readings)


@pytest.fixture
def start() -> Evaluation:
    return counted(
        3, preset("depthnet-tiny"), origin="tpe", seed=5, size=SIZE, judge=replace(JUDGE)
    )


def test_a_design_is_counted_probed_and_trained_in_every_rung(
    tmp_path: Path, start: Evaluation
) -> None:
    trainer, decide = Told(), Decided()
    done = objective(start, lab(tmp_path, trainer, decide))
    assert [(job.stage, job.images) for job in trainer.jobs] == list(TRAININGS)
    assert decide.asked == ["rung 1", "rung 2"]
    assert trainer.probes == 1
    assert {job.seed for job in trainer.jobs} == {start_seed(7, start)}
    assert (done.stage, done.feasible, done.reason) == ("final", False, None)  # 5053 parameters
    assert done.margins["params"] == pytest.approx((done.cost.params - 5000) / 5000)
    assert [reading.stage for reading in done.readings] == ["rung 1", "rung 2", "final"]
    assert done.spend_images == 56 and done.seconds >= 6.0
    assert RunFolder(path=tmp_path).evaluation(3) == done
    assert not any((tmp_path / "checkpoints").iterdir())
    with (tmp_path / "trials" / "0003" / "curve.csv").open(newline="") as file:
        assert [row["stage"] for row in csv.DictReader(file)] == ["rung 1", "rung 2", "final"]


def test_a_design_that_is_dead_at_the_start_is_never_trained(
    tmp_path: Path, start: Evaluation
) -> None:
    trainer = Told(dead="all outputs are zero")
    done = objective(start, lab(tmp_path, trainer))
    assert trainer.jobs == []
    assert (done.stage, done.reason) == (
        *("initialised", "not alive at the start: all outputs are zero"),
    )
    assert not done.feasible and done.netscore is None
    assert done.margins["delta1"] == 0.5  # missed by all of it


def test_one_that_is_not_among_the_best_ends_at_its_rung(tmp_path: Path, start: Evaluation) -> None:
    trainer = Told()
    foreseen = {"delta1": 0.4, "abs_rel": 0.5}
    decide = Decided([(True, None), (False, foreseen)])
    done = objective(start, lab(tmp_path, trainer, decide))
    assert [job.stage for job in trainer.jobs] == ["rung 1", "rung 2"]
    assert (done.stage, done.reason) == ("rung 2", "not among the best of rung 2")
    assert done.predicted == foreseen and not done.feasible


@pytest.mark.parametrize("stage", ["rung 1", "final"])
def test_one_that_diverges_is_told_so_and_is_not_feasible(
    tmp_path: Path, start: Evaluation, stage: str
) -> None:
    trainer = Told({stage: Diverged("the loss is nan")})
    done = objective(start, lab(tmp_path, trainer))
    assert (done.stage, done.reason) == (stage, "diverged: the loss is nan")
    assert done.readings[-1].reason == done.reason and done.readings[-1].accuracy is None
    assert not done.feasible
    assert RunFolder(path=tmp_path).evaluation(3) == done


def test_one_without_a_score_ends_with_a_reason(tmp_path: Path, start: Evaluation) -> None:
    done = objective(start, lab(tmp_path, Told({"final": Accuracy(delta1=0.0, abs_rel=0.3)})))
    assert done.netscore is None and not done.feasible
    assert done.reason == "no NetScore: its accuracy is not above zero"


# --- interruptions -------------------------------------------------------------------------------


@pytest.mark.parametrize("stage", ["rung 1", "rung 2", "final"])
def test_an_interrupted_training_is_taken_up_and_earlier_ones_are_not_repeated(
    tmp_path: Path, start: Evaluation, stage: str
) -> None:
    whole = objective(start, lab(tmp_path / "whole", Told()))
    run = tmp_path / "run"
    with pytest.raises(Stopped):
        objective(start, lab(run, Told({stage: Stopped("asked to")})))
    assert [path.name.split("-", 1)[1] for path in (run / "checkpoints").iterdir()] == [
        f"{stage.replace(' ', '-')}-0.pt"
    ]
    kept = RunFolder(path=run).evaluation(3)
    trainer = Told()
    done = objective(kept or start, lab(run, trainer))
    stages = [name for name, _ in TRAININGS]
    assert [job.stage for job in trainer.jobs] == stages[stages.index(stage) :]
    assert trainer.probes == (stage == "rung 1")  # what was trained was alive
    assert timeless(done) == timeless(whole)


def test_a_kill_between_the_record_and_the_removal_of_its_checkpoint_repeats_nothing(
    tmp_path: Path, start: Evaluation, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = objective(start, lab(tmp_path / "whole", Told()))
    unlink = Path.unlink

    def killed(path: Path, missing_ok: bool = False) -> None:
        if path.suffix == ".pt":
            raise KeyboardInterrupt
        unlink(path, missing_ok)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", killed)
        with pytest.raises(KeyboardInterrupt):
            objective(start, lab(tmp_path / "run", Told()))
    kept = RunFolder(path=tmp_path / "run").evaluation(3)
    assert kept is not None and [reading.stage for reading in kept.readings] == ["rung 1"]
    trainer = Told()
    done = objective(kept, lab(tmp_path / "run", trainer))
    assert [job.stage for job in trainer.jobs] == ["rung 2", "final"]
    assert timeless(done) == timeless(whole)
    assert not any((tmp_path / "run" / "checkpoints").iterdir())


def test_what_was_foreseen_before_a_kill_is_forgotten_when_it_goes_on(
    tmp_path: Path, start: Evaluation
) -> None:
    """Told would be the margins of a prophecy, in place of those that were measured."""
    ended = objective(
        start, lab(tmp_path, Told(), Decided([(False, {"delta1": 0.1, "abs_rel": 0.9})]))
    )
    assert ended.predicted is not None
    done = objective(ended, lab(tmp_path, Told()))  # killed before it was told; decided anew
    assert done.stage == "final" and done.predicted is None and done.reason is None


# --- confirming ----------------------------------------------------------------------------------


def test_a_finalist_is_confirmed_with_a_fresh_start_and_a_fresh_order(
    tmp_path: Path, start: Evaluation
) -> None:
    trainer = Told()
    for index in range(2):
        reading = confirm_once(start, index, 32, lab(tmp_path, trainer))
        assert reading.stage == "confirmed" and reading.images == 32
    assert len({start_seed(7, start), *(job.seed for job in trainer.jobs)}) == 3
    assert [job.order for job in trainer.jobs] == [0, 1]
    assert all(job.confirming for job in trainer.jobs)
    kept = RunFolder(path=tmp_path).confirm_readings(start.key, 3)
    assert set(kept) == {0, 1}


def readings(*delta1: float | None) -> list[Reading]:
    return [
        Reading(
            stage="confirmed",
            images=32,
            seconds=1.0,
            seed=i,
            accuracy=None if value is None else Accuracy(delta1=value, abs_rel=0.3),
            validation=None if value is None else Accuracy(delta1=value - 0.1, abs_rel=0.3),
            reason="diverged: nan" if value is None else None,
        )
        for i, value in enumerate(delta1)
    ]


def small(start: Evaluation, number: int, **more: Any) -> Evaluation:
    cost = replace(start.cost, params=4000)
    return JUDGE.judged(replace(start, number=number, cost=cost, **more))


def test_a_confirmation_is_the_mean_over_its_seeds(start: Evaluation) -> None:
    done = confirmation(small(start, 3), readings(0.5, 0.6, 0.7), JUDGE)
    assert done.accuracy is not None and done.accuracy.delta1 == pytest.approx(0.6)
    assert done.delta1_sd == pytest.approx(0.1)  # n - 1
    assert done.validation is not None and done.validation.delta1 == pytest.approx(0.5)
    assert done.feasible and done.margins["delta1"] == pytest.approx(-0.1)
    # The bound itself must hold for the mean; the safety belongs to the search.
    assert confirmation(small(start, 3), readings(0.5, 0.501), JUDGE).feasible
    assert not confirmation(small(start, 3), readings(0.499, 0.5), JUDGE).feasible
    assert confirmation(small(start, 3), readings(0.6), JUDGE).delta1_sd is None


def test_one_diverged_seed_and_nothing_is_claimed(start: Evaluation) -> None:
    done = confirmation(small(start, 3), readings(0.9, None), JUDGE)
    assert not done.feasible and done.accuracy is None and done.netscore is None
    assert chosen([done], JUDGE) is None


def test_the_choice_is_made_by_validation_and_only_judged_by_the_test_split(
    start: Evaluation,
) -> None:
    def made(number: int, test: float, validation: float) -> Confirmation:
        base = confirmation(small(start, number), readings(test, test), JUDGE)
        seen = Accuracy(delta1=validation, abs_rel=0.3)
        return replace(base, validation=seen)

    lucky, better, failed = made(1, 0.9, 0.6), made(2, 0.55, 0.7), made(3, 0.4, 0.9)
    assert chosen([lucky, better, failed], JUDGE) == better


def finished(start: Evaluation, number: int, delta1: float, stage: str = "final") -> Evaluation:
    design = replace(start.design, stem=replace(start.design.stem, width=4 + number))
    accuracy = Accuracy(delta1=delta1, abs_rel=0.3)
    return small(start, number, stage=stage, design=design, accuracy=accuracy)


def test_finalists_are_the_feasible_ones_with_the_best_score(start: Evaluation) -> None:
    evaluations = [finished(start, i, d) for i, d in enumerate((0.55, 0.4, 0.7, 0.6, 0.505))]
    by_two, by_nine = finalists(evaluations, 2), finalists(evaluations, 9)
    # 0.505 lacks the safety
    assert [e.number for e in by_two] == [2, 3]
    assert [e.number for e in by_nine] == [2, 3, 0]


def test_without_a_claim_the_exit_code_is_3(start: Evaluation) -> None:
    evaluations = (finished(start, 1, 0.3),)
    found = Findings(evaluations=evaluations, confirmations=(), kept=(), best=None, trials=3)
    assert found.exit_code == 3
    assert "best" not in found.summary()


def test_a_score_that_is_not_finite_is_none(start: Evaluation) -> None:
    for accuracy in (Accuracy(delta1=0.0, abs_rel=0.3), Accuracy(delta1=0.5, abs_rel=1.5)):
        assert JUDGE.netscore(accuracy, start) is None
    assert math.isfinite(JUDGE.netscore(GOOD, start) or math.nan)
