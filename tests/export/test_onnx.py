"""The ONNX file: its opset, its size, its parity with torch, what it tells and what is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from random import Random

import onnx
import pytest
import torch

from nano.data.sample import INPUT_MEAN, network_input
from nano.design.design import Design
from nano.design.kinds import design_from_plain
from nano.design.presets import preset, prototype
from nano.errors import DataError, InputError, OutputError
from nano.export.onnx import PREPROCESSING, Form, check, to_onnx, write_onnx
from nano.export.read import metadata_of, read_onnx
from nano.export.same import OnnxNetwork, check_same
from nano.networks.catalog import BASELINES
from nano.networks.depthnet import build
from nano.networks.model import Model
from nano.networks.start import started

SIZE = (32, 64)
# Of the tables of the TensorRT parser, 8.0 to 10.
TENSORRT = {"Add", "AveragePool", "BatchNormalization", "Clip", "Concat", "Conv", "Elu"}
TENSORRT |= {"LeakyRelu", "MaxPool", "Pad", "Relu", "Resize", "Selu", "Sigmoid"}


def model(design: Design | None = None, seed: int = 0) -> Model:
    design = design or preset("depthnet-tiny")
    return Model(design=design, network=build(design, seed).eval(), target="log", size=SIZE)


def member(seed: int) -> Design:
    family = prototype("depthnet-tiny")
    random = Random(seed)
    knobs = {knob.name: knob.at(random.random()) for knob in family.knobs}
    return family.design(family.expand(knobs, seed))


@pytest.mark.parametrize("opset", [13, 17, 20])
def test_the_file_has_the_opset_and_everything_within(opset: int, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    write_onnx(path, to_onnx(model(), Form(opset=opset)))
    read = onnx.load(path, load_external_data=False)
    assert [(each.domain, each.version) for each in read.opset_import] == [("", opset)]
    assert not [each for each in read.graph.initializer if each.external_data]
    assert list(tmp_path.iterdir()) == [path]
    assert check_same(model(), read) <= 1e-5


def test_another_opset_is_found_in_the_file() -> None:
    made = to_onnx(model(), Form(opset=17))
    with pytest.raises(InputError, match=r"opsets \{'ai.onnx': 17\}, asked for was 13"):
        check(made, 13)


@pytest.mark.parametrize("seed", range(5))
def test_random_designs_equal_torch_and_use_what_tensorrt_reads(seed: int) -> None:
    one = model(member(seed), seed)
    made = to_onnx(one, Form())
    assert check_same(one, made) <= 1e-5
    assert {node.op_type for node in made.graph.node} <= TENSORRT


def test_without_rewrites_the_output_is_the_same() -> None:
    made = to_onnx(model(), Form(rewrite=False))
    assert check_same(model(), made) <= 1e-5
    assert "BatchNormalization" in {node.op_type for node in made.graph.node}


@pytest.mark.parametrize("name", ["fastdepth", "resnet18"])
def test_networks_of_others_are_written_too(name: str) -> None:
    size = (64, 64)
    network = started(BASELINES[name], size, 0).eval()
    one = Model(design=BASELINES[name], network=network, target="inverse", size=size)
    made = to_onnx(one, Form())
    assert check_same(one, made) <= 1e-5
    assert {node.op_type for node in made.graph.node} <= TENSORRT


def test_an_operator_without_a_form_is_named() -> None:
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 1, 1), torch.nn.Softplus())
    one = replace(model(), network=network)
    with pytest.raises(InputError, match=r"no ONNX form of the operator aten\.softplus"):
        to_onnx(one, Form())


@pytest.mark.parametrize("images", [1, 3])
def test_a_varying_batch_varies(images: int) -> None:
    one = model()
    made = to_onnx(one, Form(batch=None))
    assert made.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "batch"
    image = torch.randn(images, 3, *SIZE, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        torch.testing.assert_close(OnnxNetwork(made)(image), one.network(image))


def test_a_fixed_batch_is_run_in_its_steps() -> None:
    one = model()
    image = torch.randn(4, 3, *SIZE, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        found = OnnxNetwork(to_onnx(one, Form(batch=2)))(image)
        torch.testing.assert_close(found, one.network(image))


def test_half_precision_halves_the_weights_and_stays_near() -> None:
    whole, half = (to_onnx(model(), Form(precision=p)) for p in ("float32", "float16"))
    kinds = {each.data_type for each in half.graph.initializer if "scale" not in each.name}
    assert onnx.TensorProto.FLOAT16 in kinds
    sizes = [sum(len(i.raw_data) for i in each.graph.initializer) for each in (whole, half)]
    assert sizes[1] < 0.51 * sizes[0]
    assert 1e-5 < check_same(model(), half) <= 2e-2


def test_a_model_of_other_weights_is_refused_with_the_number() -> None:
    made = to_onnx(model(seed=1), Form())
    with pytest.raises(OutputError, match=r"differs from the network by [0-9.]+ of its output"):
        check_same(model(seed=0), made)


def test_metadata_rebuild_the_design_and_tell_the_preprocessing() -> None:
    one = model()
    told = metadata_of(to_onnx(one, Form()))
    assert design_from_plain(json.loads(told["design_json"]), "metadata") == one.design
    assert (told["target"], told["size"]) == ("log", "32x64")
    assert "torch" in json.loads(told["versions"])
    preparing = json.loads(told["preprocessing"])
    assert preparing == PREPROCESSING and preparing["mean"] == INPUT_MEAN
    pixels = torch.tensor([0, 100, 255], dtype=torch.uint8)
    stated = (pixels / preparing["scale"] - preparing["mean"]) / preparing["std"]
    torch.testing.assert_close(network_input(pixels), stated)


def test_equal_models_give_equal_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_onnx(tmp_path / name, to_onnx(model(), Form()))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_network_left_in_training_is_written_as_in_use() -> None:
    one = model()
    one.network.train()
    assert to_onnx(one, Form()) == to_onnx(model(), Form())
    assert one.network.training


def test_the_caller_s_inference_mode_makes_no_difference() -> None:
    outside = to_onnx(model(), Form())
    with torch.inference_mode():
        assert to_onnx(model(), Form()) == outside


def test_exporting_leaves_the_network_as_it_was() -> None:
    one = model()
    before = {name: tensor.clone() for name, tensor in one.network.state_dict().items()}
    to_onnx(one, Form(precision="float16"))
    after = one.network.state_dict()
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())
    assert set(after) == set(before)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"opset": 12}, "opset 12: supported are 13, 17, 20"),
        ({"precision": "int4"}, "precision 'int4'"),
        ({"batch": 0}, "batch 0"),
    ],
)
def test_a_form_that_cannot_be_is_refused(wrong: dict[str, int | str], said: str) -> None:
    with pytest.raises(InputError, match=said):
        Form(**wrong)


def foreign() -> bytes:
    value = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1])
    out = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1])
    node = onnx.helper.make_node("Relu", ["x"], ["y"])
    return onnx.helper.make_model(
        onnx.helper.make_graph([node], "g", [value], [out])
    ).SerializeToString()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "no such file"),
        (b"no model", "not a whole ONNX file"),
        (b"", "not a whole ONNX file"),
        (foreign(), "not one that nano wrote"),
    ],
)
def test_a_file_that_is_not_ours_is_refused(
    content: bytes | None, said: str, tmp_path: Path
) -> None:
    path = tmp_path / "model.onnx"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=said):
        read_onnx(path)


def test_half_a_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    write_onnx(path, to_onnx(model(), Form()))
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(DataError, match="not a whole ONNX file"):
        read_onnx(path)
