"""An exact Gaussian process of two views of the same points, in numpy.

k(x, x') = a1 <s, s'> + a2 exp(-|s - s'|^2 / 2 l^2) + a3 <g, g'> + a4 exp(-|g - g'|^2 / 2 m^2)
with summaries s (a length scale l each) and genes g (one length scale m); plus an offset of every
fidelity but the final one; plus noise, of each fidelity its own, half of it the luck that all
trainings from one start share. All outputs share the kernel (Rasmussen and Williams 2006, sections
2.2 and 5.4.1). Hyperparameters are the maximum a posteriori under log-normal priors, by L-BFGS with
exact gradients: every gradient of a length scale is a matrix product, which is what makes refitting
within a search affordable.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve, cholesky, solve_triangular
from scipy.optimize import minimize

Floats = NDArray[np.float64]

_JITTER = 1e-8
_STEPS = 25  # of L-BFGS: beyond, the posterior hardly moves
_PRIOR_SD = 1.0  # of the logarithm of every hyperparameter
_OFFSET = 0.3  # variance of a fidelity's offset: readings come centred already
_NOISE = (0.1, 0.3)  # prior variance of a reading: final, and cheaper ones
# Correlation of the noise of two trainings from one start: .49, .58 and .69 for the three pairs of
# stages of the table of real trainings (benchmarks/search/results/table.json).
_LUCK = 0.5


@dataclass(frozen=True, kw_only=True)
class Points:
    """Points in both views.

    Attributes:
        summaries: N x s, about zero mean and unit variance.
        genes: N x g, likewise.
    """

    summaries: Floats
    genes: Floats

    def __len__(self) -> int:
        return len(self.summaries)

    def __add__(self, other: Points) -> Points:
        """Of both, one after the other."""
        return Points(
            summaries=np.concatenate([self.summaries, other.summaries]),
            genes=np.concatenate([self.genes, other.genes]),
        )


@dataclass(frozen=True, kw_only=True)
class Fidelity:
    """What kind of reading each of N is.

    Attributes:
        level: 0 for final ones, 1, 2, ... for the rungs.
        count: Of how many starts it is the mean: its noise and luck are so much less.
        start: Equal for readings of one start.
    """

    level: NDArray[np.int64]
    count: Floats
    start: NDArray[np.int64]

    @classmethod
    def final(cls, count: int, first: int = 0) -> Fidelity:
        """Single final readings, with starts numbered from ``first``."""
        return cls(
            level=np.zeros(count, np.int64),
            count=np.ones(count),
            start=np.arange(first, first + count),
        )

    @property
    def levels(self) -> int:
        """How many kinds there may be: the final one is always counted."""
        return int(self.level.max(initial=0)) + 1

    def take(self, rows: NDArray[np.intp]) -> Fidelity:
        """Of some of the readings."""
        return Fidelity(level=self.level[rows], count=self.count[rows], start=self.start[rows])

    def __add__(self, other: Fidelity) -> Fidelity:
        """Of both, one after the other."""
        return Fidelity(
            level=np.concatenate([self.level, other.level]),
            count=np.concatenate([self.count, other.count]),
            start=np.concatenate([self.start, other.start]),
        )

    def noise(self, hyper: Hyper) -> Floats:
        """Covariance N x N of the readings' noise."""
        sd = np.sqrt(np.exp(hyper.noise)[self.level] / self.count)
        alike = np.where(self.start[:, None] == self.start[None, :], _LUCK, 0.0)
        np.fill_diagonal(alike, 1.0)
        found: Floats = sd[:, None] * alike * sd[None, :]
        return found

    def offsets(self) -> Floats:
        """Covariance N x N of what the readings of one rung have in common."""
        same = (self.level[:, None] == self.level[None, :]) & (self.level > 0)
        return _OFFSET * same


@dataclass(frozen=True, kw_only=True)
class Hyper:
    """Logarithms of the hyperparameters.

    Attributes:
        amplitudes: Of the four kernels.
        scales: Length scale of every summary, then the one of the genes.
        noise: Variance of one reading of every level.
    """

    amplitudes: Floats
    scales: Floats
    noise: Floats

    def packed(self) -> Floats:
        """One vector."""
        return np.concatenate([self.amplitudes, self.scales, self.noise])

    @classmethod
    def unpacked(cls, vector: Floats, levels: int) -> Hyper:
        """From one vector."""
        return cls(amplitudes=vector[:4], scales=vector[4:-levels], noise=vector[-levels:])

    def with_levels(self, levels: int) -> Hyper:
        """With the prior's noise for fidelities that the fit did not see."""
        more = np.full(max(0, levels - len(self.noise)), np.log(_NOISE[1]))
        return replace(self, noise=np.concatenate([self.noise, more]))


def prior(points: Points, levels: int = 1) -> Hyper:
    """The prior's centre: mostly linear in the summaries, smooth in both views.

    Length scales grow with the root of the dimension, as distances do (Hvarfner et al. 2024).
    """
    s, g = points.summaries.shape[1], points.genes.shape[1]
    return Hyper(
        amplitudes=np.log([0.5, 0.5, 0.1, 0.2]),
        scales=np.log(np.array([*[2 * np.sqrt(s)] * s, 2 * np.sqrt(g)])),
        noise=np.log([_NOISE[0], *[_NOISE[1]] * (levels - 1)]),
    )


def fitted(points: Points, outputs: Floats, fidelity: Fidelity) -> Hyper:
    """Hyperparameters for standardised outputs N x k, by maximum a posteriori.

    Args:
        points: The N points.
        outputs: Zero mean, unit variance, column by column.
        fidelity: Of each reading.
    """
    levels = fidelity.levels
    centre = prior(points, levels).packed()

    def objective(vector: Floats) -> tuple[float, Floats]:
        value, gradient = _loss(Hyper.unpacked(vector, levels), points, outputs, fidelity)
        shift = (vector - centre) / _PRIOR_SD
        return value + 0.5 * float(shift @ shift), gradient + shift / _PRIOR_SD

    bounds = [(at - 4, at + 4) for at in centre]
    found = minimize(
        objective, centre, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": _STEPS}
    )
    return Hyper.unpacked(found.x, levels)


def _loss(
    hyper: Hyper, points: Points, outputs: Floats, fidelity: Fidelity
) -> tuple[float, Floats]:
    """Negative log marginal likelihood and its gradient in the packed logarithms."""
    parts = _parts(hyper, points, points)
    noise = fidelity.noise(hyper)
    kernel = _total(parts) + fidelity.offsets() + noise + _JITTER * np.eye(len(points))
    factor = cholesky(kernel, lower=True)
    inverse = cho_solve((factor, True), np.eye(len(points)))
    weights = inverse @ outputs
    k = outputs.shape[1]
    value = 0.5 * float((outputs * weights).sum()) + k * float(np.log(np.diag(factor)).sum())
    sensitivity = 0.5 * (k * inverse - weights @ weights.T)
    amplitudes = [float((sensitivity * part).sum()) for part in parts]
    by_summary = _by_scale(sensitivity * parts[1], points.summaries) / np.exp(2 * hyper.scales[:-1])
    by_genes = _by_scale(sensitivity * parts[3], points.genes).sum() / np.exp(2 * hyper.scales[-1])
    by_noise = np.bincount(fidelity.level, (sensitivity * noise).sum(axis=1), len(hyper.noise))
    return value, np.array([*amplitudes, *by_summary, by_genes, *by_noise])


def _by_scale(weighted: Floats, x: Floats) -> Floats:
    """sum_ij w_ij (x_id - x_jd)^2 for every dimension d of a symmetric w."""
    found: Floats = 2 * (weighted.sum(axis=1) @ x**2 - (x * (weighted @ x)).sum(axis=0))
    return found


def _parts(hyper: Hyper, a: Points, b: Points) -> tuple[Floats, Floats, Floats, Floats]:
    """The four kernels with their amplitudes."""
    scale = np.exp(hyper.scales)
    first, second, third, fourth = np.exp(hyper.amplitudes)
    s, g = a.summaries.shape[1], a.genes.shape[1]
    return (
        first / s * (a.summaries @ b.summaries.T),
        second * np.exp(-0.5 * _distances(a.summaries / scale[:-1], b.summaries / scale[:-1])),
        third / g * (a.genes @ b.genes.T),
        fourth * np.exp(-0.5 * _distances(a.genes / scale[-1], b.genes / scale[-1])),
    )


def _kernel(hyper: Hyper, a: Points, b: Points) -> Floats:
    return _total(_parts(hyper, a, b))


def _total(parts: tuple[Floats, Floats, Floats, Floats]) -> Floats:
    return parts[0] + parts[1] + parts[2] + parts[3]


def _distances(a: Floats, b: Floats) -> Floats:
    squared = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1)[None, :] - 2 * (a @ b.T)
    return np.maximum(squared, 0.0)


class Posterior:
    """What the readings say about any point.

    Args:
        hyper: See `fitted`.
        points: The N points read.
        outputs: Standardised readings N x k.
        fidelity: Of each.
    """

    def __init__(self, hyper: Hyper, points: Points, outputs: Floats, fidelity: Fidelity) -> None:
        self._hyper = hyper
        self._points = points
        kernel = _kernel(hyper, points, points) + fidelity.offsets() + fidelity.noise(hyper)
        kernel += _JITTER * np.eye(len(points))
        self._factor = cholesky(kernel, lower=True)
        self._weights = cho_solve((self._factor, True), outputs)

    def predict(self, points: Points) -> tuple[Floats, Floats]:
        """Mean n x k and standard deviation n of the noise-free final outputs."""
        cross = _kernel(self._hyper, points, self._points)
        reduced = solve_triangular(self._factor, cross.T, lower=True)
        return cross @ self._weights, np.sqrt(
            np.maximum(self._own(points) - (reduced**2).sum(axis=0), 1e-12)
        )

    def _own(self, points: Points) -> Floats:
        """k(x, x), without the matrix."""
        first, second, third, fourth = np.exp(self._hyper.amplitudes)
        s, g = points.summaries.shape[1], points.genes.shape[1]
        linear = first / s * (points.summaries**2).sum(axis=1)
        own: Floats = linear + second + third / g * (points.genes**2).sum(axis=1) + fourth
        return own
