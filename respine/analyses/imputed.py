"""Multiple imputation of VAS and ODI, and the adjusted difference in response derived from it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from respine.analyses.study import Study
from respine.parameters import Parameters
from respine.results import Estimate, not_estimable
from respine.stats.gcomputation import StandardisedRisks, design_matrix, difference_variance, standardised_risks
from respine.stats.imputation import Imputations, IncompleteData, Method, impute
from respine.stats.rubin import pooled_estimate
from respine.trial.response import response_from_values, responses

Floats = npt.NDArray[np.float64]
INSTRUMENTS = ("VASPAIN", "ODI")


def incomplete_data(study: Study) -> IncompleteData:
    """VAS and ODI of the ITT set at all visits, country in the mean."""
    people = study.trial.participants("ITT")
    wide = {code: study.trial.wide(code).loc[people.index] for code in INSTRUMENTS}
    months = list(wide["VASPAIN"].columns)
    columns = [(code, float(month)) for month in months for code in INSTRUMENTS]
    outcome = np.column_stack([wide[code][int(month)].to_numpy(dtype=float) for code, month in columns])
    country = pd.get_dummies(people["COUNTRY"], drop_first=True, dtype=float)
    return IncompleteData(
        outcome=outcome,
        columns=columns,
        treatment=(people["ARM"] == "treatment").to_numpy(),
        covariates=country.to_numpy() if country.shape[1] else None,
    )


def impute_study(study: Study) -> Imputations:
    """The study's imputations: as many and from the seed that the parameters say."""
    return impute(incomplete_data(study), m=study.parameters.imputations, seed=study.parameters.seed)


def completed_responses(
    study: Study,
    imputations: Imputations,
    *,
    method: Method = "MAR",
    delta: Mapping[str, Mapping[str, float]] | None = None,
    parameters: Parameters | None = None,
) -> tuple[Floats, Floats]:
    """Response at the primary month in each imputed data set, and the completed outcomes it was derived from.

    Parameters
    ----------
    method
        Assumption after departure.
    delta
        By arm and instrument, what is added to values imputed after departure.
    parameters
        The response rule, where it is not the study's own.

    Returns
    -------
    tuple
        (m, n) of 0 and 1, NaN where even the imputed data leave it open; (m, n, 4) completed VAS and ODI, first at
        baseline, then at the primary month.
    """
    rule = parameters or study.parameters
    delta = delta or {}
    months = (0.0, float(rule.primary_month))
    completed = imputations.completed(
        method,
        delta_treatment=delta.get("treatment"),
        delta_control=delta.get("control"),
        columns=[(code, month) for month in months for code in INSTRUMENTS],
    )
    vas_base, odi_base, vas, odi = np.moveaxis(completed, 2, 0)
    derived = response_from_values(vas_base, vas, odi_base, odi, rule, rescued_before(study))
    return derived.response, completed


def rescued_before(study: Study) -> npt.NDArray[np.bool_]:
    """Whether each ITT participant was rescued at or before the primary visit."""
    rows = responses(study.trial, study.parameters)
    at_month = rows[rows["AVISITN"] == study.parameters.primary_month].set_index("USUBJID")
    people = study.trial.participants("ITT")
    return np.asarray(at_month.loc[people.index, "RESCUED"], dtype=bool)


def adjusted_over_imputations(study: Study, response: Floats, completed: Floats) -> StandardisedRisks | None:
    """G-computation in each imputed data set; None where a response stays unknown or an arm is empty."""
    people = study.trial.participants("ITT")
    treated = (people["ARM"] == "treatment").to_numpy()
    if np.isnan(response).any() or not treated.any() or treated.all():
        return None
    return standardised_risks(response, _designs(study, people, treated, completed))


def _designs(study: Study, people: pd.DataFrame, treated: npt.NDArray[np.bool_], completed: Floats) -> Floats:
    names = list(study.parameters.covariates)
    covariates = people[names]
    if covariates.notna().all(axis=None):
        return design_matrix(treated, covariates)[0]
    # A missing baseline was imputed with the rest; each data set then has a design of its own.
    position = {"VASBL": 0, "ODIBL": 1}
    designs = []
    for values in completed:
        own = {name: values[:, position[name]] for name in names if name in position}
        designs.append(design_matrix(treated, covariates.assign(**own))[0])
    return np.stack(designs)


_RANDOM, _FIXED = "influence-function", "covariates-fixed HC0 delta-method"
_POOLED = {
    "treatment": ("adjusted risk", _RANDOM),
    "control": ("adjusted risk", _RANDOM),
    "difference": ("risk difference", _RANDOM),
    "difference_fixed": ("risk difference", _FIXED),
}


def pooled_difference(
    study: Study, imputations: Imputations, response: Floats, completed: Floats
) -> dict[str, Estimate]:
    """Adjusted risks by arm and their difference, pooled by Rubin's rules.

    Returns
    -------
    dict
        ``treatment``, ``control`` and ``difference`` with covariates random, ``difference_fixed`` with covariates
        fixed; not estimable, with the reason, where imputation leaves a response unknown.
    """
    people = study.trial.participants("ITT")
    n1, n0 = (int((people["ARM"] == role).sum()) for role in ("treatment", "control"))
    known: dict[str, Any] = {"n": n1 + n0, "n_treatment": n1, "n_control": n0, "unit": "proportion"}
    risks = adjusted_over_imputations(study, response, completed)
    constant = [name for name in study.parameters.covariates if people[name].nunique() < 2]
    left_out = f"constant terms left out: {', '.join(constant)}" if constant else ""
    out = {}
    for key, (name, error) in _POOLED.items():
        method = (
            f"g-computation from logistic regression, {error} standard error, multiple imputation ({imputations.model})"
        )
        if risks is None:
            reason = imputations.note or "an arm is empty, or a response stays unknown after imputation"
            out[key] = not_estimable(name, reason, method=method, **known)
            continue
        pooled = pooled_estimate(
            name,
            *_each_data_set(risks, key),
            df_complete=max(n1 + n0 - risks.parameters, 1),
            level=study.parameters.level,
            method=method,
            **known,
        )
        single = key in ("treatment", "control")
        out[key] = pooled.replace(
            note="; ".join(filter(None, [pooled.note, left_out, _note(risks, imputations)])),
            # A single risk is not tested against zero; a t interval may leave the parameter space.
            p=np.nan if single else pooled.p,
            lower=max(pooled.lower, 0.0 if single else -1.0),
            upper=min(pooled.upper, 1.0),
        )
    return out


def _each_data_set(risks: StandardisedRisks, key: str) -> tuple[Floats, Floats]:
    """Estimates and variances by imputed data set."""
    if key == "treatment":
        return risks.risk_treatment, risks.covariance[:, 0, 0]
    if key == "control":
        return risks.risk_control, risks.covariance[:, 1, 1]
    return risks.difference, difference_variance(risks.covariance if key == "difference" else risks.covariance_fixed)


def _note(risks: StandardisedRisks, imputations: Imputations) -> str:
    other = [name for name in ("Firth", "unadjusted") if (risks.fit == name).any()]
    counts = [
        f"{int((risks.fit == name).sum())} of {len(risks.fit)} imputed data sets used the {name} fit" for name in other
    ]
    return "; ".join(filter(None, [*counts, imputations.note]))
