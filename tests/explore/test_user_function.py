"""A user's function in place of training: what it may return, and what is said when it may not."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from toy_study import Toy

from nano.errors import Diverged, StudyError
from nano.explore.trainer import as_accuracy, load_function
from nano.records import Accuracy

FINE = {"delta1": 0.5, "abs_rel": 0.3}


def test_an_accuracy_or_a_mapping_is_an_accuracy() -> None:
    known = Accuracy(delta1=0.5, abs_rel=0.3, rmse=4.0, images=7, data="fold 3", protocol="mine")
    one_caption = replace(known, data="f", protocol="the user's own")  # or no mean could be taken
    assert as_accuracy(known, "f") == one_caption
    mapped = as_accuracy({**FINE, "rmse": 4, "delta2": None, "loss": "not asked for"}, "f")
    assert mapped == Accuracy(
        delta1=0.5, abs_rel=0.3, rmse=4.0, data="f", protocol="the user's own"
    )


def test_numbers_of_numpy_and_torch_are_numbers() -> None:
    found = as_accuracy({"delta1": np.float32(0.5), "abs_rel": torch.tensor(0.25)}, "f")
    assert (found.delta1, found.abs_rel) == (0.5, 0.25)
    assert type(found.delta1) is float
    assert type(as_accuracy(Accuracy(delta1=np.float64(0.5), abs_rel=0.1), "f").delta1) is float


@pytest.mark.parametrize(
    ("returned", "told"),
    [
        (None, "returned NoneType; it must return an Accuracy or a mapping with delta1"),
        (0.9, "returned float"),
        ([0.9, 0.1], "returned list"),
        ((0.9, 0.1), "returned tuple"),
        ("0.9", "returned str"),
        ({}, "returned no delta1 and no abs_rel; of the metrics it returned none"),
        ({"d1": 0.9, "abs_rel": 0.1}, "returned no delta1; of the metrics it returned abs_rel"),
        ({"delta1": 0.9}, "returned no abs_rel; of the metrics it returned delta1"),
        ({**FINE, "delta1": None}, "returned no delta1"),
        ({**FINE, "delta1": "high"}, "returned delta1 = 'high': no number"),
        ({**FINE, "abs_rel": [0.1]}, r"returned abs_rel = \[0.1\]: no number"),
        ({**FINE, "delta1": 89.0}, "returned delta1 = 89, .* is a fraction between 0 and 1"),
        ({**FINE, "delta1": -0.1}, ".* delta1 is a fraction"),
        ({**FINE, "abs_rel": -0.1}, ".* abs_rel is not negative"),
        (Accuracy(delta1=2.0, abs_rel=0.1), ".* delta1 is a fraction"),
    ],
)
def test_what_is_no_accuracy_is_told(returned: Any, told: str) -> None:
    with pytest.raises(StudyError, match=rf"\[evaluate\] mine:score {told}"):
        as_accuracy(returned, "mine:score")


@pytest.mark.parametrize("metric", ["delta1", "abs_rel", "rmse"])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_metric_that_is_not_finite_is_a_divergence(metric: str, value: float) -> None:
    with pytest.raises(Diverged, match=f"returned {metric} = "):
        as_accuracy({**FINE, metric: value}, "f")


# --- finding it ----------------------------------------------------------------------------------


def test_it_is_found_beside_the_study_and_in_packages_on_the_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "beside_the_study.py").write_text("def f(design, images, seed): return 1\n")
    package = tmp_path / "on_the_path" / "my_package" / "inner"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "module.py").write_text("def f(design, **more): return 2\n")
    monkeypatch.syspath_prepend(str(tmp_path / "on_the_path"))
    assert load_function("beside_the_study:f", tmp_path).function(0, images=0, seed=0) == 1
    assert load_function("my_package.inner.module:f", tmp_path).function(0) == 2


@pytest.mark.parametrize(
    ("text", "content", "told"),
    [
        ("nowhere_to_be_found:f", "", "cannot import: No module named 'nowhere_to_be_found'"),
        ("{}:f", "", "has no function f"),
        ("{}:f", "f = 3", "has no function f"),
        ("{}:f", "import nowhere_either", "cannot import: No module named 'nowhere_either'"),
        ("{}:f", "1 / 0", "importing it raised ZeroDivisionError: division by zero"),
        ("{}:f", "def f(:", "importing it raised SyntaxError"),
        ("{}:f", "def f(design): ...", "must accept .*: got an unexpected keyword argument"),
        ("{}:f", "def f(*, images, seed): ...", "must accept .*: too many positional arguments"),
        ("{}:f", "def f(d, images, seed, path): ...", "must accept .*: missing a required arg"),
    ],
)
def test_what_cannot_be_called_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, content: str, told: str
) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    module = f"unfit_{tmp_path.name}"
    (tmp_path / f"{module}.py").write_text(content)
    with pytest.raises(StudyError, match=rf"\[evaluate\] callable = .*{told}"):
        load_function(text.format(module), tmp_path)


def test_printing_at_import_keeps_stdout_for_results(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "chatty_module.py").write_text("print('hello')\ndef f(design, **more): ...\n")
    load_function("chatty_module:f", tmp_path)
    out, err = capsys.readouterr()
    assert (out, err) == ("", "hello\n")


# --- in a study ----------------------------------------------------------------------------------


@pytest.mark.slow
def test_it_is_called_with_the_images_of_the_rung_and_the_seed_of_the_design(toy: Toy) -> None:
    assert toy("--set", "stages.recipe={name='quick', batch=6}").code == 0
    by_key: dict[str, set[tuple[int, int]]] = {}
    for key, images, seed in toy.calls():
        by_key.setdefault(key, set()).add((images, seed))
    for evaluation in toy.evaluations():
        called = by_key[evaluation.key]
        assert {(r.images, r.seed) for r in evaluation.readings} <= called
        assert [r.images for r in evaluation.readings] == [24, 48][: len(evaluation.readings)]
        assert len({r.seed for r in evaluation.readings}) == 1


@pytest.mark.slow
def test_a_wrong_answer_ends_the_study_at_once_and_its_trial_can_be_run_again(
    toy: Toy,
) -> None:
    good = (toy.folder / f"{toy.module}.py").read_text()
    toy.define("def score(design, *, images, seed):\n    return {'delta1': 0.8}\n")
    ended = toy("--trials", "4")
    assert ended.code == 2 and "returned no abs_rel" in ended.err
    assert toy.evaluations() == []
    toy.define(good)
    assert toy("--trials", "4").code == 0
    assert [e.number for e in toy.evaluations()] == list(range(4))


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("raise MemoryError('no room for it')", "{}:score raised MemoryError: no room for it"),
        (
            "return {'delta1': float('nan'), 'abs_rel': 0.1}",
            "diverged: {}:score returned delta1 = nan",
        ),
    ],
)
def test_three_failures_from_the_start_end_the_study_and_say_why(
    toy: Toy, body: str, told: str
) -> None:
    toy.define(f"def score(design, *, images, seed):\n    {body}\n")
    ended = toy()
    assert ended.code == 2
    told = told.format(toy.module)
    assert ended.err.count(f"the first 3 designs all failed, the last with: {told}") == 1
    assert str(toy.run / "log.txt") in ended.err
    evaluations = toy.evaluations()
    assert len(evaluations) == 3
    assert all(not e.feasible and told in (e.reason or "") for e in evaluations)
    assert {trial.state.name for trial in toy.trials()} == {"FAIL"}
    if "MemoryError" in body:
        assert "MemoryError: no room for it" in (toy.run / "log.txt").read_text()  # its traceback


@pytest.mark.slow
def test_a_failure_now_and_then_is_a_failed_trial(toy: Toy) -> None:
    with (toy.folder / f"{toy.module}.py").open("a") as module:
        module.write(
            "plain = score\n"
            "def score(design, *, images, seed):\n"
            "    if design.key[0] in '89abcdef':\n"
            "        raise RuntimeError('unlucky')\n"
            "    return plain(design, images=images, seed=seed)\n"
        )
    ended = toy("--set", "seed=2", "--trials", "12")
    assert ended.code in {0, 3}
    states = {row["key"]: row["state"] for row in toy.rows()}
    assert len(states) == 12
    for key, state in states.items():
        assert (state == "failed") == (key[0] in "89abcdef")
    study = toy.stored()
    assert study.best_trial.user_attrs["key"][0] not in "89abcdef"


@pytest.mark.slow
def test_a_score_of_nothing_is_a_failed_trial_with_a_reason(toy: Toy) -> None:
    with (toy.folder / f"{toy.module}.py").open("a") as module:
        module.write(
            "plain = score\n"
            "def score(design, *, images, seed):\n"
            "    if design.stem.width > 5:\n"
            "        return {'delta1': 0, 'abs_rel': 2}\n"
            "    return plain(design, images=images, seed=seed)\n"
        )
    assert toy("--trials", "9").code in {0, 3}
    nothing = [e for e in toy.evaluations() if e.design.stem.width > 5]
    assert 0 < len(nothing) < 9
    rows = {int(row["number"]): row for row in toy.rows()}
    for evaluation in nothing:
        assert not evaluation.feasible and evaluation.reason
        expected = "failed" if evaluation.stage == "final" else "pruned"
        assert (rows[evaluation.number]["state"], rows[evaluation.number]["netscore"]) == (
            *(expected, ""),
        )
    assert toy.stored().best_trial.number not in {e.number for e in nothing}


def test_a_function_may_be_any_callable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    module = SimpleNamespace(f=lambda design, images, seed: FINE)
    monkeypatch.setitem(sys.modules, "made_up_module", module)
    assert load_function("made_up_module:f", tmp_path).function(0, images=1, seed=1) == FINE
