"""The benchmark of search methods: its problem, its rivals, and how a search is replayed."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from benchmarks.search.__main__ import main
from benchmarks.search.analytic import (
    ABS_REL_SD,
    DELTA1_SD,
    RANDOM_FEASIBLE,
    Analytic,
    instance,
    required_delta1,
)
from benchmarks.search.compare import OURS, Run, rows, text
from benchmarks.search.problem import FINAL
from benchmarks.search.reach import reach
from benchmarks.search.replay import Record, replay
from benchmarks.search.rivals import COPIES, Copies, Evolution
from benchmarks.search.widths import filled, masked, scaled, to_caps
from nano.cost.count import count
from nano.design.design import Design
from nano.errors import InputError
from nano.explore.genomes import History
from nano.explore.levels import Levels
from nano.explore.stages import Judge, counted

TUNING = (0, 1)
QUICK = ("copies", "largest", "evolution", "tpe", "cmaes", "nsga2")
RIVALS = (Evolution, lambda caps: Copies(caps, largest=False))


@pytest.fixture(scope="module")
def problem() -> Analytic:
    return instance(0)


def test_an_instance_is_its_number(problem: Analytic) -> None:
    preset = problem.caps.prototype.preset
    again = instance.__wrapped__(0)
    assert again.truth(preset) == problem.truth(preset)
    assert instance(1).truth(preset) != problem.truth(preset)


def test_a_reading_is_a_function_of_design_stage_and_start(problem: Analytic) -> None:
    preset = problem.caps.prototype.preset
    assert problem.read(preset, FINAL, 5) == problem.read(preset, FINAL, 5)
    assert problem.read(preset, FINAL, 5) != problem.read(preset, FINAL, 6)


def test_readings_scatter_around_the_truth(problem: Analytic) -> None:
    preset = problem.caps.prototype.preset
    readings = np.array([problem.read(preset, FINAL, start) for start in range(200)])
    error = np.abs(readings.mean(axis=0) - problem.truth(preset))
    assert (error < 4 / math.sqrt(200) * np.array([DELTA1_SD, ABS_REL_SD])).all()
    assert readings.std(axis=0) == pytest.approx([DELTA1_SD, ABS_REL_SD], rel=0.2)


def test_a_population_has_the_accuracies_and_scores_of_its_designs(problem: Analytic) -> None:
    family = problem.caps.prototype
    genomes = np.array([scaled(family, family.genome_of(family.preset), f)[0] for f in (0.5, 1, 2)])
    delta1, abs_rel = problem.truths(genomes)
    scores, _ = problem.scores(genomes)
    for i, genome in enumerate(genomes):
        design = family.design(genome)
        assert problem.truth(design) == pytest.approx((delta1[i], abs_rel[i]))
        cost = count(design, problem.caps.size)
        assert scores[i] == pytest.approx(problem.utility.score(delta1[i], abs_rel[i], cost))
    assert (np.diff(delta1) > 0).all()
    assert (np.diff(abs_rel) < 0).all()


@pytest.mark.parametrize("number", [*TUNING, 50])
def test_instances_are_calibrated(number: int) -> None:
    """The preset just feasible, random designs hardly ever, and decibels to be won."""
    problem = instance(number)
    family, bound = problem.caps.prototype, required_delta1(problem.caps)
    assert problem.truth(family.preset)[0] == pytest.approx(problem.preset_delta1)
    assert 0.9 <= problem.preset_delta1 <= 0.915
    assert problem.caps.fit(family.preset)
    random = np.random.default_rng(1)
    knobs = [{k.name: k.at(random.random()) for k in family.knobs} for _ in range(300)]
    genomes = np.array([family.expand(k, i) for i, k in enumerate(knobs)])
    feasible = Levels(problem.caps).fit(genomes) & (problem.truths(genomes)[0] >= bound)
    assert feasible.mean() <= 4 * RANDOM_FEASIBLE
    preset = np.array([family.genome_of(family.preset)])
    best, genome = reach(problem, generations=40, seed=0)
    assert Levels(problem.caps).fit(genome)[0] and problem.truths(genome)[0][0] >= bound
    assert 1.5 < best - problem.scores(preset)[0][0] < 6


def test_masking_a_population_is_masking_each_genome(problem: Analytic) -> None:
    family = problem.caps.prototype
    random = np.random.default_rng(0)
    rows = random.uniform(0, 80, (20, family.layout.length))
    whole = masked(family, rows)
    assert [tuple(row) for row in whole.tolist()] == [family.masked(row) for row in rows.tolist()]
    full = filled(family, whole)
    assert (masked(family, full) == whole).all()
    for stage in family.layout.stages:
        assert (full[:, stage.width] > 0).all()


def test_genomes_are_scaled_to_just_within_the_caps(problem: Analytic) -> None:
    family, caps = problem.caps.prototype, problem.caps
    preset = family.genome_of(family.preset)
    assert to_caps(caps, preset, grow=False) == preset
    for genome in (preset, tuple(scaled(family, preset, 3.0)[0].tolist())):
        largest = to_caps(caps, genome, grow=True)
        assert largest is not None
        assert 0.98 * 2e6 < count(family.design(largest), caps.size).params <= 2e6


def searched(problem: Analytic, name: str, trials: int, seed: int = 0) -> Record:
    return replay(problem, name, seed, trials=trials)


@pytest.mark.parametrize("name", [*QUICK, pytest.param("gp", marks=pytest.mark.slow)])
def test_rivals_keep_to_the_caps_and_propose_nothing_twice(
    problem: Analytic, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    read = Analytic.read

    def noted(self: Analytic, design: Design, stage: str, start: int) -> tuple[float, float]:
        seen.append(design)
        return read(self, design, stage, start)

    monkeypatch.setattr(Analytic, "read", noted)
    monkeypatch.setattr("benchmarks.search.replay.EVERY", 1000)
    trials = COPIES + (1 if name == "gp" else 8)  # it is slow
    record = searched(problem, name, trials)
    searching = seen[:trials]  # then come confirmations
    assert searching[0] == problem.caps.prototype.preset
    assert all(problem.caps.fit(design) for design in searching)
    assert len({design.key for design in searching}) == trials
    assert (len(record.spends), record.exhausted) == (trials, False)


def test_the_prototype_is_read_again_and_again(problem: Analytic) -> None:
    record = searched(problem, "prototype", 12)
    steps = np.diff([0, *record.spends])
    assert steps == pytest.approx([steps[0]] * 12)
    truth = problem.truth(problem.caps.prototype.preset)
    cost = problem.caps.cost(problem.caps.prototype.preset)
    assert record.checkpoints[-1].netscore == pytest.approx(problem.utility.score(*truth, cost))
    assert record.checkpoints[-1].feasible


def test_a_replay_is_a_function_of_its_seed(problem: Analytic) -> None:
    first, same = (searched(problem, "evolution", 14) for _ in range(2))
    assert (first.spends, first.checkpoints) == (same.spends, same.checkpoints)
    assert searched(problem, "evolution", 14, seed=1).spends[1:] != first.spends[1:]


def test_a_replay_leaves_no_files(
    problem: Analytic, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    searched(problem, "evolution", 2)
    assert not list(tmp_path.iterdir())


def test_a_replay_ends_by_spend(problem: Analytic) -> None:
    preset = problem.caps.cost(problem.caps.prototype.preset).macs * problem.trainings[0][1]
    record = replay(problem, "copies", 0, spend=12.0 * preset)
    assert record.spends[-2] < 12.0 * preset <= record.spends[-1]
    spends = [point.spend for point in record.checkpoints]
    assert spends == sorted(spends) and spends[-1] == record.spends[-1]
    with pytest.raises(ValueError, match="trials or by spend"):
        replay(problem, "copies", 0)


def test_evolution_begins_with_copies_of_the_prototype(problem: Analytic) -> None:
    offers = [rival(problem.caps).proposals(History(finished=()), 1, 7) for rival in RIVALS]
    first, copies = ([next(offer).genome for _ in range(5)] for offer in offers)
    assert first == copies
    assert len(set(first)) == 5


def test_children_are_genomes_near_their_parents(problem: Analytic) -> None:
    family = problem.caps.prototype
    preset = family.genome_of(family.preset)
    parent = counted(
        0,
        family.preset,
        origin="prototype",
        seed=0,
        size=problem.caps.size,
        judge=Judge(utility=problem.utility, requirements=problem.caps.requirements),
    )
    history = History(finished=(parent,) * COPIES)
    offered = Evolution(problem.caps).proposals(history, 21, 7)
    children = [next(offered).genome for _ in range(40)]
    assert all(family.masked(child) == child for child in children)
    changed = [sum(a != b for a, b in zip(child, preset, strict=True)) for child in children]
    assert min(changed) < 30 and max(changed) > 100  # from fine to coarse


def run(method: str, scores: tuple[float | None, ...], instance: int = 0, seed: int = 0) -> Run:
    number = len(scores)
    return Run(
        method=method,
        instance=instance,
        seed=seed,
        trials=tuple(range(10, 10 * number + 1, 10)),
        trainings=tuple(range(10, 10 * number + 1, 10)),
        spend=tuple(5.0 * i for i in range(1, number + 1)),
        netscore=scores,
        feasible=(True,) * (number - 1) + (scores[-1] != 24.0,),
        propose_seconds=0.1,
        propose_seconds_most=0.2,
        exhausted=False,
    )


def test_the_table_pairs_runs_with_the_best_rival() -> None:
    runs = [
        *(run(OURS, (None, 24.6, 25.0 + i), seed=i) for i in range(3)),
        *(run("evolution", (24.0, 24.2, 24.5 + i / 10), seed=i) for i in range(3)),
        *(run("copies", (None, None, None), seed=i) for i in range(2)),
        run("copies", (None, 24.0, 24.0), seed=2),
    ]
    ours, evolution, copies = rows(runs)
    assert [row.method for row in (ours, evolution, copies)] == [OURS, "evolution", "copies"]
    assert ours.quartiles[1] == 26.0
    assert ours.gain[1] == pytest.approx(1.4)
    assert (ours.wins, evolution.wins, copies.wins) == (1, 0, 0)
    assert ours.catches_up == pytest.approx(20 / 30)
    assert (evolution.catches_up, copies.catches_up) == (1.0, None)
    assert (ours.feasible, copies.feasible) == (1.0, pytest.approx(2 / 3))
    assert "none" in text([copies])


def test_a_comparison_keeps_its_runs_and_makes_none_twice(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = "benchmarks.search.compare.ProcessPoolExecutor"  # processes take seconds to start
    monkeypatch.setattr(threads, lambda workers, mp_context: ThreadPoolExecutor(workers))
    out = tmp_path / "runs.json"
    line = ["analytic", "--instances", "0", "--trials", "3", "--out", str(out)]
    assert main([*line, "--seeds", "0", "--methods", "prototype"]) == 0
    first = out.read_text()
    assert main([*line, "--seeds", "0", "--methods", "prototype"]) == 0
    assert out.read_text() == first
    assert "prototype" in capsys.readouterr().out
    assert (tmp_path / "runs.svg").read_text().count("<svg") == 1
    with pytest.raises(InputError, match="another setting"):
        main([*line, "--safety", "0.003"])
