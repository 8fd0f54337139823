"""evaluate(): one image at a time, at the truth's size, whatever the batch and the mode."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from nano.data.cache import prepare
from nano.data.kitti import KittiSource, drive_frames
from nano.data.lidar import LEGACY
from nano.data.sample import DepthSet, Truth
from nano.data.splits import Drive
from nano.errors import DataError
from nano.evaluate.metrics import depth_metrics
from nano.evaluate.protocol import PROTOCOLS, crop_slices
from nano.evaluate.run import Result, evaluate, predict
from nano.networks.target import TARGETS
from nano.records import METRICS, Protocol

ANY = Protocol(name="test", crop="none", min_depth_m=1e-3, max_depth_m=80.0, truth="any")
KITTI = Path(__file__).parents[2] / ".." / "shared" / "data" / "kitti_sample"


class Reading(nn.Module):
    """Half-size log depth from the red channel; slopes to the right, so that mirrors differ."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(1)
        self.slope = nn.Parameter(torch.tensor(0.02))

    def forward(self, image: Tensor) -> Tensor:
        half = image[:, :1, ::2, ::2] * 0.3
        return self.norm(half) + self.slope * torch.arange(half.shape[-1])


def made_up(sizes: list[tuple[int, int]], seed: int = 0, share: float = 0.3) -> DepthSet:
    random = np.random.default_rng(seed)
    index, depth, offsets = [], [], [0]
    for height, width in sizes:
        chosen = np.flatnonzero(random.random(height * width) < share).astype(np.int32)
        index.append(chosen)
        depth.append(random.uniform(1, 90, len(chosen)).astype(np.float32))
        offsets.append(offsets[-1] + len(chosen))
    return DepthSet(
        name="made up",
        truth_kind="sensor",
        names=tuple(f"image {i}" for i in range(len(sizes))),
        images=random.integers(0, 256, (len(sizes), 3, 16, 32), dtype=np.uint8),
        depth=np.zeros((len(sizes), 16, 32), np.float16),
        truth=Truth(
            sizes=np.asarray(sizes, np.int32).reshape(-1, 2),
            offsets=np.asarray(offsets, np.int64),
            index=np.concatenate(index),
            depth=np.concatenate(depth),
        ),
    )


def plainly(
    network: nn.Module, target: str, data: DepthSet, protocol: Protocol
) -> dict[str, float]:
    """The same accuracy by full maps and masks: resize, mask, clip, mean over images."""
    network.eval()
    per_image = []
    for i in range(len(data)):
        size, index, values = data.truth.of(i)
        truth = np.zeros(size[0] * size[1], np.float32)
        truth[index] = values
        truth = truth.reshape(size)
        image = (torch.from_numpy(np.array(data.images[i]))[None] / 255 - 0.45) / 0.25
        with torch.no_grad():
            depth = TARGETS[target].decode(network(image))
        full = interpolate(depth, size, mode="bilinear", align_corners=False)[0, 0].numpy()
        inside = np.zeros(size, bool)
        inside[crop_slices(protocol.crop, size)] = True
        mask = inside & (truth > protocol.min_depth_m) & (truth < protocol.max_depth_m)
        if mask.any():
            clipped = np.clip(full[mask], protocol.min_depth_m, protocol.max_depth_m)
            per_image.append(depth_metrics(clipped, truth[mask]))
    return {name: float(np.mean([one[name] for one in per_image])) for name in METRICS}


def assert_equal(result: Result, expected: dict[str, float], tolerance: float = 1e-6) -> None:
    for name in METRICS:
        assert getattr(result.accuracy, name) == pytest.approx(expected[name], abs=tolerance), name


@pytest.mark.parametrize("target", ["log", "inverse"])
@pytest.mark.parametrize("crop", ["none", "garg", "eigen"])
def test_accuracy_equals_full_maps_and_masks(target: str, crop: str) -> None:
    data = made_up([(24, 40), (37, 50), (24, 41), (16, 32)])
    protocol = replace(ANY, crop=crop)
    network = Reading()
    result = evaluate(network, target, data, protocol)
    assert_equal(result, plainly(network, target, data, protocol), tolerance=1e-5)
    assert (result.accuracy.images, result.accuracy.skipped) == (4, 0)


@pytest.mark.parametrize("batch", [1, 2, 3, 16])
def test_batch_does_not_matter(batch: int) -> None:
    data = made_up([(24, 40)] * 5)
    network = Reading()
    whole = evaluate(network, "log", data, ANY, batch=5)
    assert_equal(
        evaluate(network, "log", data, ANY, batch=batch),
        {name: getattr(whole.accuracy, name) for name in METRICS},
    )


def test_every_image_counts_once_however_many_pixels_it_has() -> None:
    data = made_up([(8, 16), (80, 160)])
    result = evaluate(Reading(), "log", data, ANY)
    few, many = result.per_image
    assert few.pixels * 50 < many.pixels
    assert few.metrics is not None
    assert many.metrics is not None
    mean = (few.metrics["rmse"] + many.metrics["rmse"]) / 2
    assert result.accuracy.rmse == pytest.approx(mean)


def test_images_without_a_pixel_to_compare_are_skipped_and_counted() -> None:
    data = made_up([(24, 40)] * 3)
    depth = data.truth.depth.copy()
    depth[data.truth.offsets[1] : data.truth.offsets[2]] = 85.0  # beyond the protocol
    data = replace(data, truth=replace(data.truth, depth=depth))
    result = evaluate(Reading(), "log", data, ANY)
    assert (result.accuracy.images, result.accuracy.skipped) == (2, 1)
    assert [image.pixels == 0 for image in result.per_image] == [False, True, False]
    assert result.per_image[1].metrics is None
    kept = [image.metrics["delta1"] for image in result.per_image if image.metrics]
    assert result.accuracy.delta1 == pytest.approx(sum(kept) / 2)


def test_split_without_any_pixel_to_compare_is_refused() -> None:
    with pytest.raises(DataError, match="no image has a truth value"):
        evaluate(Reading(), "log", made_up([(24, 40)], share=0.0), ANY)


def test_truth_of_another_kind_than_the_protocols_is_refused() -> None:
    with pytest.raises(DataError, match="annotated truth, but made up holds sensor truth"):
        evaluate(Reading(), "log", made_up([(24, 40)]), PROTOCOLS["eigen652-annotated"])


@pytest.mark.parametrize("training", [True, False])
def test_mode_is_given_back_and_statistics_are_untouched(training: bool) -> None:
    network = Reading().train(training)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    evaluate(network, "log", made_up([(24, 40)] * 2), ANY)
    assert network.training is training
    assert network.norm.training is training
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_mode_is_given_back_after_an_error() -> None:
    class Broken(nn.Module):
        def forward(self, image: Tensor) -> Tensor:
            raise RuntimeError("no")

    network = Broken().train()
    with pytest.raises(RuntimeError, match="no"):
        evaluate(network, "log", made_up([(24, 40)]), ANY)
    assert network.training


def test_accuracy_is_measured_in_float32_even_inside_autocast() -> None:
    data = made_up([(24, 40)] * 2)
    network = nn.Sequential(nn.Conv2d(3, 1, 3, padding=1), nn.AvgPool2d(2))
    plain = evaluate(network, "log", data, ANY)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert evaluate(network, "log", data, ANY) == plain


def test_no_fast_path_that_rounds_is_on_while_measuring_and_all_settings_return() -> None:
    cudnn = torch.backends.cudnn
    seen = []

    class Watching(Reading):
        def forward(self, image: Tensor) -> Tensor:
            seen.append((cudnn.enabled, cudnn.allow_tf32, torch.is_grad_enabled()))
            return super().forward(image)

    before = (cudnn.enabled, cudnn.allow_tf32, cudnn.benchmark, cudnn.deterministic)
    evaluate(Watching(), "log", made_up([(24, 40)]), ANY)
    assert seen == [(True, False, False)]
    assert (cudnn.enabled, cudnn.allow_tf32, cudnn.benchmark, cudnn.deterministic) == before


def test_flip_averaging_is_the_mean_of_two_depths() -> None:
    images = made_up([(24, 40)] * 2).images
    network = Reading()
    once = predict(network, "log", images)
    mirrored = predict(network, "log", np.ascontiguousarray(images[..., ::-1]))[..., ::-1]
    both = predict(network, "log", images, flip=True)
    assert np.abs(once - mirrored).max() > 0.1  # the network is not symmetric by itself
    np.testing.assert_allclose(both, (once + mirrored) / 2, rtol=1e-6)


def test_median_scaling_makes_the_scale_of_predictions_irrelevant() -> None:
    class Farther(Reading):
        def forward(self, image: Tensor) -> Tensor:
            return super().forward(image) + 0.7  # about twice as far

    data = made_up([(24, 40)] * 2)
    scaled = replace(ANY, median_scaling=True)
    near, far = (evaluate(kind(), "log", data, scaled).accuracy for kind in (Reading, Farther))
    assert near.delta1 == pytest.approx(far.delta1)
    assert near.rmse == pytest.approx(far.rmse, rel=1e-4)


def test_accuracy_says_what_it_was_measured_on() -> None:
    accuracy = evaluate(Reading(), "log", made_up([(24, 40)] * 2), ANY).accuracy
    assert accuracy.data == "made up, 2 images at 16x32"
    assert accuracy.protocol == ANY.describe()


needs_kitti = pytest.mark.skipif(
    not KITTI.is_dir(), reason="real KITTI frames are not in ../shared/data/kitti_sample"
)


def kitti(drive: int, **options: object) -> KittiSource:
    roots = [KITTI.resolve()]
    frames = drive_frames(roots, [Drive("2011_09_26", drive)])
    return KittiSource(roots, frames, **options)  # type: ignore[arg-type] # a table of keywords


@needs_kitti
def test_legacy_projection_of_eigen_frames_keeps_the_published_number_of_pixels(
    tmp_path: Path,
) -> None:
    # Legacy rounding with camera depth; frames 0 and 6 of drive 0002.
    source = kitti(2, truth="raw")
    source.rule = replace(LEGACY, name="legacy z", vel_depth=False)
    data = prepare(source, (32, 96), tmp_path)
    counts = {}
    for crop in ("none", "garg", "eigen"):
        result = evaluate(Reading(), "log", data, replace(ANY, crop=crop))
        counts[crop] = [result.per_image[i].pixels for i in (0, 2)]
    assert counts["garg"] == [17197, 17144]
    assert counts["eigen"] == [16262, 16279]
