"""Simulated outcomes: latent scores, questionnaires, T2, drop-out, gaps and rescue, as arrays.

Two latent factors, a burden of pain and function and a mental one, plus a part of each instrument's own, give scores
that correlate within a participant over visits and between instruments. Participants enter when their VAS measured at
baseline exceeds the limit of eligibility, which brings regression to the mean. Leaving and rescue depend on the last
VAS *observed*: missing at random.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from respine.trial.contract import DEFAULT_WINDOWS, PARAMETERS, nominal_day
from respine.trial.synthetic_spec import VISITS, SimulationSpec, assumed

Floats = NDArray[np.floating[Any]]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

T2_VISITS = PARAMETERS["T2"].visits
_NOMINAL = np.array([nominal_day(month) for month in VISITS])
_WINDOW = np.array([DEFAULT_WINDOWS.get(month, 0) for month in VISITS])
_T2_INDEX = [VISITS.index(month) for month in T2_VISITS]

# Each part of a trial draws from a stream of its own, so that a change in one leaves the others' draws as they were.
_STREAMS = ("outcomes", "imaging", "screening", "characteristics", "sf36", "grades", "immune", "events", "medication")


def stream(seed: int, part: str) -> np.random.Generator:
    """The random numbers of one part of the trial with this seed."""
    sequence = np.random.SeedSequence(entropy=seed, spawn_key=(_STREAMS.index(part),))
    return np.random.Generator(np.random.PCG64(sequence))


def choose(rng: np.random.Generator, weights: dict[Any, float], size: int) -> NDArray[Any]:
    """Draw keys with probability proportional to their weights."""
    cumulative = np.cumsum(np.array(list(weights.values()), dtype=float))
    keys = np.array(list(weights))
    chosen: NDArray[Any] = keys[np.searchsorted(cumulative, rng.random(size) * cumulative[-1], side="right")]
    return chosen


def between(rng: np.random.Generator, limits: Sequence[int], size: int | tuple[int, ...]) -> Ints:
    """Draw whole numbers evenly between two limits, both included."""
    return rng.integers(limits[0], limits[1], size, endpoint=True)


@dataclass(frozen=True, slots=True)
class Outcomes:
    """Simulated outcomes: N = trials x participants rows, trial by trial in order of randomisation.

    Arrays by visit have a column for months 0, 1, 3, 6, 12, 24 (``t2``: 0, 6, 12, 24); NaN is missing.
    """

    treatment: Bools
    """(N,) randomised to the treatment arm."""
    centre: Ints
    """(N,) number of the centre; its country is ``centre % len(countries)``."""
    treated: Bools
    """(N,) received the injection."""
    vas: Floats
    """(N, 6) VAS in whole mm."""
    odi: Floats
    """(N, 6) ODI in percent, even."""
    day: Floats
    """(N, 6) study day of the visits attended."""
    t2: Floats
    """(N, 4) T2 in ms."""
    pfirrmann: Ints
    """(N,) modified Pfirrmann grade at baseline."""
    rescue_day: Floats
    """(N,) study day of the first rescue."""
    end_day: Ints
    """(N,) study day of leaving or completing."""
    left: Bools
    """(N,) left before month 24."""
    last_vas: Floats
    """(N,) last VAS observed."""
    burden: Floats
    """(N, 6) latent burden, without the effect of the treatment."""
    mental: Floats
    """(N, 6) latent mental factor."""
    screen_failures: int
    """Candidates rejected for their VAS."""

    def take(self, rows: Ints) -> Outcomes:
        """The same outcomes with the participants in this order."""
        arrays = {f.name: getattr(self, f.name)[rows] for f in fields(self) if f.name != "screen_failures"}
        return replace(self, **arrays)


def simulate_outcomes(spec: SimulationSpec, seed: int, trials: int = 1) -> Outcomes:
    """Simulate the outcomes of one trial or, at little more cost a trial, of many.

    Parameters
    ----------
    spec
        The trial.
    seed
        Seed of every draw; with ``trials=1`` the participants are those of ``simulate_trial(spec, seed)``.
    trials
        Independent trials of the same specification; reshape an array to ``(trials, spec.n, ...)`` to tell them apart.
    """
    rng = stream(seed, "outcomes")
    total = trials * spec.n
    entry = _screen(spec, rng, total)
    treatment = _allocate(spec, rng, entry.centre, trials)
    treated = rng.random(total) >= assumed("design.not_treated")
    course = _run_course(spec, rng, entry, treatment)
    followed = _follow(spec, rng, entry, course, treated)
    t2, grade = _imaging(spec, stream(seed, "imaging"), treatment, ~np.isnan(followed.day))
    return Outcomes(
        treatment=treatment,
        centre=entry.centre,
        treated=treated,
        vas=followed.vas,
        odi=followed.odi,
        day=followed.day,
        t2=t2,
        pfirrmann=grade,
        rescue_day=followed.rescue_day,
        end_day=followed.end_day,
        left=followed.left,
        last_vas=followed.last_vas,
        burden=course.burden,
        mental=course.mental,
        screen_failures=entry.failures,
    )


@dataclass(frozen=True, slots=True)
class _Entry:
    """The participants who passed the VAS criterion: their centre, standard normal parts and VAS at baseline."""

    centre: Ints
    normals: Floats  # columns: burden stable, burden varying, mental stable, mental varying, own stable, own varying
    vas: Floats
    failures: int


def own_sd(name: str) -> float:
    """SD of an instrument's own part, which completes the variance of its latent score to 1."""
    burden, mental = assumed("latent.burden_loading")[name], assumed("latent.mental_loading")[name]
    return float(np.sqrt(1 - burden**2 - mental**2))


def _mix(share: float, stable: Floats, varying: Floats) -> Floats:
    mixed: Floats = np.sqrt(share) * stable + np.sqrt(1 - share) * varying
    return mixed


def _score(name: str, burden: Floats, mental: Floats, own: Floats) -> Floats:
    common: Floats = assumed("latent.burden_loading")[name] * burden + assumed("latent.mental_loading")[name] * mental
    return common + own_sd(name) * own


def _country_shift(spec: SimulationSpec, centre: Ints) -> Floats:
    shifts = np.array(assumed("latent.country_shift"))
    return shifts[(centre % len(spec.countries)) % len(shifts)]


def _screen(spec: SimulationSpec, rng: np.random.Generator, needed: int) -> _Entry:
    share = assumed("latent.stable")
    weights = np.resize(np.array(assumed("design.centre_weights")), spec.centres).cumsum()
    kept: list[tuple[Ints, Floats, Floats]] = []
    candidates, found = 0, 0
    while found < needed:
        size = int(1.2 * (needed - found)) + 16
        centre = np.searchsorted(weights, rng.random(size) * weights[-1], side="right")
        normals = rng.standard_normal((size, 6))
        score = _score(
            "VAS",
            _mix(share["burden"], normals[:, 0], normals[:, 1]) + _country_shift(spec, centre),
            _mix(share["mental"], normals[:, 2], normals[:, 3]),
            _mix(share["own"], normals[:, 4], normals[:, 5]),
        )
        vas = _read_vas(rng, assumed("vas.mean")[0] + assumed("vas.sd") * score)
        passed = np.flatnonzero(vas > assumed("eligibility.vas_above"))[: needed - found]
        kept.append((centre[passed], normals[passed], vas[passed]))
        found += passed.size
        candidates += size if found < needed else int(passed[-1]) + 1
    centres, normals, vas = (np.concatenate(parts) for parts in zip(*kept, strict=True))
    return _Entry(centres, normals, vas, candidates - needed)


def _read_vas(rng: np.random.Generator, exact: Floats) -> Floats:
    """A mark on the scale as it is read: whole mm within 0-100, heaped at multiples of 5 and 10."""
    step = choose(rng, assumed("vas.heaping"), exact.size)
    mm: Floats = np.clip(np.rint(exact / step) * step, 0, 100)
    return mm


def _read_odi(exact: Floats) -> Floats:
    """ODI from ten items of 0-5: even percentages."""
    percent: Floats = np.clip(2 * np.rint(exact / 2), 0, 100)
    return percent


def _allocate(spec: SimulationSpec, rng: np.random.Generator, centre: Ints, trials: int) -> Bools:
    """Permuted blocks within country, with the arms' exact sizes over the whole trial."""
    n, country = spec.n, centre % len(spec.countries)
    trial = np.repeat(np.arange(trials), n)
    by_country = np.lexsort((country, trial))
    block = np.tile(np.arange(n) // assumed("design.block"), trials)
    shuffled = by_country[np.lexsort((rng.random(trials * n), block, trial))]
    place = np.arange(n)
    pattern = (place + 1) * spec.n_treatment // n - place * spec.n_treatment // n == 1
    treatment = np.empty(trials * n, dtype=bool)
    treatment[shuffled] = np.tile(pattern, trials)
    return treatment


@dataclass(frozen=True, slots=True)
class _Course:
    """The course of the latent factors, of VAS and of ODI over the visits, before attendance and rescue: (N, 6)."""

    burden: Floats
    mental: Floats
    vas: Floats
    odi: Floats


def _run_course(spec: SimulationSpec, rng: np.random.Generator, entry: _Entry, treatment: Bools) -> _Course:
    n, later, share = treatment.size, len(VISITS) - 1, assumed("latent.stable")
    response = rng.standard_normal((n, 1)) * assumed("latent.response_sd")
    burden = _mix(
        share["burden"],
        entry.normals[:, [0]],
        _autoregressive(entry.normals[:, 1], rng.standard_normal((n, later))),
    )
    burden = burden + response * np.array(assumed("latent.response_curve"))
    burden = burden + _country_shift(spec, entry.centre)[:, None]
    mental = _mix(
        share["mental"],
        entry.normals[:, [2]],
        _autoregressive(entry.normals[:, 3], rng.standard_normal((n, later))),
    )
    own_vas = _mix(
        share["own"], entry.normals[:, [4]], np.column_stack([entry.normals[:, 5], rng.standard_normal((n, later))])
    )
    own_odi = _mix(share["own"], rng.standard_normal((n, 1)), rng.standard_normal((n, len(VISITS))))
    grows = treatment[:, None] * np.array(assumed("effect.curve"))
    vas = np.array(assumed("vas.mean")) + assumed("vas.sd") * _score("VAS", burden, mental, own_vas)
    odi = np.array(assumed("odi.mean")) + assumed("odi.sd") * _score("ODI", burden, mental, own_odi)
    return _Course(burden, mental, vas + spec.effect_vas * grows, odi + spec.effect_odi * grows)


def _autoregressive(first: Floats, innovations: Floats) -> Floats:
    """A stationary first-order autoregressive course with unit variance: (n, 1 + visits)."""
    phi = assumed("latent.autocorrelation")
    columns = [first]
    for j in range(innovations.shape[1]):
        columns.append(phi * columns[-1] + np.sqrt(1 - phi**2) * innovations[:, j])
    return np.column_stack(columns)


@dataclass(slots=True)
class _Followed:
    """What became of the participants, filled in visit by visit."""

    vas: Floats
    odi: Floats
    day: Floats
    rescue_day: Floats
    end_day: Ints
    left: Bools
    last_vas: Floats


def _follow(
    spec: SimulationSpec, rng: np.random.Generator, entry: _Entry, course: _Course, treated: Bools
) -> _Followed:
    n = treated.size
    missing, relief = assumed("missing.instrument"), assumed("rescue.relief")
    lost = spec.gaps / assumed("missing.gaps")
    scheduled = _visit_days(rng, n)
    state = _Followed(
        vas=np.full((n, len(VISITS)), np.nan),
        odi=np.full((n, len(VISITS)), np.nan),
        day=np.full((n, len(VISITS)), np.nan),
        rescue_day=np.full(n, np.nan),
        end_day=np.where(treated, scheduled[:, -1], between(rng, assumed("design.not_treated_until"), n)),
        left=~treated,
        last_vas=entry.vas.copy(),
    )
    state.vas[:, 0], state.odi[:, 0] = entry.vas, _read_odi(course.odi[:, 0])
    state.day[:, 0] = 1
    for j in range(1, len(VISITS)):
        _leave(spec, rng, state, j, scheduled)
        _rescue(spec, rng, state, j, scheduled)
        # Nobody comes back after the last visit: whoever has not left attends it.
        gap = spec.gaps if j < len(VISITS) - 1 else 0.0
        attends = ~state.left & (rng.random(n) >= gap)
        rescued = ~np.isnan(state.rescue_day)
        vas = _read_vas(rng, course.vas[:, j] + rescued * relief["VAS"])
        odi = _read_odi(course.odi[:, j] + rescued * relief["ODI"])
        state.day[:, j] = np.where(attends, scheduled[:, j], np.nan)
        state.vas[:, j] = np.where(attends & (rng.random(n) >= lost * missing["VAS"]), vas, np.nan)
        state.odi[:, j] = np.where(attends & (rng.random(n) >= lost * missing["ODI"]), odi, np.nan)
        state.last_vas = np.where(np.isnan(state.vas[:, j]), state.last_vas, state.vas[:, j])
    return state


def _visit_days(rng: np.random.Generator, n: int) -> Ints:
    """Study days of the visits: around the nominal day, mostly within the window, rarely up to eight days late."""
    jitter = np.rint(rng.standard_normal((n, len(VISITS))) * np.array(assumed("visits.day_sd")))
    jitter = np.clip(jitter, -_WINDOW, _WINDOW)
    late = rng.random((n, len(VISITS))) < assumed("visits.outside_window")
    late[:, 0] = False
    jitter = np.where(late, _WINDOW + between(rng, assumed("visits.late"), (n, len(VISITS))), jitter)
    return _NOMINAL + jitter.astype(np.int64)


def _risk_ratio(last_vas: Floats, ratio: float) -> Floats:
    relative: Floats = np.exp(np.log(ratio) * (last_vas - assumed("missing.dropout_centre")) / 10)
    return relative


def _leave(spec: SimulationSpec, rng: np.random.Generator, state: _Followed, j: int, scheduled: Ints) -> None:
    """Who leaves between visit j - 1 and visit j, and on which day."""
    ratio = _risk_ratio(state.last_vas, assumed("missing.dropout_ratio"))
    risk = spec.dropout * assumed("missing.dropout_share")[j] * ratio
    leaves = ~state.left & (rng.random(risk.size) < risk)
    first = scheduled[:, j - 1] + 1
    last = np.maximum(first, _NOMINAL[j] - _WINDOW[j])
    day = first + np.floor(rng.random(risk.size) * (last - first + 1)).astype(np.int64)
    state.end_day = np.where(leaves, day, state.end_day)
    state.left = state.left | leaves


def _rescue(spec: SimulationSpec, rng: np.random.Generator, state: _Followed, j: int, scheduled: Ints) -> None:
    """Who is rescued between visit j - 1 and visit j, and on which day."""
    risk = spec.rescue * assumed("rescue.level")[j] * _risk_ratio(state.last_vas, assumed("rescue.ratio"))
    starts = ~state.left & np.isnan(state.rescue_day) & (rng.random(risk.size) < risk)
    first = scheduled[:, j - 1] + 1
    day = first + np.floor(rng.random(risk.size) * (scheduled[:, j] - first + 1))
    state.rescue_day = np.where(starts, day, state.rescue_day)


def _imaging(spec: SimulationSpec, rng: np.random.Generator, treatment: Bools, attended: Bools) -> tuple[Floats, Ints]:
    """T2 at months 0, 6, 12, 24, and the grade at baseline."""
    n, sd = treatment.size, assumed("t2.sd")
    grade = choose(rng, assumed("baseline.pfirrmann"), n).astype(np.int64)
    level = assumed("t2.mean") + assumed("t2.slope") * (grade - assumed("eligibility.pfirrmann")[0])
    years = np.array(T2_VISITS) / 12
    grows = np.array(assumed("effect.curve"))[_T2_INDEX]
    t2 = (
        level[:, None]
        + assumed("t2.drift") * years
        + spec.effect_t2 * treatment[:, None] * grows
        + sd["between"] * rng.standard_normal((n, 1))
        + sd["within"] * rng.standard_normal((n, len(T2_VISITS)))
    )
    taken = rng.random(t2.shape) >= assumed("missing.imaging") * spec.gaps / assumed("missing.gaps")
    taken[:, 0] |= rng.random(n) < assumed("missing.imaging_repeated")
    return np.where(taken & attended[:, _T2_INDEX], np.round(np.clip(t2, 5, 400), 1), np.nan), grade
