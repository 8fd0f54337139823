"""Trainings on a GPU, against the same ones on the CPU."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from nano.data.sample import DepthSet
from nano.design.design import Design
from nano.train.loop import Stopped, train
from nano.train.recipe import Recipe
from nano.train.session import Session

MakeSet = Callable[..., DepthSet]
pytestmark = pytest.mark.gpu


def test_the_first_steps_on_the_gpu_are_those_of_the_cpu(
    design: Design, recipe: Recipe, make_set: MakeSet
) -> None:
    ours, theirs = (
        Session(design, recipe, make_set(), seed=0, device=device) for device in ("cuda", "cpu")
    )
    for session in (ours, theirs):
        for _ in range(3):
            session.advance()
    for (loss, norm), (true_loss, true_norm) in zip(ours.unseen, theirs.unseen, strict=True):
        assert float(loss) == pytest.approx(float(true_loss), rel=5e-3)
        assert float(norm) == pytest.approx(float(true_norm), rel=5e-2)


@pytest.mark.parametrize("precision", ["float32", "bf16", "fp16", "auto"])
def test_every_precision_learns_on_the_gpu(
    design: Design, recipe: Recipe, make_set: MakeSet, precision: str
) -> None:
    recipe = replace(recipe, precision=precision, steps=200, batch=10, learning_rate=5e-3)
    trained = train(design, recipe, make_set(), seed=0, device="cuda")
    assert trained.curve[-1].loss < 0.6 * trained.curve[0].loss
    assert all(parameter.is_cuda for parameter in trained.network.parameters())


@pytest.mark.parametrize("precision", ["float32", "fp16"])
def test_a_training_stopped_on_the_gpu_goes_on_as_it_would_have(
    tmp_path: Path, design: Design, recipe: Recipe, make_set: MakeSet, precision: str
) -> None:
    recipe = replace(recipe, precision=precision, steps=60, ema=0.9)
    whole = train(design, recipe, make_set(), seed=0, device="cuda")
    path, asked = tmp_path / "train.ckpt", iter([False] * 29 + [True])
    arguments = {"seed": 0, "device": "cuda", "checkpoint": path}
    with pytest.raises(Stopped):
        train(design, recipe, make_set(), stop=lambda: next(asked), **arguments)
    resumed = train(design, recipe, make_set(), **arguments)
    # Sums of gradients on a GPU come in any order: the last digits differ, a lost state would more.
    assert resumed.curve[-1].loss == pytest.approx(whole.curve[-1].loss, rel=0.1)
    for name, value in whole.network.state_dict().items():
        torch.testing.assert_close(
            resumed.network.state_dict()[name].float(), value.float(), rtol=0.1, atol=0.05
        )
