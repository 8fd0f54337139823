"""A run by its place: the run folder, or the storage that keeps its study."""

from __future__ import annotations

from pathlib import Path

from optuna.storages import BaseStorage
from optuna.study._frozen import FrozenStudy

from nano.errors import RunError
from nano.explore.database import open_storage
from nano.explore.said import redacted
from nano.explore.told import ANSWER, told
from nano.report.run import Run, read_run, stored_run


def open_run(place: str | Path, *, storage: str | None = None) -> Run:
    """Read a run in which a design was evaluated; nothing is written.

    Args:
        place: The run folder, or the URL of an Optuna storage that holds one study of ours: then
            there are no curves, pictures or models, which only a folder keeps.
        storage: With a folder: the URL that its study is kept at, if other machines add trials
            there. Trials are then the storage's, all else is the folder's; in the folder of a
            machine that joined, the answer is the storage's too.

    Raises:
        RunError: No run is there, it cannot be read, or nothing has been evaluated in it yet.
    """
    if "://" in str(place):
        run = _of_storage(str(place), None)
    else:
        run = read_run(Path(place))
        if storage is not None:
            run = run.told_by(_of_storage(storage, run.name))
    if not run.evaluations:
        shown = redacted(str(place)) if "://" in str(place) else str(place)
        raise RunError(
            f"{shown}: no design has been evaluated yet; start or resume the study:"
            f" python -m nano.explore STUDY.toml --out RUN"
        )
    return run


def _of_storage(url: str, name: str | None) -> Run:
    """The study of that name, or the only one."""
    storage = open_storage(url, create=False)
    ours = [one for one in storage.get_all_studies() if "study" in one.user_attrs]
    found = [one for one in ours if name in (None, one.study_name)]
    if len(found) != 1:
        named = f"{name!r}" if name else "one study of nano.explore"
        held = ", ".join(one.study_name for one in ours) or "none"
        raise RunError(f"storage {redacted(url)}: {named} is looked for; it holds: {held}")
    return _run(storage, found[0])


def _run(storage: BaseStorage, study: FrozenStudy) -> Run:
    evaluations = told(storage.get_all_trials(study._study_id, deepcopy=False))
    attributes = study.user_attrs
    return stored_run(study.study_name, attributes["study"], evaluations, attributes.get(ANSWER))
