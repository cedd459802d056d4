from __future__ import annotations

import dataclasses
import importlib.util
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from respine.parameters import Parameters
from respine.trial.checking import check, load_trial
from respine.trial.published import published
from respine.trial.response import responses
from respine.trial.synthetic import (
    SimulationSpec,
    assumptions,
    dataset_info,
    shipped_seed,
    simulate_outcomes,
    simulate_trial,
    write_dataset,
)
from respine.trial.synthetic_records import GRIDS
from respine.trial.synthetic_spec import OPTIONAL_COLUMNS, OPTIONAL_TABLES, assumed

SHIPPED = Path(__file__).resolve().parents[2] / "data" / "respine-synthetic"
LARGE = SimulationSpec(n_treatment=6000, n_control=6000)


def _find_seed():
    spec = importlib.util.spec_from_file_location("find_seed", Path(__file__).with_name("find_seed.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def trial():
    return load_trial(SHIPPED)


@pytest.fixture(scope="module")
def outcomes():
    return simulate_outcomes(LARGE, seed=3)


def built(spec, seed, folder):
    write_dataset(simulate_trial(spec, seed), dataset_info(spec), folder)
    report = check(folder)
    assert report.n_errors == 0, report.to_frame().head()
    return report


def response_counts(trial, month=12):
    rows = responses(trial, Parameters()).query("AVISITN == @month").dropna(subset="RESPONSE")
    return {arm: [int(x.sum()), len(x)] for arm, x in rows.groupby("ARM", observed=True)["RESPONSE"]}


# The shipped data set


def test_only_the_default_settings_are_said_to_be_calibrated() -> None:
    assert "Calibrated to the published facts" in dataset_info(SimulationSpec())["source"]
    assert "not calibrated" in dataset_info(SimulationSpec(effect_vas=-20.0))["source"]


def test_the_shipped_files_are_regenerated_to_the_byte(tmp_path):
    spec = SimulationSpec()
    write_dataset(simulate_trial(spec, shipped_seed()), dataset_info(spec), tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {path.name for path in SHIPPED.iterdir()} - {"README.md"}
    for path in tmp_path.iterdir():
        assert path.read_bytes() == (SHIPPED / path.name).read_bytes(), path.name


def test_the_shipped_data_set_fulfils_the_contract_with_few_warnings():
    report = check(SHIPPED)
    assert report.n_errors == 0
    findings = report.to_frame()
    assert set(findings["rule"]) <= {"visit-window"}
    late = findings[findings["table"] == "adqs"].drop_duplicates(["subject", "allowed"])
    assert len(late) <= 10


def test_design_as_published(trial):
    adsl = trial.participants("ITT")
    assert adsl["ARM"].value_counts().to_dict() == {
        "treatment": published("design.randomised.msc").number,
        "control": published("design.randomised.sham").number,
    }
    assert adsl["SITEID"].nunique() == published("design.centres").number
    assert adsl["COUNTRY"].nunique() == published("design.countries").number
    assert set(adsl["COUNTRY"]) == {"FRA", "ESP", "ITA", "DEU"}
    assert f"{adsl['RANDDT'].min():%Y-%m}" == published("design.recruit_start").value
    last = (adsl["TRTSDT"].fillna(adsl["RANDDT"]) + pd.to_timedelta(adsl["EOSDY"] - 1, unit="D")).max()
    assert pd.Timestamp("2022-06-01") < last <= pd.Timestamp("2022-12-31")
    assert trial.info.synthetic
    assert trial.info.licence == "CC BY 4.0"


def test_everyone_randomised_is_eligible(trial):
    adsl = trial.participants("ITT")
    assert adsl["AGE"].between(published("eligibility.age_min").number, published("eligibility.age_max").number).all()
    assert (adsl["VASBL"] > published("eligibility.vas_min").number).all()
    grades = (published(f"eligibility.pfirrmann_{end}").number for end in ("min", "max"))
    assert adsl["PFIRRBL"].between(*grades).all()
    assert (adsl["PAINDUR"] >= published("eligibility.duration").number).all()


def test_month_12_response_is_the_reading_chosen_of_the_published_percentages(trial):
    counts = response_counts(trial)
    assert counts == {"treatment": [37, 50], "control": [34, 49]}
    for arm, id in (("treatment", "primary.responders.msc"), ("control", "primary.responders.sham")):
        assert round(100 * counts[arm][0] / counts[arm][1]) == published(id).number
    table = [[37, 13], [34, 15]]
    assert f"{stats.chi2_contingency(table).pvalue:.2f}" == published("primary.responders.msc").p_value


def test_no_secondary_outcome_differs(trial):
    smallest, name = _find_seed().smallest_p(trial)
    assert smallest >= 0.05, name


def test_every_part_of_the_report_has_something_to_show(trial):
    assert _find_seed().is_instructive(trial)


def test_the_search_counts_responders_as_the_trial_does(trial):
    counts = _find_seed().month12_counts(simulate_outcomes(SimulationSpec(), shipped_seed()))
    assert dict(zip(("treatment", "control"), counts, strict=True)) == response_counts(trial)


def test_no_serious_event_is_related(trial):
    assert trial.adae["SERIOUS"].sum() >= 1
    assert not (trial.adae["SERIOUS"] & trial.adae["RELATED"]).any()


def test_there_are_screen_failures_and_what_makes_a_flow_worth_drawing(trial):
    adsl = trial.adsl
    failures = adsl[adsl["RANDFL"] == "N"]
    assert failures["SCRFREAS"].nunique() >= 4
    itt = trial.participants("ITT")
    assert itt["DCSREAS"].nunique() >= 2
    assert itt["RESCUEDY"].notna().any()


# Formats and grids


def test_files_are_plain_csv(tmp_path):
    spec = SimulationSpec(n_treatment=9, n_control=9, treatment='Cells, "new"')
    write_dataset(simulate_trial(spec, 5), dataset_info(spec), tmp_path)
    for path in tmp_path.glob("*.csv"):
        raw = path.read_bytes()
        assert b"\r" not in raw
        assert raw.endswith(b"\n")
        text = raw.decode("utf-8")
        assert not {"nan", "NaN", "None", "<NA>"} & set(text.replace("\n", ",").split(","))
    frame = pd.read_csv(tmp_path / "adsl.csv")
    assert set(frame["TRT01P"].dropna()) == {'Cells, "new"', "Sham"}
    values = pd.read_csv(tmp_path / "adqs.csv", dtype=str, keep_default_na=False)["AVAL"]
    assert values.str.fullmatch(r"|\d{1,3}(\.\d{1,2})?").all()


def test_values_lie_on_the_instruments_grids(trial):
    for code, values in trial.adqs.dropna(subset="AVAL").groupby("PARAMCD")["AVAL"]:
        if code == "VASPAIN":
            assert (values == values.round()).all()
        elif code == "ODI":
            assert (values % 2 == 0).all()
        elif code in ("SF36PCS", "SF36MCS"):
            assert np.allclose(values, values.round(1), atol=1e-12)
        else:
            assert set(values) <= set(np.round(GRIDS[code[4:]], 2))
    t2 = trial.rows("T2")["AVAL"].dropna()
    assert np.allclose(t2, t2.round(1), atol=1e-12)


def test_bodily_pain_has_the_sums_of_its_two_items():
    assert GRIDS["BP"].tolist() == [
        0, 10, 12, 20, 21, 22, 30, 31, 32, 40, 41, 42, 44, 50, 51, 52, 54, 60, 61, 62, 64, 70, 72, 74, 80, 84, 100,
    ]  # fmt: skip


def test_vas_heaps_at_5_and_10(outcomes):
    vas = outcomes.vas[~np.isnan(outcomes.vas)]
    assert 0.40 < (vas % 10 == 0).mean() < 0.55
    assert (vas % 10 == 5).mean() > 1.4 * (vas % 10 == 3).mean()


def test_summary_scores_follow_from_the_scales(trial):
    wide = trial.adqs.pivot(index=["USUBJID", "AVISITN"], columns="PARAMCD", values="AVAL").dropna()
    mean, sd = assumed("sf36.norm_mean"), assumed("sf36.norm_sd")
    for code, part in (("SF36PCS", "physical"), ("SF36MCS", "mental")):
        weight = assumed(f"sf36.{part}_weight")
        score = 50 + 10 * sum(weight[s] * (wide[f"SF36{s}"] - mean[s]) / sd[s] for s in GRIDS)
        assert (score - wide[code]).abs().max() < 0.06


def test_a_summary_is_missing_where_a_scale_is():
    tables = simulate_trial(SimulationSpec(n_treatment=800, n_control=800), 1)
    wide = tables["adqs"].pivot(index=["USUBJID", "AVISITN"], columns="PARAMCD", values="AVAL")
    some = wide[[f"SF36{scale}" for scale in GRIDS]].isna().any(axis=1)
    assert some.any()
    assert (wide["SF36PCS"].isna() == some).all()
    assert (wide["SF36MCS"].isna() == some).all()


def test_days_are_in_order_and_end_with_the_study():
    tables = simulate_trial(SimulationSpec(n_treatment=800, n_control=800), 2)
    end = tables["adsl"].set_index("USUBJID")["EOSDY"].dropna()
    for name in ("adqs", "admi", "adis"):
        rows = tables[name]
        assert (rows["ADY"].to_numpy() <= end[rows["USUBJID"]].to_numpy()).all()
        assert (rows["ADY"] != 0).all()
    days = tables["adqs"].query("PARAMCD == 'ODI'").groupby("USUBJID")["ADY"].diff().dropna()
    assert (days > 0).all()
    for name in ("adae", "adcm"):
        rows = tables[name]
        assert (rows["ASTDY"].to_numpy() <= end[rows["USUBJID"]].to_numpy()).all()
        assert not ((rows["ASTDY"] == 0) | (rows["AENDY"] == 0)).fillna(False).any()
        assert (rows["AENDY"].dropna() >= rows.loc[rows["AENDY"].notna(), "ASTDY"]).all()


def test_leaving_agrees_in_all_tables():
    tables = simulate_trial(SimulationSpec(n_treatment=1500, n_control=1500), 4)
    adsl = tables["adsl"].query("RANDFL == 'Y'").set_index("USUBJID")
    last = tables["adqs"].groupby("USUBJID")["AVISITN"].max()[adsl.index]
    left = adsl["DCSREAS"].notna()
    assert (last[~left] == 24).all()
    assert (last[left] < 24).all()
    untreated = adsl["TRT01A"].isna()
    assert (last[untreated] == 0).all()
    assert left[untreated].all()
    leavers = adsl.index[adsl["DCSREAS"] == "ADVERSE EVENT"]
    assert len(leavers) >= 3
    assert set(leavers) <= set(tables["adae"]["USUBJID"])
    assert not set(adsl.index[untreated]) & set(tables["adae"]["USUBJID"])


def test_covid_does_not_come_before_it_could():
    tables = simulate_trial(SimulationSpec(n_treatment=700, n_control=700), 6)
    rows = tables["adae"].merge(tables["adsl"][["USUBJID", "TRTSDT"]]).query("AEDECOD == 'COVID-19'")
    onset = pd.to_datetime(rows["TRTSDT"]) + pd.to_timedelta(
        rows["ASTDY"].where(rows["ASTDY"] < 0, rows["ASTDY"] - 1), "D"
    )
    assert len(rows) > 50
    assert onset.min() >= pd.Timestamp("2020-02-14")


# What the simulation claims


def test_regression_to_the_mean_and_placebo_response(outcomes):
    mean = np.nanmean(outcomes.vas, axis=0)
    assert mean[0] > assumed("vas.mean")[0] + 3
    assert -26 < mean[4] - mean[0] < -18


def test_outcomes_correlate_within_participant(outcomes):
    def correlation(x, y):
        known = ~np.isnan(x + y)
        return np.corrcoef(x[known], y[known])[0, 1]

    assert 0.25 < correlation(outcomes.vas[:, 0], outcomes.vas[:, 4]) < 0.45
    assert 0.65 < correlation(outcomes.vas[:, 3], outcomes.vas[:, 4]) < 0.80
    assert correlation(outcomes.vas[:, 1], outcomes.vas[:, 5]) < correlation(outcomes.vas[:, 4], outcomes.vas[:, 5])
    assert 0.60 < correlation(outcomes.vas[:, 4], outcomes.odi[:, 4]) < 0.80
    tables = simulate_trial(SimulationSpec(n_treatment=600, n_control=600), 8)
    wide = tables["adqs"].query("AVISITN == 12").pivot(index="USUBJID", columns="PARAMCD", values="AVAL").corr()
    assert wide.loc["SF36PCS", "ODI"] < -0.6
    assert wide.loc["SF36MCS", "SF36MH"] > 0.8
    assert abs(wide.loc["SF36PCS", "SF36MCS"]) < 0.2


def test_leaving_depends_on_the_last_vas_observed_and_on_nothing_else():
    """Missing at random: the logarithm of the risk rises by log(ratio) per 10 mm of the last VAS, and given that VAS
    leavers and stayers have the same latent pain at the next visit."""
    spec = SimulationSpec(n_treatment=20_000, n_control=20_000, gaps=0, rescue=0, dropout=0.3)
    outcomes = simulate_outcomes(spec, seed=11)
    last, now = 3, 4  # months 6 and 12
    at_risk = ~np.isnan(outcomes.day[:, last]) & ~np.isnan(outcomes.vas[:, last])
    leaves = np.isnan(outcomes.day[at_risk, now])
    vas, burden = outcomes.vas[at_risk, last], outcomes.burden[at_risk, now]
    expected = 0.3 * assumed("missing.dropout_share")[now] * assumed("missing.dropout_ratio") ** ((vas - 50) / 10)
    for low, high in ((0, 30), (30, 50), (50, 70), (70, 101)):
        band = (vas >= low) & (vas < high)
        assert leaves[band].mean() == pytest.approx(expected[band].mean(), abs=4 * np.sqrt(0.2 / band.sum()))
    frame = pd.DataFrame({"vas": vas, "leaves": leaves.astype(float), "burden": burden})
    within = frame - frame.groupby("vas").transform("mean").assign(vas=0.0)
    slope = (within["leaves"] * within["burden"]).sum() / (within["leaves"] ** 2).sum()
    assert abs(slope) < 4 / np.sqrt(leaves.sum())


def test_dropout_zero_and_gaps_zero_give_complete_data():
    spec = SimulationSpec(n_treatment=300, n_control=300, dropout=0, gaps=0, rescue=0)
    outcomes = simulate_outcomes(spec, 1)
    assert not np.isnan(outcomes.vas[outcomes.treated]).any()
    assert not np.isnan(outcomes.odi[outcomes.treated]).any()
    assert not np.isnan(outcomes.t2[outcomes.treated]).any()
    assert np.isnan(outcomes.rescue_day).all()
    tables = simulate_trial(spec, 1)
    assert tables["adqs"]["AVAL"].notna().all()
    assert tables["adis"]["AVAL"].notna().all()


@pytest.mark.parametrize("level", [0.05, 0.2])
def test_more_dropout_leaves_fewer_observed(level):
    outcomes = simulate_outcomes(dataclasses.replace(LARGE, dropout=level), 1)
    left = outcomes.left & (outcomes.end_day < 366) & outcomes.treated
    assert level < left.mean() < 1.6 * level


def test_arms_do_not_differ_without_an_effect_and_differ_by_the_effect_given(outcomes):
    spec = dataclasses.replace(LARGE, effect_vas=-10.0, effect_odi=4.0, effect_t2=3.0, dropout=0.0)
    with_effect = simulate_outcomes(spec, seed=3)
    for array, column, expected, width in (("vas", 4, -10, 1.2), ("odi", 4, 4, 1), ("t2", 2, 3, 1)):
        for simulated, difference in ((outcomes, 0), (with_effect, expected)):
            values = getattr(simulated, array)[:, column]
            observed = np.nanmean(values[simulated.treatment]) - np.nanmean(values[~simulated.treatment])
            assert observed == pytest.approx(difference, abs=width)


def test_the_effect_reaches_the_sf36_in_the_right_direction():
    spec = SimulationSpec(n_treatment=800, n_control=800, effect_vas=-15, effect_odi=-8)
    tables = simulate_trial(spec, 1)
    rows = tables["adqs"].query("AVISITN == 12").merge(tables["adsl"][["USUBJID", "TRT01P"]])
    mean = rows.groupby(["PARAMCD", "TRT01P"])["AVAL"].mean().unstack()
    difference = mean["BM-MSC"] - mean["Sham"]
    assert difference["SF36PCS"] > 3
    assert difference["SF36BP"] > 5


# Other trials


def test_a_clear_effect_gives_a_clearly_positive_trial(tmp_path):
    spec = SimulationSpec(effect_vas=-25, effect_odi=-12, effect_t2=12, studyid="EFFECT")
    trial = built(spec, 1, tmp_path).trial
    (x1, n1), (x0, n0) = (response_counts(trial)[arm] for arm in ("treatment", "control"))
    assert x1 / n1 > x0 / n0
    assert stats.chi2_contingency([[x1, n1 - x1], [x0, n0 - x0]], correction=False).pvalue < 0.01
    change = trial.wide("T2")[12] - trial.wide("T2")[0]
    arm = trial.adsl["ARM"].reindex(change.index)
    assert stats.ttest_ind(change[arm == "treatment"].dropna(), change[arm == "control"].dropna()).pvalue < 0.05
    assert change[arm == "treatment"].mean() > change[arm == "control"].mean()


def test_a_tiny_trial_of_one_country_with_other_labels(tmp_path):
    spec = SimulationSpec(
        n_treatment=7, n_control=7, treatment="Verum", control="Placebo", studyid="TINY", title="Tiny",
        countries=("NLD",), centres=2,
    )  # fmt: skip
    trial = built(spec, 2, tmp_path).trial
    assert trial.participants("ITT")["ARM"].value_counts().to_dict() == {"treatment": 7, "control": 7}
    assert (trial.info.treatment, trial.info.control, trial.info.title) == ("Verum", "Placebo", "Tiny")
    assert set(trial.adsl["COUNTRY"]) == {"NLD"}
    assert trial.info.synthetic


def test_without_all_that_is_optional(tmp_path):
    spec = SimulationSpec(without=frozenset({*OPTIONAL_TABLES, *OPTIONAL_COLUMNS, "SF36"}))
    trial = built(spec, 3, tmp_path).trial
    assert set(trial.adqs["PARAMCD"]) == {"VASPAIN", "ODI"}
    assert all(getattr(trial, name).empty for name in OPTIONAL_TABLES)
    header = (tmp_path / "adsl.csv").read_text(encoding="utf-8").splitlines()[0].split(",")
    assert not set(OPTIONAL_COLUMNS) & set(header)
    assert (tmp_path / "adae.csv").read_text(encoding="utf-8").count("\n") == 1


@settings(deadline=None, derandomize=True, max_examples=6)
@given(
    n=st.tuples(st.integers(1, 12), st.integers(1, 12)),
    countries=st.integers(1, 4),
    dropout=st.sampled_from([0, 0.1, 0.9]),
    seed=st.integers(0, 2**32 - 1),
)
def test_any_specification_gives_a_data_set_that_fulfils_the_contract(n, countries, dropout, seed, tmp_path_factory):
    spec = SimulationSpec(
        n_treatment=n[0], n_control=n[1], countries=("FRA", "ESP", "ITA", "DEU")[:countries], centres=4, dropout=dropout
    )
    trial = built(spec, seed, tmp_path_factory.mktemp("trial")).trial
    counts = trial.participants("ITT")["ARM"].value_counts()
    assert (counts["treatment"], counts["control"]) == n


def test_arms_are_balanced_within_country(outcomes):
    for seed in range(5):
        small = simulate_outcomes(SimulationSpec(), seed)
        for country in range(4):
            arms = small.treatment[small.centre % 4 == country]
            assert abs(2 * arms.sum() - arms.size) <= 6


def test_many_trials_at_once():
    spec = SimulationSpec(n_treatment=10, n_control=6, countries=("FRA",), centres=3)
    outcomes = simulate_outcomes(spec, seed=1, trials=50)
    assert outcomes.vas.shape == (50 * 16, 6)
    assert outcomes.treatment.reshape(50, 16).sum(axis=1).tolist() == [10] * 50
    alone = simulate_outcomes(spec, seed=9)
    tables = simulate_trial(spec, seed=9)
    vas = tables["adqs"].query("PARAMCD == 'VASPAIN' and AVISITN == 12")["AVAL"]
    assert sorted(vas.dropna()) == sorted(alone.vas[~np.isnan(alone.vas[:, 4]), 4])


def test_seeds_differ_and_repeat():
    spec = SimulationSpec(n_treatment=5, n_control=5)
    first, again, other = (simulate_trial(spec, seed) for seed in (1, 1, 2))
    for name, table in first.items():
        pd.testing.assert_frame_equal(table, again[name])
    assert not first["adqs"].equals(other["adqs"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_control": 0}, "each arm needs a participant"),
        ({"treatment": "Sham"}, "two different arm labels"),
        ({"countries": ()}, "cannot be in the countries"),
        ({"centres": 3}, "3 centres cannot be in"),
        ({"dropout": 1.0}, "dropout is a probability below 1"),
        ({"gaps": -0.1}, "gaps is a probability below 1"),
        ({"rescue": -1}, "rescue is a factor"),
        ({"rescue": float("nan")}, "rescue is a factor"),
        ({"effect_vas": float("nan")}, "effect_vas is a number"),
        ({"effect_t2": float("-inf")}, "effect_t2 is a number"),
        ({"without": frozenset({"adqs"})}, "adqs is not optional"),
    ],
)
def test_an_impossible_trial_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        SimulationSpec(**change)


# The table of assumptions


def test_assumptions_say_what_is_published_and_what_is_assumed():
    table = assumptions()
    assert list(table.columns) == ["quantity", "value", "unit", "status", "published", "reason"]
    assert table["quantity"].is_unique
    assert (table.drop(columns="published") != "").all(axis=None)
    assert (table["status"] == np.where(table["published"] == "", "assumed", "published")).all()
    for row in table[table["status"] == "published"].itertuples():
        fact = published(row.published)
        assert fact.available, row.quantity
        start = row.value.split("; ")[0]
        expected = {"design.countries": "FRA; ESP; ITA; DEU"}.get(row.published, fact.value)
        assert row.value == expected or start == expected or start.startswith(f"{expected}-"), row.quantity


def test_the_reading_of_the_percentages_is_an_assumption():
    table = assumptions().set_index("quantity")
    for quantity in ("shipped.responders_treatment", "shipped.responders_control"):
        assert table.loc[quantity, "status"] == "assumed"
    assert "One of six pairs" in table.loc["shipped.responders_treatment", "reason"]
