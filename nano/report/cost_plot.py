"""Accuracy against cost: the paper's Figure 2, with this study's designs."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from nano.report import numbers
from nano.report.findings import (
    Finding,
    chosen,
    confirmed,
    observed,
    reference,
    state,
)
from nano.report.markup import Html
from nano.report.published import PUBLISHED, comparable
from nano.report.run import Run
from nano.report.style import (
    BLUE,
    GRID,
    INK,
    MUTED,
    PAPER,
    PINK,
    RED,
    as_svg,
    canvas,
    count_axis,
    few_log_ticks,
    horizontal,
    house_style,
)

_LARGEST_BUBBLE = 700.0  # square points, of the design with the most parameters


def accuracy_against_cost(run: Run) -> Html | None:
    """delta1 over MACs, bubble area = parameters (the paper's Figure 2); None without a point."""
    complete = [observed(e) for e in run.evaluations if state(e) == "complete" and e.accuracy]
    finalists = [confirmed(c) for c in run.confirmations if c.accuracy]
    if not complete and not finalists:
        return None
    quoted = [row for row in PUBLISHED if row.delta1 is not None]
    quoted = quoted if any(f.accuracy and comparable(f.accuracy) for f in finalists) else []
    drawn = [*complete, *finalists]
    most = max([*(f.cost.params for f in drawn), *(row.params for row in quoted)])
    tips: dict[str, str] = {}
    with house_style():
        figure = canvas(6.0, 4.5)
        axes = figure.add_subplot()
        for finding in sorted(complete, key=lambda f: -f.cost.params):
            _bubble(axes, finding, most, tips)
        answer, against = chosen(run), reference(run)
        for finding in finalists:
            _confirmed_point(axes, finding, answer, against)
        for row in quoted:
            axes.scatter(
                row.macs,
                row.delta1,
                s=_area(row.params, most),
                facecolor="none",
                edgecolor=PINK,
                linewidth=1.4,
                linestyle=(0, (3, 2)),
            )
            axes.annotate(
                f"{row.name}\nquoted",
                (row.macs, row.delta1 or 0.0),
                xytext=(0, 12 + _area(row.params, most) ** 0.5 / 2),
                textcoords="offset points",
                ha="right" if row.macs > 5e10 else "center",
                fontsize=9,
            )
        axes.set_xscale("log")
        macs = [*(f.cost.macs for f in drawn), *(row.macs for row in quoted)]
        axes.set_xlim(min(macs) / 1.6, max(macs) * 1.6)
        few_log_ticks(axes.xaxis, min(macs) / 1.6, max(macs) * 1.6)
        count_axis(axes.xaxis, numbers.count)
        axes.margins(y=0.16)
        _required_lines(axes, run)
        axes.set_xlabel("multiply-accumulates (MACs) per image, log scale")
        axes.set_ylabel("delta1 (share of pixels)")
        _bubble_legend(axes, most, complete, finalists, against)
        label = "Accuracy against multiply-accumulates; bubble area is the number of parameters"
        return as_svg(figure, "cost", label, tips)


def _area(params: float, most: float) -> float:
    return _LARGEST_BUBBLE * params / most


def _bubble(axes: Axes, finding: Finding, most: float, tips: dict[str, str]) -> None:
    gid = f"trial-{finding.number}"
    assert finding.accuracy is not None  # only findings with an accuracy are drawn
    axes.scatter(
        finding.cost.macs,
        finding.accuracy.delta1,
        s=_area(finding.cost.params, most),
        facecolor=BLUE if finding.feasible else "none",
        edgecolor=PAPER if finding.feasible else MUTED,
        linewidth=0.8 if finding.feasible else 1.1,
        alpha=0.55 if finding.feasible else 0.8,
        gid=gid,
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
            xytext=(8, -13),
            textcoords="offset points",
            fontsize=9.5,
            color=colour,
            fontweight="bold" if is_answer else "normal",
            zorder=6,
        )


def _required_lines(axes: Axes, run: Run) -> None:
    accuracy, macs = run.requirements.get("delta1"), run.requirements.get("macs")
    if accuracy is not None:
        horizontal(axes, accuracy.bound, f"required: delta1 ≥ {numbers.ratio(accuracy.bound)}", RED)
    if macs is not None:
        axes.axvline(macs.bound, color=RED, linewidth=1.1, linestyle=(0, (5, 3)), zorder=1)


def _bubble_legend(
    axes: Axes,
    most: float,
    complete: Sequence[Finding],
    finalists: Sequence[Finding],
    against: Finding | None,
) -> None:
    """Marks and sizes below the axes, where nothing can be under them."""
    handles = []
    if any(f.feasible for f in complete):
        handles.append(_mark("o", BLUE, "feasible, observed once"))
    if any(not f.feasible for f in complete):
        handles.append(_mark("o", MUTED, "not feasible, observed once", hollow=True))
    if finalists:
        handles.append(_mark("o", INK, "confirmed: mean ± sd", small=True))
    for share in (1.0, 0.25):
        handles.append(
            axes.scatter(
                [],
                [],
                s=_area(share * most, most),
                facecolor=GRID,
                edgecolor=MUTED,
                label=f"{numbers.count(share * most)} parameters",
            )
        )
    if against is not None and against.confirmed:
        handles.append(_mark("D", INK, "reference preset", small=True))
    figure = axes.get_figure()
    assert figure is not None  # made by add_subplot
    figure.legend(
        handles=handles, loc="outside lower center", ncols=2, columnspacing=2, labelspacing=0.9
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
