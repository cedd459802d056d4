from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from respine.analyses import operating
from respine.analyses.operating import Trials, response_differences, simulate_trials, t2_differences
from respine.analyses.study import Study
from respine.display import robustness as display
from respine.parameters import Parameters
from respine.results import Results
from respine.stats.ancova import ancova
from respine.stats.gcomputation import adjusted_risk_difference
from respine.trial.response import responses
from respine.trial.synthetic_spec import SimulationSpec

COVARIATES = ("COUNTRY", "VASBL", "ODIBL")


@pytest.fixture(scope="module")
def trials() -> Trials:
    return simulate_trials(SimulationSpec(effect_vas=-10.0), Parameters(), trials=8, seed=4)


def test_the_first_trial_is_the_one_written_to_disk(simulated: Callable[..., Study]) -> None:
    study = simulated(4)
    made = simulate_trials(SimulationSpec(), Parameters(), trials=1, seed=4)
    found = responses(study.trial, Parameters())
    at_month = found[found["AVISITN"] == 12]
    arrays = pd.DataFrame({"arm": made.treated[0], "response": made.response[0]})
    written = pd.DataFrame(
        {
            "arm": (at_month["ARM"] == "treatment").to_numpy(),
            "response": at_month["RESPONSE"].to_numpy(dtype=float, na_value=np.nan),
        }
    )
    assert arrays.fillna(-1).value_counts().to_dict() == written.fillna(-1).value_counts().to_dict()


@pytest.mark.parametrize("small_sample", [False, True])
def test_response_is_the_complete_case_analysis_of_each_trial(trials: Trials, small_sample: bool) -> None:
    found = response_differences(trials, COVARIATES, small_sample=small_sample)
    for k in range(len(trials.response)):
        covariates = pd.DataFrame(
            {
                "COUNTRY": trials.country[k].astype(str),
                "VASBL": trials.vas[k][:, 0],
                "ODIBL": trials.odi[k][:, 0],
            }
        )
        one = adjusted_risk_difference(
            trials.response[k], trials.treated[k], covariates, small_sample=small_sample
        ).difference
        assert (found.value[k], found.se[k], found.p[k]) == pytest.approx((one.value, one.se, one.p), rel=1e-6)


def test_t2_is_the_analysis_of_covariance_of_each_trial(trials: Trials) -> None:
    found = t2_differences(trials, 12)
    for k in range(len(trials.t2)):
        frame = pd.DataFrame(
            {
                "CHG": trials.t2[k][:, 2] - trials.t2[k][:, 0],
                "BASE": trials.t2[k][:, 0],
                "ARM": np.where(trials.treated[k], "treatment", "control"),
                "COUNTRY": trials.country[k].astype(str),
            }
        )
        one = ancova(frame, "CHG", "ARM", covariates=["BASE"], factors=["COUNTRY"]).difference
        assert (found.value[k], found.se[k], found.df[k]) == pytest.approx((one.value, one.se, one.df), rel=1e-6)
        assert found.p[k] == pytest.approx(one.p, rel=1e-6)


def test_a_constant_gain_moves_the_estimate_alone(trials: Trials) -> None:
    gained = trials.t2.copy()
    gained[:, :, 2] += 5.0 * trials.treated
    moved = t2_differences(Trials(**{**_fields(trials), "t2": gained}), 12)
    before = t2_differences(trials, 12)
    np.testing.assert_allclose(moved.value, before.value + 5.0)
    np.testing.assert_allclose(moved.se, before.se)


def _fields(trials: Trials) -> dict[str, np.ndarray]:
    return {name: getattr(trials, name) for name in Trials.__dataclass_fields__}


def test_an_arm_without_known_outcomes_has_no_difference(trials: Trials) -> None:
    response, t2 = trials.response.copy(), trials.t2.copy()
    response[0][trials.treated[0]] = np.nan
    t2[0][trials.treated[0]] = np.nan
    response[1] = np.nan
    made = Trials(**{**_fields(trials), "response": response, "t2": t2})
    found = response_differences(made, COVARIATES)
    assert np.isnan(found.value[:2]).all()
    assert np.isfinite(found.value[2:]).all()
    assert np.isnan(t2_differences(made, 12).p[0])


def test_coverage_of_an_interval() -> None:
    found = operating.Differences(np.array([0.0, 1.9, 2.1]), np.ones(3), np.full(3, np.inf))
    np.testing.assert_array_equal(found.covers(0.0, 0.95), [True, True, False])
    np.testing.assert_allclose(found.p, [1.0, 0.05743, 0.03573], atol=1e-5)
    few = operating.Differences(np.array([2.1]), np.ones(1), np.array([10.0]))
    assert few.covers(0.0, 0.95).all()


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operating, "TRIALS", 60)


@pytest.mark.usefixtures("few")
def test_scenarios(shipped: Study) -> None:
    results = operating.analyse(shipped)
    share = {
        (symptoms, gain, what): results[operating.operating_id(symptoms, gain, "usual", what)].value
        for symptoms in operating.SYMPTOMS
        for gain in operating.GAINS
        for what in ("response", "t2", "both")
    }
    for symptoms in operating.SYMPTOMS:
        for gain in operating.GAINS:
            response, t2, both = (share[symptoms, gain, what] for what in ("response", "t2", "both"))
            assert max(0.0, response + t2 - 1) <= both <= min(response, t2)
        assert share[symptoms, "gain", "t2"] > share[symptoms, "none", "t2"]
    assert share["none", "none", "response"] < 0.15
    assert share["full", "gain", "response"] > share["half", "gain", "response"] > share["none", "gain", "response"]
    high = results[operating.operating_id("none", "none", "high", "known")]
    assert high.value < results[operating.operating_id("none", "none", "usual", "known")].value
    assert (high.n_treatment, high.n_control) == (58, 56)
    # The seed alone decides.
    assert operating.analyse(shipped).to_records() == results.to_records()


@pytest.mark.usefixtures("few")
def test_without_an_image_at_the_primary_month(simulated: Callable[..., Study]) -> None:
    study = simulated(3, n_treatment=9, n_control=9, parameters={"primary_month": 3})
    results = operating.analyse(study)
    assert results[operating.operating_id("none", "none", "usual", "response")].estimable
    assert "no image" in results[operating.operating_id("none", "none", "usual", "both")].note
    assert "both endpoints" not in display.operating_sentence(results)
    assert "–" in display.operating_table(results, study).to_csv()


def test_a_trial_too_large_to_simulate_says_so(shipped: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operating, "LARGEST", 100)
    results: Results = operating.analyse(shipped)
    assert not any(r.estimable for r in results.values())
    assert "more than 100 participants" in display.operating_sentence(results)
    display.operating_table(results, shipped).bundle()
