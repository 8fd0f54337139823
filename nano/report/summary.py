"""The run in plain data: what ``python -m nano.report --json`` prints."""

from __future__ import annotations

from nano.front import score
from nano.report.findings import (
    Finding,
    chosen,
    confirmed,
    gain_db,
    headline,
    nearest,
    reference,
    state,
)
from nano.report.run import Run


def summary(run: Run) -> dict[str, object]:
    """The answer and the counts, unrounded; keys may be added, never changed."""
    answer, against = chosen(run), reference(run)
    states = [state(evaluation) for evaluation in run.evaluations]
    outcome = "none feasible" if run.evaluations else "empty"
    if answer is not None:
        outcome = "confirmed" if answer.confirmed else "observed"
    return {
        "study": run.name,
        "outcome": outcome,
        "headline": headline(run),
        "chosen": _plain(answer),
        "nearest": _plain(nearest(run)) if answer is None else None,
        "reference": _plain(against),
        "gain_db": gain_db(answer, against) if answer else None,
        "trials": len(states),
        "complete": states.count("complete"),
        "pruned": states.count("pruned"),
        "failed": states.count("failed"),
        "feasible": sum(evaluation.feasible for evaluation in run.evaluations),
        "confirmed": len(run.confirmations),
        "confirmed_feasible": sum(confirmed(c).feasible for c in run.confirmations),
        "search_images": sum(evaluation.spend_images for evaluation in run.evaluations),
        "confirmation_images": sum(r.images for c in run.confirmations for r in c.readings),
        "problems": list(run.problems),
    }


def _plain(finding: Finding | None) -> dict[str, object] | None:
    if finding is None:
        return None
    known = score(finding) > float("-inf")
    return {
        "number": finding.number,
        "key": finding.key,
        "origin": finding.origin,
        "netscore": finding.netscore if known else None,
        "delta1": finding.accuracy.delta1 if finding.accuracy else None,
        "delta1_sd": finding.delta1_sd,
        "params": finding.cost.params,
        "macs": finding.cost.macs,
        "margins": finding.margins,
        "feasible": finding.feasible,
        "seeds": finding.seeds,
        "stage": finding.stage,
        "images": finding.images,
    }
