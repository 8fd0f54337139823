"""trials.csv, and the page's tables."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from nano.cost.table import PartRow, told_widths
from nano.files import write_text
from nano.front import costs, front
from nano.records import Accuracy, Confirmation, Evaluation
from nano.report import numbers
from nano.report.findings import (
    Finding,
    confirmed,
    is_fraction,
    latency_ms,
    misses,
    observed,
    quantity,
    state,
    value_at,
)
from nano.report.grid import Cell, table
from nano.report.markup import Html, join, tag
from nano.report.published import PUBLISHED
from nano.report.run import Run, read_run
from nano.score import Requirement

CSV_COLUMNS = (
    "number",
    "state",
    "stage",
    "feasible",
    "netscore",
    "delta1",
    "abs_rel",
    "params",
    "macs",
    "latency_ms",
    "spend_images",
    "seconds",
    "key",
    "seed",
    "origin",
)


def write_trials_csv(run: Path) -> Path:
    """Write RUN/trials.csv, one row per trial, and return its path.

    Unknown values are empty; ``feasible`` is true or false; numbers are written in full.

    Raises:
        RunError: When the folder holds no study.
        OutputError: When the file cannot be written.
    """
    return write_csv(read_run(run))


def write_csv(run: Run) -> Path:
    """`write_trials_csv` of a run that has been read."""
    margins = margin_names(run)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*CSV_COLUMNS, *(f"margin_{name}" for name in margins)])
    for evaluation in run.evaluations:
        writer.writerow([*_csv_row(evaluation), *map(evaluation.margins.get, margins)])
    path = run.folder / "trials.csv"
    write_text(path, text.getvalue())
    return path


def margin_names(run: Run) -> list[str]:
    """Requirements in the study's order, then any other that a record has a margin for."""
    asked = [requirement.name for requirement in run.requirements.items]
    recorded = sorted({name for evaluation in run.evaluations for name in evaluation.margins})
    return list(dict.fromkeys([*asked, *recorded]))


def _csv_row(evaluation: Evaluation) -> list[object]:
    accuracy = evaluation.accuracy
    return [
        evaluation.number,
        state(evaluation),
        evaluation.stage,
        str(evaluation.feasible).lower(),
        evaluation.netscore,
        accuracy.delta1 if accuracy else None,
        accuracy.abs_rel if accuracy else None,
        evaluation.cost.params,
        evaluation.cost.macs,
        latency_ms(evaluation),
        evaluation.spend_images,
        evaluation.seconds,
        evaluation.key,
        evaluation.seed,
        evaluation.origin,
    ]


def requirement_table(finding: Finding, run: Run) -> Html | None:
    """Each requirement with what the design reaches; None without requirements."""
    rows: list[list[str | Cell]] = []
    for requirement in run.requirements.items:
        margin = finding.margins.get(requirement.name)
        sense = "≥" if requirement.at_least else "≤"
        reached = None if margin is None else value_at(requirement, margin)
        met = margin is not None and margin <= 0
        rows.append(
            [
                requirement.name,
                Cell(content="✓ met" if met else "✗ not met", kind="good" if met else "bad"),
                f"{sense} {quantity(requirement.name, requirement.bound)}",
                quantity(requirement.name, reached),
                _to_spare(requirement, margin),
                quantity(requirement.name, requirement.safety) if requirement.safety else "none",
                Cell(content=_doubt(finding, requirement, margin), kind="wide"),
            ]
        )
    headings = ("requirement", "", "bound", "reached", "to spare", "safety in the search", "")
    return table(headings, rows, numeric=(2, 3, 4, 5)) if rows else None


def _to_spare(requirement: Requirement, margin: float | None) -> str:
    if margin is None:
        return numbers.UNKNOWN
    if is_fraction(requirement.name):
        return numbers.signed_ratio(-margin)
    return numbers.signed_percent(-margin)


def _doubt(finding: Finding, requirement: Requirement, margin: float | None) -> str:
    """Says so when a requirement is met, or missed, by less than seeds differ."""
    if requirement.name != "delta1" or margin is None or finding.delta1_sd is None:
        return ""
    return "by less than one deviation of the seeds" if abs(margin) < finding.delta1_sd else ""


def confirmation_table(run: Run, answer: Finding | None) -> Html:
    """Observed in the search against confirmed, one row per finalist."""
    seen = {e.number: e for e in run.evaluations}
    rows: list[list[str | Cell]] = []
    classes: list[str] = []
    for confirmation in run.confirmations:
        rows.append(_confirmation_row(confirmation, seen.get(confirmation.number)))
        is_answer = answer is not None and answer.key == confirmation.key
        classes.append("chosen" if is_answer else "")
    headings = (
        "trial",
        "origin",
        "delta1 in the search",
        "fresh seeds, same data",
        "fresh seeds, held-out data",
        "change",
        "NetScore in the search",
        "NetScore confirmed",
        "params",
        "MACs",
        "feasible",
    )
    return table(headings, rows, numeric=range(2, 10), classes=classes)


def _confirmation_row(confirmation: Confirmation, seen: Evaluation | None) -> list[str | Cell]:
    first = _delta1(seen.accuracy) if seen else None
    last = _delta1(confirmation.accuracy)
    change = last - first if first is not None and last is not None else None
    return [
        f"#{confirmation.number}",
        confirmation.origin,
        numbers.ratio(first),
        numbers.ratio(_delta1(confirmation.validation)),
        numbers.mean_sd(last, confirmation.delta1_sd),
        numbers.signed_ratio(change),
        numbers.decibels(seen.netscore if seen else None),
        numbers.decibels(confirmation.netscore),
        numbers.count(confirmation.cost.params),
        numbers.count(confirmation.cost.macs),
        _yes(confirmation.feasible),
    ]


def front_table(run: Run) -> Html | None:
    """The confirmed front of a study that trades off costs, dearest first; None without any."""
    feasible = [one for c in run.confirmations if (one := confirmed(c)).feasible]
    rows: list[list[str | Cell]] = [
        [
            f"#{one.number}",
            one.key,
            numbers.decibels(one.netscore),
            numbers.mean_sd(_delta1(one.accuracy), one.delta1_sd),
            *map(quantity, run.trade_off, costs(one, run.trade_off)),
        ]
        for one in front(feasible, run.trade_off)
    ]
    headings = ("trial", "key", "NetScore", "delta1", *run.trade_off)
    return table(headings, rows, numeric=range(2, len(headings))) if rows else None


def best_table(run: Run, limit: int = 10) -> Html | None:
    """The best complete designs as observed in the search; None without any."""
    complete = [e for e in run.evaluations if state(e) == "complete" and e.netscore is not None]
    complete.sort(key=lambda e: (not e.feasible, -(e.netscore or 0.0)))
    rows: list[list[str | Cell]] = [
        [
            f"#{e.number}",
            e.key,
            e.origin,
            numbers.decibels(e.netscore),
            numbers.ratio(_delta1(e.accuracy)),
            numbers.ratio(e.accuracy.abs_rel if e.accuracy else None),
            numbers.count(e.cost.params),
            numbers.count(e.cost.macs),
            numbers.milliseconds(latency_ms(e)),
            _yes(e.feasible),
        ]
        for e in complete[:limit]
    ]
    headings = (
        *("trial", "key", "origin", "NetScore", "delta1", "AbsRel", "params", "MACs"),
        *("latency", "feasible"),
    )
    return table(headings, rows, numeric=range(3, 9), without=_unmeasured(run)) if rows else None


def _unmeasured(run: Run) -> tuple[str, ...]:
    return () if any(e.measurements for e in run.evaluations) else ("latency",)


def trials_table(run: Run) -> Html:
    """Every trial; headings sort."""
    requirements = run.requirements.items
    names = [requirement.name for requirement in requirements]
    rows: list[list[str | Cell]] = []
    classes: list[str] = []
    for e in run.evaluations:
        delta1 = _delta1(e.accuracy)
        abs_rel = e.accuracy.abs_rel if e.accuracy else None
        kind = state(e)
        ended = e.reason or _last_reason(e)
        if kind == "complete" and not e.feasible:
            ended = "; ".join(misses(observed(e), requirements))
        rows.append(
            [
                Cell(content=f"#{e.number}", order=e.number),
                Cell(content=kind, kind=kind),
                e.stage,
                _yes(e.feasible),
                Cell(content=numbers.decibels(e.netscore), order=e.netscore),
                Cell(content=numbers.ratio(delta1), order=delta1),
                Cell(content=numbers.ratio(abs_rel), order=abs_rel),
                Cell(content=numbers.count(e.cost.params), order=e.cost.params),
                Cell(content=numbers.count(e.cost.macs), order=e.cost.macs),
                Cell(content=numbers.milliseconds(latency_ms(e)), order=latency_ms(e)),
                Cell(content=numbers.count(e.spend_images), order=e.spend_images),
                Cell(content=numbers.duration(e.seconds), order=e.seconds),
                *(_margin(e.margins.get(name)) for name in names),
                e.origin,
                e.key,
                Cell(content=ended, kind="wide"),
            ]
        )
        classes.append("feasible" if e.feasible else "")
    headings = (
        *("trial", "state", "stage", "feasible", "NetScore", "delta1", "AbsRel", "params"),
        *("MACs", "latency", "train images", "time", *(f"margin {name}" for name in names)),
        *("origin", "key", "why it ended, or what it misses"),
    )
    numeric = range(4, 12 + len(names))
    without = _unmeasured(run)
    return table(headings, rows, numeric=numeric, sortable=True, classes=classes, without=without)


def _last_reason(evaluation: Evaluation) -> str:
    return (evaluation.readings[-1].reason or "") if evaluation.readings else ""


def layer_table(rows: Sequence[PartRow]) -> Html:
    """The chosen network as the paper's Table 3: output, then the widths of every module."""
    cells: list[list[str | Cell]] = []
    for row in rows:
        told = join(
            tag("div", tag("span", kind, class_="word"), " ", widths)
            for kind, widths in told_widths(row.modules)
        )
        cells.append(
            [
                row.label,
                row.output,
                Cell(content=told, kind="widths"),
                numbers.whole(row.params),
                numbers.percent(row.params_share),
                numbers.count(row.macs),
                numbers.percent(row.macs_share),
            ]
        )
    headings = (
        "layer",
        "output C@HxW",
        "channels of each module",
        "params",
        "share",
        "MACs",
        "share",
    )
    return table(headings, cells, numeric=range(3, 7))


def published_table() -> Html:
    """Rows of the paper's Table 1, marked as quoted."""
    rows = [
        (
            row.name,
            "quoted",
            numbers.side_by_side(row.size),
            numbers.count(row.params),
            numbers.count(row.macs),
            numbers.ratio(row.delta1),
            numbers.ratio(row.delta2),
            numbers.ratio(row.delta3),
            numbers.ratio(row.abs_rel),
            numbers.ratio(row.sq_rel),
            numbers.ratio(row.rmse),
            numbers.ratio(row.rmse_log),
        )
        for row in PUBLISHED
    ]
    headings = (
        *("network", "source", "input", "params", "MACs", "delta1", "delta2", "delta3", "AbsRel"),
        *("SqRel (m)", "RMSE (m)", "RMSE log"),
    )
    return table(headings, rows, numeric=range(3, 12))


def _delta1(accuracy: Accuracy | None) -> float | None:
    return accuracy.delta1 if accuracy else None


def _yes(feasible: bool) -> Cell:
    return Cell(
        content="✓ yes" if feasible else "no",
        order=int(feasible),
        kind="good" if feasible else None,
    )


def _margin(margin: float | None) -> Cell:
    return Cell(content=numbers.signed_ratio(margin), order=margin)
