"""Read the logs of devices: power, latency, power mode, release.

python -m nano.bench --read tegrastats.log                      watts by rail and in total
python -m nano.bench --read tegrastats.log --interval 1000      of a log without timestamps
python -m nano.bench --read tegrastats.log --idle 10            its first 10 seconds are idle
python -m nano.bench --read trtexec.log --json                  latency, throughput, passed or not

What a file is, is seen from what is in it. Known: tegrastats; trtexec, its --exportTimes and its
--exportProfile; nvpmodel; nv_tegra_release.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
from collections.abc import Sequence
from pathlib import Path

from nano.console import Parser, run
from nano.errors import InputError


def parser() -> Parser:
    """The options."""
    main_parser = Parser(
        prog="python -m nano.bench",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    main_parser.add_argument("--read", type=Path, metavar="LOG", required=True, help="the file")
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

    from nano.bench.logs import read_log
    from nano.bench.told import as_text

    name, reading = read_log(options.read, interval_ms=options.interval, idle_s=options.idle)
    if options.json:
        print(json.dumps({"format": name, **dataclasses.asdict(reading)}, indent=1))
    else:
        print(as_text(name, reading))
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
