"""Two arms compared within strata: Mantel-Haenszel methods, stratified score intervals, Cochran-Mantel-Haenszel tests.

The counts come as four arrays, one value a stratum; :func:`stratified_counts` makes them from participants, so that
``stratified_risk_difference(**stratified_counts(response, treated, country))`` is a whole analysis. Strata in which an
arm is empty carry no comparison: they are left out and named in the note. Page: ``docs/methods/proportions.md``.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import special
from statsmodels.stats.contingency_tables import StratifiedTable

from respine.results import Estimate, not_estimable
from respine.stats.proportions import Floats, crossings, restricted_risks_difference

_COUNTS = ("x_treatment", "n_treatment", "x_control", "n_control")


def stratified_counts(response: npt.ArrayLike, treated: npt.ArrayLike, stratum: npt.ArrayLike) -> pd.DataFrame:
    """Counts by stratum from participants.

    Parameters
    ----------
    response
        0 or 1 (or boolean) by participant; missing responses are left out.
    treated
        Whether the participant is in the treatment arm.
    stratum
        Stratum labels; missing labels are left out.

    Returns
    -------
    DataFrame
        Index: stratum, sorted; columns ``x_treatment``, ``n_treatment``, ``x_control``, ``n_control``.
    """
    data = pd.DataFrame(
        {
            "y": pd.array(np.asarray(response), dtype="Float64").to_numpy(dtype=float, na_value=np.nan),
            "arm": np.where(np.asarray(treated, dtype=bool), "treatment", "control"),
            "stratum": np.asarray(stratum),
        }
    ).dropna()
    grouped = data.groupby(["stratum", "arm"], observed=True)["y"].agg(["sum", "size"]).unstack("arm", fill_value=0)
    return pd.DataFrame(
        {
            f"{short}_{arm}": grouped[(long, arm)].astype(int) if (long, arm) in grouped else 0
            for arm in ("treatment", "control")
            for short, long in (("x", "sum"), ("n", "size"))
        },
        index=grouped.index,
    )


# --- effects ----------------------------------------------------------------------------------------------------------


def stratified_risk_difference(
    x_treatment: npt.ArrayLike,
    n_treatment: npt.ArrayLike,
    x_control: npt.ArrayLike,
    n_control: npt.ArrayLike,
    *,
    level: float = 0.95,
    method: Literal["miettinen_nurminen", "sato"] = "miettinen_nurminen",
) -> Estimate:
    r"""Common risk difference with Mantel-Haenszel weights :math:`w_k = n_{1k} n_{0k} / n_k`.

    .. math:: \hat d = \sum_k w_k \hat d_k \Big/ \sum_k w_k

    Parameters
    ----------
    x_treatment, n_treatment, x_control, n_control
        Participants with the event and participants, one value a stratum.
    level
        Confidence level.
    method
        ``"miettinen_nurminen"``: stratified score interval, all :math:`\delta` with
        :math:`|\sum_k w_k (\hat d_k - \delta)| \le z \{\sum_k w_k^2 \tilde V_k(\delta) n_k / (n_k - 1)\}^{1/2}`. The
        weights are Mantel-Haenszel's, not the iterated ones of the 1985 paper: at :math:`\delta = 0` the test is then
        the Cochran-Mantel-Haenszel test and the centre the Mantel-Haenszel estimate. ``"sato"``: Wald interval with
        Sato's dually consistent variance, as SAS PROC FREQ's COMMONRISKDIFF.

    Returns
    -------
    Estimate
        Unit ``proportion``; ``p`` belongs to the interval. Not estimable where no stratum holds both arms.

    Notes
    -----
    Miettinen & Nurminen 1985, doi 10.1002/sim.4780040211; Sato 1989, Biometrics 45:1323-1324; Klingenberg 2014,
    doi 10.1002/sim.6122; Laud 2017, doi 10.1002/pst.1813.
    """
    names = {
        "miettinen_nurminen": "stratified Miettinen-Nurminen score interval, Mantel-Haenszel weights",
        "sato": "Mantel-Haenszel risk difference, Sato variance, Wald interval",
    }
    (x1, n1, x0, n0), note = _informative(x_treatment, n_treatment, x_control, n_control)
    known = _known(n1, n0, level=level, method=names[method], unit="proportion")
    if not len(n1):
        return not_estimable("risk difference", "no stratum holds participants of both arms", **known)
    weight = n1 * n0 / (n1 + n0)
    value = float((weight * (x1 / n1 - x0 / n0)).sum() / weight.sum())
    if method == "sato":
        variance = _sato_variance(value, x1, n1, x0, n0)
        if variance <= 0:
            note = "; ".join(filter(None, [note, "no interval: the variance estimate is 0"]))
            return Estimate(statistic="risk difference", value=value, note=note, **known)
        se = float(np.sqrt(variance))
        z = special.ndtri((1 + level) / 2)
        known |= {"lower": max(value - z * se, -1.0), "upper": min(value + z * se, 1.0), "se": se}
        return Estimate(
            statistic="risk difference", value=value, p=float(2 * special.ndtr(-abs(value) / se)), note=note, **known
        )
    lower, upper = _stratified_score_limits(x1, n1, x0, n0, level)
    p = cochran_mantel_haenszel(x1, n1, x0, n0).p
    return Estimate(statistic="risk difference", value=value, lower=lower, upper=upper, p=p, note=note, **known)


def mantel_haenszel_odds_ratio(
    x_treatment: npt.ArrayLike,
    n_treatment: npt.ArrayLike,
    x_control: npt.ArrayLike,
    n_control: npt.ArrayLike,
    *,
    level: float = 0.95,
) -> Estimate:
    r"""Common odds ratio :math:`\sum_k a_k d_k / n_k \big/ \sum_k b_k c_k / n_k` (statsmodels).

    The interval is :math:`\exp(\log\hat\psi \pm z\,s)` with the Robins-Breslow-Greenland variance, ``p`` its Wald test.
    Infinite or without variation: not estimable; 0: no interval.

    Parameters
    ----------
    x_treatment, n_treatment, x_control, n_control
        Participants with the event and participants, one value a stratum.
    level
        Confidence level.

    Notes
    -----
    Robins, Breslow & Greenland 1986, doi 10.2307/2531052.
    """
    (x1, n1, x0, n0), note = _informative(x_treatment, n_treatment, x_control, n_control)
    method = "Mantel-Haenszel common odds ratio, Robins-Breslow-Greenland variance, log interval"
    known = _known(n1, n0, level=level, method=method)
    with_events = (x1 * (n0 - x0) / (n1 + n0)).sum(), (x0 * (n1 - x1) / (n1 + n0)).sum()
    if with_events == (0, 0):
        return not_estimable("odds ratio", "no stratum with both arms in which the outcome varies", **known)
    if with_events[1] == 0:
        return not_estimable("odds ratio", "the odds ratio is infinite", **known)
    if with_events[0] == 0:
        note = "; ".join(filter(None, [note, "no interval: the log odds ratio is infinite"]))
        return Estimate(statistic="odds ratio", value=0.0, note=note, **known)
    table = StratifiedTable(_tables(x1, n1, x0, n0))
    lower, upper = table.oddsratio_pooled_confint(alpha=1 - level)
    z = table.logodds_pooled / table.logodds_pooled_se
    return Estimate(
        statistic="odds ratio",
        value=float(table.oddsratio_pooled),
        lower=float(lower),
        upper=float(upper),
        p=float(2 * special.ndtr(-abs(z))),
        note=note,
        **known,
    )


# --- tests ------------------------------------------------------------------------------------------------------------


def cochran_mantel_haenszel(
    x_treatment: npt.ArrayLike, n_treatment: npt.ArrayLike, x_control: npt.ArrayLike, n_control: npt.ArrayLike
) -> Estimate:
    r"""Cochran-Mantel-Haenszel test of 2 x 2 x K tables, without continuity correction.

    .. math:: M^2 = \frac{\{\sum_k (x_{1k} - n_{1k} x_k / n_k)\}^2}
                         {\sum_k n_{1k} n_{0k} x_k (n_k - x_k) / \{n_k^2 (n_k - 1)\}} \sim \chi^2_1

    Parameters
    ----------
    x_treatment, n_treatment, x_control, n_control
        Participants with the event and participants, one value a stratum.

    Returns
    -------
    Estimate
        Statistic ``p-value`` (``value`` and ``p`` are the same number), df 1; the null hypothesis is no difference in
        any stratum. Not estimable where the outcome varies in no stratum with both arms.

    Notes
    -----
    Mantel & Haenszel 1959, doi 10.1093/jnci/22.4.719. With one stratum, Pearson's statistic times (n - 1) / n.
    """
    (x1, n1, x0, n0), note = _informative(x_treatment, n_treatment, x_control, n_control)
    known = _known(n1, n0, df=1.0, method="Cochran-Mantel-Haenszel test without continuity correction")
    n, x = n1 + n0, x1 + x0
    variance = (n1 * n0 * x * (n - x) / (n**2 * (n - 1))).sum()
    if variance == 0:
        return not_estimable("p-value", "no stratum with both arms in which the outcome varies", **known)
    p = float(special.chdtrc(1, (x1 - n1 * x / n).sum() ** 2 / variance))
    return Estimate(statistic="p-value", value=p, p=p, note=note, **known)


def breslow_day(
    x_treatment: npt.ArrayLike,
    n_treatment: npt.ArrayLike,
    x_control: npt.ArrayLike,
    n_control: npt.ArrayLike,
    *,
    tarone: bool = True,
) -> Estimate:
    r"""Breslow-Day test that the odds ratio is the same in all strata.

    :math:`\sum_k (x_{1k} - e_k)^2 / v_k`, with :math:`e_k` the count expected at the Mantel-Haenszel odds ratio and
    :math:`v_k` its asymptotic variance; Tarone's correction subtracts :math:`\{\sum_k (x_{1k} - e_k)\}^2 / \sum_k v_k`.
    Strata in which the outcome does not vary count neither in the sum nor in the degrees of freedom.

    Parameters
    ----------
    x_treatment, n_treatment, x_control, n_control
        Participants with the event and participants, one value a stratum.
    tarone
        Whether to apply Tarone's correction.

    Returns
    -------
    Estimate
        Statistic ``p-value``, df = informative strata - 1. Not estimable with fewer than two informative strata or
        where the common odds ratio is 0 or infinite.

    Notes
    -----
    Breslow & Day 1980, IARC Scientific Publications 32, section 4.4; Tarone 1985, doi 10.1093/biomet/72.1.91.
    """
    (x1, n1, x0, n0), note = _informative(x_treatment, n_treatment, x_control, n_control)
    method = "Breslow-Day test of a common odds ratio" + (" with Tarone's correction" if tarone else "")
    known = _known(n1, n0, method=method)
    varies = (x1 + x0 > 0) & (x1 + x0 < n1 + n0)
    x1, n1, x0, n0 = x1[varies], n1[varies], x0[varies], n0[varies]
    if len(x1) < 2:
        return not_estimable("p-value", "fewer than two strata in which the outcome varies", **known)
    n, x = n1 + n0, x1 + x0
    numerator, denominator = (x1 * (n0 - x0) / n).sum(), (x0 * (n1 - x1) / n).sum()
    if numerator == 0 or denominator == 0:
        return not_estimable("p-value", "the common odds ratio is 0 or infinite", **known)
    psi = numerator / denominator
    # The root of the quadratic in the form that stays exact as psi approaches 1.
    b = psi * (n1 + x) + n - n1 - x
    expected = 2 * psi * n1 * x / (b + np.sqrt(b**2 + 4 * (1 - psi) * psi * n1 * x))
    variance = 1 / (1 / expected + 1 / (n1 - expected) + 1 / (x - expected) + 1 / (n - n1 - x + expected))
    chi2 = ((x1 - expected) ** 2 / variance).sum()
    if tarone:
        chi2 -= (x1 - expected).sum() ** 2 / variance.sum()
    df = float(len(x1) - 1)
    p = float(special.chdtrc(df, max(chi2, 0.0)))
    return Estimate(statistic="p-value", value=p, p=p, df=df, note=note, **known)


def generalised_cmh(
    tables: npt.ArrayLike,
    *,
    alternative: Literal["general_association", "row_means"] = "general_association",
    scores: npt.ArrayLike | None = None,
) -> Estimate:
    r"""Generalised Cochran-Mantel-Haenszel test of K tables with R rows and C columns.

    .. math:: Q = G' V^{-1} G, \quad G = \sum_k B (n_k - m_k), \quad V = \sum_k B \Sigma_k B'

    with the multivariate hypergeometric mean :math:`m_k` and covariance :math:`\Sigma_k` of the cells.

    Parameters
    ----------
    tables
        Counts, shape (K, R, C): strata, arms (rows), outcome categories (columns).
    alternative
        ``"general_association"`` (both nominal, df (R - 1)(C - 1)) or ``"row_means"`` (ordered outcome, df R - 1).
    scores
        Scores of the columns for ``"row_means"``; by default 1, 2, ..., C (SAS's table scores).

    Returns
    -------
    Estimate
        Statistic ``p-value`` with its df (the rank of V). Rows and columns without participants and strata with fewer
        than two participants are left out. Not estimable where no stratum has variation in rows and columns.

    Notes
    -----
    Landis, Heyman & Koch 1978, doi 10.2307/1402373; Agresti 2013, section 8.4. R's ``mantelhaen.test`` gives the
    general association.
    """
    counts = np.asarray(tables, dtype=float)
    if counts.ndim != 3:
        raise ValueError(f"tables has shape {counts.shape}: (strata, rows, columns) are needed")
    columns = np.arange(1.0, counts.shape[2] + 1) if scores is None else np.asarray(scores, dtype=float)
    name = {"general_association": "general association", "row_means": "row mean scores differ"}[alternative]
    known: dict[str, Any] = {"n": int(counts.sum()), "method": f"generalised Cochran-Mantel-Haenszel test, {name}"}
    if counts.shape[1] == 2:
        known |= {"n_treatment": int(counts[:, 0].sum()), "n_control": int(counts[:, 1].sum())}
    kept = counts.sum(axis=(0, 1)) > 0
    counts = counts[counts.sum(axis=(1, 2)) > 1][:, counts.sum(axis=(0, 2)) > 0][:, :, kept]
    rows, levels = counts.shape[1:]
    contrast = np.eye(levels)[: levels - 1] if alternative == "general_association" else columns[kept][None]
    B = np.kron(np.eye(rows)[: rows - 1], contrast)
    G, V = np.zeros(len(B)), np.zeros((len(B), len(B)))
    for table in counts:
        n = table.sum()
        r, c = table.sum(axis=1) / n, table.sum(axis=0) / n
        G += B @ (table - n * np.outer(r, c)).ravel()
        covariance = np.kron(np.diag(r) - np.outer(r, r), np.diag(c) - np.outer(c, c)) * n**2 / (n - 1)
        V += B @ covariance @ B.T
    df = int(np.linalg.matrix_rank(V, hermitian=True)) if V.size else 0
    if df == 0:
        return not_estimable("p-value", "no stratum in which both arm and outcome vary", **known)
    p = float(special.chdtrc(df, float(G @ np.linalg.pinv(V, hermitian=True) @ G)))
    return Estimate(statistic="p-value", value=p, p=p, df=float(df), **known)


# --- parts ------------------------------------------------------------------------------------------------------------


def _sato_variance(value: float, x1: Floats, n1: Floats, x0: Floats, n0: Floats) -> float:
    n = n1 + n0
    P = (n1**2 * x0 - n0**2 * x1 + n1 * n0 * (n0 - n1) / 2) / n**2
    Q = (x1 * (n0 - x0) + x0 * (n1 - x1)) / (2 * n)
    return float((value * P.sum() + Q.sum()) / (n1 * n0 / n).sum() ** 2)


def _stratified_score_limits(x1: Floats, n1: Floats, x0: Floats, n0: Floats, level: float) -> tuple[float, float]:
    n = n1 + n0
    weight = n1 * n0 / n

    def score(difference: Floats) -> Floats:
        d = difference[..., None]
        risk1, risk0 = restricted_risks_difference(d, x1, n1, x0, n0)
        variance = (risk1 * (1 - risk1) / n1 + risk0 * (1 - risk0) / n0) * n / (n - 1)
        total = (weight * (x1 / n1 - x0 / n0 - d)).sum(axis=-1)
        with np.errstate(divide="ignore", invalid="ignore"):
            z = total / np.sqrt((weight**2 * variance).sum(axis=-1))
        return np.where(np.isnan(z), 0.0, z)

    lower, upper = crossings(score, np.array(-1.0), np.array(1.0), level)
    return float(lower), float(upper)


def _tables(x1: Floats, n1: Floats, x0: Floats, n0: Floats) -> Floats:
    """2 x 2 x K, rows the arms (treatment first), columns event and no event."""
    return np.array([[x1, n1 - x1], [x0, n0 - x0]])


def _informative(*counts: npt.ArrayLike) -> tuple[tuple[Floats, Floats, Floats, Floats], str]:
    """The four counts of the strata that hold both arms, and a note on the strata left out."""
    labels = counts[1].index if isinstance(counts[1], pd.Series) else None
    x1, n1, x0, n0 = (np.atleast_1d(np.asarray(c, dtype=float)) for c in counts)
    for x, n in ((x1, n1), (x0, n0)):
        if x.shape != n1.shape or n.shape != n1.shape or (x < 0).any() or (x > n).any():
            raise ValueError("the four counts are arrays of one length with 0 <= x <= n")
    kept = (n1 > 0) & (n0 > 0)
    note = ""
    if dropped := int((~kept).sum()):
        which = f" ({', '.join(str(s) for s in labels[~kept])})" if labels is not None else ""
        note = f"left out: {dropped} of {len(kept)} strata with one arm only{which}"
    return (x1[kept], n1[kept], x0[kept], n0[kept]), note


def _known(n1: Floats, n0: Floats, **fields: Any) -> dict[str, Any]:
    treatment, control = int(n1.sum()), int(n0.sum())
    return {"n": treatment + control, "n_treatment": treatment, "n_control": control, **fields}
