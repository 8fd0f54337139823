from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from dataclasses import FrozenInstanceError, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import designs

from nano.design.design import (
    WIDEST,
    Design,
    Module,
    Stage,
    Stem,
    Upconv,
    skip_order,
)
from nano.design.kinds import design_from_plain, read_design
from nano.design.presets import PRESETS, load_design, preset
from nano.errors import DesignError, InputError
from nano.files import canonical_json, to_plain, write_json

TINY = preset("depthnet-tiny")
CONV = Module(width=3)

# A design.json of anybody, a cache and a study find each other again by these.
KEYS = {
    "depthnet-nano": "92ccb6453975",
    "depthnet-small": "0b44e617c404",
    "depthnet-tiny": "bc41355cdfce",
}


@pytest.mark.parametrize("name", PRESETS)
def test_keys_of_presets_stay_what_they_were(name: str) -> None:
    assert preset(name).key == KEYS[name]


@given(designs())
def test_a_design_survives_json_bit_for_bit(design: Design) -> None:
    text = json.dumps(to_plain(design))
    again = design_from_plain(json.loads(text), "design.json")
    assert again == design
    assert again.key == design.key
    assert hash(again) == hash(design)
    assert canonical_json(again) == canonical_json(design)


@pytest.mark.parametrize("name", PRESETS)
def test_presets_survive_a_file(name: str, tmp_path: Path) -> None:
    write_json(tmp_path / "design.json", preset(name))
    assert read_design(tmp_path / "design.json") == preset(name)
    assert load_design(str(tmp_path)) == preset(name)  # the folder stands for the file in it


def test_the_key_does_not_depend_on_the_order_or_the_spaces_of_the_file(tmp_path: Path) -> None:
    def backwards(plain: Any) -> Any:
        if isinstance(plain, dict):
            return {key: backwards(plain[key]) for key in reversed(plain)}
        return [backwards(item) for item in plain] if isinstance(plain, list) else plain

    path = tmp_path / "design.json"
    path.write_text(json.dumps(backwards(to_plain(TINY)), indent=7))
    assert read_design(path).key == TINY.key


@pytest.mark.slow
@given(st.lists(designs(), min_size=2, max_size=4))
def test_keys_are_equal_exactly_when_designs_are(found: list[Design]) -> None:
    assert len({design.key for design in found}) == len(set(found))


def test_what_is_left_out_has_its_default_and_null_is_absent() -> None:
    plain = to_plain(TINY)
    module = plain["decoder"][0]["a"]
    del module["kernel"]
    module["squeeze"] = None
    assert design_from_plain(plain, "design.json") == TINY


def test_a_design_cannot_be_changed_in_place() -> None:
    with pytest.raises(FrozenInstanceError):
        TINY.stem.width = 3  # type: ignore[misc]  # the point of the test


# --- what is refused -----------------------------------------------------------------------------


def leaves(plain: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place of a number in parsed JSON."""
    items = plain.items() if isinstance(plain, dict) else enumerate(plain)
    for step, item in items:
        if isinstance(item, dict | list):
            yield from leaves(item, (*path, step))
        else:
            yield (*path, step)


def changed(path: tuple[Any, ...], value: Any) -> Any:
    plain = copy.deepcopy(to_plain(TINY))
    place = plain
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    return plain


LEAVES = tuple(leaves(to_plain(TINY)))
WRONG = (0, -1, 3.0, 2.5, True, "3", [3], {}, float("nan"), float("inf"), WIDEST + 1, 10**30)


@given(path=st.sampled_from(LEAVES), value=st.sampled_from(WRONG))
def test_no_number_of_a_design_can_be_anything_but_a_positive_whole_number(
    path: tuple[Any, ...], value: Any
) -> None:
    with pytest.raises(DesignError) as refused:
        design_from_plain(changed(path, value), "some/design.json")
    told = str(refused.value)
    assert told.startswith("some/design.json: ")
    assert ".".join(map(str, path[:-1])) in told  # the module
    assert str(path[-1]) in told  # and the field
    assert "\n" not in told


@given(path=st.sampled_from(LEAVES))
def test_a_misspelt_field_is_named_with_the_one_that_was_meant(path: tuple[Any, ...]) -> None:
    plain = changed(path, 3)
    place = plain
    for step in path[:-1]:
        place = place[step]
    place[f"{path[-1]}s"] = place.pop(path[-1])
    with pytest.raises(DesignError, match=f"perhaps '{path[-1]}'"):
        design_from_plain(plain, "design.json")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"stem": None}, "f.json: stem: .*object"),
        ({"stem": {}}, "f.json: stem.width: missing"),
        ({"stages": []}, "f.json: .*at least one stage"),
        ({"decoder": []}, "f.json: .*4 stages need as many upconvs, got 0"),
        ({"stages": {"0": 1}}, "f.json: stages: .*array"),
        ({"bridge": 12}, "f.json: bridge: unknown key; known: stem, stages, decoder"),
        ({"name": "mine"}, "f.json: name: unknown key"),
    ],
)
def test_a_design_that_is_no_design_is_refused_with_file_and_field(
    change: dict[str, Any], told: str
) -> None:
    with pytest.raises(DesignError, match=told):
        design_from_plain({**to_plain(TINY), **change}, "f.json")


@pytest.mark.parametrize("plain", [None, 3, "depthnet-tiny", [], [{}], {}])
def test_json_that_is_no_design_at_all_is_refused(plain: Any) -> None:
    with pytest.raises(DesignError, match=r"f\.json: "):
        design_from_plain(plain, "f.json")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(("stem", "stages", "width", "decoder")), inner)
    ),
    max_leaves=8,
)


@settings(max_examples=60)
@given(plain=JSON)
def test_nothing_but_a_design_error_comes_of_any_json(plain: Any) -> None:
    with pytest.raises(DesignError):
        design_from_plain(plain, "f.json")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"\xff\xfe{}", "not JSON"),
        (b'{"stem": NaN}', "not JSON.*NaN is not a finite number"),
        (b'{"stem": -Infinity}', "not JSON.*-Infinity is not a finite number"),
        (b'{"stem": 1e999}', "not JSON.*1e999 is not a finite number"),
        (b"[" * 200_000, "nested too deeply"),
        (b"9" * 5000, "not JSON"),
    ],
)
def test_a_damaged_file_is_named(content: bytes, told: str, tmp_path: Path) -> None:
    path = tmp_path / "design.json"
    path.write_bytes(content)
    with pytest.raises(DesignError, match=f"design.json: .*{told}"):
        read_design(path)


@pytest.mark.parametrize("length", range(0, 400, 37))
def test_a_file_cut_short_is_refused(length: int, tmp_path: Path) -> None:
    path = tmp_path / "design.json"
    path.write_text(json.dumps(to_plain(TINY))[:length])
    with pytest.raises(DesignError, match=r"design\.json: not JSON"):
        read_design(path)


def test_neither_preset_nor_file_lists_what_there_is(tmp_path: Path) -> None:
    for text in (str(tmp_path / "nothing"), str(tmp_path), "depthnet-nanoo", ""):
        with pytest.raises(DesignError, match="depthnet-nano, depthnet-small, depthnet-tiny"):
            load_design(text)
    with pytest.raises(DesignError, match="presets: depthnet-nano"):
        preset("nano")


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: Module(width=0), "module width = 0"),
        (lambda: Module(width=3, expand=-1), "module expand = -1"),
        (lambda: Module(width=3, expand=3, squeeze=0), "module squeeze = 0"),
        (lambda: Module(width=3, squeeze=3), "without expand"),
        (lambda: Module(width=3, kernel=2), "only odd windows"),
        (lambda: Module(width=WIDEST + 1), f"1 to {WIDEST}"),
        (lambda: Stem(width=0), "stem width = 0"),
        (lambda: Stem(width=3, kernel=4), "stem kernel = 4"),
        (lambda: Stem(width=3, kernel=-1), "stem kernel = -1"),
        (lambda: Stage(modules=(), transition=0), "stage transition = 0"),
    ],
)
def test_values_that_no_network_has_are_refused(make: Any, told: str) -> None:
    with pytest.raises(DesignError, match=told):
        make()


def test_a_design_error_is_an_input_error_and_a_value_error() -> None:
    assert issubclass(DesignError, InputError)
    assert issubclass(DesignError, ValueError)


# --- structure -----------------------------------------------------------------------------------


def test_kinds_of_modules_follow_from_what_they_have() -> None:
    assert Module(width=3).kind == "conv"
    assert Module(width=3, expand=2).kind == "EP"
    assert Module(width=3, expand=2, squeeze=1).kind == "PBEP"


@given(designs())
def test_skips_are_the_pooled_transitions_from_deep_to_shallow_then_the_stem_twice(
    design: Design,
) -> None:
    transitions = [stage.transition for stage in design.stages[:-2]]
    stem = [design.stem.width] * min(2, len(design.stages))
    assert design.skips == (*reversed(transitions), *stem)
    assert len(design.skips) == len(design.decoder)


def test_skip_order_of_one_two_and_four_stages() -> None:
    assert skip_order("stem", ["t1"]) == ("stem",)
    assert skip_order("stem", ["t1", "t2"]) == ("stem", "stem")
    assert skip_order("stem", ["t1", "t2", "t3", "t4"]) == ("t2", "t1", "stem", "stem")


@pytest.mark.parametrize("stages", [1, 2, 3, 4, 5])
def test_the_stride_doubles_with_every_stage(stages: int) -> None:
    design = Design(
        stem=Stem(width=2),
        stages=(Stage(modules=(CONV,), transition=2),) * stages,
        decoder=(Upconv(a=CONV, b=CONV),) * stages,
    )
    assert design.stride == 2 ** (stages + 1)
    design.check_size((design.stride, 3 * design.stride))
    for size in ((design.stride // 2, design.stride), (design.stride, 0), (-design.stride,) * 2):
        with pytest.raises(DesignError, match=f"multiples of {design.stride}"):
            design.check_size(size)


@given(height=st.integers(-50, 3000), width=st.integers(-50, 3000))
def test_the_nearest_size_that_is_offered_fits(height: int, width: int) -> None:
    try:
        TINY.check_size((height, width))
    except DesignError as refused:
        offered = str(refused).rpartition("nearest ")[2].split("x")
        near = (int(offered[0]), int(offered[1]))
        TINY.check_size(near)
        assert all(
            abs(there - here) <= 16
            for there, here in zip(near, (height, width), strict=True)
            if here > 16
        )
    else:
        assert height % 32 == width % 32 == 0


def test_one_field_more_is_another_design_with_another_key() -> None:
    wider = replace(TINY, stem=Stem(width=TINY.stem.width + 1, kernel=TINY.stem.kernel))
    assert wider != TINY
    assert wider.key != TINY.key
    assert TINY.bridge == 12
