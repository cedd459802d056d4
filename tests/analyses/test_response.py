"""Co-primary 1 against counts made independently from the CSV tables, on other trials, and at the edges."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pandas as pd
import pytest

from respine.analyses import imputed, response
from respine.analyses.study import Study
from respine.display import response as display
from respine.parameters import Parameters
from respine.results import Results
from respine.stats.bayes import PRIORS, posterior_difference
from tests.analyses.conftest import SHIPPED


@pytest.fixture(scope="module")
def results(shipped: Study) -> Results:
    return response.analyse(shipped)


def counts_by_hand() -> dict[str, tuple[int, int]]:
    """Responders of known by arm at month 12, from the files, by loops over participants."""
    adsl = pd.read_csv(SHIPPED / "adsl.csv").set_index("USUBJID")
    adqs = pd.read_csv(SHIPPED / "adqs.csv")
    adcm = pd.read_csv(SHIPPED / "adcm.csv")
    value = {(r.USUBJID, r.PARAMCD, r.AVISITN): r.AVAL for r in adqs.itertuples() if not math.isnan(r.AVAL)}
    day = {(r.USUBJID, r.PARAMCD, r.AVISITN): r.ADY for r in adqs.itertuples()}
    tally = {label: [0, 0] for label in ("BM-MSC", "Sham")}
    for subject, person in adsl[adsl["RANDFL"] == "Y"].iterrows():
        v0, v = value.get((subject, "VASPAIN", 0)), value.get((subject, "VASPAIN", 12))
        o0, o = value.get((subject, "ODI", 0)), value.get((subject, "ODI", 12))
        days = [day[k] for k in ((subject, "VASPAIN", 12), (subject, "ODI", 12)) if k in day and not math.isnan(day[k])]
        visit = max(days) if days else round(30.4375 * 12) + 1
        drugs = adcm[adcm["USUBJID"] == subject]
        rescue = drugs[
            (drugs["ASTDY"] > 1)
            & (drugs["ASTDY"] <= visit)
            & (
                drugs["CMCAT"].isin(["SPINAL INJECTION", "SURGERY"])
                | ((drugs["CMCAT"] == "OPIOID") & (person["OPIOIDBL"] != "Y"))
            )
        ]
        vas = None if v is None or v0 is None else v0 - v >= 20 and (v0 - v) * 100 >= 20 * v0
        odi = None if o is None or o0 is None else o0 > 0 and (o0 - o) * 100 >= 20 * o0
        known = True if True in (vas, odi) else None if None in (vas, odi) else False
        if len(rescue):
            known = False
        if known is not None:
            tally[person["TRT01P"]][0] += known
            tally[person["TRT01P"]][1] += 1
    return {label: (x, n) for label, (x, n) in tally.items()}


def test_counts_are_those_made_by_hand(results: Results) -> None:
    by_hand = counts_by_hand()
    for role, label in (("treatment", "BM-MSC"), ("control", "Sham")):
        rate = results[f"response.rate.{role}"]
        assert (round(rate.value * rate.n), rate.n) == by_hand[label]


def test_shipped_data_show_the_published_percentages(results: Results) -> None:
    assert round(100 * results["response.rate.treatment"].value) == 74
    assert round(100 * results["response.rate.control"].value) == 69
    assert round(results["response.test.yates"].p, 2) == 0.77


def test_swapping_the_arms_flips_the_signs(shipped: Study) -> None:
    trial = shipped.trial
    people = trial.adsl.copy()
    swapped = {"treatment": "control", "control": "treatment"}
    people["ARM"] = people["ARM"].map(swapped).astype(trial.adsl["ARM"].dtype)
    other = Study(dataclasses.replace(trial, adsl=people), shipped.parameters)
    one, two = (response._complete_case, response._unadjusted)
    before, after = Results(), Results()
    for study, results in ((shipped, before), (other, after)):
        frame = response.primary_frame(study)
        one(results, frame, study)
        two(results, response.count(frame), study)
    for id in ("response.rd.complete", "response.rd.mn", "response.rd.newcombe"):
        assert after[id].value == pytest.approx(-before[id].value, abs=1e-9)
        assert after[id].lower == pytest.approx(-before[id].upper, abs=1e-7)
    assert after["response.test.fisher"].p == pytest.approx(before["response.test.fisher"].p)


def test_complete_data_need_no_imputation(simulated) -> None:
    study = simulated(11, n_treatment=40, n_control=40, dropout=0.0, gaps=0.0, rescue=0.0)
    frame = response.primary_frame(study)
    if frame["RESPONSE"].isna().any():  # a participant never treated has no visit
        study = simulated(12, n_treatment=40, n_control=40, dropout=0.0, gaps=0.0, rescue=0.0)
        frame = response.primary_frame(study)
    results = response.analyse(study)
    missing = frame["RESPONSE"].isna().sum()
    if missing == 0:
        assert results["response.rd.main"].value == pytest.approx(results["response.rd.complete"].value, rel=1e-9)
    else:
        assert abs(results["response.rd.main"].value - results["response.rd.complete"].value) < missing / 40


def test_rescued_participants_stay_non_responders_in_every_imputation(shipped: Study) -> None:
    imputations = imputed.impute_study(shipped)
    derived, _ = imputed.completed_responses(shipped, imputations)
    rescued = imputed.rescued_before(shipped)
    assert rescued.any()
    assert (derived[:, rescued] == 0).all()


def test_known_responses_are_the_same_in_every_imputation(shipped: Study) -> None:
    derived, _ = imputed.completed_responses(shipped, imputed.impute_study(shipped))
    observed = response.primary_frame(shipped)["RESPONSE"].to_numpy(dtype=float, na_value=np.nan)
    known = ~np.isnan(observed)
    assert (derived[:, known] == observed[known]).all()
    assert np.isin(derived, (0, 1)).all()


def test_an_effect_is_said_everywhere(effect: Study) -> None:
    results = response.analyse(effect)
    said = display.sentences(results, effect)
    assert results["response.rd.main"].p < 0.05
    assert "was reached" in said["response.verdict"].text
    assert "was reached" in said["response.abstract"].text
    assert "not reached" not in said["response.key"].text
    assert "{{a.b}}" in said["response.key"].text


def test_a_difference_against_the_treatment_is_not_a_success(simulated) -> None:
    study = simulated(21, effect_vas=30.0, effect_odi=20.0, effect_t2=-10.0)
    results = response.analyse(study)
    said = display.sentences(results, study)
    assert results["response.rd.main"].value < 0
    assert results["response.rd.main"].p < 0.05
    assert "favoured Sham" in said["response.verdict"].text
    assert "excludes any benefit" in said["response.excluded"].text


def test_tiny_trial_gives_numbers_or_reasons(tiny: Study) -> None:
    results = response.analyse(tiny)
    assert all(r.estimable or r.note for r in results.values())
    assert display.arms_table(results, tiny.arms, 12.0).to_csv()
    assert display.component_table(results, tiny).to_csv()
    assert display.difference_table(results, tiny.arms, 0.95, 12.0).to_csv()


def test_the_definition_in_words_is_that_of_the_parameters(shipped: Study) -> None:
    usual = display.definition(Parameters())
    assert usual["rule"].endswith(
        "20 mm and 20% of baseline, or the Oswestry Disability Index by at least 20% of baseline"
    )
    assert usual["model"] == "arm, country, baseline pain and baseline disability"
    assert "non-responder" in usual["rescue"]
    assert "composite" in usual["strategy"]
    other = display.definition(Parameters(odi_rule="points", odi_rule_percent=15, rescue="ignored", covariates=()))
    assert other["rule"].endswith("by at least 15 points")
    assert other["odi_threshold"] == "15 points"
    assert other["model"] == "arm"
    assert "ignored" in other["rescue"]
    assert "treatment-policy" in other["strategy"]


@pytest.mark.parametrize(("rescue", "words"), [("non_responder", "has neither part"), ("ignored", "Rescue is ignored")])
def test_parts_and_curves_say_what_a_rescue_makes_of_them(
    shipped: Study, results: Results, rescue: str, words: str
) -> None:
    study = Study(shipped.trial, shipped.parameters.model_copy(update={"rescue": rescue}))
    assert words in display.component_table(results, study).notes[0]
    drawn = display.cumulative_figure(response.cumulative_response(study), study)
    assert ("not improved" in drawn.caption) == (rescue == "non_responder")
    # The pain part asks for millimetres besides: its share is not that of the table of the parts.
    assert "Pain (VAS) by 20%" in drawn.alt
    assert "also 20 mm" in drawn.caption


def test_every_number_names_its_method(results: Results) -> None:
    assert [r.id for r in results.values() if not r.method] == []


def test_odi_rule_in_points_asks_for_more_where_baseline_is_low(shipped: Study) -> None:
    relative = response.count(response.primary_frame(shipped), "ODI_RESPONSE")
    points = Study(shipped.trial, Parameters(odi_rule="points"))
    absolute = response.count(response.primary_frame(points), "ODI_RESPONSE")
    # Every baseline is below 100, so 20 points are at least 20%.
    assert absolute.x_treatment <= relative.x_treatment
    assert absolute.x_control < relative.x_control


def test_cumulative_curves_fall_and_start_below_one(shipped: Study) -> None:
    curves = response.cumulative_response(shipped)
    for _, line in curves.groupby(["parameter", "arm"]):
        assert line["share"].is_monotonic_decreasing
        assert line["share"].between(0, 1).all()


@pytest.mark.parametrize(
    ("counts", "low", "high"),
    [((37, 50, 34, 49), 60, 60), ((50, 50, 5, 50), 90, 100), ((15_000, 50_000, 14_500, 50_000), 1.5, 3)],
    ids=["shipped", "a large effect", "a large trial"],
)
def test_the_posterior_is_drawn_whole_and_not_as_a_spike(counts: response.Counts, low: float, high: float) -> None:
    frames = []
    for prior in PRIORS:
        posterior = posterior_difference(*counts, prior=prior)
        frames.append(pd.DataFrame({"difference": posterior.grid, "density": posterior.density}))
    assert low <= display._posterior_reach(pd.concat(frames)) <= high
