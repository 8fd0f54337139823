"""What is wanted: the utility (NetScore) and the requirements (the indicator) with margins.

NetScore: Wong 2018 (arXiv 1806.05512); DepthNet Nano (2020), eq. 1 and 2.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
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
    # An error of 100 % and more leaves these two means nothing to average.
    "harmonic": lambda d1, rel: 2 * d1 * (1 - rel) / (d1 + 1 - rel) if d1 > 0 and rel < 1 else 0.0,
    "geometric": lambda d1, rel: math.sqrt(max(0.0, d1 * (1 - rel))),
    # A ratio is no percentage: it enters as it is, every other form times 100.
    "d1/abs_rel": lambda d1, rel: d1 / max(rel, LEAST_ABS_REL) / 100,
}
LEAST_ABS_REL = 1e-6  # a perfect answer still has a ratio


@dataclass(frozen=True, kw_only=True)
class Utility:
    """NetScore's weights and its form of accuracy.

    Attributes:
        kappa: Exponent of accuracy (the paper's 0.7; NetScore's own default is 2).
        beta: Exponent of parameters in millions.
        gamma: Exponent of multiply-accumulates in billions.
        accuracy: A name in `ACCURACY_FORMS`.
        trade_off: Costs that are minimised beside the score, counted or measured: what is wanted
            is then the whole front, not one design.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    kappa: float = 0.7
    beta: float = 0.15
    gamma: float = 0.15
    accuracy: str = "d1*(1-abs_rel)"
    trade_off: tuple[str, ...] = ()

    def describe(self) -> str:
        """The formula in one line, with units."""
        return (
            f"20 log10(a^{self.kappa:g} / (p^{self.beta:g} m^{self.gamma:g})) dB,"
            f" a = {self.accuracy} in percent, p in millions, m in GMACs"
            + (f"; traded off against {' and '.join(self.trade_off)}" if self.trade_off else "")
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
MEASURED = (*AT_MOST_MEASURED, "fps")
REQUIRABLE = (*AT_LEAST, *AT_MOST_COUNTED, *AT_MOST_METRICS, *AT_MOST_MEASURED)
_FRACTIONS = ("delta1", "delta2", "delta3")
_MULTIPLES = {"": 1, "k": 10**3, "K": 10**3, "M": 10**6, "G": 10**9}
_NUMBER = r"(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?"
_FORM = re.compile(
    rf"\s*(?P<sense>>=|<=)\s*(?P<number>{_NUMBER})\s*(?P<multiple>[kKMG]?)"
    rf"(?:\s*(?P<sign>[+-])\s*(?P<safety>{_NUMBER})\s*(?P<safety_multiple>[kKMG]?))?\s*",
    re.ASCII,
)
_EXAMPLES = {"params": "<= 2M", "macs": "<= 4.66G", "activations": "<= 70M", "bytes": "<= 1G"} | {
    "fps": ">= 30", "latency_ms": "<= 30", "joules": "<= 0.5", "watts": "<= 15"
}  # fmt: skip


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
    """2M, 4.66G, 0.89: what `parse_requirement` reads back to the same number, to the last bit."""
    exact = Decimal(repr(float(number)))  # repr: the fewest digits that mean this number
    unit = next((unit for unit in "GMk" if number >= _MULTIPLES[unit]), "")
    return f"{(exact / _MULTIPLES[unit]).normalize():f}{unit}"


def _number(digits: str, multiple: str) -> float:
    """``4.66``, ``G`` -> 4660000000.0: multiplied in decimals, so that 2.3M is 2300000."""
    return float(Decimal(digits) * _MULTIPLES[multiple])


def parse_requirement(name: str, text: str) -> Requirement:
    """Read ``">= 0.89"``, ``"<= 2M"`` or, with a safety, ``">= 0.89 + 0.005"``.

    Raises:
        StudyError: For unknown names, wrong senses, and numbers that cannot be meant.
    """
    where = f'[require] {name} = "{text}"'
    if name not in REQUIRABLE:
        near = difflib.get_close_matches(str(name), REQUIRABLE, n=1)
        hint = f'did you mean "{near[0]}"?' if near else f"known: {', '.join(REQUIRABLE)}"
        raise StudyError(f"[require] {name}: unknown; {hint}")
    sense = ">=" if name in AT_LEAST else "<="
    example = _EXAMPLES.get(name, f"{sense} {0.89 if name in AT_LEAST else 0.1}")
    match = _FORM.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise StudyError(f'{where}: not a bound; write for example "{example}"')
    if match["sense"] != sense:
        raise StudyError(f'{where}: {name} is bounded with {sense}, for example "{example}"')
    bound = _number(match["number"], match["multiple"])
    safety = _number(match["safety"] or "0", match["safety_multiple"] or "")
    if safety and (match["sign"] == "+") != (sense == ">="):
        raise StudyError(f"{where}: a safety makes the bound harder; use {'+-'[sense == '<=']}")
    if name in _FRACTIONS and not 0 < bound + safety <= 1:
        hint = (
            f'; write "{sense} {bound / 100:g}"' if 1.5 < bound <= 100 else ""
        )  # 1.2 is no percent
        raise StudyError(f"{where}: {name} is a fraction between 0 and 1{hint}")
    if not 0 < bound < math.inf or safety >= bound:
        raise StudyError(f'{where}: not a bound above zero and its safety; write "{example}"')
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
    def measured(self) -> Requirements:
        """Those that a device has to be asked for: latency, throughput, energy, power."""
        return Requirements(items=tuple(r for r in self.items if r.name in MEASURED))

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
