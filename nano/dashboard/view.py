"""What the dashboard is shown of a storage: read only, with the constraints as it knows them.

Optuna 5 keeps each constraint under its name (`trial.set_constraint`); optuna-dashboard 0.21 reads
the list that older versions kept, and crowns the best value whether it is feasible or not. Here the
list is added on the way, and the best trial is the best feasible one. Nothing is stored: the plain
``optuna-dashboard`` opens the same storage as it always did.
"""

from __future__ import annotations

import copy
from collections.abc import Container, Mapping
from typing import Any, NoReturn

from optuna.storages import BaseStorage
from optuna.study import StudyDirection
from optuna.study._frozen import FrozenStudy
from optuna.trial import FrozenTrial, TrialState

from nano.dashboard.note import study_note
from nano.dashboard.shelf import FIGURES, Shelf, link
from nano.errors import RunError
from nano.explore.told import ANSWER, evaluation_of, without_collecting
from nano.files import to_plain
from nano.records import Evaluation
from nano.report.run import read_run, stored_run

_CONSTRAINTS = "constraints"  # where the dashboard looks for the list
_NOTE_VERSION, _NOTE = "dashboard:note_ver", "dashboard:note_str:"
_LONGEST_NAME = 100
_LINKED = ("best/panel.png", "report.html", "trials.csv")


def _refused(*_: Any, **__: Any) -> NoReturn:
    raise PermissionError("the dashboard only reads; optuna-dashboard itself can write notes")


class View(BaseStorage):
    """The studies of nano.explore in a storage.

    Args:
        storage: Where they are; only read.
        shelf: The run folder, if there is one.
        study: Name of the study that the run folder is of.
    """

    def __init__(self, storage: BaseStorage, shelf: Shelf | None = None, study: str = "") -> None:
        self._storage = storage
        self._shelf = shelf
        self._study = study
        self._finished: dict[int, FrozenTrial] = {}  # as shown; they never change
        self._notes: dict[int, tuple[object, str]] = {}  # with what they were written from

    # --- studies ---------------------------------------------------------------------------------

    def get_all_studies(self) -> list[FrozenStudy]:
        """Studies of ours, as shown, in the order of their making."""
        return [self._shown_study(study) for study in self.ours()]

    def get_study_id_from_name(self, study_name: str) -> int:
        """By the name as shown, or as stored."""
        for study in self.ours():
            if study_name in (_shown_name(study), study.study_name):
                return study._study_id
        raise KeyError(study_name)

    def get_study_name_from_id(self, study_id: int) -> str:
        """The name as shown."""
        return _shown_name(self._stored(study_id))

    def get_study_directions(self, study_id: int) -> list[StudyDirection]:
        """As stored."""
        return self._storage.get_study_directions(study_id)

    def get_study_user_attrs(self, study_id: int) -> dict[str, Any]:
        """The study file, table by table."""
        return self._shown_study(self._stored(study_id)).user_attrs

    def get_study_system_attrs(self, study_id: int) -> dict[str, Any]:
        """With the note and the artifacts."""
        return self._shown_study(self._stored(study_id)).system_attrs

    def ours(self) -> list[FrozenStudy]:
        """The same as they are stored: nothing is written about them."""
        found = [study for study in self._storage.get_all_studies() if _is_ours(study)]
        return sorted(found, key=lambda study: study._study_id)

    def _stored(self, study_id: int) -> FrozenStudy:
        for study in self.ours():
            if study._study_id == study_id:
                return study
        raise KeyError(study_id)

    def _shown_study(self, stored: FrozenStudy) -> FrozenStudy:
        study = copy.copy(stored)
        study.study_name = _shown_name(stored)
        study.user_attrs = {**stored.user_attrs["study"], "space": stored.user_attrs.get("space")}
        artifacts = self._shelf.of_study() if self._is_on_shelf(stored) and self._shelf else {}
        own = _stored_note(stored.system_attrs)
        kept = {name: v for name, v in stored.system_attrs.items() if not name.startswith(_NOTE)}
        note = {_NOTE_VERSION: 1, f"{_NOTE}0": "\n\n".join(filter(None, (self._note(stored), own)))}
        study.system_attrs = {**kept, **note, **artifacts}
        return study

    def _is_on_shelf(self, study: FrozenStudy) -> bool:
        return self._shelf is not None and study.study_name == self._study

    def _note(self, study: FrozenStudy) -> str:
        """Written anew when a trial has ended or the run's summary has changed."""
        trials = self._storage.get_all_trials(study._study_id, deepcopy=False)
        ended = sum(trial.state.is_finished() for trial in trials)
        shelf = self._shelf if self._is_on_shelf(study) else None
        about = shelf.folder / "run.json" if shelf else None
        changed = about.stat().st_mtime_ns if about and about.exists() else None
        basis = (ended, changed, study.user_attrs.get(ANSWER))
        if self._notes.get(study._study_id, (None, ""))[0] != basis:
            self._notes[study._study_id] = basis, self._written(study, trials, shelf)
        return self._notes[study._study_id][1]

    def _written(self, study: FrozenStudy, trials: list[FrozenTrial], shelf: Shelf | None) -> str:
        with without_collecting():
            evaluations = [e for trial in trials if (e := _evaluation(trial)[0]) is not None]
        plain = study.user_attrs["study"]
        run = stored_run(_shown_name(study), plain, evaluations, study.user_attrs.get(ANSWER))
        links: dict[str, str] = {}
        if shelf is not None:
            try:
                run = read_run(shelf.folder, run.evaluations).told_by(run)
            except RunError:  # the folder was taken away; the storage tells what it knows
                shelf = None
        if shelf is not None:
            there = [path for path in _LINKED if (shelf.folder / path).is_file()]
            links = {path: link(study._study_id, path) for path in [*FIGURES, *there]}
        best = self._best(study._study_id)
        return study_note(run, crowned=best.number if best else None, links=links)

    # --- trials ----------------------------------------------------------------------------------

    def get_all_trials(
        self,
        study_id: int,
        deepcopy: bool = True,
        states: Container[TrialState] | None = None,
    ) -> list[FrozenTrial]:
        """As shown; always copies."""
        on_shelf = self._shelf if self._is_on_shelf(self._stored(study_id)) else None
        stored = self._storage.get_all_trials(study_id, deepcopy=False, states=states)
        with without_collecting():
            shown = [self._shown_trial(trial) for trial in stored]
            return [_with_artifacts(t, on_shelf) for t in shown] if on_shelf else shown

    def get_trial(self, trial_id: int) -> FrozenTrial:
        """As shown."""
        for study in self.ours():
            for trial in self._storage.get_all_trials(study._study_id, deepcopy=False):
                if trial._trial_id == trial_id:
                    shown = self._shown_trial(trial)
                    on_shelf = self._shelf if self._is_on_shelf(study) else None
                    return _with_artifacts(shown, on_shelf) if on_shelf else shown
        raise KeyError(trial_id)

    def get_best_trial(self, study_id: int) -> FrozenTrial:
        """The best feasible one, as `optuna.Study.best_trial`; without any, the best of the rest.

        The dashboard has no other word for "none" than an error; see `nano.dashboard.server`.
        """
        best = self._best(study_id)
        return best if best is not None else super().get_best_trial(study_id)

    def _best(self, study_id: int) -> FrozenTrial | None:
        complete = self.get_all_trials(study_id, states=(TrialState.COMPLETE,))
        feasible = [t for t in complete if all(m <= 0 for m in t.system_attrs[_CONSTRAINTS])]
        return max(feasible, key=lambda trial: trial.value or 0.0, default=None)

    def _shown_trial(self, stored: FrozenTrial) -> FrozenTrial:
        if stored._trial_id not in self._finished:
            shown = _shown_trial(stored)
            if not stored.state.is_finished():
                return shown
            self._finished[stored._trial_id] = shown
        return copy.copy(self._finished[stored._trial_id])

    # --- what a reader never does ----------------------------------------------------------------

    create_new_study = _refused
    delete_study = _refused
    set_study_user_attr = _refused
    set_study_system_attr = _refused
    create_new_trial = _refused
    set_trial_param = _refused
    set_trial_state_values = _refused
    set_trial_intermediate_value = _refused
    set_trial_user_attr = _refused
    set_trial_system_attr = _refused


def _with_artifacts(trial: FrozenTrial, shelf: Shelf) -> FrozenTrial:
    trial.system_attrs = {**trial.system_attrs, **shelf.of_trial(trial.number)}
    return trial


def _is_ours(study: FrozenStudy) -> bool:
    """Set up by nano.explore: one value, maximised, and its file kept."""
    return (
        isinstance(study.user_attrs.get("study"), Mapping)
        and len(study.directions) == 1
        and study.direction == StudyDirection.MAXIMIZE
    )


def _shown_name(study: FrozenStudy) -> str:
    """The name; one that is long or holds what is no printed character is told by its number."""
    name = study.study_name
    if name.isprintable() and len(name) <= _LONGEST_NAME:
        return name
    kept = "".join(c if c.isprintable() else " " for c in name[:_LONGEST_NAME])
    return f"{kept} (study {study._study_id})"


def _stored_note(attributes: Mapping[str, Any]) -> str:
    """What somebody wrote with optuna-dashboard: numbered pieces."""
    pieces = {int(k.removeprefix(_NOTE)): v for k, v in attributes.items() if k.startswith(_NOTE)}
    return "".join(str(pieces[place]) for place in sorted(pieces))


def _shown_trial(stored: FrozenTrial) -> FrozenTrial:
    """With the list of constraints, and a few plain values in place of whole records."""
    trial = copy.copy(stored)
    margins = list(stored.constraints.values())
    if stored.state == TrialState.PRUNED:
        margins.append(1.0)  # what it would have met was only foreseen: it is drawn infeasible
    # Of one that ended, how it was proposed would be a third of the page: its knobs once more.
    proposed = {} if stored.state.is_finished() else stored.system_attrs
    trial.system_attrs = {**proposed, _CONSTRAINTS: margins}
    evaluation, problem = _evaluation(stored)
    if evaluation is not None:
        trial.user_attrs = _told(evaluation)
    else:
        told = {name: stored.user_attrs.get(name) for name in ("origin", "key")}
        trial.user_attrs = {**told, **({"problem": problem} if problem else {})}
    return trial


def _evaluation(trial: FrozenTrial) -> tuple[Evaluation | None, str]:
    """A trial's record, or what is wrong with it."""
    record = trial.user_attrs.get("evaluation")
    if record is None:
        return None, ""
    try:
        return evaluation_of(trial), ""
    except RunError as damaged:
        return None, str(damaged)


def _told(evaluation: Evaluation) -> dict[str, Any]:
    """What a table of trials should show of an evaluation; numbers can be sorted by."""
    accuracy = to_plain(evaluation.accuracy) if evaluation.accuracy else {}
    told: dict[str, Any] = {
        "feasible": "yes" if evaluation.feasible else "no",
        "delta1": accuracy.get("delta1"),
        "abs_rel": accuracy.get("abs_rel"),
        "params": evaluation.cost.params,
        "macs": evaluation.cost.macs,
        **{f"margin {name}": margin for name, margin in evaluation.margins.items()},
        "stage": evaluation.stage,
        "ended": evaluation.reason,
        "train images": evaluation.spend_images,
        "seconds": round(evaluation.seconds, 1),
        "origin": evaluation.origin,
        "key": evaluation.key,
    }
    rounded = {k: round(v, 5) if isinstance(v, float) else v for k, v in told.items()}
    return {name: value for name, value in rounded.items() if value is not None}
