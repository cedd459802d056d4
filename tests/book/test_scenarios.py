"""Scenarios: one file of named choices, refused with its lines, run with one cache, shown side by side."""

from __future__ import annotations

import csv
import shutil
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import lxml.html
import pytest

from respine.book import build as building
from respine.book import render as rendering
from respine.book.build import Request
from respine.book.failures import BuildFailedError, RefusedError
from respine.book.paths import Repository
from respine.book.provenance import verify
from respine.book.results_file import read_results
from respine.book.scenarios import Scenario, read_scenarios, run_scenarios, together_csv, together_page
from respine.results import Estimate, Results
from tests.book.mini.repository import change_cell, execute_plainly, make_repository, render_plainly

FILE = """\
# as the plan says
As planned:
Other seed:
  seed: 7
Two changes:
  seed: 7
  covariates: [VASBL, COUNTRY]
Other data:
  data: data/tiny
"""
HOSTILE = "=1 <script>alert(1)</script>"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(building, "check_data", lambda repository, plan, cache, share=False: "")
    monkeypatch.setattr(rendering, "render", render_plainly)
    return make_repository(tmp_path / "book")


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    ran: list[str] = []
    monkeypatch.setattr(building, "execute", partial(execute_plainly, ran))
    monkeypatch.setattr(building, "kernels", lambda run: nullcontext())
    return ran


def read(root: Path, text: str) -> list[Scenario]:
    (root / "scenarios.yml").write_text(text)
    return read_scenarios(Repository(root), root / "scenarios.yml")


def run(root: Path, text: str = FILE, **options: Any) -> Path:
    request = Request(repository=Repository(root), out=root / "out")
    run_scenarios(request, read(root, text), ("first.rows", "no.such"), **{"reports": False} | options)
    return request.out


def test_what_a_file_asks_for(root: Path) -> None:
    found = read(root, FILE)
    assert [(s.name, s.slug, dict(s.overrides)) for s in found] == [
        ("As planned", "as-planned", {}),
        ("Other seed", "other-seed", {"seed": 7}),
        ("Two changes", "two-changes", {"seed": 7, "covariates": ("VASBL", "COUNTRY")}),
        ("Other data", "other-data", {}),
    ]
    assert found[3].data == root / "data" / "tiny"


@pytest.mark.parametrize(
    ("text", "messages"),
    [
        ("", ["line 1: write the name"]),
        ("- a\n", ["line 1: write the name"]),
        ("a: [", ["line 1: not valid YAML"]),
        ("a:\n  sed: 1\n", ["line 2: there is no parameter sed; did you mean seed?"]),
        ("a:\n  seed: 1\nb:\n  alpha: 7\n  seed: x\n", ["line 4: alpha = 7", "line 5: seed = 'x'"]),
        ("a:\n  seed: 1\n  seed: 2\n", ["line 3: seed is given twice"]),
        ("a:\n\nb: 3\n", ["line 3: 'b': write one 'name: value' a line"]),
        ("A b:\na-B:\n", ["line 2: 'a-B' cannot name a scenario: its file would be that of 'A b'"]),
        ("'!':\n", ["line 1: '!' cannot name a scenario: it has no letter or digit"]),
        ("side by side:\n", ["line 1: 'side by side' cannot name a scenario"]),
        ("a:\nb:\n  treatment: MSC\n  control: MSC\n", ["line 2: ", "name two different arms"]),
        ("a:\n  data: nowhere\n", ["line 2: there is no data set at"]),
        ("a:\n  seed: !!python/object:os.system x\n", ["line 2: seed: the value is neither"]),
    ],
)
def test_every_mistake_is_named_with_its_line(root: Path, text: str, messages: list[str]) -> None:
    with pytest.raises(RefusedError) as refusal:
        read(root, text)
    for message in messages:
        assert message in str(refusal.value)
    assert all("scenarios.yml, line " in line for line in str(refusal.value).splitlines())


def test_labels_are_those_of_the_scenarios_own_data(root: Path) -> None:
    shutil.copytree(root / "data" / "tiny", root / "data" / "respine-synthetic")
    other = root / "data" / "other"
    other.mkdir()
    (other / "adsl.csv").write_text("USUBJID,TRT01P\n1,New\n2,Old\n")
    (found,) = read(root, "Other trial:\n  treatment: New\n  control: Old\n  data: data/other\n")
    assert (dict(found.overrides), found.data) == ({"treatment": "New", "control": "Old"}, other)
    with pytest.raises(RefusedError, match=r"line 1: treatment = New: the data set's arms are MSC, Sham"):
        read(root, "Wrong:\n  treatment: New\n  control: Old\n")


def test_a_missing_file_is_refused(root: Path) -> None:
    with pytest.raises(RefusedError, match="No such file"):
        read_scenarios(Repository(root), root / "none.yml")


def test_only_what_a_scenario_changes_runs_again(root: Path, ran: list[str]) -> None:
    out = run(root)
    assert ran == ["first", "second", "third", "first", "second"]
    assert {path.name for path in out.iterdir()} == {
        "as-planned.csv", "other-seed.csv", "two-changes.csv", "other-data.csv", "side-by-side.csv",
        "side-by-side.html",
    }  # fmt: skip
    assert read_results(out / "other-seed.csv")["first.rows"].result.value == 1.5
    ran.clear()
    run(root)
    assert ran == []
    assert not (root / "report").exists()


def test_reports_on_request(root: Path, ran: list[str]) -> None:
    out = run(root, "a:\nb:\n  seed: 3\n", reports=True)
    assert verify(out / "a").intact
    assert verify(out / "b").intact
    assert (out / "b.csv").read_bytes() == (out / "b" / "results.csv").read_bytes()


def test_a_failing_scenario_is_named(root: Path, ran: list[str]) -> None:
    change_cell(root, "second", "count", "1 / 0")
    with pytest.raises(BuildFailedError, match="scenario As planned: 1 of 3 chapters failed"):
        run(root)


def numbers(rate: float, verdict: str) -> Results:
    rows = Results()
    rows.add("a.rate", Estimate(statistic="mean", value=rate, lower=0.5, upper=0.9, level=0.95, p=0.04, n=9), digits=2)
    rows.state("a.verdict", f"It was {verdict} at {{a.rate}}.")
    return rows


def test_side_by_side() -> None:
    names = {"plan": numbers(0.7, "reached"), HOSTILE: numbers(0.6, "missed"), "none": Results()}
    shown = ("a.rate", "a.verdict")
    _, *rows = csv.reader(together_csv(names, shown).splitlines())
    assert rows[0] == ["a.rate", "0.7", "0.5", "0.9", "0.04", "9", "", "0.6", "0.5", "0.9", "0.04", "9", "", *[""] * 6]
    assert [cell for cell in rows[1] if cell] == ["a.verdict", "It was reached at 0.70.", "It was missed at 0.60."]
    scenarios = [Scenario(name, "x", {"alpha": 0.1} if name == "plan" else {}, None) for name in names]
    text = together_page(scenarios, names, shown)
    asked, found = lxml.html.fromstring(text).xpath("//table")
    assert [cell.text_content() for cell in asked.xpath("tbody/tr/td")] == ["alpha", "0.1", "", ""]
    assert [cell.text_content() for cell in found.xpath("tbody/tr[2]/td")] == [
        "a.verdict", "It was reached at 0.70.", "It was missed at 0.60.", "not available",
    ]  # fmt: skip
    assert "<script" not in text
    assert together_csv(names, shown).count("'=1 <script") == 6
