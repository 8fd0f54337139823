"""A kept comparison of search methods: score over spend, median and quartiles over many runs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nano.errors import RunError
from nano.files import from_plain, read_json
from nano.report.style import BLUE, MUTED, ORANGE, Drawing, canvas, drawing, house_style

_NONE = -1000.0  # dB, far below any axis
_LOOKS = ((BLUE, "-"), (MUTED, "--"), (ORANGE, "-."))


@dataclass(frozen=True, kw_only=True)
class KeptSearch:
    """One search of a comparison, as `benchmarks.search` keeps it.

    Attributes:
        method: Its name.
        spend: At each checkpoint, in trainings of the prototype (images x MACs).
        netscore: True one of the choice at each (dB); None without one.
        feasible: Whether that choice truly is.
    """

    method: str
    spend: tuple[float, ...]
    netscore: tuple[float | None, ...]
    feasible: tuple[bool, ...]

    def score_at(self, spend: float) -> float:
        """NetScore of the choice at a spend; -inf without a feasible one."""
        reached = [i for i, x in enumerate(self.spend) if x <= spend]
        if not reached or not self.feasible[reached[-1]]:
            return -math.inf
        score = self.netscore[reached[-1]]
        return -math.inf if score is None else score


def kept_searches(path: Path) -> tuple[KeptSearch, ...]:
    """The runs of a file of ``benchmarks/search/results``.

    Raises:
        RunError: The file is missing or damaged, or holds no runs.
    """
    plain = read_json(path, RunError)
    runs = plain.get("runs") if isinstance(plain, Mapping) else None
    if not isinstance(runs, Mapping) or not runs:
        raise RunError(f"{path}: holds no runs; python -m benchmarks.search writes such files")
    return tuple(_search(run, f"{path}: {name}") for name, run in runs.items())


def _search(plain: Any, where: str) -> KeptSearch:
    names = ("method", "spend", "netscore", "feasible")
    known = {k: v for k, v in plain.items() if k in names} if isinstance(plain, Mapping) else plain
    return from_plain(KeptSearch, known, where, RunError)


def searches(runs: Sequence[KeptSearch], methods: Sequence[str]) -> Drawing | None:
    """Median and quartiles of up to three methods over spend; None where one has no run."""
    groups = {name: [run for run in runs if run.method == name] for name in methods}
    if not all(groups.values()):
        return None
    with house_style():
        figure = canvas(6.4, 3.8)
        axes = figure.add_subplot()
        drawn: list[float] = []
        for (name, group), (colour, dashes) in zip(groups.items(), _LOOKS, strict=False):
            spends = np.linspace(0, float(np.median([run.spend[-1] for run in group])), 200)
            scores = np.array([[run.score_at(spend) for run in group] for spend in spends])
            low, median, high = _quartiles(scores)
            axes.fill_between(spends, low, high, color=colour, alpha=0.16, linewidth=0)
            axes.plot(spends, median, dashes, color=colour, label=f"{name}, {len(group)} runs")
            drawn += [*median[median > _NONE], *high[high > _NONE]]
        axes.set_xlim(left=0)
        if drawn:
            axes.set_ylim(min(drawn) - 0.2, max(drawn) + 0.1)
        axes.set_xlabel("spend (trainings of the prototype: images x MACs)")
        axes.set_ylabel("NetScore of the choice (dB)")
        axes.set_title("line: median; band: quartiles (to the bottom: no feasible choice)")
        axes.legend(loc="lower right")
        return drawing(figure, "searches", "NetScore over spend of kept searches")


def _quartiles(scores: np.ndarray) -> np.ndarray:
    """3 x spends of spends x runs; `_NONE` where that run had no feasible choice."""
    ordered = np.sort(scores, axis=1)
    places = np.rint(np.array([0.25, 0.5, 0.75]) * (scores.shape[1] - 1)).astype(int)
    return np.maximum(ordered[:, places].T, _NONE)
