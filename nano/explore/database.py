"""Opening the study's database, and what its errors mean."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from optuna.storages import BaseStorage, RDBStorage
from sqlalchemy import make_url

from nano.errors import MissingPackage, OutputError, RunError
from nano.explore.reading import Storage
from nano.files import replacing

_UNWRITABLE = {  # SQLite's words, deep in the chain of an error of Optuna's
    "database or disk is full": "the disk is full",
    "disk I/O error": "the disk is full, or failing",
    "readonly database": "it may only be read",
    "unable to open database file": "it cannot be opened",
}


def open_storage(url: str, *, create: bool = True) -> BaseStorage:
    """The storage behind a URL.

    Args:
        url: As SQLAlchemy writes it.
        create: Whether a file or tables that are missing are made; else that is an error.

    Raises:
        MissingPackage: Its driver is not installed.
        RunError: It cannot be opened, or is a file in a folder that does not exist.
    """
    options: dict[str, Any] = {}
    if url.startswith("sqlite"):
        # Several processes share the file; a writer waits for the others instead of failing.
        options = {"connect_args": {"timeout": 100}}
    try:
        if create:
            _create_whole(url)
        else:
            _check_there(url)
        return Storage(url, engine_kwargs=options, skip_table_creation=not create)
    except ModuleNotFoundError as missing:
        raise MissingPackage(
            f"storage {redacted(url)}: needs the driver {missing.name}; for PostgreSQL:"
            " pip install 'psycopg[binary]'"
        ) from missing
    except (OutputError, RunError):
        raise
    except Exception as error:
        raise RunError(f"storage {redacted(url)}: cannot be opened: {told(error)}") from error


def told(error: BaseException) -> str:
    """The first line of what the database itself says, deep in the chain, for a person."""
    while error.__cause__ is not None:
        error = error.__cause__
    first = str(error).splitlines()[0] if str(error) else type(error).__name__
    if "version_info" in first and ("no such table" in first or "does not exist" in first):
        return "it holds no studies"  # the first table that Optuna looks for
    return redacted(first)


def _create_whole(url: str) -> None:
    """A new SQLite file with all its tables, or none.

    Optuna makes table by table: a kill in between leaves one whose indexes are never made, and
    two studies of one name are possible.
    """
    file = make_url(url).database if url.startswith("sqlite") else None
    if not file or file == ":memory:" or Path(file).exists():
        return
    if not Path(file).parent.is_dir():
        raise RunError(
            f"storage {redacted(url)}: no such folder {Path(file).parent}; make it first"
        )
    with replacing(Path(file)) as part:
        RDBStorage(f"sqlite:///{part}").engine.dispose()


def _check_there(url: str) -> None:
    """SQLite would make an empty file."""
    file = make_url(url).database if url.startswith("sqlite") else None
    if file and not Path(file).is_file():
        raise RunError(f"storage {redacted(url)}: no such file")


def redacted(text: str) -> str:
    """A URL, or a text that holds one, without its password: before the host, or as an option."""
    text = re.sub(r"(://[^:/@\s]*):[^\n]*@", r"\1:***@", text)  # rather too much than too little
    return re.sub(r"(?i)([?&]\w*pass(?:word|wd)=)[^&\s]*", r"\1***", text)


def disk_full(error: BaseException | None, run: Path) -> OutputError | None:
    """The storage's way of saying that it cannot write, in a person's words."""
    while error is not None:
        for told, meant in _UNWRITABLE.items():
            if told in str(error):
                return OutputError(f"{run}: the study's storage cannot be written: {meant}")
        error = error.__cause__ or error.__context__
    return None
