"""Tables and figures of the chapters in the book: numbered, captioned, downloadable, quoted by other pages."""

from __future__ import annotations

import posixpath
from html import escape
from typing import Any, ClassVar

from docutils import nodes
from docutils.nodes import Element, Node
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective
from sphinx.util.osutil import relative_uri

from respine.book.collect import METADATA_KEY, Output
from respine.book.roles import place_of_line, typographic
from respine.book.svg import inline_svg
from respine.book.table_layout import screen_table
from respine.book.tables import parse_table

logger = logging.getLogger(__name__)

DOWNLOADS = "downloads"
"""Folder of the HTML book that holds tables, figures and the whole report for download."""


class OutputTable(nodes.General, nodes.Element):
    """A numbered table; children: caption, body, notes, downloads."""


class OutputFigure(nodes.General, nodes.Element):
    """A numbered figure; children: body, caption, notes, downloads."""


class OutputQuote(nodes.General, nodes.Element):
    """A table or figure of another page, shown again under its own number."""


class OutputCaption(nodes.caption):
    """Caption of a table or figure."""


class OutputBody(nodes.General, nodes.Element):
    """The table or drawing itself, by ``label``."""


class OutputDownloads(nodes.General, nodes.Element):
    """Links to the files of the output ``label``."""


class DownloadLink(nodes.Inline, nodes.TextElement):
    """A link to a file that the build adds, ``target`` from the top of the book."""


class OutputRenderer:
    """myst-nb's plugin for outputs that chapters publish: it makes book nodes of tables and figures."""

    mime_priority_overrides: ClassVar[list[tuple[str, str, int | None]]] = [
        ("typst", "text/markdown", 80),
        ("typst", "text/latex", 90),
        ("typst", "text/plain", 100),
    ]

    @staticmethod
    def handle_mime(renderer: Any, data: Any, inline: bool) -> list[Element] | None:
        """Nodes for one MIME type of an output; None leaves a foreign output to myst-nb."""
        own = data.output_metadata.get(METADATA_KEY)
        if own is None or inline:
            return None
        # One MIME type stands for the whole output; the others, and outputs without a face, give nothing.
        if (own.get("kind"), data.mime_type) not in (("table", "text/html"), ("figure", "image/svg+xml")):
            return []
        env = renderer.renderer.sphinx_env
        output = env.app.respine.collected.outputs.get(own.get("label"))
        here = (env.docname, data.cell_index)
        if output is None or (output.place.chapter, output.place.index) != here:
            return []
        return [output_node(output)]


def elements(node: Element) -> list[Element]:
    """The children of a node that are elements, not text."""
    return [child for child in node.children if isinstance(child, Element)]


def output_node(output: Output) -> Element:
    """The numbered node of a table or figure."""
    node = (OutputTable if output.kind == "table" else OutputFigure)(label=output.label)
    caption = OutputCaption("", "", nodes.Text(typographic(output.caption)))
    return _filled(node, output, caption)


def quote_node(output: Output, docname: str) -> Element:
    """A node showing a table or figure that stands elsewhere, without a number; its caption ends with a link to it."""
    node = OutputQuote(label=output.label, kind=output.kind)
    link = pending_xref(
        "",
        nodes.inline("", output.label),
        refdomain="std",
        reftype="numref",
        reftarget=output.label,
        refdoc=docname,
        refexplicit=False,
        refwarn=True,
    )
    caption = OutputCaption(
        "", "", nodes.Text(f"{typographic(output.caption)} It stands again as "), link, nodes.Text(".")
    )
    return _filled(node, output, caption)


def _filled(node: Element, output: Output, caption: OutputCaption) -> Element:
    body = OutputBody(label=output.label)
    node += [caption, body] if output.kind == "table" else [body, caption]
    if output.notes:
        notes = [nodes.paragraph("", typographic(note)) for note in output.notes]
        node += nodes.container("", *notes, classes=["output-notes"])
    node += OutputDownloads(label=output.label)
    return node


class PlaceOutputs(SphinxTransform):  # type: ignore[misc]
    """Gives cells their anchors, folds their code, and lifts tables and figures out of myst-nb's bundles."""

    # Before Sphinx gives numbered nodes ids of its own choice (210).
    default_priority = 200

    def apply(self, **kwargs: Any) -> None:
        """Work on one page."""
        anchors = self.env.respine_anchors.setdefault(self.env.docname, set())
        cells = self.env.app.respine.collected.cells.get(self.env.docname, ())
        for cell in list(self.document.findall(nodes.container)):
            if cell.get("nb_element") != "cell_code":
                continue
            if cell["cell_index"] < len(cells):
                anchor = f"cell-{cells[cell['cell_index']]}"
                cell["ids"].append(anchor)
                anchors.add(anchor)
            self._fold(cell)
            self._lift(cell)

    def _fold(self, cell: Element) -> None:
        tags = cell["cell_metadata"].get("tags", ())
        if "show-input" not in tags and "hide_mode" not in cell:
            cell["hide_mode"] = "input"
            cell["prompt_show"], cell["prompt_hide"] = self.config.nb_code_prompt_show, self.config.nb_code_prompt_hide
        if "parameters" in tags:
            # It stands beside the fold of the next cell; two folds of one name would look like a mistake.
            cell["prompt_show"], cell["prompt_hide"] = "Show the parameters", "Hide the parameters"

    def _lift(self, cell: Element) -> None:
        for bundle in [n for n in cell.findall(nodes.container) if n.get("nb_element") == "mime_bundle"]:
            found = [n for n in bundle.findall(Element) if isinstance(n, OutputTable | OutputFigure)]
            for node in found:
                node["names"].append(node["label"])
                node["ids"].append(node["label"])
                self.document.note_explicit_target(node)
            if found:
                bundle.replace_self(found)
        for output in elements(cell):
            if output.get("nb_element") == "cell_code_output" and not output.children:
                cell.remove(output)


class OutputDirective(SphinxDirective):  # type: ignore[misc]
    """Shows a figure or table of another chapter under its own number."""

    required_arguments = 1

    def run(self) -> list[Node]:
        """The quoting node, or a warning for an unknown label."""
        label = self.arguments[0].strip()
        book = self.env.app.respine
        book.note_use(self.env, "output", label)
        output = book.collected.outputs.get(label)
        if output is None:
            known = ", ".join(sorted(book.collected.outputs)) or "none yet"
            path, line = self.get_source_info()
            where = place_of_line(path, line)
            message = "output (%s): no table or figure %r; there are %s"
            logger.warning(message, where, label, known, location=(self.env.docname, line), type="respine")
            return []
        return [quote_node(output, self.env.docname)]


class LinkDownloads(SphinxTransform):  # type: ignore[misc]
    """Makes links to the files that a build adds: Markdown links whose address lies in ``downloads/`` of the book."""

    # Before MyST's own resolver, which would look for the file among the sources.
    default_priority = 210

    def apply(self, **kwargs: Any) -> None:
        """Work on one page."""
        folder = posixpath.dirname(self.env.docname)
        for link in list(self.document.findall(pending_xref)):
            target = posixpath.normpath(posixpath.join(folder, link.get("reftarget") or ""))
            if link.get("reftype") == "myst" and target.startswith(f"{DOWNLOADS}/"):
                content = [text for child in link.children for text in child.children]
                link.replace_self(DownloadLink("", "", *content, target=target))


def download_uri(builder: Any, name: str) -> str:
    """Address of a file for download, seen from the page being written."""
    return str(relative_uri(builder.get_target_uri(builder.current_docname), f"{DOWNLOADS}/{name}"))


def _visit_output(self: Any, node: Element) -> None:
    kind = "table" if isinstance(node, OutputTable) or node.get("kind") == "table" else "figure"
    self.body.append(self.starttag(node, "figure", CLASS=f"respine-output output-{kind}"))


def _depart_output(self: Any, node: Element) -> None:
    self.body.append("</figure>\n")


def _visit_caption(self: Any, node: Element) -> None:
    self.body.append("<figcaption>")
    parent = node.parent
    if not isinstance(parent, OutputQuote):
        figtype = self.builder.env.domains["std"].get_enumerable_node_type(parent)
        number = self.builder.fignumbers.get(figtype, {}).get(parent["ids"][0])
        if number is not None:
            name = self.config.numfig_format[figtype] % ".".join(map(str, number))
            self.body.append(f'<span class="caption-number">{escape(name)}.</span> ')
    self.body.append('<span class="caption-text">')


def _depart_caption(self: Any, node: Element) -> None:
    self.body.append("</span>")
    if not isinstance(node.parent, OutputQuote):
        self.add_permalink_ref(node.parent, "Link to this " + ("table" if _is_table(node.parent) else "figure"))
    self.body.append("</figcaption>\n")


def _is_table(node: Element) -> bool:
    return isinstance(node, OutputTable)


def _visit_body(self: Any, node: Element) -> None:
    output: Output = self.builder.app.respine.collected.outputs[node["label"]]
    # A drawing quoted on the page it stands on must not repeat its ids.
    prefix = f"quoted-{output.label}" if isinstance(node.parent, OutputQuote) else output.label
    if output.kind == "table":
        inside = screen_table(parse_table(output.content))
    else:
        inside = inline_svg(output.content, prefix, output.alt)
    # Wide content scrolls in its own box, which the keyboard must reach.
    name = escape(output.caption)
    self.body.append(f'<div class="output-body" tabindex="0" role="group" aria-label="{name}">\n{inside}</div>\n')
    raise nodes.SkipNode


def _visit_downloads(self: Any, node: Element) -> None:
    output: Output = self.builder.app.respine.collected.outputs[node["label"]]
    names = {"csv": "CSV"} if output.kind == "table" else {"svg": "SVG", "png": "PNG", "csv": "CSV of the data"}
    links = []
    for suffix, text in names.items():
        uri = download_uri(self.builder, f"{output.label}.{suffix}")
        links.append(f'<a href="{uri}" download aria-label="{text}: {escape(output.label)}">{text}</a>')
    self.body.append(f'<p class="output-downloads">{" ".join(links)}</p>\n')
    raise nodes.SkipNode


def _visit_download_link(self: Any, node: Element) -> None:
    if node["target"] == f"{DOWNLOADS}/respine.pdf" and not self.config.respine_pdf:
        # Jupyter Book alone makes no PDF: the words stay, the link would lead nowhere.
        self.body.append(escape(node.astext()))
        raise nodes.SkipNode
    uri = relative_uri(self.builder.get_target_uri(self.builder.current_docname), node["target"])
    self.body.append(self.starttag(node, "a", "", href=uri, CLASS="reference download internal"))


def _depart_download_link(self: Any, node: Element) -> None:
    self.body.append("</a>")


def setup_outputs(app: Sphinx) -> None:
    """Register nodes, the transform and the directives."""
    title = lambda node: next(node.findall(OutputCaption)).astext()  # noqa: E731
    app.add_enumerable_node(OutputTable, "table", title, html=(_visit_output, _depart_output))
    app.add_enumerable_node(OutputFigure, "figure", title, html=(_visit_output, _depart_output))
    app.add_node(OutputQuote, html=(_visit_output, _depart_output))
    app.add_node(OutputCaption, html=(_visit_caption, _depart_caption))
    app.add_node(OutputBody, html=(_visit_body, None))
    app.add_node(OutputDownloads, html=(_visit_downloads, None))
    app.add_node(DownloadLink, html=(_visit_download_link, _depart_download_link))
    app.add_transform(PlaceOutputs)
    app.add_transform(LinkDownloads)
    app.add_directive("output", OutputDirective)
