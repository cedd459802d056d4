"""The report's speed in a temporary copy of the repository: execution, rendering, and what a change costs.

Every figure is the wall time of a process of its own, imports included, as an author waits for it.
"""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks import Row, against

TOP = Path(__file__).parents[1]
SOURCES = ("_config.yml", "_toc.yml", "index.md", "references.bib", "pyproject.toml", "chapters", "data", "respine")
_PAPERMILL = """
import pathlib, papermill
for path in sorted(pathlib.Path("chapters").glob("*.ipynb")):
    papermill.execute_notebook(path, "executed.ipynb", kernel_name="python3", progress_bar=False, cwd="chapters")
"""
_EXECUTION = """
import os, pathlib
from respine.book.build import Request, collect_results
from respine.book.paths import Repository
root = pathlib.Path.cwd()
jobs = (os.cpu_count() or 1) + 1
collect_results(Request(repository=Repository(root), out=root / "report", jobs=jobs))
"""
_RENDERING = """
import pathlib, sys
from respine.book.render import render
render(pathlib.Path.cwd(), pathlib.Path(sys.argv[1]), builders=sys.argv[2:])
"""


def rows() -> Iterator[Row]:
    """Execution, HTML and PDF beside papermill and Jupyter Book; then what is built again beside a whole build."""
    with tempfile.TemporaryDirectory() as folder:
        root = copy(Path(folder) / "repository")
        yield from _execution(root)
        yield from _rendering(root, Path(folder))
        yield from _changes(root)


def copy(root: Path) -> Path:
    """What the report is built from; ``root`` itself."""
    root.mkdir()
    for name in SOURCES:
        if (TOP / name).is_dir():
            unwanted = shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints")
            shutil.copytree(TOP / name, root / name, ignore=unwanted)
        else:
            shutil.copy(TOP / name, root)
    run(root, "-m", "compileall", "-q", "respine")
    return root


def run(root: Path, *arguments: str, status: int = 0) -> float:
    """Seconds that Python takes for ``arguments``, which must end with ``status``."""
    environment = {**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    start = time.perf_counter()
    done = subprocess.run([sys.executable, *arguments], cwd=root, env=environment, capture_output=True, text=True)
    elapsed = time.perf_counter() - start
    if done.returncode != status:
        raise RuntimeError(f"{arguments[:3]} ended with {done.returncode}:\n{done.stdout[-2000:]}{done.stderr[-4000:]}")
    return elapsed


def respine(root: Path, *arguments: str, status: int = 0) -> float:
    """Seconds that a command of respine takes."""
    return run(root, "-m", "respine.cli", *arguments, status=status)


def _execution(root: Path) -> Iterator[Row]:
    papermill, own = run(root, "-c", _PAPERMILL), run(root, "-c", _EXECUTION)
    yield against("All chapters cold, data check included", own, "papermill in series", papermill, "4 x")


def _rendering(root: Path, folder: Path) -> Iterator[Row]:
    plain, executed = (_jupyter_book(root, folder / way, way) for way in ("off", "force"))
    shutil.rmtree(root / ".respine")
    whole = respine(root, "build")
    yield against("All chapters cold, HTML and PDF: respine build", whole, "jupyter-book, HTML only", executed)
    for what, builders, goal in (
        ("HTML of executed chapters", ["html"], ""),
        ("PDF of executed chapters", ["typst"], ""),
        ("HTML and PDF of executed chapters", ["html", "typst"], "0.67 x"),
    ):
        own = run(root, "-c", _RENDERING, str(folder / "-".join(builders)), *builders)
        yield against(what, own, "jupyter-book, HTML only", plain, goal)


def _jupyter_book(root: Path, out: Path, execute: str) -> float:
    config = out.with_suffix(".yml")
    text = (root / "_config.yml").read_text(encoding="utf-8")
    before, setting = 'execute_notebooks: "off"', f'execute_notebooks: "{execute}"'
    if before not in text:
        raise RuntimeError(f"_config.yml does not say {before}")
    config.write_text(text.replace(before, setting), encoding="utf-8")
    program = "from jupyter_book.cli.main import main; main()"
    return run(root, "-c", program, "build", str(root), "--path-output", str(out), "--config", str(config))


def _changes(root: Path) -> Iterator[Row]:
    whole = respine(root, "build", "--force")
    yield against("respine build, nothing changed", respine(root, "build"), "respine build --force", whole, "0.5 s")
    change_table(root / "data" / "respine-synthetic" / "admi.csv")
    yield against("respine build, one table changed (admi)", respine(root, "build"), "respine build --force", whole)
    change_chapter(root / "chapters" / "structure.ipynb")
    yield against(
        "respine build, one chapter changed (structure)", respine(root, "build"), "respine build --force", whole
    )


def change_table(path: Path) -> None:
    """Correct one value, as a new data cut would."""
    with path.open(encoding="utf-8", newline="") as stream:
        header, *records = csv.reader(stream)
    code, value = header.index("PARAMCD"), header.index("AVAL")
    record = next(record for record in records if record[code] == "T2" and record[value])
    record[value] = repr(float(record[value]) + 0.5)
    with path.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream, lineterminator="\n").writerows([header, *records])


def change_chapter(path: Path) -> None:
    """Change the code of a chapter's last code cell, and nothing that it gives."""
    notebook = json.loads(path.read_text(encoding="utf-8"))
    cell = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"][-1]
    cell["source"] = [*cell["source"], "\n# changed"]
    path.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
