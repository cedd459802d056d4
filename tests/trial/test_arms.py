"""The arms of a data set that is not checked yet."""

from __future__ import annotations

import datetime as dt
import os
import subprocess
import sys
from pathlib import Path

import openpyxl
import pandas as pd
import pytest
from openpyxl.cell.rich_text import CellRichText, TextBlock
from openpyxl.cell.text import InlineFont

from respine.trial.arms import planned_arms
from respine.trial.reading import locate
from respine.trial.sheet import cell_text
from tests.builders import put, tiny_tables, tiny_trial, typed_tables, without, write_gz
from tests.trial.test_reading import FORMATS, Writer


@pytest.mark.parametrize("write", FORMATS.values(), ids=FORMATS)
def test_arms_are_read_from_every_format_and_nothing_slow_is_imported(tmp_path: Path, write: Writer) -> None:
    write(typed_tables(tiny_tables(treatment="12", control="Placebo ü")), tmp_path)
    program = (
        "import sys; from pathlib import Path; from respine.trial.arms import planned_arms\n"
        "arms = planned_arms(Path(sys.argv[1]))\n"
        "print(*sorted(arms), *{'pandas', 'openpyxl', 'pydantic'} & {*sys.modules}, sep='|')"
    )
    command = [sys.executable, "-X", "utf8", "-c", program, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8")
    assert (done.stdout, done.stderr) == ("12|Placebo ü\n", "")


def test_packed_csv_with_a_mark_spaces_and_small_letters(tmp_path: Path) -> None:
    write_gz(tmp_path / "ADSL.csv.gz", '\ufeffusubjid, trt01p\r\n1," A "\r\n2,B\r\n3,\r\n4\r\n')
    assert planned_arms(tmp_path) == {"A", "B"}


def test_a_workbook_has_the_arms_that_reading_it_all_finds(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.title = " AdSL"
    rich = CellRichText("MSC ", TextBlock(InlineFont(b=True), "6 M"))
    labels = [rich, 12, 1.5, True, dt.date(2024, 2, 3), "  Sham ", "two\nlines", "é 痛 &amp; <b>", "0012", None, ""]
    sheet.append([])
    sheet.append([None, "usubjid", " trt01p ", "AGE"])
    sheet.append([])
    for number, label in enumerate(labels):
        sheet.append([None, f"T-{number}", label])
    sheet["A40"].font = openpyxl.styles.Font(bold=True)
    book.save(tmp_path / "trial.XLSX")
    (source,) = locate(tmp_path)[0]["adsl"]
    read = source.read()
    everything = {cell_text(cell).strip() for cell in read.cells(1) if cell is not None} - {""}
    assert read.names[1] == " trt01p "
    assert planned_arms(tmp_path) == planned_arms(tmp_path / "trial.XLSX") == everything
    assert len(everything) == 9


def test_what_cannot_be_read_has_no_arms(tmp_path: Path) -> None:
    assert planned_arms(tmp_path) == set()
    assert planned_arms(tiny_trial(tmp_path / "column", adsl=without("TRT01P"))) == set()
    for name, content in {"adsl.xpt": b"?", "adsl.json": b"{", "adsl.parquet": b"", "trial.xlsx": b"PK"}.items():
        folder = tmp_path / name.partition(".")[2]
        folder.mkdir()
        (folder / name).write_bytes(content)
        assert planned_arms(folder) == set()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
@pytest.mark.parametrize("name", ["adsl.csv", "adsl.json"])
def test_a_pipe_is_not_waited_for(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / name)
    assert planned_arms(tmp_path) == set()


def test_two_files_of_participants_are_for_checking_to_explain(tmp_path: Path) -> None:
    folder = tiny_trial(tmp_path / "two", adsl=put(2, TRT01P="Other"))
    (folder / "adsl.csv").rename(folder / "adsl.json")
    pd.DataFrame({"TRT01P": ["A"]}).to_parquet(folder / "adsl.parquet")
    assert planned_arms(folder) == set()
