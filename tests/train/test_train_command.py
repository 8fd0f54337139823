from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from nano.design.presets import preset
from nano.errors import DataError, InputError, OutputError, RunError
from nano.networks.model import load_model
from nano.networks.start import started
from nano.train.__main__ import main

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Options that choose a few small scenes, rendered once."""
    folder = tmp_path_factory.mktemp("study")
    file = folder / "study.toml"
    file.write_text('[data]\nset = "scenes"\nsize = [32, 64]\ntrain = 9\nvalidation = 4\n')
    return ["--data", str(file), "--cache", str(folder / "cache"), "--set", "batch=4"]


def train_tiny(study: list[str], out: Path, *more: str) -> None:
    assert main(["depthnet-tiny", *study, "--steps", "6", "--out", str(out), *more]) == 0


def test_a_training_leaves_a_model_its_curve_and_its_metrics(
    study: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    train_tiny(study, out, "--json")
    metrics = json.loads(capsys.readouterr().out)
    assert metrics == json.loads((out / "metrics.json").read_text())
    assert metrics["images"] == 24
    assert metrics["accuracy"]["images"] == 4
    assert metrics["training"]["recipe"]["batch"] == 4
    assert sorted(file.name for file in out.iterdir()) == [
        "curve.csv",
        "design.json",
        "metrics.json",
        "model.safetensors",
    ]
    curve = (out / "curve.csv").read_text().splitlines()
    assert curve[0] == "step,images,loss,learning_rate"
    assert [line.split(",")[:2] for line in curve[1:]] == [
        [str(i), str(4 * i)] for i in range(1, 7)
    ]
    model = load_model(out)
    assert (model.design.key, model.size) == (metrics["training"]["key"], (32, 64))


def test_a_finished_training_is_not_repeated_and_not_overwritten(
    study: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    train_tiny(study, out)
    before = {file.name: file.stat().st_mtime_ns for file in out.iterdir()}
    train_tiny(study, out)
    assert "already trained" in capsys.readouterr().err
    capsys.readouterr()
    with pytest.raises(RunError, match="another training, which differs in recipe, seed"):
        train_tiny(study, out, "--seed", "1", "--set", "flip=0.0", "--size", "64x64")
    assert "preparing" not in capsys.readouterr().err
    assert {file.name: file.stat().st_mtime_ns for file in out.iterdir()} == before


def test_other_weights_at_the_same_path_are_another_training(
    study: list[str], tmp_path: Path
) -> None:
    weights, out = tmp_path / "weights.safetensors", tmp_path / "out"
    tensors = started(preset("depthnet-tiny"), (32, 64), 0).state_dict()
    save_file(tensors, weights)
    train_tiny(study, out, "--weights", str(weights))
    save_file({name: tensor + 1 for name, tensor in tensors.items()}, weights)
    with pytest.raises(RunError, match="another training, which differs in from_hash;"):
        train_tiny(study, out, "--weights", str(weights))


def test_a_model_is_trained_further(study: list[str], tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    train_tiny(study, first, "--set", "warmup=0.0")
    options = [*study, "--steps", "6", "--out", str(second)]
    assert main([str(first), *options]) == 0
    losses = [
        float((folder / "curve.csv").read_text().splitlines()[1].split(",")[2])
        for folder in (first, second)
    ]
    assert losses[1] < losses[0]
    with pytest.raises(DataError, match="what its output means cannot change"):
        main([str(first), *options, "--recipe", "densedepth"])
    with pytest.raises(DataError, match="leave out --size"):
        main([str(first), *options, "--size", "64x64"])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--recipe", "quik"], "perhaps 'quick'?"),
        (["--set", "batch"], "write KEY=VALUE"),
        (["--set", "bach=4"], "unknown key 'bach' \\(perhaps 'batch'\\?\\)"),
        (["--set", "schedule=linear"], "'cosine' or 'constant'"),
        (["--steps", "0"], "steps = 0"),
        (["--steps", "5", "--set", "steps=9"], "--set steps=9: --steps says that too"),
        (["--recipe", "ordinal", "--set", "name=quick"], "name=quick: --recipe says that too"),
        (["--device", "tpu"], "use cpu, cuda or cuda:N"),
        (["--size", "30x64"], "both sides must be multiples of"),
        (["--fill", "levin"], "fill"),
        (["--data", "kitti", "--root", "x", "--fill", "guess"], "'levin'"),
        (["--set", "precision=fp16", "--device", "cpu"], "needs cuda, not cpu"),
        (["--set", "accumulate=5"], "batch = 16: no multiple of accumulate = 5"),
        (["--seed", "-1"], "'-1' is no whole number from 0 up"),
    ],
)
def test_a_wrong_option_is_explained_before_any_data(
    options: list[str], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=words):
        main(["depthnet-tiny", "--cache", "cache", *options])
    assert not list(tmp_path.iterdir())


def test_a_divergence_is_one_line_and_leaves_no_model(study: list[str], tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"diverged at step 2: .*; try a lower rate"):
        train_tiny(study, tmp_path / "run", "--set", "learning_rate=1e9")
    assert list((tmp_path / "run").iterdir()) == []


def test_a_folder_that_cannot_be_made_is_told_before_the_work(
    study: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="file/run: cannot be written: Not a directory"):
        train_tiny(study, tmp_path / "file" / "run", "--size", "64x64")
    assert "preparing" not in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_command_goes_on_where_it_was(
    study: list[str], tmp_path: Path, sent: signal.Signals, code: int
) -> None:
    command = [sys.executable, "-m", "nano.train", "depthnet-tiny", *study]
    command += ["--set", "precision=float32", "--steps", "100"]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"}
    interrupted, whole = tmp_path / "interrupted", tmp_path / "whole"
    with subprocess.Popen(
        [*command, "--out", str(interrupted)], stderr=subprocess.PIPE, text=True, env=environment
    ) as running:
        assert running.stderr is not None
        for line in running.stderr:
            if line.startswith("step "):
                running.send_signal(sent)
                break
        rest = running.stderr.read()
    assert running.returncode == code, rest
    assert "the same command goes on from there" in rest
    assert [file.name for file in interrupted.iterdir()] == ["checkpoint"]
    if sent == signal.SIGTERM:
        return  # what follows does not depend on the signal
    for out in (interrupted, whole):
        assert main([*command[3:], "--out", str(out)]) == 0
    curves = [(out / "curve.csv").read_text() for out in (interrupted, whole)]
    assert curves[0] == curves[1]
    ours, theirs = (load_file(out / "model.safetensors") for out in (interrupted, whole))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert not (interrupted / "checkpoint").exists()
