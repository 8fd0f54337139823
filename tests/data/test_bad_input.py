"""Every bad input that the set of commands must survive, by name, through `nano.data prepare`.

Each ends with a message that names the file and the remedy. The same damage in other sets stands in
their own tests (test_folder, test_ddad, test_nyu), and while filling in test_fill_job.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from folder_trees import MANIFEST, write_depth_png, write_folder
from kitti_trees import (
    DATE,
    point_at,
    write_calibration,
    write_depth,
    write_image,
    write_scan,
)
from PIL import Image

from nano.data.__main__ import main
from nano.design.presets import preset
from nano.errors import DataError, OutputError
from nano.evaluate.__main__ import main as evaluate_command
from nano.networks.depthnet import build
from nano.networks.model import Model, save_model

DRIVES = tuple(f"{DATE}_drive_{number:04d}_sync" for number in (1, 2, 3))
IMAGE = f"{DRIVES[0]}/image_02/data/0000000001.png"
MAP = f"{DRIVES[0]}/proj_depth/velodyne_raw/image_02/0000000001.png"
SCAN = f"{DRIVES[0]}/velodyne_points/data/0000000001.bin"


def kitti(tmp_path: Path, truth: str) -> Path:
    """A study of three drives of two frames each, with maps and scans below ``kitti``."""
    root = tmp_path / "kitti" / DATE
    write_calibration(root)
    for drive in DRIVES:
        for index in range(2):
            write_image(root / drive / f"image_02/data/{index:010d}.png", seed=index)
            write_depth(root / drive / f"proj_depth/velodyne_raw/image_02/{index:010d}.png")
            points = np.array([point_at(30, 8, 20.0), point_at(60, 16, 40.0)], np.float32)
            write_scan(root / drive / f"velodyne_points/data/{index:010d}.bin", points)
    study = tmp_path / "study.toml"
    splits = zip(("train", "validation", "test"), DRIVES, strict=True)
    lists = "".join(f'{split} = ["{drive}"]\n' for split, drive in splits)
    study.write_text(
        f'[data]\nset = "kitti"\nroot = "kitti"\nsize = [32, 64]\ntruth = "{truth}"\n{lists}'
    )
    return study


def prepare(study: Path) -> int:
    return main(["prepare", str(study), "--cache", str(study.parent / "cache")])


def halve(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


BAD: dict[str, tuple[str, str, Callable[[Path], object], str]] = {
    "truncated PNG image": (
        "single-scan",
        IMAGE,
        halve,
        "cannot be read as an image.*copy it again",
    ),
    "truncated PNG map": ("single-scan", MAP, halve, "cannot be read as an image.*copy it again"),
    "8-bit depth": (
        "single-scan",
        MAP,
        lambda path: Image.fromarray(np.full((24, 80), 200, np.uint8)).save(path),
        "not a 16-bit depth map.*use the PNG files as KITTI ships them",
    ),
    "depth saved through 8 bits": (
        "single-scan",
        MAP,
        lambda path: Image.fromarray(np.full((24, 80), 200, np.uint16)).save(path),
        "largest value 200 of 16 bits.*through 8 bits; use the PNG files as KITTI ships them",
    ),
    "empty scan": ("raw", SCAN, lambda path: path.write_bytes(b""), "an empty scan.*copy it again"),
    "NaN points": (
        "raw",
        SCAN,
        lambda path: write_scan(path, np.array([[1, 2, np.nan, 0], [9, 0, 0, 0]])),
        "1 of 2 points are not finite numbers: copy it again",
    ),
    "mixed sizes of image and map": (
        "single-scan",
        IMAGE,
        lambda path: write_image(path, (12, 40)),
        "the map is 24x80, but its image .* is 12x40 .*one of them was resized or cropped",
    ),
    "mixed sizes of image and calibration": (
        "raw",
        IMAGE,
        lambda path: write_image(path, (12, 40)),
        "12x40, but the calibration in .* is for 24x80 .*resized or cropped",
    ),
    "no image": (
        "single-scan",
        IMAGE,
        lambda path: path.write_text("a note"),
        r"not an image \(6 bytes\): expected a PNG or JPEG; copy it again",
    ),
}


@pytest.mark.parametrize("what", BAD)
def test_a_bad_frame_is_named_with_the_remedy(tmp_path: Path, what: str) -> None:
    truth, file, harm, told = BAD[what]
    study = kitti(tmp_path, truth)
    harm(tmp_path / "kitti" / DATE / file)
    with pytest.raises(DataError, match=f"1 of 2 frames cannot be used.*\n.*{told}") as refused:
        prepare(study)
    assert str(tmp_path / "kitti" / DATE / file) in str(refused.value)


def test_all_bad_frames_of_a_split_are_listed_at_the_end(tmp_path: Path) -> None:
    study = kitti(tmp_path, "single-scan")
    halve(tmp_path / "kitti" / DATE / MAP)
    (tmp_path / "kitti" / DATE / IMAGE.replace("01.png", "00.png")).write_text("a note")
    with pytest.raises(DataError, match=r"2 of 2 frames cannot be used; mend or remove them"):
        prepare(study)


def test_the_calibration_of_another_date_is_refused_before_any_frame(tmp_path: Path) -> None:
    folder = tmp_path / "2011_09_26"
    write_calibration(folder, size=(370, 1224))
    write_image(folder / "2011_09_26_drive_0002_sync/image_02/data/0000000000.png", (375, 1242))
    points = np.array([point_at(30, 8, 20.0)], np.float32)
    write_scan(folder / "2011_09_26_drive_0002_sync/velodyne_points/data/0000000000.bin", points)
    options = ["fill", str(tmp_path), "--out", str(tmp_path / "out"), "--truth", "raw"]
    with pytest.raises(DataError, match="this is the calibration of 2011_09_28") as refused:
        main(options)
    assert str(folder / "calib_cam_to_cam.txt") in str(refused.value)


def test_the_four_scans_that_kitti_lost_are_said_and_no_error(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    drive = tmp_path / "2011_09_26" / "2011_09_26_drive_0009_sync"
    write_calibration(drive.parent, size=(375, 1242))
    for index in range(176, 182):
        write_image(drive / f"image_02/data/{index:010d}.png", (375, 1242))
        if not 177 <= index <= 180:
            points = np.array([point_at(30, 8, 20.0)], np.float32)
            write_scan(drive / f"velodyne_points/data/{index:010d}.bin", points)
    options = ["--truth", "raw", "--method", "nearest", "--workers", "1"]
    assert main(["fill", str(tmp_path), "--out", str(tmp_path / "out"), *options]) == 0
    assert "4 with no scan (KITTI has none of 2011_09_26_drive_0009, images 177" in caplog.text
    assert ": 2 of 2 maps, 2 of them new" in capsys.readouterr().out
    (drive / "velodyne_points/data/0000000181.bin").unlink()
    assert main(["fill", str(tmp_path), "--out", str(tmp_path / "out"), *options]) == 0
    assert "1 with no scan (velodyne_points)" in caplog.text  # our hole is told apart from theirs


def test_an_image_without_a_pixel_in_the_crop_is_left_out_counted_and_found(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    design = preset("depthnet-tiny")
    model = Model(design=design, network=build(design, seed=0), target="log", size=(32, 64))
    save_model(tmp_path / "model", model)
    study = kitti(tmp_path, "single-scan")
    place = tmp_path / "kitti" / DATE / DRIVES[2] / "proj_depth/velodyne_raw/image_02"
    steps = np.zeros((24, 80), np.uint16)
    steps[:7] = 2560  # the crop keeps rows 7 to 21
    Image.fromarray(steps).save(place / "0000000001.png")
    table = tmp_path / "images.csv"
    options = ["--data", str(study), "--cache", str(tmp_path / "cache"), "--csv", str(table)]
    assert evaluate_command([str(tmp_path / "model"), *options]) == 0
    assert "1 of 2 frames compared; left out: 1 with no pixel to compare" in capsys.readouterr().out
    assert f"{DRIVES[2]}/image_02/0000000001,0," in table.read_text()
    write_depth(place / "0000000000.png", metres=90.0)  # beyond the protocol's 80 m
    with pytest.raises(DataError, match="kitti test: no image has a truth value that kitti-single"):
        evaluate_command([str(tmp_path / "model"), *options])


def folder_study(tmp_path: Path, more: str = "") -> Path:
    study = tmp_path / "study.toml"
    study.write_text(f'[data]\nset = "folder"\nroot = "mine"\nsize = [32, 32]\n{more}')
    return study


def test_millimetres_passed_as_metres_are_refused_with_the_number(tmp_path: Path) -> None:
    write_folder(tmp_path / "mine", manifest=MANIFEST.replace("millimetres", "metres"))
    number = r"its median depth would be 1\d\d\d m and its greatest 1\d\d\d m"
    with pytest.raises(DataError, match=number) as refused:
        prepare(folder_study(tmp_path))
    assert "in 1/256 metres or millimetres it would fit" in str(refused.value)
    assert str(tmp_path / "mine/depth/train/0000.png") in str(refused.value)


def test_mixed_sizes_of_images_are_refused_with_both(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "mine")
    write_image(root / "images/train/0001.jpg", (30, 40))
    write_depth_png(root / "depth/train/0001.png", size=(30, 40))
    with pytest.raises(DataError, match=r"0001\.jpg: 30x40, but .*24x32.*mixed_sizes = true"):
        prepare(folder_study(tmp_path))


def test_a_share_of_bad_frames_is_admitted_and_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    root = write_folder(tmp_path / "mine")
    (root / "images/train/0001.jpg").write_text("a note")
    study = folder_study(tmp_path, "bad_share = 0.4\n")
    assert prepare(study) == 0
    assert "1 of 3 frames cannot be used (bad_share = 0.4 of [data] admits it); left" in caplog.text
    assert "2 images at 32x32 (1 unusable left out)" in capsys.readouterr().out
    study.write_text(study.read_text().replace("0.4", "0.3"))
    with pytest.raises(DataError, match=r"bad_share = 0\.3 of \[data\] admits fewer"):
        prepare(study)


def test_a_cache_of_another_version_is_refused_with_what_to_delete(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = kitti(tmp_path, "single-scan")
    prepare(study)
    place = Path(capsys.readouterr().out.splitlines()[0].rsplit(": ", 1)[1])
    index = json.loads((place / "index.json").read_text())
    (place / "index.json").write_text(json.dumps(index | {"version": 1}))
    with pytest.raises(DataError, match=r"layout is version 1, this program's is 3\. Delete that"):
        prepare(study)
    os.truncate(place / "images.npy", 200)
    (place / "index.json").write_text(json.dumps(index))
    with pytest.raises(DataError, match=r"images\.npy has 200 bytes, expected .*Delete that fol"):
        prepare(study)


def test_the_data_are_only_read_and_the_cache_may_be_elsewhere(tmp_path: Path) -> None:
    study = kitti(tmp_path, "raw")
    files = sorted((tmp_path / "kitti").rglob("*"))
    before = {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in files}
    prepare(study)
    assert sorted((tmp_path / "kitti").rglob("*")) == files
    assert {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in files} == before


def test_a_cache_below_a_file_is_refused_with_the_option(tmp_path: Path) -> None:
    study = kitti(tmp_path, "single-scan")
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"file/cache.*--cache FOLDER"):
        main(["prepare", str(study), "--cache", str(tmp_path / "file" / "cache")])
