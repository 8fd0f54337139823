"""From what the runner brings home to a measurement."""

from __future__ import annotations

from dataclasses import replace

import pytest
from made_up_board import board
from made_up_logs import AGX_ORIN, AGX_XAVIER_NO_ROOT

from nano.bench.nvpmodel import Mode
from nano.bench.raw import Asked, Raw, RawRepeat, result_of
from nano.errors import InputError

AT = 1000.0  # the device's clock has no meaning
ASKED = Asked(
    key="0123456789ab",
    size=(384, 1280),
    precision="float16",
    mode=Mode(id=3, name="MODE_30W_ALL", gpu_mhz=905),
    warmup_s=1.0,
    no_rails="it tells no rails",
)


def repeat(begin: float, latency_ms: float) -> RawRepeat:
    """Timed from 1 s after its begin on, for 4 s."""
    said = ["Starting inference", "Timing trace has 3 queries over 4 s", "Throughput: 50 qps"]
    said += ["Total Host Walltime: 4 s"]
    lines = [f"[01/01/2000-00:00:00] [I] {text}" for text in said]
    end = "&&&& PASSED TensorRT.trtexec [TensorRT v8201] # trtexec"
    times = tuple(
        {"latencyMs": latency_ms, "computeMs": latency_ms * share} for share in (1.0, 1.0, 1.1)
    )
    return RawRepeat(
        lines=((begin, lines[0]), *((begin + 5, line) for line in (*lines[1:], end))), times=times
    )


def tegrastats(watts: float, mhz: int = 905) -> str:
    total = round(watts * 1000)
    return (
        f"GR3D_FREQ 99%@{mhz} GPU@40C VDD_GPU_SOC {total}mW/1mW VDD_CPU_CV 0mW/1mW "
        "VIN_SYS_5V0 0mW/1mW"
    )


# Idle at 5 W from 0 to 10 s, then busy at 25 W; ten lines a second.
LINES = tuple(
    (AT + tenth / 10, tegrastats(5.0 if tenth <= 100 else 25.0)) for tenth in range(-5, 300)
)
RAW = Raw(
    mode="MODE_30W_ALL",
    unpinned=None,
    idle=(AT, AT + 10),
    repeats=(repeat(AT + 11, 20.0),),
    rails=(),
    milliwatts=(),
    tegrastats=LINES,
    alarms={"before": {}, "after": {}},
)


def notes(raw: Raw) -> str:
    return "\n".join(result_of(raw, board(), ASKED, []).measurement.notes)


def test_energy_is_that_of_the_timed_window_per_image() -> None:
    found = result_of(RAW, board(), ASKED, []).measurement
    assert found.watts == pytest.approx(25)
    assert found.joules == pytest.approx(25 * 4 / 3)  # three queries in 4 s
    assert found.joules_above_idle == pytest.approx(20 * 4 / 3)
    assert (found.p50_ms, found.fps, found.queries) == (20.0, 50, 3)
    assert (found.device, found.power_mode, found.notes) == ("Jetson-AGX", "MODE_30W_ALL", ())


def test_rails_read_directly_are_preferred() -> None:
    rows = tuple((at, 9000.0, 1000.0, 500.0) for at, _ in LINES)
    rails = ("VDD_IN", "VDD_CPU_GPU_CV", "VDD_SOC")  # the first holds the others
    found = result_of(replace(RAW, rails=rails, milliwatts=rows), board(), ASKED, [])
    assert found.rails == ("VDD_IN",)
    assert found.measurement.watts == pytest.approx(9)


def test_without_rails_there_is_a_latency_and_a_reason_but_no_energy() -> None:
    lines = tuple((at, AGX_XAVIER_NO_ROOT) for at, _ in LINES)
    found = result_of(replace(RAW, tegrastats=lines), board(), ASKED, []).measurement
    assert found.p50_ms == 20
    assert (found.watts, found.joules, found.joules_above_idle) == (None, None, None)
    assert found.notes == ("energy not measured: it tells no rails",)


def test_too_few_samples_are_no_energy() -> None:
    assert "2 samples of power within 4 s" in notes(replace(RAW, tegrastats=LINES[::20]))


def test_without_a_begin_there_is_no_window() -> None:
    lines = tuple(line for line in RAW.repeats[0].lines if "Starting" not in line[1])
    raw = replace(RAW, repeats=(replace(RAW.repeats[0], lines=lines),))
    assert "trtexec does not tell when it began" in notes(raw)


def test_lines_that_were_held_back_are_no_window() -> None:
    late = tuple((AT + 16, text) for _, text in RAW.repeats[0].lines)
    raw = replace(RAW, repeats=(replace(RAW.repeats[0], lines=late),))
    assert result_of(raw, board(), ASKED, []).measurement.watts is None
    assert "energy not measured: trtexec's lines came late (buffered)" in notes(raw)


def test_queries_of_the_warm_up_are_left_out() -> None:
    early = ({"latencyMs": 99.0, "computeMs": 99.0},) * 7
    whole = replace(RAW.repeats[0], times=early + RAW.repeats[0].times)
    found = result_of(replace(RAW, repeats=(whole,)), board(), ASKED, []).measurement
    assert (found.p50_ms, found.queries) == (20.0, 3)
    assert found.joules == pytest.approx(25 * 4 / 3)


def test_fewer_queries_than_were_timed_are_refused() -> None:
    cut = replace(RAW.repeats[0], times=RAW.repeats[0].times[:2])
    with pytest.raises(InputError, match="--exportTimes has 2 of the 3 queries that were timed"):
        result_of(replace(RAW, repeats=(cut,)), board(), ASKED, [])


def test_the_middle_repeat_is_reported_and_all_are_told() -> None:
    raw = replace(RAW, repeats=tuple(repeat(AT + 11, ms) for ms in (30.0, 20.0, 25.0)))
    found = result_of(raw, board(), ASKED, [])
    assert (found.measurement.p50_ms, found.measurement.medians_ms) == (25.0, (30.0, 20.0, 25.0))
    assert found.measurement.disturbed == ("medians of the repeats differ: 30, 20, 25 ms",)


def test_a_busy_gpu_below_the_mode_s_cap_is_throttled() -> None:
    slow = tuple((at, tegrastats(25.0, 700)) for at, _ in LINES)
    assert "throttled: the busy GPU ran below 905 MHz in 41 of 41 samples, GPU at 40 C" in notes(
        replace(RAW, tegrastats=slow)
    )


def test_counters_that_rise_and_alarms_that_stand_are_told() -> None:
    before = {"oc1_event_cnt": 4, "curr1_crit_alarm": 1, "cooling/cur_state": 0}
    after = {"oc1_event_cnt": 5, "curr1_crit_alarm": 1, "cooling/cur_state": 0}
    told = notes(replace(RAW, alarms={"before": before, "after": after}))
    assert told == "throttled: oc1_event_cnt rose\nthrottled: over-current, curr1_crit_alarm"


def test_clocks_that_could_not_be_pinned_and_another_mode_are_told() -> None:
    told = notes(replace(RAW, unpinned="sudo: a password\nis required", mode="MAXN"))
    assert "clocks not pinned: sudo: a password is required" in told
    assert "power mode MAXN at the end, MODE_30W_ALL was asked for" in told


def test_lines_of_another_module_s_rails_are_no_total() -> None:
    mixed = (*LINES, (AT + 31, AGX_ORIN), (AT + 32, "VDD_IN 1mW/1mW"))
    assert "energy not measured" in notes(replace(RAW, tegrastats=mixed))


@pytest.mark.parametrize("times", [(), ({"latencyMs": 1.0},) * 3, ({"computeMs": 1e300},) * 3])
def test_times_without_computing_are_refused(times: tuple[dict[str, float], ...]) -> None:
    raw = replace(RAW, repeats=(replace(RAW.repeats[0], times=times),))
    with pytest.raises(InputError, match="trtexec"):
        result_of(raw, board(), ASKED, [])


def test_a_log_that_was_cut_is_refused() -> None:
    raw = replace(RAW, repeats=(replace(RAW.repeats[0], lines=RAW.repeats[0].lines[:-1]),))
    with pytest.raises(InputError, match="no PASSED at its end"):
        result_of(raw, board(), ASKED, [])
