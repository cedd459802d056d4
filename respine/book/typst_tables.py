"""Tables of the chapters as Typst source: as wide as what they hold, headings broken to the width of their columns."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from respine.book.tables import Cell, Group, Run, Table
from respine.book.typst_text import text

TEXT_WIDTH = 465.0
"""Width of the text column in points, as the template sets it."""
GUTTERS = (9.0, 22.0)
"""Least and greatest space between two columns, in points."""
# Width of a character in points, at the sizes that the template sets tables in; letters and digits of the sans serif
# are about half as wide as high. It decides where headings break and how far columns stand apart; Typst measures the
# rest.
_CHARACTER, _DENSE_CHARACTER = 4.2, 3.7
# A column of words can break its lines: more than so many characters a line it need not have.
_LONGEST_LINE = 30
_SHORTEST_HEADING = 11
_CLOSING_ROWS = 2


@dataclass(frozen=True, slots=True)
class Layout:
    """How a table is set: characters a column, space between columns in points, and whether in the small size."""

    widths: tuple[int, ...]
    gutter: float
    dense: bool


def layout(table: Table) -> Layout:
    """Widths that fit the body, with headings broken to them, and gutters that share what room is left."""
    widths = [1] * table.columns
    words = [False] * table.columns
    for row in (row for group in table.groups for row in group.rows):
        for i, cell in enumerate(row):
            widths[i] = max(widths[i], *(len(line) + 2 * cell.indent for line in cell.text.split("\n")))
            words[i] |= cell.align == "left"
    for i, cell in enumerate(_plain_heading(table)):
        longest = max((len(word) for word in cell.text.split()), default=1)
        wanted = max(widths[i], longest, _SHORTEST_HEADING)
        widths[i] = max(widths[i], *(len(line) for line in _broken(cell.text, wanted)))
    shown = [min(width, _LONGEST_LINE) if text else width for width, text in zip(widths, words, strict=True)]
    least, most = GUTTERS
    gaps = max(table.columns - 1, 1)
    dense = sum(shown) * _CHARACTER + gaps * least > TEXT_WIDTH
    room = TEXT_WIDTH - sum(widths) * (_DENSE_CHARACTER if dense else _CHARACTER)
    return Layout(tuple(widths), round(min(max(room / gaps, least), most), 1), dense)


def _plain_heading(table: Table) -> list[Cell]:
    """The heading of each column, without those that span several."""
    heads = [Cell(())] * table.columns
    for column, cell in _placed(table.header):
        if cell.colspan == 1 and column < table.columns:
            heads[column] = cell
    return heads


def _placed(header: Sequence[Sequence[Cell]]) -> Iterator[tuple[int, Cell]]:
    """Each cell of the header with its first column: cells of several rows push those below them aside."""
    taken: set[tuple[int, int]] = set()
    for line, row in enumerate(header):
        column = 0
        for cell in row:
            while (line, column) in taken:
                column += 1
            taken |= {(line + i, column + j) for i in range(cell.rowspan) for j in range(cell.colspan)}
            yield column, cell
            column += cell.colspan


def _broken(content: str, width: int) -> list[str]:
    return [
        line
        for part in content.split("\n")
        for line in textwrap.wrap(part, max(width, 1), break_long_words=False, break_on_hyphens=False) or [""]
    ]


def output_table(table: Table, notes: Sequence[str] = ()) -> str:
    """A chapter's table as a call of the template: header and group headings repeat on every page."""
    set_as = layout(table)
    aligns = [cell.align for cell in table.groups[0].rows[0]] if table.groups else ["left"]
    groups, closing = _closing(table) if notes and not table.footnotes else (table.groups, ())
    parts = [_header(table, set_as), *(_group(group, table.columns) for group in groups)]
    parts += [f"table.cell(colspan: {table.columns}, {runs(note.runs)})" for note in table.footnotes]
    return typst_table(aligns, parts, gutter=set_as.gutter, dense=set_as.dense, notes=notes, closing=closing)


def _closing(table: Table) -> tuple[Sequence[Group], tuple[str, ...]]:
    """The groups without the last rows of the last one, and these, which stay with the notes on one page."""
    last = table.groups[-1] if table.groups else None
    if last is None or len(last.rows) < 2 * _CLOSING_ROWS or any(cell.rowspan > 1 for row in last.rows for cell in row):
        return table.groups, ()
    shortened = replace(last, rows=last.rows[:-_CLOSING_ROWS])
    return [*table.groups[:-1], shortened], tuple(_cell(cell) for row in last.rows[-_CLOSING_ROWS:] for cell in row)


def typst_table(
    aligns: Sequence[str],
    parts: Sequence[str],
    *,
    gutter: float = 16.0,
    dense: bool = False,
    notes: Sequence[str] = (),
    closing: Sequence[str] = (),
) -> str:
    """A call of the template's table; ``closing`` are the cells of the rows that stay with the notes."""
    options = [f"gutter: {gutter:g}pt", *(["dense: true"] if dense else []), f"columns: {len(aligns)}"]
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
    for column, cell in _placed(table.header):
        gaps = (cell.colspan - 1) * set_as.gutter / _CHARACTER
        cells.append(_heading(cell, int(sum(set_as.widths[column : column + cell.colspan]) + gaps)))
    return f"table.header(repeat: true, {', '.join(cells)}, table.hline(stroke: 0.5pt))"


def _heading(cell: Cell, width: int) -> str:
    spanner = cell.colspan > 1
    # Columns would take the width of an unbroken heading.
    lines = _broken(cell.text, max(width, _SHORTEST_HEADING)) if all(not run.style for run in cell.runs) else None
    content = runs(cell.runs) if lines is None else f"[{'#linebreak();'.join(text(line) for line in lines)}]"
    options = _spans(cell)
    options.append(f"align: {'center' if spanner else cell.align} + bottom")
    if spanner:
        options.append("stroke: (bottom: 0.3pt)")
    return f"table.cell({', '.join(options)}, strong({content}))"


def _group(group: Group, columns: int) -> str:
    rows = ", ".join(_cell(cell) for row in group.rows for cell in row)
    if group.heading is None:
        return rows
    heading = f"table.cell(colspan: {columns}, align: left, inset: (top: 6pt), strong({runs(group.heading.runs)}))"
    return f"table.header(level: 2, repeat: true, {heading}), {rows}"


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
        inside = text(run.text)
        name = {"em": "emph", "strong": "strong", "sup": "super", "sub": "sub", "": ""}[run.style]
        parts.append(f"#{name}[{inside}];" if name else inside)
    return f"[{''.join(parts)}]"
