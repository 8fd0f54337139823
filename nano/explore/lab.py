"""Builds what the stages need, in each worker, from the study file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

from nano.bench.turns import Turns, turns_here
from nano.data.sets import prepare_sets
from nano.evaluate.protocol import protocol_of
from nano.explore.folder import RunFolder
from nano.explore.gauge import Gauge, Instrument
from nano.explore.here import Device, Here
from nano.explore.stages import Decide, Judge, Lab
from nano.explore.study import StudyFile, parse_study
from nano.explore.trainer import BuiltIn, Trainer, load_function
from nano.explore.workers import Bench


def judge(study: StudyFile) -> Judge:
    """The study's utility and requirements."""
    return Judge(utility=study.weights(), requirements=study.requirements())


def build_lab(bench: Bench, decide: Decide, stop: Callable[[], bool]) -> Lab:
    """The lab of one worker; its data are prepared already, so this takes milliseconds.

    Args:
        bench: From the driver.
        decide: Asks whether a design goes on after a rung.
        stop: True when work must end.
    """
    study = parse_study(bench.study, "study")
    torch.set_num_threads(bench.threads)
    return Lab(
        trainer=_trainer(study, bench),
        judge=judge(study),
        decide=decide,
        stop=stop,
        folder=RunFolder(path=bench.run),
        seed=study.seed,
        trainings=study.trainings(),
        measure=_gauge(study, bench),
    )


def instrument_of(study: StudyFile, cache: Path) -> Instrument | None:
    """What the study measures by, if it does."""
    table = study.device
    if table is None:
        return None
    if table.host is not None:
        from nano.explore.afar import Afar  # comes with onnx, which other studies need not wait for

        return Afar(
            host=table.host,
            size=study.size,
            turns=Turns(folder=cache / "turns" / table.kind),
            power_mode=table.power_mode,
            precision=table.precision,
            seconds=table.seconds,
            repeats=table.repeats,
        )
    device = Device(
        kind=table.kind,
        runtime=table.runtime,
        precision=table.precision,
        batch=table.batch,
        threads=table.threads,
        seconds=table.seconds,
        repeats=table.repeats,
    )
    return Here(device=device, size=study.size, turns=turns_here(cache))


def _gauge(study: StudyFile, bench: Bench) -> Gauge | None:
    instrument = instrument_of(study, bench.cache)
    if study.device is None or instrument is None:
        return None
    return Gauge(
        instrument=instrument,
        cache=bench.cache / "measurements",
        wait_s=60 * study.device.wait_minutes,
    )


def _trainer(study: StudyFile, bench: Bench) -> Trainer:
    if study.evaluate is not None:
        return load_function(study.evaluate.callable, bench.base)
    return BuiltIn(
        sets=prepare_sets(study.data, bench.base, bench.cache),
        recipe=study.recipe(),
        protocol=protocol_of(study.data, bench.base),
        study_seed=study.seed,
        device=bench.device,
        turns=turns_here(bench.cache) if study.device and study.device.host is None else None,
    )
