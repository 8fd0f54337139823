from __future__ import annotations

import json
import logging
import os
import pickle
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from kitti_trees import (
    DATE,
    SIZE,
    point_at,
    real,
    write_calibration,
    write_depth,
    write_image,
    write_scan,
)

from nano.data.images import read_image
from nano.data.kitti import KittiSource, drive_frames
from nano.data.splits import Drive, Frame, eigen_test, eigen_test_annotated
from nano.errors import DataError

DRIVE = Drive(DATE, 1)
LENGTH = 14  # images; annotated maps of 5..8
ANNOTATED_M, SINGLE_M, SCAN_M = 10.0, 20.0, 30.0  # each kind of truth has a depth of its own

LAYOUTS = {
    "separate archive": lambda drive: Path("depth/train") / drive.folder,
    "validation part of the archive": lambda drive: Path("depth/val") / drive.folder,
    "merged folder": lambda drive: Path("depth") / drive.folder,
    "inside the raw tree": lambda drive: Path("raw") / drive.date / drive.folder,
}


def raw_folder(root: Path, drive: Drive = DRIVE) -> Path:
    return root / "raw" / drive.date / drive.folder


def tree(
    root: Path,
    drive: Drive = DRIVE,
    *,
    ending: str = "png",
    layout: str = "separate archive",
    length: int = LENGTH,
    scans: bool = True,
    single_scan: tuple[int, ...] = (5, 6),
) -> Path:
    """A drive with every kind of truth; annotated maps where KITTI has them."""
    raw, depth = raw_folder(root, drive), root / LAYOUTS[layout](drive) / "proj_depth"
    write_calibration(raw.parent)
    for index in range(length):
        write_image(raw / f"image_02/data/{index:010d}.{ending}", seed=index)
        if scans:
            points = np.array([point_at(30, 8, SCAN_M), point_at(31, 8, SCAN_M)], np.float32)
            write_scan(raw / f"velodyne_points/data/{index:010d}.bin", points)
        if 5 <= index < length - 5:
            write_depth(depth / f"groundtruth/image_02/{index:010d}.png", metres=ANNOTATED_M)
    for index in single_scan:
        write_depth(depth / f"velodyne_raw/image_02/{index:010d}.png", metres=SINGLE_M)
    return root


def some(*indices: int, drive: Drive = DRIVE) -> list[Frame]:
    return [Frame(drive=drive, index=index) for index in indices]


class TestReading:
    @pytest.mark.parametrize("layout", LAYOUTS)
    @pytest.mark.parametrize("ending", ["png", "jpg", "jpeg", "PNG"])
    def test_every_layout_and_picture_format_gives_image_and_depth(
        self, tmp_path: Path, layout: str, ending: str
    ) -> None:
        tree(tmp_path, layout=layout, ending=ending.lower())
        images = raw_folder(tmp_path) / "image_02/data"
        for path in list(images.iterdir()):
            path.rename(path.with_suffix(f".{ending}"))
        source = KittiSource([tmp_path], some(5, 8))
        sample = source[1]
        assert len(source) == 2
        assert sample.name == f"{DATE}_drive_0001_sync/image_02/0000000008"
        assert (sample.image == read_image(images / f"0000000008.{ending}")).all()
        assert sample.depth.dtype == np.float32
        assert sample.depth.shape == SIZE
        assert np.unique(sample.depth).tolist() == [0, ANNOTATED_M]

    @pytest.mark.parametrize(
        ("truth", "index", "metres"),
        [
            ("annotated", 5, ANNOTATED_M),
            ("single-scan", 5, SINGLE_M),
            ("single-scan", 7, SCAN_M),  # no map of this frame: its scan is projected
            ("raw", 5, SCAN_M),
        ],
    )
    def test_every_kind_of_truth_is_the_one_asked_for(
        self, tmp_path: Path, truth: str, index: int, metres: float
    ) -> None:
        source = KittiSource([tree(tmp_path)], some(index), truth=truth)
        assert source.truth == truth
        assert source[0].depth.max() == pytest.approx(metres, rel=1e-6)

    def test_the_legacy_rule_reaches_the_projection(self, tmp_path: Path) -> None:
        depth = KittiSource([tree(tmp_path)], some(5), truth="raw", legacy=True)[0].depth
        assert np.argwhere(depth).tolist() == [[7, 29], [7, 30]]
        assert depth.max() == pytest.approx(SCAN_M + 0.25)

    def test_images_and_maps_may_lie_on_two_disks(self, tmp_path: Path) -> None:
        tree(tmp_path)
        shutil.move(tmp_path / "depth", tmp_path / "other disk")
        source = KittiSource([tmp_path / "raw", tmp_path / "other disk"], some(6))
        assert source[0].depth.max() == ANNOTATED_M

    def test_a_drive_may_be_divided_over_roots(self, tmp_path: Path) -> None:
        first, second = tree(tmp_path / "a"), tree(tmp_path / "b")
        for index in (6, 7):
            (raw_folder(first) / f"image_02/data/{index:010d}.png").unlink()
        image = write_image(raw_folder(second) / "image_02/data/0000000007.png", seed=99)
        source = KittiSource([first, second], some(5, 6, 7))
        assert len(source) == 3
        assert (source[2].image == read_image(image)).all()

    def test_the_first_root_that_has_a_frame_wins(self, tmp_path: Path) -> None:
        first, second = tree(tmp_path / "a"), tree(tmp_path / "b")
        image = write_image(raw_folder(second) / "image_02/data/0000000005.png", seed=99)
        both = [KittiSource(roots, some(5)) for roots in ([first, second], [second, first])]
        assert not (both[0][0].image == read_image(image)).all()
        assert (both[1][0].image == read_image(image)).all()

    def test_a_root_may_be_the_date_or_the_drive_itself(self, tmp_path: Path) -> None:
        drive = raw_folder(tree(tmp_path, layout="inside the raw tree"))
        for root in (drive, drive.parent):
            assert len(KittiSource([root], some(5), truth="raw")) == 1

    def test_the_right_camera_is_read_from_its_own_folders(self, tmp_path: Path) -> None:
        raw = raw_folder(tree(tmp_path))
        image = write_image(raw / "image_03/data/0000000005.png", seed=7)
        frame = replace(some(5)[0], camera=3)
        sample = KittiSource([tmp_path], [frame], truth="raw")[0]
        assert (sample.image == read_image(image)).all()
        assert np.count_nonzero(sample.depth) == 2

    def test_it_reads_the_same_in_another_process(self, tmp_path: Path) -> None:
        source = KittiSource([tree(tmp_path)], some(5, 7), truth="single-scan")
        other = pickle.loads(pickle.dumps(source))
        assert other.identity() == source.identity()
        assert (other[1].depth == source[1].depth).all()

    def test_it_ends_after_its_last_frame(self, tmp_path: Path) -> None:
        source = KittiSource([tree(tmp_path)], some(5, 6))
        assert [sample.name for sample in source] == [frame.name for frame in source.frames]


class TestProvenance:
    def test_intrinsics_come_from_the_calibration_where_there_is_one(self, tmp_path: Path) -> None:
        raw = raw_folder(tree(tmp_path))
        for truth in ("annotated", "raw"):
            sample = KittiSource([tmp_path], some(5), truth=truth)[0]
            assert sample.intrinsics == (40.0, 40.0, 40.0, 12.0)
        (raw.parent / "calib_velo_to_cam.txt").unlink()
        assert KittiSource([tmp_path], some(5))[0].intrinsics is None

    def test_intrinsics_of_a_resized_set_are_unknown(self, tmp_path: Path) -> None:
        raw = raw_folder(tree(tmp_path))
        write_image(raw / "image_02/data/0000000005.png", size=(12, 40))
        maps = tmp_path / "depth/train" / DRIVE.folder / "proj_depth/groundtruth/image_02"
        write_depth(maps / "0000000005.png", size=(12, 40))
        assert KittiSource([tmp_path], some(5))[0].intrinsics is None

    def test_another_calibration_asks_for_another_cache(self, tmp_path: Path) -> None:
        raw = raw_folder(tree(tmp_path))
        before = KittiSource([tmp_path], some(5)).identity()
        write_calibration(raw.parent, P_rect_02="50 0 40 0 0 50 12 0 0 0 1 0")
        assert KittiSource([tmp_path], some(5)).identity() != before

    def test_licence_and_rule_travel_with_the_frames(self, tmp_path: Path) -> None:
        tree(tmp_path)
        maps, scans = (
            KittiSource([tmp_path], some(5), truth=truth, legacy=truth == "raw").provenance
            for truth in ("annotated", "raw")
        )
        assert "CC BY-NC-SA 3.0" in maps.licence
        assert maps.protocol == "KITTI, annotated truth; metres"
        assert scans.protocol == "KITTI, raw truth; scans projected by the legacy rule; metres"

    def test_real_calibration_has_the_focal_length_of_its_date(self) -> None:
        drive = Drive("2011_09_26", 1)
        source = KittiSource([real("kitti_sample")], some(5, drive=drive))
        assert source[0].intrinsics == pytest.approx((721.5377, 721.5377, 609.5593, 172.854))


class TestCompleteness:
    def test_kittis_own_gaps_are_left_out_counted_and_said(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        source = KittiSource([tree(tmp_path)], some(*range(LENGTH)))
        assert [frame.index for frame in source.frames] == [5, 6, 7, 8]
        assert len(source.left_out) == 10
        assert "10 of 14 frames left out: 10 with no annotated map (KITTI made none" in caplog.text

    def test_the_697_give_652_on_a_complete_disk(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.ERROR)
        annotated = set(eigen_test_annotated())
        for frame in eigen_test():
            image = raw_folder(tmp_path, frame.drive) / f"image_02/data/{frame.index:010d}.png"
            image.parent.mkdir(parents=True, exist_ok=True)
            image.touch()
            if frame in annotated:
                part = "val" if frame.drive.number % 2 else "train"
                maps = tmp_path / part / frame.drive.folder / "proj_depth/groundtruth/image_02"
                maps.mkdir(parents=True, exist_ok=True)
                (maps / f"{frame.index:010d}.png").touch()
        source = KittiSource([tmp_path], eigen_test())
        assert source.frames == eigen_test_annotated()
        assert len(source.left_out) == 45
        shutil.rmtree(tmp_path / "val")
        with pytest.raises(DataError, match=r"incomplete.*train/ and val/ are both needed"):
            KittiSource([tmp_path], eigen_test())

    def test_the_scans_that_kitti_lost_are_left_out(self, tmp_path: Path) -> None:
        drive = Drive("2011_09_26", 9)
        raw = raw_folder(tmp_path, drive)
        write_calibration(raw.parent, size=(375, 1242))
        for index in range(175, 183):
            write_image(raw / f"image_02/data/{index:010d}.png")
            if not 177 <= index <= 180:
                write_scan(raw / f"velodyne_points/data/{index:010d}.bin", np.ones((1, 4)))
        source = KittiSource([tmp_path], drive_frames([tmp_path], [drive]), truth="raw")
        assert [frame.index for frame in source.frames] == [175, 176, 181, 182]
        assert "4 with no scan (KITTI has none" in source.left_out_text

    @pytest.mark.parametrize(
        ("folder", "truth", "why"),
        [
            ("raw/{date}/{drive}/image_02/data", "annotated", "1 with no image"),
            (
                "depth/train/{drive}/proj_depth/groundtruth/image_02",
                "annotated",
                "no annotated map",
            ),
            ("raw/{date}/{drive}/velodyne_points/data", "raw", "1 with no scan"),
        ],
    )
    def test_a_hole_on_the_disk_is_refused_or_left_out_on_request(
        self, tmp_path: Path, folder: str, truth: str, why: str
    ) -> None:
        tree(tmp_path)
        place = tmp_path / folder.format(date=DATE, drive=DRIVE.folder)
        next(place.glob("0000000006.*")).unlink()
        with pytest.raises(DataError, match=rf"1 of 2 frames.*{why}.*0000000006.*partial"):
            KittiSource([tmp_path], some(5, 6), truth=truth)
        source = KittiSource([tmp_path], some(5, 6), truth=truth, partial=True)
        assert [frame.index for frame in source.frames] == [5]
        assert why in source.left_out_text

    def test_the_end_of_a_drive_is_where_kitti_ended_it_not_the_disk(self, tmp_path: Path) -> None:
        # On the disk frame 8 is the last but one; KITTI's drive goes on, and has its map.
        drive = Drive("2011_09_26", 1)
        tree(tmp_path, drive, length=10)
        write_depth(
            tmp_path / f"depth/train/{drive.folder}/proj_depth/groundtruth/image_02/{7:010d}.png"
        )
        with pytest.raises(DataError, match=r"1 of 2 frames are incomplete.*0000000008"):
            KittiSource([tmp_path], some(7, 8, drive=drive))

    def test_a_list_of_which_nothing_is_there_is_refused_even_if_partial(
        self, tmp_path: Path
    ) -> None:
        with pytest.raises(DataError, match="none of the 697 frames can be used"):
            KittiSource([tree(tmp_path)], eigen_test(), partial=True)

    def test_no_frame_at_all_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match="no frame was asked for"):
            KittiSource([tree(tmp_path)], [])


class TestRefusals:
    def test_an_unknown_truth_names_the_known_ones(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match="annotated, single-scan, raw"):
            KittiSource([tree(tmp_path)], some(5), truth="improved")

    def test_the_legacy_rule_is_for_raw_scans_only(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match="legacy"):
            KittiSource([tree(tmp_path)], some(5), truth="single-scan", legacy=True)

    def test_a_frame_comes_once(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match="0000000005 is asked for 2 times"):
            KittiSource([tree(tmp_path)], some(5, 6, 5))

    def test_the_grey_cameras_are_refused(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match=r"image_00.*cameras 2 and 3"):
            KittiSource([tree(tmp_path)], [replace(some(5)[0], camera=0)])

    def test_no_root_a_missing_root_and_a_root_without_drives(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match="no KITTI root"):
            KittiSource([], some(5))
        with pytest.raises(DataError, match="gone: no such folder"):
            KittiSource([tmp_path / "gone"], some(5))
        (tmp_path / "file").touch()
        with pytest.raises(DataError, match="file: not a folder: expected"):
            KittiSource([tmp_path / "file"], some(5))
        with pytest.raises(DataError, match="no KITTI drive: expected folders such as"):
            KittiSource([tmp_path], some(5))

    def test_unrectified_recordings_are_told_from_the_right_ones(self, tmp_path: Path) -> None:
        (tmp_path / DATE / f"{DATE}_drive_0001_extract").mkdir(parents=True)
        with pytest.raises(DataError, match=r"_extract.*_sync archive"):
            KittiSource([tmp_path], some(5))

    def test_a_scan_needs_a_calibration(self, tmp_path: Path) -> None:
        for path in (raw_folder(tree(tmp_path)).parent).glob("calib*"):
            path.unlink()
        with pytest.raises(DataError, match=rf"no calibration of {DATE}.*{DATE}_calib\.zip"):
            KittiSource([tmp_path], some(5), truth="raw")
        assert len(KittiSource([tmp_path], some(5))) == 1  # annotated maps need none

    def test_a_damaged_calibration_is_found_when_the_source_is_opened(self, tmp_path: Path) -> None:
        write_calibration(raw_folder(tree(tmp_path)).parent, P_rect_02=None)
        with pytest.raises(DataError, match=r"calib_cam_to_cam\.txt: key P_rect_02 is missing"):
            KittiSource([tmp_path], some(5), truth="raw")

    def test_the_calibration_of_another_date_is_recognised(self, tmp_path: Path) -> None:
        drive = Drive("2011_09_26", 1)
        tree(tmp_path, drive)
        write_calibration(raw_folder(tmp_path, drive).parent, size=(370, 1224))
        with pytest.raises(DataError, match="this is the calibration of 2011_09_28"):
            KittiSource([tmp_path], some(5, drive=drive), truth="raw")

    def test_a_calibration_of_another_image_size_is_refused(self, tmp_path: Path) -> None:
        write_calibration(raw_folder(tree(tmp_path)).parent, size=(24, 81))
        source = KittiSource([tmp_path], some(5), truth="raw")
        with pytest.raises(DataError, match=r"0000000005\.png: 24x80, but.*24x81"):
            source[0]

    def test_a_resized_image_is_refused(self, tmp_path: Path) -> None:
        image = raw_folder(tree(tmp_path)) / "image_02/data/0000000005.png"
        write_image(image, size=(12, 40))
        with pytest.raises(DataError, match=r"the map is 24x80, but its image.*12x40"):
            KittiSource([tmp_path], some(5))[0]

    def test_a_scan_that_misses_the_image_is_refused(self, tmp_path: Path) -> None:
        scan = raw_folder(tree(tmp_path)) / "velodyne_points/data/0000000005.bin"
        write_scan(scan, np.array([[-3, 0, 0, 0], [1, 90, 0, 0]]))
        with pytest.raises(DataError, match=r"0000000005\.bin: none of its 2 points"):
            KittiSource([tmp_path], some(5), truth="raw")[0]

    def test_damage_is_met_at_its_own_frame_only(self, tmp_path: Path) -> None:
        image = raw_folder(tree(tmp_path)) / "image_02/data/0000000005.png"
        image.write_text("not an image")
        source = KittiSource([tmp_path], some(5, 6))
        with pytest.raises(DataError, match=r"0000000005\.png: not an image"):
            source[0]
        assert source[1].image.shape == (*SIZE, 3)


class TestIdentity:
    def test_it_is_plain_and_says_where_the_truth_comes_from(self, tmp_path: Path) -> None:
        identity = KittiSource([tree(tmp_path)], some(5, 6, 7), truth="single-scan").identity()
        assert json.loads(json.dumps(identity)) == identity
        files = identity.pop("files")
        assert len(files) == 12
        assert identity == {
            "set": "kitti",
            "truth": "single-scan",
            "rule": "clean",
            "frames": 3,
            "maps": 2,
            "projected": 1,
        }

    @pytest.mark.parametrize(
        ("file", "truth"),
        [
            ("image_02/data/0000000005.png", "annotated"),
            ("velodyne_points/data/0000000005.bin", "raw"),
        ],
    )
    def test_a_changed_file_changes_it(self, tmp_path: Path, file: str, truth: str) -> None:
        path = raw_folder(tree(tmp_path)) / file
        source = KittiSource([tmp_path], some(5), truth=truth)
        before = source.identity()
        os.utime(path, ns=(0, path.stat().st_mtime_ns + 1))
        touched = source.identity()
        with path.open("ab") as content:
            content.write(b"x" * 16)
        assert len({before["files"], touched["files"], source.identity()["files"]}) == 3

    def test_other_frames_truth_rule_or_calibration_change_it(self, tmp_path: Path) -> None:
        tree(tmp_path)
        sources = [
            KittiSource([tmp_path], some(5)),
            KittiSource([tmp_path], some(6)),
            KittiSource([tmp_path], some(5), truth="raw"),
            KittiSource([tmp_path], some(5), truth="raw", legacy=True),
        ]
        write_calibration(raw_folder(tmp_path).parent, T="0 0 -0.5")
        sources.append(KittiSource([tmp_path], some(5), truth="raw"))
        assert len({str(source.identity()) for source in sources}) == 5

    def test_moving_the_data_keeps_it(self, tmp_path: Path) -> None:
        before = KittiSource([tree(tmp_path / "a")], some(5), truth="raw").identity()
        (tmp_path / "a").rename(tmp_path / "b")
        assert KittiSource([tmp_path / "b"], some(5), truth="raw").identity() == before

    def test_a_file_that_has_gone_is_named(self, tmp_path: Path) -> None:
        source = KittiSource([tree(tmp_path)], some(5))
        (raw_folder(tmp_path) / "image_02/data/0000000005.png").unlink()
        with pytest.raises(DataError, match=r"0000000005\.png: cannot be read"):
            source.identity()


class TestDriveFrames:
    def test_every_image_of_the_drives_in_order(self, tmp_path: Path) -> None:
        second = Drive(DATE, 2)
        tree(tmp_path, second, length=3, single_scan=())
        tree(tmp_path, length=2, single_scan=())
        expected = tuple(some(0, 1) + some(0, 1, 2, drive=second))
        assert drive_frames([tmp_path]) == expected
        assert drive_frames([tmp_path], [second, DRIVE, second]) == expected
        assert drive_frames([tmp_path], camera=3) == ()

    def test_files_that_are_no_frames_are_passed_over(self, tmp_path: Path) -> None:
        images = raw_folder(tree(tmp_path, length=2, single_scan=())) / "image_02/data"
        for name in ("Thumbs.db", "0000000002.txt", "12.png", "0000000003.png.part"):
            (images / name).touch()
        assert [frame.index for frame in drive_frames([tmp_path])] == [0, 1]

    def test_a_drive_that_is_not_there_is_refused_with_those_that_are(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match=rf"0007_sync is not under.*{DRIVE.folder}"):
            drive_frames([tree(tmp_path)], [Drive(DATE, 7)])

    def test_an_empty_drive_is_refused(self, tmp_path: Path) -> None:
        shutil.rmtree(raw_folder(tree(tmp_path)) / "image_02")
        with pytest.raises(DataError, match="image_02/data: no images"):
            drive_frames([tmp_path], [DRIVE])


class TestRealFrames:
    def test_a_jpeg_drive_with_maps_of_single_scans(self) -> None:
        roots = [real("kitti_drive")]
        source = KittiSource(roots, drive_frames(roots), truth="single-scan")
        sample = source[50]
        assert len(source) == 78
        assert source.identity()["maps"] == 78
        assert sample.image.shape == (375, 1242, 3)
        assert np.count_nonzero(sample.depth) > 14000

    def test_annotated_and_projected_frames_of_one_root(self) -> None:
        roots = [real("kitti_sample")]
        frame = Frame(drive=Drive("2011_09_26", 1), index=5)
        maps = {
            truth: KittiSource(roots, [frame], truth=truth)[0].depth > 0
            for truth in ("annotated", "single-scan", "raw")
        }
        shares = {truth: round(float(known.mean()), 3) for truth, known in maps.items()}
        assert shares == {"annotated": 0.195, "single-scan": 0.041, "raw": 0.041}
        assert (maps["single-scan"] != maps["raw"]).any()

    def test_the_test_frames_that_are_there(self) -> None:
        source = KittiSource(
            [real("kitti_sample")], eigen_test(), truth="raw", legacy=True, partial=True
        )
        assert [frame.index for frame in source.frames] == [0, 6]
        assert all(np.count_nonzero(sample.depth) > 19000 for sample in source)
