"""What changed between two reports, number by number: value, interval, and whether a verdict flipped."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Literal

from respine.book.pages import page, table
from respine.book.results_file import PlacedResult
from respine.book.statements import statement_text
from respine.inert import csv_text
from respine.results import Result

_NUMBER = re.compile(r"(?:[<=>]\s*)?[-\N{MINUS SIGN}]?\d[\d.,]*")
Kind = Literal["flipped", "changed", "estimability", "added", "removed", "same"]
_SAME = 1e-9
"""Relative difference below which two numbers are called the same: rounding of the last digits, not a change."""


@dataclass(frozen=True, slots=True)
class Change:
    """One result in two reports; either side may be missing."""

    id: str
    kind: Kind
    old: Result | None
    new: Result | None
    chapter: str

    @property
    def absolute(self) -> float:
        """New value minus old, NaN where there are not two numbers."""
        return self.new.value - self.old.value if self.old and self.new else math.nan

    @property
    def relative(self) -> float:
        """Absolute change over the old value's size; NaN where that is zero or not there."""
        return self.absolute / abs(self.old.value) if self.old and self.old.value else math.nan


def compare(old: Mapping[str, PlacedResult], new: Mapping[str, PlacedResult]) -> list[Change]:
    """Every result of either report, in the new report's order, those that are gone last."""
    changes = []
    known = [{id: placed.result for id, placed in side.items()} for side in (old, new)]
    for id in [*new, *(id for id in old if id not in new)]:
        before, after = old.get(id), new.get(id)
        place = after or before
        assert place is not None
        first = _in_print(before.result if before else None, known[0])
        second = _in_print(after.result if after else None, known[1])
        changes.append(Change(id, _kind(first, second), first, second, place.chapter))
    return changes


def _in_print(result: Result | None, known: Mapping[str, Result]) -> Result | None:
    if result is None or result.statistic != "statement":
        return result
    return result.replace(text=statement_text(result.text, known))


def _kind(old: Result | None, new: Result | None) -> Kind:
    if old is None or new is None:
        return "added" if old is None else "removed"
    if new.statistic == "statement" or old.statistic == "statement":
        return "same" if _words(old.text) == _words(new.text) else "flipped"
    if old.estimable != new.estimable:
        return "estimability"
    pairs = ((old.value, new.value), (old.lower, new.lower), (old.upper, new.upper), (old.p, new.p))
    return "same" if all(_close(a, b) for a, b in pairs) else "changed"


def _words(text: str) -> str:
    """A sentence without its numbers: it has changed when other words were chosen; numbers are compared as such."""
    return _NUMBER.sub("#", text)


def _close(a: float, b: float) -> bool:
    return (math.isnan(a) and math.isnan(b)) or math.isclose(a, b, rel_tol=_SAME, abs_tol=1e-12)


def differing(changes: Iterable[Change]) -> list[Change]:
    """What is not the same: flipped verdicts first, then the largest relative changes."""
    order = {"flipped": 0, "estimability": 1, "changed": 2, "added": 3, "removed": 4}

    def weight(change: Change) -> tuple[int, float]:
        size = abs(change.relative)
        return order[change.kind], -size if not math.isnan(size) else -math.inf

    return sorted((c for c in changes if c.kind != "same"), key=weight)


def counts(changes: Iterable[Change]) -> dict[str, int]:
    """Number of results of each kind."""
    found: dict[str, int] = dict.fromkeys(("same", "changed", "flipped", "estimability", "added", "removed"), 0)
    for change in changes:
        found[change.kind] += 1
    return found


def summary(changes: list[Change]) -> str:
    """The counts in one line."""
    n = counts(changes)
    words = {
        "same": "unchanged",
        "changed": "changed",
        "flipped": "verdicts or sentences changed",
        "estimability": "became estimable or stopped being so",
        "added": "new",
        "removed": "gone",
    }
    return ", ".join(f"{n[kind]} {word}" for kind, word in words.items() if n[kind] or kind in ("same", "changed"))


HEADINGS = ("id", "what", "old", "new", "change", "relative change", "old CI", "new CI", "old p", "new p", "chapter")


def printed(change: Change) -> tuple[str, ...]:
    """A change as short text, one cell a heading of :data:`HEADINGS`."""
    if change.kind == "flipped":
        texts = [r.text or number(r.value) if r else "" for r in (change.old, change.new)]
        return (change.id, "flipped", *texts, "", "", "", "", "", "", change.chapter)
    percent = "" if math.isnan(change.relative) else f"{100 * change.relative:+.2f}%"
    absolute = "" if math.isnan(change.absolute) else f"{change.absolute:+.6g}"
    values = [_shown(r) for r in (change.old, change.new)]
    intervals = [_interval(r) for r in (change.old, change.new)]
    p = [number(r.p) if r else "" for r in (change.old, change.new)]
    return (change.id, change.kind, *values, absolute, percent, *intervals, *p, change.chapter)


def on_screen(change: Change) -> str:
    """A change for a terminal of any width: what it is, the old line, the new line."""
    id, what, old, new, absolute, relative, old_ci, new_ci, old_p, new_p, _ = printed(change)
    if change.kind == "flipped":
        return f"{id}\n  - {old}\n  + {new}"
    moved = ", ".join(filter(None, (absolute, relative)))
    lines = [f"{id}: {what}{f' by {moved}' if moved else ''}"]
    for sign, value, interval, p in (("-", old, old_ci, old_p), ("+", new, new_ci, new_p)):
        parts = (value, f"({interval})" if interval else "", f"p = {p}" if p else "")
        lines.append(f"  {sign} {' '.join(filter(None, parts))}".rstrip())
    return "\n".join(lines)


def number(value: float) -> str:
    """A number with six significant digits; nothing for NaN."""
    return "" if math.isnan(value) else f"{value:.6g}"


def _shown(result: Result | None) -> str:
    if result is None:
        return ""
    return number(result.value) if result.estimable else (result.text or result.note)


def _interval(result: Result | None) -> str:
    if result is None or math.isnan(result.lower) or math.isnan(result.upper):
        return ""
    return f"{number(result.lower)} to {number(result.upper)}"


CSV_COLUMNS = (
    "id", "kind", "chapter", "old", "new", "absolute", "relative", "old_lower", "old_upper", "new_lower", "new_upper",
    "old_p", "new_p", "old_text", "new_text",
)  # fmt: skip


def write_csv(changes: Iterable[Change], path: Path) -> None:
    """Every result of either report in full precision, the unchanged ones too."""
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(CSV_COLUMNS)
        for change in changes:
            writer.writerow([_exact(value) for value in _full(change)])


def _full(change: Change) -> list[float | str]:
    sides = (change.old, change.new)
    return [
        change.id,
        change.kind,
        change.chapter,
        *(r.value if r else math.nan for r in sides),
        change.absolute,
        change.relative,
        *(limit for r in sides for limit in ((r.lower, r.upper) if r else (math.nan, math.nan))),
        *(r.p if r else math.nan for r in sides),
        *(r.text if r else "" for r in sides),
    ]


def _exact(value: float | str) -> str:
    if isinstance(value, str):
        return csv_text(value)
    return "" if math.isnan(value) else repr(value)


def html_page(changes: list[Change], old: str, new: str) -> str:
    """A page of its own with what changed; nothing on it is asked from elsewhere."""
    body = f"<p>{escape(old)} compared with {escape(new)}: {escape(summary(changes))}.</p>"
    rows = [printed(change) for change in differing(changes)]
    return page("Changes since the previous version", body + (table(HEADINGS, rows) if rows else ""))
