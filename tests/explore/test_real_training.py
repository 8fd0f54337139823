"""The built-in training in a study: real networks on rendered scenes, a handful of steps."""

from __future__ import annotations

import csv
import os
import signal
import time
from random import Random

import pytest
import torch
from toy_study import Toy, workers_of

from nano.data.cache import default_cache
from nano.data.sets import prepare_sets
from nano.evaluate.protocol import protocol_named
from nano.evaluate.run import evaluate
from nano.explore.study import read_study
from nano.files import read_json
from nano.networks.model import load_model

REAL = """name = "toy"
trials = 4
[data]
size = [32, 96]
train = 8
validation = 4
test = 4
[prototype]
preset = "depthnet-tiny"
[require]
params = "<= 4900"
delta1 = ">= 0.001"
[generator]
kind = "random"
[stages]
rungs = [{{ steps = {rung} }}]
final = {{ steps = {final} }}
keep = 0.5
confirm = {{ designs = 1, seeds = 2 }}
recipe = {{ name = "quick", batch = 2, precision = "float32", recalibrate = 4 }}
"""


@pytest.fixture
def real(toy: Toy) -> Toy:
    toy.study.write_text(REAL.format(rung=2, final=4))
    torch.set_num_threads(1)
    return toy


def test_a_study_trains_confirms_and_keeps_a_model_that_does_what_is_claimed(real: Toy) -> None:
    ended = real(
        "--json", "--trials", "2", workers=2
    )  # the prototype, and the same shrunk to the cap
    assert ended.code == 0, ended.err
    best = read_json(real.run / "best" / "metrics.json")
    model = load_model(real.run / "best")
    assert model.design.key == best["key"] == ended.events[-1]["best"]["key"]
    study = read_study(real.study)
    sets = prepare_sets(study.data, real.folder, default_cache())
    protocol = protocol_named("scenes")
    found = {
        split: evaluate(model.network, model.target, getattr(sets, split), protocol).accuracy
        for split in ("validation", "test")
    }
    claimed = max(best["readings"], key=lambda reading: reading["validation"]["delta1"])
    kept = best["model"]
    assert best["readings"][kept["seed_index"]] == claimed and kept["seed"] == claimed["seed"]
    assert kept["accuracy"] == claimed["accuracy"] != best["accuracy"]
    assert found["validation"].delta1 == pytest.approx(claimed["validation"]["delta1"], abs=1e-6)
    assert found["test"].delta1 == pytest.approx(claimed["accuracy"]["delta1"], abs=1e-6)
    mean = sum(r["accuracy"]["delta1"] for r in best["readings"]) / 2
    assert best["accuracy"]["delta1"] == pytest.approx(mean)
    for evaluation in real.evaluations():
        folder = real.run / "trials" / f"{evaluation.number:04d}"
        assert (folder / "panel.png").read_bytes().startswith(b"\x89PNG")
        with (folder / "curve.csv").open(newline="") as file:
            steps = [(row["stage"], int(row["images"])) for row in csv.DictReader(file)]
        assert steps[-1] == (evaluation.stage, evaluation.readings[-1].images)
        assert evaluation.accuracy is not None and evaluation.accuracy.images == 4
        assert evaluation.accuracy.data and evaluation.accuracy.protocol
    assert not list((real.run).rglob("*.pt"))


def test_data_that_are_not_there_end_it_before_anything_is_trained(real: Toy) -> None:
    ended = real("--set", "data={set='kitti', root='nowhere', size=[32, 96]}")
    assert ended.code == 2 and ended.err.count("\n") == 1
    assert "nowhere" in ended.err
    assert not (real.run / "trials").exists()


def outcome(toy: Toy) -> list[tuple[object, ...]]:
    return [
        (e.key, e.stage, e.accuracy, e.netscore, e.reason, e.predicted) for e in toy.evaluations()
    ]


@pytest.fixture(scope="module")
def undisturbed(
    in_this_process: None, tmp_path_factory: pytest.TempPathFactory
) -> list[tuple[object, ...]]:
    toy = Toy(tmp_path_factory.mktemp("undisturbed") / "toy")
    toy.study.write_text(REAL.format(rung=20, final=80))
    process = toy.start(before=on_one_core)
    _, err = process.communicate(timeout=600)
    assert process.returncode == 0, err
    return outcome(toy)


def on_one_core() -> None:
    """A worker takes all cores it may use, and two threads on busy cores wait for each other."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_interrupted_at_random_and_resumed_it_finds_what_an_undisturbed_study_does(
    toy: Toy, undisturbed: list[tuple[object, ...]], seed: int
) -> None:
    """Ctrl-C, SIGTERM, kill -9 of the driver or of its worker, and a kill while it stops."""
    random = Random(seed)
    toy.study.write_text(REAL.format(rung=20, final=80))
    for _ in range(3):
        process = toy.start(before=on_one_core)
        time.sleep(random.uniform(2, 15))
        how = random.choice(["ctrl-c", "term", "kill", "worker", "stop and kill"])
        if process.poll() is None:
            if how == "worker":
                for worker in workers_of(process.pid):
                    os.kill(worker, signal.SIGKILL)
                time.sleep(random.uniform(0, 3))
            if how in {"ctrl-c", "stop and kill"}:
                os.killpg(process.pid, signal.SIGINT)
            if how == "term":
                process.terminate()
            if how == "stop and kill":
                time.sleep(random.uniform(0, 0.5))
            if how in {"kill", "worker", "stop and kill"}:
                os.killpg(process.pid, signal.SIGKILL)
        process.communicate(timeout=600)
    process = toy.start(before=on_one_core)
    _, err = process.communicate(timeout=600)
    assert process.returncode == 0, err
    assert outcome(toy) == undisturbed
    assert len(toy.rows()) == 4
