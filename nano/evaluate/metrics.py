"""The eight depth metrics of one image, on the flat list of its valid pixels."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import NDArray

from nano.records import Protocol

DELTA = 1.25


def sample_bilinear(
    depth: Float[np.ndarray, "h w"],
    size: tuple[int, int],
    index: Int[np.ndarray, " M"],
) -> Float[np.ndarray, " M"]:
    """The prediction resized bilinearly to ``size``, read at the pixels ``index`` only.

    The one place where a prediction gets the truth's size. It equals
    ``torch.nn.functional.interpolate(mode="bilinear", align_corners=False)`` read there, and
    sparse truth makes it an order of magnitude cheaper: a LiDAR scan covers 4 % of the pixels.

    Args:
        depth: Metres, at the size the network predicts.
        size: Height and width of the truth.
        index: Flat pixels of the truth map.

    Returns:
        Metres, float64.
    """
    height, width = depth.shape
    row, column = np.divmod(index, size[1])
    up, down, weight_down = (part[row] for part in _neighbours(size[0], height))
    left, right, weight_right = (part[column] for part in _neighbours(size[1], width))
    flat = depth.ravel().astype(np.float64)
    upper = flat[up * width + left] * (1 - weight_right) + flat[up * width + right] * weight_right
    lower = (
        flat[down * width + left] * (1 - weight_right) + flat[down * width + right] * weight_right
    )
    sampled: NDArray[np.float64] = upper * (1 - weight_down) + lower * weight_down
    return sampled


def _neighbours(
    target: int, source: int
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.float64]]:
    """Along one axis, of each target pixel: the source pixels around it, the second's weight."""
    centre = np.maximum((np.arange(target) + 0.5) * source / target - 0.5, 0.0)
    before = np.minimum(centre.astype(np.int32), source - 1)
    after = np.minimum(before + 1, source - 1)
    return before, after, centre - before


def bounded(
    prediction: Float[np.ndarray, " M"], truth: Float[np.ndarray, " M"], protocol: Protocol
) -> Float[np.ndarray, " M"]:
    """Prediction scaled, if the protocol says so, then held to the protocol's range.

    The order matters: scaling moves values over the bounds. Infinite becomes the maximum, NaN
    the minimum; the truth is masked by the range, never clipped.
    """
    if protocol.median_scaling:
        prediction = prediction * (np.median(truth) / np.median(prediction))
    low, high = protocol.min_depth_m, protocol.max_depth_m
    return np.clip(np.nan_to_num(prediction, nan=low, posinf=high, neginf=low), low, high)


def depth_metrics(
    prediction: Float[np.ndarray, " M"], truth: Float[np.ndarray, " M"]
) -> dict[str, float]:
    """The eight metrics over the pixels of one image; p prediction, g truth, positive metres.

    delta_k: share with max(p/g, g/p) < 1.25^k, strictly; abs_rel: mean |p-g|/g; sq_rel: mean
    (p-g)^2/g (metres); rmse: sqrt mean (p-g)^2 (metres); rmse_log: sqrt mean (ln p - ln g)^2;
    log10: mean |log10 p - log10 g|. As in Eigen et al. (2014) and the KITTI code of monodepth.
    """
    p, g = prediction.astype(np.float64), truth.astype(np.float64)
    difference = p - g
    log_difference = np.log(p) - np.log(g)
    ratio = np.maximum(p / g, g / p)
    return {
        "delta1": float(np.mean(ratio < DELTA)),
        "delta2": float(np.mean(ratio < DELTA**2)),
        "delta3": float(np.mean(ratio < DELTA**3)),
        "abs_rel": float(np.mean(np.abs(difference) / g)),
        "sq_rel": float(np.mean(difference**2 / g)),
        "rmse": float(np.sqrt(np.mean(difference**2))),
        "rmse_log": float(np.sqrt(np.mean(log_difference**2))),
        "log10": float(np.mean(np.abs(log_difference)) / np.log(10.0)),
    }
