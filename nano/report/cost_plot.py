"""Accuracy against cost: the paper's Figure 2, with this study's designs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from nano.front import score
from nano.report import numbers
from nano.report.findings import (
    Finding,
    chosen,
    confirmed,
    observed,
    reference,
    state,
)
from nano.report.published import PUBLISHED, PublishedRow, comparable
from nano.report.run import Run
from nano.report.style import (
    BLUE,
    GRID,
    INK,
    MUTED,
    PAPER,
    PINK,
    RED,
    Drawing,
    canvas,
    drawing,
    few_log_ticks,
    house_style,
    level,
    tick_texts,
)

# Square points, of the design with the most parameters; quoted networks are so much larger that
# their bubbles need more room to leave the others visible.
_LARGEST_BUBBLE = 560.0
LARGEST_QUOTED_BUBBLE = 2200.0
_WITH_TIP = 500  # designs, the best ones, that tell what they are under the pointer


def accuracy_against_cost(run: Run) -> Drawing | None:
    """delta1 over MACs, bubble area = parameters (the paper's Figure 2); None without a point."""
    complete = [observed(e) for e in run.evaluations if state(e) == "complete" and e.accuracy]
    finalists = [confirmed(c) for c in run.confirmations if c.accuracy]
    if not complete and not finalists:
        return None
    quoted = [row for row in PUBLISHED if row.delta1 is not None]
    quoted = quoted if any(f.accuracy and comparable(f.accuracy) for f in finalists) else []
    drawn = [*complete, *finalists]
    most = max([*(f.cost.params for f in drawn), *(row.params for row in quoted)])
    area = LARGEST_QUOTED_BUBBLE if quoted else _LARGEST_BUBBLE
    bubbles = Bubbles(most=most, area=area)
    tips: dict[str, str] = {}
    with house_style():
        figure = canvas(6.0, 4.5)
        axes = figure.add_subplot()
        ranked = sorted(complete, key=lambda f: (not f.feasible, -score(f)))
        _crowd(axes, ranked[_WITH_TIP:], bubbles)
        for finding in sorted(ranked[:_WITH_TIP], key=lambda f: -f.cost.params):
            _bubble(axes, finding, bubbles, tips)
        answer, against = chosen(run), reference(run)
        for finding in finalists:
            _confirmed_point(axes, finding, answer, against)
        for row in quoted:
            quoted_ring(axes, row, bubbles)
        axes.set_xscale("log")
        macs = [*(f.cost.macs for f in drawn), *(row.macs for row in quoted)]
        # Room at the left: the chosen design is mostly the smallest, and its name stands there.
        room = max(1.6, (max(macs) / min(macs)) ** 0.22)
        axes.set_xlim(min(macs) / room, max(macs) * 1.6)
        few_log_ticks(axes.xaxis, min(macs) / room, max(macs) * 1.6)
        tick_texts(axes.xaxis, numbers.tick)
        axes.margins(y=0.16)
        axes.set_xlabel("multiply-accumulates (MACs) per image, log scale")
        axes.set_ylabel("delta1 (share of pixels)")
        _bubble_legend(axes, run, bubbles, complete, finalists)
        label = "Accuracy against multiply-accumulates; bubble area is the number of parameters"
        return drawing(figure, "cost", label, tips)


@dataclass(frozen=True, kw_only=True)
class Bubbles:
    """The scale of the bubbles: area is proportional to parameters."""

    most: float
    area: float

    def of(self, params: float) -> float:
        """Square points of a bubble."""
        return self.area * params / self.most

    def legend_sizes(self) -> tuple[float, float]:
        """Two round numbers of parameters: the largest 1, 2 or 5 that fits, and a quarter."""
        largest = self.most * min(1.0, _LARGEST_BUBBLE / self.area)
        decade = 10.0 ** math.floor(math.log10(largest))
        round_one = next(step * decade for step in (5, 2, 1) if step * decade <= largest)
        return round_one, round_one / 4


def quoted_ring(axes: Axes, row: PublishedRow, bubbles: Bubbles) -> None:
    """A network of the paper's Table 1, dashed: quoted, never measured here."""
    assert row.delta1 is not None  # only rows with an accuracy are drawn
    area = bubbles.of(row.params)
    axes.scatter(
        row.macs,
        row.delta1,
        s=area,
        facecolor="none",
        edgecolor=PINK,
        linewidth=1.4,
        linestyle=(0, (3, 2)),
        zorder=4,
    )
    axes.annotate(
        f"{row.name},\nquoted",
        (row.macs, row.delta1),
        xytext=(area**0.5 / 2 + 2, -(area**0.5) / 2 - 2),
        textcoords="offset points",
        ha="right" if row.macs > 5e10 else "left",
        va="top",
        color=PINK,
        fontsize=9,
    )


def _crowd(axes: Axes, findings: Sequence[Finding], bubbles: Bubbles) -> None:
    """Bubbles without a tip: drawn together, which takes a hundredth of the time."""
    for feasible in (False, True):
        some = [f for f in findings if f.accuracy is not None and f.feasible == feasible]
        axes.scatter(
            [f.cost.macs for f in some],
            [f.accuracy.delta1 for f in some if f.accuracy is not None],
            s=[bubbles.of(f.cost.params) for f in some],
            **_look(feasible),
        )


def _look(feasible: bool) -> dict[str, Any]:
    return {
        "facecolor": BLUE if feasible else "none",
        "edgecolor": PAPER if feasible else MUTED,
        "linewidth": 0.8 if feasible else 1.1,
        "alpha": 0.55 if feasible else 0.8,
    }


def _bubble(axes: Axes, finding: Finding, bubbles: Bubbles, tips: dict[str, str]) -> None:
    gid = f"trial-{finding.number}"
    assert finding.accuracy is not None  # only findings with an accuracy are drawn
    axes.scatter(
        finding.cost.macs,
        finding.accuracy.delta1,
        s=bubbles.of(finding.cost.params),
        gid=gid,
        **_look(finding.feasible),
    )
    tips[gid] = (
        f"trial {finding.number} ({finding.key}): delta1 {numbers.ratio(finding.accuracy.delta1)}, "
        f"{numbers.count(finding.cost.params)} parameters, {numbers.count(finding.cost.macs)} "
        f"MACs, {'feasible' if finding.feasible else 'not feasible'}"
    )


def _confirmed_point(
    axes: Axes, finding: Finding, answer: Finding | None, against: Finding | None
) -> None:
    assert finding.accuracy is not None  # only findings with an accuracy are drawn
    is_answer = answer is not None and finding.key == answer.key
    is_reference = against is not None and finding.key == against.key
    colour = RED if is_answer else INK
    axes.errorbar(
        finding.cost.macs,
        finding.accuracy.delta1,
        yerr=finding.delta1_sd,
        fmt="D" if is_reference else "o",
        markersize=7 if is_answer else 5.5,
        color=colour,
        markeredgecolor=PAPER,
        markeredgewidth=0.8,
        capsize=3,
        elinewidth=1.3,
        zorder=5,
    )
    if is_answer or is_reference:
        word = "chosen" if is_answer else "reference"
        axes.annotate(
            f"{word} (#{finding.number})",
            (finding.cost.macs, finding.accuracy.delta1),
            xytext=(-9, 4) if is_answer else (9, 4),
            textcoords="offset points",
            ha="right" if is_answer else "left",
            fontsize=9.5,
            color=colour,
            fontweight="bold" if is_answer else "normal",
            bbox={"facecolor": PAPER, "edgecolor": "none", "alpha": 0.75, "pad": 0.8},
            zorder=6,
        )


def _required_lines(axes: Axes, run: Run) -> list[Artist]:
    accuracy, macs = run.requirements.get("delta1"), run.requirements.get("macs")
    lines: list[Artist] = []
    if accuracy is not None:
        text = f"required: delta1 ≥ {numbers.ratio(accuracy.bound)}"
        lines.append(level(axes, accuracy.bound, text, RED))
    if macs is not None:
        text = f"required: at most {numbers.count(macs.bound)} MACs"
        lines.append(
            axes.axvline(macs.bound, color=RED, linewidth=1.2, linestyle=(0, (1, 2)), label=text)
        )
    return lines


def _bubble_legend(
    axes: Axes,
    run: Run,
    bubbles: Bubbles,
    complete: Sequence[Finding],
    finalists: Sequence[Finding],
) -> None:
    """Marks and sizes below the axes, where nothing can be under them."""
    handles: list[Artist] = []
    against = reference(run)
    if any(f.feasible for f in complete):
        handles.append(_mark("o", BLUE, "feasible, observed once"))
    if any(not f.feasible for f in complete):
        handles.append(_mark("o", MUTED, "not feasible, observed once", hollow=True))
    if finalists:
        handles.append(_mark("o", INK, "confirmed: mean ± sd", small=True))
    if against is not None and against.confirmed:
        handles.append(_mark("D", INK, "reference preset, confirmed", small=True))
    handles += _required_lines(axes, run)
    for params in bubbles.legend_sizes():
        handles.append(
            axes.scatter(
                [],
                [],
                s=bubbles.of(params),
                facecolor=GRID,
                edgecolor=MUTED,
                label=f"{numbers.tick(params)} parameters",
            )
        )
    figure = axes.get_figure()
    assert figure is not None  # made by add_subplot
    figure.legend(
        handles=handles,
        loc="outside lower center",
        ncols=2,
        columnspacing=2,
        labelspacing=0.9,
        handletextpad=1.1,
    )


def _mark(
    shape: str, colour: str, label: str, *, hollow: bool = False, small: bool = False
) -> Line2D:
    return Line2D(
        [],
        [],
        linestyle="none",
        marker=shape,
        markersize=6 if small else 9,
        markerfacecolor="none" if hollow else colour,
        markeredgecolor=colour if hollow else PAPER,
        alpha=1.0 if small or hollow else 0.55,
        label=label,
    )
