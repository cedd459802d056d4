from __future__ import annotations

import re
import shutil
from pathlib import Path

import lxml.html
import pikepdf
import pypdf
import pytest
import typst
from docutils import nodes
from hypothesis import given, settings
from hypothesis import strategies as st

from respine.book.pdf import compile_pdf
from respine.book.render import RenderReport
from respine.book.tables import parse_table
from respine.book.typst_builder import TEMPLATE
from respine.book.typst_math import typst_math
from respine.book.typst_tables import output_table
from respine.book.typst_text import text
from respine.book.typst_writer import Report, TypstWriter, UnknownNodeError
from respine.display.outputs import Row, Table
from tests.book.sample.book import HOSTILE, baseline_table


@pytest.fixture(scope="module")
def pdf_pages(sample: RenderReport) -> list[str]:
    assert sample.pdf is not None
    return [page.extract_text() for page in pypdf.PdfReader(sample.pdf).pages]


def words(content: str) -> str:
    return re.sub(r"\s+", " ", content.replace("\xad", ""))


def squeezed(content: str) -> str:
    """Without blanks: line breaks and justification are the compiler's."""
    return re.sub(r"[\s\u2007]+", "", content)


def test_the_pdf_is_tagged_titled_and_in_english(sample: RenderReport) -> None:
    assert sample.pdf is not None
    with pikepdf.open(sample.pdf) as pdf:
        assert pdf.Root.MarkInfo.Marked
        assert "/StructTreeRoot" in pdf.Root
        assert str(pdf.Root.Lang).startswith("en")
        with pdf.open_metadata() as metadata:
            assert metadata["pdfuaid:part"] == "1"
            assert metadata["dc:title"] == "A sample report"
        with pdf.open_outline() as outline:
            assert [item.title for item in outline.root][-4:] == [
                "Methods",
                "Baseline",
                "Response at month 12",
                "References",
            ]
            assert not any("CreationDate" in key for key in pdf.docinfo)


def test_only_the_chosen_fonts_are_embedded(sample: RenderReport) -> None:
    assert sample.pdf is not None
    names = set()
    with pikepdf.open(sample.pdf) as pdf:
        for page in pdf.pages:
            for font in page.get("/Resources", {}).get("/Font", {}).values():
                names.add(str(font.BaseFont).partition("+")[2])
    families = {name.partition("-")[0] for name in names}
    assert {"SourceSerifPro", "SourceSansPro"} <= families
    assert families <= {"SourceSerifPro", "SourceSansPro", "NewCMMath", "DejaVuSansMono"}


def test_every_number_of_the_page_stands_in_the_pdf(sample: RenderReport, pdf_pages: list[str]) -> None:
    everything = squeezed("".join(pdf_pages))
    assert sample.html is not None
    for name in ("index", "chapters/baseline", "chapters/response", "chapters/methods"):
        tree = lxml.html.parse(str(sample.html / f"{name}.html")).getroot()
        article = tree.xpath("//article")[0]
        for unwanted in article.xpath(".//details | .//svg | .//math | .//*[@class='headerlink']"):
            unwanted.drop_tree()
        numbers = re.findall(r"[−<>]?\d[\d,.]*\d|\d", article.text_content())
        assert numbers
        missing = [number for number in numbers if number not in everything]
        assert not missing, f"{name}: {missing}"


def test_captions_references_citations_and_notes_are_there(pdf_pages: list[str]) -> None:
    everything = squeezed(" ".join(pdf_pages))
    for phrase in (
        "Table 1. Baseline characteristics by randomised arm", "Table 2. VAS by visit",
        "Figure 1. Responders at month 12",
        "Baseline characteristics are in Table 1 and Table 2.", "SD, standard deviation; VAS, visual analogue scale.",
        "The note’s text.", "Olli Miettinen", "Its definition.", "Summary", "Contents", "37 of 50 (74%)",
    ):  # fmt: skip
        assert squeezed(phrase) in everything, phrase


def test_the_notice_stands_on_every_page_of_synthetic_data_only(sample: RenderReport, hostile: RenderReport) -> None:
    for report, expected in ((sample, True), (hostile, False)):
        assert report.pdf is not None
        for page in pypdf.PdfReader(report.pdf).pages:
            assert ("Synthetic data" in words(page.extract_text())) is expected


def test_links_lead_to_places_in_the_report(sample: RenderReport) -> None:
    assert sample.pdf is not None
    reader = pypdf.PdfReader(sample.pdf)
    inside = outside = 0
    for page in reader.pages:
        for annotation in page.get("/Annots") or ():
            action = annotation.get_object().get("/A", {})
            if "/URI" in action:
                assert action["/URI"].startswith("https://doi.org/")
                outside += 1
            else:
                inside += 1
    assert inside >= 12
    assert outside >= 2


def test_every_page_stands_upright_and_holds_something(sample: RenderReport, pdf_pages: list[str]) -> None:
    assert sample.pdf is not None
    reader = pypdf.PdfReader(sample.pdf)
    assert all(page.mediabox.height > page.mediabox.width for page in reader.pages)
    furniture = re.compile(r"RESPINE|Synthetic data: no number in this report is a result of the trial\.|\d+|\s+")
    assert all(furniture.sub("", page) for page in pdf_pages)


def test_a_long_table_repeats_its_header(pdf_pages: list[str]) -> None:
    holding = [words(page) for page in pdf_pages if "Outcome number" in words(page)]
    assert len(holding) > 1
    assert all("month 24" in page for page in holding)


def test_lists_are_in_order_and_leave_out_what_follows_the_first_sentence(pdf_pages: list[str]) -> None:
    lists = words(next(page for page in pdf_pages if "Contents" in page)).partition("Contents")[2]
    assert re.findall(r"(?:Table|Figure) \d+", lists) == ["Table 1", "Table 2", "Figure 1"]
    assert "Figure 1 Responders at month 12 with 95% CI" in lists
    assert "n = 99" not in lists


def set_by_template(tmp_path: Path, body: str) -> list[str]:
    shutil.copyfile(TEMPLATE, tmp_path / TEMPLATE.name)
    source = f'#import "{TEMPLATE.name}": *\n#show: report.with(title: "T", short-title: "-")\n{body}'
    (tmp_path / "report.typ").write_text(source, encoding="utf-8")
    assert compile_pdf(tmp_path / "report.typ", tmp_path / "report.pdf") == []
    return [page.extract_text() for page in pypdf.PdfReader(tmp_path / "report.pdf").pages]


@pytest.mark.parametrize("length", [20, 350, 480, 560])
def test_a_figure_stays_in_its_chapter_in_order_and_leaves_no_void(tmp_path: Path, length: int) -> None:
    def figure(number: int) -> str:
        options = f'kind: image, supplement: [Figure], alt: "x", caption: [Drawing{number}.]'
        return f"#respine-here-or-next-top[#figure({options}, rect(width: 100%, height: 200pt))];"

    after = "#lorem(60)\n\n" * 12
    body = (
        f"= One\n#lorem({length})\n\n{figure(1)}\n#lorem(30)\n\n{figure(2)}\n{after}LAST\n#place.flush();\n= Two\nEND"
    )
    pages = set_by_template(tmp_path, body)
    whole = " ".join(pages)
    places = [whole.index(words) for words in ("One\n", "Drawing1", "Drawing2", "LAST", "Two\n", "END")]
    assert places[1] < places[2] < places[4]
    assert places[3] < places[4]
    first = next(i for i, page in enumerate(pages) if "Drawing1" in page or "Drawing2" in page)
    start = next(i for i, page in enumerate(pages) if re.search(r"^(-\n?)?One", page.strip()))
    assert start <= first
    # Text runs on beside a figure that waits: only the chapter's last page may end early.
    chapter = pages[start : next(i for i, page in enumerate(pages) if "Two\n" in page)]
    for page in chapter[:-1]:
        figures = page.count("Drawing")
        assert len(page) > 4100 - 1500 * figures, page[-200:]


@pytest.mark.parametrize("rows", range(38, 50))
def test_notes_never_stand_on_a_page_without_their_table(tmp_path: Path, rows: int) -> None:
    cells = tuple(Row(f"Row{k}", ("1",)) for k in range(rows))
    table = Table(label="tbl-long", caption="Long.", columns=("Name", "n"), rows=cells, notes=("NOTE",))
    source = output_table(parse_table(table.bundle()[0]["text/html"]), table.notes)
    pages = set_by_template(tmp_path, f"= One\n#figure(kind: table, supplement: [Table], caption: [Long.], {source})")
    (page,) = [page for page in pages if "NOTE" in page]
    assert f"Row{rows - 1}" in page


@pytest.mark.parametrize("rows", range(34, 46))
def test_a_last_group_of_few_rows_stays_with_the_notes(tmp_path: Path, rows: int) -> None:
    cells = tuple(Row(f"Row{k}", ("1",), group="Many" if k < rows - 2 else "Few") for k in range(rows))
    table = Table(label="tbl-long", caption="Long.", columns=("Name", "n"), rows=cells, notes=("NOTE",))
    source = output_table(parse_table(table.bundle()[0]["text/html"]), table.notes)
    pages = set_by_template(tmp_path, f"= One\n#figure(kind: table, supplement: [Table], caption: [Long.], {source})")
    (page,) = [page for page in pages if "NOTE" in page]
    assert all(words in page for words in ("Few", f"Row{rows - 2}", f"Row{rows - 1}"))


@pytest.mark.parametrize("rows", range(38, 50))
def test_a_row_that_heads_indented_ones_never_ends_a_page(tmp_path: Path, rows: int) -> None:
    cells = tuple(Row(f"Row{k}" if k % 2 else f"Head{k}", ("1",), indent=k % 2) for k in range(2 * rows))
    table = Table(label="tbl-long", caption="Long.", columns=("Name", "n"), rows=cells)
    source = output_table(parse_table(table.bundle()[0]["text/html"]))
    figure = f"#figure(kind: table, supplement: [Table], caption: [Long.], {source})"
    pages = set_by_template(tmp_path, f"= One\n#v({rows}pt)\n{figure}")
    for k in range(0, 2 * rows, 2):
        (page,) = [page for page in pages if re.search(rf"Head{k}\b", page)]
        assert re.search(rf"Row{k + 1}\b", page)


def test_a_figure_that_waits_does_not_part_the_rows_of_a_long_table(tmp_path: Path) -> None:
    cells = tuple(Row(f"Row{k}", ("1",)) for k in range(40))
    table = Table(label="tbl-long", caption="Long.", columns=("Name", "n"), rows=cells)
    source = output_table(parse_table(table.bundle()[0]["text/html"]))
    drawing = '#figure(kind: image, supplement: [Figure], alt: "x", caption: [Drawing.], rect(height: 300pt))'
    long = f"#figure(kind: table, supplement: [Table], caption: [Long.], {source})"
    body = f"= One\n#lorem(380)\n\n#respine-here-or-next-top[{drawing};];\n\n#respine-whole-or-divided[{long};];"
    whole = "".join(set_by_template(tmp_path, body))
    assert whole.index("Drawing.") < whole.index("Row0")


def test_a_layout_that_finds_no_rest_is_set_in_place(tmp_path: Path) -> None:
    source = tmp_path / "report.typ"
    source.write_text(
        '#set document(title: "T")\n#if "in-place" in sys.inputs [settled] else { '
        "context { let n = query(metadata).len(); for _ in range(n + 1) { metadata(none) } } }",
        encoding="utf-8",
    )
    assert compile_pdf(source, tmp_path / "report.pdf") == []
    assert "settled" in pypdf.PdfReader(tmp_path / "report.pdf").pages[0].extract_text()


def test_headings_break_to_the_width_of_their_columns() -> None:
    table = Table(
        label="tbl-x", caption="X.", columns=("Name", "Cells (allogeneic), 20 million", "p"),
        rows=(Row("a", ("1 (2%)", "0.5")),),
    )  # fmt: skip
    source = output_table(parse_table(table.bundle()[0]["text/html"]))
    assert '#"Cells";#linebreak();#"(allogeneic),";#linebreak();#"20 million";' in source


def test_a_word_longer_than_its_column_breaks_in_itself(tmp_path: Path) -> None:
    rows = (Row("W" * 60, ("words " * 30, "0.5")), Row("Short", ("of one line", "0.5")))
    table = Table(label="tbl-x", caption="X.", columns=("Term", "Meaning", "p"), rows=rows, text_columns=frozenset({1}))
    source = output_table(parse_table(table.bundle()[0]["text/html"]))
    assert source.count("#sym.zws;") == 5
    pages = set_by_template(tmp_path, f"= One\n#figure(kind: table, supplement: [Table], caption: [X.], {source})")
    (page,) = [page for page in pages if "WWW" in page]
    lines = [line.count("W") for line in page.replace("\u200b", "").split("\n")]
    assert sum(lines) == 60
    assert max(lines) <= 40


def test_an_arm_label_full_of_markup_is_printed_as_it_is(hostile: RenderReport) -> None:
    assert hostile.pdf is not None
    everything = squeezed("".join(page.extract_text() for page in pypdf.PdfReader(hostile.pdf).pages))
    assert squeezed(HOSTILE) in everything


@settings(deadline=None, derandomize=True, max_examples=40)
@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=1, max_size=60))
def test_text_is_inert_whatever_it_says(content: str) -> None:
    markup = text(content)
    source = f"#let shown = [{markup}]\n#metadata(repr(shown)) <x>\nend".encode()
    # Compiles, and what follows the text is still there.
    answer = typst.query(source, "<x>", field="value", one=True, ignore_system_fonts=True)
    assert answer.startswith('"')
    assert "#set" not in re.sub(r'"(\\.|[^"\\])*"', "", markup)


def test_characters_without_a_glyph_are_named() -> None:
    assert text("\u4e2d\u6587") == '#"[U+4E2D][U+6587]";'
    assert text("Vadalà, β ≤ −1") == '#"Vadalà, β ≤ −1";'
    assert text("a\u202eb\x07c") == '#"abc";'


def test_an_unknown_node_is_an_error_naming_the_page() -> None:
    class Surprise(nodes.Element):
        pass

    writer = TypstWriter(Report({}, {}, frozenset(), Path()), "chapters/response")
    with pytest.raises(UnknownNodeError, match=r"chapters/response.*Surprise"):
        writer.write(Surprise())
    with pytest.raises(UnknownNodeError, match="raw html"):
        writer.write(nodes.raw("", "<b>x</b>", format="html"))


def test_group_headings_are_headers_of_the_second_level() -> None:
    source = output_table(parse_table(baseline_table().bundle()[0]["text/html"]))
    assert source.count("table.header(level: 2, repeat: true") == 2
    assert source.startswith("respine-table(gutter: 22pt, columns: 3, align: (left, right, right,), table.header(")


@pytest.mark.parametrize(
    ("latex", "expected"),
    [
        (r"\frac{a}{b}", "frac(a, b)"),
        (r"\hat p_1", 'attach(hat(p), b: "1")'),
        (r"X_i^\top", "attach(X, b: i, t: ⊤)"),
        (r"\sqrt{1 - x}", 'sqrt("1" − x)'),
        (r"\operatorname{logit}(p)", 'op("logit") \\( p \\)'),
        (r"\text{if } x", '"if\xa0" x'),
        (r"a, b", "a \\, b"),
    ],
)
def test_formulas_become_typst(latex: str, expected: str) -> None:
    assert typst_math(latex, block=False) == expected


def test_formulas_compile() -> None:
    formulas = [
        r"f(x) = \begin{cases} 1 & x > 0 \\ 0 & \text{else} \end{cases}",
        r"\begin{aligned} a &= b \\ &= c \end{aligned}",
        r"\left( \sum_{i=1}^{n} X_i^\top V_i^{-1} X_i \right)^{-1}",
        r"\binom{n}{k} \quad \overline{xy} \quad \prod_k \int_0^\infty e^{-t}\,dt \quad \max_i x_i",
        r"\begin{pmatrix} a & b \\ c & d \end{pmatrix} \sim N(0, \Sigma_i) , \; 95\% \le 1 \mid \{1, 2\}",
    ]
    source = "\n\n".join(f"$ {typst_math(formula, block=True)} $" for formula in formulas)
    assert typst.compile(source.encode(), format="pdf", ignore_system_fonts=True).startswith(b"%PDF")
