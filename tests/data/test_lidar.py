from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kitti_trees import (
    BASELINE,
    FOCAL,
    FORWARD,
    SIZE,
    point_at,
    real,
    write_calibration,
    write_scan,
)

from nano.data.images import read_depth_png
from nano.data.lidar import CLEAN, LEGACY, Calibration, Rule, project, read_calibration, read_scan
from nano.errors import DataError

LEGACY_Z = replace(LEGACY, vel_depth=False)


@pytest.fixture(scope="module")
def calibration(tmp_path_factory: pytest.TempPathFactory) -> Calibration:
    return read_calibration(write_calibration(tmp_path_factory.mktemp("calibration")))


def scan(*points: list[float]) -> np.ndarray:
    return np.array(points, dtype=np.float32).reshape(-1, 4)


def pixels(depth: np.ndarray) -> dict[tuple[int, int], float]:
    """Row and column of every known pixel, with its depth to the millimetre."""
    return {(int(v), int(u)): round(float(depth[v, u]), 3) for v, u in np.argwhere(depth)}


class TestProject:
    def test_a_point_lands_in_its_pixel_at_its_depth(self, calibration: Calibration) -> None:
        depth = project(scan(point_at(30, 5, 12.5)), calibration)
        assert depth.shape == SIZE
        assert depth.dtype == np.float32
        assert pixels(depth) == {(5, 30): 12.5}

    def test_the_nearest_of_several_points_is_kept(self, calibration: Calibration) -> None:
        points = scan(point_at(30, 5, 20), point_at(30.2, 5, 9), point_at(29.9, 5.1, 14))
        assert pixels(project(points, calibration)) == {(5, 30): 9}

    def test_the_right_camera_sees_it_further_left(self, calibration: Calibration) -> None:
        z = 10.0
        depth = project(scan(point_at(30, 5, z)), calibration, camera=3)
        assert pixels(depth) == {(5, 30 - round(FOCAL * BASELINE / z)): z}

    def test_the_legacy_rule_is_one_pixel_up_and_left(self, calibration: Calibration) -> None:
        depth = project(scan(point_at(30, 5, 12.5)), calibration, rule=LEGACY_Z)
        assert pixels(depth) == {(4, 29): 12.5}

    def test_legacy_depth_is_measured_from_the_velodyne(self, calibration: Calibration) -> None:
        depth = project(scan(point_at(30, 5, 12.5)), calibration, rule=LEGACY)
        assert pixels(depth) == {(4, 29): 12.5 + FORWARD}

    def test_halves_round_to_even(self, calibration: Calibration) -> None:
        # At z = 40 = the focal length, pixels are metres: halves are exact.
        points = scan(point_at(30.5, 5.5, 40), point_at(33.5, 6.5, 40))
        assert set(pixels(project(points, calibration))) == {(6, 30), (6, 34)}

    def test_the_image_ends_before_its_width_and_height(self, calibration: Calibration) -> None:
        height, width = SIZE
        corners = scan(point_at(0, 0, 40), point_at(width - 1, height - 1, 40))
        beyond = scan(point_at(width, 5, 40), point_at(5, height, 40), point_at(-1, 5, 40))
        assert set(pixels(project(corners, calibration))) == {(0, 0), (height - 1, width - 1)}
        assert not project(beyond, calibration).any()
        # The legacy rule subtracts before it compares: its last column is one further out.
        assert set(pixels(project(beyond, calibration, rule=LEGACY_Z))) == {
            (4, width - 1),
            (height - 1, 4),
        }

    @pytest.mark.parametrize("rule", [CLEAN, LEGACY], ids=lambda rule: rule.name)
    def test_nothing_behind_the_camera_is_seen(self, calibration: Calibration, rule: Rule) -> None:
        # 0.25 lies in the camera's own plane, where the division would be by zero.
        behind = scan([-5, 0, 0, 0], [0.1, 0, 0, 0], [0, 0, 0, 0], [FORWARD, 0, 0, 0])
        assert not project(behind, calibration, rule=rule).any()

    def test_the_scan_is_left_as_it_was(self, calibration: Calibration) -> None:
        points = scan(point_at(30, 5, 12.5))
        before = points.copy()
        project(points, calibration)
        assert (points == before).all()

    @settings(max_examples=40, deadline=None)
    @given(
        st.integers(min_value=0, max_value=2**32 - 1), st.sampled_from([CLEAN, LEGACY_Z, LEGACY])
    )
    def test_it_equals_the_rule_stated_point_by_point(
        self, calibration: Calibration, seed: int, rule: Rule
    ) -> None:
        points = np.random.default_rng(seed).uniform(-30, 30, (300, 4)).astype(np.float32)
        points[:, 1:3] /= 4
        height, width = SIZE
        expected = np.zeros(SIZE, dtype=np.float32)
        for x, y, up, _ in points.tolist():
            if x < 0:
                continue
            u, v, z = calibration.matrices[2] @ (x, y, up, 1.0)
            if z <= 0:
                continue
            column, row = round(u / z) - rule.shift, round(v / z) - rule.shift
            depth = np.float32(x if rule.vel_depth else z)
            if 0 <= column < width and 0 <= row < height:
                old = expected[row, column]
                expected[row, column] = depth if old == 0 else min(old, depth)
        found = project(points, calibration, rule=rule)
        assert ((found > 0) == (expected > 0)).all()
        assert np.allclose(found, expected, rtol=1e-6, atol=0)


class TestReadCalibration:
    def test_size_is_height_by_width(self, calibration: Calibration) -> None:
        assert calibration.size == SIZE

    @pytest.mark.parametrize(
        ("file", "key"),
        [
            ("calib_cam_to_cam.txt", "S_rect_02"),
            ("calib_cam_to_cam.txt", "R_rect_00"),
            ("calib_cam_to_cam.txt", "P_rect_02"),
            ("calib_cam_to_cam.txt", "P_rect_03"),
            ("calib_velo_to_cam.txt", "R"),
            ("calib_velo_to_cam.txt", "T"),
        ],
    )
    @pytest.mark.parametrize(
        ("value", "why"),
        [
            (None, "is missing"),
            ("1 2 3 4 5", "expected .* numbers, found 5"),
            ("one two", "could not convert"),
            ("", "numbers, found 0"),
        ],
    )
    def test_a_damaged_key_is_named_with_its_file(
        self, tmp_path: Path, file: str, key: str, value: str | None, why: str
    ) -> None:
        write_calibration(tmp_path, **{key: value})
        with pytest.raises(DataError, match=rf"{file}: (key )?{key}.*{why}"):
            read_calibration(tmp_path)

    def test_infinite_numbers_are_refused(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match="T: not all numbers are finite"):
            read_calibration(write_calibration(tmp_path, T="0 nan 0"))

    def test_an_empty_image_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match="S_rect_02"):
            read_calibration(write_calibration(tmp_path, S_rect_02="0 375"))

    @pytest.mark.parametrize("file", ["calib_cam_to_cam.txt", "calib_velo_to_cam.txt"])
    def test_a_missing_or_binary_file_is_named(self, tmp_path: Path, file: str) -> None:
        write_calibration(tmp_path)
        (tmp_path / file).write_bytes(b"\xff\xfe\x00")
        with pytest.raises(DataError, match=f"{file}: cannot be read"):
            read_calibration(tmp_path)
        (tmp_path / file).unlink()
        with pytest.raises(DataError, match=f"{file}: no such file"):
            read_calibration(tmp_path)


class TestReadScan:
    def test_points_come_back_as_written(self, tmp_path: Path) -> None:
        points = np.arange(12, dtype=np.float32).reshape(3, 4)
        assert (read_scan(write_scan(tmp_path / "a.bin", points)) == points).all()

    @pytest.mark.parametrize(
        ("content", "why"),
        [
            (b"", "an empty scan"),
            (b"x" * 40, "no whole number of points"),
            (np.array([1, np.nan, 2, 0] * 2, "<f4").tobytes(), "2 of 2 points are not finite"),
            (np.array([1, 2, np.inf, 0, 1, 2, 3, 4], "<f4").tobytes(), "1 of 2 points"),
        ],
    )
    def test_damage_is_refused_with_the_files_name(
        self, tmp_path: Path, content: bytes, why: str
    ) -> None:
        path = tmp_path / "a.bin"
        path.write_bytes(content)
        with pytest.raises(DataError, match=rf"a\.bin: .*{why}"):
            read_scan(path)

    def test_a_missing_or_unreadable_file_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match=r"a\.bin: no such file"):
            read_scan(tmp_path / "a.bin")
        with pytest.raises(DataError, match="cannot be read"):
            read_scan(tmp_path)


class TestRealFrames:
    """Counts pinned by an independent projection of the same scans."""

    def scan_of(self, drive: int, index: int) -> np.ndarray:
        name = f"2011_09_26_drive_{drive:04d}_sync"
        folder = real("kitti_sample", "raw", "2011_09_26", name, "velodyne_points", "data")
        return read_scan(folder / f"{index:010d}.bin")

    def calibration(self) -> Calibration:
        return read_calibration(real("kitti_sample", "raw", "2011_09_26"))

    @pytest.mark.parametrize(
        ("rule", "drive", "index", "in_image", "garg", "eigen"),
        [
            (LEGACY_Z, 2, 0, 19137, 17197, 16262),
            (LEGACY_Z, 2, 6, 19196, 17144, 16279),
            (LEGACY_Z, 1, 5, 19180, 17411, 16235),
            (CLEAN, 2, 0, 19101, 17213, 16184),
            (CLEAN, 2, 6, 19163, 17161, 16200),
            (CLEAN, 1, 5, 19137, 17442, 16162),
        ],
    )
    def test_pixels_of_either_rule(
        self, rule: Rule, drive: int, index: int, in_image: int, garg: int, eigen: int
    ) -> None:
        known = project(self.scan_of(drive, index), self.calibration(), rule=rule) > 0
        assert known.shape == (375, 1242)
        assert known.sum() == in_image
        assert known[153:371, 44:1197].sum() == garg
        assert known[124:342, 44:1197].sum() == eigen

    def test_points_of_a_scan(self) -> None:
        points = self.scan_of(1, 5)
        assert len(points) == 121948
        assert (points[:, 0] >= 0).sum() == 62956

    def test_legacy_depth_is_about_the_velodynes_distance_more(self) -> None:
        points = self.scan_of(1, 5)
        maps = [project(points, self.calibration(), rule=rule) for rule in (LEGACY, LEGACY_Z)]
        assert np.median((maps[0] - maps[1])[maps[1] > 0]) == pytest.approx(0.287, abs=0.02)

    def test_the_clean_rule_lies_closer_to_kittis_own_maps(self) -> None:
        points, calibration = self.scan_of(1, 5), self.calibration()
        clean, legacy = (project(points, calibration, rule=r) > 0 for r in (CLEAN, LEGACY_Z))
        name = "2011_09_26_drive_0001_sync"
        maps = real("kitti_sample", "depth", "train", name, "proj_depth")
        annotated, single = (
            read_depth_png(maps / kind / "image_02" / "0000000005.png") > 0
            for kind in ("groundtruth", "velodyne_raw")
        )
        assert (int((clean & annotated).sum()), int((legacy & annotated).sum())) == (8439, 7372)
        overlap = [(ours & single).sum() / (ours | single).sum() for ours in (clean, legacy)]
        assert overlap == pytest.approx([0.195, 0.035], abs=0.001)
