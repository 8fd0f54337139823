from __future__ import annotations

import itertools
import re
from pathlib import Path

import pytest
import torch

from nano.bench.operations import profile
from nano.cost.count import operations
from nano.cost.layers import Layer
from nano.design.fastdepth_prototype import fastdepth_preset
from nano.design.kinds import AnyDesign
from nano.design.presets import preset

JOBS: list[tuple[AnyDesign, tuple[int, int]]] = [
    (preset("depthnet-tiny"), (32, 64)),
    (fastdepth_preset("fastdepth-pruned"), (32, 32)),
]


def test_every_operation_that_is_counted_is_timed_in_its_order() -> None:
    for (design, size), found in zip(JOBS, profile(JOBS, rounds=1, seed=0), strict=True):
        layers = tuple(operations(design, size))
        assert [timing.layers for timing in found.operations] == [(layer,) for layer in layers]
        assert found.network.layers == layers
        assert all(timing.ms > 0 for timing in found.operations)
        assert found.network.ms > 0


def test_the_least_of_the_rounds_counts() -> None:
    """A clock whose ticks grow: the first round is the fastest, and 1 us more at every reading."""
    readings = itertools.accumulate(itertools.count(1000, 1000))
    (found,) = profile(JOBS[:1], rounds=3, seed=0, clock=lambda: next(readings))
    assert found.network.ms == pytest.approx(0.002)  # the second reading less the first
    first = found.operations[0]
    assert first.ms == pytest.approx(0.008)  # the eighth less the seventh
    assert [timing.ms for timing in found.operations] == sorted(t.ms for t in found.operations)


def test_threads_are_as_before_and_rounds_are_told() -> None:
    before, told = torch.get_num_threads(), list[int]()
    profile(JOBS[:1], rounds=2, seed=0, told=told.append)
    assert (torch.get_num_threads(), told) == (before, [1, 2])


def test_a_network_that_runs_otherwise_than_counted_is_a_bug(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def shortened(design: AnyDesign, size: tuple[int, int]) -> list[Layer]:
        return list(operations(design, size))[:-1]

    monkeypatch.setattr("nano.bench.operations.operations", shortened)
    with pytest.raises(RuntimeError, match="other operations than were counted"):
        profile(JOBS[:1], rounds=1, seed=0)


@pytest.mark.slow
def test_the_python_of_the_page_runs(capsys: pytest.CaptureFixture[str]) -> None:
    page = (Path(__file__).parents[2] / "docs" / "latency.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    exec(code, {})
    error, first = capsys.readouterr().out.splitlines()
    assert error.startswith("LatencyError(designs=4, ")
    assert first.endswith("is worth measuring first")
