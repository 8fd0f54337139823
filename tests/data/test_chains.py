"""The whole way of real frames by the commands a person types, from a check to an accuracy."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from kitti_trees import real

from nano.data.__main__ import main as data_command
from nano.data.cache import open_cache
from nano.data.images import read_depth_png
from nano.evaluate.__main__ import main as evaluate_command
from nano.train.__main__ import main as train_command

pytestmark = pytest.mark.slow

Printed = pytest.CaptureFixture[str]


def walk(study: Path, printed: Printed) -> dict[str, Any]:
    """Fill, prepare, train two steps and evaluate what a study's [data] names; its accuracy.

    Filled maps must be whole and keep what was measured, and the caches hold what was filled.
    """
    place = ["--cache", str(study.parent / "cache")]
    assert data_command(["fill", str(study), *place, "--workers", "1"]) == 0
    told = printed.readouterr().out
    folder = Path(told.split(": ")[0])
    maps = sorted(folder.rglob("*.png"))
    assert told.endswith(f": {len(maps)} of {len(maps)} maps, {len(maps)} of them new\n")
    assert maps and all((read_depth_png(path) > 0).all() for path in maps)

    assert data_command(["prepare", str(study), *place]) == 0
    captions = printed.readouterr().out.splitlines()
    train, validation, test = (open_cache(Path(line.rsplit(": ", 1)[1])) for line in captions)
    assert len(train) == len(maps) and (np.asarray(train.depth) > 0).all()
    for split in (train, validation, test):
        known = int(split.truth.offsets[-1]) / np.prod(split.truth.sizes, axis=1).sum()
        assert 0 < known <= 1
        assert split.intrinsics is not None

    out = str(study.parent / "run")
    chosen = ["--data", str(study), *place]
    steps = ["--steps", "2", "--set", "batch=1", "--out", out]
    assert train_command(["depthnet-tiny", *chosen, *steps]) == 0
    printed.readouterr()
    assert evaluate_command([out, *chosen, "--json"]) == 0
    accuracy: dict[str, Any] = json.loads(printed.readouterr().out)
    assert 0 < accuracy["abs_rel"] < np.inf and 0 <= accuracy["delta1"] <= 1
    assert data_command(["fill", str(study), *place]) == 0  # found, not made again
    assert f"{len(maps)} of {len(maps)} maps, 0 of them new" in printed.readouterr().out
    return accuracy


def study_of(folder: Path, table: str) -> Path:
    path = folder / "study.toml"
    path.write_text(f'name = "chain"\n[data]\nfill = "nearest"\nsize = [32, 64]\n{table}')
    return path


def test_kitti_goes_all_the_way(tmp_path: Path, capsys: Printed) -> None:
    root = real("kitti_sample").resolve()
    assert data_command(["kitti", "--check", str(root)]) == 0
    report = capsys.readouterr().out
    assert "no problems found" in report and "lacking: images of 31 of 33 training" in report
    table = f"""set = "kitti"
root = "{root}"
truth = "single-scan"
train = ["2011_09_26_drive_0001"]
validation = ["2011_09_26_drive_0005"]
test = ["2011_09_26_drive_0002"]
"""
    accuracy = walk(study_of(tmp_path, table), capsys)
    assert (accuracy["images"], accuracy["data"]) == (4, "kitti test, 4 images at 32x64")
    assert accuracy["protocol"].startswith("kitti-single-scan (crop eigen, 0.001-80 m")
    index = json.loads(next((tmp_path / "cache").glob("*/index.json")).read_text())
    assert "CC BY-NC-SA 3.0" in index["licence"]


def test_kittis_annotated_maps_and_raw_scans_are_judged_by_their_own_protocols(
    tmp_path: Path, capsys: Printed
) -> None:
    root = str(real("kitti_sample").resolve())
    table = f"""set = "kitti"
root = "{root}"
partial = true
validation = ["2011_09_26_drive_0005"]
train = ["2011_09_26_drive_0001"]
"""
    study = study_of(tmp_path, table + 'truth = "raw"\nlegacy = true\ntest = "eigen-test"\n')
    accuracy = walk(study, capsys)
    assert (accuracy["images"], accuracy["protocol"][:12]) == (2, "eigen697-raw")
    # The only annotated frame of the sample is a training one.
    options = ["--data", str(study), "--cache", str(tmp_path / "cache"), "--split", "train"]
    study.write_text(
        study.read_text().replace('truth = "raw"\nlegacy = true', 'truth = "annotated"')
    )
    assert evaluate_command([str(tmp_path / "run"), *options, "--json"]) == 0
    accuracy = json.loads(capsys.readouterr().out)
    assert (accuracy["images"], accuracy["protocol"][:18]) == (1, "eigen652-annotated")


def test_dgp_goes_all_the_way(tmp_path: Path, capsys: Printed) -> None:
    scene = next(real("dgp_sample", "scene_01").resolve().glob("scene_*.json"))
    root = tmp_path / "dgp"
    root.mkdir()
    for name in "abc":  # one real scene under three names: enough to run everything
        (root / name).symlink_to(scene.parent)
    files = [f"{name}/{scene.name}" for name in "abc"]
    splits = {"0": {"filenames": files[:2]}, "1": {"filenames": files[2:]}}
    (root / "dgp.json").write_text(json.dumps({"scene_splits": splits}))
    assert data_command(["ddad", "--check", str(root)]) == 0
    assert "no problems found" in capsys.readouterr().out
    accuracy = walk(study_of(tmp_path, f'set = "ddad"\nroot = "{root}"\n'), capsys)
    assert (accuracy["images"], accuracy["data"]) == (3, "ddad test, 3 images at 32x64")
    assert accuracy["protocol"].startswith("ddad (crop none, 0.001-200 m, sensor truth")


def test_nyu_goes_all_the_way(tmp_path: Path, capsys: Printed) -> None:
    for split in ("train", "validation", "test"):
        folder = tmp_path / "nyu" / split / "office"
        folder.mkdir(parents=True)
        for name in ("rgb.npy", "depth.npy"):
            (folder / name).symlink_to(real("nyu_sample", name).resolve())
    assert data_command(["nyu", "--check", str(tmp_path / "nyu")]) == 0
    told = capsys.readouterr().out
    assert "nyu train: 1 frames, sensor truth; of 1 looked at 1 are good: 224x224" in told
    table = 'set = "nyu"\nroot = "nyu"\nvalidation = ["validation"]\nprotocol = "nyu-fastdepth"\n'
    accuracy = walk(study_of(tmp_path, table), capsys)
    assert (accuracy["images"], accuracy["data"]) == (1, "nyu test, 1 images at 32x64")
    assert accuracy["protocol"].startswith("nyu-fastdepth (crop none, 0.001-10 m, sensor truth")
