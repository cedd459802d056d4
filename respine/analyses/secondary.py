"""Secondary endpoints: twelve questionnaire scores over time, in the mITT set (section 5 of the plan)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from respine.analyses.structure import noted, visit_name
from respine.analyses.study import Study
from respine.results import Estimate, Result, Results, not_estimable
from respine.stats.ancova import hedges_g
from respine.stats.mmrm import mmrm_by_visit
from respine.stats.multiplicity import holm
from respine.stats.proportions import proportion, risk_difference
from respine.trial.contract import PARAMETERS, parameters_of
from respine.trial.response import TOLERANCE
from respine.trial.trial import ROLES

Mask = npt.NDArray[np.bool_]

SCORES = tuple(parameters_of("adqs"))
"""The questionnaire scores, in the contract's order: pain, disability, two components and eight scales of the SF-36."""
SUMMARIES = ("VASPAIN", "ODI", "SF36PCS", "SF36MCS")
"""The scores with a minimal clinically important difference."""
_CONTEXT = {"analysis": "Questionnaire scores over time", "set": "mITT"}
_MCID_CONTEXT = {"analysis": "Clinically important improvement", "set": "mITT"}


def analyse(study: Study) -> Results:
    """Every number of the scores; a score without any change from baseline is left out.

    Ids: ``secondary.<score>.<visit>.<arm or difference>`` (mixed model), ``secondary.<score>.<visit>.g`` (Hedges' g of
    the change), ``secondary.<score>.primary.holm`` (adjusted p-value),
    ``secondary.mcid.<score>.<visit>.<arm or difference>``.
    """
    changes = changes_by_score(study)
    results = _mixed_models(study, changes)
    for code, rows in changes.items():
        _standardised(results, study, code, rows)
        if code in SUMMARIES:
            _important(results, study, code, rows)
    return results


def scores(study: Study) -> Results:
    """The mixed models of all scores and their adjusted p-values at the primary month."""
    return _mixed_models(study, changes_by_score(study))


def _mixed_models(study: Study, changes: Mapping[str, pd.DataFrame]) -> Results:
    results = Results()
    for code, rows in changes.items():
        _mixed_model(results, study, code, rows)
    _adjusted(results, study, list(changes))
    return results


def any_difference(results: Mapping[str, Result], alpha: float) -> bool | None:
    """Whether a score differs between the arms at the primary month after Holm's adjustment, in either direction.

    None where no score could be compared.
    """
    adjusted = [r.p for r in adjusted_p(results).values() if r.estimable]
    return any(p <= alpha for p in adjusted) if adjusted else None


def adjusted_p(results: Mapping[str, Result]) -> dict[str, Result]:
    """The Holm-adjusted p-values by score, in the contract's order."""
    ids = {code: f"secondary.{code.lower()}.primary.holm" for code in SCORES}
    return {code: results[id] for code, id in ids.items() if id in results}


def changes_by_score(study: Study) -> dict[str, pd.DataFrame]:
    """Changes from baseline by score: one row an mITT participant and visit, with arm, baseline and country."""
    people = study.trial.participants("mITT")[["ARM", "COUNTRY"]]
    rows = study.trial.adqs
    later = (rows["CHG"].notna() & (rows["AVISITN"] > 0)).to_numpy()
    rows = rows[["USUBJID", "PARAMCD", "AVISITN", "BASE", "AVAL", "CHG"]][later]
    who = people.index.get_indexer(pd.Index(rows["USUBJID"]))
    rows = rows.assign(**{str(name): people[name].array.take(who, allow_fill=True) for name in people})[who >= 0]
    parts = dict(iter(rows.groupby("PARAMCD", sort=False)))
    return {code: parts[code].reset_index(drop=True) for code in SCORES if code in parts}


def unit(code: str) -> str:
    """Unit of a change in a score; a difference in ODI percent is said in points."""
    return PARAMETERS[code].unit if code == "VASPAIN" else "points"


def important_change(study: Study, code: str) -> float:
    """The minimal clinically important difference of a score, signed as the change that reaches it."""
    parameters = study.parameters
    size = {"VASPAIN": parameters.mcid_vas_mm, "ODI": parameters.mcid_odi_points}.get(code, parameters.mcid_sf36)
    return -float(size) if PARAMETERS[code].better == "lower" else float(size)


def months(study: Study, rows: pd.DataFrame) -> list[int]:
    """Visits with a change in anybody, and the primary visit."""
    return sorted({int(m) for m in rows["AVISITN"].unique()} | {int(study.parameters.primary_month)})


def _place(results: Results, study: Study, code: str, month: int, name: str, estimate: Estimate, **more: Any) -> None:
    place = f"secondary.{code.lower()}.{visit_name(study, month)}.{name}"
    results.add(place, estimate, **(_CONTEXT | {"parameter": code, "visit": month} | more))


def _mixed_model(results: Results, study: Study, code: str, rows: pd.DataFrame) -> None:
    fitted = mmrm_by_visit(
        rows, "CHG", "USUBJID", "AVISITN", "ARM", baseline="BASE", level=study.parameters.level, unit=unit(code)
    )
    for month in months(study, rows):
        for name in (*ROLES, "difference"):
            estimate = fitted.differences.get(month) if name == "difference" else fitted.lsmeans.get((month, name))
            if estimate is None:
                estimate = _no_visit(name, month, unit(code))
            estimate = noted(estimate, fitted)
            # That the change within an arm is not 0 is not a question of the trial.
            p = estimate.p if name == "difference" else float("nan")
            _place(results, study, code, month, name, estimate.replace(p=p), arm=name)


def _no_visit(name: str, month: int, of_unit: str) -> Estimate:
    """The primary visit, where nobody was seen."""
    statistic = "LS mean difference" if name == "difference" else "LS mean"
    reason = f"no participant with data at visit {month}"
    return not_estimable(statistic, reason, n=0, n_treatment=0, n_control=0, method="MMRM", unit=of_unit)


def _standardised(results: Results, study: Study, code: str, rows: pd.DataFrame) -> None:
    change = rows["CHG"].to_numpy()
    for month, (treated, controls) in _by_visit_and_arm(study, rows).items():
        g = hedges_g(change[treated], change[controls], study.parameters.level)
        _place(results, study, code, month, "g", g, arm="difference")


def _by_visit_and_arm(study: Study, rows: pd.DataFrame) -> dict[int, tuple[Mask, Mask]]:
    """By month which rows are of the treatment arm, which of the control."""
    visit, arm = rows["AVISITN"].to_numpy(), rows["ARM"].to_numpy(dtype=object)
    treated, controls = (arm == role for role in ROLES)
    return {month: ((visit == month) & treated, (visit == month) & controls) for month in months(study, rows)}


def _adjusted(results: Results, study: Study, codes: list[str]) -> None:
    differences = {code: results[f"secondary.{code.lower()}.primary.difference"] for code in codes}
    decided = holm({code: r.p for code, r in differences.items()}, alpha=study.parameters.alpha)
    for code, p in zip(decided.names, decided.adjusted, strict=True):
        raw = differences[code]
        known: dict[str, Any] = {
            "n": raw.n,
            "n_treatment": raw.n_treatment,
            "n_control": raw.n_control,
            "method": f"Holm's procedure over {len(codes)} scores",
        }
        estimate = (
            Estimate(statistic="p-value", value=p, p=p, **known)
            if p == p
            else not_estimable("p-value", "the score has no p-value", **known)
        )
        _place(results, study, code, int(study.parameters.primary_month), "holm", estimate, arm="difference")


def _important(results: Results, study: Study, code: str, rows: pd.DataFrame) -> None:
    """Participants who improved by at least the minimal clinically important difference, complete cases by visit."""
    least, level = important_change(study, code), study.parameters.level
    sign = 1 if least > 0 else -1
    improved = sign * rows["CHG"].to_numpy() >= abs(least) - TOLERANCE
    for month, by_arm in _by_visit_and_arm(study, rows).items():
        (x1, n1), (x0, n0) = ((int(improved[members].sum()), int(members.sum())) for members in by_arm)
        context = {**_MCID_CONTEXT, "parameter": code, "visit": month}
        place = f"secondary.mcid.{code.lower()}.{visit_name(study, month)}"
        for role, x, n in zip(ROLES, (x1, x0), (n1, n0), strict=True):
            results.add(f"{place}.{role}", proportion(x, n, level=level, method="wilson"), arm=role, **context)
        difference = risk_difference(x1, n1, x0, n0, level=level, method="newcombe")
        results.add(f"{place}.difference", difference, arm="difference", **context)
