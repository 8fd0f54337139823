"""How far the modules of networks differ from one another: width by width, and by stage."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from nano.design.design import Design, Module
from nano.design.kinds import AnyDesign
from nano.design.parts import modules_by_part
from nano.report.findings import named, ranked, reference
from nano.report.run import Run
from nano.report.style import (
    BLUE,
    GREEN,
    INK,
    ORANGE,
    PINK,
    SKY,
    Drawing,
    canvas,
    drawing,
    house_style,
)

_KINDS = {"squeeze": "squeeze", "expand": "expansion", "width": "width"}
_GAP = 1.5  # modules' width left free between stages
_MARKS = (("o", BLUE), ("s", ORANGE), ("^", GREEN), ("D", PINK), ("v", SKY), ("P", INK))


def top_designs(run: Run, most: int = 4) -> dict[str, AnyDesign]:
    """The best designs that were trained to the end, the chosen one first, the reference last."""
    start = reference(run)
    ordered = ranked(run)
    last = [e for e in ordered if start is not None and e.key == start.key][:1]
    others = [e for e in ordered if e not in last][: most - len(last)]
    return {named(run, e): e.design for e in (*others, *last)}


def expansions(designs: Mapping[str, AnyDesign]) -> Drawing | None:
    """Expansion and width of every module along the depth, a row per design; None without any.

    Only densely connected designs have modules; others are left out.
    """
    dense = {name: d for name, d in designs.items() if isinstance(d, Design)}
    if not dense:
        return None
    with house_style():
        figure = canvas(9.2, 1.0 + 1.15 * len(dense))
        grid = figure.subplots(len(dense), 2, sharey="col", squeeze=False, width_ratios=(1.5, 1))
        for (encoder, decoder), (name, design) in zip(grid, dense.items(), strict=True):
            parts = modules_by_part(design)
            _row(encoder, {k: v for k, v in parts.items() if k.startswith("stage")})
            _row(decoder, {k: v for k, v in parts.items() if k.startswith("up")})
            encoder.set_title(f"{name}, {sum(map(len, parts.values()))} modules")
            for axes in (encoder, decoder):
                axes.set_ylabel("channels")
        grid[-1, 0].set_xlabel("encoder modules along the depth")
        grid[-1, 1].set_xlabel("decoder modules (a scale of their own)")
        handles, labels = grid[0, 0].get_legend_handles_labels()
        figure.legend(handles[:2], labels[:2], loc="outside lower center", ncols=2)
        return drawing(figure, "expansions", "Channels of every module of the top designs")


def _row(axes: Axes, parts: Mapping[str, Sequence[Module]]) -> None:
    start, ticks = 0.0, []
    for modules in parts.values():
        places = [start + i for i in range(len(modules))]
        expands = [module.expand or module.width for module in modules]
        axes.bar(places, expands, 0.84, color=ORANGE, alpha=0.75, label="expansion")
        axes.bar(places, [m.width for m in modules], 0.42, color=BLUE, label="width (handed on)")
        ticks.append(sum(places) / len(places))
        start += len(modules) + _GAP
    axes.set_xticks(ticks, list(parts), fontsize=8.5)
    axes.tick_params(axis="x", length=0)
    axes.grid(visible=False, axis="x")
    axes.set_xlim(-1, start - _GAP)
    axes.yaxis.set_major_locator(MaxNLocator(3, integer=True))


def entropy(values: Sequence[object]) -> float | None:
    """How different values are, 0 (all alike) to 1 (no two alike): ``-sum p log p / log n``.

    Shannon's entropy of n values, over the largest that n values can have; None of fewer than two.
    """
    if len(values) < 2:
        return None
    shares = [count / len(values) for count in Counter(values).values()]
    return sum(share * math.log(1 / share) for share in shares) / math.log(len(values))


def stage_entropies(designs: Mapping[str, AnyDesign]) -> Drawing | None:
    """Entropy of the squeezes, expansions and widths of every stage, a mark per design.

    Only densely connected designs have stages; None without any of more than one module.
    """
    dense = {name: d for name, d in designs.items() if isinstance(d, Design)}
    if not any(len(stage.modules) > 1 for d in dense.values() for stage in d.stages):
        return None
    with house_style():
        figure = canvas(9.2, 3.6)
        panels = figure.subplots(1, len(_KINDS), sharey=True)
        for axes, (kind, word) in zip(panels, _KINDS.items(), strict=True):
            for i, (name, design) in enumerate(dense.items()):
                mark, colour = _MARKS[i % len(_MARKS)]
                points = [
                    (number + 0.12 * (i - (len(dense) - 1) / 2), value)
                    for number, stage in enumerate(design.stages, start=1)
                    if (value := entropy([getattr(m, kind) for m in stage.modules])) is not None
                ]
                xs, ys = zip(*points, strict=True) if points else ((), ())
                axes.scatter(xs, ys, s=38, marker=mark, color=colour, label=name)
            deepest = max(len(design.stages) for design in dense.values())
            axes.set_xticks(range(1, deepest + 1))
            axes.set_xlim(0.5, deepest + 0.5)
            axes.set_title(word)
            axes.set_xlabel("stage of the encoder (number)")
        panels[0].set_ylim(-0.06, 1.06)
        panels[0].set_ylabel("entropy over modules\n(0 all alike, 1 no two alike)")
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=3)
        return drawing(figure, "entropies", "Entropy of the widths of every stage's modules")
