"""What the report says of the data set itself."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from respine.analyses import dataset
from respine.analyses.study import Study
from respine.book.statements import statement_text
from respine.display import dataset as display
from respine.results import Results
from tests.analyses.conftest import study_of
from tests.builders import DATASET, tiny_trial


def said(study: Study, warnings: pd.DataFrame) -> Results:
    return display.sentences(dataset.analyse(study, warnings), study, warnings)


def test_synthetic_data_of_the_trial_are_called_so_and_nothing_else(shipped: Study) -> None:
    notice = said(shipped, pd.DataFrame())["data.notice"].text
    assert "no real participant" in notice
    assert "written for" not in notice


def test_the_data_of_another_trial_are_told_from_the_manuscript(tmp_path: Path) -> None:
    study = study_of(tiny_trial(tmp_path, dataset={**DATASET, "synthetic": False}))
    sentences = said(study, pd.DataFrame())
    notice = sentences["data.notice"].text
    assert notice.startswith("The data are those of Tiny trial, cut off on 2024-06-30.")
    assert "registration and published numbers are that trial's, all other numbers those of TINY." in notice
    assert "not marked as synthetic" in sentences["data.key"].text


@pytest.mark.parametrize(
    ("n", "words"), [(0, "no warning and no error"), (1, "one warning and no error"), (23, "23 warnings and no error")]
)
def test_the_warnings_are_counted_in_words(shipped: Study, n: int, words: str) -> None:
    warnings = pd.DataFrame({"rule": ["visit-window"] * n})
    results = dataset.analyse(shipped, warnings)
    results.extend(display.sentences(results, shipped, warnings).values())
    assert words in statement_text(results["data.key"].text, results)
