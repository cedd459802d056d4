"""Times to first response and to rescue against R's own derivation of the same raw tables, and at the edges."""

from __future__ import annotations

import math
from pathlib import Path

import pandas as pd
import pytest

from respine.analyses import times
from respine.analyses.study import Study
from respine.display import times as display
from respine.results import Estimate, Results, not_estimable
from tests.analyses.conftest import study_of
from tests.analyses.test_secondary import ANSWERS, REFERENCE, ROLES, said
from tests.builders import tiny_trial


@pytest.fixture(scope="module")
def study() -> Study:
    return study_of(REFERENCE / "data")


@pytest.fixture(scope="module")
def results(study: Study) -> Results:
    return times.analyse(study)


def show_all(results: Results, study: Study) -> None:
    display.times_table(results, study.arms, study.parameters.level).bundle()
    display.reached_table(results, study.arms).bundle()
    display.times_figure(results, times.curves(study), study.arms)


@pytest.mark.parametrize("outcome", times.OUTCOMES)
def test_comparisons_equal_those_of_r(results: Results, outcome: str) -> None:
    answer, prefix = ANSWERS[outcome], f"secondary.time.{outcome}"
    for i, role in enumerate(("control", "treatment")):
        assert results[f"{prefix}.events.{role}"].value == answer["events"][i]
        assert results[f"{prefix}.n.{role}"].value == answer["n"][i]
        mean = results[f"{prefix}.rmst.m12.{role}"]
        assert (mean.value, mean.se) == (pytest.approx(answer["rmst"][i]), pytest.approx(answer["rmst_se"][i]))
        reached = results[f"{prefix}.reached.primary.{role}"]
        assert reached.value == pytest.approx(1 - answer["survival12"][i], abs=1e-9)
        if 0 < reached.value < 1:
            assert reached.lower == pytest.approx(1 - answer["upper12"][i], rel=1e-6)
            assert reached.upper == pytest.approx(1 - answer["lower12"][i], rel=1e-6)
    assert results[f"{prefix}.logrank"].value == pytest.approx(answer["log_rank"], rel=1e-6)
    assert results[f"{prefix}.hr"].value == pytest.approx(answer["hr"], rel=1e-6)
    assert results[f"{prefix}.ph"].p == pytest.approx(answer["ph_p"], rel=1e-6)


def test_numbers_at_risk_begin_with_everybody_and_never_rise(results: Results) -> None:
    for outcome in times.OUTCOMES:
        for role in ROLES:
            n = [results[f"secondary.time.{outcome}.at_risk.m{m}.{role}"].value for m in times.AT_RISK]
            assert n[0] == results[f"secondary.time.{outcome}.n.{role}"].value
            assert n == sorted(n, reverse=True)


def test_the_interval_censored_estimate_keeps_the_known_shares(results: Results) -> None:
    """With every visit attended the likelihood is that of the visits: both estimates agree."""
    for role in ROLES:
        simple = results[f"secondary.time.response.reached.primary.{role}"]
        censored = results[f"secondary.time.response.npmle.primary.{role}"]
        assert censored.value == pytest.approx(simple.value, abs=0.1)
        assert 0 <= censored.value <= 1


def test_a_skipped_visit_widens_the_interval(tmp_path: Path) -> None:
    def only_late(table: pd.DataFrame) -> pd.DataFrame:
        return table[table["AVISITN"].isin(["0", "12", "24"])]

    study = study_of(tiny_trial(tmp_path, adqs=only_late, effect=10))
    results = times.analyse(study)
    assert results["secondary.time.response.width.min"].value == 12
    assert not results["secondary.time.response.npmle.m6.treatment"].estimable
    assert "inside an interval" in results["secondary.time.response.npmle.m6.treatment"].note
    assert display.reached_table(results, study.arms).notes


def test_every_result_names_set_and_method(results: Results) -> None:
    assert all(r.method and r.set for r in results.values())


def test_curves_hold_no_row_of_a_censored_participant(study: Study, results: Results) -> None:
    curves = times.curves(study)
    for (outcome, role), line in curves.groupby(["outcome", "arm"]):
        events = results[f"secondary.time.{outcome}.events.{role}"].value
        assert len(line) <= events + 2
        assert line["share"].is_monotonic_increasing


# Sentences.


def comparison(*, hr: Estimate, p: float, events: tuple[int, int] = (5, 9)) -> Results:
    results = Results()
    for outcome in times.OUTCOMES:
        prefix = f"secondary.time.{outcome}"
        for role, x in zip(ROLES, events, strict=True):
            for name, value in (("n", 20), ("events", x)):
                count = Estimate(statistic="count", value=value, n=20, method="count")
                results.add(f"{prefix}.{name}.{role}", count, arm=role)
        test = (
            not_estimable("log-rank chi-square", "no events", method="log-rank")
            if math.isnan(p)
            else Estimate(statistic="log-rank chi-square", value=4.0, p=p, method="log-rank")
        )
        results.add(f"{prefix}.logrank", test)
        results.add(f"{prefix}.hr", hr)
        results.add(f"{prefix}.ph", hr.replace(statistic="chi-square", p=p))
    for name in ("min", "median", "max"):
        results.add(
            f"secondary.time.response.width.{name}", not_estimable("width", "no response", method="observed intervals")
        )
    return results


def ratio(value: float) -> Estimate:
    return Estimate(statistic="hazard ratio", value=value, lower=value / 2, upper=2 * value, level=0.95, method="Cox")


NO_RATIO = not_estimable("hazard ratio", "no event in one arm", method="Cox")


@pytest.mark.parametrize(
    ("hr", "p", "events", "text"),
    [
        (ratio(2.0), 0.01, (9, 5), "A first response came earlier with BM-MSC (log-rank p = 0.010); hazard ratio 2.00"),
        (ratio(0.5), 0.01, (5, 9), "A rescue came earlier with Sham (log-rank"),
        (ratio(0.9), 0.6, (5, 9), "No difference in the time to rescue was shown (log-rank p = 0.60)"),
        (NO_RATIO, 0.01, (0, 9), "A first response came earlier with Sham"),
        (NO_RATIO, 0.01, (9, 0), "A first response came earlier with BM-MSC"),
        (NO_RATIO, 0.01, (9, 5), "The time to rescue differed between the arms"),
        (NO_RATIO, math.nan, (0, 0), "the arms could not be compared (not estimable: no events)."),
    ],
)
def test_the_sentence_follows_the_log_rank_test(
    study: Study, hr: Estimate, p: float, events: tuple[int, int], text: str
) -> None:
    results = comparison(hr=hr, p=p, events=events)
    statements = display.sentences(results, study)
    assert text in said(statements, "secondary.times", results).replace("\u00a0", " ")
    assert said(statements, "secondary.intervals", results).startswith("No response was seen")
    hazards = said(statements, "secondary.hazards", results)
    if not hr.estimable:
        assert "could not be made" in hazards
    else:
        assert ("an average over time" in hazards) == (p < 0.05)


# Other trials and degenerate data.


def test_an_effect_brings_responses_earlier(effect: Study) -> None:
    results = times.analyse(effect)
    assert results["secondary.time.response.hr"].lower > 1
    assert results["secondary.time.response.rmst.m12.difference"].upper < 0
    text = said(display.sentences(results, effect), "secondary.times", results)
    assert "A first response came earlier with Cells <b>{a.b}</b>" in text
    show_all(results, effect)


def nobody(table: pd.DataFrame) -> pd.DataFrame:
    return table.iloc[:0]


def constant(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(AVAL="50")


def at_baseline(table: pd.DataFrame) -> pd.DataFrame:
    return table[table["AVISITN"] == "0"]


def everybody_at_once(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(AVAL=[value if visit == "0" else "0" for value, visit in table[["AVAL", "AVISITN"]].to_numpy()])


def treatment_alone(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(TRT01A=["" if arm == "Sham" else arm for arm in table["TRT01A"]]).assign(
        TRTSDT=lambda t: t["TRTSDT"].where(t["TRT01A"] != "", ""),
        EOSDY=lambda t: t["EOSDY"].where(t["TRT01A"] != "", ""),
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"adcm": nobody},
        {"adqs": constant},
        {"adqs": at_baseline},
        {"adqs": everybody_at_once, "adcm": nobody},
        {"adsl": treatment_alone},
    ],
    ids=["no rescue", "no response", "no visit", "all respond at once", "an arm never treated"],
)
def test_degenerate_data_give_numbers_or_reasons(changes: dict[str, object], tmp_path: Path) -> None:
    study = study_of(tiny_trial(tmp_path, **changes))  # type: ignore[arg-type]
    results = times.analyse(study)
    for r in results.values():
        assert r.estimable or r.note.startswith("not estimable"), r
    statements = display.sentences(results, study)
    assert all(said(statements, id, results).endswith(".") for id in statements)
    show_all(results, study)
