"""[workers] engine = "ray": two nodes on this machine, as far as Ray goes without more."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from optuna.trial import TrialState
from toy_study import Toy, wait_until

RAY = ("--set", "workers.engine=ray", "--workers", "2")


class Cluster:
    """Ray's processes for two nodes; each has a processor and a GPU that is only a number."""

    def __init__(self) -> None:
        from ray.cluster_utils import Cluster as Nodes

        self.nodes = Nodes(initialize_head=True, head_node_args={"num_cpus": 1, "num_gpus": 1})
        self.second = self.nodes.add_node(num_cpus=1, num_gpus=1)

    def lose_one(self) -> None:
        self.nodes.remove_node(self.second, allow_graceful=False)

    def workers(self) -> list[int]:
        """Processes that run a task of ours."""
        found = []
        for status in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                named = status.read_text().startswith("ray::carry")
            except OSError:
                continue
            if named:
                found.append(int(status.parent.name))
        return found


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    pytest.importorskip("ray", reason="no Ray here: pip install 'depthnet-nano[ray]'")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    made = Cluster()
    monkeypatch.setenv("RAY_ADDRESS", made.nodes.address)
    yield made
    made.nodes.shutdown()


def delta1(toy: Toy, stage: str) -> dict[tuple[int, str], float]:
    """What the trainings of a stage said, by trial and design.

    Which designs go on from a rung depends on who has been read by then, so on how fast each node
    is; what a training says does not.
    """
    return {
        (evaluation.number, evaluation.key): reading.accuracy.delta1
        for evaluation in toy.evaluations()
        for reading in evaluation.readings
        if reading.stage == stage and reading.accuracy
    }


pytestmark = pytest.mark.slow


def test_a_study_on_a_cluster_finds_what_it_finds_on_one_machine(
    toy: Toy, tmp_path: Path, cluster: Cluster
) -> None:
    whole = ("--set", "stages.rungs=[]")
    alone = toy.copy(tmp_path / "alone")
    assert alone(*whole).code == 0
    toy.define(
        (toy.folder / f"{toy.module}.py").read_text() + "plain = score\n"
        "def score(design, *, images, seed):\n"
        "    import ray\n"
        "    here = os.environ['CUDA_VISIBLE_DEVICES'], ray.get_runtime_context().get_node_id()\n"
        "    (HERE / f'{here[1]}-{here[0]}').touch()\n"
        "    return plain(design, images=images, seed=seed)\n"
    )
    process = toy.start(*RAY, *whole)
    _, err = process.communicate(timeout=200)
    assert process.returncode == 0, err
    assert len(delta1(toy, "final")) == 8
    assert delta1(toy, "final") == delta1(alone, "final")
    assert (toy.run / "best" / "design.json").read_text() == (
        alone.run / "best" / "design.json"
    ).read_text()
    seen = [path.name.rpartition("-") for path in toy.folder.glob("*-0")]
    assert len({node for node, _, gpu in seen}) == 2  # a GPU of each node, one task on it


def test_a_node_and_a_worker_that_are_lost_lose_nothing(
    toy: Toy, finished: tuple[Toy, object], cluster: Cluster
) -> None:
    toy.takes(1.0)
    process = toy.start(*RAY)
    wait_until(lambda: len(toy.calls()) >= 3 and cluster.workers(), process)
    os.kill(cluster.workers()[0], signal.SIGKILL)
    wait_until(lambda: len(toy.calls()) >= 6, process)
    cluster.lose_one()
    _, err = process.communicate(timeout=200)
    assert process.returncode == 0, err
    assert [trial.number for trial in toy.trials()] == list(range(8))
    assert delta1(toy, "rung 1") == delta1(finished[0], "rung 1")


def test_ctrl_c_stops_a_study_on_a_cluster_in_order(toy: Toy, cluster: Cluster) -> None:
    toy.takes(1.0)
    process = toy.start(*RAY)
    wait_until(lambda: len(toy.calls()) >= 3, process)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130 and "Traceback" not in err, err
    assert TrialState.RUNNING not in {trial.state for trial in toy.trials()}
    toy.takes(0)
    assert toy().code == 0
    assert len(toy.evaluations()) == 8


def test_a_cluster_that_is_not_there_is_one_line(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ray")
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    process: subprocess.Popen[str] = toy.start(*RAY)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 2, err
    assert err.splitlines()[-1].startswith("error: RAY_ADDRESS=127.0.0.1:1: no Ray cluster answers")
    assert "Traceback" not in err
