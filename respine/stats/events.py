"""Events that a participant may have more than once: counts, incidence rates and risk differences by group of events.

The functions take one row an event. Columns are named by the caller, the arms by role (``treatment``, ``control``);
an event whose arm is missing is nobody's in the analysis set and is left out. Participants are counted once at every
level: overall, in each class, in each term of a class.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats
from statsmodels.stats.multitest import multipletests

from respine.results import NAN, Estimate, not_estimable
from respine.stats.proportions import p_values, proportion, risk_difference

ARMS = ("treatment", "control")
UNKNOWN = "unknown"
"""What a missing severity, class or term is called: no event may drop out of a level."""


def summarise_events(
    events: pd.DataFrame,
    participants: Mapping[str, int],
    exposure: Mapping[str, float],
    by: Sequence[str] = (),
    *,
    subject: str = "USUBJID",
    arm: str = "ARM",
    per: float = 100,
    level: float = 0.95,
) -> pd.DataFrame:
    """Participants with an event, events, and exposure-adjusted incidence rate, by arm and level.

    Parameters
    ----------
    events
        One row an event; only those to be counted (treatment-emergent, serious, ...).
    participants, exposure
        By arm: participants of the analysis set, and their time at risk (participant-years).
    by
        Nested grouping columns from wide to narrow: system organ class, preferred term.
    subject, arm
        Columns that hold the participant and the arm.
    per
        Unit of time of the rate: events per ``per`` participant-years.
    level
        Confidence level of the Garwood interval.

    Returns
    -------
    DataFrame
        One row a level and arm: ``depth`` (0 overall, 1 the first column of ``by``, ...), the columns of ``by`` (empty
        above their level), ``arm``, ``participants`` (with at least one event), ``events``, ``n`` (of the set),
        ``proportion``, ``exposure``, ``rate``, ``lower``, ``upper``. Each group occurs for both arms, the commonest
        (participants of both arms, then events, then name) first. Without participants or exposure the proportion or
        rate is missing.
    """
    counted = _at_every_level(events, by, arm)
    counts = counted.groupby([*_keys(by), "arm"])[subject].agg(["nunique", "size"]).reset_index()
    counts = counts.rename(columns={"nunique": "participants", "size": "events"})
    table = _groups(counted, by, subject).merge(pd.DataFrame({"arm": ARMS}), how="cross")
    table = _fill(table, counts, ["participants", "events"], participants)
    table["exposure"] = table["arm"].map(dict(exposure)).astype(float)
    time = table["exposure"].where(table["exposure"] > 0).to_numpy() / per
    lower, upper = _garwood(table["events"].to_numpy(float), level)
    table["rate"], table["lower"], table["upper"] = table["events"] / time, lower / time, upper / time
    return table


def worst_severity(
    events: pd.DataFrame,
    participants: Mapping[str, int],
    severity: str,
    order: Sequence[str],
    by: Sequence[str] = (),
    *,
    subject: str = "USUBJID",
    arm: str = "ARM",
) -> pd.DataFrame:
    """Participants by their worst severity, each counted once at every level.

    Parameters
    ----------
    severity, order
        The column, and its values from mildest to worst; a missing severity (:data:`UNKNOWN`) ranks below all.
    events, participants, by, subject, arm
        As in :func:`summarise_events`.

    Returns
    -------
    DataFrame
        One row a level, arm and severity (mildest first): ``depth``, the columns of ``by``, ``arm``, ``severity``,
        ``participants``, ``n``, ``proportion``. :data:`UNKNOWN` is there only if some severity is missing.
    """
    counted = _at_every_level(events, by, arm)
    values = counted[severity].astype("object").where(counted[severity].notna(), UNKNOWN)
    ranks = [UNKNOWN, *order] if (values == UNKNOWN).any() else list(order)
    unexpected = sorted(set(values) - set(ranks))
    if unexpected:
        raise ValueError(f"severity {unexpected[0]!r} is not in the order given")
    counted = counted.assign(severity=values, rank=values.map(ranks.index).astype(int))
    worst = counted.sort_values("rank", kind="stable").drop_duplicates([*_keys(by), subject], keep="last")
    counts = worst.groupby([*_keys(by), "arm", "severity"]).size().rename("participants").reset_index()
    table = _groups(counted, by, subject).merge(pd.DataFrame({"arm": ARMS}), how="cross")
    table = table.merge(pd.DataFrame({"severity": ranks}), how="cross")
    return _fill(table, counts, ["participants"], participants)


def compare_risks(summary: pd.DataFrame, by: Sequence[str], level: float = 0.95) -> pd.DataFrame:
    """Risk difference, treatment - control, of each narrowest group of a summary.

    Newcombe's hybrid score interval, Fisher's exact test (two-sided) and the Benjamini-Hochberg adjusted p-value (q)
    over the groups listed.

    Parameters
    ----------
    summary
        From :func:`summarise_events` with the same ``by``.
    level
        Confidence level.

    Returns
    -------
    DataFrame
        One row a group: ``by``, ``participants_treatment``, ``n_treatment``, ``participants_control``, ``n_control``,
        ``difference``, ``lower``, ``upper``, ``p``, ``q``; with an empty arm the last five are missing.
    """
    deepest = summary[summary["depth"] == len(by)]
    keys = list(by) or ["depth"]
    arms = [deepest[deepest["arm"] == arm].set_index(keys)[["participants", "n"]].add_suffix(f"_{arm}") for arm in ARMS]
    table = arms[0].join(arms[1]).reset_index()
    counts = (
        table[["participants_treatment", "n_treatment", "participants_control", "n_control"]].to_numpy(int).tolist()
    )
    differences = [risk_difference(*row, level=level, method="newcombe") for row in counts]
    for column, field in (("difference", "value"), ("lower", "lower"), ("upper", "upper")):
        table[column] = np.array([getattr(d, field) for d in differences], float)
    estimable = [d.estimable for d in differences]
    table["p"] = np.array(
        [float(p_values(*row, test="fisher")) if ok else NAN for row, ok in zip(counts, estimable, strict=True)], float
    )
    table["q"] = NAN
    if any(estimable):
        table.loc[estimable, "q"] = multipletests(table.loc[estimable, "p"], method="fdr_bh")[1]
    return table


def incidence_rate(events: int, exposure: float, *, per: float = 100, level: float = 0.95) -> Estimate:
    r"""Events per time at risk with the exact Poisson interval of Garwood (1936).

    .. math:: \frac{x}{T}, \qquad
              \Bigl[\frac{\chi^2_{2x,\,\alpha/2}}{2T},\; \frac{\chi^2_{2x+2,\,1-\alpha/2}}{2T}\Bigr]

    Parameters
    ----------
    events, exposure
        Events :math:`x`, and participant-years :math:`T`.
    per
        Participant-years of the unit.
    """
    method = "exact Poisson interval (Garwood)"
    unit = f"events per {per:g} participant-years"
    if not exposure > 0:
        return not_estimable("incidence rate", "no time at risk", method=method, unit=unit)
    lower, upper = _garwood(np.array([events], float), level) * per / exposure
    return Estimate(
        statistic="incidence rate",
        value=events * per / exposure,
        lower=float(lower[0]),
        upper=float(upper[0]),
        level=level,
        method=method,
        unit=unit,
    )


def rate_ratio(
    events_treatment: int,
    exposure_treatment: float,
    events_control: int,
    exposure_control: float,
    *,
    level: float = 0.95,
) -> Estimate:
    r"""Ratio of incidence rates, treatment / control, exact given the total of events.

    Given :math:`x_1 + x_0`, :math:`x_1` is binomial with :math:`\pi = \rho T_1 / (\rho T_1 + T_0)`; the Clopper-Pearson
    limits of :math:`\pi` are turned into limits of :math:`\rho`, and p is the binomial test of :math:`\rho = 1` (R's
    ``poisson.test``).
    """
    method = "exact conditional binomial interval"
    total = events_treatment + events_control
    if not (exposure_treatment > 0 and exposure_control > 0):
        return not_estimable("rate ratio", "an arm has no time at risk", method=method)
    if events_control == 0:
        reason = "no events" if total == 0 else "no events in the control arm: the ratio is infinite"
        return not_estimable("rate ratio", reason, method=method)
    share = proportion(events_treatment, total, level=level, method="clopper_pearson")
    ratio, lower, upper = (
        s / (1 - s) * exposure_control / exposure_treatment for s in (share.value, share.lower, share.upper)
    )
    null = exposure_treatment / (exposure_treatment + exposure_control)
    p = float(stats.binomtest(events_treatment, total, null).pvalue)
    return Estimate(statistic="rate ratio", value=ratio, lower=lower, upper=upper, level=level, p=p, method=method)


def zero_event_bound(n: int, *, level: float = 0.95) -> Estimate:
    r"""Exact one-sided upper limit of a risk when none of ``n`` had the event, :math:`1 - (1 - level)^{1/n}`."""
    statistic, method = "upper limit of the risk", f"exact one-sided {level:.0%} limit for no event"
    if n <= 0:
        return not_estimable(statistic, "no participants", n=n, method=method, unit="proportion")
    bound = -math.expm1(math.log1p(-level) / n)
    return Estimate(statistic=statistic, value=bound, level=level, n=n, method=method, unit="proportion")


def rule_of_three(n: int) -> Estimate:
    """Approximation 3 / n to the 95% :func:`zero_event_bound`, at most 1."""
    statistic, method = "upper limit of the risk", "rule of three"
    if n <= 0:
        return not_estimable(statistic, "no participants", n=n, method=method, unit="proportion")
    return Estimate(statistic=statistic, value=min(3 / n, 1.0), level=0.95, n=n, method=method, unit="proportion")


def _garwood(events: Any, level: float) -> Any:
    """Limits of the expected count, shape (2, ...)."""
    tail = (1 - level) / 2
    lower = np.where(events > 0, stats.chi2.ppf(tail, 2 * np.maximum(events, 1)), 0) / 2
    return np.stack([lower, stats.chi2.isf(tail, 2 * events + 2) / 2])


def _keys(by: Sequence[str]) -> list[str]:
    return ["depth", *by]


def _at_every_level(events: pd.DataFrame, by: Sequence[str], arm: str) -> pd.DataFrame:
    """Every event once a level: ``depth`` says which, and the columns narrower than the level are empty."""
    counted = events[events[arm].notna()]
    unexpected = sorted(set(counted[arm]) - set(ARMS))
    if unexpected:
        raise ValueError(f"arm {unexpected[0]!r}: arms are named by role, {' and '.join(ARMS)}")
    # Plain objects: categories without events would otherwise be grouped too.
    named = {c: counted[c].astype("object").where(counted[c].notna(), UNKNOWN) for c in by}
    counted = counted.assign(arm=counted[arm].astype("object"), **named)
    levels = [counted.assign(depth=depth, **dict.fromkeys(by[depth:], "")) for depth in range(len(by) + 1)]
    return pd.concat(levels, ignore_index=True)


def _groups(counted: pd.DataFrame, by: Sequence[str], subject: str) -> pd.DataFrame:
    """The groups that occur: overall, then each by frequency in both arms under the wider group that holds it."""
    frequency: dict[Any, Any] = counted.groupby(_keys(by))[subject].agg(["nunique", "size"]).to_dict("index")
    overall = (0, *("" for _ in by))

    def position(group: tuple[Any, ...]) -> list[tuple[float, float, str]]:
        depth, *names = group
        wider = [(d, *names[:d], *("" for _ in names[d:])) for d in range(1, depth + 1)]
        return [(-frequency[g]["nunique"], -frequency[g]["size"], g[d]) for d, g in enumerate(wider, start=1)]

    # With no grouping column the index holds plain numbers, and there is only the overall level.
    groups = sorted(frequency, key=position) if by and frequency else [overall]
    return pd.DataFrame(groups, columns=_keys(by))


def _fill(
    table: pd.DataFrame, counts: pd.DataFrame, columns: list[str], participants: Mapping[str, int]
) -> pd.DataFrame:
    """The table with its counts, 0 where nothing was counted, and the proportion of participants."""
    keys = [c for c in counts.columns if c not in columns]
    table = table.merge(counts, on=keys, how="left") if len(counts) else table.assign(**dict.fromkeys(columns, 0))
    table[columns] = table[columns].fillna(0).astype(int)
    table["n"] = table["arm"].map({arm: participants[arm] for arm in ARMS}).astype(int)
    table["proportion"] = table["participants"] / table["n"].where(table["n"] > 0)
    return table
