"""What proposes designs: Optuna's samplers over the knobs, and evolution, under exact caps.

`CappedSampler` is the door for other generators: any `optuna.samplers.BaseSampler` over the knobs
can stand inside it. It draws until a proposal is new and within the caps, so that neither repeats
nor oversized networks cost a trial. Nothing is remembered between proposals: each is a function
of the study's seed, the trial's number and the history in the storage, so that any process can go
on where another stopped.
"""

from __future__ import annotations

import warnings
from abc import abstractmethod
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, TrialState

from nano.design.families import AnyFamily
from nano.design.knobs import Knob
from nano.errors import NanoError
from nano.explore.caps import Caps
from nano.seeds import derive_seed

SEED = "seed"  # the parameter beside the knobs: decides how modules differ
_DRAWS = 64  # proposals looked at before they are shrunk to the caps, and again after that
FIXED = "fixed_params"  # where Optuna keeps what was enqueued
GENOME = "genome"  # where a trial keeps one that no knobs and seed expand to
NOTES = "notes"  # where a trial keeps what its proposer expected of it

SamplerFactory = Callable[[int], BaseSampler]


class Exhausted(NanoError):
    """No new design within the caps was found: few or none are left that were not tried."""


def space(prototype: AnyFamily) -> dict[str, BaseDistribution]:
    """Optuna's distributions of the knobs and of the seed."""
    knobs = {knob.name: _distribution(knob) for knob in prototype.knobs}
    return {**knobs, SEED: IntDistribution(0, 2**31 - 1)}


def open_parameter(prototype: AnyFamily, name: str, seed: int, number: int) -> Any:
    """A parameter that an enqueued trial left open: the preset's value, or a seed of its own."""
    if name == SEED:
        return derive_seed(seed, "open", number)
    return prototype.knobs_of(prototype.preset)[name]


def _distribution(knob: Knob) -> BaseDistribution:
    if knob.integer:
        return IntDistribution(int(knob.low), int(knob.high), log=knob.log)
    return FloatDistribution(knob.low, knob.high, log=knob.log)


def sampler_factory(kind: str, prototype: AnyFamily, trials: int) -> SamplerFactory:
    """A maker of inner samplers by name; each gets the seed of one proposal."""
    population = max(8, min(50, trials // 4))
    factories: dict[str, SamplerFactory] = {
        "random": lambda seed: optuna.samplers.RandomSampler(seed=seed),
        "tpe": lambda seed: optuna.samplers.TPESampler(seed=seed, n_startup_trials=8),
        "cmaes": lambda seed: optuna.samplers.CmaEsSampler(seed=seed, with_margin=True),
        "nsga2": lambda seed: optuna.samplers.NSGAIISampler(seed=seed, population_size=population),
        "evolution": lambda seed: EvolutionSampler(prototype, seed=seed),
    }
    return factories[kind]


class WholeSampler(BaseSampler):
    """The frame of samplers that propose all knobs and the seed of a design at once.

    What else an objective suggests (a learning rate, say) is drawn at random, from the study's seed
    and the trial's number: no proposal depends on it.

    Args:
        caps: The counted bounds; hold the prototype.
        seed: The study's.
    """

    def __init__(self, caps: Caps, seed: int) -> None:
        self._caps = caps
        self._seed = seed
        self._space = space(caps.prototype)

    @abstractmethod
    def propose(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, Any]:
        """Knobs and seed of the design to try.

        Raises:
            Exhausted: There seems to be none left.
        """

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """Always the whole space: it never changes within a study."""
        return self._space

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """What `propose` says, but for a trial that has its parameters: enqueued, or begun."""
        found = {
            name: self._at_random(study, trial, name, distribution)
            for name, distribution in search_space.items()
            if name not in self._space
        }
        if search_space.keys() & self._space.keys() and FIXED not in trial.system_attrs:
            found |= self.propose(study, trial)
        return found

    def sample_independent(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """The preset's value of what an enqueued trial left open; others are drawn at random."""
        if param_name in self._space:
            return open_parameter(self._caps.prototype, param_name, self._seed, trial.number)
        return self._at_random(study, trial, param_name, param_distribution)

    def _at_random(
        self, study: optuna.Study, trial: FrozenTrial, name: str, distribution: BaseDistribution
    ) -> Any:
        inner = optuna.samplers.RandomSampler(seed=derive_seed(self._seed, name, trial.number))
        return inner.sample_independent(study, trial, name, distribution)


class CappedSampler(WholeSampler):
    """Lets an inner sampler propose until the design is new and within the caps.

    Args:
        factory: Makes the inner sampler of one proposal from its seed.
        caps: The counted bounds; hold the prototype.
        seed: The study's.
    """

    def __init__(self, factory: SamplerFactory, caps: Caps, seed: int) -> None:
        super().__init__(caps, seed)
        self._factory = factory

    def propose(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, Any]:
        """Knobs and seed of a design that is new and within the caps; see `WholeSampler`."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            # CMA-ES says that it ignores constraints: it is told penalised values instead.
            warnings.filterwarnings("ignore", message="Constraints have been set")
            proposal = self._proposal(study, trial)
        # Kept whole before Optuna stores parameter by parameter: a kill in between must not leave
        # half a proposal, to be completed by another one.
        study._storage.set_trial_system_attr(trial._trial_id, FIXED, proposal)
        return proposal

    def _proposal(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, Any]:
        seed = derive_seed(self._seed, "propose", trial.number)
        inner, random = self._factory(seed), Random(seed)
        seen = self._seen(study)
        knobs: dict[str, Any] = {}
        for _ in range(_DRAWS):
            knobs = self._drawn(inner, study, trial)
            design_seed = random.randrange(2**31)
            if self._will_do(knobs, design_seed, seen):
                return {**knobs, SEED: design_seed}
        # All were too large, or tried before: the last one shrunk to the caps, and further.
        for draw in range(_DRAWS):
            design_seed = random.randrange(2**31)
            shrunk = self._caps.prototype.shrunk(knobs, 1 - draw / _DRAWS)
            shrunk = self._caps.shrink(shrunk, design_seed)
            if self._will_do(shrunk, design_seed, seen):
                return {**shrunk, SEED: design_seed}
        raise Exhausted(f"no new design within the caps in {2 * _DRAWS} draws")

    def _drawn(self, inner: BaseSampler, study: optuna.Study, trial: FrozenTrial) -> dict[str, Any]:
        """The inner sampler's knobs: together where it can, one by one where not."""
        knob_space = {name: kind for name, kind in self._space.items() if name != SEED}
        relative = inner.infer_relative_search_space(study, trial)
        relative = {name: kind for name, kind in relative.items() if name in knob_space}
        knobs = inner.sample_relative(study, trial, relative) if relative else {}
        for name, kind in knob_space.items():
            if name not in knobs:
                knobs[name] = inner.sample_independent(study, trial, name, kind)
        return knobs

    def _will_do(self, knobs: dict[str, Any], seed: int, seen: set[str]) -> bool:
        prototype = self._caps.prototype
        design = prototype.design(prototype.expand(knobs, seed))
        return design.key not in seen and self._caps.fit(design)

    @staticmethod
    def _seen(study: optuna.Study) -> set[str]:
        trials = study._get_trials(deepcopy=False, use_cache=True)  # see `Store.ask`
        return {trial.user_attrs["key"] for trial in trials if "key" in trial.user_attrs}


class EvolutionSampler(BaseSampler):
    """Children of the best designs: tournament, uniform crossover, mutation of a few knobs.

    Feasible before infeasible, then by value (Deb's rule); infeasible by how little they violate.
    Before there are parents it mutates the preset.
    """

    parents = 8  # the best so far that may have children
    tournament = 3
    crossover = 0.3  # probability that a second parent gives half of the knobs
    mutated = 4.0  # knobs mutated on average
    step = 0.15  # sd of a mutation as a share of the knob's range

    def __init__(self, prototype: AnyFamily, seed: int) -> None:
        self._prototype = prototype
        self._random = Random(seed)

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """All knobs."""
        return {n: d for n, d in space(self._prototype).items() if n != SEED}

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """The knobs of one child."""
        states = (TrialState.COMPLETE, TrialState.PRUNED)
        ranked = sorted(study._get_trials(deepcopy=False, states=states, use_cache=True), key=rank)
        elite = [trial.params for trial in ranked[: self.parents]]
        mother = self._select(elite) or self._prototype.knobs_of(self._prototype.preset)
        father = self._select(elite) if self._random.random() < self.crossover else None
        rate = self.mutated / len(self._prototype.knobs)
        child = {}
        for knob in self._prototype.knobs:
            parent = father if father and self._random.random() < 0.5 else mother
            value = knob.clip(parent[knob.name])
            if self._random.random() < rate:
                share = knob.share(value) + self._random.gauss(0, self.step)
                value = knob.at(min(max(share, 0.0), 1.0))
            child[knob.name] = value
        return child

    def sample_independent(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """The preset's value: every knob is sampled relatively."""
        return self._prototype.knobs_of(self._prototype.preset)[param_name]

    def _select(self, elite: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
        if not elite:
            return None
        # `elite` is sorted: the smallest index drawn is the tournament's winner.
        return elite[min(self._random.randrange(len(elite)) for _ in range(self.tournament))]


def violation(trial: FrozenTrial) -> float:
    """How far a trial is from feasible: 0 when it is, the sum of its positive margins otherwise."""
    return sum(max(0.0, value) for value in trial.constraints.values())


def rank(trial: FrozenTrial) -> tuple[float, float]:
    """Sorts the best first: feasible before infeasible, then by value."""
    value = trial.value if trial.value is not None else -float("inf")
    return violation(trial), -value
