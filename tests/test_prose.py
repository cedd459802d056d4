"""Prose holds no typed results: a digit in a page's Markdown stands in a role, a name or a formula.

Numbers in words are looked for where they would count or measure something; captions, notes and sentences of the
package are looked through for what only a result can look like.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from respine.display.reproducibility import ARTICLE, CONSORT

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


WORDS = (
    "two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen|fourteen|fifteen|sixteen|seventeen|eighteen|"
    "nineteen|twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety|hundred|thousand|half|third|quarter|thirds|quarters"
)
UNITS = (
    r"per ?cent|percentage points|points|participants|patients|people|responders|responses|events|injections|centres|"
    r"countries|months|years|days|millimetres|milliseconds|mm|ms|of (?:the|all|those) (?:participants|responders)"
)
IN_WORDS = re.compile(rf"\b(?:{WORDS})\b(?:-\w+)?(?: \w+)? (?:{UNITS})\b(?!-)", re.IGNORECASE)

# What a string of the package holds only if a result was typed into it: a p-value, a percentage, a count, an interval.
RESULT = re.compile(
    r"\bp\s*[=<>]\s*0?\.\d|\d\s*%|\b\d+(?:\.\d+)?\s+(?:participants|responders|events|percentage points|points|mm|ms)\b"
    r"|\b\d+ of \d+\b|\b\d+(?:\.\d+)? to [−-]?\d",
    re.IGNORECASE,
)
CONVENTIONS = [r"\b95% CI\b", r"\blevel of 9?5%", r"\(95% of simulations\)", r"\boutside 0 to 1\b", r"^\.0%$"]
"""Levels that the plan fixes, a range, a format."""
PACKAGE = sorted([*(TOP / "respine" / "display").glob("*.py"), *(TOP / "respine" / "analyses").glob("*.py")])


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


def numbers_in_words(text: str) -> list[str]:
    """Counts and measures that are spelt out."""
    for pattern in NOT_PROSE:
        text = re.sub(pattern, " ", text, flags=re.DOTALL | re.MULTILINE)
    return IN_WORDS.findall(text)


def strings(source: str) -> Iterator[str]:
    """Every string of some code but its docstrings; the fixed parts of f-strings each for itself."""
    tree = ast.parse(source)
    alone = {id(n.value) for n in ast.walk(tree) if isinstance(n, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in alone:
            yield node.value


def typed_results(source: str) -> list[str]:
    """Strings of some code that look like a result."""
    found = []
    for text in strings(source):
        for pattern in CONVENTIONS:
            text = re.sub(pattern, "", text)
        if RESULT.search(text):
            found.append(text)
    return found


def code(path: Path) -> str:
    """The code of a notebook, its parameters left out."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    kept = [c for c in cells if c["cell_type"] == "code" and "parameters" not in c["metadata"].get("tags", [])]
    return "\n".join("".join(cell["source"]) for cell in kept)


@pytest.mark.parametrize("path", PAGES, ids=lambda p: p.name)
def test_no_number_is_spelt_out_in_prose(path: Path) -> None:
    assert numbers_in_words(prose(path)) == []


@pytest.mark.parametrize("path", PACKAGE, ids=lambda p: f"{p.parent.name}/{p.name}")
def test_no_result_is_typed_in_captions_notes_and_sentences(path: Path) -> None:
    assert typed_results(path.read_text(encoding="utf-8")) == []


def test_no_result_is_typed_in_the_code_of_a_chapter() -> None:
    assert [(p.name, found) for p in PAGES if p.suffix == ".ipynb" and (found := typed_results(code(p)))] == []


@pytest.mark.parametrize(
    "text",
    [
        "seventy-four percent responded",
        "a difference of five percentage points",
        "fifty-eight participants were randomised",
        "Three quarters of the participants improved",
        "two serious events",
    ],
)
def test_a_spelt_result_is_found(text: str) -> None:
    assert numbers_in_words(text)


@pytest.mark.parametrize(
    "text",
    [
        "no difference (p=0.77)",
        "p < .05 throughout",
        "74 % responded",
        "37 of 50",
        "n = 12 participants",
        "−11.4 to 21.7",
    ],
)
def test_a_result_typed_in_a_caption_is_found(text: str) -> None:
    assert typed_results(f"caption = {text!r}")
    assert typed_results(f"caption = f'{{n}} seen: {text}'")


def test_the_checklist_names_chapters_that_exist() -> None:
    titles = {match.group(1) for path in PAGES if (match := re.search(r"^# (.+)$", prose(path), re.MULTILINE))}
    named = {name for *_, chapters in CONSORT if chapters != ARTICLE for name in chapters.split("; ")}
    assert named - titles == {"Abstract"}


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
