"""Files that are whole or not there, and frozen values as JSON."""

from __future__ import annotations

import dataclasses
import difflib
import errno
import hashlib
import json
import math
import os
import reprlib
import tempfile
import typing
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from nano.errors import InputError, OutputError

if TYPE_CHECKING:
    from pydantic import TypeAdapter
    from pydantic_core import ErrorDetails

Value = TypeVar("Value")
UNKNOWN_KEY = "unexpected_keyword_argument"  # pydantic's word


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; on success it takes its place, whole and synced.

    A kill at any instant leaves either the old file or the new one (temporary name, fsync,
    rename). A full disk or a read-only folder becomes an OutputError that names the file.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
        os.close(handle)
    except OSError as error:
        raise unwritable(path, error) from error
    part = Path(name)
    try:
        yield part
        part.chmod(0o644)  # mkstemp makes 0600; results are meant to be read by colleagues
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        part.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        raise unwritable(path, error) from error
    finally:
        with suppress(OSError):  # a folder that was taken away is told by the error on its way
            part.unlink(missing_ok=True)


def unwritable(path: Path, error: OSError) -> OutputError:
    """The error for a file that could not be written, in a person's words."""
    reason = "the disk is full" if error.errno == errno.ENOSPC else error.strerror or str(error)
    return OutputError(f"{path}: cannot be written: {reason}")


def sync_folder(folder: Path) -> None:
    """Make a rename in ``folder`` survive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_bytes(path: Path, content: bytes) -> None:
    """Write the whole file or nothing."""
    with replacing(path) as part:
        part.write_bytes(content)


def write_text(path: Path, text: str) -> None:
    """Write the whole text file (UTF-8) or nothing."""
    write_bytes(path, text.encode())


def write_json(path: Path, value: Any) -> None:
    """Write a frozen value, or plain data, as indented JSON; whole or nothing."""
    write_text(path, json.dumps(to_plain(value), indent=1, allow_nan=False) + "\n")


def read_json(path: Path, error: Callable[[str], InputError] = InputError) -> Any:
    """Parse a JSON file; a missing or damaged one raises ``error`` naming file and place."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as missing:
        raise error(f"{path}: no such file") from missing
    except OSError as unreadable:
        raise error(f"{path}: cannot be read: {unreadable.strerror}") from unreadable
    except ValueError as damaged:  # bytes that are not UTF-8
        raise error(f"{path}: not JSON: {damaged}") from damaged
    return parse_json(text, str(path), error)


def parse_json(text: str, where: str, error: Callable[[str], InputError] = InputError) -> Any:
    """Parse JSON text; a damaged one raises ``error`` naming ``where`` it is from.

    NaN and infinities, which Python would read and JSON does not know, are damage.
    """
    try:
        return json.loads(text, parse_float=_finite, parse_constant=_finite)
    except ValueError as damaged:
        raise error(f"{where}: not JSON: {damaged}") from damaged
    except RecursionError as deep:
        raise error(f"{where}: not JSON of ours: nested too deeply") from deep


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is not a finite number")
    return value


def to_plain(value: Any) -> Any:
    """Frozen dataclasses, tuples and mappings as what JSON knows; None fields are left out."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        pairs = ((f.name, getattr(value, f.name)) for f in dataclasses.fields(value))
        return {name: to_plain(item) for name, item in pairs if item is not None}
    if isinstance(value, Mapping):
        return {str(name): to_plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_plain(item) for item in value]
    return value


def from_plain(
    cls: type[Value],
    plain: Any,
    where: str,
    error: Callable[[str], InputError] = InputError,
) -> Value:
    """The frozen value behind parsed JSON; anything that does not fit raises ``error``.

    Args:
        cls: A dataclass with ``__pydantic_config__ = {"extra": "forbid"}``.
        plain: What `to_plain` made, after a trip through JSON.
        where: The file, for the message.
        error: The branch of the error tree to raise.
    """
    # slow to import: only where values are read
    from pydantic import ValidationError
    from pydantic_core import PydanticSerializationError, to_json

    kind: Any = cls  # a class is hashable, which mypy does not see of a type variable
    try:
        # By way of JSON text, because only there strict typing admits lists for tuples.
        value: Value = _adapter(kind).validate_json(to_json(plain), strict=True)
        return value
    except PydanticSerializationError as no_text:  # half a character, or endlessly deep
        raise error(f"{where}: {cls.__name__}: {no_text}") from no_text
    except ValidationError as invalid:
        # A misspelt key is also a missing one: that it is misspelt is the better thing to say.
        worst = min(invalid.errors(), key=lambda found: found["type"] != UNKNOWN_KEY)
        raise error(f"{where}: {_explained(cls, worst)}") from invalid


@cache
def _adapter(cls: Any) -> TypeAdapter[Any]:
    from pydantic import TypeAdapter

    return TypeAdapter(cls)


def member_tag(kind: type) -> str:
    """What pydantic calls a member of a tagged union in the place of an error."""
    return f"<{kind.__name__}>"


def _explained(cls: type, found: ErrorDetails) -> str:
    """The place within the value, what is wrong there, and what came."""
    place = ".".join(str(step) for step in found["loc"] if not _is_tag(step)) or cls.__name__
    kind, came = found["type"], found["input"]
    if kind == UNKNOWN_KEY:
        known = _fields_at(cls, found["loc"][:-1])
        near = difflib.get_close_matches(str(found["loc"][-1]), known, n=1)
        hint = f"; perhaps {near[0]!r}?" if near else f"; known: {', '.join(known)}"
        return f"{place}: unknown key{hint if known else ''}"
    if kind == "missing":
        return f"{place}: missing"
    if kind == "json_invalid":  # lists in lists, more than pydantic follows; the text tells nothing
        return f"{place}: {found['msg']}"
    message = f"{place}: {found['msg'].removeprefix('Value error, ')}"
    # A complaint of the value itself, which already says what came, is about all of it.
    if kind != "value_error" and not isinstance(came, dict | list):
        message += f", got {reprlib.repr(came)}"
    return message


def _fields_at(cls: Any, steps: tuple[int | str, ...]) -> list[str]:
    """Names of the fields of the dataclass found along ``steps`` from ``cls``."""
    held = [cls]
    for step in steps:
        if _is_tag(step):
            held = [kind for kind in held if member_tag(kind) == step]
        elif isinstance(step, str) and held:
            inner = _kinds(typing.get_type_hints(held[0]).get(step))
            held = [kind for kind in inner if dataclasses.is_dataclass(kind)]
    return [field.name for field in dataclasses.fields(held[0])] if held else []


def _is_tag(step: int | str) -> bool:
    return isinstance(step, str) and step.startswith("<")


def _kinds(annotation: Any) -> list[Any]:
    """The annotation and all that it holds: ``tuple[Module, ...]`` holds Module."""
    held = [kind for part in typing.get_args(annotation) for kind in _kinds(part)]
    return [annotation, *held]


def canonical_json(value: Any) -> str:
    """The one JSON text of a value: sorted keys, no spaces; equal values, equal text."""
    return json.dumps(to_plain(value), sort_keys=True, separators=(",", ":"), allow_nan=False)


def file_hash(path: Path) -> str:
    """Twelve hexadecimal digits of the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:12]


def short_hash(text: str) -> str:
    """Twelve hexadecimal digits of SHA-256."""
    return hashlib.sha256(text.encode()).hexdigest()[:12]
