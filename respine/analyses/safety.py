"""Safety: adverse events in the safety set, by the treatment received (section 7 of the plan)."""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from respine.analyses.study import Study
from respine.results import Estimate, Results, not_estimable
from respine.stats.events import (
    compare_risks,
    incidence_rate,
    rule_of_three,
    summarise_events,
    worst_severity,
    zero_event_bound,
)
from respine.stats.proportions import proportion, risk_difference

ROLES = ("treatment", "control")
EVENTS = ("any", "serious", "related", "definite", "serious_related", "severe")
"""Kinds of treatment-emergent events. ``related``: possible or stronger; ``definite``: relation code RELATED alone."""
LEAVING = {"leaving": "ADVERSE EVENT", "death": "DEATH"}
"""Outcomes told by the reason for leaving the study."""
OUTCOMES = (*EVENTS, *LEAVING)
SEVERITIES = ("MILD", "MODERATE", "SEVERE")
DAYS_OF_YEAR = 365.25
NO_EVENTS = "the data set holds no adverse event"
NO_REASONS = "the data set holds no reason for leaving the study"
_CONTEXT = {"analysis": "Adverse events", "set": "SAF"}
_TERM = ["AEBODSYS", "AEDECOD"]


@dataclass(frozen=True, slots=True)
class Exposed:
    """The safety set: its rows of ``adsl``, participants and years at risk by arm, and the confidence level."""

    people: pd.DataFrame
    n: Mapping[str, int]
    years: Mapping[str, float]
    level: float


def analyse(study: Study) -> Results:
    """Every number of safety.

    Ids end in the arm. ``safety.n``, ``safety.exposure``; by outcome ``safety.<outcome>.participants``, ``.events``,
    ``.rate``, ``.difference`` and, where nobody had it, the one-sided upper limits ``.bound`` and ``.three``;
    ``safety.severity.<kind>.<severity>``; by system organ class ``safety.soc.<class>`` and by preferred term
    ``safety.pt.<term>`` with ``.participants``, ``.events``, ``.rate`` (and ``.difference`` with Fisher's p, ``.q``);
    ``safety.serious_pt.<term>``. Class and term stand in ``parameter``; their rows follow falling frequency.
    """
    exposed = _exposed(study)
    events = emergent_events(study, exposed.people)
    results = Results()
    for role in ROLES:
        _place(results, f"n.{role}", _count(exposed.n[role], "participants"), arm=role)
        _place(results, f"exposure.{role}", _exposure(exposed, role), arm=role, digits=1)
    _coding(results, study, events)
    for kind in EVENTS:
        if study.trial.adae.empty:
            _unknown(results, kind, NO_EVENTS, exposed)
        else:
            _outcome(results, kind, events[_is(kind, events)], exposed)
    for name, reason in LEAVING.items():
        if exposed.people["DCSREAS"].isna().all():
            _unknown(results, name, NO_REASONS, exposed)
        else:
            _left(results, name, exposed.people["DCSREAS"] == reason, exposed)
    if not study.trial.adae.empty:
        _severity(results, events, exposed)
    _terms(results, events, exposed)
    return results


def _exposed(study: Study) -> Exposed:
    people = study.trial.participants("SAF")
    by_arm = {role: people[people["ARM"] == role] for role in ROLES}
    return Exposed(
        people=people,
        n={role: len(rows) for role, rows in by_arm.items()},
        years={role: float(rows["EOSDY"].sum()) / DAYS_OF_YEAR for role, rows in by_arm.items()},
        level=study.parameters.level,
    )


def emergent_events(study: Study, people: pd.DataFrame) -> pd.DataFrame:
    """Treatment-emergent events of the safety set with the arm received; an unknown start counts as emergent."""
    adae = study.trial.adae
    return adae[adae["TRTEM"]].merge(people[["ARM"]], left_on="USUBJID", right_index=True)


def _is(kind: str, events: pd.DataFrame) -> pd.Series:
    return {
        "any": events["TRTEM"],
        "serious": events["SERIOUS"],
        "related": events["RELATED"],
        "definite": events["AEREL"] == "RELATED",
        "serious_related": events["SERIOUS"] & events["RELATED"],
        "severe": events["AESEV"] == "SEVERE",
    }[kind]


def _place(results: Results, name: str, estimate: Estimate, **context: object) -> None:
    results.add(f"safety.{name}", estimate, **(_CONTEXT | context))


def _count(n: int, what: str) -> Estimate:
    return Estimate(statistic="count", value=n, n=n if what == "participants" else None, method=f"count of {what}")


def _exposure(exposed: Exposed, role: str) -> Estimate:
    return Estimate(
        statistic="exposure",
        value=exposed.years[role],
        n=exposed.n[role],
        method="sum of the days to the end of the study, / 365.25",
        unit="participant-years",
    )


def _coding(results: Results, study: Study, events: pd.DataFrame) -> None:
    """Events of unknown start (they count), those from before the injection, and those of the never treated."""
    adae = study.trial.adae
    treated = adae["USUBJID"].isin(study.trial.participants("SAF").index)
    counts = {
        "unknown_day": int(events["ASTDY"].isna().sum()),
        "before": int((treated & ~adae["TRTEM"]).sum()),
        "untreated": int((~treated).sum()),
    }
    for name, n in counts.items():
        _place(results, name, _count(n, "events"), arm="overall")


def _outcome(results: Results, kind: str, events: pd.DataFrame, exposed: Exposed) -> None:
    counts: list[int] = []
    for role in ROLES:
        rows = events[events["ARM"] == role]
        x = rows["USUBJID"].nunique()
        counts += [x, exposed.n[role]]
        _frequency(results, kind, x, len(rows), role, exposed)
        _no_event(results, kind, x, role, exposed)
    _place(results, f"{kind}.difference", _difference(counts, exposed), arm="difference")


def _left(results: Results, name: str, left: pd.Series, exposed: Exposed) -> None:
    counts: list[int] = []
    for role in ROLES:
        x = int((left & (exposed.people["ARM"] == role)).sum())
        counts += [x, exposed.n[role]]
        _place(results, f"{name}.participants.{role}", proportion(x, exposed.n[role], level=exposed.level), arm=role)
        _no_event(results, name, x, role, exposed)
    _place(results, f"{name}.difference", _difference(counts, exposed), arm="difference")


def _unknown(results: Results, name: str, reason: str, exposed: Exposed) -> None:
    """An outcome that the data set cannot tell."""
    for role in ROLES:
        known: dict[str, Any] = {"n": exposed.n[role], "unit": "proportion", "method": "Clopper-Pearson exact interval"}
        _place(results, f"{name}.participants.{role}", not_estimable("proportion", reason, **known), arm=role)
    missing = not_estimable("risk difference", reason, unit="proportion", method="Newcombe hybrid score interval")
    _place(results, f"{name}.difference", missing, arm="difference")


def _difference(counts: Iterable[int], exposed: Exposed) -> Estimate:
    return risk_difference(*counts, level=exposed.level, method="newcombe")


def _frequency(
    results: Results, name: str, participants: int, events: int, role: str, exposed: Exposed, **context: object
) -> None:
    """Participants with an event, events, and their rate in one arm."""
    share = proportion(participants, exposed.n[role], level=exposed.level)
    _place(results, f"{name}.participants.{role}", share, arm=role, **context)
    _place(results, f"{name}.events.{role}", _count(events, "events"), arm=role, **context)
    rate = incidence_rate(events, exposed.years[role], level=exposed.level).replace(n=exposed.n[role])
    _place(results, f"{name}.rate.{role}", rate, arm=role, **context)


def _no_event(results: Results, name: str, participants: int, role: str, exposed: Exposed) -> None:
    if participants == 0:
        bound = zero_event_bound(exposed.n[role], level=exposed.level)
        _place(results, f"{name}.bound.{role}", bound, arm=role, digits=1)
        _place(results, f"{name}.three.{role}", rule_of_three(exposed.n[role]), arm=role, digits=1)


def _severity(results: Results, events: pd.DataFrame, exposed: Exposed) -> None:
    """Participants by the worst severity of their events, all and related."""
    for kind in ("any", "related"):
        rows = worst_severity(events[_is(kind, events)], exposed.n, "AESEV", SEVERITIES)
        for arm, severity, x in rows[["arm", "severity", "participants"]].itertuples(index=False, name=None):
            share = proportion(x, exposed.n[arm], level=exposed.level)
            _place(results, f"severity.{kind}.{severity.lower()}.{arm}", share, arm=arm)


def _terms(results: Results, events: pd.DataFrame, exposed: Exposed) -> None:
    slugs = _slugs(events)
    summary = summarise_events(events, exposed.n, exposed.years, _TERM, level=exposed.level)
    _frequencies(results, summary, slugs, exposed)
    if slugs:
        for row in compare_risks(summary, _TERM, exposed.level).to_dict("records"):
            _compare(results, slugs[row["AEBODSYS"], row["AEDECOD"]], row, exposed)
    serious = summarise_events(events[events["SERIOUS"]], exposed.n, exposed.years, _TERM, level=exposed.level)
    terms = {key: f"serious_{slug}" for key, slug in slugs.items() if key[1]}
    _frequencies(results, serious, terms, exposed)


def _slugs(events: pd.DataFrame) -> dict[tuple[str, str], str]:
    """Name in an id of each class (``soc.<class>``, under its empty term) and each term of a class (``pt.<term>``).

    Names that come out equal are numbered in the order of the texts, so that they do not hang on frequencies.
    """
    classes = sorted({(organ, "") for organ in events["AEBODSYS"]})
    terms = sorted(set(events[_TERM].itertuples(index=False, name=None)), key=lambda pair: (pair[1], pair[0]))
    slugs: dict[tuple[str, str], str] = {}
    taken: dict[str, int] = {}
    for organ, term in (*classes, *terms):
        words = re.sub(r"[^a-z0-9]+", "_", (term or organ).lower()).strip("_")[:40] or "text"
        slug = f"{'pt' if term else 'soc'}.{words}"
        taken[slug] = taken.get(slug, 0) + 1
        slugs[organ, term] = slug if taken[slug] == 1 else f"{slug}__{taken[slug]}"
    return slugs


def _frequencies(
    results: Results, summary: pd.DataFrame, slugs: Mapping[tuple[str, str], str], exposed: Exposed
) -> None:
    for row in summary.to_dict("records"):
        slug = slugs.get((row["AEBODSYS"], row["AEDECOD"]))
        if slug is not None:
            term = row["AEDECOD"] or row["AEBODSYS"]
            _frequency(results, slug, row["participants"], row["events"], row["arm"], exposed, parameter=term)


def _compare(results: Results, slug: str, row: Mapping[Hashable, Any], exposed: Exposed) -> None:
    """Risk difference of a preferred term with Fisher's p, and the p adjusted over all terms."""
    known = {"n_treatment": row["n_treatment"], "n_control": row["n_control"]}
    context = {"arm": "difference", "parameter": row["AEDECOD"]}
    counts = (row["participants_treatment"], row["n_treatment"], row["participants_control"], row["n_control"])
    difference = _difference(counts, exposed)
    method = f"{difference.method}; Fisher exact test"
    _place(results, f"{slug}.difference", difference.replace(p=row["p"], method=method), **context)
    method = "Fisher exact test, Benjamini-Hochberg adjustment over the preferred terms"
    if difference.estimable:
        adjusted = Estimate(statistic="p-value", value=row["q"], p=row["q"], method=method, **known)
    else:
        adjusted = difference.replace(statistic="p-value", method=method)
    _place(results, f"{slug}.q", adjusted, **context)
