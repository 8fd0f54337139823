"""What a run keeps about itself: run.json's account of each command, and log.txt."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from nano.evaluate.protocol import protocol_named
from nano.explore.database import redacted
from nano.explore.study import StudyFile
from nano.files import unwritable
from nano.machine import commit, machine, versions


def account(study: StudyFile, before: Mapping[str, Any], command: Sequence[str]) -> dict[str, Any]:
    """run.json for this command, on top of what earlier ones left there.

    Args:
        study: The study.
        before: run.json as it stands; empty in a new folder.
        command: The command line; passwords in it are left out.
    """
    known = study.evaluate is None
    now = {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "argv": [redacted(word) for word in command],
    }
    return {
        **before,
        "study": study.name,
        "about": study.about,
        "seed": study.seed,
        "space": study.family().space,
        "generator": study.generator.kind,
        "versions": versions(),
        "commit": commit(Path(__file__).parent),
        "machine": machine(),
        "protocol": (protocol_named(study.data.protocol).describe() if known else "the user's own"),
        "utility": study.weights().describe(),
        "requirements": [item.describe() for item in study.requirements().items],
        "commands": [*before.get("commands", []), now],
    }


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
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logger = logging.getLogger("nano")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        handler.close()
