"""The tests do check types and shapes: the hooks reach every package."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from beartype.roar import BeartypeCallHintParamViolation
from checked_types import OTHERS, ROOT, SHAPED, UNRESOLVED
from jaxtyping import TypeCheckError

from nano.evaluate.metrics import depth_metrics
from nano.score import shortened
from nano.seeds import derive_seed


def test_an_argument_of_another_type_is_found() -> None:
    wrong: Any = 2.5
    with pytest.raises(BeartypeCallHintParamViolation):
        derive_seed(wrong)
    assert shortened(3) == shortened(3.0)  # an int is a float, to every checker


def test_shapes_that_disagree_are_found() -> None:
    with pytest.raises(TypeCheckError):
        depth_metrics(np.ones(3), np.ones(4))


def test_every_module_with_shapes_is_checked_for_them() -> None:
    shaped = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for path in sorted((ROOT / "nano").rglob("*.py"))
        if "jaxtyping" in path.read_text(encoding="utf-8")
    ]
    assert shaped
    checked = (*SHAPED, *UNRESOLVED)
    assert all(name in checked or name.rpartition(".")[0] in checked for name in shaped)
    assert {"nano.explore", "nano.score"} <= {*OTHERS}
