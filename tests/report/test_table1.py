from __future__ import annotations

import json

import pytest

from nano.report.__main__ import main
from nano.report.published import PUBLISHED


@pytest.mark.slow
def test_quoted_and_counted_stand_side_by_side_with_their_difference(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["table1", "--json"]) == 0
    rows = {row["network"]: row for row in json.loads(capsys.readouterr().out)["rows"]}
    assert list(rows) == ["dorn", "densedepth", "depthnet-nano"]
    assert {name: row["counted"] for name, row in rows.items()} == {
        "dorn": {
            "params": 99_807_310,
            "params_with_statistics": 99_913_038,
            "macs": 257_615_201_984,
        },
        "densedepth": {
            "params": 42_657_689,
            "params_with_statistics": 42_816_089,
            "macs": 196_282_613_760,
        },
        "depthnet-nano": {
            "params": 1_746_581,
            "params_with_statistics": 1_751_109,
            "macs": 4_660_535_040,
        },
    }
    for quoted in PUBLISHED:
        row = rows[quoted.network]
        assert row["quoted"] == {"params": quoted.params, "macs": quoted.macs}
        assert row["size"] == list(quoted.size)
        assert row["difference"]["macs"] == pytest.approx(row["counted"]["macs"] / quoted.macs - 1)
        assert abs(row["difference"]["macs"]) < 0.0025
        assert abs(row["difference"]["params_with_statistics"]) < 0.0015


@pytest.mark.slow
def test_the_table_is_read_at_a_glance(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["table1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    dense = next(line for line in lines if line.startswith("DenseDepth (Alhashim)  "))
    assert dense.split("  ")[1].strip() == "384x1280"
    for cell in ("42.8 M", "42,816,089", "+0.04 %", "196 G", "196,282,613,760", "+0.14 %"):
        assert cell in dense
    assert "24.5 times the parameters and 42.1 times the MACs as quoted, 24.5 and 42.1" in lines[-1]
