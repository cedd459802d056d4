"""Every rule of the contract, broken once: table, row, column and rule of what is reported."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from respine.trial import CheckReport, DataError, check, load_trial
from respine.trial.contract import TABLES
from respine.trial.findings import RULES
from tests.builders import put, row_of, tiny_tables, tiny_trial, without

BASE = tiny_tables()
ADQS, ADMI, ADIS, ADAE, ADCM = (BASE[name] for name in ("adqs", "admi", "adis", "adae", "adcm"))
PFIRR = row_of(ADMI, PARAMCD="PFIRR")
ODI = row_of(ADQS, PARAMCD="ODI", AVISITN="0")
SURGERY = row_of(ADCM, CMCAT="SURGERY")
LAST = len(BASE["adsl"]) + 1  # a participant who was not randomised

Where = tuple[str, int | None, str, str]


def found(report: CheckReport) -> set[Where]:
    return {(f.table, f.row, f.column, f.rule) for f in report.findings}


def check_with(folder: Path, **changes: Any) -> CheckReport:
    return check(tiny_trial(folder, **changes))


def again(row: int) -> Callable[[pd.DataFrame], pd.DataFrame]:
    """The table with one row repeated at its end."""
    return lambda t: pd.concat([t, t.iloc[[row - 2]]])


def recased(t: pd.DataFrame) -> pd.DataFrame:
    """Two screened participants whose ids differ by case alone."""
    return put(LAST, USUBJID=t.USUBJID.iloc[-2].lower())(t)


def test_valid_data_have_no_findings(tmp_path: Path) -> None:
    report = check_with(tmp_path)
    assert report.findings == []
    assert report.trial is not None
    assert report.summary().endswith("no findings")


ERRORS: list[tuple[str, Any, Where]] = [
    # adsl
    ("adsl", put(3, STUDYID="OTHER"), ("adsl", 3, "STUDYID", "one-study")),
    ("adsl", put(3, STUDYID=""), ("adsl", 3, "STUDYID", "required")),
    ("adsl", put(LAST, USUBJID=""), ("adsl", LAST, "USUBJID", "required")),
    ("adsl", put(LAST, USUBJID="   "), ("adsl", LAST, "USUBJID", "required")),
    ("adsl", again(LAST), ("adsl", LAST + 1, "USUBJID", "duplicate-key")),
    ("adsl", put(3, SITEID=""), ("adsl", 3, "SITEID", "required")),
    ("adsl", put(3, COUNTRY="FR"), ("adsl", 3, "COUNTRY", "code")),
    ("adsl", put(3, COUNTRY="XKX"), ("adsl", 3, "COUNTRY", "code")),
    ("adsl", put(3, AGE=""), ("adsl", 3, "AGE", "required")),
    ("adsl", put(3, AGE="121"), ("adsl", 3, "AGE", "range")),
    ("adsl", put(3, AGE="-1"), ("adsl", 3, "AGE", "range")),
    ("adsl", put(3, SEX="m"), ("adsl", 3, "SEX", "code")),
    ("adsl", put(3, SEX=""), ("adsl", 3, "SEX", "required")),
    ("adsl", put(3, HEIGHTBL="99"), ("adsl", 3, "HEIGHTBL", "range")),
    ("adsl", put(3, HEIGHTBL="1.78"), ("adsl", 3, "HEIGHTBL", "range")),
    ("adsl", put(3, WEIGHTBL="301"), ("adsl", 3, "WEIGHTBL", "range")),
    ("adsl", put(3, SMOKBL="Never"), ("adsl", 3, "SMOKBL", "code")),
    ("adsl", put(3, WORKBL="SICKLEAVE"), ("adsl", 3, "WORKBL", "code")),
    ("adsl", put(3, PAINDUR="-0.5"), ("adsl", 3, "PAINDUR", "range")),
    ("adsl", put(3, DISCLVL="L4/L5"), ("adsl", 3, "DISCLVL", "code")),
    ("adsl", put(3, PFIRRBL="9"), ("adsl", 3, "PFIRRBL", "range")),
    ("adsl", put(3, PFIRRBL="4.5"), ("adsl", 3, "PFIRRBL", "whole-number")),
    ("adsl", put(3, MODICBL="4"), ("adsl", 3, "MODICBL", "range")),
    ("adsl", put(3, OPIOIDBL="yes"), ("adsl", 3, "OPIOIDBL", "code")),
    ("adsl", put(3, RANDFL="1"), ("adsl", 3, "RANDFL", "code")),
    ("adsl", put(3, RANDFL=""), ("adsl", 3, "RANDFL", "required")),
    ("adsl", put(LAST, SCRFREAS=""), ("adsl", LAST, "SCRFREAS", "required")),
    ("adsl", without("SCRFREAS"), ("adsl", None, "SCRFREAS", "missing-column")),
    ("adsl", put(3, TRT01P=""), ("adsl", 3, "TRT01P", "required")),
    ("adsl", put(LAST, TRT01P="Sham"), ("adsl", LAST, "TRT01P", "blank-elsewhere")),
    ("adsl", put(3, TRT01P="sham"), ("adsl", 3, "TRT01P", "arm-label")),
    ("adsl", put(3, TRT01A="Saline"), ("adsl", 3, "TRT01A", "arm-label")),
    ("adsl", put(3, RANDDT=""), ("adsl", 3, "RANDDT", "required")),
    ("adsl", put(3, RANDDT="2021-02-30"), ("adsl", 3, "RANDDT", "date")),
    ("adsl", put(3, RANDDT="01/04/2021"), ("adsl", 3, "RANDDT", "date")),
    ("adsl", put(3, RANDDT="2021-03"), ("adsl", 3, "RANDDT", "date")),
    ("adsl", put(3, RANDDT="20210301"), ("adsl", 3, "RANDDT", "date")),
    ("adsl", put(3, RANDDT="2021-W09-1"), ("adsl", 3, "RANDDT", "date")),
    ("adsl", put(3, RANDDT="2021-03-01T10:00"), ("adsl", 3, "RANDDT", "date")),
    ("adsl", put(3, RANDDT="２021-03-01"), ("adsl", 3, "RANDDT", "date")),
    ("adsl", put(3, TRTSDT="2021-02-27"), ("adsl", 3, "TRTSDT", "order")),
    ("adsl", put(3, TRTSDT=""), ("adsl", 3, "TRTSDT", "required")),
    ("adsl", put(3, TRT01A=""), ("adsl", 3, "TRTSDT", "blank-elsewhere")),
    ("adsl", put(3, PPROTFL="y"), ("adsl", 3, "PPROTFL", "code")),
    ("adsl", put(3, DCSREAS="DIED"), ("adsl", 3, "DCSREAS", "code")),
    ("adsl", put(3, EOSDY="0"), ("adsl", 3, "EOSDY", "no-day-0")),
    ("adsl", put(3, EOSDY="-3"), ("adsl", 3, "EOSDY", "range")),
    ("adsl", put(3, EOSDY="300.5"), ("adsl", 3, "EOSDY", "whole-number")),
    ("adsl", put(3, BMIBL="n/a"), ("adsl", 3, "BMIBL", "number")),
    # adqs, admi, adis
    ("adqs", put(2, USUBJID="T-999"), ("adqs", 2, "USUBJID", "unknown-subject")),
    ("adqs", put(2, USUBJID="t-001"), ("adqs", 2, "USUBJID", "unknown-subject")),
    ("adqs", put(2, USUBJID=""), ("adqs", 2, "USUBJID", "required")),
    ("adqs", again(5), ("adqs", len(ADQS) + 2, "AVISITN", "duplicate-key")),
    ("adqs", put(2, PARAMCD="VAS"), ("adqs", 2, "PARAMCD", "code")),
    ("adqs", put(2, PARAMCD="T2"), ("adqs", 2, "PARAMCD", "code")),
    ("adqs", put(2, PARAMCD=""), ("adqs", 2, "PARAMCD", "required")),
    ("adqs", put(3, AVISITN="2"), ("adqs", 3, "AVISITN", "code")),
    ("adqs", put(3, AVISITN="1.5"), ("adqs", 3, "AVISITN", "whole-number")),
    ("adqs", put(3, AVISITN="Month 1"), ("adqs", 3, "AVISITN", "number")),
    ("adqs", put(3, AVISITN=""), ("adqs", 3, "AVISITN", "required")),
    ("adqs", put(3, ADY="0"), ("adqs", 3, "ADY", "no-day-0")),
    ("adqs", put(3, ADY="30.5"), ("adqs", 3, "ADY", "whole-number")),
    ("adqs", put(3, AVAL="100.1"), ("adqs", 3, "AVAL", "range")),
    ("adqs", put(ODI, AVAL="-0.1"), ("adqs", ODI, "AVAL", "range")),
    ("adqs", put(3, CHG="."), ("adqs", 3, "CHG", "number")),
    ("admi", put(2, USUBJID="T-999"), ("admi", 2, "USUBJID", "unknown-subject")),
    ("admi", put(2, PARAMCD="VASPAIN"), ("admi", 2, "PARAMCD", "code")),
    ("admi", put(3, AVISITN="1"), ("admi", 3, "AVISITN", "code")),
    ("admi", put(2, AVAL="4.9"), ("admi", 2, "AVAL", "range")),
    ("admi", put(2, AVAL="401"), ("admi", 2, "AVAL", "range")),
    ("admi", put(PFIRR, AVAL="5.5"), ("admi", PFIRR, "AVAL", "whole-number")),
    ("admi", put(PFIRR, AVAL="9"), ("admi", PFIRR, "AVAL", "range")),
    ("admi", again(2), ("admi", len(ADMI) + 2, "AVISITN", "duplicate-key")),
    ("adis", put(2, PARAMCD="DSA3"), ("adis", 2, "PARAMCD", "code")),
    ("adis", put(2, AVISITN="12"), ("adis", 2, "AVISITN", "code")),
    ("adis", put(2, AVAL="-1"), ("adis", 2, "AVAL", "range")),
    ("adis", put(2, AVALC="Positive"), ("adis", 2, "AVALC", "code")),
    ("adis", put(2, AVALC=""), ("adis", 2, "AVALC", "required")),
    ("adis", without("AVALC"), ("adis", None, "AVALC", "missing-column")),
    # adae
    ("adae", put(2, USUBJID="T-999"), ("adae", 2, "USUBJID", "unknown-subject")),
    ("adae", again(2), ("adae", len(ADAE) + 2, "AESEQ", "duplicate-key")),
    ("adae", put(2, AESEQ=""), ("adae", 2, "AESEQ", "required")),
    ("adae", put(2, AESEQ="1.5"), ("adae", 2, "AESEQ", "whole-number")),
    ("adae", put(2, AESEQ="1e300"), ("adae", 2, "AESEQ", "whole-number")),
    ("adae", put(2, AEDECOD=""), ("adae", 2, "AEDECOD", "required")),
    ("adae", put(2, AEBODSYS=" "), ("adae", 2, "AEBODSYS", "required")),
    ("adae", put(2, AESEV="mild"), ("adae", 2, "AESEV", "code")),
    ("adae", put(2, AESER="NO"), ("adae", 2, "AESER", "code")),
    ("adae", put(2, AEREL="UNRELATED"), ("adae", 2, "AEREL", "code")),
    ("adae", put(2, AESEV="", AESER="", AEREL=""), ("adae", 2, "AEREL", "required")),
    ("adae", put(2, ASTDY="0"), ("adae", 2, "ASTDY", "no-day-0")),
    ("adae", put(2, ASTDY="10", AENDY="9"), ("adae", 2, "AENDY", "order")),
    # adcm
    ("adcm", put(2, USUBJID="T-999"), ("adcm", 2, "USUBJID", "unknown-subject")),
    ("adcm", again(2), ("adcm", len(ADCM) + 2, "CMSEQ", "duplicate-key")),
    ("adcm", put(2, CMCAT="PAINKILLER"), ("adcm", 2, "CMCAT", "code")),
    ("adcm", put(SURGERY, ASTDY=""), ("adcm", SURGERY, "ASTDY", "required")),
    ("adcm", put(SURGERY, AENDY="399"), ("adcm", SURGERY, "AENDY", "order")),
]


@pytest.mark.parametrize(
    ("table", "change", "where"), ERRORS, ids=lambda v: "-".join(map(str, v)) if isinstance(v, tuple) else None
)
def test_error(tmp_path: Path, table: str, change: Any, where: Where) -> None:
    report = check_with(tmp_path, **{table: change})
    assert where in found(report)
    assert report.trial is None
    assert next(f for f in report.errors if f.rule == where[3]).allowed


@pytest.mark.parametrize(
    ("table", "column"), [(t.name, c.name) for t in TABLES.values() for c in t.columns if c.need == "required"]
)
def test_missing_column(tmp_path: Path, table: str, column: str) -> None:
    report = check_with(tmp_path, **{table: without(column)})
    assert (table, None, column, "missing-column") in found(report)
    # One message, not one a cell.
    assert [f for f in report.errors if f.column == column and f.rule != "missing-column"] == []


@pytest.mark.parametrize(
    ("table", "column"), [(t.name, c.name) for t in TABLES.values() for c in t.columns if c.need == "conditional"]
)
def test_missing_conditional_column_is_one_message(tmp_path: Path, table: str, column: str) -> None:
    report = check_with(tmp_path, **{table: without(column)})
    assert found(report) == {(table, None, column, "missing-column")}


@pytest.mark.parametrize(("table", "column"), [(t.name, c.name) for t in TABLES.values() for c in t.columns])
def test_a_column_named_twice_is_one_message(tmp_path: Path, table: str, column: str) -> None:
    def twice(t: pd.DataFrame) -> pd.DataFrame:
        columns = t if column in t else t.assign(**{column: "x"})
        return pd.concat([columns, pd.Series("x", index=t.index, name=column.lower())], axis=1)

    report = check_with(tmp_path, **{table: twice})
    assert {(f.table, f.row, f.column, f.rule) for f in report.errors} == {(table, None, column, "repeated-column")}


def test_unknown_subjects_are_told_of_their_likes(tmp_path: Path) -> None:
    ids = {"T-001": "1", "T-002": "t 2", "T-999": "T-999"}
    report = check_with(tmp_path, adae=lambda t: t.assign(USUBJID=[*ids.values(), *t.USUBJID[3:]]))
    hints = ("", "; did you mean 'T-002'?", "")
    assert [f.allowed for f in report.errors] == [f"a USUBJID of adsl{hint}" for hint in hints]


def test_conditional_column_that_no_row_needs_may_be_absent(tmp_path: Path) -> None:
    report = check_with(tmp_path, adsl=lambda t: t[t.RANDFL == "Y"].drop(columns="SCRFREAS"))
    assert report.findings == []


@pytest.mark.parametrize(
    ("table", "column"), [(t.name, c.name) for t in TABLES.values() for c in t.columns if c.need == "optional"]
)
def test_optional_columns_may_be_absent_and_are_there_afterwards(tmp_path: Path, table: str, column: str) -> None:
    report = check_with(tmp_path, **{table: lambda t: t.drop(columns=column, errors="ignore")})
    assert report.errors == []
    assert column in getattr(report.trial, table).columns


@pytest.mark.parametrize("table", TABLES)
def test_missing_table(tmp_path: Path, table: str) -> None:
    tiny_trial(tmp_path)
    (tmp_path / f"{table}.csv").unlink()
    assert found(check(tmp_path)) == {(table, None, "", "missing-table")}


@pytest.mark.parametrize("table", ["admi", "adis", "adae", "adcm"])
def test_table_without_rows(tmp_path: Path, table: str) -> None:
    report = check_with(tmp_path, **{table: lambda t: t.iloc[:0]})
    assert report.errors == []
    assert report.trial is not None
    assert len(getattr(report.trial, table)) == 0


WARNINGS: list[tuple[str, Any, Where]] = [
    ("adsl", put(3, AGE="61"), ("adsl", 3, "AGE", "protocol")),
    ("adsl", put(3, AGE="17"), ("adsl", 3, "AGE", "protocol")),
    ("adsl", put(3, PFIRRBL="3"), ("adsl", 3, "PFIRRBL", "protocol")),
    ("adqs", put(2, AVAL="40"), ("adqs", 2, "AVAL", "protocol")),
    ("adqs", put(3, ADY="60"), ("adqs", 3, "ADY", "visit-window")),
    ("adsl", put(3, EOSDY=""), ("adsl", 3, "EOSDY", "end-of-study")),
    (
        "adsl",
        put(LAST, TRT01A="Sham", TRTSDT="2021-05-05", EOSDY="9"),
        ("adsl", LAST, "TRT01A", "treated-not-randomised"),
    ),
    ("adsl", put(3, BMIBL="20.0"), ("adsl", 3, "BMIBL", "derived-differs")),
    ("adqs", put(3, BASE="12"), ("adqs", 3, "BASE", "derived-differs")),
    ("adqs", put(3, CHG="-90"), ("adqs", 3, "CHG", "derived-differs")),
    ("adqs", put(3, PCHG="-90"), ("adqs", 3, "PCHG", "derived-differs")),
    ("adsl", recased, ("adsl", LAST, "USUBJID", "case-only")),
    ("adae", put(2, ASTDY="", AENDY=""), ("adae", 2, "ASTDY", "blank-start")),
    ("adae", put(2, USUBJID=BASE["adsl"].USUBJID.iloc[-1]), ("adae", 2, "USUBJID", "never-treated")),
]


@pytest.mark.parametrize(
    ("table", "change", "where"), WARNINGS, ids=lambda v: "-".join(map(str, v)) if isinstance(v, tuple) else None
)
def test_warning(tmp_path: Path, table: str, change: Any, where: Where) -> None:
    report = check_with(tmp_path, **{table: change})
    assert found(report) == {where}
    assert [f.severity for f in report.findings] == ["warning"]
    assert report.trial is not None


@pytest.mark.parametrize(
    ("table", "change"),
    [
        ("adsl", put(LAST, AGE="75", PFIRRBL="2")),  # not randomised: no deviation
        ("adqs", put(2, AVAL="40.1")),
        ("adqs", put(3, ADY="52")),  # day 31 + 21
        ("adqs", put(3, ADY="10")),  # day 31 - 21
        ("adsl", put(3, TRT01P="Sham", TRT01A="BM-MSC")),  # treated as the other arm
        ("adsl", put(3, TRT01A="", TRTSDT="", EOSDY="")),  # never treated
        ("adsl", put(3, SEX=" M ")),
        ("adsl", put(3, AGE="+45.0")),
        ("adsl", put(3, AGE="4.5e1")),
        ("adsl", put(3, SITEID="NA")),
        ("adae", put(2, AETERM="")),
        ("adae", put(2, AENDY="", AEOUT="NULL")),
        ("adcm", put(row_of(ADCM, CMCAT="ANALGESIC"), ASTDY="")),
        ("adsl", lambda t: t.rename(columns=str.lower).assign(extra="=1+1")),
        ("adqs", put(3, AVAL="")),
        ("adis", put(2, AVAL="", AVALC="")),
        ("adqs", lambda t: t.sample(frac=1, random_state=1)),
    ],
)
def test_accepted_in_silence(tmp_path: Path, table: str, change: Any) -> None:
    # The never-treated participant's events would be a warning of their own.
    report = check_with(tmp_path, **{table: change})
    assert [f for f in report.findings if f.rule != "never-treated"] == []


@pytest.mark.parametrize(
    "cell",
    [
        "NA", "NaN", "nan", "NULL", ".", "inf", "-Infinity", "1e999", "24,5", "1 000", "1,000", "0x1F", "١٢", "１２",
        "1_0", "--1", "1e", "<5", "5%",
    ],
)  # fmt: skip
def test_not_a_number(tmp_path: Path, cell: str) -> None:
    report = check_with(tmp_path, adqs=put(3, AVAL=cell))
    assert found(report) == {("adqs", 3, "AVAL", "number")}
    assert report.errors[0].value == cell


def test_derived_columns_are_compared_to_their_printed_precision(tmp_path: Path) -> None:
    trial = load_trial(tiny_trial(tmp_path / "a"))
    bmi = trial.adsl.BMIBL.iloc[0]
    for digits in (0, 1, 2, 12):
        change = put(2, BMIBL=f"{bmi:.{digits}f}")
        assert check_with(tmp_path / f"same{digits}", adsl=change).findings == []
    wrong = put(2, BMIBL=f"{math.ceil(bmi * 100) / 100 + 0.01:.2f}")
    assert found(check_with(tmp_path / "b", adsl=wrong)) == {("adsl", 2, "BMIBL", "derived-differs")}


def test_derived_columns_as_the_package_derives_them_are_silent(tmp_path: Path) -> None:
    trial = load_trial(tiny_trial(tmp_path / "a"))
    derived = trial.adqs[["BASE", "CHG", "PCHG"]].round(3).astype(str).replace("nan", "")
    at_baseline = (trial.adqs.AVISITN == 0).to_numpy()
    derived.loc[at_baseline, "CHG"] = "0.0"
    report = check_with(tmp_path / "b", adqs=lambda t: t.join(derived))
    assert report.findings == []


# Arms


def test_other_labels_are_named_once_with_the_parameters_to_set(tmp_path: Path) -> None:
    report = check_with(tmp_path, treatment="Active", control="Placebo", dataset=None)
    (error,) = report.errors
    assert (error.table, error.row, error.column, error.rule) == ("adsl", None, "TRT01P", "arm-label")
    assert "Active" in error.value
    assert "Placebo" in error.value
    assert "set the parameters treatment and control" in error.allowed


def test_labels_come_from_the_caller_then_from_dataset_yml(tmp_path: Path) -> None:
    folder = tiny_trial(tmp_path, treatment="Active", control="Placebo")
    assert load_trial(folder).info.treatment == "Active"
    swapped = load_trial(folder, treatment="Placebo", control="Active")
    assert swapped.info.control == "Active"
    assert (swapped.adsl.ARM.dropna() != load_trial(folder).adsl.ARM.dropna()).all()
    assert not check(folder, control="Sham").trial


def test_wrong_case_of_a_label_is_suggested(tmp_path: Path) -> None:
    report = check_with(tmp_path, adsl=put(3, TRT01P="SHAM"))
    assert "did you mean 'Sham'?" in report.errors[0].allowed


def test_an_empty_arm_is_named(tmp_path: Path) -> None:
    report = check_with(tmp_path, adsl=lambda t: t.assign(TRT01P=t.TRT01P.replace("Sham", "BM-MSC")))
    (error,) = report.errors
    assert (error.table, error.column, error.rule) == ("adsl", "TRT01P", "empty-arm")
    assert "Sham" in error.value


def test_equal_labels_are_refused(tmp_path: Path) -> None:
    for labels in (("Sham", "Sham"), ("", "Sham"), ("x", " ")):
        report = check(tiny_trial(tmp_path), *labels)
        assert found(report) == {("dataset.yml", None, "treatment, control", "dataset.yml")}


def test_nobody_randomised(tmp_path: Path) -> None:
    blank = {"RANDFL": "N", "SCRFREAS": "x", "TRT01P": "", "TRT01A": "", "TRTSDT": ""}
    report = check_with(tmp_path, adsl=lambda t: t.assign(**blank))
    assert {f.rule for f in report.errors} == {"none-randomised", "no-baseline"}


def test_adsl_without_rows(tmp_path: Path) -> None:
    (error,) = check_with(tmp_path, adsl=lambda t: t.iloc[:0]).errors
    assert error.rule == "none-randomised"  # and not that each row of the other tables has an unknown participant


# Baseline


def test_no_baseline_is_one_message(tmp_path: Path) -> None:
    for n, keep in enumerate(
        (lambda t: t[t.AVISITN != "0"], lambda t: t.iloc[:0], lambda t: t[~t.PARAMCD.isin(["VASPAIN", "ODI"])])
    ):
        (error,) = check_with(tmp_path / str(n), adqs=keep).errors
        assert (error.table, error.row, error.column, error.rule) == ("adqs", None, "AVAL", "no-baseline")
        assert "VASPAIN" in error.value
        assert "ODI" in error.value


def test_no_baseline_of_one_instrument(tmp_path: Path) -> None:
    report = check_with(tmp_path, adqs=lambda t: t[~((t.PARAMCD == "ODI") & (t.AVISITN == "0"))])
    (error,) = report.errors
    assert error.rule == "no-baseline"
    assert "VASPAIN" not in error.value


def test_a_bad_baseline_is_reported_as_the_bad_cell_alone(tmp_path: Path) -> None:
    report = check_with(tmp_path, adqs=lambda t: t.assign(PARAMCD=t.PARAMCD.str.lower()))
    assert {f.rule for f in report.findings} == {"code"}


# All at once


def test_all_violations_are_found_in_one_pass(tmp_path: Path) -> None:
    tiny_trial(
        tmp_path,
        adsl=put(3, SEX="m", AGE="200"),
        adqs=put(4, AVAL="NA"),
        adae=put(2, AESEV="BAD"),
        dataset={"titel": "x"},
    )
    (tmp_path / "adcm.csv").unlink()
    report = check(tmp_path)
    assert {
        ("dataset.yml", None, "titel", "dataset.yml"),
        ("adcm", None, "", "missing-table"),
        ("adsl", 3, "SEX", "code"),
        ("adsl", 3, "AGE", "range"),
        ("adqs", 4, "AVAL", "number"),
        ("adae", 2, "AESEV", "code"),
    } == found(report)
    with pytest.raises(DataError, match="6 errors") as caught:
        load_trial(tmp_path)
    assert caught.value.report.n_errors == 6


def test_warnings_are_found_beside_errors(tmp_path: Path) -> None:
    report = check_with(tmp_path, adsl=put(3, SEX="x", AGE="70", BMIBL="1"))
    assert {(f.severity, f.rule) for f in report.findings} == {
        ("error", "code"),
        ("warning", "protocol"),
        ("warning", "derived-differs"),
    }


def test_subject_and_suggestion_are_given(tmp_path: Path) -> None:
    (error,) = check_with(tmp_path, adsl=put(3, SEX="m")).errors
    assert error.subject == "T-002"
    assert error.value == "m"
    assert error.allowed == "one of M, F, U; did you mean 'M'?"
    assert "row 3, T-002" in str(error)


def test_rules_are_all_tested() -> None:
    elsewhere = {
        "folder", "dataset.yml", "missing-table", "two-files", "format", "unreadable", "encoding", "nul", "separator",
        "line-end", "quote", "no-header", "repeated-header", "repeated-column", "ragged-row", "formula", "number",
        "none-randomised", "empty-arm", "no-baseline",
    }  # fmt: skip
    assert set(RULES) == elsewhere | {where[3] for _, _, where in ERRORS + WARNINGS}
