"""python -m nano.evaluate: what it prints, writes and refuses."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Collection, Iterable
from pathlib import Path

import pytest
from kitti_trees import write_depth, write_image
from PIL import Image

from nano.data.splits import Drive, Frame, eigen_test, eigen_test_annotated
from nano.design.presets import PRESETS, preset
from nano.errors import DataError, InputError, StudyError
from nano.evaluate.__main__ import main
from nano.networks.depthnet import build
from nano.networks.model import Model, save_model
from nano.records import METRICS

SAMPLE = Path(__file__).parents[2] / ".." / "shared" / "data" / "kitti_sample"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    design = preset(PRESETS[-1])
    network = build(design, 0)
    save_model(folder, Model(design=design, network=network, target="log", size=(32, 64)))
    return folder


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("study") / "study.toml"
    path.write_text(
        '[data]\nset = "scenes"\nsize = [64, 96]\ntrain = 2\nvalidation = 3\ntest = 4\n'
    )
    return path


def test_json_holds_the_eight_metrics_with_data_and_protocol(
    model: Path, study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(model), "--data", str(study), "--cache", str(tmp_path), "--json"]) == 0
    out, progress = capsys.readouterr()
    plain = json.loads(out)
    assert set(METRICS) <= set(plain)
    assert plain["images"] == 4
    # The size is the model's, not the study's: its network saw no other.
    assert plain["data"] == "scenes test (seed 0), 4 images at 32x64"
    assert plain["protocol"].startswith("scenes (crop none, 0.001-80 m, rendered truth")
    assert "4 of 4 frames" in progress


def test_text_says_every_metric_and_what_it_was_measured_on(
    model: Path, study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--data", str(study), "--cache", str(tmp_path), "--split", "validation", "--flip"]
    assert main([str(model), *options]) == 0
    out = capsys.readouterr().out
    assert "scenes validation (seed 0), 3 images at 32x64" in out
    assert "flip averaged" in out
    assert all(name in out for name in METRICS)


def test_table_per_image_averages_to_the_accuracy(
    model: Path, study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table, picture = tmp_path / "images.csv", tmp_path / "panel.png"
    options = ["--data", str(study), "--cache", str(tmp_path), "--json"]
    assert main([str(model), *options, "--csv", str(table), "--panel", str(picture)]) == 0
    accuracy = json.loads(capsys.readouterr().out)
    with table.open() as file:
        rows = list(csv.DictReader(file))
    assert [row["name"] for row in rows] == [f"test-{i:05d}" for i in range(4)]
    for name in METRICS:
        mean = sum(float(row[name]) for row in rows) / 4
        assert mean == pytest.approx(accuracy[name]), name
    with Image.open(picture) as opened:
        assert opened.format == "PNG"


def test_json_and_text_say_the_same_intervals_and_counts(
    model: Path, study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = [str(model), "--data", str(study), "--cache", str(tmp_path)]
    assert main([*options, "--json"]) == 0
    plain = json.loads(capsys.readouterr().out)
    assert (plain["images"], plain["skipped"], plain["left_out"]) == (4, 0, {})
    assert main(options) == 0
    text = capsys.readouterr().out
    assert text.endswith("4 of 4 frames compared\n")
    assert "95 %: bootstrap over images, 2000 draws, seed 0" in text
    for name in METRICS:
        low, high = plain["interval95"][name]
        assert low <= plain[name] <= high
        assert re.search(rf"{name} .*95 %: {low:.4f} to {high:.4f}\n", text), name


def test_worst_images_are_shown_in_place_of_evenly_spaced_ones(
    model: Path, study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = [str(model), "--data", str(study), "--cache", str(tmp_path), "--split", "validation"]
    heights = []
    for count in ("1", "2", "3"):
        assert main([*options, "--panel", str(tmp_path / "p.png"), "--worst", count]) == 0
        with Image.open(tmp_path / "p.png") as opened:
            heights.append(opened.height)
    assert heights[2] - heights[1] == heights[1] - heights[0] > 0


def disk(root: Path, frames: Iterable[Frame], annotated: Collection[Frame]) -> Path:
    """A KITTI disk with these images and, of those annotated, maps; all of them links to one."""
    image, depth = write_image(root / "image.png"), write_depth(root / "depth.png")
    for frame in frames:
        drive = root / frame.drive.date / frame.drive.folder
        files = {"image_02/data": image}
        if frame in annotated:
            files |= {"proj_depth/groundtruth/image_02": depth}
        for folder, file in files.items():
            (drive / folder).mkdir(parents=True, exist_ok=True)
            (drive / folder / f"{frame.index:010d}.png").hardlink_to(file)
    return root


def test_frames_without_truth_are_counted_and_said(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    drive = Drive("2011_09_26", 777)
    frames = [Frame(drive=drive, index=i, camera=2) for i in range(14)]
    root = disk(tmp_path / "kitti", frames, frames[5:9])
    study = tmp_path / "study.toml"
    study.write_text(f'[data]\nset = "kitti"\nroot = ["{root}"]\ntest = ["{drive.folder}"]\n')
    options = [str(model), "--data", str(study), "--cache", str(tmp_path / "cache")]
    assert main([*options, "--json"]) == 0
    plain = json.loads(capsys.readouterr().out)
    assert (plain["images"], plain["skipped"]) == (4, 0)
    assert list(plain["left_out"].values()) == [10]
    assert main(options) == 0
    said = capsys.readouterr().out
    assert "4 of 14 frames compared; left out: 10 with no annotated map (KITTI made none" in said


@pytest.mark.slow
def test_of_the_697_on_a_complete_disk_652_are_compared_and_45_said(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = disk(tmp_path / "kitti", eigen_test(), set(eigen_test_annotated()))
    study = tmp_path / "study.toml"
    study.write_text(f'[data]\nset = "kitti"\nroot = ["{root}"]\ntest = "eigen-test"\n')
    assert main([str(model), "--data", str(study), "--cache", str(tmp_path / "cache")]) == 0
    said = capsys.readouterr().out
    assert "652 of 697 frames compared; left out: 45 with no annotated map (KITTI made" in said


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        (["--worst", "3"], InputError, "name its file, --panel PNG"),
        (["--worst", "0", "--panel", "p.png"], InputError, "'0': a number of images, 1 or more"),
        (["--device", "tpu"], InputError, "use cpu, cuda or cuda:N"),
        (["--data", "kitti"], StudyError, "needs --root FOLDER"),
        (["--data", "scenes", "--root", "x"], StudyError, "--root belongs to --data kitti"),
        (["--data", "none.toml"], StudyError, r"none\.toml: no such file"),
        (["--protocol", "eigen"], DataError, "unknown protocol 'eigen'; known: scenes"),
        (["--protocol", "ddad"], DataError, "rendered truth"),
        (["--data", "kitti", "--root", "nowhere"], DataError, "nowhere"),
    ],
)
def test_wrong_options_are_refused_in_plain_words(
    model: Path,
    tmp_path: Path,
    options: list[str],
    error: type[InputError],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=message):
        main([str(model), "--cache", str(tmp_path), *options])


@pytest.mark.parametrize("text", ["[data", "data = 3"])
def test_studies_without_usable_data_are_refused(model: Path, tmp_path: Path, text: str) -> None:
    study = tmp_path / "study.toml"
    study.write_text(text)
    with pytest.raises(StudyError, match=r"study\.toml: (not TOML|.*no \[data\] table)"):
        main([str(model), "--data", str(study)])


@pytest.mark.skipif(not SAMPLE.is_dir(), reason="real frames are not in ../shared/data")
@pytest.mark.parametrize(
    ("protocol", "images"), [("eigen697-raw", 2), ("kitti-single-scan-garg", 2)]
)
def test_protocol_chooses_the_truth_of_the_eigen_frames(
    model: Path,
    tmp_path: Path,
    protocol: str,
    images: int,
    capsys: pytest.CaptureFixture[str],
) -> None:
    options = ["--data", "kitti", "--root", str(SAMPLE), "--protocol", protocol, "--partial"]
    assert main([str(model), "--cache", str(tmp_path), "--json", *options]) == 0
    plain = json.loads(capsys.readouterr().out)
    assert plain["images"] == images
    assert plain["protocol"].startswith(protocol)
