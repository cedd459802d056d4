from __future__ import annotations

import csv
import unicodedata
from pathlib import Path

import pandas as pd
import pytest

from respine.inert import csv_text, visible
from respine.trial import DataError, check, load_trial
from respine.trial.findings import COLUMNS, Findings, show, suggestion
from tests.builders import put, tiny_trial

HOSTILE = {
    "html": "<script>alert(1)</script><img src=x onerror=alert(1)>",
    "tex": r"\input{/etc/passwd} $\write18{rm}$ %",
    "typst": '#read("x") *b* _i_ `c` @ref',
    "markdown": "[x](javascript:alert(1)) {result}`response.rd.mn`",
    "jinja": "{{ 7*7 }}{% for x in y %}",
    "formula": "=cmd|' /C calc'!A0",
    "rtl": "abc\u202egnp.exe\u2066",
    "ansi": "\x1b[31mred\x1b[0m\x07",
    "separators": "a\u2028b\u2029c",
    "emoji": "👩\u200d🔬 pain",
    "rich": "[bold red]x[/] [link=http://x]y[/link]",
    "long": "spam " * 2000,
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=list(HOSTILE))
def test_free_text_is_accepted_as_it_is(tmp_path: Path, text: str) -> None:
    folder = tiny_trial(
        tmp_path,
        adae=put(2, AETERM=text, AEDECOD=text, AEBODSYS=text),
        adsl=lambda t: put(3, SITEID=text)(put(len(t) + 1, SCRFREAS=text)(t)),
    )
    trial = load_trial(folder)
    assert trial.adae.AETERM.iloc[0] == text.strip()
    assert text.strip() in set(trial.adsl.SITEID)


@pytest.mark.parametrize("text", HOSTILE.values(), ids=list(HOSTILE))
def test_findings_are_inert(tmp_path: Path, text: str) -> None:
    folder = tiny_trial(
        tmp_path / "data", adae=put(2, USUBJID=text, AESEV=text), adqs=lambda t: t.rename(columns={"AVAL": text})
    )
    report = check(folder)
    report.write_csv(tmp_path / "findings.csv")
    written = (tmp_path / "findings.csv").read_text(encoding="utf-8")
    for shown in (report.summary(), written):
        assert all(ch.isprintable() or ch in "\n" for ch in shown)
        assert max(map(len, shown.splitlines())) < 1000
    with (tmp_path / "findings.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.reader(file):
            assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for cell in row)
    assert {("adae", 2, "AESEV", "code"), ("adae", 2, "USUBJID", "unknown-subject")} <= {
        (f.table, f.row, f.column, f.rule) for f in report.findings
    }


def test_show() -> None:
    assert show("a\u202eb\x00\u2028") == "a\\u202eb\\x00\\u2028"
    assert len(show("x" * 10_000)) == 60
    assert show("é 痛 🙂") == "é 痛 🙂"


def test_equal_violations_are_counted_and_the_first_shown(tmp_path: Path) -> None:
    report = check(tiny_trial(tmp_path, adqs=lambda t: t.assign(ADY="0")))
    assert report.n_errors > 900
    summary = report.summary()
    assert len(summary.splitlines()) < 10
    assert f"[{report.n_errors}]" in summary
    assert f"and {report.n_errors - 3} more" in summary
    assert "row 2, T-001" in summary


def test_frame_and_csv_hold_the_whole_list(tmp_path: Path) -> None:
    report = check(tiny_trial(tmp_path / "data", adqs=lambda t: t.assign(ADY="0"), adsl=put(3, AGE="70")))
    frame = report.to_frame()
    assert tuple(frame.columns) == COLUMNS
    assert len(frame) == len(report.findings) == report.n_errors + report.n_warnings
    assert frame.severity.tolist() == sorted(frame.severity)
    report.write_csv(tmp_path / "findings.csv")
    read = pd.read_csv(tmp_path / "findings.csv")
    assert len(read) == len(frame)
    assert read.row.iloc[0] == 2


def test_csv_neutralises_formulas(tmp_path: Path) -> None:
    findings = Findings()
    for value in ("=1+1", "+1+1", "-cmd", "@x", "-5", "\tx", "x"):
        findings.add("code", "adsl", "SEX", value=value, row=2)
    findings.report(None, "x").write_csv(tmp_path / "f.csv")
    values = pd.read_csv(tmp_path / "f.csv", dtype=str).value.tolist()
    assert values == ["'=1+1", "'+1+1", "'-cmd", "'@x", "-5", "\\tx", "x"]


def test_data_error_reads_as_the_summary(tmp_path: Path) -> None:
    folder = tiny_trial(tmp_path, adsl=put(3, SEX="m"))
    with pytest.raises(DataError, match="did you mean 'M'"):
        load_trial(folder)


def test_unknown_rule_is_a_wrong_call() -> None:
    with pytest.raises(ValueError, match="unknown rule"):
        Findings().add("typo", "adsl")


def test_what_cannot_be_seen_is_escaped_wherever_it_stands() -> None:
    """One character of every category, alone, so that no short cut takes a text with one for harmless."""
    by_category = {unicodedata.category(chr(point)): chr(point) for point in reversed(range(0x3000))}
    by_category |= {"Co": "\ue000", "Cs": "\ud800", "Cn": "\uffff"}
    assert {name for name, ch in by_category.items() if visible(f"a{ch}") != f"a{ch}"} == {
        "Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp",
    }  # fmt: skip


def test_the_first_of_codes_that_look_alike_is_suggested() -> None:
    assert suggestion("sick_leave", ("SICK LEAVE", "SICKLEAVE")) == "; did you mean 'SICK LEAVE'?"
    assert suggestion("ill", ("SICK LEAVE",)) == ""


def test_no_cell_of_a_csv_turns_the_direction_of_the_line() -> None:
    assert csv_text("\u202e=gnp.exe\u202c") == "\\u202e=gnp.exe\\u202c"
    assert csv_text("مرحبا") == "مرحبا"
