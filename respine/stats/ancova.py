"""Analysis of covariance at one visit, and Hedges' g."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
import statsmodels.api as sm
from numpy.typing import ArrayLike
from scipy.optimize import brentq
from scipy.special import chdtrc, chdtri, gammaln, ndtr

from respine.results import Estimate, not_estimable
from respine.stats.linear import (
    ARMS,
    FloatArray,
    adjustment,
    arm_indicators,
    complete_rows,
    full_rank,
    known,
    ls_estimate,
)


@dataclass(frozen=True, repr=False)
class AncovaResult:
    """LS means by arm and their difference, treatment - control.

    Parameters
    ----------
    residual_sd
        Residual standard deviation, NaN without residual degrees of freedom.
    n
        Participants in the fit.
    notes
        Terms that dropped out, fallbacks.
    """

    lsmeans: Mapping[str, Estimate]
    difference: Estimate
    residual_sd: float
    n: int
    notes: tuple[str, ...]

    def to_frame(self) -> pd.DataFrame:
        """Rows treatment, control and difference; columns arm and the fields of an Estimate."""
        rows = {**self.lsmeans, "difference": self.difference}
        return pd.DataFrame([{"arm": arm} | asdict(e) for arm, e in rows.items()])

    def __repr__(self) -> str:
        e = self.difference
        text = f"{e.value:.4g} [{e.lower:.4g}, {e.upper:.4g}], p = {e.p:.4g}" if e.estimable else e.note
        return f"AncovaResult(difference {text}, n = {self.n})"


def ancova(
    data: pd.DataFrame,
    outcome: str,
    arm: str,
    *,
    covariates: Sequence[str] = (),
    factors: Sequence[str] = (),
    level: float = 0.95,
    robust: Literal["HC3"] | None = None,
    unit: str = "",
) -> AncovaResult:
    """Ordinary least squares of outcome ~ arm + covariates + factors; LS means by emmeans' conventions.

    Parameters
    ----------
    data
        One row a participant; rows with a missing value in a named column are left out.
    outcome, arm, covariates, factors
        Column names. ``arm`` holds ``treatment`` and ``control``; covariates are numeric and stand at their mean over
        the rows fitted, factor levels have equal weights. A factor with one level drops out with a note.
    robust
        ``HC3``: heteroscedasticity-consistent variance (X'X)^-1 X' diag(e_i^2 / (1 - h_i)^2) X (X'X)^-1, otherwise
        s^2 (X'X)^-1; both with t intervals on the residual degrees of freedom. Where an observation has leverage
        h_i = 1, HC3 does not exist and the model-based variance is used, with a note.

    Returns
    -------
    AncovaResult
        The difference is treatment - control. An empty or confounded arm gives 'not estimable'.

    References
    ----------
    MacKinnon and White, Journal of Econometrics 1985;29:305-325 (HC3). Searle, Speed and Milliken, American
    Statistician 1980;34:216-221 (LS means).
    """
    rows = data[complete_rows(data, [outcome, *covariates, *factors], arm)]
    terms = adjustment(rows, factors, covariates)
    indicators = arm_indicators(rows[arm])
    n = dict(zip(ARMS, indicators.sum(axis=0).astype(int).tolist(), strict=True))
    lsmeans = np.hstack([np.eye(2), np.tile(terms.reference, (2, 1))])
    L = np.vstack([lsmeans, lsmeans[0] - lsmeans[1]])
    notes, reason = list(terms.notes), ""
    if len(rows):
        X = np.hstack([indicators, terms.columns])
        fit = _least_squares(rows[outcome].to_numpy(dtype=float), X, L, robust)
        notes += [fit.note] if fit.note else []
    else:
        nothing = np.full(3, np.nan)
        fit, reason = _LeastSquares(nothing, nothing, math.nan, math.nan, robust), "no data"
    adjusted = ", ".join([*covariates, *factors])
    method = f"ANCOVA adjusted for {adjusted}" if adjusted else "linear model of the arm alone"
    context = {"method": method + f", {fit.robust} standard errors" * bool(fit.robust), "unit": unit}
    *means, difference = (
        ls_estimate(
            kind,
            float(fit.value[i]),
            float(fit.se[i]),
            fit.df,
            n,
            level,
            reason=reason,
            note="; ".join(notes),
            **context,
        )
        for i, kind in enumerate((*ARMS, "difference"))
    )
    return AncovaResult(dict(zip(ARMS, means, strict=True)), difference, fit.residual_sd, len(rows), tuple(notes))


@dataclass(frozen=True)
class _LeastSquares:
    value: FloatArray
    se: FloatArray
    df: float
    residual_sd: float
    robust: str | None
    note: str = ""


def _least_squares(y: FloatArray, X: FloatArray, L: FloatArray, robust: str | None) -> _LeastSquares:
    """Estimates and standard errors of the rows of L; NaN where not estimable, zero where nothing is left to vary."""
    basis = full_rank(X)
    note = ""
    if robust and np.einsum("ij,ij->i", basis.Q, basis.Q).max() > 1 - 1e-10:
        robust, note = None, "HC3 does not exist (an observation has leverage one): model-based standard errors"
    fit = sm.OLS(y, X[:, basis.kept]).fit(cov_type=robust or "nonrobust", use_t=True)
    L_kept = L[:, basis.kept]
    value = np.where(basis.estimable(L), L_kept @ fit.params, np.nan)
    df = float(fit.df_resid)
    if df <= 0 or np.abs(fit.resid).max() <= 1e-10 * np.abs(y).max():
        return _LeastSquares(value, np.zeros(len(L)), df, math.nan, robust, note)
    se = np.sqrt(np.einsum("ci,ij,cj->c", L_kept, fit.cov_params(), L_kept))
    return _LeastSquares(value, se, df, math.sqrt(fit.ssr / df), robust, note)


def hedges_g(treatment: ArrayLike, control: ArrayLike, level: float = 0.95) -> Estimate:
    """Hedges' g: the standardised mean difference without small-sample bias.

    g = J (mean_t - mean_c) / s, s the pooled standard deviation on m = n_t + n_c - 2 degrees of freedom, with the exact
    J = Gamma(m / 2) / (sqrt(m / 2) Gamma((m - 1) / 2)). Limits: J times those of the exact interval for the population
    effect, delta such that t = (mean_t - mean_c) / (s sqrt(1/n_t + 1/n_c)) is the upper or lower (1 - level) / 2
    quantile of a non-central t with non-centrality delta / sqrt(1/n_t + 1/n_c). Positive: treatment larger.

    Parameters
    ----------
    treatment, control
        Values; missing ones are left out.

    References
    ----------
    Hedges, Journal of Educational Statistics 1981;6:107-128. Steiger and Fouladi 1997 (interval by inversion).
    """
    x, y = known(treatment), known(control)
    n_t, n_c = len(x), len(y)
    context: dict[str, Any] = {
        "n": n_t + n_c, "n_treatment": n_t, "n_control": n_c,
        "method": "Hedges' g, exact correction, interval by inversion of the non-central t",
    }  # fmt: skip
    if min(n_t, n_c) < 1 or n_t + n_c < 4:
        return not_estimable("Hedges' g", "fewer than four values or an empty arm", **context)
    m = n_t + n_c - 2
    pooled = math.sqrt((((x - x.mean()) ** 2).sum() + ((y - y.mean()) ** 2).sum()) / m)
    if pooled <= 1e-12 * max(np.abs(x).max(), np.abs(y).max()):
        return not_estimable("Hedges' g", "the values do not vary within arms", **context)
    d = float(x.mean() - y.mean()) / pooled
    unit = math.sqrt(1 / n_t + 1 / n_c)
    correction = math.exp(gammaln(m / 2) - gammaln((m - 1) / 2)) / math.sqrt(m / 2)
    lower, upper = (correction * unit * _noncentrality(d / unit, m, q) for q in ((1 + level) / 2, (1 - level) / 2))
    return Estimate(statistic="Hedges' g", value=correction * d, lower=lower, upper=upper, level=level, df=m, **context)


def _noncentrality(t: float, df: float, probability: float) -> float:
    """The non-centrality at which P(T <= t) = probability."""
    # P falls from about 1 to 0 over this reach, also on 2 degrees of freedom.
    reach = 10 + 5 * abs(t)
    return float(brentq(lambda delta: _nct_cdf(t, df, delta) - probability, t - reach, t + reach, xtol=1e-11))


_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(120)


def _nct_cdf(t: float, df: float, delta: float) -> float:
    """P(T <= t) of the non-central t, T = (Z + delta) / S, Z standard normal, S^2 = chi^2 / df.

    Own quadrature, because scipy's ``nct.cdf`` is NaN at scattered arguments. Of the two ways to condition, on S and on
    Z, the one is taken whose integrand is the smoother.
    """
    if t < 0:
        return 1 - _nct_cdf(-t, df, -delta)
    if t <= math.sqrt(2 * df):  # E_S Phi(t S - delta)
        low, high = max(0.0, 1 - 9 / math.sqrt(2 * df)), math.sqrt(chdtri(df, 1e-17) / df)
        s = (low + high) / 2 + (high - low) / 2 * _NODES
        log_density = math.log(2) + df / 2 * math.log(df / 2) - gammaln(df / 2) + (df - 1) * np.log(s) - df * s**2 / 2
        return float(_WEIGHTS @ (np.exp(log_density) * ndtr(t * s - delta)) * (high - low) / 2)
    low, high = max(-delta, -9.0), 9.0  # E_Z P(S >= (Z + delta) / t)
    if low >= high:
        return 1.0
    z = (low + high) / 2 + (high - low) / 2 * _NODES
    density = np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)
    return float(ndtr(-delta) + _WEIGHTS @ (density * chdtrc(df, df * ((z + delta) / t) ** 2)) * (high - low) / 2)
