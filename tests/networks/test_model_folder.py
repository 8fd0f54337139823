from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from safetensors.torch import load, save
from strategies import designs

from nano.design.design import Design
from nano.design.presets import preset
from nano.errors import DataError, DesignError, OutputError
from nano.files import write_json
from nano.networks.depthnet import build
from nano.networks.model import DESIGN_FILE, WEIGHTS_FILE, Model, load_model, save_model

TINY = preset("depthnet-tiny")
GOOD = {"nano_model": "1", "design": TINY.key, "target": "log", "size": "64x96"}


def tiny_model(seed: int = 0) -> Model:
    return Model(design=TINY, network=build(TINY, seed), target="log", size=(64, 96))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_model(tmp_path / "best", tiny_model())
    return tmp_path / "best"


def test_a_round_trip_is_bit_equal(folder: Path) -> None:
    model = load_model(folder)
    assert (model.design, model.target, model.size) == (TINY, "log", (64, 96))
    original = build(TINY, 0).state_dict()
    loaded = model.network.state_dict()
    assert original.keys() == loaded.keys()
    assert all(torch.equal(original[name], loaded[name]) for name in original)
    assert not model.network.training


@settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(design=designs())
def test_any_design_survives_the_round_trip(design: Design, tmp_path: Path) -> None:
    size = (design.stride, 2 * design.stride)
    network = build(design, 1)
    save_model(tmp_path, Model(design=design, network=network, target="inverse", size=size))
    model = load_model(tmp_path)
    image = torch.randn(1, 3, *size, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(model.network(image), network.eval()(image))
    assert model.design == design


def test_trained_statistics_and_channels_last_weights_are_kept(tmp_path: Path) -> None:
    network = build(TINY, 0).to(memory_format=torch.channels_last)
    network(torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0)))
    save_model(tmp_path, replace(tiny_model(), network=network))
    loaded = load_model(tmp_path).network.state_dict()
    assert all(torch.equal(value, loaded[name]) for name, value in network.state_dict().items())


def test_a_saved_folder_holds_two_files_and_no_leftovers(folder: Path) -> None:
    save_model(folder, tiny_model(seed=1))
    assert sorted(path.name for path in folder.iterdir()) == [DESIGN_FILE, WEIGHTS_FILE]
    assert torch.equal(load_model(folder).network.stem.conv.weight, build(TINY, 1).stem.conv.weight)


def rewrite(folder: Path, **changes: str | None) -> None:
    metadata = {name: value for name, value in (GOOD | changes).items() if value is not None}
    path = folder / WEIGHTS_FILE
    path.write_bytes(save(load(path.read_bytes()), metadata))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"nano_model": None}, "not one that nano wrote"),
        ({"nano_model": "9"}, "format version 9; this nano reads version 1"),
        ({"target": "disparity"}, "unknown target 'disparity'; known: log, inverse"),
        ({"target": None}, "lacks target"),
        ({"size": "large"}, "size 'large', should read like 384x1280"),
        ({"size": "-64x96"}, "multiples of 32"),
        ({"design": "000000000000"}, "weights of design 000000000000"),
    ],
)
def test_foreign_metadata_is_named(
    folder: Path, changes: dict[str, str | None], words: str
) -> None:
    rewrite(folder, **changes)
    with pytest.raises((DataError, DesignError), match=words):
        load_model(folder)


@pytest.mark.parametrize("kept", [0, 4, 8, 100, 5000, -1])
def test_a_truncated_weights_file_is_one_clear_error(folder: Path, kept: int) -> None:
    path = folder / WEIGHTS_FILE
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(DataError, match=r"model\.safetensors: not a whole safetensors file"):
        load_model(folder)


@pytest.mark.parametrize(
    ("name", "tensor", "words"),
    [
        ("head.bias", None, "lacks 1 tensors, head.bias"),
        ("head.extra", torch.zeros(1), "holds 1 unknown tensors, head.extra"),
        ("head.bias", torch.zeros(2), r"head.bias is torch.float32 of shape \(2,\)"),
        ("head.bias", torch.zeros(1, dtype=torch.float64), "head.bias is torch.float64"),
    ],
)
def test_wrong_tensors_are_named(
    folder: Path, name: str, tensor: torch.Tensor | None, words: str
) -> None:
    path = folder / WEIGHTS_FILE
    tensors = load(path.read_bytes()) | {name: tensor}
    kept = {key: value for key, value in tensors.items() if value is not None}
    path.write_bytes(save(kept, GOOD))
    with pytest.raises(DataError, match=words):
        load_model(folder)


@pytest.mark.parametrize("missing", [DESIGN_FILE, WEIGHTS_FILE])
def test_a_missing_file_is_named(folder: Path, missing: str) -> None:
    (folder / missing).unlink()
    with pytest.raises((DataError, DesignError), match=f"{missing}: no such file"):
        load_model(folder)


def test_a_design_that_is_not_json_is_named(folder: Path) -> None:
    (folder / DESIGN_FILE).write_text("{half")
    with pytest.raises(DesignError, match=r"design\.json: not JSON"):
        load_model(folder)


def test_a_design_with_a_foreign_field_is_named(folder: Path) -> None:
    plain = json.loads((folder / DESIGN_FILE).read_text())
    (folder / DESIGN_FILE).write_text(json.dumps(plain | {"colour": 1}))
    with pytest.raises(DesignError, match="colour"):
        load_model(folder)


def test_a_design_changed_after_the_weights_were_written_is_found(folder: Path) -> None:
    wider = replace(TINY, stem=replace(TINY.stem, width=TINY.stem.width + 1))
    write_json(folder / DESIGN_FILE, wider)
    with pytest.raises(DataError, match=f"weights of design {TINY.key}, but design.json"):
        load_model(folder)


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"target": "feet"}, DataError, "unknown target 'feet'"),
        ({"size": (60, 96)}, DesignError, "multiples of 32"),
        ({"design": preset("depthnet-small")}, DesignError, "built from design"),
    ],
)
def test_a_model_that_contradicts_itself_is_never_written(
    tmp_path: Path, change: dict, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        save_model(tmp_path / "new", replace(tiny_model(), **change))
    assert not (tmp_path / "new").exists()


def test_a_disk_that_refuses_leaves_the_old_model_readable(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(OutputError, match="the disk is full"):
        save_model(folder, tiny_model(seed=1))
    monkeypatch.undo()
    assert sorted(path.name for path in folder.iterdir()) == [DESIGN_FILE, WEIGHTS_FILE]
    assert torch.equal(load_model(folder).network.stem.conv.weight, build(TINY, 0).stem.conv.weight)
