from __future__ import annotations

import pytest
from lxml import etree

from respine.book.mathml import MathError, mathml_html
from respine.book.svg import SvgError, inline_svg, parse_svg, svg_width
from respine.book.tables import TableError, parse_table, table_html
from respine.display.outputs import Row, Table
from tests.book.sample.book import HOSTILE, baseline_table, response_figure, wide_table


def test_a_table_is_read_with_groups_indents_and_alignment() -> None:
    table = parse_table(baseline_table().bundle()[0]["text/html"])
    assert table.stub
    assert table.columns == 3
    assert [group.heading.text for group in table.groups if group.heading] == ["Demographics", "Pain"]
    assert table.header[-1][1].text == "BM-MSC\n(n = 58)"
    missing = table.groups[1].rows[-1]
    assert (missing[0].text, missing[0].indent, missing[1].align) == ("missing, n", 1, "right")
    assert missing[1].text.strip("\u2007\u00a0") == "0"


def test_spanners_keep_their_columns() -> None:
    table = parse_table(wide_table().bundle()[0]["text/html"])
    assert [(cell.text, cell.colspan, cell.rowspan) for cell in table.header[0]] == [
        ("Outcome", 1, 2), ("Early", 4, 1), ("Late", 6, 1),
    ]  # fmt: skip


def test_html_of_a_table_holds_text_scopes_and_nothing_else() -> None:
    html = table_html(parse_table(baseline_table(HOSTILE).bundle()[0]["text/html"]))
    assert "<script" not in html
    assert "&lt;script&gt;" in html
    assert "style=" not in html
    assert " id=" not in html
    assert html.count('scope="row"') == 5
    assert html.count('scope="rowgroup"') == 2


@pytest.mark.parametrize(
    "html",
    ["<p>no table</p>", "<table><tr><td><img src='x'></td></tr></table>", "<table></table><table></table>"],
)
def test_what_is_not_a_table_is_refused(html: str) -> None:
    if "<img" in html:
        html = f"<table><tbody>{html.removeprefix('<table>').removesuffix('</table>')}</tbody></table>"
    with pytest.raises(TableError):
        parse_table(html)


def test_a_drawing_follows_the_theme_and_keeps_its_ids_to_itself() -> None:
    svg = response_figure()["data"]["image/svg+xml"]
    html = inline_svg(svg, "fig-x", 'Alt "text"')
    tree = etree.fromstring(html)
    ids = {e.get("id") for e in tree.iter() if e.get("id")}
    assert ids
    assert all(id.startswith("fig-x-") for id in ids)
    uses = [e.get("href") for e in tree.iter("use")]
    assert uses
    assert {use.removeprefix("#") for use in uses} <= ids
    assert tree.get("role") == "img"
    assert tree.get("aria-label") == 'Alt "text"'
    assert "#000000" not in html
    assert "currentColor" in html
    assert "var(--respine-treatment)" in html
    assert "http" not in html


def test_a_drawing_cannot_run_or_fetch_anything() -> None:
    svg = (
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" width="10" height="5">'
        '<script>alert(1)</script><style>* { fill: url("http://evil.example/x") }</style>'
        '<foreignObject><p xmlns="http://www.w3.org/1999/xhtml">x</p></foreignObject>'
        '<g onclick="alert(1)"><use xlink:href="http://evil.example/a.svg#b"/><path d="M0 0"/></g></svg>'
    )
    html = inline_svg(svg, "fig-x", "alt")
    for word in ("script", "evil", "onclick", "foreignObject", "alert", "style>"):
        assert word not in html
    assert "<path" in html
    assert svg_width(parse_svg(svg)) == pytest.approx(7.5)


@pytest.mark.parametrize("text", ["<svg", "<html/>", "<!DOCTYPE x [<!ENTITY a 'b'>]><x>&a;</x>"])
def test_what_is_no_drawing_is_refused(text: str) -> None:
    with pytest.raises(SvgError):
        parse_svg(text)


def test_formulas_become_mathml() -> None:
    html = mathml_html(r"\hat p = \frac{x}{n}", block=True)
    assert html.startswith("<math")
    assert "<mfrac>" in html
    assert "xmlns" not in html
    with pytest.raises(MathError, match="unknown command"):
        mathml_html(r"x \unknowncommand y", block=False)


def test_rows_before_the_first_group_have_no_heading_and_leave_no_blank_row() -> None:
    rows = (Row("All", ("10",)), Row("young", ("4",), "Age"), Row("old", ("6",), "Age"))
    table = Table(label="tbl-x", caption="X.", columns=("Who", "n"), rows=rows)
    parsed = parse_table(table.bundle()[0]["text/html"])
    assert [group.heading and group.heading.text for group in parsed.groups] == [None, "Age"]
    assert [[row[0].text for row in group.rows] for group in parsed.groups] == [["All"], ["young", "old"]]
