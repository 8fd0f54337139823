"""Depth spread from known pixels along what looks alike: colorization by optimisation.

Levin, Lischinski and Weiss (2004) coloured pictures so; the toolbox of the NYU depth data set
(Silberman et al., 2012) filled depth maps with it. Three different systems of equations go under
the name. This is the toolbox's, as its Python port solves it, which published KITTI maps were made
with.
"""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Bool, Float64, UInt8
from numpy import ndarray

from nano.data.dissection import OFFSETS, solve

GREY = (0.2125, 0.7154, 0.0721)  # of red, green and blue, as the port's library has them
ITSELF = OFFSETS.index((0, 0))

# Of the toolbox: the variance is narrowed; the likest neighbour weighs at least .01 before the
# weights are made to sum to 1; and flat regions do not divide by nothing.
VARIANCE_SHARE = 0.6
LEAST_WEIGHT = 0.01
LEAST_VARIANCE = 2e-6


def colorize(
    depth: Float64[ndarray, "height width"], image: UInt8[ndarray, "height width 3"]
) -> Float64[ndarray, "height width"]:
    """The dense depth that follows the known one (> 0), softly, and is smooth where grey is.

    With w_rq the weights of pixel r's neighbours q, K 1 where depth z is known and 0 elsewhere,

        (1 + K_r) d_r - sum_q w_rq d_q = K_r z_r

    The known pixels pull with the weight alpha = 1 and are not met exactly. The matrix has
    diagonally dominant rows but is not symmetric. Depth is divided by its largest value, as the
    port does: the equations are linear, so it changes rounding alone.

    Args:
        depth: 0 where unknown, known somewhere.
        image: RGB.
    """
    if depth.size == 1:
        return depth  # without a neighbour there are no weights
    known = depth > 0
    largest = depth.max()
    stencil = -affinities(image @ (np.array(GREY) / 255))
    stencil[ITSELF] = 1.0 + known
    return solve(stencil, np.where(known, depth / largest, 0.0)) * largest


def affinities(grey: Float64[ndarray, "height width"]) -> Float64[ndarray, "9 height width"]:
    """Weights of the neighbours of each pixel, in the order of `OFFSETS`; each sums to 1.

        w_rq ~ exp(-(g_q - g_r)^2 / s_r),  s_r = max(.6 var_r, -min_q (g_q - g_r)^2 / ln .01, 2e-6)

    where var_r is the population variance over the 3 x 3 window, the pixel included and what lies
    outside the image left out. Grey is in [0, 1]; the constants mean nothing in 0..255.
    """
    there = np.pad(np.ones(grey.shape, bool), 1)
    padded = np.pad(grey, 1)
    exists = [_shifted(there, offset) for offset in OFFSETS]
    values = [_shifted(padded, offset) for offset in OFFSETS]  # 0 outside the image
    count = np.sum(exists, axis=0, dtype=np.float64)
    mean = np.sum(values, axis=0) / count
    variance = np.zeros(grey.shape)
    weights = np.empty((len(OFFSETS), *grey.shape))
    for k, (inside, value) in enumerate(zip(exists, values, strict=True)):
        variance += np.where(inside, (value - mean) ** 2, 0.0)
        weights[k] = np.where(inside, (value - grey) ** 2, np.inf)
    weights[ITSELF] = np.inf
    nearest = np.min(weights, axis=0)
    narrowed = np.maximum(VARIANCE_SHARE * variance / count, -nearest / math.log(LEAST_WEIGHT))
    np.divide(weights, -np.maximum(narrowed, LEAST_VARIANCE), out=weights)
    np.exp(weights, out=weights)
    weights /= weights.sum(axis=0)
    return weights


def _shifted(
    padded: Float64[ndarray, "rows columns"] | Bool[ndarray, "rows columns"],
    offset: tuple[int, int],
) -> Float64[ndarray, "height width"] | Bool[ndarray, "height width"]:
    """What stands at each pixel's neighbour; ``padded`` has one more pixel on every side."""
    height, width = padded.shape[0] - 2, padded.shape[1] - 2
    row, column = 1 + offset[0], 1 + offset[1]
    return padded[row : row + height, column : column + width]
