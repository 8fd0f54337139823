"""Whole studies in milliseconds: a user's function in place of training, threads for processes."""

from __future__ import annotations

import contextlib
import csv
import importlib
import io
import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import threading
import time
import unittest.mock
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import optuna
import pytest
from sqlalchemy import NullPool

from nano.console import run
from nano.explore.__main__ import main
from nano.explore.lab import build_lab
from nano.explore.serve import do
from nano.explore.workers import Bench, Deciding, Message, Pool, Ready, Task
from nano.records import Evaluation, evaluation_from_plain

ROOT = Path(__file__).parents[1]

STUDY = """name = "toy"
trials = 8
[data]
size = [32, 96]
[prototype]
preset = "depthnet-tiny"
[require]
params = "<= 4900"
delta1 = ">= 0.5 + 0.001"
[generator]
kind = "random"
[stages]
rungs = [{{steps = 4}}]
final = {{steps = 8}}
keep = 0.5
confirm = {{designs = 2, seeds = 2}}
recipe = {{name = "quick", batch = 4}}
[evaluate]
callable = "{module}:score"
"""

# Every call is one line of calls.txt beside the module. What it returns depends on the design, the
# images and the seed alone.
FUNCTION = """
import json, math, os, random, time
from pathlib import Path
from nano.cost.count import count

HERE = Path(__file__).parent

def score(design, *, images, seed):
    with (HERE / "calls.txt").open("a") as calls:
        calls.write(json.dumps([design.key, images, seed]) + "\\n")
    if (HERE / "seconds.txt").exists():
        time.sleep(float((HERE / "seconds.txt").read_text()))
    params = count(design, (32, 96)).params
    noise = random.Random(f"{design.key} {images} {seed}").gauss(0, 0.01)
    learned = 1 - math.exp(-images / 16)
    delta1 = 0.3 + 0.35 * learned * (1 - math.exp(-params / 3000)) + noise
    return {"delta1": delta1, "abs_rel": 0.6 - 0.5 * delta1}
"""


class Threads(Pool):
    """A pool of threads in place of processes: it starts at once."""

    def __init__(self, *, bench: Bench, size: int) -> None:
        super().__init__(bench=bench, size=size)
        self._tasks: dict[int, Task] = {}
        self._threads: list[threading.Thread] = []
        self._said: queue.Queue[tuple[int, Message]] = queue.Queue()
        self._answers: dict[int, queue.Queue[Any]] = {i: queue.Queue() for i in range(size)}
        self._stopping = threading.Event()

    def __enter__(self) -> Threads:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def idle(self) -> list[int]:
        return [i for i in range(self.size) if i not in self._tasks]

    def tasks(self) -> list[Task]:
        return list(self._tasks.values())

    def task_of(self, i: int) -> Task | None:
        return self._tasks.get(i)

    def wake(self, i: int) -> None:
        """Threads start at once."""

    def give(self, i: int, task: Task) -> None:
        def decide(evaluation: Evaluation) -> tuple[bool, Mapping[str, float] | None]:
            self._said.put((i, Deciding(evaluation=evaluation)))
            answer: tuple[bool, Mapping[str, float] | None] = self._answers[i].get()
            return answer

        def work() -> None:
            lab = build_lab(self.bench, decide, self._stopping.is_set)
            self._said.put((i, do(task, lab)))

        self._tasks[i] = task
        self._threads.append(threading.Thread(target=work, daemon=True))
        self._threads[-1].start()

    def answer(self, i: int, go_on: bool, outlook: Mapping[str, float] | None) -> None:
        self._answers[i].put((go_on, outlook))

    def stop(self) -> None:
        self._stopping.set()

    def kill(self) -> None:
        self._stopping.set()
        for waiting in self._answers.values():
            waiting.put((False, None))
        for thread in self._threads:
            thread.join()

    def messages(self, timeout: float) -> list[tuple[int, Message]]:
        said = []
        with contextlib.suppress(queue.Empty):
            said.append(self._said.get(timeout=timeout))
        for i, message in said:
            if not isinstance(message, Ready | Deciding):
                del self._tasks[i]
        return said


@dataclass
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def events(self) -> list[dict[str, Any]]:
        """The JSON objects on stdout."""
        return [json.loads(line) for line in self.out.splitlines()]


@dataclass
class Toy:
    """A study with a user's function, and its run folder."""

    folder: Path
    module: str = field(default_factory=lambda: f"toy_{uuid.uuid4().hex}")
    storage: str | None = None

    def __post_init__(self) -> None:
        if not self.study.exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            self.study.write_text(STUDY.format(module=self.module), encoding="utf-8")
            self.define(FUNCTION)

    @property
    def study(self) -> Path:
        return self.folder / "study.toml"

    @property
    def run(self) -> Path:
        return self.folder / "run"

    def copy(self, folder: Path) -> Toy:
        """The same study and run somewhere else."""
        shutil.copytree(self.folder, folder)
        return Toy(folder, self.module)

    def define(self, function: str) -> None:
        """What the user's module holds."""
        (self.folder / f"{self.module}.py").write_text(function, encoding="utf-8")

    def takes(self, seconds: float) -> None:
        """How long every call takes from now on."""
        (self.folder / "seconds.txt").write_text(str(seconds))

    def arguments(self, *more: str, workers: int = 1) -> list[str]:
        out = [] if "--out" in more else ["--out", str(self.run)]
        kept = ["--storage", self.storage] if self.storage else []
        return [str(self.study), *out, *kept, "--workers", str(workers), *more]

    def __call__(self, *more: str, workers: int = 1) -> Ended:
        """Run the command in this process, as ``python -m nano.explore`` would."""
        sys.modules.pop(self.module, None)
        importlib.invalidate_caches()
        arguments = self.arguments(*more, workers=workers)
        out, err = io.StringIO(), io.StringIO()
        with (
            unittest.mock.patch.object(sys, "argv", ["python -m nano.explore", *arguments]),
            unittest.mock.patch.object(sys, "path", [str(self.folder), *sys.path]),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
            pytest.raises(SystemExit) as ended,
        ):
            run(lambda _: main(arguments))
        return Ended(code=int(ended.value.code or 0), out=out.getvalue(), err=err.getvalue())

    def start(
        self, *more: str, workers: int = 1, before: Callable[[], None] = lambda: None
    ) -> subprocess.Popen[str]:
        """Start the command as a process of its own, in a group of its own."""

        def begin() -> None:
            # A shell's background job ignores Ctrl-C, and so would its children.
            signal.signal(signal.SIGINT, signal.default_int_handler)
            before()

        return subprocess.Popen(
            [sys.executable, "-m", "nano.explore", *self.arguments(*more, workers=workers)],
            cwd=ROOT,
            env={**os.environ, "OMP_NUM_THREADS": "1", "XDG_CACHE_HOME": str(self.folder)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            preexec_fn=begin,
        )

    # --- what is there afterwards ----------------------------------------------------------------

    def calls(self) -> list[tuple[str, int, int]]:
        """(key, images, seed) of every call of the function so far."""
        path = self.folder / "calls.txt"
        lines = path.read_text().splitlines() if path.exists() else []
        return [tuple(json.loads(line)) for line in lines]

    def stored(self) -> optuna.Study:
        url = self.storage or f"sqlite:///{self.run / 'study.db'}"
        storage = optuna.storages.RDBStorage(url, engine_kwargs={"poolclass": NullPool})
        return optuna.load_study(study_name="toy", storage=storage)

    def trials(self) -> list[optuna.trial.FrozenTrial]:
        return self.stored().get_trials(deepcopy=False)

    def evaluations(self) -> list[Evaluation]:
        """Those told, as the storage has them."""
        return [
            evaluation_from_plain(trial.user_attrs["evaluation"], "stored")
            for trial in self.trials()
            if trial.state.is_finished()
        ]

    def rows(self) -> list[dict[str, str]]:
        """trials.csv."""
        with (self.run / "trials.csv").open(newline="") as file:
            return list(csv.DictReader(file))


def wait_until(
    true: Callable[[], object],
    process: subprocess.Popen[str] | None = None,
    *,
    seconds: float = 60.0,
) -> None:
    """Wait for something that a process does."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it never came"
        assert process is None or process.poll() is None, process.communicate()
        time.sleep(0.02)


def workers_of(driver: int) -> list[int]:
    """Worker processes of a driver (not its resource tracker)."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
            command = (stat.parent / "cmdline").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if parent == driver and "spawn_main" in command:
            found.append(int(stat.parent.name))
    return found
