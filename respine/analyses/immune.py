"""Immune response: donor-specific anti-HLA antibodies (DSA) in the safety set (section 6 of the plan)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from respine.analyses.study import Study
from respine.results import NAN, Estimate, Results, not_estimable
from respine.stats.proportions import proportion, risk_difference
from respine.trial.contract import PARAMETERS
from respine.trial.response import responses

Floats = npt.NDArray[np.float64]

ROLES = ("treatment", "control")
CLASSES = {"dsa1": "DSA1", "dsa2": "DSA2", "either": "DSA1 or DSA2"}
"""Anti-HLA class I, class II, and either: the parameter of each."""
MONTHS = PARAMETERS["DSA1"].visits
STATUSES = ("baseline", "new", "never")
"""Positive before the injection; negative before and positive later; tested before and later, never positive."""
QUANTILES = {"p10": 0.10, "q1": 0.25, "median": 0.50, "q3": 0.75, "p90": 0.90}
_CONTEXT = {"analysis": "Immune response", "set": "SAF"}


def analyse(study: Study) -> Results:
    """Every number of the immune response; visits are ``m0`` (baseline), ``m1``, ``m3``, ``m6``.

    Ids: ``immune.tested.<arm>`` (participants with any result), ``immune.<class>.<visit>.<arm>`` (positive among those
    tested), ``immune.new.<class>.<arm>`` and ``.difference`` (newly positive among those negative at baseline and
    tested later), ``immune.mfi.<class>.<visit>.<quantile>.<arm>``, ``immune.response.<status>.<arm>`` (responders at
    the primary month by antibody status; ``overall`` for both arms).
    """
    people = study.trial.participants("SAF")
    positive = positivity(study, people)
    results = Results()
    for role in ROLES:
        tested = int((~np.isnan(positive["either"][(people["ARM"] == role).to_numpy()])).any(axis=1).sum())
        _place(results, f"tested.{role}", _count(tested), arm=role)
    _by_visit(results, study, people, positive)
    _newly_positive(results, study, people, positive)
    _fluorescence(results, study, people)
    _response_by_status(results, study, people, positive["either"])
    return results


def positivity(study: Study, people: pd.DataFrame) -> dict[str, Floats]:
    """Positive (1), negative (0) or not known (NaN), by class: one row a participant, one column a month.

    In ``either`` one positive class is enough, and both have to be negative.
    """
    by_class = {}
    for name in ("dsa1", "dsa2"):
        result = study.trial.wide(CLASSES[name], "AVALC").loc[people.index, list(MONTHS)]
        by_class[name] = np.where(result.isna(), NAN, (result == "POSITIVE").to_numpy(dtype=float))
    either = np.maximum(by_class["dsa1"], by_class["dsa2"])  # NaN where a class is not known ...
    by_class["either"] = np.where((by_class["dsa1"] == 1) | (by_class["dsa2"] == 1), 1.0, either)  # ... nor needed
    return by_class


def status(positive: Floats) -> npt.NDArray[np.object_]:
    """Each participant's status, one of :data:`STATUSES`; empty where the tests do not tell.

    ``positive`` has one row a participant and one column a month, baseline first, as :func:`positivity` gives it.
    """
    first, later = positive[:, 0], positive[:, 1:]
    tested = ~np.isnan(later).all(axis=1)
    cases = [first == 1, (first == 0) & (later == 1).any(axis=1), (first == 0) & tested]
    return np.select(cases, STATUSES, default="").astype(object)


def _place(results: Results, name: str, estimate: Estimate, **context: object) -> None:
    results.add(f"immune.{name}", estimate, **(_CONTEXT | context))


def _count(n: int) -> Estimate:
    return Estimate(statistic="count", value=n, n=n, method="count of participants")


def _by_visit(results: Results, study: Study, people: pd.DataFrame, positive: Mapping[str, Floats]) -> None:
    for name, code in CLASSES.items():
        for column, month in enumerate(MONTHS):
            for role in ROLES:
                values = positive[name][(people["ARM"] == role).to_numpy(), column]
                known = values[~np.isnan(values)]
                share = _tested_share(int(known.sum()), len(known), study)
                _place(results, f"{name}.m{month:g}.{role}", share, arm=role, parameter=code, visit=month)


def _tested_share(x: int, n: int, study: Study) -> Estimate:
    share = proportion(x, n, level=study.parameters.level, method="clopper_pearson")
    return share if n else share.replace(note="not estimable: nobody tested")


def _newly_positive(results: Results, study: Study, people: pd.DataFrame, positive: Mapping[str, Floats]) -> None:
    for name, code in CLASSES.items():
        group = pd.Series(status(positive[name]), index=people.index)
        counts: list[int] = []
        for role in ROLES:
            in_arm = group[people["ARM"] == role]
            x, n = int((in_arm == "new").sum()), int(in_arm.isin(("new", "never")).sum())
            counts += [x, n]
            _place(results, f"new.{name}.{role}", _tested_share(x, n, study), arm=role, parameter=code)
        difference = risk_difference(*counts, level=study.parameters.level, method="newcombe")
        _place(results, f"new.{name}.difference", difference, arm="difference", parameter=code)


def _fluorescence(results: Results, study: Study, people: pd.DataFrame) -> None:
    """Quantiles of the mean fluorescence intensity: no logarithm is taken, so that a value of 0 is no trouble."""
    for name in ("dsa1", "dsa2"):
        values = study.trial.wide(CLASSES[name]).loc[people.index, list(MONTHS)].to_numpy(dtype=float)
        for column, month in enumerate(MONTHS):
            for role in ROLES:
                in_arm = values[(people["ARM"] == role).to_numpy(), column]
                for quantile, estimate in _quantiles(in_arm[~np.isnan(in_arm)]).items():
                    context = {"arm": role, "parameter": CLASSES[name], "visit": month, "digits": 0}
                    _place(results, f"mfi.{name}.m{month:g}.{quantile}.{role}", estimate, **context)


def _quantiles(values: Floats) -> dict[str, Estimate]:
    known: dict[str, Any] = {"n": len(values), "unit": "MFI", "method": "sample quantile of type 7"}
    names = {name: "median" if share == 0.5 else f"{share:.0%} quantile" for name, share in QUANTILES.items()}
    if not len(values):
        return {name: not_estimable(words, "nobody tested", **known) for name, words in names.items()}
    found = np.quantile(values, list(QUANTILES.values()))
    return {
        name: Estimate(statistic=words, value=float(value), **known)
        for (name, words), value in zip(names.items(), found, strict=True)
    }


def _response_by_status(results: Results, study: Study, people: pd.DataFrame, positive: Floats) -> None:
    """Responders by antibody status, in the randomised participants of the safety set; exploratory."""
    month = study.parameters.primary_month
    known = responses(study.trial, study.parameters)
    at_month = known[(known["AVISITN"] == month) & known["RESPONSE"].notna()].set_index("USUBJID")["RESPONSE"]
    frame = pd.DataFrame({"arm": people["ARM"].astype(object), "status": status(positive)}, index=people.index)
    frame = frame.join(at_month.astype(float), how="inner")
    for name in STATUSES:
        group = frame[frame["status"] == name]
        for arm in (*ROLES, "overall"):
            outcome = group["RESPONSE"] if arm == "overall" else group.loc[group["arm"] == arm, "RESPONSE"]
            rate = proportion(int(outcome.sum()), len(outcome), level=study.parameters.level, method="clopper_pearson")
            context = {"arm": arm, "visit": month, "parameter": "RESPONSE"}
            _place(results, f"response.{name}.{arm}", rate, **context)
