"""Pages as Typst source: every node of a resolved doctree becomes a call of Typst, and an unknown node is an error.

All text stands in string literals, so nothing that data or prose say can be read as markup.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.nodes import Element, Node
from sphinx.errors import SphinxError

from respine.book.collect import Output
from respine.book.outputs import elements
from respine.book.svg import parse_svg, svg_width
from respine.book.tables import Cell, Group, Run, Table, parse_table
from respine.book.typst_math import typst_math

TEXT_WIDTH = 465.0
"""Width of the text column in points, as the template sets it."""
SHORT_TABLE = 15
"""Tables of up to so many rows are not divided between pages."""
INTERNAL = "%"
"""What addresses of pages inside the report start with."""

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff\ufffe\uffff]")
_SPACES = re.compile(r"[ \t\n]+")
_COMMON = re.compile(r"[\x20-\x7e\xa0-\u017f\u0391-\u03c9\u2007\u2010-\u2015\u2018-\u201e\u2020-\u2022\u2026\u2212]*")


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


def string(text: str) -> str:
    """A Typst string literal.

    >>> print(string('#set "x" \\\\'))
    "#set \\"x\\" \\\\"
    """
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def text(content: str) -> str:
    """Text as Typst markup that no content can break out of."""
    clean = _SPACES.sub(" ", _CONTROL.sub("", content))
    return f"#{string(_printable(clean))};" if clean else ""


def label(name: str) -> str:
    """A Typst label attached to what stands before it."""
    return f"#label({string(name)});"


def page_label(docname: str, id: str = "") -> str:
    """The label of a page, or of an id on it."""
    return f"{docname}#{id}"


def _printable(content: str) -> str:
    # A character that no font has would be a missing glyph; its code says what stood there.
    if _COMMON.fullmatch(content):
        return content
    covered = _covered()
    return "".join(ch if _COMMON.fullmatch(ch) or ord(ch) in covered else f"[U+{ord(ch):04X}]" for ch in content)


@cache
def _covered() -> frozenset[int]:
    import font_source_serif_pro
    from fontTools.ttLib import TTFont  # type: ignore[import-untyped]

    folder = Path(font_source_serif_pro.__file__).parent / "files"
    return frozenset(TTFont(folder / "SourceSerifPro-Regular.otf", lazy=True).getBestCmap())


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
        self.deferred: list[str] = []

    def page(self, document: nodes.document) -> str:
        """The whole page; wide tables come last, on turned pages."""
        self.footnotes = {id: node for node in document.findall(nodes.footnote) for id in node["ids"]}
        return self.page_anchor() + self.children(document) + self.turned_pages()

    def turned_pages(self) -> str:
        """The page's wide tables, on pages turned for them."""
        return f"\n#page(flipped: true)[{''.join(self.deferred)}];\n" if self.deferred else ""

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
        return f"#raw({string(_printable(_CONTROL.sub('', node.astext())))});"

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
        alt = string(_SPACES.sub(" ", latex.strip()))
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
        # A figure moves to the top or bottom of a page rather than leave the rest of one empty.
        placement = "auto" if kind == "image" and number is not None else "none"
        options = f"kind: {kind}, supplement: {supplement}, {first}, placement: {placement}, caption: {caption}"
        call = f"#figure({options}, {shown})"
        return f"\n{call}{label(names[0]) if names else ';'}\n"

    # Tables and figures of the chapters

    def _output_table(self, node: Element) -> str:
        output = self.report.outputs[node["label"]]
        return self._output(node, output, self.report.numbers.get(page_label(self.docname, output.label)))

    def _output_quote(self, node: Element) -> str:
        return self._output(node, self.report.outputs[node["label"]], None)

    def _output(self, node: Element, output: Output, number: str | None) -> str:
        caption = next(n for n in node if isinstance(n, nodes.caption))
        notes = ", ".join(f"[{text(note)}]" for note in output.notes)
        if output.kind == "table":
            table = parse_table(output.content)
            shown = f"respine-noted({output_table(table)}, ({notes}{',' if notes else ''}))"
            code = self._numbered("table", number, self._content(caption), shown, node)
            if sum(len(group.rows) for group in table.groups) <= SHORT_TABLE:
                code = f"\n#block(breakable: false, width: 100%)[{code}];\n"
            if output.wide:
                self.deferred.append(code)
                return ""
            return code
        width = min(self._drawing(output), TEXT_WIDTH)
        file, alt = string(f"figures/{output.label}.svg"), string(_one_line(output.alt))
        shown = f"image({file}, width: {width:.1f}pt, alt: {alt})"
        if notes:
            shown = f"respine-noted({shown}, ({notes},))"
        return self._numbered("image", number, self._content(caption), shown, node)

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
        rows = [[self._entry(entry) for entry in row] for row in header]
        head = (
            f"table.header(repeat: true, {', '.join(c for row in rows for c in row)}, table.hline(stroke: 0.5pt)), "
            if rows
            else ""
        )
        cells = ", ".join(self._entry(entry) for row in body for entry in row)
        first = (body or header)[0]
        aligns = ", ".join("right" if "text-right" in entry["classes"] else "left" for entry in first)
        widths = ", ".join(_widths([max((len(r[i].astext()) for r in body), default=1) for i in range(len(first))]))
        shown = f"respine-table({_gutter(len(first))}, columns: ({widths},), align: ({aligns},), {head}{cells})"
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
    return _SPACES.sub(" ", _CONTROL.sub("", content)).strip()


def _printable_lines(content: str) -> str:
    return "\n".join(_printable(_CONTROL.sub("", line)) for line in content.expandtabs(4).splitlines())


def output_table(table: Table) -> str:
    """A chapter's table as a call of the template: header and group headings repeat on every page."""
    lengths = [0] * table.columns
    for group in table.groups:
        for row in group.rows:
            for i, cell in enumerate(row[: table.columns]):
                lengths[i] = max(lengths[i], len(cell.text))
    aligns = [cell.align for cell in table.groups[0].rows[0]] if table.groups else ["left"]
    widths = _widths(lengths, numeric=[align != "left" for align in aligns])
    parts = [
        _gutter(table.columns),
        f"columns: ({', '.join(widths)},)",
        f"align: ({', '.join(aligns)},)",
        _header(table),
    ]
    parts += [_group(group, table.columns) for group in table.groups]
    parts += [f"table.cell(colspan: {table.columns}, {_runs(note.runs)})" for note in table.footnotes]
    return f"respine-table({', '.join(part for part in parts if part)})"


def _gutter(columns: int) -> str:
    return f"gutter: {16 if columns <= 5 else 8}pt"


def _header(table: Table) -> str:
    if not table.header:
        return ""
    rows = [_cell(cell, strong=True, spanner=cell.colspan > 1) for row in table.header for cell in row]
    return f"table.header(repeat: true, {', '.join(rows)}, table.hline(stroke: 0.5pt))"


def _group(group: Group, columns: int) -> str:
    rows = ", ".join(_cell(cell) for row in group.rows for cell in row)
    if group.heading is None:
        return rows
    heading = f"table.cell(colspan: {columns}, align: left, inset: (top: 6pt), strong({_runs(group.heading.runs)}))"
    return f"table.header(level: 2, repeat: true, {heading}), {rows}"


def _cell(cell: Cell, *, strong: bool = False, spanner: bool = False) -> str:
    content = _runs(cell.runs)
    if cell.indent:
        content = f"pad(left: {cell.indent}em, {content})"
    if strong:
        content = f"strong({content})"
    options = [f"colspan: {cell.colspan}"] if cell.colspan > 1 else []
    options += [f"rowspan: {cell.rowspan}"] if cell.rowspan > 1 else []
    if strong:
        options.append(f"align: {'center' if spanner else cell.align} + bottom")
    if spanner:
        options.append("stroke: (bottom: 0.3pt)")
    return f"table.cell({', '.join(options)}, {content})" if options else content


def _runs(runs: tuple[Run, ...]) -> str:
    parts = []
    for run in runs:
        if run.text == "\n":
            parts.append("#linebreak();")
            continue
        inside = text(run.text)
        name = {"em": "emph", "strong": "strong", "sup": "super", "sub": "sub", "": ""}[run.style]
        parts.append(f"#{name}[{inside}];" if name else inside)
    return f"[{''.join(parts)}]"


def _widths(lengths: list[int], numeric: list[bool] | None = None) -> list[str]:
    """Numbers take what they need; the first column and long texts share the rest by their length."""
    widths = []
    for i, length in enumerate(lengths):
        is_number = numeric[i] if numeric is not None and i < len(numeric) else length <= 12
        free = i == 0 or (not is_number and length > 18)
        widths.append(f"{min(max(length, 12), 40)}fr" if free else "auto")
    return widths


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
