"""A picture to judge a network by: image, truth, prediction and error side by side.

Colours mean metres, on one logarithmic scale for all rows that depends on the truth alone, so
panels of different networks on the same frames can be laid beside each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float
from torch import nn

from nano.data.colours import DEPTH, ERROR, painted
from nano.data.pictures import (
    Range,
    Row,
    Scale,
    depth_bar,
    depth_scale,
    depth_share,
    evenly_spaced,
    photograph,
    sheet,
    shown,
    through,
    tile_size,
)
from nano.data.sample import DepthSet
from nano.evaluate.metrics import bounded, sample_bilinear
from nano.evaluate.protocol import counted
from nano.evaluate.run import compare, predict
from nano.files import write_bytes
from nano.records import Protocol

TITLES = ("image", "truth", "prediction", "error  |p - g| / g")
ERROR_LIMIT = 0.5  # the error's colours and marks end here; delta1 gives up at about 0.25
ERROR_BAR = Scale(
    columns=(3, 3),
    table=ERROR,
    marks=((0.0, "0"), (0.2, "0.1"), (0.5, "0.25"), (1.0, "0.5 or more")),
)


def panel_of(
    network: nn.Module,
    target: str,
    data: DepthSet,
    protocol: Protocol,
    path: Path,
    *,
    chosen: Sequence[int] | None = None,
    title: str = "",
    device: str = "cpu",
) -> None:
    """Predict the chosen images of ``data``, or four evenly spaced, and write their panel."""
    chosen = evenly_spaced(len(data), 4) if chosen is None else chosen
    depths = predict(network, target, data.images[chosen], flip=protocol.flip, device=device)
    write_bytes(path, panel(data, chosen, depths, protocol, title=title))


def panel(
    data: DepthSet,
    chosen: Sequence[int],
    depths: Float[np.ndarray, "B h w"],
    protocol: Protocol,
    *,
    title: str = "",
) -> bytes:
    """A PNG with one row per chosen image.

    Args:
        data: Where images and truth come from.
        chosen: Their indices.
        depths: Predicted metres for each, at the network's output size.
        protocol: Bounds the prediction; what it does not compare stays grey in the error.
        title: A line above, e.g. the design's name.
    """
    truths = [data.truth.of(i)[2] for i in chosen]
    ends = depth_scale(truths, (protocol.min_depth_m, protocol.max_depth_m))
    rows = [_row(data, i, depth, protocol, ends) for i, depth in zip(chosen, depths, strict=True)]
    caption = f"{data.caption}; {protocol.describe()}"
    return sheet(TITLES, rows, [depth_bar((1, 2), ends), ERROR_BAR], caption, title)


def _row(
    data: DepthSet,
    i: int,
    depth: Float[np.ndarray, "h w"],
    protocol: Protocol,
    ends: Range,
) -> Row:
    native, index, truth = data.truth.of(i)
    tile = tile_size(native)
    owner = shown(index, truth, native, tile)
    prediction = bounded(sample_bilinear(depth, native, index), truth, protocol)
    error = np.abs(prediction - truth) / truth / ERROR_LIMIT
    error[~counted(protocol, native, index, truth)] = np.nan
    everywhere = np.arange(tile[0] * tile[1], dtype=np.int32)
    filled = sample_bilinear(depth, tile, everywhere).reshape(tile)
    metrics = compare(depth, data, i, protocol).metrics
    return Row(
        tiles=(
            photograph(data.images[i], tile),
            painted(through(owner, depth_share(truth, ends)), DEPTH),
            painted(depth_share(filled, ends), DEPTH),
            painted(through(owner, error), ERROR),
        ),
        name=data.names[i],
        note=f"delta1 {metrics['delta1']:.3f}   AbsRel {metrics['abs_rel']:.3f}"
        if metrics
        else "no pixel to compare",
    )
