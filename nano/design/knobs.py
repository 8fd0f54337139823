"""Knobs: the few interpretable numbers of a prototype that plain samplers see."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from nano.errors import DesignError

Knobs = Mapping[str, float]

# What a knob's range must lie within, by the first part of its name: beyond, nothing is compact
# any more, and counts of a population would leave 64 bits.
LIMITS = {
    "stem": (1, 1024),
    "depth": (1, 128),
    "growth": (1, 1024),
    "squeeze": (1, 1024),
    "expansion": (0.1, 32),
    "transition": (0.01, 4),
    "decoder": (1, 1024),
    "multiplicity": (0.1, 32),
    "taper": (-2, 2),
    "spread": (0, 1),
    "multiplier": (0.01, 8),
    "step": (0.01, 8),
}
SPREADS = ("taper", "spread")  # knobs that make layers differ; they do not make networks larger


@dataclass(frozen=True, kw_only=True)
class Knob:
    """One bounded, interpretable number.

    Attributes:
        name: E.g. ``growth.3``: the mean width of stage 3's modules.
        low: Smallest value.
        high: Largest value.
        integer: Whether only whole numbers are meant.
        log: Whether equal ratios are equal steps (widths) rather than equal differences.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    name: str
    low: float
    high: float
    integer: bool = False
    log: bool = False

    def __post_init__(self) -> None:
        range_ = f"knob {self.name} = [{self.low:g}, {self.high:g}]"
        if not -math.inf < self.low <= self.high < math.inf:
            raise DesignError(f"{range_}: write [low, high], low first")
        if self.log and self.low <= 0:
            raise DesignError(f"{range_}: must stay above zero")
        if self.integer and (self.low % 1 or self.high % 1):
            raise DesignError(f"{range_}: only whole numbers")

    def clip(self, value: float) -> float:
        """The nearest value the knob can take."""
        value = min(max(value, self.low), self.high)
        return round(value) if self.integer else value

    def at(self, share: float) -> float:
        """The value at a share of the range: 0 the lowest, 1 the highest."""
        if self.log:
            return self.clip(self.low * (self.high / self.low) ** share)
        return self.clip(self.low + share * (self.high - self.low))

    def share(self, value: float) -> float:
        """Where a value lies in the range, in [0, 1]; inverse of `at` up to rounding."""
        if self.high == self.low:
            return 0.0
        if self.log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)


def knob_names(stages: int) -> tuple[str, ...]:
    """The knobs of a prototype with that many stages: 27 for the paper's four.

    ``stem`` width; per stage ``depth``, mean ``growth``, mean ``squeeze``, ``expansion`` (expand
    over squeeze) and ``transition`` (over the concatenation); ``decoder`` widths and expansion
    ``multiplicity`` of the first and last upconv, geometric in between; ``taper`` (how growth
    changes along a stage, as an exponent) and ``spread`` (sd of the log of module widths).
    """
    per_stage = ("depth", "growth", "squeeze", "expansion", "transition")
    numbered = [f"{name}.{number}" for name in per_stage for number in range(1, stages + 1)]
    decoder = ("decoder.first", "decoder.last", "multiplicity.first", "multiplicity.last")
    return ("stem", *numbered, *decoder, "taper", "spread")


def check_knobs(knobs: Sequence[Knob], expected: tuple[str, ...]) -> None:
    """Raise a DesignError unless these are the knobs expected, each within `LIMITS`."""
    given = tuple(knob.name for knob in knobs)
    if given != expected:
        raise DesignError(f"knobs {', '.join(given)}; expected {', '.join(expected)}")
    for knob in knobs:
        low, high = LIMITS[knob.name.partition(".")[0]]
        if not low <= knob.low <= knob.high <= high:
            raise DesignError(
                f"knob {knob.name} = [{knob.low:g}, {knob.high:g}]:"
                f" must lie within [{low:g}, {high:g}]"
            )


def checked_ranges(
    ranges: Mapping[str, Sequence[float]], names: Sequence[str]
) -> dict[str, Sequence[float]]:
    """The ranges of a study file, each of a knob of ``names`` or of all that are numbered alike.

    Raises:
        DesignError: For an unknown knob, or what is no [low, high].
    """
    known = {*names, *(full.partition(".")[0] for full in names if full[-1].isdecimal())}
    for name, bounds in ranges.items():
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"knobs: {', '.join(names)}"
            raise DesignError(f"knob {name!r}: unknown; {hint}")
        if len(bounds) != 2:
            raise DesignError(f"knob {name} = {list(bounds)}: write [low, high]")
    return dict(ranges)


def wanted_range(full: str, wanted: Mapping[str, Sequence[float]]) -> Sequence[float] | None:
    """The range that a study file has for a knob, by its own name or by that of its kind."""
    base, _, end = full.partition(".")
    return wanted.get(full, wanted.get(base) if end.isdecimal() else None)
