"""``nano.explore --export`` and ``--import``: a study and its run folder as one file, and back.

What goes along: the stored study with all its trials, and the run folder's records, models, curves
and pictures. What stays: locks, the database file itself, checkpoints of trainings under way (an
interrupted training begins anew), and files that are not the run's.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from optuna.storages import RDBStorage
from sqlalchemy.exc import SQLAlchemyError

from nano.console import say
from nano.errors import InputError, OutputError, RunError
from nano.explore.archive import RUN, STUDY, TRIALS, Archive, is_of_run, opened, packing
from nano.explore.database import disk_full, open_storage
from nano.explore.folder import RunFolder
from nano.explore.rows import (
    StoredStudy,
    study_in,
    study_out,
    trial_in,
    trial_out,
)
from nano.explore.said import redacted, said
from nano.explore.storage import signature
from nano.explore.study import parse_study
from nano.files import from_plain, sync_folder, to_plain, unwritable
from nano.machine import versions

_STAYS = ("study.db", "owners", "checkpoints")  # and what begins with a dot


def export_run(folder: RunFolder, storage: str | None, file: Path) -> dict[str, Any]:
    """Write a run and its stored study to one file; safe while the study runs.

    Args:
        folder: The run.
        storage: URL of the storage, where it is not the folder's own.
        file: Where to; what is there is replaced once the new file is whole.

    Returns:
        What was written, in plain data.

    Raises:
        RunError: There is no such run or study.
        OutputError: The file cannot be written.
    """
    name = folder.run().get("study")
    if not isinstance(name, str):
        raise RunError(f"{folder.path}: has no run.json; give the run folder: --out DIR")
    stored = open_storage(folder.storage_url_or(storage), create=False)
    study = next((s for s in stored.get_all_studies() if s.study_name == name), None)
    if study is None or "study" not in study.user_attrs:
        raise RunError(f"{folder.path}: is of study {name!r}, which that storage does not hold")
    trials = stored.get_all_trials(study._study_id, deepcopy=False)
    ours, others = _files(folder.path)
    with packing(file, name, len(trials)) as packer:
        with packer.member(STUDY) as member:
            member.write(_line(study_out(study)))
        with packer.member(TRIALS) as member:
            for trial in sorted(trials, key=lambda trial: trial.number):
                member.write(_line(trial_out(trial)) + b"\n")
        for path in ours:
            with contextlib.suppress(FileNotFoundError):  # taken away while the study runs
                packer.add(RUN + path, folder.path / path)
    if others:
        more = ", ..." * (len(others) > 3)
        say(f"note: not of the run, and left out: {', '.join(others[:3])}{more}")
    return {"event": "exported", "study": name, "trials": len(trials), "file": str(file)}


def _line(value: object) -> bytes:
    return json.dumps(to_plain(value), separators=(",", ":")).encode()


def _files(folder: Path) -> tuple[list[str], list[str]]:
    """The run's own files, as named from the folder; and others that somebody put there."""
    ours, others = [], []
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink() or path.is_file():
            if not path.is_symlink() and is_of_run(name):
                ours.append(name)
            elif not name.startswith((".", *_STAYS)) and not path.name.startswith("."):
                others.append(name)
    return ours, others


def import_run(file: Path, out: Path | None, storage: str | None) -> dict[str, Any]:
    """Bring a study from a file into a new run folder and a storage: all of it, or nothing.

    Args:
        file: What `export_run` wrote.
        out: The run folder to make; ``runs/NAME`` where it is None.
        storage: URL of the storage; the folder's own where it is None.

    Returns:
        What was brought, in plain data.

    Raises:
        RunError: The file is damaged, foreign or of a newer version; or something is in the way.
        OutputError: The folder or the storage cannot be written.
    """
    with opened(file) as archive:
        study = _study(archive)
        folder = RunFolder(path=out or Path("runs") / study.name)
        _check_free(folder.path)
        try:
            folder.path.parent.mkdir(parents=True, exist_ok=True)
            if archive.unfolded > shutil.disk_usage(folder.path.parent).free:
                raise OutputError(f"{folder.path}: no room for {archive.unfolded:,} bytes")
            with _beside(folder.path) as part:
                for name in archive.of_run:
                    archive.unfold(name, part / name)
                trials = _bring(archive, study, folder, part, storage)
        except OSError as error:
            raise unwritable(folder.path, error) from error
    return {
        "event": "imported",
        "study": study.name,
        "trials": trials,
        "folder": str(folder.path),
        "by": archive.manifest.versions.get("depthnet-nano", "unknown"),
    }


def _study(archive: Archive) -> StoredStudy:
    """The study's own part, if this version understands it."""
    where = f"{archive.path}: {STUDY}"
    study = from_plain(StoredStudy, archive.json(STUDY), where, RunError)
    with _of_another_version(archive):
        settings = study.user_attrs.get("study")
        if not isinstance(settings, dict):
            raise RunError(f"{where}: no study of nano.explore")
        name = parse_study(settings, where).name
    if not name == study.name == archive.manifest.study:
        raise RunError(f"{where}: of three names: {name}, {study.name}, {archive.manifest.study}")
    return study


@contextlib.contextmanager
def _of_another_version(archive: Archive) -> Iterator[None]:
    """What cannot be read may be of a version that keeps more: say which."""
    try:
        yield
    except InputError as error:
        wrote = archive.manifest.versions.get("depthnet-nano", "unknown")
        here = versions()["depthnet-nano"]
        by = f" (written by version {wrote}, this is {here})" if wrote != here else ""
        raise RunError(f"{error}{by}") from error


def _check_free(path: Path) -> None:
    if path.is_symlink() or (path.exists() and (not path.is_dir() or any(path.iterdir()))):
        raise RunError(f"{path}: is there already; choose a new folder: --out DIR")


@contextlib.contextmanager
def _beside(path: Path) -> Iterator[Path]:
    """A folder next to ``path``, gone at the end of the block unless it took its place."""
    part = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent))
    try:
        part.chmod(0o755)
        yield part
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _bring(
    archive: Archive, study: StoredStudy, folder: RunFolder, part: Path, storage: str | None
) -> int:
    """The trials into the storage, and ``part`` to the run folder's place."""

    def take_place() -> None:
        os.sync()  # thousands of small files, at once
        part.replace(folder.path)
        sync_folder(folder.path.parent)

    own = RunFolder(path=part).storage_url
    stored = open_storage(storage or own)
    assert isinstance(stored, RDBStorage)
    try:
        # A database of its own moves with the folder, once it is whole; in another's the study
        # is seen once the folder is there.
        last = take_place if storage else lambda: None
        count = study_in(stored, study, _trials(archive, RunFolder(path=part)), last=last)
    except SQLAlchemyError as error:
        full = disk_full(error, folder.path)
        where = f"storage {redacted(storage or own)}"
        raise full or OutputError(f"{where}: cannot be written: {said(error)}") from error
    finally:
        stored.remove_session()
        stored.engine.dispose()
    if not storage:
        take_place()
    return count


def _trials(archive: Archive, part: RunFolder) -> Iterator[Any]:
    # The place of the locks moves with the folder; nobody holds this one.
    owner = signature(part.owner("import"))
    number = -1
    for number, plain in enumerate(archive.objects(TRIALS)):
        with _of_another_version(archive):
            yield trial_in(plain, number, f"{archive.path}: trial {number}", owner)
    if number + 1 != archive.manifest.trials:
        raise RunError(
            f"{archive.path}: {number + 1} trials where {archive.manifest.trials} are stated"
        )
