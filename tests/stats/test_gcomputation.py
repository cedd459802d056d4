"""Adjusted risk difference against R (tests/reference/gcomputation/oracle.R) and statsmodels."""

from __future__ import annotations

import json
import time
from dataclasses import astuple
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit

from respine.stats.gcomputation import (
    _Designs,
    _newton,
    adjusted_risk_difference,
    design_matrix,
    difference_variance,
    standardised_risks,
)
from respine.stats.proportions import risk_difference

REFERENCE = Path(__file__).parents[1] / "reference" / "gcomputation"
R = json.loads((REFERENCE / "answers.json").read_text())
PUBLIC = json.loads((REFERENCE / "public.json").read_text())
COVARIATES = ["COUNTRY", "VASBL", "ODIBL"]


def load(name="data"):
    data = pd.read_csv(REFERENCE / f"{name}.csv")
    return data["response"].to_numpy(), data["treated"].to_numpy(dtype=bool), data[COVARIATES]


def near(value):
    return pytest.approx(np.asarray(value), abs=R["tolerance"], rel=R["tolerance"])


@pytest.mark.parametrize(("name", "key"), [("data", "maximum_likelihood"), ("separated", "firth")])
def test_equals_r(name, key):
    response, treated, covariates = load(name)
    answer = R[key]
    design, dropped = design_matrix(treated, covariates)
    risks = standardised_risks(response, design)
    assert dropped == []
    assert risks.fit[0] == {"maximum_likelihood": "maximum likelihood", "firth": "Firth"}[key]
    assert [risks.risk_treatment[0], risks.risk_control[0]] == near([answer["risk_treatment"], answer["risk_control"]])
    for covariance in ("covariance", "covariance_fixed", "covariance_model"):
        assert getattr(risks, covariance)[0] == near(answer[covariance])


@pytest.mark.parametrize("away", [0, 1e-9, 1e-8, 3e-8, 1e-7])
def test_a_covariate_that_nearly_repeats_another_leaves_the_answer_of_r(away):
    """The same measure in other units, rounded late: the model is R's without it, and the note names it."""
    data = pd.read_csv(REFERENCE / "pbc.csv")
    noise = away * data["BILI"].std() * np.random.default_rng(1).standard_normal(len(data))
    covariates = data.drop(columns=["response", "treated"]).assign(AGAIN=17.1 * (data["BILI"] + noise))
    result = adjusted_risk_difference(data["response"], data["treated"], covariates)
    assert result.difference.value == pytest.approx(
        PUBLIC["pbc"]["risk_treatment"] - PUBLIC["pbc"]["risk_control"], rel=PUBLIC["tolerance"]
    )
    assert result.difference.se == pytest.approx(PUBLIC["pbc"]["se"], rel=PUBLIC["tolerance"])
    assert result.difference.note.endswith("constant or collinear terms left out: AGAIN")


@pytest.mark.parametrize("name", ["pbc", "heavy", "small"])
def test_public_data_equal_r(name):
    """A public trial; a covariate whose extremes have linear predictors above 1,000; 7 + 7 with separation."""
    answer = PUBLIC[name]
    data = pd.read_csv(REFERENCE / f"{name}.csv")
    result = adjusted_risk_difference(data["response"], data["treated"], data.drop(columns=["response", "treated"]))
    found = [
        result.risk_treatment.value,
        result.risk_control.value,
        result.difference.se,
        result.difference_fixed.se,
        result.difference_model.se,
    ]
    expected = [answer[key] for key in ("risk_treatment", "risk_control", "se", "se_fixed", "se_model")]
    assert found == pytest.approx(expected, rel=PUBLIC["tolerance"])
    assert (result.fit, result.difference.n) == (answer["fit"], answer["n"])
    assert ("Firth" in result.difference.method) == (answer["fit"] == "Firth")


def test_a_hundred_thousand_participants_are_quick():
    rng = np.random.default_rng(9)
    n = 100_000
    covariates = pd.DataFrame({"COUNTRY": rng.choice(list("ABCD"), n), "VASBL": rng.normal(60, 12, n)})
    response = (rng.random(n) < 0.6).astype(float)
    start = time.process_time()
    result = adjusted_risk_difference(response, np.arange(n) % 2 == 0, covariates)
    assert result.fit == "maximum likelihood"
    assert time.process_time() - start < 3  # about 0.3 s; generous, for a busy machine


def test_collinear_terms_of_many_levels_drop_out_by_name():
    """A site within each country: all but the sites that the countries already tell apart stay."""
    site = np.arange(600) % 30
    covariates = pd.DataFrame({"COUNTRY": [f"c{s % 5}" for s in site], "SITE": [f"s{s:02d}" for s in site]})
    design, dropped = design_matrix(np.arange(600) % 2 == 0, covariates)
    assert design.shape[1] == np.linalg.matrix_rank(design) == 2 + 29 - 1  # an even site has one arm only: arm aliased
    assert len(dropped) == 4 + 29 - (design.shape[1] - 2)


def test_estimates_of_one_data_set():
    response, treated, covariates = load()
    result = adjusted_risk_difference(response, treated, covariates)
    answer = R["maximum_likelihood"]
    for estimate, covariance in (
        (result.difference, answer["covariance"]),
        (result.difference_fixed, answer["covariance_fixed"]),
        (result.difference_model, answer["covariance_model"]),
    ):
        se = np.sqrt(difference_variance(np.array(covariance)))
        assert [estimate.value, estimate.se] == near([answer["difference"], se])
        half = 1.959963984540054 * se
        assert [estimate.lower, estimate.upper] == near([answer["difference"] - half, answer["difference"] + half])
        assert (estimate.n_treatment, estimate.n_control, estimate.level) == (58, 56, 0.95)
    assert result.ratio.value == near(answer["risk_treatment"] / answer["risk_control"])
    assert result.ratio.lower < result.ratio.value < result.ratio.upper
    frame = result.to_frame()
    assert frame.loc["difference", "value"] == result.difference.value
    assert len(frame) == 6


def test_many_data_sets_equal_statsmodels():
    """Imputed responses with imputed covariates: the vectorised core against one GLM at a time."""
    rng = np.random.default_rng(4)
    _, treated, covariates = load()
    base, _ = design_matrix(treated, covariates)
    designs = np.repeat(base[None], 50, axis=0)
    designs[:, :, -2:] += 0.3 * rng.normal(size=(50, len(base), 2))
    responses = (rng.random((50, len(base))) < expit(0.8 + 0.5 * designs[:, :, -1])).astype(float)
    risks = standardised_risks(responses, designs)
    fitted = np.flatnonzero(risks.fit == "maximum likelihood")
    assert len(fitted) > 40  # in the others a small country has only responders
    for m in fitted:
        model = sm.GLM(responses[m], designs[m], family=sm.families.Binomial())
        fit = model.fit(tol=1e-13, tol_criterion="params")
        means, gradients = [], []
        for arm in (1.0, 0.0):
            design = designs[m].copy()
            design[:, 1] = arm
            mu = fit.predict(design)
            means.append(mu.mean())
            gradients.append((mu * (1 - mu)) @ design / len(design))
        assert [risks.risk_treatment[m], risks.risk_control[m]] == pytest.approx(means, abs=1e-10)
        G = np.array(gradients)
        assert risks.covariance_model[m] == pytest.approx(G @ fit.cov_params() @ G.T, abs=1e-10)
        robust = model.fit(tol=1e-13, tol_criterion="params", cov_type="HC0").cov_params()
        assert risks.covariance_fixed[m] == pytest.approx(G @ robust @ G.T, abs=1e-10)


def test_a_thousand_fits_are_quick():
    rng = np.random.default_rng(5)
    design = np.column_stack([np.ones(114), np.arange(114) % 2, rng.normal(size=(114, 6))])
    responses = (rng.random((1000, 114)) < 0.7).astype(float)
    standardised_risks(responses[:10], design)
    start = time.process_time()
    standardised_risks(responses, design)
    assert time.process_time() - start < 2  # about 0.2 s; generous, for a busy machine


def test_influence_function_variance_describes_repeated_samples():
    """Over 2,000 simulated trials of 200 the mean estimated variance is the variance of the estimates (4 MC SE)."""
    rng = np.random.default_rng(6)
    arm = np.arange(200) % 2
    x = rng.normal(size=(2000, 200))
    responses = (rng.random(x.shape) < expit(0.3 + 0.5 * arm + x)).astype(float)
    designs = np.stack([np.ones_like(x), np.broadcast_to(arm, x.shape), x], axis=-1).astype(float)
    risks = standardised_risks(responses, designs)
    ratio = risks.variance.mean() / risks.difference.var(ddof=1)
    assert ratio == pytest.approx(1, abs=4 * np.sqrt(2 / 2000))


arms = st.tuples(st.integers(2, 25), st.integers(2, 25)).flatmap(
    lambda n: st.tuples(st.integers(1, n[0] - 1), st.just(n[0]), st.integers(1, n[1] - 1), st.just(n[1]))
)


@settings(deadline=None, derandomize=True, max_examples=25)
@given(arms)
def test_without_covariates_it_is_the_plain_difference(counts):
    x1, n1, x0, n0 = counts
    response = np.repeat([1, 0, 1, 0], [x1, n1 - x1, x0, n0 - x0])
    result = adjusted_risk_difference(response, np.arange(n1 + n0) < n1, pd.DataFrame(index=range(n1 + n0)))
    p1, p0 = x1 / n1, x0 / n0
    wald = np.sqrt(p1 * (1 - p1) / n1 + p0 * (1 - p0) / n0)
    for estimate in (result.difference, result.difference_fixed, result.difference_model):
        assert [estimate.value, estimate.se] == pytest.approx([p1 - p0, wald], abs=1e-9)
        if abs(estimate.p - 0.05) > 1e-9:
            assert (estimate.p < 0.05) == (estimate.lower > 0 or estimate.upper < 0)
    if abs(result.ratio.p - 0.05) > 1e-9:
        assert (result.ratio.p < 0.05) == (result.ratio.lower > 1 or result.ratio.upper < 1)
    assert result.fit == "maximum likelihood"


@settings(deadline=None, derandomize=True, max_examples=15)
@given(st.integers(0, 2**32 - 1))
def test_symmetries(seed):
    """Swapped arms and the complementary response flip the sign; order and scale of covariates change nothing."""
    rng = np.random.default_rng(seed)
    response, treated, covariates = load()
    response = np.where(rng.random(114) < 0.1, 1 - response, response)
    one = adjusted_risk_difference(response, treated, covariates)
    order = rng.permutation(114)
    scaled = covariates.assign(VASBL=100 - 3 * covariates["VASBL"], COUNTRY=covariates["COUNTRY"].map(str.lower))
    for sign, other in (
        (-1, adjusted_risk_difference(response, ~treated, covariates)),
        (-1, adjusted_risk_difference(1 - response, treated, covariates)),
        (1, adjusted_risk_difference(response[order], treated[order], covariates.iloc[order])),
        (1, adjusted_risk_difference(response, treated, scaled)),
    ):
        assert other.difference.value == pytest.approx(sign * one.difference.value, abs=1e-9)
        for name in ("difference", "difference_fixed", "difference_model"):
            assert getattr(other, name).se == pytest.approx(getattr(one, name).se, abs=1e-9)


@settings(deadline=None, derandomize=True, max_examples=25)
@given(st.integers(0, 9), st.integers(1, 9), st.integers(0, 9), st.integers(1, 9))
def test_firth_of_a_two_by_two_table_adds_one_half(x1, extra1, x0, extra0):
    """With arm alone in the model, Firth's risks are (x + 1/2) / (n + 1); whatever the cells."""
    n1, n0 = x1 + extra1, x0 + extra0
    y = np.repeat([1.0, 0.0, 1.0, 0.0], [x1, extra1, x0, extra0])[None]
    X = np.column_stack([np.ones(n1 + n0), np.arange(n1 + n0) < n1]).astype(float)[None]
    beta, converged = _newton(y, _Designs(X), firth=True)
    assert converged.all()
    risks = expit([beta[0].sum(), beta[0, 0]])
    assert risks == pytest.approx([(x1 + 0.5) / (n1 + 1), (x0 + 0.5) / (n0 + 1)], abs=1e-8)


def test_small_sample_factor():
    response, treated, covariates = load()
    plain = adjusted_risk_difference(response, treated, covariates)
    corrected = adjusted_risk_difference(response, treated, covariates, small_sample=True)
    factor = np.sqrt(114 / (114 - plain.parameters))
    assert plain.parameters == 7
    assert corrected.difference.se == pytest.approx(plain.difference.se * factor)
    assert corrected.difference_fixed.se == pytest.approx(plain.difference_fixed.se * factor)
    assert corrected.difference_model.se == plain.difference_model.se
    assert "n/(n - parameters)" in corrected.difference.method


def all_finite(result):
    return np.isfinite(result.to_frame()[["value", "lower", "upper"]].to_numpy(dtype=float)).all()


def test_a_full_arm_falls_back_to_firth_and_says_so():
    response, treated, covariates = load()
    result = adjusted_risk_difference(np.where(treated, 1, response), treated, covariates)
    assert result.fit == "Firth"
    assert "Firth" in result.difference.method
    assert "separation" in result.difference.note
    assert all_finite(result)
    assert result.difference.lower > 0


@pytest.mark.parametrize("value", [0, 1])
def test_constant_response_falls_back_to_the_unadjusted_difference(value):
    _, treated, covariates = load()
    result = adjusted_risk_difference(np.full(114, value), treated, covariates)
    expected = risk_difference(58 * value, 58, 56 * value, 56)
    assert result.fit == "unadjusted"
    assert (result.difference.value, result.difference.lower, result.difference.upper) == (
        expected.value,
        expected.lower,
        expected.upper,
    )
    assert result.difference.se > 0
    assert "same in all participants" in result.difference.note


def test_full_arm_without_covariates_is_unadjusted():
    response, treated, _ = load()
    result = adjusted_risk_difference(np.where(treated, 1, response), treated, pd.DataFrame(index=range(114)))
    assert result.fit == "unadjusted"
    assert result.difference.value == pytest.approx(1 - response[~treated].mean())


def test_seven_plus_seven():
    response, treated, covariates = load()
    rows = np.r_[0:7, 58:65]
    result = adjusted_risk_difference(response[rows], treated[rows], covariates.iloc[rows])
    assert all_finite(result)
    assert (result.difference.n_treatment, result.difference.n_control) == (7, 7)


def test_one_country_constant_and_collinear_covariates_drop_out():
    response, treated, covariates = load()
    reduced = adjusted_risk_difference(response, treated, covariates[["VASBL"]])
    padded = covariates[["VASBL"]].assign(COUNTRY="FRA", ODIBL=3.0, TWICE=2 * covariates["VASBL"] + 1)
    result = adjusted_risk_difference(response, treated, padded)
    assert result.difference.value == pytest.approx(reduced.difference.value, abs=1e-12)
    assert result.difference.note == "constant or collinear terms left out: COUNTRY, ODIBL, TWICE"


@pytest.mark.parametrize("n", [0, 1])
def test_design_of_hardly_anybody(n):
    covariates = pd.DataFrame({"COUNTRY": ["ESP"] * n, "VASBL": np.full(n, 60.0)})
    design, dropped = design_matrix(np.ones(n, dtype=bool), covariates)
    assert design.tolist() == [[1.0, 1.0]] * n
    assert dropped == ["COUNTRY", "VASBL"]


def test_a_level_absent_in_one_arm():
    response, treated, covariates = load()
    covariates = covariates.assign(COUNTRY=np.where(treated & (np.arange(114) < 8), "PRT", covariates["COUNTRY"]))
    result = adjusted_risk_difference(response, treated, covariates)
    assert result.parameters == 8
    assert all_finite(result)


def test_missing_values_are_left_out_and_counted():
    response, treated, covariates = load()
    with_gaps = response.astype(float)
    with_gaps[:3] = np.nan
    gaps = covariates.assign(VASBL=covariates["VASBL"].astype(float).where(np.arange(114) != 100))
    kept = np.r_[3:100, 101:114]
    result = adjusted_risk_difference(with_gaps, treated, gaps)
    expected = adjusted_risk_difference(response[kept], treated[kept], covariates.iloc[kept])
    assert result.difference.value == pytest.approx(expected.difference.value, abs=1e-12)
    assert result.difference.note == "4 participants with a missing value left out"
    one = adjusted_risk_difference(response, treated, gaps).difference.note
    assert one == "1 participant with a missing value left out"
    nullable = pd.array(with_gaps, dtype="Float64").astype("boolean")
    again = adjusted_risk_difference(nullable, treated, gaps).difference
    assert astuple(again) == astuple(result.difference)


@pytest.mark.parametrize("all_treated", [True, False])
def test_empty_arm_is_not_estimable(all_treated):
    response, _, covariates = load()
    result = adjusted_risk_difference(response, np.full(114, all_treated), covariates)
    frame = result.to_frame()
    assert frame["value"].isna().all()
    assert frame["note"].str.contains("control" if all_treated else "treatment").all()


def test_wrong_calls_are_refused():
    response, treated, covariates = load()
    with pytest.raises(ValueError, match="lengths differ"):
        adjusted_risk_difference(response[1:], treated, covariates)
    with pytest.raises(ValueError, match="other than 0, 1"):
        adjusted_risk_difference(response + 1, treated, covariates)
    with pytest.raises(ValueError, match="other than True and False"):
        adjusted_risk_difference(response, np.where(treated, "BM-MSC", "Sham"), covariates)
    with pytest.raises(ValueError, match="infinite"):
        adjusted_risk_difference(response, treated, covariates.assign(VASBL=np.inf))
