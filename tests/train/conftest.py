"""Tiny designs and a tiny split whose depth can be learnt from its images."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from nano.data.sample import DepthSet, Truth
from nano.design.design import Design, Module, Stage, Stem, Upconv
from nano.train.recipe import Recipe


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)  # sums depend on the number of threads


@pytest.fixture
def design() -> Design:
    pbep = Module(squeeze=3, expand=8, width=4)
    ep = Module(expand=8, width=6)
    stage = Stage(modules=(pbep, ep), transition=6)
    return Design(stem=Stem(width=4, kernel=3), stages=(stage,), decoder=(Upconv(a=ep, b=ep),))


@pytest.fixture
def other_design(design: Design) -> Design:
    wider = Stage(modules=(Module(squeeze=4, expand=9, width=5),), transition=7)
    return Design(stem=Stem(width=5, kernel=5), stages=(wider,), decoder=design.decoder)


@pytest.fixture
def recipe() -> Recipe:
    return Recipe(steps=12, batch=4, precision="float32", recalibrate=8)


@pytest.fixture
def make_set() -> Callable[..., DepthSet]:
    def make(images: int = 10, height: int = 16, width: int = 24, valid: float = 1.0) -> DepthSet:
        random = np.random.default_rng(0)
        depth = random.uniform(2, 60, (images, 1, 1)) * np.ones((1, height, width))
        depth *= np.linspace(1.5, 0.5, width)
        bright = 255 * np.log(depth / 1.0) / np.log(90.0)  # the nearer, the darker
        pixels = np.repeat(bright[:, None], 3, axis=1).astype(np.uint8)
        depth[:, :3] = 0  # sky
        depth[random.random(depth.shape) >= valid] = 0
        nothing = np.zeros(0, np.int32)
        return DepthSet(
            name="toy train",
            truth_kind="rendered",
            names=tuple(f"toy {i}" for i in range(images)),
            images=pixels,
            depth=depth.astype(np.float16),
            truth=Truth(
                sizes=np.tile(np.int32([height, width]), (images, 1)),
                offsets=np.zeros(images + 1, np.int64),
                index=nothing,
                depth=nothing.astype(np.float32),
            ),
        )

    return make
