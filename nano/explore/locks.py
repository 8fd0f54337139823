"""One at a time, among all processes on all machines that share a storage.

Held in the storage itself where it is a server's, and freed by the server when the holder dies;
beside the file where it is SQLite's.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

from optuna.storages import BaseStorage, RDBStorage
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from nano.errors import RunError
from nano.explore.folder import held
from nano.explore.outage import Outage, PatientStorage, is_lost


@runtime_checkable
class Locks(Protocol):
    """What the processes of one study hold in turns."""

    def turn(self) -> AbstractContextManager[None]:
        """Held while one asks, tells or recovers; waits until it is free."""

    def drive(self) -> AbstractContextManager[None]:
        """Held for its life by the one process that confirms; RunError where another does."""

    def tend(self) -> None:
        """To be called now and then: takes again what an outage took."""


def locks_of(storage: BaseStorage, study: str) -> Locks:
    """The locks of a study in its storage."""
    if isinstance(storage, RDBStorage):
        engine = storage.engine
        if engine.dialect.name == "postgresql" and isinstance(storage, PatientStorage):
            return AdvisoryLocks(engine=engine, study=study, outage=storage.outage)
        if engine.dialect.name == "sqlite" and engine.url.database:
            return FileLocks(database=Path(engine.url.database), study=study)
    return NoLocks()


def _busy(study: str) -> str:
    return (
        f"another driver works on study {study!r} in that storage; wait for it, or add workers"
        " with --join"
    )


@dataclass(frozen=True, kw_only=True)
class NoLocks:
    """Of a storage that has none: the run folder's own hold among the processes of a machine."""

    def turn(self) -> AbstractContextManager[None]:
        """Nothing."""
        return nullcontext()

    def drive(self) -> AbstractContextManager[None]:
        """Nothing."""
        return nullcontext()

    def tend(self) -> None:
        """Nothing."""


@dataclass(frozen=True, kw_only=True)
class FileLocks:
    """Files beside a SQLite database; on a shared disk as far as its locks reach.

    A turn is of the whole file, in which one process writes at a time; a driver is of its study.
    """

    database: Path
    study: str

    def turn(self) -> AbstractContextManager[None]:
        """See `Locks`."""
        return held(self._beside("turn"), busy=None)

    def drive(self) -> AbstractContextManager[None]:
        """See `Locks`."""
        return held(self._beside(f"{self.study}.driver"), busy=_busy(self.study))

    def tend(self) -> None:
        """Nothing: a lock file is never lost."""

    def _beside(self, name: str) -> Path:
        return self.database.with_name(f"{self.database.name}.{name}")


@dataclass(kw_only=True)
class AdvisoryLocks:
    """PostgreSQL's advisory locks, of the transaction for a turn, of the session for a driver.

    Both end with their connection, so not behind a pooler that shares connections among clients
    (PgBouncer's transaction mode).
    """

    engine: Engine
    study: str
    outage: Outage
    _driving: Connection | None = field(default=None)

    @contextmanager
    def turn(self) -> Iterator[None]:
        """See `Locks`; a connection that breaks frees it."""
        connection = self.outage.endured(self._in_turn)
        try:
            yield
        finally:
            with suppress(DBAPIError):
                connection.close()  # and the transaction with it

    def _in_turn(self) -> Connection:
        connection = self.engine.connect()
        try:
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), self._key("turn"))
        except BaseException:
            connection.close()
            raise
        return connection

    @contextmanager
    def drive(self) -> Iterator[None]:
        """See `Locks`."""
        self._driving = self._taken()
        try:
            yield
        finally:
            self._let_go()

    def tend(self) -> None:
        """Take the driver's lock again where its connection broke.

        Raises:
            RunError: Another driver took it meanwhile.
        """
        if self._driving is None:
            return
        try:
            self._driving.execute(text("SELECT 1"))
        except DBAPIError as error:
            if not is_lost(error):
                raise
            self._let_go()
            self._driving = self.outage.endured(self._taken)

    def _taken(self) -> Connection:
        connection = self.engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        try:
            query = text("SELECT pg_try_advisory_lock(:key)")
            if not connection.execute(query, self._key("driver")).scalar():
                raise RunError(_busy(self.study))
        except BaseException:
            connection.close()
            raise
        return connection

    def _let_go(self) -> None:
        if self._driving is not None:
            with suppress(DBAPIError):
                self._driving.invalidate()  # closed, not pooled: the lock is the session's
                self._driving.close()
            self._driving = None

    def _key(self, name: str) -> dict[str, int]:
        digest = hashlib.sha256(f"nano {self.study} {name}".encode()).digest()
        return {"key": int.from_bytes(digest[:8], signed=True)}
