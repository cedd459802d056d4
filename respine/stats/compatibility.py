"""What published aggregates can and cannot come from: whole counts, tests, intervals, designs.

A percentage in print stands for the whole counts that round to it; a p-value in print for the tests that give it. Both
sets are enumerated here. What comes out is *compatible* with the publication, never more. Page:
``docs/methods/published-numbers.md``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, cast

import numpy as np
import pandas as pd
from scipy import special, stats

from respine.results import Estimate
from respine.stats.proportions import (
    TESTS,
    Floats,
    Test,
    p_values,
    score_difference_limits,
    score_difference_p,
)

Rounding = Literal["half_away", "truncated"]
SampleSize = Literal["pooled", "unpooled", "continuity_corrected", "arcsine"]

# Boschloo's test takes a search per table and stays out of the enumeration.
ENUMERATED_TESTS: tuple[Test, ...] = tuple(test for test in TESTS if test != "boschloo")
"""The tests tried against a published p-value."""

SAMPLE_SIZES: dict[SampleSize, str] = {
    "pooled": "two proportions, z-test with pooled variance under the null hypothesis",
    "unpooled": "two proportions, z-test with unpooled variance",
    "continuity_corrected": "two proportions, z-test with continuity correction",
    "arcsine": "two proportions, arcsine transformation",
}


# --- counts -----------------------------------------------------------------------------------------------------------


def compatible_counts(
    percent: float, *, n_min: int, n_max: int, decimals: int = 0, rounding: Rounding = "half_away"
) -> pd.DataFrame:
    r"""All whole counts x of n whose percentage prints as ``percent``.

    Half away from zero: :math:`\lfloor 100 \cdot 10^d x / n + 1/2 \rfloor`; truncated: without the 1/2; both in
    integers, so that no rounding of floats decides.

    Parameters
    ----------
    percent
        The percentage in print, in [0, 100].
    n_min, n_max
        Range of the denominator, both included.
    decimals
        Decimals in print, d.
    rounding
        ``"half_away"`` or ``"truncated"``.

    Returns
    -------
    DataFrame
        Columns ``x``, ``n``, ``proportion``; sorted by n, then x; no row where no whole count fits.
    """
    if not 1 <= n_min <= n_max:
        raise ValueError(f"n_min {n_min}, n_max {n_max}: 1 <= n_min <= n_max is needed")
    scale = 100 * 10**decimals
    printed = round(percent * 10**decimals)
    if abs(printed - percent * 10**decimals) > 1e-6 or not 0 <= printed <= scale:
        raise ValueError(f"{percent} is no percentage with {decimals} decimals")
    n, x = (a.ravel() for a in np.meshgrid(np.arange(n_min, n_max + 1), np.arange(n_max + 1), indexing="ij"))
    shown = (2 * scale * x + n) // (2 * n) if rounding == "half_away" else scale * x // n
    kept = (shown == printed) & (x <= n)
    return pd.DataFrame({"x": x[kept], "n": n[kept], "proportion": x[kept] / n[kept]})


def compatible_pairs(
    percent_treatment: float,
    percent_control: float,
    *,
    n_treatment: tuple[int, int],
    n_control: tuple[int, int],
    decimals: int = 0,
    rounding: Rounding = "half_away",
    level: float = 0.95,
) -> pd.DataFrame:
    """All pairs of whole counts that print as the two percentages, with what each pair implies.

    Parameters
    ----------
    percent_treatment, percent_control
        The percentages in print.
    n_treatment, n_control
        Range of each arm's denominator, both ends included.
    decimals, rounding
        As :func:`compatible_counts`.
    level
        Confidence level of the interval.

    Returns
    -------
    DataFrame
        One row a pair: ``x_treatment``, ``n_treatment``, ``x_control``, ``n_control``, ``difference`` (treatment -
        control, proportion), ``lower``, ``upper`` (Miettinen-Nurminen), and one p-value column for each of
        :data:`ENUMERATED_TESTS`.
    """
    arms = [
        compatible_counts(percent, n_min=n[0], n_max=n[1], decimals=decimals, rounding=rounding)[["x", "n"]]
        for percent, n in ((percent_treatment, n_treatment), (percent_control, n_control))
    ]
    pairs = arms[0].merge(arms[1], how="cross", suffixes=("_treatment", "_control"))
    counts = [pairs[c].to_numpy() for c in ("x_treatment", "n_treatment", "x_control", "n_control")]
    pairs["difference"] = counts[0] / counts[1] - counts[2] / counts[3]
    pairs["lower"], pairs["upper"] = score_difference_limits(*counts, level=level)
    for test in ENUMERATED_TESTS:
        pairs[test] = p_values(*counts, test=test)
    return pairs


def pairs_giving(pairs: pd.DataFrame, p: float, *, decimals: int = 2) -> pd.DataFrame:
    """The pairs and tests whose p-value prints as ``p`` (rounded half away from zero to ``decimals``).

    Parameters
    ----------
    pairs
        From :func:`compatible_pairs`.
    p, decimals
        The p-value in print and its decimals.

    Returns
    -------
    DataFrame
        Long: the columns of ``pairs`` without the tests, ``test`` and ``p``; one row a pair and test that fit, none
        where nothing does.
    """
    counts = [column for column in pairs.columns if column not in TESTS]
    long = pairs.melt(id_vars=counts, value_vars=list(ENUMERATED_TESTS), var_name="test", value_name="p")
    printed = np.floor(long["p"] * 10**decimals + 0.5)
    return cast(pd.DataFrame, long[printed == round(p * 10**decimals)].reset_index(drop=True))


# --- effects ----------------------------------------------------------------------------------------------------------


def implied_difference(
    percent_treatment: float, n_treatment: int, percent_control: float, n_control: int, *, level: float = 0.95
) -> Estimate:
    """Risk difference that two percentages imply if they stand for all participants named.

    The Miettinen-Nurminen interval on the (possibly fractional) counts percent x n / 100: no whole count is claimed.

    Parameters
    ----------
    percent_treatment, percent_control
        Percentages in print.
    n_treatment, n_control
        Participants that they are taken to stand for, at least 1.
    level
        Confidence level.
    """
    if not (0 <= percent_treatment <= 100 and 0 <= percent_control <= 100 and n_treatment > 0 and n_control > 0):
        raise ValueError("percentages between 0 and 100 of at least one participant are needed")
    p1, p0 = percent_treatment / 100, percent_control / 100
    counts = p1 * n_treatment, n_treatment, p0 * n_control, n_control
    lower, upper = score_difference_limits(*counts, level=level)
    return Estimate(
        statistic="risk difference",
        value=p1 - p0,
        lower=float(lower),
        upper=float(upper),
        level=level,
        p=float(score_difference_p(*counts)),
        n=n_treatment + n_control,
        n_treatment=n_treatment,
        n_control=n_control,
        method="Miettinen-Nurminen score interval on the printed percentages as complete data",
        unit="proportion",
    )


def excluded_effects(pairs: pd.DataFrame, effects: Sequence[float] = (0.1, 0.2, 0.3)) -> pd.DataFrame:
    """Which true differences the intervals of the compatible pairs exclude.

    Parameters
    ----------
    pairs
        From :func:`compatible_pairs` (any frame with ``lower`` and ``upper``).
    effects
        True differences, as proportions.

    Returns
    -------
    DataFrame
        Index ``effect``; ``pairs`` (their number), ``excluding`` (pairs whose interval does not hold the effect),
        ``by_all``, ``by_none``. Without pairs both are False.
    """
    effect = np.asarray(effects, dtype=float)[:, None]
    outside = (pairs["upper"].to_numpy() < effect) | (pairs["lower"].to_numpy() > effect)
    excluding = outside.sum(axis=1)
    return pd.DataFrame(
        {
            "pairs": len(pairs),
            "excluding": excluding,
            "by_all": (excluding == len(pairs)) & (len(pairs) > 0),
            "by_none": (excluding == 0) & (len(pairs) > 0),
        },
        index=pd.Index(list(effects), name="effect"),
    )


# --- designs ----------------------------------------------------------------------------------------------------------


def sample_size_two_proportions(
    p_treatment: float,
    p_control: float,
    *,
    alpha: float = 0.05,
    power: float = 0.8,
    method: SampleSize = "pooled",
) -> float:
    r"""Participants per arm (not rounded up) to detect two proportions that differ, two-sided, 1:1.

    ``pooled``: :math:`\{z_{1-\alpha/2}\sqrt{2\bar p\bar q} + z_{1-\beta}\sqrt{p_1q_1 + p_0q_0}\}^2 / (p_1 - p_0)^2`;
    ``unpooled``: :math:`(z_{1-\alpha/2} + z_{1-\beta})^2 (p_1q_1 + p_0q_0) / (p_1 - p_0)^2`; ``continuity_corrected``:
    the pooled n times :math:`\{1 + \sqrt{1 + 4 / (n |p_1 - p_0|)}\}^2 / 4`; ``arcsine``:
    :math:`(z_{1-\alpha/2} + z_{1-\beta})^2 / \{2 (\arcsin\sqrt{p_1} - \arcsin\sqrt{p_0})^2\}`.

    Notes
    -----
    Fleiss, Levin & Paik 2003, Statistical Methods for Rates and Proportions, chapter 4, doi 10.1002/0471445428.
    ``pooled`` is R's ``power.prop.test`` without its negligible opposite tail.
    """
    if not (0 < p_treatment < 1 and 0 < p_control < 1) or p_treatment == p_control:
        raise ValueError("two different proportions strictly between 0 and 1 are needed")
    return float(_sizes(np.array(p_treatment), np.array(p_control), alpha, power, method))


def compatible_designs(
    total: int,
    *,
    powers: Sequence[float] = (0.8, 0.85, 0.9),
    dropouts: Sequence[float] = (0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3),
    alpha: float = 0.05,
) -> pd.DataFrame:
    """Two-arm designs, 1:1 and two-sided, whose planned size is exactly ``total``.

    Tried: two proportions in steps of 5 points by the formulas of :data:`SAMPLE_SIZES`, and a standardised mean
    difference of 0.20 to 1.00 in steps of 0.05 by the two-sample t-test (noncentral t). Each arm is rounded up, divided
    by 1 - drop-out and rounded up again.

    Parameters
    ----------
    total
        Planned participants, both arms.
    powers, dropouts
        Powers and drop-out fractions tried.
    alpha
        Two-sided significance level.

    Returns
    -------
    DataFrame
        ``design``, ``control``, ``treatment`` (proportions; missing for means), ``difference`` (of proportions, or
        standardised), ``power``, ``dropout``, ``evaluable`` (per arm before drop-out), ``total``. Compatible, not
        claimed: the list says what the total can come from, not what it came from.
    """
    steps = np.arange(1, 20) * 5 / 100
    control, treatment = (a.ravel() for a in np.meshgrid(steps, steps, indexing="ij"))
    control, treatment = control[treatment > control], treatment[treatment > control]
    rows = []
    for power in powers:
        for method, name in SAMPLE_SIZES.items():
            n = _sizes(treatment, control, alpha, power, method)
            difference = np.round(treatment - control, 2)
            columns = {"control": control, "treatment": treatment, "difference": difference, "n": n}
            rows.append(pd.DataFrame(columns).assign(design=name, power=power))
        effect = np.round(np.arange(4, 21) * 0.05, 2)
        n = _sizes_t_test(effect, alpha, power, n_max=total // 2)
        means = pd.DataFrame({"control": np.nan, "treatment": np.nan, "difference": effect, "n": n})
        rows.append(means.assign(design="standardised mean difference, two-sample t-test", power=power))
    designs = pd.concat(rows).dropna(subset="n").merge(pd.DataFrame({"dropout": list(dropouts)}), how="cross")
    designs["evaluable"] = _round_up(designs["n"].to_numpy()).astype(int)
    designs["total"] = 2 * _round_up(designs["evaluable"].to_numpy() / (1 - designs["dropout"].to_numpy())).astype(int)
    columns_out = ["design", "control", "treatment", "difference", "power", "dropout", "evaluable", "total"]
    return designs.loc[designs["total"] == total, columns_out].reset_index(drop=True)


def _sizes(p1: Floats, p0: Floats, alpha: float, power: float, method: SampleSize) -> Floats:
    za, zb = special.ndtri(1 - alpha / 2), special.ndtri(power)
    d = np.abs(p1 - p0)
    own = p1 * (1 - p1) + p0 * (1 - p0)
    if method == "unpooled":
        return cast(Floats, (za + zb) ** 2 * own / d**2)
    if method == "arcsine":
        return cast(Floats, (za + zb) ** 2 / (2 * (np.arcsin(np.sqrt(p1)) - np.arcsin(np.sqrt(p0))) ** 2))
    mean = (p1 + p0) / 2
    pooled = (za * np.sqrt(2 * mean * (1 - mean)) + zb * np.sqrt(own)) ** 2 / d**2
    if method == "continuity_corrected":
        return cast(Floats, pooled * (1 + np.sqrt(1 + 4 / (pooled * d))) ** 2 / 4)
    return cast(Floats, pooled)


def _sizes_t_test(effect: Floats, alpha: float, power: float, n_max: int) -> Floats:
    """Smallest n per arm, up to ``n_max``, with which the two-sided t-test has the power; NaN where there is none."""
    n = np.arange(2, max(n_max, 2) + 1)
    df, shift = 2 * n - 2, effect[:, None] * np.sqrt(n / 2)
    critical = special.stdtrit(df, 1 - alpha / 2)
    reached = stats.nct.sf(critical, df, shift) + stats.nct.cdf(-critical, df, shift) >= power
    return np.where(reached.any(axis=1), n[reached.argmax(axis=1)], np.nan)


def _round_up(n: Floats) -> Floats:
    # 50 / (1 - 0.2) is 62.50000000000001 in floating point only where it should be 62.5: allow for it.
    return np.ceil(n - 1e-9)
