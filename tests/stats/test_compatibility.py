"""Published numbers: enumeration against R's plain loop (tests/reference/compatibility/oracle.R)."""

from __future__ import annotations

import json
import math
import time
from decimal import ROUND_DOWN, ROUND_HALF_UP, Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from respine.stats.compatibility import (
    ENUMERATED_TESTS,
    compatible_counts,
    compatible_designs,
    compatible_pairs,
    excluded_effects,
    implied_difference,
    pairs_giving,
    sample_size_two_proportions,
)
from respine.stats.proportions import compare_proportions

R = json.loads((Path(__file__).parents[1] / "reference" / "compatibility" / "answers.json").read_text())
COUNTS = ["x_treatment", "n_treatment", "x_control", "n_control"]


@pytest.fixture(scope="module")
def pairs():
    return compatible_pairs(74, 69, n_treatment=(40, 58), n_control=(40, 56))


def test_pairs_and_p_values_equal_r(pairs):
    ours = {tuple(row[COUNTS]): row for _, row in pairs.iterrows()}
    assert set(ours) == {tuple(row) for row in R["pairs"]}
    for i, row in enumerate(R["pairs"]):
        for test, p in R["p"].items():
            assert ours[tuple(row)][test] == pytest.approx(p[i], abs=R["tolerance"])


def test_six_pairs_give_the_published_p_value_all_by_yates(pairs):
    found = pairs_giving(pairs, 0.77)
    assert set(found["test"]) == {"yates"}
    assert len(found) == 6
    p = found.set_index(COUNTS)["p"]
    assert p[(37, 50, 34, 49)] == pytest.approx(0.7747, abs=5e-5)
    assert p[(34, 46, 36, 52)] == pytest.approx(0.7733, abs=5e-5)


def test_sixty_nine_percent_of_56_is_impossible():
    assert compatible_counts(69, n_min=56, n_max=56).empty
    assert compatible_counts(69, n_min=56, n_max=56, rounding="truncated")["x"].tolist() == [39]
    assert compatible_counts(74, n_min=58, n_max=58)["x"].tolist() == [43]


def test_tests_of_43_of_58_against_39_of_56():
    p = {test: compare_proportions(43, 58, 39, 56, test=test).p for test in ("pearson", "yates", "fisher")}
    assert p == pytest.approx({"pearson": 0.593, "yates": 0.745, "fisher": 0.678}, abs=5e-4)


def test_implied_interval_and_excluded_effects(pairs):
    implied = implied_difference(74, 58, 69, 56)
    assert implied.value == pytest.approx(0.05)
    assert implied.lower == pytest.approx(-0.11, abs=0.01)
    assert implied.upper == pytest.approx(0.22, abs=0.01)
    assert implied.lower < 0.2 < implied.upper < 0.3
    effects = excluded_effects(pairs)
    assert effects.loc[0.3, "by_all"]
    assert effects.loc[0.2, "by_none"]
    assert not excluded_effects(pairs.iloc[:0]).loc[0.3, "by_all"]


@settings(deadline=None, derandomize=True, max_examples=40)
@given(st.integers(0, 1000), st.integers(1, 90), st.sampled_from(["half_away", "truncated"]))
def test_counts_are_those_that_print_as_the_percentage(tenths, n, rounding):
    mode = {"half_away": ROUND_HALF_UP, "truncated": ROUND_DOWN}[rounding]
    expected = [
        x
        for x in range(n + 1)
        # 100 x / n with 30 digits: a tie at one decimal has at most a few digits and stays exact
        if (Decimal(100 * x) / Decimal(n)).quantize(Decimal("0.1"), rounding=mode) == Decimal(tenths) / 10
    ]
    found = compatible_counts(tenths / 10, n_min=n, n_max=n, decimals=1, rounding=rounding)
    assert found["x"].tolist() == expected


@settings(deadline=None, derandomize=True, max_examples=40)
@given(st.integers(1, 200).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_every_count_is_found_from_its_own_percentage(count):
    x, n = count
    printed = math.floor(100 * x / n + 0.5 + 1e-12)
    found = compatible_counts(printed, n_min=n, n_max=n)
    assert x in found["x"].tolist()


def test_enumeration_is_quick():
    start = time.process_time()
    pairs = compatible_pairs(74, 69, n_treatment=(1, 58), n_control=(1, 56))
    assert len(pairs) == 272
    assert set(ENUMERATED_TESTS) <= set(pairs.columns)
    assert time.process_time() - start < 1


def test_nothing_compatible_is_an_empty_frame():
    pairs = compatible_pairs(74, 69, n_treatment=(58, 58), n_control=(56, 56))
    assert pairs.empty
    assert pairs_giving(pairs, 0.77).empty


@pytest.mark.parametrize("answer", R["pooled"], ids=lambda a: f"{a['control']}-{a['treatment']}")
def test_sample_size_equals_power_prop_test(answer):
    n = sample_size_two_proportions(answer["treatment"], answer["control"], power=answer["power"])
    assert n == pytest.approx(answer["n"], rel=1e-7)


def test_sample_size_with_continuity_correction_equals_the_textbook():
    """Fleiss, Levin & Paik 2003, table A.4: 0.25 against 0.40, power 0.90, alpha 0.05."""
    p = {"p_treatment": 0.4, "p_control": 0.25, "power": 0.9}
    uncorrected = sample_size_two_proportions(**p)
    corrected = sample_size_two_proportions(**p, method="continuity_corrected")
    assert math.ceil(uncorrected) == 203
    assert math.ceil(corrected) == 216


def test_designs_that_give_112():
    designs = compatible_designs(112)
    assert (designs["total"] == 112).all()
    rows = set(zip(designs["design"].str[:5], designs["difference"], designs["power"], designs["dropout"], strict=True))
    assert ("two p", 0.3, 0.9, 0.0) in rows  # 40% against 70%: 56 an arm without drop-out
    found = {}
    for answer in R["t_test"]:
        for dropout in (0.0, 0.05, 0.3):
            if 2 * math.ceil(answer["n"] / (1 - dropout) - 1e-9) == 112:
                found[("stand", answer["effect"], answer["power"], dropout)] = True
    assert found
    assert set(found) <= rows
    assert compatible_designs(3).empty


def test_wrong_calls_are_refused():
    with pytest.raises(ValueError, match="n_min"):
        compatible_counts(74, n_min=10, n_max=5)
    with pytest.raises(ValueError, match="no percentage with 0 decimals"):
        compatible_counts(74.5, n_min=5, n_max=10)
    with pytest.raises(ValueError, match="two different proportions"):
        sample_size_two_proportions(0.4, 0.4)
    with pytest.raises(ValueError, match="percentages between"):
        implied_difference(74, 0, 69, 56)
