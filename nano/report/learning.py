"""How the generator learned: what it expected of its designs against what was measured."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes

from nano.records import Evaluation, Lessons
from nano.report.findings import state
from nano.report.run import Run
from nano.report.style import BLUE, INK, MUTED, ORANGE, RED, Drawing, canvas, drawing, house_style

_SD_90 = 1.645  # a normal's 90 % lie within so many standard deviations
_WINDOW = 8  # trials over which the feasible share is told


@dataclass(frozen=True, kw_only=True)
class Expectation:
    """One final training whose delta1 was foretold before anything was trained.

    Attributes:
        number: Of the trial.
        expected: delta1 foretold.
        sd: Its standard deviation, the noise of a training included.
        measured: delta1 of the final training, one seed.
    """

    number: int
    expected: float
    sd: float
    measured: float

    @property
    def covered(self) -> bool:
        """Whether the reading lies in the 90 % interval."""
        return abs(self.measured - self.expected) <= _SD_90 * self.sd


def expectations(run: Run) -> list[Expectation]:
    """Of the designs that were trained to the end and had an expectation."""
    found = []
    for evaluation in run.evaluations:
        told = evaluation.proposal
        if state(evaluation) == "complete" and "delta1" in told and evaluation.accuracy:
            found.append(
                Expectation(
                    number=evaluation.number,
                    expected=float(told["delta1"]),
                    sd=float(told["delta1_sd"]),
                    measured=evaluation.accuracy.delta1,
                )
            )
    return found


def calibration(told: Sequence[Expectation]) -> str:
    """In words: how often the 90 % interval held, and the mean and typical error."""
    if not told:
        return ""
    inside = sum(one.covered for one in told)
    errors = [one.measured - one.expected for one in told]
    typical = math.sqrt(sum(e * e for e in errors) / len(errors))
    bias = sum(errors) / len(errors)
    return (
        f"{inside} of {len(told)} final readings lie within the 90 % interval foretold; the "
        f"typical error of delta1 is {typical:.3f}, the mean one {bias:+.3f}."
    )


def learned(run: Run) -> Drawing | None:
    """Foretold against measured delta1, and how the generator narrowed; None without either."""
    told = expectations(run)
    drawn = [e for e in run.evaluations if "entropy" in e.proposal]
    if not drawn:
        return None
    with house_style():
        figure = canvas(9.2, 3.6)
        left, right = figure.subplots(1, 2)
        _foretold(left, told)
        _narrowing(right, drawn)
        if any(axes.get_legend_handles_labels()[1] for axes in (left, right)):
            figure.legend(loc="outside lower center", ncols=4, columnspacing=1.6)
        return drawing(
            figure, "learned", "delta1 foretold against measured, and the generator's entropy"
        )


def _foretold(axes: Axes, told: Sequence[Expectation]) -> None:
    axes.set_title("what it foretold")
    axes.set_xlabel("delta1 foretold before training")
    axes.set_ylabel("delta1 measured, one seed")
    if not told:
        axes.text(
            0.5, 0.5, "no foretold design was trained to the end", ha="center",
            transform=axes.transAxes, color=MUTED,
        )  # fmt: skip
        return
    values = [v for one in told for v in (one.expected, one.measured)]
    pad = 0.1 * (max(values) - min(values)) + 1e-3
    ends = (min(values) - pad, max(values) + pad)
    axes.plot(ends, ends, color=INK, linewidth=1, linestyle=(0, (5, 3)), label="as foretold")
    for covered, colour, label in (
        (True, BLUE, "within its 90 % interval"),
        (False, RED, "outside"),
    ):
        points = [one for one in told if one.covered == covered]
        if points:
            axes.errorbar(
                [one.expected for one in points],
                [one.measured for one in points],
                xerr=[_SD_90 * one.sd for one in points],
                fmt="o",
                color=colour,
                markersize=5,
                elinewidth=0.8,
                alpha=0.9,
                label=label,
            )
    axes.set_ylim(*ends)


def _narrowing(axes: Axes, drawn: Sequence[Evaluation]) -> None:
    numbers = [e.number for e in drawn]
    axes.plot(numbers, [float(e.proposal["entropy"]) for e in drawn], color=ORANGE)
    axes.set_title("how it narrowed")
    axes.set_xlabel("trial")
    axes.set_ylabel("entropy of the generator\n(mean log spread of a gene)", color=ORANGE)
    share = axes.twinx()
    share.grid(visible=False)
    final = [e for e in drawn if state(e) == "complete"]
    rates = [
        sum(e.feasible for e in final[max(0, i - _WINDOW + 1) : i + 1]) / min(i + 1, _WINDOW)
        for i in range(len(final))
    ]
    share.plot([e.number for e in final], rates, color=BLUE, linewidth=1.2)
    share.set_ylim(-0.03, 1.03)
    share.spines["right"].set_visible(True)
    share.set_ylabel(f"feasible share of the last {_WINDOW} finals", color=BLUE)


def told_lessons(lessons: Lessons) -> str:
    """The parts that matter most, and those that hardly do, in a sentence each."""
    ranked = sorted(lessons.parts, key=lambda lesson: -lesson.delta1)
    best = "; ".join(
        f"{one.part} {one.delta1:+.4f} for {one.params:+.1%} parameters" for one in ranked[:3]
    )
    idle = [one.part for one in ranked if abs(one.delta1) < abs(ranked[0].delta1) / 10]
    text = (
        f"From {lessons.read} designs the inquisitor expects of the chosen design, made a tenth "
        f"wider in one part, most from: {best}. "
    )
    if idle:
        text += f"Hardly anything from: {', '.join(idle[:6])}. "
    return text


def lessons_figure(lessons: Lessons) -> Drawing | None:
    """Expected change of delta1 per part, beside the price in parameters."""
    ranked = sorted(lessons.parts, key=lambda lesson: lesson.delta1)[-16:]
    if not ranked:
        return None
    with house_style():
        figure = canvas(9.2, 0.9 + 0.25 * len(ranked))
        gain, price = figure.subplots(1, 2, sharey=True)
        places = range(len(ranked))
        gain.barh(places, [one.delta1 for one in ranked], 0.7, color=BLUE)
        price.barh(places, [100 * one.params for one in ranked], 0.7, color=ORANGE)
        gain.set_yticks(places, [one.part for one in ranked])
        gain.set_xlabel("expected change of delta1")
        price.set_xlabel("change of the parameters (%)")
        for axes in (gain, price):
            axes.grid(visible=False, axis="y")
            axes.tick_params(axis="y", length=0)
        return drawing(figure, "lessons", "What widening each part by a tenth would change")
