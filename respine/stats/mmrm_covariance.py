"""Covariance structures of the MMRM: Sigma(theta) between m visits with its first and second derivatives.

The parameters are those of SAS PROC MIXED: covariances for the unstructured matrix, variances and correlations for the
others, Sigma_ab = sqrt(v_a v_b) c_ab(rho). The linear Kenward-Roger correction depends on that choice.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np

from respine.stats.linear import BoolArray, FloatArray

CovarianceName = Literal["un", "toeph", "ar1h", "csh"]
FALLBACK: tuple[CovarianceName, ...] = ("un", "toeph", "ar1h", "csh")
LABELS: dict[CovarianceName, str] = {
    "un": "unstructured",
    "toeph": "heterogeneous Toeplitz",
    "ar1h": "heterogeneous first-order autoregressive",
    "csh": "heterogeneous compound symmetry",
}


@dataclass(frozen=True)
class Covariance:
    """Sigma at theta, with its derivatives.

    Parameters
    ----------
    sigma, first, second
        Sigma (m x m), dSigma/dtheta_k (r x m x m), d2Sigma/dtheta_k dtheta_l (r x r x m x m; None where all are 0).
    distance
        From the boundary: the least standard deviation or eigenvalue of the correlation matrix, not above 0 outside.
    """

    sigma: FloatArray
    first: FloatArray
    second: FloatArray | None
    distance: float


def start(name: CovarianceName, moments: FloatArray) -> FloatArray:
    """Theta near a matrix of moments (m x m), which need not be positive definite."""
    m = len(moments)
    if name == "un":
        return moments[np.tril_indices(m)]
    variances = np.diag(moments)
    correlation = moments / np.sqrt(np.outer(variances, variances))
    lags = [np.diag(correlation, lag).mean() for lag in range(1, m)]
    if name == "csh" and m > 1:
        lags = [correlation[np.tril_indices(m, -1)].mean()]
    return np.concatenate([variances, lags if name == "toeph" else lags[:1]])


def covariance(name: CovarianceName, theta: FloatArray, m: int) -> Covariance | None:
    """Sigma and its derivatives, or None where Sigma is not (numerically) positive definite."""
    result = _unstructured(theta, m) if name == "un" else _heterogeneous(_CORRELATIONS[name], theta, m)
    return result if result and result.distance > 1e-10 else None


def _distance_to_boundary(sigma: FloatArray) -> float:
    variances = np.diag(sigma)
    if (variances <= 0).any():
        return 0.0
    sd = np.sqrt(variances)
    return float(min(sd.min(), np.linalg.eigvalsh(sigma / np.outer(sd, sd))[0]))


def unidentified(derivatives: FloatArray, together: BoolArray, visits: list[str]) -> str:
    """Why a parameter has no information, '' if all have: it moves only visits that no participant has together."""
    seen = (np.abs(derivatives) * together).sum(axis=(1, 2)) > 0
    if seen.all():
        return ""
    a, b = np.argwhere(derivatives[np.flatnonzero(~seen)[0]])[0]
    return f"no participant has data at both visit {visits[a]} and visit {visits[b]}"


def _unstructured(theta: FloatArray, m: int) -> Covariance:
    first = _vech_derivatives(m)
    sigma = np.tensordot(theta, first, 1)
    return Covariance(sigma, first, None, _distance_to_boundary(sigma))


@cache
def _vech_derivatives(m: int) -> FloatArray:
    rows, columns = np.tril_indices(m)
    first = np.zeros((len(rows), m, m))
    k = np.arange(len(rows))
    first[k, rows, columns] = first[k, columns, rows] = 1
    return first


Correlation = Callable[[FloatArray, FloatArray], tuple[FloatArray, FloatArray, FloatArray]]


def _toeplitz(rho: FloatArray, lag: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    first = (lag == np.arange(1, len(rho) + 1)[:, None, None]).astype(float)
    c = np.eye(len(lag)) + np.tensordot(rho, first, 1)
    return c, first, np.zeros((len(rho), *first.shape))


def _autoregressive(rho: FloatArray, lag: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    # The exponents below 0 belong to terms whose factor is 0.
    first = lag * rho[0] ** np.maximum(lag - 1, 0)
    second = lag * (lag - 1) * rho[0] ** np.maximum(lag - 2, 0)
    return rho[0] ** lag, first[None], second[None, None]


def _compound_symmetry(rho: FloatArray, lag: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    first = (lag > 0).astype(float)
    return np.eye(len(lag)) + rho[0] * first, first[None], np.zeros((1, 1, *lag.shape))


_CORRELATIONS: dict[str, Correlation] = {"toeph": _toeplitz, "ar1h": _autoregressive, "csh": _compound_symmetry}


def _heterogeneous(correlation: Correlation, theta: FloatArray, m: int) -> Covariance | None:
    variances, rho = theta[:m], theta[m:]
    if (variances <= 0).any():
        return None
    lag = np.abs(np.subtract.outer(np.arange(m, dtype=float), np.arange(m, dtype=float)))
    c, c1, c2 = correlation(rho, lag) if m > 1 else (np.ones((1, 1)), np.empty((0, 1, 1)), np.empty((0, 0, 1, 1)))
    scale = np.sqrt(np.outer(variances, variances))
    sigma = scale * c
    # d log sqrt(v_a v_b) / d v_k = e_kab / (2 v_k), with e_kab = 1(a = k) + 1(b = k).
    eye = np.eye(m)
    e = (eye[:, :, None] + eye[:, None, :]) / (2 * variances[:, None, None])
    first = np.concatenate([e * sigma, scale * c1])
    r = len(theta)
    second = np.empty((r, r, m, m))
    second[:m, :m] = e[:, None] * e[None, :] * sigma
    k = np.arange(m)
    second[k, k] -= e * sigma / variances[:, None, None]
    second[:m, m:] = e[:, None] * scale * c1[None, :]
    second[m:, :m] = second[:m, m:].swapaxes(0, 1)
    second[m:, m:] = scale * c2
    return Covariance(sigma, first, second, _distance_to_boundary(sigma))
