"""Several hypotheses, one error rate: adjusted p-values and decisions.

Every procedure takes named two-sided p-values, in the order of the plan, and gives the same small frozen result. A
missing p-value (a test that was not estimable) is a hypothesis that is not rejected: it keeps its place in the family,
as if its p-value were 1, and its own adjusted p-value is missing. Directions are not looked at: that a rejection
favours the treatment is for the caller to say. Page: ``docs/methods/multiplicity.md``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from statsmodels.stats.multitest import multipletests

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class MultipleTests:
    """Decisions of a multiple test procedure.

    Parameters
    ----------
    procedure
        Its name, as a methods section would have it.
    alpha
        Error rate that is controlled: family-wise, or the false discovery rate for Benjamini-Hochberg.
    names, p
        The hypotheses and their p-values, in the order given; NaN where a test was not estimable.
    adjusted
        Adjusted p-values: the smallest alpha at which the procedure rejects; NaN where p is.
    rejected
        Adjusted p-value at most alpha.
    """

    procedure: str
    alpha: float
    names: tuple[str, ...]
    p: tuple[float, ...]
    adjusted: tuple[float, ...]
    rejected: tuple[bool, ...]

    @property
    def all_rejected(self) -> bool:
        """Whether every hypothesis is rejected."""
        return all(self.rejected)

    def to_frame(self) -> pd.DataFrame:
        """One row a hypothesis, indexed by name; columns ``p``, ``adjusted``, ``rejected``."""
        return pd.DataFrame(
            {"p": self.p, "adjusted": self.adjusted, "rejected": self.rejected}, index=pd.Index(self.names, name="name")
        )


def both_must_succeed(p: Mapping[str, float], *, alpha: float = 0.05) -> MultipleTests:
    r"""All hypotheses or none (co-primary endpoints; intersection-union test), each at the full alpha.

    Adjusted p-value of every hypothesis: :math:`\max_j p_j`. One missing p-value: nothing is rejected.

    Notes
    -----
    Berger 1982, doi 10.1080/00401706.1982.10487790; FDA 2022, Multiple Endpoints in Clinical Trials.
    """
    values = _ones_for_missing(p)
    return _decide(
        "both must succeed (intersection-union test)", p, np.full(len(values), values.max(initial=0.0)), alpha
    )


def holm(p: Mapping[str, float], *, alpha: float = 0.05) -> MultipleTests:
    r"""Holm's step-down procedure (statsmodels).

    .. math:: \tilde p_{(i)} = \max_{j \le i} \min\{1, (m - j + 1) p_{(j)}\}

    Notes
    -----
    Holm 1979, Scandinavian Journal of Statistics 6:65-70. Any dependence.
    """
    return _decide("Holm", p, _by_statsmodels(p, "holm"), alpha)


def hochberg(p: Mapping[str, float], *, alpha: float = 0.05) -> MultipleTests:
    r"""Hochberg's step-up procedure: :math:`\tilde p_{(i)} = \min_{j \ge i} (m - j + 1) p_{(j)}` (statsmodels).

    Notes
    -----
    Hochberg 1988, doi 10.1093/biomet/75.4.800. Needs independence or positive dependence.
    """
    return _decide("Hochberg", p, _by_statsmodels(p, "simes-hochberg"), alpha)


def benjamini_hochberg(p: Mapping[str, float], *, alpha: float = 0.05) -> MultipleTests:
    r"""Benjamini-Hochberg false discovery rate: :math:`\tilde p_{(i)} = \min_{j \ge i} m p_{(j)} / j` (statsmodels).

    Notes
    -----
    Benjamini & Hochberg 1995, doi 10.1111/j.2517-6161.1995.tb02031.x. Needs independence or positive dependence.
    """
    return _decide("Benjamini-Hochberg false discovery rate", p, _by_statsmodels(p, "fdr_bh"), alpha)


def fixed_sequence(p: Mapping[str, float], *, alpha: float = 0.05) -> MultipleTests:
    r"""Fixed sequence: each hypothesis at the full alpha, in the order given, until one is not rejected.

    Adjusted p-value: :math:`\tilde p_i = \max_{j \le i} p_j`.

    Notes
    -----
    Maurer, Hothorn & Lehmacher 1995; Westfall & Krishen 2001, doi 10.1016/S0378-3758(01)00077-5.
    """
    return _decide("fixed sequence", p, np.maximum.accumulate(_ones_for_missing(p)), alpha)


def fallback(
    p: Mapping[str, float], *, weights: Mapping[str, float] | None = None, alpha: float = 0.05
) -> MultipleTests:
    r"""Fallback procedure: hypothesis i gets :math:`w_i \alpha` plus the level of its predecessor if that was rejected.

    Adjusted p-value: :math:`\tilde p_i = \min_{j \le i} \max_{j \le k \le i} p_k \big/ \sum_{l = j}^{k} w_l`, at most
    1: the smallest alpha at which an unbroken run of rejections from some j reaches i.

    Parameters
    ----------
    p
        P-values in the order of testing.
    weights
        Shares of alpha, non-negative with sum at most 1; by default equal.
    alpha
        Family-wise error rate.

    Notes
    -----
    Wiens 2003, doi 10.1002/pst.64; Wiens & Dmitrienko 2005, doi 10.1080/10543400500265660. Any dependence.
    """
    values = _ones_for_missing(p)
    shares = np.full(len(values), 1 / max(len(values), 1))
    if weights is not None:
        if set(weights) != set(p):
            raise ValueError("weights and p name different hypotheses")
        shares = np.array([weights[name] for name in p], dtype=float)
    if (shares < 0).any() or shares.sum() > 1 + 1e-12:
        raise ValueError(f"weights {shares.tolist()}: shares of alpha are non-negative and sum to at most 1")
    adjusted = np.ones(len(values))
    for i in range(len(values)):
        for start in range(i + 1):
            available = np.cumsum(shares[start : i + 1])
            with np.errstate(divide="ignore", invalid="ignore"):
                needed = np.where(available > 0, values[start : i + 1] / available, np.inf)
            adjusted[i] = min(adjusted[i], needed.max())
    return _decide("fallback", p, adjusted, alpha)


def _ones_for_missing(p: Mapping[str, float]) -> Floats:
    values = np.array(list(p.values()), dtype=float)
    if ((values < 0) | (values > 1)).any():
        raise ValueError("a p-value lies between 0 and 1")
    return np.where(np.isnan(values), 1.0, values)


def _by_statsmodels(p: Mapping[str, float], method: str) -> Floats:
    values = _ones_for_missing(p)
    return np.asarray(multipletests(values, method=method)[1], dtype=float) if len(values) else values


def _decide(procedure: str, p: Mapping[str, float], adjusted: Floats, alpha: float) -> MultipleTests:
    if not 0 < alpha < 1:
        raise ValueError(f"alpha {alpha}: an error rate lies between 0 and 1")
    raw = np.array(list(p.values()), dtype=float)
    adjusted = np.where(np.isnan(raw), np.nan, np.minimum(adjusted, 1.0))
    return MultipleTests(
        procedure=procedure,
        alpha=alpha,
        names=tuple(p),
        p=tuple(raw.tolist()),
        adjusted=tuple(adjusted.tolist()),
        rejected=tuple((adjusted <= alpha).tolist()),
    )
