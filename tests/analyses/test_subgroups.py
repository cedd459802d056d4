"""Subgroups of response against R's own derivation of the same raw tables, and at the edges."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from respine.analyses import subgroups
from respine.analyses.response import Counts
from respine.analyses.study import Study
from respine.display import subgroups as display
from respine.results import Estimate, Results, not_estimable
from tests.analyses.conftest import study_of
from tests.analyses.test_secondary import ANSWERS, REFERENCE, ROLES, said
from tests.builders import tiny_trial, without


@pytest.fixture(scope="module")
def study() -> Study:
    return study_of(REFERENCE / "data")


@pytest.fixture(scope="module")
def results(study: Study) -> Results:
    return subgroups.analyse(study)


def show_all(results: Results, study: Study) -> None:
    display.forest_figure(results, study)
    display.subgroups_table(results, study.arms, study.parameters.level, study.parameters.primary_month)


@pytest.mark.parametrize("name", ANSWERS["interaction"])
def test_counts_and_interactions_equal_those_of_r(results: Results, name: str) -> None:
    answer = ANSWERS["interaction"][name]
    cut = subgroups.SUBGROUPS[name.upper()].cut
    tally: dict[tuple[str, str], list[int]] = {}
    for row in answer["counts"]:
        level = row["g"].lower() if cut is None else {"FALSE": f"lt{cut}", "TRUE": f"ge{cut}"}[row["g"]]
        x, n = tally.setdefault((level, row["arm"]), [0, 0])
        tally[level, row["arm"]] = [x + row["n"] * (row["y"] == "TRUE"), n + row["n"]]
    for (level, arm), (x, n) in tally.items():
        rate = results[f"subgroups.{name}.{level}.{arm}"]
        assert (rate.value * rate.n, rate.n) == (pytest.approx(x), n)
    interaction = results[f"subgroups.{name}.interaction"]
    if answer["separated"]:
        assert interaction.method.startswith("Breslow-Day")
        assert "Breslow-Day" in interaction.note or not interaction.estimable
    else:
        assert interaction.method == subgroups.LIKELIHOOD_RATIO
        assert interaction.p == pytest.approx(answer["p"], rel=1e-6)


def test_levels_sum_to_all_participants(results: Results) -> None:
    for name in subgroups.SUBGROUPS:
        levels = subgroups.levels(results, name)
        for role in ROLES:
            n = sum(results[f"subgroups.{name.lower()}.{level}.{role}"].n or 0 for level in levels)
            assert n == results[f"subgroups.overall.{role}"].n


def test_equal_odds_ratios_leave_nothing_to_test() -> None:
    same = {"a": Counts(10, 20, 5, 15), "b": Counts(20, 40, 10, 30), "c": Counts(5, 10, 2, 6)}
    found = subgroups.interaction_test(same)
    assert (found.p, found.df) == (pytest.approx(1.0, abs=1e-6), 2)
    order = dict(reversed(same.items()))
    assert subgroups.interaction_test(order).p == pytest.approx(found.p, abs=1e-6)


def test_swapping_the_arms_changes_no_interaction() -> None:
    tables = {"a": Counts(3, 20, 9, 15), "b": Counts(22, 40, 11, 30)}
    swapped = {level: Counts(*c[2:], *c[:2]) for level, c in tables.items()}
    assert subgroups.interaction_test(swapped).p == pytest.approx(subgroups.interaction_test(tables).p, rel=1e-9)


@pytest.mark.parametrize(
    ("tables", "method", "note"),
    [
        ({}, "likelihood", "fewer than two levels"),
        ({"a": Counts(3, 20, 9, 15)}, "likelihood", "fewer than two levels"),
        ({"a": Counts(3, 20, 9, 15), "b": Counts(4, 9, 0, 0)}, "likelihood", "fewer than two levels"),
        ({"a": Counts(3, 20, 9, 15), "b": Counts(4, 4, 3, 3)}, "likelihood", "fewer than two levels"),
        (
            {"a": Counts(3, 20, 9, 15), "b": Counts(4, 4, 3, 3), "c": Counts(4, 9, 5, 8)},
            "likelihood",
            "1 of 3 levels without information",
        ),
        ({"a": Counts(3, 20, 9, 15), "b": Counts(0, 8, 3, 9)}, "Breslow-Day", "all or no responders"),
        ({"a": Counts(0, 20, 9, 15), "b": Counts(0, 8, 3, 9)}, "Breslow-Day", "common odds ratio is 0"),
    ],
)
def test_levels_without_information_and_separation(tables: dict[str, Counts], method: str, note: str) -> None:
    found = subgroups.interaction_test(tables)
    assert found.method.startswith(method)
    assert note in found.note


def test_only_the_chosen_subgroups_are_analysed() -> None:
    study = study_of(REFERENCE / "data", subgroups=("AGE", "SEX"))
    results = subgroups.analyse(study)
    assert display.tested(results) == ["AGE", "SEX"]
    none = study_of(REFERENCE / "data", subgroups=())
    results = subgroups.analyse(none)
    assert "No interaction" in display.sentences(results, none)["subgroups.key"].text
    show_all(results, none)


def test_no_p_value_stands_beside_a_level(results: Results) -> None:
    assert all(r.p != r.p for r in results.values() if not r.id.endswith(".interaction"))
    assert all(r.method for r in results.values())


# Sentences.


def interactions(**p: float | None) -> Results:
    results = Results()
    for name, value in p.items():
        estimate = (
            not_estimable("p-value", "one level", method="test")
            if value is None
            else Estimate(statistic="p-value", value=value, p=value, method="test")
        )
        results.add(f"subgroups.{name}.interaction", estimate, parameter=name.upper())
    return results


@pytest.mark.parametrize(
    ("p", "text"),
    [
        ({"sex": None}, "No interaction of treatment and subgroup could be tested at month 12."),
        ({"sex": 0.3, "age": 0.06}, "In 2 interaction tests for response at month 12 no dependence"),
        ({"sex": 0.3, "age": 0.06, "bmi": None}, "(smallest p = 0.060, not adjusted"),
        ({"sex": 0.3, "age": 0.04}, "Of 2 interaction tests for response at month 12, 1 suggested"),
        ({"modic": 0.01, "age": 0.04}, "subgroup: Modic type (p = 0.010) and age (p = 0.040), not adjusted"),
    ],
)
def test_the_key_finding_follows_the_interactions(study: Study, p: dict[str, float | None], text: str) -> None:
    results = interactions(**p)
    assert text in said(display.sentences(results, study), "subgroups.key", results).replace("\u00a0", " ")


# Other trials and degenerate data.


def test_other_labels_stay_text(effect: Study) -> None:
    results = subgroups.analyse(effect)
    figure = display.forest_figure(results, effect)
    assert "Cells <b>{a.b}</b>" in figure.caption
    show_all(results, effect)


def half(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(SEX=["F" if arm == "Sham" else "M" for arm in table["TRT01P"]])


def constant(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(AVAL="50")


def at_baseline(table: pd.DataFrame) -> pd.DataFrame:
    return table[table["AVISITN"] == "0"]


@pytest.mark.parametrize(
    "changes",
    [
        {"adsl": half},
        {"adsl": without("MODICBL", "PFIRRBL", "HEIGHTBL")},
        {"adqs": constant},
        {"adqs": at_baseline},
    ],
    ids=["a sex an arm", "columns missing", "no responder", "no response known"],
)
def test_degenerate_data_give_numbers_or_reasons(changes: dict[str, object], tmp_path: Path) -> None:
    study = study_of(tiny_trial(tmp_path, **changes))  # type: ignore[arg-type]
    results = subgroups.analyse(study)
    for r in results.values():
        assert r.estimable or r.note.startswith("not estimable"), r
    statements = display.sentences(results, study)
    assert said(statements, "subgroups.key", results).endswith(".")
    show_all(results, study)


def test_a_level_without_a_participant_in_an_arm_is_not_estimable(tmp_path: Path) -> None:
    results = subgroups.analyse(study_of(tiny_trial(tmp_path, adsl=half)))
    assert not results["subgroups.sex.f.difference"].estimable
    assert not results["subgroups.sex.interaction"].estimable


def test_missing_values_are_counted(tmp_path: Path) -> None:
    def some(table: pd.DataFrame) -> pd.DataFrame:
        return table.assign(MODICBL=["" if i < 3 else v for i, v in enumerate(table["MODICBL"])])

    results = subgroups.analyse(study_of(tiny_trial(tmp_path, adsl=some)))
    assert "participants have no value" in results["subgroups.modic.interaction"].note
