"""Every protocol against the standard formulas, restated on full maps: equal to 1e-6.

On random truth of the sizes that KITTI, DDAD and NYU have, and on real frames.
"""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from kitti_trees import real
from numpy.typing import NDArray
from torch.nn.functional import interpolate

from nano.data.cache import prepare
from nano.data.ddad import DdadSource
from nano.data.file_tables import NyuTable
from nano.data.kitti import KittiSource, drive_frames
from nano.data.nyu import nyu_source
from nano.data.sample import DepthSet, Source, Truth
from nano.data.sets import data_table
from nano.data.splits import Drive
from nano.evaluate.protocol import PROTOCOLS
from nano.evaluate.run import compare, mean_over_images
from nano.records import METRICS, Protocol

TOLERANCE = 1e-6
SMALL = (32, 96)  # of the inputs; the truth keeps its own size

Map = NDArray[np.float64]


def masked(protocol: Protocol, truth: Map) -> NDArray[np.bool_]:
    """Between the bounds and within the crop, as the evaluators of monodepth and BTS have it."""
    height, width = truth.shape
    top, bottom, left, right = {
        "none": (0, height, 0, width),
        "garg": (
            int(0.40810811 * height),
            int(0.99189189 * height),
            int(0.03594771 * width),
            int(0.96405229 * width),
        ),
        "eigen": (
            int(0.3324324 * height),
            int(0.91351351 * height),
            int(0.0359477 * width),
            int(0.96405229 * width),
        ),
        "nyu": (45, 471, 41, 601),
    }[protocol.crop]
    inside = np.zeros(truth.shape, bool)
    inside[top:bottom, left:right] = True
    return inside & (truth > protocol.min_depth_m) & (truth < protocol.max_depth_m)


def standard(prediction: Map, truth: Map, protocol: Protocol) -> dict[str, float] | None:
    """The eight metrics of one image from full maps; None without a pixel to compare."""
    mask = masked(protocol, truth)
    if not mask.any():
        return None
    whole = torch.from_numpy(prediction)[None, None]
    resized = interpolate(whole, truth.shape, mode="bilinear", align_corners=False)[0, 0].numpy()
    g, p = truth[mask], resized[mask]
    if protocol.median_scaling:
        p = p * np.median(g) / np.median(p)
    p[p < protocol.min_depth_m] = protocol.min_depth_m
    p[p > protocol.max_depth_m] = protocol.max_depth_m
    thresh = np.maximum(g / p, p / g)
    return {
        "delta1": (thresh < 1.25).mean(),
        "delta2": (thresh < 1.25**2).mean(),
        "delta3": (thresh < 1.25**3).mean(),
        "abs_rel": np.mean(np.abs(g - p) / g),
        "sq_rel": np.mean((g - p) ** 2 / g),
        "rmse": np.sqrt(((g - p) ** 2).mean()),
        "rmse_log": np.sqrt(((np.log(g) - np.log(p)) ** 2).mean()),
        "log10": np.mean(np.abs(np.log10(p) - np.log10(g))),
    }


def predictions(data: DepthSet, protocol: Protocol) -> NDArray[np.float32]:
    """Depth about the truth's, uneven, and here and there beyond both bounds."""
    random = np.random.default_rng(3)
    middle = np.median(data.truth.depth)
    uneven = random.normal(0, 0.5, (len(data), data.size[0] // 2, data.size[1] // 2))
    depths = (middle * np.exp(uneven)).astype(np.float32)
    depths[:, ::5, ::7] = 3 * protocol.max_depth_m
    depths[:, 1::6, ::9] = protocol.min_depth_m / 10
    return depths


def full(data: DepthSet, i: int) -> Map:
    size, index, values = data.truth.of(i)
    truth = np.zeros(math.prod(size))
    truth[index] = values
    return truth.reshape(size)


def assert_exact(data: DepthSet, protocol: Protocol) -> None:
    depths = predictions(data, protocol)
    results = [compare(depth, data, i, protocol) for i, depth in enumerate(depths)]
    expected = []
    for i, (depth, result) in enumerate(zip(depths, results, strict=True)):
        plain = standard(depth.astype(np.float64), full(data, i), protocol)
        if plain is None:
            assert result.metrics is None
            continue
        assert result.metrics == pytest.approx(plain, rel=0, abs=TOLERANCE), result.name
        expected.append(plain)
    accuracy = mean_over_images(results, data, protocol)
    assert accuracy.images == len(expected)
    assert accuracy.skipped == len(data) - len(expected)
    for name in METRICS:
        mean = np.mean([one[name] for one in expected])
        assert getattr(accuracy, name) == pytest.approx(mean, rel=0, abs=TOLERANCE), name


def random_set(size: tuple[int, int], kind: str, farthest: float, shares: list[float]) -> DepthSet:
    """Truth up to a tenth beyond ``farthest`` on these shares of the pixels of each image."""
    random = np.random.default_rng(0)
    index = [np.flatnonzero(random.random(math.prod(size)) < share) for share in shares]
    offsets = np.cumsum([0, *map(len, index)])
    return DepthSet(
        name="random",
        truth_kind=kind,
        names=tuple(f"image {i}" for i in range(len(shares))),
        images=np.zeros((len(shares), 3, *SMALL), np.uint8),
        depth=np.zeros((len(shares), *SMALL), np.float16),
        truth=Truth(
            sizes=np.array([size] * len(shares), np.int32),
            offsets=offsets,
            index=np.concatenate(index).astype(np.int32),
            depth=random.uniform(0.5, 1.1 * farthest, offsets[-1]).astype(np.float32),
        ),
    )


@pytest.mark.parametrize("median_scaling", [False, True])
@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("eigen652-annotated", (375, 1242)),
        ("eigen652-annotated", (370, 1224)),
        ("eigen652-annotated-garg", (376, 1241)),
        ("eigen697-raw", (374, 1238)),
        ("ddad", (1216, 1936)),
        ("nyu", (480, 640)),
    ],
)
def test_random_frames_of_each_protocol(
    name: str, size: tuple[int, int], median_scaling: bool
) -> None:
    protocol = replace(PROTOCOLS[name], median_scaling=median_scaling)
    data = random_set(size, protocol.truth, protocol.max_depth_m, [0.04, 0.0, 0.2])
    assert_exact(data, protocol)


def kitti(drive: int, truth: str) -> Source:
    roots = [real("kitti_sample").resolve()]
    frames = drive_frames(roots, [Drive("2011_09_26", drive)])
    return KittiSource(roots, frames, truth=truth, legacy=truth == "raw")


@pytest.mark.parametrize(
    ("name", "drive"),
    [
        ("eigen652-annotated", 1),
        ("eigen652-annotated-garg", 1),
        ("eigen697-raw", 2),
        ("kitti-single-scan", 2),
        ("kitti-single-scan-garg", 1),
    ],
)
def test_real_frames_of_kitti(tmp_path: Path, name: str, drive: int) -> None:
    protocol = PROTOCOLS[name]
    data = prepare(kitti(drive, protocol.truth), SMALL, tmp_path)
    assert_exact(data, protocol)
    assert_exact(data, replace(protocol, median_scaling=True))


def test_real_frames_in_the_format_of_ddad(tmp_path: Path) -> None:
    scenes = list(real("dgp_sample", "scene_01").resolve().glob("scene_*.json"))
    frames = DdadSource(scenes, camera="CAMERA_01", name="ddad test")
    assert_exact(prepare(frames, SMALL, tmp_path), PROTOCOLS["ddad"])


def test_real_pair_of_nyu(tmp_path: Path) -> None:
    for name in ("rgb.npy", "depth.npy"):
        (tmp_path / "nyu" / "test").mkdir(parents=True, exist_ok=True)
        (tmp_path / "nyu" / "test" / name).symlink_to(real("nyu_sample", name).resolve())
    table = data_table({"set": "nyu", "root": "nyu"})
    assert isinstance(table, NyuTable)
    data = prepare(nyu_source(tmp_path / "nyu", "test", table.splits), (32, 32), tmp_path)
    assert_exact(data, PROTOCOLS["nyu-fastdepth"])
