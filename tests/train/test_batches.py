from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from nano.data.sample import DepthSet
from nano.design.design import Design
from nano.networks.depthnet import build
from nano.train.augment import Draw, augment
from nano.train.batches import Order, gather
from nano.train.loop import train
from nano.train.recipe import Recipe

FIELDS = [field.name for field in fields(Draw)]


@given(images=st.integers(1, 40), batch=st.integers(1, 25), seed=st.integers(0, 9))
def test_every_epoch_shows_every_image_once(images: int, batch: int, seed: int) -> None:
    order = Order(images=images, batch=batch, flip=0.5, seed=seed)
    steps = -(-2 * images // batch)
    shown = np.concatenate([order.at(step).indices for step in range(steps)])
    for epoch in range(2):
        assert sorted(shown[epoch * images : (epoch + 1) * images]) == list(range(images))


def test_a_step_can_be_asked_for_alone() -> None:
    order = Order(images=50, batch=8, flip=0.5, permute=0.5, jitter=(0.2,) * 4, seed=1)
    forwards = [order.at(step) for step in range(20)]
    backwards = [order.at(step) for step in reversed(range(20))][::-1]
    for one, other in zip(forwards, backwards, strict=True):
        assert all((getattr(one, f) == getattr(other, f)).all() for f in FIELDS)


def test_flips_have_the_asked_probability_and_change_between_epochs() -> None:
    flips = [Order(images=2000, batch=2000, flip=0.3, seed=0).at(step).flips for step in range(2)]
    assert 0.25 < flips[0].mean() < 0.35
    assert (flips[0] != flips[1]).any()
    assert not Order(images=9, batch=9, flip=0.0, seed=0).at(0).flips.any()


def test_seeds_give_different_orders() -> None:
    one, other = (
        Order(images=100, batch=100, flip=0.5, seed=seed).at(0).indices for seed in (0, 1)
    )
    assert (one != other).any()


def test_image_and_depth_are_mirrored_together(make_set: Callable[..., DepthSet]) -> None:
    data = make_set()
    draw = Draw(
        indices=np.array([3, 5]),
        flips=np.array([True, False]),
        channels=np.tile(np.arange(3), (2, 1)),
        colours=np.tile(np.float32([1, 1, 1, 0]), (2, 1)),
    )
    images, depth = augment(*gather(data, draw.indices), draw)
    assert (images[0].numpy() == data.images[3, :, :, ::-1]).all()
    assert (depth[0].numpy() == data.depth[3, :, ::-1]).all()
    assert (images[1].numpy() == data.images[5]).all()
    assert (depth[1].numpy() == data.depth[5]).all()


def test_every_candidate_sees_the_same_images_in_the_same_order(
    design: Design, other_design: Design, recipe: Recipe, make_set: Callable[..., DepthSet]
) -> None:
    def seen(candidate: Design, seed: int, order_seed: int) -> list[torch.Tensor]:
        inputs: list[torch.Tensor] = []
        network = build(candidate, seed)
        network.register_forward_pre_hook(lambda _, images: inputs.append(images[0].clone()))
        train(candidate, recipe, make_set(), seed=seed, order_seed=order_seed, start=network)
        return inputs

    first, second = seen(design, 0, order_seed=4), seen(other_design, 1, order_seed=4)
    assert len(first) == recipe.steps + 2  # the recalibration's 8 images
    assert all(torch.equal(one, other) for one, other in zip(first, second, strict=True))
    third = seen(design, 0, order_seed=5)
    assert not all(torch.equal(one, other) for one, other in zip(first, third, strict=True))
