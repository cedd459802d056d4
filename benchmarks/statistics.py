"""The statistics' speed on one simulated trial of 58 + 56, beside R where Rscript is there, statsmodels otherwise.

Then on one of 50,000 + 50,000, with nothing beside it.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import statsmodels.api as sm
import statsmodels.formula.api as smf
from statsmodels.imputation.mice import MICEData
from statsmodels.stats.proportion import confint_proportions_2indep

from benchmarks import Row, against, duration, seconds
from respine.analyses.operating import Trials, simulate_trials
from respine.parameters import Parameters
from respine.stats.gcomputation import StandardisedRisks, design_matrix, standardised_risks
from respine.stats.imputation import IncompleteData, Method, impute
from respine.stats.mmrm import MMRMResult, mmrm_by_visit
from respine.stats.proportions import score_difference_limits
from respine.trial.response import response_from_values
from respine.trial.synthetic_spec import VISITS, SimulationSpec

_GLS = """
library(nlme)
data <- read.csv(commandArgs(TRUE)[1])
data$visit <- factor(data$AVISITN)
fit <- function() gls(CHG ~ visit + visit:ARM + visit:BASE + COUNTRY, data,
                      correlation = corSymm(form = ~ as.integer(visit) | USUBJID),
                      weights = varIdent(form = ~ 1 | visit))
fit()
cat(min(replicate(3, system.time(fit())["elapsed"])))
"""
_MICE = """
library(mice)
data <- read.csv(commandArgs(TRUE)[1])
cat(system.time(mice(data, m = 10, method = "norm", maxit = 5, printFlag = FALSE))["elapsed"])
"""


def rows() -> Iterator[Row]:
    """MMRM, imputation, g-computation, proportions."""
    trials = simulate_trials(SimulationSpec(), Parameters(), trials=1, seed=1)
    yield _mmrm(trials)
    yield _imputations(trials)
    yield _g_computation(trials)
    yield _proportions()
    yield from _large()


def _large() -> Iterator[Row]:
    spec = SimulationSpec(n_treatment=50_000, n_control=50_000)
    trials = simulate_trials(spec, Parameters(), trials=1, seed=1)
    changes = _changes(trials)
    own = seconds(lambda: _fit(changes), 1)
    yield Row("MMRM, 100,000 x 5 visits, LS means and Satterthwaite df", duration(own), goal="a few seconds")
    own = seconds(lambda: _impute_and_analyse(trials, 50, "MAR"), 1)
    yield Row("50 imputations of 100,000, response, g-computation each", duration(own), goal="20 s")


def _mmrm(trials: Trials) -> Row:
    changes = _changes(trials)
    own = seconds(lambda: _fit(changes))
    what = f"MMRM, {len(trials.vas[0])} x {len(VISITS) - 1} visits, LS means and Satterthwaite df"
    goal = "20 ms"
    if shutil.which("Rscript"):
        return against(what, own, "R nlme::gls, no df", _r_seconds(_GLS, changes), goal)
    model = smf.mixedlm("CHG ~ C(AVISITN) * (ARM + BASE) + COUNTRY", changes, groups=changes["USUBJID"])
    return against(what, own, "statsmodels random intercept", seconds(lambda: model.fit(), 3), goal)


def _fit(changes: pd.DataFrame) -> MMRMResult:
    return mmrm_by_visit(changes, "CHG", "USUBJID", "AVISITN", "ARM", baseline="BASE")


def _changes(trials: Trials) -> pd.DataFrame:
    vas, n, months = trials.vas[0], len(trials.vas[0]), VISITS[1:]
    frame = pd.DataFrame(
        {
            "USUBJID": np.repeat(np.arange(n), len(months)),
            "AVISITN": np.tile(months, n),
            "ARM": np.repeat(np.where(trials.treated[0], "treatment", "control"), len(months)),
            "COUNTRY": np.repeat([f"C{k}" for k in trials.country[0]], len(months)),
            "BASE": np.repeat(vas[:, 0], len(months)),
            "CHG": (vas[:, 1:] - vas[:, [0]]).ravel(),
        }
    )
    return frame.dropna()


def _imputations(trials: Trials) -> Row:
    data = incomplete_data(trials, 0)
    own = seconds(lambda: _impute_and_analyse(trials, 1000, "J2R"), 1)
    what = "1,000 jump-to-reference imputations, response, g-computation each"
    frame = pd.DataFrame(data.outcome).rename(columns=lambda k: f"y{k}").assign(arm=data.treatment.astype(int))
    ten = _r_seconds(_MICE, frame) if shutil.which("Rscript") else None
    if ten is not None:
        return against(what, own, "R mice 'norm', 10 x 100", 100 * ten, "20 s")
    chained = MICEData(frame.astype(float))
    return against(what, own, "statsmodels MICE, 2 x 500", 500 * seconds(lambda: chained.update_all(2), 1), "20 s")


def _impute_and_analyse(trials: Trials, m: int, method: Method) -> StandardisedRisks:
    """Impute VAS and ODI, derive the response at month 12, fit the main analysis to each data set."""
    columns = [(code, month) for code in ("VASPAIN", "ODI") for month in (0.0, 12.0)]
    completed = impute(incomplete_data(trials, 0), m=m, seed=1).completed(method, columns=columns)
    vas_base, vas, odi_base, odi = np.moveaxis(completed, 2, 0)
    response = response_from_values(vas_base, vas, odi_base, odi, Parameters(), trials.rescued[0]).response
    return standardised_risks(response, _design(trials))


def incomplete_data(trials: Trials, k: int) -> IncompleteData:
    """The outcomes of one simulated trial as the imputation takes them."""
    columns = [(code, float(month)) for month in VISITS for code in ("VASPAIN", "ODI")]
    outcome = np.stack([trials.vas[k], trials.odi[k]], axis=2).reshape(len(trials.vas[k]), -1)
    countries = np.unique(trials.country[k])[1:]
    covariates = (trials.country[k][:, None] == countries).astype(float)
    return IncompleteData(outcome=outcome, columns=columns, treatment=trials.treated[k], covariates=covariates)


def _design(trials: Trials) -> np.ndarray:
    covariates = pd.DataFrame(
        {"COUNTRY": trials.country[0].astype(str), "VASBL": trials.vas[0][:, 0], "ODIBL": trials.odi[0][:, 0]}
    )
    return design_matrix(trials.treated[0], covariates)[0]


def _g_computation(trials: Trials) -> Row:
    design = _design(trials)
    rng = np.random.default_rng(1)
    responses = (rng.random((1000, len(design))) < 0.7).astype(float)
    own = seconds(lambda: standardised_risks(responses, design))

    def by_statsmodels() -> None:
        for response in responses[:50]:
            fitted = sm.Logit(response, design).fit(disp=0)
            for arm in (1, 0):
                fitted.predict(np.column_stack([design[:, 0], np.full(len(design), arm), design[:, 2:]]))

    anchor = 20 * seconds(by_statsmodels, 2)
    return against(
        "1,000 adjusted risk differences with standard errors", own, "statsmodels, risks only, 50 x 20", anchor
    )


def _proportions() -> Row:
    responders = np.random.default_rng(1).binomial(50, 0.7, (2, 1000))
    own = seconds(
        lambda: score_difference_limits(responders[0], 50, responders[1], 50, level=0.95, bias_correction=True)
    )

    def by_statsmodels() -> None:
        for treatment, control in responders[:, :20].T:
            confint_proportions_2indep(treatment, 50, control, 50, compare="diff", method="score")

    anchor = 50 * seconds(by_statsmodels, 2)
    return against("1,000 Miettinen-Nurminen intervals", own, "statsmodels score, 20 x 50", anchor)


def _r_seconds(script: str, frame: pd.DataFrame) -> float | None:
    """Seconds that an R script reports for a data frame; None where a package it needs is missing."""
    with tempfile.TemporaryDirectory() as folder:
        data, code = Path(folder) / "data.csv", Path(folder) / "run.R"
        frame.to_csv(data, index=False)
        code.write_text(script, encoding="utf-8")
        done = subprocess.run(["Rscript", str(code), str(data)], capture_output=True, text=True, check=False)
    return float(done.stdout.split()[-1]) if done.returncode == 0 else None
