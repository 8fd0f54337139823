"""What docs/jetson.md shows is what the command prints, and its table of rails is the code's."""

from __future__ import annotations

import re
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


def test_the_table_of_totals_has_every_rule() -> None:
    rows = re.findall(r"^\| `([\w ]+)` \| .* \| (.+) \|$", PAGE, re.MULTILINE)
    told = {tuple(rails.split()): module for rails, module in rows}
    assert told == {rule.rails: rule.module.replace(" or ", ", ") for rule in TOTALS}
