"""Every figure of the notebooks: readable, in the palette, labelled, and a file for a paper."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from nano.cost.table import part_rows
from nano.design.presets import preset
from nano.errors import InputError, RunError
from nano.records import Evaluation
from nano.report import fates_plot, notebook, plots, searches_plot, variety
from nano.report.anatomy import heterogeneity, shares
from nano.report.cost_plot import accuracy_against_cost
from nano.report.findings import named, ranked, state
from nano.report.importance_plot import knob_importance
from nano.report.published_plot import published_bubbles
from nano.report.run import Run, read_run
from nano.report.rungs_plot import (
    RungPair,
    kept_rung_pairs,
    rank_correlation,
    rung_against_final,
    rung_pairs,
)
from nano.report.signals_plot import signals
from nano.report.style import Drawing, house_style
from nano.report.trade_plot import trade_off

ROOT = Path(__file__).parents[2]
SEARCHES = ROOT / "benchmarks" / "search" / "results" / "tabulated.json"
RUNGS = ROOT / "benchmarks" / "results" / "rungs.json"


@dataclass(frozen=True)
class Signal:
    name: str
    mean: float
    sd: float


@cache
def recorded() -> Run:
    return read_run(ROOT / "studies" / "recorded")


def passing(sd: float) -> list[Signal]:
    names = ("input", "stem", "stage 1 module 1", "stage 1 module 2", "upconv 1 a", "output")
    return [Signal(name, 0.1 * i, sd) for i, name in enumerate(names)]


DRAWN: Mapping[str, Callable[[], Drawing | None]] = {
    "feasibility": lambda: fates_plot.feasibility(recorded()),
    "margins": lambda: fates_plot.margins(recorded(), "params", "delta1"),
    "progress": lambda: plots.progress(recorded()),
    "funnel": lambda: plots.funnel(recorded()),
    "optimism": lambda: plots.optimism(recorded()),
    "front": lambda: trade_off(recorded(), "params"),
    "cost": lambda: accuracy_against_cost(recorded()),
    "published": published_bubbles,
    "importance": lambda: knob_importance({"NetScore": {"stem": 0.7, "depth.1": 0.3}}),
    "searches": lambda: searches_plot.searches(
        searches_plot.kept_searches(SEARCHES), ["generator-inquisitor", "random"]
    ),
    "widths": lambda: heterogeneity(notebook.design_of(recorded()))[0],
    "expansions": lambda: variety.expansions(variety.top_designs(recorded())),
    "entropies": lambda: variety.stage_entropies(variety.top_designs(recorded())),
    "shares": lambda: shares(part_rows(notebook.design_of(recorded()), (64, 192))),
    "signals": lambda: signals({"before": passing(0.8), "after": passing(1.3)}),
    "curves": lambda: plots.learning_curves(
        [(named(recorded(), e), recorded().curve(e.number)) for e in ranked(recorded())]
    ),
    "rungs": lambda: rung_against_final(
        {"run": rung_pairs(recorded()), "kept": kept_rung_pairs(RUNGS)}
    ),
}


@cache
def drawn(name: str) -> Drawing:
    figure = DRAWN[name]()
    assert figure is not None
    return figure


each = pytest.mark.parametrize("name", DRAWN)


@each
def test_nothing_is_cut_at_the_edge(name: str) -> None:
    figure = drawn(name).figure
    with house_style():
        box = figure.get_tightbbox(FigureCanvasAgg(figure).get_renderer())
    width, height = figure.get_size_inches()
    slack = 0.03  # inches: a line's own width at the edge
    assert box.x0 >= -slack and box.y0 >= -slack
    assert box.x1 <= width + slack and box.y1 <= height + slack


@each
def test_every_colour_is_one_that_all_eyes_tell_apart(name: str) -> None:
    assert not re.findall(r"#[0-9a-f]{6}\b", drawn(name).inline)


@each
def test_every_axis_of_numbers_says_what_it_counts(name: str) -> None:
    for axes in drawn(name).figure.axes:
        for axis, label in ((axes.xaxis, axes.get_xlabel()), (axes.yaxis, axes.get_ylabel())):
            texts = [text.get_text() for text in axis.get_ticklabels() if text.get_visible()]
            numbers = [t for t in texts if re.fullmatch(r"\W?[\d.]+( [kMG])?", t)]
            shown = any(text.get_visible() for text in axis.get_ticklabels())
            if numbers and shown:
                own = label or _shared_label(axes, axis is axes.xaxis)
                assert own, f"{name}: an axis without a label"


def _shared_label(axes: object, horizontal: bool) -> str:
    """Of the axes in the same figure that share this axis."""
    group = axes.get_shared_x_axes() if horizontal else axes.get_shared_y_axes()  # type: ignore[attr-defined]
    siblings = group.get_siblings(axes)
    told = (one.get_xlabel() if horizontal else one.get_ylabel() for one in siblings)
    return next((text for text in told if text), "")


@pytest.mark.parametrize("suffix", [".svg", ".pdf", ".png"])
def test_a_figure_is_a_file(suffix: str, tmp_path: Path) -> None:
    first, again = tmp_path / f"one{suffix}", tmp_path / f"two{suffix}"
    for path in (first, again):
        drawn("feasibility").save(path)
    starts = {".svg": b"<svg ", ".pdf": b"%PDF", ".png": b"\x89PNG"}
    assert first.read_bytes().startswith(starts[suffix])
    assert first.read_bytes() == again.read_bytes()


def test_a_figure_is_no_other_kind_of_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"saved as \.svg, \.pdf, \.png"):
        drawn("feasibility").save(tmp_path / "figure.gif")
    assert not list(tmp_path.iterdir())


def test_a_notebook_is_shown_a_sentence_where_there_is_nothing() -> None:
    early = [e for e in recorded().evaluations if state(e) != "complete"]
    run = replace(recorded(), evaluations=tuple(early), confirmations=())
    assert "Nothing to draw" in notebook.shown(plots.progress(run))
    assert fates_plot.feasibility(run) is not None  # they are trials all the same
    assert notebook.shown(drawn("margins")) is drawn("margins")


def test_a_run_of_failures_has_no_network_to_look_at() -> None:
    with pytest.raises(RunError, match="every design failed"):
        notebook.design_of(replace(recorded(), evaluations=(), confirmations=()))


def test_a_run_without_a_model_says_so() -> None:
    with pytest.raises(RunError, match="no model in best/"):
        notebook.model_of(replace(recorded(), best_model=None))


def test_panels_of_both_networks_are_kept() -> None:
    for who in ("chosen", "reference"):
        panel = notebook.panel_of(recorded(), who)
        assert panel is not None and panel.png.startswith(b"\x89PNG")
    alone = replace(recorded(), confirmations=())
    assert notebook.panel_of(alone, "reference") is None


def test_a_fate_is_one_of_four() -> None:
    fates = [fates_plot.fate(e) for e in recorded().evaluations]
    assert fates.count("feasible") == sum(e.feasible for e in recorded().evaluations) == 3
    assert fates.count("misses a bound") == 3
    assert fates.count("ended by the search") == 24
    dead = replace(recorded().evaluations[3], readings=(), predicted=None, margins={})
    assert fates_plot.fate(replace(dead, reason="dead")) == "failed"


@pytest.mark.parametrize(
    ("values", "expected"),
    [("aaaa", 0.0), ("abcd", 1.0), ("aabb", 0.5), ("a", None), ("", None), ([8, 8, 9, 9], 0.5)],
)
def test_entropy_of_a_stage(values: str, expected: float | None) -> None:
    assert variety.entropy(list(values)) == (None if expected is None else pytest.approx(expected))


def test_the_presets_are_regular_where_the_paper_prints_nothing() -> None:
    for stage in preset("depthnet-nano").stages:
        assert variety.entropy([module.expand for module in stage.modules]) == 0


def test_the_chosen_is_first_and_the_reference_last() -> None:
    names = list(variety.top_designs(recorded()))
    assert names[0] == "#10 (chosen)" and names[-1] == "#0 (reference)"
    assert len(names) == 4


def test_rank_correlation_counts_orders_not_distances() -> None:
    pairs = [RungPair(stage="rung 1", rung=r, final=r**9) for r in (0.1, 0.2, 0.5, 0.9)]
    assert rank_correlation(pairs) == pytest.approx(1)
    assert rank_correlation(pairs[:3]) is None


def test_the_kept_rank_correlation_is_the_record_s() -> None:
    assert rank_correlation(kept_rung_pairs(RUNGS)) == pytest.approx(0.738, abs=5e-4)


def test_pairs_are_of_designs_that_went_all_the_way() -> None:
    whole = [e for e in recorded().evaluations if e.stage == "final"]
    assert len(rung_pairs(recorded())) == len(whole) == 6
    assert {p.final for p in rung_pairs(recorded())} == {_delta1(e) for e in whole}


def _delta1(evaluation: Evaluation) -> float:
    assert evaluation.accuracy is not None
    return evaluation.accuracy.delta1


@pytest.mark.parametrize("text", ["{}", '{"runs": {}}', '{"runs": {"a": 3}}', "[]"])
def test_a_file_without_searches_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "kept.json"
    path.write_text(text)
    with pytest.raises(RunError, match=r"kept\.json"):
        searches_plot.kept_searches(path)


@pytest.mark.parametrize("text", ["{}", "[]", '{"figures": {"rows": [{"rung 1": "x"}]}}'])
def test_a_file_without_rungs_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "kept.json"
    path.write_text(text)
    with pytest.raises(RunError, match=r"kept\.json"):
        kept_rung_pairs(path)


def test_an_infeasible_choice_has_no_score() -> None:
    search = searches_plot.KeptSearch(
        method="m", spend=(1.0, 2.0), netscore=(30.0, 31.0), feasible=(True, False)
    )
    assert [search.score_at(x) for x in (0.5, 1.5, 2.5)] == [-float("inf"), 30.0, -float("inf")]


def test_methods_without_runs_are_not_drawn() -> None:
    assert searches_plot.searches((), ["random"]) is None
