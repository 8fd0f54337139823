"""Signal and noise of the quick study: what a short training says about a longer one.

``python -m benchmarks.run rungs`` trains the reference preset from five seeds and random designs
of every size up to the study's caps at every rung and at the final spend, each design from two
seeds at the final one, and keeps: the sd of delta1 over seeds, the rank correlation of each rung
with the next, the spread of the designs, and how the reference does at the study's thresholds.
"""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from itertools import pairwise
from multiprocessing import get_context
from pathlib import Path
from random import Random
from statistics import fmean, stdev
from tempfile import TemporaryDirectory
from typing import Any

import torch
from scipy.stats import spearmanr

from nano.data.cache import default_cache
from nano.data.sets import prepare_sets
from nano.design.design import Design
from nano.evaluate.protocol import protocol_named
from nano.explore.__main__ import default_study
from nano.explore.caps import Caps
from nano.explore.study import StudyFile, parse_study, read_study
from nano.explore.trainer import BuiltIn, Job
from nano.machine import cores
from nano.memory import keep_freed_memory
from nano.score import Requirements, parse_requirement
from nano.seeds import derive_seed

DESIGNS = 24
SEEDS = 5
ASKED = {"lowest_rank_correlation": ">= 0.7", "lowest_with_one_reading": ">= 0.7"}


@dataclass(frozen=True, kw_only=True)
class Training:
    """One training to do."""

    design: Design
    stage: str
    images: int
    seed: int


def measure() -> dict[str, Any]:
    """Train, and compare; about fifteen minutes on two cores."""
    study = read_study(default_study())
    caps = Caps(prototype=study.family(), requirements=study.requirements(), size=study.size)
    preset = caps.prototype.preset
    designs = random_designs(caps, DESIGNS, seed=20_261_120)
    stages = study.trainings()
    final = stages[-1][1]
    prepare_sets(study.data, Path(), default_cache(), workers=cores())
    jobs = [
        Training(design=preset, stage="final", images=final, seed=seed) for seed in range(SEEDS)
    ]
    jobs += [
        Training(design=design, stage=stage, images=images, seed=seed)
        for design in designs
        for stage, images in stages
        for seed in ((0, 1) if stage == "final" else (0,))
    ]
    with ProcessPoolExecutor(cores(), mp_context=get_context("spawn")) as pool:
        readings = list(pool.map(_read, [study.plain()] * len(jobs), jobs))
    return summarised(study, caps, designs, jobs, readings)


def random_designs(caps: Caps, wanted: int, *, seed: int) -> list[Design]:
    """Random knobs, shrunk to sizes spread evenly (in log parameters) from the smallest to the cap.

    Uniform knobs alone lie close below the caps, where designs hardly differ; a search also visits
    small ones, because they score, and has to know that the smallest are bad.
    """
    random = Random(seed)
    smallest = caps.cost(caps.prototype.smallest()).params
    largest = next(r.bound for r in caps.requirements.items if r.name == "params")
    found = []
    for i in range(wanted):
        share = (i + random.random()) / wanted
        params = round(smallest * (largest / smallest) ** share)
        bounds = (*caps.requirements.items, parse_requirement("params", f"<= {params}"))
        tighter = replace(caps, requirements=Requirements(items=bounds))
        knobs = {knob.name: knob.at(random.random()) for knob in caps.prototype.knobs}
        start = random.randrange(2**31)
        shrunk = tighter.shrink(knobs, start)
        found.append(caps.prototype.design(caps.prototype.expand(shrunk, start)))
    return found


def _read(plain: dict[str, Any], job: Training) -> dict[str, float]:
    torch.set_num_threads(1)
    keep_freed_memory()  # as the workers of a study do
    study = parse_study(plain, "study")
    trainer = BuiltIn(
        sets=prepare_sets(study.data, Path(), default_cache()),
        recipe=study.recipe(),
        protocol=protocol_named(study.data.protocol),
        study_seed=derive_seed("benchmark", study.seed),
    )
    with TemporaryDirectory() as folder:
        outcome = trainer.run(
            Job(
                design=job.design,
                stage=job.stage,
                images=job.images,
                seed=derive_seed("benchmark", job.design.key, job.seed),
                order=job.seed,
                confirming=True,
                folder=Path(folder),
                checkpoint=Path(folder) / "checkpoint.pt",
            ),
            lambda: False,
        )
    assert outcome.validation is not None
    return {
        "validation": outcome.validation.delta1,
        "test": outcome.accuracy.delta1,
        "abs_rel": outcome.accuracy.abs_rel,
        "seconds": outcome.seconds,
    }


def summarised(
    study: StudyFile,
    caps: Caps,
    designs: list[Design],
    jobs: list[Training],
    readings: list[dict[str, float]],
) -> dict[str, Any]:
    """The figures."""
    preset = caps.prototype.preset
    reference = [r for j, r in zip(jobs, readings, strict=True) if j.design.key == preset.key]
    table = {(j.design.key, j.stage, j.seed): r for j, r in zip(jobs, readings, strict=True)}
    stages = [stage for stage, _ in study.trainings()]
    rows: list[dict[str, Any]] = [
        {
            "key": design.key,
            "params": caps.cost(design).params,
            "macs": caps.cost(design).macs,
            **{stage: table[design.key, stage, 0]["validation"] for stage in stages},
            "final, another seed": table[design.key, "final", 1]["validation"],
        }
        for design in designs
    ]
    of_preset: dict[str, Any] = {
        "params": caps.cost(preset).params,
        **{
            f"{split}_delta1": [round(r[split], 4) for r in reference]
            for split in ("validation", "test")
        },
        "test_abs_rel_mean": fmean(r["abs_rel"] for r in reference),
        "seconds": fmean(r["seconds"] for r in reference),
    }
    return {
        "study": study.name,
        "caps": caps.requirements.counted.describe(),
        "stages": study.trainings(),
        **figures(stages, of_preset, rows),
    }


def figures(
    stages: list[str], reference: dict[str, Any], rows: list[dict[str, Any]]
) -> dict[str, Any]:
    """Signal against noise.

    A reading is the design's own level plus the noise of one start. Each rung is compared with the
    level at the next stage (at the final one the mean over two seeds), because that is what the
    search wants to know; the correlation of the two final seeds with each other says how much any
    single reading can tell.
    """
    again = "final, another seed"
    noise = (fmean((r["final"] - r[again]) ** 2 for r in rows) / 2) ** 0.5
    levels = {stage: [r[stage] for r in rows] for stage in stages}
    levels["final"] = [(r["final"] + r[again]) / 2 for r in rows]
    correlations = {
        f"{a} -> {b}": _rank([r[a] for r in rows], levels[b]) for a, b in pairwise(stages)
    }
    single = {
        f"{a} -> {b}": _rank([r[a] for r in rows], [r[b] for r in rows])
        for a, b in pairwise(stages)
    }
    return {
        "reference": {
            **reference,
            "seeds": len(reference["test_delta1"]),
            "validation_mean": fmean(reference["validation_delta1"]),
            "test_mean": fmean(reference["test_delta1"]),
            "sd_over_seeds": stdev(reference["test_delta1"]),
        },
        "designs": len(rows),
        "sd_over_seeds_of_designs": noise,
        "spread_of_designs": stdev(r["final"] for r in rows),
        "rank_correlation": correlations,
        "lowest_rank_correlation": min(correlations.values(), default=1.0),
        "rank_correlation_with_one_reading": single,
        "lowest_with_one_reading": min(single.values(), default=1.0),
        "rank_correlation_of_two_final_seeds": _rank(
            [r["final"] for r in rows], [r[again] for r in rows]
        ),
        "rank_correlation_of_params": _rank([r["params"] for r in rows], levels["final"]),
        "rows": rows,
    }


def _rank(a: list[float], b: list[float]) -> float:
    return float(spearmanr(a, b).statistic)
