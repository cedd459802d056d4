from __future__ import annotations

import pandas as pd
import pytest
import statsmodels.formula.api as smf

from respine.analyses import discussion, response, structure
from respine.analyses.study import Study
from respine.display import discussion as discussion_display
from respine.display import structure as structure_display
from respine.results import Estimate, Result, Results
from tests.analyses.conftest import SHIPPED, unknown


def test_main_analysis_is_least_squares_on_the_files(shipped: Study) -> None:
    adsl = pd.read_csv(SHIPPED / "adsl.csv").set_index("USUBJID")
    t2 = pd.read_csv(SHIPPED / "admi.csv")
    wide = t2[t2["PARAMCD"] == "T2"].pivot(index="USUBJID", columns="AVISITN", values="AVAL")
    people = shipped.trial.participants("mITT").index
    frame = wide.loc[wide.index.intersection(people)].dropna(subset=[0, 12])
    frame = pd.DataFrame({"change": frame[12] - frame[0], "base": frame[0]}).join(adsl[["TRT01P", "COUNTRY"]])
    frame["treated"] = (frame["TRT01P"] == "BM-MSC").astype(float)
    fitted = smf.ols("change ~ treated + base + C(COUNTRY)", frame).fit()
    main = structure.analyse(shipped)["structure.main"]
    assert main.value == pytest.approx(fitted.params["treated"], rel=1e-9)
    assert main.se == pytest.approx(fitted.bse["treated"], rel=1e-9)
    assert main.p == pytest.approx(fitted.pvalues["treated"], rel=1e-7)
    assert (main.n_treatment, main.n_control) == (int(frame["treated"].sum()), int((1 - frame["treated"]).sum()))


def test_without_imaging_nothing_is_estimated_and_all_is_said(simulated) -> None:
    study = simulated(31, n_treatment=10, n_control=10, without=frozenset({"admi"}))
    results = structure.analyse(study)
    assert results["structure.main"].note == "not estimable: no T2 measurement after baseline"
    said = structure_display.sentences(results, study)
    assert "could not be assessed" in said["structure.verdict"].text
    assert structure_display.course_figure(results, study).alt
    assert structure_display.visits_table(results, study.arms, 0.95).rows
    assert structure_display.observed_table(results, study.arms).rows[0].stub == "No data"
    both = discussion.analyse(study)
    conclusion = discussion_display.sentences(both, study)["discussion.conclusion"].text
    assert "the change in disc T2 could not be compared" in conclusion
    assert discussion_display.summary_figure(both, study).svg


def test_the_main_table_gives_the_mean_change_of_each_arm(shipped: Study) -> None:
    results = structure.analyse(shipped)
    table = structure_display.main_table(results, shipped.arms, 0.95, 12.0)
    assert any(note.startswith("Least-squares mean changes of the main analysis: BM-MSC −") for note in table.notes)
    assert "structure.lsmean.control" in table.results
    difference = results["structure.lsmean.treatment"].value - results["structure.lsmean.control"].value
    assert difference == pytest.approx(results["structure.main"].value, rel=1e-12)


def test_one_country_is_said_to_have_dropped_out(tiny: Study) -> None:
    results = structure.analyse(tiny)
    for id in ("structure.main", "structure.mmrm.primary.difference", "structure.mmrm.primary.treatment"):
        assert "COUNTRY has one level and drops out" in results[id].note
    assert "constant terms left out: COUNTRY" in response.main_analysis(tiny)["difference"].note


def test_an_effect_on_both_is_concluded(effect: Study) -> None:
    results = discussion.analyse(effect)
    said = discussion_display.sentences(results, effect)
    assert "superior" in said["discussion.conclusion"].text
    assert "reached its primary objective" in said["discussion.conclusion"].text


def pair(p_response: float, value_response: float, p_structure: float, value_structure: float) -> Results:
    """Results as the discussion has them, from made-up differences."""
    results = Results()
    values = {"response": (value_response, p_response), "structure": (value_structure, p_structure)}
    for name, (value, p) in values.items():
        results.append(
            Result(
                id=f"discussion.{name}", statistic="difference", value=value, lower=value - 0.1, upper=value + 0.1, p=p,
                unit="proportion" if name == "response" else "ms", method="made up",
            )
        )  # fmt: skip
        counted = p if value > 0 else 1.0
        for slug in discussion.PROCEDURES:
            results.append(Result(id=f"discussion.{slug}.{name}", statistic="p-value", value=counted, p=counted))
    results.extend(unknown(8, 7))
    return results


@pytest.mark.parametrize(
    ("counts", "words"), [((8, 7), "is unknown in"), ((0, 0), "of every randomised participant is")]
)
def test_the_limitations_say_what_is_missing(shipped: Study, counts: tuple[int, int], words: str) -> None:
    results = Results(r for r in pair(0.4, 0.05, 0.4, 1.0).values() if "unknown" not in r.id)
    results.extend(unknown(*counts))
    said = discussion_display.sentences(results, shipped)["discussion.limitations"].text
    assert words in said
    assert "synthetic" in said


def test_unknown_responses_are_those_of_the_response_chapter(shipped: Study) -> None:
    found, counted = discussion.analyse(shipped), response.analyse(shipped)
    for role in ("treatment", "control"):
        assert found[f"discussion.unknown.{role}"].value == counted[f"response.missing.{role}"].value
        assert found[f"discussion.unknown.{role}"].n == counted[f"response.randomised.{role}"].value


@pytest.mark.parametrize(
    ("numbers", "words"),
    [
        ((0.01, 0.2, 0.01, 3.0), "reached its primary objective"),
        ((0.01, 0.2, 0.4, 1.0), "superior on response but not on the change in disc T2"),
        ((0.4, 0.05, 0.01, 3.0), "superior on the change in disc T2 but not on response"),
        ((0.4, 0.05, 0.4, 1.0), "not shown to be superior"),
        ((0.01, -0.2, 0.01, -3.0), "Sham was superior on response and the change in disc T2"),
    ],
)
def test_every_conclusion_follows_from_the_results(
    shipped: Study, numbers: tuple[float, float, float, float], words: str
) -> None:
    conclusion = discussion_display.sentences(pair(*numbers), shipped)["discussion.conclusion"].text
    assert words in conclusion


def test_harm_never_makes_a_success() -> None:
    assert discussion._in_favour(Estimate(statistic="d", value=-0.3, p=0.001)) == 1.0
    assert discussion._in_favour(Estimate(statistic="d", value=0.3, p=0.001)) == 0.001
