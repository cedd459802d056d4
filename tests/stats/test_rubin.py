from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from respine.stats.rubin import pool, pooled_estimate

ANSWERS = json.loads((Path(__file__).parents[1] / "reference" / "rubin" / "answers.json").read_text())


@pytest.mark.parametrize("answer", ANSWERS["cases"])
def test_pooling_agrees_with_mice(answer: dict) -> None:
    df_complete = answer["df_complete"] or math.inf
    pooled = pool(answer["estimates"], answer["variances"], df_complete)
    for ours, theirs in {
        "estimate": "estimate", "within": "within", "between": "between", "df": "df",
        "relative_increase": "riv", "missing_information": "fmi", "se": "se",
    }.items():  # fmt: skip
        assert getattr(pooled, ours) == pytest.approx(answer[theirs], rel=1e-9)
    estimate = pooled_estimate("mean", answer["estimates"], answer["variances"], df_complete=df_complete)
    assert (estimate.lower, estimate.upper, estimate.p) == pytest.approx(
        (answer["lower"], answer["upper"], answer["p"]), rel=1e-9
    )


def test_a_pooled_regression_agrees_with_mice_pool() -> None:
    answer = ANSWERS["pool"]
    case = ANSWERS["cases"][answer["case"]]
    estimate = pooled_estimate("slope", case["estimates"], case["variances"], df_complete=case["df_complete"])
    assert (estimate.value, estimate.se, estimate.df, estimate.p) == pytest.approx(
        (answer["estimate"], answer["se"], answer["df"], answer["p"]), rel=1e-9
    )


@settings(deadline=None, derandomize=True, max_examples=30)
@given(st.floats(-1e3, 1e3), st.floats(1e-3, 1e3), st.integers(2, 60), st.floats(3, 200))
def test_one_repeated_data_set_equals_the_single_analysis(value: float, variance: float, m: int, df: float) -> None:
    pooled = pool([value] * m, [variance] * m, df)
    assert pooled.estimate == pytest.approx(value)
    assert pooled.se == pytest.approx(math.sqrt(variance))
    assert pooled.df == df
    assert pooled.missing_information == 0


def test_many_estimates_are_pooled_as_one_by_one() -> None:
    rng = np.random.default_rng(1)
    q, u = rng.normal(size=(20, 3, 2)), rng.uniform(1, 2, size=(20, 3, 2))
    pooled = pool(q, u, 50)
    for index in np.ndindex(3, 2):
        single = pool(q[:, *index], u[:, *index], 50)
        assert pooled.df[index] == pytest.approx(single.df)
        assert pooled.se[index] == pytest.approx(single.se)


def test_degenerate_inputs_say_why() -> None:
    assert "1 of 3" in pooled_estimate("mean", [1, np.nan, 2], [1, 1, 1]).note
    constant = pooled_estimate("mean", [0.5, 0.5], [0, 0], df_complete=10)
    assert constant.value == 0.5
    assert constant.note
    assert math.isnan(constant.lower)
    assert pooled_estimate("mean", [0.4, 0.5], [0, 0], df_complete=10).note
    normal = pooled_estimate("mean", [1, 1], [1, 1])
    assert normal.upper == pytest.approx(1 + 1.959963984540054)
    assert math.isnan(normal.df)


def test_wrong_calls_are_refused() -> None:
    with pytest.raises(ValueError, match="at least two"):
        pool([1.0], [1.0])
    with pytest.raises(ValueError, match="shape"):
        pool([1.0, 2.0], [1.0])
