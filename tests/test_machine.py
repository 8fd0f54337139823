import subprocess
from pathlib import Path

import pytest
import torch

from nano.machine import available_memory, commit, machine, versions


def git(folder: Path, *arguments: str) -> None:
    subprocess.run(
        ["git", "-C", str(folder), "-c", "user.name=A", "-c", "user.email=a@b.c", *arguments],
        check=True,
        capture_output=True,
    )


def test_versions_are_those_installed() -> None:
    assert versions()["torch"] == torch.__version__


def test_machine_tells_processor_and_cores() -> None:
    told = machine()
    assert told["processor"] and told["cores"] >= 1


def test_commit_marks_changed_files(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    (tmp_path / "file").write_text("a")
    git(tmp_path, "add", "file")
    git(tmp_path, "commit", "-qm", "first")
    clean = commit(tmp_path)
    assert clean is not None and len(clean) == 12
    (tmp_path / "file").write_text("b")
    assert commit(tmp_path) == f"{clean}-dirty"


def test_no_commit_outside_git(tmp_path: Path) -> None:
    assert commit(tmp_path) is None


@pytest.mark.skipif(not Path("/proc/meminfo").exists(), reason="the system does not tell")
def test_available_memory_is_less_than_there_is() -> None:
    free = available_memory()
    total = int(Path("/proc/meminfo").read_text().split()[1]) * 1024
    assert free is not None
    assert 0 < free < total
