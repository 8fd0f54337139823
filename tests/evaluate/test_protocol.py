"""Crops and ranges by name, pinned to what the authors' code keeps."""

from __future__ import annotations

import numpy as np
import pytest

from nano.errors import DataError
from nano.evaluate.protocol import PROTOCOLS, counted, crop_slices, protocol_named
from nano.records import Protocol

# KITTI's five image sizes (height, width): rows and columns that Garg's and Eigen's crop keep.
KITTI_CROPS = {
    (375, 1242): ((153, 371, 44, 1197), (124, 342, 44, 1197)),
    (376, 1241): ((153, 372, 44, 1196), (124, 343, 44, 1196)),
    (370, 1226): ((151, 366, 44, 1181), (122, 337, 44, 1181)),
    (370, 1224): ((151, 366, 43, 1180), (122, 337, 43, 1180)),
    (374, 1238): ((152, 370, 44, 1193), (124, 341, 44, 1193)),
}


@pytest.mark.parametrize("size", KITTI_CROPS)
@pytest.mark.parametrize(("crop", "which"), [("garg", 0), ("eigen", 1)])
def test_crops_of_kitti_sizes(size: tuple[int, int], crop: str, which: int) -> None:
    top, bottom, left, right = KITTI_CROPS[size][which]
    assert crop_slices(crop, size) == (slice(top, bottom), slice(left, right))


def test_no_crop_keeps_the_whole_map() -> None:
    assert crop_slices("none", (7, 9)) == (slice(0, 7), slice(0, 9))


def test_nyu_crop_is_defined_at_its_own_size_only() -> None:
    assert crop_slices("nyu", (480, 640)) == (slice(45, 471), slice(41, 601))
    with pytest.raises(DataError, match="240x320"):
        crop_slices("nyu", (240, 320))


def test_unknown_names_are_refused_with_those_there_are() -> None:
    with pytest.raises(DataError, match="none, garg, eigen, nyu"):
        crop_slices("centre", (10, 10))
    with pytest.raises(DataError, match="eigen652-annotated"):
        protocol_named("eigen")


def test_every_protocol_is_found_by_the_name_it_prints() -> None:
    for name, protocol in PROTOCOLS.items():
        assert protocol.name == name
        assert protocol.describe().startswith(name)
        crop_slices(protocol.crop, (480, 640))


@pytest.mark.parametrize(
    ("name", "crop", "far", "truth"),
    [
        ("scenes", "none", 80.0, "rendered"),
        ("eigen652-annotated", "eigen", 80.0, "annotated"),
        ("eigen652-annotated-garg", "garg", 80.0, "annotated"),
        ("eigen697-raw", "garg", 80.0, "raw"),
        ("kitti-single-scan", "eigen", 80.0, "single-scan"),
        ("kitti-single-scan-garg", "garg", 80.0, "single-scan"),
        ("ddad", "none", 200.0, "sensor"),
        ("nyu", "nyu", 10.0, "sensor"),
        ("nyu-fastdepth", "none", 10.0, "sensor"),
    ],
)
def test_what_each_protocol_means(name: str, crop: str, far: float, truth: str) -> None:
    protocol = protocol_named(name)
    assert (protocol.crop, protocol.min_depth_m, protocol.max_depth_m) == (crop, 1e-3, far)
    assert protocol.truth == truth
    assert not protocol.flip
    assert not protocol.median_scaling


def test_range_excludes_both_ends() -> None:
    protocol = Protocol(name="t", crop="none", min_depth_m=1.0, max_depth_m=80.0, truth="any")
    truth = np.array([0.5, 1.0, 1.0001, 79.9, 80.0, 85.0])
    keep = counted(protocol, (2, 3), np.arange(6), truth)
    assert keep.tolist() == [False, False, True, True, False, False]


@pytest.mark.parametrize("crop", ["none", "garg", "eigen"])
@pytest.mark.parametrize("size", [(37, 121), (375, 1242)])
def test_flat_crop_keeps_what_slices_of_the_map_keep(crop: str, size: tuple[int, int]) -> None:
    protocol = Protocol(name="t", crop=crop, min_depth_m=0.0, max_depth_m=80.0, truth="any")
    index = np.arange(size[0] * size[1], dtype=np.int32)
    expected = np.zeros(size, bool)
    expected[crop_slices(crop, size)] = True
    keep = counted(protocol, size, index, np.full(len(index), 5.0, np.float32))
    np.testing.assert_array_equal(keep, expected.ravel())
