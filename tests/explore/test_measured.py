"""Measuring within a search: queue, cache and faults, with a measurement that is made up."""

import math
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from optuna.trial import TrialState
from toy_study import Toy

from nano.bench.host import GivenUp
from nano.bench.once import Task
from nano.bench.turns import Turns
from nano.cost.count import count
from nano.design.design import Design
from nano.design.presets import preset
from nano.errors import DeviceFailed, InputError
from nano.explore import gauge as gauge_module
from nano.explore.folder import RunFolder
from nano.explore.gauge import ATTEMPTS, Gauge
from nano.explore.here import Device, Here
from nano.explore.speed import ENOUGH, speed
from nano.explore.stages import Judge, Lab, confirmation, counted, known, objective
from nano.explore.storage import trial_state
from nano.explore.trainer import Job, Outcome
from nano.files import to_plain, write_json
from nano.front import costs, front
from nano.networks.catalog import load_architecture
from nano.records import Accuracy, Evaluation, Measurement, Reading
from nano.report.findings import state
from nano.score import Requirements, Utility
from nano.train.loop import Stopped

SIZE = (32, 96)
TINY = preset("depthnet-tiny")


def measurement(
    ms: float, disturbed: tuple[str, ...] = (), joules: float | None = None
) -> Measurement:
    return Measurement(
        key="",
        device="made up",
        precision="float32",
        size=SIZE,
        p50_ms=ms,
        p90_ms=ms,
        p99_ms=ms,
        fps=1000 / ms,
        when="2000-01-01T00:00:00+00:00",
        joules=joules,
        disturbed=disturbed,
        notes=() if joules else ("energy not measured: made up",),
    )


@dataclass
class MadeUp:
    """Answers in order, the last one for ever; remembers its tasks."""

    answers: list[Measurement | Exception]
    tasks: list[Task] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0

    def __call__(
        self,
        task: Task,
        key: str,
        repeats: int,
        *,
        turn: Callable[[], AbstractContextManager[object]],
        stop: Callable[[], bool],
    ) -> Measurement:
        self.tasks.append(task)
        with turn():
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
            answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
            self.at_once -= 1
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(gauge_module, "_FIRST_WAIT_S", 0.001)
    yield


def gauge(folder: Path, made_up: MadeUp, wait_s: float = 0.02, **device: object) -> Gauge:
    settings = {"kind": "cpu"} | device
    here = Here(
        device=Device(**settings),  # type: ignore[arg-type]
        size=SIZE,
        turns=Turns(folder=folder / "turns"),
        run=made_up,
        name=lambda kind: f"a {kind}",
    )
    return Gauge(instrument=here, cache=folder / "measurements", wait_s=wait_s)


def never() -> bool:
    return False


# --- the gauge -----------------------------------------------------------------------------------


def test_a_design_is_measured_once_for_all_studies(tmp_path: Path) -> None:
    made_up = MadeUp([measurement(12.0)])
    first = gauge(tmp_path, made_up)(TINY, never)
    again = gauge(tmp_path, made_up)(TINY, never)
    assert first == again and first.key == TINY.key
    assert len(made_up.tasks) == 1


@pytest.mark.parametrize(
    "other", [{"threads": 2}, {"runtime": "compile"}, {"kind": "cuda"}, {"batch": 8}], ids=str
)
def test_another_setting_is_measured_anew(tmp_path: Path, other: dict[str, Any]) -> None:
    made_up = MadeUp([measurement(12.0)])
    gauge(tmp_path, made_up)(TINY, never)
    gauge(tmp_path, made_up, **other)(TINY, never)
    assert len(made_up.tasks) == 2


def test_other_versions_are_measured_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made_up = MadeUp([measurement(12.0)])
    gauge(tmp_path, made_up)(TINY, never)
    monkeypatch.setattr("nano.explore.here.runtime_versions", lambda runtime: {"torch": "99"})
    gauge(tmp_path, made_up)(TINY, never)
    assert len(made_up.tasks) == 2


def test_a_damaged_file_is_measured_anew(tmp_path: Path) -> None:
    made_up = MadeUp([measurement(12.0)])
    one = gauge(tmp_path, made_up)
    one(TINY, never)
    one.place(TINY).write_text('{"key": ')
    assert one(TINY, never).p50_ms == 12.0
    assert len(made_up.tasks) == 2


def test_a_machine_that_is_not_quiet_is_measured_again_and_not_kept(tmp_path: Path) -> None:
    noisy = [measurement(ms, ("others",)) for ms in (15.0, 13.0)]
    made_up = MadeUp([*noisy, measurement(12.0)])
    one = gauge(tmp_path, made_up)
    found = one(TINY, never)
    assert (found.p50_ms, found.disturbed) == (13.0, ("others",))
    assert len(made_up.tasks) == ATTEMPTS and not one.place(TINY).exists()
    assert one(TINY, never).disturbed == () and one.place(TINY).exists()


@pytest.mark.parametrize("ms", [math.nan, math.inf, 0.0, -1.0])
def test_times_that_cannot_be_are_a_device_that_failed(tmp_path: Path, ms: float) -> None:
    told = replace(measurement(12.0), p50_ms=ms)
    one = gauge(tmp_path, MadeUp([told]), wait_s=0.0)
    with pytest.raises(DeviceFailed, match=r"a?made up told values that cannot be"):
        one(TINY, never)
    assert not one.place(TINY).exists()


def test_a_counter_that_stands_still_is_no_energy(tmp_path: Path) -> None:
    told = replace(measurement(12.0), joules=0.0)
    with pytest.raises(DeviceFailed, match="'joules': 0"):
        gauge(tmp_path, MadeUp([told]), wait_s=0.0)(TINY, never)


def test_a_kept_time_that_cannot_be_is_measured_anew(tmp_path: Path) -> None:
    one = gauge(tmp_path, MadeUp([measurement(12.0)]))
    write_json(one.place(TINY), to_plain(replace(measurement(12.0), p50_ms=-1.0)))
    assert one(TINY, never).p50_ms == 12.0


def test_a_device_that_comes_back_is_waited_for(tmp_path: Path, no_waiting: None) -> None:
    made_up = MadeUp([DeviceFailed("lost"), DeviceFailed("lost"), measurement(12.0)])
    assert gauge(tmp_path, made_up, wait_s=60.0)(TINY, never).p50_ms == 12.0


def test_a_device_that_stays_away_is_given_up(tmp_path: Path, no_waiting: None) -> None:
    with pytest.raises(DeviceFailed, match="lost"):
        gauge(tmp_path, MadeUp([DeviceFailed("lost")]))(TINY, never)


@pytest.mark.parametrize("answer", [GivenUp(), DeviceFailed("lost")], ids=["measuring", "waiting"])
def test_who_is_asked_to_stop_stops(tmp_path: Path, answer: Exception) -> None:
    with pytest.raises(Stopped):
        gauge(tmp_path, MadeUp([answer]), wait_s=600.0)(TINY, lambda: True)


def test_many_workers_queue_for_the_device(tmp_path: Path) -> None:
    made_up = MadeUp([measurement(12.0, ("never kept",))])
    threads = [
        threading.Thread(target=partial(gauge(tmp_path, made_up), TINY, never)) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made_up.tasks) == 4 * ATTEMPTS and made_up.most_at_once == 1


# --- the stage -----------------------------------------------------------------------------------


class Trains:
    """A trainer that always reaches the same."""

    def __init__(self) -> None:
        self.jobs: list[Job] = []

    def probe(self, design: object, seed: int) -> str | None:
        return None

    def run(self, job: Job, stop: Callable[[], bool]) -> Outcome:
        self.jobs.append(job)
        accuracy = Accuracy(delta1=0.6, abs_rel=0.3)
        return Outcome(accuracy=accuracy, images=job.images, seconds=0.1)


def judge(trade_off: tuple[str, ...] = (), **bounds: str) -> Judge:
    requirements = Requirements.parse(bounds or {"latency_ms": "<= 20 - 1"})
    return Judge(utility=Utility(trade_off=trade_off), requirements=requirements)


def through(folder: Path, answer: Measurement | Exception, by: Judge) -> tuple[Evaluation, Trains]:
    def measure(design: object, stop: Callable[[], bool]) -> Measurement:
        if isinstance(answer, Exception):
            raise answer
        return answer

    trainer = Trains()
    lab = Lab(
        trainer=trainer,
        judge=by,
        decide=lambda evaluation: (True, None),
        stop=never,
        folder=RunFolder(path=folder),
        seed=0,
        trainings=(("final", 8),),
        measure=measure,
    )
    start = counted(0, TINY, origin="x", seed=0, size=SIZE, judge=by)
    return objective(start, lab), trainer


def test_what_is_fast_enough_is_trained_and_feasible(tmp_path: Path) -> None:
    done, trainer = through(tmp_path, measurement(18.0), judge())
    assert done.feasible and len(trainer.jobs) == 1
    assert done.margins == {"latency_ms": pytest.approx(-0.1)}
    fresh = Reading(stage="confirmed", images=8, seconds=1.0, seed=1, accuracy=done.accuracy)
    assert confirmation(done, [fresh], judge()).feasible


@pytest.mark.parametrize("ms", [19.5, 30.0], ids=["within the bound, not the safety", "beyond"])
def test_what_is_too_slow_is_never_trained(tmp_path: Path, ms: float) -> None:
    done, trainer = through(tmp_path, measurement(ms), judge())
    assert trainer.jobs == [] and not done.feasible
    assert done.stage == "measured" and done.too_dear
    told = f"over on the device: latency_ms <= 20 - 1 asked, {ms:g} measured"
    assert done.reason == told
    assert trial_state(done) == TrialState.PRUNED  # with its margin, samplers learn from it
    assert done.margins["latency_ms"] == pytest.approx((ms - 20) / 20)


@pytest.mark.parametrize("error", [DeviceFailed("lost"), InputError("no such operator")])
def test_what_was_not_measured_is_never_feasible(tmp_path: Path, error: Exception) -> None:
    done, trainer = through(tmp_path, error, judge())
    assert trainer.jobs == [] and not done.feasible
    assert done.reason == f"not measured: {error}"
    assert done.margins["latency_ms"] > 0
    assert trial_state(done) == TrialState.FAIL and state(done) == "failed"


@pytest.mark.parametrize("by", [judge(joules="<= 1"), judge(("joules",), fps=">= 1")])
def test_energy_that_nothing_measures_is_never_feasible(tmp_path: Path, by: Judge) -> None:
    done, trainer = through(tmp_path, measurement(10.0), by)
    assert trainer.jobs == [] and not done.feasible
    assert done.reason == "not measured: joules: energy not measured: made up"


def test_a_record_from_before_its_measurement_is_not_feasible() -> None:
    start = counted(0, TINY, origin="x", seed=0, size=SIZE, judge=judge())
    accuracy = Accuracy(delta1=0.9, abs_rel=0.1)
    assert not judge().judged(replace(start, stage="final", accuracy=accuracy)).feasible


# --- a cost beside the score ---------------------------------------------------------------------


def measured_design(number: int, ms: float, joules: float | None = None) -> Evaluation:
    design = replace(TINY, stem=replace(TINY.stem, width=8 + number))
    found = Evaluation(
        number=number,
        design=design,
        size=SIZE,
        cost=count(design, SIZE),
        stage="final",
        origin="x",
        seed=0,
        measurements=(measurement(ms, joules=joules),),
        netscore=10.0 + number,
        feasible=True,
    )
    assert known(found)["latency_ms"] == ms
    return found


def test_the_front_is_over_what_was_measured() -> None:
    some = [measured_design(0, 5.0), measured_design(1, 9.0), measured_design(2, 7.0)]
    assert [one.number for one in front(some, ["latency_ms"])] == [2, 0]
    assert costs(some[0], ["latency_ms", "joules"]) == (5.0, np.inf)


def test_latency_is_foreseen_from_costs() -> None:
    designs = [measured_design(n, 1.0) for n in range(12)]
    made = [
        replace(e, measurements=(measurement(1e-3 * e.cost.activations**0.8),)) for e in designs
    ]
    assert speed(made[: ENOUGH - 1], "latency_ms") is None
    learned = speed(made[::2], "latency_ms")
    assert learned is not None and speed(made, "joules") is None
    rest = {
        name: np.array([e.cost.values()[name] for e in made[1::2]], np.float64)
        for name in made[0].cost.values()
    }
    wanted = [e.measurements[0].p50_ms for e in made[1::2]]
    assert learned.foresee(rest) == pytest.approx(wanted, rel=0.05)


# --- a whole study -------------------------------------------------------------------------------


@pytest.fixture
def timed(toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Toy:
    """A toy study with a bound on latency and a cache of its own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    text = toy.study.read_text().replace('params = "<= 4900"', 'latency_ms = "<= 5"')
    toy.study.write_text(f'{text}\n[device]\nkind = "cpu"\nwait_minutes = 0\n')
    return toy


def test_a_study_with_a_latency(timed: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    """Made up: a microsecond a parameter, so that some designs are too slow."""

    def by_size(task: Task, key: str, repeats: int, **_: object) -> Measurement:
        design = load_architecture(task.model)
        assert isinstance(design, Design)
        return measurement(count(design, SIZE).params / 1000)

    monkeypatch.setattr("nano.explore.lab.Here", partial(Here, run=by_size))
    ended = timed("--trials", "12")
    assert ended.code in (0, 3), ended.err
    found = timed.evaluations()
    slow = [e for e in found if e.measurements[-1].p50_ms > 5]
    assert slow and len(slow) < len(found)
    assert all(e.too_dear and not e.readings and not e.feasible for e in slow)
    assert all(e.readings for e in found if e not in slow)
    assert {row["latency_ms"] != "" for row in timed.rows()} == {True}


def test_a_study_is_not_resumed_on_another_device(
    timed: Toy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor are more workers added there: what two devices say cannot be compared."""

    def on(device: str, torch: str) -> None:
        told = replace(measurement(3.0), device=device, versions={"torch": torch})
        made = partial(Here, run=MadeUp([told]), name=lambda kind: device)
        monkeypatch.setattr("nano.explore.lab.Here", made)
        monkeypatch.setattr("nano.explore.here.runtime_versions", lambda runtime: {"torch": torch})

    on("one processor", "2.12")
    assert timed("--trials", "3").code in (0, 3)
    on("another processor", "2.12")
    for arguments in (("--trials", "4"), ("--trials", "4", "--join")):
        ended = timed(*arguments)
        assert ended.code == 2
        assert "device one processor, now another processor" in ended.err
    assert len(timed.evaluations()) == 3
    on("one processor", "2.13")
    ended = timed("--trials", "4")
    assert ended.code in (0, 3) and len(timed.evaluations()) == 4
    assert "other versions: torch 2.12, now 2.13" in ended.err


def test_a_study_whose_device_is_away_ends_and_says_why(
    timed: Toy, monkeypatch: pytest.MonkeyPatch
) -> None:
    made_up = MadeUp([DeviceFailed("the device is lost")])
    monkeypatch.setattr("nano.explore.lab.Here", partial(Here, run=made_up))
    ended = timed()
    assert ended.code == 2
    assert "the first 3 designs all failed" in ended.err and "the device is lost" in ended.err
    assert timed.calls() == []
