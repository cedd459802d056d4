"""Free text from data made inert: for CSV files that a spreadsheet opens, and for terminals and logs."""

from __future__ import annotations

import re
import unicodedata

_FORMULA_START = ("=", "+", "-", "@", "\t", "\r")
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")


def csv_text(value: object) -> str:
    """Text for one CSV cell: what a spreadsheet would run as a formula gets a leading apostrophe.

    >>> csv_text("=cmd|' /C calc'!A0")
    "'=cmd|' /C calc'!A0"
    >>> csv_text("-1.5")
    '-1.5'
    """
    text = str(value)
    if text.startswith(_FORMULA_START) and not _NUMBER.fullmatch(text):
        return "'" + text
    return text


_INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode()


def visible(value: object, width: int | None = None) -> str:
    """Text for a terminal or log: control, bidirectional and other invisible characters escaped, cut to ``width``.

    >>> visible("a\\x1b[31mb")
    'a\\\\x1b[31mb'
    """
    escaped = str(value)
    # What is printable holds none of these characters; hundreds of thousands of findings are shown.
    if not escaped.isprintable():
        escaped = "".join(_escaped(ch) if unicodedata.category(ch) in _INVISIBLE else ch for ch in escaped)
    if width is not None and len(escaped) > width:
        return escaped[: width - 1] + "…"
    return escaped
