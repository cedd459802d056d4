"""The book's pages in their order, and what a chapter declares about itself.

Notebooks are read as JSON, not through nbformat, so that finding out that nothing changed costs no heavy import.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from respine.book.failures import RefusedError
from respine.book.paths import Repository

PARAMETERS_TAG = "parameters"
INJECTED_TAG = "injected-parameters"


@dataclass(frozen=True, slots=True, kw_only=True)
class Chapter:
    """A notebook of the book, as far as running it is concerned.

    Parameters
    ----------
    name
        Page name as in ``_toc.yml``: ``chapters/response``.
    path
        The notebook.
    code
        Source and tags of its code cells, in order.
    parameters
        Names and defaults in its parameters cell.
    tables
        Tables it reads (``respine.tables`` in the notebook's metadata); None stands for all.
    allow_stderr
        Whether cells may write to standard error (``respine.allow_stderr``).
    timeout
        Seconds a cell may take (``respine.timeout``), where the chapter sets its own.
    """

    name: str
    path: Path
    code: tuple[tuple[str, tuple[str, ...]], ...]
    parameters: Mapping[str, Any]
    tables: frozenset[str] | None = None
    allow_stderr: bool = False
    timeout: int | None = None


def page_names(repository: Repository) -> tuple[str, ...]:
    """Every page of ``_toc.yml`` in reading order, the root first."""
    import yaml

    try:
        toc = yaml.safe_load(repository.toc.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise RefusedError(f"_toc.yml is not valid YAML: {error}") from None
    if not isinstance(toc, dict) or "root" not in toc:
        raise RefusedError("_toc.yml names no root page")
    names = tuple(name.removesuffix(".md").removesuffix(".ipynb") for name in _toc_entries(toc))
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise RefusedError(f"_toc.yml lists {twice} twice")
    return names


def _toc_entries(node: Mapping[str, Any]) -> Iterator[str]:
    if "root" in node or "file" in node:
        yield node.get("root") or node["file"]
    for group in ("parts", "chapters", "sections"):
        for child in node.get(group) or ():
            yield from _toc_entries(child)


def page_path(repository: Repository, name: str) -> Path:
    """The file of a page: a notebook where there is one, else Markdown."""
    for suffix in (".ipynb", ".md"):
        path = repository.root / (name + suffix)
        if path.is_file():
            return path
    raise RefusedError(f"_toc.yml lists {name}, but there is neither {name}.ipynb nor {name}.md")


def read_chapters(repository: Repository) -> tuple[Chapter, ...]:
    """Every notebook of the book, in reading order."""
    pages = ((name, page_path(repository, name)) for name in page_names(repository))
    return tuple(read_chapter(name, path) for name, path in pages if path.suffix == ".ipynb")


def read_chapter(name: str, path: Path) -> Chapter:
    """A notebook's code and declarations."""
    try:
        notebook = json.loads(path.read_bytes())
        code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
        declared = notebook["metadata"].get("respine", {})
    except (ValueError, KeyError, TypeError) as error:
        raise RefusedError(f"{name}.ipynb is not a notebook of format 4: {error}") from None
    # An injected cell is a trace of an earlier run with other parameters, not part of the chapter.
    cells = [cell for cell in code if INJECTED_TAG not in _tags(cell)]
    parameter_cell = next((cell for cell in cells if PARAMETERS_TAG in _tags(cell)), None)
    return Chapter(
        name=name,
        path=path,
        code=tuple((_source(cell), _tags(cell)) for cell in cells),
        parameters=_assignments(name, _source(parameter_cell)) if parameter_cell else {},
        tables=frozenset(declared["tables"]) if "tables" in declared else None,
        allow_stderr=bool(declared.get("allow_stderr", False)),
        timeout=declared.get("timeout"),
    )


def _assignments(name: str, source: str) -> dict[str, Any]:
    values: dict[str, Any] = {}
    try:
        for statement in ast.parse(source).body:
            match statement:
                case ast.Assign(targets=[ast.Name(id=parameter)], value=value):
                    values[parameter] = ast.literal_eval(value)
                case ast.AnnAssign(target=ast.Name(id=parameter), value=ast.expr() as value):
                    values[parameter] = ast.literal_eval(value)
                case _:
                    raise ValueError(f"line {statement.lineno}")
    except (SyntaxError, ValueError) as error:
        raise RefusedError(
            f"{name}.ipynb: the parameters cell holds something other than name = constant ({error})"
        ) from None
    return values


def select(chapters: tuple[Chapter, ...], wanted: tuple[str, ...]) -> tuple[Chapter, ...]:
    """The chapters called ``wanted``: page name, file name or its stem; all of them where nothing is wanted."""
    if not wanted:
        return chapters
    keys = {key: c for c in chapters for key in (c.name, f"{c.name}.ipynb", c.path.name, c.path.stem, str(c.path))}
    unknown = [name for name in wanted if name not in keys]
    if unknown:
        known = ", ".join(c.path.stem for c in chapters)
        raise RefusedError(f"no chapter {unknown[0]!r}; there are {known}")
    chosen = {keys[name].name for name in wanted}
    return tuple(c for c in chapters if c.name in chosen)


def _tags(cell: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(cell.get("metadata", {}).get("tags", ()))


def _source(cell: Mapping[str, Any]) -> str:
    source = cell["source"]
    return source if isinstance(source, str) else "".join(source)
