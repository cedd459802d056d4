"""Co-primary 1: response at the primary month, in the intention-to-treat set (section 3 of the plan)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from respine.analyses.imputed import completed_responses, impute_study, pooled_difference
from respine.analyses.study import Study
from respine.results import NAN, Estimate, Results
from respine.stats.bayes import PRIORS, posterior_difference
from respine.stats.gcomputation import adjusted_risk_difference
from respine.stats.proportions import (
    DifferenceMethod,
    OddsMethod,
    RatioMethod,
    Test,
    compare_proportions,
    odds_ratio,
    proportion,
    risk_difference,
    risk_ratio,
)
from respine.stats.stratified import cochran_mantel_haenszel, stratified_counts, stratified_risk_difference
from respine.trial.response import responses

ROLES = ("treatment", "control")
MARGIN = 0.10
"""The difference in response whose posterior probability is asked for: ten percentage points."""
TESTS: tuple[Test, ...] = ("pearson", "yates", "fisher", "boschloo")
DIFFERENCES: dict[str, DifferenceMethod] = {"mn": "miettinen_nurminen", "newcombe": "newcombe"}
RATIOS: dict[str, RatioMethod] = {"koopman": "koopman", "mn": "miettinen_nurminen", "katz": "katz"}
ODDS: tuple[OddsMethod, ...] = ("exact", "wald")
COMPONENTS = {"vas": "VAS_RESPONSE", "odi": "ODI_RESPONSE", "both": "BOTH"}
_CONTEXT = {"analysis": "Response at the primary month", "set": "ITT", "parameter": "RESPONSE"}


class Counts(NamedTuple):
    """Responders and participants with a known response, in the order that two-arm functions take."""

    x_treatment: int
    n_treatment: int
    x_control: int
    n_control: int


def analyse(study: Study) -> Results:
    """Every number of co-primary 1.

    Ids: ``response.rate.<arm>``, ``response.rd.main`` (the main analysis), ``response.rd.complete``,
    ``response.rd.<method>`` and so on; tests as ``response.test.<test>``.
    """
    frame = primary_frame(study)
    counts = count(frame)
    results = Results()
    _arms(results, frame, counts, study)
    _main(results, study)
    _complete_case(results, frame, study)
    _unadjusted(results, counts, study)
    _stratified(results, frame, study)
    _components(results, frame, study)
    _posterior(results, counts, study)
    return results


def primary_frame(study: Study) -> pd.DataFrame:
    """One row a randomised participant: arm, baseline covariates and the response at the primary month."""
    people = study.trial.participants("ITT")
    known = responses(study.trial, study.parameters)
    at_month = known[known["AVISITN"] == study.parameters.primary_month].set_index("USUBJID")
    frame = people.join(at_month[["VAS_RESPONSE", "ODI_RESPONSE", "RESPONSE", "RESCUED"]])
    return frame.assign(BOTH=frame["VAS_RESPONSE"] & frame["ODI_RESPONSE"])


def count(frame: pd.DataFrame, column: str = "RESPONSE") -> Counts:
    """Responders and participants with a known response, by arm."""
    known = frame[frame[column].notna()]
    by_arm = [known.loc[known["ARM"] == role, column].astype(bool) for role in ROLES]
    return Counts(int(by_arm[0].sum()), len(by_arm[0]), int(by_arm[1].sum()), len(by_arm[1]))


def _place(results: Results, name: str, estimate: Estimate, study: Study, **context: object) -> None:
    results.add(f"response.{name}", estimate, **(_CONTEXT | {"visit": study.parameters.primary_month} | context))


def _arms(results: Results, frame: pd.DataFrame, counts: Counts, study: Study) -> None:
    pairs = {"treatment": counts[:2], "control": counts[2:]}
    for role, (x, n) in pairs.items():
        randomised = int((frame["ARM"] == role).sum())
        for name, value in (("randomised", randomised), ("known", n), ("missing", randomised - n)):
            estimate = Estimate(statistic="count", value=value, n=value, method="count of participants")
            _place(results, f"{name}.{role}", estimate, study, arm=role)
        rate = proportion(x, n, level=study.parameters.level, method="wilson")
        _place(results, f"rate.{role}", rate, study, arm=role)


def main_analysis(study: Study) -> dict[str, Estimate]:
    """Risks by arm and their difference after multiple imputation, as :func:`.imputed.pooled_difference` names them."""
    imputations = impute_study(study)
    return pooled_difference(study, imputations, *completed_responses(study, imputations))


def _main(results: Results, study: Study) -> None:
    pooled = main_analysis(study)
    for role in ROLES:
        _place(results, f"risk.{role}", pooled[role], study, arm=role)
    _place(results, "rd.main", pooled["difference"], study, arm="difference")
    _place(results, "rd.main_fixed", pooled["difference_fixed"], study, arm="difference")


def _complete_case(results: Results, frame: pd.DataFrame, study: Study) -> None:
    adjusted = adjusted_risk_difference(
        frame["RESPONSE"].to_numpy(dtype=float, na_value=NAN),
        (frame["ARM"] == "treatment").to_numpy(),
        frame[list(study.parameters.covariates)],
        level=study.parameters.level,
    )
    _place(results, "rd.complete", adjusted.difference, study, arm="difference")
    _place(results, "rd.complete_fixed", adjusted.difference_fixed, study, arm="difference")
    _place(results, "rr.complete", adjusted.ratio, study, arm="difference")


def _unadjusted(results: Results, counts: Counts, study: Study) -> None:
    level = study.parameters.level
    for name, difference in DIFFERENCES.items():
        _place(results, f"rd.{name}", risk_difference(*counts, level=level, method=difference), study, arm="difference")
    for name, ratio in RATIOS.items():
        _place(results, f"rr.{name}", risk_ratio(*counts, level=level, method=ratio), study, arm="difference")
    for odds in ODDS:
        _place(results, f"or.{odds}", odds_ratio(*counts, level=level, method=odds), study, arm="difference")
    for test in TESTS:
        _place(results, f"test.{test}", compare_proportions(*counts, test=test), study, arm="difference")


def _stratified(results: Results, frame: pd.DataFrame, study: Study) -> None:
    strata = stratified_counts(
        frame["RESPONSE"].to_numpy(dtype=float, na_value=NAN), frame["ARM"] == "treatment", frame["COUNTRY"]
    )
    columns = [strata[name] for name in ("x_treatment", "n_treatment", "x_control", "n_control")]
    _place(results, "test.cmh", cochran_mantel_haenszel(*columns), study, arm="difference")
    level = study.parameters.level
    _place(results, "rd.stratified", stratified_risk_difference(*columns, level=level), study, arm="difference")


def _components(results: Results, frame: pd.DataFrame, study: Study) -> None:
    level = study.parameters.level
    for name, column in COMPONENTS.items():
        counts = count(frame, column)
        for role, (x, n) in {"treatment": counts[:2], "control": counts[2:]}.items():
            rate = proportion(x, n, level=level, method="wilson")
            _place(results, f"component.{name}.{role}", rate, study, arm=role, parameter=column)
        difference = risk_difference(*counts, level=level, method="newcombe")
        _place(results, f"component.{name}.difference", difference, study, arm="difference", parameter=column)


def _posterior(results: Results, counts: Counts, study: Study) -> None:
    for prior in PRIORS:
        posterior = posterior_difference(*counts, prior=prior, margin=MARGIN, level=study.parameters.level)
        for name in ("difference", "probability_benefit", "probability_margin"):
            _place(results, f"bayes.{prior.name}.{name}", getattr(posterior, name), study, arm="difference")


def posterior_densities(study: Study) -> pd.DataFrame:
    """Posterior densities of the risk difference under each prior: columns prior, difference, density."""
    counts = count(primary_frame(study))
    frames = []
    for prior in PRIORS:
        posterior = posterior_difference(*counts, prior=prior, margin=MARGIN, level=study.parameters.level)
        frames.append(pd.DataFrame({"prior": prior.name, "difference": posterior.grid, "density": posterior.density}))
    return pd.concat(frames, ignore_index=True)


def cumulative_response(study: Study) -> pd.DataFrame:
    """Share of participants with at least a given improvement at the primary month, by arm and instrument.

    Improvement is relative to baseline, in percent, on a grid of whole percents from -100 (worse) to 100. Complete
    cases of the ITT set; a participant rescued before the visit has, as for response, not improved.

    Returns
    -------
    pandas.DataFrame
        ``parameter``, ``arm``, ``threshold`` (%), ``share``, ``n``.
    """
    frame = primary_frame(study)
    thresholds = np.arange(-100, 101, 1.0)
    rows = []
    for code in ("VASPAIN", "ODI"):
        change = -study.trial.values(code, study.parameters.primary_month, "PCHG").reindex(frame.index)
        if study.parameters.rescue == "non_responder":
            change = change.mask(frame["RESCUED"].to_numpy(dtype=bool), -np.inf)
        for role in ROLES:
            values = change[(frame["ARM"] == role) & change.notna()].to_numpy()
            rows.append(_shares(values, thresholds).assign(parameter=code, arm=role))
    return pd.concat(rows, ignore_index=True)[["parameter", "arm", "threshold", "share", "n"]]


def _shares(values: npt.NDArray[np.float64], thresholds: npt.NDArray[np.float64]) -> pd.DataFrame:
    reached = values[:, None] >= thresholds - 1e-9
    share = reached.mean(axis=0) if len(values) else np.full(len(thresholds), NAN)
    return pd.DataFrame({"threshold": thresholds, "share": share, "n": len(values)})
