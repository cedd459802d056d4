"""Empty tables to fill, with the data dictionary and a filled example: where a new data set starts."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from respine.trial.contract import (
    DEFAULT_CONTROL,
    DEFAULT_TREATMENT,
    DEFAULT_WINDOWS,
    PARAMETERS,
    TABLES,
    Table,
    data_dictionary,
)

if TYPE_CHECKING:
    import pandas as pd

Format = Literal["csv", "xlsx"]
FORMATS: tuple[Format, ...] = ("csv", "xlsx")
DICTIONARY, CODES, EXAMPLE, WORKBOOK = "data-dictionary.csv", "parameter-codes.csv", "example", "trial.xlsx"
_PER_ARM = 8
# The example of this seed is without findings and has a rescue.
_SEED = 5
_SETTINGS = f"""\
# What the data set says of itself; every line may be left out.
title: ''
synthetic: false        # true puts the notice "synthetic data" on every page
source: ''
licence: ''
# cutoff: '2025-12-31'  # data cut-off, YYYY-MM-DD
treatment: {DEFAULT_TREATMENT}       # the labels that TRT01P and TRT01A of adsl use
control: {DEFAULT_CONTROL}
# windows: {DEFAULT_WINDOWS}  # days by which a visit may miss its nominal day, by month
"""

Tables = Mapping[str, tuple[list[str], Iterable[Iterable[Any]]]]
"""By name, the columns and the rows."""


def columns_to_fill(table: Table) -> list[str]:
    """The columns an author brings: those of the contract that are not derived."""
    return [column.name for column in table.columns if not column.derived]


def write_template(folder: Path, format: Format) -> None:
    """Write empty tables, ``dataset.yml``, the dictionary of columns and codes, and a small synthetic example.

    Parameters
    ----------
    folder
        Made where it does not exist.
    format
        ``csv``: one file a table; ``xlsx``: one workbook with a sheet a table.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _write_tables(folder, {name: (columns_to_fill(table), ()) for name, table in TABLES.items()}, format)
    (folder / "dataset.yml").write_text(_SETTINGS, encoding="utf-8", newline="\n")
    data_dictionary().to_csv(folder / DICTIONARY, index=False, lineterminator="\n", encoding="utf-8")
    _write_codes(folder / CODES)
    _write_example(folder / EXAMPLE, format)


def _write_tables(folder: Path, tables: Tables, format: Format) -> None:
    if format == "xlsx":
        _write_workbook(folder / WORKBOOK, tables)
        return
    for name, (columns, rows) in tables.items():
        _write_csv(folder / f"{name}.csv", columns, rows)


def _write_csv(path: Path, columns: Iterable[str], rows: Iterable[Iterable[Any]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)


def _write_workbook(path: Path, tables: Tables) -> None:
    from openpyxl import Workbook
    from openpyxl.styles import Font

    book = Workbook()
    del book["Sheet"]
    for name, (columns, rows) in tables.items():
        sheet = book.create_sheet(name)
        sheet.append(columns)
        for row in rows:
            sheet.append(list(row))
        for cell, column in zip(sheet[1], columns, strict=True):
            cell.font = Font(bold=True)
            # Identifiers and dates are text: a spreadsheet would drop leading zeros and swap day and month.
            text = not TABLES[name][column].numeric
            sheet.column_dimensions[cell.column_letter].number_format = "@" if text else "General"
            sheet.column_dimensions[cell.column_letter].width = max(10, len(column) + 2)
        sheet.freeze_panes = "A2"
    book.save(path)


def _write_codes(path: Path) -> None:
    header = ("table", "PARAMCD", "label", "unit", "months", "allowed", "better")
    rows = (
        (p.table, code, p.label, p.unit, ", ".join(map(str, p.visits)), p.allowed, p.better)
        for code, p in PARAMETERS.items()
    )
    _write_csv(path, header, rows)


def _write_example(folder: Path, format: Format) -> None:
    from respine.trial import synthetic

    spec = synthetic.SimulationSpec(n_treatment=_PER_ARM, n_control=_PER_ARM, title="Example: a synthetic trial")
    tables = synthetic.simulate_trial(spec, _SEED)
    in_files = tables if format == "csv" else {}
    synthetic.write_dataset(in_files, synthetic.dataset_info(spec), folder)
    if format == "xlsx":
        _write_workbook(folder / WORKBOOK, {name: _cells(table) for name, table in tables.items()})


def _cells(table: pd.DataFrame) -> tuple[list[str], list[list[Any]]]:
    return list(table.columns), table.astype(object).mask(table.isna(), None).to_numpy().tolist()
