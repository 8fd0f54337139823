"""Names, folders and storages that somebody spoilt: one clear line, nothing run, nothing lost."""

from __future__ import annotations

import json
import logging
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from toy_study import Ended, Toy

from nano.console import one_line
from nano.dashboard.__main__ import opened
from nano.errors import RunError
from nano.explore import database
from nano.explore.carry import export_run, import_run
from nano.explore.folder import RunFolder
from nano.explore.journal import logging_to
from nano.explore.said import redacted
from nano.report.page import write_report

HOSTILE = [
    "<script>alert(1)</script>",
    "../../x",
    "two\\nlines",
    "\\u001b[2Jgone",
    "n" * 10_000,
    "",
]
PASSWORD = "hunter2/%40:x"


@pytest.fixture
def again(finished: tuple[Toy, Ended], toy: Toy, tmp_path: Path) -> Toy:
    return finished[0].copy(tmp_path / "again")


@pytest.mark.parametrize("name", HOSTILE, ids=lambda name: name[:12])
def test_a_study_of_a_hostile_name_is_refused_in_one_line(toy: Toy, name: str) -> None:
    toy.study.write_text(toy.study.read_text().replace('name = "toy"', f'name = "{name}"'))
    before = sorted(toy.folder.rglob("*"))
    ended = toy()
    assert ended.code == 2 and ended.out == ""
    assert ended.err.startswith("error: ") and ended.err.count("\n") == 1
    assert "name: " in ended.err and len(ended.err) < 600 and ended.err.strip().isprintable()
    assert sorted(toy.folder.rglob("*")) == before


def test_an_error_is_one_line_whatever_it_quotes() -> None:
    assert one_line("a\nb\x1b[2J\u202ec") == "a\\nb\\x1b[2J\\u202ec"
    assert one_line("größer als 3 m: é") == "größer als 3 m: é"
    long = one_line("x" * 1_000_000 + "end")
    assert len(long) < 2100 and long.endswith("xend") and " ... " in long


@pytest.mark.parametrize("text", ["<script>alert(1)</script>", "</style><img src=x onerror=a>"])
def test_what_a_person_writes_into_a_study_is_text_on_the_page(again: Toy, text: str) -> None:
    assert again("--set", f"about={json.dumps(text)}").code == 0
    record = RunFolder(path=again.run).run()
    for number in range(8):  # as somebody might who edits records
        path = again.run / "trials" / f"{number:04d}" / "evaluation.json"
        plain = json.loads(path.read_text())
        path.write_text(json.dumps(plain | {"origin": text, "reason": text}))
    RunFolder(path=again.run).write_run({**record, "study": text, "protocol": text, "commit": text})
    page = write_report(again.run).read_text()
    assert text not in page and text.replace("<", "&lt;").replace(">", "&gt;") in page


# --- storages ------------------------------------------------------------------------------------


def test_a_storage_of_a_newer_version_is_refused_and_left_alone(again: Toy, tmp_path: Path) -> None:
    database = again.run / "study.db"
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = 'v9.9.0'")
        connection.execute("UPDATE version_info SET library_version = '9.9.0'")
    before = database.read_bytes()
    ended = again("--trials", "10")
    assert ended.code == 2 and ended.err.count("\n") == 1
    words = "set up by optuna 9.9.0"
    assert words in ended.err and "updating optuna" in ended.err
    with pytest.raises(RunError, match=words):
        opened(str(again.run), None)
    with pytest.raises(RunError, match=words):
        export_run(RunFolder(path=again.run), None, tmp_path / "a.zip")
    assert database.read_bytes() == before
    write_report(again.run)  # needs no storage


def test_a_storage_that_is_none_is_refused_and_left_alone(again: Toy) -> None:
    (again.run / "study.db").write_bytes(b"no database at all" * 100)
    ended = again("--trials", "10")
    assert ended.code == 2 and ended.err.count("\n") == 1
    assert "cannot be opened: " in ended.err and "file is not a database" in ended.err
    assert (again.run / "study.db").read_bytes() == b"no database at all" * 100


# --- what was deleted by hand --------------------------------------------------------------------


@pytest.mark.parametrize("lost", ["trials", "confirm", "best", "run.json", "study.toml", "log.txt"])
def test_what_is_deleted_by_hand_is_no_end_of_the_study(again: Toy, lost: str) -> None:
    path = again.run / lost
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    trials = again.trials()
    opened(str(again.run), None)
    ended = again()
    if lost == "run.json":  # then nobody can say whose folder it is
        assert ended.code == 2 and "no run.json of study 'toy'" in ended.err
        assert ended.err.count("\n") == 1 and again.trials() == trials
    else:
        assert ended.code == 0 and again.trials() == trials
        assert path.exists()


def test_a_folder_that_lacks_files_goes_into_an_archive_as_it_is(
    again: Toy, tmp_path: Path
) -> None:
    shutil.rmtree(again.run / "trials" / "0003")
    shutil.rmtree(again.run / "best")
    export_run(RunFolder(path=again.run), None, tmp_path / "a.zip")
    import_run(tmp_path / "a.zip", tmp_path / "new", None)
    assert not (tmp_path / "new" / "best").exists()
    assert again("--out", str(tmp_path / "new")).code == 0
    assert (tmp_path / "new" / "trials" / "0003" / "evaluation.json").exists()


# --- passwords -----------------------------------------------------------------------------------


def test_no_password_is_written_anywhere(
    toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server stands behind the URL in truth; here it is a file, and all else is as it is."""
    url = f"postgresql://ann:{PASSWORD}@db.invalid/studies?sslpassword={PASSWORD}"
    real, file = database.open_storage, f"sqlite:///{tmp_path / 'theirs.db'}"

    def there(asked: str, **options: Any) -> object:
        return real(file if asked == url else asked, **options)

    monkeypatch.setattr("nano.explore.run.open_storage", there)
    monkeypatch.setattr("nano.explore.carry.open_storage", there)
    monkeypatch.setattr("nano.explore.database.open_storage", there)
    first, second = toy("--storage", url, "--trials", "3"), toy(f"--storage={url}", "--trials", "4")
    assert {first.code, second.code} <= {0, 3}
    write_report(toy.run)
    view, _, _ = opened(str(toy.run), url)
    shown = str([(s.user_attrs, s.system_attrs) for s in view.get_all_studies()])
    export_run(RunFolder(path=toy.run), url, tmp_path / "a.zip")
    import_run(tmp_path / "a.zip", tmp_path / "unpacked", None)
    written = [p for p in tmp_path.rglob("*") if p.is_file() and p.suffix != ".py"]
    assert {"run.json", "log.txt", "report.html", "a.zip"} <= {p.name for p in written}
    for path in written:
        assert b"hunter2" not in path.read_bytes(), path
    for ended in (first, second):
        assert "hunter2" not in ended.out + ended.err
    assert "hunter2" not in shown
    assert (toy.run / "run.json").read_text().count("://ann:***@db.invalid/studies") == 2


def test_an_unreachable_server_leaves_no_password_in_the_log(toy: Toy) -> None:
    ended = toy("--storage", f"postgresql+psycopg://ann:{PASSWORD}@127.0.0.1:1/db")
    assert ended.code == 2 and ended.err.count("\n") == 1
    assert "hunter2" not in ended.err and "ann:***@127.0.0.1" in ended.err
    assert "hunter2" not in (toy.run / "log.txt").read_text()


def test_no_password_reaches_the_log_from_anywhere(tmp_path: Path) -> None:
    logger = logging.getLogger("nano.somewhere")
    with logging_to(tmp_path / "log.txt"):
        try:
            raise ValueError(f"mysql://ann:{PASSWORD}@host/db is down")
        except ValueError:
            logger.exception("ended by %s", f"x://host/db?password={PASSWORD}")
    log = (tmp_path / "log.txt").read_text()
    assert "hunter2" not in log and "ValueError: mysql://ann:***@host/db is down" in log


def test_passwords_of_any_kind_are_taken_out_of_urls() -> None:
    assert redacted("x://ann:two words@host/db") == "x://ann:***@host/db"
    assert redacted("x://ann:a@b@host/db") == "x://ann:***@host/db"
    assert redacted("x://host/db?sslpassword=a&b=c") == "x://host/db?sslpassword=***&b=c"
    assert redacted("x://host/db?passwd=a") == "x://host/db?passwd=***"
    assert redacted("x://host:5432/db and y") == "x://host:5432/db and y"
