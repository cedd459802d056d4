"""Co-primary 2: change in the disc's T2 relaxation time (section 4 of the plan), in the mITT set."""

from __future__ import annotations

from typing import Any, Literal, cast

import pandas as pd

from respine.analyses.study import Study
from respine.results import NAN, Estimate, Results, not_estimable
from respine.stats.ancova import ancova, hedges_g
from respine.stats.descriptive import summarize
from respine.stats.mmrm import MMRMResult, mmrm_by_visit

ROLES = ("treatment", "control")
UNIT = "ms"
_CONTEXT = {"analysis": "Disc T2 relaxation time", "set": "mITT", "parameter": "T2"}
NO_DATA = "no T2 measurement after baseline"


def analyse(study: Study) -> Results:
    """Every number of co-primary 2.

    Ids: ``structure.main`` (ANCOVA difference at the primary month), ``structure.lsmean.<arm>``, ``structure.robust``,
    ``structure.mmrm.<visit>.<arm or difference>``, ``structure.g``, ``structure.observed.<visit>.<arm>``.
    """
    results = Results()
    changes = long_changes(study)
    _observed(results, changes)
    _main(results, study, changes)
    _mixed_model(results, study, changes)
    return results


def long_changes(study: Study) -> pd.DataFrame:
    """Changes in T2: one row an mITT participant and visit after baseline, with arm, baseline and country."""
    people = study.trial.participants("mITT")[["ARM", "COUNTRY"]]
    rows = study.trial.rows("T2")
    rows = rows[rows["CHG"].notna() & (rows["AVISITN"] > 0)]
    columns = ["USUBJID", "AVISITN", "BASE", "AVAL", "CHG"]
    return rows[columns].merge(people, left_on="USUBJID", right_index=True).reset_index(drop=True)


def visit_name(study: Study, month: float) -> str:
    """``primary`` for the primary visit, else ``m3``."""
    return "primary" if month == study.parameters.primary_month else f"m{month:g}"


def _place(results: Results, name: str, estimate: Estimate, **context: object) -> None:
    results.add(f"structure.{name}", estimate, **(_CONTEXT | context))


def _observed(results: Results, changes: pd.DataFrame) -> None:
    """Observed means and standard deviations of value and change, by visit and arm."""
    for key, rows in changes.groupby("AVISITN"):
        month = cast(float, key)
        for role in ROLES:
            arm = rows[rows["ARM"] == role]
            for column, name in (("AVAL", "value"), ("CHG", "change")):
                summary = summarize(arm[column], unit=UNIT)
                for statistic in ("mean", "sd"):
                    estimate = summary[statistic].replace(method="observed values")
                    _place(results, f"observed.m{month:g}.{name}.{statistic}.{role}", estimate, arm=role, visit=month)


def main_analysis(study: Study, changes: pd.DataFrame, robust: Literal["HC3"] | None = None) -> dict[str, Estimate]:
    """Analysis of covariance at the primary month: least-squares means by arm and their difference."""
    at_month = changes[changes["AVISITN"] == study.parameters.primary_month]
    if at_month.empty:
        known: dict[str, Any] = {"n_treatment": 0, "n_control": 0, "unit": UNIT, "method": "analysis of covariance"}
        reason = NO_DATA if changes.empty else f"no change in T2 known at month {study.parameters.primary_month:g}"
        return {name: not_estimable("mean difference", reason, **known) for name in (*ROLES, "difference")}
    fitted = ancova(
        at_month, "CHG", "ARM", covariates=["BASE"], factors=["COUNTRY"], level=study.parameters.level, robust=robust,
        unit=UNIT,
    )  # fmt: skip
    return {**fitted.lsmeans, "difference": fitted.difference}


def _main(results: Results, study: Study, changes: pd.DataFrame) -> None:
    level, month = study.parameters.level, study.parameters.primary_month
    fitted = main_analysis(study, changes)
    _place(results, "main", fitted["difference"], arm="difference", visit=month)
    for role in ROLES:
        # No arm's change is tested against nothing.
        _place(results, f"lsmean.{role}", fitted[role].replace(p=NAN), arm=role, visit=month)
    robust = main_analysis(study, changes, "HC3")["difference"]
    _place(results, "robust", robust, arm="difference", visit=month)
    at_month = changes[changes["AVISITN"] == month]
    treatment, control = (at_month.loc[at_month["ARM"] == role, "CHG"] for role in ROLES)
    _place(results, "g", hedges_g(treatment, control, level), arm="difference", visit=month)


def _mixed_model(results: Results, study: Study, changes: pd.DataFrame) -> None:
    fitted = fit_mixed_model(study, changes)
    if fitted is None:
        return
    for (month, role), estimate in fitted.lsmeans.items():
        mean = noted(estimate, fitted).replace(p=NAN)
        _place(results, f"mmrm.{visit_name(study, month)}.{role}", mean, arm=role, visit=month)
    for month, estimate in fitted.differences.items():
        difference = noted(estimate, fitted)
        _place(results, f"mmrm.{visit_name(study, month)}.difference", difference, arm="difference", visit=month)


def noted(estimate: Estimate, fitted: MMRMResult) -> Estimate:
    """An estimate with what is to be said of its whole model: terms that dropped out, visits left out."""
    if not estimate.estimable:
        return estimate  # its reason says it all
    return estimate.replace(note="; ".join(dict.fromkeys(filter(None, (estimate.note, *fitted.notes)))))


def fit_mixed_model(study: Study, changes: pd.DataFrame) -> MMRMResult | None:
    """The mixed model over all imaging visits, None without data."""
    if changes.empty:
        return None
    return mmrm_by_visit(
        changes, "CHG", "USUBJID", "AVISITN", "ARM", baseline="BASE", level=study.parameters.level, unit=UNIT
    )
