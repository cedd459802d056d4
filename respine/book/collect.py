"""What the executed notebooks of a book carry: results with their places, studies, tables and figures."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from respine.inert import csv_text
from respine.results import COLUMNS, Result, Results

METADATA_KEY = "respine"
KINDS = ("study", "results", "table", "figure")


@dataclass(frozen=True, slots=True)
class Place:
    """Where something was computed: the chapter (its name in the table of contents), the cell's id and its position."""

    chapter: str
    cell: str
    index: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """A table or figure that a chapter shows."""

    kind: str
    label: str
    caption: str
    content: str
    """HTML of a table, SVG of a figure."""
    alt: str = ""
    notes: tuple[str, ...] = ()
    csv: str = ""
    results: tuple[str, ...] = ()
    place: Place


@dataclass(frozen=True, slots=True)
class StudyRecord:
    """The study that a chapter worked on: the plan's parameters and what the data set says of itself."""

    parameters: Mapping[str, Any]
    info: Mapping[str, Any]

    @property
    def synthetic(self) -> bool:
        """Whether the data are synthetic, by their own word."""
        return bool(self.info.get("synthetic"))


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong in a notebook, to be reported where it stands."""

    chapter: str
    cell: int
    message: str


@dataclass(slots=True)
class Collected:
    """Everything collected from a book's notebooks.

    Parameters
    ----------
    results, places
        All results, and by id where each was computed.
    outputs
        Tables and figures by label.
    study
        The study of the whole book: what the data set says of itself and the parameters that any chapter takes; None
        before anything was executed.
    cells
        For each chapter the ids of its cells, in order.
    problems
        What is wrong: a result or label given twice, chapters of different studies, a failed cell.
    """

    results: Results = field(default_factory=Results)
    places: dict[str, Place] = field(default_factory=dict)
    outputs: dict[str, Output] = field(default_factory=dict)
    study: StudyRecord | None = None
    cells: dict[str, tuple[str, ...]] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def write_csv(self, path: Path) -> None:
        """Write all results in full precision, with chapter and cell."""
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", encoding="utf-8", newline="") as stream:
            writer = csv.writer(stream, lineterminator="\n")
            writer.writerow([*COLUMNS, "chapter", "cell"])
            for id, result in self.results.items():
                place = self.places[id]
                writer.writerow([*(_csv_cell(getattr(result, c)) for c in COLUMNS), place.chapter, place.cell])


def _csv_cell(value: Any) -> str:
    if value is None or value != value:
        return ""
    # repr keeps every digit of a float; text from data must not become a formula.
    return repr(value) if isinstance(value, float) else csv_text(value)


def collect(notebooks: Mapping[str, Path]) -> Collected:
    """Read executed notebooks, given by chapter name in reading order."""
    collected = Collected()
    studies: dict[str, StudyRecord] = {}
    for chapter, path in notebooks.items():
        try:
            cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        except (OSError, ValueError, KeyError) as error:
            collected.problems.append(Problem(chapter, 0, f"not a notebook: {error}"))
            continue
        collected.cells[chapter] = tuple(cell.get("id", str(i)) for i, cell in enumerate(cells))
        for index, output in _outputs(cells):
            place = Place(chapter, collected.cells[chapter][index], index)
            try:
                _take(collected, studies, output, place)
            except (ValueError, KeyError, TypeError) as error:
                collected.problems.append(Problem(chapter, index, str(error)))
    collected.study = _one_study(studies, collected.problems)
    return collected


def _outputs(cells: list[dict[str, Any]]) -> Iterator[tuple[int, dict[str, Any]]]:
    for index, cell in enumerate(cells):
        for output in cell.get("outputs", ()):
            yield index, output


def _take(collected: Collected, studies: dict[str, StudyRecord], output: dict[str, Any], place: Place) -> None:
    if output["output_type"] == "error":
        raise ValueError(f"the cell failed with {output.get('ename')}: {output.get('evalue')}")
    own = output.get("metadata", {}).get(METADATA_KEY)
    if own is None:
        return
    kind = own.get("kind")
    if kind == "results":
        for result in Results.from_records(own["results"]).values():
            _take_result(collected, result, place)
    elif kind == "study":
        studies.setdefault(place.chapter, StudyRecord(own["parameters"], own["info"]))
    elif kind in ("table", "figure"):
        _take_output(collected, own, output["data"], place)
    else:
        raise ValueError(f"an output of kind {kind!r}; there are {', '.join(KINDS)}")


def _take_result(collected: Collected, result: Result, place: Place) -> None:
    if result.id in collected.places:
        first = collected.places[result.id]
        raise ValueError(f"result {result.id!r} is recorded twice, first in {first.chapter}, cell {first.index + 1}")
    collected.results.append(result)
    collected.places[result.id] = place


def _take_output(collected: Collected, own: dict[str, Any], data: dict[str, Any], place: Place) -> None:
    kind, label = own["kind"], own["label"]
    if label in collected.outputs:
        first = collected.outputs[label].place
        raise ValueError(f"label {label!r} is given twice, first in {first.chapter}, cell {first.index + 1}")
    content = data["text/html" if kind == "table" else "image/svg+xml"]
    collected.outputs[label] = Output(
        kind=kind,
        label=label,
        caption=own["caption"],
        content=content if isinstance(content, str) else "".join(content),
        alt=own.get("alt", ""),
        notes=tuple(own.get("notes", ())),
        csv=own.get("csv", ""),
        results=tuple(own.get("results", ())),
        place=place,
    )


def _one_study(studies: Mapping[str, StudyRecord], problems: list[Problem]) -> StudyRecord | None:
    """The one study that all chapters must share; each chapter names only the parameters it takes."""
    if not studies:
        return None
    parameters: dict[str, Any] = {}
    tables: dict[str, str] = {}
    info = dict(next(iter(studies.values())).info)
    for chapter, study in studies.items():
        differing = {k for k, v in study.parameters.items() if parameters.setdefault(k, v) != v}
        differing |= {k for k in {*info, *study.info} - {"sha256"} if info.get(k) != study.info.get(k)}
        # A chapter names the tables it reads, and no others.
        hashes = study.info.get("sha256", {})
        differing |= {f"table {k}" for k, v in hashes.items() if tables.setdefault(k, v) != v}
        if differing:
            first = next(iter(studies))
            names = ", ".join(sorted(differing))
            problems.append(Problem(chapter, 0, f"executed on another study than {first} and later: {names} differ"))
    return StudyRecord(parameters, {**info, "sha256": tables} if tables else info)
