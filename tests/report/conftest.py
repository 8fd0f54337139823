"""A synthetic run folder: plausible records written with the real value classes."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import pytest
from PIL import Image

from nano.cost.count import count
from nano.design.design import Design, Module, Stage, Stem, Upconv
from nano.design.presets import preset
from nano.files import to_plain, write_bytes, write_json, write_text
from nano.records import (
    Accuracy,
    Confirmation,
    Evaluation,
    Measurement,
    Reading,
    kept_model,
    mean_accuracy,
)
from nano.score import Requirements, Utility

SCENES_PROTOCOL = (
    "scenes (crop none, 0.001-80 m, rendered truth, no flip, no median scaling, "
    "bilinear to truth size, mean over images)"
)
EIGEN_PROTOCOL = (
    "eigen652-annotated (crop eigen, 0.001-80 m, annotated truth, no flip, no median scaling, "
    "bilinear to truth size, mean over images)"
)


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """What kind of run to write.

    Attributes:
        hardness: Added to the bound of delta1: 0.1 makes everything infeasible.
        kitti: Whether data and protocol are the paper's.
        measured: Whether a device's latency is recorded and required.
    """

    name: str = "quick"
    trials: int = 30
    hardness: float = 0.0
    confirm: int = 3
    kitti: bool = False
    measured: bool = False
    size: tuple[int, int] = (64, 192)
    seed: int = 7


Maker = Callable[..., Path]


@pytest.fixture
def make_run(tmp_path: Path) -> Maker:
    """``make_run(trials=30, ...)`` writes a run folder and returns its path."""
    return partial(_make, tmp_path / "run")


@pytest.fixture(scope="module")
def make_module_run(tmp_path_factory: pytest.TempPathFactory) -> Maker:
    """The same for a folder that a whole module reads."""
    return partial(_make, tmp_path_factory.mktemp("report") / "run")


def _make(folder: Path, **wishes: Any) -> Path:
    return write_run(folder, Scenario(**wishes))


def write_run(folder: Path, scenario: Scenario) -> Path:
    """Write the whole run folder, as the explorer lays it out."""
    random = Random(scenario.seed)
    bounds = {"delta1": f">= {0.75 + scenario.hardness:g} + 0.005", "params": "<= 150k"}
    if scenario.kitti:
        bounds = {"delta1": f">= {0.885 + scenario.hardness:g} + 0.003", "params": "<= 2M"}
    if scenario.measured:
        bounds["latency_ms"] = "<= 30"
    requirements = Requirements.parse(bounds)
    evaluations = [
        _evaluation(number, scenario, requirements, random) for number in range(scenario.trials)
    ]
    for evaluation in evaluations:
        _write_trial(folder / "trials" / f"{evaluation.number:04d}", evaluation, random)
    complete = [e for e in evaluations if e.stage == "final" and e.netscore is not None]
    complete.sort(key=lambda e: (not e.feasible, -(e.netscore or 0)))
    finalists = complete[: scenario.confirm]
    if scenario.confirm and evaluations:
        finalists = [evaluations[0], *(e for e in finalists if e.number != 0)]
    confirmations = [_confirmation(e, scenario, requirements, random) for e in finalists]
    for confirmation in confirmations:
        write_json(folder / "confirm" / confirmation.key / "confirmation.json", confirmation)
    _write_best(folder / "best", evaluations, confirmations)
    _write_about(folder, scenario, requirements, evaluations, confirmations)
    return folder


def _start() -> Design:
    """A regular network for 64x192; not a preset, whose widths are calibrated anew now and then."""
    encoder = ((3, 8, 12, 24), (4, 10, 14, 36), (5, 12, 16, 48), (4, 14, 18, 60))
    decoder = ((40, 192, 80), (28, 128, 56), (20, 84, 40), (14, 34, 14))
    return Design(
        stem=Stem(width=14, kernel=7),
        stages=tuple(
            Stage(modules=(Module(squeeze=p, expand=3 * p, width=g),) * depth, transition=t)
            for depth, p, g, t in encoder
        ),
        decoder=tuple(
            Upconv(a=Module(expand=a, width=g), b=Module(expand=b, width=g)) for g, a, b in decoder
        ),
    )


def _evaluation(
    number: int, scenario: Scenario, requirements: Requirements, random: Random
) -> Evaluation:
    start = preset("depthnet-nano") if scenario.kitti else _start()
    design = start if number == 0 else _varied(start, random)
    cost = count(design, scenario.size)
    evaluation = Evaluation(
        number=number,
        design=design,
        size=scenario.size,
        cost=cost,
        stage="counted",
        origin="prototype" if number == 0 else random.choice(["generator", "elite", "explore"]),
        seed=random.randrange(2**31),
        margins=requirements.margins(cost.values()),
        seconds=0.01,
    )
    if not requirements.counted.met(evaluation.margins):
        return replace(evaluation, reason="over a cap: params")
    if number % 11 == 7:
        return replace(evaluation, reason="dead: output deviates by 0.0003 at start")
    truth = _delta1(design, scenario)
    readings: list[Reading] = []
    for stage, images, loss in (
        ("rung 1", 1600, 0.09),
        ("rung 2", 4800, 0.04),
        ("final", 16000, 0),
    ):
        if number % 13 == 9 and stage == "rung 2":
            reason = "diverged: loss nan at step 87"
            readings.append(
                Reading(stage=stage, images=1392, seconds=4.1, seed=number, reason=reason)
            )
            return replace(evaluation, stage=stage, readings=tuple(readings), reason=reason)
        accuracy = _accuracy(truth - loss + random.gauss(0.002, 0.004), scenario, "validation")
        readings.append(
            Reading(
                stage=stage, images=images, seconds=images / 160, seed=number, accuracy=accuracy
            )
        )
        values = {**cost.values(), "delta1": accuracy.delta1, "abs_rel": accuracy.abs_rel}
        measurements: tuple[Measurement, ...] = ()
        if scenario.measured:
            measurements = (_measurement(design, scenario),)
            values["latency_ms"] = measurements[0].p50_ms
        margins = requirements.margins(values)
        evaluation = replace(
            evaluation,
            stage=stage,
            readings=tuple(readings),
            measurements=measurements,
            accuracy=accuracy,
            netscore=Utility().score(accuracy.delta1, accuracy.abs_rel, cost),
            margins=margins,
            feasible=stage == "final" and requirements.met(margins, with_safety=True),
            seconds=sum(r.seconds for r in readings),
        )
        if (number % 3 == 2 and stage == "rung 1") or (number % 7 == 6 and stage == "rung 2"):
            foreseen = {"delta1": accuracy.delta1 + 0.03, "sd": 0.01}
            return replace(evaluation, reason="foreseen to miss delta1", predicted=foreseen)
    return evaluation


def _delta1(design: Design, scenario: Scenario) -> float:
    params = count(design, scenario.size).params
    if scenario.kitti:
        return 0.905 - 0.02 * math.exp(-params / 1.2e6)
    return 0.84 - 0.12 * math.exp(-params / 1.5e5)


def _accuracy(delta1: float, scenario: Scenario, split: str) -> Accuracy:
    data, images = f"scenes {split}, 400 images at 64x192", 400
    if scenario.kitti:
        data, images = f"kitti eigen {split}, 652 images at 384x1280", 652
    return Accuracy(
        delta1=delta1,
        abs_rel=(1 - delta1) * 0.9,
        delta2=1 - (1 - delta1) / 3,
        delta3=1 - (1 - delta1) / 8,
        rmse=4.2 + 10 * (0.9 - delta1),
        images=images,
        data=data,
        protocol=EIGEN_PROTOCOL if scenario.kitti else SCENES_PROTOCOL,
    )


def _measurement(design: Design, scenario: Scenario) -> Measurement:
    p50 = count(design, scenario.size).activations / 4e5
    return Measurement(
        key=design.key,
        device="cpu, 2 cores",
        precision="float32",
        size=scenario.size,
        p50_ms=p50,
        p90_ms=p50 * 1.1,
        p99_ms=p50 * 1.3,
        fps=1000 / p50,
        when="2026-11-20",
    )


def _varied(design: Design, random: Random) -> Design:
    scale = math.exp(random.gauss(-0.25, 0.35))

    def channels(width: int) -> int:
        return max(2, round(width * scale * random.uniform(0.7, 1.35)))

    def module(one: Module) -> Module:
        return replace(
            one,
            squeeze=None if one.squeeze is None else channels(one.squeeze),
            expand=None if one.expand is None else channels(one.expand),
            width=channels(one.width),
            kernel=random.choice((3, 3, 3, 5)),
        )

    stages = tuple(
        replace(
            stage, modules=tuple(map(module, stage.modules)), transition=channels(stage.transition)
        )
        for stage in design.stages
    )
    decoder = tuple(replace(up, a=module(up.a), b=module(up.b)) for up in design.decoder)
    return replace(design, stages=stages, decoder=decoder)


def _confirmation(
    evaluation: Evaluation, scenario: Scenario, requirements: Requirements, random: Random
) -> Confirmation:
    truth = _delta1(evaluation.design, scenario) - 0.003
    levels = [truth + random.gauss(0, 0.003) for _ in range(3)]
    accuracies = [_accuracy(level - 0.004, scenario, "test") for level in levels]
    validations = [_accuracy(level, scenario, "validation") for level in levels]
    mean = mean_accuracy(accuracies)
    spread = math.sqrt(sum((a.delta1 - mean.delta1) ** 2 for a in accuracies) / 2)
    values = {**evaluation.cost.values(), "delta1": mean.delta1, "abs_rel": mean.abs_rel}
    if evaluation.measurements:
        values["latency_ms"] = evaluation.measurements[-1].p50_ms
    margins = requirements.margins(values)
    return Confirmation(
        number=evaluation.number,
        key=evaluation.key,
        origin=evaluation.origin,
        cost=evaluation.cost,
        readings=tuple(
            Reading(
                stage="confirmed",
                images=16000,
                seconds=101.0,
                seed=900 + i,
                accuracy=accuracy,
                validation=validation,
            )
            for i, (accuracy, validation) in enumerate(zip(accuracies, validations, strict=True))
        ),
        accuracy=mean,
        validation=mean_accuracy(validations),
        delta1_sd=spread,
        netscore=Utility().score(mean.delta1, mean.abs_rel, evaluation.cost),
        margins=margins,
        feasible=requirements.met(margins),
    )


def _write_trial(folder: Path, evaluation: Evaluation, random: Random) -> None:
    write_json(folder / "evaluation.json", evaluation)
    write_json(folder / "design.json", evaluation.design)
    if not evaluation.readings:
        return
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["stage", "step", "images", "loss", "learning_rate"])
    for reading in evaluation.readings:
        steps = reading.images // 16
        for step in range(1, steps + 1, max(1, steps // 40)):
            level = 0.12 + 0.9 * math.exp(-step / 60) + 0.02 * random.random()
            writer.writerow([reading.stage, step, step * 16, level, 0.004])
    write_text(folder / "curve.csv", text.getvalue())


def _write_best(
    folder: Path, evaluations: list[Evaluation], confirmations: list[Confirmation]
) -> None:
    claimed = [c for c in confirmations if c.feasible]
    if not claimed:
        return
    best = max(claimed, key=lambda c: c.netscore or 0.0)
    write_json(folder / "metrics.json", to_plain(best) | {"model": to_plain(kept_model(best))})
    write_json(folder / "design.json", evaluations[best.number].design)
    picture = Image.new("RGB", (768, 256))
    picture.putdata([(x // 3, y, 128) for y in range(256) for x in range(768)])
    content = io.BytesIO()
    picture.save(content, "PNG")
    write_bytes(folder / "panel.png", content.getvalue())


def _write_about(
    folder: Path,
    scenario: Scenario,
    requirements: Requirements,
    evaluations: list[Evaluation],
    confirmations: list[Confirmation],
) -> None:
    command = {"argv": ["nano/explore/__main__.py", "studies/quick.toml"], "seconds": 1234.5}
    captions = {
        split: _accuracy(0.5, scenario, split).data for split in ("train", "validation", "test")
    }
    about = {
        "study": scenario.name,
        "versions": {"nano": "0.1.0", "python": "3.11.2", "torch": "2.13.0", "optuna": "5.0.0"},
        "commit": "3f2a91c",
        "machine": {"cpu": "made-up CPU", "cores": 2, "platform": "Linux"},
        "seed": scenario.seed,
        "commands": [command],
        "space": "77e0a41c",
        "data": captions,
        "protocol": EIGEN_PROTOCOL if scenario.kitti else SCENES_PROTOCOL,
        "utility": Utility().describe(),
        "requirements": [requirement.describe() for requirement in requirements.items],
        "summary": {
            "exit_code": 0,
            "spend_images": sum(e.spend_images for e in evaluations)
            + sum(r.images for c in confirmations for r in c.readings),
            "seconds": 1234.5,
            "busy_seconds": 2222.0,
        },
    }
    write_json(folder / "run.json", about)
    table = f'name = "quick"\nseed = {scenario.seed}\ntrials = {scenario.trials}\n'
    write_text(folder / "study.toml", table + '[generator]\nkind = "generator-inquisitor"\n')
