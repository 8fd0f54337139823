"""Opening the study's database, and what its errors mean."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from optuna.storages import RDBStorage
from sqlalchemy import URL, make_url

from nano.errors import MissingPackage, OutputError, RunError
from nano.explore.outage import Outage, PatientStorage
from nano.explore.reading import Storage
from nano.explore.said import redacted, said
from nano.files import replacing

# Connections of libpq, so that a machine that vanished is noticed in a minute or so, at both ends.
_ALIVE = {"connect_timeout": 10, "keepalives_idle": 30, "keepalives_interval": 10}
_ALIVE |= {"keepalives_count": 3, "tcp_user_timeout": 60_000}
_ALIVE_THERE = "-c tcp_keepalives_idle=30 -c tcp_keepalives_interval=10 -c tcp_keepalives_count=3"
_OLDEST = 10  # the oldest PostgreSQL that psycopg 3 supports, by its documentation

_UNWRITABLE = {  # SQLite's words, deep in the chain of an error of Optuna's
    "database or disk is full": "the disk is full",
    "disk I/O error": "the disk is full, or failing",
    "readonly database": "it may only be read",
    "unable to open database file": "it cannot be opened",
}


def open_storage(url: str, *, create: bool = True, outage: Outage | None = None) -> RDBStorage:
    """The storage behind a URL.

    Args:
        url: As SQLAlchemy writes it.
        create: Whether a file or tables that are missing are made; else that is an error.
        outage: Patience with a server that goes away later; None has none.

    Raises:
        MissingPackage: Its driver is not installed.
        RunError: It cannot be opened, is too old, or is a file in a folder that does not exist.
    """
    try:
        if url.startswith("sqlite"):
            if create:
                _create_whole(url)
            else:
                _check_there(url)
            # Several processes share the file; a writer waits for the others instead of failing.
            options = {"connect_args": {"timeout": 100}}
            return Storage(url, engine_kwargs=options, skip_table_creation=not create)
        return PatientStorage(
            url,
            outage or Outage(where=redacted(url)),
            engine_kwargs=_checked_server(make_url(url)),
            skip_table_creation=not create,
        )
    except ModuleNotFoundError as missing:
        raise MissingPackage(
            f"storage {redacted(url)}: needs the driver {missing.name}; for PostgreSQL:"
            " pip install 'psycopg[binary]'"
        ) from missing
    except (OutputError, RunError):
        raise
    except Exception as error:
        raise RunError(f"storage {redacted(url)}: cannot be opened: {said(error)}") from error


def _checked_server(url: URL) -> dict[str, Any]:
    """Options for the engine of a server's database; a PostgreSQL that is too old is told."""
    dialect = url.get_dialect()()
    if dialect.driver not in {"psycopg", "psycopg2"}:
        return {}
    given: dict[str, str | int] = {
        name: value for name, value in _ALIVE.items() if name not in url.query
    }
    if "options" not in url.query:
        given["options"] = _ALIVE_THERE
    arguments, more = dialect.create_connect_args(url)
    connection: Any = dialect.import_dbapi().connect(*arguments, **{**more, **given})
    version = connection.info.server_version
    connection.close()
    if version < _OLDEST * 10_000:
        raise RunError(
            f"storage {redacted(str(url))}: its PostgreSQL is of version"
            f" {_version(version)}; {_OLDEST} or newer is needed"
        )
    return {"connect_args": given}


def _version(number: int) -> str:
    """As PostgreSQL counted before 10: 90224 is 9.2.24."""
    return f"{number // 10_000}.{number // 100 % 100}.{number % 100}"


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


def disk_full(error: BaseException | None, run: Path) -> OutputError | None:
    """The storage's way of saying that it cannot write, in a person's words."""
    while error is not None:
        for words, meant in _UNWRITABLE.items():
            if words in str(error):
                return OutputError(f"{run}: the study's storage cannot be written: {meant}")
        error = error.__cause__ or error.__context__
    return None
