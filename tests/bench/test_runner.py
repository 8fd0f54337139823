"""The file that runs on the device: old Python, rails of both drivers, one at a time."""

from __future__ import annotations

import ast
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from nano.bench import runner
from nano.bench.board import RUNNER


def write(root: Path, files: dict[str, str]) -> str:
    for place, text in files.items():
        path = root / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return f"{root}/"


def test_it_is_one_file_of_python_3_6_with_the_standard_library_alone() -> None:
    tree = ast.parse(RUNNER.read_text(), feature_version=(3, 6))
    named = {a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}
    named |= {str(n.module) for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
    assert {name.partition(".")[0] for name in named} <= sys.stdlib_module_names
    later = {"annotations", "capture_output", "removeprefix", "walrus"}  # from 3.7 on
    words = {n.arg for n in ast.walk(tree) if isinstance(n, ast.keyword)}
    words |= {n.attr for n in ast.walk(tree) if isinstance(n, ast.Attribute)}
    assert not later & words


def test_rails_of_jetpack_5_are_labels_volts_and_amperes(tmp_path: Path) -> None:
    place = "sys/bus/i2c/drivers/ina3221/1-0040/hwmon/hwmon3"
    files = {f"{place}/in{n}_label": f"{name}\n" for n, name in [(1, "VDD_IN"), (2, "NC")]}
    files |= {f"{place}/in1_input": "5000\n", f"{place}/curr1_input": "1200\n"}
    files |= {f"{place}/in2_input": "5000\n", f"{place}/curr2_input": "0\n"}
    files |= {f"{place}/in7_label": "sum of shunt voltages\n"}
    root = write(tmp_path, files)
    assert [name for name, _, _ in runner.rails(root)] == ["VDD_IN"]


def test_rails_of_jetpack_4_count_from_0(tmp_path: Path) -> None:
    place = "sys/bus/i2c/drivers/ina3221x/1-0040/iio:device0"
    files = {}
    for channel, name in enumerate(("GPU", "CPU", "SOC")):
        files |= {
            f"{place}/rail_name_{channel}": f"{name}\n",
            f"{place}/in_voltage{channel}_input": "19000\n",
            f"{place}/in_current{channel}_input": "100\n",
        }
    root = write(tmp_path, files)
    assert [name for name, _, _ in runner.rails(root)] == ["GPU", "CPU", "SOC"]
    sampler = runner.Sampler(root, 0.01)
    sampler.wait()
    sampler.close()
    assert sampler.milliwatts[0][1:] == [1900.0] * 3
    assert sampler.milliwatts[0][0] <= sampler.milliwatts[-1][0]


def test_alarms_are_counters_and_the_states_of_clock_coolers(tmp_path: Path) -> None:
    cooling = "sys/class/thermal/cooling_device"
    root = write(
        tmp_path,
        {
            "sys/class/hwmon/hwmon1/oc1_event_cnt": "3\n",
            f"{cooling}0/type": "thermal-devfreq-0\n",
            f"{cooling}0/cur_state": "2\n",
            f"{cooling}1/type": "pwm-fan\n",
            f"{cooling}1/cur_state": "9\n",
        },
    )
    assert runner.alarms(root) == {
        "sys/class/hwmon/hwmon1/oc1_event_cnt": 3,
        f"{cooling}0/cur_state": 2,
    }


def test_two_cannot_measure_at_once(tmp_path: Path) -> None:
    root = write(tmp_path, {"tmp/README": ""})
    assert runner.holder(root) is None
    with runner.only_one(root):
        assert " since " in str(runner.holder(root))
        with pytest.raises(runner.Failed, match=" since "), runner.only_one(root):
            pass
    assert runner.holder(root) is None


def test_the_lock_can_be_seen_by_others_whatever_the_umask(tmp_path: Path) -> None:
    root = write(tmp_path, {"tmp/README": ""})
    old = os.umask(0o077)
    try:
        with runner.only_one(root):
            assert (tmp_path / "tmp" / "nano-bench.lock").stat().st_mode & 0o777 == 0o644
    finally:
        os.umask(old)


def test_a_tool_that_cannot_be_ended_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(group: int, number: int) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "killpg", refuse)  # as for a child of root's
    code, text = runner.output(["sleep", "0.5"], 0.1)
    assert code is None
    assert "sleep 0.5 did not end within 0.1 s and runs on: it is root's" in text
    for thread in threading.enumerate():  # that which waits for its end
        if thread.daemon:
            thread.join(10)


def test_being_asked_to_stop_does_not_tear_a_tool_and_is_taken_after_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(runner, "ASKED", runner.Asked())
    before = signal.signal(signal.SIGHUP, runner.ASKED.to_stop)
    try:
        command = ["sh", "-c", f"kill -HUP {os.getpid()}; sleep 0.2; echo whole"]
        assert runner.output(command) == (0, "whole\n")
    finally:
        signal.signal(signal.SIGHUP, before)
    with pytest.raises(runner.Stop):
        runner.ASKED.pause(10)


def test_a_link_in_place_of_the_lock_is_not_followed(tmp_path: Path) -> None:
    root = write(tmp_path, {"precious": "kept", "tmp/README": ""})
    (tmp_path / "tmp" / "nano-bench.lock").symlink_to(tmp_path / "precious")
    with pytest.raises(OSError), runner.only_one(root):
        pass
    assert (tmp_path / "precious").read_text() == "kept"


def test_trtexec_of_others_is_counted(tmp_path: Path) -> None:
    root = write(tmp_path, {"proc/12/comm": "trtexec\n", "proc/13/comm": "bash\n"})
    assert runner.others(root) == 1


def test_a_model_that_did_not_arrive_whole_is_refused(tmp_path: Path) -> None:
    root = write(tmp_path, {"tmp/README": "", "model.onnx": "cut"})
    plan = f'{{"root": "{root}", "model": "model.onnx", "sha256": "{"0" * 64}"}}\n'
    with subprocess.Popen(
        [sys.executable, "-I", str(RUNNER), "measure"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=tmp_path,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(plan)
        process.stdin.flush()
        assert "did not arrive as it was sent" in process.stdout.read()
    assert process.returncode == 1
