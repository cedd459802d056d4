"""Text as Typst source: string literals that nothing in data or prose can break out of."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff\ufffe\uffff]")
SPACES = re.compile(r"[ \t\n]+")
LONGEST_WORD = 30
_LONG_WORD = re.compile(rf"\S{{{LONGEST_WORD + 1},}}")
_TEN = re.compile(r"\S{10}(?=\S)")
_COMMON = re.compile(r"[\x20-\x7e\xa0-\u017f\u0391-\u03c9\u2007\u2010-\u2015\u2018-\u201e\u2020-\u2022\u2026\u2212]*")


def string(text: str) -> str:
    """A Typst string literal.

    >>> print(string('#set "x" \\\\'))
    "#set \\"x\\" \\\\"
    """
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def text(content: str) -> str:
    """Text as Typst markup that no content can break out of."""
    clean = SPACES.sub(" ", CONTROL.sub("", content))
    return f"#{string(printable(clean))};" if clean else ""


def breakable(content: str) -> str:
    """As :func:`text`; a word longer than any column of words may break in itself, since it would run into the next."""
    clean = printable(CONTROL.sub("", content))
    cut = _LONG_WORD.sub(lambda word: _TEN.sub("\\g<0>\0", word[0]), clean)
    return "#sym.zws;".join(text(part) for part in cut.split("\0"))


def label(name: str) -> str:
    """A Typst label attached to what stands before it."""
    return f"#label({string(name)});"


def printable(content: str) -> str:
    """Text without a missing glyph: where the fonts lack a character, its code says what stood there."""
    if _COMMON.fullmatch(content):
        return content
    covered = _covered()
    return "".join(ch if _COMMON.fullmatch(ch) or ord(ch) in covered else f"[U+{ord(ch):04X}]" for ch in content)


@cache
def _covered() -> frozenset[int]:
    import font_source_serif_pro
    from fontTools.ttLib import TTFont  # type: ignore[import-untyped]

    folder = Path(font_source_serif_pro.__file__).parent / "files"
    with TTFont(folder / "SourceSerifPro-Regular.otf", lazy=True) as font:
        return frozenset(font.getBestCmap())
