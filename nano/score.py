"""What is wanted: the utility (NetScore) and the requirements (the indicator) with margins.

NetScore: Wong 2018 (arXiv 1806.05512); DepthNet Nano (2020), eq. 1 and 2.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar

from nano.cost.count import Cost
from nano.errors import StudyError

# The paper says "a combination of delta1 and AbsRel" without naming it; every form here is named
# in the study file and printed with the score.
ACCURACY_FORMS: dict[str, Callable[[float, float], float]] = {
    "d1": lambda d1, rel: d1,
    "d1*(1-abs_rel)": lambda d1, rel: d1 * (1 - rel),
    "d1-abs_rel": lambda d1, rel: d1 - rel,
    "1-abs_rel": lambda d1, rel: 1 - rel,
    "mean": lambda d1, rel: (d1 + 1 - rel) / 2,
    "harmonic": lambda d1, rel: 2 * d1 * (1 - rel) / (d1 + 1 - rel),
    "geometric": lambda d1, rel: math.sqrt(max(0.0, d1 * (1 - rel))),
    # A ratio is no percentage: it enters as it is, every other form times 100.
    "d1/abs_rel": lambda d1, rel: d1 / rel / 100,
}


@dataclass(frozen=True, kw_only=True)
class Utility:
    """NetScore's weights and its form of accuracy.

    Attributes:
        kappa: Exponent of accuracy (the paper's 0.7; NetScore's own default is 2).
        beta: Exponent of parameters in millions.
        gamma: Exponent of multiply-accumulates in billions.
        accuracy: A name in `ACCURACY_FORMS`.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    kappa: float = 0.7
    beta: float = 0.15
    gamma: float = 0.15
    accuracy: str = "d1*(1-abs_rel)"

    def describe(self) -> str:
        """The formula in one line, with units."""
        return (
            f"20 log10(a^{self.kappa:g} / (p^{self.beta:g} m^{self.gamma:g})) dB,"
            f" a = {self.accuracy} in percent, p in millions, m in GMACs"
        )

    def score(self, delta1: float, abs_rel: float, cost: Cost) -> float:
        """NetScore of an accuracy and a cost, in decibels; -inf when nothing is accurate."""
        a = ACCURACY_FORMS[self.accuracy](delta1, abs_rel)
        return netscore(100 * a, cost.params, cost.macs, self.kappa, self.beta, self.gamma)


def netscore(
    accuracy_percent: float,
    params: float,
    macs: float,
    kappa: float = 2.0,
    beta: float = 0.5,
    gamma: float = 0.5,
) -> float:
    """20 log10(a^kappa / (p^beta m^gamma)) in decibels (NetScore, eq. 1).

    Args:
        accuracy_percent: a, in percent.
        params: Parameters (a count; p is in millions).
        macs: Multiply-accumulates (a count; m is in billions).
        kappa: Exponent of a.
        beta: Exponent of p.
        gamma: Exponent of m.
    """
    if accuracy_percent <= 0:
        return -math.inf
    return 20 * (
        kappa * math.log10(accuracy_percent)
        - beta * math.log10(params / 1e6)
        - gamma * math.log10(macs / 1e9)
    )


AT_LEAST = ("delta1", "delta2", "delta3", "fps")
AT_MOST_COUNTED = ("params", "macs", "activations", "bytes")  # exact before anything is spent
AT_MOST_METRICS = ("abs_rel", "sq_rel", "rmse", "rmse_log", "log10")
AT_MOST_MEASURED = ("latency_ms", "joules", "watts")
REQUIRABLE = (*AT_LEAST, *AT_MOST_COUNTED, *AT_MOST_METRICS, *AT_MOST_MEASURED)
_FRACTIONS = ("delta1", "delta2", "delta3")
_MULTIPLES = {"": 1.0, "k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9}
_FORM = re.compile(
    r"\s*(?P<sense>>=|<=)\s*(?P<number>\d+(?:\.\d*)?(?:[eE][+-]?\d+)?|\.\d+)\s*(?P<multiple>[kKMG]?)"
    r"(?:\s*(?P<sign>[+-])\s*(?P<safety>\d+(?:\.\d*)?|\.\d+)\s*(?P<safety_multiple>[kKMG]?))?\s*"
)


@dataclass(frozen=True, kw_only=True)
class Requirement:
    """One bound, e.g. delta1 >= 0.89 searched with a safety of 0.005.

    Attributes:
        name: What is bounded, one of `REQUIRABLE`.
        at_least: True for ``>=``, False for ``<=``.
        bound: The number that must be reached in the end.
        safety: By how much more the search asks, against noise; 0 or more.
    """

    name: str
    at_least: bool
    bound: float
    safety: float = 0.0

    def margin(self, value: float) -> float:
        """<= 0 when met: the shortfall itself for delta1..3, relative to the bound otherwise."""
        shortfall = self.bound - value if self.at_least else value - self.bound
        return shortfall if self.name in _FRACTIONS else shortfall / self.bound

    @property
    def safety_margin(self) -> float:
        """The safety in the margin's unit."""
        return self.safety if self.name in _FRACTIONS else self.safety / self.bound

    def describe(self) -> str:
        """As it would be written in a study file."""
        sense = ">=" if self.at_least else "<="
        text = f"{self.name} {sense} {shortened(self.bound)}"
        if self.safety:
            text += f" {'+' if self.at_least else '-'} {shortened(self.safety)}"
        return text


def shortened(number: float) -> str:
    """2M, 4.66G, 0.89: what `parse_requirement` reads back to the same number."""
    for unit, multiple in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= multiple:
            text = f"{number / multiple:.10g}{unit}"
            break
    else:
        text = f"{number:.10g}"
    return text


def parse_requirement(name: str, text: str) -> Requirement:
    """Read ``">= 0.89"``, ``"<= 2M"`` or, with a safety, ``">= 0.89 + 0.005"``.

    Raises:
        StudyError: For unknown names, wrong senses, and numbers that cannot be meant.
    """
    where = f'[require] {name} = "{text}"'
    if name not in REQUIRABLE:
        raise StudyError(f"[require] {name}: unknown; known: {', '.join(REQUIRABLE)}")
    sense = ">=" if name in AT_LEAST else "<="
    example = f'"{sense} 0.89"' if name in _FRACTIONS else f'"{sense} 2M"'
    match = _FORM.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise StudyError(f"{where}: not a bound; write for example {example}")
    if match["sense"] != sense:
        raise StudyError(f"{where}: {name} is bounded with {sense}")
    bound = float(match["number"]) * _MULTIPLES[match["multiple"]]
    safety = float(match["safety"] or 0) * _MULTIPLES[match["safety_multiple"] or ""]
    if safety and (match["sign"] == "+") != (sense == ">="):
        raise StudyError(f"{where}: a safety makes the bound harder; use {'+-'[sense == '<=']}")
    if name in _FRACTIONS and not 0 < bound + safety <= 1:
        hint = f'; write "{sense} {bound / 100:g}"' if 1 < bound <= 100 else ""
        raise StudyError(f"{where}: {name} is a fraction between 0 and 1{hint}")
    if bound <= 0 or safety >= bound:
        raise StudyError(f"{where}: the bound must be above zero and its safety")
    return Requirement(name=name, at_least=sense == ">=", bound=bound, safety=safety)


@dataclass(frozen=True, kw_only=True)
class Requirements:
    """The indicator of eq. 1: every bound must hold."""

    items: tuple[Requirement, ...]

    @classmethod
    def parse(cls, table: Mapping[str, str]) -> Requirements:
        """From a study file's ``[require]`` table."""
        return cls(items=tuple(parse_requirement(name, text) for name, text in table.items()))

    @property
    def counted(self) -> Requirements:
        """Those that cost nothing to check: parameters, MACs, activations, bytes."""
        return Requirements(items=tuple(r for r in self.items if r.name in AT_MOST_COUNTED))

    def get(self, name: str) -> Requirement | None:
        """The requirement of that name, or None."""
        return next((r for r in self.items if r.name == name), None)

    def margins(self, values: Mapping[str, float]) -> dict[str, float]:
        """Margin by name for every bound whose value is there; <= 0 when met."""
        return {r.name: r.margin(values[r.name]) for r in self.items if r.name in values}

    def met(self, margins: Mapping[str, float], *, with_safety: bool = False) -> bool:
        """Whether every bound has a margin and it is met; unmeasured is never met."""
        return all(
            r.name in margins and margins[r.name] <= -(r.safety_margin if with_safety else 0.0)
            for r in self.items
        )

    def describe(self) -> str:
        """All bounds in one line."""
        return ", ".join(r.describe() for r in self.items) or "none"
