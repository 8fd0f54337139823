"""One method on one problem, driven as the product drives it, without files.

Spend is training images x MACs of one forward pass: what a training costs grows with both. At
checkpoints the study is concluded as if it ended there: finalists are confirmed with fresh starts,
the choice falls as in the product, and the true accuracy of the choice is written down. Confirming
is not charged: it is the same for every method.
"""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import optuna
from optuna.storages import InMemoryStorage

from benchmarks.search.problem import FINAL, Pair, Problem
from benchmarks.search.rivals import method, workers
from nano.design.kinds import AnyDesign
from nano.explore.belief import Belief
from nano.explore.findings import chosen, confirmed
from nano.explore.promotion import Promotion
from nano.explore.stages import Judge, confirmation, counted
from nano.explore.storage import Asked, Store, predicted
from nano.records import Accuracy, Confirmation, Evaluation, Reading
from nano.seeds import derive_seed

EVERY = 10  # trials between checkpoints, where no spend is given


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """What a user would get if the search ended here.

    Attributes:
        trials: Told so far.
        trainings: Of all stages.
        spend: Images x MACs.
        netscore: The true one of the choice (dB); None when nothing was confirmed.
        feasible: Whether the choice truly meets every requirement.
        number: The trial it comes from.
    """

    trials: int
    trainings: int
    spend: float
    netscore: float | None = None
    feasible: bool = False
    number: int | None = None


@dataclass(frozen=True, kw_only=True)
class Record:
    """One run of a method.

    Attributes:
        problem: Its name.
        method: Its name.
        seed: Of the run.
        spends: Cumulative, after every trial.
        checkpoints: In order; the last is the end.
        choice: The design of the last checkpoint's choice.
        propose_seconds: Processor time of each proposal.
        exhausted: Whether the method found no new design before the end.
    """

    problem: str
    method: str
    seed: int
    spends: tuple[float, ...]
    checkpoints: tuple[Checkpoint, ...]
    propose_seconds: tuple[float, ...]
    choice: AnyDesign | None = None
    exhausted: bool = False


def replay(
    problem: Problem, name: str, seed: int, *, trials: int | None = None, spend: float | None = None
) -> Record:
    """Search ``problem`` with the method ``name``.

    Args:
        problem: What to search.
        name: Of the method, see `benchmarks.search.rivals.method`.
        seed: Of everything random in this run.
        trials: How many at most.
        spend: Images x MACs at most; the trial that reaches it is the last.
    """
    if trials is None and spend is None:
        raise ValueError("a replay ends by trials or by spend: give one")
    run = _Run(problem, name, seed, trials or _expected_trials(problem, spend))
    checkpoints: list[Checkpoint] = []
    while not run.exhausted and (trials is None or len(run.told) < trials):
        if not run.step():
            break
        share = run.spends[-1] / spend * problem.rules.checkpoints if spend else 0.0
        due = len(checkpoints) < int(share) if spend else len(run.told) % EVERY == 0
        if due:
            checkpoints.append(run.checkpoint())
        if spend and run.spends[-1] >= spend:
            break
    if not checkpoints or checkpoints[-1].trials < len(run.told):
        checkpoints.append(run.checkpoint())
    return Record(
        problem=problem.name,
        method=name,
        seed=seed,
        spends=tuple(run.spends),
        checkpoints=tuple(checkpoints),
        propose_seconds=tuple(run.seconds),
        choice=None if (last := checkpoints[-1].number) is None else run.told[last].design,
        exhausted=run.exhausted,
    )


def _expected_trials(problem: Problem, spend: float | None) -> int:
    """How many trainings of the prototype the spend pays: population methods size themselves."""
    macs = problem.caps.cost(problem.caps.prototype.preset).macs
    return max(1, round((spend or 0.0) / (macs * problem.trainings[-1][1])))


class _Run:
    """A study that is being replayed."""

    def __init__(self, problem: Problem, name: str, seed: int, trials: int) -> None:
        caps = problem.caps
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._problem = problem
        self._name = name
        self._seed = seed
        with TemporaryDirectory() as folder:  # trials are signed by it; nobody looks for it again
            self._store = Store(
                InMemoryStorage(),
                problem.name,
                method(name, problem, seed=seed, trials=trials),
                caps.prototype,
                owner=Path(folder) / "replay.lock",
                penalised=name == "cmaes",
            )
        self._store.claim({}, caps.prototype.space, caps.first())
        self._judge = Judge(utility=problem.utility, requirements=caps.requirements)
        self._promotion = Promotion(
            utility=problem.utility,
            requirements=caps.requirements,
            keep=problem.rules.keep,
            finalists=problem.rules.finalists,
        )
        self._belief = Belief(caps)
        self._confirmed: dict[str, Confirmation] = {}
        self._workers = workers(name)
        self._asked: deque[Asked] = deque()  # one a worker; the first asked ends first
        self.told: list[Evaluation] = []
        self.spends: list[float] = []
        self.seconds: list[float] = []
        self.trainings = 0

    @property
    def exhausted(self) -> bool:
        return self._store.exhausted

    def step(self) -> bool:
        """Keep the workers busy and tell of one; False when there is nothing left to ask for."""
        while len(self._asked) < self._workers:
            began = time.process_time()
            asked = self._store.ask(self._name)
            self.seconds.append(time.process_time() - began)
            if asked is None:
                break
            self._asked.append(asked)
        if not self._asked:
            return False
        self._tell(self._evaluated(self._asked.popleft()))
        return True

    def _tell(self, evaluation: Evaluation) -> None:
        self._store.tell(evaluation, self._problem.caps.requirements)
        self.told.append(evaluation)
        self.trainings += len(evaluation.readings)
        before = self.spends[-1] if self.spends else 0.0
        self.spends.append(before + float(evaluation.spend_images) * evaluation.cost.macs)

    def _evaluated(self, asked: Asked) -> Evaluation:
        """As `nano.explore.stages.objective`, with readings of the problem."""
        evaluation = counted(
            asked.number,
            asked.design,
            origin=asked.origin,
            seed=asked.seed,
            proposal=asked.proposal,
            size=self._problem.caps.size,
            judge=self._judge,
        )
        start = derive_seed(self._seed, "start", asked.design.key, asked.number)
        for stage, images in self._problem.trainings:
            reading = self._reading(evaluation, stage, images, start)
            evaluation = self._judge.judged(
                replace(
                    evaluation,
                    stage=stage,
                    readings=(*evaluation.readings, reading),
                    accuracy=reading.accuracy,
                )
            )
            if stage == FINAL:
                break
            go_on, outlook = self._promotion.decide(evaluation, self.told)
            if not go_on:
                reason = f"not among the best of {stage}"
                evaluation = replace(evaluation, reason=reason, predicted=predicted(outlook))
                break
        return self._judge.judged(evaluation)

    def _reading(self, evaluation: Evaluation, stage: str, images: int, start: int) -> Reading:
        accuracy = _accuracy(self._problem.read(evaluation.design, stage, start))
        return Reading(stage=stage, images=images, seconds=0.0, seed=start, accuracy=accuracy)

    def checkpoint(self) -> Checkpoint:
        """Confirm and choose as at the end of a study; then look at the truth."""
        blank = Checkpoint(trials=len(self.told), trainings=self.trainings, spend=self.spends[-1])
        choice = self._choice()
        if choice is None:
            return blank
        design = self.told[choice.number].design
        accuracy = _accuracy(self._problem.truth(design))
        margins = self._judge.margins(accuracy, choice.cost.values())
        return replace(
            blank,
            netscore=self._judge.netscore(accuracy, choice),
            feasible=self._problem.caps.requirements.met(margins),
            number=choice.number,
        )

    def _choice(self) -> Confirmation | None:
        found = confirmed(
            self.told,
            self._problem.rules.finalists,
            holds=lambda known: self._belief.holds(self.told, known),
            confirm=lambda batch: [self._confirm(one) for one in batch],
            judge=self._judge,
        )
        return chosen(found or (), self._judge, self._belief.holds(self.told, found or ()))

    def _confirm(self, evaluation: Evaluation) -> Confirmation:
        if evaluation.key not in self._confirmed:
            starts = [
                derive_seed(self._seed, "confirm", evaluation.key, index)
                for index in range(self._problem.rules.starts)
            ]
            readings = [self._fresh(evaluation, start) for start in starts]
            self._confirmed[evaluation.key] = confirmation(evaluation, readings, self._judge)
        return self._confirmed[evaluation.key]

    def _fresh(self, evaluation: Evaluation, start: int) -> Reading:
        held_out, validation = self._problem.fresh(evaluation.design, start)
        return Reading(
            stage="confirmed",
            images=self._problem.trainings[-1][1],
            seconds=0.0,
            seed=start,
            accuracy=_accuracy(held_out),
            validation=None if validation is None else _accuracy(validation),
        )


def _accuracy(pair: Pair) -> Accuracy:
    return Accuracy(delta1=pair[0], abs_rel=pair[1])
