"""The HTML book: style sheet, fonts, mathematics, the notice, and the files for download."""

from __future__ import annotations

import shutil
from html import escape
from pathlib import Path
from typing import Any

import font_source_sans_pro
import font_source_serif_pro
from docutils import nodes
from docutils.nodes import Element
from myst_nb.sphinx_ import HideCodeCellNode
from sphinx.application import Sphinx

from respine.book.mathml import visit_block, visit_inline
from respine.book.outputs import DOWNLOADS
from respine.book.pdf import png_images
from respine.book.svg import plain_svg

STATIC = Path(__file__).parent / "static"
FONTS = {
    font_source_serif_pro: ("SourceSerifPro-Regular", "SourceSerifPro-It", "SourceSerifPro-Semibold"),
    font_source_sans_pro: ("SourceSansPro-Regular", "SourceSansPro-It", "SourceSansPro-Semibold"),
}
"""The weights that the style sheet names; nothing more is copied."""


def _copy_static(app: Sphinx) -> None:
    """Put style sheet, script and fonts in place before the first page names their checksums."""
    if app.builder.format != "html":
        return
    target = Path(app.outdir) / "_static"
    (target / "fonts").mkdir(parents=True, exist_ok=True)
    for name in ("respine.css", "respine.js"):
        shutil.copyfile(STATIC / name, target / name)
    for package, names in FONTS.items():
        for name in names:
            source = Path(package.__file__).parent / "files" / f"{name}.otf"
            shutil.copyfile(source, target / "fonts" / source.name)


def _page_context(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Say on every page that data are synthetic, if they are, and where to read what changed, if that is known."""
    notice = app.respine.notice
    context["theme_announcement"] = escape(notice)
    changes = app.config.respine_changes
    if changes:
        link = (
            f'<p><a href="{escape(context["pathto"](changes, resource=1))}">Changes since the previous version</a></p>'
        )
        context["theme_extra_footer"] = link + context.get("theme_extra_footer", "")


def _write_downloads(app: Sphinx, exception: Exception | None) -> None:
    """Write the files that pages link to."""
    if exception is not None or app.builder.format != "html":
        return
    collected = app.respine.collected
    folder = Path(app.outdir) / DOWNLOADS
    folder.mkdir(exist_ok=True)
    collected.write_csv(folder / "results.csv")
    drawings: dict[str, str] = {}
    for label, output in collected.outputs.items():
        # A byte-order mark tells spreadsheets that the text is UTF-8.
        (folder / f"{label}.csv").write_text("\ufeff" + output.csv, encoding="utf-8", newline="")
        if output.kind == "figure":
            drawings[label] = plain_svg(output.content)
            (folder / f"{label}.svg").write_text(drawings[label], encoding="utf-8", newline="")
    for label, png in png_images(drawings).items():
        (folder / f"{label}.png").write_bytes(png)


def _visit_fold(self: Any, node: Element) -> None:
    # myst-nb names every fold "Toggle hidden content"; what it says is its name.
    shown, hidden = escape(node["prompt_show"]), escape(node["prompt_hide"])
    self.body.append(
        f'<details class="admonition hide {escape(" ".join(node["classes"]))}">\n<summary>\n'
        f'<p class="collapsed admonition-title">{shown}</p>\n<p class="expanded admonition-title">{hidden}</p>\n'
        "</summary>\n"
    )


def _depart_fold(self: Any, node: Element) -> None:
    self.body.append("</details>\n")


def _visit_citation(self: Any, node: Element) -> None:
    # docutils' role for an entry of a bibliography is deprecated and not allowed here.
    if not isinstance(node.previous_sibling(), nodes.citation):
        self.body.append('<div role="list" class="citation-list">\n')
    self.body.append(self.starttag(node, "div", CLASS="citation", role="listitem"))


def _depart_citation(self: Any, node: Element) -> None:
    self.body.append("</div>\n")
    if not isinstance(node.next_node(descend=False, siblings=True), nodes.citation):
        self.body.append("</div>\n")


def setup_html(app: Sphinx) -> None:
    """Register the HTML side."""
    app.add_html_math_renderer("respine", (visit_inline, None), (visit_block, None))
    app.add_node(HideCodeCellNode, override=True, html=(_visit_fold, _depart_fold))
    app.add_node(nodes.citation, override=True, html=(_visit_citation, _depart_citation))
    app.add_css_file("respine.css", priority=900)
    app.add_js_file("respine.js", loading_method="defer")
    app.connect("builder-inited", _copy_static)
    app.connect("html-page-context", _page_context)
    app.connect("build-finished", _write_downloads)
