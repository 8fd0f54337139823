"""NetAdapt on FastDepth: narrow one layer at a time until a budget is met.

Yang et al. 2018, "NetAdapt: Platform-Aware Neural Network Adaptation for Mobile Applications",
section 3 and algorithm 1: each round asks for a little less of a resource, every layer makes one
proposal that saves enough by itself, each is trained briefly, and the best of them goes on. The
resource is whatever ``cost`` tells of a design, such as its MACs (`nano.cost.count`); no table of
measured milliseconds is wired in.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

from nano.design.fastdepth import LAYERS, TIED, FastDepthDesign, Widths
from nano.errors import DesignError
from nano.networks.fastdepth import FastDepth

_HALVINGS = 20  # of what a round asks for: to a millionth
MULTIPLE = 8  # widths are multiples of it, which processors like (section 3.2)
Cost: TypeAlias = Callable[[FastDepthDesign], float]


@dataclass(frozen=True, kw_only=True)
class Narrowing:
    """How a design may be narrowed, and down to what.

    Attributes:
        cost: What is to be saved, of a design.
        budget: The cost to reach.
        ask: What a round has to save, at most; less where no layer can save as much by itself.
        multiple: New widths are multiples of it.
        keep: Names of layers that stay as they are.
    """

    cost: Cost
    budget: float
    ask: float
    multiple: int = MULTIPLE
    keep: Collection[str] = ()

    def __post_init__(self) -> None:
        for layer in self.keep:
            if layer not in LAYERS:
                raise DesignError(f"no layer {layer!r} to keep; layers: {', '.join(LAYERS)}")

    def check_reachable(self, design: FastDepthDesign) -> None:
        """Raise a DesignError unless narrowing can bring the design to the budget."""
        least = {p: min(self.multiple, design.widths[p]) for group in self._free() for p in group}
        smallest = FastDepthDesign(
            widths=tuple(least.get(i, width) for i, width in enumerate(design.widths))
        )
        reached = self.cost(smallest)
        if reached > self.budget:
            raise DesignError(
                f"a budget of {self.budget:,.0f} is out of reach: the smallest network,"
                f" {self.multiple} channels wherever it may be narrowed, costs {reached:,.0f}"
            )

    def proposals(self, design: FastDepthDesign) -> list[Proposal]:
        """For each layer the widest narrowing that saves enough, if one does.

        Where none does, half as much is asked, and again.

        Raises:
            DesignError: Every layer is as narrow as it may be.
        """
        now = self.cost(design)
        for halvings in range(_HALVINGS):
            limit = now - self.ask / 2**halvings
            if found := list(self._within(design, max(self.budget, limit))):
                return found
        raise DesignError(f"no layer can be narrowed further; the cost is {now:,.0f}")

    def _within(self, design: FastDepthDesign, limit: float) -> Iterator[Proposal]:
        for positions in self._free():
            widest = (design.widths[positions[0]] - 1) // self.multiple * self.multiple
            for width in range(widest, 0, -self.multiple):
                narrower = FastDepthDesign(
                    widths=tuple(
                        width if i in positions else w for i, w in enumerate(design.widths)
                    )
                )
                if self.cost(narrower) <= limit:
                    yield Proposal(layer=LAYERS[positions[0]], design=narrower)
                    break

    def _free(self) -> list[tuple[int, ...]]:
        """Groups of positions of which none is to be kept."""
        return [group for group in TIED if not any(LAYERS[i] in self.keep for i in group)]


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """One layer narrower.

    Attributes:
        layer: Its name; where maps are added, the earlier of the two that change.
        design: The whole network.
    """

    layer: str
    design: FastDepthDesign


@dataclass(frozen=True, kw_only=True)
class Judged:
    """A proposal after its short training.

    Attributes:
        proposal: Which.
        network: As it was trained.
        accuracy: More is better; None where the training diverged.
    """

    proposal: Proposal
    network: FastDepth
    accuracy: float | None


# Trains a narrowed network briefly and tells its accuracy.
Judge: TypeAlias = Callable[[Proposal, FastDepth], Judged]


def adapt_round(
    design: FastDepthDesign, network: FastDepth, narrowing: Narrowing, judge: Judge
) -> tuple[Judged, dict[str, float | None]]:
    """One round: the proposal that the judge likes best (the first of equals).

    Returns:
        It, and what the judge told of every layer's proposal.

    Raises:
        DesignError: No layer can be narrowed further, or every short training diverged.
    """
    best: Judged | None = None
    told: dict[str, float | None] = {}
    for proposal in narrowing.proposals(design):
        narrower = narrowed(network, design.widths, proposal.design.widths)
        judged = judge(proposal, narrower)
        told[proposal.layer] = accuracy = judged.accuracy
        if accuracy is None:
            continue
        if best is None or best.accuracy is None or accuracy > best.accuracy:
            best = judged
    if best is None:
        raise DesignError("every short training of the round diverged; try a lower rate")
    return best, told


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


def _kept(network: FastDepth, old: Widths, new: Widths) -> list[Tensor]:
    """For each width the channels that stay, in their order."""
    norms = []
    for position in range(len(old)):
        # The first layer is one convolution; the others end in their 1x1.
        kernel = network.get_parameter(f"{LAYERS[position]}.{0 if position == 0 else 3}.weight")
        norms.append(kernel.detach().flatten(1).square().sum(dim=1))
    kept: list[Tensor] = [torch.empty(0)] * len(old)
    for positions in TIED:
        strength = torch.stack([norms[position] for position in positions]).sum(dim=0)
        chosen = strength.topk(new[positions[0]]).indices.sort().values
        for position in positions:
            kept[position] = chosen
    return kept


def _axes(name: str) -> tuple[int | None, int | None]:
    """Which widths a tensor's first and second axis have; None for one that is never narrowed."""
    part, index, kind = name.split(".")
    if kind == "num_batches_tracked":
        return None, None
    if part == "head":
        return None, -1 if index == "0" else None
    position = LAYERS.index(part)
    if position == 0:
        return 0, None
    if index in ("0", "1"):  # the depthwise convolution and its norm have the inputs' width
        return position - 1, None
    return position, position - 1 if index == "3" else None
