"""The notebooks: thin callers without outputs, which run on the recorded study and tell it."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from nano.files import write_json

ROOT = Path(__file__).parents[2]
RECORDED = ROOT / "studies" / "recorded"
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
RUN = 'RUN = "../studies/recorded"'
FIGURE = re.compile(r"^shown\(", re.MULTILINE)
each = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def code(path: Path) -> list[dict[str, Any]]:
    cells = json.loads(path.read_text())["cells"]
    return [cell for cell in cells if cell["cell_type"] == "code"]


def source(cell: dict[str, Any]) -> str:
    return "".join(cell["source"])


def test_the_four_are_there() -> None:
    names = ["01_search", "02_architecture", "03_training", "04_results"]
    assert [path.stem for path in NOTEBOOKS] == names


@each
def test_it_calls_and_defines_nothing(path: Path) -> None:
    for cell in code(path):
        assert len(source(cell).splitlines()) <= 15
        kinds = {type(node) for node in ast.walk(ast.parse(source(cell)))}
        assert not kinds & {ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda}


@each
def test_it_is_kept_without_outputs(path: Path) -> None:
    nbformat.validate(nbformat.read(path, as_version=4))
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code(path))


@each
def test_the_first_cell_names_the_run_and_each_is_told_before_it_runs(path: Path) -> None:
    cells = json.loads(path.read_text())["cells"]
    assert RUN in source(code(path)[0])
    assert sum(RUN in source(cell) for cell in cells) == 1
    kinds = [cell["cell_type"] for cell in cells]
    assert kinds[0] == "markdown"
    assert ("code", "code") not in pairwise(kinds)


@each
def test_its_links_lead_somewhere(path: Path) -> None:
    text = "".join("".join(cell["source"]) for cell in json.loads(path.read_text())["cells"])
    links = re.findall(r"\]\(([^)#]+)\)", text)
    assert not [link for link in links if not (path.parent / link).exists()]


def test_the_record_is_small_and_knows_no_machine() -> None:
    files = [path for path in RECORDED.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 450_000
    texts = [path.read_text() for path in files if path.suffix not in (".png", ".safetensors")]
    assert not [text[:80] for text in texts if re.search(r'"/|/(home|root|tmp|Users|work)/', text)]


@cache
def executed(path: Path) -> Any:
    return run(nbformat.read(path, as_version=4))


def run(notebook: Any) -> Any:
    client = NotebookClient(
        notebook, timeout=120, resources={"metadata": {"path": ROOT / "notebooks"}}
    )
    client.execute()
    return notebook


def outputs(cell: Any, kind: str) -> list[str]:
    """Of a kind of content, as text."""
    found = (one.get("data", {}).get(kind) for one in cell.outputs)
    return [str(content) for content in found if content is not None]


def printed(cell: Any) -> str:
    return "".join(one.text for one in cell.outputs if one.output_type == "stream")


@pytest.mark.slow
@each
def test_every_figure_cell_gives_a_picture_and_no_cell_complains(path: Path) -> None:
    cells = [cell for cell in executed(path).cells if cell.cell_type == "code"]
    figures = [cell for cell in cells if FIGURE.search(cell.source)]
    assert len(figures) >= 2
    for cell in figures:
        (svg,) = outputs(cell, "image/svg+xml") or [""]
        png = outputs(cell, "image/png")
        assert png or (svg.startswith("<svg") and "<path" in svg), cell.source
    for cell in cells:
        complaints = [o for o in cell.outputs if o.get("name") == "stderr"]
        assert not complaints, complaints[0].text


@pytest.mark.slow
@each
def test_the_headline_is_the_record_s(path: Path) -> None:
    line = printed(next(c for c in executed(path).cells if c.cell_type == "code"))
    kept = json.loads((RECORDED / "best" / "metrics.json").read_text())
    found = re.match(
        r"Trial (\d+) \((\w+)\): NetScore (\S+) dB, delta1 (\S+) ± (\S+) over (\d+) fresh seeds,"
        r" (\S+) k parameters, (\S+) M MACs, (\S+) dB better",
        line,
    )
    assert found, line
    summary = json.loads((RECORDED / "run.json").read_text())["summary"]
    gain = summary["best"]["netscore"] - summary["reference"]["netscore"]
    assert found.groups() == (
        str(kept["number"]),
        kept["key"],
        f"{kept['netscore']:.2f}",
        f"{kept['accuracy']['delta1']:.3f}",
        f"{kept['delta1_sd']:.3f}",
        str(len(kept["readings"])),
        f"{kept['cost']['params'] / 1e3:.1f}",
        f"{kept['cost']['macs'] / 1e6:.1f}",
        f"{gain:.2f}",
    )


@pytest.mark.slow
def test_the_tables_keep_quoted_and_measured_apart() -> None:
    cells = executed(NOTEBOOKS[3]).cells
    measured, quoted = (
        outputs(next(c for c in cells if call in c.source.splitlines()[-1]), "text/html")[0]
        for call in ("confirmation_table(", "published_table(")
    )
    assert "quoted" in quoted and "0.894" in quoted
    assert "quoted" not in measured and "0.894" not in measured
    speeds = printed(next(c for c in cells if "table2(" in c.source))
    assert "measured on" in speeds and "Jetson AGX Xavier" in speeds and "not measured" in speeds


def nothing(folder: Path) -> Path:
    """A study that has begun and evaluated nothing."""
    write_json(folder / "run.json", {"study": "begun", "requirements": ["params <= 45k"]})
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(
    ("make", "said"), [(nothing, "no design has been evaluated yet"), (Path, "no such folder")]
)
def test_of_an_empty_study_it_says_so_in_one_line(
    make: Callable[[Path], Path], said: str, tmp_path: Path
) -> None:
    folder = make(tmp_path / "empty")
    held = sorted(tmp_path.rglob("*"))
    notebook = nbformat.read(NOTEBOOKS[0], as_version=4)
    first = next(cell for cell in notebook.cells if cell.cell_type == "code")
    first.source = first.source.replace(RUN, f'RUN = "{folder}"')
    with pytest.raises(CellExecutionError):
        run(notebook)
    (told,) = first.outputs
    assert told.output_type == "error"
    (line,) = told.traceback
    assert "\n" not in line and said in line and str(folder) in line
    assert sorted(tmp_path.rglob("*")) == held
