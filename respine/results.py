"""Results: one row a number, with everything needed to trust it.

Every analysis returns :class:`Result` rows; tables, figures, sentences, comparisons and regression tests read them and
nothing else. A row carries the number in full precision; how it is printed is decided by :mod:`respine.display`.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    import pandas as pd

NAN = math.nan
_ID = re.compile(r"[a-z0-9_]+(\.[a-z0-9_]+)+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """One estimated number, as a statistical function returns it.

    Parameters
    ----------
    statistic
        What the number is, in the field's words: ``"risk difference"``, ``"mean"``, ``"count"``.
    value
        The number in its own unit; proportions and risk differences lie in [-1, 1]. NaN where it is not estimable.
    lower, upper, level
        Confidence (or credible) limits and their level; NaN where there is no interval.
    p
        Two-sided p-value, NaN where no test is made.
    se, df
        Standard error and degrees of freedom where the method has them.
    n, n_treatment, n_control
        Participants behind the number, in all and by arm.
    method
        How it was computed, in words that a methods section could hold.
    unit
        ``"mm"``, ``"ms"``, ``"proportion"``, ``""`` for pure numbers.
    note
        A named fallback, or why the number is not estimable.
    """

    statistic: str
    value: float
    lower: float = NAN
    upper: float = NAN
    level: float = NAN
    p: float = NAN
    se: float = NAN
    df: float = NAN
    n: int | None = None
    n_treatment: int | None = None
    n_control: int | None = None
    method: str = ""
    unit: str = ""
    note: str = ""

    def __post_init__(self) -> None:
        if math.isnan(self.value) and not self.note:
            raise ValueError(f"{self.statistic}: a number that is not estimable needs a note saying why")
        if math.isinf(self.value):
            raise ValueError(f"{self.statistic}: infinite; return NaN with a note instead")

    @property
    def estimable(self) -> bool:
        """Whether there is a number at all."""
        return not math.isnan(self.value)

    def replace(self, **changes: Any) -> Self:
        """A copy with some fields changed."""
        return dataclasses.replace(self, **changes)


def not_estimable(statistic: str, reason: str, **known: Any) -> Estimate:
    """An :class:`Estimate` without a number, and the reason."""
    return Estimate(statistic=statistic, value=NAN, note=f"not estimable: {reason}", **known)


@dataclass(frozen=True, slots=True, kw_only=True)
class Result(Estimate):
    """An :class:`Estimate` in its place in the report.

    Parameters
    ----------
    id
        Dotted lower-case name, unique in the report: ``response.rd.mn``. Arms are named by role (``treatment``,
        ``control``), the primary visit by ``primary`` and other visits as ``m3``, so that no id depends on labels.
    analysis
        Title of the analysis the number belongs to.
    set
        Analysis set: ``ITT``, ``mITT``, ``PP``, ``SAF``; empty where none applies.
    arm
        ``treatment``, ``control``, ``difference``, ``overall`` or empty.
    parameter, visit
        CDISC parameter code and month.
    digits
        Decimals in print; None leaves the choice to the house rules for the unit.
    text
        For a statement (``statistic == "statement"``): the sentence; ``{id}`` and ``{id|part}`` in it name results.
    """

    id: str
    analysis: str = ""
    set: str = ""
    arm: str = ""
    parameter: str = ""
    visit: float | None = None
    digits: int | None = None
    text: str = ""

    def __post_init__(self) -> None:
        # Named explicitly: zero-argument super() breaks in dataclasses with slots.
        Estimate.__post_init__(self)
        if not _ID.fullmatch(self.id):
            raise ValueError(f"result id {self.id!r}: use dotted lower-case names such as 'response.rd.mn'")


COLUMNS = (
    "id", "analysis", "set", "arm", "parameter", "visit", "statistic", "value", "lower", "upper", "level", "p", "se",
    "df", "n", "n_treatment", "n_control", "method", "unit", "digits", "note", "text",
)  # fmt: skip
assert set(COLUMNS) == {f.name for f in fields(Result)}

_ESTIMATE_FIELDS = tuple(f.name for f in fields(Estimate))
_OPTIONAL_NUMBERS = ("visit", "n", "n_treatment", "n_control", "digits")
_FLOATS = ("value", "lower", "upper", "level", "p", "se", "df")


class UnknownResultError(KeyError):
    """A result id that no analysis has produced."""

    def __str__(self) -> str:
        return str(self.args[0])


class Results(Mapping[str, Result]):
    """An ordered collection of results with unique ids.

    >>> results = Results()
    >>> _ = results.add("response.n.treatment", Estimate(statistic="count", value=37), set="ITT")
    >>> results["response.n.treatment"].value
    37
    """

    def __init__(self, rows: Iterable[Result] = ()) -> None:
        self._rows: dict[str, Result] = {}
        for row in rows:
            self.append(row)

    def append(self, row: Result) -> Result:
        """Add one row; its id must be new."""
        if row.id in self._rows:
            raise ValueError(f"result id {row.id!r} is given twice")
        self._rows[row.id] = row
        return row

    def extend(self, rows: Iterable[Result]) -> None:
        """Add rows; every id must be new."""
        for row in rows:
            self.append(row)

    def add(self, id: str, estimate: Estimate, **context: Any) -> Result:
        """Put an estimate in its place: ``results.add("response.rd.mn", rd, analysis=..., set="ITT")``."""
        values = {name: getattr(estimate, name) for name in _ESTIMATE_FIELDS}
        return self.append(Result(id=id, **(values | context)))

    def state(self, id: str, text: str, **context: Any) -> Result:
        """Add a statement: a sentence chosen by the results, naming them as ``{id}`` or ``{id|part}``."""
        return self.append(Result(id=id, statistic="statement", value=NAN, note="statement", text=text, **context))

    def select(self, prefix: str) -> Results:
        """The results whose id is ``prefix`` or starts with ``prefix.``."""
        return Results(r for r in self.values() if r.id == prefix or r.id.startswith(prefix + "."))

    def __getitem__(self, id: str) -> Result:
        try:
            return self._rows[id]
        except KeyError:
            import difflib

            near = difflib.get_close_matches(id, self._rows, n=3)
            hint = f"; did you mean {', '.join(near)}?" if near else ""
            raise UnknownResultError(f"no result {id!r}{hint}") from None

    # Mapping's own ``in`` would build the hint above for every miss.
    def __contains__(self, id: object) -> bool:
        return id in self._rows

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    def __repr__(self) -> str:
        return f"Results({len(self)} rows)"

    def to_frame(self) -> pd.DataFrame:
        """One row a result, columns as :data:`COLUMNS`."""
        import pandas as pd

        frame = pd.DataFrame([[getattr(r, c) for c in COLUMNS] for r in self.values()], columns=list(COLUMNS))
        for column in ("n", "n_treatment", "n_control", "digits"):
            frame[column] = frame[column].astype("Int64")
        for column in (*_FLOATS, "visit"):
            frame[column] = frame[column].astype(float)
        return frame

    def to_records(self) -> list[dict[str, Any]]:
        """JSON-ready rows in full precision, empty fields left out; :meth:`from_records` is the inverse."""
        return [_to_record(r) for r in self.values()]

    @classmethod
    def from_records(cls, records: Iterable[Mapping[str, Any]]) -> Self:
        """Rows from :meth:`to_records`."""
        return cls(Result(**({"value": NAN} | dict(record))) for record in records)


def to_sort_by(value: float) -> float:
    """The value to ten significant digits.

    Estimates that are equal on paper may differ in their last digit, and otherwise on another processor; sorted by
    this they keep the order they come in, everywhere.
    """
    return float(f"{value:.10g}")


def _to_record(row: Result) -> dict[str, Any]:
    record: dict[str, Any] = {}
    for name in COLUMNS:
        value = getattr(row, name)
        if value is None or value == "" or (isinstance(value, float) and math.isnan(value)):
            continue
        # numpy scalars are not JSON; float() of a float64 keeps every digit.
        if name in _FLOATS:
            value = float(value)
        elif name in _OPTIONAL_NUMBERS:
            value = int(value) if float(value).is_integer() else float(value)
        record[name] = value
    return record
