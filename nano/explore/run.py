"""One command's work: open the folder and the storage, prepare data, search; then conclude."""

from __future__ import annotations

import contextlib
import logging
import time
import uuid
from pathlib import Path

import optuna
from optuna.storages import RDBStorage

from nano.bench.turns import NotNow
from nano.data.cache import default_cache
from nano.data.sets import prepare_sets, sources
from nano.errors import EXIT_FEASIBLE, DeviceFailed, InputError, OutputError, RunError
from nano.explore.caps import Caps
from nano.explore.conclude import conclude, confirm
from nano.explore.database import disk_full, open_storage
from nano.explore.folder import RunFolder, held, open_folder
from nano.explore.gauge import Instrument, newer_than, other_than
from nano.explore.interrupts import Interrupts
from nano.explore.journal import Clock, account, logging_to
from nano.explore.kinds import study_sampler
from nano.explore.lab import instrument_of, judge
from nano.explore.locks import Locks, locks_of
from nano.explore.options import Options
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
from nano.machine import cores
from nano.networks.device import default_device, gpus

_log = logging.getLogger("nano.explore")


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
            confirmations = confirm(study, driver, store) if whole else None
        except KeyboardInterrupt:
            watcher.note("stopped at once; the same command goes on")
            raise
        finally:
            driver.give_back()
    return conclude(study, options, folder, store, clock, confirmations, interrupts, pool.size)


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
