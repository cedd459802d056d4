from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from respine.book.collect import collect
from respine.book.roles import Piece, Source, UnknownNameError, pieces, place_of_line, read_published
from respine.display.numbers import NBSP
from tests.book.sample.book import HERE, HOSTILE, write_book


def source_of(folder: Path, **options: Any) -> Source:
    book = write_book(folder, **options)
    collected = collect({f"chapters/{name}": book / f"chapters/{name}.ipynb" for name in ("baseline", "response")})
    return Source(collected, read_published(HERE / "published.csv"))


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Source:
    return source_of(tmp_path_factory.mktemp("roles"))


def printed(source: Source, role: str, text: str) -> str:
    return "".join(piece.text for piece in pieces(source, role, text))


@pytest.mark.parametrize(
    ("role", "name", "text"),
    [
        ("result", "response.rd.mn", f"4.6{NBSP}percentage points"),
        ("result", "response.rd.mn|ci", "−13.2 to 22.2"),
        ("result", "response.rd.mn | n", "99"),
        ("result", "structure.t2|p", f"p{NBSP}<{NBSP}0.001"),
        ("study", "treatment", "BM-MSC"),
        ("study", "vas_rule_mm", "20"),
        ("study", "vas_rule_mm|unit", f"20{NBSP}mm"),
        ("study", "alpha", "0.05"),
        ("study", "level", "95%"),
        ("study", "synthetic", "yes"),
        ("published", "primary.responders.msc", "74%"),
        ("published", "primary.responders.msc|number", "74"),
        ("published", "primary.responders.msc|p", f"p{NBSP}={NBSP}0.77"),
    ],
)
def test_roles_print(source: Source, role: str, name: str, text: str) -> None:
    assert printed(source, role, name) == text


def test_a_statement_links_each_of_its_numbers(source: Source) -> None:
    found = pieces(source, "statement", "response.verdict")
    assert [p.result for p in found if p.result] == [
        "response.rate.treatment", "response.rate.control", "response.rd.mn",
    ]  # fmt: skip
    assert found[0] == Piece("The response rate was ")
    assert "".join(p.text for p in found).startswith(
        "The response rate was 37 of 50 (74%) with BM-MSC and 34 of 49 (69%)"
    )


def test_a_label_full_of_markup_stays_text(tmp_path: Path) -> None:
    hostile = source_of(tmp_path, treatment=HOSTILE)
    assert HOSTILE in printed(hostile, "statement", "response.verdict")
    assert printed(hostile, "study", "treatment") == HOSTILE


@pytest.mark.parametrize(
    ("role", "name", "message"),
    [
        ("result", "response.rd.nm", "did you mean response.rd.mn"),
        ("result", "response.rd.mn|interval", "there are value"),
        ("result", "response.verdict", "statement role"),
        ("statement", "response.rd.mn", "result role"),
        ("study", "primary_months", "there are"),
        ("study", "alpha|percent", "no part"),
        ("published", "primary.nothing", "no published row"),
        ("published", "primary.responders.msc|ci", "no part"),
    ],
)
def test_unknown_names_are_refused_with_a_hint(source: Source, role: str, name: str, message: str) -> None:
    with pytest.raises(UnknownNameError, match=message):
        pieces(source, role, name)


def test_lines_of_notebooks_are_named_by_cell() -> None:
    assert place_of_line("chapters/response.ipynb", 30002) == "cell 3, line 2"
    assert place_of_line("index.md", 7) == "line 7"


def test_results_table_keeps_every_digit(source: Source, tmp_path: Path) -> None:
    import csv

    source.collected.write_csv(tmp_path / "results.csv")
    rows = {row["id"]: row for row in csv.DictReader((tmp_path / "results.csv").open(encoding="utf-8"))}
    assert float(rows["response.rate.control"]["value"]) == 34 / 49
    assert (rows["response.rd.mn"]["chapter"], rows["response.rd.mn"]["cell"]) == ("chapters/response", "c3")
    assert rows["structure.none"]["value"] == ""


def test_chapters_of_different_studies_and_repeated_names_are_problems(tmp_path: Path) -> None:
    one, other = write_book(tmp_path / "one"), write_book(tmp_path / "other", treatment="Cells")
    mixed = collect({"a": one / "chapters/baseline.ipynb", "b": other / "chapters/baseline.ipynb"})
    messages = [problem.message for problem in mixed.problems]
    assert any("another study" in m and "treatment" in m for m in messages)
    assert any("'tbl-baseline' is given twice" in m for m in messages)
    twice = collect({"a": one / "chapters/response.ipynb", "b": one / "chapters/response.ipynb"})
    assert any("'response.rate.treatment' is recorded twice" in problem.message for problem in twice.problems)


def test_a_failed_cell_is_a_problem(tmp_path: Path) -> None:
    import json

    path = write_book(tmp_path) / "chapters/response.ipynb"
    notebook = json.loads(path.read_text())
    notebook["cells"][1]["outputs"] = [{"output_type": "error", "ename": "KeyError", "evalue": "x", "traceback": []}]
    path.write_text(json.dumps(notebook))
    problems = collect({"chapters/response": path}).problems
    assert [(p.cell, p.message) for p in problems] == [(1, "the cell failed with KeyError: x")]
