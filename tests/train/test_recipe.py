from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nano.errors import StudyError
from nano.files import to_plain
from nano.train.recipe import RECIPES, Recipe, named_recipe, recipe_from_plain


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_comes_back_from_json_unchanged(name: str) -> None:
    plain = json.loads(json.dumps(to_plain(RECIPES[name])))
    assert recipe_from_plain(plain, "recipe.json") == RECIPES[name]


def test_a_table_changes_a_named_recipe() -> None:
    recipe = recipe_from_plain({"name": "densedepth", "batch": 4}, "study.toml: [stages]")
    assert recipe == replace(RECIPES["densedepth"], batch=4)


def test_spend_is_steps_times_batch() -> None:
    recipe = Recipe(batch=16, steps=200)
    assert recipe.images == 3200
    assert recipe.for_images(9600) == replace(recipe, steps=600)
    assert recipe.for_images(1).steps == 1


def test_densedepth_is_as_published() -> None:
    recipe = RECIPES["densedepth"]
    assert (recipe.optimiser, recipe.learning_rate, recipe.batch) == ("adam", 1e-4, 8)
    assert (recipe.betas, recipe.weight_decay, recipe.amsgrad) == ((0.9, 0.999), 0.0, False)
    assert (recipe.loss, recipe.target, recipe.ssim) == ("densedepth", "inverse", "gauss11")
    assert (recipe.flip, recipe.permute, recipe.clip, recipe.ema) == (0.5, 0.25, 0.0, 0.0)
    assert recipe.rate(0) == recipe.rate(recipe.steps - 1) == 1e-4
    assert RECIPES["depthnet-nano"] == replace(recipe, learning_rate=5e-5)


def test_densedepth_s_program_is_not_quite_its_paper() -> None:
    program = RECIPES["densedepth-program"]
    assert program.permute == pytest.approx(0.36, abs=0.005)
    paper = RECIPES["densedepth"]
    assert program == replace(paper, amsgrad=True, batch=4, permute=program.permute)


def test_averages_are_off_and_batches_whole_unless_asked_for() -> None:
    assert all((one.ema, one.accumulate) == (0.0, 1) for one in RECIPES.values())


def test_a_batch_divides_into_parts_of_processes() -> None:
    recipe = Recipe(batch=24, accumulate=3)
    assert [recipe.part(processes) for processes in (1, 2, 8)] == [8, 4, 1]
    with pytest.raises(StudyError, match="batch = 24: no multiple of accumulate = 3 times 5"):
        recipe.part(5)


def test_cosine_after_warm_up_by_hand() -> None:
    recipe = Recipe(learning_rate=1.0, warmup=0.2, steps=10)
    rates = [recipe.rate(step) for step in range(10)]
    assert rates[:3] == pytest.approx([0.5, 1.0, 1.0])
    assert rates[6] == pytest.approx(0.5)  # half of the eight steps after the warm-up
    assert rates == sorted(rates[:3]) + sorted(rates[3:], reverse=True)


@given(steps=st.integers(1, 400), warmup=st.floats(0, 1), images=st.integers(1, 10_000))
def test_every_length_has_a_complete_schedule(steps: int, warmup: float, images: int) -> None:
    recipe = Recipe(steps=steps, warmup=warmup, learning_rate=1e-3).for_images(images)
    rates = [recipe.rate(step) for step in range(recipe.steps)]
    assert all(0 < rate <= 1e-3 for rate in rates)
    assert max(rates) == pytest.approx(1e-3)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"batch": 0}, "batch = 0"),
        ({"steps": 0}, "steps = 0"),
        ({"learning_rate": 0.0}, "learning_rate = 0.0"),
        ({"learning_rate": float("nan")}, "learning_rate = nan"),
        ({"betas": (0.9, 1.0)}, "betas = [0.9, 1.0]"),
        ({"flip": 1.5}, "flip = 1.5"),
        ({"permute": -0.1}, "permute = -0.1"),
        ({"jitter": (0.2, 0.2, 1.2, 0.0)}, "jitter = [0.2, 0.2, 1.2, 0.0]"),
        ({"ema": 1.0}, "ema = 1.0"),
        ({"accumulate": 0}, "accumulate = 0"),
        ({"accumulate": 3}, "batch = 16: no multiple of accumulate = 3"),
        ({"clip": -1.0}, "clip = -1.0"),
        ({"target": "inverse"}, "target = 'log'"),
        ({"loss": "densedepth"}, "target = 'inverse'"),
        ({"loss": "densedepth", "target": "inverse", "ssim_weight": 1.0}, "weights of its own"),
        (
            {"loss": "ordinal", "target": "ordinal", "ssim_weight": 1.0},
            "weights of its own, or none",
        ),
        ({"loss": "ordinal"}, "defined on target = 'ordinal'"),
        ({"loss": "l1", "target": "ordinal"}, "defined on target = 'log' or 'inverse'"),
    ],
)
def test_impossible_recipes_say_which_field(settings: dict[str, object], words: str) -> None:
    with pytest.raises(StudyError) as caught:
        Recipe(**settings)  # type: ignore[arg-type]  # wrong on purpose
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("plain", "words"),
    [
        ({"learning_rat": 1e-3}, "perhaps 'learning_rate'?"),
        ({"lr": 1e-3}, "unknown key 'lr' (perhaps 'learning_rate'?)"),
        ({"momentum": 0.9}, "unknown key 'momentum'; known: optimiser, learning_rate, betas"),
        ({"batch": "16"}, "batch"),
        ({"optimiser": "sgd"}, "'adamw' or 'adam'"),
        ({"name": "quik"}, "perhaps 'quick'?"),
        (16, "got 16"),
    ],
)
def test_wrong_tables_are_explained(plain: object, words: str) -> None:
    with pytest.raises(StudyError) as caught:
        recipe_from_plain(plain, "study.toml")
    assert words in str(caught.value)


def test_an_unknown_name_lists_the_known() -> None:
    with pytest.raises(StudyError, match="quick, densedepth, densedepth-program, depthnet-nano"):
        named_recipe("slow")
