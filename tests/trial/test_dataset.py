from __future__ import annotations

import datetime as dt
import pickle
from pathlib import Path
from typing import Any

import pytest

from respine.trial import check, load_trial
from tests.builders import put, tiny_trial


def test_defaults_without_file(tmp_path: Path) -> None:
    info = load_trial(tiny_trial(tmp_path, dataset=None)).info
    assert (info.title, info.studyid, info.synthetic, info.cutoff) == ("TINY", "TINY", False, None)
    assert (info.treatment, info.control) == ("BM-MSC", "Sham")
    assert info.windows == {1: 21, 3: 30, 6: 30, 12: 60, 24: 60}


def test_all_keys(tmp_path: Path) -> None:
    content = {
        "title": " A trial ", "synthetic": True, "source": "s", "licence": "l", "cutoff": dt.date(2024, 1, 2),
        "windows": {12: 90},
    }  # fmt: skip
    info = load_trial(tiny_trial(tmp_path, dataset=content)).info
    assert (info.title, info.synthetic, info.source, info.licence) == ("A trial", True, "s", "l")
    assert info.cutoff == dt.date(2024, 1, 2)
    assert info.windows == {1: 21, 3: 30, 6: 30, 12: 90, 24: 60}


def test_windows_are_used(tmp_path: Path) -> None:
    late = put(3, ADY="60")  # month 1 is day 31
    assert check(tiny_trial(tmp_path, adqs=late)).n_warnings == 1
    assert check(tiny_trial(tmp_path, adqs=late, dataset={"windows": {1: 29}})).n_warnings == 0


@pytest.mark.parametrize(
    ("content", "column"),
    [
        ({"title": 3}, "title"),
        ({"title": ["a"]}, "title"),
        ({"synthetic": "yes"}, "synthetic"),
        ({"synthetic": 1}, "synthetic"),
        ({"cutoff": "2024-13-01"}, "cutoff"),
        ({"cutoff": "2024-1-1"}, "cutoff"),
        ({"cutoff": dt.datetime(2024, 1, 1, 12)}, "cutoff"),
        ({"treatment": False}, "treatment"),
        ({"treatment": "Sham"}, "treatment, control"),
        ({"control": " "}, "treatment, control"),
        ({"windows": {2: 30}}, "windows"),
        ({"windows": {1: -1}}, "windows"),
        ({"windows": 30}, "windows"),
        ({"license": "x"}, "license"),
        ({"Title": "x"}, "Title"),
        ({3: "x"}, "int"),
    ],
)
def test_wrong_values(tmp_path: Path, content: dict[Any, Any], column: str) -> None:
    errors = check(tiny_trial(tmp_path, dataset=content)).errors
    assert ("dataset.yml", column, "dataset.yml") in [(f.table, f.column, f.rule) for f in errors]
    assert all(f.allowed for f in errors)


@pytest.mark.parametrize(
    "content",
    [
        b"{",
        b"- a\n- b\n",
        b"text",
        b"title: \xff\n",
        b"a: &a [*a]\n? *a\n",
        b"cutoff: 2024-02-30\n",
        b"[" * 2_000,
        b"title: a\ntitle: b\n",
    ],
)
def test_unreadable_file_is_one_message(tmp_path: Path, content: bytes) -> None:
    tiny_trial(tmp_path)
    (tmp_path / "dataset.yml").write_bytes(content)
    assert {f.rule for f in check(tmp_path).errors} == {"dataset.yml"}


def test_alias_bomb_is_harmless(tmp_path: Path) -> None:
    tiny_trial(tmp_path)
    lines = ["a: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"b{i}: &a{i + 1} [{', '.join([f'*a{i}'] * 9)}]" for i in range(12)]
    (tmp_path / "dataset.yml").write_text("\n".join([*lines, "title: *a12"]))
    report = check(tmp_path)
    assert report.n_errors == 14
    assert len(report.summary()) < 5000


def test_empty_file_is_all_defaults(tmp_path: Path) -> None:
    tiny_trial(tmp_path)
    (tmp_path / "dataset.yml").write_text("# nothing\n")
    assert load_trial(tmp_path).info.title == "TINY"


def test_yaml_extension_is_not_silently_ignored(tmp_path: Path) -> None:
    tiny_trial(tmp_path)
    (tmp_path / "dataset.yml").rename(tmp_path / "dataset.yaml")
    assert [f.rule for f in check(tmp_path).errors] == ["dataset.yml"]


def test_hash_follows_content_and_nothing_else(tmp_path: Path) -> None:
    first = load_trial(tiny_trial(tmp_path / "a")).info
    again = load_trial(tiny_trial(tmp_path / "b", adsl=lambda t: t[t.columns[::-1]].assign(EXTRA="x", WORKBL=t.WORKBL)))
    assert again.info.sha256 == first.sha256
    absent = load_trial(tiny_trial(tmp_path / "c", adsl=lambda t: t.drop(columns="WORKBL"))).info
    empty = load_trial(tiny_trial(tmp_path / "d", adsl=lambda t: t.assign(WORKBL=""))).info
    assert absent.sha256 == empty.sha256 != first.sha256
    changed = load_trial(tiny_trial(tmp_path / "e", adqs=put(3, AVAL="33.3"))).info
    assert {name for name in first.sha256 if first.sha256[name] != changed.sha256[name]} == {"adqs"}
    assert changed.digest != first.digest
    turned = load_trial(tiny_trial(tmp_path / "f", adqs=lambda t: t.iloc[::-1])).info
    assert turned.sha256["adqs"] != first.sha256["adqs"]


def test_trial_can_be_sent_to_another_process(tmp_path: Path) -> None:
    trial = load_trial(tiny_trial(tmp_path))
    assert pickle.loads(pickle.dumps(trial)).info == trial.info
