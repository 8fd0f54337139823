"""[generator] kind: the sampler of a study by name."""

from __future__ import annotations

from optuna.samplers import BaseSampler

from nano.explore.caps import Caps
from nano.explore.cycle import GeneratorInquisitor
from nano.explore.genomes import GenomeSampler
from nano.explore.samplers import CappedSampler, sampler_factory
from nano.score import Utility


def study_sampler(
    kind: str, caps: Caps, *, utility: Utility, seed: int, trials: int
) -> BaseSampler:
    """The sampler of a study.

    Args:
        kind: The generator's name in the study file.
        caps: The counted bounds; hold the prototype and all requirements.
        utility: What is maximised.
        seed: The study's.
        trials: How many there will be; population methods size themselves by it.
    """
    if kind == "generator-inquisitor":
        return GenomeSampler(GeneratorInquisitor(caps, utility), caps, seed)
    return CappedSampler(sampler_factory(kind, caps.prototype, trials), caps, seed)
