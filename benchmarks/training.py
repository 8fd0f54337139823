"""What our training step costs against the obvious one, at the same learning curve.

    python -m benchmarks.training

CPU time of one thread, steps of both taken in turn in one process: the hand-made reference network
on rendered scenes at 64x192, batch 16, log-L1. The obvious step is float32, eager, NCHW, with
AdamW as it comes; ours is `nano.train.loop.train` under the recipe ``quick``. Both see the same
images in the same order under the same rates, so that their curves can be compared step by step;
a second obvious training from another start says how much of a difference is chance.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from nano.data.cache import prepare
from nano.data.sample import DepthSet, network_input
from nano.data.scene_source import SceneSource
from nano.design.presets import preset
from nano.networks.depthnet import build
from nano.train.batches import Order, gather
from nano.train.precision import denormals_flushed, resolve_precision
from nano.train.recipe import RECIPES
from nano.train.session import Session
from nano.train.ssim import ssim_map

DESIGN, SIZE, SCENES, STEPS = "depthnet-small", (64, 192), 600, 150
RECIPE = replace(RECIPES["quick"], steps=STEPS)
TAIL = 50  # steps at the end whose mean loss is compared
ASKED = {
    "speedup": ">= 1.4",
    "loss_gap": "<= 0.05",
    "ssim_share": "<= 0.25",
    "ssim_speedup": ">= 4",
}

Step = Callable[[int], float]


def measure() -> dict[str, Any]:
    """Steps a second of both, their losses, and the time of the SSIM term."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        source = SceneSource(split="train", count=SCENES, size=SIZE, seed=0)
        data = prepare(source, SIZE, Path(folder))
        steps = {"ours": our_step(data), "naive": naive_step(data, 0), "again": naive_step(data, 1)}
        seconds: dict[str, list[float]] = {name: [] for name in steps}
        losses: dict[str, list[float]] = {name: [] for name in steps}
        for step in range(STEPS):
            for name, take in steps.items():
                began = time.process_time()
                losses[name].append(take(step))
                seconds[name].append(time.process_time() - began)
    tails = {name: statistics.fmean(curve[-TAIL:]) for name, curve in losses.items()}
    median_ms = {name: 1e3 * statistics.median(times) for name, times in seconds.items()}
    ssim = ssim_ms()
    return {
        "precision": resolve_precision(RECIPE.precision, torch.device("cpu")),
        "naive_ms": median_ms["naive"],
        "ours_ms": median_ms["ours"],
        "speedup": median_ms["naive"] / median_ms["ours"],
        "naive_loss": tails["naive"],
        "ours_loss": tails["ours"],
        "loss_gap": abs(tails["ours"] / tails["naive"] - 1),
        "loss_gap_of_another_start": abs(tails["again"] / tails["naive"] - 1),
        "curve": {name: [statistics.fmean(part) for part in tens(losses[name])] for name in losses},
        **ssim,
        "ssim_share": ssim["pooled3_ms"] / (median_ms["ours"] + ssim["pooled3_ms"]),
        "ssim_speedup": ssim["conv2d_ms"] / ssim["gauss11_ms"],
    }


def tens(losses: list[float]) -> Iterator[list[float]]:
    """A curve in stretches of ten steps."""
    return (losses[start : start + 10] for start in range(0, len(losses), 10))


def our_step(data: DepthSet) -> Step:
    """One step of the package's loop, with its look at the loss."""
    session = Session(preset(DESIGN), RECIPE, data, seed=0)

    def take(step: int) -> float:
        with denormals_flushed():
            session.advance()
        loss = float(session.unseen[-1][0])
        session.look(None)
        return loss

    return take


def naive_step(data: DepthSet, seed: int) -> Step:
    """The obvious step, written out."""
    network = build(preset(DESIGN), seed).train()
    optimiser = torch.optim.AdamW(network.parameters(), lr=RECIPE.learning_rate)
    order = Order(images=len(data), batch=RECIPE.batch, flip=RECIPE.flip, seed=0)

    def take(step: int) -> float:
        images, depth = gather(data, order.at(step).indices)
        output = network(network_input(images))[:, 0]
        near = depth.float().masked_fill(depth > RECIPE.max_depth_m, 0)
        blocks = near.unfold(1, 2, 2).unfold(2, 2, 2).flatten(-2)
        known = (blocks > 0).sum(-1)
        truth = blocks.sum(-1) / known.clamp(min=1)
        loss = (output - (truth.clamp(min=1e-3) / 10).log()).abs()[known > 0].mean()
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(network.parameters(), RECIPE.clip)
        optimiser.param_groups[0]["lr"] = RECIPE.rate(step)
        optimiser.step()
        return loss.item()

    return take


def ssim_ms() -> dict[str, float]:
    """CPU milliseconds of SSIM with its gradient on one batch of half-size maps."""
    height, width = SIZE
    random = torch.Generator().manual_seed(0)
    shape = (RECIPE.batch, 1, height // 2, width // 2)
    output, truth = (1 + 79 * torch.rand(shape, generator=random) for _ in range(2))

    def pooled3(maps: Tensor) -> Tensor:
        return ssim_map(maps, truth, window="pooled3", data_range=80.0)

    def gauss11(maps: Tensor) -> Tensor:
        return ssim_map(maps, truth, window="gauss11", data_range=80.0)

    def conv2d(maps: Tensor) -> Tensor:
        return ssim_by_conv2d(maps, truth)

    forms = {"pooled3_ms": pooled3, "gauss11_ms": gauss11, "conv2d_ms": conv2d}
    best = dict.fromkeys(forms, float("inf"))
    for _ in range(10):
        for name, form in forms.items():
            maps = output.clone().requires_grad_()
            began = time.process_time()
            torch.autograd.backward(form(maps).mean())
            best[name] = min(best[name], 1e3 * (time.process_time() - began))
    return best


def ssim_by_conv2d(first: Tensor, second: Tensor) -> Tensor:
    """The usual form: an 11x11 Gaussian convolution for each of the five means."""
    axis = torch.exp(-((torch.arange(11.0) - 5) ** 2) / (2 * 1.5**2))
    window = torch.outer(axis, axis)[None, None] / axis.sum() ** 2
    mean1, mean2, square1, square2, product = (
        nn.functional.conv2d(maps, window)
        for maps in (first, second, first * first, second * second, first * second)
    )
    c1, c2 = (0.01 * 80) ** 2, (0.03 * 80) ** 2
    above = (2 * mean1 * mean2 + c1) * (2 * (product - mean1 * mean2) + c2)
    below = (mean1**2 + mean2**2 + c1) * (square1 - mean1**2 + square2 - mean2**2 + c2)
    return above / below


if __name__ == "__main__":
    print(json.dumps(measure(), indent=1))
