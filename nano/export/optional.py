"""The packages of the extra ``export``, asked for where they are used."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from nano.errors import MissingPackage


def needed(name: str) -> Any:
    """The package of that name; a MissingPackage with the command that brings it."""
    try:
        return import_module(name)
    except ImportError as missing:
        raise MissingPackage(
            f"export needs {name}: pip install 'depthnet-nano[export]'"
        ) from missing
