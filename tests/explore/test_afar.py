"""Studies that measure on a device which ssh reaches: the made-up one, by real sessions."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from made_up_board import HASTY
from toy_study import Toy

from nano.bench import afar as reached
from nano.bench import jetson
from nano.bench.demo.device import Made
from nano.bench.demo.server import Demo, Fault, demo
from nano.bench.host import GivenUp
from nano.bench.turns import Turns
from nano.cost.count import count
from nano.design.presets import preset
from nano.errors import DeviceFailed, InputError
from nano.explore.afar import Afar
from nano.explore.gauge import Gauge

SIZE = (32, 96)
TINY = preset("depthnet-tiny")


def never() -> bool:
    return False


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reached, "QUICK", HASTY)


def instrument(folder: Path, **setting: Any) -> Afar:
    usual = Afar(
        host="demo",
        size=SIZE,
        turns=Turns(folder=folder / "turns"),
        power_mode="MAXN",
        precision="float16",
        seconds=0.6,
        repeats=1,
    )
    return replace(usual, **setting)


def through(device: Demo, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let ssh:demo be that server, faults and all."""
    monkeypatch.setattr("nano.bench.demo.server.demo", lambda: _Held(device))


class _Held:
    """A context that is open already."""

    def __init__(self, device: Demo) -> None:
        self.device = device

    def __enter__(self) -> Demo:
        return self.device

    def __exit__(self, *_: object) -> None:
        return


# --- the instrument ------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_design_is_exported_sent_and_measured_there_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with demo() as device:
        through(device, monkeypatch)
        gauge = Gauge(instrument=instrument(tmp_path), cache=tmp_path / "kept", wait_s=0.0)
        one = gauge(TINY, never)
        commands = len(device.commands)
        assert gauge(TINY, never) == one
        assert len(device.commands) == commands + 1  # asked what it is, and no more
    assert (one.key, one.device, one.power_mode) == (TINY.key, "demo", "MAXN")
    assert one.notes[0].startswith("made up")
    assert one.values().keys() == {"latency_ms", "fps", "joules", "watts"}
    assert one.versions["tensorrt"] == "8.5.2"


@pytest.mark.parametrize(
    ("tensorrt", "opset", "stored"),
    [("8.0.1", 13, "float32"), ("8.5.2", 17, "float32"), ("11.0.0", 20, "float16")],
)
def test_the_file_is_of_the_form_that_its_tensorrt_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tensorrt: str, opset: int, stored: str
) -> None:
    with demo(Made(tensorrt=tensorrt, banner="")) as device:
        through(device, monkeypatch)
        with reached.afar("demo") as there:
            file = instrument(tmp_path)._exported(TINY, there.identify())
    assert (file.opset, file.precision, file.size) == (opset, stored, SIZE)
    assert (file.key, file.ours) == (TINY.key, True)


@pytest.mark.slow
def test_another_power_mode_or_tensorrt_is_measured_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = set()
    for made in (Made(), Made(tensorrt="8.6.2", banner=" [TensorRT v8602]")):
        with demo(made) as device:
            through(device, monkeypatch)
            for mode in ("MAXN", "MODE_15W", None):
                one = instrument(tmp_path, power_mode=mode)
                gauge = Gauge(instrument=one, cache=tmp_path, wait_s=0.0)
                places.add(gauge.place(TINY).name)
    assert len(places) == 4  # the mode that it is in is MODE_15W


@pytest.mark.slow
@pytest.mark.parametrize("command", [1, 4], ids=["asking", "sending"])
def test_a_connection_that_is_cut_is_a_device_that_may_come_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: int
) -> None:
    with demo(faults={command: Fault(kind="cut")}) as device:
        through(device, monkeypatch)
        with pytest.raises(DeviceFailed):
            instrument(tmp_path).measure(TINY, never)
        assert instrument(tmp_path).measure(TINY, never).device == "demo"


@pytest.mark.slow
def test_somebody_else_there_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with demo(Made(faults={"tegrastats": "busy"})) as device:
        through(device, monkeypatch)
        with pytest.raises(DeviceFailed, match="is in use"):
            instrument(tmp_path).measure(TINY, never)


@pytest.mark.slow
def test_what_it_can_never_do_ends_a_design_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with demo(Made(faults={"trtexec build": "no implementation of node up_1"})) as device:
        through(device, monkeypatch)
        with pytest.raises(InputError, match="up_1"):
            instrument(tmp_path).measure(TINY, never)
    with demo() as device:
        through(device, monkeypatch)
        with pytest.raises(InputError, match="no power mode 'MAX'; it has: MAXN"):
            instrument(tmp_path, power_mode="MAX").decides(never)


@pytest.mark.slow
def test_who_is_asked_to_stop_leaves_the_device_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = threading.Event()

    def stop() -> bool:
        return asked.is_set()

    with demo() as device:
        through(device, monkeypatch)
        real = jetson._Session.run

        def run(self: jetson._Session, *arguments: Any) -> None:
            asked.set()  # the first step that the runner tells is the last
            real(self, *arguments)

        monkeypatch.setattr(jetson._Session, "run", run)
        with pytest.raises(GivenUp):
            instrument(tmp_path).measure(TINY, stop)
        assert (device.root / "mode").read_text() == "2"
        assert not list(device.root.glob("pinned"))


def test_the_name_of_a_host_is_checked_before_anything_is_asked(tmp_path: Path) -> None:
    instrument(tmp_path).check()
    with pytest.raises(InputError, match="is no host"):
        instrument(tmp_path, host="-oProxyCommand=x").check()


# --- a whole study -------------------------------------------------------------------------------


@pytest.fixture
def afar_study(toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Toy:
    """A toy study with a bound on latency on the made-up device."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    text = toy.study.read_text().replace('params = "<= 4900"', 'latency_ms = "<= 14.3"')
    device = '[device]\nkind = "ssh:demo"\npower_mode = "MAXN"\nprecision = "float16"\n'
    toy.study.write_text(f"{text}\n{device}seconds = 0.6\nrepeats = 1\nwait_minutes = 0\n")
    return toy


@pytest.mark.slow
def test_a_study_measures_on_the_device_and_trains_what_is_fast_there(afar_study: Toy) -> None:
    ended = afar_study("--trials", "4", "--workers", "2")
    assert ended.code in (0, 3), ended.err
    found = afar_study.evaluations()
    assert {e.measurements[-1].device for e in found} == {"demo"}
    slow = [e for e in found if e.measurements[-1].p50_ms > 14.3]
    assert 0 < len(slow) < len(found)
    assert all(e.too_dear and not e.readings and not e.feasible for e in slow)
    assert all(e.readings for e in found if e not in slow)
    by_size = sorted(found, key=lambda e: count(e.design, SIZE).params)
    assert by_size[0].measurements[-1].p50_ms < by_size[-1].measurements[-1].p50_ms


def test_a_device_that_does_not_answer_is_told_before_any_trial(
    afar_study: Toy, monkeypatch: pytest.MonkeyPatch
) -> None:
    with demo(faults={1: Fault(kind="cut")}) as device:
        through(device, monkeypatch)
        ended = afar_study()
    assert ended.code == 2 and "[device]: demo: the connection failed" in ended.err
    assert afar_study.evaluations() == []


@pytest.mark.slow
def test_a_device_that_goes_away_within_a_study_ends_trials_with_the_reason(
    afar_study: Toy, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = {number: Fault(kind="cut") for number in range(4, 400)}
    with demo(faults=gone) as device:
        through(device, monkeypatch)
        ended = afar_study("--workers", "1")
    assert ended.code == 2 and "the first 3 designs all failed" in ended.err
    found = afar_study.evaluations()
    assert found and not any(e.feasible or e.readings or e.measurements for e in found)
    assert all(str(e.reason).startswith("not measured: demo: ") for e in found)
    assert afar_study.calls() == []
