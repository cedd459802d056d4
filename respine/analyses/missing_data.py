"""What the difference in response owes to its missing values: methods side by side, and the tipping-point surface."""

from __future__ import annotations

import numpy as np

from respine.analyses.specification import FILLINGS, Filling, Prepared, Values
from respine.parameters import Parameters
from respine.results import Estimate, Results
from respine.stats.imputation import METHODS

ROLES = ("treatment", "control")
MAIN = "mar"
"""The method of the main analysis."""
BOUNDS: tuple[Filling, Filling] = ("worst", "best")
MISSING = ("complete", "nri", *(method.lower() for method in METHODS), *BOUNDS)
"""Methods in order of print, by the last word of their ids."""
_CONTEXT = {"analysis": "Missing data", "set": "ITT", "parameter": "RESPONSE"}


def side_by_side(prepared: Prepared) -> Results:
    """The adjusted difference by each method for missing values, and what is missing.

    Ids: ``robustness.missing.<method>``; ``robustness.unknown.<arm>`` (response not known at the primary month),
    ``robustness.departed.<arm>`` (of these, VAS or ODI missing after departure; the rest were missed in between).
    """
    results = Results()
    response = prepared.rule.response(prepared.observed, prepared.rescued)
    found: dict[str, Estimate] = {}
    for filling in FILLINGS:
        found[filling] = prepared.one_data_set(response, filling, ["random"])["random"]
    for method in METHODS:
        completed = prepared.rule.response(prepared.imputed[method], prepared.rescued)
        found[method.lower()] = prepared.many_data_sets(completed[None], method, ["random"])[0]["random"]
    visit = prepared.study.parameters.primary_month
    for name in MISSING:
        results.add(f"robustness.missing.{name}", found[name], arm="difference", visit=visit, **_CONTEXT)
    unknown = np.isnan(response)
    departed = unknown & np.logical_or(*prepared.departed)
    for role, members in zip(ROLES, (prepared.treated, ~prepared.treated), strict=True):
        for name, who in (("unknown", unknown), ("departed", departed)):
            count = Estimate(
                statistic="count",
                value=int((who & members).sum()),
                n=int(members.sum()),
                method="count of participants",
            )
            results.add(f"robustness.{name}.{role}", count, arm=role, visit=visit, **_CONTEXT)
    return results


def deltas(parameters: Parameters) -> list[float]:
    """The grid of the tipping-point surface: what is added to a VAS imputed after departure, mm."""
    steps = int(np.floor(parameters.delta_max / parameters.delta_step + 1e-9))
    return [round(step * parameters.delta_step, 6) for step in range(steps + 1)]


def tipping_id(treatment: float, control: float) -> str:
    """The id of the cell where the arms' values are this much worse than imputed."""
    return f"robustness.tipping.t{slug(treatment)}.c{slug(control)}"


def slug(number: float) -> str:
    """A number as part of an id: ``12.5`` is ``12_5``."""
    return f"{number:.6f}".rstrip("0").rstrip(".").replace(".", "_")


def tipping_point(prepared: Prepared) -> Results:
    """The main analysis with the values imputed after departure made worse, arm by arm.

    A delta is added to VAS (mm); ODI is moved along by as many minimal important differences,
    ``delta * mcid_odi_points / mcid_vas_mm``, for a participant worse in pain alone would stay a responder by function.
    Values missed in between are left as imputed. Ids: ``robustness.tipping.t<delta>.c<delta>``, deltas of the treatment
    and of the control.
    """
    grid = deltas(prepared.study.parameters)
    moved = [prepared.rule.response(_moved(prepared, delta), prepared.rescued) for delta in grid]
    results = Results()
    for treatment, response in zip(grid, moved, strict=True):
        responses = np.stack([np.where(prepared.treated, response, other) for other in moved])
        found = prepared.many_data_sets(responses, "MAR", ["random"])
        for control, estimates in zip(grid, found, strict=True):
            estimate = estimates["random"]
            shift = f"delta {treatment:g} mm in the treatment and {control:g} mm in the control arm"
            results.add(
                tipping_id(treatment, control),
                estimate.replace(method=f"{estimate.method}, {shift}"),
                arm="difference",
                visit=prepared.study.parameters.primary_month,
                **_CONTEXT,
            )
    return results


def _moved(prepared: Prepared, delta: float) -> Values:
    parameters, values = prepared.study.parameters, prepared.imputed["MAR"]
    vas, odi = prepared.departed
    along = delta * parameters.mcid_odi_points / parameters.mcid_vas_mm
    return values._replace(vas=values.vas + delta * vas, odi=values.odi + along * odi)
