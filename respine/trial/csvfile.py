"""Strict CSV: UTF-8 (a BOM is allowed), RFC 4180, LF or CRLF; what deviates is named with its row.

pyarrow parses; the structure (record ends, quotes, cells a row) is scanned by numpy, because pyarrow forgives what the
contract does not, and forgets the row numbers of what it skips.
"""

from __future__ import annotations

import csv
import gzip
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv as pacsv

from respine.trial.sheet import Problem, Sheet, UnreadableError

_COMMA, _QUOTE, _LF, _CR, _SPACE, _TAB = b',"\n\r \t'
_MIN_BLOCK = 1 << 24

Positions = npt.NDArray[np.int64]


def read_csv(path: Path, is_number: Callable[[str], bool]) -> Sheet:
    """One CSV file, as text.

    Parameters
    ----------
    path
        The file; ``.gz`` is unpacked.
    is_number
        Whether a column holds numbers; other columns are read as dictionaries, which makes repeated text cheap.

    Returns
    -------
    Sheet
        All cells as text (an empty cell is null), each row with its number; ragged rows are left out and listed.

    Raises
    ------
    UnreadableError
        For what makes the rest of the file meaningless: encoding, NUL, separator, quotes, line ends.
    """
    data = path.read_bytes()
    if path.suffix.lower() == ".gz":
        try:
            data = gzip.decompress(data)
        except (OSError, EOFError, zlib.error) as error:
            raise UnreadableError("unreadable", value=error, allowed="a gzip file") from error
    data = _without_bom(data)
    _check_bytes(data)
    records = _scan(np.frombuffer(data, dtype=np.uint8))
    names, first = _header(data, records)
    columns = _parse(data, records, first, names, is_number)
    rows, problems = _rows(data, records, first, len(names), kept=len(columns[0]))
    again = np.isin(rows, _repeated_headers(data, records, first))
    if again.any():
        columns = [column.filter(pa.array(~again)) for column in columns]
        problems += [
            Problem("repeated-header", int(row), allowed="one header, in the first row") for row in rows[again]
        ]
        rows = rows[~again]
    return Sheet(names=names, columns=columns, rows=rows, problems=problems)


def _without_bom(data: bytes) -> bytes:
    return data[3:] if data.startswith(b"\xef\xbb\xbf") else data


def _check_bytes(data: bytes) -> None:
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise UnreadableError("encoding", value="UTF-16", allowed="UTF-8: iconv -f UTF-16 -t UTF-8 OLD > NEW", row=1)
    nul = data.find(b"\0")
    if nul >= 0:
        raise UnreadableError("nul", row=_line(data, nul), allowed="text without NUL bytes")
    if data.isascii():
        return
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UnreadableError(
            "encoding",
            row=_line(data, error.start),
            value=f"byte {data[error.start]:#04x}",
            allowed="UTF-8; from Latin-1: iconv -f LATIN1 -t UTF-8 OLD > NEW",
        ) from error


def _line(data: bytes, position: int) -> int:
    return data.count(b"\n", 0, position) + 1


@dataclass(frozen=True, slots=True)
class _Records:
    """Where records start and end (line end excluded), which are blank, and where quotes stand."""

    bytes: npt.NDArray[np.uint8]
    quotes: Positions
    start: Positions
    end: Positions
    blank: npt.NDArray[np.bool_]


def _scan(buffer: npt.NDArray[np.uint8]) -> _Records:
    quotes = np.flatnonzero(buffer == _QUOTE)
    newlines = np.flatnonzero(buffer == _LF)
    if quotes.size:
        # A line end after an odd number of quotes is inside a quoted cell.
        newlines = newlines[np.searchsorted(quotes, newlines) % 2 == 0]
        _check_quotes(buffer, quotes, newlines)
    _check_line_ends(buffer, quotes, newlines)
    start = np.concatenate([[0], newlines + 1])
    end = np.concatenate([newlines, [buffer.size]])
    if start[-1] == buffer.size:
        start, end = start[:-1], end[:-1]
    end = end - ((end > start) & (buffer[np.maximum(end - 1, 0)] == _CR)) if buffer.size else end
    blank = start == end
    for i in np.flatnonzero(~blank & np.isin(buffer[np.minimum(start, max(buffer.size - 1, 0))], (_SPACE, _TAB))):
        blank[i] = not buffer[start[i] : end[i]].tobytes().strip(b" \t")
    return _Records(buffer, quotes, start, end, blank)


def _check_quotes(buffer: npt.NDArray[np.uint8], quotes: Positions, newlines: Positions) -> None:
    """Raise at the first quote that neither opens nor closes a whole cell, nor is doubled inside one."""
    opening, closing = quotes[0::2], quotes[1::2]
    before = np.where(opening > 0, buffer[np.maximum(opening - 1, 0)], _LF)
    after = np.where(closing + 1 < buffer.size, buffer[np.minimum(closing + 1, buffer.size - 1)], _LF)
    bad = ~np.isin(before, (_COMMA, _LF, _QUOTE))
    # A closing quote is blamed on the cell it would close.
    bad[: closing.size] |= ~np.isin(after, (_COMMA, _LF, _CR, _QUOTE))
    if opening.size > closing.size:
        bad[-1] = True
    if bad.any():
        position = int(opening[bad.argmax()])
        raise UnreadableError(
            "quote",
            row=int(np.searchsorted(newlines, position)) + 1,
            value=buffer[position : position + 40].tobytes().decode("utf-8", "replace"),
            allowed='text with commas, quotes or line ends in double quotes, quotes inside doubled: "5"" disc"',
        )


def _check_line_ends(buffer: npt.NDArray[np.uint8], quotes: Positions, newlines: Positions) -> None:
    returns = np.flatnonzero(buffer == _CR)
    if not returns.size:
        return
    followed = np.append(buffer[1:], np.uint8(_LF))[returns] == _LF
    lone = returns[~followed]
    lone = lone[np.searchsorted(quotes, lone) % 2 == 0]
    if lone.size:
        row = int(np.searchsorted(newlines, lone[0])) + 1
        raise UnreadableError("line-end", row=row, value="CR", allowed="LF or CRLF: tr '\\r' '\\n' < OLD > NEW")


def _header(data: bytes, records: _Records) -> tuple[list[str], int]:
    """Column names, and the number of the record after them."""
    filled = np.flatnonzero(~records.blank)
    if not filled.size:
        raise UnreadableError("no-header", allowed="a header and one row a record")
    i = int(filled[0])
    text = data[records.start[i] : records.end[i]].decode("utf-8")
    separator = max(";\t|", key=text.count)
    if "," not in text and separator in text:
        first = i + 1 if text.lower().startswith("sep=") else i  # what spreadsheets put before the header
        raise UnreadableError(
            "separator",
            row=i + 1,
            value=text,
            allowed="commas, and decimals with a point: save as 'CSV UTF-8 (comma delimited)', or in Python "
            + conversion(separator, first),
        )
    return next(csv.reader([text])), i + 1


def conversion(separator: str = ",", skip: int = 0) -> str:
    """Python that writes a CSV file anew: commas between cells, points in numbers, everything else as it stands."""
    how = (f"sep={separator!r}, " if separator != "," else "") + (f"skiprows={skip}, " if skip else "")
    return (
        f"pandas.read_csv(OLD, {how}dtype=str, keep_default_na=False)"
        r".replace(r'^([+-]?\d+),(\d+)$', r'\1.\2', regex=True).to_csv(NEW, index=False)"
    )


def _repeated_headers(data: bytes, records: _Records, first: int) -> list[int]:
    """Rows that hold the header once more, as in files that were appended to each other."""
    header = data[records.start[first - 1] : records.end[first - 1]]
    alike = np.flatnonzero(records.end[first:] - records.start[first:] == len(header)) + first
    return [int(i) + 1 for i in alike if data.startswith(header, int(records.start[i]))]


def _parse(
    data: bytes, records: _Records, first: int, names: list[str], is_number: Callable[[str], bool]
) -> list[pa.ChunkedArray]:
    # pyarrow would merge columns of one name: they are numbered here.
    ids = [str(i) for i in range(len(names))]
    repeated = pa.dictionary(pa.int32(), pa.string())
    types = {i: pa.string() if is_number(name) else repeated for i, name in zip(ids, names, strict=True)}
    if records.blank[first:].all():
        return [pa.chunked_array([], type=types[i]) for i in ids]
    longest = int((records.end[first:] - records.start[first:]).max())
    table = pacsv.read_csv(
        pa.BufferReader(pa.py_buffer(memoryview(data)[int(records.start[first]) :])),
        # A record must fit into a block.
        read_options=pacsv.ReadOptions(
            column_names=ids, block_size=max(_MIN_BLOCK, 2 * longest), use_threads=len(data) > _MIN_BLOCK
        ),
        parse_options=pacsv.ParseOptions(
            newlines_in_values=bool(records.quotes.size), invalid_row_handler=lambda row: "skip"
        ),
        convert_options=pacsv.ConvertOptions(
            column_types=types,
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=True,
            check_utf8=False,
        ),
    )
    return [table.column(i) for i in ids]


def _rows(data: bytes, records: _Records, first: int, width: int, kept: int) -> tuple[Positions, list[Problem]]:
    """Spreadsheet rows of the records that pyarrow kept, and the ragged ones."""
    filled = np.flatnonzero(~records.blank[first:]) + first
    if len(filled) == kept:
        return filled + 1, []
    commas = np.flatnonzero(records.bytes == _COMMA)
    if records.quotes.size:
        commas = commas[np.searchsorted(records.quotes, commas) % 2 == 0]
    cells = np.searchsorted(commas, records.end[filled]) - np.searchsorted(commas, records.start[filled]) + 1
    ragged = cells != width
    if len(filled) - int(ragged.sum()) != kept:
        raise UnreadableError("unreadable", allowed="RFC 4180")
    problems = [
        Problem(
            "ragged-row",
            row=int(record) + 1,
            value=f"{n} cells: {data[start : min(end, start + 60)].decode('utf-8', 'replace')}",
            allowed=f"{width} cells, as in the header; text that holds a comma in double quotes, decimals with a point",
        )
        for record, n, start, end in zip(
            filled[ragged], cells[ragged], records.start[filled[ragged]], records.end[filled[ragged]], strict=True
        )
    ]
    return filled[~ragged] + 1, problems
