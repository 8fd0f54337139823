"""python -m nano.evaluate: what it prints, writes and refuses."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from PIL import Image

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


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
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
