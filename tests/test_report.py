"""The report itself, built once from a clean checkout's files: its numbers, its HTML and its PDF."""

from __future__ import annotations

import json
import math
import re
import shutil
import subprocess
import sys
from pathlib import Path

import lxml.html
import pypdf
import pytest

from respine.book.build import Request, collect_results
from respine.book.chapters import read_chapters
from respine.book.collect import Collected, collect
from respine.book.paths import Repository
from respine.book.render import RenderReport
from respine.book.results_file import read_results
from respine.parameters import Parameters
from tests.book import test_html, test_typst

TOP = Path(__file__).parents[1]
SOURCES = ("_config.yml", "_toc.yml", "index.md", "references.bib", "pyproject.toml", "chapters", "data", "respine")

# How far a number may move before the regression test calls it changed, relative to its size: closed forms differ in
# the last digits between processors, fitted likelihoods in how soon their iterations stop.
CLOSED_FORM, FITTED = 1e-9, 1e-6
FITTED_METHODS = re.compile("MMRM|mixed|logistic|imputation|Cox|posterior|exact", re.IGNORECASE)
ABSOLUTE = 1e-10


def build(repository: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "respine.cli", "build", *arguments]
    return subprocess.run(command, cwd=repository, capture_output=True, text=True, timeout=600)


def checkout(folder: Path) -> Path:
    """A copy of what the report is built from, outputs of chapters included."""
    folder.mkdir()
    for name in SOURCES:
        source = TOP / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints"))
        else:
            shutil.copy(source, folder / name)
    return folder


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return checkout(tmp_path_factory.mktemp("book") / "repository")


@pytest.fixture(scope="module")
def report(repository: Path) -> RenderReport:
    done = build(repository)
    assert done.returncode == 0, done.stdout + done.stderr
    folder = repository / "report"
    return RenderReport(folder / "html", folder / "respine.pdf", folder / "results.csv", {})


def committed() -> Collected:
    """What the committed chapters say, in the order of the book."""
    return collect({chapter.name: chapter.path for chapter in read_chapters(Repository(TOP))})


def moved(old: float, new: float, method: str) -> bool:
    """Whether a number changed by more than its method's tolerance."""
    tolerance = FITTED if FITTED_METHODS.search(method) else CLOSED_FORM
    if math.isnan(old) or math.isnan(new):
        return math.isnan(old) != math.isnan(new)
    return not math.isclose(old, new, rel_tol=tolerance, abs_tol=ABSOLUTE)


# --- numbers ----------------------------------------------------------------------------------------------------------


def test_every_result_is_that_of_the_committed_chapters(report: RenderReport) -> None:
    assert report.results is not None
    new, old = read_results(report.results), committed()
    assert list(new) == list(old.results)
    changed: list[str] = []
    for id, placed in new.items():
        before, after = old.results[id], placed.result
        assert (placed.chapter, placed.cell) == (old.places[id].chapter, old.places[id].cell), id
        numbers = ("value", "lower", "upper", "p", "se", "df")
        words = ("n", "n_treatment", "n_control", "method", "note", "text", "unit", "set", "arm")
        differing = [n for n in numbers if moved(getattr(before, n), getattr(after, n), before.method)]
        differing += [n for n in words if getattr(before, n) != getattr(after, n)]
        changed.extend(f"{id} {n}: {getattr(before, n)!r} is now {getattr(after, n)!r}" for n in differing)
    assert changed == []


def test_a_changed_number_is_noticed() -> None:
    assert moved(1.0, 1.0 + 1e-6, "observed values")
    assert not moved(1.0, 1.0 + 1e-12, "observed values")
    assert moved(1.0, 1.001, "MMRM")
    assert moved(1.0, math.nan, "MMRM")


def test_every_number_names_its_method(report: RenderReport) -> None:
    assert report.results is not None
    rows = [placed.result for placed in read_results(report.results).values()]
    assert [r.id for r in rows if r.statistic != "statement" and not r.method] == []


def test_every_estimate_with_an_interval_has_its_level_and_n(report: RenderReport) -> None:
    assert report.results is not None
    for placed in read_results(report.results).values():
        r = placed.result
        if not math.isnan(r.lower) and not math.isnan(r.upper):
            assert r.lower <= r.value <= r.upper, r.id
            assert not math.isnan(r.level), r.id
            assert r.n is not None or r.n_treatment is not None, r.id


def test_default_parameters_are_those_of_the_chapters() -> None:
    for path in sorted((TOP / "chapters").glob("*.ipynb")):
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        cell = next(c for c in cells if "parameters" in c["metadata"].get("tags", []))
        names: dict[str, object] = {}
        exec("".join(cell["source"]), {}, names)
        for name, value in names.items():
            assert Parameters.model_fields[name].default == value, f"{path.stem}: {name}"


def test_no_participant_is_in_the_report(report: RenderReport) -> None:
    assert report.html is not None
    adsl = (TOP / "data" / "respine-synthetic" / "adsl.csv").read_text(encoding="utf-8").splitlines()
    column = adsl[0].split(",").index("USUBJID")
    subjects = {line.split(",")[column] for line in adsl[1:]}
    for path in report.html.rglob("*"):
        if path.suffix in {".html", ".csv", ".svg", ".js", ".txt"}:
            text = path.read_text(encoding="utf-8")
            assert not any(subject in text for subject in subjects), path.name


# --- pages ------------------------------------------------------------------------------------------------------------


def test_html_has_no_broken_link_and_asks_no_other_host(report: RenderReport) -> None:
    test_html.test_no_anchor_and_no_file_is_missing(report)
    test_html.test_no_page_asks_another_host_for_anything(report)
    test_html.test_ids_are_unique_on_every_page(report)
    test_html.test_no_path_of_this_machine_is_in_the_report(report)


def test_every_output_can_be_downloaded(report: RenderReport) -> None:
    assert report.html is not None
    for label, output in committed().outputs.items():
        suffixes = ("csv",) if output.kind == "table" else ("csv", "svg", "png")
        for suffix in suffixes:
            assert (report.html / "downloads" / f"{label}.{suffix}").stat().st_size > 0, f"{label}.{suffix}"


def test_every_image_has_an_alternative_text(report: RenderReport) -> None:
    for path in test_html.pages(report):
        tree = lxml.html.parse(str(path)).getroot()
        for svg in tree.xpath("//article//svg"):
            assert svg.get("aria-label") or svg.get("aria-hidden") == "true", path.name
        for image in tree.xpath("//article//img"):
            assert image.get("alt"), path.name


def test_no_word_stands_twice(report: RenderReport) -> None:
    """A role that brings its unit beside a typed one reads ``40 mm mm``."""
    for path in test_html.pages(report):
        tree = lxml.html.parse(str(path)).getroot()
        for paragraph in tree.xpath("//article//p | //article//dd | //article//figcaption"):
            text = " ".join(paragraph.text_content().split())
            assert not re.search(r"\b([a-z]{2,}) \1\b", text), f"{path.name}: {text}"


def test_pdf_is_accessible_and_complete(report: RenderReport) -> None:
    assert report.pdf is not None
    test_typst.test_only_the_chosen_fonts_are_embedded(report)
    test_typst.test_links_lead_to_places_in_the_report(report)
    pages = [page.extract_text() for page in pypdf.PdfReader(report.pdf).pages]
    test_typst.test_every_number_of_the_page_stands_in_the_pdf(report, pages)
    assert all("Synthetic data" in page for page in pages)


def test_the_report_holds_what_is_told_and_nothing_else(repository: Path, report: RenderReport) -> None:
    assert {path.name for path in (repository / "report").iterdir()} == {
        "html", "notebooks", "respine.pdf", "results.csv", "findings.csv", "run.json", "ro-crate-metadata.json",
    }  # fmt: skip


def test_jupyter_book_alone_builds_the_checkout_and_fails_on_what_is_wrong(
    repository: Path, report: RenderReport, tmp_path: Path
) -> None:
    """With the committed outputs, and with a report and a cache lying about; a wrong name is an error."""
    program = "from jupyter_book.cli.main import main; main()"
    command = [sys.executable, "-c", program, "build", ".", "-W", "-n", "--keep-going", "--path-output", str(tmp_path)]
    done = subprocess.run(command, cwd=repository, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    html = tmp_path / "_build" / "html"
    assert {path.stem for path in (html / "chapters").glob("*.html")} == {
        path.stem for path in (repository / "chapters").iterdir() if path.suffix in {".ipynb", ".md"}
    }
    index = repository / "index.md"
    text = index.read_text(encoding="utf-8")
    try:
        index.write_text(text + "\nIt was {result}`no.such`, as {cite}`nobody` says.\n", encoding="utf-8")
        done = subprocess.run(command, cwd=repository, capture_output=True, text=True, timeout=300)
    finally:
        index.write_text(text, encoding="utf-8")
    assert done.returncode == 1
    assert "no.such" in done.stderr
    assert "nobody" in done.stderr


# --- other data -------------------------------------------------------------------------------------------------------


def test_one_changed_value_changes_what_depends_on_it(repository: Path, report: RenderReport, tmp_path: Path) -> None:
    other = tmp_path / "data"
    shutil.copytree(repository / "data" / "respine-synthetic", other)
    lines = (other / "adqs.csv").read_text(encoding="utf-8").splitlines()
    header = lines[0].split(",")
    at = {name: header.index(name) for name in ("PARAMCD", "AVISITN", "AVAL")}
    for k, line in enumerate(lines):
        cells = line.split(",")
        if cells[at["PARAMCD"]] == "VASPAIN" and cells[at["AVISITN"]] == "12" and cells[at["AVAL"]].isdigit():
            value = int(cells[at["AVAL"]])
            cells[at["AVAL"]] = str(value + 40 if value <= 60 else value - 40)
            lines[k] = ",".join(cells)
            break
    (other / "adqs.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    # The numbers alone: no page is looked at.
    collected = collect_results(Request(repository=Repository(repository), out=tmp_path / "report", data=other))
    assert report.results is not None
    old, new = read_results(report.results), collected.results
    changed = {id for id in old if moved(old[id].result.value, new[id].value, "")}
    assert "secondary.vaspain.primary.difference" in changed
    assert not any(id.startswith(("participants.", "baseline.", "immune.", "structure.")) for id in changed)


def test_an_effect_is_concluded_on_every_page(repository: Path, tmp_path: Path) -> None:
    simulate = [sys.executable, "-m", "respine.cli", "simulate-data", str(tmp_path / "data"), "--effect-vas", "-30"]
    simulate += ["--effect-odi", "-20", "--effect-t2", "10"]
    simulate += ["--treatment", "Cells <i>A</i>", "--control", "Saline & co"]
    assert subprocess.run(simulate, cwd=repository, timeout=120).returncode == 0
    done = build(repository, "--data", str(tmp_path / "data"), "--out", str(tmp_path / "report"))
    assert done.returncode == 0, done.stdout + done.stderr
    html = tmp_path / "report" / "html"

    def article(page: str) -> str:
        tree = lxml.html.parse(str(html / page)).getroot()
        return " ".join(tree.xpath("//article")[0].text_content().split())

    for page in ("index.html", "chapters/response.html", "chapters/structure.html"):
        assert "was reached" in article(page), page
        assert "was not reached" not in article(page), page
    for page in ("index.html", "chapters/discussion.html"):
        assert "reached its primary objective" in article(page), page
        assert "did not reach" not in article(page), page
    assert "Cells <i>A</i>" in article("index.html")
    assert "BM-MSC" not in article("chapters/response.html")
