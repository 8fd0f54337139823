"""What docs/jetson.md shows is what the command prints, and its table of rails is the code's."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from made_up_logs import recorded

from nano.bench.__main__ import main
from nano.bench.power import TOTALS
from nano.files import to_plain
from nano.records import Measurement
from nano.report.__main__ import main as report
from nano.report.numbers import UNKNOWN

PAGE = (Path(__file__).parents[2] / "docs" / "jetson.md").read_text()


def test_the_page_shows_what_the_recorded_log_gives(capsys: pytest.CaptureFixture[str]) -> None:
    (block,) = re.findall(r"```text\n\$ python -m nano.bench [^\n]*\n(.*?)```", PAGE, re.DOTALL)
    path = recorded("tegrastats_agx_xavier_l4t32.4_mode0.log")
    main(["--read", str(path), "--interval", "1000"])
    assert capsys.readouterr().out == block


def test_the_line_that_prints_table_2_copes_with_a_mode_without_power(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, watts in (("maxn", 20.0), ("15w", None)):
        one = Measurement(
            key="0123456789ab",
            device="Xavier",
            precision="float16",
            size=(384, 1280),
            p50_ms=33.0,
            p90_ms=34.0,
            p99_ms=35.0,
            fps=30.0,
            when="2000-01-01",
            power_mode=name,
            watts=watts,
        )
        Path(f"{name}.json").write_text(json.dumps(to_plain(one)))
    (words,) = re.findall(r"^python -m nano.report (table2 .*)$", PAGE, re.MULTILINE)
    assert report(words.split()) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines() if "Xavier," in line]
    assert [row[-2:] for row in rows if row[0] == "0123456789ab"] == [
        ["20.00", "1.500"],
        ["measured", UNKNOWN],  # not measured
    ]


def test_the_table_of_totals_has_every_rule() -> None:
    rows = re.findall(r"^\| `([\w ]+)` \| .* \| (.+) \|$", PAGE, re.MULTILINE)
    told = {tuple(rails.split()): module for rails, module in rows}
    assert told == {rule.rails: rule.module.replace(" or ", ", ") for rule in TOTALS}
