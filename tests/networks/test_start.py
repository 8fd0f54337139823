from __future__ import annotations

import pytest
import torch

from nano.design.presets import preset
from nano.errors import DesignError
from nano.networks.catalog import BASELINES, Architecture
from nano.networks.start import started

SIZE = (32, 32)


@pytest.mark.parametrize(
    "architecture", [BASELINES["densedepth-half"], preset("depthnet-tiny")], ids=["baseline", "own"]
)
def test_a_start_is_the_seed_s_and_leaves_the_global_generator_alone(
    architecture: Architecture,
) -> None:
    before = torch.get_rng_state()
    first, again, other = (started(architecture, SIZE, seed).state_dict() for seed in (0, 0, 1))
    assert torch.equal(before, torch.get_rng_state())
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


def test_a_baseline_starts_he_normal_with_norms_at_their_identity() -> None:
    network = started(BASELINES["densedepth-half"], SIZE, 0)
    tensors = network.state_dict()
    kernel = tensors["up1.a.weight"]
    assert kernel.std().item() == pytest.approx((2 / kernel[0].numel()) ** 0.5, rel=0.01)
    assert not tensors["up1.a.bias"].any()
    assert (tensors["encoder.norm0.weight"] == 1).all()
    assert (tensors["encoder.norm0.running_var"] == 1).all()
    assert not tensors["encoder.norm0.running_mean"].any()
    assert tensors["encoder.norm0.num_batches_tracked"] == 0
    assert all(tensor.isfinite().all() for tensor in tensors.values())


def test_a_size_the_network_does_not_take_is_refused() -> None:
    with pytest.raises(DesignError, match="multiples of 32, from 32 on; nearest 32x64"):
        started(BASELINES["densedepth"], (33, 64), 0)
