from __future__ import annotations

import json
import math
from dataclasses import MISSING, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import designs, fastdepths

from nano import records
from nano.cost.count import Cost, count
from nano.design.design import Design
from nano.design.fastdepth import FastDepthDesign
from nano.design.presets import preset
from nano.errors import RunError
from nano.files import canonical_json, from_plain, read_json, to_plain, write_json
from nano.records import (
    METRICS,
    Accuracy,
    Confirmation,
    Evaluation,
    KeptModel,
    Lesson,
    Lessons,
    Measurement,
    Protocol,
    Reading,
    Spend,
    confirmation_from_plain,
    evaluation_from_plain,
    mean_accuracy,
)

RECORDS = (
    Protocol,
    Accuracy,
    Measurement,
    Reading,
    Evaluation,
    Confirmation,
    KeptModel,
    Lesson,
    Lessons,
    Spend,
    Cost,
    Design,
)
TEXT = st.text(st.characters(codec="utf-8"), max_size=8)
NUMBER = st.floats(allow_nan=False, allow_infinity=False)
TABLE = st.dictionaries(TEXT, NUMBER, max_size=3)
FIELDS: dict[Any, st.SearchStrategy[Any]] = {
    int: st.integers(),
    float: NUMBER,
    str: TEXT,
    bool: st.booleans(),
    Design: st.deferred(designs),
    Design | FastDepthDesign: st.deferred(lambda: designs() | fastdepths()),
    tuple[int, int]: st.tuples(st.integers(0), st.integers(0)),
    dict[str, float]: TABLE,
    dict[str, str]: st.dictionaries(TEXT, TEXT, max_size=3),
    dict[str, Any]: st.dictionaries(TEXT, NUMBER | TEXT, max_size=3),
}


def values_of(kind: Any) -> st.SearchStrategy[Any]:
    """Any value of a field's type; every optional field is also None, every tuple also empty."""
    if kind in FIELDS:
        return FIELDS[kind]
    if is_dataclass(kind):
        hints = get_type_hints(kind)
        return st.builds(kind, **{f.name: values_of(hints[f.name]) for f in fields(kind)})
    inside = [part for part in kind.__args__ if part not in (type(None), Ellipsis)]
    if type(None) in kind.__args__:
        return st.none() | values_of(inside[0])
    return st.lists(values_of(inside[0]), max_size=2).map(tuple)


@pytest.mark.parametrize("kind", RECORDS)
def test_any_record_comes_back_equal_by_way_of_json(kind: type) -> None:
    @settings(max_examples=25)
    @given(values_of(kind))
    def comes_back(record: Any) -> None:
        text = canonical_json(record)
        again = from_plain(kind, json.loads(text), "record.json")
        assert again == record
        assert canonical_json(again) == text

    comes_back()


@pytest.mark.parametrize("kind", RECORDS)
def test_records_forbid_unknown_keys_and_can_leave_out_none(kind: type) -> None:
    assert kind.__pydantic_config__ == {"extra": "forbid"}
    hints = get_type_hints(kind)
    for field in fields(kind):
        if type(None) in getattr(hints[field.name], "__args__", ()):
            assert field.default is None, field.name  # None is not written: it must be the default
        assert field.kw_only


def test_this_file_tests_every_record_there_is() -> None:
    named = {
        item
        for item in vars(records).values()
        if isinstance(item, type) and is_dataclass(item) and item.__module__ == records.__name__
    }
    assert named <= set(RECORDS)


TINY = preset("depthnet-tiny")
ACCURACY = Accuracy(delta1=0.8, abs_rel=0.2, images=10, data="scenes", protocol="scene-depth")
EVALUATION = Evaluation(
    number=3,
    design=TINY,
    size=(64, 192),
    cost=count(TINY, (64, 192)),
    stage="final",
    origin="tpe",
    seed=7,
    readings=(
        Reading(stage="rung 1", images=320, seconds=1.5, seed=1, accuracy=ACCURACY),
        Reading(stage="final", images=960, seconds=4.0, seed=1, reason="diverged"),
    ),
    accuracy=ACCURACY,
    netscore=40.0,
    margins={"delta1": -0.1},
)


def test_an_evaluation_survives_its_file(tmp_path: Path) -> None:
    path = tmp_path / "evaluation.json"
    write_json(path, EVALUATION)
    again = evaluation_from_plain(read_json(path, RunError), str(path))
    assert again == EVALUATION
    assert again.key == TINY.key
    assert again.spend_images == 1280


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"number": "3"}, "e.json: number: .*integer, got '3'"),
        ({"size": [64]}, "e.json: size"),
        ({"design": {}}, "e.json: design.stem: missing"),
        ({"stagee": "final"}, "e.json: stagee: unknown key; perhaps 'stage'"),
        ({"accuracy": {"delta1": 0.5}}, "e.json: accuracy.abs_rel: missing"),
        ({"margins": {"delta1": None}}, "e.json: margins.delta1"),
        ({"feasible": 1}, "e.json: feasible: .*boolean, got 1"),
    ],
)
def test_a_damaged_evaluation_is_a_run_error_that_names_file_and_field(
    change: dict[str, Any], told: str
) -> None:
    with pytest.raises(RunError, match=told):
        evaluation_from_plain({**to_plain(EVALUATION), **change}, "e.json")


def test_a_design_that_cannot_exist_is_a_run_error_where_a_run_is_read() -> None:
    plain = to_plain(EVALUATION)
    plain["design"]["stages"][1]["modules"][0]["width"] = 0
    told = r"e\.json: design\.stages\.1\.modules\.0: module width = 0"
    with pytest.raises(RunError, match=told):
        evaluation_from_plain(plain, "e.json")


def test_a_confirmation_survives_and_its_damage_is_told() -> None:
    confirmation = Confirmation(
        number=3,
        key=TINY.key,
        origin="tpe",
        cost=EVALUATION.cost,
        readings=EVALUATION.readings,
        accuracy=ACCURACY,
        delta1_sd=0.01,
        feasible=True,
    )
    plain = json.loads(canonical_json(confirmation))
    assert confirmation_from_plain(plain, "c.json") == confirmation
    del plain["readings"][1]["seed"]
    with pytest.raises(RunError, match=r"c\.json: readings\.1\.seed: missing"):
        confirmation_from_plain(plain, "c.json")


@pytest.mark.parametrize("number", [math.nan, math.inf])
def test_a_record_with_nan_is_never_written(number: float, tmp_path: Path) -> None:
    for record in (
        replace(ACCURACY, rmse=number),
        replace(EVALUATION, netscore=number),
        replace(EVALUATION, margins={"delta1": number}),
    ):
        with pytest.raises(ValueError, match="JSON compliant"):
            write_json(tmp_path / "record.json", record)
    assert not any(tmp_path.iterdir())


# --- means ---------------------------------------------------------------------------------------


def test_the_mean_over_seeds_is_of_what_all_of_them_know() -> None:
    one = replace(ACCURACY, delta1=0.8, rmse=3.0, delta2=0.9)
    other = replace(ACCURACY, delta1=0.9, rmse=None, delta2=1.0)
    mean = mean_accuracy([one, other])
    assert mean.delta1 == pytest.approx(0.85)
    assert mean.abs_rel == pytest.approx(0.2)
    assert mean.delta2 == pytest.approx(0.95)
    assert mean.rmse is None
    assert (mean.images, mean.data, mean.protocol) == (10, "scenes", "scene-depth")


@given(st.lists(st.floats(0, 1), min_size=1, max_size=5))
def test_a_mean_lies_among_its_values(found: list[float]) -> None:
    mean = mean_accuracy([replace(ACCURACY, delta1=value) for value in found])
    assert min(found) - 1e-12 <= mean.delta1 <= max(found) + 1e-12


@pytest.mark.parametrize(
    "accuracies",
    [[], [ACCURACY, replace(ACCURACY, data="kitti")], [ACCURACY, replace(ACCURACY, protocol="x")]],
)
def test_a_mean_over_unlike_accuracies_is_refused(accuracies: list[Accuracy]) -> None:
    with pytest.raises(ValueError, match="one data set and protocol"):
        mean_accuracy(accuracies)


def test_the_eight_metrics_are_the_numbers_of_an_accuracy() -> None:
    assert [f.name for f in fields(Accuracy) if f.name in METRICS] != []
    unknown = {f.name for f in fields(Accuracy)} - set(METRICS)
    assert unknown == {"images", "skipped", "data", "protocol"}
    required = [f.name for f in fields(Accuracy) if f.default is MISSING]
    assert required == ["delta1", "abs_rel"]


def test_a_protocol_says_all_of_itself_in_one_line() -> None:
    protocol = Protocol(
        name="mine",
        crop="garg",
        min_depth_m=0.001,
        max_depth_m=80,
        truth="raw",
        flip=True,
        median_scaling=True,
    )
    told = protocol.describe()
    for word in ("mine", "crop garg", "0.001-80 m", "raw truth", "flip averaged", "median scaled"):
        assert word in told
    assert "no flip" in replace(protocol, flip=False).describe()
    assert "no median" in replace(protocol, median_scaling=False).describe()
