"""Compare search methods; about ten seconds a run of the light ones, see the table's last column.

    python -m benchmarks.search analytic --instances 0 1 --seeds 0 --trials 60 \
        --methods copies evolution --out /tmp/tuning.json

Runs that the file holds are not made again, so that the same command goes on after an interruption
or adds methods, instances and seeds. Beside the JSON stands the figure, with the suffix .svg.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from benchmarks.search import live
from benchmarks.search.compare import (
    OURS,
    PROBLEMS,
    Job,
    Setting,
    compare,
    rows,
    text,
)
from benchmarks.search.rivals import ABLATIONS
from nano.console import run
from nano.errors import InputError

METHODS = (
    OURS, "evolution", "tpe", "cmaes", "nsga2", "gp", "copies", "largest", "prototype",
)  # fmt: skip
SPENDS = {"live": live.SPEND, "tabulated": 60.0, "tabulated-rungs": 60.0}
SETS = {"rivals": METHODS, "ablations": (OURS, *ABLATIONS)}


def parser() -> argparse.ArgumentParser:
    """The command line."""
    options = argparse.ArgumentParser(
        prog="python -m benchmarks.search",
        description="Compare search methods at equal spend.",
    )
    options.add_argument("problem", choices=sorted(PROBLEMS))
    options.add_argument("--instances", type=int, nargs="+", default=[1000, 1001, 1002])
    options.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    options.add_argument(
        "--methods",
        nargs="+",
        default=["rivals"],
        metavar="METHOD",
        help=f"rivals (all of them), ablations, or names: {', '.join((*METHODS, *ABLATIONS))}",
    )
    options.add_argument("--trials", type=int, help="of each run (default 300, or by spend)")
    options.add_argument(
        "--spend",
        type=float,
        help="of each run, in trainings of the prototype"
        f" (default: {', '.join(f'{name} {spend:g}' for name, spend in SPENDS.items())})",
    )
    options.add_argument(
        "--safety", type=float, default=0.0, help="the search asks so much more delta1"
    )
    options.add_argument("--workers", type=int, default=1, help="processes")
    options.add_argument("--out", type=Path, required=True, metavar="FILE", help="JSON")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Make the runs, keep them, print the table, draw the figure."""
    chosen = parser().parse_args(arguments)
    if chosen.trials and chosen.spend:
        raise InputError("--trials and --spend: a run ends by one of them")
    spend = chosen.spend or (0.0 if chosen.trials else SPENDS.get(chosen.problem, 0.0))
    setting = Setting(
        problem=chosen.problem,
        trials=0 if spend else chosen.trials or 300,
        spend=spend,
        safety=chosen.safety,
    )
    jobs = [
        Job(method=method, instance=instance, seed=seed)
        for seed in chosen.seeds
        for instance in chosen.instances
        for method in dict.fromkeys(m for name in chosen.methods for m in SETS.get(name, [name]))
    ]
    runs = compare(setting, jobs, chosen.out, workers=chosen.workers)
    print(text(rows(runs)))
    from benchmarks.search.figure import draw  # matplotlib takes a second that no run waits for

    draw(runs, chosen.out.with_suffix(".svg"))
    return 0


if __name__ == "__main__":
    run(main)
