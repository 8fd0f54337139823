"""Measure a network on a device, or read the logs of devices.

python -m nano.bench depthnet-small --device cpu --threads 1             latency on this machine
python -m nano.bench RUN/best --device cpu --runtime onnxruntime --json  as one Measurement
python -m nano.bench RUN/best --device cuda --runtime compile --precision float16 --batch 8
python -m nano.bench MODEL.onnx --device ssh:HOST                        latency and energy there
python -m nano.bench MODEL.onnx --device ssh:HOST --power-mode MODE_30W_ALL --precision float16
python -m nano.bench MODEL.onnx --device ssh:demo                        a made-up device, to look
python -m nano.bench --read tegrastats.log                      watts by rail and in total
python -m nano.bench --read tegrastats.log --interval 1000      of a log without timestamps
python -m nano.bench --read tegrastats.log --idle 10            its first 10 seconds are idle
python -m nano.bench --read trtexec.log --json                  latency, throughput, passed or not

cpu and cuda are this machine: every repeat is a fresh process that warms up until it is steady;
docs/measuring.md tells how. ssh:HOST is a Jetson that the system's own ssh reaches by a key;
docs/jetson.md has the way there.
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

from nano.console import Parser, parse_size, positive, run, say
from nano.errors import InputError
from nano.export.forms import PRECISIONS
from nano.files import to_plain

HERE, HERE_PRECISIONS = ("cpu", "cuda"), PRECISIONS[:2]
RUNTIMES = ("eager", "compile", "native", "onnxruntime", "tensorrt")
SSH = "ssh:"
REPEATS, SECONDS = 3, 5.0


def parser() -> Parser:
    """The options."""
    main_parser = Parser(
        prog="python -m nano.bench",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    main_parser.add_argument(
        "model", nargs="?", help="DESIGN or MODEL to measure here; an ONNX file for ssh:HOST"
    )
    what = main_parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--read", type=Path, metavar="LOG", help="a log to read")
    what.add_argument(
        "--device", metavar="cpu|cuda|ssh:HOST", help="where to measure; ssh:demo is made up"
    )
    add_here(main_parser)
    main_parser.add_argument("--power-mode", metavar="NAME", help="default: the one it is in")
    main_parser.add_argument(
        "--precision",
        choices=PRECISIONS,
        help="of the computing (default: float32; by ssh the file's own)",
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


def add_here(main_parser: Parser) -> None:
    """The options for measuring on this machine."""
    main_parser.add_argument(
        "--runtime", choices=RUNTIMES, help="cpu, cuda: what runs it (default: eager)"
    )
    main_parser.add_argument(
        "--size", type=parse_size, metavar="HxW", help="of the input (default: the model's own)"
    )
    main_parser.add_argument(
        "--batch", type=positive, metavar="N", help="images at a time (default: 1)"
    )
    main_parser.add_argument(
        "--threads", type=positive, metavar="N", help="of the CPU (default: its cores)"
    )
    main_parser.add_argument(
        "--repeats", type=positive, metavar="N", help=f"fresh processes (default: {REPEATS})"
    )
    main_parser.add_argument(
        "--seconds",
        type=duration,
        metavar="S",
        help=f"each of them times for at least so long, and 100 runs (default: {SECONDS:g})",
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command."""
    options = parser().parse_args(arguments)
    if options.device is None:
        if options.model or options.power_mode or options.precision:
            raise InputError("--read takes no MODEL, --power-mode or --precision")
        only_here(options)
        return read(options)
    if options.interval or options.idle:
        raise InputError("--interval and --idle are for --read")
    if options.device in HERE:
        if options.model is None:
            raise InputError(f"--device {options.device} needs a DESIGN or MODEL to measure")
        return here(options)
    only_here(options)
    if options.model is None:
        raise InputError("--device needs a MODEL.onnx to measure")
    return on_device(options)


def only_here(options: argparse.Namespace) -> None:
    """Refuse what would be without effect."""
    for name in ("runtime", "size", "batch", "threads", "repeats", "seconds"):
        if getattr(options, name) is not None:
            raise InputError(f"--{name} is for --device cpu and cuda")


def here(options: argparse.Namespace) -> int:
    """Measure one network on this machine."""
    from functools import partial

    from nano.bench.host import measure, never
    from nano.bench.once import Task
    from nano.bench.runtimes import Setting, check
    from nano.bench.timing import Plan
    from nano.bench.told import measured_here
    from nano.bench.turns import turns_here
    from nano.data.cache import default_cache
    from nano.machine import cores

    if options.power_mode is not None:
        raise InputError("--power-mode is for --device ssh:HOST")
    precision = options.precision or HERE_PRECISIONS[0]
    if precision not in HERE_PRECISIONS:
        raise InputError(f"--precision {precision}: {' or '.join(HERE_PRECISIONS)} on this machine")
    seconds = options.seconds or SECONDS
    key, size = network_of(options.model, options.size)
    task = Task(
        model=options.model,
        size=size,
        device=options.device,
        runtime=options.runtime or RUNTIMES[0],
        precision=precision,
        batch=options.batch or 1,
        threads=options.threads or cores(),
        plan=Plan(seconds=seconds, most_seconds=max(60.0, 2 * seconds)),
    )
    setting = Setting(
        device=task.device, precision=precision, batch=task.batch, threads=task.threads
    )
    check(task.runtime, setting)
    turn = partial(turns_here(default_cache()).measuring, never)
    result = measure(task, key, options.repeats or REPEATS, turn=turn)
    print(json.dumps(to_plain(result), indent=1) if options.json else measured_here(result))
    return 0


def network_of(text: str, size: tuple[int, int] | None) -> tuple[str, tuple[int, int]]:
    """Key and input size of a DESIGN or MODEL; a design that knows no size gets 384x1280."""
    from nano.networks.catalog import Baseline, load_architecture
    from nano.networks.model import WEIGHTS_FILE, load_model

    if (Path(text) / WEIGHTS_FILE).is_file():
        model = load_model(Path(text))
        design, own = model.design, model.size
    else:
        design = load_architecture(text)
        own = design.size if isinstance(design, Baseline) else (384, 1280)
    design.check_size(size or own)
    return design.key, size or own


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
        raise InputError(f"--device {options.device!r}: known are cpu, cuda and ssh:HOST")
    from nano.bench.afar import afar
    from nano.bench.onnx_file import read_onnx
    from nano.bench.told import measured

    model = read_onnx(Path(options.model))
    precision = options.precision or model.precision
    with afar(options.device.removeprefix(SSH)) as there:
        for note in there.notes:
            say(note)
        result = there.measure(
            model,
            str(options.model),
            precision=precision,
            power_mode=options.power_mode,
            tell=say,
        )
    plain = to_plain(result.measurement)
    print(json.dumps(plain, indent=1) if options.json else measured(result))
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
