from __future__ import annotations

import dataclasses

import pandas as pd
import pytest

from respine.analyses import participants
from respine.analyses.study import Study
from respine.display import participants as display
from respine.results import Results
from tests.analyses.conftest import SHIPPED


@pytest.fixture(scope="module")
def results(shipped: Study) -> Results:
    return participants.analyse(shipped)


def test_counts_are_those_of_the_tables(results: Results) -> None:
    adsl = pd.read_csv(SHIPPED / "adsl.csv", keep_default_na=False, dtype=str)
    randomised = adsl[adsl["RANDFL"] == "Y"]
    assert results["participants.screened"].value == len(adsl)
    assert results["participants.randomised.treatment"].value == (randomised["TRT01P"] == "BM-MSC").sum()
    assert results["participants.randomised.control"].value == (randomised["TRT01P"] == "Sham").sum()
    assert results["participants.centres"].value == randomised["SITEID"].nunique()
    reasons = adsl.loc[adsl["RANDFL"] == "N", "SCRFREAS"].value_counts()
    found = {r.parameter: r.value for r in participants.reasons(results, "excluded")}
    assert found == reasons.to_dict()


def test_seen_counts_participants_with_either_instrument(results: Results) -> None:
    adqs = pd.read_csv(SHIPPED / "adqs.csv", keep_default_na=False, dtype=str)
    adsl = pd.read_csv(SHIPPED / "adsl.csv", keep_default_na=False, dtype=str).set_index("USUBJID")
    rows = adqs[adqs["PARAMCD"].isin(["VASPAIN", "ODI"]) & (adqs["AVISITN"].astype(float) == 12) & (adqs["AVAL"] != "")]
    arms = adsl.loc[rows["USUBJID"].unique(), "TRT01P"].value_counts()
    assert results["participants.seen.m12.treatment"].value == arms["BM-MSC"]
    assert results["participants.seen.m12.control"].value == arms["Sham"]


def test_reasons_are_ordered_by_frequency(results: Results) -> None:
    counts = [r.value for r in participants.reasons(results, "excluded")]
    assert counts == sorted(counts, reverse=True)


def test_boxes_that_do_not_add_up_are_refused(results: Results) -> None:
    broken = Results(r.replace(value=r.value + 1) if r.id == "participants.excluded" else r for r in results.values())
    with pytest.raises(participants.FlowError, match="screened is"):
        participants._check_sums(broken)


def test_labels_are_inert_in_sentences_and_figure(effect: Study) -> None:
    results = participants.analyse(effect)
    sentences = display.sentences(results, effect.arms)
    assert "Cells <b>{{a.b}}</b>" in sentences["participants.key"].text
    assert "Cells <b>" not in display.flow_diagram(results, effect.arms, 12).svg


def test_tiny_trial_has_a_flow(tiny: Study) -> None:
    results = participants.analyse(tiny)
    assert "one country" in display.sentences(results, tiny.arms)["participants.design"].text
    assert display.visits_table(results, tiny.arms).rows


def test_without_reasons_nobody_is_said_to_have_stayed(shipped: Study) -> None:
    adsl = shipped.trial.adsl.assign(DCSREAS=None)
    study = dataclasses.replace(shipped, trial=dataclasses.replace(shipped.trial, adsl=adsl))
    results = participants.analyse(study)
    said = display.sentences(results, study.arms)
    assert said["participants.key"].text.endswith("; no reason for leaving the study is recorded.")
    flow = display.flow_diagram(results, study.arms, 12)
    assert flow.alt.endswith("; no reason for leaving the study is recorded.")
    assert "left the study" not in str(display._contents(results, study.arms, 12))


def test_everybody_treated_is_said_without_two_negatives(shipped: Study) -> None:
    results = Results(
        r.replace(value=0.0) if ".not_treated." in r.id else r for r in participants.analyse(shipped).values()
    )
    said = display.sentences(results, shipped.arms)["participants.deviations"].text
    assert said.endswith("received the other arm's treatment and everybody was treated.")


def test_reasons_cannot_turn_the_direction_of_the_flow(shipped: Study) -> None:
    results = Results(
        r.replace(parameter="\u202ereversed") if ".excluded." in r.id else r
        for r in participants.analyse(shipped).values()
    )
    lines = display._contents(results, shipped.arms, 12)["excluded"]
    assert any("\\u202ereversed" in line for line in lines)
    assert not any("\u202e" in line for line in lines)
