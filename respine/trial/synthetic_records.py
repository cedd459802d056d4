"""The six tables of a simulated trial, built around its simulated outcomes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from respine.trial.contract import PARAMETERS, nominal_day, parameters_of
from respine.trial.synthetic_outcomes import (
    T2_VISITS,
    Bools,
    Floats,
    Ints,
    Outcomes,
    between,
    choose,
    own_sd,
    stream,
)
from respine.trial.synthetic_spec import VISITS, SimulationSpec, adverse_event_terms, assumed

QUESTIONNAIRES = tuple(parameters_of("adqs"))
IMMUNE_VISITS = PARAMETERS["DSA1"].visits

# Bodily pain sums two items with unequal steps; the top category of the second needs the top category of the first.
_BP_SUMS = sorted({a + b for a in (1, 2.2, 3.1, 4.2, 5.4) for b in range(1, 6)} | {6 + b for b in (1, 2, 3, 4, 6)})
GRIDS: dict[str, Floats] = {
    "PF": np.arange(21) * 5.0,
    "RP": np.arange(17) * 6.25,
    "BP": np.unique(np.round([10 * (total - 2) for total in _BP_SUMS], 0)),
    "GH": np.arange(21) * 5.0,
    "VT": np.arange(17) * 6.25,
    "SF": np.arange(9) * 12.5,
    "RE": np.arange(13) * 100 / 12,
    "MH": np.arange(21) * 5.0,
}
"""Values that each SF-36 scale (version 2) can take."""
SCALES = tuple(GRIDS)


@dataclass(frozen=True, slots=True)
class People:
    """The participants randomised, in the order of USUBJID."""

    usubjid: NDArray[Any]
    female: Bools
    opioid: Bools
    start: NDArray[np.datetime64]
    """Day 1: the injection, else randomisation."""
    lag: Ints
    """Days from randomisation to injection."""
    leaves_for_event: Bools
    """Leaves the study because of an adverse event."""


def screen_people(spec: SimulationSpec, outcomes: Outcomes, seed: int) -> tuple[pd.DataFrame, People, Outcomes]:
    """The table adsl; what the other tables need of it; and the outcomes, both in the order of USUBJID."""
    rng = stream(seed, "characteristics")
    n = outcomes.treatment.size
    failures = _screen_failures(spec, outcomes, stream(seed, "screening"))
    ids, order = _subject_ids(spec, outcomes.centre, failures)
    randomised = _randomisation_days(rng, n)
    lag = between(rng, assumed("design.injection_lag"), n)
    injected = np.busday_offset(randomised, lag)
    start = np.where(outcomes.treated, injected, randomised)
    female = rng.random(n) < assumed("baseline.female")
    opioid = rng.random(n) < assumed("baseline.opioid")
    labels = np.where(outcomes.treatment, spec.treatment, spec.control)
    columns = _characteristics(rng, female, outcomes) | {
        "OPIOIDBL": np.where(opioid, "Y", "N").astype(object),
        "RANDFL": np.full(n, "Y", dtype=object),
        "SCRFREAS": np.full(n, None, dtype=object),
        "TRT01P": labels.astype(object),
        "TRT01A": _only(outcomes.treated, labels),
        "RANDDT": randomised.astype(str).astype(object),
        "TRTSDT": _only(outcomes.treated, start.astype(str)),
        "PPROTFL": _per_protocol(rng, outcomes),
        "DCSREAS": (leaving := _leaving_reasons(rng, outcomes)),
        "EOSDY": pd.array(outcomes.end_day, dtype="Int64"),
    }
    subjects = pd.concat([pd.DataFrame(columns), failures.frame], ignore_index=True)
    centres = np.concatenate([outcomes.centre, failures.centre])
    subjects.insert(0, "STUDYID", spec.studyid)
    subjects.insert(1, "USUBJID", ids)
    subjects.insert(2, "SITEID", _site_ids(spec)[centres])
    subjects.insert(3, "COUNTRY", np.array(spec.countries, dtype=object)[centres % len(spec.countries)])
    rows = order[order < n]
    lag = (start - randomised).astype(np.int64)
    people = People(ids[rows], female[rows], opioid[rows], start[rows], lag[rows], leaving[rows] == "ADVERSE EVENT")
    return subjects.iloc[order].reset_index(drop=True), people, outcomes.take(rows)


@dataclass(frozen=True, slots=True)
class _Failures:
    centre: Ints
    place: Ints
    """How many participants had been randomised before."""
    frame: pd.DataFrame


def _screen_failures(spec: SimulationSpec, outcomes: Outcomes, rng: np.random.Generator) -> _Failures:
    """Candidates who were not randomised."""
    other = int(rng.poisson(assumed("screening.other_failures") * outcomes.treatment.size))
    total = outcomes.screen_failures + other
    weights = np.resize(np.array(assumed("design.centre_weights")), spec.centres)
    centre = choose(rng, dict(enumerate(weights)), total).astype(np.int64)
    low, high = assumed("eligibility.age")
    grades = assumed("eligibility.pfirrmann")
    vas_reason = f"VAS not above {assumed('eligibility.vas_above')} mm"
    reasons = np.array([vas_reason] * outcomes.screen_failures, dtype=object)
    reasons = np.concatenate([reasons, choose(rng, assumed("screening.other_reasons"), other).astype(object)])
    reasons = rng.permutation(reasons)
    age = np.rint(_truncated(rng, assumed("baseline.age"), (low, high), total))
    age = np.where(_named(reasons, "Age"), high + between(rng, assumed("screening.age_over"), total), age)
    outside = np.where(rng.random(total) < assumed("screening.grade_too_low"), grades[0] - 1, grades[1] + 1)
    frame = pd.DataFrame(
        {
            "AGE": age.astype(np.int64),
            "SEX": np.where(rng.random(total) < assumed("baseline.female"), "F", "M"),
            "PFIRRBL": pd.array(np.where(_named(reasons, "Pfirrmann"), outside, np.nan), dtype="Int64"),
            "RANDFL": "N",
            "SCRFREAS": reasons,
        }
    )
    return _Failures(centre, rng.integers(0, outcomes.treatment.size + 1, total), frame)


def _named(reasons: NDArray[Any], beginning: str) -> Bools:
    return np.array([reason.startswith(beginning) for reason in reasons], dtype=bool)


def _site_ids(spec: SimulationSpec) -> NDArray[Any]:
    countries = len(spec.countries)
    return np.array([f"{spec.countries[c % countries]}{c // countries + 1}" for c in range(spec.centres)], dtype=object)


def _subject_ids(spec: SimulationSpec, centre: Ints, failures: _Failures) -> tuple[NDArray[Any], Ints]:
    """Identifiers of the randomised, then of the failures, numbered by screening within centre; and their order."""
    centre = np.concatenate([centre, failures.centre])
    by_time = np.argsort(np.concatenate([np.arange(centre.size - failures.place.size), failures.place]), kind="stable")
    number = np.empty(centre.size, dtype=np.int64)
    number[by_time] = pd.Series(centre[by_time]).groupby(centre[by_time]).cumcount().to_numpy() + 1
    width = max(3, len(str(number.max())))
    site = _site_ids(spec)[centre]
    ids = np.array([f"{spec.studyid}-{s}-{k:0{width}d}" for s, k in zip(site, number, strict=True)], dtype=object)
    return ids, np.lexsort((number, site.astype(str)))


def _randomisation_days(rng: np.random.Generator, n: int) -> NDArray[np.datetime64]:
    """Working days in order, the first on the day of the first randomisation."""
    first, last = (np.datetime64(assumed(f"design.{name}_randomisation"), "D") for name in ("first", "last"))
    place = np.sort(rng.integers(0, np.busday_count(first, last) + 1, n))
    place[0] = 0
    return np.busday_offset(first, place)


def _truncated(rng: np.random.Generator, normal: Sequence[float], limits: Sequence[float], size: int) -> Floats:
    """Normal values (mean, SD) within the limits; those outside are drawn again."""
    (mean, sd), (low, high) = normal, limits
    values = mean + sd * rng.standard_normal(size)
    while (outside := np.flatnonzero((values < low) | (values > high))).size:
        values[outside] = mean + sd * rng.standard_normal(outside.size)
    return values


def _only(where: Bools, values: NDArray[Any]) -> NDArray[Any]:
    """The values where the condition holds, None elsewhere."""
    column = np.full(where.size, None, dtype=object)
    column[where] = values[where]
    return column


def _characteristics(rng: np.random.Generator, female: Bools, outcomes: Outcomes) -> dict[str, Any]:
    n = female.size
    size = assumed("baseline.height")
    mean, sd = (np.where(female, size["F"][i], size["M"][i]) for i in (0, 1))
    limit = assumed("baseline.height_limit")
    height = np.rint(mean + sd * np.clip(rng.standard_normal(n), -limit, limit))
    bmi = _truncated(rng, assumed("baseline.bmi"), assumed("baseline.bmi_limits"), n)
    median, spread = assumed("baseline.pain_duration")
    shortest = assumed("eligibility.duration")
    limits = (np.log(shortest / median) / spread, assumed("baseline.pain_duration_limit"))
    duration = np.rint(median * np.exp(spread * _truncated(rng, (0, 1), limits, n)))
    return {
        "AGE": np.rint(_truncated(rng, assumed("baseline.age"), assumed("eligibility.age"), n)).astype(np.int64),
        "SEX": np.where(female, "F", "M").astype(object),
        "HEIGHTBL": height,
        "WEIGHTBL": np.round(bmi * height * height / 10_000, 1),
        "SMOKBL": choose(rng, assumed("baseline.smoking"), n).astype(object),
        "WORKBL": choose(rng, assumed("baseline.work"), n).astype(object),
        "PAINDUR": np.maximum(duration, shortest),
        "DISCLVL": choose(rng, assumed("baseline.disc_level"), n).astype(object),
        "PFIRRBL": pd.array(outcomes.pfirrmann, dtype="Int64"),
        "MODICBL": pd.array(choose(rng, assumed("baseline.modic"), n).astype(np.int64), dtype="Int64"),
    }


def _per_protocol(rng: np.random.Generator, outcomes: Outcomes) -> NDArray[Any]:
    rescued = outcomes.rescue_day <= nominal_day(12)
    deviates = rng.random(rescued.size) < assumed("design.other_deviation")
    return np.where(outcomes.treated & ~rescued & ~deviates, "Y", "N").astype(object)


def _leaving_reasons(rng: np.random.Generator, outcomes: Outcomes) -> NDArray[Any]:
    reason = choose(rng, assumed("missing.reasons"), outcomes.left.size).astype(object)
    mild = outcomes.last_vas <= assumed("missing.dropout_centre")
    reason[mild & (reason == "LACK OF EFFICACY")] = "WITHDRAWAL BY SUBJECT"
    reason[~outcomes.treated] = "WITHDRAWAL BY SUBJECT"
    return _only(outcomes.left, reason)


# Questionnaires


def questionnaires(spec: SimulationSpec, outcomes: Outcomes, people: People, seed: int) -> pd.DataFrame:
    """The table adqs: one row a parameter at each visit attended; a lost form is an empty value."""
    values = np.full((people.usubjid.size, len(QUESTIONNAIRES), len(VISITS)), np.nan)
    values[:, 0], values[:, 1] = outcomes.vas, outcomes.odi
    kept = len(QUESTIONNAIRES) if "SF36" not in spec.without else 2
    if kept > 2:
        values[:, 2:] = _sf36(spec, outcomes, stream(seed, "sf36"))
    attended = np.repeat(~np.isnan(outcomes.day)[:, None, :], kept, axis=1)
    return _long(people, QUESTIONNAIRES[:kept], VISITS, values[:, :kept], attended, _assessment_days(outcomes, people))


def _assessment_days(outcomes: Outcomes, people: People) -> Ints:
    """Baseline is taken at randomisation, on day 1 or before; there is no day 0."""
    day = np.nan_to_num(outcomes.day).astype(np.int64)
    day[:, 0] = np.where(people.lag > 0, -people.lag, 1)
    return day


def _long(
    people: People, parameters: Sequence[str], visits: Sequence[int], values: Floats, present: Bools, day: Ints
) -> pd.DataFrame:
    """Rows by participant, parameter, visit from (N, parameters, visits)."""
    subject, parameter, visit = np.nonzero(present)
    return pd.DataFrame(
        {
            "USUBJID": people.usubjid[subject],
            "PARAMCD": np.array(parameters, dtype=object)[parameter],
            "AVISITN": np.array(visits)[visit],
            "ADY": day[subject, visit],
            "AVAL": values[subject, parameter, visit],
        }
    )


def _sf36(spec: SimulationSpec, outcomes: Outcomes, rng: np.random.Generator) -> Floats:
    """PCS, MCS and the eight scales: (N, 10, visits)."""
    n, visits = outcomes.burden.shape
    burden, mental = assumed("latent.burden_loading"), assumed("latent.mental_loading")
    stable = assumed("latent.stable")["own"]
    improvement = _burden_effect(spec) * outcomes.treatment[:, None] * np.array(assumed("effect.curve"))
    scales = np.empty((n, len(SCALES), visits))
    for k, scale in enumerate(SCALES):
        own = np.sqrt(stable) * rng.standard_normal((n, 1)) + np.sqrt(1 - stable) * rng.standard_normal((n, visits))
        worse = burden[scale] * (outcomes.burden + improvement) + mental[scale] * outcomes.mental + own_sd(scale) * own
        exact = np.array(assumed(f"sf36{scale.lower()}.mean")) - assumed("sf36.sd")[scale] * worse
        scales[:, k] = _nearest(GRIDS[scale], exact)
    missing, lost = assumed("missing.instrument"), spec.gaps / assumed("missing.gaps")
    scales[rng.random(scales.shape) < lost * missing["SCALE"]] = np.nan
    form = rng.random((n, visits)) < lost * missing["SF36"]
    scales = np.where(form[:, None, :], np.nan, scales)
    summaries = [_summary(scales, assumed(f"sf36.{part}_weight")) for part in ("physical", "mental")]
    return np.concatenate([np.stack(summaries, axis=1), np.round(scales, 2)], axis=1)


def _burden_effect(spec: SimulationSpec) -> float:
    """Effect on the burden, in baseline SD, that the effects on VAS and ODI amount to on average."""
    loading = assumed("latent.burden_loading")
    vas = spec.effect_vas / (assumed("vas.sd") * loading["VAS"])
    odi = spec.effect_odi / (assumed("odi.sd") * loading["ODI"])
    return float((vas + odi) / 2)


def _nearest(grid: Floats, exact: Floats) -> Floats:
    return grid[np.searchsorted((grid[1:] + grid[:-1]) / 2, exact)]


def _summary(scales: Floats, weights: dict[str, float]) -> Floats:
    """Norm-based summary score: 50 + 10 x the weighted sum of the scales' z scores; missing if any scale is."""
    mean, sd = assumed("sf36.norm_mean"), assumed("sf36.norm_sd")
    total = np.zeros((scales.shape[0], scales.shape[2]))
    for k, scale in enumerate(SCALES):
        total += weights[scale] * (scales[:, k] - mean[scale]) / sd[scale]
    return np.clip(np.round(50 + 10 * total, 1), 0, 100)


# Imaging and immune response


def imaging(outcomes: Outcomes, people: People, seed: int) -> pd.DataFrame:
    """The table admi: T2 and Pfirrmann grade, read from the same images."""
    rng = stream(seed, "grades")
    n = people.usubjid.size
    change, chance = assumed("pfirrmann.change"), rng.random((n, len(T2_VISITS)))
    step = np.where(chance < change["up"], 1, np.where(chance < change["up"] + change["down"], -1, 0))
    step[:, 0] = 0
    taken = ~np.isnan(outcomes.t2)
    grade = np.where(taken, np.clip(outcomes.pfirrmann[:, None] + step, 1, 8), np.nan)
    index = [VISITS.index(month) for month in T2_VISITS]
    attended = ~np.isnan(outcomes.day[:, index])
    day = _assessment_days(outcomes, people)[:, index]
    day[:, 0] = np.where(day[:, 0] < 0, day[:, 0] - between(rng, assumed("visits.imaging_before"), n), day[:, 0])
    values = np.stack([outcomes.t2, grade], axis=1)
    return _long(people, ("T2", "PFIRR"), T2_VISITS, values, np.repeat(attended[:, None, :], 2, axis=1), day)


def immune_response(spec: SimulationSpec, outcomes: Outcomes, people: People, seed: int) -> pd.DataFrame:
    """The table adis: donor-specific antibodies of class I and II at months 0, 1, 3, 6."""
    rng = stream(seed, "immune")
    n, visits = people.usubjid.size, len(IMMUNE_VISITS)
    index = [VISITS.index(month) for month in IMMUNE_VISITS]
    attended = ~np.isnan(outcomes.day[:, index])
    lost = assumed("missing.serum") * spec.gaps / assumed("missing.gaps")
    drawn = attended & (rng.random((n, visits)) >= lost)
    values = np.stack([_fluorescence(rng, outcomes, antibody) for antibody in (0, 1)], axis=1)
    present = np.repeat(attended[:, None, :], 2, axis=1)
    values = np.where(drawn[:, None, :], values, np.nan)
    day = _assessment_days(outcomes, people)[:, index]
    table = _long(people, ("DSA1", "DSA2"), IMMUNE_VISITS, values, present, day)
    positive = np.where(table["AVAL"] >= assumed("dsa.positive_from"), "POSITIVE", "NEGATIVE")
    return table.assign(AVALC=_only(table["AVAL"].notna().to_numpy(), positive))


def _fluorescence(rng: np.random.Generator, outcomes: Outcomes, antibody: int) -> Floats:
    """MFI of one class by visit: background, or an antibody present from the start or from a visit on."""
    n, visits = outcomes.treated.size, len(IMMUNE_VISITS)
    median, spread = assumed("dsa.background")
    strength, width = assumed("dsa.level")
    new = assumed("dsa.new")
    chance = np.where(outcomes.treatment & outcomes.treated, new["treatment"][antibody], new["control"][antibody])
    sensitised = rng.random(n) < assumed("dsa.sensitised")
    acquires = rng.random(n) < chance
    onset = choose(rng, {IMMUNE_VISITS.index(k): w for k, w in assumed("dsa.onset").items()}, n)
    first = np.where(sensitised, 0, np.where(acquires, onset, visits))[:, None]
    since = np.arange(visits) - first
    noise = np.exp(assumed("dsa.noise") * rng.standard_normal((n, visits)))
    background = median * np.exp(spread * rng.standard_normal((n, 1)))
    waning = np.where(sensitised[:, None], 1.0, assumed("dsa.waning") ** np.maximum(since, 0))
    level = strength * np.exp(width * rng.standard_normal((n, 1))) * waning
    mfi: Floats = np.rint(np.where(since >= 0, np.maximum(level, background), background) * noise)
    return mfi


# Adverse events and concomitant treatments


def adverse_events(outcomes: Outcomes, people: People, seed: int) -> pd.DataFrame:
    """The table adae; no serious event is related, and whoever leaves because of an event has one."""
    rng = stream(seed, "events")
    subject, term, day = _event_days(rng, outcomes, people)
    leavers = np.flatnonzero(people.leaves_for_event)
    back_pain = next(k for k, event in enumerate(adverse_event_terms()) if event["term"] == "Back pain")
    leaving = np.arange(subject.size + leavers.size) >= subject.size
    subject = np.concatenate([subject, leavers])
    term = np.concatenate([term, np.full(leavers.size, back_pain)])
    warning = between(rng, assumed("ae.leaving_days"), leavers.size)
    day = np.concatenate([day, np.maximum(1, outcomes.end_day[leavers] - warning)])
    table = _event_details(rng, term, day, outcomes.end_day[subject], leaving)
    return _numbered(people, subject, table, "AESEQ")


def _event_days(rng: np.random.Generator, outcomes: Outcomes, people: People) -> tuple[Ints, Ints, Ints]:
    """Participant, term and start of every event: after the procedure, later, or before it."""
    terms, end = adverse_event_terms(), outcomes.end_day
    rate = np.array([event["rate"] for event in terms], dtype=float)
    procedural = np.array([event.get("procedural", 0) for event in terms], dtype=float)
    sexes = np.array([[event.get("sex", sex) == sex for event in terms] for sex in ("M", "F")])
    possible = sexes[people.female.astype(np.int64)] & outcomes.treated[:, None]
    shape = assumed("ae.frailty")
    frailty = rng.gamma(shape, 1 / shape, (end.size, 1))
    counts = {
        "later": rng.poisson(rate / 100 * (end[:, None] / 365.25) * frailty) * possible,
        "after": (rng.random(possible.shape) < procedural) & possible,
        "before": rng.poisson(assumed("ae.before_treatment") * rate / rate.sum(), possible.shape) * possible,
    }
    found = []
    for kind, count in counts.items():
        subject, term = np.nonzero(count)
        times = count[subject, term].astype(np.int64)
        subject, term = np.repeat(subject, times), np.repeat(term, times)
        chance = rng.random(subject.size)
        if kind == "later":
            day = 1 + np.floor(chance * end[subject]).astype(np.int64)
        elif kind == "after":
            day = 1 + np.floor(chance * np.minimum(assumed("ae.procedural_days"), end[subject])).astype(np.int64)
        else:
            day = -1 - np.floor(chance * assumed("ae.before_days")).astype(np.int64)
        found.append((subject, term, day))
    subject, term, day = (np.concatenate(parts) for parts in zip(*found, strict=True))
    earliest = np.array([event.get("from", "1970-01-01") for event in terms], dtype="datetime64[D]")
    known = people.start[subject] + day.astype("timedelta64[D]") >= earliest[term]
    return subject[known], term[known], day[known]


def _event_details(rng: np.random.Generator, term: Ints, day: Ints, end: Ints, leaving: Bools) -> pd.DataFrame:
    terms, n = adverse_event_terms(), term.size
    serious = (rng.random(n) < np.array([e.get("serious", 0) for e in terms])[term]) & ~leaving
    related = (rng.random(n) < np.array([e["related"] for e in terms])[term]) & ~serious & ~leaving & (day > 0)
    severity = choose(rng, assumed("ae.severity"), n).astype(object)
    severity[serious & (severity == "MILD")] = "MODERATE"
    severity[leaving] = "SEVERE"
    relation = np.where(related, choose(rng, assumed("ae.related"), n), choose(rng, assumed("ae.unrelated"), n))
    median = np.array([e["days"] for e in terms], dtype=float)[term]
    duration = np.rint(median * np.exp(assumed("ae.duration_sd") * rng.standard_normal(n))).astype(np.int64)
    stop = day + duration
    stop = np.where((day < 0) & (stop >= 0), stop + 1, stop)  # there is no day 0
    ongoing = stop > np.maximum(end, day)
    verbatim = np.empty(n, dtype=object)
    pick = rng.random(n)
    for k, event in enumerate(terms):
        rows = np.flatnonzero(term == k)
        words = np.array(event["verbatim"], dtype=object)
        verbatim[rows] = words[np.floor(pick[rows] * len(words)).astype(np.int64)]
    return pd.DataFrame(
        {
            "AETERM": verbatim,
            "AEDECOD": np.array([e["term"] for e in terms], dtype=object)[term],
            "AEBODSYS": np.array([e["soc"] for e in terms], dtype=object)[term],
            "AESEV": severity,
            "AESER": np.where(serious, "Y", "N"),
            "AEREL": relation,
            "ASTDY": day,
            "AENDY": pd.array(np.where(ongoing, np.nan, stop), dtype="Int64"),
            "AEOUT": np.where(ongoing, "NOT RECOVERED/NOT RESOLVED", "RECOVERED/RESOLVED"),
            "AEACN": "NOT APPLICABLE",
        }
    )


def concomitant(outcomes: Outcomes, people: People, seed: int) -> pd.DataFrame:
    """The table adcm: rescue treatments, opioids used at baseline, and common other treatments."""
    rng = stream(seed, "medication")
    parts = [_rescues(rng, outcomes, people), _opioids_at_baseline(rng, outcomes, people)]
    for category, treatments in assumed("concomitant.treatments").items():
        for name, rate in treatments.items():
            subject = np.flatnonzero(rng.random(people.usubjid.size) < rate / 100)
            first = between(rng, assumed("concomitant.started"), subject.size)
            first = np.where(first == 0, 1, np.minimum(first, np.maximum(outcomes.end_day[subject], 1)))
            last = first + between(rng, assumed("concomitant.days"), subject.size)
            parts.append(_treatments(subject, name, category, first, last, outcomes.end_day[subject]))
    table = pd.concat(parts, ignore_index=True)
    subject = table.pop("subject").to_numpy(dtype=np.int64)
    return _numbered(people, subject, table, "CMSEQ")


def _treatments(subject: Ints, name: Any, category: Any, first: Ints, last: Ints, end: Ints) -> pd.DataFrame:
    last = np.where((first < 0) & (last >= 0), last + 1, last)
    ongoing = last > np.maximum(end, first)
    return pd.DataFrame(
        {
            "subject": subject,
            "CMDECOD": np.broadcast_to(np.array(name, dtype=object), subject.shape),
            "CMCAT": np.broadcast_to(np.array(category, dtype=object), subject.shape),
            "ASTDY": first,
            "AENDY": pd.array(np.where(ongoing, np.nan, last), dtype="Int64"),
        }
    )


def _rescues(rng: np.random.Generator, outcomes: Outcomes, people: People) -> pd.DataFrame:
    subject = np.flatnonzero(~np.isnan(outcomes.rescue_day))
    first = outcomes.rescue_day[subject].astype(np.int64)
    options = {
        (category, name): weight
        for category, treatments in assumed("rescue.treatments").items()
        for name, weight in treatments.items()
    }
    allowed = {pair: weight for pair, weight in options.items() if pair[0] != "OPIOID"}
    drawn, other = _choose_pairs(rng, options, subject.size), _choose_pairs(rng, allowed, subject.size)
    pair = np.where(people.opioid[subject][:, None], other, drawn)
    length = np.where(pair[:, 0] == "OPIOID", between(rng, assumed("rescue.opioid_days"), subject.size), 0)
    return _treatments(subject, pair[:, 1], pair[:, 0], first, first + length, outcomes.end_day[subject])


def _choose_pairs(rng: np.random.Generator, weights: dict[tuple[str, str], float], size: int) -> NDArray[Any]:
    """Draw category and name with probability proportional to their weights: (size, 2)."""
    pairs = np.array(list(weights), dtype=object).reshape(-1, 2)
    drawn: NDArray[Any] = pairs[choose(rng, dict(enumerate(weights.values())), size)]
    return drawn


def _opioids_at_baseline(rng: np.random.Generator, outcomes: Outcomes, people: People) -> pd.DataFrame:
    subject = np.flatnonzero(people.opioid)
    first = between(rng, assumed("opioid.started"), subject.size)
    name = choose(rng, assumed("rescue.treatments")["OPIOID"], subject.size)
    last = first + between(rng, assumed("opioid.days"), subject.size)
    return _treatments(subject, name, "OPIOID", first, last, outcomes.end_day[subject])


def _numbered(people: People, subject: Ints, table: pd.DataFrame, sequence: str) -> pd.DataFrame:
    """Sort by participant and start, and number within participant."""
    order = np.lexsort((table["ASTDY"].to_numpy(), subject))
    subject = subject[order]
    table = table.iloc[order].reset_index(drop=True)
    table.insert(0, "USUBJID", people.usubjid[subject])
    table.insert(1, sequence, pd.Series(subject).groupby(subject).cumcount() + 1)
    return table
