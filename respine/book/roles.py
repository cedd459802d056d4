"""Roles for prose: ``result``, ``statement``, ``study`` and ``published`` print what was computed, and link to it."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.nodes import Node, system_message
from sphinx.addnodes import pending_xref
from sphinx.util import logging
from sphinx.util.docutils import SphinxRole

from respine.book.collect import Collected
from respine.book.statements import Piece, statement_pieces
from respine.display.numbers import NBSP, format_level, format_number, format_p, format_result
from respine.display.wording import listed
from respine.results import Result

logger = logging.getLogger(__name__)

XREF = "respine-result"
"""``reftype`` of the link from a printed result to the cell that made it."""
# myst-nb numbers the lines of cell k of a notebook from 10000 k.
_CELL_LINES = 10_000
_APOSTROPHE = re.compile(r"(?<=\w)'(?=s\b)|(?<=s)'(?= \w)")


class UnknownNameError(LookupError):
    """A role names something that the book does not have."""


@dataclass(frozen=True, slots=True)
class Source:
    """What the roles print from."""

    collected: Collected
    published: Mapping[str, Mapping[str, str]]


def read_published(path: Path) -> dict[str, dict[str, str]]:
    """Rows of the published results by id; empty where there is no such file."""
    if not path.is_file():
        return {}
    with path.open(encoding="utf-8", newline="") as stream:
        return {row["id"]: row for row in csv.DictReader(stream)}


def pieces(source: Source, role: str, text: str) -> list[Piece]:
    """What ``role`` prints for ``text``.

    Raises
    ------
    UnknownNameError
        For an id, part, name or row that does not exist.
    """
    name, _, part = text.partition("|")
    name, part = name.strip(), part.strip()
    try:
        if role == "result":
            return [Piece(format_result(source.collected.results[name], part or "value"), name)]
        if role == "statement":
            return list(_statement(source.collected, name))
        if role == "study":
            return [Piece(_study(source.collected, name, part))]
        return [Piece(_published(source.published, name, part))]
    except (LookupError, ValueError) as error:
        raise UnknownNameError(str(error)) from None


def _statement(collected: Collected, id: str) -> Iterator[Piece]:
    result: Result = collected.results[id]
    if not result.text:
        raise UnknownNameError(f"{id!r} is a number, not a statement: use the result role")
    return statement_pieces(result.text, collected.results)


def _study(collected: Collected, name: str, part: str) -> str:
    study = collected.study
    if study is None:
        raise UnknownNameError("no chapter has been executed: there is no study yet")
    if name == "level" and "alpha" in study.parameters:
        return format_level(1 - study.parameters["alpha"])
    # Arm labels may be parameters too; what the data set resolved them to comes first.
    for values in (study.info, study.parameters):
        if name in values and values[name] is not None:
            if part not in ("", "unit"):
                raise UnknownNameError(f"the study's {name!r} has no part {part!r}; there is unit")
            return _plain(values[name]) + (_unit(name) if part else "")
    known = ", ".join(sorted({*study.info, *study.parameters}))
    raise UnknownNameError(f"the study has no {name!r}; there are {known}")


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return format_number(value, 0)
    if isinstance(value, float):
        decimals = len(f"{value:f}".rstrip("0").partition(".")[2])
        return format_number(value, decimals)
    if isinstance(value, list | tuple):
        return ", ".join(_plain(v) for v in value)
    if isinstance(value, dict):
        return ", ".join(f"{k} {v}" for k, v in value.items())
    return str(value)


def _unit(name: str) -> str:
    from respine.parameters import Parameters

    field = Parameters.model_fields.get(name)
    extra = field.json_schema_extra if field is not None else None
    unit = extra.get("unit", "") if isinstance(extra, dict) else ""
    if not unit:
        return ""
    return str(unit) if unit == "%" else f"{NBSP}{unit}"


def _published(published: Mapping[str, Mapping[str, str]], id: str, part: str) -> str:
    row = published.get(id)
    if row is None:
        raise UnknownNameError(f"no published row {id!r}")
    if row["status"] != "published":
        raise UnknownNameError(f"the published row {id!r} is {row['status']}: there is no value to print")
    if part == "p":
        if not row["p_value"]:
            raise UnknownNameError(f"the published row {id!r} has no p-value")
        p = format_p(float(row["p_value"]))
        return f"p{NBSP}={NBSP}{p}" if p[0].isdigit() else f"p{NBSP}{p[0]}{NBSP}{p[1:]}"
    if part == "number":
        return _published_number(row)
    if part in ("quantity", "source", "arm", "unit"):
        return row[part]
    if part:
        raise UnknownNameError(
            f"a published row has no part {part!r}; there are number, p, quantity, source, arm, unit"
        )
    return _published_number(row) + _published_unit(row["unit"])


def _published_number(row: Mapping[str, str]) -> str:
    value = row["value"]
    try:
        return _plain(int(value)) if value.lstrip("-").isdigit() else _plain(float(value))
    except ValueError:
        return listed(value.split(";"))


def _published_unit(unit: str) -> str:
    if unit in ("percent", "%"):
        return "%"
    # Counts and dates say themselves what they are.
    return f"{NBSP}{unit}" if unit in ("mm", "ms", "months", "points") else ""


def place_of_line(path: str, line: int | None) -> str:
    """Where a line of a source stands, for people: cells of a notebook are numbered from 1."""
    if line is None:
        return ""
    if path.endswith(".ipynb") and line >= _CELL_LINES:
        return f"cell {line // _CELL_LINES}, line {line % _CELL_LINES}"
    return f"line {line}"


def typographic(text: str) -> str:
    """Prose with the apostrophes that print has.

    >>> typographic("Holm's procedure, Hedges' g")
    'Holm’s procedure, Hedges’ g'
    """
    return _APOSTROPHE.sub("\u2019", text)


class PrintRole(SphinxRole):  # type: ignore[misc]
    """One of the four roles; the name it is registered by says which."""

    def run(self) -> tuple[list[Node], list[system_message]]:
        """Nodes for what the role prints; a warning where it cannot."""
        book = self.env.app.respine
        try:
            printed = pieces(book.source, self.name, self.text)
        except UnknownNameError as error:
            book.note_use(self.env, self.name, self.text)
            path, line = self.get_source_info()
            where = place_of_line(str(path or ""), line)
            logger.warning("%s (%s): %s", self.name, where, error, location=(self.env.docname, line), type="respine")
            return [nodes.inline("", self.text, classes=["respine-unknown"])], []
        book.note_use(self.env, self.name, self.text)
        return [self._node(piece, book.collected) for piece in printed], []

    def _node(self, piece: Piece, collected: Collected) -> Node:
        text = nodes.Text(typographic(piece.text))
        if not piece.result:
            return text
        place = collected.places[piece.result]
        link: Node = pending_xref(
            "",
            nodes.inline("", "", text, classes=["respine-result"]),
            refdomain="",
            reftype=XREF,
            reftarget=piece.result,
            refdoc=self.env.docname,
            chapter=place.chapter,
            cell=place.cell,
            explanation=_explanation(collected.results[piece.result]),
        )
        self.set_source_info(link)
        return link


def _explanation(result: Result) -> str:
    """What a reader sees when pointing at a number."""
    words = [result.statistic, result.method, result.set, f"n = {result.n}" if result.n is not None else ""]
    return "; ".join(word for word in words if word)
