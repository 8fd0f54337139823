from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nano.cost.count import count
from nano.design.fastdepth import LAYERS, SKIPS, TIED, FastDepthDesign, Widths
from nano.errors import DesignError
from nano.networks.catalog import architecture_of
from nano.networks.fastdepth import FastDepth
from nano.networks.netadapt import Judged, Narrowing, Proposal, adapt_round, narrowed
from nano.networks.start import started

SIZE = (32, 64)
SMALL = FastDepthDesign(widths=tuple(16 if i in (0, 18) else 24 for i in range(19)))


def cost(design: FastDepthDesign) -> float:
    return count(design, SIZE).macs


COST = cost(SMALL)


def narrowing(budget: float, ask: float, **more: Any) -> Narrowing:
    """In shares of the small one's cost."""
    return Narrowing(cost=cost, budget=budget * COST, ask=ask * COST, **more)


@st.composite
def some_widths(draw: st.DrawFn, least: int = 1) -> Widths:
    widths = draw(st.lists(st.integers(least, 40), min_size=19, max_size=19))
    for early, late in SKIPS.items():
        widths[late] = widths[early]
    return tuple(widths)


def network_of(widths: Widths, seed: int = 0) -> FastDepth:
    network = started(architecture_of(FastDepthDesign(widths=widths)), SIZE, seed)
    assert isinstance(network, FastDepth)
    return network.eval()


@pytest.mark.parametrize("multiple", [4, 8])
def test_each_layer_proposes_the_widest_narrowing_that_saves_enough(multiple: int) -> None:
    found = narrowing(0.5, 0.03, multiple=multiple).proposals(SMALL)
    assert len({proposal.layer for proposal in found}) == len(found) > 3
    for proposal in found:
        assert cost(proposal.design) <= 0.97 * COST
        changed = tuple(i for i in range(19) if proposal.design.widths[i] != SMALL.widths[i])
        assert changed in TIED and LAYERS[changed[0]] == proposal.layer
        width = proposal.design.widths[changed[0]]
        assert width % multiple == 0
        for other in range(width + multiple, SMALL.widths[changed[0]], multiple):
            wider = tuple(other if i in changed else w for i, w in enumerate(SMALL.widths))
            assert cost(FastDepthDesign(widths=wider)) > 0.97 * COST


def test_less_is_asked_where_no_layer_saves_as_much() -> None:
    found = narrowing(0.1, 0.9).proposals(SMALL)
    assert found and all(0.1 * COST < cost(proposal.design) < COST for proposal in found)


def test_layers_to_keep_are_kept_in_both_places() -> None:
    layers = {p.layer for p in narrowing(0.5, 0.02, keep=("up4", "conv2")).proposals(SMALL)}
    assert layers and not layers & {"conv1", "conv2"}  # up4's maps are added to conv1's


@settings(max_examples=10, deadline=None)
@given(widths=some_widths(least=2), data=st.data())
def test_dropping_filters_that_are_zero_changes_nothing(
    widths: Widths, data: st.DataObject
) -> None:
    """Whatever else is narrowed away: channels that carry nothing, batch norm's shift included."""
    group = data.draw(st.sampled_from(TIED))
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
    network = network_of(SMALL.widths)
    copy = narrowed(network, SMALL.widths, SMALL.widths).state_dict()
    assert all(torch.equal(tensor, copy[name]) for name, tensor in network.state_dict().items())


def likes(layer: str):
    def judge(proposal: Proposal, network: FastDepth) -> Judged:
        liked = 1.0 if proposal.layer == layer else 0.5
        accuracy = None if proposal.layer == "conv0" else liked  # conv0's training diverges
        return Judged(proposal=proposal, network=network, accuracy=accuracy)

    return judge


@pytest.mark.parametrize("layer", ["conv4", "conv1"])
def test_a_round_takes_what_the_judge_likes_best(layer: str) -> None:
    best, told = adapt_round(SMALL, network_of(SMALL.widths), narrowing(0.5, 0.01), likes(layer))
    assert best.proposal.layer == layer
    assert told[layer] == best.accuracy == 1.0
    assert set(told.values()) <= {1.0, 0.5, None}
    params = sum(weight.numel() for weight in best.network.parameters())
    assert params == count(best.proposal.design, SIZE).params


def test_a_round_in_which_all_diverge_is_told() -> None:
    def hopeless(proposal: Proposal, network: FastDepth) -> Judged:
        return Judged(proposal=proposal, network=network, accuracy=None)

    with pytest.raises(DesignError, match="every short training"):
        adapt_round(SMALL, network_of(SMALL.widths), narrowing(0.5, 0.01), hopeless)


def test_a_budget_out_of_reach_is_told() -> None:
    with pytest.raises(DesignError, match=r"out of reach: the smallest network, 8\b"):
        narrowing(0.01, 0.03).check_reachable(SMALL)
    narrowing(0.5, 0.03).check_reachable(SMALL)
    with pytest.raises(DesignError, match="out of reach"):
        narrowing(0.5, 0.03, keep=LAYERS).check_reachable(SMALL)


def test_nothing_narrower_is_told() -> None:
    thin = FastDepthDesign(widths=(8,) * 19)
    with pytest.raises(DesignError, match="no layer can be narrowed further"):
        narrowing(0.01, 0.03).proposals(thin)


def test_a_layer_that_is_none_is_told() -> None:
    with pytest.raises(DesignError, match=r"no layer 'conv14' to keep; layers: conv0, "):
        narrowing(0.5, 0.03, keep=("conv14",))
