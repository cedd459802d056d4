"""Findings: what a check of a data set has to say, collected in one pass and reported together."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property, lru_cache
from itertools import groupby, islice
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from respine.inert import csv_text, visible

if TYPE_CHECKING:
    import pandas as pd

    from respine.trial.trial import Trial

Severity = Literal["error", "warning"]

RULES = {
    "folder": "the data set is a folder of tables, or one Excel workbook",
    "dataset.yml": "dataset.yml holds known keys with values of the right kind",
    "missing-table": "every table is there",
    "two-files": "one table is one file",
    "format": "the file has a format that can be read",
    "unreadable": "the file can be read",
    "encoding": "text is UTF-8",
    "nul": "no NUL bytes",
    "separator": "columns are separated by commas",
    "line-end": "lines end with LF or CRLF",
    "quote": "quoted text is closed, and quotes stand around whole cells",
    "formula": "formulas are stored with their values",
    "no-header": "the first row names the columns",
    "repeated-header": "the header stands once",
    "repeated-column": "a column is named once",
    "ragged-row": "every row has as many cells as the header",
    "missing-column": "every needed column is there",
    "required": "the cell is filled",
    "blank-elsewhere": "the cell is empty where the rule does not ask for it",
    "number": "numbers are plain: digits, at most one decimal point",
    "whole-number": "days, grades, visits and sequence numbers are whole numbers",
    "no-day-0": "there is no study day 0",
    "date": "dates are complete ISO 8601 days",
    "code": "codes are matched to the letter",
    "range": "values are inside their range",
    "duplicate-key": "one row a key",
    "unknown-subject": "every participant is in adsl",
    "one-study": "a data set is one study",
    "none-randomised": "somebody was randomised",
    "arm-label": "arms are named by the parameters treatment and control",
    "empty-arm": "both arms have randomised participants",
    "order": "an end does not precede its start",
    "no-baseline": "VASPAIN and ODI have a baseline",
    "protocol": "randomised participants keep to the protocol",
    "visit-window": "visits are inside their window",
    "derived-differs": "derived columns agree with the derivation, which is used",
    "case-only": "identifiers differ by more than case",
    "blank-start": "adverse events have a start day; without one they count as treatment-emergent",
    "end-of-study": "treated participants have a last day; without one the last day seen is used",
    "never-treated": "adverse events are of treated participants; others are outside the safety set",
    "treated-not-randomised": "treated participants were randomised",
}
"""Every rule a finding can name, and what it says."""

_SHOWN_LENGTH = 60
_ALLOWED_LENGTH = 500
_FIRST_SHOWN = 3
# inert.visible keeps these two, which end a line in some programs.
_LINE_SEPARATORS = {0x2028: "\\u2028", 0x2029: "\\u2029"}


def show(value: object, length: int = _SHOWN_LENGTH) -> str:
    """A value as a report may print it: shortened, control and bidirectional characters escaped."""
    # Cut first: escaping 10 kB of text that will not be shown is waste.
    return visible(str(value)[: 2 * length].translate(_LINE_SEPARATORS), length)


@dataclass(frozen=True, slots=True)
class Finding:
    """One violation of the contract, or one remark.

    Parameters
    ----------
    severity
        ``error`` refuses the data set; ``warning`` does not.
    table, row, subject, column
        Where: the row as a spreadsheet shows it (the header is row 1), None for what concerns a whole table.
    rule
        A key of :data:`RULES`.
    value
        What was found, shortened and inert.
    allowed
        What is allowed, with a suggestion where there is one.
    """

    severity: Severity
    table: str
    row: int | None
    subject: str
    column: str
    rule: str
    value: str
    allowed: str

    def __str__(self) -> str:
        place = [self.table + (f".{self.column}" if self.column else "")]
        place += [f"row {self.row}"] if self.row is not None else []
        place += [self.subject] if self.subject else []
        found = f": {self.value!r}" if self.value else ""
        return f"{', '.join(place)}: {RULES[self.rule]}{found}" + (f" ({self.allowed})" if self.allowed else "")


COLUMNS = tuple(f.name for f in fields(Finding))
_Record = tuple[Severity, str, int | None, str, str, str, str, str]


@dataclass(frozen=True, slots=True)
class _Batch:
    """Findings that share severity, table, column and rule; kept as columns, because there can be millions."""

    severity: Severity
    table: str
    column: str
    rule: str
    rows: Sequence[int | None]
    subjects: Sequence[str]
    values: Sequence[str]
    allowed: Sequence[str]

    def __iter__(self) -> Iterator[_Record]:
        for row, subject, value, allowed in zip(self.rows, self.subjects, self.values, self.allowed, strict=True):
            yield (self.severity, self.table, row, subject, self.column, self.rule, value, allowed)


class Findings:
    """Collects findings during a check."""

    def __init__(self) -> None:
        self._batches: list[_Batch] = []

    def add(
        self,
        rule: str,
        table: str,
        column: str = "",
        *,
        value: object = "",
        allowed: str = "",
        row: int | None = None,
        subject: object = "",
        severity: Severity = "error",
    ) -> None:
        """Add one finding."""
        self.extend(rule, table, column, [row], [subject], [value], allowed, severity)

    def extend(
        self,
        rule: str,
        table: str,
        column: str,
        rows: Iterable[int | None],
        subjects: Iterable[object],
        values: Iterable[object],
        allowed: str | Iterable[str],
        severity: Severity = "error",
    ) -> None:
        """Add many findings of one rule in one column."""
        if rule not in RULES:
            raise ValueError(f"unknown rule {rule!r}")
        rows = [None if row is None else int(row) for row in rows]
        if not rows:
            return
        allowed = [allowed] * len(rows) if isinstance(allowed, str) else allowed
        batch = _Batch(
            severity=severity,
            table=table,
            column=show(column),
            rule=rule,
            rows=rows,
            subjects=_shown(subjects),
            values=_shown(values),
            allowed=_shown(allowed, _ALLOWED_LENGTH),
        )
        self._batches.append(batch)

    def report(self, derive: Callable[[], Trial] | None, source: str) -> CheckReport:
        """The report: errors first, otherwise in the order found; ``derive`` makes the trial if there is no error."""
        batches = tuple(sorted(self._batches, key=lambda batch: batch.severity))
        return CheckReport(source=source, _batches=batches, _derive=None if self.failed else derive)

    @property
    def failed(self) -> bool:
        """Whether there is an error."""
        return any(b.severity == "error" for b in self._batches)


def _shown(values: Iterable[object], length: int = _SHOWN_LENGTH) -> list[str]:
    known: dict[object, str] = {}
    result = []
    for value in values:
        if value not in known:
            known[value] = "" if value is None else show(value, length)
        result.append(known[value])
    return result


@dataclass(frozen=True)
class CheckReport:
    """What a check found.

    Parameters
    ----------
    source
        The data set, as it was named.
    """

    source: str
    _batches: tuple[_Batch, ...] = field(repr=False)
    _derive: Callable[[], Trial] | None = field(repr=False)

    @cached_property
    def trial(self) -> Trial | None:
        """The checked data set, derived when first asked for; None where there are errors."""
        return None if self._derive is None else self._derive()

    @property
    def n_errors(self) -> int:
        """Number of errors."""
        return self._count("error")

    @property
    def n_warnings(self) -> int:
        """Number of warnings."""
        return self._count("warning")

    def _count(self, severity: Severity) -> int:
        return sum(len(b.rows) for b in self._batches if b.severity == severity)

    @cached_property
    def findings(self) -> list[Finding]:
        """Every finding, errors first."""
        return [Finding(*record) for batch in self._batches for record in batch]

    @property
    def errors(self) -> list[Finding]:
        """The findings that refuse the data set."""
        return [f for f in self.findings if f.severity == "error"]

    @property
    def warnings(self) -> list[Finding]:
        """The findings that do not."""
        return [f for f in self.findings if f.severity == "warning"]

    def to_frame(self) -> pd.DataFrame:
        """One row a finding; columns as in :class:`Finding`."""
        import pandas as pd

        frame = pd.DataFrame([record for batch in self._batches for record in batch], columns=list(COLUMNS))
        return frame.astype({"row": "Int64"})

    def write_csv(self, path: str | Path) -> None:
        """The whole list as CSV, safe to open in a spreadsheet: no cell can start a formula."""
        with Path(path).open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(COLUMNS)
            for batch in self._batches:
                writer.writerows(["" if cell is None else csv_text(cell) for cell in record] for record in batch)

    def summary(self) -> str:
        """Plain text for a screen: equal violations are counted and the first few shown."""
        if not self._batches:
            return f"{_path_text(self.source)}: no findings"
        head = f"{_path_text(self.source)}: {_counted(self.n_errors, 'error')}, {_counted(self.n_warnings, 'warning')}"
        lines = [head]

        def kind(batch: _Batch) -> tuple[str, ...]:
            return (batch.severity, batch.table, batch.column, batch.rule)

        for _, group in groupby(sorted(self._batches, key=kind), key=kind):
            lines += _group_lines(list(group))
        return "\n".join(lines)


def _path_text(path: str) -> str:
    """A path as a report may print it, not shortened."""
    return visible(path.translate(_LINE_SEPARATORS))


def _counted(n: int, noun: str) -> str:
    return f"{n} {noun}{'' if n == 1 else 's'}"


def _group_lines(batches: list[_Batch]) -> list[str]:
    first = batches[0]
    total = sum(len(b.rows) for b in batches)
    place = f"{first.table}.{first.column}" if first.column else first.table
    times = f" [{total}]" if total > 1 else ""
    lines = ["", f"{first.severity}  {place}: {RULES[first.rule]}{times}"]
    shown = [f for batch in batches for f in _take(batch, _FIRST_SHOWN)][:_FIRST_SHOWN]
    for f in shown:
        where = ", ".join(p for p in (f"row {f.row}" if f.row is not None else "", f.subject) if p)
        found = f"found '{f.value}'" if f.value else ""
        text = "; ".join(p for p in (found, f"allowed: {f.allowed}" if f.allowed else "") if p)
        lines.append("    " + ": ".join(p for p in (where, text) if p))
    if total > len(shown):
        lines.append(f"    and {total - len(shown)} more")
    return lines


def _take(batch: _Batch, n: int) -> list[Finding]:
    return [Finding(*record) for record in islice(batch, n)]


class DataError(Exception):
    """A data set that breaks the contract.

    Parameters
    ----------
    report
        The whole report.
    """

    def __init__(self, report: CheckReport) -> None:
        super().__init__(report)
        self.report = report

    def __str__(self) -> str:
        return self.report.summary()


def suggestion(value: str, codes: Iterable[str]) -> str:
    """``; did you mean 'M'?`` for a code that differs in case, spaces or punctuation alone; else nothing."""
    near = _by_bare_text(tuple(codes)).get(_bare(value))
    return f"; did you mean {near!r}?" if near else ""


@lru_cache(maxsize=16)
def _by_bare_text(codes: tuple[str, ...]) -> dict[str, str]:
    # Kept, because each of a hundred thousand wrong cells may ask. The first of codes that look alike is suggested.
    return {_bare(code): code for code in reversed(codes)}


def _bare(text: str) -> str:
    return re.sub(r"[\W_]", "", text).casefold()
