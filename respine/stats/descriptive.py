"""Descriptive statistics, standardised mean differences and two-sample mean differences."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from respine.results import Estimate, not_estimable
from respine.stats.linear import known, t_estimate


def summarize(values: ArrayLike, unit: str = "") -> dict[str, Estimate]:
    """Describe one sample.

    Returns
    -------
    dict
        ``n``, ``missing``, ``mean``, ``sd`` (divisor n - 1), ``median``, ``q1``, ``q3`` (quantiles of type 7: linear
        interpolation between order statistics, as R's and numpy's default), ``min``, ``max``. What cannot be computed
        (all but the counts without values, the SD of one value) is not estimable.

    References
    ----------
    Hyndman and Fan, American Statistician 1996;50:361-365 (types of quantiles).
    """
    x = known(values)
    n = len(x)
    counts = {
        "n": Estimate(statistic="count", value=n, n=n),
        "missing": Estimate(statistic="missing", value=len(pd.Series(values)) - n, n=n),
    }
    names = {"mean": "mean", "sd": "SD", "median": "median", "q1": "first quartile", "q3": "third quartile"}
    names |= {"min": "minimum", "max": "maximum"}
    if not n:
        return counts | {key: not_estimable(name, "no data", n=0, unit=unit) for key, name in names.items()}
    q1, median, q3 = np.quantile(x, [0.25, 0.5, 0.75])
    found = {"mean": x.mean(), "median": median, "q1": q1, "q3": q3, "min": x.min(), "max": x.max()}
    if n > 1:
        found["sd"] = x.std(ddof=1)
    return counts | {
        key: Estimate(statistic=name, value=float(found[key]), n=n, unit=unit)
        if key in found
        else not_estimable(name, "one value", n=n, unit=unit)
        for key, name in names.items()
    }


def mean(values: ArrayLike, level: float = 0.95, unit: str = "") -> Estimate:
    """Mean with its t interval, mean +- t(n - 1) SD / sqrt(n), and the p of the one-sample t-test against 0."""
    x = known(values)
    n = len(x)
    context: dict[str, Any] = {"n": n, "method": "mean, t interval", "unit": unit}
    if not n:
        return not_estimable("mean", "no data", **context)
    se = float(x.std(ddof=1)) / math.sqrt(n) if n > 1 else 0.0
    return t_estimate("mean", float(x.mean()), se, n - 1, level, **context)


def proportions(values: ArrayLike, levels: Sequence[Hashable]) -> dict[Hashable, Estimate]:
    """Share of each level among the known values; ``n`` is their number, ``value * n`` the count."""
    categories = pd.Series(values).dropna()
    n = len(categories)
    context: dict[str, Any] = {"n": n, "unit": "proportion"}
    return {
        level: Estimate(statistic="proportion", value=int((categories == level).sum()) / n, **context)
        if n
        else not_estimable("proportion", "no data", **context)
        for level in levels
    }


def mean_difference(
    treatment: ArrayLike, control: ArrayLike, level: float = 0.95, *, equal_variances: bool = False, unit: str = ""
) -> Estimate:
    """Difference of means, treatment - control, with t interval and test.

    Welch: SE = sqrt(s_t^2 / n_t + s_c^2 / n_c) with Welch-Satterthwaite degrees of freedom. With ``equal_variances``
    Student: pooled SD on n_t + n_c - 2.

    References
    ----------
    Welch, Biometrika 1947;34:28-35.
    """
    x, y = known(treatment), known(control)
    n_t, n_c = len(x), len(y)
    context: dict[str, Any] = {
        "n": n_t + n_c, "n_treatment": n_t, "n_control": n_c, "unit": unit,
        "method": "Student's t-test" if equal_variances else "Welch's t-test",
    }  # fmt: skip
    if not (n_t and n_c):
        return not_estimable("mean difference", "an arm has no data", **context)
    squares = np.array([((x - x.mean()) ** 2).sum(), ((y - y.mean()) ** 2).sum()])
    n = np.array([n_t, n_c])
    if equal_variances:
        df = float(n_t + n_c - 2)
        variance = squares.sum() / df * (1 / n).sum() if df else 0.0
    elif min(n_t, n_c) < 2:
        df, variance = 0.0, 0.0
    else:
        parts = squares / (n - 1) / n
        variance = parts.sum()
        df = float(variance**2 / (parts**2 / (n - 1)).sum()) if variance > 0 else float(n_t + n_c - 2)
    return t_estimate("mean difference", float(x.mean() - y.mean()), math.sqrt(variance), df, level, **context)


def smd(treatment: ArrayLike, control: ArrayLike) -> Estimate:
    """Standardised mean difference (mean_t - mean_c) / sqrt((s_t^2 + s_c^2) / 2), s with divisor n - 1.

    Positive: treatment larger. Missing values are left out.

    References
    ----------
    Austin, Statistics in Medicine 2009;28:3083-3107.
    """
    x, y = known(treatment), known(control)
    context: dict[str, Any] = {"n": len(x) + len(y), "n_treatment": len(x), "n_control": len(y)}
    if min(len(x), len(y)) < 2:
        return not_estimable("SMD", "fewer than two values in an arm", **context)
    spread = math.sqrt((x.var(ddof=1) + y.var(ddof=1)) / 2)
    if spread <= 1e-12 * max(np.abs(x).max(), np.abs(y).max()):
        return not_estimable("SMD", "the values do not vary within arms", **context)
    return Estimate(statistic="SMD", value=float(x.mean() - y.mean()) / spread, **context)


def smd_categorical(treatment: ArrayLike, control: ArrayLike) -> Estimate:
    """Standardised mean difference of a categorical variable (Yang and Dalton): never negative.

    d = sqrt((p_t - p_c)' S^-1 (p_t - p_c)) over all levels but one, S = (S_t + S_c) / 2 with
    S_a = diag(p_a) - p_a p_a' the multinomial covariance. For two levels it is |p_t - p_c| / sqrt of the mean of
    p (1 - p). Which level is left out does not matter; levels that nobody has are not in it.

    References
    ----------
    Yang and Dalton, SAS Global Forum 2012, paper 335.
    """
    x, y = pd.Series(treatment).dropna(), pd.Series(control).dropna()
    context: dict[str, Any] = {
        "n": len(x) + len(y), "n_treatment": len(x), "n_control": len(y), "method": "Yang-Dalton",
    }  # fmt: skip
    if x.empty or y.empty:
        return not_estimable("SMD", "an arm has no data", **context)
    levels = pd.Index(pd.unique(pd.concat([x.astype(object), y.astype(object)])))
    p = np.array([[(v.astype(object) == level).mean() for level in levels[1:]] for v in (x, y)])
    if np.array_equal(p[0], p[1]):
        return Estimate(statistic="SMD", value=0.0, **context)
    if not set(x) & set(y):
        return not_estimable("SMD", "the arms have no level in common", **context)
    S = (np.diag(p.sum(axis=0)) - p.T @ p) / 2
    difference = p[0] - p[1]
    return Estimate(statistic="SMD", value=math.sqrt(difference @ np.linalg.solve(S, difference)), **context)
