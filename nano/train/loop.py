"""The training loop: the same seed, recipe and data give the same weights, interrupted or not."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from nano.data.sample import DepthSet
from nano.errors import DataError, NanoError, StudyError
from nano.networks.catalog import Architecture
from nano.networks.target import TARGETS, fitting
from nano.train.checkpoint import write_checkpoint
from nano.train.losses import truth_at
from nano.train.precision import denormals_flushed
from nano.train.processes import ALONE, Processes
from nano.train.recipe import Recipe
from nano.train.session import CurvePoint, Session, Trained
from nano.train.ssim import SIDES, whole_share

__all__ = ["CHECKPOINT_SECONDS", "CurvePoint", "Stopped", "Trained", "train"]

CHECKPOINT_SECONDS = 20.0
_DENSE_SHARE = 0.25  # see `_check_dense`
_DENSE_IMAGES = 64


class Stopped(NanoError):
    """``stop()`` turned true; the training can be resumed from its checkpoint, if it has one."""


@denormals_flushed()
def train(
    design: Architecture,
    recipe: Recipe,
    data: DepthSet,
    *,
    seed: int,
    order_seed: int = 0,
    device: str = "cpu",
    checkpoint: Path | None = None,
    checkpoint_seconds: float = CHECKPOINT_SECONDS,
    stop: Callable[[], bool] | None = None,
    progress: Callable[[CurvePoint], None] | None = None,
    start: nn.Module | None = None,
    processes: Processes = ALONE,
) -> Trained:
    """Train one network by one recipe.

    Leaves every global random generator alone. On a CPU, at one number of threads, the result is
    a function of the arguments, bit for bit, also when the training was killed and resumed.

    Args:
        design: What to build: a design, or a baseline of the catalogue.
        recipe: How to train it.
        data: The training split.
        seed: Of the weights' start.
        order_seed: Of the order of images and flips: the same for all trainings to be compared.
        device: ``cpu``, ``cuda`` or ``cuda:N``.
        checkpoint: File to resume from and to write, now and then and after the last step; the
            caller deletes it once the result is kept. None: nothing is written.
        checkpoint_seconds: Wall time between two writes.
        stop: Asked after every step but the last; true in one process, it stops all.
        progress: Called with every point of the curve that is new.
        start: A network of ``design`` to go on from; it is trained in place. None: a fresh one.
        processes: Which of several processes this is, each of them called with the same
            arguments; ``checkpoint`` is one file, which all read and the first writes.

    Raises:
        Diverged: The loss or the gradient is no longer finite, or the loss exploded.
        Stopped: ``stop()`` turned true; a checkpoint was written before.
        DataError: Nothing to train on, or truth too sparse for the recipe's loss.
        DesignError: The network does not take images of the data's size.
        StudyError: The recipe's target does not fit what the network writes, its batch does not
            divide into parts, or its precision needs another device.
        RunError: The checkpoint is damaged or belongs to another training.
        OutputError: The checkpoint could not be written; an older one is unharmed.
    """
    if len(data) == 0:
        raise DataError(f"{data.caption}: no images to train on")
    check_outputs(design, recipe)
    if recipe.uses_ssim:
        with processes.first_ahead():
            _check_dense(design.output_stride, recipe, data)
    session = Session(
        design,
        recipe,
        data,
        seed=seed,
        order_seed=order_seed,
        device=device,
        start=start,
        processes=processes,
    )
    if checkpoint is not None:
        with processes.first_ahead():
            session.resume(checkpoint)
    processes.check_same(f"{session.identity} {session.step}")
    saved = time.monotonic()
    while session.step < recipe.steps:
        session.advance()
        if session.due():
            session.look(progress)
        last = session.step == recipe.steps  # what comes after it may be interrupted too
        stopping = not last and processes.any(stop is not None and stop())
        old = time.monotonic() - saved >= checkpoint_seconds
        if checkpoint is not None and processes.first and (stopping or last or old):
            session.look(progress)
            write_checkpoint(checkpoint, session.checkpoint())
            saved = time.monotonic()
        if stopping:
            processes.wait()  # nobody ends before the checkpoint is written
            raise Stopped(f"stopped after step {session.step} of {recipe.steps}")
    return session.finish()


def check_outputs(design: Architecture, recipe: Recipe) -> None:
    """A StudyError unless the network writes what the recipe's target reads."""
    wanted = TARGETS[recipe.target].outputs
    if design.outputs != wanted:
        raise StudyError(
            f"target {recipe.target!r} reads {wanted} numbers a pixel, but the network writes"
            f" {design.outputs}: use target {' or '.join(map(repr, fitting(design.outputs)))}"
        )


def _check_dense(stride: int, recipe: Recipe, data: DepthSet) -> None:
    """Refuse an SSIM term on truth whose windows are mostly broken.

    The share counted is that of whole windows among those centred on a known pixel. A scene's sky
    or a frame's unknown upper third keeps it high; a LiDAR's dots bring it near zero, and the term
    would then speak of a few windows only.
    """
    # Spread over the split, because neighbours in a drive look alike.
    places = torch.linspace(0, len(data) - 1, min(_DENSE_IMAGES, len(data))).long().numpy()
    truth = truth_at(stride, torch.from_numpy(data.depth[places]).float(), recipe)
    share = whole_share(truth > 0, recipe.ssim)
    if share < _DENSE_SHARE:
        side = SIDES[recipe.ssim]
        raise DataError(
            f"{data.caption}: an SSIM term needs dense truth, but only {share:.1%} of the"
            f" {side}x{side} windows around a known pixel are wholly known (needed: at least"
            f" {_DENSE_SHARE:.0%}); use loss = 'log-l1' without ssim_weight, or fill the maps first"
        )
