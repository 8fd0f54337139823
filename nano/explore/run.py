"""One command's work: open the folder and the storage, prepare data, search, confirm, report."""

from __future__ import annotations

import contextlib
import logging
import os
import platform
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from types import FrameType
from typing import Any

import optuna

from nano.data.cache import default_cache
from nano.data.sets import prepare_sets
from nano.errors import (
    EXIT_FEASIBLE,
    EXIT_INTERRUPTED,
    EXIT_NONE_FEASIBLE,
    EXIT_TERMINATED,
    NanoError,
    RunError,
)
from nano.evaluate.protocol import protocol_named
from nano.explore.caps import Caps
from nano.explore.folder import RunFolder, held, open_folder
from nano.explore.generator import CappedSampler, sampler_factory
from nano.explore.lab import judge
from nano.explore.promotion import Promotion
from nano.explore.search import Budget, Driver, chosen, finalists, nearest
from nano.explore.storage import Store, disk_full, open_storage
from nano.explore.study import StudyFile
from nano.explore.trainer import load_function
from nano.explore.watch import JsonLines, Lines, LiveTable, Quiet, terminal
from nano.explore.workers import Bench, Pool
from nano.records import Confirmation, Evaluation
from nano.report.numbers import count, decibels, mean_sd, signed_decibels
from nano.report.page import write_report
from nano.report.tables import write_trials_csv

_log = logging.getLogger("nano.explore")


@dataclass(frozen=True, kw_only=True)
class Options:
    """How to run a study; nothing here changes its results, but for when it ends.

    Attributes:
        out: Run folder.
        base: Folder of the study file.
        trials: Trials in all, or None for the study's own number.
        hours: No new trial after so many hours, or None.
        workers: Worker processes.
        storage: Optuna storage URL, or None for SQLite in the run folder.
        join: Add workers to a study that exists; confirm and report nothing.
        show: ``table``, ``lines``, ``json`` or ``quiet``.
        command: The command line, for run.json.
    """

    out: Path
    base: Path
    trials: int | None
    hours: float | None
    workers: int
    storage: str | None
    join: bool
    show: str
    command: Sequence[str]


class Interrupts:
    """First Ctrl-C or SIGTERM: asked to stop. Second: KeyboardInterrupt, at once."""

    def __init__(self) -> None:
        self.signal: int | None = None

    def __call__(self) -> bool:
        return self.signal is not None

    def _heard(self, signum: int, frame: FrameType | None) -> None:
        if self.signal is not None:
            raise KeyboardInterrupt
        self.signal = signum

    @contextlib.contextmanager
    def installed(self) -> Iterator[None]:
        """Listen while the block lasts."""
        old = {s: signal.signal(s, self._heard) for s in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for signum, handler in old.items():
                signal.signal(signum, handler)

    @property
    def exit_code(self) -> int:
        """130 for Ctrl-C, 143 for SIGTERM."""
        return EXIT_TERMINATED if self.signal == signal.SIGTERM else EXIT_INTERRUPTED


def explore(study: StudyFile, options: Options) -> int:
    """Run or resume a study; returns the exit code.

    Raises:
        NanoError: For what a person can mend; everything found so far is kept.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    caps = Caps(prototype=study.family(), requirements=study.requirements(), size=study.size)
    caps.check_reachable()
    if study.evaluate is not None:
        load_function(study.evaluate.callable, options.base)
    folder = open_folder(options.out)
    interrupts = Interrupts()
    owner = folder.path / "owners" / f"{uuid.uuid4().hex}.lock"
    with contextlib.ExitStack() as stack:
        stack.enter_context(held(owner, what="cannot be locked"))
        if not options.join:
            busy = "another process works on this run; wait for it, or add workers with --join"
            stack.enter_context(held(folder.path / ".lock", what=busy))
        stack.enter_context(_logging_to(folder.log))
        stack.enter_context(interrupts.installed())
        stack.callback(owner.unlink, missing_ok=True)
        try:
            return _run(study, options, folder, caps, owner, interrupts)
        except KeyboardInterrupt:
            return interrupts.exit_code
        except NanoError as error:
            _log.error("%s", error)
            raise
        except Exception as error:
            _log.exception("ended by")
            full = disk_full(error)
            if full is not None:
                raise full from error
            raise


def _run(
    study: StudyFile,
    options: Options,
    folder: RunFolder,
    caps: Caps,
    owner: Path,
    interrupts: Interrupts,
) -> int:
    began = time.monotonic()
    store = _open_store(study, options, folder, caps, owner)
    plain = study.plain()
    store.claim(plain, caps.prototype.space)
    watcher = _watcher(study, options)
    with contextlib.ExitStack() as stack:
        if isinstance(watcher, LiveTable):
            stack.enter_context(watcher)
        record = _record(study, options, folder, caps)
        if not options.join:
            folder.write_study(plain)
            folder.write_run(record)
            told, requeued = store.recover(caps.requirements)
            if told or requeued:
                again = ", ".join(f"#{n}" for n in requeued) or "none"
                watcher.note(f"resuming: {len(store.evaluations())} trials done, again: {again}")
            if not store.trials():
                _enqueue_first(store, caps)
        record["data"] = _prepare(study, options, watcher)
        if isinstance(watcher, LiveTable):
            watcher.resume(store.evaluations())
        pool = stack.enter_context(Pool(bench=_bench(study, options, folder), size=options.workers))
        driver = _driver(study, options, folder, caps, store, pool, watcher, interrupts)
        try:
            whole = driver.search()
            if options.join:
                return EXIT_FEASIBLE if whole else interrupts.exit_code
            confirmations = _confirm(study, driver, store) if whole else None
        except KeyboardInterrupt:
            pool.kill()
            driver.requeue_all()
            watcher.note("stopped at once; the same command goes on")
            raise
        finally:
            driver.requeue_all()
    return _conclude(study, folder, store, record, confirmations, interrupts, began, options)


def _open_store(
    study: StudyFile, options: Options, folder: RunFolder, caps: Caps, owner: Path
) -> Store:
    kind = study.generator.kind
    trials = options.trials or study.trials
    return Store(
        open_storage(options.storage or folder.storage_url),
        study.name,
        CappedSampler(sampler_factory(kind, caps.prototype, trials), caps, study.seed),
        caps.prototype,
        owner=owner,
        penalised=kind == "cmaes",
        join=options.join,
    )


def _enqueue_first(store: Store, caps: Caps) -> None:
    """The prototype first: the reference. Then the same, shrunk to the caps it is over."""
    preset = caps.prototype.preset
    store.enqueue(preset, "prototype")
    if not caps.fit(preset):
        knobs = caps.shrink(caps.prototype.knobs_of(preset), 0)
        store.enqueue(caps.prototype.design(caps.prototype.expand(knobs, 0)), "prototype, shrunk")


def _watcher(study: StudyFile, options: Options) -> Quiet:
    if options.show == "table":
        return terminal(study.name, options.trials or study.trials)
    if options.show == "json":
        return JsonLines(sys.stderr)
    return Lines(sys.stderr) if options.show == "lines" else Quiet()


def _prepare(study: StudyFile, options: Options, watcher: Quiet) -> dict[str, str]:
    """Render or read the data once, before any worker starts; returns the captions."""
    if study.evaluate is not None:
        return {"all": f"read by {study.evaluate.callable}"}
    shown: set[str] = set()

    def progress(split: str, done: int, total: int) -> None:
        if split not in shown:
            shown.add(split)
            watcher.note(f"preparing {split}: {total} images, once for all studies")
        watcher.tick()

    sets = prepare_sets(
        study.data, options.base, default_cache(), workers=cores(), progress=progress
    )
    return {name: getattr(sets, name).caption for name in ("train", "validation", "test")}


def cores() -> int:
    """Processors this process may use."""
    return len(os.sched_getaffinity(0))


def default_workers() -> int:
    """One on a GPU, else one per core: small trainings scale better side by side than in threads."""
    import torch

    return 1 if torch.cuda.is_available() else min(cores(), 8)


def _bench(study: StudyFile, options: Options, folder: RunFolder) -> Bench:
    import torch

    return Bench(
        study=study.plain(),
        base=options.base,
        run=folder.path.resolve(),
        cache=default_cache(),
        device="cuda" if torch.cuda.is_available() else "cpu",
        threads=max(1, cores() // options.workers),
    )


def _driver(
    study: StudyFile,
    options: Options,
    folder: RunFolder,
    caps: Caps,
    store: Store,
    pool: Pool,
    watcher: Quiet,
    interrupts: Interrupts,
) -> Driver:
    deadline = None if options.hours is None else time.monotonic() + 3600 * options.hours
    return Driver(
        store=store,
        pool=pool,
        folder=folder,
        judge=judge(study),
        promotion=Promotion(
            utility=study.weights(),
            requirements=caps.requirements,
            keep=study.stages.keep,
            finalists=study.stages.confirm.designs,
        ),
        budget=Budget(trials=options.trials or study.trials, deadline=deadline),
        watcher=watcher,
        size=study.size,
        origin=study.generator.kind,
        asked_to_stop=interrupts,
    )


def _confirm(study: StudyFile, driver: Driver, store: Store) -> list[Confirmation] | None:
    """Fresh seeds for the finalists, and for the prototype as the reference."""
    evaluations = store.evaluations()
    wanted = study.stages.confirm
    picked = finalists(evaluations, wanted.designs)
    reference = [e for e in evaluations if e.origin == "prototype" and e not in picked]
    images = study.trainings()[-1][1]
    if not picked:
        return []
    return driver.confirm([*picked, *reference], seeds=wanted.seeds, images=images)


def _conclude(
    study: StudyFile,
    folder: RunFolder,
    store: Store,
    record: dict[str, Any],
    confirmations: list[Confirmation] | None,
    interrupts: Interrupts,
    began: float,
    options: Options,
) -> int:
    """Write what is derived (best, run.json, trials.csv, report.html) and say what was found."""
    evaluations = store.evaluations()
    for evaluation in evaluations:
        if folder.evaluation(evaluation.number) != evaluation:
            folder.write_evaluation(evaluation)  # the storage is the truth
    best = chosen(confirmations, judge(study)) if confirmations else None
    if confirmations is None:
        code = interrupts.exit_code
    else:
        code = EXIT_FEASIBLE if best is not None else EXIT_NONE_FEASIBLE
    if best is not None:
        folder.write_best(best)
    reference = next((c for c in confirmations or [] if c.origin == "prototype"), None)
    earlier = folder.run().get("summary", {})
    summary = {
        "exit_code": code,
        "best": _claim(best),
        "reference": _claim(reference),
        "spend_images": sum(e.spend_images for e in evaluations)
        + sum(r.images for c in confirmations or [] for r in c.readings),
        "seconds": round(time.monotonic() - began + earlier.get("seconds", 0.0), 1),
        "busy_seconds": round(
            sum(e.seconds for e in evaluations)
            + sum(r.seconds for c in confirmations or [] for r in c.readings),
            1,
        ),
        "workers": options.workers,
    }
    folder.write_run({**record, "summary": {k: v for k, v in summary.items() if v is not None}})
    write_trials_csv(folder.path)
    page = write_report(folder.path)
    _say_result(study, folder, page, evaluations, best, reference, confirmations, code, options)
    return code


def _claim(confirmation: Confirmation | None) -> dict[str, Any] | None:
    if confirmation is None or confirmation.accuracy is None:
        return None
    claim = {
        "number": confirmation.number,
        "key": confirmation.key,
        "netscore": confirmation.netscore,
        "delta1": confirmation.accuracy.delta1,
        "delta1_sd": confirmation.delta1_sd,
        "abs_rel": confirmation.accuracy.abs_rel,
        "params": confirmation.cost.params,
        "macs": confirmation.cost.macs,
        "feasible": confirmation.feasible,
    }
    return {name: value for name, value in claim.items() if value is not None}


def _say_result(
    study: StudyFile,
    folder: RunFolder,
    page: Path,
    evaluations: Sequence[Evaluation],
    best: Confirmation | None,
    reference: Confirmation | None,
    confirmations: list[Confirmation] | None,
    code: int,
    options: Options,
) -> None:
    if options.show == "json":
        import json

        print(json.dumps({"event": "summary", **folder.run()["summary"]}, allow_nan=False))
        return
    lines = []
    if best is not None and best.accuracy is not None:
        lines.append(
            f"best #{best.number}: {decibels(best.netscore)}, delta1"
            f" {mean_sd(best.accuracy.delta1, best.delta1_sd)} over {len(best.readings)} fresh"
            f" seeds, {count(best.cost.params)} parameters, {count(best.cost.macs)} MACs"
        )
        if reference is not None and reference.netscore is not None and best.netscore is not None:
            gain = signed_decibels(best.netscore - reference.netscore)
            lines.append(f"against the prototype at the same spend: {gain}")
        lines.append(f"model: {folder.best}")
        lines.append(f"next: python -m nano.train {folder.best}")
    elif confirmations is None:
        lines.append(
            f"{len(evaluations)} of {options.trials or study.trials} trials done;"
            " the same command goes on"
        )
    else:
        lines.append(_none_feasible(evaluations, confirmations))
    lines.append(f"report: {page}")
    _log.info("ended with exit code %d: %s", code, lines[0])
    for text in lines:
        print(text)


def _none_feasible(evaluations: Sequence[Evaluation], confirmations: Sequence[Confirmation]) -> str:
    """The nearest design, and by how much it misses what."""
    failed = [c for c in confirmations if c.origin != "prototype"]
    if failed:
        close = min(failed, key=lambda c: sum(max(0.0, m) for m in c.margins.values()))
        number, margins = close.number, close.margins
        text = f"{len(failed)} designs looked feasible and none was confirmed with fresh seeds"
    else:
        near = nearest(evaluations)
        if near is None:
            return "none feasible: no design could be evaluated; log.txt tells why"
        number, margins = near.number, near.margins
        text = "none feasible"
    missed = ", ".join(f"{name} by {margin:.3g}" for name, margin in margins.items() if margin > 0)
    return f"{text}; nearest: #{number} misses {missed or 'only the safety'}"


# --- run.json ------------------------------------------------------------------------------------


def _record(study: StudyFile, options: Options, folder: RunFolder, caps: Caps) -> dict[str, Any]:
    before = folder.run()
    if before and before.get("study") != study.name:
        raise RunError(
            f"{folder.path}: holds the run of study {before.get('study')!r}; choose another --out"
        )
    weights = study.weights()
    known = study.evaluate is None
    protocol = protocol_named(study.data.protocol).describe() if known else "the user's own"
    command = {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "argv": list(options.command),
    }
    return {
        **before,
        "study": study.name,
        "about": study.about,
        "seed": study.seed,
        "space": caps.prototype.space,
        "generator": study.generator.kind,
        "versions": versions(),
        "commit": commit(),
        "machine": machine(),
        "protocol": protocol,
        "utility": weights.describe(),
        "requirements": [item.describe() for item in caps.requirements.items],
        "commands": [*before.get("commands", []), command],
    }


def versions() -> dict[str, str]:
    """Of the packages that results depend on."""
    names = ("depthnet-nano", "torch", "optuna", "numpy", "cmaes")
    found = {"python": platform.python_version()}
    for name in names:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def commit() -> str | None:
    """The package's git commit, when it runs from a clone."""
    here = Path(__file__).parent
    try:
        done = subprocess.run(
            ["git", "-C", str(here), "describe", "--always", "--dirty", "--abbrev=12"],
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def machine() -> dict[str, Any]:
    """What ran it: enough to read times with."""
    model = platform.processor()
    with contextlib.suppress(OSError):
        for entry in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if entry.startswith("model name"):
                model = entry.partition(":")[2].strip()
                break
    return {"system": platform.platform(), "processor": model, "cores": cores()}


@contextlib.contextmanager
def _logging_to(path: Path) -> Iterator[None]:
    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logger = logging.getLogger("nano")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        handler.close()
