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
from respine.stats.proportions import Floats, as_arm, crossings, restricted_risks_difference, wilson_limits


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

    Raises
    ------
    ValueError
        A response other than 0, 1 and missing, or an arm that is not given as True and False.

    Returns
    -------
    DataFrame
        Index: stratum, sorted; columns ``x_treatment``, ``n_treatment``, ``x_control``, ``n_control``.
    """
    y = pd.array(np.asarray(response), dtype="Float64").to_numpy(dtype=float, na_value=np.nan)
    if not np.isin(y[~np.isnan(y)], (0, 1)).all():
        raise ValueError("response holds values other than 0, 1 and missing")
    data = pd.DataFrame(
        {
            "y": y,
            "arm": np.where(as_arm(treated), "treatment", "control"),
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
    method: Literal["miettinen_nurminen", "newcombe", "sato"] = "miettinen_nurminen",
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
        the Cochran-Mantel-Haenszel test and the centre the Mantel-Haenszel estimate (SAS Viya's CL=MNMH).
        ``"newcombe"``: Yan and Su's hybrid of the stratified Wilson intervals (L, U) of the arms, lower limit
        :math:`\hat d - z\{\lambda_1 L_1 (1 - L_1) + \lambda_0 U_0 (1 - U_0)\}^{1/2}` and the upper alike, with
        :math:`\lambda_a = \sum_k w_k^2 / n_{ak}`, weights that sum to 1 (SAS's CL=NEWCOMBE). ``"sato"``: Wald interval
        with Sato's dually consistent variance, cut at -1 and 1, as SAS PROC FREQ's COMMONRISKDIFF.

    Returns
    -------
    Estimate
        Unit ``proportion``; ``p`` is the test that the interval inverts (Newcombe's inverts none). Not estimable where
        no stratum holds both arms.

    Notes
    -----
    Miettinen & Nurminen 1985, doi 10.1002/sim.4780040211; Yan & Su 2010, doi 10.1198/sbr.2009.0049; Sato 1989,
    Biometrics 45:1323-1324; Klingenberg 2014, doi 10.1002/sim.6122; Laud 2017, doi 10.1002/pst.1813.
    """
    names = {
        "miettinen_nurminen": "stratified Miettinen-Nurminen score interval, Mantel-Haenszel weights",
        "newcombe": "stratified Newcombe hybrid score interval (Yan-Su), Mantel-Haenszel weights",
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
    if method == "newcombe":
        lower, upper = _stratified_newcombe_limits(value, x1, n1, x0, n0, level)
        return Estimate(statistic="risk difference", value=value, lower=lower, upper=upper, note=note, **known)
    lower, upper = _stratified_score_limits(x1, n1, x0, n0, level)
    p = cochran_mantel_haenszel(x1, n1, x0, n0).p
    if np.isnan(p):
        note = "; ".join(filter(None, [note, "no test: the outcome varies in no stratum"]))
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
    if counts.ndim != 3 or not (counts >= 0).all():
        raise ValueError("tables holds counts, 0 or more, of shape (strata, rows, columns)")
    columns = np.arange(1.0, counts.shape[2] + 1) if scores is None else np.asarray(scores, dtype=float)
    if columns.shape != counts.shape[2:]:
        raise ValueError(f"{columns.size} scores for {counts.shape[2]} columns")
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
    # Rank and inverse from one decomposition and one threshold: rounding never counts as a degree of freedom.
    size, direction = np.linalg.eigh(V) if V.size else (np.zeros(0), np.zeros((0, 0)))
    held = size > 1e-10 * size.max(initial=0.0)
    df = int(held.sum())
    if df == 0:
        return not_estimable("p-value", "no stratum in which both arm and outcome vary", **known)
    p = float(special.chdtrc(df, float(((G @ direction[:, held]) ** 2 / size[held]).sum())))
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


def _stratified_newcombe_limits(
    value: float, x1: Floats, n1: Floats, x0: Floats, n0: Floats, level: float
) -> tuple[float, float]:
    weight = n1 * n0 / (n1 + n0)
    weight /= weight.sum()
    z = float(special.ndtri((1 + level) / 2))
    (low1, high1), (low0, high0) = (_stratified_wilson(x, n, weight, z) for x, n in ((x1, n1), (x0, n0)))
    share1, share0 = (weight**2 / n1).sum(), (weight**2 / n0).sum()
    below = z * np.sqrt(share1 * low1 * (1 - low1) + share0 * high0 * (1 - high0))
    above = z * np.sqrt(share1 * high1 * (1 - high1) + share0 * low0 * (1 - low0))
    return max(value - float(below), -1.0), min(value + float(above), 1.0)


def _stratified_wilson(x: Floats, n: Floats, weight: Floats, z: float) -> tuple[float, float]:
    """Weighted sums of Wilson limits at a quantile that makes them the limits of the weighted sum of the risks."""
    variance = x * (n - x) / n**3
    if not variance.any():
        # Without variation in any stratum the quantile is 0 / 0; that of equal risks is its limit.
        variance = 1 / n
    narrowed = z * np.sqrt((weight**2 * variance).sum()) / (weight * np.sqrt(variance)).sum()
    lower, upper = wilson_limits(x, n, float(narrowed))
    return float(weight @ lower), float(weight @ upper)


def _tables(x1: Floats, n1: Floats, x0: Floats, n0: Floats) -> Floats:
    """2 x 2 x K, rows the arms (treatment first), columns event and no event."""
    return np.array([[x1, n1 - x1], [x0, n0 - x0]])


def _informative(*counts: npt.ArrayLike) -> tuple[tuple[Floats, Floats, Floats, Floats], str]:
    """The four counts of the strata that hold both arms, and a note on the strata left out."""
    labels = counts[1].index if isinstance(counts[1], pd.Series) else None
    x1, n1, x0, n0 = (np.atleast_1d(np.asarray(c, dtype=float)) for c in counts)
    for x, n in ((x1, n1), (x0, n0)):
        if x.shape != n1.shape or n.shape != n1.shape or not ((x >= 0) & (x <= n)).all():
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
