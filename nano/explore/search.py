"""The driver: asks, hands out, decides, tells, and at the end confirms.

One process asks and tells; workers only evaluate. So promotions see the whole history, nothing is
told twice, and the storage has one writer per driver.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from nano.errors import NanoError, RunError
from nano.explore.folder import RunFolder
from nano.explore.promotion import Promotion
from nano.explore.stages import Judge, confirmation, counted
from nano.explore.storage import Asked, Store, predicted
from nano.explore.trade_off import no_dearer
from nano.explore.watch import Quiet
from nano.explore.workers import (
    Broken,
    Confirm,
    Confirmed,
    Deciding,
    Died,
    Halted,
    Message,
    Search,
    Searched,
    Task,
    Workers,
)
from nano.front import score
from nano.records import Confirmation, Evaluation, Reading

_log = logging.getLogger("nano.explore")
_POLL_SECONDS = 0.25
_DEATHS = 3  # of workers on the same task before the study gives up
_GAIN = 0.05  # dB that count as progress
_BARREN = 3  # designs that all fail before any is read: then something else is wrong


class Bug(NanoError):
    """A worker met something that nobody foresaw; carries its traceback."""


@dataclass(frozen=True, kw_only=True)
class Budget:
    """When the search ends.

    Attributes:
        trials: Trials in all, those of earlier runs included.
        deadline: Monotonic time after which no new trial starts, or None.
        patience: Trials in a row without a better design after which none starts; 0: no end.
        trade_off: Costs that are minimised beside the score: better is what no design that costs
            no more has scored.
    """

    trials: int
    deadline: float | None = None
    patience: int = 0
    trade_off: tuple[str, ...] = ()

    def spent(self, counted: int) -> bool:
        """Whether no new trial may start."""
        late = self.deadline is not None and time.monotonic() >= self.deadline
        return late or counted >= self.trials

    def stands_still(self, evaluations: Iterable[Evaluation]) -> bool:
        """Whether the best feasible score has not risen by `_GAIN` for as long as patience lasts.

        As long as nothing is feasible there is no patience to lose.
        """
        if not self.patience:
            return False
        better: list[Evaluation] = []
        since = 0
        for evaluation in sorted(evaluations, key=lambda e: e.number):
            beaten = no_dearer(evaluation, better, self.trade_off)
            bar = max((score(one) for one in beaten), default=-math.inf)
            since += 1
            if evaluation.feasible and score(evaluation) > bar + _GAIN:
                better.append(evaluation)
                since = 0
        return bool(better) and since >= self.patience


@dataclass(kw_only=True)
class Driver:
    """One process that works on a study, with its workers.

    Attributes:
        store: The study.
        pool: Its workers.
        folder: The run folder.
        judge: Utility and requirements.
        promotion: Who goes on after a rung.
        budget: When to end.
        watcher: Who is told.
        size: Input height and width.
        origin: The generator's name.
        asked_to_stop: True once somebody pressed Ctrl-C or sent SIGTERM.
        at_work: Called again and again while there is work.
        fresh_seeds: Of every confirmation.
        final_images: Training images of the final stage and of every confirmation.
        patient: Whether this is the process that confirms in the end: its search ends only when
            those who joined have ended theirs.
    """

    store: Store
    pool: Workers
    folder: RunFolder
    judge: Judge
    promotion: Promotion
    budget: Budget
    watcher: Quiet
    size: tuple[int, int]
    origin: str
    asked_to_stop: Callable[[], bool]
    at_work: Callable[[], None]
    fresh_seeds: int
    final_images: int
    patient: bool = True
    _progress: dict[int, Evaluation] = field(default_factory=dict)
    _done: dict[int, Evaluation] = field(default_factory=dict)
    _deaths: dict[str, int] = field(default_factory=dict)
    _stopping: bool = False
    _stood_still: bool = False
    _waiting_for: list[int] = field(default_factory=list)

    # --- searching -------------------------------------------------------------------------------

    def search(self) -> bool:
        """Run trials until the budget is spent; False when stopped before."""
        while True:
            if not self._stops():
                self._hand_out()
            if not self.pool.tasks() and (self._stopping or not self._others_at_work()):
                return not self._stopping
            self._listen(self._searched)

    def _hand_out(self) -> None:
        for i in self.pool.idle():
            asked = self._ask(i)
            if asked is None:
                self._begin_reference(i)
                continue
            evaluation = self.folder.evaluation(asked.number)
            if evaluation is None or evaluation.key != asked.design.key:
                evaluation = counted(
                    asked.number,
                    asked.design,
                    origin=asked.origin,
                    seed=asked.seed,
                    size=self.size,
                    judge=self.judge,
                    proposal=asked.proposal,
                )
            self._progress[asked.number] = evaluation
            self.watcher.started(evaluation)
            self.pool.give(i, Search(evaluation=evaluation))

    def _ask(self, i: int) -> Asked | None:
        """The next trial, for worker ``i``; None when there is none."""
        with self.store.turn():
            # Waiting trials were counted when they were made; only new ones use up the budget.
            over = self.store.exhausted or self.budget.spent(self.store.counted())
            if not over and self.budget.patience:
                self._done |= {e.number: e for e in self.store.evaluations(but=self._done)}
                over = self.budget.stands_still(self._done.values())
                if over and not self._stood_still:
                    self.watcher.note(
                        f"no better design in {self.budget.patience} trials: the search ends"
                    )
                self._stood_still |= over
            if over and not self.store.waiting():
                return None
            self.pool.wake(i)
            asked = self.store.ask(self.origin)
        if asked is None:
            self.watcher.note("the space has no new design within the caps: no more trials")
        return asked

    def _begin_reference(self, i: int) -> None:
        """Let a worker that the search has no more trials for begin what is needed in any case.

        Once a design is feasible there will be confirmations, and the prototype is among them.
        Those who joined leave it to whoever confirms.
        """
        if not self.patient:
            return
        done = self._done.values()
        reference = next((e for e in done if e.origin == "prototype" and e.stage == "final"), None)
        if reference is None or not any(e.feasible for e in done):
            return
        under_way = {t.index for t in self.pool.tasks() if isinstance(t, Confirm)}
        kept = self.folder.confirm_readings(reference.key, self.fresh_seeds)
        for index in range(self.fresh_seeds):
            if index not in kept and index not in under_way:
                self.pool.give(i, self._fresh(reference, index))
                return

    def _fresh(self, evaluation: Evaluation, index: int) -> Confirm:
        return Confirm(evaluation=evaluation, index=index, images=self.final_images)

    def _others_at_work(self) -> bool:
        """Whether the search has to go on for trials that others took; takes up what they left."""
        if not self.patient:
            return False
        with self.store.turn():
            self._recover()
            others, waiting = self.store.elsewhere(), self.store.waiting()
        if others and self._waiting_for != others:
            names = ", ".join(f"#{number}" for number in others)
            self.watcher.note(f"waiting for {names}; the same command takes up what comes later")
        self._waiting_for = others
        return bool(others) or waiting > 0

    def _recover(self) -> None:
        """Take up what processes left that died meanwhile; in one's turn."""
        _, requeued = self.store.recover(self.judge.requirements)
        for number in requeued:
            self.watcher.note(f"#{number}: its process is gone; it is run again")

    def _searched(self, i: int, task: Task, message: Message) -> None:
        if isinstance(task, Confirm):
            return  # the reference's: the worker has kept its reading
        number = task.evaluation.number
        if isinstance(message, Deciding):
            self._progress[number] = message.evaluation
            self.watcher.read(message.evaluation)
            self._done |= {e.number: e for e in self.store.evaluations(but=self._done)}
            others = [e for n, e in (self._done | self._progress).items() if n != number]
            go_on, outlook = self.promotion.decide(message.evaluation, others)
            self.pool.answer(i, go_on, predicted(outlook))
        elif isinstance(message, Searched):
            with self.store.turn():
                told = self.store.tell(message.evaluation, self.judge.requirements)
            self._progress.pop(number)
            if not told:
                self.watcher.note(f"#{number}: taken up by others meanwhile; theirs will count")
                return
            self._done[number] = message.evaluation
            self.watcher.finished(message.evaluation)
            self._check_barren()
        else:
            self._progress.pop(number, None)
            with self.store.turn():
                self.store.requeue(number)

    def _check_barren(self) -> None:
        """Stop early when nothing at all can be evaluated: it is not the designs' fault."""
        if any(e.accuracy is not None or e.too_dear for e in self._done.values()):
            return
        self._done |= {e.number: e for e in self.store.evaluations(but=self._done)}
        failed = [e for e in self._done.values() if e.accuracy is None and not e.too_dear]
        reasons = [e.reason for e in failed]
        if len(reasons) >= _BARREN and len(reasons) == len(self._done):
            raise RunError(
                f"the first {len(reasons)} designs all failed, the last with: {reasons[-1]};"
                f" {self.folder.log} tells more"
            )

    # --- confirming ------------------------------------------------------------------------------

    def confirm(self, finalists: Sequence[Evaluation]) -> list[Confirmation] | None:
        """Retrain each with fresh seeds, all in parallel; None when stopped before the end."""
        seeds = self.fresh_seeds
        readings = {e.key: self.folder.confirm_readings(e.key, seeds) for e in finalists}
        by_key = {e.key: e for e in finalists}
        for key, kept in readings.items():
            if len(kept) == seeds:
                self._settle(by_key[key], kept)
        queue = [
            self._fresh(e, index)
            for e in finalists
            for index in range(seeds)
            if index not in readings[e.key]
        ]

        def heard(i: int, task: Task, message: Message) -> None:
            assert isinstance(task, Confirm)
            if isinstance(message, Confirmed):
                readings[message.key][message.index] = message.reading
                if len(readings[message.key]) == seeds:
                    self._settle(by_key[message.key], readings[message.key])
            else:
                queue.insert(0, task)

        while queue or self.pool.tasks():
            if not self._stops():
                for i in self.pool.idle()[: len(queue)]:
                    self.pool.give(i, queue.pop(0))
            if not self.pool.tasks():
                return None
            self._listen(heard)
        return [self._confirmation(e, readings[e.key]) for e in finalists]

    def _settle(self, evaluation: Evaluation, readings: Mapping[int, Reading]) -> None:
        done = self._confirmation(evaluation, readings)
        self.folder.write_confirmation(done)
        self.watcher.confirmed(done)

    def _confirmation(
        self, evaluation: Evaluation, readings: Mapping[int, Reading]
    ) -> Confirmation:
        return confirmation(evaluation, [readings[i] for i in sorted(readings)], self.judge)

    # --- hearing the workers ---------------------------------------------------------------------

    def _stops(self) -> bool:
        """Whether somebody asked to stop; tells the workers the first time."""
        if self.asked_to_stop() and not self._stopping:
            self._stopping = True
            self.watcher.note("stopping: trainings end at their next batch and are kept")
            self.pool.stop()
        return self._stopping

    def _listen(self, heard: Callable[[int, Task, Message], None]) -> None:
        """Pass on what workers said; end on errors."""
        broken: Broken | None = None
        before = {i: self.pool.task_of(i) for i in range(self.pool.size)}
        for i, message in self.pool.messages(_POLL_SECONDS):
            task = before[i]
            if isinstance(message, Broken):
                broken = message
            if isinstance(message, Died):
                self._count_death(task, message)
            if task is not None and isinstance(
                message, Deciding | Searched | Confirmed | Halted | Broken | Died
            ):
                heard(i, task, message)
        self.watcher.tick()
        self.at_work()
        if self.store.beat() and self.patient and not self._stopping:
            with self.store.turn():
                self._recover()
        if broken is not None:
            _log.error("a worker broke:\n%s", broken.text)
            raise broken.error or Bug(broken.text)

    def _count_death(self, task: Task | None, died: Died) -> None:
        key = task.evaluation.key if task is not None else "start"
        self._deaths[key] = self._deaths.get(key, 0) + 1
        self.watcher.note(f"a worker ended (exit code {died.exit_code}); another takes its place")
        if self._deaths[key] >= _DEATHS:
            what = f"on design {key}" if task is not None else "while starting"
            raise RunError(
                f"workers ended {_DEATHS} times {what} (exit code {died.exit_code}); out of"
                " memory? Fewer --workers, a smaller batch, or smaller ranges need less"
            )

    def give_back(self) -> None:
        """End the workers and give back every trial that is not finished."""
        self.pool.kill()  # first: nobody may take up a trial that is still worked on
        for number in list(self._progress):
            with self.store.turn():
                self.store.requeue(number)
            del self._progress[number]
