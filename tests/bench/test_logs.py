"""Logs are told apart by content; recorded ones give the known figures; damage is no crash."""

from __future__ import annotations

import dataclasses
import json
from functools import cache
from pathlib import Path
from random import Random

import pytest
from made_up_logs import (
    NVPMODEL_FAN,
    RECORDED,
    TEXTS,
    TRTEXEC_8,
    TX2,
    recorded,
    tegrastats_log,
)

from nano.bench.exports import Profile, Times
from nano.bench.logs import KNOWN, Reading, TrtexecLog, read_content, read_log
from nano.bench.nvpmodel import PowerMode
from nano.bench.summary import TegrastatsLog, summarise
from nano.bench.told import as_text
from nano.errors import InputError

FORMATS = {  # by the begin of the name in TEXTS
    "tegrastats": "tegrastats",
    "trtexec": "trtexec",
    "nvpmodel": "nvpmodel",
    "release": "nv_tegra_release",
    "times": "trtexec --exportTimes",
    "profile": "trtexec --exportProfile",
}


@pytest.mark.parametrize("name", TEXTS)
def test_the_format_is_seen_from_the_content(name: str, tmp_path: Path) -> None:
    path = tmp_path / "no-hint"
    path.write_text(TEXTS[name])
    assert read_log(path)[0] == FORMATS[name.partition("-")[0]]


def test_the_format_with_most_lines_wins() -> None:
    assert read_content((NVPMODEL_FAN + TRTEXEC_8).encode(), "x")[0] == "trtexec"
    assert read_content((NVPMODEL_FAN + f"{TX2}\n" * 9).encode(), "x")[0] == "tegrastats"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig"])
def test_redirections_of_other_systems_are_read(encoding: str) -> None:
    text = "\r\n".join([TX2] * 3)
    assert read_content(text.encode(encoding), "x") == read_content(text.encode(), "x")


@pytest.mark.parametrize(
    "content",
    [b"", b"\n \n", b"hello\n", b"[1, 2]", b"[]", b'[{"a": 1}]', b"{}", b"\xff\xfe", b"["],
)
def test_an_unknown_format_is_one_line_that_lists_the_known(content: bytes) -> None:
    with pytest.raises(InputError) as error:
        read_content(content, "some.log")
    message = str(error.value)
    assert message.startswith("some.log: ")
    assert all(name in message for name in KNOWN)
    assert "\n" not in message


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="none: no such file"):
        read_log(tmp_path / "none")
    with pytest.raises(InputError, match="cannot be read: Is a directory"):
        read_log(tmp_path)


def test_json_that_is_cut_is_named() -> None:
    with pytest.raises(InputError, match=r"^x: not JSON"):
        read_content(TEXTS["times"][:-5].encode(), "x")


def test_options_of_tegrastats_are_refused_for_other_logs() -> None:
    with pytest.raises(InputError, match="is nvpmodel; --interval and --idle are for tegrastats"):
        read_content(NVPMODEL_FAN.encode(), "x", interval_ms=100)


def read(text: str, **options: float) -> TegrastatsLog:
    return summarise(text.splitlines(), "x.log", **options)


def test_a_log_with_timestamps_has_duration_and_energy() -> None:
    log = read(tegrastats_log([10.0 + n for n in range(21)], first_second=7200))
    assert (log.samples, log.seconds) == (21, 20)
    assert log.total is not None
    assert (log.total.mean_w, log.total.peak_w) == (pytest.approx(20), 30)
    assert log.energy is not None
    assert log.energy.joules == pytest.approx(20 * 20)
    assert list(log.rails) == ["VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0"]
    assert log.rails["VIN_SYS_5V0"].mean_w == 2


def test_a_log_without_timestamps_has_neither_unless_the_interval_is_told() -> None:
    text = tegrastats_log([10.0] * 21)
    assert (read(text).seconds, read(text).energy) == (None, None)
    told = read(text, interval_ms=100)
    assert told.seconds == pytest.approx(2)
    assert told.energy is not None
    assert told.energy.joules == pytest.approx(20)


def test_idle_seconds_are_taken_off() -> None:
    text = tegrastats_log([5.0] * 11 + [20.0] * 30, first_second=0)
    energy = read(text, idle_s=10).energy
    assert energy is not None
    assert energy.idle_w == 5
    assert energy.seconds == 30
    assert energy.joules == pytest.approx(29 * 20 + 12.5)
    assert energy.joules_above_idle == pytest.approx(energy.joules - 30 * 5)


def test_idle_without_times_is_refused_with_the_remedy() -> None:
    with pytest.raises(InputError, match=r"^x\.log: --idle needs .*; --interval MS gives times"):
        read(tegrastats_log([5.0] * 50), idle_s=10)
    with pytest.raises(InputError, match=r"^x\.log: --idle 100: the log is 49 s long"):
        read(tegrastats_log([5.0] * 50, first_second=0), idle_s=100)


def test_a_few_samples_have_power_and_no_energy() -> None:
    log = read(tegrastats_log([10.0] * 19, first_second=0))
    assert log.total is not None
    assert log.energy is None


def test_a_cut_last_line_does_not_lower_the_total() -> None:
    text = tegrastats_log([10.0] * 5)
    log = read(text[: text.rindex("VDD_CPU_CV")])
    assert log.total is not None
    assert (log.total.mean_w, log.total.samples) == (10, 4)
    assert log.rails["VDD_GPU_SOC"].samples == 5


@cache
def reading_of(path: Path) -> Reading:
    return read_log(path)[1]


# Watts for nvpmodel ids 0 to 4: the mean sum of each rail's first value. The report published with
# the logs took the last line's running means, and has another number for mode 3 than that line.
XAVIER_W = (32.99, 8.84, 13.49, 17.38, 17.33)


@pytest.mark.parametrize(("mode", "watts"), list(enumerate(XAVIER_W)))
def test_agx_xavier_s_recorded_modes_have_their_known_power(mode: int, watts: float) -> None:
    log = reading_of(recorded(f"tegrastats_agx_xavier_l4t32.4_mode{mode}.log"))
    assert isinstance(log, TegrastatsLog)
    assert log.module == "AGX Xavier"
    assert log.total is not None
    assert log.total.mean_w == pytest.approx(watts, rel=1e-3)
    assert log.total.samples == log.samples
    assert log.seconds is None


def test_every_recorded_log_is_read() -> None:
    paths = sorted(recorded(".").iterdir())
    readings: dict[str, Reading] = {
        path.name: reading_of(path) for path in paths if path.name != "PROVENANCE.md"
    }
    assert len(readings) >= 28
    for name, reading in readings.items():
        if name.startswith("tegrastats"):
            assert isinstance(reading, TegrastatsLog), name
            assert reading.samples >= 18, name
        elif name.endswith("json"):
            assert isinstance(reading, Times | Profile), name
        elif name.startswith("trtexec"):
            assert isinstance(reading, TrtexecLog), name
            (run,) = reading.runs
            told = None if "device_info" in name else "failed" not in name
            assert run.passed == told, name
            assert (run.throughput_qps is None) == (not told), name
        elif name.startswith("nvpmodel_q"):
            assert isinstance(reading, PowerMode), name
            assert reading.name, name
            assert reading.id is not None, name
        elif name.startswith("nvpmodel_set"):
            assert isinstance(reading, PowerMode), name
            assert reading.declined, name


def originals() -> list[bytes]:
    """What is damaged: the formats made up here, and parts of recorded logs where they are."""
    texts = [text.encode() for text in TEXTS.values()]
    paths = sorted(RECORDED.iterdir()) if RECORDED.is_dir() else []
    return texts + [path.read_bytes()[-6000:] for path in paths if path.name != "PROVENANCE.md"]


def damaged(content: bytes, random: Random) -> bytes:
    """Bytes flipped, cut, doubled, moved or blown up, one to six times."""
    for _ in range(random.randint(1, 6)):
        begin = random.randint(0, len(content))
        end = min(len(content), begin + random.choice([1, 3, 20, 300]))
        part = content[begin:end]
        elsewhere = random.randint(0, len(content))
        match random.randrange(8):
            case 0:
                part = bytes(random.randrange(256) for _ in part)
            case 1:
                part = b""
            case 2:
                part = part * random.choice([2, 50])
            case 3:
                part = content[elsewhere : elsewhere + len(part)]
            case 4:
                part = random.choice([b"9" * 5000, b"-", b"1e999", b"NaN", b"\r", b"\x00", b"[{"])
            case 5:
                part = bytes(reversed(part))
            case 6:
                part = part.swapcase()
            case 7:
                end = len(content) if random.random() < 0.2 else end
                part = b"\n"
        content = content[:begin] + part + content[end:]
    return content


def check_damage(seeds: range) -> int:
    """Read that many damaged logs; returns how many were still of a known format."""
    pool = originals()
    known = 0
    for seed in seeds:
        random = Random(seed)
        content = damaged(random.choice(pool), random)
        try:
            name, reading = read_content(content, "damaged.log")
        except InputError as error:
            assert str(error).startswith("damaged.log: "), seed
            continue
        known += 1
        assert as_text(name, reading), seed
        json.dumps(dataclasses.asdict(reading), allow_nan=False)
    return known


def test_damaged_logs_are_read_or_refused() -> None:
    assert check_damage(range(150)) > 75


@pytest.mark.slow
def test_ten_thousand_damaged_logs_are_read_or_refused() -> None:
    assert check_damage(range(1000, 11000)) > 5000
