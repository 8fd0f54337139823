"""What was found, with everything that makes a number mean something.

Frozen values that go to JSON and back; reports are made from them alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from nano.cost.count import Cost
from nano.design.kinds import AnyDesign
from nano.errors import RunError
from nano.files import from_plain, to_plain

TOO_DEAR = "over on the device"  # how the reason of a design begins that missed a bound there
NOT_MEASURED = "not measured"  # and of one that the device gave no measurement for
STAGES = ("counted", "initialised", "measured", "rung", "final", "confirmed")


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """How depth is compared with truth; printed with every accuracy.

    Attributes:
        name: The profile's name, e.g. ``eigen652-annotated``.
        crop: ``none``, ``garg``, ``eigen`` or ``nyu``, applied at the truth's own size.
        min_depth_m: Truth at or below it is ignored, predictions are clipped to it.
        max_depth_m: Truth at or above it is ignored, predictions are clipped to it.
        truth: Kind of truth the profile is defined on: ``rendered``, ``annotated``, ``raw``,
            ``single-scan``, ``sensor`` or ``any``.
        flip: Whether predictions of the image and its mirror are averaged.
        median_scaling: Whether each prediction is scaled to the truth's median first.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    name: str
    crop: str
    min_depth_m: float
    max_depth_m: float
    truth: str
    flip: bool = False
    median_scaling: bool = False

    def describe(self) -> str:
        """The profile in one line, for a table's caption."""
        parts = [
            f"crop {self.crop}",
            f"{self.min_depth_m:g}-{self.max_depth_m:g} m",
            f"{self.truth} truth",
            "flip averaged" if self.flip else "no flip",
            "median scaled" if self.median_scaling else "no median scaling",
            "bilinear to truth size",
            "mean over images",
        ]
        return f"{self.name} ({', '.join(parts)})"


@dataclass(frozen=True, kw_only=True)
class Accuracy:
    """The eight depth metrics, the mean over images; see reference in `nano.evaluate.metrics`.

    A user's own evaluation may know only delta1 and abs_rel; what is unknown is None.
    Lengths are metres; delta1..3, abs_rel, rmse_log and log10 have no unit.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    delta1: float
    abs_rel: float
    delta2: float | None = None
    delta3: float | None = None
    sq_rel: float | None = None
    rmse: float | None = None
    rmse_log: float | None = None
    log10: float | None = None
    images: int | None = None
    skipped: int = 0
    data: str = ""
    protocol: str = ""


METRICS = ("delta1", "delta2", "delta3", "abs_rel", "sq_rel", "rmse", "rmse_log", "log10")


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """Latency and energy of one design on one named device (milliseconds, watts, joules).

    Attributes:
        watts: Mean of the module while it computes; None where not measured, never zero.
        joules: Per image, all of it.
        joules_above_idle: Per image, above what the idle device takes.
        queries: Timed ones behind the percentiles.
        notes: What a reader must know: why energy is not measured, signs of throttling, ...
        runtime: What ran it, e.g. ``eager``; None where the device has one only.
        batch: Images at a time; milliseconds are those of the whole batch.
        threads: Of the CPU; None where they are not ours to set.
        medians_ms: Of every fresh process; the percentiles are the medians of theirs.
        spread: By ``p50``, ``p90`` and ``p99``: the processes' largest less smallest, as a share.
        energy: What counted the joules; None where nothing did.
        disturbed: Why it is not that of a quiet machine; empty when it is. Disturbances slow down,
            so that a bound which is met in spite of them is met.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    key: str
    device: str
    precision: str
    size: tuple[int, int]
    p50_ms: float
    p90_ms: float
    p99_ms: float
    fps: float
    when: str
    power_mode: str | None = None
    watts: float | None = None
    joules: float | None = None
    joules_above_idle: float | None = None
    queries: int | None = None
    notes: tuple[str, ...] = ()
    versions: dict[str, str] = field(default_factory=dict)
    runtime: str | None = None
    batch: int = 1
    threads: int | None = None
    medians_ms: tuple[float, ...] = ()
    spread: dict[str, float] = field(default_factory=dict)
    energy: str | None = None
    disturbed: tuple[str, ...] = ()

    def values(self) -> dict[str, float]:
        """What requirements bound, by their names; what was not measured is not there."""
        named = {
            "latency_ms": self.p50_ms,
            "fps": self.fps,
            "joules": self.joules,
            "watts": self.watts,
        }
        return {name: value for name, value in named.items() if value is not None}


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What one training said about a design: the unit of spend.

    Attributes:
        stage: ``rung 1``, ``rung 2``, ..., ``final`` or ``confirmed``.
        images: Training images shown (steps x batch): the spend that is compared.
        seconds: Wall time of training and evaluation.
        seed: Seed of the weights' start.
        cpu_seconds: Processor time of the same, over all threads of the worker; unlike wall time
            it hardly depends on what else the machine does. 0 in records that did not keep it.
        accuracy: What was measured, or None when the training ended early: on the validation split
            while searching, on the test split when confirming.
        validation: When confirming, the same network on the validation split: what the choice
            among finalists may look at.
        reason: Why it ended early.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    stage: str
    images: int
    seconds: float
    seed: int
    cpu_seconds: float = 0.0
    accuracy: Accuracy | None = None
    validation: Accuracy | None = None
    reason: str | None = None


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Everything known about one design in one study.

    Attributes:
        number: The trial's number in the study.
        design: The whole design; the trial can be rebuilt from this record alone.
        size: Input height and width in pixels.
        cost: Exact cost at that size.
        stage: The last stage reached: ``counted``, ``initialised``, ``measured``, ``rung k``,
            ``final``.
        origin: Who proposed it: ``prototype``, or the generator's name.
        seed: The generator's seed for this design.
        readings: One per training, in order.
        accuracy: Of the last reading that has one.
        netscore: In decibels, from that accuracy; None without accuracy.
        margins: Per requirement, <= 0 when met; without the safety.
        feasible: Whether every requirement was met, with its safety, at the final stage.
        reason: Why it ended before the final stage, if it did.
        predicted: What the search foresaw of the final stage when it stopped here, if it did:
            delta1, its standard deviation, ...; never reported as a measurement.
        proposal: What the generator told when it proposed the design: how it came about, and what
            was expected of it. Empty for generators that expect nothing.
        seconds: Wall time of the trial.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    number: int
    design: AnyDesign
    size: tuple[int, int]
    cost: Cost
    stage: str
    origin: str
    seed: int
    readings: tuple[Reading, ...] = ()
    measurements: tuple[Measurement, ...] = ()
    accuracy: Accuracy | None = None
    netscore: float | None = None
    margins: dict[str, float] = field(default_factory=dict)
    feasible: bool = False
    reason: str | None = None
    predicted: dict[str, float] | None = None
    proposal: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def key(self) -> str:
        """The design's key."""
        return self.design.key

    @property
    def too_dear(self) -> bool:
        """Whether it ended because of what was measured, before any training."""
        return self.reason is not None and self.reason.startswith(TOO_DEAR)

    @property
    def spend_images(self) -> int:
        """Training images spent on this design within its trial."""
        return sum(reading.images for reading in self.readings)


@dataclass(frozen=True, kw_only=True)
class Confirmation:
    """A finalist retrained with fresh seeds and judged on data the search never saw.

    Attributes:
        number: The trial it comes from.
        key: The design's key.
        readings: One per fresh seed.
        measurements: Those of the search: latency does not depend on weights.
        accuracy: The mean over the seeds on the test split, which the search never saw.
        validation: The mean over the seeds on the validation split: finalists are ordered by it.
        delta1_sd: Standard deviation of delta1 over the seeds (n - 1), None for one seed.
        netscore: Of the mean accuracy.
        margins: Of the mean accuracy, <= 0 when met.
        feasible: Whether the mean meets every requirement; only these are claimed.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    number: int
    key: str
    origin: str
    cost: Cost
    readings: tuple[Reading, ...]
    measurements: tuple[Measurement, ...] = ()
    accuracy: Accuracy | None = None
    validation: Accuracy | None = None
    delta1_sd: float | None = None
    netscore: float | None = None
    margins: dict[str, float] = field(default_factory=dict)
    feasible: bool = False


@dataclass(frozen=True, kw_only=True)
class KeptModel:
    """Which of a confirmation's networks was kept, and its own numbers beside the mean's.

    Attributes:
        seed_index: Place among the confirmation's readings.
        seed: Of its start.
        accuracy: Its own on the test split.
        validation: Its own on the validation split, by which it was picked.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    seed_index: int
    seed: int
    accuracy: Accuracy
    validation: Accuracy


def kept_model(confirmation: Confirmation) -> KeptModel | None:
    """The network with the best validation delta1: the test split only judges.

    None where nothing was kept: a user's own evaluation has no validation split, and no model.
    """
    models = [
        KeptModel(
            seed_index=index,
            seed=reading.seed,
            accuracy=reading.accuracy,
            validation=reading.validation,
        )
        for index, reading in enumerate(confirmation.readings)
        if reading.accuracy is not None and reading.validation is not None
    ]
    return max(models, key=lambda model: (model.validation.delta1, model.seed_index), default=None)


@dataclass(frozen=True, kw_only=True)
class Spend:
    """What a study has cost so far.

    Attributes:
        images: Training images shown, in the search and in confirmations.
        busy_seconds: Wall time of the work, added up over all workers.
        cpu_seconds: Processor time of the trainings.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    images: int
    busy_seconds: float
    cpu_seconds: float


def spend(evaluations: Sequence[Evaluation], confirmations: Sequence[Confirmation]) -> Spend:
    """The sum over all records that a run keeps."""
    fresh = [reading for one in confirmations for reading in one.readings]
    readings = [*fresh, *(reading for one in evaluations for reading in one.readings)]
    return Spend(
        images=sum(reading.images for reading in readings),
        busy_seconds=sum(e.seconds for e in evaluations) + sum(r.seconds for r in fresh),
        cpu_seconds=sum(reading.cpu_seconds for reading in readings),
    )


@dataclass(frozen=True, kw_only=True)
class Lesson:
    """What widening one part of a design by a tenth is expected to change.

    Attributes:
        part: E.g. ``stage 3 squeeze``.
        delta1: Expected change of delta1 after a final training.
        params: Exact change of the parameters, as a share of the design's.
        macs: Likewise of the MACs.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    part: str
    delta1: float
    params: float
    macs: float


@dataclass(frozen=True, kw_only=True)
class Lessons:
    """What the inquisitor had learned when the search ended.

    Attributes:
        key: Of the design that is varied.
        read: Designs it had read.
        noise: Standard deviation of the log of 1 - delta1 over trainings of one design.
        parts: One lesson each.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    key: str
    read: int
    noise: float
    parts: tuple[Lesson, ...]


def evaluation_from_plain(plain: Any, where: str) -> Evaluation:
    """Read an Evaluation back; raises a RunError that names ``where``."""
    return from_plain(Evaluation, plain, where, RunError)


def confirmation_from_plain(plain: Any, where: str) -> Confirmation:
    """Read a Confirmation back; raises a RunError that names ``where``."""
    return from_plain(Confirmation, plain, where, RunError)


def mean_accuracy(accuracies: list[Accuracy]) -> Accuracy:
    """The mean of each metric that all of them know.

    Raises:
        ValueError: If they are of different data or protocols: such a mean means nothing.
    """
    captions = {(accuracy.data, accuracy.protocol) for accuracy in accuracies}
    if len(captions) != 1:
        raise ValueError(f"a mean over accuracies of one data set and protocol, got {captions}")
    plain = [to_plain(accuracy) for accuracy in accuracies]
    means = {
        name: sum(one[name] for one in plain) / len(plain)
        for name in METRICS
        if all(name in one for one in plain)
    }
    first = accuracies[0]
    return Accuracy(
        **means,
        images=first.images,
        skipped=first.skipped,
        data=first.data,
        protocol=first.protocol,
    )
