"""Figures for a page: SVG made inert, unique in its ids and coloured by the theme."""

from __future__ import annotations

import re
from typing import Any

from lxml import etree

_SVG = "{http://www.w3.org/2000/svg}"
_HREF = "{http://www.w3.org/1999/xlink}href"
_INK = re.compile(r"(?<![\w#-])(#000000|#000|#262626|black)(?![\w-])", re.IGNORECASE)
_GROUND = re.compile(r"(?<![\w#-])(#ffffff|#fff|white)(?![\w-])", re.IGNORECASE)
# The arms' colours and the grey of secondary marks become variables so that the dark theme can lighten them.
_NAMED = {
    "#0072b2": "var(--respine-treatment)",
    "#d55e00": "var(--respine-control)",
    "#767676": "var(--respine-grey)",
}
_COLOUR = re.compile("|".join(_NAMED), re.IGNORECASE)
_URL = re.compile(r"url\(\s*['\"]?#([^)'\"]+)['\"]?\s*\)")
_DRAWING = {
    "svg", "g", "defs", "path", "use", "clipPath", "rect", "circle", "ellipse", "line", "polyline", "polygon", "text",
    "tspan", "title", "desc", "linearGradient", "radialGradient", "stop", "pattern", "mask", "symbol", "marker",
    "image",
}  # fmt: skip
_LENGTH = re.compile(r"([\d.]+)\s*(pt|px|in|mm|cm)?")
_POINTS = {"pt": 1.0, "px": 0.75, "": 0.75, "in": 72.0, "mm": 72 / 25.4, "cm": 72 / 2.54}


class SvgError(ValueError):
    """Something that is no drawing."""


def parse_svg(text: str) -> Any:
    """The drawing as an element tree: no scripts, no foreign content, nothing that leads out of the document."""
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, remove_comments=True)
    try:
        root = etree.fromstring(text.encode(), parser)
    except etree.XMLSyntaxError as error:
        raise SvgError(f"not SVG: {error}") from None
    if root.tag != f"{_SVG}svg":
        raise SvgError(f"not SVG: the root is <{root.tag}>")
    for element in list(root.iter()):
        name = element.tag.removeprefix(_SVG) if isinstance(element.tag, str) else ""
        if name not in _DRAWING and element.getparent() is not None:
            parent, tail = element.getparent(), element.tail
            parent.remove(element)
            if tail and tail.strip():
                parent.text = (parent.text or "") + tail
            continue
        for key, value in list(element.attrib.items()):
            leads_out = key in (_HREF, "href") and not value.startswith(("#", "data:image/"))
            if key.lower().startswith("on") or leads_out:
                del element.attrib[key]
    return root


def svg_width(root: Any) -> float:
    """Natural width in points."""
    match = _LENGTH.fullmatch(root.get("width", "").strip())
    if match:
        return float(match[1]) * _POINTS[match[2] or ""]
    box = root.get("viewBox", "").split()
    if len(box) == 4:
        return float(box[2]) * _POINTS["px"]
    raise SvgError("a drawing without width or viewBox")


def inline_svg(text: str, label: str, alt: str) -> str:
    """The drawing for an HTML page: ids prefixed by ``label``, black in the text's colour, white in the page's."""
    root = parse_svg(text)
    width = svg_width(root)
    for element in root.iter():
        _prefix_ids(element, label)
        if style := element.get("style"):
            element.set("style", _themed(style))
        for key in ("fill", "stroke"):
            if (value := element.get(key)) and _INK.fullmatch(value):
                element.set(key, "currentColor")
    if root.get("viewBox") is None:
        root.set("viewBox", f"0 0 {root.get('width')} {root.get('height')}")
    for key in ("width", "height", "version"):
        root.attrib.pop(key, None)
    # What matplotlib says in a style sheet for the whole page belongs to this drawing alone.
    for key, value in {"fill": "currentColor", "stroke-linejoin": "round", "stroke-linecap": "butt"}.items():
        root.set(key, value)
    root.set("role", "img")
    root.set("aria-label", alt)
    # Drawings are as wide as the PDF's text; the page's column is a little wider.
    root.set("style", f"width: {1.12 * width / _POINTS['px']:.0f}px")
    markup: str = etree.tostring(root, encoding="unicode")
    # In HTML the namespaces are known; without them no address stands in the page.
    return re.sub(r'\sxmlns(:\w+)?="[^"]*"', "", markup).replace("xlink:href=", "href=")


def _prefix_ids(element: Any, label: str) -> None:
    for key, value in element.attrib.items():
        if key == "id":
            element.set(key, f"{label}-{value}")
        elif key in (_HREF, "href") and value.startswith("#"):
            element.set(key, f"#{label}-{value[1:]}")
        elif "url(" in value:
            element.set(key, _URL.sub(rf"url(#{label}-\1)", value))


def _themed(style: str) -> str:
    style = _GROUND.sub("var(--respine-ground)", _INK.sub("currentColor", style))
    return _COLOUR.sub(lambda match: _NAMED[match[0].lower()], style)


def plain_svg(text: str) -> str:
    """The drawing as a file: inert, otherwise unchanged."""
    return str(etree.tostring(parse_svg(text), encoding="unicode"))
