"""What a search can be tried on without training anything."""

from __future__ import annotations

from typing import Protocol

from nano.design.design import Design
from nano.explore.caps import Caps
from nano.score import Utility

FINAL = "final"


class Problem(Protocol):
    """A study whose trainings are looked up or computed.

    Accuracies are pairs (delta1, abs_rel).
    """

    @property
    def name(self) -> str:
        """For tables and files."""

    @property
    def caps(self) -> Caps:
        """Prototype, requirements and image size."""

    @property
    def utility(self) -> Utility:
        """What is maximised."""

    @property
    def trainings(self) -> tuple[tuple[str, int], ...]:
        """(stage, training images) of every rung and of the final training, in order."""

    def read(self, design: Design, stage: str, start: int) -> tuple[float, float]:
        """One training from a start: the same design, stage and start give the same reading."""

    def truth(self, design: Design) -> tuple[float, float]:
        """The mean over all starts at the final stage."""
