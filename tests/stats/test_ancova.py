"""ANCOVA and Hedges' g against R's lm, emmeans and non-central t."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from respine.stats.ancova import _nct_cdf, ancova, hedges_g
from respine.stats.descriptive import mean_difference

REFERENCE = Path(__file__).parents[1] / "reference" / "ancova"
DATA = pd.read_csv(REFERENCE / "ancova.csv")
EXPECTED = json.loads((REFERENCE / "ancova.json").read_text())
MODELS: dict[str, dict[str, Any]] = {
    "full": {"covariates": ("BASE",), "factors": ("COUNTRY", "SEX")},
    "country": {"factors": ("COUNTRY",)},
    "arm": {},
}


def arm_values(data: pd.DataFrame = DATA) -> list[pd.Series[float]]:
    return [data.loc[data["ARM"] == arm, "CHG"] for arm in ("treatment", "control")]


@pytest.mark.parametrize("robust", [None, "HC3"])
@pytest.mark.parametrize("model", MODELS)
def test_emmeans(model: str, robust: Any) -> None:
    result = ancova(DATA, "CHG", "ARM", robust=robust, **MODELS[model])
    expected, rel = EXPECTED["answers"][model]["hc3" if robust else "ols"], EXPECTED["tolerance"]
    for row in expected["lsmeans"]:
        found = result.lsmeans[row["ARM"]]
        numbers = [row[key] for key in ("emmean", "SE", "df", "lower.CL", "upper.CL")]
        assert [found.value, found.se, found.df, found.lower, found.upper] == pytest.approx(numbers, rel=rel)
    (row,) = expected["difference"]
    found = result.difference
    numbers = [row[key] for key in ("estimate", "SE", "df", "lower.CL", "upper.CL", "p.value")]
    assert [found.value, found.se, found.df, found.lower, found.upper, found.p] == pytest.approx(numbers, rel=rel)
    assert result.residual_sd == pytest.approx(expected["sd"], rel=rel)
    assert ("HC3" in found.method) == bool(robust)
    assert found.n == found.n_treatment + found.n_control == result.n


def test_without_covariates_it_is_students_t_test() -> None:
    found, expected = ancova(DATA, "CHG", "ARM").difference, mean_difference(*arm_values(), equal_variances=True)
    assert (found.value, found.se, found.df, found.p) == pytest.approx(
        (expected.value, expected.se, expected.df, expected.p), rel=1e-10
    )


@settings(deadline=None, derandomize=True, max_examples=10)
@given(seed=st.integers(0, 1000), factor=st.sampled_from([-2.0, 1e-4, 1e4]))
def test_swapping_scaling_and_shuffling(seed: int, factor: float) -> None:
    base = ancova(DATA, "CHG", "ARM", **MODELS["full"]).difference
    swapped = DATA.assign(ARM=DATA["ARM"].map({"treatment": "control", "control": "treatment"}))
    for data, scale in (
        (swapped, -1.0),
        (DATA.assign(CHG=DATA["CHG"] * factor), factor),
        (DATA.sample(frac=1, random_state=seed), 1.0),
    ):
        found = ancova(data, "CHG", "ARM", **MODELS["full"]).difference
        assert (found.value, found.se) == pytest.approx((scale * base.value, abs(scale) * base.se), rel=1e-9)


def test_one_country_drops_out_with_a_note() -> None:
    result = ancova(DATA.assign(COUNTRY="FRA"), "CHG", "ARM", covariates=("BASE",), factors=("COUNTRY",))
    expected = ancova(DATA, "CHG", "ARM", covariates=("BASE",)).difference
    assert result.difference.note == "COUNTRY has one level and drops out"
    assert (result.difference.value, result.difference.p) == (expected.value, expected.p)


def test_leverage_one_falls_back_by_name() -> None:
    data = DATA.assign(COUNTRY=np.where(DATA.index == 0, "GBR", DATA["COUNTRY"]))
    found = ancova(data, "CHG", "ARM", robust="HC3", **MODELS["country"]).difference
    assert found.se == pytest.approx(ancova(data, "CHG", "ARM", **MODELS["country"]).difference.se, rel=1e-12)
    assert "HC3 does not exist" in found.note
    assert "HC3" not in found.method


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (DATA[DATA["ARM"] == "control"], "not estimable: no treatment participant with data"),
        (DATA.iloc[:0], "not estimable: no treatment and no control participant with data"),
        (DATA.assign(CHG=np.nan), "not estimable: no treatment and no control participant with data"),
        (DATA.assign(COUNTRY=DATA["ARM"]), "not estimable: confounded with other terms"),
        (DATA.assign(CHG=1.0), "no interval: no residual variation"),
    ],
)
def test_degenerate_data(data: pd.DataFrame, reason: str) -> None:
    result = ancova(data, "CHG", "ARM", **MODELS["country"])
    assert result.difference.note == reason
    assert np.isnan(result.difference.p)
    assert repr(result)
    assert len(result.to_frame()) == 3


def test_two_participants_leave_no_interval() -> None:
    data = pd.DataFrame({"ARM": ["treatment", "control"], "CHG": [1.0, 3.0]})
    found = ancova(data, "CHG", "ARM").difference
    assert found.value == pytest.approx(-2)
    assert found.note == "no interval: no residual degrees of freedom"


def test_other_arm_names_are_refused() -> None:
    with pytest.raises(ValueError, match="found Sham"):
        ancova(DATA.replace("control", "Sham"), "CHG", "ARM")


@pytest.mark.parametrize("case", ["all", "small"])
def test_hedges_g(case: str) -> None:
    x, y = (values.to_numpy() for values in arm_values())
    found = hedges_g(x, y) if case == "all" else hedges_g(x[:4], y[:3] + 20, level=0.9)
    expected = EXPECTED["hedges"][case]
    assert (found.value, found.lower, found.upper) == pytest.approx(
        (expected["g"], expected["lower"], expected["upper"]), rel=1e-6
    )


@pytest.mark.parametrize("n", [2, 3, 30, 2000])
@pytest.mark.parametrize("effect", [0.0, 5.0, 1e4])
def test_hedges_g_of_extreme_effects(n: int, effect: float) -> None:
    # scipy's non-central t is NaN for some of these.
    x, y = np.random.default_rng(1).normal(size=(2, n))
    found, mirrored = hedges_g(x + effect, y, 0.999), hedges_g(y, x + effect, 0.999)
    assert found.lower < found.value < found.upper
    assert (mirrored.lower, mirrored.upper) == pytest.approx((-found.upper, -found.lower), rel=1e-9)


@pytest.mark.parametrize(("t", "df"), [(0.0, 4), (1.9, 2), (2.1, 2), (8.0, 4), (-3.0, 110), (11.0, 58), (200.0, 58)])
def test_noncentral_t_where_scipy_has_it(t: float, df: int) -> None:
    deltas = np.linspace(t - 5 - abs(t) / 2, t + 5 + abs(t) / 2, 41)
    expected = stats.nct.cdf(t, df, deltas)
    known = ~np.isnan(expected)
    assert known.sum() > 30
    found = np.array([_nct_cdf(t, df, delta) for delta in deltas])
    np.testing.assert_allclose(found[known], expected[known], atol=1e-11)


@pytest.mark.parametrize(("x", "y"), [([], [1.0, 2.0]), ([1.0], [2.0, 3.0]), ([1.0, 1.0, 1.0], [2.0, 2.0])])
def test_hedges_g_of_degenerate_data(x: list[float], y: list[float]) -> None:
    assert hedges_g(x, y).note.startswith("not estimable: ")
