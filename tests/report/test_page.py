"""report.html: one whole file, safe and honest, whatever the records look like."""

from __future__ import annotations

import errno
import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest

from nano.errors import OutputError, RunError
from nano.files import write_text
from nano.front import front
from nano.records import Accuracy
from nano.report import __main__ as command
from nano.report.cost_plot import accuracy_against_cost
from nano.report.findings import chosen, headline
from nano.report.markup import join, tag
from nano.report.page import page, write_report
from nano.report.published import PUBLISHED, comparable
from nano.report.run import read_run

Maker = Callable[..., Path]
VOID = {"meta", "img", "link", "br"}


class Outline(HTMLParser):
    """Elements, attributes, ids and text of a page; fails on tags that do not close."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: Counter[str] = Counter()
        self.attributes: list[tuple[str, str, str]] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements[tag] += 1
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements[tag] += 1
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] not in {"style", "script"}:
            self.texts.append(data)


def outline(text: str) -> Outline:
    parsed = Outline()
    parsed.feed(text)
    parsed.close()
    assert parsed.open == []
    return parsed


def written(folder: Path) -> str:
    return write_report(folder).read_text(encoding="utf-8")


SCENARIOS = [
    {"hardness": 0.1, "trials": 8},
    {"trials": 0},
    {"trials": 1, "confirm": 0},
    {"measured": True, "confirm": 0, "trials": 5},
    {"kitti": True, "size": (384, 1280), "trials": 8},
]


@pytest.fixture(scope="module")
def whole(make_module_run: Maker) -> Path:
    """A whole run whose page is written once."""
    folder = make_module_run()
    write_report(folder)
    return folder


@pytest.fixture(scope="module")
def figures(whole: Path) -> list[str]:
    return re.findall(r"<svg.*?</svg>", (whole / "report.html").read_text(), flags=re.DOTALL)


@pytest.mark.slow
@pytest.mark.parametrize("wishes", SCENARIOS, ids=str)
def test_every_kind_of_run_gives_one_well_formed_file_that_fetches_nothing(
    make_run: Maker, wishes: dict[str, object]
) -> None:
    folder = make_run(**wishes)
    check_page(written(folder), headline(read_run(folder)))


def test_a_whole_run_gives_one_well_formed_file_that_fetches_nothing(whole: Path) -> None:
    check_page((whole / "report.html").read_text(encoding="utf-8"), headline(read_run(whole)))


def check_page(text: str, sentence: str) -> None:
    parsed = outline(text)
    ids = [value for _, name, value in parsed.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    for element, name, value in parsed.attributes:
        assert not name.startswith("on"), f"{element} {name}"
        if name in {"src", "href", "xlink:href"}:
            assert value.startswith(("#", "data:image/png;base64,"))
            assert not value.startswith("#") or value[1:] in ids
    assert parsed.elements["script"] == 1
    assert parsed.elements["link"] == 0
    assert sentence in parsed.texts


def test_figures_are_xml_whose_text_is_text(figures: list[str]) -> None:
    assert len(figures) == 7
    for figure in figures:
        texts = [e.text for e in ElementTree.fromstring(figure).iter() if e.tag.endswith("}text")]
        assert len(texts) > 5
    drawn = "".join(figures)
    for axis in ("NetScore (dB)", "delta1 (share of pixels)", "(MACs) per image, log scale"):
        assert axis in drawn


def test_colours_of_figures_follow_the_page(figures: list[str]) -> None:
    fixed = re.findall(r"(?:fill|stroke): (#[0-9a-f]{6})", "".join(figures))
    assert fixed == []


def test_hostile_names_are_text(make_run: Maker) -> None:
    name = '<script>alert(1)</script> $x^2$ & "q" <img src=x onerror=alert(2)>'
    folder = make_run(name=name)
    about = json.loads((folder / "run.json").read_text())
    about["commands"] = ["</pre><script>alert(3)</script>"]
    about["machine"] = {"<b>cpu": ["</dd><script>"]}
    about["summary"]["best"] = ["<script>"]
    (folder / "run.json").write_text(json.dumps(about))
    record = folder / "trials" / "0004" / "evaluation.json"
    trial = json.loads(record.read_text())
    record.write_text(json.dumps({**trial, "origin": "<i>", "reason": "<script>alert(4)"}))
    parsed = outline(written(folder))
    assert parsed.elements["script"] == 1
    assert parsed.elements["img"] == 1, "the panel"
    assert parsed.elements["i"] == 0
    tiles = sum(given == ("div", "class", "tile") for given in parsed.attributes)
    assert parsed.elements["b"] == tiles >= 4, "one per tile"
    assert name in parsed.texts


def test_markup_escapes_what_is_not_markup() -> None:
    made = tag("td", "<b>&", tag("i", "x"), None, title='"<', class_=None, data_order=3)
    assert made == '<td title="&quot;&lt;" data-order="3">&lt;b&gt;&amp;<i>x</i></td>'
    assert join(["<", tag("p")]) == "&lt;<p></p>"


def test_the_same_records_give_the_same_bytes(make_run: Maker) -> None:
    folder = make_run(trials=1)
    assert written(folder) == written(folder)


@pytest.mark.slow
def test_damaged_and_missing_records_are_named_and_the_rest_is_told(make_run: Maker) -> None:
    folder = make_run()
    (folder / "trials/0003/evaluation.json").write_text('{"number": 3')
    (folder / "trials/0005/evaluation.json").unlink()
    (folder / "best/panel.png").write_bytes(b"GIF89a")
    (folder / "study.toml").write_text("name = ")
    key = chosen(read_run(folder))
    assert key is not None
    (folder / f"trials/{key.number:04d}/curve.csv").write_text("stage,step\nrung 1,1\n")
    other = next(c for c in read_run(folder).confirmations if c.key != key.key)
    (folder / "confirm" / other.key / "confirmation.json").write_text('{"number": "one"}')
    texts = " ".join(outline(written(folder)).texts)
    assert "Records that are missing or damaged" in texts
    for part in (
        "trials/0003/evaluation.json: not JSON",
        "trials/0005: no evaluation.json",
        "best/panel.png: not a PNG picture",
        "study.toml: cannot be read",
        "curve.csv: lacks the columns",
        f"confirm/{other.key}/confirmation.json: number",
    ):
        assert part in texts
    assert headline(read_run(folder)) in texts
    assert "Accuracy against cost" in texts


@pytest.mark.parametrize("content", ["[]", "{", '{"requirements": ["delta1"]}', '{"study": 3}'])
def test_a_damaged_run_json_does_not_stop_the_report(make_run: Maker, content: str) -> None:
    folder = make_run(trials=0)
    (folder / "run.json").write_text(content)
    assert "No design has been evaluated yet." in written(folder)


def test_a_study_file_alone_makes_no_run_and_nothing_is_written_beside_it(tmp_path: Path) -> None:
    (tmp_path / "study.toml").write_text('name = "mine"\n')
    with pytest.raises(RunError, match=r"has no run\.json; give the run folder"):
        command.main([str(tmp_path)])
    assert [path.name for path in tmp_path.iterdir()] == ["study.toml"]


def test_a_trial_that_still_runs_is_left_out_and_named(make_run: Maker) -> None:
    folder = make_run(trials=6, confirm=0)
    record = folder / "trials" / "0002" / "evaluation.json"
    trial = json.loads(record.read_text())
    assert trial["stage"] == "rung 1"
    del trial["reason"], trial["predicted"]
    record.write_text(json.dumps(trial))
    run = read_run(folder)
    assert [e.number for e in run.evaluations] == [0, 1, 3, 4, 5]
    assert run.problems == ("trial 2: left out, still running or interrupted at rung 1",)


def test_recorded_commands_are_shown_as_one_types_them(make_run: Maker) -> None:
    folder = make_run(trials=0)
    about = json.loads((folder / "run.json").read_text())
    argv = ["/somewhere/nano/explore/__main__.py", "a study.toml", "--trials", "3"]
    about["commands"] = [{"when": "2026-11-20T12:00:00+00:00", "argv": argv}]
    (folder / "run.json").write_text(json.dumps(about))
    shown = " ".join(outline(written(folder)).texts)
    assert "python -m nano.explore 'a study.toml' --trials 3  # 2026-11-20T12:00:00" in shown
    assert "/somewhere" not in shown


def test_pictures_of_another_design_are_not_shown(make_run: Maker) -> None:
    folder = make_run()
    answer = chosen(read_run(folder))
    assert answer is not None
    about = json.loads((folder / "run.json").read_text())
    other = next(c for c in read_run(folder).confirmations if c.key != answer.key)
    about["summary"]["best"] = {"key": other.key}
    (folder / "run.json").write_text(json.dumps(about))
    parsed = outline(written(folder))
    assert parsed.elements["img"] == 0
    assert "its pictures are not shown" in " ".join(parsed.texts)


def test_the_page_says_which_network_lies_in_best_and_its_own_number(whole: Path) -> None:
    run = read_run(whole)
    best = next(c for c in run.confirmations if c.key == run.chosen_key)
    seen = [reading.validation.delta1 for reading in best.readings if reading.validation]
    assert len(seen) == 3
    index = seen.index(max(seen))
    own = best.readings[index].accuracy
    assert own is not None and best.accuracy is not None and own != best.accuracy
    sentence = f"network of fresh seed {index}, which was best on the search's validation data"
    texts = " ".join(outline((whole / "report.html").read_text()).texts)
    assert f"{sentence}; its own delta1 on held-out data is {own.delta1:.3f}." in texts


@pytest.mark.slow
def test_published_rows_are_drawn_only_beside_the_whole_eigen_test(make_run: Maker) -> None:
    folder = make_run(kitti=True, size=(384, 1280), trials=4)
    run = read_run(folder)
    assert "DenseDepth (Alhashim)," in accuracy_against_cost(run).inline
    fewer = tuple(
        replace(c, accuracy=replace(c.accuracy, images=4)) if c.accuracy else c
        for c in run.confirmations
    )
    apart = replace(run, confirmations=fewer)
    assert "DenseDepth (Alhashim)," not in accuracy_against_cost(apart).inline
    assert "cannot be compared with them" in page(apart)


@pytest.mark.parametrize(
    ("data", "protocol", "images", "expected"),
    [
        ("kitti eigen test", "eigen652-annotated (crop eigen, 0.001-80 m)", 652, True),
        ("kitti eigen test", "eigen652-annotated (crop eigen, 0.001-80 m)", 4, False),
        ("kitti eigen test", "eigen652-annotated-garg (crop garg, 0.001-80 m)", 652, False),
        ("kitti eigen test", "eigen697-raw (crop garg, 0.001-80 m)", 697, False),
        ("scenes test", "scenes (crop none, 0.001-80 m)", 652, False),
    ],
)
def test_only_the_papers_own_test_is_comparable(
    data: str, protocol: str, images: int, expected: bool
) -> None:
    accuracy = Accuracy(delta1=0.9, abs_rel=0.1, data=data, protocol=protocol, images=images)
    assert comparable(accuracy) is expected


def test_values_without_a_source_are_left_open() -> None:
    dense = next(row for row in PUBLISHED if row.name.startswith("DenseDepth"))
    assert (dense.delta1, dense.abs_rel, dense.rmse_log) == (0.886, 0.093, 0.171)
    unknown = [row.name for row in PUBLISHED if row.abs_rel is None]
    assert unknown == ["DORN (Fu)", "DepthNet Nano (Wang)"]


@pytest.mark.slow
def test_a_trade_off_is_drawn_and_its_confirmed_front_listed(make_run: Maker) -> None:
    run = make_run()
    assert 'id="front"' not in written(run)
    study = (run / "study.toml").read_text()
    write_text(run / "study.toml", study + '[utility]\ntrade_off = ["activations", "macs"]\n')
    section = written(run).partition('<section id="front">')[2].partition("</section>")[0]
    assert section.count("<svg") == 2
    feasible = [c for c in read_run(run).confirmations if c.feasible]
    listed = [int(number) for number in re.findall(r"<td[^>]*>#(\d+)</td>", section)]
    assert listed == [c.number for c in front(feasible, ("activations", "macs"))]
    assert listed
    best = max(feasible, key=lambda c: c.netscore or 0.0)
    assert best.number in listed


def test_a_trade_off_without_a_feasible_design_says_so(make_run: Maker) -> None:
    run = make_run(hardness=0.1, trials=8)
    study = (run / "study.toml").read_text()
    write_text(run / "study.toml", study + '[utility]\ntrade_off = ["activations"]\n')
    assert "No confirmed design is feasible." in written(run)


def test_a_folder_without_a_study_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="give the run folder"):
        write_report(tmp_path)


def test_a_full_disk_leaves_the_old_page(make_run: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make_run(trials=0)
    old = written(folder)

    def full(self: Path, content: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OutputError, match=r"report\.html: cannot be written: the disk is full"):
        write_report(folder)
    monkeypatch.undo()
    assert (folder / "report.html").read_text(encoding="utf-8") == old


def test_the_command_prints_path_and_headline(
    make_run: Maker, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = make_run(trials=1)
    assert command.main([str(folder)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines == [str(folder / "report.html"), headline(read_run(folder))]
    assert (folder / "trials.csv").is_file()


@pytest.mark.slow
def test_the_command_prints_its_summary_as_json(
    whole: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main([str(whole), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    run = read_run(whole)
    answer = chosen(run)
    assert answer is not None
    assert told["outcome"] == "confirmed"
    assert told["chosen"]["netscore"] == answer.netscore
    assert told["complete"] + told["pruned"] + told["failed"] == told["trials"] == 30
    assert told["search_images"] + told["confirmation_images"] == run.summary["spend_images"]


@pytest.mark.slow
def test_a_report_loads_neither_torch_nor_optuna(make_run: Maker) -> None:
    folder = make_run(trials=1)
    code = (
        "import sys; from nano.report.__main__ import main; main(sys.argv[1:]);"
        "sys.exit(bool({'torch', 'optuna'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
