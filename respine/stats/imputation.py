"""Multiple imputation of repeated outcomes in a two-arm trial: missing at random, reference-based, delta-adjusted.

The outcomes are jointly normal by arm, with covariates in the mean (:mod:`respine.stats.imputation_model`). Parameters,
gaps and residuals are drawn once; :meth:`Imputations.completed` then fills the same draws in under each assumption, so
that two assumptions differ by what they assume and not by Monte-Carlo error.

A missing value is *intermittent* up to its participant's departure and *after departure* from there on. Intermittent
values are always imputed under missing at random. Imputed values are neither rounded nor clipped.

Pages: ``docs/methods/multiple-imputation.md`` and ``docs/methods/reference-based-imputation.md``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from respine.results import Estimate, not_estimable
from respine.stats.imputation_model import Group, Regressions, extents
from respine.stats.rubin import pooled_estimate

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]
BoolArray = NDArray[np.bool_]

Method = Literal["MAR", "J2R", "CR", "CIR"]
Arm = Literal["treatment", "control"]

METHODS: dict[Method, str] = {
    "MAR": "missing at random",
    "J2R": "jump to reference",
    "CR": "copy reference",
    "CIR": "copy increments in reference",
}
"""What is assumed after departure, and how a methods section names it."""

# Residual degrees of freedom that every regression must keep: with fewer, the predictive t distribution has tails that
# swamp the few values it was learnt from. The second is for the smallest trials, for which no better model is left.
_ENOUGH_DF = 10
_LEAST_DF = 5

# Values completed at a time: what this needs besides the result does not grow with the number of imputations.
_BLOCK = 4_000_000


@dataclass(frozen=True, eq=False)
class IncompleteData:
    """Repeated outcomes with missing values.

    Parameters
    ----------
    outcome
        (n, p): NaN where missing.
    columns
        For each column of ``outcome`` its variable and visit: ``[("VASPAIN", 0), ("ODI", 0), ("VASPAIN", 1), ...]``.
    treatment
        (n,): true in the treatment arm.
    covariates
        (n, c): complete baseline covariates in the mean of every outcome (dummies of country, say); no intercept.
    from_visit
        (n,): first visit that the departure affects; NaN, and by default, the visit after the participant's last
        observed outcome. A value observed later shows that the departure was later, and moves it.
    reference
        Arm that the reference-based methods copy; its own participants are imputed under missing at random.
    """

    outcome: FloatArray
    columns: Sequence[tuple[str, float]]
    treatment: BoolArray
    covariates: FloatArray | None = None
    from_visit: FloatArray | None = None
    reference: Arm = "control"

    def __post_init__(self) -> None:
        n, p = self.outcome.shape
        if len(self.columns) != p or len(set(self.columns)) != p:
            raise ValueError(f"{p} outcome columns need {p} different (variable, visit) names")
        if len(self.treatment) != n:
            raise ValueError(f"treatment has {len(self.treatment)} values, outcome {n} rows")
        if np.isinf(self.outcome).any():
            raise ValueError("outcome holds an infinite value")
        if self.covariates is not None and (len(self.covariates) != n or not np.isfinite(self.covariates).all()):
            raise ValueError(f"covariates must be complete, with {n} rows")

    @property
    def n(self) -> int:
        """Participants."""
        return int(self.outcome.shape[0])

    def position(self, columns: Sequence[tuple[str, float]]) -> IntArray:
        """Where these outcomes, by variable and visit, stand among the columns."""
        unknown = [column for column in columns if column not in self.columns]
        if unknown:
            raise ValueError(f"{unknown[0]} is not among the outcomes")
        return np.array([self.columns.index(column) for column in columns], dtype=np.intp)

    @cached_property
    def visits(self) -> FloatArray:
        """(p,): visit of each column."""
        return np.array([visit for _, visit in self.columns], float)

    @cached_property
    def missing(self) -> BoolArray:
        """(n, p)."""
        return np.isnan(self.outcome)

    @cached_property
    def departed(self) -> BoolArray:
        """(n, p): missing, at or after the visit of departure."""
        observed = np.where(self.missing, -math.inf, self.visits).max(axis=1, initial=-math.inf)
        affected = self.visits > observed[:, None]
        if self.from_visit is not None:
            start = np.where(np.isnan(self.from_visit), -math.inf, self.from_visit)
            affected &= self.visits >= start[:, None]
        departed: BoolArray = self.missing & affected
        return departed


@dataclass(frozen=True, eq=False)
class Imputations:
    """Draws of a normal model, from which completed data follow under each assumption.

    Attributes
    ----------
    data
        What was imputed.
    m
        Number of imputations.
    model
        How the outcomes were modelled, in words.
    note
        A named fallback, or outcomes that could not be imputed and stay missing; empty if none.
    """

    data: IncompleteData
    m: int
    model: str
    note: str
    _layout: _Layout = field(repr=False)
    _arms: tuple[Regressions, Regressions] = field(repr=False)
    _filled: FloatArray = field(repr=False)
    _residuals: FloatArray = field(repr=False)

    def completed(
        self,
        method: Method = "MAR",
        *,
        delta_treatment: Mapping[str, float] | None = None,
        delta_control: Mapping[str, float] | None = None,
        columns: Sequence[tuple[str, float]] | None = None,
    ) -> FloatArray:
        """(m, n, columns): the outcomes with every imputable value filled in; observed values are untouched.

        Parameters
        ----------
        method
            Assumption after departure.
        delta_treatment, delta_control
            By variable, what is added to each of an arm's imputed values after departure (in the outcome's unit; later
            values are not additionally moved through the model).
        columns
            The outcomes wanted, by variable and visit, in this order; by default all. A large trial needs memory for
            these only.
        """
        if method not in get_args(Method):
            raise ValueError(f"method {method!r}: one of {', '.join(METHODS)}")
        wanted = self.data.position(self.data.columns if columns is None else columns)
        shift = _shifts(self.data, delta_treatment or {}, delta_control or {})[:, wanted]
        completed = np.empty((self.m, self.data.n, len(wanted)))
        size = max(self.data.n * len(self.data.columns), 1)
        for some in np.array_split(np.arange(self.m), -(-self.m * size // _BLOCK)):
            arms = self._arms[0].of(some), self._arms[1].of(some)
            completed[some] = self._layout.complete(method, arms, self._filled[some], self._residuals[some], wanted)
            completed[some] += shift
        return completed


def impute(data: IncompleteData, *, m: int, seed: int) -> Imputations:
    """Draw ``m`` imputations from the posterior distribution of the normal model.

    The same seed gives the same draws; one arm's draws do not depend on the other arm's data unless the arms share a
    covariance (see ``note``).
    """
    if m < 1:
        raise ValueError("at least one imputation")
    layout = _Layout.of(data)
    streams = np.random.default_rng(seed).spawn(len(layout.groups) + 1)
    draws = [group.draw(m, rng) for group, rng in zip(layout.groups, streams[1:], strict=True)]
    filled = layout.gather([gaps for _, gaps in draws], m)
    residuals = streams[0].standard_normal((m, len(layout.tail), layout.p))
    arms = layout.by_arm([model for model, _ in draws])
    return Imputations(data, m, layout.model, layout.note, layout, arms, filled, residuals)


def conditional_means(data: IncompleteData, method: Method = "MAR") -> FloatArray:
    """(n, p): the outcomes with missing values replaced by their means given the observed ones, at maximum likelihood.

    Deterministic. Right for estimates that are linear in the outcome, such as a difference in means (Wolbers et al.
    2022); for others (responders) it is not an imputation.
    """
    layout = _Layout.of(data)
    completed: FloatArray = layout.conditional_means(method, None)[0]
    return completed


def conditional_mean_estimate(
    data: IncompleteData,
    method: Method,
    estimate: Callable[[FloatArray, IntArray], float],
    *,
    statistic: str,
    level: float = 0.95,
    **known: Any,
) -> Estimate:
    r"""Conditional-mean imputation with the jackknife standard error (Wolbers et al. 2022).

    .. math:: \mathrm{se}^2 = \frac{n-1}{n} \sum_i (\hat\theta_{(-i)} - \bar\theta_{(\cdot)})^2

    where :math:`\hat\theta_{(-i)}` repeats fit, imputation and analysis without participant i. The interval is normal.

    Parameters
    ----------
    estimate
        The analysis: from completed outcomes (rows, p) and the participants' row numbers in ``data`` to one number.
    statistic, level, known
        Fields of the result.
    """
    layout, everyone = _Layout.of(data), np.arange(data.n)
    method_text = f"conditional-mean imputation, {METHODS[method]}, jackknife standard error"
    value = estimate(layout.conditional_means(method, None)[0], everyone)
    replicates = np.empty(data.n)
    # A replicate holds a whole data set: not all of them at once.
    for some in np.array_split(everyone, max(1, math.ceil(data.n / 200))):
        weights = np.ones((len(some), data.n))
        weights[np.arange(len(some)), some] = 0
        for left_out, values in zip(some, layout.conditional_means(method, weights), strict=True):
            rows = np.delete(everyone, left_out)
            replicates[left_out] = estimate(values[rows], rows)
    if not (np.isfinite(value) and np.isfinite(replicates).all()):
        reason = layout.note or "the analysis gave no number for some replicate"
        return not_estimable(statistic, reason, method=method_text, **known)
    se = math.sqrt((data.n - 1) / data.n * float(np.sum((replicates - replicates.mean()) ** 2)))
    half = float(stats.norm.isf((1 - level) / 2)) * se
    return Estimate(
        statistic=statistic,
        value=value,
        lower=value - half,
        upper=value + half,
        level=level,
        p=float(2 * stats.norm.sf(abs(value) / se)) if se > 0 else math.nan,
        se=se,
        method=method_text,
        note=layout.note,
        **known,
    )


def tipping_surface(
    imputations: Imputations,
    analyse: Callable[[FloatArray], tuple[FloatArray, FloatArray]],
    *,
    variable: str,
    deltas: Sequence[float],
    statistic: str,
    df_complete: float = math.inf,
    level: float = 0.95,
) -> pd.DataFrame:
    """Pooled result for every pair of deltas, the treatment arm's and the control arm's.

    Parameters
    ----------
    analyse
        From completed outcomes (m, n, p) to m estimates and their m variances; a response is derived here.
    variable, deltas
        Variable whose imputed values after departure are moved, and by how much.
    statistic, df_complete, level
        As in :func:`respine.stats.rubin.pooled_estimate`.

    Returns
    -------
    DataFrame
        One row a pair: ``delta_treatment``, ``delta_control``, ``value``, ``lower``, ``upper``, ``p``, ``se``, ``df``,
        ``note``.
    """
    rows = []
    plain = imputations.completed("MAR")
    for delta_treatment in deltas:
        for delta_control in deltas:
            shift = _shifts(imputations.data, {variable: delta_treatment}, {variable: delta_control})
            estimate = pooled_estimate(statistic, *analyse(plain + shift), df_complete=df_complete, level=level)
            numbers = {name: getattr(estimate, name) for name in ("value", "lower", "upper", "p", "se", "df", "note")}
            rows.append({"delta_treatment": delta_treatment, "delta_control": delta_control} | numbers)
    return pd.DataFrame(rows)


def ancova(
    outcome: ArrayLike, treatment: ArrayLike, covariates: ArrayLike | None = None
) -> tuple[FloatArray, FloatArray, int]:
    """Adjusted difference in means, treatment - control, in many completed data sets at once (least squares).

    Parameters
    ----------
    outcome
        (m, n).
    treatment
        (n,): true in the treatment arm.
    covariates
        (n, c), or (m, n, c) where they were imputed themselves (a baseline value). Their rank must be full.

    Returns
    -------
    tuple
        (m,) differences, (m,) squared standard errors, and the residual degrees of freedom.
    """
    y, arm = np.asarray(outcome, float), np.asarray(treatment, float)
    m, n = y.shape
    columns = [np.ones((m, n, 1)), np.broadcast_to(arm[:, None], (m, n, 1))]
    if covariates is not None:
        extra = np.asarray(covariates, float)
        # In units of their spread around their means, which changes nothing but the numerics.
        extra = (extra - extra.mean(axis=-2, keepdims=True)) / extra.std(axis=-2, keepdims=True)
        columns.append(np.broadcast_to(extra, (m, n, extra.shape[-1])))
    x = np.concatenate(columns, axis=2)
    df = n - x.shape[2]
    inverse: Any = np.linalg.inv(x.transpose(0, 2, 1) @ x)
    coefficients = inverse @ (x.transpose(0, 2, 1) @ y[:, :, None])
    residual = y - (x @ coefficients)[:, :, 0]
    return coefficients[:, 1, 0], inverse[:, 1, 1] * (residual**2).sum(axis=1) / df, df


def arm_moments(data: IncompleteData, arm: Arm) -> tuple[FloatArray, FloatArray]:
    """Maximum-likelihood mean (n, p), at each participant's covariates, and covariance (p, p) of an arm's outcomes.

    NaN for outcomes that could not be modelled.
    """
    layout = _Layout.of(data)
    model = layout.by_arm([group.maximum_likelihood()[0] for group in layout.groups])[int(arm == "treatment")]
    p = len(data.columns)
    mean, covariance = np.full((data.n, p), math.nan), np.full((p, p), math.nan)
    mean[:, layout.used] = model.means(layout.x)[0] * layout.scale + layout.centre
    covariance[layout.used[:, None], layout.used] = model.covariance()[0] * layout.scale[:, None] * layout.scale
    return mean, covariance


def _listed(columns: list[tuple[str, float]]) -> str:
    """``A and B at visits 3, 6``: variables that share their visits together."""
    visits: dict[str, list[str]] = {}
    for variable, visit in columns:
        visits.setdefault(variable, []).append(f"{visit:g}")
    together: dict[tuple[str, ...], list[str]] = {}
    for variable, of in visits.items():
        together.setdefault(tuple(of), []).append(variable)
    return ", ".join(
        f"{' and '.join(names)} at visit{'s' * (len(of) > 1)} {', '.join(of)}" for of, names in together.items()
    )


@dataclass(frozen=True, eq=False)
class _Layout:
    """The data in the order and units of the model.

    Attributes
    ----------
    data
        What is to be imputed.
    used
        Columns of the data that are modelled, in order of visit.
    centre, scale
        Their means, and the standard deviation of the variable.
    x
        (n, q): intercept and centred covariates.
    y
        (n, p): standardised outcomes, 0 where missing.
    groups, members
        Participants that share regressions, and which they are. One group an arm, or one for both, whose last covariate
        is then the treatment arm.
    model, note
        As in :class:`Imputations`.
    """

    data: IncompleteData
    used: IntArray
    centre: FloatArray
    scale: FloatArray
    x: FloatArray
    y: FloatArray
    groups: tuple[Group, ...]
    members: tuple[IntArray, ...]
    model: str
    note: str

    @classmethod
    def of(cls, data: IncompleteData) -> _Layout:
        order = np.argsort(data.visits, kind="stable")
        enough = _enough(data)
        used = order[enough[order]]
        y = data.outcome[:, used]
        centre = np.array([np.nanmean(y[:, j]) for j in range(len(used))])
        # One unit a variable, whatever the visit: increments from visit to visit then need no conversion.
        variables = np.array([data.columns[j][0] for j in used])
        scale = np.array([np.nanstd((y - centre)[:, variables == variable]) or 1.0 for variable in variables])
        y = np.nan_to_num((y - centre) / scale)
        groups, members, model, notes = _choose_groups(data, used, y)
        lost = [data.columns[j] for j in np.flatnonzero(~enough & data.missing.any(axis=0)).tolist()]
        if lost:
            notes.append(f"too few observations to impute {_listed(lost) if len(used) else 'any outcome'}")
        if not data.missing.any():
            notes = []
        return cls(data, used, centre, scale, _design(data), y, groups, members, model, "; ".join(notes))

    @property
    def p(self) -> int:
        return len(self.used)

    @cached_property
    def ragged(self) -> IntArray:
        """Participants with gaps, in the groups' order."""
        return np.concatenate([m[g.ragged] for g, m in zip(self.groups, self.members, strict=True)])

    @cached_property
    def extent(self) -> IntArray:
        return extents(self.data.missing[:, self.used])

    @cached_property
    def tail(self) -> IntArray:
        """Participants with missing values after their last observed one."""
        return np.flatnonzero(self.extent < self.p)

    def gather(self, gaps: Sequence[FloatArray], batch: int) -> FloatArray:
        """(B, ragged, p) of all groups."""
        return np.concatenate([np.empty((batch, 0, self.p)), *gaps], axis=1)

    def by_arm(self, models: Sequence[Regressions]) -> tuple[Regressions, Regressions]:
        """Regressions of control and treatment on the covariates of :attr:`x`."""
        if len(models) == 2:
            return models[0], models[1]
        shared = models[0]
        keep = np.delete(np.arange(shared.coefficients.shape[1]), shared.q - 1)
        control = shared.coefficients[:, keep]
        treatment = control.copy()
        treatment[:, 0] += shared.coefficients[:, shared.q - 1]
        # Covariates that the shared regressions had to leave out have no effect.
        absent = np.zeros((len(control), self.x.shape[1] - shared.q + 1, self.p))
        arms = [
            np.concatenate([c[:, : shared.q - 1], absent, c[:, shared.q - 1 :]], axis=1) for c in (control, treatment)
        ]
        return tuple(Regressions(c, shared.variances, self.x.shape[1]) for c in arms)  # type: ignore[return-value]

    def conditional_means(self, method: Method, weights: FloatArray | None) -> FloatArray:
        """(B, n, p): data completed by conditional means, for each row of weights (B, n)."""
        fits = [
            g.maximum_likelihood(None if weights is None else weights[:, m])
            for g, m in zip(self.groups, self.members, strict=True)
        ]
        batch = 1 if weights is None else len(weights)
        filled = self.gather([gaps for _, gaps, _ in fits], batch)
        residuals = np.zeros((batch, len(self.tail), self.p))
        everything = np.arange(len(self.data.columns))
        return self.complete(method, self.by_arm([model for model, _, _ in fits]), filled, residuals, everything)

    def complete(
        self,
        method: Method,
        arms: tuple[Regressions, Regressions],
        filled: FloatArray,
        residuals: FloatArray,
        wanted: IntArray,
    ) -> FloatArray:
        """(B, n, wanted columns): observed values, gaps as filled, and the rest by the regressions of the method.

        Up to departure the participant's own arm is followed. From then on the deviations from the method's mean follow
        the reference arm's regressions, which gives the joint normal distribution of Carpenter, Roger and Kenward
        (2013) without a matrix to invert.
        """
        completed = np.repeat(self.data.outcome[None, :, wanted], len(residuals), axis=0)
        rows = np.union1d(self.ragged, self.tail)
        values = np.repeat(self.y[None, rows], len(residuals), axis=0)
        values[:, np.searchsorted(rows, self.ragged)] = filled
        tail = np.searchsorted(rows, self.tail)
        if len(tail):
            values[:, tail] = self._finish(method, arms, values[:, tail], residuals)
        for k, column in enumerate(wanted):
            for j in np.flatnonzero(self.used == column):
                unknown = self.data.missing[rows, column]
                completed[:, rows[unknown], k] = values[:, unknown, j] * self.scale[j] + self.centre[j]
        return completed

    def _finish(
        self, method: Method, arms: tuple[Regressions, Regressions], values: FloatArray, residuals: FloatArray
    ) -> FloatArray:
        """The tail participants' values (B, tail, p), continued after their extents."""
        reference = int(self.data.reference == "treatment")
        departed = self.data.departed[self.tail][:, self.used]
        for arm in (0, 1):
            rows = np.flatnonzero(self.data.treatment[self.tail] == arm)
            x, extent = self.x[self.tail[rows]], self.extent[self.tail[rows]]
            own, late = arms[arm].means(x), np.zeros((len(rows), self.p), bool)
            steps = [(arms[arm], own, ~late)]
            if method != "MAR" and arm != reference:
                late = departed[rows]
                target = self._target(method, own, arms[reference].means(x), late)
                steps = [(arms[arm], own, ~late), (arms[reference], target, late)]
            finished = values[:, rows]
            for model, mean, cells in steps:
                for j in range(self.p):
                    unknown = (extent <= j) & cells[:, j]
                    if unknown.any():
                        deviation = finished[:, unknown, :j] - mean[:, unknown, :j]
                        predicted = mean[:, unknown, j] + (deviation @ model.beta[:, :j, j, None])[:, :, 0]
                        noise = residuals[:, rows[unknown], j] * np.sqrt(model.variances[:, j, None])
                        finished[:, unknown, j] = predicted + noise
            values[:, rows] = finished
        return values

    def _target(self, method: Method, own: FloatArray, reference: FloatArray, late: BoolArray) -> FloatArray:
        """(B, rows, p): mean of the joint distribution that the method builds for participants who depart."""
        if method == "CR":
            return np.where(late.max(axis=1, keepdims=True), reference, own)
        target: FloatArray = np.array(np.where(late, reference, own))
        if method == "J2R":
            return target
        names = [self.data.columns[c] for c in self.used]
        for j, (variable, _) in enumerate(names):
            # The variable's last visit before departure carries what the treatment had gained until then.
            anchor = np.full(len(late), -1)
            for k in range(j):
                if names[k][0] == variable:
                    anchor = np.where(late[:, k], anchor, k)
            rows = np.flatnonzero(late[:, j] & (anchor >= 0))
            target[:, rows, j] += own[:, rows, anchor[rows]] - reference[:, rows, anchor[rows]]
        return target


def _shifts(data: IncompleteData, treatment: Mapping[str, float], control: Mapping[str, float]) -> FloatArray:
    """(n, p): what is added to the values imputed after departure."""
    unknown = (set(treatment) | set(control)) - {variable for variable, _ in data.columns}
    if unknown:
        raise ValueError(f"delta for {sorted(unknown)[0]!r}, which is not among the outcomes")
    of_treatment, of_control = (np.array([s.get(v, 0.0) for v, _ in data.columns]) for s in (treatment, control))
    return np.where(data.departed, np.where(data.treatment[:, None], of_treatment, of_control), 0.0)


def _design(data: IncompleteData) -> FloatArray:
    """Intercept and centred covariates: one whose effect cannot be estimated then drops out at its mean."""
    covariates = np.empty((data.n, 0)) if data.covariates is None else np.asarray(data.covariates, float)
    return np.column_stack([np.ones(data.n), covariates - covariates.sum(axis=0) / max(data.n, 1)])


def _enough(data: IncompleteData) -> BoolArray:
    """(p,): which outcomes have observations enough, in both arms, to be modelled at all."""
    observed = [(~data.missing[which]).sum(axis=0) for which in (data.treatment, ~data.treatment)]
    enough: BoolArray = (np.minimum(*observed) >= 2) & (np.sum(observed, axis=0) - 2 >= _LEAST_DF)
    return enough


def _choose_groups(
    data: IncompleteData, used: IntArray, y: FloatArray
) -> tuple[tuple[Group, ...], tuple[IntArray, ...], str, list[str]]:
    """The richest model that leaves every regression its degrees of freedom, and what had to be given up for it."""
    p, x, missing = len(used), _design(data), data.missing[:, used]
    arm = data.treatment.astype(float)[:, None]
    apart = tuple(np.flatnonzero(data.treatment == a) for a in (False, True))
    together = (np.arange(data.n),)
    shared, plain = np.hstack([x, arm]), np.hstack([x[:, :1], arm])
    candidates: list[tuple[tuple[IntArray, ...], FloatArray, int, int, list[str]]] = [
        (apart, x, p, _ENOUGH_DF, []),
        (together, shared, p, _ENOUGH_DF, ["too few participants for a covariance by arm: both arms share one"]),
        (
            together,
            plain,
            p,
            _ENOUGH_DF,
            [without := "too few participants for a covariance by arm and for covariates"],
        ),
    ]
    for window in range(p - 2, -1, -1):
        lost = [without, f"each outcome is regressed on the {window} before it only"]
        candidates.append((together, plain, window, _LEAST_DF, lost))
    for members, design, window, least, lost in candidates:  # noqa: B007 - the last one tried is returned
        groups = tuple(Group(design[rows], y[rows], missing[rows], window) for rows in members)
        if p == 0 or all(_residual_df(group) >= least for group in groups):
            break
    kind = "by arm" if len(groups) == 2 else "with one covariance for both arms"
    return groups, members, f"multivariate normal model {kind}", lost


def _residual_df(group: Group) -> int:
    """Fewest residual degrees of freedom among the regressions, counting observed outcomes only."""
    return int(((~group.missing).sum(axis=0) - group.predictors).min(initial=group.x.shape[0]))
