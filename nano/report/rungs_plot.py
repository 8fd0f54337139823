"""Is a cheap training a fair proxy? What rungs said of designs against their final training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from scipy.stats import spearmanr

from nano.errors import RunError
from nano.files import read_json
from nano.report.findings import state
from nano.report.run import Run
from nano.report.style import BLUE, Drawing, canvas, drawing, house_style

_FEWEST = 4  # pairs; a rank correlation of fewer says nothing


@dataclass(frozen=True, kw_only=True)
class RungPair:
    """delta1 of one design after a rung and after the final training."""

    stage: str
    rung: float
    final: float


def rung_pairs(run: Run) -> list[RungPair]:
    """Of the designs that went all the way; those that a rung ended have no final training."""
    pairs = []
    for evaluation in run.evaluations:
        if state(evaluation) != "complete" or evaluation.accuracy is None:
            continue
        final = evaluation.accuracy.delta1
        for reading in evaluation.readings:
            if reading.stage.startswith("rung") and reading.accuracy is not None:
                pairs.append(
                    RungPair(stage=reading.stage, rung=reading.accuracy.delta1, final=final)
                )
    return pairs


def kept_rung_pairs(path: Path) -> list[RungPair]:
    """Of ``benchmarks/results/rungs.json``: there every design was trained to the end, twice.

    The final reading is the mean of both seeds.

    Raises:
        RunError: The file is missing, damaged or another.
    """
    plain = read_json(path, RunError)
    try:
        return [
            RungPair(
                stage="rung 1",
                rung=float(row["rung 1"]),
                final=(float(row["final"]) + float(row["final, another seed"])) / 2,
            )
            for row in plain["figures"]["rows"]
        ]
    except (KeyError, TypeError, ValueError) as foreign:
        raise RunError(
            f"{path}: is not what python -m benchmarks.run rungs writes ({foreign!r})"
        ) from foreign


def rank_correlation(pairs: Sequence[RungPair]) -> float | None:
    """Spearman's; None of fewer than four pairs."""
    if len(pairs) < _FEWEST:
        return None
    return float(spearmanr([p.rung for p in pairs], [p.final for p in pairs]).statistic)


def rung_against_final(groups: Mapping[str, Sequence[RungPair]]) -> Drawing | None:
    """A panel per group: delta1 after the rung across, after the final training up.

    Args:
        groups: By title; those without pairs are left out.

    Returns:
        None where no group has any.
    """
    there = {title: pairs for title, pairs in groups.items() if pairs}
    if not there:
        return None
    with house_style():
        figure = canvas(4.5 * len(there), 4.0)
        panels = figure.subplots(1, len(there), squeeze=False)[0]
        for axes, (title, pairs) in zip(panels, there.items(), strict=True):
            xs, ys = [p.rung for p in pairs], [p.final for p in pairs]
            axes.scatter(xs, ys, s=30, color=BLUE, alpha=0.85)
            axes.margins(0.08)
            axes.locator_params(nbins=5)
            rank = rank_correlation(pairs)
            told = "too few for a rank" if rank is None else f"Spearman {rank:.2f}"
            axes.set_title(f"{title}\n{len(pairs)} designs, {told}")
            axes.set_ylabel("delta1 after the final training\n(share of pixels)")
            axes.set_xlabel(f"delta1 after {pairs[0].stage} (share of pixels)")
        return drawing(
            figure, "rungs", "delta1 after a rung against delta1 after the final training"
        )
