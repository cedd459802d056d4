"""Mathematics as MathML, made when the book is built: browsers draw it themselves, nothing is fetched or run."""

from __future__ import annotations

import re
from typing import Any

import latex2mathml.converter
from docutils import nodes
from lxml import etree
from sphinx.errors import ExtensionError

# latex2mathml knows the alignment of split alone; these are the same without equation numbers.
_ALIGNED = re.compile(r"\\(begin|end)\{(?:aligned|align\*?)\}")
_ACCENTS = {"^": "ˆ", "~": "˜", "¯": "¯", "˙": "˙", "¨": "¨"}
_NAMESPACE = "{http://www.w3.org/1998/Math/MathML}"


class MathError(ExtensionError):  # type: ignore[misc]
    """A formula that cannot be converted."""


def mathml(latex: str, *, block: bool) -> Any:
    """The formula as a MathML element tree without namespaces."""
    try:
        source = _ALIGNED.sub(r"\\\1{split}", latex.strip())
        text = latex2mathml.converter.convert(source, display="block" if block else "inline")
        root = etree.fromstring(text)
    except Exception as error:
        # latex2mathml has no common error class; whatever it says, the formula is named.
        raise MathError(f"the formula {latex.strip()!r} cannot be converted: {type(error).__name__} {error}") from error
    for element in root.iter():
        element.tag = element.tag.removeprefix(_NAMESPACE)
        if element.text and "\\" in element.text and element.tag != "mtext":
            raise MathError(f"the formula {latex.strip()!r} has the unknown command {element.text!r}")
        if element.tag == "mover" and element[1].text in _ACCENTS:
            # Without the attribute a browser sets the mark as high as a limit.
            element.set("accent", "true")
            element[1].text = _ACCENTS[element[1].text]
    etree.cleanup_namespaces(root)
    return root


def mathml_html(latex: str, *, block: bool) -> str:
    """The formula for an HTML page; its LaTeX is what a screen reader without MathML reads."""
    root = mathml(latex, block=block)
    root.set("alttext", re.sub(r"\s+", " ", latex.strip()))
    return str(etree.tostring(root, encoding="unicode")).replace(' xmlns="http://www.w3.org/1998/Math/MathML"', "")


def visit_inline(self: Any, node: nodes.math) -> None:
    """Write an inline formula."""
    self.body.append(mathml_html(node.astext(), block=False))
    raise nodes.SkipNode


def visit_block(self: Any, node: nodes.math_block) -> None:
    """Write a displayed formula with its number, if it has one."""
    ids = "".join(f'<span id="{id}"></span>' for id in node["ids"])
    number = f'<span class="eqno">({node["number"]})</span>' if node.get("number") else ""
    self.body.append(f'<div class="respine-math">{ids}{mathml_html(node.astext(), block=True)}{number}</div>\n')
    raise nodes.SkipNode
