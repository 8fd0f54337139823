"""What the report says of the generator: foretold against measured, and what parts are worth."""

from __future__ import annotations

from dataclasses import replace

import pytest

from nano.records import Lesson, Lessons
from nano.report.learning import Expectation, calibration, told_lessons


def told(expected: float, measured: float, sd: float = 0.01) -> Expectation:
    return Expectation(number=0, expected=expected, sd=sd, measured=measured)


def test_calibration_counts_the_readings_within_their_intervals() -> None:
    found = calibration([told(0.60, 0.61), told(0.60, 0.63), told(0.60, 0.58, sd=0.02)])
    assert "2 of 3 final readings lie within the 90 % interval" in found
    assert "the mean one +0.007" in found
    assert calibration([]) == ""


@pytest.mark.parametrize(("measured", "inside"), [(0.6164, True), (0.6166, False)])
def test_the_interval_is_that_of_a_normal(measured: float, inside: bool) -> None:
    assert told(0.6, measured).covered == inside


def test_lessons_name_what_brings_most_and_what_hardly_anything() -> None:
    stem = Lesson(part="stem", delta1=0.0001, params=0.02, macs=0.03)
    lessons = Lessons(
        key="k",
        read=30,
        noise=0.02,
        parts=(stem, replace(stem, part="stage 3 squeeze", delta1=0.004, params=0.011)),
    )
    text = told_lessons(lessons)
    assert "most from: stage 3 squeeze +0.0040 for +1.1% parameters" in text
    assert "Hardly anything from: stem" in text
