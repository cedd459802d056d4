from __future__ import annotations

import csv
import hashlib
import json
import re
from pathlib import Path
from urllib.parse import unquote, urldefrag

import lxml.html
import pytest

from respine.book.render import RenderError, RenderReport, render
from tests.book.conftest import read
from tests.book.sample.book import HOSTILE, write_book


def pages(report: RenderReport) -> list[Path]:
    assert report.html is not None
    return sorted(path for path in report.html.rglob("*.html") if "_static" not in path.parts)


def test_prose_prints_results_and_links_them_to_their_cells(sample: RenderReport) -> None:
    tree = lxml.html.fromstring(read(sample, "index.html"))
    links = {a.text_content(): a.get("href") for a in tree.iter("a") if "respine-link" in a.get("class", "")}
    assert links["37 of 50 (74%)"] == "chapters/response.html#cell-c3"
    assert lxml.html.fromstring(read(sample, "chapters/response.html")).get_element_by_id("cell-c3") is not None
    article = " ".join(tree.xpath("//article")[0].text_content().split())
    assert "To compare BM-MSC with Sham after 12 months." in article
    assert "The article gave 74%" in article


def test_no_anchor_and_no_file_is_missing(sample: RenderReport) -> None:
    trees = {path: lxml.html.parse(str(path)).getroot() for path in pages(sample)}
    ids = {path: {e.get("id") for e in tree.iter() if e.get("id")} for path, tree in trees.items()}
    checked = 0
    for path, tree in trees.items():
        for element in tree.iter("a", "link", "script", "img", "use"):
            address = element.get("href") or element.get("src")
            if not address or address.startswith(("https://doi.org/", "data:")):
                continue
            file, anchor = urldefrag(address)
            file = file.partition("?")[0]
            target = path if not file else (path.parent / unquote(file)).resolve()
            assert target.exists(), f"{path.name}: {address}"
            if anchor and target in ids:
                assert unquote(anchor) in ids[target], f"{path.name}: {address}"
            checked += 1
    assert checked > 100


def test_no_page_asks_another_host_for_anything(sample: RenderReport) -> None:
    for path in pages(sample):
        tree = lxml.html.parse(str(path)).getroot()
        for element in tree.iter():
            if not isinstance(element.tag, str):
                continue
            for name, value in element.attrib.items():
                if element.tag == "a" and name == "href":
                    continue
                assert "//" not in value.replace("file://", "//"), f"{path.name}: <{element.tag} {name}={value!r}>"
        assert "thebe" not in path.read_text(encoding="utf-8").lower()
    assert sample.html is not None
    for path in sample.html.rglob("*.css"):
        assert not re.search(r"url\(\s*['\"]?(https?:)?//", path.read_text(encoding="utf-8")), path.name


def test_tables_and_figures_are_numbered_captioned_and_referred_to(sample: RenderReport) -> None:
    tree = lxml.html.fromstring(read(sample, "chapters/baseline.html"))
    figure = tree.get_element_by_id("tbl-baseline")
    assert figure.tag == "figure"
    assert figure.xpath("string(.//figcaption)").startswith("Table 1. Baseline characteristics")
    assert {a.text_content(): a.get("href") for a in tree.iter("a")}["Table 1"] == "#tbl-baseline"
    front = lxml.html.fromstring(read(sample, "index.html"))
    quoted = front.xpath("//figure[contains(@class, 'output-figure')]")[0]
    assert quoted.get("id") is None
    assert quoted.xpath(".//figcaption//a/@href") == ["chapters/response.html#fig-response"]
    # What the first page shows of a later chapter has no number of its own.
    said = quoted.xpath("string(.//figcaption)")
    assert said.startswith("Responders at month 12")
    assert said.endswith("It stands again as Figure 1.")
    svg = quoted.xpath(".//svg")[0]
    assert (svg.get("role"), svg.get("aria-label")[:14]) == ("img", "Response rates")


def test_ids_are_unique_on_every_page(sample: RenderReport) -> None:
    for path in pages(sample):
        if path.name == "search.html":
            # The theme's own page.
            continue
        ids = re.findall(r'\sid="([^"]*)"', path.read_text(encoding="utf-8"))
        assert len(ids) == len(set(ids)), f"{path.name}: {sorted({i for i in ids if ids.count(i) > 1})}"


def test_code_is_folded_and_outputs_without_a_face_are_silent(sample: RenderReport) -> None:
    tree = lxml.html.fromstring(read(sample, "chapters/response.html"))
    cells = tree.xpath("//div[starts-with(@id, 'cell-')]")
    assert len(cells) == 5
    folds = [cell.xpath("string(.//details/summary/p[1])") for cell in cells]
    assert sorted(set(folds)) == ["Show the code", "Show the parameters"]
    assert folds.count("Show the parameters") == 1
    # The fold is named by what it says.
    assert not tree.xpath("//summary/@aria-label")
    assert "results recorded" not in tree.text_content()
    assert "plain output" in tree.text_content()


def test_every_output_has_its_files(sample: RenderReport) -> None:
    assert sample.html is not None
    downloads = sample.html / "downloads"
    names = {path.name for path in downloads.iterdir()}
    assert names == {
        "fig-response.svg", "fig-response.png", "fig-response.csv", "tbl-baseline.csv", "tbl-visits.csv", "results.csv",
        "respine.pdf",
    }  # fmt: skip
    assert (downloads / "fig-response.png").read_bytes().startswith(b"\x89PNG")
    rows = list(csv.reader((downloads / "fig-response.csv").open(encoding="utf-8-sig")))
    assert rows[1][0] == "'=BM-MSC"
    assert "respine.pdf" in read(sample, "index.html")
    assert (sample.html.parent / "results.csv").read_bytes() == (downloads / "results.csv").read_bytes()


def test_without_a_pdf_nothing_links_to_it(tmp_path: Path) -> None:
    report = render(write_book(tmp_path / "source"), tmp_path / "report", builders=("html",))
    front = lxml.html.fromstring(read(report, "index.html"))
    links = [a.get("href") for a in front.iter("a") if "downloads/re" in a.get("href", "")]
    assert links == ["downloads/results.csv"]
    assert "Read the PDF or all results." in " ".join(front.text_content().split())


def test_synthetic_data_are_announced_on_every_page_and_real_data_are_not(
    sample: RenderReport, hostile: RenderReport
) -> None:
    for path in pages(sample):
        assert "Synthetic data" in path.read_text(encoding="utf-8"), path.name
    for path in pages(hostile):
        assert "Synthetic data" not in path.read_text(encoding="utf-8"), path.name


def test_text_from_data_is_inert(hostile: RenderReport) -> None:
    for name in ("index.html", "chapters/baseline.html", "chapters/response.html"):
        tree = lxml.html.fromstring(read(hostile, name))
        text = tree.text_content()
        assert HOSTILE[:40] in text, name
        assert not [s for s in tree.iter("script") if "alert(" in (s.text or "")]
        assert not tree.xpath("//article//a[contains(@href, 'x.y')]")
    assert "45 of 50 (90%)" in read(hostile, "index.html")


def test_an_unknown_name_fails_with_page_and_line(tmp_path: Path) -> None:
    extra = "\nWrong: {result}`response.rd.nm`.\n\n```{output} fig-nothing\n```\n\n{study}`nothing`\n"
    source = write_book(tmp_path / "source", extra=extra)
    lines = (source / "index.md").read_text().splitlines()
    chapter = source / "chapters/baseline.ipynb"
    notebook = json.loads(chapter.read_text())
    notebook["cells"][1]["outputs"].append({"output_type": "stream", "name": "stderr", "text": "DeprecationWarning"})
    chapter.write_text(json.dumps(notebook))
    for _ in range(2):
        # The second build must not take the faulty page from the first one's store.
        with pytest.raises(RenderError) as caught:
            render(source, tmp_path / "report", builders=("html",))
        found = {warning.location: warning.message for warning in caught.value.warnings}
        line = lines.index("Wrong: {result}`response.rd.nm`.") + 1
        assert "did you mean response.rd.mn" in found[f"index.md:{line}"]
        assert any("no table or figure 'fig-nothing'" in message for message in found.values())
        assert any("stderr was found" in message for message in found.values())
        assert len(found) == 4


def test_a_statement_that_no_page_prints_fails_with_its_chapter(tmp_path: Path) -> None:
    source = write_book(tmp_path / "source")
    for page in [*source.rglob("*.md"), *source.rglob("*.ipynb")]:
        page.write_text(
            page.read_text(encoding="utf-8").replace("{statement}`response.verdict`", "Nothing."), encoding="utf-8"
        )
    for _ in range(2):
        with pytest.raises(RenderError) as caught:
            render(source, tmp_path / "report", builders=("html",))
        (warning,) = caught.value.warnings
        assert warning.location == "chapters/response.ipynb"
        assert warning.message.startswith("no page prints the statement 'response.verdict'")


def test_a_page_is_read_again_when_a_number_it_prints_changes(tmp_path: Path) -> None:
    source = write_book(tmp_path / "source")
    first = render(source, tmp_path / "report", builders=("html",))
    assert "37 of 50 (74%)" in read(first, "index.html")
    methods = (tmp_path / "report/html/chapters/methods.html").stat().st_mtime_ns
    write_book(tmp_path / "other", responders=40)
    text = (tmp_path / "other/chapters/response.ipynb").read_text()
    (source / "chapters/response.ipynb").write_text(text)
    second = render(source, tmp_path / "report", builders=("html",))
    assert "40 of 50 (80%)" in read(second, "index.html")
    assert "10.6" in read(second, "chapters/baseline.html")
    assert (tmp_path / "report/html/chapters/methods.html").stat().st_mtime_ns == methods


def test_two_builds_in_two_places_are_the_same_to_the_byte(sample: RenderReport, tmp_path: Path) -> None:
    again = render(write_book(tmp_path / "elsewhere" / "source"), tmp_path / "elsewhere" / "report")
    assert sample.html is not None
    assert again.html is not None
    assert digests(sample.html.parent) == digests(again.html.parent)


def digests(report: Path) -> dict[str, str]:
    files = [p for p in report.rglob("*") if p.is_file() and ".sphinx" not in p.relative_to(report).parts]
    return {p.relative_to(report).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def test_no_path_of_this_machine_is_in_the_report(sample: RenderReport) -> None:
    assert sample.html is not None
    here = str(sample.html.parent.parent).encode()
    for path in sample.html.parent.rglob("*"):
        if path.is_file() and ".sphinx" not in path.parts:
            assert here not in path.read_bytes(), path.name


def test_a_page_of_changes_is_linked_from_every_page(tmp_path: Path) -> None:
    source = write_book(tmp_path / "source")
    report = render(source, tmp_path / "report", builders=["html"], config={"respine_changes": "changes.html"})
    for page, address in (("index.html", "changes.html"), ("chapters/response.html", "../changes.html")):
        links = lxml.html.fromstring(read(report, page)).xpath("//footer//a[starts-with(., 'Changes since')]/@href")
        assert links == [address], page


def test_what_is_wider_than_the_column_scrolls_in_its_own_box(sample: RenderReport) -> None:
    assert sample.html is not None
    style = (sample.html / "_static" / "respine.css").read_text(encoding="utf-8")
    assert re.search(r"\.output-body \{[^}]*overflow-x: auto", style)
    for name in ("index", "chapters/baseline", "chapters/response"):
        tree = lxml.html.fromstring(read(sample, f"{name}.html"))
        for wide in tree.xpath("//article//*[self::table or self::svg]"):
            assert wide.xpath("ancestor::div[contains(@class, 'output-body') or contains(@class, 'scrollable')]"), name


def test_drawings_take_every_colour_from_the_theme(sample: RenderReport) -> None:
    tree = lxml.html.fromstring(read(sample, "chapters/response.html"))
    drawing = lxml.html.tostring(tree.xpath("//figure//svg")[0], encoding="unicode")
    assert "var(--respine-treatment)" in drawing
    assert "var(--respine-control)" in drawing
    assert not re.search(r"#(0072b2|d55e00|000000|ffffff|767676)\b", drawing, re.IGNORECASE)


def test_references_are_a_list(sample: RenderReport) -> None:
    tree = lxml.html.fromstring(read(sample, "chapters/references.html"))
    (entries,) = tree.xpath("//div[@role='list' and contains(@class, 'citation-list')]")
    assert {entry.get("role") for entry in entries} == {"listitem"}


def test_citations_are_formatted_without_looking_through_all_installed_packages(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import pybtex.plugin

    from respine.book.render import _keep_bibliography_plugin

    _keep_bibliography_plugin()
    monkeypatch.setattr(pybtex.plugin, "entry_points", lambda **search: pytest.fail(f"looked up {search}"))
    assert pybtex.plugin.find_plugin("pybtex.backends", "plaintext").__name__ == "Backend"
