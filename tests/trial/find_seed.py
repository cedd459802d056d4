"""Find the seed of the shipped data set: the first, counted from 0, whose trial shows what is published.

    python tests/trial/find_seed.py [FIRST]

1. Month-12 responders by the default rule: 37 of 50 against 34 of 49 observed.
2. Every part of the report has something to show: see :func:`is_instructive`.
3. No comparison of a secondary outcome has p < 0.05: see :func:`smallest_p`.

Nothing is adjusted afterwards. Whoever changes an assumption runs this again and writes the seed into the table.
"""

from __future__ import annotations

import sys
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from respine.parameters import Parameters
from respine.stats.ancova import ancova
from respine.stats.mmrm import mmrm_by_visit
from respine.stats.survival import log_rank
from respine.trial.checking import load_trial
from respine.trial.contract import nominal_day, parameters_of
from respine.trial.response import response_from_values, responses, time_to_first_response, time_to_rescue
from respine.trial.synthetic import (
    Outcomes,
    SimulationSpec,
    dataset_info,
    simulate_outcomes,
    simulate_trial,
    write_dataset,
)
from respine.trial.synthetic_spec import VISITS, assumed
from respine.trial.trial import Trial

PLAN = Parameters()


def month12_counts(outcomes: Outcomes) -> tuple[list[int], list[int]]:
    """Responders and observed at month 12, treatment and control."""
    visit = VISITS.index(12)
    day = np.where(np.isnan(outcomes.day[:, visit]), nominal_day(12), outcomes.day[:, visit])
    vas, odi = outcomes.vas, outcomes.odi
    response = response_from_values(
        vas[:, 0], vas[:, visit], odi[:, 0], odi[:, visit], PLAN, rescued=outcomes.rescue_day <= day
    ).response
    arms = [response[outcomes.treatment == arm] for arm in (True, False)]
    treatment, control = ([int(np.nansum(x)), int((~np.isnan(x)).sum())] for x in arms)
    return treatment, control


def comparisons(trial: Trial) -> Iterator[tuple[str, float]]:
    """Name and p-value of every comparison of secondary outcomes and of new antibodies."""
    adsl = trial.participants("ITT")
    arms = adsl["ARM"] == "treatment"
    for code in (*parameters_of("adqs"), "T2"):
        yield from _continuous(code, trial.wide(code).loc[adsl.index], adsl)
        if code != "T2":
            yield from _mcid(code, trial.wide(code).loc[adsl.index], arms)
    for month, rows in responses(trial, PLAN).dropna(subset="RESPONSE").groupby("AVISITN"):
        yield f"response m{month}", _pearson(rows["RESPONSE"], rows["ARM"] == "treatment")
    for name, times in (("response", time_to_first_response(trial, PLAN)), ("rescue", time_to_rescue(trial))):
        yield f"time to {name}", log_rank(times["MONTHS"], times["EVENT"], times["ARM"] == "treatment").p
    treated = trial.participants("SAF")
    for code in parameters_of("adis"):
        positive = trial.wide(code, "AVALC").loc[treated.index]
        later = positive[[1, 3, 6]]
        tested = (positive[0] == "NEGATIVE") & later.notna().any(axis=1)
        new = later.eq("POSITIVE").any(axis=1)
        yield f"new {code}", _fisher(new[tested], treated.loc[tested, "ARM"] == "treatment")


def _continuous(code: str, values: pd.DataFrame, adsl: pd.DataFrame) -> Iterator[tuple[str, float]]:
    arms = adsl["ARM"] == "treatment"
    change = values.sub(values[0], axis=0)
    for month in change.columns[1:]:
        frame = adsl[["ARM", "COUNTRY"]].assign(y=change[month], base=values[0])
        yield f"{code} m{month} t-test", _t(values[month], arms)
        yield f"{code} m{month} change t-test", _t(change[month], arms)
        yield (
            f"{code} m{month} ANCOVA",
            ancova(frame, "y", "ARM", covariates=["base"], factors=["COUNTRY"]).difference.p,
        )
    long = change.drop(columns=0).stack().rename("y").reset_index()
    long = long.merge(adsl[["ARM", "COUNTRY"]].assign(base=values[0]), left_on="USUBJID", right_index=True)
    fit = mmrm_by_visit(long, "y", "USUBJID", "AVISITN", "ARM", baseline="base")
    for month, difference in fit.differences.items():
        yield f"{code} m{month} MMRM", difference.p


def _mcid(code: str, values: pd.DataFrame, arms: pd.Series) -> Iterator[tuple[str, float]]:
    size = {"VASPAIN": PLAN.mcid_vas_mm, "ODI": PLAN.mcid_odi_points}.get(code, PLAN.mcid_sf36)
    gain = values.sub(values[0], axis=0) * (-1 if code in ("VASPAIN", "ODI") else 1)
    for month in VISITS[1:]:
        known = gain[month].notna()
        yield f"{code} m{month} MCID", _pearson(gain.loc[known, month] >= size, arms[known])


def _t(values: pd.Series, arms: pd.Series) -> float:
    return float(stats.ttest_ind(values[arms].dropna(), values[~arms].dropna()).pvalue)


def _table(yes: np.ndarray, arms: np.ndarray) -> np.ndarray:
    yes, arms = np.asarray(yes, bool), np.asarray(arms, bool)
    return np.array([[(yes & arms).sum(), (~yes & arms).sum()], [(yes & ~arms).sum(), (~yes & ~arms).sum()]])


def _pearson(yes: np.ndarray, arms: np.ndarray) -> float:
    return float(stats.chi2_contingency(_table(yes, arms), correction=False).pvalue)


def _fisher(yes: np.ndarray, arms: np.ndarray) -> float:
    return float(stats.fisher_exact(_table(yes, arms)).pvalue)


def smallest_p(trial: Trial, stop_below: float = 0.0) -> tuple[float, str]:
    """The smallest p-value of :func:`comparisons` and its name; stops at the first below ``stop_below``."""
    smallest = (1.0, "")
    for name, p in comparisons(trial):
        smallest = min(smallest, (p, name))
        if smallest[0] < stop_below:
            break
    return smallest


def is_instructive(trial: Trial) -> bool:
    """Every centre randomises, at least two rescues before month 12, at least two participants with new antibodies and
    more with the cells than without, a serious event."""
    adsl = trial.participants("ITT")
    treated = trial.participants("SAF")
    new = pd.Series(False, index=treated.index)
    for code in parameters_of("adis"):
        positive = trial.wide(code, "AVALC").loc[treated.index]
        new |= (positive[0] == "NEGATIVE") & positive[[1, 3, 6]].eq("POSITIVE").any(axis=1)
    with_cells = int(new[treated["ARM"] == "treatment"].sum())
    return (
        adsl["SITEID"].nunique() == assumed("design.centres")
        and (adsl["RESCUEDY"] <= nominal_day(12)).sum() >= 2
        and with_cells >= max(2, new.sum() - with_cells + 1)
        and bool(trial.adae["SERIOUS"].any())
    )


def find(first: int = 0) -> int:
    spec = SimulationSpec()
    wanted = (assumed("shipped.responders_treatment"), assumed("shipped.responders_control"))
    seed = first
    while True:
        outcomes = simulate_outcomes(spec, seed)
        if month12_counts(outcomes) == wanted:
            with tempfile.TemporaryDirectory() as folder:
                write_dataset(simulate_trial(spec, seed), dataset_info(spec), Path(folder))
                trial = load_trial(folder)
            p, name = smallest_p(trial, stop_below=0.05) if is_instructive(trial) else (0.0, "not instructive")
            print(f"seed {seed}: counts as wanted; smallest p {p:.3g} ({name})", flush=True)
            if p >= 0.05:
                return seed
        seed += 1


if __name__ == "__main__":
    warnings.simplefilter("error")
    print(find(int(sys.argv[1]) if len(sys.argv) > 1 else 0))
