"""The [data] table: what it accepts, and three splits that never share what they judge by."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kitti_trees import DATE, write_depth, write_image

from nano.data.cache import cache_key, default_cache
from nano.data.kitti import KittiSource
from nano.data.scene_source import SceneSource
from nano.data.sets import (
    SPLIT_NAMES,
    KittiTable,
    ScenesTable,
    data_table,
    hold_out,
    prepare_sets,
    source,
    sources,
)
from nano.data.splits import Drive, Frame
from nano.errors import DataError, StudyError

SHARED = Path(__file__).parents[2] / ".." / "shared" / "data"
TINY = {"set": "scenes", "size": [16, 32], "train": 5, "validation": 2, "test": 3}
SAMPLE = {
    "set": "kitti",
    "root": ["kitti_drive", "kitti_sample"],
    "size": [32, 96],
    "truth": "single-scan",
    "train": ["2011_09_26_drive_9999", "2011_09_26_drive_0001", "2011_09_26_drive_0005"],
    "validation": 0.2,
    "test": ["2011_09_26_drive_0002"],
}


@pytest.mark.parametrize("plain", [{}, {"set": "scenes"}])
def test_table_of_scenes_needs_nothing(plain: dict[str, Any]) -> None:
    table = data_table(plain)
    assert isinstance(table, ScenesTable)
    assert (table.size, table.protocol) == ((64, 192), "scenes")


@pytest.mark.parametrize(
    ("truth", "protocol"),
    [
        ("annotated", "eigen652-annotated"),
        ("single-scan", "kitti-single-scan"),
        ("raw", "eigen697-raw"),
    ],
)
def test_kitti_is_judged_by_the_protocol_of_its_truth(truth: str, protocol: str) -> None:
    assert data_table({"set": "kitti", "root": "x", "truth": truth}).protocol == protocol
    named = data_table({"set": "kitti", "root": "x", "truth": truth, "protocol": "mine"})
    assert named.protocol == "mine"


@pytest.mark.parametrize(
    ("plain", "message"),
    [
        ({"set": None}, 'set must be one of "scenes", "kitti".*, got None'),
        ({"set": "kity"}, 'set must be one of "scenes", "kitti".*, got .kity.'),
        ({"set": "scenes", "trian": 3}, "unknown key 'trian'; known keys: .*train"),
        ({"set": "scenes", "train": 0}, "train: .*greater than 0, got 0"),
        ({"set": "scenes", "train": "many"}, "train: .*integer, got 'many'"),
        ({"set": "scenes", "size": [64]}, "size"),
        ({"set": "scenes", "size": [64, -1]}, "size"),
        ({"set": "kitti"}, "root is missing: one folder or several"),
        ({"set": "kitti", "root": "x", "validation": 0.5}, "validation: .*less than 0.5"),
        ({"set": "kitti", "root": "x", "truth": "dense"}, "truth: .*'annotated'"),
        ({"set": "kitti", "root": "x", "camera": 0}, "camera"),
    ],
)
def test_wrong_tables_say_what_would_be_right(plain: dict[str, Any], message: str) -> None:
    with pytest.raises(StudyError, match=rf"study\.toml: \[data\]: {message}"):
        data_table(plain, "study.toml: [data]")


def test_scene_splits_have_the_asked_counts_and_share_no_scene(tmp_path: Path) -> None:
    sets = prepare_sets(data_table(TINY), tmp_path, tmp_path / "cache")
    splits = [sets.train, sets.validation, sets.test]
    assert [len(split) for split in splits] == [5, 2, 3]
    assert [split.size for split in splits] == [(16, 32)] * 3
    pictures = {image.tobytes() for split in splits for image in split.images}
    assert len(pictures) == 10


def test_scene_truth_is_what_training_sees(tmp_path: Path) -> None:
    data = prepare_sets(data_table(TINY), tmp_path, tmp_path).test
    for i in range(len(data)):
        size, index, metres = data.truth.of(i)
        assert size == data.size
        np.testing.assert_array_equal(data.depth[i].ravel()[index], metres.astype(np.float16))


def test_same_seed_gives_the_same_scenes_and_another_seed_others() -> None:
    def made(seed: int) -> SceneSource:
        return SceneSource(split="test", count=2, size=(16, 32), seed=seed)

    np.testing.assert_array_equal(made(0)[1].image, made(0)[1].image)
    assert not np.array_equal(made(0)[1].image, made(1)[1].image)
    keys = {cache_key(made(seed), (16, 32)) for seed in (0, 0, 1)}
    assert len(keys) == 2


def test_a_changed_renderer_asks_for_another_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    from nano.data import scene_source

    source = SceneSource(split="test", count=2, size=(16, 32), seed=0)
    before = cache_key(source, (16, 32))
    render = scene_source.render_scene

    def brighter(seed: int, size: tuple[int, int]) -> Any:
        scene = render(seed, size)
        scene.image[0, 0, 0] ^= 1
        return scene

    monkeypatch.setattr(scene_source, "render_scene", brighter)
    assert cache_key(source, (16, 32)) != before


def test_progress_names_the_split(tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    table = data_table(TINY)
    prepare_sets(table, tmp_path, tmp_path, progress=lambda *report: told.append(report))
    assert [report for report in told if report[1] == report[2]] == [
        ("train", 5, 5),
        ("validation", 2, 2),
        ("test", 3, 3),
    ]
    told.clear()
    prepare_sets(table, tmp_path, tmp_path, progress=lambda *report: told.append(report))
    assert told == []  # nothing had to be made


def test_caches_live_where_the_desktop_standard_says(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_cache() == tmp_path / "depthnet-nano"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative/is/ignored")
    assert default_cache() == Path.home() / ".cache" / "depthnet-nano"


def frames(**lengths: int) -> tuple[Frame, ...]:
    drives = [Drive("2011_09_26", int(number[1:])) for number in lengths]
    return tuple(
        Frame(drive=drive, index=index)
        for drive, length in zip(drives, lengths.values(), strict=True)
        for index in range(length)
    )


def test_last_fifth_is_held_out_with_a_gap() -> None:
    kept, held_out = hold_out(frames(d1=50, d2=1), 0.2, 10)
    assert [frame.index for frame in held_out] == list(range(40, 50))
    assert [frame.index for frame in kept] == [*range(30), 0]  # a drive of one frame only trains


@given(
    lengths=st.lists(st.integers(1, 60), min_size=1, max_size=4),
    share=st.floats(0.05, 0.45),
    gap=st.integers(0, 15),
)
def test_held_out_frames_are_late_apart_and_never_trained_on(
    lengths: list[int], share: float, gap: int
) -> None:
    every = frames(**{f"d{number}": length for number, length in enumerate(lengths)})
    try:
        kept, held_out = hold_out(every, share, gap)
    except DataError:
        assert all(int(n * share) == 0 or n - int(n * share) <= gap for n in lengths)
        return
    assert set(kept).isdisjoint(held_out)
    for drive in {frame.drive for frame in held_out}:
        first = min(frame.index for frame in held_out if frame.drive == drive)
        trained = [frame.index for frame in kept if frame.drive == drive]
        assert all(index < first - gap for index in trained)


def test_both_images_of_an_instant_are_on_one_side() -> None:
    drive = Drive("2011_09_26", 1)
    both = tuple(Frame(drive=drive, index=i, camera=c) for i in range(15) for c in (2, 3))
    kept, held_out = hold_out(both, 0.2, 4)
    assert {frame.index for frame in held_out} == {12, 13, 14}
    assert {frame.index for frame in kept} == set(range(8))
    assert (len(kept), len(held_out)) == (16, 6)


def test_holding_out_nothing_is_refused() -> None:
    with pytest.raises(DataError, match="leaves nothing for validation"):
        hold_out(frames(d1=4), 0.2, 0)
    with pytest.raises(DataError, match="leaves nothing to train on"):
        hold_out(frames(d1=10), 0.4, 10)


@pytest.mark.parametrize(
    "change",
    [
        {"test": ["2011_09_26_drive_0001"]},
        {"validation": ["2011_09_26_drive_0005"]},
        {"validation": ["2011_09_26_drive_0002"]},
        {"train": "eigen-train", "validation": "eigen-validation"},
        {"test": "eigen-test", "train": ["2011_09_26/0009"]},
    ],
)
def test_splits_that_share_a_drive_are_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    with pytest.raises(DataError, match="is in both"):
        source(data_table(SAMPLE | change), tmp_path, "test")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"train": "eigen-test"}, "2011_09_26_drive_0002_sync is in train"),
        ({"train": "eigen-test-annotated"}, "2011_09_26_drive_0002_sync is in train"),
        ({"train": ["2011_09_26_drive_0001", "2011_09_26/0009"]}, "drive_0009_sync is in train"),
        ({"validation": ["2011_09_30_drive_0016"]}, "2011_09_30_drive_0016_sync is in validation"),
    ],
)
def test_published_test_drives_neither_train_nor_select_whatever_the_study_tests_on(
    tmp_path: Path, change: dict[str, Any], words: str
) -> None:
    with pytest.raises(DataError, match=f"{words}, but is one of the 28 test drives of Eigen"):
        source(data_table(SAMPLE | {"test": ["2011_09_28_drive_0037"]} | change), tmp_path, "test")


def test_unknown_lists_are_refused_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="eigen-fit, eigen-validation"):
        source(data_table(SAMPLE | {"train": "eigen"}), tmp_path, "test")


def test_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="kitti_drive"):
        sources(data_table(SAMPLE), tmp_path)


def drive_tree(root: Path, length: int = 6) -> None:
    """Images and single-scan maps of one unlisted drive, both cameras."""
    for camera in (2, 3):
        folder = root / f"{DATE}_drive_0001_sync"
        for index in range(length):
            write_image(folder / f"image_{camera:02d}/data/{index:010d}.png")
            place = folder / f"proj_depth/velodyne_raw/image_{camera:02d}"
            write_depth(place / f"{index:010d}.png")


@pytest.mark.parametrize(("camera", "seen"), [(None, {2}), (2, {2}), (3, {3})])
def test_drives_are_seen_by_the_left_camera_unless_told(
    tmp_path: Path, camera: int | None, seen: set[int]
) -> None:
    drive_tree(tmp_path)
    drives = {"train": [f"{DATE}_drive_0001"], "validation": 0.2, "gap": 0, "test": "eigen-test"}
    plain = {"set": "kitti", "root": ".", "truth": "single-scan", **drives}
    table = data_table(plain if camera is None else plain | {"camera": camera})
    found = source(table, tmp_path, "train")
    assert isinstance(found, KittiSource)
    assert {frame.camera for frame in found.frames} == seen
    assert len(found) == 5


def test_standing_frames_are_left_out_of_training_only_and_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    drive_tree(tmp_path)
    (tmp_path / "static.txt").write_text(
        "".join(f"{DATE} {DATE}_drive_0001_sync {index:010d}\n" for index in (1, 2, 5))
    )
    plain = {"set": "kitti", "root": ".", "truth": "single-scan", "standing": "static.txt"}
    plain |= {"train": [f"{DATE}_drive_0001"], "validation": 0.2, "gap": 0, "test": "eigen-test"}
    found = [source(data_table(plain), tmp_path, split) for split in ("train", "validation")]
    indices = [[f.index for f in part.frames] for part in found if isinstance(part, KittiSource)]
    assert indices == [[0, 3, 4], [5]]
    told = [record.message for record in caplog.records]
    assert told == [
        f"kitti train: 2 of 5 frames left out: the car stands still, says {tmp_path / 'static.txt'}"
    ]
    (tmp_path / "other.txt").write_text(f"{DATE} {DATE}_drive_0002_sync 0000000001\n")
    with pytest.raises(DataError, match=r"other\.txt: lists 1 standing frames, none of which"):
        source(data_table(plain | {"standing": "other.txt"}), tmp_path, "train")
    with pytest.raises(DataError, match=r"gone\.txt: no such file"):
        source(data_table(plain | {"standing": "gone.txt"}), tmp_path, "train")


needs_kitti = pytest.mark.skipif(
    not (SHARED / "kitti_drive").is_dir(), reason="real frames are not in ../shared/data"
)


@needs_kitti
def test_sample_drives_make_three_splits_relative_to_the_study() -> None:
    table = data_table(SAMPLE)
    assert isinstance(table, KittiTable)
    found = sources(table, SHARED.resolve())
    # 78 frames: the last 15 held out, 10 between; and the two single frames
    assert [len(getattr(found, split)) for split in SPLIT_NAMES] == [53 + 2, 15, 4]
    names = [getattr(found, split).name for split in SPLIT_NAMES]
    assert names == ["kitti train", "kitti validation", "kitti test"]


@needs_kitti
def test_real_frames_become_a_split_with_truth_at_native_size(tmp_path: Path) -> None:
    from nano.data.cache import prepare

    data = prepare(source(data_table(SAMPLE), SHARED.resolve(), "test"), (32, 96), tmp_path)
    assert (len(data), data.size, data.truth_kind) == (4, (32, 96), "single-scan")
    for i in range(4):
        size, _, metres = data.truth.of(i)
        assert size == (375, 1242)
        assert 15_000 < len(metres) < 25_000
        assert metres.min() > 2
        assert data.depth[i].any()
