"""Staleness: a chapter runs again when, and only when, something it depends on has changed."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from respine.book import cache as staleness
from respine.book.build import Plan, chapter_states, make_plan
from respine.book.cache import Cache, Entry, Inputs, imported_modules, imported_names, module_hashes, survey
from respine.book.failures import RefusedError
from respine.book.paths import Repository
from tests.book.mini.repository import change_cell, make_repository, write_data

ALL = {"chapters/first", "chapters/second", "chapters/third"}


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(make_repository(tmp_path / "book"))


def remember(repository: Repository, plan: Plan) -> Cache:
    cache = Cache(repository.scratch / "cache")
    for name, inputs in plan.inputs.items():
        cache.store(name, Entry(inputs, 1.0, "{}\n"))
    return cache


def stale(repository: Repository, **changes: Any) -> dict[str, list[str]]:
    states = chapter_states(repository, make_plan(repository, **changes))
    return {state.chapter: state.why for state in states if state.stale}


def append(path: Path, text: str) -> None:
    path.write_text(path.read_text() + text)


class TestMutations:
    """Each kind of input changed, and exactly what is stale then."""

    def test_nothing(self, repository: Repository) -> None:
        remember(repository, make_plan(repository))
        assert stale(repository) == {}

    def test_never_run(self, repository: Repository) -> None:
        assert stale(repository) == {name: ["it has not run here before"] for name in sorted(ALL)}

    @pytest.mark.parametrize(
        ("table", "readers"),
        [
            ("adsl", {"chapters/first", "chapters/second"}),
            ("adqs", {"chapters/second"}),
            ("adae", {"chapters/third"}),
            ("adcm", set()),
        ],
    )
    def test_a_table(self, repository: Repository, table: str, readers: set[str]) -> None:
        remember(repository, make_plan(repository))
        append(repository.root / "data" / "tiny" / f"{table}.csv", "S99,MSC\n")
        found = stale(repository)
        assert set(found) == readers
        assert all(why == [f"table {table}.csv"] for why in found.values())

    def test_a_run_on_other_data_meanwhile_is_no_reason(self, repository: Repository) -> None:
        remember(repository, make_plan(repository))
        other = repository.root / "data" / "other"
        shutil.copytree(repository.root / "data" / "tiny", other)
        for path in other.glob("*.csv"):
            append(path, "S99,MSC\n")
        remember(repository, make_plan(repository, data=other))
        append(repository.root / "data" / "tiny" / "adqs.csv", "S98,MSC\n")
        assert stale(repository) == {"chapters/second": ["table adqs.csv"]}

    @pytest.mark.parametrize("path", ["data/tiny/dataset.yml", "data/published/published_results.csv"])
    def test_what_all_read(self, repository: Repository, path: str) -> None:
        (repository.root / "data" / "published").mkdir()
        (repository.root / "data" / "published" / "published_results.csv").write_text("id\n")
        remember(repository, make_plan(repository))
        append(repository.root / path, "x: 1\n")
        assert set(stale(repository)) == ALL

    def test_a_table_that_is_new(self, repository: Repository) -> None:
        remember(repository, make_plan(repository))
        (repository.root / "data" / "tiny" / "ADQS.parquet").write_bytes(b"PAR1")
        assert stale(repository) == {"chapters/second": ["table ADQS.parquet added"]}

    @pytest.mark.parametrize("name", ["adqs.ndjson", "AdQs.CSV.gz", "adqs.sas7bdat"])
    def test_a_table_by_whatever_name_it_is_read(self, repository: Repository, name: str) -> None:
        path = repository.root / "data" / "tiny" / name
        path.write_bytes(b"1")
        remember(repository, make_plan(repository))
        path.write_bytes(b"2")
        assert stale(repository) == {"chapters/second": [f"table {name}"]}

    @pytest.mark.parametrize("name", ["trial.xlsx", "adqs.XLSX", "DataSet.YML", "dataset.yaml"])
    def test_what_may_hold_or_concern_any_table(self, repository: Repository, name: str) -> None:
        path = repository.root / "data" / "tiny" / name
        path.write_bytes(b"1")
        remember(repository, make_plan(repository))
        path.write_bytes(b"2")
        assert stale(repository) == {chapter: [f"table {name}"] for chapter in ALL}

    def test_a_workbook_and_the_settings_beside_it(self, repository: Repository, tmp_path: Path) -> None:
        book = write_data(tmp_path / "elsewhere") / "trial.xlsx"
        book.write_bytes(b"1")
        remember(repository, make_plan(repository, data=book))
        append(book.with_name("adsl.csv"), "S99,MSC\n")
        assert stale(repository, data=book) == {}
        append(book.with_name("dataset.yml"), "licence: CC0\n")
        assert set(stale(repository, data=book)) == ALL
        remember(repository, make_plan(repository, data=book))
        book.write_bytes(b"2")
        assert set(stale(repository, data=book)) == ALL

    def test_notes_beside_the_tables(self, repository: Repository) -> None:
        remember(repository, make_plan(repository))
        (repository.root / "data" / "tiny" / "README.txt").write_text("notes")
        assert stale(repository) == {}

    def test_code(self, repository: Repository) -> None:
        remember(repository, make_plan(repository))
        change_cell(repository.root, "third", "count", "2 + 2")
        assert stale(repository) == {"chapters/third": ["the chapter's code"]}

    def test_prose_and_pages(self, repository: Repository) -> None:
        remember(repository, make_plan(repository))
        change_cell(repository.root, "third", "prose", "Other words.")
        append(repository.root / "index.md", "More.\n")
        assert stale(repository) == {}

    def test_outputs_of_the_committed_notebook(self, repository: Repository) -> None:
        remember(repository, make_plan(repository))
        path = repository.root / "chapters" / "first.ipynb"
        path.write_text(path.read_text().replace('"execution_count": null', '"execution_count": 7'))
        assert stale(repository) == {}

    def test_a_parameter_reaches_only_those_that_take_it(self, repository: Repository) -> None:
        remember(repository, make_plan(repository))
        assert stale(repository, overrides={"alpha": 0.1, "seed": 1}) == {
            "chapters/second": ["parameter alpha: 0.05 to 0.1"]
        }

    def test_a_default_that_is_written_out(self, repository: Repository) -> None:
        remember(repository, make_plan(repository))
        assert stale(repository, overrides={"covariates": ("COUNTRY",), "seed": 1}) == {}

    def test_another_data_set(self, repository: Repository, tmp_path: Path) -> None:
        remember(repository, make_plan(repository))
        elsewhere = write_data(tmp_path / "elsewhere")
        assert set(stale(repository, data=elsewhere)) == ALL

    def test_a_version(self, repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
        remember(repository, make_plan(repository))
        versions = {**staleness.dependency_versions(), "scipy": "0.1"}
        monkeypatch.setattr(staleness, "dependency_versions", lambda: versions)
        found = stale(repository)
        assert set(found) == ALL
        assert found["chapters/first"][0].startswith("version of scipy: ")

    def test_a_module_reaches_those_that_import_it(
        self, repository: Repository, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        change_cell(repository.root, "first", "setup", "from respine.trial import load_trial")
        change_cell(repository.root, "second", "setup", "import respine.results")
        remember(repository, make_plan(repository))
        sources = staleness.package_sources()
        sources["respine.trial.findings"] += "\n# changed"
        monkeypatch.setattr(staleness, "package_sources", lambda: sources)
        assert stale(repository) == {"chapters/first": ["module respine.trial.findings"]}


class TestEntries:
    def test_come_back_as_stored(self, repository: Repository) -> None:
        plan = make_plan(repository)
        cache = remember(repository, plan)
        inputs = plan.inputs["chapters/second"]
        entry = cache.load("chapters/second", inputs.key())
        assert entry is not None
        assert (entry.text, entry.seconds, entry.inputs.key()) == ("{}\n", 1.0, inputs.key())

    def test_every_damaged_byte_is_noticed(self, repository: Repository) -> None:
        plan = make_plan(repository)
        cache = remember(repository, plan)
        key = plan.inputs["chapters/first"].key()
        (path,) = (repository.scratch / "cache" / "chapters" / "first").glob("*")
        whole = path.read_bytes()
        for position in range(0, len(whole), max(1, len(whole) // 97)):
            path.write_bytes(whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1 :])
            assert cache.load("chapters/first", key) is None, position
        for length in (0, 1, 64, len(whole) // 2, len(whole) - 1):
            path.write_bytes(whole[:length])
            assert cache.load("chapters/first", key) is None, length

    def test_a_damaged_one_is_said_to_be(self, repository: Repository) -> None:
        remember(repository, make_plan(repository))
        older = make_plan(repository, overrides={"seed": 2})
        remember(repository, older)
        for path in (repository.scratch / "cache" / "chapters" / "first").glob("*"):
            path.write_bytes(path.read_bytes()[:-1])
        assert stale(repository) == {"chapters/first": ["it has not run here before"]}

    def test_the_oldest_are_dropped(self, tmp_path: Path) -> None:
        cache = Cache(tmp_path)
        for number in range(staleness.KEPT_PER_CHAPTER + 3):
            inputs = Inputs(code=str(number), parameters={}, tables={}, modules={}, versions={})
            cache.store("chapters/a", Entry(inputs, 1.0, "x"))
        assert len(list((tmp_path / "chapters" / "a").iterdir())) == staleness.KEPT_PER_CHAPTER


class TestImports:
    @pytest.mark.parametrize(
        ("source", "package", "names"),
        [
            ("import a.b, c as d\n", "", {"a.b", "c"}),
            ("    from a.b import c as d, e\n", "", {"a.b", "a.b.c", "a.b.e"}),
            ("from a import (\n    b,  # why\n    c,\n)\n", "", {"a", "a.b", "a.c"}),
            ("from . import x\nfrom .y import z\n", "p.q", {"p.q", "p.q.x", "p.q.y", "p.q.y.z"}),
            ("from ..r import s\n", "p.q", {"p.r", "p.r.s"}),
            ("x = 'import nothing'\n# from a import b\n", "", set()),
        ],
    )
    def test_names(self, source: str, package: str, names: set[str]) -> None:
        assert imported_names(source, package) == names

    def test_followed_through_the_package(self) -> None:
        sources = staleness.package_sources()
        found = imported_modules(["from respine.trial import check"], sources)
        assert {
            "respine",
            "respine.trial",
            "respine.trial.checking",
            "respine.trial.findings",
            "respine.inert",
        } <= found
        assert not {name for name in found if name.startswith(("respine.book", "respine.stats"))}

    def test_data_files_beside_a_module_count(self) -> None:
        hashes = module_hashes(["respine.trial.contract"], staleness.package_sources(), staleness.files_beside())
        assert "respine/trial/assumptions.yml" in hashes


def test_versions_are_those_installed() -> None:
    from importlib.metadata import version

    versions = staleness.dependency_versions()
    assert {name: versions[name] for name in ("pandas", "papermill", "great-tables", "pyyaml")} == {
        name: version(name) for name in ("pandas", "papermill", "great-tables", "pyyaml")
    }


def test_versions_are_of_all_that_a_number_may_rest_on() -> None:
    versions = staleness.dependency_versions()
    assert {"python", "patsy", "autograd", "scikit-learn"} <= set(versions), "needed by what the project declares"
    assert not {"pytest", "ruff", "mypy"} & set(versions)


def test_every_format_that_is_read_counts() -> None:
    from respine.trial.reading import FORMATS

    assert {suffix.removeprefix(".") for suffix in staleness.TABLE_SUFFIXES} == set(FORMATS)


def test_a_missing_data_set_is_refused(repository: Repository) -> None:
    with pytest.raises(RefusedError, match="no data set at data/gone"):
        survey(repository, repository.root / "data" / "gone")
