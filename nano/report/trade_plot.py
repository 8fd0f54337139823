"""The score against a cost that is traded off for it: the front of a study."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes

from nano.front import costs, front, score
from nano.report import numbers
from nano.report.findings import Finding, chosen, confirmed, observed, quantity, state
from nano.report.run import Run
from nano.report.style import (
    BLUE,
    INK,
    MUTED,
    PAPER,
    RED,
    Drawing,
    canvas,
    drawing,
    few_log_ticks,
    house_style,
    tick_texts,
)


def trade_off(run: Run, name: str) -> Drawing | None:
    """NetScore over one cost: observed designs, their front, and the confirmed; None without any.

    Args:
        run: The study.
        name: Of the cost.
    """
    ended = [observed(e) for e in run.evaluations if state(e) == "complete"]
    seen = [finding for finding in ended if finding.netscore is not None]
    finalists = [one for c in run.confirmations if (one := confirmed(c)).netscore is not None]
    if not seen and not finalists:
        return None
    tips: dict[str, str] = {}
    with house_style():
        figure = canvas(6.0, 4.0)
        axes = figure.add_subplot()
        for feasible, colour, label in (
            (False, MUTED, "not feasible, observed once"),
            (True, BLUE, "feasible, observed once"),
        ):
            _points(axes, [f for f in seen if f.feasible == feasible], name, colour, label)
        _steps(axes, [f for f in seen if f.feasible], name)
        for finding in finalists:
            _confirmed(axes, finding, chosen(run), name, tips)
        values = [costs(f, [name])[0] for f in (*seen, *finalists)]
        low, high = min(values) / 1.2, max(values) * 1.2
        axes.set_xscale("log")
        axes.set_xlim(low, high)
        few_log_ticks(axes.xaxis, low, high)
        tick_texts(axes.xaxis, numbers.tick)
        axes.margins(y=0.14)
        axes.set_xlabel(f"{_AXES[name]}, log scale")
        axes.set_ylabel("NetScore (dB)")
        figure.legend(loc="outside lower center", ncols=2, columnspacing=2)
        return drawing(figure, f"trade-{name}", f"NetScore against {_AXES[name]}", tips)


_AXES = {
    "params": "parameters",
    "macs": "multiply-accumulates (MACs) per image",
    "activations": "activations per image",
    "bytes": "bytes moved per image",
    "latency_ms": "latency in milliseconds",
    "joules": "joules per image",
    "watts": "watts",
}


def _points(axes: Axes, findings: Sequence[Finding], name: str, colour: str, label: str) -> None:
    if findings:
        axes.scatter(
            [costs(f, [name])[0] for f in findings],
            [score(f) for f in findings],
            s=26,
            facecolor=colour if colour == BLUE else "none",
            edgecolor=colour,
            label=label,
        )


def _steps(axes: Axes, feasible: Sequence[Finding], name: str) -> None:
    """What is to be had for each cost: the best score among the designs that cost no more."""
    best = front(feasible, [name])
    if len(best) > 1:
        xs = [costs(f, [name])[0] for f in reversed(best)]
        ys = [score(f) for f in reversed(best)]
        axes.plot(xs, ys, drawstyle="steps-post", color=BLUE, label="front, observed once")


def _confirmed(
    axes: Axes, finding: Finding, answer: Finding | None, name: str, tips: dict[str, str]
) -> None:
    is_answer = answer is not None and finding.key == answer.key
    gid = f"confirmed-{finding.number}"
    held = "chosen, confirmed" if is_answer else "confirmed"
    label = held if finding.feasible else "confirmed: not feasible"
    known = axes.get_legend_handles_labels()[1]
    colour = RED if is_answer else INK
    axes.scatter(
        costs(finding, [name])[0],
        score(finding),
        s=55,
        facecolor=colour if finding.feasible else PAPER,
        edgecolor=PAPER if finding.feasible else INK,
        zorder=5,
        gid=gid,
        label=None if label in known else label,
    )
    tips[gid] = (
        f"trial {finding.number} ({finding.key}): NetScore {numbers.decibels(finding.netscore)}, "
        f"{name} {quantity(name, costs(finding, [name])[0])}"
    )
