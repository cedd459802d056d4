"""Mixed model for repeated measures (MMRM).

A marginal linear model for the visits of a participant, y_i ~ N(X_i beta, Sigma_i), with Sigma a covariance matrix
between visits, fitted by REML or ML to all observed visits; it is valid where data are missing at random.
:func:`mmrm_by_visit` is the plan's model for change at each visit; :func:`fit` takes any design matrix.
Likelihood: :mod:`respine.stats.mmrm_likelihood`; degrees of freedom: :mod:`respine.stats.mmrm_inference`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, get_args

import numpy as np
import pandas as pd
from scipy.linalg import solve_triangular

from respine.results import Estimate
from respine.stats.linear import ARMS, BoolArray, FloatArray, adjustment, arm_indicators, complete_rows, ls_estimate
from respine.stats.mmrm_covariance import FALLBACK, LABELS, CovarianceName
from respine.stats.mmrm_inference import DegreesOfFreedom, Inference, infer
from respine.stats.mmrm_likelihood import (
    Design,
    Method,
    NoInteriorOptimumError,
    Outcome,
    maximise,
    outcome,
    prepare,
    visit_labels,
)

DF_LABELS: dict[DegreesOfFreedom, str] = {
    "satterthwaite": "Satterthwaite",
    "kenward-roger": "Kenward-Roger",
}


@dataclass(frozen=True)
class Contrasts:
    """Linear combinations L beta, one element a row of L; NaN where a row is not estimable."""

    value: FloatArray
    se: FloatArray
    df: FloatArray


@dataclass(frozen=True, repr=False, eq=False)
class MMRMFit:
    """A fitted MMRM.

    Parameters
    ----------
    covariance_structure, method
        ``un``, ``toeph``, ``ar1h`` or ``csh``; ``REML`` or ``ML``.
    coefficients
        One a column of X, NaN for columns that depend on those before them.
    covariance
        Sigma, visits x visits.
    deviance
        -2 log (restricted) likelihood, as SAS and nlme::gls print it.
    iterations
        Newton iterations.
    """

    covariance_structure: CovarianceName
    method: Method
    coefficients: FloatArray
    covariance: pd.DataFrame
    deviance: float
    n_participants: int
    n_observations: int
    iterations: int
    design: Design
    scale: float
    inference: Inference

    def contrasts(self, L: FloatArray, df: DegreesOfFreedom = "satterthwaite") -> Contrasts:
        """Estimates, standard errors and degrees of freedom of the rows of L (c x columns of X)."""
        _check_options(self.covariance_structure, self.method, df)
        L = np.atleast_2d(np.asarray(L, dtype=float))
        X = self.design.X
        C = solve_triangular(X.R, L[:, X.kept].T, trans="T").T
        value = L[:, X.kept] @ self.coefficients[X.kept]
        variance, degrees = self.inference.variance_and_df(C, df)
        estimable = X.estimable(L)
        return Contrasts(*(np.where(estimable, x, np.nan) for x in (value, self.scale * np.sqrt(variance), degrees)))

    def __repr__(self) -> str:
        return (
            f"MMRMFit({LABELS[self.covariance_structure]} covariance, {self.method}, "
            f"{self.n_participants} participants, {self.n_observations} observations, "
            f"-2 log likelihood {self.deviance:.4f})"
        )


def fit(
    y: Any, X: Any, subject: Any, visit: Any, covariance: CovarianceName = "un", method: Method = "REML"
) -> MMRMFit:
    """Fit an MMRM with any design matrix.

    Parameters
    ----------
    y, X, subject, visit
        Outcome (N), design matrix (N x p, may be collinear), participant and visit of each row, without missing values.
        Sorted (categories in their order), the visits are the rows of Sigma.
    covariance
        ``un`` unstructured; ``toeph``, ``ar1h``, ``csh``: Toeplitz, first-order autoregressive, compound symmetry, each
        with a variance for each visit.

    Raises
    ------
    ValueError
        If a participant has more than one row for a visit, or a value is missing.
    NoInteriorOptimumError
        If the likelihood has no maximum inside the parameter space; the message says why.
    """
    _check_options(covariance, method, "satterthwaite")
    values, matrix = np.asarray(y, dtype=float), np.asarray(X, dtype=float)
    if not (np.isfinite(values).all() and np.isfinite(matrix).all()):
        raise ValueError("y and X must be finite: leave incomplete rows out")
    design = prepare(matrix, subject, visit)
    return _fit(design, outcome(design, values), covariance, method)


def _check_options(covariance: str, method: str, df: str) -> None:
    for name, value, allowed in (
        ("covariance", covariance, FALLBACK),
        ("method", method, get_args(Method)),
        ("df", df, tuple(DF_LABELS)),
    ):
        if value not in allowed:
            raise ValueError(f"{name} {value!r}: one of {', '.join(allowed)}")
    if df == "kenward-roger" and method != "REML":
        raise ValueError("Kenward-Roger is defined for REML")


def _fit(design: Design, data: Outcome, name: CovarianceName, method: Method) -> MMRMFit:
    optimum = maximise(design, data, name, method)
    X, scale = design.X, data.scale
    N, k = X.Q.shape
    coefficients = np.full(k + X.null.shape[1], np.nan)
    coefficients[X.kept] = solve_triangular(X.R, data.gamma + scale * optimum.state.beta)
    deviance = optimum.state.deviance + 2 * N * math.log(scale)
    if method == "REML":
        deviance += 2 * np.log(np.abs(np.diag(X.R))).sum() - 2 * k * math.log(scale)
    return MMRMFit(
        covariance_structure=name,
        method=method,
        coefficients=coefficients,
        covariance=pd.DataFrame(optimum.covariance.sigma * scale**2, index=design.visits, columns=design.visits),
        deviance=float(deviance),
        n_participants=int(design.counts.sum()),
        n_observations=N,
        iterations=optimum.iterations,
        design=design,
        scale=scale,
        inference=infer(design, optimum),
    )


@dataclass(frozen=True, repr=False)
class MMRMResult:
    """LS means and differences by visit.

    Parameters
    ----------
    lsmeans
        By (visit, arm).
    differences
        By visit: treatment - control.
    fit
        The fitted model, None where no covariance structure has an interior optimum.
    fallbacks
        (structure, why it was left), in the order tried.
    notes
        Terms that dropped out, visits left out.
    """

    lsmeans: Mapping[tuple[Any, str], Estimate]
    differences: Mapping[Any, Estimate]
    fit: MMRMFit | None
    fallbacks: tuple[tuple[CovarianceName, str], ...]
    notes: tuple[str, ...]

    @property
    def covariance(self) -> pd.DataFrame | None:
        """Estimated covariance matrix between visits."""
        return self.fit.covariance if self.fit else None

    @property
    def covariance_structure(self) -> CovarianceName | None:
        """The structure that was fitted."""
        return self.fit.covariance_structure if self.fit else None

    @property
    def deviance(self) -> float:
        """-2 log (restricted) likelihood."""
        return self.fit.deviance if self.fit else math.nan

    @property
    def n_participants(self) -> int:
        """Participants with at least one visit in the fit."""
        return self.fit.n_participants if self.fit else 0

    @property
    def n_observations(self) -> int:
        """Visits in the fit."""
        return self.fit.n_observations if self.fit else 0

    def to_frame(self) -> pd.DataFrame:
        """One row a visit and arm, then the differences; columns visit, arm and the fields of an Estimate."""
        rows = [{"visit": visit, "arm": arm} | asdict(e) for (visit, arm), e in self.lsmeans.items()]
        rows += [{"visit": visit, "arm": "difference"} | asdict(e) for visit, e in self.differences.items()]
        return pd.DataFrame(rows)

    def __repr__(self) -> str:
        head = f"MMRMResult({self.fit or 'not estimable'})"
        why = [f"  {LABELS[name]}: {reason}" for name, reason in self.fallbacks]
        lines = [
            f"  visit {v}: {e.value:.4g} [{e.lower:.4g}, {e.upper:.4g}], p = {e.p:.4g}"
            if e.estimable
            else f"  {e.note}"
            for v, e in self.differences.items()
        ]
        return "\n".join([head, *why, *(f"  {note}" for note in self.notes), *lines])


@dataclass(frozen=True, eq=False)
class MMRMByVisit:
    """The plan's model prepared for a set of rows: fit it to one outcome or, after imputation, to many.

    Made by :func:`prepare_by_visit`.

    Parameters
    ----------
    rows
        Which rows of the data are in the model (boolean).
    outcome, design
        Of these rows; the design is None where there are none.
    L
        Rows: LS means of treatment at each fitted visit, those of control, their differences.
    visits
        All visits of the data, in order; those fitted are ``design.visits``.
    counts
        Participants with data by (visit, arm).
    notes
        Terms that dropped out, visits left out.
    left_out
        Reason for each visit that is not fitted.
    """

    rows: BoolArray
    outcome: FloatArray
    design: Design | None
    L: FloatArray
    visits: list[Any]
    counts: Mapping[tuple[Any, str], int]
    notes: tuple[str, ...]
    left_out: Mapping[Any, str]

    def fit(
        self,
        y: Any = None,
        *,
        covariance: CovarianceName = "un",
        method: Method = "REML",
        df: DegreesOfFreedom = "satterthwaite",
        level: float = 0.95,
        unit: str = "",
    ) -> MMRMResult:
        """Fit the model to its outcome, or to ``y`` (one value for each of its rows)."""
        _check_options(covariance, method, df)
        fitted, fallbacks, reason = self._first_interior(self.outcome if y is None else y, covariance, method)
        label = LABELS[fitted.covariance_structure if fitted else covariance]
        context: dict[str, Any] = {
            "method": f"MMRM, {label} covariance, {method}, {DF_LABELS[df]} degrees of freedom",
            "unit": unit,
            "note": "; ".join(f"{LABELS[name]} covariance left: {why}" for name, why in fallbacks),
        }
        found = fitted.contrasts(self.L, df) if fitted else Contrasts(*np.full((3, len(self.L)), np.nan))
        position = {visit: i for i, visit in enumerate(self.design.visits if self.design else [])}
        estimates: dict[tuple[Any, str], Estimate] = {}
        for visit in self.visits:
            n = {arm: self.counts.get((visit, arm), 0) for arm in ARMS}
            for block, kind in enumerate((*ARMS, "difference")):
                row = block * len(self.L) // 3 + position.get(visit, 0)
                value, se, dof = (float(x[row]) if len(x) else math.nan for x in (found.value, found.se, found.df))
                estimates[visit, kind] = ls_estimate(
                    kind, value, se, dof, n, level,
                    reason=self.left_out.get(visit, reason), where=f" at visit {visit}", **context,
                )  # fmt: skip
        differences = {visit: estimates.pop((visit, "difference")) for visit in self.visits}
        return MMRMResult(estimates, differences, fitted, fallbacks, self.notes)

    def _first_interior(
        self, y: Any, covariance: CovarianceName, method: Method
    ) -> tuple[MMRMFit | None, tuple[tuple[CovarianceName, str], ...], str]:
        """The fit of the first structure with an interior optimum, those left before it, and why there is none."""
        if self.design is None:
            return None, (), "no participant has data"
        try:
            data = outcome(self.design, np.asarray(y, dtype=float))
        except NoInteriorOptimumError as error:
            return None, (), str(error)
        left: list[tuple[CovarianceName, str]] = []
        for name in FALLBACK[FALLBACK.index(covariance) :]:
            try:
                return _fit(self.design, data, name, method), tuple(left), ""
            except NoInteriorOptimumError as error:
                left.append((name, str(error)))
        return None, tuple(left), f"no covariance structure has an interior optimum ({left[-1][1]})"


def prepare_by_visit(
    data: pd.DataFrame,
    outcome: str,
    subject: str,
    visit: str,
    arm: str,
    *,
    baseline: str | None = None,
    factors: Sequence[str] = (),
    covariates: Sequence[str] = (),
) -> MMRMByVisit:
    """Prepare outcome ~ visit + arm:visit + baseline:visit + factors + covariates; see :func:`mmrm_by_visit`."""
    own_names = [baseline] if baseline else []
    used = complete_rows(data, [outcome, subject, visit, *own_names, *factors, *covariates], arm)
    rows = data[used]
    codes, levels = pd.factorize(rows[visit], sort=True)
    present = visit_labels(levels)
    own = np.column_stack([arm_indicators(rows[arm]), *(rows[name].to_numpy(dtype=float) for name in own_names)])
    observed = zip(*(np.bincount(codes, column) for column in own[:, :2].T), strict=True)
    counts = {
        (v, a): int(n) for v, pair in zip(present, observed, strict=True) for a, n in zip(ARMS, pair, strict=True)
    }
    left_out = _saturated_visits(present, codes, rows[outcome].to_numpy(dtype=float), own)
    if left_out:
        stay = np.array([v not in left_out for v in present])[codes]
        rows, own, codes = rows[stay], own[stay], pd.factorize(codes[stay], sort=True)[0]
        used[used] = stay
    terms = adjustment(rows, factors, covariates)
    m = len(present) - len(left_out)
    at_visit = (codes[:, None] == np.arange(m)).astype(float)
    means = own[:, 2:].mean(axis=0) if m else []
    lsmeans = np.hstack(
        [np.eye(2 * m), *(x * np.tile(np.eye(m), (2, 1)) for x in means), np.tile(terms.reference, (2 * m, 1))]
    )
    return MMRMByVisit(
        rows=used,
        outcome=rows[outcome].to_numpy(dtype=float),
        design=prepare(
            np.hstack([*(column[:, None] * at_visit for column in own.T), terms.columns]),
            rows[subject].to_numpy(),
            rows[visit],
        )
        if m
        else None,
        L=np.vstack([lsmeans, lsmeans[:m] - lsmeans[m:]]),
        # A visit without any data has no place in the model, but its contrasts are reported.
        visits=visit_labels(pd.factorize(data[visit].dropna(), sort=True)[1]),
        counts=counts,
        notes=(*terms.notes, *left_out.values()),
        left_out=left_out,
    )


def _saturated_visits(visits: Any, codes: Any, y: FloatArray, own: FloatArray) -> dict[Any, str]:
    """Visits whose observations their own terms (arm, baseline) fit exactly: they say nothing about their variance."""
    reasons = {}
    for i, visit in enumerate(visits):
        X, values = own[codes == i], y[codes == i]
        residual = values - X @ np.linalg.lstsq(X, values)[0]
        if np.abs(residual).max() <= 1e-10 * np.abs(values).max():
            reasons[visit] = f"visit {visit} is not in the model: its own terms fit its {len(X)} observations exactly"
    return reasons


def mmrm_by_visit(
    data: pd.DataFrame,
    outcome: str,
    subject: str,
    visit: str,
    arm: str,
    *,
    baseline: str | None = None,
    factors: Sequence[str] = ("COUNTRY",),
    covariates: Sequence[str] = (),
    covariance: CovarianceName = "un",
    method: Method = "REML",
    df: DegreesOfFreedom = "satterthwaite",
    level: float = 0.95,
    unit: str = "",
) -> MMRMResult:
    """LS means by visit and arm and their differences, from outcome ~ visit + arm:visit + baseline:visit + factors.

    Parameters
    ----------
    data
        One row a participant and visit; rows with a missing outcome, arm or covariate are left out.
    outcome, subject, visit, arm, baseline, factors, covariates
        Column names. ``arm`` holds ``treatment`` and ``control``; ``visit`` sorts in time (categories in their order);
        ``baseline`` (numeric) is interacted with visit; ``factors`` and numeric ``covariates`` are main effects.
    covariance
        The first structure tried. Where it has no interior optimum the next of un, toeph, ar1h, csh is fitted, and
        ``fallbacks`` and the notes of all estimates say so.
    df
        ``satterthwaite``, or ``kenward-roger`` (linear parametrisation; REML only).

    Returns
    -------
    MMRMResult
        Differences are treatment - control. LS means give equal weight to factor levels and put covariates at their
        mean over the rows fitted (emmeans' convention). A contrast at a visit without data in an arm is not estimable;
        the others stand.

    Raises
    ------
    ValueError
        If a participant has more than one row for a visit, an arm has another name, a value is infinite, or an option
        is not one of those above.

    References
    ----------
    Mallinckrodt et al., Drug Information Journal 2008;42:303-319. Kenward and Roger, Biometrics 1997;53:983-997.
    """
    model = prepare_by_visit(
        data, outcome, subject, visit, arm, baseline=baseline, factors=factors, covariates=covariates
    )
    return model.fit(covariance=covariance, method=method, df=df, level=level, unit=unit)
