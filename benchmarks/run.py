"""Run benchmarks and keep what they said, with the machine, versions and commit.

    python -m benchmarks.run                     all of them
    python -m benchmarks.run counting start      two of them
    python -m benchmarks.run --out results       keep the JSON elsewhere

Each module of this folder with a function ``measure() -> dict`` is a benchmark; an optional
``ASKED = {figure: bound}`` states what it should reach, such as ``">= 20000"`` or ``"<= 10"``.
"""

from __future__ import annotations

import argparse
import json
import operator
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any

from nano.console import run, say
from nano.errors import InputError
from nano.files import write_json
from nano.machine import commit, machine, versions

FOLDER = Path(__file__).parent
SENSES = {">=": operator.ge, "<=": operator.le}


def names() -> tuple[str, ...]:
    """Modules of this folder that measure something."""
    modules = sorted(path for path in FOLDER.glob("*.py") if "def measure(" in path.read_text())
    return tuple(path.stem for path in modules if path.stem != Path(__file__).stem)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, print and keep; 0 when every figure asked for was reached, else 3."""
    options = argparse.ArgumentParser(
        prog="python -m benchmarks.run",
        description="Measure our own speed and keep the results as JSON.",
    )
    options.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(names())}")
    options.add_argument("--out", type=Path, default=FOLDER / "results", metavar="DIR")
    chosen = options.parse_args(arguments)
    for name in chosen.names:
        if name not in names():
            raise InputError(f"no benchmark {name!r}; benchmarks: {', '.join(names())}")
    reached = True
    for name in chosen.names or names():
        say(f"{name} ...")
        record = measured(name)
        write_json(chosen.out / f"{name}.json", record)
        for figure, value in record["figures"].items():
            print(f"{name}.{figure} {json.dumps(value)}{verdict(record['asked'].get(figure))}")
        reached &= all(entry["reached"] for entry in record["asked"].values())
    return 0 if reached else 3


def verdict(asked: dict[str, Any] | None) -> str:
    """What stands behind a figure that has a bound."""
    if asked is None:
        return ""
    return f"  (asked {asked['bound']}: {'reached' if asked['reached'] else 'NOT reached'})"


def measured(name: str) -> dict[str, Any]:
    """One benchmark's figures with everything that gives them meaning."""
    module = import_module(f"benchmarks.{name}")
    figures = module.measure()
    asked = {}
    for figure, bound in getattr(module, "ASKED", {}).items():
        sense, number = bound.split()
        asked[figure] = {
            "bound": bound,
            "measured": figures[figure],
            "reached": SENSES[sense](figures[figure], float(number)),
        }
    return {
        "benchmark": name,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit(FOLDER),
        "machine": machine(),
        "versions": versions(),
        "figures": figures,
        "asked": asked,
    }


if __name__ == "__main__":
    run(main)
