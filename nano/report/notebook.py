"""What a notebook's cells ask a run for: one answer each, and a sentence where there is none."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from nano.design.kinds import AnyDesign
from nano.errors import RunError
from nano.report.findings import chosen, nearest, reference
from nano.report.markup import Html, tag
from nano.report.run import Run
from nano.report.style import Drawing


@dataclass(frozen=True, kw_only=True)
class Photograph:
    """A kept PNG picture."""

    png: bytes

    def _repr_png_(self) -> bytes:
        """What a notebook shows."""
        return self.png


def shown(figure: Drawing | Photograph | None) -> Drawing | Photograph | Html:
    """The figure, or a line that says that the run has nothing for it."""
    if figure is None:
        return tag("p", "Nothing to draw: this run has no records of that kind yet.")
    return figure


def design_of(run: Run) -> AnyDesign:
    """The chosen design, else the nearest to feasible.

    Raises:
        RunError: All designs failed.
    """
    subject = chosen(run) or nearest(run)
    for evaluation in run.evaluations:
        if subject is not None and evaluation.key == subject.key:
            return evaluation.design
    raise RunError(f"run {run.name}: every design failed, so there is no network to look at")


def size_of(run: Run) -> tuple[int, int]:
    """Height and width of the images; a run is never without evaluations here."""
    return run.evaluations[0].size


def model_of(run: Run) -> tuple[Path, int]:
    """The folder of the chosen network's weights, and the seed of its start.

    Raises:
        RunError: None was kept.
    """
    if run.best_model is None:
        raise RunError(
            f"run {run.name}: no model in best/ of a run folder; a study keeps one once a design"
            " is confirmed"
        )
    return run.folder / "best", run.best_model.seed


def panel_of(run: Run, who: str) -> Photograph | None:
    """What the ``chosen`` or the ``reference`` network saw; None where no panel was kept.

    Raises:
        RunError: The reference's panel is damaged.
    """
    if who == "chosen":
        return None if run.panel is None else Photograph(png=run.panel)
    against = reference(run)
    png = None if against is None or not against.confirmed else run.confirmed_panel(against.key)
    return None if png is None else Photograph(png=png)
