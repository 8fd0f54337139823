"""What is wrong in a study file, in one line: where it stands, what came, what would be right."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

_LONGEST = 200  # characters of what came
Step = str | int  # a key, or a place in a list
_KEY = r"""(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')"""
_DOTTED = rf"{_KEY}(?:\s*\.\s*{_KEY})*"
_HEADER = re.compile(rf"\s*\[\[?\s*({_DOTTED})\s*\]\]?")
_SETTING = re.compile(rf"\s*({_DOTTED})\s*=")


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Where a study's settings stand: a file, and overrides of the command line on top.

    Attributes:
        where: The file's name.
        text: Its content, from which line numbers come.
        overrides: ``KEY=VALUE`` of each override by the path that it sets.
    """

    where: str
    text: str = ""
    overrides: Mapping[tuple[str, ...], str]

    def place(self, path: Sequence[Step], complaint: str = "") -> str:
        """``study.toml:14``, or ``--set KEY=VALUE`` for what was set there.

        Args:
            path: To what is wrong.
            complaint: What is said of it: names what lies below the path, if that is wrong.
        """
        keys = [step for step in path if isinstance(step, str)]
        override = self._override(".".join(keys), complaint)
        if override is not None:
            return f"--set {override}"
        for end in range(len(keys), 0, -1):
            if ".".join(keys[:end]) in self._lines:
                return f"{self.where}:{self._lines['.'.join(keys[:end])]}"
        return self.where

    def _override(self, path: str, complaint: str) -> str | None:
        """The one that set something below ``path`` which the complaint names, or ``path``."""
        below: list[str] = []
        above: dict[str, str] = {}
        for keys, text in self.overrides.items():
            key = ".".join(keys)
            rest = key.removeprefix(f"{path}.")
            if rest != key and re.search(rf"(?<![\w.]){re.escape(rest)}(?!\w)", complaint):
                below.append(text)
            elif f"{path}.".startswith(f"{key}."):
                above[key] = text
        return below[-1] if below else above[max(above, key=len)] if above else None

    @cached_property
    def _lines(self) -> dict[str, int]:
        """Line by dotted key, of tables and of keys that stand in plain sight."""
        found: dict[str, int] = {}
        table = ""
        for number, line in enumerate(self.text.splitlines(), start=1):
            if header := _HEADER.match(line):
                table = _dotted(header[1])
                found.setdefault(table, number)
            elif setting := _SETTING.match(line):
                found.setdefault(f"{table}.{_dotted(setting[1])}".lstrip("."), number)
        return found


def _dotted(keys: str) -> str:
    return ".".join(key.strip("\"'") for key in re.findall(_KEY, keys))


def explain(invalid: ValidationError, plain: Any, schema: Mapping[str, Any], origin: Origin) -> str:
    """The first complaint about ``plain`` as one line.

    Args:
        invalid: What pydantic found.
        plain: What it looked at.
        schema: JSON schema of what was expected there: knows the keys.
        origin: Where ``plain`` comes from.
    """
    # A misspelt key says more than the missing one that it leaves.
    first = min(invalid.errors(), key=lambda error: error["type"] != "extra_forbidden")
    path = _path(first["loc"], plain, missing=first["type"] == "missing")
    if first["type"].startswith("union_tag"):
        path.append("set")
    complaint = _complaint(first, path, schema)
    return f"{origin.place(path, complaint)}: {complaint}"


def _path(loc: Sequence[Step], plain: Any, *, missing: bool) -> list[Step]:
    """The steps of ``loc`` that lead through ``plain``; pydantic also names kinds of a union."""
    path: list[Step] = []
    for number, step in enumerate(loc, start=1):
        known = plain if isinstance(plain, Mapping) else {}
        known = dict(enumerate(plain)) if isinstance(plain, list) else known
        if step in known or (missing and number == len(loc)):
            path.append(step)
        plain = known.get(step, plain)
    return path


def _complaint(error: ErrorDetails, path: Sequence[Step], schema: Mapping[str, Any]) -> str:
    kind, came = error["type"], error["input"]
    if kind == "extra_forbidden":
        known = _keys_of(error["loc"][:-1], schema)
        return f'{_table(path[:-1])}unknown key "{path[-1]}"; {suggestion(str(path[-1]), known)}'
    if kind == "missing" and isinstance(path[-1], int):
        return f"{_name(path[:-1])}too few values"
    if kind == "missing":
        return f'{_table(path[:-1])}"{path[-1]}" is missing'
    if kind.startswith("union_tag"):
        known = re.findall(r"'(\w+)'", str(error.get("ctx", {}).get("expected_tags", "")))
        came = came["set"]
        return f"{_name(path)}no {_shown(came)} here; {suggestion(str(came), known)}"
    if kind == "literal_error":
        known = re.findall(r"'([^']*)'", str(error.get("ctx", {}).get("expected", "")))
        return f"{_name(path)}no {_shown(came)} here; {suggestion(str(came), known)}"
    message = error["msg"].removeprefix("Value error, ")
    got = "" if isinstance(came, Mapping) or kind == "value_error" else f", got {_shown(came)}"
    hint = _as_table(came, path, _node(error["loc"], schema)) if kind == "model_type" else ""
    return f"{_name(path)}{message[0].lower()}{message[1:]}{got}{hint}"


def _shown(came: Any) -> str:
    text = repr(came)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def _as_table(came: Any, path: Sequence[Step], table: Mapping[str, Any]) -> str:
    """``; write {steps = 8}`` where a value stands for a table with one key that it fits."""
    properties: Mapping[str, Any] = table.get("properties", {})
    named = [k for k, one in properties.items() if came in one.get("enum", [one.get("const")])]
    kinds = {str: "string", int: "integer", float: "number"}
    typed = [k for k, one in properties.items() if one.get("type") == kinds.get(type(came))]
    keys = named or [key for key in typed if not properties[key].keys() & {"enum", "const"}]
    if len(keys) != 1:
        return ""
    setting = f"{keys[0]} = {json.dumps(came)}"
    return f"; write {path[0]}.{setting}" if len(path) == 1 else f"; write {{{setting}}}"


def suggestion(word: str, known: Iterable[str]) -> str:
    """The name that was probably meant, else all there are."""
    names = list(known)
    near = difflib.get_close_matches(word, names, n=1)
    return f'did you mean "{near[0]}"?' if near else f"known: {', '.join(names) or 'none'}"


def _name(path: Sequence[Step]) -> str:
    """``[stages] rungs, entry 1, steps: ``; nothing for the file itself."""
    plain = next((i for i, step in enumerate(path) if isinstance(step, int)), len(path))
    *tables, key = [str(step) for step in path[:plain]] or [""]
    words = [f"entry {step + 1}" if isinstance(step, int) else step for step in path[plain:]]
    table = f"[{'.'.join(tables)}] " if tables else ""
    return f"{table}{', '.join([key, *words])}: " if path else ""


def _table(path: Sequence[Step]) -> str:
    """As `_name`, where the path leads to a table: ``[data] ``."""
    return f"[{path[0]}] " if len(path) == 1 else _name(path)


def _keys_of(loc: Sequence[Step], schema: Mapping[str, Any]) -> list[str]:
    """Keys of the table at ``loc``."""
    return sorted(_node(loc, schema).get("properties", {}))


def _node(loc: Sequence[Step], schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """What the schema says of ``loc``, which may name the kind of a union among its steps."""
    node = schema
    for step in loc:
        if isinstance(step, int):
            inner = node.get("items", {})
        elif "discriminator" in node:
            inner = {"$ref": node["discriminator"]["mapping"].get(step, "")}
        else:
            inner = node.get("properties", {}).get(step, {})
        node = _resolved(schema, inner)
    return node


def _resolved(schema: Mapping[str, Any], node: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a node of a JSON schema stands for: a reference is followed, None is no choice."""
    options = [one for one in node.get("anyOf", [node]) if one.get("type") != "null"]
    name = options[0].get("$ref", "").rpartition("/")[2]
    return schema["$defs"][name] if name else options[0]
