"""Checking: every violation of the contract found in one pass and reported together."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from respine.trial import contract, deriving, reading, schemas, store, typed
from respine.trial.contract import PARAMETERS, TABLES, nominal_day, parameters_of
from respine.trial.dataset import Settings, read_settings
from respine.trial.findings import CheckReport, DataError, Findings, suggestion
from respine.trial.sheet import UnreadableError
from respine.trial.table import Positions, TypedTable
from respine.trial.trial import Trial
from respine.trial.typed import Floats, Mask

Tables = dict[str, TypedTable]


def load_trial(folder: str | Path, treatment: str | None = None, control: str | None = None) -> Trial:
    """The checked and derived data set; where a build has kept just this one, it is recalled (:mod:`.store`).

    Parameters
    ----------
    folder
        The data set: a folder of tables, or one Excel workbook.
    treatment, control
        Arm labels; else those of ``dataset.yml``, else BM-MSC and Sham.

    Raises
    ------
    DataError
        The data set breaks the contract; carries the report.
    """
    kept = store.recall(Path(folder), treatment, control)
    if kept is not None:
        return kept
    report = check(folder, treatment, control)
    if report.trial is None:
        raise DataError(report)
    return report.trial


def check(folder: str | Path, treatment: str | None = None, control: str | None = None) -> CheckReport:
    """Every finding about a data set, and the trial if none is an error; parameters as in :func:`load_trial`."""
    folder = Path(folder)
    findings = Findings()
    settings, tables = _read(folder, findings, treatment, control)
    for table in tables.values():
        _check_table(table, settings, findings)
    if "adsl" in tables:
        _check_adsl(tables["adsl"], settings, findings)
        _check_across(tables, settings, findings)
    return findings.report(lambda: deriving.derive(tables, settings), str(folder))


def _read(folder: Path, findings: Findings, treatment: str | None, control: str | None) -> tuple[Settings, Tables]:
    try:
        if not folder.is_dir() and not (folder.is_file() and folder.suffix.lower() == f".{reading.WORKBOOK}"):
            found = "not a folder" if folder.exists() else "there is no such folder"
            findings.add("folder", "data set", value=found, allowed="a folder of tables, or one Excel workbook")
            return Settings(), {}
        home = folder if folder.is_dir() else folder.parent
        settings = read_settings(home, findings, treatment, control)
        sources, unknown = reading.locate(folder)
    except OSError as error:
        findings.add("folder", "data set", value=error.strerror or error, allowed="a folder that can be read")
        return Settings(), {}
    except UnreadableError as error:
        findings.add("unreadable", "data set", value=error.problem.value, allowed=error.problem.allowed)
        return Settings(), {}
    if not any(sources.values()) and not unknown:
        allowed = f"files {', '.join(f'{name}.csv' for name in TABLES)} (or {', '.join(reading.FORMATS[1:])})"
        findings.add("folder", "data set", value="no table here", allowed=allowed)
        return settings, {}
    return settings, _read_tables(sources, unknown, findings)


def _read_tables(sources: dict[str, list[reading.Source]], unknown: list[Path], findings: Findings) -> Tables:
    tables = {}
    for name, found in sources.items():
        if len(found) > 1:
            findings.add("two-files", name, value=", ".join(map(str, found)), allowed="one file")
        elif not found:
            other = [p.name for p in unknown if p.name.lower().startswith(f"{name}.")]
            rule = "format" if other else "missing-table"
            allowed = f"a file {name} with one of the extensions {', '.join(reading.FORMATS)}"
            findings.add(rule, name, value=", ".join(other), allowed=allowed)
        else:
            try:
                sheet = found[0].read()
            except UnreadableError as error:
                p = error.problem
                findings.add(p.rule, name, value=p.value, allowed=p.allowed, row=p.row)
                continue
            for p in sheet.problems:
                findings.add(p.rule, name, value=p.value, allowed=p.allowed, row=p.row)
            tables[name] = TypedTable.of(TABLES[name], sheet, findings)
    return tables


# Rules of one table.


def _check_table(table: TypedTable, settings: Settings, findings: Findings) -> None:
    if table.spec.name == "adsl":
        _check_arm_labels(table, settings, findings)
    if table.spec.longitudinal:
        _check_parameters(table, findings)
    for column in table.spec.columns:
        if column.where is not None:
            _check_condition(table, column, column.where, findings)
        if column.not_before:
            _check_order(table, column, findings)
    _check_key(table, findings)


def _check_condition(table: TypedTable, column: contract.Column, where: contract.Condition, findings: Findings) -> None:
    known = ~table.is_bad(where.column)
    asked = table.text[where.column].isin(where.values) if where.values else known & ~table.missing(where.column)
    needed = asked & table.empty(column.name)
    if column.name not in table.raw and needed.any():
        findings.add("missing-column", table.spec.name, column.name, allowed=f"a column {column.name}, filled {where}")
        return
    table.report(findings, "required", column.name, needed, f"{column.allowed}, {where}")
    if where.only:
        surplus = known & ~asked & ~table.missing(column.name)
        # Where the condition's own cell is empty against the rules, that is the finding.
        surplus &= ~table.missing(where.column) if where.values else True
        table.report(findings, "blank-elsewhere", column.name, surplus, f"empty; filled {where}")


def _check_order(table: TypedTable, column: contract.Column, findings: Findings) -> None:
    # Comparisons with a missing value are false.
    if column.type == "date":
        wrong = table.dates[column.name] < table.dates[column.not_before]
    else:
        wrong = table.numbers[column.name] < table.numbers[column.not_before]
    starts = table.written(column.not_before, wrong)
    allowed = [f"not before {column.not_before}, {start}" for start in starts]
    table.report(findings, "order", column.name, wrong, allowed)


def _check_key(table: TypedTable, findings: Findings) -> None:
    key = table.spec.key
    usable = ~np.logical_or.reduce([table.missing(name) for name in key])
    code = _key_code(table)[usable]
    # Counting is cheaper than hashing, and mostly there is nothing to find.
    if code.max(initial=0) < 8 * len(table) and np.bincount(code).max(initial=0) <= 1:
        return
    again = usable.copy()
    again[usable] = pd.Series(code).duplicated().to_numpy()
    first = pd.Series(table.rows[usable]).groupby(code).first()
    allowed = [f"one row for each {', '.join(key)}; first in row {row}" for row in first[code[again[usable]]]]
    table.report(findings, "duplicate-key", key[-1], again, allowed)


def _key_code(table: TypedTable) -> npt.NDArray[np.int64]:
    """A whole number for each key; any where a part of the key is missing."""
    code = np.zeros(len(table), dtype=np.int64)
    for name in table.spec.key:
        part = table.text[name].codes if name in table.text else pd.factorize(table.numbers[name])[0]
        code = code * (int(part.max(initial=0)) + 1) + part
    return code


def _check_parameters(table: TypedTable, findings: Findings) -> None:
    """AVAL as its parameter asks."""
    for i, parameter in enumerate(parameters_of(table.spec.name).values()):
        rows = np.flatnonzero(table.parameter == i)
        for rule, check in schemas.checks(parameter).items():
            wrong = np.zeros(len(table), dtype=bool)
            wrong[rows] = schemas.breaking(check, table.numbers["AVAL"][rows])
            table.reject(findings, rule, "AVAL", wrong, parameter.allowed)


# Rules of adsl.


def _check_arm_labels(adsl: TypedTable, settings: Settings, findings: Findings) -> None:
    labels = (settings.treatment, settings.control)
    planned = adsl.text["TRT01P"].values
    found = list(dict.fromkeys([*planned, *adsl.text["TRT01A"].values]))
    unexpected = [label for label in found if label not in labels]
    absent = [label for label in labels if label not in planned]
    if labels[0] == labels[1] or not all(labels):
        _disregard_arms(adsl)  # That the settings do not name two arms is the finding.
        return
    named = f"treatment {labels[0]!r}, control {labels[1]!r}; for other labels set the parameters treatment and control"
    if unexpected and absent:
        near = "".join(suggestion(label, labels) for label in unexpected)
        findings.add("arm-label", "adsl", "TRT01P", value=", ".join(found), allowed=named + near)
        _disregard_arms(adsl)
        return
    for name in ("TRT01P", "TRT01A"):
        wrong = adsl.text[name].map([v not in labels for v in adsl.text[name].values], False)
        adsl.reject(findings, "arm-label", name, wrong, named, labels)


def _disregard_arms(adsl: TypedTable) -> None:
    """Make no further finding of arm labels."""
    for name in ("TRT01P", "TRT01A"):
        adsl.bad[name] = adsl.is_bad(name) | ~adsl.missing(name)
        adsl.text[name] = typed.Text.blank(len(adsl))


def _check_adsl(adsl: TypedTable, settings: Settings, findings: Findings) -> None:
    _check_study(adsl, findings)
    _check_ids(adsl, findings)
    _check_randomised(adsl, settings, findings)
    treated = ~adsl.missing("TRT01A")
    not_randomised = treated & adsl.text["RANDFL"].isin(("N",))
    adsl.report(findings, "treated-not-randomised", "TRT01A", not_randomised, "RANDFL Y", "warning")
    endless = treated & adsl.empty("EOSDY")
    adsl.report(findings, "end-of-study", "EOSDY", endless, "the last day seen in any table is used", "warning")
    height, weight = adsl.numbers["HEIGHTBL"], adsl.numbers["WEIGHTBL"]
    _check_derived(adsl, "BMIBL", deriving.body_mass_index(height, weight), findings)


def _check_study(adsl: TypedTable, findings: Findings) -> None:
    studies = adsl.text["STUDYID"]
    if len(studies.values) > 1:
        given = np.flatnonzero(studies.codes >= 0)
        other = int(given[studies.codes[given] != studies.codes[given[0]]][0])
        row, subject = int(adsl.rows[other]), adsl.written("USUBJID", np.arange(len(adsl)) == other)[0]
        found, allowed = ", ".join(studies.values), "one STUDYID in every row"
        findings.add("one-study", "adsl", "STUDYID", value=found, allowed=allowed, row=row, subject=subject)


def _check_randomised(adsl: TypedTable, settings: Settings, findings: Findings) -> None:
    """Somebody in each arm, and inside the protocol."""
    randomised = adsl.text["RANDFL"].isin(("Y",))
    certain = not adsl.is_bad("RANDFL").any()
    if certain and not randomised.any():
        findings.add("none-randomised", "adsl", "RANDFL", value=f"{len(adsl)} rows, none Y", allowed="at least one Y")
    elif certain and "TRT01P" in adsl.raw and not adsl.is_bad("TRT01P").any():
        for role, label in (("treatment", settings.treatment), ("control", settings.control)):
            if not (adsl.text["TRT01P"].isin((label,)) & randomised).any():
                allowed = f"participants in the {role} arm; if it has another label, set the parameter {role}"
                findings.add("empty-arm", "adsl", "TRT01P", value=f"nobody randomised to {label!r}", allowed=allowed)
    for column in adsl.spec.columns:
        if column.protocol:
            low, high = column.protocol
            values = adsl.numbers[column.name]
            outside = randomised & ((values < low) | (values > high))
            adsl.report(findings, "protocol", column.name, outside, f"protocol: {low:g} to {high:g}", "warning")


def _check_ids(adsl: TypedTable, findings: Findings) -> None:
    ids = adsl.text["USUBJID"]
    first: dict[str, str] = {}
    alike = {v: first[v.casefold()] for v in ids.values if first.setdefault(v.casefold(), v) != v}
    where = ids.isin(tuple(alike))
    allowed = [f"differs from {alike[v]!r} in case alone" for v in ids.to_numpy()[where]]
    adsl.report(findings, "case-only", "USUBJID", where, allowed, "warning")


def _check_derived(table: TypedTable, name: str, value: Floats, findings: Findings) -> None:
    """Warn where a derived column of the input differs from the derivation by more than its own rounding."""
    if name not in table.raw:
        return
    given = table.numbers[name]
    with np.errstate(invalid="ignore"):
        apart = np.abs(given - value) > 1e-9 * np.maximum(1, np.abs(value))
    differs = ~np.isnan(given) & (apart | np.isnan(value))
    rounding = 0.5 * 10.0 ** -typed.decimals(table.raw[name].filter(pa.array(differs)))
    near = np.abs(given[differs] - value[differs]) <= rounding * (1 + 1e-6)
    differs[differs] = ~near
    derived = ["missing" if np.isnan(v) else f"{v:.10g}" for v in value[differs]]
    table.report(findings, "derived-differs", name, differs, [f"{v} is derived and used" for v in derived], "warning")


# Rules across tables.


def _check_across(tables: Tables, settings: Settings, findings: Findings) -> None:
    adsl = tables["adsl"]
    # A participant may stand in a row that could not be read; and where there is none, that is the finding.
    known = "USUBJID" in adsl.raw and adsl.complete and len(adsl) > 0
    ids = adsl.text["USUBJID"].values
    # The first row of each id; a repeated one is reported as a duplicate key.
    row = np.full(len(ids) + 1, -1, dtype=np.int32)
    codes = adsl.text["USUBJID"].codes
    row[codes[codes >= 0][::-1]] = np.flatnonzero(codes >= 0)[::-1]
    for name, table in tables.items():
        table.subject = row[table.codes("USUBJID", ids)]
        if name != "adsl" and known:
            unknown = (table.subject < 0) & ~table.missing("USUBJID")
            near = _near_ids(ids) if unknown.any() else {}
            found = table.written("USUBJID", unknown)
            allowed = [f"a USUBJID of adsl{near.get(_bare_id(subject), '')}" for subject in found]
            table.report(findings, "unknown-subject", "USUBJID", unknown, allowed)
    randomised = adsl.text["RANDFL"].isin(("Y",))
    for name in ("adqs", "admi", "adis"):
        if name in tables:
            _check_visits(tables[name], randomised, settings, findings)
    if "adqs" in tables:
        _check_baseline(tables["adqs"], adsl, randomised, findings)
    if "adae" in tables:
        _check_events(tables["adae"], ~adsl.empty("TRT01A"), findings)


def _bare_id(subject: str) -> str:
    """An identifier as spreadsheets and people mistake it: without case, leading zeros and separators."""
    return re.sub(r"(?<![0-9])0+(?=[0-9])|[\W_]", "", subject.casefold())


def _near_ids(ids: list[str]) -> dict[str, str]:
    return {_bare_id(subject): f"; did you mean {subject!r}?" for subject in ids}


def _of(subject: Positions, flag: Mask) -> Mask:
    """A flag of participants, for rows of another table; False for unknown participants."""
    return np.append(flag, False)[subject]


def _check_visits(table: TypedTable, randomised: Mask, settings: Settings, findings: Findings) -> None:
    months = [int(month) for month in table.spec["AVISITN"].values]
    # Baseline has no window; the last entry stands for an unknown visit, position -1.
    width = np.array([*(settings.windows.get(month, np.inf) for month in months), np.inf])
    nominal = np.array([*(nominal_day(month) for month in months), 0])
    away = np.abs(table.numbers["ADY"] - nominal[table.visit]) > width[table.visit]
    if away.any():
        away &= _of(table.subject, randomised)
        for i, month in enumerate(months):
            allowed = f"day {nominal[i] - width[i]:g} to {nominal[i] + width[i]:g} (month {month})"
            table.report(findings, "visit-window", "ADY", away & (table.visit == i), allowed, "warning")
    given = [column.name for column in table.spec.columns if column.derived and column.name in table.raw]
    derived = deriving.changes(table) if given else {}
    for name in given:
        # Inputs may or may not say 'no change' at baseline itself.
        at_baseline = (table.visit == 0) & (name != "BASE")
        _check_derived(table, name, np.where(at_baseline, table.numbers[name], derived[name]), findings)


def _check_baseline(adqs: TypedTable, adsl: TypedTable, randomised: Mask, findings: Findings) -> None:
    """VASPAIN and ODI have a baseline, and the VAS baselines are as the protocol asks."""
    # A row counts as a baseline that a bad cell may have hidden: the bad cell, or the unread row, is the finding then.
    screened_only = _of(adqs.subject, adsl.text["RANDFL"].isin(("N",)))
    at_baseline = (adqs.visit == 0) | adqs.is_bad("AVISITN")
    measured = ~adqs.empty("AVAL") & at_baseline & ~screened_only
    paramcd = adqs.text["PARAMCD"]
    absent = [
        code for code in ("VASPAIN", "ODI") if not (measured & (paramcd.isin((code,)) | adqs.is_bad("PARAMCD"))).any()
    ]
    if absent and adqs.complete:
        allowed = "an AVAL at AVISITN 0 for " + " and ".join(f"{c} ({PARAMETERS[c].label})" for c in absent)
        findings.add("no-baseline", "adqs", "AVAL", value=f"no baseline of {' or '.join(absent)}", allowed=allowed)
    low = paramcd.isin(("VASPAIN",)) & (adqs.visit == 0)
    low &= (adqs.numbers["AVAL"] <= contract.PROTOCOL_VAS_ABOVE) & _of(adqs.subject, randomised)
    allowed = f"protocol: baseline VAS above {contract.PROTOCOL_VAS_ABOVE} mm"
    adqs.report(findings, "protocol", "AVAL", low, allowed, "warning")


def _check_events(adae: TypedTable, treated: Mask, findings: Findings) -> None:
    allowed = "a study day; empty counts as treatment-emergent"
    adae.report(findings, "blank-start", "ASTDY", adae.empty("ASTDY"), allowed, "warning")
    untreated = (adae.subject >= 0) & ~_of(adae.subject, treated)
    adae.report(findings, "never-treated", "USUBJID", untreated, "a participant with TRT01A", "warning")
