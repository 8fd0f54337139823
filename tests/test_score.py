from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from nano.cost.count import Cost
from nano.errors import StudyError
from nano.score import (
    ACCURACY_FORMS,
    AT_LEAST,
    REQUIRABLE,
    Requirement,
    Requirements,
    Utility,
    netscore,
    parse_requirement,
    shortened,
)


def cost_of(params: float, macs: float) -> Cost:
    return Cost(
        params=round(params),
        params_with_statistics=round(params),
        macs=round(macs),
        activations=1,
        bytes=1,
    )


# --- NetScore ------------------------------------------------------------------------------------

# The definition (Wong 2018) applied to commonly quoted figures: accuracy in percent, millions of
# parameters, billions of multiply-accumulates, decibels.
QUOTED = {
    "AlexNet": (57.2, 61, 0.72, 53.87),
    "VGG-16": (71.5, 138, 15.5, 40.87),
    "ResNet-50": (75.3, 25.6, 3.86, 55.12),
    "MobileNet-v1": (70.6, 4.2, 0.569, 70.17),
    "SqueezeNet-1.1": (57.5, 1.24, 0.35, 74.01),
}


@pytest.mark.parametrize("name", QUOTED)
def test_netscore_of_known_networks(name: str) -> None:
    accuracy, millions, billions, expected = QUOTED[name]
    found = netscore(accuracy, millions * 1e6, billions * 1e9)
    assert found == pytest.approx(expected, abs=0.005)


def test_netscore_is_in_decibels_of_base_ten() -> None:
    accuracy, millions, billions, expected = QUOTED["ResNet-50"]
    natural = 20 * math.log(accuracy**2 / (millions**0.5 * billions**0.5))
    assert abs(natural - expected) > 50
    assert netscore(100, 1e6, 1e9) == 80  # 20 log10(100^2)


def test_twice_the_parameters_cost_three_decibels() -> None:
    once, twice = (netscore(90, params, 1e9) for params in (1e6, 2e6))
    assert once - twice == pytest.approx(3.01, abs=0.005)
    once, twice = (netscore(90, 1e6, macs) for macs in (1e9, 2e9))
    assert once - twice == pytest.approx(3.01, abs=0.005)


def test_the_papers_weights_make_accuracy_cheap() -> None:
    paper = Utility(accuracy="d1")
    small, half = cost_of(2e6, 4e9), cost_of(1e6, 4e9)
    assert paper.score(0.9, 0.1, half) - paper.score(0.9, 0.1, small) == pytest.approx(
        0.90, abs=0.005
    )
    assert paper.score(0.90, 0.1, half) - paper.score(0.89, 0.1, half) == pytest.approx(
        0.068, abs=0.0005
    )


# delta1, AbsRel, parameters, multiply-accumulates of the networks in DepthNet Nano's Table 1.
TABLE_1 = {
    "DORN": (0.932, 0.072, 99.8e6, 258e9),
    "DenseDepth": (0.886, 0.093, 42.8e6, 196e9),
    "Nano": (0.894, 0.103, 1.75e6, 4.66e9),
}
SCORES = {
    "d1": (14.34, 15.49, 24.58),
    "d1*(1-abs_rel)": (13.89, 14.90, 23.92),
    "d1-abs_rel": (13.85, 14.82, 23.84),
    "1-abs_rel": (14.31, 15.64, 24.61),
    "mean": (14.33, 15.56, 24.60),
    "harmonic": (14.33, 15.56, 24.60),
    "geometric": (14.33, 15.56, 24.60),
    "d1/abs_rel": (2.34, 1.93, 10.41),
}


@pytest.mark.parametrize("form", ACCURACY_FORMS)
def test_scores_of_table_1_for_every_form_of_accuracy(form: str) -> None:
    utility = Utility(accuracy=form)
    found = [utility.score(d1, rel, cost_of(p, m)) for d1, rel, p, m in TABLE_1.values()]
    assert found == pytest.approx(SCORES[form], abs=0.01)


def test_the_default_utility_is_the_papers_with_the_bounded_form() -> None:
    assert Utility() == Utility(kappa=0.7, beta=0.15, gamma=0.15, accuracy="d1*(1-abs_rel)")
    told = Utility().describe()
    assert told == (
        "20 log10(a^0.7 / (p^0.15 m^0.15)) dB, a = d1*(1-abs_rel) in percent, p in millions,"
        " m in GMACs"
    )


FRACTIONS = st.floats(0, 1)


@given(form=st.sampled_from(list(ACCURACY_FORMS)), d1=FRACTIONS, rel=st.floats(0, 50))
@example(form="harmonic", d1=0.0, rel=1.0)  # these three divided by zero
@example(form="harmonic", d1=0.5, rel=1.5)
@example(form="d1/abs_rel", d1=0.5, rel=0.0)
def test_any_accuracy_has_a_score_that_is_a_number_or_minus_infinity(
    form: str, d1: float, rel: float
) -> None:
    score = Utility(accuracy=form).score(d1, rel, cost_of(1e6, 1e9))
    assert score == -math.inf or math.isfinite(score)


@given(
    form=st.sampled_from(list(ACCURACY_FORMS)),
    d1=FRACTIONS,
    rel=st.floats(0, 50),
    better=FRACTIONS,
    less=FRACTIONS,
)
def test_a_better_accuracy_never_scores_less(
    form: str, d1: float, rel: float, better: float, less: float
) -> None:
    utility, cost = Utility(accuracy=form), cost_of(1e6, 1e9)
    score = utility.score(d1, rel, cost)
    best = utility.score(d1 + (1 - d1) * better, rel * less, cost)
    assert best >= score or best == pytest.approx(score, abs=1e-9)


@given(
    d1=st.floats(0.01, 1),
    rel=st.floats(0, 0.99),
    params=st.integers(1, 10**9),
    macs=st.integers(1, 10**12),
    more=st.integers(2, 10),
)
def test_a_dearer_network_scores_less(
    d1: float, rel: float, params: int, macs: int, more: int
) -> None:
    utility = Utility()
    score = utility.score(d1, rel, cost_of(params, macs))
    assert utility.score(d1, rel, cost_of(more * params, macs)) < score
    assert utility.score(d1, rel, cost_of(params, more * macs)) < score


@pytest.mark.parametrize("form", ACCURACY_FORMS)
def test_what_is_never_right_scores_minus_infinity(form: str) -> None:
    if form not in {"1-abs_rel", "mean"}:  # these credit a small error alone
        assert Utility(accuracy=form).score(0.0, 0.5, cost_of(1e6, 1e9)) == -math.inf
    if form not in {"d1", "d1/abs_rel"}:  # these ignore, or only divide by, an error beyond 100 %
        assert Utility(accuracy=form).score(0.5, 1.5, cost_of(1e6, 1e9)) == -math.inf


# --- requirements: reading -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text", "bound", "safety"),
    [
        ("delta1", ">= 0.89", 0.89, 0),
        ("delta1", ">=.89", 0.89, 0),
        ("delta1", ">= 1", 1, 0),
        ("delta1", ">= 0.89 + 0.005", 0.89, 0.005),
        ("delta1", ">=0.89+0.005", 0.89, 0.005),
        ("delta1", ">= 0.89 + 5e-3", 0.89, 0.005),
        ("delta1", ">= 0.89 + 0", 0.89, 0),
        ("params", "<= 2M", 2_000_000, 0),
        ("params", "<=2000000", 2_000_000, 0),
        ("params", "<= 2e6", 2_000_000, 0),
        ("params", "\t<=  2 M \n", 2_000_000, 0),
        ("params", "<= 2000k", 2_000_000, 0),
        ("params", "<= 2000K", 2_000_000, 0),
        ("params", "<= 2M - 100k", 2_000_000, 100_000),
        ("params", "<= 1.1M", 1_100_000, 0),
        ("params", "<= 2.3M", 2_300_000, 0),
        ("macs", "<= 4.66G", 4_660_000_000, 0),
        ("macs", "<= 4.66 G - .5G", 4_660_000_000, 500_000_000),
        ("bytes", "<= 0.5G", 500_000_000, 0),
        ("latency_ms", "<= 30", 30, 0),
        ("joules", "<= 0.25", 0.25, 0),
        ("fps", ">= 30 + 2.5", 30, 2.5),
        ("abs_rel", "<= 0.11 - 0.002", 0.11, 0.002),
    ],
)
def test_bounds_as_people_write_them(name: str, text: str, bound: float, safety: float) -> None:
    assert parse_requirement(name, text) == Requirement(
        name=name, at_least=name in AT_LEAST, bound=bound, safety=safety
    )


@given(st.integers(1, 99_999))
def test_a_cap_in_millions_admits_exactly_that_many(hundredths: int) -> None:
    params = hundredths * 10_000
    cap = parse_requirement("params", f"<= {hundredths / 100}M")
    assert cap.margin(params) <= 0 < cap.margin(params + 1)


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("delta1", "0.89", 'not a bound; write for example ">= 0.89"'),
        ("delta1", "", 'not a bound; write for example ">= 0.89"'),
        ("delta1", "> 0.89", 'not a bound; write for example ">= 0.89"'),
        ("delta1", "=> 0.89", "not a bound"),
        ("delta1", ">= 89%", "not a bound"),
        ("delta1", ">= 0,89", "not a bound"),
        ("delta1", ">= nan", "not a bound"),
        ("delta1", ">= inf", "not a bound"),
        ("delta1", ">= -0.5", "not a bound"),
        ("delta1", ">= 0.8 0.9", "not a bound"),
        ("delta1", ">= ٣", "not a bound"),
        ("delta1", "<= 0.89", 'delta1 is bounded with >=, for example ">= 0.89"'),
        ("delta1", ">= 89", 'a fraction between 0 and 1; write ">= 0.89"'),
        ("delta1", ">= 0", "a fraction between 0 and 1"),
        ("delta1", ">= 0.9 + 0.2", "a fraction between 0 and 1"),
        ("delta1", ">= 0.89 - 0.005", "a safety makes the bound harder; use +"),
        ("params", "<= 2M + 1k", "a safety makes the bound harder; use -"),
        ("params", ">= 2M", 'params is bounded with <=, for example "<= 2M"'),
        ("params", "<= 2m", 'not a bound; write for example "<= 2M"'),
        ("params", "<= 2,000,000", 'not a bound; write for example "<= 2M"'),
        ("params", "<= 0", "not a bound above zero"),
        ("params", "<= 1e-999", "not a bound above zero"),
        ("params", "<= 2M - 2M", "not a bound above zero and its safety"),
        ("params", "<= 2M - 3M", "not a bound above zero and its safety"),
        ("macs", "<= 1e999", 'not a bound above zero and its safety; write "<= 4.66G"'),
        ("macs", f"<= {'9' * 400}", "not a bound above zero"),
        ("latency_ms", "30 ms", 'not a bound; write for example "<= 30"'),
        ("prams", "<= 2M", 'prams: unknown; did you mean "params"'),
        ("accuracy", ">= 0.9", "accuracy: unknown; known: delta1"),
        ("", ">= 0.9", "unknown; known"),
    ],
)
def test_nonsense_is_refused_with_what_would_be_right(name: str, text: str, told: str) -> None:
    with pytest.raises(StudyError) as refused:
        parse_requirement(name, text)
    assert told in str(refused.value)
    assert f"[require] {name}" in str(refused.value)


def test_a_fraction_slightly_above_1_is_not_taken_for_percent() -> None:
    with pytest.raises(StudyError, match=r"a fraction between 0 and 1$"):
        parse_requirement("delta1", ">= 1.2")


NAMES = st.sampled_from(REQUIRABLE)
NEARLY = st.text(alphabet="<>= +-.eE0189kKMG\t_x٣", max_size=24)


@settings(max_examples=300)
@given(name=NAMES | st.text(max_size=8), text=NEARLY | st.text(max_size=12))
def test_any_text_is_a_bound_or_a_study_error(name: str, text: str) -> None:
    try:
        found = parse_requirement(name, text)
    except StudyError as refused:
        assert "[require]" in str(refused)
        return
    assert 0 <= found.safety < found.bound < math.inf
    assert found.margin(found.bound) == 0


@given(name=NAMES)
def test_every_example_in_a_message_is_itself_a_bound(name: str) -> None:
    with pytest.raises(StudyError) as refused:
        parse_requirement(name, "nonsense")
    example = str(refused.value).rpartition('write for example "')[2].rstrip('"')
    assert parse_requirement(name, example).name == name


@st.composite
def requirements(draw: st.DrawFn) -> Requirement:
    name = draw(NAMES)
    fraction = name.startswith("delta")
    bound = draw(st.floats(1e-6, 1 if fraction else 1e15))
    room = min(bound, 1 - bound) if fraction else bound
    share = draw(st.just(0.0) | st.floats(1e-6, 0.9))
    safety = share * room if room > 1e-6 else 0.0
    return Requirement(name=name, at_least=name in AT_LEAST, bound=bound, safety=safety)


@settings(max_examples=300)
@given(requirements())
def test_what_is_described_reads_back_to_the_last_bit(requirement: Requirement) -> None:
    name, _, text = requirement.describe().partition(" ")
    assert parse_requirement(name, text) == requirement


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (2e6, "2M"),
        (2, "2"),
        (4.66e9, "4.66G"),
        (0.89, "0.89"),
        (999.5, "999.5"),
        (1000, "1k"),
        (1_234_567, "1.234567M"),
        (0.00001, "0.00001"),
        (2e12, "2000G"),
        (1_999_999_999, "1.999999999G"),
    ],
)
def test_numbers_are_shown_as_people_write_them(number: float, text: str) -> None:
    assert shortened(number) == text


# --- requirements: judging -----------------------------------------------------------------------

ASKED = Requirements.parse({"delta1": ">= 0.89 + 0.005", "params": "<= 2M - 0.1M", "macs": "<= 5G"})


def test_margins_are_below_zero_when_met_and_above_when_not() -> None:
    met = ASKED.margins({"delta1": 0.9, "params": 1_000_000, "macs": 5e9, "rmse": 3.0})
    assert met == pytest.approx({"delta1": -0.01, "params": -0.5, "macs": 0})
    missed = ASKED.margins({"delta1": 0.8, "params": 3_000_000, "macs": 5.5e9})
    assert missed == pytest.approx({"delta1": 0.09, "params": 0.5, "macs": 0.1})


@pytest.mark.parametrize(
    ("values", "met", "safely"),
    [
        ({"delta1": 0.9, "params": 1.5e6, "macs": 4e9}, True, True),
        ({"delta1": 0.892, "params": 1.5e6, "macs": 4e9}, True, False),
        ({"delta1": 0.9, "params": 1.95e6, "macs": 4e9}, True, False),
        ({"delta1": 0.9, "params": 1.9e6, "macs": 5e9}, True, True),
        ({"delta1": 0.89, "params": 2e6, "macs": 5e9}, True, False),
        ({"delta1": 0.8899, "params": 1e6, "macs": 1e9}, False, False),
        ({"delta1": 0.9, "params": 2_000_001, "macs": 1e9}, False, False),
        ({"delta1": 0.9, "params": 1e6}, False, False),  # nobody knows its MACs
        ({}, False, False),
        ({"delta1": float("nan"), "params": 1e6, "macs": 1e9}, False, False),
        ({"delta1": 0.9, "params": 1e6, "macs": float("inf")}, False, False),
    ],
)
def test_met_means_every_bound_and_with_safety_a_little_more(
    values: dict[str, float], met: bool, safely: bool
) -> None:
    margins = ASKED.margins(values)
    assert ASKED.met(margins) is met
    assert ASKED.met(margins, with_safety=True) is safely


@given(requirements(), st.floats(0, 1e16))
def test_a_margin_has_the_sign_of_what_is_missing(requirement: Requirement, value: float) -> None:
    reached = value >= requirement.bound if requirement.at_least else value <= requirement.bound
    assert (requirement.margin(value) <= 0) is reached


@given(requirements())
def test_what_meets_a_bound_with_safety_meets_it_without(requirement: Requirement) -> None:
    asked = Requirements(items=(requirement,))
    # Far enough from rounding, and still above zero.
    step = (1.001 if requirement.at_least else -1.001) * requirement.safety
    margins = asked.margins({requirement.name: requirement.bound + step})
    assert asked.met(margins, with_safety=True)
    assert asked.met(margins)
    bare = asked.margins({requirement.name: requirement.bound})
    assert asked.met(bare)
    assert asked.met(bare, with_safety=True) is (requirement.safety == 0)


def test_nothing_asked_is_always_met() -> None:
    assert Requirements(items=()).met({})
    assert Requirements(items=()).describe() == "none"


def test_counted_requirements_are_those_that_need_no_training() -> None:
    assert [item.name for item in ASKED.counted.items] == ["params", "macs"]
    assert ASKED.get("macs") == parse_requirement("macs", "<= 5G")
    assert ASKED.get("rmse") is None
    assert ASKED.describe() == "delta1 >= 0.89 + 0.005, params <= 2M - 100k, macs <= 5G"


def test_a_requirement_is_a_value() -> None:
    one = parse_requirement("params", "<= 2M")
    assert one == parse_requirement("params", "<= 2000k")
    assert replace(one, bound=3e6) != one
