"""Tables of the chapters as Typst source: as wide as what they hold, headings broken to the width of their columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from respine.book.table_layout import SHORTEST_HEADING, Layout, Medium, broken, layout, placed
from respine.book.tables import Cell, Group, Run, Table
from respine.book.typst_text import breakable, text

TEXT_WIDTH = 465.0
"""Width of the text column in points, as the template sets it."""
GUTTERS = (9.0, 22.0)
"""Least and greatest space between two columns, in points."""
PAPER = Medium(TEXT_WIDTH, 4.2, 3.7, *GUTTERS)
_CLOSING_ROWS = 2


def output_table(table: Table, notes: Sequence[str] = ()) -> str:
    """A chapter's table as a call of the template: header and group headings repeat on every page."""
    set_as = layout(table, PAPER)
    aligns = [cell.align for cell in table.groups[0].rows[0]] if table.groups else ["left"]
    groups, closing = _closing(table) if notes and not table.footnotes else (table.groups, ())
    parts = [_header(table, set_as), *(_group(group, table.columns) for group in groups)]
    parts += [f"table.cell(colspan: {table.columns}, {runs(note.runs)})" for note in table.footnotes]
    return typst_table(aligns, parts, set_as=set_as, notes=notes, closing=closing)


def _closing(table: Table) -> tuple[Sequence[Group], tuple[str, ...]]:
    """The groups without the last rows of the last one, and these, which stay with the notes on one page.

    A last group of few rows closes the table whole, or its heading would be left alone.
    """
    last = table.groups[-1] if table.groups else None
    if last is None or any(cell.rowspan > 1 for row in last.rows for cell in row):
        return table.groups, ()
    if len(last.rows) >= 2 * _CLOSING_ROWS:
        shortened = replace(last, rows=last.rows[:-_CLOSING_ROWS])
        return [*table.groups[:-1], shortened], tuple(_cell(cell) for row in last.rows[-_CLOSING_ROWS:] for cell in row)
    if len(table.groups) == 1:
        return table.groups, ()
    heading = () if last.heading is None else (_group_heading(last.heading, table.columns),)
    return table.groups[:-1], (*heading, *(_cell(cell) for row in last.rows for cell in row))


def typst_table(
    aligns: Sequence[str],
    parts: Sequence[str],
    *,
    set_as: Layout | None = None,
    notes: Sequence[str] = (),
    closing: Sequence[str] = (),
) -> str:
    """A call of the template's table; ``closing`` are the cells of the rows that stay with the notes."""
    gutter, dense, shares = (16.0, False, ()) if set_as is None else (set_as.gutter, set_as.dense, set_as.shares)
    widths = f"({', '.join('auto' if share is None else f'{share}fr' for share in shares)},)" if shares else len(aligns)
    options = [f"gutter: {gutter:g}pt", *(["dense: true"] if dense else []), f"columns: {widths}"]
    options.append(f"align: ({', '.join(aligns)},)")
    if notes:
        options.append(f"notes: ({', '.join(f'[{text(note)}]' for note in notes)},)")
    if closing:
        options.append(f"closing: ({', '.join(closing)},)")
    return f"respine-table({', '.join([*options, *filter(None, parts)])})"


def _header(table: Table, set_as: Layout) -> str:
    if not table.header:
        return ""
    cells = []
    for column, cell in placed(table.header):
        gaps = (cell.colspan - 1) * set_as.gutter / PAPER.character
        share = set_as.shares[column] if set_as.shares and cell.colspan == 1 else None
        width = int(sum(set_as.widths[column : column + cell.colspan]) + gaps) if share is None else share
        cells.append(_heading(cell, width))
    return f"table.header(repeat: true, {', '.join(cells)}, table.hline(stroke: 0.5pt))"


def _heading(cell: Cell, width: int) -> str:
    spanner = cell.colspan > 1
    # Columns would take the width of an unbroken heading.
    lines = broken(cell.text, max(width, SHORTEST_HEADING)) if all(not run.style for run in cell.runs) else None
    content = runs(cell.runs) if lines is None else f"[{'#linebreak();'.join(text(line) for line in lines)}]"
    options = _spans(cell)
    options.append(f"align: {'center' if spanner else cell.align} + bottom")
    if spanner:
        options.append("stroke: (bottom: 0.3pt)")
    # A heading is broken at its spaces alone.
    return f"table.cell({', '.join(options)}, text(hyphenate: false, strong({content})))"


def _group(group: Group, columns: int) -> str:
    rows = ", ".join(_rows(group.rows))
    if group.heading is None:
        return rows
    return f"table.header(level: 2, repeat: true, {_group_heading(group.heading, columns)}), {rows}"


def _rows(rows: Sequence[Sequence[Cell]]) -> Iterator[str]:
    """The rows' cells; a row that heads indented ones stays on their page, as the headings of a table do."""
    for row, following in zip(rows, [*rows[1:], None], strict=True):
        cells = ", ".join(_cell(cell) for cell in row)
        level, next_level = row[0].indent, following[0].indent if following else 0
        yield f"table.header(level: {3 + level}, repeat: false, {cells})" if next_level > level else cells


def _group_heading(heading: Cell, columns: int) -> str:
    return f"table.cell(colspan: {columns}, align: left, inset: (top: 6pt), strong({runs(heading.runs)}))"


def _cell(cell: Cell) -> str:
    content = runs(cell.runs)
    if cell.indent:
        content = f"pad(left: {cell.indent}em, {content})"
    options = _spans(cell)
    return f"table.cell({', '.join(options)}, {content})" if options else content


def _spans(cell: Cell) -> list[str]:
    spans = [f"colspan: {cell.colspan}"] if cell.colspan > 1 else []
    return spans + ([f"rowspan: {cell.rowspan}"] if cell.rowspan > 1 else [])


def runs(pieces: tuple[Run, ...]) -> str:
    """Runs of text as a content block."""
    parts = []
    for run in pieces:
        if run.text == "\n":
            parts.append("#linebreak();")
            continue
        inside = breakable(run.text)
        name = {"em": "emph", "strong": "strong", "sup": "super", "sub": "sub", "": ""}[run.style]
        parts.append(f"#{name}[{inside}];" if name else inside)
    return f"[{''.join(parts)}]"
