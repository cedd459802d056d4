"""Safety in tables, figures and sentences."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd
from matplotlib.lines import Line2D

from respine.analyses.safety import EVENTS, OUTCOMES, ROLES, SEVERITIES
from respine.analyses.study import Arms, Study
from respine.display import wording
from respine.display.numbers import format_level, format_p, format_percent, format_result
from respine.display.outputs import Figure, Row, Table, figure
from respine.display.style import COLOUR, GREY, INK, MARKER, canvas, sides
from respine.display.tables import EMPTY, Comparison, comparison_table, footnotes
from respine.inert import visible
from respine.results import Result, Results, to_sort_by

if TYPE_CHECKING:
    from matplotlib.axes import Axes

OUTCOME_NAMES = {
    "any": "Any event",
    "serious": "Serious",
    "related": "Related (possible or stronger)",
    "definite": "Related (strongest category alone)",
    "serious_related": "Serious and related",
    "severe": "Severe",
    "leaving": "Event leading to leaving the study",
    "death": "Death",
}
MOST_TERMS = 20
"""Preferred terms in the figure."""
TERM_WIDTH = {"table": 70, "figure": 36}
"""Characters after which a term is cut."""
_EVENT = "A treatment-emergent event starts on the day of injection or later, or on an unknown day."


def overview_table(results: Results, arms: Arms, level: float) -> Table:
    """Participants with each kind of event and the difference between the arms."""
    lines = []
    for name in OUTCOMES:
        by_arm = [results[f"safety.{name}.participants.{role}"] for role in ROLES]
        cells = [_share(r) if r.estimable else r for r in by_arm]
        indent = 0 if name in ("any", "leaving", "death") else 1
        lines.append(
            Comparison(OUTCOME_NAMES[name], cells[0], cells[1], results[f"safety.{name}.difference"], indent=indent)
        )
    return comparison_table(
        lines,
        label="tbl-safety",
        caption="Participants with treatment-emergent adverse events, n (%); safety set, by the treatment received.",
        stub="Event",
        headings=_headings(results, arms),
        level=level,
        difference="Difference, points",
        p=False,
        notes=(
            f"{_EVENT} Leaving and death: by the reason for leaving the study. Newcombe intervals. Differences are "
            f"{arms.treatment} − {arms.control}, in percentage points.",
        ),
    )


def rate_table(results: Results, arms: Arms, level: float) -> Table:
    """Events and exposure-adjusted rates by kind of event."""
    rows, ids = [], []
    for name in EVENTS:
        cells: list[str] = []
        for role in ROLES:
            if f"safety.{name}.rate.{role}" not in results:
                cells += [EMPTY] * 3
                continue
            events, rate = results[f"safety.{name}.events.{role}"], results[f"safety.{name}.rate.{role}"]
            ids += [events.id, rate.id]
            cells += [format_result(events), _number(rate), _interval(rate)]
        rows.append(Row(OUTCOME_NAMES[name], tuple(cells), indent=0 if name == "any" else 1))
    years = [results[f"safety.exposure.{role}"] for role in ROLES]
    return Table(
        label="tbl-safety-rates",
        caption="Treatment-emergent adverse events and their rates per 100 participant-years; safety set.",
        columns=("Event", *("Events", "Rate", f"{format_level(level)} CI") * 2),
        rows=tuple(rows),
        spanners=tuple(
            (f"{arms[role]}, {format_result(year)}", first, first + 2)
            for role, year, first in zip(ROLES, years, (1, 4), strict=True)
        ),
        notes=(
            "All events of a participant are counted. CI, exact Poisson confidence interval (Garwood).",
            *footnotes(results[i] for i in ids),
        ),
        results=(*ids, *(r.id for r in years)),
    )


def zero_table(results: Results, arms: Arms) -> Table:
    """Upper limits of the risk where nobody had the outcome."""
    rows, ids = [], []
    for name in OUTCOMES:
        cells: list[str] = []
        for role in ROLES:
            bound, three = (results.get(f"safety.{name}.{limit}.{role}") for limit in ("bound", "three"))
            ids += [r.id for r in (bound, three) if r is not None]
            cells += [EMPTY if r is None else format_result(r) for r in (bound, three)]
        if set(cells) != {EMPTY}:
            rows.append(Row(OUTCOME_NAMES[name], tuple(cells)))
    levels = {format_level(results[i].level) for i in ids if ".bound." in i and results[i].estimable}
    return Table(
        label="tbl-safety-zero",
        caption="Upper limits of the risk of outcomes that no participant of an arm had; safety set.",
        columns=("Outcome", *("Exact limit", "Rule of three") * 2),
        rows=tuple(rows) or (Row("No such outcome", (EMPTY,) * 4),),
        spanners=tuple(
            (heading, first, first + 1) for heading, first in zip(_headings(results, arms), (1, 3), strict=True)
        ),
        notes=(
            f"One-sided limits{', level ' + ' and '.join(sorted(levels)) if levels else ''}. The rule of three "
            "approximates the exact limit at a level of 95%. A dash: the outcome occurred, or is not known.",
        ),
        results=tuple(ids),
    )


def severity_table(results: Results, arms: Arms) -> Table:
    """Participants by the worst severity of their events."""
    rows, ids = [], []
    for kind, heading in (("any", "All events"), ("related", "Related events")):
        for severity in SEVERITIES:
            by_arm = [results.get(f"safety.severity.{kind}.{severity.lower()}.{role}") for role in ROLES]
            known = [r for r in by_arm if r is not None]
            ids += [r.id for r in known]
            if known:
                rows.append(Row(severity.capitalize(), tuple(_share(r) for r in known), heading))
    return Table(
        label="tbl-safety-severity",
        caption="Participants by the worst severity of their treatment-emergent events, n (%); safety set.",
        columns=("Worst severity", *_headings(results, arms)),
        rows=tuple(rows) or (Row("No data", (EMPTY,) * 2),),
        notes=("Related: possible or stronger.",),
        results=tuple(ids),
    )


def term_table(results: Results, arms: Arms) -> Table:
    """All system organ classes and preferred terms, the commonest first."""
    return _frequencies(
        results,
        arms,
        _names(results, "safety.soc", "safety.pt"),
        label="tbl-safety-terms",
        caption=(
            "Treatment-emergent adverse events by system organ class and preferred term, most frequent first; safety "
            "set."
        ),
        stub="Class or term",
        none="No event recorded",
    )


def serious_table(results: Results, arms: Arms) -> Table:
    """Serious events by preferred term."""
    return _frequencies(
        results,
        arms,
        _by_frequency(results, "safety.serious_pt"),
        label="tbl-safety-serious",
        caption="Serious treatment-emergent adverse events by preferred term, most frequent first; safety set.",
        stub="Preferred term",
        none="No serious event recorded",
    )


def _frequencies(
    results: Results, arms: Arms, names: list[str], *, label: str, caption: str, stub: str, none: str
) -> Table:
    """Participants, events and rate by arm, a line a class or term; terms under their class."""
    rows, ids = [], []
    for name in names:
        cells: list[str] = []
        for role in ROLES:
            share, events, rate = (results[f"{name}.{part}.{role}"] for part in ("participants", "events", "rate"))
            ids += [share.id, events.id, rate.id]
            cells += [_share(share), format_result(events), _number(rate)]
        indent = 1 if name.startswith("safety.pt") else 0
        rows.append(Row(_term(results, name), tuple(cells), indent=indent))
    return Table(
        label=label,
        caption=caption,
        columns=(stub, *("n (%)", "Events", "Rate") * 2),
        rows=tuple(rows) or (Row(none, (EMPTY,) * 6),),
        spanners=tuple((text, first, first + 2) for text, first in zip(_headings(results, arms), (1, 4), strict=True)),
        notes=(
            "n, participants, each counted once in a line. Rate, events per 100 participant-years.",
            *footnotes(results[i] for i in ids),
        ),
        results=tuple(ids),
    )


def difference_table(results: Results, arms: Arms, level: float) -> Table:
    """Risk difference of every preferred term with raw and adjusted p-value."""
    rows, ids = [], []
    for name in _by_frequency(results, "safety.pt"):
        by_arm = [results[f"{name}.participants.{role}"] for role in ROLES]
        difference, adjusted = results[f"{name}.difference"], results[f"{name}.q"]
        ids += [*(r.id for r in by_arm), difference.id, adjusted.id]
        tests = [format_p(r.p) if r.estimable else EMPTY for r in (difference, adjusted)]
        cells = (*(_share(r) for r in by_arm), _number(difference), _interval(difference), *tests)
        rows.append(Row(_term(results, name), cells))
    return Table(
        label="tbl-safety-differences",
        caption="Participants with each preferred term, n (%), and the difference between the arms; safety set.",
        columns=(
            "Preferred term", *_headings(results, arms), "Difference, points", f"{format_level(level)} CI", "p", "q"
        ),
        rows=tuple(rows) or (Row("No event recorded", (EMPTY,) * 6),),
        notes=(
            f"Differences are {arms.treatment} − {arms.control}, in percentage points, with Newcombe confidence "
            "intervals (CI). p, Fisher exact test, which may disagree with an interval that ends near zero; q, p "
            "adjusted over all preferred terms (Benjamini-Hochberg).",
            *footnotes(results[i] for i in ids),
        ),
        results=tuple(ids),
    )  # fmt: skip


def term_figure(results: Results, arms: Arms) -> Figure:
    """Dot plot of the commonest preferred terms: percentage by arm, and risk difference with its interval."""
    everything = _by_frequency(results, "safety.pt")
    frequent = everything[:MOST_TERMS]
    frequent.sort(
        key=lambda name: (
            -to_sort_by(results[f"{name}.difference"].value) if results[f"{name}.difference"].estimable else 0
        )
    )
    drawing, (left, right) = canvas(1.1 + 0.19 * len(frequent), columns=2, sharey=True, width_ratios=(1, 1.15))
    for y, name in enumerate(frequent):
        _percentages(left, y, name, results)
        _risk_difference(right, y, results[f"{name}.difference"])
    if frequent:
        _finish(left, right, [_term(results, name, "figure") for name in frequent], arms)
        handles = [Line2D([], [], **_marker(role), label=arms[role]) for role in ROLES]
        drawing.legend(handles=handles, loc="outside upper left", ncols=2)
    else:
        for ax in (left, right):
            ax.set_axis_off()
        left.text(0, 0.5, "No event recorded.")
    n = [format_result(results[f"safety.n.{role}"]) for role in ROLES]
    shown = f"the {len(frequent)} most frequent of {len(everything)}" if len(frequent) < len(everything) else "all"
    return figure(
        drawing,
        label="fig-safety",
        caption=(
            f"Treatment-emergent adverse events by preferred term ({shown}): percentage of participants by arm, and "
            f"difference ({arms.treatment} − {arms.control}) with confidence interval, sorted by the difference; "
            f"safety set, n = {n[0]} and {n[1]}."
        ),
        alt=_terms_alt(results, frequent, arms),
        data=_term_frame(results, frequent),
        results=[
            f"{name}.{part}"
            for name in frequent
            for part in ("participants.treatment", "participants.control", "difference")
        ],
    )


def _percentages(ax: Axes, y: int, name: str, results: Results) -> None:
    shares = [results[f"{name}.participants.{role}"].value * 100 for role in ROLES]
    ax.plot(shares, [y, y], color=GREY, linewidth=0.6, zorder=1)
    for role, share in zip(ROLES, shares, strict=True):
        ax.plot([share], [y], **_marker(role), clip_on=False, zorder=2)


def _risk_difference(ax: Axes, y: int, difference: Result) -> None:
    if difference.estimable:
        limits = [difference.lower * 100, difference.upper * 100]
        ax.plot(limits, [y, y], color=INK, linewidth=1.1, solid_capstyle="butt")
        ax.plot([difference.value * 100], [y], marker="D", color=INK, markersize=3.8)


def _finish(left: Axes, right: Axes, labels: list[str], arms: Arms) -> None:
    left.set_yticks(range(len(labels)), labels)
    left.set_ylim(len(labels) - 0.4, -0.6)
    left.set_xlim(left=0)
    left.set_xlabel("Participants, %")
    right.axvline(0, color=GREY, linewidth=0.8, zorder=0)
    right.set_xlabel("Difference, percentage points")
    # A marker at 0% reaches over the axis, towards the term.
    left.tick_params(axis="y", pad=8)
    for ax in (left, right):
        ax.tick_params(axis="y", length=0)
        ax.spines["left"].set_visible(False)
        ax.hlines(
            range(len(labels)),
            0,
            1,
            transform=ax.get_yaxis_transform(),
            color=GREY,
            linewidth=0.5,
            linestyle=(0, (1, 3)),
            zorder=0,
        )
    reach = max(abs(limit) for limit in right.get_xlim())
    right.set_xlim(-reach, reach)
    sides(right, f"more with {arms.control}", f"more with {arms.treatment}")


def _marker(role: str) -> dict[str, Any]:
    """The arm's marker; the control's is open and larger, so that equal percentages show both."""
    style = {"color": COLOUR[role], "marker": MARKER[role], "linestyle": "none"}
    return style | ({"markersize": 4.0} if role == "treatment" else {"markersize": 6.5, "markerfacecolor": "none"})


def _term_frame(results: Results, names: list[str]) -> pd.DataFrame:
    columns = [
        "term", "participants_treatment", "participants_control", "percent_treatment", "percent_control", "difference",
        "lower", "upper", "p", "q",
    ]  # fmt: skip
    rows = []
    for name in names:
        by_arm = [results[f"{name}.participants.{role}"] for role in ROLES]
        difference = results[f"{name}.difference"]
        percent = (100 * value for value in (difference.value, difference.lower, difference.upper))
        counts = (round(r.value * (r.n or 0)) if r.estimable else 0 for r in by_arm)
        shares = (100 * r.value for r in by_arm)
        rows.append([_term(results, name), *counts, *shares, *percent, difference.p, results[f"{name}.q"].p])
    return pd.DataFrame(rows, columns=columns)


def _terms_alt(results: Results, names: list[str], arms: Arms) -> str:
    """The terms at both ends of the figure."""
    known = [name for name in names if results[f"{name}.difference"].estimable]
    if not known:
        return "No difference between the arms can be shown." if names else "No event recorded."
    ends = dict.fromkeys((known[0], known[-1]))
    said = (f"{_term(results, name)} {format_result(results[f'{name}.difference'], 'full')}" for name in ends)
    return f"Difference in participants ({arms.treatment} − {arms.control}), first and last term: {'; '.join(said)}."


def _names(results: Results, *prefixes: str) -> list[str]:
    """Classes and terms in their order of frequency, as the ids name them."""
    ending = ".participants.treatment"
    starts = tuple(f"{prefix}." for prefix in prefixes)
    return [id.removesuffix(ending) for id in results if id.startswith(starts) and id.endswith(ending)]


def _term(results: Results, name: str, place: str = "table") -> str:
    """The class or term itself, cut to the place's width, with what cannot be seen written out."""
    return visible(results[f"{name}.participants.treatment"].parameter, TERM_WIDTH[place])


def _by_frequency(results: Results, prefix: str) -> list[str]:
    """Terms, those with the most participants of both arms first, whatever their class."""

    def participants(name: str) -> float:
        by_arm = (results[f"{name}.participants.{role}"] for role in ROLES)
        return sum(r.value * (r.n or 0) for r in by_arm if r.estimable)

    return sorted(_names(results, prefix), key=lambda name: -round(participants(name)))


def _headings(results: Results, arms: Arms) -> tuple[str, str]:
    treatment, control = (f"{arms[role]}\n(n = {format_result(results[f'safety.n.{role}'])})" for role in ROLES)
    return treatment, control


def _share(result: Result) -> str:
    if not result.estimable:
        return EMPTY
    return f"{format_result(result, 'count')} ({format_percent(result.value, result.n)})"


def _number(result: Result) -> str:
    return format_result(result, "number") if result.estimable else EMPTY


def _interval(result: Result) -> str:
    return format_result(result, "ci") if result.estimable else EMPTY


def sentences(results: Results, study: Study) -> Results:
    """Key finding, abstract, exposure, what was counted, and what the comparisons say."""
    said = Results()
    arms = study.arms
    said.state("safety.exposure", _exposure(arms))
    said.state(
        "safety.coding",
        "Events of unknown start, which count as treatment-emergent: {safety.unknown_day}. Events left out because "
        "they began before the injection: {safety.before}; because the participant was never treated: "
        "{safety.untreated}.",
    )
    any_event = [results[f"safety.any.participants.{role}"] for role in ROLES]
    if not any(r.estimable for r in any_event):
        reason = any_event[0].note.removeprefix("not estimable: ")
        nothing = f"No data on adverse events: {wording.literal(reason)}."
        for name in ("key", "abstract", "excluded", "serious", "terms"):
            said.state(f"safety.{name}", nothing)
        said.state("safety.conclusion", "Harms cannot be judged from these data.")
        return said
    related = _serious_related(results, arms)
    difference = results["safety.any.difference"]
    occurred = (
        f"Treatment-emergent adverse events occurred in {_by_arm(results, 'any', arms)}; "
        f"{wording.difference(difference, 'difference')}."
    )
    said.state("safety.conclusion", _conclusion(results, arms))
    # Without any serious event the sentence on related ones says so.
    serious = "" if _none(results, "serious") else f"{_serious(results, arms)} "
    said.state("safety.key", f"{occurred} {related}")
    said.state("safety.abstract", f"{occurred} {serious}{related}")
    said.state("safety.excluded", _excluded(difference, arms))
    said.state("safety.serious", _serious(results, arms))
    said.state("safety.terms", _terms_sentence(results, study))
    return said


def _exposure(arms: Arms) -> str:
    by_arm = [
        f"{{safety.exposure.{role}}} with {wording.literal(arms[role])} (n = {{safety.n.{role}}})" for role in ROLES
    ]
    return f"They were followed for {wording.listed(by_arm)}."


def _by_arm(results: Results, outcome: str, arms: Arms) -> str:
    """How many had the outcome, by arm; an arm without participants is said to be so."""
    known, untreated = [], ""
    for role in ROLES:
        share, label = results[f"safety.{outcome}.participants.{role}"], wording.literal(arms[role])
        if share.estimable:
            known.append(f"{{{share.id}|fraction}} with {label}")
        else:
            untreated = f" (nobody was treated with {label})"
    return wording.listed(known) + untreated


def _none(results: Results, outcome: str) -> bool:
    """Whether no participant had the outcome."""
    return not any(results[f"safety.{outcome}.participants.{role}"].value > 0 for role in ROLES)


def _serious(results: Results, arms: Arms) -> str:
    if _none(results, "serious"):
        return "No serious adverse event occurred."
    return f"Serious adverse events occurred in {_by_arm(results, 'serious', arms)}."


def _serious_related(results: Results, arms: Arms) -> str:
    """Serious events at least possibly related; where there is none, how large their risk may still be."""
    if not _none(results, "serious_related"):
        return (
            "Serious adverse events at least possibly related to the treatment occurred in "
            f"{_by_arm(results, 'serious_related', arms)}."
        )
    bounds = {role: results[f"safety.serious_related.bound.{role}"] for role in ROLES}
    known = [role for role in ROLES if bounds[role].estimable]
    limits = wording.listed([f"{{{bounds[role].id}}} with {wording.literal(arms[role])}" for role in known])
    none = "occurred" if _none(results, "serious") else "was judged related to the treatment"
    return (
        f"No serious adverse event {none}; the one-sided {{{bounds[known[0]].id}|level}} upper limit of the risk of a "
        f"related one is {limits}."
    )


def _conclusion(results: Results, arms: Arms) -> str:
    """What the abstract's conclusion says of harms."""
    if _none(results, "serious_related"):
        return "No serious adverse event judged related to the treatment was recorded."
    by_arm = _by_arm(results, "serious_related", arms)
    return f"Serious adverse events judged at least possibly related to the treatment were recorded in {by_arm}."


def _excluded(difference: Result, arms: Arms) -> str:
    """Which way the interval of the difference in participants with any event points, or what it excludes."""
    treatment, control = wording.literal(arms.treatment), wording.literal(arms.control)
    if not difference.estimable:
        return "The arms cannot be compared."
    if difference.lower > 0 or difference.upper < 0:
        more, fewer = (treatment, control) if difference.lower > 0 else (control, treatment)
        return (
            "The interval for the difference in participants with any event excludes zero: there were more with "
            f"{more} than with {fewer}."
        )
    return (
        "The interval for the difference in participants with any event includes zero and excludes an excess with "
        f"{treatment} beyond {{{difference.id}|upper}} percentage points."
    )


def _terms_sentence(results: Results, study: Study) -> str:
    names = _names(results, "safety.pt")
    known = [name for name in names if results[f"{name}.q"].estimable]
    alpha, arms = study.parameters.alpha, study.arms
    if not known:
        return "The arms cannot be compared by preferred term." if names else "No preferred term is recorded."
    found = [name for name in known if results[f"{name}.q"].p <= alpha]
    total = wording.counted(len(names), "preferred term")
    if not found:
        return f"Over {total}, no adjusted p-value is {alpha:g} or less."
    sides = []
    for role, sign in (("treatment", 1), ("control", -1)):
        terms = [wording.literal(_term(results, n)) for n in found if results[f"{n}.difference"].value * sign > 0]
        if terms:
            sides.append(f"for {wording.listed(terms)} (more frequent with {wording.literal(arms[role])})")
    return f"Over {total}, adjusted p-values are {alpha:g} or less {wording.listed(sides)}."
