"""Kernels of its own: what torch computes, for every design and however the maps are cut."""

from __future__ import annotations

import shutil

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from made_up_weights import trained
from strategies import designs
from torch import Tensor
from torch.nn import functional

from nano.design.design import Design
from nano.design.presets import preset
from nano.errors import InputError
from nano.export.native import Convolution, Expansion, Maps, Native, kernels
from nano.networks.blocks import EP, Conv
from nano.networks.catalog import BASELINES
from nano.networks.depthnet import build
from nano.networks.start import skeleton

pytestmark = pytest.mark.skipif(shutil.which("g++") is None, reason="needs a C++ compiler")


def noise(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(7))


def maps_of(image: Tensor) -> Maps:
    """Of one image, C x H x W."""
    return Maps(array=image.permute(1, 2, 0).contiguous(), channels=image.shape[0])


def image_of(maps: Maps) -> Tensor:
    return maps.array[:, :, : maps.channels].permute(2, 0, 1)


def close(found: Tensor, wanted: Tensor) -> bool:
    """The parity of exported files: 1e-5 of the largest, or of 1."""
    return float((found - wanted).abs().max()) <= 1e-5 * max(1.0, float(wanted.abs().max()))


@torch.no_grad()
@settings(max_examples=40, deadline=None)
@given(design=designs(), seed=st.integers(0, 999), wide=st.integers(1, 3))
def test_output_is_torch_s(design: Design, seed: int, wide: int) -> None:
    network = trained(design, seed)
    image = noise(2, 3, 2 * design.stride, wide * design.stride)
    assert close(Native(network)(image), network(image))


@torch.no_grad()
@pytest.mark.parametrize("kernel", [3, 5, 7])
def test_wide_expansions_are_cut_into_columns(kernel: int) -> None:
    module = EP(3, expand=1500, width=5, kernel=kernel)
    for layer in (module.expand, module.depthwise, module.project):
        layer.draw(torch.Generator().manual_seed(0))
    image = noise(3, 6, 45)
    found = Expansion(module.expand, module.depthwise, module.project)(maps_of(image))
    assert close(image_of(found), module(image[None])[0])


@torch.no_grad()
def test_selu_is_torch_s_from_the_smallest_to_the_largest() -> None:
    conv = Conv(1, 1)
    conv.weight.fill_(1)
    size = torch.logspace(-30, 30, 601)
    values = torch.cat((-size, size, torch.linspace(-30, 30, 4001)))[None, None]
    found = image_of(Convolution(conv, activate=True)(maps_of(values)))
    torch.testing.assert_close(found, functional.selu(values), rtol=1e-6, atol=1e-38)


@torch.no_grad()
@pytest.mark.parametrize("value", [torch.nan, -torch.inf])
def test_what_is_no_number_is_not_hidden(value: float) -> None:
    conv = Conv(2, 3)
    conv.weight.fill_(1)
    found = Convolution(conv, activate=True)(maps_of(torch.full((2, 4, 4), value)))
    assert image_of(found).isnan().all()


def test_a_network_in_training_stays_as_it_is() -> None:
    network = build(preset("depthnet-tiny"), 0).train()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    Native(network)(noise(1, 3, 64, 64))
    assert all(part.training for part in network.modules())
    for name, tensor in network.state_dict().items():
        torch.testing.assert_close(tensor, before[name], rtol=0, atol=0)


@torch.no_grad()
@pytest.mark.parametrize("batch", [0, 3])
def test_images_come_in_any_number_and_order_of_memory(batch: int) -> None:
    network = trained(preset("depthnet-tiny"), 0)
    image = noise(batch, 64, 96, 6)[..., ::2].permute(0, 3, 1, 2)
    found = Native(network)(image)
    assert found.shape == network(image).shape
    torch.testing.assert_close(found, network(image), rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_torch_s_default_type_is_not_asked() -> None:
    network = trained(preset("depthnet-tiny"), 0)
    image = noise(1, 3, 64, 64)
    wanted = network(image)
    torch.set_default_dtype(torch.float64)
    try:
        found = Native(network)(image)
    finally:
        torch.set_default_dtype(torch.float32)
    assert close(found, wanted)


@pytest.mark.parametrize(
    ("image", "told"),
    [
        (torch.zeros(1, 3, 64, 64, dtype=torch.float64), "not torch.float64 on cpu"),
        (torch.zeros(1, 3, 64, 64, device="meta"), "not torch.float32 on meta"),
        (torch.zeros(1, 3, 64, 65), "65"),
        (torch.zeros(1, 1, 64, 64), r"not \(1, 1, 64, 64\)"),
        (torch.zeros(3, 64, 64), r"not \(3, 64, 64\)"),
    ],
    ids=("double", "elsewhere", "size", "grey", "alone"),
)
def test_images_that_do_not_fit_are_told(image: Tensor, told: str) -> None:
    with pytest.raises(InputError, match=told):
        Native(build(preset("depthnet-tiny"), 0))(image)


def test_networks_of_others_are_told() -> None:
    with pytest.raises(InputError, match="run DepthNets, not a"):
        Native(skeleton(BASELINES["resnet18"], (64, 64)))


@pytest.mark.parametrize("compiler", ["no-such-compiler", "/"])
def test_a_compiler_that_is_not_there_is_told(
    monkeypatch: pytest.MonkeyPatch, compiler: str
) -> None:
    monkeypatch.setenv("CXX", compiler)
    with pytest.raises(InputError, match=f"and {compiler} is no program here"):
        kernels.__wrapped__()


def test_a_compiler_that_fails_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "false")
    with pytest.raises(InputError, match=r"false cannot compile native\.cpp"):
        kernels.__wrapped__()


def test_a_folder_that_may_hold_no_programs_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "true")  # makes nothing to load
    with pytest.raises(InputError, match=r"cannot be loaded: .*native\.so"):
        kernels.__wrapped__()
