from __future__ import annotations

import math
import statistics
from dataclasses import replace
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import designs, family, genomes, members

from nano.cost.count import count
from nano.design.design import WIDEST, Design, Module, Stage, Upconv
from nano.design.genes import Gene, Genome
from nano.design.kinds import design_from_plain
from nano.design.knobs import LIMITS, Knob, check_knobs, knob_names
from nano.design.presets import PRESETS, preset, prototype
from nano.design.prototype import Prototype
from nano.errors import DesignError
from nano.files import to_plain

SIZE = (64, 192)
TINY = family("depthnet-tiny")


def knobs_at(known: Prototype, share: float, **values: float) -> dict[str, float]:
    return {knob.name: knob.at(share) for knob in known.knobs} | values


# --- genome and design ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_a_member_of_its_own_prototype(name: str) -> None:
    known, design = family(name), preset(name)
    assert known.preset == design
    assert known.design(known.genome_of(design)) == design


@settings(max_examples=60)
@given(members())
def test_genome_and_design_are_two_forms_of_one_thing(member: tuple[Prototype, Genome]) -> None:
    known, genome = member
    design = known.design(genome)
    assert known.genome_of(design) == genome
    assert known.design(known.genome_of(design)) == design


@settings(max_examples=40)
@given(genomes())
def test_any_masked_genome_is_a_design_and_comes_back(member: tuple[Prototype, Genome]) -> None:
    known, genome = member
    assert known.genome_of(known.design(genome)) == genome
    assert known.masked(genome) == genome


@settings(max_examples=60)
@given(genomes(("depthnet-tiny",)), st.data())
def test_a_window_of_another_size_anywhere_is_another_family(
    member: tuple[Prototype, Genome], data: st.DataObject
) -> None:
    known, genome = member
    plain = to_plain(known.design(genome))
    parts = [plain["stem"], *(m for stage in plain["stages"] for m in stage["modules"])]
    parts += [up[name] for up in plain["decoder"] for name in ("a", "b")]
    data.draw(st.sampled_from(parts))["kernel"] += 2
    other = design_from_plain(plain, "altered")
    assert isinstance(other, Design)
    assert known.expressed(other) is None


@settings(max_examples=40)
@given(members())
def test_expanded_genes_lie_within_their_bounds(member: tuple[Prototype, Genome]) -> None:
    known, genome = member
    assert len(genome) == known.layout.length == len(known.genes)
    assert known.masked(genome) == genome
    present = [(v, gene) for v, gene in zip(genome, known.genes, strict=True) if v]
    assert all(gene.low <= value <= gene.high for value, gene in present)
    assert all(type(value) is int for value in genome)


@settings(max_examples=40)
@given(genomes())
def test_genes_of_modules_that_are_not_there_are_zero(member: tuple[Prototype, Genome]) -> None:
    known, genome = member
    for columns in known.layout.stages:
        depth = genome[columns.depth]
        assert 1 <= depth <= columns.deepest
        for part in (columns.squeeze, columns.expand, columns.width):
            assert all(genome[part][:depth])
            assert not any(genome[part][depth:])


def test_every_gene_has_a_name_of_its_own_and_a_column() -> None:
    known = family("depthnet-nano")
    assert len({gene.name for gene in known.genes}) == len(known.genes) == 307
    for number, columns in enumerate(known.layout.stages, start=1):
        assert known.genes[columns.depth].name == f"depth.{number}"
        assert known.genes[columns.squeeze.start].name == f"squeeze.{number}.1"
        assert known.genes[columns.expand.start + 1].name == f"expand.{number}.2"
        assert known.genes[columns.width.stop - 1].name == f"width.{number}.{columns.deepest}"
        assert known.genes[columns.transition].name == f"transition.{number}"
    last = [gene.name for gene in known.genes[known.layout.decoder :]][-4:]
    assert last == ["expand.up4A", "width.up4A", "expand.up4B", "width.up4B"]
    assert known.genes[known.layout.stem].name == "stem"


def test_masking_rounds_clips_and_ignores_what_lies_beyond_the_depth() -> None:
    low = [gene.low for gene in TINY.genes]
    high = [gene.high for gene in TINY.genes]
    assert TINY.masked([value - 0.4 for value in low]) == TINY.masked(low)
    assert TINY.masked([-1e9] * len(low)) == TINY.masked(low)
    assert TINY.masked([1e9] * len(low)) == tuple(high)
    columns = TINY.layout.stages[0]
    other = list(low)
    other[columns.width.start + 1] = 5  # depth is 1: there is no second module
    assert TINY.masked(other) == TINY.masked(low)


def test_a_genome_of_another_length_is_refused() -> None:
    genome = TINY.genome_of(TINY.preset)
    for wrong in (genome[:-1], (*genome, 1), ()):
        with pytest.raises(DesignError, match=f"has {len(genome)} genes, got {len(wrong)}"):
            TINY.design(wrong)


def test_a_row_of_a_population_makes_a_design_with_the_same_key() -> None:
    genome = TINY.genome_of(TINY.preset)
    assert TINY.design(np.array([genome])[0]).key == TINY.preset.key


# --- designs that do not belong ------------------------------------------------------------------


def altered(module: Module) -> Design:
    first = TINY.preset.stages[0]
    return replace(TINY.preset, stages=(replace(first, modules=(module,)), *TINY.preset.stages[1:]))


@pytest.mark.parametrize(
    ("design", "told"),
    [
        (altered(Module(squeeze=3, expand=6, width=400)), r"width\.1\.1 = 400 lies outside .*\["),
        (altered(Module(expand=6, width=4)), r"squeeze\.1\.1 = 0 lies outside"),
        (altered(Module(width=4)), r"squeeze\.1\.1 = 0 lies outside"),
        (altered(Module(squeeze=3, expand=6, width=4, kernel=5)), "other kernels or kinds"),
        (
            replace(TINY.preset, stages=(Stage(modules=(), transition=8), *TINY.preset.stages[1:])),
            r"depth\.1 = 0 lies outside",
        ),
        (
            replace(
                TINY.preset,
                decoder=(
                    Upconv(a=Module(width=10), b=Module(expand=10, width=10)),
                    *TINY.preset.decoder[1:],
                ),
            ),
            r"expand\.up1A = 0 lies outside",
        ),
        (
            replace(
                TINY.preset,
                decoder=(
                    Upconv(a=Module(squeeze=4, expand=22, width=10), b=Module(expand=10, width=10)),
                    *TINY.preset.decoder[1:],
                ),
            ),
            "other kernels or kinds",
        ),
        (preset("depthnet-nano"), "no stage as deep as 6"),
    ],
)
def test_a_design_outside_the_family_is_refused_by_the_gene_that_leaves_it(
    design: Design, told: str
) -> None:
    with pytest.raises(DesignError, match=told):
        TINY.genome_of(design)


@given(designs())
def test_a_foreign_design_has_a_genome_only_if_it_comes_back_whole(design: Design) -> None:
    try:
        genome = TINY.genome_of(design)
    except DesignError:
        return
    assert TINY.design(genome) == design


@given(designs(largest_stages=3))
def test_another_number_of_stages_is_refused(design: Design) -> None:
    for way in (TINY.genome_of, TINY.knobs_of):
        with pytest.raises(DesignError, match=f"has 4 stages, design {design.key}"):
            way(design)


@given(designs(smallest_stages=4))
def test_every_design_of_four_stages_has_knobs_within_their_ranges(design: Design) -> None:
    knobs = TINY.knobs_of(design)
    assert list(knobs) == list(knob_names(4))
    assert all(knob.low <= knobs[knob.name] <= knob.high for knob in TINY.knobs)


# --- knobs and seed ------------------------------------------------------------------------------


def test_the_papers_topology_has_27_knobs() -> None:
    assert len(knob_names(4)) == 27
    assert [knob.name for knob in family("depthnet-nano").knobs] == list(knob_names(4))


@settings(max_examples=50)
@given(members(), st.integers(), st.integers())
def test_without_spread_the_seed_is_irrelevant(
    member: tuple[Prototype, Genome], seed: int, other: int
) -> None:
    known, genome = member
    knobs = known.knobs_of(known.design(genome)) | {"spread": 0.0, "taper": 0.2}
    assert known.expand(knobs, seed) == known.expand(knobs, other)


def test_with_spread_the_seed_decides_how_modules_differ() -> None:
    known = family("depthnet-nano")
    knobs = knobs_at(known, 0.5)
    assert knobs["spread"] == 0.25
    genome = [known.expand(knobs, seed) for seed in (0, 1, 0)]
    assert genome[0] == genome[2] != genome[1]
    widths = {module.width for module in known.design(genome[0]).stages[2].modules}
    assert len(widths) > 5


def test_knobs_and_seed_mean_the_same_network_on_any_machine() -> None:
    made = {name: family(name).expand(knobs_at(family(name), 0.6), 7) for name in PRESETS}
    keys = {name: family(name).design(genome).key for name, genome in made.items()}
    assert keys == {
        "depthnet-nano": "f173da5dd10a",
        "depthnet-small": "50073ebddec6",
        "depthnet-tiny": "4b4cf8496c7e",
    }


@settings(max_examples=60)
@given(members(), st.floats(0, 1))
def test_knobs_come_back_from_the_design_they_made_up_to_rounding(
    member: tuple[Prototype, Genome], share: float
) -> None:
    known, _ = member
    random = Random(share)
    asked = {knob.name: knob.at(random.random()) for knob in known.knobs}
    asked |= {"spread": 0.0, "taper": 0.0}
    design = known.design(known.expand(asked, 0))
    found = known.knobs_of(design)
    assert found["stem"] == asked["stem"]
    channels = design.stem.width
    for number, stage in enumerate(design.stages, start=1):
        assert found[f"depth.{number}"] == asked[f"depth.{number}"]
        assert abs(found[f"growth.{number}"] - asked[f"growth.{number}"]) <= 0.5
        assert abs(found[f"squeeze.{number}"] - asked[f"squeeze.{number}"]) <= 0.5
        squeeze = stage.modules[0].squeeze
        assert squeeze is not None
        ratio = found[f"expansion.{number}"] - asked[f"expansion.{number}"]
        assert abs(ratio) <= 0.5 / squeeze + 1e-9
        channels += sum(module.width for module in stage.modules)
        share_ = found[f"transition.{number}"] - asked[f"transition.{number}"]
        assert abs(share_) <= 0.5 / channels + 1e-9
        channels = stage.transition
    for end in ("first", "last"):
        assert abs(found[f"decoder.{end}"] - asked[f"decoder.{end}"]) <= 0.5
        ratio = found[f"multiplicity.{end}"] - asked[f"multiplicity.{end}"]
        assert abs(ratio) <= 0.5 / design.stem.width + 1e-9


def test_spread_makes_modules_differ_not_networks_grow() -> None:
    known = family("depthnet-nano")
    knobs = knobs_at(known, 0.5, spread=0.5, taper=0.0)
    many = [known.knobs_of(known.design(known.expand(knobs, seed))) for seed in range(150)]
    for name in ("growth.3", "squeeze.3", "growth.4", "squeeze.4"):
        found = [one[name] for one in many]
        error = statistics.stdev(found) / len(found) ** 0.5
        assert statistics.mean(found) == pytest.approx(knobs[name], abs=4 * error)
        assert error < 0.02 * knobs[name]  # else the line above says nothing


@pytest.mark.parametrize("taper", [-0.5, -0.2, 0.3, 0.5])
def test_taper_changes_growth_along_a_stage_and_keeps_its_mean(taper: float) -> None:
    known = family("depthnet-nano")
    knobs = knobs_at(known, 0.5, spread=0.0, taper=taper)
    widths = [m.width for m in known.design(known.expand(knobs, 0)).stages[2].modules]
    assert statistics.mean(widths) == pytest.approx(knobs["growth.3"], abs=0.25)
    assert widths == sorted(widths, reverse=taper < 0)
    assert widths[-1] / widths[0] == pytest.approx(math.exp(2 * taper), rel=0.1)


def test_a_deeper_stage_leaves_the_other_modules_as_they_were() -> None:
    known = family("depthnet-nano")
    knobs = knobs_at(known, 0.5, taper=0.0)
    shallow = known.design(known.expand(knobs | {"depth.3": 12}, 3))
    deep = known.design(known.expand(knobs | {"depth.3": 20}, 3))
    assert deep.stages[2].modules[:12] == shallow.stages[2].modules
    assert deep.stages[3].modules == shallow.stages[3].modules
    assert deep.stages[:2] == shallow.stages[:2]
    assert [up.a.width for up in deep.decoder] == [up.a.width for up in shallow.decoder]


@pytest.mark.parametrize("name", PRESETS)
def test_bounds_of_genes_hardly_ever_cut_what_knobs_ask(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    known, random, asked, cut = family(name), Random(0), 0, 0
    clip = Gene.clip

    def watched(gene: Gene, value: float) -> int:
        nonlocal asked, cut
        asked, cut = asked + 1, cut + (clip(gene, value) != round(value))
        return clip(gene, value)

    monkeypatch.setattr(Gene, "clip", watched)
    for seed in range(100):
        known.expand({knob.name: knob.at(random.random()) for knob in known.knobs}, seed)
    assert cut < asked / 500


def test_even_at_the_widest_spread_and_the_highest_knob_few_modules_are_cut() -> None:
    known = prototype("depthnet-nano", {"spread": [0, 1], "taper": [0, 0]})
    highest = known.genes[known.layout.stages[2].width.start].high
    assert highest == math.ceil(24 * math.exp(2))
    design = known.design(known.expand(knobs_at(known, 1.0), 0))
    widths = [module.width for module in (*design.stages[2].modules, *design.stages[3].modules)]
    assert sum(width == highest for width in widths) <= 3


@given(st.data())
def test_values_outside_the_ranges_are_clipped_to_them(data: st.DataObject) -> None:
    wild = {knob.name: data.draw(st.floats(-1e6, 1e6)) for knob in TINY.knobs}
    tame = {knob.name: knob.clip(wild[knob.name]) for knob in TINY.knobs}
    assert TINY.expand(wild, 3) == TINY.expand(tame, 3)


# --- sizes ---------------------------------------------------------------------------------------


@settings(max_examples=40)
@given(name=st.sampled_from(PRESETS), seed=st.integers(0, 10**6))
def test_smallest_and_largest_enclose_all_even_members(name: str, seed: int) -> None:
    known, random = family(name), Random(seed)
    knobs = {knob.name: knob.at(random.random()) for knob in known.knobs}
    even = knobs | {"taper": 0.0, "spread": 0.0}
    costs = [
        count(design, SIZE).values()
        for design in (known.smallest(), known.design(known.expand(even, 0)), known.largest())
    ]
    for name in costs[0]:
        assert costs[0][name] <= costs[1][name] <= costs[2][name]


@settings(max_examples=40)
@given(name=st.sampled_from(PRESETS), seed=st.integers(0, 10**6))
def test_shrinking_is_a_way_down_from_the_knobs_to_the_smallest(name: str, seed: int) -> None:
    known, random = family(name), Random(seed)
    knobs = {knob.name: knob.at(random.random()) for knob in known.knobs}
    knobs |= {"taper": 0.0, "spread": 0.0}
    way = [known.shrunk(knobs, share / 4) for share in range(5)]
    made = [known.design(known.expand(step, 0)) for step in way]
    assert made[0] == known.smallest()
    assert made[-1] == known.design(known.expand(knobs, 0))
    macs = [count(design, SIZE).macs for design in made]
    assert macs == sorted(macs)


def test_the_number_of_designs_is_the_product_of_all_choices() -> None:
    known = prototype("depthnet-tiny", {"depth": [1, 2], "spread": [0, 0]})
    genes, designs_ = known.genes, 1

    def choices(column: int) -> int:
        return genes[column].high - genes[column].low + 1

    for columns in known.layout.stages:
        parts = (columns.squeeze, columns.expand, columns.width)
        one = math.prod(choices(part.start) for part in parts)
        designs_ *= (one + one**2) * choices(columns.transition)
    designs_ *= choices(known.layout.stem)
    designs_ *= math.prod(choices(i) for i in range(known.layout.decoder, known.layout.length))
    assert known.count_designs() == pytest.approx(math.log10(designs_), rel=1e-12)


@pytest.mark.parametrize("name", PRESETS)
def test_there_are_many_designs_but_not_infinitely_many(name: str) -> None:
    assert 20 < family(name).count_designs() < 2000


# --- ranges --------------------------------------------------------------------------------------


def test_a_range_for_all_stages_and_one_for_a_single_stage() -> None:
    known = prototype("depthnet-nano", {"growth": [5, 50], "growth.3": (7, 9)})
    ranges = {knob.name: (knob.low, knob.high) for knob in known.knobs}
    assert [ranges[f"growth.{i}"] for i in (1, 2, 3, 4)] == [(5, 50), (5, 50), (7, 9), (5, 50)]
    own = {knob.name: (knob.low, knob.high) for knob in family("depthnet-nano").knobs}
    assert {n: r for n, r in ranges.items() if "growth" not in n} == {
        n: r for n, r in own.items() if "growth" not in n
    }
    assert {knob.low for knob in known.knobs if knob.integer} <= {1, 2, 4, 8}


def test_ranges_name_the_space() -> None:
    known = family("depthnet-tiny").space
    assert prototype("depthnet-tiny").space == known
    assert prototype("depthnet-tiny", {}).space == known
    assert prototype("depthnet-tiny", {"growth": [3, 8]}).space == known  # its own ranges, as ints
    assert prototype("depthnet-tiny", {"growth": [3, 9]}).space != known
    assert len({family(name).space for name in PRESETS}) == len(PRESETS)


def test_a_range_may_be_a_single_value() -> None:
    known = prototype("depthnet-tiny", {"depth": [2, 2], "growth": [5, 5], "spread": [0, 0]})
    for share in (0.0, 0.4, 1.0):
        design = known.design(known.expand(knobs_at(known, share, taper=0.0), 0))
        assert [[m.width for m in stage.modules] for stage in design.stages] == [[5, 5]] * 4


def test_ranges_may_leave_the_preset_out() -> None:
    known = prototype("depthnet-tiny", {"stem": [7, 8], "growth": [20, 30]})
    assert known.knobs_of(known.preset)["stem"] == 7
    with pytest.raises(DesignError, match="stem = 6 lies outside prototype depthnet-tiny's"):
        known.genome_of(known.preset)


NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("ranges", "told"),
    [
        ({"growht": [1, 2]}, "'growht': unknown; did you mean growth"),
        ({"growth.5": [1, 2]}, "'growth.5': unknown; did you mean growth"),
        ({"": [1, 2]}, "unknown; knobs: stem"),
        ({"decoder": [1, 2]}, "unknown"),
        ({"growth": [9, 3]}, r"growth.1 = \[9, 3\]: write \[low, high\]"),
        ({"growth": [3]}, r"write \[low, high\]"),
        ({"growth": [3, 4, 5]}, r"write \[low, high\]"),
        ({"growth": []}, r"write \[low, high\]"),
        ({"growth": [NAN, 9]}, r"write \[low, high\]"),
        ({"growth": [3, NAN]}, r"write \[low, high\]"),
        ({"growth": [3, INF]}, r"write \[low, high\]"),
        ({"taper": [-INF, 0]}, r"write \[low, high\]"),
        ({"growth": [0, 9]}, "must stay above zero"),
        ({"growth": [-3, 9]}, "must stay above zero"),
        ({"growth": [0.5, 9]}, r"must lie within \[1, 1024\]"),
        ({"depth": [0, 3]}, r"depth.1 = \[0, 3\]: must lie within \[1, 128\]"),
        ({"depth.2": [1.6, 2.6]}, "depth.2 = .* only whole numbers"),
        ({"stem": [6, 8.5]}, "only whole numbers"),
        ({"depth": [1, 10**9]}, "must lie within"),
        ({"growth": [1, 1e300]}, "must lie within"),
        ({"spread": [-0.5, 0.5]}, r"must lie within \[0, 1\]"),
        ({"spread": [0, 700]}, "must lie within"),
        ({"taper": [-0.5, 800]}, r"must lie within \[-2, 2\]"),
        ({"transition": [0, 0.5]}, "must lie within"),
    ],
)
def test_ranges_that_cannot_be_meant_are_refused(ranges: dict[str, list[float]], told: str) -> None:
    with pytest.raises(DesignError, match=told):
        prototype("depthnet-tiny", ranges)


BOUND = st.one_of(st.floats(), st.integers(-5, 2000), st.integers(1, 40), st.floats(0, 40))


@settings(max_examples=150)
@given(
    st.dictionaries(
        st.sampled_from((*knob_names(2), "growth", "depth", "x")),
        st.tuples(BOUND, BOUND),
        max_size=2,
    ),
    st.integers(0, 99),
)
def test_any_ranges_are_refused_or_make_designs(
    ranges: dict[str, tuple[float, float]], seed: int
) -> None:
    try:
        known = prototype("depthnet-tiny", ranges)
    except DesignError:
        return
    for share in (0.0, 0.5, 1.0):
        genome = known.expand(knobs_at(known, share), seed)
        assert known.masked(genome) == genome
        known.design(genome)


def test_the_widest_ranges_still_make_designs() -> None:
    widest = {
        name: list(LIMITS[name.partition(".")[0]])
        for name in knob_names(4)
        if not name.startswith("depth")
    }
    known = prototype("depthnet-tiny", widest)
    for share in (0.0, 1.0):
        genome = known.expand(knobs_at(known, share, taper=0.0), 1)
        assert max(genome) <= WIDEST
        assert known.genome_of(known.design(genome)) == genome


def test_a_prototype_with_the_knobs_of_another_topology_is_refused() -> None:
    with pytest.raises(DesignError, match=r"expected stem, depth\.1"):
        Prototype(name="mine", preset=TINY.preset, knobs=TINY.knobs[1:])
    with pytest.raises(DesignError, match="expected stem"):
        check_knobs(TINY.knobs, knob_names(3))


def test_the_preset_fixes_kernels() -> None:
    stage = Stage(modules=(Module(squeeze=2, expand=4, width=3, kernel=5),), transition=4)
    up = Upconv(a=Module(expand=4, width=3, kernel=5), b=Module(expand=4, width=3, kernel=1))
    own = Design(stem=replace(TINY.preset.stem, kernel=5), stages=(stage,) * 4, decoder=(up,) * 4)
    known = Prototype(name="mine", preset=own, knobs=TINY.knobs)
    design = known.design(known.expand(knobs_at(known, 0.7), 1))
    assert design.stem.kernel == 5
    assert {m.kernel for stage in design.stages for m in stage.modules} == {5}
    assert {(up.a.kernel, up.b.kernel) for up in design.decoder} == {(5, 1)}
    assert known.genome_of(own)


# --- one knob ------------------------------------------------------------------------------------


@given(low=st.floats(0.01, 100), ratio=st.floats(1, 100), share=st.floats(0, 1), log=st.booleans())
def test_a_share_of_a_range_comes_back(low: float, ratio: float, share: float, log: bool) -> None:
    knob = Knob(name="growth.1", low=low, high=low * ratio, log=log)
    value = knob.at(share)
    assert knob.low <= value <= knob.high
    assert knob.at(knob.share(value)) == pytest.approx(value, rel=1e-6)


def test_a_logarithmic_knob_has_its_geometric_mean_in_the_middle() -> None:
    assert Knob(name="growth.1", low=4, high=16, log=True).at(0.5) == pytest.approx(8)
    assert Knob(name="growth.1", low=4, high=16).at(0.5) == 10


def test_an_integer_knob_is_whole_and_reaches_both_ends() -> None:
    knob = Knob(name="depth.1", low=1, high=4, integer=True)
    assert {knob.at(share / 10) for share in range(11)} == {1, 2, 3, 4}
    assert all(type(knob.at(share / 10)) is int for share in range(11))
    assert (knob.clip(-5), knob.clip(2.6), knob.clip(99)) == (1, 3, 4)
