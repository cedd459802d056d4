"""One specification of the difference in response: by which rule, in whom, missing values how, analysed how.

:class:`Prepared` holds what all specifications share: the observed outcomes and one set of draws, completed under each
assumption, so that two specifications differ by what they assume and not by Monte-Carlo error.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from respine.analyses.imputed import incomplete_data, rescued_before
from respine.analyses.study import Study
from respine.parameters import Parameters
from respine.results import NAN, Estimate, not_estimable
from respine.stats.gcomputation import (
    AdjustedRiskDifference,
    StandardisedRisks,
    adjusted_risk_difference,
    design_matrix,
    difference_variance,
    standardised_risks,
)
from respine.stats.imputation import METHODS, Imputations, Method, impute
from respine.stats.proportions import risk_difference
from respine.stats.rubin import pooled_estimate
from respine.trial.response import response_from_values
from respine.trial.trial import AnalysisSet

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

Analysis = Literal["wald", "score", "random", "fixed"]
"""Unadjusted with an unpooled standard error or a score test; adjusted with covariates random or fixed."""

Filling = Literal["complete", "nri", "worst", "best"]
FILLINGS: dict[Filling, str] = {
    "complete": "complete cases",
    "nri": "non-responder imputation",
    "worst": "unknown responses taken against the treatment",
    "best": "unknown responses taken for the treatment",
}
_ANALYSES: dict[str, str] = {
    "wald": "unadjusted difference, unpooled standard error",
    "random": "g-computation from logistic regression, influence-function standard error",
    "fixed": "g-computation from logistic regression, covariates-fixed HC0 delta-method standard error",
}

# A trial as large as this needs no more imputations to tell the methods apart, and would need gigabytes for them.
_IMPUTED_PARTICIPANTS = 500_000
_FEWEST_IMPUTATIONS = 5
_BATCH = {2: 4_000_000, 3: 500_000}
"""Participants over all data sets that are taken at a time: the data sets share a design (2), or have their own (3)."""


class Values(NamedTuple):
    """What response is derived from, arrays of one shape (..., n): VAS in mm, ODI in percent, NaN where missing."""

    vas_base: Floats
    vas: Floats
    odi_base: Floats
    odi: Floats


@dataclass(frozen=True, slots=True)
class Rule:
    """A definition of response: the thresholds, and whether one part is enough or both are needed."""

    parameters: Parameters
    both: bool = False

    def response(self, values: Values, rescued: Bools) -> Floats:
        """Three-valued response, of the values' shape: 1 yes, 0 no, NaN open."""
        vas, odi, either = response_from_values(*values, self.parameters, rescued)
        if not self.both:
            return either
        return np.where((vas == 0) | (odi == 0), 0.0, vas * odi)


@dataclass(frozen=True)
class Prepared:
    """The study's ITT set and its imputations.

    Parameters
    ----------
    study
        The study.
    people
        Rows of the ITT set; (n,) arrays below are in its order.
    treated, rescued
        Randomised to the treatment; rescued at or before the primary visit.
    imputations
        Draws that all assumptions share.
    """

    study: Study
    people: pd.DataFrame
    treated: Bools
    rescued: Bools
    imputations: Imputations

    @classmethod
    def of(cls, study: Study) -> Prepared:
        """Prepare a study: as many imputations, from the seed, as the parameters say (fewer in very large trials)."""
        people = study.trial.participants("ITT")
        m = min(study.parameters.imputations, max(_FEWEST_IMPUTATIONS, _IMPUTED_PARTICIPANTS // max(len(people), 1)))
        return cls(
            study=study,
            people=people,
            treated=(people["ARM"] == "treatment").to_numpy(),
            rescued=rescued_before(study),
            imputations=impute(incomplete_data(study), m=m, seed=study.parameters.seed),
        )

    @property
    def rule(self) -> Rule:
        """The plan's definition of response."""
        return Rule(self.study.parameters)

    @cached_property
    def observed(self) -> Values:
        """Observed outcomes, (n,)."""
        return Values(
            *(self.imputations.data.outcome[:, place] for place in self.imputations.data.position(self._columns))
        )

    @cached_property
    def imputed(self) -> Mapping[Method, Values]:
        """Completed outcomes under each assumption, (m, n)."""
        completed = ((method, self.imputations.completed(method, columns=self._columns)) for method in METHODS)
        return {method: Values(*np.ascontiguousarray(np.moveaxis(values, 2, 0))) for method, values in completed}

    @property
    def _columns(self) -> list[tuple[str, float]]:
        """The outcomes of :class:`Values`."""
        return [(code, month) for code in ("VASPAIN", "ODI") for month in (0.0, self._month)]

    @property
    def _month(self) -> float:
        return float(self.study.parameters.primary_month)

    def column(self, code: str, month: float) -> int:
        """Column of the outcomes that holds an instrument at a visit."""
        return self.imputations.data.columns.index((code, float(month)))

    @cached_property
    def departed(self) -> tuple[Bools, Bools]:
        """(n,): whose VAS, and whose ODI, is missing at the primary month after departure."""
        departed = self.imputations.data.departed
        vas, odi = (departed[:, self.column(code, self._month)] for code in ("VASPAIN", "ODI"))
        return vas, odi

    def members(self, analysis_set: AnalysisSet) -> Bools:
        """(n,): who of the ITT set belongs to a set."""
        return self.people[analysis_set.upper()].to_numpy(dtype=bool)

    def filled(self, response: Floats, filling: Filling) -> Floats:
        """An observed response (n,) with what is unknown filled in without a model; complete cases keep it unknown."""
        fill = {
            "complete": np.full(len(response), NAN),
            "nri": np.zeros(len(response)),
            "worst": (~self.treated).astype(float),
            "best": self.treated.astype(float),
        }[filling]
        return np.where(np.isnan(response), fill, response)

    def one_data_set(
        self, response: Floats, filling: Filling, analyses: Sequence[Analysis], analysis_set: AnalysisSet = "ITT"
    ) -> dict[Analysis, Estimate]:
        """Risk difference in an observed response (n,), filled without a model, by each analysis."""
        rows = self.members(analysis_set)
        known, treated = self.filled(response, filling)[rows], self.treated[rows]
        found: dict[Analysis, Estimate] = {}
        if "score" in analyses:
            found["score"] = risk_difference(*_counts(known, treated), level=self.study.parameters.level)
        if "wald" in analyses:
            plain = self._logistic(known, rows, [])
            found["wald"] = plain.difference
            if plain.fit == "maximum likelihood":
                found["wald"] = plain.difference.replace(method=f"{_ANALYSES['wald']}, normal interval")
        if "random" in analyses or "fixed" in analyses:
            adjusted = self._logistic(known, rows, list(self.study.parameters.covariates))
            found |= {"random": adjusted.difference, "fixed": adjusted.difference_fixed}
        return {a: found[a].replace(method=f"{FILLINGS[filling]}, {found[a].method}") for a in analyses}

    def _logistic(self, known: Floats, rows: Bools, covariates: list[str]) -> AdjustedRiskDifference:
        return adjusted_risk_difference(
            known, self.treated[rows], self.people.loc[rows, covariates], level=self.study.parameters.level
        )

    def many_data_sets(
        self,
        responses: Floats,
        method: Method,
        analyses: Sequence[Analysis],
        analysis_set: AnalysisSet = "ITT",
    ) -> list[dict[Analysis, Estimate]]:
        """Pooled risk difference in each of k imputed responses, (k, m, n), by each analysis.

        A score test is not defined for imputed data and left out.
        """
        rows = self.members(analysis_set)
        found: list[dict[Analysis, Estimate]] = [{} for _ in responses]
        for adjusted in (False, True):
            wanted = [a for a in analyses if a in (("random", "fixed") if adjusted else ("wald",))]
            if not wanted:
                continue
            design = self._design(rows, method, self._covariates(wanted[0]))
            for k, risks in self._fits(responses, design, rows):
                for analysis in wanted:
                    found[k][analysis] = self._pool(risks, analysis, method, rows)
        return found

    def _covariates(self, analysis: Analysis) -> list[str]:
        return [] if analysis == "wald" else list(self.study.parameters.covariates)

    def _design(self, rows: Bools, method: Method, names: list[str]) -> Floats:
        """(rows, p), or (m, rows, p) where a missing baseline was imputed with the rest."""
        covariates, treated = self.people.loc[rows, names], self.treated[rows]
        if covariates.notna().all(axis=None):
            return design_matrix(treated, covariates)[0]
        values = self.imputed[method]
        imputed = {"VASBL": values.vas_base[:, rows], "ODIBL": values.odi_base[:, rows]}
        own = [name for name in names if name in imputed]
        designs = [
            design_matrix(treated, covariates.assign(**{name: imputed[name][i] for name in own}))[0]
            for i in range(self.imputations.m)
        ]
        return np.stack(designs)

    def _fits(self, responses: Floats, design: Floats, rows: Bools) -> Iterator[tuple[int, StandardisedRisks | None]]:
        """Each response's fits in ``rows``, many responses at a time; None where it is not known in both arms."""
        m, treated = responses.shape[1], self.treated[rows]
        batch = max(1, _BATCH[design.ndim] // max(m * len(treated), 1))
        for start in range(0, len(responses), batch):
            some = responses[start : start + batch][:, :, rows]
            sound = ~np.isnan(some).any(axis=(1, 2)) & bool(len(treated) and treated.any() and not treated.all())
            yield from ((start + int(i), None) for i in np.flatnonzero(~sound))
            if not sound.any():
                continue
            own = design if design.ndim == 2 else np.tile(design, (int(sound.sum()), 1, 1))
            fitted = standardised_risks(some[sound].reshape(-1, len(treated)), own)
            for place, i in enumerate(np.flatnonzero(sound)):
                yield start + int(i), _part(fitted, slice(place * m, (place + 1) * m))

    def _pool(self, risks: StandardisedRisks | None, analysis: Analysis, method: Method, rows: Bools) -> Estimate:
        n1, n0 = int(self.treated[rows].sum()), int((~self.treated[rows]).sum())
        text = f"{_ANALYSES[analysis]}, multiple imputation, {METHODS[method]} ({self.imputations.model})"
        known: dict[str, Any] = {"n": n1 + n0, "n_treatment": n1, "n_control": n0, "unit": "proportion"}
        if risks is None:
            reason = self.imputations.note or "an arm is empty, or a response stays unknown after imputation"
            return not_estimable("risk difference", reason, method=text, **known)
        covariance = risks.covariance_fixed if analysis == "fixed" else risks.covariance
        pooled = pooled_estimate(
            "risk difference",
            risks.difference,
            difference_variance(covariance),
            df_complete=max(n1 + n0 - risks.parameters, 1),
            level=self.study.parameters.level,
            method=text,
            **known,
        )
        notes = [pooled.note, *_fallbacks(risks, analysis), self.imputations.note]
        # A t interval may leave the parameter space.
        return pooled.replace(
            lower=max(pooled.lower, -1.0), upper=min(pooled.upper, 1.0), note="; ".join(filter(None, notes))
        )


def _part(risks: StandardisedRisks, where: slice) -> StandardisedRisks:
    return StandardisedRisks(
        risk_treatment=risks.risk_treatment[where],
        risk_control=risks.risk_control[where],
        covariance=risks.covariance[where],
        covariance_fixed=risks.covariance_fixed[where],
        covariance_model=risks.covariance_model[where],
        fit=risks.fit[where],
        parameters=risks.parameters,
    )


def _fallbacks(risks: StandardisedRisks, analysis: Analysis) -> list[str]:
    """What is to be said of fits other than maximum likelihood; an unadjusted analysis is no fallback of itself."""
    names = [name for name in ("Firth", "unadjusted") if (risks.fit == name).any() and analysis != "wald"]
    return [
        f"{int((risks.fit == name).sum())} of {len(risks.fit)} imputed data sets used the {name} fit" for name in names
    ]


def _counts(response: Floats, treated: Bools) -> tuple[int, int, int, int]:
    """Responders and participants with a known response, treatment then control."""
    known = ~np.isnan(response)
    arms = [response[known & arm] for arm in (treated, ~treated)]
    return int(arms[0].sum()), len(arms[0]), int(arms[1].sum()), len(arms[1])
