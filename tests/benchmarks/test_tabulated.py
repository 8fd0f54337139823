"""The table of real trainings, its surrogate, and the ranking of methods that rests on it."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.search import retrained, table
from benchmarks.search.compare import OURS, Job, _prototype_spend, as_run
from benchmarks.search.problem import Rules
from benchmarks.search.replay import replay
from benchmarks.search.table import (
    STUDY,
    TABLE,
    Trained,
    design,
    make,
    read_table,
    recipe,
    space,
    tasks,
)
from benchmarks.search.tabulated import Tabulated, checked, features, fitted, instance, straight
from nano.design.design import Design
from nano.errors import InputError
from nano.explore.caps import Caps
from nano.explore.levels import Levels
from nano.explore.study import parse_study, read_study
from nano.explore.trainer import Outcome
from nano.records import Accuracy


@pytest.fixture(scope="module")
def caps() -> Caps:
    return space(read_study(STUDY))


@pytest.fixture(scope="module")
def problem() -> Tabulated:
    return instance(0)


def test_the_table_is_compact_and_of_the_study_beside_it() -> None:
    assert TABLE.stat().st_size <= 5_000_000
    found = read_table(TABLE)
    assert recipe(parse_study(found.study, str(TABLE))) == recipe(read_study(STUDY))
    stages = {stage for stage, _ in read_study(STUDY).trainings()}
    for row in found.rows.values():
        assert {one.start for one in row.trained} >= {0}
        assert all(set(one.readings) == stages | {"test"} for one in row.trained)
        assert all(one.source < len(found.sources) for one in row.trained)


def test_the_designs_of_the_table_are_those_of_their_numbers(caps: Caps) -> None:
    found = read_table(TABLE)
    for number in (0, 1, 10, 17):
        row = found.rows[str(number)]
        assert row.genes == design(caps, number)
        cost = caps.cost(caps.prototype.design(row.genes))
        assert (row.params, row.macs) == (cost.params, cost.macs)


def test_designs_are_spread_evenly_over_all_sizes(caps: Caps) -> None:
    params = [caps.cost(caps.prototype.design(design(caps, n))).params for n in range(40)]
    low, high = caps.cost(caps.prototype.smallest()).params, caps.cost(caps.prototype.preset).params
    shares = np.log(np.array(params) / low) / np.log(high / low)
    for quarter in range(4):
        assert 5 <= ((shares >= quarter / 4) & (shares < (quarter + 1) / 4)).sum() <= 15


def test_what_is_missing_is_made_and_nothing_twice(
    caps: Caps, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[tuple[int, int]] = []

    def trained(study_json: str, task: table.Task, source: int) -> Trained:
        made.append((task.number, task.start))
        readings = {stage: (0.5, 0.3) for stage in ("rung 1", "rung 2", "final", "test")}
        return Trained(start=task.start, source=source, readings=readings, seconds=1.0)

    class Here:  # a pool of no processes
        def __init__(self, *_: object, **__: object) -> None: ...

        def __enter__(self) -> Here:
            return self

        def __exit__(self, *_: object) -> None: ...

        def submit(
            self, call: object, study_json: str, task: table.Task, source: int
        ) -> Future[Trained]:
            future: Future[Trained] = Future()
            future.set_result(trained(study_json, task, source))
            return future

    monkeypatch.setattr(table, "ProcessPoolExecutor", Here)
    monkeypatch.setattr(table, "prepare_sets", lambda *_, **__: None)
    out = tmp_path / "table.json"
    make(out, 2, workers=1)
    assert sorted(made) == [(0, 0), (0, 1), (0, 2), (1, 0)]
    found = make(out, 3, workers=1)
    assert sorted(made) == [(0, 0), (0, 1), (0, 2), (1, 0), (2, 0)]
    assert read_table(out) == found
    assert list(tasks(caps, found, 3)) == []
    other = read_study(STUDY, ["seed=1"])
    with pytest.raises(InputError, match="another study"):
        make(out, 3, workers=1, study=other)


def test_a_damaged_table_is_an_error(tmp_path: Path) -> None:
    out = tmp_path / "table.json"
    out.write_text('{"rows": ')
    with pytest.raises(InputError, match="not JSON"):
        read_table(out)


def test_the_surrogate_foretells_designs_it_has_not_seen() -> None:
    found = checked()
    assert found["final"]["spearman"] > 0.7
    assert found["final"]["sd_left"] < 2 * found["final"]["sd_over_starts"]
    assert found["rung 1"]["sd_over_starts"] > found["final"]["sd_over_starts"]


def test_a_fit_is_a_function_of_its_arguments() -> None:
    random = np.random.default_rng(0)
    inputs, wanted = random.normal(size=(50, 6)), random.normal(size=(50, 2))
    one, other = (fitted(inputs, wanted, 3).predict(inputs) for _ in "ab")
    assert (one == other).all()
    assert (fitted(inputs, wanted, 4).predict(inputs) != one).any()


def test_features_are_blind_to_modules_that_are_not_there(caps: Caps) -> None:
    levels = Levels(caps)
    genome = np.array([design(caps, 3)])
    absent = genome.copy()
    absent[~levels.active(genome)] = 7
    assert (features(genome, levels) == features(absent, levels)).all()


def test_readings_scatter_as_the_repetitions_do_and_share_their_starts_luck(
    problem: Tabulated,
) -> None:
    preset = problem.caps.prototype.preset
    stages = [stage for stage, _ in problem.trainings]
    read = np.array(
        [[problem.read(preset, stage, start) for stage in stages] for start in range(300)]
    )
    logs = np.log(np.stack([1 - read[..., 0], read[..., 1]], axis=2)).reshape(300, -1)
    assert logs.std(axis=0) == pytest.approx(np.sqrt(np.diag(problem.noise)), rel=0.2)
    wanted = problem.noise[0, 4] / np.sqrt(problem.noise[0, 0] * problem.noise[4, 4])
    assert np.corrcoef(logs[:, 0], logs[:, 4])[0, 1] == pytest.approx(wanted, abs=0.2)
    assert np.exp(logs[:, 4].mean()) == pytest.approx(1 - problem.truth(preset)[0], rel=0.01)


def test_instances_are_bootstraps_of_one_table(problem: Tabulated) -> None:
    preset = problem.caps.prototype.preset
    assert instance(1).truth(preset) != problem.truth(preset)
    assert instance(1).truth(preset)[0] == pytest.approx(problem.truth(preset)[0], abs=0.01)
    assert straight(0).truth(preset) == problem.truth(preset)
    assert [stage for stage, _ in straight(0).trainings] == ["final"]


@pytest.mark.slow
def test_the_learned_search_is_ahead_of_breeding_and_of_copies() -> None:
    """The guard of the ranking: equal spend, on a bootstrap that is no one's evidence."""
    problem = replace(straight(50), rules=Rules(checkpoints=1))  # only the end is looked at
    unit = float(problem.trainings[-1][1]) * problem.caps.cost(problem.caps.prototype.preset).macs
    median = {
        name: np.median(
            [
                replay(problem, name, seed, spend=20 * unit).checkpoints[-1].netscore or 0.0
                for seed in range(3)
            ]
        )
        for name in (OURS, "evolution", "copies")
    }
    assert median[OURS] > max(median["evolution"], median["copies"])


def test_choices_are_trained_for_real_and_what_is_left_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def train(trainer: object, design: Design, *job: object, seed: int, **more: object) -> Outcome:
        accuracy = Accuracy(delta1=0.56 + seed % 3 * 1e-3, abs_rel=0.3)
        return Outcome(accuracy=accuracy, images=1, seconds=0.0)

    monkeypatch.setattr(retrained, "train", train)
    monkeypatch.setattr(retrained, "trainer_of", lambda text: (read_study(table.STUDY), None))
    unit = _prototype_spend(straight(50))
    problem = replace(straight(50), rules=Rules(checkpoints=1))
    record = replay(problem, "copies", 0, spend=4 * unit)
    assert record.choice is not None
    kept = as_run(record, Job(method="copies", instance=50, seed=0), unit)
    genome = problem.caps.prototype.genome_of(record.choice)
    one = retrained.retrained("{}", replace(kept, genome=" ".join(map(str, genome))))
    assert one.promised[0] == pytest.approx(problem.truth(record.choice)[0], abs=1e-4)
    assert one.holds == (np.mean(one.found, axis=0)[0] >= 0.563)
    told = retrained.summary([one])["copies"]
    assert told["choices"] == 1
    assert told["found_netscore"] == one.netscore
