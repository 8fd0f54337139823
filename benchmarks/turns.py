"""What asking and telling cost in PostgreSQL: the part of a study that is done one at a time.

``python -m benchmarks.run turns`` asks and tells trials of a tiny space by random search through
the store itself, from one process and from four at once, on a server with its disk's sync. The turn
is held from before the ask until after it, and while a trial is told.
"""

from __future__ import annotations

import multiprocessing
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import optuna
from optuna.trial import TrialState, create_trial
from sqlalchemy import text

from benchmarks.postgres import Server
from nano.design.presets import prototype
from nano.explore.caps import Caps
from nano.explore.database import open_storage
from nano.explore.locks import locks_of
from nano.explore.samplers import SEED, CappedSampler, sampler_factory, space
from nano.explore.stages import Judge, counted
from nano.explore.storage import Store
from nano.files import to_plain
from nano.records import Accuracy, Reading
from nano.score import Requirements, Utility

TRIALS = 120
SIDE_BY_SIDE = 4
RUNNING = (100, 1000)
ASKED = {"ask_s": "<= 0.2", "tell_s": "<= 0.2"}


def measure() -> dict[str, Any]:
    """Seconds of an ask and of a tell, trials a second, and what a trial leaves in the server."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder, Server(fsync=True) as server:
        url = server.make("alone")
        engine = open_storage(url).engine
        before = _server(engine)
        asks, tells = turns(url, Path(folder) / "0", TRIALS)
        time.sleep(2.0)  # the server's own counts come late
        after = _server(engine)
        shared = server.make("shared")
        open_storage(shared).engine.dispose()
        each = TRIALS // SIDE_BY_SIDE
        with context.Pool(SIDE_BY_SIDE) as pool:
            work = [(shared, Path(folder) / str(i), 1) for i in range(SIDE_BY_SIDE)]
            pool.starmap(turns, work)  # imports
            began = time.monotonic()
            work = [(shared, Path(folder) / str(i), each) for i in range(SIDE_BY_SIDE)]
            pool.starmap(turns, work)
            seconds = time.monotonic() - began
        engine.dispose()
        reads = {str(n): reading(server.make(f"running{n}"), n) for n in RUNNING}
    return {
        "processor_s_of_a_read_by_running_trials": reads,
        "ask_s": round(median(asks), 4),
        "tell_s": round(median(tells), 4),
        "ask_p90_s": round(sorted(asks)[9 * TRIALS // 10], 4),
        "tell_p90_s": round(sorted(tells)[9 * TRIALS // 10], 4),
        "commits_per_trial": round((after[0] - before[0]) / TRIALS, 1),
        "bytes_per_trial": round((after[1] - before[1]) / TRIALS),
        "processes": SIDE_BY_SIDE,
        "trials_per_second_side_by_side": round(SIDE_BY_SIDE * each / seconds, 2),
    }


def reading(url: str, running: int) -> float:
    """Processor seconds of reading all trials, which every ask does, when so many run."""
    storage = open_storage(url)
    study = optuna.create_study(study_name="turns", storage=storage)
    family = prototype("depthnet-nano")
    trial = create_trial(
        state=TrialState.RUNNING,
        params={**family.knobs_of(family.preset), SEED: 0},
        distributions=space(family),
        user_attrs={"owner": {"host": "h"}, "beat": 1, "design": to_plain(family.preset)},
    )
    for _ in range(running):
        storage.create_new_trial(study._study_id, trial)
    study.get_trials(deepcopy=False)
    spent = []
    for _ in range(3):
        began = time.process_time()
        study.get_trials(deepcopy=False)
        spent.append(time.process_time() - began)
    storage.engine.dispose()
    return round(median(spent), 3)


def _server(engine: Any) -> tuple[int, int]:
    """Commits so far, and bytes, of a database."""
    with engine.connect() as one:
        commits = "SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()"
        size = "SELECT pg_database_size(current_database())"
        return one.execute(text(commits)).scalar(), one.execute(text(size)).scalar()


def turns(url: str, folder: Path, number: int) -> tuple[list[float], list[float]]:
    """Ask and tell so many trials; seconds of each."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    tiny, asked = prototype("depthnet-tiny"), Requirements.parse({"params": "<= 4900"})
    caps = Caps(prototype=tiny, requirements=asked, size=(32, 96))
    judge = Judge(utility=Utility(), requirements=asked)
    storage = open_storage(url)
    sampler = CappedSampler(sampler_factory("random", tiny, 8), caps, 0)
    locks = locks_of(storage, "turns")
    store = Store(storage, "turns", sampler, tiny, owner=folder / "owner", locks=locks)
    accuracy = Accuracy(delta1=0.5, abs_rel=0.4)
    reading = Reading(stage="final", images=32, seconds=1.0, seed=0, accuracy=accuracy)
    asks, tells = [], []
    for _ in range(number):
        began = time.monotonic()
        with store.turn():
            trial = store.ask("random")
        asks.append(time.monotonic() - began)
        if trial is None:
            raise RuntimeError("the space has no more designs")
        done = counted(
            trial.number, trial.design, origin="x", seed=trial.seed, size=(32, 96), judge=judge
        )
        done = replace(done, stage="final", readings=(reading,), accuracy=accuracy)
        began = time.monotonic()
        with store.turn():
            store.tell(judge.judged(done), asked)
        tells.append(time.monotonic() - began)
    storage.engine.dispose()
    return asks, tells
