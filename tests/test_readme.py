"""What the README tells is what works: its commands, options, links and Python."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from nano.__main__ import COMMANDS

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
CI = (ROOT / ".ci" / "run").read_text()
SET_UP = re.findall(r"^python3 -m venv .*$", README, re.MULTILINE)
CALLS = sorted(set(re.findall(r"python -m (nano(?:\.\w+)+)([^`\n|]*)", README)))


def test_there_are_exactly_two_set_up_commands() -> None:
    assert len(SET_UP) == 2
    assert sum("-m nano.explore" in line for line in SET_UP) == 1
    assert sum("-m pytest" in line for line in SET_UP) == 1


@pytest.mark.parametrize("command", SET_UP)
def test_ci_runs_the_set_up_commands_as_written(command: str) -> None:
    assert any(line.startswith(command) for line in CI.splitlines())


def test_every_documented_call_names_a_command() -> None:
    assert {name for name, _ in CALLS} == set(COMMANDS)


@pytest.mark.parametrize(("name", "rest"), CALLS)
def test_every_documented_option_exists(name: str, rest: str) -> None:
    words = rest.split()
    step = words[:1] if name == "nano.data" else []  # the one command with commands of its own
    told = subprocess.run(
        [sys.executable, "-m", name, *step, "--help"], capture_output=True, text=True, timeout=60
    )
    assert told.returncode == 0, told.stderr
    for option in (word for word in words if word.startswith("--")):
        assert re.search(rf"^  {option}\b", told.stdout, re.MULTILINE), f"{name} has no {option}"


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"])
def test_every_link_to_a_file_leads_somewhere(page: str) -> None:
    links = re.findall(r"\]\(([^)#]+)\)", (ROOT / page).read_text())
    missing = [link for link in links if "://" not in link and not (ROOT / link).exists()]
    assert not missing


def test_the_python_of_the_readme_runs(capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    exec(code, {})
    assert capsys.readouterr().out.split()[1:] == ["1746581", "4660535040"]
