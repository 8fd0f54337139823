"""Published networks train as designs do: by name, with their own outputs and sizes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from nano.data.sample import DepthSet
from nano.errors import InputError
from nano.evaluate.__main__ import main as evaluate_main
from nano.networks.catalog import BASELINES, Baseline
from nano.networks.dorn import DORN
from nano.networks.model import load_model
from nano.networks.resnet import DilatedResNet, ResNet18
from nano.networks.start import started
from nano.train.__main__ import main
from nano.train.loop import Stopped, train
from nano.train.recipe import RECIPES, Recipe

Maker = Callable[..., DepthSet]
ORDINAL = replace(
    RECIPES["ordinal"], steps=12, batch=4, precision="float32", learning_rate=3e-3, recalibrate=8
)


@pytest.fixture
def small_dorn() -> Baseline:
    """DORN's own parts, a hundredth as wide."""

    def build(widths: tuple[int, ...], size: tuple[int, int]) -> DORN:
        return DORN(size, encoder=DilatedResNet((1, 1, 1, 1), width=8), width=8, joint=16)

    return replace(BASELINES["dorn"], build=build)


@pytest.fixture
def small_fastdepth() -> Baseline:
    widths = (8, 16, *[16] * 12, 16, 16, 16, 16, 8)
    return replace(BASELINES["fastdepth"], widths=widths)


def test_dorn_learns_its_decisions(small_dorn: Baseline, make_set: Maker) -> None:
    trained = train(small_dorn, replace(ORDINAL, steps=40), make_set(height=17, width=25), seed=0)
    losses = [point.loss for point in trained.curve]
    assert sum(losses[-5:]) < 0.8 * sum(losses[:5])


def test_dorn_s_dropout_is_the_step_s_and_a_resumed_training_repeats_it(
    small_dorn: Baseline, make_set: Maker, tmp_path: Path
) -> None:
    data = make_set(height=17, width=25)
    before = torch.get_rng_state()
    whole = train(small_dorn, ORDINAL, data, seed=0)
    assert torch.equal(before, torch.get_rng_state())

    def after(steps: int) -> Iterator[bool]:
        yield from [False] * (steps - 1)
        yield True

    stop, file = after(5), tmp_path / "checkpoint"
    with pytest.raises(Stopped):
        train(small_dorn, ORDINAL, data, seed=0, checkpoint=file, stop=lambda: next(stop))
    torch.rand(7)  # another state of the global generator
    resumed = train(small_dorn, ORDINAL, data, seed=0, checkpoint=file)
    assert [p.loss for p in resumed.curve] == [p.loss for p in whole.curve]
    tensors = whole.network.state_dict()
    assert all(torch.equal(t, tensors[n]) for n, t in resumed.network.state_dict().items())


def test_an_output_at_the_input_s_size_is_taught_by_truth_of_that_size(
    small_fastdepth: Baseline, recipe: Recipe, make_set: Maker
) -> None:
    trained = train(
        small_fastdepth, replace(recipe, steps=30), make_set(height=32, width=64), seed=0
    )
    assert trained.network(torch.zeros(1, 3, 32, 64)).shape == (1, 1, 32, 64)
    assert trained.curve[-1].loss < trained.curve[0].loss


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], list[str]]:
    """Options that choose a few small scenes of a size."""
    folder = tmp_path_factory.mktemp("scenes")

    def options(size: str) -> list[str]:
        height, width = size.split("x")
        file = folder / f"{size}.toml"
        file.write_text(
            f'[data]\nset = "scenes"\nsize = [{height}, {width}]\n'
            "train = 4\nvalidation = 2\ntest = 2\n"
        )
        return ["--data", str(file), "--cache", str(folder / "cache")]

    return options


def trained_by_name(name: str, options: list[str], out: Path) -> None:
    """Two steps by the command, and its MODEL measured by the other command."""
    short = ["--set", "batch=2", "--steps", "2", "--set", "learning_rate=1e-5"]
    assert main([name, *options, *short, "--out", str(out)]) == 0
    model = load_model(out)
    assert model.design == BASELINES[name]
    assert json.loads((out / "design.json").read_text()) == BASELINES[name].plain()
    assert evaluate_main([str(out), *options, "--json"]) == 0
    shutil.rmtree(out)  # pytest keeps its folders, and these hold up to half a gigabyte


def test_a_baseline_is_trained_and_measured_by_name(
    scenes: Callable[[str], list[str]], tmp_path: Path
) -> None:
    trained_by_name("fastdepth-pruned", scenes("64x96"), tmp_path / "out")


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(BASELINES.keys() - {"fastdepth-pruned"}))
def test_every_baseline_is_trained_and_measured_by_name(
    name: str, scenes: Callable[[str], list[str]], tmp_path: Path
) -> None:
    trained_by_name(name, scenes("65x97" if name == "dorn" else "64x96"), tmp_path / "out")


def test_a_user_s_encoder_is_where_a_training_starts(
    scenes: Callable[[str], list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = [*scenes("64x96"), "--set", "batch=2", "--steps", "1", "--set", "learning_rate=1e-9"]
    encoder = {name: torch.full_like(t, 0.5) for name, t in ResNet18().state_dict().items()}
    save_file(encoder, tmp_path / "resnet18.safetensors")
    weights = ["--weights", str(tmp_path / "resnet18.safetensors")]
    out = tmp_path / "out"
    assert main(["resnet18", *options, *weights, "--out", str(out)]) == 0
    assert f"{len(encoder)} tensors, into encoder, the rest is fresh" in capsys.readouterr().err
    kernel = load_model(out).network.state_dict()["encoder.layer4.1.conv2.weight"]
    assert torch.allclose(kernel, torch.full_like(kernel, 0.5))
    assert json.loads((out / "metrics.json").read_text())["training"]["from"] == weights[1]
    with pytest.raises(InputError, match="has weights of its own; leave out --weights"):
        main([str(out), *options, *weights])


def test_a_user_s_network_is_measured_without_a_training(
    scenes: Callable[[str], list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    network = started(BASELINES["fastdepth-pruned"], (64, 96), 3)
    torch.save(network.state_dict(), tmp_path / "mine.pt")
    named = ["fastdepth-pruned", "--weights", str(tmp_path / "mine.pt"), *scenes("64x96")]
    meant = ["--target", "metres"]
    assert evaluate_main([*named, *meant, "--size", "64x96", "--json"]) == 0
    told = capsys.readouterr()
    assert "tensors, the whole network" in told.err
    assert json.loads(told.out)["key"] == BASELINES["fastdepth-pruned"].key
    with pytest.raises(InputError, match="target 'ordinal': the network writes 1 numbers"):
        evaluate_main([*named, "--target", "ordinal"])
    with pytest.raises(InputError, match=r"needs --target.* means: log, inverse, metres"):
        evaluate_main(named)
    with pytest.raises(InputError, match="needs --size HxW"):
        evaluate_main(["depthnet-tiny", *named[1:]])
    with pytest.raises(InputError, match="fastdepth takes sides that are multiples of 32"):
        evaluate_main([*named, *meant, "--size", "60x96"])
    encoder = {name: tensor for name, tensor in ResNet18().state_dict().items()}
    torch.save(encoder, tmp_path / "encoder.pt")
    partly = ["resnet18", "--weights", str(tmp_path / "encoder.pt"), *scenes("64x96")]
    with pytest.raises(InputError, match="fills only encoder; train the rest first"):
        evaluate_main([*partly, "--target", "log"])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ["dorn"],
            "64x192: dorn takes sides that are multiples of 8 plus 1, from 9 on; nearest 65x193",
        ),
        (
            ["densedepth", "--size", "60x96"],
            "densedepth takes .* multiples of 32, from 32 on; nearest 64x96",
        ),
        (["dorn", "--recipe", "quick"], "reads 1 numbers a pixel, but the network writes 142"),
        (
            ["resnet18", "--recipe", "ordinal"],
            "the network writes 1: use target 'log' or 'inverse' or 'metres'",
        ),
        (["resnet18", "--weights", "gone.safetensors"], "gone.safetensors: no such file"),
        (["resnet81"], "perhaps 'resnet18'"),
    ],
)
def test_what_does_not_fit_is_one_line_before_any_work(
    arguments: list[str], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=words):
        main([*arguments, "--cache", "cache"])
    assert not list(tmp_path.iterdir())
