"""Single trainings of a study's recipe, outside of a study."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from nano.data.cache import default_cache
from nano.data.sets import prepare_sets
from nano.design.kinds import AnyDesign
from nano.evaluate.protocol import protocol_named
from nano.explore.study import StudyFile, parse_study
from nano.explore.trainer import BuiltIn, Job, Outcome
from nano.memory import keep_freed_memory


@cache
def trainer_of(study_json: str) -> tuple[StudyFile, BuiltIn]:
    """The study and its trainer, made once a process: on the GPU, if any, else on one thread."""
    import torch

    from nano.networks.device import default_device

    torch.set_num_threads(1)
    keep_freed_memory()
    study = parse_study(json.loads(study_json), "study")
    return study, BuiltIn(
        sets=prepare_sets(study.data, Path(), default_cache()),
        recipe=study.recipe(),
        protocol=protocol_named(study.data.protocol),
        study_seed=study.seed,
        device=default_device(),
    )


def train(
    trainer: BuiltIn,
    design: AnyDesign,
    stage: str,
    images: int,
    *,
    seed: int,
    order: int,
    confirming: bool,
) -> Outcome:
    """One complete schedule; raises Diverged. For the arguments see `nano.explore.trainer.Job`."""
    with TemporaryDirectory() as folder:
        job = Job(
            design=design,
            stage=stage,
            images=images,
            seed=seed,
            order=order,
            confirming=confirming,
            folder=Path(folder),
            checkpoint=Path(folder) / "checkpoint.pt",
        )
        return trainer.run(job, lambda: False)
