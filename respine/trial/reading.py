"""Reading: which file holds which table, and its cells as they stand there.

A data set is a folder with one file a table, ``<table>.<extension>``, or with one Excel workbook that has one sheet a
table. A further format is one function in :data:`READERS`.
"""

from __future__ import annotations

import datetime as dt
import json
import re
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from respine.trial.contract import TABLES
from respine.trial.sheet import Problem, Sheet, UnreadableError, cell_text

_NUMBER_COLUMNS = frozenset(c.name for t in TABLES.values() for c in t.columns if c.numeric)


def _is_number(name: str) -> bool:
    return name.strip().upper() in _NUMBER_COLUMNS


# What reads a format is loaded with the first file of it: a label is looked up before most of them could be.
def _read_csv(path: Path) -> Sheet:
    from respine.trial.csvfile import read_csv

    return read_csv(path, _is_number)


def _read_parquet(path: Path) -> Sheet:
    import pyarrow.parquet

    with pyarrow.parquet.ParquetFile(path) as file:
        return Sheet.from_arrow(file.read())


def _pyreadstat(function: str) -> Callable[[Path], Sheet]:
    """SAS, SPSS and Stata by pyreadstat: formats become dates, missing values null.

    A value label is what a number stands for where the contract asks for text: 1 labelled ``M`` is M. Numbers stay
    numbers where it asks for those, and text stays text.
    """

    def read(path: Path) -> Sheet:
        import numpy as np
        import pyreadstat

        found, meta = getattr(pyreadstat, function)(str(path), output_format="dict")
        for name, labels in meta.variable_value_labels.items():
            cells = found[name]
            if not _is_number(name) and all(c is None or isinstance(c, (int, float)) for c in cells):
                found[name] = [None if c is None else str(labels.get(c, cell_text(c))) for c in cells]
        columns = list(found.values())
        return Sheet(list(found), columns, np.arange(2, len(columns[0]) + 2 if columns else 2))

    return read


def _read_dataset_json(path: Path) -> Sheet:
    """CDISC Dataset-JSON 1.1: one JSON object; as NDJSON, the metadata in the first line and one row a line."""
    import numpy as np

    with path.open(encoding="utf-8-sig") as file:
        if path.suffix.lower() == ".ndjson":
            head, *rows = [_json(line) for line in file if line.strip()] or [None]
        else:
            head = _json(file.read())
            rows = (head.get("rows") or []) if isinstance(head, dict) else []
    try:
        names = [str(column["name"]) for column in head["columns"]]
        widths = [len(row) if isinstance(row, list) else -1 for row in rows]
    except (TypeError, KeyError) as error:
        allowed = "Dataset-JSON 1.1: one object with 'columns', each with a 'name', and 'rows', each a list"
        raise UnreadableError("unreadable", value=path.name, allowed=allowed) from error
    numbers = np.array([number for number, width in enumerate(widths, 2) if width == len(names)], dtype=np.int64)
    problems = [
        Problem("ragged-row", number, _json_row(rows[number - 2]), f"a list of {len(names)} cells, one a column")
        for number, width in enumerate(widths, 2)
        if width != len(names)
    ]
    whole = [rows[number - 2] for number in numbers]
    # A 'decimal' travels as text, to keep its digits: it is text here too and converted like a CSV cell.
    columns = [[row[i] for row in whole] for i in range(len(names))]
    return Sheet(names, columns, numbers, problems)


def _json(text: str) -> Any:
    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} is no JSON; a missing number is null")

    return json.loads(text, parse_constant=refuse)


def _json_row(row: object) -> str:
    return f"{len(row)} cells" if isinstance(row, list) else type(row).__name__


READERS: Mapping[str, Callable[[Path], Sheet]] = {
    "csv": _read_csv,
    "csv.gz": _read_csv,
    "parquet": _read_parquet,
    "xpt": _pyreadstat("read_xport"),
    "sas7bdat": _pyreadstat("read_sas7bdat"),
    "sav": _pyreadstat("read_sav"),
    "dta": _pyreadstat("read_dta"),
    "json": _read_dataset_json,
    "ndjson": _read_dataset_json,
}
"""How a file is read, by extension."""

WORKBOOK = "xlsx"
FORMATS = (*READERS, WORKBOOK)


@dataclass(frozen=True, slots=True)
class Source:
    """Where one table stands: a file, or a sheet of a workbook."""

    table: str
    path: Path
    sheet: str = ""

    def __str__(self) -> str:
        return f"{self.path.name}: sheet {self.sheet}" if self.sheet else self.path.name

    def read(self) -> Sheet:
        """The table's cells.

        Raises
        ------
        UnreadableError
            Whatever is wrong with the file.
        """
        if not self.path.is_file():
            # A folder, a link to nothing, or a pipe, which would be waited for.
            raise UnreadableError("unreadable", value=f"{self.path.name} is not a file", allowed="a file")
        try:
            if self.sheet:
                return _read_workbook_sheet(self.path, self.sheet)
            return READERS[_extension(self.path)](self.path)
        except UnreadableError:
            raise
        except Exception as error:  # parsers of damaged files raise anything
            reason = error.strerror if isinstance(error, OSError) else str(error).strip().partition("\n")[0]
            reason = reason or type(error).__name__
            raise UnreadableError("unreadable", value=f"{self}: {reason}", allowed="a file of this format") from error


def _extension(path: Path) -> str:
    """What follows the first dot, lower case: ``csv.gz``."""
    return path.name.partition(".")[2].lower()


def _stem(path: Path) -> str:
    return path.name.partition(".")[0].lower()


def locate(folder: Path) -> tuple[dict[str, list[Source]], list[Path]]:
    """Sources of each table (more than one is the caller's error), and files named as a table in an unknown format.

    ``folder`` may also be one workbook.

    Raises
    ------
    UnreadableError
        A workbook that cannot be opened.
    """
    sources: dict[str, list[Source]] = {table: [] for table in TABLES}
    unknown = []
    for path in [folder] if folder.is_file() else sorted(folder.iterdir()):
        # Excel keeps a lock file '~$name.xlsx' beside an open workbook.
        if path.suffix.lower() == f".{WORKBOOK}" and path.is_file() and not path.name.startswith("~$"):
            for source in _workbook_sources(path):
                sources[source.table].append(source)
        elif _stem(path) in TABLES:
            if _extension(path) in READERS:
                sources[_stem(path)].append(Source(_stem(path), path))
            else:
                unknown.append(path)
    return sources, unknown


def _workbook_sources(path: Path) -> Iterator[Source]:
    from python_calamine import CalamineWorkbook

    try:
        with CalamineWorkbook.from_path(path) as book:
            names = book.sheet_names
    except Exception as error:  # a damaged zip or XML raises anything
        if _stem(path) in TABLES:
            # Reading it will say what is wrong, beside what is wrong with the other tables.
            yield Source(_stem(path), path, _stem(path))
            return
        raise UnreadableError("unreadable", value=f"{path.name}: {error}", allowed="an Excel workbook") from error
    if len(names) == 1 and _stem(path) in TABLES:
        yield Source(_stem(path), path, names[0])
        return
    for name in names:
        if name.strip().lower() in TABLES:
            yield Source(name.strip().lower(), path, name)


def _read_workbook_sheet(path: Path, name: str) -> Sheet:
    import numpy as np
    import openpyxl

    book = openpyxl.load_workbook(path, read_only=True, data_only=True)
    try:
        # The stated dimension can be stale; the rows themselves are not.
        book[name].reset_dimensions()
        filled = [(i, row) for i, row in enumerate(book[name].iter_rows(values_only=True), 1) if _filled(row)]
    finally:
        book.close()
    if not filled:
        raise UnreadableError("no-header", value=name, allowed="a header and one row a record")
    problems = _formulas_without_values(path, name, dict(filled))
    header = list(filled[0][1])
    while header and header[-1] is None:
        header.pop()
    rows = filled[1:]
    width = max(len(header), *(len(row) for _, row in rows)) if rows else len(header)
    names = ["" if cell is None else str(cell) for cell in chain(header, [None] * (width - len(header)))]
    cells = [[_excel_cell(row[i]) if i < len(row) else None for _, row in rows] for i in range(width)]
    keep = [i for i in range(width) if names[i] or any(cell is not None for cell in cells[i])]
    return Sheet(
        [names[i] for i in keep],
        [cells[i] for i in keep],
        np.array([i for i, _ in rows], dtype=np.int64),
        problems,
    )


def _formulas_without_values(path: Path, name: str, filled: Mapping[int, tuple[Any, ...]]) -> list[Problem]:
    """Formulas that no spreadsheet program has calculated yet: their cells would look empty."""
    import openpyxl

    with zipfile.ZipFile(path) as parts:
        sheets = [part for part in parts.namelist() if part.startswith("xl/worksheets/") and part.endswith(".xml")]
        if not any(re.search(rb"<f[ >/]", parts.read(part)) for part in sheets):
            return []
    book = openpyxl.load_workbook(path, read_only=True)
    try:
        book[name].reset_dimensions()
        return [
            Problem("formula", row, cell, "a value; open the workbook in a spreadsheet program and save it")
            for row, cells in enumerate(book[name].iter_rows(values_only=True), 1)
            for column, cell in enumerate(cells)
            if isinstance(cell, str) and cell.startswith("=") and _cell(filled.get(row, ()), column) is None
        ]
    finally:
        book.close()


def _cell(row: Sequence[object], column: int) -> object:
    return row[column] if column < len(row) else None


def _filled(row: Iterable[object]) -> bool:
    return any(cell is not None and cell != "" for cell in row)


def _excel_cell(value: Any) -> object:
    """Excel has no type for days: a date-time at midnight is one."""
    if isinstance(value, dt.datetime) and value.time() == dt.time():
        return value.date()
    return value
