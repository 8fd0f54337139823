"""Measure a network on a device, or read the logs of devices.

python -m nano.bench MODEL.onnx --device ssh:HOST                        latency and energy there
python -m nano.bench MODEL.onnx --device ssh:HOST --power-mode MODE_30W_ALL --precision float16
python -m nano.bench MODEL.onnx --device ssh:demo                        a made-up device, to look
python -m nano.bench --read tegrastats.log                      watts by rail and in total
python -m nano.bench --read tegrastats.log --interval 1000      of a log without timestamps
python -m nano.bench --read tegrastats.log --idle 10            its first 10 seconds are idle
python -m nano.bench --read trtexec.log --json                  latency, throughput, passed or not

A device is a Jetson that the system's own ssh reaches by a key; docs/jetson.md has the way there.
What a log is, is seen from what is in it. Known: tegrastats; trtexec, its --exportTimes and its
--exportProfile; nvpmodel; nv_tegra_release.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
from collections.abc import Sequence
from pathlib import Path

from nano.console import Parser, run, say
from nano.errors import InputError
from nano.export.forms import PRECISIONS
from nano.files import to_plain

SSH, DEMO = "ssh:", "demo"


def parser() -> Parser:
    """The options."""
    main_parser = Parser(
        prog="python -m nano.bench",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    main_parser.add_argument("model", type=Path, nargs="?", help="an ONNX file to measure")
    what = main_parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--read", type=Path, metavar="LOG", help="a log to read")
    what.add_argument("--device", metavar="ssh:HOST", help="where to measure; ssh:demo is made up")
    main_parser.add_argument("--power-mode", metavar="NAME", help="default: the one it is in")
    main_parser.add_argument(
        "--precision", choices=PRECISIONS, help="of the computing (default: the file's own)"
    )
    main_parser.add_argument(
        "--interval",
        type=duration,
        metavar="MS",
        help="tegrastats' own, for a log whose lines have no timestamps",
    )
    main_parser.add_argument(
        "--idle",
        type=duration,
        metavar="S",
        help="the log's first S seconds are idle: tell the energy of the rest above that",
    )
    main_parser.add_argument("--json", action="store_true", help="print JSON")
    return main_parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command."""
    options = parser().parse_args(arguments)
    if options.device is None:
        if options.model or options.power_mode or options.precision:
            raise InputError("--read takes no MODEL, --power-mode or --precision")
        return read(options)
    if options.interval or options.idle:
        raise InputError("--interval and --idle are for --read")
    if options.model is None:
        raise InputError("--device needs a MODEL.onnx to measure")
    return on_device(options)


def read(options: argparse.Namespace) -> int:
    """Read one log."""
    from nano.bench.logs import read_log
    from nano.bench.told import as_text

    name, reading = read_log(options.read, interval_ms=options.interval, idle_s=options.idle)
    if options.json:
        print(json.dumps({"format": name, **dataclasses.asdict(reading)}, indent=1))
    else:
        print(as_text(name, reading))
    return 0


def on_device(options: argparse.Namespace) -> int:
    """Measure one network."""
    if not options.device.startswith(SSH):
        raise InputError(f"--device {options.device!r}: known is ssh:HOST, and ssh:demo to look")
    from nano.bench.jetson import measure
    from nano.bench.onnx_file import read_onnx
    from nano.bench.remote import Remote
    from nano.bench.told import measured

    model = read_onnx(options.model)
    precision = options.precision or model.precision
    wanted = {"precision": precision, "power_mode": options.power_mode, "tell": say}
    host = options.device.removeprefix(SSH)
    if host == DEMO:
        from nano.bench.demo.measure import measure_demo

        result = measure_demo(model, str(options.model), **wanted)
    else:
        result = measure(Remote(host=host), model, str(options.model), **wanted)
    if options.json:
        plain = to_plain(result)
        print(json.dumps({**plain.pop("measurement"), **plain}, indent=1))
    else:
        print(measured(result))
    return 0


def duration(text: str) -> float:
    """Read a number above 0; for argparse's ``type=``."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise InputError(f"{text!r} is no duration: write a number above 0")
    return value


if __name__ == "__main__":
    run(main)
