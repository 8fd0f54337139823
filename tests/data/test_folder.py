"""A folder of a person's own, from its manifest to an accuracy, and all that may be wrong in it."""

from __future__ import annotations

import json
import logging
import pickle
from pathlib import Path

import numpy as np
import pytest
from folder_trees import MANIFEST, SIZE, write_depth_png, write_folder
from kitti_trees import write_image
from PIL import Image

from nano.data.__main__ import main as data_command
from nano.data.cache import cache_key, prepare
from nano.data.file_tables import FolderTable
from nano.data.folder import folder_source
from nano.data.sets import data_table, prepare_sets, sources
from nano.errors import DataError, InputError, RunError, StudyError
from nano.evaluate.__main__ import main as evaluate_command
from nano.evaluate.protocol import protocol_of
from nano.explore.study import read_study
from nano.train.__main__ import main as train_command

STUDY = """name = "mine"
trials = 1
[data]
set = "folder"
root = "mine"
size = [32, 32]
[prototype]
preset = "depthnet-tiny"
[utility]
accuracy = "d1"
[generator]
kind = "random"
[stages]
final = {steps = 2}
confirm = {designs = 1, seeds = 1}
recipe = {name = "quick", batch = 2}
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_folder(tmp_path / "mine")


def split_names(root: Path, manifest: str) -> list[list[str]]:
    (root / "manifest.toml").write_text(MANIFEST + manifest)
    return [
        [pair.label for pair in folder_source(root, split).pairs]
        for split in ("train", "validation", "test")
    ]


def test_frames_come_with_depth_in_metres(root: Path) -> None:
    source = folder_source(root, "test")
    assert (len(source), source.name, source.truth) == (3, "folder mine test", "sensor")
    sample = source[2]
    assert sample.name == "test/0002"
    assert sample.image.shape == (*SIZE, 3)
    assert sample.depth[1].max() == pytest.approx(3.913)
    assert sample.depth[0].max() == 0


def test_the_manifests_licence_and_camera_travel_with_the_frames(root: Path) -> None:
    source = folder_source(root, "test")
    assert source[0].intrinsics is None
    assert source.provenance.licence == "not stated in manifest.toml"
    stated = 'licence = "mine, CC0"\nintrinsics = [30.0, 30.0, 15.5, 11.5]\n'
    (root / "manifest.toml").write_text(MANIFEST + stated)
    changed = folder_source(root, "test")
    assert changed[0].intrinsics == (30.0, 30.0, 15.5, 11.5)
    assert changed.provenance.licence == "mine, CC0"
    assert changed.provenance.protocol == "sensor truth, 0.3-12 m; metres"
    assert changed.identity() != source.identity()


def test_depth_outside_the_range_is_unknown(root: Path) -> None:
    (root / "manifest.toml").write_text('units = "millimetres"\nrange_m = [1.5, 1.8]\n')
    depth = folder_source(root, "test")[0].depth
    assert depth[depth > 0].min() >= 1.5 and depth.max() <= 1.8


def test_splits_are_folders_or_shares_held_out_of_films(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "mine", frames=10, folders=("street", "yard/a", "yard/b"))
    text = '[splits]\ntrain = ["street"]\nvalidation = ["yard/a"]\ntest = ["yard/b"]\n'
    assert [names[0] for names in split_names(root, text)] == [
        "street/0000",
        "yard/a/0000",
        "yard/b/0000",
    ]
    text = '[splits]\ntrain = ["."]\nvalidation = 0.2\ntest = 0.3\ngap = 1\n'
    train, validation, test = split_names(root, text)
    # of ten frames the last three test, one between, one of the six left validates, one between
    assert [name for name in train if "street" in name] == [f"street/{i:04d}" for i in range(4)]
    assert [name for name in validation if "street" in name] == ["street/0005"]
    assert [name for name in test if "street" in name] == [f"street/{i:04d}" for i in (7, 8, 9)]
    assert len(test) == 9


@pytest.mark.parametrize(
    ("splits", "told"),
    [
        ('train = ["."]', "is in both train and test|is in both train and validation"),
        ('train = ["street"]', r"train = \['street'\].*leaves no frame of 9.*: test, train, val"),
        ('train = ["train"]\ntest = 0.4', r"test = 0.4 \(gap 10\) leaves no frame|train = "),
    ],
)
def test_splits_that_cannot_be_are_refused(root: Path, splits: str, told: str) -> None:
    (root / "manifest.toml").write_text(f"{MANIFEST}[splits]\n{splits}\n")
    with pytest.raises(DataError, match=told):
        folder_source(root, "train")


def test_folders_that_are_not_there_are_named(root: Path) -> None:
    (root / "manifest.toml").write_text(MANIFEST + 'depth = "depths"\n')
    with pytest.raises(DataError, match=r'depths: no such folder: make it, or state depth = "'):
        folder_source(root, "train")
    (root / "manifest.toml").write_text(MANIFEST + 'depth = "images"\n')
    with pytest.raises(DataError, match=r"share the folder images .*state depth_names"):
        folder_source(root, "train")


HARMS = {
    "missing pair": "has no depth map: expected",
    "truncated image": r"test/0001\.jpg: cannot be read as an image: .*copy it again",
    "text as image": r"test/0001\.jpg: not an image",
    "16-bit image": "not a photograph",
    "8-bit depth": "not a 16-bit depth map",
    "other size of map": r"0001\.png: the map is 12x32, but its image .* is 24x32",
    "other size of frame": r"0001\.jpg: 30x40, but .*\.jpg is 24x32 .*mixed_sizes = true",
    "metres as millimetres": "the units are wrong; in metres it would fit",
    "unknown everywhere": "no pixel has a depth",
}


def harm(root: Path, kind: str) -> None:
    """Spoil frame test/0001."""
    image, depth = root / "images/test/0001.jpg", root / "depth/test/0001.png"
    match kind:
        case "missing pair":
            depth.unlink()
        case "truncated image":
            image.write_bytes(image.read_bytes()[:200])
        case "text as image":
            image.write_text("not a picture")
        case "16-bit image":
            image.unlink()
            write_depth_png(image.with_suffix(".png"))
        case "8-bit depth":
            Image.fromarray(np.full(SIZE, 99, np.uint8)).save(depth)
        case "other size of map":
            write_depth_png(depth, size=(12, 32))
        case "other size of frame":
            write_image(image, (30, 40))
            write_depth_png(depth, size=(30, 40))
        case "metres as millimetres":
            depth.unlink()
            np.save(depth.with_suffix(".npy"), np.full(SIZE, 3.0))
        case "unknown everywhere":
            Image.fromarray(np.zeros(SIZE, np.uint16)).save(depth)


@pytest.mark.parametrize("kind", HARMS)
def test_a_bad_frame_is_left_out_counted_and_listed_up_to_the_share(
    root: Path, kind: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    harm(root, kind)
    with pytest.raises(DataError, match=HARMS[kind]) as refused:
        prepare(folder_source(root, "test"), SIZE, tmp_path / "cache", bad_share=0.3)
    assert "folder mine test: 1 of 3 frames cannot be used (bad_share = 0.3 of [data] ad" in str(
        refused.value
    )
    for _ in range(2):  # made, and found again
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            data = prepare(folder_source(root, "test"), SIZE, tmp_path / "cache", bad_share=0.34)
        assert (len(data), data.left_out, data.names) == (2, 1, ("test/0000", "test/0002"))
        assert data.caption == "folder mine test, 2 images at 24x32 (1 unusable left out)"
        assert "1 of 3 frames cannot be used" in caplog.text and "0001" in caplog.text
    with pytest.raises(DataError, match="mend or remove"):  # a stricter caller of the same cache
        prepare(folder_source(root, "test"), SIZE, tmp_path / "cache")


def test_a_set_in_wrong_units_is_refused_after_a_few_frames(tmp_path: Path) -> None:
    wrong = MANIFEST.replace("millimetres", "metres")
    root = write_folder(tmp_path / "mine", frames=30, manifest=wrong)
    seen: list[int] = []
    with pytest.raises(
        DataError, match=r"none of the first 20 of 30 frames[\s\S]*median depth wou"
    ):
        prepare(
            folder_source(root, "train"),
            SIZE,
            tmp_path / "cache",
            progress=lambda done, _: seen.append(done),
            bad_share=0.5,
        )
    assert seen[-1] == 20


def test_mixed_sizes_are_read_where_they_are_meant(root: Path) -> None:
    harm(root, "other size of frame")
    (root / "manifest.toml").write_text(MANIFEST + "mixed_sizes = true\n")
    assert folder_source(root, "test")[1].depth.shape == (30, 40)


def test_the_cache_is_another_when_anything_changes(root: Path) -> None:
    def key() -> str:
        return cache_key(folder_source(root, "test"), SIZE)

    keys = [key()]
    assert key() == keys[0]
    (root / "manifest.toml").write_text(MANIFEST.replace("12.0", "11.0"))
    keys.append(key())
    write_depth_png(root / "depth/test/0001.png", metres=5.5)
    keys.append(key())
    (root / "images/test/0001.jpg").unlink()
    keys.append(key())
    assert len(set(keys)) == 4


def test_source_travels_to_other_processes(root: Path) -> None:
    source = folder_source(root, "test")
    copy = pickle.loads(pickle.dumps(source))
    np.testing.assert_array_equal(copy[0].depth, source[0].depth)


def test_nothing_is_written_into_the_folder(root: Path, tmp_path: Path) -> None:
    def listed() -> list[tuple[str, int]]:
        return sorted((str(path), path.stat().st_mtime_ns) for path in root.rglob("*"))

    before = listed()
    table = data_table({"set": "folder", "root": str(root), "size": [32, 32]})
    prepare_sets(table, tmp_path, tmp_path / "cache")
    data_command(["folder", "--check", str(root)])
    assert listed() == before


def test_protocol_is_the_range_and_the_truth_of_the_manifest(root: Path) -> None:
    (root / "manifest.toml").write_text(MANIFEST + 'truth = "rendered"\n')
    table = data_table({"set": "folder", "root": "mine"})
    described = protocol_of(table, root.parent).describe()
    assert described.startswith("folder (crop none, 0.3-12 m, rendered truth, no flip")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"protocol": "nyu"}, "protocol: .*'folder', got 'nyu'"),
        ({"bad_share": 1}, "bad_share: .*less than 1"),
        ({"root": ["a", "b"]}, "root: .*string"),
        ({"train": "x"}, "unknown key 'train'; known keys: set, root, size"),
    ],
)
def test_wrong_tables_are_refused(change: dict[str, object], told: str) -> None:
    with pytest.raises(StudyError, match=told):
        data_table({"set": "folder", "root": "x"} | change)


def test_check_tells_what_is_there_and_what_is_wrong(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert data_command(["folder", "--check", str(root)]) == 0
    out = capsys.readouterr().out
    assert "folder mine train: 3 frames, sensor truth; of 3 looked at 3 are good: 24x32" in out
    assert "no problems found" in out
    harm(root, "missing pair")
    (root / "images/notes.txt").write_text("where these were taken")
    assert data_command(["folder", "--check", str(root)]) == 0
    out = capsys.readouterr().out
    assert "problems: 2" in out
    assert "1 files are neither image nor depth, passed over: " in out and "notes.txt" in out
    assert "0001.jpg: has no depth map" in out


def test_check_of_a_wrong_folder_says_what_to_write(tmp_path: Path) -> None:
    with pytest.raises(DataError, match='units = "metres"'):
        data_command(["folder", "--check", str(tmp_path)])


def test_check_of_no_folder_is_wrong_input(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such folder"):
        data_command(["folder", "--check", str(tmp_path / "absent")])


def test_folder_is_trained_and_evaluated_without_code(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = ["--data", "folder", "--root", str(root), "--cache", str(tmp_path / "cache")]
    out = str(tmp_path / "out")
    options = ["--size", "32x32", "--steps", "2", "--set", "batch=2", "--out", out]
    assert train_command(["depthnet-tiny", *place, *options]) == 0
    capsys.readouterr()
    assert evaluate_command([out, *place, "--json"]) == 0
    accuracy = json.loads(capsys.readouterr().out)
    assert (accuracy["images"], accuracy["data"]) == (3, "folder mine test, 3 images at 32x32")
    assert accuracy["protocol"].startswith("folder (crop none, 0.3-12 m, sensor truth")
    with pytest.raises(InputError, match="'folder', got 'ddad'"):
        evaluate_command([out, *place, "--protocol", "ddad"])


def test_study_names_the_folder_relative_to_itself(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = root.parent / "study.toml"
    path.write_text('name = "mine"\n[data]\nset = "folder"\nroot = "mine"\nsize = [32, 32]\n')
    study = read_study(path)
    assert isinstance(study.data, FolderTable)
    assert study.data.root == str(root)
    assert len(sources(study.data, Path("/")).train) == 3
    assert data_command(["prepare", str(path), "--cache", str(root.parent / "cache")]) == 0
    assert "folder mine validation, 3 images at 32x32: " in capsys.readouterr().out


def explore(study: Path) -> int:
    from nano.explore.__main__ import main

    return main([str(study), "--out", str(study.parent / "run"), "--quiet", "--workers", "1"])


@pytest.mark.slow
def test_a_study_of_a_folder_runs_and_its_manifest_may_not_change_between(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(root.parent / "cache"))
    study = root.parent / "study.toml"
    study.write_text(STUDY)
    assert explore(study) == 0
    record = json.loads((root.parent / "run/run.json").read_text())
    assert record["protocol"].startswith("folder (crop none, 0.3-12 m, sensor truth")
    assert evaluate_command([str(root.parent / "run/best"), "--data", str(study)]) == 0
    assert "folder mine test, 3 images at 32x32" in capsys.readouterr().out
    (root / "manifest.toml").write_text(MANIFEST.replace("12.0", "11.0"))
    with pytest.raises(RunError, match=r"manifest\.toml has changed .*0\.3-12 m.*0\.3-11 m"):
        explore(study)


@pytest.mark.slow
def test_a_dry_run_says_what_to_do_about_a_missing_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from nano.explore.__main__ import main

    study = tmp_path / "study.toml"
    study.write_text(STUDY)
    assert main([str(study), "--dry-run"]) == 0
    told = capsys.readouterr().out
    assert "data are missing" in told and "docs/data.md tells what belongs where" in told


@pytest.mark.parametrize(
    ("roots", "told"),
    [([], "folder needs --root FOLDER"), (["a", "b"], "set folder has one folder")],
)
def test_one_root_is_asked_for(roots: list[str], told: str) -> None:
    given = [word for root in roots for word in ("--root", root)]
    with pytest.raises(StudyError, match=told):
        evaluate_command_options(given)


def evaluate_command_options(given: list[str]) -> None:
    from nano.data.option import table_of
    from nano.evaluate.__main__ import parser

    table_of(parser().parse_args(["model", "--data", "folder", *given]))
