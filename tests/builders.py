"""Small data sets for tests: valid, deterministic, and changed one cell at a time."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from respine.trial.contract import PARAMETERS, TABLES, nominal_day

Change = Callable[[pd.DataFrame], pd.DataFrame] | pd.DataFrame
Tables = dict[str, pd.DataFrame]

DATASET = {"title": "Tiny trial", "synthetic": True, "source": "tests", "licence": "CC0", "cutoff": "2024-06-30"}

_COUNTRIES = ("ESP", "FRA", "ITA")
_LEVEL = {"VASPAIN": 68.0, "ODI": 42.0, "SF36PCS": 36.0, "SF36MCS": 47.0, "T2": 60.0, "PFIRR": 5.0}
_DRIFT = {"VASPAIN": -24.0, "ODI": -12.0, "T2": 1.5, "PFIRR": 0.2}
_SPREAD = {"VASPAIN": 26.0, "ODI": 16.0, "PFIRR": 1.9, "T2": 18.0}


def tiny_trial(
    folder: Path,
    *,
    per_arm: int = 7,
    treatment: str = "BM-MSC",
    control: str = "Sham",
    effect: float = 0.0,
    dataset: Mapping[str, Any] | None = DATASET,
    **changes: Change,
) -> Path:
    """Write a valid data set of ``2 * per_arm`` randomised and two screened participants as CSV files.

    Parameters
    ----------
    folder
        Made where it does not exist.
    treatment, control
        Arm labels in the data; others than the defaults also go to ``dataset.yml``.
    effect
        Extra VAS (mm) and half as much ODI improvement of the treatment arm at every visit.
    dataset
        ``dataset.yml``; None writes none.
    **changes
        By table, a new frame or a function from the frame to a new one; all cells are text, empty where missing.
    """
    tables = tiny_tables(per_arm=per_arm, treatment=treatment, control=control, effect=effect)
    for name, change in changes.items():
        tables[name] = change(tables[name]) if callable(change) else change
    folder.mkdir(parents=True, exist_ok=True)
    for name, table in tables.items():
        table.to_csv(folder / f"{name}.csv", index=False)
    if dataset is not None:
        labels = {"treatment": treatment, "control": control}
        content = dict(dataset) | ({} if (treatment, control) == ("BM-MSC", "Sham") else labels)
        (folder / "dataset.yml").write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")
    return folder


def put(row: int, **cells: str) -> Callable[[pd.DataFrame], pd.DataFrame]:
    """A change of one row, numbered as a spreadsheet does: the first after the header is 2; columns may be new."""

    def change(table: pd.DataFrame) -> pd.DataFrame:
        table = table.copy()
        for column, value in cells.items():
            if column not in table:
                table[column] = ""
            table.loc[row - 2, column] = value
        return table

    return change


def without(*columns: str) -> Callable[[pd.DataFrame], pd.DataFrame]:
    """A change that drops columns."""
    return lambda table: table.drop(columns=list(columns))


def row_of(table: pd.DataFrame, **cells: str) -> int:
    """The spreadsheet row of the first record with these cells."""
    match = pd.Series(True, index=table.index)
    for column, value in cells.items():
        match &= table[column] == value
    return int(match.to_numpy().argmax()) + 2 if match.any() else -1


def tiny_tables(*, per_arm: int = 7, treatment: str = "BM-MSC", control: str = "Sham", effect: float = 0.0) -> Tables:
    """The tables of :func:`tiny_trial`, all cells text."""
    adsl = _adsl(per_arm, treatment, control)
    randomised = [(i, row["USUBJID"], row["TRT01P"] == treatment) for i, row in enumerate(adsl) if row["RANDFL"] == "Y"]
    tables = {
        "adsl": adsl,
        "adqs": _assessments("adqs", randomised, effect),
        "admi": _assessments("admi", randomised, effect),
        "adis": _immune(randomised),
        "adae": _events([subject for _, subject, _ in randomised]),
        "adcm": _treatments([subject for _, subject, _ in randomised]),
    }
    return {name: pd.DataFrame(rows, columns=_columns(name, rows)) for name, rows in tables.items()}


def typed_tables(tables: Tables) -> Tables:
    """The same with numbers as float64 and dates as dates, as statistical formats store them."""
    result = {}
    for name, table in tables.items():
        typed = table.copy()
        for column in TABLES[name].columns:
            if column.name in typed and column.numeric:
                typed[column.name] = pd.to_numeric(typed[column.name])
            elif column.name in typed and column.type == "date":
                typed[column.name] = [None if v == "" else pd.Timestamp(v).date() for v in typed[column.name]]
        result[name] = typed
    return result


def write_gz(path: Path, text: str) -> None:
    """A gzipped text file."""
    path.write_bytes(gzip.compress(text.encode()))


def _columns(name: str, rows: list[dict[str, str]]) -> list[str]:
    return list(rows[0]) if rows else [c.name for c in TABLES[name].columns]


def _wobble(*keys: int) -> float:
    """A fixed number in [-0.5, 0.5) that looks random over its keys."""
    return zlib.crc32(repr(keys).encode()) / 2**32 - 0.5


def _adsl(per_arm: int, treatment: str, control: str) -> list[dict[str, str]]:
    rows = []
    for i in range(2 * per_arm + 2):
        randomised = i < 2 * per_arm
        arm = (treatment if i % 2 == 0 else control) if randomised else ""
        rows.append(
            {
                "STUDYID": "TINY",
                "USUBJID": f"T-{i + 1:03d}",
                "SITEID": f"{i % 4 + 1:02d}",
                "COUNTRY": _COUNTRIES[i // 2 % 3],
                "AGE": str(24 + i * 7 % 33),
                "SEX": "MF"[i // 2 % 2],
                "HEIGHTBL": f"{171 + 20 * _wobble(i, 1):.0f}",
                "WEIGHTBL": f"{76 + 30 * _wobble(i, 2):.1f}",
                "SMOKBL": ("NEVER", "FORMER", "CURRENT")[i % 3],
                "WORKBL": ("WORKING", "SICK LEAVE", "NOT WORKING")[i // 3 % 3],
                "PAINDUR": str(12 + 5 * (i % 9)),
                "DISCLVL": ("L4-L5", "L5-S1")[i // 2 % 2],
                "PFIRRBL": str(4 + i % 4),
                "MODICBL": str(i // 2 % 3),
                "OPIOIDBL": "Y" if i % 5 == 4 else "N",
                "RANDFL": "Y" if randomised else "N",
                "SCRFREAS": "" if randomised else "Baseline VAS too low",
                "TRT01P": arm,
                "TRT01A": arm,
                "RANDDT": f"2021-03-{i + 1:02d}" if randomised and i < 28 else "2021-04-01" if randomised else "",
                "TRTSDT": f"2021-04-{i % 28 + 2:02d}" if randomised else "",
                "PPROTFL": "" if not randomised else "N" if i == 5 else "Y",
                "DCSREAS": "LOST TO FOLLOW-UP" if randomised and i == 6 else "",
                "EOSDY": "" if not randomised else "190" if i == 6 else "731",
            }
        )
    return rows


def _assessments(table: str, randomised: list[tuple[int, str, bool]], effect: float) -> list[dict[str, str]]:
    rows = []
    for i, subject, treated in randomised:
        for k, p in enumerate(q for q in PARAMETERS.values() if q.table == table):
            for month in p.visits:
                # One participant leaves after month 6, another misses month 3.
                if (i == 6 and month > 6) or (i == 9 and month == 3):
                    continue
                value = _LEVEL.get(p.code, 50.0) + _SPREAD.get(p.code, 14.0) * (
                    _wobble(i, k) + 0.5 * _wobble(i, k, month)
                )
                if month:
                    value += _DRIFT.get(p.code, 4.0) * (1 + 1.4 * _wobble(i, 5))
                    value -= effect * {"VASPAIN": 1.0, "ODI": 0.5}.get(p.code, 0.0) * treated
                value = min(max(value, p.minimum), p.maximum or value)
                rows.append(
                    {
                        "USUBJID": subject,
                        "PARAMCD": p.code,
                        "AVISITN": str(month),
                        "ADY": str(nominal_day(month) + (i + month) % 9 - 4 if month else 1),
                        "AVAL": f"{value:.0f}" if p.integer else f"{value:.1f}",
                    }
                )
    return rows


def _immune(randomised: list[tuple[int, str, bool]]) -> list[dict[str, str]]:
    rows = []
    for i, subject, treated in randomised:
        for k, code in enumerate(("DSA1", "DSA2")):
            for month in PARAMETERS[code].visits:
                value = 300 + 200 * _wobble(i, k, month) + (2400 if treated and month and i % 4 == 0 else 0)
                positive = "POSITIVE" if value > 1000 else "NEGATIVE"
                rows.append(
                    {
                        "USUBJID": subject,
                        "PARAMCD": code,
                        "AVISITN": str(month),
                        "ADY": str(nominal_day(month)),
                        "AVAL": f"{value:.0f}",
                        "AVALC": positive,
                    }
                )
    return rows


def _events(subjects: list[str]) -> list[dict[str, str]]:
    kinds = (
        ("Pain in the back after the injection", "Back pain", "Musculoskeletal and connective tissue disorders"),
        ("Headache", "Headache", "Nervous system disorders"),
        ("Common cold", "Nasopharyngitis", "Infections and infestations"),
        ("Feeling sick", "Nausea", "Gastrointestinal disorders"),
    )
    rows = []
    for n, subject in enumerate(subjects):
        for sequence in range(n % 3):
            term, decoded, organ = kinds[(n + sequence) % 4]
            start = 3 + 41 * n % 300 + 20 * sequence
            rows.append(
                {
                    "USUBJID": subject,
                    "AESEQ": str(sequence + 1),
                    "AETERM": term,
                    "AEDECOD": decoded,
                    "AEBODSYS": organ,
                    "AESEV": ("MILD", "MODERATE", "SEVERE")[(n + sequence) % 3],
                    "AESER": "Y" if n == 8 else "N",
                    "AEREL": ("NOT RELATED", "UNLIKELY", "POSSIBLE", "PROBABLE")[(n + 2 * sequence) % 4],
                    "ASTDY": str(start),
                    "AENDY": str(start + 4) if sequence == 0 else "",
                    "AEOUT": "RECOVERED",
                    "AEACN": "NONE",
                }
            )
    return rows


def _treatments(subjects: list[str]) -> list[dict[str, str]]:
    # Position, drug or procedure, category, day: the spinal injection and the surgery are rescues; the opioid of an
    # opioid user is not.
    given = (
        (1, "Paracetamol", "ANALGESIC", "-20"),
        (2, "Epidural steroid injection", "SPINAL INJECTION", "150"),
        (3, "Discectomy", "SURGERY", "400"),
        (4, "Tramadol", "OPIOID", "60"),
        (5, "Physiotherapy", "OTHER", ""),
    )
    return [
        {"USUBJID": subjects[i], "CMSEQ": "1", "CMDECOD": name, "CMCAT": category, "ASTDY": day, "AENDY": ""}
        for i, name, category, day in given
        if i < len(subjects)
    ]
