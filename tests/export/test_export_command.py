"""python -m nano.export: what it writes, prints and refuses."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from PIL import Image

from nano.data.sample import network_input
from nano.design.presets import preset
from nano.errors import DataError, InputError, OutputError, StudyError
from nano.export.__main__ import main, spaced
from nano.export.folder import METRES
from nano.files import read_json
from nano.networks.depthnet import build
from nano.networks.model import Model, load_model, save_model
from nano.networks.target import TARGETS

SIZE = (32, 64)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    design = preset("depthnet-tiny")
    save_model(folder, Model(design=design, network=build(design, 0), target="log", size=SIZE))
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("study")
    (folder / "study.toml").write_text(
        '[data]\nset = "scenes"\nsize = [32, 64]\ntrain = 2\nvalidation = 4\ntest = 4\n'
    )
    return ["--data", str(folder / "study.toml"), "--cache", str(folder)]


def test_a_written_file_can_be_checked_against_its_model(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "model.onnx"
    assert main([str(model), "--onnx", str(path), "--opset", "13", "--batch", "any"]) == 0
    assert "float32, opset 13" in capsys.readouterr().out
    assert main([str(model), "--check", str(path), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["key"] == preset("depthnet-tiny").key
    assert told["difference"] <= 1e-5


@pytest.mark.slow
def test_int8_tells_its_accuracy_beside_that_of_torch(
    model: Path, data: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "int8.onnx"
    options = ["--onnx", str(path), "--precision", "int8", "--calibrate", "2", "--json"]
    assert main([str(model), *options, *data]) == 0
    told = json.loads(capsys.readouterr().out)
    made = onnx.load(path)
    properties = {each.key: each.value for each in made.metadata_props}
    assert properties["precision"] == told["precision"] == "int8"
    assert properties["calibration"].startswith("2 of 4, evenly spaced, of scenes val")
    assert {"QuantizeLinear", "DequantizeLinear"} <= {node.op_type for node in made.graph.node}
    zeros = [i for i in made.graph.initializer if i.name.endswith("zero_point")]
    assert zeros and not any(onnx.numpy_helper.to_array(each).any() for each in zeros)
    accuracy = told["accuracy"]
    assert properties["protocol"] == accuracy["exported"]["protocol"]
    assert json.loads(properties["accuracy"]) == accuracy["exported"]
    loss = accuracy["torch"]["delta1"] - accuracy["exported"]["delta1"]
    assert accuracy["delta1_loss"] == loss
    assert accuracy["exported"]["data"].startswith("scenes test")
    assert abs(loss) < 0.2


def test_calibration_images_are_spread_over_the_split() -> None:
    assert spaced(697, 4) == [0, 174, 348, 522]
    assert spaced(3, 64) == [0, 1, 2]


@pytest.mark.slow
def test_float32_loses_no_accuracy(
    model: Path, data: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(model), "--onnx", str(tmp_path / "m.onnx"), "--json", *data]) == 0
    accuracy = json.loads(capsys.readouterr().out)["accuracy"]
    assert accuracy["exported"]["abs_rel"] == pytest.approx(accuracy["torch"]["abs_rel"], rel=1e-5)


def test_the_folder_s_five_lines_give_the_depth_of_the_network(
    model: Path, data: list[str], tmp_path: Path
) -> None:
    folder = tmp_path / "deploy"
    assert main([str(model), "--folder", str(folder), *data]) == 0
    names = {path.name for path in folder.iterdir()}
    assert names == {
        *("model.onnx", "design.json", "preprocessing.json", "accuracy.json"),
        *("README.md", "LICENSE"),
    }
    assert "Apache License" in (folder / "LICENSE").read_text()
    accuracy = read_json(folder / "accuracy.json")
    assert accuracy["exported"]["protocol"].startswith("scenes (")
    readme = (folder / "README.md").read_text()
    assert f"delta1 {accuracy['exported']['delta1']:.4f}" in readme
    pixels = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(folder / "photo.png")
    (code,) = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    script = code + "np.save('depth.npy', depth_m)\n"
    subprocess.run([sys.executable, "-c", script], cwd=folder, check=True, timeout=60)
    loaded = load_model(model)
    image = network_input(torch.from_numpy(pixels.transpose(2, 0, 1)[None].copy()))
    with torch.no_grad():
        wanted = TARGETS["log"].decode(loaded.network(image)).numpy()
    np.testing.assert_allclose(np.load(folder / "depth.npy"), wanted, rtol=1e-4)


@pytest.mark.parametrize("target", METRES)
def test_the_folder_s_metres_are_those_of_the_target(target: str) -> None:
    output = np.array([-30, -1, 0, 0.5, 3, 50, 2000], np.float32)
    with np.errstate(over="ignore"):
        found = eval(METRES[target], {"np": np, "output": output})
    wanted = TARGETS[target].decode(torch.from_numpy(output)).numpy()
    np.testing.assert_allclose(found, wanted, rtol=1e-5)


def test_a_design_is_written_with_fresh_weights_and_said_to_be(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "m.onnx"
    assert main(["depthnet-tiny", "--onnx", str(path), "--size", "32x64"]) == 0
    assert "not trained" in capsys.readouterr().err
    with pytest.raises(InputError, match="deploys trained weights, and depthnet-tiny is a design"):
        main(["depthnet-tiny", "--folder", str(tmp_path / "deploy")])
    with pytest.raises(DataError, match="made for size 32x64, the model's is 64x64"):
        main(["depthnet-tiny", "--check", str(path), "--size", "64x64"])


def test_a_folder_without_weights_is_refused(model: Path, tmp_path: Path) -> None:
    (tmp_path / "design.json").write_bytes((model / "design.json").read_bytes())
    with pytest.raises(DataError, match=r"model\.safetensors: no such file"):
        main([str(tmp_path), "--onnx", str(tmp_path / "m.onnx")])


def test_a_path_that_cannot_be_written_is_named(model: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        main([str(model), "--onnx", str(tmp_path / "file" / "m.onnx")])


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ([], InputError, "nothing to do"),
        (["--onnx", "m.onnx", "--opset", "12"], InputError, "opset 12: supported are 13, 17, 20"),
        (["--folder", "deploy", "--batch", "4"], InputError, "README feeds one image"),
        (["--onnx", "m.onnx", "--batch", "few"], InputError, "'few' is no whole number"),
        (["--onnx", "m.onnx", "--precision", "fp16"], InputError, "choose from '?float32'?, "),
        (["--onnx", "m.onnx", "--data", "nothing"], StudyError, "no such file"),
        (
            ["--onnx", "m.onnx", "--precision", "int8", "--split", "validation", "--data", "s"],
            InputError,
            "only the test split may judge",
        ),
        (["--onnx", "m.onnx", "--precision", "int8"], InputError, "name them with --data"),
    ],
)
def test_wrong_options_are_told(
    model: Path, options: list[str], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        main([str(model), *options])


def test_a_missing_package_is_named_with_the_command_that_brings_it(model: Path) -> None:
    code = (
        "import sys; sys.modules['onnxruntime'] = None\n"
        "from nano.console import run; from nano.export.__main__ import main\n"
        f"run(lambda _: main([{str(model)!r}, '--onnx', 'm.onnx']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert done.stderr.strip() == (
        "error: export needs onnxruntime: pip install 'depthnet-nano[export]'"
    )
