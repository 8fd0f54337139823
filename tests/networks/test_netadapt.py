from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nano.errors import DesignError
from nano.networks.catalog import BASELINES, Baseline, Widths
from nano.networks.count import count_by_running
from nano.networks.fastdepth import FastDepth
from nano.networks.fastdepth_widths import FULL, PRUNED, SKIPS, macs_of, tied_widths
from nano.networks.netadapt import STEP, adapt, adapt_round, narrowed, proposals
from nano.networks.start import started

FASTDEPTH = BASELINES["fastdepth"]
SIZE = (32, 64)
SMALL = tuple(16 if i in (0, 18) else 24 for i in range(19))
COST = partial(macs_of, size=SIZE)


@st.composite
def some_widths(draw: st.DrawFn, least: int = 1) -> Widths:
    widths = draw(st.lists(st.integers(least, 40), min_size=19, max_size=19))
    for early, late in SKIPS.items():
        widths[late] = widths[early]
    return tuple(widths)


def network_of(widths: Widths, seed: int = 0) -> FastDepth:
    network = started(replace(FASTDEPTH, widths=widths), SIZE, seed)
    assert isinstance(network, FastDepth)
    return network.eval()


@settings(max_examples=15, deadline=None)
@given(widths=some_widths(), rows=st.integers(1, 3), columns=st.integers(1, 3))
def test_the_formula_counts_what_running_counts(widths: Widths, rows: int, columns: int) -> None:
    size = (32 * rows, 32 * columns)
    ran = count_by_running(replace(FASTDEPTH, widths=widths), size)
    assert macs_of(widths, size) == ran.macs


def test_the_formula_has_the_published_totals() -> None:
    assert macs_of(FULL, (224, 224)) == 736_658_944
    assert macs_of(PRUNED, (224, 224)) == 366_393_384


def test_every_width_is_in_one_group_and_added_maps_share_theirs() -> None:
    groups = tied_widths()
    assert sorted(position for group in groups for position in group) == list(range(19))
    assert {group for group in groups if len(group) == 2} == set(SKIPS.items())


def test_each_layer_proposes_the_widest_narrowing_that_saves_enough() -> None:
    budget = 0.97 * COST(SMALL)
    found = dict(proposals(SMALL, COST, budget))
    assert found
    for positions, widths in found.items():
        assert COST(widths) <= budget
        changed = {i for i in range(19) if widths[i] != SMALL[i]}
        assert changed == set(positions)
        width = widths[positions[0]]
        assert width % STEP == 0
        for other in range(width + STEP, SMALL[positions[0]], STEP):
            assert COST(tuple(other if i in positions else w for i, w in enumerate(SMALL))) > budget


@settings(max_examples=10, deadline=None)
@given(widths=some_widths(least=2), data=st.data())
def test_dropping_filters_that_are_zero_changes_nothing(
    widths: Widths, data: st.DataObject
) -> None:
    """Whatever else is narrowed away: channels that carry nothing, batch norm's shift included."""
    group = data.draw(st.sampled_from(tied_widths()))
    dead = data.draw(st.integers(0, widths[group[0]] - 1))
    network = network_of(widths)
    with torch.no_grad():
        for position in group:
            part = f"conv{position}" if position < 14 else f"up{position - 13}"
            layer = network.get_submodule(part)
            layer[0 if position == 0 else 3].weight[dead] = 0
    new = tuple(w - 1 if i in group else w for i, w in enumerate(widths))
    smaller = narrowed(network, widths, new)
    image = torch.randn(1, 3, *SIZE, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        torch.testing.assert_close(smaller(image), network(image), rtol=1e-4, atol=1e-5)
    assert not smaller.training


def test_nothing_is_lost_where_nothing_is_narrowed() -> None:
    network = network_of(SMALL)
    copy = narrowed(network, SMALL, SMALL).state_dict()
    assert all(torch.equal(tensor, copy[name]) for name, tensor in network.state_dict().items())


def likes(position: int):
    def judge(baseline: Baseline, network: FastDepth) -> float:
        return float(baseline.widths[position] < SMALL[position])

    return judge


@pytest.mark.parametrize("position", [4, 2, 16])
def test_a_round_takes_what_the_judge_likes_best(position: int) -> None:
    value = replace(FASTDEPTH, widths=SMALL)
    done = adapt_round(value, network_of(SMALL), COST, 0.99 * COST(SMALL), likes(position))
    assert position in done.narrowed
    assert done.accuracy == 1.0
    assert done.cost == COST(done.baseline.widths) <= 0.99 * COST(SMALL)
    assert count_by_running(done.baseline, SIZE).macs == done.cost
    assert sum(w.numel() for w in done.network.parameters()) == (
        count_by_running(done.baseline, SIZE).params
    )


def test_rounds_go_down_to_the_budget() -> None:
    def widest_least(baseline: Baseline, network: FastDepth) -> float:
        return float(min(baseline.widths))

    value = replace(FASTDEPTH, widths=SMALL)
    budget = 0.8 * COST(SMALL)
    rounds = list(adapt(value, network_of(SMALL), COST, budget, widest_least, share=0.05))
    costs = [COST(SMALL), *(done.cost for done in rounds)]
    assert costs == sorted(costs, reverse=True)
    assert costs[-1] <= budget < costs[-2]


def test_a_budget_out_of_reach_is_told() -> None:
    value = replace(FASTDEPTH, widths=SMALL)
    with pytest.raises(DesignError, match="ask for less at once"):
        adapt_round(value, network_of(SMALL), COST, 0.1 * COST(SMALL), likes(4))
