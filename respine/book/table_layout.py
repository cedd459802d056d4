"""How a table is set, the same reckoning for page and screen: small size, gaps, headings broken, columns of words."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil

from respine.book.tables import Cell, Table, table_html
from respine.book.typst_text import LONGEST_WORD

# A column of words can break its lines: one of so few characters stays whole, more than LONGEST_WORD it need not have.
_ONE_LINE = 16
SHORTEST_HEADING = 11


@dataclass(frozen=True, slots=True)
class Medium:
    """What a table is set on, in one unit: width, a character in the usual and in the small size, gaps of columns.

    Letters and digits of the sans serif are about half as wide as high. The widths decide where headings break, how far
    columns stand apart and how columns of words share what is too narrow for all; Typst and the browser measure the
    rest.
    """

    width: float
    character: float
    dense_character: float
    least_gap: float
    most_gap: float


@dataclass(frozen=True, slots=True)
class Layout:
    """How a table is set: characters a column, space between columns, whether in the small size, and shares.

    ``shares`` holds the characters a line of the columns of words where the table is too wide for all its words in one
    line, None for a column as wide as what it holds; it is empty where the table fits, or cannot be made to fit.
    """

    widths: tuple[int, ...]
    gutter: float
    dense: bool
    shares: tuple[int | None, ...] = ()


def layout(table: Table, medium: Medium) -> Layout:
    """Widths that fit the body, with headings broken to them, and gutters that share what room is left."""
    words = _columns_of_words(table)
    least, natural = [1] * table.columns, [1] * table.columns
    for i, cell in _body(table):
        length = max(_length(line) for line in cell.text.split("\n")) + 2 * cell.indent
        natural[i] = max(natural[i], length)
        least[i] = max(least[i], _longest_word(cell.text) if words[i] else length)
    for i, cell in enumerate(_plain_heading(table)):
        longest = _longest_word(cell.text)
        wanted = max(natural[i], longest, SHORTEST_HEADING)
        heading = max(len(line) for line in broken(cell.text, wanted))
        natural[i] = max(natural[i], heading)
        least[i] = max(least[i], longest if words[i] else heading)
    gaps = max(table.columns - 1, 1)
    shown = [min(width, LONGEST_WORD) if word else width for width, word in zip(natural, words, strict=True)]
    dense = sum(shown) * medium.character + gaps * medium.least_gap > medium.width
    character = medium.dense_character if dense else medium.character
    room = medium.width - sum(natural) * character
    shares: tuple[int | None, ...] = ()
    if room < gaps * medium.least_gap and any(words):
        available = int((medium.width - gaps * medium.least_gap) / character)
        breaking = [word and width > _ONE_LINE for width, word in zip(natural, words, strict=True)]
        # One character more, since letters differ.
        kept = [low + 1 if breaks else width for low, width, breaks in zip(least, natural, breaking, strict=True)]
        if sum(kept) > available:
            breaking, kept = words, least
        # Where even the longest words do not fit, a share would be too little for some: left to Typst and the browser.
        if sum(kept) <= available:
            columns = [[_length(cell.text) for j, cell in _body(table) if j == i] for i in range(table.columns)]
            fitted = _fitted(columns, breaking, kept, natural, available)
            shares = tuple(width if breaks else None for width, breaks in zip(fitted, breaking, strict=True))
    gutter = min(max(room / gaps, medium.least_gap), medium.most_gap)
    return Layout(tuple(natural), round(gutter, 1), dense, shares)


SCREEN = Medium(672.0, 7.0, 6.4, 12.0, 22.0)
"""The text column of a page on a wide screen, in CSS pixels, as the stylesheet sets it."""


def screen_table(table: Table) -> str:
    """The table in HTML, in the small size and with shares of the width where it is too wide without."""
    set_as = layout(table, SCREEN)
    unit = SCREEN.dense_character if set_as.dense else SCREEN.character
    shares = [share and 100 * (share * unit + SCREEN.least_gap) / SCREEN.width for share in set_as.shares]
    return table_html(table, dense=set_as.dense, shares=shares)


def _body(table: Table) -> Iterator[tuple[int, Cell]]:
    return ((i, cell) for group in table.groups for row in group.rows for i, cell in enumerate(row))


def _columns_of_words(table: Table) -> list[bool]:
    words = [False] * table.columns
    for i, cell in _body(table):
        words[i] |= cell.align == "left"
    return words


def _length(content: str) -> int:
    """Characters of usual width: capitals are wider."""
    return len(content) + ceil(0.3 * sum(letter.isupper() for letter in content))


def _longest_word(content: str) -> int:
    # A longer one breaks in itself on paper, and has its table scroll on screen.
    return min(max((_length(word) for word in content.split()), default=1), LONGEST_WORD)


def _fitted(
    columns: Sequence[Sequence[int]], words: Sequence[bool], least: Sequence[int], natural: Sequence[int], room: int
) -> list[int]:
    """Characters a column: from the least, room goes step by step where it saves most lines for its width.

    ``columns`` holds the lengths of their cells; only ``words`` may grow.
    """
    widths = list(least)
    spare = room - sum(widths)
    while spare > 0:
        steps = [
            step
            for i, cells in enumerate(columns)
            if words[i] and (step := _step(i, cells, widths[i], natural[i], spare)) is not None
        ]
        if not steps:
            break
        _, wider, i = max(steps)
        widths[i] += -wider
        spare -= -wider
    return widths


def _step(column: int, cells: Sequence[int], width: int, natural: int, spare: int) -> tuple[float, int, int] | None:
    """The best next width of one column, as lines saved a character, characters (negative) and column."""
    now = [_lines(cell, width) for cell in cells]
    wanted = {min(ceil(cell / (lines - 1)), natural) for cell, lines in zip(cells, now, strict=True) if lines > 1}
    steps = [
        ((sum(now) - sum(_lines(cell, target) for cell in cells)) / (target - width), width - target, column)
        for target in wanted
        if width < target <= width + spare
    ]
    return max(steps, default=None)


def _lines(length: int, width: int) -> int:
    return max(ceil(length / width), 1)


def _plain_heading(table: Table) -> list[Cell]:
    """The heading of each column, without those that span several."""
    heads = [Cell(())] * table.columns
    for column, cell in placed(table.header):
        if cell.colspan == 1 and column < table.columns:
            heads[column] = cell
    return heads


def placed(header: Sequence[Sequence[Cell]]) -> Iterator[tuple[int, Cell]]:
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


def broken(content: str, width: int) -> list[str]:
    """A heading in lines of at most so many characters where its words allow, as even as as many lines can be."""
    return [line for part in content.split("\n") for line in _even(part, max(width, 1))]


def _even(part: str, width: int) -> list[str]:
    lines = _wrapped(part, width)
    for narrower in range(1, width):
        even = _wrapped(part, narrower)
        if len(even) == len(lines):
            return even
    return lines


def _wrapped(part: str, width: int) -> list[str]:
    return textwrap.wrap(part, width, break_long_words=False, break_on_hyphens=False) or [""]
