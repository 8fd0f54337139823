"""A long job of filling: what it loses when frames, processes, disks and people fail."""

from __future__ import annotations

import errno
import os
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from kitti_trees import DATE, point_at, write_calibration, write_depth, write_image, write_scan
from made_up_frames import MadeUp, filled
from PIL import Image

from nano.data import fill_job
from nano.data.__main__ import main
from nano.data.cache import cache_key, prepare
from nano.data.fill import fill
from nano.data.fill_job import Report, fill_frames, frame_bytes
from nano.data.filled import FilledSource
from nano.data.images import read_depth_png
from nano.data.locks import alone
from nano.data.sample import Sample
from nano.data.sets import data_table, source
from nano.errors import DataError, InputError, OutputError, RunError, StudyError
from nano.files import write_json
from nano.train.__main__ import chosen_job
from nano.train.__main__ import main as train_command
from nano.train.__main__ import parser as train_parser
from nano.train.earlier import METRICS_FILE
from nano.train.processes import ALONE

HALF_STEP_M = 0.5 / 256
DRIVE = f"{DATE}_drive_0001_sync"


def maps(folder: Path) -> dict[str, int]:
    """Time of writing of each map."""
    return {path.stem: path.stat().st_mtime_ns for path in folder.rglob("[!.]*.png")}


def left_overs(folder: Path) -> list[Path]:
    return list(folder.rglob("*.part"))


@pytest.mark.parametrize("workers", [1, 2])
def test_every_frame_gets_its_map_in_a_file(tmp_path: Path, workers: int) -> None:
    told: list[tuple[int, int]] = []
    report = fill_frames(
        filled(tmp_path, "levin"),
        workers=workers,
        progress=lambda done, total: told.append((done, total)),
    )
    assert report == Report(filled=6, kept=0, bad=())
    assert told == [(done, 6) for done in range(1, 7)]
    for index, sample in enumerate(MadeUp()[i] for i in range(6)):
        stored = read_depth_png(tmp_path / f"drive/frame-{index}.png")
        expected = fill(sample.depth, sample.image, "levin")
        np.testing.assert_allclose(stored, expected, rtol=0, atol=HALF_STEP_M * 1.001)
    assert not left_overs(tmp_path)


def test_second_run_keeps_what_the_first_made(tmp_path: Path) -> None:
    fill_frames(filled(tmp_path, count=4), workers=1)
    before = maps(tmp_path)
    assert fill_frames(filled(tmp_path), workers=1) == Report(filled=2, kept=4, bad=())
    after = maps(tmp_path)
    assert {name: after[name] for name in before} == before


def made(source: FilledSource) -> list[int]:
    """The frames whose maps had to be made, in this process."""
    return [index for index in range(len(source)) if source.fetch(index)[1]]


@pytest.mark.parametrize(
    ("changes", "anew"),
    [({"changed": (2, 3)}, [2, 3]), ({"method": "linear"}, list(range(6))), ({}, [])],
)
def test_maps_of_other_frames_or_another_method_are_made_anew(
    tmp_path: Path, changes: dict[str, Any], anew: list[int]
) -> None:
    assert made(filled(tmp_path)) == list(range(6))
    assert made(filled(tmp_path, **changes)) == anew
    assert made(filled(tmp_path, **changes)) == []


@pytest.mark.parametrize("content", [b"", b"\x89PNG", b"no picture"])
def test_a_damaged_map_is_made_anew(tmp_path: Path, content: bytes) -> None:
    made(filled(tmp_path))
    (tmp_path / "drive/frame-3.png").write_bytes(content)
    assert made(filled(tmp_path)) == [3]


def test_a_map_cut_short_is_made_anew(tmp_path: Path) -> None:
    made(filled(tmp_path))
    path = tmp_path / "drive/frame-3.png"
    os.truncate(path, path.stat().st_size - 30)
    assert made(filled(tmp_path)) == [3]


def test_bad_frames_are_passed_over_and_told_at_the_end(tmp_path: Path) -> None:
    report = fill_frames(filled(tmp_path, bad=(1, 4)), workers=1, bad_share=0.4)
    assert (report.filled, sorted(report.bad)) == (
        4,
        ["frame-1.png: truncated", "frame-4.png: truncated"],
    )
    assert len(maps(tmp_path)) == 4


def test_more_bad_frames_than_allowed_fail_after_the_others_are_filled(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"2 of 6 frames cannot be used") as refused:
        fill_frames(filled(tmp_path, bad=(1, 4)), workers=1, bad_share=0.1)
    assert "frame-4.png: truncated" in str(refused.value)
    assert "4 other maps are filled and kept" in str(refused.value)
    assert len(maps(tmp_path)) == 4


@pytest.mark.parametrize("workers", [1, 2])
def test_a_process_that_dies_loses_one_frame(tmp_path: Path, workers: int) -> None:
    report = fill_frames(filled(tmp_path, deadly=(0,), count=5), workers=workers, bad_share=0.5)
    assert report.filled == 4
    assert len(report.bad) == 1
    assert report.bad[0].startswith("frame 0: the process that filled it ended unexpectedly (sig")
    assert fill_frames(filled(tmp_path, count=5), workers=1) == Report(filled=1, kept=4, bad=())


def test_processes_that_die_whatever_they_do_end_the_job(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"5 processes ended one after the other.*fewer workers"):
        fill_frames(filled(tmp_path, deadly=tuple(range(1, 30)), count=30), workers=1, bad_share=1)


def test_a_full_disk_ends_the_job_and_keeps_what_was_written(tmp_path: Path) -> None:
    made(filled(tmp_path, count=3))
    before = maps(tmp_path)
    with _small_files(), pytest.raises(OutputError, match=r"cannot be written.*run it again"):
        fill_frames(filled(tmp_path), workers=1)
    assert maps(tmp_path) == before
    assert not left_overs(tmp_path)
    assert made(filled(tmp_path)) == [3, 4, 5]


class _small_files:
    """Writes of more than 100 bytes fail as on a full disk, here and in processes started here."""

    def __enter__(self) -> None:
        self._limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        self._handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, self._limits[1]))

    def __exit__(self, *_: object) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, self._limits)
        signal.signal(signal.SIGXFSZ, self._handler)


def test_a_folder_that_cannot_be_made_is_an_output_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        fill_frames(filled(tmp_path / "file"))


SCRIPT = """
import sys
from pathlib import Path
sys.path.insert(0, {here!r})
from made_up_frames import filled
from nano.data.fill_job import fill_frames
from nano.console import run
def main(arguments):
    fill_frames(filled(Path({folder!r}), count=40, delay=0.05), workers=2,
                progress=lambda done, total: print(done, flush=True))
    return 0
if __name__ == "__main__":
    run(main)
"""


def children(pid: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def gone(pids: list[int]) -> bool:
    deadline = time.monotonic() + 20
    while any(Path(f"/proc/{pid}").exists() for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not any(Path(f"/proc/{pid}").exists() for pid in pids)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("ending", "code"), [(signal.SIGKILL, -signal.SIGKILL), (signal.SIGINT, 130)]
)
def test_an_ended_job_leaves_whole_maps_and_goes_on_from_them(
    tmp_path: Path, ending: signal.Signals, code: int
) -> None:
    here, script, folder = Path(__file__).parent, tmp_path / "script.py", tmp_path / "maps"
    script.write_text(SCRIPT.format(here=str(here.parent), folder=str(folder)))
    process = subprocess.Popen(
        [sys.executable, str(script)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(here.parents[1])},
    )
    assert process.stdout is not None
    assert [process.stdout.readline() for _ in range(4)] == ["1\n", "2\n", "3\n", "4\n"]
    helpers = children(process.pid)
    process.send_signal(ending)
    _, said = process.communicate(timeout=60)
    assert process.returncode == code
    assert "Traceback" not in said
    assert helpers and gone(helpers)
    done = len(maps(folder))
    assert 4 <= done < 40
    for part in left_overs(folder):
        os.utime(part, (0, 0))  # as old as one that nobody writes any more
    report = fill_frames(filled(folder, count=40), workers=1)
    assert (report.kept, report.filled) == (done, 40 - done)
    assert not left_overs(folder)


@pytest.mark.parametrize(("gigabytes", "processes"), [(0.05, 1), (0.2, 1), (0.21, 2), (9.0, 3)])
def test_memory_bounds_the_processes(
    tmp_path: Path,
    gigabytes: float,
    processes: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    used: list[int] = []

    def outcomes(source: FilledSource, count: int) -> Generator[tuple[str, str]]:
        used.append(count)
        yield from [("kept", "")] * len(source)

    monkeypatch.setattr(fill_job, "_outcomes", outcomes)
    fill_frames(filled(tmp_path), workers=3, memory=int(gigabytes * 1e9))
    assert used == [processes]
    told = capsys.readouterr().err
    assert told == "" if processes == 3 else f"filling with {processes} of 3 processes" in told


def test_a_part_that_another_writer_has_just_begun_is_left_alone(tmp_path: Path) -> None:
    source = filled(tmp_path)
    young, old = tmp_path / ".a.png.x.part", tmp_path / ".b.png.y.part"
    for part in (young, old):
        part.write_bytes(b"")
    os.utime(old, (0, 0))
    fill_frames(source, workers=1)
    assert young.exists() and not old.exists()


def test_one_who_waits_for_another_process_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    holder = threading.Event()
    with alone(tmp_path / ".lock"):
        waiting = threading.Thread(target=lambda: _enter(tmp_path / ".lock", holder))
        waiting.start()
        assert not holder.wait(0.2)
    assert holder.wait(20)
    waiting.join()
    assert "another process works here; waiting" in capsys.readouterr().err


def _enter(lock: Path, entered: threading.Event) -> None:
    with alone(lock):
        entered.set()


def test_a_file_system_without_locks_is_one_clear_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unlockable(handle: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("nano.data.locks.fcntl.flock", unlockable)
    with pytest.raises(OutputError, match=r"\.lock: cannot be locked \(No locks.*local disk"):
        fill_frames(filled(tmp_path), workers=1)


def test_a_larger_frame_and_a_dearer_method_need_more_memory() -> None:
    assert frame_bytes((375, 1242), "levin") < 1e9
    assert frame_bytes((375, 1242), "levin") > frame_bytes((375, 1242), "levin-half")
    assert frame_bytes((375, 1242), "levin") > frame_bytes((96, 320), "levin")


# --- frames of KITTI -----------------------------------------------------------------------------


def tree(root: Path, count: int = 4) -> Path:
    """A drive with ``count`` images, their single-scan maps and scans."""
    raw = root / "raw" / DATE / DRIVE
    write_calibration(raw.parent)
    for index in range(count):
        write_image(raw / f"image_02/data/{index:010d}.png", seed=index)
        write_depth(root / f"depth/{DRIVE}/proj_depth/velodyne_raw/image_02/{index:010d}.png")
        points = np.array([point_at(30, 8, 20.0), point_at(60, 16, 40.0)], np.float32)
        write_scan(raw / f"velodyne_points/data/{index:010d}.bin", points)
    return root


def truncated(path: Path) -> str:
    os.truncate(path, path.stat().st_size // 2)
    return "truncated: copy it again"


def eight_bit(path: Path) -> str:
    Image.fromarray(np.full((24, 80), 200, np.uint8)).save(path)
    return "not a 16-bit depth map.*use the PNG files as KITTI ships them"


def another_size(path: Path) -> str:
    write_depth(path, (12, 40))
    return "one of them was resized or cropped"


def nothing_known(path: Path) -> str:
    Image.fromarray(np.zeros((24, 80), np.uint16)).save(path)
    return "not one pixel has a depth.*copy the map or its scan again"


@pytest.mark.parametrize("harm", [truncated, eight_bit, another_size, nothing_known])
def test_a_bad_map_is_named_with_the_remedy_and_the_others_are_filled(
    tmp_path: Path, harm: Callable[[Path], str], capsys: pytest.CaptureFixture[str]
) -> None:
    root, out = tree(tmp_path / "kitti"), tmp_path / "out"
    message = harm(root / f"depth/{DRIVE}/proj_depth/velodyne_raw/image_02/0000000002.png")
    options = ["fill", str(root), "--out", str(out), "--truth", "single-scan", "--workers", "1"]
    with pytest.raises(DataError, match=f"1 of 4 frames(.|\n)*0000000002.*{message}"):
        main(options)
    assert len(maps(out)) == 3
    assert main([*options, "--bad-share", "0.25"]) == 0
    printed = capsys.readouterr()
    assert printed.out == f"{out}: 3 of 4 maps, 0 of them new\n"
    assert "1 of 4 frames cannot be used" in printed.err and "0000000002" in printed.err


def test_an_empty_scan_is_named_with_the_remedy(tmp_path: Path) -> None:
    root = tree(tmp_path / "kitti")
    scan = root / f"raw/{DATE}/{DRIVE}/velodyne_points/data/0000000001.bin"
    scan.write_bytes(b"")
    options = [
        "fill",
        str(root),
        "--out",
        str(tmp_path / "out"),
        "--truth",
        "raw",
        "--workers",
        "1",
    ]
    with pytest.raises(DataError, match=r"0000000001\.bin: an empty scan.*copy it again"):
        main([*options, "--method", "nearest", "--workers", "1"])
    assert len(maps(tmp_path / "out")) == 3


def test_folders_need_a_place_for_their_maps(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--out DIR"):
        main(["fill", str(tree(tmp_path))])


@pytest.mark.parametrize("share", ["-0.1", "1.5", "nan", "few"])
def test_a_share_is_a_number_from_0_to_1(share: str) -> None:
    with pytest.raises(InputError, match="is no share"):
        main(["fill", "kitti", f"--bad-share={share}"])


# --- a study that trains on filled depth ---------------------------------------------------------


def study(root: Path, fill: str = "nearest") -> Path:
    """A study of two drives beside them: four frames train, two validate, two test."""
    tree(root)
    for number in (2, 3):
        for part, below in (("raw", DATE), ("depth", "")):
            first = root / part / below / DRIVE
            other = first.with_name(f"{DATE}_drive_{number:04d}_sync")
            shutil.copytree(first, other)
    path = root / "study.toml"
    path.write_text(
        f'[data]\nset = "kitti"\nroot = "."\nsize = [24, 80]\ntruth = "single-scan"\n'
        f'fill = "{fill}"\ntrain = ["{DATE}_drive_0001"]\nvalidation = ["{DATE}_drive_0002"]\n'
        f'test = ["{DATE}_drive_0003"]\n'
    )
    return path


def table(root: Path, fill: str) -> Any:
    drives = {
        name: [f"{DATE}_drive_000{number}"]
        for name, number in (("train", 1), ("validation", 2), ("test", 3))
    }
    plain = {"set": "kitti", "root": ".", "size": [24, 80], "truth": "single-scan", **drives}
    return data_table(plain | {"fill": fill})


def test_only_training_depth_is_filled_and_no_truth(tmp_path: Path) -> None:
    study(tmp_path)
    sets = {
        (fill, split): prepare(
            source(table(tmp_path, fill), tmp_path, split), (24, 80), tmp_path / "cache"
        )
        for fill in ("none", "nearest")
        for split in ("train", "validation", "test")
    }
    assert (sets["nearest", "train"].depth > 0).all()
    known = sets["none", "train"].depth > 0
    assert not known.all()
    np.testing.assert_array_equal(
        sets["nearest", "train"].depth[known], sets["none", "train"].depth[known]
    )
    for split in ("train", "validation", "test"):
        plain, dense = sets["none", split], sets["nearest", split]
        np.testing.assert_array_equal(plain.truth.index, dense.truth.index)
        np.testing.assert_array_equal(plain.truth.depth, dense.truth.depth)
        assert plain.truth_kind == dense.truth_kind == "single-scan"
        if split != "train":
            np.testing.assert_array_equal(plain.depth, dense.depth)


def test_the_way_of_filling_names_the_training_cache_and_no_other(tmp_path: Path) -> None:
    study(tmp_path)

    def keys(split: Any) -> set[str]:
        ways = ("none", "nearest", "linear", "levin", "levin-half")
        return {cache_key(source(table(tmp_path, way), tmp_path, split), (24, 80)) for way in ways}

    assert [len(keys(split)) for split in ("train", "validation", "test")] == [5, 1, 1]


def test_an_evaluation_on_training_frames_reads_them_as_measured(tmp_path: Path) -> None:
    study(tmp_path)
    tables = [table(tmp_path, fill) for fill in ("none", "levin")]
    keys = {
        cache_key(source(each, tmp_path, "train", as_measured=True), (24, 80)) for each in tables
    }
    assert len(keys) == 1


def test_maps_filled_beforehand_are_what_the_cache_is_made_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, cache = study(tmp_path), tmp_path / "cache"
    assert main(["fill", str(path), "--cache", str(cache), "--workers", "1"]) == 0
    folder = cache / "filled/kitti-single-scan-nearest"
    assert capsys.readouterr().out == f"{folder}: 4 of 4 maps, 4 of them new\n"
    before = maps(folder)
    assert main(["prepare", str(path), "--cache", str(cache)]) == 0
    assert maps(folder) == before


def test_filled_frames_read_the_same_from_their_files_and_anew(tmp_path: Path) -> None:
    kept, anew = filled(tmp_path, "levin"), replace(filled(tmp_path, "levin"), folder=None)
    for index in range(3):
        first, again, without = kept[index], kept[index], anew[index]
        assert first.filled is not None and again.filled is not None and without.filled is not None
        np.testing.assert_array_equal(first.filled, again.filled)
        np.testing.assert_array_equal(first.filled, without.filled)
        np.testing.assert_array_equal(first.depth, MadeUp()[index].depth)


def test_a_study_that_fills_nothing_is_told_the_key(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match='set fill = "levin"'):
        main(["fill", str(study(tmp_path, "none"))])


def test_a_study_says_how_to_fill_itself(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="leave out --method"):
        main(["fill", str(study(tmp_path)), "--method", "linear"])


def test_the_way_none_leaves_unknown_pixels_unknown(tmp_path: Path) -> None:
    source = filled(tmp_path, method="none")
    for sample in (source[0], source[0]):  # made, and read back
        assert sample.filled is not None
        assert ((sample.filled > 0) == (sample.depth > 0)).all()


def test_depth_beyond_what_a_map_holds_is_refused_with_the_number() -> None:
    inner = MadeUp(count=1)
    far = replace(inner[0], depth=np.full((12, 20), 300.0, np.float32))

    class Far(MadeUp):
        def __getitem__(self, index: int) -> Sample:
            return far

    with pytest.raises(DataError, match=r"frame-0: a depth of 300\.0 m, but .* at most 256 m"):
        FilledSource(inner=Far(), method="nearest", label="far")[0]


def test_a_training_tells_how_depth_was_filled_and_another_way_is_another_training(
    tmp_path: Path,
) -> None:
    out = tmp_path / "out"
    options = ["depthnet-tiny", "--data", str(study(tmp_path)), "--cache", str(tmp_path / "cache")]
    options += ["--size", "32x64", "--out", str(out)]
    job = chosen_job(train_parser().parse_args([*options, "--fill", "linear"]), ALONE, "cpu")
    assert job.training["fill"] == "linear"
    write_json(out / METRICS_FILE, {"training": job.training})
    with pytest.raises(RunError, match="another training, which differs in fill;"):
        train_command(options)
    assert not (tmp_path / "cache" / "filled" / "kitti-single-scan-nearest").exists()
    for path in (tmp_path / "depth" / DRIVE).rglob("*.png"):
        write_depth(path, metres=20.0)  # other frames of the same names
    with pytest.raises(RunError, match="another training, which differs in frames;"):
        train_command([*options, "--fill", "linear"])
