"""The methods that are compared, by name; those of the product are looked up there.

All of them begin with the same designs, search the same space (the ranges of the knobs, which also
bind what is drawn by genes), and whatever is over a counted cap costs them nothing. All
that search go on with random copies of the prototype: a sampler whose first trials were uniformly
random would see hardly a feasible design before its budget is spent. CMA-ES, which learns only from
its own draws, has the prototype as its first mean instead.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import pairwise
from random import Random
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial

from benchmarks.search.problem import Problem
from benchmarks.search.widths import depth_columns, filled, masked, to_caps
from nano.design.genes import Genome
from nano.design.prototype import Prototype
from nano.explore.caps import Caps
from nano.explore.cycle import GeneratorInquisitor, Settings
from nano.explore.genomes import GenomeSampler, History, Proposal
from nano.explore.kinds import study_sampler
from nano.explore.levels import Floats
from nano.explore.samplers import (
    GENOME,
    SEED,
    CappedSampler,
    EvolutionSampler,
    SamplerFactory,
    WholeSampler,
    sampler_factory,
    space,
)
from nano.explore.storage import searched_margins
from nano.records import Evaluation
from nano.score import Requirements
from nano.seeds import derive_seed

# What our own method is worth without one of its parts; by name, with the settings that differ.
ABLATIONS: dict[str, Settings] = {
    "ours, no inquisitor": Settings(inquisitor=False),
    "ours, no imagination": Settings(rounds=0),
    "ours, no prototype": Settings(prototype=False),
    "ours, no margin": Settings(margin=0.0),
    "ours, all screened": Settings(unscreened=0),
    "ours, 8 workers": Settings(),
    "ours, 32 workers": Settings(),
}
_KEPT = 0.35  # sd of log widths of a random copy, over all its widths together and one by one
COPIES = 20  # random copies of the prototype before a method is on its own
_SHRUNK = 48  # over-cap children looked at before one is shrunk to the caps


def method(name: str, problem: Problem, *, seed: int, trials: int) -> BaseSampler:
    """The sampler of a method; names that are not of this module are the product's kinds."""
    caps = problem.caps
    inner = partial(sampler_factory, prototype=caps.prototype, trials=trials)
    own: dict[str, Callable[[], BaseSampler]] = {
        "prototype": lambda: Repeated(caps, seed),
        "copies": lambda: GenomeSampler(Copies(caps, largest=False), caps, seed),
        "largest": lambda: GenomeSampler(Copies(caps, largest=True), caps, seed),
        "evolution": lambda: GenomeSampler(Evolution(caps), caps, seed),
        "tpe": lambda: _on_knobs(inner("tpe"), caps, seed),
        "nsga2": lambda: _on_knobs(inner("nsga2"), caps, seed),
        "gp": lambda: _on_knobs(_gp, caps, seed),
        "cmaes": lambda: CappedSampler(partial(_cmaes, caps.prototype), caps, seed),
    }
    if name in own:
        return own[name]()
    if name in ABLATIONS:
        ours = GeneratorInquisitor(caps, problem.utility, settings=ABLATIONS[name])
        return GenomeSampler(ours, caps, seed)
    return study_sampler(name, caps, utility=problem.utility, seed=seed, trials=trials)


def workers(name: str) -> int:
    """How many designs are in training at once, as a method's name says: one, or those."""
    number, _, unit = name.rpartition(", ")[2].partition(" ")
    return int(number) if unit == "workers" else 1


def _on_knobs(factory: SamplerFactory, caps: Caps, seed: int) -> BaseSampler:
    return CappedSampler(lambda one: Started(factory(one), caps.prototype, one), caps, seed)


def _gp(seed: int) -> BaseSampler:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return Once(optuna.samplers.GPSampler(seed=seed, n_startup_trials=COPIES))


def _cmaes(prototype: Prototype, seed: int) -> BaseSampler:
    knobs = prototype.knobs_of(prototype.preset)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="`x0` has been deprecated")  # and not replaced
        return optuna.samplers.CmaEsSampler(x0=knobs, seed=seed, with_margin=True)


class Repeated(WholeSampler):
    """No search: the prototype, shrunk to the caps, trained again and again."""

    def propose(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, Any]:
        """The knobs of the design that fits; its genome goes to the trial."""
        prototype = self._caps.prototype
        design = list(self._caps.first().values())[-1]
        genome = prototype.genome_of(design)
        study._storage.set_trial_system_attr(trial._trial_id, GENOME, genome)
        return {**prototype.knobs_of(design), SEED: 0}


class Copies:
    """No learning: the prototype with every width jittered, in proportion to the caps.

    Args:
        caps: The counted bounds; hold the prototype.
        largest: Whether copies are scaled to just within the caps; else only shrunk to them, and
            all widths of a copy are jittered together as well.
    """

    def __init__(self, caps: Caps, *, largest: bool) -> None:
        self._caps = caps
        self._largest = largest

    def proposals(self, history: History, number: int, seed: int) -> Iterator[Proposal]:
        """Random copies; the history does not matter."""
        random = np.random.default_rng(seed)
        prototype = self._caps.prototype
        preset = np.array(prototype.genome_of(prototype.preset), dtype=float)
        depths = depth_columns(prototype)
        while True:
            private = random.uniform(0, _KEPT) * random.normal(0, 1, len(preset))
            common = 0.0 if self._largest else _KEPT * random.normal()
            copy = preset * np.exp(common + private)
            copy[depths] = preset[depths]
            genome = to_caps(self._caps, copy, grow=self._largest, held=True)
            if genome is not None:
                yield Proposal(genome=genome, seed=derive_seed(seed, "copy"))


class Evolution:
    """Evolution over the whole genome: elites, tournaments, crossover, mutation of log widths.

    The first population are random copies of the prototype. Feasible before infeasible, then by
    score (Deb's rule); infeasible by how much they miss.
    Parents are the best of the most recent trials and of all, so that one lucky reading does not
    rule for ever. A child differs from its parents by a few genes, by a group of genes that move
    together, or by both: the step sizes are drawn anew each time, from fine to coarse.

    Args:
        caps: The counted bounds; hold the prototype.
    """

    elites = 10  # of all trials
    recent = 10  # the best of the last trials
    window = 60
    tournament = 3
    crossover = 0.5

    def __init__(self, caps: Caps) -> None:
        self._caps = caps

    def proposals(self, history: History, number: int, seed: int) -> Iterator[Proposal]:
        """Random copies at first, then children of the best so far."""
        if len(history.finished) < COPIES:
            yield from Copies(self._caps, largest=False).proposals(history, number, seed)
        random = Random(seed)
        prototype = self._caps.prototype
        parents = self._parents(history.finished)
        for i in range(1_000_000):
            mother = self._selected(parents, random)
            father = self._selected(parents, random)
            child = self._mutated(self._crossed(mother, father, random), random)
            rows = masked(prototype, child[None, :], held=True)
            genome: Genome | None = tuple(rows[0].tolist())
            if i % _SHRUNK == _SHRUNK - 1:
                genome = to_caps(self._caps, child, grow=False, held=True)
            if genome is not None:
                yield Proposal(genome=genome, seed=derive_seed(seed, i))

    def _parents(self, finished: Sequence[Evaluation]) -> list[Floats]:
        """Best first, absent modules filled in."""
        requirements = self._caps.requirements

        def key(evaluation: Evaluation) -> tuple[float, float]:
            return deb(evaluation, requirements)

        best = sorted(finished, key=key)[: self.elites]
        best += sorted(finished[-self.window :], key=key)[: self.recent]
        designs = {one.key: one.design for one in sorted(best, key=key)}
        prototype = self._caps.prototype
        genomes = np.array([prototype.genome_of(design) for design in designs.values()])
        return list(filled(prototype, genomes).astype(float))

    def _selected(self, parents: Sequence[Floats], random: Random) -> Floats:
        # They are sorted: the smallest index drawn is the tournament's winner.
        return parents[min(random.randrange(len(parents)) for _ in range(self.tournament))]

    def _crossed(self, mother: Floats, father: Floats, random: Random) -> Floats:
        """Each block of genes (a stage, the decoder) from either parent, or gene by gene."""
        child = mother.copy()
        if random.random() >= self.crossover:
            return child
        for block in self._blocks():
            if random.random() < 0.5:
                child[block] = father[block]
            elif random.random() < 0.5:
                for column in range(block.start, block.stop):
                    if random.random() < 0.5:
                        child[column] = father[column]
        return child

    def _mutated(self, child: Floats, random: Random) -> Floats:
        layout = self._caps.prototype.layout
        depths = depth_columns(self._caps.prototype)
        kept = child[depths].copy()
        alone = random.random() < 0.7
        together = not alone or random.random() < 0.5
        if alone:
            rate = 10 ** random.uniform(-2.3, -0.3)  # 1.5 to 150 genes
            step = 10 ** random.uniform(-1.0, -0.2)  # 10 to 60 percent
            for column in range(layout.length):
                if random.random() < rate:
                    child[column] *= np.exp(random.gauss(0, step))
        if together:
            step = 10 ** random.uniform(-1.3, -0.4)  # 5 to 40 percent
            group = self._all if random.random() < 0.3 else random.choice(self._groups())
            child[group] *= np.exp(random.gauss(0, step))
        child[depths] = kept
        for column in depths:
            if random.random() < 0.15:
                child[column] += random.choice((-2, -1, 1, 2))
        return child

    def _blocks(self) -> list[slice]:
        layout = self._caps.prototype.layout
        firsts = [0, *depth_columns(self._caps.prototype), layout.decoder, layout.length]
        return [slice(first, last) for first, last in pairwise(firsts)]

    def _groups(self) -> list[slice]:
        """Genes that may move together: a stage's, those of one kind in it, the decoder's."""
        layout = self._caps.prototype.layout
        kinds = [part for s in layout.stages for part in (s.squeeze, s.expand, s.width)]
        return [*self._blocks(), *kinds]

    @property
    def _all(self) -> slice:
        return slice(0, self._caps.prototype.layout.length)


def deb(evaluation: Evaluation, requirements: Requirements) -> tuple[float, float]:
    """Sorts the best first: feasible before infeasible, then by score; after a rung as foreseen."""
    margins = searched_margins(evaluation, requirements)
    missed = sum(max(0.0, margin) for margin in margins.values())
    foreseen = evaluation.predicted or {}
    return missed, -foreseen.get("netscore", evaluation.netscore or 0.0)


class Started(BaseSampler):
    """An inner sampler whose first trials are random copies of the prototype, in its knobs."""

    def __init__(self, inner: BaseSampler, prototype: Prototype, seed: int) -> None:
        self._inner = inner
        self._prototype = prototype
        self._random = Random(seed)

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """All knobs at first, then the inner sampler's."""
        if trial.number >= COPIES:
            return self._inner.infer_relative_search_space(study, trial)
        return {name: kind for name, kind in space(self._prototype).items() if name != SEED}

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """A copy at first, then the inner sampler's."""
        # Asked even if not heard: NSGA-II notes here that the trial is of its first generation.
        drawn = self._inner.sample_relative(study, trial, search_space)
        if trial.number >= COPIES:
            return drawn
        usual = self._prototype.knobs_of(self._prototype.preset)
        return {
            knob.name: knob.at(min(max(knob.share(usual[knob.name]) + self._step(), 0.0), 1.0))
            for knob in self._prototype.knobs
        }

    def _step(self) -> float:
        return self._random.gauss(0, EvolutionSampler.step)

    def sample_independent(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """The inner sampler's."""
        return self._inner.sample_independent(study, trial, param_name, param_distribution)


class Once(BaseSampler):
    """An inner sampler that is costly: asked once, and the answer repeated.

    `CappedSampler` draws until a design fits: with this it draws other seeds of the same knobs, and
    then shrinks them.
    """

    def __init__(self, inner: BaseSampler) -> None:
        self._inner = inner
        self._said: dict[str, Any] | None = None

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """The inner sampler's."""
        return self._inner.infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """The inner sampler's first answer; anew as long as it has none."""
        if not self._said:
            self._said = self._inner.sample_relative(study, trial, search_space)
        return dict(self._said)

    def sample_independent(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """The inner sampler's: random, before it has learned anything."""
        return self._inner.sample_independent(study, trial, param_name, param_distribution)
