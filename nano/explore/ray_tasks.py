"""Trainings as tasks of a Ray cluster; the driver asks, decides and tells as for processes.

A task takes a design to its next decision and returns it; the answer begins the next task. So a
task is a function of what it is given, and Ray runs it again elsewhere when its node is lost. Where
tasks run and on which GPU is Ray's to decide: there is no scheduler here.

Every node needs the package, and the run folder and the study's folder under the same paths, as on
a shared disk: checkpoints, curves and models are written there.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from nano.errors import MissingPackage, RunError
from nano.explore.lab import build_lab
from nano.explore.serve import Undecided, do
from nano.explore.tables import WorkersTable
from nano.explore.workers import Bench, Broken, Deciding, Died, Halted, Message, Search, Task
from nano.networks.device import default_device
from nano.records import Evaluation

Answers = dict[str, tuple[bool, Mapping[str, float] | None]]  # by stage


def _check_answers(address: str) -> None:
    """Ray itself would try for minutes."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():  # none, or a word of Ray's such as auto
        return
    host = host.removeprefix("ray://")
    try:
        socket.create_connection((host, int(port)), timeout=10).close()
    except OSError as error:
        raise RunError(f"RAY_ADDRESS={address}: no Ray cluster answers there: {error}") from error


def carry(bench: Bench, task: Task, answers: Answers) -> Message:
    """Take a task to its end, or to the first decision that ``answers`` does not hold."""
    asked_to_stop: list[int] = []
    # Ray's way to cancel a task is Ctrl-C in its process; a training keeps its checkpoint then.
    signal.signal(signal.SIGINT, lambda signum, frame: asked_to_stop.append(signum))

    def decide(evaluation: Evaluation) -> tuple[bool, Mapping[str, float] | None]:
        if evaluation.stage not in answers:
            raise Undecided(evaluation)
        return answers[evaluation.stage]

    try:
        here = replace(bench, device=default_device())  # the driver may sit where no GPU is
        return do(task, build_lab(here, decide, lambda: bool(asked_to_stop)))
    except Undecided as waiting:
        return Deciding(evaluation=waiting.evaluation)


@dataclass(kw_only=True)
class _Place:
    """What one of the workers is about: a task, and the reference of what Ray will return."""

    task: Task
    answers: Answers = field(default_factory=dict)
    reference: Any = None


@dataclass(kw_only=True)
class RayTasks:
    """As many tasks at a time as there are places; see `nano.explore.workers.Workers`.

    Attributes:
        bench: What they work with.
        table: The study's wishes for a task.
        size: Places; 0 until the cluster is known, where nobody says how many.
    """

    bench: Bench
    table: WorkersTable
    size: int
    _places: dict[int, _Place] = field(default_factory=dict)
    _stopping: bool = False
    _ray: Any = None
    _remote: Any = None

    def __enter__(self) -> RayTasks:
        try:
            import ray
        except ImportError as missing:
            raise MissingPackage(
                '[workers] engine = "ray" needs Ray: pip install "depthnet-nano[ray]"'
            ) from missing
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent to anybody
        handlers = {s: signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)}
        _check_answers(os.environ.get("RAY_ADDRESS", ""))
        self._ray = ray
        self._ray.init(log_to_driver=False, logging_level=logging.ERROR)
        for signum, handler in handlers.items():
            signal.signal(signum, handler)  # Ray takes them
        there = self._ray.cluster_resources()
        gpus = self.table.gpus if there.get("GPU") else 0
        self.size = self.size or self._room(there, gpus)
        self._remote = self._ray.remote(carry).options(
            num_cpus=self.table.cpus, num_gpus=gpus, max_retries=self.table.retries
        )
        return self

    def _room(self, there: Mapping[str, float], gpus: float) -> int:
        by_cpus = there["CPU"] // self.table.cpus
        return max(1, int(min(by_cpus, there["GPU"] // gpus) if gpus else by_cpus))

    def __exit__(self, *_: object) -> None:
        self.kill()
        self._ray.shutdown()

    def idle(self) -> list[int]:
        """Places without a task."""
        return [i for i in range(self.size) if i not in self._places]

    def tasks(self) -> list[Task]:
        """What is being worked on."""
        return [place.task for place in self._places.values()]

    def task_of(self, i: int) -> Task | None:
        """What place ``i`` is about."""
        return self._places[i].task if i in self._places else None

    def wake(self, i: int) -> None:
        """Ray starts its processes when there are tasks."""

    def give(self, i: int, task: Task) -> None:
        """Begin a task."""
        self._places[i] = _Place(task=task)
        self._begin(self._places[i])

    def answer(self, i: int, go_on: bool, outlook: Mapping[str, float] | None) -> None:
        """Go on from a decision, in a task of its own."""
        place = self._places[i]
        place.answers[place.task.evaluation.stage] = (go_on, outlook)
        if not self._stopping:  # else `messages` frees the place
            self._begin(place)

    def _begin(self, place: _Place) -> None:
        place.reference = self._remote.remote(self.bench, place.task, place.answers)

    def stop(self) -> None:
        """Ask all tasks to end at their next batch."""
        self._stopping = True
        for place in self._places.values():
            if place.reference is not None:
                self._ray.cancel(place.reference)

    def kill(self) -> None:
        """End all tasks at once."""
        for place in self._places.values():
            if place.reference is not None:
                self._ray.cancel(place.reference, force=True)
        self._places = {}

    def messages(self, timeout: float) -> list[tuple[int, Message]]:
        """What came within ``timeout`` seconds."""
        under_way = {p.reference: i for i, p in self._places.items() if p.reference is not None}
        if under_way:
            ready, _ = self._ray.wait(list(under_way), timeout=timeout)
        else:
            ready = []
            time.sleep(timeout)
        said = [(under_way[reference], self._received(reference)) for reference in ready]
        if self._stopping:
            waiting = [i for i, p in self._places.items() if p.reference is None]
            said += [(i, Halted()) for i in waiting]
        for i, message in said:
            if isinstance(message, Deciding):
                self._places[i].task = Search(evaluation=message.evaluation)
                self._places[i].reference = None
            else:
                del self._places[i]
        return said

    def _received(self, reference: Any) -> Message:
        try:
            message: Message = self._ray.get(reference)
        except self._ray.exceptions.TaskCancelledError:
            return Halted()
        except self._ray.exceptions.RayTaskError as error:
            return Broken(error=None, text=str(error))  # before our own code caught anything
        except self._ray.exceptions.RayError:
            return Died(exit_code=None)  # again and again, for Ray had tried anew
        return message
