"""Mirrors, channels and colours: what is drawn, and what it does to images and depth."""

from __future__ import annotations

import colorsys
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from nano.train.augment import ORDERS, Draw, augment, draw_colours, jittered
from nano.train.batches import Order


def batch(count: int = 3, size: tuple[int, int] = (4, 6)) -> tuple[Tensor, Tensor]:
    random = np.random.default_rng(0)
    images = torch.from_numpy(random.integers(0, 256, (count, 3, *size), dtype=np.uint8))
    return images, torch.from_numpy(random.uniform(1, 80, (count, *size)).astype(np.float16))


def plain(count: int = 3) -> Draw:
    return Draw(
        indices=np.arange(count),
        flips=np.zeros(count, np.bool_),
        channels=np.tile(np.arange(3), (count, 1)),
        colours=np.tile(np.float32([1, 1, 1, 0]), (count, 1)),
    )


def changed(images: Tensor, *colours: float) -> Tensor:
    return jittered(images, torch.tensor([colours] * len(images), dtype=torch.float32))


def test_nothing_drawn_changes_nothing() -> None:
    images, depth = batch()
    found = augment(images.clone(), depth.clone(), plain())
    assert torch.equal(found[0], images) and torch.equal(found[1], depth)
    assert found[0].dtype == torch.uint8


def test_channels_change_places_and_depth_stays() -> None:
    images, depth = batch()
    channels = np.array([[0, 1, 2], [2, 0, 1], [1, 0, 2]])
    found = augment(images.clone(), depth.clone(), replace(plain(), channels=channels))
    for i in range(3):
        assert torch.equal(found[0][i], images[i][channels[i]])
    assert torch.equal(found[1], depth)


def test_mirror_channels_and_colours_meet_in_one_batch() -> None:
    images, depth = batch()
    draw = Draw(
        indices=np.arange(3),
        flips=np.array([False, True, False]),
        channels=np.array([[0, 1, 2], [2, 1, 0], [0, 1, 2]]),
        colours=np.float32([[1, 1, 1, 0], [1, 1, 1, 0], [0.5, 1, 1, 0]]),
    )
    found, mirrored = augment(images.clone(), depth.clone(), draw)
    torch.testing.assert_close(found[0], images[0].float(), atol=1e-3, rtol=0)
    torch.testing.assert_close(found[1], images[1].flip(0, -1).float(), atol=1e-3, rtol=0)
    torch.testing.assert_close(found[2], images[2].float() / 2, atol=1e-3, rtol=0)
    assert torch.equal(mirrored[1], depth[1].flip(-1))


def test_brightness_scales_and_is_cut_off_at_white() -> None:
    images, _ = batch()
    expected = (images.float() * 1.2).clamp(max=255)
    torch.testing.assert_close(changed(images, 1.2, 1, 1, 0), expected, atol=1e-3, rtol=0)


def test_no_contrast_is_the_mean_luma_and_no_saturation_is_grey() -> None:
    images, _ = batch()
    weights = torch.tensor([0.299, 0.587, 0.114])[None, :, None, None]
    luma = (images.float() * weights).sum(1, keepdim=True)
    flat = luma.mean((2, 3), keepdim=True).expand(images.shape)
    torch.testing.assert_close(changed(images, 1, 0, 1, 0), flat, atol=2e-3, rtol=0)
    grey = luma.expand(images.shape)
    torch.testing.assert_close(changed(images, 1, 1, 0, 0), grey, atol=2e-3, rtol=0)


def test_a_turned_hue_keeps_luma_and_a_whole_turn_keeps_everything() -> None:
    images = torch.full((1, 3, 2, 2), 120, dtype=torch.uint8)
    images[:, 0] = 150
    turned = changed(images, 1, 1, 1, 1 / 3)
    weights = torch.tensor([0.299, 0.587, 0.114])[None, :, None, None]
    before, after = (float((part.float() * weights).sum(1).mean()) for part in (images, turned))
    assert after == pytest.approx(before, abs=1e-2)
    hue = colorsys.rgb_to_hsv(*(turned[0, :, 0, 0] / 255).tolist())[0]
    assert min(abs(hue - third) for third in (1 / 3, 2 / 3)) < 0.1  # red became green or blue
    torch.testing.assert_close(changed(images, 1, 1, 1, 1), images.float(), atol=1e-2, rtol=0)


@given(permute=st.floats(0, 1), jitter=st.tuples(*[st.floats(0, 1)] * 4), seed=st.integers(0, 99))
def test_draws_stay_within_what_was_asked(
    permute: float, jitter: tuple[float, float, float, float], seed: int
) -> None:
    channels, colours = draw_colours(np.random.default_rng(seed), 50, permute, jitter)
    assert (np.sort(channels, axis=1) == np.arange(3)).all()
    assert (np.abs(colours - (1, 1, 1, 0)) <= np.array(jitter) + 1e-6).all()
    assert permute > 0 or (channels == ORDERS[0]).all()


def test_channels_change_as_often_as_asked_and_five_ways_alike() -> None:
    draw = Order(images=6000, batch=6000, flip=0.5, permute=0.4, seed=0).at(0)
    kinds, counts = np.unique(draw.channels, axis=0, return_counts=True)
    assert (kinds == ORDERS).all()
    assert counts[0] == pytest.approx(3600, abs=150)
    assert all(count == pytest.approx(480, abs=80) for count in counts[1:])


def test_colours_leave_the_order_and_the_mirrors_as_they_were() -> None:
    without = Order(images=40, batch=16, flip=0.5, seed=3).at(4)
    with_colours = Order(
        images=40, batch=16, flip=0.5, permute=0.5, jitter=(0.2, 0.2, 0.2, 0.05), seed=3
    ).at(4)
    assert (without.indices == with_colours.indices).all()
    assert (without.flips == with_colours.flips).all()
    assert (without.colours == (1, 1, 1, 0)).all()
    assert len(np.unique(with_colours.colours[:, 0])) == 16


@pytest.mark.gpu
def test_the_device_of_the_training_gives_the_same_batch() -> None:
    images, depth = batch(8, (32, 48))
    order = Order(images=8, batch=8, flip=0.5, permute=0.5, jitter=(0.2, 0.2, 0.2, 0.05), seed=0)
    draw = order.at(0)
    expected = augment(images.clone(), depth.clone(), draw)
    found = augment(images.cuda(), depth.cuda(), draw)
    assert found[0].is_cuda and torch.equal(found[1].cpu(), expected[1])
    torch.testing.assert_close(found[0].cpu(), expected[0], atol=1e-2, rtol=1e-4)
