"""Numbers are written the same everywhere."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nano.report import numbers

_PREFIXES = {"": 1.0, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (1_746_581, "1.75 M"),
        (4_660_535_040, "4.66 G"),
        (258e9, "258 G"),
        (999, "999"),
        (0, "0"),
        (999_950, "1.00 M"),
        (99_960, "100 k"),
        (61_389, "61.4 k"),
        (None, numbers.UNKNOWN),
    ],
)
def test_counts_have_three_digits_and_a_prefix(number: float | None, text: str) -> None:
    assert numbers.count(number) == text


@given(st.integers(1, 10**14))
def test_a_written_count_reads_back_to_half_a_percent(number: int) -> None:
    figures, _, prefix = numbers.count(number).partition(" ")
    assert float(figures) * _PREFIXES[prefix] == pytest.approx(number, rel=0.0051)
    assert len(figures.replace(".", "")) <= 3


def test_ratios_decibels_and_deviations() -> None:
    assert numbers.ratio(0.8941) == "0.894"
    assert numbers.mean_sd(0.8941, 0.0019) == "0.894 ± 0.002"
    assert numbers.mean_sd(0.8941, None) == "0.894"
    assert numbers.decibels(23.9214) == "23.92 dB"
    assert numbers.decibels(-math.inf) == "-∞ dB"
    assert numbers.signed_decibels(1.344) == "+1.34 dB"
    assert numbers.signed_ratio(-0.0002) == "0.000"
    assert numbers.signed_percent(-0.123) == "-12 %"
    assert numbers.tick(50_000) == "50 k"
    assert numbers.tick(500) == "500"


def test_durations_are_told_in_the_unit_a_person_would_use() -> None:
    told = [numbers.duration(s) for s in (0.01, 3.21, 38, 719, 7501, None)]
    assert told == ["< 0.1 s", "3.2 s", "38 s", "12 min", "2 h 05 min", numbers.UNKNOWN]
