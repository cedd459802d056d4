from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from functools import cache

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from respine.analyses import operating, response, robustness
from respine.analyses.imputed import completed_responses, pooled_difference
from respine.analyses.missing_data import MISSING, deltas, side_by_side, slug, tipping_id, tipping_point
from respine.analyses.specification import Prepared, Rule, Values
from respine.analyses.study import Study
from respine.display import robustness as display
from respine.display import robustness_figures as figures
from respine.display.outputs import Figure, Table
from respine.parameters import Parameters
from respine.results import NAN, Results, not_estimable
from tests.analyses.conftest import SHIPPED, study_of

Simulate = Callable[..., Study]
STATEMENTS = ("key", "abstract", "missing", "tipping", "rules", "specifications", "operating")


@pytest.fixture(scope="module")
def prepared(shipped: Study) -> Prepared:
    return Prepared.of(shipped)


@pytest.fixture(scope="module")
def analysed(shipped: Study) -> Results:
    return _everything(shipped)


def _everything(study: Study) -> Results:
    results = robustness.analyse(study)
    results.extend(_operating().values())
    return results


@cache
def _operating() -> Results:
    """Simulated once: what it says does not depend on the trial's values."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(operating, "TRIALS", 20)
        return operating.analyse(study_of(SHIPPED))


def _shown(results: Results, study: Study, draw: bool) -> list[Table | Figure]:
    arms, month, level = study.arms, study.parameters.primary_month, study.parameters.level
    shown: list[Table | Figure] = [
        display.missing_table(results, arms, level, month),
        display.specification_table(results, study),
        display.operating_table(results, study),
    ]
    if draw:
        shown += [
            figures.missing_figure(results, arms, month),
            figures.tipping_figure(results, study),
            figures.rules_figure(results, study),
            figures.specification_figure(results, study),
        ]
    return shown


def _assert_sound(results: Results, study: Study, *, draw: bool = True) -> Results:
    """Every number is there or says why not, every display can be made, and sentences name numbers that exist."""
    for result in results.values():
        assert result.estimable or result.note.startswith("not estimable: ")
        assert result.method
    for shown in _shown(results, study, draw):
        shown.bundle()
    said = display.sentences(results, study)
    assert set(said) == {f"robustness.{name}" for name in STATEMENTS}
    for statement in said.values():
        assert statement.text.endswith(".")
        names = statement.text.replace("{{", "").replace("}}", "").split("{")[1:]
        assert all(name.split("}")[0].split("|")[0] in results for name in names)
        assert "nan" not in statement.text
    return said


# --- numbers ----------------------------------------------------------------------------------------------------------


def test_the_planned_specification_is_the_main_analysis(analysed: Results, shipped: Study) -> None:
    pooled = response.main_analysis(shipped)
    for id in ("robustness.missing.mar", tipping_id(0, 0), robustness.planned_id(shipped.parameters)):
        for field in ("value", "lower", "upper", "p", "se", "df", "n_treatment", "n_control"):
            assert getattr(analysed[id], field) == pytest.approx(getattr(pooled["difference"], field), rel=1e-12)
    assert analysed["robustness.choice.plan.itt.mar.fixed"].p == pytest.approx(pooled["difference_fixed"].p, rel=1e-12)
    own = analysed[robustness.rule_id("odi_relative", 20, "non_responder")]
    assert own.value == pytest.approx(pooled["difference"].value, rel=1e-12)


def test_complete_cases_are_those_of_the_response_chapter(analysed: Results, shipped: Study) -> None:
    chapter = response.analyse(shipped)
    pairs = {
        "robustness.missing.complete": "response.rd.complete",
        "robustness.choice.plan.itt.complete.random": "response.rd.complete",
        "robustness.choice.plan.itt.complete.fixed": "response.rd.complete_fixed",
        "robustness.choice.plan.itt.complete.score": "response.rd.mn",
    }
    for own, other in pairs.items():
        for field in ("value", "lower", "upper", "p"):
            assert getattr(analysed[own], field) == pytest.approx(getattr(chapter[other], field), rel=1e-12)


def test_filling_without_a_model_agrees_with_counting(prepared: Prepared, shipped: Study) -> None:
    frame = response.primary_frame(shipped)
    known = frame["RESPONSE"].astype(float)
    observed = prepared.rule.response(prepared.observed, prepared.rescued)
    pd.testing.assert_series_equal(pd.Series(observed, frame.index), known, check_names=False)
    treated = frame["ARM"] == "treatment"
    fills = {"nri": 0.0, "worst": (~treated).astype(float), "best": treated.astype(float)}
    for filling, value in fills.items():
        filled = known.fillna(value)
        expected = filled[treated].mean() - filled[~treated].mean()
        found = prepared.one_data_set(observed, filling, ["score", "wald"])  # type: ignore[arg-type]
        assert found["score"].value == pytest.approx(expected)
        assert found["wald"].value == pytest.approx(expected)
        rates = filled.groupby(treated).mean(), filled.groupby(treated).count()
        assert found["wald"].se == pytest.approx(math.sqrt((rates[0] * (1 - rates[0]) / rates[1]).sum()), rel=1e-6)


def test_unadjusted_imputed_difference_is_rubins_rules_by_hand(prepared: Prepared) -> None:
    completed = prepared.rule.response(prepared.imputed["J2R"], prepared.rescued)
    estimate = prepared.many_data_sets(completed[None], "J2R", ["wald"], "PP")[0]["wald"]
    members = prepared.members("PP")
    arms = [completed[:, members & arm] for arm in (prepared.treated, ~prepared.treated)]
    rates = [arm.mean(axis=1) for arm in arms]
    difference = rates[0] - rates[1]
    within = sum(r * (1 - r) / arm.shape[1] for r, arm in zip(rates, arms, strict=True))
    total = within.mean() + (1 + 1 / len(difference)) * difference.var(ddof=1)
    assert estimate.value == pytest.approx(difference.mean())
    assert estimate.se == pytest.approx(math.sqrt(total), rel=1e-6)
    assert (estimate.n_treatment, estimate.n_control) == (arms[0].shape[1], arms[1].shape[1])


@pytest.mark.parametrize("method", ["J2R", "CR", "CIR"])
def test_reference_based_methods_agree_with_one_at_a_time(
    analysed: Results, prepared: Prepared, shipped: Study, method: str
) -> None:
    values = completed_responses(shipped, prepared.imputations, method=method)  # type: ignore[arg-type]
    expected = pooled_difference(shipped, prepared.imputations, *values)["difference"]
    assert analysed[f"robustness.missing.{method.lower()}"].value == pytest.approx(expected.value, rel=1e-12)


def test_a_cell_of_the_surface_agrees_with_delta_adjusted_imputation(
    analysed: Results, prepared: Prepared, shipped: Study
) -> None:
    # Half a point of ODI for each mm of VAS: 10 points and 20 mm are the minimal important differences.
    delta = {"treatment": {"VASPAIN": 40.0, "ODI": 20.0}, "control": {"VASPAIN": 10.0, "ODI": 5.0}}
    values = completed_responses(shipped, prepared.imputations, delta=delta)
    expected = pooled_difference(shipped, prepared.imputations, *values)["difference"]
    cell = analysed[tipping_id(40, 10)]
    assert (cell.value, cell.p) == pytest.approx((expected.value, expected.p), rel=1e-12)
    assert cell.value < analysed[tipping_id(0, 10)].value


def test_a_moved_threshold_agrees_with_a_study_that_has_it(
    analysed: Results, prepared: Prepared, shipped: Study
) -> None:
    for id, changed in {
        robustness.rule_id("odi_points", 15, "ignored"): {
            "odi_rule": "points",
            "odi_rule_percent": 15.0,
            "rescue": "ignored",
        },
        robustness.rule_id("vas_mm", 35, "non_responder"): {"vas_rule_mm": 35.0},
    }.items():
        other = shipped.parameters.model_copy(update=changed)
        values = completed_responses(shipped, prepared.imputations, parameters=other)
        expected = pooled_difference(shipped, prepared.imputations, *values)["difference"]
        assert analysed[id].value == pytest.approx(expected.value, rel=1e-12)


def test_the_curve_is_crossed_and_summarised(analysed: Results) -> None:
    curve = list(analysed.select("robustness.choice").values())
    # Five rules and three sets; four analyses of filled data, three of imputed data, two fillings and two imputations.
    assert len(curve) == 5 * 3 * (2 * 4 + 2 * 3) == analysed["robustness.spec.count"].value
    values = sorted(r.value for r in curve)
    assert analysed["robustness.spec.lowest"].value == pytest.approx(values[0])
    assert analysed["robustness.spec.highest"].value == pytest.approx(values[-1])
    assert analysed["robustness.spec.median"].value == pytest.approx(np.median(values))
    favour = np.mean([r.p < 0.05 and r.value > 0 for r in curve])
    assert analysed["robustness.spec.favour"].value == pytest.approx(favour)


@given(
    parts=st.lists(st.tuples(st.sampled_from([0, 1, None]), st.sampled_from([0, 1, None])), min_size=1, max_size=9),
)
@settings(deadline=None, derandomize=True, max_examples=30)
def test_both_parts_are_a_three_valued_and(parts: list[tuple[int | None, int | None]]) -> None:
    base, gained = np.full(len(parts), 80.0), np.array(parts, dtype=float) * 40
    values = Values(base, base - gained[:, 0], base, base - gained[:, 1])
    nobody = np.zeros(len(parts), dtype=bool)
    found = Rule(Parameters(), both=True).response(values, nobody)
    for (vas, odi), response_ in zip(parts, found, strict=True):
        expected = 0.0 if 0 in (vas, odi) else 1.0 if vas == odi == 1 else NAN
        assert response_ == expected or (math.isnan(response_) and math.isnan(expected))


def test_swapping_the_arms_turns_the_extreme_cases_around(prepared: Prepared) -> None:
    observed = prepared.rule.response(prepared.observed, prepared.rescued)
    swapped = dataclasses.replace(prepared, treated=~prepared.treated)
    for one, other in (("worst", "best"), ("best", "worst"), ("nri", "nri"), ("complete", "complete")):
        a = prepared.one_data_set(observed, one, ["random"])["random"]  # type: ignore[arg-type]
        b = swapped.one_data_set(observed, other, ["random"])["random"]  # type: ignore[arg-type]
        assert (a.value, a.lower, a.upper) == pytest.approx((-b.value, -b.upper, -b.lower), abs=1e-9)


def test_large_batches_are_split_without_a_difference(
    prepared: Prepared, analysed: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("respine.analyses.specification._BATCH", {2: 3000, 3: 3000})
    again = tipping_point(prepared)
    for id, result in again.items():
        assert result.value == pytest.approx(analysed[id].value, rel=1e-12)


def test_grids() -> None:
    assert deltas(Parameters(delta_max=1, delta_step=0.3)) == [0, 0.3, 0.6, 0.9]
    assert deltas(Parameters(delta_max=0)) == [0]
    assert tipping_id(2.5, 40) == "robustness.tipping.t2_5.c40"
    assert slug(0.000004) == "0_000004"
    parameters = Parameters(vas_rule_mm=23, odi_rule="points")
    assert robustness.thresholds("vas_mm", parameters)[:4] == [10, 15, 20, 23]
    assert robustness.own_threshold("odi_relative", parameters) is None
    assert robustness.own_threshold("odi_points", parameters) == 20


# --- other trials -----------------------------------------------------------------------------------------------------


def test_shipped_trial_is_sound(analysed: Results, shipped: Study) -> None:
    said = _assert_sound(analysed, shipped)
    assert "does not reject equality of the arms" in said["robustness.key"].text


def test_a_trial_with_an_effect_says_so_under_its_own_labels(effect: Study) -> None:
    said = _assert_sound(_everything(effect), effect)
    assert "finds a difference in favour of Cells <b>{{a.b}}</b>" in said["robustness.key"].text


def test_tiny_trial(tiny: Study) -> None:
    _assert_sound(_everything(tiny), tiny)


def test_nothing_missing_nothing_to_assume(simulated: Simulate) -> None:
    study = simulated(5, dropout=0.0, gaps=0.0, rescue=0.0, parameters={"imputations": 3})
    people = study.trial.adsl
    # A participant never treated leaves early whatever the drop-out.
    kept = people.index[~people["ITT"] | people["SAF"]]
    trial = dataclasses.replace(study.trial, adsl=people.loc[kept], adqs=_of(study.trial.adqs, kept))
    study = dataclasses.replace(study, trial=trial)
    results = side_by_side(Prepared.of(study))
    estimates = [results[f"robustness.missing.{name}"] for name in MISSING]
    assert len({round(e.value, 12) for e in estimates}) == 1
    assert not results["robustness.unknown.treatment"].value
    results.extend(tipping_point(Prepared.of(study)).values())
    assert "all methods for missing values give the same" in display.missing_sentence(results, study.arms, 0.05)
    assert "No response is unknown after departure" in display.tipping_sentence(results, study.parameters, study.arms)


def _of(table: pd.DataFrame, kept: pd.Index) -> pd.DataFrame:
    return table[table["USUBJID"].isin(kept)]


def test_an_arm_without_any_follow_up_is_not_estimable(simulated: Simulate) -> None:
    study = simulated(6, parameters={"imputations": 3})
    treated = study.trial.adsl.index[study.trial.adsl["ARM"] == "treatment"]
    adqs = study.trial.adqs
    lost = adqs["USUBJID"].isin(treated) & (adqs["AVISITN"] == 12) & adqs["PARAMCD"].isin(["VASPAIN", "ODI"])
    study = dataclasses.replace(study, trial=dataclasses.replace(study.trial, adqs=adqs[~lost]))
    results = _everything(study)
    assert not results["robustness.missing.mar"].estimable
    assert results["robustness.missing.nri"].estimable
    said = _assert_sound(results, study)
    assert "no conclusion whose robustness" in said["robustness.key"].text


def test_nobody_followed_at_all(simulated: Simulate) -> None:
    study = simulated(7, n_treatment=9, n_control=9, parameters={"imputations": 3})
    adqs = study.trial.adqs
    study = dataclasses.replace(study, trial=dataclasses.replace(study.trial, adqs=adqs[adqs["AVISITN"] == 0]))
    _assert_sound(_everything(study), study)


def test_all_respond(simulated: Simulate) -> None:
    study = simulated(8, n_treatment=20, n_control=20, rescue=0.0, parameters={"imputations": 3})
    adqs = study.trial.adqs
    later = (adqs["AVISITN"] > 0) & adqs["PARAMCD"].isin(["VASPAIN", "ODI"])
    adqs = adqs.assign(AVAL=adqs["AVAL"].mask(later & adqs["AVAL"].notna(), 0.0))
    study = dataclasses.replace(study, trial=dataclasses.replace(study.trial, adqs=adqs))
    results = _everything(study)
    assert results["robustness.missing.complete"].value == pytest.approx(0)
    _assert_sound(results, study, draw=False)


def test_one_arm_is_empty(simulated: Simulate) -> None:
    study = simulated(9, n_treatment=9, n_control=9, parameters={"imputations": 3})
    adsl = study.trial.adsl[study.trial.adsl["ARM"] != "control"]
    trial = dataclasses.replace(study.trial, adsl=adsl, adqs=_of(study.trial.adqs, adsl.index))
    study = dataclasses.replace(study, trial=trial)
    results = _everything(study)
    assert results["robustness.spec.count"].value == results["robustness.spec.not_estimable"].value
    said = _assert_sound(results, study)
    assert said["robustness.specifications"].text == "No specification could be estimated."


def test_without_covariates_there_is_nothing_to_adjust_for(simulated: Simulate) -> None:
    study = simulated(10, n_treatment=12, n_control=12, parameters={"imputations": 3, "covariates": (), "delta_max": 0})
    results = _everything(study)
    analyses = {id.rpartition(".")[2] for id in results.select("robustness.choice")}
    assert analyses == {"wald", "score"}
    main = results[robustness.planned_id(study.parameters)]
    assert main.value == pytest.approx(results["robustness.missing.mar"].value)
    assert "No worsening was asked for" in display.tipping_sentence(results, study.parameters, study.arms)
    _assert_sound(results, study, draw=False)


def test_a_missing_baseline_is_imputed_with_the_rest(simulated: Simulate) -> None:
    study = simulated(11, parameters={"imputations": 3})
    someone = study.trial.participants("ITT").index[0]
    adqs = study.trial.adqs
    gone = (adqs["USUBJID"] == someone) & (adqs["AVISITN"] == 0) & (adqs["PARAMCD"] == "VASPAIN")
    adsl = study.trial.adsl.copy()
    adsl.loc[someone, "VASBL"] = NAN
    study = dataclasses.replace(study, trial=dataclasses.replace(study.trial, adqs=adqs[~gone], adsl=adsl))
    results = side_by_side(Prepared.of(study))
    expected = response.main_analysis(study)["difference"]
    assert results["robustness.missing.mar"].value == pytest.approx(expected.value, rel=1e-12)


# --- sentences --------------------------------------------------------------------------------------------------------


def _recast(results: Results, of: Callable[[str], tuple[float, float] | None]) -> Results:
    """The same ids with other differences and p-values; None makes a number not estimable."""
    rows = []
    for r in results.values():
        if r.arm != "difference":
            rows.append(r)
            continue
        new = of(r.id)
        if new is None:
            gone = not_estimable("risk difference", "made so")
            rows.append(r.replace(value=gone.value, p=NAN, lower=NAN, upper=NAN, note=gone.note))
        else:
            value, p = new
            rows.append(r.replace(value=value, p=p, lower=value - 0.1, upper=value + 0.1, note=""))
    return Results(rows)


NONE, FOR, AGAINST = (0.05, 0.5), (0.2, 0.01), (-0.2, 0.01)


def _say(results: Results, study: Study, of: Callable[[str], tuple[float, float] | None]) -> dict[str, str]:
    said = display.sentences(_recast(results, of), study)
    return {id.rpartition(".")[2]: r.text for id, r in said.items()}


@pytest.mark.parametrize(
    ("everywhere", "finding"),
    [
        (NONE, "does not reject equality of the arms"),
        (FOR, "finds a difference in favour of BM-MSC"),
        (AGAINST, "finds a difference in favour of Sham"),
    ],
)
def test_unanimous(analysed: Results, shipped: Study, everywhere: tuple[float, float], finding: str) -> None:
    said = _say(analysed, shipped, lambda id: everywhere)
    assert said["key"].startswith(f"The main analysis {finding}. That conclusion stands under every method")
    assert "does not change the conclusion" in said["tipping"]
    assert "All 6 methods lead to the conclusion" in said["missing"]
    assert said["missing"].endswith("neither would change the conclusion.")
    if everywhere == NONE:
        assert said["rules"].startswith("None of the 66 definitions of response rejects equality")
        assert said["abstract"].endswith("{robustness.spec.highest}.")
        assert "together: none of the 210 specifications rejects equality of the arms;" in said["abstract"]
    else:
        side = "BM-MSC" if everywhere == FOR else "Sham"
        assert (
            f"All of the 210 specifications reject equality of the arms in favour of {side};" in said["specifications"]
        )


def test_rows_without_a_test_are_neither_agreement_nor_disagreement(analysed: Results, shipped: Study) -> None:
    said = _say(analysed, shipped, lambda id: (0.05, NAN) if id.startswith("robustness.choice") else NONE)
    assert "None of the 210 specifications gives a test; estimates run" in said["specifications"]
    complete = "robustness.missing.complete"
    said = _say(analysed, shipped, lambda id: (0.0, NAN) if id == complete else NONE)
    assert "All 5 tested methods lead to the conclusion of the main analysis" in said["missing"]
    some = {r.id for r in list(analysed.select("robustness.choice").values())[:20]}
    said = _say(analysed, shipped, lambda id: (0.0, NAN) if id in some else NONE)
    assert "None of the 210 specifications rejects equality of the arms, and 20 give no test;" in said["specifications"]
    assert "all 190 tested specifications, whose" in said["key"]
    said = _say(analysed, shipped, lambda id: (0.0, NAN) if id in some else FOR)
    assert "rejected by 190 in favour of BM-MSC, and not by 0, and 20 give no test;" in said["abstract"]


def test_divided(analysed: Results, shipped: Study) -> None:
    differ = {
        "robustness.missing.nri": FOR,
        "robustness.missing.worst": AGAINST,
        "robustness.missing.best": FOR,
        tipping_id(10, 0): AGAINST,
        tipping_id(0, 20): FOR,
        robustness.rule_id("vas_mm", 10, "ignored"): AGAINST,
        "robustness.choice.both.pp.nri.wald": FOR,
        "robustness.choice.both.pp.nri.score": None,
    }
    said = _say(analysed, shipped, lambda id: differ.get(id, NONE))
    assert "5 of 6 methods for missing values, 65 of 66 definitions of response and 208 of 209" in said["key"]
    assert "but another conclusion is reached under “unknown response as non-response”;" in said["missing"]
    assert said["missing"].endswith("either would change the conclusion.")
    assert "tips in 2 of 25 combinations" in said["tipping"]
    assert "is 10 mm worse with BM-MSC and 0 mm worse with Sham: {robustness.tipping.t10.c0|full}" in said["tipping"]
    assert "rejected by 1 in favour of Sham, and not by 65" in said["rules"]
    assert "rejected by 1 in favour of BM-MSC, and not by 208" in said["specifications"]


def test_nothing_estimable(analysed: Results, shipped: Study) -> None:
    said = _say(analysed, shipped, lambda id: None)
    assert said["key"].startswith("The main analysis was not estimable: made so")
    assert said["missing"] == "The main analysis was not estimable: made so."
    assert "there is no conclusion to tip" in said["tipping"]
    assert said["rules"] == "Under no definition of response could the difference be estimated."
    assert said["specifications"] == "No specification could be estimated."
    assert "could not be estimated" in said["abstract"]


def test_some_lost(analysed: Results, shipped: Study) -> None:
    lost = {"robustness.missing.worst", "robustness.spec.lowest"}
    said = _say(analysed, shipped, lambda id: None if id in lost else NONE)
    assert said["missing"].endswith("The extreme cases could not be estimated.")
    assert said["key"].endswith("No specification of the curve could be estimated.")
    one = "robustness.spec.not_estimable"
    results = Results(r.replace(value=1) if r.id == one else r for r in _recast(analysed, lambda id: NONE).values())
    text = display.specifications_sentence(results, shipped.arms, 0.05)
    assert text.endswith("One specification could not be estimated.")
