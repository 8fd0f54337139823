"""One command's work: open the folder and the storage, prepare data, search, confirm, report."""

from __future__ import annotations

import contextlib
import json
import logging
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import RDBStorage
from threadpoolctl import threadpool_limits

from nano.bench.turns import NotNow
from nano.data.cache import default_cache
from nano.data.sets import prepare_sets, sources
from nano.errors import EXIT_FEASIBLE, DeviceFailed, InputError, OutputError, RunError
from nano.explore.belief import Belief
from nano.explore.caps import Caps
from nano.explore.database import disk_full, open_storage
from nano.explore.findings import Findings, chosen, confirmed
from nano.explore.folder import RunFolder, held, open_folder
from nano.explore.gauge import Instrument, newer_than, other_than
from nano.explore.interrupts import Interrupts
from nano.explore.journal import Clock, account, logging_to
from nano.explore.kinds import study_sampler
from nano.explore.lab import instrument_of, judge
from nano.explore.lessons import lessons
from nano.explore.locks import Locks, locks_of
from nano.explore.outage import Outage
from nano.explore.promotion import Promotion
from nano.explore.ray_tasks import RayTasks
from nano.explore.said import redacted
from nano.explore.search import Budget, Driver
from nano.explore.storage import Store
from nano.explore.study import StudyFile
from nano.explore.trainer import load_function
from nano.explore.watch import JsonLines, Lines, LiveTable, Quiet, terminal
from nano.explore.workers import Bench, Pool, Workers
from nano.files import to_plain
from nano.machine import cores
from nano.networks.device import default_device, gpus
from nano.records import Confirmation, Evaluation
from nano.report.findings import headline
from nano.report.run import read_run
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
        workers: Worker processes, or None for as many as the machine, or the cluster, can carry.
        storage: Optuna storage URL, or None for SQLite in the run folder.
        join: Add workers to a study that exists; confirm and report nothing.
        show: ``table``, ``lines``, ``json`` or ``quiet``.
        command: The command line, for run.json.
    """

    out: Path
    base: Path
    trials: int | None
    hours: float | None
    workers: int | None
    storage: str | None
    join: bool
    show: str
    command: Sequence[str]


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
    else:
        sources(study.data, options.base)  # missing data are told before anything is written
    instrument = instrument_of(study, default_cache())
    if instrument is not None:
        instrument.check()  # likewise
    if options.join and not (options.storage or (options.out / "study.db").exists()):
        raise RunError(f"--join: no study in {options.out} yet; start it without --join first")
    folder = open_folder(options.out, study.name)
    interrupts = Interrupts()
    owner = folder.owner(uuid.uuid4().hex)
    with contextlib.ExitStack() as stack:
        stack.callback(owner.unlink, missing_ok=True)
        with folder.turn():  # whoever sweeps takes no lock file for dead that is about to be held
            stack.enter_context(held(owner, busy="cannot be locked"))
        if not options.join:
            busy = "another process works on this run; wait for it, or add workers with --join"
            stack.enter_context(held(folder.path / ".lock", busy=busy))
        stack.enter_context(logging_to(folder.log))
        stack.enter_context(interrupts.installed())
        try:
            return _run(study, options, folder, caps, owner, interrupts)
        except KeyboardInterrupt:
            return interrupts.exit_code
        except (InputError, OutputError) as error:
            _log.error("%s", error)
            raise
        except Exception as error:
            _log.exception("ended by")
            full = disk_full(error, folder.path)
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
    watcher = _watcher(study, options)
    storage = _open_storage(study, options, folder, watcher, interrupts)
    with contextlib.ExitStack() as stack:
        # The cores are the workers': threads of a BLAS that wait for them spin, and slow both.
        stack.enter_context(threadpool_limits(1, user_api="blas"))
        stack.callback(storage.engine.dispose)
        locks = locks_of(storage, study.name)
        if not options.join:
            stack.enter_context(locks.drive())
        store = _store(study, options, caps, owner, storage, locks)
        return _drive(study, options, folder, caps, store, watcher, interrupts)


def _drive(
    study: StudyFile,
    options: Options,
    folder: RunFolder,
    caps: Caps,
    store: Store,
    watcher: Quiet,
    interrupts: Interrupts,
) -> int:
    if store.is_new and folder.has_trials:
        raise RunError(
            f"{folder.path}: holds trials that the storage knows nothing of; bring back its"
            " study.db, or choose another folder: --out DIR"
        )
    store.claim(study.plain(), caps.prototype.space, caps.first())
    record = account(study, options.base, folder.run(), options.command, joined=options.join)
    clock = Clock(folder=None if options.join else folder, record=record)
    with contextlib.ExitStack() as stack:
        if isinstance(watcher, LiveTable):
            stack.enter_context(watcher)
        if not options.join or not folder.run():  # on another machine the folder is its own
            folder.write_study(study.plain())
            folder.write_run(record)
        if not options.join:
            _recover(store, folder, caps, watcher)
        _same_device(instrument_of(study, default_cache()), store, watcher, interrupts)
        record["data"] = _prepare(study, options, watcher, interrupts, clock)
        if isinstance(watcher, LiveTable):
            watcher.resume(store.evaluations())
        pool = stack.enter_context(_workers(study, options, folder))
        driver = _driver(study, options, folder, caps, store, pool, watcher, interrupts, clock)
        try:
            whole = driver.search()
            if options.join:
                return EXIT_FEASIBLE if whole else interrupts.exit_code
            confirmations = _confirm(study, driver, store) if whole else None
        except KeyboardInterrupt:
            watcher.note("stopped at once; the same command goes on")
            raise
        finally:
            driver.give_back()
    return _conclude(study, options, folder, store, clock, confirmations, interrupts, pool.size)


def _open_storage(
    study: StudyFile, options: Options, folder: RunFolder, watcher: Quiet, interrupts: Interrupts
) -> RDBStorage:
    url = options.storage or folder.storage_url
    outage = Outage(
        where=redacted(url),
        # Half of the grace: a driver that was cut off is back before others take it for dead.
        seconds=60 * study.workers.grace_minutes / 2,
        note=watcher.note,
        asked_to_stop=interrupts,
    )
    return open_storage(url, create=not options.join, outage=outage)


def _store(
    study: StudyFile, options: Options, caps: Caps, owner: Path, storage: RDBStorage, locks: Locks
) -> Store:
    kind = study.generator.kind
    trials = options.trials or study.trials
    return Store(
        storage,
        study.name,
        study_sampler(kind, caps, utility=study.weights(), seed=study.seed, trials=trials),
        caps.prototype,
        owner=owner,
        locks=locks,
        grace=60 * study.workers.grace_minutes,
        penalised=kind == "cmaes",
        join=options.join,
    )


def _recover(store: Store, folder: RunFolder, caps: Caps, watcher: Quiet) -> None:
    """Pick up what earlier processes left, and say so."""
    with store.turn():
        told, requeued = store.recover(caps.requirements)
        folder.sweep_owners()
    done = len(store.evaluations())
    if done or told or requeued:
        again = ", ".join(f"#{number}" for number in requeued) or "none"
        watcher.note(f"resuming: {done} trials done, interrupted: {again}")


def _same_device(
    instrument: Instrument | None, store: Store, watcher: Quiet, interrupts: Interrupts
) -> None:
    """Ask the device, and let no study compare the latencies of two.

    Raises:
        RunError: It does not answer, or earlier designs were measured on another one.
        InputError: It can never measure, e.g. has no such power mode.
    """
    if instrument is None:
        return
    try:
        now = instrument.decides(interrupts)
    except NotNow as stopped:
        raise KeyboardInterrupt from stopped
    except DeviceFailed as away:
        raise RunError(f"[device]: {away}") from away
    measured = [e.measurements[-1] for e in store.evaluations() if e.measurements]
    for one in measured:
        other = other_than(one, now)
        if other is not None:
            raise RunError(
                f"[device]: this study's designs were measured on another device ({other}); what"
                " two devices say cannot be compared: go on there, or begin anew with --out DIR"
            )
    newer = newer_than(measured[-1], now) if measured else []
    if newer:
        watcher.note(f"measured so far with other versions: {', '.join(newer)}")


def _watcher(study: StudyFile, options: Options) -> Quiet:
    if options.show == "table":
        return terminal(study.name, options.trials or study.trials)
    if options.show == "json":
        return JsonLines()
    return Lines() if options.show == "lines" else Quiet()


def _prepare(
    study: StudyFile, options: Options, watcher: Quiet, interrupts: Interrupts, clock: Clock
) -> dict[str, str]:
    """Render or read the data once, before any worker starts; returns the captions."""
    if study.evaluate is not None:
        return {"all": f"read by {study.evaluate.callable}"}
    shown: set[str] = set()

    def progress(split: str, done: int, total: int) -> None:
        if split not in shown:
            shown.add(split)
            watcher.note(f"preparing {split}: {total} images, once for all studies")
        watcher.tick()
        clock.tick()
        if interrupts():
            raise KeyboardInterrupt  # nothing is lost: the data are prepared again

    sets = prepare_sets(
        study.data, options.base, default_cache(), workers=cores(), progress=progress
    )
    return {name: getattr(sets, name).caption for name in ("train", "validation", "test")}


def default_workers() -> int:
    """One per GPU, else one per core: small trainings run better side by side than in threads."""
    return len(gpus()) or min(cores(), 8)


def threads_each(workers: int) -> int:
    """Of each worker: the cores shared out."""
    return max(1, cores() // workers)


def _workers(
    study: StudyFile, options: Options, folder: RunFolder
) -> contextlib.AbstractContextManager[Workers]:
    if study.workers.engine == "ray":
        bench = _bench(study, options, folder, study.workers.cpus)
        return RayTasks(bench=bench, table=study.workers, size=options.workers or 0)
    size = options.workers or default_workers()
    return Pool(bench=_bench(study, options, folder, threads_each(size)), size=size)


def _bench(study: StudyFile, options: Options, folder: RunFolder, threads: int) -> Bench:
    return Bench(
        study=study.plain(),
        base=options.base,
        run=folder.path.resolve(),
        cache=default_cache(),
        device=default_device(),
        threads=threads,
        gpus=gpus(),
    )


def _driver(
    study: StudyFile,
    options: Options,
    folder: RunFolder,
    caps: Caps,
    store: Store,
    pool: Workers,
    watcher: Quiet,
    interrupts: Interrupts,
    clock: Clock,
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
        budget=Budget(
            trials=options.trials or study.trials,
            deadline=deadline,
            patience=study.patience,
            trade_off=study.utility.trade_off,
        ),
        watcher=watcher,
        size=study.size,
        origin=study.generator.kind,
        asked_to_stop=interrupts,
        at_work=clock.tick,
        patient=not options.join,
        fresh_seeds=study.stages.confirm.seeds,
        final_images=study.trainings()[-1][1],
    )


def _confirm(study: StudyFile, driver: Driver, store: Store) -> list[Confirmation] | None:
    """Fresh seeds for the finalists, and for the prototype as the reference."""
    evaluations = store.evaluations()
    belief = _belief(study)
    return confirmed(
        evaluations,
        study.stages.confirm.designs,
        holds=lambda found: belief.holds(evaluations, found),
        confirm=driver.confirm,
        judge=driver.judge,
    )


def _belief(study: StudyFile) -> Belief:
    return Belief(
        Caps(prototype=study.family(), requirements=study.requirements(), size=study.size)
    )


def _lessons(
    study: StudyFile, evaluations: Sequence[Evaluation], best: Confirmation | None
) -> dict[str, Any]:
    """What the study taught about the chosen design; nothing where none was chosen."""
    around = next((e.design for e in evaluations if best is not None and e.key == best.key), None)
    belief = _belief(study)
    inquisitor = belief.inquisitor(evaluations) if around is not None else None
    if around is None or inquisitor is None:
        return {}
    return {"lessons": to_plain(lessons(inquisitor, belief.levels, around))}


def _conclude(
    study: StudyFile,
    options: Options,
    folder: RunFolder,
    store: Store,
    clock: Clock,
    confirmations: list[Confirmation] | None,
    interrupts: Interrupts,
    workers: int,
) -> int:
    """Write what is derived (best, run.json, trials.csv, report.html) and say what was found."""
    from nano.report.page import write_report  # matplotlib: no search should wait for it

    evaluations = store.evaluations()
    if confirmations is not None:
        folder.sweep()
    for evaluation in evaluations:
        if folder.evaluation(evaluation.number) != evaluation:
            folder.write_evaluation(evaluation)  # the storage is the truth
    held = _belief(study).holds(evaluations, confirmations) if confirmations else {}
    found = Findings(
        evaluations=tuple(evaluations),
        confirmations=None if confirmations is None else tuple(confirmations),
        kept=tuple(folder.confirmations()),
        best=chosen(confirmations or [], judge(study), held),
        trials=options.trials or study.trials,
        trade_off=study.utility.trade_off,
    )
    code = interrupts.exit_code if confirmations is None else found.exit_code
    if found.best is not None:
        folder.write_best(found.best)
    elif confirmations is not None:
        folder.remove_best()
    summary = found.summary() | {
        **_lessons(study, evaluations, found.best),
        "exit_code": code,
        "seconds": clock.total(),
        "workers": workers,
    }
    store.conclude(found.best, found.kept)
    folder.write_run({**clock.record, "summary": summary})
    write_trials_csv(folder.path)
    page = write_report(folder.path)
    answer = headline(read_run(folder.path))  # the same words on the terminal and on the page
    _log.info("ended with exit code %d: %s", code, answer)
    if options.show == "json":
        print(json.dumps({"event": "summary", **summary}, allow_nan=False))
        return code
    if confirmations is None:
        print(f"{len(evaluations)} of {found.trials} trials done; the same command goes on")
    print(answer)
    if found.best is not None and study.evaluate is None:
        print(f"model: {folder.best}")
        print(f"next: python -m nano.train {folder.best} --data {folder.path / 'study.toml'}")
    elif found.best is not None:
        print(f"design: {folder.best / 'design.json'}")
    print(f"report: {page}")
    return code
