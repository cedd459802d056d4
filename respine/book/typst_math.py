"""Formulas for Typst, from the same MathML that the HTML book shows."""

from __future__ import annotations

from typing import Any

from respine.book.mathml import MathError, mathml

_ACCENTS = {
    "^": "hat", "\u0302": "hat", "ˆ": "hat", "~": "tilde", "˜": "tilde", "∼": "tilde", "¯": "macron", "‾": "overline",
    "―": "overline", "˙": "dot", ".": "dot", "¨": "dot.double", "→": "arrow", "⃗": "arrow", "ˇ": "caron", "˘": "breve",
}  # fmt: skip
_VARIANTS = {
    "normal": "upright", "bold": "bold", "italic": "italic", "double-struck": "bb", "script": "cal", "fraktur": "frak",
    "monospace": "mono", "sans-serif": "sans",
}  # fmt: skip
_OPENING, _CLOSING = "([{⟨⌊⌈|‖", ")]}⟩⌋⌉|‖"
# What has a meaning of its own in Typst's mathematics.
_ACTIVE = set("#$&_^/\\\"'`*~@<>=,;:()[]{}|!.-+")


def typst_math(latex: str, *, block: bool) -> str:
    """The formula as the content of a Typst equation.

    Raises
    ------
    MathError
        For a formula, or a piece of MathML, that cannot be converted.
    """
    return _row(mathml(latex, block=block), latex, top=block)


def _row(element: Any, latex: str, *, top: bool = False) -> str:
    children = list(element)
    while len(children) == 1 and children[0].tag in ("mrow", "mstyle"):
        children = list(children[0])
    if top and len(children) == 1 and children[0].tag == "mtable":
        # Lines of one display, aligned as in LaTeX.
        lines = [" & ".join(_row(cell, latex) for cell in row) for row in children[0]]
        return " \\\n".join(lines)
    if len(children) >= 2 and children[0].tag == "mo" and children[1].tag == "mtable":
        return _cases(children, latex)
    parts = [_convert(child, latex) for child in children]
    return " ".join(part for part in parts if part)


def _cases(children: list[Any], latex: str) -> str:
    opening = (children[0].text or "").strip()
    closing = (children[2].text or "").strip() if len(children) > 2 and children[2].tag == "mo" else ""
    rest = " ".join(
        _convert(child, latex) for child in children[3 if len(children) > 2 and children[2].tag == "mo" else 2 :]
    )
    rows = list(children[1])
    if opening == "{" and not closing:
        lines = ", ".join(" & ".join(_row(cell, latex) for cell in row) for row in rows)
        return f"cases({lines}) {rest}".strip()
    return f"lr({_symbol(opening)} {_matrix(rows, latex)} {_symbol(closing)}) {rest}".strip()


def _matrix(rows: list[Any], latex: str) -> str:
    return f"mat(delim: #none, {'; '.join(', '.join(_row(cell, latex) for cell in row) for row in rows)})"


def _convert(element: Any, latex: str) -> str:
    converter = _CONVERTERS.get(element.tag)
    if converter is None:
        raise MathError(f"the formula {latex.strip()!r} has <{element.tag}>, which the PDF cannot show")
    return str(converter(element, latex))


def _symbol(text: str) -> str:
    return "".join(f"\\{ch}" if ch in _ACTIVE else ch for ch in text)


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _identifier(element: Any, latex: str) -> str:
    text = (element.text or "").strip()
    if not text:
        return ""
    variant = _VARIANTS.get(element.get("mathvariant", ""))
    if len(text) > 1:
        # Names of functions stand upright and keep their distance.
        return f"{variant}({_quoted(text)})" if variant else f"op({_quoted(text)})"
    symbol = _symbol(text)
    return f"{variant}({symbol})" if variant else symbol


def _number(element: Any, latex: str) -> str:
    text = (element.text or "").strip()
    variant = _VARIANTS.get(element.get("mathvariant", ""))
    return f"{variant}({_quoted(text)})" if variant else _quoted(text)


def _operator(element: Any, latex: str) -> str:
    text = (element.text or "").strip()
    if len(text) > 1 and text.isascii() and text.isalpha():
        return f"op({_quoted(text)})"
    return {"-": "−", "~": "∼"}.get(text, _symbol(text))


def _text(element: Any, latex: str) -> str:
    text = element.text or ""
    return _quoted(text) if text else ""


def _space(element: Any, latex: str) -> str:
    width = element.get("width", "0em")
    return f"#h({width})" if width.endswith("em") else ""


def _group(element: Any, latex: str) -> str:
    children = list(element)
    inside = _row(element, latex)
    if len(children) >= 2 and children[0].tag == children[-1].tag == "mo":
        first, last = (children[0].text or "").strip(), (children[-1].text or "").strip()
        fenced = "true" in (children[0].get("fence"), children[0].get("stretchy")) or _is_binomial(children)
        if fenced and (first in _OPENING or last in _CLOSING):
            return f"lr({inside})"
    return inside


def _is_binomial(children: list[Any]) -> bool:
    return len(children) == 3 and children[1].tag == "mfrac" and children[1].get("linethickness", "").startswith("0")


def _attached(element: Any, latex: str, **places: int) -> str:
    children = list(element)
    base = _convert(children[0], latex) or '""'
    if element.tag.startswith(("munder", "mover")):
        base = f"limits({base})"
    marks = ", ".join(f"{place}: {_convert(children[k], latex)}" for place, k in places.items())
    return f"attach({base}, {marks})"


def _over(element: Any, latex: str) -> str:
    base, mark = list(element)
    accent = _ACCENTS.get((mark.text or "").strip()) if mark.tag == "mo" else None
    if accent == "overline":
        return f"overline({_convert(base, latex)})"
    return f"{accent}({_convert(base, latex)})" if accent else _attached(element, latex, t=1)


def _under(element: Any, latex: str) -> str:
    base, mark = list(element)
    if mark.tag == "mo" and (mark.text or "").strip() in ("_", "¯", "‾", "―"):
        return f"underline({_convert(base, latex)})"
    return _attached(element, latex, b=1)


def _fraction(element: Any, latex: str) -> str:
    above, below = (_convert(child, latex) or '""' for child in element)
    if element.get("linethickness", "").startswith("0"):
        return f"mat(delim: #none, {above}; {below})"
    return f"frac({above}, {below})"


_CONVERTERS: dict[str, Any] = {
    "mi": _identifier,
    "mn": _number,
    "mo": _operator,
    "mtext": _text,
    "mspace": _space,
    "mrow": _group,
    "mstyle": _group,
    "msub": lambda e, latex: _attached(e, latex, b=1),
    "msup": lambda e, latex: _attached(e, latex, t=1),
    "msubsup": lambda e, latex: _attached(e, latex, b=1, t=2),
    "munder": _under,
    "mover": _over,
    "munderover": lambda e, latex: _attached(e, latex, b=1, t=2),
    "mfrac": _fraction,
    "msqrt": lambda e, latex: f"sqrt({_row(e, latex)})",
    "mroot": lambda e, latex: f"root({_convert(e[1], latex)}, {_convert(e[0], latex)})",
    "mtable": lambda e, latex: _matrix(list(e), latex),
}
