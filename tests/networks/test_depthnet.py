from __future__ import annotations

from dataclasses import replace

import jaxtyping
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import designs

from nano.design.design import Design, Module, Stage, Stem, Upconv
from nano.design.presets import preset
from nano.networks.blocks import Conv
from nano.networks.depthnet import DepthNet, build

TINY = preset("depthnet-tiny")
KINDS = {
    "PBEP": Module(squeeze=2, expand=5, width=3),
    "EP": Module(expand=4, width=3),
    "conv": Module(width=3, kernel=1),
}


def regular(depth: int, module: Module) -> Design:
    return Design(
        stem=Stem(width=4, kernel=3),
        stages=(Stage(modules=(module, module), transition=5),) * depth,
        decoder=(Upconv(a=module, b=module),) * depth,
    )


def images(batch: int, height: int, width: int) -> torch.Tensor:
    return torch.randn(batch, 3, height, width, generator=torch.Generator().manual_seed(7))


@pytest.mark.parametrize("depth", [1, 2, 3, 4])
@pytest.mark.parametrize("kind", KINDS)
def test_output_is_one_channel_at_half_size(depth: int, kind: str) -> None:
    design = regular(depth, KINDS[kind])
    height, width = design.stride, 3 * design.stride
    output = build(design, 0)(images(2, height, width))
    assert output.shape == (2, 1, height // 2, width // 2)


@settings(max_examples=25, deadline=None)
@given(design=designs(), seed=st.integers(0, 2**31 - 1))
def test_gradient_reaches_every_parameter(design: Design, seed: int) -> None:
    network = build(design, seed).double()
    size = 2 * design.stride
    network(images(2, size, size).double()).square().mean().backward()
    for name, weight in network.named_parameters():
        assert weight.grad is not None, name
        assert torch.isfinite(weight.grad).all(), name


def test_every_convolution_of_the_tiny_preset_receives_a_gradient_that_is_not_zero() -> None:
    network = build(TINY, 0).double()
    network(images(2, 64, 64).double()).square().mean().backward()
    still = [
        name for name, weight in network.named_parameters() if not weight.grad.abs().max() > 1e-9
    ]
    assert still == []


def test_same_seed_same_weights_whatever_the_global_generator_does() -> None:
    torch.manual_seed(1)
    first = build(TINY, 5).state_dict()
    torch.manual_seed(2)
    second = build(TINY, 5).state_dict()
    other = build(TINY, 6).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first["stem.conv.weight"], other["stem.conv.weight"])


def test_building_leaves_the_global_generator_alone() -> None:
    before = torch.get_rng_state()
    build(TINY, 0)
    DepthNet(TINY)
    assert torch.equal(before, torch.get_rng_state())


def test_without_a_generator_all_convolutions_are_zero() -> None:
    assert all(
        not weight.any()
        for layer in DepthNet(TINY).modules()
        if isinstance(layer, Conv)
        for weight in layer.parameters()
    )


def test_weights_start_lecun_normal_and_biases_zero() -> None:
    network = build(preset("depthnet-nano"), 0)
    for name, layer in network.named_modules():
        if isinstance(layer, Conv):
            fan_in = layer.kernel_size[0] ** 2 * layer.in_channels // layer.groups
            count = layer.weight.numel()
            sd = layer.weight.square().mean().sqrt().item() * fan_in**0.5
            assert abs(sd - 1) < 5 / (2 * count) ** 0.5, name  # five standard errors
            assert layer.bias is None or not layer.bias.any(), name


def test_only_the_first_projection_of_a_pbep_lacks_a_bias() -> None:
    design = replace(regular(1, KINDS["EP"]), stages=regular(1, KINDS["PBEP"]).stages)
    bare = [
        name
        for name, layer in build(design, 0).named_modules()
        if isinstance(layer, Conv) and layer.bias is None
    ]
    assert bare == ["stages.0.members.0.squeeze", "stages.0.members.1.squeeze"]


def test_a_plain_convolution_module_is_a_nonlinearity() -> None:
    network = build(regular(1, KINDS["conv"]), 0)
    member = network.stages[0].members[0]
    maps = images(1, 4, 4)[:, :1].repeat(1, 4, 1, 1)
    expected = torch.nn.functional.selu(member.conv(maps))
    assert torch.equal(member(maps), expected)


def test_each_upconv_reads_the_maps_that_the_design_calls_its_skip() -> None:
    design = preset("depthnet-nano")
    read = [pair.a.expand.in_channels for pair in build(design, 0).decoder]
    assert read == [176 + 79, 112 + 30, 48 + 14, 25 + 14]


def test_skips_are_the_pooled_transitions_then_the_pooled_stem_then_the_stem() -> None:
    design = replace(
        regular(3, KINDS["EP"]),
        stages=tuple(Stage(modules=(KINDS["EP"],), transition=t) for t in (5, 6, 7)),
    )
    network = build(design, 0)
    seen: dict[str, torch.Tensor] = {}
    network.stem.register_forward_hook(lambda _m, _i, out: seen.update(stem=out))
    network.stages[0].register_forward_hook(lambda _m, _i, out: seen.update(first=out))
    skips = []
    for pair in network.decoder:
        pair.register_forward_hook(lambda _m, inputs, _o: skips.append(inputs[1]))
    network(images(1, 32, 32))
    assert torch.equal(skips[0], seen["first"])
    assert torch.equal(skips[1], torch.nn.functional.avg_pool2d(seen["stem"], 2))
    assert torch.equal(skips[2], seen["stem"])


def test_in_place_selu_gives_the_gradients_of_a_finite_difference() -> None:
    network = build(TINY, 3).double().eval()
    image = images(1, 32, 32).double()
    weight = network.stages[0].members[0].expand.weight
    network(image).square().sum().backward()
    step = 1e-6
    with torch.no_grad():
        weight[0, 0] += step
        above = network(image).square().sum()
        weight[0, 0] -= 2 * step
        below = network(image).square().sum()
    slope = (above - below).item() / (2 * step)
    assert weight.grad[0, 0].item() == pytest.approx(slope, rel=1e-5, abs=1e-7)


def test_bfloat16_channels_last_stays_close_to_float32() -> None:
    network = build(TINY, 0)
    image = images(4, 64, 96)
    with torch.no_grad():
        exact = network.eval()(image)
        network.to(memory_format=torch.channels_last)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            rounded = network(image.to(memory_format=torch.channels_last))
    assert rounded.dtype == torch.bfloat16
    error = (rounded.float() - exact).square().mean().sqrt() / exact.std()
    assert error < 0.03  # bfloat16 keeps 8 bits: 0.4 % a rounding, over some 30 roundings


def test_channels_last_changes_nothing_but_rounding() -> None:
    network = build(TINY, 0)
    image = images(2, 64, 64)
    with torch.no_grad():
        plain = network(image)
        network.to(memory_format=torch.channels_last)
        other = network(image.to(memory_format=torch.channels_last))
    torch.testing.assert_close(plain, other, rtol=1e-4, atol=1e-5)


def test_training_under_bfloat16_autocast_keeps_float32_gradients() -> None:
    network = build(TINY, 0).to(memory_format=torch.channels_last)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = network(images(2, 64, 64).to(memory_format=torch.channels_last))
        output.float().square().mean().backward()
    gradients = [weight.grad for weight in network.parameters()]
    assert all(g.dtype == torch.float32 and torch.isfinite(g).all() for g in gradients)


def test_torch_export_gives_the_same_output() -> None:
    network = build(TINY, 0).eval()
    image = images(1, 64, 64)
    exported = torch.export.export(network, (image,)).module()
    with torch.no_grad():
        torch.testing.assert_close(exported(image), network(image))


def test_torch_compile_captures_the_whole_network(monkeypatch: pytest.MonkeyPatch) -> None:
    # The shape checks, which only tests switch on, are beyond what torch.compile can trace.
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
    network = build(TINY, 0).eval()
    image = images(1, 64, 64)
    compiled = torch.compile(network, backend="eager", fullgraph=True)
    with torch.no_grad():
        torch.testing.assert_close(compiled(image), network(image))
