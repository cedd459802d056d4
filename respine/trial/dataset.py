"""``dataset.yml``: what a data set says of itself."""

from __future__ import annotations

import datetime as dt
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from respine.trial.contract import DEFAULT_CONTROL, DEFAULT_TREATMENT, DEFAULT_WINDOWS
from respine.trial.days import iso_day
from respine.trial.findings import Findings, suggestion

FILE = "dataset.yml"
_MAX_BYTES = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The keys of ``dataset.yml`` with their defaults."""

    title: str = ""
    synthetic: bool = False
    source: str = ""
    licence: str = ""
    cutoff: dt.date | None = None
    treatment: str = DEFAULT_TREATMENT
    control: str = DEFAULT_CONTROL
    windows: Mapping[int, int] = field(default_factory=lambda: dict(DEFAULT_WINDOWS))


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetInfo(Settings):
    """What a loaded data set is.

    Parameters
    ----------
    title
        ``dataset.yml``'s title, else STUDYID.
    synthetic
        Whether the data are simulated: the report then says so everywhere.
    treatment, control
        Arm labels, as chosen by the caller, else ``dataset.yml``, else the defaults.
    windows
        Days by which a visit may miss its nominal day, by month.
    sha256
        By table, of its typed content: the contract's columns in the contract's order, rows in the file's order. The
        same in every file format; an absent optional column counts as empty; derived and extra columns do not count.
    digest
        SHA-256 of the tables' hashes: one for the whole.
    """

    studyid: str
    sha256: Mapping[str, str]
    digest: str


_TEXT = "text; in quotes where it looks like a number, a date or yes/no"
_ALLOWED = {
    "title": _TEXT,
    "synthetic": "true or false",
    "source": _TEXT,
    "licence": _TEXT,
    "cutoff": "a day, YYYY-MM-DD",
    "treatment": _TEXT,
    "control": _TEXT,
    "windows": f"days (whole numbers from 0) by month ({', '.join(map(str, DEFAULT_WINDOWS))})",
}


def read_settings(folder: Path, findings: Findings, treatment: str | None, control: str | None) -> Settings:
    """Settings of the data set; ``treatment`` and ``control`` override the file's. Violations go to ``findings``."""
    values = _read(folder, findings)
    chosen = {"treatment": treatment, "control": control}
    values |= {name: label.strip() for name, label in chosen.items() if label is not None}
    settings = Settings(**values)  # type: ignore[arg-type]
    if not settings.treatment or not settings.control or settings.treatment == settings.control:
        pair = f"treatment {settings.treatment!r}, control {settings.control!r}"
        findings.add("dataset.yml", FILE, "treatment, control", value=pair, allowed="the labels of two arms")
    return settings


class _Loader(yaml.SafeLoader):
    """YAML without objects of Python, in which no key may stand twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        for key in keys:
            if keys.count(key) > 1:
                raise ValueError(f"the key {key} stands twice")
        return super().construct_mapping(node, deep)


def _read(folder: Path, findings: Findings) -> dict[str, object]:
    path = next((p for p in sorted(folder.iterdir()) if p.name.lower() == FILE), None)
    if path is None:
        misnamed = folder / "dataset.yaml"
        if misnamed.exists():
            findings.add("dataset.yml", FILE, value=misnamed.name, allowed=f"the name {FILE}")
        return {}
    allowed = f"a YAML mapping with the keys {', '.join(_ALLOWED)}"
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise ValueError("larger than 1 MB")
        content = yaml.load(path.read_text(encoding="utf-8-sig"), _Loader)
    except (OSError, ValueError, yaml.YAMLError, RecursionError) as error:
        findings.add("dataset.yml", FILE, value=" ".join(str(error).split()), allowed=allowed)
        return {}
    if content is None:
        return {}
    if not isinstance(content, dict):
        findings.add("dataset.yml", FILE, value=type(content).__name__, allowed=allowed)
        return {}
    return _valid(content, findings)


def _valid(content: dict[object, object], findings: Findings) -> dict[str, object]:
    values: dict[str, object] = {}
    for key, given in content.items():
        # Never str() of a collection: YAML aliases can make a small file's value huge.
        name = key if isinstance(key, str) else type(key).__name__
        if name not in _ALLOWED:
            hint = "; did you mean 'licence'?" if name.lower() == "license" else suggestion(name, _ALLOWED)
            findings.add("dataset.yml", FILE, name, value=name, allowed=f"one of {', '.join(_ALLOWED)}{hint}")
            continue
        value = _convert(name, given)
        if value is not None:
            values[name] = value
        elif given is not None:
            shown = type(given).__name__ if isinstance(given, (dict, list)) else given
            findings.add("dataset.yml", FILE, name, value=shown, allowed=_ALLOWED[name])
    return values


def _convert(name: str, given: object) -> object | None:
    """The value in its type; None where it has another."""
    if name == "synthetic":
        return given if isinstance(given, bool) else None
    if name == "cutoff":
        return _day(given)
    if name == "windows":
        return _windows(given)
    return given.strip() if isinstance(given, str) else None


def _day(given: object) -> dt.date | None:
    if isinstance(given, str):
        return iso_day(given)
    # A datetime is a date too, and has more than a day.
    return given if type(given) is dt.date else None


def _windows(given: object) -> Mapping[int, int] | None:
    def days(value: object) -> bool:
        return isinstance(value, int) and not isinstance(value, bool) and value >= 0

    if not isinstance(given, dict) or not all(month in DEFAULT_WINDOWS and days(v) for month, v in given.items()):
        return None
    return DEFAULT_WINDOWS | given
