"""The choices of searches on the table's surrogate, trained for real.

    python -m benchmarks.search.retrained benchmarks/search/results/tabulated.json --methods tpe

A surrogate is wrong somewhere, and a good search finds where. So the last choice of every run is
trained as the table's designs were, from three starts that the table does not have, and judged on
its validation scenes as the surrogate is: what is left of the score, and how many still hold.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.search import tabulated
from benchmarks.search.compare import OURS, Run
from benchmarks.search.table import STUDY
from benchmarks.search.training import train, trainer_of
from nano.console import positive, run, say
from nano.explore.study import read_study
from nano.files import from_plain, read_json, write_json
from nano.machine import commit, machine, versions
from nano.seeds import derive_seed

STARTS = 3


@dataclass(frozen=True, kw_only=True)
class Retrained:
    """One choice.

    Attributes:
        method: That chose it.
        instance: Of the surrogate.
        seed: Of the run.
        promised: The surrogate's (delta1, NetScore).
        found: (delta1, abs_rel) of each start.
        netscore: Of their mean (dB).
        holds: Whether their mean meets the bound on delta1.
    """

    method: str
    instance: int
    seed: int
    promised: tuple[float, float]
    found: tuple[tuple[float, float], ...]
    netscore: float
    holds: bool


def retrained(study_json: str, kept: Run) -> Retrained:
    """Train one run's last choice, in whatever process."""
    study, trainer = trainer_of(study_json)
    problem = tabulated.straight(kept.instance)
    assert kept.genome is not None  # those without a choice are left out
    design = study.family().design(tuple(map(int, kept.genome.split())))
    stage, images = study.trainings()[-1]
    pairs = []
    for start in range(STARTS):
        seed = derive_seed("retrained", design.key, start)
        outcome = train(
            trainer, design, stage, images, seed=seed, order=start + 10, confirming=False
        )
        pairs.append((round(outcome.accuracy.delta1, 5), round(outcome.accuracy.abs_rel, 5)))
    delta1, abs_rel = (float(mean) for mean in np.mean(pairs, axis=0))
    cost = problem.caps.cost(design)
    bound = problem.caps.requirements.get("delta1")
    assert bound is not None  # of the problem
    return Retrained(
        method=kept.method,
        instance=kept.instance,
        seed=kept.seed,
        promised=(round(problem.truth(design)[0], 5), round(kept.netscore[-1] or 0.0, 3)),
        found=tuple(pairs),
        netscore=round(problem.utility.score(delta1, abs_rel, cost), 3),
        holds=delta1 >= bound.bound,
    )


def summary(found: Sequence[Retrained]) -> dict[str, Any]:
    """By method: promised and found delta1 and NetScore (medians), and the share that holds."""
    told: dict[str, Any] = {}
    for method in dict.fromkeys(one.method for one in found):
        some = [one for one in found if one.method == method]
        told[method] = {
            "choices": len(some),
            "promised_delta1": float(np.median([one.promised[0] for one in some])),
            "found_delta1": float(np.median([np.mean(one.found, axis=0)[0] for one in some])),
            "promised_netscore": float(np.median([one.promised[1] for one in some])),
            "found_netscore": float(np.median([one.netscore for one in some])),
            "holds": sum(one.holds for one in some) / len(some),
        }
    return told


def document(found: Sequence[Retrained]) -> dict[str, Any]:
    """What is kept."""
    return {
        "benchmark": "search, choices retrained",
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit(Path(__file__).parent),
        "machine": machine(),
        "versions": versions(),
        "starts": STARTS,
        "summary": summary(found),
        "choices": found,
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Train the choices and print what is left of them."""
    options = argparse.ArgumentParser(
        prog="python -m benchmarks.search.retrained",
        description="Train the choices of searches on the table's surrogate for real.",
    )
    options.add_argument("runs", type=Path, metavar="FILE", help="a kept comparison on tabulated")
    options.add_argument("--methods", nargs="+", default=[OURS], metavar="METHOD")
    options.add_argument("--workers", type=positive, default=1, help="processes, one core each")
    options.add_argument("--out", type=Path, metavar="FILE", help="JSON")
    chosen = options.parse_args(arguments)
    plain = read_json(chosen.runs)["runs"]
    runs = [from_plain(Run, one, f"{chosen.runs}: {name}") for name, one in plain.items()]
    wanted = [one for one in runs if one.method in chosen.methods and one.genome is not None]
    text = json.dumps(read_study(STUDY).plain(), sort_keys=True)
    found = []
    with ProcessPoolExecutor(chosen.workers, mp_context=get_context("spawn")) as pool:
        for one in pool.map(retrained, [text] * len(wanted), wanted):
            found.append(one)
            say(
                f"{len(found)}/{len(wanted)} {one.method}/{one.instance}/{one.seed}: promised"
                f" {one.promised[0]:.4f}, found {np.mean(one.found, axis=0)[0]:.4f}"
            )
    told = summary(found)
    for method, figures in told.items():
        print(method, json.dumps({name: round(value, 4) for name, value in figures.items()}))
    if chosen.out is not None:
        write_json(chosen.out, document(found))
    return 0


if __name__ == "__main__":
    run(main)
