from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from kitti_trees import (
    DATE,
    point_at,
    real,
    write_calibration,
    write_depth,
    write_image,
    write_scan,
)
from PIL import Image

from nano.data.kitti import check_report, inventory
from nano.data.splits import Drive
from nano.errors import DataError

DRIVE = Drive(DATE, 1)


@pytest.fixture
def drive(tmp_path: Path) -> Path:
    """A healthy drive: two left images, one right, two scans, one map of each kind."""
    folder = tmp_path / DATE / DRIVE.folder
    write_calibration(folder.parent)
    for index in range(2):
        write_image(folder / f"image_02/data/{index:010d}.png")
        points = np.array([point_at(30, 8, 9)], np.float32)
        write_scan(folder / f"velodyne_points/data/{index:010d}.bin", points)
    write_image(folder / "image_03/data/0000000000.jpg")
    write_depth(folder / "proj_depth/groundtruth/image_02/0000000001.png")
    write_depth(folder / "proj_depth/velodyne_raw/image_02/0000000000.png")
    return folder


def problems(root: Path) -> str:
    return "\n".join(inventory([root]).problems)


def test_an_inventory_lists_every_kind(tmp_path: Path, drive: Path) -> None:
    found = inventory([tmp_path])
    (stock,) = found.drives
    assert stock.drive == DRIVE
    assert stock.folders == (drive,)
    assert stock.images == {2: (0, 1), 3: (0,)}
    assert stock.scans == (0, 1)
    assert stock.annotated == {2: (1,)}
    assert stock.single_scan == {2: (0,)}
    assert stock.usable("annotated") == {1}
    assert stock.usable("single-scan") == stock.usable("raw") == {0, 1}
    assert found.calibrations == {DATE: "complete"}
    assert found.problems == ()


def test_a_root_inside_another_adds_nothing(tmp_path: Path, drive: Path) -> None:
    found = inventory([tmp_path, tmp_path, drive.parent])
    assert found.drives == inventory([tmp_path]).drives
    assert found.problems == ()


def test_scans_that_kitti_lost_are_no_problem(tmp_path: Path) -> None:
    folder = tmp_path / "2011_09_26" / "2011_09_26_drive_0009_sync"
    write_calibration(folder.parent, size=(375, 1242))
    for index in (176, 177, 180, 181):
        write_image(folder / f"image_02/data/{index:010d}.png", size=(375, 1242))
    write_scan(folder / "velodyne_points/data/0000000176.bin", np.ones((1, 4), np.float32))
    assert problems(tmp_path).splitlines() == [f"{folder}: 1 left images have no scan: 181"]


def test_a_report_on_a_healthy_disk(tmp_path: Path, drive: Path) -> None:
    report = check_report([tmp_path])
    lacking = [line for line in report.splitlines() if line.startswith("lacking: ")]
    assert [line.split(" (")[0] for line in lacking] == [
        "lacking: images of 33 of 33 training drives",
        "lacking: images of 28 of 28 test drives",
    ]
    assert report == "\n".join(
        [
            f"KITTI under {tmp_path}",
            "",
            f"{DATE}   calibration: complete",
            "  drive  role         left    of  right  scans  annotated  single-scan maps",
            "  0001   in no list      2     ?      1      2          1                 1",
            "",
            "images with truth:          annotated  single-scan    raw",
            "  eigen-train, 23158                0            0      0",
            "  eigen-fit, 21797                  0            0      0",
            "  eigen-validation, 1361            0            0      0",
            "  eigen-test, 697                   0            0      0",
            "  eigen-test-annotated, 652         0            0      0",
            "  eigen-full, 46976                 0            0      0",
            "  eigen-neighbours, 46844           0            0      0",
            "  left images, 2                    1            2      2",
            "",
            "annotated maps: 1 drive inside the raw tree",
            *lacking,
            "",
            "no problems found",
        ]
    )


def test_missing_calibrations_matter_only_with_scans(tmp_path: Path, drive: Path) -> None:
    for path in drive.parent.glob("calib*"):
        path.unlink()
    assert f"no calibration of {DATE}" in problems(tmp_path)
    for path in (drive / "velodyne_points/data").iterdir():
        path.unlink()
    found = inventory([tmp_path])
    assert found.calibrations == {DATE: "none, and none is needed without scans"}
    assert found.problems == ()


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (lambda drive: write_calibration(drive.parent, R=None), "key R is missing"),
        (
            lambda drive: (drive / "velodyne_points/data/0000000001.bin").unlink(),
            "1 left images have no scan: 1",
        ),
        (
            lambda drive: (drive / "image_02/data/notes.txt").touch(),
            "image_02/data: 1 files are no frames: notes.txt",
        ),
        (
            lambda drive: (drive / "image_02/data/0000000000.png").write_text("text"),
            "0000000000.png: not an image",
        ),
        (
            lambda drive: Image.new("L", (80, 24), 9).save(
                drive / "proj_depth/groundtruth/image_02/0000000001.png"
            ),
            "groundtruth/image_02/0000000001.png: not a 16-bit depth map",
        ),
        (
            lambda drive: (drive / "velodyne_points/data/0000000000.bin").write_bytes(b"123"),
            "0000000000.bin: 3 bytes",
        ),
        (
            lambda drive: (drive.parent / f"{DATE}_drive_0002_sync").mkdir(),
            "0002_sync: no images",
        ),
        (
            lambda drive: write_image(
                drive.parent / f"{DATE}_drive_0002_sync/image_02/data/0000000000.png"
            ),
            "0002_sync: images but no depth of any kind",
        ),
        (
            lambda drive: (drive.parent / f"{DATE}_drive_0003_extract").mkdir(),
            "0003_extract: not rectified",
        ),
        (
            lambda drive: write_calibration(
                drive.parents[1] / "copy" / "2011_09_26", size=(370, 1224)
            ),
            "this is the calibration of 2011_09_28",
        ),
        (
            lambda drive: [
                write_calibration(drive.parents[1] / name / "2011_09_26", size=(375, 1242), T=shift)
                for name, shift in (("x", "0 0 0"), ("y", "0 0 1"))
            ],
            "y/2011_09_26/calib_velo_to_cam.txt: differs from",
        ),
    ],
)
def test_what_is_wrong_is_said_once_with_its_file(
    tmp_path: Path, drive: Path, spoil: Callable[[Path], object], problem: str
) -> None:
    assert problems(tmp_path) == ""
    spoil(drive)
    found = problems(tmp_path)
    assert found.count(problem) == 1
    assert f"problems: {len(found.splitlines())}\n- " in check_report([tmp_path])


def test_sizes_and_lengths_are_held_against_kittis(tmp_path: Path) -> None:
    folder = tmp_path / "2011_09_26_drive_0048_sync" / "image_02" / "data"
    write_image(folder / "0000000022.png", size=(24, 80))
    found = problems(tmp_path)
    assert "has image 22, but KITTI's drive ends at 21" in found
    assert "0000000022.png: 24x80, but KITTI's are 375x1242" in found


def image_of(root: Path, drive: Drive, index: int = 0) -> None:
    write_image(root / drive.date / drive.folder / f"image_02/data/{index:010d}.png", (375, 1242))


def map_of(folder: Path, drive: Drive) -> None:
    write_depth(
        folder / drive.folder / "proj_depth/groundtruth/image_02/0000000005.png", (375, 1242)
    )


def test_what_is_lacking_is_told_with_the_archive_that_has_it(tmp_path: Path) -> None:
    here = [Drive("2011_09_26", number) for number in (1, 2, 5)]
    for drive in here:
        image_of(tmp_path, drive)
    map_of(tmp_path / "depth/train", here[0])
    lacking = [line for line in check_report([tmp_path]).splitlines() if line.startswith("lacking")]
    assert lacking[0].startswith("lacking: images of 31 of 33 training drives (<drive>_sync.zip")
    assert "2011_09_26 0011 0014" in lacking[0]
    assert lacking[0].endswith("; 2011_10_03 0034 0042")
    assert lacking[1].startswith("lacking: images of 27 of 28 test drives")
    assert lacking[2] == (
        "lacking: annotated maps of 2 drives (data_depth_annotated.zip, 2 of them in its val/): "
        "2011_09_26 0002 0005"
    )
    assert lacking[3] == (
        "lacking: of 2011_09_26_drive_0001_sync 107 of 108 left images, 97 of 98 annotated maps"
    )


@pytest.mark.parametrize(
    ("place", "told"),
    [
        ("depth/train", "1 drive in the archive's train/"),
        ("depth/val", "1 drive in the archive's val/"),
        ("depth", "1 drive in a merged folder"),
        (DATE, "1 drive inside the raw tree"),
    ],
)
def test_the_layout_of_the_annotated_maps_is_told(tmp_path: Path, place: str, told: str) -> None:
    image_of(tmp_path, DRIVE)
    map_of(tmp_path / place, DRIVE)
    assert f"annotated maps: {told}" in check_report([tmp_path]).splitlines()


@pytest.mark.parametrize(
    ("away", "where"),
    [
        ("image_02/data", "image_02"),
        ("image_02/data", f"{DRIVE.folder}/image_02/data"),
        ("image_03/data", f"{DATE}/{DRIVE.folder}/image_03/data"),
        ("velodyne_points/data", "velodyne_points"),
        ("proj_depth/groundtruth/image_02", "groundtruth/image_02"),
        ("proj_depth/velodyne_raw/image_02", "proj_depth/velodyne_raw/image_02/data"),
    ],
)
def test_mislaid_frames_are_told_with_the_place_they_belong_to(
    tmp_path: Path, drive: Path, away: str, where: str
) -> None:
    (drive / away).rename(tmp_path / "away")
    (drive / where).parent.mkdir(parents=True, exist_ok=True)
    for path in (tmp_path / "away").iterdir():
        (drive / where).mkdir(exist_ok=True)
        path.rename(drive / where / path.name)
    found = problems(tmp_path)
    assert f"{drive / where}: frames are mislaid: move them to {drive / away}" in found
    assert found.count("are mislaid") == 1


def test_a_calibration_inside_a_drive_is_told(tmp_path: Path, drive: Path) -> None:
    for path in drive.parent.glob("calib*"):
        path.rename(drive / path.name)
    assert f"{drive}: the calibration is mislaid: move calib_*.txt to {drive.parent}" in problems(
        tmp_path
    )


def test_nothing_to_check_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no KITTI drive"):
        check_report([tmp_path])


def test_the_real_sample_is_healthy() -> None:
    found = inventory([real("kitti_sample"), real("kitti_drive")])
    assert [stock.drive.number for stock in found.drives] == [1, 2, 5, 9999]
    assert [len(stock.usable("single-scan")) for stock in found.drives] == [1, 4, 1, 78]
    assert found.problems == ()
