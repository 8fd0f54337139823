"""What a person, or a program, sees while a study runs.

A live table on a terminal; elsewhere one plain line per trial on stderr; one JSON object per
trial on stdout with ``--json``; nothing but the summary with ``--quiet``.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from nano.files import to_plain
from nano.records import Confirmation, Evaluation
from nano.report.findings import state
from nano.report.numbers import count, decibels, duration, mean_sd, ratio

_log = logging.getLogger("nano.explore")
_SHOWN = 5  # designs in the live table
_REFRESH_SECONDS = 0.5


def line(evaluation: Evaluation) -> str:
    """One trial in one line."""
    accuracy = evaluation.accuracy
    mark = "+" if evaluation.feasible else "x"
    parts = [
        f"#{evaluation.number:<4}",
        f"{decibels(evaluation.netscore):>9}",
        f"delta1 {ratio(accuracy.delta1 if accuracy else None)} {mark}",
        f"{count(evaluation.cost.params):>7} params",
        f"{count(evaluation.cost.macs):>7} MACs",
        f"{evaluation.stage:<7}",
        f"{evaluation.seconds:5.1f} s",
        evaluation.origin,
    ]
    if evaluation.reason:
        parts.append(f"({evaluation.reason})")
    return "  ".join(parts)


def confirmed_line(done: Confirmation) -> str:
    """One confirmation in one line."""
    accuracy = done.accuracy
    delta1 = mean_sd(accuracy.delta1 if accuracy else None, done.delta1_sd)
    verdict = "meets every requirement" if done.feasible else "misses a requirement"
    return (
        f"confirmed #{done.number} ({done.origin}) with {len(done.readings)} fresh seeds:"
        f" {decibels(done.netscore)}, delta1 {delta1}, {verdict}"
    )


class Quiet:
    """Nothing but log.txt."""

    def started(self, evaluation: Evaluation) -> None:
        """A trial was handed to a worker."""

    def read(self, evaluation: Evaluation) -> None:
        """A rung was read."""

    def finished(self, evaluation: Evaluation) -> None:
        """A trial ended."""
        _log.info(line(evaluation))

    def confirmed(self, confirmation: Confirmation) -> None:
        """A finalist has all its fresh seeds."""
        _log.info(confirmed_line(confirmation))

    def note(self, text: str) -> None:
        """Something a person should know."""
        _log.info(text)

    def tick(self) -> None:
        """Time went by."""


class Lines(Quiet):
    """One line per event on stderr."""

    def finished(self, evaluation: Evaluation) -> None:
        """A trial ended."""
        super().finished(evaluation)
        self._say(line(evaluation))

    def confirmed(self, confirmation: Confirmation) -> None:
        """A finalist has all its fresh seeds."""
        super().confirmed(confirmation)
        self._say(confirmed_line(confirmation))

    def note(self, text: str) -> None:
        """Something a person should know."""
        super().note(text)
        self._say(text)

    def _say(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)


class JsonLines(Lines):
    """One object per finished trial and confirmation on stdout; notes stay on stderr."""

    def finished(self, evaluation: Evaluation) -> None:
        """A trial ended."""
        Quiet.finished(self, evaluation)
        self._emit(
            {
                "event": "trial",
                "state": state(evaluation),
                "key": evaluation.key,
                "spend_images": evaluation.spend_images,
                **to_plain(evaluation),
            }
        )

    def confirmed(self, confirmation: Confirmation) -> None:
        """A finalist has all its fresh seeds."""
        Quiet.confirmed(self, confirmation)
        self._emit({"event": "confirmation", **to_plain(confirmation)})

    @staticmethod
    def _emit(item: dict[str, Any]) -> None:
        print(json.dumps(item, allow_nan=False), flush=True)


class LiveTable(Quiet):
    """The best designs, feasible first, redrawn in place; what ended scrolls by above it."""

    def __init__(self, console: Console, name: str, trials: int, clock: Callable[[], float]):
        self._console = console
        self._name = name
        self._trials = trials
        self._clock = clock
        self._began = clock()
        self._ended: list[Evaluation] = []
        self._running: dict[int, Evaluation] = {}
        self._before = 0
        self._phase = "searching"
        self._drawn = -1.0
        self._live = Live(console=console, auto_refresh=False, transient=True)

    def __enter__(self) -> LiveTable:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def resume(self, evaluations: Sequence[Evaluation]) -> None:
        """Trials that were there before this run."""
        self._ended = list(evaluations)
        self._before = len(evaluations)

    def started(self, evaluation: Evaluation) -> None:
        """A trial was handed to a worker."""
        self._running[evaluation.number] = evaluation

    def read(self, evaluation: Evaluation) -> None:
        """A rung was read."""
        self._running[evaluation.number] = evaluation

    def finished(self, evaluation: Evaluation) -> None:
        """A trial ended."""
        super().finished(evaluation)
        self._running.pop(evaluation.number, None)
        self._ended.append(evaluation)
        style = "" if evaluation.feasible else "dim"
        self._console.print(Text(line(evaluation), style=style), highlight=False)

    def confirmed(self, confirmation: Confirmation) -> None:
        """A finalist has all its fresh seeds."""
        super().confirmed(confirmation)
        self._phase = "confirming"
        self._console.print(Text(confirmed_line(confirmation), style="bold"), highlight=False)

    def note(self, text: str) -> None:
        """Something a person should know."""
        super().note(text)
        self._console.print(Text(text, style="italic"), highlight=False)

    def tick(self) -> None:
        """Redraw now and then."""
        now = self._clock()
        if now - self._drawn >= _REFRESH_SECONDS:
            self._drawn = now
            self._live.update(self._block(now), refresh=True)

    def _block(self, now: float) -> Group:
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
        for column in ("best", "NetScore", "delta1", "params", "MACs", "trial", "by"):
            table.add_column(column, justify="left" if column == "by" else "right")
        ranked = sorted(
            (e for e in self._ended if e.netscore is not None and e.stage == "final"),
            key=lambda e: (not e.feasible, -(e.netscore or 0.0)),
        )
        for place, best in enumerate(ranked[:_SHOWN], start=1):
            table.add_row(
                str(place),
                decibels(best.netscore),
                ratio(best.accuracy.delta1 if best.accuracy else None),
                count(best.cost.params),
                count(best.cost.macs),
                f"#{best.number}",
                best.origin if best.feasible else f"{best.origin}, misses a requirement",
                style="" if best.feasible else "dim",
            )
        return Group(table, Text(self._status(now)), self._bar())

    def _status(self, now: float) -> str:
        feasible = sum(e.feasible for e in self._ended)
        states = [state(e) for e in self._ended]
        at_work = ", ".join(f"#{n} {e.stage}" for n, e in sorted(self._running.items()))
        text = (
            f"{self._name}: {self._phase}, {len(self._ended)} of {self._trials} trials, feasible"
            f" {feasible}, pruned {states.count('pruned')}, failed {states.count('failed')}"
        )
        if at_work:
            text += f"; now {at_work}"
        fresh = len(self._ended) - self._before
        if fresh > 1 and self._trials > len(self._ended):
            left = (now - self._began) / fresh * (self._trials - len(self._ended))
            text += f"; about {duration(left)} of searching left"
        return text

    def _bar(self) -> ProgressBar:
        return ProgressBar(total=self._trials, completed=len(self._ended), width=60)


def terminal(name: str, trials: int) -> LiveTable:
    """The live table on stderr: stdout is for results."""
    return LiveTable(Console(file=sys.stderr), name, trials, time.monotonic)
