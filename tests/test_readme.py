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
CALLS = sorted(set(re.findall(r"python -m (nano\.\w+)([^`\n|]*)", README)))


def test_there_are_exactly_two_set_up_commands() -> None:
    assert len(SET_UP) == 2
    assert sum("-m nano.explore" in line for line in SET_UP) == 1
    assert sum("-m pytest" in line for line in SET_UP) == 1


@pytest.mark.parametrize("command", SET_UP)
def test_ci_runs_the_set_up_commands_as_written(command: str) -> None:
    assert any(line.startswith(command) for line in CI.splitlines())


def test_every_documented_call_names_a_command() -> None:
    assert {name for name, _ in CALLS} == set(COMMANDS)


@pytest.mark.parametrize("name", sorted({name for name, _ in CALLS}))
def test_every_documented_option_exists(name: str) -> None:
    asked = " ".join(rest for called, rest in CALLS if called == name)
    told = subprocess.run(
        [sys.executable, "-m", name, "--help"], capture_output=True, text=True, timeout=60
    )
    sub_commands = [word for word in asked.split() if word in {"scenes", "kitti"}]
    help_text = told.stdout
    if name == "nano.data":
        for sub in sub_commands:
            help_text += subprocess.run(
                [sys.executable, "-m", name, sub, "--help"],
                capture_output=True,
                text=True,
                timeout=60,
            ).stdout
    for option in set(re.findall(r"--[a-z][a-z-]*", asked)):
        assert re.search(rf"{option}\b", help_text), f"python -m {name} has no {option}"


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"])
def test_every_link_to_a_file_leads_somewhere(page: str) -> None:
    links = re.findall(r"\]\(([^)#]+)\)", (ROOT / page).read_text())
    missing = [link for link in links if "://" not in link and not (ROOT / link).exists()]
    assert not missing


def test_the_python_of_the_readme_runs(capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    exec(code, {})
    assert capsys.readouterr().out.split()[1:] == ["1746581", "4660535040"]
