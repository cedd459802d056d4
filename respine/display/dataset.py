"""The data set in tables and sentences: where it comes from, what it holds, what is assumed in it."""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping
from typing import Any, cast

import pandas as pd

from respine.analyses.dataset import TABLES
from respine.analyses.study import Study
from respine.display import wording
from respine.display.numbers import format_result
from respine.display.outputs import Row, Table
from respine.display.tables import EMPTY
from respine.results import Results

STUDY = "RESPINE"
"""How the study identifier of the trial begins that the manuscript was written for."""


def provenance_table(study: Study) -> Table:
    """What the data set says of itself, and the hashes of its tables."""
    info = study.trial.info
    rows = [
        Row("Title", (info.title,)),
        Row("Study identifier", (info.studyid,)),
        Row("Synthetic", ("yes" if info.synthetic else "no",)),
        Row("Source", (info.source or EMPTY,)),
        Row("Licence", (info.licence or EMPTY,)),
        Row("Data cut-off", (str(info.cutoff) if info.cutoff else EMPTY,)),
        Row("Treatment", (info.treatment,)),
        Row("Control", (info.control,)),
    ]
    rows += [
        Row(name, (_broken(digest),), "SHA-256 of the content of each table") for name, digest in info.sha256.items()
    ]
    return Table(
        label="tbl-provenance",
        caption="The data set of this report.",
        columns=("", "Value"),
        rows=tuple(rows),
        text_columns=frozenset({1}),
        notes=(
            "The hashes are of the tables' typed content, so that the same data in another file format give the same.",
        ),
    )


def _broken(digest: str) -> str:
    """A hash in groups of eight, so that a narrow column can break it."""
    return " ".join(digest[i : i + 8] for i in range(0, len(digest), 8))


def contents_table(results: Results) -> Table:
    """Rows and participants of each table."""
    rows = tuple(
        Row(
            f"{title} ({name})",
            (format_result(results[f"data.rows.{name}"]), format_result(results[f"data.subjects.{name}"])),
        )
        for name, title in TABLES.items()
    )
    return Table(
        label="tbl-contents",
        caption="Tables of the data set.",
        columns=("Table", "Rows", "Participants"),
        rows=rows,
        notes=("Participants include those screened and not randomised.",),
        results=tuple(r for r in results if r != "data.warnings"),
    )


def warnings_table(warnings: pd.DataFrame) -> Table:
    """Warnings of the data check, counted by rule; no participant is named."""
    counted = (
        warnings.groupby(["table", "column", "rule"], dropna=False).size() if len(warnings) else pd.Series(dtype=int)
    )
    rows = [
        Row(".".join(filter(None, key[:2])), (key[2].replace("-", " "), str(n)))
        for key, n in ((tuple(map(str, cast(tuple[str, str, str], k))), n) for k, n in counted.items())
    ]
    return Table(
        label="tbl-warnings",
        caption="Warnings of the data check, by rule.",
        columns=("Column", "Rule", "Findings"),
        rows=tuple(rows or [Row("None", (EMPTY, EMPTY))]),
        text_columns=frozenset({1}),
        notes=("A warning is listed and does not stop the report; an error does.",),
    )


def dictionary_table(dictionary: pd.DataFrame) -> Table:
    """The data contract, column by column."""
    rows = tuple(
        Row(
            str(row["column"]),
            (row["label"], row["type"], _unit(row["values"]), row["need"]),
            f"{row['table']}: {TABLES[row['table']]}",
        )
        for row in dictionary.to_dict("records")
    )
    return Table(
        label="tbl-dictionary",
        caption="Data dictionary: the columns that a data set may have, and what they may hold.",
        columns=("Column", "Meaning", "Type", "Values", "Need"),
        rows=rows,
        text_columns=frozenset({1, 2, 3, 4}),
        notes=("Names and codes follow CDISC ADaM. Further columns are carried along and never needed.",),
    )


def assumptions_table(assumptions: pd.DataFrame) -> Table:
    """Every number that the simulation of the shipped data set starts from, and whether it is published or assumed."""
    rows, above = [], ("", "")
    # A term of the adverse events has several rows that say one thing together: they become one line.
    keys = assumptions["quantity"].str.replace(r"^(ae\..+)\.\w+$", r"\1", regex=True)
    for quantity, together in assumptions.groupby(keys, sort=False):
        group, _, name = str(quantity).partition(".")
        parts = together.to_dict("records")
        value = _with_unit(parts[0]) if len(parts) == 1 else "; ".join(_part(part) for part in parts)
        reason = (_group(group), str(parts[0]["reason"]))
        said = "" if reason == above else reason[1]
        rows.append(Row(name.replace("_", " "), (value, str(parts[0]["status"]), said), reason[0]))
        above = reason
    return Table(
        label="tbl-assumptions",
        caption="What the synthetic data set is simulated from.",
        columns=("Quantity", "Value", "Status", "Reason"),
        rows=tuple(rows),
        text_columns=frozenset({1, 2, 3}),
        notes=(
            "Published: calibrated to a published value. Assumed: plausible for chronic low back pain, and no more. A "
            "line without a reason shares that of the line above.",
            "Adverse events: rate, probabilities of being procedural, related or serious where not zero, and median "
            "duration.",
        ),
    )


# A hyphen before a number, not that of a range, a date or a name.
_MINUS = re.compile(r"(?<![\w.])-(?=\d)")
_GROUPS = {
    "vas": "Pain (VAS)", "odi": "Disability (ODI)", "sf36": "SF-36", "latent": "Latent severity", "t2": "Disc T2",
    "dsa": "Anti-HLA antibodies", "ae": "Adverse events", "shipped": "Shipped data set", "missing": "Missing data",
}  # fmt: skip


def _group(name: str) -> str:
    """The heading of a group of assumptions: ``sf36pf`` is a scale of the SF-36."""
    if name.startswith("sf36") and name != "sf36":
        return f"SF-36 {name.removeprefix('sf36').upper()}"
    return _GROUPS.get(name, name.replace("_", " ").capitalize())


def _with_unit(row: Mapping[Hashable, Any]) -> str:
    value = _MINUS.sub("\N{MINUS SIGN}", str(row["value"]))
    return f"{value} ({_unit(row['unit'])})" if row["unit"] else value


def _unit(text: str) -> str:
    return str(text).replace("m2", "m²")


def _part(row: Mapping[Hashable, Any]) -> str:
    """One of several numbers of a line: probabilities by their name, others by their unit."""
    name = str(row["quantity"]).rpartition(".")[2]
    unit = str(row["unit"]).partition(":")[0]
    return f"{name} {row['value']}" if unit == "probability" else f"{row['value']} {unit}"


def sentences(results: Results, study: Study, warnings: pd.DataFrame) -> Results:
    """The notice that hangs on ``synthetic``, and the key finding of the chapter."""
    said = Results()
    info = study.trial.info
    title = wording.literal(info.title)
    if info.synthetic:
        notice = (
            "Patient-level data are not public. The data behind this report are synthetic: simulated, with no real "
            "participant. No number in it is a result of the trial."
        )
        origin = (
            "It is marked as synthetic. The package's own simulation, with its default settings, is calibrated to what "
            "is published of RESPINE and to nothing else; every assumption is listed below."
        )
    else:
        notice = f"The data are those of {title}{f', cut off on {info.cutoff}' if info.cutoff else ''}."
        origin = "It is not marked as synthetic."
    if not info.studyid.upper().startswith(STUDY):
        notice += (
            f" This report was written for {STUDY}: its title, background, registration and published numbers are that "
            f"trial's, all other numbers those of {wording.literal(info.studyid)}."
        )
    said.state("data.notice", notice)
    n = len(warnings)
    found = f"its check gave {'no warning' if not n else 'one warning' if n == 1 else '{data.warnings} warnings'}"
    found += " and no error"
    said.state("data.key", f"The report is computed from the data set “{title}”; {found}. {origin}")
    return said
