"""The templates of docs/cluster, as far as a machine without SLURM and Kubernetes allows."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from toy_study import ROOT, Toy

from benchmarks import postgres
from nano.explore.__main__ import parser

CLUSTER = ROOT / "docs" / "cluster"
SBATCH = CLUSTER / "explore.sbatch"


def test_the_sbatch_script_is_bash_and_its_directives_stand_before_any_command() -> None:
    subprocess.run(["bash", "-n", SBATCH], check=True)
    lines = SBATCH.read_text().splitlines()
    last = max(i for i, line in enumerate(lines) if line.startswith("#SBATCH "))
    assert lines[0] == "#!/bin/bash"
    assert all(line.startswith("#") for line in lines[:last])  # SLURM stops at the first command


def test_the_jobs_of_kubernetes_are_whole_and_their_commands_are_ours() -> None:
    yaml = pytest.importorskip("yaml")
    driver, workers = yaml.safe_load_all((CLUSTER / "explore.yaml").read_text())
    for job in (driver, workers):
        assert (job["apiVersion"], job["kind"]) == ("batch/v1", "Job")
        pod = job["spec"]["template"]["spec"]
        (container,) = pod["containers"]
        assert container["command"] == ["python", "-m", "nano.explore"]
        options = parser().parse_args(container["args"])
        assert options.join == (job is workers)
        assert "password" not in options.storage
        mounted = {mount["name"] for mount in container["volumeMounts"]}
        assert mounted == {volume["name"] for volume in pod["volumes"]}
        assert pod["restartPolicy"] == "Never"  # podFailurePolicy and backoffLimitPerIndex ask so
    assert workers["spec"]["parallelism"] == workers["spec"]["completions"]


@pytest.mark.slow
@pytest.mark.skipif(postgres.missing() is not None, reason=postgres.missing() or "")
def test_tasks_of_the_array_share_a_study_whoever_comes_first(toy: Toy, tmp_path: Path) -> None:
    """With a made-up srun that runs what it is given."""
    srun = tmp_path / "bin" / "srun"
    srun.parent.mkdir()
    srun.write_text('#!/bin/bash\nexec "$@"\n')
    srun.chmod(0o755)
    toy.takes(0.5)
    with postgres.Server() as server:
        toy.storage = server.make("array")
        env = {
            **os.environ,
            "PATH": f"{srun.parent}:{os.environ['PATH']}",
            "PGPASSWORD": postgres.PASSWORD,
            "STUDY": str(toy.study),
            "STORAGE": toy.storage.replace(f":{postgres.PASSWORD}", ""),
            "RUNS": str(tmp_path),
            "PYTHON": sys.executable,
            "PAUSE": "1",
            "OMP_NUM_THREADS": "1",
            "XDG_CACHE_HOME": str(toy.folder),
        }
        tasks = []
        for number in ("1", "0"):  # the one that joins comes before there is a study
            task = {**env, "SLURM_ARRAY_TASK_ID": number}
            tasks.append(subprocess.Popen(["bash", SBATCH], cwd=ROOT, env=task))
        assert [task.wait(timeout=250) for task in tasks] == [0, 0]
        assert len(toy.evaluations()) == 8
    assert (tmp_path / "task-0" / "report.html").exists()
