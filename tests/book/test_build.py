"""The build as a transaction: what it executes, what the report holds, and what survives a failure."""

from __future__ import annotations

import csv
import json
import os
import shutil
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from respine.book import build as building
from respine.book import render as rendering
from respine.book import transaction
from respine.book.build import Built, Request, build, make_plan
from respine.book.failures import BuildFailedError, RefusedError
from respine.book.paths import Repository
from respine.book.provenance import verify
from respine.book.refresh import refresh
from tests.book.mini.repository import change_cell, execute_plainly, files, make_repository, render_plainly, write_data


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(building, "check_data", lambda repository, plan, cache, share=False: "")
    monkeypatch.setattr(rendering, "render", render_plainly)
    return make_repository(tmp_path / "book")


@pytest.fixture
def without_kernels(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the chapters that were 'executed'; what is tested then is the build around that."""
    ran: list[str] = []
    monkeypatch.setattr(building, "execute", partial(execute_plainly, ran))
    monkeypatch.setattr(building, "kernels", lambda run: nullcontext())
    return ran


def request(root: Path, **changes: Any) -> Request:
    return Request(**{"repository": Repository(root), "out": root / "report"} | changes)


def make(root: Path, **changes: Any) -> Built:
    return build(request(root, **changes))


class TestWholeBuild:
    def test_real_kernels_make_a_whole_report(self, root: Path) -> None:
        built = make(root)
        report = files(root / "report")
        assert {"results.csv", "run.json", "respine.pdf", "html/first.html", "notebooks/chapters/first.ipynb"} <= set(
            report
        )
        with (root / "report" / "results.csv").open() as stream:
            rows = {row["id"]: row for row in csv.DictReader(stream)}
        assert {id: row["value"] for id, row in rows.items()} == {
            "first.rows": "5",
            "second.rows": "4",
            "third.rows": "4",
        }
        assert (rows["first.rows"]["chapter"], rows["first.rows"]["cell"]) == ("chapters/first", "count")
        assert built.executed == ("chapters/first", "chapters/second", "chapters/third")
        assert verify(root / "report").intact
        run = json.loads(report["run.json"])
        assert run["parameters"] == {"data": "data/tiny", "seed": 1, "alpha": 0.05, "covariates": ["COUNTRY"]}
        assert set(run["inputs"]) >= {"_toc.yml", "index.md", "chapters/first.ipynb", "data set: adsl.csv"}
        self.check_no_path(root, report)
        self.check_again(root, report)
        self.check_elsewhere(root)

    def check_no_path(self, root: Path, report: dict[str, bytes]) -> None:
        for name, content in report.items():
            assert str(root).encode() not in content, name
            assert os.uname().nodename.encode() not in content, name

    def check_again(self, root: Path, report: dict[str, bytes]) -> None:
        make(root, force=True, out=root / "again", jobs=1)
        again = files(root / "again")
        timed = dict.fromkeys(("run.json", "ro-crate-metadata.json"), b"")
        assert report | timed == again | timed, "two clean builds are the same bytes"

    def check_elsewhere(self, root: Path) -> None:
        outside = write_data(root.parent / "outside", rows=10)
        make(root, data=outside, overrides={"seed": 7})
        report = files(root / "report")
        with (root / "report" / "results.csv").open() as stream:
            assert [row["value"] for row in csv.DictReader(stream)] == ["18", "11", "11"]
        notebook = report["notebooks/chapters/first.ipynb"].decode()
        assert 'data = \\"dataset\\"' in notebook
        assert "seed = 7" in notebook
        for name, content in report.items():
            assert str(outside).encode() not in content, name


class TestStaleness:
    def test_nothing_changed_is_found_out_without_work(self, root: Path, without_kernels: list[str]) -> None:
        make(root)
        before = files(root / "report")
        built = make(root)
        assert built.current
        assert len(without_kernels) == 3
        assert files(root / "report") == before

    def test_only_stale_chapters_run(self, root: Path, without_kernels: list[str]) -> None:
        make(root)
        without_kernels.clear()
        (root / "data" / "tiny" / "adqs.csv").write_text("USUBJID\n")
        built = make(root)
        assert without_kernels == ["second"]
        assert (built.executed, built.cached) == (("chapters/second",), ("chapters/first", "chapters/third"))

    def test_new_prose_reaches_the_report_without_running_anything(
        self, root: Path, without_kernels: list[str]
    ) -> None:
        make(root)
        change_cell(root, "third", "prose", "Quite other words.")
        built = make(root)
        assert not built.current
        assert built.executed == ()
        assert "Quite other words." in (root / "report" / "notebooks" / "chapters" / "third.ipynb").read_text()

    @pytest.mark.parametrize("name", ["index.md", "_config.yml", "references.bib"])
    def test_pages_and_settings_rebuild(self, root: Path, without_kernels: list[str], name: str) -> None:
        make(root)
        (root / name).write_text((root / name).read_text() + "\n")
        assert not make(root).current

    def test_a_damaged_report_is_built_again(self, root: Path, without_kernels: list[str]) -> None:
        make(root)
        (root / "report" / "results.csv").write_text("id\n")
        built = make(root)
        assert not built.current
        assert verify(root / "report").intact

    def test_force_runs_everything(self, root: Path, without_kernels: list[str]) -> None:
        make(root)
        assert len(make(root, force=True).executed) == 3

    def test_going_back_to_earlier_parameters_runs_nothing(self, root: Path, without_kernels: list[str]) -> None:
        make(root)
        assert make(root, overrides={"seed": 2}).executed == ("chapters/first",)
        assert make(root).executed == ()

    def test_a_parameter_nobody_takes_is_mentioned(self, root: Path, without_kernels: list[str]) -> None:
        said: list[str] = []
        build(request(root, overrides={"imputations": 5}), say=said.append)
        assert "note: no chapter takes the parameter imputations" in said


class TestSince:
    @pytest.fixture
    def earlier(self, root: Path, without_kernels: list[str]) -> Path:
        make(root)
        return shutil.copytree(root / "report", root / "march")

    def test_the_new_report_has_a_page_of_what_changed(self, root: Path, earlier: Path) -> None:
        results = earlier / "results.csv"
        results.write_text(results.read_text().replace("1.5", "1.25", 1))
        built = make(root, since=earlier)
        assert (built.executed, built.current) == ((), False)
        assert "2 unchanged, 1 changed" in (root / "report" / "html" / "changes.html").read_text()
        with (root / "report" / "changes.csv").open() as stream:
            changed = [row for row in csv.DictReader(stream) if row["kind"] == "changed"]
        assert [(row["id"], row["old"], row["new"]) for row in changed] == [("first.rows", "1.25", "1.5")]
        assert "results of the earlier report" in json.loads((root / "report" / "run.json").read_text())["inputs"]
        assert verify(root / "report").intact
        assert make(root, since=results).current
        make(root)
        assert not (root / "report" / "html" / "changes.html").exists()

    def test_what_cannot_be_compared_with_is_refused(self, root: Path, earlier: Path) -> None:
        for since, message in ((root / "report", "that this build replaces"), (root / "chapters", "no results.csv")):
            with pytest.raises(RefusedError, match=message):
                make(root, since=since)
        assert verify(root / "report").intact


class TestFailures:
    def test_all_failing_chapters_are_collected_and_the_old_report_stays(self, root: Path) -> None:
        make(root)
        before = files(root / "report")
        change_cell(root, "first", "count", "1 / 0")
        change_cell(root, "third", "count", "undefined")
        change_cell(root, "second", "count", "print('new')")
        with pytest.raises(BuildFailedError) as caught:
            make(root)
        first, third = caught.value.failures
        assert (first.chapter, first.error) == ("chapters/first", "ZeroDivisionError")
        assert (third.chapter, third.error) == ("chapters/third", "NameError")
        assert files(root / "report") == before
        assert first.notebook == root / ".respine" / "failed" / "chapters" / "first.ipynb"
        assert "ZeroDivisionError" in first.notebook.read_text()
        assert sorted(path.name for path in root.iterdir() if path.name.startswith("report")) == ["report"]
        change_cell(root, "first", "count", "1")
        change_cell(root, "third", "count", "1")
        assert make(root).executed == ("chapters/first", "chapters/third"), "the second was done and must not run again"

    def test_a_result_given_twice_fails_the_build(self, root: Path, without_kernels: list[str]) -> None:
        (root / "chapters" / "fourth.ipynb").write_bytes((root / "chapters" / "first.ipynb").read_bytes())
        toc = (root / "_toc.yml").read_text()
        (root / "_toc.yml").write_text(toc.replace("- file: chapters/third", "- file: chapters/third\n- file: first"))
        (root / "first.ipynb").write_bytes((root / "chapters" / "first.ipynb").read_bytes())
        with pytest.raises(BuildFailedError, match=r"first\.rows"):
            make(root)
        assert not (root / "report").exists()

    def test_a_book_that_cannot_be_rendered_keeps_the_old_report(
        self, root: Path, without_kernels: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        make(root)
        before = files(root / "report")

        def fail(source: Path, report: Path, **options: Any) -> None:
            (report / "html").mkdir()
            raise rendering.RenderError([rendering.RenderWarning("index:3", "", "unknown result")])

        monkeypatch.setattr(rendering, "render", fail)
        (root / "index.md").write_text("# Other\n")
        with pytest.raises(BuildFailedError, match="index:3: unknown result"):
            make(root)
        assert files(root / "report") == before

    def test_data_changed_while_chapters_run_are_not_mistaken_for_those_hashed(
        self, root: Path, without_kernels: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def execute(work: Any, run: Any, progress: Any, finished: Any) -> None:
            (root / "data" / "tiny" / "adsl.csv").write_text("USUBJID\nS1\n")
            execute_plainly([], work, run, progress, finished)

        with monkeypatch.context() as patch:
            patch.setattr(building, "execute", execute)
            with pytest.raises(BuildFailedError, match=r"data/tiny/adsl\.csv was changed while"):
                make(root)
        assert not (root / "report").exists()
        assert len(make(root).executed) == 3

    def test_a_full_disk_keeps_the_old_report(
        self, root: Path, without_kernels: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        make(root)
        before = files(root / "report")

        def fail(source: Path, report: Path, **options: Any) -> None:
            raise OSError(28, "No space left on device", str(report / "html"))

        monkeypatch.setattr(rendering, "render", fail)
        (root / "index.md").write_text("# Other\n")
        with pytest.raises(BuildFailedError, match="No space left on device"):
            make(root)
        assert files(root / "report") == before
        assert not list(root.glob("report.*"))


class TestTarget:
    @pytest.mark.parametrize("out", [".", "..", "data", "data/tiny", "chapters"])
    def test_what_must_be_kept_is_not_replaced(self, root: Path, without_kernels: list[str], out: str) -> None:
        before = files(root)
        with pytest.raises(RefusedError, match="--out"):
            make(root, out=root / out)
        assert {name: content for name, content in files(root).items() if ".respine" not in name} == before

    def test_a_folder_that_is_no_report_is_not_replaced(self, root: Path, without_kernels: list[str]) -> None:
        (root / "report").mkdir()
        (root / "report" / "thesis.doc").write_text("years of work")
        with pytest.raises(RefusedError, match="not a report"):
            make(root)
        assert (root / "report" / "thesis.doc").exists()

    def test_what_somebody_put_into_a_report_is_not_lost(self, root: Path, without_kernels: list[str]) -> None:
        make(root)
        (root / "report" / "html" / ".DS_Store").write_text("")
        (root / "index.md").write_text("# Other\n")
        make(root)
        (root / "report" / "html" / "notes.txt").write_text("years of work")
        (root / "index.md").write_text("# Another\n")
        with pytest.raises(RefusedError, match=r"holds html/notes\.txt, which no build wrote"):
            make(root)
        assert (root / "report" / "html" / "notes.txt").exists()

    def test_a_file_is_refused(self, root: Path, without_kernels: list[str]) -> None:
        (root / "report").write_text("")
        with pytest.raises(RefusedError, match="is a file"):
            make(root)

    def test_a_link_is_followed(self, root: Path, without_kernels: list[str]) -> None:
        (root / "elsewhere").mkdir()
        (root / "report").symlink_to(root / "elsewhere")
        make(root)
        assert (root / "report").is_symlink()
        assert (root / "elsewhere" / "run.json").is_file()


class TestSwap:
    @pytest.fixture
    def pair(self, tmp_path: Path) -> tuple[Path, Path]:
        for name in ("new", "out"):
            (tmp_path / name).mkdir()
            (tmp_path / name / "run.json").write_text(name)
        return tmp_path / "new", tmp_path / "out"

    def test_exchange_where_the_kernel_can(self, pair: tuple[Path, Path]) -> None:
        new, out = pair
        assert transaction.exchange(new, out)
        assert ((out / "run.json").read_text(), (new / "run.json").read_text()) == ("new", "out")

    def test_two_renames_elsewhere(self, pair: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(transaction, "exchange", lambda a, b: False)
        new, out = pair
        transaction.publish(new, out)
        assert (out / "run.json").read_text() == "new"
        assert [path.name for path in out.parent.iterdir()] == ["out"]

    def test_a_failed_second_rename_puts_the_old_report_back(
        self, pair: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(transaction, "exchange", lambda a, b: False)
        new, out = pair
        rename = Path.rename
        monkeypatch.setattr(
            Path, "rename", lambda path, to: (_ for _ in ()).throw(OSError(5)) if path == new else rename(path, to)
        )
        with pytest.raises(OSError):
            transaction.publish(new, out)
        assert (out / "run.json").read_text() == "out"

    def test_a_build_killed_between_two_renames_is_undone(self, pair: tuple[Path, Path]) -> None:
        new, out = pair
        dead = dead_process()
        out.rename(out.with_name(f"out.old-{dead}"))
        new.rename(out.with_name(f"out.partial-{dead}"))
        transaction.recover(out)
        assert (out / "run.json").read_text() == "out"
        assert [path.name for path in out.parent.iterdir()] == ["out"]

    def test_what_a_living_build_has_is_left_alone(self, pair: tuple[Path, Path]) -> None:
        _, out = pair
        scratch = out.with_name(f"out.partial-{os.getppid()}")
        scratch.mkdir()
        (out.parent / "out.partial-notes").mkdir()
        transaction.recover(out)
        assert scratch.exists()
        assert (out.parent / "out.partial-notes").exists()


def dead_process() -> int:
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    return child


class TestRefresh:
    def test_in_place_the_same_bytes_and_nothing_else(self, root: Path) -> None:
        done = refresh(request(root), ("first", "third"))
        assert done.changed == ("chapters/first", "chapters/third")
        once = files(root / "chapters")
        assert b'"execution_count": 3' in once["first.ipynb"]
        assert b'"execution_count": 3' not in once["second.ipynb"]
        assert refresh(request(root), ("first",)).unchanged == ("chapters/first",)
        assert files(root / "chapters") == once

    def test_an_injected_cell_of_an_earlier_run_is_not_kept(self, root: Path, without_kernels: list[str]) -> None:
        import nbformat

        path = root / "chapters" / "first.ipynb"
        notebook = nbformat.read(path, as_version=4)
        stray = nbformat.v4.new_code_cell("seed = 99", metadata={"tags": ["injected-parameters"]})
        notebook.cells.insert(2, stray)
        nbformat.write(notebook, path)
        plan = make_plan(Repository(root))
        assert "seed = 99" not in str(plan.chapters[0].code)

    def test_nothing_is_written_when_a_chapter_fails(self, root: Path, without_kernels: list[str]) -> None:
        change_cell(root, "third", "count", "1 / 0")
        before = files(root / "chapters")
        with pytest.raises(BuildFailedError):
            refresh(request(root))
        assert files(root / "chapters") == before
