from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from nano.design.presets import preset
from nano.networks.blocks import Conv
from nano.networks.depthnet import DepthNet, build
from nano.networks.health import alive, health

TINY = preset("depthnet-tiny")


def textured(batch: int, height: int, width: int, *, grain: int) -> torch.Tensor:
    """Images of unit variance whose neighbouring pixels agree, as in photographs."""
    generator = torch.Generator().manual_seed(1)
    coarse = torch.randn(batch, 3, height // grain, width // grain, generator=generator)
    images = nn.functional.interpolate(coarse, size=(height, width), mode="bilinear")
    return (images - images.mean()) / images.std()


def convolutions(network: DepthNet) -> list[Conv]:
    return [layer for layer in network.modules() if isinstance(layer, Conv)]


def test_dense_selu_keeps_unit_variance_through_82_modules() -> None:
    network = build(preset("depthnet-nano"), 0)
    found = {layer.name: layer for layer in health(network, textured(1, 192, 640, grain=16))}
    for stage, sd in enumerate((0.96, 0.97, 0.95, 0.90), start=1):
        concatenation = found[f"stage {stage} concatenation"]
        assert concatenation.sd == pytest.approx(sd, abs=0.07)  # quoted at 384x1280, another seed
        assert abs(concatenation.mean) < 0.05
    for upconv in range(1, 5):
        assert 0.6 < found[f"upconv {upconv} b"].sd < 1.1
    assert 0.2 < found["output"].sd < 1.5  # one channel, one draw of its few weights


def test_parts_are_listed_in_reading_order_with_their_true_statistics() -> None:
    network = build(TINY, 0)
    images = textured(2, 64, 64, grain=4)
    found = health(network, images)
    names = [layer.name for layer in found]
    assert names[:5] == [
        "input",
        "stem",
        "stage 1 module 1",
        "stage 1 concatenation",
        "stage 1 transition",
    ]
    assert names[-3:] == ["upconv 4 a", "upconv 4 b", "output"]
    assert "stage 4 bridge" in names
    stem = network.stem(images)
    assert found[1].mean == pytest.approx(stem.mean().item(), abs=1e-5)
    assert found[1].sd == pytest.approx(stem.std().item(), rel=1e-3)
    with torch.no_grad():
        output = network.train()(images)
    assert found[-1].sd == pytest.approx(output.std().item(), rel=1e-3)


def test_batch_norm_uses_the_statistics_of_the_images_in_either_mode() -> None:
    images = textured(2, 64, 64, grain=4)
    assert health(build(TINY, 0).eval(), images) == health(build(TINY, 0).train(), images)


def test_looking_changes_nothing() -> None:
    network = build(TINY, 0)
    network.decoder.eval()
    modes = [module.training for module in network.modules()]
    before = {name: value.clone() for name, value in network.state_dict().items()}
    health(network, textured(2, 64, 64, grain=4))
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    assert modes == [module.training for module in network.modules()]
    assert not any(
        module._forward_hooks or module._forward_pre_hooks for module in network.modules()
    )


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**31 - 1))
def test_presets_are_alive_at_any_seed(seed: int) -> None:
    assert alive(build(preset("depthnet-small"), seed), textured(2, 64, 192, grain=4)) is None


def scaled(network: DepthNet, gain: float) -> DepthNet:
    with torch.no_grad():
        for layer in convolutions(network):
            layer.weight.mul_(gain)
    return network


def he_start(network: DepthNet) -> DepthNet:
    return scaled(network, 2**0.5)


def torch_start(network: DepthNet) -> DepthNet:
    torch.manual_seed(0)
    for layer in convolutions(network):
        nn.Conv2d.reset_parameters(layer)
    return network


def zero_start(network: DepthNet) -> DepthNet:
    return scaled(network, 0.0)


def deaf(network: DepthNet) -> DepthNet:
    """Flat: a head that only repeats its bias."""
    with torch.no_grad():
        network.head.weight.zero_()
        network.head.bias.fill_(0.5)
    return network


def broken(network: DepthNet) -> DepthNet:
    with torch.no_grad():
        network.stages[1].transition.weight[0, 0] = float("nan")
    return network


@pytest.mark.parametrize(
    ("sicken", "reason"),
    [
        (he_start, "explodes"),
        (torch_start, "dies"),
        (zero_start, "stem: the signal dies"),
        (deaf, "output: the signal dies"),
        (broken, "stage 2 transition: values that are not finite"),
    ],
)
def test_a_sick_start_is_told_apart(sicken, reason: str) -> None:
    network = sicken(build(preset("depthnet-nano"), 0))
    verdict = alive(network, textured(2, 64, 192, grain=4))
    assert verdict is not None
    assert reason in verdict


def test_an_output_that_ignores_the_image_is_dead() -> None:
    network = build(TINY, 0)
    fixed = torch.randn(1, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    network.head.register_forward_hook(lambda _m, _i, out: fixed.expand_as(out))
    verdict = alive(network, textured(3, 64, 64, grain=4))
    assert verdict == "output: the same map for every image"


def test_an_output_flat_within_an_image_is_dead() -> None:
    network = build(TINY, 0)
    levels = torch.tensor([-1.0, 0.0, 1.0]).view(3, 1, 1, 1)
    network.head.register_forward_hook(lambda _m, _i, out: levels.expand_as(out))
    verdict = alive(network, textured(3, 64, 64, grain=4))
    assert verdict == "output: the same number at every pixel of an image"


def test_one_image_cannot_show_a_reaction() -> None:
    with pytest.raises(ValueError, match="at least 2 images"):
        alive(build(TINY, 0), textured(1, 64, 64, grain=4))
