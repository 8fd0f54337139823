"""What users may import from ``nano`` itself; a change here is a line in the changelog."""

import tomllib
from pathlib import Path

import pytest

import nano

PUBLIC = """
Accuracy Confirmation Cost DepthNet Design Diverged Evaluation InputError Knob Measurement Model
Module NanoError OutputError Protocol Prototype Requirements Stage Stem Upconv Utility build count
load_design load_model netscore preset prototype save_model
"""


def test_exactly_these_names_are_public() -> None:
    assert nano.__all__ == PUBLIC.split()


@pytest.mark.parametrize("name", PUBLIC.split())
def test_public_name_is_there_and_documented(name: str) -> None:
    value = getattr(nano, name)
    assert value.__name__ == name
    assert value.__doc__ and not value.__doc__.startswith(f"{name}(")  # not dataclass's own text


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no public name 'nothing'"):
        nano.nothing  # noqa: B018 - reading it is the test


def test_version_is_the_distribution_s() -> None:
    project = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text())
    assert nano.__version__ == project["project"]["version"]
