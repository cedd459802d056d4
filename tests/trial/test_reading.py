"""Files: strict CSV with its row numbers, and the other formats giving the same trial to the last digit."""

from __future__ import annotations

import csv
import datetime as dt
import gzip
import io
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from respine.trial import Trial, check, load_trial
from respine.trial.contract import TABLES
from respine.trial.csvfile import read_csv
from respine.trial.sheet import Sheet, UnreadableError, cell_text, column_of
from tests.builders import put, tiny_tables, tiny_trial, typed_tables, write_gz

_CELL_TEXT = st.sampled_from('ab1 ,"\n\r\té痛\u2028;=')
AES = "USUBJID,AESEQ,AETERM,AEDECOD,AEBODSYS,AESEV,AESER,AEREL,ASTDY,AENDY"
AE = "T-001,{n},{term},Back pain,Musculoskeletal,MILD,N,UNLIKELY,5,"


def events(*terms: str, header: str = AES, end: str = "\n") -> str:
    """A CSV of adverse events with these terms, written as they are."""
    return end.join([header, *(AE.format(n=n, term=term) for n, term in enumerate(terms, 1))]) + end


def check_csv(folder: Path, content: str | bytes) -> list[tuple[str, int | None, str, str]]:
    tiny_trial(folder)
    (folder / "adae.csv").write_bytes(content.encode() if isinstance(content, str) else content)
    return [(f.table, f.row, f.column, f.rule) for f in check(folder).findings]


def read(path: Path, content: str | bytes) -> Sheet:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_csv(path, lambda name: False)


@pytest.mark.parametrize(
    "content",
    [
        events("a", "b"),
        events("a", "b", end="\r\n"),
        events("a", "b").rstrip("\n"),
        "\ufeff" + events("a", "b"),
        events('"a, b"', '"say ""ah"""', '"two\nlines"', '"two\r\nlines"', '""'),
        events('"a"', "é ü 痛 🙂"),
        "\n\n" + events("a"),
        events("a") + "\n \n\t\n\r\n",
        events(header=AES.lower()),
        events("a", header=AES.replace("USUBJID", '"USUBJID"').replace("AESEQ", " AESEQ ")),
        events("'single'", "back\\slash", "semi;colon", "\u202emarked\u202c", "x" * 10_000),
        events('"' + "x,\n" * 200_000 + '"'),
    ],
)
def test_accepted(tmp_path: Path, content: str) -> None:
    assert check_csv(tmp_path, content) == []


@pytest.mark.parametrize(
    ("content", "row", "rule"),
    [
        (events("a", "b\0c"), 3, "nul"),
        (events("a", "caf\xe9").encode("latin-1"), 3, "encoding"),
        (events("a").encode("utf-16"), 1, "encoding"),
        (events("a").replace(",", ";"), 1, "separator"),
        (events("a").replace(",", "\t"), 1, "separator"),
        ("sep=;\n" + events("a").replace(",", ";"), 1, "separator"),
        (events("a", '"open'), 3, "quote"),
        (events("a", '"open', "b", '"c"'), 3, "quote"),
        (events("a", '5" disc'), 3, "quote"),
        (events("a", '"x" y'), 3, "quote"),
        (events("a", ' "x"'), 3, "quote"),
        (events("a", '"x""'), 3, "quote"),
        (events("a", "b", end="\r"), 1, "line-end"),
        (events("a", "b\rc"), 3, "line-end"),
        ("", None, "no-header"),
        ("\n\n", None, "no-header"),
    ],
)
def test_unreadable(tmp_path: Path, content: str | bytes, row: int | None, rule: str) -> None:
    assert check_csv(tmp_path, content) == [("adae", row, "", rule)]


def test_hints_say_how_to_convert(tmp_path: Path) -> None:
    tiny_trial(tmp_path)
    (tmp_path / "adcm.csv").write_bytes("USUBJID,CMDECOD\nT-001,Rückenspritze\n".encode("latin-1"))
    assert "iconv -f LATIN1 -t UTF-8" in {f.rule: f.allowed for f in check(tmp_path).errors}["encoding"]


@pytest.mark.parametrize(("separator", "before"), [(";", ""), (";", "sep=;\n"), ("\t", ""), (",", "")])
def test_what_the_hint_says_converts_decimal_commas(tmp_path: Path, separator: str, before: str) -> None:
    original = load_trial(tiny_trial(tmp_path, adqs=put(3, AVAL="33.5")))
    path = tmp_path / "adqs.csv"
    cells = pd.read_csv(path, dtype=str, keep_default_na=False)
    cells["AVAL"] = cells["AVAL"].str.replace(".", ",")
    path.write_text(before + cells.to_csv(index=False, sep=separator))
    errors = check(tmp_path).errors
    assert {f.rule for f in errors} == {"separator" if separator != "," else "number"}
    _, command, arguments = errors[0].allowed.partition("pandas.read_csv")
    names = {"pandas": pd, "OLD": path, "NEW": path}
    eval(command + arguments, names)
    same(original, load_trial(tmp_path))


def test_ragged_rows_are_all_listed_and_the_rest_is_checked(tmp_path: Path) -> None:
    text = events("a", "b, c", "d") + "T-001,9\n\n" + AE.format(n=1, term="again") + "\n"
    assert check_csv(tmp_path, text) == [
        ("adae", 3, "", "ragged-row"),
        ("adae", 5, "", "ragged-row"),
        ("adae", 7, "AESEQ", "duplicate-key"),
    ]


def test_unread_rows_are_no_missing_baseline(tmp_path: Path) -> None:
    tiny_trial(tmp_path)
    text = (tmp_path / "adqs.csv").read_text()
    (tmp_path / "adqs.csv").write_text(text.replace("\n", ",\n", 1))  # a cell more in the header than in any row
    assert {f.rule for f in check(tmp_path).errors} == {"ragged-row"}


def test_an_unread_row_of_adsl_makes_nobody_unknown(tmp_path: Path) -> None:
    tiny_trial(tmp_path)
    lines = (tmp_path / "adsl.csv").read_text().splitlines(keepends=True)
    (tmp_path / "adsl.csv").write_text("".join([lines[0], "T-001,\n", *lines[2:]]))
    assert [(f.table, f.row, f.rule) for f in check(tmp_path).findings] == [("adsl", 2, "ragged-row")]


def test_rows_are_counted_as_a_spreadsheet_does(tmp_path: Path) -> None:
    """Blank lines count, lines inside a quoted cell do not."""
    lines = events("a", '"two\n\nlines"', "c").splitlines(keepends=True)
    text = "\n" + "".join(lines[:1]) + "\r\n" + "".join(lines[1:]) + "\n  \n" + "T-001,7,x,y,z,BAD,N,UNLIKELY,5,\n"
    # 1 blank, 2 header, 3 blank, 4 to 6 events, 7 and 8 blank, 9 the bad row.
    assert check_csv(tmp_path, text) == [("adae", 9, "AESEV", "code")]


@settings(deadline=None, derandomize=True, max_examples=60)
@given(
    st.lists(st.one_of(st.none(), st.tuples(*[st.text(_CELL_TEXT, max_size=6)] * 3)), max_size=8),
    st.sampled_from(["\n", "\r\n"]),
)
def test_any_valid_csv_is_read_as_written(
    tmp_path_factory: pytest.TempPathFactory, records: list[tuple[str, str, str] | None], end: str
) -> None:
    """Python's csv writer writes; None is a blank line."""
    lines = io.StringIO()
    # Left to itself, it writes a lone CR without quotes.
    returns = any("\r" in cell for record in records if record for cell in record)
    writer = csv.writer(lines, lineterminator=end, quoting=csv.QUOTE_ALL if returns else csv.QUOTE_MINIMAL)
    writer.writerow("ABC")
    for record in records:
        lines.write(end) if record is None else writer.writerow(record)
    sheet = read(tmp_path_factory.mktemp("csv") / "t.csv", lines.getvalue())
    cells = list(zip(*(column.to_pylist() for column in sheet.columns), strict=True))
    written = [(row, record) for row, record in enumerate(records, 2) if record is not None]
    assert sheet.rows.tolist() == [row for row, _ in written]
    assert cells == [tuple(cell or None for cell in record) for _, record in written]


def test_repeated_header_in_any_case(tmp_path: Path) -> None:
    text = events(header=AES + ",aeterm")
    assert check_csv(tmp_path, text) == [("adae", None, "AETERM", "repeated-column")]


def test_unnamed_and_extra_columns_are_no_concern(tmp_path: Path) -> None:
    text = "\n".join(line + ",x,y," for line in events("a").splitlines()).replace("AENDY,x,y,", "AENDY,Site note,,")
    assert check_csv(tmp_path, text) == []
    trial = load_trial(tmp_path)
    assert trial.adae["SITE NOTE"].tolist() == ["x"]


def test_header_only_and_cells(tmp_path: Path) -> None:
    assert len(read(tmp_path / "t.csv", "A,B\n").rows) == 0
    sheet = read(tmp_path / "t.csv", 'A,B\n"",NA\n,"x\n"\n')
    assert [c.to_pylist() for c in sheet.columns] == [[None, None], ["NA", "x\n"]]


def test_gzip(tmp_path: Path) -> None:
    plain = load_trial(tiny_trial(tmp_path))
    text = (tmp_path / "adqs.csv").read_text()
    (tmp_path / "adqs.csv").unlink()
    write_gz(tmp_path / "adqs.csv.gz", text)
    assert load_trial(tmp_path).info.digest == plain.info.digest
    (tmp_path / "adqs.csv.gz").write_bytes(b"no gzip")
    assert [f.rule for f in check(tmp_path).errors] == ["unreadable"]


# Which file


def test_two_files_for_one_table(tmp_path: Path) -> None:
    tiny_trial(tmp_path)
    tiny_tables()["adqs"].to_parquet(tmp_path / "ADQS.parquet")
    (error,) = check(tmp_path).errors
    assert (error.table, error.rule) == ("adqs", "two-files")
    assert "ADQS.parquet" in error.value


def test_names_in_any_case_and_other_files_ignored(tmp_path: Path) -> None:
    tiny_trial(tmp_path)
    (tmp_path / "adsl.csv").rename(tmp_path / "ADSL.CSV")
    for name in ("README.md", ".hidden", "adsl_old.csv", "findings.csv"):
        (tmp_path / name).write_text("x")
    assert check(tmp_path).findings == []


def test_a_format_that_is_not_read(tmp_path: Path) -> None:
    tiny_trial(tmp_path)
    (tmp_path / "adsl.csv").rename(tmp_path / "adsl.xls")
    (error,) = check(tmp_path).errors
    assert (error.table, error.rule, error.value) == ("adsl", "format", "adsl.xls")
    assert "xlsx" in error.allowed


def test_no_data_set(tmp_path: Path) -> None:
    file = tmp_path / "file.txt"
    file.write_text("x")
    (tmp_path / "empty").mkdir()
    for path in (tmp_path / "absent", file, tmp_path / "empty"):
        (error,) = check(path).errors
        assert (error.table, error.rule) == ("data set", "folder")


def test_a_folder_named_as_a_table(tmp_path: Path) -> None:
    tiny_trial(tmp_path)
    (tmp_path / "adcm.csv").unlink()
    (tmp_path / "adcm.csv").mkdir()
    assert [(f.table, f.rule) for f in check(tmp_path).errors] == [("adcm", "unreadable")]


@pytest.mark.parametrize("extension", ["parquet", "xpt", "sas7bdat", "sav", "dta", "json", "ndjson", "xlsx"])
def test_damaged_file(tmp_path: Path, extension: str) -> None:
    tiny_trial(tmp_path)
    (tmp_path / "adcm.csv").unlink()
    (tmp_path / f"adcm.{extension}").write_bytes(b"PK\x03\x04 not a file of this kind")
    assert {f.rule for f in check(tmp_path).errors} == {"unreadable"}


def test_a_damaged_workbook_that_is_no_table(tmp_path: Path) -> None:
    (tmp_path / "trial.v2.xlsx").write_bytes(b"PK")
    (error,) = check(tmp_path).errors
    assert (error.table, error.rule) == ("data set", "unreadable")
    assert "trial.v2.xlsx" in error.value


# Formats

Writer = Callable[[dict[str, pd.DataFrame], Path], None]


def write_parquet(tables: dict[str, pd.DataFrame], folder: Path) -> None:
    for name, table in tables.items():
        table.to_parquet(folder / f"{name}.parquet")


def write_parquet_categories(tables: dict[str, pd.DataFrame], folder: Path) -> None:
    for name, table in tables.items():
        text = [c for c in table if table[c].map(type).isin([str]).all()]
        table = table.astype(dict.fromkeys(text, "category"))
        for column in text:
            table[column] = table[column].cat.add_categories(["~unused"])
        table.to_parquet(folder / f"{name}.parquet")


def write_pyreadstat(extension: str) -> Writer:
    def write(tables: dict[str, pd.DataFrame], folder: Path) -> None:
        import pyreadstat

        writer = getattr(pyreadstat, {"xpt": "write_xport", "sav": "write_sav", "dta": "write_dta"}[extension])
        for name, table in tables.items():
            writer(table, str(folder / f"{name}.{extension}"))

    return write


def _json_cells(table: pd.DataFrame) -> list[list[object]]:
    def cell(value: object) -> object:
        if value is None or value != value or value == "":
            return None
        return value.isoformat() if isinstance(value, dt.date) else value

    return [[cell(value) for value in row] for row in table.itertuples(index=False)]


def write_json(tables: dict[str, pd.DataFrame], folder: Path) -> None:
    for name, table in tables.items():
        head = {"datasetJSONVersion": "1.1.0", "name": name.upper(), "columns": [{"name": c} for c in table]}
        (folder / f"{name}.json").write_text(json.dumps(head | {"rows": _json_cells(table)}))


def write_ndjson(tables: dict[str, pd.DataFrame], folder: Path) -> None:
    for name, table in tables.items():
        lines = [{"datasetJSONVersion": "1.1.0", "columns": [{"name": c} for c in table]}, *_json_cells(table)]
        (folder / f"{name}.ndjson").write_text("\n".join(map(json.dumps, lines)) + "\n")


def write_workbook(tables: dict[str, pd.DataFrame], folder: Path) -> None:
    with pd.ExcelWriter(folder / "trial data.xlsx") as book:
        pd.DataFrame({"about": ["notes"]}).to_excel(book, sheet_name="README", index=False)
        for name, table in tables.items():
            table.replace("", None).to_excel(book, sheet_name=name.upper(), index=False)


def same(left: Trial, right: Trial) -> None:
    assert left.info == right.info
    for name in TABLES:
        pd.testing.assert_frame_equal(getattr(left, name), getattr(right, name), check_exact=True)


FORMATS: dict[str, Writer] = {
    "parquet": write_parquet,
    "categories": write_parquet_categories,
    "xpt": write_pyreadstat("xpt"),
    "sav": write_pyreadstat("sav"),
    "dta": write_pyreadstat("dta"),
    "json": write_json,
    "ndjson": write_ndjson,
    "xlsx": write_workbook,
}


@pytest.mark.parametrize("write", FORMATS.values(), ids=FORMATS)
def test_formats_give_the_same_trial(tmp_path: Path, write: Writer) -> None:
    original = load_trial(tiny_trial(tmp_path / "csv", adqs=put(3, AVAL="33.33333333333333")))
    tables = {name: pd.read_csv(tmp_path / f"csv/{name}.csv", dtype=str, keep_default_na=False) for name in TABLES}
    other = tmp_path / "other"
    other.mkdir()
    (other / "dataset.yml").write_bytes((tmp_path / "csv/dataset.yml").read_bytes())
    write(typed_tables(tables), other)
    assert check(other).findings == []
    same(original, load_trial(other))


def test_sas_data_sets_give_the_same_trial(tmp_path: Path) -> None:
    """Written by R, see make.R beside them; dates carry a SAS format."""
    for path in sorted((Path(__file__).parents[1] / "reference" / "sas7bdat").glob("*.gz")):
        (tmp_path / path.stem).write_bytes(gzip.decompress(path.read_bytes()))
    assert check(tmp_path).findings == []
    assert load_trial(tmp_path).info.digest == load_trial(tiny_trial(tmp_path / "csv", per_arm=2)).info.digest


def test_a_workbook_alone_is_a_data_set(tmp_path: Path) -> None:
    tiny_trial(tmp_path / "csv")
    write_workbook(typed_tables(tiny_tables()), tmp_path)
    trial = load_trial(tmp_path / "trial data.xlsx")
    assert trial.info.digest == load_trial(tmp_path / "csv").info.digest


def test_workbook_rows_and_types(tmp_path: Path) -> None:
    tables = typed_tables(tiny_tables())
    tables["adsl"] = tables["adsl"].astype(object)
    tables["adsl"].loc[1, "AGE"] = "forty"
    tables["adsl"].loc[2, "RANDDT"] = dt.datetime(2021, 3, 3, 12, 30)
    blank = pd.DataFrame([[None] * len(tables["adsl"].columns)], columns=tables["adsl"].columns)
    tables["adsl"] = pd.concat([tables["adsl"].iloc[:1], blank, tables["adsl"].iloc[1:]])
    write_workbook(tables, tmp_path)
    errors = {(f.table, f.row, f.column, f.rule, f.value) for f in check(tmp_path).errors}
    assert errors == {
        ("adsl", 4, "AGE", "number", "forty"),
        ("adsl", 5, "RANDDT", "date", "2021-03-03T12:30:00"),
    }


def test_bad_values_in_typed_formats(tmp_path: Path) -> None:
    tables = typed_tables(tiny_tables())
    tables["adqs"].loc[1, "AVAL"] = float("inf")
    tables["adqs"].loc[2, "AVAL"] = float("nan")
    tables["adae"]["AESEQ"] = tables["adae"]["AESEQ"].astype(object).astype(str)
    tables["adsl"]["SITEID"] = range(len(tables["adsl"]))
    tables["adsl"]["RANDDT"] = pd.to_datetime(tables["adsl"]["RANDDT"])
    write_parquet(tables, tmp_path)
    report = check(tmp_path)
    assert [(f.table, f.row, f.column, f.rule, f.value) for f in report.findings] == [
        ("adqs", 3, "AVAL", "number", "inf")
    ]


def test_text_of_cells() -> None:
    cells = [1, 1.0, 1.5, True, "x", dt.date(2024, 2, 3), dt.datetime(2024, 2, 3), dt.datetime(2024, 2, 3, 4), b"\xff"]
    expected = ["1", "1", "1.5", "TRUE", "x", "2024-02-03", "2024-02-03", "2024-02-03T04:00:00", "\\xff"]
    assert [cell_text(cell) for cell in cells] == expected
    assert column_of([1, "a", None]).to_pylist() == ["1", "a", None]
    assert column_of([1, 2.5, None]).to_pylist() == [1.0, 2.5, None]


def _json_document(table: pd.DataFrame) -> dict[str, Any]:
    columns = [{"itemOID": f"IT.{c}", "name": c, "label": c, "dataType": "string"} for c in table]
    return {"datasetJSONVersion": "1.1.0", "name": "ADSL", "columns": columns, "rows": _json_cells(table)}


@pytest.mark.parametrize("extension", ["json", "ndjson"])
def test_ragged_rows_of_json_are_listed(tmp_path: Path, extension: str) -> None:
    document = _json_document(tiny_tables()["adsl"])
    rows = document["rows"]
    rows[1], rows[3] = rows[1][:-1], {"USUBJID": "T-004"}
    lines = [{k: v for k, v in document.items() if k != "rows"}, *rows]
    text = json.dumps(document) if extension == "json" else "\n".join(map(json.dumps, lines))
    tiny_trial(tmp_path)
    (tmp_path / "adsl.csv").unlink()
    (tmp_path / f"adsl.{extension}").write_text(text)
    assert [(f.table, f.row, f.rule, f.value) for f in check(tmp_path).errors] == [
        ("adsl", 3, "ragged-row", f"{len(rows[0]) - 1} cells"),
        ("adsl", 5, "ragged-row", "dict"),
    ]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "Expecting value"),
        ("[1]", "adcm.json"),
        ('{"clinicalData": {"itemGroupData": {}}}', "adcm.json"),
        ('{"columns": [{"label": "x"}], "rows": []}', "adcm.json"),
        ('{"columns": 5}', "adcm.json"),
        ('{"columns": [{"name": "AVAL"}], "rows": [[NaN]]}', "NaN is no JSON"),
        ('{"columns": [{"name": "AVAL"}], "rows": [[-Infinity]]}', "-Infinity is no JSON"),
    ],
)
def test_json_that_is_no_dataset_json(tmp_path: Path, text: str, says: str) -> None:
    tiny_trial(tmp_path)
    (tmp_path / "adcm.csv").unlink()
    (tmp_path / "adcm.json").write_text(text)
    (error,) = check(tmp_path).errors
    assert (error.table, error.rule) == ("adcm", "unreadable")
    assert says in error.value


def test_json_of_a_table_without_rows(tmp_path: Path) -> None:
    for n, rows in enumerate(({}, {"rows": None}, {"rows": []})):
        folder = tiny_trial(tmp_path / str(n))
        document = _json_document(tiny_tables()["admi"])
        del document["rows"]
        (folder / "admi.csv").unlink()
        (folder / "admi.json").write_text(json.dumps(document | rows))
        assert check(folder).findings == []


def test_value_labels_stand_for_text_and_not_for_numbers(tmp_path: Path) -> None:
    import pyreadstat

    tables = typed_tables(tiny_tables())
    adsl = tables["adsl"].assign(SEX=tables["adsl"].SEX.map({"M": 1, "F": 2}))
    for extension in ("sav", "dta"):
        folder = tiny_trial(tmp_path / extension)
        (folder / "adsl.csv").unlink()
        (folder / "adqs.csv").unlink()
        write = getattr(pyreadstat, f"write_{extension}")
        write(adsl, str(folder / f"adsl.{extension}"), variable_value_labels={"SEX": {1: "M", 2: "F"}})
        months = {"AVISITN": {0: "Baseline", 1: "Month 1"}}
        write(tables["adqs"], str(folder / f"adqs.{extension}"), variable_value_labels=months)
        assert check(folder).findings == []
        assert load_trial(folder).info.digest == load_trial(tiny_trial(tmp_path / "csv")).info.digest


def test_nested_columns_are_text(tmp_path: Path) -> None:
    tables = typed_tables(tiny_tables())
    tables["adsl"]["NOTES"] = [["x"]] * len(tables["adsl"])
    tables["adsl"]["SEX"] = [[sex] for sex in tables["adsl"]["SEX"]]
    write_parquet(tables, tmp_path)
    report = check(tmp_path)
    assert {(f.table, f.column, f.rule) for f in report.errors} == {("adsl", "SEX", "code")}
    write_parquet(tables | {"adsl": tables["adsl"].assign(SEX="F")}, tmp_path)
    assert load_trial(tmp_path).adsl["NOTES"].iloc[0] == "['x']"


def test_a_formula_without_a_value_is_not_an_empty_cell(tmp_path: Path) -> None:
    import openpyxl

    write_workbook(typed_tables(tiny_tables()), tmp_path)
    path = tmp_path / "trial data.xlsx"
    book = openpyxl.load_workbook(path)
    book["ADQS"]["E5"] = "=50+1"
    book["ADAE"]["C2"] = "=cmd|x"
    book["ADAE"]["C2"].data_type = "s"  # text that begins with a sign, as Excel keeps what is typed after an apostrophe
    book.save(path)
    errors = [(f.table, f.row, f.rule, f.value) for f in check(tmp_path).errors]
    assert errors == [("adqs", 5, "formula", "=50+1")]


@pytest.mark.parametrize("make", ["folder", "link", "pipe"])
def test_what_is_no_file_is_said_without_waiting(tmp_path: Path, make: str) -> None:
    tiny_trial(tmp_path)
    path = tmp_path / "adcm.csv"
    path.unlink()
    {"folder": path.mkdir, "link": lambda: path.symlink_to("nothing.csv"), "pipe": lambda: os.mkfifo(path)}[make]()
    (error,) = check(tmp_path).errors
    assert (error.table, error.rule, error.value) == ("adcm", "unreadable", "adcm.csv is not a file")


def test_a_header_that_stands_again_is_one_message(tmp_path: Path) -> None:
    text = events("a", "b")
    assert check_csv(tmp_path, text + "\n" + text.replace("T-001", "T-002")) == [("adae", 5, "", "repeated-header")]
    assert not check_csv(tmp_path, text + text[len(AES) + 1 :].replace("T-001", "T-002"))


def test_a_ragged_row_is_shown_without_the_next(tmp_path: Path) -> None:
    tiny_trial(tmp_path)
    (tmp_path / "adae.csv").write_text(events("a") + "T-001,9\n" + AE.format(n=3, term="b") + "\n")
    assert [f.value for f in check(tmp_path).errors] == ["2 cells: T-001,9"]


def test_every_format_of_the_shipped_data_has_the_same_content(tmp_path: Path) -> None:
    """CSV, gzipped CSV, Parquet, SAS transport, SPSS, Stata, Dataset-JSON and Excel, by the hash of typed content."""
    shipped = Path(__file__).parents[2] / "data" / "respine-synthetic"
    expected = load_trial(shipped).info.sha256
    text = {name: pd.read_csv(shipped / f"{name}.csv", dtype=str, keep_default_na=False) for name in TABLES}
    tables = typed_tables(text)
    writers = {
        "gz": lambda t, folder: [write_gz(folder / f"{n}.csv.gz", text[n].to_csv(index=False)) for n in t],
        "parquet": write_parquet, "xpt": write_pyreadstat("xpt"), "sav": write_pyreadstat("sav"),
        "dta": write_pyreadstat("dta"), "json": write_json, "ndjson": write_ndjson, "xlsx": write_workbook,
    }  # fmt: skip
    for name, write in writers.items():
        folder = tmp_path / name
        folder.mkdir()
        write(tables, folder)
        trial = check(folder).trial
        assert trial is not None, name
        assert trial.info.sha256 == expected, name


def test_error_carries_its_problem(tmp_path: Path) -> None:
    with pytest.raises(UnreadableError) as caught:
        read(tmp_path / "t.csv", 'A,B\n"x,1\n')
    assert caught.value.problem.row == 2
