from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nano.networks.ordinal import (
    DECISIONS,
    decode_ordinal,
    encode_ordinal,
    ordinal_loss,
    thresholds,
)


def depths(*metres: float) -> torch.Tensor:
    return torch.tensor(metres, dtype=torch.float64).view(1, 1, 1, -1)


def certain(label: torch.Tensor, strength: float = 20.0) -> torch.Tensor:
    """The output that says a label with confidence: yes to the first of the decisions."""
    yes = torch.arange(DECISIONS).view(1, -1, 1, 1) < label
    logits = torch.where(yes, strength, -strength)
    return torch.stack((-logits / 2, logits / 2), dim=2).flatten(1, 2)


def test_thresholds_are_even_steps_of_log_depth() -> None:
    steps = thresholds().log().diff()
    assert (thresholds()[0], thresholds()[-1]) == pytest.approx((1.0, 80.0))
    assert torch.allclose(steps, steps[:1].expand_as(steps))
    assert steps[0].item() == pytest.approx(math.log(80) / 71)


def test_labels_count_the_thresholds_passed() -> None:
    first = thresholds()[1].item()
    found = encode_ordinal(depths(0.0, 1.0, first - 1e-6, first, 79.9, 80.0, 500.0))
    assert found.flatten().tolist() == [0, 0, 0, 1, 70, 71, 71]


@given(metres=st.floats(1.0, 79.9))
def test_a_certain_output_decodes_to_the_middle_of_the_depth_s_own_interval(metres: float) -> None:
    label = encode_ordinal(depths(metres))
    (found,) = decode_ordinal(certain(label)).flatten().tolist()
    near, far = thresholds()[int(label)].item(), thresholds()[int(label) + 1].item()
    assert near <= metres < far
    assert found == pytest.approx((near + far) / 2, rel=1e-5)
    assert abs(found - metres) / metres < 0.035  # half a step of ln(80) / 71, and rounding


def test_yeses_are_counted_wherever_they_stand() -> None:
    scattered = certain(torch.zeros(1, 1, 1, 1))
    for place in (3, 10, 70):
        scattered[:, 2 * place : 2 * place + 2] *= -1
    assert torch.equal(decode_ordinal(scattered), decode_ordinal(certain(torch.full((1,) * 4, 3))))
    assert decode_ordinal(certain(torch.full((1,) * 4, 71))).item() == 80.0


def test_the_loss_is_the_sum_of_the_paper_s_logarithms() -> None:
    generator = torch.Generator().manual_seed(0)
    output = torch.randn(1, 2 * DECISIONS, 1, 2, generator=generator)
    label = torch.tensor([5.0, 40.0]).view(1, 1, 1, 2)
    wanted = 0.0
    for pixel in range(2):
        pairs = output[0, :, 0, pixel].view(DECISIONS, 2).softmax(dim=1)
        passed = int(label[0, 0, 0, pixel])
        wanted -= pairs[:passed, 1].log().sum().item() + pairs[passed:, 0].log().sum().item()
    valid = torch.ones(1, 1, 1, 2, dtype=torch.bool)
    assert ordinal_loss(output, label, valid, valid.sum()).item() == pytest.approx(
        wanted / 2, rel=1e-5
    )
    valid[..., 1] = False
    alone = ordinal_loss(output[..., :1], label[..., :1], valid[..., :1], valid[..., :1].sum())
    assert ordinal_loss(output, label, valid, valid.sum()).item() == pytest.approx(
        alone.item(), rel=1e-6
    )
    assert ordinal_loss(output, label, valid & False, (valid & False).sum()).item() == 0.0


def test_the_loss_is_least_where_the_output_says_the_label() -> None:
    label = torch.full((1, 1, 2, 2), 30.0)
    valid = torch.ones(1, 1, 2, 2, dtype=torch.bool)
    losses = [
        ordinal_loss(certain(label + off), label, valid, valid.sum()).item()
        for off in (0, 1, -1, 20)
    ]
    assert losses[0] < 1e-5
    assert losses[1] == pytest.approx(losses[2]) == pytest.approx(20.0, rel=1e-4)
    assert losses[3] == pytest.approx(400.0, rel=1e-4)
