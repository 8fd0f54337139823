"""The families that a study can search, by name."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from nano.design import fastdepth_prototype, presets
from nano.design.family import Family
from nano.errors import DesignError

AnyFamily: TypeAlias = Family[Any]


@dataclass(frozen=True, kw_only=True)
class FamilyName:
    """What [prototype] name stands for.

    Attributes:
        presets: Designs that may seed the search.
        usual: The one that does where none is named.
        around: The family around a preset, with ranges by knob.
    """

    presets: tuple[str, ...]
    usual: str
    around: Callable[[str, Mapping[str, Sequence[float]]], AnyFamily]


FAMILIES = {
    "depthnet": FamilyName(
        presets=presets.PRESETS, usual="depthnet-small", around=presets.prototype
    ),
    "fastdepth": FamilyName(
        presets=tuple(fastdepth_prototype.PRESETS),
        usual="fastdepth-small",
        around=fastdepth_prototype.fastdepth_prototype,
    ),
}


def check_preset(family: str, name: str) -> None:
    """Raise a DesignError, which knows what was meant, unless the family has the preset."""
    if name in FAMILIES[family].presets:
        return
    theirs = [other for other, known in FAMILIES.items() if name in known.presets]
    near = difflib.get_close_matches(name, FAMILIES[family].presets, n=1)
    if theirs:
        hint = f'it belongs to name = "{theirs[0]}"; presets of {family}'
    else:
        hint = f"perhaps {near[0]!r}? presets of {family}" if near else f"presets of {family}"
    raise DesignError(f"no preset {name!r}: {hint}: {', '.join(FAMILIES[family].presets)}")


def family_around(
    family: str, preset: str, ranges: Mapping[str, Sequence[float]] | None = None
) -> AnyFamily:
    """The named family around one of its presets; a DesignError tells what does not fit."""
    check_preset(family, preset)
    return FAMILIES[family].around(preset, ranges or {})
