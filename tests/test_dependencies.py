"""What is imported is declared and pinned, and what is declared is imported."""

import ast
import re
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
# Where the two names differ.
ALIASES = {
    "pillow": "PIL",
    "pydantic_core": "pydantic",
    "protobuf": "google",
    "nvidia-ml-py": "pynvml",
}
NEVER_IMPORTED = {"cmaes", "psycopg"}  # Optuna's CMA-ES sampler and SQLAlchemy import them
RUN = set(PROJECT["dependencies"])
EXTRAS = PROJECT["optional-dependencies"]
NOT_OF_NANO = ("notebooks", "test", "dev")  # extras that nothing in nano imports
OPTIONAL = {one for extra, some in EXTRAS.items() if extra not in NOT_OF_NANO for one in some}
TEST = RUN | OPTIONAL | set(EXTRAS["notebooks"]) | set(EXTRAS["test"])
DEV = TEST | set(EXTRAS["dev"])


def distribution(requirement: str) -> str:
    match = re.match(r"[A-Za-z0-9-]+", requirement)
    assert match
    return match[0].lower()


def declared(requirements: set[str]) -> set[str]:
    names = {distribution(requirement) for requirement in requirements}
    return {ALIASES.get(name, name.replace("-", "_")) for name in names}


def imported(folder: str) -> set[str]:
    """Packages of others that any file of the folder imports, anywhere in it."""
    own = set(sys.stdlib_module_names) | {"nano", "benchmarks"}
    own |= {path.stem for path in (ROOT / "tests").glob("*.py")}
    found = set()
    for path in (ROOT / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                found.add((node.module or "").partition(".")[0])
    return {ALIASES.get(name, name) for name in found - own}


@pytest.mark.parametrize(
    ("folder", "requirements"), [("nano", RUN | OPTIONAL), ("tests", TEST), ("benchmarks", DEV)]
)
def test_what_is_imported_is_declared(folder: str, requirements: set[str]) -> None:
    assert imported(folder) <= declared(requirements)


def test_what_users_must_install_is_imported() -> None:
    assert declared(RUN | OPTIONAL) - NEVER_IMPORTED == imported("nano")


def test_what_is_declared_is_pinned() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = dict(line.split("==") for line in lines if line and not line.startswith("#"))
    names = {distribution(requirement) for requirement in DEV} - {PROJECT["name"]}
    assert names <= set(pins)
    assert all(re.fullmatch(r"[0-9.]+(\.post\d+)?", version) for version in pins.values())
