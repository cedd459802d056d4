"""A book of three light chapters in a temporary folder: everything a build does, in seconds and without statistics."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import nbformat
import yaml
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from respine.book.execute import Outcome
from respine.book.failures import Failure

PACKAGE_ROOT = Path(__file__).resolve().parents[3]

_PARAMETERS = {
    "first": 'data = "data/tiny"\nseed = 1',
    "second": 'data = "data/tiny"\nalpha = 0.05\ncovariates = ("COUNTRY",)',
    "third": 'data = "data/tiny"',
}
_READ = (
    "import os\nfrom pathlib import Path\n"
    'folder = Path(os.environ["RESPINE_DATA"]) if data == "dataset" else Path(os.environ["RESPINE_ROOT"], data)\n'
)
PUBLISH = """from IPython.display import display
def publish(id, value):
    row = {"id": id, "statistic": "count", "value": value}
    display({"text/plain": "1 result"}, metadata={"respine": {"kind": "results", "results": [row]}}, raw=True)
"""
_CODE = {
    "first": 'publish("first.rows", len((folder / "adsl.csv").read_text().splitlines()) + seed)\nprint("seed", seed)',
    "second": 'publish("second.rows", len((folder / "adqs.csv").read_text().splitlines()))\nprint(alpha, covariates)',
    "third": 'publish("third.rows", len((folder / "adae.csv").read_text().splitlines()))\n{"a": 1}',
}
_TABLES = {"first": ["adsl"], "second": ["adsl", "adqs"], "third": ["adae"]}


def chapter(name: str, code: str, tables: list[str] | None = None, **declared: Any) -> Any:
    """A notebook: question, parameters, reading, code, prose."""
    cells = [
        new_markdown_cell(f"# {name.title()}\n\nWhat is counted here?", id="question"),
        new_code_cell(_PARAMETERS.get(name, _PARAMETERS["third"]), id="parameters", metadata={"tags": ["parameters"]}),
        new_code_cell(_READ + PUBLISH, id="setup"),
        new_code_cell(code, id="count"),
        new_markdown_cell("Rows were counted.", id="prose"),
    ]
    notebook = new_notebook(cells=cells)
    notebook.metadata["kernelspec"] = {"display_name": "Python 3", "language": "python", "name": "python3"}
    notebook.metadata["language_info"] = {"name": "python"}
    if tables is not None or declared:
        notebook.metadata["respine"] = ({"tables": tables} if tables is not None else {}) | declared
    return notebook


def write_chapter(root: Path, name: str, code: str, tables: list[str] | None = None, **declared: Any) -> Path:
    """Write a chapter of the book at ``root``."""
    path = root / "chapters" / f"{name}.ipynb"
    nbformat.write(chapter(name, code, tables, **declared), path)
    return path


def change_cell(root: Path, name: str, cell: str, source: str) -> None:
    """Give a cell of a chapter another source."""
    path = root / "chapters" / f"{name}.ipynb"
    notebook = nbformat.read(path, as_version=4)
    next(c for c in notebook.cells if c["id"] == cell)["source"] = source
    nbformat.write(notebook, path)


def make_repository(root: Path) -> Path:
    """Write the book and its data set; ``root`` itself."""
    (root / "chapters").mkdir(parents=True)
    write_data(root / "data" / "tiny")
    for name, code in _CODE.items():
        write_chapter(root, name, code, _TABLES[name])
    toc = {"format": "jb-book", "root": "index", "chapters": [{"file": f"chapters/{name}"} for name in _CODE]}
    (root / "_toc.yml").write_text(yaml.safe_dump(toc))
    (root / "_config.yml").write_text("title: Mini\nauthor: Nobody\nexecute:\n  execute_notebooks: 'off'\n")
    (root / "index.md").write_text("# Mini\n\nA book.\n")
    (root / "references.bib").write_text("")
    return root


def write_data(folder: Path, rows: int = 3) -> Path:
    """Tables that look like a data set to the build; nobody checks them here."""
    folder.mkdir(parents=True)
    for table in ("adsl", "adqs", "admi", "adis", "adae", "adcm"):
        lines = ["USUBJID,TRT01P", *(f"S{i:02},{('MSC', 'Sham')[i % 2]}" for i in range(rows))]
        (folder / f"{table}.csv").write_text("\n".join(lines) + "\n")
    (folder / "dataset.yml").write_text("title: Tiny\n")
    return folder


def render_plainly(source: Path, report: Path, **options: Any) -> None:
    """Stands for the renderer: a page a chapter."""
    (report / "html").mkdir(parents=True)
    for path in sorted((source / "chapters").glob("*.ipynb")):
        (report / "html" / f"{path.stem}.html").write_text(path.read_text())
    (report / "respine.pdf").write_bytes(b"%PDF")


def execute_plainly(ran: list[str], work: Any, run: Any, progress: Any, finished: Callable[[Outcome], None]) -> None:
    """Stands for the kernels: each chapter gives one result, or fails if it divides by zero."""
    for chapter, _ in work:
        name = chapter.path.stem
        ran.append(name)
        if any("/ 0" in source for source, _ in chapter.code):
            failure = Failure(chapter=chapter.name, error="ZeroDivisionError", message="division by zero")
            finished(Outcome(chapter=chapter, seconds=0.1, failure=failure))
            continue
        notebook = nbformat.read(chapter.path, as_version=4)
        row = {"id": f"{name}.rows", "statistic": "count", "value": 1.5}
        metadata = {"respine": {"kind": "results", "results": [row]}}
        notebook.cells[3]["outputs"] = [new_output("display_data", {"text/plain": "1 result"}, metadata=metadata)]
        finished(Outcome(chapter=chapter, seconds=0.1, notebook=notebook))


DRIVER = """
import sys
import respine.book.build as build, respine.book.render as render
from tests.book.mini.repository import render_plainly
render.render = render_plainly
build.check_data = lambda repository, plan, cache, share=False: ""
from respine.cli import main
main()
"""


def environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """For a process that must find this checkout."""
    return {**os.environ, "PYTHONPATH": str(PACKAGE_ROOT), **(more or {})}


def start_build(root: Path, *arguments: str, **options: Any) -> subprocess.Popen[str]:
    """A ``respine`` process in the book, without data check and real rendering; its temporary files lie beside it."""
    temporary = root.parent / "tmp"
    temporary.mkdir(exist_ok=True)
    return subprocess.Popen(
        [sys.executable, "-c", DRIVER, *arguments],
        cwd=root,
        env=environment({"TMPDIR": str(temporary)}),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        **options,
    )


def files(folder: Path) -> dict[str, bytes]:
    """Every file below a folder with its content."""
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def processes_naming(text: str) -> Iterator[int]:
    """Live processes whose command line or working folder names ``text``."""
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            command = (entry / "cmdline").read_bytes().decode(errors="replace")
            where = os.readlink(entry / "cwd")
        except OSError:
            continue
        if text in command or text in where:
            yield int(entry.name)
