"""A problem in closed form: exact costs of the real prototype, and an accuracy law of its own.

delta1 of a design falls from ``top`` towards ``floor`` as its error grows, and the error is a power
of its quality. Quality adds up, in logarithms, what the parts of the network are worth: modules of
random importance with diminishing returns in squeeze, expansion and width; stages that saturate;
stem, transitions and decoder; less what is out of balance (early against late stages, encoder
against decoder, each part against all), the weakest stage once more, and mild interactions. Nothing
of it is fitted to real trainings: it is a landscape with the structure that one expects, of which
any number can be drawn.

Each instance is calibrated: the preset is feasible with little to spare, as it stands and, with all
widths in proportion, down to some share of its size; of random designs hardly any is feasible.

Instances below 100 are for tuning methods. Evidence comes from instances 1000 and above alone, and
no method may ever be chosen by looking at those.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from random import Random

import numpy as np

from benchmarks.search.problem import FINAL, Pair, Rules
from benchmarks.search.widths import scaled
from nano.cost.count import count
from nano.cost.population import count_population
from nano.design.families import AnyFamily
from nano.design.kinds import AnyDesign
from nano.design.presets import prototype
from nano.design.prototype import Prototype
from nano.explore.caps import Caps
from nano.explore.levels import Floats, Genomes
from nano.score import Requirements, Utility
from nano.seeds import derive_seed

SIZE = (384, 1280)
FAMILY = "depthnet-nano"
DELTA1_SD = 0.003  # of one training around the mean
ABS_REL_SD = 0.002
IMAGES = 100_000  # of one training
RANDOM_FEASIBLE = 0.005  # share of designs of random knobs


@dataclass(frozen=True, kw_only=True, eq=False)
class Part:
    """Layers whose worth is a product of powers of their widths, with diminishing returns.

    Attributes:
        columns: Gene columns, kinds of width x modules.
        usual: The preset's typical width, kinds x 1: there a module is worth 1.
        returns: Exponent of each kind, kinds x 1.
        importance: Of every module; those of the preset sum to 1.
        halfway: The lower, the less there is to win by widening.
        saturation: Of the sum over modules; the higher, the less more of them are worth.
    """

    columns: Genomes
    usual: Floats
    returns: Floats
    importance: Floats
    halfway: float
    saturation: float

    def log_worth(self, genomes: Genomes) -> Floats:
        """One number per genome: 0 at the preset, up to the differences between its modules."""
        widths = genomes[:, self.columns] / self.usual
        level = np.exp((self.returns * np.log(np.maximum(widths, 1e-9))).sum(axis=1))
        worth = level * (1 + self.halfway) / (level + self.halfway)
        capacity = worth @ self.importance
        k = self.saturation
        return np.log(np.maximum(-np.expm1(-k * capacity) / -math.expm1(-k), 1e-6))


@dataclass(frozen=True, kw_only=True, eq=False)
class Law:
    """What accuracy a genome has; every number in it is drawn.

    Attributes:
        parts: Stem, stages, transitions and upconvs.
        weights: How much each part counts.
        weakest: How much the weakest stage counts once more.
        tension: How much being out of balance matters.
        balances: Directions over the parts that should balance, balances x parts.
        optimum: Where each of them does.
        stiffness: How much each matters.
        interactions: Parts x parts.
        leaning: How the parts shift abs_rel against delta1.
        stages: Which of the parts are stages.
    """

    parts: tuple[Part, ...]
    weights: Floats
    weakest: float
    tension: float
    balances: Floats
    optimum: Floats
    stiffness: Floats
    interactions: Floats
    leaning: Floats
    stages: slice

    def log_worths(self, genomes: Genomes) -> Floats:
        """Genomes x parts."""
        return np.stack([part.log_worth(genomes) for part in self.parts], axis=1)

    def quality(self, worths: Floats) -> Floats:
        """Of every row of log worths: the higher, the more accurate."""
        stages = worths[:, self.stages]
        weakest = -np.log(np.exp(-4 * stages).mean(axis=1)) / 4  # a soft minimum
        drift = math.sqrt(self.tension) * worths @ self.balances.T
        unbalanced = (drift - self.optimum) ** 2 @ self.stiffness
        bounded = np.tanh(worths)
        together = np.einsum("ni,ij,nj->n", bounded, self.interactions, bounded)
        return worths @ self.weights + self.weakest * weakest + together - unbalanced

    def shift(self, worths: Floats) -> Floats:
        """Factor of abs_rel that delta1 does not explain."""
        return np.exp(np.tanh(worths) @ self.leaning)


@dataclass(frozen=True, kw_only=True, eq=False)
class Analytic:
    """One instance; see `instance`.

    Attributes:
        number: From which everything was drawn.
        caps: Prototype, requirements and image size.
        law: What accuracy a genome has.
        top: delta1 that no design of whatever size exceeds.
        floor: delta1 of the worst.
        preset_delta1: The preset's.
        lean: Share of the preset's parameters that it would need with all widths in proportion.
        slope: abs_rel over 1 - delta1.
    """

    number: int
    caps: Caps
    law: Law
    top: float
    floor: float
    preset_delta1: float
    lean: float
    slope: float
    utility: Utility = field(default_factory=Utility)
    rules: Rules = field(default_factory=Rules)
    trainings: tuple[tuple[str, int], ...] = ((FINAL, IMAGES),)

    @property
    def name(self) -> str:
        """For tables and files."""
        return f"analytic {self.number}"

    def truths(self, genomes: Genomes) -> tuple[Floats, Floats]:
        """delta1 and abs_rel of every row, without noise."""
        worths = self.law.log_worths(genomes)
        quality = self.law.quality(worths) - self._preset_quality
        odds = self._odds(self.preset_delta1) * np.exp(-self._power * quality)
        delta1 = self.top - (self.top - self.floor) * odds / (1 + odds)
        abs_rel = (0.02 + self.slope * (1 - delta1)) * self.law.shift(worths)
        return delta1, abs_rel

    def scores(self, genomes: Genomes) -> tuple[Floats, Floats]:
        """NetScore (dB) and delta1 of every row, without noise."""
        delta1, abs_rel = self.truths(genomes)
        costs = count_population(genomes, self.caps.prototype, self.caps.size)
        scores = [
            self.utility.score(float(delta1[i]), float(abs_rel[i]), costs.of(i))
            for i in range(len(genomes))
        ]
        return np.array(scores), delta1

    def truth(self, design: AnyDesign) -> tuple[float, float]:
        """delta1 and abs_rel of one design, without noise."""
        genome = self.caps.prototype.genome_of(design)
        delta1, abs_rel = self.truths(np.array([genome], dtype=np.int64))
        return float(delta1[0]), float(abs_rel[0])

    def fresh(self, design: AnyDesign, start: int) -> tuple[Pair, Pair | None]:
        """A confirming training is a final one: there are no images."""
        return self.read(design, FINAL, start), None

    def read(self, design: AnyDesign, stage: str, start: int) -> tuple[float, float]:
        """One noisy training."""
        delta1, abs_rel = self.truth(design)
        random = Random(derive_seed("reading", self.number, design.key, stage, start))
        noisy = delta1 + random.gauss(0, DELTA1_SD), abs_rel + random.gauss(0, ABS_REL_SD)
        return min(max(noisy[0], 0.0), 1.0), max(noisy[1], 0.0)

    def _odds(self, delta1: float) -> float:
        """Of an error; what a power of quality multiplies."""
        return (self.top - delta1) / (delta1 - self.floor)

    @cached_property
    def _preset_quality(self) -> float:
        return self._quality(_preset_row(self.caps.prototype))

    @cached_property
    def _power(self) -> float:
        """Calibrated: the preset with all widths in proportion holds delta1 down to `lean`."""
        needed = self._odds(required_delta1(self.caps)) / self._odds(self.preset_delta1)
        lean = self._quality(_lean_row(self.caps.prototype, self.lean))
        return math.log(needed) / max(self._preset_quality - lean, 1e-3)

    def _quality(self, row: Genomes) -> float:
        return float(self.law.quality(self.law.log_worths(row))[0])


def required(safety: float = 0.0) -> Requirements:
    """The paper's: at most 2 M parameters, delta1 of at least 0.89."""
    delta1 = f">= 0.89 + {safety:.4f}" if safety else ">= 0.89"
    return Requirements.parse({"params": "<= 2M", "delta1": delta1})


def required_delta1(caps: Caps) -> float:
    """The bound on delta1."""
    item = caps.requirements.get("delta1")
    assert item is not None
    return item.bound


@cache
def instance(number: int, safety: float = 0.0) -> Analytic:
    """The instance drawn from a number: below 100 to tune methods, 1000 and above as evidence.

    Args:
        number: Of the instance.
        safety: By how much more than the bound on delta1 the search asks, as in a study file; the
            landscape does not depend on it.
    """
    family = prototype(FAMILY)
    random = np.random.default_rng(derive_seed("analytic", number))
    drawn = Analytic(
        number=number,
        caps=Caps(prototype=family, requirements=required(safety), size=SIZE),
        law=_law(family, random),
        top=random.uniform(0.935, 0.95),
        floor=random.uniform(0.5, 0.65),
        preset_delta1=random.uniform(0.9, 0.915),
        lean=random.uniform(0.55, 0.8),
        slope=random.uniform(0.7, 0.9),
    )
    low, high = -3.0, 4.0  # log of the tension: the least at which random designs fail
    for _ in range(20):
        middle = (low + high) / 2
        tried = _tense(drawn, math.exp(middle))
        if _random_feasible(tried) > RANDOM_FEASIBLE:
            low = middle
        else:
            high = middle
    return _tense(drawn, math.exp(high))


def _tense(problem: Analytic, tension: float) -> Analytic:
    return replace(problem, law=replace(problem.law, tension=tension))


def _random_feasible(problem: Analytic) -> float:
    delta1, _ = problem.truths(_random_rows(problem.caps.prototype))
    return float((delta1 >= required_delta1(problem.caps)).mean())


@cache
def _random_rows(family: Prototype) -> Genomes:
    """Designs of random knobs; nearly all of them are within the caps."""
    random = Random(0)
    drawn = [{knob.name: knob.at(random.random()) for knob in family.knobs} for _ in range(600)]
    return np.array([family.expand(knobs, i) for i, knobs in enumerate(drawn)], dtype=np.int64)


def _law(family: Prototype, random: np.random.Generator) -> Law:
    preset = _preset_row(family)[0]
    layout = family.layout
    number = len(layout.stages)
    stages = []
    uneven = random.uniform(0.3, 0.7)  # sd of log importance between a stage's modules
    for stage in layout.stages:
        kinds = (stage.squeeze, stage.expand, stage.width)
        columns = np.array([range(part.start, part.stop) for part in kinds])
        importance = _importance(stage.deepest, uneven, random)
        importance /= importance[: preset[stage.depth]].sum()
        stages.append(_part(columns, importance, preset, random))
    alone = np.ones(1)
    stem = _part(np.array([[layout.stem]]), alone, preset, random)
    transitions = [
        _part(np.array([[stage.transition]]), alone, preset, random) for stage in layout.stages
    ]
    ups = []
    for i in range(2 * number):  # expand and width of units A and B of every upconv
        first = layout.decoder + 2 * i
        ups.append(_part(np.array([[first], [first + 1]]), alone, preset, random))
    parts = (stem, *stages, *transitions, *ups)
    # The encoder's stages make half of it; the small parts share the rest.
    shares = np.array([0.05, *[0.5 / number] * number, *[0.15 / number] * number])
    shares = np.concatenate([shares, np.full(2 * number, 0.3 / (2 * number))])
    weights = shares * np.exp(random.normal(0, 0.5, len(parts)))
    early_late, inner_outer = np.zeros(len(parts)), np.zeros(len(parts))
    early_late[1 : 1 + number] = np.linspace(1, -1, number)
    inner_outer[1 : 1 + number] = 1 / number
    inner_outer[-2 * number :] = -1 / (2 * number)
    each = np.eye(len(parts)) - 1 / len(parts)
    balances = np.stack([early_late, inner_outer, *each])
    stiffness = np.concatenate([random.uniform(0.1, 0.5, 2), np.full(len(parts), 1 / len(parts))])
    interactions = random.normal(0, 0.03, (len(parts), len(parts)))
    leaning = random.normal(0, 0.03, len(parts))
    return Law(
        parts=parts,
        weights=weights / weights.sum(),
        weakest=random.uniform(0.1, 0.3),
        tension=1.0,
        balances=balances,
        optimum=random.normal(0, 0.15, len(balances)),
        stiffness=stiffness,
        interactions=interactions,
        leaning=leaning,
        stages=slice(1, 1 + number),
    )


def _part(
    columns: Genomes, importance: Floats, preset: Genomes, random: np.random.Generator
) -> Part:
    kinds = len(columns)
    usual = [[preset[row][preset[row] > 0].mean()] for row in columns]
    return Part(
        columns=columns,
        usual=np.array(usual),
        returns=random.dirichlet(np.full(kinds, 4.0))[:, None] * random.uniform(0.9, 1.5),
        importance=importance,
        halfway=random.uniform(0.2, 0.8),
        saturation=random.uniform(1.0, 2.5),
    )


def _importance(modules: int, uneven: float, random: np.random.Generator) -> Floats:
    """Log-normal, half of it shared by neighbours; later modules matter somewhat less."""
    private = random.normal(0, 1, modules)
    waves = np.arange(modules) / modules * 2 * np.pi
    first, second = random.uniform(0, 2 * np.pi, 2)
    shared = np.sin(waves + first) + np.sin(2 * waves + second)
    decline = random.uniform(0, 1.5) * np.arange(modules) / modules
    return np.exp(uneven * (private + shared) / math.sqrt(2) - decline)


def _preset_row(family: AnyFamily) -> Genomes:
    return np.array([family.genome_of(family.preset)], dtype=np.int64)


@cache
def _lean_row(family: Prototype, share: float) -> Genomes:
    """The preset with its widths in proportion, at a share of its parameters."""
    genome = family.genome_of(family.preset)
    wanted = share * count(family.preset, SIZE).params
    low, high = 0.1, 1.0
    for _ in range(24):
        middle = (low + high) / 2
        params = count_population(scaled(family, genome, middle), family, SIZE).params[0]
        low, high = (middle, high) if params <= wanted else (low, middle)
    return scaled(family, genome, low)
