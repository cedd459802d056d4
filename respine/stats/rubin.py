"""Rubin's rules: one answer from the same analysis of several imputed data sets."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from respine.results import Estimate, not_estimable

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Pooled:
    """Pooled estimates; every array has the shape of one analysis' estimates.

    Attributes
    ----------
    estimate, se, df
        Mean of the estimates, square root of the total variance, degrees of freedom of Barnard and Rubin.
    within, between
        Mean of the variances, variance of the estimates.
    relative_increase, missing_information
        Relative increase in variance due to the missing values, and the estimated fraction of missing information.
    m
        Imputed data sets.
    """

    estimate: FloatArray
    se: FloatArray
    df: FloatArray
    within: FloatArray
    between: FloatArray
    relative_increase: FloatArray
    missing_information: FloatArray
    m: int


def pool(estimates: ArrayLike, variances: ArrayLike, df_complete: float = math.inf) -> Pooled:
    r"""Pool estimates over imputed data sets (Rubin 1987) with the degrees of freedom of Barnard and Rubin (1999).

    .. math::
        \bar Q = \frac1m \sum_i \hat Q_i, \quad \bar U = \frac1m \sum_i U_i, \quad
        B = \frac{1}{m-1} \sum_i (\hat Q_i - \bar Q)^2, \quad T = \bar U + (1 + \tfrac1m) B, \quad
        \lambda = \frac{(1 + 1/m) B}{T}

        \nu = \Bigl(\frac{\lambda^2}{m - 1} +
              \frac{\nu_{com} + 3}{(\nu_{com} + 1)\,\nu_{com}\,(1 - \lambda)}\Bigr)^{-1}

    Where the data sets all give the same estimate nothing is missing, and :math:`\nu = \nu_{com}` (the formula itself
    would give :math:`\nu_{com} (\nu_{com} + 1) / (\nu_{com} + 3)`).

    Parameters
    ----------
    estimates, variances
        Shape (m, ...): estimates and their squared standard errors, one data set a row; m >= 2.
    df_complete
        Degrees of freedom that the analysis would have without missing values, :math:`\nu_{com}`.
    """
    q, u = np.asarray(estimates, float), np.asarray(variances, float)
    if q.shape != u.shape:
        raise ValueError(f"estimates have shape {q.shape}, variances {u.shape}")
    m = len(q)
    if m < 2:
        raise ValueError("Rubin's rules need at least two imputed data sets")
    estimate, within, between = q.mean(axis=0), u.mean(axis=0), q.var(axis=0, ddof=1)
    # Equal estimates leave a variance of rounding error.
    between = np.where(between <= 1e-24 * estimate**2, 0.0, between)
    added = (1 + 1 / m) * between
    total = within + added
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(between > 0, added / total, 0.0)
        observed = (
            0.0 if math.isinf(df_complete) else (df_complete + 3) / ((df_complete + 1) * df_complete * (1 - share))
        )
        df = np.where(between > 0, 1 / (share**2 / (m - 1) + observed), df_complete)
        increase = np.where(between > 0, added / within, 0.0)
        information = np.where(between > 0, share + (1 - share) * 2 / (df + 3), 0.0)
    return Pooled(estimate, np.sqrt(total), df, within, between, increase, information, m)


def pooled_estimate(
    statistic: str,
    estimates: ArrayLike,
    variances: ArrayLike,
    *,
    df_complete: float = math.inf,
    level: float = 0.95,
    method: str = "",
    **known: Any,
) -> Estimate:
    """Pool one number and give its t interval and p-value.

    Parameters
    ----------
    statistic, method, known
        Fields of the :class:`~respine.results.Estimate`; the method of one analysis, to which the pooling is added.
    estimates, variances
        Shape (m,): NaN where an imputed data set gave no estimate, which leaves the pooled one not estimable.
    df_complete, level
        As in :func:`pool`; confidence level.
    """
    q, u = np.asarray(estimates, float), np.asarray(variances, float)
    method = ", ".join(filter(None, [method, f"Rubin's rules over {len(q)} imputations, Barnard-Rubin df"]))
    failed = int(np.sum(~(np.isfinite(q) & np.isfinite(u))))
    if failed:
        return not_estimable(
            statistic, f"{failed} of {len(q)} imputed data sets gave no estimate", method=method, **known
        )
    pooled = pool(q, u, df_complete)
    value, se, df = float(pooled.estimate), float(pooled.se), float(pooled.df)
    if not (se > 0 and df > 0):
        note = "no variance within the imputed data sets: no interval"
        return Estimate(statistic=statistic, value=value, method=method, note=note, **known)
    half = float(stats.t.isf((1 - level) / 2, df)) * se
    return Estimate(
        statistic=statistic,
        value=value,
        lower=value - half,
        upper=value + half,
        level=level,
        p=float(2 * stats.t.sf(abs(value) / se, df)),
        se=se,
        # An infinite df cannot be stored; a normal interval has none.
        df=df if math.isfinite(df) else math.nan,
        method=method,
        **known,
    )
