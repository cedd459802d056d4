"""Both co-primary endpoints together: multiplicity (section 4 of the plan)."""

from __future__ import annotations

from typing import Any

from respine.analyses import response, structure
from respine.analyses.study import Study
from respine.results import Estimate, Results, not_estimable
from respine.stats.multiplicity import MultipleTests, both_must_succeed, fixed_sequence, holm
from respine.trial.trial import ROLES

_CONTEXT = {"analysis": "Both co-primary endpoints", "arm": "difference"}
ENDPOINTS = ("response", "structure")
PROCEDURES = {"both": both_must_succeed, "holm": holm, "sequence": fixed_sequence}


def analyse(study: Study) -> Results:
    """The two main differences again, and their p-values under each multiple test procedure.

    Ids: ``discussion.<endpoint>``, ``discussion.<procedure>.<endpoint>`` (adjusted p-values),
    ``discussion.unknown.<arm>`` (participants whose response is not known). A p-value counts only for a difference in
    the treatment's favour: the others are taken as 1, so that harm never makes a success.
    """
    differences = {
        "response": response.main_analysis(study)["difference"],
        "structure": structure.main_analysis(study, structure.long_changes(study))["difference"],
    }
    results = Results()
    sets = {"response": "ITT", "structure": "mITT"}
    month = study.parameters.primary_month
    for name, estimate in differences.items():
        results.add(f"discussion.{name}", estimate, set=sets[name], visit=month, **_CONTEXT)
    frame = response.primary_frame(study)
    for role in ROLES:
        answered = frame.loc[frame["ARM"] == role, "RESPONSE"]
        unknown = Estimate(
            statistic="count", value=int(answered.isna().sum()), n=len(answered), method="count of participants"
        )
        results.add(f"discussion.unknown.{role}", unknown, set="ITT", visit=month, **(_CONTEXT | {"arm": role}))
    p = {name: _in_favour(estimate) for name, estimate in differences.items()}
    for slug, procedure in PROCEDURES.items():
        decided = procedure(p, alpha=study.parameters.alpha)
        for name in ENDPOINTS:
            estimate = _adjusted(decided, name, differences[name])
            results.add(f"discussion.{slug}.{name}", estimate, visit=month, **_CONTEXT)
    return results


def _in_favour(estimate: Estimate) -> float:
    return estimate.p if not estimate.value <= 0 else 1.0


def _adjusted(decided: MultipleTests, name: str, estimate: Estimate) -> Estimate:
    value = decided.adjusted[decided.names.index(name)]
    known: dict[str, Any] = {
        "n_treatment": estimate.n_treatment,
        "n_control": estimate.n_control,
        "method": decided.procedure,
    }
    if value != value:
        return not_estimable("p-value", "the endpoint has no p-value", **known)
    return Estimate(statistic="p-value", value=value, p=value, **known)
