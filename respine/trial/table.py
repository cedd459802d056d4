"""A table of the data set while it is checked: typed columns, the spreadsheet rows, and which cells were bad."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from respine.trial import contract, schemas, typed
from respine.trial.csvfile import conversion
from respine.trial.findings import Findings, Severity, suggestion
from respine.trial.sheet import Sheet, cell_text
from respine.trial.typed import Floats, Mask, Text

Dates = npt.NDArray[np.datetime64]
Positions = npt.NDArray[np.int32]

_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+")


@dataclass(slots=True)
class TypedTable:
    """One table, in the file's row order.

    Parameters
    ----------
    spec
        Its contract.
    rows
        Row numbers as a spreadsheet shows them.
    complete
        Whether no row of the file had to be left out.
    raw
        Cells as read, of every column of the file, by upper-case name.
    text, numbers, dates
        Typed columns of the contract, all present; a bad cell is missing here.
    bad
        Cells that broke a rule of their own column, so that no other rule reports them again.
    subject, parameter, visit
        Positions: of each row's participant in adsl, and in longitudinal tables of its parameter and its visit in the
        contract's codes; -1 where unknown or bad.
    """

    spec: contract.Table
    rows: npt.NDArray[np.int64]
    complete: bool
    raw: dict[str, pa.ChunkedArray]
    text: dict[str, Text] = field(default_factory=dict)
    numbers: dict[str, Floats] = field(default_factory=dict)
    dates: dict[str, Dates] = field(default_factory=dict)
    bad: dict[str, Mask] = field(default_factory=dict)
    subject: Positions = field(default_factory=lambda: np.empty(0, dtype=np.int32))
    parameter: Positions = field(default_factory=lambda: np.empty(0, dtype=np.int32))
    visit: Positions = field(default_factory=lambda: np.empty(0, dtype=np.int32))

    @classmethod
    def of(cls, spec: contract.Table, sheet: Sheet, findings: Findings) -> TypedTable:
        """The table of a sheet, its columns named and typed, each violation of a single cell reported."""
        names = [name.strip().upper() for name in sheet.names]
        # Blank headers over stray columns are nobody's, and are not carried along either.
        repeated = sorted({name for name in names if name and names.count(name) > 1})
        for name in repeated:
            findings.add("repeated-column", spec.name, name, value=name, allowed="one column of this name, in any case")
        raw = {
            name: column for name, column in zip(names, sheet.arrays(), strict=True) if name and name not in repeated
        }
        table = cls(spec, sheet.rows, not sheet.problems, raw)
        # Which of two columns is meant is not known: no rule reports its cells.
        table.bad = {name: np.ones(len(table), dtype=bool) for name in repeated}
        for column in spec.columns:
            _type_column(table, column, findings)
        if spec.longitudinal:
            table.parameter = table.codes("PARAMCD", spec["PARAMCD"].values)
            months = [float(month) for month in spec["AVISITN"].values]
            visit = np.searchsorted(months, table.numbers["AVISITN"]).astype(np.int32)
            table.visit = np.where(np.isnan(table.numbers["AVISITN"]), np.int32(-1), visit)
        return table

    def __len__(self) -> int:
        return len(self.rows)

    def missing(self, name: str) -> Mask:
        """Cells without a valid value."""
        if name in self.text:
            return self.text[name].codes < 0
        if name in self.dates:
            return np.isnat(self.dates[name])
        return np.isnan(self.numbers[name])

    def empty(self, name: str) -> Mask:
        """Cells that were empty in the file: missing and not bad."""
        missing = self.missing(name)
        return missing & ~self.bad[name] if name in self.bad else missing

    def is_bad(self, name: str) -> Mask:
        """Cells that broke a rule of their own column."""
        return self.bad.get(name, np.zeros(len(self), dtype=bool))

    def codes(self, name: str, order: Sequence[str]) -> Positions:
        """A text column as positions in ``order``; -1 where missing or not in it."""
        text = self.text[name]
        place = pd.Index(list(order)).get_indexer(pd.Index(text.values))
        return np.append(place, -1).astype(np.int32)[text.codes]

    def reject(
        self, findings: Findings, rule: str, name: str, where: Mask, allowed: str, codes: tuple[str, ...] = ()
    ) -> None:
        """Report cells and make them missing; with ``codes``, a near miss is suggested."""
        if not where.any():
            return
        self.report(findings, rule, name, where, allowed, codes=codes)
        self.bad[name] = self.is_bad(name) | where
        if name in self.text:
            self.text[name] = self.text[name].without(where)
        elif name in self.dates:
            self.dates[name][where] = np.datetime64("NaT")
        else:
            self.numbers[name][where] = np.nan

    def report(
        self,
        findings: Findings,
        rule: str,
        name: str,
        where: Mask,
        allowed: str | list[str],
        severity: Severity = "error",
        codes: tuple[str, ...] = (),
    ) -> None:
        """Report cells of a column."""
        if not where.any():
            return
        values = self.written(name, where)
        if codes and isinstance(allowed, str):
            near = {value: allowed + suggestion(value, codes) for value in set(values)}
            allowed = [near[value] for value in values]
        findings.extend(
            rule, self.spec.name, name, self.rows[where], self.written("USUBJID", where), values, allowed, severity
        )

    def written(self, name: str, where: Mask) -> list[str]:
        """Cells as the file has them."""
        if name not in self.raw:
            return [""] * int(where.sum())
        chosen = self.raw[name].take(pa.array(np.flatnonzero(where)))
        if pa.types.is_dictionary(chosen.type):
            # Few rows of a column with many distinct values: only theirs are written.
            chosen = chosen.cast(chosen.type.value_type)
        codes, cells = typed.encode(chosen)
        texts = [*("" if cell is None or cell != cell else cell_text(cell) for cell in cells), ""]
        return [texts[code] for code in codes]

    def matching(self, name: str, where: Mask, pattern: re.Pattern[str]) -> Mask:
        """Those of some cells that are written like a pattern."""
        found = where.copy()
        found[where] = [pattern.fullmatch(cell.strip()) is not None for cell in self.written(name, where)]
        return found

    def sha256(self) -> str:
        """Hash of the typed content that is used: the contract's columns in its order, rows in the file's order."""
        total = hashlib.sha256()
        for column in self.spec.columns:
            if column.derived:
                continue
            total.update(f"{self.spec.name}.{column.name} {column.type} {len(self)}\n".encode())
            if column.name not in self.raw or self.missing(column.name).all():
                total.update(b"empty")
            elif column.name in self.text:
                text = self.text[column.name]
                total.update(" ".join(map(str, map(len, text.values))).encode() + "".join(text.values).encode())
                total.update(text.codes.astype("<i4").tobytes())
            elif column.name in self.dates:
                total.update(self.dates[column.name].astype("<i8").tobytes())
            else:
                # Adding zero makes -0 into 0; every NaN gets the same bits.
                values = self.numbers[column.name] + 0.0
                total.update(np.where(np.isnan(values), np.nan, values).astype("<f8").tobytes())
        return total.hexdigest()

    def frame(self) -> dict[str, Any]:
        """Columns for a data frame: the contract's, then the file's others, numbers where the file types them so."""
        columns: dict[str, Any] = {}
        for column in self.spec.columns:
            name = column.name
            if name in self.text:
                columns[name] = self.text[name].to_numpy()
            elif name in self.dates or name in self.numbers:
                columns[name] = self.dates[name] if name in self.dates else self.numbers[name]
            if column.type == "integer" and not column.may_be_blank:
                columns[name] = columns[name].astype(np.int64)
        for name, cells in self.raw.items():
            if name not in columns:
                columns[name] = typed.text(cells).to_numpy() if _is_textual(cells.type) else cells.to_numpy()
        return columns


def _is_textual(kind: pa.DataType) -> bool:
    return not (pa.types.is_integer(kind) or pa.types.is_floating(kind))


def _type_column(table: TypedTable, column: contract.Column, findings: Findings) -> None:
    """Convert one column and report every cell that breaks a rule of the column alone."""
    name = column.name
    raw = table.raw.get(name)
    if raw is None and column.derived:
        return
    if raw is None and column.need == "required" and name not in table.bad:
        findings.add("missing-column", table.spec.name, name, allowed=f"a column {name}: {column.label.lower()}")
        # Its cells are not reported one by one.
        table.bad[name] = np.ones(len(table), dtype=bool)
    if column.numeric:
        table.numbers[name] = np.full(len(table), np.nan)
        if raw is not None:
            table.numbers[name], bad = typed.numbers(raw)
            comma = table.matching(name, bad, _DECIMAL_COMMA)
            hint = f"{column.allowed}; decimal commas of a CSV file: in Python {conversion()}"
            table.reject(findings, "number", name, comma, hint)
            table.reject(findings, "number", name, bad & ~comma, column.allowed)
            for rule, check in schemas.checks(column).items():
                table.reject(findings, rule, name, schemas.breaking(check, table.numbers[name]), column.allowed)
    elif column.type == "date":
        table.dates[name] = np.full(len(table), np.datetime64("NaT"), dtype="datetime64[s]")
        if raw is not None:
            table.dates[name], bad = typed.dates(raw)
            table.reject(findings, "date", name, bad, column.allowed)
    else:
        table.text[name] = typed.text(raw) if raw is not None else Text.blank(len(table))
        for rule, check in schemas.checks(column).items():
            wrong = schemas.breaking(check, np.array(table.text[name].values, dtype=object))
            table.reject(
                findings, rule, name, table.text[name].map(wrong.tolist(), False), column.allowed, column.values
            )
    if raw is not None and not column.may_be_blank:
        table.report(findings, "required", name, table.empty(name), column.allowed)
