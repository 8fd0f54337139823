"""One look for every figure: matplotlib's settings, and figures as SVG that follows the page.

Colours are Okabe and Ito's, told apart with any colour vision; in the SVG each becomes a CSS
variable, so that one figure serves light, dark and print.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from nano.errors import InputError
from nano.files import write_bytes, write_text
from nano.report.markup import Html, tag

# What matplotlib draws with -> the page's variable. Grey tones are odd values on purpose: they
# are looked for in the SVG's text.
INK = "#1b1c1e"
MUTED = "#6a6b6d"
GRID = "#dcdddf"
PAPER = "#fdfdfe"
BLUE = "#0072b2"
SKY = "#56b4e9"
ORANGE = "#e69f00"
GREEN = "#009e73"
RED = "#d55e00"
PINK = "#cc79a7"
VARIABLES = {
    INK: "ink",
    MUTED: "muted",
    GRID: "grid",
    PAPER: "paper",
    BLUE: "blue",
    SKY: "sky",
    ORANGE: "orange",
    GREEN: "green",
    RED: "red",
    PINK: "pink",
}

SUFFIXES = (".svg", ".pdf", ".png")  # of a figure's file

_SETTINGS: dict[Any, Any] = {  # matplotlib types its keys as literals of its own version
    "axes.axisbelow": True,
    "axes.edgecolor": MUTED,
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.labelsize": 10.5,
    "axes.linewidth": 0.8,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 10.5,
    "figure.facecolor": "none",
    "font.family": "DejaVu Sans",  # comes with matplotlib: same layout on every machine
    "font.size": 10,
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "legend.fontsize": 9.5,
    "legend.frameon": False,
    "legend.handletextpad": 0.5,
    "lines.linewidth": 1.8,
    "pdf.fonttype": 42,  # TrueType: letters of a paper's figure stay letters
    "svg.fonttype": "none",  # text stays text: it can be searched, copied and read aloud
    "svg.hashsalt": "nano",  # the same records give the same bytes
    "text.color": INK,
    "text.parse_math": False,  # a dollar sign in a name is a dollar sign
    "xtick.color": MUTED,
    "xtick.labelcolor": INK,
    "xtick.labelsize": 9.5,
    "ytick.color": MUTED,
    "ytick.labelcolor": INK,
    "ytick.labelsize": 9.5,
}


@contextmanager
def house_style() -> Iterator[None]:
    """Matplotlib with this package's settings and nothing of the user's own."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_SETTINGS)
        yield


def canvas(width: float = 5.6, height: float = 3.6) -> Figure:
    """An empty figure (inches) that arranges its parts itself."""
    return Figure(figsize=(width, height), layout="constrained")


def tick_texts(axis: mpl.axis.Axis, text: Callable[[float], str]) -> None:
    """Label an axis' major ticks with ``text`` and leave minor ones bare."""
    axis.set_major_formatter(mpl.ticker.FuncFormatter(lambda value, _: text(value)))
    axis.set_minor_formatter(mpl.ticker.NullFormatter())


def few_log_ticks(axis: mpl.axis.Axis, low: float, high: float) -> None:
    """Ticks of a logarithmic axis at 1, 2, 5 or at 1 alone, whichever gives a readable few."""
    decades = mpl.ticker.LogLocator(subs=(1.0, 2.0, 5.0) if high < 60 * low else (1.0,))
    axis.set_major_locator(decades)
    axis.set_minor_locator(mpl.ticker.NullLocator())


def level(axes: Axes, value: float, label: str, colour: str) -> Line2D:
    """A dashed line across; the legend tells what it is, where no mark can lie under it."""
    return axes.axhline(
        value, color=colour, linewidth=1.2, linestyle=(0, (5, 3)), zorder=1, label=label
    )


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """A finished figure: part of a page, output of a notebook's cell, or a file for a paper.

    Attributes:
        figure: As matplotlib keeps it.
        inline: SVG that takes its colours from the page around it.
    """

    figure: Figure
    inline: Html

    def alone(self) -> str:
        """The SVG as a file of its own: the colours of the light page, on its paper."""
        text = str(self.inline)
        for colour, variable in VARIABLES.items():
            text = text.replace(f"var(--{variable})", colour)
        # Where that font is not installed: the next of about its widths.
        text = text.replace("'DejaVu Sans'", "'DejaVu Sans', Verdana, sans-serif")
        box = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', text)
        assert box is not None  # `drawing` writes one, in points
        shown = f'width="{box[1]}pt" height="{box[2]}pt" style="background: {PAPER}"'
        return text.replace("<svg ", f"<svg {shown} ", 1)

    def save(self, path: Path) -> None:
        """Write it as .svg or .pdf, which stay sharp at any size, or as .png; whole or nothing.

        Raises:
            InputError: Another suffix.
            OutputError: The file cannot be written.
        """
        if path.suffix not in SUFFIXES:
            raise InputError(f"{path}: a figure is saved as {', '.join(SUFFIXES)}")
        if path.suffix == ".svg":
            write_text(path, self.alone() + "\n")
            return
        content = io.BytesIO()
        # Without a date, the same records give the same bytes.
        dated = {"CreationDate": None} if path.suffix == ".pdf" else {"Software": None}
        with house_style():
            self.figure.savefig(
                content, format=path.suffix[1:], dpi=200, facecolor="white", metadata=dated
            )
        write_bytes(path, content.getvalue())

    def _repr_svg_(self) -> str:
        """What a notebook shows."""
        return self.alone()


def drawing(
    figure: Figure, name: str, label: str, tips: Mapping[str, str] | None = None
) -> Drawing:
    """The figure, finished.

    Args:
        figure: Drawn under `house_style`.
        name: Unique on the page; goes before every id.
        label: What a reader who cannot see it is told.
        tips: Texts shown under the pointer, by the artist's gid.
    """
    return Drawing(figure=figure, inline=_inline(figure, name, label, tips or {}))


def _inline(figure: Figure, name: str, label: str, tips: Mapping[str, str]) -> Html:
    text = io.StringIO()
    FigureCanvasSVG(figure)  # takes the figure over; savefig then needs no window
    figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    svg = text.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    # Matplotlib's style rule would reach the whole page; the page's own sheet says the same.
    svg = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", svg, flags=re.DOTALL)
    for colour, variable in VARIABLES.items():
        svg = svg.replace(colour, f"var(--{variable})")
    svg = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', svg)
    svg = re.sub(r'(xlink:href="|url\()#', rf"\1#{name}-", svg)
    if tips:
        svg = re.sub(rf'<g id="{re.escape(name)}-([^"]+)">', lambda mark: _told(mark, tips), svg)
    head, rest = svg.split(">", 1)
    box = re.search(r'viewBox="[^"]+"', head)
    assert box is not None  # matplotlib always writes one
    opening = tag("svg", role="img", aria_label=label, class_="figure").removesuffix("></svg>")
    names = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
    return Html(f"{opening} {box.group(0)} {names}>{rest.strip()}")


def _told(mark: re.Match[str], tips: Mapping[str, str]) -> str:
    """The start of a group, with the tip of that name behind it."""
    return mark[0] + tag("title", tips[mark[1]]) if mark[1] in tips else mark[0]
