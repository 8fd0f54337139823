"""What a run keeps about itself: run.json's account of each command, and log.txt."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from nano.data.file_tables import FolderTable
from nano.data.manifest import MANIFEST
from nano.errors import RunError
from nano.evaluate.protocol import protocol_of
from nano.explore.folder import RunFolder
from nano.explore.said import redacted
from nano.explore.study import StudyFile
from nano.files import unwritable
from nano.machine import commit, machine, versions

_SECONDS_BETWEEN_WRITES = 10.0  # what a kill takes from the account of time, at most


def account(
    study: StudyFile,
    base: Path,
    before: Mapping[str, Any],
    command: Sequence[str],
    *,
    joined: bool,
) -> dict[str, Any]:
    """run.json for this command, on top of what earlier ones left there.

    Args:
        study: The study.
        base: Where relative roots of data start.
        before: run.json as it stands; empty in a new folder.
        command: The command line; passwords in it are left out.
        joined: Whether it only adds workers: the study's answer is then in another folder.

    Raises:
        DataError: A folder's manifest is missing or wrong.
        RunError: It states another range or kind of truth than when the run began.
    """
    now = {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "argv": [redacted(word) for word in command],
    }
    return {
        **before,
        "study": study.name,
        "joined": joined,
        "about": study.about,
        "seed": study.seed,
        "space": study.family().space,
        "generator": study.generator.kind,
        "versions": versions(),
        "commit": commit(Path(__file__).parent),
        "machine": machine(),
        "protocol": _protocol(study, base, before),
        "utility": study.weights().describe(),
        "requirements": [item.describe() for item in study.requirements().items],
        "commands": [*before.get("commands", []), now],
    }


def _protocol(study: StudyFile, base: Path, before: Mapping[str, Any]) -> str:
    if study.evaluate is not None:
        return "the user's own"
    protocol = protocol_of(study.data, base).describe()
    # The study's own settings are compared elsewhere; a manifest lies outside of it.
    if isinstance(study.data, FolderTable) and before.get("protocol", protocol) != protocol:
        raise RunError(
            f"{study.data.root}: {MANIFEST} has changed since the run began: was"
            f" {before['protocol']}, is {protocol}; its accuracies cannot be compared: change it"
            " back, or give --out elsewhere"
        )
    return protocol


@dataclass(kw_only=True)
class Clock:
    """Keeps this command's wall time in run.json while there is work, so that a kill leaves it.

    A command that finds nothing left to do adds nothing: a rerun makes no study longer.

    Attributes:
        folder: The run folder; None keeps nothing, for those who join.
        record: run.json, whose last command is this one.
    """

    folder: RunFolder | None
    record: dict[str, Any]
    _began: float = field(default_factory=time.monotonic)
    _written: float | None = None

    def tick(self) -> None:
        """There is work; to be called as often as one likes."""
        now = time.monotonic()
        if self._written is None or now - self._written >= _SECONDS_BETWEEN_WRITES:
            self._written = now
            self._note()
            if self.folder is not None:
                self.folder.write_run(self.record)

    def total(self) -> float:
        """Seconds of all commands of this run, with this one's up to now."""
        if self._written is not None:
            self._note()
        return round(sum(one.get("seconds", 0.0) for one in self.record["commands"]), 1)

    def _note(self) -> None:
        self.record["commands"][-1]["seconds"] = round(time.monotonic() - self._began, 1)


class _Discreet(logging.Formatter):
    """Lines without the passwords of storages, whoever wrote them into a message or an error."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, with the traceback if there is one."""
        return redacted(super().format(record))


class _LogFile(logging.FileHandler):
    """log.txt; where the disk has no room for it, the command's own error says so."""

    def handleError(self, record: logging.LogRecord) -> None:
        """Nothing: logging would print a traceback."""

    def close(self) -> None:
        """Close the file, if need be without its last lines."""
        with contextlib.suppress(OSError):
            super().close()


@contextlib.contextmanager
def logging_to(path: Path) -> Iterator[None]:
    """Append what the package logs to ``path`` while the block lasts.

    Raises:
        OutputError: The file cannot be opened.
    """
    try:
        handler = _LogFile(path, encoding="utf-8")
    except OSError as error:
        raise unwritable(path, error) from error
    handler.setFormatter(_Discreet("%(asctime)s %(levelname)s %(message)s"))
    logger = logging.getLogger("nano")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        handler.close()
