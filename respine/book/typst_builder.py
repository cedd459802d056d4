"""A Sphinx builder that writes the book as one Typst document, and the PDF from it."""

from __future__ import annotations

import posixpath
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

from docutils import nodes
from docutils.nodes import Element
from sphinx.application import Sphinx
from sphinx.builders import Builder
from sphinx.util import logging

from respine.book.collect import StudyRecord
from respine.book.pdf import compile_pdf
from respine.book.typst_text import string, text
from respine.book.typst_writer import INTERNAL, Report, TypstWriter, page_label

logger = logging.getLogger(__name__)

TEMPLATE = Path(__file__).parent / "template.typ"
SOURCE_NAME, PDF_NAME = "report.typ", "respine.pdf"
# Chapters of a book nest at most this deep; more is a loop in the table of contents.
_DEEPEST = 6


class TypstBuilder(Builder):  # type: ignore[misc]
    """Writes ``report.typ``, its figures, and ``respine.pdf``."""

    name = "typst"
    format = "typst"
    epilog = "The PDF is %(outdir)s/respine.pdf."
    allow_parallel = False
    supported_image_types: ClassVar[list[str]] = ["image/svg+xml", "image/png", "image/jpeg"]

    def get_outdated_docs(self) -> str:
        """The report is one document: always written whole."""
        return "the report"

    def get_target_uri(self, docname: str, typ: str | None = None) -> str:
        """Address of a page inside the report."""
        return f"{INTERNAL}{docname}"

    def get_relative_uri(self, from_: str, to: str, typ: str | None = None) -> str:
        """Addresses inside the report are the same from everywhere."""
        return self.get_target_uri(to, typ)

    def write(self, *ignored: Any) -> None:
        """Write the report's Typst source and compile it: whole, so that no other method of a builder is called."""
        folder = Path(self.outdir)
        shutil.rmtree(folder / "figures", ignore_errors=True)
        pages = list(self._pages(self.config.root_doc, 1))
        trees = {docname: self._resolved(docname) for docname, _ in pages}
        report = Report(
            outputs=self.app.respine.collected.outputs,
            numbers=self._numbers(),
            wanted=self._wanted(trees),
            folder=folder,
        )
        body = []
        lead = ""
        for docname, depth in pages:
            writer = TypstWriter(report, docname, depth)
            if docname == self.config.root_doc:
                lead = self._front(writer, trees[docname])
            else:
                body.append(writer.page(trees[docname]))
        source = self._source(trees[self.config.root_doc], lead, "\n".join(body))
        (folder / SOURCE_NAME).write_text(source, encoding="utf-8")
        shutil.copyfile(TEMPLATE, folder / TEMPLATE.name)
        if not self.config.respine_compile:
            return
        for problem in compile_pdf(folder / SOURCE_NAME, folder / PDF_NAME):
            logger.warning("Typst: %s", problem, type="respine", subtype="typst")

    def _pages(self, docname: str, depth: int) -> Iterator[tuple[str, int]]:
        if depth > _DEEPEST:
            raise ValueError(f"{docname}: the table of contents nests deeper than {_DEEPEST}")
        yield docname, max(depth - 1, 1)
        for child in self.env.toctree_includes.get(docname, ()):
            yield from self._pages(child, depth + 1)

    def _resolved(self, docname: str) -> nodes.document:
        tree: nodes.document = self.env.get_doctree(docname)
        self.env.resolve_references(tree, docname, self)
        for image in tree.findall(nodes.image):
            source = Path(self.srcdir, image["uri"])
            target = Path(self.outdir, "figures", posixpath.basename(image["uri"]))
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
            image["typst-file"] = f"figures/{target.name}"
        return tree

    def _numbers(self) -> dict[str, str]:
        return {
            page_label(docname, id): ".".join(map(str, number))
            for docname, kinds in self.env.toc_fignumbers.items()
            for numbers in kinds.values()
            for id, number in numbers.items()
        }

    def _wanted(self, trees: dict[str, nodes.document]) -> frozenset[str]:
        """Labels that a link leads to and that exist."""
        exist, named = set(), set()
        for docname, tree in trees.items():
            exist.add(page_label(docname))
            finder = TypstWriter(Report({}, {}, frozenset(), Path()), docname)
            for node in tree.findall(Element):
                exist |= {page_label(docname, id) for id in node["ids"]}
                if isinstance(node, nodes.reference) and (target := finder.target_of(node)):
                    named.add(target)
        return frozenset(exist & named)

    def _front(self, writer: TypstWriter, tree: nodes.document) -> str:
        """The root page, for the title page: all of it but its title, which is the report's."""
        section = next(tree.findall(nodes.section))
        has_sections = any(isinstance(child, nodes.section) for child in section)
        heading = "" if has_sections else f"#heading(level: 1)[{text('Summary')}];\n\n"
        return writer.page_anchor() + heading + "".join(writer.write(child) for child in section.children[1:])

    def _source(self, root: nodes.document, lead: str, body: str) -> str:
        title = next(root.findall(nodes.title)).astext()
        study: StudyRecord | None = self.app.respine.collected.study
        numbers = list(self.env.toc_fignumbers.values())
        settings = {
            "title": string(title),
            "short-title": string(self.config.html_title),
            "author": string(self.config.author),
            "notice": string(self.app.respine.notice),
            "facts": _facts(study),
            "lead": f"[{lead}]",
            "tables": "true" if any("table" in kinds for kinds in numbers) else "false",
            "figures": "true" if any("figure" in kinds for kinds in numbers) else "false",
        }
        arguments = ", ".join(f"{name}: {value}" for name, value in settings.items())
        return f'#import "{TEMPLATE.name}": *\n#show: report.with({arguments})\n\n{body}\n'


def _facts(study: StudyRecord | None) -> str:
    if study is None:
        return "()"
    names = {"title": "Data set", "cutoff": "Data cut-off", "source": "Source", "licence": "Licence"}
    pairs = [(names[key], str(study.info[key])) for key in names if study.info.get(key)]
    return "(" + "".join(f"([{text(name)}], [{text(value)}]), " for name, value in pairs) + ")"


def setup_typst(app: Sphinx) -> None:
    """Register the builder."""
    app.add_builder(TypstBuilder)
