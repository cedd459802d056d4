"""A table as its file holds it, before anything is known about types or codes."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with a file: rule, row as a spreadsheet shows it, value found, what is allowed."""

    rule: str
    row: int | None = None
    value: object = ""
    allowed: str = ""


class UnreadableError(Exception):
    """A file that cannot be read any further."""

    def __init__(self, rule: str, *, row: int | None = None, value: object = "", allowed: str = "") -> None:
        super().__init__(rule, value)
        self.problem = Problem(rule, row, value, allowed)


@dataclass(frozen=True, slots=True)
class Sheet:
    """One table, cells as the file types them.

    Parameters
    ----------
    names
        Column names as written; they may repeat.
    columns
        One array a name, or its cells in a list; an empty cell is null.
    rows
        The number of each row as a spreadsheet shows it, the header being row 1.
    problems
        Rows that were left out, and why.
    """

    names: list[str]
    columns: Sequence[pa.ChunkedArray | Sequence[object]]
    rows: npt.NDArray[np.int64]
    problems: list[Problem] = field(default_factory=list)

    @classmethod
    def from_arrow(cls, table: pa.Table) -> Sheet:
        """A table of a format that has rows and types of its own."""
        import numpy as np
        import pyarrow as pa

        columns = [c.to_pylist() if pa.types.is_nested(c.type) else c for c in table.columns]
        return cls(list(table.column_names), columns, np.arange(2, table.num_rows + 2))

    def arrays(self) -> list[pa.ChunkedArray]:
        """The columns, all as arrays.

        Those that were read as lists become arrays only here: pyarrow imports pandas for that, which takes longer than
        looking up a label may.
        """
        import pyarrow as pa

        return [c if isinstance(c, pa.ChunkedArray) else column_of(c) for c in self.columns]

    def cells(self, column: int) -> Sequence[object]:
        """The cells of one column; None where one is empty."""
        cells = self.columns[column]
        return cells if isinstance(cells, Sequence) else cells.to_pylist()


def cell_text(value: object) -> str:
    """A cell as text, the same whatever format it came from: whole numbers without point, dates as ISO 8601 days."""
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, (float, Decimal)):
        return str(int(value)) if math.isfinite(value) and value == int(value) else repr(float(value))
    if isinstance(value, dt.datetime):
        midnight = value.time() == dt.time() and value.tzinfo is None
        return value.date().isoformat() if midnight else value.isoformat()
    if isinstance(value, dt.date):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    return str(value)


def column_of(cells: Sequence[object]) -> pa.ChunkedArray:
    """Python cells as one column: numbers, days or text where all are, otherwise all as text; None is missing."""
    import pyarrow as pa

    kinds = {type(cell) for cell in cells if cell is not None}
    if kinds <= {int, float} and kinds:
        array = pa.array([None if cell is None else float(cell) for cell in cells], pa.float64())  # type: ignore[arg-type]
    elif kinds == {dt.date}:
        array = pa.array(cells, pa.date32())
    else:
        array = pa.array([None if cell is None else cell_text(cell) for cell in cells], pa.string())
    return pa.chunked_array([array])
