"""python -m nano.bench --read: what it prints and refuses."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from made_up_logs import AGX_XAVIER_NO_ROOT, TEXTS, TRTEXEC_FAILED, tegrastats_log

from nano.bench.__main__ import main
from nano.errors import InputError


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "device.log"


def test_text_has_watts_by_rail_and_in_total(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log.write_text(tegrastats_log([10.0] * 20 + [16.0], first_second=0))
    assert main(["--read", str(log)]) == 0
    words = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["samples", "21"] in words
    assert ["duration", "20", "s"] in words
    assert ["VIN_SYS_5V0", "2.000", "2.000", "21"] in words
    assert ["total", "10.286", "16.000", "21"] in words
    assert ["GPU", "clock", "not", "measured"] in words


def test_json_is_the_reading_with_null_for_what_is_not_measured(
    log: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log.write_text(tegrastats_log([10.0, 20.0]))
    assert main(["--read", str(log), "--json"]) == 0
    plain = json.loads(capsys.readouterr().out)
    assert plain["format"] == "tegrastats"
    assert plain["total"] == {"mean_w": 15.0, "peak_w": 20.0, "samples": 2}
    assert plain["total_of"] == ["VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0"]
    for name in ("seconds", "energy", "gpu_load", "gpu_clock", "hottest_c"):
        assert plain[name] is None


def test_a_log_without_rails_never_says_zero_watts(
    log: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log.write_text(f"{AGX_XAVIER_NO_ROOT}\n" * 30)
    main(["--read", str(log)])
    told = capsys.readouterr().out
    assert "power       not measured" in told
    assert "energy      not measured" in told
    assert " W" not in told


def test_options_give_times_and_idle_power(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log.write_text(tegrastats_log([5.0] * 21 + [20.0] * 40))
    assert main(["--read", str(log), "--interval", "500", "--idle", "10", "--json"]) == 0
    energy = json.loads(capsys.readouterr().out)["energy"]
    assert energy["idle_w"] == 5
    assert energy["seconds"] == 20


@pytest.mark.parametrize("name", TEXTS)
def test_every_format_is_told_as_text_and_as_json(
    name: str, log: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log.write_text(TEXTS[name])
    assert main(["--read", str(log)]) == 0
    text = capsys.readouterr().out
    assert main(["--read", str(log), "--json"]) == 0
    assert text.startswith(f"log of      {json.loads(capsys.readouterr().out)['format']}\n")
    assert "None" not in text


TOLD = {
    "trtexec-7": ["gpu_compute", "2.125", "each counted as 4", "version not told"],
    "trtexec-8": ["TensorRT    8.2.1", "verdict     passed", "13.75", "72.25 queries/s"],
    "trtexec-10": ["FAILED: Error[4]", "Engine set up failed", "p95", "bound by Enqueue"],
    "nvpmodel": ["MODE_30W_ALL", "root only   EMC.MAX_FREQ"],
    "nvpmodel-reboot": ["mode 1 needs a reboot", "has not changed", "power mode  not told"],
    "release": ["32.7.1", "4.6.1"],
    "profile": ["75.0%  Reformatting CopyNode", "2, 100.0% of the time"],
}


@pytest.mark.parametrize("name", TOLD)
def test_text_tells_what_one_asks_of_it(
    name: str, log: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log.write_text(TEXTS[name])
    main(["--read", str(log)])
    told = capsys.readouterr().out
    assert not [words for words in TOLD[name] if words not in told]


def test_a_damaged_log_cannot_steer_the_terminal(
    log: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log.write_text(TRTEXEC_FAILED.replace("Unsupported", "\x1b[2J\x9b5m"))
    main(["--read", str(log)])
    told = capsys.readouterr().out
    assert "[2J" in told
    assert all(char.isprintable() or char == "\n" for char in told)


def test_a_failed_build_has_no_latency_in_its_text(
    log: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log.write_text(TRTEXEC_FAILED)
    main(["--read", str(log)])
    told = capsys.readouterr().out
    assert "latency     not measured" in told
    assert "throughput  not measured" in told


@pytest.mark.parametrize("words", [["--interval", "0"], ["--idle", "-1"], ["--idle", "inf"], []])
def test_wrong_options_are_refused(words: list[str]) -> None:
    with pytest.raises(InputError):
        main([*words, *(["--read", "x"] if words else [])])


def test_an_unknown_file_ends_with_2_and_one_line(log: Path) -> None:
    log.write_text("hello\n")
    done = subprocess.run(
        [sys.executable, "-m", "nano.bench", "--read", str(log)], capture_output=True, text=True
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert "nv_tegra_release" in done.stderr
