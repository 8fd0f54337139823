"""Which knobs tell the best designs of a run from the rest: Optuna's PED-ANOVA over its records."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence

import optuna
from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances

from nano.errors import DesignError
from nano.explore.samplers import space
from nano.explore.study import StudyFile, parse_study
from nano.records import Evaluation
from nano.report.run import Run
from nano.score import Utility

_BEST = 0.25  # share of the trials that count as the best ones
_FEWEST = 8  # trials: of fewer, the best quarter is one or two designs


def importances(run: Run) -> dict[str, dict[str, float]]:
    """By objective (NetScore, delta1, params), then by knob: its share of the importance.

    PED-ANOVA (Watanabe, Bansal, Hutter 2023) asks how much the distribution of a knob among the
    best quarter of the trials differs from that among all. It takes low values for good ones, so
    NetScore and delta1 are negated. Both are those of the first training of each design: all
    trials have one, at the same spend. Knobs that describe designs whose genes were searched are
    means over modules; those that are equal in all trials are left out.

    Returns:
        Empty with fewer than eight trained designs.
    """
    study = parse_study(run.study, f"{run.folder / 'study.toml'}")
    trained = [e for e in run.evaluations if e.readings and e.readings[0].accuracy]
    rows = _rows(study, trained)
    if len(rows) < _FEWEST:
        return {}
    utility = study.weights()
    values: dict[str, list[float]] = {
        "NetScore": [-_first_score(e, utility) for e, _ in rows],
        "delta1": [-e.readings[0].accuracy.delta1 for e, _ in rows if e.readings[0].accuracy],
        "params": [float(e.cost.params) for e, _ in rows],
    }
    knobs = [row for _, row in rows]
    return {name: _importance(study, knobs, column) for name, column in values.items()}


def _rows(
    study: StudyFile, trained: Sequence[Evaluation]
) -> list[tuple[Evaluation, dict[str, float]]]:
    """Evaluations with their knobs; a design that is none of the prototype's has none."""
    prototype, rows = study.family(), []
    for evaluation in trained:
        try:
            rows.append((evaluation, prototype.knobs_of(evaluation.design)))
        except DesignError:
            continue
    return rows


def _first_score(evaluation: Evaluation, utility: Utility) -> float:
    accuracy = evaluation.readings[0].accuracy
    assert accuracy is not None  # the caller leaves the others out
    return utility.score(accuracy.delta1, accuracy.abs_rel, evaluation.cost)


def _importance(
    study: StudyFile, knobs: Sequence[Mapping[str, float]], values: Sequence[float]
) -> dict[str, float]:
    distributions = space(study.family())
    moving = [name for name in knobs[0] if len({row[name] for row in knobs}) > 1]
    logged = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)  # a study of a moment tells nobody
    try:
        trials = optuna.create_study(direction="minimize")
    finally:
        optuna.logging.set_verbosity(logged)
    for row, value in zip(knobs, values, strict=True):
        trials.add_trial(
            optuna.create_trial(
                params={name: _whole(distributions[name], row[name]) for name in moving},
                distributions={name: distributions[name] for name in moving},
                value=value,
            )
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return get_param_importances(
            trials, evaluator=PedAnovaImportanceEvaluator(target_quantile=_BEST)
        )


def _whole(distribution: optuna.distributions.BaseDistribution, value: float) -> float:
    """A knob's value as the distribution takes it: a mean of whole numbers is rounded."""
    whole = isinstance(distribution, optuna.distributions.IntDistribution)
    return round(value) if whole else value
