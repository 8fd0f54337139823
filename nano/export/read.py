"""An ONNX file from disk, whoever wrote it; without torch."""

from __future__ import annotations

from pathlib import Path

from nano.errors import DataError
from nano.export.optional import DecodeError, onnx

FORMAT_VERSION = "1"  # of our metadata


def read_any(path: Path) -> tuple[onnx.ModelProto, bytes]:
    """The model and the file's bytes.

    Raises:
        DataError: It is missing, cannot be read, is damaged, or is no ONNX.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError as missing:
        raise DataError(f"{path}: no such file") from missing
    except OSError as unreadable:
        raise DataError(f"{path}: cannot be read: {unreadable.strerror}") from unreadable
    try:
        made: onnx.ModelProto = onnx.load_model_from_string(content)
    except DecodeError as damaged:
        raise DataError(f"{path}: not a whole ONNX file: {damaged}") from damaged
    if not made.graph.node or not made.opset_import:
        raise DataError(f"{path}: not a whole ONNX file: it has no operators")
    return made, content


def read_onnx(path: Path) -> onnx.ModelProto:
    """An ONNX file that nano wrote.

    Raises:
        DataError: It is missing, damaged, or not of ours.
    """
    made, _ = read_any(path)
    try:
        onnx.checker.check_model(made)
    except onnx.checker.ValidationError as damaged:
        raise DataError(f"{path}: not a whole ONNX file: {str(damaged)[:200]}") from damaged
    found = metadata_of(made).get("nano_onnx")
    if found != FORMAT_VERSION:
        what = f"format version {found}" if found else "an ONNX file, but not one that nano wrote"
        raise DataError(f"{path}: {what}; this nano reads its own version {FORMAT_VERSION}")
    return made


def metadata_of(made: onnx.ModelProto) -> dict[str, str]:
    """What the file tells about itself."""
    return {each.key: each.value for each in made.metadata_props}
