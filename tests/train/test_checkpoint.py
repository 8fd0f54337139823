from __future__ import annotations

import hashlib
import io
import os
import pickle
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from nano.console import Terminated
from nano.data.sample import DepthSet
from nano.design.design import Design
from nano.errors import OutputError, RunError
from nano.train.__main__ import stop_on_signal
from nano.train.checkpoint import read_checkpoint
from nano.train.loop import CurvePoint, Stopped, train
from nano.train.processes import ALONE
from nano.train.recipe import Recipe

MakeSet = Callable[..., DepthSet]
Interrupt = Callable[..., None]


@pytest.fixture
def interrupt(design: Design, recipe: Recipe, make_set: MakeSet) -> Interrupt:
    """Train to step 5 and stop there, leaving a checkpoint."""

    def run(path: Path) -> None:
        asked = iter([False] * 4 + [True])
        with pytest.raises(Stopped):
            train(design, recipe, make_set(), seed=0, checkpoint=path, stop=lambda: next(asked))

    return run


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_a_stopped_training_ends_as_an_undisturbed_one(
    tmp_path: Path, design: Design, recipe: Recipe, make_set: MakeSet, precision: str
) -> None:
    recipe = replace(recipe, precision=precision, steps=205)
    path = tmp_path / "train.ckpt"
    whole = train(design, recipe, make_set(), seed=0)
    steps = 0

    def often() -> bool:
        nonlocal steps
        steps += 1
        return steps % 33 == 0  # also between two points of the curve

    for _ in range(7):
        try:
            resumed = train(design, recipe, make_set(), seed=0, checkpoint=path, stop=often)
        except Stopped:
            continue
    ours, theirs = resumed.network.state_dict(), whole.network.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert resumed.curve == whole.curve
    assert steps == 204  # no step was taken twice: the last one is not followed by a question


@pytest.mark.slow
def test_a_training_killed_at_any_instant_ends_with_the_same_weights(tmp_path: Path) -> None:
    script = Path(__file__).parent / "kill_and_resume.py"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    undisturbed, *killed = done.stdout.split()
    assert len(killed) >= 8
    assert set(killed) == {undisturbed}


def test_another_trainings_checkpoint_is_refused(
    tmp_path: Path, design: Design, recipe: Recipe, make_set: MakeSet, interrupt: Interrupt
) -> None:
    path = tmp_path / "train.ckpt"
    interrupt(path)
    with pytest.raises(RunError, match="checkpoint of another training: seed 0 there, 1 here"):
        train(design, recipe, make_set(), seed=1, checkpoint=path)
    with pytest.raises(RunError, match="data toy train, 10 images"):
        train(design, recipe, make_set(images=11), seed=0, checkpoint=path)
    brighter = make_set()
    brighter.images[:] += 1
    with pytest.raises(RunError, match="another training: frames "):
        train(design, recipe, brighter, seed=0, checkpoint=path)
    with pytest.raises(RunError, match="recipe"):
        train(design, replace(recipe, flip=0.1), make_set(), seed=0, checkpoint=path)
    with pytest.raises(RunError, match="order_seed 0 there, 1 here"):
        train(design, recipe, make_set(), seed=0, order_seed=1, checkpoint=path)
    assert path.exists()


@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
def test_a_cut_checkpoint_is_refused(tmp_path: Path, interrupt: Interrupt, share: float) -> None:
    path = tmp_path / "train.ckpt"
    interrupt(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(RunError, match=r"train\.ckpt: .*delete it"):
        read_checkpoint(path, {})


def test_one_turned_bit_is_found(tmp_path: Path, interrupt: Interrupt) -> None:
    path = tmp_path / "train.ckpt"
    interrupt(path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(RunError, match="checksum differs"):
        read_checkpoint(path, {})


class Evil:
    def __reduce__(self) -> tuple[object, tuple[str, ...]]:
        return os.mkdir, ("pwned",)


@pytest.mark.parametrize("content", [Evil(), {"step": 1}, [1]])
def test_a_foreign_pickle_is_never_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: object
) -> None:
    monkeypatch.chdir(tmp_path)
    buffer = io.BytesIO()
    torch.save(content, buffer, pickle_module=pickle)
    payload = buffer.getvalue()
    path = tmp_path / "train.ckpt"
    magic = b"nano training checkpoint 3\n"
    path.write_bytes(magic + hashlib.sha256(payload).digest() + payload)
    with pytest.raises(RunError, match="not a checkpoint"):
        read_checkpoint(path, {})
    assert not (tmp_path / "pwned").exists()


def test_leftovers_of_killed_writes_are_swept(
    tmp_path: Path, design: Design, recipe: Recipe, make_set: MakeSet
) -> None:
    (tmp_path / ".train.ckpt.abc.part").write_bytes(b"half")
    (tmp_path / ".other.ckpt.abc.part").write_bytes(b"half")
    train(design, recipe, make_set(), seed=0, checkpoint=tmp_path / "train.ckpt")
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        ".other.ckpt.abc.part",
        "train.ckpt",
    ]


def test_what_comes_after_the_last_step_can_be_interrupted_without_loss(
    tmp_path: Path, design: Design, recipe: Recipe, make_set: MakeSet
) -> None:
    path = tmp_path / "train.ckpt"

    def signalled(point: CurvePoint) -> None:
        if point.step == recipe.steps:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(Terminated), stop_on_signal(ALONE) as stop:
        whole = train(
            design, recipe, make_set(), seed=0, checkpoint=path, stop=stop, progress=signalled
        )
    seen: list[CurvePoint] = []
    again = train(design, recipe, make_set(), seed=0, checkpoint=path, progress=seen.append)
    assert seen == []  # no step was taken again
    assert again.curve == whole.curve
    ours, theirs = again.network.state_dict(), whole.network.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.mark.parametrize(
    ("sent", "ending"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, Terminated)]
)
def test_a_signal_that_came_too_late_to_stop_anything_is_not_swallowed(
    sent: signal.Signals, ending: type[BaseException], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ending), stop_on_signal(ALONE):
        os.kill(os.getpid(), sent)
    assert "the same command goes on from there" in capsys.readouterr().err
    with stop_on_signal(ALONE) as stop:
        assert not stop()


def test_a_full_disk_harms_neither_the_old_checkpoint_nor_the_training(
    tmp_path: Path, design: Design, recipe: Recipe, make_set: MakeSet, interrupt: Interrupt
) -> None:
    path = tmp_path / "train.ckpt"
    interrupt(path)
    before = path.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) // 2, hard))
    try:
        with pytest.raises(OutputError, match=r"train\.ckpt: cannot be written"):
            train(design, recipe, make_set(), seed=0, checkpoint=path, checkpoint_seconds=0.0)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["train.ckpt"]
    whole = train(design, recipe, make_set(), seed=0)
    resumed = train(design, recipe, make_set(), seed=0, checkpoint=path)
    assert resumed.curve == whole.curve
