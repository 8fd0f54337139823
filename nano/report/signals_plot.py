"""Mean and spread of the signal along a network's depth, before and after training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

from matplotlib.axes import Axes

from nano.report.style import (
    BLUE,
    GRID,
    MUTED,
    ORANGE,
    Drawing,
    canvas,
    drawing,
    few_log_ticks,
    house_style,
    tick_texts,
)


@runtime_checkable  # the tests execute annotations
class Signal(Protocol):
    """What is known of the values that pass one place of a network."""

    @property
    def name(self) -> str:
        """Where, in reading order."""

    @property
    def mean(self) -> float:
        """Over images, channels and pixels."""

    @property
    def sd(self) -> float:
        """Standard deviation over the same."""


def signals(told: Mapping[str, Sequence[Signal]]) -> Drawing | None:
    """Mean and variance by depth; SELU is meant to hold them near 0 and 1 (dotted); None of none.

    Args:
        told: Signals in reading order by a name for them, e.g. ``before training``; all of one
            network.
    """
    if not told:
        return None
    names = [signal.name for signal in next(iter(told.values()))]
    with house_style():
        figure = canvas(9.2, 5.0)
        means, variances = figure.subplots(2, 1, sharex=True)
        looks = ((ORANGE, "--", "s"), (BLUE, "-", "o"))
        for (label, found), (colour, dashes, mark) in zip(told.items(), looks, strict=False):
            style = {"color": colour, "linestyle": dashes, "marker": mark, "markersize": 3.2}
            means.plot([s.mean for s in found], label=label, linewidth=1.2, **style)
            variances.plot([s.sd**2 for s in found], label=label, linewidth=1.2, **style)
        means.axhline(0, color=MUTED, linewidth=1, linestyle=(0, (1, 2)))
        variances.axhline(1, color=MUTED, linewidth=1, linestyle=(0, (1, 2)))
        values = [s.sd**2 for found in told.values() for s in found] + [1.0]
        variances.set_yscale("log")
        few_log_ticks(variances.yaxis, min(values), max(values))
        tick_texts(variances.yaxis, lambda value: f"{value:g}")
        means.set_ylabel("mean of the activations\n(no unit)")
        variances.set_ylabel("variance, log scale\n(no unit)")
        variances.set_xlabel("place along the depth, from the input to the output")
        for axes in (means, variances):
            axes.grid(visible=False, axis="x")
            axes.tick_params(axis="x", length=0)
            _bands(axes, names)
        _parts(variances, names)
        figure.legend(*means.get_legend_handles_labels(), loc="outside lower center", ncols=2)
        return drawing(figure, "signals", "Mean and variance of activations along the depth")


def _spans(names: Sequence[str]) -> list[tuple[str, int, int]]:
    """(part, first, last) of neighbours in one part: ``stage 3``, ``upconv 2``, ``output``."""
    spans: list[tuple[str, int, int]] = []
    for place, name in enumerate(names):
        part = " ".join(name.split()[:2])
        if spans and spans[-1][0] == part:
            spans[-1] = (part, spans[-1][1], place)
        else:
            spans.append((part, place, place))
    return spans


def _bands(axes: Axes, names: Sequence[str]) -> None:
    for number, (_, first, last) in enumerate(_spans(names)):
        if number % 2:
            axes.axvspan(first - 0.5, last + 0.5, color=GRID, alpha=0.45, linewidth=0, zorder=0)
    axes.set_xlim(-0.7, len(names) - 0.3)


def _parts(axes: Axes, names: Sequence[str]) -> None:
    spans = _spans(names)
    axes.set_xticks(
        [(first + last) / 2 for _, first, last in spans],
        [part for part, _, _ in spans],
        rotation=40,
        ha="right",
        rotation_mode="anchor",
    )
