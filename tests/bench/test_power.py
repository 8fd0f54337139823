"""Watts and joules: which rails add up, and what the integral is."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_up_logs import AGX_ORIN, GENERATIONS, NANO, tegrastats_log

from nano.bench.power import (
    Energy,
    GpuClock,
    energy,
    gpu_clock,
    hottest,
    module_total,
    power,
    timeline,
    total_mw,
)
from nano.bench.tegrastats import Sample, parse_line, parse_lines
from nano.errors import InputError

TOTALS = {  # milliwatts, added by hand
    "tx2": 3000,
    "nano": 4000,
    "agx-xavier": 18102 + 2455 + 4604 + 0 + 2915 + 4592,
    "xavier-nx": 5542,
    "agx-orin": 3205 + 4405 + 4767,
    "orin-nano-l4t39": 9761,
    "agx-thor": -392 + 3924 + 6500,
}


def samples_of(text: str) -> list[Sample]:
    return parse_lines(text.splitlines())[0]


@pytest.mark.parametrize("name", TOTALS)
def test_rails_that_hang_under_no_other_add_up_to_the_module(name: str) -> None:
    (sample,) = samples_of(GENERATIONS[name])
    rule = module_total(sample.rails)
    assert rule is not None
    assert total_mw(sample, rule) == TOTALS[name]


@pytest.mark.parametrize("name", sorted(set(GENERATIONS) - set(TOTALS)))
def test_without_rails_there_is_no_total(name: str) -> None:
    (sample,) = samples_of(GENERATIONS[name])
    assert module_total(sample.rails) is None


def test_rails_of_two_modules_have_no_total() -> None:
    both = {rail for sample in samples_of(f"{NANO}\n{AGX_ORIN}") for rail in sample.rails}
    assert module_total(both) is None
    assert module_total({"VDD_NEW", "VDD_ELSE"}) is None


def test_a_cut_line_has_no_total_rather_than_a_lower_one() -> None:
    whole = parse_line(AGX_ORIN)
    cut = parse_line(AGX_ORIN.partition("VIN_SYS")[0])
    assert whole is not None
    assert cut is not None
    rule = module_total(whole.rails)
    assert rule is not None
    assert total_mw(cut, rule) is None


def test_power_is_mean_and_peak_in_watts() -> None:
    told = power([1000, 2000, 6000])
    assert (told.mean_w, told.peak_w, told.samples) == (3.0, 6.0, 3)


def test_energy_of_a_ramp_is_its_triangle() -> None:
    seconds = [n / 2 for n in range(41)]  # 20 s, and 3 W more each second
    found = energy(seconds, [3 * at for at in seconds])
    assert found.joules == pytest.approx(3 * 20**2 / 2)
    assert found.mean_w == pytest.approx(30)
    assert found.samples == 41


def test_a_window_is_interpolated_at_both_ends() -> None:
    seconds = list(range(31))
    found = energy(seconds, [3 * at for at in seconds], window=(2.5, 28.25))
    assert found.joules == pytest.approx(3 * (28.25**2 - 2.5**2) / 2)
    assert found.samples == 26


def test_idle_power_is_taken_off_over_the_whole_window() -> None:
    seconds = [n / 2 for n in range(81)]  # 10 s at 5 W, a jump, 30 s at 20 W
    watts = [5.0 if at <= 10 else 20.0 for at in seconds]
    found = energy(seconds, watts, window=(12, 32), idle=(0, 10))
    assert found.idle_w == pytest.approx(5)
    assert found.joules == pytest.approx(20 * 20)
    assert found.joules_above_idle == pytest.approx(20 * (20 - 5))
    assert found.variation == 0


@settings(max_examples=25)
@given(steps=st.lists(st.floats(0.01, 10), min_size=19, max_size=40), watts=st.floats(0.1, 100))
def test_constant_power_gives_power_times_time(steps: list[float], watts: float) -> None:
    seconds = [sum(steps[:n]) for n in range(len(steps) + 1)]
    whole = energy(seconds, [watts] * len(seconds))
    assert whole.joules == pytest.approx(watts * seconds[-1])
    assert whole.variation == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize(
    ("count", "window"), [(19, None), (0, None), (40, (0.0, 10.0)), (40, (5.0, 80.0))]
)
def test_too_few_samples_within_the_window_are_refused(
    count: int, window: tuple[float, float] | None
) -> None:
    with pytest.raises(InputError):
        energy(list(range(count)), [1.0] * count, window=window)


def test_stamps_give_the_time_and_equal_ones_are_spread_over_their_second() -> None:
    texts = tegrastats_log([10.0] * 3, first_second=10).splitlines()
    line = timeline(samples_of("\n".join([*[texts[0]] * 4, texts[1], texts[2]])))
    assert line.seconds == (0.0, 0.25, 0.5, 0.75, 1.0, 2.0)
    assert line.length == 2.0


@pytest.mark.parametrize("jump", [-3000, 5000])
def test_a_clock_that_jumps_leaves_a_hole_of_no_length(jump: int) -> None:
    before = tegrastats_log([10.0] * 5, first_second=4000)
    after = tegrastats_log([10.0] * 5, first_second=4005 + jump)
    line = timeline(samples_of(before + after))
    assert line.holes == 1
    assert line.length == 8.0


def test_the_interval_gives_times_where_no_line_has_a_stamp() -> None:
    assert timeline(samples_of(tegrastats_log([1.0] * 5)), 500).length == 2.0
    assert timeline(samples_of(tegrastats_log([1.0] * 5)), None).length is None
    assert timeline(samples_of(tegrastats_log([1.0] * 5, first_second=0)), 1000).length == 4.0


@settings(deadline=None)
@given(
    phase_ms=st.integers(0, 999), step_ms=st.sampled_from([100, 125, 250]), extra=st.integers(0, 60)
)
def test_seconds_that_are_covered_in_part_are_not_stretched(
    phase_ms: int, step_ms: int, extra: int
) -> None:
    count = 3000 // step_ms + extra
    line = tegrastats_log([10.0], first_second=0).splitlines()[0]
    taken = [phase_ms + step_ms * number for number in range(count)]
    stamped = [
        f"{datetime(2026, 1, 1) + timedelta(seconds=ms // 1000):%m-%d-%Y %H:%M:%S} {line[20:]}"
        for ms in taken
    ]
    for interval in (None, step_ms):
        found = timeline(samples_of("\n".join(stamped)), interval).length
        assert found == pytest.approx((count - 1) * step_ms / 1000, abs=step_ms / 1000 + 1e-9)


def test_a_clock_set_after_two_samples_is_a_hole() -> None:
    early = tegrastats_log([10.0] * 2, first_second=0).splitlines()
    late = tegrastats_log([10.0] * 2, first_second=80_000).splitlines()
    line = timeline(samples_of("\n".join([early[0], early[0], *late])))
    assert line.holes == 1
    assert line.length is not None and line.length < 3


def test_a_moment_is_no_measure_of_being_idle() -> None:
    with pytest.raises(InputError, match=r"2 samples within 1 s of being idle; .* needs 5"):
        energy(list(range(40)), [1.0] * 40, window=(1, 39), idle=(0, 1))


def gpu_lines(*clocks: tuple[int, int]) -> list[Sample]:
    return samples_of("\n".join(f"RAM 1/2MB GR3D_FREQ {load}%@{mhz}" for load, mhz in clocks))


def test_a_busy_gpu_below_its_highest_clock_is_told() -> None:
    samples = gpu_lines((20, 300), (99, 1377), (99, 1350), (98, 900), (99, 1377))
    assert gpu_clock(samples) == GpuClock(highest_mhz=1377, busy=4, slowed=1)
    assert gpu_clock(samples, 2000) == GpuClock(highest_mhz=2000, busy=4, slowed=4)


def test_no_clock_in_the_log_tells_nothing_of_throttling() -> None:
    assert gpu_clock(samples_of("RAM 1/2MB GR3D_FREQ 99%")) is None


def test_the_hottest_zone_is_no_constant_one() -> None:
    assert hottest(samples_of("RAM 1/2MB PMIC@100C CPU@40C GPU@55.5C")) == ("GPU", 55.5)
    assert hottest(samples_of("RAM 1/2MB PMIC@100C")) is None


def test_energy_tells_nothing_of_idle_power_that_was_not_asked_for() -> None:
    found = energy(list(range(20)), [2.0] * 20)
    assert found == Energy(joules=38.0, seconds=19, mean_w=2.0, samples=20, variation=0.0)
