"""How tables are set: columns of words share what is too narrow for all, headings break evenly."""

from __future__ import annotations

import re

from respine.book.table_layout import SCREEN, broken, layout, screen_table
from respine.book.tables import parse_table
from respine.book.typst_tables import PAPER, output_table
from respine.display.outputs import Row, Table

WORDS = "what a rescue treatment makes of a response, in words that fill several lines of a column " * 2


def words_table(name: str = "seed", kind: str = "not part of the data") -> Table:
    rows = tuple(Row(name, (kind, WORDS, "12")) for _ in range(6))
    return Table(
        label="tbl-words", caption="Words.", columns=("Name", "Status", "Meaning", "n"), rows=rows,
        text_columns=frozenset({1, 2}),
    )  # fmt: skip


def test_columns_of_words_share_the_width_and_the_short_ones_stay_whole() -> None:
    table = parse_table(words_table().bundle()[0]["text/html"])
    for medium in (PAPER, SCREEN):
        name, status, meaning, number = layout(table, medium).shares
        # The first and the last are as wide as what they hold; the status is worth one line.
        assert name is None
        assert number is None
        assert status is not None
        assert status >= len("not part of the data")
        assert meaning is not None
        assert meaning > status


def test_words_longer_than_a_column_count_as_they_break() -> None:
    table = parse_table(words_table("x" * 90, "y" * 90).bundle()[0]["text/html"])
    assert layout(table, PAPER).shares[:2] == (31, 31)


def test_words_too_long_for_the_page_do_not_stop_the_layout() -> None:
    word, columns = "x" * 29, tuple(map(str, range(9)))
    table = Table(
        label="tbl-x", caption="X.", columns=columns, rows=(Row(word, (word,) * 8),), text_columns=frozenset(range(9))
    )
    parsed = parse_table(table.bundle()[0]["text/html"])
    assert layout(parsed, PAPER).shares == ()
    assert output_table(parsed)


def test_html_says_the_shares_and_the_small_size_only_where_a_table_is_too_wide() -> None:
    wide = screen_table(parse_table(words_table().bundle()[0]["text/html"]))
    assert 'class="respine-table dense"' in wide or "<colgroup>" in wide
    percent = [int(number) for number in re.findall(r'<col style="width: (\d+)%">', wide)]
    assert percent
    assert sum(percent) < 100
    narrow = Table(label="tbl-n", caption="N.", columns=("Name", "n"), rows=(Row("a", ("1",)),))
    assert "<col" not in screen_table(parse_table(narrow.bundle()[0]["text/html"]))


def test_headings_break_evenly() -> None:
    assert broken("Rexlemestrocel-L 6 million cells", 25) == ["Rexlemestrocel-L", "6 million cells"]
    assert broken("Difference", 4) == ["Difference"]
    assert broken("BM-MSC\n(n = 58)", 11) == ["BM-MSC", "(n = 58)"]
