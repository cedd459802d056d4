r"""Adjusted risk difference: g-computation (standardisation) after logistic regression.

With a logistic model of the response on arm and baseline covariates, every participant gets a predicted risk under
treatment, :math:`\hat\mu_1(x_i)`, and under control, :math:`\hat\mu_0(x_i)`; their means over all participants of both
arms are the standardised risks. Page: ``docs/methods/adjusted-risk-difference.md``.

:func:`adjusted_risk_difference` is the analysis of one data set. :func:`standardised_risks` is its numerical core, in
numpy alone and vectorised over data sets, for multiple imputation and simulation.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, cast

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import special

from respine.results import NAN, Estimate, not_estimable
from respine.stats.proportions import Floats, as_arm, proportion, risk_difference, risk_ratio

Fit = Literal["maximum likelihood", "Firth", "unadjusted"]

_FIT_NAMES: dict[Fit, str] = {
    "maximum likelihood": "g-computation from logistic regression",
    "Firth": "g-computation from Firth-penalised logistic regression",
    "unadjusted": "unadjusted risk difference",
}
# Linear predictors up to this are harmless; beyond it, the information is looked at.
_LARGE_LINEAR_PREDICTOR = 15.0
_LEAST_INFORMATION = 1e-10
# Share of a column's SD that other columns must leave unexplained. Below it the cross-products, in which the share is
# squared, could no longer tell a column of its own from rounding, and the fit would be given up.
_COLLINEAR = 1e-6
_ITERATIONS = 100
_TOLERANCE = 1e-10
_BLOCK = 1_000_000
"""Participants over all data sets that are fitted at a time, so that memory does not grow with the data sets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StandardisedRisks:
    """Standardised risks of M data sets.

    Parameters
    ----------
    risk_treatment, risk_control
        Standardised risks, shape (M,).
    covariance
        Covariance of (risk under treatment, risk under control), shape (M, 2, 2), covariates random: the main one.
    covariance_fixed
        The same with covariates fixed: delta method on the HC0 sandwich (divisor n).
    covariance_model
        The same with covariates fixed: delta method on the inverse information.
    fit
        How each data set was fitted: ``"maximum likelihood"``, ``"Firth"`` or ``"unadjusted"``, shape (M,).
    parameters
        Columns of the design matrix; complete-data degrees of freedom are n - parameters.
    """

    risk_treatment: Floats
    risk_control: Floats
    covariance: Floats
    covariance_fixed: Floats
    covariance_model: Floats
    fit: npt.NDArray[np.str_]
    parameters: int

    @property
    def difference(self) -> Floats:
        """Risk differences, shape (M,)."""
        return self.risk_treatment - self.risk_control

    @property
    def variance(self) -> Floats:
        """Variances of the risk differences with covariates random, shape (M,)."""
        return difference_variance(self.covariance)


_ARRAYS = tuple(field.name for field in dataclasses.fields(StandardisedRisks) if field.name != "parameters")


def difference_variance(covariance: Floats) -> Floats:
    """Variance of risk under treatment - risk under control, from covariances of shape (..., 2, 2)."""
    return covariance[..., 0, 0] + covariance[..., 1, 1] - 2 * covariance[..., 0, 1]


@dataclass(frozen=True, slots=True, kw_only=True)
class AdjustedRiskDifference:
    """The adjusted analysis of one data set.

    Parameters
    ----------
    risk_treatment, risk_control, difference, ratio
        Standardised risks, their difference and ratio, with covariates random.
    difference_fixed, difference_model
        The same difference with the two standard errors that hold the covariates fixed: HC0 sandwich, model-based.
    fit
        ``"maximum likelihood"``, or the fallback that was taken.
    parameters
        Parameters of the logistic model.
    """

    risk_treatment: Estimate
    risk_control: Estimate
    difference: Estimate
    difference_fixed: Estimate
    difference_model: Estimate
    ratio: Estimate
    fit: Fit
    parameters: int

    def to_frame(self) -> pd.DataFrame:
        """One row an estimate, indexed by its name; columns as :class:`respine.results.Estimate`."""
        estimates = {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)
            if isinstance(getattr(self, field.name), Estimate)
        }
        return pd.DataFrame.from_dict({k: dataclasses.asdict(v) for k, v in estimates.items()}, orient="index")


# --- one data set -----------------------------------------------------------------------------------------------------


def adjusted_risk_difference(
    response: npt.ArrayLike,
    treated: npt.ArrayLike,
    covariates: pd.DataFrame,
    *,
    level: float = 0.95,
    small_sample: bool = False,
) -> AdjustedRiskDifference:
    r"""Risk difference standardised by g-computation from logit(response) ~ arm + covariates.

    .. math:: \hat d = \frac1n \sum_i \{\hat\mu_1(x_i) - \hat\mu_0(x_i)\}

    Parameters
    ----------
    response
        0 or 1 (or boolean) by participant; missing allowed.
    treated
        Whether the participant is in the treatment arm.
    covariates
        One row a participant in the same order: numbers enter linearly, everything else as indicators of its levels.
        May have no column. Participants with a missing response or covariate are left out, and the note says how many.
    level
        Confidence level of the normal intervals.
    small_sample
        Multiply the influence-function and HC0 variances by n / (n - parameters).

    Returns
    -------
    AdjustedRiskDifference
        Standard errors: ``difference`` from the efficient influence function
        :math:`\psi_i = \frac{A_i}{\pi}(Y_i - \hat\mu_1) - \frac{1 - A_i}{1 - \pi}(Y_i - \hat\mu_0) + \hat\mu_1 -
        \hat\mu_0 - \hat d`, :math:`\sum\psi_i^2 / n^2`, so that covariates are random and the effect unconditional;
        ``difference_fixed`` from the delta method on the HC0 sandwich; ``difference_model`` on the inverse information.
        The ratio's interval is made on the log scale. Limits are cut at the ends of the parameter space.
        Constant and collinear covariates drop out, with a note. Under separation the Firth-penalised fit takes over;
        where that cannot help (no covariates, no variation in the response, no convergence), and where there are no
        more participants than terms, the unadjusted difference
        with its Miettinen-Nurminen interval; method and note name the fallback. Not estimable where an arm is empty.

    Notes
    -----
    Ge et al. 2011, doi 10.1177/009286151104500409; Steingrimsson et al. 2017, doi 10.1016/j.cct.2016.12.026;
    FDA 2023, Adjusting for Covariates in Randomized Clinical Trials; Firth 1993, doi 10.1093/biomet/80.1.27.
    """
    outcome = pd.array(np.asarray(response), dtype="Float64").to_numpy(dtype=float, na_value=np.nan)
    arm = as_arm(treated)
    if not len(outcome) == len(arm) == len(covariates):
        raise ValueError(f"lengths differ: response {len(outcome)}, treated {len(arm)}, covariates {len(covariates)}")
    if not np.isin(outcome[~np.isnan(outcome)], (0, 1)).all():
        raise ValueError("response holds values other than 0, 1 and missing")
    if np.isinf(covariates.select_dtypes("number").to_numpy(dtype=float, na_value=np.nan)).any():
        raise ValueError("covariates hold infinite values")
    complete = ~np.isnan(outcome) & covariates.notna().all(axis=1).to_numpy(dtype=bool)
    outcome, arm, used = outcome[complete], arm[complete], covariates[complete]
    n1, n0 = int(arm.sum()), int((~arm).sum())
    lost = int((~complete).sum())
    notes = [f"{lost} participant{'s' * (lost != 1)} with a missing value left out"] if lost else []
    if n1 == 0 or n0 == 0:
        return _empty_arm(n1, n0, level)
    design, dropped = design_matrix(arm, used)
    if dropped:
        notes.append(f"constant or collinear terms left out: {', '.join(dropped)}")
    risks = standardised_risks(outcome, design, small_sample=small_sample)
    fit = cast(Fit, str(risks.fit[0]))
    if fit == "unadjusted":
        counts = int(outcome[arm].sum()), n1, int(outcome[~arm].sum()), n0
        return _unadjusted(counts, risks, level, "; ".join([*notes, _why_unadjusted(outcome, design)]))
    if fit == "Firth":
        notes.append("separation: maximum likelihood has no finite estimate, Firth's penalised likelihood used")
    return _estimates(risks, fit, n1, n0, level, small_sample, "; ".join(notes))


def design_matrix(treated: npt.ArrayLike, covariates: pd.DataFrame) -> tuple[Floats, list[str]]:
    """Design matrix of the logistic model, and the names of the terms that drop out.

    Columns: intercept, arm (1 under treatment), numeric covariates (centred and scaled to SD 1, which changes no
    predicted risk), indicators of all but the first observed level of the others. A column that is constant or, to a
    millionth of its SD, a linear combination of those before it drops out.

    Parameters
    ----------
    treated
        Whether the participant is in the treatment arm, shape (n,).
    covariates
        One row a participant, no missing values.

    Returns
    -------
    (n, p) array, list of str
    """
    arm = np.asarray(treated, dtype=float)
    named: list[tuple[str, Floats]] = []
    dropped: list[str] = []
    for name in covariates.columns:
        column = covariates[name]
        if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column):
            named.append((str(name), column.to_numpy(dtype=float)))
            continue
        observed = sorted(column.unique().tolist(), key=str)
        if len(observed) < 2:
            dropped.append(str(name))
        named += [(f"{name}[{value}]", (column == value).to_numpy(dtype=float)) for value in observed[1:]]
    columns = [np.ones(len(arm)), arm]
    basis = np.zeros((len(arm), 2 + len(named)), order="F")
    first = np.linalg.qr(np.column_stack(columns))[0]
    basis[:, : first.shape[1]] = first  # fewer columns than two where there are fewer participants
    for label, values in named:
        scale = values.std() if len(values) else 0.0
        scaled = (values - values.mean()) / scale if scale > 0 else values * 0
        known = basis[:, : len(columns)]
        residual = scaled - known @ (known.T @ scaled)
        residual -= known @ (known.T @ residual)  # twice: once leaves rounding errors of the size of the column
        length = np.linalg.norm(residual)
        if length <= _COLLINEAR * np.sqrt(len(arm)):
            dropped.append(label)
        else:
            basis[:, len(columns)] = residual / length
            columns.append(scaled)
    return np.column_stack(columns), dropped


def _estimates(
    risks: StandardisedRisks, fit: Fit, n1: int, n0: int, level: float, small_sample: bool, note: str
) -> AdjustedRiskDifference:
    known: dict[str, Any] = {"n": n1 + n0, "n_treatment": n1, "n_control": n0, "level": level, "note": note}
    factor = ", small-sample factor n/(n - parameters)" if small_sample else ""
    main = (
        f"influence-function standard error with covariates random{factor}"
        if fit == "maximum likelihood"
        else "model-based standard error with covariates random"
    )
    fixed = f"HC0 sandwich standard error with covariates fixed{factor}"
    model = "model-based standard error with covariates fixed"

    def estimate(statistic: str, value: float, variance: float, error: str) -> Estimate:
        method = f"{_FIT_NAMES[fit]}, {error}, normal interval"
        return _normal_estimate(statistic, value, variance, {**known, "method": method})

    difference = float(risks.difference[0])
    return AdjustedRiskDifference(
        risk_treatment=estimate(
            "standardised risk", float(risks.risk_treatment[0]), float(risks.covariance[0, 0, 0]), main
        ),
        risk_control=estimate(
            "standardised risk", float(risks.risk_control[0]), float(risks.covariance[0, 1, 1]), main
        ),
        difference=estimate("risk difference", difference, float(risks.variance[0]), main),
        difference_fixed=estimate(
            "risk difference", difference, float(difference_variance(risks.covariance_fixed[0])), fixed
        ),
        difference_model=estimate(
            "risk difference", difference, float(difference_variance(risks.covariance_model[0])), model
        ),
        ratio=_ratio_estimate(risks, {**known, "method": f"{_FIT_NAMES[fit]}, {main}, normal interval of the log"}),
        fit=fit,
        parameters=risks.parameters,
    )


def _normal_estimate(statistic: str, value: float, variance: float, known: dict[str, Any]) -> Estimate:
    """A risk or a risk difference with its normal interval, cut at the ends of the parameter space."""
    se = float(np.sqrt(variance))
    half = float(special.ndtri((1 + known["level"]) / 2)) * se
    is_difference = statistic == "risk difference"
    return Estimate(
        statistic=statistic,
        value=value,
        lower=max(value - half, -1.0 if is_difference else 0.0),
        upper=min(value + half, 1.0),
        p=float(2 * special.ndtr(-abs(value) / se)) if is_difference else NAN,
        se=se,
        unit="proportion",
        **known,
    )


def _ratio_estimate(risks: StandardisedRisks, known: dict[str, Any]) -> Estimate:
    r1, r0, V = float(risks.risk_treatment[0]), float(risks.risk_control[0]), risks.covariance[0]
    se = float(np.sqrt(V[0, 0] / r1**2 + V[1, 1] / r0**2 - 2 * V[0, 1] / (r1 * r0)))
    ratio, half = r1 / r0, float(special.ndtri((1 + known["level"]) / 2)) * se
    return Estimate(
        statistic="risk ratio",
        value=ratio,
        lower=float(ratio * np.exp(-half)),
        upper=float(ratio * np.exp(half)),
        p=float(2 * special.ndtr(-abs(np.log(ratio)) / se)),
        **known,
    )


def _why_unadjusted(outcome: Floats, design: Floats) -> str:
    if outcome.min() == outcome.max():
        return "unadjusted: the response is the same in all participants"
    if design.shape[0] <= design.shape[1]:
        return "unadjusted: no more participants than terms in the model"
    if design.shape[1] == 2:
        return "unadjusted: the response does not vary in one of the arms"
    return "unadjusted: neither the logistic regression nor its Firth-penalised form converged"


def _unadjusted(
    counts: tuple[int, int, int, int], risks: StandardisedRisks, level: float, note: str
) -> AdjustedRiskDifference:
    x1, n1, x0, n0 = counts
    arms = {"n": n1 + n0, "n_treatment": n1, "n_control": n0}
    method = f"{_FIT_NAMES['unadjusted']}, Miettinen-Nurminen interval, Agresti-Caffo standard error"
    difference = risk_difference(*counts, level=level).replace(
        se=float(np.sqrt(risks.variance[0])), method=method, note=note
    )
    ratio = risk_ratio(*counts, level=level)
    risk1, risk0 = (
        proportion(x, n, level=level, method="wilson").replace(statistic="standardised risk", note=note, **arms)
        for x, n in ((x1, n1), (x0, n0))
    )
    return AdjustedRiskDifference(
        risk_treatment=risk1,
        risk_control=risk0,
        difference=difference,
        difference_fixed=difference,
        difference_model=difference,
        ratio=ratio.replace(note="; ".join(filter(None, [ratio.note, note]))),
        fit="unadjusted",
        parameters=2,
    )


def _empty_arm(n1: int, n0: int, level: float) -> AdjustedRiskDifference:
    empty = " and the ".join(arm for arm, n in (("treatment", n1), ("control", n0)) if n == 0)
    known: dict[str, Any] = {"n": n1 + n0, "n_treatment": n1, "n_control": n0, "level": level}
    known["method"] = _FIT_NAMES["maximum likelihood"]

    def missing(statistic: str, unit: str = "proportion") -> Estimate:
        return not_estimable(statistic, f"no participants with data in the {empty} arm", unit=unit, **known)

    return AdjustedRiskDifference(
        risk_treatment=missing("standardised risk"),
        risk_control=missing("standardised risk"),
        difference=missing("risk difference"),
        difference_fixed=missing("risk difference"),
        difference_model=missing("risk difference"),
        ratio=missing("risk ratio", unit=""),
        fit="unadjusted",
        parameters=0,
    )


# --- many data sets ---------------------------------------------------------------------------------------------------


def standardised_risks(
    response: npt.ArrayLike, design: npt.ArrayLike, *, small_sample: bool = False
) -> StandardisedRisks:
    """Standardised risks and their three covariances for M data sets of the same size at once.

    Parameters
    ----------
    response
        0 or 1, shape (M, n) or (n,); no missing values.
    design
        Design matrices, shape (M, n, p), or (n, p) for all data sets; column 0 is the intercept, column 1 is 1 under
        treatment and 0 under control, both arms present.
    small_sample
        Multiply the influence-function and HC0 covariances by n / (n - p).

    Returns
    -------
    StandardisedRisks
        Data sets in which maximum likelihood has no finite estimate get the Firth-penalised fit, whose main covariance
        is model-based (plus the spread of the predicted risks over participants), for under separation residuals
        understate the error. Where there are no covariates, the response does not vary, the design is rank deficient or
        has as many columns as participants, or Firth's fit does not converge: the plain risks, with the Agresti-Caffo
        variance (one event and one non-event added to each arm), which is never 0.
    """
    y, designs = np.atleast_2d(np.asarray(response, dtype=float)), _Designs(np.asarray(design, dtype=float))
    parts = [
        _standardised_risks(y[rows], designs.of(rows), small_sample)
        for rows in np.array_split(np.arange(len(y)), max(1, -(-y.size // _BLOCK)))
    ]
    return StandardisedRisks(
        **{name: np.concatenate([getattr(part, name) for part in parts]) for name in _ARRAYS},
        parameters=designs.columns,
    )


def _standardised_risks(y: Floats, designs: _Designs, small_sample: bool) -> StandardisedRisks:
    p = designs.columns
    gram = np.swapaxes(designs.X, -1, -2) @ designs.X
    full_rank = np.broadcast_to(np.linalg.matrix_rank(gram, hermitian=True) == p, len(y))
    varies = y.min(axis=1) < y.max(axis=1)
    fit = np.full(len(y), "unadjusted", dtype="<U18")
    beta = np.zeros((len(y), p))
    # With a term for every participant the fit is a description: its residuals have nothing left to say.
    todo = np.flatnonzero(full_rank & varies & (y.shape[1] > p))
    beta[todo], done = _newton(y[todo], designs.of(todo), firth=False)
    fit[todo[done]] = "maximum likelihood"
    if p > 2:
        todo = todo[~done]
        beta[todo], done = _newton(y[todo], designs.of(todo), firth=True)
        fit[todo[done]] = "Firth"
    risks, covariances = _standardise(y, designs, beta, fit == "Firth")
    if small_sample and y.shape[1] > p:
        for covariance, rows in ((covariances[0], fit == "maximum likelihood"), (covariances[1], fit != "unadjusted")):
            covariance[rows] *= y.shape[1] / (y.shape[1] - p)
    plain = np.flatnonzero(fit == "unadjusted")
    risks[plain], plain_covariance = _plain_risks(y[plain], designs.of(plain).X[..., 1])
    for covariance in covariances:
        covariance[plain] = plain_covariance
    return StandardisedRisks(
        risk_treatment=risks[:, 0],
        risk_control=risks[:, 1],
        covariance=covariances[0],
        covariance_fixed=covariances[1],
        covariance_model=covariances[2],
        fit=fit,
        parameters=p,
    )


@dataclass(frozen=True, eq=False)
class _Designs:
    """Design matrices of M data sets: (M, n, p), or one (n, p) that all share.

    With a shared one every method is a single matrix product, and nothing of the size M n p is ever made.
    """

    X: Floats

    @property
    def columns(self) -> int:
        return int(self.X.shape[-1])

    def of(self, datasets: npt.NDArray[Any]) -> _Designs:
        """Those of some data sets."""
        return self if self.X.ndim == 2 else _Designs(self.X[datasets])

    def times(self, vectors: Floats) -> Floats:
        """X v: (M, p) to (M, n)."""
        return vectors @ self.X.T if self.X.ndim == 2 else (self.X @ vectors[..., None])[..., 0]

    def sums(self, values: Floats) -> Floats:
        """X' v: (M, n) to (M, p)."""
        return values @ self.X if self.X.ndim == 2 else (np.swapaxes(self.X, 1, 2) @ values[..., None])[..., 0]

    def information(self, weight: Floats) -> Floats:
        """X' diag(w) X: (M, n) to (M, p, p)."""
        if self.X.ndim == 3:
            return np.swapaxes(self.X, 1, 2) @ (weight[..., None] * self.X)
        i, j = np.triu_indices(self.columns)
        information = np.empty((len(weight), self.columns, self.columns))
        information[:, i, j] = information[:, j, i] = weight @ self._crossed
        return information

    def quadratic_forms(self, matrices: Floats) -> Floats:
        """x_i' S x_i with symmetric S: (M, p, p) to (M, n)."""
        if self.X.ndim == 3:
            return cast(Floats, (self.X * (self.X @ matrices)).sum(axis=2))
        i, j = np.triu_indices(self.columns)
        return (matrices[:, i, j] * np.where(i == j, 1, 2)) @ self._crossed.T

    @cached_property
    def _crossed(self) -> Floats:
        """(n, p (p + 1) / 2): products of every two columns of a shared design."""
        i, j = np.triu_indices(self.columns)
        return self.X[:, i] * self.X[:, j]


def _newton(y: Floats, designs: _Designs, *, firth: bool) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Logistic coefficients (M, p) and whether each fit converged.

    Newton's method with step halving. Convergence is judged by the change of the linear predictor: under separation the
    likelihood converges but the linear predictor grows by about 1 in each step for ever, until no information is left.
    """
    beta = np.zeros((len(y), designs.columns))
    converged = np.zeros(len(y), dtype=bool)
    active = np.arange(len(y))
    eta = np.zeros(y.shape)
    reached = _log_likelihood(y, designs, eta, firth)
    for _ in range(_ITERATIONS):
        if not len(active):
            break
        step = _newton_step(y, designs, eta, firth)
        move = designs.times(step)
        least = reached - 1e-9 * (1 + np.abs(reached))
        for _ in range(10):
            reached = _log_likelihood(y, designs, eta + move, firth)
            worse = reached < least
            if not worse.any():
                break
            step[worse] /= 2
            move[worse] /= 2
        beta[active] += step
        eta = eta + move
        settled = np.abs(move).max(axis=1) < _TOLERANCE
        converged[active[settled]] = True
        going = ~settled & _informed(designs, eta)
        if not going.all():
            active, y, designs, eta, reached = active[going], y[going], designs.of(going), eta[going], reached[going]
    return beta, converged


def _informed(designs: _Designs, eta: Floats) -> npt.NDArray[np.bool_]:
    """Whether the data still inform every coefficient: the smallest eigenvalue of the information, against the start.

    Under separation it falls by a factor of e in each step. A large linear predictor alone says nothing: one
    participant with an extreme covariate has it in a fit that is sound.
    """
    informed = np.ones(len(eta), dtype=bool)
    far = np.flatnonzero(np.abs(eta).max(axis=1) > _LARGE_LINEAR_PREDICTOR)
    if len(far):
        mu = special.expit(eta[far])
        now, start = (
            np.linalg.eigvalsh(designs.of(far).information(w))[:, 0] for w in (mu * (1 - mu), np.full_like(mu, 0.25))
        )
        informed[far] = now > _LEAST_INFORMATION * start
    return informed


def _newton_step(y: Floats, designs: _Designs, eta: Floats, firth: bool) -> Floats:
    mu = special.expit(eta)
    weight = mu * (1 - mu)
    residual = y - mu
    if firth:
        leverage = weight * designs.quadratic_forms(cast(Floats, np.linalg.inv(designs.information(weight))))
        residual = residual + leverage * (0.5 - mu)
        # The penalty acts as `leverage` further observations; the plain information would overshoot.
        weight = weight * (1 + leverage)
    return cast(Floats, np.linalg.solve(designs.information(weight), designs.sums(residual)[..., None])[..., 0])


def _log_likelihood(y: Floats, designs: _Designs, eta: Floats, firth: bool) -> Floats:
    # log(1 + exp(eta)), without overflow and three times as fast as logaddexp.
    value = (y * eta - np.log1p(np.exp(-np.abs(eta))) - np.maximum(eta, 0)).sum(axis=1)
    if firth:
        mu = special.expit(eta)
        value = value + np.linalg.slogdet(designs.information(mu * (1 - mu)))[1] / 2
    return cast(Floats, value)


def _standardise(
    y: Floats, designs: _Designs, beta: Floats, firth: npt.NDArray[np.bool_]
) -> tuple[Floats, tuple[Floats, Floats, Floats]]:
    """Risks (M, 2), and their covariances (M, 2, 2): covariates random, fixed with HC0, fixed model-based."""
    n = y.shape[1]
    arm = np.broadcast_to(designs.X[..., 1], y.shape)
    eta = designs.times(beta)
    base = eta - arm * beta[:, 1:2]
    mu = special.expit(np.stack([base + beta[:, 1:2], base], axis=1))  # (M, 2, n): under treatment, under control
    risks = mu.mean(axis=2)
    own = special.expit(eta)
    weight = own * (1 - own)
    residual = y - own

    share = arm.mean(axis=1, keepdims=True)
    inverse_share = np.stack([arm / share, (1 - arm) / (1 - share)], axis=1)
    influence = inverse_share * residual[:, None] + mu - risks[:, :, None]
    random = influence @ np.swapaxes(influence, 1, 2) / n**2

    slope = mu * (1 - mu) / n
    gradient = slope @ designs.X
    gradient[:, 0, 1], gradient[:, 1, 1] = slope[:, 0].sum(axis=1), 0.0  # column 1 set to the arm of each risk
    information = designs.information(weight)
    usable = np.isfinite(np.linalg.slogdet(information)[1])
    information[~usable] = np.eye(designs.columns)
    # (M, 2, p): how each risk moves with the scores of the coefficients.
    sensitivity = np.swapaxes(np.linalg.solve(information, np.swapaxes(gradient, 1, 2)), 1, 2)
    model = sensitivity @ np.swapaxes(gradient, 1, 2)
    fixed = sensitivity @ designs.information(residual**2) @ np.swapaxes(sensitivity, 1, 2)
    spread = mu - risks[:, :, None]
    random[firth] = (model + spread @ np.swapaxes(spread, 1, 2) / n**2)[firth]
    return risks, (random, fixed, model)


def _plain_risks(y: Floats, arm: Floats) -> tuple[Floats, Floats]:
    """Observed risks (M, 2) and their diagonal Agresti-Caffo covariances (M, 2, 2)."""
    arm = np.broadcast_to(arm, y.shape)
    members = np.stack([arm, 1 - arm], axis=1)
    n = members.sum(axis=2)
    events = (members * y[:, None]).sum(axis=2)
    shrunk = (events + 1) / (n + 2)
    variance = shrunk * (1 - shrunk) / (n + 2)
    return events / n, variance[..., None] * np.eye(2)
