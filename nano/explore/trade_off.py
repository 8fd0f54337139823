"""Several objectives: the score, and costs that are minimised beside it.

No machinery of their own: a proposal is made under ceilings on those costs, which are drawn for it
between the cheapest feasible design and the one that scores best, and a ceiling is one more cap. So
the search spreads over the front, its unconvex parts included; where nothing is traded off, the
ceilings are none and everything is as with one objective.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from nano.explore.caps import Caps
from nano.front import Scored, costs, score
from nano.records import Evaluation
from nano.score import Requirement, Requirements

_OPEN = 0.25  # share of the proposals without a ceiling: for the front's end where the score is
_BEYOND = 0.7  # of the cheapest design's cost: ceilings reach below what is known


def under_ceilings(
    caps: Caps, names: Sequence[str], finished: Sequence[Evaluation], random: np.random.Generator
) -> Caps:
    """The caps of one proposal: the study's, and ceilings on what is traded off.

    Args:
        caps: The study's.
        names: Of the costs.
        finished: Where the feasible designs are; without any there is no ceiling.
        random: Of this proposal.
    """
    feasible = [e for e in finished if e.feasible]
    if not names or not feasible or random.random() < _OPEN:
        return caps
    best = costs(max(feasible, key=score), names)
    least = np.array([costs(e, names) for e in feasible]).min(axis=0)
    smallest = caps.cost(caps.prototype.smallest()).values()
    items = {item.name: item for item in caps.requirements.items}
    for name, high, cheapest in zip(names, best, least.tolist(), strict=True):
        low = max(_BEYOND * cheapest, 1.0 * smallest.get(name, 0.0))
        ceiling = low * (max(high, low) / low) ** random.random()
        known = items.get(name)
        if known is None or ceiling < known.bound - known.safety:
            items[name] = Requirement(name=name, at_least=False, bound=ceiling)
    return replace(caps, requirements=Requirements(items=tuple(items.values())))


def no_dearer(one: Scored, others: Sequence[Evaluation], names: Sequence[str]) -> list[Evaluation]:
    """The others whose costs are all at most this one's: those that it has to beat."""
    bound = costs(one, names)
    return [
        other
        for other in others
        if all(cost <= most for cost, most in zip(costs(other, names), bound, strict=True))
    ]


def spread(ranked: Sequence[Evaluation], wanted: int, names: Sequence[str]) -> list[Evaluation]:
    """The first under each of ``wanted`` ceilings that fall evenly from dear to cheap.

    Args:
        ranked: Best first.
        wanted: How many at most.
        names: Of the costs; without any the first ones are taken.
    """
    if not names or wanted < 2 or len(ranked) < 2:
        return list(ranked[:wanted])
    logs = np.log([costs(one, names) for one in ranked])
    found: list[int] = []
    for place, share in enumerate(np.linspace(0.0, 1.0, wanted)):
        column = logs[:, place % len(names)]
        ceiling = (1 - share) * column[0] + share * column.min()
        under = np.flatnonzero(column <= ceiling + 1e-9).tolist()
        found += [row for row in [*under, *range(len(ranked))] if row not in found][:1]
    return [ranked[row] for row in found]
