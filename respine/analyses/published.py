"""The published numbers: what they are compatible with, and what the data set at hand gives (section 9 of the plan)."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import pandas as pd

from respine.analyses import discussion, participants, response, secondary
from respine.analyses.study import Study
from respine.results import Estimate, Results
from respine.stats.compatibility import (
    ENUMERATED_TESTS,
    compatible_counts,
    compatible_designs,
    compatible_pairs,
    excluded_effects,
    implied_difference,
    pairs_giving,
)
from respine.stats.proportions import TESTS as TEST_NAMES
from respine.stats.proportions import compare_proportions, proportion, risk_difference
from respine.trial.published import published

LEAST_N = 40
"""Fewest participants with a known response in an arm that are taken as possible."""
EFFECTS = (0.1, 0.2, 0.3)
READINGS = ("relative", "points")
"""What the published threshold of the ODI may mean: the values of ``odi_rule``."""
TESTS = ENUMERATED_TESTS
"""The tests tried against the published p-value."""
_CONTEXT = {"analysis": "Published numbers", "parameter": "RESPONSE"}
P_COMPARED = "p-value of the responders (recomputed with Yates's correction)"
STATUSES = ("reproduced", "compatible", "not reproducible", "not available")


def analyse() -> Results:
    """What the published percentages and p-value imply; needs no data set.

    Ids: ``published.pairs`` (whole-number pairs that print as the percentages), ``published.pairs.<test>`` (those whose
    p-value prints as the published one), ``published.whole.<arm>`` (counts out of all randomised that print as the
    percentage), ``published.nearest.<arm>.<below or above>`` (the whole counts on either side of the percentage) and
    ``published.nearest.difference``, ``published.nearest.<test>`` (of the nearest), ``published.difference`` (implied,
    taken as complete), ``published.fitting.r<k>`` (difference in the k-th pair that gives the published p-value),
    ``published.excluding.<points>``, ``published.designs``.
    """
    results = Results()
    facts = _facts()
    pairs = all_pairs()
    method = "enumeration of whole counts that print as the published percentages"
    _count(results, "pairs", len(pairs), method)
    fitting = pairs_giving(pairs, facts["p"])
    for test in TESTS:
        by_test = f"{method} and give the published p-value by the {TEST_NAMES[test]}"
        _count(results, f"pairs.{test}", int((fitting["test"] == test).sum()), by_test)
    for role in ("treatment", "control"):
        n = facts[f"n_{role}"]
        whole = compatible_counts(facts[role], n_min=n, n_max=n)
        _count(results, f"whole.{role}", len(whole), f"whole counts of {n} that print as the percentage", arm=role)
    _nearest(results)
    for k, pair in enumerate(unique_fitting_pairs().itertuples(index=False), start=1):
        difference = risk_difference(*map(int, pair), method="miettinen_nurminen")
        results.add(f"published.fitting.r{k}", difference, arm="difference", **_CONTEXT)
    implied = implied_difference(facts["treatment"], facts["n_treatment"], facts["control"], facts["n_control"])
    results.add("published.difference", implied, arm="difference", **_CONTEXT)
    for name in ("lower", "upper"):
        extreme = pairs[name].min() if name == "lower" else pairs[name].max()
        estimate = Estimate(
            statistic=f"risk difference, most extreme {name} limit", value=float(extreme), unit="proportion",
            method="Miettinen-Nurminen limits over the compatible pairs",
        )  # fmt: skip
        results.add(f"published.pairs.{name}", estimate, arm="difference", **_CONTEXT)
    for effect, row in excluded_effects(pairs, EFFECTS).iterrows():
        how = "pairs whose Miettinen-Nurminen interval does not hold the difference"
        _count(results, f"excluding.{round(100 * float(str(effect)))}", int(row["excluding"]), how)
    _count(results, "designs", len(designs()), "two-arm designs, 1:1, two-sided, with the planned total")
    return results


def nearest_counts() -> tuple[int, int, int, int]:
    """The whole counts of all randomised whose percentages come nearest to those published, in two-arm order."""
    facts = _facts()
    x = {role: round(facts[role] * facts[f"n_{role}"] / 100) for role in ("treatment", "control")}
    return x["treatment"], facts["n_treatment"], x["control"], facts["n_control"]


def _nearest(results: Results) -> None:
    """The whole counts of all randomised on either side of each percentage, and what the nearest pair gives."""
    facts = _facts()
    for role in ("treatment", "control"):
        n = facts[f"n_{role}"]
        below = math.floor(facts[role] * n / 100)
        for name, x in (("below", below), ("above", below + 1)):
            share = Estimate(
                statistic="proportion", value=x / n, n=n, unit="proportion", method="whole count of all randomised"
            )
            results.add(f"published.nearest.{role}.{name}", share, arm=role, digits=1, **_CONTEXT)
    counts = nearest_counts()
    difference = risk_difference(*counts, method="miettinen_nurminen")
    results.add("published.nearest.difference", difference, arm="difference", **_CONTEXT)
    for test in TESTS:
        p = compare_proportions(*counts, test=test)
        results.add(f"published.nearest.{test}", p, arm="difference", digits=3, **_CONTEXT)


def readings(study: Study) -> Results:
    """Responders of the data set under both readings of the published ODI threshold, all else as the parameters say.

    Ids: ``published.reading.<relative or points>.<arm>``.
    """
    results = Results()
    for reading in READINGS:
        parameters = study.parameters.model_copy(update={"odi_rule": reading})
        frame = response.primary_frame(replace(study, parameters=parameters))
        counts = response.count(frame)
        for role, (x, n) in {"treatment": counts[:2], "control": counts[2:]}.items():
            rate = proportion(x, n, level=study.parameters.level, method="wilson")
            place = f"published.reading.{reading}.{role}"
            results.add(place, rate, arm=role, set="ITT", visit=study.parameters.primary_month, **_CONTEXT)
    return results


def _count(results: Results, name: str, value: int, method: str, **context: Any) -> None:
    results.add(f"published.{name}", Estimate(statistic="count", value=value, method=method), **(_CONTEXT | context))


@cache
def _facts() -> dict[str, Any]:
    """The published numbers that everything here starts from."""
    return {
        "treatment": float(published("primary.responders.msc").value),
        "control": float(published("primary.responders.sham").value),
        "p": float(published("primary.responders.msc").p_value),
        "n_treatment": int(published("design.randomised.msc").value),
        "n_control": int(published("design.randomised.sham").value),
        "planned": int(published("design.planned").value),
    }


@cache
def all_pairs() -> pd.DataFrame:
    """Every pair of whole counts that prints as the published percentages, with p-values and intervals."""
    facts = _facts()
    return compatible_pairs(
        facts["treatment"],
        facts["control"],
        n_treatment=(LEAST_N, facts["n_treatment"]),
        n_control=(LEAST_N, facts["n_control"]),
    )


def fitting_pairs() -> pd.DataFrame:
    """The pairs and tests whose p-value prints as the published one."""
    return pairs_giving(all_pairs(), _facts()["p"])


def unique_fitting_pairs() -> pd.DataFrame:
    """The pairs of :func:`fitting_pairs`, each once, whatever the number of tests that fit."""
    columns = ["x_treatment", "n_treatment", "x_control", "n_control"]
    return fitting_pairs()[columns].drop_duplicates(ignore_index=True)


def published_p() -> float:
    """The published p-value of the responders."""
    return float(_facts()["p"])


@cache
def designs() -> pd.DataFrame:
    """Designs whose planned size is the published one."""
    return compatible_designs(_facts()["planned"])


@dataclass(frozen=True, slots=True)
class Compared:
    """A published value beside what the data set gives: ``status`` is one of :data:`STATUSES`."""

    id: str
    quantity: str
    arm: str
    published: str
    recomputed: str
    status: str
    unit: str = ""


def compare(study: Study) -> list[Compared]:
    """Published beside recomputed, row by row; a value that is not available is compared with nothing."""
    from respine.trial.published import load_published

    given = _recomputed(study)
    rows = []
    for row in load_published().itertuples():
        value = "" if row.status != "published" else str(row.value)
        recomputed = given.get(str(row.id), "")
        if row.status != "published":
            status = "not available"
        elif not recomputed:
            status = ""
        elif recomputed == value:
            status = "reproduced"
        else:
            status = "compatible" if row.id in _COMPATIBLE else "not reproducible"
        rows.append(
            Compared(str(row.id), str(row.quantity), str(row.arm), value, recomputed, status, str(row.unit or ""))
        )
        if row.id == "primary.responders.sham":
            p = f"{published_p():.2f}"
            found = given["primary.p"]
            status = "" if not found else "reproduced" if found == p else "not reproducible"
            rows.append(Compared("primary.p", P_COMPARED, "all", p, found, status))
    return rows


_COMPATIBLE = frozenset({"design.registry_enrolled", "design.planned"})
"""Public sources disagree on these; another number there contradicts nothing."""


def _recomputed(study: Study) -> dict[str, str]:
    """What the data set gives for rows of the published table, as the table prints it."""
    flow = participants.analyse(study)
    counts = response.count(response.primary_frame(study))
    shares = {
        role: 100 * x / n if n else float("nan")
        for role, (x, n) in {"treatment": counts[:2], "control": counts[2:]}.items()
    }
    p = compare_proportions(*counts, test="yates")
    both = discussion.analyse(study)
    met = all(both[f"discussion.both.{name}"].p <= study.parameters.alpha for name in discussion.ENDPOINTS)
    differing = secondary.any_difference(secondary.scores(study), study.parameters.alpha)
    safety = study.trial.participants("SAF")
    events = study.trial.adae
    events = events[events["USUBJID"].isin(safety.index) & events["TRTEM"]]
    related = int((events["SERIOUS"] & events["RELATED"]).sum())

    def month(day: Any) -> str:
        return "" if pd.isna(day) else f"{day:%Y-%m}"

    def whole(value: float) -> str:
        return f"{int(value + 0.5)}" if value == value else ""

    return {
        "design.randomised.all": whole(flow["participants.randomised.overall"].value),
        "design.randomised.msc": whole(flow["participants.randomised.treatment"].value),
        "design.randomised.sham": whole(flow["participants.randomised.control"].value),
        "design.centres": whole(flow["participants.centres"].value),
        "design.recruit_start": month(study.trial.participants("ITT")["RANDDT"].min()),
        "design.countries": whole(flow["participants.countries"].value),
        "primary.responders.msc": whole(shares["treatment"]),
        "primary.responders.sham": whole(shares["control"]),
        "primary.p": f"{p.value:.2f}" if p.estimable else "",
        "primary.met": "yes" if met else "no",
        "secondary.any_difference": "" if differing is None else "some" if differing else "none",
        "safety.related_sae": whole(related),
    }
