"""Files of a run folder as Optuna artifacts: read where they lie, never copied, never written.

Optuna lets nobody add an artifact to a trial that has ended, and a copy would be a second truth;
so they are listed afresh at every look, and one that was deleted is simply no longer there.
"""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, NoReturn

from optuna.artifacts.exceptions import ArtifactNotFound

from nano.errors import InputError
from nano.explore.archive import is_of_run
from nano.report.cost_plot import accuracy_against_cost
from nano.report.plots import learning_curves, progress
from nano.report.run import Run, read_run
from nano.report.style import Drawing

_PREFIX = "artifacts:"  # Optuna's, of the attribute that describes one
_OF_TRIAL = ("panel.png", "design.json", "evaluation.json", "curve.csv")
_OF_STUDY = ("best/panel.png", "best/design.json", "report.html", "trials.csv", "study.toml")
_TYPES = {
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".json": "application/json",
    ".csv": "text/csv",
    ".html": "text/html",
    ".toml": "text/plain",
}
FIGURES: dict[str, Callable[[Run], Drawing | None]] = {
    "accuracy-against-cost.svg": accuracy_against_cost,
    "search.svg": progress,
}
_CURVE = "loss.svg"
_DRAWING = threading.Lock()  # matplotlib's settings are global


class Shelf:
    """The run folder as the dashboard's artifact store; see `optuna.artifacts`.

    An artifact's name is its path in the folder, in hexadecimal: nothing has to be remembered.
    Figures are drawn from the records when they are looked at.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def of_study(self) -> dict[str, str]:
        """System attributes that describe the study's artifacts."""
        there = [path for path in _OF_STUDY if (self.folder / path).is_file()]
        return dict(_described(path, path.replace("/", "-")) for path in [*FIGURES, *there])

    def of_trial(self, number: int) -> dict[str, str]:
        """System attributes that describe a trial's artifacts."""
        home = f"trials/{number:04d}"
        there = [name for name in _OF_TRIAL if (self.folder / home / name).is_file()]
        drawn = [_CURVE] if "curve.csv" in there else []
        return dict(_described(f"{home}/{name}", name) for name in [*there[:1], *drawn, *there[1:]])

    def open_reader(self, artifact_id: str) -> io.BufferedIOBase:
        """The content behind a name.

        Raises:
            ArtifactNotFound: There is no such file, it lies outside, or there is nothing to draw.
        """
        try:
            path = bytes.fromhex(artifact_id).decode()
            if path.endswith(".svg"):
                return io.BytesIO(self._drawn(path).encode())
            file = (self.folder / path).resolve()
            if not file.is_relative_to(self.folder.resolve()):
                raise ArtifactNotFound(f"{path}: leads out of the run folder")
            if not is_of_run(path) or not file.is_file():  # neither its database nor its locks
                raise ArtifactNotFound(f"{path}: no file of a run")
            return file.open("rb")
        except (InputError, OSError, ValueError) as error:  # ValueError: not a name of ours
            raise ArtifactNotFound(str(error)) from error

    def write(self, artifact_id: str, content_body: BinaryIO) -> NoReturn:
        """Refused: the page only reads."""
        raise PermissionError("the dashboard only reads a run folder")

    def remove(self, artifact_id: str) -> NoReturn:
        """Refused: the page only reads."""
        raise PermissionError("the dashboard only reads a run folder")

    def _drawn(self, path: str) -> str:
        run = read_run(self.folder)
        with _DRAWING:
            if path in FIGURES:
                figure = FIGURES[path](run)
            else:
                number = int(Path(path).parent.name)
                figure = learning_curves([(f"trial {number}", run.curve(number))])
        if figure is None:
            raise ArtifactNotFound(f"{path}: nothing to draw yet")
        return figure.alone()


def link(study_id: int, path: str) -> str:
    """Where the dashboard serves an artifact of the study."""
    return f"/artifacts/{study_id}/{_name(path)}"


def _name(path: str) -> str:
    return path.encode().hex()


def _described(path: str, filename: str) -> tuple[str, str]:
    told = {"artifact_id": _name(path), "filename": filename, "encoding": None}
    return _PREFIX + _name(path), json.dumps({**told, "mimetype": _TYPES[Path(path).suffix]})
