from __future__ import annotations

import pickle
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nano.data.splits import (
    SPLITS,
    TEST_LENGTHS,
    TRAINING_LENGTHS,
    VALIDATION_DRIVES,
    Drive,
    Frame,
    eigen_fit,
    eigen_full,
    eigen_neighbours,
    eigen_test,
    eigen_test_annotated,
    eigen_train,
    eigen_validation,
    in_validation_archive,
    listed_frames,
    lost_scan,
    role,
    standing_frames,
)
from nano.errors import DataError


@pytest.mark.parametrize(
    ("name", "size", "drives"),
    [
        ("eigen-train", 23158, 33),
        ("eigen-fit", 21797, 28),
        ("eigen-validation", 1361, 5),
        ("eigen-test", 697, 28),
        ("eigen-test-annotated", 652, 28),
        ("eigen-full", 46976, 33),
        ("eigen-neighbours", 46844, 33),
    ],
)
def test_lists_have_the_published_sizes(name: str, size: int, drives: int) -> None:
    frames = SPLITS[name]()
    assert len(frames) == len(set(frames)) == size
    assert len({frame.drive for frame in frames}) == drives


def test_drive_lengths_add_up_to_the_images_that_kitti_released() -> None:
    assert sum(TRAINING_LENGTHS.values()) == 23488
    assert sum(TEST_LENGTHS.values()) == 18894


def test_no_drive_is_in_two_roles() -> None:
    assert not set(TRAINING_LENGTHS) & set(TEST_LENGTHS)
    parts = [{frame.drive for frame in part()} for part in (eigen_fit, eigen_validation)]
    assert not parts[0] & parts[1]
    assert parts[0] | parts[1] == set(TRAINING_LENGTHS)
    assert parts[1] == VALIDATION_DRIVES


def test_every_test_drive_has_25_frames_but_the_shortest() -> None:
    counts = {drive: 0 for drive in TEST_LENGTHS}
    for frame in eigen_test():
        counts[frame.drive] += 1
    assert counts.pop(Drive("2011_09_26", 48)) == 22
    assert set(counts.values()) == {25}


def test_every_index_exists_in_its_drive() -> None:
    assert all(0 <= frame.index < TEST_LENGTHS[frame.drive] for frame in eigen_test())
    assert all(5 <= frame.index < TRAINING_LENGTHS[frame.drive] - 5 for frame in eigen_train())


def test_annotated_frames_are_those_five_away_from_the_ends() -> None:
    without = set(eigen_test()) - set(eigen_test_annotated())
    assert len(without) == 45
    assert all(f.index < 5 or f.index >= TEST_LENGTHS[f.drive] - 5 for f in without)


@pytest.mark.parametrize(
    ("number", "indices"),
    [
        # By hand from the table: strides, stretches and omissions.
        (2, [*range(0, 66, 3), 69, 72, 75]),
        (9, [*range(0, 177, 16), *range(196, 389, 16)]),
        (106, [15, *range(35, 220, 8)]),
    ],
)
def test_a_drive_unfolds_as_written_by_hand(number: int, indices: list[int]) -> None:
    drive = Drive("2011_09_26", number)
    assert [frame.index for frame in eigen_test() if frame.drive == drive] == indices


@pytest.mark.parametrize("name", SPLITS)
def test_lists_are_ordered_and_of_the_left_camera_or_both(name: str) -> None:
    frames = SPLITS[name]()
    keys = [(frame.drive, frame.index, frame.camera) for frame in frames]
    assert keys == sorted(keys)
    cameras = {2, 3} if name in ("eigen-full", "eigen-neighbours") else {2}
    assert {frame.camera for frame in frames} == cameras


@pytest.mark.parametrize("name", [name for name in SPLITS if "test" not in name])
def test_no_test_drive_is_ever_trained_on(name: str) -> None:
    tested = {frame.drive for frame in eigen_test()}
    assert len(tested) == 28
    assert not tested & {frame.drive for frame in SPLITS[name]()}


def test_both_cameras_see_every_image_and_only_the_ends_lack_a_neighbour() -> None:
    assert len(eigen_full()) == 2 * 23488
    assert set(eigen_train()) < set(eigen_neighbours()) < set(eigen_full())
    ends = set(eigen_full()) - set(eigen_neighbours())
    assert len(ends) == 33 * 2 * 2
    assert all(f.index in (0, TRAINING_LENGTHS[f.drive] - 1) for f in ends)


@pytest.mark.parametrize(
    ("name", "camera", "size"),
    [
        ("eigen-full", None, 46976),
        ("eigen-full", 2, 23488),
        ("eigen-neighbours", 3, 23422),
        ("eigen-train", 3, 23158),
    ],
)
def test_a_list_is_seen_by_its_own_cameras_or_the_one_asked_for(
    name: str, camera: int | None, size: int
) -> None:
    frames = listed_frames(name, camera)
    assert len(frames) == size
    assert {frame.camera for frame in frames} == ({2, 3} if camera is None else {camera})


def test_standing_frames_are_read_as_sfmlearner_lists_them(tmp_path: Path) -> None:
    path = tmp_path / "static_frames.txt"
    path.write_text(
        "2011_09_26 2011_09_26_drive_0018_sync 0000000043\n\n"
        "2011_09_28 2011_09_28_drive_0001_sync 0000000007\n"
    )
    assert standing_frames(path) == {(Drive("2011_09_26", 18), 43), (Drive("2011_09_28", 1), 7)}


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "no such file: expected a list of standing frames"),
        (b"\xff\xfe", "cannot be read"),
        (b"2011_09_26 2011_09_26_drive_0018_sync 43\n0018 43\n", "line 2: '0018 43' is no frame"),
        (b"2011_09_26 2011_09_26_drive_0018_sync l\n", "line 1: .* is no frame: expected"),
        (b"2011_09_26 drive_0018 7\n", "write 2011_09_26_drive_0001"),
    ],
)
def test_another_list_of_standing_frames_is_refused(
    tmp_path: Path, content: bytes | None, told: str
) -> None:
    path = tmp_path / "static.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=told) as refused:
        standing_frames(path)
    assert str(path) in str(refused.value)


def test_thirteen_drives_are_in_the_archives_validation_part() -> None:
    known = [
        drive for drive in {**TRAINING_LENGTHS, **TEST_LENGTHS} if in_validation_archive(drive)
    ]
    assert [role(drive) for drive in known].count("test") == 7
    assert len(known) == 12  # and 2011_09_28_drive_0037, which no list uses


@given(
    st.dates().map(lambda day: day.strftime("%Y_%m_%d").zfill(10)),
    st.integers(min_value=0, max_value=9999),
)
def test_drives_are_read_back_from_their_folders_name(date: str, number: int) -> None:
    drive = Drive(date, number)
    assert Drive.parse(drive.folder) == drive
    assert Drive.parse(drive.folder.removesuffix("_sync")) == drive
    assert Drive.parse(f"{date}/{number:04d}") == drive


@pytest.mark.parametrize(
    "text", ["", "0001", "2011_09_26", "2011_09_26_drive_1", "2011-09-26/0001"]
)
def test_what_is_no_drive_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(DataError, match="2011_09_26_drive_0001"):
        Drive.parse(text)


def test_roles_of_drives() -> None:
    numbers = {1: "training", 5: "validation", 2: "test", 9999: "in no list"}
    assert {n: role(Drive("2011_09_26", n)) for n in numbers} == numbers


def test_four_scans_of_one_drive_are_lost() -> None:
    lost = [
        (drive.number, index)
        for drive, length in {**TRAINING_LENGTHS, **TEST_LENGTHS}.items()
        for index in range(length)
        if lost_scan(drive, index)
    ]
    assert lost == [(9, 177), (9, 178), (9, 179), (9, 180)]


def test_frames_survive_a_trip_to_another_process() -> None:
    frame = Frame(drive=Drive("2011_09_26", 1), index=5, camera=3)
    assert pickle.loads(pickle.dumps(frame)) == frame
    assert frame.name == "2011_09_26_drive_0001_sync/image_03/0000000005"
