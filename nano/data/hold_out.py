"""A share of frames held out for judging: late stretches of each film, never random frames.

A random frame's neighbours, a tenth of a second away, would stay in training, and the score would
say little about new places.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TypeVar

Item = TypeVar("Item")


def hold_out_ends(
    films: Iterable[Sequence[Item]], share: float, gap: int
) -> tuple[list[Item], list[Item]]:
    """What stays, and the last ``share`` of each film; the ``gap`` before it belongs to neither.

    A film too short to give one frame stays whole.
    """
    kept: list[Item] = []
    held_out: list[Item] = []
    for film in films:
        count = math.floor(len(film) * share)
        end = len(film) - count
        held_out += film[end:]
        kept += film[: max(end - gap, 0)] if count else film
    return kept, held_out
