"""What a proposal of the learned search costs when the history is long.

``python -m benchmarks.run proposing`` makes up histories of the quick study (random designs within
its caps, accuracies by a power law with noise, rungs as in the study) and times proposals on them:
the first after a new trial, whose hyperparameters are fitted anew, and the ones after it.
"""

from __future__ import annotations

import os
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from statistics import median
from typing import Any

import numpy as np

from nano.explore.__main__ import default_study
from nano.explore.caps import Caps
from nano.explore.cycle import PERIOD, GeneratorInquisitor
from nano.explore.genomes import History
from nano.explore.levels import Levels
from nano.explore.stages import Judge, counted
from nano.explore.study import read_study
from nano.records import Accuracy, Evaluation, Reading

LENGTHS = (30, 300, 1000, 10_000)
PROPOSALS = 5  # timed at each length
ASKED = {"seconds_at_1000": "<= 2", "seconds_at_30": "<= 0.6"}


def measure() -> dict[str, Any]:
    """Processor seconds of a proposal, by the number of finished trials."""
    # One thread, as the explorer sets it: with more, small matrices only wait for each other.
    os.environ.update({name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")})
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(_measured).result()


def _measured() -> dict[str, Any]:
    study = read_study(default_study())
    caps = Caps(prototype=study.family(), requirements=study.requirements(), size=study.size)
    judge = Judge(utility=study.weights(), requirements=study.requirements())
    evaluations = made_up(caps, judge, study.trainings(), max(LENGTHS))
    found: dict[str, Any] = {"study": study.name, "processor_seconds": {}}
    for length in LENGTHS:
        history = History(finished=tuple(evaluations[:length]))
        proposer = GeneratorInquisitor(caps, study.weights())
        number = length + (-length % PERIOD) + PERIOD - 1  # one that is imagined
        spent = []
        for seed in range(PROPOSALS):
            began = time.process_time()
            next(proposer.proposals(history, number, seed))
            spent.append(time.process_time() - began)
        found["processor_seconds"][str(length)] = {
            "first": round(spent[0], 3),
            "then": round(median(spent[1:]), 3),
        }
        found[f"seconds_at_{length}"] = round(max(spent[0], median(spent[1:])), 3)
    return found


def made_up(
    caps: Caps, judge: Judge, stages: tuple[tuple[str, int], ...], length: int
) -> list[Evaluation]:
    """Random designs around the prototype; every third went on to the end."""
    noise = np.random.default_rng(0)
    levels = Levels(caps)
    preset = np.array([caps.prototype.genome_of(caps.prototype.preset)], np.int64)
    middle = levels.of(preset) + 0.15 * noise.standard_normal((length, preset.shape[1]))
    found = []
    for number, genome in enumerate(levels.repaired(middle).tolist()):
        design = caps.prototype.design(genome)
        blank = counted(number, design, origin="x", seed=0, size=caps.size, judge=judge)
        through = stages if number % 3 == 0 else stages[:1]
        readings = []
        for stage, images in through:
            error = 0.9 * blank.cost.params**-0.07 * (1 + 0.02 * noise.standard_normal())
            accuracy = Accuracy(delta1=1 - error, abs_rel=0.7 * error)
            readings.append(
                Reading(stage=stage, images=images, seconds=1.0, seed=0, accuracy=accuracy)
            )
        found.append(
            judge.judged(
                replace(
                    blank,
                    stage=through[-1][0],
                    readings=tuple(readings),
                    accuracy=readings[-1].accuracy,
                )
            )
        )
    return found
