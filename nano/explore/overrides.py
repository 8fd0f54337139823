"""``--set KEY=VALUE``: overrides of a study file, for smoke tests and other disks."""

from __future__ import annotations

import tomllib
from typing import Any

from nano.errors import StudyError


def override(plain: dict[str, Any], text: str) -> tuple[str, ...]:
    """Set in ``plain``, in place, what ``KEY=VALUE`` says; returns the path of the key.

    Raises:
        StudyError: It is no KEY=VALUE, or the path leads through something that is no table.
    """
    key, equals, value = text.partition("=")
    path = _path(key)
    if not equals or not path:
        raise StudyError(f"--set {text}: write KEY=VALUE, e.g. --set data.size=[64,192]")
    table = plain
    for step in path[:-1]:
        inner = table.setdefault(step, {})
        if not isinstance(inner, dict):
            raise StudyError(f"--set {text}: {step} is not a table")
        table = inner
    table[path[-1]] = _value(value)
    return path


def _path(key: str) -> tuple[str, ...]:
    """``a.b."c.d"`` as TOML reads it; empty when that is no key."""
    try:
        node: Any = tomllib.loads(f"{key} = 0")
    except tomllib.TOMLDecodeError:
        return ()
    path: list[str] = []
    while isinstance(node, dict):
        if len(node) != 1:
            return ()
        ((step, node),) = node.items()
        path.append(step)
    return tuple(path)


def _value(text: str) -> Any:
    """A TOML value, else a bare word or a bound such as >= 0.6."""
    try:
        read = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return text.strip()
    return read["value"] if len(read) == 1 else text.strip()
