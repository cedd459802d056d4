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
from scipy import special, stats

from respine.analyses.study import Study
from respine.parameters import Parameters
from respine.results import Estimate, Results, not_estimable
from respine.stats.gcomputation import standardised_risks
from respine.stats.proportions import proportion
from respine.trial.contract import nominal_day
from respine.trial.response import response_from_values
from respine.trial.synthetic_outcomes import T2_VISITS, Outcomes, simulate_outcomes
from respine.trial.synthetic_spec import VISITS, SimulationSpec, assumed

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

SYMPTOMS = {"none": 0.0, "half": 0.5, "full": 1.0}
"""Benefit in VAS and ODI, in minimal clinically important differences."""
T2_GAIN = 5.0
"""Benefit in T2 where there is one, ms: about three quarters of the standard deviation of its change."""
DROPOUT = {"usual": assumed("missing.dropout"), "high": 0.25}
"""Probability of leaving before month 12 at a VAS of 50 mm."""
TRIALS = 500
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
    values = (array[:, :, visit] for array in (vas, odi) for visit in (0, month))
    return Trials(
        treated=by_trial("treatment"),
        country=by_trial("centre") % len(spec.countries),
        vas=vas,
        odi=odi,
        t2=by_trial("t2"),
        rescued=rescued,
        response=response_from_values(*values, parameters, rescued).response,
    )
