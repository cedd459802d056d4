"""Design matrices, aliasing and LS means: what ANCOVA and MMRM share.

LS means follow the conventions of R's emmeans: factor levels have equal weights, numeric covariates stand at their mean
over the rows that were fitted.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import qr, solve_triangular
from scipy.special import stdtr, stdtrit

from respine.results import Estimate, not_estimable

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]
BoolArray = NDArray[np.bool_]

ARMS = ("treatment", "control")

# R's lm(): a column whose part orthogonal to the columns before it is shorter than this share of it is aliased.
_ALIAS_TOLERANCE = 1e-7
_ESTIMABLE_TOLERANCE = 1e-8

# One, and what rounding may take from it.
_LEAST_DF = 1 - 1e-6


def known(values: ArrayLike) -> FloatArray:
    """The values that are not missing, as floats."""
    array = pd.Series(values).to_numpy(dtype=float, na_value=np.nan)
    return np.asarray(array[~np.isnan(array)])


@dataclass(frozen=True)
class FullRank:
    """A design matrix X (N x p) of rank k without its aliased columns: ``X[:, kept] = Q R``.

    Parameters
    ----------
    kept
        Indices of the k columns kept; as in R, a column is dropped if it depends on those before it.
    Q, R
        Orthonormal columns (N x k) and upper triangle (k x k).
    null
        Basis of the null space of X, p x (p - k): one vector a dropped column.
    """

    kept: IntArray
    Q: FloatArray
    R: FloatArray
    null: FloatArray

    def estimable(self, L: FloatArray) -> BoolArray:
        """Which rows of L (c x p) are linear combinations of rows of X, that is orthogonal to its null space."""
        size = np.abs(L) @ np.abs(self.null)
        return np.asarray((np.abs(L @ self.null) <= _ESTIMABLE_TOLERANCE * size).all(axis=1))


def full_rank(X: FloatArray) -> FullRank:
    """Drop the aliased columns of a design matrix, first come first kept."""
    p = X.shape[1]
    norms = np.sqrt(np.einsum("ij,ij->j", X, X))
    scaled = X / np.where(norms > 0, norms, 1)
    kept = np.flatnonzero(norms > 0)
    while True:
        Q, R = qr(scaled[:, kept], mode="economic", overwrite_a=True, check_finite=False)
        # With more columns than rows, those beyond the rows have no diagonal element: they are dependent.
        diagonal = np.zeros(len(kept))
        diagonal[: len(R)] = np.abs(np.diag(R))
        dependent = np.flatnonzero(diagonal < _ALIAS_TOLERANCE)
        if not len(dependent):
            break
        # Only the first is certain: Householder columns after a dependent one point in arbitrary directions.
        kept = np.delete(kept, dependent[0])
    dropped = np.setdiff1d(np.arange(p), kept)
    null = np.zeros((p, len(dropped)))
    null[dropped, np.arange(len(dropped))] = 1
    combination = solve_triangular(R, Q.T @ scaled[:, dropped]) if len(kept) else np.zeros((0, len(dropped)))
    null[kept] = -np.where(np.abs(combination) > _ALIAS_TOLERANCE, combination, 0)
    null /= np.where(norms > 0, norms, 1)[:, None]
    return FullRank(kept=kept, Q=Q, R=R * norms[kept], null=null)


@dataclass(frozen=True)
class Adjustment:
    """The covariate columns of a model and the point at which LS means are taken.

    Parameters
    ----------
    columns
        N x k: treatment-coded factors (first level in sorted order is the reference), then numeric covariates.
    reference
        Length k: 1 / number of levels for each factor column, the mean for each covariate.
    notes
        Terms that dropped out, and why.
    """

    columns: FloatArray
    reference: FloatArray
    notes: tuple[str, ...]


def adjustment(data: pd.DataFrame, factors: Sequence[str], covariates: Sequence[str]) -> Adjustment:
    """Columns and LS-means reference of additive factors and covariates; a factor with one level drops out."""
    blocks: list[FloatArray] = [np.empty((len(data), 0))]
    reference: list[float] = []
    notes = []
    for name in factors:
        codes, levels = pd.factorize(data[name].astype(object), sort=True)
        if len(levels) < 2:
            notes += [f"{name} has one level and drops out"] * len(levels)
            continue
        blocks.append((codes[:, None] == np.arange(1, len(levels))).astype(float))
        reference += [1 / len(levels)] * (len(levels) - 1)
    for name in covariates:
        values = data[name].to_numpy(dtype=float)
        blocks.append(values[:, None])
        reference.append(float(values.mean()) if len(values) else 0.0)
    return Adjustment(np.hstack(blocks), np.array(reference), tuple(notes))


def complete_rows(data: pd.DataFrame, columns: Sequence[str], arm: str) -> BoolArray:
    """Which rows have every column and the arm, which must be ``treatment`` or ``control``; no value is infinite."""
    complete: BoolArray = np.logical_and.reduce([data[name].notna().to_numpy() for name in (*columns, arm)])
    unknown = sorted({str(value) for value in pd.unique(data[arm].to_numpy()[complete])} - set(ARMS))
    if unknown:
        raise ValueError(f"{arm}: arms are named 'treatment' and 'control', found {', '.join(unknown)}")
    for name in columns:
        if pd.api.types.is_numeric_dtype(data[name]) and np.isinf(data[name].to_numpy(float, na_value=np.nan)).any():
            raise ValueError(f"{name} holds an infinite value")
    return complete


def arm_indicators(arms: pd.Series[Any]) -> FloatArray:
    """N x 2: treatment, control."""
    return np.column_stack([(arms == arm).to_numpy() for arm in ARMS]).astype(float)


def t_estimate(statistic: str, value: float, se: float, df: float, level: float, **context: Any) -> Estimate:
    """An :class:`Estimate` with the interval value +- t(df) se and the two-sided p of value / se.

    Without residual variation or one degree of freedom there is a number but no interval, and the note says so: the
    approximate degrees of freedom of a mixed model in a handful of participants can be a small fraction of one, and the
    interval then reaches to billions.
    """
    note = context.pop("note", "")
    if not (df > _LEAST_DF and se > 0 and math.isfinite(se)):
        why = "no residual variation"
        if not df > _LEAST_DF:
            why = "fewer than one degree of freedom" if df > 0 else "no residual degrees of freedom"
        note = "; ".join(filter(None, [note, f"no interval: {why}"]))
        return Estimate(statistic=statistic, value=value, note=note, **context)
    half = float(stdtrit(df, (1 + level) / 2)) * se
    p = 2 * float(stdtr(df, -abs(value / se)))
    return Estimate(
        statistic=statistic, value=value, lower=value - half, upper=value + half, level=level,
        p=p, se=se, df=df, note=note, **context,
    )  # fmt: skip


def ls_estimate(
    kind: str,
    value: float,
    se: float,
    df: float,
    n: Mapping[str, int],
    level: float,
    *,
    reason: str = "",
    where: str = "",
    note: str = "",
    **context: Any,
) -> Estimate:
    """The LS mean of an arm (``kind``), or the ``difference`` of the two, or why it is not estimable.

    Parameters
    ----------
    value
        NaN where the linear combination is not estimable from the design.
    n
        Participants with data by arm.
    reason
        Why there is no fit at all.
    where
        Ends the reasons: ``" at visit 12"``.
    """
    difference = kind == "difference"
    statistic = "LS mean difference" if difference else "LS mean"
    known = context | {"n": sum(n.values()) if difference else n[kind]}
    if difference:
        known |= {"n_treatment": n["treatment"], "n_control": n["control"]}
    empty = [arm for arm in ARMS if (difference or arm == kind) and n[arm] == 0]
    if empty:
        return not_estimable(statistic, f"no {' and no '.join(empty)} participant with data{where}", **known)
    if reason or math.isnan(value):
        return not_estimable(statistic, reason or f"confounded with other terms{where}", **known)
    return t_estimate(statistic, value, se, df, level, note=note, **known)
