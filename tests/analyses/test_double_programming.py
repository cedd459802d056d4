"""The report's numbers on the shipped data set, programmed a second time in R: tests/reference/trial.

The ids that are compared are the keys of ``answers`` in answers.json; its README says which are not, and why.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from respine.analyses import (
    anova,
    baseline,
    immune,
    participants,
    response,
    robustness,
    safety,
    secondary,
    structure,
    subgroups,
    times,
)
from respine.analyses.study import Study
from respine.results import Estimate, Result, Results
from tests.analyses.conftest import SHIPPED

REFERENCE = json.loads((Path(__file__).parents[1] / "reference" / "trial" / "answers.json").read_text())
ANSWERS: dict[str, dict[str, Any]] = REFERENCE["answers"]
AGAIN = (
    "the shipped data set is not the one the answers were computed from: run tests/reference/trial/recompute.R again"
)

ANALYSES: dict[str, tuple[Callable[[Study], Results], float]] = {
    "participants": (participants.analyse, 0.95),
    "baseline": (baseline.analyse, 0.95),
    "response": (response.analyse, 0.90),
    "subgroups": (subgroups.analyse, 0.95),
    "structure": (structure.analyse, 0.95),
    "secondary": (secondary.analyse, 0.95),
    "anova": (anova.analyse, 0.95),
    "times": (times.analyse, 0.95),
    "immune": (immune.analyse, 0.95),
    "safety": (safety.analyse, 0.95),
    "robustness": (robustness.analyse, 0.35),
}
"""Each analysis, and the least share of its numbers that must have an answer: much of robustness is imputed."""

FIELDS = ("value", "lower", "upper", "p", "se", "df")
COUNTS = ("n", "n_treatment", "n_control")


def check_data() -> None:
    """The shipped tables are those that R read."""
    digests = {name: hashlib.sha256((SHIPPED / name).read_bytes()).hexdigest() for name in REFERENCE["data"]}
    assert digests == REFERENCE["data"], AGAIN


@pytest.fixture(scope="module")
def numbers(shipped: Study) -> dict[str, dict[str, Result]]:
    """By analysis its numbers, statements left out."""
    check_data()
    found = {name: analyse(shipped) for name, (analyse, _) in ANALYSES.items()}
    return {name: {id: row for id, row in rows.items() if row.statistic != "statement"} for name, rows in found.items()}


def tolerance(field: str, answer: dict[str, Any]) -> float:
    """How far a number may be from R's, by the plan's section 11: absolute.

    Fitted likelihoods: what the tolerances of estimate, standard error and degrees of freedom leave to the limits is
    their share of the half-width, and to a p-value at most 5e-4.
    """
    expected = float(answer[field])
    if answer["class"] == "count":
        return 0.0
    if answer["class"] == "closed":
        return max(1e-6 * abs(expected), 1e-12)
    if field in ("lower", "upper"):
        value = float(answer["value"])
        return 1e-4 * abs(value) + 1e-3 * abs(expected - value)
    return 5e-4 if field == "p" else {"value": 1e-4, "se": 5e-4, "df": 1e-2}[field] * abs(expected)


def disagreements(row: Estimate, answer: dict[str, Any]) -> Iterator[str]:
    """What of a result is not R's number, or stands on one side only."""
    for field in FIELDS:
        ours, theirs = getattr(row, field), answer.get(field)
        if theirs is None or math.isnan(ours):
            if theirs is not None or not math.isnan(ours):
                yield f"{field} {ours!r}, R {theirs!r}"
        elif not abs(ours - theirs) <= tolerance(field, answer):
            yield f"{field} {ours!r}, R {theirs!r}, tolerance {tolerance(field, answer):.2g}"
    for field in COUNTS:
        if getattr(row, field) != answer.get(field):
            yield f"{field} {getattr(row, field)}, R {answer.get(field)}"


@pytest.mark.parametrize("analysis", ANALYSES)
def test_every_number_is_that_of_the_second_program(numbers: dict[str, dict[str, Result]], analysis: str) -> None:
    compared = {id: row for id, row in numbers[analysis].items() if id in ANSWERS}
    wrong = [f"{id}: {what}" for id, row in compared.items() for what in disagreements(row, ANSWERS[id])]
    assert not wrong, f"{len(wrong)} disagreements\n" + "\n".join(wrong)


@pytest.mark.parametrize("analysis", ANALYSES)
def test_most_numbers_are_programmed_twice(numbers: dict[str, dict[str, Result]], analysis: str) -> None:
    ids = numbers[analysis]
    once = [id for id in ids if id not in ANSWERS]
    _, least = ANALYSES[analysis]
    assert len(ids) - len(once) >= least * len(ids), f"without an answer: {', '.join(once)}"


def test_no_number_of_the_second_program_has_gone(numbers: dict[str, dict[str, Result]]) -> None:
    here = {id for rows in numbers.values() for id in rows}
    gone = [id for id in ANSWERS if id not in here]
    assert not gone, f"no analysis gives {', '.join(gone)}"


def test_answers_of_other_data_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(REFERENCE["data"], "adqs.csv", "0" * 64)
    with pytest.raises(AssertionError, match=r"run tests/reference/trial/recompute\.R again"):
        check_data()


ROW = Estimate(statistic="mean", value=2.0, lower=1.0, upper=3.0, p=0.2, se=0.5, df=90.0, n=12)


@pytest.mark.parametrize("kind", ["closed", "fitted"])
@pytest.mark.parametrize("field", FIELDS)
def test_comparison_sees_what_the_tolerances_forbid(kind: str, field: str) -> None:
    answer = {name: getattr(ROW, name) for name in (*FIELDS, "n")} | {"class": kind}
    relative = {"value": 2e-4, "se": 1e-3, "df": 2e-2}.get(field, 1e-2) if kind == "fitted" else 2e-6
    moved = ROW.replace(**{field: getattr(ROW, field) * (1 + relative)})
    assert not list(disagreements(ROW, answer))
    assert [what.split()[0] for what in disagreements(moved, answer)] == [field]


def test_comparison_sees_what_stands_on_one_side_only() -> None:
    answer = {"value": 2.0, "n": 12, "class": "closed"}
    assert [what.split()[0] for what in disagreements(ROW, answer)] == ["lower", "upper", "p", "se", "df"]
    bare = Estimate(statistic="mean", value=2.0, n=12)
    assert not list(disagreements(bare, answer))
    assert [what.split()[0] for what in disagreements(bare, answer | {"se": 0.5})] == ["se"]
    assert [what.split()[0] for what in disagreements(bare, answer | {"value": None})] == ["value"]
    assert [what.split()[0] for what in disagreements(bare, answer | {"n": 13})] == ["n"]
