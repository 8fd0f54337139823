"""What became of every trial, and what the requirements left of them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from nano.records import Evaluation
from nano.report import numbers
from nano.report.findings import Finding, chosen, is_fraction, observed, state
from nano.report.run import Run
from nano.report.style import (
    BLUE,
    GREEN,
    MUTED,
    ORANGE,
    PAPER,
    RED,
    SKY,
    Drawing,
    canvas,
    drawing,
    house_style,
)

# What became of a trial: name, colour, mark. Shapes tell them apart in print without colour.
_FATES = (
    ("feasible", BLUE, "o"),
    ("misses a bound", MUTED, "s"),
    ("ended by the search", ORANGE, "v"),
    ("failed", RED, "X"),
)


def fate(evaluation: Evaluation) -> str:
    """``feasible``, ``misses a bound``, ``ended by the search`` or ``failed``."""
    ended = state(evaluation)
    if ended == "complete":
        return "feasible" if evaluation.feasible else "misses a bound"
    return "failed" if ended == "failed" else "ended by the search"


def feasibility(run: Run) -> Drawing | None:
    """The share of feasible designs over the trials, above what became of each; None without any.

    Two shares: of all trials so far, and of those so far that were trained to the end, since only
    these can be feasible at all.
    """
    if not run.evaluations:
        return None
    with house_style():
        figure = canvas(6.4, 4.0)
        shares, fates = figure.subplots(2, 1, sharex=True, height_ratios=(2.2, 1))
        whole = [e for e in run.evaluations if state(e) == "complete"]
        _running(shares, run.evaluations, BLUE, "-", "all trials")
        _running(shares, whole, GREEN, "--", "trained to the end")
        shares.set_ylim(-4, 104)
        shares.set_ylabel("feasible so far (%)")
        shares.legend(title="share of", alignment="left", loc="upper right")
        _fates(fates, run.evaluations)
        fates.set_xlabel("trial (number)")
        return drawing(figure, "feasibility", "Share of feasible designs over the trials")


def _running(
    axes: Axes, evaluations: Sequence[Evaluation], colour: str, dashes: str, label: str
) -> None:
    """The share of feasible ones among those so far."""
    feasible = accumulate(int(e.feasible) for e in evaluations)
    shares = [100 * good / of for of, good in enumerate(feasible, start=1)]
    trials = [e.number for e in evaluations]
    axes.plot(trials, shares, dashes, drawstyle="steps-post", color=colour, label=label)


def _fates(axes: Axes, evaluations: Sequence[Evaluation]) -> None:
    there = [name for name, _, _ in _FATES if any(fate(e) == name for e in evaluations)]
    for name, colour, mark in _FATES:
        of_it = [e.number for e in evaluations if fate(e) == name]
        if of_it:
            row = [there.index(name)] * len(of_it)
            axes.scatter(of_it, row, s=30, marker=mark, color=colour)
    axes.set_yticks(range(len(there)), there)
    axes.set_ylim(len(there) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def margins(run: Run, across: str, up: str) -> Drawing | None:
    """Two requirements' margins of every design that has both; None without any.

    Zero and below is met: the lower left quadrant holds what meets both.

    Args:
        run: The study.
        across: Name of the requirement on the horizontal axis, e.g. ``params``.
        up: On the vertical one, e.g. ``delta1``.
    """
    findings = [(observed(e), fate(e)) for e in run.evaluations]
    both = [(f, name) for f, name in findings if {across, up} <= f.margins.keys()]
    if not both:
        return None
    with house_style():
        figure = canvas(6.0, 4.4)
        axes = figure.add_subplot()
        for name, colour, mark in _FATES:
            points = [_at(f, across, up) for f, its in both if its == name]
            if points:
                xs, ys = zip(*points, strict=True)
                early = name == "ended by the search"
                label = f"{name}, read early" if early else name
                face = "none" if early else colour
                axes.scatter(xs, ys, s=32, marker=mark, facecolor=face, edgecolor=colour,
                             label=label, zorder=3)  # fmt: skip
        answer = chosen(run)
        if answer is not None and answer.confirmed and {across, up} <= answer.margins.keys():
            axes.scatter(*_at(answer, across, up), s=80, marker="*", color=RED, edgecolor=PAPER,
                         label="chosen, confirmed", zorder=5)  # fmt: skip
        axes.margins(0.08)
        _quadrants(axes)
        axes.set_title("0 and below: the bound is met")
        axes.set_xlabel(_axis(run, across))
        axes.set_ylabel(_axis(run, up))
        figure.legend(loc="outside lower center", ncols=2, columnspacing=2)
        return drawing(figure, "margins", f"Margins of {across} and {up} of every design")


def _at(finding: Finding, across: str, up: str) -> tuple[float, float]:
    x, y = (finding.margins[name] * (1 if is_fraction(name) else 100) for name in (across, up))
    return x, y


def _quadrants(axes: Axes) -> None:
    """Tint what meets both, draw the bounds, and say which side is which."""
    left, right = axes.get_xlim()
    low, high = axes.get_ylim()
    right, high = max(right, -0.08 * left), max(high, -0.15 * low)  # room beyond the bounds
    low = min(low, -0.15 * high)
    axes.axhspan(low, 0, xmax=-left / (right - left), color=SKY, alpha=0.16, linewidth=0)
    axes.axhline(0, color=RED, linewidth=1.2, linestyle=(0, (5, 3)), zorder=1)
    axes.axvline(0, color=RED, linewidth=1.2, linestyle=(0, (5, 3)), zorder=1)
    axes.text(0.015, 0.02, "meets both", transform=axes.transAxes, color=MUTED, fontsize=9.5)
    axes.set_xlim(left, right)
    axes.set_ylim(low, high)


def _axis(run: Run, name: str) -> str:
    requirement = run.requirements.get(name)
    assert requirement is not None  # a design's margins are of the study's requirements
    bound = (
        numbers.ratio(requirement.bound) if is_fraction(name) else numbers.tick(requirement.bound)
    )
    sign = "≥" if requirement.at_least else "≤"
    unit = "share of pixels" if is_fraction(name) else "% of the bound"
    return f"{name}: miss of {sign} {bound} ({unit})"
