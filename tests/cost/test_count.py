from __future__ import annotations

import copy
from collections import defaultdict
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import designs, genomes, members

from nano.cost.count import Cost, count, count_by_module, total
from nano.cost.layers import walk
from nano.cost.population import count_population
from nano.design.design import Design, Module, Stage, Stem, Upconv
from nano.design.genes import Genome
from nano.design.kinds import design_from_plain
from nano.design.knobs import LIMITS, knob_names
from nano.design.parts import modules_by_part
from nano.design.presets import PRESETS, preset, prototype
from nano.design.prototype import Prototype
from nano.errors import DesignError
from nano.files import to_plain
from nano.networks.count import count_by_running

NANO = preset("depthnet-nano")
PAPER = (384, 1280)
SMALL = (64, 192)

# --- the published totals and our table of parts -------------------------------------------------


def test_depthnet_nano_has_the_published_totals() -> None:
    cost = count(NANO, PAPER)
    assert cost.params == 1_746_581  # printed 1.75 M
    assert cost.params_with_statistics == 1_751_109
    assert cost.macs == 4_660_535_040  # printed 4.66 G
    assert round(cost.activations / 1e6, 1) == 72.8


@pytest.mark.parametrize(
    ("size", "macs"),
    [
        ((192, 640), 1_165_133_760),
        ((480, 640), 2_912_834_400),
        ((128, 416), 504_891_296),
        ((64, 192), 116_513_376),
    ],
)
def test_macs_at_other_sizes(size: tuple[int, int], macs: int) -> None:
    cost = count(NANO, size)
    assert cost.macs == macs
    assert cost.params == 1_746_581


PARTS = {  # parameters, millions of MACs
    "stem": (2_072, 252.9),
    "stage 1": (12_127, 352.1),
    "transition 1": (3_180, 96.8),
    "stage 2": (31_418, 231.1),
    "transition 2": (15_879, 121.3),
    "stage 3": (499_423, 942.2),
    "transition 3": (65_403, 125.3),
    "stage 4": (504_834, 238.2),
    "bridge": (94_336, 45.2),
    "up 1": (431_134, 822.2),
    "up 2": (66_859, 506.9),
    "up 3": (16_161, 483.8),
    "up 4": (3_538, 415.9),
    "head": (217, 26.5),
}


def test_parts_of_depthnet_nano_cost_what_the_table_says() -> None:
    params: dict[str, int] = defaultdict(int)
    macs: dict[str, int] = defaultdict(int)
    for share in count_by_module(NANO, PAPER):
        params[share.part] += share.cost.params
        macs[share.part] += share.cost.macs
    assert {part: (params[part], round(macs[part] / 1e6, 1)) for part in params} == PARTS
    assert list(params) == list(PARTS)  # in the order of the network


def test_operations_of_depthnet_nano_have_the_known_shares() -> None:
    norms = sum(layer.params for layer in walk(NANO, PAPER) if layer.operation == "norm")
    assert norms == 4_528
    assert sum(layer.statistics for layer in walk(NANO, PAPER)) == 1_751_109 - 1_746_581
    operations = {layer.operation for layer in walk(NANO, PAPER)}
    assert operations == {"conv", "norm", "selu", "pool", "upsample", "concat"}


def test_a_network_of_one_and_two_channels_counted_by_hand() -> None:
    design = Design(
        stem=Stem(width=2, kernel=1),
        stages=(
            Stage(
                modules=(
                    Module(width=1, kernel=1),
                    Module(squeeze=1, expand=2, width=1, kernel=1),
                ),
                transition=1,
            ),
        ),
        decoder=(Upconv(a=Module(expand=2, width=1, kernel=1), b=Module(width=1, kernel=1)),),
    )
    # Maps: 3@4x4 (48 numbers), 2@2x2 after the stem, stage 1 on single pixels.
    by_hand = {  # params, statistics, MACs, SELUs, numbers read and written
        "stem": (8, 0, 24, 8, (48 + 8) + (8 + 8) + (8 + 2)),
        "1.1": (3, 0, 2, 1, (2 + 1) + (1 + 1) + (3 + 3)),
        "1.2": (3 + 2 + 4 + 4 + 3, 2, 3 + 2 + 2 + 2, 4, 4 + 2 + 3 + 4 + 4 + 4 + 3 + 8),
        "bridge": (5, 0, 4, 1, (4 + 1) + (1 + 1)),
        "up 1": (0, 0, 0, 0, (1 + 4) + (12 + 12)),
        "up 1A": (8 + 4 + 3, 0, 24 + 8 + 8, 16, (12 + 8) + 16 + (8 + 8) + 16 + (8 + 4)),
        "up 1B": (2, 0, 4, 4, (4 + 4) + (4 + 4)),
        "head": (10, 0, 36, 0, 4 + 4),
    }
    found = {
        share.unit or share.part: (
            share.cost.params,
            share.cost.params_with_statistics - share.cost.params,
            share.cost.macs,
            share.cost.activations,
            share.cost.bytes // 4 - share.cost.params_with_statistics,
        )
        for share in count_by_module(design, (4, 4))
    }
    assert found == by_hand
    assert count(design, (4, 4)) == Cost(
        params=59, params_with_statistics=61, macs=119, activations=34, bytes=4 * (265 + 61)
    )


# --- one truth, four ways ------------------------------------------------------------------------


def sizes(design: Design) -> st.SearchStrategy[tuple[int, int]]:
    sides = st.integers(1, 6).map(lambda n: n * design.stride)
    return st.tuples(sides, sides)


def agree(design: Design, size: tuple[int, int]) -> Cost:
    """Closed form == walk == sum of modules; returns it."""
    cost = count(design, size)
    assert total(walk(design, size)) == cost
    shares = [share.cost for share in count_by_module(design, size)]
    for name, value in cost.values().items():
        assert sum(share.values()[name] for share in shares) == value, name
    return cost


def equal_to_running(design: Design, size: tuple[int, int]) -> None:
    cost, ran = agree(design, size), count_by_running(design, size)
    assert (cost.params, cost.params_with_statistics) == (ran.params, ran.params_with_statistics)
    assert (cost.macs, cost.activations) == (ran.macs, ran.activations)


@pytest.mark.slow
@given(design=designs(), data=st.data())
def test_closed_form_walk_and_modules_agree_on_mixed_kinds(
    design: Design, data: st.DataObject
) -> None:
    agree(design, data.draw(sizes(design)))


@settings(max_examples=60)
@given(members(), st.integers(1, 12), st.integers(1, 40))
def test_closed_form_walk_modules_and_population_agree_on_members(
    member: tuple[Prototype, Genome], rows: int, columns: int
) -> None:
    known, genome = member
    size = (32 * rows, 32 * columns)
    cost = agree(known.design(genome), size)
    assert count_population(np.array([genome]), known, size).of(0) == cost


@settings(max_examples=40)
@given(genomes())
def test_population_agrees_on_any_masked_genome(member: tuple[Prototype, Genome]) -> None:
    known, genome = member
    cost = count(known.design(genome), SMALL)
    assert count_population(np.array([genome]), known, SMALL).of(0) == cost


@pytest.mark.slow
@settings(max_examples=40)
@given(design=designs(), data=st.data())
def test_torch_counts_the_same_on_mixed_kinds(design: Design, data: st.DataObject) -> None:
    equal_to_running(design, data.draw(sizes(design)))


@settings(max_examples=12)
@given(members(("depthnet-tiny", "depthnet-small")))
def test_torch_counts_the_same_on_members(member: tuple[Prototype, Genome]) -> None:
    known, genome = member
    equal_to_running(known.design(genome), SMALL)


@settings(max_examples=3)
@given(members(("depthnet-nano",)))
def test_torch_counts_the_same_on_members_of_the_papers_size(
    member: tuple[Prototype, Genome],
) -> None:
    known, genome = member
    equal_to_running(known.design(genome), PAPER)


@pytest.mark.parametrize("name", PRESETS)
def test_torch_counts_the_same_on_presets(name: str) -> None:
    equal_to_running(preset(name), PAPER)


def test_every_module_of_a_design_has_one_share_with_its_width() -> None:
    shares = {share.unit: share for share in count_by_module(NANO, PAPER) if share.unit}
    for part, modules in modules_by_part(NANO).items():
        number = part.split()[1]
        for i, module in enumerate(modules):
            unit = f"up {number}{'AB'[i]}" if part.startswith("up") else f"{number}.{i + 1}"
            assert shares[unit].width == module.width
            assert shares[unit].part == part
            assert 0 < shares[unit].cost.macs < count(NANO, PAPER).macs / 5


# --- what must hold of any cost ------------------------------------------------------------------


def widened(design: Design) -> list[Design]:
    """The design with one of its widths, or one of its kernels, a step larger; all of them."""
    plain = to_plain(design)
    wider = []

    def visit(node: object, path: tuple[str | int, ...]) -> None:
        if isinstance(node, int):
            copied = copy.deepcopy(plain)
            place = copied
            for step in path[:-1]:
                place = place[step]
            place[path[-1]] = node + (2 if path[-1] == "kernel" else 1)
            wider.append(design_from_plain(copied, "wider"))
        elif isinstance(node, dict | list):
            for step, inner in node.items() if isinstance(node, dict) else enumerate(node):
                visit(inner, (*path, step))

    visit(plain, ())
    return wider


@settings(max_examples=25)
@given(designs(largest_modules=2))
def test_a_wider_design_never_costs_less(design: Design) -> None:
    size = (2 * design.stride, 2 * design.stride)
    before = count(design, size).values()
    for wider in widened(design):
        after = count(wider, size).values()
        assert all(after[name] >= before[name] for name in before)
        assert after["params"] > before["params"]
        assert after["macs"] > before["macs"]
        assert after["bytes"] > before["bytes"]


@given(design=designs(), rows=st.integers(1, 4), columns=st.integers(1, 4))
def test_macs_and_activations_grow_with_the_area_and_parameters_do_not(
    design: Design, rows: int, columns: int
) -> None:
    one = count(design, (design.stride, design.stride))
    many = count(design, (rows * design.stride, columns * design.stride))
    assert many.params == one.params
    assert many.macs == rows * columns * one.macs
    assert many.activations == rows * columns * one.activations
    assert many.bytes <= rows * columns * one.bytes


@given(designs())
def test_a_module_more_never_costs_less(design: Design) -> None:
    stage = design.stages[0]
    more = Stage(modules=(*stage.modules, Module(width=1, kernel=1)), transition=stage.transition)
    deeper = Design(stem=design.stem, stages=(more, *design.stages[1:]), decoder=design.decoder)
    size = (design.stride, design.stride)
    before, after = count(design, size).values(), count(deeper, size).values()
    assert all(after[name] > before[name] for name in before)


@given(designs())
def test_shares_lie_where_their_maps_do(design: Design) -> None:
    size = (design.stride, 2 * design.stride)
    for share in count_by_module(design, size):
        height, width = share.size
        assert width == 2 * height
        assert size[0] % height == 0


@pytest.mark.parametrize("size", [(380, 1280), (384, 1281), (0, 0), (-32, 32)])
def test_a_size_that_does_not_divide_is_refused_by_every_way(size: tuple[int, int]) -> None:
    known = prototype("depthnet-nano")
    genome = np.array([known.genome_of(NANO)])
    ways = (
        lambda: count(NANO, size),
        lambda: list(walk(NANO, size)),
        lambda: count_by_module(NANO, size),
        lambda: count_population(genome, known, size),
    )
    for way in ways:
        with pytest.raises(DesignError, match="multiples of 32"):
            way()


# --- populations ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "kind"),
    list(product((0, 1, 1023, 1024, 1025), (np.int64, np.int32, np.uint16))),
)
def test_a_population_of_any_length_and_width_of_integers(number: int, kind: type) -> None:
    known = prototype("depthnet-tiny")
    made = [known.expand({k.name: k.at(i / 9) for k in known.knobs}, i) for i in range(10)]
    expected = [count(known.design(genome), SMALL) for genome in made]
    table = np.array([made[i % 10] for i in range(number)], kind).reshape(
        number, known.layout.length
    )
    costs = count_population(table, known, SMALL)
    assert len(costs.params) == number
    for i in {0, 1, 1022, 1023, 1024} & set(range(number)):
        assert costs.of(i) == expected[i % 10]
    assert all(costs.macs[i] == expected[i % 10].macs for i in range(number))


@pytest.mark.parametrize("shape", [(3, 48), (3, 50), (49,), (1, 3, 49)])
def test_a_population_of_another_family_is_refused(shape: tuple[int, ...]) -> None:
    known = prototype("depthnet-tiny")
    assert known.layout.length == 49
    with pytest.raises(DesignError, match=f"N x 49 genes, got {' x '.join(map(str, shape))}"):
        count_population(np.ones(shape, np.int64), known, SMALL)


def test_the_population_leaves_its_genomes_alone() -> None:
    known = prototype("depthnet-tiny")
    table = np.array([known.genome_of(known.preset)] * 3)
    before = table.copy()
    count_population(table, known, SMALL)
    assert (table == before).all()


def test_a_family_of_other_kernels_and_fewer_stages_is_counted_alike() -> None:
    stage = Stage(modules=(Module(squeeze=3, expand=7, width=5, kernel=5),) * 2, transition=6)
    empty = Stage(modules=(), transition=6)
    up = Upconv(a=Module(expand=9, width=4, kernel=1), b=Module(expand=3, width=5, kernel=7))
    known = {knob.name: knob for knob in prototype("depthnet-tiny").knobs}
    for stages in ((stage,), (stage, empty)):
        own = Design(stem=Stem(width=5, kernel=5), stages=stages, decoder=(up,) * len(stages))
        knobs = tuple(known[name] for name in knob_names(len(stages)))
        mine = Prototype(name="mine", preset=own, knobs=knobs)
        genome = mine.expand({knob.name: knob.at(0.8) for knob in knobs}, 5)
        cost = agree(mine.design(genome), SMALL)
        assert count_population(np.array([genome]), mine, SMALL).of(0) == cost


def test_counts_of_the_widest_ranges_stay_within_64_bits() -> None:
    widest = {
        name: LIMITS[name.partition(".")[0]]
        for name in knob_names(4)
        if not name.startswith("depth")
    }
    known = prototype("depthnet-tiny", widest | {"depth": (1, 128)})
    largest = tuple(gene.high for gene in known.genes)
    size = (2176, 3840)  # a 4K frame
    cost = count(known.design(largest), size)
    assert max(cost.values().values()) < 2**63
    assert count_population(np.array([largest]), known, size).of(0) == cost
