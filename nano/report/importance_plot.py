"""Which knobs of the prototype tell good designs from the rest."""

from __future__ import annotations

from collections.abc import Mapping

from nano.report.style import BLUE, GREEN, ORANGE, Drawing, canvas, drawing, house_style

_SHOWN = 12  # knobs; those below carry next to nothing


def knob_importance(told: Mapping[str, Mapping[str, float]]) -> Drawing | None:
    """Importance of the knobs for up to three objectives; None without any.

    Args:
        told: By objective, then by knob: shares that add up to one, as
            `nano.explore.importance.importances` gives them.
    """
    knobs = {knob for shares in told.values() for knob in shares}
    if not knobs:
        return None

    def most(knob: str) -> float:
        return max(shares.get(knob, 0.0) for shares in told.values())

    ranked = sorted(knobs, key=lambda knob: (-most(knob), knob))[:_SHOWN]
    with house_style():
        figure = canvas(6.8, 1.1 + 0.26 * len(ranked))
        panels = figure.subplots(1, len(told), sharey=True, squeeze=False)[0]
        places = range(len(ranked))
        for axes, (objective, shares), colour in zip(
            panels, told.items(), (BLUE, ORANGE, GREEN), strict=False
        ):
            axes.barh(places, [100 * shares.get(knob, 0.0) for knob in ranked], 0.7, color=colour)
            axes.set_title(objective)
            axes.set_xlabel("importance (%)")
            axes.grid(visible=False, axis="y")
            axes.tick_params(axis="y", length=0)
        panels[0].set_yticks(places, ranked)
        panels[0].invert_yaxis()
        return drawing(figure, "importance", "Importance of the prototype's knobs by objective")
