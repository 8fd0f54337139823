"""Rules for latency, on made-up times."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nano.bench.timing import (
    Plan,
    Repeat,
    Times,
    disturbances,
    drift,
    is_steady,
    repeat_of,
    spread,
    time_runs,
    warm_up,
)

QUIET = repeat_of(Times(ms=(10.0,) * 200, seconds=2.0), steady=True, held_up=0.001, others=0.01)


class MadeUp:
    """A network whose runs take what a series says, and the clock that they move."""

    def __init__(self, ms: Callable[[int], float]) -> None:
        self.now, self.runs, self._ms = 0.0, 0, ms

    def clock(self) -> float:
        return self.now

    def __call__(self) -> None:
        self.now += self._ms(self.runs) / 1000
        self.runs += 1


def changed(**what: Any) -> Repeat:
    return replace(QUIET, **what)


def test_a_cold_network_is_warmed_up_until_it_is_steady() -> None:
    network = MadeUp(lambda run: max(10.0, 100.0 - 5 * run))
    assert warm_up(network, Plan(), network.clock)
    assert network.runs > 18 + 3 * 9  # past the cold runs, and about three equal windows
    times = time_runs(network, Plan(seconds=1.0), network.clock)
    assert set(round(one, 9) for one in times.ms) == {10.0}


def test_what_never_becomes_steady_is_told_and_ends() -> None:
    network = MadeUp(lambda run: 10.0 + run % 100)
    assert not warm_up(network, Plan(most_warm_s=3.0), network.clock)
    assert 3.0 <= network.now < 3.5


@pytest.mark.parametrize(
    ("ms", "runs"),
    [(1.0, 2000), (100.0, 100), (1000.0, 20), (60_000.0, 1)],
    ids=["time decides", "runs decide", "the end decides", "one run at least"],
)
def test_a_plan_is_met_by_time_and_runs_and_ends_in_any_case(ms: float, runs: int) -> None:
    network = MadeUp(lambda run: ms)
    times = time_runs(network, Plan(seconds=2.0, runs=100, most_seconds=20.0), network.clock)
    assert abs(len(times.ms) - runs) <= 1  # a clock in binary fractions
    assert times.seconds == pytest.approx(sum(times.ms) / 1000)


@given(st.lists(st.floats(0.1, 1e4), min_size=1, max_size=60))
def test_percentiles_lie_in_order_within_what_was_seen(ms: list[float]) -> None:
    one = repeat_of(Times(ms=tuple(ms), seconds=1.0), steady=True)
    slack = 1 + 1e-9
    ordered = [min(ms), one.p50_ms, one.p90_ms, one.p99_ms, max(ms)]
    assert all(low <= high * slack for low, high in pairwise(ordered))


@given(st.lists(st.floats(0.1, 1e4), min_size=1, max_size=60), st.floats(0.01, 100))
def test_shares_do_not_depend_on_the_unit(ms: list[float], factor: float) -> None:
    scaled = [factor * one for one in ms]
    assert spread(scaled) == pytest.approx(spread(ms), rel=1e-6, abs=1e-9)
    assert drift(scaled) == pytest.approx(drift(ms), rel=1e-6, abs=1e-9)


def test_steady_means_that_the_last_windows_agree() -> None:
    assert not is_steady([10.0, 10.0])
    assert is_steady([99.0, 10.0, 10.1, 10.0])
    assert not is_steady([10.0, 10.0, 10.0, 10.3])


def test_a_quiet_machine_has_nothing_to_tell() -> None:
    assert disturbances([QUIET, changed(p50_ms=10.2), changed(p50_ms=10.1)]) == ()


def disturbed() -> Iterator[tuple[Repeat, str]]:
    yield changed(p50_ms=10.5), "fresh processes disagree by 4.9%"
    yield changed(steady=False), "1 of 2 processes did not become steady"
    yield changed(drift=-0.05), "drifted by -5.0%"
    yield changed(held_up=0.5), "no core for 50.0% of its time"
    yield changed(others=0.4), "used 40% of all cores"


@pytest.mark.parametrize(("repeat", "told"), list(disturbed()), ids=lambda one: str(one)[:20])
def test_a_machine_that_is_not_quiet_is_told_as_such(repeat: Repeat, told: str) -> None:
    (found,) = disturbances([QUIET, repeat])
    assert told in found


def test_what_the_system_does_not_tell_is_no_disturbance() -> None:
    assert disturbances([changed(held_up=None, others=None)]) == ()
