"""One design's way: counted -> initialised -> measured -> rungs -> final; confirmed for finalists.

The stages are a tuple of functions, cheapest first; the objective is a loop over them. Each takes
an evaluation and returns a richer one. What the outside world decides or does (training, whether a
design goes on, stopping, folders) is handed in as a `Lab`.
"""

from __future__ import annotations

import csv
import io
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nano.cost.count import count
from nano.design.kinds import AnyDesign
from nano.errors import DeviceFailed, Diverged, InputError, Raised
from nano.explore.folder import RunFolder
from nano.explore.trainer import Job, Outcome, Trainer
from nano.files import write_text
from nano.records import (
    NOT_MEASURED,
    TOO_DEAR,
    Accuracy,
    Confirmation,
    Evaluation,
    Measurement,
    Reading,
    mean_accuracy,
)
from nano.score import AT_MOST_MEASURED, Requirements, Utility
from nano.seeds import derive_seed

Measure = Callable[[AnyDesign, Callable[[], bool]], Measurement]
Decide = Callable[[Evaluation], tuple[bool, Mapping[str, float] | None]]


@dataclass(frozen=True, kw_only=True)
class Judge:
    """The study's utility and requirements: makes numbers of accuracies."""

    utility: Utility
    requirements: Requirements

    def judged(self, evaluation: Evaluation) -> Evaluation:
        """With score and margins of its accuracy; feasible only when met at the final stage."""
        margins = self.margins(evaluation.accuracy, known(evaluation))
        met = self.requirements.met(margins, with_safety=True)
        return replace(
            evaluation,
            netscore=self.netscore(evaluation.accuracy, evaluation),
            margins=margins,
            feasible=met and evaluation.stage == "final" and evaluation.reason is None,
        )

    def netscore(
        self, accuracy: Accuracy | None, costed: Evaluation | Confirmation
    ) -> float | None:
        """In decibels; None without an accuracy that has one."""
        if accuracy is None:
            return None
        score = self.utility.score(accuracy.delta1, accuracy.abs_rel, costed.cost)
        return score if math.isfinite(score) else None

    def margins(self, accuracy: Accuracy | None, known: Mapping[str, float]) -> dict[str, float]:
        """Margin per requirement; one on what nobody measured is missed by all of it."""
        values: dict[str, float] = dict(known)
        for item in self.requirements.items:
            if item.name in values:
                continue
            read = getattr(accuracy, item.name, None) if accuracy is not None else None
            values[item.name] = read if read is not None else _worst(item.at_least, item.bound)
        return self.requirements.margins(values)


def known(costed: Evaluation | Confirmation) -> dict[str, float]:
    """What was counted, and what was measured on a device."""
    measured = costed.measurements[-1].values() if costed.measurements else {}
    return {**costed.cost.values(), **measured}


def _worst(at_least: bool, bound: float) -> float:
    return 0.0 if at_least else 2 * bound


@dataclass(frozen=True, kw_only=True)
class Lab:
    """What the stages need from outside.

    Attributes:
        trainer: Trains and evaluates.
        judge: Score and margins.
        decide: Whether a design goes on after a rung, and what is foreseen of it.
        stop: True when work must end at the next batch.
        folder: The run folder.
        seed: The study's.
        trainings: (stage, images) of rungs and final, in order.
        measure: Measures a design on the study's device; None where nothing is measured.
    """

    trainer: Trainer
    judge: Judge
    decide: Decide
    stop: Callable[[], bool]
    folder: RunFolder
    seed: int
    trainings: Sequence[tuple[str, int]]
    measure: Measure | None = None


StageFunction = Callable[[Evaluation, Lab], Evaluation]


def initialised(evaluation: Evaluation, lab: Lab) -> Evaluation:
    """Does the signal live at the start? A dead or exploding one is never trained."""
    if evaluation.readings:
        return replace(evaluation, reason=None, predicted=None)  # interrupted later: it was alive
    began = time.monotonic()
    reason = lab.trainer.probe(evaluation.design, start_seed(lab.seed, evaluation))
    return replace(
        evaluation,
        stage="initialised",
        reason=f"not alive at the start: {reason}" if reason else None,
        seconds=evaluation.seconds + time.monotonic() - began,
    )


def measured(evaluation: Evaluation, lab: Lab) -> Evaluation:
    """What does the device say? What misses a bound there is never trained.

    Before any training, because latency and energy do not depend on weights and are cheaper.
    """
    if lab.measure is None or evaluation.readings:
        return evaluation
    began = time.monotonic()
    found: tuple[Measurement, ...] = ()
    reason = None
    try:
        found = (lab.measure(evaluation.design, lab.stop),)
    except (DeviceFailed, InputError) as failed:
        reason = f"{NOT_MEASURED}: {failed}"
    grown = replace(
        evaluation,
        stage="measured",
        measurements=found,
        reason=reason,
        seconds=evaluation.seconds + time.monotonic() - began,
    )
    return replace(grown, reason=reason or _unaffordable(grown, lab.judge))


def _unaffordable(evaluation: Evaluation, judge: Judge) -> str | None:
    """Why what was measured ends the design."""
    values = evaluation.measurements[-1].values()
    asked = {item.name: item for item in judge.requirements.measured.items}
    needed = [*asked, *(n for n in judge.utility.trade_off if n in AT_MOST_MEASURED)]
    lacking = [name for name in needed if name not in values]
    if lacking:
        notes = "; ".join(evaluation.measurements[-1].notes)
        return f"{NOT_MEASURED}: {' and '.join(dict.fromkeys(lacking))}: {notes}"
    missed = [
        f"{item.describe()} asked, {values[name]:.4g} measured"
        for name, item in asked.items()
        if item.margin(values[name]) > -item.safety_margin
    ]
    return f"{TOO_DEAR}: {'; '.join(missed)}" if missed else None


def trained(stage: str, images: int) -> StageFunction:
    """The stage that trains with ``images`` images under a schedule of its own."""

    def train_stage(evaluation: Evaluation, lab: Lab) -> Evaluation:
        checkpoint = lab.folder.checkpoint(evaluation.key, stage, 0)
        for kept in evaluation.readings:
            if kept.stage == stage:  # interrupted after this training
                checkpoint.unlink(missing_ok=True)
                return replace(evaluation, stage=stage, reason=kept.reason)
        folder = lab.folder.trial(evaluation.number)
        job = Job(
            design=evaluation.design,
            stage=stage,
            images=images,
            seed=start_seed(lab.seed, evaluation),
            order=0,
            confirming=False,
            folder=folder,
            checkpoint=checkpoint,
        )
        reading, outcome = read(job, lab)
        if outcome is not None:
            write_curve(folder / "curve.csv", stage, outcome, append=bool(evaluation.readings))
        grown = lab.judge.judged(
            replace(
                evaluation,
                stage=stage,
                readings=(*evaluation.readings, reading),
                accuracy=reading.accuracy or evaluation.accuracy,
                reason=reading.reason,
                seconds=evaluation.seconds + reading.seconds,
            )
        )
        lab.folder.write_evaluation(grown)  # before its checkpoint goes: a kill loses neither
        checkpoint.unlink(missing_ok=True)
        return grown

    return train_stage


def start_seed(study_seed: int, evaluation: Evaluation) -> int:
    """The seed of a design's weights in the search: of the design, not of when it came."""
    return derive_seed(study_seed, "start", evaluation.key)


def read(job: Job, lab: Lab) -> tuple[Reading, Outcome | None]:
    """One training as a reading; one that failed is without accuracy, with the reason."""
    began, cpu_began = time.monotonic(), time.process_time()
    try:
        outcome = lab.trainer.run(job, lab.stop)
    except (Diverged, Raised) as failed:
        seconds = time.monotonic() - began
        return (
            Reading(
                stage=job.stage,
                images=job.images,
                seconds=seconds,
                seed=job.seed,
                cpu_seconds=time.process_time() - cpu_began,
                reason=f"diverged: {failed}" if isinstance(failed, Diverged) else str(failed),
            ),
            None,
        )
    reading = Reading(
        stage=job.stage,
        images=outcome.images,
        seconds=outcome.seconds,
        seed=job.seed,
        cpu_seconds=time.process_time() - cpu_began,
        accuracy=outcome.accuracy,
        validation=outcome.validation,
    )
    return reading, outcome


def objective(evaluation: Evaluation, lab: Lab) -> Evaluation:
    """Take a counted design through the stages until one ends it or the last is done."""
    stages: list[StageFunction] = [initialised, measured]
    stages += [trained(stage, images) for stage, images in lab.trainings]
    for stage in stages:
        evaluation = stage(evaluation, lab)
        if evaluation.reason is not None:
            break
        if evaluation.stage.startswith("rung"):
            go_on, predicted = lab.decide(evaluation)
            if not go_on:
                reason = f"not among the best of {evaluation.stage}"
                outlook = dict(predicted) if predicted else None
                evaluation = replace(evaluation, reason=reason, predicted=outlook)
                break
    evaluation = lab.judge.judged(evaluation)
    if evaluation.stage == "final" and evaluation.reason is None and evaluation.netscore is None:
        evaluation = replace(evaluation, reason="no NetScore: its accuracy is not above zero")
        evaluation = lab.judge.judged(evaluation)
    lab.folder.write_evaluation(evaluation)
    return evaluation


def confirm_once(evaluation: Evaluation, index: int, images: int, lab: Lab) -> Reading:
    """Retrain a finalist with fresh seed number ``index``; judged on the test split."""
    folder = lab.folder.confirm(evaluation.key) / f"seed-{index}"
    job = Job(
        design=evaluation.design,
        stage="confirmed",
        images=images,
        seed=derive_seed(lab.seed, "confirm", evaluation.key, index),
        order=index,
        confirming=True,
        folder=folder,
        checkpoint=lab.folder.checkpoint(evaluation.key, "confirmed", index),
    )
    reading, outcome = read(job, lab)
    if outcome is not None:
        write_curve(folder / "curve.csv", "confirmed", outcome, append=False)
    lab.folder.write_confirm_reading(evaluation.key, index, reading)
    job.checkpoint.unlink(missing_ok=True)
    return reading


def confirmation(evaluation: Evaluation, readings: Sequence[Reading], judge: Judge) -> Confirmation:
    """The finalist's mean over fresh seeds; one diverged seed and nothing is claimed."""
    whole = all(reading.accuracy is not None for reading in readings)
    accuracies = [r.accuracy for r in readings if r.accuracy is not None]
    validations = [r.validation for r in readings if r.validation is not None]
    blank = Confirmation(
        number=evaluation.number,
        key=evaluation.key,
        origin=evaluation.origin,
        cost=evaluation.cost,
        readings=tuple(readings),
        measurements=evaluation.measurements,
    )
    if not whole:
        return replace(blank, margins=judge.margins(None, known(evaluation)))
    accuracy = mean_accuracy(accuracies)
    margins = judge.margins(accuracy, known(evaluation))
    return replace(
        blank,
        accuracy=accuracy,
        validation=mean_accuracy(validations) if len(validations) == len(readings) else None,
        delta1_sd=_sd([one.delta1 for one in accuracies]),
        netscore=judge.netscore(accuracy, blank),
        margins=margins,
        feasible=judge.requirements.met(margins),
    )


def _sd(values: Sequence[float]) -> float | None:
    if len(values) < 2:
        return None
    mean = sum(values) / len(values)
    return math.sqrt(sum((v - mean) ** 2 for v in values) / (len(values) - 1))


def counted(
    number: int,
    design: AnyDesign,
    *,
    origin: str,
    seed: int,
    size: tuple[int, int],
    judge: Judge,
    proposal: Mapping[str, Any] | None = None,
) -> Evaluation:
    """The first stage: exact cost, by formula, in microseconds."""
    evaluation = Evaluation(
        number=number,
        design=design,
        size=size,
        cost=count(design, size),
        stage="counted",
        origin=origin,
        seed=seed,
        proposal=dict(proposal or {}),
    )
    return judge.judged(evaluation)


def write_curve(path: Path, stage: str, outcome: Outcome, *, append: bool) -> None:
    """The learning curve as CSV; later stages of the same trial follow the earlier ones."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    if append and path.exists():
        kept = [
            line
            for line in path.read_text(encoding="utf-8").splitlines()
            if line and not line.startswith(f"{stage},")
        ]
        text.write("\n".join(kept) + "\n")
    else:
        table.writerow(["stage", "step", "images", "loss", "learning_rate"])
    for point in outcome.curve:
        rate = f"{point.learning_rate:.6g}"
        table.writerow([stage, point.step, point.images, f"{point.loss:.6g}", rate])
    write_text(path, text.getvalue())
