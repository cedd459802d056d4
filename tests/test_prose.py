"""Prose holds no typed results: a digit in a page's Markdown stands in a role, a name or a formula."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

TOP = Path(__file__).parents[1]
PAGES = sorted([TOP / "index.md", *(TOP / "chapters").glob("*.md"), *(TOP / "chapters").glob("*.ipynb")])

# What may hold a digit without being a result.
NOT_PROSE = [
    r"```\{[^`]*?```",  # directives: their arguments are labels
    r"\{[a-z:]+\}`[^`]*`",  # roles: results, studies, published values, references
    r"`[^`]*`",  # code
    r"\$\$.*?\$\$",
    r"\$[^$\n]+\$",
    r"\]\([^)]*\)",  # link targets
    r"^:[a-z-]+:.*$",  # directive options
    r"\([a-z0-9-]+\)=",  # labels
]
NAMES = [
    r"\bT2\b", r"\bSF-36\b", r"\bCONSORT 2025\b", r"\bNCT\d{8}\b", r"\bEudraCT 2017-002092-25\b", r"\bE9\(R1\)",
    r"\bCC BY(-NC)? 4\.0\b", r"\bGPL-3\.0\b", r"\bADaM(IG)? 1\.\d\b", r"\bISO \d+(-\d+)?\b", r"\bSHA-256\b",
    r"\bH2020 732163\b",
    r"\bPDF/UA-1\b", r"\bUTF-8\b", r"\b10\.\d{4,}/\S+",
]  # fmt: skip


def prose(path: Path) -> str:
    """The Markdown of a page or notebook."""
    if path.suffix == ".md":
        return path.read_text(encoding="utf-8")
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return "\n\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")


def typed_numbers(text: str) -> list[str]:
    """Digits left once roles, code, formulas and names are taken out, with a little of what surrounds them."""
    for pattern in NOT_PROSE:
        text = re.sub(pattern, " ", text, flags=re.DOTALL | re.MULTILINE)
    for pattern in NAMES:
        text = re.sub(pattern, " ", text)
    return [match.group(0).strip() for match in re.finditer(r"\S*[ \t]?\S*\d\S*[ \t]?\S*", text)]


@pytest.mark.parametrize("path", PAGES, ids=lambda p: p.name)
def test_no_number_is_typed_in_prose(path: Path) -> None:
    assert typed_numbers(prose(path)) == []


@pytest.mark.parametrize(
    "text",
    [
        "responders were 74% against 69%",
        "the difference was 5.1 points",
        "p = 0.77",
        "in 114 participants",
        "month 12 was",
    ],
)
def test_a_typed_result_is_found(text: str) -> None:
    assert typed_numbers(text)


def test_roles_names_and_formulas_are_not_results() -> None:
    text = "{result}`response.m12.rd` of T2 and SF-36 (CONSORT 2025), $x_0 + 1$, `cell 3` [a](b/c2.html)"
    assert typed_numbers(text) == []
