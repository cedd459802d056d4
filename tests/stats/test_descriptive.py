"""Descriptive statistics against R."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from respine.stats.descriptive import mean, mean_difference, proportions, smd, smd_categorical, summarize

REFERENCE = Path(__file__).parents[1] / "reference" / "descriptive"
DATA = pd.read_csv(REFERENCE / "descriptive.csv")
EXPECTED = json.loads((REFERENCE / "descriptive.json").read_text())
REL = EXPECTED["tolerance"]


def by_arm(column: str) -> list[pd.Series]:  # type: ignore[type-arg]
    return [DATA.loc[DATA["ARM"] == arm, column] for arm in ("treatment", "control")]


@pytest.mark.parametrize("arm", ["treatment", "control"])
def test_summaries(arm: str) -> None:
    found = summarize(DATA.loc[DATA["ARM"] == arm, "AGE"], unit="years")
    assert {key: e.value for key, e in found.items()} == pytest.approx(EXPECTED[arm], rel=REL)
    assert found["median"].unit == "years"
    assert found["mean"].n == EXPECTED[arm]["n"]


def test_mean_with_interval() -> None:
    found = mean(by_arm("AGE")[0], level=0.9)
    expected = EXPECTED["mean"]
    assert (found.value, found.lower, found.upper) == pytest.approx(tuple(expected.values()), rel=REL)


@pytest.mark.parametrize(("equal", "key"), [(False, "welch"), (True, "student")])
def test_mean_differences(equal: bool, key: str) -> None:
    found = mean_difference(*by_arm("AGE"), equal_variances=equal)
    for name, expected in EXPECTED[key].items():
        assert getattr(found, name) == pytest.approx(expected, rel=REL)


def test_standardised_differences() -> None:
    assert smd(*by_arm("AGE")).value == pytest.approx(EXPECTED["smd"], rel=REL)
    for column, expected in EXPECTED["yang_dalton"].items():
        assert smd_categorical(*by_arm(column)).value == pytest.approx(expected, rel=REL)


def test_two_levels_are_the_binary_difference() -> None:
    x, y = by_arm("SEX")
    p, q = (x == "F").mean(), (y == "F").mean()
    expected = abs(p - q) / math.sqrt((p * (1 - p) + q * (1 - q)) / 2)
    assert smd_categorical(x, y).value == pytest.approx(expected, rel=REL)
    assert smd_categorical(y, x).value == pytest.approx(expected, rel=REL)


def test_proportions_are_of_the_known() -> None:
    found = proportions(["A", "B", "A", None], ["A", "B", "C"])
    assert {level: (e.value, e.n) for level, e in found.items()} == {"A": (2 / 3, 3), "B": (1 / 3, 3), "C": (0, 3)}
    assert not proportions([None], ["A"])["A"].estimable


def test_nullable_columns() -> None:
    found = summarize(pd.Series([1, 2, pd.NA], dtype="Int64"))
    assert (found["mean"].value, found["missing"].value) == (1.5, 1)


def test_degenerate_data() -> None:
    empty, one = summarize([np.nan, np.nan]), summarize([4.0])
    assert (empty["n"].value, empty["missing"].value) == (0, 2)
    assert empty["median"].note == "not estimable: no data"
    assert (one["mean"].value, one["sd"].note) == (4.0, "not estimable: one value")
    assert not mean([]).estimable
    assert mean([3.0]).note == "no interval: no residual degrees of freedom"
    assert mean_difference([], [1.0]).note == "not estimable: an arm has no data"
    assert mean_difference([1.0], [2.0, 3.0]).note == "no interval: no residual degrees of freedom"
    assert mean_difference([2.0, 2.0], [2.0, 2.0]).note == "no interval: no residual variation"
    assert not smd([1.0], [2.0, 3.0]).estimable
    assert not smd([1.0, 1.0], [2.0, 2.0]).estimable
    assert smd_categorical(["A", "A"], ["A"]).value == 0
    assert smd_categorical(["A", "A"], ["B"]).note == "not estimable: the arms have no level in common"
    assert not smd_categorical([], ["B"]).estimable
    assert smd_categorical(["A", "A", "B"], ["B", "C"]).estimable
