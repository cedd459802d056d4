"""The contract as pandera schemas, for frames in a pipeline of one's own before they become files.

The package itself checks files by :func:`respine.trial.check`, which reads the same contract, knows the rules across
tables and names spreadsheet rows; a test holds the two to the same verdict on every column.
"""

from __future__ import annotations

import pandas as pd
import pandera.pandas as pa

from respine.trial.contract import TABLES, Column, Table, parameters_of

_DTYPES = {"number": float, "integer": float, "day": float, "date": "datetime64[s]", "text": object}


def schema(table: str) -> pa.DataFrameSchema:
    """The schema of one table: types, codes, ranges, empty cells, the key, and AVAL inside its parameter's range.

    It fits typed frames such as those of :class:`respine.trial.Trial`: numbers float64 (whole ones too, because they
    can be missing), dates ``datetime64[s]``, text objects. Extra columns are allowed.
    """
    spec = TABLES[table]
    checks = [pa.Check(_inside_range(spec), error="range")] if spec.longitudinal else []
    return pa.DataFrameSchema(
        {column.name: _column(column) for column in spec.columns if not column.derived},
        checks=checks,
        unique=list(spec.key),
        coerce=True,
        name=table,
    )


def _column(column: Column) -> pa.Column:
    checks = []
    if column.values:
        values = [float(v) for v in column.values] if column.numeric else list(column.values)
        checks.append(pa.Check.isin(values, error="code"))
    if column.type in ("integer", "day"):
        checks.append(pa.Check(lambda s: s == s.round(), error="whole-number"))
    if column.type == "day":
        checks.append(pa.Check(lambda s: s != 0, error="no-day-0"))
    if column.minimum is not None:
        checks.append(pa.Check.ge(column.minimum, error="range"))
    if column.maximum is not None:
        checks.append(pa.Check.le(column.maximum, error="range"))
    return pa.Column(
        _DTYPES[column.type],
        checks,
        nullable=column.may_be_blank,
        required=column.need == "required",
        title=column.label,
        description=column.allowed,
    )


def _inside_range(spec: Table) -> object:
    parameters = parameters_of(spec.name)
    low = {code: p.minimum for code, p in parameters.items()}
    high = {code: p.maximum for code, p in parameters.items() if p.maximum is not None}

    def inside(frame: pd.DataFrame) -> pd.Series:
        below = frame["AVAL"] < frame["PARAMCD"].map(low)
        above = frame["AVAL"] > frame["PARAMCD"].map(high)
        return ~(below | above)

    return inside
