"""NetAdapt as a command: real short trainings of a thin FastDepth on a few small scenes."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from nano.cost.count import count
from nano.data.sets import ScenesTable, Sets, prepare_sets
from nano.design.fastdepth import FastDepthDesign
from nano.design.presets import preset
from nano.errors import InputError, RunError
from nano.evaluate.protocol import protocol_named
from nano.networks.catalog import architecture_of
from nano.networks.model import Model, load_model, save_model
from nano.networks.netadapt import Narrowing
from nano.networks.start import started
from nano.train.__main__ import chosen_recipe
from nano.train.loop import Stopped
from nano.train.prune import SHORT_STEPS, main, parser
from nano.train.pruning import Pruning
from nano.train.recipe import Recipe

SIZE = (32, 64)
THIN = FastDepthDesign(widths=(8, 16, *[16] * 12, 16, 16, 16, 16, 8))
FREE = {"conv4", "conv6", "up1"}
KEPT = [f"conv{i}" for i in range(14) if f"conv{i}" not in FREE] + ["up5"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Holds a study of a few scenes, their cache and a MODEL."""
    folder = tmp_path_factory.mktemp("prune")
    (folder / "study.toml").write_text(
        '[data]\nset = "scenes"\nsize = [32, 64]\ntrain = 4\nvalidation = 2\ntest = 2\n'
    )
    network = started(architecture_of(THIN), SIZE, 0)
    model = Model(design=architecture_of(THIN), network=network, target="log", size=SIZE)
    save_model(folder / "model", model)
    return folder


@pytest.fixture
def command(folder: Path, tmp_path: Path) -> Callable[..., int]:
    def run(*more: str, model: str | None = None, budget: str = "params=90%") -> int:
        data = ["--data", str(folder / "study.toml"), "--cache", str(folder / "cache")]
        keep = [word for layer in KEPT for word in ("--keep", layer)]
        short = ["--steps", "1", "--final-steps", "2", "--set", "batch=2", "--share", "0.05"]
        out = ["--out", str(tmp_path / "out")]
        return main(
            [model or str(folder / "model"), "--budget", budget, *data, *short, *keep, *out, *more]
        )

    return run


def test_the_budget_is_met_round_by_round(
    command: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command("--json") == 0
    metrics = json.loads(capsys.readouterr().out)
    first = count(THIN, SIZE).params
    params = [first, *(one["params"] for one in metrics["rounds"])]
    assert params == sorted(params, reverse=True) and len(params) > 2
    assert params[-1] <= 0.9 * first < params[-2]
    for number, one in enumerate(metrics["rounds"], start=1):
        assert one["layer"] in FREE
        assert one["delta1"] == max(told for told in one["judged"].values())
        model = load_model(tmp_path / "out" / "rounds" / f"{number:03d}")
        design = FastDepthDesign(widths=tuple(getattr(model.design, "widths", ())))
        assert count(design, SIZE).params == one["params"]
        assert sorted(
            p.name for p in (tmp_path / "out" / "rounds" / f"{number:03d}").iterdir()
        ) == [
            "design.json",
            "model.safetensors",
        ]
    assert load_model(tmp_path / "out").design.key == metrics["key"]
    assert metrics["before"]["params"] == first and metrics["params"] == params[-1]
    assert command() == 0
    told = capsys.readouterr()
    assert "already pruned" in told.err and f"{params[-1]:,} parameters" in told.out
    with pytest.raises(RunError, match="another pruning, which differs in share"):
        command("--share", "0.5")


@pytest.fixture(scope="module")
def sets(folder: Path) -> Sets:
    table = ScenesTable(size=SIZE, train=4, validation=2, test=2)
    return prepare_sets(table, folder, folder / "cache")


@pytest.mark.slow
def test_a_pruning_that_was_stopped_goes_on_as_if_it_had_not(
    folder: Path, sets: Sets, tmp_path: Path
) -> None:
    torch.set_num_threads(1)
    asks = 0

    def stop_at(ask: int | None) -> Callable[[], bool]:
        def stop() -> bool:
            nonlocal asks
            asks += 1
            return asks == ask

        return stop

    first = count(THIN, SIZE).params
    pruning = Pruning(
        out=tmp_path / "whole",
        cost="params",
        narrowing=Narrowing(
            cost=lambda design: count(design, SIZE).params,
            budget=0.9 * first,
            ask=0.05 * first,
            keep=KEPT,
        ),
        recipe=Recipe(steps=3, batch=2, precision="float32"),
        final_steps=3,
        seed=0,
        data=sets.train,
        validation=sets.validation,
        protocol=protocol_named("scenes"),
        device="cpu",
        stop=stop_at(None),
    )
    whole = pruning.run(load_model(folder / "model"), THIN, {})
    assert len(whole["rounds"]) > 1
    last = asks
    for stopped_at in (last // 2, last):  # among the rounds; in the long training
        asks, out = 0, tmp_path / f"stopped-{stopped_at}"
        begun = replace(pruning, out=out, stop=stop_at(stopped_at))
        with pytest.raises(Stopped):
            begun.run(load_model(folder / "model"), THIN, {})
        asks = 0
        again = replace(pruning, out=out, stop=stop_at(None))
        resumed = again.run(load_model(folder / "model"), THIN, {})
        assert asks < last
        assert resumed["rounds"] == whole["rounds"] and resumed["accuracy"] == whole["accuracy"]
        tensors = load_model(tmp_path / "whole").network.state_dict()
        for name, tensor in load_model(out).network.state_dict().items():
            assert torch.equal(tensor, tensors[name])


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"budget": "macs=1"}, "budget of 1 is out of reach: the smallest network, 8 channels"),
        ({"budget": "macs=99G"}, "already; ask for less"),
        ({"budget": "milliseconds=3"}, "write one of macs, params, activations, bytes"),
        ({"budget": "macs=120%"}, "a share between 0% and 100%"),
        ({"model": "fastdepth-small"}, "no folder with model.safetensors; train one first"),
    ],
)
def test_what_cannot_be_meant_is_one_line(
    more: dict[str, str], told: str, command: Callable[..., int], tmp_path: Path
) -> None:
    with pytest.raises(InputError) as wrong:
        command(**more)
    assert told in str(wrong.value) and "\n" not in str(wrong.value)
    assert not (tmp_path / "out").exists()


def test_the_steps_of_short_trainings_are_20_unless_one_of_two_options_says_otherwise() -> None:
    design = architecture_of(THIN)

    def steps(*more: str) -> int:
        options = parser().parse_args(["model", "--budget", "macs=60%", "--out", "x", *more])
        return chosen_recipe(options, design, steps=SHORT_STEPS).steps

    assert [steps(), steps("--steps", "7"), steps("--set", "steps=200")] == [20, 7, 200]
    with pytest.raises(InputError, match="--set steps=200: --steps says that too"):
        steps("--steps", "7", "--set", "steps=200")


def test_an_unknown_layer_and_another_network_are_told(
    command: Callable[..., int], tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="no layer 'conv99' to keep; layers: conv0"):
        command("--keep", "conv99")
    with pytest.raises(InputError, match="a share above 0"):
        command("--share", "0")
    tiny = preset("depthnet-tiny")
    model = Model(design=tiny, network=started(tiny, (32, 96), 0), target="log", size=(32, 96))
    save_model(tmp_path / "dense", model)
    with pytest.raises(InputError, match="only a fastdepth can be narrowed"):
        command(model=str(tmp_path / "dense"))
