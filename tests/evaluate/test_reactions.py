"""Signals of a kept model at its start and trained."""

from __future__ import annotations

from pathlib import Path

import pytest

from nano.errors import StudyError
from nano.evaluate.reactions import AFTER, BEFORE, reactions
from nano.report.run import read_run

RECORDED = Path(__file__).parents[2] / "studies" / "recorded"


def test_the_same_places_before_and_after_training() -> None:
    run = read_run(RECORDED)
    assert run.best_model is not None
    told = reactions(RECORDED / "best", run.study["data"], run.best_model.seed, images=2)
    assert [s.name for s in told[BEFORE]] == [s.name for s in told[AFTER]]
    assert told[BEFORE][0] == told[AFTER][0]  # the images themselves
    assert told[BEFORE][-1] != told[AFTER][-1]
    assert all(0.05 < signal.sd < 10 for signal in told[BEFORE])


def test_another_seed_is_another_start() -> None:
    run = read_run(RECORDED)
    first, second = (
        reactions(RECORDED / "best", run.study["data"], seed, images=2)[BEFORE] for seed in (1, 2)
    )
    assert first != second


def test_a_wrong_data_table_is_refused() -> None:
    with pytest.raises(StudyError, match=r"\[data\]"):
        reactions(RECORDED / "best", {"set": "nowhere"}, 0)
