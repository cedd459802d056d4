"""Sentences and numbers on data that the report was not made for."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from respine.analyses import structure
from respine.analyses.reproducibility import Setting
from respine.analyses.study import Study
from respine.book.tables import parse_table
from respine.display import baseline as baseline_display
from respine.display import discussion as discussion_display
from respine.display import reproducibility as reproducibility_display
from respine.display import response as response_display
from respine.display import robustness as robustness_display
from respine.display import structure as structure_display
from respine.display import wording
from respine.display.figures import label_ends
from respine.display.numbers import format_result
from respine.display.outputs import Row, Table
from respine.display.style import broken, canvas, short
from respine.results import Result, Results, not_estimable
from respine.stats.gcomputation import adjusted_risk_difference
from tests.analyses.conftest import unknown


def compared(value: float, p: float, unit: str = "proportion", **more: float) -> Result:
    limits = {"lower": value - 0.1, "upper": value + 0.1} | more
    note = "" if value == value else "not estimable: nobody was seen"
    return Result(
        id="discussion.made", statistic="difference", value=value, p=p, unit=unit, note=note, method="m", **limits
    )


def concluded(study: Study, response: tuple[float, float], structure: tuple[float, float]) -> Results:
    results = Results()
    for name, (value, p) in {"response": response, "structure": structure}.items():
        results.append(compared(value, p).replace(id=f"discussion.{name}"))
        for slug in ("both", "holm", "sequence"):
            adjusted = p if value > 0 else 1.0 if value == value else math.nan
            note = "" if adjusted == adjusted else "not estimable: no p-value"
            results.append(
                Result(id=f"discussion.{slug}.{name}", statistic="p-value", value=adjusted, p=adjusted, note=note)
            )
    results.extend(unknown(8, 7))
    return discussion_display.sentences(results, study)


GONE = (math.nan, math.nan)


@pytest.mark.parametrize(
    ("response", "structure_", "words"),
    [
        ((-0.2, 0.01), (-3.0, 0.01), "Sham was superior on response and the change in disc T2: since both"),
        ((0.2, 0.01), (-3.0, 0.01), "BM-MSC was superior on response, and Sham was superior on the change in disc T2"),
        ((-0.2, 0.01), (1.0, 0.4), "Sham was superior on response, and no difference was shown in the change"),
        ((-0.2, 0.01), GONE, "Sham was superior on response, and the change in disc T2 could not be compared: since"),
        ((0.2, 0.01), GONE, "the change in disc T2 could not be compared: the trial cannot be judged"),
        ((0.2, 0.4), GONE, "not shown to be superior on response, and the change in disc T2 could not be compared: s"),
        (GONE, GONE, "response and the change in disc T2 could not be compared: the trial cannot be judged"),
    ],
)
def test_harm_and_absence_are_concluded_as_what_they_are(
    shipped: Study, response: tuple[float, float], structure_: tuple[float, float], words: str
) -> None:
    said = concluded(shipped, response, structure_)
    assert words in said["discussion.conclusion"].text
    agree = "agree" in said["discussion.procedures"].text
    assert agree == (GONE not in (response, structure_))


def test_a_difference_without_a_p_value_is_no_verdict() -> None:
    untested = compared(3.5, math.nan, unit="ms")
    assert wording.verdict(untested, "It", 0.05, "Sham", higher_is_better=True) == "It could not be assessed."
    assert wording.verdict(untested.replace(p=0.4), "It", 0.05, "Sham", higher_is_better=True) == "It was not reached."
    assert robustness_display.conclusion(untested, 0.05) is None


def test_an_interval_that_holds_every_benefit_excludes_none() -> None:
    vacuous = wording.excluded(compared(-0.5, 0.3, upper=1.0), "difference", higher_is_better=True)
    assert vacuous == "The interval for the difference excludes no benefit, however large."
    assert "larger than" in wording.excluded(compared(-0.5, 0.3, upper=0.99), "difference", higher_is_better=True)


@pytest.mark.parametrize(
    ("lower", "upper", "higher", "words"),
    [
        (0.1, 0.4, True, "benefits smaller than {discussion.made|lower} and larger than {discussion.made|upper} perc"),
        (0.9, 1.0, True, "benefits smaller than {discussion.made|lower} percentage points."),
        (
            -0.4,
            -0.1,
            False,
            "benefits smaller than {discussion.made|upper_size} and larger than {discussion.made|lower_size} perc",
        ),
        (0.1, 0.4, False, "any benefit of the treatment."),
    ],
)
def test_an_interval_beyond_no_difference_excludes_on_both_sides(
    lower: float, upper: float, higher: bool, words: str
) -> None:
    said = wording.excluded(compared(0.2, 0.01, lower=lower, upper=upper), "difference", higher_is_better=higher)
    assert words in said


@pytest.mark.parametrize(("value", "text"), [(0.2093, "0.21"), (0.9999, ">0.99"), (0.0001, "<0.01")])
def test_a_posterior_probability_is_no_difference_in_percentage_points(value: float, text: str) -> None:
    row = Result(id="a.b", statistic="P(RD > 0)", value=value, unit="proportion", arm="difference", n=99)
    assert format_result(row) == text


def test_a_visit_without_imaging_is_named(shipped: Study) -> None:
    study = Study(shipped.trial, shipped.parameters.model_copy(update={"primary_month": 3}))
    results = structure.analyse(study)
    assert results["structure.main"].note == "not estimable: no change in T2 known at month 3"
    assert "gives no verdict" in structure_display.sentences(results, study)["structure.mixed"].text


@pytest.mark.parametrize(
    ("main", "mixed", "words"),
    [((2.0, 0.01), (2.0, 0.02), "same"), ((2.0, 0.01), (-2.0, 0.02), "another"), ((2.0, 0.4), (2.0, 0.02), "another")],
)
def test_the_mixed_model_agrees_only_on_the_same_side(
    shipped: Study, main: tuple[float, float], mixed: tuple[float, float], words: str
) -> None:
    results = Results(
        compared(*numbers, unit="ms").replace(id=id, visit=12.0)
        for id, numbers in (("structure.main", main), ("structure.mmrm.primary.difference", mixed))
    )
    assert words in structure_display.sentences(results, shipped)["structure.mixed"].text


def test_characteristics_keep_their_names_in_a_sentence() -> None:
    results = Results()
    results.add("baseline.modicbl.smd", compared(0.5, math.nan))
    results.add("baseline.vaspain.smd", compared(0.5, math.nan))
    said = baseline_display.sentences(results)["baseline.balance"].text
    assert said.endswith("for Modic type ({baseline.modicbl.smd}) and pain ({baseline.vaspain.smd}).")


def test_changed_parameters_are_listed_in_a_sentence() -> None:
    settings = [Setting(name, "", "", 1, 2) for name in ("alpha", "seed")]
    said = reproducibility_display.sentences(settings, {"all well": False})["reproducibility.key"].text
    assert said.endswith("save alpha and seed, and 1 of its 1 checks failed.")


def test_long_arm_labels_are_cut_in_figures_alone() -> None:
    assert short("Sham") == "Sham"
    assert len(short("Adipose-derived mesenchymal stromal cells, 20 million")) <= 28
    _, (ax,) = canvas(2)
    label_ends(ax, {"treatment": ("x" * 200, 0.5)})
    assert max(map(len, ax.texts[0].get_text().split("\n"))) <= 20
    assert broken("Cells (allogeneic), 20 million") == "Cells (allogeneic),\n20 million"


def test_a_model_with_a_term_for_every_participant_gives_no_narrow_interval() -> None:
    covariates = pd.DataFrame({"VASBL": [70.0, 70, 59, 68], "ODIBL": [34.0, 44, 52, 44]})
    adjusted = adjusted_risk_difference(np.array([1.0, 0, 1, 1]), np.array([True, True, False, False]), covariates)
    assert adjusted.difference.value == pytest.approx(-0.5)
    assert "no more participants than terms" in adjusted.difference.note
    assert adjusted.difference_fixed.upper > 0


def test_braces_in_headings_are_text() -> None:
    label = "Cells <b>{{x}}</b> {a.b}"
    table = Table(
        label="tbl-a", caption="A.", columns=("", label, label), rows=(Row("r", ("1", "2")),), spanners=((label, 1, 2),)
    )
    header = parse_table(table.bundle()[0]["text/html"]).header
    assert [cell.text for row in header for cell in row].count(label) == 3


def test_arms_without_a_known_response_are_said_to_be_so() -> None:
    results = Results()
    results.add("response.rate.treatment", compared(0.5, math.nan))
    results.add("response.rate.control", not_estimable("proportion", "nobody"))
    said = response_display._rates(results, "Cells", "Sham")
    assert said.endswith("{response.rate.treatment|fraction} with Cells responded, and with Sham no response is known")
    results = Results(not_estimable_row(f"response.rate.{role}") for role in ("treatment", "control"))
    assert response_display._rates(results, "Cells", "Sham") == "The response of no participant is known"


def test_balance_that_cannot_be_measured_is_not_called_balance() -> None:
    said = baseline_display.sentences(Results([not_estimable_row("baseline.age.smd")]))
    assert said["baseline.balance"].text == "No standardised mean difference could be computed."


def not_estimable_row(id: str) -> Result:
    return Results().add(id, not_estimable("proportion", "nobody"))
