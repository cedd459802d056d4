"""Likelihood of the MMRM y_i ~ N(X_i beta, Sigma_i) and its maximum.

Participants are grouped by the visits they have. Per pattern g only the cross-products of X and y between visits are
kept, so that a likelihood evaluation does not depend on the number of participants. Throughout, W_g is the inverse of
Sigma on the visits of pattern g (zero elsewhere), Phi = (X'WX)^-1, r = y - X beta, and

    -2 log L = sum log|Sigma_i| + r'Wr + N log 2 pi                         (ML)
               ... + log|X'WX| - p log 2 pi                                 (REML)

With E_k = dSigma/dtheta_k, P_k = X'W E_k W X, h_k = X'W E_k W r, S = dL/dSigma, the derivatives of -2 log L are

    gradient_k = <E_k, S>,  S = sum_g n W - W R W - W T W
    Hessian_kl = 2 (r'W E_k W E_l W r - h_k' Phi h_l) - tr(W E_k W E_l) + <S, d2Sigma/dtheta_k dtheta_l>
                 + 2 tr(Phi X'W E_k W E_l W X) - tr(Phi P_k Phi P_l)        (REML)
    average    = r'W E_k W E_l W r - h_k' Phi h_l

(R = sum r r', T = sum X Phi X' over the participants of a pattern; the T and Phi terms are REML's).
X is replaced by its orthonormal Q and y by its scaled least-squares residual: better numbers, same likelihood.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from scipy.linalg import LinAlgError, cho_factor, cho_solve

from respine.stats.linear import BoolArray, FloatArray, FullRank, IntArray, full_rank
from respine.stats.mmrm_covariance import (
    LABELS,
    Covariance,
    CovarianceName,
    covariance,
    start,
    unidentified,
)

Method = Literal["REML", "ML"]

_MAX_ITERATIONS = 100
_DECREMENT = 1e-16  # predicted fall of -2 log L at which the optimum is reached
_SHRINKAGE = 0.9  # of the moments' correlations, where the iterations start: closer to positive definite
_SINGULAR = 1e-8  # distance to the boundary below which there is no interior optimum; residuals have unit variance


class NoInteriorOptimumError(ArithmeticError):
    """The likelihood has no maximum inside the parameter space of this covariance structure."""


@dataclass(frozen=True, eq=False)
class Design:
    """X, participants and visits, prepared once for any number of outcomes: G patterns, m visits, k columns of Q.

    Parameters
    ----------
    visits
        The m visits in order.
    order
        Permutation of the rows given to rows sorted by pattern, participant and visit.
    participant, visit
        Index of participant and visit of each sorted row.
    X
        The design matrix of the sorted rows without its aliased columns.
    present
        Visits of each pattern, G x m.
    counts
        Participants with each pattern.
    starts
        Index of each pattern's first participant.
    XX
        Sums over participants of q_ia q_jb, G x m x m x k x k.
    """

    visits: list[Any]
    order: IntArray
    participant: IntArray
    visit: IntArray
    X: FullRank
    present: BoolArray
    counts: IntArray
    starts: IntArray
    padded: FloatArray
    XX: FloatArray

    @property
    def together(self) -> FloatArray:
        """Participants with both visits, m x m."""
        return np.asarray((self.present.T * self.counts) @ self.present, dtype=float)


def prepare(X: FloatArray, subject: Any, visit: Any) -> Design:
    """Sort, group and condense a design.

    Raises
    ------
    ValueError
        If a participant has two rows for one visit; the message names the participants.
    """
    subjects, ids = pd.factorize(np.asarray(subject), sort=True)
    codes, visits = pd.factorize(np.asarray(visit), sort=True)
    n, m = len(ids), len(visits)
    seen = np.zeros((n, m), dtype=int)
    np.add.at(seen, (subjects, codes), 1)
    if (seen > 1).any():
        repeated = [str(i) for i in ids[(seen > 1).any(axis=1)]]
        more = f" and {len(repeated) - 5} more" if len(repeated) > 5 else ""
        raise ValueError(f"more than one row for a participant and visit: {', '.join(repeated[:5])}{more}")
    present, pattern, counts = np.unique(seen > 0, axis=0, return_inverse=True, return_counts=True)
    rank = np.empty(n, dtype=np.intp)
    rank[np.argsort(pattern, kind="stable")] = np.arange(n)
    order = np.lexsort((codes, rank[subjects]))
    rows, columns = rank[subjects][order], codes[order]
    basis = full_rank(X[order])
    k = len(basis.kept)
    padded = np.zeros((n, m, k))
    padded[rows, columns] = basis.Q
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
    XX = np.empty((len(counts), m, m, k, k))
    for g, (first, count) in enumerate(zip(starts, counts, strict=True)):
        flat = padded[first : first + count].reshape(count, m * k)
        XX[g] = (flat.T @ flat).reshape(m, k, m, k).transpose(0, 2, 1, 3)
    return Design(visit_labels(visits), order, rows, columns, basis, present, counts, starts, padded, XX)


def visit_labels(visits: Iterable[Any]) -> list[Any]:
    """Visits as they are named in messages and keys: whole months without a decimal point."""
    return [int(v) if isinstance(v, float) and v.is_integer() else v for v in visits]


@dataclass(frozen=True, eq=False)
class Outcome:
    """One outcome on a design: least-squares fit, scale, and cross-products of the scaled residual y.

    Parameters
    ----------
    gamma
        Least-squares coefficients of Q.
    scale
        Residual standard deviation; y = (outcome - Q gamma) / scale.
    moments
        Mean products of y between visits (m x m), 0 for visits that no participant has together.
    XY, YY
        Sums over participants of q_ia y_b (G x m x m x k) and y_a y_b (G x m x m).
    """

    gamma: FloatArray
    scale: float
    moments: FloatArray
    XY: FloatArray
    YY: FloatArray


def outcome(design: Design, y: FloatArray) -> Outcome:
    """Condense an outcome given in the order of the design's rows.

    Raises
    ------
    NoInteriorOptimumError
        If the fixed effects fit all observations, or all of one visit, exactly.
    """
    sorted_y = np.asarray(y, dtype=float)[design.order]
    gamma = design.X.Q.T @ sorted_y
    residual = sorted_y - design.X.Q @ gamma
    N, k = design.X.Q.shape
    scale = math.sqrt(residual @ residual / max(N - k, 1))
    if k >= N or scale <= 1e-12 * np.abs(sorted_y).max():
        raise NoInteriorOptimumError("the fixed effects fit every observation exactly")
    residual = residual / scale
    n, m = len(design.padded), len(design.visits)
    padded = np.zeros((n, m))
    padded[design.participant, design.visit] = residual
    XY = np.empty((len(design.counts), m, m, k))
    YY = np.empty((len(design.counts), m, m))
    for g, (first, count) in enumerate(zip(design.starts, design.counts, strict=True)):
        Y = padded[first : first + count]
        XY[g] = (design.padded[first : first + count].reshape(count, m * k).T @ Y).reshape(m, k, m).transpose(0, 2, 1)
        YY[g] = Y.T @ Y
    moments = YY.sum(axis=0) / np.maximum(design.together, 1)
    if np.diag(moments).min() < 1e-20:
        visit = design.visits[int(np.argmin(np.diag(moments)))]
        raise NoInteriorOptimumError(f"the outcome has no residual variation at visit {visit}")
    return Outcome(gamma, scale, moments, XY, YY)


@dataclass(frozen=True)
class State:
    """The likelihood at one Sigma: -2 log L, W (G x m x m), Phi (k x k), beta (k)."""

    deviance: float
    W: FloatArray
    Phi: FloatArray
    beta: FloatArray


def evaluate(design: Design, data: Outcome, sigma: FloatArray, method: Method) -> State:
    """-2 log L of the scaled data at Sigma, beta at its generalised least-squares value."""
    both = design.present[:, :, None] & design.present[:, None, :]
    V = np.where(both, sigma, np.eye(len(sigma)))
    W = np.where(both, np.linalg.inv(V), 0)
    k = design.XX.shape[-1]
    A = (W.ravel() @ design.XX.reshape(-1, k * k)).reshape(k, k)
    b = W.ravel() @ data.XY.reshape(-1, k)
    Phi = np.linalg.inv(A)
    Phi = (Phi + Phi.T) / 2
    beta = Phi @ b
    N = len(design.order)
    deviance = design.counts @ np.linalg.slogdet(V)[1] + (W * data.YY).sum() - b @ beta + N * math.log(2 * math.pi)
    if method == "REML":
        deviance += np.linalg.slogdet(A)[1] - k * math.log(2 * math.pi)
    return State(float(deviance), W, Phi, beta)


@dataclass(frozen=True)
class Derivatives:
    """Gradient, observed and average Hessian of -2 log L in theta, and P_k = X'W E_k W X (r x k x k)."""

    gradient: FloatArray
    observed: FloatArray
    average: FloatArray
    P: FloatArray


def differentiate(design: Design, data: Outcome, cov: Covariance, state: State, method: Method) -> Derivatives:
    """The derivatives of the module's docstring."""
    W, Phi, beta = state.W, state.Phi, state.beta
    G, m, _, k, _ = design.XX.shape
    XR = data.XY - (design.XX.reshape(-1, k) @ beta).reshape(G, m, m, k)  # sums of q_ia r_b
    R = data.YY - data.XY.swapaxes(1, 2) @ beta - XR @ beta
    T = (design.XX.reshape(-1, k * k) @ Phi.ravel()).reshape(G, m, m) if method == "REML" else np.zeros_like(R)
    WRW, WTW = W @ R @ W, W @ T @ W
    counts = design.counts[:, None, None]
    S = (counts * W - WRW - WTW).sum(axis=0)

    E = cov.first.reshape(len(cov.first), m * m)
    WEW = E @ np.einsum("gac,gdb->cdgab", W, W).reshape(m * m, -1)
    h = WEW @ XR.reshape(-1, k)
    P = (WEW @ design.XX.reshape(-1, k * k)).reshape(-1, k, k)

    rWWWr = E @ _trace_form(W, WRW) @ E.T
    hPh = h @ Phi @ h.T
    rest = E @ _trace_form(W, 2 * WTW - counts * W) @ E.T
    if method == "REML":
        PhiP = Phi @ P
        rest -= PhiP.reshape(len(E), -1) @ PhiP.swapaxes(1, 2).reshape(len(E), -1).T
    if cov.second is not None:
        rest += np.tensordot(cov.second, S, 2)
    return Derivatives(E @ S.ravel(), 2 * (rWWWr - hPh) + rest, rWWWr - hPh, P)


def _trace_form(W: FloatArray, M: FloatArray) -> FloatArray:
    """Matrix F with vec(E_k)' F vec(E_l) = sum_g tr(E_k W_g E_l M_g)."""
    m = W.shape[-1]
    F: FloatArray = np.einsum("gja,gbi->ijab", W, M).reshape(m * m, m * m)
    return F


@dataclass(frozen=True)
class Optimum:
    """The maximum of the likelihood of the scaled data; H^-1 of the observed Hessian gives Var(theta) = 2 H^-1."""

    theta: FloatArray
    covariance: Covariance
    state: State
    derivatives: Derivatives
    iterations: int


def maximise(design: Design, data: Outcome, name: CovarianceName, method: Method) -> Optimum:
    """Newton steps on the observed Hessian, or on the average one where that is not positive definite, with halving.

    Raises
    ------
    NoInteriorOptimumError
        With the reason, where there is no maximum inside the parameter space.
    """
    m = len(design.visits)
    theta = start(name, np.diag(np.diag(data.moments)))
    cov = covariance(name, theta, m)
    assert cov is not None  # positive variances, no correlation
    reason = unidentified(cov.first, design.together > 0, [str(v) for v in design.visits])
    if reason:
        raise NoInteriorOptimumError(reason)
    near = start(name, _SHRINKAGE * data.moments + (1 - _SHRINKAGE) * np.diag(np.diag(data.moments)))
    if (nearer := covariance(name, near, m)) is not None:
        theta, cov = near, nearer
    state = evaluate(design, data, cov.sigma, method)
    for iteration in range(1, _MAX_ITERATIONS + 1):
        derivatives = differentiate(design, data, cov, state, method)
        step, interior = _newton_step(derivatives)
        if interior and -derivatives.gradient @ step / 2 < _DECREMENT:
            return Optimum(theta, cov, state, derivatives, iteration)
        theta, cov, state = _halve(design, data, name, method, theta, step, state)
        if cov.distance < _SINGULAR:
            raise NoInteriorOptimumError("the covariance matrix becomes singular")
    raise NoInteriorOptimumError(f"no convergence in {_MAX_ITERATIONS} iterations")


def _newton_step(derivatives: Derivatives) -> tuple[FloatArray, bool]:
    """The step, and whether the observed Hessian is positive definite."""
    # Scaled to unit diagonal, so that one threshold serves variances and correlations.
    for hessian, observed in ((derivatives.observed, True), (derivatives.average, False)):
        diagonal = np.diag(hessian)
        if (diagonal <= 0).any():
            continue
        d = np.sqrt(diagonal)
        try:
            factor = cho_factor(hessian / np.outer(d, d) + (0 if observed else 1e-8) * np.eye(len(d)))
        except LinAlgError:
            continue
        if np.diag(factor[0]).min() > 1e-6:
            return -cho_solve(factor, derivatives.gradient / d) / d, observed
    raise NoInteriorOptimumError("the information matrix is singular")


def _halve(
    design: Design,
    data: Outcome,
    name: CovarianceName,
    method: Method,
    theta: FloatArray,
    step: FloatArray,
    state: State,
) -> tuple[FloatArray, Covariance, State]:
    """The first of theta + step, theta + step / 2, ... that is valid and does not raise -2 log L."""
    limit = state.deviance + 1e-10 * (1 + abs(state.deviance))
    for halvings in range(40):
        candidate = theta + step / 2**halvings
        cov = covariance(name, candidate, len(design.visits))
        if cov is None:
            continue
        try:
            new = evaluate(design, data, cov.sigma, method)
        except LinAlgError:
            continue
        if new.deviance <= limit:
            return candidate, cov, new
    raise NoInteriorOptimumError(f"no step lowers the likelihood of the {LABELS[name]} matrix")
