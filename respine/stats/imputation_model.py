r"""The normal model behind the imputations: sequential regressions, their likelihood and their posterior.

A multivariate normal outcome :math:`Y_i \sim N(\Gamma' x_i, \Sigma)` is the same as one regression after another,

.. math:: Y_{ij} = x_i'\gamma_j + \sum_{k<j} \beta_{jk} Y_{ik} + \varepsilon_{ij}, \qquad
          \varepsilon_{ij} \sim N(0, \sigma_j^2)

with free :math:`\gamma, \beta, \sigma`. Where missing values are monotone (nothing is observed after the first missing
one) the likelihood factors into these regressions, each fitted to those observed so far. Only the gaps in between
(intermittent missing values) need iteration: EM for maximum likelihood, monotone data augmentation for the posterior
(Schafer 1997, ch. 6; Little and Rubin 2019, ch. 7).

Everything here is batched: the leading axis B runs over posterior draws or over jackknife replicates.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]
BoolArray = NDArray[np.bool_]

# Added to the diagonal of cross-products (per participant, in units of the outcomes' variance): collinear outcomes then
# share their coefficient instead of stopping the factorisation; otherwise it moves results by less than EM's tolerance.
_RIDGE = 1e-10
_EM_TOLERANCE = 1e-7
_EM_LIMIT = 1_000
_FORGOTTEN = 1e-4
_SHORTEST_BURN_IN = 10
_LONGEST_BURN_IN = 500


@dataclass(frozen=True, eq=False)
class Regressions:
    """One set of sequential regressions per batch member.

    Attributes
    ----------
    coefficients
        (B, q + p, p): column j holds the coefficients of outcome j on [covariates, outcomes]; 0 for later outcomes.
    variances
        (B, p): residual variances.
    q
        Covariates, the intercept among them.
    """

    coefficients: FloatArray
    variances: FloatArray
    q: int

    @property
    def gamma(self) -> FloatArray:
        """(B, q, p): coefficients of the covariates."""
        return self.coefficients[:, : self.q]

    @property
    def beta(self) -> FloatArray:
        """(B, p, p): entry [k, j] is the coefficient of outcome k in the regression of outcome j > k."""
        return self.coefficients[:, self.q :]

    def of(self, members: IntArray) -> Regressions:
        """Those of some batch members."""
        return Regressions(self.coefficients[members], self.variances[members], self.q)

    def means(self, x: FloatArray) -> FloatArray:
        """(B, n, p): marginal means of the outcomes at covariates ``x`` (n, q)."""
        means: FloatArray = x @ self.gamma
        for j in range(1, means.shape[2]):
            means[:, :, j] += (means[:, :, :j] @ self.beta[:, :j, j, None])[:, :, 0]
        return means

    def covariance(self) -> FloatArray:
        """(B, p, p): marginal covariance of the outcomes."""
        inverse = np.linalg.inv(np.eye(self.beta.shape[1]) - self.beta)
        return inverse.transpose(0, 2, 1) * self.variances[:, None, :] @ inverse


@dataclass(frozen=True, eq=False)
class _Pattern:
    """Participants of one group with the same gaps before their last observed outcome."""

    members: IntArray
    extent: int
    gaps: IntArray


@dataclass(frozen=True, eq=False)
class Group:
    """Participants who share one set of regressions.

    Attributes
    ----------
    x
        (n, q): covariates, intercept first.
    y
        (n, p): outcomes, 0 where missing.
    missing
        (n, p).
    window
        How many preceding outcomes each regression uses; p - 1 for the unrestricted normal distribution.
    """

    x: FloatArray
    y: FloatArray
    missing: BoolArray
    window: int

    @property
    def q(self) -> int:
        """Covariates, the intercept among them."""
        return int(self.x.shape[1])

    @property
    def p(self) -> int:
        """Outcomes."""
        return int(self.y.shape[1])

    @cached_property
    def extent(self) -> IntArray:
        """(n,): outcomes up to the last observed one."""
        return extents(self.missing)

    @cached_property
    def ragged(self) -> IntArray:
        """Participants with a gap before their last observed outcome."""
        return np.flatnonzero((self.missing & (np.arange(self.p) < self.extent[:, None])).any(axis=1))

    @cached_property
    def patterns(self) -> tuple[_Pattern, ...]:
        """The ragged participants by extent and gaps; ``members`` count along :attr:`ragged`."""
        gaps = self.missing[self.ragged] & (np.arange(self.p) < self.extent[self.ragged, None])
        keys, member = np.unique(np.column_stack([self.extent[self.ragged], gaps]), axis=0, return_inverse=True)
        return tuple(
            _Pattern(
                members=np.flatnonzero(member.ravel() == i),
                extent=int(key[0]),
                gaps=np.flatnonzero(key[1:]),
            )
            for i, key in enumerate(keys)
        )

    @cached_property
    def covariates(self) -> tuple[IntArray, ...]:
        """For each outcome the covariates with support among those who reach it; the effect of another one is 0."""
        chosen: list[IntArray] = []
        for j in range(self.p):
            reach = self.extent > j
            if j and (reach == (self.extent > j - 1)).all():
                chosen.append(chosen[-1])
                continue
            columns: list[int] = []
            for column in range(self.q):
                if np.linalg.matrix_rank(self.x[reach][:, [*columns, column]]) > len(columns):
                    columns.append(column)
            chosen.append(np.array(columns, dtype=np.intp))
        return tuple(chosen)

    def earliest(self, j: int) -> int:
        """First outcome among the predictors of outcome j."""
        return max(0, j - self.window)

    @cached_property
    def predictors(self) -> IntArray:
        """(p,): how many predictors each regression has."""
        return np.array([len(self.covariates[j]) + j - self.earliest(j) for j in range(self.p)], dtype=np.intp)

    @cached_property
    def residual_df(self) -> IntArray:
        """(p,): residual degrees of freedom of each regression."""
        return np.array([(self.extent > j).sum() for j in range(self.p)], dtype=np.intp) - self.predictors

    @cached_property
    def _blocks(self) -> tuple[tuple[int, int], ...]:
        """Runs of outcomes, latest first, whose regressions share participants and earliest predictor.

        One factorisation of a run's cross-products holds all of its regressions.
        """
        starts = [
            j for j in range(self.p) if j == 0 or (self.extent == j).any() or self.earliest(j) != self.earliest(j - 1)
        ]
        return tuple(pairwise([*starts, self.p]))[::-1]

    def _products(
        self, extent: int, filled: FloatArray, spread: Sequence[FloatArray] | None, weights: FloatArray | None
    ) -> FloatArray:
        """(B or 1, q + p, q + p): sum of [x, y][x, y]' over the participants of one extent; see :meth:`regress`."""
        sums: FloatArray = self._regular_products(extent, weights)
        here = self.extent[self.ragged] == extent
        if not here.any():
            return sums
        x = np.broadcast_to(self.x[self.ragged[here]], (len(filled), int(here.sum()), self.q))
        rows = np.concatenate([x, filled[:, here]], axis=2)
        weighted = rows if weights is None else rows * weights[:, self.ragged[here], None]
        sums = sums + weighted.transpose(0, 2, 1) @ rows
        if spread is not None:
            for pattern, covariance in zip(self.patterns, spread, strict=True):
                if pattern.extent == extent:
                    gaps, members = self.q + pattern.gaps, self.ragged[pattern.members]
                    count = len(members) if weights is None else weights[:, members].sum(axis=1)[:, None, None]
                    sums[:, gaps[:, None], gaps] += covariance * count
        return sums

    def _regular_products(self, extent: int, weights: FloatArray | None) -> FloatArray:
        """The part of the sums that no filling changes."""
        rows = self.extent == extent
        rows[self.ragged] = False
        z = np.concatenate([self.x[rows], self.y[rows]], axis=1)
        if weights is None:
            total: FloatArray = (z.T @ z)[None]
            return total
        weighted: FloatArray = np.tensordot(weights[:, rows], z[:, :, None] * z[:, None, :], axes=1)
        return weighted

    def regress(
        self,
        filled: FloatArray,
        *,
        spread: Sequence[FloatArray] | None = None,
        weights: FloatArray | None = None,
        noise: tuple[FloatArray, FloatArray] | None = None,
    ) -> Regressions:
        r"""Fit every regression: maximum likelihood, or with ``noise`` a posterior draw.

        The prior is flat in the coefficients and :math:`1/\sigma_j^2`: :math:`\sigma_j^2 = RSS_j / \chi^2_{df_j}`, and
        the coefficients are normal around least squares with covariance :math:`\sigma_j^2 (Z'Z)^{-1}`.

        Parameters
        ----------
        filled
            (B, ragged, p): outcomes of the ragged participants with their gaps filled.
        spread
            By pattern (B, gaps, gaps): conditional covariance of the gaps, for EM.
        weights
            (B, n): 0 leaves a participant out of a replicate.
        noise
            Chi-squared draws (B, p) on :attr:`residual_df` and standard normal draws (B, q + p, p).
        """
        batch, width = len(filled), self.q + self.p
        coefficients, variances = np.zeros((batch, width, self.p)), np.empty((batch, self.p))
        sums: FloatArray = np.zeros((1, width, width))
        for start, stop in self._blocks:
            sums = sums + self._products(stop, filled, spread, weights)
            covariates, first = self.covariates[start], self.earliest(start)
            index = np.concatenate([covariates, np.arange(self.q + first, self.q + stop)])
            reach = self.extent > start
            count = np.full(1, reach.sum()) if weights is None else weights[:, reach].sum(axis=1)
            ridge = _RIDGE * count[:, None, None] * np.eye(len(index))
            factor: Any = np.linalg.cholesky(sums[:, index[:, None], index] + ridge)
            # Right sides of the run's regressions, 0 for predictors that a regression does not have yet.
            right = np.zeros((batch, len(index), stop - start))
            for j in range(start, stop):
                k = self.predictors[j]
                variances[:, j] = factor[:, k, k] ** 2 / (count if noise is None else noise[0][:, j])
                right[:, :k, j - start] = factor[:, k, :k]
                if noise is not None:
                    right[:, :k, j - start] += np.sqrt(variances[:, j, None]) * noise[1][:, index[:k], j]
            coefficients[:, index, start:stop] = _solve_transposed(factor, right)
        return Regressions(coefficients, variances, self.q)

    def fill(self, model: Regressions, noise: FloatArray | None = None) -> tuple[FloatArray, list[FloatArray]]:
        """Gaps given all observed outcomes: their conditional means, or with ``noise`` (B, ragged, p) draws.

        Returns
        -------
        tuple
            (B, ragged, p) outcomes without gaps (0 after the extent), and by pattern the covariance of the gaps.
        """
        batch = len(model.variances)
        filled = np.repeat(self.y[None, self.ragged], batch, axis=0)
        covariances: list[FloatArray] = []
        for pattern in self.patterns:
            e, members = pattern.extent, self.ragged[pattern.members]
            transform = np.eye(e) - model.beta[:, :e, :e]
            residual = self.y[members, :e] @ transform - self.x[members] @ model.gamma[:, :, :e]
            of_gaps = transform[:, pattern.gaps]
            weighted = of_gaps / np.maximum(model.variances[:, None, :e], 1e-14)
            covariance: Any = np.linalg.inv(weighted @ of_gaps.transpose(0, 2, 1))
            values = -(residual @ weighted.transpose(0, 2, 1)) @ covariance
            if noise is not None:
                draws = noise[:, pattern.members[:, None], pattern.gaps]
                values = values + draws @ np.linalg.cholesky(covariance).transpose(0, 2, 1)
            filled[:, pattern.members[:, None], pattern.gaps] = values
            covariances.append(covariance)
        return filled, covariances

    def maximum_likelihood(self, weights: FloatArray | None = None) -> tuple[Regressions, FloatArray, float]:
        """EM over the gaps; without gaps the one regression step is exact.

        Returns
        -------
        tuple
            The fit, the ragged participants' outcomes with conditional means in their gaps, and the rate of
            convergence, which is the largest fraction of information missing through the gaps.
        """
        batch = 1 if weights is None else len(weights)
        filled = np.repeat(self.y[None, self.ragged], batch, axis=0)
        spread = [np.broadcast_to(np.eye(len(s.gaps)), (batch, len(s.gaps), len(s.gaps))) for s in self.patterns]
        model = self.regress(filled, spread=spread, weights=weights)
        change, rate = math.inf, 0.0
        for _ in range(_EM_LIMIT if len(self.ragged) else 0):
            last_filled, last_variances = filled, model.variances
            filled, spread = self.fill(model)
            model = self.regress(filled, spread=spread, weights=weights)
            # Not the coefficients: among collinear outcomes they are not determined.
            before = change
            change = max(np.abs(filled - last_filled).max(), np.abs(model.variances - last_variances).max())
            if change < _EM_TOLERANCE:
                break
            rate = change / before
        filled, _ = self.fill(model)
        return model, filled, min(rate, 1.0)

    def draw(self, m: int, rng: np.random.Generator) -> tuple[Regressions, FloatArray]:
        """Independent posterior draws of the regressions and of the gaps, by monotone data augmentation.

        One chain a draw, from maximum likelihood, until the start weighs less than 1e-4; without gaps the draws are
        exact.

        Returns
        -------
        tuple
            ``m`` draws, and (m, ragged, p) outcomes of the ragged participants with drawn gaps.
        """
        model, filled, rate = self.maximum_likelihood()
        filled = np.repeat(filled, m, axis=0)
        burn_in = 1
        if len(self.ragged):
            needed = math.log(_FORGOTTEN) / math.log(min(max(rate, 1e-3), 0.999))
            burn_in = min(max(_SHORTEST_BURN_IN, math.ceil(needed)), _LONGEST_BURN_IN)
        for _ in range(burn_in):
            noise = rng.chisquare(self.residual_df, (m, self.p)), rng.standard_normal((m, self.q + self.p, self.p))
            model = self.regress(filled, noise=noise)
            filled, _ = self.fill(model, rng.standard_normal((m, len(self.ragged), self.p)))
        return model, filled


def extents(missing: BoolArray) -> IntArray:
    """(n,): outcomes up to the last observed one; 0 where none is observed."""
    position = np.arange(1, missing.shape[1] + 1)
    last: IntArray = np.where(missing, 0, position).max(axis=1, initial=0)
    return last


def _solve_transposed(lower: FloatArray, right: FloatArray) -> FloatArray:
    """Solve lower' x = right, (B or 1, k, k) and (B, k, r), by back substitution (numpy has no batched one)."""
    x = right.copy()
    for i in reversed(range(right.shape[1])):
        x[:, i] /= lower[:, i, i, None]
        x[:, :i] -= lower[:, i, :i, None] * x[:, i, None]
    return x
