"""Inference on linear combinations of the MMRM's fixed effects: Satterthwaite and Kenward-Roger.

With Phi = (X'WX)^-1, Var(theta) = 2 H^-1 from the observed Hessian H of -2 log L, and a combination c'beta:

    v = c'Phi c,  g_k = dv/dtheta_k = c'Phi P_k Phi c,  df = 2 v^2 / (g' Var(theta) g)
    Phi_A = Phi + 2 Phi {sum_kl Var(theta)_kl (Q_kl - P_k Phi P_l)} Phi,  Q_kl = X'W E_k W E_l W X

Satterthwaite takes v; Kenward-Roger takes c'Phi_A c, with the same degrees of freedom for a single combination. Kenward
and Roger's second-derivative term is left out, as by SAS ``ddfm=kr(linear)``; for the unstructured matrix it is zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from respine.stats.linear import FloatArray
from respine.stats.mmrm_likelihood import Design, Optimum

DegreesOfFreedom = Literal["satterthwaite", "kenward-roger"]


@dataclass(frozen=True)
class Inference:
    """Variances of the coefficients of Q, in units of the scaled outcome.

    Parameters
    ----------
    Phi
        Model-based variance matrix (k x k).
    adjusted
        Kenward-Roger's (k x k).
    P
        X'W E_k W X, r x k x k.
    theta_variance
        r x r.
    """

    Phi: FloatArray
    adjusted: FloatArray
    P: FloatArray
    theta_variance: FloatArray

    def variance_and_df(self, C: FloatArray, df: DegreesOfFreedom) -> tuple[FloatArray, FloatArray]:
        """Variance and degrees of freedom of each row of C (c x k)."""
        a = C @ self.Phi
        v = (a * C).sum(axis=1)
        g = (a @ self.P * a).sum(axis=2).T
        spread = (g @ self.theta_variance * g).sum(axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            degrees = 2 * v**2 / spread
        if df == "kenward-roger":
            v = (C @ self.adjusted * C).sum(axis=1)
        return v, degrees


def infer(design: Design, optimum: Optimum) -> Inference:
    """Phi, Phi_A and the variance of theta at the optimum."""
    W, Phi, P = optimum.state.W, optimum.state.Phi, optimum.derivatives.P
    E = optimum.covariance.first
    r, m, _ = E.shape
    k = len(Phi)
    theta_variance = np.asarray(2 * np.linalg.inv(optimum.derivatives.observed), dtype=float)
    flat = E.reshape(r, m * m)
    # sum_kl Var(theta)_kl E_k W E_l, then between two W.
    D = (flat.T @ theta_variance @ flat).reshape(m, m, m, m).transpose(1, 2, 0, 3).reshape(m * m, m * m)
    N = W @ (W.reshape(-1, m * m) @ D).reshape(-1, m, m) @ W
    Q = design.units.reshape(-1, k).T @ (N[design.pattern] @ design.units).reshape(-1, k)
    weighted = np.tensordot(theta_variance, P, 1)
    PPhiP = (P @ Phi @ weighted).sum(axis=0)
    adjusted = Phi + 2 * Phi @ (Q - PPhiP) @ Phi
    return Inference(Phi, (adjusted + adjusted.T) / 2, P, theta_variance)
