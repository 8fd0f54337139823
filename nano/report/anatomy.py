"""The chosen network drawn along its depth: widths of every module, and where its cost lies."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from nano.cost.table import USUAL_KERNEL, PartRow
from nano.design.design import Design, Module
from nano.design.fastdepth import LAYERS, SKIPS, STRIDES, FastDepthDesign
from nano.design.kinds import AnyDesign
from nano.design.parts import modules_by_part
from nano.report import numbers
from nano.report.style import BLUE, GREEN, MUTED, ORANGE, Drawing, canvas, drawing, house_style

_ROWS = (("squeeze", GREEN), ("expand", ORANGE), ("width", BLUE))
_WORDS = {"squeeze": "squeeze", "expand": "expansion", "width": "width"}
_GAP = 1.5  # modules' width left free between stages


def heterogeneity(design: AnyDesign) -> tuple[Drawing, str]:
    """The widths that make the design what it is, as small bars along its depth, and a caption."""
    if isinstance(design, FastDepthDesign):
        return _layer_widths(design), (
            "Every layer's channels along the depth, the encoder's and the decoder's. Darker bars "
            "are layers whose maps are added: those have one width in pairs."
        )
    return _module_widths(design), (
        "Every module's channels along the depth: squeeze (first projection), expansion "
        "(depthwise convolution) and width (what it hands on). Darker bars have a window larger "
        "than 3x3. Encoder and decoder have scales of their own."
    )


def _layer_widths(design: FastDepthDesign) -> Drawing:
    with house_style():
        figure = canvas(9.2, 2.4)
        axes = figure.add_subplot()
        axes.grid(visible=False, axis="x")
        places = [i + (_GAP if i >= len(STRIDES) else 0) for i in range(len(LAYERS))]
        bars = axes.bar(places, design.widths, 0.82, color=BLUE)
        for position, bar in enumerate(bars):
            bar.set_alpha(1.0 if position in {*SKIPS, *SKIPS.values()} else 0.62)
        axes.set_xticks(places, LAYERS, fontsize=8)
        axes.set_ylabel("width\n(channels)")
        axes.yaxis.set_major_locator(MaxNLocator(3, integer=True))
        return drawing(figure, "widths", "Width of every layer along the network's depth")


def _module_widths(design: Design) -> Drawing:
    """Squeeze, expansion and width of every module along the depth, as small bars by stage."""
    parts = modules_by_part(design)
    encoder = {name: modules for name, modules in parts.items() if name.startswith("stage")}
    decoder = {name: modules for name, modules in parts.items() if name.startswith("up")}
    spans = [_span(encoder), max(_span(decoder), 0.3 * _span(encoder))]
    with house_style():
        figure = canvas(9.2, 4.6)
        grid = figure.subplots(3, 2, sharex="col", width_ratios=spans, squeeze=False)
        for column, side in enumerate((encoder, decoder)):
            for row, (name, colour) in enumerate(_ROWS):
                axes = grid[row][column]
                _bars(axes, side, name, colour)
                axes.set_ylabel(f"{_WORDS[name]}\n(channels)" if column == 0 else "channels")
            _stage_names(grid[0][column], side)
            grid[2][column].set_xlabel(("encoder modules along depth", "decoder modules")[column])
        label = "Squeeze, expansion and width of every module along the network's depth"
        return drawing(figure, "widths", label)


def _span(side: dict[str, tuple[Module, ...]]) -> float:
    return sum(map(len, side.values())) + _GAP * (len(side) - 1)


def _places(side: dict[str, tuple[Module, ...]]) -> list[tuple[str, list[float]]]:
    places, start = [], 0.0
    for name, modules in side.items():
        places.append((name, [start + i for i in range(len(modules))]))
        start += len(modules) + _GAP
    return places


def _bars(axes: Axes, side: dict[str, tuple[Module, ...]], name: str, colour: str) -> None:
    axes.grid(visible=False, axis="x")
    axes.set_xticks([])
    largest = 0
    for part, xs in _places(side):
        values = [getattr(module, name) or 0 for module in side[part]]
        wide = [module.kernel > USUAL_KERNEL for module in side[part]]
        bars = axes.bar(xs, values, 0.82, color=colour)
        for bar, is_wide in zip(bars, wide, strict=True):
            bar.set_alpha(1.0 if is_wide else 0.62)
        largest = max(largest, *values)
    axes.yaxis.set_major_locator(MaxNLocator(3, integer=True))
    if largest == 0:
        axes.set_yticks([])
        axes.text(0.5, 0.5, "none: EP modules", transform=axes.transAxes, ha="center", color=MUTED)


def _stage_names(axes: Axes, side: dict[str, tuple[Module, ...]]) -> None:
    for part, xs in _places(side):
        axes.annotate(
            part,
            (sum(xs) / len(xs), 1),
            xycoords=("data", "axes fraction"),
            xytext=(0, 6),
            textcoords="offset points",
            ha="center",
            fontsize=9.5,
        )


def shares(rows: Sequence[PartRow]) -> Drawing:
    """Share of parameters and of MACs by part of the network."""
    with house_style():
        figure = canvas(5.6, 0.9 + 0.29 * len(rows))
        axes = figure.add_subplot()
        axes.grid(visible=False, axis="y")
        for offset, colour, label, values in (
            (-0.2, BLUE, "parameters", [row.params_share for row in rows]),
            (0.2, ORANGE, "MACs", [row.macs_share for row in rows]),
        ):
            at = [i + offset for i in range(len(rows))]
            axes.barh(at, [100 * v for v in values], 0.38, color=colour, label=label)
            for y, value in zip(at, values, strict=True):
                axes.text(100 * value + 0.4, y, numbers.percent(value), va="center", fontsize=8)
        axes.set_yticks(range(len(rows)), [row.part for row in rows])
        axes.tick_params(axis="y", length=0)
        axes.invert_yaxis()
        axes.margins(x=0.12)
        axes.set_xlim(left=0)
        axes.set_xlabel("share of the network's total (%)")
        figure.legend(loc="outside lower center", ncols=2)
        return drawing(figure, "shares", "Share of parameters and MACs by part of the network")
