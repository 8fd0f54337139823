"""The comparison as a figure: score over spend, median and quartiles of each method."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.search.compare import OURS, Run, by_method, curve
from nano.files import replacing
from nano.report.style import (
    BLUE,
    GREEN,
    INK,
    MUTED,
    ORANGE,
    PINK,
    RED,
    SKY,
    canvas,
    house_style,
)

_LOOKS = {
    OURS: (RED, "-"),
    "evolution": (PINK, "-"),
    "tpe": (BLUE, "-"),
    "cmaes": (SKY, "-"),
    "nsga2": (GREEN, "-"),
    "gp": (ORANGE, "-"),
    "copies": (MUTED, "-"),
    "largest": (MUTED, ":"),
    "prototype": (INK, ":"),
}
_OTHERS = ((BLUE, "--"), (GREEN, "--"), (ORANGE, "--"), (SKY, "--"), (PINK, "--"), (RED, "--"))


def draw(runs: Sequence[Run], path: Path) -> None:
    """Write the figure as SVG."""
    groups = by_method(runs)
    others = [method for method in groups if method not in _LOOKS]
    looks = _LOOKS | {method: _OTHERS[i % len(_OTHERS)] for i, method in enumerate(others)}
    with house_style():
        figure = canvas(7.2, 5.2)
        axes = figure.add_subplot()
        for method in sorted(groups, key=lambda name: [*looks].index(name)):
            colour, dashes = looks[method]
            end = float(np.median([run.spend[-1] for run in groups[method]]))
            spends = np.linspace(0, end, 200)
            low, median, high = curve(groups[method], spends)
            axes.fill_between(spends, low, high, color=colour, alpha=0.13, linewidth=0)
            axes.plot(spends, median, color=colour, linestyle=dashes, label=method)
        axes.set_xlabel("spend: training images x MACs, in trainings of the prototype")
        axes.set_ylabel("true NetScore of the confirmed choice (dB)")
        axes.set_xlim(left=0)
        number = len({(run.instance, run.seed) for run in runs})
        axes.set_title(f"median and quartiles of {number} runs a method")
        figure.legend(loc="outside lower center", ncols=4, columnspacing=1.6)
        with replacing(path) as part:
            # Without a date, the same runs give the same bytes.
            figure.savefig(part, format="svg", facecolor="white", metadata={"Date": None})
