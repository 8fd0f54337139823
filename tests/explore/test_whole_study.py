"""One study from its file to its folder: what is kept, printed and found again."""

from __future__ import annotations

import json
import math
import re
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from optuna.trial import TrialState, create_trial
from toy_study import FUNCTION, Ended, Toy

from nano.errors import RunError
from nano.explore import serve
from nano.explore.database import open_storage
from nano.explore.folder import RunFolder, held, open_folder
from nano.explore.promotion import Outlook, Promotion
from nano.explore.search import Budget
from nano.files import read_json, to_plain
from nano.records import Evaluation, spend
from nano.report.run import read_run

COLUMNS = [
    *("number", "state", "stage", "feasible", "netscore", "delta1", "abs_rel", "params", "macs"),
    *("latency_ms", "spend_images", "seconds", "key", "seed", "origin"),
    *("margin_params", "margin_delta1"),
]
Finished = tuple[Toy, Ended]


@pytest.fixture
def again(finished: Finished, toy: Toy, tmp_path: Path) -> Toy:
    """A copy of the finished study, to go on with."""
    return finished[0].copy(tmp_path / "again")


# --- what a finished study leaves ----------------------------------------------------------------


def test_json_is_one_object_a_line_and_nothing_else(finished: Finished) -> None:
    _, ended = finished
    assert ended.code == 0
    kinds = [event["event"] for event in ended.events]
    assert kinds == ["trial"] * 8 + ["confirmation"] * 3 + ["summary"]
    assert [event["number"] for event in ended.events[:8]] == list(range(8))
    assert ended.events[-1]["exit_code"] == 0


def test_every_record_of_a_trial_says_the_same(finished: Finished) -> None:
    toy, ended = finished
    with (toy.run / "trials.csv").open() as file:
        assert file.readline().rstrip("\n").split(",") == COLUMNS
    rows = toy.rows()
    stored = toy.evaluations()
    assert [row["number"] for row in rows] == [str(number) for number in range(8)]
    for row, evaluation, event in zip(rows, stored, ended.events, strict=False):
        plain = read_json(toy.run / "trials" / f"{evaluation.number:04d}" / "evaluation.json")
        assert plain == to_plain(evaluation)
        assert {key: event[key] for key in plain} == plain
        assert row["state"] == event["state"]
        assert row["stage"] == evaluation.stage
        assert row["feasible"] == str(evaluation.feasible).lower()
        assert evaluation.accuracy is not None
        numbers = {
            "netscore": evaluation.netscore,
            "delta1": evaluation.accuracy.delta1,
            "abs_rel": evaluation.accuracy.abs_rel,
            "params": evaluation.cost.params,
            "macs": evaluation.cost.macs,
            "spend_images": evaluation.spend_images,
            "seconds": evaluation.seconds,
            "seed": evaluation.seed,
            "margin_params": evaluation.margins["params"],
            "margin_delta1": evaluation.margins["delta1"],
        }
        assert {name: float(row[name]) for name in numbers} == numbers
        assert (row["key"], row["origin"]) == (evaluation.key, evaluation.origin)
        assert row["latency_ms"] == ""


def test_the_choice_is_the_same_wherever_it_is_told(finished: Finished) -> None:
    toy, ended = finished
    summary = ended.events[-1]
    best = summary["best"]
    assert read_json(toy.run / "run.json")["summary"] == {
        key: value for key, value in summary.items() if key != "event"
    }
    confirmation = read_json(toy.run / "confirm" / best["key"] / "confirmation.json")
    metrics = read_json(toy.run / "best" / "metrics.json")
    assert metrics == confirmation
    assert best["delta1"] == metrics["accuracy"]["delta1"]
    assert best["netscore"] == metrics["netscore"] and best["params"] == metrics["cost"]["params"]
    design = read_json(toy.run / "best" / "design.json")
    assert design == to_plain(toy.evaluations()[best["number"]].design)
    report = (toy.run / "report.html").read_text()
    assert f"{best['delta1']:.3f}" in report and best["key"] in report


def test_what_was_trained_is_what_was_asked_for_and_once(finished: Finished) -> None:
    toy, _ = finished
    calls = Counter((key, images) for key, images, _ in toy.calls())
    evaluations = toy.evaluations()
    for evaluation in evaluations:
        assert calls[evaluation.key, 16] == 1  # four steps of four images
    final = [e for e in evaluations if e.stage == "final"]
    confirmed = {folder.name for folder in (toy.run / "confirm").iterdir()}
    assert len(confirmed) == 3 and evaluations[0].key in confirmed  # two, and the reference
    for evaluation in final:
        assert calls[evaluation.key, 32] == 1 + 2 * (evaluation.key in confirmed)
    assert sum(calls.values()) == 8 + len(final) + 2 * 3
    assert {images for _, images, _ in toy.calls()} == {16, 32}


def test_fresh_seeds_are_fresh(finished: Finished) -> None:
    toy, _ = finished
    for evaluation in toy.evaluations():
        path = toy.run / "confirm" / evaluation.key / "confirmation.json"
        if path.exists():
            seeds = [reading["seed"] for reading in read_json(path)["readings"]]
            searched = {reading.seed for reading in evaluation.readings}
            assert len({*seeds, *searched}) == 2 + 1


def test_the_prototype_is_trial_0_and_its_shrunk_self_trial_1(finished: Finished) -> None:
    toy, _ = finished
    origins = [evaluation.origin for evaluation in toy.evaluations()]
    assert origins == ["prototype", "prototype, shrunk", *["random"] * 6]


def test_nothing_but_the_reference_is_over_a_cap_and_no_design_comes_twice(
    finished: Finished,
) -> None:
    toy, _ = finished
    evaluations = toy.evaluations()
    assert [e.number for e in evaluations if e.cost.params > 4900] == [0]
    assert len({e.key for e in evaluations}) == 8


def test_every_finished_trial_has_every_constraint_and_the_best_is_feasible(
    finished: Finished,
) -> None:
    toy, _ = finished
    study = toy.stored()
    for trial in study.trials:
        assert set(trial.constraints) == {"params", "delta1"}
        assert all(math.isfinite(margin) for margin in trial.constraints.values())
        assert trial.value is not None
    best = next(e for e in toy.evaluations() if e.number == study.best_trial.number)
    assert best.feasible
    assert best.netscore == max(e.netscore or 0 for e in toy.evaluations() if e.feasible)


def test_run_json_says_what_it_was_made_with(finished: Finished) -> None:
    toy, _ = finished
    record = read_json(toy.run / "run.json")
    assert {"study", "versions", "commit", "machine", "seed", "space", "protocol"} <= set(record)
    assert record["requirements"] == ["params <= 4.9k", "delta1 >= 0.5 + 0.001"]
    (command,) = record["commands"]
    assert command["argv"][-1] == "--json"
    assert "ended with exit code 0" in (toy.run / "log.txt").read_text()


# --- the same command again ----------------------------------------------------------------------


def test_running_a_finished_study_again_does_nothing_twice(again: Toy) -> None:
    calls, trials = again.calls(), again.trials()
    table = (again.run / "trials.csv").read_bytes()
    clock = read_json(again.run / "run.json")["summary"]["seconds"]
    ended = again("--json")
    assert ended.code == 0
    assert ended.events[-1]["seconds"] == clock
    assert again.calls() == calls
    assert again.trials() == trials
    assert (again.run / "trials.csv").read_bytes() == table
    assert [event["event"] for event in ended.events] == ["confirmation"] * 3 + ["summary"]


@pytest.mark.slow
def test_a_search_that_stands_still_ends_early(again: Toy) -> None:
    fresh = again.copy(again.run.parent / "fresh")
    shutil.rmtree(fresh.run)
    assert fresh("--trials", "60", "--set", "patience=12").code == 0
    told = fresh.evaluations()
    assert 13 < len(told) < 60
    scores = [e.netscore or 0.0 for e in told if e.feasible]
    last = [e.netscore or 0.0 for e in told[-12:] if e.feasible]
    assert max(last, default=0.0) <= max(scores[: len(scores) - len(last)]) + 0.05
    more = str(len(told) + 2)  # who lost patience may find it again
    assert fresh("--trials", more, "--set", "patience=30").code == 0
    assert len(fresh.evaluations()) == len(told) + 2


def test_patience_counts_from_the_last_gain_and_only_once_something_is_feasible(
    finished: Finished,
) -> None:
    one = next(e for e in finished[0].evaluations() if e.feasible)
    history = [
        replace(one, number=n, netscore=20 + score, feasible=feasible)
        for n, (score, feasible) in enumerate(
            [(9.0, False), (1.0, True), (1.04, True), (2.0, True), (8.0, False), (1.5, True)]
        )
    ]
    ends = [Budget(trials=9, patience=2).stands_still(history[:n]) for n in range(7)]
    assert ends == [False, False, False, False, False, False, True]
    assert not Budget(trials=9).stands_still(history)


def test_more_trials_go_on_where_it_ended(again: Toy) -> None:
    before = again.evaluations()
    assert again("--trials", "11").code == 0
    after = again.evaluations()
    assert after[:8] == before
    assert [e.number for e in after] == list(range(11))
    assert len({e.key for e in after}) == 11
    assert len(again.rows()) == 11


def test_spend_and_clock_are_those_of_all_commands(again: Toy) -> None:
    forget_confirmations(again, 0.1)  # so that others are confirmed, beside those of before
    assert again("--trials", "9").code == 0
    record = read_json(again.run / "run.json")
    images = [images for _, images, _ in again.calls()]
    assert record["summary"]["spend_images"] == sum(images)
    run = read_run(again.run)
    spent = spend(run.evaluations, run.confirmations)
    assert spent.images == sum(images)
    assert record["summary"]["busy_seconds"] == round(spent.busy_seconds, 1)
    each = [command["seconds"] for command in record["commands"]]
    assert len(each) == 2 and min(each) > 0
    assert record["summary"]["seconds"] == round(sum(each), 1) == round(run.seconds or 0, 1)


CHANGES = {
    "prototype.ranges={stem=[4, 7]}": "prototype.ranges.stem: absent -> [4.0, 7.0]",
    "require.delta1=>= 0.6": "require.delta1: >= 0.5 + 0.001 -> >= 0.6",
    "stages.recipe={name='quick', batch=8}": "stages.recipe.batch: 4 -> 8",
    "stages.final.steps=9": "stages.final.steps: 8 -> 9",
    "generator.kind=tpe": "generator.kind: random -> tpe",
    "seed=1": "seed: 0 -> 1",
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_study_is_not_continued_with_other_settings(again: Toy, change: str) -> None:
    trials = again.trials()
    study, record = (again.run / "study.toml").read_text(), read_json(again.run / "run.json")
    ended = again("--set", change)
    assert ended.code == 2
    assert CHANGES[change] in ended.err and ended.err.count("\n") == 1
    assert again.trials() == trials
    assert (again.run / "study.toml").read_text() == study
    assert read_json(again.run / "run.json") == record


@pytest.mark.parametrize("change", ["about=new words", "trials=8"])
def test_what_changes_no_result_may_change(again: Toy, change: str) -> None:
    calls = again.calls()
    assert again("--set", change).code == 0
    assert again.calls() == calls


def test_the_study_as_run_continues_it(again: Toy) -> None:
    calls = again.calls()
    again.study.write_bytes((again.run / "study.toml").read_bytes())
    assert again().code == 0
    assert again.calls() == calls


def test_what_is_derived_is_made_again(again: Toy) -> None:
    before = {name: (again.run / name).read_bytes() for name in ("trials.csv", "study.toml")}
    best = (again.run / "best" / "metrics.json").read_bytes()
    for name in before:
        (again.run / name).unlink()
    for path in (again.run / "trials").glob("*/evaluation.json"):
        path.unlink()
    for path in (again.run / "best").iterdir():
        path.unlink()
    calls = again.calls()
    assert again().code == 0
    assert again.calls() == calls
    assert {name: (again.run / name).read_bytes() for name in before} == before
    assert (again.run / "best" / "metrics.json").read_bytes() == best


# --- folders -------------------------------------------------------------------------------------


def test_a_folder_of_something_else_is_refused_and_left_alone(toy: Toy) -> None:
    toy.run.mkdir()
    (toy.run / "thesis.txt").write_text("years of work")
    ended = toy()
    assert ended.code == 2 and "holds files of something else (thesis.txt" in ended.err
    assert [path.name for path in toy.run.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize("name", ["study.toml", "run.json", "log.txt", "study.db", ".lock"])
def test_a_file_of_one_of_our_names_makes_no_run_folder(toy: Toy, name: str) -> None:
    words = "{}" if name == "run.json" else "# years of work"
    files = {toy.run / name: words, toy.run / ".draft.part": "", toy.run / "best" / "photo": ""}
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    ended = toy("--trials", "2")
    assert ended.code == 2 and ended.err.count("\n") == 1
    assert "holds files of something else (" in ended.err and "choose another folder" in ended.err
    assert {path: path.read_text() for path in toy.run.rglob("*") if path.is_file()} == files


def test_a_study_file_of_a_persons_own_is_never_written_over(tmp_path: Path) -> None:
    mine = tmp_path / "study.toml"
    mine.write_text('name = "toy"  # mine')
    (tmp_path / "owners").mkdir()
    with pytest.raises(RunError, match=r"something else \(study.toml\) and no run.json of study"):
        open_folder(tmp_path, "toy")
    RunFolder(path=tmp_path).write_study({"name": "toy"})  # as a start does, killed after it
    open_folder(tmp_path, "toy")


def test_the_run_folder_of_another_study_is_refused_and_left_alone(again: Toy) -> None:
    trials = again.trials()
    ended = again("--set", "name=other")
    assert ended.code == 2 and "holds the run of study 'toy'" in ended.err
    assert again.trials() == trials
    assert "other" not in (again.run / "log.txt").read_text()


def test_a_run_folder_that_cannot_be_is_refused(toy: Toy) -> None:
    (toy.folder / "file").write_text("")
    assert "is a file" in toy("--out", str(toy.folder / "file")).err
    ended = toy("--out", str(toy.folder / "file" / "below"))
    assert ended.code == 2 and "cannot be written" in ended.err
    ended = toy("--out", "/proc/nano")
    assert ended.code == 2 and "/proc/nano: cannot be written" in ended.err


def test_trials_of_a_lost_storage_are_not_mixed_with_those_of_a_new_one(again: Toy) -> None:
    """They may be of another recipe: a record does not say by which it was trained."""
    (again.run / "study.db").unlink()
    calls = again.calls()
    ended = again("--set", "stages.recipe={name='quick', batch=4, clip=0.5}")
    assert ended.code == 2 and "holds trials that the storage knows nothing of" in ended.err
    assert again.calls() == calls
    elsewhere = f"sqlite:///{again.folder / 'other.db'}"
    assert again("--storage", elsewhere).code == 2


def test_a_second_process_on_the_same_folder_is_refused_and_leaves_no_trace(again: Toy) -> None:
    log, record = (again.run / "log.txt").read_text(), read_json(again.run / "run.json")
    owners = sorted((again.run / "owners").iterdir())
    with held(again.run / ".lock", busy="held by another process"):
        ended = again()
    assert ended.code == 2
    assert "another process works on this run; wait for it, or add workers with --join" in ended.err
    assert (again.run / "log.txt").read_text() == log
    assert read_json(again.run / "run.json") == record
    assert sorted((again.run / "owners").iterdir()) == owners


def test_what_a_kill_before_run_json_leaves_is_a_run_folder(toy: Toy) -> None:
    (toy.run / "owners").mkdir(parents=True)
    for name in (".lock", "log.txt", ".study.toml.x.part", ".run.json.y.part"):
        (toy.run / name).touch()
    assert toy("--trials", "2").code in {0, 3}


def test_joining_from_a_folder_of_its_own_can_be_done_again(again: Toy) -> None:
    """Another machine shares the storage alone: its folder holds trials, and says of which run."""
    storage = f"sqlite:///{again.run / 'study.db'}"
    elsewhere = ["--join", "--storage", storage, "--out", str(again.folder / "elsewhere")]
    assert again("--trials", "9", *elsewhere).code == 0
    assert again("--trials", "10", *elsewhere).code == 0
    assert read_json(again.folder / "elsewhere" / "run.json")["study"] == "toy"


def test_joining_nothing_is_refused_and_leaves_nothing(toy: Toy) -> None:
    ended = toy("--join")
    assert ended.code == 2 and "start it without --join first" in ended.err
    assert not toy.run.exists()


def test_joining_a_study_that_is_not_set_up_is_refused(toy: Toy) -> None:
    url = f"sqlite:///{toy.folder / 'other.db'}"
    ended = toy("--join", "--storage", url)
    assert ended.code == 2 and "other.db: no such file" in ended.err
    assert not (toy.folder / "other.db").exists()
    open_storage(url)
    ended = toy("--join", "--storage", url)
    assert ended.code == 2 and "there is no study 'toy'" in ended.err


def test_a_storage_that_cannot_be_opened_is_told_without_its_password(toy: Toy) -> None:
    for url in ("nonsense", "postgresql://ann:secret@nowhere.invalid/db"):
        ended = toy("--storage", url)
        assert ended.code == 2 and ended.err.startswith("error: storage ")
        assert "secret" not in ended.err
        assert ended.err.count("\n") == 1


def test_passwords_stay_out_of_the_run_folder(toy: Toy) -> None:
    url = f"sqlite:///{toy.folder / 'other.db'}"
    assert toy("--storage", url, "--trials", "2").code in {0, 3}
    record = read_json(toy.run / "run.json")
    assert url in record["commands"][0]["argv"]
    toy("--storage", "postgresql://ann:secret@nowhere.invalid/db")
    for path in toy.run.rglob("*.*"):
        assert path.is_dir() or b"secret" not in path.read_bytes(), path


# --- exit codes ----------------------------------------------------------------------------------


def test_nothing_feasible_is_3_and_names_the_nearest_and_what_it_misses(toy: Toy) -> None:
    ended = toy("--set", "require.delta1=>= 0.9")
    assert ended.code == 3
    assert re.match(
        r"None of 8 designs is feasible; nearest is trial \d+ \(\w+\): delta1 0\.\d+ misses 0\.900",
        ended.out,
    )
    assert not (toy.run / "best").exists()
    assert (toy.run / "trials.csv").exists()
    summary = read_json(toy.run / "run.json")["summary"]
    assert summary["exit_code"] == 3 and "best" not in summary


@pytest.mark.slow
def test_what_fresh_seeds_do_not_confirm_is_not_claimed(toy: Toy) -> None:
    lucky = "{'delta1': 0.6 if len(SEEN) < 10 else 0.4, 'abs_rel': 0.3}"
    toy.define(FUNCTION.replace('{"delta1": delta1, "abs_rel": 0.6 - 0.5 * delta1}', lucky))
    with (toy.folder / f"{toy.module}.py").open("a") as module:
        module.write("SEEN = []\nplain = score\n")
        module.write(
            "def score(design, **more):\n    SEEN.append(1)\n    return plain(design, **more)\n"
        )
    ended = toy("--set", "stages.rungs=[]", "--trials", "9")
    assert ended.code == 3
    assert re.match(
        r"None of 7 confirmed designs is feasible; nearest is trial \d+ .*: delta1", ended.out
    )
    assert not (toy.run / "best").exists()
    assert sum(e.feasible for e in toy.evaluations()) == 8  # all but the prototype, which is over


@pytest.mark.slow
def test_the_prototype_is_confirmed_as_the_reference_also_when_others_outdo_it(toy: Toy) -> None:
    one = ["--set", "stages.confirm={designs=1, seeds=2}"]
    toy.define(FUNCTION.replace("count(design, (32, 96)).params", "20000"))  # small ones score best
    ended = toy("--json", "--set", "require.params=<= 20k", "--trials", "6", *one)
    assert ended.code == 0
    ranked = sorted((e for e in toy.evaluations() if e.feasible), key=lambda e: -(e.netscore or 0))
    assert ranked.index(toy.evaluations()[0]) == 1  # a finalist, but not the one confirmed first
    summary = ended.events[-1]
    assert summary["reference"]["number"] == 0 and summary["best"]["number"] != 0
    confirmed = [e["number"] for e in ended.events if e["event"] == "confirmation"]
    assert sorted(confirmed) == [0, ranked[0].number]


def forget_confirmations(toy: Toy, delta1: float) -> None:
    """As if the fresh seeds of those confirmed had all found ``delta1``."""
    for path in (toy.run / "confirm").glob("*/seed-*/reading.json"):
        plain = read_json(path)
        plain["accuracy"]["delta1"] = delta1
        path.write_text(json.dumps(plain))


def test_where_the_best_do_not_hold_the_next_ones_get_their_chance(again: Toy) -> None:
    first = read_json(again.run / "best" / "metrics.json")["number"]
    forget_confirmations(again, 0.1)
    ended = again("--json")
    assert ended.code == 0
    best = ended.events[-1]["best"]
    assert best["number"] not in {first, 0} and best["delta1"] > 0.5
    assert read_json(again.run / "best" / "metrics.json")["number"] == best["number"]
    assert (
        len([event for event in ended.events if event["event"] == "confirmation"]) == 6
    )  # three batches: nobody was sure


def test_an_earlier_choice_is_taken_back_when_none_is_left(again: Toy) -> None:
    forget_confirmations(again, 0.1)
    again.define(
        "def score(design, *, images, seed):\n    return {'delta1': 0.1, 'abs_rel': 0.5}\n"
    )
    ended = again()
    assert ended.code == 3
    assert "None of 6 confirmed designs is feasible" in ended.out
    assert not (again.run / "best").exists()


def test_a_requirement_that_no_design_can_meet_is_found_before_anything_is_trained(
    toy: Toy,
) -> None:
    ended = toy("--set", "require={params='<= 500'}")
    assert ended.code == 2
    assert "[require] params <= 500: no design of this prototype is that small" in ended.err
    assert ended.err.count("\n") == 1
    assert not toy.run.exists() and not toy.calls()


@pytest.mark.slow
def test_a_bug_in_a_worker_is_1_with_its_traceback_kept_and_the_trial_is_run_again(
    toy: Toy, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stumble(*_: object) -> None:
        raise ZeroDivisionError("somebody's mistake")

    with monkeypatch.context() as patch:
        patch.setattr(serve, "objective", stumble)
        ended = toy()
    assert ended.code == 1 and "ZeroDivisionError" in ended.err
    log = (toy.run / "log.txt").read_text()
    assert "Traceback" in log and "somebody's mistake" in log and "in stumble" in log
    assert [trial.state for trial in toy.trials()] == [TrialState.WAITING] * 2
    assert toy().code == 0
    assert [e.number for e in toy.evaluations()] == list(range(8))


# --- what is printed -----------------------------------------------------------------------------


@pytest.mark.slow
def test_quiet_prints_the_summary_and_nothing_else(toy: Toy) -> None:
    ended = toy("--quiet")
    assert ended.err == ""
    lines = ended.out.splitlines()
    assert lines[0].startswith("Trial ") and "the reference preset" in lines[0]
    assert [line.partition(":")[0] for line in lines[1:]] == ["design", "report"]


@pytest.mark.slow
def test_off_a_terminal_every_trial_is_one_line_on_stderr(toy: Toy) -> None:
    ended = toy()
    lines = ended.err.splitlines()
    assert [line.split()[0] for line in lines[:8]] == [f"#{number}" for number in range(8)]
    assert all(line.startswith("confirmed #") for line in lines[8:])
    assert "\x1b" not in ended.err + ended.out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--trials", "0"], "'0' is no whole number above 0"),
        (["--workers", "two"], "'two' is no whole number above 0"),
        (["--hours", "-1"], "'-1' is no number of hours"),
        (["--hours", "nan"], "'nan' is no number of hours"),
        (["--json", "--quiet"], "not allowed with argument"),
        (["--resume"], "unrecognized arguments"),
    ],
)
def test_wrong_options_are_2(toy: Toy, arguments: list[str], told: str) -> None:
    ended = toy(*arguments)
    assert ended.code == 2 and told in ended.err
    assert ended.err.startswith("error: ") and ended.err.count("\n") == 1 and ended.out == ""


def test_no_new_trial_starts_after_the_hours_are_over(toy: Toy) -> None:
    ended = toy("--hours", "0")
    assert len(toy.evaluations()) == 2  # what was queued: the prototype and its shrunk self
    assert ended.code in {0, 3}


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 3])
def test_every_design_is_trained_once_by_any_number_of_workers(toy: Toy, workers: int) -> None:
    assert toy("--set", "generator.kind=evolution", "--trials", "12", workers=workers).code == 0
    evaluations = toy.evaluations()
    assert [e.number for e in evaluations] == list(range(12))
    assert len({e.key for e in evaluations}) == 12
    assert set(Counter(toy.calls()).values()) == {1}


def test_decisions_see_what_other_processes_told(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[set[int]] = []
    decide = Promotion.decide

    def watched(
        rule: Promotion, evaluation: Evaluation, others: Sequence[Evaluation]
    ) -> tuple[bool, Outlook | None]:
        seen.append({other.number for other in others})
        if len(seen) == 1:  # another process tells trial 2
            told = to_plain(replace(evaluation, number=2))
            toy.stored().add_trial(create_trial(value=1.0, user_attrs={"evaluation": told}))
        return decide(rule, evaluation, others)

    monkeypatch.setattr(Promotion, "decide", watched)
    assert toy("--trials", "4").code in {0, 3}
    assert seen == [set(), {0, 2}, {0, 1, 2}]


def test_one_worker_and_one_seed_give_the_same_study(finished: Finished, toy: Toy) -> None:
    assert toy().code == 0
    for one, other in zip(toy.evaluations(), finished[0].evaluations(), strict=True):
        assert (one.key, one.stage, one.predicted) == (other.key, other.stage, other.predicted)
        assert one.netscore == other.netscore and one.margins == other.margins
