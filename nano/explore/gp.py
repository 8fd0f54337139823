"""An exact Gaussian process of two views of the same points, in numpy.

k(x, x') = a1 <s, s'> + a2 exp(-|s - s'|^2 / 2 l^2) + a3 <g, g'> + a4 exp(-|g - g'|^2 / 2 m^2)
with summaries s (a length scale l each) and genes g (one length scale m), plus noise; all outputs
share the kernel (Rasmussen and Williams 2006, sections 2.2 and 5.4.1). Hyperparameters are the
maximum a posteriori under log-normal priors, by L-BFGS with exact gradients: every gradient of a
length scale is a matrix product, which is what makes refitting within a search affordable.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve, cholesky, solve_triangular
from scipy.optimize import minimize

Floats = NDArray[np.float64]

_JITTER = 1e-8
_STEPS = 25  # of L-BFGS: beyond, the posterior hardly moves
_PRIOR_SD = 1.0  # of the logarithm of every hyperparameter


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

    def take(self, rows: NDArray[np.intp]) -> Points:
        """Some of the points."""
        return Points(summaries=self.summaries[rows], genes=self.genes[rows])


@dataclass(frozen=True, kw_only=True)
class Hyper:
    """Logarithms of the hyperparameters.

    Attributes:
        amplitudes: Of the four kernels.
        scales: Length scale of every summary, then the one of the genes.
        noise: Variance of a reading of noise scale 1.
    """

    amplitudes: Floats
    scales: Floats
    noise: float

    def packed(self) -> Floats:
        """One vector."""
        return np.concatenate([self.amplitudes, self.scales, [self.noise]])

    @classmethod
    def unpacked(cls, vector: Floats) -> Hyper:
        """From one vector."""
        return cls(amplitudes=vector[:4], scales=vector[4:-1], noise=float(vector[-1]))


def prior(points: Points) -> Hyper:
    """The prior's centre: mostly linear in the summaries, smooth in both views.

    Length scales grow with the root of the dimension, as distances do (Hvarfner et al. 2024).
    """
    s, g = points.summaries.shape[1], points.genes.shape[1]
    return Hyper(
        amplitudes=np.log([0.5, 0.5, 0.1, 0.2]),
        scales=np.log(np.array([*[2 * np.sqrt(s)] * s, 2 * np.sqrt(g)])),
        noise=float(np.log(0.1)),
    )


def fitted(points: Points, outputs: Floats, noise_scale: Floats) -> Hyper:
    """Hyperparameters for standardised outputs N x k, by maximum a posteriori.

    Args:
        points: The N points.
        outputs: Zero mean, unit variance, column by column.
        noise_scale: Variance of each reading in units of the noise.
    """
    centre = prior(points).packed()

    def objective(vector: Floats) -> tuple[float, Floats]:
        value, gradient = _loss(Hyper.unpacked(vector), points, outputs, noise_scale)
        shift = (vector - centre) / _PRIOR_SD
        return value + 0.5 * float(shift @ shift), gradient + shift / _PRIOR_SD

    bounds = [(at - 4, at + 4) for at in centre]
    found = minimize(
        objective, centre, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": _STEPS}
    )
    return Hyper.unpacked(found.x)


def _loss(
    hyper: Hyper, points: Points, outputs: Floats, noise_scale: Floats
) -> tuple[float, Floats]:
    """Negative log marginal likelihood and its gradient in the packed logarithms."""
    parts = _parts(hyper, points, points)
    noise = np.exp(hyper.noise) * noise_scale
    kernel = _total(parts) + np.diag(noise + _JITTER)
    factor = cholesky(kernel, lower=True)
    inverse = cho_solve((factor, True), np.eye(len(points)))
    weights = inverse @ outputs
    k = outputs.shape[1]
    value = 0.5 * float((outputs * weights).sum()) + k * float(np.log(np.diag(factor)).sum())
    sensitivity = 0.5 * (k * inverse - weights @ weights.T)
    amplitudes = [float((sensitivity * part).sum()) for part in parts]
    by_summary = _by_scale(sensitivity * parts[1], points.summaries) / np.exp(2 * hyper.scales[:-1])
    by_genes = _by_scale(sensitivity * parts[3], points.genes).sum() / np.exp(2 * hyper.scales[-1])
    by_noise = float((np.diag(sensitivity) * noise).sum())
    return value, np.array([*amplitudes, *by_summary, by_genes, by_noise])


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
        noise_scale: Variance of each in units of the noise.
    """

    def __init__(self, hyper: Hyper, points: Points, outputs: Floats, noise_scale: Floats) -> None:
        self._hyper = hyper
        self._points = points
        noise = np.exp(hyper.noise) * noise_scale
        kernel = _kernel(hyper, points, points) + np.diag(noise + _JITTER)
        self._factor = cholesky(kernel, lower=True)
        self._weights = cho_solve((self._factor, True), outputs)

    def predict(self, points: Points) -> tuple[Floats, Floats]:
        """Mean n x k and standard deviation n of the noise-free outputs."""
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
