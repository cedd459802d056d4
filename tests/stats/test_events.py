from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from respine.stats import events as ev

ANSWERS = json.loads((Path(__file__).parents[1] / "reference" / "events" / "answers.json").read_text())
BY = ("SOC", "PT")
SEVERITIES = ("MILD", "MODERATE", "SEVERE")
N = {"treatment": 58, "control": 56}
EXPOSURE = {"treatment": 100.0, "control": 80.0}

EVENTS = pd.DataFrame(
    [
        ("t1", "treatment", "Nervous", "Headache", "MILD"),
        ("t1", "treatment", "Nervous", "Headache", "SEVERE"),
        ("t1", "treatment", "Nervous", "Sciatica", "MILD"),
        ("t2", "treatment", "Nervous", "Sciatica", "MODERATE"),
        ("c1", "control", "Nervous", "Sciatica", None),
        ("c1", "control", "Back", "Pain", "MODERATE"),
        ("x1", None, "Back", "Pain", "SEVERE"),
    ],
    columns=["USUBJID", "ARM", "SOC", "PT", "SEV"],
)


def test_participants_are_counted_once_a_level() -> None:
    table = ev.summarise_events(EVENTS, N, EXPOSURE, BY)
    rows = table[["depth", "SOC", "PT", "arm", "participants", "events"]].to_numpy().tolist()
    assert rows == [
        [0, "", "", "treatment", 2, 4],
        [0, "", "", "control", 1, 2],
        [1, "Nervous", "", "treatment", 2, 4],
        [1, "Nervous", "", "control", 1, 1],
        [2, "Nervous", "Sciatica", "treatment", 2, 2],
        [2, "Nervous", "Sciatica", "control", 1, 1],
        [2, "Nervous", "Headache", "treatment", 1, 2],
        [2, "Nervous", "Headache", "control", 0, 0],
        [1, "Back", "", "treatment", 0, 0],
        [1, "Back", "", "control", 1, 1],
        [2, "Back", "Pain", "treatment", 0, 0],
        [2, "Back", "Pain", "control", 1, 1],
    ]
    assert table["proportion"].iloc[0] == pytest.approx(2 / 58)
    assert table["rate"].iloc[0] == pytest.approx(4.0)
    assert ev.incidence_rate(4, 100).lower == pytest.approx(table["lower"].iloc[0])
    assert ev.incidence_rate(4, 100).upper == pytest.approx(table["upper"].iloc[0])


def test_worst_severity_counts_each_participant_once() -> None:
    table = ev.worst_severity(EVENTS, N, "SEV", SEVERITIES, BY)
    overall = table[table["depth"] == 0].set_index(["arm", "severity"])["participants"]
    assert overall["treatment"].to_dict() == {"unknown": 0, "MILD": 0, "MODERATE": 1, "SEVERE": 1}
    assert overall["control"].to_dict() == {"unknown": 0, "MILD": 0, "MODERATE": 1, "SEVERE": 0}
    sciatica = table[table["PT"] == "Sciatica"].set_index(["arm", "severity"])["participants"]
    assert sciatica["treatment"].to_dict() == {"unknown": 0, "MILD": 1, "MODERATE": 1, "SEVERE": 0}
    assert sciatica["control", "unknown"] == 1
    assert "unknown" not in set(ev.worst_severity(EVENTS.dropna(), N, "SEV", SEVERITIES)["severity"])
    with pytest.raises(ValueError, match="'FATAL'"):
        ev.worst_severity(EVENTS.replace("SEVERE", "FATAL"), N, "SEV", SEVERITIES)


@settings(deadline=None, derandomize=True, max_examples=6)
@given(st.permutations(range(len(EVENTS))))
def test_order_of_events_never_matters(order: list[int]) -> None:
    shuffled = EVENTS.iloc[order]
    pd.testing.assert_frame_equal(
        ev.summarise_events(shuffled, N, EXPOSURE, BY), ev.summarise_events(EVENTS, N, EXPOSURE, BY)
    )
    pd.testing.assert_frame_equal(
        ev.worst_severity(shuffled, N, "SEV", SEVERITIES, BY), ev.worst_severity(EVENTS, N, "SEV", SEVERITIES, BY)
    )


def test_worst_severities_add_up_to_participants() -> None:
    summary = ev.summarise_events(EVENTS, N, EXPOSURE, BY)
    keys = ["depth", *BY, "arm"]
    added = ev.worst_severity(EVENTS, N, "SEV", SEVERITIES, BY).groupby(keys)["participants"].sum()
    assert added.to_dict() == summary.set_index(keys)["participants"].to_dict()


def test_risk_differences_agree_with_r() -> None:
    answers = pd.DataFrame(ANSWERS["tables"])
    rows = [
        (f"{arm}{i}", arm, "Any", f"term {k}")
        for k, row in answers.iterrows()
        for arm, count in (("treatment", row["x1"]), ("control", row["x0"]))
        for i in range(int(count))
    ]
    frame = pd.DataFrame(rows, columns=["USUBJID", "ARM", "SOC", "PT"])
    table = ev.compare_risks(ev.summarise_events(frame, N, EXPOSURE, BY), BY).set_index("PT")
    table = table.loc[[f"term {k}" for k in range(len(answers))]]
    for column in ("lower", "upper", "p", "q"):
        np.testing.assert_allclose(table[column].astype(float), answers[column], rtol=1e-6)
    np.testing.assert_allclose(table["difference"], answers["x1"] / 58 - answers["x0"] / 56)


def test_rates_agree_with_poisson_test() -> None:
    for answer in ANSWERS["rates"]:
        rate = ev.incidence_rate(answer["events"], answer["exposure"])
        assert (rate.value, rate.lower, rate.upper) == pytest.approx((answer["rate"], answer["lower"], answer["upper"]))
    for answer in ANSWERS["ratios"]:
        ratio = ev.rate_ratio(answer["x1"], answer["t1"], answer["x0"], answer["t0"])
        assert (ratio.value, ratio.lower, ratio.upper, ratio.p) == pytest.approx(
            (answer["ratio"], answer["lower"], answer["upper"], answer["p"]), rel=1e-6
        )


def test_zero_event_bound_agrees_with_binom_test() -> None:
    for answer in ANSWERS["zero"]:
        assert ev.zero_event_bound(answer["n"]).value == pytest.approx(answer["bound"], rel=1e-9)
        assert ev.rule_of_three(answer["n"]).value == pytest.approx(min(3 / answer["n"], 1))
    assert ev.zero_event_bound(58, level=0.975).value == pytest.approx(1 - 0.025 ** (1 / 58))
    assert not ev.zero_event_bound(0).estimable
    assert not ev.rule_of_three(0).estimable


def test_no_events_at_all() -> None:
    table = ev.summarise_events(EVENTS.iloc[:0], N, EXPOSURE, BY)
    assert table[["depth", "arm", "participants", "events", "rate"]].to_numpy().tolist() == [
        [0, "treatment", 0, 0, 0.0],
        [0, "control", 0, 0, 0.0],
    ]
    assert table["upper"].iloc[0] == pytest.approx(-np.log(0.025))
    assert ev.compare_risks(table, BY).empty
    assert ev.worst_severity(EVENTS.iloc[:0], N, "SEV", SEVERITIES, BY)["participants"].sum() == 0


def test_an_empty_arm_has_no_proportion_rate_or_difference() -> None:
    n, exposure = {"treatment": 58, "control": 0}, {"treatment": 100.0, "control": 0.0}
    table = ev.summarise_events(EVENTS[EVENTS["ARM"] == "treatment"], n, exposure, BY)
    control = table[table["arm"] == "control"]
    assert control[["proportion", "rate", "lower", "upper"]].isna().all(axis=None)
    differences = ev.compare_risks(table, BY)
    assert len(differences) == 2
    assert differences[["difference", "lower", "upper", "p", "q"]].isna().all(axis=None)
    assert not ev.incidence_rate(0, 0).estimable
    assert not ev.rate_ratio(1, 10, 0, 0).estimable
    assert "infinite" in ev.rate_ratio(1, 10, 0, 10).note


def test_an_event_without_class_or_term_is_still_counted_at_every_level() -> None:
    gaps = EVENTS.assign(SOC=EVENTS["SOC"].where(EVENTS["PT"] != "Pain"), PT=EVENTS["PT"].where(EVENTS["PT"] != "Pain"))
    table = ev.summarise_events(gaps, N, EXPOSURE, BY)
    assert table.groupby("depth")["events"].sum().tolist() == [6, 6, 6]
    assert set(table.loc[table["SOC"] == ev.UNKNOWN, "PT"]) == {"", ev.UNKNOWN}


def test_overall_rows_only_and_other_column_names() -> None:
    renamed = EVENTS.rename(columns={"USUBJID": "who", "ARM": "group"})
    table = ev.summarise_events(renamed, N, EXPOSURE, subject="who", arm="group")
    assert table["participants"].tolist() == [2, 1]
    assert ev.compare_risks(table, ())["difference"].item() == pytest.approx(2 / 58 - 1 / 56)
    with pytest.raises(ValueError, match="by role"):
        ev.summarise_events(EVENTS.replace("control", "Sham"), N, EXPOSURE)


def test_categorical_columns_give_the_same_table() -> None:
    categorical = EVENTS.assign(
        ARM=pd.Categorical(EVENTS["ARM"], ev.ARMS, ordered=True), PT=EVENTS["PT"].astype("category")
    )
    pd.testing.assert_frame_equal(
        ev.summarise_events(categorical, N, EXPOSURE, BY), ev.summarise_events(EVENTS, N, EXPOSURE, BY)
    )
