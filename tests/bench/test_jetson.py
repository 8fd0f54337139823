"""Whole sessions with a made-up Jetson behind a real ssh server, and everything that goes wrong."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from made_up_board import HASTY
from made_up_logs import recorded
from made_up_onnx import write_onnx

from nano.bench import afar, jetson
from nano.bench.__main__ import main
from nano.bench.board import identify
from nano.bench.demo.device import Made
from nano.bench.demo.server import Demo, Fault, demo
from nano.bench.jetson import Plan, measure
from nano.bench.onnx_file import read_onnx
from nano.bench.raw import JetsonResult
from nano.bench.remote import ConnectionLost, Remote, RemoteError
from nano.errors import InputError
from nano.files import from_plain
from nano.records import Measurement
from nano.report.__main__ import main as report

BEFORE = "2"  # MODE_15W
LAST_LOOK = 7
COMMANDS = ["facts", "folder", "runner", "model", "run", "fetch", "facts", "delete"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write_onnx(tmp_path / "m.onnx", metadata={"nano_onnx": "1", "design": "0123456789ab"})


def measured(
    device: Demo,
    path: Path,
    *,
    mode: str | None = "MODE_30W",
    plan: Plan = HASTY,
    tell: Callable[[str], None] = lambda line: None,
) -> JetsonResult:
    return measure(
        device.remote,
        read_onnx(path),
        "m.onnx",
        precision="float16",
        power_mode=mode,
        plan=plan,
        root=f"{device.root}/",
        tell=tell,
    )


def folder_of(device: Demo) -> Path:
    """Where the session kept its files, told by the command that sends the first."""
    (folder,) = re.findall(r"/tmp/nano-bench\.\w+", device.commands[2])
    return Path(folder)


def is_as_before(device: Demo) -> bool:
    """The mode, the clocks, no lock in use, and never rebooted."""
    mode = (device.root / "mode").read_text()
    left = [name for name in ("pinned", "rebooted", "busy") if (device.root / name).exists()]
    return mode == BEFORE and not left


def test_a_session_measures_in_the_mode_and_leaves_nothing(path: Path) -> None:
    told: list[str] = []
    with demo() as device:
        found = measured(device, path, tell=told.append)
        assert is_as_before(device)
        assert not folder_of(device).exists()
        assert len(device.commands) == len(COMMANDS)
    one = found.measurement
    assert (one.key, one.device, one.power_mode) == ("0123456789ab", "demo", "MODE_30W")
    assert one.p50_ms == pytest.approx(12 * 1.4, rel=0.01)
    assert one.watts == pytest.approx(13 + 4, rel=0.05)  # the GPU's rail and the two others
    assert one.joules_above_idle == pytest.approx(10.5 * 0.6 / 36, rel=0.1)
    assert one.notes == ()
    assert found.rails == ("VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0")
    assert [line for line in told if "power mode MODE_30W" in line]


def test_a_cut_while_measuring_is_undone_by_the_device_itself(path: Path) -> None:
    fault = Fault(kind="cut", at=b"measure, 1 of 1")
    with demo(faults={5: fault}) as device:
        with pytest.raises(ConnectionLost, match="the device is as it was before"):
            measured(device, path)
        assert is_as_before(device)
        assert not folder_of(device).exists()


@pytest.mark.slow
def test_the_command_says_that_the_demo_is_made_up_and_table_2_takes_what_it_prints(
    path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(afar, "QUICK", HASTY)
    assert main([str(path), "--device", "ssh:demo", "--json"]) == 0
    out, err = capsys.readouterr()
    one = from_plain(Measurement, json.loads(out), "bench --json")
    assert one.medians_ms == (one.p50_ms,)
    assert one.energy is not None and one.energy.startswith("VDD_GPU_SOC + VDD_CPU_CV + VIN")
    assert (one.device, one.power_mode, one.notes[0]) == (
        "demo",
        "MODE_15W",
        "made up: ssh:demo is no device, and this is no measurement",
    )
    assert "made up: ssh:demo" in err
    kept = tmp_path / "demo.json"
    kept.write_text(out)
    assert report(["table2", str(kept)]) == 0
    assert f"{one.fps:.2f}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--device", "ssh:demo"], "needs a MODEL.onnx"),
        (["m.onnx", "--device", "tpu"], "known are cpu, cuda and ssh:HOST"),
        (["m.onnx", "--read", "log"], "--read takes no MODEL"),
        (["m.onnx", "--device", "ssh:x", "--idle", "3"], "are for --read"),
        (["m.onnx"], "one of the arguments --read --device is required"),
        (["none.onnx", "--device", "ssh:x"], "none.onnx: no such file"),
    ],
)
def test_options_that_do_not_fit_are_refused(arguments: list[str], reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        main(arguments)


@pytest.mark.slow
@pytest.mark.parametrize("number", range(1, len(COMMANDS) + 1), ids=lambda n: COMMANDS[n - 1])
def test_a_cut_at_any_command_is_one_line_and_leaves_the_device_as_it_was(
    path: Path, number: int
) -> None:
    told: list[str] = []
    with demo(faults={number: Fault(kind="cut")}) as device:
        if number == LAST_LOOK:  # the measurement is whole: only told
            assert "did not answer a last look" in measured(device, path).measurement.notes[0]
        elif COMMANDS[number - 1] == "delete":
            measured(device, path, tell=told.append)
            assert "is left there: demo: the connection failed" in told[-1]
            shutil.rmtree(folder_of(device))
        else:
            with pytest.raises(ConnectionLost, match=r"demo: the connection failed: .+") as lost:
                measured(device, path, tell=told.append)
            assert "\n" not in str(lost.value)
        assert is_as_before(device)


@pytest.mark.slow
@pytest.mark.parametrize("step", [b"power mode", b"build the engine", b"idle"])
def test_a_cut_within_the_run_is_undone(path: Path, step: bytes) -> None:
    with demo(faults={5: Fault(kind="cut", at=step)}) as device:
        with pytest.raises(ConnectionLost, match="the device is as it was before"):
            measured(device, path)
        assert is_as_before(device)


@pytest.mark.slow
@pytest.mark.parametrize("number", [2, 4, 5, 6])
def test_a_disk_that_is_full_is_told(path: Path, number: int) -> None:
    full = Fault(kind="fail", says="cat: write error: No space left on device")
    with demo(faults={number: full}) as device:
        with pytest.raises(RemoteError, match="the disk is full there") as refused:
            measured(device, path)
        assert "\n" not in str(refused.value)
        assert is_as_before(device)


@pytest.mark.slow
def test_a_server_that_stops_answering_is_given_up(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jetson, "SHORT_S", 1.0)
    for number in (2, 3):
        with demo(faults={number: Fault(kind="hang")}) as device:
            with pytest.raises(RemoteError, match=r"demo: (mktemp|sh) did not end within"):
                measured(device, path)
            assert is_as_before(device)


BUILD_ERROR = "Error[4]: node up_1: unsupported Resize"
REFUSALS = {
    "reboot": (
        Made(faults={"nvpmodel set": "reboot"}),
        "mode 3 needs a reboot, .* what it was before",
    ),
    "refused": (Made(faults={"nvpmodel set": "refuse"}), "was not taken: Error writing 1 to /sys"),
    "no sudo": (Made(faults={"sudo": "password"}), "power mode needs sudo; .* NOPASSWD: /usr/sbin"),
    "build": (
        Made(faults={"trtexec build": BUILD_ERROR}),
        r"build the engine: Error\[4\]: node up_1",
    ),
    "full": (
        Made(faults={"trtexec build": "writing m.plan: No space left on device"}),
        "build the engine: the disk is full there",
    ),
    "busy": (Made(faults={"tegrastats": "busy"}), "in use: its GPU is at 98 %"),
    "no trtexec": (
        Made(missing=["usr/src/tensorrt/bin/trtexec"]),
        "no /usr/src/tensorrt/bin/trtexec there",
    ),
    "old": (Made(tensorrt="7.1.3", banner=""), "TensorRT 7.1 has no half_pixel Resize 'up_1'"),
    "too old": (Made(tensorrt="6.0.1", banner=""), "known are 7 to 11"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", REFUSALS)
def test_a_refusal_is_one_line_and_leaves_the_device_as_it_was(path: Path, name: str) -> None:
    made, reason = REFUSALS[name]
    with demo(made) as device:
        with pytest.raises(InputError, match=reason) as refused:
            measured(device, path)
        assert "\n" not in str(refused.value)
        assert is_as_before(device)


@pytest.mark.slow
def test_a_mode_that_does_not_exist_lists_those_that_do(path: Path) -> None:
    with demo() as device:
        with pytest.raises(InputError, match="it has: MAXN, MODE_10W, MODE_15W, MODE_30W"):
            measured(device, path, mode="30W")
        with pytest.raises(RemoteError, match="power mode 1 needs a reboot"):
            measured(device, path, mode="MODE_10W")
        assert is_as_before(device)


@pytest.mark.slow
def test_a_build_that_hangs_is_ended_there(path: Path) -> None:
    plan = Plan(**{**vars(HASTY), "build_timeout_s": 1.0})
    with demo() as device:
        trtexec = device.root / "usr/src/tensorrt/bin/trtexec"
        trtexec.write_text('#!/bin/sh\ncase "$1" in --help) exit 0;; *) exec sleep 600;; esac\n')
        with pytest.raises(RemoteError, match="build the engine: trtexec did not end within 1 s"):
            measured(device, path, plan=plan)
        assert is_as_before(device)


@pytest.mark.slow
def test_without_sudo_and_rails_there_is_a_latency_and_a_reason(path: Path) -> None:
    made = Made(faults={"sudo": "password", "tegrastats": "no rails"})
    with demo(made) as device:
        one = measured(device, path, mode=None).measurement
    assert one.p50_ms > 0
    assert (one.watts, one.joules) == (None, None)
    assert any("clocks not pinned: sudo: a password is required" in note for note in one.notes)
    assert any("energy not measured: demo tells no power rails" in note for note in one.notes)


@pytest.mark.slow
def test_mojibake_is_survived(path: Path) -> None:
    with demo(Made(faults={"nvpmodel": "mojibake", "trtexec": "mojibake"})) as device:
        assert measured(device, path).measurement.power_mode == "MODE_30W"
        assert is_as_before(device)


@pytest.mark.slow
def test_throttling_and_other_users_are_told(path: Path) -> None:
    with demo(Made(logins=["ada", "bob"], faults={"tegrastats": "hot"})) as device:
        notes = "\n".join(measured(device, path).measurement.notes)
    assert "logged in there as well: ada pts/0, bob pts/0" in notes
    assert "throttled: the busy GPU ran below 900 MHz" in notes


@pytest.mark.slow
@pytest.mark.parametrize("mode", [0, 2, 3])
def test_recorded_logs_are_replayed_and_add_up(path: Path, mode: int) -> None:
    log = recorded(f"tegrastats_agx_xavier_l4t32.4_mode{mode}.log").read_text()
    busy = log.replace("GR3D_FREQ 99%", "GR3D_FREQ 9%")  # while idle nobody may compute
    with demo(Made(logs={"tegrastats.log": busy})) as device:
        found = measured(device, path, mode=None)
    watts = {0: 32.99, 2: 13.49, 3: 17.38}[mode]
    assert found.rails == ("GPU", "CPU", "SOC", "CV", "VDDRQ", "SYS5V")
    assert found.measurement.watts == pytest.approx(watts, rel=0.1)  # some of its lines, not all


@pytest.mark.slow
@pytest.mark.parametrize(
    ("log", "version", "banner", "fps"),
    [
        ("trtexec_trt8.4.1_x86_fp16.log", "8.4.1", " [TensorRT v8401]", 6106.55),
        ("trtexec_trt10.16.1_x86_onnx_fp32.log", "10.16.1", " [TensorRT v101601] [b11]", 15374.3),
    ],
)
def test_a_recorded_log_of_trtexec_is_replayed(
    path: Path, log: str, version: str, banner: str, fps: float
) -> None:
    plan = Plan(**{**vars(HASTY), "warmup_s": 0.2, "duration_s": 3.0})
    made = Made(tensorrt=version, banner=banner, logs={"trtexec.log": recorded(log).read_text()})
    with demo(made) as device:
        found = measured(device, path, mode=None, plan=plan)
    assert found.measurement.fps == pytest.approx(fps, rel=1e-4)
    assert found.measurement.versions["tensorrt"] == version
    assert found.energy is not None
    assert found.energy.seconds == pytest.approx(3.0, abs=0.001)


@pytest.mark.jetson
def test_a_board_measures_and_is_left_as_it_was(path: Path) -> None:
    host = os.environ.get("NANO_JETSON")
    if host is None:
        pytest.skip("NANO_JETSON names no host that ssh reaches")
    board = identify(Remote(host=host), "/")
    for mode in board.modes[:2]:
        found = measure(
            Remote(host=host),
            read_onnx(path),
            "m.onnx",
            precision="float16",
            power_mode=mode.name,
            plan=Plan(repeats=2, duration_s=5),
            tell=print,
        )
        assert found.measurement.power_mode == mode.name
        assert identify(Remote(host=host), "/").mode == board.mode
        assert found.energy is None or 0.5 < found.energy.mean_w < 150


@pytest.mark.slow
def test_two_sessions_cannot_measure_at_once(path: Path) -> None:
    with demo() as device:
        command = (
            "import fcntl, os, sys; f = open('tmp/nano-bench.lock', 'w'); "
            "f.write('ada since Monday'); f.flush(); fcntl.flock(f, fcntl.LOCK_EX); "
            "print('held', flush=True); sys.stdin.read()"
        )
        with device.remote.talk("python3", "-c", command, timeout_s=60) as talk:
            assert next(talk.lines()) == "held"
            with pytest.raises(RemoteError, match="in use: ada since Monday measures there"):
                measured(device, path)


def wrap(device: Demo, name: str, lines: str) -> str:
    """Put a script before a tool; its last line may call the tool itself."""
    tool = device.root / "bin" / name
    tool.rename(tool.with_suffix(".real"))
    tool.write_text(f"#!/bin/sh\n{lines}\n")
    tool.chmod(0o755)
    return f"{tool}.real"


def faithful(device: Demo) -> None:
    """A change of the mode unpins clocks; what was stored is what is restored."""
    root, bin_ = device.root, device.root / "bin"
    wrap(
        device, "nvpmodel", f'[ "$1" = -m ] && rm -f {root}/pinned; exec {bin_}/nvpmodel.real "$@"'
    )
    wrap(
        device,
        "jetson_clocks",
        f'case "$1" in --store) [ -e {root}/pinned ] && echo p >"$2" || echo u >"$2";; '
        f'--restore) grep -q p "$2" && touch {root}/pinned || rm -f {root}/pinned;; '
        f'"") touch {root}/pinned;; esac',
    )


@pytest.mark.slow
def test_clocks_that_were_pinned_before_are_pinned_after(path: Path) -> None:
    with demo() as device:
        (device.root / "pinned").touch()
        faithful(device)
        measured(device, path)
        assert (device.root / "mode").read_text() == BEFORE
        assert (device.root / "pinned").exists()


@pytest.mark.slow
def test_a_mode_that_cannot_be_read_at_the_end_is_set_back(path: Path) -> None:
    with demo() as device:
        tool = f'{device.root}/bin/nvpmodel.real "$@"'
        flag = f"{device.root}/pinned"  # from when clocks are pinned on
        wrap(device, "nvpmodel", f'[ "$1" = -q ] && [ -e {flag} ] && exit 1; exec {tool}')
        with pytest.raises(RemoteError, match=r"mode back: not set back .*sudo nvpmodel -m 2'"):
            measured(device, path)
        assert is_as_before(device)


@pytest.mark.slow
def test_a_tool_that_is_slow_is_waited_for_when_the_connection_is_cut(path: Path) -> None:
    with demo(faults={5: Fault(kind="cut", at=b"power mode")}) as device:
        wrap(device, "sudo", 'shift; "$@"')  # forks, as sudo does
        tool = f'{device.root}/bin/nvpmodel.real "$@"'
        wrap(device, "nvpmodel", f'[ "$1" = -m ] && sleep 2; exec {tool}')
        with pytest.raises(ConnectionLost, match="the device is as it was before"):
            measured(device, path)
        assert is_as_before(device)


@pytest.mark.slow
@pytest.mark.parametrize("fault", [{}, {5: Fault(kind="cut", at=b"measure, 1")}])
def test_clocks_that_are_not_restored_are_kept_and_told(
    path: Path, fault: dict[int, Fault]
) -> None:
    with demo(faults=fault) as device:
        tool = f'{device.root}/bin/jetson_clocks.real "$@"'
        wrap(device, "jetson_clocks", f'[ "$1" = --restore ] && exit 1; exec {tool}')
        with pytest.raises(RemoteError, match="set it back by hand: ssh -t demo") as left:
            measured(device, path)
        (kept,) = (device.root / "tmp").glob("nano-bench-clocks.*/clocks.conf")
        assert f"'sudo jetson_clocks --restore {kept}'" in str(left.value)


@pytest.mark.slow
def test_a_login_script_that_prints_is_survived(path: Path) -> None:
    with demo() as device:
        (device.root / "bin" / "cat").write_text(
            '#!/bin/sh\n[ "$1" ] && echo Welcome\nexec /bin/cat "$@"\n'
        )
        (device.root / "bin" / "cat").chmod(0o755)
        assert measured(device, path).measurement.p50_ms > 0


@pytest.mark.slow
def test_the_overall_time_limit_and_ctrl_c_look_at_the_device_too(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Plan, "timeout_s", 2.0)
    plan = Plan(**{**vars(HASTY), "idle_s": 30.0})
    with demo() as device:
        with pytest.raises(ConnectionLost, match=r"sh did not end .*; the device is as it was be"):
            measured(device, path, plan=plan)
        assert is_as_before(device)
    told: list[str] = []

    def interrupt(line: str) -> None:
        told.append(line)
        if "idle" in line:
            raise KeyboardInterrupt

    with demo() as device, pytest.raises(KeyboardInterrupt):
        measured(device, path, tell=interrupt)
    assert "interrupted; the device is as it was before" in told[-1]
