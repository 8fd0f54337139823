"""The run folder: where everything a study makes is kept, and who may write there."""

from __future__ import annotations

import fcntl
import os
import shutil
import uuid
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import tomli_w

from nano.errors import OutputError, RunError
from nano.files import (
    from_plain,
    read_json,
    sync_folder,
    to_plain,
    unwritable,
    write_json,
    write_text,
)
from nano.records import (
    Confirmation,
    Evaluation,
    Reading,
    confirmation_from_plain,
    evaluation_from_plain,
    kept_model,
)

_AS_RUN = "# The study as run: overrides applied, defaults spelt out."
# What a start leaves that was killed before it wrote run.json; and a study.toml with `_AS_RUN`.
_BEGUN = ("owners", ".lock", "log.txt", "study.db*", ".study.*.part*", ".run.json.*.part")


@dataclass(frozen=True, kw_only=True)
class RunFolder:
    """Paths of one run; layout in the package's documentation of ``python -m nano.explore``."""

    path: Path

    @property
    def log(self) -> Path:
        """What happened, dated."""
        return self.path / "log.txt"

    @property
    def best(self) -> Path:
        """The chosen model."""
        return self.path / "best"

    @property
    def storage_url(self) -> str:
        """The SQLite storage of a study that names no other."""
        return f"sqlite:///{(self.path / 'study.db').resolve()}"

    def storage_url_or(self, url: str | None) -> str:
        """Where the study is kept: at ``url``, or without one here.

        Raises:
            RunError: There is neither.
        """
        if url is None and not (self.path / "study.db").is_file():
            raise RunError(
                f"{self.path}: has no study.db; is the study kept elsewhere? --storage URL"
            )
        return url or self.storage_url

    @property
    def has_trials(self) -> bool:
        """Whether any trial or confirmation was kept here."""
        return (self.path / "trials").exists() or (self.path / "confirm").exists()

    def trial(self, number: int) -> Path:
        """Folder of a trial."""
        return self.path / "trials" / f"{number:04d}"

    def confirm(self, key: str) -> Path:
        """Folder of a finalist's confirmation."""
        return self.path / "confirm" / key

    def checkpoint(self, key: str, stage: str, index: int) -> Path:
        """Where an interrupted training is kept: by design, so that any worker finds it."""
        return self.path / "checkpoints" / f"{key}-{stage.replace(' ', '-')}-{index}.pt"

    # --- records ---------------------------------------------------------------------------------

    def write_evaluation(self, evaluation: Evaluation) -> None:
        """Keep a trial's record and its design."""
        folder = self.trial(evaluation.number)
        write_json(folder / "design.json", evaluation.design)
        write_json(folder / "evaluation.json", evaluation)

    def evaluation(self, number: int) -> Evaluation | None:
        """The record that a trial has so far, if any."""
        path = self.trial(number) / "evaluation.json"
        return (
            evaluation_from_plain(read_json(path, RunError), str(path)) if path.exists() else None
        )

    def write_confirm_reading(self, key: str, index: int, reading: Reading) -> None:
        """Keep one fresh seed's reading."""
        write_json(self.confirm(key) / f"seed-{index}" / "reading.json", reading)

    def confirm_readings(self, key: str, seeds: int) -> dict[int, Reading]:
        """The readings of fresh seeds that were taken before, by number."""
        paths = {i: self.confirm(key) / f"seed-{i}" / "reading.json" for i in range(seeds)}
        return {
            i: from_plain(Reading, read_json(path, RunError), str(path), RunError)
            for i, path in paths.items()
            if path.exists()
        }

    def write_confirmation(self, confirmation: Confirmation) -> None:
        """Keep a finalist's confirmation."""
        write_json(self.confirm(confirmation.key) / "confirmation.json", confirmation)

    def confirmations(self) -> list[Confirmation]:
        """All confirmations kept."""
        paths = sorted((self.path / "confirm").glob("*/confirmation.json"))
        return [confirmation_from_plain(read_json(path, RunError), str(path)) for path in paths]

    def write_best(self, confirmation: Confirmation) -> None:
        """Copy the chosen network (see `kept_model`) and its numbers to ``best``."""
        model = kept_model(confirmation)
        metrics = to_plain(confirmation) | ({"model": to_plain(model)} if model else {})
        part = self.path / ".best.part"
        shutil.rmtree(part, ignore_errors=True)  # of a killed process
        try:
            part.mkdir()
            if model is not None:
                source = self.confirm(confirmation.key) / f"seed-{model.seed_index}"
                for name in ("design.json", "model.safetensors", "panel.png"):
                    shutil.copyfile(source / name, part / name)
            else:
                source = self.trial(confirmation.number)
                shutil.copyfile(source / "design.json", part / "design.json")
            write_json(part / "metrics.json", metrics)
            self.remove_best()
            part.replace(self.best)  # whole, or not there
            sync_folder(self.path)
        except OSError as error:
            raise unwritable(self.best, error) from error

    def remove_best(self) -> None:
        """Take back an earlier choice."""
        if self.best.exists():
            shutil.rmtree(self.best)

    def sweep(self) -> None:
        """Remove what killed processes left half-written; for when nobody else works here."""
        for part in list(self.path.rglob(".*.part")):
            if part.is_dir():  # a best/ that was being put together
                shutil.rmtree(part)
            else:
                part.unlink(missing_ok=True)

    def owner(self, name: str) -> Path:
        """Lock file that a process holds while it works here."""
        return self.path / "owners" / f"{name}.lock"

    def turn(self) -> AbstractContextManager[None]:
        """Held by one of a run's processes at a time; see `nano.explore.storage.Store.turn`."""
        return held(self.owner("turn"), busy=None)

    def sweep_owners(self) -> None:
        """Remove lock files of processes that died, in one's `turn`: no process begins in it."""
        for path in self.owner("turn").parent.glob("*.lock"):
            if path != self.owner("turn") and not is_held(path):
                path.unlink(missing_ok=True)

    def write_study(self, plain: Mapping[str, Any]) -> None:
        """study.toml, as run: overrides applied, defaults spelt out."""
        write_text(self.path / "study.toml", f"{_AS_RUN}\n\n{tomli_w.dumps(dict(plain))}")

    def write_run(self, record: Mapping[str, Any]) -> None:
        """run.json: versions, machine, seed, commands, and in the end the summary."""
        write_json(self.path / "run.json", record)

    def run(self) -> dict[str, Any]:
        """run.json as it stands; empty before the first run."""
        path = self.path / "run.json"
        if not path.exists():
            return {}
        record = read_json(path, RunError)
        if not isinstance(record, dict):
            raise RunError(f"{path}: holds a {type(record).__name__}; a run keeps a table there")
        return record


def open_folder(path: Path, study: str) -> RunFolder:
    """Make the run folder, or take the one of that study.

    Raises:
        RunError: The folder holds something else.
        OutputError: It cannot be made or written.
    """
    folder = RunFolder(path=path)
    try:
        if path.exists() and not path.is_dir():
            raise RunError(f"{path}: is a file; the run folder goes elsewhere: --out DIR")
        _check_ours(folder, study)
        path.mkdir(parents=True, exist_ok=True)
        if not os.access(path, os.W_OK):
            raise OutputError(f"{path}: cannot be written: permission denied; choose --out DIR")
    except OSError as error:
        raise unwritable(path, error) from error
    return folder


def _check_ours(folder: RunFolder, study: str) -> None:
    """Let nothing pass but a run of that study, begun or whole: runs overwrite and remove files."""
    path = folder.path
    holds = folder.run().get("study")
    if holds == study:
        return
    if holds is not None:
        raise RunError(
            f"{path}: holds the run of study {holds!r}; choose another folder: --out DIR"
        )
    foreign = _not_begun(path)
    if foreign:
        more = ", ..." * (len(foreign) > 3)
        raise RunError(
            f"{path}: holds files of something else ({', '.join(foreign[:3])}{more}) and no"
            f" run.json of study {study!r}; choose another folder: --out DIR"
        )


def _not_begun(path: Path) -> list[str]:
    """Names in a folder that no start of ours leaves before it writes run.json."""
    inside = sorted(path.iterdir()) if path.exists() else []
    if not any(entry.name == "owners" for entry in inside):  # the first thing that a start makes
        return [entry.name for entry in inside]
    return [
        entry.name
        for entry in inside
        if not any(fnmatchcase(entry.name, ours) for ours in _BEGUN) and not _is_as_run(entry)
    ]


def _is_as_run(path: Path) -> bool:
    if path.name != "study.toml":
        return False
    with path.open("rb") as file:
        return file.readline().rstrip() == _AS_RUN.encode()


@contextmanager
def held(path: Path, *, busy: str | None) -> Iterator[None]:
    """Hold a lock file for as long as the block lasts; the system frees it when we die.

    Args:
        path: The lock file; made when missing, never removed here.
        busy: What to say when another process holds it; None waits until it is free.

    Raises:
        RunError: Another process holds it.
        OutputError: The file cannot be made.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a")
    except OSError as error:
        raise unwritable(path, error) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (fcntl.LOCK_NB if busy else 0))
        except BlockingIOError as taken:
            raise RunError(f"{path.parent}: {busy}") from taken
        yield


def place_of(owners: Path) -> str:
    """A name of the folder that lock files lie in, made when there is none.

    Machines, and containers, may have the same host name and the same paths.
    """
    path = owners / "place"
    with held(owners / "turn.lock", busy=None):
        if not path.exists():
            write_text(path, uuid.uuid4().hex)
        return path.read_text(encoding="utf-8")


def is_held(path: Path) -> bool:
    """Whether some living process holds the lock file."""
    try:
        with path.open("r+") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False
