"""The small record of a run: whole for its readers, and without the machine's folders."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from PIL import Image

from benchmarks.record import main, without_folders
from nano.errors import InputError
from nano.files import read_json, write_json
from nano.report.run import read_run

RECORDED = Path(__file__).parents[2] / "studies" / "recorded"


def test_the_record_of_a_record_is_the_same(tmp_path: Path) -> None:
    assert main([str(RECORDED), str(tmp_path)]) == 0
    names = {path.relative_to(RECORDED) for path in RECORDED.rglob("*") if path.is_file()}
    names.remove(Path("README.md"))
    assert {p.relative_to(tmp_path) for p in tmp_path.rglob("*") if p.is_file()} == names
    for name in names:
        if name.suffix != ".png":
            assert (tmp_path / name).read_bytes() == (RECORDED / name).read_bytes(), name


def test_it_reads_like_the_run(tmp_path: Path) -> None:
    main([str(RECORDED), str(tmp_path)])
    assert read_run(tmp_path).evaluations == read_run(RECORDED).evaluations
    panel = read_run(tmp_path).panel
    assert panel is not None and Image.open(io.BytesIO(panel)).size == (1326, 366)


def test_a_command_keeps_its_words_and_loses_its_folders() -> None:
    argv = ["/home/somebody/nano/explore/__main__.py", "--out", "/data/runs/mine", "--trials", "3"]
    told = without_folders({"when": "then", "argv": argv})
    kept = ["nano/explore/__main__.py", "--out", "mine", "--trials", "3"]
    assert told == {"when": "then", "argv": kept}


def test_a_damaged_run_is_not_recorded(tmp_path: Path) -> None:
    run, to = tmp_path / "run", tmp_path / "to"
    write_json(run / "run.json", read_json(RECORDED / "run.json"))
    (run / "trials" / "0000").mkdir(parents=True)
    with pytest.raises(InputError, match="not whole"):
        main([str(run), str(to)])
    assert not to.exists()
