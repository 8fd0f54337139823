"""The paper's Figure 2, redrawn from its Table 1: quoted networks alone, on their own axes."""

from __future__ import annotations

from nano.report import numbers
from nano.report.cost_plot import LARGEST_QUOTED_BUBBLE, Bubbles, quoted_ring
from nano.report.published import PUBLISHED
from nano.report.style import (
    GRID,
    MUTED,
    RED,
    Drawing,
    canvas,
    drawing,
    few_log_ticks,
    house_style,
    level,
    tick_texts,
)

# DepthNet Nano (2020), section 3: the indicator asks delta1 >= 0.89 on KITTI.
PAPER_BOUND = 0.89


def published_bubbles() -> Drawing:
    """delta1 over MACs of the published networks; bubble area = parameters.

    They stand apart from a study on other data or with another protocol: delta1 of the two cannot
    be compared, and must not share an axis.
    """
    rows = [row for row in PUBLISHED if row.delta1 is not None]
    bubbles = Bubbles(most=max(row.params for row in rows), area=LARGEST_QUOTED_BUBBLE)
    low, high = min(row.macs for row in rows) / 3, max(row.macs for row in rows) * 3
    with house_style():
        figure = canvas(6.0, 4.0)
        axes = figure.add_subplot()
        for row in rows:
            quoted_ring(axes, row, bubbles)
        bound = level(axes, PAPER_BOUND, f"the paper's bound: {PAPER_BOUND:.2f}", RED)
        axes.set_xscale("log")
        axes.set_xlim(low, high)
        axes.set_ylim(0.876, 0.904)
        few_log_ticks(axes.xaxis, low, high)
        tick_texts(axes.xaxis, numbers.tick)
        axes.set_xlabel("multiply-accumulates (MACs) per image, log scale")
        axes.set_ylabel("delta1 on KITTI, Eigen split\n(share of pixels), quoted")
        sizes = [
            axes.scatter([], [], s=bubbles.of(params), facecolor=GRID, edgecolor=MUTED,
                         label=f"{numbers.tick(params)} parameters")
            for params in (10e6, 1e6)
        ]  # fmt: skip
        figure.legend(handles=[bound, *sizes], loc="outside lower center", ncols=3, columnspacing=2)
        return drawing(figure, "published", "Quoted delta1 over MACs; bubble area is parameters")
