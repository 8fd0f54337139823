"""Networks measured on this machine in fresh processes."""

import json
import math
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nano.bench import __main__ as command
from nano.bench import host
from nano.bench.host import GivenUp, measure, measurement
from nano.bench.once import GO, Task
from nano.bench.runtimes import Setting, check
from nano.bench.timing import Plan, Times, repeat_of
from nano.bench.told import measured_here
from nano.errors import DeviceFailed, InputError
from nano.files import from_plain, to_plain
from nano.records import Measurement

HASTE = Plan(window_s=0.01, warm_s=0.0, most_warm_s=0.05, seconds=0.05, runs=3, most_seconds=5.0)
TASK = Task(
    model="depthnet-small",
    size=(32, 64),
    device="cpu",
    runtime="eager",
    precision="float32",
    batch=2,
    threads=1,
    plan=HASTE,
)
FINE = repeat_of(Times(ms=(1.0, 2.0, 3.0), seconds=0.006), steady=True)


def test_the_command_measures_a_network_and_prints_one_measurement(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    quick = ["--size", "32x64", "--threads", "1", "--repeats", "1"]
    monkeypatch.setattr("nano.bench.timing.Plan", lambda **_: HASTE)
    assert command.main(["depthnet-small", "--device", "cpu", *quick, "--json"]) == 0
    one = from_plain(Measurement, json.loads(capsys.readouterr().out), "out")
    assert 0 < one.p50_ms <= one.p90_ms <= one.p99_ms
    assert (one.size, one.runtime, one.batch, one.threads) == ((32, 64), "eager", 1, 1)
    assert one.queries is not None and one.queries >= 3
    assert "torch" in one.versions and "cores" in one.device
    # Energy is a number with its source, or the reason why it is none.
    assert (one.joules is None) == any("energy not measured: " in note for note in one.notes)
    assert (one.joules is None) == (one.energy is None)
    assert any("p99 is of" in note for note in one.notes)
    assert f"{one.p50_ms:.4g}" in measured_here(one)


@pytest.fixture
def process(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], None]:
    """Puts a program in the measuring process's place."""

    def put(program: str) -> None:
        (tmp_path / "program.py").write_text(program)
        python = tmp_path / "python"
        python.write_text(f"#!/bin/sh\nexec {sys.executable} {tmp_path / 'program.py'}\n")
        python.chmod(0o755)
        monkeypatch.setattr(host, "PYTHON", str(python))

    return put


def test_a_process_times_only_in_its_turn(process: Callable[[str], None], tmp_path: Path) -> None:
    went, turns = tmp_path / "went", []
    process(
        "import pathlib; input(); print('ready', flush=True); assert input() == 'go'\n"
        f"pathlib.Path({str(went)!r}).touch(); print({json.dumps(to_plain(FINE))!r})"
    )

    @contextmanager
    def turn() -> Iterator[None]:
        assert not went.exists()
        yield
        turns.append(went.exists())
        went.unlink()

    assert measure(TASK, "key", 2, turn=turn).medians_ms == (2.0, 2.0)
    assert turns == [True, True]


def test_the_percentiles_are_the_medians_of_the_repeats() -> None:
    found = [
        repeat_of(Times(ms=(float(ms),) * 120, seconds=0.12 * ms), steady=True, joules=6.0)
        for ms in (10, 11, 30)
    ]
    one = measurement(TASK, "key", "a device", found)
    assert (one.p50_ms, one.medians_ms) == (11.0, (10.0, 11.0, 30.0))
    assert one.spread["p50"] == pytest.approx(20 / 11, rel=1e-4)
    assert one.fps == pytest.approx(2 * 1000 / 11)
    assert one.joules == pytest.approx(6 / 240)  # per image, two in a batch
    assert one.watts == pytest.approx(6 / (0.12 * 11))
    assert one.disturbed and one.notes == ()
    assert one.values().keys() == {"latency_ms", "fps", "joules", "watts"}
    one = measurement(TASK, "key", "a device", [*found, replace(found[0], joules=None)])
    assert one.joules is None and "joules" not in one.values()


def test_a_network_that_does_not_fit_is_no_fault_of_the_device(
    process: Callable[[str], None],
) -> None:
    process("import sys; input(); print('no such operator', file=sys.stderr); sys.exit(2)")
    with pytest.raises(InputError, match=r"^no such operator$"):
        measure(TASK, "key", 1)


@pytest.mark.parametrize(
    ("program", "told"),
    [
        ("import os; os._exit(9)", "ended with code 9: it said nothing"),
        ("raise RuntimeError('lost')", "ended with code 1: RuntimeError: lost"),
        ("print('hello')", "said 'hello'"),
        ("import time; time.sleep(60)", "no answer within"),
    ],
    ids=["dies", "breaks", "babbles", "hangs"],
)
def test_a_process_that_breaks_is_told_with_its_last_words(
    program: str, told: str, process: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    process(program)
    monkeypatch.setattr(host, "PREPARE_S", 0.5 if "sleep" in program else 60.0)
    with pytest.raises(DeviceFailed, match=told):
        measure(TASK, "key", 1)


@pytest.mark.parametrize("said", ["", f"{GO}\n"], ids=["preparing", "measuring"])
def test_a_process_whose_parent_is_gone_ends_at_once(said: str) -> None:
    """It has no turn any more: whoever measures next must not meet it."""
    endless = replace(TASK, plan=replace(HASTE, seconds=600.0, most_seconds=600.0))
    reads, writes = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-m", "nano.bench.once"],
        stdin=reads,
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(Path(host.__file__).parents[2])},
    )
    os.close(reads)
    with process, os.fdopen(writes, "w") as lines:
        lines.write(f"{json.dumps(to_plain(endless))}\n")
        lines.flush()
        if said:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            lines.write(said)
            lines.flush()
        lines.close()
        assert process.wait(timeout=60) == 0


def test_it_can_be_given_up(process: Callable[[str], None]) -> None:
    process("import time; time.sleep(60)")
    with pytest.raises(GivenUp):
        measure(TASK, "key", 1, stop=lambda: True)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="both need a C++ compiler")
@pytest.mark.parametrize("runtime", ["compile", "native"])
def test_what_is_compiled_is_measured_on_the_cpu(runtime: str) -> None:
    task = replace(TASK, model="depthnet-tiny", runtime=runtime, batch=1)
    found = measure(task, "key", 1)
    assert found.runtime == runtime
    assert 0 < found.p50_ms < math.inf


@pytest.mark.parametrize("runtime", ["compile", "native"])
def test_without_a_compiler_nothing_is_compiled(
    runtime: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Told before anything starts, and not by a device that seems to fail for minutes."""
    monkeypatch.setenv("CXX", "no-such-compiler")
    setting = Setting(device="cpu", precision="float32", batch=1, threads=1)
    with pytest.raises(InputError, match="no-such-compiler is not installed"):
        check(runtime, setting)
    check("eager", setting)


@pytest.mark.parametrize("other", [{"threads": 2}, {"precision": "float16"}], ids=str)
def test_the_kernels_say_what_they_cannot_do(other: dict[str, Any]) -> None:
    setting = Setting(device="cpu", precision="float32", batch=1, threads=1)
    came = " ".join(map(str, *other.items()))
    with pytest.raises(InputError, match=f"float32, threads 1 only, not .*{came}"):
        check("native", replace(setting, **other))


def test_runtimes_say_where_they_run() -> None:
    setting = Setting(device="cpu", precision="float32", batch=1, threads=1)
    check("eager", setting)
    with pytest.raises(InputError, match="runs on cuda only"):
        check("tensorrt", setting)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--device", "cpu"], "needs a DESIGN or MODEL"),
        (["depthnet-small", "--device", "gpu"], "known are cpu, cuda and ssh:HOST"),
        (["depthnet-small", "--device", "cpu", "--precision", "int8"], "float32 or float16"),
        (["depthnet-small", "--device", "cpu", "--power-mode", "MAXN"], "for --device ssh:HOST"),
        (["m.onnx", "--device", "ssh:demo", "--batch", "2"], "--batch is for --device cpu"),
        (["depthnet-small", "--device", "cpu", "--runtime", "tensorrt"], "cuda only"),
        (["depthnet-smal", "--device", "cpu"], "depthnet-small"),
    ],
    ids=lambda one: " ".join(one) if isinstance(one, list) else "",
)
def test_options_that_cannot_be_meant_are_told(arguments: list[str], told: str) -> None:
    with pytest.raises(InputError, match=told):
        command.main(arguments)
