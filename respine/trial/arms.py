"""The arms that a data set has, before it is checked: soon enough to refuse a label it does not have."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Sequence
from pathlib import Path

from respine.trial.reading import Source, locate
from respine.trial.sheet import UnreadableError, cell_text

_COLUMN = "TRT01P"


def planned_arms(data: Path) -> set[str]:
    """Labels of the planned arms as they stand in ``adsl``; nothing where that cannot be read, which checking explains.

    Parameters
    ----------
    data
        Folder of the tables, or one workbook.
    """
    try:
        (source,) = locate(data)[0]["adsl"]
        # What is no file may be a pipe, which would be waited for.
        cells = _cells(source) if source.path.is_file() else []
    except (OSError, EOFError, ValueError, StopIteration, csv.Error, UnreadableError):
        return set()
    return {cell_text(cell).strip() for cell in cells if cell is not None} - {""}


def _cells(source: Source) -> Sequence[object]:
    """The column's cells. CSV and workbooks have quicker readers than those that see everything checking looks for."""
    if source.sheet:
        return _in_workbook(source)
    if source.path.name.lower().endswith((".csv", ".csv.gz")):
        return _in_csv(source.path)
    sheet = source.read()
    return sheet.cells(_place(sheet.names))


def _in_csv(path: Path) -> list[object]:
    opened = gzip.open if path.suffix.lower() == ".gz" else open
    with opened(path, "rt", encoding="utf-8-sig", newline="") as stream:
        rows = csv.reader(stream)
        place = _place(next(rows))
        return [row[place] for row in rows if len(row) > place]


def _in_workbook(source: Source) -> list[object]:
    from python_calamine import CalamineError, CalamineWorkbook

    try:
        with CalamineWorkbook.from_path(source.path) as book:
            cells = book.get_sheet_by_name(source.sheet).to_python()
    except CalamineError as error:
        raise ValueError(str(error)) from error
    header, *rows = (row for row in cells if any(cell != "" for cell in row))
    place = _place([str(cell) for cell in header])
    return [row[place] for row in rows]


def _place(names: list[str]) -> int:
    return [name.strip().upper() for name in names].index(_COLUMN)
