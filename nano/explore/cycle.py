"""The cycle of generator and inquisitor: what a study tries next.

For every proposal: the inquisitor reads the history; the generator is learned from the designs it
believes best; then a copy of the generator is refined in imagination, round by round, on networks
that only the inquisitor has judged, and the best of them is tried. Two proposals in eight come
straight from the generator, unjudged: they keep the inquisitor honest. All of it is a function of
the history and a seed; what is kept in memory only saves time.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.linalg import LinAlgError

from nano.design.kinds import AnyDesign
from nano.explore.belief import log_bounds, probabilities
from nano.explore.caps import Caps
from nano.explore.generator import Generator, Theta
from nano.explore.genomes import History, Proposal
from nano.explore.gp import Floats
from nano.explore.inquisitor import (
    ENOUGH,
    Evidence,
    Foreseen,
    Inquisitor,
    relevant,
    scores,
)
from nano.explore.levels import Genomes, Levels
from nano.explore.readings import Readings, collect
from nano.explore.speed import Speed, speed
from nano.explore.trade_off import under_ceilings
from nano.score import AT_MOST_COUNTED, MEASURED, Utility

_log = logging.getLogger("nano.explore")

_MISSED = 5.0  # dB for every sd of one training's noise that a requirement is missed by
_LEAST_NOISE = 0.005  # of a log error, where no noise is known
PERIOD = 8  # proposals of which `Settings.unscreened` are not judged


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What the cycle is made of; the defaults were chosen on tuning problems.

    Attributes:
        inquisitor: Judge networks before they are tried; without it the generator learns from
            readings alone.
        rounds: Of imagination; 0 judges one draw of the generator.
        prototype: Begin around the prototype; without it in the middle of the space.
        margin: Standard deviations of one training's noise that delta1 is to lie above its bound.
        unscreened: Proposals in `PERIOD` that come straight from the generator.
        pool: Networks judged in a round.
        elites: Networks a round's copy of the generator is refitted on.
        optimism: Mean and sd of the standard deviations to the good at which a slot judges.
    """

    inquisitor: bool = True
    rounds: int = 8
    prototype: bool = True
    margin: float = 0.3
    unscreened: int = 2
    pool: int = 120
    elites: int = 25
    optimism: tuple[float, float] = (-0.6, 0.6)


@dataclass(frozen=True, kw_only=True)
class Mind:
    """What is known before a proposal: a function of the history.

    Attributes:
        theta: Of the generator, learned from the best designs.
        elites: Those, best first.
        inquisitor: None while too little was read, or when it could not be fitted.
    """

    theta: Theta
    elites: Genomes
    inquisitor: Inquisitor | None


class GeneratorInquisitor:
    """A `nano.explore.genomes.Proposer`.

    Args:
        caps: The counted bounds; hold the prototype and all requirements.
        utility: What is maximised.
        final: Name of the stage whose accuracy the requirements are about.
        settings: Of the cycle.
    """

    def __init__(
        self, caps: Caps, utility: Utility, final: str = "final", settings: Settings | None = None
    ) -> None:
        self._caps = caps
        self._utility = utility
        self._final = final
        self.settings = settings or Settings()
        self.levels = Levels(caps)
        self.generator = Generator(self.levels)
        self.evidence = Evidence(self.levels)
        self._genome = lru_cache(maxsize=None)(caps.prototype.expressed)
        self._warned = False
        self._speeds: dict[str, Speed] = {}  # of the history that `mind` was last asked for

    # --- what is known ---------------------------------------------------------------------------

    def mind(self, history: History, levels: Levels | None = None) -> Mind:
        """Inquisitor and generator, from the history alone.

        Args:
            history: Of the study.
            levels: With caps of a proposal's own, where they are not the study's.
        """
        levels = levels or self.levels
        requirements = self._caps.requirements
        found = {name: speed(history.finished, name) for name in MEASURED}
        self._speeds = {name: one for name, one in found.items() if one is not None}
        readings = collect(history.finished, self._genome, self._final, requirements)
        inquisitor = self._inquisitor(readings, self._genomes(history.pending))
        theta = self.generator.start(self._first())
        if readings.designs < ENOUGH:
            return Mind(theta=theta, elites=self._first(), inquisitor=None)
        designs = relevant(readings.levelled().last())
        value = self._believed(designs, inquisitor, levels)
        count = min(self.settings.elites, max(4, len(designs) // 4))
        best = np.argsort(-value, kind="stable")[:count]
        elites = designs.genomes[best]
        theta = self.generator.learned(theta, elites, np.linspace(1.0, 0.3, len(elites)))
        return Mind(theta=theta, elites=elites, inquisitor=inquisitor)

    def _genomes(self, designs: Sequence[AnyDesign]) -> Genomes:
        rows = [row for design in designs if (row := self._genome(design)) is not None]
        return np.array(rows, np.int64).reshape(-1, len(self._caps.prototype.genes))

    def _first(self) -> Genomes:
        """1 x D: the prototype within the caps; or a middling network of the space."""
        prototype = self._caps.prototype
        if self.settings.prototype:
            preset = np.array([prototype.nearest_genome(prototype.preset)])
            return self.levels.repaired(self.levels.of(preset))
        middle = {knob.name: knob.at(0.5) for knob in prototype.knobs}
        return self.levels.repaired(self.levels.of(np.array([prototype.expand(middle, 0)])))

    def _inquisitor(self, readings: Readings, pending: Genomes) -> Inquisitor | None:
        if not self.settings.inquisitor or readings.designs < ENOUGH:
            return None
        try:
            return Inquisitor(self.evidence, readings, pending)
        except (LinAlgError, ValueError) as unfit:
            if not self._warned:
                self._warned = True
                _log.warning("the inquisitor cannot be fitted (%s): plain generator", unfit)
            return None

    def _believed(
        self, readings: Readings, inquisitor: Inquisitor | None, levels: Levels
    ) -> Floats:
        """Score of every design read: of the posterior mean where there is one."""
        if inquisitor is not None:
            foreseen = inquisitor.foresee(readings.genomes)
        else:
            foreseen = Foreseen(mean=readings.logs, sd=np.zeros_like(readings.logs))
        noise = np.zeros(readings.logs.shape[1]) if inquisitor is None else inquisitor.final_noise
        return self._value(readings.genomes, foreseen, 0.0, noise, levels)

    # --- what is wanted --------------------------------------------------------------------------

    def _value(
        self, genomes: Genomes, foreseen: Foreseen, beta: float, noise: Floats, levels: Levels
    ) -> Floats:
        """NetScore less what is missed, at ``beta`` standard deviations to the good.

        A requirement is missed by so many sd of one training's noise in the log error; each costs
        so much that no saving makes up for it: how much accuracy a network is worth is for the
        requirement to say.
        """
        delta1, abs_rel = foreseen.accuracy(beta)
        cost = self.levels.cost(genomes)
        value = scores(
            self._utility,
            delta1,
            abs_rel,
            cost.params.astype(np.float64),
            cost.macs.astype(np.float64),
        )
        for column, bound in log_bounds(self._caps.requirements):
            log_error = foreseen.mean[:, column] - beta * foreseen.sd[:, column]
            noise_here = max(float(noise[column]), _LEAST_NOISE)
            missed = (log_error - bound) / noise_here + self.settings.margin
            value = value - _MISSED * np.maximum(missed, 0.0)
        return value - self._over(genomes, levels)

    def _over(self, genomes: Genomes, levels: Levels) -> Floats:
        """A decibel for every hundredth over a cap: the prototype itself may be.

        What is measured is foreseen from what was (`nano.explore.speed`).
        """
        cost = levels.cost(genomes)
        costs = {name: np.asarray(getattr(cost, name), np.float64) for name in AT_MOST_COUNTED}
        total = np.zeros(len(genomes))
        for item in levels.caps.requirements.items:
            if item.name in self._speeds:
                values = self._speeds[item.name].foresee(costs)
            elif item.name in costs:
                values = costs[item.name]
            else:
                continue
            sense = -1.0 if item.at_least else 1.0
            safety = 0.0 if item.name in costs else item.safety
            excess = sense * (values - item.bound) + safety
            total += np.maximum(excess / item.bound, 0.0) / 0.01
        return total

    # --- what is tried ---------------------------------------------------------------------------

    def proposals(self, history: History, number: int, seed: int) -> Iterator[Proposal]:
        """Candidates, best first; see `nano.explore.genomes.Proposer`."""
        random = np.random.default_rng(seed)
        levels = self._levels_of_one(history, random)
        mind = self.mind(history, levels)
        if mind.inquisitor is not None and number % PERIOD >= self.settings.unscreened:
            found, judged = self._imagined(mind, mind.inquisitor, random, levels)
            yield from self._described(mind, found, seed, {"way": "imagined", "judged": judged})
        while True:
            drawn = levels.repaired(self.generator.draw(mind.theta, random, 16))
            yield from self._described(mind, drawn, seed, {"way": "drawn", "judged": 0})

    def _levels_of_one(self, history: History, random: np.random.Generator) -> Levels:
        """The cube under one proposal's caps: the study's own, where nothing is traded off."""
        names = self._utility.trade_off
        caps = under_ceilings(self._caps, names, history.finished, random)
        return self.levels if caps is self._caps else Levels(caps)

    def _imagined(
        self, mind: Mind, inquisitor: Inquisitor, random: np.random.Generator, levels: Levels
    ) -> tuple[Genomes, int]:
        """The best networks of a copy of the generator that is refined on what it is told of them.

        Returns:
            Genomes, best first, and how many were judged.
        """
        settings = self.settings
        beta = float(random.normal(*settings.optimism))
        theta, best = mind.theta, mind.elites
        known = self._judged(best, inquisitor, beta, levels)
        judged = 0
        for _ in range(max(1, settings.rounds)):
            pool = levels.repaired(self._pool(theta, best, random, settings.rounds > 0))
            judged += len(pool)
            best = np.concatenate([best, pool])
            known = np.concatenate([known, self._judged(pool, inquisitor, beta, levels)])
            best, rows = np.unique(best, axis=0, return_index=True)
            order = np.argsort(-known[rows], kind="stable")[: settings.elites]
            best, known = best[order], known[rows][order]
            weights = np.linspace(1.0, 0.3, len(best))
            theta = self.generator.learned(mind.theta, best, weights)
        return best, judged

    def _pool(
        self, theta: Theta, best: Genomes, random: np.random.Generator, breed: bool
    ) -> Floats:
        """Levels of networks of the generator; and of mutants and children of the best ones."""
        size = self.settings.pool
        if not breed:
            return self.generator.draw(theta, random, size)
        third = size // 3
        # The better, the likelier: the smaller of two random ranks.
        ranks = np.minimum(*random.integers(len(best), size=(2, 3 * third)))
        mutants = self.generator.mutants(best[ranks[:third]], random)
        children = self.generator.children(
            best[ranks[third : 2 * third]], best[ranks[2 * third :]], random
        )
        drawn = self.generator.draw(theta, random, size - 2 * third)
        return np.concatenate([drawn, mutants, children])

    def _judged(
        self, genomes: Genomes, inquisitor: Inquisitor, beta: float, levels: Levels
    ) -> Floats:
        """Value at the slot's optimism, with a brake where the inquisitor is blind."""
        foreseen = inquisitor.foresee(genomes)
        blind = np.maximum(foreseen.sd[:, 0] / inquisitor.spread - 0.75, 0.0)
        return self._value(genomes, foreseen, beta, inquisitor.final_noise, levels) - 3.0 * blind

    def _described(
        self, mind: Mind, genomes: Genomes, seed: int, notes: dict[str, Any]
    ) -> Iterator[Proposal]:
        """With what is expected of them."""
        notes = {**notes, "entropy": round(mind.theta.entropy, 4)}
        told: list[dict[str, Any]] = [{} for _ in genomes]
        if mind.inquisitor is not None:
            foreseen = mind.inquisitor.foresee(genomes)
            delta1, abs_rel = foreseen.accuracy()
            sd = np.hypot(foreseen.delta1_sd(), mind.inquisitor.noise * (1 - delta1))
            noise = mind.inquisitor.final_noise
            probable = probabilities(foreseen, self._caps.requirements, noise)
            told = [
                {
                    "delta1": round(float(d), 5),
                    "delta1_sd": round(float(s), 5),
                    "abs_rel": round(float(a), 5),
                    "p_feasible": round(float(p), 4),
                }
                for d, s, a, p in zip(delta1, sd, abs_rel, probable, strict=True)
            ]
        for genome, more in zip(genomes, told, strict=True):
            yield Proposal(genome=tuple(map(int, genome)), seed=seed, notes={**notes, **more})
