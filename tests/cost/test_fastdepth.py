"""The closed form, the walk and torch count the same FastDepth."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import fastdepths

from nano.cost.count import count, count_by_module, total
from nano.cost.fastdepth import fastdepth_layers
from nano.cost.population import count_population
from nano.cost.table import part_rows
from nano.design.fastdepth import FULL, PRUNED, SMALL, FastDepthDesign
from nano.design.fastdepth_prototype import fastdepth_prototype
from nano.errors import DesignError
from nano.networks.catalog import BASELINES, architecture_of
from nano.networks.count import count_by_running, count_parts

SIZES = st.tuples(st.integers(1, 3), st.integers(1, 3)).map(lambda s: (32 * s[0], 32 * s[1]))


@settings(max_examples=40)
@given(design=fastdepths(), size=SIZES)
def test_the_closed_form_is_the_sum_over_operations(
    design: FastDepthDesign, size: tuple[int, int]
) -> None:
    assert count(design, size) == total(fastdepth_layers(design, size))


@settings(max_examples=5, deadline=None)
@given(design=fastdepths(), size=SIZES)
def test_the_formula_counts_what_torch_runs(design: FastDepthDesign, size: tuple[int, int]) -> None:
    cost, ran = count(design, size), count_by_running(architecture_of(design), size)
    assert (cost.params, cost.params_with_statistics) == (ran.params, ran.params_with_statistics)
    assert (cost.macs, cost.activations) == (ran.macs, ran.activations)


def test_every_part_costs_what_torch_says() -> None:
    design, size = FastDepthDesign(widths=SMALL), (64, 192)
    baseline = architecture_of(design)
    assert not hasattr(baseline, "stages")
    ran = {part.name: part.count for part in count_parts(baseline, size)}  # type: ignore[arg-type]
    shares = {share.part: share.cost for share in count_by_module(design, size)}
    assert list(shares) == list(ran)
    for name, cost in shares.items():
        assert (cost.params, cost.macs, cost.activations) == (
            ran[name].params,
            ran[name].macs,
            ran[name].activations,
        )
    rows = {row.part: row for row in part_rows(design, size)}
    assert rows["conv13"].output == "256@2x6" and rows["head"].output == "1@64x192"
    assert sum(row.macs_share for row in rows.values()) == pytest.approx(1)


@pytest.mark.parametrize(
    ("widths", "params", "macs"),
    [(FULL, 3_960_930, 736_658_944), (PRUNED, 1_360_786, 366_393_384)],
)
def test_the_formula_has_the_published_totals(
    widths: tuple[int, ...], params: int, macs: int
) -> None:
    cost = count(FastDepthDesign(widths=widths), (224, 224))
    assert (cost.params, cost.macs) == (params, macs)


def test_two_designs_of_the_same_widths_have_one_key() -> None:
    assert FastDepthDesign(widths=FULL).key == BASELINES["fastdepth"].key


@settings(max_examples=30)
@given(shares=st.lists(st.floats(0, 1), min_size=16, max_size=16))
def test_a_population_costs_what_its_members_cost(shares: list[float]) -> None:
    family = fastdepth_prototype("fastdepth-small")
    rows = [
        [
            g.clip(g.low + share * (g.high - g.low))
            for g, share in zip(family.genes, one, strict=True)
        ]
        for one in (shares, shares[::-1])
    ]
    found = count_population(np.array(rows), family, (64, 192))
    for i, row in enumerate(rows):
        assert found.of(i) == count(family.design(row), (64, 192))


def test_a_size_that_does_not_divide_is_refused() -> None:
    with pytest.raises(DesignError, match="multiples of 32"):
        count(FastDepthDesign(widths=SMALL), (48, 64))
