"""One and two proportions against R (tests/reference/proportions/oracle.R) and SAS (published.json)."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from respine.stats.proportions import (
    LARGEST_BOSCHLOO,
    TESTS,
    compare_proportions,
    odds_ratio,
    p_values,
    proportion,
    restricted_risks_difference,
    risk_difference,
    risk_ratio,
    score_difference_limits,
)

REFERENCE = Path(__file__).parents[1] / "reference" / "proportions"
R = json.loads((REFERENCE / "answers.json").read_text())
SAS = json.loads((REFERENCE / "published.json").read_text())
EXTREME = json.loads((REFERENCE / "extreme.json").read_text())
TOLERANCE = R["tolerance"]
TWO = pytest.mark.parametrize("answer", R["two"], ids=lambda a: "{}of{}-{}of{}".format(*a["counts"]))

arm = st.integers(1, 40).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))
property_test = settings(deadline=None, derandomize=True, max_examples=20)


def near(value, tolerance=TOLERANCE):
    return pytest.approx(value, abs=tolerance, rel=tolerance)


# --- oracles


@pytest.mark.parametrize("answer", R["single"], ids=lambda a: "{}of{}".format(*a["counts"]))
@pytest.mark.parametrize("method", ["clopper_pearson", "wilson"])
def test_single_proportion_equals_r(answer, method):
    estimate = proportion(*answer["counts"], method=method)
    assert [estimate.lower, estimate.upper] == near(answer[method])
    assert (estimate.n, estimate.level, estimate.unit) == (answer["counts"][1], 0.95, "proportion")


@TWO
@pytest.mark.parametrize(("method", "key"), [("miettinen_nurminen", "mn"), ("mee", "mee"), ("newcombe", "newcombe")])
def test_risk_difference_equals_r(answer, method, key):
    estimate = risk_difference(*answer["counts"], method=method)
    assert estimate.value == near(answer["rd"])
    for limit, expected, end in zip((estimate.lower, estimate.upper), answer[key], (-1, 1), strict=True):
        assert limit == near(end if expected is None else expected)


@pytest.mark.parametrize("case", SAS["difference"], ids=lambda c: str(c["counts"]))
@pytest.mark.parametrize("method", ["miettinen_nurminen", "mee", "newcombe"])
def test_risk_difference_equals_sas(case, method):
    estimate = risk_difference(*case["counts"], method=method)
    assert [estimate.lower, estimate.upper] == pytest.approx(case[method], abs=case["tolerance"])


@pytest.mark.parametrize("method", ["miettinen_nurminen", "koopman", "katz"])
def test_risk_ratio_equals_sas(method):
    (case,) = SAS["ratio"]
    estimate = risk_ratio(*case["counts"], method=method)
    assert [estimate.lower, estimate.upper] == pytest.approx(case[method], abs=case["tolerance"])


@TWO
@pytest.mark.parametrize(
    ("method", "key"), [("miettinen_nurminen", "ratio_mn"), ("koopman", "ratio_koopman"), ("katz", "katz")]
)
def test_risk_ratio_equals_r(answer, method, key):
    estimate = risk_ratio(*answer["counts"], method=method)
    x1, _, x0, _ = answer["counts"]
    if answer[key] is None:  # Katz with an empty cell
        assert math.isnan(estimate.lower)
        assert math.isnan(estimate.upper)
        assert estimate.note
        return
    lower, upper = answer[key]
    assert estimate.lower == (0.0 if x1 == 0 else near(lower))
    assert math.isnan(estimate.upper) if x0 == 0 else estimate.upper == near(upper)


@TWO
def test_exact_odds_ratio_equals_r(answer):
    estimate = odds_ratio(*answer["counts"], method="exact")
    expected = answer["odds_exact"]
    for value, name in ((estimate.value, "estimate"), (estimate.lower, "lower"), (estimate.upper, "upper")):
        assert math.isnan(value) if expected[name] is None else value == near(expected[name], 1e-7)
    assert estimate.p == near(answer["p"]["fisher"])
    # fisher.test itself stops its root search at about 1e-4 relative.
    if estimate.estimable and estimate.value > 0:
        assert estimate.value == pytest.approx(answer["fisher_test_or"], rel=1e-3)


@TWO
def test_wald_odds_ratio_equals_r(answer):
    estimate = odds_ratio(*answer["counts"], method="wald")
    if answer["odds_wald"] is None:
        assert math.isnan(estimate.lower)
        assert estimate.note
    else:
        assert [estimate.value, estimate.lower, estimate.upper] == near(answer["odds_wald"])


@pytest.mark.parametrize(
    ("answer", "test"),
    # R's loop over all tables was not run for the largest table.
    [(a, t) for a in R["two"] for t in TESTS if t != "boschloo" or sum(a["counts"][1::2]) < 300],
    ids=lambda v: v if isinstance(v, str) else "{}of{}-{}of{}".format(*v["counts"]),
)
def test_p_value_equals_r(answer, test):
    estimate = compare_proportions(*answer["counts"], test=test)
    expected = answer["p"][test]
    if expected is None:
        assert not estimate.estimable
    else:
        # Boschloo's supremum is searched for by both programs.
        assert estimate.p == near(expected, 1e-6 if test == "boschloo" else TOLERANCE)
        assert estimate.method == TESTS[test]


@pytest.mark.parametrize("answer", EXTREME["two"], ids=lambda a: "{}of{}-{}of{}".format(*a["counts"]))
def test_extreme_tables_equal_r(answer):
    """50,000 participants an arm, single participants, empty and full cells."""
    counts = answer["counts"]
    estimates = {
        "mn": risk_difference(*counts),
        "mee": risk_difference(*counts, method="mee"),
        "ratio_mn": risk_ratio(*counts),
        "ratio_koopman": risk_ratio(*counts, method="koopman"),
    }
    for key, estimate in estimates.items():
        expected = [math.nan if limit is None else limit for limit in answer[key]]
        assert [estimate.lower, estimate.upper] == pytest.approx(expected, rel=EXTREME["tolerance"], nan_ok=True)
    odds = odds_ratio(*counts)
    expected = [math.nan if value is None else value for value in answer["odds"]]
    assert [odds.value, odds.lower, odds.upper] == pytest.approx(expected, rel=EXTREME["tolerance"], nan_ok=True)
    for test in ("pearson", "yates", "fisher"):
        assert compare_proportions(*counts, test=test).p == pytest.approx(answer[test], rel=EXTREME["tolerance"])


def test_fisher_equals_scipy_on_random_tables():
    rng = np.random.default_rng(1)
    n1, n0 = rng.integers(1, 60, (2, 200))
    x1, x0 = rng.binomial(n1, 0.6), rng.binomial(n0, 0.4)
    ours = p_values(x1, n1, x0, n0, test="fisher")
    theirs = [stats.fisher_exact([[a, b - a], [c, d - c]]).pvalue for a, b, c, d in zip(x1, n1, x0, n0, strict=True)]
    assert ours == pytest.approx(theirs, abs=1e-10)


def test_restricted_risks_maximise_the_likelihood():
    """No nearby pair of risks with the same difference is likelier, on random tables and differences."""
    rng = np.random.default_rng(2)
    n1, n0 = rng.integers(1, 80, (2, 2000))
    x1, x0 = rng.binomial(n1, rng.random(2000)), rng.binomial(n0, rng.random(2000))
    d = rng.uniform(-0.99, 0.99, 2000)
    risk1, risk0 = restricted_risks_difference(d, x1, n1, x0, n0)

    def log_likelihood(p0):
        p1 = np.clip(p0 + d, 0, 1)
        return stats.binom.logpmf(x1, n1, p1) + stats.binom.logpmf(x0, n0, p0)

    assert risk1 - risk0 == pytest.approx(d, abs=1e-12)
    low, high = np.maximum(0, -d), np.minimum(1, 1 - d)
    for step in (-1e-4, 1e-4, -0.03, 0.03):
        assert (log_likelihood(np.clip(risk0 + step, low, high)) <= log_likelihood(risk0) + 1e-9).all()


# --- properties


@property_test
@given(arm, arm, st.sampled_from(["miettinen_nurminen", "mee", "newcombe"]))
def test_difference_symmetries(treatment, control, method):
    one = risk_difference(*treatment, *control, method=method)
    swapped = risk_difference(*control, *treatment, method=method)
    complement = risk_difference(
        treatment[1] - treatment[0], treatment[1], control[1] - control[0], control[1], method=method
    )
    for other in (swapped, complement):
        assert [other.value, other.lower, other.upper] == near([-one.value, -one.upper, -one.lower], 1e-10)
    assert -1 <= one.lower <= one.value + 1e-15
    assert one.value - 1e-15 <= one.upper <= 1


@property_test
@given(arm, arm, st.sampled_from(["miettinen_nurminen", "koopman", "katz"]))
def test_ratio_of_swapped_arms_is_the_inverse(treatment, control, method):
    one, swapped = (risk_ratio(*a, *b, method=method) for a, b in ((treatment, control), (control, treatment)))
    if one.value > 0:
        assert one.lower <= one.value * (1 + 1e-12) or math.isnan(one.lower)
        assert [swapped.value, swapped.lower, swapped.upper] == pytest.approx(
            [1 / one.value, 1 / one.upper, 1 / one.lower], rel=1e-9, nan_ok=True
        )
    elif one.estimable:
        assert not swapped.estimable
        assert one.upper == pytest.approx(1 / swapped.lower, rel=1e-9, nan_ok=True)


@property_test
@given(arm, arm)
def test_score_interval_agrees_with_its_test(treatment, control):
    estimate = risk_difference(*treatment, *control)
    if abs(estimate.p - 0.05) > 1e-9:
        assert (estimate.p < 0.05) == (estimate.lower > 0 or estimate.upper < 0)


@property_test
@given(arm, arm)
def test_ratio_score_interval_agrees_with_its_test(treatment, control):
    for method in ("miettinen_nurminen", "koopman"):
        estimate = risk_ratio(*treatment, *control, method=method)
        if estimate.p == estimate.p and abs(estimate.p - 0.05) > 1e-9:
            assert (estimate.p < 0.05) == (estimate.lower > 1 or estimate.upper < 1)


@property_test
@given(arm, arm)
def test_wald_odds_interval_agrees_with_its_test(treatment, control):
    estimate = odds_ratio(*treatment, *control, method="wald")
    if estimate.p == estimate.p and abs(estimate.p - 0.05) > 1e-9:
        assert (estimate.p < 0.05) == (estimate.lower > 1 or estimate.upper < 1)


@property_test
@given(arm, arm)
def test_one_more_event_under_treatment_moves_everything_up(treatment, control):
    (x1, n1), (x0, n0) = treatment, control
    if x1 == n1:
        return
    pairs = [
        *(
            (risk_difference(x1, n1, x0, n0, method=m), risk_difference(x1 + 1, n1, x0, n0, method=m))
            for m in ("miettinen_nurminen", "mee", "newcombe")
        ),
        *((proportion(x1, n1, method=m), proportion(x1 + 1, n1, method=m)) for m in ("clopper_pearson", "wilson")),
        (odds_ratio(x1, n1, x0, n0), odds_ratio(x1 + 1, n1, x0, n0)),
        (risk_ratio(x1, n1, x0, n0), risk_ratio(x1 + 1, n1, x0, n0)),
    ]
    for fewer, more in pairs:
        for name in ("value", "lower", "upper"):
            a, b = getattr(fewer, name), getattr(more, name)
            assert a <= b + 1e-12 or math.isnan(a) or math.isnan(b), (name, fewer, more)


@property_test
@given(arm, arm)
def test_intervals_hold_their_estimate(treatment, control):
    counts = (*treatment, *control)
    for estimate in (
        odds_ratio(*counts),
        odds_ratio(*counts, method="wald"),
        *(risk_ratio(*counts, method=m) for m in ("miettinen_nurminen", "koopman", "katz")),
        *(proportion(*treatment, method=m) for m in ("clopper_pearson", "wilson")),
    ):
        if estimate.estimable and estimate.upper == estimate.upper:
            assert estimate.lower <= estimate.value * (1 + 1e-12)
            assert estimate.value <= estimate.upper * (1 + 1e-12)


@property_test
@given(st.tuples(st.integers(0, 9), st.integers(0, 9)), st.tuples(st.integers(0, 9), st.integers(0, 9)))
def test_nothing_is_missing_without_a_reason(treatment, control):
    """Any two arms, empty ones and single participants among them: a number with limits, or a note."""
    counts = (min(treatment), max(treatment), min(control), max(control))
    for estimate in (
        *(risk_difference(*counts, method=m) for m in ("miettinen_nurminen", "mee", "newcombe")),
        *(risk_ratio(*counts, method=m) for m in ("miettinen_nurminen", "koopman", "katz")),
        *(odds_ratio(*counts, method=m) for m in ("exact", "wald")),
    ):
        tested = "newcombe" not in estimate.method.lower()
        if math.isnan(estimate.lower + estimate.upper + estimate.value) or (tested and math.isnan(estimate.p)):
            assert estimate.note


@property_test
@given(st.integers(1, 25), st.integers(1, 25), st.integers(1, 49))
def test_midp_has_mean_one_half(n1, n0, events):
    """Under the null hypothesis, given the margins, a mid-p-value averages exactly 1/2."""
    events = min(events, n1 + n0 - 1)
    x1 = np.arange(max(0, events - n0), min(n1, events) + 1)
    p = p_values(x1, n1, events - x1, n0, test="fisher_midp")
    assert (stats.hypergeom.pmf(x1, n1 + n0, n1, events) * p).sum() == pytest.approx(0.5)


@property_test
@given(arm, arm, st.sampled_from([t for t in TESTS if t != "boschloo"]))
def test_tests_ignore_which_arm_is_which(treatment, control, test):
    a = compare_proportions(*treatment, *control, test=test).value
    b = compare_proportions(*control, *treatment, test=test).value
    assert a == pytest.approx(b, abs=1e-12, nan_ok=True)
    assert math.isnan(a) or 0 <= a <= 1


# --- degenerate data


@pytest.mark.parametrize("counts", [(0, 0, 5, 10), (5, 10, 0, 0), (0, 0, 0, 0)])
def test_empty_arm_is_not_estimable(counts):
    estimates = [
        *(risk_difference(*counts, method=m) for m in ("miettinen_nurminen", "mee", "newcombe")),
        *(risk_ratio(*counts, method=m) for m in ("miettinen_nurminen", "koopman", "katz")),
        *(odds_ratio(*counts, method=m) for m in ("exact", "wald")),
        *(compare_proportions(*counts, test=t) for t in TESTS),
    ]
    assert not any(e.estimable for e in estimates)
    assert all("no participants" in e.note for e in estimates)
    assert not proportion(0, 0).estimable


@pytest.mark.parametrize("counts", [(0, 10, 0, 12), (10, 10, 12, 12)])
def test_outcome_without_variation(counts):
    for method in ("miettinen_nurminen", "mee", "newcombe"):
        estimate = risk_difference(*counts, method=method)
        assert estimate.value == 0
        assert estimate.lower < 0 < estimate.upper
    assert not odds_ratio(*counts).estimable
    for test in TESTS:
        estimate = compare_proportions(*counts, test=test)
        assert estimate.value == pytest.approx(1) if test in ("fisher", "boschloo") else not estimate.estimable


def test_infinite_ratios_keep_their_lower_limit():
    for estimate in (risk_ratio(5, 10, 0, 10), odds_ratio(5, 10, 0, 10)):
        assert not estimate.estimable
        assert estimate.lower > 1
        assert math.isnan(estimate.upper)
        assert "no upper limit" in estimate.note


def test_boschloo_of_a_large_trial_is_not_estimable():
    """scipy weighs (n + 1)^2 tables at every step: with 50,000 participants an arm it would need 20 GB."""
    n = math.isqrt(LARGEST_BOSCHLOO)
    estimate = compare_proportions(n // 2, n, n // 3, n, test="boschloo")
    assert not estimate.estimable
    assert "more than 250,000" in estimate.note
    assert np.isnan(p_values([n // 2], [n], [n // 3], [n], test="boschloo")).all()


def test_a_hundred_thousand_participants_are_quick():
    counts = (15_000, 50_000, 14_500, 50_000)
    start = time.process_time()
    for method in ("exact", "wald"):
        odds_ratio(*counts, method=method)
    for method in ("miettinen_nurminen", "koopman", "katz"):
        risk_ratio(*counts, method=method)
    for test in TESTS:
        compare_proportions(*counts, test=test)
    assert time.process_time() - start < 1.5  # about 0.15 s; generous, for a busy machine


@pytest.mark.parametrize("level", [0, 1, 95])
def test_impossible_levels_are_refused(level):
    for call in (lambda: risk_difference(3, 9, 4, 8, level=level), lambda: proportion(3, 9, level=level)):
        with pytest.raises(ValueError, match="confidence level"):
            call()


@pytest.mark.parametrize(
    "counts", [(math.nan, 4, 1, 10), (math.inf, 4, 1, 10), (5, 4, 1, 10), (-1, 4, 1, 10), (1.5, 4, 1, 10)]
)
def test_impossible_counts_are_refused(counts):
    with pytest.raises(ValueError, match="x_treatment"):
        risk_difference(*counts)


def test_vectorised_limits_equal_the_scalar_ones():
    x1, n1, x0, n0 = np.array([[0, 3, 10, 37], [10, 3, 10, 50], [0, 0, 0, 34], [12, 9, 20, 49]])
    lower, upper = score_difference_limits(x1, n1, x0, n0)
    for i in range(4):
        estimate = risk_difference(int(x1[i]), int(n1[i]), int(x0[i]), int(n0[i]))
        assert (estimate.lower, estimate.upper) == (lower[i], upper[i])
