"""``results.csv`` read back: the same rows that the chapters published, with chapter and cell."""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from respine.book.failures import RefusedError
from respine.results import COLUMNS, Result

RESULTS_FILE = "results.csv"
_FLOATS = ("value", "lower", "upper", "level", "p", "se", "df", "visit")
_INTEGERS = ("n", "n_treatment", "n_control", "digits")
_FORMULA_START = ("'=", "'+", "'-", "'@", "'\t", "'\r")


@dataclass(frozen=True, slots=True)
class PlacedResult:
    """A result and the cell that made it."""

    result: Result
    chapter: str
    cell: str


def read_results(path: Path) -> dict[str, PlacedResult]:
    """Results by id from a report's folder or its ``results.csv``."""
    file = path / RESULTS_FILE if path.is_dir() else path
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            rows = list(csv.DictReader(stream))
    except OSError:
        raise RefusedError(f"there is no {RESULTS_FILE} at {path}") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise RefusedError(f"{file} is not a results table: {error}") from None
    missing = [name for name in ("id", "value", "statistic") if rows and name not in rows[0]]
    if missing or not rows:
        raise RefusedError(f"{file} is not a results table: it has no {'column ' + missing[0] if missing else 'rows'}")
    try:
        return {row["id"]: _placed(row) for row in rows}
    except (ValueError, TypeError) as error:
        raise RefusedError(f"{file} is not a results table: {error}") from None


def _placed(row: dict[str, str]) -> PlacedResult:
    values: dict[str, Any] = {name: _value(name, row.get(name) or "") for name in COLUMNS}
    return PlacedResult(Result(**values), row.get("chapter") or "", row.get("cell") or "")


def _value(name: str, text: str) -> float | int | str | None:
    if name in _FLOATS:
        return float(text) if text else (None if name == "visit" else math.nan)
    if name in _INTEGERS:
        return int(text) if text else None
    # A leading apostrophe keeps spreadsheets from running text as a formula; it is not part of the text.
    return text[1:] if text.startswith(_FORMULA_START) else text
