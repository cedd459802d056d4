"""run.json: what a report was made from, and whether its files are still those."""

from __future__ import annotations

import contextlib
import hashlib
import subprocess
from pathlib import Path

import pytest

from respine.book.failures import RefusedError
from respine.book.paths import Repository, files_below, find_repository, write_whole
from respine.book.provenance import (
    ChapterRecord,
    commit,
    describe_run,
    hash_outputs,
    input_hashes,
    read_run,
    verify,
    write_run,
)
from tests.book.mini.repository import make_repository


@pytest.fixture
def report(tmp_path: Path) -> Path:
    report = tmp_path / "report"
    (report / "html").mkdir(parents=True)
    (report / "html" / "index.html").write_text("page")
    (report / "html" / ".nojekyll").write_text("")
    (report / "results.csv").write_text("id\n")
    run = describe_run(
        Repository(tmp_path),
        report,
        key="k",
        inputs={"a": "1"},
        parameters={"seed": 1},
        versions={"python": "3.11"},
        chapters=(ChapterRecord(chapter="chapters/a", key="k", seconds=1.23456, cached=False),),
        seconds=2.0,
    )
    write_run(report, run)
    return report


def test_every_output_is_hashed_but_the_record_itself(report: Path) -> None:
    run = read_run(report)
    assert run is not None
    assert set(run["outputs"]) == {"html/index.html", "html/.nojekyll", "results.csv", "ro-crate-metadata.json"}
    assert run["outputs"]["results.csv"] == hashlib.sha256(b"id\n").hexdigest()
    assert run["chapters"] == [{"chapter": "chapters/a", "key": "k", "seconds": 1.235, "cached": False}]
    assert run["package"]["version"]


def test_intact(report: Path) -> None:
    found = verify(report)
    assert (found.intact, found.files) == (True, 4)


def test_every_difference_is_named(report: Path) -> None:
    (report / "results.csv").write_text("id\nx\n")
    (report / "html" / "index.html").unlink()
    (report / "html" / "new.html").write_text("")
    found = verify(report)
    assert not found.intact
    assert (found.changed, found.missing, found.added) == (("results.csv",), ("html/index.html",), ("html/new.html",))


def test_every_byte_of_the_record_counts(report: Path) -> None:
    whole = (report / "run.json").read_bytes()
    for position in range(0, len(whole), 7):
        (report / "run.json").write_bytes(whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1 :])
        with contextlib.suppress(RefusedError):  # no JSON any more
            assert "run.json" in verify(report).changed, position
    (report / "run.json").write_bytes(whole)
    assert verify(report).intact


@pytest.mark.parametrize("text", [None, "", "[]", "{}", '{"outputs": 1}'])
def test_what_is_no_report_is_refused(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "run.json").write_text(text)
    with pytest.raises(RefusedError, match="is no report"):
        verify(tmp_path)


def test_commit_and_changes_since(tmp_path: Path) -> None:
    assert commit(Repository(tmp_path)) == {}
    (tmp_path / "a").write_text("1")
    identity = ("-c", "user.name=Somebody", "-c", "user.email=somebody@example.org")
    for arguments in (("init", "-q"), ("add", "a"), (*identity, "commit", "-q", "-m", "a")):
        subprocess.run(["git", *arguments], cwd=tmp_path, check=True)
    (tmp_path / "untracked").write_text("")
    found = commit(Repository(tmp_path))
    assert (len(found["commit"]), found["modified"]) == (40, False)
    (tmp_path / "a").write_text("2")
    assert commit(Repository(tmp_path))["modified"]


def test_inputs_are_named_from_the_top(tmp_path: Path) -> None:
    root = make_repository(tmp_path / "book")
    hashes = input_hashes(Repository(root), [root / "index.md"], {"adsl.csv": "h", "published": "p"})
    assert hashes == {
        "index.md": hashlib.sha256((root / "index.md").read_bytes()).hexdigest(),
        "data set: adsl.csv": "h",
    }


def test_the_repository_is_found_from_below(tmp_path: Path) -> None:
    root = make_repository(tmp_path / "book")
    assert find_repository(root / "chapters").root == root.resolve()


def test_hidden_files_and_byte_code_are_no_sources(tmp_path: Path) -> None:
    for name in ("a.py", "b/c.py", "__pycache__/a.pyc", ".git/config", ".hidden"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    assert [path.relative_to(tmp_path).as_posix() for path in files_below(tmp_path)] == ["a.py", "b/c.py"]
    assert len(hash_outputs(tmp_path)) == 5


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "a" / "b.txt"
    write_whole(target, b"one")
    with pytest.raises(TypeError):
        write_whole(target, "text")  # type: ignore[arg-type]
    assert target.read_bytes() == b"one"
    assert [path.name for path in target.parent.iterdir()] == ["b.txt"]
