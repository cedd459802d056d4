"""Statements in print: sentences that name results, with the numbers put in."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from respine.display.numbers import format_result
from respine.results import Result

# Ids have a dot; other braces are text.
# A doubled brace is a brace: text from the data is written so, and names no result.
_REFERENCE = re.compile(r"(\{\{|\}\}|\{[a-z0-9_]+(?:\.[a-z0-9_]+)+(?:\|[a-z_]+)?\})")


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of printed text, and the id of the result it prints, if it prints one."""

    text: str
    result: str = ""


def statement_pieces(text: str, results: Mapping[str, Result]) -> Iterator[Piece]:
    """The pieces of a statement's ``text``.

    Raises
    ------
    LookupError, ValueError
        For an id or part that does not exist.
    """
    # Even pieces are plain text, odd ones doubled braces or references.
    for i, piece in enumerate(_REFERENCE.split(text)):
        if i % 2 and len(piece) > 2:
            name, _, part = piece[1:-1].partition("|")
            yield Piece(format_result(results[name], part or "value"), name)
        elif piece:
            yield Piece(piece[0] if i % 2 else piece)


def statement_text(text: str, results: Mapping[str, Result]) -> str:
    """A statement as a reader sees it; as it is stored where it names a result that is not there."""
    try:
        return "".join(piece.text for piece in statement_pieces(text, results))
    except (LookupError, ValueError):
        return text
