"""Lines of tegrastats: every generation's shape, and what damage costs."""

from __future__ import annotations

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_up_logs import AGX_ORIN, AGX_THOR, AGX_XAVIER, GENERATIONS, TK1, TX2, recorded

from nano.bench.tegrastats import Core, Engine, Rail, Sample, parse_line, parse_lines


def parsed(line: str) -> Sample:
    sample = parse_line(line)
    assert sample is not None
    return sample


@pytest.mark.parametrize("line", GENERATIONS.values(), ids=GENERATIONS)
def test_every_generation_s_line_is_read_whole(line: str) -> None:
    sample = parsed(line)
    assert sample.memory_mb["RAM"][0] > 0
    assert sample.cores
    assert set(sample.unread) <= {"DFS(%@MHz):"}  # a heading of 2013 that says nothing


CORES = {
    "tk1": (Core(load=61, mhz=835), Core(load=45, mhz=835)),
    "tx1-l4t28": (Core(load=5, mhz=1734), None, Core(load=7, mhz=1734), Core(load=0, mhz=1734)),
    "agx-orin": (Core(load=3, mhz=729), Core(load=100, mhz=2201)),
}


@pytest.mark.parametrize("name", CORES)
def test_cores_have_load_and_clock_or_are_off(name: str) -> None:
    assert parsed(GENERATIONS[name]).cores == CORES[name]


GPUS = {
    "tx1-l4t28": Engine(load=41, mhz=(998,)),
    "agx-xavier": Engine(load=99, mhz=(1377,)),
    "agx-xavier-no-root": Engine(load=39),
    "agx-orin": Engine(load=97, mhz=(1305, 0)),
    "agx-thor": Engine(load=None, mhz=(1000, 1000, 1000)),
}


@pytest.mark.parametrize("name", GPUS)
def test_gpu_has_what_the_line_tells_of_it(name: str) -> None:
    assert parsed(GENERATIONS[name]).gpu == GPUS[name]


def test_engines_may_be_off_or_tell_only_a_clock() -> None:
    engines = parsed(AGX_ORIN).engines
    assert engines["NVENC"] is None
    assert engines["PVA0"] is None
    assert engines["NVDEC"] == Engine(load=40, mhz=(115,))
    assert engines["VIC"] == Engine(load=None, mhz=(729,))
    assert parsed(TK1).engines["EMC"] == Engine(load=25, mhz=(333,))


def test_a_temperature_and_a_rail_of_one_name_are_not_mixed_up() -> None:
    sample = parsed(AGX_XAVIER)
    assert sample.celsius["GPU"] == 49.5
    assert sample.rails["GPU"] == Rail(now=18102, mean=18095)
    assert "RAM" not in sample.rails


def test_third_values_and_negative_offsets_are_kept() -> None:
    assert parsed(AGX_THOR).rails["VDD_GPU"] == Rail(now=-392, mean=-399, third=-387)


def test_sensors_that_are_off_and_channels_without_a_rail_are_absent() -> None:
    sample = parsed(AGX_ORIN)
    assert sample.celsius == {"cpu": 53.062, "tj": 54.5}
    assert "NC" not in sample.rails
    assert sample.rails["VDDQ_VDD2_1V8AO"].now == 301


def test_stamp_is_month_first() -> None:
    assert parsed(AGX_ORIN).stamp == datetime(2023, 4, 24, 0, 1, 24)
    assert parsed(AGX_ORIN.replace("04-24", "24-04")).stamp is None
    assert parsed(TX2).stamp is None


def test_memory_is_in_megabytes_whatever_the_unit() -> None:
    memory = parsed(TK1).memory_mb
    assert memory["IRAM"] == (36 / 1024, 0.25)
    assert memory["Carveout"] == (12, 12)


def test_an_unknown_field_costs_only_itself() -> None:
    strange = AGX_ORIN.replace("APE", "QPU?0=5 <new> APE")
    sample = parsed(strange)
    assert sample.unread == ("QPU?0=5", "<new>")
    assert sample.rails == parsed(AGX_ORIN).rails


def test_mojibake_in_a_rail_costs_that_rail() -> None:
    sample = parsed(AGX_XAVIER.replace("SOC 4604", "SO\ufffd 46\ufffd4"))
    assert list(sample.rails) == ["GPU", "CPU", "CV", "VDDRQ", "SYS5V"]


@pytest.mark.parametrize("line", GENERATIONS.values(), ids=GENERATIONS)
def test_a_cut_line_never_tells_another_power_or_temperature(line: str) -> None:
    line = line.replace("NC 9mW/2mW ", "")  # a cut makes of it the rail "C"
    whole = parsed(line)
    for place in range(len(line)):
        for cut in filter(None, map(parse_line, (line[:place], line[place:]))):
            for name, rail in cut.rails.items():
                assert any(
                    # A cut may take the front of a name, or a sign; the first value is whole.
                    known.endswith(name) and rail.now == was.now
                    for known, was in whole.rails.items()
                )
            for zone, degrees in cut.celsius.items():
                assert any(
                    known.endswith(zone) and degrees == was for known, was in whole.celsius.items()
                )


@given(st.text())
def test_any_text_is_a_sample_or_none(text: str) -> None:
    assert isinstance(parse_line(text), Sample | None)


def test_lines_without_a_sample_are_counted_and_blank_ones_are_not() -> None:
    lines = ["Tue Jan 26 18:22:31 UTC 2021", TX2, "", "tegrastats: killed", TX2]
    samples, others = parse_lines(lines)
    assert (len(samples), others) == (2, 2)


def test_recorded_lines_of_every_shape_are_read_whole() -> None:
    lines = recorded("tegrastats_single_lines.tsv").read_text().splitlines()
    for label, line in (each.split("\t", 1) for each in lines):
        cut = label == "agx_xavier_mW_fragment"  # begins within its list of cores
        unread = [word for word in parsed(line).unread if word != "DFS(%@MHz):"]
        assert bool(unread) == cut, label
