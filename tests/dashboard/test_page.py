"""What the dashboard's pages are told: the right crown, constraints, files, a note; no writing."""

from __future__ import annotations

import json
import re
import sqlite3
from contextlib import closing
from pathlib import Path

import optuna
import pytest
from dashboard_study import INFEASIBLE, PRUNED, Make, Page

from nano.dashboard.view import View
from nano.explore.database import open_storage

HOSTILE = (
    "<script>alert(1)</script>",
    "../../etc/passwd",
    "two\nlines\r\nSet-Cookie: a=b",
    "n" * 10_000,
    "![](http://elsewhere.invalid/a.png) | [x](javascript:alert(1))",
)


@pytest.fixture(scope="module")
def page(made: Path) -> Page:
    return Page(made)


def test_the_best_feasible_trial_is_crowned(made: Path, page: Page) -> None:
    detail = page.detail()
    study = optuna.load_study(
        study_name="made", storage=open_storage(f"sqlite:///{made / 'study.db'}")
    )
    values = {t["number"]: t["values"][0] for t in detail["trials"] if t["state"] == "Complete"}
    assert max(values, key=values.__getitem__) == INFEASIBLE  # else this would show nothing
    assert [t["number"] for t in detail["best_trials"]] == [study.best_trial.number] == [0]


def test_trials_are_drawn_infeasible_where_they_are(page: Page) -> None:
    worst = {t["number"]: max(t["constraints"]) for t in page.detail()["trials"]}
    assert {number for number, margin in worst.items() if margin > 0} == {INFEASIBLE, PRUNED}


def test_no_trial_is_crowned_where_none_is_feasible(make: Make) -> None:
    page = Page(make([(0.3, 0.3, None), (0.2, 0.5, None)]))
    assert page.detail()["best_trials"] == []
    assert "No trial meets every requirement yet" in page.detail()["note"]["body"]


def test_a_study_without_a_finished_trial_has_a_page(make: Make) -> None:
    detail = Page(make([])).detail()
    assert detail["best_trials"] == [] and "No design has been evaluated" in detail["note"]["body"]


def test_metric_and_margins_have_names_and_no_record_is_poured_out(page: Page) -> None:
    detail = page.detail()
    assert detail["objective_names"] == ["NetScore (dB)"]
    told = {one["key"]: one["value"] for one in detail["trials"][INFEASIBLE]["user_attrs"]}
    assert told["feasible"] == "no" and float(told["margin abs_rel"]) > 0
    assert not {"design", "evaluation", "owner"} & set(told)


def test_a_waiting_trial_tells_what_it_will_be_and_an_ended_one_nothing_twice(make: Make) -> None:
    folder = make()
    storage = open_storage(f"sqlite:///{folder / 'study.db'}")
    study = optuna.load_study(study_name="made", storage=storage)
    first = study.trials[0]
    study.enqueue_trial(first.params)
    ended, *_, waiting = Page(folder).detail()["trials"]
    assert (waiting["state"], ended["state"]) == ("Waiting", "Complete")
    assert {one["name"] for one in waiting["fixed_params"]} == set(first.params)
    assert not ended["fixed_params"] and len(ended["params"]) == len(first.params)


def test_the_note_has_a_leaderboard_requirements_and_pictures_that_load(page: Page) -> None:
    note = page.detail()["note"]["body"]
    rows = re.findall(r"^\| #(\d+) \| (yes|no) ", note, re.MULTILINE)
    assert rows == [("0", "yes"), ("2", "yes"), ("1", "no")]
    assert r"| abs\_rel |" in note
    pictures = re.findall(r"!\[[^\]]*\]\(([^)]+)\)", note)
    assert len(pictures) == 2
    for picture in pictures:
        answer = page(picture)
        assert answer.status == 200 and answer.headers["Content-Type"] == "image/svg+xml"
        assert answer.body.startswith(b"<svg ") and b"var(--" not in answer.body


def test_a_note_written_with_the_plain_dashboard_is_kept(make: Make) -> None:
    from optuna_dashboard import save_note

    folder = make()
    storage = open_storage(f"sqlite:///{folder / 'study.db'}")
    save_note(optuna.load_study(study_name="made", storage=storage), "remember the tunnel")
    assert Page(folder).detail()["note"]["body"].endswith("remember the tunnel")


def test_each_trial_has_its_files(made: Path, page: Page) -> None:
    trial = page.detail()["trials"][2]
    files = {a["filename"]: a["artifact_id"] for a in trial["artifacts"]}
    assert set(files) == {"panel.png", "loss.svg", "design.json", "evaluation.json", "curve.csv"}
    at = f"/artifacts/1/{trial['trial_id']}/"
    for name in set(files) - {"loss.svg"}:
        assert page(at + files[name]).body == (made / "trials" / "0002" / name).read_bytes()
    assert page(at + files["loss.svg"]).body.startswith(b"<svg ")


def test_a_file_deleted_by_hand_is_no_longer_there(make: Make) -> None:
    folder = make()
    page = Page(folder)
    trial = page.detail()["trials"][0]
    panel = next(a["artifact_id"] for a in trial["artifacts"] if a["filename"] == "panel.png")
    (folder / "trials" / "0000" / "panel.png").unlink()
    assert page(f"/artifacts/1/{trial['trial_id']}/{panel}").status == 404
    left = Page(folder).detail()["trials"][0]["artifacts"]  # a page remembers trials for seconds
    assert panel not in {a["artifact_id"] for a in left} and len(left) == 4


def test_a_damaged_curve_is_no_picture_and_no_crash(make: Make) -> None:
    folder = make()
    (folder / "trials" / "0000" / "curve.csv").write_text("a,b\n1\n")
    page = Page(folder)
    trial = page.detail()["trials"][0]
    curve = next(a["artifact_id"] for a in trial["artifacts"] if a["filename"] == "loss.svg")
    answer = page(f"/artifacts/1/{trial['trial_id']}/{curve}")
    assert answer.status == 404 and b"lacks the columns" in answer.body


def test_a_folder_taken_away_leaves_what_the_storage_knows(make: Make, tmp_path: Path) -> None:
    folder = make()
    (folder / "study.db").rename(tmp_path / "kept.db")
    page = Page(folder, f"sqlite:///{tmp_path / 'kept.db'}")
    folder.rename(tmp_path / "gone")
    detail = page.detail()
    assert [t["number"] for t in detail["best_trials"]] == [0]
    assert "| #0 | yes |" in detail["note"]["body"] and "![" not in detail["note"]["body"]


@pytest.mark.parametrize("path", ["../secret.txt", "/etc/passwd", "trials/0000/out.png"])
def test_nothing_outside_the_run_folder_is_served(make: Make, path: str) -> None:
    folder = make()
    (folder.parent / "secret.txt").write_text("secret")
    trial = folder / "trials" / "0000"
    (trial / "out.png").symlink_to(folder.parent / "secret.txt")
    (trial / "panel.png").unlink()
    (trial / "panel.png").symlink_to(folder.parent / "secret.txt")  # a name that is listed
    page = Page(folder)
    for name in (path, "trials/0000/panel.png"):
        for at in ("/artifacts/1/", "/artifacts/1/1/"):
            assert page(at + name.encode().hex()).status == 404


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("DELETE", "/api/studies/1"),
        ("POST", "/api/studies"),
        ("PUT", "/api/studies/1/note"),
        ("POST", "/api/trials/1/tell"),
    ],
)
def test_the_page_only_reads(page: Page, method: str, path: str) -> None:
    answer = page(path, method)
    assert answer.status == 403 and "only reads" in answer.json["reason"]


def test_looking_changes_nothing(make: Make) -> None:
    folder = make()
    before = {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    page = Page(folder)
    for path in ("/api/studies", "/api/studies/1", "/csv/1", "/api/studies/1/param_importances"):
        assert page(path).status == 200
    with pytest.raises(PermissionError, match="only reads"):
        page.view.delete_study(1)
    assert {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()} == before


def test_the_plain_dashboard_opens_the_same_storage(made: Path) -> None:
    from optuna_dashboard import wsgi

    began: list[str] = []
    environ = {"PATH_INFO": "/api/studies", "REQUEST_METHOD": "GET", "wsgi.input": None}
    app = wsgi(f"sqlite:///{made / 'study.db'}")
    body = b"".join(app(environ, lambda status, *_: began.append(status)))
    assert began == ["200 OK"] and json.loads(body)["study_summaries"][0]["study_name"] == "made"


def test_a_page_of_another_name_is_not_answered(page: Page) -> None:
    for host in ("evil.invalid", "evil.invalid:8080", "", "10.0.0.1:8080", "[::1", "127.0.0.1.x"):
        assert page("/api/studies", host=host).status == 403
    for host in ("localhost:8080", "127.0.0.1", "[::1]:8080"):
        assert page("/api/studies", host=host).status == 200


@pytest.mark.parametrize("path", ["study.db", "owners/turn.lock", "checkpoints/a.pt", "trials"])
def test_only_a_run_s_own_files_are_served(make: Make, path: str) -> None:
    folder = make()
    for name in ("owners/turn.lock", "checkpoints/a.pt"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).touch()
    assert Page(folder)("/artifacts/1/" + path.encode().hex()).status == 404


def test_what_is_not_there_is_404(page: Page) -> None:
    for path in ("/api/studies/99", "/artifacts/1/zz", "/artifacts/1/99/00", "/artifacts/1/2e2e"):
        assert page(path).status == 404, path


def test_the_address_does_not_wait_for_the_note(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[object] = []
    monkeypatch.setattr(View, "_written", lambda *given: written.append(given) or "")
    page = Page(make())
    assert not written
    page.detail()
    assert len(written) == 1


def test_files_open_in_a_cage(page: Page) -> None:
    answer = page("/artifacts/1/" + b"study.toml".hex())
    assert answer.status == 200 and answer.headers["Content-Type"] == "text/plain"
    assert answer.headers["Content-Security-Policy"].startswith("sandbox allow-scripts; default")
    assert "Access-Control-Allow-Origin" not in answer.headers


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_text(make: Make, name: str) -> None:
    folder = make(name=name)
    page = Page(f"sqlite:///{folder / 'study.db'}")
    shown = page("/api/studies").json["study_summaries"][0]["study_name"]
    assert shown.isprintable() and len(shown) < 130
    note = page.detail()["note"]["body"]
    assert r"\<script\>alert" in note and "\n# heading" not in note
    assert not re.search(r"(?<!\\)[<\[(]", re.sub(r"!?\[\S+\]\(/artifacts/\S+\)", "", note))
    assert len(note) < 3000
    assert page("/csv/1").status == 200 and page("/api/studies/1/param_importances").status == 200
    assert Page(folder).start == "/studies/1"


def test_studies_of_others_are_not_shown(make: Make) -> None:
    folder = make()
    storage = open_storage(f"sqlite:///{folder / 'study.db'}")
    optuna.create_study(study_name="theirs", storage=storage, directions=["minimize", "maximize"])
    shown = Page(folder)("/api/studies").json["study_summaries"]
    assert [study["study_name"] for study in shown] == ["made"]


def test_a_damaged_record_is_told_and_the_rest_is_shown(make: Make) -> None:
    folder = make()
    with closing(sqlite3.connect(folder / "study.db")) as database, database:
        database.execute(
            "UPDATE trial_user_attributes SET value_json = '{\"a\": 1}'"
            " WHERE key = 'evaluation' AND trial_id = 1"
        )
    trials = Page(folder).detail()["trials"]
    told = {one["key"]: one["value"] for one in trials[0]["user_attrs"]}
    assert "a: unknown key" in told["problem"] and "feasible" not in told
    assert len(trials) == 4


def test_a_storage_lost_while_it_is_looked_at_is_one_line(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    folder = make()
    page = Page(folder)
    with closing(sqlite3.connect(folder / "study.db")) as database, database:
        database.execute("ALTER TABLE studies RENAME TO lost")
    assert page("/api/studies").status == 500
    assert caplog.messages[-1] == "the storage cannot be read: no such table: studies"
    answer = page("/artifacts/1/00")
    assert answer.status == 503 and b"no such table: studies" in answer.body
