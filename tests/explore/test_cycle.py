"""Generator and inquisitor together: pure, within the caps, and better than where they began."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from random import Random

import numpy as np
import optuna
import pytest
from optuna.storages import InMemoryStorage
from optuna.testing.pytest_samplers import (
    BasicSamplerTestCase,
    MultiObjectiveSamplerTestCase,
    RelativeSamplerTestCase,
)

from nano.design.presets import prototype
from nano.explore.caps import Caps
from nano.explore.cycle import PERIOD, GeneratorInquisitor, Settings
from nano.explore.generator import Generator
from nano.explore.genomes import GenomeSampler, History
from nano.explore.inquisitor import ENOUGH
from nano.explore.kinds import study_sampler
from nano.explore.levels import Levels
from nano.explore.samplers import space
from nano.explore.stages import Judge, counted
from nano.explore.storage import Asked, Store
from nano.records import Accuracy, Evaluation, Reading
from nano.score import Requirements, Utility

TINY = prototype("depthnet-tiny")
REQUIRED = Requirements.parse({"params": "<= 4900", "delta1": ">= 0.5"})
CAPS = Caps(prototype=TINY, requirements=REQUIRED, size=(32, 96))
JUDGE = Judge(utility=Utility(), requirements=REQUIRED)


SMALL = Settings(rounds=2, pool=24)  # the same cycle, at a tenth of the time


def sampler(seed: int = 0) -> GenomeSampler:
    return GenomeSampler(GeneratorInquisitor(CAPS, Utility(), settings=SMALL), CAPS, seed)


def store(owner: Path, seed: int = 0) -> Store:
    made = Store(InMemoryStorage(), "s", sampler(seed), TINY, owner=owner)
    made.claim({}, TINY.space, CAPS.first())
    return made


def accuracy(params: int, key: str) -> Accuracy:
    noise = Random(key).gauss(0, 0.005)
    return Accuracy(delta1=0.6 * (1 - math.exp(-params / 2500)) + noise, abs_rel=0.3)


def evaluated(asked: Asked, read: Callable[[int, str], Accuracy] = accuracy) -> Evaluation:
    blank = counted(
        asked.number,
        asked.design,
        origin=asked.origin,
        seed=asked.seed,
        size=CAPS.size,
        judge=JUDGE,
    )
    found = read(blank.cost.params, blank.key)
    reading = Reading(stage="final", images=8, seconds=0.0, seed=1, accuracy=found)
    parts = {"stage": "final", "readings": (reading,), "accuracy": found}
    return JUDGE.judged(Evaluation(**{**blank.__dict__, **parts}))


def searched(
    made: Store, trials: int, read: Callable[[int, str], Accuracy] = accuracy
) -> list[Evaluation]:
    found = []
    for _ in range(trials):
        asked = made.ask("generator-inquisitor")
        assert asked is not None
        found.append(evaluated(asked, read))
        made.tell(found[-1], REQUIRED)
    return found


def test_proposals_are_within_the_caps_new_and_a_function_of_the_seed(tmp_path: Path) -> None:
    found = searched(store(tmp_path / "a"), 12)
    same = searched(store(tmp_path / "b"), 12)
    other = searched(store(tmp_path / "c", seed=1), 4)
    assert [e.number for e in found if e.cost.params > 4900] == [0]  # the prototype
    assert len({e.key for e in found}) == 12
    assert [e.key for e in same] == [e.key for e in found]
    assert [e.key for e in other[2:]] != [e.key for e in found[2:4]]


def test_an_interrupted_search_proposes_what_an_undisturbed_one_does(tmp_path: Path) -> None:
    """Generator and inquisitor are rebuilt from the storage by whoever goes on."""
    keys = [e.key for e in searched(store(tmp_path / "a"), 11)]
    made = store(tmp_path / "b")
    found = [e.key for e in searched(made, 9)]
    later = Store(made._storage, "s", sampler(), TINY, owner=tmp_path / "c")
    assert found + [e.key for e in searched(later, 2)] == keys


def test_the_genome_of_a_trial_is_its_design_and_its_knobs_are_the_nearest(
    tmp_path: Path,
) -> None:
    made = store(tmp_path / "a")
    searched(made, 8)
    for trial in made.trials()[2:]:
        design = TINY.design(trial.system_attrs["genome"])
        assert design.key == trial.user_attrs["key"]
        knobs = TINY.knobs_of(design)
        assert {name: trial.params[name] for name in knobs} == pytest.approx(knobs)


def test_a_design_that_is_being_evaluated_is_not_proposed_again(tmp_path: Path) -> None:
    made = store(tmp_path / "a")
    searched(made, 8)
    asked = [made.ask("generator-inquisitor") for _ in range(6)]
    assert len({one.design.key for one in asked if one}) == 6


@pytest.mark.parametrize(
    "read",
    [
        lambda params, key: Accuracy(delta1=0.5, abs_rel=0.3),
        lambda params, key: Accuracy(delta1=0.0, abs_rel=0.0),
        lambda params, key: Accuracy(delta1=1.0, abs_rel=9.0),
    ],
    ids=["constant", "zero", "extreme"],
)
def test_accuracies_that_teach_nothing_do_not_stop_the_search(
    tmp_path: Path, read: Callable[[int, str], Accuracy]
) -> None:
    found = searched(store(tmp_path / "a"), 12, read)
    assert len({e.key for e in found}) == 12


def test_an_inquisitor_that_cannot_be_fitted_is_told_once_and_the_generator_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def unfit(*_: object) -> None:
        raise np.linalg.LinAlgError("not positive definite")

    monkeypatch.setattr("nano.explore.cycle.Inquisitor", unfit)
    searched(store(tmp_path / "a"), 10)
    assert caplog.text.count("cannot be fitted (not positive definite)") == 1


@pytest.mark.slow
def test_it_learns_where_the_score_is(tmp_path: Path) -> None:
    """The best of the later half beats the prototype within the caps by what noise cannot do."""
    found = searched(store(tmp_path / "a"), 24)
    start = found[1].netscore or 0.0
    feasible = [e.netscore or 0.0 for e in found[12:] if e.feasible]
    assert max(feasible) > start + 0.3


def test_the_same_seed_and_theta_give_the_same_network_and_others_others() -> None:
    generator = Generator(Levels(CAPS))
    first = generator.levels.repaired(
        generator.levels.of(np.array([TINY.nearest_genome(TINY.preset)]))
    )
    theta = generator.start(first)
    one, same, other = (
        generator.levels.repaired(generator.draw(theta, np.random.default_rng(s), 6))
        for s in (3, 3, 4)
    )
    assert (one == same).all() and (one != other).any()


def test_learning_moves_the_middle_to_the_elites_and_narrows_the_spread() -> None:
    cube = Levels(CAPS)
    generator = Generator(cube)
    genome = TINY.genome_of(TINY.smallest())
    elites = np.array([genome] * 20)
    theta = generator.start(cube.repaired(np.full((1, TINY.layout.length), 0.6)))
    learned = generator.learned(theta, elites, np.ones(20))
    before, after = (np.abs(t.mean - cube.of(elites)[0]).mean() for t in (theta, learned))
    assert after < before / 2
    assert learned.entropy < theta.entropy


def test_unscreened_proposals_come_in_their_turn_and_say_so(tmp_path: Path) -> None:
    settings = Settings(unscreened=2, rounds=1, pool=24)
    proposer = GeneratorInquisitor(CAPS, Utility(), settings=settings)

    def ways(history: History) -> list[str]:
        offered = (proposer.proposals(history, number, seed=number) for number in range(PERIOD))
        return [next(one).notes["way"] for one in offered]

    read = History(finished=tuple(searched(store(tmp_path / "a"), ENOUGH)))
    assert ways(History(finished=())) == ["drawn"] * PERIOD  # nothing was read yet
    assert ways(read) == ["drawn"] * 2 + ["imagined"] * (PERIOD - 2)


# --- Optuna's own contract -----------------------------------------------------------------------


@pytest.mark.slow
class TestGenomeSamplerContract(
    BasicSamplerTestCase, RelativeSamplerTestCase, MultiObjectiveSamplerTestCase
):
    @pytest.fixture
    def sampler(self) -> Callable[[], optuna.samplers.BaseSampler]:
        return sampler


def test_proposed_values_are_plain_numbers_within_their_distributions() -> None:
    """As `BasicSamplerTestCase.test_float`/`test_int` and `test_sample_relative_numerical`."""
    made = study_sampler("generator-inquisitor", CAPS, utility=Utility(), seed=0, trials=24)
    study = optuna.create_study(sampler=made, direction="maximize")
    ours = space(TINY)
    for number in range(6):
        trial = study.ask(ours)
        assert set(trial.params) == set(ours)
        for name, kind in ours.items():
            assert kind._contains(kind.to_internal_repr(trial.params[name]))
        study.tell(trial, float(number))
