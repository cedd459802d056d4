"""Tables that several chapters share: arms side by side with their difference, and estimates line by line."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from respine.display.numbers import format_level, format_p, format_result
from respine.display.outputs import Row, Table
from respine.results import Result

EMPTY = "–"


@dataclass(frozen=True, slots=True)
class Comparison:
    """One line that compares the arms: what, the arms' cells, and the difference."""

    stub: str
    treatment: Result | str
    control: Result | str
    difference: Result | None = None
    group: str = ""
    indent: int = 0


def comparison_table(
    lines: Sequence[Comparison],
    *,
    label: str,
    caption: str,
    stub: str,
    headings: tuple[str, str],
    level: float,
    part: str = "number",
    difference: str = "Difference",
    p: bool = True,
    notes: Iterable[str] = (),
) -> Table:
    """Treatment, control, difference with its interval and, where tests are planned, the p-value.

    ``part`` says how an arm's result is printed (a part of :func:`respine.display.numbers.format_result`, or
    ``interval`` for the number with its interval).
    """
    columns = (stub, *headings, difference, f"{format_level(level)} CI", *(("p",) if p else ()))
    rows = []
    for line in lines:
        cells = [_cell(line.treatment, part), _cell(line.control, part)]
        cells += [_number(line.difference), _interval(line.difference)]
        cells += [_p(line.difference)] if p else []
        rows.append(Row(line.stub, tuple(cells), line.group, line.indent))
    shown = [r for line in lines for r in (line.treatment, line.control, line.difference) if isinstance(r, Result)]
    return Table(
        label=label,
        caption=caption,
        columns=columns,
        rows=tuple(rows),
        notes=(*notes, *footnotes(shown)),
        results=tuple(r.id for r in shown),
    )


@dataclass(frozen=True, slots=True)
class Line:
    """One line with one estimate."""

    stub: str
    result: Result
    group: str = ""
    indent: int = 0


def estimate_table(
    lines: Sequence[Line],
    *,
    label: str,
    caption: str,
    stub: str,
    level: float,
    headings: tuple[str, str],
    estimate: str = "Estimate",
    p: bool = True,
    notes: Iterable[str] = (),
) -> Table:
    """Estimates one under another, with interval, p-value and the n of each arm."""
    columns = (stub, estimate, f"{format_level(level)} CI", *(("p",) if p else ()), *headings)
    rows = []
    for line in lines:
        r = line.result
        cells = [_number(r), _interval(r), *([_p(r)] if p else []), _n(r.n_treatment), _n(r.n_control)]
        rows.append(Row(line.stub, tuple(cells), line.group, line.indent))
    shown = [line.result for line in lines]
    return Table(
        label=label,
        caption=caption,
        columns=columns,
        rows=tuple(rows),
        notes=(*notes, *footnotes(shown)),
        results=tuple(r.id for r in shown),
    )


def footnotes(results: Iterable[Result]) -> list[str]:
    """What has to be said of results that are not estimable or that used a fallback, each reason once."""
    notes: dict[str, None] = {}
    for r in results:
        if r.note and r.note != "statement":
            notes.setdefault(r.note[0].upper() + r.note[1:] + ".")
    return list(notes)


def _cell(item: Result | str, part: str) -> str:
    if isinstance(item, str):
        return item
    if part == "interval" and item.estimable:
        return f"{format_result(item, 'number')} ({_interval(item)})"
    return format_result(item, "number" if part == "interval" else part)


def _number(result: Result | None) -> str:
    return EMPTY if result is None else format_result(result, "number")


def _interval(result: Result | None) -> str:
    if result is None or not result.estimable or (math.isnan(result.lower) and math.isnan(result.upper)):
        return EMPTY
    return format_result(result, "ci")


def _p(result: Result | None) -> str:
    if result is None or math.isnan(result.p):
        return EMPTY
    return format_p(result.p)


def _n(n: int | None) -> str:
    return EMPTY if n is None else str(n)
