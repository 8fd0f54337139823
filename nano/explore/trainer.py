"""How a design gets its accuracy: the built-in training, or a function of the user's.

Both are handed to the stages as a `Trainer`; a test, or another trainer, takes their place.
"""

from __future__ import annotations

import contextlib
import importlib
import inspect
import logging
import math
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from torch import nn

from nano.bench.turns import Turns
from nano.data.sample import network_input
from nano.data.sets import Sets
from nano.design.kinds import AnyDesign
from nano.errors import Diverged, Raised, StudyError
from nano.evaluate.panels import panel_of
from nano.evaluate.run import Result, evaluate
from nano.files import from_plain, to_plain
from nano.networks.catalog import architecture_of
from nano.networks.health import alive
from nano.networks.model import Model, save_model
from nano.networks.start import started
from nano.records import METRICS, Accuracy
from nano.records import Protocol as DepthProtocol
from nano.seeds import derive_seed
from nano.train.loop import CurvePoint, Stopped, train
from nano.train.recipe import Recipe

PROBE_IMAGES = 8  # enough for batch norm's statistics at the start, and half a second


@dataclass(frozen=True, kw_only=True)
class Job:
    """One training: of what, how long, from which start.

    Attributes:
        design: What to train.
        stage: ``rung 1``, ..., ``final``, or ``confirmed``.
        images: Training images to show.
        seed: Of the weights' start.
        order: Which order of the images; equal for all designs of a stage.
        confirming: Whether the test split is read too.
        folder: Where panel and model may be written.
        checkpoint: File that lets an interrupted training go on.
    """

    design: AnyDesign
    stage: str
    images: int
    seed: int
    order: int
    confirming: bool
    folder: Path
    checkpoint: Path


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a training gave.

    Attributes:
        accuracy: On the validation split, or on the test split when confirming.
        validation: When confirming: on the validation split.
        images: Training images shown.
        seconds: Wall time of training and evaluation.
        curve: Learning curve; empty for a user's function.
    """

    accuracy: Accuracy
    images: int
    seconds: float
    validation: Accuracy | None = None
    curve: tuple[CurvePoint, ...] = ()


@runtime_checkable
class Trainer(Protocol):
    """Gives a design its accuracy."""

    def probe(self, design: AnyDesign, seed: int) -> str | None:
        """Why the design is dead at its start, or None."""

    def run(self, job: Job, stop: Callable[[], bool]) -> Outcome:
        """Train and evaluate; raises Diverged, Raised, or Stopped after ``stop()`` turned true."""


@dataclass(frozen=True, kw_only=True)
class BuiltIn:
    """The package's own training and evaluation.

    Attributes:
        sets: Train, validation and test split.
        recipe: For every training; its steps follow the job's images.
        protocol: Of every accuracy.
        study_seed: From which the orders of images derive.
        device: ``cpu`` or ``cuda``.
        turns: Of this machine, where designs are measured on it: a training pauses meanwhile.
    """

    sets: Sets
    recipe: Recipe
    protocol: DepthProtocol
    study_seed: int
    device: str = "cpu"
    turns: Turns | None = None

    def probe(self, design: AnyDesign, seed: int) -> str | None:
        """Stimulus and reaction at the start; see `nano.networks.health`."""
        import torch

        images = torch.from_numpy(self.sets.train.images[:PROBE_IMAGES].copy())
        network = started(architecture_of(design), self.sets.train.size, seed)
        return alive(network, network_input(images))

    def run(self, job: Job, stop: Callable[[], bool]) -> Outcome:
        """Train by the recipe, evaluate, draw the panel; keep the model when confirming."""
        with self.turns.working(stop) if self.turns else contextlib.nullcontext(stop) as pausing:
            return self._run(job, pausing)

    def _run(self, job: Job, stop: Callable[[], bool]) -> Outcome:
        trained = train(
            architecture_of(job.design),
            self.recipe.for_images(job.images),
            self.sets.train,
            seed=job.seed,
            # Every design of a stage sees the same batches in the same order: less noise.
            order_seed=derive_seed(self.study_seed, "order", job.stage, job.order),
            device=self.device,
            checkpoint=job.checkpoint,
            stop=stop,
        )
        began = time.monotonic()
        validation = self._evaluate(trained.network, job, "validation")
        accuracy, kept = validation.accuracy, None
        if job.confirming:
            accuracy, kept = self._evaluate(trained.network, job, "test").accuracy, accuracy
            self._keep(trained.network, job)
        return Outcome(
            accuracy=accuracy,
            validation=kept,
            images=trained.images,
            seconds=trained.seconds + time.monotonic() - began,
            curve=trained.curve,
        )

    def _evaluate(self, network: nn.Module, job: Job, split: str) -> Result:
        data = getattr(self.sets, split)
        result = evaluate(network, self.recipe.target, data, self.protocol, device=self.device)
        if split == "test" or not job.confirming:
            path = job.folder / "panel.png"
            panel_of(network, self.recipe.target, data, self.protocol, path, device=self.device)
        return result

    def _keep(self, network: nn.Module, job: Job) -> None:
        model = Model(
            design=architecture_of(job.design),
            network=network,
            target=self.recipe.target,
            size=self.sets.train.size,
        )
        save_model(job.folder, model)


@dataclass(frozen=True, kw_only=True)
class UserFunction:
    """A function of the user's: ``function(design, images=N, seed=S)``.

    It takes the place of training and evaluation at every rung; what it returns is trusted to be
    of its own held-out data.
    """

    function: Callable[..., Any]
    name: str

    def probe(self, design: AnyDesign, seed: int) -> str | None:
        """Nothing is known about the start of somebody else's training."""
        return None

    def run(self, job: Job, stop: Callable[[], bool]) -> Outcome:
        """Call the function; raises StudyError when what it returns is no accuracy.

        A call cannot be stopped half way; none begins once work must end.
        """
        if stop():
            raise Stopped(f"before a call of {self.name}")
        began = time.monotonic()
        try:
            returned = self.function(job.design, images=job.images, seed=job.seed)
        except Exception as error:
            logging.getLogger("nano").exception("%s raised", self.name)
            raise Raised(f"{self.name} raised {type(error).__name__}: {error}") from error
        return Outcome(
            accuracy=as_accuracy(returned, self.name),
            images=job.images,
            seconds=time.monotonic() - began,
        )


def as_accuracy(returned: Any, name: str) -> Accuracy:
    """An Accuracy, or a mapping with at least delta1 and abs_rel, as an Accuracy.

    Raises:
        StudyError: For anything else.
        Diverged: When a metric is not finite.
    """
    # One caption for all calls: readings are averaged, and averages never mix captions.
    about = {"data": name, "protocol": "the user's own"}
    if isinstance(returned, Accuracy):
        returned = to_plain(returned) | about
    elif isinstance(returned, Mapping):
        returned = about | {key: returned[key] for key in METRICS if key in returned}
    else:
        raise StudyError(
            f"[evaluate] {name} returned {type(returned).__name__};"
            " it must return an Accuracy or a mapping with delta1 and abs_rel"
        )
    metrics = {
        key: _metric(returned, key, name) for key in METRICS if returned.get(key) is not None
    }
    missing = [key for key in ("delta1", "abs_rel") if key not in metrics]
    if missing:
        raise StudyError(
            f"[evaluate] {name} returned no {' and no '.join(missing)};"
            f" of the metrics it returned {', '.join(metrics) or 'none'}"
        )
    accuracy = from_plain(Accuracy, returned | metrics, f"[evaluate] {name}", StudyError)
    if not 0 <= accuracy.delta1 <= 1 or accuracy.abs_rel < 0:
        raise StudyError(
            f"[evaluate] {name} returned delta1 = {accuracy.delta1:g}, abs_rel ="
            f" {accuracy.abs_rel:g}; delta1 is a fraction between 0 and 1, abs_rel is not negative"
        )
    return accuracy


def _metric(returned: Mapping[str, Any], key: str, name: str) -> float:
    """One metric as a number of Python's: it may come as one of numpy's or torch's."""
    try:
        value = float(returned[key])
    except (TypeError, ValueError) as unfit:
        raise StudyError(
            f"[evaluate] {name} returned {key} = {returned[key]!r}: no number"
        ) from unfit
    if not math.isfinite(value):
        raise Diverged(f"{name} returned {key} = {value}")
    return value


def load_function(text: str, base: Path) -> UserFunction:
    """Import ``package.module:function`` from the path or from beside the study file.

    Raises:
        StudyError: If there is no such module or function, or it cannot be called as asked.
    """
    module_name, _, function_name = text.partition(":")
    if str(base) not in sys.path:
        sys.path.insert(0, str(base))
    try:
        with contextlib.redirect_stdout(sys.stderr):  # stdout is for results
            module = importlib.import_module(module_name)
    except ImportError as missing:
        raise StudyError(f'[evaluate] callable = "{text}": cannot import: {missing}') from missing
    except Exception as error:
        raise StudyError(
            f'[evaluate] callable = "{text}": importing it raised {type(error).__name__}: {error}'
        ) from error
    function = getattr(module, function_name, None)
    if not callable(function):
        raise StudyError(
            f'[evaluate] callable = "{text}": {module_name} has no function {function_name}'
        )
    try:
        inspect.signature(function).bind(None, images=1, seed=0)
    except (TypeError, ValueError) as unfit:  # ValueError: a builtin without a signature
        raise StudyError(
            f'[evaluate] callable = "{text}": must accept (design, images=N, seed=S): {unfit}'
        ) from unfit
    return UserFunction(function=function, name=text)
