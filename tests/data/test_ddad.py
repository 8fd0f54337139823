"""DGP scenes: poses at two instants, splits by whole scenes, and the real sample to an accuracy."""

from __future__ import annotations

import json
import logging
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dgp_trees import (
    SIZE,
    Plain,
    default_scan,
    scanner_point,
    scene_plain,
    write_dataset,
    write_scene,
)
from hypothesis import given
from hypothesis import strategies as st
from kitti_trees import real, write_image

from nano.data.__main__ import main as data_command
from nano.data.cache import cache_key, prepare
from nano.data.ddad import DdadSource
from nano.data.dgp import DgpFrame, read_scan, scene_frames
from nano.data.pinhole import inverse, project_points, rigid, rotation
from nano.data.sets import SPLIT_NAMES, SplitName, data_table, source
from nano.errors import DataError, StudyError
from nano.evaluate.__main__ import main as evaluate_command
from nano.evaluate.protocol import protocol_of
from nano.train.__main__ import main as train_command


def scene_source(path: Path) -> DdadSource:
    return DdadSource([path], camera="CAMERA_01", name="ddad test")


def ddad(root: Path, split: SplitName, **changes: Any) -> DdadSource:
    found = source(data_table({"set": "ddad", "root": str(root)} | changes), root, split)
    assert isinstance(found, DdadSource)
    return found


def test_points_go_by_way_of_the_world_into_the_moved_camera(tmp_path: Path) -> None:
    path = write_scene(tmp_path / "000")
    points = [scanner_point(20.5, 6.5, 40.0), scanner_point(60.5, 18.5, 150.0)]
    np.savez(tmp_path / "000/point_cloud/LIDAR/001.npz", data=points)
    sample = scene_source(path)[1]
    assert sample.name == "000/CAMERA_01/001"
    assert sample.depth.shape == SIZE
    assert np.argwhere(sample.depth).tolist() == [[6, 20], [18, 60]]
    assert sample.depth[6, 20] == pytest.approx(40.0)
    assert sample.depth[18, 60] == pytest.approx(150.0)


def test_splits_are_whole_scenes_and_the_last_tenth_validates(tmp_path: Path) -> None:
    root = write_dataset(tmp_path, train=3, val=1)

    def scenes(split: SplitName, **changes: Any) -> list[str]:
        return sorted({frame.name[:3] for frame in ddad(root, split, **changes).frames})

    assert [scenes(split) for split in SPLIT_NAMES] == [
        ["000", "001"],
        ["002"],
        ["003"],
    ]
    named: dict[SplitName, list[str]] = {
        "train": ["000"],
        "validation": ["003"],
        "test": ["002", "001"],
    }
    assert [scenes(split, **named) for split in named] == [["000"], ["003"], ["001", "002"]]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"test": "train"}, "scene 000 is in both train and test"),
        ({"validation": "val"}, "scene 003 is in both test and validation"),
        ({"test": "test"}, "leaves no scene for test"),
        ({"train": ["009"]}, "no scene '009'; it lists 000, 001"),
        ({"train": ["000"], "validation": 0.4}, "leaves no scene for train"),
        ({"camera": "CAMERA_09"}, r"calib\.json: no camera 'CAMERA_09'; known: LIDAR, CAMERA_01"),
        ({"camera": "LIDAR"}, "fx = 0 and fy = 0: no camera"),
    ],
)
def test_splits_and_cameras_that_cannot_be_are_refused(
    tmp_path: Path, changes: dict[str, Any], told: str
) -> None:
    root = write_dataset(tmp_path)
    with pytest.raises(DataError, match=told):
        ddad(root, "train", **changes)


def test_missing_scenes_are_refused_or_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = write_dataset(tmp_path, train=4)
    (root / "001/scene_abc.json").unlink()
    with pytest.raises(DataError, match=r"1 of 3 scenes are not under .*ask for a partial list"):
        ddad(root, "train")
    with caplog.at_level(logging.WARNING):
        assert len(ddad(root, "train", partial=True)) == 4
    assert "ddad train: 1 of 3 scenes are not under" in caplog.text


@pytest.mark.parametrize(
    "files", [{}, {"a.json": {"scene_splits": {}}, "b.json": {"scene_splits": {}}}]
)
def test_one_dataset_file_is_expected(tmp_path: Path, files: dict[str, Plain]) -> None:
    for name, plain in files.items():
        (tmp_path / name).write_text(json.dumps(plain))
    with pytest.raises(DataError, match=r"expected one JSON file with scene_splits.* ddad\.json"):
        ddad(tmp_path, "train")
    with pytest.raises(DataError, match="no such folder"):
        ddad(tmp_path / "none", "train")


def harm_empty_scan(folder: Path) -> None:
    np.savez(folder / "point_cloud/LIDAR/001.npz", data=np.zeros((0, 4)))


def harm_nan(folder: Path) -> None:
    scan = default_scan()
    scan[3, 1] = np.nan
    np.savez(folder / "point_cloud/LIDAR/001.npz", data=scan)


def harm_shape(folder: Path) -> None:
    np.savez(folder / "point_cloud/LIDAR/001.npz", data=np.zeros(8))


def harm_behind(folder: Path) -> None:
    np.savez(folder / "point_cloud/LIDAR/001.npz", data=-default_scan())


def harm_truncated(folder: Path) -> None:
    path = folder / "point_cloud/LIDAR/001.npz"
    os.truncate(path, path.stat().st_size // 2)


def harm_no_image(folder: Path) -> None:
    (folder / "rgb/CAMERA_01/001.png").unlink()


def harm_resized(folder: Path) -> None:
    write_image(folder / "rgb/CAMERA_01/001.png", (12, 40))


def harm_lacking(folder: Path) -> None:
    plain = scene_plain()
    plain["samples"][1]["datum_keys"].remove("LIDAR1")
    (folder / "scene_abc.json").write_text(json.dumps(plain))


HARMS: dict[Callable[[Path], None], str] = {
    harm_empty_scan: r"001\.npz: an empty scan \(0 points\)",
    harm_nan: r"001\.npz: 1 of 40 points are not finite numbers",
    harm_shape: r"001\.npz: a scan is points .*shape of this is \(8,\)",
    harm_behind: r"none of its 40 points lands in",
    harm_truncated: r"001\.npz: cannot be read as \.npz.*copy it again",
    harm_no_image: r"001\.png: no such file",
    harm_resized: r"001\.png: 12x40, but its scene states 24x80",
    harm_lacking: r"sample 1 has 1 images of CAMERA_01 and 0 scans",
}


@pytest.mark.parametrize("harm", HARMS)
def test_a_bad_sample_is_left_out_counted_and_listed(
    tmp_path: Path, harm: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    path = write_scene(tmp_path / "000")
    harm(tmp_path / "000")
    with pytest.raises(DataError, match=HARMS[harm]):
        prepare(scene_source(path), (32, 32), tmp_path / "cache", bad_share=0.4)
    with caplog.at_level(logging.WARNING):
        data = prepare(scene_source(path), (32, 32), tmp_path / "cache", bad_share=0.5)
    assert (data.names, data.left_out) == (("000/CAMERA_01/000",), 1)
    assert "1 of 2 frames cannot be used" in caplog.text


DAMAGED = {
    "not JSON": lambda plain: "{",
    "a list": lambda plain: [],
    "no samples": lambda plain: {"data": plain["data"]},
    "no calibration": lambda plain: plain["samples"][0].pop("calibration_key") and plain,
    "other calibration": lambda plain: plain["samples"][0].update(calibration_key="x") or plain,
    "no pose": lambda plain: plain["data"][0]["datum"]["image"].pop("pose") and plain,
    "no rotation": lambda plain: plain["data"][0]["datum"]["image"].update(pose={}) or plain,
    "words": lambda plain: (
        plain["data"][1]["datum"]["point_cloud"]["pose"]["rotation"].update(qx="a") or plain
    ),
}


@pytest.mark.parametrize("damage", DAMAGED)
def test_damaged_scenes_are_refused_with_the_file(tmp_path: Path, damage: str) -> None:
    path = write_scene(tmp_path / "000")
    plain = DAMAGED[damage](json.loads(path.read_text()))
    path.write_text(plain if isinstance(plain, str) else json.dumps(plain))
    with pytest.raises(DataError, match=r"(scene_abc|calibration/x)\.json: "):
        scene_frames(path, "CAMERA_01")


LEAVES = (
    st.none() | st.booleans() | st.integers(-3, 3) | st.text(max_size=3) | st.just([]) | st.just({})
)


@given(data=st.data())
def test_any_one_changed_value_is_a_message_or_frames(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = write_scene(tmp_path_factory.mktemp("dgp") / "000", samples=1)
    plain: Any = json.loads(path.read_text())
    node = plain
    while True:
        keys = list(node) if isinstance(node, dict) else list(range(len(node)))
        key = data.draw(st.sampled_from(keys))
        if not isinstance(node[key], dict | list) or not node[key] or data.draw(st.booleans()):
            node[key] = data.draw(LEAVES)
            break
        node = node[key]
    path.write_text(json.dumps(plain))
    try:
        scene_frames(path, "CAMERA_01")
    except DataError as refused:
        assert str(path.parent) in str(refused)


def test_the_cache_is_another_when_a_pose_or_a_scan_changes(tmp_path: Path) -> None:
    path = write_scene(tmp_path / "000")
    keys = [cache_key(scene_source(path), (32, 32)) for _ in range(2)]
    plain = scene_plain()
    plain["data"][0]["datum"]["image"]["pose"]["translation"]["x"] = 0.75
    path.write_text(json.dumps(plain))
    keys.append(cache_key(scene_source(path), (32, 32)))
    np.savez(tmp_path / "000/point_cloud/LIDAR/001.npz", data=default_scan()[:-1])
    keys.append(cache_key(scene_source(path), (32, 32)))
    assert keys[0] == keys[1] and len(set(keys)) == 3


def test_source_travels_to_other_processes(tmp_path: Path) -> None:
    found = scene_source(write_scene(tmp_path / "000"))
    copy = pickle.loads(pickle.dumps(found))
    np.testing.assert_array_equal(copy[1].depth, found[1].depth)


def test_only_its_own_protocol_judges_it(tmp_path: Path) -> None:
    table = data_table({"set": "ddad", "root": "x"})
    described = protocol_of(table, tmp_path).describe()
    assert described.startswith("ddad (crop none, 0.001-200 m, sensor truth")
    with pytest.raises(StudyError, match=r"protocol: .*'ddad', got 'scenes'"):
        data_table({"set": "ddad", "root": "x", "protocol": "scenes"})


# --- the real scene ------------------------------------------------------------------------------


def real_scene() -> Path:
    return next(real("dgp_sample", "scene_01").resolve().glob("scene_*.json"))


def test_real_scans_land_where_the_calibration_alone_would_put_them() -> None:
    """The car stands still in this scene, so both ways from scanner to camera must agree."""
    path = real_scene()
    calibration = json.loads(next((path.parent / "calibration").glob("*.json")).read_text())

    def extrinsics(name: str) -> np.ndarray:
        plain = calibration["extrinsics"][calibration["names"].index(name)]
        turn = rotation(*(plain["rotation"][key] for key in ("qw", "qx", "qy", "qz")))
        return rigid(turn, np.array([plain["translation"][axis] for axis in "xyz"]))

    between = inverse(extrinsics("CAMERA_01")) @ extrinsics("LIDAR")
    found = scene_source(path)
    for i, frame in enumerate(found.frames):
        assert isinstance(frame, DgpFrame)  # a whole one
        np.testing.assert_allclose(frame.to_camera, between, atol=1e-6)
        expected = project_points(
            read_scan(frame.scan),
            between,
            frame.intrinsics,
            frame.size,
        )
        depth = found[i].depth
        both = (depth > 0) & (expected > 0)
        assert np.count_nonzero(both) > 0.99 * np.count_nonzero(depth)
        np.testing.assert_allclose(depth[both], expected[both], rtol=1e-5)


def test_real_intrinsics_count_from_the_middle_of_the_first_pixel() -> None:
    source = scene_source(real_scene())
    frame = source.frames[0]
    assert isinstance(frame, DgpFrame)
    (fx, _, cx), (_, fy, cy), _ = frame.intrinsics.tolist()
    assert source[0].intrinsics == (fx, fy, cx - 0.5, cy - 0.5)
    assert 900 < cx < 1000 and 500 < cy < 700 and fx > 1000
    assert "CC BY-NC-SA 4.0" in source.provenance.licence


def test_real_scans_are_sparse_and_reach_226_metres() -> None:
    sample = scene_source(real_scene())[0]
    assert sample.image.shape == (1216, 1936, 3)
    known = sample.depth[sample.depth > 0]
    assert known.size == 4818
    assert (known.min(), known.max()) == (
        pytest.approx(5.061, abs=1e-3),
        pytest.approx(226.1, abs=0.1),
    )


def test_real_scene_is_checked_trained_on_and_evaluated(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scene = real_scene()
    names = ["a", "b", "c"]  # one real scene under three names: enough to run everything
    for name in names:
        (tmp_path / "ddad").mkdir(exist_ok=True)
        (tmp_path / "ddad" / name).symlink_to(scene.parent)
    files = [f"{name}/{scene.name}" for name in names]
    splits = {"0": {"filenames": files[:2]}, "1": {"filenames": [files[2], f"gone/{scene.name}"]}}
    (tmp_path / "ddad" / "ddad.json").write_text(json.dumps({"scene_splits": splits}))
    root = str(tmp_path / "ddad")
    assert data_command(["ddad", "--check", root]) == 0
    told = capsys.readouterr().out
    assert "ddad test: 3 frames, sensor truth; of 3 looked at 3 are good: 1216x1936" in told
    place = ["--data", "ddad", "--root", root, "--partial", "--cache", str(tmp_path / "cache")]
    out = str(tmp_path / "out")
    options = ["--size", "32x64", "--steps", "2", "--set", "batch=2", "--out", out]
    assert train_command(["depthnet-tiny", *place, *options]) == 0
    capsys.readouterr()
    assert evaluate_command([out, *place, "--json"]) == 0
    accuracy = json.loads(capsys.readouterr().out)
    assert (accuracy["images"], accuracy["data"]) == (3, "ddad test, 3 images at 32x64")
    assert accuracy["protocol"].startswith("ddad (crop none, 0.001-200 m, sensor truth")
