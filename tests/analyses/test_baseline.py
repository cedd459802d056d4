from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from respine.analyses import baseline
from respine.analyses.study import Study
from respine.display import baseline as display
from respine.results import Results
from tests.analyses.conftest import SHIPPED


@pytest.fixture(scope="module")
def results(shipped: Study) -> Results:
    return baseline.analyse(shipped)


def test_age_is_that_of_the_table(results: Results) -> None:
    adsl = pd.read_csv(SHIPPED / "adsl.csv")
    ages = adsl[adsl["RANDFL"] == "Y"].groupby("TRT01P")["AGE"]
    for role, label in (("treatment", "BM-MSC"), ("control", "Sham")):
        assert results[f"baseline.age.mean.{role}"].value == pytest.approx(ages.mean()[label], rel=1e-12)
        assert results[f"baseline.age.sd.{role}"].value == pytest.approx(ages.std()[label], rel=1e-12)
    means, sds = ages.mean(), ages.std()
    expected = (means["BM-MSC"] - means["Sham"]) / np.sqrt((sds["BM-MSC"] ** 2 + sds["Sham"] ** 2) / 2)
    assert results["baseline.age.smd"].value == pytest.approx(expected, rel=1e-12)


def test_categories_sum_to_the_arm(results: Results) -> None:
    for item in baseline.CHARACTERISTICS:
        if item.kind != "categorical" or f"baseline.{item.slug}.smd" not in results:
            continue
        for role in baseline.COLUMNS:
            levels = [
                results[f"baseline.{item.slug}.{level}.{role}"] for level in baseline.observed_levels(results, item)
            ]
            missing = results[f"baseline.{item.slug}.missing.{role}"].value
            assert sum(r.value * r.n for r in levels) + missing == pytest.approx(results[f"baseline.n.{role}"].value)


def test_table_one_shows_no_p_value(results: Results, shipped: Study) -> None:
    assert "p" not in display.table_one(results, shipped.arms).columns
    assert all(np.isnan(r.p) for r in results.values())


def test_absent_columns_are_left_out(simulated) -> None:
    study = simulated(5, n_treatment=8, n_control=8, without=frozenset({"SMOKBL", "SF36", "admi"}))
    results = baseline.analyse(study)
    assert "baseline.smokbl.smd" not in results
    assert "baseline.t2.smd" not in results
    assert display.table_one(results, study.arms).rows
    assert display.love_plot(results, study.arms).alt


def test_balance_names_what_is_unequal(results: Results) -> None:
    text = display.sentences(results)["baseline.balance"].text
    unequal = [
        r for r in results.values() if r.id.endswith(".smd") and r.estimable and abs(r.value) >= display.IMBALANCE
    ]
    assert all(r.id in text for r in unequal)
    equal = Results(r.replace(value=0.0) if r.id.endswith(".smd") else r for r in results.values())
    assert display.sentences(equal)["baseline.balance"].text == ("No standardised mean difference reaches 0.2 in size.")
    key = display.sentences(equal)["baseline.key"].text
    assert key.startswith(
        "The {baseline.n.overall} randomised participants had a mean age of {baseline.age.mean.overall}"
    )
    assert " and a mean disability of {baseline.odi.mean.overall}" in key
