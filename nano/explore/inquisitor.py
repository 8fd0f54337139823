"""The inquisitor I(N): what delta1 and abs_rel a network would reach, and how sure that is.

DepthNet Nano (2020), eq. 1, has a generator taught by an inquisitor that probes its networks; the
paper does not say how. Ours reads every training of the study, of any rung, and predicts the final
accuracy of any genome by a Gaussian process over its genes and over summaries of its stages. What
can be counted (parameters, MACs, activations) is evidence here and never predicted.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from random import Random

import numpy as np

from nano.explore.gp import Fidelity, Floats, Hyper, Points, Posterior, fitted
from nano.explore.levels import Genomes, Levels
from nano.explore.readings import ALWAYS, Readings, tempered
from nano.score import ACCURACY_FORMS, LEAST_ABS_REL, Utility

ENOUGH = 4  # designs read before the inquisitor has a say
REFIT = 8  # hyperparameters are those of the first 8, 16, 24, ... readings
_FIT_ON = 256  # of the readings, at most: fitting costs the cube of it
_AT_MOST = 1500  # readings that predictions rest on
_REFERENCE = 96  # genomes whose spread standardises the summaries


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
        """Logarithms of the capacity of every part of the network: a dozen numbers, not hundreds.

        Of each part the sum over its modules, each by the geometric mean of its widths.
        """
        logs = np.log(np.maximum(genomes.astype(np.float64), 1.0))
        there = self.levels.active(genomes)
        columns = []
        for kinds in self.levels.caps.prototype.parts:
            widths = sum((logs[:, kind] for kind in kinds[1:]), logs[:, kinds[0]]) / len(kinds)
            if widths.shape[1] > 1:
                capacity = (np.exp(widths) * there[:, kinds[-1]]).sum(axis=1, keepdims=True)
                widths = np.log(capacity)
            columns.append(widths[:, 0])
        return np.stack(columns, axis=1)

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
class Foreseen:
    """Predicted final log errors of n genomes: means n x m, one sd each n x m."""

    mean: Floats
    sd: Floats

    def accuracy(self, beta: Floats | float = 0.0) -> tuple[Floats, Floats]:
        """delta1 and abs_rel at ``beta`` standard deviations to the good."""
        logs = self.mean - np.asarray(beta)[..., None] * self.sd
        return 1 - np.exp(np.minimum(logs[:, 0], 0.0)), np.exp(logs[:, ALWAYS.index("abs_rel")])

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
        self.read = readings.designs
        self._mean, self._scale, hyper = _learned(evidence, readings)
        known = tempered(relevant(readings).levelled())
        outputs = (known.logs - self._mean) / self._scale
        points = evidence.of(known.genomes)
        self.hyper = hyper.with_levels(readings.fidelity.levels)
        self._posterior = Posterior(self.hyper, points, outputs, known.fidelity)
        if pending is not None and len(pending):
            more = evidence.of(pending)
            fantasies, _ = self._posterior.predict(more)
            self._posterior = Posterior(
                self.hyper,
                points + more,
                np.concatenate([outputs, fantasies]),
                known.fidelity
                + Fidelity.final(len(more), first=int(known.fidelity.start.max()) + 1),
            )

    def foresee(self, genomes: Genomes) -> Foreseen:
        """Noise-free final accuracy of genomes, in logarithms of the errors."""
        mean, sd = self._posterior.predict(self._evidence.of(genomes))
        return Foreseen(mean=mean * self._scale + self._mean, sd=sd[:, None] * self._scale)

    @property
    def noise(self) -> float:
        """Standard deviation of the log of 1 - delta1 of one final training."""
        return float(self.final_noise[0])

    @property
    def final_noise(self) -> Floats:
        """Standard deviation of the log error of one final training, of every metric read."""
        found: Floats = np.exp(0.5 * self.hyper.noise[0]) * self._scale
        return found

    @property
    def noises(self) -> tuple[float, ...]:
        """The same of every stage read: final, then rungs in their order."""
        return tuple(float(sd * self._scale[0]) for sd in np.exp(0.5 * self.hyper.noise))

    @property
    def spread(self) -> float:
        """Standard deviation of the log of 1 - delta1 over what the fit was made on."""
        return float(self._scale[0])


def relevant(readings: Readings, at_most: int = _AT_MOST) -> Readings:
    """At most so many readings, for the cube of them is what they cost.

    The best ones and the latest ones, half of each: the neighbourhood that is being searched.
    """
    if len(readings) <= at_most:
        return readings
    order = np.argsort(readings.levelled().logs[:, 0], kind="stable")
    latest = np.arange(len(readings))[-at_most // 2 :]
    best = [row for row in order if row < latest[0]][: at_most - len(latest)]
    return readings.take(np.sort(np.concatenate([best, latest])).astype(np.intp))


def _learned(evidence: Evidence, readings: Readings) -> tuple[Floats, Floats, Hyper]:
    """Mean and sd that standardise, and hyperparameters in that unit.

    Of the readings up to the last whole `REFIT`, the latest of them: a function of the history.
    """
    count = max(ENOUGH, len(readings) // REFIT * REFIT)
    part = readings.take(np.arange(min(count, len(readings)))[-_FIT_ON:])
    return _fitted(
        evidence,
        part.genomes.tobytes(),
        tempered(part.levelled()).logs.tobytes(),
        part.fidelity.level.tobytes(),
        part.fidelity.count.tobytes(),
        part.fidelity.start.tobytes(),
    )


@lru_cache(maxsize=4)
def _fitted(
    evidence: Evidence, genomes: bytes, logs: bytes, level: bytes, count: bytes, start: bytes
) -> tuple[Floats, Floats, Hyper]:
    """Remembered, because eight proposals in a row ask for the same."""
    length = len(evidence.levels.caps.prototype.genes)
    points = evidence.of(np.frombuffer(genomes, np.int64).reshape(-1, length))
    outputs = np.frombuffer(logs).reshape(len(points), -1)
    mean, scale = outputs.mean(axis=0), np.maximum(outputs.std(axis=0), 1e-3)
    fidelity = Fidelity(
        level=np.frombuffer(level, np.int64),
        count=np.frombuffer(count),
        start=np.frombuffer(start, np.int64),
    )
    return mean, scale, fitted(points, (outputs - mean) / scale, fidelity)


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
