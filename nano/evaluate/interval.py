"""How far an accuracy can be trusted: intervals by bootstrap over the images it is the mean of."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nano.evaluate.run import ImageResult
from nano.records import METRICS

LEVEL = 0.95
DRAWS = 2000  # from seed to seed the ends move by a sixtieth of the interval (its sd)


def bootstrap_intervals(
    per_image: Sequence[ImageResult], *, seed: int = 0, draws: int = DRAWS
) -> dict[str, tuple[float, float]]:
    """Of each metric's mean over images, the ends of its 95 % interval.

    Percentile bootstrap (Efron and Tibshirani 1993, chapter 13): as many images are drawn with
    replacement as were compared, again and again, and the means' quantiles are the ends. It says
    how the mean would vary over other images *like these*; frames of one drive are alike, so over
    other drives it varies more, and nothing is said of another training of the network.

    Args:
        per_image: The images of a `Result`; those without a pixel to compare do not take part.
        seed: Of the draws: the same seed gives the same ends.
        draws: How many means are made.

    Returns:
        By metric, low and high in the metric's unit; empty with fewer than two images, which
        cannot vary.
    """
    compared = [image.metrics for image in per_image if image.metrics is not None]
    if len(compared) < 2:
        return {}
    values = np.array([[metrics[name] for name in METRICS] for metrics in compared])
    random = np.random.default_rng(seed)
    means = np.empty((draws, len(METRICS)))
    for draw in range(draws):  # one at a time: draws x images would not fit for large sets
        means[draw] = values[random.integers(len(values), size=len(values))].mean(axis=0)
    low, high = np.quantile(means, ((1 - LEVEL) / 2, (1 + LEVEL) / 2), axis=0)
    ends = zip(low.tolist(), high.tolist(), strict=True)
    return dict(zip(METRICS, ends, strict=True))


def worst_images(per_image: Sequence[ImageResult], count: int) -> list[int]:
    """Indices of the ``count`` images of the lowest delta1, worst first; by abs_rel where equal."""
    ranked = sorted(
        (metrics["delta1"], -metrics["abs_rel"], i)
        for i, image in enumerate(per_image)
        if (metrics := image.metrics) is not None
    )
    return [i for _, _, i in ranked[:count]]
