from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nano.networks.target import TARGETS

RANGES = {"log": (1e-3, 1e3), "inverse": (1.0, 80.0), "metres": (1e-3, 1e3)}


def test_every_target_is_known_by_its_name() -> None:
    assert {name: target.name for name, target in TARGETS.items()} == {
        "log": "log",
        "inverse": "inverse",
        "metres": "metres",
        "ordinal": "ordinal",
    }
    assert {name: target.outputs for name, target in TARGETS.items()} == {
        "log": 1,
        "inverse": 1,
        "metres": 1,
        "ordinal": 142,
    }


@pytest.mark.parametrize(
    ("target", "depth_m", "output"),
    [
        ("log", 10.0, 0.0),
        ("log", 10.0 * math.e, 1.0),
        ("log", 1.0, -math.log(10)),
        ("inverse", 80.0, 1.0),
        ("inverse", 1.0, 80.0),
        ("inverse", 8.0, 10.0),
        ("metres", 7.5, 7.5),
    ],
)
def test_known_pairs(target: str, depth_m: float, output: float) -> None:
    encoded = TARGETS[target].encode(torch.tensor([depth_m]))
    decoded = TARGETS[target].decode(torch.tensor([output]))
    torch.testing.assert_close(encoded, torch.tensor([output]))
    torch.testing.assert_close(decoded, torch.tensor([depth_m]))


@pytest.mark.parametrize("name", RANGES)
@given(part=st.floats(0, 1))
def test_decode_undoes_encode_over_the_whole_range(name: str, part: float) -> None:
    low, high = RANGES[name]
    depth_m = torch.tensor([low * (high / low) ** part], dtype=torch.float64)
    target = TARGETS[name]
    torch.testing.assert_close(target.decode(target.encode(depth_m)), depth_m)


@pytest.mark.parametrize("name", RANGES)
@given(depth_m=st.floats(0, 3e4), output=st.floats(width=16, allow_nan=False))
def test_nothing_leaves_the_range_and_nothing_is_infinite(
    name: str, depth_m: float, output: float
) -> None:
    low, high = RANGES[name]
    target = TARGETS[name]
    assert torch.isfinite(target.encode(torch.tensor([depth_m]))).all()
    decoded = target.decode(torch.tensor([output], dtype=torch.bfloat16))
    assert decoded.dtype == torch.float32
    assert low * (1 - 1e-5) <= decoded.item() <= high * (1 + 1e-5)


@pytest.mark.parametrize("name", RANGES)
def test_both_ways_are_differentiable(name: str) -> None:
    target = TARGETS[name]
    depth_m = torch.tensor([2.0, 7.5, 60.0], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(target.encode, (depth_m,))
    output = torch.tensor([1.5, 3.0, 4.5], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(target.decode, (output,))
