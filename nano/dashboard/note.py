"""The study's note: the answer, the best designs, the requirements and the figures, in Markdown."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from string import punctuation

from nano.records import Accuracy
from nano.report import numbers
from nano.report.findings import (
    Finding,
    chosen,
    confirmed,
    headline,
    nearest,
    observed,
    quantity,
    state,
    value_at,
)
from nano.report.run import Run

_BEST = 10  # designs in the table
_LONGEST = 300  # characters of a text of somebody else's
_HEADINGS = ("trial", "feasible", "NetScore", "delta1", "parameters", "MACs", "origin", "key")


def study_note(run: Run, *, crowned: int | None, links: Mapping[str, str]) -> str:
    """The note.

    Args:
        run: The records.
        crowned: Number of the trial on the dashboard's card, if there is one.
        links: Addresses by file name; pictures are shown, other files linked.
    """
    about = run.study.get("about")
    pictures = [f"![{plain(name)}]({to})" for name, to in links.items() if _is_picture(name)]
    files = [f"[{plain(name)}]({to})" for name, to in links.items() if not _is_picture(name)]
    parts = [
        f"**{plain(headline(run))}**",
        plain(about) if isinstance(about, str) else "",
        _card(run, crowned),
        _table("Requirements", ("requirement", "bound", "reached", ""), _requirements(run)),
        _table("Confirmed with fresh seeds, on held-out data", _HEADINGS, _confirmed(run)),
        _table("Best designs, as the search observed them once", _HEADINGS, _observed(run)),
        "\n\n".join(pictures),
        f"Files: {', '.join(files)}" if files else "",
        "*This note is written anew from the records at every look; nothing of it is stored.*",
    ]
    return "\n\n".join(part for part in parts if part)


def plain(text: str) -> str:
    """Text in which Markdown finds nothing to read: one line, at most 300 characters."""
    line = " ".join(text.split())
    line = line if len(line) <= _LONGEST else f"{line[:_LONGEST]}..."
    return re.sub(f"([{re.escape(punctuation)}])", r"\\\1", line)


def _is_picture(name: str) -> bool:
    return name.endswith((".png", ".svg"))


def _card(run: Run, crowned: int | None) -> str:
    """What the card means, where it does not show the claim."""
    if crowned is None:
        return "No trial meets every requirement yet, so none is shown as the best."
    answer = chosen(run)
    text = f"The card shows trial {crowned}, the best feasible one of the search."
    if answer is not None and answer.confirmed and answer.number != crowned:
        text += f" The claim is trial {answer.number}, which fresh seeds confirmed."
    return text


def _requirements(run: Run) -> list[list[str]]:
    """Of the chosen design, or the nearest."""
    subject = chosen(run) or nearest(run)
    rows = []
    for requirement in run.requirements.items:
        margin = subject.margins.get(requirement.name) if subject else None
        reached = None if margin is None else value_at(requirement, margin)
        met = "unknown" if margin is None else ("met" if margin <= 0 else "**not met**")
        rows.append(
            [
                plain(requirement.name),
                plain(requirement.describe().removeprefix(requirement.name)),
                plain(quantity(requirement.name, reached)),
                met,
            ]
        )
    return rows


def _confirmed(run: Run) -> list[list[str]]:
    return [_row(confirmed(confirmation)) for confirmation in run.confirmations]


def _observed(run: Run) -> list[list[str]]:
    complete = [observed(e) for e in run.evaluations if state(e) == "complete"]
    complete.sort(key=lambda one: (not one.feasible, -(one.netscore or 0.0)))
    return [_row(one) for one in complete[:_BEST]]


def _row(one: Finding) -> list[str]:
    return [
        f"#{one.number}",
        "yes" if one.feasible else "no",
        plain(numbers.decibels(one.netscore)),
        plain(numbers.mean_sd(_delta1(one.accuracy), one.delta1_sd)),
        plain(numbers.count(one.cost.params)),
        plain(numbers.count(one.cost.macs)),
        plain(one.origin),
        plain(one.key),
    ]


def _delta1(accuracy: Accuracy | None) -> float | None:
    return accuracy.delta1 if accuracy else None


def _table(title: str, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Nothing without rows."""
    lines = [headings, ["---"] * len(headings), *rows]
    table = "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
    return f"### {title}\n\n{table}" if rows else ""
