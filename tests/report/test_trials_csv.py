"""trials.csv is what the documentation promises, to the column."""

from __future__ import annotations

import csv
import errno
from collections.abc import Callable
from pathlib import Path

import pandas
import pytest

from nano.errors import OutputError, RunError
from nano.report.run import read_run
from nano.report.tables import write_trials_csv

Maker = Callable[..., Path]
PROMISED = [
    *("number", "state", "stage", "feasible", "netscore", "delta1", "abs_rel", "params", "macs"),
    *("latency_ms", "spend_images", "seconds", "key", "seed", "origin"),
]


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_columns_are_the_promised_ones_then_margins_in_the_studys_order(make_run: Maker) -> None:
    path = write_trials_csv(make_run(measured=True))
    header = path.read_text(encoding="utf-8").splitlines()[0].split(",")
    assert header == [*PROMISED, "margin_delta1", "margin_params", "margin_latency_ms"]


def test_every_evaluation_is_a_row_with_its_numbers_in_full(make_run: Maker) -> None:
    run = read_run(make_run(measured=True))
    rows = read(write_trials_csv(run.folder))
    assert [int(row["number"]) for row in rows] == [e.number for e in run.evaluations]
    for row, evaluation in zip(rows, run.evaluations, strict=True):
        assert row["key"] == evaluation.key
        assert int(row["macs"]) == evaluation.cost.macs
        assert row["feasible"] == str(evaluation.feasible).lower()
        known = evaluation.accuracy.delta1 if evaluation.accuracy else None
        assert (float(row["delta1"]) if row["delta1"] else None) == known
        assert int(row["spend_images"]) == sum(r.images for r in evaluation.readings)
        assert bool(row["latency_ms"]) == bool(evaluation.measurements)


def test_all_three_states_occur_and_only_complete_ones_are_feasible(make_run: Maker) -> None:
    table = pandas.read_csv(write_trials_csv(make_run()))
    assert set(table["state"]) == {"complete", "pruned", "failed"}
    assert set(table.loc[table["feasible"], "state"]) == {"complete"}
    assert table["feasible"].dtype == bool


def test_an_empty_run_has_a_header_and_no_row(make_run: Maker) -> None:
    assert read(write_trials_csv(make_run(trials=0))) == []


def test_the_same_records_give_the_same_bytes(make_run: Maker) -> None:
    folder = make_run()
    first = write_trials_csv(folder).read_bytes()
    assert write_trials_csv(folder).read_bytes() == first


def test_a_folder_without_a_study_is_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"has no run\.json.*nano\.explore"):
        write_trials_csv(tmp_path)
    with pytest.raises(RunError, match="no such folder"):
        write_trials_csv(tmp_path / "nowhere")


def test_a_full_disk_leaves_the_old_table(make_run: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make_run()
    old = write_trials_csv(folder).read_bytes()

    def full(self: Path, content: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OutputError, match=r"trials\.csv: cannot be written: the disk is full"):
        write_trials_csv(folder)
    monkeypatch.undo()
    assert (folder / "trials.csv").read_bytes() == old
    assert not list(folder.glob(".trials.csv.*"))
