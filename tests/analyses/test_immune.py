from __future__ import annotations

import csv
import math
import re
import statistics
from collections.abc import Callable
from pathlib import Path
from string import Formatter

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from respine.analyses import immune
from respine.analyses.study import Study
from respine.display import immune as display
from respine.display.numbers import format_result
from respine.results import Result, Results
from respine.trial.response import responses
from tests.analyses.conftest import SHIPPED, study_of
from tests.builders import put, row_of, tiny_tables, tiny_trial

LABELS = {"treatment": "BM-MSC", "control": "Sham"}


def spoken(results: Results, text: str) -> str:
    """A statement with its numbers printed."""
    printed = ""
    for literal, reference, _, _ in Formatter().parse(text):
        id, _, part = (reference or "").partition("|")
        printed += literal + (format_result(results[id], part or "value") if id else "")
    return printed.replace("\u00a0", " ")


def shipped_tests() -> dict[str, dict[tuple[str, int], str]]:
    """By participant: (class, month) -> result, as the shipped file has them."""
    tests: dict[str, dict[tuple[str, int], str]] = {}
    with (SHIPPED / "adis.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if row["AVALC"]:
                tests.setdefault(row["USUBJID"], {})[row["PARAMCD"], int(row["AVISITN"])] = row["AVALC"]
    return tests


def arms() -> dict[str, str]:
    """Arm received by each treated participant of the shipped file."""
    with (SHIPPED / "adsl.csv").open(encoding="utf-8") as file:
        return {row["USUBJID"]: row["TRT01A"] for row in csv.DictReader(file) if row["TRT01A"]}


def either(tests: dict[tuple[str, int], str], month: int) -> str:
    found = [tests.get((code, month), "") for code in ("DSA1", "DSA2")]
    return "POSITIVE" if "POSITIVE" in found else "" if "" in found else "NEGATIVE"


def test_positives_are_counted_as_in_the_file(shipped: Study) -> None:
    results, tests, received = immune.analyse(shipped), shipped_tests(), arms()
    for role, label in LABELS.items():
        people = [id for id, arm in received.items() if arm == label]
        for month in (0, 1, 3, 6):
            for name, result_of in {
                "dsa1": lambda t, m: t.get(("DSA1", m), ""),
                "dsa2": lambda t, m: t.get(("DSA2", m), ""),
                "either": either,
            }.items():
                known = [r for r in (result_of(tests.get(id, {}), month) for id in people) if r]
                result = results[f"immune.{name}.m{month}.{role}"]
                positive = known.count("POSITIVE")
                assert (result.n, result.value) == (len(known), pytest.approx(positive / len(known)))
                exact = stats.binomtest(positive, len(known)).proportion_ci(method="exact")
                assert (result.lower, result.upper) == pytest.approx((exact.low, exact.high), abs=1e-9)


def test_new_positives_are_counted_as_in_the_file(shipped: Study) -> None:
    results, tests, received = immune.analyse(shipped), shipped_tests(), arms()
    counts = []
    for role, label in LABELS.items():
        new = at_risk = 0
        for id, arm in received.items():
            by_month = [either(tests.get(id, {}), month) for month in (0, 1, 3, 6)]
            if arm == label and by_month[0] == "NEGATIVE" and any(by_month[1:]):
                at_risk += 1
                new += "POSITIVE" in by_month[1:]
        result = results[f"immune.new.either.{role}"]
        assert (result.n, result.value) == (at_risk, pytest.approx(new / at_risk))
        counts.append((new, at_risk))
    difference = results["immune.new.either.difference"]
    (x1, n1), (x0, n0) = counts
    wilson = [stats.binomtest(x, n).proportion_ci(method="wilson") for x, n in counts]
    p1, p0 = x1 / n1, x0 / n0
    lower = p1 - p0 - math.hypot(p1 - wilson[0].low, wilson[1].high - p0)
    upper = p1 - p0 + math.hypot(wilson[0].high - p1, p0 - wilson[1].low)
    assert (difference.value, difference.lower, difference.upper) == pytest.approx((p1 - p0, lower, upper), abs=1e-9)
    assert (difference.n_treatment, difference.n_control) == (n1, n0)


def test_intensities_are_quantiles_of_type_7(shipped: Study) -> None:
    received, wanted = arms(), ("DSA2", "3", "Sham")
    with (SHIPPED / "adis.csv").open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["AVAL"]]
    of = [(row["PARAMCD"], row["AVISITN"], received.get(row["USUBJID"])) for row in rows]
    values = [float(row["AVAL"]) for row, key in zip(rows, of, strict=True) if key == wanted]
    results = immune.analyse(shipped)
    found = [results[f"immune.mfi.dsa2.m3.{q}.control"] for q in ("q1", "median", "q3")]
    assert [r.value for r in found] == pytest.approx(statistics.quantiles(values, n=4, method="inclusive"))
    assert {r.n for r in found} == {len(values)}


def test_response_by_status_adds_up_to_the_known_responses(shipped: Study) -> None:
    results = immune.analyse(shipped)
    people = shipped.trial.participants("SAF")
    group = pd.Series(immune.status(immune.positivity(shipped, people)["either"]), index=people.index)
    known = responses(shipped.trial, shipped.parameters)
    known = known[(known["AVISITN"] == 12) & known["RESPONSE"].notna()].set_index("USUBJID")["RESPONSE"]
    known = known[known.index.isin(group[group != ""].index)]
    overall = [results[f"immune.response.{status}.overall"] for status in immune.STATUSES]
    assert sum(r.n or 0 for r in overall) == len(known)
    assert sum(r.value * (r.n or 0) for r in overall if r.estimable) == pytest.approx(known.sum())
    for status in immune.STATUSES:
        by_arm = [results[f"immune.response.{status}.{role}"].n or 0 for role in immune.ROLES]
        assert sum(by_arm) == results[f"immune.response.{status}.overall"].n


@pytest.mark.parametrize(
    ("by_month", "expected"),
    [
        ([0, 0, 0, 0], "never"),
        ([0, np.nan, np.nan, 0], "never"),
        ([0, np.nan, 1, 0], "new"),
        ([1, 0, 0, 0], "baseline"),
        ([1, np.nan, np.nan, np.nan], "baseline"),
        ([0, np.nan, np.nan, np.nan], ""),
        ([np.nan, 1, 1, 1], ""),
    ],
)
def test_status_needs_a_baseline_and_a_later_test(by_month: list[float], expected: str) -> None:
    assert immune.status(np.array([by_month]))[0] == expected


def test_one_positive_class_is_enough_and_both_must_be_negative(tmp_path: Path) -> None:
    table = tiny_tables()["adis"]
    table = table[~((table["PARAMCD"] == "DSA2") & (table["AVISITN"] == "0"))]  # class II unknown before the injection
    row = row_of(table.reset_index(drop=True), USUBJID="T-002", PARAMCD="DSA1", AVISITN="0")
    table = put(row, AVAL="5000", AVALC="POSITIVE")(table.reset_index(drop=True))
    study = study_of(tiny_trial(tmp_path, adis=table))
    people = study.trial.participants("SAF")
    first = pd.Series(immune.positivity(study, people)["either"][:, 0], index=people.index)
    assert first["T-002"] == 1
    assert first.drop("T-002").isna().all()


def test_arms_are_those_received(tmp_path: Path) -> None:
    """T-001 was allocated to the treatment and received the control."""
    study = study_of(tiny_trial(tmp_path, adsl=put(2, TRT01A="Sham")))
    results = immune.analyse(study)
    assert [results[f"immune.tested.{role}"].value for role in immune.ROLES] == [6, 8]


def test_swapping_the_arms_turns_the_difference_round(tmp_path: Path) -> None:
    results = immune.analyse(study_of(tiny_trial(tmp_path / "a")))
    swapped = tiny_trial(tmp_path / "b", dataset={"treatment": "Sham", "control": "BM-MSC"})
    turned = immune.analyse(study_of(swapped))["immune.new.either.difference"]
    difference = results["immune.new.either.difference"]
    assert difference.value > 0
    assert (turned.value, turned.lower, turned.upper) == pytest.approx(
        (-difference.value, -difference.upper, -difference.lower)
    )


def test_every_result_stands_in_its_place(shipped: Study) -> None:
    for result in immune.analyse(shipped).values():
        assert result.analysis == "Immune response"
        assert result.set == "SAF"
        assert result.arm in ("treatment", "control", "difference", "overall")
        assert result.method
        assert result.statistic != "proportion" or result.level == 0.95


def everything_shown(results: Results, study: Study) -> str:
    """All outputs of the chapter in one text; making them is a test of its own."""
    level = study.parameters.level
    tables = [
        display.new_table(results, study.arms, level),
        display.positivity_table(results, study.arms, level),
        display.response_table(results, study.arms, study.parameters.primary_month, level),
    ]
    drawn = display.fluorescence_figure(results, study.arms)
    assert drawn.svg.startswith("<svg")
    assert all(id in results for item in (*tables, drawn) for id in item.results)
    said = display.sentences(results, study)
    text = "\n".join(spoken(results, s.text) for s in said.values())
    for item in (*tables, drawn):
        item.bundle()
    return "\n".join([text, *(t.to_csv() for t in tables), drawn.caption, drawn.alt])


@pytest.mark.parametrize("which", ["shipped", "effect", "tiny"])
def test_all_is_shown_without_an_unflagged_number(which: str, request: pytest.FixtureRequest) -> None:
    study: Study = request.getfixturevalue(which)
    text = everything_shown(immune.analyse(study), study)
    assert not re.search(r"\bnan\b|\binf\b|None", text)


def test_hostile_labels_stay_text(effect: Study) -> None:
    results = immune.analyse(effect)
    said = display.sentences(results, effect)
    assert "Cells <b>{{a.b}}</b>" in said["immune.key"].text
    html = display.new_table(results, effect.arms, 0.95).bundle()[0]["text/html"]
    assert "<b>{a.b}" not in html
    assert "Cells &lt;b&gt;{a.b}&lt;/b&gt;" in html.replace("&#123;", "{")  # a brace may be written as a reference


def test_without_antibody_data_all_says_so(simulated: Callable[..., Study]) -> None:
    study = simulated(31, n_treatment=8, n_control=8, without=frozenset({"adis"}))
    results = immune.analyse(study)
    text = everything_shown(results, study)
    assert {s.text for s in display.sentences(results, study).values()} == {
        "No data on donor-specific antibodies are available."
    }
    assert display.positivity_table(results, study.arms, 0.95).rows[0].stub == "No data"
    assert display.fluorescence_figure(results, study.arms).alt == "No data on donor-specific antibodies."
    assert not re.search(r"\bnan\b", text)


def test_an_arm_without_tests_is_said_to_be_so(tmp_path: Path) -> None:
    odd = {f"T-{i:03d}" for i in range(1, 16, 2)}  # the treatment arm
    study = study_of(tiny_trial(tmp_path, adis=lambda table: table[table["USUBJID"].isin(odd)]))
    results = immune.analyse(study)
    assert results["immune.new.either.control"].note == "not estimable: nobody tested"
    text = everything_shown(results, study)
    assert "(nobody was tested with Sham). The difference was not estimable" in text
    assert "The arms cannot be compared." in text


def test_nobody_tested_after_the_injection_is_one_sentence(tmp_path: Path) -> None:
    study = study_of(tiny_trial(tmp_path, adis=lambda table: table[table["AVISITN"] == "0"]))
    said = display.sentences(immune.analyse(study), study)
    nobody = "Nobody who was without donor-specific antibodies before the injection was tested later."
    assert said["immune.key"].text == said["immune.abstract"].text == nobody
    assert "were present in {immune.either.m0" in said["immune.baseline"].text


def test_nobody_tested_before_the_injection_is_said(tmp_path: Path) -> None:
    study = study_of(tiny_trial(tmp_path, adis=lambda table: table[table["AVISITN"] != "0"]))
    said = display.sentences(immune.analyse(study), study)
    assert said["immune.baseline"].text == "Nobody was tested before the injection."


def test_an_intensity_of_zero_is_drawn_at_the_end_of_the_axis(tmp_path: Path) -> None:
    study = study_of(tiny_trial(tmp_path, adis=lambda table: table.assign(AVAL="0", AVALC="NEGATIVE")))
    results = immune.analyse(study)
    assert results["immune.mfi.dsa1.m6.median.control"].value == 0
    drawn = display.fluorescence_figure(results, study.arms)
    assert drawn.caption.endswith("Values under 1, 0 among them, are drawn at 1.")


def made_up(new: tuple[float, float, float], responders: tuple[float, float] = (0.5, 0.6)) -> Results:
    """Results with a difference (value, lower, upper) and response of the newly positive and the negative."""
    results = Results()

    def add(id: str, value: float, **more: object) -> None:
        note = "" if value == value else "not estimable: no participants"
        results.append(Result(id=f"immune.{id}", value=value, note=note, method="made up", **more))

    for role in immune.ROLES:
        add(f"tested.{role}", 10, statistic="count")
        for name in ("new.either", "either.m0"):
            add(f"{name}.{role}", 0.5, statistic="proportion", unit="proportion", n=10)
    interval = {"lower": new[1], "upper": new[2], "level": 0.95, "unit": "proportion"}
    add("new.either.difference", new[0], statistic="risk difference", **interval)
    for name, value in zip(("new", "never"), responders, strict=True):
        add(f"response.{name}.overall", value, statistic="proportion", unit="proportion", n=10)
    return results


@pytest.mark.parametrize(
    ("new", "words"),
    [
        ((0.2, 0.1, 0.3), "antibodies appeared more often with BM-MSC than with Sham."),
        ((-0.2, -0.3, -0.1), "antibodies appeared more often with Sham than with BM-MSC."),
        ((0.05, -0.1, 0.2), "includes zero and excludes an excess with BM-MSC beyond 20.0 percentage points."),
        ((math.nan, math.nan, math.nan), "The arms cannot be compared."),
    ],
)
def test_what_is_said_of_new_antibodies_follows_from_the_interval(
    shipped: Study, new: tuple[float, float, float], words: str
) -> None:
    results = made_up(new)
    said = display.sentences(results, shipped)
    for name in ("key", "abstract"):
        assert spoken(results, said[f"immune.{name}"].text).endswith(words)


@pytest.mark.parametrize(
    ("responders", "sentence"),
    [
        (
            (0.5, 0.6),
            "Responders were 5 of 10 (50%) of the newly positive and 6 of 10 (60%) of those negative throughout.",
        ),
        ((math.nan, 0.6), "No participant with new antibodies has a known response."),
        (
            (0.5, math.nan),
            "Responders were 5 of 10 (50%) of the newly positive; no response is known of those negative throughout.",
        ),
    ],
)
def test_what_is_said_of_response_follows_from_who_is_known(
    shipped: Study, responders: tuple[float, float], sentence: str
) -> None:
    results = made_up((0.1, -0.1, 0.3), responders)
    assert spoken(results, display.sentences(results, shipped)["immune.response"].text) == sentence
