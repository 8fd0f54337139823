"""What finished trials were told, each read once by a process: an evaluation never changes."""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from optuna.trial import FrozenTrial

from nano.records import Evaluation, evaluation_from_plain

ANSWER = "answer"  # of a study: key of the chosen design, and all confirmations
_MOST = 100_000  # evaluations that are remembered
_MANY = 100_000  # objects; a trial has some hundred
_READ: dict[int, tuple[Any, Evaluation]] = {}  # by identity of the plain record, which is held


def told(trials: Iterable[FrozenTrial]) -> list[Evaluation]:
    """Evaluations of those trials that are finished and have one, in their order.

    Raises:
        RunError: One is damaged, or of another version.
    """
    with without_collecting():
        return [
            evaluation_of(trial)
            for trial in trials
            if trial.state.is_finished() and "evaluation" in trial.user_attrs
        ]


def evaluation_of(trial: FrozenTrial) -> Evaluation:
    """What a finished trial was told; raises a RunError for a record that is damaged."""
    plain = trial.user_attrs["evaluation"]
    known = _READ.get(id(plain))
    if known is None or known[0] is not plain:
        if len(_READ) >= _MOST:
            _READ.clear()
        known = plain, evaluation_from_plain(plain, f"trial {trial.number}")
        _READ[id(plain)] = known
    return known[1]


@contextmanager
def without_collecting() -> Iterator[None]:
    """For what makes millions of objects that stay, which Python would look through for cycles.

    Also once they are there: each look at a history of 10,000 trials takes more than a second. So
    where many came, all that there is by now counts as staying.
    """
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            if gc.get_count()[0] > _MANY:
                gc.freeze()
            gc.enable()
