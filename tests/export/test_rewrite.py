"""Exact rewrites: the same output, fewer MACs, and nothing changed in what was given."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from made_up_weights import trained
from strategies import designs
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from nano.cost.count import count
from nano.cost.layers import walk
from nano.design.design import Design
from nano.design.presets import preset
from nano.export.rewrite import fold_norms, mix_low, pool_first, rewritten
from nano.networks.catalog import BASELINES
from nano.networks.depthnet import DepthNet
from nano.networks.start import skeleton

PAPER = (384, 1280)


def macs(network: nn.Module, size: tuple[int, int]) -> int:
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        network.to("meta").eval()(torch.empty(1, 3, *size, device="meta"))
    return counter.get_total_flops() // 2


@settings(max_examples=15)
@given(design=designs(), seed=st.integers(0, 999))
@pytest.mark.parametrize("rewrite", [fold_norms, pool_first, mix_low, rewritten])
def test_output_stays_the_same(
    rewrite: Callable[[nn.Module], nn.Module], design: Design, seed: int
) -> None:
    network = trained(design, seed).double()
    size = 2 * design.stride
    image = torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(7)).double()
    with torch.no_grad():
        before, after = network(image), rewrite(network)(image)
        assert torch.equal(network(image), before)
    torch.testing.assert_close(after, before, rtol=1e-9, atol=1e-9)


def test_norms_are_folded() -> None:
    network = fold_norms(trained(preset("depthnet-tiny"), 0))
    assert not [part for part in network.modules() if isinstance(part, nn.BatchNorm2d)]


@pytest.mark.slow
def test_macs_that_each_rewrite_saves_for_the_paper_s_preset() -> None:
    design = preset("depthnet-nano")
    with torch.device("meta"):
        network = DepthNet(design)
    assert macs(network, PAPER) == count(design, PAPER).macs == 4_660_535_040
    assert macs(pool_first(network), PAPER) == 4_402_939_200
    assert macs(mix_low(network), PAPER) == 3_991_822_080
    assert macs(rewritten(network.eval()), PAPER) == 3_734_226_240


def test_pooling_first_saves_three_quarters_of_the_transitions() -> None:
    design = preset("depthnet-tiny")
    layers = list(walk(design, (64, 64)))
    saved = sum(
        layer.macs * 3 // 4
        for layer in layers
        if layer.part.startswith("transition") and layer.operation == "conv"
    )
    with torch.device("meta"):
        network = DepthNet(design)
    assert macs(pool_first(network), (64, 64)) == count(design, (64, 64)).macs - saved


def test_mixing_low_saves_three_quarters_of_what_reads_the_smaller_maps() -> None:
    design = preset("depthnet-tiny")
    layers = list(walk(design, (64, 64)))
    smaller = [layer.channels for layer in layers if layer.operation == "upsample"]
    firsts = [
        next(one for one in layers if one.unit == f"up {i}A" and one.operation == "conv")
        for i in range(1, len(smaller) + 1)
    ]
    saved = sum(
        channels * first.channels * first.size[0] * first.size[1] * 3 // 4
        for channels, first in zip(smaller, firsts, strict=True)
    )
    with torch.device("meta"):
        network = DepthNet(design)
    assert macs(mix_low(network), (64, 64)) == count(design, (64, 64)).macs - saved


def test_networks_of_others_pass_through() -> None:
    network = skeleton(BASELINES["resnet18"], (64, 64))
    assert macs(rewritten(network), (64, 64)) == macs(network, (64, 64))
