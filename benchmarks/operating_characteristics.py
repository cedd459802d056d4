"""Type I error and coverage of the main analyses under the null, at 58 + 56, and the speed of simulating them."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor

import numpy as np

from benchmarks import Row
from benchmarks.statistics import incomplete_data
from respine.analyses.operating import Differences, Trials, response_differences, simulate_trials, t2_differences
from respine.parameters import Parameters
from respine.stats import mmrm
from respine.stats.gcomputation import difference_variance, standardised_risks
from respine.stats.imputation import impute
from respine.stats.mmrm_likelihood import NoInteriorOptimumError
from respine.stats.rubin import pool
from respine.trial.response import response_from_values
from respine.trial.synthetic_spec import VISITS, SimulationSpec

TRIALS = 10_000
IMPUTED_TRIALS = 2_000
IMPUTATIONS = 20
_CHUNK = 250
_PARAMETERS = Parameters()
_SPEC = SimulationSpec()
# Nothing is missed in between: drop-out alone leaves as much missing, and monotone data need no iteration to impute.
_DROPOUT_ONLY = SimulationSpec(gaps=0.0, dropout=0.12)

Found = dict[str, Differences]


def rows() -> Iterator[Row]:
    """Complete-case analyses and MMRM in many trials, multiple imputation in fewer."""
    with ProcessPoolExecutor(max_workers=os.cpu_count()) as pool_of_workers:
        start = time.perf_counter()
        found, processor = zip(*pool_of_workers.map(_timed, range(TRIALS // _CHUNK)), strict=True)
        elapsed = time.perf_counter() - start
        what = f"{TRIALS:,} simulated trials: both co-primary analyses and the MMRM of VAS"
        # On a busy machine the processors' time says more than the clock's.
        spent = f"processor time {sum(processor):.3g} s"
        yield Row(what, f"{elapsed:.3g} s on {os.cpu_count()} cores", spent, goal="30 s on 2 cores")
        yield from _coverage(list(found))
        seeds = range(1000, 1000 + IMPUTED_TRIALS // _CHUNK)
        yield from _coverage(list(pool_of_workers.map(imputed, seeds)))


def _timed(seed: int) -> tuple[Found, float]:
    start = time.process_time()
    return complete_cases(seed), time.process_time() - start


def _coverage(chunks: list[Found]) -> Iterator[Row]:
    for name in chunks[0]:
        parts = [chunk[name] for chunk in chunks]
        all_trials = Differences(*(np.concatenate([getattr(p, f) for p in parts]) for f in ("value", "se", "df")))
        known = ~np.isnan(all_trials.se)
        share = float(all_trials.covers(0.0, _PARAMETERS.level)[known].mean())
        error = (share * (1 - share) / known.sum()) ** 0.5
        value = f"{share:.1%} (MC error {error:.1%})"
        rejected = f"type I error {1 - share:.1%}, {known.sum():,} trials"
        yield Row(f"Coverage under the null: {name}", value, rejected, goal="94% to 96%, error 4% to 6%")


def complete_cases(seed: int) -> Found:
    """The analyses of a chunk of simulated trials that need no imputation."""
    trials = simulate_trials(_SPEC, _PARAMETERS, trials=_CHUNK, seed=seed)
    adjusted = response_differences(trials, _PARAMETERS.covariates)
    corrected = response_differences(trials, _PARAMETERS.covariates, small_sample=True)
    df = (~np.isnan(trials.response)).sum(axis=1) - 4.0 - int(trials.country.max())
    return {
        "response, complete cases": adjusted,
        "response, complete cases, factor n/(n - p)": corrected,
        "response, complete cases, factor n/(n - p) and t": Differences(corrected.value, corrected.se, df),
        "T2, analysis of covariance": t2_differences(trials, _PARAMETERS.primary_month),
        "VAS, MMRM": vas_differences(trials),
    }


def vas_differences(trials: Trials) -> Differences:
    """Difference in change of VAS at the primary month by the plan's MMRM, trial by trial."""
    found = np.full((3, len(trials.vas)), np.nan)
    visits = len(VISITS) - 1
    contrast = np.zeros((1, 3 * visits + int(trials.country.max())))
    contrast[0, visits + VISITS.index(_PARAMETERS.primary_month) - 1] = 1
    for k, vas in enumerate(trials.vas):
        n = len(vas)
        y = (vas[:, 1:] - vas[:, [0]]).ravel()
        at_visit = np.tile(np.eye(visits), (n, 1))
        own = [np.repeat(column, visits)[:, None] for column in (trials.treated[k], vas[:, 0] - vas[:, 0].mean())]
        country = np.repeat(trials.country[k], visits)[:, None] == np.arange(1, contrast.shape[1] - 3 * visits + 1)
        X = np.hstack([at_visit, own[0] * at_visit, own[1] * at_visit, country])
        seen = ~np.isnan(y)
        subject, visit = np.repeat(np.arange(n), visits)[seen], np.tile(np.arange(visits), n)[seen]
        try:
            estimated = mmrm.fit(y[seen], X[seen], subject, visit).contrasts(contrast)
        except NoInteriorOptimumError:
            continue
        found[:, k] = estimated.value[0], estimated.se[0], estimated.df[0]
    return Differences(*found)


def imputed(seed: int) -> Found:
    """The main analysis of response, with and without the factor n / (n - parameters), in a chunk of trials."""
    trials = simulate_trials(_DROPOUT_ONLY, _PARAMETERS, trials=_CHUNK, seed=seed)
    found = {False: np.full((3, _CHUNK), np.nan), True: np.full((3, _CHUNK), np.nan)}
    for k in range(_CHUNK):
        response, design = _imputed_response(trials, k, seed)
        df = response.shape[1] - design.shape[1]
        for small_sample, into in found.items():
            risks = standardised_risks(response, design, small_sample=small_sample)
            pooled = pool(risks.difference, difference_variance(risks.covariance), df)
            into[:, k] = pooled.estimate, pooled.se, pooled.df
    text = "response, imputed, drop-out only"
    return {text: Differences(*found[False]), f"{text}, factor n/(n - p)": Differences(*found[True])}


def _imputed_response(trials: Trials, k: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    data = incomplete_data(trials, k)
    completed = impute(data, m=IMPUTATIONS, seed=seed * _CHUNK + k).completed("MAR")
    columns = [(code, month) for code in ("VASPAIN", "ODI") for month in (0.0, float(_PARAMETERS.primary_month))]
    vas_base, vas, odi_base, odi = (completed[:, :, data.columns.index(column)] for column in columns)
    response = response_from_values(vas_base, vas, odi_base, odi, _PARAMETERS, trials.rescued[k]).response
    baseline = [trials.vas[k][:, 0], trials.odi[k][:, 0]]
    centred = [(x - x.mean()) / x.std() for x in baseline]
    assert data.covariates is not None
    return response, np.column_stack([np.ones(len(response[0])), data.treatment, data.covariates, *centred])
