"""MMRM against SAS PROC MIXED, R's nlme and emmeans, and identities with t-tests."""

from __future__ import annotations

import json
import math
import re
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from respine.stats.mmrm import NoInteriorOptimumError, fit, mmrm_by_visit, prepare_by_visit

REFERENCE = Path(__file__).parents[1] / "reference" / "mmrm"
VISITS = ["VIS1", "VIS2", "VIS3", "VIS4"]


def answers(name: str) -> Any:
    return json.loads((REFERENCE / name).read_text())


@cache
def fev() -> pd.DataFrame:
    data = pd.read_csv(REFERENCE / "fev_data.csv")
    return data.assign(ARM=data["ARMCD"].map({"TRT": "treatment", "PBO": "control"}))


def fev_fit(columns: list[str], **options: Any) -> Any:
    data = fev().dropna(subset=["FEV1"]).assign(ONE=1.0, TRT=lambda d: (d["ARM"] == "treatment").astype(float))
    return fit(data["FEV1"], data[columns], data["USUBJID"], data["AVISIT"], **options)


def by_visit(data: pd.DataFrame, **options: Any) -> Any:
    columns = {"outcome": "FEV1", "subject": "USUBJID", "visit": "AVISIT", "arm": "ARM", "factors": ("RACE",)}
    return mmrm_by_visit(data, **(columns | options))


def small_trial(seed: int, n: int = 40, visits: tuple[int, ...] = (1, 3, 6), missing: float = 0.0) -> pd.DataFrame:
    r = np.random.default_rng(seed)
    m = len(visits)
    y = r.normal(size=(n, m)) + r.normal(size=(n, 1)) + np.arange(n)[:, None] % 2
    data = pd.DataFrame(
        {
            "USUBJID": np.repeat([f"S{i:03d}" for i in range(n)], m),
            "AVISITN": np.tile(visits, n),
            "ARM": np.repeat(np.where(np.arange(n) % 2 == 0, "treatment", "control"), m),
            "COUNTRY": np.repeat(r.choice(["ESP", "FRA"], n), m),
            "BASE": np.repeat(r.normal(size=n), m),
            "CHG": y.ravel(),
        }
    )
    data.loc[r.random(len(data)) < missing, "CHG"] = np.nan
    return data


def change(data: pd.DataFrame, **options: Any) -> Any:
    columns = {"outcome": "CHG", "subject": "USUBJID", "visit": "AVISITN", "arm": "ARM", "baseline": "BASE"}
    return mmrm_by_visit(data, **(columns | options))


# SAS and R ---------------------------------------------------------------------------------------------------------


def test_unstructured_sas() -> None:
    checks = {check["id"]: check for check in answers("mmrm_fev.json")["checks"]}
    model = fev_fit(["ONE", "TRT"])
    deviance = checks["H6.fev_arm_m2"]["expected"]
    assert deviance - 2e-5 < model.deviance < deviance + 1e-6
    arm = model.contrasts([[0, 1]], df="kenward-roger")
    for found, expected, tolerance in zip(
        (arm.value, arm.se, arm.df), checks["H6.fev_arm"]["expected"], checks["H6.fev_arm"]["tol"], strict=True
    ):
        assert found[0] == pytest.approx(expected, rel=tolerance)


@pytest.mark.parametrize(("df", "key"), [("satterthwaite", "sat"), ("kenward-roger", "krlin")])
def test_full_model_of_r_mmrm(df: Any, key: str) -> None:
    expected = next(c for c in answers("mmrm_fev.json")["checks"] if c["id"] == "H6.fev_full")["expected"]
    result = by_visit(fev(), factors=("RACE", "SEX"), df=df)
    assert (result.n_observations, result.n_participants) == (537, 197)
    assert result.deviance == pytest.approx(expected["m2"], abs=1e-6)
    for row in expected[key]["contrasts"]:
        found = result.differences[row["AVISIT"]]
        assert found.value == pytest.approx(row["estimate"], rel=1e-4)
        assert found.se == pytest.approx(row["SE"], rel=3e-4)
        assert found.df == pytest.approx(row["df"], rel=6e-4)
        assert (found.lower, found.upper) == pytest.approx((row["lower.CL"], row["upper.CL"]), rel=5e-4)
        assert found.p == pytest.approx(row["p.value"], rel=5e-3)
    for row in expected[key]["emmeans"]:
        found = result.lsmeans[row["AVISIT"], {"TRT": "treatment", "PBO": "control"}[row["ARMCD"]]]
        assert found.value == pytest.approx(row["emmean"], rel=1e-5)
        assert found.se == pytest.approx(row["SE"], rel=5e-4)
        assert found.df == pytest.approx(row["df"], rel=1e-3)
    if key == "sat":
        sigma = np.array(expected["sat"]["sigma"]).reshape(4, 4)
        np.testing.assert_allclose(result.covariance, sigma, rtol=1e-4, atol=1e-2)


@pytest.mark.parametrize(("df", "key"), [("satterthwaite", "sat"), ("kenward-roger", "krlin")])
def test_every_coefficient_of_the_full_model(df: Any, key: str) -> None:
    check = next(c for c in answers("mmrm_fev.json")["checks"] if c["id"] == "H6.fev_full")
    expected = pd.DataFrame(check["expected"][key]["coefficients"]).T
    data = fev().dropna(subset=["FEV1"])
    columns = [np.ones(len(data))]
    for name in expected.index[1:]:
        # R's treatment contrasts: the variable's name, then the level.
        parts = [re.fullmatch("(RACE|SEX|ARMCD|AVISIT)(.+)", part).groups() for part in name.split(":")]
        columns.append(np.prod([data[variable] == level for variable, level in parts], axis=0))
    model = fit(data["FEV1"], np.column_stack(columns).astype(float), data["USUBJID"], data["AVISIT"])
    found = model.contrasts(np.eye(len(expected)), df=df)
    # R mmrm stopped 5e-6 above the least -2 log L, so that a coefficient near 0 is known to a part of its error only.
    assert (np.abs(found.value - expected["Estimate"]) <= check["tol"] * expected["Std. Error"]).all()
    np.testing.assert_allclose(found.se, expected["Std. Error"], rtol=check["tol"])
    np.testing.assert_allclose(found.df, expected["df"], rtol=check["tol"])
    p = 2 * stats.t.sf(np.abs(found.value / found.se), found.df)
    np.testing.assert_allclose(p, expected["Pr(>|t|)"], rtol=1e-2)


@pytest.mark.parametrize("covariance", ["ar1h", "toeph"])
def test_kenward_roger_of_sas_for_structured_matrices(covariance: Any) -> None:
    sas = answers("sas_structures.json")
    expected, tolerance = sas["kr_linear"][covariance], sas["tolerance"]
    model = fev_fit(["ONE", "TRT"], covariance=covariance)
    arm = model.contrasts([[0, 1]], df="kenward-roger")
    rounding = 0.5 * 10 ** -expected.get("printed_decimals", 12)
    assert arm.value[0] == pytest.approx(expected["estimate"], rel=tolerance["estimate"], abs=rounding)
    assert arm.se[0] == pytest.approx(expected["se"], rel=tolerance["se"], abs=rounding)
    assert arm.df[0] == pytest.approx(expected["df"], rel=tolerance["df"])
    if "deviance" in expected:
        assert model.deviance == pytest.approx(expected["deviance"], abs=tolerance["deviance"])


@pytest.mark.parametrize(("covariance", "method"), [("csh", "REML"), ("ar1h", "ML")])
def test_intercept_only_sas(covariance: Any, method: Any) -> None:
    sas = answers("sas_structures.json")
    expected = sas["intercept_only"][f"{covariance}.{method}"]
    model = fev_fit(["ONE"], covariance=covariance, method=method)
    mean = model.contrasts([[1]])
    assert model.deviance == pytest.approx(expected["deviance"], abs=sas["tolerance"]["deviance"])
    assert mean.value[0] == pytest.approx(expected["estimate"], rel=sas["tolerance"]["estimate"])
    assert mean.se[0] == pytest.approx(expected["se"], rel=sas["tolerance"]["se"], abs=5e-5)
    assert round(mean.df[0]) == expected["df"]
    sigma = model.covariance.to_numpy()
    np.testing.assert_allclose(np.diag(sigma), expected["variances"], rtol=5e-4)
    assert sigma[0, 1] / math.sqrt(sigma[0, 0] * sigma[1, 1]) == pytest.approx(expected["correlation"], abs=1e-4)


@pytest.mark.parametrize("method", ["REML", "ML"])
@pytest.mark.parametrize("covariance", ["un", "toeph", "ar1h", "csh"])
def test_every_structure_of_nlme(covariance: Any, method: Any) -> None:
    reference = answers("structures.json")
    expected, tolerance = reference["answers"][f"{covariance}.{method}"], reference["tolerance"]
    result = by_visit(fev(), baseline="FEV1_BL", covariance=covariance, method=method)
    assert result.covariance_structure == covariance
    assert result.fallbacks == ()
    assert result.deviance == pytest.approx(expected["deviance"], abs=tolerance["deviance"])
    assert result.deviance <= expected["deviance_polished"] + 1e-6
    np.testing.assert_allclose(result.covariance, expected["sigma"], rtol=1e-4, atol=1e-3)
    found = [result.differences[visit] for visit in VISITS]
    np.testing.assert_allclose([e.value for e in found], expected["difference"], rtol=tolerance["estimate"])
    np.testing.assert_allclose([e.se for e in found], expected["difference_se"], rtol=tolerance["se"])
    np.testing.assert_allclose([e.df for e in found], expected["difference_df"], rtol=1e-4)
    for row in expected["lsmeans"]:
        mean = result.lsmeans[row["AVISIT"], {"TRT": "treatment", "PBO": "control"}[row["ARMCD"]]]
        assert mean.value == pytest.approx(row["emmean"], rel=tolerance["estimate"])
        assert mean.se == pytest.approx(row["SE"], rel=tolerance["se"])


@pytest.mark.parametrize("covariance", ["un", "toeph", "ar1h", "csh"])
def test_public_trial_that_half_had_left(covariance: Any) -> None:
    """Both kinds of inference, from their definitions in R, on labels, a factor in words and monotone missing data."""
    reference = answers("btheb.json")
    expected = reference["answers"][covariance]
    data = pd.read_csv(REFERENCE / "btheb.csv")
    near = {"rtol": reference["tolerance"]}
    for df, se in (("satterthwaite", "se"), ("kenward-roger", "kenward_roger_se")):
        result = mmrm_by_visit(
            data, "y", "id", "visit", "arm", baseline="base", factors=("drug", "length"), covariance=covariance, df=df
        )
        assert (result.covariance_structure, result.n_participants, result.n_observations) == (covariance, 97, 280)
        assert result.deviance == pytest.approx(expected["deviance"], abs=1e-7)
        found = [result.lsmeans[v, arm] for arm in ("treatment", "control") for v in result.differences]
        found += result.differences.values()
        np.testing.assert_allclose([e.value for e in found], expected["value"], **near)
        np.testing.assert_allclose([e.se for e in found], expected[se], **near)
        np.testing.assert_allclose([e.df for e in found], expected["df"], **near)


PUBLIC = [f"growth.{c}.{m}" for c in ("un", "csh", "ar1h") for m in ("REML", "ML")]
PUBLIC += [f"{d}.{c}.REML" for d, c in (("rats", "csh"), ("rats", "ar1h"))]
PUBLIC += [f"chicks.{c}.REML" for c in ("un", "csh", "ar1h")]


@pytest.mark.parametrize("case", PUBLIC)
def test_public_data_of_nlme(case: str) -> None:
    # Of the rats' likelihood with heterogeneous AR(1) the moments of the residuals lead to the lower of two maxima.
    reference = answers("nlme_data.json")
    expected, tolerance = reference["answers"][case], reference["tolerance"]
    name, covariance, method = case.split(".")
    data = pd.read_csv(REFERENCE / f"{name}.csv")
    time = "factor(time)" if name == "chicks" else "time"
    X = formulaic_matrix(data, time, list(expected["coefficients"]))
    model = fit(data["y"], X, data["subject"], data["time"], covariance=covariance, method=method)
    assert model.deviance == pytest.approx(expected["deviance"], abs=tolerance["deviance"])
    found = model.contrasts(np.eye(X.shape[1]))
    se = np.array(expected["se"])
    np.testing.assert_allclose(found.se, se, rtol=tolerance["se"])
    difference = np.abs(found.value - list(expected["coefficients"].values()))
    assert (difference <= tolerance["estimate"] * np.maximum(se, np.abs(found.value))).all()


def formulaic_matrix(data: pd.DataFrame, time: str, names: list[str]) -> np.ndarray:
    """Columns of R's treatment contrasts by their names: '(Intercept)', 'arm2', 'arm2:factor(time)4'."""
    columns = []
    for name in names:
        column = np.ones(len(data))
        for part in name.split(":") if name != "(Intercept)" else []:
            if part == "time":
                column = column * data["time"]
            elif part.startswith(time):
                column = column * (data["time"].astype(str) == part.removeprefix(time))
            else:
                column = column * (data["arm"].astype(str) == part.removeprefix("arm"))
        columns.append(column)
    return np.column_stack(columns).astype(float)


def growth(incomplete: bool = False) -> tuple[pd.DataFrame, dict[str, np.ndarray]]:
    data = pd.read_csv(REFERENCE / "growth.csv")
    if incomplete:
        deleted = data["subject"].isin(answers("growth_deviance.json")["deleted_at_10"]) & (data["time"] == 10)
        data = data[~deleted]
    girls, age = (data["arm"] == "Female").to_numpy(float), data["time"].to_numpy(float)
    lines = np.column_stack([np.ones(len(data)), girls, age, girls * age])
    means = np.column_stack([(age == t) * (girls == g) for t in (8, 10, 12, 14) for g in (0, 1)]).astype(float)
    return data, {
        "a mean for each sex and age": means,
        "a line for each sex": lines,
        "parallel lines": lines[:, :3],
    }


def test_growth_data_in_the_manual_of_sas() -> None:
    data, designs = growth()
    expected = answers("growth_published.json")["sas"]
    model = fit(data["y"], designs["a line for each sex"], data["subject"], data["time"], method="ML")
    found = model.contrasts(np.eye(4))
    np.testing.assert_allclose(found.value, expected["coefficients"], atol=5e-5)
    np.testing.assert_allclose(found.se, expected["se"], atol=5e-5)
    np.testing.assert_allclose(model.covariance, expected["covariance"], atol=1e-4)


@pytest.mark.parametrize("which", ["complete", "incomplete"])
def test_growth_data_likelihoods_of_nlme(which: str) -> None:
    data, designs = growth(which == "incomplete")
    for name, expected in answers("growth_deviance.json")[which].items():
        model = fit(data["y"], designs[name], data["subject"], data["time"], method="ML")
        assert model.deviance == pytest.approx(expected, abs=1e-4)


# Identities --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("df", ["satterthwaite", "kenward-roger"])
def test_two_visits_of_one_group_are_the_paired_t_test(df: Any) -> None:
    first = np.array([0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0])
    second = np.array([1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4])  # R's sleep data
    estimate, se, degrees = next(c for c in answers("mmrm_fev.json")["checks"] if c["id"] == "H6.sleep_kr")["expected"]
    visit = np.repeat([1, 2], 10)
    X = np.column_stack([np.ones(20), visit == 2])
    model = fit(np.concatenate([first, second]), X, np.tile(np.arange(10), 2), visit)
    found = model.contrasts([[0, 1]], df=df)
    assert (found.value[0], found.se[0], found.df[0]) == pytest.approx((estimate, se, degrees), rel=1e-8)


@settings(deadline=None, derandomize=True, max_examples=15)
@given(seed=st.integers(0, 10_000), n=st.integers(8, 60))
def test_one_visit_is_the_t_test(seed: int, n: int) -> None:
    data = small_trial(seed, n, visits=(12,))
    found = change(data, baseline=None, factors=()).differences[12]
    values = [data.loc[data["ARM"] == arm, "CHG"] for arm in ("treatment", "control")]
    t = stats.ttest_ind(*values)
    assert found.df == pytest.approx(n - 2, rel=1e-8)
    assert (found.value / found.se, found.p) == pytest.approx((t.statistic, t.pvalue), rel=1e-8)


@settings(deadline=None, derandomize=True, max_examples=10)
@given(seed=st.integers(0, 10_000))
def test_two_complete_visits_are_two_t_tests(seed: int) -> None:
    data = small_trial(seed, visits=(6, 12))
    result = change(data, baseline=None, factors=())
    for visit, rows in data.groupby("AVISITN"):
        t = stats.ttest_ind(*(rows.loc[rows["ARM"] == arm, "CHG"] for arm in ("treatment", "control")))
        found = result.differences[visit]
        assert (found.df, found.p) == pytest.approx((38, t.pvalue), rel=1e-6)


@settings(deadline=None, derandomize=True, max_examples=8)
@given(seed=st.integers(0, 10_000), factor=st.sampled_from([-3.0, 1e-3, 7.0, 1e5]))
def test_swapping_scaling_and_shuffling(seed: int, factor: float) -> None:
    data = small_trial(seed, missing=0.15)
    swapped = data.assign(ARM=data["ARM"].map({"treatment": "control", "control": "treatment"}))
    base = change(data, df="kenward-roger")
    for other, scale in (
        (change(swapped, df="kenward-roger"), -1.0),
        (change(data.assign(CHG=factor * data["CHG"]), df="kenward-roger"), factor),
        (change(data.sample(frac=1, random_state=seed), df="kenward-roger"), 1.0),
    ):
        for visit, found in base.differences.items():
            compared = other.differences[visit]
            assert compared.value == pytest.approx(scale * found.value, rel=1e-9, abs=1e-12 * abs(scale))
            assert (compared.se, compared.df) == pytest.approx((abs(scale) * found.se, found.df), rel=1e-8)


def test_row_order_never_matters_to_the_bit() -> None:
    data = fev().dropna(subset=["FEV1"])
    X = np.column_stack([np.ones(len(data)), data["ARM"] == "treatment", data["FEV1_BL"]]).astype(float)
    shuffle = np.random.default_rng(1).permutation(len(data))
    columns = (data["FEV1"].to_numpy(), X, data["USUBJID"].to_numpy(), data["AVISIT"].to_numpy())
    one, two = fit(*columns), fit(*(column[shuffle] for column in columns))
    assert one.deviance == two.deviance
    np.testing.assert_array_equal(one.coefficients, two.coefficients)


def test_many_participants_of_a_pattern_are_condensed_without_loss() -> None:
    data = small_trial(8, n=400, missing=0.1)
    result = change(data, df="kenward-roger")
    design = result.fit.design
    assert len(design.units) < 400
    by_hand = prepare_by_visit(data, "CHG", "USUBJID", "AVISITN", "ARM", baseline="BASE", factors=("COUNTRY",))
    rows = data[by_hand.rows]
    # The likelihood at the estimate, participant by participant.
    sigma, X = result.covariance.to_numpy(), design.X
    y = rows["CHG"].to_numpy()[design.order]
    r = y - X.Q @ (X.R @ result.fit.coefficients[X.kept])
    total, information = 0.0, np.zeros((len(X.R), len(X.R)))
    for i in range(result.n_participants):
        own = design.participant == i
        V = sigma[np.ix_(design.visit[own], design.visit[own])]
        total += np.linalg.slogdet(V)[1] + r[own] @ np.linalg.solve(V, r[own])
        information += X.Q[own].T @ np.linalg.solve(V, X.Q[own])
    _, size = np.linalg.slogdet(X.R.T @ information @ X.R)
    expected = total + size + (len(y) - len(X.R)) * math.log(2 * math.pi)
    assert result.deviance == pytest.approx(expected, abs=1e-8)


def test_prepared_model_fits_other_outcomes() -> None:
    data = small_trial(3, missing=0.1)
    model = prepare_by_visit(data, "CHG", "USUBJID", "AVISITN", "ARM", baseline="BASE", factors=("COUNTRY",))
    other = data.assign(CHG=data["CHG"] ** 2)
    expected = change(other)
    found = model.fit(other.loc[model.rows, "CHG"])
    assert found.differences == expected.differences


# Designs and data that a trial can have ----------------------------------------------------------------------------


@pytest.mark.parametrize("covariance", ["un", "ar1h"])
def test_named_visits_keep_the_order_of_their_categories(covariance: Any) -> None:
    data = small_trial(4, missing=0.1)
    names = {1: "Week 4", 3: "Week 13", 6: "Week 26"}  # alphabetically the second comes first
    named = data.assign(AVISITN=pd.Categorical(data["AVISITN"].map(names), list(names.values()), ordered=True))
    found, expected = change(named, covariance=covariance), change(data, covariance=covariance)
    assert list(found.differences) == list(names.values())
    assert found.deviance == pytest.approx(expected.deviance, abs=1e-9)
    assert [e.value for e in found.differences.values()] == [e.value for e in expected.differences.values()]
    assert list(found.covariance.index) == list(names.values())


@pytest.mark.parametrize(
    ("options", "message"),
    [({"method": "reml"}, "one of REML, ML"), ({"covariance": "cs"}, "one of un, toeph"), ({"df": "kr"}, "kenward")],
)
def test_unknown_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        change(small_trial(1), **options)


def test_infinite_values_are_refused() -> None:
    data = small_trial(1)
    data.loc[3, "CHG"] = math.inf
    with pytest.raises(ValueError, match="CHG holds an infinite value"):
        change(data)


def test_collinear_columns_are_dropped_like_r() -> None:
    plain = fev_fit(["ONE", "TRT"])
    data = fev().dropna(subset=["FEV1"])
    trt = (data["ARM"] == "treatment").to_numpy(dtype=float)
    X = np.column_stack([np.ones(len(data)), trt, 1 - trt, np.zeros(len(data))])
    model = fit(data["FEV1"], X, data["USUBJID"], data["AVISIT"])
    np.testing.assert_array_equal(np.isnan(model.coefficients), [False, False, True, True])
    assert model.deviance == pytest.approx(plain.deviance, abs=1e-8)
    found = model.contrasts([[0, 1, -1, 0], [1, 1, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1]])
    np.testing.assert_array_equal(np.isnan(found.value), [False, False, True, True])
    assert found.value[0] == pytest.approx(plain.coefficients[1], rel=1e-8)


def test_repeated_visits_are_refused_by_name() -> None:
    data = small_trial(1)
    with pytest.raises(ValueError, match="S002, S007"):
        change(pd.concat([data, data[data["USUBJID"].isin(["S002", "S007"])]]))


def test_other_arm_names_are_refused() -> None:
    with pytest.raises(ValueError, match="found Sham"):
        change(small_trial(1).replace("control", "Sham"))


def test_missing_values_are_refused_by_fit() -> None:
    with pytest.raises(ValueError, match="finite"):
        fit([1.0, math.nan], [[1.0], [1.0]], [1, 2], [1, 1])


def test_kenward_roger_needs_reml() -> None:
    with pytest.raises(ValueError, match="REML"):
        change(small_trial(1), method="ML", df="kenward-roger")


def test_a_visit_missing_in_one_arm_leaves_the_others() -> None:
    data = small_trial(5, missing=0.1).astype({"AVISITN": float})
    data.loc[(data["AVISITN"] == 6) & (data["ARM"] == "control"), "CHG"] = np.nan
    result = change(data)
    assert result.differences[6].note == "not estimable: no control participant with data at visit 6"
    assert not result.lsmeans[6, "control"].estimable
    assert result.lsmeans[6, "treatment"].estimable
    assert result.differences[1].estimable
    assert result.differences[3].estimable


def test_a_visit_missing_altogether_leaves_the_others() -> None:
    data = small_trial(5)
    expected = change(data[data["AVISITN"] != 3])
    data.loc[data["AVISITN"] == 3, "CHG"] = np.nan
    result = change(data)
    assert not result.differences[3].estimable
    assert "visit 3" in result.differences[3].note
    assert {v: result.differences[v] for v in (1, 6)} == expected.differences


def test_a_visit_with_too_few_observations_leaves_the_others() -> None:
    data = small_trial(5)
    late = data["AVISITN"] == 6
    data.loc[late & ~data["USUBJID"].isin(["S000", "S001"]), "CHG"] = np.nan
    result = change(data)
    assert "2 observations exactly" in result.differences[6].note
    assert any("visit 6" in note for note in result.notes)
    assert result.differences[1].estimable


def test_one_country_drops_out_with_a_note() -> None:
    data = small_trial(2).assign(COUNTRY="FRA")
    result = change(data)
    assert result.notes == ("COUNTRY has one level and drops out",)
    assert result.differences == change(data, factors=()).differences


def test_a_model_without_any_visit_says_nothing_of_its_factors() -> None:
    result = change(small_trial(2).assign(CHG=lambda data: -data["BASE"]))
    assert {e.note for e in result.differences.values()} == {
        f"not estimable: visit {v} is not in the model: its own terms fit its 40 observations exactly"
        for v in (1, 3, 6)
    }
    assert not any("one level" in note for note in result.notes)


def test_single_visit_participants_count() -> None:
    data = small_trial(2)
    data.loc[data["USUBJID"].isin(["S000", "S001"]) & (data["AVISITN"] > 1), "CHG"] = np.nan
    result = change(data)
    assert result.n_participants == 40
    assert result.differences[1].n == 40
    assert result.differences[3].n == 38


def test_fallback_where_no_participant_has_two_of_the_visits() -> None:
    data = small_trial(4, n=60)
    late = (data["USUBJID"] < "S030").to_numpy()
    data.loc[np.where(late, data["AVISITN"] == 3, data["AVISITN"] == 6), "CHG"] = np.nan
    result = change(data)
    assert result.fallbacks[0] == ("un", "no participant has data at both visit 3 and visit 6")
    assert result.covariance_structure in ("toeph", "ar1h")
    assert "unstructured covariance left" in result.differences[1].note
    assert "unstructured" not in result.differences[1].method


def test_fewer_participants_than_parameters() -> None:
    data = small_trial(9, n=6, visits=(1, 3, 6, 12, 24))
    result = change(data, baseline=None, factors=())
    assert result.fallbacks
    assert result.covariance_structure != "un"
    assert all(e.estimable == (e.note.count("not estimable") == 0) for e in result.differences.values())


def test_less_than_one_degree_of_freedom_gives_no_interval() -> None:
    bare = [
        estimate
        for seed in range(12)
        for estimate in change(small_trial(seed, n=5, missing=0.2), factors=()).differences.values()
        if "fewer than one degree of freedom" in estimate.note
    ]
    assert bare
    for estimate in bare:
        assert estimate.estimable
        assert math.isnan(estimate.lower)
        assert math.isnan(estimate.p)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda d: d.assign(CHG=np.nan),
        lambda d: d.assign(CHG=0.0),
        lambda d: d.assign(CHG=d["AVISITN"].astype(float)),
        lambda d: d[d["ARM"] == "control"],
        lambda d: d[d["USUBJID"] < "S002"],
        lambda d: d[d["USUBJID"] < "S003"],
        lambda d: d.assign(BASE=np.nan),
        lambda d: d.iloc[:0],
        lambda d: d.assign(COUNTRY=d["ARM"]),
        lambda d: d.assign(BASE=1.0),
        lambda d: d.assign(CHG=d.groupby("USUBJID")["CHG"].transform("first")),
    ],
    ids=[
        "missing",
        "constant",
        "by visit",
        "one arm",
        "n2",
        "n3",
        "no baseline",
        "empty",
        "confounded",
        "flat",
        "same",
    ],
)
def test_degenerate_data_give_a_result_or_a_reason(spoil: Any) -> None:
    result = change(spoil(small_trial(11)))
    for estimate in [*result.differences.values(), *result.lsmeans.values()]:
        assert estimate.estimable or estimate.note.startswith("not estimable: ")
        if estimate.estimable:
            assert estimate.se > 0
            assert estimate.df > 0
    assert repr(result)
    assert len(result.to_frame()) == len(result.differences) + len(result.lsmeans)


def test_confounded_arm_is_not_estimable_but_flat_baseline_is() -> None:
    data = small_trial(11)
    confounded = change(data.assign(COUNTRY=data["ARM"]))
    assert confounded.differences[1].note == "not estimable: confounded with other terms at visit 1"
    flat = change(data.assign(BASE=1.0))
    expected = change(data, baseline=None)
    assert flat.differences[1].value == pytest.approx(expected.differences[1].value, rel=1e-8)


def test_no_interior_optimum_is_named() -> None:
    data = small_trial(1, n=3)
    with pytest.raises(NoInteriorOptimumError, match=r"exactly|singular|convergence|no step"):
        fit(data["CHG"], np.eye(3)[pd.factorize(data["AVISITN"])[0]], data["USUBJID"], data["AVISITN"])
