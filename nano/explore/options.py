"""What the command line says beside the study file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Options:
    """How to run a study; nothing here changes its results, but for when it ends.

    Attributes:
        out: Run folder.
        base: Folder of the study file.
        trials: Trials in all, or None for the study's own number.
        hours: No new trial after so many hours, or None.
        workers: Worker processes, or None for as many as the machine, or the cluster, can carry.
        storage: Optuna storage URL, or None for SQLite in the run folder.
        join: Add workers to a study that exists; confirm and report nothing.
        show: ``table``, ``lines``, ``json`` or ``quiet``.
        command: The command line, for run.json.
    """

    out: Path
    base: Path
    trials: int | None
    hours: float | None
    workers: int | None
    storage: str | None
    join: bool
    show: str
    command: Sequence[str]
