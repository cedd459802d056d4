from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from respine.trial import Trial, check, load_trial
from respine.trial.contract import TABLES, nominal_day
from tests.builders import put, row_of, tiny_tables, tiny_trial, without

BASE = tiny_tables()
ADQS, ADCM = BASE["adqs"], BASE["adcm"]


@pytest.fixture(scope="module")
def trial(tmp_path_factory: pytest.TempPathFactory) -> Trial:
    return load_trial(tiny_trial(tmp_path_factory.mktemp("trial")))


def test_nominal_days() -> None:
    assert [nominal_day(m) for m in (0, 1, 3, 6, 12, 24)] == [1, 31, 92, 184, 366, 731]


def test_sets(trial: Trial) -> None:
    counts = {name: len(trial.participants(name)) for name in ("ITT", "SAF", "mITT", "PP")}
    assert counts == {"ITT": 14, "SAF": 14, "mITT": 14, "PP": 13}
    assert trial.adsl.index.name == "USUBJID"
    assert trial.adsl.index.is_monotonic_increasing
    assert len(trial.adsl) == 16
    for name in ("ITT", "SAF", "MITT", "PP"):
        assert trial.adsl[name].dtype == bool


def test_itt_is_as_randomised_and_saf_as_treated(tmp_path: Path) -> None:
    # T-001 (treatment) was never treated, T-002 (control) received the treatment.
    change = lambda t: put(2, TRT01A="", TRTSDT="")(put(3, TRT01A="BM-MSC")(t))  # noqa: E731
    trial = check(tiny_trial(tmp_path, adsl=change)).trial
    assert trial is not None
    itt, saf = trial.participants("ITT"), trial.participants("SAF")
    assert itt.ARM["T-001"] == "treatment"
    assert itt.ARM["T-002"] == "control"
    assert "T-001" not in saf.index
    assert saf.ARM["T-002"] == "treatment"
    assert trial.adsl.ARM["T-002"] == "control"
    assert list(saf.ARM.cat.categories) == ["treatment", "control"]
    assert saf.ARM.cat.ordered
    assert trial.adsl.ARM[["T-015", "T-016"]].isna().all()


@pytest.mark.parametrize(
    ("kept", "expected"),
    [
        ([("VASPAIN", "0"), ("VASPAIN", "24")], True),
        ([("ODI", "0"), ("ODI", "1")], True),
        ([("VASPAIN", "0"), ("ODI", "12")], False),
        ([("VASPAIN", "0"), ("ODI", "0")], False),
        ([("VASPAIN", "12"), ("ODI", "12")], False),
        ([("SF36PCS", "0"), ("SF36PCS", "12")], False),
        ([], False),
    ],
)
def test_mitt_needs_baseline_and_later_of_one_instrument(
    tmp_path: Path, kept: list[tuple[str, str]], expected: bool
) -> None:
    def change(t: pd.DataFrame) -> pd.DataFrame:
        here = np.array([(p, v) in kept for p, v in zip(t.PARAMCD, t.AVISITN, strict=True)])
        # A row without a value is no value.
        return t.assign(AVAL=t.AVAL.where((t.USUBJID != "T-001") | here, ""))

    trial = load_trial(tiny_trial(tmp_path, adqs=change))
    assert bool(trial.adsl.MITT["T-001"]) is expected
    assert trial.adsl.ITT["T-001"]


@pytest.mark.parametrize("said", [without("PPROTFL"), lambda t: t.assign(PPROTFL="")], ids=["absent", "empty"])
def test_per_protocol_of_which_nothing_is_said_is_the_treated(tmp_path: Path, said: Any) -> None:
    def change(t: pd.DataFrame) -> pd.DataFrame:
        return said(put(2, TRT01A="", TRTSDT="", EOSDY="")(t))

    trial = load_trial(tiny_trial(tmp_path, adsl=change))
    assert trial.adsl.PP.sum() == 13
    assert not trial.adsl.PP["T-001"]


def test_baseline_and_changes(trial: Trial) -> None:
    vas = trial.wide("VASPAIN")
    assert list(vas.columns) == [0, 1, 3, 6, 12, 24]
    assert vas.index.equals(trial.adsl.index)
    assert vas.loc["T-015"].isna().all()
    pd.testing.assert_series_equal(vas[0], trial.adsl.VASBL, check_names=False)
    pd.testing.assert_series_equal(trial.values("ODI", 0), trial.adsl.ODIBL, check_names=False)
    pd.testing.assert_series_equal(trial.values("T2", 0), trial.adsl.T2BL, check_names=False)
    change = trial.wide("VASPAIN", "CHG")
    assert change[0].isna().all()
    pd.testing.assert_frame_equal(change[[1, 12]], vas[[1, 12]].sub(vas[0], axis=0))
    percent = trial.wide("VASPAIN", "PCHG")
    pd.testing.assert_frame_equal(percent[[24]], 100 * vas[[24]].sub(vas[0], axis=0).div(vas[0], axis=0))
    assert trial.wide("DSA1", "AVALC").loc["T-001"].isin(["POSITIVE", "NEGATIVE"]).all()


def test_percentage_change_from_zero_is_missing(tmp_path: Path) -> None:
    row = row_of(ADQS, USUBJID="T-002", PARAMCD="ODI", AVISITN="0")
    trial = load_trial(tiny_trial(tmp_path, adqs=put(row, AVAL="0")))
    rows = trial.rows("ODI").set_index("USUBJID").loc["T-002"]
    assert (rows.BASE == 0).all()
    assert rows.PCHG.isna().all()
    assert rows.CHG.notna().sum() == 5


def test_without_baseline_changes_are_missing(tmp_path: Path) -> None:
    row = row_of(ADQS, USUBJID="T-002", PARAMCD="ODI", AVISITN="0")
    trial = load_trial(tiny_trial(tmp_path, adqs=put(row, AVAL="")))
    assert trial.rows("ODI").set_index("USUBJID").loc["T-002", ["BASE", "CHG", "PCHG"]].isna().all(axis=None)
    assert np.isnan(trial.adsl.ODIBL["T-002"])


def test_body_mass_index(tmp_path: Path) -> None:
    trial = load_trial(tiny_trial(tmp_path, adsl=put(2, HEIGHTBL="180", WEIGHTBL="81")))
    assert trial.adsl.BMIBL["T-001"] == pytest.approx(25)
    without = load_trial(tiny_trial(tmp_path, adsl=lambda t: t.drop(columns="HEIGHTBL")))
    assert without.adsl.BMIBL.isna().all()


def test_day_of_a_visit(tmp_path: Path) -> None:
    trial = load_trial(tiny_trial(tmp_path, adqs=put(3, ADY="")))
    assert trial.adqs.ADYN.iloc[1] == 31
    assert np.isnan(trial.adqs.ADY.iloc[1])
    assert trial.adqs.ADYN.iloc[2] == trial.adqs.ADY.iloc[2]


@pytest.mark.parametrize(
    ("subject", "category", "day", "expected"),
    [
        ("T-003", "SPINAL INJECTION", "2", 2),
        ("T-003", "SPINAL INJECTION", "1", None),
        ("T-003", "SURGERY", "-5", None),
        ("T-003", "OPIOID", "2", 2),
        ("T-005", "OPIOID", "2", None),  # on opioids at baseline
        ("T-005", "SURGERY", "2", 2),
        ("T-003", "ANALGESIC", "2", None),
        ("T-003", "OTHER", "2", None),
    ],
)
def test_rescue(tmp_path: Path, subject: str, category: str, day: str, expected: int | None) -> None:
    assert BASE["adsl"].set_index("USUBJID").OPIOIDBL[["T-003", "T-005"]].tolist() == ["N", "Y"]
    row = {"USUBJID": subject, "CMSEQ": "1", "CMDECOD": "x", "CMCAT": category, "ASTDY": day, "AENDY": ""}
    trial = load_trial(tiny_trial(tmp_path, adcm=pd.DataFrame([row])))
    assert trial.adcm.RESCUE.tolist() == [expected is not None]
    np.testing.assert_equal(trial.adsl.RESCUEDY[subject], np.nan if expected is None else float(expected))
    rows = trial.adqs.set_index("USUBJID").loc[subject]
    assert rows.RESCUED.equals(rows.ADYN.ge(expected or np.inf))


def test_opioid_without_knowing_baseline_use_is_a_rescue(tmp_path: Path) -> None:
    trial = load_trial(tiny_trial(tmp_path, adsl=lambda t: t.drop(columns="OPIOIDBL")))
    assert trial.adcm.RESCUE.sum() == 3


def test_the_first_rescue_counts(tmp_path: Path) -> None:
    rows = [
        {"USUBJID": "T-003", "CMSEQ": str(n), "CMDECOD": "x", "CMCAT": "SURGERY", "ASTDY": day, "AENDY": ""}
        for n, day in enumerate(("90", "45", "300"))
    ]
    trial = load_trial(tiny_trial(tmp_path, adcm=pd.DataFrame(rows)))
    assert trial.adsl.RESCUEDY["T-003"] == 45


def test_end_of_study_is_filled_by_the_last_day_seen(tmp_path: Path) -> None:
    def without(t: pd.DataFrame) -> pd.DataFrame:
        return t.assign(EOSDY="")

    last_row = row_of(ADQS, USUBJID="T-002", PARAMCD="VASPAIN", AVISITN="24")
    trial = load_trial(tiny_trial(tmp_path / "a", adsl=without, adqs=put(last_row, ADY="777")))
    assert trial.adsl.EOSDY["T-002"] == 777
    assert trial.adsl.EOSDY["T-007"] < 200
    assert trial.adsl.EOSDY[["T-015", "T-016"]].isna().all()
    late = {"USUBJID": "T-002", "CMSEQ": "8", "CMDECOD": "x", "CMCAT": "OTHER", "ASTDY": "5", "AENDY": "900"}
    trial = load_trial(tiny_trial(tmp_path / "b", adsl=without, adcm=pd.DataFrame([late])))
    assert trial.adsl.EOSDY["T-002"] == 900


def test_treatment_emergence(tmp_path: Path) -> None:
    def change(t: pd.DataFrame) -> pd.DataFrame:
        for row, day in ((2, "-1"), (3, "1"), (4, "")):
            t = put(row, ASTDY=day, AENDY="")(t)
        return put(5, USUBJID="T-016", AESEQ="1", AEREL="POSSIBLE", AESER="Y")(t)

    trial = check(tiny_trial(tmp_path, adae=change)).trial
    assert trial is not None
    events = trial.adae.set_index(["USUBJID", "AESEQ"])
    table = change(BASE["adae"])
    keys = [(table.USUBJID[i], int(table.AESEQ[i])) for i in range(4)]
    assert [bool(events.TRTEM[key]) for key in keys] == [False, True, True, False]
    assert events.RELATED[keys[3]]
    assert events.SERIOUS[keys[3]]
    assert trial.adae.RELATED.equals(trial.adae.AEREL.isin(["POSSIBLE", "PROBABLE", "RELATED"]))


def test_columns_of_the_contract_are_there_whatever_the_input(tmp_path: Path) -> None:
    optional = {t.name: [c.name for c in t.columns if c.need == "optional"] for t in TABLES.values()}
    changes = {name: (lambda t, drop=drop: t.drop(columns=drop, errors="ignore")) for name, drop in optional.items()}
    trial = load_trial(tiny_trial(tmp_path, **changes))
    for table in TABLES.values():
        columns = {*getattr(trial, table.name).columns, getattr(trial, table.name).index.name}
        assert {c.name for c in table.columns} <= columns
    assert trial.adsl.SMOKBL.isna().all()
    assert trial.adsl.PAINDUR.dtype == float


@pytest.mark.parametrize("table", TABLES)
def test_row_order_changes_nothing(tmp_path: Path, trial: Trial, table: str) -> None:
    shuffled = load_trial(tiny_trial(tmp_path, **{table: lambda t: t.sample(frac=1, random_state=3)}))
    for name in TABLES:
        pd.testing.assert_frame_equal(getattr(shuffled, name), getattr(trial, name), check_exact=True)


def test_extra_columns_are_carried_and_cannot_replace_derived_ones(tmp_path: Path) -> None:
    trial = load_trial(tiny_trial(tmp_path, adsl=lambda t: t.assign(Note="n", ITT="N", ARM="x")))
    assert trial.adsl.NOTE.eq("n").all()
    assert trial.adsl.ITT.sum() == 14
    assert list(trial.adsl.ARM.cat.categories) == ["treatment", "control"]


def test_participants_is_a_copy(trial: Trial) -> None:
    trial.participants("ITT")["AGE"] = 0
    assert (trial.adsl.AGE > 0).all()
    assert trial.countries == ("ESP", "FRA", "ITA")


@settings(deadline=None, derandomize=True, max_examples=15)
@given(
    st.dictionaries(
        st.tuples(st.sampled_from(["T-001", "T-002"]), st.sampled_from(["0", "1", "24"])),
        st.one_of(st.none(), st.integers(0, 1000).map(lambda n: n / 10)),
    )
)
def test_changes_equal_their_definition(
    tmp_path_factory: pytest.TempPathFactory, values: dict[tuple[str, str], float | None]
) -> None:
    def change(t: pd.DataFrame) -> pd.DataFrame:
        for (subject, visit), value in values.items():
            row = row_of(t, USUBJID=subject, PARAMCD="VASPAIN", AVISITN=visit)
            t = put(row, AVAL="" if value is None else str(value))(t)
        return t

    trial = load_trial(tiny_trial(tmp_path_factory.mktemp("changes"), adqs=change))
    vas, chg = trial.wide("VASPAIN"), trial.wide("VASPAIN", "CHG")
    for subject in ("T-001", "T-002"):
        for visit in (1, 3, 6, 12, 24):
            np.testing.assert_equal(chg.loc[subject, visit], vas.loc[subject, visit] - vas.loc[subject, 0])
