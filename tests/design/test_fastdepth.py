from __future__ import annotations

import json
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import fastdepths

from nano.design.families import FAMILIES, family_around
from nano.design.fastdepth import FULL, LAYERS, SKIPS, SMALL, TIED, FastDepthDesign
from nano.design.fastdepth_prototype import KNOBS, PRESETS, fastdepth_preset, fastdepth_prototype
from nano.design.kinds import design_from_plain
from nano.design.presets import load_design, preset
from nano.errors import DesignError
from nano.files import to_plain, write_json

FAMILY = fastdepth_prototype("fastdepth-small")


def test_every_width_is_in_one_group_and_added_maps_share_theirs() -> None:
    assert sorted(position for group in TIED for position in group) == list(range(19))
    assert {group for group in TIED if len(group) == 2} == set(SKIPS.items())


@given(design=fastdepths())
def test_a_design_comes_back_from_its_json(design: FastDepthDesign) -> None:
    again = design_from_plain(json.loads(json.dumps(to_plain(design))), "design.json")
    assert again == design and again.key == design.key


def test_a_folder_with_its_json_is_a_design(tmp_path) -> None:
    write_json(tmp_path / "design.json", fastdepth_preset("fastdepth"))
    assert load_design(str(tmp_path)) == FastDepthDesign(widths=FULL)


@pytest.mark.parametrize(
    ("plain", "told"),
    [
        ({"network": "fastdepth"}, "d.json: widths: missing"),
        ({"network": "fastdepth", "widths": [8]}, "fastdepth has 19 widths, got 1"),
        ({"network": "fastdepth", "widths": list(SMALL), "stem": 1}, "d.json: stem: unknown key"),
        ({"network": "fastdepth", "widths": [0, *SMALL[1:]]}, "conv0 = 0: channels lie in 1"),
        ({"network": "fastdepth", "widths": [*SMALL[:17], 9, 8]}, "conv1 to those of up4"),
        ({"network": "slowdepth", "widths": list(SMALL)}, "d.json: network: .*'fastdepth'"),
    ],
)
def test_what_is_wrong_with_a_design_is_told(plain: dict[str, object], told: str) -> None:
    with pytest.raises(DesignError, match=told):
        design_from_plain(plain, "d.json")


def test_sizes_are_multiples_of_32() -> None:
    FastDepthDesign(widths=SMALL).check_size((64, 192))
    with pytest.raises(DesignError, match="nearest 64x192"):
        FastDepthDesign(widths=SMALL).check_size((60, 192))


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_a_member_of_its_own_prototype(name: str) -> None:
    family = fastdepth_prototype(name)
    assert family.design(family.genome_of(family.preset)) == family.preset
    knobs = family.knobs_of(family.preset)
    assert knobs == pytest.approx({**dict.fromkeys(KNOBS, 1.0), "spread": 0.0})
    assert family.design(family.expand(knobs, 3)) == family.preset


@given(shares=st.tuples(*[st.floats(0, 1)] * len(KNOBS)), seed=st.integers(0, 2**31))
def test_what_knobs_expand_to_is_a_member(shares: tuple[float, ...], seed: int) -> None:
    knobs = {k.name: k.at(share) for k, share in zip(FAMILY.knobs, shares, strict=True)}
    genome = FAMILY.expand(knobs, seed)
    assert genome == FAMILY.masked(genome) == FAMILY.genome_of(FAMILY.design(genome))
    assert genome == FAMILY.expand(knobs, seed)


def test_knobs_without_spread_are_read_back() -> None:
    knobs = {**FAMILY.knobs_of(FAMILY.preset), "multiplier.4": 0.5, "step.1": 0.75}
    design = FAMILY.design(FAMILY.expand(knobs, 0))
    assert design.widths[6:12] == (64,) * 6 and design.widths[14] == 96
    assert FAMILY.knobs_of(design) == pytest.approx(knobs)


def test_spread_is_read_back_without_bias() -> None:
    knobs = {**FAMILY.knobs_of(FAMILY.preset), "multiplier.4": 0.5, "spread": 0.5}
    found = [
        FAMILY.knobs_of(FAMILY.design(FAMILY.expand(knobs, seed)))["multiplier.4"]
        for seed in range(300)
    ]
    # Six layers, deviation .5: a standard error of .007. The geometric mean would give .45.
    assert sum(found) / len(found) == pytest.approx(0.5, abs=0.02)


def test_a_multiplier_widens_its_own_resolution_and_what_is_added_to_it() -> None:
    usual = FAMILY.knobs_of(FAMILY.preset)
    for name, columns in FAMILY.columns.items():
        narrow = FAMILY.design(FAMILY.expand(usual | {name: 0.5}, 0))
        changed = {i for i in range(19) if narrow.widths[i] != SMALL[i]}
        assert changed == {i for column in columns for i in TIED[column]}
    assert FAMILY.columns["multiplier.3"] == (4, 5)
    assert FAMILY.groups["stage 3 width"] == (4, 5)
    columns = sorted(column for group in FAMILY.groups.values() for column in group)
    assert columns == list(range(len(TIED)))


def test_the_seed_makes_layers_differ_where_there_is_spread() -> None:
    knobs = {**FAMILY.knobs_of(FAMILY.preset), "spread": 0.3}
    assert FAMILY.expand(knobs, 0) != FAMILY.expand(knobs, 1)


def test_smallest_and_largest_are_the_ends() -> None:
    random = Random(0)
    small, large = FAMILY.smallest(), FAMILY.largest()
    for seed in range(20):
        knobs = {k.name: k.at(random.random()) for k in FAMILY.knobs} | {"spread": 0.0}
        widths = FAMILY.design(FAMILY.expand(knobs, seed)).widths
        assert all(a <= w <= b for a, w, b in zip(small.widths, widths, large.widths, strict=True))
    assert FAMILY.design(FAMILY.expand(FAMILY.shrunk(FAMILY.knobs_of(large), 0), 0)) == small


def test_ranges_are_checked() -> None:
    narrow = fastdepth_prototype(
        "fastdepth-small", {"multiplier": [0.5, 1], "multiplier.2": [1, 1]}
    )
    assert (narrow.knob["multiplier.1"].low, narrow.knob["multiplier.2"].low) == (0.5, 1)
    assert narrow.space != FAMILY.space
    with pytest.raises(DesignError, match="did you mean multiplier"):
        fastdepth_prototype("fastdepth-small", {"multiplyer": [0.5, 1]})
    with pytest.raises(DesignError, match=r"multiplier\.1 = \[0\.5, 99\]"):
        fastdepth_prototype("fastdepth-small", {"multiplier": [0.5, 99]})


def test_a_design_of_another_family_is_refused_by_both() -> None:
    dense = family_around("depthnet", "depthnet-tiny")
    with pytest.raises(DesignError, match="is a FastDepth, the design is none"):
        FAMILY.check_kind(preset("depthnet-tiny"))
    with pytest.raises(DesignError, match="densely connected, the design is not"):
        dense.check_kind(FAMILY.preset)
    FAMILY.check_kind(FAMILY.smallest())
    dense.check_kind(dense.smallest())


def test_a_design_out_of_bounds_is_told_by_its_layer() -> None:
    wide = FastDepthDesign(widths=(900, *SMALL[1:]))
    with pytest.raises(DesignError, match=r"conv0 = 900 lies outside"):
        FAMILY.genome_of(wide)
    near = FAMILY.design(FAMILY.nearest_genome(wide))
    assert near.widths[2:17] == (*SMALL[2:17],)
    assert FAMILY.expressed(wide) is None and FAMILY.expressed(near) is not None


def test_presets_of_a_family_are_told() -> None:
    with pytest.raises(DesignError, match=r'belongs to name = "depthnet"; presets of fastdepth'):
        family_around("fastdepth", "depthnet-small")
    with pytest.raises(DesignError, match=r"perhaps 'fastdepth-small'"):
        family_around("fastdepth", "fastdepth-smal")
    for name, family in FAMILIES.items():
        assert family_around(name, family.usual).name == family.usual


def test_names_of_layers() -> None:
    assert LAYERS[0] == "conv0" and LAYERS[13:15] == ("conv13", "up1") and LAYERS[-1] == "up5"
