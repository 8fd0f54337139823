"""What a search can be tried on without training anything."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from nano.design.kinds import AnyDesign
from nano.explore.caps import Caps
from nano.score import Utility

FINAL = "final"
Pair = tuple[float, float]  # delta1 and abs_rel


@dataclass(frozen=True, kw_only=True)
class Rules:
    """How a search is run and concluded, the same for every method.

    Attributes:
        keep: Share of a rung that may go on.
        finalists: In a batch.
        starts: Fresh ones of each finalist.
        checkpoints: Of a run that ends by spend: at so many equal parts of it.
    """

    keep: float = 0.34
    finalists: int = 3
    starts: int = 3
    checkpoints: int = 20


class Problem(Protocol):
    """A study whose trainings are looked up, computed, or made."""

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

    @property
    def rules(self) -> Rules:
        """How it is searched and concluded."""

    def read(self, design: AnyDesign, stage: str, start: int) -> Pair:
        """One training from a start: the same design, stage and start give the same reading."""

    def fresh(self, design: AnyDesign, start: int) -> tuple[Pair, Pair | None]:
        """A confirming training: on held-out images; and on the search's own, where they differ."""

    def truth(self, design: AnyDesign) -> Pair:
        """The mean over all starts at the final stage."""
