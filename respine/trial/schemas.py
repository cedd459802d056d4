"""The contract as pandera checks and schemas, built from :mod:`respine.trial.contract`, where every rule is written.

:func:`checks` are what :func:`respine.trial.check` holds the cells of a file to; it adds the rules across columns and
tables, and names spreadsheet rows. :func:`schema` puts the same checks together for a frame in a pipeline of one's own,
before it becomes a file.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd
import pandera.pandas as pa

from respine.trial.contract import TABLES, Column, Parameter, Table, parameters_of

_DTYPES = {"number": float, "integer": float, "day": float, "date": "datetime64[s]", "text": object}
_EXACT = 2.0**53
"""Beyond it a float64 no longer tells whole numbers apart."""


def checks(of: Column | Parameter) -> dict[str, pa.Check]:
    """The checks of one column's values, or of AVAL for one parameter, by rule, in the order they are reported.

    The rules are those of :data:`respine.trial.findings.RULES`; an empty cell breaks none of them.
    """
    result: dict[str, pa.Check] = {}
    if of.integer:
        result["whole-number"] = pa.Check(lambda s: (s == s.round()) & (s.abs() <= _EXACT), error="whole-number")
    if isinstance(of, Column):
        if of.type == "day":
            result["no-day-0"] = pa.Check(lambda s: s != 0, error="no-day-0")
        if of.values:
            codes = np.array(of.values, dtype=float) if of.numeric else np.array(of.values, dtype=object)
            result["code"] = pa.Check(lambda s: pd.Series(np.isin(s, codes), index=s.index), error="code")
    low = -np.inf if of.minimum is None else of.minimum
    high = np.inf if of.maximum is None else of.maximum
    if (low, high) != (-np.inf, np.inf):
        result["range"] = pa.Check(lambda s: (s >= low) & (s <= high), error="range")
    return result


def breaking(check: pa.Check, values: npt.NDArray[np.generic]) -> npt.NDArray[np.bool_]:
    """Which values break a check; missing ones do not."""
    result = np.zeros(len(values), dtype=bool)
    found = check(pd.Series(values))
    if not found.check_passed:
        kept: pd.Series = found.check_output
        result[kept.index[~kept.to_numpy(dtype=bool)]] = True
    return result


def schema(table: str) -> pa.DataFrameSchema:
    """The schema of one table: types, codes, ranges, empty cells, the key, and AVAL as its parameter asks.

    It fits typed frames such as those of :class:`respine.trial.Trial`: numbers float64 (whole ones too, because they
    can be missing), dates ``datetime64[s]``, text objects. Extra columns are allowed.
    """
    spec = TABLES[table]
    return pa.DataFrameSchema(
        {column.name: _column(column) for column in spec.columns if not column.derived},
        checks=[pa.Check(_as_parameters_ask(spec), error="AVAL")] if spec.longitudinal else [],
        unique=list(spec.key),
        coerce=True,
        name=table,
    )


def _column(column: Column) -> pa.Column:
    return pa.Column(
        _DTYPES[column.type],
        list(checks(column).values()),
        nullable=column.may_be_blank,
        required=column.need == "required",
        title=column.label,
        description=column.allowed,
    )


def _as_parameters_ask(spec: Table) -> object:
    def fits(frame: pd.DataFrame) -> pd.Series:
        result = pd.Series(True, index=frame.index)
        for code, parameter in parameters_of(spec.name).items():
            rows = (frame["PARAMCD"] == code).to_numpy()
            values = frame["AVAL"].to_numpy()[rows]
            wrong = np.logical_or.reduce([breaking(check, values) for check in checks(parameter).values()])
            result[rows] = ~wrong
        return result

    return fits
