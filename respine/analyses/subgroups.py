"""Subgroups of the primary response, complete cases of the ITT set (section 5 of the plan)."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import statsmodels.api as sm
from scipy.special import chdtrc
from statsmodels.tools.sm_exceptions import PerfectSeparationWarning

from respine.analyses.baseline import level_slug
from respine.analyses.response import ROLES, Counts, count, primary_frame
from respine.analyses.study import Study
from respine.results import Estimate, Results, not_estimable
from respine.stats.proportions import proportion, risk_difference
from respine.stats.stratified import breslow_day

_CONTEXT = {"analysis": "Response in subgroups", "set": "ITT"}
LIKELIHOOD_RATIO = "likelihood-ratio test of arm by subgroup in logistic regression"


@dataclass(frozen=True, slots=True)
class Subgroup:
    """One way to divide the participants by a baseline variable.

    Parameters
    ----------
    column
        Column of ``adsl``.
    label, unit
        As the chapter shows them.
    cut
        Values below it form the first level, others the second; None keeps the variable's own levels.
    """

    column: str
    label: str
    cut: int | None = None
    unit: str = ""

    def levels(self, values: pd.Series[Any]) -> dict[str, pd.Series[bool]]:
        """Members by level, the level's name in result ids; those without a value are in none."""
        if self.cut is not None:
            return {f"lt{self.cut}": values < self.cut, f"ge{self.cut}": values >= self.cut}
        return {level_slug(level): values == level for level in sorted(values.dropna().unique())}


SUBGROUPS = {
    "SEX": Subgroup("SEX", "Sex"),
    "AGE": Subgroup("AGE", "Age", 45, "years"),
    "BMI": Subgroup("BMIBL", "Body mass index", 25, "kg/m²"),
    "PFIRRMANN": Subgroup("PFIRRBL", "Modified Pfirrmann grade", 6),
    "MODIC": Subgroup("MODICBL", "Modic type", 1),
    "COUNTRY": Subgroup("COUNTRY", "Country"),
    "VASBL": Subgroup("VASBL", "Baseline pain (VAS)", 70, "mm"),
}
"""By the name in ``Parameters.subgroups``. No cut point is taken from a sample: 45 years is used by custom, 25 kg/m2 is
where overweight begins (WHO), grade 6 halves the eligible Pfirrmann grades 4 to 7, type 1 is any Modic change, and 70
mm halves the eligible pain above 40 to 100 mm."""


def analyse(study: Study) -> Results:
    """Response by subgroup: rates, risk difference and interaction, unadjusted.

    Ids: ``subgroups.overall.<arm or difference>``, ``subgroups.<name>.<level>.<arm or difference>``,
    ``subgroups.<name>.interaction`` (p-value). Levels without a participant in an arm are not estimable.
    """
    frame = primary_frame(study)
    known = frame[frame["RESPONSE"].notna()]
    results = Results()
    _level(results, study, "overall", "", count(known))
    for name in study.parameters.subgroups:
        subgroup = SUBGROUPS[name]
        values = known[subgroup.column]
        tables = {level: count(known[members]) for level, members in subgroup.levels(values).items()}
        for level, counts in tables.items():
            _level(results, study, f"{name.lower()}.{level}", name, counts)
        missing = int(values.isna().sum())
        interaction = interaction_test(tables)
        note = f"{missing} of {len(values)} participants have no value" if missing else ""
        interaction = interaction.replace(note="; ".join(filter(None, (interaction.note, note))))
        _place(results, study, f"{name.lower()}.interaction", interaction, parameter=name, arm="difference")
    return results


def levels(results: Results, name: str) -> list[str]:
    """The levels of a subgroup that the results hold, in order."""
    ids = (id.split(".") for id in results if id.startswith(f"subgroups.{name.lower()}."))
    return [parts[2] for parts in ids if len(parts) == 4 and parts[3] == "difference"]


def interaction_test(tables: dict[str, Counts]) -> Estimate:
    r"""Test that the odds ratio of response is the same at all levels of a subgroup.

    Likelihood-ratio test of arm by level in a logistic regression of response on arm and level,
    :math:`G^2 = 2 (\ell_{\text{arm, level, arm:level}} - \ell_{\text{arm, level}}) \sim \chi^2_{K - 1}`: the deviance
    of the additive model for the K x 2 counts. Levels with one arm only, or in which all or none respond, say nothing
    about the odds ratio and do not count in K. Where in another level an arm has only responders or none, the odds
    ratio there is 0 or infinite (separation) and the Breslow-Day test with Tarone's correction is used instead.

    Parameters
    ----------
    tables
        Responders and participants of both arms by level.

    Returns
    -------
    Estimate
        Statistic ``p-value`` with its ``df``; not estimable with fewer than two informative levels.
    """
    counts = np.array(list(tables.values()), dtype=float).reshape(-1, 4)
    n1, n0 = int(counts[:, 1].sum()), int(counts[:, 3].sum())
    known: dict[str, Any] = {"n": n1 + n0, "n_treatment": n1, "n_control": n0}
    x = counts[:, 0] + counts[:, 2]
    informative = (counts[:, [1, 3]] > 0).all(axis=1) & (x > 0) & (x < counts[:, 1] + counts[:, 3])
    left_out = int((~informative).sum())
    note = f"{left_out} of {len(informative)} levels without information left out" if left_out else ""
    counts = counts[informative]
    if len(counts) < 2:
        reason = "fewer than two levels with both arms in which the response varies"
        return not_estimable("p-value", reason, method=LIKELIHOOD_RATIO, **known)
    events, n = counts[:, [0, 2]], counts[:, [1, 3]]
    if ((events == 0) | (events == n)).any():
        instead = breslow_day(*counts.T)
        note = "; ".join(
            filter(None, (note, "an arm has all or no responders at a level: Breslow-Day test", instead.note))
        )
        return instead.replace(note=note, **known)
    K = len(counts)
    # Rows: the levels under treatment, then under control; columns: arm, then an intercept a level.
    X = np.column_stack([np.repeat([1.0, 0.0], K), np.tile(np.eye(K), (2, 1))])
    y = np.column_stack([events.T.ravel(), (n - events).T.ravel()])
    with warnings.catch_warnings():
        # Raised where the additive model fits the counts exactly; separation has been ruled out above.
        warnings.simplefilter("ignore", PerfectSeparationWarning)
        deviance = float(sm.GLM(y, X, family=sm.families.Binomial()).fit(tol=1e-12).deviance)
    p = float(chdtrc(K - 1, max(deviance, 0.0)))
    return Estimate(statistic="p-value", value=p, p=p, df=float(K - 1), method=LIKELIHOOD_RATIO, note=note, **known)


def _place(results: Results, study: Study, name: str, estimate: Estimate, **context: Any) -> None:
    month = study.parameters.primary_month
    results.add(f"subgroups.{name}", estimate, **(_CONTEXT | {"visit": month} | context))


def _level(results: Results, study: Study, place: str, parameter: str, counts: Counts) -> None:
    level = study.parameters.level
    for role, (x, n) in zip(ROLES, (counts[:2], counts[2:]), strict=True):
        rate = proportion(x, n, level=level, method="wilson")
        _place(results, study, f"{place}.{role}", rate, parameter=parameter, arm=role)
    difference = risk_difference(*counts, level=level, method="newcombe")
    _place(results, study, f"{place}.difference", difference, parameter=parameter, arm="difference")
