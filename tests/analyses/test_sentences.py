"""Every sentence of the book on data that it was not written for: grammar, and no word that a report must not hold."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from respine.analyses import (
    baseline,
    dataset,
    discussion,
    immune,
    participants,
    response,
    safety,
    secondary,
    structure,
    subgroups,
    times,
)
from respine.analyses.study import Study
from respine.book.statements import statement_text
from respine.display import baseline as baseline_display
from respine.display import dataset as dataset_display
from respine.display import discussion as discussion_display
from respine.display import immune as immune_display
from respine.display import mcid as mcid_display
from respine.display import participants as participants_display
from respine.display import response as response_display
from respine.display import safety as safety_display
from respine.display import secondary as secondary_display
from respine.display import structure as structure_display
from respine.display import subgroups as subgroups_display
from respine.display import times as times_display
from respine.results import Results
from tests.analyses.conftest import study_of
from tests.builders import Change, tiny_trial

NO_WARNINGS = pd.DataFrame()
CHAPTERS: dict[str, tuple[Callable[[Study], Results], tuple[Callable[[Results, Study], Results], ...]]] = {
    "participants": (participants.analyse, (lambda r, s: participants_display.sentences(r, s.arms),)),
    "baseline": (baseline.analyse, (lambda r, s: baseline_display.sentences(r),)),
    "response": (response.analyse, (response_display.sentences,)),
    "structure": (structure.analyse, (structure_display.sentences,)),
    "secondary": (secondary.analyse, (secondary_display.sentences, mcid_display.sentences)),
    "times": (times.analyse, (times_display.sentences,)),
    "subgroups": (subgroups.analyse, (subgroups_display.sentences,)),
    "immune": (immune.analyse, (immune_display.sentences,)),
    "safety": (safety.analyse, (safety_display.sentences,)),
    "discussion": (discussion.analyse, (discussion_display.sentences,)),
    "data": (
        lambda s: dataset.analyse(s, NO_WARNINGS),
        (lambda r, s: dataset_display.sentences(r, s, NO_WARNINGS),),
    ),
}
PHRASES = {"response.rule", "response.odi_threshold", "response.strategy", "response.model"}
"""Parts of sentences: they have no capital and no full stop."""

WRONG = {
    "not a number": r"\b(nan|NaN|None|inf)\b",
    "a singular": r"(?<![\d.,])\b1 (participants|people|months|events|centres|countries|warnings|scores|tests|terms)\b",
    "an unresolved name": r"\{[a-z_]+\.[a-z_.|0-9]+\}",
    "a doubled word": r"\b([A-Za-z]{2,}) \1\b",
    "a doubled mark": r"[.,;:]{2}|\s[.,;]",
    "a word that claims too much": r"(?i)\b(trend|significant|significance)\b|\bno effect\b",
}


def nothing(table: pd.DataFrame) -> pd.DataFrame:
    return table.iloc[:0]


def missing(month: str) -> Change:
    return lambda table: table[table["AVISITN"] != month]


def baseline_only(table: pd.DataFrame) -> pd.DataFrame:
    return table[table["AVISITN"] == "0"]


TRIALS: dict[str, dict[str, object]] = {
    "seven an arm, a related serious event": {"adae": lambda table: table.assign(AESER="Y", AEREL="RELATED")},
    "a large effect": {"per_arm": 12, "effect": 30.0},
    "harm": {"per_arm": 12, "effect": -60.0},
    "one participant an arm": {"per_arm": 1},
    "empty tables": {"admi": nothing, "adis": nothing, "adae": nothing, "adcm": nothing},
    "nobody followed": {"adqs": baseline_only, "admi": baseline_only, "adis": baseline_only},
    "nothing at the primary month, one event": {
        "adqs": missing("12"),
        "admi": missing("12"),
        "adae": lambda table: table.iloc[:1],
    },
}


@pytest.mark.parametrize("name", TRIALS)
def test_every_sentence_reads_as_one(name: str, tmp_path: Path) -> None:
    study = study_of(tiny_trial(tmp_path, **TRIALS[name]), imputations=3)  # type: ignore[arg-type]
    said, everything = {}, Results()
    for analyse, speakers in CHAPTERS.values():
        results = analyse(study)
        everything.extend(results.values())
        for sentences in speakers:
            for statement in sentences(results, study).values():
                said[statement.id] = statement.text
    for id, text in said.items():
        printed = statement_text(text, everything)
        for what, pattern in WRONG.items():
            assert not re.search(pattern, printed), f"{id}, {what}: {printed}"
        assert printed == printed.strip(), id
        if id not in PHRASES:
            assert re.match(r"[A-Z0-9{“]", printed), f"{id}: {printed}"
            assert printed.endswith((".", "!", "?")), f"{id}: {printed}"
