"""Free text from data made inert: for CSV files that a spreadsheet opens, and for terminals and logs."""

from __future__ import annotations

import re
import unicodedata

_FORMULA_START = ("=", "+", "-", "@", "\t", "\r")
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
# Marks that turn the direction of what follows them, beyond the cell or line they stand in.
_DIRECTION = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode()


def csv_text(value: object) -> str:
    """Text for one CSV cell: what a spreadsheet would run as a formula gets a leading apostrophe; no direction marks.

    >>> csv_text("=cmd|' /C calc'!A0")
    "'=cmd|' /C calc'!A0"
    >>> csv_text("-1.5")
    '-1.5'
    >>> csv_text("\u202egnp.exe")
    '\\u202egnp.exe'
    """
    text = _DIRECTION.sub(lambda mark: _escaped(mark[0]), str(value))
    if text.startswith(_FORMULA_START) and not _NUMBER.fullmatch(text):
        return "'" + text
    return text


_INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


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
