"""The inquisitor I(N): what delta1 and abs_rel a network would reach, and how sure that is.

DepthNet Nano (2020), eq. 1, has a generator taught by an inquisitor that probes its networks; the
paper does not say how. Ours reads every training of the study, of any rung, and predicts the final
accuracy of any genome by a Gaussian process over its genes and over summaries of its stages. What
can be counted (parameters, MACs, activations) is evidence here and never predicted.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from random import Random
from statistics import fmean

import numpy as np

from nano.explore.gp import Floats, Hyper, Points, Posterior, fitted
from nano.explore.levels import Genomes, Levels
from nano.records import Accuracy, Confirmation, Evaluation
from nano.score import ACCURACY_FORMS, LEAST_ABS_REL, Utility

ENOUGH = 4  # designs read before the inquisitor has a say
REFIT = 8  # hyperparameters are those of the first 8, 16, 24, ... designs
_FIT_ON = 256  # of the designs read, at most: fitting costs the cube of it
_REFERENCE = 96  # genomes whose spread standardises the summaries
_FAR = 0.3  # of a log error above the median: a third more error than most designs make
_LEAST_ERROR = 1e-4  # delta1 of 1 still has a logarithm
# Before a study has pairs of a rung and a final reading: the sd by which log errors differ beyond
# their mean shift, some 3 % of the error (benchmarks/results/rungs.json), and what it counts for.
_RUNG_SD = 0.03
_RUNG_PAIRS = 4.0


@dataclass(frozen=True, eq=False)  # compared by identity: it keys a cache
class Evidence:
    """Turns genomes into the points that the Gaussian process sees.

    Attributes:
        levels: The cube of the study's genomes.
    """

    levels: Levels

    def of(self, genomes: Genomes) -> Points:
        """Standardised summaries and genes."""
        mean, sd, gene_mean, gene_sd = self._reference
        return Points(
            summaries=(self.summaries(genomes) - mean) / sd,
            genes=(self.levels.of(genomes) - gene_mean) / gene_sd * self.levels.active(genomes),
        )

    def summaries(self, genomes: Genomes) -> Floats:
        """Logarithms of sums of widths per stage and part, depths, and the exact costs."""
        columns = []
        for name, group in self.levels.groups.items():
            total = genomes[:, group].sum(axis=1).astype(np.float64)
            columns.append(total if name.endswith("depth") else np.log(np.maximum(total, 1.0)))
        cost = self.levels.cost(genomes)
        columns += [
            np.log(c.astype(np.float64)) for c in (cost.params, cost.macs, cost.activations)
        ]
        return np.stack(columns, axis=1)

    @property
    def names(self) -> list[str]:
        """Of the summaries' columns."""
        return [*self.levels.groups, "parameters", "MACs", "activations"]

    @cached_property
    def _reference(self) -> tuple[Floats, Floats, Floats, Floats]:
        """Mean and sd over the space within the caps: the same for every history."""
        random = Random(0)
        prototype = self.levels.caps.prototype
        drawn = [
            prototype.expand({k.name: k.at(random.random()) for k in prototype.knobs}, i)
            for i in range(_REFERENCE)
        ]
        genomes = self.levels.repaired(self.levels.of(np.array(drawn)))
        summaries, genes = self.summaries(genomes), self.levels.of(genomes)
        return (
            summaries.mean(axis=0),
            summaries.std(axis=0) + 1e-6,
            genes.mean(axis=0),
            genes.std(axis=0) + 1e-6,
        )


@dataclass(frozen=True, kw_only=True)
class Readings:
    """The study's trainings, as final log errors.

    Attributes:
        genomes: One row a design.
        logs: N x 2: log(1 - delta1) and log(abs_rel); power laws of size are lines in these.
        noise_scale: Variance of each reading in units of a final reading's.
        numbers: Of the trials.
    """

    genomes: Genomes
    logs: Floats
    noise_scale: Floats
    numbers: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.numbers)


def log_errors(accuracy: Accuracy) -> tuple[float, float]:
    """log(1 - delta1) and log(abs_rel), held off minus infinity."""
    return (
        math.log(max(1 - accuracy.delta1, _LEAST_ERROR)),
        math.log(max(accuracy.abs_rel, _LEAST_ERROR)),
    )


def collect(evaluations: Sequence[Evaluation], genomes: Genomes, final: str) -> Readings:
    """One reading a design: the final one, or its last rung's with the gain still to come.

    What a rung lacks to the final training is learned from the designs that had both: a mean
    shift of the log errors, and the spread around it as additional noise.

    Args:
        evaluations: Finished ones.
        genomes: Theirs, row by row.
        final: Name of the last stage.
    """
    read = [
        {r.stage: log_errors(r.accuracy) for r in e.readings if r.accuracy} for e in evaluations
    ]
    stages = [r.stage for e in evaluations for r in e.readings if r.stage != final]
    shifts = {stage: _shift(read, stage, final) for stage in dict.fromkeys(stages)}
    rows, logs, scales = [], [], []
    for row, found in enumerate(read):
        if final in found:
            rows.append(row)
            logs.append(found[final])
            scales.append(1.0)
        elif found:
            stage = list(found)[-1]
            shift, scale = shifts[stage]
            if shift is not None:
                rows.append(row)
                logs.append((found[stage][0] + shift[0], found[stage][1] + shift[1]))
                scales.append(scale)
    return Readings(
        genomes=genomes[rows],
        logs=np.array(logs, np.float64).reshape(-1, 2),
        noise_scale=np.array(scales, np.float64),
        numbers=tuple(evaluations[row].number for row in rows),
    )


def _shift(
    read: Sequence[dict[str, tuple[float, float]]], stage: str, final: str
) -> tuple[tuple[float, float] | None, float]:
    """Mean gain from a rung to the final training, and the rung's variance in final ones."""
    pairs = [(f[stage], f[final]) for f in read if stage in f and final in f]
    if not pairs:
        return None, 1.0
    gains = [(b[0] - a[0], b[1] - a[1]) for a, b in pairs]
    shift = fmean(g[0] for g in gains), fmean(g[1] for g in gains)
    squares = sum((g[0] - shift[0]) ** 2 for g in gains)
    variance = (2 * _RUNG_PAIRS * _RUNG_SD**2 + squares) / (_RUNG_PAIRS + len(gains) - 1)
    # The spread holds both readings' noise: predicted from the rung, all of it is the rung's.
    return shift, max(1.0, variance / _RUNG_SD**2)


def with_fresh(readings: Readings, confirmations: Sequence[Confirmation]) -> Readings:
    """What fresh seeds gave for designs that were read, averaged into their readings.

    Of the data that the search sees: the validation split, where there is one.
    """
    rows = {number: row for row, number in enumerate(readings.numbers)}
    logs, scales = readings.logs.copy(), readings.noise_scale.copy()
    for one in confirmations:
        accuracy = one.validation or one.accuracy
        row = rows.get(one.number)
        if row is not None and accuracy is not None:
            fresh, before = float(len(one.readings)), 1 / scales[row]
            logs[row] = (before * logs[row] + fresh * np.array(log_errors(accuracy))) / (
                before + fresh
            )
            scales[row] = 1 / (before + fresh)
    return replace(readings, logs=logs, noise_scale=scales)


def tempered(readings: Readings) -> Readings:
    """The same, errors far above the middle drawn in: how bad is bad teaches little.

    One network that broke would else set the scale for all the others. The order stays.
    """
    middle = np.median(readings.logs, axis=0)
    excess = np.maximum(readings.logs - middle, 0.0)
    drawn_in = _FAR * np.arcsinh(excess / _FAR)
    return replace(readings, logs=np.where(excess > 0, middle + drawn_in, readings.logs))


@dataclass(frozen=True, kw_only=True)
class Foreseen:
    """Predicted final log errors of n genomes: means n x 2, one sd each n x 2."""

    mean: Floats
    sd: Floats

    def accuracy(self, beta: Floats | float = 0.0) -> tuple[Floats, Floats]:
        """delta1 and abs_rel at ``beta`` standard deviations to the good."""
        logs = self.mean - np.asarray(beta)[..., None] * self.sd
        return 1 - np.exp(np.minimum(logs[:, 0], 0.0)), np.exp(logs[:, 1])

    def delta1_sd(self) -> Floats:
        """Standard deviation of delta1, to first order."""
        found: Floats = np.exp(self.mean[:, 0]) * self.sd[:, 0]
        return found


class Inquisitor:
    """The posterior over final accuracies, given readings.

    Args:
        evidence: Of the study's space.
        readings: At least `ENOUGH`, with some spread.
        pending: Designs under evaluation; they count as read at what is foreseen of them, which
            leaves the means alone and takes the uncertainty away.
    """

    def __init__(
        self, evidence: Evidence, readings: Readings, pending: Genomes | None = None
    ) -> None:
        self._evidence = evidence
        self.read = len(readings)
        readings = tempered(readings)
        self._mean = readings.logs.mean(axis=0)
        self._scale = np.maximum(readings.logs.std(axis=0), 1e-3)
        outputs = (readings.logs - self._mean) / self._scale
        points = evidence.of(readings.genomes)
        self.hyper = _hyper(evidence, readings)
        self._posterior = Posterior(self.hyper, points, outputs, readings.noise_scale)
        if pending is not None and len(pending):
            more = evidence.of(pending)
            fantasies, _ = self._posterior.predict(more)
            self._posterior = Posterior(
                self.hyper,
                Points(
                    summaries=np.concatenate([points.summaries, more.summaries]),
                    genes=np.concatenate([points.genes, more.genes]),
                ),
                np.concatenate([outputs, fantasies]),
                np.concatenate([readings.noise_scale, np.ones(len(more))]),
            )

    def foresee(self, genomes: Genomes) -> Foreseen:
        """Noise-free final accuracy of genomes, in logarithms of the errors."""
        mean, sd = self._posterior.predict(self._evidence.of(genomes))
        return Foreseen(mean=mean * self._scale + self._mean, sd=sd[:, None] * self._scale)

    @property
    def noise(self) -> float:
        """Standard deviation of the log of 1 - delta1 of one final training."""
        return float(np.exp(0.5 * self.hyper.noise) * self._scale[0])

    @property
    def spread(self) -> float:
        """Standard deviation of the log of 1 - delta1 over what was read."""
        return float(self._scale[0])


def _hyper(evidence: Evidence, readings: Readings) -> Hyper:
    """Those of the readings up to the last whole `REFIT`: a function of the history."""
    count = max(ENOUGH, len(readings) // REFIT * REFIT)
    rows = np.arange(count)[-_FIT_ON:]
    logs = readings.logs[rows]
    return _fitted(
        evidence,
        readings.genomes[rows].tobytes(),
        logs.tobytes(),
        readings.noise_scale[rows].tobytes(),
    )


@lru_cache(maxsize=4)
def _fitted(evidence: Evidence, genomes: bytes, logs: bytes, noise: bytes) -> Hyper:
    """Remembered, because eight proposals in a row ask for the same."""
    length = evidence.levels.caps.prototype.layout.length
    outputs = np.frombuffer(logs).reshape(-1, 2)
    outputs = (outputs - outputs.mean(axis=0)) / np.maximum(outputs.std(axis=0), 1e-3)
    points = evidence.of(np.frombuffer(genomes, np.int64).reshape(-1, length))
    return fitted(points, outputs, np.frombuffer(noise))


def scores(
    utility: Utility, delta1: Floats, abs_rel: Floats, params: Floats, macs: Floats
) -> Floats:
    """NetScore in decibels of many designs at once; as `Utility.score`."""
    form = ACCURACY_FORMS[utility.accuracy]
    pairs = zip(delta1.tolist(), np.maximum(abs_rel, LEAST_ABS_REL).tolist(), strict=True)
    accuracy = np.array([max(form(d, a), 1e-9) for d, a in pairs])
    found: Floats = 20 * (
        utility.kappa * np.log10(100 * accuracy)
        - utility.beta * np.log10(params / 1e6)
        - utility.gamma * np.log10(macs / 1e9)
    )
    return found
