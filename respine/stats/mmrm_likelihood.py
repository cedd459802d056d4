"""Likelihood of the MMRM y_i ~ N(X_i beta, Sigma_i) and its maximum.

Participants are grouped by the visits they have. Where a pattern g has more participants than cross-products need, a
QR decomposition replaces them by fewer rows with the same cross-products of X, and of X and y, between visits: a
likelihood evaluation then costs the same for a thousand or 100,000 participants. Throughout, W_g is the inverse of
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
from numpy.linalg import LinAlgError
from scipy.linalg import qr

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
_SAME = 1e-6  # difference in -2 log L below which two maxima are one
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
    units
        U x m x k: rows of Q by visit (zero for visits not in the pattern), of the participants or of the fewer rows
        that stand for them, pattern after pattern.
    pattern
        Pattern of each unit.
    condensers
        For each pattern the orthonormal columns whose transpose turns its participants' rows into its units' rows; None
        where the participants themselves are the units.
    """

    visits: list[Any]
    order: IntArray
    participant: IntArray
    visit: IntArray
    X: FullRank
    present: BoolArray
    counts: IntArray
    units: FloatArray
    pattern: IntArray
    condensers: tuple[FloatArray | None, ...]

    @property
    def together(self) -> FloatArray:
        """Participants with both visits, m x m."""
        return np.asarray((self.present.T * self.counts) @ self.present, dtype=float)

    def by_pattern(self, products: FloatArray) -> FloatArray:
        """Sum of products (U x m x m) over the units of each pattern."""
        starts = np.searchsorted(self.pattern, np.arange(len(self.counts)))
        return np.asarray(np.add.reduceat(products, starts, axis=0))


def prepare(X: FloatArray, subject: Any, visit: Any) -> Design:
    """Sort, group and condense a design.

    Raises
    ------
    ValueError
        If a participant has two rows for one visit; the message names the participants.
    """
    subjects, ids = pd.factorize(np.asarray(subject), sort=True)
    codes, visits = pd.factorize(pd.Series(visit), sort=True)
    n, m = len(ids), len(visits)
    seen = np.bincount(subjects * m + codes, minlength=n * m).reshape(n, m)
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
    blocks = np.split(padded, np.cumsum(counts)[:-1])
    condensed = [_condense(block, here) for block, here in zip(blocks, present, strict=True)]
    units = [unit for unit, _ in condensed]
    return Design(
        visits=visit_labels(visits),
        order=order,
        participant=rows,
        visit=columns,
        X=basis,
        present=present,
        counts=counts,
        units=np.concatenate(units),
        pattern=np.repeat(np.arange(len(counts)), [len(unit) for unit in units]),
        condensers=tuple(condenser for _, condenser in condensed),
    )


def _condense(rows: FloatArray, present: BoolArray) -> tuple[FloatArray, FloatArray | None]:
    """Rows (count x m x k) of a pattern's participants by fewer with the same cross-products, and what makes them."""
    count, m, k = rows.shape
    if count <= present.sum() * k:
        return rows, None
    condenser, triangle = qr(rows[:, present].reshape(count, -1), mode="economic", check_finite=False)
    units = np.zeros((len(triangle), m, k))
    units[:, present] = triangle.reshape(len(triangle), -1, k)
    return units, condenser


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
    units
        y of the design's units, U x m.
    YY, rest
        Sums of y_a y_b over the participants of each pattern (G x m x m), and what the units' own leave of them.
    """

    gamma: FloatArray
    scale: float
    moments: FloatArray
    units: FloatArray
    YY: FloatArray
    rest: FloatArray


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
    padded = np.zeros((int(design.counts.sum()), len(design.visits)))
    padded[design.participant, design.visit] = residual
    blocks = np.split(padded, np.cumsum(design.counts)[:-1])
    YY = np.stack([block.T @ block for block in blocks])
    units = np.concatenate(
        [block if q is None else q.T @ block for block, q in zip(blocks, design.condensers, strict=True)]
    )
    rest = YY - design.by_pattern(units[:, :, None] * units[:, None, :])
    moments = YY.sum(axis=0) / np.maximum(design.together, 1)
    if np.diag(moments).min() < 1e-20:
        visit = design.visits[int(np.argmin(np.diag(moments)))]
        raise NoInteriorOptimumError(f"the outcome has no residual variation at visit {visit}")
    return Outcome(gamma, scale, moments, units, YY, rest)


@dataclass(frozen=True)
class State:
    """The likelihood at one Sigma: -2 log L, W (G x m x m), W times the units (U x m x k), Phi (k x k), beta (k)."""

    deviance: float
    W: FloatArray
    WX: FloatArray
    Phi: FloatArray
    beta: FloatArray


def evaluate(design: Design, data: Outcome, sigma: FloatArray, method: Method) -> State:
    """-2 log L of the scaled data at Sigma, beta at its generalised least-squares value."""
    both = design.present[:, :, None] & design.present[:, None, :]
    V = np.where(both, sigma, np.eye(len(sigma)))
    W = np.where(both, np.linalg.inv(V), 0)
    WX = W[design.pattern] @ design.units
    k = WX.shape[2]
    A = design.units.reshape(-1, k).T @ WX.reshape(-1, k)
    b = data.units.ravel() @ WX.reshape(-1, k)
    Phi = np.linalg.inv(A)
    Phi = (Phi + Phi.T) / 2
    beta = Phi @ b
    N = len(design.order)
    deviance = design.counts @ np.linalg.slogdet(V)[1] + (W * data.YY).sum() - b @ beta + N * math.log(2 * math.pi)
    if method == "REML":
        deviance += np.linalg.slogdet(A)[1] - k * math.log(2 * math.pi)
    return State(float(deviance), W, WX, Phi, beta)


@dataclass(frozen=True)
class Derivatives:
    """Gradient, observed and average Hessian of -2 log L in theta, and P_k = X'W E_k W X (r x k x k)."""

    gradient: FloatArray
    observed: FloatArray
    average: FloatArray
    P: FloatArray


def differentiate(design: Design, data: Outcome, cov: Covariance, state: State, method: Method) -> Derivatives:
    """The derivatives of the module's docstring."""
    W, WX, Phi = state.W, state.WX, state.Phi
    U, m, k = WX.shape
    r = data.units - design.units @ state.beta
    R = data.rest + design.by_pattern(r[:, :, None] * r[:, None, :])
    T = np.zeros_like(R)
    if method == "REML":
        T = design.by_pattern((design.units.reshape(-1, k) @ Phi).reshape(U, m, k) @ design.units.swapaxes(1, 2))
    WRW, WTW = W @ R @ W, W @ T @ W
    counts = design.counts[:, None, None]
    S = (counts * W - WRW - WTW).sum(axis=0)

    E = cov.first.reshape(len(cov.first), m * m)
    # Sums over participants of (W X)_ai (W r)_b and (W X)_ai (W X)_bj, of which every h_k and P_k is a combination.
    flat, Wr = WX.reshape(U, m * k), (W[design.pattern] @ r[:, :, None])[:, :, 0]
    h = E @ (flat.T @ Wr).reshape(m, k, m).swapaxes(1, 2).reshape(m * m, k)
    P = (E @ (flat.T @ flat).reshape(m, k, m, k).swapaxes(1, 2).reshape(m * m, k * k)).reshape(-1, k, k)

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
    G, m, _ = W.shape
    F: FloatArray = (W.reshape(G, m * m).T @ M.reshape(G, m * m)).reshape(m, m, m, m)  # j a b i
    return F.transpose(3, 0, 1, 2).reshape(m * m, m * m)


@dataclass(frozen=True)
class Optimum:
    """The maximum of the likelihood of the scaled data; H^-1 of the observed Hessian gives Var(theta) = 2 H^-1."""

    theta: FloatArray
    covariance: Covariance
    state: State
    derivatives: Derivatives
    iterations: int


def maximise(design: Design, data: Outcome, name: CovarianceName, method: Method) -> Optimum:
    """The highest of the maxima that Newton steps reach from several starts.

    The likelihood of a structured matrix can have several maxima, which all starts are tried for. That of the
    unstructured one is left at the first: the other starts serve where the first one runs to the boundary.

    Raises
    ------
    NoInteriorOptimumError
        With the reason, where there is no maximum inside the parameter space.
    """
    m = len(design.visits)
    uncorrelated = covariance(name, start(name, np.diag(np.diag(data.moments))), m)
    assert uncorrelated is not None  # positive variances, no correlation
    reason = unidentified(uncorrelated.first, design.together > 0, [str(v) for v in design.visits])
    if reason:
        raise NoInteriorOptimumError(reason)
    best: Optimum | None = None
    failures = []
    for moments in _starts(data.moments):
        try:
            found = _climb(design, data, name, method, start(name, moments))
        except NoInteriorOptimumError as error:
            failures.append(error)
            continue
        if best is None or found.state.deviance < best.state.deviance - _SAME:
            best = found
        if name == "un":
            break
    if best is None:
        raise failures[-1]
    return best


def _starts(moments: FloatArray) -> tuple[FloatArray, ...]:
    """Covariance matrices to start from: the moments shrunk, no correlation, correlations that fade."""
    variances = np.diag(moments)
    lag = np.abs(np.subtract.outer(np.arange(len(moments)), np.arange(len(moments))))
    diagonal, fading = np.diag(variances), np.sqrt(np.outer(variances, variances)) * 0.5**lag
    return _SHRINKAGE * moments + (1 - _SHRINKAGE) * diagonal, diagonal, fading


def _climb(design: Design, data: Outcome, name: CovarianceName, method: Method, theta: FloatArray) -> Optimum:
    """Newton steps on the observed Hessian, or on the average one where that is not positive definite, with halving."""
    cov = covariance(name, theta, len(design.visits))
    if cov is None:
        raise NoInteriorOptimumError("the moments are not a covariance matrix")
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
            factor = np.linalg.cholesky(hessian / (d[:, None] * d) + (0 if observed else 1e-8) * np.eye(len(d)))
        except LinAlgError:
            continue
        if np.diag(factor).min() > 1e-6:
            half = np.linalg.solve(factor, derivatives.gradient / d)
            return -np.linalg.solve(factor.T, half) / d, observed
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
