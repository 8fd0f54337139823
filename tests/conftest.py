"""What every room's tests share: no test depends on how busy the machine or its disk is."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from typing import Any

import pytest
from checked_types import check_types
from hypothesis import HealthCheck, settings

check_types()  # of what is imported from here on

settings.register_profile(
    "nano",
    deadline=None,
    derandomize="CI" in os.environ,  # one verdict a commit; new examples are looked for elsewhere
    suppress_health_check=[HealthCheck.too_slow],
    print_blob=True,
)
settings.load_profile("nano")

# Before numpy and torch come: the tests themselves run side by side, one process a core.
for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):
    os.environ.setdefault(name, "1")


@pytest.fixture(scope="session")
def without_sync() -> Iterator[None]:
    """No database file of this process waits for the disk.

    The sync is nine tenths of a toy study's time; kills are tried with it, in processes.
    """
    from sqlalchemy import Engine, event  # not where tests need no database: it takes a while

    def hasten(connection: Any, record: Any) -> None:
        if isinstance(connection, sqlite3.Connection):  # one process may use a server too
            connection.execute("PRAGMA synchronous = OFF")

    event.listen(Engine, "connect", hasten)
    yield
    event.remove(Engine, "connect", hasten)
