"""Figures of a search: progress, where designs ended, optimism, learning curves."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from nano.records import Confirmation
from nano.report import numbers
from nano.report.findings import (
    chosen,
    confirmed,
    observed_reference,
    reference,
    spend_before,
    stage_counts,
    state,
)
from nano.report.run import CurveRow, Run
from nano.report.style import (
    BLUE,
    GREEN,
    INK,
    MUTED,
    ORANGE,
    PAPER,
    PINK,
    RED,
    SKY,
    Drawing,
    canvas,
    drawing,
    few_log_ticks,
    house_style,
    level,
    tick_texts,
)

LINES = (BLUE, ORANGE, GREEN, PINK, SKY)  # up to five designs in one figure


def progress(run: Run) -> Drawing | None:
    """Best feasible NetScore so far against training images; None without a complete design."""
    spent = spend_before(run.evaluations)
    complete = [
        (spent[i], e.netscore, e.feasible)
        for i, e in enumerate(run.evaluations)
        if e.netscore is not None and state(e) == "complete"
    ]
    if not complete:
        return None
    with house_style():
        figure = canvas()
        axes = figure.add_subplot()
        for feasible, colour, label in (
            (False, MUTED, "not feasible, observed"),
            (True, BLUE, "feasible, observed"),
        ):
            points = [(x, y) for x, y, ok in complete if ok == feasible]
            if points:
                xs, ys = zip(*points, strict=True)
                face = colour if feasible else "none"
                axes.scatter(xs, ys, s=26, facecolor=face, edgecolor=colour, label=label)
        steps: list[tuple[int, float]] = []
        for x, y, feasible in complete:
            if feasible and (not steps or y > steps[-1][1]):
                steps.append((x, y))
        if steps:
            steps.append((max(spent), steps[-1][1]))
            xs, ys = zip(*steps, strict=True)
            axes.plot(xs, ys, drawstyle="steps-post", color=BLUE, label="best feasible so far")
        start = observed_reference(run)
        if start is not None and start.netscore is not None:
            level(axes, start.netscore, "reference preset, observed", INK)
        for finding, colour, shape, label in (
            (chosen(run), RED, "o", "chosen, confirmed"),
            (reference(run), INK, "D", "reference preset, confirmed"),
        ):
            if finding is not None and finding.confirmed and finding.netscore is not None:
                axes.scatter(
                    max(spent),
                    finding.netscore,
                    s=60,
                    marker=shape,
                    color=colour,
                    edgecolor=PAPER,
                    zorder=5,
                    label=label,
                    clip_on=False,
                )
        axes.margins(y=0.14)
        axes.set_xlabel("training images spent in the search")
        axes.set_ylabel("NetScore (dB)")
        tick_texts(axes.xaxis, numbers.tick)
        axes.set_xlim(left=0)
        figure.legend(loc="outside lower center", ncols=2, columnspacing=2)
        return drawing(figure, "progress", "Best feasible NetScore against training images spent")


def funnel(run: Run) -> Drawing | None:
    """How many designs reached each stage, and what became of them there; None without any."""
    rows = stage_counts(run)
    if not rows:
        return None
    most = rows[0].reached
    parts = (
        ("went on", "passed", BLUE),
        ("ended by the search", "pruned", ORANGE),
        ("failed", "failed", RED),
    )
    with house_style():
        figure = canvas(5.6, 0.9 + 0.42 * len(rows))
        axes = figure.add_subplot()
        axes.grid(visible=False)
        for label, name, colour in parts:
            if not any(getattr(row, name) for row in rows):
                continue
            lefts = [
                {"passed": 0, "pruned": row.passed, "failed": row.passed + row.pruned}[name]
                for row in rows
            ]
            widths = [getattr(row, name) for row in rows]
            axes.barh(
                range(len(rows)), widths, 0.68, left=lefts, color=colour, label=label, alpha=0.85
            )
        for i, row in enumerate(rows):
            ended = [
                f"{number} {word}"
                for number, word in ((row.pruned, "ended"), (row.failed, "failed"))
                if number
            ]
            text = f"{row.reached}" + (f"  ({', '.join(ended)})" if ended else "")
            axes.text(row.reached + 0.012 * most, i, text, va="center", fontsize=9.5)
        axes.set_yticks(range(len(rows)), [row.stage for row in rows])
        axes.invert_yaxis()
        axes.set_xlim(0, most * 1.33)
        axes.set_xlabel("designs that reached the stage")
        axes.spines["left"].set_visible(False)
        axes.tick_params(axis="y", length=0)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        figure.legend(loc="outside lower center", ncols=3, columnspacing=1.6)
        return drawing(figure, "funnel", "How many designs reached each stage and ended there")


def optimism(run: Run) -> Drawing | None:
    """delta1 in the search, of fresh seeds, and on held-out data; None without confirmations."""
    tested = [c for c in run.confirmations if c.accuracy is not None]
    if not tested:
        return None
    seen = {e.number: e.accuracy for e in run.evaluations if e.accuracy is not None}
    with house_style():
        figure = canvas(5.6, 1.5 + 0.44 * len(tested))
        axes = figure.add_subplot()
        axes.grid(visible=False, axis="y")
        for i, confirmation in enumerate(tested):
            first = seen.get(confirmation.number)
            _optimism_row(axes, i, confirmation, first.delta1 if first else None)
        required = run.requirements.get("delta1")
        if required is not None:
            bound = numbers.ratio(required.bound)
            axes.axvline(
                required.bound,
                color=RED,
                linewidth=1.1,
                linestyle=(0, (5, 3)),
                zorder=1,
                label=f"required: {bound}",
            )
        axes.set_yticks(range(len(tested)), [f"#{c.number}" for c in tested])
        axes.set_ylim(len(tested) - 0.4, -0.6)
        axes.set_xlabel("delta1 (share of pixels)")
        axes.set_ylabel("trial")
        axes.spines["left"].set_visible(False)
        axes.tick_params(axis="y", length=0)
        handles, labels = axes.get_legend_handles_labels()
        once = dict(zip(labels, handles, strict=True))
        figure.legend(
            once.values(), once.keys(), loc="outside lower center", ncols=2, columnspacing=2
        )
        return drawing(figure, "optimism", "delta1 observed in the search and confirmed afterwards")


def _optimism_row(axes: Axes, row: int, confirmation: Confirmation, seen: float | None) -> None:
    finding = confirmed(confirmation)
    assert finding.accuracy is not None  # the caller leaves the others out
    mean = finding.accuracy.delta1
    if seen is not None:
        axes.plot([seen, mean], [row, row], color=MUTED, linewidth=1, zorder=1)
        axes.scatter(
            seen, row, s=46, facecolor=PAPER, edgecolor=MUTED, zorder=3, label="search, one seed"
        )
    if confirmation.validation is not None:
        level = confirmation.validation.delta1
        axes.scatter(
            level,
            row,
            s=42,
            marker="D",
            facecolor=SKY,
            edgecolor=PAPER,
            zorder=4,
            label="same data, fresh seeds",
        )
    tested = [r.accuracy.delta1 for r in confirmation.readings if r.accuracy is not None]
    axes.scatter(
        tested,
        [row] * len(tested),
        s=130,
        marker="|",
        color=BLUE,
        zorder=4,
        label="each fresh seed",
    )
    axes.scatter(
        mean, row, s=52, color=BLUE, edgecolor=PAPER, zorder=5, label="held-out data, fresh seeds"
    )


def learning_curves(curves: Sequence[tuple[str, Sequence[CurveRow]]]) -> Drawing | None:
    """Loss over training images, one panel per stage, one colour per design.

    Args:
        curves: Up to five designs' names and rows; without any row there is no figure.
    """
    stages = list(dict.fromkeys(row.stage for _, rows in curves for row in rows))
    if not stages:
        return None
    with house_style():
        figure = canvas(9.2, 3.4)
        panels = figure.subplots(1, len(stages), sharey=True, squeeze=False)[0]
        for axes, stage in zip(panels, stages, strict=True):
            for colour, (name, rows) in zip(LINES, curves, strict=False):
                points = [(row.images, row.loss) for row in rows if row.stage == stage]
                if points:
                    xs, ys = zip(*points, strict=True)
                    axes.plot(xs, ys, color=colour, label=name, linewidth=1.4)
            axes.set_title(stage)
            axes.set_yscale("log")
            axes.set_xlim(left=0)
            axes.locator_params(axis="x", nbins=4)
            tick_texts(axes.xaxis, numbers.tick)
            axes.set_xlabel("training images of the stage")
        losses = [row.loss for _, rows in curves for row in rows if row.loss > 0]
        few_log_ticks(panels[0].yaxis, min(losses), max(losses))
        tick_texts(panels[0].yaxis, lambda value: f"{value:g}")
        panels[0].set_ylabel("training loss, log scale")
        handles = {
            label: handle
            for axes in panels
            for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
        }
        figure.legend(
            handles.values(), handles.keys(), loc="outside lower center", ncols=5, columnspacing=1.4
        )
        return drawing(figure, "curves", "Training loss by stage of the best designs")
