"""NetAdapt on FastDepth: narrow one layer at a time until a budget is met.

Yang et al. 2018, "NetAdapt: Platform-Aware Neural Network Adaptation for Mobile Applications",
section 3 and algorithm 1: each round asks for a little less of a resource, every layer makes one
proposal that saves enough by itself, each is trained briefly, and the best of them goes on. The
resource is whatever ``cost`` tells of widths: MACs (`fastdepth_widths.macs_of`), or milliseconds
summed from a table that was measured.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TypeAlias

import torch
from torch import Tensor

from nano.errors import DesignError
from nano.networks.catalog import Baseline, Widths
from nano.networks.fastdepth import FastDepth
from nano.networks.fastdepth_widths import STRIDES, tied_widths

STEP = 8  # widths are multiples of it, which processors like (section 3.2)
Cost: TypeAlias = Callable[[Widths], float]
# Trains a network briefly, in place, and tells its accuracy: more is better.
Judge: TypeAlias = Callable[[Baseline, FastDepth], float]


@dataclass(frozen=True, kw_only=True)
class Round:
    """What a round of narrowing chose.

    Attributes:
        baseline: The network's value, with its new widths.
        network: Itself, as the judge left it.
        narrowed: Positions of the widths that changed.
        cost: Of the new widths.
        accuracy: What the judge told.
    """

    baseline: Baseline
    network: FastDepth
    narrowed: tuple[int, ...]
    cost: float
    accuracy: float


def proposals(
    widths: Widths, cost: Cost, budget: float
) -> Iterator[tuple[tuple[int, ...], Widths]]:
    """For each layer the widest narrowing that brings the cost to the budget, if one does.

    Yields:
        Positions that change (two where maps are added), and all widths.
    """
    for positions in tied_widths():
        widest = (widths[positions[0]] - 1) // STEP * STEP
        for width in range(widest, 0, -STEP):
            narrower = tuple(width if i in positions else w for i, w in enumerate(widths))
            if cost(narrower) <= budget:
                yield positions, narrower
                break


def narrowed(network: FastDepth, old: Widths, new: Widths) -> FastDepth:
    """A copy of the network that keeps, of each narrowed layer, the strongest filters.

    Strength is the L2 norm of the filter (section 3.2); where maps are added, of both that make
    the sum. All that is kept is copied: kernels, norms and their statistics.
    """
    kept = _kept(network, old, new)
    copy = FastDepth(new)
    # Every tensor's first axis is a layer's outputs; a 1x1 kernel's second is its inputs.
    source, target = network.state_dict(), copy.state_dict()
    for name, tensor in source.items():
        rows, columns = _axes(name)
        if rows is not None:
            tensor = tensor[kept[rows]]
        if columns is not None:
            tensor = tensor[:, kept[columns]]
        target[name].copy_(tensor)
    return copy.train(network.training)


def adapt_round(
    baseline: Baseline, network: FastDepth, cost: Cost, budget: float, judge: Judge
) -> Round:
    """One round: the proposal that the judge likes best.

    Raises:
        DesignError: No single layer can bring the cost to the budget.
    """
    best: Round | None = None
    for positions, widths in proposals(baseline.widths, cost, budget):
        value = replace(baseline, widths=widths)
        candidate = narrowed(network, baseline.widths, widths)
        accuracy = judge(value, candidate)
        if best is None or accuracy > best.accuracy:
            best = Round(
                baseline=value,
                network=candidate,
                narrowed=positions,
                cost=cost(widths),
                accuracy=accuracy,
            )
    if best is None:
        raise DesignError(
            f"no layer alone brings the cost from {cost(baseline.widths):g} to {budget:g}:"
            " ask for less at once"
        )
    return best


def adapt(
    baseline: Baseline,
    network: FastDepth,
    cost: Cost,
    budget: float,
    judge: Judge,
    *,
    share: float = 0.03,
) -> Iterator[Round]:
    """Rounds until the budget is met, each asking for ``share`` of the first cost less.

    Raises:
        DesignError: The budget is below what narrowing one layer at a time can reach.
    """
    now, less = cost(baseline.widths), share * cost(baseline.widths)
    while now > budget:
        done = adapt_round(baseline, network, cost, max(budget, now - less), judge)
        baseline, network, now = done.baseline, done.network, done.cost
        yield done


def _kept(network: FastDepth, old: Widths, new: Widths) -> list[Tensor]:
    """For each width the channels that stay, in their order."""
    norms = []
    for position in range(len(old)):
        # The first layer is one convolution; the others end in their 1x1.
        kernel = network.get_parameter(f"{_layer(position)}.{0 if position == 0 else 3}.weight")
        norms.append(kernel.detach().flatten(1).square().sum(dim=1))
    kept: list[Tensor] = [torch.empty(0)] * len(old)
    for positions in tied_widths():
        strength = torch.stack([norms[position] for position in positions]).sum(dim=0)
        chosen = strength.topk(new[positions[0]]).indices.sort().values
        for position in positions:
            kept[position] = chosen
    return kept


def _layer(position: int) -> str:
    encoder = len(STRIDES)
    return f"conv{position}" if position < encoder else f"up{position - encoder + 1}"


def _axes(name: str) -> tuple[int | None, int | None]:
    """Which widths a tensor's first and second axis have; None for one that is never narrowed."""
    part, index, kind = name.split(".")
    if kind == "num_batches_tracked":
        return None, None
    if part == "head":
        return None, -1 if index == "0" else None
    number = int(part.removeprefix("conv").removeprefix("up"))
    position = number if part.startswith("conv") else len(STRIDES) + number - 1
    if position == 0:
        return 0, None
    if index in ("0", "1"):  # the depthwise convolution and its norm have the inputs' width
        return position - 1, None
    return position, position - 1 if index == "3" else None
