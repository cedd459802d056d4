"""Posterior of the risk difference against R's integrate (tests/reference/bayes/oracle.R) and closed forms."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from respine.stats.bayes import ENTHUSIASTIC, FLAT, PRIORS, SCEPTICAL, Prior, density, exceedance, posterior_difference

R = json.loads((Path(__file__).parents[1] / "reference" / "bayes" / "answers.json").read_text())
BY_NAME = {prior.name: prior for prior in PRIORS}
arm = st.integers(1, 60).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@pytest.mark.parametrize("answer", R["cases"], ids=lambda a: f"{a['counts']}-{a['prior']}")
def test_equals_r(answer):
    prior = BY_NAME[answer["prior"]]
    posterior = posterior_difference(*answer["counts"], prior=prior, margin=0.1, points=3)
    e = posterior.difference
    assert [e.value, e.lower, e.upper] == pytest.approx(
        [answer["mean"], answer["lower"], answer["upper"]], abs=R["tolerance"]
    )
    assert posterior.probability_benefit.value == pytest.approx(answer["benefit"], abs=R["tolerance"])
    assert posterior.probability_margin.value == pytest.approx(answer["margin"], abs=R["tolerance"])
    x1, n1, x0, n0 = answer["counts"]
    treatment = (prior.treatment[0] + x1, prior.treatment[1] + n1 - x1)
    control = (prior.control[0] + x0, prior.control[1] + n0 - x0)
    assert density(R["density_at"], treatment, control) == pytest.approx(answer["density"], abs=1e-7, rel=1e-8)


def test_uniform_risks_have_a_triangular_difference():
    d = np.linspace(-1, 1, 21)
    assert density(d, (1, 1), (1, 1)) == pytest.approx(1 - np.abs(d), abs=1e-12)
    assert exceedance(d, (1, 1), (1, 1)) == pytest.approx(np.where(d > 0, (1 - d) ** 2 / 2, 1 - (1 + d) ** 2 / 2))


def test_very_unequal_arms():
    """Beta(1, 2) against Beta(a, 1): P(p1 - p0 > 0) = 2 / ((a + 1)(a + 2)), in closed form."""
    a = 40_001
    assert float(exceedance(0.0, (1, 2), (a, 1))) == pytest.approx(2 / ((a + 1) * (a + 2)), rel=1e-6)
    assert float(exceedance(0.0, (a, 1), (1, 2))) == pytest.approx(1 - 2 / ((a + 1) * (a + 2)), abs=1e-10)


def test_the_priors_are_what_their_descriptions_say():
    assert float(exceedance(0.2, SCEPTICAL.treatment, SCEPTICAL.control)) == pytest.approx(0.099, abs=5e-4)
    assert float(exceedance(0.0, ENTHUSIASTIC.treatment, ENTHUSIASTIC.control)) == pytest.approx(0.903, abs=5e-4)
    assert str(SCEPTICAL) == "sceptical prior, Beta(10, 10) in both arms"
    assert str(ENTHUSIASTIC) == "enthusiastic prior, treatment Beta(12, 8), control Beta(8, 12)"


@settings(deadline=None, derandomize=True, max_examples=10)
@given(arm, arm, st.sampled_from([FLAT, SCEPTICAL]))
def test_swapping_arms_flips_the_posterior(treatment, control, prior):
    one = posterior_difference(*treatment, *control, prior=prior, points=201)
    other = posterior_difference(*control, *treatment, prior=prior, points=201)
    e, f = one.difference, other.difference
    assert [f.value, f.lower, f.upper] == pytest.approx([-e.value, -e.upper, -e.lower], abs=1e-9)
    assert one.probability_benefit.value + other.probability_benefit.value == pytest.approx(1, abs=1e-10)
    assert one.density == pytest.approx(other.density[::-1], abs=1e-8)
    assert np.trapezoid(one.density, one.grid) == pytest.approx(1, abs=2e-3)
    assert -1 <= e.lower < e.value < e.upper <= 1


@pytest.mark.parametrize("counts", [(15_000, 50_000, 14_500, 50_000), (30, 50_000, 14, 50_000), (0, 50_000, 2, 50_000)])
def test_the_density_of_a_large_trial_is_drawn_where_it_is(counts):
    posterior = posterior_difference(*counts)
    assert np.trapezoid(posterior.density, posterior.grid) == pytest.approx(1, abs=1e-3)
    assert posterior.grid[0] < posterior.difference.lower < posterior.difference.upper < posterior.grid[-1]


def test_empty_arm_is_not_estimable():
    posterior = posterior_difference(0, 0, 3, 9)
    assert not posterior.difference.estimable
    assert "treatment arm" in posterior.probability_benefit.note
    assert "treatment and the control arm" in posterior_difference(0, 0, 0, 0).difference.note
    assert posterior.grid == posterior.density == ()
    assert len(posterior.to_frame()) == 3


def test_wrong_calls_are_refused():
    with pytest.raises(ValueError, match="0 <= x <= n"):
        posterior_difference(5, 4, 1, 2)
    with pytest.raises(ValueError, match="level"):
        posterior_difference(1, 4, 1, 2, level=95)
    with pytest.raises(ValueError, match="margin"):
        posterior_difference(1, 4, 1, 2, margin=10)
    with pytest.raises(ValueError, match="below 1"):
        Prior(name="Jeffreys", treatment=(0.5, 0.5), control=(0.5, 0.5))
