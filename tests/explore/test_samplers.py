"""Every generator keeps to the caps, proposes nothing twice, and repeats itself."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from pathlib import Path
from random import Random

import optuna
import pytest
from optuna.samplers import BaseSampler
from optuna.storages import InMemoryStorage
from optuna.testing.pytest_samplers import (
    BasicSamplerTestCase,
    MultiObjectiveSamplerTestCase,
    RelativeSamplerTestCase,
)
from optuna.trial import TrialState, create_trial

from nano.cost.count import count
from nano.design.presets import prototype
from nano.design.prototype import Prototype
from nano.explore.caps import Caps
from nano.explore.samplers import (
    FIXED,
    SEED,
    CappedSampler,
    EvolutionSampler,
    Exhausted,
    rank,
    sampler_factory,
    space,
    violation,
)
from nano.explore.stages import Judge, counted
from nano.explore.storage import Asked, Store
from nano.records import Accuracy, Evaluation, Reading
from nano.score import Requirements, Utility

KINDS = ("random", "tpe", "cmaes", "nsga2", "evolution")
SIZE = (32, 96)
CAP = Requirements.parse({"params": "<= 4900", "delta1": ">= 0.5"})
JUDGE = Judge(utility=Utility(), requirements=CAP)


@pytest.fixture(scope="module")
def tiny() -> Prototype:
    return prototype("depthnet-tiny")


@pytest.fixture(autouse=True)
def quiet() -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)


def store(kind: str, caps: Caps, owner: Path, seed: int = 0) -> Store:
    sampler = CappedSampler(sampler_factory(kind, caps.prototype, 24), caps, seed)
    made = Store(
        InMemoryStorage(), "s", sampler, caps.prototype, owner=owner, penalised=kind == "cmaes"
    )
    made.claim({}, caps.prototype.space, {"prototype": caps.prototype.preset})
    return made


def evaluated(asked: Asked) -> Evaluation:
    """A finished trial whose accuracy depends on the design alone."""
    blank = counted(
        asked.number,
        asked.design,
        origin=asked.origin,
        seed=asked.seed,
        size=SIZE,
        judge=JUDGE,
    )
    delta1 = 0.6 * (1 - math.exp(-blank.cost.params / 2500)) + Random(blank.key).gauss(0, 0.01)
    accuracy = Accuracy(delta1=delta1, abs_rel=0.3)
    reading = Reading(stage="final", images=8, seconds=0.0, seed=1, accuracy=accuracy)
    parts = {"stage": "final", "readings": (reading,), "accuracy": accuracy}
    return JUDGE.judged(Evaluation(**{**blank.__dict__, **parts}))


def searched(made: Store, trials: int) -> list[Evaluation]:
    found = []
    for _ in range(trials):
        asked = made.ask("generator")
        assert asked is not None
        found.append(evaluated(asked))
        made.tell(found[-1], CAP)
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_proposals_are_within_the_caps_new_and_a_function_of_the_seed(
    tiny: Prototype, tmp_path: Path, kind: str
) -> None:
    caps = Caps(prototype=tiny, requirements=CAP, size=SIZE)
    found = searched(store(kind, caps, tmp_path / "a"), 20)
    same = searched(store(kind, caps, tmp_path / "b"), 20)
    other = searched(store(kind, caps, tmp_path / "c", seed=1), 3)
    assert [e.number for e in found if e.cost.params > 4900] == [0]  # the prototype
    keys = [e.key for e in found]
    assert len(set(keys)) == 20
    assert [e.key for e in same] == keys
    assert [e.key for e in other[1:]] != keys[1:3]


@pytest.mark.parametrize("kind", KINDS)
def test_an_interrupted_search_proposes_what_an_undisturbed_one_does(
    tiny: Prototype, tmp_path: Path, kind: str
) -> None:
    """Whatever samplers keep in memory is not needed: all of it is in the storage."""
    caps = Caps(prototype=tiny, requirements=CAP, size=SIZE)
    keys = [e.key for e in searched(store(kind, caps, tmp_path / "a"), 12)]
    made = store(kind, caps, tmp_path / "b")
    found = [e.key for e in searched(made, 10)]
    asked = made.ask("generator")
    assert asked is not None
    made.requeue(asked.number)
    sampler = CappedSampler(sampler_factory(kind, tiny, 24), caps, 0)
    later = Store(made._storage, "s", sampler, tiny, owner=tmp_path / "c")
    assert found + [e.key for e in searched(later, 2)] == keys


def test_oversized_proposals_cost_no_trial_and_are_shrunk_at_last(
    tiny: Prototype, tmp_path: Path
) -> None:
    smallest = count(tiny.smallest(), SIZE).params
    tight = Requirements.parse({"params": f"<= {round(1.15 * smallest)}"})
    caps = Caps(prototype=tiny, requirements=tight, size=SIZE)
    found = searched(store("random", caps, tmp_path / "a"), 12)
    assert [e.number for e in found] == list(range(12))
    assert all(e.cost.params <= 1.15 * smallest for e in found[1:])
    assert len({e.key for e in found}) == 12


def test_a_space_of_few_designs_ends_the_search_without_a_repeat(tmp_path: Path) -> None:
    tiny = prototype("depthnet-tiny")
    fixed = {knob.name: (tiny.knobs_of(tiny.preset)[knob.name],) * 2 for knob in tiny.knobs}
    few = prototype("depthnet-tiny", {**fixed, "stem": (4, 8)})
    caps = Caps(prototype=few, requirements=Requirements(items=()), size=SIZE)
    made = store("random", caps, tmp_path / "a")
    found = []
    while (asked := made.ask("generator")) is not None:
        found.append(evaluated(asked))
        made.tell(found[-1], CAP)
    assert {e.design.stem.width for e in found} == {4, 5, 6, 7, 8}
    assert len({e.key for e in found}) == len(found)
    assert made.exhausted
    assert made.study.best_trial.number in {e.number for e in found}


def test_jittered_designs_that_cannot_be_shrunk_enough_are_not_proposed(tmp_path: Path) -> None:
    """Where modules must differ, the smallest design of most seeds is over the smallest cap."""
    spread = prototype("depthnet-tiny", {"spread": (0.4, 0.5)})
    smallest = count(spread.smallest(), SIZE).params
    tight = Requirements.parse({"params": f"<= {smallest}"})
    caps = Caps(prototype=spread, requirements=tight, size=SIZE)
    caps.check_reachable()
    made = store("random", caps, tmp_path / "a")
    for _ in range(6):
        asked = made.ask("generator")
        assert asked is None or asked.number == 0 or caps.fit(asked.design)


def test_a_kill_between_two_parameters_leaves_the_proposal_as_it_was(
    tiny: Prototype, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    caps = Caps(prototype=tiny, requirements=CAP, size=SIZE)
    whole = searched(store("random", caps, tmp_path / "a"), 3)[-1]
    made = store("random", caps, tmp_path / "b")
    searched(made, 2)
    kept = made._storage.set_trial_param
    written: list[str] = []

    def dying(trial_id: int, name: str, *value: object) -> None:
        if len(written) == 9:
            raise KeyboardInterrupt
        written.append(name)
        kept(trial_id, name, *value)  # type: ignore[arg-type]  # as it came

    with monkeypatch.context() as patch:
        patch.setattr(made._storage, "set_trial_param", dying)
        with pytest.raises(KeyboardInterrupt):
            made.ask("generator")
    # Another process takes it up, after another history: as if a second worker had told a trial.
    made.study.add_trial(
        create_trial(
            state=TrialState.COMPLETE,
            value=50.0,
            params={n: k.low for n, k in space(tiny).items()},
            distributions=space(tiny),
            user_attrs={"key": whole.key},
        )
    )
    made.recover(CAP)
    asked = made.ask("generator")
    assert asked is not None and asked.number == 2
    assert asked.design == whole.design


def test_evolution_prefers_feasible_then_value(tiny: Prototype) -> None:
    def trial(value: float, margin: float) -> optuna.trial.FrozenTrial:
        return create_trial(value=value, constraints={"delta1": margin, "params": -0.2})

    good, better, close, far = trial(30, -0.1), trial(31, 0.0), trial(40, 0.1), trial(50, 0.2)
    assert sorted([far, good, close, better], key=rank) == [better, good, close, far]
    assert (violation(good), violation(close)) == (0, pytest.approx(0.1))


def test_evolution_without_parents_mutates_the_preset(tiny: Prototype) -> None:
    study = optuna.create_study()
    sampler = EvolutionSampler(tiny, seed=0)
    trial = study._storage.get_trial(study._storage.create_new_trial(study._study_id))
    knobs = tiny.knobs_of(tiny.preset)
    children = [sampler.sample_relative(study, trial, {}) for _ in range(40)]
    changed = [sum(child[name] != knobs[name] for name in knobs) for child in children]
    assert 1 < sum(changed) / len(changed) < 7  # four on average, some to the value they had
    for child in children:
        for knob in tiny.knobs:
            assert knob.low <= child[knob.name] <= knob.high


# --- Optuna's own contract -----------------------------------------------------------------------
#
# Its cases make spaces of their own ("x", "y", categories); what they state is stated for the knobs
# as well, below.


@pytest.mark.slow
class TestCappedContract(
    BasicSamplerTestCase, RelativeSamplerTestCase, MultiObjectiveSamplerTestCase
):
    @pytest.fixture
    def sampler(self, tiny: Prototype) -> Callable[[], BaseSampler]:
        caps = Caps(prototype=tiny, requirements=CAP, size=SIZE)
        return lambda: CappedSampler(sampler_factory("random", tiny, 24), caps, 0)


@pytest.mark.parametrize("kind", KINDS)
def test_proposed_values_are_plain_numbers_within_their_distributions(
    tiny: Prototype, kind: str
) -> None:
    """As `BasicSamplerTestCase.test_float`/`test_int` and `test_sample_relative_numerical`."""
    caps = Caps(prototype=tiny, requirements=CAP, size=SIZE)
    study = optuna.create_study(
        sampler=CappedSampler(sampler_factory(kind, tiny, 24), caps, 0), direction="maximize"
    )
    ours = space(tiny)
    for number in range(12):
        trial = study.ask(ours)
        assert set(trial.params) == set(ours)
        relative = study.sampler.sample_relative(
            study, study._storage.get_trial(trial._trial_id), ours
        )
        assert relative == {}  # it has its proposal: the same again, not another one
        for name, kind_ in ours.items():
            value = trial.params[name]
            assert kind_._contains(kind_.to_internal_repr(value))
            assert type(value) is (
                int if isinstance(kind_, optuna.distributions.IntDistribution) else float
            )
        study.tell(trial, float(number))


def test_a_nan_told_by_somebody_does_not_stop_the_generators(tiny: Prototype) -> None:
    """As `BasicSamplerTestCase.test_nan_objective_value`."""
    caps = Caps(prototype=tiny, requirements=CAP, size=SIZE)
    for kind in KINDS:
        sampler = CappedSampler(sampler_factory(kind, tiny, 24), caps, 0)
        study = optuna.create_study(sampler=sampler, direction="maximize")
        for value in (*range(10), float("nan"), 11.0):
            trial = study.ask(space(tiny))
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                study.tell(trial, value, state=None)
        assert study.best_value == 11.0


def test_what_was_enqueued_in_part_is_completed_with_the_preset(tiny: Prototype) -> None:
    """As `BasicSamplerTestCase.test_partial_fixed_sampling`."""
    caps = Caps(prototype=tiny, requirements=CAP, size=SIZE)
    study = optuna.create_study(sampler=CappedSampler(sampler_factory("tpe", tiny, 24), caps, 0))
    study.enqueue_trial({"stem": 5})
    trial = study.ask(space(tiny))
    knobs = tiny.knobs_of(tiny.preset)
    assert trial.params["stem"] == 5
    assert {n: v for n, v in trial.params.items() if n not in ("stem", SEED)} == {
        name: value for name, value in knobs.items() if name != "stem"
    }


def test_the_proposal_is_one_record_of_the_trial(tiny: Prototype) -> None:
    caps = Caps(prototype=tiny, requirements=CAP, size=SIZE)
    study = optuna.create_study(sampler=CappedSampler(sampler_factory("random", tiny, 24), caps, 0))
    trial = study.ask(space(tiny))
    assert study.trials[0].system_attrs[FIXED] == trial.params


@pytest.mark.slow
def test_exhausted_is_said_after_a_bounded_number_of_draws(tiny: Prototype) -> None:
    caps = Caps(prototype=tiny, requirements=Requirements.parse({"params": "<= 10"}), size=SIZE)
    study = optuna.create_study(sampler=CappedSampler(sampler_factory("random", tiny, 24), caps, 0))
    with pytest.raises(Exhausted, match="no new design within the caps in 128 draws"):
        study.ask(space(tiny))
