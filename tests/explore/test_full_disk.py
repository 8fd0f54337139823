"""A full disk ends a study with one clear line; what was told is there when there is room again."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import resource
import subprocess
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from optuna.trial import TrialState
from toy_study import Toy

from nano import files
from nano.explore.journal import logging_to


@pytest.fixture
def small_disk(toy: Toy) -> Iterator[Path]:
    """A file system of 512 KiB where the run folder goes."""
    toy.run.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(toy.run)], capture_output=True
    )
    if mounted.returncode:
        pytest.skip(f"mounting a small disk: {mounted.stderr.decode().strip()}")
    yield toy.run
    subprocess.run(["umount", "-l", str(toy.run)], check=True)


def told(toy: Toy) -> list[int]:
    return [trial.number for trial in toy.trials() if trial.state.is_finished()]


@pytest.mark.slow
def test_a_disk_that_fills_ends_the_study_with_one_line_and_it_goes_on_with_room(
    toy: Toy, small_disk: Path
) -> None:
    process = toy.start("--trials", "60")
    out, err = process.communicate(timeout=600)
    assert process.returncode == 2, (out, err)
    *lines, last = err.splitlines()
    assert last.startswith("error: ") and "full" in last and str(small_disk) in last
    assert not any("Traceback" in line or "Logging error" in line for line in lines), err
    before = toy.evaluations()
    subprocess.run(["mount", "-o", "remount,size=64m", str(small_disk)], check=True)
    assert toy("--trials", str(len(before) + 2)).code == 0
    after = toy.evaluations()
    assert after[: len(before)] == before
    assert [e.number for e in after] == list(range(len(before) + 2))


@pytest.mark.slow
def test_a_file_that_may_not_grow_ends_the_study_with_one_line_and_it_goes_on(toy: Toy) -> None:
    """Where nobody may mount: the system refuses to let the database grow beyond 240 KiB."""

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (240 * 1024, 240 * 1024))

    process = toy.start("--trials", "60", before=limited)
    _, err = process.communicate(timeout=600)
    assert process.returncode == 2, err
    last = err.splitlines()[-1]
    assert last.startswith("error: ") and "cannot be written" in last
    assert "Traceback" not in err
    before = toy.evaluations()
    assert toy("--trials", str(len(before) + 2)).code == 0
    assert toy.evaluations()[: len(before)] == before


@pytest.mark.parametrize(
    "seed", [0, 1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(2, 20))]
)
def test_a_file_that_cannot_be_written_at_any_moment_loses_nothing(
    toy: Toy, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    left = [Random(seed).randrange(2, 40)]
    write = files.write_bytes

    def full(path: Path, content: bytes) -> None:
        left[0] -= 1
        if left[0] <= 0:
            raise files.unwritable(path, OSError(errno.ENOSPC, "No space left on device"))
        write(path, content)

    with monkeypatch.context() as patch:
        patch.setattr(files, "write_bytes", full)
        ended = toy()
    assert ended.code == 2
    assert ended.err.splitlines()[-1].endswith("cannot be written: the disk is full")
    before = toy.evaluations() if (toy.run / "study.db").exists() else []
    states = {trial.state for trial in toy.trials()} if before else set()
    assert TrialState.RUNNING not in states
    assert toy().code == 0
    after = toy.evaluations()
    assert after[: len(before)] == before and len(after) == 8
    assert len({e.key for e in after}) == 8


def test_a_log_without_room_is_no_reason_to_stop(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    (tmp_path / "log.txt").symlink_to("/dev/full")
    with logging_to(tmp_path / "log.txt"):
        logging.getLogger("nano").warning("nobody will read this")


def test_a_storage_that_may_only_be_read_is_told(toy: Toy, tmp_path: Path) -> None:
    assert toy("--trials", "3").code in {0, 3}
    for name in ("study.db",):
        (toy.run / name).chmod(0o444)
    if os.access(toy.run / "study.db", os.W_OK):  # root may write anything: mount it read-only
        bound = subprocess.run(
            ["mount", "--bind", "-o", "ro", str(toy.run / "study.db"), str(toy.run / "study.db")],
            capture_output=True,
        )
        if bound.returncode:
            pytest.skip(f"mounting read-only: {bound.stderr.decode().strip()}")
    try:
        ended = toy("--trials", "5")
    finally:
        with contextlib.suppress(FileNotFoundError):
            subprocess.run(["umount", "-l", str(toy.run / "study.db")], capture_output=True)
    assert ended.code == 2 and "it may only be read" in ended.err
