"""What a person sees on a terminal while a study runs."""

from __future__ import annotations

import io
import re
from dataclasses import replace

import pytest
from rich.console import Console

from nano.design.presets import preset
from nano.explore.stages import Judge, counted
from nano.explore.watch import LiveTable, line
from nano.records import Accuracy, Evaluation
from nano.score import Requirements, Utility

JUDGE = Judge(utility=Utility(), requirements=Requirements.parse({"delta1": ">= 0.5"}))


def trial(number: int, delta1: float, **more: object) -> Evaluation:
    blank = counted(
        number, preset("depthnet-tiny"), origin="tpe", seed=0, size=(32, 96), judge=JUDGE
    )
    accuracy = Accuracy(delta1=delta1, abs_rel=0.3)
    parts = {"stage": "final", "accuracy": accuracy, "seconds": 2.0, **more}
    return JUDGE.judged(replace(blank, **parts))


def watched(*, terminal: bool = True) -> str:
    """Everything that is written while three trials end, drawn once a second."""
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=terminal, width=120)
    now = [0.0]
    with LiveTable(console, "roads", 10, lambda: now[0]) as table:
        table.resume([trial(0, 0.45)])
        early = trial(3, 0.2, stage="rung 1", reason="not among the best of rung 1")
        for ended in (trial(1, 0.6), trial(2, 0.55), early):
            table.started(ended)
            table.tick()
            now[0] += 10.0
            table.finished(ended)
            table.tick()
    return stream.getvalue()


def test_every_trial_scrolls_by_once_and_the_best_stand_below(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", watched())
    for number in (1, 2, 3):
        assert len(re.findall(rf"[\r\n]#{number} ", text)) == 1
    block = text[text.rindex("NetScore") :]
    assert re.findall(r"^ +(\d) .* #(\d)", block, re.MULTILINE) == [
        *(("1", "1"), ("2", "2"), ("3", "0")),  # feasible first, then by score
    ]
    assert "tpe, misses a requirement" in block
    assert "roads: searching, 4 of 10 trials, feasible 2, pruned 1, failed 0" in block
    assert "about 60 s of searching left" in block  # three in 30 s, six to go


def test_no_color_is_respected(monkeypatch: pytest.MonkeyPatch) -> None:
    colour = re.compile(r"\x1b\[(?:[0-9;]*;)?(?:3[0-7]|4[0-7]|9[0-7]|[34]8;)[0-9;]*m")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert colour.search(watched())
    monkeypatch.setenv("NO_COLOR", "1")
    assert not colour.search(watched())


def test_a_line_tells_what_is_known() -> None:
    told = line(trial(7, 0.6))
    assert told.split()[0] == "#7" and "delta1 0.600 +" in told and "final" in told
    failed = replace(trial(8, 0.6), accuracy=None, netscore=None, reason="diverged: nan")
    assert "(diverged: nan)" in line(failed)
