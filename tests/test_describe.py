import json
from dataclasses import replace
from pathlib import Path

import pytest

from nano.describe import main
from nano.design.design import Design, Module
from nano.design.presets import preset
from nano.errors import DataError, DesignError
from nano.files import write_json
from nano.networks.depthnet import build
from nano.networks.model import Model, save_model


def described(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(arguments) == 0
    return capsys.readouterr().out


def test_json_has_the_published_totals_of_the_preset(capsys: pytest.CaptureFixture[str]) -> None:
    told = json.loads(described(capsys, "depthnet-nano", "--json"))
    assert set(told) == {
        "name", "key", "size", "params", "params_with_statistics", "macs", "activations",
        "by_module",
    }  # fmt: skip
    assert told["name"] == "depthnet-nano"
    assert told["key"] == preset("depthnet-nano").key
    assert told["size"] == [384, 1280]
    assert told["params"] == 1_746_581
    assert told["params_with_statistics"] == 1_751_109
    assert told["macs"] == 4_660_535_040


def test_a_model_is_counted_at_its_own_size_unless_another_is_given(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    design = preset("depthnet-tiny")
    network = build(design, 0)
    save_model(tmp_path, Model(design=design, network=network, target="log", size=(64, 192)))
    assert json.loads(described(capsys, str(tmp_path), "--json"))["size"] == [64, 192]
    other = json.loads(described(capsys, str(tmp_path), "--size", "32x96", "--json"))
    assert other["size"] == [32, 96]
    (tmp_path / "model.safetensors").write_bytes(b"cut")
    with pytest.raises(DataError, match=r"model\.safetensors: cannot be read"):
        main([str(tmp_path)])


@pytest.mark.parametrize("total", ["params", "macs", "activations"])
def test_shares_of_modules_add_up(total: str, capsys: pytest.CaptureFixture[str]) -> None:
    told = json.loads(described(capsys, "depthnet-tiny", "--size", "64x192", "--json"))
    assert sum(share[total] for share in told["by_module"]) == told[total] > 0


def test_every_module_is_named_once(capsys: pytest.CaptureFixture[str]) -> None:
    told = json.loads(described(capsys, "depthnet-nano", "--json"))
    names = [share["name"] for share in told["by_module"] if share["part"].startswith("stage")]
    assert names == [
        f"{stage}.{i}" for stage, n in enumerate((6, 12, 32, 32), 1) for i in range(1, n + 1)
    ]


def test_table_has_the_rows_of_the_paper_s_table_3(capsys: pytest.CaptureFixture[str]) -> None:
    lines = described(capsys, "depthnet-nano").splitlines()
    table = [line.split("  ")[0] for line in lines if "@" in line][1:]
    assert table == [
        "conv7x7-pool",
        "PBEP 1.x (6)", "conv1x1-pool", "PBEP 2.x (12)", "conv1x1-pool",
        "PBEP 3.x (32)", "conv1x1-pool", "PBEP 4.x (32)", "conv1x1",
        "upconv 1 A,B (EP)", "upconv 2 A,B (EP)", "upconv 3 A,B (EP)", "upconv 4 A,B (EP)",
        "conv3x3",
    ]  # fmt: skip
    assert "    width   13 15 18 13 15 17" in lines
    assert "    expand  1020 344" in lines
    assert any("1@192x640" in line for line in lines)


@pytest.mark.slow
def test_a_published_network_is_told_by_its_parts(capsys: pytest.CaptureFixture[str]) -> None:
    told = json.loads(described(capsys, "densedepth", "--json"))
    assert told["size"] == [384, 1280]  # its own
    assert (told["params"], told["params_with_statistics"]) == (42_657_689, 42_816_089)
    assert told["macs"] == 196_282_613_760
    assert [part["name"] for part in told["by_module"]] == [
        "encoder", "bridge", "up1", "up2", "up3", "up4", "head",
    ]  # fmt: skip
    for total in ("params", "macs", "activations"):
        assert sum(part[total] for part in told["by_module"]) == told[total]
    text = described(capsys, "densedepth", "--size", "64x96")
    assert "Alhashim" in text
    assert "up4      104@32x48" in text
    assert text.splitlines()[-1] == "depth comes out at 32x48"


def mixed() -> Design:
    """The tiny preset with one module of each other kind in its second stage."""
    tiny = preset("depthnet-tiny")
    modules = (Module(expand=6, width=4), Module(width=5, kernel=5))
    stages = (tiny.stages[0], replace(tiny.stages[1], modules=modules), *tiny.stages[2:])
    return replace(tiny, stages=stages)


def test_unlike_modules_are_told_apart(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_json(tmp_path / "design.json", mixed())
    text = described(capsys, str(tmp_path), "--size", "64x192")
    assert "EP/conv 2.x (2)" in text
    assert "    expand  6 -" in text
    assert "    kernel  3 5" in text


@pytest.mark.parametrize("form", ["folder", "file"])
def test_a_file_and_its_folder_describe_the_same_design(
    form: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_json(tmp_path / "design.json", mixed())
    path = tmp_path if form == "folder" else tmp_path / "design.json"
    assert json.loads(described(capsys, str(path), "--json"))["key"] == mixed().key


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["depthnet-huge"], "depthnet-huge.*depthnet-nano"),
        (["depthnet-nano", "--size", "100x100"], "100x100.*multiples of 32"),
        (
            ["densedepth", "--size", "100x100"],
            "100x100: densedepth.*multiples of 32, from 32 on; nearest 96x96",
        ),
    ],
)
def test_wrong_input_is_named(arguments: list[str], message: str) -> None:
    with pytest.raises(DesignError, match=message):
        main(arguments)
