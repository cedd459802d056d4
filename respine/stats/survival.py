"""Time to event: Kaplan-Meier, log-rank, Cox regression and restricted mean survival time for two arms.

Times are in one unit throughout (months, say), ``event`` is true where the event happened and false where follow-up
ended without it, ``treatment`` is true in the treatment arm and false in control. Participants without a time (or, in a
stratified analysis, a stratum) are left out; ``n`` counts the others. Ratios are treatment / control, differences
treatment - control.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from lifelines import CoxPHFitter, KaplanMeierFitter
from numpy.typing import ArrayLike, NDArray
from scipy import stats
from statsmodels.duration.survfunc import survdiff

from respine.results import NAN, Estimate, not_estimable

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
Transform = Literal["km", "identity", "rank", "log"]

# A survival probability is a product of ratios: 0.5 may come out as 0.5 - 1e-16.
_TIE = 1e-9


@dataclass(frozen=True)
class KaplanMeier:
    """The product-limit curve of one group.

    Attributes
    ----------
    curve
        One row a distinct time, time 0 first: ``time``, ``at_risk`` (just before it), ``events``, ``censored`` (at it),
        ``survival``, ``lower``, ``upper`` (pointwise, log-log; missing where the curve is 0).
    median
        Time at which the curve reaches one half, with its interval.
    n, events
        Participants, and those with the event.
    level
        Confidence level.
    """

    curve: pd.DataFrame
    median: Estimate
    n: int
    events: int
    level: float

    def to_frame(self) -> pd.DataFrame:
        """The curve."""
        return self.curve

    def survival_at(self, time: float) -> Estimate:
        """Probability of no event up to ``time``; not estimable after the last follow-up unless the curve is 0."""
        statistic, method = "survival probability", "Kaplan-Meier, log-log interval"
        if self.n == 0:
            return not_estimable(statistic, "no participants", n=0, method=method)
        reached = self.curve[self.curve["time"] <= time + _TIE].iloc[-1]
        if time > self.curve["time"].iloc[-1] + _TIE and reached["survival"] > 0:
            return not_estimable(statistic, "after the last follow-up", n=self.n, method=method, unit="proportion")
        return Estimate(
            statistic=statistic,
            value=float(reached["survival"]),
            lower=float(reached["lower"]),
            upper=float(reached["upper"]),
            level=self.level,
            n=self.n,
            method=method,
            unit="proportion",
        )


@dataclass(frozen=True)
class RestrictedMean:
    """Restricted mean survival time to ``tau`` by arm, and the two contrasts."""

    tau: float
    treatment: Estimate
    control: Estimate
    difference: Estimate
    ratio: Estimate


def kaplan_meier(time: ArrayLike, event: ArrayLike, level: float = 0.95) -> KaplanMeier:
    r"""Product-limit estimate of one group (lifelines).

    .. math:: \hat S(t) = \prod_{t_j \le t} \Bigl(1 - \frac{d_j}{n_j}\Bigr), \qquad
              \widehat{\operatorname{Var}}\,\hat S(t) = \hat S(t)^2 \sum_{t_j \le t} \frac{d_j}{n_j (n_j - d_j)}

    The interval is symmetric on the :math:`\log(-\log S)` scale. The median is the midpoint of the segment on which the
    curve is exactly one half, else the first time below it; its limits are the medians of the limits (Brookmeyer and
    Crowley). Both are the conventions of R's ``survfit(conf.type = "log-log")``.

    Parameters
    ----------
    time, event
        Shape (n,): follow-up time >= 0, and whether it ended with the event.
    level
        Confidence level.
    """
    time, event = _observed(time, event)
    if not len(time):
        empty = pd.DataFrame(
            columns=["time", "at_risk", "events", "censored", "survival", "lower", "upper"], dtype=float
        )
        return KaplanMeier(empty, not_estimable("median survival time", "no participants", n=0), 0, 0, level)
    # lifelines changes numpy's error state for the whole process; errstate puts it back.
    with np.errstate(all="ignore"):
        fit = KaplanMeierFitter(alpha=1 - level).fit(time, event)
    table = fit.event_table
    survival = fit.survival_function_.to_numpy()[:, 0]
    limits = fit.confidence_interval_.to_numpy()
    limits[survival < _TIE] = NAN
    curve = pd.DataFrame(
        {
            "time": table.index.to_numpy(float),
            "at_risk": table["at_risk"].to_numpy(int),
            "events": table["observed"].to_numpy(int),
            "censored": table["censored"].to_numpy(int),
            "survival": survival,
            "lower": limits[:, 0],
            "upper": limits[:, 1],
        }
    )
    return KaplanMeier(curve, _median(curve, len(time), level), len(time), int(event.sum()), level)


def numbers_at_risk(time: ArrayLike, at: ArrayLike) -> NDArray[np.int64]:
    """Participants still followed and free of the event just before each time of ``at``: those with ``time`` >= it."""
    followed = np.sort(np.asarray(time, float))
    followers: NDArray[np.int64] = len(followed) - np.searchsorted(followed, np.reshape(at, -1) - _TIE)
    return followers


def log_rank(time: ArrayLike, event: ArrayLike, treatment: ArrayLike, strata: ArrayLike | None = None) -> Estimate:
    r"""Log-rank test of equal hazards, stratified if ``strata`` is given (statsmodels' ``survdiff``).

    .. math:: \chi^2_1 = \frac{\bigl(\sum_s (O_s - E_s)\bigr)^2}{\sum_s V_s}

    with the observed and expected events of one arm and the hypergeometric variance, summed over event times and
    strata.

    Returns
    -------
    Estimate
        Chi-square on one degree of freedom as ``value``, with its ``p``.
    """
    data = _Arms.of(time, event, treatment, strata)
    method = "stratified log-rank test" if strata is not None else "log-rank test"
    reason = data.no_comparison()
    if reason is None and not data.informative().any():
        reason = "no event while both arms were at risk"
    if reason is not None:
        return not_estimable("log-rank chi-square", reason, method=method, **data.counts())
    # A stratum in which only one arm is present says nothing about the difference, and survdiff cannot take it.
    keep = np.isin(data.stratum, [s for s in np.unique(data.stratum) if data.both_arms(s)])
    try:
        chi_square, p = survdiff(
            data.time[keep], data.event[keep].astype(int), data.treatment[keep].astype(int), strata=data.stratum[keep]
        )
    except np.linalg.LinAlgError:
        # Everybody at risk has the event at the one event time: nothing is left to chance.
        return not_estimable("log-rank chi-square", "the events have no variance", method=method, **data.counts())
    return Estimate(
        statistic="log-rank chi-square", value=float(chi_square), p=float(p), df=1, method=method, **data.counts()
    )


def hazard_ratio(
    time: ArrayLike, event: ArrayLike, treatment: ArrayLike, strata: ArrayLike | None = None, level: float = 0.95
) -> Estimate:
    r"""Hazard ratio, treatment / control, from Cox regression on arm with Efron's handling of ties (lifelines).

    .. math:: h(t \mid \text{arm}) = h_{0s}(t)\, e^{\beta\,[\text{arm = treatment}]}, \qquad
              e^{\hat\beta \pm z\,\mathrm{se}(\hat\beta)}

    Not estimable where the likelihood has no maximum: every event that happened while both arms were at risk
    happened in the same arm.

    Returns
    -------
    Estimate
        Ratio with Wald interval and p; ``se`` is that of the log hazard ratio.
    """
    data = _Arms.of(time, event, treatment, strata)
    method = "Cox regression, Efron ties" + (", stratified" if strata is not None else "")
    reason = data.no_hazard_ratio()
    if reason is not None:
        return not_estimable("hazard ratio", reason, method=method, **data.counts())
    beta, se = _fit_cox(data)
    half = stats.norm.isf((1 - level) / 2) * se
    return Estimate(
        statistic="hazard ratio",
        value=math.exp(beta),
        lower=math.exp(beta - half),
        upper=math.exp(beta + half),
        level=level,
        p=float(2 * stats.norm.sf(abs(beta) / se)),
        se=se,
        method=method,
        **data.counts(),
    )


def proportional_hazards(
    time: ArrayLike,
    event: ArrayLike,
    treatment: ArrayLike,
    strata: ArrayLike | None = None,
    transform: Transform = "km",
) -> Estimate:
    r"""Score test that the log hazard ratio does not change with :math:`g(t)` (Grambsch and Therneau 1994).

    The model :math:`\beta + \theta\,(g(t) - \bar g)` is tested for :math:`\theta = 0` at the Cox estimate. With the
    Schoenfeld residuals :math:`r_j` and information :math:`v_j` of the event times :math:`t_j` (Efron ties),

    .. math:: \chi^2_1 = \frac{\bigl(\sum_j g_j r_j\bigr)^2}
              {\sum_j g_j^2 v_j - \bigl(\sum_j g_j v_j\bigr)^2 / \sum_j v_j}

    This is ``cox.zph`` of R's survival 3, exact where the older test (that of lifelines) takes every :math:`v_j`
    as equal.

    Parameters
    ----------
    transform
        :math:`g`: ``"km"`` (1 - Kaplan-Meier of all participants just before t, R's default), ``"identity"``,
        ``"rank"``, ``"log"``.

    Returns
    -------
    Estimate
        Chi-square on one degree of freedom as ``value``, with its ``p``.
    """
    data = _Arms.of(time, event, treatment, strata)
    statistic, method = (
        "proportional-hazards chi-square",
        f"score test on scaled Schoenfeld residuals, {transform} time",
    )
    reason = data.no_hazard_ratio()
    if reason is None and transform == "log" and data.time.min() <= 0:
        reason = "log time needs times above 0"
    if reason is not None:
        return not_estimable(statistic, reason, method=method, **data.counts())
    beta, _ = _fit_cox(data)
    residual, information = _schoenfeld(data, beta)
    times = data.event_times["time"].to_numpy()
    g = _time_scale(data, transform)(times)
    g = g - np.average(g, weights=information)
    variance = float(np.sum(g**2 * information))
    if variance <= 1e-12 * float(np.sum(information)):
        return not_estimable(statistic, "all informative events at one time", method=method, **data.counts())
    chi_square = float(np.sum(g * residual)) ** 2 / variance
    return Estimate(
        statistic=statistic,
        value=chi_square,
        p=float(stats.chi2.sf(chi_square, 1)),
        df=1,
        method=method,
        **data.counts(),
    )


def restricted_mean(time: ArrayLike, event: ArrayLike, tau: float, level: float = 0.95, unit: str = "") -> Estimate:
    r"""Restricted mean survival time of one group, the area under its Kaplan-Meier curve to ``tau``.

    .. math:: \hat\mu_\tau = \int_0^\tau \hat S(t)\,dt, \qquad
              \widehat{\operatorname{Var}} = \sum_{t_j \le \tau} A_j^2 \frac{d_j}{n_j (n_j - d_j)}, \quad
              A_j = \int_{t_j}^\tau \hat S(t)\,dt

    (Greenwood type, as R's ``survfit``; lifelines' own variance is that of min(T, tau), not of the estimate.) Not
    estimable if ``tau`` lies after the last follow-up while the curve is above 0: it would have to be extrapolated.
    """
    if not tau > 0:
        raise ValueError("tau must be above 0")
    method = f"restricted mean to {tau:g}, Greenwood variance"
    fit = kaplan_meier(time, event, level)
    known: dict[str, Any] = {"n": fit.n, "method": method, "unit": unit}
    statistic = "restricted mean survival time"
    if fit.n == 0:
        return not_estimable(statistic, "no participants", **known)
    last = fit.curve.iloc[-1]
    if tau > last["time"] + _TIE and last["survival"] > _TIE:
        return not_estimable(statistic, f"last follow-up at {last['time']:.1f} is before {tau:g}", **known)
    value, variance = _area(fit.curve, tau)
    if variance == 0:
        note = f"no variance before {tau:g}, no interval"
        return Estimate(statistic=statistic, value=value, se=0.0, note=note, **known)
    se = math.sqrt(variance)
    half = stats.norm.isf((1 - level) / 2) * se
    return Estimate(
        statistic=statistic, value=value, lower=value - half, upper=value + half, level=level, se=se, **known
    )


def compare_restricted_means(
    time: ArrayLike, event: ArrayLike, treatment: ArrayLike, tau: float, level: float = 0.95, unit: str = ""
) -> RestrictedMean:
    r"""Restricted mean survival time by arm, difference and ratio.

    .. math:: \hat\mu_1 - \hat\mu_0 \pm z\sqrt{v_1 + v_0}, \qquad
              \exp\Bigl(\log\frac{\hat\mu_1}{\hat\mu_0} \pm z\sqrt{v_1/\hat\mu_1^2 + v_0/\hat\mu_0^2}\Bigr)

    The p-values are of z = estimate / standard error; ``se`` of the ratio is that of its logarithm.
    """
    data = _Arms.of(time, event, treatment)
    treated, controls = (
        restricted_mean(data.time[which], data.event[which], tau, level, unit)
        for which in (data.treatment, ~data.treatment)
    )
    known: dict[str, Any] = data.counts() | {"method": treated.method}
    names = ("difference in restricted mean survival time", "ratio of restricted mean survival times")
    for name, arm in (("treatment", treated), ("control", controls)):
        if not arm.estimable:
            reason = f"{name}: {arm.note.removeprefix('not estimable: ')}"
            difference, ratio = (not_estimable(statistic, reason, **known) for statistic in names)
            return RestrictedMean(tau, treated, controls, difference, ratio)
    (m1, s1), (m0, s0) = (treated.value, treated.se), (controls.value, controls.se)
    difference = _wald(names[0], m1 - m0, math.hypot(s1, s0), level, **known, unit=unit)
    if min(m1, m0) <= 0:
        return RestrictedMean(
            tau, treated, controls, difference, not_estimable(names[1], "a restricted mean of 0", **known)
        )
    log_ratio = _wald(names[1], math.log(m1 / m0), math.hypot(s1 / m1, s0 / m0), level, **known)
    ratio = log_ratio.replace(
        value=math.exp(log_ratio.value), lower=math.exp(log_ratio.lower), upper=math.exp(log_ratio.upper)
    )
    return RestrictedMean(tau, treated, controls, difference, ratio)


def interval_censored_survival(left: ArrayLike, right: ArrayLike) -> pd.DataFrame:
    r"""Non-parametric maximum-likelihood survival from interval-censored times (Turnbull 1976).

    A response seen at a visit happened in (left, right]: after the last visit without it and not after the visit that
    showed it. Self-consistency: :math:`p_j \leftarrow \frac1n \sum_i \frac{\alpha_{ij} p_j}{\sum_k \alpha_{ik} p_k}`,
    where :math:`\alpha_{ij}` says that interval j lies inside participant i's.

    Parameters
    ----------
    left, right
        Shape (n,): ``right`` is infinite where the event was not seen; ``left`` < ``right``.

    Returns
    -------
    DataFrame
        One row an interval that holds probability: ``left``, ``right``, ``probability``, ``survival`` (after
        ``right``); within an interval the curve is not determined. Empty without participants.
    """
    lower, upper = np.asarray(left, float), np.asarray(right, float)
    known = ~(np.isnan(lower) | np.isnan(upper))
    if (lower[known] >= upper[known]).any():
        raise ValueError("left must be before right")
    intervals, participants = np.unique(np.column_stack([lower, upper])[known], axis=0, return_counts=True)
    lower, upper = intervals.T
    # Only an interval that begins at some left limit and ends at the next right limit can hold probability.
    starts = np.unique(lower)
    ends = np.array([upper[upper > s].min() for s in starts])
    support = np.array([not ((starts > s) & (starts < e)).any() for s, e in zip(starts, ends, strict=True)], dtype=bool)
    starts, ends = starts[support], ends[support]
    inside = (lower[:, None] <= starts) & (ends <= upper[:, None])
    probability = np.full(len(starts), 1 / max(len(starts), 1))
    for _ in range(100_000):
        share = inside * probability
        updated = participants @ (share / share.sum(axis=1, keepdims=True)) / max(participants.sum(), 1)
        converged = np.abs(updated - probability).max(initial=0) < 1e-12
        probability = updated
        if converged:
            break
    survival = np.clip(1 - np.cumsum(probability), 0, 1)
    return pd.DataFrame({"left": starts, "right": ends, "probability": probability, "survival": survival})


@dataclass(frozen=True)
class _Arms:
    """Checked arrays of both arms."""

    time: FloatArray
    event: BoolArray
    treatment: BoolArray
    stratum: NDArray[np.int64]

    @classmethod
    def of(cls, time: ArrayLike, event: ArrayLike, treatment: ArrayLike, strata: ArrayLike | None = None) -> _Arms:
        times = np.asarray(time, float)
        stratum = np.zeros(len(times), int) if strata is None else pd.factorize(np.asarray(strata))[0]
        known = ~np.isnan(times) & (stratum >= 0)
        observed_time, observed_event = _observed(times[known], np.asarray(event)[known])
        arm = _truth("treatment", np.asarray(treatment)[known])
        return cls(observed_time, observed_event, arm, stratum[known])

    @property
    def event_times(self) -> pd.DataFrame:
        """At-risk and event counts by arm, one row a stratum and distinct event time."""
        tables = []
        for stratum in np.unique(self.stratum):
            inside = self.stratum == stratum
            table = {"time": np.unique(self.time[inside & self.event])}
            for arm, members in enumerate((inside & ~self.treatment, inside & self.treatment)):
                table[f"n{arm}"] = numbers_at_risk(self.time[members], table["time"])
                happened = np.sort(self.time[members & self.event])
                table[f"d{arm}"] = np.diff(np.searchsorted(happened, np.append(table["time"], math.inf)))
            tables.append(pd.DataFrame(table))
        return pd.concat(tables, ignore_index=True)

    def counts(self) -> dict[str, Any]:
        n1 = int(self.treatment.sum())
        return {"n": len(self.time), "n_treatment": n1, "n_control": len(self.time) - n1}

    def both_arms(self, stratum: int) -> bool:
        arm = self.treatment[self.stratum == stratum]
        return bool(arm.any() and not arm.all())

    def informative(self) -> BoolArray:
        """Which event times have participants of both arms at risk."""
        table = self.event_times
        return ((table["n0"] > 0) & (table["n1"] > 0)).to_numpy(bool)

    def no_comparison(self) -> str | None:
        """Why the arms cannot be compared at all."""
        if self.treatment.all() or not self.treatment.any():
            return "an arm has no participants"
        return None if self.event.any() else "no events"

    def no_hazard_ratio(self) -> str | None:
        """Why the partial likelihood has no maximum."""
        reason = self.no_comparison()
        if reason is not None:
            return reason
        events = self.event_times[self.informative()]
        if events.empty:
            return "no event while both arms were at risk"
        for name, column in (("treatment", "d1"), ("control", "d0")):
            if not events[column].sum():
                return f"no event in {name} while both arms were at risk"
        return None


def _observed(time: ArrayLike, event: ArrayLike) -> tuple[FloatArray, BoolArray]:
    times = np.asarray(time, float)
    known = ~np.isnan(times)
    if (times[known] < 0).any():
        raise ValueError("times must not be negative")
    return times[known], _truth("event", np.asarray(event)[known])


def _truth(name: str, values: Any) -> BoolArray:
    """Values as booleans; neither a missing value nor another coding (1 and 2, say) passes for true."""
    if len(values) and not pd.Series(values).isin([0, 1]).all():
        raise ValueError(f"{name} holds values other than true and false")
    return np.asarray(values, dtype=bool)


def _median(curve: pd.DataFrame, n: int, level: float) -> Estimate:
    statistic, method = "median survival time", "Kaplan-Meier, log-log interval"
    times = curve["time"].to_numpy()
    # The limits stay where they were when the curve reaches 0.
    value, lower, upper = (_first_half(times, curve[c].ffill().to_numpy()) for c in ("survival", "lower", "upper"))
    if math.isnan(value):
        known: dict[str, Any] = {"n": n, "method": method} | ({} if math.isnan(lower) else {"level": level})
        return not_estimable(statistic, "the curve stays above one half", lower=lower, **known)
    missing = [name for name, limit in (("lower", lower), ("upper", upper)) if math.isnan(limit)]
    note = f"{' and '.join(missing)} limit not reached" if missing else ""
    return Estimate(
        statistic=statistic, value=value, lower=lower, upper=upper, level=level, n=n, method=method, note=note
    )


def _first_half(times: FloatArray, survival: FloatArray) -> float:
    at = times[survival <= 0.5 + _TIE]
    below = times[survival < 0.5 - _TIE]
    if not len(at):
        return NAN
    return float((at[0] + below[0]) / 2) if len(below) else float(at[0])


def _fit_cox(data: _Arms) -> tuple[float, float]:
    frame = pd.DataFrame(
        {"time": data.time, "event": data.event, "treatment": data.treatment.astype(float), "stratum": data.stratum}
    )
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        # lifelines guesses at separation from variances; no_hazard_ratio has already decided it.
        warnings.simplefilter("ignore")
        # Its defaults stop where the likelihood changes by 1e-9, which leaves the sixth digit of the coefficient open.
        options = {"precision": 1e-15, "r_precision": 1e-16}
        fit = CoxPHFitter().fit(frame, "time", "event", strata=["stratum"], fit_options=options)
    return float(fit.params_["treatment"]), float(fit.standard_errors_["treatment"])


def _schoenfeld(data: _Arms, beta: float) -> tuple[FloatArray, FloatArray]:
    """Summed Schoenfeld residual and information of the arm effect at each event time, Efron ties."""
    table = data.event_times
    residual, information = np.zeros(len(table)), np.zeros(len(table))
    for j, (n0, n1, d0, d1) in enumerate(table[["n0", "n1", "d0", "d1"]].to_numpy()):
        tied = np.arange(d0 + d1) / (d0 + d1)
        w1, w0 = math.exp(beta) * (n1 - tied * d1), n0 - tied * d0
        share = w1 / (w1 + w0)
        residual[j] = d1 - share.sum()
        information[j] = (share * (1 - share)).sum()
    return residual, information


def _time_scale(data: _Arms, transform: Transform) -> Any:
    if transform == "identity":
        return lambda t: t
    if transform == "log":
        return np.log
    if transform == "rank":
        rank = pd.Series(stats.rankdata(data.time), index=data.time)
        rank = rank[~rank.index.duplicated()]
        return lambda t: rank.loc[t].to_numpy()
    curve = kaplan_meier(data.time, data.event).curve
    before = np.concatenate([[1.0], curve["survival"].to_numpy()])
    return lambda t: 1 - before[np.searchsorted(curve["time"].to_numpy(), t, side="left")]


def _area(curve: pd.DataFrame, tau: float) -> tuple[float, float]:
    """Area under the curve to tau, and its Greenwood variance."""
    inside = curve[curve["time"] < tau]
    times, survival = inside["time"].to_numpy(), inside["survival"].to_numpy()
    pieces = survival * np.diff(np.append(times, tau))
    after = np.cumsum(pieces[::-1])[::-1]
    n, d = inside["at_risk"].to_numpy(float), inside["events"].to_numpy(float)
    # Where everybody at risk has the event the curve, and with it the area after, is 0.
    hazard = np.divide(d, n * (n - d), out=np.zeros_like(n), where=n > d)
    return float(pieces.sum()), float(np.sum(after**2 * hazard))


def _wald(statistic: str, value: float, se: float, level: float, **known: Any) -> Estimate:
    if se == 0:
        return Estimate(statistic=statistic, value=value, se=0.0, note="no variance, no interval", **known)
    half = stats.norm.isf((1 - level) / 2) * se
    p = float(2 * stats.norm.sf(abs(value) / se))
    return Estimate(
        statistic=statistic, value=value, lower=value - half, upper=value + half, level=level, p=p, se=se, **known
    )
