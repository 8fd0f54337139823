"""One training under way: the state that changes from step to step."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from nano.data.sample import DepthSet, network_input
from nano.errors import Diverged
from nano.files import canonical_json
from nano.networks.catalog import Architecture
from nano.networks.device import torch_device
from nano.networks.start import started
from nano.seeds import derive_seed
from nano.train.augment import Draw, augment
from nano.train.average import Average
from nano.train.batches import Order, gather
from nano.train.checkpoint import Checkpoint, read_checkpoint
from nano.train.losses import Objective, truth_at
from nano.train.precision import resolve_precision
from nano.train.processes import ALONE, Processes
from nano.train.recalibrate import recalibrate
from nano.train.recipe import Recipe
from nano.train.watch import Watch

_LOOK_EVERY = {"cpu": 1, "cuda": 20}  # steps between looks at the losses: a look waits for CUDA
_DROPOUTS = (nn.Dropout, nn.Dropout2d)
_SMALLEST_SCALE = 2.0**-14  # of fp16: below it, gradients overflow whatever the scale
_CURVE_POINTS = 100  # or a few more: enough for a plot ...
_CURVE_STEPS = 50  # ... but a person watching a long training sees one at least this often


@dataclass(frozen=True, kw_only=True)
class CurvePoint:
    """One point of the learning curve.

    Attributes:
        step: Steps taken.
        images: Training images shown.
        loss: Mean over the steps since the point before.
        learning_rate: Of the last of them.
    """

    step: int
    images: int
    loss: float
    learning_rate: float


@dataclass(frozen=True, kw_only=True)
class Trained:
    """A finished training.

    Attributes:
        network: In evaluation mode, on the device it was trained on; with the averaged weights if
            the recipe has an ``ema``, with the last step's otherwise.
        curve: A point every hundredth of the steps, but at least every 50th; the last one at the
            last step.
        images: Training images shown.
        seconds: Wall time, over all interruptions.
        precision: ``float32``, ``bf16`` or ``fp16``: what ``auto`` became.
    """

    network: nn.Module
    curve: tuple[CurvePoint, ...]
    images: int
    seconds: float
    precision: str


class Session:
    """What a training is made of, taken forward step by step by `nano.train.loop.train`.

    Arguments as there. ``step`` steps have been taken; the losses of the last of them, and the
    norms of their gradients, wait in ``unseen`` for the next `look`.
    """

    def __init__(
        self,
        design: Architecture,
        recipe: Recipe,
        data: DepthSet,
        *,
        seed: int,
        order_seed: int = 0,
        device: str = "cpu",
        start: nn.Module | None = None,
        processes: Processes = ALONE,
    ) -> None:
        self.recipe = recipe
        self.data = data
        self.processes = processes
        self.part = recipe.part(processes.world)
        self.device = torch_device(device)
        self.precision = resolve_precision(recipe.precision, self.device)
        self.order = Order(
            images=len(data),
            batch=recipe.batch,
            flip=recipe.flip,
            permute=recipe.permute,
            jitter=recipe.jitter,
            seed=order_seed,
        )
        self.identity = {
            "design": design.key,
            "recipe": canonical_json(recipe),
            "data": data.caption,
            "frames": data.fingerprint,
            "seed": str(seed),
            "order_seed": str(order_seed),
            "precision": self.precision,
            "processes": str(processes.world),
            "start": "fresh" if start is None else _fingerprint(start),
        }
        self.layout = torch.channels_last if recipe.channels_last else torch.contiguous_format
        network = started(design, data.size, seed) if start is None else start
        processes.same_weights(network.to(self.device))
        self.network = _in_layout(network, self.layout).train()
        self.parameters = list(self.network.parameters())
        self.optimiser = _optimiser(recipe, self.network)
        self.average = Average(self.network, recipe.ema) if recipe.ema else None
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=self.precision == "fp16")
        self.objective = Objective(recipe)
        self.stride = design.output_stride
        self.seed = seed
        self.drops = any(isinstance(part, _DROPOUTS) for part in self.network.modules())
        self.step = 0
        self.watch = Watch()
        self.curve: list[CurvePoint] = []
        self.losses: list[float] = []  # since the last point of the curve
        self.unseen: list[Tensor] = []  # (loss, norm) of steps not yet looked at
        self.began = time.monotonic()

    def inputs(self, draw: Draw) -> tuple[Tensor, Tensor]:
        """Network input B x 3 x H x W and depth B x H x W of what was drawn, on the device."""
        images, depth = (
            part.to(self.device, non_blocking=True) for part in gather(self.data, draw.indices)
        )
        images, depth = augment(images, depth, draw)
        return network_input(images.contiguous(memory_format=self.layout)), depth.float()

    def advance(self) -> None:
        """Take one step."""
        loss = self.differentiate()
        self.scaler.unscale_(self.optimiser)
        norm = nn.utils.get_total_norm([p.grad for p in self.parameters if p.grad is not None])
        if self.recipe.clip:
            nn.utils.clip_grads_with_norm_(self.parameters, self.recipe.clip, norm)
        for group in self.optimiser.param_groups:
            group["lr"] = self.recipe.rate(self.step)
        self.scaler.step(self.optimiser)  # unless a gradient of fp16 has overflowed
        self.scaler.update()
        self.step += 1
        if self.average is not None:
            # Without a wait for the device: fp16 has skipped the step where the norm is none.
            self.average.follow(self.step, norm.isfinite() if self.scaler.is_enabled() else True)
        self.unseen.append(torch.stack((loss, norm)))

    def differentiate(self) -> Tensor:
        """The loss of the step's batch; its gradients, in all processes, are in the parameters."""
        images, depth = self.inputs(self.processes.share(self.order.at(self.step)))
        truth = truth_at(self.stride, depth, self.recipe)
        known = self.processes.total(self.objective.known(truth))
        self.optimiser.zero_grad(set_to_none=True)
        losses = []
        parts = (whole.chunk(self.recipe.accumulate) for whole in (images, truth))
        for place, (some, true) in enumerate(zip(*parts, strict=True)):
            with self.arithmetic(), self.luck(place):
                output = self.network(some)
            loss = self.objective(output.float(), true, known)
            torch.autograd.backward(self.scaler.scale(loss))
            losses.append(loss.detach())
        self.processes.total_gradients(self.parameters)
        return self.processes.total(torch.stack(losses).sum())

    def arithmetic(self) -> AbstractContextManager[None]:
        """Autocast to bf16 or fp16 where the precision says so."""
        half = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(self.precision)
        return torch.autocast(self.device.type, dtype=half, enabled=half is not None)

    @contextmanager
    def luck(self, place: int) -> Iterator[None]:
        """What dropout draws: a function of seed, step and part, which a resumed training repeats.

        Torch's dropout knows the global generators only; they are given back as they were.
        """
        if not self.drops:
            yield
            return
        devices = [self.device] if self.device.type == "cuda" else []
        with torch.random.fork_rng(devices):
            part = self.processes.rank * self.recipe.accumulate + place
            torch.manual_seed(derive_seed("dropout", self.seed, self.step, part))
            yield

    def point_due(self, step: int) -> bool:
        """Whether the curve has a point at this step."""
        every = min(max(1, self.recipe.steps // _CURVE_POINTS), _CURVE_STEPS)
        return step % every == 0 or step == self.recipe.steps

    def due(self) -> bool:
        """Whether it is time to look at the losses."""
        return self.point_due(self.step) or len(self.unseen) >= _LOOK_EVERY[self.device.type]

    def look(self, progress: Callable[[CurvePoint], None] | None) -> None:
        """Fetch the losses of the steps since the last look: judge them, extend the curve."""
        if not self.unseen:
            return
        seen = torch.stack(self.unseen).tolist()
        first = self.step - len(seen)
        self.unseen.clear()
        for step, (loss, norm) in enumerate(seen, start=first + 1):
            skipped = self.scaler.is_enabled() and not math.isfinite(norm)
            self.watch.see(step, loss, 0.0 if skipped else norm)
            self.losses.append(loss)
            if self.point_due(step):
                point = CurvePoint(
                    step=step,
                    images=step * self.recipe.batch,
                    loss=math.fsum(self.losses) / len(self.losses),
                    learning_rate=self.recipe.rate(step - 1),
                )
                self.losses.clear()
                self.curve.append(point)
                if progress is not None:
                    progress(point)
        if self.scaler.is_enabled() and self.scaler.get_scale() < _SMALLEST_SCALE:
            raise Diverged(f"step {self.step}: gradients overflow in fp16 at every scale")

    def checkpoint(self) -> Checkpoint:
        """The state after `look`."""
        points = ((p.step, p.images, p.loss, p.learning_rate) for p in self.curve)
        return Checkpoint(
            identity=self.identity,
            step=self.step,
            network=self.network.state_dict(),
            optimiser=self.optimiser.state_dict(),
            average=self.average.tensors if self.average else {},
            scaler=self.scaler.state_dict(),
            curve=tuple(points),
            losses=tuple(self.losses),
            start=self.watch.start,
            running=self.watch.running,
            seconds=time.monotonic() - self.began,
        )

    def resume(self, path: Path) -> None:
        """Go on from the checkpoint, if there is one."""
        found = read_checkpoint(path, self.identity)
        if found is None:
            return
        self.network.load_state_dict(found.network)
        self.optimiser.load_state_dict(dict(found.optimiser))
        if self.average is not None:
            self.average.load(found.average)
        self.scaler.load_state_dict(dict(found.scaler))
        self.step = found.step
        self.curve = [
            CurvePoint(step=step, images=images, loss=loss, learning_rate=rate)
            for step, images, loss, rate in found.curve
        ]
        self.losses = list(found.losses)
        self.watch = Watch(found.start, found.running)
        self.began = time.monotonic() - found.seconds

    def finish(self) -> Trained:
        """Check the last step's weights, which no loss has judged, recalibrate and hand over."""
        recipe = self.recipe
        if not all(bool(p.isfinite().all()) for p in self.parameters):
            raise Diverged(f"step {self.step}: weights are no longer finite")
        if self.average is not None:
            self.average.give()
        if recipe.recalibrate:
            recalibrate(self.network, self._recalibration())
        network = _in_layout(self.network, torch.contiguous_format).eval()
        return Trained(
            network=network,
            curve=tuple(self.curve),
            images=recipe.images,
            seconds=time.monotonic() - self.began,
            precision=self.precision,
        )

    def _recalibration(self) -> Iterator[Tensor]:
        """The first batches of the training's own order."""
        count = math.ceil(self.recipe.recalibrate / self.recipe.batch)
        for step in range(count):
            yield from self.inputs(self.order.at(step))[0].chunk(self.recipe.batch // self.part)


def _in_layout(network: nn.Module, layout: torch.memory_format) -> nn.Module:
    """The same network, its convolutions' kernels laid out for maps of that layout."""
    converted: nn.Module = nn.utils.convert_conv2d_weight_memory_format(network, layout)
    return converted


def _optimiser(recipe: Recipe, network: nn.Module) -> torch.optim.Optimizer:
    """Decay pulls on kernels only: biases and batch norm's two vectors have no scale to lose."""
    kernels = [p for p in network.parameters() if p.ndim > 1]
    others = [p for p in network.parameters() if p.ndim <= 1]
    groups: list[dict[str, Any]] = [
        {"params": kernels, "weight_decay": recipe.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    kind = {"adamw": torch.optim.AdamW, "adam": torch.optim.Adam}[recipe.optimiser]
    return kind(
        groups, lr=recipe.learning_rate, betas=recipe.betas, amsgrad=recipe.amsgrad, fused=True
    )


def _fingerprint(network: nn.Module) -> str:
    """Short hash of a network's weights."""
    digest = hashlib.sha256()
    for name, tensor in network.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:12]
