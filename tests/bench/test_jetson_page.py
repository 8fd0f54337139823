"""What docs/jetson.md shows is what the command prints, and its table of rails is the code's."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from made_up_logs import recorded

from nano.bench.__main__ import main
from nano.bench.power import TOTALS

PAGE = (Path(__file__).parents[2] / "docs" / "jetson.md").read_text()


def test_the_page_shows_what_the_recorded_log_gives(capsys: pytest.CaptureFixture[str]) -> None:
    (block,) = re.findall(r"```text\n\$ python -m nano.bench [^\n]*\n(.*?)```", PAGE, re.DOTALL)
    path = recorded("tegrastats_agx_xavier_l4t32.4_mode0.log")
    main(["--read", str(path), "--interval", "1000"])
    assert capsys.readouterr().out == block


def test_the_line_that_prints_table_2_copes_with_a_mode_without_power(tmp_path: Path) -> None:
    for name, watts in (("maxn", 20.0), ("15w", None)):
        plain = {"device": "Xavier", "power_mode": name, "fps": 30.0, "watts": watts}
        (tmp_path / f"{name}.json").write_text(json.dumps(plain))
    (code,) = re.findall(r'^python -c "(.*)"$', PAGE, re.MULTILINE)
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == "Xavier maxn 30.0 1.5\nXavier 15w 30.0 None\n"


def test_the_table_of_totals_has_every_rule() -> None:
    rows = re.findall(r"^\| `([\w ]+)` \| .* \| (.+) \|$", PAGE, re.MULTILINE)
    told = {tuple(rails.split()): module for rails, module in rows}
    assert told == {rule.rails: rule.module.replace(" or ", ", ") for rule in TOTALS}
