from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nano.data.sample import DepthSet
from nano.design.design import Design
from nano.networks.depthnet import build
from nano.train.batches import COLOURS, Order, gather
from nano.train.loop import train
from nano.train.recipe import Recipe


@given(images=st.integers(1, 40), batch=st.integers(1, 25), seed=st.integers(0, 9))
def test_every_epoch_shows_every_image_once(images: int, batch: int, seed: int) -> None:
    order = Order(images=images, batch=batch, flip=0.5, seed=seed)
    steps = -(-2 * images // batch)
    shown = np.concatenate([order.at(step)[0] for step in range(steps)])
    for epoch in range(2):
        assert sorted(shown[epoch * images : (epoch + 1) * images]) == list(range(images))


def test_a_step_can_be_asked_for_alone() -> None:
    order = Order(images=50, batch=8, flip=0.5, seed=1)
    forwards = [order.at(step) for step in range(20)]
    backwards = [order.at(step) for step in reversed(range(20))][::-1]
    for one, other in zip(forwards, backwards, strict=True):
        assert all((mine == theirs).all() for mine, theirs in zip(one, other, strict=True))


def test_flips_have_the_asked_probability_and_change_between_epochs() -> None:
    flips = [Order(images=2000, batch=2000, flip=0.3, seed=0).at(step)[1] for step in range(2)]
    assert 0.25 < flips[0].mean() < 0.35
    assert (flips[0] != flips[1]).any()
    plain = Order(images=9, batch=9, flip=0.0, seed=0).at(0)
    assert not plain[1].any() and not plain[2].any()


def test_colours_have_the_asked_probability_and_every_other_order_is_as_likely() -> None:
    order = Order(images=6000, batch=6000, flip=0.5, recolour=0.25, seed=0)
    counts = np.bincount(order.at(0)[2], minlength=6)
    assert 0.73 < counts[0] / 6000 < 0.77
    assert (abs(counts[1:] - 300) < 70).all()
    assert (order.at(0)[2] != order.at(1)[2]).any()


def test_recolouring_changes_neither_the_order_nor_the_flips() -> None:
    one, other = (Order(images=50, batch=8, flip=0.5, recolour=p, seed=1).at(3) for p in (0, 1))
    assert (one[0] == other[0]).all() and (one[1] == other[1]).all()


@pytest.mark.parametrize("colours", range(6))
def test_a_colour_order_moves_channels_and_leaves_depth(
    colours: int, make_set: Callable[..., DepthSet]
) -> None:
    data = make_set()
    data.images[:, 1] = 1
    data.images[:, 2] = 2
    images, depth = gather(data, np.array([4]), np.array([False]), np.array([colours]))
    assert (images[0].numpy() == data.images[4][list(COLOURS[colours])]).all()
    assert (depth[0].numpy() == data.depth[4]).all()
    assert (COLOURS[colours].tolist() == [0, 1, 2]) == (colours == 0)


def test_seeds_give_different_orders() -> None:
    one, other = (Order(images=100, batch=100, flip=0.5, seed=seed).at(0)[0] for seed in (0, 1))
    assert (one != other).any()


def test_image_and_depth_are_mirrored_together(make_set: Callable[..., DepthSet]) -> None:
    data = make_set()
    images, depth = gather(data, np.array([3, 5]), np.array([True, False]), np.array([0, 0]))
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
