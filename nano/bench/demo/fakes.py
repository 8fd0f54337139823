"""The tools of a made-up Jetson, as programs: every figure they print is invented.

``python fakes.py TOOL ROOT ARGUMENTS`` behaves like TOOL on a device whose files begin at ROOT.
ROOT/device.json holds what the device is; ROOT/faults.json what goes wrong, by tool.
"""

import contextlib
import itertools
import json
import math
import re
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

FULL = "No space left on device"
SLOWER = {"MAXN": 1.0, "MODE_30W": 1.4, "MODE_15W": 1.9, "MODE_10W": 3.0}  # invented
BUSY_MW = {"MAXN": 21000, "MODE_30W": 13000, "MODE_15W": 8000, "MODE_10W": 5000}
IDLE_MW = 2500
LATENCY_MS, BYTE_MS = 12.0, 5e-5  # invented: a larger file takes longer
BEGINS = "Starting inference"
QUERIES = re.compile(r"Timing trace has (\d{1,12}) queries")
STAMP = "[01/01/2000-00:00:00] [I] "
MOJIBAKE = b"\xff\xfe\x80 \xc3\x28\n"
HANG_S = 600.0


class Device:
    """The state that the tools share, in files under the root."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.about = json.loads((root / "device.json").read_text())
        self.faults = json.loads((root / "faults.json").read_text())

    @property
    def mode(self) -> dict[str, Any]:
        """The power mode it is in."""
        number = int((self.root / "mode").read_text())
        return next(mode for mode in self.about["modes"] if mode["id"] == number)

    def log(self, name: str) -> list[str] | None:
        """The lines of a recorded log that is to be replayed; None where there is none."""
        path = self.root / "logs" / name
        return path.read_text(errors="replace").splitlines() if path.exists() else None


def nvpmodel(device: Device, words: Sequence[str]) -> int:
    """Tell the mode, or set it; some of them need a reboot, which it asks for."""
    if words[:1] != ["-m"]:
        print(f"NV Power Mode: {device.mode['name']}\n{device.mode['id']}")
        return 0
    asked = int(words[1])
    fault = device.faults.get("nvpmodel set")
    if fault == "refuse":
        print("NVPM ERROR: Error writing 1 to /sys/devices/made/up: 22")
        return 0  # as the real one may
    if fault == "reboot" or asked in device.about["reboots"]:
        print(f"NVPM WARN: Reboot required for changing to this power mode: {asked}")
        print("NVPM WARN: DO YOU WANT TO REBOOT NOW? enter YES/yes to confirm: ")
        if sys.stdin.readline().strip().lower() == "yes":
            (device.root / "rebooted").touch()
        print("NVPM ERROR: bad input!\nNVPM ERROR: optMask is 1, no request for power mode")
        return 255
    (device.root / "mode").write_text(str(asked))
    return 0


def jetson_clocks(device: Device, words: Sequence[str]) -> int:
    """Pin the clocks, or store and restore them."""
    pinned = device.root / "pinned"
    match words:
        case ["--store", path]:
            Path(path).write_text("made up\n")
        case ["--restore", path]:
            if not Path(path).exists():
                print(f"Error: {path} not found")
                return 1
            pinned.unlink(missing_ok=True)
        case []:
            pinned.touch()
    return 0


def tegrastats(device: Device, words: Sequence[str]) -> int:
    """A line per interval, for ever: idle, or busy while trtexec runs."""
    if words[:1] == ["--help"]:
        print("Usage: tegrastats [-option]")
        return 0
    interval = int(words[1]) / 1000
    recorded = device.log("tegrastats.log")
    due = time.monotonic()
    for number in itertools.count():
        line = recorded[number % len(recorded)] if recorded else _tegrastats_line(device, number)
        print(line, flush=True)
        due += interval
        time.sleep(max(0.0, due - time.monotonic()))
    return 0


def _tegrastats_line(device: Device, number: int) -> str:
    busy = (device.root / "busy").exists()
    name = device.mode["name"]
    wave = round(100 * math.sin(number / 3))
    gpu = (BUSY_MW[name] if busy else IDLE_MW) + wave
    load = 98 if busy or device.faults.get("tegrastats") == "busy" else 1
    clock = device.mode["gpu_mhz"] // (
        2 if device.faults.get("tegrastats") == "hot" and busy else 1
    )
    line = (
        f"RAM 3000/30000MB (lfb 10x4MB) CPU [{load // 4}%@1500,off] EMC_FREQ {load // 2}%@2000 "
        f"GR3D_FREQ {load}%@{clock} GPU@{45 + busy * 10}C tj@50C"
    )
    if device.faults.get("tegrastats") == "no rails":
        return line
    return f"{line} VDD_GPU_SOC {gpu}mW/{gpu}mW VDD_CPU_CV 900mW/900mW VIN_SYS_5V0 3100mW/3100mW"


def trtexec(device: Device, words: Sequence[str]) -> int:
    """Build an engine, or time one; its log is replayed where one was recorded."""
    options = dict(word.lstrip("-").partition("=")[::2] for word in words)
    banner = f"TensorRT.trtexec{device.about['banner']} # trtexec {' '.join(words)}"
    print(f"&&&& RUNNING {banner}")
    if "onnx" in options:
        fault = device.faults.get("trtexec build")
        if fault:
            print(f"{STAMP.replace('[I]', '[E]')}{fault}\n&&&& FAILED {banner}")
            return 1
        Path(options["saveEngine"]).write_text(str(Path(options["onnx"]).stat().st_size))
        print(f"{STAMP}Engine built in 1.5 sec.\n&&&& PASSED {banner}")
    elif "loadEngine" in options:
        _time(device, options)
        print(f"&&&& PASSED {banner}")
    return 0


def _time(device: Device, options: dict[str, str]) -> None:
    seconds = float(options["duration"])
    recorded = [line for line in device.log("trtexec.log") or [] if not line.startswith("&&&&")]
    begin = next((n for n, line in enumerate(recorded, 1) if BEGINS in line), 0)
    taken_ms = LATENCY_MS + BYTE_MS * int(Path(options["loadEngine"]).read_text())
    latency = taken_ms * SLOWER[device.mode["name"]]
    told = [found for found in map(QUERIES.search, recorded) if found]
    count = int(told[-1][1]) if told else round(1000 * seconds / latency)
    times = [latency * (1 + 0.01 * math.sin(n)) for n in range(count)]
    busy = device.root / "busy"
    print("\n".join(recorded[:begin] or [f"{STAMP}{BEGINS}"]), flush=True)
    busy.touch()
    try:
        time.sleep(float(options["warmUp"]) / 1000 + seconds)
    finally:
        busy.unlink(missing_ok=True)
    if recorded:
        print("\n".join(recorded[begin:]))
    else:
        print(f"{STAMP}Timing trace has {count} queries over {seconds:g} s")
        print(f"{STAMP}Throughput: {count / seconds:g} qps")
        print(f"{STAMP}Total Host Walltime: {seconds:g} s")
    Path(options["exportTimes"]).write_text(
        json.dumps([{"latencyMs": each, "computeMs": each} for each in times])
    )


TOOLS: dict[str, Callable[[Device, Sequence[str]], int]] = {
    "nvpmodel": nvpmodel,
    "jetson_clocks": jetson_clocks,
    "tegrastats": tegrastats,
    "trtexec": trtexec,
}


def main(tool: str, root: str, *words: str) -> int:
    """Be the tool: with its fault first, where it has one for all it does."""
    device = Device(Path(root))
    match device.faults.get(tool):
        case "hang":
            time.sleep(HANG_S)
        case "mojibake":
            sys.stdout.buffer.write(MOJIBAKE)
            sys.stdout.buffer.flush()
        case "full":
            print(f"{tool}: {FULL}", file=sys.stderr)
            return 1
    return TOOLS[tool](device, list(words))


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):
        sys.exit(main(*sys.argv[1:]))
