from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nano.seeds import derive_seed

PARTS = st.lists(st.integers() | st.text(max_size=6), max_size=4)


@given(PARTS)
def test_a_seed_is_one_that_numpy_torch_and_optuna_all_take(parts: list[int | str]) -> None:
    assert 0 <= derive_seed(*parts) < 2**31
    assert derive_seed(*parts) == derive_seed(*parts)


def test_seeds_stay_what_they_were() -> None:
    assert derive_seed(0, "start", 3) == 768092821


@pytest.mark.parametrize(
    ("one", "other"),
    [((1, 2), (2, 1)), ((12,), (1, 2)), (("1",), (1,)), ((), ("",)), (("a", "b"), ("ab",))],
)
def test_other_parts_another_seed(one: tuple[int | str, ...], other: tuple[int | str, ...]) -> None:
    assert derive_seed(*one) != derive_seed(*other)


def test_neighbouring_seeds_do_not_collide() -> None:
    seeds = {derive_seed(study, "start", trial) for study in range(30) for trial in range(100)}
    assert len(seeds) == 3000
