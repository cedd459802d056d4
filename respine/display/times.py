"""Times to first response and to rescue in tables, figures and sentences."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import pandas as pd

from respine.analyses.study import Arms, Study
from respine.analyses.times import AT_RISK, HORIZONS
from respine.display import wording
from respine.display.figures import Series, label_ends, n_under_axis
from respine.display.numbers import format_percent, format_result
from respine.display.outputs import Figure, Row, Table, figure
from respine.display.style import COLOUR, LINE, better, canvas
from respine.display.tables import EMPTY, Comparison, comparison_table, footnotes
from respine.results import Result, Results
from respine.trial.trial import ROLES

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NAMES = {"response": "First response", "rescue": "Rescue"}
COMPARISONS = {
    "hr": "Hazard ratio",
    "logrank": "Log-rank, chi-squared",
    "ph": "Proportional hazards, chi-squared",
}
AXES = {"response": "With a response so far, %", "rescue": "Rescued so far, %"}


def times_table(results: Results, arms: Arms, level: float) -> Table:
    """Participants, events, medians, restricted means by arm; their differences, ratios and the tests."""
    by_arm: list[Result] = []

    def line(stub: str, outcome: str, what: str) -> Comparison:
        pair = [results[f"secondary.time.{outcome}.{what}.{role}"] for role in ROLES]
        by_arm.extend(pair)
        difference = results.get(f"secondary.time.{outcome}.{what}.difference")
        return Comparison(stub, _with_interval(pair[0]), _with_interval(pair[1]), difference, NAMES[outcome])

    lines: list[Comparison] = []
    for outcome, name in NAMES.items():
        lines.append(line("Participants", outcome, "n"))
        lines.append(line("with the event", outcome, "events"))
        lines.append(line("Median time, months", outcome, "median"))
        for horizon in HORIZONS:
            lines.append(line(f"Restricted mean to month {horizon}, months", outcome, f"rmst.m{horizon}"))
            ratio = results[f"secondary.time.{outcome}.rmst.m{horizon}.ratio"]
            lines.append(Comparison("ratio", "", "", ratio, name, indent=1))
        for what, stub in COMPARISONS.items():
            lines.append(Comparison(stub, "", "", results[f"secondary.time.{outcome}.{what}"], name))
    table = comparison_table(
        lines,
        label="tbl-times",
        caption=(
            "Times to first response (intention-to-treat set) and to rescue (its treated participants), from the "
            "day of injection."
        ),
        stub="",
        headings=(arms.treatment, arms.control),
        level=level,
        difference="Comparison",
        notes=(
            f"Differences are {arms.treatment} − {arms.control}, ratios {arms.treatment} over {arms.control}. Median: "
            "Kaplan-Meier with log-log interval; restricted mean: area under that curve, Greenwood variance; hazard "
            "ratio: Cox regression on arm, Efron ties; proportional hazards: score test on Schoenfeld residuals. Of a "
            "response an early one is good, so that a hazard ratio above one and a shorter mean time favour "
            f"{arms.treatment}; of a rescue it is the reverse.",
            *(f"{NAMES[r.parameter.lower()]}, {arms[r.arm]}: {r.note}." for r in by_arm if r.note),
        ),
    )
    return replace(table, results=(*table.results, *(r.id for r in by_arm)))


def reached_table(results: Results, arms: Arms) -> Table:
    """Share with a response by each visit: Kaplan-Meier, and maximum likelihood for interval-censored times."""
    rows, shown = [], []
    first = [r for r in results.select("secondary.time.response.reached").values() if r.arm == "treatment"]
    for at in sorted(first, key=lambda r: r.visit or 0.0):
        visit = at.id.split(".")[-2]
        cells = []
        for role in ROLES:
            simple = results[f"secondary.time.response.reached.{visit}.{role}"]
            censored = results[f"secondary.time.response.npmle.{visit}.{role}"]
            shown += [simple, censored]
            cells += [_share(simple), _share(censored)]
        rows.append(Row(f"Month {at.visit:g}", tuple(cells)))
    return Table(
        label="tbl-intervals",
        caption="Participants with a response by each visit, %; intention-to-treat set.",
        columns=("By", *("Kaplan-Meier", "Interval-censored") * 2),
        rows=tuple(rows),
        spanners=((arms.treatment, 1, 2), (arms.control, 3, 4)),
        notes=(
            "Kaplan-Meier takes a first response as if it came on the day of the visit that showed it. "
            "Interval-censored: non-parametric maximum likelihood (Turnbull), the response somewhere between that "
            "visit and the one before.",
            *footnotes(shown),
        ),
        results=tuple(r.id for r in shown),
    )


def _share(result: Result) -> str:
    return format_percent(result.value, digits=1).removesuffix("%") if result.estimable else EMPTY


def _with_interval(result: Result) -> str:
    if not result.estimable:
        return EMPTY
    text = format_result(result, "number")
    bare = math.isnan(result.lower) and math.isnan(result.upper)
    return text if bare else f"{text} ({format_result(result, 'ci')})"


def times_figure(results: Results, curves: pd.DataFrame, arms: Arms) -> Figure:
    """Kaplan-Meier curves of both outcomes as shares with the event, with bands and the numbers at risk."""
    drawing, axes = canvas(3.4, columns=2)
    months = [float(m) for m in AT_RISK]
    last = max(24.0, curves["month"].max()) if len(curves) else 24.0
    shown: list[Result] = []
    for ax, outcome in zip(axes, NAMES, strict=True):
        # The arms are named at the right for the lines, at the left for the numbers.
        right = ax is axes[-1]
        _curves(ax, curves[curves["outcome"] == outcome], outcome, arms if right else Arms("", ""))
        ax.set_xlim(-1.2, last + 0.5)
        ax.set_xticks(months, [f"{m:g}" for m in months])
        series = [
            Series(role, "" if right else arms[role], [_at_risk(results, outcome, m, role) for m in AT_RISK])
            for role in ROLES
        ]
        shown += [r for s in series for r in s.results]
        n_under_axis(ax, series, months=months, title="" if right else "n at risk")
    hazards = [
        f"{name}: hazard ratio {format_result(results[f'secondary.time.{outcome}.hr'], 'full')}"
        for outcome, name in NAMES.items()
    ]
    return figure(
        drawing,
        label="fig-times",
        caption=(
            f"Time to first response (intention-to-treat set, n = {_n(results, 'response')}) and to rescue (its "
            f"treated participants, n = {_n(results, 'rescue')}): one minus the Kaplan-Meier estimate, with pointwise "
            "confidence bands and the numbers at risk."
        ),
        alt=f"{'; '.join(hazards)}.",
        data=curves.assign(arm=[arms[role] for role in curves["arm"]]),
        results=[r.id for r in shown],
    )


def _curves(ax: Axes, curves: pd.DataFrame, outcome: str, names: Arms) -> None:
    """One outcome: a step curve and a band an arm, the arms named at the lines' ends."""
    ends = {}
    for role in ROLES:
        line = curves[curves["arm"] == role]
        share, lower, upper = (line[column] * 100 for column in ("share", "lower", "upper"))
        colour = COLOUR[role]
        ax.step(line["month"], share, where="post", color=colour, linestyle=LINE[role], zorder=3)
        ax.fill_between(line["month"], lower, upper, step="post", color=colour, alpha=0.15, linewidth=0)
        if len(line):
            ends[role] = (names[role], float(share.iloc[-1]))
    highest = curves["upper"].max() * 110
    ax.set_ylim(0, highest if outcome == "rescue" and highest > 0 else 100)
    ax.set_title(NAMES[outcome], pad=14)
    ax.set_ylabel(AXES[outcome])
    ax.set_xlabel("Months since injection")
    better(ax, lower_is_better=outcome == "rescue")
    label_ends(ax, ends)


def _at_risk(results: Results, outcome: str, month: int, role: str) -> Result:
    return results[f"secondary.time.{outcome}.at_risk.m{month}.{role}"]


def _n(results: Results, outcome: str) -> str:
    return " and ".join(format_result(results[f"secondary.time.{outcome}.n.{role}"]) for role in ROLES)


def sentences(results: Results, study: Study) -> Results:
    """The comparisons of both times, whether hazards are proportional, and the widths of the intervals."""
    said = Results()
    said.state("secondary.times", f"{_comparison(results, study, 'response')} {_comparison(results, study, 'rescue')}")
    said.state("secondary.hazards", _hazards(results, study.parameters.alpha))
    width = {name: results[f"secondary.time.response.width.{name}"] for name in ("min", "median", "max")}
    said.state(
        "secondary.intervals",
        "No response was seen, so that there is no interval to speak of."
        if not width["min"].estimable
        else "A response is seen at a visit but came at some time since the visit before: these intervals are "
        f"{_width(width)} wide.",
    )
    return said


def _width(width: Mapping[str, Result]) -> str:
    """``1 to 6 months (median 2)``, or the one width that all have."""
    low, middle, high = (width[name] for name in ("min", "median", "max"))
    if low.value == high.value:
        return f"all {{{high.id}}}" if high.value != 1 else f"all {{{high.id}|number}} month"
    return f"{{{low.id}|number}} to {{{high.id}}} (median {{{middle.id}|number}})"


def _comparison(results: Results, study: Study, outcome: str) -> str:
    prefix = f"secondary.time.{outcome}"
    what = {"response": "had a first response", "rescue": "were rescued"}[outcome]
    events = [
        f"{{{prefix}.events.{role}}} of {{{prefix}.n.{role}}} with {wording.literal(study.arms[role])}"
        for role in ROLES
    ]
    start = f"{wording.listed(events)} {what}"
    hazard, test = results[f"{prefix}.hr"], results[f"{prefix}.logrank"]
    if not test.estimable:
        return wording.sentence(f"{start}; the arms could not be compared ({wording.literal(test.note)})")
    noun = {"response": "first response", "rescue": "rescue"}[outcome]
    if not wording.differs(test, study.parameters.alpha):
        verdict = f"no difference in the time to {noun} was shown"
    elif sooner := _sooner(results, prefix):
        verdict = f"a {noun} came earlier with {wording.literal(study.arms[sooner])}"
    else:
        verdict = f"the time to {noun} differed between the arms"
    ratio = f"hazard ratio {{{hazard.id}|full}}" if hazard.estimable else f"hazard ratio {wording.literal(hazard.note)}"
    return f"{wording.sentence(start)} {wording.sentence(f'{verdict} (log-rank {{{test.id}|p}}); {ratio}')}"


def _sooner(results: Results, prefix: str) -> str:
    """The arm in which the event came earlier, empty where that cannot be said."""
    hazard = results[f"{prefix}.hr"]
    if hazard.estimable:
        return "treatment" if hazard.value > 1 else "control"
    without = [role for role in ROLES if results[f"{prefix}.events.{role}"].value == 0]
    return "" if len(without) != 1 else ROLES[1 - ROLES.index(without[0])]


def _hazards(results: Results, alpha: float) -> str:
    """What the check of proportional hazards says of the hazard ratios."""
    parts = []
    for outcome, name in NAMES.items():
        check = results[f"secondary.time.{outcome}.ph"]
        noun = name[0].lower() + name[1:]
        if not check.estimable:
            parts.append(f"for {noun} it could not be made")
        elif wording.differs(check, alpha):
            parts.append(f"for {noun} it rejects them ({{{check.id}|p}}), and the hazard ratio is an average over time")
        else:
            parts.append(f"for {noun} it does not reject them ({{{check.id}|p}})")
    return f"The hazard ratio supposes proportional hazards, which were checked: {'; '.join(parts)}."
