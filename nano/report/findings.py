"""What the records say: states, the chosen design, the reference, the distance to feasible."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from statistics import fmean

from nano.cost.count import Cost
from nano.front import score
from nano.records import (
    METRICS,
    NOT_MEASURED,
    STAGES,
    Accuracy,
    Confirmation,
    Evaluation,
    Measurement,
)
from nano.report import numbers
from nano.report.run import Run
from nano.score import MEASURED, Requirement

_JOINED = (
    "This folder is of a machine that joined the study: the answer is in the folder of the command"
    " that began it, and in the storage."
)
REFERENCE_ORIGIN = "prototype"  # `Evaluation.origin` of the preset that seeds a search


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One design as the report speaks of it: confirmed with fresh seeds, or only observed.

    Attributes:
        delta1_sd: Over the fresh seeds; None when observed once.
        margins: Of what is known: one on accuracy is left out where none was measured.
        seeds: Fresh seeds it was retrained with; 0 when only observed in the search.
        stage: Of the training that was read: ``rung 1``, ..., ``final``, ``confirmed``.
        images: Training images of one training.
    """

    number: int
    key: str
    origin: str
    cost: Cost
    measurements: tuple[Measurement, ...]
    accuracy: Accuracy | None
    delta1_sd: float | None
    netscore: float | None
    margins: dict[str, float]
    feasible: bool
    seeds: int
    stage: str
    images: int

    @property
    def whole(self) -> bool:
        """Whether it was trained as long as the requirements on accuracy are meant."""
        return self.stage in ("final", "confirmed")

    @property
    def confirmed(self) -> bool:
        """Whether fresh seeds stand behind the numbers."""
        return self.seeds > 0


def state(evaluation: Evaluation) -> str:
    """``complete``, ``pruned`` (ended early by the search) or ``failed`` (diverged, or dead).

    Failed is told by structure, not by words: a training that ended without an accuracy, or a
    network that met all that is counted and yet was never trained, with nothing foreseen for it.
    """
    last = evaluation.readings[-1] if evaluation.readings else None
    if last is not None and last.accuracy is None:
        return "failed"
    if evaluation.stage == "final":
        return "failed" if evaluation.reason else "complete"
    if last is None and (evaluation.reason or "").startswith(NOT_MEASURED):
        return "failed"
    within_caps = all(margin <= 0 for margin in evaluation.margins.values())
    dead = last is None and evaluation.predicted is None and within_caps
    return "failed" if dead and evaluation.reason else "pruned"


def latency_ms(evaluation: Evaluation) -> float | None:
    """Median latency of the latest measurement, if the design was measured."""
    return evaluation.measurements[-1].p50_ms if evaluation.measurements else None


def observed(evaluation: Evaluation) -> Finding:
    """An evaluation of the search as a finding: one seed, the search's own validation data."""
    last = evaluation.readings[-1] if evaluation.readings else None
    return Finding(
        number=evaluation.number,
        key=evaluation.key,
        origin=evaluation.origin,
        cost=evaluation.cost,
        measurements=evaluation.measurements,
        accuracy=evaluation.accuracy,
        delta1_sd=None,
        netscore=evaluation.netscore,
        margins=_known(evaluation),
        feasible=evaluation.feasible,
        seeds=0,
        stage=last.stage if last else evaluation.stage,
        images=last.images if last else 0,
    )


def confirmed(confirmation: Confirmation) -> Finding:
    """A confirmation as a finding: the mean over fresh seeds, on held-out data."""
    readings = confirmation.readings
    return Finding(
        number=confirmation.number,
        key=confirmation.key,
        origin=confirmation.origin,
        cost=confirmation.cost,
        measurements=confirmation.measurements,
        accuracy=confirmation.accuracy,
        delta1_sd=confirmation.delta1_sd,
        netscore=confirmation.netscore,
        margins=_known(confirmation),
        feasible=confirmation.feasible,
        seeds=len(readings),
        stage="confirmed",
        images=round(fmean(reading.images for reading in readings)) if readings else 0,
    )


def _known(record: Evaluation | Confirmation) -> dict[str, float]:
    """Margins without those of what nobody measured, which count as missed by all of it."""
    unknown = {
        *(() if record.accuracy is not None else METRICS),
        *(() if record.measurements else MEASURED),
    }
    return {name: m for name, m in record.margins.items() if name not in unknown}


def chosen(run: Run) -> Finding | None:
    """The answer: the study's own choice among the confirmed, if it is feasible.

    The study chooses by validation data, so that the test data stay unseen; this report does not
    choose anew. Until a choice is recorded it is the feasible design with the best NetScore,
    confirmed ones alone once there are any. None when there is none.
    """
    findings = [confirmed(confirmation) for confirmation in run.confirmations]
    named = [finding for finding in findings if finding.key == run.chosen_key]
    pool = named or findings or [observed(evaluation) for evaluation in run.evaluations]
    return max((finding for finding in pool if finding.feasible), key=score, default=None)


def reference(run: Run) -> Finding | None:
    """The preset that seeded the search: its confirmation, else its complete evaluation."""
    for confirmation in run.confirmations:
        if confirmation.origin == REFERENCE_ORIGIN:
            return confirmed(confirmation)
    return observed_reference(run)


def observed_reference(run: Run) -> Finding | None:
    """The preset as the search saw it, for comparison with what the search saw of others."""
    for evaluation in run.evaluations:
        if evaluation.origin == REFERENCE_ORIGIN and state(evaluation) == "complete":
            return observed(evaluation)
    return None


def nearest(run: Run) -> Finding | None:
    """The design that misses by least: fewest unknown margins, then the smallest sum of misses.

    Among those trained to the end, if there are any: requirements are not about short trainings.
    """
    names = [requirement.name for requirement in run.requirements.items]

    def distance(finding: Finding) -> tuple[int, float, float]:
        unknown = sum(name not in finding.margins for name in names)
        missed = sum(max(0.0, margin) for margin in finding.margins.values())
        return unknown, missed, -score(finding)

    tested = [confirmed(c) for c in run.confirmations if c.accuracy is not None]
    findings = [finding for finding in tested if finding.key == run.chosen_key] or tested
    findings = findings or [observed(e) for e in run.evaluations if state(e) != "failed"]
    # The reference is what the search starts from: it is an answer only where nothing else is.
    findings = [f for f in findings if f.origin != REFERENCE_ORIGIN] or findings
    findings = [finding for finding in findings if finding.whole] or findings
    return min(findings, key=distance, default=None)


def ranked(run: Run) -> list[Evaluation]:
    """Designs that were trained to the end: the chosen one, then feasible ones, by NetScore."""
    answer = chosen(run)
    complete = [e for e in run.evaluations if state(e) == "complete" and e.netscore is not None]

    def rank(evaluation: Evaluation) -> tuple[bool, bool, float]:
        is_answer = answer is not None and evaluation.key == answer.key
        return not is_answer, not evaluation.feasible, -(evaluation.netscore or 0.0)

    return sorted(complete, key=rank)


def named(run: Run, evaluation: Evaluation) -> str:
    """How a figure calls a design: ``#10``, ``#10 (chosen)``, ``#0 (reference)``."""
    words = {finding.key: word for finding, word in ((reference(run), "reference"),
             (chosen(run), "chosen")) if finding is not None}  # fmt: skip
    word = words.get(evaluation.key)
    return f"#{evaluation.number}" + (f" ({word})" if word else "")


def gain_db(finding: Finding, against: Finding | None) -> float | None:
    """NetScore above the reference; None without one, or when only one side is confirmed."""
    if against is None or finding.netscore is None or against.netscore is None:
        return None
    if finding.confirmed != against.confirmed or finding.key == against.key:
        return None
    return finding.netscore - against.netscore


def same_spend(finding: Finding, against: Finding) -> bool:
    """Whether both were trained on the same number of images, to within one percent."""
    return abs(finding.images - against.images) <= 0.01 * max(finding.images, against.images)


def misses(finding: Finding, requirements: Sequence[Requirement]) -> list[str]:
    """What a design does not meet, each as ``delta1 0.861 misses 0.890 by 0.029``."""
    texts = []
    for requirement in requirements:
        margin = finding.margins.get(requirement.name)
        bound = quantity(requirement.name, requirement.bound)
        if margin is None:
            texts.append(f"{requirement.name} was never known")
        elif margin > 0:
            value = quantity(requirement.name, value_at(requirement, margin))
            short = (
                numbers.ratio(margin) if is_fraction(requirement.name) else numbers.percent(margin)
            )
            texts.append(f"{requirement.name} {value} misses {bound} by {short}")
        elif not finding.confirmed and margin > -requirement.safety_margin:
            safety = quantity(requirement.name, requirement.safety)
            texts.append(f"{requirement.name} meets {bound}, but not with the safety of {safety}")
    return texts


def value_at(requirement: Requirement, margin: float) -> float:
    """The value behind a margin: `Requirement.margin` turned round."""
    shortfall = margin if is_fraction(requirement.name) else margin * requirement.bound
    return requirement.bound - shortfall if requirement.at_least else requirement.bound + shortfall


def is_fraction(name: str) -> bool:
    """Whether a requirement's margin is the shortfall itself rather than relative to the bound."""
    return name.startswith("delta")


def quantity(name: str, value: float | None) -> str:
    """A required quantity with its unit: ``0.890``, ``1.75 M``, ``12.3 ms``."""
    if value is None:
        return numbers.UNKNOWN
    if name == "latency_ms":
        return numbers.milliseconds(value)
    if name in {"params", "macs", "activations", "bytes"}:
        return numbers.count(value)
    units = {"rmse": " m", "sq_rel": " m", "fps": " FPS", "watts": " W", "joules": " J"}
    return f"{value:.3g}{units[name]}" if name in units else numbers.ratio(value)


def headline(run: Run) -> str:
    """The answer in one sentence, the same on the page, on the terminal and in a notebook."""
    return f"{_answer(run)} {_JOINED}" if run.joined and not run.confirmations else _answer(run)


def _answer(run: Run) -> str:
    if not run.evaluations and not run.confirmations:
        return "No design has been evaluated yet."
    answer = chosen(run)
    if answer is None:
        return _none_feasible(run)
    accuracy = answer.accuracy
    text = (
        f"Trial {answer.number} ({answer.key}): NetScore {numbers.decibels(answer.netscore)}, "
        f"delta1 {numbers.mean_sd(accuracy.delta1 if accuracy else None, answer.delta1_sd)}"
        f"{_seeds(answer)}, {numbers.count(answer.cost.params)} parameters, "
        f"{numbers.count(answer.cost.macs)} MACs"
    )
    return f"{text}{_compared(answer, reference(run))}."


def _seeds(finding: Finding) -> str:
    if not finding.confirmed:
        return " (observed once, not confirmed)"
    return f" over {finding.seeds} fresh seed{'s' * (finding.seeds != 1)}"


def _compared(answer: Finding, against: Finding | None) -> str:
    if against is None:
        return ""
    if answer.key == against.key:
        return "; it is the reference preset itself"
    gain = gain_db(answer, against)
    if gain is None:
        return ""
    spend = "at the same spend" if same_spend(answer, against) else "at another spend"
    side = "better" if gain >= 0 else "worse"
    return f", {numbers.decibels(abs(gain))} {side} than the reference preset {spend}"


def read_early(finding: Finding) -> str:
    """What to say of a finding that no whole training stands behind; nothing of others."""
    if finding.whole:
        return ""
    if not finding.images:
        return "never trained"
    return f"read after {numbers.whole(finding.images)} training images, {finding.stage}"


def _none_feasible(run: Run) -> str:
    total = len(run.evaluations)
    near = nearest(run)
    if run.confirmations:
        start = f"None of {len(run.confirmations)} confirmed designs is feasible"
    else:
        start = (
            f"None of {total} designs is feasible"
            if total != 1
            else "The only design is not feasible"
        )
    if near is None:
        return f"{start}; all of them failed."
    missed = "; ".join(misses(near, run.requirements.items)) or "only the search's safety missed"
    name = ", ".join(filter(None, (near.key, read_early(near))))
    return f"{start}; nearest is trial {near.number} ({name}): {missed}."


@dataclass(frozen=True, kw_only=True)
class StageCount:
    """How many designs reached a stage, and how many of them ended there."""

    stage: str
    reached: int
    pruned: int
    failed: int

    @property
    def passed(self) -> int:
        """Those that went on, or were complete."""
        return self.reached - self.pruned - self.failed


def stage_counts(run: Run) -> list[StageCount]:
    """The funnel, cheapest stage first; empty without evaluations."""
    present = {evaluation.stage for evaluation in run.evaluations}
    present |= {reading.stage for e in run.evaluations for reading in e.readings}
    stages = sorted(present | ({"counted"} if present else set()), key=_order)
    rows = []
    for stage in stages:
        ended = [state(e) for e in run.evaluations if e.stage == stage]
        reached = sum(_order(e.stage) >= _order(stage) for e in run.evaluations)
        rows.append(
            StageCount(
                stage=stage,
                reached=reached,
                pruned=ended.count("pruned"),
                failed=ended.count("failed"),
            )
        )
    if rows and run.confirmations:
        tested = len({confirmation.key for confirmation in run.confirmations})
        rows.append(StageCount(stage="confirmed", reached=tested, pruned=0, failed=0))
    return rows


def _order(stage: str) -> tuple[int, int]:
    """Stages by price: `nano.records.STAGES`, rungs among themselves by their number."""
    name, _, number = stage.partition(" ")
    place = STAGES.index(name) if name in STAGES else len(STAGES)
    return place, int(number) if number.isdecimal() else 0


def spend_before(evaluations: Sequence[Evaluation]) -> list[int]:
    """Training images spent up to and with each evaluation, in the order of their numbers."""
    return list(accumulate(evaluation.spend_images for evaluation in evaluations))
