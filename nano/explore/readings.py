"""What a study's trainings gave, as the inquisitor reads it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from nano.design.genes import Genome
from nano.design.kinds import AnyDesign
from nano.explore.gp import Fidelity, Floats
from nano.explore.levels import Genomes
from nano.records import METRICS, Accuracy, Confirmation, Evaluation
from nano.score import Requirements

ALWAYS = ("delta1", "abs_rel")  # the score needs them
_FAR = 0.3  # of a log error above the median: a third more error than most designs make
_LEAST_ERROR = 1e-4  # delta1 of 1 still has a logarithm
_HOPELESS = 1e3  # error in a metric that was not measured


@dataclass(frozen=True, kw_only=True)
class Readings:
    """What the study's trainings gave: every rung of every design is a reading.

    Attributes:
        genomes: One row a reading.
        logs: N x m: log(1 - delta1), log(abs_rel), and the logarithms of the errors in whatever
            else is required; power laws of size are lines in these.
        fidelity: Which stage each is of, and of how many seeds it is the mean.
        numbers: Of the trials.
        metrics: Names of the columns of ``logs``.
    """

    genomes: Genomes
    logs: Floats
    fidelity: Fidelity
    numbers: tuple[int, ...]
    metrics: tuple[str, ...] = ALWAYS

    def __len__(self) -> int:
        return len(self.numbers)

    @property
    def designs(self) -> int:
        """How many networks were read."""
        return len(set(self.numbers))

    def take(self, rows: NDArray[np.intp]) -> Readings:
        """Some of them."""
        return Readings(
            genomes=self.genomes[rows],
            logs=self.logs[rows],
            fidelity=self.fidelity.take(rows),
            numbers=tuple(self.numbers[row] for row in rows),
            metrics=self.metrics,
        )

    def last(self) -> Readings:
        """The last one of every design."""
        rows = {number: row for row, number in enumerate(self.numbers)}
        return self.take(np.array(list(rows.values()), np.intp))

    def levelled(self) -> Readings:
        """The same as if all were final: what rungs lack on average is made up.

        Roughly, for those who go on are not the average: the Gaussian process does the rest.
        """
        logs = self.logs.copy()
        if not (self.fidelity.level == 0).any():
            return self
        final = self.logs[self.fidelity.level == 0].mean(axis=0)
        for level in range(1, self.fidelity.levels):
            rows = self.fidelity.level == level
            if rows.any():
                logs[rows] += final - logs[rows].mean(axis=0)
        return replace(self, logs=logs)


def metrics_of(requirements: Requirements) -> tuple[str, ...]:
    """What has to be foreseen: delta1 and abs_rel for the score, and what is required of others."""
    return ALWAYS + tuple(m for m in METRICS if m not in ALWAYS and requirements.get(m))


def log_errors(accuracy: Accuracy, metrics: Sequence[str] = ALWAYS) -> tuple[float, ...]:
    """log(1 - delta1), log(abs_rel) and so on, held off minus infinity; unknown is hopeless."""
    found = []
    for name in metrics:
        value = getattr(accuracy, name)
        error = _HOPELESS if value is None else 1 - value if name.startswith("delta") else value
        found.append(math.log(max(error, _LEAST_ERROR)))
    return tuple(found)


def collect(
    evaluations: Sequence[Evaluation],
    genome: Callable[[AnyDesign], Genome | None],
    final: str,
    requirements: Requirements,
) -> Readings:
    """Every reading there is; none at all while nothing was trained to the end.

    A training that failed predicts nothing, and is read as an error as large as the largest there
    is: where networks diverge or are dead is something to learn, too.

    Args:
        evaluations: Finished ones.
        genome: Of a design; None for one that the prototype cannot express: nothing is learned of
            it, because it would be laid on another network.
        final: Name of the last stage.
        requirements: Say which metrics are read; see `metrics_of`.
    """
    metrics = metrics_of(requirements)
    known = {e.number: found for e in evaluations if (found := genome(e.design)) is not None}
    tried = [e for e in evaluations if e.number in known]
    read = [
        (e, reading.stage, log_errors(reading.accuracy, metrics))
        for e in tried
        for reading in e.readings
        if reading.accuracy is not None
    ]
    if any(stage == final for _, stage, _ in read):
        worst = tuple(np.max([logs for _, _, logs in read], axis=0).tolist())
        read += [(e, final, worst) for e in tried if _failed(e)]
    else:
        read = []
    read.sort(key=lambda item: item[0].number)  # stable: a design's stages stay in their order
    stages = [final, *dict.fromkeys(stage for _, stage, _ in read if stage != final)]
    length = len(next(iter(known.values()), ()))
    genomes = np.array([known[e.number] for e, _, _ in read], np.int64)
    return Readings(
        genomes=genomes.reshape(len(read), length),
        logs=np.array([logs for _, _, logs in read], np.float64).reshape(-1, len(metrics)),
        fidelity=Fidelity(
            level=np.array([stages.index(stage) for _, stage, _ in read], np.int64),
            count=np.ones(len(read)),
            start=np.array([e.number for e, _, _ in read], np.int64),
        ),
        numbers=tuple(e.number for e, _, _ in read),
        metrics=metrics,
    )


def _failed(evaluation: Evaluation) -> bool:
    """Whether it diverged, raised, or was dead at its start: not what the search ended."""
    last = evaluation.readings[-1] if evaluation.readings else None
    if last is None:
        return evaluation.stage == "initialised" and evaluation.reason is not None
    return last.accuracy is None


def with_fresh(readings: Readings, confirmations: Sequence[Confirmation]) -> Readings:
    """And what fresh seeds gave for designs that were read: one final reading more of each.

    Of the data that the search sees: the validation split, where there is one.
    """
    places = {number: row for row, number in enumerate(readings.numbers)}
    fresh = [
        (places[one.number], log_errors(accuracy, readings.metrics), len(one.readings))
        for one in confirmations
        if one.number in places and (accuracy := one.validation or one.accuracy) is not None
    ]
    if not fresh:
        return readings
    rows = [row for row, _, _ in fresh]
    starts = Fidelity.final(len(fresh), first=int(readings.fidelity.start.max()) + 1)
    counts = np.array([count for _, _, count in fresh], np.float64)
    return Readings(
        genomes=np.concatenate([readings.genomes, readings.genomes[rows]]),
        logs=np.concatenate([readings.logs, np.array([logs for _, logs, _ in fresh])]),
        fidelity=readings.fidelity + replace(starts, count=counts),
        numbers=(*readings.numbers, *(readings.numbers[row] for row in rows)),
        metrics=readings.metrics,
    )


def tempered(readings: Readings) -> Readings:
    """The same, errors far above the middle drawn in: how bad is bad teaches little.

    One network that broke would else set the scale for all the others. The order stays.
    """
    middle = np.median(readings.logs, axis=0)
    excess = np.maximum(readings.logs - middle, 0.0)
    drawn_in = _FAR * np.arcsinh(excess / _FAR)
    return replace(readings, logs=np.where(excess > 0, middle + drawn_in, readings.logs))
