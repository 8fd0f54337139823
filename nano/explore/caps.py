"""Exact quantities are checked before anything is spent: over a cap costs no trial."""

from __future__ import annotations

from dataclasses import dataclass

from nano.cost.count import Cost, count
from nano.design.families import AnyFamily
from nano.design.kinds import AnyDesign
from nano.design.knobs import Knobs
from nano.errors import StudyError
from nano.score import Requirements


@dataclass(frozen=True, kw_only=True)
class Caps:
    """The bounds on parameters, MACs, activations and bytes, at one size."""

    prototype: AnyFamily
    requirements: Requirements
    size: tuple[int, int]

    def cost(self, design: AnyDesign) -> Cost:
        """What the design costs at the study's size."""
        return count(design, self.size)

    def fit(self, design: AnyDesign) -> bool:
        """Whether every counted bound is met, its safety included."""
        counted = self.requirements.counted
        return counted.met(counted.margins(self.cost(design).values()), with_safety=True)

    def check_reachable(self) -> None:
        """Raise a StudyError if even the smallest design of the prototype is over a cap."""
        smallest = self.prototype.smallest()
        values = self.cost(smallest).values()
        for item in self.requirements.counted.items:
            if item.margin(values[item.name]) > -item.safety_margin:
                raise StudyError(
                    f"[require] {item.describe()}: no design of this prototype is that small;"
                    f" the smallest has {item.name} {values[item.name]:,}"
                )

    def shrink(self, knobs: Knobs, seed: int) -> dict[str, float]:
        """The knobs drawn towards the smallest design, only as far as the caps ask.

        Bisection on how much of each knob's range is kept: the proportions of the proposal stay.
        """
        low, high = 0.0, 1.0
        for _ in range(20):
            middle = (low + high) / 2
            drawn = self.prototype.shrunk(knobs, middle)
            if self.fit(self.prototype.design(self.prototype.expand(drawn, seed))):
                low = middle
            else:
                high = middle
        return self.prototype.shrunk(knobs, low)

    def first(self) -> dict[str, AnyDesign]:
        """What a study begins with: the prototype, and the same shrunk if it is over a cap."""
        preset = self.prototype.preset
        first = {"prototype": preset}
        if not self.fit(preset):
            knobs = self.shrink(self.prototype.knobs_of(preset), 0)
            shrunk = self.prototype.design(self.prototype.expand(knobs, 0))
            if self.fit(shrunk):
                first["prototype, shrunk"] = shrunk
        return first
