"""Real trainings as a problem: the quick study itself, its images, stages, bounds and confirmation.

Nothing is looked up: a run takes minutes of one core. The search reads the validation scenes;
finalists are ordered by them and judged by the test scenes, as in the product; the truth of a
choice is what three further starts reach on the test scenes on average (the sd of such a mean is
about .005 of delta1, so that a choice may miss a bound that it meets).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.search.problem import FINAL, Pair, Rules
from benchmarks.search.training import train, trainer_of
from nano.data.cache import default_cache
from nano.data.sets import prepare_sets
from nano.design.kinds import AnyDesign
from nano.errors import Diverged
from nano.explore.caps import Caps
from nano.explore.study import StudyFile, read_study
from nano.explore.trainer import Outcome
from nano.machine import cores
from nano.records import Accuracy
from nano.score import Utility
from nano.seeds import derive_seed

STUDY = Path(__file__).parents[2] / "studies" / "quick.toml"
SPEND = 12.6  # trainings of the prototype that the quick study's thirty trials cost
TRUTH_STARTS = 3
_NOTHING = (0.0, 1.0)  # of a training that broke off


@dataclass(frozen=True, kw_only=True, eq=False)
class Live:
    """One instance; see `instance`.

    Attributes:
        number: Moves the starts of all trainings.
        study: Whose trainings they are.
        caps: Prototype, requirements and image size.
        rules: As the study's.
    """

    number: int
    study: StudyFile
    caps: Caps
    rules: Rules

    @property
    def name(self) -> str:
        """For tables and files."""
        return f"live {self.number}"

    @property
    def utility(self) -> Utility:
        """The study's."""
        return self.study.weights()

    @property
    def trainings(self) -> tuple[tuple[str, int], ...]:
        """The study's rungs and final training."""
        return self.study.trainings()

    def read(self, design: AnyDesign, stage: str, start: int) -> tuple[float, float]:
        """One training, evaluated on the validation scenes."""
        seed = derive_seed("live", self.number, start)
        found = self._outcome(design, stage, seed, confirming=False)
        return _NOTHING if found is None else _pair(found.accuracy)

    def fresh(self, design: AnyDesign, start: int) -> tuple[Pair, Pair | None]:
        """A confirming training, evaluated on the test and on the validation scenes."""
        seed = derive_seed("live fresh", self.number, start)
        found = self._outcome(design, FINAL, seed, confirming=True)
        if found is None or found.validation is None:
            return _NOTHING, _NOTHING
        return _pair(found.accuracy), _pair(found.validation)

    def truth(self, design: AnyDesign) -> tuple[float, float]:
        """The mean of fresh starts on the test scenes."""
        seeds = [derive_seed("live truth", self.number, design.key, i) for i in range(TRUTH_STARTS)]
        found = [self._outcome(design, FINAL, seed, confirming=True) for seed in seeds]
        pairs = [_NOTHING if one is None else _pair(one.accuracy) for one in found]
        delta1, abs_rel = np.mean(pairs, axis=0)
        return float(delta1), float(abs_rel)

    def _outcome(
        self, design: AnyDesign, stage: str, seed: int, *, confirming: bool
    ) -> Outcome | None:
        """None when the training broke off."""
        _, trainer = trainer_of(json.dumps(self.study.plain(), sort_keys=True))
        images = dict(self.trainings)[stage]
        try:
            return train(
                trainer,
                design,
                stage,
                images,
                seed=seed,
                order=self.number,
                confirming=confirming,
            )
        except Diverged:
            return None


def _pair(accuracy: Accuracy) -> Pair:
    return accuracy.delta1, accuracy.abs_rel


def instance(number: int, safety: float = 0.0) -> Live:
    """The quick study with other starts.

    Args:
        number: Of the starts.
        safety: By how much more than the bound on delta1 the search asks.
    """
    study = read_study(STUDY)
    if safety:
        bound = f"{study.require['delta1']} + {safety:.4f}"
        study = study.model_copy(update={"require": {**study.require, "delta1": bound}})
    prepare_sets(study.data, Path(), default_cache(), workers=cores())
    confirm = study.stages.confirm
    return Live(
        number=number,
        study=study,
        caps=Caps(prototype=study.family(), requirements=study.requirements(), size=study.size),
        rules=Rules(
            keep=study.stages.keep,
            finalists=confirm.designs,
            starts=confirm.seeds,
            checkpoints=1,
        ),
    )
