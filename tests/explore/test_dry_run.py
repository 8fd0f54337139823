"""--dry-run: checks, counts and predicts; trains nothing that is kept, writes nothing."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from toy_study import ROOT, Toy

from nano.cost.count import count
from nano.design.presets import preset
from nano.errors import RunError
from nano.explore import dryrun
from nano.files import to_plain
from nano.train.loop import Stopped

REAL = """name = "real"
trials = 6
[data]
size = [32, 96]
train = 8
validation = 4
test = 4
[prototype]
preset = "depthnet-tiny"
[require]
params = "<= 4900"
[stages]
rungs = [{ steps = 4 }]
final = { steps = 8 }
keep = 0.5
confirm = { designs = 2, seeds = 3 }
recipe = { name = "quick", batch = 2 }
"""


@pytest.fixture
def clocked(monkeypatch: pytest.MonkeyPatch) -> float:
    """Trainings whose steps take 0.25 s each after a first one of 9 s, on a clock of their own."""
    now = [100.0]

    def train(*_: object, stop: Callable[[], bool], **__: object) -> None:
        now[0] += 9.0
        while not stop():
            now[0] += 0.25
        raise Stopped("as asked")

    monkeypatch.setattr("nano.train.loop.train", train)
    monkeypatch.setattr(dryrun.time, "perf_counter", lambda: now[0])
    return 0.25


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(dryrun, "_SAMPLES", 200)
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_it_counts_and_predicts_from_steps_after_the_first(toy: Toy, clocked: float) -> None:
    toy.study.write_text(REAL)
    ended = toy("--dry-run", "--json", workers=2)
    assert ended.code == 0
    found = json.loads(ended.out)
    assert found["designs"]["preset"] == to_plain(count(preset("depthnet-tiny"), (32, 96)))
    costs = {name: cost["params"] for name, cost in found["designs"].items()}
    assert costs["smallest"] < costs["preset within the caps"] <= 4900 < costs["preset"]
    assert 0 < found["space"]["share_within_caps"] < 1
    search, confirm = 6 * 8 + 3 * 16, 3 * 3 * 16
    assert found["spend"] == {
        "trials": 6,
        "search_images": search,
        "confirm_images": confirm,
    }
    prediction = found["prediction"]
    assert prediction["seconds_per_step"] == pytest.approx(clocked)
    assert prediction["hours"] == pytest.approx((search + confirm) / 2 * clocked / 2 / 3600)
    assert found["data"] == {"state": "ready", "train": 8, "validation": 4, "test": 4}


def test_trials_and_hours_of_the_command_line_count(toy: Toy, clocked: float) -> None:
    toy.study.write_text(REAL)
    ended = toy("--dry-run", "--json", "--trials", "60", "--hours", "0.01", workers=2)
    found = json.loads(ended.out)
    search, confirm = 60 * 8 + 30 * 16, 3 * 3 * 16
    assert found["spend"]["trials"] == 60 and found["spend"]["search_images"] == search
    hours_per_image = clocked / 2 / 2 / 3600
    assert found["prediction"]["hours"] == pytest.approx(0.01 + confirm * hours_per_image)
    assert found["prediction"]["trials"] == round(60 * 0.01 / (search * hours_per_image)) < 60


def test_what_is_counted_is_told_before_anything_is_timed(
    toy: Toy, monkeypatch: pytest.MonkeyPatch
) -> None:
    def train(*_: object, **__: object) -> None:
        raise RunError("interrupted here")

    monkeypatch.setattr("nano.train.loop.train", train)
    toy.study.write_text(REAL)
    ended = toy("--dry-run")
    assert ended.err == "timing a training step ...\nerror: interrupted here\n"
    for word in ("space ", "requirements: ", "spend: ", "one batch of finalists", "data: 8 to"):
        assert word in ended.out


def test_large_images_are_timed_in_a_small_batch_and_scaled(
    toy: Toy, clocked: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dryrun, "_TIMED_PIXELS", 3 * 32 * 96)
    toy.study.write_text(REAL.replace("batch = 2", "batch = 8"))
    found = json.loads(toy("--dry-run", "--json", workers=1).out)
    assert found["prediction"]["seconds_per_step"] == pytest.approx(clocked * 8 / 3)


def test_it_times_real_steps_and_writes_nothing(
    toy: Toy, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    toy.study.write_text(REAL)
    monkeypatch.setattr(dryrun, "_TIMED_SECONDS", 1e-9)  # one step after the first
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    before = sorted(tmp_path.rglob("*"))
    ended = toy("--dry-run", workers=2)
    assert ended.code == 0
    assert ended.out.startswith("real: the study file is sound; nothing was trained or written\n")
    assert re.search(r"GiB with 2 workers on \w+ \([1-9][\d.e+]* ms a step\)", ended.out)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_user_function_is_checked_and_not_called(toy: Toy) -> None:
    ended = toy("--dry-run")
    assert ended.code == 0 and "prediction" not in ended.out
    assert toy.calls() == []
    toy.define("def other(design): ...\n")
    ended = toy("--dry-run")
    assert ended.code == 2 and "has no function score" in ended.err


def test_kitti_without_its_data_is_told_what_to_put_where(toy: Toy, clocked: float) -> None:
    text = REAL.replace("size = [32, 96]\ntrain = 8\nvalidation = 4\ntest = 4\n", "")
    toy.study.write_text(text.replace("[data]", '[data]\nset = "kitti"\nroot = "my/kitti"'))
    ended = toy("--dry-run")
    assert ended.code == 0
    told = ended.out.partition("data are missing: ")[2]
    root = str(toy.folder / "my" / "kitti")
    assert root in told and "2011_09_26" not in told.partition("\n")[0]
    for word in ("DATE_drive_NNNN_sync/image_02", "data_depth_annotated", "--set 'data.root="):
        assert word in told
    assert "python -m nano.data kitti --check ROOT" in told
    assert not toy.run.exists()
    # Without --dry-run the same is wrong input, before anything is trained.
    assert toy().code == 2


def test_what_no_design_can_meet_ends_it(toy: Toy) -> None:
    toy.study.write_text(REAL)
    ended = toy("--dry-run", "--set", "require.params=<= 100")
    assert ended.code == 2 and "no design of this prototype is that small" in ended.err


@pytest.mark.parametrize("study", sorted(path.name for path in (ROOT / "studies").glob("*.toml")))
def test_the_studies_that_ship_are_sound(toy: Toy, clocked: float, study: str) -> None:
    toy.study.write_bytes((ROOT / "studies" / study).read_bytes())
    assert toy("--dry-run").code == 0


def test_a_device_that_can_never_measure_is_told(toy: Toy) -> None:
    toy.study.write_text(f'{toy.study.read_text()}\n[device]\nkind = "cpu"\nruntime = "tensorrt"\n')
    ended = toy("--dry-run")
    assert ended.code == 2 and "runtime tensorrt runs on cuda only" in ended.err
