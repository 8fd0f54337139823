"""report.html: one file that tells what was asked, what was found, and what it does not say."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from pathlib import Path

from nano.cost.table import part_rows
from nano.design.kinds import AnyDesign
from nano.errors import RunError
from nano.files import from_plain, write_text
from nano.records import Evaluation, KeptModel, Lessons
from nano.report import anatomy, asked, learning, numbers, plots, tables
from nano.report.cost_plot import accuracy_against_cost
from nano.report.findings import (
    Finding,
    chosen,
    gain_db,
    headline,
    named,
    nearest,
    ranked,
    read_early,
    reference,
    same_spend,
    state,
)
from nano.report.markup import Html, join, tag
from nano.report.published import CAVEAT, comparable
from nano.report.run import CurveRow, Run, read_run
from nano.report.sheet import SCRIPT, STYLE
from nano.report.style import Drawing
from nano.report.trade_plot import trade_off

_CURVES = 5  # designs whose learning curves are drawn


def write_report(run: Path) -> Path:
    """Write RUN/report.html from the run's records and return its path.

    Missing or damaged records are named on the page; the rest is reported.

    Raises:
        RunError: When the folder holds no study.
        OutputError: When the file cannot be written.
    """
    return write_page(read_run(run))


def write_page(run: Run) -> Path:
    """`write_report` of a run that has been read."""
    path = run.folder / "report.html"
    write_text(path, page(run))
    return path


def page(run: Run) -> str:
    """The whole page as text: no address in it is fetched, nothing in it is somebody else's."""
    problems = list(run.problems)
    body = _sections(run, problems)
    sections = [(name, title, inner) for name, title, inner in body if inner is not None]
    links = [tag("a", title, href=f"#{name}") for name, title, _ in sections]
    parts = [tag("section", tag("h2", title), inner, id=name) for name, title, inner in sections]
    main = tag("main", _head(run), _answer(run), _problems(problems), tag("nav", *links), *parts)
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"{tag('title', f'{run.name}: study report')}<style>{STYLE}</style></head>"
        f"<body>{main}<script>{SCRIPT}</script></body></html>\n"
    )


def _sections(run: Run, problems: list[str]) -> list[tuple[str, str, Html | None]]:
    """(anchor, title, content) in the page's order; content None where there is nothing to say."""
    subject = chosen(run) or nearest(run)
    return [
        ("asked", "What was asked", asked.conditions(run)),
        ("best", "Best designs", _best(run)),
        ("cost", "Accuracy against cost", _cost(run)),
        ("front", "The trade-off", _front(run)),
        ("search", "The search", _search(run, problems)),
        ("learned", "How the generator learned", _learned(run)),
        ("network", "The network", _network(run, subject, problems)),
        ("lessons", "What its parts are worth", _lessons(run, problems)),
        ("panel", "What it sees", _panel(run, subject, problems)),
        ("trials", "All trials", _trials(run)),
        ("limits", "What this does not say", asked.limits(run)),
        ("again", "How to reproduce", asked.again(run)),
    ]


def _head(run: Run) -> Html:
    accuracy = asked.a_confirmed_accuracy(run) or asked.an_observed_accuracy(run)
    line = ". ".join(filter(None, (accuracy.data, accuracy.protocol))) if accuracy else ""
    about = run.study.get("about")
    return tag(
        "header",
        tag("h1", run.name),
        tag("p", about) if isinstance(about, str) and about else None,
        tag("p", f"Accuracy on {line}." if line else "No accuracy was measured.", class_="sub"),
    )


def _problems(problems: Sequence[str]) -> Html | None:
    """What is missing or damaged, so that nobody takes the page for the whole."""
    if not problems:
        return None
    title = tag("h2", "Records that are missing or damaged")
    shown = [tag("li", problem) for problem in problems[:20]]
    if len(problems) > len(shown):
        shown.append(tag("li", f"and {len(problems) - len(shown)} more"))
    return tag("section", title, tag("ul", *shown), class_="warning")


def _answer(run: Run) -> Html:
    answer = chosen(run)
    subject = answer or nearest(run)
    parts: list[Html | None] = [tag("p", tag("strong", headline(run)), class_="headline")]
    if subject is not None:
        parts += [_tiles(run, subject), tables.requirement_table(subject, run)]
        if not subject.confirmed:
            parts.append(tag("p", _reservation(subject), class_="note"))
        if run.best_model is not None and subject.key == run.chosen_key:
            parts.append(tag("p", _kept(run.best_model), class_="note"))
    return tag("div", *parts, class_="answer" if answer else "answer none")


def _kept(model: KeptModel) -> str:
    """Which network of the confirmed design a person finds in the folder."""
    own = numbers.ratio(model.accuracy.delta1)
    return (
        f"best/ holds the network of fresh seed {model.seed_index}, which was best on the search's "
        f"validation data; its own delta1 on held-out data is {own}."
    )


def _reservation(finding: Finding) -> str:
    """What an unconfirmed finding lacks."""
    note = "Observed once in the search: no fresh seed and no held-out data stand behind it."
    early = read_early(finding)
    if early:
        note += f" It was {early}: requirements on accuracy are meant for the whole training."
    return note


def _tiles(run: Run, finding: Finding) -> Html:
    delta1 = finding.accuracy.delta1 if finding.accuracy else None
    seeds = f"mean ± sd over {finding.seeds} fresh seeds, held-out data"
    tiles = [
        (numbers.decibels(finding.netscore), "NetScore", "accuracy against size"),
        (
            numbers.mean_sd(delta1, finding.delta1_sd),
            "delta1",
            seeds if finding.confirmed else _once(finding),
        ),
        (numbers.count(finding.cost.params), "parameters", numbers.whole(finding.cost.params)),
        (numbers.count(finding.cost.macs), "MACs per image", _size(run, finding)),
    ]
    against = reference(run)
    gain = gain_db(finding, against)
    if gain is not None and against is not None:
        where = "at the same spend" if same_spend(finding, against) else "at another spend"
        reference_score = f"(its NetScore: {numbers.decibels(against.netscore)})"
        tiles.append(
            (
                numbers.signed_decibels(gain),
                f"against the reference preset, {where}",
                reference_score,
            )
        )
    return tag(
        "div",
        *(
            tag("div", tag("b", value), tag("span", name), tag("span", note), class_="tile")
            for value, name, note in tiles
        ),
        class_="tiles",
    )


def _once(finding: Finding) -> str:
    return ", ".join(filter(None, ("one seed, the search's data", read_early(finding))))


def _size(run: Run, finding: Finding) -> str:
    evaluation = _evaluation(run, finding)
    return f"at {numbers.side_by_side(evaluation.size)} pixels" if evaluation else ""


def _evaluation(run: Run, finding: Finding) -> Evaluation | None:
    return next((e for e in run.evaluations if e.key == finding.key), None)


def _best(run: Run) -> Html | None:
    parts: list[Html | None] = []
    if run.confirmations:
        parts += [
            tag("h3", "Confirmed: retrained with fresh seeds, judged on held-out data"),
            tag(
                "p",
                "The search keeps what looked best, so its own number is too good on average: "
                "part of it was a lucky seed. The column “fresh seeds, same data” takes the luck "
                "out; “held-out data” is what is claimed. The change is from first to last.",
            ),
            tables.confirmation_table(run, chosen(run)),
            _figure(
                plots.optimism(run),
                "delta1 of each finalist: in the search, with fresh seeds on the same data, and "
                "on data that the search never saw (bars: each seed; dot: their mean).",
            ),
        ]
    best = tables.best_table(run)
    if best is not None:
        title = "Best in the search: observed once, ordered by feasibility and NetScore"
        parts += [tag("h3", title), best]
    return join(parts) if parts else None


def _cost(run: Run) -> Html | None:
    figure = accuracy_against_cost(run)
    if figure is None:
        return None
    early = sum(state(e) != "complete" for e in run.evaluations)
    caption = (
        "Each bubble is one design trained to the end; its area is the number of parameters. "
        "Feasible means every requirement, with its safety. "
    )
    if early:
        ended = f"{early} designs that ended" if early > 1 else "One design that ended"
        caption += f"{ended} early {'are' if early > 1 else 'is'} not drawn. "
    if run.confirmations:
        caption += "Small dark marks are confirmations on held-out data, with their deviation. "
    like = any(c.accuracy and comparable(c.accuracy) for c in run.confirmations)
    if like:
        caption += (
            "Dashed rings are quoted from the paper; only the confirmations face the same test."
        )
    quoted = [
        tag("h3", "Published networks, quoted"),
        tables.published_table(),
        tag("p", CAVEAT, " A dash: not known to us from the source.", class_="note"),
    ]
    return join([_figure(figure, caption), *quoted])


def _front(run: Run) -> Html | None:
    """Only of a study that trades costs off for score."""
    figures = [trade_off(run, name) for name in run.trade_off]
    if not any(figures):
        return None
    table = tables.front_table(run)
    return join(
        [
            tag("p", "No design of the front can be beaten in score without costing more."),
            *(
                _figure(
                    figure,
                    "Each dot is one design trained to the end. The line is the best score to be "
                    "had at each cost as the search saw it; dark marks are confirmed with fresh "
                    "seeds on held-out data, and those alone are claimed.",
                )
                for figure in figures
            ),
            *(
                [tag("h3", "Confirmed designs that no other beats, dearest first"), table]
                if table is not None
                else [tag("p", "No confirmed design is feasible.", class_="note")]
            ),
        ]
    )


def _search(run: Run, problems: list[str]) -> Html | None:
    if not run.evaluations:
        return None
    spent = sum(evaluation.spend_images for evaluation in run.evaluations)
    retrained = sum(r.images for c in run.confirmations for r in c.readings)
    text = (
        f"{len(run.evaluations)} design{'s' * (len(run.evaluations) != 1)}, "
        f"{numbers.count(spent)} training images in the search"
        + (f" and {numbers.count(retrained)} for confirmation. " if retrained else ". ")
        + "Spend is counted in training images, because seconds depend on the machine."
    )
    pair = tag(
        "div",
        _figure(
            plots.progress(run),
            "NetScore against spend, in the order of the trials. Observed stands against observed: "
            "the search earns its cost where the blue line rises above the dashed one. Marks at "
            "the right end are confirmed on held-out data.",
        ),
        _figure(
            plots.funnel(run),
            "How far designs got: each stage costs more than the one before and may end a design. "
            "Failed: the training diverged or raised, or the network was dead at its start.",
        ),
        class_="pair",
    )
    curves = plots.learning_curves(_best_curves(run, problems))
    caption = (
        "Every stage is a complete training of its own, from fresh weights. The loss is that of "
        "the training batches."
    )
    return join([tag("p", text), pair, _figure(curves, caption, wide=True)])


def _learned(run: Run) -> Html | None:
    figure = learning.learned(run)
    if figure is None:
        return None
    ways = [e.proposal.get("way") for e in run.evaluations]
    judged = sum(int(e.proposal.get("judged", 0)) for e in run.evaluations)
    text = (
        f"{ways.count('imagined')} designs are the best of what the generator imagined and the "
        f"inquisitor judged ({numbers.count(judged)} networks that were never trained); "
        f"{ways.count('drawn')} come straight from the generator, unjudged, to keep the "
        "inquisitor honest. "
    )
    caption = (
        "Left: delta1 of a final training as foretold before anything of the design was trained, "
        "with its 90 % interval. Right: the spread of the generator's networks, and how many of "
        "those trained to the end were feasible. "
    )
    told = learning.calibration(learning.expectations(run))
    return join([tag("p", text, told), _figure(figure, caption, wide=True)])


def _lessons(run: Run, problems: list[str]) -> Html | None:
    plain = run.summary.get("lessons")
    if plain is None:
        return None
    try:
        lessons = from_plain(Lessons, plain, f"{run.folder / 'run.json'}: lessons", RunError)
    except RunError as error:
        problems.append(str(error))
        return None
    caption = (
        "What the records of this study let one expect when one part of the chosen design gets a "
        "tenth wider: an expectation, never trained. The change of the parameters is exact."
    )
    figure = learning.lessons_figure(lessons)
    return join([tag("p", learning.told_lessons(lessons)), _figure(figure, caption, wide=True)])


def _best_curves(run: Run, problems: list[str]) -> list[tuple[str, Sequence[CurveRow]]]:
    curves = (
        (named(run, evaluation), _curve(run, evaluation.number, problems))
        for evaluation in ranked(run)[:_CURVES]
    )
    return [(name, rows) for name, rows in curves if rows]


def _curve(run: Run, number: int, problems: list[str]) -> tuple[CurveRow, ...]:
    try:
        return run.curve(number)
    except RunError as error:
        problems.append(str(error))
        return ()


def _network(run: Run, subject: Finding | None, problems: list[str]) -> Html | None:
    if subject is None:
        return None
    evaluation = _evaluation(run, subject)
    design: AnyDesign | None = evaluation.design if evaluation else run.best_design
    if evaluation is None or design is None:
        problems.append(f"trial {subject.number}: no evaluation.json, so its network is not shown")
        return None
    rows = part_rows(design, evaluation.size)
    depth = (
        evaluation.size[0] // design.output_stride,
        evaluation.size[1] // design.output_stride,
    )
    text = (
        f"Trial {subject.number}, key {subject.key}, "
        f"input 3@{numbers.side_by_side(evaluation.size)}: "
        f"{numbers.whole(evaluation.cost.params)} parameters, "
        f"{numbers.whole(evaluation.cost.params_with_statistics)} with batch norm's statistics; "
        f"{numbers.count(evaluation.cost.macs)} MACs, one multiply-add of a convolution each. "
        f"Depth comes out at {numbers.side_by_side(depth)}."
    )
    widths, caption = anatomy.heterogeneity(design)
    return join(
        [
            tag("p", text),
            _figure(widths, caption, wide=True),
            tables.layer_table(rows),
            _figure(anatomy.shares(rows), "Where the parameters and the work lie."),
        ]
    )


def _panel(run: Run, subject: Finding | None, problems: list[str]) -> Html | None:
    if run.panel is None or subject is None:
        return None
    if run.best_design is not None and run.best_design.key != subject.key:
        problems.append(
            f"best/ holds design {run.best_design.key}, the records speak of {subject.key}: "
            "its pictures are not shown"
        )
        return None
    source = "data:image/png;base64," + base64.b64encode(run.panel).decode()
    words = "Image, truth, prediction and relative error of held-out frames"
    picture = Html(f'<img src="{source}" alt="{words}">')
    caption = (
        f"{words}. Depth in metres on one scale, error |p-g|/g on another; unknown is dark grey."
    )
    return tag("figure", tag("div", picture, class_="panel"), tag("figcaption", caption))


def _trials(run: Run) -> Html | None:
    if not run.evaluations:
        return None
    text = (
        "Headings sort. A margin of 0 or less means met: for delta1 it is the shortfall itself, "
        "for the others it is relative to the bound. The accuracy of a design that ended early is "
        "that of its last, shorter training. The same rows are in trials.csv."
    )
    return join([tag("p", text), tag("div", tables.trials_table(run), class_="all")])


def _figure(drawing: Drawing | None, caption: str, *, wide: bool = False) -> Html | None:
    if drawing is None:
        return None
    drawn = tag("div", drawing.inline, class_="wide") if wide else drawing.inline
    return tag("figure", drawn, tag("figcaption", caption))
