"""The report's numbers on two data sets, the shipped one and one of other arms, programmed a second time in R.

The ids that are compared are the keys of ``answers`` in tests/reference/trial/answers.json and second.json.gz; the
README there says which are not, and why.
"""

from __future__ import annotations

import gzip
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
from respine.trial.synthetic import dataset_info, simulate_trial, write_dataset
from respine.trial.synthetic_spec import SimulationSpec
from tests.analyses.conftest import SHIPPED, study_of

FOLDER = Path(__file__).parents[1] / "reference" / "trial"
REFERENCE: dict[str, dict[str, Any]] = {
    "shipped": json.loads((FOLDER / "answers.json").read_text()),
    "second": json.loads(gzip.decompress((FOLDER / "second.json.gz").read_bytes())),
}
SECOND = SimulationSpec(
    n_treatment=47, n_control=38, treatment="Cells 2x", control="Placebo", effect_vas=-18, effect_odi=-9, effect_t2=6
)
"""Small and unbalanced, with effects: separation within a subgroup, no event in an arm to month 12."""
SECOND_SEED = 7
AGAIN = "the data set is not the one the answers were computed from: run tests/reference/trial/recompute.R again"

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


def check_data(folder: Path, data: str) -> None:
    """The tables are those that R read."""
    digests = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in REFERENCE[data]["data"]}
    assert digests == REFERENCE[data]["data"], AGAIN


@pytest.fixture(scope="module", params=list(REFERENCE))
def compared(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict[str, dict[str, Result]], dict[str, dict[str, Any]]]:
    """By analysis its numbers, statements left out, and the answers of R."""
    data, folder = str(request.param), SHIPPED
    if data == "second":
        folder = tmp_path_factory.mktemp("second")
        write_dataset(simulate_trial(SECOND, SECOND_SEED), dataset_info(SECOND), folder)
    check_data(folder, data)
    study = study_of(folder)
    found = {name: analyse(study) for name, (analyse, _) in ANALYSES.items()}
    numbers = {
        name: {id: row for id, row in rows.items() if row.statistic != "statement"} for name, rows in found.items()
    }
    return numbers, REFERENCE[data]["answers"]


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
def test_every_number_is_that_of_the_second_program(compared: Any, analysis: str) -> None:
    numbers, answers = compared
    both = {id: row for id, row in numbers[analysis].items() if id in answers}
    wrong = [f"{id}: {what}" for id, row in both.items() for what in disagreements(row, answers[id])]
    assert not wrong, f"{len(wrong)} disagreements\n" + "\n".join(wrong)


@pytest.mark.parametrize("analysis", ANALYSES)
def test_most_numbers_are_programmed_twice(compared: Any, analysis: str) -> None:
    numbers, answers = compared
    ids = numbers[analysis]
    once = [id for id in ids if id not in answers]
    _, least = ANALYSES[analysis]
    assert len(ids) - len(once) >= least * len(ids), f"without an answer: {', '.join(once)}"


def test_no_number_of_the_second_program_has_gone(compared: Any) -> None:
    numbers, answers = compared
    here = {id for rows in numbers.values() for id in rows}
    gone = [id for id in answers if id not in here]
    assert not gone, f"no analysis gives {', '.join(gone)}"


def test_answers_of_other_data_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(REFERENCE["shipped"]["data"], "adqs.csv", "0" * 64)
    with pytest.raises(AssertionError, match=r"run tests/reference/trial/recompute\.R again"):
        check_data(SHIPPED, "shipped")


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
