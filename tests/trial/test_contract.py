from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pandera.errors
import pytest

from respine.trial import Trial, data_dictionary, load_trial
from respine.trial.contract import PARAMETERS, TABLES
from respine.trial.countries import ALPHA3
from respine.trial.response import POST_BASELINE
from respine.trial.schemas import schema
from tests.builders import tiny_trial


@pytest.fixture(scope="module")
def trial(tmp_path_factory: pytest.TempPathFactory) -> Trial:
    return load_trial(tiny_trial(tmp_path_factory.mktemp("trial")))


def test_dictionary_has_a_row_a_column() -> None:
    dictionary = data_dictionary()
    assert list(dictionary.columns) == ["table", "column", "label", "type", "values", "need"]
    assert len(dictionary) == sum(len(t.columns) for t in TABLES.values())
    assert not dictionary.duplicated(["table", "column"]).any()
    assert dictionary.label.str.len().gt(0).all()
    row = dictionary.set_index(["table", "column"])
    assert row.loc[("adsl", "SEX"), "values"] == "M, F, U"
    assert row.loc[("adsl", "SCRFREAS"), "need"] == "required where RANDFL = N"
    assert row.loc[("adsl", "AGE"), "values"] == "0 to 120 years; protocol 18 to 60"
    assert "T2: 5 to 400 ms" in row.loc[("admi", "AVAL"), "values"]


def test_parameters() -> None:
    assert {code for code, p in PARAMETERS.items() if p.better == "lower"} == {"VASPAIN", "ODI", "PFIRR"}
    assert PARAMETERS["SF36PCS"].better == "higher"
    assert PARAMETERS["T2"].visits == (0, 6, 12, 24)
    assert POST_BASELINE == (1, 3, 6, 12, 24)


def test_codes_are_unique_and_names_fit_a_transport_file() -> None:
    assert len(ALPHA3) == len(set(ALPHA3)) == 249
    for table in TABLES.values():
        names = [c.name for c in table.columns]
        assert len(names) == len(set(names))
        for column in table.columns:
            assert re.fullmatch(r"[A-Z][A-Z0-9]{0,7}", column.name)
            assert len(column.values) == len(set(column.values))


def _typed(trial: Trial, table: str) -> pd.DataFrame:
    frame = getattr(trial, table)
    return frame.reset_index() if table == "adsl" else frame


@pytest.mark.parametrize("table", TABLES)
def test_pandera_agrees_on_valid_data(trial: Trial, table: str) -> None:
    schema(table).validate(_typed(trial, table), lazy=True)


@pytest.mark.parametrize(
    ("table", "column", "value"),
    [
        (t.name, c.name, value)
        for t in TABLES.values()
        for c in t.columns
        if not c.derived
        for value in (
            ["~"] if c.values and not c.numeric else
            [-99.0] if c.minimum is not None or c.values else
            [0.5] if c.type == "integer" else
            [0.0] if c.type == "day" else
            [-1.0] if c.name == "AVAL" else
            [None] if not c.may_be_blank else []
        )
    ],
)  # fmt: skip
def test_pandera_refuses_what_the_contract_refuses(trial: Trial, table: str, column: str, value: object) -> None:
    frame = _typed(trial, table).copy()
    frame[column] = frame[column].astype(object)
    frame.loc[0, column] = value
    with pytest.raises(pandera.errors.SchemaErrors):
        schema(table).validate(frame, lazy=True)


def test_the_room_opens_without_pandas() -> None:
    code = "import sys, respine.trial.contract; print(*{'pandas', 'pandera', 'pyarrow'} & {*sys.modules})"
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2]
    )
    assert run.stdout.strip() == ""
