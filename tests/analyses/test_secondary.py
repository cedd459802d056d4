"""The questionnaire scores against R's own derivation of the same raw tables, on other trials, and at the edges."""

from __future__ import annotations

import dataclasses
import json
import math
import re
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from respine.analyses import anova, secondary
from respine.analyses.study import Study
from respine.display import anova as anova_display
from respine.display import mcid
from respine.display import secondary as display
from respine.display.numbers import format_result
from respine.results import Estimate, Result, Results
from tests.analyses.conftest import study_of
from tests.builders import Tables, tiny_trial

REFERENCE = Path(__file__).parents[1] / "reference" / "secondary"
ANSWERS = json.loads((REFERENCE / "answers.json").read_text())
VISITS = ("m1", "m3", "m6", "primary", "m24")
ROLES = ("treatment", "control")


@pytest.fixture(scope="module")
def study() -> Study:
    return study_of(REFERENCE / "data")


@pytest.fixture(scope="module")
def results(study: Study) -> Results:
    return secondary.analyse(study)


@pytest.fixture(scope="module")
def compared(study: Study) -> Results:
    return anova.analyse(study)


def said(statements: Results, id: str, results: Results) -> str:
    """A statement with its numbers printed."""

    def number(match: re.Match[str]) -> str:
        if len(match.group()) == 2:
            return match.group()[0]
        name, _, part = match.group()[1:-1].partition("|")
        return format_result(results[name], part or "value")

    return re.sub(r"\{\{|\}\}|\{[^{}]*\}", number, statements[id].text)


def shown(results: Results, compared: Results, study: Study) -> list[Any]:
    """Every table of the scores."""
    arms, level, month = study.arms, study.parameters.level, study.parameters.primary_month
    return [
        display.scores_table(results, arms, level, month),
        display.visits_table(results, arms, level, display.SUMMARIES, "tbl-a"),
        display.visits_table(results, arms, level, display.SCALES, "tbl-b"),
        mcid.important_table(results, study),
        anova_display.anova_table(compared, arms),
        anova_display.pairwise_table(compared, arms),
    ]


# Against R.


@pytest.mark.parametrize("code", ANSWERS["scores"])
def test_mixed_models_equal_those_of_nlme(results: Results, code: str) -> None:
    answer = ANSWERS["scores"][code]
    names = dict(zip(("1", "3", "6", "12", "24"), VISITS, strict=True))
    for row in answer["lsmeans"] + [d | {"arm": "difference"} for d in answer["differences"]]:
        r = results[f"secondary.{code.lower()}.{names[row['visit']]}.{row['arm']}"]
        assert r.value == pytest.approx(row["value"], rel=1e-4, abs=1e-4)
        assert r.se == pytest.approx(row["se"], rel=5e-4)
        assert r.method.startswith("MMRM, unstructured")
    for visit, g in zip(VISITS, answer["g"], strict=True):
        assert results[f"secondary.{code.lower()}.{visit}.g"].value == pytest.approx(g, rel=1e-9)


@pytest.mark.parametrize("code", ANSWERS["scores"])
def test_important_improvement_is_counted_as_in_r(results: Results, code: str) -> None:
    names = dict(zip(("1", "3", "6", "12", "24"), VISITS, strict=True))
    rates: dict[str, dict[str, float]] = {}
    for row in ANSWERS["scores"][code]["important"]:
        r = results[f"secondary.mcid.{code.lower()}.{names[row['VISIT']]}.{row['ARM']}"]
        assert (r.value * r.n, r.n) == (pytest.approx(row["x"]), row["n"])
        rates.setdefault(row["VISIT"], {})[row["ARM"]] = row["x"] / row["n"]
    for visit, by_arm in rates.items():
        difference = results[f"secondary.mcid.{code.lower()}.{names[visit]}.difference"]
        assert difference.value == pytest.approx(by_arm["treatment"] - by_arm["control"])


def test_holm_by_its_definition(results: Results) -> None:
    raw = {code: results[f"secondary.{code.lower()}.primary.difference"].p for code in ANSWERS["scores"]}
    adjusted, highest = {}, 0.0
    for k, code in enumerate(sorted(raw, key=lambda c: raw[c])):
        highest = max(highest, min(1.0, (len(raw) - k) * raw[code]))
        adjusted[code] = highest
    for code, p in adjusted.items():
        assert results[f"secondary.{code.lower()}.primary.holm"].p == pytest.approx(p, rel=1e-12)


@pytest.mark.parametrize("code", anova.SCORES)
def test_analysis_of_variance_equals_that_of_r(compared: Results, code: str) -> None:
    answer = ANSWERS["scores"][code]
    for source, rows in answer["anova"].items():
        r = compared[f"secondary.anova.{code.lower()}.{source}"]
        assert r.value == pytest.approx(rows[0]["F value"], rel=1e-8)
        assert r.p == pytest.approx(rows[0]["Pr(>F)"], rel=1e-8)
        assert compared[f"{r.id}.df1"].value == rows[0]["Df"]
        assert r.n == answer["n_complete"]
    for i, visit in enumerate(VISITS):
        t = compared[f"secondary.pairwise.{code.lower()}.{visit}"]
        assert (t.value, t.df, t.p) == (
            pytest.approx(answer["t"][i], rel=1e-8),
            pytest.approx(answer["t_df"][i], rel=1e-8),
            pytest.approx(answer["t_p"][i], rel=1e-8),
        )
        assert math.copysign(1, compared[f"{t.id}.g"].value) == math.copysign(1, t.value)


# Rules.


def test_scores_that_the_data_lack_are_left_out_and_named(study: Study, results: Results) -> None:
    assert display.available(results) == ["VASPAIN", "ODI", "SF36PCS"]
    text = display.sentences(results, study)["secondary.available"].text
    assert "SF-36 mental component" in text
    assert "SF-36 physical component" not in text
    assert not results.select("secondary.sf36mcs")


def test_no_test_is_made_within_an_arm(results: Results, compared: Results) -> None:
    assert all(math.isnan(r.p) for r in results.values() if r.arm in ROLES)
    assert all(r.method for r in [*results.values(), *compared.values()])


def test_improvement_is_a_fall_of_pain_and_a_rise_of_quality_of_life(study: Study) -> None:
    assert [secondary.important_change(study, code) for code in secondary.SUMMARIES] == [-20, -10, 5, 5]
    least = study_of(REFERENCE / "data", mcid_vas_mm=0.1, mcid_odi_points=90, mcid_sf36=99)
    results = secondary.analyse(least)
    assert results["secondary.mcid.vaspain.primary.treatment"].value > 0.9
    assert results["secondary.mcid.odi.primary.treatment"].value == 0
    assert results["secondary.mcid.sf36pcs.primary.treatment"].value == 0


def test_a_change_of_exactly_the_important_difference_counts(tmp_path: Path) -> None:
    def decimals(table: pd.DataFrame) -> pd.DataFrame:
        table = table[table["PARAMCD"].isin(["VASPAIN", "ODI"])].copy()
        vas = table["PARAMCD"] == "VASPAIN"
        table.loc[vas, "AVAL"] = table.loc[vas, "AVISITN"].map(lambda v: "60.3" if v == "0" else "40.3")
        return table

    study = study_of(tiny_trial(tmp_path, adqs=decimals))
    results = secondary.analyse(study)
    assert results["secondary.mcid.vaspain.primary.treatment"].value == 1


def test_the_primary_visit_is_a_parameter() -> None:
    study = study_of(REFERENCE / "data", primary_month=6)
    results = secondary.analyse(study)
    assert results["secondary.vaspain.primary.difference"].visit == 6
    assert "secondary.vaspain.m12.difference" in results
    assert "secondary.vaspain.m6.difference" not in results


def test_swapping_the_arms_flips_the_signs(results: Results, tmp_path: Path) -> None:
    swapped = secondary.analyse(study_of_swapped(tmp_path))
    for id, r in results.items():
        if r.arm == "difference" and r.estimable and not id.endswith("holm"):
            assert swapped[id].value == pytest.approx(-r.value, rel=1e-6, abs=1e-6)


def study_of_swapped(folder: Path) -> Study:
    for file in (REFERENCE / "data").iterdir():
        (folder / file.name).write_text(file.read_text())
    text = (folder / "dataset.yml").read_text() + "treatment: Sham\ncontrol: BM-MSC\n"
    (folder / "dataset.yml").write_text(text)
    return study_of(folder)


# Sentences.


def adjusted(p: dict[str, float], values: dict[str, float] | None = None) -> Results:
    """Hand-made results: Holm's p-value and the difference of some scores."""
    results = Results()
    for code, value in p.items():
        difference = Estimate(
            statistic="LS mean difference", value=(values or {}).get(code, -3.0), lower=-5, upper=1, level=0.95,
            p=0.2, n_treatment=20, n_control=21, method="MMRM", unit="mm",
        )  # fmt: skip
        context = {"parameter": code, "visit": 12, "arm": "difference"}
        results.add(f"secondary.{code.lower()}.primary.difference", difference, **context)
        missing = "not estimable: the score has no p-value" if math.isnan(value) else ""
        holm = Estimate(statistic="p-value", value=value, p=value, method="Holm", note=missing)
        results.add(f"secondary.{code.lower()}.primary.holm", holm, **context)
    return results


@pytest.mark.parametrize(
    ("p", "values", "text", "any_difference"),
    [
        ({}, {}, "No questionnaire score could be compared at month 12.", None),
        ({"ODI": math.nan}, {}, "No questionnaire score could be compared", None),
        (
            {"VASPAIN": 0.4, "ODI": 0.06},
            {},
            "over 2 questionnaire scores no difference was shown at month 12 (smallest adjusted p = 0.060)",
            False,
        ),
        (
            {"VASPAIN": 0.05, "ODI": 0.2, "SF36PCS": 0.01},
            {"SF36PCS": -2.0},
            "2 of 3 questionnaire scores differed at month 12: pain (VAS) in favour of Drug {x}; "
            "SF-36 physical component in favour of Sham.",
            True,
        ),
        (
            {"VASPAIN": 0.01, "SF36PCS": 0.01},
            {"SF36PCS": 2.0},
            "both questionnaire scores differed at month 12, in favour of Drug {x}.",
            True,
        ),
        (
            {"VASPAIN": 0.01},
            {"VASPAIN": 4.0},
            "the one questionnaire score differed at month 12, in favour of Sham.",
            True,
        ),
    ],
)
def test_the_key_finding_follows_the_adjusted_p_values(
    tmp_path: Path, p: dict[str, float], values: dict[str, float], text: str, any_difference: bool | None
) -> None:
    study = study_of(tiny_trial(tmp_path, treatment="Drug {x}"))
    results = adjusted(p, values)
    statements = display.sentences(results, study)
    assert text in said(statements, "secondary.key", results).replace("\u00a0", " ")
    assert secondary.any_difference(results, 0.05) is any_difference


def test_models_are_named_where_they_differ(study: Study, results: Results) -> None:
    assert display.sentences(results, study)["secondary.models"].text.startswith("The same model")
    other = Results(
        r.replace(method="MMRM, heterogeneous Toeplitz covariance") if r.parameter == "ODI" else r
        for r in results.values()
    )
    text = said(display.sentences(other, study), "secondary.models", other)
    assert "Toeplitz covariance for disability (ODI)" in text
    notes = display.scores_table(other, study.arms, 0.95, 12).notes
    assert "MMRM, heterogeneous Toeplitz covariance: disability (ODI)." in notes
    assert "No mixed model" in display.sentences(Results(), study)["secondary.models"].text


# Other trials and degenerate data.


def test_a_clear_effect_is_said(effect: Study) -> None:
    results = secondary.analyse(effect)
    assert secondary.any_difference(results, 0.05) is True
    text = said(display.sentences(results, effect), "secondary.key", results)
    assert "in favour of Cells <b>{a.b}</b>" in text
    assert results["secondary.vaspain.primary.difference"].upper < 0
    for item in (*shown(results, anova.analyse(effect), effect), display.course_figure(results, effect)):
        item.bundle()


def test_every_statement_can_be_printed(study: Study, results: Results, tiny: Study) -> None:
    for trial, found in ((study, results), (tiny, secondary.analyse(tiny))):
        for statements in (display.sentences(found, trial), mcid.sentences(found, trial)):
            for id in statements:
                text = said(statements, id, found)
                assert text.endswith(".")
                assert "nan" not in text.lower().split()


def change_scores(rule: Callable[[pd.DataFrame], Any]) -> Callable[[pd.DataFrame], pd.DataFrame]:
    """Three of the scores, and of their rows those that the rule keeps."""
    return lambda table: table[rule(table) & table["PARAMCD"].isin(ANSWERS["scores"])]


def in_arm(table: pd.DataFrame, remainder: int) -> pd.Series:
    """Rows of one arm of the tiny trial, whose participants alternate."""
    return table["USUBJID"].str[-3:].astype(int) % 2 == remainder


DEGENERATE: dict[str, Tables | dict[str, Any]] = {
    "no value after baseline": {"adqs": change_scores(lambda t: t["AVISITN"] == "0")},
    "no primary visit": {"adqs": change_scores(lambda t: t["AVISITN"] != "12")},
    "one visit": {"adqs": change_scores(lambda t: t["AVISITN"].isin(["0", "12"]))},
    "an arm empty at the primary visit": {
        "adqs": change_scores(lambda t: ~((t["AVISITN"] == "12") & in_arm(t, 0))),
    },
    "an arm empty at every visit": {
        "adqs": change_scores(lambda t: ~((t["AVISITN"] != "0") & in_arm(t, 0))),
    },
    "one participant": {"adqs": change_scores(lambda t: (t["AVISITN"] == "0") | (t["USUBJID"] == "T-001"))},
    "constant values": {"adqs": lambda t: t[t["PARAMCD"].isin(ANSWERS["scores"])].assign(AVAL="50")},
    "constant in one arm": {
        "adqs": lambda t: t[t["PARAMCD"].isin(ANSWERS["scores"])].assign(AVAL=t["AVAL"].where(in_arm(t, 0), "50"))
    },
    "one country": {
        "adsl": lambda t: t.assign(COUNTRY="FRA"),
        "adqs": change_scores(lambda t: t["AVAL"] != ""),
    },
}
# Drawing takes longest.
DRAWN = ("no value after baseline", "an arm empty at every visit", "constant values")


@pytest.mark.parametrize("case", DEGENERATE)
def test_degenerate_data_give_numbers_or_reasons(case: str, tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    study = study_of(tiny_trial(tmp_path, **DEGENERATE[case]))
    results, compared = secondary.analyse(study), anova.analyse(study)
    numbers = {f.name for f in fields(Result)} & {"value", "lower", "upper", "se"}
    for r in [*results.values(), *compared.values()]:
        assert r.estimable or r.note.startswith("not estimable"), r
        assert not any(math.isinf(getattr(r, name)) for name in numbers), r
    assert all(table.rows for table in shown(results, compared, study))
    if case in DRAWN:
        assert display.course_figure(results, study).alt
    for statements in (display.sentences(results, study), mcid.sentences(results, study)):
        assert all(said(statements, id, results).strip() for id in statements)
    assert not [w for w in recwarn if "respine" in str(w.filename)]


def test_an_arm_empty_at_a_visit_leaves_the_other_visits(tmp_path: Path) -> None:
    study = study_of(tiny_trial(tmp_path, per_arm=10, **DEGENERATE["an arm empty at the primary visit"]))
    results = secondary.analyse(study)
    assert not results["secondary.vaspain.primary.difference"].estimable
    assert results["secondary.vaspain.m6.difference"].estimable
    assert secondary.any_difference(results, 0.05) is None
    assert "in pain and disability could not be estimated" in display.sentences(results, study)["secondary.key"].text
    assert not anova.analyse(study)["secondary.anova.vaspain.interaction"].estimable


def test_participants_who_keep_their_distance_have_no_mixed_anova(simulated: Callable[..., Study]) -> None:
    study = simulated(8, n_treatment=9, n_control=7)
    adqs = study.trial.adqs.assign(CHG=lambda t: (5 * t["AVISITN"] - t["BASE"]).where(t["AVISITN"] > 0))
    study = dataclasses.replace(study, trial=dataclasses.replace(study.trial, adqs=adqs))
    results = anova.analyse(study)
    for code in anova.SCORES:
        note = results[f"secondary.anova.{code.lower()}.interaction"].note
        assert note == "not estimable: from visit to visit all participants of an arm change by the same amount"
    assert not any("Pingouin warned" in r.note for r in results.values())
