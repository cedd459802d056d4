"""Stratified tables against R (tests/reference/stratified/oracle.R) and published worked examples."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import chdtri
from statsmodels.stats.contingency_tables import StratifiedTable

from respine.stats.proportions import p_values, risk_difference
from respine.stats.stratified import (
    breslow_day,
    cochran_mantel_haenszel,
    generalised_cmh,
    mantel_haenszel_odds_ratio,
    stratified_counts,
    stratified_risk_difference,
)

REFERENCE = Path(__file__).parents[1] / "reference" / "stratified"
R = json.loads((REFERENCE / "answers.json").read_text())
PUBLIC = json.loads((REFERENCE / "public.json").read_text())
COUNTS = {
    name: dict(zip(("x_treatment", "n_treatment", "x_control", "n_control"), answer["counts"].values(), strict=True))
    for name, answer in R["two"].items()
}
EACH = pytest.mark.parametrize("name", R["two"])
arm = st.integers(1, 20).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))
strata = st.lists(st.tuples(arm, arm), min_size=1, max_size=5)
property_test = settings(deadline=None, derandomize=True, max_examples=15)


def near(value):
    return pytest.approx(value, abs=R["tolerance"], rel=R["tolerance"])


def columns(tables):
    keys = ("x_treatment", "n_treatment", "x_control", "n_control")
    return dict(zip(keys, np.array([[*t, *c] for t, c in tables]).T, strict=True))


@EACH
def test_risk_difference_equals_r(name):
    answer = R["two"][name]
    sato = stratified_risk_difference(**COUNTS[name], method="sato")
    mn = stratified_risk_difference(**COUNTS[name])
    assert [sato.value, sato.se, sato.lower, sato.upper] == near([answer["rd"], answer["sato_se"], *answer["sato"]])
    assert [mn.value, mn.lower, mn.upper, mn.p] == near([answer["rd"], *answer["mn"], answer["cmh_p"]])
    assert (mn.n_treatment, mn.n_control) == (
        sum(COUNTS[name]["n_treatment"]),
        sum(COUNTS[name]["n_control"]),
    )


@EACH
def test_odds_ratio_and_tests_equal_r(name):
    answer, counts = R["two"][name], COUNTS[name]
    ratio = mantel_haenszel_odds_ratio(**counts)
    assert [ratio.value, ratio.lower, ratio.upper] == near([answer["or"], *answer["or_ci"]])
    assert cochran_mantel_haenszel(**counts).p == near(answer["cmh_p"])
    for tarone, key in ((True, "tarone"), (False, "plain")):
        test = breslow_day(**counts, tarone=tarone)
        assert [test.p, test.df] == near([answer["breslow_day"][key], answer["breslow_day"]["df"]])


@EACH
def test_cmh_equals_statsmodels(name):
    x1, n1, x0, n0 = (np.array(c) for c in COUNTS[name].values())
    table = StratifiedTable(np.array([[x1, n1 - x1], [x0, n0 - x0]], dtype=float))
    assert cochran_mantel_haenszel(x1, n1, x0, n0).p == pytest.approx(table.test_null_odds().pvalue, abs=1e-12)


@pytest.mark.parametrize("case", R["published"], ids=lambda c: f"{c['data']}-{c['quantity']}")
def test_published_examples(case):
    tolerance = pytest.approx(case["value"], abs=case["tolerance"])
    if case["quantity"] == "mn":
        estimate = stratified_risk_difference(**COUNTS[case["data"]])
        assert [estimate.lower, estimate.upper] == tolerance
    elif case["quantity"] == "cmh_p":
        assert cochran_mantel_haenszel(**COUNTS[case["data"]]).p == tolerance
    else:
        answer = R["generalised"][0]
        alternative = {"general": "general_association", "row_means": "row_means"}[case["quantity"]]
        assert generalised_cmh(answer["tables"], alternative=alternative, scores=answer["scores"]).p == tolerance


@pytest.mark.parametrize("answer", R["generalised"], ids=["satisfaction", "two_by_three"])
def test_generalised_cmh_equals_r(answer):
    general = generalised_cmh(answer["tables"])
    means = generalised_cmh(answer["tables"], alternative="row_means", scores=answer["scores"])
    assert [general.p, general.df] == near([answer["general"]["p"], answer["general"]["df"]])
    assert [means.p, means.df] == near([answer["row_means"]["p"], answer["row_means"]["df"]])


def public(name):
    return dict(
        zip(
            ("x_treatment", "n_treatment", "x_control", "n_control"),
            PUBLIC["two"][name]["counts"].values(),
            strict=True,
        )
    )


@pytest.mark.parametrize("name", PUBLIC["two"])
def test_public_tables_equal_r(name):
    answer, counts = PUBLIC["two"][name], public(name)

    def near(value):
        return pytest.approx(value, rel=PUBLIC["tolerance"], abs=1e-10)

    mn, sato, newcombe = (
        stratified_risk_difference(**counts, method=m) for m in ("miettinen_nurminen", "sato", "newcombe")
    )
    assert [mn.value, mn.lower, mn.upper, mn.p] == near([answer["rd"], *answer["mn"], answer["cmh_p"]])
    assert [sato.value, sato.se] == near([answer["rd"], answer["sato_se"]])
    if answer["newcombe"]:
        assert [newcombe.value, newcombe.lower, newcombe.upper] == near([answer["rd"], *answer["newcombe"]])
    ratio = mantel_haenszel_odds_ratio(**counts)
    if answer["or"] == "Inf":
        assert "infinite" in ratio.note
    else:
        assert [ratio.value, ratio.lower, ratio.upper] == near([answer["or"], *answer["or_ci"]])


@pytest.mark.parametrize("case", PUBLIC["published"], ids=lambda c: f"{c['data']}-{c['quantity']}")
def test_sas_output(case):
    counts = public(case["data"])
    newcombe, ratio = stratified_risk_difference(**counts, method="newcombe"), mantel_haenszel_odds_ratio(**counts)
    found = {
        "cmh_p": cochran_mantel_haenszel(**counts).p,
        "breslow_day_p": breslow_day(**counts, tarone=False).p,
        "or": [ratio.value, ratio.lower, ratio.upper],
        "newcombe": [newcombe.value, newcombe.lower, newcombe.upper],
    }[case["quantity"]]
    assert found == pytest.approx(case["value"], abs=case["tolerance"])


@pytest.mark.parametrize("name", PUBLIC["generalised"])
def test_generalised_cmh_of_public_tables_equals_r(name):
    answer = PUBLIC["generalised"][name]
    for alternative, key in (("general_association", "general"), ("row_means", "row_means")):
        test = generalised_cmh(answer["tables"], alternative=alternative, scores=answer["scores"])
        assert [test.p, test.df] == pytest.approx([answer[key]["p"], answer[key]["df"]], rel=1e-6)


def test_generalised_cmh_counts_only_real_degrees_of_freedom():
    """Arms 1 and 2 share no stratum with arms 3 and 4: rank 2 x 2, whatever rounding leaves of the rest."""
    rng = np.random.default_rng(8)
    tables = np.zeros((60, 4, 3))
    tables[::2, :2], tables[1::2, 2:] = rng.integers(1, 50_000, (2, 30, 2, 3))
    apart = generalised_cmh(tables)
    parts = [generalised_cmh(part) for part in (tables[::2, :2], tables[1::2, 2:])]
    assert apart.df == 4
    assert chdtri(4, apart.p) == pytest.approx(sum(chdtri(2, part.p) for part in parts), rel=1e-9)


@property_test
@given(strata, st.randoms(use_true_random=False))
def test_order_of_strata_never_matters(tables, random):
    shuffled = random.sample(tables, len(tables))
    for method in ("miettinen_nurminen", "newcombe", "sato"):
        one, other = (stratified_risk_difference(**columns(t), method=method) for t in (tables, shuffled))
        assert [other.value, other.lower, other.upper, other.p] == pytest.approx(
            [one.value, one.lower, one.upper, one.p], abs=1e-12, nan_ok=True
        )


@property_test
@given(strata)
def test_score_interval_excludes_zero_exactly_when_the_test_rejects(tables):
    for method in ("miettinen_nurminen", "sato"):
        estimate = stratified_risk_difference(**columns(tables), method=method)
        if estimate.p == estimate.p and abs(estimate.p - 0.05) > 1e-9:
            assert (estimate.p < 0.05) == (estimate.lower > 0 or estimate.upper < 0)


@property_test
@given(strata)
def test_swapping_arms_flips_signs(tables):
    swapped = [(control, treatment) for treatment, control in tables]
    for method in ("miettinen_nurminen", "newcombe", "sato"):
        one, other = (stratified_risk_difference(**columns(t), method=method) for t in (tables, swapped))
        assert [other.value, other.lower, other.upper] == pytest.approx(
            [-one.value, -one.upper, -one.lower], abs=1e-9, nan_ok=True
        )
        if one.lower == one.lower:
            assert one.lower <= one.value + 1e-12
            assert one.value <= one.upper + 1e-12


@property_test
@given(arm, arm)
def test_one_stratum_is_no_stratification(treatment, control):
    counts = (*treatment, *control)
    plain, stratified = risk_difference(*counts), stratified_risk_difference(*([c] for c in counts))
    assert [stratified.value, stratified.lower, stratified.upper] == pytest.approx(
        [plain.value, plain.lower, plain.upper], abs=1e-10
    )
    plain, stratified = (
        risk_difference(*counts, method="newcombe"),
        stratified_risk_difference(*([c] for c in counts), method="newcombe"),
    )
    assert [stratified.lower, stratified.upper] == pytest.approx([plain.lower, plain.upper], abs=1e-10)
    n = treatment[1] + control[1]
    cmh, pearson = cochran_mantel_haenszel(*([c] for c in counts)), p_values(*counts, test="pearson")
    if cmh.estimable:
        assert chdtri(1, cmh.p) == pytest.approx(chdtri(1, pearson) * (n - 1) / n, rel=1e-6, abs=1e-9)


@property_test
@given(strata)
def test_generalised_cmh_of_two_by_two_tables_is_cmh(tables):
    counts = columns(tables)
    x1, n1, x0, n0 = counts.values()
    cells = np.stack([np.stack([x1, n1 - x1], -1), np.stack([x0, n0 - x0], -1)], axis=1)
    for alternative in ("general_association", "row_means"):
        general = generalised_cmh(cells, alternative=alternative)
        assert general.p == pytest.approx(cochran_mantel_haenszel(**counts).p, abs=1e-9, nan_ok=True)


def test_counts_from_participants():
    counts = stratified_counts(
        response=[1, 0, None, 1, 1, 0, 1],
        treated=[True, True, True, False, False, False, True],
        stratum=["FRA", "FRA", "FRA", "FRA", "ITA", "FRA", None],
    )
    assert counts.loc["FRA"].tolist() == [1, 2, 1, 2]
    assert counts.loc["ITA"].tolist() == [0, 0, 1, 1]
    estimate = stratified_risk_difference(**counts)
    assert estimate.value == 0
    assert estimate.note == "left out: 1 of 2 strata with one arm only (ITA)"


def test_one_arm_in_every_stratum():
    counts = stratified_counts([1, 0, 1], [True, False, False], ["FRA", "ITA", "ITA"])
    for estimate in (
        stratified_risk_difference(**counts),
        stratified_risk_difference(**counts, method="sato"),
        mantel_haenszel_odds_ratio(**counts),
        cochran_mantel_haenszel(**counts),
        breslow_day(**counts),
    ):
        assert not estimate.estimable
    assert stratified_counts([], [], []).empty


def test_extreme_tables():
    none = {"x_treatment": [0, 0], "n_treatment": [5, 4], "x_control": [0, 0], "n_control": [6, 3]}
    estimate = stratified_risk_difference(**none)
    assert estimate.value == 0
    assert estimate.lower < 0 < estimate.upper
    assert "no interval" in stratified_risk_difference(**none, method="sato").note
    assert not cochran_mantel_haenszel(**none).estimable
    assert not mantel_haenszel_odds_ratio(**none).estimable
    assert not breslow_day(**none).estimable
    assert not generalised_cmh(np.zeros((2, 2, 3))).estimable
    one_way = {"x_treatment": [5, 4], "n_treatment": [5, 4], "x_control": [0, 0], "n_control": [6, 3]}
    assert "infinite" in mantel_haenszel_odds_ratio(**one_way).note
    reverse = {"x_treatment": [0, 0], "n_treatment": [5, 4], "x_control": [6, 3], "n_control": [6, 3]}
    assert mantel_haenszel_odds_ratio(**reverse).value == 0
    assert stratified_risk_difference(**one_way).upper == 1


def test_wrong_calls_are_refused():
    with pytest.raises(ValueError, match="other than True and False"):
        stratified_counts([1, 0], ["BM-MSC", "Sham"], ["FRA", "FRA"])
    with pytest.raises(ValueError, match="other than True and False"):
        stratified_counts([1, 0], [1.0, np.nan], ["FRA", "FRA"])
    with pytest.raises(ValueError, match="other than 0, 1"):
        stratified_counts([2, 0], [True, False], ["FRA", "FRA"])
    with pytest.raises(ValueError, match="0 <= x <= n"):
        cochran_mantel_haenszel([np.nan], [5], [1], [4])
    with pytest.raises(ValueError, match="3 columns"):
        generalised_cmh(np.ones((2, 2, 3)), alternative="row_means", scores=[1, 2])
    with pytest.raises(ValueError, match="0 or more"):
        generalised_cmh(-np.ones((2, 2, 3)))


def test_newcombe_without_variation_in_an_arm():
    """Every treated participant responds, no control does: limits inside the parameter space, wider than a point."""
    counts = {"x_treatment": [5, 4], "n_treatment": [5, 4], "x_control": [0, 0], "n_control": [6, 3]}
    estimate = stratified_risk_difference(**counts, method="newcombe")
    assert (estimate.value, estimate.upper) == (1, 1)
    assert 0 < estimate.lower < 1
