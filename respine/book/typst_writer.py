"""Pages as Typst source: every node of a resolved doctree becomes a call of Typst, and an unknown node is an error.

All text stands in string literals, so nothing that data or prose say can be read as markup.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.nodes import Element, Node
from sphinx.errors import SphinxError

from respine.book.collect import Output
from respine.book.outputs import elements
from respine.book.svg import parse_svg, svg_width
from respine.book.tables import parse_table
from respine.book.typst_math import typst_math
from respine.book.typst_tables import TEXT_WIDTH, output_table, typst_table
from respine.book.typst_text import CONTROL, SPACES, label, printable, string, text

INTERNAL = "%"
"""What addresses of pages inside the report start with."""

_FIRST_SENTENCE = re.compile(r".+?(?=[.:;](?: |$))", re.DOTALL)


class UnknownNodeError(SphinxError):  # type: ignore[misc]
    """A node that the PDF writer does not know."""

    category = "PDF"


@dataclass(slots=True)
class Report:
    """What all pages share: outputs, their numbers, and the labels that some link leads to."""

    outputs: Mapping[str, Output]
    numbers: Mapping[str, str]
    wanted: frozenset[str]
    folder: Path
    drawings: dict[str, float] = field(default_factory=dict)
    """Width in points of each drawing written so far."""


def page_label(docname: str, id: str = "") -> str:
    """The label of a page, or of an id on it."""
    return f"{docname}#{id}"


class TypstWriter:
    """Writes one resolved page.

    Parameters
    ----------
    report
        What all pages share.
    docname
        The page.
    depth
        Level of the page's title in the report, 1 for a chapter.
    """

    def __init__(self, report: Report, docname: str, depth: int = 1) -> None:
        self.report = report
        self.docname = docname
        self.level = depth - 1
        self.footnotes: dict[str, Element] = {}

    def page(self, document: nodes.document) -> str:
        """The whole page; none of its figures floats beyond it."""
        self.footnotes = {id: node for node in document.findall(nodes.footnote) for id in node["ids"]}
        return f"{self.page_anchor()}{self.children(document)}\n#place.flush();\n"

    def page_anchor(self) -> str:
        """What a link to the page as a whole leads to."""
        return self._anchors([""])

    def children(self, node: Element, skip: Iterable[Node] = ()) -> str:
        """The children of a node, written one after the other."""
        skipped = list(skip)
        return "".join(self.write(child) for child in node.children if child not in skipped)

    def write(self, node: Node) -> str:
        """One node."""
        writer = _WRITERS.get(type(node).__name__)
        if writer is None:
            line = getattr(node, "line", None)
            raise UnknownNodeError(f"{self.docname}, line {line}: the PDF has no way to show <{type(node).__name__}>")
        return writer(self, node)

    def _content(self, node: Element, skip: Iterable[Node] = ()) -> str:
        return f"[{self.children(node, skip)}]"

    def _anchors(self, ids: Iterable[str]) -> str:
        names = [page_label(self.docname, id) for id in ids]
        return "".join(f"#metadata(none){label(name)}" for name in names if name in self.report.wanted)

    def _block(self, node: Element, code: str) -> str:
        return f"\n{self._anchors(node['ids'])}{code}\n"

    # Structure

    def _section(self, node: Element) -> str:
        self.level += 1
        body = self.children(node)
        self.level -= 1
        return body

    def _title(self, node: Element) -> str:
        if not isinstance(node.parent, nodes.section):
            return f"#strong{self._content(node)};\n\n"
        heading = f"#heading(level: {max(self.level, 1)}, {self._content(node)})"
        names = [page_label(self.docname, id) for id in node.parent["ids"]]
        wanted = [name for name in names if name in self.report.wanted]
        first = label(wanted[0]) if wanted else ";"
        rest = "".join(f"#metadata(none){label(name)}" for name in wanted[1:])
        return f"\n\n{heading}{first}{rest}\n\n"

    def _paragraph(self, node: Element) -> str:
        return f"\n{self._anchors(node['ids'])}{self.children(node)}\n"

    def _compound(self, node: Element) -> str:
        return self.children(node)

    def _text(self, node: nodes.Text) -> str:
        return text(node.astext())

    def _nothing(self, node: Element) -> str:
        # What guides a browser or a parser has no place on paper.
        return ""

    def _target(self, node: Element) -> str:
        return self._anchors(node["ids"]) + self.children(node)

    def _container(self, node: Element) -> str:
        if node.get("nb_element") == "cell_code_source":
            return ""
        if "output-notes" in node["classes"]:
            return ""
        return self._anchors(node["ids"]) + self.children(node)

    def _transition(self, node: Element) -> str:
        return "\n#align(center, line(length: 20%, stroke: 0.4pt));\n"

    def _rubric(self, node: Element) -> str:
        return self._block(node, f"#strong{self._content(node)};\n")

    def _topic(self, node: Element) -> str:
        return self._block(node, f"#respine-box(none, {self._content(node)});")

    # Inline

    def _emphasis(self, node: Element) -> str:
        return f"#emph{self._content(node)};"

    def _strong(self, node: Element) -> str:
        return f"#strong{self._content(node)};"

    def _literal(self, node: Element) -> str:
        return f"#raw({string(printable(CONTROL.sub('', node.astext())))});"

    def _inline(self, node: Element) -> str:
        return self._anchors(node["ids"]) + self.children(node)

    def _subscript(self, node: Element) -> str:
        return f"#sub{self._content(node)};"

    def _superscript(self, node: Element) -> str:
        return f"#super{self._content(node)};"

    def _reference(self, node: Element) -> str:
        target = self.target_of(node)
        inside = self.children(node)
        if target is None:
            return inside
        if target.startswith(("http://", "https://", "mailto:")):
            return f"#link({string(target)})[{inside}];"
        return f"#link(label({string(target)}))[{inside}];" if target in self.report.wanted else inside

    def target_of(self, node: Element) -> str | None:
        """Where a reference leads: an outside address, or a label of the report."""
        if "refid" in node:
            return page_label(self.docname, node["refid"])
        uri: str = node.get("refuri", "")
        if uri.startswith(INTERNAL):
            docname, _, id = uri.removeprefix(INTERNAL).partition("#")
            return page_label(docname, id)
        return uri or None

    def _footnote_reference(self, node: Element) -> str:
        note = self.footnotes[node["refid"]]
        body = self.children(note, [n for n in note.children if isinstance(n, nodes.label)])
        return f"#footnote[{body}];"

    def _math(self, node: Element) -> str:
        return self._equation(node, block=False)

    def _math_block(self, node: Element) -> str:
        names = [n for n in (page_label(self.docname, id) for id in node["ids"]) if n in self.report.wanted]
        return f"\n{self._equation(node, block=True).removesuffix(';')}{label(names[0]) if names else ';'}\n"

    def _equation(self, node: Element, *, block: bool) -> str:
        latex = node.astext()
        number = f'numbering: _ => "({node["number"]})", ' if block and node.get("number") else ""
        alt = string(SPACES.sub(" ", latex.strip()))
        kind = "true" if block else "false"
        return f"#math.equation(block: {kind}, {number}alt: {alt}, ${typst_math(latex, block=block)}$);"

    # Lists

    def _bullet_list(self, node: Element) -> str:
        return self._block(node, f"#list({self._items(node)});")

    def _enumerated_list(self, node: Element) -> str:
        start = f"start: {node['start']}, " if "start" in node else ""
        kind = {"loweralpha": "a", "upperalpha": "A", "lowerroman": "i", "upperroman": "I"}.get(
            node.get("enumtype", ""), "1"
        )
        return self._block(node, f'#enum({start}numbering: "{kind}.", {self._items(node)});')

    def _items(self, node: Element) -> str:
        tight = all(not isinstance(part, nodes.paragraph) for item in elements(node) for part in item.children[1:])
        items = ", ".join(f"[{self._anchors(item['ids'])}{self.children(item)}]" for item in elements(node))
        return f"tight: {'true' if tight else 'false'}, {items}"

    def _definition_list(self, node: Element) -> str:
        items = []
        for item in node.findall(nodes.definition_list_item):
            if item.parent is not node:
                continue
            terms = [n for n in item if isinstance(n, nodes.term)]
            definitions = [n for n in item if isinstance(n, nodes.definition)]
            term = "#linebreak();".join(self._anchors(n["ids"]) + self.children(n) for n in terms)
            items.append(f"terms.item([{term}], [{''.join(self.children(n) for n in definitions)}])")
        return self._block(node, f"#terms(tight: false, {', '.join(items)});")

    def _glossary(self, node: Element) -> str:
        return self.children(node)

    def _field_list(self, node: Element) -> str:
        items = []
        for item in elements(node):
            name, body = elements(item)
            items.append(f"terms.item({self._content(name)}, {self._content(body)})")
        return self._block(node, f"#terms({', '.join(items)});")

    def _line_block(self, node: Element) -> str:
        return self._block(node, "#linebreak();".join(self.children(line) for line in elements(node)))

    def _block_quote(self, node: Element) -> str:
        credit = next((n for n in node if isinstance(n, nodes.attribution)), None)
        attribution = f"attribution: {self._content(credit)}, " if credit is not None else ""
        return self._block(
            node, f"#quote(block: true, {attribution}{self._content(node, [credit] if credit else [])});"
        )

    def _literal_block(self, node: Element) -> str:
        code = _printable_lines(node.astext())
        return self._block(node, f"#raw(block: true, {string(code)});")

    # Boxes

    def _admonition(self, node: Element) -> str:
        title = next((n for n in node if isinstance(n, nodes.title)), None)
        name = self._content(title) if title is not None else "none"
        key = ", key: true" if "key-finding" in node["classes"] else ""
        return self._block(node, f"#respine-box({name}, {self._content(node, [title] if title else [])}{key});")

    def _named_admonition(self, node: Element) -> str:
        name = type(node).__name__.capitalize()
        return self._block(node, f"#respine-box([{text(name)}], {self._content(node)});")

    def _seealso(self, node: Element) -> str:
        return self._block(node, f"#respine-box([{text('See also')}], {self._content(node)});")

    def _versionmodified(self, node: Element) -> str:
        return self.children(node)

    # References

    def _citation(self, node: Element) -> str:
        name = next(n for n in node if isinstance(n, nodes.label))
        body = self.children(node, [name])
        return self._block(node, f"#respine-reference({self._content(name)}, [{body}]);")

    def _raw(self, node: Element) -> str:
        if node.get("format") == "typst":
            return node.astext()
        raise UnknownNodeError(
            f"{self.docname}: raw {node.get('format')} has no place in the PDF: {node.astext()[:60]!r}"
        )

    # Images of the prose

    def _image(self, node: Element) -> str:
        alt = node.get("alt", "")
        return f"\n#image({string(node['typst-file'])}, alt: {string(alt)});\n"

    def _figure(self, node: Element) -> str:
        caption = next((n for n in node if isinstance(n, nodes.caption)), None)
        number = self.report.numbers.get(page_label(self.docname, node["ids"][0])) if node["ids"] else None
        image = next(node.findall(nodes.image))
        shown = f"image({string(image['typst-file'])}, alt: {string(image.get('alt', ''))})"
        return self._numbered("image", number, self._content(caption) if caption is not None else "none", shown, node)

    def _numbered(self, kind: str, number: str | None, caption: str, shown: str, node: Element) -> str:
        first = "numbering: none, outlined: false" if number is None else f'numbering: _ => "{number}"'
        names = [n for n in (page_label(self.docname, id) for id in node["ids"]) if n in self.report.wanted]
        supplement = "[Table]" if kind == "table" else "[Figure]"
        options = f"kind: {kind}, supplement: {supplement}, {first}, caption: {caption}"
        call = f"#figure({options}, {shown}){label(names[0]) if names else ';'}"
        place = "respine-whole-or-divided" if kind == "table" else "respine-here-or-next-top"
        return f"\n#{place}[{call}];\n"

    # Tables and figures of the chapters

    def _output_table(self, node: Element) -> str:
        output = self.report.outputs[node["label"]]
        return self._output(node, output, self.report.numbers.get(page_label(self.docname, output.label)))

    def _output_quote(self, node: Element) -> str:
        return self._output(node, self.report.outputs[node["label"]], None)

    def _output(self, node: Element, output: Output, number: str | None) -> str:
        said = self._caption(next(n for n in node if isinstance(n, nodes.caption)))
        if output.kind == "table":
            shown = output_table(parse_table(output.content), output.notes)
            return self._numbered("table", number, said, shown, node)
        width = min(self._drawing(output), TEXT_WIDTH)
        file, alt = string(f"figures/{output.label}.svg"), string(_one_line(output.alt))
        shown = f"image({file}, width: {width:.1f}pt, alt: {alt})"
        return self._numbered("image", number, said, shown, node)

    def _caption(self, caption: Element) -> str:
        """A caption whose first sentence, or what stands before its first colon or semicolon, the lists show alone."""
        first = caption.children[0]
        match = _FIRST_SENTENCE.match(first.astext()) if isinstance(first, nodes.Text) else None
        if match is None:
            return self._content(caption)
        # Its full stop, or whatever parts the two, belongs to the rest.
        rest = text(first.astext()[match.end() :]) + "".join(self.write(child) for child in caption.children[1:])
        return f"[{text(match[0])}#respine-rest[{rest}];]"

    def _drawing(self, output: Output) -> float:
        if output.label not in self.report.drawings:
            from lxml import etree

            root = parse_svg(output.content)
            path = self.report.folder / "figures" / f"{output.label}.svg"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(etree.tostring(root))
            self.report.drawings[output.label] = svg_width(root)
        return self.report.drawings[output.label]

    # Tables of the prose

    def _table(self, node: Element) -> str:
        title = next((n for n in node if isinstance(n, nodes.title)), None)
        group = next(n for n in node if isinstance(n, nodes.tgroup))
        header = [elements(row) for part in group if isinstance(part, nodes.thead) for row in elements(part)]
        body = [elements(row) for part in group if isinstance(part, nodes.tbody) for row in elements(part)]
        rows = ", ".join(self._entry(entry) for row in header for entry in row)
        head = f"table.header(repeat: true, {rows}, table.hline(stroke: 0.5pt))" if rows else ""
        cells = ", ".join(self._entry(entry) for row in body for entry in row)
        aligns = ["right" if "text-right" in entry["classes"] else "left" for entry in (body or header)[0]]
        shown = typst_table(aligns, [head, cells])
        if title is None:
            return self._block(node, f"#{shown};")
        number = self.report.numbers.get(page_label(self.docname, node["ids"][0])) if node["ids"] else None
        return self._numbered("table", number, self._content(title), shown, node)

    def _entry(self, entry: Element) -> str:
        spans = [f"colspan: {entry['morecols'] + 1}"] if entry.get("morecols") else []
        spans += [f"rowspan: {entry['morerows'] + 1}"] if entry.get("morerows") else []
        content = self._content(entry)
        if isinstance(entry.parent.parent, nodes.thead):
            content = f"strong{content}"
        return f"table.cell({', '.join(spans)}, {content})" if spans else content


def _one_line(content: str) -> str:
    return SPACES.sub(" ", CONTROL.sub("", content)).strip()


def _printable_lines(content: str) -> str:
    return "\n".join(printable(CONTROL.sub("", line)) for line in content.expandtabs(4).splitlines())


_WRITERS: dict[str, Callable[[TypstWriter, Any], str]] = {
    "section": TypstWriter._section,
    "title": TypstWriter._title,
    "paragraph": TypstWriter._paragraph,
    "compound": TypstWriter._compound,
    "Text": TypstWriter._text,
    "target": TypstWriter._target,
    "container": TypstWriter._container,
    "transition": TypstWriter._transition,
    "rubric": TypstWriter._rubric,
    "topic": TypstWriter._topic,
    "emphasis": TypstWriter._emphasis,
    "strong": TypstWriter._strong,
    "literal": TypstWriter._literal,
    "inline": TypstWriter._inline,
    "subscript": TypstWriter._subscript,
    "superscript": TypstWriter._superscript,
    "reference": TypstWriter._reference,
    "footnote_reference": TypstWriter._footnote_reference,
    "math": TypstWriter._math,
    "math_block": TypstWriter._math_block,
    "bullet_list": TypstWriter._bullet_list,
    "enumerated_list": TypstWriter._enumerated_list,
    "definition_list": TypstWriter._definition_list,
    "glossary": TypstWriter._glossary,
    "field_list": TypstWriter._field_list,
    "line_block": TypstWriter._line_block,
    "block_quote": TypstWriter._block_quote,
    "literal_block": TypstWriter._literal_block,
    "admonition": TypstWriter._admonition,
    "seealso": TypstWriter._seealso,
    "versionmodified": TypstWriter._versionmodified,
    "citation": TypstWriter._citation,
    "raw": TypstWriter._raw,
    "image": TypstWriter._image,
    "figure": TypstWriter._figure,
    "OutputTable": TypstWriter._output_table,
    "OutputQuote": TypstWriter._output_quote,
    "table": TypstWriter._table,
    "compact_paragraph": TypstWriter._paragraph,
    "toctree": TypstWriter._nothing,
    "comment": TypstWriter._nothing,
    "index": TypstWriter._nothing,
    "substitution_definition": TypstWriter._nothing,
    "meta": TypstWriter._nothing,
    "footnote": TypstWriter._nothing,
    "tabular_col_spec": TypstWriter._nothing,
    "colspec": TypstWriter._nothing,
    "OutputDownloads": TypstWriter._nothing,
    "HideCodeCellNode": TypstWriter._nothing,
    "sidebar": TypstWriter._topic,
    "title_reference": TypstWriter._emphasis,
    "literal_emphasis": TypstWriter._emphasis,
    "abbreviation": TypstWriter._inline,
    "DownloadLink": TypstWriter._inline,
    "number_reference": TypstWriter._reference,
    "note": TypstWriter._named_admonition,
    "tip": TypstWriter._named_admonition,
    "hint": TypstWriter._named_admonition,
    "important": TypstWriter._named_admonition,
    "warning": TypstWriter._named_admonition,
    "caution": TypstWriter._named_admonition,
    "attention": TypstWriter._named_admonition,
    "danger": TypstWriter._named_admonition,
    "error": TypstWriter._named_admonition,
    "OutputFigure": TypstWriter._output_table,
}
