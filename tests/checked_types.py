"""Types and shapes are checked in every call that the tests make.

jaxtyping also finds shapes that disagree among arguments, but binds each call's arguments anew,
which made the tests of searches three times as long. It gets the packages with shapes, and the
modules whose annotations name what only type checkers import (and a base class's type variable),
which it passes over. beartype takes the others.
"""

from __future__ import annotations

from pathlib import Path

from beartype import BeartypeConf
from beartype.claw import beartype_packages
from jaxtyping import install_import_hook

ROOT = Path(__file__).parents[1]
SHAPED = ["nano.data", "nano.evaluate", "nano.export", "nano.networks", "nano.train"]
UNRESOLVED = ["nano.design.fastdepth_prototype", "nano.design.prototype"] + [
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for path in sorted((ROOT / "nano").rglob("*.py"))
    if "if TYPE_CHECKING:" in path.read_text(encoding="utf-8")
]
OTHERS = sorted({f"nano.{path.stem}" for path in (ROOT / "nano").glob("[!_.]*")} - {*SHAPED})


def check_types() -> None:
    """From now on, in what is imported."""
    # An int where a float is asked is right to Python, to mypy, and so to beartype.
    install_import_hook(
        [*SHAPED, *UNRESOLVED],
        "beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))",
    )
    beartype_packages(
        OTHERS,
        conf=BeartypeConf(
            is_pep484_tower=True, claw_is_pep526=False, claw_skip_package_names=tuple(UNRESOLVED)
        ),
    )
