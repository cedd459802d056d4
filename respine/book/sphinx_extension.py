"""The book's Sphinx extension: ``respine.book.sphinx_extension`` in ``_config.yml``.

Before any page is read, the executed notebooks are collected; roles and directives then print from that collection.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from docutils.nodes import Element
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util import logging
from sphinx.util.nodes import make_refnode

from respine.book.collect import Collected, Output, collect
from respine.book.html import setup_html
from respine.book.outputs import setup_outputs
from respine.book.roles import XREF, PrintRole, Source, UnknownNameError, pieces, read_published
from respine.book.typst_builder import setup_typst

logger = logging.getLogger(__name__)

NOTICE = "Synthetic data: no number in this report is a result of the trial."


class Book:
    """What was collected for the build under way, and which page prints what of it."""

    def __init__(self) -> None:
        self.collected = Collected()
        self.source = Source(self.collected, {})

    def gather(self, app: Sphinx) -> None:
        """Collect all notebooks that the table of contents names, in its order."""
        notebooks = {name: Path(app.env.doc2path(name)) for name in _reading_order(app)}
        self.collected = collect({k: v for k, v in notebooks.items() if v.suffix == ".ipynb"})
        self.source = Source(self.collected, read_published(Path(app.srcdir) / app.config.respine_published))

    def note_use(self, env: BuildEnvironment, role: str, text: str) -> None:
        """Remember that the page being read prints this, so that it is read again when that changes."""
        uses = env.respine_uses.setdefault(env.docname, {})
        uses[role, text] = self.signature(role, text)

    def signature(self, role: str, text: str) -> str:
        """What would be printed, condensed; empty for what does not exist."""
        if role == "output":
            output = self.collected.outputs.get(text)
            return "" if output is None else _digest(output)
        try:
            printed = pieces(self.source, role, text)
        except UnknownNameError:
            return ""
        return repr([(piece, self.collected.places.get(piece.result)) for piece in printed])

    @property
    def notice(self) -> str:
        """The notice every page carries; empty for real data."""
        study = self.collected.study
        return NOTICE if study is not None and study.synthetic else ""


def _digest(output: Output) -> str:
    return hashlib.sha256(repr(output).encode()).hexdigest()


def _reading_order(app: Sphinx) -> Iterable[str]:
    toc = getattr(app.config, "external_site_map", None)
    named = [name for name in toc if name in app.env.found_docs] if toc is not None else []
    return [*named, *sorted(app.env.found_docs - set(named))]


def _prepare(app: Sphinx) -> None:
    app.respine = Book()
    for name in ("respine_uses", "respine_anchors"):
        if not hasattr(app.env, name):
            setattr(app.env, name, {})
    if not hasattr(app.env, "respine_notice"):
        app.env.respine_notice = ""


def _gather(app: Sphinx, env: BuildEnvironment, added: set[str], changed: set[str], removed: set[str]) -> list[str]:
    """Collect, report what is wrong, and name the pages whose numbers have changed."""
    book: Book = app.respine
    book.gather(app)
    for problem in book.collected.problems:
        message = f"cell {problem.cell + 1}: {problem.message}"
        logger.warning("%s", message, location=(problem.chapter, None), type="respine")
    if book.notice != env.respine_notice:
        env.respine_notice = book.notice
        return sorted(env.found_docs)
    return [page for page, used in env.respine_uses.items() if _stale(book, used)]


def _stale(book: Book, used: Mapping[tuple[str, str], str]) -> bool:
    # A name that was unknown warns again until it is known: its page is never up to date.
    return any(not seen or book.signature(*use) != seen for use, seen in used.items())


def _find_unused(app: Sphinx, env: BuildEnvironment) -> None:
    """A statement is made to be read: one that no page prints has been lost in an edit."""
    collected: Collected = app.respine.collected
    printed = {text.partition("|")[0].strip() for used in env.respine_uses.values() for role, text in used}
    for id, result in collected.results.items():
        if result.text and id not in printed:
            message = "no page prints the statement %r: name it in prose, or do not make it"
            logger.warning(message, id, location=(collected.places[id].chapter, None), type="respine")


def _purge(app: Sphinx, env: BuildEnvironment, docname: str) -> None:
    env.respine_uses.pop(docname, None)
    env.respine_anchors.pop(docname, None)


def _link_result(app: Sphinx, env: BuildEnvironment, node: pending_xref, contnode: Element) -> Element | None:
    """A printed result links to its cell in HTML and is plain text elsewhere."""
    if node["reftype"] != XREF:
        return None
    if app.builder.format != "html":
        return contnode
    anchor = f"cell-{node['cell']}"
    target = anchor if anchor in env.respine_anchors.get(node["chapter"], ()) else None
    link: Element = make_refnode(app.builder, node["refdoc"], node["chapter"], target, contnode, node["explanation"])
    link["classes"].append("respine-link")
    return link


def setup(app: Sphinx) -> dict[str, Any]:
    """Register everything; Sphinx calls this."""
    app.add_config_value("respine_published", "data/published/published_results.csv", "env", str)
    app.add_config_value("respine_pdf", False, "html", bool)
    app.add_config_value("respine_compile", True, "", bool)
    app.add_config_value("respine_changes", "", "html", str)
    app.connect("builder-inited", _prepare)
    app.connect("env-get-outdated", _gather)
    app.connect("env-purge-doc", _purge)
    app.connect("env-check-consistency", _find_unused)
    app.connect("missing-reference", _link_result)
    for name in ("result", "statement", "study", "published"):
        app.add_role(name, PrintRole())
    setup_outputs(app)
    setup_html(app)
    setup_typst(app)
    # Pages print from one collection held by the application: not for parallel readers.
    return {"version": "1", "parallel_read_safe": False, "parallel_write_safe": False}
