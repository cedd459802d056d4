"""Published facts: what is public about the trial, with source and status, and nothing else.

The tables are ``data/published/published_results.csv`` and ``context_trials.csv``; the README beside them says where
they come from. A number that is not public has the status ``not available`` and no value.
"""

from __future__ import annotations

import csv
import difflib
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

if TYPE_CHECKING:
    import pandas as pd

PUBLISHED = Path(__file__).resolve().parents[2] / "data" / "published"
"""The folder of the tables in the repository."""

Status = Literal["published", "not available"]


class UnknownPublishedError(KeyError):
    """An id that the table of published results does not have."""

    def __str__(self) -> str:
        return str(self.args[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedValue:
    """One row of the published results.

    Parameters
    ----------
    id, section, quantity, arm, timepoint
        What the value is; ``arm`` is a label or ``all``.
    value
        As published, semicolons between several; empty where there is none.
    unit, p_value
        Unit, and the p-value published with it; empty where there is none.
    source
        doi, registry number or project record.
    status
        ``published`` or ``not available``.
    """

    id: str
    section: str
    quantity: str
    arm: str
    timepoint: str
    value: str
    unit: str
    p_value: str
    source: str
    status: Status

    def __post_init__(self) -> None:
        if self.status not in get_args(Status):
            raise ValueError(f"{self.id}: status {self.status!r} is neither 'published' nor 'not available'")
        if self.status == "not available" and (self.value or self.p_value):
            raise ValueError(f"{self.id}: a value stands in a row that is 'not available'")

    @property
    def available(self) -> bool:
        """Whether the fact is public."""
        return self.status == "published"

    @property
    def number(self) -> float:
        """The value as a number.

        Raises
        ------
        ValueError
            If it is not available, or not one number.
        """
        try:
            return float(self.value)
        except ValueError:
            found = repr(self.value) if self.value else self.status
            raise ValueError(f"{self.id} is not one number: {found}") from None


def published(id: str, folder: Path = PUBLISHED) -> PublishedValue:
    """The published result with this id.

    Raises
    ------
    UnknownPublishedError
        If there is none; the message names the nearest ids.
    """
    values = _read(folder)
    if id in values:
        return values[id]
    near = difflib.get_close_matches(id, values, n=3)
    hint = f"; did you mean {', '.join(near)}?" if near else ""
    raise UnknownPublishedError(f"no published result {id!r}{hint}")


def load_published(folder: Path = PUBLISHED) -> pd.DataFrame:
    """All published results, text as published; columns as the fields of :class:`PublishedValue`."""
    import pandas as pd

    columns = [field.name for field in fields(PublishedValue)]
    rows = [[getattr(value, column) for column in columns] for value in _read(folder).values()]
    return pd.DataFrame(rows, columns=columns)


def load_context_trials(folder: Path = PUBLISHED) -> pd.DataFrame:
    """Other controlled trials of cells injected into the disc: numbers as nullable integers, the rest text."""
    import pandas as pd

    frame = pd.read_csv(folder / "context_trials.csv", dtype=str, keep_default_na=False)
    for column in ("randomised", "compared_treatment", "compared_control"):
        frame[column] = pd.to_numeric(frame[column]).astype("Int64")
    return frame


@cache
def _read(folder: Path) -> dict[str, PublishedValue]:
    with (folder / "published_results.csv").open(encoding="utf-8", newline="") as file:
        rows = [PublishedValue(**row) for row in csv.DictReader(file)]  # type: ignore[arg-type]
    values = {row.id: row for row in rows}
    if len(values) != len(rows):
        raise ValueError("published_results.csv holds an id twice")
    return values
