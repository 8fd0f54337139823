"""Hypothesis strategies that more than one room's tests draw from."""

from __future__ import annotations

from functools import cache
from random import Random

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from nano.design.design import Design, Module, Stage, Stem, Upconv
from nano.design.fastdepth import TIED, FastDepthDesign
from nano.design.fastdepth_prototype import spread_out
from nano.design.genes import Genome
from nano.design.presets import PRESETS, prototype
from nano.design.prototype import Prototype

KERNELS = st.sampled_from((1, 3, 5))


def widths(largest: int = 12) -> SearchStrategy[int]:
    """A number of channels, from one up."""
    return st.integers(min_value=1, max_value=largest)


def modules() -> SearchStrategy[Module]:
    """Any of the three kinds of module: PBEP, EP, plain convolution."""
    return st.one_of(
        st.builds(Module, squeeze=widths(), expand=widths(), width=widths(), kernel=KERNELS),
        st.builds(Module, expand=widths(), width=widths(), kernel=KERNELS),
        st.builds(Module, width=widths(), kernel=KERNELS),
    )


@st.composite
def designs(
    draw: st.DrawFn,
    *,
    smallest_stages: int = 1,
    largest_stages: int = 4,
    largest_modules: int = 3,
) -> Design:
    """Small legal designs: 1 to 4 stages, 0 to 3 modules each, of mixed kinds and kernels.

    A stage without modules is only its 1x1 convolution. Sizes fit when both sides are multiples
    of ``design.stride`` (4 to 32).
    """
    depth = draw(st.integers(min_value=smallest_stages, max_value=largest_stages))
    members = st.lists(modules(), max_size=largest_modules).map(tuple)
    stage = st.builds(Stage, modules=members, transition=widths())
    upconv = st.builds(Upconv, a=modules(), b=modules())
    return Design(
        stem=draw(st.builds(Stem, width=widths(), kernel=st.sampled_from((1, 3, 5, 7)))),
        stages=draw(st.tuples(*[stage] * depth)),
        decoder=draw(st.tuples(*[upconv] * depth)),
    )


@cache
def family(name: str) -> Prototype:
    """A preset's prototype, made once: its genes and layout are cached in it."""
    return prototype(name)


@st.composite
def members(draw: st.DrawFn, names: tuple[str, ...] = PRESETS) -> tuple[Prototype, Genome]:
    """A prototype and the genome of random knobs and seed."""
    known = family(draw(st.sampled_from(names)))
    shares = st.floats(min_value=0, max_value=1)
    knobs = {knob.name: knob.at(draw(shares)) for knob in known.knobs}
    return known, known.expand(knobs, draw(st.integers(0, 2**31 - 1)))


@st.composite
def genomes(draw: st.DrawFn, names: tuple[str, ...] = PRESETS) -> tuple[Prototype, Genome]:
    """A prototype and any genome within its genes' bounds: not one that knobs would make."""
    known = family(draw(st.sampled_from(names)))
    random = Random(draw(st.integers(0, 2**32)))
    return known, known.masked([random.randint(gene.low, gene.high) for gene in known.genes])


def fastdepths(largest: int = 40) -> SearchStrategy[FastDepthDesign]:
    """FastDepths of any widths."""
    genes = st.lists(widths(largest), min_size=len(TIED), max_size=len(TIED))
    return genes.map(lambda own: FastDepthDesign(widths=spread_out(own)))
