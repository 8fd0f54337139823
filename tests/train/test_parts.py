"""A batch in parts, of one process or of two, teaches what the whole batch does."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from nano.data.sample import DepthSet
from nano.design.design import Design, Module, Stage
from nano.train.__main__ import main
from nano.train.batches import Order
from nano.train.loop import Trained, train
from nano.train.processes import Processes
from nano.train.recipe import RECIPES, Recipe

REPOSITORY = Path(__file__).parents[2]
MakeSet = Callable[..., DepthSet]


@pytest.fixture
def unnormed(design: Design) -> Design:
    """A design without batch norm, which is in modules that squeeze."""
    stage = Stage(modules=(Module(expand=8, width=4),), transition=6)
    return replace(design, stages=(stage,))


def weights(trained: Trained) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in trained.network.parameters()])


@pytest.mark.parametrize(("name", "accumulate"), [("quick", 2), ("densedepth", 4)])
def test_a_batch_in_parts_teaches_what_it_teaches_whole(
    unnormed: Design, make_set: MakeSet, name: str, accumulate: int
) -> None:
    recipe = replace(
        RECIPES[name], steps=8, batch=4, precision="float32", learning_rate=1e-3, clip=5.0
    )
    data = make_set(height=48, width=64)
    data.depth[::2, :24] = 0  # unevenly known: a mean of the parts' means would be another
    whole = train(unnormed, recipe, data, seed=0)
    parts = train(unnormed, replace(recipe, accumulate=accumulate), data, seed=0)
    losses = [[point.loss for point in one.curve] for one in (whole, parts)]
    assert losses[1] == pytest.approx(losses[0], rel=1e-4)
    torch.testing.assert_close(weights(parts), weights(whole), atol=1e-4, rtol=1e-3)


def test_batch_norm_sees_a_part_at_a_time(
    design: Design, recipe: Recipe, make_set: MakeSet
) -> None:
    whole, parts = (
        train(design, replace(recipe, accumulate=count), make_set(), seed=0) for count in (1, 2)
    )
    assert whole.curve[0].loss != pytest.approx(parts.curve[0].loss, rel=1e-6)


@pytest.mark.parametrize("world", [1, 2, 3, 6])
def test_over_all_processes_an_epoch_shows_every_image_once(world: int) -> None:
    order = Order(images=36, batch=12, flip=0.5, seed=0)
    shown = [
        index
        for step in range(3)
        for rank in range(world)
        for index in Processes(rank=rank, world=world).share(order.at(step)).indices
    ]
    assert sorted(shown) == list(range(36))


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """A design with batch norm and a few small scenes, as arguments."""
    folder = tmp_path_factory.mktemp("study")
    file = folder / "study.toml"
    file.write_text('[data]\nset = "scenes"\nsize = [32, 64]\ntrain = 9\nvalidation = 4\n')
    return [
        *["depthnet-tiny", "--device", "cpu", "--data", str(file)],
        *["--cache", str(folder / "cache"), "--set", "batch=4", "--set", "precision=float32"],
    ]


TRAIN = ("-m", "nano.train")


def started(arguments: list[str], command: Sequence[str] = TRAIN) -> subprocess.Popen[str]:
    """The command in two processes; its own session, as a terminal would give it."""
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [*torchrun, "--nproc-per-node", "2", *command, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )


def two_processes(arguments: list[str], command: Sequence[str] = TRAIN) -> tuple[int, str, str]:
    with started(arguments, command) as running:
        out, told = running.communicate(timeout=300)
    return running.returncode, out, told


def same_weights(one: Path, other: Path) -> bool:
    ours, theirs = (load_file(folder / "model.safetensors") for folder in (one, other))
    return all(torch.equal(ours[name], theirs[name]) for name in theirs)


@pytest.mark.slow
def test_two_processes_teach_what_one_does_with_two_parts(
    study: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shared = [*study, "--steps", "8", "--json", "--set", "ema=0.9", "--set", "recalibrate=8"]
    code, out, told = two_processes([*shared, "--out", str(tmp_path / "two")])
    assert code == 0, told
    two = json.loads(out)  # one process alone has printed
    assert told.count("step 8 of 8") == 1
    assert two["processes"] == 2
    assert main([*shared, "--set", "accumulate=2", "--out", str(tmp_path / "one")]) == 0
    one = json.loads(capsys.readouterr().out)
    assert (one["processes"], one["weights"], one["images"]) == (1, "averaged", two["images"])
    curves = [
        [float(line.split(",")[2]) for line in (folder / "curve.csv").read_text().split()[1:]]
        for folder in (tmp_path / "one", tmp_path / "two")
    ]
    assert curves[1] == pytest.approx(curves[0], rel=1e-4)
    ours, theirs = (load_file(tmp_path / name / "model.safetensors") for name in ("two", "one"))
    for name, tensor in theirs.items():
        torch.testing.assert_close(ours[name], tensor, atol=1e-4, rtol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_torchrun_or_to_one_process_stops_all_and_they_go_on(
    study: list[str], tmp_path: Path, sent: signal.Signals
) -> None:
    arguments = [*study, "--steps", "80"]
    interrupted = tmp_path / "interrupted"
    with started([*arguments, "--out", str(interrupted)]) as running:
        assert running.stderr is not None
        for line in running.stderr:
            if line.startswith("step "):
                break
        whom = running.pid if sent == signal.SIGINT else last_child(running.pid)
        os.kill(whom, sent)
        rest = running.stderr.read()
    assert running.returncode != 0
    assert rest.count("the same command goes on from there") == 1, rest
    assert "nano/train" not in rest  # no traceback of ours
    assert [file.name for file in interrupted.iterdir()] == ["checkpoint"]
    if sent == signal.SIGTERM:
        return  # what follows does not depend on the signal
    code, _, told = two_processes([*arguments, "--out", str(interrupted)])
    assert code == 0, told
    assert "step 1 of 80" not in told
    assert two_processes([*arguments, "--out", str(tmp_path / "whole")])[0] == 0
    assert same_weights(interrupted, tmp_path / "whole")


def last_child(pid: int) -> int:
    """The process that was started last by this one."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(children[-1])


@pytest.mark.slow
def test_a_killed_process_ends_the_others_and_is_told_in_one_line(
    study: list[str], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    with started([*study, "--steps", "2000", "--out", str(out)]) as running:
        assert running.stderr is not None
        for line in running.stderr:
            if line.startswith("step "):
                break
        os.kill(last_child(running.pid), signal.SIGKILL)
        began = time.monotonic()
        rest = running.stderr.read()
    assert running.returncode != 0
    assert "another process of this training has ended" in rest or "terminated" in rest
    assert "nano/train" not in rest
    assert time.monotonic() - began < 60  # torchrun kills after 30 s what hangs


@pytest.mark.slow
def test_what_is_wrong_is_told_once(study: list[str], tmp_path: Path) -> None:
    for more, words in (
        (["--set", "batch=5"], "batch = 5: no multiple of accumulate = 1 times 2 processes"),
        (["--set", "learning_rate=1e9"], "diverged at step 2"),
    ):
        code, out, told = two_processes([*study, *more, "--out", str(tmp_path / "out")])
        assert code != 0 and out == ""
        assert told.count("error: ") == told.count(words) == 1, told
    (tmp_path / "out" / "checkpoint").write_bytes(b"nano training checkpoint 3\ncut")
    code, out, told = two_processes([*study, "--out", str(tmp_path / "out")])
    assert code != 0 and out == ""
    assert told.count("error: ") == told.count("damaged checkpoint") == 1, told


DIFFERING = """
from nano.console import run
from nano.train.processes import joined

def main(arguments):
    with joined("cpu") as (processes, device):
        processes.check_same(f"options of process {processes.rank}")
    return 0

run(main)
"""


@pytest.mark.slow
def test_processes_that_see_different_things_say_so_once(tmp_path: Path) -> None:
    script = tmp_path / "differing.py"
    script.write_text(DIFFERING)
    code, _, told = two_processes([], [str(script)])
    assert code != 0
    assert told.count("error: ") == told.count("the processes see different data") == 1, told
