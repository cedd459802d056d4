"""Mixed analysis of variance and pairwise tests of pain and disability by Pingouin: a supportive look at section 5."""

from __future__ import annotations

import math
import warnings
from typing import Any

import pandas as pd
import pingouin

from respine.analyses.secondary import changes_by_score
from respine.analyses.structure import visit_name
from respine.analyses.study import Study
from respine.results import Estimate, Results, not_estimable
from respine.trial.trial import ROLES

SCORES = ("VASPAIN", "ODI")
SOURCES = {"ARM": "arm", "AVISITN": "visit", "Interaction": "interaction"}
_CONTEXT = {"analysis": "Mixed analysis of variance", "set": "mITT"}
_METHOD = "mixed ANOVA of the change, arm between and visit within participants, complete cases (Pingouin)"
_CORRECTED = _METHOD + ", Greenhouse-Geisser correction"
_PAIRWISE = "t-test of the change between the arms, Welch where they differ in size, complete cases (Pingouin)"


def analyse(study: Study) -> Results:
    """Arm, visit and their interaction, and the arms compared at each visit, for participants seen at every visit.

    Ids: ``secondary.anova.<score>.<arm, visit or interaction>`` (F, p uncorrected) with ``.df1`` (numerator degrees of
    freedom; ``df`` is the denominator's), ``.gg`` (p-value, Greenhouse-Geisser) and ``.np2`` (partial eta squared);
    ``secondary.pairwise.<score>.<visit>`` (t, treatment - control) with ``.g`` (Hedges' g).
    """
    results = Results()
    for code, rows in changes_by_score(study).items():
        if code in SCORES:
            complete = complete_cases(rows)
            reason = not_computable(complete)
            _anova(results, code, complete, reason)
            _pairwise(results, study, code, complete, reason)
    return results


def complete_cases(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of the participants with a change at every visit that the score has."""
    visits = rows["AVISITN"].nunique()
    seen = rows.groupby("USUBJID")["CHG"].transform("count")
    # Plain text: Pingouin counts the empty categories of a categorical column.
    return rows[seen == visits].assign(ARM=lambda frame: frame["ARM"].astype(str)).reset_index(drop=True)


def not_computable(complete: pd.DataFrame) -> str:
    """Why there is no mixed analysis of variance, or an empty text."""
    if complete["AVISITN"].nunique() < 2:
        return "fewer than two visits with complete participants"
    people = complete.drop_duplicates("USUBJID")["ARM"].value_counts()
    if any(people.get(role, 0) < 2 for role in ROLES):
        return "fewer than two complete participants in an arm"
    spread = complete.groupby(["ARM", "AVISITN"])["CHG"].agg(lambda x: x.max() - x.min())
    if (spread == 0).any():
        return "the changes do not vary within an arm at a visit"
    by_visit = complete["CHG"] - complete.groupby(["ARM", "AVISITN"])["CHG"].transform("mean")
    own = by_visit - by_visit.groupby(complete["USUBJID"]).transform("mean")
    if own.abs().max() <= 1e-10 * complete["CHG"].abs().max():
        return "from visit to visit all participants of an arm change by the same amount"
    return ""


def _counts(complete: pd.DataFrame) -> dict[str, Any]:
    people = complete.drop_duplicates("USUBJID")["ARM"].value_counts()
    n1, n0 = (int(people.get(role, 0)) for role in ROLES)
    return {"n": n1 + n0, "n_treatment": n1, "n_control": n0}


def _anova(results: Results, code: str, complete: pd.DataFrame, reason: str) -> None:
    known = _counts(complete)
    context = {**_CONTEXT, "parameter": code}
    place = f"secondary.anova.{code.lower()}"
    if reason:
        results.add(f"{place}.interaction", not_estimable("F", reason, method=_METHOD, **known), **context)
        return
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        table = pingouin.mixed_anova(
            complete, dv="CHG", within="AVISITN", between="ARM", subject="USUBJID", correction=True
        )
    note = _said(caught)
    for row in table.to_dict("records"):
        name = f"{place}.{SOURCES[row['Source']]}"
        results.add(
            name, _finite("F", row["F"], _METHOD, note, p=row["p_unc"], df=float(row["DF2"]), **known), **context
        )
        results.add(
            f"{name}.df1",
            Estimate(
                statistic="numerator degrees of freedom", value=float(row["DF1"]), method=_METHOD, note=note, **known
            ),
            digits=0,
            **context,
        )
        # Missing for the factor between participants, and for two visits, where there is nothing to correct.
        p = row.get("p_GG_corr", math.nan)
        if not math.isnan(p):
            results.add(f"{name}.gg", _finite("p-value", p, _CORRECTED, note, p=p, **known), **context)
        results.add(
            f"{name}.np2", _finite("partial eta squared", row["np2"], _METHOD, note, **known), digits=3, **context
        )


def _pairwise(results: Results, study: Study, code: str, complete: pd.DataFrame, reason: str) -> None:
    known = _counts(complete)
    if reason:
        return
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        table = pingouin.pairwise_tests(complete, dv="CHG", within="AVISITN", between="ARM", subject="USUBJID")
    note = _said(caught)
    for row in table[table["Contrast"] == "AVISITN * ARM"].to_dict("records"):
        month = int(row["AVISITN"])
        # Pingouin takes the arms in alphabetical order, control first.
        sign = 1.0 if row["A"] == "treatment" else -1.0
        context = {**_CONTEXT, "parameter": code, "visit": month, "arm": "difference"}
        place = f"secondary.pairwise.{code.lower()}.{visit_name(study, month)}"
        t = _finite("t", sign * row["T"], _PAIRWISE, note, p=row["p_unc"], df=float(row["dof"]), **known)
        results.add(place, t, **context)
        g = _finite("Hedges' g", sign * row["hedges"], "Hedges' g of complete cases (Pingouin)", note, **known)
        results.add(f"{place}.g", g, **context)


def _finite(statistic: str, value: float, method: str, note: str, **known: Any) -> Estimate:
    if not math.isfinite(value):
        return not_estimable(statistic, note or "Pingouin gives no number", method=method, **known)
    return Estimate(statistic=statistic, value=float(value), method=method, note=note, **known)


def _said(caught: list[warnings.WarningMessage]) -> str:
    """What Pingouin warned of, for the note of its numbers."""
    messages = dict.fromkeys(str(w.message).strip().splitlines()[0] for w in caught)
    return f"Pingouin warned: {'; '.join(messages)}" if messages else ""
