"""What the first co-primary result owes to choices of the analysis (section 8 of the plan)."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from itertools import product
from typing import Any, Literal

import numpy as np

from respine.analyses.missing_data import side_by_side, slug, tipping_point
from respine.analyses.specification import Analysis, Filling, Floats, Prepared, Rule
from respine.analyses.study import Study
from respine.parameters import Parameters
from respine.results import Estimate, Result, Results, not_estimable, to_sort_by
from respine.stats.imputation import Method
from respine.trial.trial import AnalysisSet

Sweep = Literal["vas_mm", "vas_percent", "odi_relative", "odi_points"]
SWEEPS: dict[Sweep, range] = {
    "vas_mm": range(10, 51, 5),
    "vas_percent": range(10, 51, 5),
    "odi_relative": range(10, 51, 5),
    "odi_points": range(5, 31, 5),
}
"""Thresholds that are moved one at a time, and where to."""
RESCUE = ("non_responder", "ignored")

STRICTER = 1.5
"""What the stricter rule multiplies all thresholds by."""
RULES = ("plan", "odi_other", "stricter", "both", "rescue_other")
SETS: tuple[AnalysisSet, ...] = ("ITT", "mITT", "PP")
FILLED: dict[str, Filling] = {"complete": "complete", "nri": "nri"}
IMPUTED: dict[str, Method] = {"mar": "MAR", "j2r": "J2R"}
MISSING = (*FILLED, *IMPUTED)
ANALYSES: tuple[Analysis, ...] = ("wald", "score", "random", "fixed")
_RULE = {"analysis": "Definition of response", "set": "ITT", "parameter": "RESPONSE", "arm": "difference"}
_CHOICE = {"analysis": "Specification curve", "parameter": "RESPONSE", "arm": "difference"}


def analyse(study: Study) -> Results:
    """Everything about robustness but the simulation.

    Ids: those of :mod:`respine.analyses.missing_data`; ``robustness.imputations``;
    ``robustness.rule.<sweep>.t<threshold>.<rescue>``; ``robustness.choice.<rule>.<set>.<missing>.<analysis>``, and over
    these ``robustness.spec.<summary>``.
    """
    prepared = Prepared.of(study)
    results = side_by_side(prepared)
    m = prepared.imputations.m
    used = "as the parameters say" if m == study.parameters.imputations else "fewer, since the trial is large"
    count = Estimate(statistic="count of imputations", value=m, n=m, method=f"count of imputations, {used}")
    results.add("robustness.imputations", count, analysis="Missing data", set="ITT", parameter="RESPONSE")
    for part in (tipping_point(prepared), rule_sweep(prepared), specification_curve(prepared)):
        results.extend(part.values())
    return results


# --- definitions of response ------------------------------------------------------------------------------------------


def thresholds(sweep: Sweep, parameters: Parameters) -> list[float]:
    """The thresholds of a sweep in order, the study's own among them."""
    own = own_threshold(sweep, parameters)
    return sorted({*map(float, SWEEPS[sweep]), *([own] if own is not None else [])})


def own_threshold(sweep: Sweep, parameters: Parameters) -> float | None:
    """Where the study's own rule lies in a sweep; None for the ODI measure that it does not use."""
    if sweep == "vas_mm":
        return float(parameters.vas_rule_mm)
    if sweep == "vas_percent":
        return float(parameters.vas_rule_percent)
    return float(parameters.odi_rule_percent) if sweep == f"odi_{parameters.odi_rule}" else None


def rule_id(sweep: Sweep, threshold: float, rescue: str) -> str:
    """The id of the difference under one definition of response."""
    return f"robustness.rule.{sweep}.t{slug(threshold)}.{rescue}"


def rule_sweep(prepared: Prepared) -> Results:
    """The main analysis with one threshold of the rule moved at a time, rescue as non-response or ignored."""
    parameters = prepared.study.parameters
    places = [
        (sweep, threshold, rescue)
        for sweep in SWEEPS
        for threshold in thresholds(sweep, parameters)
        for rescue in RESCUE
    ]
    rules = [Rule(parameters.model_copy(update=_changed(*place))) for place in places]
    responses = np.stack([rule.response(prepared.imputed["MAR"], prepared.rescued) for rule in rules])
    found = prepared.many_data_sets(responses, "MAR", ["random"])
    results = Results()
    for place, estimates in zip(places, found, strict=True):
        results.add(rule_id(*place), estimates["random"], visit=parameters.primary_month, **_RULE)
    return results


def _changed(sweep: Sweep, threshold: float, rescue: str) -> dict[str, Any]:
    if sweep in ("vas_mm", "vas_percent"):
        return {f"vas_rule_{sweep.removeprefix('vas_')}": threshold, "rescue": rescue}
    return {"odi_rule_percent": threshold, "odi_rule": sweep.removeprefix("odi_"), "rescue": rescue}


# --- specification curve ----------------------------------------------------------------------------------------------


def specification_curve(prepared: Prepared) -> Results:
    """The difference under every combination of rule, set, missing-data method and analysis, and a summary.

    Ids ``robustness.choice.<rule>.<set>.<missing>.<analysis>``; ``robustness.spec.count``, ``.not_estimable``,
    ``.favour`` and ``.against`` (shares with p at most alpha), ``.lowest``, ``.highest`` (with their intervals),
    ``.median``. A score test is not defined for imputed data; without covariates there is nothing to adjust for.
    """
    covariates = bool(prepared.study.parameters.covariates)
    analyses = [a for a in ANALYSES if covariates or a in ("wald", "score")]
    chosen = {name: rule_of(name, prepared.study.parameters) for name in RULES}
    found: dict[tuple[str, str, str], dict[Analysis, Estimate]] = {}
    for missing in MISSING:
        responses = np.stack([_response(prepared, rule, missing) for rule in chosen.values()])
        for analysis_set in SETS:
            estimates = _estimates(prepared, responses, missing, analysis_set, analyses)
            found |= {(rule, analysis_set, missing): e for rule, e in zip(chosen, estimates, strict=True)}
    results = Results()
    for rule, analysis_set, missing in product(RULES, SETS, MISSING):
        for analysis, estimate in found[rule, analysis_set, missing].items():
            id = f"robustness.choice.{rule}.{analysis_set.lower()}.{missing}.{analysis}"
            results.add(id, estimate, set=analysis_set, visit=prepared.study.parameters.primary_month, **_CHOICE)
    results.extend(_summary(list(results.values()), prepared.study))
    return results


def planned_id(parameters: Parameters) -> str:
    """The id of the specification that is the main analysis."""
    return f"robustness.choice.plan.itt.mar.{'random' if parameters.covariates else 'wald'}"


def rule_of(name: str, parameters: Parameters) -> Rule:
    """One of :data:`RULES`: the study's own, or with one thing changed."""
    update: dict[str, Any] = {}
    if name == "odi_other":
        update = {"odi_rule": "points" if parameters.odi_rule == "relative" else "relative"}
    elif name == "stricter":
        thresholds = ("vas_rule_mm", "vas_rule_percent", "odi_rule_percent")
        update = {key: min(STRICTER * getattr(parameters, key), 100.0) for key in thresholds}
    elif name == "rescue_other":
        update = {"rescue": "ignored" if parameters.rescue == "non_responder" else "non_responder"}
    return Rule(parameters.model_copy(update=update), both=name == "both")


def _response(prepared: Prepared, rule: Rule, missing: str) -> Floats:
    values = prepared.imputed[IMPUTED[missing]] if missing in IMPUTED else prepared.observed
    return rule.response(values, prepared.rescued)


def _estimates(
    prepared: Prepared, responses: Floats, missing: str, analysis_set: AnalysisSet, analyses: list[Analysis]
) -> list[dict[Analysis, Estimate]]:
    if missing in IMPUTED:
        return prepared.many_data_sets(responses, IMPUTED[missing], analyses, analysis_set)
    return [prepared.one_data_set(response, FILLED[missing], analyses, analysis_set) for response in responses]


def _summary(rows: list[Result], study: Study) -> Iterable[Result]:
    known = [row for row in rows if row.estimable]
    context: dict[str, Any] = {"analysis": _CHOICE["analysis"], "parameter": "RESPONSE"}
    context["visit"] = study.parameters.primary_month
    results = Results()
    for name, n in (("count", len(rows)), ("not_estimable", len(rows) - len(known))):
        count = Estimate(statistic="count of specifications", value=n, n=n, method="count of specifications")
        results.add(f"robustness.spec.{name}", count, **context)
    rejected = [row.value for row in known if row.p <= study.parameters.alpha]
    for name, n in (("favour", sum(v > 0 for v in rejected)), ("against", sum(v < 0 for v in rejected))):
        results.add(f"robustness.spec.{name}", _share(n, len(known)), **context)
    context["arm"] = "difference"
    for name, estimate in _range(known).items():
        results.add(f"robustness.spec.{name}", estimate, **context)
    return results.values()


def _share(n: int, of: int) -> Estimate:
    method = "share of the estimable specifications"
    if not of:
        return not_estimable("share of specifications", "no specification is estimable", method=method)
    return Estimate(statistic="share of specifications", value=n / of, n=of, unit="proportion", method=method)


def _range(known: list[Result]) -> dict[str, Estimate]:
    method = "over all estimable specifications"
    if not known:
        empty = not_estimable("risk difference", "no specification is estimable", method=method)
        return dict.fromkeys(("lowest", "highest", "median"), empty)
    by_value = sorted(known, key=lambda row: (to_sort_by(row.value), row.id))
    middle = statistics.median(row.value for row in known)
    return {
        "lowest": _bare(by_value[0], f"lowest {method}"),
        "highest": _bare(by_value[-1], f"highest {method}"),
        "median": Estimate(statistic="risk difference", value=middle, unit="proportion", method=f"median {method}"),
    }


def _bare(row: Result, method: str) -> Estimate:
    return Estimate(
        statistic=row.statistic, value=row.value, lower=row.lower, upper=row.upper, level=row.level, unit=row.unit,
        n=row.n, n_treatment=row.n_treatment, n_control=row.n_control, method=f"{method}: {row.method}",
    )  # fmt: skip
