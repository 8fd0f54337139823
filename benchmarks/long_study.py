"""What a study of 10,000 trials costs to go on with, to report, to look at and to carry away.

``python -m benchmarks.run long_study`` makes up the history (see `benchmarks.proposing`: the quick
study's designs, accuracies by a power law with noise, a rung for all and a final training for every
third), stores it as the explorer does, and runs the commands on it, each in a process of its own. A
user's function that answers at once stands in for training: all that is timed is the explorer's.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState

from benchmarks.proposing import made_up
from nano.explore.__main__ import default_study
from nano.explore.caps import Caps
from nano.explore.database import open_storage
from nano.explore.folder import RunFolder
from nano.explore.rows import StoredStudy, study_in
from nano.explore.samplers import FIXED, GENOME, NOTES, SEED, space
from nano.explore.stages import Judge
from nano.explore.storage import searched_margins
from nano.explore.study import StudyFile, read_study
from nano.files import to_plain
from nano.records import Evaluation

TRIALS = 10_000
FUNCTION = """
import os, time
from pathlib import Path

def score(design, *, images, seed):
    spent = Path(f"/proc/{os.getppid()}/stat").read_text().rpartition(")")[2].split()
    ticks = int(spent[11]) + int(spent[12])  # user and system, of the process that proposes
    with Path(__file__).with_name("calls.txt").open("a") as calls:
        calls.write(f"{time.time()} {ticks / os.sysconf('SC_CLK_TCK')}\\n")
    return {"delta1": 0.57 + seed % 1000 * 1e-5, "abs_rel": 0.3}
"""
ASKED = {"resume_seconds": "<= 10", "report_seconds": "<= 30"}


def measure(trials: int = TRIALS) -> dict[str, Any]:
    """Wall seconds and peak memory of every command on a made-up study."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        make(home, trials)
        return timed(home, trials)


def timed(home: Path, trials: int) -> dict[str, Any]:
    """The same of a study that `make` made; it grows by a trial."""
    study, run = str(home / "study.toml"), str(home / "run")
    report = _command("nano.report", run)
    page = _dashboard(run, trials)
    archive, new = str(home / "study.zip"), str(home / "new")
    export = _command("nano.explore", "--out", run, "--export", archive)
    brought = _command("nano.explore", "--import", archive, "--out", new)
    began = time.time()
    more = ("--trials", str(trials + 1), "--workers", "1", "--quiet")
    explore = _command("nano.explore", study, "--out", run, *more)
    first, spent = map(float, (home / "calls.txt").read_text().split()[:2])
    return {
        "trials": trials,
        "resume_seconds": round(first - began, 1),
        "resume_processor_seconds": round(spent, 1),
        "resume_means": "from the start of the command to the first training of a new design",
        "explore": explore,
        "explore_means": "the same command to its end: a trial, confirmations, records, report",
        "report_seconds": report["seconds"],
        "report_processor_seconds": report["processor_seconds"],
        "load_average": [round(load, 1) for load in os.getloadavg()],
        "report": report,
        "report_megabytes": _megabytes(home / "run" / "report.html"),
        "dashboard": page,
        "export": {**export, "megabytes": _megabytes(home / "study.zip")},
        "import": brought,
        "storage_megabytes": _megabytes(home / "run" / "study.db"),
    }


def _command(module: str, *words: str) -> dict[str, float]:
    """Wall and processor seconds of a command, and the peak memory of its largest process."""
    began = time.monotonic()
    process = subprocess.Popen([sys.executable, "-m", module, *words], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in (0, 3):
        raise RuntimeError(f"{module} {' '.join(words)} ended with {process.returncode}")
    return {
        "seconds": round(time.monotonic() - began, 1),
        "processor_seconds": round(usage.ru_utime + usage.ru_stime, 1),
        "peak_megabytes": round(usage.ru_maxrss / 1024),
    }


def _dashboard(run: str, trials: int) -> dict[str, Any]:
    """What the page asks for when it is opened, and again every few seconds."""
    began = time.monotonic()
    command = [sys.executable, "-m", "nano.dashboard", run, "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        root, _, study = process.stdout.readline().strip().partition("/dashboard/studies/")
        found: dict[str, Any] = {"listening_seconds": round(time.monotonic() - began, 1)}
        for name in ("first", "second"):
            started = time.monotonic()
            with urllib.request.urlopen(f"{root}/api/studies/{study}") as answer:
                found["megabytes"] = round(len(answer.read()) / 1e6, 1)
            found[f"{name}_seconds"] = round(time.monotonic() - started, 2)
        started = time.monotonic()
        with urllib.request.urlopen(f"{root}/api/studies/{study}?after={trials - 1}") as answer:
            answer.read()
        found["news_seconds"] = round(time.monotonic() - started, 2)
    finally:
        process.terminate()
        _, _, usage = os.wait4(process.pid, 0)
        process.returncode = 0
    spent = round(usage.ru_utime + usage.ru_stime, 1)
    return {**found, "processor_seconds": spent, "peak_megabytes": round(usage.ru_maxrss / 1024)}


def _megabytes(path: Path) -> float:
    return round(path.stat().st_size / 1e6, 1)


def make(home: Path, trials: int) -> None:
    """study.toml, the user's function, and a run folder with its study.db."""
    text = default_study().read_text() + '\n[evaluate]\ncallable = "at_once:score"\n'
    (home / "study.toml").write_text(text)
    (home / "at_once.py").write_text(FUNCTION)
    study = read_study(home / "study.toml")
    caps = Caps(prototype=study.family(), requirements=study.requirements(), size=study.size)
    judge = Judge(utility=study.weights(), requirements=study.requirements())
    found = [_as_kept(e) for e in made_up(caps, judge, study.trainings(), trials)]
    folder = RunFolder(path=home / "run")
    for evaluation in found:
        place = folder.trial(evaluation.number)
        place.mkdir(parents=True)
        (place / "evaluation.json").write_text(json.dumps(to_plain(evaluation), indent=1))
        (place / "design.json").write_text(json.dumps(to_plain(evaluation.design), indent=1))
    folder.write_study(study.plain())
    requirements = [item.describe() for item in study.requirements().items]
    folder.write_run({"study": study.name, "requirements": requirements, "commands": []})
    storage = open_storage(folder.storage_url)
    assert isinstance(storage, RDBStorage)
    attributes = {"study": study.plain(), "space": caps.prototype.space}
    names = {"study:metric_names": ["NetScore (dB)"]}
    stored = StoredStudy(name=study.name, user_attrs=attributes, system_attrs=names)
    study_in(storage, stored, _trials(study, caps, found), last=lambda: None)


def _as_kept(evaluation: Evaluation) -> Evaluation:
    """As the learned search leaves it: with what it expected, and why it ended early."""
    delta1 = evaluation.accuracy.delta1 if evaluation.accuracy else 0.5
    way = "imagined" if evaluation.number % 4 else "drawn"
    notes = {"way": way, "judged": 960, "entropy": 0.5, "delta1": delta1, "delta1_sd": 0.01}
    early = evaluation.stage != "final"
    return replace(
        evaluation,
        origin="prototype" if evaluation.number == 0 else "generator-inquisitor",
        reason=f"not among the best of {evaluation.stage}" if early else None,
        predicted={"delta1": delta1 + 0.01, "abs_rel": 0.3, "sd": 0.01} if early else None,
        proposal={**notes, "abs_rel": 0.3, "p_feasible": 0.5},
        seconds=1.0,
    )


def _trials(study: StudyFile, caps: Caps, found: Sequence[Evaluation]) -> Iterator[FrozenTrial]:
    """As `nano.explore.storage.Store` leaves them."""
    prototype, kinds = caps.prototype, space(caps.prototype)
    began = datetime(2026, 1, 1)
    for evaluation in found:
        complete = evaluation.stage == "final"
        knobs = {**prototype.knobs_of(evaluation.design), SEED: evaluation.seed}
        margins = searched_margins(evaluation, study.requirements())
        when = began + timedelta(minutes=evaluation.number)
        yield FrozenTrial(
            number=evaluation.number,
            state=TrialState.COMPLETE if complete else TrialState.PRUNED,
            value=evaluation.netscore,
            datetime_start=when,
            datetime_complete=when + timedelta(minutes=1),
            params=knobs,
            distributions=kinds,
            user_attrs={
                "owner": {"host": "elsewhere", "lock": "/gone"},
                "origin": evaluation.origin,
                "proposal": dict(evaluation.proposal),
                "key": evaluation.key,
                "design": to_plain(evaluation.design),
                "evaluation": to_plain(evaluation),
            },
            system_attrs={
                NOTES: dict(evaluation.proposal),
                GENOME: list(prototype.genome_of(evaluation.design)),
                FIXED: knobs,
                **{f"constraints:{name}": margin for name, margin in margins.items()},
            },
            intermediate_values={}
            if complete
            else {evaluation.spend_images: evaluation.netscore or 0.0},
            trial_id=-1,
        )


def main() -> None:
    """Make a study in the folder named, once, and time it: for whoever profiles."""
    home, trials = Path(sys.argv[1]), int(sys.argv[2])
    if not (home / "run").exists():
        home.mkdir(parents=True, exist_ok=True)
        make(home, trials)
    for left in ("new", "study.zip", "calls.txt"):
        shutil.rmtree(home / left, ignore_errors=True)
        (home / left).unlink(missing_ok=True)
    print(json.dumps(timed(home, trials), indent=1))


if __name__ == "__main__":
    main()
