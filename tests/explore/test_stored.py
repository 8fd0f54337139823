"""A run by its place: a folder, a storage, or both; and what its knobs mattered for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
from dashboard_study import SEEN, write_study
from toy_study import Ended, Toy

from nano.dashboard.__main__ import opened
from nano.dashboard.note import plain
from nano.design.presets import prototype
from nano.errors import RunError
from nano.explore.database import open_storage
from nano.explore.folder import RunFolder
from nano.explore.importance import importances
from nano.explore.stored import open_run
from nano.explore.told import ANSWER
from nano.report.findings import headline
from nano.report.run import read_run

RECORDED = Path(__file__).parents[2] / "studies" / "recorded"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_study(tmp_path_factory.mktemp("stored") / "run")


def test_a_folder_and_its_storage_tell_the_same_trials(folder: Path) -> None:
    url = RunFolder(path=folder).storage_url
    alone, both, stored = open_run(folder), open_run(folder, storage=url), open_run(url)
    assert len(alone.evaluations) == len(SEEN)
    assert alone.evaluations == both.evaluations == stored.evaluations
    assert stored.name == alone.name == "made"
    assert stored.requirements == alone.requirements


def test_the_answer_is_the_same_in_the_folder_the_storage_and_the_dashboard(
    finished: tuple[Toy, Ended],
) -> None:
    folder = RunFolder(path=finished[0].run)
    answer = headline(open_run(folder.path))
    assert "over 2 fresh seeds" in answer
    stored = open_run(folder.storage_url)
    assert headline(stored) == answer
    assert stored.confirmations == read_run(folder.path).confirmations
    view, _, _ = opened(folder.storage_url, None)
    assert plain(answer) in view.get_all_studies()[0].system_attrs["dashboard:note_str:0"]


def test_the_folder_of_a_machine_that_joined_says_where_the_answer_is(toy: Toy) -> None:
    url = toy.storage = f"sqlite:///{toy.folder / 'shared.db'}"
    there = toy.folder / "machine"
    assert toy().code == 0
    assert toy("--trials", "9", "--join", "--out", str(there)).code == 0
    answer = headline(open_run(toy.run, storage=url))
    alone, both = open_run(there), open_run(there, storage=url)
    assert len(alone.evaluations) == 1 and "is in the folder of the command" in headline(alone)
    assert len(both.evaluations) == 9 and headline(both) == answer
    # that folder may drive later: then the answer is its own
    assert toy("--trials", "9", "--out", str(there)).code == 0
    assert "joined" not in headline(open_run(there))


def test_an_answer_that_is_damaged_is_a_problem_and_the_trials_are_read(
    finished: tuple[Toy, Ended], tmp_path: Path
) -> None:
    url = RunFolder(path=finished[0].copy(tmp_path / "again").run).storage_url
    storage = open_storage(url)
    (study,) = storage.get_all_studies()
    for wrong in ("gone", {"best": "x", "confirmations": [{"key": 1}]}):
        storage.set_study_user_attr(study._study_id, ANSWER, wrong)
        run = open_run(url)
        assert len(run.problems) == 1 and "answer" in run.problems[0]
        assert len(run.evaluations) == 8 and run.confirmations == ()


def test_a_storage_of_another_study_is_refused(folder: Path, tmp_path: Path) -> None:
    url = RunFolder(path=folder).storage_url
    with pytest.raises(RunError, match=r"'quick' is looked for; it holds: made"):
        open_run(RECORDED, storage=url)


def test_a_storage_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"none\.db"):
        open_run(f"sqlite:///{tmp_path / 'none.db'}")
    assert not list(tmp_path.iterdir())


def test_an_error_is_one_line_in_a_notebook(tmp_path: Path) -> None:
    with pytest.raises(RunError) as told:
        open_run(tmp_path / "nothing")
    (line,) = told.value._render_traceback_()
    assert line == str(told.value) and "\n" not in line


def test_importances_are_shares_of_knobs_that_moved() -> None:
    told = importances(read_run(RECORDED))
    assert list(told) == ["NetScore", "delta1", "params"]
    for shares in told.values():
        assert sum(shares.values()) == pytest.approx(1)
        assert "spread" not in shares  # 0 in all, as `knobs_of` reads designs


def test_a_knob_that_alone_decides_is_alone_important() -> None:
    run, random = read_run(RECORDED), Random(0)
    family = prototype("depthnet-small")
    made = []
    for number in range(60):
        knobs = {knob.name: knob.at(random.random()) for knob in family.knobs}
        design = family.design(family.expand(knobs, number))
        seen = run.evaluations[number % len(run.evaluations)]
        cost = replace(seen.cost, params=1000 * design.stem.width)
        made.append(replace(seen, number=number, design=design, cost=cost))
    shares = importances(replace(run, evaluations=tuple(made)))["params"]
    assert shares["stem"] > 0.5


def test_few_trials_have_no_importances() -> None:
    run = read_run(RECORDED)
    assert importances(replace(run, evaluations=run.evaluations[:7])) == {}
