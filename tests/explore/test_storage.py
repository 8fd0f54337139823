"""The stored study: what a trial carries, and what is left of it after any kill."""

from __future__ import annotations

import json
import math
import multiprocessing
import socket
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import optuna
import pytest
from optuna.storages import InMemoryStorage
from optuna.trial import TrialState

from nano.design.presets import prototype
from nano.design.prototype import Prototype
from nano.errors import MissingPackage, OutputError, RunError
from nano.explore.caps import Caps
from nano.explore.database import disk_full, open_storage
from nano.explore.folder import held, is_held
from nano.explore.said import redacted
from nano.explore.samplers import CappedSampler, sampler_factory
from nano.explore.stages import Judge, counted
from nano.explore.storage import GRACE_SECONDS, Asked, Store, searched_margins, trial_state
from nano.records import Accuracy, Evaluation, Reading
from nano.report.findings import state
from nano.score import Requirements, Utility

SIZE = (32, 96)
ASKED = Requirements.parse({"params": "<= 4900", "delta1": ">= 0.5 + 0.01", "abs_rel": "<= 0.4"})
JUDGE = Judge(utility=Utility(), requirements=ASKED)
Open = Callable[..., Store]


@pytest.fixture(scope="module")
def tiny() -> Prototype:
    return prototype("depthnet-tiny")


@pytest.fixture
def open_store(tiny: Prototype, tmp_path: Path) -> Open:
    """A store; each call is another process to it, whose owner file is held by nobody."""
    memory = InMemoryStorage()

    def opened(owner: str = "a", storage: Any = memory, **more: Any) -> Store:
        caps = Caps(prototype=tiny, requirements=ASKED, size=SIZE)
        sampler = CappedSampler(sampler_factory("random", tiny, 8), caps, 0)
        store = Store(storage, "s", sampler, tiny, owner=tmp_path / owner, **more)
        store.claim({"seed": 0}, tiny.space, {"prototype": tiny.preset})
        return store

    return opened


def evaluation(asked: Asked, stage: str = "final", **more: Any) -> Evaluation:
    blank = counted(
        asked.number, asked.design, origin=asked.origin, seed=asked.seed, size=SIZE, judge=JUDGE
    )
    accuracy = more.pop("accuracy", Accuracy(delta1=0.6, abs_rel=0.3))
    reading = Reading(stage=stage, images=8, seconds=0.1, seed=1, accuracy=accuracy)
    return JUDGE.judged(replace(blank, stage=stage, readings=(reading,), accuracy=accuracy, **more))


def ask(store: Store) -> Asked:
    asked = store.ask("random")
    assert asked is not None
    return asked


# --- what a finished trial carries ---------------------------------------------------------------


def test_a_complete_trial_has_its_score_and_every_constraint_with_the_safety(
    open_store: Open,
) -> None:
    store = open_store()
    done = evaluation(ask(store))
    store.tell(done, ASKED)
    (trial,) = store.trials()
    assert trial.state == TrialState.COMPLETE
    assert trial.value == done.netscore
    assert trial.constraints["delta1"] == pytest.approx(0.5 - 0.6 + 0.01)
    assert trial.constraints["abs_rel"] == pytest.approx((0.3 - 0.4) / 0.4)
    assert set(trial.constraints) == {"params", "delta1", "abs_rel"}
    assert store.evaluations() == [done]


def test_a_pruned_trial_is_constrained_by_what_was_foreseen_of_it(open_store: Open) -> None:
    store = open_store()
    asked = ask(store)
    early = evaluation(
        asked,
        "rung 1",
        accuracy=Accuracy(delta1=0.2, abs_rel=0.9),
        reason="not among the best of rung 1",
        predicted={"delta1": 0.55, "abs_rel": 0.35, "sd": 0.01},
    )
    store.tell(early, ASKED)
    (trial,) = store.trials()
    assert trial.state == TrialState.PRUNED
    assert trial.value == early.netscore
    assert trial.constraints["delta1"] == pytest.approx(0.5 - 0.55 + 0.01)
    assert trial.constraints["abs_rel"] == pytest.approx((0.35 - 0.4) / 0.4)


@pytest.mark.parametrize(
    "broken",
    [
        {"stage": "initialised", "accuracy": None, "reason": "not alive at the start: all zero"},
        {"stage": "rung 1", "accuracy": None, "reason": "diverged: loss is nan"},
        {"stage": "final", "reason": "diverged: loss is nan"},
        {"stage": "final", "accuracy": Accuracy(delta1=0.0, abs_rel=2.0), "reason": "no NetScore"},
    ],
    ids=lambda broken: broken["reason"][:9],
)
def test_a_trial_that_broke_is_failed_and_never_feasible(
    open_store: Open, broken: dict[str, Any]
) -> None:
    store = open_store()
    done = evaluation(ask(store), **broken)
    assert not done.feasible and trial_state(done) == TrialState.FAIL
    store.tell(done, ASKED)
    (trial,) = store.trials()
    assert trial.state == TrialState.FAIL
    assert set(trial.constraints) == {"params", "delta1", "abs_rel"}
    with pytest.raises(ValueError, match=r"No (feasible )?trials are completed"):
        store.study.best_trial  # noqa: B018 - it raises
    assert store.evaluations() == [done]


def test_the_storage_and_the_report_call_a_trial_s_end_by_the_same_name(open_store: Open) -> None:
    asked = ask(open_store())
    ends: dict[str, list[dict[str, Any]]] = {
        "complete": [{}, {"accuracy": Accuracy(delta1=0.1, abs_rel=0.5)}],
        "pruned": [{"stage": "rung 1", "reason": "not among the best of rung 1"}],
        "failed": [
            {"stage": "rung 1", "accuracy": None, "reason": "diverged: loss is nan"},
            {"accuracy": None, "reason": "diverged: loss is nan"},
            {"accuracy": Accuracy(delta1=0.0, abs_rel=0.3), "reason": "no NetScore: ..."},
        ],
    }
    names = {TrialState.COMPLETE: "complete", TrialState.PRUNED: "pruned"}
    for expected, kinds in ends.items():
        for kind in kinds:
            done = evaluation(asked, **kind)
            assert names.get(trial_state(done), "failed") == state(done) == expected, kind


def test_no_constraint_is_ever_unknown(open_store: Open) -> None:
    asked = ask(open_store())
    lost = evaluation(asked, accuracy=None, stage="rung 1", reason="diverged: at once")
    strange = replace(lost, margins={**lost.margins, "delta1": math.nan, "abs_rel": math.inf})
    for done in (lost, strange):
        margins = searched_margins(done, ASKED)
        assert set(margins) == {"params", "delta1", "abs_rel"}
        assert all(math.isfinite(margin) for margin in margins.values())
        assert margins["delta1"] > 0 and margins["abs_rel"] > 0


def test_samplers_without_constraints_are_told_a_lowered_value(open_store: Open) -> None:
    store = open_store(penalised=True)
    asked = ask(store)
    good = evaluation(asked)
    store.tell(good, ASKED)
    missed = evaluation(ask(store), accuracy=Accuracy(delta1=0.4, abs_rel=0.3))
    store.tell(missed, ASKED)
    first, second = store.trials()
    assert good.netscore is not None and missed.netscore is not None
    over = max(0.0, first.constraints["params"])  # the prototype is over the cap
    assert first.value == pytest.approx(good.netscore - 10 * over)
    assert second.value == pytest.approx(missed.netscore - 10 * (0.1 + 0.01))


# --- identity ------------------------------------------------------------------------------------


def test_a_new_study_begins_with_the_prototype_also_after_a_kill_in_between(
    open_store: Open, tiny: Prototype, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(optuna.Study, "set_user_attr", _interrupted)
        with pytest.raises(KeyboardInterrupt):
            open_store()
    store = open_store()
    assert [trial.user_attrs["origin"] for trial in store.trials()] == ["prototype"]
    asked = ask(store)
    assert (asked.number, asked.origin, asked.design) == (0, "prototype", tiny.preset)


def _interrupted(*_: object) -> None:
    raise KeyboardInterrupt


def test_nobody_joins_a_study_that_is_not_set_up(tiny: Prototype, tmp_path: Path) -> None:
    memory = InMemoryStorage()
    sampler = optuna.samplers.RandomSampler()
    more: dict[str, Any] = {"owner": tmp_path / "a", "join": True}
    with pytest.raises(RunError, match="there is no study 's'"):
        Store(memory, "s", sampler, tiny, **more)
    optuna.create_study(study_name="s", storage=memory, direction="maximize")
    with pytest.raises(RunError, match="is not set up yet"):
        Store(memory, "s", sampler, tiny, **more).claim({}, tiny.space, {})


def test_another_space_is_refused_even_where_the_file_is_the_same(open_store: Open) -> None:
    store = open_store()
    with pytest.raises(RunError, match=r"space: \w+ -> changed"):
        store.claim({"seed": 0}, "changed", {})


# --- kills ---------------------------------------------------------------------------------------


def test_an_unfinished_trial_of_a_dead_process_is_run_again_under_its_number(
    open_store: Open, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path / 'study.db'}"
    first = open_store("a", open_storage(url))
    asked = [ask(first) for _ in range(3)]
    first.tell(evaluation(asked[1]), ASKED)
    second = open_store("b", open_storage(url))
    assert second.recover(ASKED) == ([], [0, 2])
    again = [ask(second) for _ in range(3)]
    assert [one.number for one in again] == [0, 2, 3]
    assert [one.design for one in again[:2]] == [asked[0].design, asked[2].design]
    assert [one.seed for one in again[:2]] == [asked[0].seed, asked[2].seed]


def test_a_trial_of_a_living_process_is_left_alone(open_store: Open, tmp_path: Path) -> None:
    first, second = open_store("a"), open_store("b")
    ask(first)
    with held(tmp_path / "a", busy="held"):
        assert second.recover(ASKED) == ([], [])
        assert second.elsewhere() == [0]
        assert first.elsewhere() == []  # its own are not elsewhere
    assert second.recover(ASKED) == ([], [0])


class Clock:
    """A monotonic clock that is moved by hand."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    one = Clock()
    monkeypatch.setattr("nano.explore.storage.time", SimpleNamespace(monotonic=one))
    return one


@pytest.fixture
def far_and_near(
    open_store: Open, monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> tuple[Store, Store]:
    """Two processes on two machines, each of which hears of the other by its beats alone."""
    with monkeypatch.context() as patch:
        patch.setattr(socket, "gethostname", lambda: "elsewhere")
        far = open_store("a")
    return far, open_store("b")


def test_a_trial_of_another_machine_is_left_alone_while_its_beats_come(
    far_and_near: tuple[Store, Store], clock: Clock
) -> None:
    far, near = far_and_near
    ask(far)
    for _ in range(100):  # an epoch as long as you like
        clock.seconds += GRACE_SECONDS / 4
        assert far.beat()
        assert near.elsewhere() == [0]
        assert near.recover(ASKED) == ([], [])


def test_a_trial_of_a_machine_that_is_gone_is_run_again_once_the_grace_is_over(
    far_and_near: tuple[Store, Store], clock: Clock
) -> None:
    far, near = far_and_near
    asked = ask(far)
    clock.seconds += 1e6  # whatever the time is: only what one saw oneself counts
    assert near.recover(ASKED) == ([], [])
    clock.seconds += GRACE_SECONDS - 1
    assert near.recover(ASKED) == ([], [])
    assert near.elsewhere() == [0]
    clock.seconds += 1
    assert near.elsewhere() == []
    assert near.recover(ASKED) == ([], [0])
    again = ask(near)
    assert (again.number, again.design, again.seed) == (0, asked.design, asked.seed)


def test_one_that_was_cut_off_for_long_tells_nothing_that_others_took_up(
    far_and_near: tuple[Store, Store], clock: Clock
) -> None:
    far, near = far_and_near
    asked = ask(far)
    near.elsewhere()
    clock.seconds += GRACE_SECONDS
    assert near.recover(ASKED) == ([], [0])
    theirs = evaluation(asked)
    assert far.tell(replace(theirs, seconds=99.0), ASKED) is False
    (trial,) = near.trials()
    assert trial.state == TrialState.WAITING and "evaluation" not in trial.user_attrs
    ask(near)
    assert near.tell(theirs, ASKED) is True
    assert near.evaluations() == [theirs]


def test_beats_come_ten_times_in_a_grace_whoever_asks_for_them(
    open_store: Open, clock: Clock
) -> None:
    store = open_store(grace=100.0)
    ask(store)
    beats = 0
    for _ in range(1000):
        clock.seconds += 1.0
        beats += store.beat()
    assert beats == 100
    assert store.trials()[0].user_attrs["beat"] == 100


def test_a_trial_made_whose_answer_was_lost_is_found_again(open_store: Open) -> None:
    store = open_store()
    ask(store)
    store._running.clear()
    assert store.recover(ASKED) == ([], [0])


def test_machines_of_one_name_do_not_see_each_other_s_locks(
    open_store: Open, tmp_path: Path, clock: Clock
) -> None:
    first, second = open_store("one/a"), open_store("two/a")
    ask(first)
    assert second.elsewhere() == [0]  # nobody holds two/a.lock, which says nothing of one/a
    assert open_store("one/b").recover(ASKED) == ([], [0])


WRITES = ("set_trial_user_attr", "set_trial_system_attr", "set_trial_intermediate_value")


@pytest.mark.parametrize("instant", range(1, 8))
@pytest.mark.parametrize("stage", ["final", "rung 1"])
def test_a_kill_at_any_write_of_telling_loses_and_doubles_nothing(
    open_store: Open, monkeypatch: pytest.MonkeyPatch, instant: int, stage: str
) -> None:
    store = open_store("a")
    asked = ask(store)
    reason = None if stage == "final" else f"not among the best of {stage}"
    done = evaluation(asked, stage, reason=reason)
    left = [instant]

    def mortal(write: Callable[..., object]) -> Callable[..., object]:
        def dying(*arguments: Any, **more: Any) -> object:
            left[0] -= 1
            if left[0] == 0:
                raise KeyboardInterrupt
            return write(*arguments, **more)

        return dying

    with monkeypatch.context() as patch:
        for name in (*WRITES, "set_trial_state_values"):
            patch.setattr(store._storage, name, mortal(getattr(store._storage, name)))
        try:
            store.tell(done, ASKED)
        except KeyboardInterrupt:
            store_lives = False
        else:
            store_lives = True
    if not store_lives:
        told_half = "evaluation" in store.trials()[0].user_attrs
        second = open_store("b")
        assert second.recover(ASKED) == (([0], []) if told_half else ([], [0]))
        if not told_half:
            assert ask(second).design == asked.design
            second.tell(done, ASKED)
        store = second
    (trial,) = store.trials()
    expected = TrialState.COMPLETE if stage == "final" else TrialState.PRUNED
    assert trial.state == expected and trial.value == done.netscore
    assert set(trial.constraints) == {"params", "delta1", "abs_rel"}
    assert store.evaluations() == [done]
    assert store.recover(ASKED) == ([], [])


def test_a_trial_told_half_way_is_not_given_back_but_told(open_store: Open) -> None:
    store = open_store("a")
    asked = ask(store)
    done = evaluation(asked)
    store._running[0].set_user_attr("evaluation", {"half": "way"})
    store.requeue(0)
    assert store.trials()[0].state == TrialState.RUNNING
    store.study._storage.set_trial_user_attr(
        store.trials()[0]._trial_id, "evaluation", _plain(done)
    )
    assert open_store("b").recover(ASKED) == ([0], [])


def _plain(value: object) -> Any:
    from nano.files import to_plain

    return to_plain(value)


def test_a_write_that_failed_leaves_the_trial_to_be_given_back(
    open_store: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store("a")
    done = evaluation(ask(store))
    with monkeypatch.context() as patch:
        patch.setattr(store._storage, "set_trial_user_attr", _full)
        with pytest.raises(optuna.exceptions.StorageInternalError):
            store.tell(done, ASKED)
    store.requeue(0)
    assert store.trials()[0].state == TrialState.WAITING


def _full(*_: object) -> None:
    raise optuna.exceptions.StorageInternalError("invalid data in the commit")


# --- several processes ---------------------------------------------------------------------------


def test_new_trials_are_signed_before_a_sampler_thinks(
    open_store: Open, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    first, second = open_store("a"), open_store("b")
    assert ask(first).number == 0
    seen: list[Any] = []

    def thinking(*_: object) -> dict[str, Any]:
        seen.append(second.recover(ASKED))  # another process starts at this very moment
        raise KeyboardInterrupt

    with held(tmp_path / "a", busy="held"), monkeypatch.context() as patch:
        patch.setattr(CappedSampler, "sample_relative", thinking)
        with pytest.raises(KeyboardInterrupt):
            first.ask("random")
    assert seen == [([], [])]


def test_a_lock_is_held_by_one_and_freed_by_death(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "lock"
    assert not is_held(path)
    with held(path, busy="taken"):
        assert is_held(path)
        with pytest.raises(RunError, match="taken"), held(path, busy="taken"):
            pass
    assert not is_held(path)
    assert not is_held(tmp_path / "none")
    assert not (tmp_path / "none").exists()


def take(url: str, owner: Path, number: int, said: Any) -> None:
    """A process that takes ``number`` trials in its turns."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    tiny = prototype("depthnet-tiny")
    caps = Caps(prototype=tiny, requirements=ASKED, size=SIZE)
    sampler = CappedSampler(sampler_factory("random", tiny, 8), caps, 0)
    store = Store(open_storage(url), "s", sampler, tiny, owner=owner)
    taken = []
    for _ in range(number):
        with store.turn():
            asked = store.ask("random")
        assert asked is not None
        taken.append(asked.number)
    said.put(taken)


@pytest.mark.slow
def test_several_processes_never_take_the_same_waiting_trial(
    tiny: Prototype, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path / 'study.db'}"
    study = optuna.create_study(study_name="s", storage=url, direction="maximize")
    knobs = {**tiny.knobs_of(tiny.preset), "seed": 0}
    for _ in range(30):
        study.enqueue_trial(knobs)
    context = multiprocessing.get_context("spawn")
    said = context.Queue()
    workers = [
        context.Process(target=take, args=(url, tmp_path / str(i), 10, said)) for i in range(3)
    ]
    for worker in workers:
        worker.start()
    taken = [number for _ in workers for number in said.get(timeout=100)]
    for worker in workers:
        worker.join()
    assert sorted(taken) == list(range(30))


# --- databases -----------------------------------------------------------------------------------


def test_trials_are_read_as_optuna_reads_them(open_store: Open, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'study.db'}"
    store = open_store("a", open_storage(url))
    for stage in ("final", "rung 1"):
        reason = None if stage == "final" else f"not among the best of {stage}"
        store.tell(evaluation(ask(store), stage, reason=reason), ASKED)
    ask(store)  # under way
    infinite = optuna.create_trial(
        value=math.inf, intermediate_values={1: math.nan, 7: -math.inf}, user_attrs={"a": [1, {}]}
    )
    store.study.add_trial(infinite)
    store.study.enqueue_trial({"seed": 5})
    theirs, ours = optuna.storages.RDBStorage(url), open_storage(url)
    assert isinstance(ours, optuna.storages.RDBStorage)
    for states in (None, (TrialState.COMPLETE,), (TrialState.RUNNING, TrialState.WAITING)):
        found = [one.get_all_trials(1, states=states) for one in (ours, theirs)]
        assert _alike(found[0]) == _alike(found[1]) != []
    for named, after in (({1, 3}, 3), (set(), 2), ({5}, 1), (set(), -1)):
        some = [one._get_trials(1, None, named, after) for one in (ours, theirs)]
        assert _alike(some[0]) == _alike(some[1])
    with pytest.raises(KeyError):
        ours.get_all_trials(9)


def _alike(trials: Sequence[optuna.trial.FrozenTrial]) -> list[str]:
    """As text: NaN is not equal to itself, and attributes have no order."""
    return [json.dumps(vars(trial), sort_keys=True, default=repr) for trial in trials]


def test_a_driver_that_is_not_there_is_named_with_the_command_that_brings_it() -> None:
    with pytest.raises((MissingPackage, RunError), match=r"^storage postgresql"):
        open_storage("postgresql+pg8000://ann:secret@nowhere.invalid/db")


def test_a_file_in_a_folder_that_is_not_there_is_refused_and_no_folder_made(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=rf"^storage sqlite:.*: no such folder {tmp_path}/missing"):
        open_storage(f"sqlite:///{tmp_path}/missing/x.db")
    assert not list(tmp_path.iterdir())


def test_passwords_are_left_out() -> None:
    assert redacted("postgresql://ann:s3:cr@et@host/db") == "postgresql://ann:***@host/db"
    assert redacted("sqlite:////data/a@b.db") == "sqlite:////data/a@b.db"
    assert redacted("--out=runs/a") == "--out=runs/a"
    assert redacted("x://ann:pa/ss@host/db") == "x://ann:***@host/db"
    assert redacted("x://host/db?user=ann&password=pw&a=b") == (
        "x://host/db?user=ann&password=***&a=b"
    )


def test_a_full_disk_is_found_deep_in_the_chain_of_an_error(tmp_path: Path) -> None:
    deep = RuntimeError("(sqlite3.OperationalError) database or disk is full")
    middle, outer = ValueError("a commit failed"), KeyError("whatever came then")
    middle.__cause__, outer.__context__ = deep, middle
    found = disk_full(outer, tmp_path)
    assert isinstance(found, OutputError)
    assert str(found) == f"{tmp_path}: the study's storage cannot be written: the disk is full"
    assert disk_full(KeyError("a bug"), tmp_path) is None
