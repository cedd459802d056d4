"""A template is a data set that lacks nothing but rows, and its example is a valid one in either format."""

from __future__ import annotations

import csv
import dataclasses
from pathlib import Path

import openpyxl
import pytest
import yaml

from respine.trial import check, load_trial
from respine.trial.contract import DEFAULT_WINDOWS, PARAMETERS, TABLES
from respine.trial.dataset import Settings
from respine.trial.template import FORMATS, Format, write_template


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[Format, Path]:
    made = {format: tmp_path_factory.mktemp("template") / format for format in FORMATS}
    for format, folder in made.items():
        write_template(folder, format)
    return made


@pytest.mark.parametrize("format", FORMATS)
def test_an_empty_template_lacks_participants_and_nothing_else(folders: dict[Format, Path], format: Format) -> None:
    assert {finding.rule for finding in check(folders[format]).errors} == {"none-randomised", "no-baseline"}


@pytest.mark.parametrize("format", FORMATS)
def test_the_example_is_valid(folders: dict[Format, Path], format: Format) -> None:
    assert check(folders[format] / "example").findings == []
    trial = load_trial(folders[format] / "example")
    assert trial.info.synthetic
    assert trial.adcm.RESCUE.any()
    assert len(trial.participants("ITT")) == 16
    assert all(len(getattr(trial, name)) for name in TABLES)


def test_both_formats_hold_the_same(folders: dict[Format, Path]) -> None:
    first, second = (load_trial(folders[format] / "example").info for format in FORMATS)
    assert first == second


def test_headers_are_the_contract_without_what_is_derived(folders: dict[Format, Path]) -> None:
    book = openpyxl.load_workbook(folders["xlsx"] / "trial.xlsx")
    for name, table in TABLES.items():
        with (folders["csv"] / f"{name}.csv").open(newline="") as stream:
            (header,) = csv.reader(stream)
        assert header == [cell.value for cell in book[name][1]]
        assert {c.name for c in table.columns} - set(header) == {c.name for c in table.columns if c.derived}


def test_the_settings_left_out_are_the_defaults(folders: dict[Format, Path]) -> None:
    text = (folders["csv"] / "dataset.yml").read_text()
    spelled = yaml.safe_load("\n".join(line.removeprefix("# ") for line in text.splitlines()[1:]))
    assert set(spelled) == {field.name for field in dataclasses.fields(Settings)}
    assert spelled["windows"] == DEFAULT_WINDOWS


def test_the_dictionary_names_every_column_and_code(folders: dict[Format, Path]) -> None:
    with (folders["csv"] / "data-dictionary.csv").open(newline="") as stream:
        named = [(row["table"], row["column"]) for row in csv.DictReader(stream)]
    assert named == [(table.name, column.name) for table in TABLES.values() for column in table.columns]
    with (folders["csv"] / "parameter-codes.csv").open(newline="") as stream:
        assert [row["PARAMCD"] for row in csv.DictReader(stream)] == list(PARAMETERS)


def test_equal_bytes_every_time(folders: dict[Format, Path], tmp_path: Path) -> None:
    write_template(tmp_path, "csv")
    for path in tmp_path.rglob("*.*"):
        assert path.read_bytes() == (folders["csv"] / path.relative_to(tmp_path)).read_bytes()
