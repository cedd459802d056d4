"""Operating characteristics of the co-primary strategy by simulation (section 8 of the plan).

Trials of the study's size are simulated by :func:`respine.trial.synthetic_outcomes.simulate_outcomes` and analysed as
arrays. Both endpoints use complete cases: imputing every simulated trial would take minutes.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy import stats

from respine.analyses.study import Study
from respine.parameters import Parameters
from respine.results import Estimate, Results, not_estimable
from respine.stats.gcomputation import standardised_risks
from respine.stats.proportions import proportion
from respine.trial.contract import nominal_day
from respine.trial.response import response_from_values
from respine.trial.synthetic_outcomes import T2_VISITS, simulate_outcomes
from respine.trial.synthetic_spec import VISITS, SimulationSpec, assumed

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

SYMPTOMS = {"none": 0.0, "half": 0.5, "full": 1.0}
"""Benefit in VAS and ODI, in minimal clinically important differences."""
T2_GAIN = 5.0
"""Benefit in T2 where there is one, ms: about three quarters of the standard deviation of its change."""
DROPOUT = {"usual": assumed("missing.dropout"), "high": 0.25}
"""Probability of leaving before month 12 at a VAS of 50 mm."""
TRIALS = 400
"""Simulated trials of one scenario."""
LARGEST = 500
"""Participants up to which a chapter can simulate a trial in reasonable time."""

Gain = Literal["none", "gain"]
GAINS: dict[Gain, float] = {"none": 0.0, "gain": T2_GAIN}
_CONTEXT = {"analysis": "Operating characteristics"}


@dataclass(frozen=True, slots=True)
class Trials:
    """Simulated trials as arrays of shape (trials, n); NaN where missing."""

    treated: Bools
    country: npt.NDArray[np.int64]
    vas: Floats
    """(trials, n, visits)"""
    odi: Floats
    t2: Floats
    """(trials, n, imaging visits)"""
    rescued: Bools
    """Rescued at or before the primary visit."""
    response: Floats


def simulate_trials(spec: SimulationSpec, parameters: Parameters, *, trials: int, seed: int) -> Trials:
    """Simulate trials of one specification and derive their responses at the primary month."""
    outcomes = simulate_outcomes(spec, seed, trials)

    def by_trial(name: Literal["treatment", "centre", "vas", "odi", "t2", "day", "rescue_day"]) -> Any:
        values = getattr(outcomes, name)
        return values.reshape(trials, spec.n, *values.shape[1:])

    month = VISITS.index(parameters.primary_month)
    vas, odi, day = by_trial("vas"), by_trial("odi"), by_trial("day")[:, :, month]
    rescued = by_trial("rescue_day") <= np.where(np.isnan(day), nominal_day(parameters.primary_month), day)
    return Trials(
        treated=by_trial("treatment"),
        country=by_trial("centre") % len(spec.countries),
        vas=vas,
        odi=odi,
        t2=by_trial("t2"),
        rescued=rescued,
        response=response_from_values(
            vas[:, :, 0], vas[:, :, month], odi[:, :, 0], odi[:, :, month], parameters, rescued
        ).response,
    )


@dataclass(frozen=True, slots=True)
class Differences:
    """One estimated difference for each simulated trial, (trials,); p is NaN where there is none."""

    value: Floats
    se: Floats
    df: Floats

    @property
    def p(self) -> Floats:
        """Two-sided p-values; an infinite df gives the normal ones."""
        with np.errstate(divide="ignore", invalid="ignore"):
            statistic = np.abs(self.value) / self.se
        p: Floats = 2 * stats.t.sf(statistic, self.df)
        return p

    def covers(self, truth: float, level: float) -> Bools:
        """Whether each interval holds the true difference."""
        half = stats.t.isf((1 - level) / 2, self.df) * self.se
        holds: Bools = np.abs(self.value - truth) <= half
        return holds


def response_differences(trials: Trials, covariates: tuple[str, ...], *, small_sample: bool = False) -> Differences:
    """Adjusted risk difference among those with a known response, as the plan's complete-case analysis has it."""
    design = _design(trials, covariates)
    known = ~np.isnan(trials.response)
    counts = known.sum(axis=1)
    value, variance = np.full(len(counts), np.nan), np.full(len(counts), np.nan)
    first = np.argsort(~known, axis=1, kind="stable")
    # Trials with the same number of known responses are fitted together.
    for count in np.unique(counts[counts > 0]):
        of = np.flatnonzero(counts == count)
        rows = first[of, :count]
        own = np.take_along_axis(design[of], rows[:, :, None], axis=1)
        both = (own[:, :, 1].min(axis=1) == 0) & (own[:, :, 1].max(axis=1) == 1)
        if both.any():
            response = np.take_along_axis(trials.response[of], rows, axis=1)
            risks = standardised_risks(response[both], own[both], small_sample=small_sample)
            value[of[both]], variance[of[both]] = risks.difference, risks.variance
    return Differences(value, np.sqrt(variance), np.full(len(counts), np.inf))


def _design(trials: Trials, covariates: tuple[str, ...]) -> Floats:
    """(trials, n, p): intercept, arm and covariates, the continuous ones standardised within each trial."""
    columns = [np.ones(trials.treated.shape), trials.treated.astype(float)]
    for name in covariates:
        if name == "COUNTRY":
            columns += _indicators(trials.country)
        else:
            values = (trials.vas if name == "VASBL" else trials.odi)[:, :, 0]
            spread = values.std(axis=1, keepdims=True)
            columns.append((values - values.mean(axis=1, keepdims=True)) / np.where(spread > 0, spread, 1))
    return np.stack(columns, axis=2)


def _indicators(country: npt.NDArray[np.int64]) -> list[Floats]:
    return [(country == k).astype(float) for k in range(1, int(country.max()) + 1)]


def t2_differences(trials: Trials, month: int) -> Differences:
    """Difference in change of T2 by analysis of covariance with baseline and country, as the plan's co-primary 2."""
    baseline, value = trials.t2[:, :, 0], trials.t2[:, :, T2_VISITS.index(month)]
    followed = ~np.isnan(trials.vas[:, :, 1:]).all(axis=2) | ~np.isnan(trials.odi[:, :, 1:]).all(axis=2)
    known = ~np.isnan(value - baseline) & followed
    X = np.stack([np.ones(known.shape), trials.treated, np.where(known, baseline, 0), *_indicators(trials.country)], 2)
    X *= known[:, :, None]
    y = np.where(known, value - baseline, 0.0)
    gram = np.swapaxes(X, 1, 2) @ X
    inverse: Floats = np.linalg.pinv(gram, rcond=1e-12, hermitian=True)
    beta = (inverse @ (np.swapaxes(X, 1, 2) @ y[:, :, None]))[:, :, 0]
    df = known.sum(axis=1) - np.linalg.matrix_rank(gram, hermitian=True)
    residual = y - (X @ beta[:, :, None])[:, :, 0]
    sound = (df > 0) & (known & trials.treated).any(axis=1) & (known & ~trials.treated).any(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        se = np.sqrt(inverse[:, 1, 1] * (residual**2).sum(axis=1) / df)
    return Differences(np.where(sound, beta[:, 1], np.nan), np.where(sound, se, np.nan), df.astype(float))


# --- the chapter ------------------------------------------------------------------------------------------------------


def operating_id(symptoms: str, gain: str, dropout: str, what: str) -> str:
    """The id of what was simulated in one scenario."""
    return f"robustness.oc.{symptoms}.{gain}.{dropout}.{what}"


def analyse(study: Study) -> Results:
    """Probability of success of each endpoint and of both, at the study's size.

    Ids ``robustness.oc.<symptoms>.<gain>.<dropout>.<what>``: benefit in pain and function (``none``, ``half``, ``full``
    minimal important difference), in T2 (``none``, ``gain``), drop-out (``usual``, ``high``); ``response``, ``t2`` and
    ``both`` (share of trials with p at most alpha in the treatment's favour), ``difference`` (mean estimated difference
    in response), ``known`` (mean share of known responses). The intervals are the simulation's own uncertainty.
    """
    people = study.trial.participants("ITT")
    n1, n0 = (int((people["ARM"] == role).sum()) for role in ("treatment", "control"))
    results = Results()
    reason = ""
    if min(n1, n0) == 0:
        reason = "an arm is empty"
    elif n1 + n0 > LARGEST:
        reason = f"trials of more than {LARGEST} participants are not simulated here"
    for symptoms, dropout in product(SYMPTOMS, DROPOUT):
        found = _blank(reason) if reason else _scenario(study, n1, n0, symptoms, dropout)
        for (gain, what), estimate in found.items():
            arm = "difference" if what == "difference" else ""
            results.add(
                operating_id(symptoms, gain, dropout, what),
                estimate.replace(n_treatment=n1, n_control=n0),
                arm=arm,
                parameter="T2" if what == "t2" else "RESPONSE" if what in ("response", "difference", "known") else "",
                visit=study.parameters.primary_month,
                **_CONTEXT,
            )
    return results


def _scenario(study: Study, n1: int, n0: int, symptoms: str, dropout: str) -> dict[tuple[Gain, str], Estimate]:
    parameters, benefit = study.parameters, SYMPTOMS[symptoms]
    spec = SimulationSpec(
        n_treatment=n1,
        n_control=n0,
        effect_vas=-benefit * parameters.mcid_vas_mm,
        effect_odi=-benefit * parameters.mcid_odi_points,
        dropout=DROPOUT[dropout],
    )
    trials = simulate_trials(spec, parameters, trials=TRIALS, seed=parameters.seed)
    response = response_differences(trials, tuple(parameters.covariates))
    imaged = parameters.primary_month in T2_VISITS
    t2 = t2_differences(trials, parameters.primary_month) if imaged else None
    wins = (response.p <= parameters.alpha) & (response.value > 0)
    known = float((~np.isnan(trials.response)).mean())
    found: dict[tuple[Gain, str], Estimate] = {}
    for gain, ms in GAINS.items():
        found[gain, "known"] = Estimate(
            statistic="share of known responses", value=known, unit="proportion", n=TRIALS, method=_METHOD
        )
        found[gain, "difference"] = _mean_difference(response.value)
        found[gain, "response"] = _share(wins, parameters.level)
        if t2 is None:
            reason = "there is no image at the primary month"
            found[gain, "t2"] = found[gain, "both"] = not_estimable(_SUCCESS, reason, method=_METHOD)
            continue
        # A benefit that is the same in everybody moves the estimate by itself and no residual.
        moved = Differences(t2.value + ms, t2.se, t2.df)
        gains = (moved.p <= parameters.alpha) & (moved.value > 0)
        found[gain, "t2"] = _share(gains, parameters.level)
        found[gain, "both"] = _share(wins & gains, parameters.level)
    return found


_METHOD = f"{TRIALS} simulated trials, complete cases"
_SUCCESS = "probability of success"


def _share(success: Bools, level: float) -> Estimate:
    share = proportion(int(success.sum()), len(success), level=level, method="wilson")
    return share.replace(statistic=_SUCCESS, method=f"{_METHOD}, Wilson interval of the Monte-Carlo error")


def _mean_difference(values: Floats) -> Estimate:
    known = values[~np.isnan(values)]
    if not len(known):
        return not_estimable("mean risk difference", "no simulated trial gave an estimate", method=_METHOD)
    se = float(known.std(ddof=1) / np.sqrt(len(known))) if len(known) > 1 else float("nan")
    return Estimate(
        statistic="mean risk difference", value=float(known.mean()), se=se, unit="proportion", method=_METHOD
    )


def _blank(reason: str) -> dict[tuple[Gain, str], Estimate]:
    names = {"known": "share of known responses", "difference": "mean risk difference"}
    return {
        (gain, what): not_estimable(names.get(what, _SUCCESS), reason, method=_METHOD)
        for gain in GAINS
        for what in ("known", "difference", "response", "t2", "both")
    }
