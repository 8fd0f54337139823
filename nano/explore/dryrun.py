"""``--dry-run``: check the study, count its space, time a step, predict hours and memory."""

from __future__ import annotations

import json
import resource
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from nano.console import say
from nano.cost.count import count
from nano.cost.population import count_population
from nano.data.cache import default_cache
from nano.data.sample import DepthSet, Truth
from nano.data.sets import AnyTable, KittiTable, ScenesTable, sources
from nano.design.kinds import AnyDesign
from nano.errors import DataError
from nano.explore.caps import Caps
from nano.explore.findings import CHANCES
from nano.explore.lab import instrument_of
from nano.explore.run import default_workers, threads_each
from nano.explore.study import StudyFile
from nano.explore.trainer import load_function
from nano.files import to_plain
from nano.memory import keep_freed_memory
from nano.networks.device import default_device
from nano.report.numbers import count as shortened
from nano.report.numbers import duration, percent

_SAMPLES = 2000  # random designs counted, to see what share the caps leave
_TIMED_SECONDS = 1.0  # of steps, after the first one; one step at least
_TIMED_PIXELS = 2**20  # of a step's batch, two images at 384x1280: enough to scale from
_MANY_STEPS = 1_000_000  # so many that the schedule never leaves its warm-up: noise teaches nothing


@dataclass(frozen=True, kw_only=True)
class Timing:
    """One design's training at the recipe's batch, from smaller ones of made-up images.

    Attributes:
        seconds_per_step: Wall time.
        bytes_before: Memory of the process without the training.
        bytes_of_training: What the training added to it.
    """

    seconds_per_step: float
    bytes_before: int
    bytes_of_training: int


def dry_run(
    study: StudyFile,
    base: Path,
    *,
    workers: int | None,
    trials: int | None,
    hours: float | None,
    as_json: bool,
) -> int:
    """Print what the study would do; writes nothing.

    Args:
        study: The study.
        base: Folder of the study file.
        workers: Worker processes, or None for as many as a run would take.
        trials: In place of the study's own number, or None.
        hours: After which no new trial starts, or None.
        as_json: One JSON object in place of text, whose last line waits for the timing.

    Raises:
        StudyError: For requirements that no design of the prototype can meet.
    """
    caps = Caps(prototype=study.family(), requirements=study.requirements(), size=study.size)
    caps.check_reachable()
    number = workers or default_workers()
    found: dict[str, Any] = {
        "study": study.name,
        "space": _space(caps, study),
        "designs": {name: to_plain(count(d, study.size)) for name, d in _named(caps).items()},
        "requirements": caps.requirements.describe(),
        "spend": _spend(study, trials or study.trials),
        "data": _data(study, base),
    }
    if study.evaluate is not None:
        load_function(study.evaluate.callable, base)
    instrument = instrument_of(study, default_cache())
    if instrument is not None:
        instrument.check()
    if not as_json:
        print(_text(study, found), flush=True)
    if study.evaluate is None:
        say("timing a training step ...")
        found["prediction"] = _predict(study, caps, number, found["spend"], hours)
    if as_json:
        print(json.dumps(found, indent=1))
    elif study.evaluate is None:
        print(_prediction_text(found["prediction"], found["spend"]))
    return 0


def _named(caps: Caps) -> dict[str, AnyDesign]:
    prototype = caps.prototype
    knobs = prototype.knobs_of(prototype.preset)
    shrunk = prototype.design(prototype.expand(caps.shrink(knobs, 0), 0))
    within = prototype.preset if caps.fit(prototype.preset) else shrunk
    return {
        "smallest": prototype.smallest(),
        "preset": prototype.preset,
        "preset within the caps": within,
        "largest": prototype.largest(),
    }


def _space(caps: Caps, study: StudyFile) -> dict[str, Any]:
    prototype = caps.prototype
    random = Random(study.seed)
    genomes = np.array(
        [
            prototype.expand({k.name: k.at(random.random()) for k in prototype.knobs}, i)
            for i in range(_SAMPLES)
        ]
    )
    costs = count_population(genomes, prototype, study.size)
    counted = caps.requirements.counted
    fit = sum(
        counted.met(counted.margins(costs.of(i).values()), with_safety=True)
        for i in range(_SAMPLES)
    )
    return {
        "hash": prototype.space,
        "knobs": len(prototype.knobs),
        "genes": len(prototype.genes),
        "log10_designs": round(prototype.count_designs(), 1),
        "share_within_caps": fit / _SAMPLES,
    }


def _spend(study: StudyFile, trials: int) -> dict[str, Any]:
    """Training images when every rung keeps its share, and one batch of finalists on top."""
    alive = float(trials)
    images = 0.0
    for _, each in study.trainings():
        images += alive * each
        alive = max(1.0, alive * study.stages.keep)
    wanted = study.stages.confirm
    confirm = (wanted.designs + 1) * wanted.seeds * study.trainings()[-1][1]
    return {"trials": trials, "search_images": round(images), "confirm_images": confirm}


def _data(study: StudyFile, base: Path) -> dict[str, Any]:
    """What the splits hold, or what to put where."""
    if study.evaluate is not None:
        return {"state": "read by the study's own function"}
    try:
        found = sources(study.data, base)
    except DataError as missing:
        assert not isinstance(study.data, ScenesTable)
        return {"state": "missing", "reason": str(missing), "remedy": _remedy(study.data)}
    return {
        "state": "ready",
        **{name: len(getattr(found, name)) for name in ("train", "validation", "test")},
    }


def _remedy(table: AnyTable) -> str:
    if not isinstance(table, KittiTable):
        return (
            "docs/data.md tells what belongs where; name your folder: --set data.root=/path;"
            f" `python -m nano.data {table.set} --check ROOT` tells what is there"
        )
    roots = table.root if isinstance(table.root, str) else " or ".join(table.root)
    depth = {
        "annotated": "the annotated depth archive (data_depth_annotated: its train/ and val/)",
        "single-scan": "velodyne_points of the raw drives, or the depth archive's velodyne_raw",
        "raw": "velodyne_points of the raw drives",
    }[table.truth]
    image = f"image_0{table.camera or 2}"
    return (
        f"put the synced raw KITTI drives (DATE/DATE_drive_NNNN_sync/{image}, with"
        f" the calib_*.txt of each date) and {depth} under {roots}; or name your folders:"
        ' --set \'data.root=["/path/to/raw", "/path/to/depth"]\'.'
        " `python -m nano.data kitti --check ROOT` tells what is there"
    )


# --- time and memory -----------------------------------------------------------------------------


def _predict(
    study: StudyFile, caps: Caps, workers: int, spend: dict[str, Any], hours: float | None
) -> dict[str, Any]:
    """Hours and memory of the whole study, from timed steps of one design."""
    import torch

    torch.set_num_threads(threads_each(workers))
    keep_freed_memory()  # as the workers do
    named = _named(caps)
    middle = named["preset within the caps"]
    largest = named["largest"] if caps.fit(named["largest"]) else middle
    timing = _time(middle, study)
    # Memory is that of the maps which a training keeps for its way back.
    larger = count(largest, study.size).activations / count(middle, study.size).activations
    each = timing.bytes_before + max(1.0, larger) * timing.bytes_of_training
    hours_per_image = timing.seconds_per_step / study.recipe().batch / workers / 3600
    search = hours_per_image * spend["search_images"]
    share = 1.0 if hours is None else min(1.0, hours / search)
    return {
        "seconds_per_step": timing.seconds_per_step,
        "trials": max(1, round(share * spend["trials"])),
        "hours": share * search + hours_per_image * spend["confirm_images"],
        "memory_gib": workers * each / 2**30,
        "workers": workers,
        "device": default_device(),
    }


def _time(design: AnyDesign, study: StudyFile) -> Timing:
    import torch

    from nano.networks.catalog import architecture_of
    from nano.train.loop import Stopped, train

    height, width = study.size
    wanted = study.recipe().batch
    batch = max(1, min(wanted, _TIMED_PIXELS // (height * width)))
    recipe = replace(study.recipe(), batch=batch)
    ends: list[float] = []

    def enough() -> bool:
        """Asked after every step."""
        if default_device() == "cuda":
            torch.cuda.synchronize()
        ends.append(time.perf_counter())
        return ends[-1] - ends[0] >= _TIMED_SECONDS

    before = _peak_bytes()
    with suppress(Stopped):
        train(
            architecture_of(design),
            recipe.for_images(batch * _MANY_STEPS),
            _made_up(study.size, batch),
            seed=0,
            device=default_device(),
            stop=enough,
        )
    scale = wanted / batch
    return Timing(
        seconds_per_step=scale * (ends[-1] - ends[0]) / (len(ends) - 1),
        bytes_before=before,
        bytes_of_training=round(scale * (_peak_bytes() - before)),
    )


def _peak_bytes() -> int:
    """The most memory that this process has had so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak * (1 if sys.platform == "darwin" else 1024)


def _made_up(size: tuple[int, int], count_: int) -> DepthSet:
    """Noise images with plausible depth: enough to time a step without any data."""
    random = np.random.default_rng(0)
    depth = random.uniform(2, 60, (count_, *size)).astype(np.float16)
    pixels = size[0] * size[1]
    return DepthSet(
        name="made up",
        truth_kind="rendered",
        names=tuple(str(i) for i in range(count_)),
        images=random.integers(0, 256, (count_, 3, *size), dtype=np.uint8),
        depth=depth,
        truth=Truth(
            sizes=np.full((count_, 2), size, np.int32),
            offsets=np.arange(count_ + 1, dtype=np.int64) * pixels,
            index=np.tile(np.arange(pixels, dtype=np.int32), count_),
            depth=depth.reshape(-1).astype(np.float32),
        ),
    )


def _text(study: StudyFile, found: dict[str, Any]) -> str:
    space, spend, data = found["space"], found["spend"], found["data"]
    lines = [
        f"{study.name}: the study file is sound; nothing was trained or written",
        f"space {space['hash']}: {space['knobs']} knobs, {space['genes']} genes, about"
        f" 10^{space['log10_designs']:.0f} designs; {percent(space['share_within_caps'])} of random"
        " ones are within the caps",
        f"requirements: {found['requirements']}",
    ]
    for name, cost in found["designs"].items():
        lines.append(
            f"  {name}: {shortened(cost['params'])} parameters, {shortened(cost['macs'])} MACs,"
            f" {shortened(cost['activations'])} activations at {study.size[0]}x{study.size[1]}"
        )
    lines.append(
        f"spend: about {spend['search_images']:,} training images in {spend['trials']} trials, then"
        f" {spend['confirm_images']:,} to confirm one batch of finalists with the reference (up to"
        f" {len(CHANCES)} batches where none holds)"
    )
    if data["state"] == "missing":
        lines += [f"data are missing: {data['reason']}", f"  {data['remedy']}"]
    elif data["state"] == "ready":
        lines.append(
            f"data: {data['train']:,} to train, {data['validation']:,} to select by,"
            f" {data['test']:,} to judge"
        )
    return "\n".join(lines)


def _prediction_text(found: dict[str, Any], spend: dict[str, Any]) -> str:
    fewer = found["trials"] < spend["trials"]
    return (
        f"prediction: {duration(3600 * found['hours'])} and {found['memory_gib']:.1f} GiB with"
        f" {found['workers']} workers on {found['device']}"
        f" ({1000 * found['seconds_per_step']:.3g} ms a step)"
        + f"; --hours lets about {found['trials']} trials start"
        * fewer
    )
