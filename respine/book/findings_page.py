"""What a check found, as a page: counts on top, then the findings of each kind, folded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from respine.book.pages import page, table
from respine.inert import visible
from respine.trial.findings import RULES, CheckReport, Finding

SHOWN = 200
"""Findings listed of one kind; ``findings.csv`` has all."""
_OPEN = 3
_HEADINGS = ("table", "row", "subject", "column", "rule", "value", "allowed")
Kind = tuple[str, str, str, str]
"""Severity, table, column, rule."""


def findings_page(report: CheckReport) -> str:
    """A self-contained page without scripts; every text of the data set is escaped."""
    kinds: dict[Kind, list[Finding]] = {}
    for finding in report.findings:
        kinds.setdefault((finding.severity, finding.table, finding.column, finding.rule), []).append(finding)
    head = f"<p>{escape(visible(report.source))}. Errors: {report.n_errors}; warnings: {report.n_warnings}.</p>"
    if not kinds:
        return page("Findings", head)
    note = "<p>Rows are counted as a spreadsheet shows them: the header is row 1. findings.csv lists every finding.</p>"
    sections = [_section(number, kind, found) for number, (kind, found) in enumerate(kinds.items(), 1)]
    return page("Findings", "\n".join([head, _overview(kinds), note, *sections]))


def _overview(kinds: Mapping[Kind, Sequence[Finding]]) -> str:
    rows = "\n".join(
        f'<tr><td>{severity}</td><td>{escape(name)}</td><td>{escape(column)}</td><td><a href="#kind-{number}">'
        f"{escape(RULES[rule])}</a></td><td>{len(found)}</td></tr>"
        for number, ((severity, name, column, rule), found) in enumerate(kinds.items(), 1)
    )
    head = "".join(f'<th scope="col">{heading}</th>' for heading in ("severity", "table", "column", "rule", "findings"))
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>\n{rows}\n</tbody></table></div>'


def _section(number: int, kind: Kind, found: Sequence[Finding]) -> str:
    severity, name, column, rule = kind
    place = f"{name}.{column}" if column else name
    title = escape(f"{severity}: {place}: {RULES[rule]} ({len(found)})")
    rows = (
        (f.table, "" if f.row is None else str(f.row), f.subject, f.column, f.rule, f.value, f.allowed)
        for f in found[:SHOWN]
    )
    more = f"<p>and {len(found) - SHOWN} more in findings.csv</p>" if len(found) > SHOWN else ""
    state = " open" if number <= _OPEN else ""
    return f'<details id="kind-{number}"{state}><summary>{title}</summary>{table(_HEADINGS, rows)}{more}</details>'
