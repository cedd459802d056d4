from __future__ import annotations

import json
import math
from dataclasses import astuple
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from respine.stats import survival

REFERENCE = Path(__file__).parents[1] / "reference" / "survival"
ANSWERS = json.loads((REFERENCE / "answers.json").read_text())
PUBLIC = json.loads((REFERENCE / "public.json").read_text())["answers"]
ARMS = ("treatment", "control")


def data(name: str) -> tuple[Any, ...]:
    frame = pd.read_csv(REFERENCE / f"{name}.csv")
    if name == "waltons":
        return frame["T"], frame["E"], (frame["group"] != "control").to_numpy()
    return frame["time"], frame["event"], (frame["arm"] == "treatment").to_numpy()


def number(value: float | None) -> float:
    return math.nan if value is None else value


def approx(value: float | None, rel: float = 1e-6) -> Any:
    return pytest.approx(number(value), rel=rel, abs=1e-12, nan_ok=True)


@pytest.mark.parametrize("name", ["waltons", "trial", "small"])
def test_kaplan_meier_agrees_with_survfit(name: str) -> None:
    time, event, treatment = data(name)
    for arm, which in zip(ARMS, (treatment, ~treatment), strict=True):
        fit = survival.kaplan_meier(time[which], event[which])
        reference = pd.DataFrame([r for r in ANSWERS[name]["curve"] if r["arm"] == arm])
        ours = fit.curve[fit.curve["events"] > 0]
        for column in ("time", "at_risk", "events", "survival", "lower", "upper"):
            expected = reference[column].astype(float)
            np.testing.assert_allclose(ours[column].to_numpy(float), expected, rtol=1e-6, atol=1e-12)
        median = next(r for r in ANSWERS[name]["median"] if r["arm"] == arm)
        assert fit.median.value == approx(median["median"])
        assert fit.median.lower == approx(median["lower"])
        assert fit.median.upper == approx(median["upper"])


@pytest.mark.parametrize("name", ["waltons", "trial", "small"])
def test_log_rank_and_cox_agree_with_r(name: str) -> None:
    test = survival.log_rank(*data(name))
    assert test.value == approx(ANSWERS[name]["log_rank"]["chi_square"])
    assert test.p == approx(ANSWERS[name]["log_rank"]["p"])
    ratio = survival.hazard_ratio(*data(name))
    cox = ANSWERS[name]["cox"]
    assert math.log(ratio.value) == approx(cox["log_hr"])
    assert ratio.se == approx(cox["se"])
    assert ratio.p == approx(cox["p"], rel=1e-5)
    assert math.log(ratio.upper / ratio.lower) == approx(2 * 1.959963984540054 * cox["se"])


@pytest.mark.parametrize("transform", ["km", "identity", "rank", "log"])
@pytest.mark.parametrize("name", ["waltons", "trial", "small"])
def test_proportional_hazards_agrees_with_cox_zph(name: str, transform: survival.Transform) -> None:
    test = survival.proportional_hazards(*data(name), transform=transform)
    assert test.value == approx(ANSWERS[name]["zph"][transform]["chi_square"])
    assert test.p == approx(ANSWERS[name]["zph"][transform]["p"])


def test_stratified_analyses_agree_with_r() -> None:
    strata = pd.read_csv(REFERENCE / "trial.csv")["stratum"]
    answer = ANSWERS["trial"]["stratified"]
    assert survival.log_rank(*data("trial"), strata=strata).value == approx(answer["chi_square"])
    ratio = survival.hazard_ratio(*data("trial"), strata=strata)
    assert math.log(ratio.value) == approx(answer["log_hr"])
    assert ratio.se == approx(answer["se"])
    assert survival.proportional_hazards(*data("trial"), strata=strata).value == approx(answer["zph"])


@pytest.mark.parametrize("name", ["waltons", "trial", "small"])
def test_restricted_means_agree_with_r(name: str) -> None:
    for answer in ANSWERS[name]["rmst"]:
        result = survival.compare_restricted_means(*data(name), tau=answer["tau"])
        for arm in ARMS:
            estimate = getattr(result, arm)
            assert estimate.value == approx(answer[arm])
            assert estimate.se == approx(answer[f"{arm}_se"])
        assert result.difference.value == approx(answer["difference"])
        assert result.difference.se == approx(answer["difference_se"])
        assert result.difference.p == approx(answer["p"])
        assert (result.ratio.value, result.ratio.lower, result.ratio.upper) == (
            approx(answer["ratio"]),
            approx(answer["ratio_lower"]),
            approx(answer["ratio_upper"]),
        )


@pytest.mark.parametrize("stratified", [False, True])
@pytest.mark.parametrize("name", PUBLIC)
def test_public_data_compared_as_by_r(name: str, stratified: bool) -> None:
    frame = pd.read_csv(REFERENCE / f"{name}.csv")
    columns = frame["time"], frame["event"], frame["treatment"]
    strata = frame["stratum"] if stratified else None
    answer = PUBLIC[name]["stratified" if stratified else "plain"]
    assert survival.log_rank(*columns, strata=strata).value == approx(answer["log_rank"])
    ratio = survival.hazard_ratio(*columns, strata=strata)
    assert (math.log(ratio.value), ratio.se) == (approx(answer["log_hr"]), approx(answer["se"]))
    for transform, chi_square in answer["zph"].items():
        test = survival.proportional_hazards(*columns, strata=strata, transform=transform)
        assert test.value == approx(chi_square)


@pytest.mark.parametrize("name", PUBLIC)
def test_public_data_curves_as_by_r(name: str) -> None:
    frame, answer = pd.read_csv(REFERENCE / f"{name}.csv"), PUBLIC[name]
    for arm in (0, 1):
        group = frame[frame["treatment"] == arm]
        fit = survival.kaplan_meier(group["time"], group["event"])
        at = fit.survival_at(answer["at"])
        for found, row in ((fit.median, answer["median"][arm]), (at, answer["survival"][arm])):
            expected = [approx(None if x == "NA" else x) for x in row]
            assert [found.value, found.lower, found.upper] == expected
    for expected in answer["restricted"]:
        means = survival.compare_restricted_means(frame["time"], frame["event"], frame["treatment"], expected["tau"])
        found = means.control, means.treatment
        assert [m.value for m in found] == [approx(x) for x in expected["mean"]]
        assert [m.se for m in found] == [approx(x) for x in expected["se"]]


def test_interval_censored_survival_agrees_with_survfit() -> None:
    frame = pd.read_csv(REFERENCE / "trial.csv")
    ours = survival.interval_censored_survival(frame["left"], frame["right"].fillna(np.inf))
    assert ours["probability"].sum() == pytest.approx(1)
    reference = pd.DataFrame(ANSWERS["turnbull"])
    # R puts each interval's fall at its midpoint; the curve is constant at the visits themselves.
    for left, right, after in ours[["left", "right", "survival"]].to_numpy()[:-1]:
        middle = reference.loc[np.isclose(reference["time"], (left + right) / 2), "survival"]
        assert after == pytest.approx(middle.item(), abs=1e-3)


def test_interval_censored_survival_satisfies_the_score_conditions() -> None:
    frame = pd.read_csv(REFERENCE / "trial.csv")
    left, right = frame["left"].to_numpy(), frame["right"].fillna(np.inf).to_numpy()
    ours = survival.interval_censored_survival(left, right)
    inside = (left[:, None] <= ours["left"].to_numpy()) & (ours["right"].to_numpy() <= right[:, None])
    score = (inside / (inside @ ours["probability"].to_numpy())[:, None]).mean(axis=0)
    np.testing.assert_allclose(score[ours["probability"] > 1e-6], 1, atol=1e-6)
    assert (score <= 1 + 1e-6).all()


def test_exact_visits_give_the_kaplan_meier_curve() -> None:
    time, event, _ = data("trial")
    visits = np.array([0, 1, 3, 6, 12, 24])
    previous = visits[np.searchsorted(visits, time) - 1]
    left = np.where(event == 1, previous, time)
    right = np.where(event == 1, time, np.inf)
    ours = survival.interval_censored_survival(left, right)
    curve = survival.kaplan_meier(time, event)
    for end, after in ours[["right", "survival"]].to_numpy():
        if np.isfinite(end):
            assert after == pytest.approx(curve.survival_at(end).value, abs=1e-8)


def test_numbers_at_risk_count_those_followed_to_the_time() -> None:
    assert survival.numbers_at_risk([1, 3, 3, 6], [0, 1, 3, 4, 7]).tolist() == [4, 4, 3, 1, 0]


def test_survival_at_is_not_extrapolated() -> None:
    fit = survival.kaplan_meier([1, 2, 5], [1, 0, 0])
    assert fit.survival_at(5).value == pytest.approx(2 / 3)
    assert not fit.survival_at(6).estimable
    assert survival.kaplan_meier([1, 2], [1, 1]).survival_at(6).value == 0


def test_swapping_arms_inverts_ratios_and_keeps_tests() -> None:
    time, event, treatment = data("trial")
    ratio, swapped = (survival.hazard_ratio(time, event, arm) for arm in (treatment, ~treatment))
    assert ratio.value * swapped.value == pytest.approx(1)
    means, mirrored = (survival.compare_restricted_means(time, event, arm, 12) for arm in (treatment, ~treatment))
    assert means.difference.value == pytest.approx(-mirrored.difference.value)
    assert survival.log_rank(time, event, treatment).value == pytest.approx(
        survival.log_rank(time, event, ~treatment).value
    )


@settings(deadline=None, derandomize=True, max_examples=8)
@given(st.permutations(range(12)), st.floats(0.1, 50))
def test_order_never_matters_and_time_scales(order: list[int], scale: float) -> None:
    time, event, treatment = data("small")
    base = survival.compare_restricted_means(time, event, treatment, 5)
    moved = survival.compare_restricted_means(
        time.to_numpy()[order] * scale, event.to_numpy()[order], treatment[order], 5 * scale
    )
    assert moved.difference.value == pytest.approx(base.difference.value * scale)
    assert moved.difference.se == pytest.approx(base.difference.se * scale)
    assert survival.log_rank(time.to_numpy()[order] * scale, event.to_numpy()[order], treatment[order]).value == (
        pytest.approx(survival.log_rank(time, event, treatment).value)
    )


def test_missing_times_are_left_out() -> None:
    time, event, treatment = data("small")
    longer = [*time, np.nan], [*event, 0], [*treatment, True]
    # As tuples, in which a missing number equals itself.
    assert astuple(survival.hazard_ratio(*longer)) == astuple(survival.hazard_ratio(time, event, treatment))
    assert survival.kaplan_meier([np.nan, 1.0], [0, 1]).n == 1


DEGENERATE = {
    "no participants": ([], [], [], "an arm has no participants"),
    "an empty arm": ([1, 2, 3], [1, 0, 1], [True] * 3, "an arm has no participants"),
    "no events": ([1, 2, 3, 4], [0, 0, 0, 0], [True, True, False, False], "no events"),
    "arms never at risk together": ([1, 1, 5, 6], [0, 0, 1, 1], [True, True, False, False], "both arms were at risk"),
}


@pytest.mark.parametrize("name", DEGENERATE)
def test_degenerate_comparisons_say_why(name: str) -> None:
    time, event, treatment, reason = DEGENERATE[name]
    for function in (survival.log_rank, survival.hazard_ratio, survival.proportional_hazards):
        estimate = function(time, event, treatment)
        assert not estimate.estimable
        assert reason in estimate.note


def test_events_in_one_arm_have_a_log_rank_but_no_hazard_ratio() -> None:
    time, event, treatment = [1, 2, 3, 4, 5, 6], [1, 1, 1, 0, 0, 0], [True] * 3 + [False] * 3
    assert survival.log_rank(time, event, treatment).estimable
    assert "no event in control" in survival.hazard_ratio(time, event, treatment).note


def test_a_stratum_with_one_arm_does_not_count() -> None:
    time, event, treatment = data("small")
    strata = [0] * 12 + [1, 1]
    alone = survival.log_rank([*time, 1, 2], [*event, 1, 1], [*treatment, True, True], strata=strata)
    assert alone.value == pytest.approx(survival.log_rank(time, event, treatment).value)
    ratio = survival.hazard_ratio([*time, 1, 2], [*event, 1, 1], [*treatment, True, True], strata=strata)
    assert ratio.value == pytest.approx(survival.hazard_ratio(time, event, treatment).value)


def test_restricted_mean_beyond_follow_up_is_refused() -> None:
    time, event, treatment = [1, 2, 3, 4], [1, 0, 1, 1], [True, True, False, False]
    result = survival.compare_restricted_means(time, event, treatment, 4)
    assert "last follow-up at 2" in result.treatment.note
    assert result.control.value == pytest.approx(3.5)
    assert "treatment" in result.difference.note
    assert not result.ratio.estimable


def test_restricted_mean_without_events_has_no_interval() -> None:
    result = survival.compare_restricted_means([5, 5, 6, 6], [0, 0, 0, 0], [True, True, False, False], 5)
    assert result.treatment.value == 5
    assert math.isnan(result.treatment.lower)
    assert result.difference.value == 0
    assert math.isnan(result.difference.p)
    assert result.difference.note


def test_a_median_that_is_not_reached_keeps_its_lower_limit() -> None:
    fit = survival.kaplan_meier(range(1, 21), [1] * 9 + [0] * 11)
    assert not fit.median.estimable
    assert fit.median.lower == fit.curve.loc[fit.curve["lower"] < 0.5, "time"].iloc[0]


def test_a_missing_stratum_leaves_its_participant_out() -> None:
    time, event, treatment = data("small")
    strata = [None] + ["a"] * 5 + ["b"] * 6
    found = survival.log_rank(time, event, treatment, strata=strata)
    expected = survival.log_rank(time[1:], event[1:], treatment[1:], strata=strata[1:])
    assert astuple(found) == astuple(expected)
    assert found.n == 11


def test_intervals_count_every_participant_who_shares_them() -> None:
    left, right = [0, 0, 0, 3, 3], [3, 3, 3, 6, math.inf]
    curve = survival.interval_censored_survival(left, right)
    assert curve["probability"].tolist() == pytest.approx([0.6, 0.4])


@pytest.mark.parametrize("event", [[1.0, math.nan], [1, 2]])
def test_events_in_another_coding_are_refused(event: list[float]) -> None:
    with pytest.raises(ValueError, match="event holds values other than true and false"):
        survival.kaplan_meier([1, 2], event)


def test_wrong_calls_are_refused() -> None:
    with pytest.raises(ValueError, match="above 0"):
        survival.restricted_mean([1], [1], 0)
    with pytest.raises(ValueError, match="negative"):
        survival.kaplan_meier([-1], [1])
    with pytest.raises(ValueError, match="left must be before right"):
        survival.interval_censored_survival([3], [3])


def test_numpy_error_state_is_left_alone() -> None:
    before = np.geterr()
    survival.hazard_ratio(*data("small"))
    survival.kaplan_meier([1, 2], [1, 1])
    assert np.geterr() == before


def test_no_participants_at_all() -> None:
    assert survival.kaplan_meier([], []).median.note
    assert not survival.restricted_mean([], [], 3).estimable
    assert survival.interval_censored_survival([], []).empty
