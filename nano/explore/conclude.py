"""The end of a command: finalists are confirmed, the answer is chosen, kept, reported and told."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nano.explore.belief import Belief
from nano.explore.caps import Caps
from nano.explore.findings import Findings, chosen, confirmed
from nano.explore.folder import RunFolder
from nano.explore.interrupts import Interrupts
from nano.explore.journal import Clock
from nano.explore.lab import judge
from nano.explore.lessons import lessons
from nano.explore.options import Options
from nano.explore.search import Driver
from nano.explore.storage import Store
from nano.explore.study import StudyFile
from nano.files import to_plain
from nano.records import Confirmation, Evaluation
from nano.report.findings import headline
from nano.report.run import Run, read_run
from nano.report.tables import write_csv

_log = logging.getLogger("nano.explore")


def confirm(study: StudyFile, driver: Driver, store: Store) -> list[Confirmation] | None:
    """Fresh seeds for the finalists, and for the prototype as the reference."""
    evaluations = store.evaluations()
    belief = _belief(study)
    return confirmed(
        evaluations,
        study.stages.confirm.designs,
        holds=lambda found: belief.holds(evaluations, found),
        confirm=driver.confirm,
        judge=driver.judge,
    )


def _belief(study: StudyFile) -> Belief:
    return Belief(
        Caps(prototype=study.family(), requirements=study.requirements(), size=study.size)
    )


def _lessons(
    study: StudyFile, evaluations: Sequence[Evaluation], best: Confirmation | None
) -> dict[str, Any]:
    """What the study taught about the chosen design; nothing where none was chosen."""
    around = next((e.design for e in evaluations if best is not None and e.key == best.key), None)
    belief = _belief(study)
    inquisitor = belief.inquisitor(evaluations) if around is not None else None
    if around is None or inquisitor is None:
        return {}
    return {"lessons": to_plain(lessons(inquisitor, belief.levels, around))}


def conclude(
    study: StudyFile,
    options: Options,
    folder: RunFolder,
    store: Store,
    clock: Clock,
    confirmations: list[Confirmation] | None,
    interrupts: Interrupts,
    workers: int,
) -> int:
    """Write what is derived (best, run.json, trials.csv, report.html) and say what was found."""
    evaluations = store.evaluations()
    if confirmations is not None:
        folder.sweep()
    for evaluation in evaluations:
        if folder.evaluation(evaluation.number) != evaluation:
            folder.write_evaluation(evaluation)  # the storage is the truth
    held = _belief(study).holds(evaluations, confirmations) if confirmations else {}
    found = Findings(
        evaluations=tuple(evaluations),
        confirmations=None if confirmations is None else tuple(confirmations),
        kept=tuple(folder.confirmations()),
        best=chosen(confirmations or [], judge(study), held),
        trials=options.trials or study.trials,
        trade_off=study.utility.trade_off,
    )
    code = interrupts.exit_code if confirmations is None else found.exit_code
    if found.best is not None:
        folder.write_best(found.best)
    elif confirmations is not None:
        folder.remove_best()
    summary = found.summary() | {
        **_lessons(study, evaluations, found.best),
        "exit_code": code,
        "seconds": clock.total(),
        "workers": workers,
    }
    store.conclude(found.best, found.kept)
    folder.write_run({**clock.record, "summary": summary})
    run = read_run(folder.path)
    write_csv(run)
    page = write_report(run)
    answer = headline(run)  # the same words on the terminal and on the page
    _log.info("ended with exit code %d: %s", code, answer)
    if options.show == "json":
        print(json.dumps({"event": "summary", **summary}, allow_nan=False))
        return code
    if confirmations is None:
        print(f"{len(evaluations)} of {found.trials} trials done; the same command goes on")
    print(answer)
    if found.best is not None:
        print("\n".join(_next(study, folder)))
    print(f"report: {page}")
    return code


def write_report(run: Run) -> Path:
    """As `nano.report.page.write_page`; matplotlib comes with it, and no search waits for that."""
    from nano.report.page import write_page

    return write_page(run)


def _next(study: StudyFile, folder: RunFolder) -> list[str]:
    """Where the best design is, and what to do with it."""
    if study.evaluate is not None:
        return [f"design: {folder.best / 'design.json'}"]
    again = f"python -m nano.train {folder.best} --data {folder.path / 'study.toml'}"
    return [f"model: {folder.best}", f"next: {again}"]
