"""Cells to typed values: text, numbers, dates; what does not convert is marked, never guessed.

Only an empty cell is missing. Text and dates are converted once a distinct value; numbers in one go.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from respine.trial.days import iso_day
from respine.trial.sheet import cell_text

Mask = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int32]

_NUMBER = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$"


@dataclass(frozen=True, slots=True)
class Text:
    """A text column: ``values[codes]``, code -1 where missing; values distinct, sorted."""

    codes: Codes
    values: list[str]

    @classmethod
    def blank(cls, n: int) -> Text:
        """All missing."""
        return cls(np.full(n, -1, dtype=np.int32), [])

    def to_numpy(self) -> npt.NDArray[np.object_]:
        """One object a row, equal text shared; NaN where missing."""
        lookup = np.array([*self.values, math.nan], dtype=object)
        return lookup[self.codes]

    def isin(self, values: tuple[str, ...]) -> Mask:
        """Whether each cell is one of ``values``; False where missing."""
        return self.map([value in values for value in self.values], False)

    def map(self, result: list[bool], missing: bool) -> Mask:
        """``result`` (one a distinct value) for every cell."""
        return np.array([*result, missing], dtype=bool)[self.codes]

    def without(self, bad: Mask) -> Text:
        """The column with some cells made missing."""
        return Text(np.where(bad, np.int32(-1), self.codes), self.values) if bad.any() else self


def encode(column: pa.ChunkedArray) -> tuple[Codes, list[object]]:
    """Distinct cells and which of them each row holds (-1: null)."""
    if pa.types.is_null(column.type) or not len(column):
        return np.full(len(column), -1, dtype=np.int32), []
    if pa.types.is_string_view(column.type):
        column = column.cast(pa.string())
    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    array = column.unify_dictionaries().combine_chunks()
    if isinstance(array, pa.ChunkedArray):
        array = array.chunk(0)
    codes = array.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int32)
    return codes, array.dictionary.to_pylist()


def text(column: pa.ChunkedArray) -> Text:
    """Cells as trimmed text."""
    codes, cells = encode(column)
    trimmed = [cell.strip() if isinstance(cell, str) else _trimmed(cell) for cell in cells]
    # Formats may list values that no row holds.
    used = np.zeros(len(cells) + 1, dtype=bool)
    used[codes] = True
    values = sorted({value for value, seen in zip(trimmed, used, strict=False) if seen and value})
    # Sorted, so that equal columns are equal whatever order a file keeps its distinct values in.
    place = {value: i for i, value in enumerate(values)}
    target = np.array([*(place.get(value, -1) for value in trimmed), -1], dtype=np.int32)
    return Text(target[codes], values)


def _trimmed(cell: object) -> str:
    """A cell as trimmed text, empty where missing (None or NaN)."""
    return "" if cell is None or cell != cell else cell_text(cell).strip()


def numbers(column: pa.ChunkedArray) -> tuple[Floats, Mask]:
    """Cells as float64, NaN where missing or bad; and which are bad.

    Text must be digits with at most one point, a sign and an exponent: no ``NA``, ``inf``, comma, blank or hexadecimal.
    In formats that type their numbers a NaN is how a missing value is stored.
    """
    kind = column.type
    if pa.types.is_dictionary(kind):
        column = column.cast(kind.value_type)
        kind = kind.value_type
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        values = _floats(column)
        bad = np.isinf(values)
        return (np.where(bad, np.nan, values), bad) if bad.any() else (values, bad)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        column = column.cast(pa.string())
        return _numbers_from_text(column)
    given = column.is_valid().to_numpy()
    return np.full(len(column), np.nan), given


def _floats(column: pa.ChunkedArray) -> Floats:
    return np.array(column.cast(pa.float64(), safe=False).to_numpy(), dtype=np.float64)


def _numbers_from_text(column: pa.ChunkedArray) -> tuple[Floats, Mask]:
    try:
        values = _floats(column)
    except pa.ArrowInvalid:
        pass
    else:
        # The cast also takes 'nan' and 'inf'.
        if np.isfinite(values).sum() == len(column) - column.null_count:
            return values, np.zeros(len(values), dtype=bool)
    trimmed = pc.utf8_trim_whitespace(column)
    plain = pc.match_substring_regex(trimmed, _NUMBER)
    unsigned = pc.replace_substring_regex(trimmed, r"^\+", "")
    values = _floats(pc.if_else(plain, unsigned, pa.scalar(None, column.type)))
    given = pc.not_equal(trimmed, "").fill_null(False).to_numpy()
    bad = given & ~np.isfinite(values)
    values[bad] = np.nan
    return values, bad


def dates(column: pa.ChunkedArray) -> tuple[npt.NDArray[np.datetime64], Mask]:
    """Cells as days (``datetime64[s]``), NaT where missing or bad; and which are bad."""
    codes, cells = encode(column)
    days = np.full(len(cells) + 1, np.datetime64("NaT"), dtype="datetime64[s]")
    bad = np.zeros(len(cells) + 1, dtype=bool)
    for i, cell in enumerate(cells):
        written = _trimmed(cell)
        day = iso_day(written)
        bad[i] = bool(written) and day is None
        if day is not None:
            days[i] = np.datetime64(day, "s")
    return days[codes], bad[codes]


def decimals(column: pa.ChunkedArray) -> npt.NDArray[np.int64]:
    """Decimals each cell was written with; 0 where it holds no number."""
    codes, cells = encode(column)
    return np.array([_decimals(cell) for cell in cells] + [0], dtype=np.int64)[codes]


def _decimals(cell: object) -> int:
    try:
        exponent = Decimal(cell_text(cell).strip()).as_tuple().exponent
    except ArithmeticError:
        return 0
    return max(0, -exponent) if isinstance(exponent, int) else 0
