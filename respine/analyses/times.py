"""Times to first response and to rescue (section 5 of the plan)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from respine.analyses.structure import visit_name
from respine.analyses.study import Study
from respine.results import NAN, Estimate, Results, not_estimable
from respine.stats.survival import (
    KaplanMeier,
    compare_restricted_means,
    hazard_ratio,
    interval_censored_survival,
    kaplan_meier,
    log_rank,
    numbers_at_risk,
    proportional_hazards,
)
from respine.trial.response import POST_BASELINE, time_to_first_response, time_to_rescue
from respine.trial.trial import ROLES

OUTCOMES = {"response": "Time to first response", "rescue": "Time to rescue"}
SETS = {"response": "ITT", "rescue": "ITT, treated"}
HORIZONS = (12, 24)
"""Months to which the restricted mean runs, by the plan."""
AT_RISK = (0, 3, 6, 12, 18, 24)
UNIT = "months"
_HOLDS = 1e-9
"""Probability from which an interval of the interval-censored curve holds any."""
_SHARE = "Kaplan-Meier estimate of the participants with the event, log-log interval"
_NPMLE = "non-parametric maximum likelihood for interval-censored times (Turnbull)"


def analyse(study: Study) -> Results:
    """Every number of the times to event.

    Ids start with ``secondary.time.response`` or ``secondary.time.rescue``: ``.n.<arm>``, ``.events.<arm>``,
    ``.median.<arm>``, ``.reached.<visit>.<arm>`` (share with the event by then), ``.at_risk.<month>.<arm>``,
    ``.logrank``, ``.hr``, ``.ph``, ``.rmst.<month>.<arm, difference or ratio>``; for response also
    ``.npmle.<visit>.<arm>`` and ``.width.<min, median or max>`` of the interval in which a first response came.
    """
    results = Results()
    for outcome, frame in times(study).items():
        by_arm = {role: frame[frame["ARM"] == role] for role in ROLES}
        for role, rows in by_arm.items():
            _arm(results, study, outcome, role, rows)
        _compare(results, study, outcome, frame)
        if outcome == "response":
            _intervals(results, study, by_arm)
    return results


def times(study: Study) -> dict[str, pd.DataFrame]:
    """By outcome one row a participant: ``ARM``, ``MONTHS``, ``EVENT``; for response also ``LOWER``."""
    return {
        "response": time_to_first_response(study.trial, study.parameters),
        "rescue": time_to_rescue(study.trial),
    }


def curves(study: Study) -> pd.DataFrame:
    """Kaplan-Meier curves as the share with the event: columns outcome, arm, month, share, lower, upper.

    One row a time at which an event happened, besides the start and the end of follow-up.
    """
    parts = []
    for outcome, frame in times(study).items():
        for role in ROLES:
            rows = frame[frame["ARM"] == role]
            curve = kaplan_meier(rows["MONTHS"], rows["EVENT"], study.parameters.level).curve
            ends = curve.index.isin([0, len(curve) - 1])
            curve = curve[(curve["events"] > 0) | ends]
            limits = {"lower": 1 - curve["upper"], "upper": 1 - curve["lower"]}
            # Before the first event the share is 0 without doubt.
            limits = {name: limit.where(curve["survival"] < 1, 0.0) for name, limit in limits.items()}
            drawn = {"outcome": outcome, "arm": role, "month": curve["time"], "share": 1 - curve["survival"]}
            parts.append(pd.DataFrame({**drawn, **limits}))
    return pd.concat(parts, ignore_index=True)


def _place(results: Results, outcome: str, name: str, estimate: Estimate, **context: Any) -> None:
    known = {"analysis": OUTCOMES[outcome], "set": SETS[outcome], "parameter": outcome.upper()}
    results.add(f"secondary.time.{outcome}.{name}", estimate, **(known | context))


def _arm(results: Results, study: Study, outcome: str, role: str, rows: pd.DataFrame) -> None:
    fit = kaplan_meier(rows["MONTHS"], rows["EVENT"], study.parameters.level)
    for name, value in (("n", fit.n), ("events", fit.events)):
        estimate = Estimate(statistic="count", value=value, n=fit.n, method="count of participants")
        _place(results, outcome, f"{name}.{role}", estimate, arm=role)
    _place(results, outcome, f"median.{role}", fit.median.replace(unit=UNIT), arm=role)
    for month in POST_BASELINE:
        reached = _reached(fit, month)
        _place(results, outcome, f"reached.{visit_name(study, month)}.{role}", reached, arm=role, visit=month)
    for month, n in zip(AT_RISK, numbers_at_risk(rows["MONTHS"], AT_RISK), strict=True):
        at_risk = Estimate(statistic="count at risk", value=int(n), n=int(n), method="count of participants")
        _place(results, outcome, f"at_risk.m{month}.{role}", at_risk, arm=role, visit=month)


def _reached(fit: KaplanMeier, month: float) -> Estimate:
    """Share with the event by a month: one minus the survival probability."""
    free = fit.survival_at(month)
    if free.value == 1:
        limits = {"lower": NAN, "upper": NAN, "note": "no event yet, no interval"}
    else:
        limits = {"lower": 1 - free.upper, "upper": 1 - free.lower, "note": free.note}
    return free.replace(statistic="proportion with the event", value=1 - free.value, method=_SHARE, **limits)


def _compare(results: Results, study: Study, outcome: str, frame: pd.DataFrame) -> None:
    level = study.parameters.level
    data = frame["MONTHS"], frame["EVENT"], (frame["ARM"] == "treatment")
    for name, estimate in {
        "logrank": log_rank(*data),
        "hr": hazard_ratio(*data, level=level),
        "ph": proportional_hazards(*data),
    }.items():
        _place(results, outcome, name, estimate, arm="difference")
    for horizon in HORIZONS:
        restricted = compare_restricted_means(*data, tau=horizon, level=level, unit=UNIT)
        for name in (*ROLES, "difference", "ratio"):
            arm = name if name in ROLES else "difference"
            _place(results, outcome, f"rmst.m{horizon}.{name}", getattr(restricted, name), arm=arm, visit=horizon)


def _intervals(results: Results, study: Study, by_arm: dict[str, pd.DataFrame]) -> None:
    """First response is known to an interval between visits: how wide, and what that does to the curve."""
    for role, rows in by_arm.items():
        right = np.where(rows["EVENT"], rows["MONTHS"], np.inf)
        curve = interval_censored_survival(rows["LOWER"], right)
        for month in POST_BASELINE:
            estimate = _determined(curve, month, len(rows))
            _place(results, "response", f"npmle.{visit_name(study, month)}.{role}", estimate, arm=role, visit=month)
    events = pd.concat([rows[rows["EVENT"]] for rows in by_arm.values()])
    width = events["MONTHS"] - events["LOWER"]
    for name in ("min", "median", "max"):
        statistic = f"{name} width of the interval of first response"
        known: dict[str, Any] = {"n": len(width), "method": "observed intervals between visits", "unit": UNIT}
        estimate = (
            Estimate(statistic=statistic, value=float(getattr(width, name)()), **known)
            if len(width)
            else not_estimable(statistic, "no response", **known)
        )
        _place(results, "response", f"width.{name}", estimate, arm="overall", digits=0)


def _determined(curve: pd.DataFrame, month: float, n: int) -> Estimate:
    """Share with the event by a month, where the likelihood determines it."""
    statistic = "proportion with the event"
    known: dict[str, Any] = {"n": n, "method": _NPMLE, "unit": "proportion"}
    if not n:
        return not_estimable(statistic, "no participants", **known)
    if ((curve["left"] < month) & (month < curve["right"]) & (curve["probability"] > _HOLDS)).any():
        return not_estimable(statistic, f"month {month:g} lies inside an interval with events", **known)
    return Estimate(statistic=statistic, value=float(curve.loc[curve["right"] <= month, "probability"].sum()), **known)
