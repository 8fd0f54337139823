"""What every room's tests share: no test depends on how busy the machine or its disk is."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from beartype import BeartypeConf
from beartype.claw import beartype_packages
from hypothesis import HealthCheck, settings
from jaxtyping import install_import_hook

ROOT = Path(__file__).parents[1]
# The tests check every call's types. jaxtyping also finds shapes that disagree among arguments, but
# binds each call anew, at ten times the cost: it gets the packages with shapes, and the modules
# whose annotations name what only type checkers import (and a base class's type variable), which it
# passes over.
SHAPED = ["nano.data", "nano.evaluate", "nano.export", "nano.networks", "nano.train"]
UNRESOLVED = ["nano.design.fastdepth_prototype", "nano.design.prototype"] + [
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for path in sorted((ROOT / "nano").rglob("*.py"))
    if "if TYPE_CHECKING:" in path.read_text(encoding="utf-8")
]
OTHERS = sorted({f"nano.{path.stem}" for path in (ROOT / "nano").glob("[!_.]*")} - {*SHAPED})
# An int where a float is asked is right to Python, to mypy, and so to beartype.
install_import_hook(
    [*SHAPED, *UNRESOLVED], "beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))"
)
beartype_packages(
    OTHERS,
    conf=BeartypeConf(
        is_pep484_tower=True, claw_is_pep526=False, claw_skip_package_names=tuple(UNRESOLVED)
    ),
)

settings.register_profile(
    "nano",
    deadline=None,
    derandomize="CI"
    in os.environ,  # a commit has one verdict; new examples are looked for elsewhere
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
