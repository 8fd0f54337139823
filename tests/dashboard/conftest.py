"""The made-up study as fixtures."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from dashboard_study import Make, write_study

from nano.files import write_json


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory, without_sync: None) -> Path:
    """A run folder to be read only."""
    return write_study(tmp_path_factory.mktemp("dashboard") / "run")


@pytest.fixture
def make(tmp_path: Path, made: Path) -> Make:
    """``make()`` copies that run folder; ``make(seen)`` writes one of other trials."""

    def write(*seen: Any, name: str = "made") -> Path:
        folder = tmp_path / "run"
        if seen:
            return write_study(folder, *seen)
        shutil.copytree(made, folder)
        if name != "made":
            with closing(sqlite3.connect(folder / "study.db")) as database, database:
                database.execute("UPDATE studies SET study_name = ?", [name])
            write_json(folder / "run.json", {"study": name, "requirements": []})
        return folder

    return write
