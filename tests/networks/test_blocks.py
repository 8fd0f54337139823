from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from nano.design.design import Module, Stage, Upconv
from nano.networks.blocks import EP, PBEP, Conv, DenseStage, UpconvPair, build_module

GENERATOR_SEED = 11


def maps(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(5))


def drawn(block: nn.Module) -> nn.Module:
    """The block with weights, and with biases that a test can see."""
    generator = torch.Generator().manual_seed(GENERATOR_SEED)
    for layer in block.modules():
        if isinstance(layer, Conv):
            layer.draw(generator)
            if layer.bias is not None:
                nn.init.normal_(layer.bias, generator=generator)
    return block


def test_pbep_projects_normalises_expands_filters_and_projects() -> None:
    block = drawn(PBEP(4, squeeze=3, expand=6, width=5, kernel=5))
    x = maps(2, 4, 8, 6)
    squeezed = functional.conv2d(x, block.squeeze.weight)
    squeezed = (squeezed - squeezed.mean((0, 2, 3), keepdim=True)) / torch.sqrt(
        squeezed.var((0, 2, 3), correction=0, keepdim=True) + block.norm.eps
    )
    y = functional.selu(functional.conv2d(squeezed, block.expand.weight, block.expand.bias))
    depthwise = block.depthwise
    y = functional.conv2d(y, depthwise.weight, depthwise.bias, padding=2, groups=6)
    y = functional.conv2d(functional.selu(y), block.project.weight, block.project.bias)
    torch.testing.assert_close(block(x), y, rtol=1e-4, atol=1e-5)


def test_ep_expands_filters_and_projects_without_batch_norm() -> None:
    block = drawn(EP(4, expand=6, width=5, kernel=3))
    x = maps(2, 4, 8, 6)
    y = functional.selu(functional.conv2d(x, block.expand.weight, block.expand.bias))
    depthwise = block.depthwise
    y = functional.conv2d(y, depthwise.weight, depthwise.bias, padding=1, groups=6)
    y = functional.conv2d(functional.selu(y), block.project.weight, block.project.bias)
    torch.testing.assert_close(block(x), y)


@pytest.mark.parametrize("pool", [True, False])
def test_a_stage_concatenates_then_pools_before_the_selu(pool: bool) -> None:
    modules = (Module(width=2), Module(squeeze=2, expand=3, width=4), Module(expand=3, width=1))
    stage = drawn(DenseStage(Stage(modules=modules, transition=5), 3, pool=pool)).eval()
    x = maps(2, 3, 8, 8)
    first, second, third = stage.members
    joined = torch.cat((x, first(x)), 1)
    joined = torch.cat((joined, second(joined)), 1)
    joined = torch.cat((joined, third(joined)), 1)
    expected = stage.transition(joined)
    if pool:
        expected = expected.reshape(2, 5, 4, 2, 4, 2).mean((3, 5))
    torch.testing.assert_close(stage(x), functional.selu(expected))


def test_upsampling_is_bilinear_between_pixel_centres() -> None:
    pair = UpconvPair(Upconv(a=Module(width=1, kernel=1), b=Module(width=1, kernel=1)), 1, 1)
    seen: list[Tensor] = []
    pair.a.register_forward_pre_hook(lambda _m, inputs: seen.append(inputs[0]))
    skip = maps(1, 1, 2, 4)
    pair(torch.tensor([[[[0.0, 4.0]]]]), skip)
    row = torch.tensor([0.0, 1.0, 3.0, 4.0])  # align_corners would make it 0, 4/3, 8/3, 4
    torch.testing.assert_close(seen[0][0, 0], row.expand(2, 4))
    assert torch.equal(seen[0][:, 1:], skip)


def test_training_keeps_each_expanded_map_once() -> None:
    block = drawn(EP(4, expand=6, width=5, kernel=3))
    x = maps(2, 4, 8, 8).requires_grad_()
    weights = {weight.data_ptr() for weight in block.parameters()}
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        if tensor.data_ptr() not in weights:
            kept[tensor.data_ptr()] = tensor.numel()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        output = block(x)
    assert output.requires_grad
    assert sum(kept.values()) == 2 * 8 * 8 * (4 + 6 + 6)  # input, expanded, filtered


@pytest.mark.parametrize(
    ("module", "kind"),
    [
        (Module(squeeze=2, expand=3, width=4), "PBEP"),
        (Module(expand=3, width=4), "EP"),
        (Module(width=4), "ConvSelu"),
    ],
)
def test_any_kind_of_module_adds_its_width_and_keeps_the_size(module: Module, kind: str) -> None:
    block = build_module(module, 5)
    assert type(block).__name__ == kind
    assert block(maps(1, 5, 6, 7)).shape == (1, 4, 6, 7)
