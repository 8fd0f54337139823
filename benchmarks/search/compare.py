"""Many runs of many methods: made in processes, kept as JSON, put side by side."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from benchmarks.search import analytic, live, tabulated
from benchmarks.search.problem import Problem
from benchmarks.search.replay import Record, replay
from nano.bench.host import device_name
from nano.console import say
from nano.errors import InputError
from nano.files import from_plain, read_json, to_plain, write_json
from nano.machine import commit, machine, versions
from nano.networks.device import default_device

OURS = "generator-inquisitor"  # what the others are rivals of
PROBLEMS: dict[str, Callable[[int, float], Problem]] = {
    "analytic": analytic.instance,
    "live": live.instance,
    "tabulated": tabulated.straight,
    "tabulated-rungs": tabulated.instance,
}


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What all runs of a comparison share; a file of runs is never continued with another.

    Attributes:
        problem: A name in `PROBLEMS`.
        trials: Of each run; 0 where spend ends it.
        spend: Of each run, in trainings of the prototype; 0 where trials end it.
        safety: By how much more than the bound on delta1 the search asks.
    """

    problem: str
    trials: int = 300
    spend: float = 0.0
    safety: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Run:
    """A `Record` as it is kept: its checkpoints as columns.

    Attributes:
        method: Its name.
        instance: Of the problem.
        seed: Of the run.
        commit: That made it.
        trials: Told by each checkpoint.
        trainings: Likewise.
        spend: Likewise, in trainings of the prototype (images x MACs).
        netscore: True one of the choice (dB), None without one.
        feasible: Whether the choice truly is.
        genome: Of the last choice, as text; None without one.
        propose_seconds: Median processor time of a proposal.
        propose_seconds_most: Of the slowest.
        exhausted: Whether it ended for want of new designs.
    """

    method: str
    instance: int
    seed: int
    commit: str | None = None
    trials: tuple[int, ...]
    trainings: tuple[int, ...]
    spend: tuple[float, ...]
    netscore: tuple[float | None, ...]
    feasible: tuple[bool, ...]
    genome: str | None = None
    propose_seconds: float
    propose_seconds_most: float
    exhausted: bool

    @property
    def final(self) -> float:
        """NetScore of the last choice; -inf without one that truly meets every requirement."""
        return self._held(-1)

    def score_at(self, axis: str, value: float) -> float:
        """`final` of the search as it was when ``axis`` (trainings, spend) reached a value."""
        reached = [i for i, x in enumerate(getattr(self, axis)) if x <= value * (1 + 1e-9)]
        return self._held(reached[-1]) if reached else -math.inf

    def _held(self, place: int) -> float:
        netscore = self.netscore[place]
        return netscore if netscore is not None and self.feasible[place] else -math.inf


@dataclass(frozen=True, kw_only=True)
class Job:
    """One run to make."""

    method: str
    instance: int
    seed: int

    @property
    def name(self) -> str:
        """For the file and for progress."""
        return f"{self.method}/{self.instance}/{self.seed}"


def compare(setting: Setting, jobs: Sequence[Job], out: Path, *, workers: int) -> list[Run]:
    """Make the runs that ``out`` does not hold yet, keep each as it ends, and return those asked.

    Raises:
        InputError: ``out`` holds runs of another setting.
    """
    runs = kept(out, setting)
    missing = [job for job in jobs if job.name not in runs]
    # Each process has one thread: small matrices gain nothing, and the times mean something.
    os.environ.update({name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")})
    pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"))
    with pool:
        futures = {pool.submit(made, setting, job): job for job in missing}
        try:
            for number, future in enumerate(as_completed(futures), start=1):
                name = futures[future].name
                runs[name] = future.result()
                write_json(out, document(setting, runs))
                say(f"{number}/{len(missing)} {name}: {_decibels(runs[name].final)}")
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return [runs[job.name] for job in jobs]


def made(setting: Setting, job: Job) -> Run:
    """One run, in whatever process."""
    problem = PROBLEMS[setting.problem](job.instance, setting.safety)
    whole = _prototype_spend(problem)
    record = replay(
        problem,
        job.method,
        job.seed,
        trials=setting.trials or None,
        spend=setting.spend * whole or None,
    )
    found = as_run(record, job, whole)
    if record.choice is None:
        return found
    genome = problem.caps.prototype.nearest_genome(record.choice)
    return replace(found, genome=" ".join(map(str, genome)))


def _prototype_spend(problem: Problem) -> float:
    """Of one final training of the prototype: the unit in which spend is told."""
    macs = problem.caps.cost(problem.caps.prototype.preset).macs
    return float(problem.trainings[-1][1]) * macs


def as_run(record: Record, job: Job, unit: float) -> Run:
    """The record's checkpoints as columns, rounded to what is shown."""
    points = record.checkpoints
    return Run(
        method=job.method,
        instance=job.instance,
        seed=job.seed,
        commit=commit(Path(__file__).parent),
        trials=tuple(point.trials for point in points),
        trainings=tuple(point.trainings for point in points),
        spend=tuple(round(point.spend / unit, 2) for point in points),
        netscore=tuple(p.netscore if p.netscore is None else round(p.netscore, 4) for p in points),
        feasible=tuple(point.feasible for point in points),
        propose_seconds=round(float(np.median(record.propose_seconds)), 4),
        propose_seconds_most=round(max(record.propose_seconds), 4),
        exhausted=record.exhausted,
    )


def kept(out: Path, setting: Setting) -> dict[str, Run]:
    """Runs of an earlier start, by name; none where there is no file."""
    if not out.exists():
        return {}
    plain = read_json(out)
    if plain.get("setting") != to_plain(setting):
        raise InputError(
            f"{out}: holds runs of another setting ({plain.get('setting')}); this is"
            f" {to_plain(setting)}. Give another file: --out FILE"
        )
    return {name: from_plain(Run, run, f"{out}: {name}") for name, run in plain["runs"].items()}


def document(setting: Setting, runs: Mapping[str, Run]) -> dict[str, Any]:
    """What is kept: every run, with what gives them meaning."""
    trained = {"device": device_name(default_device())} if setting.problem == "live" else {}
    return {
        "benchmark": "search",
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit(Path(__file__).parent),
        "machine": machine(),
        "versions": versions(),
        **trained,
        "setting": setting,
        "runs": {name: runs[name] for name in sorted(runs)},
    }


# --- side by side --------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Row:
    """A method in the table; scores in dB.

    Attributes:
        method: Its name.
        runs: How many.
        quartiles: 25, 50 and 75 % of the final scores; -inf where nothing that truly holds was
            confirmed.
        gain: The same of the difference to the best rival, paired by instance and seed.
        wins: Share of the pairs that are above the best rival.
        catches_up: Share of the best rival's trainings after which this method's median has its
            final median; None when never.
        catches_up_spend: Likewise, share of its median spend.
        feasible: Share of final choices that truly are.
        spend: Median, in trainings of the prototype.
        propose_seconds: Median over runs of the median processor time of a proposal.
    """

    method: str
    runs: int
    quartiles: tuple[float, float, float]
    gain: tuple[float, float, float]
    wins: float
    catches_up: float | None
    catches_up_spend: float | None
    feasible: float
    spend: float
    propose_seconds: float


def rows(runs: Sequence[Run]) -> list[Row]:
    """The table, best first."""
    groups = by_method(runs)
    rival = best_rival(groups)
    table = [_row(method, group, groups[rival]) for method, group in groups.items()]
    return sorted(table, key=lambda row: -row.quartiles[1])


def by_method(runs: Iterable[Run]) -> dict[str, list[Run]]:
    """Runs of each method, in the order they came."""
    groups: dict[str, list[Run]] = {}
    for run in runs:
        groups.setdefault(run.method, []).append(run)
    return groups


def best_rival(groups: Mapping[str, Sequence[Run]]) -> str:
    """The method with the best median of final scores, ours aside."""
    rivals = [method for method in groups if method != OURS] or list(groups)
    return max(rivals, key=lambda method: quartiles([run.final for run in groups[method]])[1])


def quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    """25, 50 and 75 %; among infinite values no mean is taken, but the lower of two."""
    found = np.array(values, dtype=float)
    between: Literal["linear", "lower"] = "linear" if np.isfinite(found).all() else "lower"
    low, median, high = np.quantile(found, (0.25, 0.5, 0.75), method=between)
    return float(low), float(median), float(high)


def _row(method: str, runs: Sequence[Run], rivals: Sequence[Run]) -> Row:
    theirs = {(run.instance, run.seed): run.final for run in rivals}
    pairs = [(r.final, theirs[r.instance, r.seed]) for r in runs if (r.instance, r.seed) in theirs]
    gains = [0.0 if ours == other else ours - other for ours, other in pairs]  # both may be -inf
    return Row(
        method=method,
        runs=len(runs),
        quartiles=quartiles([run.final for run in runs]),
        gain=quartiles(gains or [math.nan]),
        wins=sum(gain > 0 for gain in gains) / max(1, len(gains)),
        catches_up=_catches_up(runs, rivals, "trainings"),
        catches_up_spend=_catches_up(runs, rivals, "spend"),
        feasible=sum(run.feasible[-1] for run in runs) / len(runs),
        spend=float(np.median([run.spend[-1] for run in runs])),
        propose_seconds=float(np.median([run.propose_seconds for run in runs])),
    )


def _catches_up(runs: Sequence[Run], rivals: Sequence[Run], axis: str) -> float | None:
    wanted = quartiles([run.final for run in rivals])[1]
    whole = float(np.median([getattr(run, axis)[-1] for run in rivals]))
    for value in sorted({value for run in runs for value in getattr(run, axis)}):
        if quartiles([run.score_at(axis, value) for run in runs])[1] >= wanted:
            return value / whole
    return None


def curve(runs: Sequence[Run], spends: NDArray[np.float64]) -> NDArray[np.float64]:
    """Quartiles of the score at each spend, 3 x spends; nan where most have nothing yet."""
    found = np.array([quartiles([r.score_at("spend", x) for r in runs]) for x in spends]).T
    return np.where(np.isfinite(found), found, np.nan)


def text(table: Sequence[Row]) -> str:
    """The table for a terminal."""
    lines = [
        f"{'method':<22}{'runs':>5}{'NetScore dB: median':>21}{'25-75 %':>16}"
        f"{'gain dB':>9}{'25-75 %':>16}{'ahead':>7}{'trainings':>11}{'spend':>7}"
        f"{'feasible':>10}{'s/proposal':>12}"
    ]
    for row in table:
        low, median, high = row.quartiles
        worse, gain, better = row.gain
        lines.append(
            f"{row.method:<22}{row.runs:>5}{_decibels(median):>21}"
            f"{f'{_decibels(low)}-{_decibels(high)}':>16}{gain:>+9.2f}"
            f"{f'{worse:+.2f}..{better:+.2f}':>16}{row.wins:>7.0%}{_share(row.catches_up):>11}"
            f"{_share(row.catches_up_spend):>7}{row.feasible:>10.0%}{row.propose_seconds:>12.3f}"
        )
    lines.append(
        "gain and ahead: over the best rival, paired by instance and seed; trainings, spend: share"
        "\nof the best rival's at which its final median is reached; feasible: of the final choices"
    )
    return "\n".join(lines)


def _decibels(score: float) -> str:
    return f"{score:.2f}" if math.isfinite(score) else "none"


def _share(share: float | None) -> str:
    return "never" if share is None else f"{share:.2f}"
