r"""Bayesian comparison of two proportions: independent beta priors, binomial data, posterior by quadrature.

With :math:`p_a \sim \mathrm{Beta}(\alpha_a, \beta_a)` and :math:`x_a` events among :math:`n_a`, the posterior of an arm
is :math:`\mathrm{Beta}(\alpha_a + x_a, \beta_a + n_a - x_a)`. The posterior of the difference has no closed form; its
density and distribution function are one-dimensional integrals, done by Gauss-Legendre quadrature: no simulation.
Page: ``docs/methods/bayes.md``.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import optimize, special

from respine.results import Estimate, not_estimable

Floats = npt.NDArray[np.float64]
Beta = tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Prior:
    """Independent beta priors of the two risks.

    Parameters
    ----------
    name
        What it stands for.
    treatment, control
        (alpha, beta) of each arm, both at least 1.
    """

    name: str
    treatment: Beta
    control: Beta

    def __post_init__(self) -> None:
        if min(*self.treatment, *self.control) < 1:
            raise ValueError(f"prior {self.name!r}: beta parameters below 1 have an unbounded density")

    def __str__(self) -> str:
        (a1, b1), (a0, b0) = self.treatment, self.control
        arms = f"Beta({a1:g}, {b1:g})"
        if self.treatment != self.control:
            arms = f"treatment {arms}, control Beta({a0:g}, {b0:g})"
        return f"{self.name} prior, {arms}" + (" in both arms" if self.treatment == self.control else "")


FLAT = Prior(name="flat", treatment=(1, 1), control=(1, 1))
"""Every risk equally likely; worth two participants an arm."""

SCEPTICAL = Prior(name="sceptical", treatment=(10, 10), control=(10, 10))
"""Mean difference 0, worth twenty participants an arm: a difference above 20 points has prior probability 0.099."""

ENTHUSIASTIC = Prior(name="enthusiastic", treatment=(12, 8), control=(8, 12))
"""Mean difference 20 points in favour of treatment, worth twenty participants an arm: P(RD > 0) = 0.903 beforehand."""

PRIORS = (FLAT, SCEPTICAL, ENTHUSIASTIC)


@dataclass(frozen=True, slots=True, kw_only=True)
class PosteriorDifference:
    """Posterior of the risk difference (treatment - control).

    Parameters
    ----------
    prior
        The prior it came from.
    difference
        Posterior mean with the equal-tailed credible interval and, as ``se``, the posterior standard deviation.
    probability_benefit
        P(RD > 0).
    probability_margin
        P(RD > margin).
    margin
        The margin, as a proportion.
    grid, density
        Points in [-1, 1] and the posterior density there, for drawing; empty where not estimable.
    """

    prior: Prior
    difference: Estimate
    probability_benefit: Estimate
    probability_margin: Estimate
    margin: float
    grid: tuple[float, ...]
    density: tuple[float, ...]

    def to_frame(self) -> pd.DataFrame:
        """One row an estimate, indexed by its name; columns as :class:`respine.results.Estimate`."""
        names = ("difference", "probability_benefit", "probability_margin")
        return pd.DataFrame.from_dict({n: dataclasses.asdict(getattr(self, n)) for n in names}, orient="index")


def posterior_difference(
    x_treatment: int,
    n_treatment: int,
    x_control: int,
    n_control: int,
    *,
    prior: Prior = FLAT,
    margin: float = 0.1,
    level: float = 0.95,
    points: int = 401,
) -> PosteriorDifference:
    r"""Beta-binomial posterior of the risk difference.

    .. math:: P(p_1 - p_0 > d) = \int \{1 - F_1(t + d)\}\, f_0(t)\, dt, \qquad
              f(d) = \int f_1(t + d)\, f_0(t)\, dt

    Parameters
    ----------
    x_treatment, n_treatment, x_control, n_control
        Participants with the event and participants, by arm.
    prior
        :data:`FLAT`, :data:`SCEPTICAL`, :data:`ENTHUSIASTIC` or another :class:`Prior`.
    margin
        Difference of interest, as a proportion.
    level
        Level of the equal-tailed credible interval.
    points
        Points of the density's grid, evenly from -1 to 1 or, where that is narrower, over 16 posterior standard
        deviations on either side of the mean: the peak of a large trial would fall between points.

    Returns
    -------
    PosteriorDifference
        Absolute error below 1e-8. Not estimable where an arm is empty: its posterior would be its prior.

    Notes
    -----
    Spiegelhalter, Abrams & Myles 2004, doi 10.1002/0470092602; Altham 1969, Journal of the
    Royal Statistical Society B 31:261-269.
    """
    for x, n in ((x_treatment, n_treatment), (x_control, n_control)):
        if not 0 <= x <= n:
            raise ValueError(f"{x} of {n}: counts need 0 <= x <= n")
    if not 0 < level < 1:
        raise ValueError(f"level {level}: a credible level lies between 0 and 1")
    if not -1 < margin < 1:
        raise ValueError(f"margin {margin}: a risk difference lies between -1 and 1")
    arms = {"n": n_treatment + n_control, "n_treatment": n_treatment, "n_control": n_control}
    known: dict[str, Any] = {
        **arms,
        "level": level,
        "method": f"beta-binomial posterior, {prior}",
        "unit": "proportion",
    }
    names = ("posterior risk difference", "P(RD > 0)", f"P(RD > {margin:g})")
    if n_treatment == 0 or n_control == 0:
        empty = [arm for arm, n in (("treatment", n_treatment), ("control", n_control)) if n == 0]
        reason = f"no participants in the {' and the '.join(empty)} arm"
        mean, benefit, beyond = (not_estimable(name, reason, **known) for name in names)
        return PosteriorDifference(
            prior=prior,
            difference=mean,
            probability_benefit=benefit,
            probability_margin=beyond,
            margin=margin,
            grid=(),
            density=(),
        )
    treatment = (prior.treatment[0] + x_treatment, prior.treatment[1] + n_treatment - x_treatment)
    control = (prior.control[0] + x_control, prior.control[1] + n_control - x_control)
    lower, upper = (
        optimize.brentq(lambda d, q=q: float(exceedance(d, treatment, control)) - q, -1, 1, xtol=1e-12)
        for q in ((1 + level) / 2, (1 - level) / 2)
    )
    se = float(np.sqrt(_variance(treatment) + _variance(control)))
    difference = Estimate(
        statistic=names[0], value=_mean(treatment) - _mean(control), lower=lower, upper=upper, se=se, **known
    )
    benefit, beyond = (
        Estimate(statistic=name, value=float(exceedance(d, treatment, control)), **known | {"level": np.nan})
        for name, d in zip(names[1:], (0.0, margin), strict=True)
    )
    grid = np.linspace(max(-1.0, difference.value - 16 * se), min(1.0, difference.value + 16 * se), points)
    return PosteriorDifference(
        prior=prior,
        difference=difference,
        probability_benefit=benefit,
        probability_margin=beyond,
        margin=margin,
        grid=tuple(grid.tolist()),
        density=tuple(density(grid, treatment, control).tolist()),
    )


def exceedance(difference: npt.ArrayLike, treatment: Beta, control: Beta) -> Floats:
    """P(p1 - p0 > d) for independent beta risks with parameters (alpha, beta); d of any shape, in [-1, 1]."""
    d = np.asarray(difference, dtype=float)[..., None]
    if _variance(treatment) <= _variance(control):
        t, weight = _nodes(treatment, np.clip(d, 0, 1), np.clip(1 + d, 0, 1))
        # Above 1 + d the treatment risk exceeds every control risk by more than d.
        certain = special.betaincc(*treatment, np.clip(1 + d[..., 0], 0, 1))
        inside = weight * _beta_density(t, treatment) * special.betainc(*control, np.clip(t - d, 0, 1))
    else:
        t, weight = _nodes(control, np.clip(-d, 0, 1), np.clip(1 - d, 0, 1))
        # Below -d any treatment risk exceeds the control risk by more than d.
        certain = special.betainc(*control, np.clip(-d[..., 0], 0, 1))
        inside = weight * _beta_density(t, control) * special.betaincc(*treatment, np.clip(t + d, 0, 1))
    return np.asarray(np.clip(inside.sum(axis=-1) + certain, 0.0, 1.0), dtype=float)


def density(difference: npt.ArrayLike, treatment: Beta, control: Beta) -> Floats:
    """Density of p1 - p0 for independent beta risks with parameters (alpha, beta); d of any shape, in [-1, 1]."""
    d = np.asarray(difference, dtype=float)[..., None]
    if _variance(treatment) <= _variance(control):
        t, weight = _nodes(treatment, np.clip(d, 0, 1), np.clip(1 + d, 0, 1))
        other = _beta_density(np.clip(t - d, 0, 1), control)
        own = _beta_density(t, treatment)
    else:
        t, weight = _nodes(control, np.clip(-d, 0, 1), np.clip(1 - d, 0, 1))
        other = _beta_density(np.clip(t + d, 0, 1), treatment)
        own = _beta_density(t, control)
    return np.asarray((weight * own * other).sum(axis=-1), dtype=float)


def _beta_density(t: Floats, parameters: Beta) -> Floats:
    a, b = parameters
    return np.asarray(np.exp(special.xlogy(a - 1, t) + special.xlog1py(b - 1, -t) - special.betaln(a, b)))


def _nodes(narrower: Beta, lower: Floats, upper: Floats) -> tuple[Floats, Floats]:
    """Quadrature points and weights between the limits, confined to where the narrower posterior has any mass.

    The narrower one is integrated over: the other's distribution function is then smooth on that scale, whatever the
    sizes of the arms.
    """
    least, most = special.betaincinv(*narrower, 1e-18), special.betainccinv(*narrower, 1e-18)
    low = np.clip(lower, least, most)
    high = np.clip(upper, low, most)
    half = (high - low) / 2
    return low + half * (1 + _GAUSS[0]), half * _GAUSS[1]


_GAUSS = np.polynomial.legendre.leggauss(192)


def _mean(parameters: Beta) -> float:
    a, b = parameters
    return a / (a + b)


def _variance(parameters: Beta) -> float:
    a, b = parameters
    return a * b / ((a + b) ** 2 * (a + b + 1))
