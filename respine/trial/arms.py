"""The arms that a data set has, before it is checked: soon enough to refuse a label it does not have."""

from __future__ import annotations

import csv
import gzip
from pathlib import Path

_COLUMN = "TRT01P"


def planned_arms(data: Path) -> set[str]:
    """Labels of the planned arms as they stand in ``adsl``; nothing where that cannot be read, which checking explains.

    Parameters
    ----------
    data
        Folder of the tables, or one workbook.
    """
    files = sorted(data.iterdir()) if data.is_dir() else []
    plain = [path for path in files if path.name.lower() in ("adsl.csv", "adsl.csv.gz")]
    # CSV needs none of the libraries that the other formats wait for.
    return _in_csv(plain[0]) if plain else _in_any(data)


def _in_csv(path: Path) -> set[str]:
    opened = gzip.open if path.suffix.lower() == ".gz" else open
    try:
        with opened(path, "rt", encoding="utf-8-sig", newline="") as stream:
            rows = csv.reader(stream)
            place = _place(next(rows))
            return {row[place].strip() for row in rows if len(row) > place} - {""}
    except (OSError, EOFError, ValueError, StopIteration, csv.Error):
        return set()


def _in_any(data: Path) -> set[str]:
    from respine.trial.reading import locate
    from respine.trial.sheet import UnreadableError, cell_text

    try:
        (source,) = locate(data)[0]["adsl"]
        sheet = source.read()
        cells = set(sheet.cells(_place(sheet.names)))
    except (OSError, ValueError, UnreadableError):
        return set()
    return {cell_text(cell).strip() for cell in cells if cell is not None} - {""}


def _place(names: list[str]) -> int:
    return [name.strip().upper() for name in names].index(_COLUMN)
