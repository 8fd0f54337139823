"""A study over many workers: what the engine costs a trial, and what is lost when things die.

``python -m benchmarks.run scale`` runs the real command with a function in place of training that
sleeps: 400 trials over PostgreSQL (two drivers that share it, 4 workers each), over SQLite (4
workers) and over a Ray cluster of two nodes on this machine; then kills workers, drivers and the
database at random instants, cuts the network for a minute, and gives one driver a clock that jumps.
Some 25 minutes on two cores. Generator is random: what proposing costs is told by ``proposing``.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from importlib import import_module
from pathlib import Path
from random import Random
from typing import Any

import optuna
from sqlalchemy import NullPool

from benchmarks.postgres import Server, relay

TRIALS = 400
SECONDS = 2.0  # of a stub training
KILLS = 100
SMALL = 60  # trials of a study that is killed
CUT_SECONDS = 60.0
ASKED = {
    "postgres_overhead_s": "<= 0.2",
    "sqlite_overhead_s": "<= 0.2",
    "ray_overhead_s": "<= 0.2",
    "kills": f">= {KILLS}",
    "kills_lost_or_doubled": "<= 0",
    "cut_lost_or_doubled": "<= 0",
    "clock_lost_or_doubled": "<= 0",
}
STUDY = """name = "scale"
trials = {trials}
[data]
size = [32, 96]
[prototype]
preset = "depthnet-tiny"
[require]
params = "<= 4900"
[generator]
kind = "random"
[stages]
rungs = {rungs}
final = {{steps = 8}}
confirm = {{designs = 1, seeds = 1}}
recipe = {{name = "quick", batch = 4}}
[evaluate]
callable = "stub:score"
"""
STUB = """
import json, math, time
from importlib import import_module
from pathlib import Path
from random import Random
from nano.cost.count import count

def score(design, *, images, seed):
    with (Path(__file__).parent / "calls.txt").open("a") as calls:
        calls.write(json.dumps([design.key, images, seed]) + "\\n")
    time.sleep(SECONDS)
    params = count(design, (32, 96)).params
    noise = Random(f"{design.key} {images} {seed}").gauss(0, 0.01)
    delta1 = 0.3 + 0.35 * (1 - math.exp(-images / 16)) * (1 - math.exp(-params / 3000)) + noise
    return {"delta1": delta1, "abs_rel": 0.6 - 0.5 * delta1}
"""
# Of the system's clock; what measures durations is left alone. For LD_PRELOAD.
JUMPING = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>
int clock_gettime(clockid_t id, struct timespec *now) {
    int (*real)(clockid_t, struct timespec *) = dlsym(RTLD_NEXT, "clock_gettime");
    int result = real(id, now);
    if (id == CLOCK_REALTIME) now->tv_sec += (rand() % 2 ? 1 : -1) * 86400;
    return result;
}
"""


@dataclass(frozen=True, kw_only=True)
class Bed:
    """A study with its stub, and where it is kept."""

    folder: Path
    storage: str | None = None

    def write(self, *, trials: int, seconds: float, rungs: str = "[]") -> Bed:
        """The study file and the function beside it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "study.toml").write_text(STUDY.format(trials=trials, rungs=rungs))
        (self.folder / "stub.py").write_text(STUB.replace("SECONDS", str(seconds)))
        return self

    def start(self, *more: str, out: str = "run", **env: str) -> subprocess.Popen[str]:
        """The command as a process of its own, in a group of its own."""
        kept = ["--storage", self.storage] if self.storage else []
        command = [sys.executable, "-m", "nano.explore", str(self.folder / "study.toml")]
        log = (self.folder / "said.txt").open("a")
        with log:
            return subprocess.Popen(
                [*command, "--out", str(self.folder / out), *kept, *more],
                env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", **env},
                stdout=log,
                stderr=log,
                text=True,
                start_new_session=True,
            )

    def said(self) -> str:
        """All that its processes said."""
        return (self.folder / "said.txt").read_text()

    def calls(self) -> list[Any]:
        """(key, images, seed) of every call of the stub."""
        path = self.folder / "calls.txt"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def trials(self) -> list[optuna.trial.FrozenTrial]:
        """As the storage has them."""
        url = self.storage or f"sqlite:///{self.folder / 'run' / 'study.db'}"
        storage = optuna.storages.RDBStorage(url, engine_kwargs={"poolclass": NullPool})
        return optuna.load_study(study_name="scale", storage=storage).get_trials(deepcopy=False)

    def lost_or_doubled(self, trials: int) -> int:
        """Trials that are missing, not finished, or of a design that another has."""
        stored = self.trials()
        numbers = {
            t.number for t in stored if t.state.is_finished() and "evaluation" in t.user_attrs
        }
        doubled = len(stored) - len({t.user_attrs["key"] for t in stored})
        return len(set(range(trials)) ^ numbers) + doubled

    def found(self) -> list[tuple[Any, ...]]:
        """What a study found, by trial: to be compared with another's."""
        kept = [(t.user_attrs["key"], t.user_attrs["evaluation"]) for t in self.trials()]
        return [(key, e["stage"], e.get("netscore"), e.get("reason")) for key, e in kept]


def measure() -> dict[str, Any]:
    """Figures by name."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    figures: dict[str, Any] = {"trials": TRIALS, "seconds_of_a_training": SECONDS}
    with tempfile.TemporaryDirectory(prefix="nano-scale-") as place:
        folder = Path(place)
        for part in (_postgres, _sqlite, _ray, _kills, _cut, _clock):
            figures |= part(folder)
            print(json.dumps(figures), file=sys.stderr, flush=True)
    return figures


def _figures(name: str, bed: Bed, workers: int, began: float, spent: float) -> dict[str, Any]:
    """Of a run that ended: whether all is there, and what a trial cost beside its training."""
    calls = Counter(tuple(call[:2]) for call in bed.calls() if call[1] == 32)
    again = sum(number - 1 for number in calls.values())
    ends = sorted(t.datetime_complete for t in bed.trials() if t.datetime_complete is not None)
    first, last = len(ends) // 10, len(ends) - 1 - len(ends) // 10  # workers start, and run out
    each = _seconds(ends[first], ends[last]) * workers / (last - first)
    return {
        f"{name}_workers": workers,
        f"{name}_lost_or_doubled": bed.lost_or_doubled(TRIALS),
        f"{name}_confirmations_and_repeats": again,
        f"{name}_overhead_s": round(each - SECONDS, 3),
        f"{name}_driver_processor_s_per_trial": round(spent / TRIALS, 3),
        f"{name}_load_average": round(os.getloadavg()[1], 1),
        f"{name}_wall_s": round(time.monotonic() - began, 1),
    }


def _seconds(first: datetime, last: datetime) -> float:
    return (last - first).total_seconds()


def _ended(*processes: subprocess.Popen[str]) -> float:
    """Wait for drivers; processor seconds of their own, those of their start left out."""
    began = sum(map(_processor_seconds, processes))
    spent = began
    while any(process.poll() is None for process in processes):
        spent = max(spent, sum(map(_processor_seconds, processes)))
        time.sleep(0.2)
    for process in processes:
        if process.returncode != 0:
            raise RuntimeError(f"a driver ended with {process.returncode}")
    return spent - began


def _processor_seconds(process: subprocess.Popen[str]) -> float:
    try:
        fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _postgres(folder: Path) -> dict[str, Any]:
    with Server(fsync=True) as server:
        bed = Bed(folder=folder / "postgres", storage=server.make("scale"))
        bed.write(trials=TRIALS, seconds=SECONDS)
        began = time.monotonic()
        first = bed.start("--workers", "4", "--quiet")
        _until(bed.calls, first)
        second = bed.start("--workers", "4", "--quiet", "--join", out="second")
        _until((bed.folder / "second").exists, second)
        spent = _ended(first, second)
        return _figures("postgres", bed, 8, began, spent) | {"postgres_drivers": 2}


def _sqlite(folder: Path) -> dict[str, Any]:
    bed = Bed(folder=folder / "sqlite").write(trials=TRIALS, seconds=SECONDS)
    began = time.monotonic()
    driver = bed.start("--workers", "4", "--quiet")
    _until(bed.calls, driver)
    return _figures("sqlite", bed, 4, began, _ended(driver))


def _ray(folder: Path) -> dict[str, Any]:
    bed = Bed(folder=folder / "ray").write(trials=TRIALS, seconds=SECONDS)
    cluster: Any = import_module("ray.cluster_utils").Cluster(
        initialize_head=True, head_node_args={"num_cpus": 2}
    )
    cluster.add_node(num_cpus=2)
    try:
        began = time.monotonic()
        more = ("--set", "workers.engine=ray", "--quiet")
        driver = bed.start(*more, RAY_ADDRESS=cluster.address)
        _until(bed.calls, driver)
        return _figures("ray", bed, 4, began, _ended(driver)) | {"ray_nodes": 2}
    finally:
        cluster.shutdown()


def _kills(folder: Path) -> dict[str, Any]:
    """Workers, the driver or the database, at random instants, from the first second on."""
    rungs = "[{steps = 4}]"
    calm = Bed(folder=folder / "calm").write(trials=SMALL, seconds=0.0, rungs=rungs)
    _ended(calm.start("--workers", "1", "--quiet"))
    random = Random(0)
    kills: Counter[str] = Counter()
    wrong = studies = 0
    with Server(fsync=True) as server:
        while kills.total() < KILLS:
            studies += 1
            bed = Bed(folder=folder / f"kills-{studies}", storage=server.make(f"kills{studies}"))
            bed.write(trials=SMALL, seconds=0.2, rungs=rungs)
            process = bed.start("--workers", "1", "--quiet")
            while kills.total() < KILLS and not _over(process, random.uniform(0, 10)):
                aim = random.choice(["driver", "worker", "database"])
                victims = _workers_of(process.pid) if aim == "worker" else [process.pid]
                if aim == "database":
                    server.kill()
                    time.sleep(random.uniform(0, 3))
                    server.start()
                for victim in victims if aim != "database" else []:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(victim, signal.SIGKILL)
                kills[aim] += bool(victims)
                if _over(process, 0.2):
                    process = bed.start("--workers", "1", "--quiet")
            process.wait(timeout=600)
            _ended(bed.start("--workers", "1", "--quiet"))
            wrong += bed.lost_or_doubled(SMALL) + (bed.found() != calm.found())
    return {
        "kills": kills.total(),
        "kills_of": dict(kills),
        "kills_studies": studies,
        "kills_lost_or_doubled": wrong,
    }


def _over(process: subprocess.Popen[str], seconds: float) -> bool:
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=seconds)
    return process.poll() is not None


def _workers_of(driver: int) -> list[int]:
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
            if parent == driver and "spawn_main" in (stat.parent / "cmdline").read_text():
                found.append(int(stat.parent.name))
    return found


def _cut(folder: Path) -> dict[str, Any]:
    """The network to the database is gone for a minute."""
    with Server(fsync=True) as server, relay(server.port) as link:
        url = server.make("cut")
        bed = Bed(folder=folder / "cut", storage=url).write(trials=SMALL, seconds=1.0)
        through = Bed(folder=bed.folder, storage=url.replace(str(server.port), str(link.port)))
        process = through.start("--workers", "2")
        _until(lambda: len(bed.calls()) > 10, process)
        link.cut()
        time.sleep(CUT_SECONDS)
        link.mend()
        _ended(process)
        said = [line for line in bed.said().splitlines() if line.startswith("storage ")]
        return {
            "cut_seconds": CUT_SECONDS,
            "cut_said": [line.replace(str(link.port), "PORT") for line in said],
            "cut_lost_or_doubled": bed.lost_or_doubled(SMALL),
        }


def _clock(folder: Path) -> dict[str, Any]:
    """One of two drivers has a clock that is a day early or late, another at every look."""
    library = folder / "jumping.so"
    (folder / "jumping.c").write_text(JUMPING)
    compiler = shutil.which("cc") or "gcc"
    source = str(folder / "jumping.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-o", str(library), source, "-ldl"], check=True)
    with Server(fsync=True) as server:
        bed = Bed(folder=folder / "clock", storage=server.make("clock"))
        bed.write(trials=SMALL, seconds=1.0)
        grace = ("--set", "workers.grace_minutes=0.3", "--workers", "2")
        first = bed.start(*grace, LD_PRELOAD=str(library))
        _until(bed.calls, first)
        second = bed.start(*grace, "--join", out="second")
        _ended(first, second)
        return {
            "clock_lost_or_doubled": bed.lost_or_doubled(SMALL),
            "clock_taken_for_dead": bed.said().count("its process is gone"),
        }


def _until(true: Any, process: subprocess.Popen[str]) -> None:
    while not true():
        if process.poll() is not None:
            raise RuntimeError(f"a driver ended with {process.returncode} before it began")
        time.sleep(0.05)
