"""Multiple tests against R (tests/reference/multiplicity/oracle.R)."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from respine.stats import multiplicity
from respine.stats.multiplicity import benjamini_hochberg, both_must_succeed, fallback, fixed_sequence, holm

R = json.loads((Path(__file__).parents[1] / "reference" / "multiplicity" / "answers.json").read_text())
PROCEDURES = ("both_must_succeed", "holm", "hochberg", "benjamini_hochberg", "fixed_sequence", "fallback")
p_value = st.floats(0, 1)


def named(p):
    return {f"h{i}": value for i, value in enumerate(p)}


@pytest.mark.parametrize("answer", R["sets"], ids=lambda a: str(a["p"]))
@pytest.mark.parametrize("procedure", PROCEDURES[1:])
def test_adjusted_p_values_equal_r(answer, procedure):
    options = {"weights": named(answer["weights"])} if procedure == "fallback" else {}
    result = getattr(multiplicity, procedure)(named(answer["p"]), **options)
    assert result.adjusted == pytest.approx(answer[procedure], abs=R["tolerance"])
    assert result.rejected == tuple(a <= 0.05 for a in result.adjusted)


def test_the_example_of_benjamini_and_hochberg():
    """Their table of 15 comparisons (1995, section 3.2): at 0.05 they reject 4, Holm's procedure 3."""
    p = [
        0.0001,
        0.0004,
        0.0019,
        0.0095,
        0.0201,
        0.0278,
        0.0298,
        0.0344,
        0.0459,
        0.3240,
        0.4262,
        0.5719,
        0.6528,
        0.7590,
        1,
    ]
    assert sum(benjamini_hochberg(named(p)).rejected) == 4
    assert sum(holm(named(p)).rejected) == 3


def test_both_must_succeed():
    assert both_must_succeed({"response": 0.04, "t2": 0.049}).all_rejected
    one = both_must_succeed({"response": 0.001, "t2": 0.051})
    assert one.adjusted == (0.051, 0.051)
    assert one.rejected == (False, False)
    assert not both_must_succeed({"response": 0.001, "t2": math.nan}).all_rejected


def test_a_missing_p_value_keeps_its_place_and_is_not_rejected():
    result = holm({"a": 0.02, "b": math.nan, "c": 0.012})
    assert (result.adjusted[0], result.adjusted[2]) == pytest.approx((0.04, 0.036))  # of three hypotheses, not two
    assert result.rejected == (True, False, True)
    assert math.isnan(result.adjusted[1])
    sequence = fixed_sequence({"a": 0.01, "b": math.nan, "c": 0.001})
    assert sequence.rejected == (True, False, False)
    assert list(result.to_frame().columns) == ["p", "adjusted", "rejected"]


@settings(deadline=None, derandomize=True, max_examples=25)
@given(st.lists(p_value, min_size=1, max_size=6), st.sampled_from(PROCEDURES))
def test_adjusted_is_never_below_the_raw_p_value(p, procedure):
    result = getattr(multiplicity, procedure)(named(p))
    assert all(raw <= adjusted + 1e-15 <= 1 + 1e-12 for raw, adjusted in zip(p, result.adjusted, strict=True))


@settings(deadline=None, derandomize=True, max_examples=25)
@given(p_value, st.sampled_from(PROCEDURES))
def test_one_hypothesis_needs_no_adjustment(p, procedure):
    assert getattr(multiplicity, procedure)({"only": p}).adjusted == pytest.approx((p,))


@settings(deadline=None, derandomize=True, max_examples=25)
@given(st.lists(p_value, min_size=2, max_size=6))
def test_fallback_with_all_weight_first_is_the_fixed_sequence(p):
    weights = named([1.0] + [0.0] * (len(p) - 1))
    assert fallback(named(p), weights=weights).adjusted == pytest.approx(fixed_sequence(named(p)).adjusted)


@pytest.mark.parametrize("procedure", PROCEDURES)
def test_no_hypotheses(procedure):
    assert getattr(multiplicity, procedure)({}).adjusted == ()


def test_wrong_calls_are_refused():
    with pytest.raises(ValueError, match="between 0 and 1"):
        holm({"a": 1.2})
    with pytest.raises(ValueError, match="sum to at most 1"):
        fallback({"a": 0.1, "b": 0.2}, weights={"a": 0.8, "b": 0.3})
    with pytest.raises(ValueError, match="different hypotheses"):
        fallback({"a": 0.1}, weights={"b": 1.0})
    with pytest.raises(ValueError, match="alpha"):
        holm({"a": 0.1}, alpha=5)
