"""Proportions and their comparison between two arms, from counts.

Every function takes whole counts: ``x`` participants with the event among ``n``. Differences are treatment - control,
ratios treatment / control. Page: ``docs/methods/proportions.md``.

An infinite limit cannot be printed or stored; it is NaN, and the note says on which side the interval is open.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, cast

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import optimize, special, stats
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

from respine.results import NAN, Estimate, not_estimable

Floats = npt.NDArray[np.float64]

ProportionMethod = Literal["clopper_pearson", "wilson"]
DifferenceMethod = Literal["miettinen_nurminen", "mee", "newcombe"]
RatioMethod = Literal["miettinen_nurminen", "koopman", "katz"]
OddsMethod = Literal["exact", "wald"]
Test = Literal["pearson", "yates", "likelihood_ratio", "wald", "wald_log_odds", "fisher", "fisher_midp", "boschloo"]

TESTS: dict[Test, str] = {
    "pearson": "Pearson chi-squared test without continuity correction",
    "yates": "Pearson chi-squared test with Yates continuity correction",
    "likelihood_ratio": "likelihood-ratio chi-squared test",
    "wald": "Wald z-test of the risk difference, unpooled variance",
    "wald_log_odds": "Wald z-test of the log odds ratio (logistic regression)",
    "fisher": "Fisher exact test, two-sided over the tables no likelier than the observed one",
    "fisher_midp": "Fisher mid-p test: likelier tables none, equally likely tables half",
    "boschloo": "Boschloo exact unconditional test (scipy), two-sided as twice the smaller one-sided p-value",
}
"""The tests of two proportions and how a methods section names them."""

_CHI_SQUARED = ("pearson", "yates", "likelihood_ratio")
_DIFFERENCE_METHODS: dict[DifferenceMethod, str] = {
    "miettinen_nurminen": "Miettinen-Nurminen score interval with variance factor n/(n-1)",
    "mee": "Mee score interval",
    "newcombe": "Newcombe hybrid score interval",
}
_RATIO_METHODS: dict[RatioMethod, str] = {
    "miettinen_nurminen": "Miettinen-Nurminen score interval with variance factor n/(n-1)",
    "koopman": "Koopman score interval",
    "katz": "Katz log interval",
}
_NO_TEST = "no test: the outcome is the same in all participants"
_LARGEST_LOG_RATIO = 50.0
_LARGEST_LOG_ODDS = 100.0
LARGEST_BOSCHLOO = 250_000
"""Tables possible, (n_treatment + 1) (n_control + 1), up to which Boschloo's test is computed: it weighs every one."""


# --- single proportions -----------------------------------------------------------------------------------------------


def proportion(x: int, n: int, *, level: float = 0.95, method: ProportionMethod = "clopper_pearson") -> Estimate:
    r"""One proportion, :math:`x / n`, with a confidence interval.

    Parameters
    ----------
    x, n
        Participants with the event, participants.
    level
        Confidence level.
    method
        ``"clopper_pearson"`` (exact, beta quantiles) or ``"wilson"`` (score, no continuity correction).

    Returns
    -------
    Estimate
        Unit ``proportion``; not estimable where ``n`` is 0.

    Notes
    -----
    Clopper & Pearson 1934, doi 10.1093/biomet/26.4.404; Wilson 1927, doi 10.1080/01621459.1927.10502953.
    """
    x, n = _whole(x, "x"), _whole(n, "n")
    _check_count(x, n, "x", "n")
    name = {"clopper_pearson": "Clopper-Pearson exact interval", "wilson": "Wilson score interval"}[method]
    known: dict[str, Any] = {"n": n, "level": level, "method": name, "unit": "proportion"}
    if n == 0:
        return not_estimable("proportion", "no participants", **known)
    _z(level)  # refuses what is no level
    library = {"clopper_pearson": "beta", "wilson": "wilson"}[method]
    lower, upper = proportion_confint(x, n, alpha=1 - level, method=library)
    # The limits at 0 and n are exact by definition; floating point may miss them by one unit.
    return Estimate(
        statistic="proportion",
        value=x / n,
        lower=0.0 if x == 0 else float(lower),
        upper=1.0 if x == n else float(upper),
        **known,
    )


def wilson_limits(x: npt.ArrayLike, n: npt.ArrayLike, z: float) -> tuple[Floats, Floats]:
    """Wilson limits at a normal quantile, of many proportions at once; arguments broadcast."""
    x, n = _broadcast(x, n)
    centre, half = (x + z**2 / 2) / (n + z**2), z / (n + z**2) * np.sqrt(x * (n - x) / n + z**2 / 4)
    return np.where(x == 0, 0.0, centre - half), np.where(x == n, 1.0, centre + half)


# --- two proportions: effects -----------------------------------------------------------------------------------------


def risk_difference(
    x_treatment: int,
    n_treatment: int,
    x_control: int,
    n_control: int,
    *,
    level: float = 0.95,
    method: DifferenceMethod = "miettinen_nurminen",
) -> Estimate:
    r"""Risk difference :math:`x_1/n_1 - x_0/n_0` with a score-type interval.

    Parameters
    ----------
    x_treatment, n_treatment, x_control, n_control
        Participants with the event and participants, by arm.
    level
        Confidence level.
    method
        ``"miettinen_nurminen"``: all :math:`\delta` with
        :math:`|\hat d - \delta| \le z \sqrt{\tilde V(\delta) n / (n - 1)}`, the variance at the restricted
        maximum-likelihood risks. ``"mee"``: the same without :math:`n / (n - 1)`. ``"newcombe"``: hybrid of the two
        Wilson intervals (Newcombe's method 10).

    Returns
    -------
    Estimate
        Unit ``proportion``, in [-1, 1]. For the two score methods ``p`` is the test that the interval inverts, at 0;
        Newcombe's interval inverts none. Not estimable where an arm is empty.

    Notes
    -----
    Miettinen & Nurminen 1985, doi 10.1002/sim.4780040211; Mee 1984, Biometrics 40:1175-1176; Newcombe 1998,
    doi 10.1002/(SICI)1097-0258(19980430)17:8<873::AID-SIM779>3.0.CO;2-I.
    """
    counts = _two_arms(x_treatment, n_treatment, x_control, n_control)
    known = _known(counts, level=level, method=_DIFFERENCE_METHODS[method], unit="proportion")
    if reason := _empty_arm(counts):
        return not_estimable("risk difference", reason, **known)
    x1, n1, x0, n0 = counts
    p = NAN
    if method == "newcombe":
        lower, upper = confint_proportions_2indep(x1, n1, x0, n0, compare="diff", method="newcomb", alpha=1 - level)
    else:
        corrected = method == "miettinen_nurminen"
        lower, upper = score_difference_limits(x1, n1, x0, n0, level=level, bias_correction=corrected)
        p = float(score_difference_p(x1, n1, x0, n0, bias_correction=corrected))
    return Estimate(
        statistic="risk difference",
        value=x1 / n1 - x0 / n0,
        lower=float(lower),
        upper=float(upper),
        p=p,
        note=_NO_TEST if x1 + x0 in (0, n1 + n0) and method != "newcombe" else "",
        **known,
    )


def risk_ratio(
    x_treatment: int,
    n_treatment: int,
    x_control: int,
    n_control: int,
    *,
    level: float = 0.95,
    method: RatioMethod = "miettinen_nurminen",
) -> Estimate:
    r"""Risk ratio :math:`(x_1/n_1) / (x_0/n_0)`.

    Parameters
    ----------
    x_treatment, n_treatment, x_control, n_control
        Participants with the event and participants, by arm.
    level
        Confidence level.
    method
        ``"miettinen_nurminen"`` and ``"koopman"`` invert the score test of :math:`p_1 = \theta p_0`, with and without
        the factor n/(n-1); ``"katz"`` is :math:`\exp(\log\hat\theta \pm z \sqrt{1/x_1 - 1/n_1 + 1/x_0 - 1/n_0})`.

    Returns
    -------
    Estimate
        Without events under control the ratio is infinite: not estimable, but the score methods still give its lower
        limit. Without events under treatment it is 0, with lower limit 0. Without any event: not estimable.

    Notes
    -----
    Koopman 1984, doi 10.2307/2531405; Katz et al. 1978, doi 10.2307/2530610; Miettinen & Nurminen 1985.
    """
    counts = _two_arms(x_treatment, n_treatment, x_control, n_control)
    known = _known(counts, level=level, method=_RATIO_METHODS[method])
    x1, n1, x0, n0 = counts
    reason = _empty_arm(counts) or ("no event in either arm" if x1 + x0 == 0 else "")
    if reason:
        return not_estimable("risk ratio", reason, **known)
    if method == "katz":
        return _katz(counts, level, known)
    corrected = method == "miettinen_nurminen"
    lower, upper = (float(v) for v in _score_ratio_limits(x1, n1, x0, n0, level, corrected))
    p = float(score_difference_p(x1, n1, x0, n0, bias_correction=corrected))
    if x0 == 0:
        return not_estimable(
            "risk ratio", "no event in the control arm; the interval has no upper limit", lower=lower, p=p, **known
        )
    note = _NO_TEST if x1 + x0 == n1 + n0 else ""
    return Estimate(
        statistic="risk ratio", value=(x1 / n1) / (x0 / n0), lower=lower, upper=upper, p=p, note=note, **known
    )


def odds_ratio(
    x_treatment: int,
    n_treatment: int,
    x_control: int,
    n_control: int,
    *,
    level: float = 0.95,
    method: OddsMethod = "exact",
) -> Estimate:
    r"""Odds ratio.

    Parameters
    ----------
    x_treatment, n_treatment, x_control, n_control
        Participants with the event and participants, by arm.
    level
        Confidence level.
    method
        ``"exact"``: conditional maximum likelihood under Fisher's noncentral hypergeometric distribution, with the
        exact tail interval and the two-sided Fisher p-value, as R's ``fisher.test``. ``"wald"``: the sample odds ratio
        :math:`x_1 (n_0 - x_0) / (x_0 (n_1 - x_1))` with :math:`\exp(\log\hat\psi \pm z \sqrt{\sum 1/n_{ij}})`.

    Returns
    -------
    Estimate
        An infinite odds ratio is not estimable; the exact method still gives its lower limit. Without variation in the
        outcome: not estimable. The Wald interval needs four non-zero cells and gets no continuity correction.

    Notes
    -----
    Agresti 2013, Categorical Data Analysis, 3rd ed., section 16.6.4; Cornfield 1956.
    """
    counts = _two_arms(x_treatment, n_treatment, x_control, n_control)
    name = {"exact": "conditional maximum likelihood, exact interval", "wald": "sample odds ratio, Wald interval"}
    known = _known(counts, level=level, method=name[method])
    x1, n1, x0, n0 = counts
    reason = _empty_arm(counts) or ("the outcome is the same in all participants" if x1 + x0 in (0, n1 + n0) else "")
    if reason:
        return not_estimable("odds ratio", reason, **known)
    if method == "wald":
        return _wald_odds_ratio(counts, level, known)
    value, lower, upper = _conditional_odds_ratio(counts, level)
    p = float(p_values(x1, n1, x0, n0, test="fisher"))
    if np.isnan(value):
        reason = "the odds ratio is infinite; the interval has no upper limit"
        return not_estimable("odds ratio", reason, lower=lower, p=p, **known)
    return Estimate(statistic="odds ratio", value=value, lower=lower, upper=upper, p=p, **known)


def _conditional_odds_ratio(counts: tuple[int, int, int, int], level: float) -> tuple[float, float, float]:
    """Conditional estimate and exact limits; 0 and NaN at the open ends.

    Roots in the log odds ratio over Fisher's noncentral hypergeometric probabilities of all tables with the margins
    observed: scipy's ``contingency.odds_ratio`` gives the same but takes 8 s for 50,000 an arm.
    """
    x1, n1, x0, n0 = counts
    events = x1 + x0
    table = np.arange(max(0, events - n0), min(n1, events) + 1, dtype=float)
    base = _log_choose(np.asarray(n1, dtype=float), table) + _log_choose(np.asarray(n0, dtype=float), events - table)

    def root(distance: Callable[[Floats], float]) -> float:
        def at(log_odds: float) -> float:
            log_weight = base + table * log_odds
            weight = np.exp(log_weight - log_weight.max())
            return distance(weight / weight.sum())

        return float(np.exp(optimize.brentq(at, -_LARGEST_LOG_ODDS, _LARGEST_LOG_ODDS, xtol=1e-13)))

    first, last = x1 == table[0], x1 == table[-1]
    tail = (1 - level) / 2
    value = 0.0 if first else NAN if last else root(lambda p: float(p @ table) - x1)
    lower = 0.0 if first else root(lambda p: float(p[table >= x1].sum()) - tail)
    upper = NAN if last else root(lambda p: float(p[table <= x1].sum()) - tail)
    return value, lower, upper


def _katz(counts: tuple[int, int, int, int], level: float, known: dict[str, Any]) -> Estimate:
    x1, n1, x0, n0 = counts
    if x0 == 0:
        return not_estimable("risk ratio", "no event in the control arm", **known)
    ratio = (x1 / n1) / (x0 / n0)
    if x1 == 0:
        note = "no event in the treatment arm: the log interval does not exist"
        return Estimate(statistic="risk ratio", value=0.0, note=note, **known)
    se = float(np.sqrt(1 / x1 - 1 / n1 + 1 / x0 - 1 / n0))
    if se == 0:
        note = "every participant has the event: the log interval does not exist"
        return Estimate(statistic="risk ratio", value=1.0, note=note, **known)
    lower, upper = ratio * np.exp(np.array([-1, 1]) * _z(level) * se)
    p = float(2 * special.ndtr(-abs(np.log(ratio)) / se))
    return Estimate(statistic="risk ratio", value=ratio, lower=float(lower), upper=float(upper), p=p, **known)


def _wald_odds_ratio(counts: tuple[int, int, int, int], level: float, known: dict[str, Any]) -> Estimate:
    x1, n1, x0, n0 = counts
    cells = np.array([x1, n1 - x1, x0, n0 - x0])
    if cells[1] * cells[2] == 0:
        return not_estimable("odds ratio", "the odds ratio is infinite", **known)
    ratio = float(cells[0] * cells[3] / (cells[1] * cells[2]))
    if ratio == 0:
        note = "a cell of the table is empty: the log interval does not exist"
        return Estimate(statistic="odds ratio", value=0.0, note=note, **known)
    lower, upper = ratio * np.exp(np.array([-1, 1]) * _z(level) * np.sqrt((1 / cells).sum()))
    p = float(p_values(x1, n1, x0, n0, test="wald_log_odds"))
    return Estimate(statistic="odds ratio", value=ratio, lower=float(lower), upper=float(upper), p=p, **known)


# --- two proportions: tests -------------------------------------------------------------------------------------------


def compare_proportions(
    x_treatment: int, n_treatment: int, x_control: int, n_control: int, *, test: Test = "pearson"
) -> Estimate:
    """Two-sided test that two proportions are equal.

    Parameters
    ----------
    x_treatment, n_treatment, x_control, n_control
        Participants with the event and participants, by arm.
    test
        A key of :data:`TESTS`.

    Returns
    -------
    Estimate
        Statistic ``p-value``: ``value`` and ``p`` are the same number; ``df`` is 1 for the chi-squared tests. Not
        estimable where an arm is empty, or where the statistic has no variance (Fisher and Boschloo then give 1).
        Boschloo's test is not computed beyond :data:`LARGEST_BOSCHLOO` possible tables (500 participants an arm).

    Notes
    -----
    Boschloo 1970, doi 10.1111/j.1467-9574.1970.tb00104.x; Lancaster 1961 (mid-p), doi 10.1080/01621459.1961.10482105.
    """
    counts = _two_arms(x_treatment, n_treatment, x_control, n_control)
    known = _known(counts, method=TESTS[test], df=1.0 if test in _CHI_SQUARED else NAN)
    if reason := _empty_arm(counts):
        return not_estimable("p-value", reason, **known)
    if test == "boschloo" and (counts[1] + 1) * (counts[3] + 1) > LARGEST_BOSCHLOO:
        reason = f"Boschloo's test weighs every possible table, here more than {LARGEST_BOSCHLOO:,}; see Pearson's test"
        return not_estimable("p-value", reason, **known)
    p = float(p_values(*counts, test=test))
    if np.isnan(p):
        return not_estimable("p-value", "the test statistic has no variance in this table", **known)
    return Estimate(statistic="p-value", value=p, p=p, **known)


def p_values(
    x_treatment: npt.ArrayLike,
    n_treatment: npt.ArrayLike,
    x_control: npt.ArrayLike,
    n_control: npt.ArrayLike,
    *,
    test: Test,
) -> Floats:
    """Two-sided p-values of many tables at once; arguments broadcast; NaN where the statistic has no variance.

    The tests are those of :data:`TESTS`. Fisher's p-value sums the hypergeometric probabilities that do not exceed the
    observed one by more than the relative 1e-7 that R's ``fisher.test`` allows. All but Boschloo's are vectorised;
    Boschloo's is NaN beyond :data:`LARGEST_BOSCHLOO` possible tables.
    """
    x1, n1, x0, n0 = _broadcast(x_treatment, n_treatment, x_control, n_control)
    same_outcome = (x1 + x0 == 0) | (x1 + x0 == n1 + n0)
    if test == "fisher":
        return _fisher_p(x1, n1, x0, n0, equal_share=1.0)
    if test == "fisher_midp":
        return np.where(same_outcome, NAN, _fisher_p(x1, n1, x0, n0, equal_share=0.5))
    if test == "boschloo":
        return _boschloo_p(x1, n1, x0, n0)
    observed = np.stack([x1, n1 - x1, x0, n0 - x0])
    with np.errstate(divide="ignore", invalid="ignore"):
        if test == "wald":
            risk1, risk0 = x1 / n1, x0 / n0
            z = (risk1 - risk0) / np.sqrt(risk1 * (1 - risk1) / n1 + risk0 * (1 - risk0) / n0)
            return np.where(np.isinf(z), NAN, 2 * special.ndtr(-np.abs(z)))
        if test == "wald_log_odds":
            z = np.log(observed[0] * observed[3] / (observed[1] * observed[2])) / np.sqrt((1 / observed).sum(axis=0))
            return cast(Floats, 2 * special.ndtr(-np.abs(z)))
        rate = (x1 + x0) / (n1 + n0)
        expected = np.stack([n1 * rate, n1 * (1 - rate), n0 * rate, n0 * (1 - rate)])
        if test == "likelihood_ratio":
            terms = special.xlogy(observed, observed / expected)
            chi2 = 2 * np.where(observed > 0, terms, 0.0).sum(axis=0)
            chi2 = np.where(same_outcome, NAN, np.maximum(chi2, 0.0))
        else:
            distance = np.abs(observed - expected)
            if test == "yates":
                # As R and scipy: the correction never overshoots the expected count.
                distance = distance - np.minimum(0.5, distance)
            chi2 = (distance**2 / expected).sum(axis=0)
    return cast(Floats, special.chdtrc(1, chi2))


def _fisher_p(x1: Floats, n1: Floats, x0: Floats, n0: Floats, *, equal_share: float) -> Floats:
    """Less likely tables plus ``equal_share`` of the equally likely ones, the observed one among them."""
    events = x1 + x0
    table = np.arange(n1.max(initial=0) + 1).reshape(-1, *(1,) * x1.ndim)
    possible = (table <= np.minimum(n1, events)) & (table >= events - n0)
    with np.errstate(invalid="ignore"):
        log_p = np.where(possible, _log_choose(n1, table) + _log_choose(n0, events - table), -np.inf)
    log_p = log_p - _log_choose(n1 + n0, events)
    observed = np.take_along_axis(log_p, x1.astype(int)[None], axis=0)
    probability = np.exp(log_p)
    less = log_p < observed - 1e-7
    equal = (np.abs(log_p - observed) <= 1e-7) & possible
    total = (probability * less).sum(axis=0) + equal_share * (probability * equal).sum(axis=0)
    return cast(Floats, np.minimum(total, 1.0))


def _log_choose(n: Floats, k: Floats) -> Floats:
    return cast(Floats, special.gammaln(n + 1) - special.gammaln(k + 1) - special.gammaln(n - k + 1))


def _boschloo_p(x1: Floats, n1: Floats, x0: Floats, n0: Floats) -> Floats:
    p = np.full(x1.shape, NAN)
    for i in np.ndindex(x1.shape):
        if (n1[i] + 1) * (n0[i] + 1) > LARGEST_BOSCHLOO:
            continue
        table = [[int(x1[i]), int(x0[i])], [int(n1[i] - x1[i]), int(n0[i] - x0[i])]]
        p[i] = stats.boschloo_exact(table).pvalue
    return p


# --- score methods ----------------------------------------------------------------------------------------------------


def restricted_risks_difference(
    difference: npt.ArrayLike,
    x_treatment: npt.ArrayLike,
    n_treatment: npt.ArrayLike,
    x_control: npt.ArrayLike,
    n_control: npt.ArrayLike,
) -> tuple[Floats, Floats]:
    r"""Maximum-likelihood risks (treatment, control) under :math:`p_1 - p_0 = \delta`; arguments broadcast.

    The control risk is the root in [max(0, -d), min(1, 1 - d)] of the cubic of Miettinen & Nurminen 1985 (appendix),
    in its trigonometric form.
    """
    d, x1, n1, x0, n0 = (
        np.asarray(v, dtype=float) for v in (difference, x_treatment, n_treatment, x_control, n_control)
    )
    n, x = n1 + n0, x1 + x0
    c2 = (n1 + 2 * n0) * d - n - x
    c1 = (n0 * d - n - 2 * x0) * d + x
    c0 = x0 * d * (1 - d)
    shift = c2 / (3 * n)
    v = shift**3 - c1 * c2 / (6 * n**2) + c0 / (2 * n)
    u = np.where(v >= 0, 1.0, -1.0) * np.sqrt(np.maximum(shift**2 - c1 / (3 * n), 0.0))
    with np.errstate(divide="ignore", invalid="ignore"):
        cosine = np.where(u == 0, 1.0, np.clip(v / u**3, -1.0, 1.0))
    control = 2 * u * np.cos((np.pi + np.arccos(cosine)) / 3) - shift
    control = np.clip(control, np.maximum(0.0, -d), np.minimum(1.0, 1 - d))
    return np.clip(control + d, 0.0, 1.0), control


def score_difference_limits(
    x_treatment: npt.ArrayLike,
    n_treatment: npt.ArrayLike,
    x_control: npt.ArrayLike,
    n_control: npt.ArrayLike,
    *,
    level: float = 0.95,
    bias_correction: bool = True,
) -> tuple[Floats, Floats]:
    """Miettinen-Nurminen (``bias_correction``) or Mee limits of many risk differences at once; arguments broadcast."""
    x1, n1, x0, n0 = _broadcast(x_treatment, n_treatment, x_control, n_control)

    def score(difference: Floats) -> Floats:
        risk1, risk0 = restricted_risks_difference(difference, x1, n1, x0, n0)
        variance = (risk1 * (1 - risk1) / n1 + risk0 * (1 - risk0) / n0) * _bias_factor(n1 + n0, bias_correction)
        return _standardise(x1 / n1 - x0 / n0 - difference, variance)

    return crossings(score, np.full(x1.shape, -1.0), np.ones(x1.shape), level)


def score_difference_p(
    x_treatment: npt.ArrayLike,
    n_treatment: npt.ArrayLike,
    x_control: npt.ArrayLike,
    n_control: npt.ArrayLike,
    *,
    bias_correction: bool = True,
) -> Floats:
    """Two-sided p-value of the score test of no difference: with ``bias_correction`` Pearson's statistic x (n - 1) / n.

    It is the test that the Miettinen-Nurminen and Mee (or Koopman) intervals invert. NaN without variation.
    """
    x1, n1, x0, n0 = _broadcast(x_treatment, n_treatment, x_control, n_control)
    rate = (x1 + x0) / (n1 + n0)
    with np.errstate(divide="ignore", invalid="ignore"):
        variance = rate * (1 - rate) * (1 / n1 + 1 / n0) * _bias_factor(n1 + n0, bias_correction)
        return cast(Floats, 2 * special.ndtr(-np.abs((x1 / n1 - x0 / n0) / np.sqrt(variance))))


def _score_ratio_limits(
    x_treatment: int, n_treatment: int, x_control: int, n_control: int, level: float, bias_correction: bool
) -> tuple[Floats, Floats]:
    """Limits of the risk ratio by inverting the score test; 0 and NaN at the open ends."""
    x1, n1, x0, n0 = _broadcast(x_treatment, n_treatment, x_control, n_control)
    x, n = x1 + x0, n1 + n0

    def score(log_ratio: Floats) -> Floats:
        ratio = np.exp(log_ratio)
        b = x1 + x0 * ratio + n1 * ratio + n0
        # The smaller root of the quadratic in the form that loses no digits.
        risk0 = 2 * x / (b + np.sqrt(np.maximum(b**2 - 4 * n * ratio * x, 0.0)))
        risk0 = np.minimum(risk0, np.minimum(1.0, 1 / ratio))
        risk1 = np.minimum(ratio * risk0, 1.0)
        variance = risk1 * (1 - risk1) / n1 + ratio**2 * risk0 * (1 - risk0) / n0
        return _standardise(x1 / n1 - ratio * x0 / n0, variance * _bias_factor(n, bias_correction))

    ends = np.full(x1.shape, _LARGEST_LOG_RATIO)
    lower, upper = crossings(score, -ends, ends, level)
    return np.where(x1 == 0, 0.0, np.exp(lower)), np.where(x0 == 0, NAN, np.exp(upper))


def crossings(score: Callable[[Floats], Floats], left: Floats, right: Floats, level: float) -> tuple[Floats, Floats]:
    """Where a decreasing score passes +z and -z: the confidence limits, by bisection to the last bit.

    Bisection, because at the ends of the parameter space the score jumps and may never cross: the end is then the
    limit. ``score`` gets an array with one axis more than ``left``: both limits are sought at once.
    """
    z = _z(level)
    target = np.array([z, -z]).reshape(2, *(1,) * left.ndim)
    low, high = np.stack([left, left]), np.stack([right, right])
    for _ in range(64):
        middle = (low + high) / 2
        above = score(middle) > target
        low, high = np.where(above, middle, low), np.where(above, high, middle)
    lower, upper = (low + high) / 2
    return lower, upper


def _standardise(distance: Floats, variance: Floats) -> Floats:
    """Distance over its standard error; infinite with the distance's sign where the variance is 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        z = distance / np.sqrt(variance)
    return np.where(np.isnan(z), 0.0, z)


def _bias_factor(n: Floats, bias_correction: bool) -> Floats:
    return n / (n - 1) if bias_correction else np.ones_like(n)


# --- arguments --------------------------------------------------------------------------------------------------------


def _z(level: float) -> float:
    if not 0 < level < 1:
        raise ValueError(f"level {level}: a confidence level lies between 0 and 1")
    return float(special.ndtri((1 + level) / 2))


def as_arm(treated: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """Whether each participant is in the treatment arm, from booleans or 0 and 1; labels and gaps are refused.

    numpy would take every non-empty label, and a missing value, for true.
    """
    values = pd.Series(np.asarray(treated))
    if not values.isin([0, 1]).all():
        raise ValueError("treated holds values other than True and False (1 and 0)")
    return cast("npt.NDArray[np.bool_]", values.to_numpy(dtype=bool))


def _whole(value: float, name: str) -> int:
    if not np.isfinite(value) or value != int(value) or value < 0:
        raise ValueError(f"{name} = {value}: a count is a whole number, 0 or more")
    return int(value)


def _check_count(x: int, n: int, x_name: str, n_name: str) -> None:
    if x > n:
        raise ValueError(f"{x_name} = {x} exceeds {n_name} = {n}")


def _two_arms(x_treatment: int, n_treatment: int, x_control: int, n_control: int) -> tuple[int, int, int, int]:
    x1, n1 = _whole(x_treatment, "x_treatment"), _whole(n_treatment, "n_treatment")
    x0, n0 = _whole(x_control, "x_control"), _whole(n_control, "n_control")
    _check_count(x1, n1, "x_treatment", "n_treatment")
    _check_count(x0, n0, "x_control", "n_control")
    return x1, n1, x0, n0


def _empty_arm(counts: tuple[int, int, int, int]) -> str:
    """The reason why two arms cannot be compared, or an empty text."""
    empty = [arm for arm, n in (("treatment", counts[1]), ("control", counts[3])) if n == 0]
    return f"no participants in the {' and the '.join(empty)} arm" if empty else ""


def _known(counts: tuple[int, int, int, int], **fields: Any) -> dict[str, Any]:
    return {"n": counts[1] + counts[3], "n_treatment": counts[1], "n_control": counts[3], **fields}


def _broadcast(*values: npt.ArrayLike) -> tuple[Floats, ...]:
    return tuple(np.broadcast_arrays(*(np.asarray(v, dtype=float) for v in values)))
