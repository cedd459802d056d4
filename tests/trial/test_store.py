"""A kept trial is the trial, and is recalled only where reading the files would give the same."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from respine.trial import checking, load_trial, store
from respine.trial.contract import TABLES
from respine.trial.trial import Trial
from tests.builders import put, tiny_trial

SHIPPED = Path(__file__).parents[2] / "data" / "respine-synthetic"


def kept(data: Path, shelf: Path) -> Trial:
    made_from = store.origin(data, None, None)
    trial = load_trial(data)
    store.keep(trial, shelf, made_from)
    return trial


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(store.VARIABLE, str(tmp_path / "shelf"))
    return tmp_path / "shelf"


def same(left: Trial, right: Trial) -> None:
    assert left.info == right.info
    for name in TABLES:
        pd.testing.assert_frame_equal(getattr(left, name), getattr(right, name), check_exact=True)


def odd_trial(folder: Path) -> Path:
    """Without rows in three tables, with extra columns of text and numbers, windows and no cut-off date."""
    nothing = dict.fromkeys(("admi", "adis", "adcm"), lambda t: t.iloc[:0])
    folder = tiny_trial(folder, dataset={"windows": {3: 20}}, adsl=put(3, SITENOTE="é 🙂 \u202e x"), **nothing)
    adae = pd.read_csv(folder / "adae.csv").assign(GRADE=lambda t: np.where(t.index % 2, 2.5, np.nan))
    adae.to_parquet(folder / "adae.parquet")
    (folder / "adae.csv").unlink()
    return folder


@pytest.mark.parametrize("data", [lambda folder: SHIPPED, tiny_trial, odd_trial], ids=["shipped", "tiny", "odd"])
def test_what_is_recalled_equals_what_was_kept(tmp_path: Path, shelf: Path, data: object) -> None:
    folder = data(tmp_path / "data")  # type: ignore[operator]
    trial = kept(folder, shelf)
    recalled = store.recall(folder, None, None)
    assert recalled is not None
    same(trial, recalled)
    assert not recalled.adqs["AVAL"].to_numpy().flags.writeable


def test_loading_recalls_and_does_not_check(tmp_path: Path, shelf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tiny_trial(tmp_path / "data")
    trial = kept(folder, shelf)
    monkeypatch.delattr(checking, "check")
    same(trial, load_trial(folder))


def test_other_files_labels_or_programs_are_not_recalled(
    tmp_path: Path, shelf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tiny_trial(tmp_path / "data")
    kept(folder, shelf)
    assert store.recall(folder, "BM-MSC", None) is None
    assert store.recall(tiny_trial(tmp_path / "other"), None, None) is None
    (folder / "dataset.yml").write_text("title: Changed")
    assert store.recall(folder, None, None) is None
    assert load_trial(folder).info.title == "Changed"
    kept(folder, shelf)
    assert store.recall(folder, None, None) is not None
    monkeypatch.setattr(store, "_program", lambda: "another")
    assert store.recall(folder, None, None) is None


def test_nothing_is_recalled_unasked(tmp_path: Path, shelf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tiny_trial(tmp_path / "data")
    assert store.recall(folder, None, None) is None  # nothing is kept
    kept(folder, shelf)
    monkeypatch.delenv(store.VARIABLE)
    assert store.recall(folder, None, None) is None


def test_damage_is_noticed(tmp_path: Path, shelf: Path) -> None:
    folder = tiny_trial(tmp_path / "data")
    kept(folder, shelf)
    made_from = store.origin(folder, None, None)
    assert store.is_kept(shelf, made_from)
    assert not store.is_kept(shelf, made_from | {"treatment": "x"})
    file = shelf / "adqs.arrow"
    whole = file.read_bytes()
    file.write_bytes(whole[:500] + bytes([whole[500] ^ 1]) + whole[501:])
    assert not store.is_kept(shelf, made_from)
    file.unlink()
    assert not store.is_kept(shelf, made_from)
    assert store.recall(folder, None, None) is None
    (shelf / "trial.json").write_text("{")
    assert not store.is_kept(shelf, made_from)


def test_a_failed_keeping_leaves_the_old_one(tmp_path: Path, shelf: Path) -> None:
    folder = tiny_trial(tmp_path / "data")
    trial = kept(folder, shelf)
    (tmp_path / ".shelf.abandoned").mkdir()
    broken = dataclasses.replace(trial, adcm=pd.DataFrame({"X": [object()]}))
    with pytest.raises(Exception, match=r"Could not convert|Expected bytes"):
        store.keep(broken, shelf, {})
    assert store.recall(folder, None, None) is not None
    assert {path.name for path in tmp_path.iterdir()} == {"data", "shelf"}


def test_a_workbook_counts_what_lies_beside_it(tmp_path: Path) -> None:
    book = tmp_path / "trial.xlsx"
    book.write_bytes(b"x")
    before = store.origin(book, None, None)
    (tmp_path / "dataset.yml").write_text("title: x")
    os.utime(tmp_path / "dataset.yml", (1, 1))
    assert store.origin(book, None, None) != before
