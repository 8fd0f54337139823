"""A run folder, read once: what is there, and what is missing or damaged, in words."""

from __future__ import annotations

import csv
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from nano.design.kinds import AnyDesign, read_design
from nano.errors import InputError, RunError, StudyError
from nano.files import from_plain, read_json
from nano.records import (
    Confirmation,
    Evaluation,
    KeptModel,
    confirmation_from_plain,
    evaluation_from_plain,
)
from nano.score import AT_MOST_COUNTED, AT_MOST_MEASURED, Requirements

Record = TypeVar("Record")
_PNG = b"\x89PNG\r\n\x1a\n"
_CURVE_COLUMNS = {"stage", "step", "images", "loss", "learning_rate"}


@dataclass(frozen=True, kw_only=True)
class CurveRow:
    """One line of a trial's curve.csv: the loss after ``images`` training images of a stage."""

    stage: str
    step: int
    images: int
    loss: float


@dataclass(frozen=True, kw_only=True)
class Run:
    """Everything a report is made from.

    Attributes:
        folder: The run folder.
        name: The study's name.
        about: run.json, or empty.
        study: study.toml, or empty.
        requirements: The indicator; empty when no record tells it.
        evaluations: By trial number.
        confirmations: By NetScore, best first.
        best_design: best/design.json, if there is one.
        best_model: Which network lies in best/, by best/metrics.json; None without a network.
        panel: best/panel.png as bytes, if there is one.
        problems: What is missing or damaged, one sentence each.
    """

    folder: Path
    name: str
    about: Mapping[str, Any]
    study: Mapping[str, Any]
    requirements: Requirements
    evaluations: tuple[Evaluation, ...]
    confirmations: tuple[Confirmation, ...]
    best_design: AnyDesign | None
    best_model: KeptModel | None
    panel: bytes | None
    problems: tuple[str, ...]

    @property
    def summary(self) -> Mapping[str, Any]:
        """run.json's summary, filled at the end of a study; empty before."""
        summary = self.about.get("summary")
        return summary if isinstance(summary, Mapping) else {}

    @property
    def joined(self) -> bool:
        """Whether the folder is of a machine that only added workers: its answer is elsewhere."""
        return self.about.get("joined") is True

    def told_by(self, stored: Run) -> Run:
        """With the trials that the storage knows; and with its answer, where none is made here."""
        if not self.joined:
            return replace(self, evaluations=stored.evaluations)
        return replace(
            self,
            about={**self.about, **stored.about},
            evaluations=stored.evaluations,
            confirmations=stored.confirmations,
        )

    @property
    def trade_off(self) -> tuple[str, ...]:
        """Costs that the study minimises beside the score, counted or measured."""
        utility = self.study.get("utility")
        names = utility.get("trade_off") if isinstance(utility, Mapping) else None
        names = names if isinstance(names, list) else []
        return tuple(name for name in names if name in (*AT_MOST_COUNTED, *AT_MOST_MEASURED))

    @property
    def seconds(self) -> float | None:
        """Wall time of all commands of the run; None where no command kept it."""
        commands = self.about.get("commands")
        commands = commands if isinstance(commands, list) else []
        tables = [one for one in commands if isinstance(one, Mapping)]
        kept = [one["seconds"] for one in tables if isinstance(one.get("seconds"), int | float)]
        return sum(kept) if kept else None

    @property
    def chosen_key(self) -> str | None:
        """Key of the design that the study chose: run.json's summary, else best/design.json."""
        best = self.summary.get("best")
        if isinstance(best, Mapping) and isinstance(best.get("key"), str):
            return str(best["key"])
        return self.best_design.key if self.best_design else None

    def curve(self, number: int) -> tuple[CurveRow, ...]:
        """The learning curve of a trial; empty when it has none.

        Raises:
            RunError: For a curve.csv with other columns or values that are no numbers.
        """
        path = self.folder / "trials" / f"{number:04d}" / "curve.csv"
        return _read_curve(path) if path.is_file() else ()

    def confirmed_panel(self, key: str) -> bytes | None:
        """What a finalist saw, retrained with the first of the fresh seeds; None without it.

        Raises:
            RunError: It is no PNG picture.
        """
        return _png(self.folder / "confirm" / key / "seed-0" / "panel.png")


def read_run(folder: Path, stored: Sequence[Evaluation] | None = None) -> Run:
    """Read every record of a run folder; damaged ones are left out and named in ``problems``.

    Args:
        folder: The run folder.
        stored: The trials as the storage knows them, in place of those that the folder keeps.

    Raises:
        RunError: When the folder is no run: a report is written into it.
    """
    if not (folder / "run.json").is_file():
        found = "has no run.json" if folder.is_dir() else "is no such folder"
        raise RunError(
            f"{folder}: {found}; give the run folder that python -m nano.explore wrote (--out)"
        )
    problems: list[str] = []
    about = _kept(lambda: _table(folder / "run.json"), problems) or {}
    study = _kept(lambda: _study(folder / "study.toml"), problems) or {}
    evaluations = list(stored or ())
    if stored is None:
        evaluations = _records(folder, "trials/*/evaluation.json", evaluation_from_plain, problems)
    confirmations = _records(
        folder, "confirm/*/confirmation.json", confirmation_from_plain, problems
    )
    if stored is None:
        _name_missing(folder, evaluations, problems)
    evaluations = [e for e in evaluations if not _unfinished(e, problems)]
    best = folder / "best" / "design.json"
    return Run(
        folder=folder,
        name=str(about.get("study") or study.get("name") or folder.resolve().name),
        about=about,
        study=study,
        requirements=_requirements(about, study, problems),
        evaluations=tuple(sorted(evaluations, key=lambda e: e.number)),
        confirmations=_by_score(confirmations),
        best_design=_kept(lambda: read_design(best), problems) if best.is_file() else None,
        best_model=_kept(lambda: _best_model(folder / "best" / "metrics.json"), problems),
        panel=_kept(lambda: _png(folder / "best" / "panel.png"), problems),
        problems=tuple(problems),
    )


def stored_run(
    name: str, study: Mapping[str, Any], evaluations: Sequence[Evaluation], answer: Any
) -> Run:
    """A run of which only what the storage keeps is at hand: no curves, no model.

    Args:
        name: The study's.
        study: The study file, parsed.
        evaluations: By trial number.
        answer: What `nano.explore.storage.Store.conclude` kept; None before the end.
    """
    problems: list[str] = []
    told = _kept(lambda: _answer(answer, f"study {name}"), problems) if answer is not None else None
    best, confirmations = told or (None, ())
    return Run(
        folder=Path(),  # nothing is read there
        name=name,
        about={"summary": {"best": {"key": best}}} if best else {},
        study=study,
        requirements=_requirements({}, study, problems),
        evaluations=tuple(evaluations),
        confirmations=_by_score(confirmations),
        best_design=None,
        best_model=None,
        panel=None,
        problems=tuple(problems),
    )


def _answer(plain: Any, where: str) -> tuple[str | None, list[Confirmation]]:
    if not isinstance(plain, Mapping) or not isinstance(plain.get("confirmations"), list):
        raise RunError(f"{where}: the answer that is stored cannot be read")
    found = [confirmation_from_plain(one, f"{where}: answer") for one in plain["confirmations"]]
    return plain.get("best"), found


def _by_score(confirmations: Sequence[Confirmation]) -> tuple[Confirmation, ...]:
    return tuple(
        sorted(confirmations, key=lambda c: (c.netscore is None, -(c.netscore or 0.0), c.number))
    )


def _kept(read: Callable[[], Record], problems: list[str]) -> Record | None:
    """What ``read`` returns; a wrong record becomes a problem and None."""
    try:
        return read()
    except InputError as error:
        problems.append(str(error))
        return None


def _records(
    folder: Path,
    pattern: str,
    from_plain: Callable[[Any, str], Record],
    problems: list[str],
) -> list[Record]:
    read = (
        _kept(partial(_record, path, from_plain), problems) for path in sorted(folder.glob(pattern))
    )
    return [record for record in read if record is not None]


def _record(path: Path, from_plain: Callable[[Any, str], Record]) -> Record:
    return from_plain(read_json(path, RunError), str(path))


def _name_missing(folder: Path, evaluations: list[Evaluation], problems: list[str]) -> None:
    known = {f"{evaluation.number:04d}" for evaluation in evaluations}
    for trial in sorted(folder.glob("trials/*")):
        if trial.name not in known and not (trial / "evaluation.json").exists():
            problems.append(f"{trial}: no evaluation.json (still running, or interrupted)")


def _unfinished(evaluation: Evaluation, problems: list[str]) -> bool:
    """Whether a trial has neither reached the final stage nor a reason why it did not."""
    if evaluation.stage == "final" or evaluation.reason is not None:
        return False
    problems.append(
        f"trial {evaluation.number}: left out, still running or interrupted at {evaluation.stage}"
    )
    return True


def _table(path: Path) -> Mapping[str, Any]:
    plain = read_json(path, RunError)
    if not isinstance(plain, Mapping):
        raise RunError(f"{path}: holds {type(plain).__name__}, a table was expected")
    return plain


def _best_model(path: Path) -> KeptModel | None:
    model = _table(path).get("model") if path.is_file() else None
    return None if model is None else from_plain(KeptModel, model, f"{path}: model", RunError)


def _study(path: Path) -> Mapping[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as missing:
        raise RunError(f"{path}: no such file") from missing
    except (OSError, ValueError) as damaged:  # ValueError: TOML and UTF-8 errors alike
        raise RunError(f"{path}: cannot be read: {damaged}") from damaged


def _png(path: Path) -> bytes | None:
    if not path.is_file():
        return None
    content = path.read_bytes()
    if not content.startswith(_PNG):
        raise RunError(f"{path}: not a PNG picture")
    return content


def _requirements(
    about: Mapping[str, Any], study: Mapping[str, Any], problems: list[str]
) -> Requirements:
    """From run.json's texts, else from the study's [require]; a wrong one is a problem."""
    texts = about.get("requirements")
    try:
        if isinstance(texts, list):
            return Requirements.parse(dict(str(text).split(" ", 1) for text in texts))
        if isinstance(study.get("require"), Mapping):
            return Requirements.parse(study["require"])
    except (StudyError, ValueError) as wrong:  # ValueError: a text without a bound
        problems.append(f"requirements cannot be read: {wrong}")
        return Requirements(items=())
    return Requirements(items=())


def _read_curve(path: Path) -> tuple[CurveRow, ...]:
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            missing = _CURVE_COLUMNS - set(reader.fieldnames or ())
            if missing:
                raise RunError(f"{path}: lacks the columns {', '.join(sorted(missing))}")
            return tuple(
                CurveRow(
                    stage=row["stage"],
                    step=int(row["step"]),
                    images=int(row["images"]),
                    loss=float(row["loss"]),
                )
                for row in reader
            )
    except (OSError, ValueError, TypeError) as damaged:  # TypeError: a line cut short
        raise RunError(f"{path}: damaged: {damaged}") from damaged
