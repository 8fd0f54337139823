from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from nano.design.presets import preset
from nano.errors import InputError
from nano.files import to_plain, write_json
from nano.records import Measurement
from nano.report.__main__ import main
from nano.report.numbers import UNKNOWN
from nano.report.published import PUBLISHED_SPEEDS

MEASURED = Measurement(
    key=preset("depthnet-nano").key,
    device="a made-up board",
    precision="float16",
    size=(384, 1280),
    p50_ms=20.0,
    p90_ms=21.0,
    p99_ms=22.0,
    fps=49.0,
    when="2026-11-26T10:00:00+00:00",
    power_mode="MODE_15W",
    watts=14.0,
    joules=0.29,
)


def told(capsys: pytest.CaptureFixture[str], *files: Path) -> dict[str, list[dict[str, object]]]:
    assert main(["table2", *map(str, files), "--json"]) == 0
    found: dict[str, list[dict[str, object]]] = json.loads(capsys.readouterr().out)
    return found


def test_what_is_printed_is_fps_over_the_budget_of_the_mode() -> None:
    """To the three decimals that the paper prints: it measured no power."""
    for row in PUBLISHED_SPEEDS:
        assert round(row.fps / row.budget_w, 3) == row.images_per_s_w


def test_without_records_nothing_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    found = told(capsys)
    assert [(row["network"], row["budget_w"], row["fps"]) for row in found["quoted"]] == [
        ("densedepth", 30, 3.0),
        ("densedepth", 15, 1.65),
        ("depthnet-nano", 30, 13.92),
        ("depthnet-nano", 15, 7.7),
    ]
    assert all(str(row["measured_on"]).startswith("quoted: ") for row in found["quoted"])
    assert [row["network"] for row in found["ours"]] == ["densedepth", "depthnet-nano"]
    assert all(row["fps"] is None and row["measured_on"] is None for row in found["ours"])
    assert main(["table2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert sum("not measured" in line for line in lines) == 2
    assert any("nominal budget of the power mode: no power was measured" in line for line in lines)


def test_measurements_stand_below_with_their_device(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    alone, several = tmp_path / "one.json", tmp_path / "trial.json"
    write_json(alone, MEASURED)
    unknown = replace(MEASURED, key="0123456789ab", watts=None, joules=None, power_mode=None)
    write_json(several, {"number": 3, "measurements": [to_plain(unknown)]})
    dense, nano, other = told(capsys, alone, several)["ours"]
    assert dense["measured_on"] is None
    assert nano["network"] == "depthnet-nano"
    assert nano["measured_on"] == "a made-up board, MODE_15W, 2026-11-26"
    assert nano["images_per_joule"] == pytest.approx(49 / 14)
    assert (other["network"], other["watts"], other["images_per_joule"]) == (
        unknown.key,
        None,
        None,
    )
    assert main(["table2", str(alone), str(several)]) == 0
    lines = capsys.readouterr().out.splitlines()
    line = next(line for line in lines if line.startswith("depthnet-nano  "))
    for cell in ("384x1280", "float16", "49.00", "14.00", "3.500"):
        assert cell in line
    line = next(line for line in lines if line.startswith(unknown.key))
    assert line.split()[-3:] == ["not", "measured", UNKNOWN]


def test_kept_results_are_read_where_no_file_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = tmp_path / "benchmarks" / "results"
    write_json(kept / "device.json", [to_plain(MEASURED)])
    write_json(kept / "counting.json", {"benchmark": "counting", "figures": {}})
    monkeypatch.chdir(tmp_path)
    assert [row["fps"] for row in told(capsys)["ours"]] == [None, 49.0]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('{"figures": {}}', "holds no measurement; write one by"),
        ('{"p50_ms": 3}', "missing"),
        ("{", "not JSON"),
        (None, "no such file"),
    ],
)
def test_a_file_without_a_measurement_is_told(
    tmp_path: Path, content: str | None, words: str
) -> None:
    path = tmp_path / "m.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(InputError, match=rf"m\.json: .*{words}"):
        main(["table2", str(path)])


def test_files_beside_a_run_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="only table2 takes files"):
        main(["table1", str(tmp_path / "m.json")])
