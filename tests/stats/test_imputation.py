from __future__ import annotations

import json
import math
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from respine.stats import imputation as imp
from respine.stats.rubin import pooled_estimate

REFERENCE = Path(__file__).parents[1] / "reference" / "imputation"
ANSWERS = json.loads((REFERENCE / "answers.json").read_text())
METHODS: tuple[imp.Method, ...] = ("MAR", "J2R", "CR", "CIR")
VAS0, VAS12, ODI12, VAS24, ODI24 = 0, 4, 5, 6, 7


@cache
def trial() -> imp.IncompleteData:
    frame = pd.read_csv(REFERENCE / "trial.csv")
    columns = [(name.split(".")[0], float(name.split(".")[1])) for name in ANSWERS["columns"]]
    country = pd.get_dummies(frame["country"], drop_first=True).to_numpy(float)
    return imp.IncompleteData(
        frame[ANSWERS["columns"]].to_numpy(float), columns, frame["treatment"].to_numpy(bool), country
    )


def made(n1: int, n0: int, *, seed: int = 0, drop: float = 0.2, gaps: float = 0.03, countries: int = 4) -> Any:
    """A trial with two variables at four visits."""
    rng = np.random.default_rng(seed)
    n, columns = n1 + n0, [(v, float(t)) for t in (0, 3, 12, 24) for v in ("VASPAIN", "ODI")]
    outcome = rng.normal(size=(n, 8)) * 12 + rng.normal(size=(n, 1)) * 12 + np.linspace(60, 35, 8)
    for i in range(n):
        if rng.random() < drop:
            outcome[i, 2 * rng.integers(1, 4) :] = np.nan
    outcome[rng.random((n, 8)) < gaps] = np.nan
    country = np.eye(countries)[rng.integers(0, countries, n)][:, 1:]
    return imp.IncompleteData(outcome, columns, np.arange(n) < n1, country)


def changed(data: imp.IncompleteData, **fields: Any) -> imp.IncompleteData:
    names = ("outcome", "columns", "treatment", "covariates", "from_visit", "reference")
    return imp.IncompleteData(**({name: getattr(data, name) for name in names} | fields))


def effect(values: np.ndarray, rows: np.ndarray) -> float:
    """ANCOVA of the change in VAS at month 12."""
    data = trial()
    covariates = np.column_stack([values[:, VAS0], data.covariates[rows]])
    return float(imp.ancova((values[:, VAS12] - values[:, VAS0])[None], data.treatment[rows], covariates)[0][0])


@cache
def draws() -> imp.Imputations:
    return imp.impute(trial(), m=300, seed=1)


def pooled_ancova(completed: np.ndarray) -> Any:
    data, m = trial(), len(completed)
    country = np.broadcast_to(data.covariates, (m, *data.covariates.shape))
    covariates = np.concatenate([completed[:, :, [VAS0]], country], axis=2)
    estimates, variances, df = imp.ancova(completed[:, :, VAS12] - completed[:, :, VAS0], data.treatment, covariates)
    return estimates, variances, df


# --- against explicit matrices in R -----------------------------------------------------------------------------------


@pytest.mark.parametrize("arm", ["treatment", "control"])
def test_maximum_likelihood_agrees_with_em(arm: imp.Arm) -> None:
    mean, covariance = imp.arm_moments(trial(), arm)
    which = trial().treatment if arm == "treatment" else ~trial().treatment
    expected = np.array(ANSWERS["ml"][arm]["mean"])
    np.testing.assert_allclose(mean[which], expected[which], rtol=1e-5)
    np.testing.assert_allclose(covariance, ANSWERS["ml"][arm]["cov"], rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize("method", METHODS)
def test_conditional_means_agree_with_carpenter_roger_kenward(method: imp.Method) -> None:
    ours = imp.conditional_means(trial(), method)
    np.testing.assert_allclose(ours, np.array(ANSWERS["conditional_means"][method], float), rtol=1e-5, atol=1e-4)
    assert effect(ours, np.arange(trial().n)) == pytest.approx(ANSWERS["effect"][method], rel=1e-4)


@pytest.mark.parametrize("method", METHODS)
def test_conditional_covariances_agree_with_carpenter_roger_kenward(method: imp.Method) -> None:
    layout = imp._Layout.of(trial())
    arms = layout.by_arm([group.maximum_likelihood()[0] for group in layout.groups])
    gaps = layout.gather([group.maximum_likelihood()[1] for group in layout.groups], 1)
    row = ANSWERS["covariances"][method]["row"]
    place = int(np.flatnonzero(layout.tail == row)[0])
    every = np.arange(8)
    base = layout.complete(method, arms, gaps, np.zeros((1, len(layout.tail), layout.p)), every)[0, row]
    factor = []
    for j in range(VAS12, ODI24 + 1):
        residual = np.zeros((1, len(layout.tail), layout.p))
        residual[0, place, j] = 1
        factor.append((layout.complete(method, arms, gaps, residual, every)[0, row] - base)[VAS12:])
    np.testing.assert_allclose(np.transpose(factor) @ factor, ANSWERS["covariances"][method]["cov"], rtol=1e-4)


@pytest.mark.parametrize("method", METHODS)
def test_jackknife_agrees_with_refitting_in_r(method: imp.Method) -> None:
    result = imp.conditional_mean_estimate(trial(), method, effect, statistic="difference in means")
    assert result.value == pytest.approx(ANSWERS["effect"][method], rel=1e-4)
    assert result.se == pytest.approx(ANSWERS["jackknife_se"][method], rel=1e-4)
    assert result.upper - result.lower == pytest.approx(2 * 1.959963984540054 * result.se)


# --- posterior draws --------------------------------------------------------------------------------------------------


def test_draws_agree_with_mice_within_monte_carlo_error() -> None:
    answer = ANSWERS["mice"]
    estimates, variances, df = pooled_ancova(draws().completed())
    ours = pooled_estimate("difference", estimates, variances, df_complete=df)
    error = math.sqrt(answer["between"] / answer["m"] + estimates.var() / len(estimates))
    assert abs(ours.value - answer["effect"]) < 4 * error
    assert ours.se == pytest.approx(answer["se"], rel=0.04)
    assert variances.mean() == pytest.approx(answer["within"], rel=0.05)
    for arm, which in (("treatment", trial().treatment), ("control", ~trial().treatment)):
        means = draws().completed()[:, which, VAS24].mean(axis=1)
        error = math.sqrt(answer[f"vas24_{arm}_var"] / answer["m"] + means.var() / len(means))
        assert abs(means.mean() - answer[f"vas24_{arm}"]) < 4 * error


def test_draws_without_gaps_have_the_exact_predictive_distribution() -> None:
    # One regression with a flat prior: a missing value is t-distributed around its prediction.
    rng = np.random.default_rng(4)
    outcome = np.column_stack([rng.normal(50, 10, 40), np.zeros(40)])
    outcome[:, 1] = 10 + 0.5 * outcome[:, 0] + rng.normal(0, 5, 40)
    outcome[[0, 25], 1] = np.nan
    data = imp.IncompleteData(outcome, [("VASPAIN", 0), ("VASPAIN", 1)], np.arange(40) < 20)
    completed = imp.impute(data, m=20_000, seed=3).completed()
    for row, members in ((0, np.arange(1, 20)), (25, np.delete(np.arange(20, 40), 5))):
        x = np.column_stack([np.ones(19), outcome[members, 0]])
        coefficients, rss, *_ = np.linalg.lstsq(x, outcome[members, 1])
        at = np.array([1, outcome[row, 0]])
        prediction = at @ coefficients
        scale = rss[0] / 17 * (1 + at @ np.linalg.inv(x.T @ x) @ at)
        drawn = completed[:, row, 1]
        assert drawn.mean() == pytest.approx(prediction, abs=4 * math.sqrt(scale * 17 / 15 / 20_000))
        assert drawn.var() == pytest.approx(scale * 17 / 15, rel=0.06)


@pytest.mark.parametrize("method", METHODS)
def test_multiple_and_conditional_mean_imputation_agree(method: imp.Method) -> None:
    estimates, _, _ = pooled_ancova(draws().completed(method))
    error = estimates.std() / math.sqrt(len(estimates))
    assert estimates.mean() == pytest.approx(ANSWERS["effect"][method], abs=4 * error + 0.05)


def test_a_seed_gives_the_same_draws_and_another_does_not() -> None:
    first, again, other = (imp.impute(trial(), m=3, seed=s).completed("J2R") for s in (5, 5, 6))
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first, other)


def test_one_arm_is_imputed_independently_of_the_other() -> None:
    data = trial()
    outcome = np.where(data.treatment[:, None], data.outcome, np.round(data.outcome / 2))
    ours = imp.impute(changed(data, outcome=outcome), m=3, seed=5).completed()
    expected = imp.impute(data, m=3, seed=5).completed()
    # The unit of measurement is common to both arms, so the agreement is to rounding.
    np.testing.assert_allclose(ours[:, data.treatment], expected[:, data.treatment], rtol=1e-6)


# --- identities -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
def test_observed_values_stay_and_everything_else_is_filled(method: imp.Method) -> None:
    completed = draws().completed(method)
    observed = ~trial().missing
    assert (completed[:, observed] == trial().outcome[observed]).all()
    assert np.isfinite(completed).all()


def test_nothing_missing_returns_the_data_under_every_assumption() -> None:
    data = made(20, 20, drop=0, gaps=0)
    imputations = imp.impute(data, m=3, seed=1)
    assert imputations.note == ""
    for method in METHODS:
        shifted = imputations.completed(method, delta_treatment={"ODI": 5.0})
        assert (shifted == data.outcome).all()
        assert (imp.conditional_means(data, method) == data.outcome).all()


def test_methods_differ_only_for_the_treatment_arm_after_departure() -> None:
    mar, data = draws().completed("MAR"), trial()
    may_differ = data.departed & data.treatment[:, None]
    for method in METHODS[1:]:
        differs = (np.abs(draws().completed(method) - mar) > 1e-9).any(axis=0)
        assert (differs == may_differ).all()
    swapped = imp.impute(changed(data, reference="treatment"), m=5, seed=1)
    differs = (np.abs(swapped.completed("J2R") - swapped.completed("MAR")) > 1e-9).any(axis=0)
    assert (differs == (data.departed & ~data.treatment[:, None])).all()


def test_gaps_are_not_departures() -> None:
    columns = [("VASPAIN", 0), ("ODI", 0), ("VASPAIN", 3), ("ODI", 3), ("VASPAIN", 6), ("ODI", 6)]
    nan = math.nan
    outcome = np.array([[1, 2, nan, nan, 5, nan], [1, 2, 3, nan, nan, nan], [nan] * 6, [1, 2, nan, 4, nan, nan]])
    data = imp.IncompleteData(outcome, columns, np.array([True, True, False, False]))
    assert data.departed.tolist() == [
        [False] * 6,
        [False] * 4 + [True] * 2,
        [True] * 6,
        [False] * 4 + [True] * 2,
    ]
    later = changed(data, from_visit=np.array([3, nan, 6, 0]))
    assert later.departed.tolist() == [
        [False] * 6,
        [False] * 4 + [True] * 2,
        [False] * 4 + [True] * 2,
        [False] * 4 + [True] * 2,
    ]


def test_deltas_move_departed_values_of_their_arm_and_variable() -> None:
    data, plain = trial(), draws().completed()
    moved = draws().completed(delta_treatment={"VASPAIN": 10.0}, delta_control={"ODI": -3.0})
    is_vas = np.array([variable == "VASPAIN" for variable, _ in data.columns])
    expected = np.where(data.treatment[:, None], 10.0 * is_vas, -3.0 * ~is_vas) * data.departed
    np.testing.assert_allclose(moved - plain, np.broadcast_to(expected, plain.shape), atol=1e-9)


@settings(deadline=None, derandomize=True, max_examples=3)
@given(st.randoms(use_true_random=False), st.floats(0.1, 10), st.floats(-50, 50))
def test_row_and_column_order_never_matter_and_units_do_not(random: Any, scale: float, shift: float) -> None:
    data = trial()
    rows, columns = list(range(data.n)), list(range(8))
    random.shuffle(rows)
    # Columns are modelled in order of visit; only whole visits may change places without changing that order.
    columns = [j for visit in random.sample(range(4), 4) for j in (2 * visit, 2 * visit + 1)]
    moved = imp.IncompleteData(
        data.outcome[rows][:, columns] * scale + shift,
        [data.columns[j] for j in columns],
        data.treatment[rows],
        data.covariates[rows],
    )
    for method in METHODS:
        expected = imp.conditional_means(data, method)[rows][:, columns] * scale + shift
        np.testing.assert_allclose(imp.conditional_means(moved, method), expected, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("method", METHODS)
def test_some_columns_and_blocks_of_imputations_are_the_same_values(
    method: imp.Method, monkeypatch: pytest.MonkeyPatch
) -> None:
    shifts = {"delta_treatment": {"ODI": 3.0}, "delta_control": {"VASPAIN": -2.0}}
    whole = draws().completed(method, **shifts)
    monkeypatch.setattr(imp, "_BLOCK", 7 * trial().n * 8)
    columns = [trial().columns[k] for k in (VAS12, VAS0, ODI24)]
    some = draws().completed(method, **shifts, columns=columns)
    np.testing.assert_allclose(some, whole[:, :, [VAS12, VAS0, ODI24]], rtol=1e-12)
    with pytest.raises(ValueError, match="not among the outcomes"):
        draws().completed(method, columns=[("VASPAIN", 7)])


def test_tipping_surface_starts_at_missing_at_random() -> None:
    def analyse(completed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return pooled_ancova(completed)[:2]

    surface = imp.tipping_surface(
        draws(), analyse, variable="VASPAIN", deltas=[0, 20], statistic="difference", df_complete=108
    ).set_index(["delta_treatment", "delta_control"])
    estimates, variances, df = pooled_ancova(draws().completed())
    plain = pooled_estimate("difference", estimates, variances, df_complete=df)
    assert surface.loc[(0, 0), "value"] == plain.value
    assert surface.loc[(0, 0), "df"] == plain.df
    assert surface.loc[(20, 0), "value"] > plain.value > surface.loc[(0, 20), "value"]
    assert surface.loc[(20, 20), "value"] == pytest.approx(
        surface.loc[(20, 0), "value"] + surface.loc[(0, 20), "value"] - plain.value
    )


def test_ancova_without_covariates_is_the_t_test() -> None:
    y = np.random.default_rng(1).normal(size=(2, 30))
    arm = np.arange(30) < 12
    estimates, variances, df = imp.ancova(y, arm)
    for row in range(2):
        a, b = y[row, arm], y[row, ~arm]
        pooled = (a.var(ddof=1) * 11 + b.var(ddof=1) * 17) / 28
        assert estimates[row] == pytest.approx(a.mean() - b.mean())
        assert variances[row] == pytest.approx(pooled * (1 / 12 + 1 / 18))
    assert df == 28


def test_ancova_does_not_depend_on_the_origin_and_unit_of_a_covariate() -> None:
    rng = np.random.default_rng(1)
    baseline = rng.normal(size=(2, 30))
    y, arm = baseline + rng.normal(size=(2, 30)), np.arange(30) < 12
    expected = imp.ancova(y, arm, baseline[:, :, None])
    found = imp.ancova(y, arm, 1e-3 * baseline[:, :, None] + 1e3)
    for one, other in zip(expected, found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-8)


# --- data that a trial can have ---------------------------------------------------------------------------------------


def without(data: imp.IncompleteData, rows: Any, columns: Any) -> imp.IncompleteData:
    outcome = data.outcome.copy()
    outcome[np.ix_(np.arange(data.n)[rows], columns)] = np.nan
    return changed(data, outcome=outcome)


def small_trials() -> dict[str, tuple[imp.IncompleteData, str]]:
    full = made(40, 38)
    only_treated = np.zeros((78, 2))
    only_treated[:3, 0] = only_treated[3:40, 1] = 1
    monotone = made(40, 38, gaps=0)
    collinear = monotone.outcome.copy()
    collinear[:, 1], collinear[:, 3] = collinear[:, 0] / 2, 40.0
    return {
        "7 + 7": (made(7, 7), "before it only"),
        "20 + 20": (made(20, 20), "both arms share one"),
        "one country": (made(40, 38, countries=1), ""),
        "no covariates": (changed(full, covariates=None), ""),
        "a country in one arm only": (changed(full, covariates=only_treated), ""),
        "a covariate twice": (changed(full, covariates=full.covariates[:, [0, 0, 1]]), ""),
        "collinear and constant outcomes": (changed(monotone, outcome=collinear), ""),
        "participants without any value": (without(full, [0, 1, 50], range(8)), ""),
    }


@pytest.mark.parametrize("name", small_trials())
def test_small_and_odd_trials_are_imputed_and_say_how(name: str) -> None:
    data, note = small_trials()[name]
    imputations = imp.impute(data, m=5, seed=1)
    assert note in imputations.note
    spread = np.nanmax(data.outcome) - np.nanmin(data.outcome)
    for method in METHODS:
        for completed in (imputations.completed(method), imp.conditional_means(data, method)):
            assert np.isfinite(completed).all()
            assert np.abs(completed - 50).max() < 3 * spread


def test_outcomes_without_observations_stay_missing_and_are_named() -> None:
    data = without(made(30, 28), slice(0, 30), [6])
    imputations = imp.impute(data, m=3, seed=1)
    assert "VASPAIN at visit 24" in imputations.note
    for method in METHODS:
        left = np.isnan(imputations.completed(method)).any(axis=0)
        assert (left == (data.missing & (np.arange(8) == 6))).all()
    result = imp.conditional_mean_estimate(
        data, "MAR", lambda values, rows: float(values[:, 6].mean()), statistic="mean"
    )
    assert "VASPAIN at visit 24" in result.note
    assert not result.estimable


@pytest.mark.parametrize(("n1", "n0"), [(3, 3), (20, 0), (0, 0)])
def test_too_few_participants_leave_everything_missing(n1: int, n0: int) -> None:
    data = made(n1, n0)
    imputations = imp.impute(data, m=2, seed=1)
    assert (np.isnan(imputations.completed("J2R")) == data.missing).all()
    assert bool(imputations.note) == bool(data.missing.any())


def test_wrong_calls_are_refused() -> None:
    data = trial()
    for fields, message in (
        ({"columns": data.columns[:3]}, "outcome columns"),
        ({"treatment": data.treatment[:5]}, "treatment"),
        ({"covariates": np.full((data.n, 1), np.nan)}, "complete"),
        ({"outcome": np.full_like(data.outcome, np.inf)}, "infinite"),
    ):
        with pytest.raises(ValueError, match=message):
            changed(data, **fields)
    with pytest.raises(ValueError, match="one of MAR"):
        draws().completed("LOCF")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="EQ5D"):
        draws().completed(delta_control={"EQ5D": 1.0})
    with pytest.raises(ValueError, match="at least one"):
        imp.impute(data, m=0, seed=1)


def test_what_cannot_be_imputed_is_listed_once_a_set_of_visits():
    listed = imp._listed([("VAS", 1.0), ("ODI", 1.0), ("VAS", 12.0), ("ODI", 12.0), ("T2", 6.0)])
    assert listed == "VAS and ODI at visits 1, 12, T2 at visit 6"
