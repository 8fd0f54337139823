"""What an earlier run of the same command left in its folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nano.errors import RunError
from nano.files import read_json, to_plain

METRICS_FILE = "metrics.json"
CHECKPOINT_FILE = "checkpoint"


def earlier(out: Path, kind: str, asked: Mapping[str, Any]) -> dict[str, Any] | None:
    """The metrics in ``out``, if it holds any.

    Args:
        out: The folder.
        kind: ``training`` or ``pruning``: the key under which its settings stand.
        asked: The settings asked for, or as many as are known so far.

    Raises:
        RunError: They are of other settings; says which.
    """
    path = out / METRICS_FILE
    if not path.exists():
        return None
    metrics: dict[str, Any] = read_json(path, RunError)
    found = metrics.get(kind)
    there = found if isinstance(found, dict) else {}
    differing = [name for name, value in asked.items() if there.get(name) != to_plain(value)]
    if differing:
        raise RunError(
            f"{out}: holds another {kind}, which differs in {', '.join(differing)};"
            " name another folder with --out"
        )
    return metrics
