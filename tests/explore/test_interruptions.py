"""Ctrl-C, SIGTERM and kill -9, in processes as a person has them; nothing is lost or doubled."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import pytest
from optuna.trial import TrialState
from toy_study import Toy, wait_until, workers_of

from nano.files import read_json

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(toy: Toy) -> Iterator[Start]:
    """Start the toy study as a process; whatever still runs in the end is ended."""
    started = []

    def begun(*more: str, workers: int = 1) -> subprocess.Popen[str]:
        started.append(toy.start(*more, workers=workers))
        return started[-1]

    yield begun
    for process in started:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def whole(toy: Toy, trials: int = 8) -> None:
    """Every trial is there, once, and complete, in the storage and in what is derived from it."""
    stored = toy.trials()
    assert [trial.number for trial in stored] == list(range(trials))
    assert all(trial.state.is_finished() for trial in stored)
    evaluations = toy.evaluations()
    assert [e.number for e in evaluations] == list(range(trials))
    assert len({e.key for e in evaluations}) == trials
    rows = toy.rows()
    assert [row["number"] for row in rows] == [str(number) for number in range(trials)]
    assert [row["key"] for row in rows] == [e.key for e in evaluations]
    for trial in stored:
        assert set(trial.constraints) == {"params", "delta1"}
    assert not list(toy.run.rglob("*.part"))


@pytest.fixture(scope="module")
def undisturbed(finished: tuple[Toy, object]) -> list[tuple[object, ...]]:
    return [(e.key, e.stage, e.netscore, e.reason) for e in finished[0].evaluations()]


def same(toy: Toy, undisturbed: list[tuple[object, ...]]) -> None:
    assert [(e.key, e.stage, e.netscore, e.reason) for e in toy.evaluations()] == undisturbed


@pytest.mark.slow
@pytest.mark.parametrize("asked", [signal.SIGINT, signal.SIGTERM])
def test_asked_to_stop_once_it_ends_in_order_and_the_same_command_goes_on(
    toy: Toy, start: Start, undisturbed: list[tuple[object, ...]], asked: signal.Signals
) -> None:
    toy.takes(0.3)
    process = start()
    wait_until(lambda: len(toy.calls()) == 5, process)
    # Ctrl-C reaches the workers, too; SIGTERM is sent to the command alone.
    (os.killpg if asked == signal.SIGINT else os.kill)(process.pid, asked)
    out, err = process.communicate(timeout=600)
    assert len(toy.calls()) == 5  # the call that was under way, and none after it
    assert process.returncode == {signal.SIGINT: 130, signal.SIGTERM: 143}[asked], err
    assert "stopping: trainings end at their next batch and are kept" in err
    assert "trials done; the same command goes on" in out
    assert "Traceback" not in err and "KeyboardInterrupt" not in err
    states = {trial.state for trial in toy.trials()}
    assert TrialState.RUNNING not in states and TrialState.WAITING in states
    assert (toy.run / "trials.csv").exists()
    assert read_json(toy.run / "run.json")["summary"]["exit_code"] == process.returncode
    toy.takes(0)
    assert toy().code == 0
    whole(toy)
    same(toy, undisturbed)
    assert set(Counter(toy.calls()).values()) <= {1, 2}


@pytest.mark.slow
def test_ctrl_c_twice_ends_at_once_and_the_same_command_goes_on(
    toy: Toy, start: Start, undisturbed: list[tuple[object, ...]]
) -> None:
    toy.takes(60)
    process = start()
    wait_until(toy.calls, process)
    os.killpg(process.pid, signal.SIGINT)
    time.sleep(0.3)
    assert process.poll() is None  # it waits for the worker
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=15)  # far less than the worker would take
    assert process.returncode == 130, err
    assert "stopped at once" in err and "Traceback" not in err
    assert TrialState.RUNNING not in {trial.state for trial in toy.trials()}
    toy.takes(0)
    assert toy().code == 0
    whole(toy)
    same(toy, undisturbed)


@pytest.mark.slow
def test_workers_do_not_outlive_a_driver_that_was_killed(
    toy: Toy, start: Start, undisturbed: list[tuple[object, ...]]
) -> None:
    toy.takes(60)
    process = start(workers=2)
    wait_until(lambda: len(toy.calls()) == 2, process)
    workers = workers_of(process.pid)
    assert len(workers) == 2
    process.kill()
    process.wait()
    assert read_json(toy.run / "run.json")["commands"][0]["seconds"] > 0
    wait_until(lambda: not any(map(alive, workers)), seconds=10)
    toy.takes(0)
    ended = toy()
    assert ended.code == 0 and "interrupted: #0, #1" in ended.err
    assert {path.name for path in (toy.run / "owners").iterdir()} == {"turn.lock", "place"}
    whole(toy)
    same(toy, undisturbed)


@pytest.mark.slow
def test_a_worker_that_was_killed_is_replaced_and_its_trial_is_run_again(
    toy: Toy, start: Start, undisturbed: list[tuple[object, ...]]
) -> None:
    toy.takes(0.2)
    process = start()
    wait_until(lambda: len(toy.calls()) == 3, process)
    (worker,) = workers_of(process.pid)
    os.kill(worker, signal.SIGKILL)
    _, err = process.communicate(timeout=600)
    assert process.returncode == 0, err
    assert "a worker ended (exit code -9); another takes its place" in err
    whole(toy)
    same(toy, undisturbed)


@pytest.mark.slow
def test_a_worker_that_dies_again_and_again_ends_the_study(toy: Toy, start: Start) -> None:
    toy.define("import os\n\ndef score(design, *, images, seed):\n    os._exit(9)\n")
    process = start()
    _, err = process.communicate(timeout=600)
    assert process.returncode == 2
    assert "workers ended 3 times on design" in err and "out of memory?" in err
    assert [trial.state for trial in toy.trials()] == [TrialState.WAITING] * 2


@pytest.mark.slow
def test_a_function_that_prints_does_not_disturb_json(toy: Toy, start: Start) -> None:
    with (toy.folder / f"{toy.module}.py").open("a") as module:
        module.write(
            "plain = score\n"
            "def score(design, *, images, seed):\n"
            "    print('training', design.key)\n"
            "    os.system('echo from a process of its own')\n"
            "    return plain(design, images=images, seed=seed)\n"
        )
    process = start("--json", "--trials", "3")
    out, err = process.communicate(timeout=600)
    assert process.returncode in {0, 3}, err
    kinds = [json.loads(line)["event"] for line in out.splitlines()]
    assert kinds.count("trial") == 3 and kinds[-1] == "summary"
    assert "training" in err and "from a process of its own" in err


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(8))
def test_kills_at_random_instants_lose_and_double_nothing(
    toy: Toy, start: Start, undisturbed: list[tuple[object, ...]], seed: int
) -> None:
    """The driver, or a worker, four times in one study, from its first second to its last."""
    random = Random(seed)
    toy.takes(0.05)
    for _ in range(4):
        process = start(workers=1)
        aim = random.choice(["driver", "worker"])
        time.sleep(random.uniform(1.0, 9.0) if aim == "driver" else random.uniform(4.0, 9.0))
        victims = [process.pid] if aim == "driver" else workers_of(process.pid)
        for victim in victims:
            os.kill(victim, signal.SIGKILL)
        if aim == "worker":
            process.communicate(timeout=600)
            break
        process.wait()
    toy.takes(0)
    ended = toy()
    assert ended.code == 0, ended.err
    whole(toy)
    same(toy, undisturbed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_a_driver_killed_while_it_asks_or_tells_leaves_no_half_trial(
    toy: Toy, start: Start, undisturbed: list[tuple[object, ...]], seed: int
) -> None:
    """Storing is most of what a driver does when its function takes no time: kills land there."""
    random = Random(seed)
    for _ in range(3):
        calls = len(toy.calls())
        process = start()
        while len(toy.calls()) == calls and process.poll() is None:
            time.sleep(0.01)
        time.sleep(random.uniform(0, 1.5))
        process.kill()
        process.wait()
    assert toy().code == 0
    whole(toy)
    same(toy, undisturbed)


@pytest.mark.slow
def test_a_second_driver_is_refused_and_one_that_joins_is_not(toy: Toy, start: Start) -> None:
    toy.takes(0.5)
    first = start("--trials", "14")
    wait_until(lambda: len(toy.calls()) >= 2, first)
    refused = toy("--trials", "14")
    assert refused.code == 2 and "another process works on this run" in refused.err
    second = start("--trials", "14", "--join", workers=2)
    for process in (first, second):
        _, err = process.communicate(timeout=600)
        assert process.returncode == 0, err
    whole(toy, 14)
    owners = {trial.user_attrs["owner"]["lock"] for trial in toy.trials()}
    assert len(owners) == 2
    assert set(Counter(toy.calls()).values()) == {1}


@pytest.mark.slow
def test_the_first_driver_takes_up_what_one_that_joined_left_when_it_was_killed(
    toy: Toy, start: Start
) -> None:
    toy.takes(1.0)
    first = start("--trials", "9")
    wait_until(lambda: len(toy.calls()) >= 2, first)
    second = start("--trials", "9", "--join", workers=2)
    wait_until(lambda: len({t.user_attrs["owner"]["lock"] for t in toy.trials()}) == 2, second)
    time.sleep(0.5)
    second.kill()
    _, err = first.communicate(timeout=600)
    assert first.returncode == 0, err
    whole(toy, 9)


@pytest.mark.slow
def test_ctrl_c_while_data_are_prepared_loses_nothing(toy: Toy, start: Start) -> None:
    study = toy.study.read_text().partition("[evaluate]")[0]
    toy.study.write_text(study.replace("[32, 96]", "[64, 192]\ntrain = 4000"))
    process = start()
    wait_until(lambda: (toy.run / "run.json").exists(), process)
    time.sleep(3.0)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert not toy.evaluations()
