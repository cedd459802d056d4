"""great-tables' HTML as rows and cells, so that HTML and PDF print the same table from the same source.

Only what a table may hold is understood; anything else raises, so that no text is lost and no markup slips through.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, Literal

import lxml.html

Style = Literal["", "em", "strong", "sup", "sub"]
Align = Literal["left", "right", "center"]

_STYLES: dict[str, Style] = {"em": "em", "i": "em", "strong": "strong", "b": "strong", "sup": "sup", "sub": "sub"}
_NEUTRAL = {"span", "p", "div"}
_SPACE = re.compile(r"[ \t\r\n]+")
_ONE_LINE, _SEVERAL_LINES = 16, 40
INDENT = "\N{NO-BREAK SPACE}" * 4
"""What a row label starts with, once for each level of indentation."""


class TableError(ValueError):
    """HTML that is not a table as great-tables writes it."""


@dataclass(frozen=True, slots=True)
class Run:
    """A piece of text in one style; ``"\\n"`` is a line break."""

    text: str
    style: Style = ""


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell; ``indent`` counts levels of a row label."""

    runs: tuple[Run, ...]
    align: Align = "left"
    colspan: int = 1
    rowspan: int = 1
    indent: int = 0

    @property
    def text(self) -> str:
        """The cell's plain text."""
        return "".join(run.text for run in self.runs)


@dataclass(frozen=True, slots=True)
class Group:
    """Rows under one heading; the heading is None for rows without."""

    heading: Cell | None
    rows: tuple[tuple[Cell, ...], ...]


@dataclass(frozen=True, slots=True)
class Table:
    """A table: header rows, groups of body rows, footnotes, and whether the first column labels the rows."""

    header: tuple[tuple[Cell, ...], ...]
    groups: tuple[Group, ...]
    footnotes: tuple[Cell, ...]
    stub: bool

    @property
    def columns(self) -> int:
        """Number of columns."""
        return max((sum(cell.colspan for cell in row) for group in self.groups for row in group.rows), default=1)


def parse_table(html: str) -> Table:
    """Read the table in great-tables' HTML.

    Raises
    ------
    TableError
        Where there is not exactly one table, or an element that a table cell may not hold.
    """
    root = lxml.html.fromstring(f"<div>{html}</div>")
    tables = list(root.iter("table"))
    if len(tables) != 1:
        raise TableError(f"{len(tables)} tables in one output")
    table = tables[0]
    header = tuple(_row(tr) for tr in table.xpath("./thead/tr"))
    stub = bool(table.xpath("./tbody/tr/th[contains(@class, 'gt_stub')]"))
    footnotes = tuple(_cell(td) for td in table.xpath("./tfoot/tr/td"))
    return Table(header, tuple(_groups(table)), footnotes, stub)


def _groups(table: Any) -> Iterator[Group]:
    heading: Cell | None = None
    rows: list[tuple[Cell, ...]] = []
    for tr in table.xpath("./tbody/tr"):
        # great-tables heads rows without a group by an empty cell, in a row of another class.
        if {"gt_group_heading_row", "gt_empty_group_heading"} & set(tr.get("class", "").split()):
            if rows:
                yield Group(heading, tuple(rows))
            (heading,), rows = _row(tr), []
            heading = heading if heading.text.strip() else None
        else:
            rows.append(_row(tr))
    if rows:
        yield Group(heading, tuple(rows))


def _row(tr: Any) -> tuple[Cell, ...]:
    return tuple(_cell(cell) for cell in tr if cell.tag in ("td", "th"))


def _cell(element: Any) -> Cell:
    runs = _trimmed(list(_runs(element, "")))
    indent = 0
    if runs and "gt_stub" in element.get("class", ""):
        first = runs[0]
        while first.text.startswith(INDENT):
            first = Run(first.text.removeprefix(INDENT), first.style)
            indent += 1
        runs[0] = first
    classes = element.get("class", "").split()
    align: Align = "right" if "gt_right" in classes else "center" if "gt_center" in classes else "left"
    return Cell(tuple(runs), align, int(element.get("colspan", 1)), int(element.get("rowspan", 1)), indent)


def _runs(element: Any, style: Style) -> Iterator[Run]:
    if element.text:
        yield Run(_SPACE.sub(" ", element.text), style)
    for child in element:
        if child.tag == "br":
            yield Run("\n")
        elif child.tag in _NEUTRAL:
            mark = "gt_footnote_marks" in child.get("class", "")
            yield from _runs(child, "sup" if mark else style)
        elif child.tag in _STYLES:
            yield from _runs(child, _STYLES[child.tag])
        else:
            raise TableError(f"a table cell holds <{child.tag}>")
        if child.tail:
            yield Run(_SPACE.sub(" ", child.tail), style)


def _trimmed(runs: list[Run]) -> list[Run]:
    # Ordinary blanks at the ends come from the source's layout; no-break and figure spaces align decimals and stay.
    if runs:
        runs[0] = Run(runs[0].text.lstrip(" "), runs[0].style)
        runs[-1] = Run(runs[-1].text.rstrip(" "), runs[-1].style)
    return [run for run in runs if run.text]


def table_html(table: Table, *, dense: bool = False, shares: Sequence[float | None] = ()) -> str:
    """The table in plain semantic HTML: scopes, no ids, no styles but what percentage of the width a column takes."""
    widths = "".join("<col>" if share is None else f'<col style="width: {share:.0f}%">' for share in shares)
    columns = f"<colgroup>{widths}</colgroup>\n" if widths else ""
    name = "respine-table dense" if dense else "respine-table"
    head = "".join(f"<tr>{''.join(_header_html(cell) for cell in row)}</tr>\n" for row in table.header)
    body = "".join(_group_html(group, table) for group in table.groups)
    return f'<table class="{name}">\n{columns}<thead>\n{head}</thead>\n{body}</table>\n'


def _header_html(cell: Cell) -> str:
    if not cell.runs:
        return f"<td{_spans(cell)}></td>"
    scope = "colgroup" if cell.colspan > 1 else "col"
    spanner = ' class="spanner"' if cell.colspan > 1 else _classes(cell)
    return f'<th scope="{scope}"{_spans(cell)}{spanner}>{runs_html(cell.runs)}</th>'


def _group_html(group: Group, table: Table) -> str:
    lines = ["<tbody>"]
    if group.heading is not None:
        text = runs_html(group.heading.runs)
        lines.append(f'<tr class="group"><th scope="rowgroup" colspan="{table.columns}">{text}</th></tr>')
    for row in group.rows:
        cells = []
        for i, cell in enumerate(row):
            tag, scope = ("th", ' scope="row"') if i == 0 and table.stub else ("td", "")
            cells.append(f"<{tag}{scope}{_spans(cell)}{_classes(cell)}>{runs_html(cell.runs)}</{tag}>")
        lines.append(f"<tr>{''.join(cells)}</tr>")
    return "\n".join([*lines, "</tbody>\n"])


def _classes(cell: Cell) -> str:
    names: list[str] = [cell.align] if cell.align != "left" else []
    # Numbers in a column of words, such as an interval, stay in one line.
    if cell.align == "left":
        names += ["short"] if len(cell.text) <= _ONE_LINE else ["long"] if len(cell.text) > _SEVERAL_LINES else []
    names += [f"indent-{min(cell.indent, 3)}"] if cell.indent else []
    return f' class="{" ".join(names)}"' if names else ""


def _spans(cell: Cell) -> str:
    colspan = f' colspan="{cell.colspan}"' if cell.colspan > 1 else ""
    return colspan + (f' rowspan="{cell.rowspan}"' if cell.rowspan > 1 else "")


def runs_html(runs: tuple[Run, ...]) -> str:
    """Runs of text as HTML, everything escaped."""
    parts = []
    for run in runs:
        text = "<br>" if run.text == "\n" else escape(run.text, quote=False)
        parts.append(f"<{run.style}>{text}</{run.style}>" if run.style else text)
    return "".join(parts)
